/*
 * pdf_document.c
 *	  The life of a document of libharu: its memory, its errors and its bytes.  Its
 *	  font is in pdf_font.c, what is drawn in pdf.c.
 */
#include "export/pdf.h"

#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/memutils.h"

/* Pages of a node of the page tree: a list of libharu ends at 32,767. */
#define PAGES_PER_NODE 1000

/*
 * Would the document outgrow crmio.pdf_memory?
 */
static bool
is_full(MemoryContext context)
{
	return MemoryContextMemAllocated(context, false) / 1024 > crmio_pdf_memory;
}

/*
 * Memory for libharu, which can't be left by an error: no memory is what stops it,
 * also when the query is cancelled while it writes a long document.
 */
static void *
allocate(HPDF_UINT size)
{
	if ((QueryCancelPending || ProcDiePending) && INTERRUPTS_CAN_BE_PROCESSED())
		return NULL;
	if (is_full(CurrentMemoryContext))
		return NULL;
	return MemoryContextAllocExtended(CurrentMemoryContext, size,
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
}

/*
 * Gives memory back.
 */
static void
release(void *memory)
{
	if (memory != NULL)
		pfree(memory);
}

/*
 * libharu's error handler: remembers the first error.
 */
static void
remember_error(HPDF_STATUS error, HPDF_STATUS detail, void *user_data)
{
	PdfDocument *document = user_data;

	if (document->error == HPDF_OK)
	{
		document->error = error;
		document->detail = detail;
	}
}

/*
 * Frees the document and closes the font's file, also after an error.
 */
static void
release_document(void *arg)
{
	PdfDocument *document = arg;

	if (document->doc != NULL)
		HPDF_Free(document->doc);
	document->doc = NULL;
	if (document->has_external_fd)
		ReleaseExternalFD();
	document->has_external_fd = false;
}

/*
 * Switches to the memory of the document; returns the context to switch back to.
 */
MemoryContext
crmio_pdf_enter(PdfDocument *document)
{
	return MemoryContextSwitchTo(document->context);
}

/*
 * Complains that the document outgrows crmio.pdf_memory.
 */
void
crmio_pdf_too_large(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("the PDF needs more memory than crmio.pdf_memory, %d MB", crmio_pdf_memory / 1024),
			 errdetail("A PDF is composed in memory as a whole."),
			 errhint("Export fewer rows or columns, or export to csv or xlsx.")));
}

/*
 * Raises an error of libharu, if there is one.
 */
void
crmio_pdf_check(PdfDocument *document, HPDF_STATUS status)
{
	if (status == HPDF_OK && document->error == HPDF_OK)
		return;
	if (document->error != HPDF_OK)
		status = document->error;

	CHECK_FOR_INTERRUPTS();
	if (status == HPDF_FAILD_TO_ALLOC_MEM && is_full(document->context))
		crmio_pdf_too_large();
	if (status == HPDF_FAILD_TO_ALLOC_MEM)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("The PDF could not be made.")));
	ereport(ERROR,
			(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
			 errmsg("could not write the PDF: error 0x%04X of libharu (detail %d)",
					(unsigned int) status, (int) document->detail)));
}

/*
 * Begins a document, which lives until `context` is deleted.
 */
PdfDocument *
crmio_pdf_open(MemoryContext context)
{
	PdfDocument *document = MemoryContextAllocZero(context, sizeof(PdfDocument));
	MemoryContext caller;

	document->context = AllocSetContextCreate(context, "crmio PDF", ALLOCSET_DEFAULT_SIZES);
	document->release.func = release_document;
	document->release.arg = document;
	MemoryContextRegisterResetCallback(document->context, &document->release);

	caller = crmio_pdf_enter(document);
	document->doc = HPDF_NewEx(remember_error, allocate, release, 0, document);
	if (document->doc == NULL)
		crmio_pdf_check(document, HPDF_FAILD_TO_ALLOC_MEM);
	crmio_pdf_check(document, HPDF_SetCompressionMode(document->doc, HPDF_COMP_ALL));
	crmio_pdf_check(document, HPDF_SetPagesConfiguration(document->doc, PAGES_PER_NODE));
	MemoryContextSwitchTo(caller);
	crmio_pdf_load_font(document);
	crmio_pdf_map_to_unicode(document);
	return document;
}

/*
 * Gives the finished document to the sink.
 */
void
crmio_pdf_save(PdfDocument *document, Sink *sink)
{
	HPDF_BYTE	buffer[8192];
	HPDF_STATUS status = HPDF_OK;
	MemoryContext caller = crmio_pdf_enter(document);

	crmio_pdf_check(document, HPDF_SaveToStream(document->doc));
	crmio_pdf_check(document, HPDF_ResetStream(document->doc));
	MemoryContextSwitchTo(caller);

	while (status != HPDF_STREAM_EOF)
	{
		HPDF_UINT32 size = sizeof(buffer);

		CHECK_FOR_INTERRUPTS();
		status = HPDF_ReadFromStream(document->doc, buffer, &size);
		if (status != HPDF_OK && status != HPDF_STREAM_EOF)
			crmio_pdf_check(document, status);
		if (size > 0)
			sink->write(sink, (const char *) buffer, size);
	}
}

/*
 * Frees a document before its context goes.
 */
void
crmio_pdf_close(PdfDocument *document)
{
	release_document(document);
	MemoryContextReset(document->context);
}
