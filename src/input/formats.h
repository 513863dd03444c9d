/*
 * formats.h
 *	  The readers of the file formats, for crmio_reader_open.
 */
#ifndef CRMIO_FORMATS_H
#define CRMIO_FORMATS_H

#include "input/reader.h"

extern Reader *crmio_csv_reader_open(Source *source, const ReaderOptions *options);

extern void crmio_reader_name_columns(Reader *reader);

#endif							/* CRMIO_FORMATS_H */
