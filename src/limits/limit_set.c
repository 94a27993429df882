/*
 * limit_set.c
 *		The limits that a program sets, as a session knows them.
 *
 * A session reads all limits of a program once and keeps them with the program,
 * which has another revision whenever one of them is set.  Where a program has
 * very many limits, those that matter are read each time.
 */
#include "postgres.h"

#include "base/sort.h"
#include "catalog/pg_type.h"
#include "db/columns.h"
#include "db/statement.h"
#include "limits/limit_set.h"
#include "utils/builtins.h"

/* How many limits of a program a session caches. */
#define MAX_KEPT_RULES 1000

static const char *const scope_names[SCOPES] = {"program", "key", "branch", "staff", "member"};

/* What SQL calls a scope. */
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

/* By scope, way and subject. */
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

/* Read the newest result as limits, into a memory context. */
static LimitSet
read_limits(uint64 found, MemoryContext context)
{
	LimitSet	set = {.n = (int) found};

	set.rules = MemoryContextAlloc(context, Max(found, 1) * sizeof(LimitRule));
	for (uint64 row = 0; row < found; row++)
	{
		set.rules[row].scope = scope_parse(row_text(row, "scope"));
		set.rules[row].adds = row_bool(row, "adds");
		set.rules[row].subject_id = row_int64(row, "subject_id");
		set.rules[row].max.points = row_int64_or(row, "max_points", PG_INT64_MAX);
		set.rules[row].max.operations = row_int64_or(row, "max_operations", PG_INT64_MAX);
	}
	merge_sort(set.rules, set.n, sizeof(LimitRule), compare_limit_rules);
	return set;
}

/* The columns of a limit. */
#define LIMIT_SELECT \
	"SELECT scope, adds, subject_id, max_points, max_operations FROM loyalty_internal.posting_limit"

static Statement limits_find_sql = {
	.sql = LIMIT_SELECT " WHERE merchant_id = $1 AND program_id = $2 AND subject_id = ANY ($3)",
	.params = {INT8OID, INT8OID, INT8ARRAYOID}
};

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
	set = read_limits(db_write(&limits_find_sql, values, NULL), CurrentMemoryContext);
	set.is_whole = true;
	return set;
}

/* ------------------------------------------------------------------------
 * The limits of a program
 * ------------------------------------------------------------------------ */

static Statement limits_all_sql = {
	.sql = LIMIT_SELECT " WHERE merchant_id = $1 AND program_id = $2 LIMIT $3",
	.params = {INT8OID, INT8OID, INT8OID}
};

/* The limits of a program, read once while it is remembered; none if they are too many. */
const LimitSet *
limit_set_of(const Program *program)
{
	Datum		values[] = {
		Int64GetDatum(program->merchant_id),
		Int64GetDatum(program->program_id),
		Int64GetDatum(MAX_KEPT_RULES + 1),
	};
	ProgramParts *parts = program->parts;
	uint64		found;
	LimitSet   *set;

	if (parts->limits != NULL)
		return parts->limits;
	found = db_write(&limits_all_sql, values, NULL);
	set = MemoryContextAlloc(parts->context, sizeof(LimitSet));
	*set = read_limits(found <= MAX_KEPT_RULES ? found : 0, parts->context);
	set->is_whole = found <= MAX_KEPT_RULES;
	parts->limits = set;
	program_part_read(program);
	return set;
}

/* ------------------------------------------------------------------------
 * Looking up
 * ------------------------------------------------------------------------ */

/* The limit of a subject: its own, else the one for each of its scope. */
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

/* Whether a program limits anybody of this scope, this way. */
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
