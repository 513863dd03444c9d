/*
 * pdf_unicode.c
 *	  The map from the codes of a PDF's font back to Unicode, by which viewers search
 *	  and copy text.
 */
#include "export/pdf.h"

#include "common/unicode_norm.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

/* Most entries that a section of the map may have. */
#define SECTION_ENTRIES 100

/* The blocks of 256 codes in which the joined forms of Arabic are. */
#define FIRST_FORMS_BLOCK 0xFB
#define LAST_FORMS_BLOCK 0xFE

/*
 * Begins a section of the map before its first entry and before each that would be one
 * too many, and ends the one before.
 */
static void
begin_section(StringInfo map, const char *kind, int done, int total)
{
	if (done % SECTION_ENTRIES != 0)
		return;
	if (done > 0)
		appendStringInfo(map, "end%s\n", kind);
	appendStringInfo(map, "%d begin%s\n", Min(total - done, SECTION_ENTRIES), kind);
}

/*
 * Appends what a code means that may be a joined form: its letter.
 */
static void
append_letters(StringInfo map, uint32 code)
{
	pg_wchar	form[2] = {code, 0};
	pg_wchar   *letters = unicode_normalize(UNICODE_NFKC, form);

	/* of two letters in one form, viewers would turn round the order */
	appendStringInfo(map, "<%04X> <%04X>\n", code,
					 letters[0] != 0 && letters[0] <= 0xFFFF && letters[1] == 0 ? letters[0] : code);
	pfree(letters);
}

/*
 * The map: codes are the characters of the basic plane, except for joined forms, which
 * stand for the letter that was written.
 */
static char *
make_map(void)
{
	const int	nforms = (LAST_FORMS_BLOCK - FIRST_FORMS_BLOCK + 1) * 256;
	const int	nblocks = 256 - nforms / 256;
	int			done = 0;
	StringInfoData map;

	initStringInfo(&map);
	appendStringInfoString(&map,
						   "/CIDInit /ProcSet findresource begin\n"
						   "12 dict begin\n"
						   "begincmap\n"
						   "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def\n"
						   "/CMapName /Adobe-Identity-UCS def\n"
						   "/CMapType 2 def\n"
						   "1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n");
	for (int block = 0; block < 256; block++)
	{
		if (block >= FIRST_FORMS_BLOCK && block <= LAST_FORMS_BLOCK)
			continue;
		begin_section(&map, "bfrange", done++, nblocks);
		appendStringInfo(&map, "<%02X00> <%02XFF> <%02X00>\n", block, block, block);
	}
	appendStringInfoString(&map, "endbfrange\n");
	for (int i = 0; i < nforms; i++)
	{
		begin_section(&map, "bfchar", i, nforms);
		append_letters(&map, FIRST_FORMS_BLOCK * 256 + i);
	}
	appendStringInfoString(&map,
						   "endbfchar\n"
						   "endcmap\n"
						   "CMapName currentdict /CMap defineresource pop\n"
						   "end\nend\n");
	return map.data;
}

/*
 * Gives the font the map.  libharu's own has sections that only the maps of encodings may
 * have, which viewers complain about or ignore.
 */
void
crmio_pdf_map_to_unicode(PdfDocument *document)
{
	char	   *map = make_map();
	HPDF_Dict	stream;
	MemoryContext caller = crmio_pdf_enter(document);

	stream = HPDF_Dict_GetItem(document->font, "ToUnicode", HPDF_OCLASS_DICT);
	crmio_pdf_check(document, HPDF_OK);
	HPDF_MemStream_FreeData(stream->stream);
	crmio_pdf_check(document, HPDF_Stream_WriteStr(stream->stream, map));
	MemoryContextSwitchTo(caller);
	pfree(map);
}
