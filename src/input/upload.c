/*
 * upload.c
 *	  Files that applications send: crm_upload, crm_upload_append and
 *	  crm_upload_drop.  They are read by source_upload.c.
 *
 * An upload is a row of crmio.upload and its bytes in rows of crmio.upload_part.
 * Only the role that made it may use it: not even members of that role.  For all
 * others it does not exist.
 */
#include "input/upload.h"
#include "input/source.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

/* 128 random bits: a handle can't be guessed. */
#define HANDLE_BYTES	16

PG_FUNCTION_INFO_V1(crm_upload);
PG_FUNCTION_INFO_V1(crm_upload_append);
PG_FUNCTION_INFO_V1(crm_upload_drop);

/*
 * Raises the error for a handle that is none of the caller's.
 */
static void
no_such_upload(const char *handle)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("upload \"%s\" does not exist", crmio_clip(handle)),
			 errdetail("An upload can be used by the role that made it, until the job that reads it ends."),
			 errhint("Upload the file again with crm_upload.")));
}

/*
 * Runs a statement whose first parameters are the handle and, as its owner, the
 * current user's name.  SPI is connected, and the owner of crmio's tables is the
 * current user already: `user` is whom they stand in for.
 */
static void
run_for_owner(const char *sql, int expected, const char *handle, Oid user)
{
	Oid			types[] = {TEXTOID, NAMEOID};
	NameData	owner;
	Datum		args[2];

	namestrcpy(&owner, GetUserNameFromId(user, false));
	args[0] = CStringGetTextDatum(handle);
	args[1] = NameGetDatum(&owner);
	if (SPI_execute_with_args(sql, 2, types, args, NULL, false, 0) != expected)
		elog(ERROR, "SPI failed: %s", sql);
}

/*
 * The size of an upload: where its last part ends.
 */
static int64
upload_size(const char *handle)
{
	Oid			types[] = {TEXTOID};
	Datum		args[1];
	bool		isnull;

	args[0] = CStringGetTextDatum(handle);
	if (SPI_execute_with_args("SELECT start_at + octet_length(content)"
							  " FROM crmio.upload_part WHERE handle = $1"
							  " ORDER BY start_at DESC LIMIT 1",
							  1, types, args, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read the size of an upload");
	if (SPI_processed == 0)
		return 0;
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
									   SPI_tuptable->tupdesc, 1, &isnull));
}

/*
 * Adds bytes to an upload from `position` on, in parts of at most
 * CRMIO_SOURCE_CHUNK.
 */
static void
add_parts(const char *handle, int64 position, const char *bytes, size_t length)
{
	Oid			types[] = {TEXTOID, INT8OID, BYTEAOID};
	Datum		args[3];
	SPIPlanPtr	plan;
	bytea	   *part = palloc(CRMIO_SOURCE_CHUNK + VARHDRSZ);

	plan = SPI_prepare("INSERT INTO crmio.upload_part (handle, start_at, content)"
					   " VALUES ($1, $2, $3)", 3, types);
	if (plan == NULL)
		elog(ERROR, "could not prepare the insertion of a part");
	args[0] = CStringGetTextDatum(handle);
	args[2] = PointerGetDatum(part);
	while (length > 0)
	{
		size_t		n = Min(length, CRMIO_SOURCE_CHUNK);

		CHECK_FOR_INTERRUPTS();
		memcpy(VARDATA(part), bytes, n);
		SET_VARSIZE(part, n + VARHDRSZ);
		args[1] = Int64GetDatum(position);
		if (SPI_execute_plan(plan, args, NULL, false, 0) != SPI_OK_INSERT)
			elog(ERROR, "could not insert a part");
		bytes += n;
		length -= n;
		position += n;
	}
}

/*
 * The file name and the size of an upload of the current user.
 */
char *
crmio_upload_find(const char *handle, int64 *size)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid			user = GetUserId();
	CrmioOwnerScope scope;
	char	   *name;

	crmio_become_owner(&scope);
	SPI_connect();
	run_for_owner("SELECT file_name FROM crmio.upload WHERE handle = $1 AND owner = $2",
				  SPI_OK_SELECT, handle, user);
	if (SPI_processed == 0)
		no_such_upload(handle);
	name = MemoryContextStrdup(caller,
							   SPI_getvalue(SPI_tuptable->vals[0],
											SPI_tuptable->tupdesc, 1));
	*size = upload_size(handle);
	SPI_finish();
	crmio_restore_user(&scope);
	return name;
}

/*
 * Deletes the bytes of an upload whose row is gone.
 */
static void
delete_parts(const char *handle)
{
	Oid			types[] = {TEXTOID};
	Datum		args[1];

	args[0] = CStringGetTextDatum(handle);
	if (SPI_execute_with_args("DELETE FROM crmio.upload_part WHERE handle = $1",
							  1, types, args, NULL, false, 0) != SPI_OK_DELETE)
		elog(ERROR, "could not delete the parts of an upload");
}

/*
 * Deletes an upload of the current user; false if there is none.
 */
static bool
delete_upload(const char *handle)
{
	Oid			user = GetUserId();
	CrmioOwnerScope scope;
	bool		found;

	crmio_become_owner(&scope);
	SPI_connect();
	run_for_owner("DELETE FROM crmio.upload WHERE handle = $1 AND owner = $2",
				  SPI_OK_DELETE, handle, user);
	found = SPI_processed > 0;
	if (found)
		delete_parts(handle);
	SPI_finish();
	crmio_restore_user(&scope);
	return found;
}

/*
 * As delete_upload, for the source whose job ended.
 */
void
crmio_upload_delete(const char *handle)
{
	(void) delete_upload(handle);
}

/*
 * crm_upload(filename text, content bytea) RETURNS text
 *		Keeps a file for an import and returns its handle.
 */
Datum
crm_upload(PG_FUNCTION_ARGS)
{
	char	   *filename = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bytea	   *content = PG_GETARG_BYTEA_PP(1);
	Oid			types[] = {TEXTOID, NAMEOID, TEXTOID};
	Datum		args[3];
	NameData	owner;
	unsigned char random[HANDLE_BYTES];
	char	   *handle = palloc(sizeof("upload:") + 2 * HANDLE_BYTES);
	char	   *base = strrchr(filename, '/');
	CrmioOwnerScope scope;

	crmio_source_check_size(filename, VARSIZE_ANY_EXHDR(content));
	if (!pg_strong_random(random, HANDLE_BYTES))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	strcpy(handle, "upload:");
	for (int i = 0; i < HANDLE_BYTES; i++)
		sprintf(handle + strlen("upload:") + 2 * i, "%02x", random[i]);

	namestrcpy(&owner, GetUserNameFromId(GetUserId(), false));
	args[0] = CStringGetTextDatum(handle);
	args[1] = NameGetDatum(&owner);
	/* browsers and scripts may send a path: people know the file by its name */
	args[2] = CStringGetTextDatum(base && base[1] ? base + 1 : filename);

	crmio_become_owner(&scope);
	SPI_connect();
	if (SPI_execute_with_args("INSERT INTO crmio.upload (handle, owner, file_name)"
							  " VALUES ($1, $2, $3)",
							  3, types, args, NULL, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not insert an upload");
	add_parts(handle, 0, VARDATA_ANY(content), VARSIZE_ANY_EXHDR(content));
	SPI_finish();
	crmio_restore_user(&scope);

	PG_RETURN_TEXT_P(cstring_to_text(handle));
}

/*
 * crm_upload_append(handle text, content bytea) RETURNS void
 *		Adds bytes to the end of an upload.
 */
Datum
crm_upload_append(PG_FUNCTION_ARGS)
{
	char	   *handle = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bytea	   *content = PG_GETARG_BYTEA_PP(1);
	size_t		length = VARSIZE_ANY_EXHDR(content);
	Oid			user = GetUserId();
	CrmioOwnerScope scope;
	int64		size;

	crmio_become_owner(&scope);
	SPI_connect();

	/*
	 * Two appends take turns by this lock.  It is an update, not a mere row
	 * lock, so that under REPEATABLE READ the second one fails as it should: it
	 * can't see where the first one ended.
	 */
	run_for_owner("UPDATE crmio.upload SET file_name = file_name"
				  " WHERE handle = $1 AND owner = $2",
				  SPI_OK_UPDATE, handle, user);
	if (SPI_processed == 0)
		no_such_upload(handle);
	size = upload_size(handle);
	crmio_source_check_size(handle, size + length);
	add_parts(handle, size, VARDATA_ANY(content), length);
	SPI_finish();
	crmio_restore_user(&scope);

	PG_RETURN_VOID();
}

/*
 * crm_upload_drop(handle text) RETURNS void
 *		Drops an upload that no import will use.
 */
Datum
crm_upload_drop(PG_FUNCTION_ARGS)
{
	char	   *handle = text_to_cstring(PG_GETARG_TEXT_PP(0));

	if (!delete_upload(handle))
		no_such_upload(handle);
	PG_RETURN_VOID();
}
