/*
 * rule_set.c
 *		Published sets of earning rules, as a session knows them.
 *
 * A set never changes once it is published, so a session reads each that it
 * meets once and keeps it.  Its version alone does not tell it: a transaction
 * that published it may have failed, and another has used the number since.
 * The moment of publication does.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "db/statement.h"
#include "earning/rule_set.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

/* So many programs a session knows the rules of; with one more it forgets all. */
#define MAX_KNOWN_SETS 64

static Words
read_words(uint64 row, int column)
{
	Words		words = {NULL, 0};
	bool		isnull;
	Datum		value = plan_datum(row, column, &isnull);
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

/* Without words there is no condition; with some, no word is not among them. */
bool
words_allow(const Words *words, const char *word)
{
	if (words->words == NULL)
		return true;
	return word != NULL && bsearch(&word, words->words, words->n, sizeof(char *), compare_words) != NULL;
}

/* Bits for the days of the week, all of them if none are named. */
static int
read_days(uint64 row, int column)
{
	bool		isnull;
	Datum		value = plan_datum(row, column, &isnull);
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
	Datum		life = plan_datum(row, 16, &isnull);

	rule->name = plan_text(row, 0);
	rule->skus = read_words(row, 1);
	rule->categories = read_words(row, 2);
	rule->ranks = read_words(row, 3);
	rule->valid_from = plan_int64_or(row, 4, DT_NOBEGIN);
	rule->valid_until = plan_int64_or(row, 5, DT_NOEND);
	rule->days = read_days(row, 6);
	rule->from_time = plan_int64_or(row, 7, 0);
	rule->until_time = plan_int64_or(row, 8, USECS_PER_DAY);
	rule->min_amount = plan_int64_or(row, 9, 0);
	rule->birthday_days = (int) plan_int64_or(row, 10, -1);
	rule->first_purchase = plan_bool(row, 11);
	rule->points_per = plan_int64_or(row, 12, 0);
	rule->money_per = plan_int64_or(row, 13, 0);
	rule->multiplier = plan_int64_or(row, 14, 0);
	rule->points = plan_int64_or(row, 15, 0);
	if (!isnull)
		rule->life = *DatumGetIntervalP(life);
	rule->max_ticket = plan_int64_or(row, 17, NO_CAP);
	for (int period = 0; period < CAP_PERIODS; period++)
		rule->max[period] = plan_int64_or(row, 18 + period, NO_CAP);
}

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

/* Read a set into a memory context of its own, which lasts. */
static void
read_set(int64 merchant_id, const Buyer *buyer, RuleSet *set)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(buyer->program->program_id), Int32GetDatum(buyer->version)};
	RuleSet		read = {.program_id = buyer->program->program_id,.published_at = buyer->published_at,.version = buyer->version};
	MemoryContext caller;

	/* SPI leaves its own context behind, so the switch comes after it */
	read.nrules = (int) plan_write(PLAN_RULES, values, NULL);
	read.context = AllocSetContextCreate(CurrentMemoryContext, "earning rules", ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(read.context);
	read.rules = palloc0(Max(read.nrules, 1) * sizeof(Rule));
	for (int i = 0; i < read.nrules; i++)
	{
		read_rule(i, &read.rules[i]);
		read.asks_first |= read.rules[i].first_purchase;
		read.asks_rank |= read.rules[i].ranks.words != NULL;
		read.asks_birthday |= read.rules[i].birthday_days >= 0;
		read.has_caps |= rule_is_capped(&read.rules[i]);
		read.is_for_goods |= rule_is_for_goods(&read.rules[i]);
	}
	MemoryContextSwitchTo(caller);
	if (set->context != NULL)
		MemoryContextDelete(set->context);
	*set = read;
	MemoryContextSetParent(read.context, CacheMemoryContext);
}

static HTAB *known_sets = NULL;

/* Called when a batch begins: no set is in use. */
void
rule_sets_start(void)
{
	HASHCTL		control = {.keysize = sizeof(int64),.entrysize = sizeof(RuleSet),.hcxt = CacheMemoryContext};
	HASH_SEQ_STATUS scan;
	RuleSet    *set;

	if (known_sets != NULL && hash_get_num_entries(known_sets) < MAX_KNOWN_SETS)
		return;
	if (known_sets != NULL)
	{
		hash_seq_init(&scan, known_sets);
		while ((set = hash_seq_search(&scan)) != NULL)
		{
			if (set->context != NULL)
				MemoryContextDelete(set->context);
		}
		hash_destroy(known_sets);
		known_sets = NULL;
	}
	known_sets = hash_create("earning rules", MAX_KNOWN_SETS, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* The rules of a buyer's program; NULL: none. */
const RuleSet *
rule_set_find(int64 merchant_id, const Buyer *buyer)
{
	RuleSet    *set;
	bool		found;

	if (buyer->version == 0)
		return NULL;
	set = hash_search(known_sets, &buyer->program->program_id, HASH_ENTER, &found);
	if (!found)
		set->context = NULL;
	if (!found || set->context == NULL || set->version != buyer->version || set->published_at != buyer->published_at)
		read_set(merchant_id, buyer, set);
	return set;
}
