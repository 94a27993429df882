/*
 * allowance.c
 *		What is left of a limit, counted in rows that are locked.
 *
 * A member has one row: the account's lock serializes their postings anyway.  A
 * cashier or branch has row 0, and LIMIT_STRIPES stripes.  While there is
 * plenty left, all of it is spread over the stripes, and a posting takes from
 * one of them: so colleagues do not wait for each other.  When no stripe has
 * enough, or little is left, the whole is locked, row 0 first, which waits for
 * those who hold a part: they may roll back, and "exceeded" must not be said
 * before that is known.  Then the rest is spread anew, or stays in row 0 if it
 * is little.
 *
 * A single posting skips stripes that others hold.  It first tries the one that
 * its session took from last, by its key; then it looks for another.  Both must
 * have LIMIT_SPARE times what it needs, so that one is still good for it when it
 * has changed between being found and being locked; only if it is not, the whole
 * is locked by somebody who holds a part.
 *
 * Rows of another day, or of another revision of the limit, are brought up to
 * date by whoever locks the whole first; what was used today stays used.  A
 * day never goes back: a posting that began before midnight, and had to wait
 * for one that began after it, counts for the new day.
 *
 * What was used and what is left of a member's row come to no more than the
 * maximum unless nothing is left: so the sums that a statement computes stay in
 * range.
 */
#include "postgres.h"

#include "allowance.h"
#include "catalog/pg_type.h"
#include "columns.h"
#include "compat.h"
#include "plan.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define LIMIT_STRIPES	16
#define LIMIT_SPARE		4
/* Stripes are worth having while each has this many times what is needed. */
#define LIMIT_PLENTY	(2 * LIMIT_SPARE)

static Points
spare(Points points)
{
	return points > PG_INT64_MAX / LIMIT_SPARE ? PG_INT64_MAX : points * LIMIT_SPARE;
}

#define KEY_VALUES(merchant_id, counter) \
	Int64GetDatum(merchant_id), \
	Int64GetDatum((counter)->program_id), \
	CStringGetTextDatum(scope_name((counter)->rule.scope)), \
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

bool
allowance_suffices(const Amount *left, Points points)
{
	return left->points >= points && left->operations >= 1;
}

/*
 * Take from a member's row: lock, check and write in one statement.  False:
 * there is not enough, or the row is not up to date.
 */
bool
allowance_take_member(int64 merchant_id, Counter *counter, Points points)
{
	Datum		values[] = {
		KEY_VALUES(merchant_id, counter),
		DateADTGetDatum(counter->stripe.day),
		Int64GetDatum(counter->rule.revision),
		PointsGetDatum(points),
	};

	if (plan_post(PLAN_ALLOWANCE_TAKE, values, NULL) == 0)
		return false;
	counter->locked = LOCKED_TAKEN;
	return true;
}

/* ------------------------------------------------------------------------
 * Locking
 * ------------------------------------------------------------------------ */

/*
 * Where a session begins to look: each at a stripe of its own, as far as there
 * are enough; later where it found what it needed last.
 */
static int	own_stripes[SCOPES];

static int
own_stripe(Scope scope)
{
	if (own_stripes[scope] == 0)
		own_stripes[scope] = 1 + (int) MyProcNumber % LIMIT_STRIPES;
	return own_stripes[scope];
}

/*
 * Some stripe that has enough and that nobody holds: that of the session, or
 * else the next one.  A stripe that changed between being found and being
 * locked is as good, of whatever day or revision it is now: who changed it knew
 * better.
 */
bool
allowance_lock_stripe(int64 merchant_id, Counter *counter, Points points)
{
	Scope		scope = counter->rule.scope;
	Datum		values[] = {
		KEY_VALUES(merchant_id, counter),
		Int16GetDatum(own_stripe(scope)),
		DateADTGetDatum(counter->stripe.day),
		Int64GetDatum(counter->rule.revision),
		PointsGetDatum(spare(points)),
		Int64GetDatum(LIMIT_SPARE),
	};
	Stripe		stripe;

	if (plan_write(PLAN_ALLOWANCE_OWN, values, NULL) == 0 && plan_write(PLAN_ALLOWANCE_TRY, values, NULL) == 0)
		return false;
	stripe = read_stripe(0);
	if (!stripe.spread || stripe.day < counter->stripe.day || !allowance_suffices(&stripe.left, points))
		return false;
	counter->stripe = stripe;
	counter->locked = LOCKED_STRIPE;
	own_stripes[scope] = stripe.number;
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
find_rule_again(int64 merchant_id, Counter *counter)
{
	Datum		subject = Int64GetDatum(counter->rule.subject_id);
	LimitSet	set = limit_set_read(merchant_id, counter->program_id, &subject, 1);
	const LimitRule *rule = limit_rule_for(&set, counter->rule.scope, counter->rule.adds, counter->rule.subject_id);

	counter->lifted = rule == NULL;
	if (rule == NULL)
		return;
	counter->rule.revision = rule->revision;
	counter->rule.max = rule->max;
}

/* The rows of subjects that have none yet; they count from nothing. */
static void
create_rows(int64 merchant_id, const Counter *counter, Datum subjects)
{
	Datum		values[] = {
		KEY_VALUES(merchant_id, counter),
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
void
allowance_lock_whole(int64 merchant_id, Counter *counter)
{
	Datum		values[] = {KEY_VALUES(merchant_id, counter)};
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
			create_rows(merchant_id, counter, array_datum(&subject, 1, INT8OID));
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
		find_rule_again(merchant_id, counter);
	count_left(counter);
	counter->locked = LOCKED_WHOLE;
}

/* Members who post the same way in one program, in one statement. */
void
allowances_lock_members(int64 merchant_id, Counter *counters, int n)
{
	Datum	   *ids = palloc_extended(n * sizeof(Datum), MCXT_ALLOC_HUGE);
	Datum		values[] = {KEY_VALUES(merchant_id, counters)};

	for (int i = 0; i < n; i++)
		ids[i] = Int64GetDatum(counters[i].rule.subject_id);
	values[3] = array_datum(ids, n, INT8OID);
	/* In the order of the counters, which is that of ids. */
	while (plan_write(PLAN_ALLOWANCES_LOCK, values, NULL) < (uint64) n)
		create_rows(merchant_id, counters, values[3]);
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

/* In memory: what has been locked and suffices has been taken from. */
void
allowance_count(Counter *counter, Points points)
{
	Stripe	   *stripe = &counter->stripe;

	add_used(&stripe->used, points, 1);
	stripe->left.points -= points;
	stripe->left.operations -= 1;
	counter->largest = Max(counter->largest, points);
	counter->changed = true;
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
		CStringGetTextDatum(scope_name(counter->rule.scope)),
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
can_spread(int64 merchant_id, const Counter *counter)
{
	const Amount *left = &counter->stripe.left;
	Datum		values[] = {KEY_VALUES(merchant_id, counter)};

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
add_whole(int64 merchant_id, Rows *rows, const Counter *counter)
{
	Stripe		row0 = counter->stripe;

	row0.spread = can_spread(merchant_id, counter);
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

/* What a single posting has taken from one stripe. */
static void
write_stripe(int64 merchant_id, const Counter *counter)
{
	const Stripe *stripe = &counter->stripe;
	Datum		values[] = {
		KEY_VALUES(merchant_id, counter),
		Int16GetDatum(stripe->number),
		PointsGetDatum(stripe->used.points),
		Int64GetDatum(stripe->used.operations),
		PointsGetDatum(stripe->left.points),
		Int64GetDatum(stripe->left.operations),
	};

	if (plan_write(PLAN_ALLOWANCE_COUNT, values, NULL) != 1)
		elog(ERROR, "an allowance of merchant " INT64_FORMAT " that was locked is gone", merchant_id);
}

/* A single row is written by a statement that takes no arrays. */
static void
write_rows(int64 merchant_id, const Rows *rows)
{
	Oid			points = plan_points_oid();
	Oid			types[ALLOWANCE_COLUMNS] = {INT8OID, TEXTOID, INT8OID, BOOLOID, INT2OID, DATEOID, INT8OID, BOOLOID,
		points, INT8OID, points, INT8OID};
	Datum		values[1 + ALLOWANCE_COLUMNS] = {Int64GetDatum(merchant_id)};

	for (int c = 0; c < ALLOWANCE_COLUMNS; c++)
		values[1 + c] = rows->n == 1 ? rows->columns[c][0] : array_datum(rows->columns[c], rows->n, types[c]);
	if (plan_write(rows->n == 1 ? PLAN_ALLOWANCE_WRITE : PLAN_ALLOWANCES_WRITE, values, NULL) != (uint64) rows->n)
		elog(ERROR, "allowances of merchant " INT64_FORMAT " that were locked are gone", merchant_id);
}

/* What has changed and has not been written yet. */
void
allowances_write(int64 merchant_id, const Counter *counters, int n)
{
	Rows		rows = {.n = 0};
	Size		most = 0;

	for (int i = 0; i < n; i++)
	{
		if (counters[i].changed && counters[i].locked != LOCKED_STRIPE)
			most += counters[i].rule.scope != SCOPE_MEMBER ? 1 + LIMIT_STRIPES : 1;
	}
	for (int c = 0; c < ALLOWANCE_COLUMNS; c++)
		rows.columns[c] = palloc_extended(Max(most, 1) * sizeof(Datum), MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
	{
		if (!counters[i].changed)
			continue;
		if (counters[i].locked == LOCKED_STRIPE)
			write_stripe(merchant_id, &counters[i]);
		else
			add_whole(merchant_id, &rows, &counters[i]);
	}
	if (rows.n > 0)
		write_rows(merchant_id, &rows);
}
