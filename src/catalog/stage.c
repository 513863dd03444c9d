/*
 * stage.c
 *	  Which records of a table are a module's, where several modules share it: leads
 *	  and contacts are one table at two stages.
 */
#include "catalog/derive.h"

/*
 * The stages that other modules on the same table give their new records by the
 * same column, as a List of char *; NIL if the module has its table, or all stages
 * of it, for itself.
 */
List *
crmio_module_other_stages(const Module *module)
{
	List	   *stages = NIL;
	ListCell   *lc;

	if (module->new_stage == NULL)
		return NIL;
	foreach(lc, crmio_registrations())
	{
		Registration *registration = lfirst(lc);
		ModuleOptions *options;

		if (registration->relid != module->relid ||
			strcmp(registration->module, module->name) == 0)
			continue;
		options = crmio_options_parse(registration->options);
		if (options->new_stage != NULL && strcmp(options->new_stage, module->new_stage) != 0 &&
			strcmp(options->lifecycle_column, module->lifecycle_column) == 0)
			stages = lappend(stages, options->new_stage);
	}
	return stages;
}
