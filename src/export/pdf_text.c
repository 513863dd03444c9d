/*
 * pdf_text.c
 *	  Text for a PDF: which characters the font has, the order and joining of
 *	  scripts that run from right to left (by FriBidi), and lines of a given width.
 */
#include "export/pdf.h"

#include <limits.h>

#include "common/unicode_norm.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"

/* What a character means for the end of a line. */
typedef enum CharacterClass
{
	CLASS_OTHER,
	CLASS_SPACE,				/* a line may end here, and the space goes */
	CLASS_WIDE,					/* ideographs: a line may end before and after */
	CLASS_SOFT,					/* a word that must be broken is best broken behind */
	CLASS_MARK					/* stays with what stands before it */
} CharacterClass;

/* Accents that stand behind their letters. */
#define FIRST_MARK 0x0300
#define LAST_MARK 0x036F

/* Longer texts are not composed: the server's function takes four times the memory. */
#define MAX_COMPOSED (16 * 1024 * 1024)

/* Memory that a character takes while its text is laid out. */
#define CHARACTER_BYTES (sizeof(pg_wchar) + sizeof(FriBidiChar) + 1)

/* A word is broken behind a soft place only if that fills so much of the line. */
#define SOFT_SHARE 0.5

/*
 * What a character is for the end of a line.
 */
static CharacterClass
classify(uint32 character)
{
	unsigned char utf8[MAX_MULTIBYTE_CHAR_LEN + 1] = {0};
	int			columns;

	if (character < 0x80)
	{
		if (character == ' ')
			return CLASS_SPACE;
		return strchr("@/-_.,;:&?=", (int) character) != NULL ? CLASS_SOFT : CLASS_OTHER;
	}
	unicode_to_utf8(character, utf8);
	columns = pg_encoding_dsplen(PG_UTF8, (char *) utf8);
	return columns == 0 ? CLASS_MARK : columns == 2 ? CLASS_WIDE : CLASS_OTHER;
}

/*
 * Adds a character to a text.
 */
static inline void
add_character(PdfText *text, uint32 character, CharacterClass class)
{
	text->chars[text->length] = character;
	text->classes[text->length] = class;
	text->length++;
}

/*
 * Adds in brackets the number of a character that the font lacks, so that it is
 * seen that something is there, and what.
 */
static void
add_lacking(PdfDocument *document, PdfText *text, uint32 character)
{
	char		name[16];

	if (document->nlacking++ == 0)
		document->first_lacking = character;
	snprintf(name, sizeof(name), "[U+%04X]", character);
	for (char *c = name; *c != '\0'; c++)
		add_character(text, *c, *c == ']' ? CLASS_SOFT : CLASS_OTHER);
}

/*
 * The characters of a text of UTF-8, with a zero behind them.  Letters and their accents
 * become one, as fonts have them.
 */
static pg_wchar *
decode(const char *utf8, const char *end)
{
	pg_wchar   *chars;
	pg_wchar   *c;
	bool		has_marks = false;

	chars = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(pg_wchar) * (end - utf8 + 1));
	for (c = chars; utf8 < end; c++)
	{
		*c = utf8_to_unicode((const unsigned char *) utf8);
		utf8 += pg_utf_mblen((const unsigned char *) utf8);
		has_marks |= *c >= FIRST_MARK && *c <= LAST_MARK;
	}
	*c = 0;
	return has_marks && c - chars < MAX_COMPOSED ? unicode_normalize(UNICODE_NFC, chars) : chars;
}

/*
 * Takes those characters over that the font has, and shows the others.
 */
static void
take_characters(PdfDocument *document, PdfText *text, const pg_wchar *chars)
{
	size_t		room = 1;

	/* most characters that one gives: [U+10FFFF] */
	for (const pg_wchar *c = chars; *c != 0; c++)
		room += *c < ' ' || *c > 0x7E ? 10 : 1;
	text->chars = MemoryContextAllocHuge(CurrentMemoryContext, room * sizeof(FriBidiChar));
	text->classes = MemoryContextAllocHuge(CurrentMemoryContext, room);
	for (; *chars != 0; chars++)
	{
		if (*chars == '\r' && chars[1] == '\n')
			;					/* the line feed ends the line */
		else if (*chars == '\r' || *chars == '\n' || *chars == 0x2028 || *chars == 0x2029)
			add_character(text, '\n', CLASS_SPACE);
		else if (*chars == '\t')
			add_character(text, ' ', CLASS_SPACE);
		else if (crmio_pdf_width(document, *chars) < 0)
			add_lacking(document, text, *chars);
		else
			add_character(text, *chars, classify(*chars));
	}
}

/*
 * FriBidi fails for want of memory only.
 */
static void
out_of_memory(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("out of memory"),
			 errdetail("A text from right to left could not be laid out.")));
}

/*
 * Finds the direction of each character of a paragraph, and joins and mirrors
 * what runs from right to left, where the font has the form.
 */
static void
shape_paragraph(PdfDocument *document, PdfText *text, int start, int end)
{
	int			length = end - start;
	FriBidiChar *chars = text->chars + start;
	FriBidiCharType *types = text->types + start;
	FriBidiLevel *levels = text->levels + start;
	FriBidiChar *shaped;
	FriBidiBracketType *brackets;
	FriBidiArabicProp *joining;
	FriBidiParType direction = FRIBIDI_PAR_ON;

	if (length == 0)
		return;
	shaped = palloc(sizeof(FriBidiChar) * length);
	brackets = palloc(sizeof(FriBidiBracketType) * length);
	joining = palloc(sizeof(FriBidiArabicProp) * length);
	memcpy(shaped, chars, sizeof(FriBidiChar) * length);

	fribidi_get_bracket_types(chars, length, types, brackets);
	if (fribidi_get_par_embedding_levels_ex(types, brackets, length, &direction, levels) == 0)
		out_of_memory();
	fribidi_get_joining_types(chars, length, joining);
	fribidi_join_arabic(types, length, levels, joining);
	fribidi_shape(FRIBIDI_FLAGS_DEFAULT | FRIBIDI_FLAGS_ARABIC, levels, length, joining, shaped);
	for (int i = 0; i < length; i++)
		if (crmio_pdf_width(document, shaped[i]) >= 0)
			chars[i] = shaped[i];

	pfree(shaped);
	pfree(brackets);
	pfree(joining);
}

/*
 * Where the paragraph that begins at start ends: at its line feed, or at the end.
 */
static int
paragraph_end(const PdfText *text, int start)
{
	while (start < text->length && text->chars[start] != '\n')
		start++;
	return start;
}

/*
 * Prepares the directions of a text, if any of it runs from right to left.
 */
static void
shape(PdfDocument *document, PdfText *text)
{
	FriBidiCharType all = 0;

	/* the first such script is Hebrew */
	for (int i = 0; i < text->length && !text->bidi; i++)
		text->bidi = text->chars[i] >= 0x0590;
	if (!text->bidi)
		return;

	text->types = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(FriBidiCharType) * text->length);
	fribidi_get_bidi_types(text->chars, text->length, text->types);
	for (int i = 0; i < text->length; i++)
		all |= text->types[i];
	text->bidi = FRIBIDI_IS_RTL(all);
	if (!text->bidi)
		return;

	text->levels = MemoryContextAllocHuge(CurrentMemoryContext, text->length);
	for (int start = 0, end; start < text->length; start = end + 1)
	{
		end = paragraph_end(text, start);
		shape_paragraph(document, text, start, end);
	}
}

/*
 * Measures the longest paragraph and the longest word.
 */
static void
measure(PdfDocument *document, PdfText *text)
{
	int64		width = 0;
	int64		word = 0;

	text->width = text->word_width = 0;
	for (int i = 0; i < text->length; i++)
	{
		int			w = 0;

		if (text->chars[i] == '\n')
			width = 0;
		else
			w = crmio_pdf_width(document, text->chars[i]);
		if (text->classes[i] == CLASS_SPACE || text->classes[i] == CLASS_WIDE)
			word = 0;
		width += w;
		if (text->classes[i] != CLASS_SPACE)
			word += w;
		text->width = Max(text->width, Min(width, INT_MAX));
		text->word_width = Max(text->word_width, Min(word, INT_MAX));
	}
}

/*
 * Makes a text of the database encoding ready to be broken into lines.
 */
void
crmio_pdf_text(PdfDocument *document, PdfText *text, const char *source, size_t length)
{
	char	   *utf8;

	/* a single text may be too much, and would keep the server busy for minutes */
	if (length / 1024 * CHARACTER_BYTES > crmio_pdf_memory)
		crmio_pdf_too_large();
	CHECK_FOR_INTERRUPTS();
	utf8 = pg_server_to_any(source, length, PG_UTF8);
	memset(text, 0, sizeof(*text));
	take_characters(document, text, decode(utf8, utf8 + (utf8 == source ? length : strlen(utf8))));
	shape(document, text);
	measure(document, text);
}

/*
 * Where a word that is wider than a line is best broken: behind the last soft place, if
 * that leaves no half-empty line, else where the line is full, but never before
 * a mark.
 */
static int
break_word(PdfDocument *document, const PdfText *text, int start, int full, int width)
{
	int			filled = 0;
	int			best = full;

	for (int i = start; i < full; i++)
	{
		filled += crmio_pdf_width(document, text->chars[i]);
		if (text->classes[i] == CLASS_SOFT && filled >= width * SOFT_SHARE)
			best = i + 1;
	}
	while (best > start + 1 && text->classes[best] == CLASS_MARK)
		best--;
	return Max(best, start + 1);
}

/*
 * Finds the end of the line that begins at start, in a paragraph that ends at end.
 */
static int
line_end(PdfDocument *document, const PdfText *text, int start, int end, int width)
{
	int64		filled = 0;
	int			last = -1;		/* the last place where a line may end */

	for (int i = start; i < end; i++)
	{
		if (i > start && (text->classes[i] == CLASS_SPACE || text->classes[i] == CLASS_WIDE ||
						  (text->classes[i - 1] == CLASS_WIDE && text->classes[i] != CLASS_MARK)))
			last = i;
		filled += crmio_pdf_width(document, text->chars[i]);
		if (filled > width && text->classes[i] != CLASS_SPACE)
			return last >= 0 ? last : break_word(document, text, start, i, width);
	}
	return end;
}

/*
 * A line of a text, with its characters in the order in which they are seen;
 * direction: of its paragraph.
 */
static PdfLine *
make_line(PdfDocument *document, PdfText *text, int start, int end, FriBidiParType direction)
{
	PdfLine    *line = palloc0(sizeof(PdfLine));
	FriBidiChar *chars = text->chars + start;
	int			length = end - start;
	char	   *out;

	if (text->bidi && length > 0)
	{
		chars = palloc(sizeof(FriBidiChar) * length);
		memcpy(chars, text->chars + start, sizeof(FriBidiChar) * length);
		if (fribidi_reorder_line(FRIBIDI_FLAGS_DEFAULT, text->types + start, length, 0,
								 direction, text->levels + start, chars, NULL) == 0)
			out_of_memory();
		line->right_to_left = FRIBIDI_IS_RTL(direction);
	}

	out = line->text = palloc(length * MAX_MULTIBYTE_CHAR_LEN + 1);
	for (int i = 0; i < length; i++)
	{
		if (chars[i] == FRIBIDI_CHAR_FILL)
			continue;
		line->width += crmio_pdf_width(document, chars[i]);
		unicode_to_utf8(chars[i], (unsigned char *) out);
		out += pg_utf_mblen((unsigned char *) out);
	}
	*out = '\0';
	return line;
}

/*
 * Breaks a text into lines of at most this width; at least one.
 */
List *
crmio_pdf_lines(PdfDocument *document, PdfText *text, int width)
{
	List	   *lines = NIL;
	int			paragraph = 0;

	do
	{
		int			end = paragraph_end(text, paragraph);
		int			start = paragraph;
		FriBidiParType direction = FRIBIDI_PAR_LTR;

		if (text->bidi)
			direction = fribidi_get_par_direction(text->types + paragraph, end - paragraph);
		do
		{
			int			stop = line_end(document, text, start, end, width);
			int			shown = stop;

			CHECK_FOR_INTERRUPTS();
			while (shown > start && text->classes[shown - 1] == CLASS_SPACE)
				shown--;
			lines = lappend(lines, make_line(document, text, start, shown, direction));
			while (stop < end && text->classes[stop] == CLASS_SPACE)
				stop++;
			start = stop;
		} while (start < end);
		paragraph = end + 1;
	} while (paragraph < text->length);
	return lines;
}

/*
 * A title in one line, with an ellipsis if it is too long.
 */
PdfLine *
crmio_pdf_title_line(PdfDocument *document, const char *source, int width)
{
	PdfText		text;
	PdfLine    *line;
	List	   *lines;

	crmio_pdf_text(document, &text, source, strlen(source));
	lines = crmio_pdf_lines(document, &text, width);
	line = linitial(lines);
	if (list_length(lines) > 1)
	{
		lines = crmio_pdf_lines(document, &text, width - 3 * crmio_pdf_width(document, '.'));
		line = linitial(lines);
		line->text = psprintf("%s...", line->text);
	}
	return line;
}
