/*
 * bind.c
 *	  Binds a plan to the database: the columns that an import sets, how their
 *	  values are read and compared, their defaults, the lookups for references and
 *	  matches, and the caller's rights to look.
 *
 * plan.c has made the inputs; writer.c makes the statements that write.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "import/import.h"

/*
 * column_default
 *		The column's default, ready to be evaluated; NULL if it has none.
 */
static ExprState *
column_default(EState *estate, Relation rel, AttrNumber attnum)
{
	Expr	   *expr;

	if (rel->rd_rel->relkind == RELKIND_VIEW ||
		TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attgenerated != '\0')
		return NULL;
	expr = (Expr *) build_column_default(rel, attnum);
	return expr ? ExecPrepareExpr(expr, estate) : NULL;
}

/*
 * init_comparison
 *		How two values of a column are compared: by the type's equality, but text by
 *		its bytes, so that a change of case is one.
 */
static void
init_comparison(Target *target, MemoryContext context)
{
	TypeCacheEntry *type;
	char		category;
	bool		preferred;

	target->base_typid = getBaseType(target->typid);
	target->is_array = OidIsValid(get_element_type(target->base_typid));
	type = lookup_type_cache(target->base_typid, TYPECACHE_EQ_OPR_FINFO);
	get_type_category_preferred(target->typid, &category, &preferred);
	target->by_image = category == TYPCATEGORY_STRING || !OidIsValid(type->eq_opr_finfo.fn_oid);
	if (!target->by_image)
		fmgr_info_copy(&target->equal, &type->eq_opr_finfo, context);
}

/*
 * init_target
 *		A column that the import sets.
 */
static void
init_target(ImportPlan *plan, Target *target, AttrNumber attnum, int index)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(plan->rel), attnum - 1);
	Oid			output;
	bool		varlena;

	target->index = index;
	target->attnum = attnum;
	target->column = pstrdup(NameStr(att->attname));
	target->typid = att->atttypid;
	target->typmod = att->atttypmod;
	target->typlen = att->attlen;
	target->typbyval = att->attbyval;
	target->not_null = att->attnotnull;
	target->collation = att->attcollation;
	target->kept_if_empty = att->attnotnull;
	target->default_expr = column_default(plan->estate, plan->rel, attnum);
	init_comparison(target, plan->context);
	getTypeOutputInfo(att->atttypid, &output, &varlena);
	fmgr_info_cxt(output, &target->output, plan->context);
}

/*
 * target_attnum
 *		The column that an input fills, and how its values lie in it.
 */
static AttrNumber
target_attnum(const Input *input, FieldStorage *storage)
{
	const Field *field = input->path->field;

	*storage = field->storage;
	if (input->path->part == PATH_TYPED && field->storage != STORAGE_TYPED_LIST)
	{
		*storage = STORAGE_TYPED_LIST;
		return field->typed_attnum;
	}
	return field->attnum;
}

/*
 * bind_targets
 *		One target per column, in the order of the inputs; last the lifecycle column,
 *		if no input fills it.
 */
static void
bind_targets(ImportPlan *plan)
{
	ListCell   *lc;

	plan->targets = palloc0(sizeof(Target) * (plan->ninputs + 1));
	foreach(lc, plan->inputs)
	{
		Input	   *input = lfirst(lc);
		FieldStorage storage;
		AttrNumber	attnum = target_attnum(input, &storage);
		Target	   *target = NULL;

		for (int i = 0; i < plan->ntargets && target == NULL; i++)
		{
			if (plan->targets[i].attnum == attnum)
				target = &plan->targets[i];
		}
		if (target == NULL)
		{
			target = &plan->targets[plan->ntargets];
			init_target(plan, target, attnum, plan->ntargets++);
			target->field = input->path->field;
			target->storage = storage;
		}
		else if (storage == STORAGE_SCALAR && input->path->part != PATH_REFERENCE)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("fields \"%s\" and \"%s\" are one column of the table, \"%s\"",
							((Input *) linitial(target->inputs))->path->text, input->path->text,
							target->column),
					 errhint("Map only one of them.")));
		input->target = target;
		target->inputs = lappend(target->inputs, input);
		if (target->not_null && target->default_expr == NULL)
			input->required = true;
	}

	if (plan->module->lifecycle_rule == LIFECYCLE_NONE)
		return;
	for (int i = 0; i < plan->ntargets; i++)
	{
		if (plan->targets[i].attnum == plan->module->lifecycle_attnum)
			plan->lifecycle = &plan->targets[i];
	}
	if (plan->lifecycle == NULL && plan->module->new_stage != NULL)
	{
		plan->lifecycle = &plan->targets[plan->ntargets];
		init_target(plan, plan->lifecycle, plan->module->lifecycle_attnum, plan->ntargets++);
	}
	if (plan->lifecycle != NULL)
	{
		if (plan->module->new_stage != NULL)
		{
			Oid			function;
			Oid			param;

			getTypeInputInfo(plan->lifecycle->typid, &function, &param);
			plan->new_stage = OidInputFunctionCall(function, plan->module->new_stage, param, -1);
		}
		plan->lifecycle->lifecycle = true;
		plan->lifecycle->kept_if_empty = true;
	}
}

/*
 * key_field
 *		The key of the records that a reference refers to, as a field to read values.
 */
static Field *
key_field(const Reference *reference, FieldKind kind)
{
	Field	   *field = palloc0(sizeof(Field));
	AttrNumber	attnum = reference->module->key_attnums[0];
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(reference->rel), attnum - 1);

	field->name = pstrdup("id");
	field->label = field->name;
	field->kind = kind;
	field->attnum = attnum;
	field->column = pstrdup(NameStr(att->attname));
	field->typid = att->atttypid;
	field->typmod = att->atttypmod;
	field->collation = att->attcollation;
	return field;
}

/*
 * bind_inputs
 *		Prepares the reading of each input's text.
 */
static void
bind_inputs(ImportPlan *plan)
{
	const Mapping *mapping = plan->mapping;
	ListCell   *lc;

	foreach(lc, plan->inputs)
	{
		Input	   *input = lfirst(lc);
		bool		as_text = input->target->storage != STORAGE_SCALAR;

		if (input->path->part != PATH_REFERENCE)
			input->field = input->path->field;
		else if (input->path->lookup_field != NULL)
			input->field = input->path->lookup_field;
		else
			input->field = key_field(input->target->reference, input->path->kind);
		crmio_value_reader_init(&input->reader, input->field, input->path->kind, as_text,
								mapping->decimal, mapping->date_order);
	}
}

/*
 * is_auto_created
 *		Does the mapping have the missing records of a reference created?
 */
static bool
is_auto_created(const Mapping *mapping, const Field *field)
{
	ListCell   *lc;

	if (mapping->auto_create_all)
		return true;
	foreach(lc, mapping->auto_create)
	{
		if (pg_strcasecmp(lfirst(lc), field->name) == 0)
			return true;
	}
	return false;
}

/*
 * check_auto_create
 *		Each name in "auto_create" must be a reference of the module; one that is not
 *		mapped has no effect.
 */
static void
check_auto_create(const ImportPlan *plan)
{
	ListCell   *lc;
	ListCell   *f;

	foreach(lc, plan->mapping->auto_create)
	{
		List	   *names = NIL;
		bool		found = false;

		foreach(f, plan->module->fields)
		{
			Field	   *field = lfirst(f);

			if (field->kind != KIND_REFERENCE)
				continue;
			found |= pg_strcasecmp(lfirst(lc), field->name) == 0;
			names = lappend(names, field->name);
		}
		if (!found)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"%s\" in \"auto_create\" of the mapping is not a reference of module \"%s\"",
							crmio_clip(lfirst(lc)), plan->module->name),
					 names ? errhint("Its references are: %s.", crmio_join(names, ", ")) :
					 errhint("The module has no references.")));
	}
}

/*
 * is_required_reference
 *		Must each record have this reference?
 */
static bool
is_required_reference(const ImportPlan *plan, const Target *target)
{
	ListCell   *lc;
	ListCell   *alternative;
	ListCell   *input;

	if (target->not_null && target->default_expr == NULL)
		return true;
	foreach(lc, plan->module->required)
	{
		foreach(alternative, (List *) lfirst(lc))
		{
			foreach(input, target->inputs)
			{
				if (crmio_path_meets(((Input *) lfirst(input))->path, lfirst(alternative)))
					return true;
			}
		}
	}
	return false;
}

/*
 * init_conversion
 *		The column referred to may have another type than the one that stores the
 *		reference (bigint and integer, usually): its values go through text then.
 */
static void
init_conversion(Reference *reference, const Target *target, MemoryContext context)
{
	Oid			ref_typid = get_atttype(reference->module->relid,
										get_attnum(reference->module->relid,
												   reference->field->ref_column));
	Oid			function;
	bool		varlena;

	reference->convert = getBaseType(ref_typid) != getBaseType(target->typid);
	if (!reference->convert)
		return;
	getTypeOutputInfo(ref_typid, &function, &varlena);
	fmgr_info_cxt(function, &reference->output, context);
	getTypeInputInfo(target->typid, &function, &reference->input_param);
	fmgr_info_cxt(function, &reference->input, context);
}

/*
 * open_references
 *		One Reference for each target that is one.
 */
static void
open_references(ImportPlan *plan)
{
	const Mapping *mapping = plan->mapping;

	for (int i = 0; i < plan->ntargets; i++)
	{
		Target	   *target = &plan->targets[i];
		Reference  *reference;

		if (target->inputs == NIL ||
			((Input *) linitial(target->inputs))->path->part != PATH_REFERENCE)
			continue;
		reference = palloc0(sizeof(Reference));
		reference->index = list_length(plan->references);
		reference->field = target->field;
		reference->module = ((Input *) linitial(target->inputs))->path->ref;
		reference->rel = table_open(reference->module->relid, AccessShareLock);
		reference->table_desc = CreateTupleDescCopyConstr(RelationGetDescr(reference->rel));
		reference->self = reference->module->relid == plan->module->relid;
		reference->auto_create = is_auto_created(mapping, target->field);
		reference->unresolved_is_error = mapping->unresolved == STRICT_DEFAULT ?
			is_required_reference(plan, target) : mapping->unresolved == STRICT_ERROR;
		init_conversion(reference, target, plan->context);
		target->reference = reference;
		plan->references = lappend(plan->references, reference);
	}
	check_auto_create(plan);
}

/*
 * add_ref_lookup
 *		A way to find the record of a reference: by the value of an input.
 */
static void
add_ref_lookup(ImportPlan *plan, Reference *reference, Input *input)
{
	RefLookup  *ref_lookup = palloc0(sizeof(RefLookup));
	LookupField *field = palloc0(sizeof(LookupField));
	AttrNumber *column = palloc(sizeof(AttrNumber));

	field->attnum = input->field->attnum;
	field->form = input->path->lookup_field ?
		crmio_key_form(input->path->lookup_field, true) : KEY_NATIVE;
	/* the column that a reference stores: usually the key, but any unique one may be */
	*column = get_attnum(reference->module->relid, reference->field->ref_column);
	ref_lookup->input = input;
	ref_lookup->by_key = input->path->lookup_field == NULL;
	ref_lookup->index = plan->nref_lookups++;
	ref_lookup->lookup = crmio_lookup_create(plan->context, reference->module, reference->rel,
											 1, field, 1, column,
											 plan->mapping->first_if_ambiguous);
	reference->lookups = lappend(reference->lookups, ref_lookup);
}

/*
 * lookup_rank
 *		In which order the lookups of a reference are tried: by key, as the module
 *		referred to says, then the others.
 */
static int
lookup_rank(const Module *module, const Input *input)
{
	int			rank = 1;
	ListCell   *lc;

	if (input->path->lookup_field == NULL)
		return 0;
	foreach(lc, module->lookup)
	{
		if (strcmp(lfirst(lc), input->path->lookup) == 0)
			return rank;
		rank++;
	}
	return rank;
}

/*
 * bind_references
 *		The lookups of all references, in the order to try them.
 */
static void
bind_references(ImportPlan *plan)
{
	for (int i = 0; i < plan->ntargets; i++)
	{
		Target	   *target = &plan->targets[i];
		int			last_rank;
		ListCell   *lc;

		if (target->reference == NULL)
			continue;
		last_rank = list_length(target->reference->module->lookup) + 1;
		for (int rank = 0; rank <= last_rank; rank++)
		{
			foreach(lc, target->inputs)
			{
				if (lookup_rank(target->reference->module, lfirst(lc)) == rank)
					add_ref_lookup(plan, target->reference, lfirst(lc));
			}
		}
	}
}

/*
 * match_inputs
 *		The inputs that a match field compares: the one mapped to it; for a typed list
 *		without a type also those with one.
 */
static List *
match_inputs(const ImportPlan *plan, const FieldPath *path)
{
	List	   *inputs = NIL;
	ListCell   *lc;

	foreach(lc, plan->inputs)
	{
		Input	   *input = lfirst(lc);

		if (strcmp(input->path->text, path->text) == 0)
			return list_make1(input);
		if (path->part == PATH_TYPED && path->type == NULL &&
			input->path->part == PATH_TYPED && input->path->field == path->field)
			inputs = lappend(inputs, input);
	}
	return inputs;
}

/*
 * bind_match_field
 *		One field of a match alternative; false if it is not mapped.
 */
static bool
bind_match_field(const ImportPlan *plan, const char *name, MatchField *match, LookupField *field)
{
	char	   *problem = NULL;
	char	   *hint = NULL;
	FieldPath  *path = crmio_path_resolve(plan->module, name, &problem, &hint);
	FieldStorage storage;
	Input		input = {0};
	ListCell   *lc;

	if (path == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("%s", problem),
				 errdetail("It stands in \"match\"."),
				 hint ? errhint("%s", hint) : 0));
	if (path->part == PATH_NAME || path->part == PATH_ADDRESS || path->part == PATH_CUSTOM)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("records can't be matched by \"%s\"", name),
				 path->part == PATH_NAME ?
				 errhint("Use [\"%s\", \"%s\"].", path->first_name->name, path->last_name->name) :
				 errhint("Use a field with a column of its own, or a typed list such as phone.")));

	if (path->part == PATH_REFERENCE)
	{
		for (int i = 0; i < plan->ntargets; i++)
		{
			if (plan->targets[i].reference && plan->targets[i].field == path->field)
				match->reference = plan->targets[i].reference;
		}
		foreach(lc, plan->inputs)
		{
			Input	   *other = lfirst(lc);

			if (strcmp(other->path->text, path->text) == 0)
				other->required = true;
		}
		field->attnum = path->field->attnum;
		field->form = KEY_NATIVE;
		return match->reference != NULL;
	}
	input.path = path;
	field->attnum = target_attnum(&input, &storage);
	field->in_list = storage == STORAGE_TYPED_LIST;
	field->form = crmio_key_form(path->field, false);
	if (field->in_list && field->form == KEY_NATIVE)
		field->form = KEY_LOWER;
	match->inputs = match_inputs(plan, path);
	return match->inputs != NIL;
}

/*
 * bind_match_key
 *		One alternative of the match.  One of the module's own whose fields are not all
 *		mapped is left out; one that the mapping names is an error then.
 */
static void
bind_match_key(ImportPlan *plan, List *names, AttrNumber *columns)
{
	int			nfields = list_length(names);
	MatchKey   *key = palloc0(sizeof(MatchKey));
	LookupField *fields = palloc0(sizeof(LookupField) * nfields);
	int			i = 0;
	ListCell   *lc;

	key->fields = palloc0(sizeof(MatchField) * nfields);
	foreach(lc, names)
	{
		if (!bind_match_field(plan, lfirst(lc), &key->fields[i], &fields[i]))
		{
			if (!plan->mapping->match_given)
				return;
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("match field \"%s\" is not mapped", (char *) lfirst(lc)),
					 errhint("Map a column of the file to it, or leave it out of \"match\".")));
		}
		i++;
	}
	for (i = 0; i < nfields; i++)
	{
		foreach(lc, key->fields[i].inputs)
		{
			Input	   *input = lfirst(lc);

			input->required = true;
			input->target->kept_if_empty = true;
		}
		for (int t = 0; t < plan->ntargets; t++)
		{
			if (plan->targets[t].reference != NULL &&
				plan->targets[t].reference == key->fields[i].reference)
				plan->targets[t].kept_if_empty = true;
		}
	}
	key->lookup = crmio_lookup_create(plan->context, plan->module, plan->rel, nfields, fields,
									  plan->ntargets, columns, plan->mapping->first_if_ambiguous);
	plan->match = lappend(plan->match, key);
}

/*
 * bind_match
 *		All alternatives of the match; each lookup fetches the columns that an update
 *		would compare.
 */
static void
bind_match(ImportPlan *plan)
{
	List	   *match = plan->mapping->match_given ? plan->mapping->match : plan->module->match;
	AttrNumber *columns = palloc(sizeof(AttrNumber) * plan->ntargets);
	ListCell   *lc;

	for (int i = 0; i < plan->ntargets; i++)
		columns[i] = plan->targets[i].attnum;
	foreach(lc, match)
		bind_match_key(plan, lfirst(lc), columns);
	if (plan->mapping->policy == POLICY_CREATE)
		plan->match = NIL;
	else if (plan->mapping->policy == POLICY_SKIP)
	{
		/* nothing is compared */
		foreach(lc, plan->match)
		{
			MatchKey   *key = lfirst(lc);

			key->lookup = crmio_lookup_create(plan->context, plan->module, plan->rel,
											  key->lookup->nfields, key->lookup->fields, 0, NULL, false);
		}
	}
}

/*
 * bind_keys
 *		New records get their keys here, if these have defaults and the caller may set
 *		them: then they are known without asking the INSERT for them.
 */
static void
bind_keys(ImportPlan *plan)
{
	const Module *module = plan->module;
	ExprState **defaults = palloc0(sizeof(ExprState *) * module->nkeys);

	for (int i = 0; i < module->nkeys; i++)
	{
		AttrNumber	attnum = module->key_attnums[i];

		for (int t = 0; t < plan->ntargets; t++)
		{
			if (plan->targets[t].attnum == attnum)
				return;
		}
		defaults[i] = column_default(plan->estate, plan->rel, attnum);
		if (defaults[i] == NULL ||
			(pg_class_aclcheck(module->relid, GetUserId(), ACL_INSERT) != ACLCHECK_OK &&
			 pg_attribute_aclcheck(module->relid, attnum, GetUserId(), ACL_INSERT) != ACLCHECK_OK))
			return;
	}
	plan->key_defaults = defaults;
	plan->keys_are_kept = plan->rel->rd_rel->relkind == RELKIND_RELATION &&
		!plan->rel->rd_rel->relhasrules &&
		!(plan->rel->trigdesc && plan->rel->trigdesc->trig_insert_before_row);
}

/*
 * crmio_plan_bind
 *		Completes a plan.  *warnings gets a CREATE INDEX for each lookup that no index
 *		serves; without to_write, which only checks, such a lookup is of no use.  The
 *		caller holds an SPI connection.
 */
void
crmio_plan_bind(ImportPlan *plan, bool to_write, List **warnings)
{
	MemoryContext old = MemoryContextSwitchTo(plan->context);
	bool		update = plan->mapping->policy == POLICY_UPDATE;
	ListCell   *lc;
	ListCell   *l;

	plan->table_desc = CreateTupleDescCopyConstr(RelationGetDescr(plan->rel));
	plan->estate = CreateExecutorState();
	plan->key = crmio_record_key_create(plan->context, plan->module, plan->rel);
	bind_targets(plan);
	open_references(plan);
	bind_inputs(plan);
	for (int i = 0; i < plan->ntargets; i++)
	{
		Target	   *target = &plan->targets[i];

		if (target->storage == STORAGE_SCALAR && target->reference == NULL &&
			!target->lifecycle && target->inputs != NIL)
			target->only_input = linitial(target->inputs);
	}
	bind_references(plan);
	bind_match(plan);
	bind_keys(plan);

	foreach(lc, plan->match)
		crmio_lookup_prepare(((MatchKey *) lfirst(lc))->lookup, update, to_write, warnings);
	foreach(lc, plan->references)
	{
		Reference  *reference = lfirst(lc);

		foreach(l, reference->lookups)
			crmio_lookup_prepare(((RefLookup *) lfirst(l))->lookup, false, to_write, warnings);
		if (reference->auto_create)
			crmio_ref_writer_create(plan, reference);
	}
	MemoryContextSwitchTo(old);
}

/*
 * check_table
 *		A table must be as it was when the plan was made.
 */
static void
check_table(const Module *module, TupleDesc planned)
{
	Relation	rel = try_relation_open(module->relid, AccessShareLock);

	if (rel == NULL || !equalTupleDescs(RelationGetDescr(rel), planned))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s was changed during an import", module->relation),
				 errdetail("Only the session that imports can do that, between two fetches of the result of crm_import.")));
	relation_close(rel, NoLock);
}

/*
 * crmio_plan_check
 *		Between two batches the caller's session may have altered or dropped the tables.
 */
void
crmio_plan_check(const ImportPlan *plan)
{
	ListCell   *lc;

	check_table(plan->module, plan->table_desc);
	foreach(lc, plan->references)
	{
		Reference  *reference = lfirst(lc);

		check_table(reference->module, reference->table_desc);
	}
}

/*
 * crmio_lookups_added
 *		Records of a table were written: all lookups in it learn of them.
 */
void
crmio_lookups_added(ImportPlan *plan, Oid relid, int nrecords, Datum **keys)
{
	ListCell   *lc;
	ListCell   *l;

	foreach(lc, plan->match)
	{
		if (relid == plan->module->relid)
			crmio_lookup_added(((MatchKey *) lfirst(lc))->lookup, nrecords, keys);
	}
	foreach(lc, plan->references)
	{
		Reference  *reference = lfirst(lc);

		if (relid != reference->module->relid)
			continue;
		foreach(l, reference->lookups)
			crmio_lookup_added(((RefLookup *) lfirst(l))->lookup, nrecords, keys);
	}
}
