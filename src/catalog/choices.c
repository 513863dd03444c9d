/*
 * choices.c
 *	  The values that the catalog allows a column: the labels of an enum, or the
 *	  list in a CHECK constraint of the column or of its domain.
 */
#include "catalog/derive.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "nodes/primnodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/*
 * A choice whose label is its value.
 */
static Choice *
plain_choice(const char *value)
{
	Choice	   *choice = palloc(sizeof(Choice));

	choice->value = pstrdup(value);
	choice->label = choice->value;
	return choice;
}

/*
 * The labels of an enum type in their order, as a List of Choice *.
 */
List *
crmio_enum_choices(Oid enumtypid)
{
	List	   *choices = NIL;
	Relation	rel = table_open(EnumRelationId, AccessShareLock);
	Relation	index = index_open(EnumTypIdSortOrderIndexId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_enum_enumtypid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(enumtypid));
	scan = systable_beginscan_ordered(rel, index, NULL, 1, &key);
	while ((tuple = systable_getnext_ordered(scan, ForwardScanDirection)) != NULL)
		choices = lappend(choices,
						  plain_choice(NameStr(((Form_pg_enum) GETSTRUCT(tuple))->enumlabel)));
	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
	table_close(rel, AccessShareLock);
	return choices;
}

/*
 * Is this the value that is checked: the column, or in a constraint of a domain
 * (attnum 0) the domain's value?
 */
static bool
is_checked_value(Node *node, AttrNumber attnum)
{
	for (;;)
	{
		if (IsA(node, RelabelType))
			node = (Node *) ((RelabelType *) node)->arg;
		else if (IsA(node, CoerceToDomain))
			node = (Node *) ((CoerceToDomain *) node)->arg;
		else
			break;
	}
	if (attnum == 0)
		return IsA(node, CoerceToDomainValue);
	return IsA(node, Var) && ((Var *) node)->varattno == attnum;
}

/*
 * The constant that a comparison compares with, or NULL.
 */
static Const *
as_constant(Node *node)
{
	while (IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	if (!IsA(node, Const) || ((Const *) node)->constisnull)
		return NULL;
	return (Const *) node;
}

/*
 * Is the operator an equality?  Selectivity tells it from "~" and "<>" for
 * every type of text.
 */
static bool
is_equality(Oid opno)
{
	return get_oprrest(opno) == F_EQSEL;
}

/*
 * Adds the text of a constant.
 */
static List *
add_value(List *choices, Datum value, Oid typid)
{
	Oid			output;
	bool		is_varlena;

	getTypeOutputInfo(typid, &output, &is_varlena);
	return lappend(choices, plain_choice(OidOutputFunctionCall(output, value)));
}

/*
 * Adds the elements of a constant array.
 */
static bool
collect_elements(Const *array, List **choices)
{
	Oid			element = get_element_type(array->consttype);
	int16		length;
	bool		byval;
	char		align;
	Datum	   *values;
	bool	   *nulls;
	int			count;
	int			i;

	if (!OidIsValid(element))
		return false;
	get_typlenbyvalalign(element, &length, &byval, &align);
	deconstruct_array(DatumGetArrayTypeP(array->constvalue), element, length, byval,
					  align, &values, &nulls, &count);
	for (i = 0; i < count; i++)
	{
		if (!nulls[i])
			*choices = add_value(*choices, values[i], element);
	}
	return true;
}

/*
 * value = ANY (array), the array being a constant or made of constants.  Casts
 * that change no bytes are looked through; the tree is not evaluated, for there
 * may be functions of the table's owner in it.
 */
static bool
collect_array(ScalarArrayOpExpr *expr, AttrNumber attnum, List **choices)
{
	Node	   *array = lsecond(expr->args);
	ListCell   *lc;

	if (!expr->useOr || !is_equality(expr->opno) ||
		!is_checked_value(linitial(expr->args), attnum))
		return false;
	for (;;)
	{
		if (IsA(array, RelabelType))
			array = (Node *) ((RelabelType *) array)->arg;
		else if (IsA(array, ArrayCoerceExpr) &&
				 IsA(((ArrayCoerceExpr *) array)->elemexpr, RelabelType))
			array = (Node *) ((ArrayCoerceExpr *) array)->arg;
		else
			break;
	}
	if (as_constant(array) != NULL)
		return collect_elements(as_constant(array), choices);
	if (!IsA(array, ArrayExpr))
		return false;
	foreach(lc, ((ArrayExpr *) array)->elements)
	{
		Const	   *constant = as_constant(lfirst(lc));

		if (constant == NULL)
			return false;
		*choices = add_value(*choices, constant->constvalue, constant->consttype);
	}
	return true;
}

/*
 * Collects the values if the condition is nothing but a list of them; false if it
 * is anything else.  IS NULL may stand beside them.
 */
static bool
collect_values(Node *node, AttrNumber attnum, List **choices)
{
	if (IsA(node, ScalarArrayOpExpr))
		return collect_array((ScalarArrayOpExpr *) node, attnum, choices);
	if (IsA(node, OpExpr) && list_length(((OpExpr *) node)->args) == 2)
	{
		OpExpr	   *expr = (OpExpr *) node;
		Node	   *left = linitial(expr->args);
		Node	   *right = lsecond(expr->args);
		Const	   *constant = as_constant(right);

		if (constant == NULL)
		{
			constant = as_constant(left);
			left = right;
		}
		if (constant == NULL || !is_equality(expr->opno) || !is_checked_value(left, attnum))
			return false;
		*choices = add_value(*choices, constant->constvalue, constant->consttype);
		return true;
	}
	if (IsA(node, NullTest))
		return ((NullTest *) node)->nulltesttype == IS_NULL &&
			is_checked_value((Node *) ((NullTest *) node)->arg, attnum);
	if (IsA(node, BoolExpr) && ((BoolExpr *) node)->boolop == OR_EXPR)
	{
		ListCell   *lc;

		foreach(lc, ((BoolExpr *) node)->args)
		{
			if (!collect_values(lfirst(lc), attnum, choices))
				return false;
		}
		return true;
	}
	return false;
}

/*
 * The values in one constraint, NIL if it is no list of values.
 */
static List *
constraint_choices(HeapTuple tuple, TupleDesc desc, AttrNumber attnum)
{
	List	   *choices = NIL;
	bool		isnull;
	Datum		conbin = heap_getattr(tuple, Anum_pg_constraint_conbin, desc, &isnull);

	if (isnull)
		return NIL;
	if (!collect_values(stringToNode(TextDatumGetCString(conbin)), attnum, &choices))
		return NIL;
	return choices;
}

/*
 * The first list of values among the CHECK constraints of a table (keyed by its
 * OID, for the column attnum) or of a domain (attnum 0).
 */
static List *
scan_constraints(AttrNumber keycolumn, Oid indexid, Oid oid, AttrNumber attnum)
{
	List	   *choices = NIL;
	Relation	rel = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, keycolumn, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(oid));
	scan = systable_beginscan(rel, indexid, true, NULL, 1, &key);
	while (choices == NIL && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (((Form_pg_constraint) GETSTRUCT(tuple))->contype == CONSTRAINT_CHECK)
			choices = constraint_choices(tuple, RelationGetDescr(rel), attnum);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return choices;
}

/*
 * The values that CHECK constraints allow a column of some kind of text, as a
 * List of Choice *; NIL if there is no such list.
 */
List *
crmio_check_choices(Relation rel, AttrNumber attnum, Oid typid)
{
	List	   *choices = scan_constraints(Anum_pg_constraint_conrelid,
										   ConstraintRelidTypidNameIndexId,
										   RelationGetRelid(rel), attnum);

	while (choices == NIL && get_typtype(typid) == TYPTYPE_DOMAIN)
	{
		HeapTuple	tuple;

		choices = scan_constraints(Anum_pg_constraint_contypid, ConstraintTypidIndexId,
								   typid, 0);
		tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(typid));
		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for type %u", typid);
		typid = ((Form_pg_type) GETSTRUCT(tuple))->typbasetype;
		ReleaseSysCache(tuple);
	}
	return choices;
}
