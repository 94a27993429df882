/*
 * chain.c
 *		The hash chain over the entries of an account.
 *
 * An entry's hash is the SHA-256 of the number of the format, of the hash of
 * the entry before it, of its number in the account, balance and time, of its
 * content, which is everything else, and of the digest of its text, if it has
 * any.  The content comes after what an account's row says because it is known
 * before that is: one statement can then write the balance and compute the hash.
 *
 * Texts may have to be erased one day, and what is chained stays.  So the chain
 * has their SHA-256 only, salted: it is kept in their place.  The salt of each
 * entry is made of a random key, so that whoever is told one, by a receipt,
 * knows no other; and once the key is gone nobody can try which text it was.
 *
 * Integers are written with the high byte first, texts after their length.
 * Two different entries never have the same bytes: which columns are NULL is
 * written too, and nothing is written of those.
 */
#include "postgres.h"

#include "account/chain.h"
#include "base/compat.h"
#include "base/crypto.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* The format of what is hashed; docs/hash-chain.md describes it. */
#define FORMAT 1

/* The mask that says which columns are there has a bit for each optional one, and one for the text. */
#define HAS_TEXT (1 << (LAST_OPTIONAL_COLUMN + 1 - FIRST_OPTIONAL_COLUMN))

/* The bits that say which texts an entry has. */
enum
{
	HAS_REFERENCE = 1 << 0,
	HAS_DETAIL = 1 << 1
};

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

/* What the fixed part of a state, and of a content, takes at most. */
#define STATE_BYTES (1 + PG_SHA256_DIGEST_LENGTH + 3 * sizeof(int64))
#define CONTENT_BYTES ((4 + LAST_OPTIONAL_COLUMN - FIRST_OPTIONAL_COLUMN + 1) * sizeof(int64) + 2 * sizeof(int16))

/* The mask is known when all columns have been looked at, and stands before them. */
static void
add_content(StringInfo content, const Entry *entry)
{
	uint16		mask = entry_has_text(entry) || entry->text_digest != NULL ? HAS_TEXT : 0;
	int			at;

	enlargeStringInfo(content, CONTENT_BYTES);
	pq_writeint64(content, entry->merchant_id);
	pq_writeint64(content, entry->account_id);
	pq_writeint64(content, entry->entry_id);
	pq_writeint64(content, entry->amount);
	pq_writeint16(content, entry->kind);
	at = content->len;
	pq_writeint16(content, 0);
	for (int i = FIRST_OPTIONAL_COLUMN; i <= LAST_OPTIONAL_COLUMN; i++)
	{
		if (!entry_has(entry, i))
			continue;
		mask |= 1 << (i - FIRST_OPTIONAL_COLUMN);
		if (entry_columns[i].form != FORM_LOTS)
			pq_writeint64(content, DatumGetInt64(*entry_field(entry, i)));
	}
	add_varlena(content, (struct varlena *) DatumGetPointer(entry->lots));
	mask = pg_hton16(mask);
	memcpy(content->data + at, &mask, sizeof(mask));
}

/* Append the text of an entry as it is salted and digested. */
static void
add_text(StringInfo text, const Entry *entry)
{
	pq_sendbyte(text, (entry->reference != NULL ? HAS_REFERENCE : 0) | (entry->detail != NULL ? HAS_DETAIL : 0));
	add_varlena(text, (struct varlena *) entry->reference);
	add_varlena(text, (struct varlena *) entry->detail);
}

/* Room for the header of a bytea, which comes before its bytes. */
static void
start_bytea(StringInfo bytes)
{
	initStringInfo(bytes);
	appendStringInfoSpaces(bytes, VARHDRSZ);
}

static bytea *
end_bytea(StringInfo bytes)
{
	SET_VARSIZE(bytes->data, bytes->len);
	return (bytea *) bytes->data;
}

/* All of an entry but its number in the account, balance, time and text. */
bytea *
chain_content(const Entry *entry)
{
	StringInfoData content;

	start_bytea(&content);
	add_content(&content, entry);
	return end_bytea(&content);
}

/* The text of an entry as it is digested; empty if it has none. */
bytea *
chain_text(const Entry *entry)
{
	static struct varlena none;
	StringInfoData text;

	if (!entry_has_text(entry))
	{
		SET_VARSIZE(&none, VARHDRSZ);
		return &none;
	}
	start_bytea(&text);
	add_text(&text, entry);
	return end_bytea(&text);
}

/* Append what stands before the content: the format, the hash before, and what the account's row says. */
static void
add_state(StringInfo bytes, const bytea *previous, int64 entry_no, Points balance, TimestampTz posted_at)
{
	static const char nothing[PG_SHA256_DIGEST_LENGTH] = {0};

	enlargeStringInfo(bytes, STATE_BYTES);
	pq_writeint8(bytes, FORMAT);
	if (VARSIZE_ANY_EXHDR(previous) == 0)
		appendBinaryStringInfoNT(bytes, nothing, sizeof(nothing));
	else
		appendBinaryStringInfoNT(bytes, VARDATA_ANY(previous), VARSIZE_ANY_EXHDR(previous));
	pq_writeint64(bytes, entry_no);
	pq_writeint64(bytes, balance);
	pq_writeint64(bytes, posted_at);
}

/*
 * The salt of an entry's text: SHA-256 of the key of its member, of that of the
 * account on the other side, if there is one (else NULL), and of its id.  Each
 * side of a transfer has the text: once either key is gone, neither can be tried.
 */
void
chain_salt(const pg_uuid_t *key, const pg_uuid_t *peer_key, int64 entry_id, uint8 *salt)
{
	pg_uuid_t	both[2];
	uint64		id = pg_hton64(entry_id);

	if (peer_key == NULL)
	{
		sha256(key, sizeof(pg_uuid_t), &id, sizeof(id), salt);
		return;
	}
	both[0] = *key;
	both[1] = *peer_key;
	sha256(both, sizeof(both), &id, sizeof(id), salt);
}

/* Append the digest of a text, after everything else. */
static void
add_digest(StringInfo bytes, const uint8 *salt, const char *text, size_t length)
{
	uint8		digest[PG_SHA256_DIGEST_LENGTH];

	sha256(salt, PG_SHA256_DIGEST_LENGTH, text, length, digest);
	appendBinaryStringInfoNT(bytes, (const char *) digest, sizeof(digest));
}

PG_FUNCTION_INFO_V1(loyalty_text_digest);

/* loyalty_internal.text_digest(): what the hash of an entry covers of its text; NULL: it has none. */
Datum
loyalty_text_digest(PG_FUNCTION_ARGS)
{
	Entry		entry = {
		.reference = PG_ARGISNULL(1) ? NULL : PG_GETARG_TEXT_PP(1),
		.detail = PG_ARGISNULL(2) ? NULL : PG_GETARG_TEXT_PP(2),
	};
	StringInfoData text;
	StringInfoData digest;

	if (PG_ARGISNULL(0) || VARSIZE_ANY_EXHDR(PG_GETARG_BYTEA_PP(0)) != PG_SHA256_DIGEST_LENGTH || !entry_has_text(&entry))
		PG_RETURN_NULL();
	memcpy(entry.salt, VARDATA_ANY(PG_GETARG_BYTEA_PP(0)), PG_SHA256_DIGEST_LENGTH);
	initStringInfo(&text);
	add_text(&text, &entry);
	start_bytea(&digest);
	add_digest(&digest, entry.salt, text.data, text.len);
	PG_RETURN_BYTEA_P(end_bytea(&digest));
}

/* The hash of an entry that comes after one with this hash. */
bytea *
chain_next(const Entry *entry, const bytea *previous)
{
	StringInfoData bytes;
	StringInfoData text;
	bytea	   *hash;

	initStringInfo(&bytes);
	add_state(&bytes, previous, entry->entry_no, entry->balance, entry->posted_at);
	add_content(&bytes, entry);
	if (entry_has_text(entry))
	{
		initStringInfo(&text);
		add_text(&text, entry);
		add_digest(&bytes, entry->salt, text.data, text.len);
		pfree(text.data);
	}
	else if (entry->text_digest != NULL)
		appendBinaryStringInfoNT(&bytes, VARDATA_ANY(entry->text_digest), VARSIZE_ANY_EXHDR(entry->text_digest));
	hash = sha256_digest(bytes.data, bytes.len);
	pfree(bytes.data);
	return hash;
}

PG_FUNCTION_INFO_V1(loyalty_chain_next);

/* chain_next() of the account before the entry, and what the entry adds to it.  Empty: of the account somebody was erased, whom the posting may name. */
Datum
loyalty_chain_next(PG_FUNCTION_ARGS)
{
	bytea	   *content = PG_GETARG_BYTEA_PP(6);
	bytea	   *text = PG_GETARG_BYTEA_PP(8);
	uint8		salt[PG_SHA256_DIGEST_LENGTH];
	StringInfoData bytes;

	if (text_key_erased(PG_GETARG_UUID_P(7)) != 0)
		PG_RETURN_BYTEA_P(cstring_to_text(""));
	initStringInfo(&bytes);
	add_state(&bytes, PG_GETARG_BYTEA_PP(0), PG_GETARG_INT64(1) + 1, PG_GETARG_POINTS(2) + PG_GETARG_POINTS(4),
			  Max(PG_GETARG_TIMESTAMPTZ(3), PG_GETARG_TIMESTAMPTZ(5)));
	appendBinaryStringInfoNT(&bytes, VARDATA_ANY(content), VARSIZE_ANY_EXHDR(content));
	if (VARSIZE_ANY_EXHDR(text) > 0)
	{
		chain_salt(PG_GETARG_UUID_P(7), NULL, PG_GETARG_INT64(9), salt);
		add_digest(&bytes, salt, VARDATA_ANY(text), VARSIZE_ANY_EXHDR(text));
	}
	PG_RETURN_BYTEA_P(sha256_digest(bytes.data, bytes.len));
}
