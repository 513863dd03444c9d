/*
 * phones.c
 *	  Phone numbers: the form they may have, and their digits.
 *
 * A number is kept as it is written; two numbers are the same when their digits
 * are.  What is refused is what can't be dialled: words, e-mail addresses, two
 * numbers in one cell, and numbers that a spreadsheet has turned into 5.55E+11.
 */
#include "crmio.h"

#include "import/kinds.h"

#define PHONE_MIN_DIGITS	3

/* 15 by E.164, and a little for "00", "(0)" and carrier prefixes. */
#define PHONE_MAX_DIGITS	20

/* Digits of an extension; after a mere comma or semicolon, more would be a second number. */
#define EXTENSION_MAX_DIGITS		15
#define PAUSE_MAX_DIGITS			6

/*
 * Value of a digit: ASCII, full-width, Arabic, Persian; -1 for anything else.
 */
static int
digit_value(uint32 code)
{
	if (code >= '0' && code <= '9')
		return code - '0';
	if (code >= 0xFF10 && code <= 0xFF19)
		return code - 0xFF10;
	if (code >= 0x0660 && code <= 0x0669)
		return code - 0x0660;
	if (code >= 0x06F0 && code <= 0x06F9)
		return code - 0x06F0;
	return -1;
}

/*
 * Characters between digits, a leading plus sign apart.
 */
static bool
is_phone_separator(uint32 code)
{
	if (code < 0x80)
		return code != 0 && (strchr("()-./*", code) != NULL || crmio_is_blank_code(code));
	return crmio_is_blank_code(code) ||
		(code >= 0x2010 && code <= 0x2015) ||	/* dashes */
		code == 0x2212 || code == 0xFF0D || code == 0xFF08 || code == 0xFF09;
}

/*
 * Is `text` the end of a number from what introduces its extension on: "x12",
 * "ext. 12", "#12", ";ext=12", ",12"?
 */
static bool
is_extension(const char *text)
{
	static const char *const words[] = {"extension", "extn", "ext", "x", "#"};
	int			max_digits = PAUSE_MAX_DIGITS;
	int			digits = 0;

	while (*text == ',' || *text == ';')
		text++;
	text = crmio_skip_blanks(text);
	for (size_t i = 0; i < lengthof(words); i++)
	{
		size_t		length = strlen(words[i]);

		if (pg_strncasecmp(text, words[i], length) == 0)
		{
			text += length;
			max_digits = EXTENSION_MAX_DIGITS;
			if (*text == '.' || *text == ':' || *text == '=')
				text++;
			break;
		}
	}
	text = crmio_skip_blanks(text);
	while (digit_value(crmio_next_code(&text)) >= 0)
	{
		digits++;
		if (*text == '\0')
			return digits <= max_digits;
	}
	return false;
}

/*
 * Does the text look like 4.9151E+11?
 */
static bool
is_scientific(const char *text)
{
	const char *e = strpbrk(text, "eE");

	return e != NULL && e > text && e[1] == '+' &&
		strspn(text, "0123456789.,") == (size_t) (e - text) &&
		strspn(e + 2, "0123456789") == strlen(e + 2);
}

/*
 * Has the text the form of one phone number?
 */
bool
crmio_check_phone(const char *text, ValueProblem *problem)
{
	const char *c = text;
	int			digits = 0;
	bool		plus = false;

	if (is_scientific(text))
		return crmio_problem(problem, "invalid_phone",
							 "\"%s\" is a phone number that a spreadsheet has turned into a decimal number; format its column as text and export it again",
							 crmio_clip(text));

	while (*c != '\0')
	{
		const char *here = c;
		uint32		code = crmio_next_code(&c);

		if (digit_value(code) >= 0)
			digits++;
		else if ((code == '+' || code == 0xFF0B) && digits == 0 && !plus)
			plus = true;
		else if (!is_phone_separator(code))
		{
			if (digits < PHONE_MIN_DIGITS || !is_extension(here))
				return crmio_problem(problem, "invalid_phone",
									 "\"%s\" is not a phone number; use digits, + ( ) - . / and blanks, and ext. 12 for an extension",
									 crmio_clip(text));
			break;
		}
	}
	if (digits < PHONE_MIN_DIGITS)
		return crmio_problem(problem, "invalid_phone",
							 "\"%s\" is not a phone number; it has fewer than %d digits",
							 crmio_clip(text), PHONE_MIN_DIGITS);
	if (digits > PHONE_MAX_DIGITS)
		return crmio_problem(problem, "invalid_phone",
							 "\"%s\" is not one phone number; it has more than %d digits",
							 crmio_clip(text), PHONE_MAX_DIGITS);
	return true;
}

/*
 * The digits of a phone number, extension included, as ASCII.
 */
char *
crmio_phone_digits(const char *phone)
{
	char	   *digits = palloc(strlen(phone) + 1);
	char	   *end = digits;

	while (*phone != '\0')
	{
		int			value = digit_value(crmio_next_code(&phone));

		if (value >= 0)
			*end++ = '0' + value;
	}
	*end = '\0';
	return digits;
}
