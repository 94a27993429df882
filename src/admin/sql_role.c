/*
 * sql_role.c
 *		The roles that post in SQL.
 *
 * An entry has a number for who posted it.  That of a role is given to its name
 * when it first posts for a merchant, and is written down beside it there: nobody
 * can tell it from the name, so it names nobody once that was erased.  It is the
 * same wherever these rows are: a dump takes names along, and no oids.  It is
 * negative, as no key_id is.  The role is the one that logged in: what SET ROLE
 * says anybody can say who may be several.
 */
#include "postgres.h"

#include "admin/sql_role.h"
#include "base/table.h"
#include "catalog/namespace.h"
#include "db/outcome.h"
#include "db/statement.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* A number that this session has found, or given. */
typedef struct KeptRole
{
	struct
	{
		int64		merchant_id;
		int64		role;
	}			key;
	int64		id;				/* 0: none yet */
	FullTransactionId kept_in;
} KeptRole;

static HTAB *roles = NULL;

/* Of the role for which the session posts, or did so last. */
static KeptRole *current = NULL;

/* The table that they are in, and whether rows of it were deleted since. */
static Oid	role_table = InvalidOid;
static bool is_outdated = false;

/* Called by PostgreSQL, as the trigger of deleted rows has it; 0: of any table. */
static void
table_changed(Datum argument pg_attribute_unused(), Oid table)
{
	is_outdated |= table == InvalidOid || table == role_table;
}

static void
forget_all(void)
{
	static bool watches = false;

	if (!watches)
		CacheRegisterRelcacheCallback(table_changed, (Datum) 0);
	watches = true;
	current = NULL;
	if (roles != NULL)
		hash_destroy(roles);
	role_table = get_relname_relid("sql_role", get_namespace_oid("loyalty_internal", false));
	is_outdated = false;
	roles = table_create("loyalty roles", 16, sizeof(((KeptRole *) NULL)->key), sizeof(KeptRole), TopMemoryContext);
}

/* The number of the role that has logged in, for the merchant for which it was kept last. */
int64
sql_role_id(void)
{
	Assert(current != NULL && current->key.role == (int64) GetSessionUserId());
	return current->id;
}

static Statement find_sql = {
	.sql = "SELECT actor_id FROM loyalty_internal.sql_role WHERE merchant_id = $1 AND name = loyalty_internal.role_line($2)",
	.params = {INT8OID, TEXTOID}
};

static Statement insert_sql = {
	.sql = "INSERT INTO loyalty_internal.sql_role (merchant_id, actor_id, name) VALUES ($1, -loyalty_internal.new_id(), loyalty_internal.role_line($2))"
	" ON CONFLICT (merchant_id, name) DO NOTHING RETURNING actor_id",
	.params = {INT8OID, TEXTOID}
};

/* By its name as it is now; one that was dropped has none. */
static int64
read_or_give(int64 merchant_id)
{
	Datum		values[] = {Int64GetDatum(merchant_id), 0};
	int64		id;

	db_begin();
	values[1] = CStringGetTextDatum(GetUserNameFromId(GetSessionUserId(), false));
	while (db_write(&find_sql, values, NULL) == 0 && db_write(&insert_sql, values, NULL) == 0)
		CHECK_FOR_INTERRUPTS();
	id = row_int64(0, "actor_id");
	db_end();
	return id;
}

/* Find or give the role its number, before something is locked, unless that was done. */
void
sql_role_keep(int64 merchant_id)
{
	const KeptRole wanted = {.key = {merchant_id, (int64) GetSessionUserId()}};
	bool		found;

	/* messages come with locks, which a transaction may have had before */
	AcceptInvalidationMessages();
	if (roles == NULL || is_outdated)
		forget_all();
	if (current == NULL || memcmp(&current->key, &wanted.key, sizeof(wanted.key)) != 0)
	{
		current = hash_search(roles, &wanted.key, HASH_ENTER, &found);
		if (!found)
			current->id = 0;
	}
	if (current->id != 0 && outcome_is_good(&current->kept_in))
		return;
	current->id = 0;
	current->id = read_or_give(merchant_id);
	current->kept_in = outcome_open();
}
