/*
 * program.c
 *		Programs: their terms, as a session caches them.
 *
 * Every change of a program, of its ranks, rules or limits gives it another
 * revision, whoever makes the change: triggers see to that.  A session that
 * meets the revision that it has cached needs nothing else of the program.  A
 * revision is never used again: so what a transaction has read of its own
 * changes is not taken for what others see, if it fails.
 *
 * There are changes that come before their revision, or have none.  Triggers give
 * a revision when a statement has ended: what the same statement has read of its
 * ranks, rules or limits is kept only if its transaction commits.  And changes
 * that go past these triggers, because a subscriber applies them or whoever
 * makes them has switched the triggers off, tell each session to read everything
 * anew, by way of PostgreSQL's own messages that a table has changed.
 *
 * A transaction of one snapshot reads on what was before, also after it was told
 * of such a change: it forgets that when it ends.
 *
 * Triggers can be switched off, and pg_restore --disable-triggers leaves them on
 * for ordinary roles only.  That is a change of the table, too.  While one of them
 * is not as it was created, nothing is remembered beyond the operation.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "base/compat.h"
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "db/outcome.h"
#include "db/statement.h"
#include "program/program.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* How many programs a session caches; one more empties the cache. */
#define MAX_PROGRAMS 256

typedef struct CachedProgram
{
	int64		program_id;		/* hash key */
	Program    *program;
} CachedProgram;

static HTAB *programs = NULL;

/* The tables that what is cached was read from, and how many triggers tell of their changes. */
typedef struct WatchedTable
{
	const char *name;
	int			triggers;
} WatchedTable;

static const WatchedTable watched[] = {{"program", 3}, {"merchant", 2}, {"rank_range", 5}, {"rank_past", 5}, {"rule", 5}, {"posting_limit", 5}};
static Oid	tables[lengthof(watched)];

/* Whether one of them has changed in a way that has no revision, or may have done so unnoticed. */
static bool is_outdated = false;

/* Whether the transaction goes by one snapshot, and that may be older than such a change. */
static bool reads_old = false;

/* ------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------ */

static Shortfall
shortfall_parse(const char *name)
{
	if (strcmp(name, "partial") == 0)
		return SHORTFALL_PARTIAL;
	if (strcmp(name, "negative") == 0)
		return SHORTFALL_NEGATIVE;
	return SHORTFALL_REFUSE;
}

static void
read_messages(Program *program)
{
	bool		isnull;
	Datum		messages = row_datum(0, "messages", &isnull);
	Datum	   *texts;

	deconstruct_array(DatumGetArrayTypeP(messages), TEXTOID, -1, false, TYPALIGN_INT, &texts, NULL, &program->nmessages);
	program->messages = palloc(Max(program->nmessages, 1) * sizeof(char *));
	for (int i = 0; i < program->nmessages; i++)
		program->messages[i] = TextDatumGetCString(texts[i]);
}

static void
read_conversion(Program *program)
{
	program->decimals = (int) row_int64(0, "decimals");
	if (!rounding_parse(row_text(0, "rounding"), &program->rounding))
		elog(ERROR, "unknown rounding of program " INT64_FORMAT, program->program_id);
	program->accumulation_points = row_int64(0, "accumulation_points");
	program->accumulation_money = row_int64(0, "accumulation_money");
	program->redemption_points = row_int64(0, "redemption_points");
	program->redemption_money = row_int64(0, "redemption_money");
	program->currency_iso = row_text(0, "currency_iso");
	program->currency_change = row_int64(0, "currency_change");
	program->currency_active = row_bool(0, "currency_active");
	program->unit_base = row_bool(0, "unit_base");
	program->earn_on_points = row_bool(0, "earn_on_points");
}

static void
read_terms(Program *program)
{
	program->time_zone = row_text(0, "time_zone");
	program->expiry = row_text(0, "expiry");
	program->duration_value = (int) row_int64(0, "duration_value");
	program->duration_unit = row_text(0, "duration_unit");
	program->expiry_date = (DateADT) row_int64_or(0, "expiry_date", 0);
	program->pending_days = (int) row_int64(0, "pending_days");
	program->reinstatement_days = (int) row_int64(0, "reinstatement_days");
	program->shortfall = shortfall_parse(row_text(0, "shortfall"));
	program->range_group = row_text(0, "range_group");
	program->rank_window_value = (int) row_int64(0, "rank_window_value");
	program->rank_window_unit = row_text(0, "rank_window_unit");
	program->rank_grace_days = (int) row_int64(0, "rank_grace_days");
	program->ranked_at = row_int64_or(0, "ranked_at", DT_NOBEGIN);
	program->rules = (int) row_int64(0, "rules");
	program->has_limits = row_bool(0, "has_limits");
	program->has_row_limit = row_bool(0, "has_row_limit");
}

/* The newest result as a program, in a memory context of its own, which lasts. */
static Program *
read_program(int64 merchant_id)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "loyalty program", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Program    *program = palloc0(sizeof(Program));

	program->parts = palloc0(sizeof(ProgramParts));
	program->parts->context = context;
	program->merchant_id = merchant_id;
	program->program_id = row_int64(0, "program_id");
	program->revision = row_int64(0, "revision");
	program->name = row_text(0, "name");
	program->active = row_bool(0, "active");
	program->tracks_lots = row_bool(0, "tracks_lots");
	program->requires_ticket = row_bool(0, "requires_ticket");
	program->requires_birth_date = row_bool(0, "requires_birth_date");
	program->channel = row_text(0, "channel");
	read_messages(program);
	read_conversion(program);
	read_terms(program);
	MemoryContextSwitchTo(caller);
	MemoryContextSetParent(context, CacheMemoryContext);
	return program;
}

/* ------------------------------------------------------------------------
 * The cache
 * ------------------------------------------------------------------------ */

/* Drop a program from the cache; who has it already may use it until the operation ends. */
static void
forget(CachedProgram *cached)
{
	if (cached->program != NULL)
		MemoryContextSetParent(cached->program->parts->context, db_operation_context());
	cached->program = NULL;
}

static void
forget_all(void)
{
	HASH_SEQ_STATUS all;
	CachedProgram *cached;

	hash_seq_init(&all, programs);
	while ((cached = hash_seq_search(&all)) != NULL)
		forget(cached);
	hash_destroy(programs);
	programs = NULL;
}

/* Called by PostgreSQL whenever a table was changed in its definition or storage, or is said to have been; 0: perhaps any was. */
static void
table_changed(Datum argument pg_attribute_unused(), Oid table)
{
	bool		is_watched = table == InvalidOid;

	for (int i = 0; i < (int) lengthof(tables); i++)
		is_watched |= table == tables[i];
	is_outdated |= is_watched;
	reads_old |= is_watched && IsTransactionState() && IsolationUsesXactSnapshot();
}

/* What such a transaction has read since is not remembered beyond it: nothing else tells that it is out of date. */
static void
transaction_ended(XactEvent event pg_attribute_unused(), void *arg pg_attribute_unused())
{
	is_outdated |= reads_old;
	reads_old = false;
}

/* Whether all the triggers that tell of changes of a table, which are the extension's, are enabled always. */
static bool
tells_of_changes(Oid table, Oid schema, int triggers)
{
	Relation	relation = try_relation_open(table, AccessShareLock);
	int			enabled = 0;

	if (relation == NULL)
		return false;
	for (int i = 0; relation->trigdesc != NULL && i < relation->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &relation->trigdesc->triggers[i];

		enabled += trigger->tgenabled == TRIGGER_FIRES_ALWAYS && get_func_namespace(trigger->tgfoid) == schema;
	}
	relation_close(relation, AccessShareLock);
	return enabled == triggers;
}

/* Watch the tables from now on; the name of one that changes unnoticed, or NULL. */
static const char *
watch_tables(void)
{
	static bool watches = false;
	Oid			schema = get_namespace_oid("loyalty_internal", false);
	const char *unwatched = NULL;

	for (int i = 0; i < (int) lengthof(tables); i++)
		tables[i] = get_relname_relid(watched[i].name, schema);
	if (!watches)
	{
		CacheRegisterRelcacheCallback(table_changed, (Datum) 0);
		RegisterXactCallback(transaction_ended, NULL);
		/* it may have been told before */
		reads_old = IsolationUsesXactSnapshot();
	}
	watches = true;
	is_outdated = false;
	for (int i = 0; i < (int) lengthof(tables) && unwatched == NULL; i++)
	{
		if (!tells_of_changes(tables[i], schema, watched[i].triggers))
			unwatched = watched[i].name;
	}
	return unwatched;
}

static void
operation_ended(void *arg pg_attribute_unused())
{
	is_outdated = true;
}

/* An operation has one and the same program, though the next one reads it anew. */
static void
forget_after_operation(void)
{
	MemoryContext operation = db_operation_context();
	MemoryContextCallback *ended = MemoryContextAlloc(operation, sizeof(MemoryContextCallback));

	ended->func = operation_ended;
	MemoryContextRegisterResetCallback(operation, ended);
}

/* Messages come with locks, which a transaction may have had before. */
static void
forget_outdated(void)
{
	AcceptInvalidationMessages();
	if (is_outdated && programs != NULL)
		forget_all();
	is_outdated = false;
}

/* Note that a part of a program was read, as far as it is to be remembered with it. */
void
program_part_read(const Program *program)
{
	FullTransactionId transaction = outcome_open();

	if (FullTransactionIdIsValid(transaction))
		program->parts->read_in = transaction;
}

static CachedProgram *
cached_program(int64 program_id)
{
	HASHCTL		control = {.keysize = sizeof(int64),.entrysize = sizeof(CachedProgram),.hcxt = CacheMemoryContext};
	CachedProgram *cached;
	bool		found;

	if (programs != NULL && hash_get_num_entries(programs) >= MAX_PROGRAMS &&
		hash_search(programs, &program_id, HASH_FIND, NULL) == NULL)
		forget_all();
	if (programs == NULL && watch_tables() != NULL)
		forget_after_operation();
	if (programs == NULL)
		programs = hash_create("loyalty programs", MAX_PROGRAMS, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	cached = hash_search(programs, &program_id, HASH_ENTER, &found);
	if (!found)
		cached->program = NULL;
	return cached;
}

static bool
is_good(CachedProgram *cached, int64 merchant_id)
{
	return cached->program != NULL && cached->program->merchant_id == merchant_id && outcome_is_good(&cached->program->parts->read_in);
}

static Statement program_sql = {
	.sql = "SELECT program_id, revision, name, active AND unit_active AS active, tracks_lots, requires_ticket, requires_birth_date,"
	" channel, messages, decimals, rounding, accumulation_points, accumulation_money, redemption_points, redemption_money,"
	" currency_iso, currency_change, currency_active, unit_base, earn_on_points, time_zone, expiry, duration_value,"
	" duration_unit, expiry_date, pending_days, reinstatement_days, shortfall, range_group, rank_window_value,"
	" rank_window_unit, rank_grace_days, ranked_at, rules, has_limits,"
	" (SELECT max_rows IS NOT NULL FROM loyalty_internal.merchant WHERE merchant_id = $1) AS has_row_limit"
	" FROM loyalty_internal.program WHERE merchant_id = $1 AND program_id = $2",
	.params = {INT8OID, INT8OID}
};

/* The program of the newest result, which has its id and its revision. */
static const Program *
program_of_revision(int64 merchant_id)
{
	int64		program_id = row_int64(0, "program_id");
	int64		revision = row_int64(0, "revision");
	CachedProgram *cached;
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(program_id)};

	forget_outdated();
	cached = cached_program(program_id);
	if (is_good(cached, merchant_id) && cached->program->revision == revision)
		return cached->program;
	forget(cached);
	if (db_write(&program_sql, values, NULL) == 0)
		return NULL;
	cached->program = read_program(merchant_id);
	return cached->program;
}

/* ------------------------------------------------------------------------
 * Finding
 * ------------------------------------------------------------------------ */

#define PROGRAM_BY(column) "SELECT program_id, revision FROM loyalty_internal.program WHERE merchant_id = $1 AND " column " = "

static Statement by_id_sql = {
	.sql = PROGRAM_BY("program_id") "$2",
	.params = {INT8OID, INT8OID},
	.by_key = true
};

static Statement by_wallet_key_sql = {
	.sql = PROGRAM_BY("wallet_key") "$2",
	.params = {INT8OID, TEXTOID},
	.by_key = true
};

static Statement by_client_id_sql = {
	.sql = PROGRAM_BY("client_id") "$2",
	.params = {INT8OID, TEXTOID},
	.by_key = true
};

static Statement by_account_sql = {
	.sql = PROGRAM_BY("program_id")
	"(SELECT a.program_id FROM loyalty_internal.account a WHERE a.merchant_id = $1 AND a.account_id = $2)",
	.params = {INT8OID, INT8OID}
};

static const Program *
lookup(uint64 (*run) (Statement *statement, Datum *values, const char *nulls), Statement *statement, int64 merchant_id, Datum key)
{
	Datum		values[] = {Int64GetDatum(merchant_id), key};

	return run(statement, values, NULL) > 0 ? program_of_revision(merchant_id) : NULL;
}

/* The program as the session has it in its cache, which may be out of date; NULL: it has not. */
const Program *
program_remembered(int64 merchant_id, int64 program_id)
{
	CachedProgram *cached;

	forget_outdated();
	cached = programs == NULL ? NULL : hash_search(programs, &program_id, HASH_FIND, NULL);
	return cached != NULL && is_good(cached, merchant_id) ? cached->program : NULL;
}

/* As it is now, whatever the operation's snapshot shows: the engine posts on the newest balance too. */
const Program *
program_find(int64 merchant_id, int64 program_id)
{
	return lookup(db_write, &by_id_sql, merchant_id, Int64GetDatum(program_id));
}

/* The program that the wallet API knows by this key. */
const Program *
program_of_wallet_key(int64 merchant_id, const char *wallet_key)
{
	return lookup(db_read, &by_wallet_key_sql, merchant_id, CStringGetTextDatum(wallet_key));
}

/* The program that the seller API knows by this id. */
const Program *
program_of_client_id(int64 merchant_id, const char *client_id)
{
	return lookup(db_read, &by_client_id_sql, merchant_id, CStringGetTextDatum(client_id));
}

/* The program that an account is of. */
const Program *
program_of_account(int64 merchant_id, int64 account_id)
{
	return lookup(db_read, &by_account_sql, merchant_id, Int64GetDatum(account_id));
}

/* ------------------------------------------------------------------------
 * What a program says
 * ------------------------------------------------------------------------ */

/* Whether this kind of operation sends the member a message. */
bool
program_sends(const Program *program, const char *message_kind)
{
	for (int i = 0; i < program->nmessages; i++)
	{
		if (strcmp(program->messages[i], message_kind) == 0)
			return true;
	}
	return false;
}

/* The points that money in the program's currency earns. */
bool
program_accumulate(const Program *program, Points money, Points *points)
{
	return points_convert(money,
						  (int128) program->accumulation_points * program->currency_change,
						  (int128) program->accumulation_money * POINTS_ONE,
						  program->decimals, program->rounding, points);
}

/* What points are worth when they are redeemed, in the program's currency. */
bool
program_worth(const Program *program, Points points, Points *money)
{
	return points_convert(points,
						  (int128) program->redemption_money * POINTS_ONE,
						  (int128) program->redemption_points * program->currency_change,
						  POINTS_DECIMALS, program->rounding, money);
}

/*
 * Whether money, in the program's currency, is what points are worth, within a
 * cent.  Both sides are multiplied out, so nothing is rounded.
 */
bool
program_redeems_for(const Program *program, Points points, Points money)
{
	const int64 cent = POINTS_ONE / 100;
	int128		per = (int128) program->redemption_points * program->currency_change;
	int128		worth;
	int128		offered;
	int128		tolerance;

	if (__builtin_mul_overflow((int128) points * program->redemption_money, (int128) POINTS_ONE, &worth) ||
		__builtin_mul_overflow((int128) money, per, &offered) ||
		__builtin_mul_overflow((int128) cent, per, &tolerance))
		return false;
	return worth - offered <= tolerance && offered - worth <= tolerance;
}

static Statement wallet_link_sql = {
	.sql = "SELECT app_client FROM loyalty.wallets WHERE merchant_id = $1 AND program_id = $2",
	.params = {INT8OID, INT8OID}
};

/* Where the wallet's members look at their points. */
char *
wallet_link(const Program *wallet)
{
	Datum		values[] = {Int64GetDatum(wallet->merchant_id), Int64GetDatum(wallet->program_id)};

	if (db_read(&wallet_link_sql, values, NULL) == 0)
		elog(ERROR, "wallet " INT64_FORMAT " is gone", wallet->program_id);
	return row_text(0, "app_client");
}

/* ------------------------------------------------------------------------
 * Changes that have no revision
 * ------------------------------------------------------------------------ */

PG_FUNCTION_INFO_V1(loyalty_forget_programs);

/*
 * Triggers of what is cached: each session that has cached anything reads it anew
 * when the transaction is committed, this one at once.  Those for each row are for
 * what is changed past the triggers of others.
 */
Datum
loyalty_forget_programs(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("forget_programs is a trigger")));
	if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA || TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event))
		CacheInvalidateRelcache(trigger->tg_relation);
	PG_RETURN_POINTER(NULL);
}

PG_FUNCTION_INFO_V1(loyalty_unwatched_table);

/* A table that changes unnoticed, or NULL. */
Datum
loyalty_unwatched_table(PG_FUNCTION_ARGS)
{
	bool		was_outdated = is_outdated;
	const char *unwatched = watch_tables();

	is_outdated |= was_outdated || unwatched != NULL;
	if (unwatched == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(unwatched));
}
