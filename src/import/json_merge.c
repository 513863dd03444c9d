/*
 * json_merge.c
 *	  Merges a row's values into a jsonb column: per type in a typed list, per part
 *	  in an address, per key in custom data.  What the row does not name stays.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "import/json_merge.h"

/* The type of an address that is given without one. */
#define MAIN_ADDRESS "main"

/* An entry of a typed list; what else its object holds is kept. */
typedef struct ListEntry
{
	char	   *type;			/* NULL: none */
	char	   *value;
	JsonbContainer *object;		/* as stored; NULL: new */
	bool		new_value;
	JsonbValue *foreign;		/* an element of another shape, kept as it is */
} ListEntry;

/*
 * crmio_json_is_empty
 *		[], {} or null?
 */
bool
crmio_json_is_empty(Datum jsonb)
{
	Jsonb	   *json = DatumGetJsonbP(jsonb);

	if (JB_ROOT_IS_SCALAR(json))
	{
		JsonbValue	value;

		return JsonbExtractScalar(&json->root, &value) && value.type == jbvNull;
	}
	return JB_ROOT_COUNT(json) == 0;
}

/*
 * string_value
 *		A JSON string, or null.
 */
static JsonbValue *
string_value(const char *text, JsonbValue *value)
{
	if (text == NULL)
		value->type = jbvNull;
	else
	{
		value->type = jbvString;
		value->val.string.val = unconstify(char *, text);
		value->val.string.len = strlen(text);
	}
	return value;
}

/*
 * push_member
 *		"key": value, into the object being built.
 */
static void
push_member(JsonbParseState **state, const char *key, JsonbValue *value)
{
	JsonbValue	name;

	pushJsonbValue(state, WJB_KEY, string_value(key, &name));
	pushJsonbValue(state, WJB_VALUE, value);
}

/*
 * normalised
 *		A value of a typed list as it is compared.
 */
static char *
normalised(FieldKind kind, const char *value)
{
	if (kind == KIND_PHONE)
		return crmio_phone_digits(value);
	return crmio_lower(value, DEFAULT_COLLATION_OID);
}

/*
 * member_text
 *		A member of an object as text; NULL if it is missing or null.
 */
static char *
member_text(JsonbContainer *object, const char *key)
{
	JsonbValue *value = crmio_json_get(object, key);

	return value ? (value->type == jbvNull ? NULL : crmio_json_text(value)) : NULL;
}

/*
 * read_list
 *		The entries of a stored typed list.  Elements of another shape have no value
 *		and are kept as they are.
 */
static List *
read_list(Datum old, bool isnull)
{
	List	   *entries = NIL;
	Jsonb	   *json;
	ListCell   *lc;

	if (isnull)
		return NIL;
	json = DatumGetJsonbP(old);
	if (!JB_ROOT_IS_ARRAY(json) || JB_ROOT_IS_SCALAR(json))
		return NIL;
	foreach(lc, crmio_json_members(&json->root))
	{
		JsonMember *member = lfirst(lc);
		ListEntry  *entry;

		entry = palloc0(sizeof(ListEntry));
		entries = lappend(entries, entry);
		if (!crmio_json_is_object(&member->value))
		{
			entry->foreign = &member->value;
			continue;
		}
		entry->object = member->value.val.binary.data;
		entry->type = member_text(entry->object, "type");
		entry->value = member_text(entry->object, "value");
	}
	return entries;
}

/*
 * write_list
 *		A typed list as jsonb.
 */
static Datum
write_list(List *entries)
{
	JsonbParseState *state = NULL;
	JsonbValue	value;
	ListCell   *lc;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	foreach(lc, entries)
	{
		ListEntry  *entry = lfirst(lc);

		if (entry->foreign != NULL)
		{
			pushJsonbValue(&state, WJB_ELEM, entry->foreign);
			continue;
		}
		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		if (entry->object == NULL)
			push_member(&state, "type", string_value(entry->type, &value));
		else
		{
			ListCell   *m;

			foreach(m, crmio_json_members(entry->object))
			{
				JsonMember *member = lfirst(m);

				if (!entry->new_value || strcmp(member->key, "value") != 0)
					push_member(&state, member->key, &member->value);
			}
		}
		if (entry->object == NULL || entry->new_value)
			push_member(&state, "value", string_value(entry->value, &value));
		pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL)));
}

/*
 * same_type
 *		Types compare without regard to case; no type is one of its own.
 */
static bool
same_type(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return pg_strcasecmp(a, b) == 0;
}

/*
 * set_entry
 *		Gives the first entry of a type a value, or adds one; true if that changes
 *		anything.
 */
static bool
set_entry(List **entries, ListEntry *entry, const char *type, char *value)
{
	if (entry == NULL)
	{
		entry = palloc0(sizeof(ListEntry));
		entry->type = type ? pstrdup(type) : NULL;
		entry->value = value;
		*entries = lappend(*entries, entry);
		return true;
	}
	if (entry->value != NULL && strcmp(entry->value, value) == 0)
		return false;
	entry->value = value;
	entry->new_value = true;
	return true;
}

/*
 * merge_list_value
 *		One value of a row into a typed list.  A value without a type that stands in the
 *		list under any type is there already.
 */
static bool
merge_list_value(List **entries, FieldKind kind, const char *type, char *value, MergeMode mode)
{
	ListEntry  *of_type = NULL;
	bool		known = false;
	char	   *wanted = value ? normalised(kind, value) : NULL;
	bool		changed = false;
	ListCell   *lc;

	foreach(lc, *entries)
	{
		ListEntry  *entry = lfirst(lc);

		if (entry->foreign != NULL)
			continue;
		if (type == NULL && wanted != NULL && entry->value != NULL &&
			strcmp(normalised(kind, entry->value), wanted) == 0)
			known = true;
		if (!same_type(entry->type, type))
			continue;
		if (of_type == NULL)
			of_type = entry;
		if (value == NULL && mode == MERGE_OVERWRITE)
		{
			*entries = foreach_delete_current(*entries, lc);
			changed = true;
		}
	}
	if (value == NULL || known)
		return changed;
	if (mode == MERGE_FILL_EMPTY && of_type != NULL &&
		of_type->value != NULL && !crmio_is_blank(of_type->value))
		return false;
	return set_entry(entries, of_type, type, value);
}

/*
 * merge_list
 *		All values that a row has for a typed list.
 */
static Datum
merge_list(const Target *target, const ImportRow *row, Datum old, bool old_isnull,
		   MergeMode mode, bool *changed)
{
	List	   *entries = read_list(old, old_isnull);
	ListCell   *lc;

	foreach(lc, target->inputs)
	{
		const Input *input = lfirst(lc);
		char	   *value = row->nulls[input->index] ? NULL :
			TextDatumGetCString(row->values[input->index]);

		*changed |= merge_list_value(&entries, input->path->kind, input->path->type, value, mode);
	}
	return *changed ? write_list(entries) : old;
}

/* A member of an object being merged. */
typedef struct ObjectMember
{
	char	   *key;
	char	   *text;			/* of a scalar; NULL: null */
	JsonbValue	value;			/* as stored, unless new */
	bool		is_new;
	List	   *members;		/* of ObjectMember *, of an address */
	bool		is_address;
} ObjectMember;

/*
 * read_object
 *		The members of a stored object; with depth, those of its objects too.
 */
static List *
read_object(JsonbContainer *object, bool addresses)
{
	List	   *members = NIL;
	ListCell   *lc;

	foreach(lc, crmio_json_members(object))
	{
		JsonMember *stored = lfirst(lc);
		ObjectMember *member = palloc0(sizeof(ObjectMember));

		member->key = stored->key;
		member->value = stored->value;
		member->is_address = addresses && crmio_json_is_object(&stored->value);
		if (member->is_address)
			member->members = read_object(stored->value.val.binary.data, false);
		else if (stored->value.type != jbvNull)
			member->text = crmio_json_text(&stored->value);
		members = lappend(members, member);
	}
	return members;
}

/*
 * push_object
 *		An object as jsonb.
 */
static JsonbValue *
push_object(JsonbParseState **state, List *members)
{
	ListCell   *lc;

	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	foreach(lc, members)
	{
		ObjectMember *member = lfirst(lc);
		JsonbValue	value;

		if (member->is_address)
		{
			pushJsonbValue(state, WJB_KEY, string_value(member->key, &value));
			push_object(state, member->members);
		}
		else
			push_member(state, member->key,
						member->is_new ? string_value(member->text, &value) : &member->value);
	}
	return pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/*
 * find_member
 *		A member by its key.
 */
static ObjectMember *
find_member(List *members, const char *key)
{
	ListCell   *lc;

	foreach(lc, members)
	{
		if (strcmp(((ObjectMember *) lfirst(lc))->key, key) == 0)
			return lfirst(lc);
	}
	return NULL;
}

/*
 * merge_member
 *		One value of a row into an object; true if that changes anything.
 */
static bool
merge_member(List **members, const char *key, char *text, MergeMode mode)
{
	ObjectMember *member = find_member(*members, key);

	if (text == NULL)
	{
		if (mode != MERGE_OVERWRITE || member == NULL)
			return false;
		*members = list_delete_ptr(*members, member);
		return true;
	}
	if (member == NULL)
	{
		member = palloc0(sizeof(ObjectMember));
		member->key = pstrdup(key);
		*members = lappend(*members, member);
	}
	else if (member->text != NULL &&
			 (strcmp(member->text, text) == 0 ||
			  (mode == MERGE_FILL_EMPTY && !crmio_is_blank(member->text))))
		return false;
	member->text = text;
	member->is_new = true;
	return true;
}

/*
 * merge_address_part
 *		One part of an address of some type.
 */
static bool
merge_address_part(List **addresses, const FieldPath *path, char *text, MergeMode mode)
{
	const char *type = path->type ? path->type : MAIN_ADDRESS;
	ObjectMember *address = find_member(*addresses, type);
	bool		changed;

	if (address == NULL)
	{
		if (text == NULL)
			return false;
		address = palloc0(sizeof(ObjectMember));
		address->key = pstrdup(type);
		address->is_address = true;
		*addresses = lappend(*addresses, address);
	}
	/* something else is stored under that type: as good as a value in each part */
	if (!address->is_address && address->text != NULL && mode == MERGE_FILL_EMPTY)
		return false;
	address->is_address = true;
	changed = merge_member(&address->members, path->key, text, mode);
	if (address->members == NIL)
		*addresses = list_delete_ptr(*addresses, address);
	return changed;
}

/*
 * merge_object
 *		All values that a row has for addresses or custom data.
 */
static Datum
merge_object(const Target *target, const ImportRow *row, Datum old, bool old_isnull,
			 MergeMode mode, bool *changed)
{
	bool		addresses = target->storage == STORAGE_ADDRESS;
	List	   *members = NIL;
	JsonbParseState *state = NULL;
	ListCell   *lc;

	if (!old_isnull)
	{
		Jsonb	   *json = DatumGetJsonbP(old);

		if (JB_ROOT_IS_OBJECT(json))
			members = read_object(&json->root, addresses);
		else if (mode == MERGE_FILL_EMPTY && !crmio_json_is_empty(old))
			return old;			/* no object, but not empty either */
	}
	foreach(lc, target->inputs)
	{
		const Input *input = lfirst(lc);
		char	   *part = row->nulls[input->index] ? NULL :
			TextDatumGetCString(row->values[input->index]);

		if (addresses)
			*changed |= merge_address_part(&members, input->path, part, mode);
		else
			*changed |= merge_member(&members, input->path->key, part, mode);
	}
	return *changed ? JsonbPGetDatum(JsonbValueToJsonb(push_object(&state, members))) : old;
}

/*
 * crmio_json_merge
 *		The column's new value; *changed is set if it differs from the old one.
 */
Datum
crmio_json_merge(const Target *target, const ImportRow *row, Datum old, bool old_isnull,
				 MergeMode mode, bool *changed)
{
	*changed = false;
	if (target->storage == STORAGE_TYPED_LIST)
		return merge_list(target, row, old, old_isnull, mode, changed);
	return merge_object(target, row, old, old_isnull, mode, changed);
}
