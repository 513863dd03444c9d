/*
 * crmio.c
 *	  Entry point of the library: its settings.
 */
#include "crmio.h"

#include <limits.h>

#include "fmgr.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "statement.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

int			crmio_batch_rows = 50000;
int			crmio_batch_memory = 64 * 1024;
int			crmio_max_rows = 0;
int			crmio_max_file_size = 1024 * 1024;
int			crmio_max_field_size = 16 * 1024;
int			crmio_max_background_jobs = 2;
char	   *crmio_propagate_settings = NULL;
char	   *crmio_pdf_font = NULL;
int			crmio_pdf_memory = 512 * 1024;

/* Only here so that triggers can ask for it; C code passes the id along. */
static char *job_id_setting = NULL;

/*
 * Sets a setting that anybody may set, until the current GUC nest level ends.
 */
void
crmio_set_locally(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Gives crmio.job_id a value until the current GUC nest level ends, by
 * AtEOXact_GUC or by abort; 0 makes it empty, as it is outside of imports.
 */
void
crmio_set_job_id(int64 job_id)
{
	char		text[32] = "";

	if (job_id != 0)
		snprintf(text, sizeof(text), INT64_FORMAT, job_id);
	(void) set_config_option("crmio.job_id", text, PGC_INTERNAL, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Until AtEOXact_GUC ends the level that is returned, values are written as any
 * session reads them back: what history keeps must not depend on who imports.
 */
int
crmio_portable_output(void)
{
	static const char *const settings[][2] = {
		{"DateStyle", "ISO"}, {"IntervalStyle", "postgres"}, {"extra_float_digits", "3"},
		{"TimeZone", "UTC"}, {"bytea_output", "hex"}, {"lc_monetary", "C"}
	};
	int			level = NewGUCNestLevel();

	for (int i = 0; i < lengthof(settings); i++)
		crmio_set_locally(settings[i][0], settings[i][1]);
	return level;
}

/*
 * Checks a list of names of settings.  Whether they exist is seen when they are used.
 */
static bool
check_names(char **newval, void **extra, GucSource source)
{
	char	   *names = pstrdup(*newval);
	List	   *list;
	bool		good = SplitIdentifierString(names, ',', &list);

	if (!good)
		GUC_check_errdetail("List syntax is invalid.");
	list_free(list);
	pfree(names);
	return good;
}

/*
 * Defines the settings.  What protects the server is for superusers, or for
 * roles with SET privilege on it; what tunes an import is for anybody.
 */
void
_PG_init(void)
{
	DefineCustomIntVariable("crmio.batch_rows",
							"Most rows that an import processes at a time.",
							NULL,
							&crmio_batch_rows, 50000, 1, 1000000,
							PGC_USERSET, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("crmio.batch_memory",
							"Memory for the rows that an import processes at a time.",
							"A batch ends when its rows fill this, or at crmio.batch_rows.",
							&crmio_batch_memory, 64 * 1024, 64, MAX_KILOBYTES,
							PGC_USERSET, GUC_UNIT_KB,
							NULL, NULL, NULL);
	DefineCustomIntVariable("crmio.max_rows",
							"Most data rows of a file that can be imported.",
							"Zero means no limit.",
							&crmio_max_rows, 0, 0, INT_MAX,
							PGC_SUSET, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("crmio.max_file_size",
							"Largest file that can be read or uploaded.",
							"Zero means no limit.",
							&crmio_max_file_size, 1024 * 1024, 0, INT_MAX,
							PGC_SUSET, GUC_UNIT_KB,
							NULL, NULL, NULL);

	/* 256 MB leaves room for a row below the largest allocation, 1 GB */
	DefineCustomIntVariable("crmio.max_field_size",
							"Longest value of a field of a file.",
							"A row with a longer one is an error row.",
							&crmio_max_field_size, 16 * 1024, 1, 256 * 1024,
							PGC_SUSET, GUC_UNIT_KB,
							NULL, NULL, NULL);
	DefineCustomIntVariable("crmio.max_background_jobs",
							"Most imports that run in the background at the same time, per database.",
							"More of them wait in a queue.  Zero stops the queue.",
							&crmio_max_background_jobs, 2, 0, 1024,
							PGC_SUSET, 0,
							NULL, NULL, NULL);
	DefineCustomStringVariable("crmio.propagate_settings",
							   "Settings of the session that an import in the background takes along.",
							   "search_path, TimeZone and other settings that give values their meaning go along in any case.",
							   &crmio_propagate_settings, "",
							   PGC_USERSET, GUC_LIST_INPUT,
							   check_names, NULL, NULL);
	DefineCustomStringVariable("crmio.pdf_font",
							   "TrueType font of exports to PDF.",
							   "The path of a .ttf file on the server.",
							   &crmio_pdf_font, "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
							   PGC_SUSET, 0,
							   NULL, NULL, NULL);
	DefineCustomIntVariable("crmio.pdf_memory",
							"Most memory that an export to PDF may take.",
							"A PDF is composed in memory as a whole.",
							&crmio_pdf_memory, 512 * 1024, 8 * 1024, MAX_KILOBYTES,
							PGC_SUSET, GUC_UNIT_KB,
							NULL, NULL, NULL);
	DefineCustomStringVariable("crmio.job_id",
							   "Id of the import that is running in this session.",
							   "Triggers read it to tell an import from an edit. It is empty outside of imports and can't be set.",
							   &job_id_setting, "",
							   PGC_INTERNAL, GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
							   NULL, NULL, NULL);
	crmio_mail_init();
	MarkGUCPrefixReserved("crmio");
	crmio_statement_init();
	crmio_jobs_init();
}
