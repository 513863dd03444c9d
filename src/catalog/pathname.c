/*
 * pathname.c
 *	  The field path for a file column's name: what maps by itself.
 *
 * Names compare as crmio_name_key reduces them.  A field's own name counts most,
 * then its label, then aliases, then paths spelled in words ("Account Domain",
 * "Mobile Phone", "Billing City").  Within one of these tiers a name that fits
 * two paths fits none.
 */
#include "catalog/module.h"

typedef enum Tier
{
	TIER_NAME,
	TIER_LABEL,
	TIER_ALIAS,
	TIER_SPELLED,				/* a path of several parts, in words */
	TIER_PART,					/* part of the module's only address */
	TIERS
} Tier;

typedef struct Search
{
	const Module *module;
	char	   *key;			/* the column's name, reduced */
	FieldPath  *found[TIERS];
	bool		ambiguous[TIERS];
} Search;

/* Words in column names and the types of values that they stand for. */
static const char *const type_words[][2] = {
	{"mobile", "mobile"}, {"cell", "mobile"}, {"work", "work"}, {"business", "work"},
	{"office", "work"}, {"home", "home"}, {"fax", "fax"}, {"other", "other"}
};

static const char *const address_type_words[][2] = {
	{"billing", "billing"}, {"shipping", "shipping"}, {"mailing", "mailing"},
	{"home", "home"}, {"work", "work"}, {"business", "work"}, {"other", "other"}
};

static const char *const part_words[][2] = {
	{"street", "street"}, {"address", "street"}, {"street address", "street"},
	{"address line 1", "street"}, {"address 1", "street"}, {"street 1", "street"},
	{"street2", "street2"}, {"address line 2", "street2"}, {"address 2", "street2"},
	{"city", "city"}, {"town", "city"}, {"state", "state"}, {"province", "state"},
	{"region", "state"}, {"state/province", "state"}, {"state/region", "state"},
	{"postal code", "postal_code"}, {"zip", "postal_code"}, {"zip code", "postal_code"},
	{"postcode", "postal_code"}, {"zip/postal code", "postal_code"},
	{"country", "country"}, {"country/region", "country"}
};

/*
 * If the name is the one searched for, the path is a find of its tier.
 */
static void
offer(Search *search, Tier tier, const char *name, const char *path_text)
{
	FieldPath  *path;
	char	   *problem;
	char	   *hint;

	if (strcmp(crmio_name_key(name), search->key) != 0)
		return;
	path = crmio_path_resolve(search->module, path_text, &problem, &hint);
	if (path == NULL)
		return;
	if (search->found[tier] != NULL && strcmp(search->found[tier]->text, path->text) != 0)
		search->ambiguous[tier] = true;
	path->rank = tier;
	search->found[tier] = path;
}

/*
 * "Mobile Phone", "phone_mobile", "Mobile Phone Number": entries of a typed list.
 */
static void
offer_typed(Search *search, const Field *field, const char *name)
{
	int			i;

	for (i = 0; i < (int) lengthof(type_words); i++)
	{
		char	   *path = psprintf("%s.%s", field->name, type_words[i][1]);
		const char *word = type_words[i][0];

		offer(search, TIER_SPELLED, psprintf("%s %s", word, name), path);
		offer(search, TIER_SPELLED, psprintf("%s %s", name, word), path);
		offer(search, TIER_SPELLED, psprintf("%s %s number", word, name), path);
		offer(search, TIER_SPELLED, psprintf("%s %s address", word, name), path);
	}
}

/*
 * "Billing City", "address_city", and plain "City" if there is one address only.
 */
static void
offer_address(Search *search, const Field *field, bool only)
{
	int			part;
	int			type;

	for (part = 0; part < (int) lengthof(part_words); part++)
	{
		const char *word = part_words[part][0];
		const char *key = part_words[part][1];

		offer(search, TIER_SPELLED, psprintf("%s %s", field->name, word),
			  psprintf("%s.%s", field->name, key));
		if (!only)
			continue;
		offer(search, TIER_PART, word, psprintf("%s.%s", field->name, key));
		for (type = 0; type < (int) lengthof(address_type_words); type++)
			offer(search, TIER_SPELLED, psprintf("%s %s", address_type_words[type][0], word),
				  psprintf("%s.%s.%s", field->name, address_type_words[type][1], key));
	}
}

/*
 * "Account Domain", "account_name": a reference by its lookup fields.
 */
static void
offer_reference(Search *search, Field *field)
{
	FieldPath  *bare;
	char	   *problem;
	char	   *hint;
	ListCell   *lc;

	bare = crmio_path_resolve(search->module, field->name, &problem, &hint);
	if (bare == NULL || bare->ref == NULL)
		return;
	foreach(lc, list_append_unique_ptr(list_copy(bare->ref->lookup), bare->ref->display))
	{
		Field	   *lookup = lfirst(lc) ? crmio_module_field(bare->ref, lfirst(lc)) : NULL;
		char	   *path;

		if (lookup == NULL)
			continue;
		path = psprintf("%s.%s", field->name, lookup->name);
		offer(search, TIER_SPELLED, psprintf("%s %s", field->name, lookup->name), path);
		offer(search, TIER_SPELLED, psprintf("%s %s", field->label, lookup->name), path);
		offer(search, TIER_SPELLED, psprintf("%s %s", field->name, lookup->label), path);
	}
}

/*
 * How many fields of the module are addresses?
 */
static int
count_addresses(const Module *module)
{
	int			count = 0;
	ListCell   *lc;

	foreach(lc, module->fields)
	{
		if (((Field *) lfirst(lc))->storage == STORAGE_ADDRESS)
			count++;
	}
	return count;
}

/*
 * All names by which a field goes.
 */
static void
offer_field(Search *search, Field *field)
{
	ListCell   *lc;

	offer(search, TIER_NAME, field->name, field->name);
	offer(search, TIER_LABEL, field->label, field->name);
	foreach(lc, field->aliases)
		offer(search, TIER_ALIAS, lfirst(lc), field->name);
	if (field->storage == STORAGE_TYPED_LIST || field->typed_column != NULL)
	{
		offer_typed(search, field, field->name);
		offer_typed(search, field, field->label);
	}
	else if (field->storage == STORAGE_ADDRESS)
		offer_address(search, field, count_addresses(search->module) == 1);
	else if (field->storage == STORAGE_SCALAR && field->kind == KIND_REFERENCE)
		offer_reference(search, field);
}

/*
 * The path that a file column's name stands for, or NULL if there is none or the
 * name could mean several.
 */
FieldPath *
crmio_path_by_name(const Module *module, const char *column_name)
{
	Search		search = {.module = module, .key = crmio_name_key(column_name)};
	char	   *problem;
	char	   *hint;
	ListCell   *lc;
	int			tier;

	if (search.key[0] == '\0')
		return NULL;
	foreach(lc, module->fields)
		offer_field(&search, lfirst(lc));
	foreach(lc, module->aliases)
		offer(&search, TIER_ALIAS, ((PathAlias *) lfirst(lc))->name,
			  ((PathAlias *) lfirst(lc))->path);
	offer(&search, TIER_NAME, "name", "name");
	offer(&search, TIER_LABEL, "full name", "name");

	for (tier = 0; tier < TIERS; tier++)
	{
		if (search.found[tier] != NULL)
			return search.ambiguous[tier] ? NULL : search.found[tier];
	}
	/* A path as it is written in a mapping, such as custom.shoe_size. */
	if (strchr(column_name, '.') != NULL)
		return crmio_path_resolve(module, column_name, &problem, &hint);
	return NULL;
}
