/*
 * export.c
 *	  crm_export: a query, list or report as lines of CSV, sent while the query runs.
 *
 * Lines are made in batches that grow as long as the query is quick, so a slow
 * one shows its first rows at once.  Nothing of a batch is copied: the results are
 * texts in the batch's buffer.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "export/csv_lines.h"
#include "export/export.h"

PG_FUNCTION_INFO_V1(crm_export);

/* A batch is full at this many lines or bytes. */
#define BATCH_LINES 1024
#define BATCH_BYTES (128 * 1024)

/* A batch that took less makes the next twice as long, one that took more half. */
#define BATCH_MILLISECONDS 20.0

typedef struct LineExport
{
	ExportSource *source;
	ExportResult *result;		/* NULL: ended */
	CsvWriter	writer;
	StringInfoData buffer;		/* texts with their headers, each aligned */
	int			offsets[BATCH_LINES];	/* of the texts */
	int			nlines;
	int			next;			/* the line to return */
	int			wanted;			/* lines of the next batch */
	bool		more;			/* the query has not ended */
	bool		bom;			/* the next line is the first */
} LineExport;

/*
 * begin_line
 *		Room for the header of a text, and what stands before the first line.
 */
static int
begin_line(LineExport *self)
{
	StringInfo	buffer = &self->buffer;
	int			start = INTALIGN(buffer->len);

	enlargeStringInfo(buffer, start - buffer->len + VARHDRSZ);
	buffer->len = start + VARHDRSZ;
	if (self->bom)
		appendStringInfoString(buffer, "\xEF\xBB\xBF");
	self->bom = false;
	return start;
}

/*
 * end_line
 *		What was added since begin_line is a text.
 */
static void
end_line(LineExport *self, int start)
{
	/* the client ends the line, with a line feed */
	if (self->source->options.crlf)
		appendStringInfoChar(&self->buffer, '\r');
	SET_VARSIZE(self->buffer.data + start, self->buffer.len - start);
	self->offsets[self->nlines++] = start;
}

/*
 * take_row
 *		Adds the line of a row to the batch; false if that is full.
 */
static bool
take_row(void *arg, const Datum *values, const bool *nulls)
{
	LineExport *self = arg;
	int			start = begin_line(self);

	crmio_csv_line(&self->writer, &self->buffer, values, nulls);
	end_line(self, start);
	return self->nlines < self->wanted && self->buffer.len < BATCH_BYTES;
}

/*
 * next_batch
 *		Reads lines from the query.  What was read so far goes to the client first.
 */
static void
next_batch(LineExport *self)
{
	instr_time	start;
	instr_time	end;

	crmio_flush_client();
	self->nlines = self->next = 0;
	if (self->buffer.maxlen > 16 * BATCH_BYTES)
	{
		MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(self->buffer.data));

		pfree(self->buffer.data);
		initStringInfo(&self->buffer);
		MemoryContextSwitchTo(old);
	}
	resetStringInfo(&self->buffer);

	INSTR_TIME_SET_CURRENT(start);
	self->more = crmio_result_read(self->result, take_row, self);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	if (INSTR_TIME_GET_MILLISEC(end) < BATCH_MILLISECONDS)
		self->wanted = Min(self->wanted * 2, BATCH_LINES);
	else
		self->wanted = Max(self->wanted / 2, 1);
}

/*
 * end_export
 *		Ends the query.  Also the expression's callback: its caller may not want all rows.
 */
static void
end_export(Datum arg)
{
	LineExport *self = (LineExport *) DatumGetPointer(arg);

	if (self->result != NULL)
		crmio_result_close(self->result);
	self->result = NULL;
}

/*
 * start_export
 *		Starts the query, and makes the line of the header.
 */
static LineExport *
start_export(FunctionCallInfo fcinfo)
{
	LineExport *self = palloc0(sizeof(LineExport));
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;

	self->source = crmio_export_source(text_to_cstring(PG_GETARG_TEXT_PP(0)),
									   PG_GETARG_JSONB_P_COPY(1), NULL, true);
	initStringInfo(&self->buffer);
	self->bom = self->source->options.bom;
	self->wanted = 1;
	self->more = true;
	self->result = crmio_result_open(self->source);
	RegisterExprContextCallback(info->econtext, end_export, PointerGetDatum(self));
	crmio_csv_writer_init(&self->writer, &self->source->options, self->result->ncolumns,
						  self->result->columns);
	if (self->source->options.header)
	{
		int			start = begin_line(self);

		crmio_csv_header(&self->writer, &self->buffer);
		end_line(self, start);
	}
	return self;
}

/*
 * crm_export
 *		SELECT crm_export(query, options)
 */
Datum
crm_export(PG_FUNCTION_ARGS)
{
	FuncCallContext *call;
	LineExport *self;

	if (SRF_IS_FIRSTCALL())
	{
		static const char *const names[] = {"query", "options"};
		MemoryContext old;

		crmio_check_arguments(fcinfo, lengthof(names), names);
		call = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(call->multi_call_memory_ctx);
		call->user_fctx = start_export(fcinfo);
		MemoryContextSwitchTo(old);
	}
	call = SRF_PERCALL_SETUP();
	self = call->user_fctx;
	while (self->next == self->nlines && self->more)
		next_batch(self);
	if (self->next == self->nlines)
	{
		ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;

		UnregisterExprContextCallback(info->econtext, end_export, PointerGetDatum(self));
		end_export(PointerGetDatum(self));
		SRF_RETURN_DONE(call);
	}
	SRF_RETURN_NEXT(call, PointerGetDatum(self->buffer.data + self->offsets[self->next++]));
}
