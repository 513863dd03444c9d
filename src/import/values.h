/*
 * values.h
 *	  From a cell's text to a value of its field's kind.
 *
 * A value that does not fit its kind or its column is a problem, with a code and
 * a reason; it is never cut, rounded or guessed.
 */
#ifndef CRMIO_VALUES_H
#define CRMIO_VALUES_H

#include "crmio.h"
#include "catalog/module.h"
#include "fmgr.h"

/* (miscadmin.h has a variable called DateOrder) */
typedef enum CrmioDateOrder
{
	DATE_ORDER_UNKNOWN,			/* not decided yet: ask the column's decider */
	DATE_ORDER_YMD,
	DATE_ORDER_MDY,
	DATE_ORDER_DMY
} CrmioDateOrder;

/* Why a value can't be used. */
typedef struct ValueProblem
{
	const char *code;			/* stable, such as "invalid_date" */
	char	   *reason;			/* for people; says what would fit */
} ValueProblem;

/*
 * How one target of values (a field, or a part of one) reads text.  The first
 * call of decide_order, and the first value that allows one order only, fix
 * date_order for the reader's life.
 */
typedef struct ValueReader ValueReader;
struct ValueReader
{
	const Field *field;
	FieldKind	kind;
	Oid			typid;			/* type of the result: the column's, or text for parts of json */
	int32		typmod;
	char		decimal;		/* '.' or ',' */
	CrmioDateOrder date_order;	/* DATE_ORDER_UNKNOWN: an ambiguous date asks decide_order */
	CrmioDateOrder (*decide_order) (void *arg); /* NULL: month first */
	void	   *decide_arg;

	/* set up by crmio_value_reader_init */
	Oid			base_typid;		/* below domains */
	int32		base_typmod;
	int16		typlen;			/* of base_typid, as are the next ones */
	bool		typbyval;
	char		typalign;
	FmgrInfo	input;
	Oid			ioparam;
	bool		input_is_soft;	/* the input function never raises an error */
	bool		is_text;		/* stored as text, byte for byte: no input call */
	int			max_length;		/* in characters, of a string type; 0: no limit */
	bool		cents;			/* money kept as an integer number of cents */
	bool		check_domain;	/* typid is a domain with constraints */
	void	   *domain_state;	/* what the server keeps between domain checks */
	MemoryContext context;		/* of all this */
	void	   *choices;		/* KIND_CHOICE: see choices.c */
	ValueReader *element;		/* KIND_TEXT_LIST: reads one element of an array */
};

/*
 * Prepares a reader: all catalog lookups happen here.  What it needs lives in
 * CurrentMemoryContext.  With as_text the result is the cleaned value as text,
 * for a part of a json column.  The caller sets decide_order afterwards.
 */
extern void crmio_value_reader_init(ValueReader *reader, const Field *field, FieldKind kind,
									bool as_text, char decimal, CrmioDateOrder date_order);

/*
 * Reads a trimmed, non-empty, NUL-terminated text; the value lies in
 * CurrentMemoryContext.  Returns false and fills in *problem if it does not fit.
 */
extern bool crmio_value_read(ValueReader *reader, char *text, Datum *value,
							 ValueProblem *problem);

/* For the column's decider: what a value says of its column's date order. */
extern CrmioDateOrder crmio_date_order_of(const char *text, bool *ambiguous);

/*
 * Forms in which values are compared.  crmio_domain_of returns NULL, with a
 * reason if problem is not NULL, when there is no domain in the text.
 */
extern char *crmio_phone_digits(const char *phone);
extern char *crmio_domain_of(const char *text, ValueProblem *problem);

/* "Last, First" and "First Last"; either result may be NULL. */
extern void crmio_split_name(const char *name, char **first_name, char **last_name);

#endif							/* CRMIO_VALUES_H */
