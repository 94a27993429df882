/*
 * rank.c
 *		Ranks, as the engine brings them in line with the points that count.
 *
 * A rank that is reached gets the moment at which it will not be, so it ends by
 * itself, whoever looks and whenever.  What an account holds is brought forward
 * in memory, at the moment of each thing that changes what counts and in the
 * order of these; what has changed is written by one statement for a whole
 * batch.
 */
#include "postgres.h"

#include "base/sort.h"
#include "catalog/pg_type.h"
#include "db/columns.h"
#include "db/statement.h"
#include "earning/rank.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

/* ------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------ */

#define RANK_GRANTED_SELECT(has_begun) \
	"SELECT m.granted_rank, m.created_at, g.rank FROM loyalty_internal.member m" RANK_GRANT_OF("m", has_begun) \
	" WHERE m.merchant_id = $1 AND m.member_id = " OWNER_OF("$2", has_begun) " AND (m.granted_rank <> '' OR g.rank IS NOT NULL)"

Statement	rank_granted_sql = {
	.sql = RANK_GRANTED_SELECT(HAS_BEGUN),
	.params = {INT8OID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID}
};

Statement	rank_granted_now_sql = {
	.sql = RANK_GRANTED_SELECT(BEGUN_BY_NOW),
	.params = {INT8OID, INT8OID, TIMESTAMPTZOID}
};

static int
compare_ranks(const void *a, const void *b)
{
	Points		left = ((const Rank *) a)->from_points;
	Points		right = ((const Rank *) b)->from_points;

	return (left < right) - (left > right);
}

static Statement ranks_sql = {
	.sql = "SELECT rank, from_points, multiplier FROM loyalty_internal.rank_range WHERE merchant_id = $1 AND range_group = $2",
	.params = {INT8OID, TEXTOID}
};

static Ranks *
read_ranks(const Program *program)
{
	Datum		values[] = {Int64GetDatum(program->merchant_id), CStringGetTextDatum(program->range_group)};
	int			n = program->range_group[0] != '\0' ? (int) db_write(&ranks_sql, values, NULL) : 0;
	MemoryContext caller = MemoryContextSwitchTo(program->parts->context);
	Ranks	   *ranks = palloc0(sizeof(Ranks));

	ranks->n = n;
	ranks->rank = palloc(Max(n, 1) * sizeof(Rank));
	for (int i = 0; i < n; i++)
	{
		Rank		rank = {row_text(i, "rank"), row_int64(i, "from_points"), row_int64(i, "multiplier")};

		ranks->rank[i] = rank;
		ranks->multiply |= rank.multiplier != POINTS_ONE;
	}
	merge_sort(ranks->rank, n, sizeof(Rank), compare_ranks);
	MemoryContextSwitchTo(caller);
	return ranks;
}

/* The ranks of a program, read once while it is remembered. */
const Ranks *
ranks_of(const Program *program)
{
	if (program->parts->ranks == NULL)
	{
		program->parts->ranks = read_ranks(program);
		program_part_read(program);
	}
	return program->parts->ranks;
}

/* Whether a program has ranks, or may have had some; if not, no account has one. */
bool
ranks_ever(const Program *program)
{
	return ranks_of(program)->n > 0 || program->ranked_at != DT_NOBEGIN;
}

/* Read the rows of one account, which start with this row. */
static void
read_held_ranks(Account *account, uint64 *row, uint64 rows)
{
	HeldRanks  *ranks = &account->ranks;
	uint64		from = *row;

	while (*row < rows && row_int64(*row, "account_id") == account->account_id)
		(*row)++;
	ranks->is_read = true;
	ranks->n = ranks->allocated = (int) (*row - from);
	ranks->held = palloc(Max(ranks->n, 1) * sizeof(HeldRank));
	for (int i = 0; i < ranks->n; i++)
	{
		HeldRank	held = {row_text(from + i, "rank"), row_int64(from + i, "since"), row_int64(from + i, "until"),
		row_int64(from + i, "from_points"), row_int64_or(from + i, "reversed_at", DT_NOEND), false};

		ranks->held[i] = held;
	}
}

/* The columns of a held rank. */
#define RANK_HELD_SELECT "SELECT account_id, rank, since, until, from_points, reversed_at FROM loyalty_internal.rank_held"

static Statement rank_held_sql = {
	.sql = RANK_HELD_SELECT " WHERE merchant_id = $1 AND account_id = $2 ORDER BY since",
	.params = {INT8OID, INT8OID}
};

static Statement ranks_held_sql = {
	.sql = RANK_HELD_SELECT " WHERE merchant_id = $1 AND account_id = ANY ($2) ORDER BY account_id, since",
	.params = {INT8OID, INT8ARRAYOID}
};

/* Read the ranks that accounts, in ascending order, hold and have held. */
void
ranks_read(int64 merchant_id, Account **accounts, int n, bool newest)
{
	int64	   *ids = palloc_extended(n * sizeof(int64), MCXT_ALLOC_HUGE);
	Datum		values[] = {Int64GetDatum(merchant_id), 0};
	Statement  *plan = n == 1 ? &rank_held_sql : &ranks_held_sql;
	uint64		row = 0;
	uint64		rows;

	for (int i = 0; i < n; i++)
		ids[i] = accounts[i]->account_id;
	values[1] = n == 1 ? Int64GetDatum(ids[0]) : ids_datum(ids, n);
	rows = newest ? db_write(plan, values, NULL) : db_read(plan, values, NULL);
	for (int i = 0; i < n; i++)
		read_held_ranks(accounts[i], &row, rows);
}

/* Whether the account holds a rank of this name at a moment. */
bool
rank_is_held(const Account *account, const char *name, TimestampTz at)
{
	for (int i = account->ranks.n - 1; i >= 0; i--)
	{
		const HeldRank *held = &account->ranks.held[i];

		if (held->since <= at && held->until > at && strcmp(held->name, name) == 0)
			return true;
	}
	return false;
}

static Statement rank_past_sql = {
	.sql = "SELECT since, rank, from_points, window_value, window_unit, grace_days, time_zone FROM loyalty_internal.rank_past"
	" WHERE merchant_id = $1 AND program_id = $2 ORDER BY since",
	.params = {INT8OID, INT8OID}
};

/* The ranks that the program has had too, and since when, read once while it is remembered. */
const Ranks *
ranks_with_past(const Program *program)
{
	Datum		values[] = {Int64GetDatum(program->merchant_id), Int64GetDatum(program->program_id)};
	Ranks	   *ranks = (Ranks *) ranks_of(program);
	PastRank   *past;
	MemoryContext caller;
	int			n;

	if (ranks->past != NULL)
		return ranks;
	n = (int) db_write(&rank_past_sql, values, NULL);
	caller = MemoryContextSwitchTo(program->parts->context);
	past = palloc(Max(n, 1) * sizeof(PastRank));
	for (int i = 0; i < n; i++)
	{
		PastRank	rank = {
			.since = row_int64(i, "since"),
			.name = row_text(i, "rank"),
			.from_points = row_int64(i, "from_points"),
			.window_value = (int) row_int64(i, "window_value"),
			.window_unit = row_text(i, "window_unit"),
			.grace_days = (int) row_int64(i, "grace_days"),
			.time_zone = row_text(i, "time_zone"),
		};

		past[i] = rank;
	}
	MemoryContextSwitchTo(caller);
	ranks->npast = n;
	ranks->past = past;
	program_part_read(program);
	return ranks;
}

/* The points from which a rank was held at a moment; -1: the program did not have it. */
Points
rank_from_points(const Program *program, const char *name, TimestampTz at)
{
	const Ranks *ranks = ranks_with_past(program);
	Points		from_points = -1;

	for (int i = 0; i < ranks->npast && ranks->past[i].since <= at; i++)
	{
		if (i > 0 && ranks->past[i].since != ranks->past[i - 1].since)
			from_points = -1;
		if (strcmp(ranks->past[i].name, name) == 0)
			from_points = ranks->past[i].from_points;
	}
	return from_points;
}

/* Whether a rank higher than this one had been reached by then, as if nothing reversed by then had been. */
bool
rank_was_exceeded(const Account *account, const Program *program, const char *name, TimestampTz at)
{
	for (int i = 0; i < account->ranks.n; i++)
	{
		const HeldRank *held = &account->ranks.held[i];

		if (held->since <= at && held->reversed_at > at &&
			held->from_points > rank_from_points(program, name, held->since))
			return true;
	}
	return false;
}

/* The highest rank of an account at a moment: earned, granted (if it does not last, until a higher one was earned), or everybody's; NULL: none. */
const Rank *
rank_held_at(const Program *program, const Account *account, const char *granted, bool lasts, TimestampTz at)
{
	const Ranks *ranks = ranks_of(program);

	for (int r = 0; r < ranks->n; r++)
	{
		const Rank *rank = &ranks->rank[r];

		if (rank->from_points == 0 || rank_is_held(account, rank->name, at) ||
			(strcmp(rank->name, granted) == 0 && (lasts || !rank_was_exceeded(account, program, granted, at))))
			return rank;
	}
	return NULL;
}

/* ------------------------------------------------------------------------
 * When ranks begin and end
 * ------------------------------------------------------------------------ */

/* The end of the grace of a rank that is not reached from a moment on. */
static TimestampTz
grace_end(const Program *program, TimestampTz below)
{
	Interval	grace = {.day = program->rank_grace_days};
	Timestamp	local;
	DateADT		day;

	if (TIMESTAMP_NOT_FINITE(below))
		return below;
	day = terms_local_date(program, below);
	if (below == terms_day_start(program, day))
		return terms_day_start(program, day + program->rank_grace_days);
	local = terms_local(program, below);
	return terms_from_local(program, DatumGetTimestamp(DirectFunctionCall2(timestamp_pl_interval, TimestampGetDatum(local),
																		   IntervalPGetDatum(&grace))));
}

/* The moment from which on fewer points count than a rank asks for; now, if they are fewer already. */
static TimestampTz
below_rank(const Account *account, const Program *program, Points from_points, TimestampTz now)
{
	if (program->rank_window_value > 0)
		return lots_below(&account->qualifying, from_points, now);
	return account->earned >= from_points ? DT_NOEND : now;
}

/*
 * Until when so many points counted, of those that are left: from the latest
 * day back, the first on which those that counted were enough; DT_NOBEGIN: never.
 */
TimestampTz
rank_last_reached(const Counted *counted, Points from_points)
{
	const Program *program = &counted->program;
	const Lots *days = &counted->days;

	if (program->rank_window_value == 0)
		return counted->total >= from_points ? counted->to : DT_NOBEGIN;
	for (int last = days->n - 1; last >= 0; last--)
	{
		const Lot  *day = &days->lot[last];
		TimestampTz start = terms_day_start(program, terms_window_start(program, day->expires_at, day->posted));
		Points		sum = 0;

		for (int i = last; i >= 0 && days->lot[i].expires_at > start; i--)
		{
			TimestampTz end = Min(days->lot[i].expires_at, counted->to);

			if (!points_add(sum, days->lot[i].points, &sum) || sum >= from_points)
				return end > counted->from ? end : DT_NOBEGIN;
		}
	}
	return DT_NOBEGIN;
}

/* The end of a rank that is not reached any more, by what has counted under each of the program's terms, the newest first. */
TimestampTz
rank_end(const Counted *counted, int n, const char *name)
{
	for (int i = 0; i < n; i++)
	{
		Points		from_points = rank_from_points(&counted[i].program, name, counted[i].from);
		TimestampTz last = from_points < 0 ? DT_NOBEGIN : rank_last_reached(&counted[i], from_points);

		/* what a change has put out of reach has the grace that came with it */
		if (last != DT_NOBEGIN)
			return grace_end(&counted[last == counted[i].to ? Max(i - 1, 0) : i].program, last);
	}
	return DT_NOBEGIN;
}

/* Whether ranks that a change of terms has put out of reach may still be in their grace. */
bool
rank_is_recent(const Program *program, TimestampTz at)
{
	return program->ranked_at > at - (program->rank_grace_days + 2) * USECS_PER_DAY;
}

/* The end of a rank by the terms of now, from what the account has counted. */
static TimestampTz
end_of_reached(const Account *account, const Program *program, Points from_points)
{
	Counted		counted = {*program, DT_NOBEGIN, DT_NOEND, account->earned, account->qualifying};

	return grace_end(program, rank_last_reached(&counted, from_points));
}

/*
 * Set until when a rank is held, from how many points, and whether reversals
 * ended it; what is new is marked to be written.
 */
void
rank_set_held(HeldRank *held, TimestampTz until, Points from_points, TimestampTz reversed_at)
{
	held->changed |= held->until != until || held->from_points != from_points || held->reversed_at != reversed_at;
	held->until = until;
	held->from_points = from_points;
	held->reversed_at = reversed_at;
}

/* The holding of a rank that lasts at a moment, or ended just then; NULL: none. */
static HeldRank *
find_held(const HeldRanks *ranks, const char *name, TimestampTz at)
{
	for (int i = ranks->n - 1; i >= 0; i--)
	{
		HeldRank   *held = &ranks->held[i];

		if (held->since <= at && (held->until > at || held->since == at) && strcmp(held->name, name) == 0)
			return held;
	}
	return NULL;
}

static HeldRank *
add_held(HeldRanks *ranks, const char *name, TimestampTz since)
{
	HeldRank	held = {.name = pstrdup(name),.since = since,.changed = true};

	if (ranks->n == ranks->allocated)
	{
		ranks->allocated = Max(8, 2 * ranks->allocated);
		ranks->held = repalloc(ranks->held, ranks->allocated * sizeof(HeldRank));
	}
	ranks->held[ranks->n] = held;
	return &ranks->held[ranks->n++];
}

/*
 * One rank.  If it is reached, it ends when the points fall below it, and after
 * the grace.  If not, but held, its end is known since it was reached; what was
 * reversed had no part in that, and what a change of terms has put out of reach
 * gets the grace that begins with the change.  Soon after one, what counted
 * before matters: then this is left to write_ranks(), which reads the entries.
 */
static void
update_rank(Account *account, const Program *program, const Rank *rank, TimestampTz at, RankCause cause)
{
	TimestampTz below = below_rank(account, program, rank->from_points, at);
	HeldRank   *held = find_held(&account->ranks, rank->name, at);
	TimestampTz end;

	if (below > at)
	{
		/* from how many points it was held stays true of the time until now */
		if (held != NULL && held->since < at && held->from_points != rank->from_points)
		{
			rank_set_held(held, at, held->from_points, held->reversed_at);
			held = NULL;
		}
		if (held == NULL)
			held = add_held(&account->ranks, rank->name, at);
		rank_set_held(held, grace_end(program, below), rank->from_points, DT_NOEND);
		return;
	}
	if (held == NULL || held->until <= at || cause == RANK_EARNED || (cause == RANK_REVERSED && rank_is_recent(program, at)))
		return;
	if (cause == RANK_RECOUNTED)
		end = grace_end(program, at);
	else if (program->rank_window_value > 0)
		end = end_of_reached(account, program, held->from_points);
	else
		end = account->earned >= held->from_points ? held->until : at;
	rank_set_held(held, Min(held->until, Max(end, at)), held->from_points, held->reversed_at);
}

static bool
is_rank(const Ranks *ranks, const char *name)
{
	for (int r = 0; r < ranks->n; r++)
	{
		if (ranks->rank[r].from_points > 0 && strcmp(ranks->rank[r].name, name) == 0)
			return true;
	}
	return false;
}

/* Bring an account's ranks in line with the points that count now; the cause says what has changed them. */
void
ranks_update(Account *account, const Program *program, TimestampTz at, RankCause cause)
{
	const Ranks *ranks = ranks_of(program);

	for (int i = 0; cause == RANK_RECOUNTED && i < account->ranks.n; i++)
	{
		HeldRank   *held = &account->ranks.held[i];

		if (held->until > at && !is_rank(ranks, held->name))
			rank_set_held(held, Max(held->since, at), held->from_points, held->reversed_at);
	}
	for (int r = 0; r < ranks->n && ranks->rank[r].from_points > 0; r++)
		update_rank(account, program, &ranks->rank[r], at, cause);
}

/* ------------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------------ */

#define RANK_COLUMNS 6

#define RANK_HELD_UPSERT \
	" ON CONFLICT (merchant_id, account_id, rank, since)" \
	" DO UPDATE SET until = excluded.until, from_points = excluded.from_points, reversed_at = excluded.reversed_at"

static Statement ranks_write_sql = {
	.sql = "INSERT INTO loyalty_internal.rank_held (merchant_id, account_id, rank, since, until, from_points, reversed_at)"
	" SELECT $1, u.* FROM unnest($2, $3, $4, $5, $6, $7) u" RANK_HELD_UPSERT,
	.params = {INT8OID, INT8ARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID, POINTSARRAYOID,
	TIMESTAMPTZARRAYOID}
};

static Statement rank_write_sql = {
	.sql = "INSERT INTO loyalty_internal.rank_held (merchant_id, account_id, rank, since, until, from_points, reversed_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7)" RANK_HELD_UPSERT,
	.params = {INT8OID, INT8OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, POINTSOID, TIMESTAMPTZOID}
};

/* Write the ranks of accounts that have changed. */
void
ranks_write(int64 merchant_id, const Account *accounts, int n)
{
	Column		columns[RANK_COLUMNS];
	int			rows = 0;

	for (int i = 0; i < n; i++)
	{
		for (int h = 0; h < accounts[i].ranks.n; h++)
			rows += accounts[i].ranks.held[h].changed;
	}
	if (rows == 0)
		return;
	columns_start(columns, &rank_write_sql, RANK_COLUMNS, rows);
	rows = 0;
	for (int i = 0; i < n; i++)
	{
		for (int h = 0; h < accounts[i].ranks.n; h++)
		{
			const HeldRank *held = &accounts[i].ranks.held[h];
			bool		nulls[RANK_COLUMNS] = {[5] = held->reversed_at == DT_NOEND};
			Datum		row[RANK_COLUMNS] = {
				Int64GetDatum(accounts[i].account_id),
				CStringGetTextDatum(held->name),
				TimestampTzGetDatum(held->since),
				TimestampTzGetDatum(held->until),
				PointsGetDatum(held->from_points),
				TimestampTzGetDatum(held->reversed_at),
			};

			if (held->changed)
				columns_set(columns, RANK_COLUMNS, rows++, row, nulls);
		}
	}
	columns_write(&ranks_write_sql, &rank_write_sql, merchant_id, columns, RANK_COLUMNS, rows);
}
