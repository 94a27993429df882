/*
 * stream.h
 *		The rows of a statement that may be too many for memory, one by one.
 *
 * Works between plan_begin() and plan_end().  What a row holds lives until the
 * next one is asked for.
 */
#ifndef LOYALTY_STREAM_H
#define LOYALTY_STREAM_H

#include "postgres.h"
#include "db/statement.h"
#include "executor/spi.h"
#include "ledger/ledger.h"

typedef struct Stream
{
	Portal		portal;
	SPITupleTable *rows;
	uint64		count;
	uint64		at;				/* the row after the one that is looked at */
	bool		ended;
} Stream;

extern void stream_open(Stream *stream, PlanId id, Datum *values);
extern bool stream_next(Stream *stream);
extern void stream_close(Stream *stream);

/* Columns, counted from 0, of the row that is looked at. */
extern Datum stream_datum(const Stream *stream, int column, bool *isnull);
extern int64 stream_int64(const Stream *stream, int column, int64 otherwise);
extern bool stream_has(const Stream *stream, int column);
extern struct varlena *stream_varlena(const Stream *stream, int column);
extern bytea *stream_hash(const Stream *stream, int column);

/*
 * An entry, of a statement that has LEDGER_COLUMNS, without the key of its text.
 * False: it has a 0 where none is written, or the digest of a text besides the text,
 * or one that is none.
 */
extern bool stream_entry(const Stream *stream, Entry *entry);

#endif
