/*
 * json_merge.h
 *	  Columns that hold several values: typed lists, addresses, custom data.
 */
#ifndef CRMIO_JSON_MERGE_H
#define CRMIO_JSON_MERGE_H

#include "import/import.h"

extern bool crmio_json_is_empty(Datum jsonb);
extern Datum crmio_json_merge(const Target *target, const ImportRow *row, Datum old, bool old_isnull,
							  MergeMode mode, bool *changed);

#endif							/* CRMIO_JSON_MERGE_H */
