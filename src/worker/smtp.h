/*
 * smtp.h
 *	  One mail at a time to the server of the settings; which mails, and when, is
 *	  mail.c's business.
 */
#ifndef CRMIO_SMTP_H
#define CRMIO_SMTP_H

#include "crmio.h"

#include "datatype/timestamp.h"

/* A mail to one recipient; all text in UTF-8. */
typedef struct Mail
{
	int64		mail_id;
	const char *recipient;
	const char *subject;
	const char *body;
	const char *message_id;		/* the part before the @, the same in each attempt */
	TimestampTz written_at;
	int			attempts;		/* this one included */
} Mail;

typedef enum SmtpOutcome
{
	SMTP_SENT,
	SMTP_REFUSED,				/* the server does not want this mail, now or later */
	SMTP_POSTPONED,				/* it does not want this mail now */
	SMTP_TROUBLE				/* no mail can be sent at present */
} SmtpOutcome;

typedef struct SmtpResult
{
	SmtpOutcome outcome;
	char	   *reason;			/* for the mail's owner, unless it was sent */
	char	   *details;		/* for the server log: may tell of the network; or NULL */
} SmtpResult;

extern void crmio_smtp_define_settings(void);
extern const char *crmio_smtp_not_set_up(void);
extern void crmio_smtp_send(const Mail *mail, SmtpResult *result);

/* message.c */
struct curl_slist;

extern struct curl_slist *crmio_mail_headers(const Mail *mail, const char *sender);
extern char *crmio_mail_body(const Mail *mail);
extern char *crmio_mail_text(const char *text);

#endif							/* CRMIO_SMTP_H */
