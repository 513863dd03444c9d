/*
 * json.c
 *	  Reading jsonb options, one level at a time.
 *
 * A nested object or array comes as a JsonbValue of type jbvBinary, whose
 * val.binary.data is the container for the next call.  Results live in
 * CurrentMemoryContext; values point into the jsonb they come from.
 */
#include "crmio.h"

#include "utils/builtins.h"
#include "utils/numeric.h"

/*
 * The members of an object, or the elements of an array (without a key), as a
 * List of JsonMember *.  A jsonb that is one scalar counts as an array of it.
 */
List *
crmio_json_members(JsonbContainer *container)
{
	JsonbIterator *it = JsonbIteratorInit(container);
	JsonbValue	value;
	JsonbIteratorToken token;
	List	   *members = NIL;
	char	   *key = NULL;

	(void) JsonbIteratorNext(&it, &value, true);	/* the begin */
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			key = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE || token == WJB_ELEM)
		{
			JsonMember *member = palloc(sizeof(JsonMember));

			member->key = key;
			member->value = value;
			members = lappend(members, member);
			key = NULL;
		}
	}
	return members;
}

/*
 * The value of a key, or NULL if the container has no such key or is no object.
 */
JsonbValue *
crmio_json_get(JsonbContainer *container, const char *key)
{
	if (!JsonContainerIsObject(container))
		return NULL;
	return getKeyJsonValueFromContainer(container, key, strlen(key), NULL);
}

/*
 * Is it an object, as a member or an element of another value?
 */
bool
crmio_json_is_object(const JsonbValue *value)
{
	return value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data);
}

/*
 * Is it an array, likewise?
 */
bool
crmio_json_is_array(const JsonbValue *value)
{
	return value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data);
}

/*
 * The type's name in JSON, for messages.
 */
const char *
crmio_json_type_name(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			return "null";
		case jbvString:
			return "string";
		case jbvNumeric:
			return "number";
		case jbvBool:
			return "boolean";
		default:
			return crmio_json_is_array(value) ? "array" : "object";
	}
}

/*
 * The text of a string, number or boolean; NULL for null, an object or an array.
 */
char *
crmio_json_scalar_text(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(numeric_out,
													   NumericGetDatum(value->val.numeric)));
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		default:
			return NULL;
	}
}

/*
 * Any value as text, as the operator ->> gives it: NULL for null, JSON for an
 * object or an array.
 */
char *
crmio_json_text(const JsonbValue *value)
{
	if (value->type == jbvBinary)
		return JsonbToCString(NULL, value->val.binary.data, value->val.binary.len);
	return crmio_json_scalar_text(value);
}
