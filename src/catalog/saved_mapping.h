/*
 * saved_mapping.h
 *	  Mappings that are kept under a name: those that roles save, and shipped presets.
 */
#ifndef CRMIO_SAVED_MAPPING_H
#define CRMIO_SAVED_MAPPING_H

#include "crmio.h"

typedef struct SavedMapping
{
	char	   *name;
	char	   *owner;			/* NULL: a preset */
	Jsonb	   *mapping;
} SavedMapping;

extern SavedMapping *crmio_saved_mapping_find(const char *name, bool missing_ok);
extern bool crmio_is_preset(const char *name);
extern void crmio_saved_mapping_put(const char *name, Jsonb *mapping);
extern void crmio_saved_mapping_delete(const SavedMapping *saved);

#endif							/* CRMIO_SAVED_MAPPING_H */
