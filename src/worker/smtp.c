/*
 * smtp.c
 *	  Talks to the mail server, by libcurl: the settings that say where it is, and the
 *	  sending of one mail.
 *
 * message.c writes the mail itself; mail.c chooses what to send, and keeps what came
 * of it.
 *
 * libcurl may start a thread to find an address.  So it works with all signals blocked,
 * which the thread inherits: the server's signal handlers belong to the main thread.
 * What libcurl calls back must not raise an error, which would jump over its frames.
 * An error elsewhere ends the process, and all that libcurl has with it.
 */
#include "postgres.h"

#include <curl/curl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"
#include "storage/procsignal.h"
#include "utils/guc.h"

#include "import/kinds.h"
#include "worker/smtp.h"

/*
 * Seconds to get a connection, to wait for a reply, and for a mail in all.  Some servers
 * make a client wait for their greeting.  After the end of a mail they may look at it for
 * ten minutes (RFC 5321, 4.5.3.2.6): who leaves earlier sends a mail again that has arrived.
 */
#define CONNECT_SECONDS 60L
#define REPLY_SECONDS 600L
#define MAIL_SECONDS 900L

/* How long interrupts may wait while the network is waited for. */
#define POLL_MILLISECONDS 200

/* Longest reply of the server that is kept, in bytes. */
#define REPLY_BYTES 500

typedef enum SmtpTls
{
	SMTP_TLS_OFF,
	SMTP_TLS_AUTO,
	SMTP_TLS_REQUIRE
} SmtpTls;

/* What was said, as far as it matters. */
typedef struct Conversation
{
	bool		recipient_named;	/* the server has taken the sender: what follows is
									 * about the mail */
	bool		leaving;		/* what follows is about nothing */
	bool		reply_ended;	/* its last line is there */
	int			reply_length;
	char		reply[REPLY_BYTES]; /* the last one, lines joined */
	char		error[CURL_ERROR_SIZE];
} Conversation;

static const struct config_enum_entry tls_options[] = {
	{"off", SMTP_TLS_OFF, false},
	{"auto", SMTP_TLS_AUTO, false},
	{"require", SMTP_TLS_REQUIRE, false},
	{NULL, 0, false}
};

static char *smtp_url = NULL;
static char *mail_from = NULL;
static char *smtp_login_file = NULL;
static char *smtp_ca_file = NULL;
static int	smtp_tls = SMTP_TLS_AUTO;

/*
 * check_url
 *		Check hook: a mail server, and no password where it does not belong.
 */
static bool
check_url(char **value, void **extra, GucSource source)
{
	const char *host = strstr(*value, "://");

	if (**value == '\0')
		return true;
	if (host == NULL || host[3] == '\0' || strpbrk(host + 3, " \t\r\n") != NULL ||
		(pg_strncasecmp(*value, "smtp://", 7) != 0 && pg_strncasecmp(*value, "smtps://", 8) != 0))
	{
		GUC_check_errdetail("It has to be smtp://host:port or smtps://host:port.");
		return false;
	}
	if (strchr(host, '@') != NULL)
	{
		GUC_check_errdetail("Name and password of the login are for the file that crmio.smtp_login_file names.");
		return false;
	}
	return true;
}

/*
 * check_sender
 *		Check hook: one e-mail address.  In ASCII, because the value may come from a
 *		file, and nobody has checked its encoding.
 */
static bool
check_sender(char **value, void **extra, GucSource source)
{
	ValueProblem problem;

	for (const char *c = *value; *c != '\0'; c++)
	{
		if (IS_HIGHBIT_SET(*c))
		{
			GUC_check_errdetail("It may have ASCII characters only.");
			return false;
		}
	}
	if (**value == '\0' || crmio_check_email(*value, &problem))
		return true;
	GUC_check_errdetail("%s.", problem.reason);
	return false;
}

/*
 * crmio_smtp_define_settings
 *		The settings of the mail server.  None of them is a secret: where the library
 *		is not loaded, any role can read what stands in the configuration, and what ALTER
 *		DATABASE has set everywhere.  So the password is in a file.
 */
void
crmio_smtp_define_settings(void)
{
	DefineCustomStringVariable("crmio.smtp_url",
							   "Mail server: smtp://host:port or smtps://host:port.",
							   "Empty means that mails are kept and not sent.",
							   &smtp_url, "",
							   PGC_SUSET, GUC_SUPERUSER_ONLY,
							   check_url, NULL, NULL);
	DefineCustomStringVariable("crmio.mail_from",
							   "Address that mails come from.",
							   NULL,
							   &mail_from, "",
							   PGC_SUSET, GUC_SUPERUSER_ONLY,
							   check_sender, NULL, NULL);
	DefineCustomEnumVariable("crmio.smtp_tls",
							 "Whether a connection that begins unencrypted is encrypted by STARTTLS.",
							 "auto: if the server offers it, and always where there is a login.",
							 &smtp_tls, SMTP_TLS_AUTO, tls_options,
							 PGC_SUSET, GUC_SUPERUSER_ONLY,
							 NULL, NULL, NULL);
	DefineCustomStringVariable("crmio.smtp_ca_file",
							   "File of certificates by which the mail server's is checked.",
							   "Empty means those of the system.",
							   &smtp_ca_file, "",
							   PGC_SUSET, GUC_SUPERUSER_ONLY,
							   NULL, NULL, NULL);
	DefineCustomStringVariable("crmio.smtp_login_file",
							   "File with name and password for the mail server, as netrc has them.",
							   "Empty means no login.",
							   &smtp_login_file, "",
							   PGC_SUSET, GUC_SUPERUSER_ONLY,
							   NULL, NULL, NULL);
}

/*
 * crmio_smtp_not_set_up
 *		Why no mail can be sent by these settings, or NULL.  The file with the login is
 *		looked at because libcurl would do without a login if it can't read it.
 */
const char *
crmio_smtp_not_set_up(void)
{
	struct stat status;

	if (smtp_url[0] == '\0')
		return "no mail server: crmio.smtp_url is not set";
	if (mail_from[0] == '\0')
		return "no sender: crmio.mail_from is not set";
	if (smtp_login_file[0] == '\0')
		return NULL;
	if (access(smtp_login_file, R_OK) != 0 || stat(smtp_login_file, &status) != 0)
		return "no login: the file of crmio.smtp_login_file can't be read";
	if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return "no login: the file of crmio.smtp_login_file is open to others than the account of the server";
	return NULL;
}

/*
 * watch_conversation
 *		Called back with each line of the conversation: keeps the server's last reply,
 *		and finds how far the mail came.
 */
static int
watch_conversation(CURL *easy, curl_infotype type, char *data, size_t size, void *arg)
{
	Conversation *talk = arg;
	size_t		skip = 0;

	if (type == CURLINFO_HEADER_OUT && size >= 5 && pg_strncasecmp(data, "RCPT ", 5) == 0)
		talk->recipient_named = true;
	if (type == CURLINFO_HEADER_OUT && size >= 4 && pg_strncasecmp(data, "QUIT", 4) == 0)
		talk->leaving = true;
	if (type != CURLINFO_HEADER_IN || size < 4 || talk->leaving)
		return 0;

	/* "550-one" "550 two" is one reply: "550 one two" */
	if (talk->reply_ended)
		talk->reply_length = 0;
	else
		skip = 4;
	talk->reply_ended = data[3] != '-';
	if (skip > 0 && talk->reply_length < REPLY_BYTES - 1)
		talk->reply[talk->reply_length++] = ' ';
	while (size > 4 && (data[size - 1] == '\n' || data[size - 1] == '\r'))
		size--;
	size = Min(size - skip, REPLY_BYTES - 1 - talk->reply_length);
	memcpy(talk->reply + talk->reply_length, data + skip, size);
	talk->reply_length += size;
	talk->reply[talk->reply_length] = '\0';
	talk->reply[3] = ' ';
	return 0;
}

/*
 * absorb_barrier
 *		Does what all processes of the server are asked to do, which some commands wait
 *		for (DROP DATABASE of any database).  False if that failed; it is still to be done.
 */
static bool
absorb_barrier(void)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool done = true;

	if (!ProcSignalBarrierPending)
		return true;
	PG_TRY();
	{
		ProcessProcSignalBarrier();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		done = false;
	}
	PG_END_TRY();
	return done;
}

/*
 * watch_interrupts
 *		Called back about once a second while libcurl waits by itself, as it does for the
 *		answer to the end of a mail: lets signals in for a moment, does what can't wait
 *		for minutes, and makes libcurl give up if this process is to end.
 */
static int
watch_interrupts(void *arg, curl_off_t download, curl_off_t downloaded, curl_off_t upload,
				 curl_off_t uploaded)
{
	sigset_t	blocked;

	sigprocmask(SIG_SETMASK, &UnBlockSig, &blocked);
	sigprocmask(SIG_SETMASK, &blocked, NULL);
	return ProcDiePending || QueryCancelPending || !PostmasterIsAlive() || !absorb_barrier();
}

#define SET_OPTION(option, value) \
	do { \
		if (code == CURLE_OK) \
			code = curl_easy_setopt(easy, option, value); \
	} while (0)

/*
 * set_server
 *		What the settings say, and how long to be patient.
 */
static CURLcode
set_server(CURL *easy, Conversation *talk)
{
	CURLcode	code = CURLE_OK;
	long		use_ssl = CURLUSESSL_TRY;

	if (smtp_tls == SMTP_TLS_OFF)
		use_ssl = CURLUSESSL_NONE;
	else if (smtp_tls == SMTP_TLS_REQUIRE || smtp_login_file[0] != '\0')
		use_ssl = CURLUSESSL_ALL;

	SET_OPTION(CURLOPT_URL, smtp_url);
	SET_OPTION(CURLOPT_PROXY, "");	/* whatever the environment says */
	SET_OPTION(CURLOPT_USE_SSL, use_ssl);
	if (smtp_ca_file[0] != '\0')
		SET_OPTION(CURLOPT_CAINFO, smtp_ca_file);
	if (smtp_login_file[0] != '\0')
	{
		SET_OPTION(CURLOPT_NETRC, (long) CURL_NETRC_REQUIRED);
		SET_OPTION(CURLOPT_NETRC_FILE, smtp_login_file);
	}
	SET_OPTION(CURLOPT_NOSIGNAL, 1L);
	SET_OPTION(CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
	SET_OPTION(CURLOPT_FTP_RESPONSE_TIMEOUT, REPLY_SECONDS);
	SET_OPTION(CURLOPT_TIMEOUT, MAIL_SECONDS);
#if LIBCURL_VERSION_NUM >= 0x075700
	SET_OPTION(CURLOPT_QUICK_EXIT, 1L); /* without waiting for a name server */
#endif
	SET_OPTION(CURLOPT_FORBID_REUSE, 1L);	/* leave while watch_interrupts watches */
	SET_OPTION(CURLOPT_NOPROGRESS, 0L);
	SET_OPTION(CURLOPT_XFERINFOFUNCTION, watch_interrupts);
	SET_OPTION(CURLOPT_VERBOSE, 1L);	/* or the next one is not called */
	SET_OPTION(CURLOPT_DEBUGFUNCTION, watch_conversation);
	SET_OPTION(CURLOPT_DEBUGDATA, talk);
	SET_OPTION(CURLOPT_ERRORBUFFER, talk->error);
	return code;
}

/*
 * end_if_told
 *		What watch_interrupts looks for, where it may have its effect.
 */
static void
end_if_told(void)
{
	if (!PostmasterIsAlive())
		proc_exit(1);
	CHECK_FOR_INTERRUPTS();
}

/*
 * talk_to_server
 *		Lets libcurl send the mail that the handle has by now.  Interrupts are answered
 *		while it waits; they end the process.  Once there is a result, it is returned.
 */
static CURLcode
talk_to_server(CURL *easy)
{
	CURLM	   *multi = curl_multi_init();
	CURLMcode	code = curl_multi_add_handle(multi, easy);
	CURLcode	result = CURLE_FAILED_INIT;
	CURLMsg    *message;
	int			running = 1;
	int			waiting;

	while (code == CURLM_OK && running > 0)
	{
		sigset_t	unblocked;

		sigprocmask(SIG_SETMASK, &BlockSig, &unblocked);
		code = curl_multi_perform(multi, &running);
		sigprocmask(SIG_SETMASK, &unblocked, NULL);
		if (code != CURLM_OK || running == 0)
			break;
		end_if_told();
		code = curl_multi_poll(multi, NULL, 0, POLL_MILLISECONDS, NULL);
	}
	while ((message = curl_multi_info_read(multi, &waiting)) != NULL)
	{
		if (message->msg == CURLMSG_DONE)
			result = message->data.result;
	}
	curl_multi_remove_handle(multi, easy);
	curl_multi_cleanup(multi);
	if (result == CURLE_ABORTED_BY_CALLBACK)
		end_if_told();
	return result;
}

/*
 * perform
 *		Sends a mail, with a handle that knows the server by now.
 */
static CURLcode
perform(CURL *easy, const Mail *mail)
{
	char	   *body = crmio_mail_body(mail);
	struct curl_slist *headers = crmio_mail_headers(mail, mail_from);
	struct curl_slist *recipients = curl_slist_append(NULL, mail->recipient);
	curl_mime  *mime = curl_mime_init(easy);
	curl_mimepart *part = mime == NULL ? NULL : curl_mime_addpart(mime);
	CURLcode	code = CURLE_OK;

	if (headers == NULL || recipients == NULL || part == NULL ||
		curl_mime_data(part, body, CURL_ZERO_TERMINATED) != CURLE_OK ||
		curl_mime_type(part, "text/plain; charset=utf-8") != CURLE_OK ||
		curl_mime_encoder(part, "quoted-printable") != CURLE_OK)
		code = CURLE_OUT_OF_MEMORY;
	SET_OPTION(CURLOPT_MAIL_FROM, mail_from);
	SET_OPTION(CURLOPT_MAIL_RCPT, recipients);
	SET_OPTION(CURLOPT_HTTPHEADER, headers);
	SET_OPTION(CURLOPT_MIMEPOST, mime);
	if (code == CURLE_OK)
		code = talk_to_server(easy);
	curl_easy_setopt(easy, CURLOPT_MIMEPOST, NULL);
	curl_mime_free(mime);
	curl_slist_free_all(recipients);
	curl_slist_free_all(headers);
	return code;
}

/*
 * judge
 *		What came of a mail.  Once the server has taken the sender, its replies are
 *		about the mail; before that, something is wrong with all of them.
 */
static void
judge(const Conversation *talk, CURLcode code, SmtpResult *result)
{
	bool		answered = talk->reply_length > 0 &&
		(talk->reply[0] == '4' || talk->reply[0] == '5');

	memset(result, 0, sizeof(SmtpResult));
	if (code == CURLE_OK)
	{
		result->outcome = SMTP_SENT;
		return;
	}
	if (answered && talk->recipient_named)
		result->outcome = talk->reply[0] == '5' ? SMTP_REFUSED : SMTP_POSTPONED;
	else
		result->outcome = SMTP_TROUBLE;
	result->reason = answered ?
		psprintf("the mail server says: %s", crmio_mail_text(talk->reply)) :
		psprintf("the mail server can't be used: %s", curl_easy_strerror(code));
	result->details = crmio_mail_text(talk->error);
}

/*
 * crmio_smtp_send
 *		Sends one mail, and says what came of it.  Must not be called in a transaction,
 *		which the network would keep open.
 */
void
crmio_smtp_send(const Mail *mail, SmtpResult *result)
{
	static bool initialized = false;
	Conversation talk = {.reply_ended = true};
	CURL	   *easy;
	CURLcode	code;

	if (!initialized && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not initialize libcurl")));
	initialized = true;
	easy = curl_easy_init();
	if (easy == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("libcurl could not prepare to send a mail.")));
	code = set_server(easy, &talk);
	if (code == CURLE_OK)
		code = perform(easy, mail);
	judge(&talk, code, result);
	curl_easy_cleanup(easy);
}
