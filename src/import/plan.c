/*
 * plan.c
 *	  Binds a mapping to a module and a file: which column fills which field.  All
 *	  that can be refused is refused here, before any row is read.  bind.c goes on
 *	  from here, to the table's columns, references and match.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "import/import.h"
#include "import/suggest.h"

/*
 * resolve_path
 *		A field path of the module; an unknown one is an error.
 */
static FieldPath *
resolve_path(const Module *module, const char *text, const char *where)
{
	char	   *problem = NULL;
	char	   *hint = NULL;
	FieldPath  *path = crmio_path_resolve(module, text, &problem, &hint);

	if (path == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("%s", problem),
				 where ? errdetail("It stands in %s of the mapping.", where) : 0,
				 hint ? errhint("%s", hint) : 0));
	return path;
}

/*
 * describe_source
 *		Where the values of an input come from, for messages.
 */
static char *
describe_source(const Input *input)
{
	return input->column >= 0 ? psprintf("column \"%s\"", input->column_name) :
		pstrdup("a static value");
}

/*
 * check_conflict
 *		Two sources for one field path are refused.
 */
static void
check_conflict(const ImportPlan *plan, const Input *new)
{
	ListCell   *lc;

	foreach(lc, plan->inputs)
	{
		Input	   *other = lfirst(lc);

		if (strcmp(other->path->text, new->path->text) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s and %s are both mapped to field \"%s\"", describe_source(other),
							describe_source(new), new->path->text),
					 errhint("Map one of them to another field, or to null to skip it.")));
	}
}

/*
 * add_input
 *		Maps a column (or a static value) to a field path.  A full name fills two
 *		fields.
 */
static void
add_input(ImportPlan *plan, FieldPath *path, const Input *source, NamePart name_part)
{
	Input	   *input;

	if (path->part == PATH_NAME)
	{
		add_input(plan, resolve_path(plan->module, path->first_name->name, NULL), source, NAME_FIRST);
		add_input(plan, resolve_path(plan->module, path->last_name->name, NULL), source, NAME_LAST);
		return;
	}
	input = palloc(sizeof(Input));
	*input = *source;
	input->path = path;
	input->name_part = name_part;
	input->index = plan->ninputs;
	check_conflict(plan, input);
	plan->inputs = lappend(plan->inputs, input);
	plan->ninputs++;
}

/*
 * find_column
 *		Position of a file column given by its name, or as #N.  One that the file lacks
 *		is an error, or -1 if that is to be ignored; then case and punctuation do not
 *		count either.
 */
static int
find_column(const Reader *reader, const char *name, bool ignore_missing)
{
	char	   *trimmed = crmio_trim(pstrdup(name));
	char	   *key = crmio_name_key(trimmed);
	List	   *names = NIL;
	const char *closest;

	for (int i = 0; i < reader->ncolumns; i++)
	{
		if (strcmp(reader->column_names[i], trimmed) == 0)
			return i;
		names = lappend(names, reader->column_names[i]);
	}
	if (trimmed[0] == '#' && trimmed[1] != '\0' && strspn(trimmed + 1, "0123456789") == strlen(trimmed + 1))
	{
		long		position = strtol(trimmed + 1, NULL, 10);

		if (position >= 1 && position <= reader->ncolumns)
			return position - 1;
		if (ignore_missing)
			return -1;
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("the file has no column %s", crmio_clip(trimmed)),
				 errhint("Its columns are #1 to #%d.", reader->ncolumns)));
	}
	for (int i = 0; i < reader->ncolumns && ignore_missing && *key; i++)
	{
		if (strcmp(crmio_name_key(reader->column_names[i]), key) == 0)
			return i;
	}
	if (ignore_missing)
		return -1;
	closest = crmio_closest(trimmed, names);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("the file has no column \"%s\"", crmio_clip(trimmed)),
			 errdetail("It stands in \"columns\" of the mapping."),
			 closest ? errhint("Perhaps you meant \"%s\".", crmio_clip(closest)) :
			 errhint("Line " INT64_FORMAT " is taken for the header: %s. If that is wrong, set \"header_row\" or \"delimiter\".",
					 reader->header_line, crmio_clip(crmio_join(names, ", ")))));
	return -1;					/* not reached */
}

/*
 * is_free
 *		Does no input yet fill (a part of) what a path fills?
 */
static bool
is_free(const ImportPlan *plan, const FieldPath *path)
{
	ListCell   *lc;

	foreach(lc, plan->inputs)
	{
		FieldPath  *other = ((Input *) lfirst(lc))->path;

		if (strcmp(other->text, path->text) == 0)
			return false;
		if (path->part == PATH_NAME &&
			(other->field == path->first_name || other->field == path->last_name))
			return false;
	}
	return true;
}

/*
 * map_column
 *		Maps a column of the file to a field path.  Where columns may be missing, those
 *		for one field are alternatives: the first in the file has it, and full names wait
 *		for the second turn and give way to their parts.
 */
static void
map_column(ImportPlan *plan, const Reader *reader, int column, const char *text, bool second_turn)
{
	Input		source = {.column = column,.column_name = reader->column_names[column]};
	FieldPath  *path = resolve_path(plan->module, text, "\"columns\"");
	bool		late = plan->mapping->ignore_missing && path->part == PATH_NAME;

	if (late == second_turn && (!plan->mapping->ignore_missing || is_free(plan, path)))
		add_input(plan, path, &source, NAME_WHOLE);
}

/*
 * map_given_columns
 *		"columns" of the mapping, in the order of the file.
 */
static void
map_given_columns(ImportPlan *plan, const Reader *reader)
{
	List	  **paths = palloc0(sizeof(List *) * Max(reader->ncolumns, 1));
	ListCell   *lc;

	foreach(lc, plan->mapping->columns)
	{
		MappedColumn *column = lfirst(lc);
		int			position = find_column(reader, column->column,
										   plan->mapping->ignore_missing);

		if (position < 0)
			continue;
		if (column->paths != NIL && position == reader->error_reason_column)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("column \"%s\" can't be mapped", CRMIO_ERROR_REASON),
					 errdetail("It holds the reasons that crm_error_csv wrote.")));
		paths[position] = list_concat(paths[position], column->paths);
	}
	for (int i = 0; i < reader->ncolumns; i++)
	{
		foreach(lc, paths[i])
			map_column(plan, reader, i, lfirst(lc), false);
	}
	for (int i = 0; i < reader->ncolumns && plan->mapping->ignore_missing; i++)
	{
		foreach(lc, paths[i])
			map_column(plan, reader, i, lfirst(lc), true);
	}
}

/*
 * notice_lost_row
 *		Columns given by position alone say nothing about the header: if that looks like
 *		a row of data, it may be one.
 */
static void
notice_lost_row(const ImportPlan *plan, const Reader *reader)
{
	ListCell   *lc;

	if (plan->mapping->reader.header_row >= 0)
		return;
	foreach(lc, plan->mapping->columns)
	{
		if (((MappedColumn *) lfirst(lc))->column[0] != '#')
			return;
	}
	if (crmio_header_is_data(reader))
		ereport(NOTICE,
				(errmsg("line " INT64_FORMAT " of \"%s\" is taken for the header, but looks like a row of data",
						reader->header_line, reader->source->name),
				 errhint("If the file has no header, set \"header_row\" to 0; if it has, set it to its line.")));
}

/*
 * paths_of_inputs
 *		What is filled already, as a List of char *.
 */
static List *
paths_of_inputs(const ImportPlan *plan)
{
	List	   *paths = NIL;
	ListCell   *lc;

	foreach(lc, plan->inputs)
		paths = lappend(paths, ((Input *) lfirst(lc))->path->text);
	return paths;
}

/*
 * map_suggested_columns
 *		Without "columns": those that map with high or medium confidence.  A NOTICE says
 *		what was mapped.
 */
static void
map_suggested_columns(ImportPlan *plan, Reader *reader)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "crmio suggestions",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Suggestions *suggestions = crmio_suggest(plan->module, reader, &plan->mapping->reader,
											 paths_of_inputs(plan));
	List	   *mapped = NIL;
	List	   *skipped = NIL;

	for (int i = 0; i < reader->ncolumns; i++)
	{
		char	   *name = reader->column_names[i];
		Suggestion *suggestion = &suggestions->columns[i];
		Input		source = {.column = i,.column_name = name};

		if (i == reader->error_reason_column)
			continue;
		if (suggestion->confidence < CONFIDENCE_MEDIUM)
		{
			skipped = lappend(skipped, quote_literal_cstr(name));
			continue;
		}
		MemoryContextSwitchTo(old);
		add_input(plan, resolve_path(plan->module, suggestion->path->text, NULL), &source,
				  NAME_WHOLE);
		MemoryContextSwitchTo(context);
		mapped = lappend(mapped, psprintf("%s to %s%s", quote_literal_cstr(name),
										  suggestion->path->text,
										  suggestion->confidence == CONFIDENCE_MEDIUM ? " (probably)" : ""));
	}
	if (mapped != NIL || skipped != NIL)
		ereport(NOTICE,
				(errmsg("columns mapped by name: %s", mapped ? crmio_join(mapped, ", ") : "none"),
				 skipped ? errdetail("Skipped: %s.", crmio_join(skipped, ", ")) : 0,
				 mapped == NIL && suggestions->hint ?
				 errhint("The file may be odd: %s.  %s", suggestions->notice, suggestions->hint) : 0));
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/*
 * map_statics
 *		"static" of the mapping.  Where columns may be missing, a value stands in for
 *		them.
 */
static void
map_statics(ImportPlan *plan)
{
	ListCell   *lc;

	foreach(lc, plan->mapping->statics)
	{
		StaticValue *value = lfirst(lc);
		FieldPath  *path = resolve_path(plan->module, value->path, "\"static\"");
		Input		source = {.column = -1};

		if (plan->mapping->ignore_missing && !is_free(plan, path))
			continue;
		source.static_text = value->text;
		if (value->joined != NULL && path->kind == KIND_TEXT_LIST)
			source.static_text = value->joined;
		if (source.static_text != NULL)
			source.static_text = crmio_trim(pstrdup(source.static_text));
		add_input(plan, path, &source, NAME_WHOLE);
	}
}

/*
 * satisfies
 *		Is a required field path mapped?  The inputs that satisfy it become required in
 *		every row that has them.
 */
static bool
satisfies(const ImportPlan *plan, const char *required)
{
	bool		found = false;
	ListCell   *lc;

	foreach(lc, plan->inputs)
	{
		Input	   *input = lfirst(lc);

		if (crmio_path_meets(input->path, required))
		{
			found = true;
			input->required = true;
		}
	}
	return found;
}

/*
 * check_required
 *		What the module demands of a mapping.
 */
static void
check_required(const ImportPlan *plan)
{
	ListCell   *lc;
	ListCell   *alternative;

	foreach(lc, plan->module->required)
	{
		bool		found = false;

		foreach(alternative, (List *) lfirst(lc))
			found |= satisfies(plan, lfirst(alternative));
		if (!found)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("an import of %s must map %s", plan->module->name,
							crmio_join(lfirst(lc), " or ")),
					 errhint("Map a column of the file to it in \"columns\", or give it a value for all rows in \"static\".")));
	}
}

/*
 * crmio_plan_create
 *		The plan of an import, in the given context; wrong mappings are errors.
 */
ImportPlan *
crmio_plan_create(MemoryContext context, Mapping *mapping, Module *module,
				  Relation rel, Reader *reader)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	ImportPlan *plan = palloc0(sizeof(ImportPlan));
	int			nmapped;

	plan->context = context;
	initStringInfo(&plan->scratch);
	plan->mapping = mapping;
	plan->module = module;
	plan->rel = rel;
	if (mapping->columns_given)
	{
		map_given_columns(plan, reader);
		notice_lost_row(plan, reader);
		nmapped = plan->ninputs;
		map_statics(plan);
	}
	else
	{
		/* a static value wins over a column that would map by its name */
		map_statics(plan);
		nmapped = -plan->ninputs;
		map_suggested_columns(plan, reader);
		nmapped += plan->ninputs;
	}
	if (nmapped == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no column of the file is mapped"),
				 mapping->columns_given ?
				 errdetail("\"columns\" of the mapping maps nothing that is in the file; columns that it does not list are skipped.") :
				 errdetail("No column is surely or probably a field of module \"%s\".",
						   module->name),
				 mapping->columns_given ?
				 errhint("SELECT * FROM crm_columns(file) shows the columns, SELECT * FROM crm_fields('%s') the fields.",
						 module->name) :
				 errhint("SELECT * FROM crm_suggest_mapping(file, '%s') says why; give \"columns\" in the mapping.",
						 module->name)));
	check_required(plan);
	MemoryContextSwitchTo(old);
	return plan;
}
