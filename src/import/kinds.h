/*
 * kinds.h
 *	  What the files that read values of one kind or another share:
 *
 *	  values.c		the reader: set-up, dispatch, text, booleans, json, lists
 *	  characters.c	code points, and names of people
 *	  dates.c		dates and timestamps
 *	  numbers.c		money, numbers, integers
 *	  internet.c	e-mail addresses, domains, URLs
 *	  phones.c		phone numbers
 *	  choices.c		choices
 *	  softinput.c	input functions and domain checks whose errors are problems
 */
#ifndef CRMIO_KINDS_H
#define CRMIO_KINDS_H

#include "import/values.h"

/* values.c */
extern bool crmio_problem(ValueProblem *problem, const char *code,
						  const char *format,...) pg_attribute_printf(3, 4);
extern bool crmio_value_from_text(ValueReader *reader, char *text, Datum *value,
								  ValueProblem *problem);

/* characters.c */
extern uint32 crmio_next_code(const char **text);
extern bool crmio_is_blank_code(uint32 code);
extern const char *crmio_skip_blanks(const char *text);
extern bool crmio_has_blank_or_control(const char *text);

/* dates.c */
extern bool crmio_read_date(ValueReader *reader, char *text, Datum *value,
							ValueProblem *problem);
extern bool crmio_read_timestamp(ValueReader *reader, char *text, Datum *value,
								 ValueProblem *problem);

/* numbers.c */
extern bool crmio_read_number(ValueReader *reader, char *text, Datum *value,
							  ValueProblem *problem);

/* internet.c */
extern bool crmio_check_email(const char *text, ValueProblem *problem);
extern bool crmio_check_url(const char *text, ValueProblem *problem);

/* phones.c */
extern bool crmio_check_phone(const char *text, ValueProblem *problem);

/* choices.c */
extern void *crmio_choices_init(const Field *field, Oid collation);
extern bool crmio_read_choice(ValueReader *reader, char *text, Datum *value,
							  ValueProblem *problem);

/* softinput.c */
extern bool crmio_input_never_raises(Oid typid, const FmgrInfo *input);
extern bool crmio_soft_input(ValueReader *reader, char *text, Datum *value,
							 ValueProblem *problem);
extern bool crmio_soft_domain_check(ValueReader *reader, Datum value,
									ValueProblem *problem);

#endif							/* CRMIO_KINDS_H */
