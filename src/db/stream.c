/*
 * stream.c
 *		The rows of a statement that may be too many for memory, one by one.
 *
 * They are fetched in chunks, so that only one chunk is in memory.  Large
 * values stay where they are stored until they are looked at.
 */
#include "postgres.h"

#include "db/stream.h"
#include "miscadmin.h"

#define CHUNK_ROWS	1000

/* Run a statement whose rows are fetched by stream_next(). */
void
stream_open(Stream *stream, Statement *statement, Datum *values)
{
	memset(stream, 0, sizeof(Stream));
	stream->statement = statement;
	stream->portal = db_cursor(statement, values);
}

static void
forget_rows(Stream *stream)
{
	if (stream->rows != NULL)
		SPI_freetuptable(stream->rows);
	stream->rows = NULL;
	stream->count = stream->at = 0;
}

/* The next chunk; SPI leaves a context of its own as the current one. */
static void
fetch_rows(Stream *stream)
{
	MemoryContext caller = CurrentMemoryContext;

	SPI_cursor_fetch(stream->portal, true, CHUNK_ROWS);
	stream->rows = SPI_tuptable;
	stream->count = SPI_processed;
	/* or the next statement would free it */
	SPI_tuptable = NULL;
	MemoryContextSwitchTo(caller);
}

/* Go to the next row, of which the first call finds the first. */
bool
stream_next(Stream *stream)
{
	CHECK_FOR_INTERRUPTS();
	if (stream->ended)
		return false;
	if (stream->at == stream->count)
	{
		forget_rows(stream);
		fetch_rows(stream);
	}
	stream->ended = stream->at == stream->count;
	if (!stream->ended)
		db_take_apart(stream->rows->vals[stream->at++], stream->rows->tupdesc, &stream->columns);
	return !stream->ended;
}

/* Close the cursor and free what was fetched. */
void
stream_close(Stream *stream)
{
	forget_rows(stream);
	SPI_cursor_close(stream->portal);
	stream->ended = true;
}

Datum
db_stream_datum(const Stream *stream, const char *name, bool *isnull)
{
	Assert(!stream->ended && stream->at > 0);
	return db_column(stream->statement, stream->rows->tupdesc, &stream->columns, name, isnull);
}

/* An integer of any size, or otherwise for NULL. */
int64
db_stream_int64(const Stream *stream, const char *name, int64 otherwise)
{
	bool		isnull;
	Datum		value = db_stream_datum(stream, name, &isnull);

	return isnull ? otherwise : DatumGetInt64(value);
}

/* Whether a column is not NULL. */
bool
db_stream_has(const Stream *stream, const char *name)
{
	bool		isnull;

	(void) db_stream_datum(stream, name, &isnull);
	return !isnull;
}

/* A text, bytea, json or lots as it is stored; NULL for NULL. */
struct varlena *
db_stream_varlena(const Stream *stream, const char *name)
{
	bool		isnull;
	Datum		value = db_stream_datum(stream, name, &isnull);

	return isnull ? NULL : (struct varlena *) DatumGetPointer(value);
}
