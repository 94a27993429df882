/*
 * limit.c
 *		What a program's limits allow in a day, taken and never oversold.
 *
 * A limit is on what the postings of one subject, the program, an API key, a
 * branch, a cashier or a member, add or spend in a local day of the program, in
 * points and in operations.  What a subject may still move is in its row of
 * loyalty_internal.allowance; a posting that is refused by one of its limits counts in
 * none.
 *
 * A program, a key and a branch are pools: a posting takes from a row of less
 * traffic that has drawn from the pool's.  Of a branch that is its cashier's row;
 * of a program and of a key the row of the session's stripe.  So those who post
 * at one time do not wait for each other.
 *
 * A single posting takes from its stripes, its cashier's row and its member's by
 * one UPDATE each, if there is enough and the row is of today and of the limits
 * as they are now.  So does a batch from stripes, and from its cashier's row if
 * it has only one, if it is known before what it needs at most: what is left in
 * the end goes back.  Otherwise rows are locked and computed in memory.  What
 * the postings need is then drawn from the pool's row, and while there is plenty
 * a share for later ones.  When the pool's row has not enough, what was drawn
 * and not used is taken back first, which waits for those who have posted and
 * not committed yet: they may roll back, and "exceeded" must not be said before
 * that is known.  What is reversed goes back with the pool's row locked, for
 * nobody has more back than the pool has counted.
 *
 * Locks are taken after those of the accounts: by program, that of all of it
 * before keys before branches before members, in ascending order; the rows of
 * pools before those that have drawn from them, all of which are had before the
 * next scope is begun with.  Who waits for a pool has no row locked that has
 * drawn from one of its scope, unless by an earlier posting of the same
 * transaction: then PostgreSQL may have to end one of two with 40P01, as it does
 * with transactions that post several times in different orders.
 *
 * A day never goes back: a posting that began before midnight, and had to wait
 * for one that began after it, counts for the new day.  Nothing happens to rows
 * of an older day until somebody needs them.
 *
 * All memory is the caller's, gone with db_end().
 */
#include "postgres.h"

#include "base/sort.h"
#include "catalog/pg_type.h"
#include "db/columns.h"
#include "db/statement.h"
#include "limits/allowance.h"
#include "limits/limit.h"
#include "limits/limit_set.h"
#include "miscadmin.h"

/* A cashier or stripe draws this part of what the pool has left, for later. */
#define SHARES	16
/* And draws nothing for later, unless that part is so many times what was needed now. */
#define PLENTY	8

struct Limits
{
	int64		merchant_id;
	TimestampTz now;
	Movement   *movements;
	int			nmovements;
	int			allocated;
	bool		prepared;
	Counter    *counters;		/* of stripes, cashiers and members, in the order of locks */
	int			ncounters;
	Counter    *pools;			/* of programs, keys and branches, in the order of locks */
	int			npools;
};

/* Begin to count the postings of one operation against limits. */
Limits *
limits_start(int64 merchant_id, TimestampTz now)
{
	Limits	   *limits = palloc0(sizeof(Limits));

	limits->merchant_id = merchant_id;
	limits->now = now;
	limits->allocated = 8;
	limits->movements = palloc(limits->allocated * sizeof(Movement));
	return limits;
}

/*
 * Nothing counts for a day before that of the newest entry of an account that it
 * moves points of: entries have the later of that moment and of what the clock says.
 */
void
limits_advance(Limits *limits, TimestampTz posted_at)
{
	Assert(!limits->prepared);
	limits->now = Max(limits->now, posted_at);
}

/* Announce a movement that may be taken: all are announced before any is taken. */
void
limits_expect(Limits *limits, const Movement *movement)
{
	Assert(!limits->prepared);
	if (limits->nmovements == limits->allocated)
	{
		limits->allocated *= 2;
		limits->movements = repalloc_huge(limits->movements, limits->allocated * sizeof(Movement));
	}
	limits->movements[limits->nmovements++] = *movement;
}

/* ------------------------------------------------------------------------
 * Whose limits may apply
 * ------------------------------------------------------------------------ */

/* The scopes that a movement counts in by a row that is taken from; a branch is the cashier's pool. */
static const Scope counted_scopes[] = {SCOPE_PROGRAM, SCOPE_KEY, SCOPE_STAFF, SCOPE_MEMBER};

static int64
subject_of(const Movement *movement, Scope scope)
{
	switch (scope)
	{
		case SCOPE_PROGRAM:
			return movement->program_id;
		case SCOPE_KEY:
			return movement->key_id;
		case SCOPE_STAFF:
			return movement->staff_id;
		case SCOPE_MEMBER:
			return movement->member_id;
		case SCOPE_BRANCH:
			break;
	}
	return 0;
}

static Counter
counter_for(const Movement *movement, Scope scope)
{
	return counter_of(movement->program_id, scope, movement->adds, subject_of(movement, scope));
}

/*
 * What a session knows of a program's limits is enough to say whose rows may
 * matter.  A cashier's does also if only a branch is limited, perhaps theirs.
 */
static bool
may_be_limited(const LimitSet *known, const Counter *counter)
{
	if (counter->subject_id == 0)
		return false;
	return !known->is_whole || limit_rule_for(known, counter->scope, counter->adds, counter->subject_id) != NULL ||
		(counter->scope == SCOPE_STAFF && limit_set_has(known, SCOPE_BRANCH, counter->adds));
}

static bool
same_movement(const Movement *a, const Movement *b)
{
	return a->program_id == b->program_id && a->key_id == b->key_id && a->staff_id == b->staff_id &&
		a->member_id == b->member_id && a->adds == b->adds;
}

static int
compare_programs(const void *a, const void *b)
{
	int64		left = ((const Movement *) a)->program_id;
	int64		right = ((const Movement *) b)->program_id;

	return (left > right) - (left < right);
}

/* Find the counters of all movements that were announced. */
static void
find_counters(Limits *limits)
{
	const LimitSet *known = NULL;
	int64		program_id = 0;

	merge_sort(limits->movements, limits->nmovements, sizeof(Movement), compare_programs);
	limits->counters = palloc_extended(limits->nmovements * lengthof(counted_scopes) * sizeof(Counter), MCXT_ALLOC_HUGE);
	for (int i = 0; i < limits->nmovements; i++)
	{
		const Movement *movement = &limits->movements[i];

		if (movement->program_id != program_id)
			known = limit_set_of(movement->program);
		program_id = movement->program_id;
		for (int s = 0; s < (int) lengthof(counted_scopes); s++)
		{
			Counter		counter = counter_for(movement, counted_scopes[s]);

			counter.need.points = movement->most;
			counter.need.operations = movement->gives ? 0 : 1;
			counter.gives = movement->gives;
			if (may_be_limited(known, &counter))
				limits->counters[limits->ncounters++] = counter;
		}
	}
	limits->ncounters = distinct_counters(limits->counters, limits->ncounters);
	limits->pools = palloc_extended(Max(limits->ncounters, 1) * sizeof(Counter), MCXT_ALLOC_HUGE);
}

static const Program *
program_of(const Limits *limits, int64 program_id)
{
	Movement	key = {.program_id = program_id};

	return ((Movement *) bsearch(&key, limits->movements, limits->nmovements, sizeof(Movement), compare_programs))->program;
}

/* ------------------------------------------------------------------------
 * Locking the counters of a program, with the limits as they are now
 * ------------------------------------------------------------------------ */

/* The number of counters from here on, of one scope, that are of one way too, and can be asked for together. */
static int
run_of(const Counter *counters, int n)
{
	int			length = 1;

	while (length < n && counters[length].adds == counters->adds)
		length++;
	return length;
}

static Statement limit_branches_sql = {
	.sql = "SELECT s.staff_id, coalesce(a.drawn_from, s.branch_id) AS branch_id, coalesce(a.drawn_from, 0) AS drawn_from"
	" FROM loyalty_internal.staff s LEFT JOIN loyalty_internal.allowance a ON a.merchant_id = $1 AND a.program_id = $2 AND a.adds = $3"
	" AND a.scope = 'staff' AND a.subject_id = s.staff_id AND a.day >= $4"
	" WHERE s.merchant_id = $1 AND s.staff_id = ANY ($5) ORDER BY s.staff_id",
	.params = {INT8OID, INT8OID, BOOLOID, DATEOID, INT8ARRAYOID}
};

/* Where cashiers work, for the day's limits: where they have drawn from already. */
static void
find_branches(Limits *limits, Counter *counters, int n, DateADT today)
{
	Datum	   *ids = palloc_extended(n * sizeof(Datum), MCXT_ALLOC_HUGE);
	Datum		values[] = {
		Int64GetDatum(limits->merchant_id),
		Int64GetDatum(counters->program_id),
		BoolGetDatum(counters->adds),
		DateADTGetDatum(today),
		0,
	};
	uint64		found;
	int			next = 0;

	for (int i = 0; i < n; i++)
	{
		ids[i] = Int64GetDatum(counters[i].subject_id);
		counters[i].pool_id = counters[i].drawn_from = 0;
	}
	values[4] = array_datum(ids, n, INT8OID);
	found = db_write(&limit_branches_sql, values, NULL);
	for (uint64 row = 0; row < found; row++)
	{
		while (counters[next].subject_id != row_int64(row, "staff_id"))
			next++;
		counters[next].pool_id = row_int64(row, "branch_id");
		counters[next].drawn_from = row_int64(row, "drawn_from");
	}
}

/* The program's limits, all or as far as they concern these counters. */
static LimitSet
find_limits(const Limits *limits, const Program *program, const Counter *counters, int n)
{
	const LimitSet *known = limit_set_of(program);
	Datum	   *subjects;

	if (known->is_whole)
		return *known;
	subjects = palloc_extended(2 * n * sizeof(Datum), MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
	{
		subjects[2 * i] = Int64GetDatum(counters[i].subject_id);
		subjects[2 * i + 1] = Int64GetDatum(counters[i].pool_id);
	}
	return limit_set_read(limits->merchant_id, program->program_id, subjects, 2 * n);
}

static const Amount no_limit = {PG_INT64_MAX, PG_INT64_MAX};

static void
set_rule(Counter *counter, const LimitSet *rules)
{
	const LimitRule *rule = counter->stripe != 0 ? NULL :
	limit_rule_for(rules, counter->scope, counter->adds, counter->subject_id);

	counter->limited = rule != NULL;
	counter->max = rule != NULL ? rule->max : no_limit;
}

/* The pool that a counter draws from; NULL: it has no limit, and had none today that a cashier drew from. */
static Counter *
pool_of(const Limits *limits, const Counter *counter)
{
	Counter		key = counter_pool(counter);

	return limits->npools == 0 ? NULL : bsearch(&key, limits->pools, limits->npools, sizeof(Counter), compare_counters);
}

static void
set_rules(Limits *limits, Counter *counters, int n, const LimitSet *rules)
{
	int			first = limits->npools;

	for (int i = 0; i < n; i++)
	{
		Counter		pool = counter_pool(&counters[i]);

		set_rule(&counters[i], rules);
		set_rule(&pool, rules);
		pool.need = counters[i].need;
		if (pool.subject_id != 0 && (pool.limited || counters[i].drawn_from == pool.subject_id))
			limits->pools[limits->npools++] = pool;
	}
	limits->npools = first + distinct_counters(&limits->pools[first], limits->npools - first);
	for (int i = 0; i < n; i++)
		counters[i].pool = pool_of(limits, &counters[i]);
}

/* Whether a counter has a row.  Cashiers without a limit get one too: it caches that they have none. */
static bool
is_counted(const Counter *counter)
{
	return counter->taken || counter->limited || counter->pool != NULL || counter->scope == SCOPE_STAFF;
}

/* Lock the rows of counters, those of one scope and way together. */
static void
lock_rows(const Limits *limits, Counter *counters, int n)
{
	for (int from = 0, to; from < n; from = to)
	{
		int			end = from + run_of(&counters[from], n - from);

		for (to = from; to < end && is_counted(&counters[to]);)
			to++;
		if (to > from)
			allowances_lock(limits->merchant_id, &counters[from], to - from);
		while (to < end && !is_counted(&counters[to]))
			to++;
	}
}

static const Program *
newest_program(const Limits *limits, int64 program_id)
{
	const Program *program = program_find(limits->merchant_id, program_id);

	if (program == NULL)
		elog(ERROR, "program " INT64_FORMAT " is gone", program_id);
	return program;
}

/*
 * Lock the rows of counters of one program and scope under its limits as they are now:
 * they may have changed since it was read, and while we waited.
 */
static int64
lock_counters(Limits *limits, Counter *counters, int n, DateADT today)
{
	int			first = limits->npools;
	const Program *program;

	do
	{
		LimitSet	rules;

		CHECK_FOR_INTERRUPTS();
		program = newest_program(limits, counters->program_id);
		limits->npools = first;
		for (int from = 0, to; from < n && counters->scope == SCOPE_STAFF; from = to)
		{
			to = from + run_of(&counters[from], n - from);
			find_branches(limits, &counters[from], to - from, today);
		}
		rules = find_limits(limits, program, counters, n);
		set_rules(limits, counters, n, &rules);
		for (int i = first; i < limits->npools; i++)
			allowances_lock(limits->merchant_id, &limits->pools[i], 1);
		lock_rows(limits, counters, n);
	} while (newest_program(limits, counters->program_id) != program);
	return program->revision;
}

/* ------------------------------------------------------------------------
 * What is left
 * ------------------------------------------------------------------------ */

/* What is left of a maximum after what was used. */
static int64
unused_of(int64 max, int64 used)
{
	return Max(max - used, 0);
}

static bool
suffices(const Counter *counter, Amount left, Amount need)
{
	return (counter->max.points == PG_INT64_MAX || left.points >= need.points) && left.operations >= need.operations;
}

static bool
fits(const Counter *counter, Points points)
{
	const Amount need = {points, 1};
	const Counter *pool = counter->pool;

	return suffices(counter, counter->left, need) && (pool == NULL || suffices(pool, pool->left, need));
}

/* Renew a counter for a day and a revision, without what it has drawn. */
static void
refresh(Counter *counter, DateADT day, int64 revision)
{
	const Amount nothing = {0, 0};

	if (counter->day < day)
		counter->used = nothing;
	counter->day = day;
	counter->revision = revision;
	counter->drawn_from = 0;
	counter->left.points = unused_of(counter->max.points, counter->used.points);
	counter->left.operations = unused_of(counter->max.operations, counter->used.operations);
}

/* What a counter has drawn from a pool and not used, if it is of the same day and pool. */
static Amount
drawn(const Counter *counter, const Counter *pool)
{
	const Amount nothing = {0, 0};
	bool		good = counter->pool == pool && counter->drawn_from == pool->subject_id && counter->day == pool->day;

	return good ? counter->left : nothing;
}

/*
 * Bring a pool up to date, and give it back what these counters have drawn;
 * what all have that draw from it, if that is not enough for what is needed or
 * the limit was changed.
 */
static void
refresh_pool(const Limits *limits, Counter *pool, Counter *counters, int n, DateADT day, int64 revision)
{
	Amount		back = {0, 0};

	for (int i = 0; i < n; i++)
	{
		Amount		amount = drawn(&counters[i], pool);

		counters[i].changed |= amount.points > 0 || amount.operations > 0;
		amount_add(&back, amount);
	}
	if (pool->day == day)
	{
		Amount		there = pool->left;

		amount_add(&there, back);
		if (pool->revision != revision || !suffices(pool, there, pool->need))
			back = allowance_gather(limits->merchant_id, pool, counters->scope);
		pool->used.points -= back.points;
		pool->used.operations -= back.operations;
	}
	refresh(pool, day, revision);
	pool->changed |= back.points > 0 || back.operations > 0;
}

/* The day that a pool and what draws from it count for: the latest of theirs. */
static DateADT
day_of_pool(const Counter *pool, const Counter *counters, int n, DateADT today)
{
	DateADT		day = Max(today, pool->day);

	for (int i = 0; i < n; i++)
	{
		if (counters[i].pool == pool)
			day = Max(day, counters[i].day);
	}
	return day;
}

/* Lock counters of one program and scope, and compute what is left. */
static void
prepare(Limits *limits, Counter *counters, int n)
{
	const Program *program = program_of(limits, counters->program_id);
	DateADT		today = terms_local_date(program, limits->now);
	int			first = limits->npools;
	int64		revision = lock_counters(limits, counters, n, today);

	for (int i = first; i < limits->npools; i++)
	{
		Counter    *pool = &limits->pools[i];

		refresh_pool(limits, pool, counters, n, day_of_pool(pool, counters, n, today), revision);
	}
	for (int i = 0; i < n; i++)
	{
		Counter    *counter = &counters[i];
		DateADT		day = is_counted(counter) ? Max(today, counter->day) : today;

		refresh(counter, counter->pool != NULL ? counter->pool->day : day, revision);
	}
}

/* ------------------------------------------------------------------------
 * Taking
 * ------------------------------------------------------------------------ */

static void
count_one(Counter *counter, Amount amount)
{
	amount_add(&counter->used, amount);
	/* what is given back may have been used before there was a limit */
	counter->used.points = Max(counter->used.points, 0);
	counter->used.operations = Max(counter->used.operations, 0);
	counter->left.points = unused_of(counter->max.points, counter->used.points);
	counter->left.operations = unused_of(counter->max.operations, counter->used.operations);
	counter->largest = Max(counter->largest, amount.points);
	counter->changed = true;
}

static void
count_all(Counter *counter, Amount amount)
{
	if (counter->taken)
	{
		counter->left.points -= amount.points;
		counter->left.operations -= amount.operations;
		return;
	}
	count_one(counter, amount);
	if (counter->pool != NULL)
		count_one(counter->pool, amount);
}

/*
 * Take what counters of one program and scope need, by one statement each, if
 * it is known and they have it; then it is theirs, and what is left of it goes
 * back when all is written.
 */
static bool
take_at_once(const Limits *limits, Counter *counters, int n)
{
	const Program *program = program_of(limits, counters->program_id);
	DateADT		today = terms_local_date(program, limits->now);

	/* a member's row is not locked but by who has the account locked */
	if (counters->scope == SCOPE_MEMBER)
	{
		if (n > 1 || !allowance_take(limits->merchant_id, counters, today, program->revision, counters->need.points, counters->need.operations))
			return false;
	}
	else if (!allowances_try(limits->merchant_id, counters, n, today, program->revision))
		return false;
	for (int i = 0; i < n; i++)
	{
		counters[i].taken = true;
		counters[i].left = counters[i].need;
	}
	return true;
}

/* Give back what is left of what was taken at once. */
static void
return_taken(const Limits *limits, const Counter *counter)
{
	const Program *program = program_of(limits, counter->program_id);

	if (counter->left.points > 0 || counter->left.operations > 0)
		allowance_take(limits->merchant_id, counter, terms_local_date(program, limits->now), program->revision,
					   -counter->left.points, -counter->left.operations);
}

/* Get a counter ready for a single posting; false: it has not enough. */
static bool
take_one(Limits *limits, Counter *counter, Points points)
{
	counter->need.points = points;
	if (take_at_once(limits, counter, 1))
		return true;
	prepare(limits, counter, 1);
	return !is_counted(counter) || fits(counter, points);
}

/* Take from all counters of a single posting, or from none. */
static bool
take_single(Limits *limits, Points points)
{
	Counter    *counters = limits->counters;
	const Amount one = {points, 1};
	int			fitting = 0;

	while (fitting < limits->ncounters && take_one(limits, &counters[fitting], points))
		fitting++;
	for (int i = 0; i < fitting && fitting == limits->ncounters; i++)
	{
		if (is_counted(&counters[i]))
			count_all(&counters[i], one);
	}
	return fitting == limits->ncounters;
}

static bool
take_counted(Limits *limits, const Movement *movement, Points points)
{
	Counter    *met[lengthof(counted_scopes)];
	const Amount one = {points, 1};
	int			nmet = 0;

	for (int s = 0; s < (int) lengthof(counted_scopes); s++)
	{
		Counter		key = counter_for(movement, counted_scopes[s]);
		Counter    *counter = bsearch(&key, limits->counters, limits->ncounters, sizeof(Counter), compare_counters);

		if (counter == NULL || !is_counted(counter))
			continue;
		if (!fits(counter, points))
			return false;
		met[nmet++] = counter;
	}
	for (int i = 0; i < nmet; i++)
		count_all(met[i], one);
	return true;
}

/*
 * Whether counters of one program and scope may be taken from at once, in a
 * batch: what they need is known, nothing is given back to them, and there is
 * one for each way.  Of several cashiers one might be waited for by who has the
 * branch's row and takes back what they have drawn.
 */
static bool
may_take_at_once(const Counter *counters, int n)
{
	if (counters->scope == SCOPE_MEMBER)
		return false;
	for (int i = 0; i < n; i++)
	{
		if (counters[i].gives || counters[i].need.points == PG_INT64_MAX || (i > 0 && counters[i].adds == counters[i - 1].adds))
			return false;
	}
	return true;
}

/* Lock all counters before the batch does anything, one scope of a program after the other. */
static void
prepare_all(Limits *limits)
{
	for (int from = 0, to; from < limits->ncounters; from = to)
	{
		Counter    *counters = &limits->counters[from];

		for (to = from + 1; to < limits->ncounters && limits->counters[to].program_id == counters->program_id &&
			 limits->counters[to].scope == counters->scope;)
			to++;
		if (!may_take_at_once(counters, to - from) || !take_at_once(limits, counters, to - from))
			prepare(limits, counters, to - from);
	}
}

/*
 * Take from all that limit the movement, or from none.  The posting must not
 * fail any more for another reason.  What was not expected is not limited.
 */
bool
limits_take(Limits *limits, const Movement *movement, Points points)
{
	bool		single = limits->nmovements == 1;

	if (single && !same_movement(movement, &limits->movements[0]))
		return true;
	if (!limits->prepared)
	{
		find_counters(limits);
		if (!single)
			prepare_all(limits);
		limits->prepared = true;
	}
	return single ? take_single(limits, points) : take_counted(limits, movement, points);
}

/* Give back to the counters that counted a movement, if they still count that day. */
void
limits_give(Limits *limits, const Movement *movement, DateADT day, Points points, int64 operations)
{
	const Amount given = {-points, -operations};

	if (!limits->prepared)
	{
		find_counters(limits);
		prepare_all(limits);
		limits->prepared = true;
	}
	for (int s = 0; s < (int) lengthof(counted_scopes); s++)
	{
		Counter		key = counter_for(movement, counted_scopes[s]);
		Counter    *counter = bsearch(&key, limits->counters, limits->ncounters, sizeof(Counter), compare_counters);

		if (counter != NULL && is_counted(counter) && counter->day == day)
			count_all(counter, given);
	}
}

/* ------------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------------ */

/* Let a cashier or stripe draw a share for later, while the pool has plenty. */
static void
draw_share(Counter *counter)
{
	Counter    *pool = counter->pool;
	Amount		share = {pool->left.points / SHARES, pool->left.operations / SHARES};
	bool		plenty = share.points / PLENTY >= pool->largest && share.operations >= PLENTY;

	counter->left.points = plenty ? Min(counter->left.points, share.points) : 0;
	counter->left.operations = plenty ? Min(counter->left.operations, share.operations) : 0;
	counter->drawn_from = pool->subject_id;
	pool->left.points -= counter->left.points;
	pool->left.operations -= counter->left.operations;
	amount_add(&pool->used, counter->left);
}

/* Write what was taken, and of what was taken at once what is left. */
void
limits_write(Limits *limits)
{
	for (int i = 0; i < limits->ncounters; i++)
	{
		Counter    *counter = &limits->counters[i];

		if (counter->taken)
			return_taken(limits, counter);
		else if (counter->changed && counter->pool != NULL && counter->pool->limited)
			draw_share(counter);
	}
	allowances_write(limits->merchant_id, limits->pools, limits->npools);
	allowances_write(limits->merchant_id, limits->counters, limits->ncounters);
}
