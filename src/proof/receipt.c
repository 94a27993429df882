/*
 * receipt.c
 *		Receipts: inclusion proofs, made and checked.
 *
 * A receipt proves that a root (a checkpoint) includes what an account had
 * then: it has the account's newest entry and an inclusion proof, which is the
 * hash on the other side at each level of the tree.  From these the root is
 * computed.  A receipt of an earlier entry has that entry and all after it too,
 * each with everything that is hashed of it.
 */
#include "postgres.h"

#include "account/chain.h"
#include "account/rows.h"
#include "base/arguments.h"
#include "db/stream.h"
#include "fmgr.h"
#include "proof/receipt_json.h"
#include "proof/root.h"
#include "utils/builtins.h"

/* ------------------------------------------------------------------------
 * receipt()
 * ------------------------------------------------------------------------ */

/* Write the part of an inclusion proof from a node of a page to the top of the page. */
static void
write_steps(StringInfo json, Merkle *merkle, TreePage *page, int at)
{
	int			n = page->n;

	for (; n > 1; at /= 2)
	{
		int			other = at ^ 1;

		if (other < n)
		{
			appendStringInfoString(json, json->data[json->len - 1] == '[' ? "{" : ",{");
			write_hex(json, other < at ? "left" : "right", &page->nodes[other], sizeof(Digest));
			appendStringInfoChar(json, '}');
		}
		n = merkle_up(merkle, page->nodes, n);
	}
}

/* The place of an account in a page of leaves; -1: it has none. */
static int
leaf_of(const TreePage *page, int64 account_id)
{
	for (int i = 0; i < page->n; i++)
	{
		if (page->account_ids[i] == account_id)
			return i;
	}
	return -1;
}

/* Write the inclusion proof of a leaf: from its page to the page at the top of the tree. */
static void
write_path(StringInfo json, const Root *root, int64 account_id, TreePage *page, int leaf)
{
	Merkle		merkle;
	int			at = leaf;

	merkle_begin(&merkle);
	json_key(json, "path");
	appendStringInfoChar(json, '[');
	for (int level = 1;; level++)
	{
		int64		number = page->number;

		write_steps(json, &merkle, page, at);
		if (level == PAGE_LEVELS || !root_page(root, level, account_id, page))
			break;
		at = number % PAGE_NODES;
	}
	appendStringInfoChar(json, ']');
	merkle_end(&merkle);
}

static void
write_head(StringInfo json, const StoredRoot *stored, const Entry *head)
{
	const Root *root = &stored->root;

	appendStringInfoChar(json, '{');
	write_id(json, "merchant_id", root->merchant_id);
	write_id(json, "root_id", root->root_id);
	write_time(json, "made_at", root->made_at);
	write_integer(json, "accounts", root->accounts);
	write_hex(json, "root", &stored->published, sizeof(Digest));
	write_id(json, "account_id", head->account_id);
	write_id(json, "entry_id", head->entry_id);
	write_points(json, "balance", head->balance);
	write_time(json, "posted_at", head->posted_at);
	write_hex(json, "hash", VARDATA_ANY(head->hash), VARSIZE_ANY_EXHDR(head->hash));
}

static Statement receipt_entry_sql = {
	.sql = "SELECT " ENTRY_COLUMNS " FROM loyalty.entry WHERE merchant_id = $1 AND entry_id = $2 AND account_id = $3",
	.params = {INT8OID, INT8OID, INT8OID}
};

/* Read an entry of an account; it lives until the stream is closed. */
static void
read_stored(Stream *entries, const Root *root, int64 account_id, int64 entry_id, Entry *entry)
{
	pg_uuid_t	key;
	Datum		values[] = {
		Int64GetDatum(root->merchant_id),
		Int64GetDatum(entry_id),
		Int64GetDatum(account_id),
	};

	stream_open(entries, &receipt_entry_sql, values);
	if (!stream_next(entries))
		raise_error(ERR_UNKNOWN_ENTRY);
	entry_of_stream(entries, entry);
	if (!entry_has_text(entry))
		return;
	entry_find_named(entry);
	if (account_text_key(entry, &key))
		account_text_salt(&key, entry);
}

/*
 * The ids of n entries, from one to the newest of the root, and before them
 * that of the entry before, 0 if there is none.  They are found from the newest
 * back.
 */
static int64 *
entries_back(const Root *root, int64 account_id, int64 from, int64 newest, int *n)
{
	int64	   *entry_ids = palloc((RECEIPT_ENTRIES + 2) * sizeof(int64));
	int64	   *first = entry_ids + RECEIPT_ENTRIES + 2;
	int64		entry_id = newest;
	bool		found = false;

	for (*n = 0; !found; ++*n)
	{
		Stream		entries;
		Entry		entry;

		if (*n > RECEIPT_ENTRIES)
			raise_error(ERR_UNKNOWN_ENTRY);
		read_stored(&entries, root, account_id, entry_id, &entry);
		*--first = entry_id;
		found = entry_id == from;
		entry_id = entry.previous_entry_id;
		stream_close(&entries);
	}
	*--first = entry_id;
	return first;
}

/* Write the entries from one to the newest of the root, and the hash before them. */
static void
write_entries(StringInfo json, const Root *root, int64 account_id, int64 from, int64 newest)
{
	int			n;
	int64	   *entry_ids = entries_back(root, account_id, from, newest, &n);
	Stream		entries;
	Entry		entry;

	if (entry_ids[0] == 0)
		write_hex(json, "previous", "", 0);
	else
	{
		read_stored(&entries, root, account_id, entry_ids[0], &entry);
		write_hex(json, "previous", VARDATA_ANY(entry.hash), VARSIZE_ANY_EXHDR(entry.hash));
		stream_close(&entries);
	}
	json_key(json, "entries");
	appendStringInfoChar(json, '[');
	for (int i = 1; i <= n; i++)
	{
		read_stored(&entries, root, account_id, entry_ids[i], &entry);
		write_receipt_entry(json, &entry);
		stream_close(&entries);
	}
	appendStringInfoChar(json, ']');
}

/* Read the page of leaves that an account is on; returns its place there. */
static int
find_leaf(const StoredRoot *stored, int64 account_id, TreePage *page)
{
	int			leaf = -1;

	if (root_page(&stored->root, 0, account_id, page))
		leaf = leaf_of(page, account_id);
	if (leaf >= 0)
		return leaf;
	/* the root does not have it, or does not have pages any more */
	if (stored->root.accounts > 0 && !root_page(&stored->root, 0, PG_INT64_MAX, page))
		raise_error(ERR_UNKNOWN_OBJECT);
	raise_error(ERR_UNKNOWN_ACCOUNT);
}

/* Write the account's newest entry of the root; returns its number. */
static int64
write_newest(StringInfo json, const StoredRoot *stored, int64 account_id, int64 entry_id)
{
	Stream		entries;
	Entry		head;

	read_stored(&entries, &stored->root, account_id, entry_id, &head);
	write_head(json, stored, &head);
	stream_close(&entries);
	return head.entry_no;
}

/* The number of an entry in its account. */
static int64
number_of(const Root *root, int64 account_id, int64 entry_id)
{
	Stream		entries;
	Entry		entry;

	read_stored(&entries, root, account_id, entry_id, &entry);
	stream_close(&entries);
	return entry.entry_no;
}

PG_FUNCTION_INFO_V1(loyalty_receipt);

/* loyalty.receipt(): the receipt of an account in a root, and of an entry if one is named. */
Datum
loyalty_receipt(PG_FUNCTION_ARGS)
{
	StringInfoData json;
	StoredRoot	stored;
	TreePage   *page = palloc0(sizeof(TreePage));
	int64		account_id;
	int64		newest;
	int64		newest_no;
	int			leaf;

	require_argument(fcinfo, 0);
	require_argument(fcinfo, 1);
	account_id = PG_GETARG_INT64(1);
	initStringInfo(&json);
	db_begin();
	if (!root_find(PG_GETARG_INT64(0), PG_ARGISNULL(2), PG_ARGISNULL(2) ? 0 : PG_GETARG_INT64(2), &stored))
		raise_error(ERR_UNKNOWN_OBJECT);
	leaf = find_leaf(&stored, account_id, page);
	newest = page->entry_ids[leaf];
	newest_no = write_newest(&json, &stored, account_id, newest);
	write_path(&json, &stored.root, account_id, page, leaf);
	if (!PG_ARGISNULL(3))
	{
		int64		before = newest_no - number_of(&stored.root, account_id, PG_GETARG_INT64(3));

		if (before < 0)
			raise_error(ERR_UNKNOWN_ENTRY);
		if (before > RECEIPT_ENTRIES)
			raise_error_hint(ERR_INVALID_ARGUMENT, psprintf("entry_id is more than %d entries before the newest one of the root.", RECEIPT_ENTRIES));
		write_entries(&json, &stored.root, account_id, PG_GETARG_INT64(3), newest);
	}
	appendStringInfoChar(&json, '}');
	db_end();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(json.data, json.len));
}

/* ------------------------------------------------------------------------
 * check_receipt()
 * ------------------------------------------------------------------------ */

/* The objects of an array of a receipt. */
typedef struct Objects
{
	Members    *members;
	Members		other;			/* of what is no object, or one too many */
	size_t		n;
	size_t		most;
	bool		sound;
} Objects;

static void *
collect_object(void *context, size_t index, size_t count, bool is_object)
{
	Objects    *objects = context;

	if (index == 0)
		objects->members = palloc_extended(Min(count, objects->most) * sizeof(Members), MCXT_ALLOC_ZERO);
	if (!is_object || index >= objects->most)
	{
		objects->sound = false;
		return &objects->other;
	}
	objects->n = index + 1;
	return &objects->members[index];
}

static bool
read_objects(Members *receipt, const char *name, size_t most, Objects *objects)
{
	const char *text = read_member(receipt, name, JSON_IS_ARRAY);
	const Objects empty = {.most = most,.sound = true};

	*objects = empty;
	return text != NULL && json_read_items(text, strlen(text), objects->most, collect_object, NULL, collect_member, objects) && objects->sound;
}

/* Climb one level of the tree, by the hash of the node on the other side. */
static bool
take_step(Merkle *merkle, Members *step, Digest *digest)
{
	Digest		other;

	if (read_digest(step, "left", &other))
		*digest = merkle_node(merkle, &other, digest);
	else if (read_digest(step, "right", &other))
		*digest = merkle_node(merkle, digest, &other);
	else
		return false;
	return all_read(step);
}

/* Whether the inclusion proof leads from the newest entry to the root. */
static bool
leads_to_root(Members *receipt, const Head *head, const Digest *published)
{
	Root		root = {.merchant_id = head->merchant_id};
	Objects		path;
	Merkle		merkle;
	Digest		digest;
	Digest		said;
	bool		sound;

	if (!read_id(receipt, "root_id", &root.root_id) || !read_time(receipt, "made_at", &root.made_at) ||
		!read_integer(receipt, "accounts", &root.accounts) || !read_digest(receipt, "root", &said) ||
		!digests_equal(&said, published) || !read_objects(receipt, "path", RECEIPT_STEPS, &path))
		return false;
	merkle_begin(&merkle);
	digest = merkle_leaf(&merkle, head);
	sound = true;
	for (size_t i = 0; i < path.n && sound; i++)
		sound = take_step(&merkle, &path.members[i], &digest);
	digest = merkle_published(&merkle, &root, &digest);
	merkle_end(&merkle);
	return sound && digests_equal(&digest, published);
}

/* Whether a hash is all zeros: no entry has it, and the first would hash as if after none. */
static bool
is_nothing(const bytea *hash)
{
	for (int i = 0; i < (int) VARSIZE_ANY_EXHDR(hash); i++)
	{
		if (VARDATA_ANY(hash)[i] != 0)
			return false;
	}
	return VARSIZE_ANY_EXHDR(hash) > 0;
}

static bool
is_newest(const Head *head, const Entry *entry, const bytea *hash)
{
	return entry->entry_id == head->entry_id && entry->balance == head->balance && entry->posted_at == head->posted_at &&
		VARSIZE_ANY_EXHDR(hash) == VARSIZE_ANY_EXHDR(head->hash) &&
		memcmp(VARDATA_ANY(hash), VARDATA_ANY(head->hash), VARSIZE_ANY_EXHDR(hash)) == 0;
}

/* Whether the entries, if the receipt has any, are a hash chain up to the newest one. */
static bool
leads_to_newest(Members *receipt, const Head *head)
{
	Objects		entries;
	Entry		entry = {0};
	bytea	   *hash;
	bool		sound = true;

	if (!has_member(receipt, "entries"))
		return true;
	if (!read_bytes(receipt, "previous", &hash) || is_nothing(hash) || !read_objects(receipt, "entries", RECEIPT_ENTRIES + 1, &entries) ||
		entries.n == 0)
		return false;
	for (size_t i = 0; i < entries.n && sound; i++)
	{
		int64		before = entry.entry_no;

		sound = read_receipt_entry(&entries.members[i], &entry) && (i == 0 || entry.entry_no == before + 1);
		if (!sound)
			break;
		entry.merchant_id = head->merchant_id;
		entry.account_id = head->account_id;
		hash = chain_next(&entry, hash);
	}
	return sound && is_newest(head, &entry, hash);
}

PG_FUNCTION_INFO_V1(loyalty_check_receipt);

/* loyalty.check_receipt(): whether a receipt holds under a root that was published. */
Datum
loyalty_check_receipt(PG_FUNCTION_ARGS)
{
	text	   *json = PG_GETARG_TEXT_PP(0);
	bytea	   *root = PG_GETARG_BYTEA_PP(1);
	Members		receipt = {0};
	Digest		published;
	Head		head;
	bytea	   *hash;

	if (!root_digest((struct varlena *) root, &published) ||
		!json_read_object(VARDATA_ANY(json), VARSIZE_ANY_EXHDR(json), NULL, collect_member, &receipt) ||
		!read_id(&receipt, "merchant_id", &head.merchant_id) ||
		!read_id(&receipt, "account_id", &head.account_id) ||
		!read_id(&receipt, "entry_id", &head.entry_id) ||
		!read_points(&receipt, "balance", &head.balance) ||
		!read_time(&receipt, "posted_at", &head.posted_at) ||
		!read_bytes(&receipt, "hash", &hash))
		PG_RETURN_BOOL(false);
	head.hash = hash;
	PG_RETURN_BOOL(leads_to_root(&receipt, &head, &published) && leads_to_newest(&receipt, &head) && all_read(&receipt));
}
