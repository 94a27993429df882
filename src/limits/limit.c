/*
 * limit.c
 *		What a program's limits allow in a day, taken and never oversold.
 *
 * A limit is on what the postings of one subject, a cashier, a branch or a
 * member, add or spend in a local day of the program, in points and in
 * operations.  What a subject may still move is in its row of
 * loyalty_internal.allowance; a posting that is refused by one of its limits counts in
 * none.
 *
 * A single posting takes from its cashier's row and from its member's by one
 * UPDATE each, if there is enough and the row is of today and of the limits as
 * they are now.  Otherwise, and always in a batch, rows are locked and computed
 * in memory.  A cashier whose branch has a limit then draws from the branch's
 * row what the posting needs, and while there is plenty a share for later ones;
 * so colleagues do not wait for each other.  When the branch's row has not
 * enough, what its cashiers have drawn and not used is taken back first, which
 * waits for those who have posted and not committed yet: they may roll back, and
 * "exceeded" must not be said before that is known.
 *
 * Locks are taken after those of the accounts: by program, branches before
 * cashiers before members, in ascending order.  Who waits for a branch has no
 * cashier's row locked, unless by an earlier posting of the same transaction:
 * then PostgreSQL may have to end one of two with 40P01, as it does with
 * transactions that post several times in different orders.
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

/* A cashier draws this part of what the branch has left, for later. */
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
	Counter    *counters;		/* of cashiers and members, in the order of locks */
	int			ncounters;
	Counter    *pools;			/* of branches, in the order of locks */
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

static int
compare_int64(int64 left, int64 right)
{
	return (left > right) - (left < right);
}

/* The order in which counters are locked. */
static int
compare_counters(const void *a, const void *b)
{
	const Counter *left = a;
	const Counter *right = b;

	if (left->program_id != right->program_id)
		return compare_int64(left->program_id, right->program_id);
	if (left->scope != right->scope)
		return (int) left->scope - (int) right->scope;
	if (left->adds != right->adds)
		return (int) left->adds - (int) right->adds;
	return compare_int64(left->subject_id, right->subject_id);
}

static int
distinct_counters(Counter *counters, int n)
{
	int			distinct = 0;

	merge_sort(counters, n, sizeof(Counter), compare_counters);
	for (int i = 0; i < n; i++)
	{
		if (distinct == 0 || compare_counters(&counters[i], &counters[distinct - 1]) != 0)
			counters[distinct++] = counters[i];
	}
	return distinct;
}

static Counter
counter_of(const Movement *movement, Scope scope)
{
	Counter		counter = {
		.program_id = movement->program_id,
		.scope = scope,
		.adds = movement->adds,
		.subject_id = scope == SCOPE_STAFF ? movement->staff_id : scope == SCOPE_MEMBER ? movement->member_id : 0,
	};

	return counter;
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
	return a->program_id == b->program_id && a->staff_id == b->staff_id && a->member_id == b->member_id && a->adds == b->adds;
}

static int
compare_programs(const void *a, const void *b)
{
	return compare_int64(((const Movement *) a)->program_id, ((const Movement *) b)->program_id);
}

/* Find the counters of all movements that were announced. */
static void
find_counters(Limits *limits)
{
	const Scope scopes[] = {SCOPE_STAFF, SCOPE_MEMBER};
	const LimitSet *known = NULL;
	int64		program_id = 0;

	merge_sort(limits->movements, limits->nmovements, sizeof(Movement), compare_programs);
	limits->counters = palloc_extended(limits->nmovements * lengthof(scopes) * sizeof(Counter), MCXT_ALLOC_HUGE);
	for (int i = 0; i < limits->nmovements; i++)
	{
		const Movement *movement = &limits->movements[i];

		if (movement->program_id != program_id)
			known = limit_set_of(movement->program);
		program_id = movement->program_id;
		for (int s = 0; s < (int) lengthof(scopes); s++)
		{
			Counter		counter = counter_of(movement, scopes[s]);

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

/* The number of counters from here on that are of one scope and way, and can be asked for together. */
static int
run_of(const Counter *counters, int n)
{
	int			length = 1;

	while (length < n && counters[length].scope == counters->scope && counters[length].adds == counters->adds)
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
		counters[i].branch_id = counters[i].drawn_from = 0;
	}
	values[4] = array_datum(ids, n, INT8OID);
	found = db_write(&limit_branches_sql, values, NULL);
	for (uint64 row = 0; row < found; row++)
	{
		while (counters[next].subject_id != row_int64(row, "staff_id"))
			next++;
		counters[next].branch_id = row_int64(row, "branch_id");
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
		subjects[2 * i + 1] = Int64GetDatum(counters[i].branch_id);
	}
	return limit_set_read(limits->merchant_id, program->program_id, subjects, 2 * n);
}

static const Amount no_limit = {PG_INT64_MAX, PG_INT64_MAX};

static void
set_rule(Counter *counter, const LimitSet *rules)
{
	const LimitRule *rule = limit_rule_for(rules, counter->scope, counter->adds, counter->subject_id);

	counter->limited = rule != NULL;
	counter->max = rule != NULL ? rule->max : no_limit;
}

/* The branch that a cashier draws from; NULL: it has no limit, and had none today that the cashier drew from. */
static Counter *
pool_of(const Limits *limits, const Counter *counter)
{
	Counter		key = {.program_id = counter->program_id,.scope = SCOPE_BRANCH,.adds = counter->adds,
	.subject_id = counter->branch_id};

	return limits->npools == 0 ? NULL : bsearch(&key, limits->pools, limits->npools, sizeof(Counter), compare_counters);
}

static void
set_rules(Limits *limits, Counter *counters, int n, const LimitSet *rules)
{
	int			first = limits->npools;

	for (int i = 0; i < n; i++)
	{
		Counter		pool = {.program_id = counters[i].program_id,.scope = SCOPE_BRANCH,.adds = counters[i].adds,
		.subject_id = counters[i].branch_id};

		set_rule(&counters[i], rules);
		set_rule(&pool, rules);
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
	return counter->limited || counter->scope == SCOPE_STAFF;
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
 * Lock the rows of counters of one program under its limits as they are now:
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

		program = newest_program(limits, counters->program_id);
		limits->npools = first;
		for (int from = 0, to; from < n; from = to)
		{
			to = from + run_of(&counters[from], n - from);
			if (counters[from].scope == SCOPE_STAFF)
				find_branches(limits, &counters[from], to - from, today);
		}
		rules = find_limits(limits, program, counters, n);
		set_rules(limits, counters, n, &rules);
		for (int i = first; i < limits->npools; i++)
			allowances_lock(limits->merchant_id, &limits->pools[i], 1);
		lock_rows(limits, counters, n);
	} while (newest_program(limits, counters->program_id)->revision != program->revision);
	return program->revision;
}

/* ------------------------------------------------------------------------
 * What is left
 * ------------------------------------------------------------------------ */

/* Add an amount, up to the largest: unlimited amounts may add up to more than can be counted. */
static void
amount_add(Amount *sum, Amount more)
{
	if (!points_add(sum->points, more.points, &sum->points))
		sum->points = PG_INT64_MAX;
	sum->operations += more.operations;
}

/* What is left of a maximum after what was used. */
static int64
unused_of(int64 max, int64 used)
{
	return Max(max - used, 0);
}

static bool
suffices(const Counter *counter, Points points)
{
	return (counter->max.points == PG_INT64_MAX || counter->left.points >= points) && counter->left.operations >= 1;
}

static bool
fits(const Counter *counter, Points points)
{
	return suffices(counter, points) && (counter->pool == NULL || suffices(counter->pool, points));
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

/* What a cashier has drawn from a branch and not used, if it is of the same day and branch. */
static Amount
drawn(const Counter *counter, const Counter *pool)
{
	const Amount nothing = {0, 0};
	bool		good = counter->pool == pool && counter->drawn_from == pool->subject_id && counter->day == pool->day;

	return good ? counter->left : nothing;
}

/*
 * Bring a branch up to date, and give it back what these counters have drawn;
 * what all its cashiers have, if that is not enough for so many points or the
 * limit was changed.
 */
static void
refresh_pool(const Limits *limits, Counter *pool, Counter *counters, int n, DateADT day, int64 revision, Points points)
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
		if (pool->revision != revision || there.points < points || there.operations < 1)
			back = allowance_gather(limits->merchant_id, pool);
		pool->used.points -= back.points;
		pool->used.operations -= back.operations;
	}
	refresh(pool, day, revision);
	pool->changed = true;
}

/* The day that a branch and its cashiers count for: the latest of theirs. */
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

/* Lock counters of one program, and compute what is left, of which so many points are needed. */
static void
prepare(Limits *limits, Counter *counters, int n, Points points)
{
	const Program *program = program_of(limits, counters->program_id);
	DateADT		today = terms_local_date(program, limits->now);
	int			first = limits->npools;
	int64		revision = lock_counters(limits, counters, n, today);

	for (int i = first; i < limits->npools; i++)
	{
		Counter    *pool = &limits->pools[i];

		refresh_pool(limits, pool, counters, n, day_of_pool(pool, counters, n, today), revision, points);
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
	count_one(counter, amount);
	if (counter->pool != NULL)
		count_one(counter->pool, amount);
}

/* Take from one counter by a single statement; negative amounts are given back. */
static bool
take_at_once(const Limits *limits, const Counter *counter, Points points, int64 operations)
{
	const Program *program = limits->movements->program;
	DateADT		today = terms_local_date(program, limits->now);

	/* a member's row is not locked but by who has the account locked */
	return counter->scope == SCOPE_STAFF ?
		allowance_try(limits->merchant_id, counter, today, program->revision, points, operations) :
		allowance_take(limits->merchant_id, counter, today, program->revision, points, operations);
}

/* Take from one counter for a single posting; false: it has not enough. */
static bool
take_one(Limits *limits, Counter *counter, Points points)
{
	counter->taken = take_at_once(limits, counter, points, 1);
	if (counter->taken)
		return true;
	prepare(limits, counter, 1, points);
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
	for (int i = 0; i < fitting; i++)
	{
		if (counters[i].taken && fitting < limits->ncounters)
			take_at_once(limits, &counters[i], -points, -1);
		else if (!counters[i].taken && fitting == limits->ncounters && is_counted(&counters[i]))
			count_all(&counters[i], one);
	}
	return fitting == limits->ncounters;
}

static bool
take_counted(Limits *limits, const Movement *movement, Points points)
{
	Counter    *met[SCOPES];
	const Amount one = {points, 1};
	int			nmet = 0;

	for (int scope = 0; scope < SCOPES; scope++)
	{
		Counter		key = counter_of(movement, scope);
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

/* Lock all counters of the batch before it does anything. */
static void
prepare_all(Limits *limits, Points points)
{
	Counter    *counters = limits->counters;

	for (int from = 0, to; from < limits->ncounters; from = to)
	{
		for (to = from + 1; to < limits->ncounters && counters[to].program_id == counters[from].program_id;)
			to++;
		prepare(limits, &counters[from], to - from, points);
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
			prepare_all(limits, PG_INT64_MAX);
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
		prepare_all(limits, limits->nmovements == 1 ? 0 : PG_INT64_MAX);
		limits->prepared = true;
	}
	for (int scope = 0; scope < SCOPES; scope++)
	{
		Counter		key = counter_of(movement, scope);
		Counter    *counter = bsearch(&key, limits->counters, limits->ncounters, sizeof(Counter), compare_counters);

		if (counter != NULL && is_counted(counter) && counter->day == day)
			count_all(counter, given);
	}
}

/* ------------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------------ */

/* Let a cashier draw a share for later, while the branch has plenty. */
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

/* Write what was taken, unless it was written at once. */
void
limits_write(Limits *limits)
{
	for (int i = 0; i < limits->ncounters; i++)
	{
		Counter    *counter = &limits->counters[i];

		if (counter->changed && counter->pool != NULL && counter->pool->limited)
			draw_share(counter);
	}
	allowances_write(limits->merchant_id, limits->pools, limits->npools);
	allowances_write(limits->merchant_id, limits->counters, limits->ncounters);
}
