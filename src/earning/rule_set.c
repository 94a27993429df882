/*
 * rule_set.c
 *		Published sets of earning rules, as a session knows them.
 *
 * The current set of a program is kept with it, which has another revision
 * whenever rules are published.  An older set, which only simulate() asks for,
 * is read each time.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "db/statement.h"
#include "earning/rule_set.h"
#include "utils/array.h"
#include "utils/builtins.h"

static Words
read_words(Datum value, bool isnull)
{
	Words		words = {NULL, 0};
	Datum	   *texts;

	if (isnull)
		return words;
	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT, &texts, NULL, &words.n);
	words.words = palloc(words.n * sizeof(char *));
	for (int i = 0; i < words.n; i++)
		words.words[i] = TextDatumGetCString(texts[i]);
	return words;
}

static int
compare_words(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Whether a word is among those of a condition; without words there is no condition. */
bool
words_allow(const Words *words, const char *word)
{
	if (words->words == NULL)
		return true;
	return word != NULL && bsearch(&word, words->words, words->n, sizeof(char *), compare_words) != NULL;
}

/* The days of the week of a rule as bits, all of them if none are named. */
static int
read_days(Datum value, bool isnull)
{
	Datum	   *days;
	int			n;
	int			bits = 0;

	if (isnull)
		return ~0;
	deconstruct_array(DatumGetArrayTypeP(value), INT4OID, sizeof(int32), true, TYPALIGN_INT, &days, NULL, &n);
	for (int i = 0; i < n; i++)
		bits |= 1 << DatumGetInt32(days[i]);
	return bits;
}

static void
read_rule(uint64 row, Rule *rule)
{
	bool		isnull;
	Datum		value;

	rule->name = row_text(row, "name");
	rule->ordinal = (int) row_int64(row, "ordinal");
	value = row_datum(row, "skus", &isnull);
	rule->skus = read_words(value, isnull);
	value = row_datum(row, "categories", &isnull);
	rule->categories = read_words(value, isnull);
	value = row_datum(row, "ranks", &isnull);
	rule->ranks = read_words(value, isnull);
	rule->valid_from = row_int64_or(row, "valid_from", DT_NOBEGIN);
	rule->valid_until = row_int64_or(row, "valid_until", DT_NOEND);
	value = row_datum(row, "days", &isnull);
	rule->days = read_days(value, isnull);
	rule->from_time = row_int64_or(row, "from_time", 0);
	rule->until_time = row_int64_or(row, "until_time", USECS_PER_DAY);
	rule->min_amount = row_int64_or(row, "min_amount", 0);
	rule->birthday_days = (int) row_int64_or(row, "birthday_days", -1);
	rule->first_purchase = row_bool(row, "first_purchase");
	rule->points_per = row_int64_or(row, "points_per", 0);
	rule->money_per = row_int64_or(row, "money_per", 0);
	rule->multiplier = row_int64_or(row, "multiplier", 0);
	rule->points = row_int64_or(row, "points", 0);
	value = row_datum(row, "life", &isnull);
	if (!isnull)
		rule->life = *DatumGetIntervalP(value);
	rule->max_ticket = row_int64_or(row, "max_ticket", NO_CAP);
	rule->max[CAP_DAY] = row_int64_or(row, "max_day", NO_CAP);
	rule->max[CAP_WEEK] = row_int64_or(row, "max_week", NO_CAP);
	rule->max[CAP_MONTH] = row_int64_or(row, "max_month", NO_CAP);
	rule->max[CAP_YEAR] = row_int64_or(row, "max_year", NO_CAP);
	rule->max[CAP_EVER] = row_int64_or(row, "max_member", NO_CAP);
}

/* Whether the rule is for some goods only. */
bool
rule_is_for_goods(const Rule *rule)
{
	return rule->skus.words != NULL || rule->categories.words != NULL;
}

/* Whether what the rule has given counts beyond the sale. */
bool
rule_is_capped(const Rule *rule)
{
	for (int period = 0; period < CAP_PERIODS; period++)
	{
		if (rule->max[period] != NO_CAP)
			return true;
	}
	return false;
}

static Statement rules_sql = {
	.sql = "SELECT name, ordinal, skus, categories, ranks, valid_from, valid_until, days, from_time, until_time, min_amount,"
	" birthday_days, first_purchase, points_per, money_per, multiplier, points,"
	" expires_value * ('1 ' || expires_unit)::interval AS life, max_ticket, max_day, max_week, max_month, max_year, max_member FROM loyalty_internal.rule"
	" WHERE merchant_id = $1 AND program_id = $2 AND version = $3 ORDER BY ordinal",
	.params = {INT8OID, INT8OID, INT4OID}
};

/* Read a set into a memory context. */
static RuleSet *
read_set(const Program *program, int version, MemoryContext context)
{
	Datum		values[] = {Int64GetDatum(program->merchant_id), Int64GetDatum(program->program_id), Int32GetDatum(version)};

	/* SPI leaves its own context behind, so the switch comes after it */
	int			n = (int) db_write(&rules_sql, values, NULL);
	MemoryContext caller = MemoryContextSwitchTo(context);
	RuleSet    *set = palloc0(sizeof(RuleSet));

	set->version = version;
	set->nrules = n;
	set->rules = palloc0(Max(n, 1) * sizeof(Rule));
	for (int i = 0; i < n; i++)
	{
		Rule	   *rule = &set->rules[i];

		read_rule(i, rule);
		set->asks_rank |= rule->ranks.words != NULL;
		set->asks_birthday |= rule->birthday_days >= 0;
		set->has_caps |= rule_is_capped(rule);
		set->is_for_goods |= rule_is_for_goods(rule);
	}
	MemoryContextSwitchTo(caller);
	return set;
}

/*
 * A published set of rules of a program.  The current one is read once while
 * the program is remembered.
 */
const RuleSet *
rule_set_of(const Program *program, int version)
{
	ProgramParts *parts = program->parts;

	if (version != program->rules)
		return read_set(program, version, CurrentMemoryContext);
	if (parts->rules == NULL)
	{
		parts->rules = read_set(program, version, parts->context);
		program_part_read(program);
	}
	return parts->rules;
}
