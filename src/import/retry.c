/*
 * retry.c
 *	  crm_retry_errors: imports the error rows of a job again, once their cause is
 *	  mended.
 *
 * It is crm_import of the file "errors:ID" (input/source_errors.c), with what the
 * job's row says for want of a mapping or policy.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/datum.h"

#include "history/job.h"

PG_FUNCTION_INFO_V1(crm_retry_errors);

extern Datum crm_import(PG_FUNCTION_ARGS);

/*
 * import_arguments
 *		What crm_import is to be called with.
 */
static void
import_arguments(FunctionCallInfo fcinfo, NullableDatum *arguments)
{
	int64		job_id = PG_GETARG_INT64(0);
	MemoryContext context = CurrentMemoryContext;
	MemoryContext old;
	JobInfo		job;

	SPI_connect();
	crmio_job_read(job_id, false, &job);
	old = MemoryContextSwitchTo(context);
	arguments[0].value = CStringGetTextDatum(psprintf("errors:" INT64_FORMAT, job_id));
	arguments[1] = fcinfo->args[1];
	if (PG_ARGISNULL(1))
		arguments[1].value = datumCopy(JsonbPGetDatum(job.mapping), false, -1);
	arguments[2] = fcinfo->args[2];
	if (PG_ARGISNULL(2))
		arguments[2].value = CStringGetTextDatum(job.policy);
	MemoryContextSwitchTo(old);
	SPI_finish();
	for (int i = 0; i < 3; i++)
		arguments[i].isnull = false;
}

/*
 * crm_retry_errors
 *		SELECT crm_retry_errors(job_id, mapping, policy)
 */
Datum
crm_retry_errors(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"job_id"};
	LOCAL_FCINFO(import, 3);
	Datum		result;

	InitFunctionCallInfoData(*import, fcinfo->flinfo, 3, fcinfo->fncollation, fcinfo->context,
							 fcinfo->resultinfo);
	if (SRF_IS_FIRSTCALL())
	{
		crmio_check_arguments(fcinfo, lengthof(names), names);
		import_arguments(fcinfo, import->args);
	}
	result = crm_import(import);
	fcinfo->isnull = import->isnull;
	return result;
}
