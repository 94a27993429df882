/*
 * limit_set.c
 *		The limits that a program sets, as a session knows them.
 *
 * A program's revision of limits is another one, never used before, whenever
 * one of them is set.  So a session reads all limits of a program once and
 * keeps them until it meets another revision; also when a transaction that set
 * one has failed, whose revision nobody meets again.  A program with very many
 * limits is asked anew each time, for those that matter.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "db/columns.h"
#include "db/statement.h"
#include "limits/limit_set.h"
#include "program/program_cache.h"
#include "utils/builtins.h"

/* So many limits of a program a session remembers. */
#define MAX_KEPT_RULES 1000

static const char *const scope_names[SCOPES] = {"staff", "branch", "member"};

const char *
scope_name(Scope scope)
{
	return scope_names[scope];
}

static Scope
scope_parse(const char *name)
{
	for (int scope = 0; scope < SCOPES; scope++)
	{
		if (strcmp(scope_names[scope], name) == 0)
			return (Scope) scope;
	}
	elog(ERROR, "unknown scope \"%s\" of a limit", name);
}

int
compare_limit_rules(const void *a, const void *b)
{
	const LimitRule *left = a;
	const LimitRule *right = b;

	if (left->scope != right->scope)
		return (int) left->scope - (int) right->scope;
	if (left->adds != right->adds)
		return (int) left->adds - (int) right->adds;
	return (left->subject_id > right->subject_id) - (left->subject_id < right->subject_id);
}

/* ------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------ */

/* The newest result as rules, which go into the given memory context. */
static LimitSet
read_rules(uint64 found, MemoryContext context)
{
	LimitSet	set = {.n = (int) found};

	set.rules = MemoryContextAlloc(context, Max(found, 1) * sizeof(LimitRule));
	for (uint64 row = 0; row < found; row++)
	{
		set.rules[row].scope = scope_parse(plan_text(row, 0));
		set.rules[row].adds = plan_bool(row, 1);
		set.rules[row].subject_id = plan_int64(row, 2);
		set.rules[row].max.points = plan_int64_or(row, 3, PG_INT64_MAX);
		set.rules[row].max.operations = plan_int64_or(row, 4, PG_INT64_MAX);
	}
	qsort(set.rules, set.n, sizeof(LimitRule), compare_limit_rules);
	return set;
}

/* The limits on these subjects as they are now, and those on each of them. */
LimitSet
limit_set_read(int64 merchant_id, int64 program_id, Datum *subjects, int n)
{
	Datum	   *ids = palloc_extended((n + 1) * sizeof(Datum), MCXT_ALLOC_HUGE);
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(program_id), 0};
	LimitSet	set;

	memcpy(ids, subjects, n * sizeof(Datum));
	ids[n] = Int64GetDatum(0);
	values[2] = array_datum(ids, n + 1, INT8OID);
	set = read_rules(plan_write(PLAN_LIMITS_FIND, values, NULL), CurrentMemoryContext);
	set.is_whole = true;
	return set;
}

/* ------------------------------------------------------------------------
 * Known sets
 * ------------------------------------------------------------------------ */

typedef struct KnownSet
{
	int64		program_id;
	int64		merchant_id;
	int64		revision;
	bool		is_read;
	LimitSet	set;
} KnownSet;

static Known known_sets = {.name = "limits",.entry_size = sizeof(KnownSet)};

/* The limits of a program, until the next call; none if they are too many. */
const LimitSet *
limit_set_of(const ProgramTerms *program)
{
	Datum		values[] = {
		Int64GetDatum(program->merchant_id),
		Int64GetDatum(program->program_id),
		Int64GetDatum(MAX_KEPT_RULES + 1),
	};
	KnownSet   *known = known_entry(&known_sets, program->program_id);
	uint64		found;
	bool		is_whole;

	if (known->is_read && known->merchant_id == program->merchant_id && known->revision == program->limits_revision)
		return &known->set;
	known->is_read = false;
	if (known->set.rules != NULL)
		pfree(known->set.rules);
	known->set.rules = NULL;
	found = plan_write(PLAN_LIMITS_ALL, values, NULL);
	is_whole = found <= MAX_KEPT_RULES;
	known->set = read_rules(is_whole ? found : 0, known_sets.context);
	known->set.is_whole = is_whole;
	known->merchant_id = program->merchant_id;
	known->revision = program->limits_revision;
	known->is_read = true;
	return &known->set;
}

/* ------------------------------------------------------------------------
 * Looking up
 * ------------------------------------------------------------------------ */

/* A subject's own limit goes before the one of each of them. */
const LimitRule *
limit_rule_for(const LimitSet *set, Scope scope, bool adds, int64 subject_id)
{
	LimitRule	key = {.scope = scope,.adds = adds,.subject_id = subject_id};
	const LimitRule *rule = bsearch(&key, set->rules, set->n, sizeof(LimitRule), compare_limit_rules);

	if (rule != NULL)
		return rule;
	key.subject_id = 0;
	return bsearch(&key, set->rules, set->n, sizeof(LimitRule), compare_limit_rules);
}

bool
limit_set_has(const LimitSet *set, Scope scope, bool adds)
{
	for (int i = 0; i < set->n; i++)
	{
		if (set->rules[i].scope == scope && set->rules[i].adds == adds)
			return true;
	}
	return false;
}
