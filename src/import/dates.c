/*
 * dates.c
 *	  Dates and timestamps, in the shapes that people and other systems write,
 *	  whatever the session's DateStyle.
 *
 *	  text -> scan_date: shape and numbers -> resolve_order: year, month, day
 *		   -> scan_time: time of day and zone -> the column's type
 *
 * Month names and zone abbreviations come from the server's own tables.  The
 * server's date input is not used, because it guesses where this must not: it
 * takes two-digit years, "now", and reads 30/09/2026 by the session's settings.
 */
#include "crmio.h"

#include <ctype.h>

#include "catalog/pg_type.h"
#include "import/kinds.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

/* Greatest hour of a zone's offset, as the server has it. */
#define ZONE_MAX_HOUR	15

#define MICROSECOND_DIGITS	6

typedef enum DateShape
{
	SHAPE_NONE,					/* not a date */
	SHAPE_PLAIN,				/* year, month and day are known */
	SHAPE_ORDERED,				/* a/b/yyyy: by the column's order */
	SHAPE_SHORT_YEAR			/* only its two-digit year is wrong */
} DateShape;

/* A date as it was written. */
typedef struct DateText
{
	int			year;
	int			month;			/* SHAPE_ORDERED: the first number */
	int			day;			/* SHAPE_ORDERED: the second number */
	const char *rest;			/* what follows the date */
} DateText;

/* A time of day as it was written. */
typedef struct TimeText
{
	bool		given;
	int			hour;
	int			minute;
	int			second;
	int			microsecond;
	bool		too_fine;		/* not a whole number of microseconds */
	const char *zone;			/* NULL: none */
} TimeText;

/*
 * Takes at most max_digits digits, of which there must be no more; returns how
 * many there were, 0 if none or too many.
 */
static int
take_number(const char **text, int max_digits, int *number)
{
	const char *c = *text;

	*number = 0;
	while (isdigit((unsigned char) *c))
	{
		if (c - *text >= max_digits)
			return 0;
		*number = *number * 10 + (*c++ - '0');
	}
	max_digits = c - *text;
	*text = c;
	return max_digits;
}

/*
 * Takes an English month name, in full or its first three letters (or "Sept"),
 * with a full stop or without.
 */
static bool
take_month(const char **text, int *month)
{
	char		word[TOKMAXLEN + 1];
	int			length = 0;

	while (isalpha((unsigned char) (*text)[length]) && length < TOKMAXLEN)
	{
		word[length] = pg_ascii_tolower((unsigned char) (*text)[length]);
		length++;
	}
	word[length] = '\0';
	if (length < 3 || isalpha((unsigned char) (*text)[length]) ||
		DecodeSpecial(0, word, month) != MONTH)
		return false;
	*text += length;
	if (**text == '.')
		(*text)++;
	return true;
}

/*
 * Takes the year at the end of a date: `shape` if it has four digits.
 */
static DateShape
take_year(const char *text, DateText *date, DateShape shape)
{
	int			digits = take_number(&text, 4, &date->year);

	date->rest = text;
	if (digits == 2)
		return SHAPE_SHORT_YEAR;
	return digits == 4 ? shape : SHAPE_NONE;
}

/*
 * Takes what separates the parts of a date with a month name: blanks, or the same
 * of '-' and '/' throughout.  *separator is 0 at first.
 */
static bool
take_separator(const char **text, char *separator)
{
	const char *c = crmio_skip_blanks(*text);
	char		found = c > *text ? ' ' : *c;

	if (found != ' ' && found != '-' && found != '/')
		return false;
	if (*separator != 0 && found != *separator)
		return false;
	*separator = found;
	*text = found == ' ' ? c : c + 1;
	return true;
}

/*
 * 2026-09-30, 2026/9/30, 2026.09.30, 2026-Sep-30: `text` stands after the year.
 */
static DateShape
scan_year_first(const char *text, DateText *date)
{
	char		separator = *text++;

	if (separator != '-' && separator != '/' && separator != '.')
		return SHAPE_NONE;
	if (isalpha((unsigned char) *text) ? !take_month(&text, &date->month) :
		take_number(&text, 2, &date->month) == 0)
		return SHAPE_NONE;
	if (*text++ != separator || take_number(&text, 2, &date->day) == 0)
		return SHAPE_NONE;
	date->rest = text;
	return SHAPE_PLAIN;
}

/*
 * 9/30/2026, 30-09-2026, 30.09.2026, 30 Sep 2026, 30-Sep-2026: `text` stands after
 * the first number.
 */
static DateShape
scan_number_first(const char *text, int first, DateText *date)
{
	const char *name = text;
	char		separator = 0;

	if (take_separator(&name, &separator) && isalpha((unsigned char) *name))
	{
		date->day = first;
		if (!take_month(&name, &date->month))
			return SHAPE_NONE;
		if (separator == ' ' && *name == ',')
			name++;
		if (!take_separator(&name, &separator))
			return SHAPE_NONE;
		return take_year(name, date, SHAPE_PLAIN);
	}

	separator = *text++;
	if (separator != '/' && separator != '-' && separator != '.')
		return SHAPE_NONE;
	date->month = first;
	if (take_number(&text, 2, &date->day) == 0 || *text++ != separator)
		return SHAPE_NONE;
	if (separator == '.')
	{
		/* wherever dates are dotted, the day comes first */
		date->month = date->day;
		date->day = first;
		return take_year(text, date, SHAPE_PLAIN);
	}
	return take_year(text, date, SHAPE_ORDERED);
}

/*
 * Sep 30, 2026; September 30 2026; Sep-30-2026
 */
static DateShape
scan_name_first(const char *text, DateText *date)
{
	char		separator = 0;

	if (!take_month(&text, &date->month) || !take_separator(&text, &separator) ||
		take_number(&text, 2, &date->day) == 0)
		return SHAPE_NONE;
	if (separator == ' ' && *text == ',')
	{
		text = crmio_skip_blanks(text + 1);
		return take_year(text, date, SHAPE_PLAIN);
	}
	if (!take_separator(&text, &separator))
		return SHAPE_NONE;
	return take_year(text, date, SHAPE_PLAIN);
}

/*
 * Finds out the shape of the date at the start of the text.
 */
static DateShape
scan_date(const char *text, DateText *date)
{
	DateShape	shape;
	int			number;
	int			digits;

	if (isalpha((unsigned char) *text))
		shape = scan_name_first(text, date);
	else
	{
		digits = take_number(&text, 8, &number);
		if (digits == 8)
		{
			date->year = number / 10000;
			date->month = number / 100 % 100;
			date->day = number % 100;
			date->rest = text;
			shape = SHAPE_PLAIN;
		}
		else if (digits == 4)
		{
			date->year = number;
			shape = scan_year_first(text, date);
		}
		else if (digits == 1 || digits == 2)
			shape = scan_number_first(text, number, date);
		else
			shape = SHAPE_NONE;
	}

	/* only a time may follow, and it is set off from the date */
	if (shape != SHAPE_NONE && *date->rest != '\0' && *date->rest != ',' &&
		pg_ascii_toupper((unsigned char) *date->rest) != 'T' &&
		crmio_skip_blanks(date->rest) == date->rest)
		return SHAPE_NONE;
	return shape;
}

/*
 * Is there such a day?
 */
static bool
is_day(int year, int month, int day)
{
	return year >= 1 && month >= 1 && month <= MONTHS_PER_YEAR &&
		day >= 1 && day <= day_tab[isleap(year)][month - 1];
}

/*
 * The one order in which a/b/yyyy is a date; unknown if there are two or none.
 */
static CrmioDateOrder
order_of(const DateText *date, bool *ambiguous)
{
	bool		month_first = is_day(date->year, date->month, date->day);
	bool		day_first = is_day(date->year, date->day, date->month);

	*ambiguous = month_first && day_first && date->month != date->day;
	if (month_first == day_first)
		return DATE_ORDER_UNKNOWN;
	return month_first ? DATE_ORDER_MDY : DATE_ORDER_DMY;
}

/*
 * What a value says of its column's date order: the order, if it allows only
 * one; *ambiguous, if it can be read in two ways.
 */
CrmioDateOrder
crmio_date_order_of(const char *text, bool *ambiguous)
{
	DateText	date;

	*ambiguous = false;
	if (scan_date(text, &date) != SHAPE_ORDERED)
		return DATE_ORDER_UNKNOWN;
	return order_of(&date, ambiguous);
}

/*
 * The code for a value that does not fit the reader's kind.
 */
static const char *
date_code(const ValueReader *reader)
{
	return reader->kind == KIND_TIMESTAMP ? "invalid_timestamp" : "invalid_date";
}

/*
 * Puts the numbers of a/b/yyyy where they belong, by the column's order, which
 * this value may decide.
 */
static bool
resolve_order(ValueReader *reader, const char *text, DateText *date, ValueProblem *problem)
{
	bool		ambiguous;
	CrmioDateOrder	only = order_of(date, &ambiguous);

	if (reader->date_order == DATE_ORDER_YMD)
		return crmio_problem(problem, date_code(reader),
							 "\"%s\" does not begin with the year, as the dates of this column do",
							 crmio_clip(text));
	if (reader->date_order == DATE_ORDER_UNKNOWN)
	{
		if (only != DATE_ORDER_UNKNOWN)
			reader->date_order = only;
		else if (ambiguous)
		{
			if (reader->decide_order != NULL)
				reader->date_order = reader->decide_order(reader->decide_arg);
			if (reader->date_order == DATE_ORDER_UNKNOWN)
				reader->date_order = DATE_ORDER_MDY;
		}
	}
	else if (only != DATE_ORDER_UNKNOWN && only != reader->date_order)
		return crmio_problem(problem, date_code(reader),
							 "\"%s\" does not fit: dates of this column are %s",
							 crmio_clip(text),
							 reader->date_order == DATE_ORDER_MDY ? "month/day/year" : "day/month/year");

	if (reader->date_order == DATE_ORDER_DMY)
	{
		int			month = date->day;

		date->day = date->month;
		date->month = month;
	}
	return true;
}

/*
 * Reads the date at the start of the text.
 */
static bool
read_date_part(ValueReader *reader, const char *text, DateText *date, ValueProblem *problem)
{
	DateShape	shape = scan_date(text, date);
	bool		timestamp = reader->kind == KIND_TIMESTAMP;

	if (shape == SHAPE_SHORT_YEAR)
		return crmio_problem(problem, date_code(reader),
							 "\"%s\" has a year of two digits; write all four",
							 crmio_clip(text));
	if (shape == SHAPE_ORDERED && !resolve_order(reader, text, date, problem))
		return false;
	if (shape != SHAPE_NONE && is_day(date->year, date->month, date->day))
		return true;
	if (shape != SHAPE_NONE && date->year >= 1 &&
		date->month >= 1 && date->month <= MONTHS_PER_YEAR &&
		date->day > 28 && date->day <= 31)
		return crmio_problem(problem, date_code(reader),
							 "\"%s\" is a day that does not exist", crmio_clip(text));
	return crmio_problem(problem, date_code(reader),
						 timestamp ?
						 "\"%s\" is not a date and time; use one like 2026-09-30 14:30, 9/30/2026 2:30 PM or 2026-09-30T14:30:00Z" :
						 "\"%s\" is not a date; use one like 2026-09-30, 9/30/2026 or 30 Sep 2026",
						 crmio_clip(text));
}

/*
 * Takes the decimals of a second.
 */
static bool
take_fraction(const char **text, TimeText *time)
{
	int			digits = 0;

	if (**text != '.')
		return true;
	(*text)++;
	for (; isdigit((unsigned char) **text); (*text)++, digits++)
	{
		if (digits < MICROSECOND_DIGITS)
			time->microsecond = time->microsecond * 10 + (**text - '0');
		else if (**text != '0')
			time->too_fine = true;
	}
	if (digits == 0)
		return false;
	for (; digits < MICROSECOND_DIGITS; digits++)
		time->microsecond *= 10;
	return true;
}

/*
 * Takes hours, minutes and seconds: 14:30, 2:30:00.000, or 143000 after a "T".
 * An hour alone needs AM or PM.
 */
static bool
take_clock(const char **text, bool after_t, TimeText *time, bool *hour_alone)
{
	const char *c = *text;
	size_t		digits = strspn(c, "0123456789");

	*hour_alone = false;
	if (after_t && (digits == 4 || digits == 6))
	{
		time->hour = (c[0] - '0') * 10 + (c[1] - '0');
		time->minute = (c[2] - '0') * 10 + (c[3] - '0');
		if (digits == 6)
			time->second = (c[4] - '0') * 10 + (c[5] - '0');
		*text = c + digits;
		return digits == 4 || take_fraction(text, time);
	}

	if (take_number(text, 2, &time->hour) == 0)
		return false;
	if (**text != ':')
	{
		*hour_alone = true;
		return true;
	}
	(*text)++;
	if (take_number(text, 2, &time->minute) != 2)
		return false;
	if (**text != ':')
		return true;
	(*text)++;
	return take_number(text, 2, &time->second) == 2 && take_fraction(text, time);
}

/*
 * Takes AM or PM, and turns the hour to 24 hours.  Returns false if the hour does
 * not exist.
 */
static bool
take_half_of_day(const char **text, TimeText *time, bool *found)
{
	const char *c = crmio_skip_blanks(*text);
	bool		pm = pg_strncasecmp(c, "pm", 2) == 0;

	*found = (pm || pg_strncasecmp(c, "am", 2) == 0) && !isalpha((unsigned char) c[2]);
	if (!*found)
		return true;
	*text = c + 2;
	if (time->hour < 1 || time->hour > 12)
		return false;
	time->hour = time->hour % 12 + (pm ? 12 : 0);
	return true;
}

/*
 * Reads what follows a date: nothing, or a time of day with or without zone.
 */
static bool
scan_time(const char *text, TimeText *time)
{
	bool		after_t = pg_ascii_toupper((unsigned char) *text) == 'T';
	bool		hour_alone;
	bool		half;

	memset(time, 0, sizeof(*time));
	if (*text == '\0')
		return true;
	time->given = true;
	if (after_t || *text == ',')
		text++;
	if (!after_t)
		text = crmio_skip_blanks(text);
	if (!take_clock(&text, after_t, time, &hour_alone) ||
		!take_half_of_day(&text, time, &half) || (hour_alone && !half))
		return false;

	/* as in the server: 24:00 ends the day, and :60 is a leap second */
	if (time->minute > 59 || time->second > 60 || time->hour > 24 ||
		(time->hour == 24 && (time->minute > 0 || time->second > 0 || time->microsecond > 0 || time->too_fine)))
		return false;

	text = crmio_skip_blanks(text);
	time->zone = *text == '\0' ? NULL : text;
	return true;
}

/*
 * Reads +2, +02, +0200, +02:00, +02:00:00 as seconds east of Greenwich.
 */
static bool
scan_offset(const char *text, int *east)
{
	bool		west = *text == '-';
	int			parts[3] = {0, 0, 0};
	int			digits = strspn(++text, "0123456789");

	if (digits == 4 || digits == 6)
	{
		for (int i = 0; i < digits / 2; i++)
			parts[i] = (text[2 * i] - '0') * 10 + (text[2 * i + 1] - '0');
		text += digits;
	}
	else
	{
		if (take_number(&text, 2, &parts[0]) == 0)
			return false;
		for (size_t i = 1; i < lengthof(parts) && *text == ':'; i++)
		{
			text++;
			if (take_number(&text, 2, &parts[i]) != 2)
				return false;
		}
	}
	if (*text != '\0' || parts[0] > ZONE_MAX_HOUR || parts[1] > 59 || parts[2] > 59)
		return false;
	*east = (parts[0] * MINS_PER_HOUR + parts[1]) * SECS_PER_MINUTE + parts[2];
	if (west)
		*east = -*east;
	return true;
}

/*
 * Reads a zone: an offset, "Z", an abbreviation or a full name.  Gives the seconds
 * west of Greenwich at that time, as the server counts them.
 */
static bool
scan_zone(const char *text, struct pg_tm *tm, int *west)
{
	char		lower[TZ_STRLEN_MAX + 1];
	size_t		length = strlen(text);
	int			type = UNKNOWN_FIELD;
	int			east = 0;
	pg_tz	   *zone = NULL;

	if (length > TZ_STRLEN_MAX)
		return false;
	for (size_t i = 0; i <= length; i++)
		lower[i] = pg_ascii_tolower((unsigned char) text[i]);

	/* people who write GMT+2 mean east; POSIX, and so the server, means west */
	if (strncmp(lower, "gmt", 3) == 0 || strncmp(lower, "utc", 3) == 0)
	{
		const char *offset = crmio_skip_blanks(text + 3);

		if (*offset == '\0' || *offset == '+' || *offset == '-')
			text = offset;
	}
	else if (strcmp(lower, "z") == 0)
		text++;
	if (*text == '\0')
	{
		*west = 0;
		return true;
	}
	if (*text == '+' || *text == '-')
	{
		if (!scan_offset(text, &east))
			return false;
		*west = -east;
		return true;
	}

	/* a name with digits would be taken for a POSIX rule */
	if (!isalpha((unsigned char) *text) ||
		(strcspn(text, "0123456789+,<") != length && strncmp(lower, "etc/gmt", 7) != 0))
		return false;

	CRMIO_DECODE_ZONE_ABBREVIATION(lower, &type, &east, &zone);
	if (type == TZ || type == DTZ)
		*west = -east;
	else if (type == DYNTZ && zone != NULL)
		*west = DetermineTimeZoneAbbrevOffset(tm, lower, zone);
	else
	{
		zone = pg_tzset(text);
		if (zone == NULL)
			return false;
		*west = DetermineTimeZoneOffset(tm, zone);
	}
	return true;
}

/*
 * Text of a date or timestamp in ISO form, for columns of other types.
 */
static bool
store_iso(ValueReader *reader, struct pg_tm *tm, int microsecond, bool time_given,
		  const int *west, Datum *value, ValueProblem *problem)
{
	char	   *text = palloc(MAXDATELEN + 1);

	if (!time_given)
		EncodeDateOnly(tm, USE_ISO_DATES, text);
	else
		EncodeDateTime(tm, microsecond, west != NULL, west != NULL ? *west : 0, NULL,
					   USE_ISO_DATES, text);
	return crmio_value_from_text(reader, text, value, problem);
}

/*
 * Does the column keep all decimals of the second?
 */
static bool
check_fraction(const TimeText *time, int decimals)
{
	int			unit = 1;

	for (int i = MICROSECOND_DIGITS; i > decimals; i--)
		unit *= 10;
	return !time->too_fine && time->microsecond % unit == 0;
}

/*
 * Makes a timestamp of the column's type.  Without zone (west NULL) the time is in
 * the session's time zone; with one, a column without time zone gets the session's
 * local time of that moment.  Returns false if it is out of range.
 */
static bool
build_timestamp(Oid typid, struct pg_tm *tm, fsec_t fsec, const int *west, Timestamp *timestamp)
{
	int			offset;

	if (west == NULL && typid == TIMESTAMPOID)
		return tm2timestamp(tm, fsec, NULL, timestamp) == 0;
	offset = west != NULL ? *west : DetermineTimeZoneOffset(tm, session_timezone);
	if (tm2timestamp(tm, fsec, &offset, timestamp) != 0)
		return false;
	if (typid == TIMESTAMPTZOID)
		return true;
	return timestamp2tm(*timestamp, &offset, tm, &fsec, NULL, session_timezone) == 0 &&
		tm2timestamp(tm, fsec, NULL, timestamp) == 0;
}

/*
 * Reads a timestamp, or a date, which means its midnight.
 */
bool
crmio_read_timestamp(ValueReader *reader, char *text, Datum *value, ValueProblem *problem)
{
	bool		native = reader->base_typid == TIMESTAMPOID || reader->base_typid == TIMESTAMPTZOID;
	int			decimals = MICROSECOND_DIGITS;
	DateText	date;
	TimeText	time;
	struct pg_tm tm;
	int			west = 0;
	Timestamp	timestamp;

	if (!read_date_part(reader, text, &date, problem))
		return false;
	if (!scan_time(date.rest, &time))
		return crmio_problem(problem, "invalid_timestamp",
							 "the time in \"%s\" can't be read; use one like 14:30, 14:30:00 or 2:30 PM",
							 crmio_clip(text));
	memset(&tm, 0, sizeof(tm));
	tm.tm_year = date.year;
	tm.tm_mon = date.month;
	tm.tm_mday = date.day;
	tm.tm_hour = time.hour;
	tm.tm_min = time.minute;
	tm.tm_sec = time.second;
	if (time.zone != NULL && !scan_zone(time.zone, &tm, &west))
		return crmio_problem(problem, "invalid_timestamp",
							 "the time zone in \"%s\" is not known; use one like Z, +02:00 or Europe/Berlin",
							 crmio_clip(text));

	if (native && reader->base_typmod >= 0)
		decimals = Min(reader->base_typmod, MICROSECOND_DIGITS);
	if (!check_fraction(&time, decimals))
		return crmio_problem(problem, "invalid_timestamp",
							 "\"%s\" has more decimals of a second than its column keeps (%d)",
							 crmio_clip(text), decimals);
	if (!native)
		return store_iso(reader, &tm, time.microsecond, time.given,
						 time.zone != NULL ? &west : NULL, value, problem);
	if (!build_timestamp(reader->base_typid, &tm, time.microsecond,
						time.zone != NULL ? &west : NULL, &timestamp))
		return crmio_problem(problem, "out_of_range", "\"%s\" is out of range", crmio_clip(text));
	*value = TimestampGetDatum(timestamp);
	return true;
}

/*
 * Reads a date.  A time may follow if it says midnight, as in exports of systems
 * that keep dates as timestamps: the day is the one that is written.
 */
bool
crmio_read_date(ValueReader *reader, char *text, Datum *value, ValueProblem *problem)
{
	DateText	date;
	TimeText	time;
	struct pg_tm tm;
	int			west;

	if (!read_date_part(reader, text, &date, problem))
		return false;
	memset(&tm, 0, sizeof(tm));
	tm.tm_year = date.year;
	tm.tm_mon = date.month;
	tm.tm_mday = date.day;
	if (!scan_time(date.rest, &time) ||
		(time.zone != NULL && !scan_zone(time.zone, &tm, &west)))
		return crmio_problem(problem, date_code(reader),
							 "\"%s\" is not a date; use one like 2026-09-30, 9/30/2026 or 30 Sep 2026",
							 crmio_clip(text));
	if (time.hour != 0 || time.minute != 0 || time.second != 0 || time.microsecond != 0 ||
		time.too_fine)
		return crmio_problem(problem, date_code(reader),
							 "\"%s\" has a time of day, but its column keeps dates only",
							 crmio_clip(text));

	if (reader->base_typid != DATEOID)
		return store_iso(reader, &tm, 0, false, NULL, value, problem);
	*value = DateADTGetDatum(date2j(date.year, date.month, date.day) - POSTGRES_EPOCH_JDATE);
	return true;
}
