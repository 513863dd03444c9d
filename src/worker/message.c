/*
 * message.c
 *	  A mail as the internet wants it: header lines, and text in UTF-8 with the line
 *	  ends of mail.  smtp.c hands both to libcurl, which does the rest of MIME.
 *
 * Nothing here reads a table, so that a mail is written outside of transactions.
 */
#include "postgres.h"

#include <curl/curl.h>

#include "common/base64.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "pgtime.h"
#include "utils/timestamp.h"

#include "worker/smtp.h"

/*
 * An encoded word of a header has at most 75 characters, 12 of them "=?UTF-8?B?" and
 * "?=": 63 are left, which hold 45 bytes in base64.
 */
#define WORD_BYTES 45

/* Longest header line that is sent as it is, its name included. */
#define PLAIN_LINE_BYTES 76

/*
 * crmio_mail_text
 *		A copy of what came over the network as text of the database: control
 *		characters become blanks, bytes that are no characters question marks.
 */
char *
crmio_mail_text(const char *text)
{
	char	   *copy = pstrdup(text);
	bool		valid = pg_verifymbstr(copy, strlen(copy), true);

	for (char *c = copy; *c != '\0'; c++)
	{
		if ((unsigned char) *c < ' ' || *c == 0x7F)
			*c = ' ';
		else if (!valid && IS_HIGHBIT_SET(*c))
			*c = '?';
	}
	return copy;
}

/*
 * is_ascii
 *		Does a text need no encoding?
 */
static bool
is_ascii(const char *text)
{
	while (*text != '\0' && !IS_HIGHBIT_SET(*text))
		text++;
	return *text == '\0';
}

/*
 * header_line
 *		"Name: text", in encoded words (RFC 2047) if it can't stand there as it is.
 */
static char *
header_line(const char *name, const char *text)
{
	StringInfoData line;
	int			length = strlen(text);

	initStringInfo(&line);
	appendStringInfo(&line, "%s:", name);
	if (is_ascii(text) && strstr(text, "=?") == NULL && line.len + 1 + length <= PLAIN_LINE_BYTES)
	{
		appendStringInfo(&line, " %s", text);
		return line.data;
	}
	while (length > 0)
	{
		int			piece = length <= WORD_BYTES ? length :
			pg_encoding_mbcliplen(PG_UTF8, text, length, WORD_BYTES);
		char		word[WORD_BYTES * 2];
		int			written = pg_b64_encode((const void *) text, piece, word, sizeof(word));

		/* a line holds one word; the next line begins with a blank */
		appendStringInfo(&line, "%s =?UTF-8?B?%.*s?=", line.len > (int) strlen(name) + 1 ? "\r\n" : "",
						 written, word);
		text += piece;
		length -= piece;
	}
	return line.data;
}

/*
 * date_line
 *		The header line of the date, in English, as the standard wants it.
 */
static char *
date_line(TimestampTz when)
{
	pg_time_t	seconds = timestamptz_to_time_t(when);
	char		line[64];

	pg_strftime(line, sizeof(line), "Date: %a, %d %b %Y %H:%M:%S +0000", pg_gmtime(&seconds));
	return pstrdup(line);
}

/*
 * crmio_mail_headers
 *		The header lines of a mail, for curl_slist_free_all; NULL if memory is out.
 *		The addresses were checked when they were given: no line ends are in them.
 */
struct curl_slist *
crmio_mail_headers(const Mail *mail, const char *sender)
{
	struct curl_slist *headers = NULL;
	const char *lines[] = {
		date_line(mail->written_at),
		psprintf("From: crmio <%s>", sender),
		psprintf("To: <%s>", mail->recipient),
		header_line("Subject", mail->subject),
		psprintf("Message-ID: <%s%s>", mail->message_id, strchr(sender, '@')),
		"Auto-Submitted: auto-generated",	/* no out-of-office replies, please */
	};

	for (int i = 0; i < lengthof(lines); i++)
	{
		struct curl_slist *longer = curl_slist_append(headers, lines[i]);

		if (longer == NULL)
		{
			curl_slist_free_all(headers);
			return NULL;
		}
		headers = longer;
	}
	return headers;
}

/*
 * crmio_mail_body
 *		The text of a mail with the line ends of mail.
 */
char *
crmio_mail_body(const Mail *mail)
{
	StringInfoData body;

	initStringInfo(&body);
	for (const char *c = mail->body; *c != '\0'; c++)
	{
		if (*c == '\n')
			appendStringInfoChar(&body, '\r');
		appendStringInfoChar(&body, *c);
	}
	return body.data;
}
