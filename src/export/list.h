/*
 * list.h
 *	  The query of a module's list while it is put together (list.c, path.c, filter.c).
 *
 * What users said goes into it as parameters only.
 */
#ifndef CRMIO_LIST_H
#define CRMIO_LIST_H

#include "export/export.h"
#include "statement.h"

typedef struct ListQuery
{
	const Module *module;
	struct Dictionary *dictionary;	/* of names that an import maps; NULL: not made yet */
	bool		names;			/* a bare reference shows the record's name */
	List	   *joins;			/* of ListJoin * */
	StringInfoData from;
	StringInfoData where;		/* conditions, each with " AND " before it */
	int			nparams;
	Oid		   *param_types;
	Datum	   *param_values;
} ListQuery;

/* What a field path means in the query. */
typedef struct ListExpr
{
	char	   *path;			/* itself: account.id for a bare reference without names */
	char	   *sql;
	char	   *first_name;		/* of a full name that an import can split: SQL of its */
	char	   *last_name;		/* parts; else NULL */
	Oid			typid;			/* what sql gives; domains resolved */
	int			scale;			/* decimals, -1: as the type says */
	FieldKind	kind;
	const Field *field;			/* NULL: a column that is no field, or a full name */
	bool		fold;			/* compares without regard to case */
	char	   *label;
} ListExpr;

/* path.c */
extern void crmio_list_expr(ListQuery *list, const char *path, const char *option, ListExpr *expr);
extern char *crmio_list_header(ListQuery *list, const char *path, const char *label);
extern char *crmio_list_as_text(const char *sql, Oid typid);

/* filter.c */
extern void crmio_list_filter(ListQuery *list, Jsonb *filter);
extern void crmio_list_condition(ListQuery *list, const char *path, const ListExpr *expr,
								 List *texts);

/* list.c */
extern int	crmio_list_param(ListQuery *list, Oid typid, Datum value);
extern int	crmio_list_text_param(ListQuery *list, const char *text);
extern void crmio_list_make_params(ExportSource *source, const ListQuery *list);
extern char *crmio_list_order(const Module *module);

#endif							/* CRMIO_LIST_H */
