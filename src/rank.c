/*
 * rank.c
 *		Ranks, as the engine brings them in line with the points that count.
 *
 * A rank that is reached gets the moment at which it will not be, so it ends by
 * itself, whoever looks and whenever.  What has to change is found in memory,
 * which mostly is nothing, and written by one statement for a whole batch.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "columns.h"
#include "fmgr.h"
#include "plan.h"
#include "rank.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

/* ------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------ */

static int
compare_ranks(const void *a, const void *b)
{
	Points		left = ((const Rank *) a)->from_points;
	Points		right = ((const Rank *) b)->from_points;

	return (left < right) - (left > right);
}

/* The ranks of a program, read once while its terms are known. */
const Ranks *
ranks_of(const ProgramTerms *program)
{
	Datum		values[] = {Int64GetDatum(program->merchant_id), 0};
	Ranks	   *ranks = program->ranks;

	if (ranks->is_read)
		return ranks;
	ranks->is_read = true;
	if (program->range_group[0] == '\0')
		return ranks;
	values[1] = CStringGetTextDatum(program->range_group);
	ranks->n = (int) plan_write(PLAN_RANKS, values, NULL);
	ranks->rank = palloc(Max(ranks->n, 1) * sizeof(Rank));
	for (int i = 0; i < ranks->n; i++)
	{
		ranks->rank[i] = (Rank) {plan_text(i, 0), plan_int64(i, 1), plan_int64(i, 2)};
		ranks->multiply |= ranks->rank[i].multiplier != POINTS_ONE;
	}
	qsort(ranks->rank, ranks->n, sizeof(Rank), compare_ranks);
	return ranks;
}

static int
compare_held(const void *a, const void *b)
{
	int64		left = ((const HeldRank *) a)->account_id;
	int64		right = ((const HeldRank *) b)->account_id;

	return (left > right) - (left < right);
}

/* What these accounts hold after a moment, whether or not it had begun then. */
HeldRanks
ranks_read_held(int64 merchant_id, const int64 *account_ids, int n, TimestampTz at)
{
	Datum		values[] = {
		Int64GetDatum(merchant_id),
		n == 1 ? Int64GetDatum(account_ids[0]) : ids_datum(account_ids, n),
		TimestampTzGetDatum(at),
	};
	HeldRanks	ranks = {.n = (int) plan_write(n == 1 ? PLAN_RANK_HELD : PLAN_RANKS_HELD, values, NULL)};

	ranks.held = palloc_extended(Max(ranks.n, 1) * sizeof(HeldRank), MCXT_ALLOC_HUGE);
	for (int i = 0; i < ranks.n; i++)
		ranks.held[i] = (HeldRank) {plan_int64(i, 0), plan_text(i, 1), plan_int64(i, 2), plan_int64(i, 3), plan_int64(i, 4)};
	if (n > 1)
		qsort(ranks.held, ranks.n, sizeof(HeldRank), compare_held);
	return ranks;
}

/* The ranks that one account holds. */
static HeldRanks
held_by(const HeldRanks *ranks, int64 account_id)
{
	HeldRank	key = {.account_id = account_id};
	HeldRank   *found = bsearch(&key, ranks->held, ranks->n, sizeof(HeldRank), compare_held);
	HeldRanks	own = {found, found != NULL};

	if (found == NULL)
		return own;
	while (own.held > ranks->held && own.held[-1].account_id == account_id)
	{
		own.held--;
		own.n++;
	}
	while (own.held + own.n < ranks->held + ranks->n && own.held[own.n].account_id == account_id)
		own.n++;
	return own;
}

/* The highest rank of an account at a moment: earned, granted to the member, or everybody's; NULL: none. */
const Rank *
rank_held_at(const Ranks *ranks, const HeldRanks *held, int64 account_id, const char *granted, TimestampTz at)
{
	HeldRanks	own = held_by(held, account_id);

	for (int r = 0; r < ranks->n; r++)
	{
		const Rank *rank = &ranks->rank[r];

		if (rank->from_points == 0 || strcmp(rank->name, granted) == 0)
			return rank;
		for (int i = 0; i < own.n; i++)
		{
			if (strcmp(own.held[i].name, rank->name) == 0 && own.held[i].since <= at && own.held[i].until > at)
				return rank;
		}
	}
	return NULL;
}

/* ------------------------------------------------------------------------
 * Settling
 * ------------------------------------------------------------------------ */

enum
{
	RANK_ACCOUNT, RANK_NAME, RANK_SINCE, RANK_UNTIL, RANK_FROM, RANK_COLUMNS
};

/* What is to be written, as rows of columns. */
typedef struct RankRows
{
	Datum	   *columns[RANK_COLUMNS];
	int			n;
	int			allocated;
} RankRows;

static void
add_row(RankRows *rows, const HeldRank *held)
{
	Datum		row[RANK_COLUMNS] = {
		Int64GetDatum(held->account_id),
		CStringGetTextDatum(held->name),
		TimestampTzGetDatum(held->since),
		TimestampTzGetDatum(held->until),
		PointsGetDatum(held->from_points),
	};

	if (rows->n == rows->allocated)
	{
		rows->allocated = Max(8, 2 * rows->allocated);
		for (int c = 0; c < RANK_COLUMNS; c++)
			rows->columns[c] = rows->n == 0 ? palloc(rows->allocated * sizeof(Datum)) :
				repalloc_huge(rows->columns[c], rows->allocated * sizeof(Datum));
	}
	for (int c = 0; c < RANK_COLUMNS; c++)
		rows->columns[c][rows->n] = row[c];
	rows->n++;
}

/* When the grace of a rank ends that is not reached from a moment on. */
static TimestampTz
grace_end(const ProgramTerms *program, TimestampTz below)
{
	Interval	grace = {.day = program->rank_grace_days};
	Timestamp	local;

	if (TIMESTAMP_NOT_FINITE(below))
		return below;
	local = terms_local(program, below);
	return terms_from_local(program, DatumGetTimestamp(DirectFunctionCall2(timestamp_pl_interval, TimestampGetDatum(local),
																		   IntervalPGetDatum(&grace))));
}

/* From when on the points that count are less than a rank asks for; now, if they are. */
static TimestampTz
below_rank(const Counted *account, const Rank *rank, TimestampTz now)
{
	if (account->program->rank_window_value > 0)
		return lots_below(account->qualifying, rank->from_points, now);
	return account->earned >= rank->from_points ? DT_NOEND : now;
}

/*
 * One rank of one account.  If it is reached, it ends when the points fall
 * below it, and after the grace; if not, but held, when the grace is over that
 * begins now, unless it ends before.
 */
static void
settle_rank(RankRows *rows, const Counted *account, const Rank *rank, const HeldRanks *own, TimestampTz now)
{
	TimestampTz below = below_rank(account, rank, now);
	TimestampTz ends;
	HeldRank	next = {account->account_id, rank->name, now, 0, rank->from_points};
	const HeldRank *held = NULL;

	for (int i = 0; i < own->n && held == NULL; i++)
	{
		if (strcmp(own->held[i].name, rank->name) == 0)
			held = &own->held[i];
	}
	if (below <= now && held == NULL)
		return;
	ends = grace_end(account->program, below);
	next.until = below > now ? ends : Min(held->until, ends);
	if (held != NULL)
		next.since = held->since;
	if (held == NULL || held->until != next.until || held->from_points != next.from_points)
		add_row(rows, &next);
}

static void
write_rows(int64 merchant_id, const RankRows *rows)
{
	Oid			types[RANK_COLUMNS] = {INT8OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, plan_points_oid()};
	Datum		values[1 + RANK_COLUMNS] = {Int64GetDatum(merchant_id)};

	if (rows->n == 0)
		return;
	for (int c = 0; c < RANK_COLUMNS; c++)
		values[1 + c] = rows->n == 1 ? rows->columns[c][0] : array_datum(rows->columns[c], rows->n, types[c]);
	plan_write(rows->n == 1 ? PLAN_RANK_WRITE : PLAN_RANKS_WRITE, values, NULL);
}

/* The accounts are locked, and are what they have become; each is there once. */
void
ranks_settle(int64 merchant_id, const Counted *accounts, int n, TimestampTz now)
{
	int64	   *ids = palloc_extended(n * sizeof(int64), MCXT_ALLOC_HUGE);
	RankRows	rows = {.n = 0};
	HeldRanks	held;

	for (int i = 0; i < n; i++)
		ids[i] = accounts[i].account_id;
	held = ranks_read_held(merchant_id, ids, n, now);
	for (int i = 0; i < n; i++)
	{
		const Ranks *ranks = ranks_of(accounts[i].program);
		HeldRanks	own = held_by(&held, accounts[i].account_id);

		for (int r = 0; r < ranks->n && ranks->rank[r].from_points > 0; r++)
			settle_rank(&rows, &accounts[i], &ranks->rank[r], &own, now);
	}
	write_rows(merchant_id, &rows);
}

/* The points that count of accounts that have not been read. */
static Counted *
read_counted(int64 merchant_id, Datum account_ids, TimestampTz at, int *n)
{
	Datum		values[] = {Int64GetDatum(merchant_id), account_ids};
	uint64		found = plan_write(PLAN_ACCOUNTS_COUNTED, values, NULL);
	Counted    *accounts = palloc_extended(Max(found, 1) * sizeof(Counted), MCXT_ALLOC_HUGE);
	int64	   *programs = palloc_extended(Max(found, 1) * sizeof(int64), MCXT_ALLOC_HUGE);
	Terms	   *known = NULL;

	for (uint64 row = 0; row < found; row++)
	{
		bool		isnull;
		Datum		packed = plan_datum(row, 3, &isnull);
		Lots	   *qualifying = palloc0(sizeof(Lots));
		Datum		earned;

		if (!isnull)
			lots_read(packed, qualifying);
		earned = plan_datum(row, 2, &isnull);
		accounts[row] = (Counted) {plan_int64(row, 0), NULL, isnull ? PG_INT64_MIN : DatumGetInt64(earned), qualifying};
		programs[row] = plan_int64(row, 1);
	}
	for (uint64 row = 0; row < found; row++)
		accounts[row].program = terms_at(&known, merchant_id, programs[row], at)->program;
	*n = (int) found;
	return accounts;
}

PG_FUNCTION_INFO_V1(loyalty_settle_ranks);

Datum
loyalty_settle_ranks(PG_FUNCTION_ARGS)
{
	Counted    *accounts;
	int			n;

	plan_begin();
	accounts = read_counted(PG_GETARG_INT64(0), PG_GETARG_DATUM(1), PG_GETARG_TIMESTAMPTZ(2), &n);
	if (n > 0)
		ranks_settle(PG_GETARG_INT64(0), accounts, n, PG_GETARG_TIMESTAMPTZ(2));
	plan_end();
	PG_RETURN_VOID();
}
