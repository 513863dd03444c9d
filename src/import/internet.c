/*
 * internet.c
 *	  E-mail addresses, domains and URLs: the form they may have, and the domain
 *	  that a URL or an e-mail address names.
 *
 * The checks follow what mail and web servers accept in practice, letters of any
 * script included.  E-mail addresses and URLs are kept as they are written.
 */
#include "crmio.h"

#include <ctype.h>

#include "catalog/pg_collation.h"
#include "import/kinds.h"

#define EMAIL_MAX_BYTES		254
#define LOCAL_PART_MAX_BYTES	64
#define HOST_MAX_BYTES		253
#define LABEL_MAX_CHARS		63

/* What a host may be besides a name with a dot. */
#define HOST_UNDERSCORE		1	/* "my_shop.example.com" */
#define HOST_ADDRESS		2	/* 192.168.0.1 or [::1] */
#define HOST_SINGLE_LABEL	4	/* "localhost" */

#define IS_ASCII_ALNUM(c)	((c) < 0x80 && isalnum((int) (c)) != 0)

/* Schemes that a web browser opens without running anything. */
static const char *const url_schemes[] = {"http", "https", "ftp", "ftps", "sftp"};

/*
 * May a character beyond ASCII stand in a name?  Blanks, punctuation and symbols
 * may not.
 */
static bool
is_name_code(uint32 code)
{
	if (code < 0xC0)
		return code == 0xAA || code == 0xB7 || code == 0xBA;
	return !(code >= 0x2000 && code <= 0x206F && code != 0x200C && code != 0x200D) &&
		!(code >= 0x3000 && code <= 0x3004) &&
		code != 0xD7 && code != 0xF7 && code != 0x1680 && code != 0xFEFF;
}

/*
 * Is the text, up to `end`, four numbers up to 255?
 */
static bool
is_ipv4(const char *text, const char *end)
{
	for (int part = 0; part < 4; part++)
	{
		int			number = 0;
		int			digits = 0;

		if (part > 0 && (text >= end || *text++ != '.'))
			return false;
		for (; text < end && isdigit((unsigned char) *text) && digits <= 3; digits++)
			number = number * 10 + (*text++ - '0');
		if (digits < 1 || digits > 3 || number > 255)
			return false;
	}
	return text == end;
}

/*
 * Has the text from start to end the form of a host?
 */
static bool
is_host(const char *start, const char *end, int allowed)
{
	const char *c = start;
	int			labels = 1;
	int			length = 0;		/* of the label, in characters */
	bool		digit_first = false;	/* does the label begin with a digit? */
	bool		underscore = false; /* is there one in the label? */
	uint32		previous = '.';

	if (start >= end || end - start > HOST_MAX_BYTES)
		return false;
	if ((allowed & HOST_ADDRESS) != 0)
	{
		if (is_ipv4(start, end))
			return true;
		if (*start == '[')
			return end - start > 3 && end[-1] == ']' &&
				(ptrdiff_t) strspn(start + 1, "0123456789abcdefABCDEF:.") == end - start - 2;
	}

	while (c < end)
	{
		uint32		code = crmio_next_code(&c);

		if (code == '.')
		{
			if (length == 0 || previous == '-')
				return false;
			labels++;
			length = 0;
			digit_first = false;
			underscore = false;
		}
		else
		{
			if (code == '-' ? length == 0 :
				code == '_' ? (allowed & HOST_UNDERSCORE) == 0 :
				code < 0x80 ? !IS_ASCII_ALNUM(code) : !is_name_code(code))
				return false;
			if (++length > LABEL_MAX_CHARS)
				return false;
			if (length == 1)
				digit_first = code >= '0' && code <= '9';
			if (code == '_')
				underscore = true;
		}
		previous = code;
	}
	/* no top-level domain begins with a digit, or has an underscore */
	if (length == 0 || previous == '-' || digit_first || underscore)
		return false;
	return labels > 1 || (allowed & HOST_SINGLE_LABEL) != 0;
}

/*
 * Has the text from start to end the form of what stands before the @?  Quoted
 * local parts are not accepted: hardly a mail server does.
 */
static bool
is_local_part(const char *start, const char *end)
{
	const char *c = start;
	uint32		previous = '.';

	if (end - start > LOCAL_PART_MAX_BYTES)
		return false;
	while (c < end)
	{
		uint32		code = crmio_next_code(&c);

		if (code == '.' ? previous == '.' :
			code < 0x80 ? !IS_ASCII_ALNUM(code) && strchr("!#$%&'*+-/=?^_`{|}~", code) == NULL :
			!is_name_code(code))
			return false;
		previous = code;
	}
	return previous != '.';		/* nor empty */
}

/*
 * Has the text the form of one e-mail address, and nothing else?
 */
bool
crmio_check_email(const char *text, ValueProblem *problem)
{
	const char *at = strchr(text, '@');
	size_t		length = strlen(text);

	if (at != NULL && strchr(at + 1, '@') != NULL)
		return crmio_problem(problem, "invalid_email",
							 "\"%s\" is more than one e-mail address; give one",
							 crmio_clip(text));
	if (at == NULL || length > EMAIL_MAX_BYTES ||
		!is_local_part(text, at) || !is_host(at + 1, text + length, 0))
		return crmio_problem(problem, "invalid_email",
							 "\"%s\" is not an e-mail address; use one like ann@example.com",
							 crmio_clip(text));
	return true;
}

/*
 * Where the host of a URL starts and ends: after the scheme, its slashes and the
 * user, before port, path, query and fragment.  Sets *scheme_length (0: none) and
 * *user_end (NULL: no user).  Returns false if the port is not a number.
 */
static bool
find_host(const char *text, const char **start, const char **end,
		  size_t *scheme_length, const char **user_end)
{
	const char *c = text;

	*scheme_length = 0;
	*user_end = NULL;
	*start = text;
	while (IS_ASCII_ALNUM((unsigned char) *c) || *c == '+' || *c == '-' || *c == '.')
		c++;
	if (c > text && strncmp(c, "://", 3) == 0)
	{
		*scheme_length = c - text;
		*start = c + 3;
	}
	else if (text[0] == '/' && text[1] == '/')
		*start = text + 2;

	*end = *start + strcspn(*start, "/?#\\");
	for (c = *start; c < *end; c++)
	{
		if (*c == '@')
			*user_end = c;
	}
	if (*user_end != NULL)
		*start = *user_end + 1;

	/* the port; colons inside brackets belong to an address */
	for (c = *end; c > *start && isdigit((unsigned char) c[-1]); c--)
		;
	if (c > *start && c[-1] == ':')
	{
		if (*end - c > 5)
			return false;
		*end = c - 1;
	}
	return true;
}

/*
 * Has the text the form of a URL, with or without scheme?
 */
bool
crmio_check_url(const char *text, ValueProblem *problem)
{
	const char *start;
	const char *end;
	const char *user_end;
	size_t		scheme_length;
	int			allowed = HOST_UNDERSCORE | HOST_ADDRESS;
	bool		fits = find_host(text, &start, &end, &scheme_length, &user_end);

	if (scheme_length > 0)
	{
		bool		known = false;

		for (size_t i = 0; i < lengthof(url_schemes); i++)
		{
			if (strlen(url_schemes[i]) == scheme_length &&
				pg_strncasecmp(text, url_schemes[i], scheme_length) == 0)
				known = true;
		}
		if (!known)
			return crmio_problem(problem, "invalid_url",
								 "\"%s\" is not a web address; it has to begin with https://, http:// or the name of a host",
								 crmio_clip(text));
		allowed |= HOST_SINGLE_LABEL;
	}
	if (!fits || (user_end != NULL && scheme_length == 0) ||
		!is_host(start, end, allowed) ||
		strpbrk(text, "<>\"\\") != NULL || crmio_has_blank_or_control(text))
		return crmio_problem(problem, "invalid_url",
							 "\"%s\" is not a web address; use one like https://example.com/page or example.com",
							 crmio_clip(text));
	return true;
}

/*
 * The lower-case host, without "www.", that a domain, URL or e-mail address
 * names; NULL if it names none.  An IP address is not a domain.
 */
char *
crmio_domain_of(const char *text, ValueProblem *problem)
{
	const char *start;
	const char *end;
	const char *user_end;
	size_t		scheme_length;
	bool		fits;
	bool		ascii = true;
	char	   *domain;

	if (pg_strncasecmp(text, "mailto:", 7) == 0)
		text += 7;
	fits = find_host(text, &start, &end, &scheme_length, &user_end);

	/* "acme.com." is the same host, spelled in full */
	if (end - start > 1 && end[-1] == '.')
		end--;

	/* several addresses, or a name beside the address: which one is meant? */
	if (user_end != NULL && scheme_length == 0 && !is_local_part(text, user_end))
		fits = false;
	if (!fits || !is_host(start, end, HOST_UNDERSCORE) || crmio_has_blank_or_control(text))
	{
		crmio_problem(problem, "invalid_domain",
					  "\"%s\" is not a domain; use one like example.com",
					  crmio_clip(text));
		return NULL;
	}

	/* ASCII first, because the database's locale may lower "I" otherwise */
	domain = pnstrdup(start, end - start);
	for (char *c = domain; *c != '\0'; c++)
	{
		if (IS_HIGHBIT_SET(*c))
			ascii = false;
		else
			*c = pg_ascii_tolower((unsigned char) *c);
	}
	if (!ascii)
		domain = crmio_lower(domain, DEFAULT_COLLATION_OID);
	if (strncmp(domain, "www.", 4) == 0 && strchr(domain + 4, '.') != NULL)
		domain += 4;
	return domain;
}
