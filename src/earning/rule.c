/*
 * rule.c
 *		Earning rules: what a sale earns beyond the base of its program.
 *
 * One statement for each table says who buys, and only of what some rule asks
 * for: rank held, birth date, what capped rules have given.  All else is here
 * and, of goods, in goods.c; nothing is rounded until the points of a rule are
 * known.
 *
 * The accounts are locked, so nobody else counts on the caps meanwhile.  What a
 * sale of the batch has got, the next one sees in memory; rules_write() writes
 * it at the end.
 */
#include "postgres.h"

#include "account/rows.h"
#include "base/sort.h"
#include "catalog/pg_type.h"
#include "db/columns.h"
#include "db/statement.h"
#include "earning/entry_rule.h"
#include "earning/goods.h"
#include "earning/rank.h"
#include "earning/rule.h"
#include "earning/rule_award.h"
#include "earning/rule_set.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

/* What a capped rule has given to an account. */
typedef struct Use
{
	const char *rule;
	DateADT		day;			/* whose periods are counted */
	Points		points[CAP_PERIODS];
	bool		changed;
	struct Use *next;
} Use;

/* An account that earns, shared by those who buy for it. */
typedef struct Purse
{
	const struct Customer *opened_by;
	bool		has_bought;
	Use		   *uses;
} Purse;

typedef struct Customer
{
	Buyer		buyer;
	const RuleSet *set;			/* NULL: no rules */
	Purse	   *purse;
	const char *granted;		/* the rank that was; empty: none, or nobody asks */
	bool		granted_lasts;	/* whatever is earned */
	int			from_birthday;	/* days; PG_INT32_MAX: not known, or nobody asks */
	DateADT		today;			/* by the clock of the time zone, as is the time of day */
	TimeADT		time;
	DateADT		counted_on;		/* the day of the caps */
	bool		ask_owner;		/* for the rank, or who buys */
} Customer;

struct Rules
{
	int64		merchant_id;
	Moment		moment;			/* when it is bought */
	Customer   *customers;		/* ascending by account, then member */
	int			ncustomers;
	Award	   *awards;
	int			nawards;
	int			allocated;
	EntryRules	given;
};

/* ------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------ */

static int
compare_customers(const void *a, const void *b)
{
	const Buyer *left = &((const Customer *) a)->buyer;
	const Buyer *right = &((const Customer *) b)->buyer;

	if (left->account_id != right->account_id)
		return left->account_id < right->account_id ? -1 : 1;
	return (left->member_id > right->member_id) - (left->member_id < right->member_id);
}

/* The customer who buys for an account; NULL: rules were not read for one. */
static Customer *
find_customer(const Rules *rules, int64 account_id, int64 member_id)
{
	Customer	key = {.buyer = {.account_id = account_id,.member_id = member_id}};

	return bsearch(&key, rules->customers, rules->ncustomers, sizeof(Customer), compare_customers);
}

static Use *
add_use(Purse *purse, const char *rule, DateADT day)
{
	Use		   *use = palloc0(sizeof(Use));

	use->rule = rule;
	use->day = day;
	use->next = purse->uses;
	purse->uses = use;
	return use;
}

/* The nearest birthday's distance in days; 29 February is 28 February in other years. */
static int
days_from_birthday(DateADT birth_date, DateADT today)
{
	int			year;
	int			month;
	int			day;
	int			this_year;
	int			nearest = PG_INT32_MAX;
	int			unused;

	j2date(today + POSTGRES_EPOCH_JDATE, &this_year, &unused, &unused);
	j2date(birth_date + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	for (year = this_year - 1; year <= this_year + 1; year++)
	{
		int			last = day_tab[isleap(year)][month - 1];
		int			birthday = date2j(year, month, Min(day, last)) - POSTGRES_EPOCH_JDATE;

		nearest = Min(nearest, abs(birthday - today));
	}
	return nearest;
}

/* Read the local day and time of a customer's program, and the day for which caps count. */
static void
read_clock(Customer *customer, TimestampTz now)
{
	Timestamp	local = terms_local(customer->buyer.program, now);
	int64		days = local / USECS_PER_DAY;

	if (days * USECS_PER_DAY > local)
		days--;
	customer->today = (DateADT) days;
	customer->time = local - days * USECS_PER_DAY;
	customer->counted_on = customer->buyer.posted_at > now ?
		terms_local_date(customer->buyer.program, customer->buyer.posted_at) : customer->today;
}

static bool
asks_rank(const Customer *customer)
{
	return (customer->set != NULL && customer->set->asks_rank) || ranks_of(customer->buyer.program)->multiply;
}

static bool
asks_member(const Customer *customer)
{
	return (customer->set != NULL && customer->set->asks_birthday) || asks_rank(customer);
}

static bool
asks_owner(const Customer *customer)
{
	return customer->ask_owner;
}

static bool
asks_use(const Customer *customer)
{
	return customer->set != NULL && customer->set->has_caps;
}

/* The member who buys; if nobody is named, the member with the account's number, who mostly owns it: else its owner is asked for. */
static int64
member_or_namesake(const Buyer *buyer)
{
	return buyer->member_id != 0 ? buyer->member_id : buyer->account_id;
}

/* The ids of the accounts, or members, of the customers of whom something is asked; each account once. */
static int64 *
asked_ids(const Rules *rules, bool (*asks) (const Customer *customer), bool members, int *n)
{
	int64	   *ids = palloc_extended(rules->ncustomers * sizeof(int64), MCXT_ALLOC_HUGE);

	*n = 0;
	for (int i = 0; i < rules->ncustomers; i++)
	{
		const Buyer *buyer = &rules->customers[i].buyer;

		if (!asks(&rules->customers[i]))
			continue;
		if (members)
			ids[(*n)++] = member_or_namesake(buyer);
		else if (*n == 0 || ids[*n - 1] != buyer->account_id)
			ids[(*n)++] = buyer->account_id;
	}
	return ids;
}

/* Run the statement for many ids, or the one for a single id, which takes no array. */
static uint64
read_about(Statement *one, Statement *many, const Rules *rules, const int64 *ids, int n)
{
	Datum		values[] = {Int64GetDatum(rules->merchant_id), n == 1 ? Int64GetDatum(ids[0]) : ids_datum(ids, n),
	TimestampTzGetDatum(rules->moment.at), TimestampTzGetDatum(rules->moment.ahead)};

	return db_write(n == 1 ? one : many, values, NULL);
}

/* The first customer who buys for an account. */
static Customer *
find_account(const Rules *rules, int64 account_id)
{
	int			low = 0;
	int			high = rules->ncustomers;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (rules->customers[middle].buyer.account_id < account_id)
			low = middle + 1;
		else
			high = middle;
	}
	return &rules->customers[low];
}

/* The first day of the period that a day is in. */
static DateADT
first_day(CapPeriod period, DateADT date)
{
	int			year;
	int			month;
	int			day;

	j2date(date + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	switch (period)
	{
		case CAP_DAY:
			return date;
		case CAP_WEEK:
			return date - (j2day(date + POSTGRES_EPOCH_JDATE) + 6) % 7;
		case CAP_MONTH:
			return date2j(year, month, 1) - POSTGRES_EPOCH_JDATE;
		case CAP_YEAR:
			return date2j(year, 1, 1) - POSTGRES_EPOCH_JDATE;
		default:
			return 0;
	}
}

#define RULE_USE_COLUMNS "account_id, rule, day, points_day, points_week, points_month, points_year, points_ever"
#define RULE_USE_SELECT "SELECT " RULE_USE_COLUMNS " FROM loyalty_internal.rule_use"

static Statement rule_use_sql = {
	.sql = RULE_USE_SELECT " WHERE merchant_id = $1 AND account_id = $2",
	.params = {INT8OID, INT8OID}
};

static Statement rule_uses_sql = {
	.sql = RULE_USE_SELECT " WHERE merchant_id = $1 AND account_id = ANY ($2)",
	.params = {INT8OID, INT8ARRAYOID}
};

/* Read what capped rules have given; periods that are over count no more, and a counted day never goes back. */
static void
read_uses(Rules *rules)
{
	int			n;
	int64	   *accounts = asked_ids(rules, asks_use, false, &n);
	uint64		rows = n == 0 ? 0 : read_about(&rule_use_sql, &rule_uses_sql, rules, accounts, n);

	for (uint64 row = 0; row < rows; row++)
	{
		Purse	   *purse = find_account(rules, row_int64(row, "account_id"))->purse;
		DateADT		day = row_int64(row, "day");
		Use		   *use = add_use(purse, row_text(row, "rule"), Max(day, purse->opened_by->counted_on));
		const Points counted[CAP_PERIODS] = {
			[CAP_DAY] = row_int64(row, "points_day"),
			[CAP_WEEK] = row_int64(row, "points_week"),
			[CAP_MONTH] = row_int64(row, "points_month"),
			[CAP_YEAR] = row_int64(row, "points_year"),
			[CAP_EVER] = row_int64(row, "points_ever"),
		};

		for (int period = 0; period < CAP_PERIODS; period++)
		{
			if (first_day(period, day) == first_day(period, use->day))
				use->points[period] = counted[period];
		}
	}
}

/* What rules ask about a member. */
typedef struct Person
{
	int64		member_id;
	const char *granted_rank;
	bool		ask_further;	/* for the rank */
	int64		account_id;		/* that is used now */
	DateADT		birth_date;
	bool		has_birth_date;
} Person;

static int
compare_persons(const void *a, const void *b)
{
	int64		left = ((const Person *) a)->member_id;
	int64		right = ((const Person *) b)->member_id;

	return (left > right) - (left < right);
}

/* The rank of a buyer is mostly the one given at registration; if it may be another, the last column says that one has to ask further. */
#define BUYER_SELECT \
	"SELECT m.member_id, m.granted_rank, m.birth_date, m.rank_given OR m.own_account_id IS NOT NULL AS asks_further, m.account_id FROM loyalty_internal.member m"

static Statement buyer_sql = {
	.sql = BUYER_SELECT " WHERE m.merchant_id = $1 AND m.member_id = $2",
	.params = {INT8OID, INT8OID}
};

static Statement buyers_sql = {
	.sql = BUYER_SELECT " WHERE m.merchant_id = $1 AND m.member_id = ANY ($2)",
	.params = {INT8OID, INT8ARRAYOID}
};

static Person *
read_persons(const Rules *rules, int *n)
{
	int			nmembers;
	int64	   *members = asked_ids(rules, asks_member, true, &nmembers);
	Person	   *persons;

	*n = nmembers == 0 ? 0 : (int) read_about(&buyer_sql, &buyers_sql, rules, members, nmembers);
	persons = palloc_extended(Max(*n, 1) * sizeof(Person), MCXT_ALLOC_HUGE);
	for (int i = 0; i < *n; i++)
	{
		bool		isnull;
		Datum		birth_date = row_datum(i, "birth_date", &isnull);
		Person		person = {row_int64(i, "member_id"), row_text(i, "granted_rank"), row_bool(i, "asks_further"),
		row_int64(i, "account_id"), isnull ? 0 : DatumGetDateADT(birth_date), !isnull};

		persons[i] = person;
	}
	merge_sort(persons, *n, sizeof(Person), compare_persons);
	return persons;
}

/* Note what is known of a customer: a member who now uses another account has left this one. */
static void
note_person(Customer *customer, const Person *person)
{
	bool		is_here = person != NULL && person->account_id == customer->buyer.account_id;

	customer->ask_owner = !is_here || person->ask_further;
	if (person == NULL)
		return;
	if (person->has_birth_date && (is_here || customer->buyer.member_id != 0))
		customer->from_birthday = days_from_birthday(person->birth_date, customer->today);
	if (asks_rank(customer))
		customer->granted = person->granted_rank;
}

/* Note the owner of an account, whose rank counts, and who buys if nobody is named. */
static void
note_owner(Customer *customer, uint64 row)
{
	bool		isnull;
	Datum		birth_date = row_datum(row, "birth_date", &isnull);

	if (asks_rank(customer))
	{
		customer->granted = row_text(row, "rank");
		customer->granted_lasts = row_bool(row, "granted");
	}
	if (customer->buyer.member_id == 0 && !isnull)
		customer->from_birthday = days_from_birthday(DatumGetDateADT(birth_date), customer->today);
}

/* Of those who share an account, the rank granted to its owner counts: by now, but for what is simulated, of one account. */
#define OWNER_SELECT(accounts, has_begun) \
	"SELECT u.account_id, coalesce(g.rank, m.granted_rank) AS rank, g.rank IS NOT NULL AS granted, m.birth_date FROM unnest(" accounts ") u (account_id)" \
	" JOIN loyalty_internal.member m ON m.merchant_id = $1 AND m.member_id = " OWNER_OF("u.account_id", has_begun) RANK_GRANT_OF("m", has_begun)

static Statement owner_sql = {
	.sql = OWNER_SELECT("ARRAY[$2]", BEGUN_BY_NOW),
	.params = {INT8OID, INT8OID, TIMESTAMPTZOID}
};

static Statement owners_sql = {
	.sql = OWNER_SELECT("$2", BEGUN_BY_NOW),
	.params = {INT8OID, INT8ARRAYOID, TIMESTAMPTZOID}
};

static Statement owner_at_sql = {
	.sql = OWNER_SELECT("ARRAY[$2]", HAS_BEGUN),
	.params = {INT8OID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID}
};

/* Read the owners of accounts; an account without one has no granted rank. */
static void
read_owners(Rules *rules)
{
	int			n;
	int64	   *accounts = asked_ids(rules, asks_owner, false, &n);
	uint64		rows = n == 0 ? 0 : read_about(rules->moment.ahead == rules->moment.at ? &owner_sql : &owner_at_sql, &owners_sql, rules, accounts, n);

	for (int i = 0; i < rules->ncustomers; i++)
	{
		if (rules->customers[i].ask_owner)
			rules->customers[i].granted = "";
	}
	for (uint64 row = 0; row < rows; row++)
	{
		Customer   *customer = find_account(rules, row_int64(row, "account_id"));

		for (; customer < rules->customers + rules->ncustomers && customer->buyer.account_id == row_int64(row, "account_id"); customer++)
		{
			if (customer->ask_owner)
				note_owner(customer, row);
		}
	}
}

static void
note_persons(Rules *rules)
{
	int			npersons;
	Person	   *persons = read_persons(rules, &npersons);

	for (int i = 0; i < rules->ncustomers; i++)
	{
		Customer   *customer = &rules->customers[i];
		Person		key = {.member_id = member_or_namesake(&customer->buyer)};

		if (asks_member(customer))
			note_person(customer, bsearch(&key, persons, npersons, sizeof(Person), compare_persons));
	}
	read_owners(rules);
}

/* Members who buy for the same account share its purse. */
static void
read_customers(Rules *rules)
{
	for (int i = 0; i < rules->ncustomers; i++)
	{
		Customer   *customer = &rules->customers[i];

		read_clock(customer, rules->moment.at);
		customer->granted = "";
		customer->from_birthday = PG_INT32_MAX;
		if (i > 0 && customer[-1].buyer.account_id == customer->buyer.account_id)
		{
			customer->purse = customer[-1].purse;
			continue;
		}
		customer->purse = palloc0(sizeof(Purse));
		customer->purse->opened_by = customer;
		customer->purse->has_bought = customer->buyer.account->purchases > 0;
	}
	read_uses(rules);
	note_persons(rules);
}

/* Read all that the sales of these buyers depend on, as it is now or was at another moment; a buyer may be there twice. */
Rules *
rules_start(int64 merchant_id, Moment moment, const Buyer *buyers, int n)
{
	Rules	   *rules = palloc0(sizeof(Rules));
	int			distinct = 0;

	rules->merchant_id = merchant_id;
	rules->moment = moment;
	rules->customers = palloc_extended(n * sizeof(Customer), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int i = 0; i < n; i++)
	{
		rules->customers[i].buyer = buyers[i];
		rules->customers[i].set = buyers[i].version == 0 ? NULL : rule_set_of(buyers[i].program, buyers[i].version);
	}
	merge_sort(rules->customers, n, sizeof(Customer), compare_customers);
	for (int i = 0; i < n; i++)
	{
		if (i == 0 || compare_customers(&rules->customers[i], &rules->customers[distinct - 1]) != 0)
			rules->customers[distinct++] = rules->customers[i];
	}
	rules->ncustomers = distinct;
	read_customers(rules);
	return rules;
}

/* ------------------------------------------------------------------------
 * Conditions
 * ------------------------------------------------------------------------ */

/* Whether a rule's times suit; a night from 22:00 to 02:00 belongs to the day on which it begins. */
static bool
suits_time(const Rule *rule, const Customer *customer)
{
	bool		over_midnight = rule->from_time > rule->until_time;
	bool		late = over_midnight && customer->time < rule->until_time;
	int			weekday = j2day(customer->today - late + POSTGRES_EPOCH_JDATE);

	if ((rule->days & (1 << (weekday == 0 ? 7 : weekday))) == 0)
		return false;
	return late || (customer->time >= rule->from_time && (over_midnight || customer->time < rule->until_time));
}

static bool
suits_customer(const Rule *rule, const Customer *customer, const Rank *rank, TimestampTz now)
{
	return now >= rule->valid_from && now < rule->valid_until && suits_time(rule, customer) &&
		(!rule->first_purchase || !customer->purse->has_bought) &&
		(rule->birthday_days < 0 || customer->from_birthday <= rule->birthday_days) &&
		words_allow(&rule->ranks, rank != NULL ? rank->name : customer->granted);
}

/* ------------------------------------------------------------------------
 * Effects
 * ------------------------------------------------------------------------ */

/* amount * share * times / per, as the program shows points. */
static bool
convert_share(const Program *program, Points amount, Share share, Points times, Points per, Points *points)
{
	if (share.whole == NULL)
		return points_convert(amount, times, per, program->decimals, program->rounding, points);
	return points_convert_share(amount, times, per, share.part, share.whole, program->decimals, program->rounding, points);
}

/* The points that a rule gives for its share of a sale, without caps. */
static bool
rule_points(const Rule *rule, const Customer *customer, const Sale *sale, Share share, Points *points)
{
	const Program *program = customer->buyer.program;

	if (rule->points != 0)
		return points_convert(rule->points, 1, 1, program->decimals, program->rounding, points);
	if (rule->multiplier != 0)
		return convert_share(program, sale->base, share, rule->multiplier - POINTS_ONE, POINTS_ONE, points);
	return convert_share(program, sale->money, share, rule->points_per, rule->money_per, points);
}

/* Whether the share of the money is as much as the rule asks for. */
static bool
suits_amount(const Rule *rule, Points money, Share share)
{
	Points		rounded;

	if (share.whole == NULL || rule->min_amount == 0)
		return money >= rule->min_amount;
	return points_convert_share(money, 1, 1, share.part, share.whole, POINTS_DECIMALS, ROUNDING_DOWN, &rounded) &&
		rounded >= rule->min_amount;
}

static Use *
find_use(Purse *purse, const Rule *rule)
{
	for (Use *use = purse->uses; use != NULL; use = use->next)
	{
		if (strcmp(use->rule, rule->name) == 0)
			return use;
	}
	return add_use(purse, rule->name, purse->opened_by->counted_on);
}

/* What the caps leave, in points that the program has. */
static Points
cap_points(const Rule *rule, const Customer *customer, Points points, Use **use)
{
	Points		most = rule->max_ticket;

	*use = NULL;
	if (rule_is_capped(rule))
	{
		*use = find_use(customer->purse, rule);
		for (int period = 0; period < CAP_PERIODS; period++)
		{
			if (rule->max[period] != NO_CAP)
				most = Min(most, rule->max[period] - (*use)->points[period]);
		}
	}
	if (points <= most)
		return points;
	if (most <= 0 || !points_convert(most, 1, 1, customer->buyer.program->decimals, ROUNDING_DOWN, &points))
		return 0;
	return points;
}

/* The end of the day on which the points of a rule expire; 0: as the program says. */
static TimestampTz
life_end(const Rule *rule, const Customer *customer)
{
	const Interval *life = &rule->life;

	if (life->month == 0 && life->day == 0)
		return 0;
	return terms_day_end(customer->buyer.program, customer->buyer.available_at, life);
}

/* Add the bonus of a rule that suits the customer; false: out of range. */
static bool
earn_by_rule(const Rule *rule, const Customer *customer, const Sale *sale, const Basket *basket, Earning *earning)
{
	Share		share = {NULL, NULL};
	Points		points;
	Use		   *use;

	if ((rule_is_for_goods(rule) && !basket_share(basket, rule, &share)) || !suits_amount(rule, sale->money, share))
		return true;
	if (!rule_points(rule, customer, sale, share, &points))
		return false;
	points = cap_points(rule, customer, points, &use);
	if (points > 0)
	{
		Bonus		bonus = {rule->name, rule->ordinal, points, life_end(rule, customer), use};

		earning->bonuses[earning->nbonuses++] = bonus;
	}
	return points_add(earning->total, points, &earning->total);
}

/* What a sale earns; changes nothing, so that the sale may still fail. */
ErrorId
rules_earn(const Rules *rules, const Sale *sale, Earning *earning)
{
	const Customer *customer = find_customer(rules, sale->account_id, sale->member_id);
	const Rank *rank = NULL;
	Basket		basket = {0};

	earning->version = 0;
	earning->nbonuses = 0;
	earning->base = earning->total = sale->base;
	if (customer == NULL)
		return ERR_NONE;
	if (customer->set != NULL && customer->set->is_for_goods && sale->items != NULL && !basket_read(sale->items, &basket))
		return ERR_INVALID_ARGUMENT;
	/* sales of the batch before this one may have reached another */
	if (asks_rank(customer))
		rank = rank_held_at(customer->buyer.program, customer->buyer.account, customer->granted, customer->granted_lasts,
							customer->buyer.ranked_at);
	if (rank != NULL && rank->multiplier != POINTS_ONE &&
		!points_convert(sale->base, rank->multiplier, POINTS_ONE, customer->buyer.program->decimals, customer->buyer.program->rounding, &earning->base))
		return ERR_BALANCE_OUT_OF_RANGE;
	earning->total = earning->base;
	earning->version = customer->buyer.version;
	for (int i = 0; customer->set != NULL && i < customer->set->nrules; i++)
	{
		const Rule *rule = &customer->set->rules[i];

		if (suits_customer(rule, customer, rank, rules->moment.at) && !earn_by_rule(rule, customer, sale, &basket, earning))
			return ERR_BALANCE_OUT_OF_RANGE;
	}
	return ERR_NONE;
}

static void
add_award(Rules *rules, const Award *award)
{
	if (rules->nawards == rules->allocated)
	{
		rules->allocated = Max(16, 2 * rules->allocated);
		rules->awards = rules->awards == NULL ? palloc(rules->allocated * sizeof(Award)) :
			repalloc_huge(rules->awards, rules->allocated * sizeof(Award));
	}
	rules->awards[rules->nawards++] = *award;
}

/* Count what a sale got by this entry, for the sales after it. */
void
rules_keep(Rules *rules, int64 account_id, int64 member_id, int64 entry_id, const Earning *earning)
{
	Customer   *customer = find_customer(rules, account_id, member_id);

	if (customer == NULL)
		return;
	customer->purse->has_bought = true;
	if (earning->nbonuses > 0)
		entry_rules_add(&rules->given, entry_id, ORDINAL_OF_BASE, earning->base);
	for (int i = 0; i < earning->nbonuses; i++)
	{
		Use		   *use = earning->bonuses[i].use;
		Award		award = {account_id, entry_id, earning->bonuses[i].rule, 0, earning->bonuses[i].points, 0};

		entry_rules_add(&rules->given, entry_id, earning->bonuses[i].ordinal, earning->bonuses[i].points);
		if (use == NULL)
			continue;
		use->changed = true;
		for (int period = 0; period < CAP_PERIODS; period++)
		{
			if (!points_add(use->points[period], earning->bonuses[i].points, &use->points[period]))
				use->points[period] = PG_INT64_MAX;
		}
		award.day = use->day;
		add_award(rules, &award);
	}
}

/* ------------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------------ */

#define RULE_USE_UPSERT \
	" ON CONFLICT (merchant_id, account_id, rule)" \
	" DO UPDATE SET day = excluded.day, points_day = excluded.points_day, points_week = excluded.points_week," \
	" points_month = excluded.points_month, points_year = excluded.points_year, points_ever = excluded.points_ever"

static Statement rule_use_write_sql = {
	.sql = "INSERT INTO loyalty_internal.rule_use (merchant_id, " RULE_USE_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)" RULE_USE_UPSERT,
	.params = {INT8OID, INT8OID, TEXTOID, DATEOID, POINTSOID, POINTSOID, POINTSOID, POINTSOID, POINTSOID}
};

static Statement rule_uses_write_sql = {
	.sql = "INSERT INTO loyalty_internal.rule_use (merchant_id, " RULE_USE_COLUMNS ") SELECT $1, u.* FROM unnest($2, $3, $4, $5, $6, $7, $8, $9) u" RULE_USE_UPSERT,
	.params = {INT8OID, INT8ARRAYOID, TEXTARRAYOID, DATEARRAYOID, POINTSARRAYOID, POINTSARRAYOID, POINTSARRAYOID,
	POINTSARRAYOID, POINTSARRAYOID}
};

#define USE_COLUMNS	(3 + CAP_PERIODS)

/* The uses that have changed go into columns, unless only their number is asked for. */
static int
changed_uses(const Rules *rules, Column *columns)
{
	int			n = 0;

	for (int i = 0; i < rules->ncustomers; i++)
	{
		const Customer *customer = &rules->customers[i];

		if (customer->purse->opened_by != customer)
			continue;
		for (const Use *use = customer->purse->uses; use != NULL; use = use->next)
		{
			Datum		row[USE_COLUMNS];

			if (!use->changed)
				continue;
			row[0] = Int64GetDatum(customer->buyer.account_id);
			row[1] = CStringGetTextDatum(use->rule);
			row[2] = DateADTGetDatum(use->day);
			for (int period = 0; period < CAP_PERIODS; period++)
				row[3 + period] = PointsGetDatum(use->points[period]);
			if (columns != NULL)
				columns_set(columns, USE_COLUMNS, n, row, NULL);
			n++;
		}
	}
	return n;
}

/* One statement for each table and the whole batch, under the locks of its accounts; how many parts of sales. */
int
rules_write(const Rules *rules)
{
	Column		columns[USE_COLUMNS];
	int			n = changed_uses(rules, NULL);

	entry_rules_write(&rules->given, rules->merchant_id);
	if (n == 0)
		return rules->given.n;
	columns_start(columns, &rule_use_write_sql, USE_COLUMNS, n);
	changed_uses(rules, columns);
	columns_write(&rule_uses_write_sql, &rule_use_write_sql, rules->merchant_id, columns, USE_COLUMNS, n);
	awards_write(rules->merchant_id, rules->awards, rules->nawards);
	return rules->given.n;
}
