/*
 * stream.h
 *		The rows of a statement that may be too many for memory, one by one.
 *
 * Works between db_begin() and db_end().  What a row holds lives until the
 * next one is asked for.
 */
#ifndef LOYALTY_STREAM_H
#define LOYALTY_STREAM_H

#include "postgres.h"
#include "db/statement.h"

typedef struct Stream
{
	Statement  *statement;
	Portal		portal;
	SPITupleTable *rows;
	uint64		count;
	uint64		at;				/* the row after the one that is looked at */
	bool		ended;
	RowColumns	columns;		/* of that row */
} Stream;

extern void stream_open(Stream *stream, Statement *statement, Datum *values);
extern bool stream_next(Stream *stream);
extern void stream_close(Stream *stream);

/* Columns, by a literal name, of the row that is looked at. */
#define stream_datum(stream, name, isnull) db_stream_datum(stream, "" name, isnull)
#define stream_int64(stream, name, otherwise) db_stream_int64(stream, "" name, otherwise)
#define stream_has(stream, name)		db_stream_has(stream, "" name)
#define stream_varlena(stream, name)	db_stream_varlena(stream, "" name)

extern Datum db_stream_datum(const Stream *stream, const char *name, bool *isnull);
extern int64 db_stream_int64(const Stream *stream, const char *name, int64 otherwise);
extern bool db_stream_has(const Stream *stream, const char *name);
extern struct varlena *db_stream_varlena(const Stream *stream, const char *name);

#endif
