/*
 * sql_role.c
 *		The roles that post in SQL.
 *
 * An entry has a number for who posted it.  That of a role is made of its name,
 * and is the same on every server: a dump takes names along, and no oids.  It is
 * negative, as no key_id is.  The name is written down once for each merchant,
 * since a role may be dropped.  It is the one that logged in: what SET ROLE says
 * anybody can say who may be several.
 */
#include "postgres.h"

#include "admin/sql_role.h"
#include "base/crypto.h"
#include "base/table.h"
#include "common/sha2.h"
#include "db/outcome.h"
#include "db/statement.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* The role of the session, as it was called when it was first asked for. */
static struct
{
	Oid			role;
	int64		id;
	NameData	name;
}			current = {.role = InvalidOid};

/* A name that this session has found, or written down. */
typedef struct KeptRole
{
	struct
	{
		int64		merchant_id;
		int64		id;
	}			key;
	bool		kept;
	FullTransactionId kept_in;
} KeptRole;

/* The number of the role that has logged in. */
int64
sql_role_id(void)
{
	Oid			role = GetSessionUserId();
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	uint64		number;

	if (role == current.role)
		return current.id;
	current.role = InvalidOid;
	namestrcpy(&current.name, GetUserNameFromId(role, false));
	sha256(NameStr(current.name), strlen(NameStr(current.name)), NULL, 0, digest);
	memcpy(&number, digest, sizeof(number));
	current.id = -(int64) ((pg_ntoh64(number) >> 1) | 1);
	current.role = role;
	return current.id;
}

static Statement role_insert_sql = {
	.sql = "INSERT INTO loyalty_internal.sql_role (merchant_id, actor_id, name)"
	" SELECT $1, $2, CASE WHEN loyalty_internal.is_line($3) THEN $3 ELSE regexp_replace($3, '[^ -~]', '?', 'g') END"
	" WHERE NOT EXISTS (SELECT FROM loyalty_internal.sql_role o WHERE o.merchant_id = $1 AND o.actor_id = $2)"
	" ON CONFLICT (merchant_id, actor_id) DO NOTHING",
	.params = {INT8OID, INT8OID, TEXTOID}
};

/* Write down the name of the role, before something is locked, unless that was done. */
void
sql_role_keep(int64 merchant_id)
{
	static HTAB *roles = NULL;
	static KeptRole *last = NULL;
	int64		id = sql_role_id();
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(id), 0};
	KeptRole	wanted = {.key = {merchant_id, id}};
	bool		found;

	if (last == NULL || memcmp(&last->key, &wanted.key, sizeof(wanted.key)) != 0)
	{
		if (roles == NULL)
			roles = table_create("loyalty roles", 16, sizeof(wanted.key), sizeof(KeptRole), TopMemoryContext);
		last = hash_search(roles, &wanted.key, HASH_ENTER, &found);
		if (!found)
			last->kept = false;
	}
	if (last->kept && outcome_is_good(&last->kept_in))
		return;
	last->kept = false;
	db_begin();
	values[2] = CStringGetTextDatum(NameStr(current.name));
	db_write(&role_insert_sql, values, NULL);
	db_end();
	last->kept_in = outcome_open();
	last->kept = true;
}
