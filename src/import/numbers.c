/*
 * numbers.c
 *	  Money, numbers and integers as people and spreadsheets write them.
 *
 *	  text -> scan_number: signs, grouping, currency -> Number, exact decimal
 *	  digits -> store_*: the column's type, which must hold it exactly
 *
 * Binary floating-point columns are the exception: they hold the nearest value.
 */
#include "crmio.h"

#include <ctype.h>
#include <math.h>

#include "catalog/pg_type.h"
#include "common/int.h"
#include "import/kinds.h"
#include "utils/builtins.h"
#include "utils/cash.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

/* Limits of the type numeric without precision, as its documentation has them. */
#define NUMERIC_MAX_INTEGER_DIGITS	131072
#define NUMERIC_MAX_DECIMALS		16383

/* Beyond this an exponent is out of range for every type. */
#define EXPONENT_MAX	200000

/* How a currency is written; an amount may have one of each ("$5 USD"). */
typedef enum CurrencyForm
{
	CURRENCY_NONE = 0,
	CURRENCY_SIGN = 1,
	CURRENCY_WORD = 2
} CurrencyForm;

/* A number as it was written. */
typedef struct Number
{
	char	   *text;			/* [-]digits[.digits][e[+-]digits], no grouping */
	bool		negative;
	int			decimals;		/* digits written after the decimal point */
	int			first_group;	/* digits written before it, or 0 after grouping */
	bool		zero;
	/* significant digits: none of them a zero at either end */
	const char *significant;	/* into text, may have the point inside */
	int			nsignificant;
	int			exponent;		/* of ten, that the last of them counts */
	int			scale;			/* decimals of the value, zeros included; may be negative */
} Number;

/* What scan_number accepts besides digits and grouping. */
#define NUMBER_CURRENCY		1
#define NUMBER_EXPONENT		2

/*
 * May the character stand between groups of three digits?
 */
static bool
is_grouping(uint32 code, char decimal)
{
	switch (code)
	{
		case ',':
		case '.':
			return code != (uint32) decimal;
		case ' ':
		case '\'':
		case 0xA0:				/* no-break space */
		case 0x2009:			/* thin space */
		case 0x202F:			/* narrow no-break space */
		case 0x2019:			/* right single quote */
			return true;
		default:
			return false;
	}
}

/*
 * Is the character a currency sign?
 */
static bool
is_currency_sign(uint32 code)
{
	return code == '$' || code == 0xA3 || code == 0xA5 || code == 0x0E3F ||
		(code >= 0x20A0 && code <= 0x20CF) ||
		code == 0xFDFC || code == 0xFF04 || code == 0xFFE1 || code == 0xFFE5;
}

/*
 * Takes one currency at *text: a sign, letters with a sign ("US$"), a code of
 * three capitals ("USD") or one of the usual abbreviations.
 */
static CurrencyForm
take_currency(const char **text)
{
	static const char *const abbreviations[] = {
		"kr.", "kr", "z\xC5\x82", "K\xC4\x8D", "Ft", "Rs.", "Rs", "Fr."
	};
	const char *c = *text;
	const char *next;
	int			letters = strspn(c, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

	if (letters == 0 && is_currency_sign(crmio_next_code(&c)))
	{
		*text = c;
		return CURRENCY_SIGN;
	}
	c = next = *text + letters;
	if (letters >= 1 && letters <= 3 && *c == '$')
	{
		*text = c + 1;
		return CURRENCY_SIGN;
	}
	if (letters == 3 && !isalpha((unsigned char) *c) &&
		(!IS_HIGHBIT_SET(*c) || crmio_skip_blanks(c) != c ||
		 is_currency_sign(crmio_next_code(&next))))
	{
		*text = c;
		return CURRENCY_WORD;
	}
	for (size_t i = 0; i < lengthof(abbreviations); i++)
	{
		size_t		length = strlen(abbreviations[i]);

		if (strncmp(*text, abbreviations[i], length) == 0 &&
			!isalpha((unsigned char) (*text)[length]))
		{
			*text += length;
			return CURRENCY_WORD;
		}
	}
	return CURRENCY_NONE;
}

/*
 * Takes what stands before or after the digits: blanks, one sign, an opening
 * or closing bracket, currencies.  `sign` and `bracket` are NULL where they may
 * not stand.
 */
static void
take_surroundings(const char **text, int flags, int *sign, int *currencies,
				  bool *bracket, char bracket_char)
{
	CurrencyForm form;

	for (;;)
	{
		const char *c = crmio_skip_blanks(*text);
		const char *next = c;
		const char *next_currency = c;
		uint32		code = crmio_next_code(&next);

		*text = c;
		if (code == 0)
			return;
		if (sign != NULL && *sign == 0 && (code == '-' || code == '+' || code == 0x2212))
		{
			*sign = code == '+' ? 1 : -1;
			*text = next;
		}
		else if ((flags & NUMBER_CURRENCY) == 0)
			return;
		else if (code == (uint32) bracket_char && bracket != NULL && !*bracket)
		{
			*bracket = true;
			*text = next;
		}
		else
		{
			form = take_currency(&next_currency);
			if (form == CURRENCY_NONE || (*currencies & form) != 0)
				return;
			*currencies |= form;
			*text = next_currency;
		}
	}
}

/*
 * Takes the digits with their grouping and decimals, and copies them without
 * grouping to *out.  Groups must be of three, all separated by the same character.
 */
static bool
take_digits(const char **text, char decimal, char **out, Number *number)
{
	const char *c = *text;
	uint32		separator = 0;
	int			group = 0;
	char	   *start = *out;

	for (;;)
	{
		const char *next = c;
		uint32		code;

		if (isdigit((unsigned char) *c))
		{
			*(*out)++ = *c++;
			group++;
			continue;
		}
		code = crmio_next_code(&next);
		if (group == 0 || !is_grouping(code, decimal) || !isdigit((unsigned char) *next))
			break;
		if (separator == 0 ? group > 3 : (group != 3 || code != separator))
			return false;
		separator = code;
		group = 0;
		c = next;
	}
	if (separator != 0 && group != 3)
		return false;
	number->first_group = separator == 0 ? group : 0;

	if (*c == decimal)
	{
		c++;
		if (*out == start)
			*(*out)++ = '0';
		*(*out)++ = '.';
		while (isdigit((unsigned char) *c))
		{
			*(*out)++ = *c++;
			number->decimals++;
		}
		if (number->decimals == 0)
			(*out)--;			/* "1,000." */
	}
	*text = c;
	return *out > start && (group > 0 || number->decimals > 0);
}

/*
 * Takes an exponent, and copies it to *out.
 */
static void
take_exponent(const char **text, char **out, int *exponent)
{
	const char *c = *text + 1;
	bool		negative = *c == '-';

	if (*c == '-' || *c == '+')
		c++;
	if (!isdigit((unsigned char) *c))
		return;
	*exponent = 0;
	for (; isdigit((unsigned char) *c); c++)
		*exponent = Min(*exponent * 10 + (*c - '0'), EXPONENT_MAX);
	if (negative)
		*exponent = -*exponent;
	*out += sprintf(*out, "e%d", *exponent);
	*text = c;
}

/*
 * Finds the significant digits of number->text, which end before `end`.
 */
static void
find_significant(Number *number, const char *end, int exponent)
{
	const char *first = number->text;
	const char *last = end;

	while (first < end && (*first < '1' || *first > '9'))
		first++;
	number->zero = first == end;
	if (number->zero)
		return;
	while (last[-1] < '1' || last[-1] > '9')
		last--;
	number->significant = first;
	number->exponent = exponent;
	for (const char *c = first; c < end; c++)
	{
		if (*c == '.')
			continue;
		if (c < last)
			number->nsignificant++;
		else
			number->exponent++;
	}
	number->exponent -= number->decimals;
}

/*
 * Reads a number out of a text that must hold nothing else.
 */
static bool
scan_number(const char *text, char decimal, int flags, Number *number)
{
	/* room for a sign, a leading zero and a rewritten exponent */
	char	   *out = palloc(strlen(text) + 16);
	char	   *digits_end;
	int			sign = 0;
	int			exponent = 0;
	int			currencies = 0;
	bool		opened = false;
	bool		closed = false;

	memset(number, 0, sizeof(*number));
	number->text = out++;
	take_surroundings(&text, flags, &sign, &currencies, &opened, '(');
	if (!take_digits(&text, decimal, &out, number))
		return false;
	digits_end = out;
	if ((flags & NUMBER_EXPONENT) != 0 && (*text == 'e' || *text == 'E'))
		take_exponent(&text, &out, &exponent);
	*out = '\0';
	take_surroundings(&text, flags, NULL, &currencies, opened ? &closed : NULL, ')');
	if (*text != '\0' || opened != closed || (opened && sign != 0))
		return false;

	number->negative = sign < 0 || opened;
	if (number->negative)
		number->text[0] = '-';
	else
		number->text++;
	number->scale = number->decimals - exponent;
	find_significant(number, digits_end, exponent);
	return true;
}

/*
 * Code of the problem when a text is no number of the reader's kind.
 */
static const char *
number_code(const ValueReader *reader)
{
	switch (reader->kind)
	{
		case KIND_MONEY:
			return "invalid_money";
		case KIND_INTEGER:
			return "invalid_integer";
		default:
			return "invalid_number";
	}
}

/*
 * The text is no number: says what would be one.
 */
static bool
not_a_number(ValueReader *reader, const char *text, int flags, ValueProblem *problem)
{
	bool		comma = reader->decimal == ',';
	Number		number;

	if (scan_number(text, comma ? '.' : ',', flags, &number))
		return crmio_problem(problem, number_code(reader),
							 "\"%s\" does not fit: decimals are written with \"%c\" here, groups of three digits with \"%c\" or a blank",
							 crmio_clip(text), reader->decimal, comma ? '.' : ',');
	if (reader->kind == KIND_MONEY)
		return crmio_problem(problem, "invalid_money",
							 "\"%s\" is not an amount of money; use one like %s",
							 crmio_clip(text),
							 comma ? "1315,00 or 1.315,00" : "1315.00 or $1,315.00");
	if (reader->kind == KIND_INTEGER)
		return crmio_problem(problem, "invalid_integer",
							 "\"%s\" is not a whole number; use one like %s",
							 crmio_clip(text), comma ? "1315 or 1.315" : "1315 or 1,315");
	return crmio_problem(problem, "invalid_number",
						 "\"%s\" is not a number; use one like %s",
						 crmio_clip(text), comma ? "1315,5 or 1.315,5" : "1315.5 or 1,315.5");
}

/*
 * The number is larger than what its column holds.
 */
static bool
too_large(ValueReader *reader, const char *text, ValueProblem *problem)
{
	return crmio_problem(problem, "out_of_range",
						 "\"%s\" is out of range for a column of type %s",
						 crmio_clip(text),
						 format_type_with_typemod(reader->base_typid, reader->base_typmod));
}

/*
 * The number as an integer of so many 10^-decimals; false on overflow.  It must
 * have no more decimals than that.
 */
static bool
scaled_integer(const Number *number, int decimals, int64 *result)
{
	int			zeros = number->exponent + decimals;
	const char *c = number->significant;

	*result = 0;
	if (number->zero)
		return true;
	if (number->nsignificant + zeros > 19)
		return false;
	/* build it negative: the range has one more value there */
	for (int i = 0; i < number->nsignificant; c++)
	{
		if (*c == '.')
			continue;
		if (pg_mul_s64_overflow(*result, 10, result) ||
			pg_sub_s64_overflow(*result, *c - '0', result))
			return false;
		i++;
	}
	for (int i = 0; i < zeros; i++)
	{
		if (pg_mul_s64_overflow(*result, 10, result))
			return false;
	}
	if (number->negative)
		return true;
	return !pg_mul_s64_overflow(*result, -1, result);
}

/*
 * Stores an integer in a column of any type.
 */
static bool
store_integer(ValueReader *reader, const char *text, int64 number, Datum *value,
			  ValueProblem *problem)
{
	switch (reader->base_typid)
	{
		case INT2OID:
			if (number < PG_INT16_MIN || number > PG_INT16_MAX)
				return too_large(reader, text, problem);
			*value = Int16GetDatum((int16) number);
			return true;
		case INT4OID:
			if (number < PG_INT32_MIN || number > PG_INT32_MAX)
				return too_large(reader, text, problem);
			*value = Int32GetDatum((int32) number);
			return true;
		case INT8OID:
			*value = Int64GetDatum(number);
			return true;
		default:
			return crmio_value_from_text(reader, psprintf(INT64_FORMAT, number), value, problem);
	}
}

/*
 * Stores money in an integer column that counts cents.
 */
static bool
store_cents(ValueReader *reader, const char *text, const Number *number, Datum *value,
			ValueProblem *problem)
{
	int64		cents;

	/* zeros count too: 1.000 may well mean a thousand */
	if (number->decimals > 2)
		return crmio_problem(problem, "invalid_money",
							 "\"%s\" has more than two decimals", crmio_clip(text));
	if (!scaled_integer(number, 2, &cents))
		return too_large(reader, text, problem);
	return store_integer(reader, text, cents, value, problem);
}

/*
 * Is the number whole, without a doubt?
 */
static bool
check_whole(ValueReader *reader, const char *text, const Number *number,
			ValueProblem *problem)
{
	int			length = number->first_group + (number->negative ? 1 : 0);

	if (!number->zero && number->exponent < 0)
		return crmio_problem(problem, number_code(reader),
							 "\"%s\" has decimals; it has to be a whole number",
							 crmio_clip(text));
	if (number->decimals == 3 && !number->zero &&
		number->first_group >= 1 && number->first_group <= 3)
		return crmio_problem(problem, number_code(reader),
							 "\"%s\" may mean %.*s or %.*s000; write it without \"%c\"",
							 crmio_clip(text), length, number->text, length, number->text,
							 reader->decimal);
	return true;
}

/*
 * Stores a number in a numeric column, which must hold all of its digits.
 */
static bool
store_numeric(ValueReader *reader, const char *text, const Number *number, Datum *value,
			  ValueProblem *problem)
{
	int			max_integer_digits = NUMERIC_MAX_INTEGER_DIGITS;
	int			max_decimals = NUMERIC_MAX_DECIMALS;
	bool		too_fine;

	if (reader->base_typmod >= (int32) VARHDRSZ)
	{
		int			precision = ((reader->base_typmod - VARHDRSZ) >> 16) & 0xFFFF;

		/* the scale is an 11-bit number with sign, as in numeric.c */
		max_decimals = (((reader->base_typmod - VARHDRSZ) & 0x7FF) ^ 1024) - 1024;
		max_integer_digits = precision - max_decimals;
	}
	too_fine = !number->zero && -number->exponent > max_decimals;

	/* of money, zeros count too: $1.000 may well mean a thousand */
	if (reader->kind == KIND_MONEY && number->decimals > Max(max_decimals, 0))
		too_fine = true;
	if (too_fine && max_decimals < 0)
		return crmio_problem(problem, number_code(reader),
							 "\"%s\" has more digits than its column keeps", crmio_clip(text));
	if (too_fine || number->scale > NUMERIC_MAX_DECIMALS)
		return crmio_problem(problem, number_code(reader),
							 "\"%s\" has more decimals than its column keeps (%d)",
							 crmio_clip(text), Max(max_decimals, 0));
	if (!number->zero && number->nsignificant + number->exponent > max_integer_digits)
		return too_large(reader, text, problem);
	*value = DirectFunctionCall3(numeric_in, CStringGetDatum(number->text),
								 ObjectIdGetDatum(InvalidOid),
								 Int32GetDatum(reader->base_typmod));
	return true;
}

/*
 * Stores a number in a column of type real or double precision.
 */
static bool
store_float(ValueReader *reader, const char *text, const Number *number, Datum *value,
			ValueProblem *problem)
{
	if (reader->base_typid == FLOAT4OID)
	{
		float		result = strtof(number->text, NULL);

		if (isinf(result) || (result == 0 && !number->zero))
			return too_large(reader, text, problem);
		*value = Float4GetDatum(result);
	}
	else
	{
		double		result = strtod(number->text, NULL);

		if (isinf(result) || (result == 0 && !number->zero))
			return too_large(reader, text, problem);
		*value = Float8GetDatum(result);
	}
	return true;
}

/*
 * Stores a number in a column of type money.  How many decimals that has, the
 * locale says: one unit of money, which is an integer inside, tells.
 */
static bool
store_money(ValueReader *reader, const char *text, const Number *number, Datum *value,
			ValueProblem *problem)
{
	Cash		unit = DatumGetCash(DirectFunctionCall1(int4_cash, Int32GetDatum(1)));
	int			decimals = 0;
	int64		result;

	for (; unit > 1; unit /= 10)
		decimals++;
	if (Max(number->decimals, number->zero ? 0 : -number->exponent) > decimals)
		return crmio_problem(problem, number_code(reader),
							 "\"%s\" has more decimals than its column keeps (%d)",
							 crmio_clip(text), decimals);
	if (!scaled_integer(number, decimals, &result))
		return too_large(reader, text, problem);
	*value = CashGetDatum(result);
	return true;
}

/*
 * Reads a value of the kinds money, number and integer.
 */
bool
crmio_read_number(ValueReader *reader, char *text, Datum *value, ValueProblem *problem)
{
	bool		integer_column = reader->base_typid == INT2OID ||
		reader->base_typid == INT4OID || reader->base_typid == INT8OID;
	int			flags = 0;
	int64		integer;
	Number		number;

	if (reader->kind == KIND_MONEY)
		flags = NUMBER_CURRENCY;
	else if (reader->kind == KIND_NUMBER && !integer_column)
		flags = NUMBER_EXPONENT;
	if (!scan_number(text, reader->decimal, flags, &number))
		return not_a_number(reader, text, flags, problem);

	if (reader->cents)
		return store_cents(reader, text, &number, value, problem);
	if ((integer_column || reader->kind == KIND_INTEGER) &&
		!check_whole(reader, text, &number, problem))
		return false;
	if (integer_column)
	{
		if (!scaled_integer(&number, 0, &integer))
			return too_large(reader, text, problem);
		return store_integer(reader, text, integer, value, problem);
	}
	switch (reader->base_typid)
	{
		case NUMERICOID:
			return store_numeric(reader, text, &number, value, problem);
		case FLOAT4OID:
		case FLOAT8OID:
			return store_float(reader, text, &number, value, problem);
		case CASHOID:
			return store_money(reader, text, &number, value, problem);
		default:
			if (reader->kind == KIND_INTEGER)
				number.text[strcspn(number.text, ".")] = '\0';
			return crmio_value_from_text(reader, number.text, value, problem);
	}
}
