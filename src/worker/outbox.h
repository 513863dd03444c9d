/*
 * outbox.h
 *	  The mails that wait in crmio.mail_outbox, for the process that sends them.
 */
#ifndef CRMIO_OUTBOX_H
#define CRMIO_OUTBOX_H

#include "worker/smtp.h"

extern void crmio_outbox_recover(void);
extern void crmio_outbox_explain(const char *reason);
extern bool crmio_outbox_take(Mail *mail);
extern void crmio_outbox_record(const Mail *mail, const SmtpResult *result);
extern int64 crmio_outbox_wait(void);

#endif							/* CRMIO_OUTBOX_H */
