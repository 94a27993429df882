/*
 * root.c
 *		Roots (checkpoints): made, and compared with the ledger of today.
 *
 * A root is the hash of a Merkle tree over the newest entries of all accounts
 * of a merchant (merkle.h).  The tree is made from its leaves up in one pass,
 * with one page of each level in memory: a full page is written, and its top
 * is a node of the level above.  Pages hold a power of two of nodes, so the
 * nodes at their tops are nodes of the whole tree.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "account/entry.h"
#include "base/activity.h"
#include "base/arguments.h"
#include "base/crypto.h"
#include "base/errors.h"
#include "catalog/pg_type.h"
#include "db/columns.h"
#include "db/stream.h"
#include "funcapi.h"
#include "proof/breach.h"
#include "proof/root.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* ------------------------------------------------------------------------
 * Making a tree
 * ------------------------------------------------------------------------ */

/* The page that is being filled, of one level of the tree. */
typedef struct Level
{
	TreePage	page;
	int64		first_account;
} Level;

typedef struct Tree
{
	Merkle		merkle;
	Root		root;
	bool		writes;			/* else it is only computed */
	int			nlevels;
	Level	   *levels[PAGE_LEVELS];
	MemoryContext context;		/* for one page */
} Tree;

static bytea *
bytes_of(const void *bytes, Size length)
{
	return (bytea *) cstring_to_text_with_len(bytes, length);
}

static Statement root_page_insert_sql = {
	.sql = "INSERT INTO loyalty_internal.root_page (merchant_id, root_id, level, first_account, page, account_ids, entry_ids, nodes)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
	.params = {INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8ARRAYOID, INT8ARRAYOID, BYTEAOID}
};

static void
write_page(Tree *tree, int number)
{
	const Level *level = tree->levels[number];
	const TreePage *page = &level->page;
	MemoryContext caller = MemoryContextSwitchTo(tree->context);
	Datum		values[] = {
		Int64GetDatum(tree->root.merchant_id),
		Int64GetDatum(tree->root.root_id),
		Int64GetDatum(number),
		Int64GetDatum(level->first_account),
		Int64GetDatum(page->number),
		ids_datum(page->account_ids, page->n),
		ids_datum(page->entry_ids, page->n),
		PointerGetDatum(bytes_of(page->nodes, page->n * sizeof(Digest))),
	};

	db_write(&root_page_insert_sql, values, number == 0 ? NULL : "     nn ");
	MemoryContextSwitchTo(caller);
	MemoryContextReset(tree->context);
}

static void add_node(Tree *tree, int number, const Digest *hash, int64 account_id, int64 entry_id);

/* The hash at the top of a page. */
static Digest
page_top(Tree *tree, const TreePage *page)
{
	Digest		nodes[PAGE_NODES];
	int			n = page->n;

	memcpy(nodes, page->nodes, n * sizeof(Digest));
	while (n > 1)
		n = merkle_up(&tree->merkle, nodes, n);
	return nodes[0];
}

/* Write a full page, add its top to the level above, and empty it. */
static void
finish_page(Tree *tree, int number)
{
	Level	   *level = tree->levels[number];
	Digest		top = page_top(tree, &level->page);

	if (tree->writes)
		write_page(tree, number);
	add_node(tree, number + 1, &top, level->first_account, 0);
	level->page.number++;
	level->page.n = 0;
}

static void
add_node(Tree *tree, int number, const Digest *hash, int64 account_id, int64 entry_id)
{
	Level	   *level;
	TreePage   *page;

	if (number == tree->nlevels)
		tree->levels[tree->nlevels++] = palloc0(sizeof(Level));
	level = tree->levels[number];
	page = &level->page;
	if (page->n == PAGE_NODES)
		finish_page(tree, number);
	if (page->n == 0)
		level->first_account = account_id;
	page->nodes[page->n] = *hash;
	page->account_ids[page->n] = account_id;
	page->entry_ids[page->n] = entry_id;
	page->n++;
}

static void
tree_begin(Tree *tree, const Root *root, bool writes)
{
	memset(tree, 0, sizeof(Tree));
	merkle_begin(&tree->merkle);
	tree->root = *root;
	tree->writes = writes;
	tree->context = AllocSetContextCreate(CurrentMemoryContext, "loyalty page", ALLOCSET_DEFAULT_SIZES);
}

static void
tree_add(Tree *tree, const Digest *leaf, int64 account_id, int64 entry_id)
{
	add_node(tree, 0, leaf, account_id, entry_id);
	work_done(++tree->root.accounts);
}

/* Finish the last pages of all levels, up to the top; returns the hash to publish. */
static Digest
tree_end(Tree *tree)
{
	Digest		top = merkle_nothing(&tree->merkle);

	for (int number = 0; number < tree->nlevels; number++)
	{
		if (tree->levels[number]->page.number > 0)
		{
			finish_page(tree, number);
			continue;
		}
		top = page_top(tree, &tree->levels[number]->page);
		if (tree->writes)
			write_page(tree, number);
	}
	top = merkle_published(&tree->merkle, &tree->root, &top);
	merkle_end(&tree->merkle);
	return top;
}

/* ------------------------------------------------------------------------
 * make_root()
 * ------------------------------------------------------------------------ */

static Statement root_heads_sql = {
	.sql = "SELECT account_id, newest_entry_id, balance, posted_at, hash FROM loyalty_internal.account"
	" WHERE merchant_id = $1 AND newest_entry_id IS NOT NULL ORDER BY account_id",
	.params = {INT8OID},
	.reads_all = true
};

static Statement count_heads_sql = {
	.sql = "SELECT count(*) AS accounts FROM loyalty_internal.account WHERE merchant_id = $1 AND newest_entry_id IS NOT NULL",
	.params = {INT8OID}
};

/* To be seen by others; beside what hashing costs, counting costs little. */
static int64
count_heads(Datum *merchant)
{
	db_read(&count_heads_sql, merchant, NULL);
	return row_int64(0, "accounts");
}

static Digest
make_tree(Root *root)
{
	Datum		values[] = {Int64GetDatum(root->merchant_id)};
	Stream		heads;
	Tree		tree;
	Digest		published;

	tree_begin(&tree, root, true);
	work_begin(WORK_MAKE_ROOT, root->merchant_id, count_heads(values));
	stream_open(&heads, &root_heads_sql, values);
	while (stream_next(&heads))
	{
		Head		head = {
			.merchant_id = root->merchant_id,
			.account_id = stream_int64(&heads, "account_id", 0),
			.entry_id = stream_int64(&heads, "newest_entry_id", 0),
			.balance = stream_int64(&heads, "balance", 0),
			.posted_at = stream_int64(&heads, "posted_at", 0),
			.hash = hash_of((bytea *) stream_varlena(&heads, "hash")),
		};
		Digest		leaf = merkle_leaf(&tree.merkle, &head);

		tree_add(&tree, &leaf, head.account_id, head.entry_id);
	}
	stream_close(&heads);
	published = tree_end(&tree);
	root->accounts = tree.root.accounts;
	return published;
}

static Statement root_insert_sql = {
	.sql = "INSERT INTO loyalty_internal.root (merchant_id, root_id, made_at, accounts, root)"
	" SELECT m.merchant_id, $2, $3, $4, $5 FROM loyalty_internal.merchant m WHERE m.merchant_id = $1",
	.params = {INT8OID, INT8OID, TIMESTAMPTZOID, INT8OID, BYTEAOID}
};

static void
write_root(const Root *root, const Digest *published)
{
	Datum		values[] = {
		Int64GetDatum(root->merchant_id),
		Int64GetDatum(root->root_id),
		TimestampTzGetDatum(root->made_at),
		Int64GetDatum(root->accounts),
		PointerGetDatum(bytes_of(published, sizeof(Digest))),
	};

	if (db_write(&root_insert_sql, values, NULL) == 0)
		raise_error(ERR_UNKNOWN_OBJECT);
}

static Statement root_newest_sql = {
	.sql = "SELECT root_id, made_at FROM loyalty_internal.root WHERE merchant_id = $1 ORDER BY root_id DESC LIMIT 1",
	.params = {INT8OID}
};

/* A root after all that the merchant has: the newest has the highest number, whatever the clock says. */
static Root
next_root(int64 merchant_id)
{
	Root		root = {.merchant_id = merchant_id,.made_at = GetCurrentTimestamp()};
	Datum		value = Int64GetDatum(merchant_id);
	int64		newest = 0;

	if (db_write(&root_newest_sql, &value, NULL) > 0)
	{
		newest = row_int64(0, "root_id");
		root.made_at = Max(root.made_at, row_int64(0, "made_at"));
	}
	root.root_id = new_id_after(newest);
	return root;
}

PG_FUNCTION_INFO_V1(loyalty_make_root);

/* loyalty.make_root(): make a root of the ledger of now. */
Datum
loyalty_make_root(PG_FUNCTION_ARGS)
{
	Root		root;
	Digest		published;
	TupleDesc	type;
	Datum		values[2];
	bool		nulls[2] = {false};

	if (get_call_result_type(fcinfo, NULL, &type) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "loyalty.make_root() returns a row");
	db_begin();
	root = next_root(PG_GETARG_INT64(0));
	published = make_tree(&root);
	write_root(&root, &published);
	db_end();
	work_end();
	values[0] = Int64GetDatum(root.root_id);
	values[1] = PointerGetDatum(bytes_of(&published, sizeof(Digest)));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(type), values, nulls)));
}

/* ------------------------------------------------------------------------
 * Finding what is stored
 * ------------------------------------------------------------------------ */

/* Read a hash; false if it has another length. */
bool
root_digest(struct varlena *value, Digest *hash)
{
	struct varlena *plain = pg_detoast_datum_packed(value);

	if (VARSIZE_ANY_EXHDR(plain) != sizeof(Digest))
		return false;
	memcpy(hash, VARDATA_ANY(plain), sizeof(Digest));
	return true;
}

static Statement root_find_sql = {
	.sql = "SELECT root_id, made_at, accounts, root FROM loyalty_internal.root"
	" WHERE merchant_id = $1 AND ($2 IS NULL OR root_id = $2) ORDER BY root_id DESC LIMIT 1",
	.params = {INT8OID, INT8OID}
};

/* Find a root of a merchant by its id, or the newest. */
bool
root_find(int64 merchant_id, bool newest, int64 root_id, StoredRoot *found)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(root_id)};
	bool		isnull;

	if (db_read(&root_find_sql, values, newest ? " n" : NULL) == 0)
		return false;
	found->root.merchant_id = merchant_id;
	found->root.root_id = row_int64(0, "root_id");
	found->root.made_at = row_int64(0, "made_at");
	found->root.accounts = row_int64(0, "accounts");
	return root_digest((struct varlena *) DatumGetPointer(row_datum(0, "root", &isnull)), &found->published);
}

/* The ids in a column of a page; zeros if it is not what make_root() writes. */
static void
read_ids(Datum array, int n, int64 *ids)
{
	ArrayType  *value = DatumGetArrayTypeP(array);

	if (ARR_NDIM(value) != 1 || ARR_DIMS(value)[0] != n || ARR_HASNULL(value) || ARR_ELEMTYPE(value) != INT8OID)
		memset(ids, 0, n * sizeof(int64));
	else
		memcpy(ids, ARR_DATA_PTR(value), n * sizeof(int64));
}

static void
read_page(Datum account_ids, Datum entry_ids, Datum nodes, TreePage *page)
{
	struct varlena *bytes = PG_DETOAST_DATUM_PACKED(nodes);

	page->n = Min(VARSIZE_ANY_EXHDR(bytes) / sizeof(Digest), PAGE_NODES);
	memcpy(page->nodes, VARDATA_ANY(bytes), page->n * sizeof(Digest));
	if (account_ids == (Datum) 0 || entry_ids == (Datum) 0)
		return;
	read_ids(account_ids, page->n, page->account_ids);
	read_ids(entry_ids, page->n, page->entry_ids);
}

static Statement root_page_sql = {
	.sql = "SELECT page, account_ids, entry_ids, nodes FROM loyalty_internal.root_page"
	" WHERE merchant_id = $1 AND root_id = $2 AND level = $3 AND first_account <= $4 ORDER BY first_account DESC LIMIT 1",
	.params = {INT8OID, INT8OID, INT8OID, INT8OID}
};

/* Find the page of a level of the tree that an account is on or below. */
bool
root_page(const Root *root, int level, int64 account_id, TreePage *page)
{
	Datum		values[] = {
		Int64GetDatum(root->merchant_id),
		Int64GetDatum(root->root_id),
		Int64GetDatum(level),
		Int64GetDatum(account_id),
	};
	Datum		account_ids;
	Datum		entry_ids;
	Datum		nodes;
	bool		isnull[3];

	if (db_read(&root_page_sql, values, NULL) == 0)
		return false;
	page->number = row_int64(0, "page");
	account_ids = row_datum(0, "account_ids", &isnull[0]);
	entry_ids = row_datum(0, "entry_ids", &isnull[1]);
	nodes = row_datum(0, "nodes", &isnull[2]);
	read_page(isnull[0] ? (Datum) 0 : account_ids, isnull[1] ? (Datum) 0 : entry_ids, nodes, page);
	return true;
}

/* ------------------------------------------------------------------------
 * verify_root()
 * ------------------------------------------------------------------------ */

/* Compare a leaf with the entry that it was made of. */
static void
check_leaf(ReturnSetInfo *result, Tree *tree, uint64 row, const Digest *leaf)
{
	bool		gone;
	Head		head = {
		.merchant_id = tree->root.merchant_id,
		.account_id = row_int64(row, "account_id"),
		.entry_id = row_int64(row, "entry_id"),
	};
	Datum		balance = row_datum(row, "balance", &gone);
	Digest		now;

	if (!gone)
	{
		bool		isnull;

		head.balance = DatumGetPoints(balance);
		head.posted_at = row_int64(row, "posted_at");
		head.hash = DatumGetByteaPP(row_datum(row, "hash", &isnull));
		now = merkle_leaf(&tree->merkle, &head);
	}
	if (gone || !digests_equal(&now, leaf))
		breach_row(result, "what a root has of an account is in the ledger", head.merchant_id, head.account_id,
				   head.entry_id, gone ? "the entry is gone" : "the entry has changed");
}

static Statement root_entries_sql = {
	.sql = "SELECT u.account_id, u.entry_id, e.balance, e.posted_at, e.hash"
	" FROM unnest($2, $3) WITH ORDINALITY u (account_id, entry_id, leaf) LEFT JOIN loyalty.entry e"
	" ON e.merchant_id = $1 AND e.entry_id = u.entry_id AND e.account_id = u.account_id ORDER BY u.leaf",
	.params = {INT8OID, INT8ARRAYOID, INT8ARRAYOID}
};

static void
check_page(ReturnSetInfo *result, Tree *tree, const TreePage *page)
{
	MemoryContext caller = MemoryContextSwitchTo(tree->context);
	Datum		values[] = {
		Int64GetDatum(tree->root.merchant_id),
		ids_datum(page->account_ids, page->n),
		ids_datum(page->entry_ids, page->n),
	};
	uint64		found = db_read(&root_entries_sql, values, NULL);

	for (uint64 row = 0; row < found; row++)
		check_leaf(result, tree, row, &page->nodes[row]);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(tree->context);
	for (int i = 0; i < page->n; i++)
		tree_add(tree, &page->nodes[i], page->account_ids[i], page->entry_ids[i]);
}

static Statement root_leaves_sql = {
	.sql = "SELECT account_ids, entry_ids, nodes FROM loyalty_internal.root_page"
	" WHERE merchant_id = $1 AND root_id = $2 AND level = 0 ORDER BY first_account",
	.params = {INT8OID, INT8OID},
	.reads_all = true
};

static void
check_leaves(ReturnSetInfo *result, const StoredRoot *stored, const Digest *published)
{
	Datum		values[] = {Int64GetDatum(stored->root.merchant_id), Int64GetDatum(stored->root.root_id)};
	Root		root = stored->root;
	TreePage   *page = palloc0(sizeof(TreePage));
	Stream		pages;
	Tree		tree;
	Digest		computed;

	root.accounts = 0;
	work_begin(WORK_VERIFY_ROOT, root.merchant_id, stored->root.accounts);
	tree_begin(&tree, &root, false);
	stream_open(&pages, &root_leaves_sql, values);
	while (stream_next(&pages))
	{
		MemoryContext caller = MemoryContextSwitchTo(tree.context);

		read_page(PointerGetDatum(stream_varlena(&pages, "account_ids")), PointerGetDatum(stream_varlena(&pages, "entry_ids")),
				  PointerGetDatum(stream_varlena(&pages, "nodes")), page);
		MemoryContextSwitchTo(caller);
		check_page(result, &tree, page);
	}
	stream_close(&pages);
	root.accounts = tree.root.accounts;
	if (root.accounts == 0 && stored->root.accounts > 0)
		raise_error(ERR_UNKNOWN_OBJECT);
	computed = tree_end(&tree);
	if (!digests_equal(&computed, &stored->published) || !digests_equal(&computed, published))
		breach_row(result, "a root is that of the tree below it", root.merchant_id, NO_ACCOUNT, NO_ENTRY,
				   psprintf("root " INT64_FORMAT, root.root_id));
}

PG_FUNCTION_INFO_V1(loyalty_verify_root);

/* loyalty.verify_root(): what of a root is not in the ledger any more. */
Datum
loyalty_verify_root(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	StoredRoot	stored;
	Digest		published;

	require_argument(fcinfo, 0);
	if (!PG_ARGISNULL(2) && !root_digest((struct varlena *) PG_GETARG_BYTEA_PP(2), &published))
		raise_error_hint(ERR_INVALID_ARGUMENT, "root is 32 bytes.");
	InitMaterializedSRF(fcinfo, 0);
	db_begin();
	if (!root_find(PG_GETARG_INT64(0), PG_ARGISNULL(1), PG_ARGISNULL(1) ? 0 : PG_GETARG_INT64(1), &stored))
		raise_error(ERR_UNKNOWN_OBJECT);
	check_leaves(result, &stored, PG_ARGISNULL(2) ? &stored.published : &published);
	db_end();
	work_end();
	return (Datum) 0;
}
