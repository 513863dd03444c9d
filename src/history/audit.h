/*
 * audit.h
 *	  The audit log: who took all data out.
 */
#ifndef CRMIO_AUDIT_H
#define CRMIO_AUDIT_H

#include "crmio.h"

extern void crmio_audit(const char *action, Jsonb *details);

#endif							/* CRMIO_AUDIT_H */
