/*
 * recount.c
 *		What counts for the ranks of an account, and what it holds by that.
 *
 * What counted until a moment decides, and nothing else: each thing that counts
 * is met at its own moment and in the order of these, whenever it is booked.
 * The days whose points count are kept with the account; after a change of
 * terms ranks are found anew, account by account, when one is next asked for,
 * and as of the change: from these days if they count as before, else from the
 * entries.
 */
#include "postgres.h"

#include "base/sort.h"
#include "catalog/pg_type.h"
#include "db/columns.h"
#include "db/statement.h"
#include "earning/rank.h"
#include "ledger/recount.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/timestamp.h"

/* ------------------------------------------------------------------------
 * Counting from the entries
 * ------------------------------------------------------------------------ */

/* The moment from which on days that have ceased to count are needed: their grace may not be over. */
static TimestampTz
oldest_needed(const Program *program, TimestampTz at)
{
	return program->rank_grace_days == 0 ? at : at - (program->rank_grace_days + 2) * USECS_PER_DAY;
}

/*
 * What accounts earned on which day of a time zone, until a moment, less what
 * was reversed of it: pending points are of the day they came.  Account by account and entry
 * by entry, whatever the planner knows of the tables: LATERAL with OFFSET 0 and scalar
 * subqueries are not joined in another order.
 */
static Statement counted_sql = {
	.sql = "SELECT u.account_id, d.day, d.points FROM unnest($2) u (account_id), LATERAL ("
	"SELECT (c.at AT TIME ZONE $3)::date, loyalty.sum(c.points) FROM " HISTORY_OF("u.account_id") " e, LATERAL ("
	"SELECT coalesce(CASE WHEN e.kind = " KIND_SQL(MATURE) " THEN (SELECT s.due_at FROM loyalty_internal.reservation s"
	" WHERE s.merchant_id = $1 AND s.entry_id = e.origin_entry_id) END, e.posted_at), e.amount"
	" WHERE e.kind IN (" KIND_SQL(ACCRUE) ", " KIND_SQL(DEPOSIT) ", " KIND_SQL(MATURE) ") AND e.amount OPERATOR(loyalty.>) '0'"
	" UNION ALL"
	" SELECT coalesce((SELECT s.due_at FROM loyalty_internal.reservation s WHERE s.merchant_id = $1 AND s.entry_id = e.entry_id), e.posted_at),"
	" OPERATOR(loyalty.-) r.amount FROM loyalty_internal.reversal r"
	" WHERE r.merchant_id = $1 AND r.entry_id = e.entry_id AND e.kind IN (" KIND_SQL(ACCRUE) ", " KIND_SQL(DEPOSIT) ")"
	" AND (SELECT b.reserved IS NULL FROM loyalty.entry b WHERE b.merchant_id = $1 AND b.entry_id = r.reversed_by)"
	" OFFSET 0) c (at, points)"
	" WHERE c.at <= $4 GROUP BY 1 HAVING loyalty.sum(c.points) OPERATOR(loyalty.>) '0') d (day, points) ORDER BY 1, 2",
	.params = {INT8OID, INT8ARRAYOID, TEXTOID, TIMESTAMPTZOID}
};

/* A row of counted_sql as a lot: the points of a day, by until when they count. */
static Lot
counted_day(const Program *program, uint64 row)
{
	bool		isnull;
	Lot			day = {.points = row_int64(row, "points")};

	day.expires_at = terms_window_end(program, DatumGetDateADT(row_datum(row, "day", &isnull)), &day.posted);
	return day;
}

/* Read the rows of one account, which start with this row. */
static void
count_days(Account *account, const Program *program, TimestampTz after, uint64 *row, uint64 rows)
{
	const Lots	none = {0};

	account->qualifying = none;
	for (; *row < rows && row_int64(*row, "account_id") == account->account_id; (*row)++)
	{
		Lot			day = counted_day(program, *row);

		if (day.expires_at > after)
			lots_add_lot(&account->qualifying, &day);
	}
}

/* Count from their entries what counts for the ranks of accounts of one program, by day. */
static void
count_accounts(Batch *batch, Account **accounts, int n, const Program *program, TimestampTz after)
{
	int64	   *ids = palloc_extended(n * sizeof(int64), MCXT_ALLOC_HUGE);
	Datum		values[] = {Int64GetDatum(batch->merchant_id), 0, CStringGetTextDatum(program->time_zone),
	TimestampTzGetDatum(DT_NOEND)};
	uint64		row = 0;
	uint64		rows;

	for (int i = 0; i < n; i++)
		ids[i] = accounts[i]->account_id;
	values[1] = ids_datum(ids, n);
	rows = batch->writes ? db_write(&counted_sql, values, NULL) : db_read(&counted_sql, values, NULL);
	for (int i = 0; i < n; i++)
		count_days(accounts[i], program, after, &row, rows);
}

/* Whether the days that an account has kept are those that count: by all terms since it was counted last. */
static bool
days_hold(const Account *account, const Program *program)
{
	const Ranks *ranks = ranks_with_past(program);
	bool		known = false;

	for (int i = ranks->npast - 1; i >= 0 && ranks->past[i].since >= account->ranked_at; i--)
	{
		const PastRank *past = &ranks->past[i];

		/* without ranks nothing was counted, and by a shorter grace fewer days were kept */
		if (past->name[0] == '\0' || past->window_value != program->rank_window_value ||
			strcmp(past->window_unit, program->rank_window_unit) != 0 || strcmp(past->time_zone, program->time_zone) != 0 ||
			past->grace_days < program->rank_grace_days)
			return false;
		known |= past->since == account->ranked_at;
	}
	return known;
}

/* Count the days of accounts of one program: from their entries if asked to, or if what is kept does not tell. */
static void
count_kept(Batch *batch, Account **accounts, int n, const Program *program, bool by_entries)
{
	Account   **uncounted = palloc_extended(n * sizeof(Account *), MCXT_ALLOC_HUGE);
	TimestampTz after = oldest_needed(program, batch->now);
	int			nuncounted = 0;

	for (int i = 0; i < n; i++)
	{
		if (by_entries || !days_hold(accounts[i], program))
			uncounted[nuncounted++] = accounts[i];
		else
			lots_take_due(&accounts[i]->qualifying, after, NULL);
	}
	if (nuncounted > 0)
		count_accounts(batch, uncounted, nuncounted, program, after);
}

/* Recount accounts of one program. */
static void
count_program(Batch *batch, Account **accounts, int n, bool by_entries)
{
	const Program *program = batch_terms(batch, accounts[0], batch->now)->program;

	if (program->rank_window_value > 0 && program->range_group[0] != '\0')
		count_kept(batch, accounts, n, program, by_entries);
	for (int i = 0; i < n; i++)
	{
		Account    *account = accounts[i];
		bool		stale = account->ranked_at != program->ranked_at;
		TimestampTz moment = stale ? Max(program->ranked_at, account->posted_at) : account_rank_moment(account, batch->now);

		if (program->rank_window_value == 0 || program->range_group[0] == '\0')
			account->qualifying.n = 0;
		ranks_update(account, program, moment, RANK_RECOUNTED);
		account->ranks.recounted = account->changed = true;
		account->ranked_at = program->ranked_at;
	}
}

static int
compare_by_program(const void *a, const void *b)
{
	const Account *left = *(Account *const *) a;
	const Account *right = *(Account *const *) b;

	if (left->program_id != right->program_id)
		return left->program_id < right->program_id ? -1 : 1;
	return (left->account_id > right->account_id) - (left->account_id < right->account_id);
}

/*
 * Count accounts anew, which puts them in the order of their programs, with the
 * terms as they are: as of the change after which they have not been yet, or as
 * of now.  It is by their entries, or by the days they have kept if these hold.
 */
void
recount_accounts(Batch *batch, Account **accounts, int n, bool by_entries)
{
	merge_sort(accounts, n, sizeof(Account *), compare_by_program);
	for (int from = 0, to; from < n; from = to)
	{
		for (to = from + 1; to < n && accounts[to]->program_id == accounts[from]->program_id;)
			to++;
		count_program(batch, &accounts[from], to - from, by_entries);
	}
}

static bool
is_stale(Batch *batch, const Account *account)
{
	const Program *program = batch_terms(batch, account, batch->now)->program;

	return account->ranked_at != program->ranked_at && (program->ranked_at <= batch->now || program->ranked_at > batch->ahead);
}

/*
 * Read the ranks of all accounts of the batch that can have some, if they have
 * not been read; of one that is only looked at, those too that its program had.
 */
void
batch_read_ranks(Batch *batch)
{
	Account   **accounts;
	int			n = 0;
	int			stale = 0;

	if (batch->ranks_read)
		return;
	batch->ranks_read = true;
	accounts = palloc_extended(batch->naccounts * sizeof(Account *), MCXT_ALLOC_HUGE);
	for (int i = 0; i < batch->naccounts; i++)
	{
		Account    *account = &batch->accounts[i];

		if (account->exists && account->tracks_lots &&
			(!batch->writes || batch_terms(batch, account, batch->now)->program->range_group[0] != '\0' || is_stale(batch, account)))
			accounts[n++] = account;
	}
	if (n == 0)
		return;
	ranks_read(batch->merchant_id, accounts, n, batch->writes);
	for (int i = 0; i < n; i++)
	{
		if (is_stale(batch, accounts[i]))
			accounts[stale++] = accounts[i];
	}
	recount_accounts(batch, accounts, stale, false);
}

/* ------------------------------------------------------------------------
 * What postings change
 * ------------------------------------------------------------------------ */

static bool
counts(Batch *batch, const Account *account)
{
	return batch_terms(batch, account, batch->now)->program->range_group[0] != '\0';
}

/* Points as a lot of those that count until the terms' qualifies_until. */
static Lot
day_of(const Terms *terms, Points amount)
{
	Lot			day = {terms->qualifies_until, terms->qualifies_as, amount};

	return day;
}

/* Count points that were earned at a moment. */
void
count_earned(Batch *batch, Account *account, Points amount, TimestampTz at)
{
	const Terms *terms;
	Lot			day;

	if (!counts(batch, account))
	{
		account->earned += amount;
		return;
	}
	batch_read_ranks(batch);
	terms = batch_terms(batch, account, at);
	account->earned += amount;
	lots_take_due(&account->qualifying, oldest_needed(terms->program, at), NULL);
	day = day_of(terms, amount);
	if (terms->qualifies_until != DT_NOEND)
		lots_add_lot(&account->qualifying, &day);
	ranks_update(account, terms->program, account_rank_moment(account, at), RANK_EARNED);
}

/* Count points no more that were reversed, and had counted from a moment on. */
void
count_reversed(Batch *batch, Account *account, Points amount, TimestampTz from)
{
	const Terms *terms;
	Lot			day;

	if (!counts(batch, account))
	{
		account->earned -= amount;
		return;
	}
	batch_read_ranks(batch);
	terms = batch_terms(batch, account, from);
	account->earned -= amount;
	day = day_of(terms, amount);
	if (terms->qualifies_until != DT_NOEND)
		lots_take_lot(&account->qualifying, &day, NULL);
	ranks_update(account, terms->program, account_rank_moment(account, batch->now), RANK_REVERSED);
	account->ranks.reversed = true;
}

/* ------------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------------ */

/* What is left of the points that counted under the terms of one period of the program. */
static void
read_counted(const Batch *batch, const Account *account, Counted *counted)
{
	const Program *program = &counted->program;
	int64		id = account->account_id;
	Datum		values[] = {Int64GetDatum(batch->merchant_id), ids_datum(&id, 1), CStringGetTextDatum(program->time_zone),
	TimestampTzGetDatum(counted->to)};
	uint64		rows = db_write(&counted_sql, values, NULL);

	for (uint64 row = 0; row < rows; row++)
	{
		Lot			day = counted_day(program, row);

		counted->total += day.points;
		if (program->rank_window_value > 0)
			lots_add_lot(&counted->days, &day);
	}
}

/* The same for all periods of the program's terms, the newest first; returns their number. */
static int
read_all_counted(const Batch *batch, const Account *account, const Program *program, Counted **counted)
{
	const Ranks *ranks = ranks_with_past(program);
	TimestampTz to = DT_NOEND;
	int			n = 0;

	*counted = palloc0(Max(ranks->npast, 1) * sizeof(Counted));
	for (int i = ranks->npast - 1; i >= 0; i--)
	{
		const PastRank *past = &ranks->past[i];
		Counted    *span = &(*counted)[n];

		if (i > 0 && ranks->past[i - 1].since == past->since)
			continue;
		span->program = *program;
		span->from = past->since;
		span->to = to;
		span->program.rank_window_value = past->window_value;
		span->program.rank_window_unit = past->window_unit;
		span->program.rank_grace_days = past->grace_days;
		span->program.time_zone = past->time_zone;
		read_counted(batch, account, span);
		to = past->since;
		n++;
	}
	return n;
}

/* Whether the points that are left reached a rank while it was held. */
static bool
was_reached(const HeldRank *held, const Counted *counted, int n)
{
	for (int i = 0; i < n; i++)
	{
		Points		from_points = rank_from_points(&counted[i].program, held->name, counted[i].from);

		if (from_points >= 0 && counted[i].from < held->until && counted[i].to > held->since &&
			rank_last_reached(&counted[i], from_points) != DT_NOBEGIN)
			return true;
	}
	return false;
}

/*
 * What reversing points does to ranks that were held is read off the entries, as
 * they are with those of the batch, where the account does not tell: whether a
 * rank given at registration has ended, for a higher one was reached; and until when
 * ranks are held soon after a change of terms.  Few accounts pay for that.
 */
static void
update_reversed(Batch *batch, Account *account)
{
	Datum		values[] = {Int64GetDatum(batch->merchant_id), Int64GetDatum(account->account_id), TimestampTzGetDatum(batch->now)};
	const Program *program = batch_terms(batch, account, batch->now)->program;
	TimestampTz moment = account_rank_moment(account, batch->now);
	bool		recent = rank_is_recent(program, moment);
	bool		granted;
	Counted    *counted;
	int			n;

	if (account->ranks.n == 0)
		return;
	granted = db_write(&rank_granted_now_sql, values, NULL) > 0 && *row_text(0, "granted_rank") != '\0';
	if (!granted && !recent)
		return;
	n = read_all_counted(batch, account, program, &counted);
	for (int i = 0; i < account->ranks.n; i++)
	{
		HeldRank   *held = &account->ranks.held[i];

		held->changed = false;
		if (granted && held->reversed_at == DT_NOEND && held->since <= moment && !was_reached(held, counted, n))
			rank_set_held(held, held->until, held->from_points, moment);
		if (recent && held->since <= moment && held->until > moment)
			rank_set_held(held, Min(held->until, Max(rank_end(counted, n, held->name), moment)), held->from_points, held->reversed_at);
	}
	ranks_write(batch->merchant_id, account, 1);
}

static Statement accounts_ranked_sql = {
	.sql = "UPDATE loyalty_internal.account SET ranked_at = $3 WHERE merchant_id = $1 AND account_id = ANY ($2)",
	.params = {INT8OID, INT8ARRAYOID, TIMESTAMPTZOID}
};

/* Note the change of terms by which accounts have been recounted, program by program. */
static void
write_counted(const Batch *batch)
{
	int64	   *ids = palloc_extended(batch->naccounts * sizeof(int64), MCXT_ALLOC_HUGE);
	TimestampTz ranked_at = DT_NOBEGIN;
	int			n = 0;

	for (int i = 0; i <= batch->naccounts; i++)
	{
		const Account *account = i < batch->naccounts ? &batch->accounts[i] : NULL;

		if (account != NULL && (!account->ranks.recounted || account->ranked_at == DT_NOBEGIN))
			continue;
		if (n > 0 && (account == NULL || account->ranked_at != ranked_at))
		{
			Datum		values[] = {Int64GetDatum(batch->merchant_id), ids_datum(ids, n), TimestampTzGetDatum(ranked_at)};

			db_write(&accounts_ranked_sql, values, NULL);
			n = 0;
		}
		if (account == NULL)
			break;
		ranked_at = account->ranked_at;
		ids[n++] = account->account_id;
	}
}

/* Write ranks, after all else. */
void
write_ranks(Batch *batch)
{
	if (!batch->ranks_read)
		return;
	ranks_write(batch->merchant_id, batch->accounts, batch->naccounts);
	for (int i = 0; i < batch->naccounts; i++)
	{
		if (batch->accounts[i].ranks.reversed)
			update_reversed(batch, &batch->accounts[i]);
	}
	write_counted(batch);
}
