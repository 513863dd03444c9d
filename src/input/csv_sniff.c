/*
 * csv_sniff.c
 *	  What a CSV file does not say: its delimiter, and where its header is.
 *
 * Both are judged by the first rows, read by the very parser that reads the file
 * afterwards, once with each delimiter that comes into question.
 */
#include "input/csv_sniff.h"

#include "utils/memutils.h"

/* How many rows are looked at. */
#define SAMPLE_ROWS		100

/* No export puts more lines above its header. */
#define TITLES_MAX		20

/* Of delimiters that fit equally well, the one that is rarer in text wins. */
static const char candidates[] = {'\t', '|', ';', ','};

typedef struct SampleRow
{
	int64		line;
	int			nfields;
	int			filled;			/* fields that are not blank */
	int			indented;		/* of these, after the first: begin with a blank */
	bool		has_data;		/* a number, a date or an e-mail address */
	bool		is_error;
} SampleRow;

typedef struct Sample
{
	int			nrows;
	bool		is_error_file;	/* the first line ends with CRMIO_ERROR_REASON */
	SampleRow	rows[SAMPLE_ROWS];
} Sample;

/*
 * Does the text look like a value, rather than the name of a column?
 */
static bool
looks_like_data(const char *text)
{
	const char *at = strchr(text, '@');
	int			digits = 0;

	if (at && at > text && strchr(at, '.') && strchr(text, ' ') == NULL)
		return true;
	for (const char *c = text; *c; c++)
	{
		if (*c >= '0' && *c <= '9')
			digits++;
		else if (*c == 'T' || *c == 'Z')
		{
			if (digits < 6)		/* as in 2026-09-30T10:00:00Z */
				return false;
		}
		else if (strchr(" +-./:,()'%$", *c) == NULL)
			return false;
	}
	return digits > 0;
}

/*
 * Describes the row that the parser has read.
 */
static void
describe_row(const CsvParser *parser, SampleRow *row)
{
	memset(row, 0, sizeof(SampleRow));
	row->line = parser->line_number;
	row->nfields = parser->nfields;
	row->is_error = parser->error_code != NULL;
	for (int i = 0; i < parser->nfields; i++)
	{
		char	   *text = crmio_csv_field(parser, i);

		if (crmio_is_blank(text))
			continue;
		row->filled++;
		if (i > 0 && *text == ' ')
			row->indented++;
		if (looks_like_data(crmio_trim(text)))
			row->has_data = true;
	}
}

/*
 * Reads the first rows from line `first_line` on as they look with a delimiter.
 */
static void
take_sample(Lines *lines, char delimiter, char quote, int64 first_line, Sample *sample)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "crmio CSV sample",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	CsvParser	parser;

	memset(sample, 0, sizeof(Sample));
	crmio_csv_init(&parser, lines, delimiter, quote);
	crmio_csv_restart(&parser);
	parser.sampling = true;

	while (sample->nrows < SAMPLE_ROWS && crmio_csv_next(&parser))
	{
		if (parser.line_number == 1 && parser.nfields > 0)
		{
			char	   *last = crmio_csv_field(&parser, parser.nfields - 1);

			sample->is_error_file = strcmp(crmio_trim(pstrdup(last)), CRMIO_ERROR_REASON) == 0;
			if (sample->is_error_file)
				first_line = 1;
		}
		if (parser.line_number < first_line || crmio_csv_row_is_empty(&parser))
		{
			if (sample->nrows == 0)
				parser.sample_end = 0;	/* it has not begun yet */
			continue;
		}
		describe_row(&parser, &sample->rows[sample->nrows++]);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

/*
 * Index of the row that is the header: the first, unless what stands above
 * another one looks like titles.
 *
 * Titles fill at most half as many fields as the header does; the header is more
 * than half filled, has no values in it, and the row after it has as many fields.
 * With only two fields to go by, that row must have a value in it, too.  Titles may
 * fill more if a blank line ends them, and they are narrower than the header.
 */
static int
find_header(const Sample *sample)
{
	int			most = 0;		/* fields filled by a row above */
	int			widest = 0;		/* fields of a row above */

	if (sample->is_error_file)
		return 0;
	for (int i = 0; i < sample->nrows - 1 && i <= TITLES_MAX; i++)
	{
		const SampleRow *row = &sample->rows[i];
		const SampleRow *next = row + 1;
		bool		after_blank = i > 0 && row->line > row[-1].line + 1 && widest < row->nfields;

		if (i > 0 && row->filled >= 2 && (2 * most <= row->filled || after_blank) &&
			2 * row->filled > row->nfields &&
			!row->has_data && !row->is_error &&
			next->nfields == row->nfields && !next->is_error &&
			(row->filled > 2 || next->has_data))
			return i;
		most = Max(most, row->filled);
		widest = Max(widest, row->nfields);
	}
	return 0;
}

/*
 * How well the sample's rows agree on their number of fields: the share of those
 * that have the most common number, which is *width.  0 if the delimiter does not
 * split the header.
 */
static double
agreement(const Sample *sample, bool has_header, int *width)
{
	int			first = has_header ? find_header(sample) : 0;
	int			best = 0;
	int			filled = 0;
	int			indented = 0;
	double		share;

	*width = 0;
	if (sample->nrows == 0 || (has_header && sample->rows[first].nfields < 2))
		return 0;

	for (int i = first; i < sample->nrows; i++)
	{
		int			n = 0;

		for (int j = first; j < sample->nrows; j++)
			n += sample->rows[j].nfields == sample->rows[i].nfields &&
				!sample->rows[j].is_error;
		if (sample->rows[i].nfields >= 2 &&
			(n > best || (n == best && sample->rows[i].nfields > *width)))
		{
			best = n;
			*width = sample->rows[i].nfields;
		}
		filled += sample->rows[i].filled;
		indented += sample->rows[i].indented;
	}
	share = (double) best / (sample->nrows - first);

	/* "Main Street 1, 10115 Berlin": commas in text have a blank behind them */
	return 4 * indented > filled ? share / 2 : share;
}

/*
 * The delimiter that the first line names: Excel takes "sep=;" there as a hint.
 * -1 if it is any other line.
 */
static int
named_delimiter(Lines *lines)
{
	TextLine	line;
	char	   *text;
	size_t		length;

	crmio_lines_rewind(lines);
	if (!crmio_lines_next(lines, &line) || line.length > 16)
		return -1;
	text = pnstrdup(line.text, line.length);
	text[strcspn(text, "\r\n")] = '\0';
	length = strlen(text);
	if (length == 7 && text[0] == '"' && text[6] == '"')
	{
		text[6] = '\0';
		text++;
		length = 5;
	}
	if (length != 5 || pg_strncasecmp(text, "sep=", 4) != 0 || IS_HIGHBIT_SET(text[4]))
		return -1;
	return text[4];
}

/*
 * Finds the delimiter, if it is not given, and the line of the header.
 */
void
crmio_csv_sniff(Lines *lines, int delimiter, char quote, int64 header_row,
				CsvLayout *layout)
{
	Sample	   *sample = palloc(sizeof(Sample));
	int			named = named_delimiter(lines);

	layout->first_line = 1;
	if (named >= 0 && named != quote && header_row != 1)
	{
		layout->first_line = 2;
		if (delimiter < 0)
			delimiter = named;
	}
	layout->delimiter = delimiter;
	if (delimiter < 0)
	{
		double		best = 0;
		int			best_width = 0;

		layout->delimiter = ',';
		for (int i = 0; i < lengthof(candidates); i++)
		{
			double		share;
			int			width;

			if (candidates[i] == quote)
				continue;
			take_sample(lines, candidates[i], quote,
						Max(header_row, layout->first_line), sample);
			share = agreement(sample, header_row != 0, &width);
			if (share > best || (share == best && share > 0 && width > best_width))
			{
				best = share;
				best_width = width;
				layout->delimiter = candidates[i];
			}
		}
	}

	take_sample(lines, layout->delimiter, quote,
				Max(header_row, layout->first_line), sample);
	layout->widest = 0;
	for (int i = 0; i < sample->nrows; i++)
		layout->widest = Max(layout->widest, sample->rows[i].nfields);

	if (sample->nrows == 0)
		layout->header_line = header_row < 0 ? 1 : header_row;
	else if (header_row < 0 || sample->is_error_file)
		layout->header_line = sample->rows[find_header(sample)].line;
	else
		layout->header_line = header_row;
	pfree(sample);
}
