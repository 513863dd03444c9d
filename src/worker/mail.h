/*
 * mail.h
 *	  The mail that tells of the end of a job.
 */
#ifndef CRMIO_MAIL_H
#define CRMIO_MAIL_H

#include "crmio.h"

/* notice.c */
extern int	crmio_notice_write(int64 job_id);

#endif							/* CRMIO_MAIL_H */
