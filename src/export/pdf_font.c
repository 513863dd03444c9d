/*
 * pdf_font.c
 *	  The font of a PDF: which characters it has, how wide they are, and which of its
 *	  glyphs libharu must embed.
 */
#include "export/pdf.h"

#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"

/* The encoding of libharu in which a font of TrueType has all its characters. */
#define UTF8_ENCODING "UTF-8"

/* The characters for which libharu reads the tables of a font. */
#define BASIC_PLANE 0x10000

/* Entries of PdfDocument.widths that are no widths. */
#define WIDTH_UNKNOWN (-1)
#define WIDTH_LACKING (-2)

/* Glyphs are composed of others, those again of others, but not for ever. */
#define MAX_DEPTH 8

/* The table "glyf" of TrueType: what is read of a glyph that is composed. */
#define GLYPH_HEADER 10
#define PART_ARGUMENTS_ARE_WORDS 0x0001
#define PART_HAS_SCALE 0x0008
#define PART_IS_NOT_LAST 0x0020
#define PART_HAS_TWO_SCALES 0x0040
#define PART_HAS_MATRIX 0x0080

/*
 * Loads the font of crmio.pdf_font, of which libharu embeds the glyphs that are
 * used.
 */
void
crmio_pdf_load_font(PdfDocument *document)
{
	const char *name;
	size_t		length;
	MemoryContext caller = crmio_pdf_enter(document);

	document->widths = palloc(sizeof(int16) * BASIC_PLANE);
	for (int i = 0; i < BASIC_PLANE; i++)
		document->widths[i] = WIDTH_UNKNOWN;

	/* to say why, which libharu does not */
	if (access(crmio_pdf_font, R_OK) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read font file \"%s\": %m", crmio_pdf_font),
				 errhint("Install the font (Debian: fonts-dejavu-core), or set crmio.pdf_font to a TrueType font on the server.")));

	/* the file stays open as long as the document */
	if (!AcquireExternalFD())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("too many open files for font \"%s\"", crmio_pdf_font)));
	document->has_external_fd = true;

	/* of a collection of fonts, the first */
	length = strlen(crmio_pdf_font);
	if (length > 4 && pg_strcasecmp(crmio_pdf_font + length - 4, ".ttc") == 0)
		name = HPDF_LoadTTFontFromFile2(document->doc, crmio_pdf_font, 0, HPDF_TRUE);
	else
		name = HPDF_LoadTTFontFromFile(document->doc, crmio_pdf_font, HPDF_TRUE);
	if (name == NULL)
	{
		if (document->error == HPDF_FAILD_TO_ALLOC_MEM)
			crmio_pdf_check(document, document->error);
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("could not use font file \"%s\"", crmio_pdf_font),
				 errdetail("libharu reports error 0x%04X.", (unsigned int) document->error),
				 errhint("crmio.pdf_font must be a TrueType font (.ttf or .ttc) that may be embedded.")));
	}
	crmio_pdf_check(document, HPDF_UseUTFEncodings(document->doc));
	crmio_pdf_check(document, HPDF_SetCurrentEncoder(document->doc, UTF8_ENCODING));
	document->font = HPDF_GetFont(document->doc, name, UTF8_ENCODING);
	crmio_pdf_check(document, HPDF_OK);
	document->font_definition = HPDF_GetFontDef(document->doc, name);
	crmio_pdf_check(document, HPDF_OK);

	document->ascent = (double) HPDF_Font_GetAscent(document->font) / PDF_EM;
	document->descent = -(double) HPDF_Font_GetDescent(document->font) / PDF_EM;
	MemoryContextSwitchTo(caller);
}

/*
 * Reads big-endian numbers of 16 bits from the font's file at a place.
 */
static void
read_numbers(PdfDocument *document, HPDF_Stream stream, HPDF_UINT place, uint16 *numbers, int count)
{
	HPDF_BYTE	bytes[8];
	HPDF_UINT	size = count * 2;

	Assert(size <= sizeof(bytes));
	crmio_pdf_check(document, HPDF_Stream_Seek(stream, place, HPDF_SEEK_SET));
	crmio_pdf_check(document, HPDF_Stream_Read(stream, bytes, &size));
	for (int i = 0; i < count; i++)
		numbers[i] = bytes[2 * i] << 8 | bytes[2 * i + 1];
}

/*
 * Marks the glyphs as used that a glyph is composed of.  libharu does so for the
 * parts, but not for the parts of parts: an e with circumflex and tilde would lose both.
 */
static void
mark_parts(PdfDocument *document, uint16 glyph, int depth)
{
	HPDF_TTFontDefAttr font = document->font_definition->attr;
	HPDF_UINT	unit = font->header.index_to_loc_format == 0 ? 2 : 1;
	HPDF_UINT	place;
	uint16		contours;
	uint16		part[2];		/* flags, glyph */

	/* blanks have no outline */
	if (depth > MAX_DEPTH || glyph >= font->num_glyphs ||
		font->glyph_tbl.offsets[glyph] == font->glyph_tbl.offsets[glyph + 1])
		return;
	place = font->glyph_tbl.base_offset + font->glyph_tbl.offsets[glyph] * unit;
	read_numbers(document, font->stream, place, &contours, 1);
	if ((int16) contours >= 0)
		return;

	place += GLYPH_HEADER;
	do
	{
		read_numbers(document, font->stream, place, part, 2);
		if (part[1] < font->num_glyphs)
			font->glyph_tbl.flgs[part[1]] = 1;
		mark_parts(document, part[1], depth + 1);

		place += 4 + (part[0] & PART_ARGUMENTS_ARE_WORDS ? 4 : 2);
		if (part[0] & PART_HAS_SCALE)
			place += 2;
		else if (part[0] & PART_HAS_TWO_SCALES)
			place += 4;
		else if (part[0] & PART_HAS_MATRIX)
			place += 8;
	} while (part[0] & PART_IS_NOT_LAST);
}

/*
 * The width of a character, in thousandths of the font's size; negative if the font
 * lacks it.  A character that is asked for will be embedded.
 */
int
crmio_pdf_width(PdfDocument *document, uint32 character)
{
	int			width;

	/* FriBidi's filler, where it joined two characters into one */
	if (character == FRIBIDI_CHAR_FILL)
		return 0;
	if (character >= BASIC_PLANE || character < ' ')
		return WIDTH_LACKING;
	width = document->widths[character];
	if (width == WIDTH_UNKNOWN)
	{
		MemoryContext caller = crmio_pdf_enter(document);
		HPDF_UINT16 glyph = HPDF_TTFontDef_GetGlyphid(document->font_definition, character);

		width = WIDTH_LACKING;
		if (glyph != 0)
		{
			width = HPDF_Font_GetUnicodeWidth(document->font, character);
			mark_parts(document, glyph, 0);
		}
		crmio_pdf_check(document, HPDF_OK);
		document->widths[character] = width;
		MemoryContextSwitchTo(caller);
	}
	return width;
}
