/*
 * chain.c
 *		The hash chain over the entries of an account.
 *
 * An entry's hash is the SHA-256 of the hash of the entry before it (nothing,
 * for the first), of its version, balance and time, and of its content, which
 * is everything else.  The content comes last because it is known before the
 * rest is: one statement can then write the balance and compute the hash.
 *
 * Integers are written with the high byte first, texts after their length.
 * Two different entries never have the same bytes: which columns are NULL is
 * written too.
 */
#include "postgres.h"

#include "chain.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "utils/timestamp.h"

/* The bits of the mask that says which columns are there. */
enum
{
	HAS_STAFF = 1 << 0,
	HAS_MONEY = 1 << 1,
	HAS_ASIDE = 1 << 2,
	HAS_ORIGIN = 1 << 3,
	HAS_PEER = 1 << 4,
	HAS_MEMBER = 1 << 5,
	HAS_RULES = 1 << 6,
	HAS_REFERENCE = 1 << 7,
	HAS_DETAIL = 1 << 8,
	HAS_LOTS = 1 << 9
};

static uint16
columns_there(const Entry *entry)
{
	return (entry->staff_id != 0 ? HAS_STAFF : 0) |
		(entry->has_money ? HAS_MONEY : 0) |
		(entry->aside != 0 ? HAS_ASIDE : 0) |
		(entry->origin != 0 ? HAS_ORIGIN : 0) |
		(entry->peer_id != 0 ? HAS_PEER : 0) |
		(entry->member_id != 0 ? HAS_MEMBER : 0) |
		(entry->rules != 0 ? HAS_RULES : 0) |
		(entry->reference != NULL ? HAS_REFERENCE : 0) |
		(entry->detail != NULL ? HAS_DETAIL : 0) |
		(entry->lots != (Datum) 0 ? HAS_LOTS : 0);
}

static void
add_if(StringInfo content, bool there, int64 value)
{
	if (there)
		pq_sendint64(content, value);
}

static void
add_varlena(StringInfo content, struct varlena *value)
{
	struct varlena *plain;

	if (value == NULL)
		return;
	plain = pg_detoast_datum_packed(value);
	pq_sendint32(content, VARSIZE_ANY_EXHDR(plain));
	appendBinaryStringInfoNT(content, VARDATA_ANY(plain), VARSIZE_ANY_EXHDR(plain));
}

static void
add_content(StringInfo content, int64 merchant_id, const Entry *entry)
{
	pq_sendint64(content, merchant_id);
	pq_sendint64(content, entry->account_id);
	pq_sendint64(content, entry->amount);
	pq_sendint16(content, entry->kind);
	pq_sendint16(content, columns_there(entry));
	add_if(content, entry->staff_id != 0, entry->staff_id);
	add_if(content, entry->has_money, entry->money);
	add_if(content, entry->aside != 0, entry->aside);
	add_if(content, entry->origin != 0, entry->origin);
	add_if(content, entry->peer_id != 0, entry->peer_id);
	add_if(content, entry->member_id != 0, entry->member_id);
	add_if(content, entry->rules != 0, entry->rules);
	add_varlena(content, (struct varlena *) entry->reference);
	add_varlena(content, (struct varlena *) entry->detail);
	add_varlena(content, (struct varlena *) DatumGetPointer(entry->lots));
}

/* All of an entry but its version, balance and time. */
bytea *
chain_content(int64 merchant_id, const Entry *entry)
{
	StringInfoData content;

	initStringInfo(&content);
	appendStringInfoSpaces(&content, VARHDRSZ);
	add_content(&content, merchant_id, entry);
	SET_VARSIZE(content.data, content.len);
	return (bytea *) content.data;
}

/* The bytes before the content. */
static void
add_state(StringInfo bytes, const bytea *previous, int64 version, Points balance, TimestampTz posted_at)
{
	appendBinaryStringInfoNT(bytes, VARDATA_ANY(previous), VARSIZE_ANY_EXHDR(previous));
	pq_sendint64(bytes, version);
	pq_sendint64(bytes, balance);
	pq_sendint64(bytes, posted_at);
}

/* A context and a buffer are used again for each entry: making them costs as much as the hash. */
struct Chain
{
	pg_cryptohash_ctx *context;
	StringInfoData bytes;
};

Chain *
chain_begin(void)
{
	Chain	   *chain = palloc(sizeof(Chain));

	chain->context = pg_cryptohash_create(PG_SHA256);
	initStringInfo(&chain->bytes);
	return chain;
}

static bytea *
hash_bytes(Chain *chain)
{
	bytea	   *hash = (bytea *) palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);

	SET_VARSIZE(hash, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	if (chain->context == NULL ||
		pg_cryptohash_init(chain->context) < 0 ||
		pg_cryptohash_update(chain->context, (const uint8 *) chain->bytes.data, chain->bytes.len) < 0 ||
		pg_cryptohash_final(chain->context, (uint8 *) VARDATA(hash), PG_SHA256_DIGEST_LENGTH) < 0)
		raise_error(ERR_INTERNAL_ERROR);
	return hash;
}

bytea *
chain_next(Chain *chain, int64 merchant_id, const Entry *entry, const bytea *previous)
{
	resetStringInfo(&chain->bytes);
	add_state(&chain->bytes, previous, entry->version, entry->balance, entry->posted_at);
	add_content(&chain->bytes, merchant_id, entry);
	return hash_bytes(chain);
}

void
chain_end(Chain *chain)
{
	pg_cryptohash_free(chain->context);
}

bytea *
chain_hash(const bytea *previous, int64 version, Points balance, TimestampTz posted_at, const bytea *content)
{
	Chain	   *chain = chain_begin();
	bytea	   *hash;

	add_state(&chain->bytes, previous, version, balance, posted_at);
	appendBinaryStringInfoNT(&chain->bytes, VARDATA_ANY(content), VARSIZE_ANY_EXHDR(content));
	hash = hash_bytes(chain);
	chain_end(chain);
	return hash;
}

PG_FUNCTION_INFO_V1(loyalty_chain_next);

/* Of what the account was before the entry, and what the entry adds to it. */
Datum
loyalty_chain_next(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(chain_hash(PG_GETARG_BYTEA_PP(0), PG_GETARG_INT64(1) + 1,
								 PG_GETARG_POINTS(2) + PG_GETARG_POINTS(4),
								 Max(PG_GETARG_TIMESTAMPTZ(3), PG_GETARG_TIMESTAMPTZ(5)), PG_GETARG_BYTEA_PP(6)));
}
