/*
 * stream.c
 *		The rows of a statement that may be too many for memory, one by one.
 *
 * They are fetched in chunks, so that only one chunk is in memory.  Large
 * values stay where they are stored until they are looked at.
 */
#include "postgres.h"

#include "account/chain.h"
#include "common/sha2.h"
#include "db/stream.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#define CHUNK_ROWS	1000

void
stream_open(Stream *stream, PlanId id, Datum *values)
{
	memset(stream, 0, sizeof(Stream));
	stream->portal = plan_cursor(id, values);
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
		stream->at++;
	return !stream->ended;
}

void
stream_close(Stream *stream)
{
	forget_rows(stream);
	SPI_cursor_close(stream->portal);
	stream->ended = true;
}

Datum
stream_datum(const Stream *stream, int column, bool *isnull)
{
	Assert(!stream->ended && stream->at > 0);
	return SPI_getbinval(stream->rows->vals[stream->at - 1], stream->rows->tupdesc, column + 1, isnull);
}

int64
stream_int64(const Stream *stream, int column, int64 otherwise)
{
	bool		isnull;
	Datum		value = stream_datum(stream, column, &isnull);

	return isnull ? otherwise : DatumGetInt64(value);
}

bool
stream_has(const Stream *stream, int column)
{
	bool		isnull;

	(void) stream_datum(stream, column, &isnull);
	return !isnull;
}

/* A text, bytea, json or lots as it is stored; NULL for NULL. */
struct varlena *
stream_varlena(const Stream *stream, int column)
{
	bool		isnull;
	Datum		value = stream_datum(stream, column, &isnull);

	return isnull ? NULL : (struct varlena *) DatumGetPointer(value);
}

/* No hash is one that nothing has. */
bytea *
stream_hash(const Stream *stream, int column)
{
	struct varlena *hash = stream_varlena(stream, column);

	return (bytea *) (hash != NULL ? pg_detoast_datum_packed(hash) : cstring_to_text(""));
}

static bytea *
stream_digest(const Stream *stream, int column)
{
	struct varlena *digest = stream_varlena(stream, column);

	return digest != NULL ? (bytea *) pg_detoast_datum_packed(digest) : NULL;
}

/* What is none as 0; one that is stored as 0 is not what the engine writes. */
static int64
number_or_none(const Stream *stream, int column, bool *as_written)
{
	bool		isnull;
	Datum		value = stream_datum(stream, column, &isnull);

	if (!isnull && DatumGetInt64(value) == 0)
		*as_written = false;
	return isnull ? 0 : DatumGetInt64(value);
}

bool
stream_entry(const Stream *stream, Entry *entry)
{
	bool		as_written = true;

	memset(entry, 0, sizeof(Entry));
	entry->account_id = stream_int64(stream, 0, 0);
	entry->entry_no = stream_int64(stream, 1, 0);
	entry->amount = stream_int64(stream, 2, 0);
	entry->balance = stream_int64(stream, 3, 0);
	entry->posted_at = stream_int64(stream, 4, 0);
	entry->staff_id = number_or_none(stream, 5, &as_written);
	entry->money = stream_int64(stream, 6, 0);
	entry->has_money = stream_has(stream, 6);
	entry->kind = stream_int64(stream, 7, 0);
	entry->reference = (text *) stream_varlena(stream, 8);
	entry->detail = (text *) stream_varlena(stream, 9);
	entry->hash = stream_hash(stream, 10);
	entry->aside = number_or_none(stream, 11, &as_written);
	entry->origin = number_or_none(stream, 12, &as_written);
	entry->peer_id = number_or_none(stream, 13, &as_written);
	entry->member_id = number_or_none(stream, 14, &as_written);
	entry->rules = number_or_none(stream, 15, &as_written);
	entry->lots = PointerGetDatum(stream_varlena(stream, 16));
	entry->entry_id = stream_int64(stream, 17, 0);
	entry->previous_id = number_or_none(stream, 18, &as_written);
	entry->happened_at = number_or_none(stream, 19, &as_written);
	entry->actor_id = number_or_none(stream, 20, &as_written);
	entry->request_id = number_or_none(stream, 21, &as_written);
	entry->text_digest = stream_digest(stream, 22);
	if (entry->text_digest != NULL &&
		(entry_has_text(entry) || VARSIZE_ANY_EXHDR(entry->text_digest) != PG_SHA256_DIGEST_LENGTH))
		as_written = false;
	return as_written;
}
