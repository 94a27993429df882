/*
 * limit.c
 *		What a program's limits allow in a day, taken and never oversold.
 *
 * A limit is on what the postings of one subject, a cashier, a branch or a
 * member, add or spend in a local day of the program, in points and in
 * operations.  What a subject has used is counted in rows of
 * loyalty.allowance, under their locks; a posting that is refused by one of
 * its limits counts in none.
 *
 * Locks are taken after those of the accounts: for one subject after the
 * other, by program, scope, direction and id; of each, row 0 before the
 * stripes, in ascending order.  A batch locks the whole of each subject before
 * it takes anything, because what it needs of one is not known beforehand.  A
 * single posting takes what it needs of one subject after the other from a
 * single row each, skipping those that others hold.  Should two who hold a part
 * lock the whole at the same moment, PostgreSQL ends one of them with 40P01, as
 * it does with transactions that post several times in different orders.
 *
 * All memory is the caller's, gone with plan_end().
 */
#include "postgres.h"

#include "allowance.h"
#include "catalog/pg_type.h"
#include "columns.h"
#include "limit.h"
#include "limit_set.h"
#include "plan.h"

typedef struct Workplace
{
	int64		staff_id;
	int64		branch_id;
} Workplace;

struct Limits
{
	int64		merchant_id;
	TimestampTz now;
	Movement   *movements;
	int			nmovements;
	int			allocated;
	bool		prepared;
	Workplace  *workplaces;		/* ascending */
	int			nworkplaces;
	Counter    *counters;		/* ascending */
	int			ncounters;
};

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

/* To be called for everything that may be taken, before anything is. */
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

static int
compare_int64(int64 left, int64 right)
{
	return (left > right) - (left < right);
}

/* This is the order of locks. */
static int
compare_counters(const void *a, const void *b)
{
	const Counter *left = a;
	const Counter *right = b;

	if (left->program_id != right->program_id)
		return compare_int64(left->program_id, right->program_id);
	return compare_limit_rules(&left->rule, &right->rule);
}

static int
compare_workplaces(const void *a, const void *b)
{
	return compare_int64(((const Workplace *) a)->staff_id, ((const Workplace *) b)->staff_id);
}

/* ------------------------------------------------------------------------
 * Which limits apply
 * ------------------------------------------------------------------------ */

static int64
branch_of(const Limits *limits, int64 staff_id)
{
	Workplace	key = {.staff_id = staff_id};
	Workplace  *workplace = limits->nworkplaces == 0 ? NULL :
		bsearch(&key, limits->workplaces, limits->nworkplaces, sizeof(Workplace), compare_workplaces);

	return workplace != NULL ? workplace->branch_id : 0;
}

/* Whom a movement concerns; 0: nobody in this scope. */
static int64
subject_of(const Limits *limits, const Movement *movement, Scope scope)
{
	switch (scope)
	{
		case SCOPE_STAFF:
			return movement->staff_id;
		case SCOPE_BRANCH:
			return branch_of(limits, movement->staff_id);
		case SCOPE_MEMBER:
			return movement->member_id;
	}
	return 0;
}

static int
compare_movements(const void *a, const void *b)
{
	const Movement *left = a;
	const Movement *right = b;

	if (left->program_id != right->program_id)
		return compare_int64(left->program_id, right->program_id);
	if (left->staff_id != right->staff_id)
		return compare_int64(left->staff_id, right->staff_id);
	if (left->member_id != right->member_id)
		return compare_int64(left->member_id, right->member_id);
	return (int) left->adds - (int) right->adds;
}

/* The staff of movements that are sorted, each once. */
static Datum *
staff_of(const Movement *movements, int n, int *nstaff)
{
	Datum	   *ids = palloc_extended(n * sizeof(Datum), MCXT_ALLOC_HUGE);
	int64		previous = 0;

	*nstaff = 0;
	for (int i = 0; i < n; i++)
	{
		if (movements[i].staff_id != previous)
			ids[(*nstaff)++] = Int64GetDatum(previous = movements[i].staff_id);
	}
	return ids;
}

/* Where all the staff work, of whatever program; asked only once. */
static void
find_workplaces(Limits *limits)
{
	Datum		values[2] = {Int64GetDatum(limits->merchant_id)};
	Datum	   *staff;
	int			nstaff;
	uint64		found;

	if (limits->workplaces != NULL)
		return;
	staff = staff_of(limits->movements, limits->nmovements, &nstaff);
	limits->workplaces = palloc(Max(nstaff, 1) * sizeof(Workplace));
	if (nstaff == 0)
		return;
	values[1] = nstaff == 1 ? staff[0] : array_datum(staff, nstaff, INT8OID);
	found = plan_write(nstaff == 1 ? PLAN_LIMIT_BRANCH : PLAN_LIMIT_BRANCHES, values, NULL);
	limits->nworkplaces = (int) found;
	for (uint64 row = 0; row < found; row++)
	{
		limits->workplaces[row].branch_id = plan_int64(row, 0);
		limits->workplaces[row].staff_id = nstaff == 1 ? DatumGetInt64(staff[0]) : plan_int64(row, 1);
	}
	if (nstaff > 1)
		qsort(limits->workplaces, limits->nworkplaces, sizeof(Workplace), compare_workplaces);
}

/* Of a program that has too many limits, those on whom these movements concern. */
static LimitSet
find_rules(Limits *limits, const Movement *movements, int n)
{
	Datum	   *subjects = palloc_extended(SCOPES * n * sizeof(Datum), MCXT_ALLOC_HUGE);

	find_workplaces(limits);
	for (int i = 0; i < n; i++)
	{
		for (int scope = 0; scope < SCOPES; scope++)
			subjects[SCOPES * i + scope] = Int64GetDatum(subject_of(limits, &movements[i], scope));
	}
	return limit_set_read(limits->merchant_id, movements->program->program_id, subjects, SCOPES * n);
}

static void
add_counter(Limits *limits, const Movement *movement, Scope scope, const LimitSet *set, DateADT day)
{
	int64		subject_id = subject_of(limits, movement, scope);
	const LimitRule *rule = limit_rule_for(set, scope, movement->adds, subject_id);
	Counter    *counter = &limits->counters[limits->ncounters];

	if (subject_id == 0 || rule == NULL)
		return;
	memset(counter, 0, sizeof(Counter));
	counter->program_id = movement->program_id;
	counter->rule = *rule;
	counter->rule.subject_id = subject_id;
	counter->stripe.day = day;
	limits->ncounters++;
}

/* A counter for each limit that these movements of one program may meet. */
static void
add_counters(Limits *limits, const Movement *movements, int n)
{
	const ProgramTerms *program = movements->program;
	DateADT		today = terms_local_date(program, limits->now);
	const LimitSet *known = limit_set_of(program);
	LimitSet	set = known->is_whole ? *known : find_rules(limits, movements, n);

	if (limit_set_has(&set, SCOPE_BRANCH))
		find_workplaces(limits);
	for (int i = 0; i < n; i++)
	{
		for (int scope = 0; scope < SCOPES; scope++)
			add_counter(limits, &movements[i], scope, &set, today);
	}
}

/* The counters of all that is expected, in the order of locks. */
static void
find_counters(Limits *limits)
{
	Movement   *movements = limits->movements;
	int			n = limits->nmovements;
	int			distinct = 0;

	qsort(movements, n, sizeof(Movement), compare_movements);
	limits->counters = palloc_extended(n * SCOPES * sizeof(Counter), MCXT_ALLOC_HUGE);
	for (int from = 0, to; from < n; from = to)
	{
		for (to = from + 1; to < n && movements[to].program_id == movements[from].program_id;)
			to++;
		add_counters(limits, &movements[from], to - from);
	}
	qsort(limits->counters, limits->ncounters, sizeof(Counter), compare_counters);
	for (int i = 0; i < limits->ncounters; i++)
	{
		if (distinct == 0 || compare_counters(&limits->counters[i], &limits->counters[distinct - 1]) != 0)
			limits->counters[distinct++] = limits->counters[i];
	}
	limits->ncounters = distinct;
}

/* ------------------------------------------------------------------------
 * Taking
 * ------------------------------------------------------------------------ */

static bool
same_members(const Counter *a, const Counter *b)
{
	return a->program_id == b->program_id && a->rule.scope == SCOPE_MEMBER && b->rule.scope == SCOPE_MEMBER &&
		a->rule.adds == b->rule.adds;
}

/* All counters at once, in their order, members who post the same way in one statement. */
static void
lock_counters(Limits *limits)
{
	Counter    *counters = limits->counters;

	for (int from = 0, to; from < limits->ncounters; from = to)
	{
		for (to = from + 1; to < limits->ncounters && same_members(&counters[from], &counters[to]);)
			to++;
		if (counters[from].rule.scope == SCOPE_MEMBER)
			allowances_lock_members(limits->merchant_id, &counters[from], to - from);
		else
			allowance_lock_whole(limits->merchant_id, &counters[from]);
	}
}

/* Take for the only posting there is from one counter; false: it has not enough. */
static bool
take_one(const Limits *limits, Counter *counter, Points points)
{
	if (counter->rule.scope == SCOPE_MEMBER)
	{
		if (allowance_take_member(limits->merchant_id, counter, points))
			return true;
		allowances_lock_members(limits->merchant_id, counter, 1);
	}
	else if (!allowance_lock_stripe(limits->merchant_id, counter, points))
		allowance_lock_whole(limits->merchant_id, counter);
	return counter->lifted || allowance_suffices(&counter->stripe.left, points);
}

/*
 * One counter after the other, in their order, which are all that it meets.  A
 * member's is the last: what has been written at once is not refused any more.
 */
static bool
take_single(Limits *limits, Points points)
{
	for (int i = 0; i < limits->ncounters; i++)
	{
		if (!take_one(limits, &limits->counters[i], points))
			return false;
		Assert(limits->counters[i].locked != LOCKED_TAKEN || i == limits->ncounters - 1);
	}
	for (int i = 0; i < limits->ncounters; i++)
	{
		if (limits->counters[i].locked != LOCKED_TAKEN && !limits->counters[i].lifted)
			allowance_count(&limits->counters[i], points);
	}
	return true;
}

static bool
take_counted(Limits *limits, const Movement *movement, Points points)
{
	Counter    *met[SCOPES];
	int			nmet = 0;

	for (int scope = 0; scope < SCOPES; scope++)
	{
		Counter		key = {.program_id = movement->program_id,
		.rule = {.scope = scope,.adds = movement->adds,.subject_id = subject_of(limits, movement, scope)}};
		Counter    *counter = bsearch(&key, limits->counters, limits->ncounters, sizeof(Counter), compare_counters);

		if (counter == NULL || counter->lifted)
			continue;
		if (!allowance_suffices(&counter->stripe.left, points))
			return false;
		met[nmet++] = counter;
	}
	for (int i = 0; i < nmet; i++)
		allowance_count(met[i], points);
	return true;
}

/*
 * Take from all that limit the movement, or from none.  The posting must not
 * fail any more for another reason.  What was not expected is not limited.
 */
bool
limits_take(Limits *limits, const Movement *movement, Points points)
{
	bool		single = limits->nmovements == 1;

	if (single && compare_movements(movement, &limits->movements[0]) != 0)
		return true;
	if (!limits->prepared)
	{
		find_counters(limits);
		if (!single)
			lock_counters(limits);
		limits->prepared = true;
	}
	return single ? take_single(limits, points) : take_counted(limits, movement, points);
}

/* What has been taken, as far as it has not been written at once. */
void
limits_write(const Limits *limits)
{
	allowances_write(limits->merchant_id, limits->counters, limits->ncounters);
}
