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
 * A member has one row: the account's lock serializes his postings anyway.  A
 * cashier or branch has row 0, and LIMIT_STRIPES stripes.  While there is
 * plenty left, all of it is spread over the stripes, and a posting takes from
 * the first that nobody holds, starting with one of its session's own: so
 * colleagues do not wait for each other.  When no stripe has enough, or little
 * is left, the whole is locked, row 0 first, which waits for those who hold a
 * part: they may roll back, and "exceeded" must not be said before that is
 * known.  Then the rest is spread anew, or stays in row 0 if it is little.
 *
 * Rows of another day, or of another revision of the limit, are brought up to
 * date by whoever locks the whole first; what was used today stays used.  A
 * day never goes back: a posting that began before midnight, and had to wait
 * for one that began after it, counts for the new day.
 *
 * Locks are taken after those of the accounts: for one subject after the
 * other, by program, scope, direction and id; of each, row 0 before the
 * stripes, in ascending order.  A batch locks the whole of each subject before
 * it takes anything, because what it needs of one is not known beforehand.  A
 * single posting skips stripes that others hold.  It tries only those that
 * have LIMIT_SPARE times what it needs, so that one is still good for it when
 * it has changed between being found and being locked; only if it is not, the
 * whole is locked by somebody who holds a part.  Should two do that at the
 * same moment, PostgreSQL ends one of them with 40P01, as it does with
 * transactions that post several times in different orders.
 *
 * All memory is the caller's, gone with plan_end().
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "limit.h"
#include "miscadmin.h"
#include "plan.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#define LIMIT_STRIPES	16
#define LIMIT_SPARE		4
/* Stripes are worth having while each has this many times what is needed. */
#define LIMIT_PLENTY	(2 * LIMIT_SPARE)

typedef enum Scope
{
	SCOPE_STAFF,
	SCOPE_BRANCH,
	SCOPE_MEMBER
} Scope;

static const char *const scope_names[] = {"staff", "branch", "member"};

/* Points and operations are always counted, whichever of them is limited. */
typedef struct Amount
{
	Points		points;
	int64		operations;
} Amount;

typedef struct Rule
{
	Scope		scope;
	bool		adds;
	int64		subject_id;		/* 0: each of them */
	int64		revision;
	Amount		max;			/* PG_INT64_MAX: as much as one likes */
} Rule;

/* A row of loyalty.allowance, without its key. */
typedef struct Stripe
{
	int			number;
	DateADT		day;
	int64		revision;
	bool		spread;
	Amount		used;
	Amount		left;
} Stripe;

typedef enum Locked
{
	LOCKED_NOTHING,
	LOCKED_STRIPE,
	LOCKED_WHOLE
} Locked;

/* One limit of one subject, in memory while its rows are locked. */
typedef struct Counter
{
	int64		program_id;
	Rule		rule;			/* subject_id: who is limited, never 0 */
	bool		lifted;			/* the limit was removed meanwhile */
	Locked		locked;
	Stripe		stripe;			/* what is locked; the whole as one, number 0 */
	Points		largest;		/* of the points taken at once */
	bool		changed;
} Counter;

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

/* ------------------------------------------------------------------------
 * Arrays
 * ------------------------------------------------------------------------ */

static Datum
array_datum(Datum *values, int n, Oid type)
{
	int16		length;
	bool		byval;
	char		align;

	get_typlenbyvalalign(type, &length, &byval, &align);
	return PointerGetDatum(construct_array(values, n, type, length, byval, align));
}

static int
compare_int64(int64 left, int64 right)
{
	return (left > right) - (left < right);
}

static int
compare_rules(const void *a, const void *b)
{
	const Rule *left = a;
	const Rule *right = b;

	if (left->scope != right->scope)
		return (int) left->scope - (int) right->scope;
	if (left->adds != right->adds)
		return (int) left->adds - (int) right->adds;
	return compare_int64(left->subject_id, right->subject_id);
}

/* This is the order of locks. */
static int
compare_counters(const void *a, const void *b)
{
	const Counter *left = a;
	const Counter *right = b;

	if (left->program_id != right->program_id)
		return compare_int64(left->program_id, right->program_id);
	return compare_rules(&left->rule, &right->rule);
}

static int
compare_workplaces(const void *a, const void *b)
{
	return compare_int64(((const Workplace *) a)->staff_id, ((const Workplace *) b)->staff_id);
}

/* ------------------------------------------------------------------------
 * Which limits apply
 * ------------------------------------------------------------------------ */

static Scope
scope_parse(const char *name)
{
	for (int scope = 0; scope < (int) lengthof(scope_names); scope++)
	{
		if (strcmp(scope_names[scope], name) == 0)
			return (Scope) scope;
	}
	elog(ERROR, "unknown scope \"%s\" of a limit", name);
}

static int64
max_column(uint64 row, int column)
{
	bool		isnull;
	Datum		value = plan_datum(row, column, &isnull);

	return isnull ? PG_INT64_MAX : DatumGetInt64(value);
}

/*
 * The limits of a program on these subjects and the branches of these staff,
 * ascending, and its day.
 */
static Rule *
find_rules(const Limits *limits, int64 program_id, Datum subjects, Datum staff, int *nrules, DateADT *day)
{
	Datum		values[] = {
		Int64GetDatum(limits->merchant_id),
		Int64GetDatum(program_id),
		TimestampTzGetDatum(limits->now),
		subjects,
		staff,
	};
	uint64		found = plan_write(PLAN_LIMITS_FIND, values, NULL);
	Rule	   *rules = palloc(Max(found, 1) * sizeof(Rule));
	bool		isnull;

	for (uint64 row = 0; row < found; row++)
	{
		rules[row].scope = scope_parse(plan_text(row, 0));
		rules[row].adds = plan_bool(row, 1);
		rules[row].subject_id = plan_int64(row, 2);
		rules[row].revision = plan_int64(row, 3);
		rules[row].max.points = max_column(row, 4);
		rules[row].max.operations = max_column(row, 5);
		*day = DatumGetDateADT(plan_datum(row, 6, &isnull));
	}
	qsort(rules, found, sizeof(Rule), compare_rules);
	*nrules = (int) found;
	return rules;
}

/* A subject's own limit goes before the one of each of them. */
static const Rule *
rule_for(const Rule *rules, int nrules, Scope scope, bool adds, int64 subject_id)
{
	Rule		key = {.scope = scope,.adds = adds,.subject_id = subject_id};
	const Rule *rule = bsearch(&key, rules, nrules, sizeof(Rule), compare_rules);

	if (rule != NULL)
		return rule;
	key.subject_id = 0;
	return bsearch(&key, rules, nrules, sizeof(Rule), compare_rules);
}

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

/* The staff of movements that are sorted, or all subjects but branches. */
static Datum
ids_array(const Movement *movements, int n, bool staff_only)
{
	Datum	   *ids = palloc_extended((2 * n + 1) * sizeof(Datum), MCXT_ALLOC_HUGE);
	int64		previous_staff = 0;
	int			nids = 0;
	Datum		array;

	if (!staff_only)
		ids[nids++] = Int64GetDatum(0);
	for (int i = 0; i < n; i++)
	{
		if (movements[i].staff_id != previous_staff)
			ids[nids++] = Int64GetDatum(previous_staff = movements[i].staff_id);
		if (!staff_only)
			ids[nids++] = Int64GetDatum(movements[i].member_id);
	}
	array = array_datum(ids, nids, INT8OID);
	pfree(ids);
	return array;
}

/* Where all the staff work, of whatever program; asked only once. */
static void
find_workplaces(Limits *limits)
{
	Datum		values[] = {
		Int64GetDatum(limits->merchant_id),
		ids_array(limits->movements, limits->nmovements, true),
	};
	uint64		found;

	if (limits->workplaces != NULL)
		return;
	found = plan_write(PLAN_LIMIT_BRANCHES, values, NULL);
	limits->workplaces = palloc(Max(found, 1) * sizeof(Workplace));
	limits->nworkplaces = (int) found;
	for (uint64 row = 0; row < found; row++)
	{
		limits->workplaces[row].staff_id = plan_int64(row, 0);
		limits->workplaces[row].branch_id = plan_int64(row, 1);
	}
}

static void
add_counter(Limits *limits, const Movement *movement, Scope scope, const Rule *rules, int nrules, DateADT day)
{
	int64		subject_id = subject_of(limits, movement, scope);
	const Rule *rule = rule_for(rules, nrules, scope, movement->adds, subject_id);
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
	DateADT		day = 0;
	int			nrules;
	Rule	   *rules = find_rules(limits, movements->program_id, ids_array(movements, n, false),
								   ids_array(movements, n, true), &nrules, &day);
	bool		by_branch = false;

	for (int i = 0; i < nrules; i++)
		by_branch |= rules[i].scope == SCOPE_BRANCH;
	if (by_branch)
		find_workplaces(limits);
	for (int i = 0; i < n && nrules > 0; i++)
	{
		for (int scope = 0; scope < (int) lengthof(scope_names); scope++)
			add_counter(limits, &movements[i], scope, rules, nrules, day);
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
	limits->counters = palloc_extended(n * lengthof(scope_names) * sizeof(Counter), MCXT_ALLOC_HUGE);
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
 * Locking what is left
 * ------------------------------------------------------------------------ */

#define KEY_VALUES(limits, counter) \
	Int64GetDatum((limits)->merchant_id), \
	Int64GetDatum((counter)->program_id), \
	CStringGetTextDatum(scope_names[(counter)->rule.scope]), \
	Int64GetDatum((counter)->rule.subject_id), \
	BoolGetDatum((counter)->rule.adds)

/* The columns in the order in which PLAN_ALLOWANCE_… return them. */
static Stripe
read_stripe(uint64 row)
{
	bool		isnull;

	return (Stripe) {
		.number = DatumGetInt16(plan_datum(row, 0, &isnull)),
		.day = DatumGetDateADT(plan_datum(row, 1, &isnull)),
		.revision = plan_int64(row, 2),
		.spread = plan_bool(row, 3),
		.used = {plan_int64(row, 4), plan_int64(row, 5)},
		.left = {plan_int64(row, 6), plan_int64(row, 7)},
	};
}

static bool
suffices(const Amount *left, Points points)
{
	return left->points >= points && left->operations >= 1;
}

/*
 * A stripe that changed between being found and being locked is as good, of
 * whatever day or revision it is now: who changed it knew better.
 */
static bool
lock_stripe(const Limits *limits, Counter *counter, Points points)
{
	Datum		values[] = {
		KEY_VALUES(limits, counter),
		DateADTGetDatum(counter->stripe.day),
		Int64GetDatum(counter->rule.revision),
		PointsGetDatum(points > PG_INT64_MAX / LIMIT_SPARE ? PG_INT64_MAX : points * LIMIT_SPARE),
		Int64GetDatum(LIMIT_SPARE),
		Int16GetDatum(MyProcPid % LIMIT_STRIPES),
	};
	Stripe		stripe;

	if (plan_write(PLAN_ALLOWANCE_TRY, values, NULL) == 0)
		return false;
	stripe = read_stripe(0);
	if (!stripe.spread || stripe.day < counter->stripe.day || !suffices(&stripe.left, points))
		return false;
	counter->stripe = stripe;
	counter->locked = LOCKED_STRIPE;
	return true;
}

/* Amounts that nothing limits may add up to more than can be counted. */
static void
add_used(Amount *used, Points points, int64 operations)
{
	if (!points_add(used->points, points, &used->points))
		used->points = PG_INT64_MAX;
	used->operations += operations;
}

static void
count_left(Counter *counter)
{
	const Amount *max = &counter->rule.max;
	Stripe	   *whole = &counter->stripe;

	whole->revision = counter->rule.revision;
	whole->left.points = Max(max->points - whole->used.points, 0);
	whole->left.operations = Max(max->operations - whole->used.operations, 0);
}

/* The limit was changed; it may have been before we waited, or after. */
static void
find_rule_again(const Limits *limits, Counter *counter)
{
	Datum		subjects[] = {Int64GetDatum(0), Int64GetDatum(counter->rule.subject_id)};
	DateADT		day = 0;
	int			nrules;
	const Rule *rules = find_rules(limits, counter->program_id, array_datum(subjects, 2, INT8OID),
								   array_datum(NULL, 0, INT8OID), &nrules, &day);
	const Rule *rule = rule_for(rules, nrules, counter->rule.scope, counter->rule.adds, counter->rule.subject_id);

	counter->lifted = rule == NULL;
	if (rule == NULL)
		return;
	counter->rule.revision = rule->revision;
	counter->rule.max = rule->max;
}

/* The rows of subjects that have none yet; they count from nothing. */
static void
create_rows(const Limits *limits, const Counter *counter, Datum subjects)
{
	Datum		values[] = {
		KEY_VALUES(limits, counter),
		DateADTGetDatum(counter->stripe.day),
		Int16GetDatum(counter->rule.scope == SCOPE_MEMBER ? 0 : LIMIT_STRIPES),
	};

	values[3] = subjects;
	plan_write(PLAN_ALLOWANCES_CREATE, values, NULL);
}

/*
 * Who holds row 0 knows that nobody else spreads or gathers; so if it says
 * that more rows count than we saw, they will be seen the second time.
 */
static void
lock_whole(const Limits *limits, Counter *counter)
{
	Datum		values[] = {KEY_VALUES(limits, counter)};
	Datum		subject = values[3];
	Stripe	   *whole = &counter->stripe;
	uint64		rows;
	Stripe		row0 = {0};

	for (;;)
	{
		rows = plan_write(PLAN_ALLOWANCE_LOCK, values, NULL);
		if (rows > 0)
			row0 = read_stripe(0);
		if (rows > 0 && (!row0.spread || rows == 1 + LIMIT_STRIPES))
			break;
		if (rows == 0)
			create_rows(limits, counter, array_datum(&subject, 1, INT8OID));
	}
	Assert(row0.number == 0);
	whole->spread = row0.spread;
	for (uint64 row = 0; row < rows && row0.day >= whole->day; row++)
	{
		Stripe		stripe = read_stripe(row);

		add_used(&whole->used, stripe.used.points, stripe.used.operations);
	}
	whole->day = Max(whole->day, row0.day);
	if (row0.revision != counter->rule.revision)
		find_rule_again(limits, counter);
	count_left(counter);
	counter->locked = LOCKED_WHOLE;
}

/* Members who post the same way in one program, in one statement. */
static void
lock_members(const Limits *limits, Counter *counters, int n)
{
	Datum	   *ids = palloc_extended(n * sizeof(Datum), MCXT_ALLOC_HUGE);
	Datum		values[] = {KEY_VALUES(limits, counters)};

	for (int i = 0; i < n; i++)
		ids[i] = Int64GetDatum(counters[i].rule.subject_id);
	values[3] = array_datum(ids, n, INT8OID);
	/* In the order of the counters, which is that of ids. */
	while (plan_write(PLAN_ALLOWANCES_LOCK, values, NULL) < (uint64) n)
		create_rows(limits, counters, values[3]);
	for (int i = 0; i < n; i++)
	{
		Stripe		stripe = read_stripe(i);

		if (stripe.day >= counters[i].stripe.day)
			counters[i].stripe = stripe;
		count_left(&counters[i]);
		counters[i].locked = LOCKED_WHOLE;
	}
	pfree(ids);
}

static bool
same_members(const Counter *a, const Counter *b)
{
	return a->program_id == b->program_id && a->rule.scope == SCOPE_MEMBER && b->rule.scope == SCOPE_MEMBER &&
		a->rule.adds == b->rule.adds;
}

/*
 * All counters at once, in their order.  Only if there will be no more than
 * one posting is it known what it needs.
 */
static void
lock_counters(Limits *limits, Points points)
{
	Counter    *counters = limits->counters;
	bool		single = limits->nmovements == 1;

	for (int from = 0, to; from < limits->ncounters; from = to)
	{
		for (to = from + 1; to < limits->ncounters && same_members(&counters[from], &counters[to]);)
			to++;
		if (counters[from].rule.scope == SCOPE_MEMBER)
			lock_members(limits, &counters[from], to - from);
		else if (!single || !lock_stripe(limits, &counters[from], points))
			lock_whole(limits, &counters[from]);
	}
}

/* ------------------------------------------------------------------------
 * Taking
 * ------------------------------------------------------------------------ */

/*
 * Take from all that limit the movement, or from none.  The posting must not
 * fail any more for another reason.
 */
bool
limits_take(Limits *limits, const Movement *movement, Points points)
{
	Counter    *met[lengthof(scope_names)];
	int			nmet = 0;

	if (!limits->prepared)
	{
		find_counters(limits);
		lock_counters(limits, points);
		limits->prepared = true;
	}
	for (int scope = 0; scope < (int) lengthof(scope_names); scope++)
	{
		Counter		key = {.program_id = movement->program_id,
		.rule = {.scope = scope,.adds = movement->adds,.subject_id = subject_of(limits, movement, scope)}};
		Counter    *counter = bsearch(&key, limits->counters, limits->ncounters, sizeof(Counter), compare_counters);

		if (counter == NULL || counter->lifted)
			continue;
		if (!suffices(&counter->stripe.left, points))
			return false;
		met[nmet++] = counter;
	}
	for (int i = 0; i < nmet; i++)
	{
		Stripe	   *stripe = &met[i]->stripe;

		add_used(&stripe->used, points, 1);
		stripe->left.points -= points;
		stripe->left.operations -= 1;
		met[i]->largest = Max(met[i]->largest, points);
		met[i]->changed = true;
	}
	return true;
}

/* ------------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------------ */

/* The columns of loyalty.allowance after the merchant, in their order. */
#define ALLOWANCE_COLUMNS 12

typedef struct Rows
{
	Datum	   *columns[ALLOWANCE_COLUMNS];
	int			n;
} Rows;

static void
add_row(Rows *rows, const Counter *counter, const Stripe *stripe)
{
	Datum		row[ALLOWANCE_COLUMNS] = {
		Int64GetDatum(counter->program_id),
		CStringGetTextDatum(scope_names[counter->rule.scope]),
		Int64GetDatum(counter->rule.subject_id),
		BoolGetDatum(counter->rule.adds),
		Int16GetDatum(stripe->number),
		DateADTGetDatum(stripe->day),
		Int64GetDatum(stripe->revision),
		BoolGetDatum(stripe->spread),
		PointsGetDatum(stripe->used.points),
		Int64GetDatum(stripe->used.operations),
		PointsGetDatum(stripe->left.points),
		Int64GetDatum(stripe->left.operations),
	};

	for (int c = 0; c < ALLOWANCE_COLUMNS; c++)
		rows->columns[c][rows->n] = row[c];
	rows->n++;
}

/*
 * May what is left go into the stripes?  If they were not in use, whoever
 * holds one has found that out and waits for row 0: then they stay so.
 */
static bool
can_spread(const Limits *limits, const Counter *counter)
{
	const Amount *left = &counter->stripe.left;
	Datum		values[] = {KEY_VALUES(limits, counter)};

	if (counter->rule.scope == SCOPE_MEMBER ||
		left->points / LIMIT_STRIPES / LIMIT_PLENTY < counter->largest ||
		left->operations / LIMIT_STRIPES < LIMIT_PLENTY)
		return false;
	return counter->stripe.spread || plan_write(PLAN_ALLOWANCE_STRIPES, values, NULL) == LIMIT_STRIPES;
}

/* The share of a stripe; shares differ by no more than the smallest unit. */
static int64
share(int64 left, int stripe)
{
	return left / LIMIT_STRIPES + (stripe <= left % LIMIT_STRIPES ? 1 : 0);
}

/* Row 0 keeps what was used so far; what is left is there or in the stripes. */
static void
add_whole(const Limits *limits, Rows *rows, const Counter *counter)
{
	Stripe		row0 = counter->stripe;

	row0.spread = can_spread(limits, counter);
	if (row0.spread)
		row0.left = (Amount) {0, 0};
	add_row(rows, counter, &row0);
	for (int number = 1; number <= LIMIT_STRIPES && (row0.spread || counter->stripe.spread); number++)
	{
		Stripe		stripe = {.number = number,.day = row0.day,.revision = row0.revision,.spread = row0.spread};

		if (row0.spread)
		{
			stripe.left.points = share(counter->stripe.left.points, number);
			stripe.left.operations = share(counter->stripe.left.operations, number);
		}
		add_row(rows, counter, &stripe);
	}
}

void
limits_write(Limits *limits)
{
	static const Oid types[ALLOWANCE_COLUMNS] = {INT8OID, TEXTOID, INT8OID, BOOLOID, INT2OID, DATEOID, INT8OID, BOOLOID,
	InvalidOid, INT8OID, InvalidOid, INT8OID};
	Datum		values[1 + ALLOWANCE_COLUMNS] = {Int64GetDatum(limits->merchant_id)};
	Rows		rows = {.n = 0};
	Size		most = 0;

	for (int i = 0; i < limits->ncounters; i++)
		most += limits->counters[i].rule.scope == SCOPE_MEMBER ? 1 : 1 + LIMIT_STRIPES;
	for (int c = 0; c < ALLOWANCE_COLUMNS; c++)
		rows.columns[c] = palloc_extended(Max(most, 1) * sizeof(Datum), MCXT_ALLOC_HUGE);
	for (int i = 0; i < limits->ncounters; i++)
	{
		const Counter *counter = &limits->counters[i];

		if (!counter->changed)
			continue;
		if (counter->locked == LOCKED_STRIPE)
			add_row(&rows, counter, &counter->stripe);
		else
			add_whole(limits, &rows, counter);
	}
	if (rows.n == 0)
		return;
	for (int c = 0; c < ALLOWANCE_COLUMNS; c++)
		values[1 + c] = array_datum(rows.columns[c], rows.n, OidIsValid(types[c]) ? types[c] : plan_points_oid());
	if (plan_write(PLAN_ALLOWANCES_WRITE, values, NULL) != (uint64) rows.n)
		elog(ERROR, "allowances of merchant " INT64_FORMAT " that were locked are gone", limits->merchant_id);
}
