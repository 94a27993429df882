/*
 * ikniu_batch.c
 *		Deposits, redemptions and accumulations of the seller API, in batches.
 *
 * An array of items goes in, an array of the same length and order comes out,
 * and each item succeeds or fails alone.  No subtransaction is needed for that:
 * the items are checked, their programs and members are looked up (members of a
 * program all at once), and those that have not failed are posted.  Then the
 * answers are written.
 *
 * Memory is what a large batch would hurt others by.  Items keep what they need
 * until they are answered; what is needed for a lookup or a posting is made for
 * RUN_LENGTH items at a time, and gone with the db_end() of that run.  A batch
 * of several runs locks its accounts before the first of them, and its items are
 * posted in the order of their programs, as the engine locks limits: so several
 * runs deadlock with nobody with whom one would not.
 */
#include "postgres.h"

#include "account/rows.h"
#include "api/fields.h"
#include "api/ikniu_batch.h"
#include "api/ikniu_item.h"
#include "api/ikniu_member.h"
#include "base/fold.h"
#include "base/json.h"
#include "base/sort.h"
#include "catalog/pg_type.h"
#include "db/columns.h"
#include "ledger/ledger.h"
#include "limits/entry_space.h"
#include "limits/row_limit.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define RUN_LENGTH 10000

/* ------------------------------------------------------------------------
 * Programs and members
 * ------------------------------------------------------------------------ */

static int
compare_program_ids(const void *a, const void *b)
{
	return strcmp((*(SellerItem *const *) a)->fields[PROGRAM_ID], (*(SellerItem *const *) b)->fields[PROGRAM_ID]);
}

/* The items that have not failed, and for which something is still to be done. */
static SellerItem **
items_left(const ItemBatch *batch, bool (*is_left) (const SellerItem *item), size_t *count)
{
	SellerItem **items = MemoryContextAllocExtended(batch->context, batch->count * sizeof(SellerItem *), MCXT_ALLOC_HUGE);

	*count = 0;
	for (size_t i = 0; i < batch->count; i++)
	{
		if (batch->items[i].error == ERR_NONE && is_left(&batch->items[i]))
			items[(*count)++] = &batch->items[i];
	}
	return items;
}

static bool
is_any(const SellerItem *item pg_attribute_unused())
{
	return true;
}

/* Look up each program that items name, once. */
static void
find_programs(ItemBatch *batch)
{
	size_t		count;
	SellerItem **items = items_left(batch, is_any, &count);

	merge_sort(items, count, sizeof(SellerItem *), compare_program_ids);
	for (size_t i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (i > 0 && compare_program_ids(&items[i - 1], &items[i]) == 0)
		{
			items[i]->program = items[i - 1]->program;
			continue;
		}
		items[i]->program = program_of_client_id(batch->merchant_id, items[i]->fields[PROGRAM_ID]);
		if (items[i]->program != NULL)
			batch->program = items[i]->program;
	}
	pfree(items);
}

/* By program; items of one stay in their order. */
static int
compare_programs(const void *a, const void *b)
{
	int64		left = (*(SellerItem *const *) a)->program->program_id;
	int64		right = (*(SellerItem *const *) b)->program->program_id;

	return (left > right) - (left < right);
}

/* How many items from here on are of one program, and are looked up together. */
static size_t
run_of_program(SellerItem **items, size_t count)
{
	size_t		n = 1;

	while (n < Min(count, RUN_LENGTH) && items[n]->program == items[0]->program)
		n++;
	return n;
}

static bool
names_member(const SellerItem *item)
{
	return item->fields[MEMBER_CLIENT] != NULL;
}

static int
compare_member_ids(const void *a, const void *b)
{
	int			order = compare_programs(a, b);

	return order != 0 ? order : strcmp((*(SellerItem *const *) a)->fields[MEMBER_CLIENT], (*(SellerItem *const *) b)->fields[MEMBER_CLIENT]);
}

/* Set the member of an item and its account; acting is what member_acting() says. */
static void
set_account(SellerItem *item, const char *client_id, int64 account_id, int64 acting)
{
	item->fields[MEMBER_CLIENT] = client_id;
	item->account_id = account_id;
	item->member_id = acting;
}

/* Set the account of the items of one member; the items are sorted by member. */
static void
give_account(SellerItem **items, size_t count, const char *client_id, int64 account_id, int64 acting)
{
	size_t		low = 0;
	size_t		high = count;

	while (low < high)
	{
		size_t		middle = low + (high - low) / 2;

		if (strcmp(items[middle]->fields[MEMBER_CLIENT], client_id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < count && strcmp(items[low]->fields[MEMBER_CLIENT], client_id) == 0; low++)
		set_account(items[low], items[low]->fields[MEMBER_CLIENT], account_id, acting);
}

/* member_acting() in SQL, for members who are read many at a time. */
#define ACTING(member, account) "coalesce(nullif(" member ", " account "), 0)"

static Statement members_find_sql = {
	.sql = "SELECT client_id, account_id, " ACTING("member_id", "account_id") " AS acting_id FROM loyalty_internal.member"
	" WHERE merchant_id = $1 AND program_id = $2 AND client_id = ANY ($3) AND active",
	.params = {INT8OID, INT8OID, TEXTARRAYOID}
};

/* Look up the members of one program that items name, all in one statement. */
static void
find_run_members(const ItemBatch *batch, SellerItem **items, size_t count)
{
	Datum	   *ids;
	Datum		values[3] = {Int64GetDatum(batch->merchant_id), Int64GetDatum(items[0]->program->program_id)};
	int			distinct = 0;
	uint64		found;

	db_begin();
	ids = palloc(count * sizeof(Datum));
	for (size_t i = 0; i < count; i++)
	{
		if (i == 0 || compare_member_ids(&items[i - 1], &items[i]) != 0)
			ids[distinct++] = CStringGetTextDatum(items[i]->fields[MEMBER_CLIENT]);
	}
	values[2] = array_datum(ids, distinct, TEXTOID);
	found = db_read(&members_find_sql, values, NULL);
	for (uint64 row = 0; row < found; row++)
		give_account(items, count, row_text(row, "client_id"), row_int64(row, "account_id"), row_int64(row, "acting_id"));
	db_end();
}

static void
find_members(const ItemBatch *batch)
{
	size_t		count;
	SellerItem **items = items_left(batch, names_member, &count);

	merge_sort(items, count, sizeof(SellerItem *), compare_member_ids);
	for (size_t from = 0, n; from < count; from += n)
	{
		n = run_of_program(&items[from], count - from);
		find_run_members(batch, &items[from], n);
	}
	pfree(items);
}

static void
take_member_field(void *context, const char *name, JsonKind kind, const char *value)
{
	bool		nested = kind == JSON_IS_ARRAY || kind == JSON_IS_OBJECT;

	/* too long is malformed, and must not raise: the other items go on */
	if (!nested && value != NULL && strlen(value) > FIELD_MAX_LENGTH)
		call_set_field(context, name, JSON_IS_UNREADABLE, "?");
	else
		call_set_field(context, name, kind, value);
}

static Statement member_by_email_sql = {
	.sql = "SELECT client_id, account_id, active, " ACTING("member_id", "account_id") " AS acting_id FROM loyalty_internal.member"
	" WHERE merchant_id = $1 AND program_id = $2 AND loyalty.fold(email) = $3",
	.params = {INT8OID, INT8OID, TEXTOID}
};

/* The active member of the program with an item's email, if there is one. */
static bool
find_by_email(const ItemBatch *batch, SellerItem *item)
{
	Datum		values[] = {
		Int64GetDatum(batch->merchant_id),
		Int64GetDatum(item->program->program_id),
		CStringGetTextDatum(item->email),
	};

	if (db_write(&member_by_email_sql, values, NULL) == 0 || !row_bool(0, "active"))
		return false;
	set_account(item, MemoryContextStrdup(batch->context, row_text(0, "client_id")), row_int64(0, "account_id"),
				row_int64(0, "acting_id"));
	return true;
}

/* Read the member within an item; false: the item fails, because of a field of it. */
static bool
read_member(const ItemBatch *batch, SellerItem *item, Call *call)
{
	const char *json = item->fields[INLINE_MEMBER];
	const Field *field;
	const Refusal *refusal;

	call_start(call, &seller_member, FROM_REQUEST);
	json_read_object(json, strlen(json), call_has_field, take_member_field, call);
	refusal = fields_check(call, &field);
	if (refusal != NULL)
		item_fail(item, refusal->request, MemoryContextStrdup(batch->context, psprintf("member.%s", field->name)));
	return refusal == NULL;
}

static void
check_member(const ItemBatch *batch, SellerItem *item)
{
	Call		call;

	db_begin();
	(void) read_member(batch, item, &call);
	db_end();
}

/* Create the member within an item, or find the one that somebody else has just created. */
static void
create_member(const ItemBatch *batch, SellerItem *item)
{
	Member		member;
	Call		call;
	ErrorId		error;

	db_begin();
	if (read_member(batch, item, &call))
	{
		error = seller_member_create(batch->merchant_id, item->program->program_id, call.values, &member);
		if (error == ERR_NONE)
			set_account(item, MemoryContextStrdup(batch->context, member.client_id), member.account_id, member_acting(&member));
		else if (error != ERR_MEMBER_EXISTS || !find_by_email(batch, item))
			item_fail(item, error, NULL);
	}
	db_end();
}

static bool
is_email(void *context pg_attribute_unused(), const char *name)
{
	return strcmp(name, "email") == 0;
}

static void
take_email(void *context, const char *name pg_attribute_unused(), JsonKind kind, const char *value)
{
	SellerItem *item = context;

	item->email = kind == JSON_IS_STRING ? text_folded(value) : "";
}

/* By email, then program; items that agree in both stay in their order. */
static int
compare_emails(const void *a, const void *b)
{
	const SellerItem *left = *(SellerItem *const *) a;
	const SellerItem *right = *(SellerItem *const *) b;
	int			order = strcmp(left->email, right->email);

	return order != 0 ? order : strcmp(left->fields[PROGRAM_ID], right->fields[PROGRAM_ID]);
}

/* Whether the members within two items are one. */
static bool
same_member(const SellerItem *first, const SellerItem *item)
{
	return first->program == item->program && strcmp(first->email, item->email) == 0;
}

static Statement members_by_email_sql = {
	.sql = "SELECT u.ordinal, m.client_id, m.account_id, " ACTING("m.member_id", "m.account_id") " AS acting_id FROM unnest($3) WITH ORDINALITY u (email, ordinal)"
	" JOIN loyalty_internal.member m ON loyalty.fold(m.email) = u.email"
	" WHERE m.merchant_id = $1 AND m.program_id = $2 AND m.active",
	.params = {INT8OID, INT8OID, TEXTARRAYOID}
};

/* Look up, in one statement, which emails the members of a program have. */
static void
find_run_emails(const ItemBatch *batch, SellerItem **items, size_t count)
{
	SellerItem **asked;
	Datum	   *emails;
	Datum		values[3] = {Int64GetDatum(batch->merchant_id), Int64GetDatum(items[0]->program->program_id)};
	int			nasked = 0;
	uint64		found = 0;

	db_begin();
	asked = palloc(count * sizeof(SellerItem *));
	emails = palloc(count * sizeof(Datum));
	for (size_t i = 0; i < count; i++)
	{
		if (*items[i]->email == '\0')
			continue;
		emails[nasked] = CStringGetTextDatum(items[i]->email);
		asked[nasked++] = items[i];
	}
	values[2] = array_datum(emails, nasked, TEXTOID);
	if (nasked > 0)
		found = db_read(&members_by_email_sql, values, NULL);
	for (uint64 row = 0; row < found; row++)
		set_account(asked[row_int64(row, "ordinal") - 1], MemoryContextStrdup(batch->context, row_text(row, "client_id")),
					row_int64(row, "account_id"), row_int64(row, "acting_id"));
	db_end();
}

static bool
lacks_member(const SellerItem *item)
{
	return item->fields[MEMBER_CLIENT] == NULL;
}

/* Find the members within items, by their emails, and check those that are still to be created. */
static void
find_inline_members(ItemBatch *batch)
{
	size_t		count;
	SellerItem **items = items_left(batch, lacks_member, &count);

	merge_sort(items, count, sizeof(SellerItem *), compare_programs);
	for (size_t i = 0; i < count; i++)
	{
		const char *json = items[i]->fields[INLINE_MEMBER];
		MemoryContext old = MemoryContextSwitchTo(batch->context);

		items[i]->email = "";
		json_read_object(json, strlen(json), is_email, take_email, items[i]);
		MemoryContextSwitchTo(old);
	}
	for (size_t from = 0, n; from < count; from += n)
	{
		n = run_of_program(&items[from], count - from);
		find_run_emails(batch, &items[from], n);
	}
	merge_sort(items, count, sizeof(SellerItem *), compare_emails);
	for (size_t i = 0; i < count; i++)
	{
		/* who is made by an item before is found by the email */
		if (lacks_member(items[i]) && !(i > 0 && items[i - 1]->error == ERR_NONE && same_member(items[i - 1], items[i])))
			check_member(batch, items[i]);
	}
	pfree(items);
}

static void
find_accounts(ItemBatch *batch)
{
	find_members(batch);
	for (size_t i = 0; i < batch->count; i++)
	{
		SellerItem *item = &batch->items[i];

		if (item->error == ERR_NONE && names_member(item) && item->account_id == 0)
			item_fail(item, ERR_MEMBER_NOT_FOUND, NULL);
	}
	find_inline_members(batch);
}

/*
 * Create the members within items.  They are created in the order of their
 * emails, whatever the order of the items, so that two batches that create the
 * same members cannot deadlock.
 */
static void
create_members(ItemBatch *batch)
{
	size_t		count;
	SellerItem **items = items_left(batch, lacks_member, &count);

	merge_sort(items, count, sizeof(SellerItem *), compare_emails);
	for (size_t i = 0; i < count; i++)
	{
		/* an item before may have created the member */
		if (i > 0 && items[i - 1]->account_id != 0 && same_member(items[i - 1], items[i]))
			set_account(items[i], items[i - 1]->fields[MEMBER_CLIENT], items[i - 1]->account_id, items[i - 1]->member_id);
		else
			create_member(batch, items[i]);
	}
	pfree(items);
}

/* ------------------------------------------------------------------------
 * Posting
 * ------------------------------------------------------------------------ */

/* The seller API's error for one of the engine. */
static ErrorId
posting_error(ErrorId error)
{
	switch (error)
	{
		case ERR_INSUFFICIENT_POINTS:
			return ERR_NOT_ENOUGH_POINTS;
		case ERR_BALANCE_OUT_OF_RANGE:
			return ERR_AMOUNT_OUT_OF_RANGE;
		case ERR_UNKNOWN_ACCOUNT:
			return ERR_MEMBER_NOT_FOUND;
		case ERR_ACCOUNT_MOVED:
			/* the member has begun to share another account just now, or was erased; or too much was due */
			return ERR_UNAVAILABLE;
		case ERR_LIMIT_EXCEEDED:
			return ERR_PROGRAM_LIMIT_EXCEEDED;
		default:
			return error;
	}
}

/* What an item asks of the engine; an accumulation is a sale, which the program's rules and ranks apply to. */
static Posting
posting_of(const ItemBatch *batch, const SellerItem *item)
{
	const Program *program = item->program;
	const char *goods = item->fields[GOODS];
	Posting		posting = {
		.account_id = item->account_id,
		.member_id = item->member_id,
		.looked_up = true,
		.key_id = batch->key_id,
		.request_id = batch->request_id,
		.kind = item->kind,
		.amount = item->amount,
		.money = item->money,
		.has_money = item->has_money,
		.program = program->tracks_lots ? program : NULL,
		.detail = item_detail(item),
	};

	if (item->fields[REFERENCE] != NULL)
		posting.reference = cstring_to_text(item->fields[REFERENCE]);
	if (batch->operation == SELLER_ACCUMULATION)
	{
		posting.earns = true;
		posting.earning_money = item->money;
		posting.items = goods != NULL ? cstring_to_text(goods) : NULL;
	}
	return posting;
}

static void
post_run(const ItemBatch *batch, SellerItem **items, size_t count)
{
	Posting    *postings;

	db_begin();
	postings = palloc(count * sizeof(Posting));
	for (size_t i = 0; i < count; i++)
		postings[i] = posting_of(batch, items[i]);
	ledger_post_bounded(batch->merchant_id, postings, count, batch->due);
	for (size_t i = 0; i < count; i++)
	{
		items[i]->entry_id = postings[i].entry_id;
		items[i]->balance = postings[i].balance;
		if (postings[i].error != ERR_NONE)
			item_fail(items[i], posting_error(postings[i].error), NULL);
	}
	db_end();
}

/* Lock the accounts of all items, and those of the members who act. */
static void
lock_items(const ItemBatch *batch, SellerItem **items, size_t count)
{
	int64	   *ids;
	int			n = 0;

	db_begin();
	ids = palloc(2 * count * sizeof(int64));
	for (size_t i = 0; i < count; i++)
	{
		ids[n++] = items[i]->account_id;
		if (items[i]->member_id != 0)
			ids[n++] = items[i]->member_id;
	}
	accounts_hold(batch->merchant_id, ids, n);
	db_end();
}

/* By program, then account, so that few accounts are in two runs; items of one stay in their order. */
static int
compare_by_account(const void *a, const void *b)
{
	int64		left = (*(SellerItem *const *) a)->account_id;
	int64		right = (*(SellerItem *const *) b)->account_id;
	int			order = compare_programs(a, b);

	return order != 0 ? order : (left > right) - (left < right);
}

/*
 * Before a member is created or an account locked there has to be space for all
 * items, or all fail.  Returns how much was taken.
 */
static int64
take_space(ItemBatch *batch)
{
	size_t		count;
	SellerItem **items = items_left(batch, is_any, &count);
	int64		bytes = 0;

	for (size_t i = 0; i < count; i++)
		bytes += item_space(items[i], i > 0 ? items[i - 1] : NULL, batch->operation) + (lacks_member(items[i]) ? member_space(items[i]->fields[INLINE_MEMBER]) : 0);
	if (count > 0 && !entry_space_take(batch->merchant_id, SPACE_OF_MERCHANT, bytes))
	{
		for (size_t i = 0; i < count; i++)
			item_fail(items[i], ERR_PROGRAM_LIMIT_EXCEEDED, NULL);
		bytes = 0;
	}
	pfree(items);
	return bytes;
}

/* Post what has not failed. */
static void
post_items(ItemBatch *batch)
{
	size_t		count;
	SellerItem **items = items_left(batch, is_any, &count);

	if (count > RUN_LENGTH)
	{
		lock_items(batch, items, count);
		merge_sort(items, count, sizeof(SellerItem *), compare_by_account);
	}
	for (size_t from = 0; from < count; from += RUN_LENGTH)
		post_run(batch, &items[from], Min(count - from, RUN_LENGTH));
	pfree(items);
}

/* ------------------------------------------------------------------------
 * Answers
 * ------------------------------------------------------------------------ */

/* What an item is answered with; of a repetition, what was kept of it. */
typedef struct Answer
{
	const SellerItem *item;
	const char *entry;
	const char *status;
	const char *description;
	const char *member;
	const char *points;
} Answer;

/* Write the next answer of a list. */
static void
write_answer(StringInfo json, SellerOperation operation, const Answer *answer, const char *program_id)
{
	appendStringInfoString(json, json->len == 0 ? "[{" : ",{");
	/* the document spells it in two ways */
	body_text(json, operation == SELLER_REDEMPTION ? "transactionId" : "transactionid", answer->entry);
	body_text(json, "status", answer->status);
	body_text(json, "description", answer->description);
	body_text(json, "programId", program_id ? program_id : "");
	body_text(json, "memberId", answer->member ? answer->member : "");
	body_json(json, "totalPoints", answer->points);
	appendStringInfoChar(json, '}');
}

/* The currency that an item names, and is refused for: the one text of it that a description ends in. */
static const char *
refused_currency(const SellerItem *item, SellerOperation operation)
{
	if (item->fields[CURRENCY] == NULL && operation == SELLER_ACCUMULATION)
		return item->fields[AMOUNT_CURRENCY];
	return item->fields[CURRENCY];
}

/*
 * Write the answer of an item, and what is kept of it for a repetition, which
 * has nothing that the item says: a repetition says it again, and it may name
 * somebody whom nobody knows by it, and who could not be erased here.  So a
 * failed item is answered with the member that it says, and no other.
 */
static void
answer_item(const ItemBatch *batch, const SellerItem *item, StringInfo json, StringInfo kept)
{
	bool		failed = item->error != ERR_NONE;
	const char *message = failed ? error_info(item->error)->message : "";
	char	   *description = item->field ? psprintf("%s: %s", message, item->field) : NULL;
	char	   *balance = points_text(failed ? 0 : item->balance);
	char		entry[MAXINT8LEN + 1] = "";
	Answer		answer = {
		.entry = entry,
		.status = failed ? "error" : "success",
		.description = description ? description : message,
		.member = failed ? item->named_member : item->fields[MEMBER_CLIENT],
		.points = balance,
	};

	if (!failed)
		pg_lltoa(item->entry_id, entry);
	write_answer(json, batch->operation, &answer, item->fields[PROGRAM_ID]);
	if (kept != NULL)
	{
		if (description != NULL && item->field == refused_currency(item, batch->operation))
			description[strlen(message) + 2] = '\0';
		if (item->named_member != NULL)
			answer.member = NULL;
		write_answer(kept, batch->operation, &answer, answer.member ? item->fields[PROGRAM_ID] : NULL);
	}
	pfree(balance);
	if (description != NULL)
		pfree(description);
}

/* Read the items of a batch, check them, find or create their members, and post. */
static void
run_items(Call *call, ItemBatch *batch)
{
	items_read(batch, call);
	find_programs(batch);
	for (size_t i = 0; i < batch->count; i++)
	{
		if (batch->items[i].error == ERR_NONE)
			item_check_program(&batch->items[i], batch->operation);
	}
	find_accounts(batch);
	call->space = take_space(batch);
	create_members(batch);
	post_items(batch);
	entry_space_owe(call->merchant_id, SPACE_OF_MERCHANT, (int64) call->due * ENTRY_BYTES);
	if (batch->program != NULL)
		row_limit_check_program(batch->program);
}

/* The list that was written, which may have none. */
static char *
end_answers(StringInfo json)
{
	appendStringInfoString(json, json->len == 0 ? "[]" : "]");
	return json->data;
}

/* Run a batch, and answer each item. */
void
seller_batch_run(Call *call, SellerOperation operation)
{
	ItemBatch	batch = {.merchant_id = call->merchant_id,.key_id = call->key.key_id,.request_id = call->request_id,.operation = operation,.due = &call->due};
	StringInfo	json = makeStringInfo();
	StringInfo	kept = call->idempotency_key != NULL ? makeStringInfo() : NULL;

	batch.context = AllocSetContextCreate(CurrentMemoryContext, "loyalty items", ALLOCSET_DEFAULT_SIZES);
	run_items(call, &batch);
	for (size_t i = 0; i < batch.count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		answer_item(&batch, &batch.items[i], json, kept);
	}
	MemoryContextDelete(batch.context);
	call->json = end_answers(json);
	if (kept != NULL)
		call->kept = end_answers(kept);
}

/* ------------------------------------------------------------------------
 * Repetitions
 * ------------------------------------------------------------------------ */

typedef struct Repetition
{
	ItemBatch	batch;
	Answer		answer;			/* to the item that is read */
	StringInfoData json;
} Repetition;

static void
end_answer(Repetition *repetition)
{
	Answer	   *answer = &repetition->answer;
	SellerOperation operation = repetition->batch.operation;
	size_t		length;

	if (answer->item == NULL)
		return;
	length = strlen(answer->description);
	if (length > 2 && strcmp(answer->description + length - 2, ": ") == 0)
		answer->description = psprintf("%s%s", answer->description, refused_currency(answer->item, operation));
	if (answer->item->named_member != NULL)
		answer->member = answer->item->named_member;
	write_answer(&repetition->json, operation, answer, answer->item->fields[PROGRAM_ID]);
}

static void *
start_answer(void *context, size_t index, size_t count, bool is_object)
{
	Repetition *repetition = context;

	if (!is_object || count != repetition->batch.count)
		elog(ERROR, "the answer that was kept is not one to the batch");
	end_answer(repetition);
	repetition->answer = (Answer)
	{
		.item = &repetition->batch.items[index],.description = ""
	};
	return repetition;
}

static void
take_answer(void *context, const char *name, JsonKind kind pg_attribute_unused(), const char *value)
{
	Answer	   *answer = &((Repetition *) context)->answer;

	if (strcmp(name, "transactionid") == 0 || strcmp(name, "transactionId") == 0)
		answer->entry = value;
	else if (strcmp(name, "status") == 0)
		answer->status = value;
	else if (strcmp(name, "description") == 0)
		answer->description = value;
	else if (strcmp(name, "memberId") == 0)
		answer->member = value;
	else if (strcmp(name, "totalPoints") == 0)
		answer->points = value;
}

/* The answer to a batch that was answered before: what was kept of that, and what the items say. */
char *
seller_batch_complete(const Call *call, SellerOperation operation, const char *kept)
{
	MemoryContext outer = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(outer, "loyalty items", ALLOCSET_DEFAULT_SIZES);
	Repetition	repetition = {.batch = {.merchant_id = call->merchant_id,.operation = operation,.context = context}};

	initStringInfo(&repetition.json);
	MemoryContextSwitchTo(context);
	items_read(&repetition.batch, call);
	if (repetition.batch.count > 0)
		json_read_items(kept, strlen(kept), repetition.batch.count, start_answer, NULL, take_answer, &repetition);
	end_answer(&repetition);
	MemoryContextSwitchTo(outer);
	MemoryContextDelete(context);
	return end_answers(&repetition.json);
}
