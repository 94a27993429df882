/*
 * rule.c
 *		Earning rules: what a sale earns beyond the base of its program.
 *
 * One statement for each table says who buys, and only of what some rule asks
 * for: rank held, birth date, what capped rules have given.  All else is here;
 * all arithmetic in 128 bits, and without rounding until the points of a rule
 * are known.
 *
 * The accounts are locked, so nobody else counts on the caps meanwhile.  What a
 * sale of the batch has got, the next one sees in memory; rules_write() writes
 * it at the end.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "columns.h"
#include "json.h"
#include "plan.h"
#include "rank.h"
#include "rule.h"
#include "rule_gift.h"
#include "rule_set.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

/* What a capped rule has given to an account. */
typedef struct Use
{
	const char *rule;
	Points		day;
	Points		ever;
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
	int			from_birthday;	/* days; PG_INT32_MAX: not known, or nobody asks */
	DateADT		today;			/* of the time zone, as is the time of day */
	TimeADT		time;
} Customer;

struct Rules
{
	int64		merchant_id;
	TimestampTz now;
	Customer   *customers;		/* ascending by account, then member */
	int			ncustomers;
	Gift	   *gifts;
	int			ngifts;
	int			allocated;
};

/* A share of the money of a sale, num / den, in lowest terms. */
typedef struct Share
{
	int128		num;
	int128		den;
} Share;

/* ------------------------------------------------------------------------
 * Goods
 * ------------------------------------------------------------------------ */

typedef struct Good
{
	const char *sku;			/* NULL: none, as with category */
	const char *category;
	Points		quantity;
	Points		unit_price;
} Good;

typedef struct Basket
{
	Good	   *goods;
	int			n;
	bool		malformed;
} Basket;

static void *
start_good(void *context, size_t index, size_t count, bool is_object)
{
	Basket	   *basket = *(Basket **) context;

	if (index == 0)
		basket->goods = palloc_extended(count * sizeof(Good), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	basket->n = index + 1;
	basket->goods[index].quantity = POINTS_ONE;
	basket->malformed |= !is_object;
	return context;
}

/* A number must be one to the last digit: a share is computed from it. */
static void
take_good_member(void *context, const char *name, JsonKind kind, const char *value)
{
	Basket	   *basket = *(Basket **) context;
	Good	   *good = &basket->goods[basket->n - 1];
	bool		is_text = kind == JSON_IS_STRING || kind == JSON_IS_NUMBER;
	Points	   *number = NULL;

	if (kind == JSON_IS_NULL)
		return;
	if (strcmp(name, "sku") == 0 && is_text)
		good->sku = value;
	else if (strcmp(name, "sku") == 0)
		basket->malformed = true;
	else if (strcmp(name, "category") == 0 && is_text)
		good->category = value;
	else if (strcmp(name, "quantity") == 0)
		number = &good->quantity;
	else if (strcmp(name, "unitPrice") == 0)
		number = &good->unit_price;
	if (kind == JSON_IS_NUMBER)
		value = json_plain_number(value);
	if (number != NULL && (!is_text || points_parse(value, number) != POINTS_OK || *number < 0))
		basket->malformed = true;
	basket->malformed |= kind == JSON_IS_UNREADABLE;
}

static bool
basket_read(const text *items, Basket *basket)
{
	Basket	   *context = basket;

	memset(basket, 0, sizeof(Basket));
	return json_read_items(VARDATA_ANY(items), VARSIZE_ANY_EXHDR(items), start_good, take_good_member, &context) &&
		!basket->malformed;
}

bool
items_valid(const text *items)
{
	Basket		basket;

	return basket_read(items, &basket);
}

/* ------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------ */

/* Nobody named is who has the account: a member has the number of his own. */
static int64
member_or_owner(int64 account_id, int64 member_id)
{
	return member_id != 0 ? member_id : account_id;
}

static int
compare_customers(const void *a, const void *b)
{
	const Buyer *left = &((const Customer *) a)->buyer;
	const Buyer *right = &((const Customer *) b)->buyer;

	if (left->account_id != right->account_id)
		return left->account_id < right->account_id ? -1 : 1;
	return (left->member_id > right->member_id) - (left->member_id < right->member_id);
}

/* NULL if it is none of those that rules were read for. */
static Customer *
find_customer(const Rules *rules, int64 account_id, int64 member_id)
{
	Customer	key = {.buyer = {.account_id = account_id,.member_id = member_or_owner(account_id, member_id)}};

	return bsearch(&key, rules->customers, rules->ncustomers, sizeof(Customer), compare_customers);
}

static Use *
add_use(Purse *purse, const char *rule, Points day, Points ever)
{
	Use		   *use = palloc0(sizeof(Use));

	use->rule = rule;
	use->day = day;
	use->ever = ever;
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

/* What the clock on the wall shows where the program is. */
static void
read_clock(Customer *customer, TimestampTz now)
{
	Timestamp	local = terms_local(customer->buyer.program, now);
	int64		days = local / USECS_PER_DAY;

	if (days * USECS_PER_DAY > local)
		days--;
	customer->today = (DateADT) days;
	customer->time = local - days * USECS_PER_DAY;
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
asks_use(const Customer *customer)
{
	return customer->set != NULL && customer->set->has_caps;
}

static bool
asks_first(const Customer *customer)
{
	return customer->set != NULL && customer->set->asks_first;
}

/* The accounts, or members, of the customers of whom something is asked; each account once. */
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
			ids[(*n)++] = buyer->member_id;
		else if (*n == 0 || ids[*n - 1] != buyer->account_id)
			ids[(*n)++] = buyer->account_id;
	}
	return ids;
}

/* A statement about these, or the one for a single one, which takes no array. */
static uint64
read_about(PlanId one, PlanId many, int64 merchant_id, const int64 *ids, int n)
{
	Datum		values[] = {Int64GetDatum(merchant_id), n == 1 ? Int64GetDatum(ids[0]) : ids_datum(ids, n)};

	return plan_write(n == 1 ? one : many, values, NULL);
}

/* The purse of an account, which some customer has. */
static Purse *
find_purse(const Rules *rules, int64 account_id)
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
	return rules->customers[low].purse;
}

static void
read_uses(Rules *rules)
{
	int			n;
	int64	   *accounts = asked_ids(rules, asks_use, false, &n);
	uint64		rows = n == 0 ? 0 : read_about(PLAN_RULE_USE, PLAN_RULE_USES, rules->merchant_id, accounts, n);

	for (uint64 row = 0; row < rows; row++)
	{
		Purse	   *purse = find_purse(rules, plan_int64(row, 0));
		bool		today = plan_int64(row, 2) == purse->opened_by->today;

		add_use(purse, plan_text(row, 1), today ? plan_int64(row, 3) : 0, plan_int64(row, 4));
	}
}

static void
read_first(Rules *rules)
{
	int			n;
	int64	   *accounts = asked_ids(rules, asks_first, false, &n);
	uint64		rows = n == 0 ? 0 : read_about(PLAN_HAS_BOUGHT, PLAN_HAVE_BOUGHT, rules->merchant_id, accounts, n);

	for (uint64 row = 0; row < rows; row++)
		find_purse(rules, plan_int64(row, 0))->has_bought = true;
}

/* What is asked of a member. */
typedef struct Person
{
	int64		member_id;
	const char *granted_rank;
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

static Person *
read_persons(const Rules *rules, int *n)
{
	int			nmembers;
	int64	   *members = asked_ids(rules, asks_member, true, &nmembers);
	Person	   *persons;

	*n = nmembers == 0 ? 0 : (int) read_about(PLAN_BUYER, PLAN_BUYERS, rules->merchant_id, members, nmembers);
	persons = palloc_extended(Max(*n, 1) * sizeof(Person), MCXT_ALLOC_HUGE);
	for (int i = 0; i < *n; i++)
	{
		Datum		birth_date;
		bool		isnull;

		birth_date = plan_datum(i, 2, &isnull);
		persons[i] = (Person) {plan_int64(i, 0), plan_text(i, 1), isnull ? 0 : DatumGetDateADT(birth_date), !isnull};
	}
	qsort(persons, *n, sizeof(Person), compare_persons);
	return persons;
}

static void
read_members(Rules *rules)
{
	int			npersons;
	Person	   *persons = read_persons(rules, &npersons);

	for (int i = 0; i < rules->ncustomers; i++)
	{
		Customer   *customer = &rules->customers[i];
		Person		key = {.member_id = customer->buyer.member_id};
		Person	   *person = bsearch(&key, persons, npersons, sizeof(Person), compare_persons);

		if (person != NULL && person->has_birth_date)
			customer->from_birthday = days_from_birthday(person->birth_date, customer->today);
		if (person != NULL && asks_rank(customer))
			customer->granted = person->granted_rank;
	}
}

/* Members who buy for the same account share its purse. */
static void
read_customers(Rules *rules)
{
	for (int i = 0; i < rules->ncustomers; i++)
	{
		Customer   *customer = &rules->customers[i];

		read_clock(customer, rules->now);
		customer->granted = "";
		customer->from_birthday = PG_INT32_MAX;
		if (i > 0 && customer[-1].buyer.account_id == customer->buyer.account_id)
		{
			customer->purse = customer[-1].purse;
			continue;
		}
		customer->purse = palloc0(sizeof(Purse));
		customer->purse->opened_by = customer;
	}
	read_uses(rules);
	read_first(rules);
	read_members(rules);
}

/* Read all that the sales of these buyers depend on; each may be there twice. */
Rules *
rules_start(int64 merchant_id, TimestampTz now, const Buyer *buyers, int n)
{
	Rules	   *rules = palloc0(sizeof(Rules));
	int			distinct = 0;

	rules->merchant_id = merchant_id;
	rules->now = now;
	rule_sets_start();
	rules->customers = palloc_extended(n * sizeof(Customer), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int i = 0; i < n; i++)
	{
		rules->customers[i].buyer = buyers[i];
		rules->customers[i].buyer.member_id = member_or_owner(buyers[i].account_id, buyers[i].member_id);
		rules->customers[i].set = rule_set_find(merchant_id, &buyers[i]);
	}
	qsort(rules->customers, n, sizeof(Customer), compare_customers);
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

static int
compare_words(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Without words there is no condition; with some, no word is not among them. */
static bool
words_allow(const Words *words, const char *word)
{
	if (words->words == NULL)
		return true;
	return word != NULL && bsearch(&word, words->words, words->n, sizeof(char *), compare_words) != NULL;
}

/* Whether the clock suits; a night from 22:00 to 02:00 is all of the day on which it begins. */
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

static Share
lowest_terms(int128 num, int128 den)
{
	int128		a = num;
	int128		b = den;

	while (b != 0)
	{
		int128		rest = a % b;

		a = b;
		b = rest;
	}
	return (Share) {num / a, den / a};
}

/*
 * The share of a sale's money that the goods a rule is for come to; *any says
 * whether there are such goods, with or without a price.  Goods that come to
 * more than the money, because of a discount or points used, count for their
 * share of it.  False: too large to be computed.
 */
static bool
goods_share(const Rule *rule, const Basket *basket, Points money, bool *any, Share *share)
{
	int128		matching = 0;
	int128		all = 0;
	int128		whole = (int128) money * POINTS_ONE;

	*any = false;
	for (int i = 0; i < basket->n; i++)
	{
		const Good *good = &basket->goods[i];
		int128		worth = (int128) good->quantity * good->unit_price;

		if (__builtin_add_overflow(all, worth, &all))
			return false;
		if (good->quantity > 0 && words_allow(&rule->skus, good->sku) && words_allow(&rule->categories, good->category))
		{
			*any = true;
			matching += worth;
		}
	}
	whole = Max(whole, all);
	*share = whole > 0 ? lowest_terms(matching, whole) : (Share) {0, 1};
	return true;
}

/* ------------------------------------------------------------------------
 * Effects
 * ------------------------------------------------------------------------ */

/* The points that a rule gives for its share of a sale, without caps. */
static bool
rule_points(const Rule *rule, const Customer *customer, const Sale *sale, Share share, Points *points)
{
	int128		times;
	int128		per;

	if (rule->points != 0)
		return points_convert(rule->points, 1, 1, customer->buyer.program->decimals, customer->buyer.program->rounding, points);
	if (rule->multiplier != 0)
		return !__builtin_mul_overflow((int128) (rule->multiplier - POINTS_ONE), share.num, &times) &&
			!__builtin_mul_overflow((int128) POINTS_ONE, share.den, &per) &&
			points_convert(sale->base, times, per, customer->buyer.program->decimals, customer->buyer.program->rounding, points);
	return !__builtin_mul_overflow((int128) sale->money, share.num, &times) &&
		!__builtin_mul_overflow((int128) rule->money_per, share.den, &per) &&
		points_convert(rule->points_per, times, per, customer->buyer.program->decimals, customer->buyer.program->rounding, points);
}

static Use *
find_use(Purse *purse, const Rule *rule)
{
	for (Use *use = purse->uses; use != NULL; use = use->next)
	{
		if (strcmp(use->rule, rule->name) == 0)
			return use;
	}
	return add_use(purse, rule->name, 0, 0);
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
		if (rule->max_day != NO_CAP)
			most = Min(most, rule->max_day - (*use)->day);
		if (rule->max_member != NO_CAP)
			most = Min(most, rule->max_member - (*use)->ever);
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

/* Add what a rule gives that suits the customer; false: out of range. */
static bool
earn_by_rule(const Rule *rule, const Customer *customer, const Sale *sale, const Basket *basket, Earning *earning)
{
	Share		share = {1, 1};
	bool		any = true;
	int128		of_rule;
	int128		least;
	Points		points;
	Use		   *use;

	if (rule_is_for_goods(rule) && !goods_share(rule, basket, sale->money, &any, &share))
		return false;
	if (__builtin_mul_overflow((int128) sale->money, share.num, &of_rule) ||
		__builtin_mul_overflow((int128) rule->min_amount, share.den, &least))
		return false;
	if (!any || of_rule < least)
		return true;
	if (!rule_points(rule, customer, sale, share, &points))
		return false;
	points = cap_points(rule, customer, points, &use);
	if (points > 0)
		earning->bonuses[earning->nbonuses++] = (Bonus) {rule->name, points, life_end(rule, customer), use};
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
		rank = rank_held_at(customer->buyer.program, customer->buyer.account, customer->granted, rules->now);
	if (rank != NULL && rank->multiplier != POINTS_ONE &&
		!points_convert(sale->base, rank->multiplier, POINTS_ONE, customer->buyer.program->decimals, customer->buyer.program->rounding, &earning->base))
		return ERR_BALANCE_OUT_OF_RANGE;
	earning->total = earning->base;
	earning->version = customer->buyer.version;
	for (int i = 0; customer->set != NULL && i < customer->set->nrules; i++)
	{
		const Rule *rule = &customer->set->rules[i];

		if (suits_customer(rule, customer, rank, rules->now) && !earn_by_rule(rule, customer, sale, &basket, earning))
			return ERR_BALANCE_OUT_OF_RANGE;
	}
	return ERR_NONE;
}

static void
add_gift(Rules *rules, const Gift *gift)
{
	if (rules->ngifts == rules->allocated)
	{
		rules->allocated = Max(16, 2 * rules->allocated);
		rules->gifts = rules->gifts == NULL ? palloc(rules->allocated * sizeof(Gift)) :
			repalloc_huge(rules->gifts, rules->allocated * sizeof(Gift));
	}
	rules->gifts[rules->ngifts++] = *gift;
}

/* The sale has been made, by the entry of this version: what it got counts for those after it. */
void
rules_keep(Rules *rules, int64 account_id, int64 member_id, int64 version, const Earning *earning)
{
	Customer   *customer = find_customer(rules, account_id, member_id);

	if (customer == NULL)
		return;
	customer->purse->has_bought = true;
	for (int i = 0; i < earning->nbonuses; i++)
	{
		Use		   *use = earning->bonuses[i].use;

		if (use == NULL)
			continue;
		use->changed = true;
		if (!points_add(use->day, earning->bonuses[i].points, &use->day))
			use->day = PG_INT64_MAX;
		if (!points_add(use->ever, earning->bonuses[i].points, &use->ever))
			use->ever = PG_INT64_MAX;
		add_gift(rules, &(Gift) {account_id, version, earning->bonuses[i].rule, customer->today, earning->bonuses[i].points, 0});
	}
}

/* ------------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------------ */

enum
{
	USE_ACCOUNT, USE_RULE, USE_DAY, USE_POINTS_DAY, USE_POINTS_EVER, USE_COLUMNS
};

/* The uses that have changed, as rows of columns, or only their number. */
static int
changed_uses(const Rules *rules, Datum *columns[USE_COLUMNS])
{
	int			n = 0;

	for (int i = 0; i < rules->ncustomers; i++)
	{
		const Customer *customer = &rules->customers[i];

		if (customer->purse->opened_by != customer)
			continue;
		for (const Use *use = customer->purse->uses; use != NULL; use = use->next)
		{
			if (!use->changed)
				continue;
			if (columns != NULL)
			{
				columns[USE_ACCOUNT][n] = Int64GetDatum(customer->buyer.account_id);
				columns[USE_RULE][n] = CStringGetTextDatum(use->rule);
				columns[USE_DAY][n] = DateADTGetDatum(customer->today);
				columns[USE_POINTS_DAY][n] = PointsGetDatum(use->day);
				columns[USE_POINTS_EVER][n] = PointsGetDatum(use->ever);
			}
			n++;
		}
	}
	return n;
}

/* One statement for the whole batch, under the locks of its accounts. */
void
rules_write(const Rules *rules)
{
	Oid			types[USE_COLUMNS] = {INT8OID, TEXTOID, DATEOID, plan_points_oid(), plan_points_oid()};
	Datum		values[1 + USE_COLUMNS] = {Int64GetDatum(rules->merchant_id)};
	Datum	   *columns[USE_COLUMNS];
	int			n = changed_uses(rules, NULL);

	if (n == 0)
		return;
	for (int c = 0; c < USE_COLUMNS; c++)
		columns[c] = palloc_extended(n * sizeof(Datum), MCXT_ALLOC_HUGE);
	changed_uses(rules, columns);
	for (int c = 0; c < USE_COLUMNS; c++)
		values[1 + c] = n == 1 ? columns[c][0] : array_datum(columns[c], n, types[c]);
	plan_write(n == 1 ? PLAN_RULE_USE_WRITE : PLAN_RULE_USES_WRITE, values, NULL);
	gifts_write(rules->merchant_id, rules->gifts, rules->ngifts);
}
