/*
 * import.h
 *	  The parts of an import and what they hand to each other.
 *
 *	  mapping (what the caller said) + module + reader -> plan
 *	  plan + rows of the file -> batch of ImportRow
 *	  batch -> references -> match -> merge -> write -> history
 */
#ifndef CRMIO_IMPORT_H
#define CRMIO_IMPORT_H

#include "crmio.h"
#include "catalog/module.h"
#include "history/job.h"
#include "import/lookup.h"
#include "import/values.h"
#include "input/reader.h"
#include "lib/stringinfo.h"
#include "nodes/execnodes.h"
#include "statement.h"
#include "utils/rel.h"

typedef enum Policy
{
	POLICY_SKIP,
	POLICY_UPDATE,
	POLICY_CREATE
} Policy;

typedef enum MergeMode
{
	MERGE_FILL_EMPTY,
	MERGE_OVERWRITE,
	MERGE_PREFER_IMPORT
} MergeMode;

typedef enum Strictness
{
	STRICT_DEFAULT,				/* unresolved only: as the reference is required */
	STRICT_ERROR,
	STRICT_WARN
} Strictness;

/*
 * mapping.c: the mapping and policy as given, checked in themselves
 */
typedef struct MappedColumn
{
	char	   *column;			/* name, or "#3" */
	List	   *paths;			/* of char *; NIL: skipped */
} MappedColumn;

typedef struct StaticValue
{
	char	   *path;
	char	   *text;			/* NULL: empty; JSON for an object or array */
	char	   *joined;			/* an array's elements with ";" between, or NULL */
} StaticValue;

typedef struct Mapping
{
	char	   *module;
	bool		columns_given;
	List	   *columns;		/* of MappedColumn * */
	List	   *statics;		/* of StaticValue * */
	bool		match_given;
	List	   *match;			/* of List of char * */
	bool		auto_create_all;
	List	   *auto_create;	/* of char * */
	Strictness	unresolved;
	Strictness	invalid;
	bool		first_if_ambiguous;
	CrmioDateOrder	date_order;
	char		decimal;
	ReaderOptions reader;
	List	   *null_values;	/* of char * */
	bool		escape_formulas;	/* the file was exported so */
	int64		max_errors;		/* -1: no limit */
	bool		dry_run;
	bool		hand_over;		/* a large file goes to the background */
	bool		ignore_missing; /* columns that the file lacks are skipped */
	List	   *notify;			/* of char *: e-mail addresses */
	Policy		policy;
	MergeMode	mode;
} Mapping;

extern Mapping *crmio_mapping_parse(Jsonb *json, const char *policy);
extern Mapping *crmio_mapping_parse_keys(Jsonb *json, const char *policy);

/* saved.c: the mapping key that names a saved mapping, and what it stands for */
#define CRMIO_USE_KEY "use"

extern Jsonb *crmio_mapping_expand(Jsonb *json);

/*
 * plan.c: the mapping bound to a module and a file
 */
typedef enum NamePart
{
	NAME_WHOLE,
	NAME_FIRST,
	NAME_LAST
} NamePart;

/* One field path, and where its text comes from. */
typedef struct Input
{
	int			index;
	FieldPath  *path;
	int			column;			/* of the file, from 0; -1: a static value */
	char	   *column_name;	/* NULL: a static value */
	char	   *static_text;
	NamePart	name_part;
	bool		required;		/* an unusable value is always an error */
	/* bound to the database */
	const Field *field;			/* as which the text is read: for a reference, of its module */
	ValueReader reader;
	struct Target *target;
} Input;

/* One way to find the record of a reference. */
typedef struct RefLookup
{
	Input	   *input;
	Lookup	   *lookup;
	bool		by_key;			/* by the record's key, which a new one can't be given */
	int			index;			/* among the lookups of all references */
} RefLookup;

/* A reference to another module's record. */
typedef struct Reference
{
	int			index;
	const Field *field;
	Module	   *module;			/* referred to */
	Relation	rel;			/* open only while the plan is made */
	TupleDesc	table_desc;		/* of its table, for which the plan holds */
	List	   *lookups;		/* of RefLookup *, in the order to try them */
	bool		self;			/* refers to the table that is imported into */
	bool		auto_create;
	bool		unresolved_is_error;
	bool		convert;		/* the column referred to has another type */
	FmgrInfo	output;			/* for that */
	FmgrInfo	input;
	Oid			input_param;
	struct RefWriter *writer;	/* with auto_create */
} Reference;

/* A column of the table that the import may set. */
typedef struct Target
{
	int			index;
	const Field *field;			/* NULL: the lifecycle column, not mapped */
	AttrNumber	attnum;
	char	   *column;			/* unquoted */
	Oid			typid;
	int32		typmod;
	int16		typlen;
	bool		typbyval;
	Oid			base_typid;		/* of a domain */
	bool		is_array;
	bool		not_null;
	FieldStorage storage;
	List	   *inputs;			/* of Input * */
	Reference  *reference;
	bool		kept_if_empty;	/* overwrite can't empty it */
	Input	   *only_input;		/* its value is that of this input; NULL: not as simple */
	bool		lifecycle;
	ExprState  *default_expr;	/* NULL: none */
	bool		by_image;		/* equal means the same bytes */
	FmgrInfo	equal;
	Oid			collation;
	FmgrInfo	output;
} Target;

/* One field of an alternative of the match: a reference, or the first of some inputs that is not empty. */
typedef struct MatchField
{
	Reference  *reference;
	List	   *inputs;			/* of Input * */
} MatchField;

/* One alternative of the match fields. */
typedef struct MatchKey
{
	Lookup	   *lookup;
	MatchField *fields;			/* as many as the lookup has */
} MatchKey;

typedef struct ImportPlan
{
	MemoryContext context;
	Mapping    *mapping;
	Module	   *module;
	Relation	rel;			/* open only while the plan is made */
	TupleDesc	table_desc;		/* of its table, for which the plan holds */
	List	   *inputs;			/* of Input *: file order, then static values */
	int			ninputs;
	Target	   *targets;
	int			ntargets;
	Target	   *lifecycle;		/* NULL: the module has none */
	Datum		new_stage;		/* module->new_stage as a value of that column */
	List	   *references;		/* of Reference * */
	int			nref_lookups;	/* of all of them */
	List	   *match;			/* of MatchKey *; NIL: rows never match */
	RecordKey  *key;			/* of the module's records */
	EState	   *estate;			/* for default expressions */
	StringInfoData scratch;		/* the text of a value while it is read */
	bool		keys_are_kept;	/* no trigger can change the keys given out */
	ExprState **key_defaults;	/* per column of the record's key; NULL: the server
								 * gives new records their keys */
} ImportPlan;

extern ImportPlan *crmio_plan_create(MemoryContext context, Mapping *mapping, Module *module,
									 Relation rel, Reader *reader);

/* bind.c: what the plan needs of the database */
extern void crmio_plan_bind(ImportPlan *plan, bool to_write, List **warnings);
extern void crmio_plan_check(const ImportPlan *plan);
extern void crmio_lookups_added(ImportPlan *plan, Oid relid, int nrecords, Datum **keys);

/*
 * row.c: a row of the file, read into values
 */
typedef enum RowAction
{
	ROW_CREATE,
	ROW_UPDATE,
	ROW_UNCHANGED,
	ROW_SKIP,
	ROW_ERROR
} RowAction;

/* What a reference of a row came to: nothing, a record, or one still to be created. */
typedef struct Resolved
{
	bool		found;
	Datum		value;
	struct NewReference *created;
} Resolved;

typedef struct ImportRow
{
	int64		row_number;
	int64		line_number;
	int			nfields;
	char	  **fields;			/* as in the file */
	Datum	   *values;			/* per input */
	bool	   *nulls;
	bool		unusable;		/* an error was found without looking at the database */
	List	   *messages;		/* of JobMessage *: from reading the values */
	Datum	   *key_ahead;		/* key that a new record is to have, or NULL */

	/* what follows is decided anew by each attempt at the row */
	RowAction	action;
	List	   *decision;		/* of JobMessage *: from deciding and writing */
	Resolved   *resolved;		/* per reference */
	LookupHit  *match;			/* the record matched, or NULL */
	int			matched_by;		/* which alternative found it */
	Datum	   *new_values;		/* per target */
	bool	   *new_nulls;
	bool	   *changed;		/* per target, for an update */
	struct NewReference **new_refs; /* per target: its value comes with this record */
	Datum	   *key;			/* of the record that the row made or changed */
} ImportRow;

extern void crmio_row_read(ImportPlan *plan, ImportRow *row);
extern JobMessage *crmio_row_message(const ImportRow *row, bool warning, const Input *input,
									 const char *value, const char *code, const char *reason);
extern char *crmio_row_text(const ImportPlan *plan, const ImportRow *row, const Input *input);

/*
 * A record that does not exist yet, created because a row refers to it.
 */
typedef struct NewReference
{
	Reference  *reference;
	Datum	   *values;			/* per lookup of the reference, as in the file */
	Datum	   *keys;			/* likewise, as compared */
	bool	   *present;
	struct NewReference **next; /* per lookup: another one whose key has the same hash */
	int			row;			/* the first row that uses it, -1: none yet */
	bool		written;		/* it is in the table, to stay */
	Datum	   *key;			/* of the record, when it is created */
	Datum		stored;			/* what a reference to it stores */
} NewReference;

/*
 * Rows that are decided together: what was found for them.
 */
typedef struct Run
{
	int			from;			/* rows of the batch, to excluded */
	int			to;
	int			looked_up_to;	/* to, before the run was cut */
	LookupHit ***ref_hits;		/* per lookup of all references, per row */
	LookupKeys *match_keys;		/* per alternative: of the rows of the run */
	LookupHit ***match_hits;	/* per alternative, per row */
	int		   *order;			/* rows, neighbours in the index side by side; or NULL */
	struct HTAB **new_refs;		/* per lookup of all references: by hash of key */
	List	  **created;		/* per reference: of NewReference *, in use */
	struct HTAB **created_keys; /* per alternative: keys of the rows to be created */
	struct HTAB *touched;		/* records that rows of the run write */
	struct HTAB *created_records;	/* keys of records to be created */
	bool		depends_on_created; /* rows are skipped because of earlier ones */
} Run;

/*
 * The running import
 */
typedef struct Import
{
	MemoryContext context;		/* as long as the import */
	MemoryContext batch_context;	/* rows as read; reset after each batch */
	MemoryContext attempt_context;	/* decisions; reset before each run */
	MemoryContext part_context; /* writing; reset before each part of a run */
	ImportPlan *plan;
	int64		job_id;
	JobCounts	counts;
	JobLog	   *log;
	int64		batch;			/* number of the current batch, from 1 */
	ImportRow  *rows;			/* the current batch */
	int			nrows;
	LookupKeys **ref_keys;		/* of the batch, per lookup of all references */
	LookupKeys **match_keys;	/* of the batch, per alternative */
	Run		   *run;
	int			live_subxacts;	/* committed into the import's transaction */
	struct Writer *writer;
	StringInfoData reasons;		/* the first errors, for people */
	int			first_errors;	/* how many */
	List	   *file_warnings;	/* of char *: about the file, for the preview */
	void		(*row_done) (struct Import *import, ImportRow *row); /* preview, or NULL */
	void	   *row_done_arg;
} Import;

/* keys.c: what rows are looked up by, and how many may be decided together */
extern void crmio_keys_read(Import *import);
extern int	crmio_keys_run_end(const Import *import, int from, int to);

/* reference.c: references of rows to other records */
extern LookupKeys crmio_run_keys(const Import *import, const Lookup *lookup,
								 const LookupKeys *keys);
extern void crmio_references_lookup(Import *import);
extern bool crmio_references_resolve(Import *import, int row_index);
extern bool crmio_reference_peek(Import *import, Reference *reference, int row_index,
								 Datum *value);
extern void crmio_references_use(Import *import, int row_index);
extern void crmio_references_created(Import *import, int row_index);
extern bool crmio_references_wait(Import *import, int row_index);
extern Datum crmio_reference_value(Reference *reference, Datum value);

/* ref_writer.c: records made for references */
extern void crmio_ref_writer_create(ImportPlan *plan, Reference *reference);
extern void crmio_ref_writer_complete(NewReference *new);
extern RowSet *crmio_ref_writer_rows(Reference *reference);
extern void crmio_ref_writer_write(Import *import, Reference *reference, int from, int to,
								   RowSet *rows, int *row_of);
extern void crmio_ref_writer_written(Import *import, Reference *reference, int from, int to);

/* writer.c: new and changed records into the table */
extern struct Writer *crmio_writer_create(ImportPlan *plan);
extern bool crmio_writer_begin(Import *import, int from, int to);
extern void crmio_writer_write(Import *import, bool in_index_order);
extern int	crmio_writer_suspect(const Import *import);
extern void crmio_writer_end(Import *import);
extern void crmio_row_give_key(Import *import, ImportRow *row);
extern bool crmio_writer_failed_in_row(const Import *import);
extern void crmio_writer_written(Import *import);

/* match.c: the record that a row refers to */
typedef enum MatchResult
{
	MATCH_NONE,
	MATCH_FOUND,				/* row->match */
	MATCH_CREATED_BEFORE,		/* by an earlier row of the run, which is to be skipped */
	MATCH_AMBIGUOUS,
	MATCH_LATER					/* an earlier row of the run writes the record: not in this run */
} MatchResult;

extern void crmio_match_lookup(Import *import);
extern MatchResult crmio_match_row(Import *import, int row_index);
extern void crmio_match_created(Import *import, int row_index);
extern void crmio_match_touched(Import *import, int row_index);
extern void crmio_match_lock(Import *import);

/* merge.c: what a record becomes */
extern void crmio_merge_new(Import *import, ImportRow *row);
extern bool crmio_merge_existing(Import *import, ImportRow *row);
extern void crmio_merge_warnings(Import *import, ImportRow *row);

/* decide.c: what becomes of the rows of a run */
extern void crmio_run_decide(Import *import, int from, int to);

/* batch.c: a batch, from decisions to written rows and counts */
extern void crmio_batch_process(Import *import);

#endif							/* CRMIO_IMPORT_H */
