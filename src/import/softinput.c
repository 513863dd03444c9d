/*
 * softinput.c
 *	  Input functions of types and checks of domains, whose errors are problems of
 *	  one value and not the end of the import.
 *
 * From PostgreSQL 16 on, the server's own types report such errors without raising
 * them.  All else (older servers, types of extensions, domains with functions in
 * their checks) runs in a subtransaction, which is slower, but leaves nothing
 * behind when it fails.
 */
#include "crmio.h"

#include "access/transam.h"
#include "access/xact.h"
#include "import/kinds.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"

#ifdef CRMIO_HAVE_SOFT_ERRORS
#include "nodes/miscnodes.h"
#endif

/* Longest message of the server that becomes a reason, in bytes. */
#define REASON_LENGTH	300

/*
 * Does the type's input function report errors without raising them?  So do the
 * server's own, except that those of arrays, ranges and composite types call the
 * functions of the types inside, which must be the server's too.
 */
bool
crmio_input_never_raises(Oid typid, const FmgrInfo *input)
{
	bool		soft_errors = false;

#ifdef CRMIO_HAVE_SOFT_ERRORS
	soft_errors = true;
#endif
	return soft_errors && input->fn_oid < FirstGenbkiObjectId &&
		(typid < FirstGenbkiObjectId || input->fn_oid == F_ENUM_IN);
}

/*
 * Turns the server's error into the problem of a value.
 */
static bool
problem_from_error(const ErrorData *error, FieldKind kind, ValueProblem *problem)
{
	char	   *reason = error->message;

	if (kind == KIND_JSON)
	{
		/* here the detail says what is wrong, as a sentence */
		if (error->detail != NULL)
		{
			reason = psprintf("not valid JSON: %s", error->detail);
			if (reason[strlen(reason) - 1] == '.')
				reason[strlen(reason) - 1] = '\0';
		}
		return crmio_problem(problem, "invalid_json", "%s", crmio_clip(reason));
	}
	if (strlen(reason) > REASON_LENGTH)
		reason = crmio_clip(reason);
	switch (error->sqlerrcode)
	{
		case ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE:
			return crmio_problem(problem, "out_of_range", "%s", reason);
		case ERRCODE_STRING_DATA_RIGHT_TRUNCATION:
			return crmio_problem(problem, "too_long", "%s", reason);
		default:
			return crmio_problem(problem, "invalid_value", "%s", reason);
	}
}

/*
 * Calls the input function, or with text NULL the check of the domain, in a
 * subtransaction.
 */
static bool
call_in_subtransaction(ValueReader *reader, char *text, Datum *value, ValueProblem *problem)
{
	MemoryContext context = CurrentMemoryContext;
	CrmioSubxact subxact;
	ErrorData  *volatile error = NULL;

	crmio_subxact_begin(&subxact);
	PG_TRY();
	{
		if (text != NULL)
			*value = InputFunctionCall(&reader->input, text, reader->ioparam,
									   reader->base_typmod);
		else
			domain_check(*value, false, reader->typid, &reader->domain_state,
						 reader->context);
		crmio_subxact_end(&subxact, true);
	}
	PG_CATCH();
	{
		error = crmio_subxact_failed(&subxact, context);
	}
	PG_END_TRY();

	if (error == NULL)
		return true;
	if (!crmio_is_row_error(error))
		ReThrowError(error);
	return problem_from_error(error, reader->kind, problem);
}

/*
 * Reads the text with the input function of the reader's base type.
 */
bool
crmio_soft_input(ValueReader *reader, char *text, Datum *value, ValueProblem *problem)
{
#ifdef CRMIO_HAVE_SOFT_ERRORS
	if (reader->input_is_soft)
	{
		ErrorSaveContext context = {T_ErrorSaveContext};

		context.details_wanted = true;
		if (InputFunctionCallSafe(&reader->input, text, reader->ioparam,
								  reader->base_typmod, (Node *) &context, value))
			return true;
		return problem_from_error(context.error_data, reader->kind, problem);
	}
#endif
	return call_in_subtransaction(reader, text, value, problem);
}

/*
 * Checks a value of the base type against the constraints of the reader's domain.
 * Their expressions may call anything, so the check always is in a subtransaction.
 */
bool
crmio_soft_domain_check(ValueReader *reader, Datum value, ValueProblem *problem)
{
	return call_in_subtransaction(reader, NULL, &value, problem);
}
