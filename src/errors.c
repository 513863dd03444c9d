/*
 * errors.c
 *	  Missing arguments; which errors are about a value or a row, and which end an
 *	  import; subtransactions that are ended whatever happens in them.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/resowner.h"

#include "crmio.h"

/*
 * crmio_check_arguments
 *		A NULL argument is an error: a strict function would return nothing, and an
 *		import that did not happen would look like one.
 */
void
crmio_check_arguments(FunctionCallInfo fcinfo, int n, const char *const *names)
{
	for (int i = 0; i < n; i++)
	{
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument \"%s\" must not be null", names[i])));
	}
}

/*
 * crmio_is_row_error
 *		Is an error one of a row, such as a constraint's or a trigger's?  Lost
 *		connections, lack of resources, cancellation, serialization failures and bugs
 *		are not.
 */
bool
crmio_is_row_error(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case MAKE_SQLSTATE('0', '8', '0', '0', '0'):	/* connection exception */
		case MAKE_SQLSTATE('2', '5', '0', '0', '0'):	/* invalid transaction state */
		case MAKE_SQLSTATE('4', '0', '0', '0', '0'):	/* transaction rollback */
		case MAKE_SQLSTATE('5', '3', '0', '0', '0'):	/* insufficient resources */
		case MAKE_SQLSTATE('5', '5', '0', '0', '0'):	/* object not in prerequisite state */
		case MAKE_SQLSTATE('5', '7', '0', '0', '0'):	/* operator intervention */
		case MAKE_SQLSTATE('5', '8', '0', '0', '0'):	/* system error */
		case MAKE_SQLSTATE('H', 'V', '0', '0', '0'):	/* foreign data wrapper */
		case MAKE_SQLSTATE('X', 'X', '0', '0', '0'):	/* internal error */
			return false;
		default:
			return true;
	}
}

/*
 * crmio_subxact_begin
 *		Begins an internal subtransaction; the caller's memory context stays.
 */
void
crmio_subxact_begin(CrmioSubxact *subxact)
{
	subxact->context = CurrentMemoryContext;
	subxact->owner = CurrentResourceOwner;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(subxact->context);
}

/*
 * crmio_subxact_end
 *		Ends it, kept or undone.
 */
void
crmio_subxact_end(const CrmioSubxact *subxact, bool keep)
{
	if (keep)
		ReleaseCurrentSubTransaction();
	else
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(subxact->context);
	CurrentResourceOwner = subxact->owner;
}

/*
 * crmio_subxact_failed
 *		In PG_CATCH: undoes it and returns the error, in the given memory context.  The
 *		subtransaction must be ended here even if the error goes on, because nobody
 *		above knows of it.
 */
ErrorData *
crmio_subxact_failed(const CrmioSubxact *subxact, MemoryContext context)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	crmio_subxact_end(subxact, false);
	return error;
}
