/*
 * entry_space.c
 *		How much is kept of what a merchant's clients send in a day.
 *
 * Entries are kept for ever, with what a batch says of each, and so are members
 * and staff: whoever has a key could fill the disk.  They have so much space a
 * day, in UTC.  App users, who are trusted with less, have a third of it together,
 * so that tills have the rest.  As with idempotency keys, a session takes some in
 * advance, from a row of few sessions; two that take the last of it at once both
 * get theirs.
 * When the clock steps back to a day that is over, the next day's is taken; what
 * was counted for a day further ahead, by a clock that was wrong, counts no more.
 */
#include "base/compat.h"

#include "base/errors.h"
#include "base/table.h"
#include "catalog/pg_type.h"
#include "db/outcome.h"
#include "db/statement.h"
#include "limits/entry_space.h"
#include "miscadmin.h"
#include "utils/date.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define SPACE_STRIPES 64
#define ADVANCE_KB 64

/* The setting loyalty.entry_space, for each merchant. */
int			entry_space_kb;

/* What the session has taken in advance, for the merchants that it serves, and for their app users. */
typedef struct Owner
{
	int64		merchant_id;
	int64		whose;			/* SpaceOf, and no padding: it is a key */
} Owner;

typedef struct Advance
{
	Owner		owner;
	DateADT		day;
	int64		left;			/* bytes; negative: what was taken without asking */
	FullTransactionId taken_in;
} Advance;

/* The advance, which is good on its day if what took it was committed. */
static Advance *
advance_of(int64 merchant_id, SpaceOf whose, DateADT day)
{
	static HTAB *advances = NULL;
	const Owner owner = {merchant_id, whose};
	Advance    *advance;
	bool		found;

	if (advances == NULL)
		advances = table_create("loyalty entry space", 16, sizeof(Owner), sizeof(Advance), TopMemoryContext);
	advance = hash_search(advances, &owner, HASH_ENTER, &found);
	if (!found || advance->day != day || !outcome_is_good(&advance->taken_in))
	{
		memset(advance, 0, sizeof(Advance));
		advance->owner = owner;
		advance->day = day;
	}
	return advance;
}

/* the stripes of app users come after the others */
static Statement space_take_sql = {
	.sql = "INSERT INTO loyalty_internal.entry_space AS s (merchant_id, stripe, day, kilobytes) SELECT $1, $2, $3, $4"
	" FROM (SELECT coalesce(sum(o.kilobytes), 0) AS by_all, coalesce(sum(o.kilobytes) FILTER (WHERE o.stripe >= $6), 0) AS by_app_users"
	" FROM loyalty_internal.entry_space o WHERE o.merchant_id = $1 AND o.day BETWEEN $3 AND $3 + 1) t"
	" WHERE t.by_all < $5 AND ($2 < $6 OR t.by_app_users < $5 / 3)"
	" ON CONFLICT (merchant_id, stripe) DO UPDATE SET day = CASE WHEN s.day = excluded.day + 1 THEN s.day ELSE excluded.day END,"
	" kilobytes = excluded.kilobytes + CASE WHEN s.day BETWEEN excluded.day AND excluded.day + 1 THEN s.kilobytes ELSE 0 END",
	.params = {INT8OID, INT4OID, DATEOID, INT8OID, INT8OID, INT4OID}
};

/* Take so many bytes of the merchant's day, before a row of a member or an account is locked; false: there are none left. */
bool
entry_space_take(int64 merchant_id, SpaceOf whose, int64 bytes)
{
	DateADT		day = GetCurrentTimestamp() / USECS_PER_DAY;
	Advance    *advance = advance_of(merchant_id, whose, day);
	int64		more = Max((bytes - Min(advance->left, 0)) / 1024 + 1, ADVANCE_KB);
	Datum		values[] = {
		Int64GetDatum(merchant_id),
		Int32GetDatum(whose * SPACE_STRIPES + MyProcNumber % SPACE_STRIPES),
		DateADTGetDatum(day),
		Int64GetDatum(more),
		Int64GetDatum(entry_space_kb),
		Int32GetDatum(SPACE_STRIPES),
	};

	if (advance->left < bytes)
	{
		uint64		taken;

		db_begin();
		taken = db_write(&space_take_sql, values, NULL);
		db_end();
		if (taken == 0)
			return false;
		advance->left += more * 1024;
		advance->taken_in = outcome_open();
	}
	advance->left -= bytes;
	return true;
}

/* The same, of who is refused as a whole if the merchant has none left. */
void
entry_space_need(int64 merchant_id, int64 bytes)
{
	if (!entry_space_take(merchant_id, SPACE_OF_MERCHANT, bytes))
		raise_error(ERR_LIMIT_EXCEEDED);
}

/*
 * Take what only became known under locks, under which no row of a stripe may
 * be waited for: the session takes so much more the next time.
 */
void
entry_space_owe(int64 merchant_id, SpaceOf whose, int64 bytes)
{
	advance_of(merchant_id, whose, GetCurrentTimestamp() / USECS_PER_DAY)->left -= bytes;
}

/*
 * What a posting takes, but for its texts.  Points that are pending have a
 * reservation, and another entry when they become available.
 */
int64
posting_space(const Program *program, bool adds)
{
	return adds && program->pending_days > 0 ? 2 * ENTRY_BYTES + RESERVATION_BYTES : ENTRY_BYTES;
}

/*
 * What a member takes who is made of this JSON, or of a name.  What they are
 * found and listed by is there twice.
 */
int64
member_space(const char *json)
{
	int64		bytes = MEMBER_BYTES + 2 * (int64) strlen(json);

	for (const char *c = json; (c = strchr(c, '{')) != NULL; c++)
		bytes += OBJECT_BYTES;
	return bytes;
}
