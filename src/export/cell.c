/*
 * cell.c
 *	  Values as cells: the text that a person, a spreadsheet and crm_import read,
 *	  whatever the session's settings are.
 *
 * Dates and times are ISO, floats exact, bytea is hex, a flat array is its elements
 * with ";" between (what an import reads as a list), all else as the type writes
 * it.  The commonest types are written without their output function.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

#include "export/exporter.h"

/* Between the elements of an array, as crm_import reads a list. */
#define LIST_SEPARATOR ';'

/* Room for the longest number, date or time. */
#define SHORT_TEXT		(MAXDATELEN + 1)

/*
 * kind_of_type
 *		What a spreadsheet can do with values of a type.
 */
static CellKind
kind_of_type(Oid base)
{
	switch (base)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
		case CASHOID:
			return CELL_NUMBER;
		case BOOLOID:
			return CELL_BOOLEAN;
		case DATEOID:
			return CELL_DATE;
		case TIMESTAMPOID:
			return CELL_TIMESTAMP;
		case TIMESTAMPTZOID:
			return CELL_TIMESTAMPTZ;
		default:
			return CELL_TEXT;
	}
}

/*
 * scale_of_type
 *		How many decimals each number of a type has; -1 if that differs.
 */
static int
scale_of_type(Oid base, int32 typmod)
{
	switch (base)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return 0;
		case NUMERICOID:
			/* the scale is the lower 11 bits, and may be negative since 15 */
			if (typmod >= (int32) VARHDRSZ)
				return Max(((((typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024), 0);
			return -1;
		default:
			return -1;
	}
}

/*
 * crmio_column_init
 *		A column of what is exported; all of it lives in CurrentMemoryContext.
 */
void
crmio_column_init(ExportColumn *column, const char *name, Oid typid, int32 typmod, Oid collation)
{
	Oid			output;
	Oid			element;
	bool		is_varlena;
	char		typtype;

	memset(column, 0, sizeof(ExportColumn));
	column->name = pstrdup(name);
	column->typid = typid;
	column->typmod = typmod;
	column->collation = collation;
	column->base = getBaseTypeAndTypmod(typid, &typmod);
	column->kind = kind_of_type(column->base);
	column->scale = scale_of_type(column->base, typmod);

	getTypeOutputInfo(typid, &output, &is_varlena);
	fmgr_info(output, &column->output);

	typtype = get_typtype(column->base);
	element = get_element_type(column->base);
	column->portable = OidIsValid(element) || column->base == INTERVALOID ||
		column->base == RECORDOID || typtype == TYPTYPE_COMPOSITE ||
		typtype == TYPTYPE_RANGE || typtype == TYPTYPE_MULTIRANGE;
	if (OidIsValid(element))
	{
		column->element = palloc(sizeof(ExportColumn));
		crmio_column_init(column->element, name, element, -1, collation);
		get_typlenbyvalalign(element, &column->element_length, &column->element_byval,
							 &column->element_align);
	}
}

/*
 * append_output
 *		As the type's output function writes it.
 */
static void
append_output(StringInfo out, ExportColumn *column, Datum value)
{
	int			level = column->portable ? crmio_portable_output() : 0;

	appendStringInfoString(out, OutputFunctionCall(&column->output, value));
	if (column->portable)
		AtEOXact_GUC(false, level);
}

/*
 * append_bytea
 *		Hex, as the server writes and reads it.
 */
static void
append_bytea(StringInfo out, Datum value)
{
	bytea	   *bytes = DatumGetByteaPP(value);
	size_t		length = VARSIZE_ANY_EXHDR(bytes);

	appendStringInfoString(out, "\\x");
	/* the sum overflows no int: a bytea is below 1 GB */
	enlargeStringInfo(out, length * 2);
	out->len += hex_encode(VARDATA_ANY(bytes), length, out->data + out->len);
	out->data[out->len] = '\0';
}

/*
 * crmio_cell_time
 *		A date or time by its parts; false for infinity.
 */
bool
crmio_cell_time(const ExportColumn *column, Datum value, struct pg_tm *tm, fsec_t *fsec)
{
	int			tz;

	*fsec = 0;
	memset(tm, 0, sizeof(*tm));
	if (column->kind == CELL_DATE)
	{
		DateADT		date = DatumGetDateADT(value);

		if (DATE_NOT_FINITE(date))
			return false;
		j2date(date + POSTGRES_EPOCH_JDATE, &tm->tm_year, &tm->tm_mon, &tm->tm_mday);
		return true;
	}
	if (TIMESTAMP_NOT_FINITE(DatumGetTimestamp(value)))
		return false;
	if (timestamp2tm(DatumGetTimestamp(value), column->kind == CELL_TIMESTAMPTZ ? &tz : NULL,
					 tm, fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	return true;
}

/*
 * append_time
 *		A date or timestamp in ISO form.
 */
static void
append_time(StringInfo out, ExportColumn *column, Datum value)
{
	char		text[SHORT_TEXT];
	struct pg_tm tm;
	fsec_t		fsec;
	int			tz = 0;

	if (column->kind == CELL_DATE)
	{
		if (crmio_cell_time(column, value, &tm, &fsec))
			EncodeDateOnly(&tm, USE_ISO_DATES, text);
		else
			EncodeSpecialDate(DatumGetDateADT(value), text);
	}
	else if (TIMESTAMP_NOT_FINITE(DatumGetTimestamp(value)))
		EncodeSpecialTimestamp(DatumGetTimestamp(value), text);
	else
	{
		bool		with_zone = column->kind == CELL_TIMESTAMPTZ;

		if (timestamp2tm(DatumGetTimestamp(value), with_zone ? &tz : NULL, &tm, &fsec,
						 NULL, NULL) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
					 errmsg("timestamp out of range")));
		EncodeDateTime(&tm, fsec, with_zone, tz, NULL, USE_ISO_DATES, text);
	}
	appendStringInfoString(out, text);
}

/*
 * reads_back
 *		Would an import read this text, at the given place of a list, as the element it is?
 */
static bool
reads_back(const char *text)
{
	char	   *trimmed;

	if (*text == '\0' || strchr(text, LIST_SEPARATOR) != NULL)
		return false;
	trimmed = crmio_trim(pstrdup(text));
	return strcmp(trimmed, text) == 0;
}

/*
 * append_array
 *		The elements with ";" between them; an array of which that does not show all, as
 *		the server writes it.
 */
static void
append_array(StringInfo out, ExportColumn *column, Datum value)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	int			start = out->len;
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	if (ARR_NDIM(array) > 1)
	{
		append_output(out, column, value);
		return;
	}
	deconstruct_array(array, column->element->typid, column->element_length,
					  column->element_byval, column->element_align, &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		char	   *text = nulls[i] ? NULL : crmio_cell_text(column->element, elements[i]);

		if (text == NULL || !reads_back(text))
		{
			out->len = start;
			out->data[start] = '\0';
			append_output(out, column, value);
			return;
		}
		if (i > 0)
			appendStringInfoChar(out, LIST_SEPARATOR);
		appendStringInfoString(out, text);
	}
}

/*
 * crmio_cell_append
 *		Adds the text of a value that is not null.
 */
void
crmio_cell_append(StringInfo out, ExportColumn *column, Datum value)
{
	char		text[SHORT_TEXT];

	if (column->element != NULL)
	{
		append_array(out, column, value);
		return;
	}
	switch (column->base)
	{
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case JSONOID:
			{
				struct varlena *string = PG_DETOAST_DATUM_PACKED(value);

				appendBinaryStringInfo(out, VARDATA_ANY(string), VARSIZE_ANY_EXHDR(string));
				break;
			}
		case INT2OID:
			appendBinaryStringInfo(out, text, pg_ltoa(DatumGetInt16(value), text));
			break;
		case INT4OID:
			appendBinaryStringInfo(out, text, pg_ltoa(DatumGetInt32(value), text));
			break;
		case INT8OID:
			appendBinaryStringInfo(out, text, pg_lltoa(DatumGetInt64(value), text));
			break;
		case BOOLOID:
			appendStringInfoString(out, DatumGetBool(value) ? "true" : "false");
			break;
		case FLOAT4OID:
			appendBinaryStringInfo(out, text,
								   float_to_shortest_decimal_bufn(DatumGetFloat4(value), text));
			break;
		case FLOAT8OID:
			appendBinaryStringInfo(out, text,
								   double_to_shortest_decimal_bufn(DatumGetFloat8(value), text));
			break;
		case CASHOID:
			/* the number, without the currency sign and grouping of the locale */
			value = DirectFunctionCall1(cash_numeric, value);
			appendStringInfoString(out, DatumGetCString(DirectFunctionCall1(numeric_out, value)));
			break;
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			append_time(out, column, value);
			break;
		case BYTEAOID:
			append_bytea(out, value);
			break;
		case JSONBOID:
			{
				Jsonb	   *jsonb = DatumGetJsonbP(value);

				(void) JsonbToCString(out, &jsonb->root, VARSIZE(jsonb));
				break;
			}
		default:
			append_output(out, column, value);
			break;
	}
}

/*
 * crmio_cell_text
 *		The text of a value that is not null.
 */
char *
crmio_cell_text(ExportColumn *column, Datum value)
{
	StringInfoData text;

	initStringInfo(&text);
	crmio_cell_append(&text, column, value);
	return text.data;
}
