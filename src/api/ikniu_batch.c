/*
 * ikniu_batch.c
 *		Deposits, redemptions and accumulations of the seller API, in batches.
 *
 * An array of items goes in, an array of the same length and order comes out,
 * and each item succeeds or fails alone.  No subtransaction is needed for that:
 * the items are checked, their programs and members are looked up (members of a
 * program all at once), and those that have not failed are one batch for the
 * engine.  Then the answers are written.
 */
#include "postgres.h"

#include "api/fields.h"
#include "api/ikniu_batch.h"
#include "api/ikniu_member.h"
#include "base/fold.h"
#include "base/json.h"
#include "catalog/pg_type.h"
#include "db/columns.h"
#include "earning/goods.h"
#include "ledger/ledger.h"
#include "program/program.h"
#include "utils/builtins.h"

#define MAX_ITEMS 100000

typedef enum ItemKind
{
	ITEM_ID,					/* a string, or a number, taken as it is written */
	ITEM_TEXT,					/* a string */
	ITEM_AMOUNT,				/* a number, or a string, which may be one */
	ITEM_GOODS,					/* an array of objects */
	ITEM_MEMBER					/* an object, or a member's id */
} ItemKind;

enum
{
	PROGRAM_ID, MEMBER_CLIENT, AMOUNT, COMMENTS, AMOUNT_CURRENCY, CURRENCY, REFERENCE, CONCEPT, BRANCH, VENDOR,
	GOODS, INLINE_MEMBER, ITEM_FIELDS
};

static const struct
{
	const char *name;
	ItemKind	kind;
}			item_fields[ITEM_FIELDS] = {
	[PROGRAM_ID] = {"programId", ITEM_ID},
	[MEMBER_CLIENT] = {"memberId", ITEM_ID},
	[AMOUNT] = {"amount", ITEM_AMOUNT},
	[COMMENTS] = {"comments", ITEM_TEXT},
	[AMOUNT_CURRENCY] = {"amountCurrency", ITEM_AMOUNT},
	[CURRENCY] = {"currency", ITEM_TEXT},
	[REFERENCE] = {"reference", ITEM_ID},
	[CONCEPT] = {"concept", ITEM_TEXT},
	[BRANCH] = {"branchId", ITEM_ID},
	[VENDOR] = {"vendorId", ITEM_ID},
	[GOODS] = {"items", ITEM_GOODS},
	[INLINE_MEMBER] = {"member", ITEM_MEMBER},
};

/* A program that items name, looked up once. */
typedef struct ItemProgram
{
	const Program *program;		/* NULL: there is none */
	struct ItemProgram *next;
} ItemProgram;

typedef struct SellerItem
{
	const char *fields[ITEM_FIELDS];	/* NULL: absent or empty */
	bool		malformed[ITEM_FIELDS]; /* of a wrong kind, or too long */
	const char *named_member;	/* the member, where that is an id */
	ErrorId		error;
	const char *field;			/* that the error is about, or NULL */
	ItemProgram *program;
	const char *email;			/* of the member within, folded, or "" */
	Posting		posting;
} SellerItem;

typedef struct ItemBatch
{
	int64		merchant_id;
	SellerOperation operation;
	SellerItem *items;
	size_t		count;
	ItemProgram *programs;
} ItemBatch;

static void
fail(SellerItem *item, ErrorId error, const char *field)
{
	if (item->error == ERR_NONE)
	{
		item->error = error;
		item->field = field;
	}
}

static void
fail_field(SellerItem *item, ErrorId error, int field)
{
	fail(item, error, item_fields[field].name);
}

/* ------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------ */

static bool
item_accepts(ItemKind kind, JsonKind value)
{
	switch (kind)
	{
		case ITEM_ID:
		case ITEM_AMOUNT:
			return value == JSON_IS_STRING || value == JSON_IS_NUMBER;
		case ITEM_TEXT:
			return value == JSON_IS_STRING;
		case ITEM_GOODS:
			return value == JSON_IS_ARRAY;
		case ITEM_MEMBER:
			return value == JSON_IS_OBJECT || value == JSON_IS_STRING;
	}
	return false;
}

static void *
start_item(void *context, size_t index, size_t count, bool is_object)
{
	ItemBatch  *batch = context;

	if (count > MAX_ITEMS)
		raise_error(ERR_INVALID_ITEMS);
	if (index == 0)
	{
		batch->items = palloc_extended(count * sizeof(SellerItem), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
		batch->count = count;
	}
	if (!is_object)
		fail(&batch->items[index], ERR_INVALID_ITEMS, NULL);
	return &batch->items[index];
}

/* Set a field of an item.  Of several values the last one counts, also if it is malformed or null. */
static void
take_item_value(SellerItem *item, int i, JsonKind kind, const char *value)
{
	ItemKind	field = item_fields[i].kind;
	bool		nested = kind == JSON_IS_ARRAY || kind == JSON_IS_OBJECT;

	item->fields[i] = NULL;
	item->malformed[i] = kind != JSON_IS_NULL &&
		(!item_accepts(field, kind) || strlen(value) > (nested ? ARRAY_MAX_LENGTH : FIELD_MAX_LENGTH));
	if (kind == JSON_IS_NULL || item->malformed[i] || text_is_blank(value))
		return;
	item->fields[i] = kind == JSON_IS_NUMBER && field == ITEM_AMOUNT ? json_plain_number(value) : value;
}

static void
take_item_field(void *context, const char *name, JsonKind kind, const char *value)
{
	SellerItem *item = context;

	for (int i = 0; i < ITEM_FIELDS; i++)
	{
		if (strcmp(item_fields[i].name, name) != 0)
			continue;
		take_item_value(item, i, kind, value);
		if (kind == JSON_IS_UNREADABLE)
			fail_field(item, ERR_INVALID_FIELD, i);
		if (i != INLINE_MEMBER)
			continue;
		/* accumulations know a member's id by this name too */
		item->named_member = kind == JSON_IS_STRING ? item->fields[i] : NULL;
		if (kind == JSON_IS_STRING)
			item->fields[i] = NULL;
	}
	if (kind == JSON_IS_UNREADABLE)
		fail(item, ERR_INVALID_FIELD, NULL);
}

/* Check a field of one of the goods of an item. */
static void
take_good_field(void *context, const char *name, JsonKind kind, const char *value)
{
	bool		text = strcmp(name, "sku") == 0 || strcmp(name, "name") == 0;
	bool		number = strcmp(name, "quantity") == 0 || strcmp(name, "unitPrice") == 0;

	if (kind == JSON_IS_NUMBER)
		value = json_plain_number(value);
	if ((text && kind != JSON_IS_STRING && kind != JSON_IS_NUMBER) ||
		(number && kind != JSON_IS_NUMBER && kind != JSON_IS_STRING) ||
		(number && !good_number_valid(value)))
		fail_field(context, ERR_INVALID_FIELD, GOODS);
}

static void *
start_item_good(void *context, size_t index pg_attribute_unused(), size_t count pg_attribute_unused(),
				bool is_object)
{
	if (!is_object)
		fail_field(context, ERR_INVALID_FIELD, GOODS);
	return context;
}

/* ------------------------------------------------------------------------
 * Checking
 * ------------------------------------------------------------------------ */

/* The currency of the amount of an item; NULL: it is in points. */
static const char *
item_currency(const SellerItem *item, SellerOperation operation)
{
	if (item->fields[CURRENCY] != NULL || operation != SELLER_ACCUMULATION)
		return item->fields[CURRENCY];
	/* the document's own sample of an accumulation names the currency here */
	if (item->fields[AMOUNT_CURRENCY] != NULL)
		return item->fields[AMOUNT_CURRENCY];
	return item->program->program->currency_iso;
}

/* Compute the points of a deposit or an accumulation. */
static void
price_earning(SellerItem *item, SellerOperation operation, Points amount)
{
	const Program *program = item->program->program;
	const char *currency = item_currency(item, operation);
	Posting    *posting = &item->posting;

	posting->program = program->tracks_lots ? program : NULL;
	if (currency == NULL)
	{
		posting->kind = ENTRY_DEPOSIT;
		posting->amount = amount;
		if (!program->unit_base)
			fail(item, ERR_CURRENCY_REQUIRED, NULL);
		else if (points_decimals_used(amount) > program->decimals)
			fail_field(item, ERR_INVALID_FIELD, AMOUNT);
		return;
	}
	posting->kind = ENTRY_ACCRUE;
	posting->money = amount;
	posting->has_money = true;
	if (strcmp(currency, program->currency_iso) != 0 || !program->currency_active)
		fail(item, ERR_CURRENCY_NOT_ACCEPTED, currency);
	else if (!program_accumulate(program, amount, &posting->amount))
		fail_field(item, ERR_INVALID_FIELD, AMOUNT);
}

/* Check that the points of a redemption are worth its money. */
static void
price_redemption(SellerItem *item, Points amount)
{
	const Program *program = item->program->program;
	const char *currency = item->fields[CURRENCY];
	Posting    *posting = &item->posting;

	posting->program = program->tracks_lots ? program : NULL;
	posting->kind = ENTRY_REDEEM;
	posting->amount = -amount;
	posting->has_money = true;
	if (points_decimals_used(amount) > program->decimals)
		fail_field(item, ERR_INVALID_FIELD, AMOUNT);
	else if (!parse_amount(item->fields[AMOUNT_CURRENCY], &posting->money))
		fail_field(item, ERR_INVALID_FIELD, AMOUNT_CURRENCY);
	else if (!program->currency_active || (currency != NULL && strcmp(currency, program->currency_iso) != 0))
		fail(item, ERR_CURRENCY_NOT_ACCEPTED, currency ? currency : program->currency_iso);
	else if (!program_redeems_for(program, amount, posting->money))
		fail(item, ERR_AMOUNT_MISMATCH, NULL);
}

static void
check_present(SellerItem *item, SellerOperation operation)
{
	if (item->fields[PROGRAM_ID] == NULL)
		fail_field(item, ERR_MISSING_FIELD, PROGRAM_ID);
	else if (item->fields[MEMBER_CLIENT] == NULL &&
			 (item->fields[INLINE_MEMBER] == NULL || operation == SELLER_REDEMPTION))
		fail_field(item, ERR_MISSING_FIELD, MEMBER_CLIENT);
	else if (item->fields[AMOUNT] == NULL)
		fail_field(item, ERR_MISSING_FIELD, AMOUNT);
	else if (item->fields[COMMENTS] == NULL)
		fail_field(item, ERR_MISSING_FIELD, COMMENTS);
	else if (operation == SELLER_REDEMPTION && item->fields[AMOUNT_CURRENCY] == NULL)
		fail_field(item, ERR_MISSING_FIELD, AMOUNT_CURRENCY);
}

/* Check what an item says by itself. */
static void
check_fields(SellerItem *item, SellerOperation operation)
{
	const char *goods = item->fields[GOODS];

	for (int i = 0; i < ITEM_FIELDS; i++)
	{
		if (item->malformed[i])
			fail_field(item, ERR_INVALID_FIELD, i);
	}
	if (item->fields[MEMBER_CLIENT] == NULL)
		item->fields[MEMBER_CLIENT] = item->named_member;
	if (item->error == ERR_NONE)
		check_present(item, operation);
	if (item->error == ERR_NONE && goods != NULL)
		json_read_items(goods, strlen(goods), start_item_good, take_good_field, item);
}

/* Check an item by its program, and compute its points. */
static void
check_program(const ItemBatch *batch, SellerItem *item)
{
	Points		amount;

	if (item->program->program == NULL)
		fail(item, ERR_PROGRAM_NOT_FOUND, NULL);
	else if (!item->program->program->active && batch->operation != SELLER_REDEMPTION)
		fail(item, ERR_PROGRAM_INACTIVE, NULL);
	else if (!parse_amount(item->fields[AMOUNT], &amount))
		fail_field(item, ERR_INVALID_FIELD, AMOUNT);
	else if (batch->operation == SELLER_REDEMPTION)
		price_redemption(item, amount);
	else
		price_earning(item, batch->operation, amount);
}

/* ------------------------------------------------------------------------
 * Programs and members
 * ------------------------------------------------------------------------ */

static int
compare_program_ids(const void *a, const void *b)
{
	return strcmp((*(SellerItem *const *) a)->fields[PROGRAM_ID], (*(SellerItem *const *) b)->fields[PROGRAM_ID]);
}

/* Look up each program that items name, once. */
static void
find_programs(ItemBatch *batch)
{
	SellerItem **items = palloc_extended(batch->count * sizeof(SellerItem *), MCXT_ALLOC_HUGE);
	size_t		count = 0;

	for (size_t i = 0; i < batch->count; i++)
	{
		if (batch->items[i].error == ERR_NONE)
			items[count++] = &batch->items[i];
	}
	qsort(items, count, sizeof(SellerItem *), compare_program_ids);
	for (size_t i = 0; i < count; i++)
	{
		ItemProgram *program;

		if (i > 0 && compare_program_ids(&items[i - 1], &items[i]) == 0)
		{
			items[i]->program = items[i - 1]->program;
			continue;
		}
		program = items[i]->program = palloc0(sizeof(ItemProgram));
		program->program = program_of_client_id(batch->merchant_id, items[i]->fields[PROGRAM_ID]);
		program->next = batch->programs;
		batch->programs = program;
	}
}

static int
compare_member_ids(const void *a, const void *b)
{
	return strcmp((*(SellerItem *const *) a)->fields[MEMBER_CLIENT], (*(SellerItem *const *) b)->fields[MEMBER_CLIENT]);
}

/* Set the member of an item and its account; acting is what member_acting() says. */
static void
set_account(SellerItem *item, const char *client_id, int64 account_id, int64 acting)
{
	item->fields[MEMBER_CLIENT] = client_id;
	item->posting.account_id = account_id;
	item->posting.member_id = acting;
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
find_members(ItemBatch *batch, ItemProgram *program)
{
	SellerItem **items = palloc_extended(batch->count * sizeof(SellerItem *), MCXT_ALLOC_HUGE);
	Datum	   *ids = palloc_extended(batch->count * sizeof(Datum), MCXT_ALLOC_HUGE);
	Datum		values[3] = {Int64GetDatum(batch->merchant_id), Int64GetDatum(program->program->program_id)};
	size_t		count = 0;
	int			distinct = 0;
	uint64		found;

	for (size_t i = 0; i < batch->count; i++)
	{
		SellerItem *item = &batch->items[i];

		if (item->error == ERR_NONE && item->program == program && item->fields[MEMBER_CLIENT] != NULL)
			items[count++] = item;
	}
	if (count == 0)
		return;
	qsort(items, count, sizeof(SellerItem *), compare_member_ids);
	for (size_t i = 0; i < count; i++)
	{
		if (i == 0 || compare_member_ids(&items[i - 1], &items[i]) != 0)
			ids[distinct++] = CStringGetTextDatum(items[i]->fields[MEMBER_CLIENT]);
	}
	values[2] = array_datum(ids, distinct, TEXTOID);
	found = db_read(&members_find_sql, values, NULL);
	for (uint64 row = 0; row < found; row++)
		give_account(items, count, row_text(row, "client_id"), row_int64(row, "account_id"), row_int64(row, "acting_id"));
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
		Int64GetDatum(item->program->program->program_id),
		CStringGetTextDatum(item->email),
	};

	if (db_write(&member_by_email_sql, values, NULL) == 0 || !row_bool(0, "active"))
		return false;
	set_account(item, row_text(0, "client_id"), row_int64(0, "account_id"), row_int64(0, "acting_id"));
	return true;
}

/* Create the member within an item, or find the one that somebody else has just created. */
static void
create_member(const ItemBatch *batch, SellerItem *item)
{
	const char *json = item->fields[INLINE_MEMBER];
	const Field *field;
	const Refusal *refusal;
	Member		member;
	Call		call;
	ErrorId		error;

	call_start(&call, &seller_member, FROM_REQUEST);
	json_read_object(json, strlen(json), take_member_field, &call);
	refusal = fields_check(&call, &field);
	if (refusal != NULL)
	{
		fail(item, refusal->request, psprintf("member.%s", field->name));
		return;
	}
	error = seller_member_create(batch->merchant_id, item->program->program->program_id, call.values, &member);
	if (error == ERR_MEMBER_EXISTS && find_by_email(batch, item))
		return;
	if (error != ERR_NONE)
		fail(item, error, NULL);
	else
		set_account(item, member.client_id, member.account_id, member_acting(&member));
}

static void
take_email(void *context, const char *name, JsonKind kind, const char *value)
{
	SellerItem *item = context;

	if (strcmp(name, "email") == 0)
		item->email = kind == JSON_IS_STRING ? text_folded(value) : "";
}

/* By email, then program; items that agree in both stay in their order. */
static int
compare_emails(const void *a, const void *b)
{
	const SellerItem *left = *(SellerItem *const *) a;
	const SellerItem *right = *(SellerItem *const *) b;
	int			order = strcmp(left->email, right->email);

	if (order == 0)
		order = strcmp(left->fields[PROGRAM_ID], right->fields[PROGRAM_ID]);
	return order != 0 ? order : (left > right) - (left < right);
}

/* Whether the second item is of the member that the first has. */
static bool
same_member(const SellerItem *first, const SellerItem *item)
{
	return first->fields[MEMBER_CLIENT] != NULL && first->program == item->program &&
		strcmp(first->email, item->email) == 0;
}

static Statement members_by_email_sql = {
	.sql = "SELECT u.ordinal, m.client_id, m.account_id, " ACTING("m.member_id", "m.account_id") " AS acting_id FROM unnest($3) WITH ORDINALITY u (email, ordinal)"
	" JOIN loyalty_internal.member m ON loyalty.fold(m.email) = u.email"
	" WHERE m.merchant_id = $1 AND m.program_id = $2 AND m.active",
	.params = {INT8OID, INT8OID, TEXTARRAYOID}
};

/* Look up, in one statement, which emails the members of a program have. */
static void
find_emails(const ItemBatch *batch, const ItemProgram *program, SellerItem **items, size_t count)
{
	SellerItem **asked = palloc_extended(count * sizeof(SellerItem *), MCXT_ALLOC_HUGE);
	Datum	   *emails = palloc_extended(count * sizeof(Datum), MCXT_ALLOC_HUGE);
	Datum		values[3] = {Int64GetDatum(batch->merchant_id), Int64GetDatum(program->program->program_id)};
	int			nasked = 0;
	uint64		found;

	for (size_t i = 0; i < count; i++)
	{
		if (items[i]->program != program || *items[i]->email == '\0')
			continue;
		emails[nasked] = CStringGetTextDatum(items[i]->email);
		asked[nasked++] = items[i];
	}
	if (nasked == 0)
		return;
	values[2] = array_datum(emails, nasked, TEXTOID);
	found = db_read(&members_by_email_sql, values, NULL);
	for (uint64 row = 0; row < found; row++)
		set_account(asked[row_int64(row, "ordinal") - 1], row_text(row, "client_id"), row_int64(row, "account_id"),
					row_int64(row, "acting_id"));
}

/*
 * Find or create the members within items.  They are created in the order of
 * their emails, whatever the order of the items, so that two batches that
 * create the same members cannot deadlock.
 */
static void
find_inline_members(ItemBatch *batch)
{
	SellerItem **items = palloc_extended(batch->count * sizeof(SellerItem *), MCXT_ALLOC_HUGE);
	size_t		count = 0;

	for (size_t i = 0; i < batch->count; i++)
	{
		SellerItem *item = &batch->items[i];
		const char *json = item->fields[INLINE_MEMBER];

		if (item->error != ERR_NONE || item->fields[MEMBER_CLIENT] != NULL)
			continue;
		item->email = "";
		json_read_object(json, strlen(json), take_email, item);
		items[count++] = item;
	}
	if (count == 0)
		return;
	for (ItemProgram *program = batch->programs; program != NULL; program = program->next)
	{
		if (program->program != NULL)
			find_emails(batch, program, items, count);
	}
	qsort(items, count, sizeof(SellerItem *), compare_emails);
	for (size_t i = 0; i < count; i++)
	{
		/* an item before may have created the member */
		if (i > 0 && same_member(items[i - 1], items[i]))
			set_account(items[i], items[i - 1]->fields[MEMBER_CLIENT], items[i - 1]->posting.account_id,
						items[i - 1]->posting.member_id);
		if (items[i]->fields[MEMBER_CLIENT] == NULL)
			create_member(batch, items[i]);
	}
}

static void
find_accounts(ItemBatch *batch)
{
	for (ItemProgram *program = batch->programs; program != NULL; program = program->next)
	{
		if (program->program != NULL)
			find_members(batch, program);
	}
	find_inline_members(batch);
	for (size_t i = 0; i < batch->count; i++)
	{
		SellerItem *item = &batch->items[i];

		if (item->error == ERR_NONE && item->posting.account_id == 0)
			fail(item, ERR_MEMBER_NOT_FOUND, NULL);
	}
}

/* ------------------------------------------------------------------------
 * Posting
 * ------------------------------------------------------------------------ */

/* The fields that the engine does not know, which are kept with the entry, as JSON. */
static text *
item_detail(const SellerItem *item)
{
	static const int kept[] = {COMMENTS, CONCEPT, BRANCH, VENDOR, CURRENCY, AMOUNT_CURRENCY};
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	for (int i = 0; i < (int) lengthof(kept); i++)
	{
		if (item->fields[kept[i]] != NULL)
			body_text(&json, item_fields[kept[i]].name, item->fields[kept[i]]);
	}
	if (item->fields[GOODS] != NULL)
		body_json(&json, item_fields[GOODS].name, item->fields[GOODS]);
	appendStringInfoChar(&json, '}');
	return cstring_to_text_with_len(json.data, json.len);
}

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
			/* the member has begun to share another account just now */
			return ERR_UNAVAILABLE;
		case ERR_LIMIT_EXCEEDED:
			return ERR_PROGRAM_LIMIT_EXCEEDED;
		default:
			return error;
	}
}

/* An accumulation is a sale, which the program's rules and ranks apply to. */
static void
make_sale(SellerItem *item)
{
	const char *goods = item->fields[GOODS];

	item->posting.earns = true;
	item->posting.earning_money = item->posting.money;
	item->posting.items = goods != NULL ? cstring_to_text(goods) : NULL;
}

static void
post_items(ItemBatch *batch)
{
	Posting    *postings = palloc_extended(batch->count * sizeof(Posting), MCXT_ALLOC_HUGE);
	size_t		n = 0;

	for (size_t i = 0; i < batch->count; i++)
	{
		SellerItem *item = &batch->items[i];

		if (item->error != ERR_NONE)
			continue;
		if (item->fields[REFERENCE] != NULL)
			item->posting.reference = cstring_to_text(item->fields[REFERENCE]);
		item->posting.detail = item_detail(item);
		if (batch->operation == SELLER_ACCUMULATION)
			make_sale(item);
		postings[n++] = item->posting;
	}
	ledger_post(batch->merchant_id, postings, n);
	n = 0;
	for (size_t i = 0; i < batch->count; i++)
	{
		SellerItem *item = &batch->items[i];

		if (item->error != ERR_NONE)
			continue;
		item->posting = postings[n++];
		if (item->posting.error != ERR_NONE)
			fail(item, posting_error(item->posting.error), NULL);
	}
}

static void
answer_item(const ItemBatch *batch, const SellerItem *item, StringInfo json)
{
	bool		failed = item->error != ERR_NONE;
	const char *message = failed ? error_info(item->error)->message : "";

	appendStringInfoChar(json, '{');
	/* the document spells it in two ways */
	body_text(json, batch->operation == SELLER_REDEMPTION ? "transactionId" : "transactionid",
			  failed ? "" : psprintf(INT64_FORMAT, item->posting.entry_id));
	body_text(json, "status", failed ? "error" : "success");
	body_text(json, "description", item->field ? psprintf("%s: %s", message, item->field) : message);
	body_text(json, "programId", item->fields[PROGRAM_ID] ? item->fields[PROGRAM_ID] : "");
	body_text(json, "memberId", item->fields[MEMBER_CLIENT] ? item->fields[MEMBER_CLIENT] : "");
	body_json(json, "totalPoints", points_text(failed ? 0 : item->posting.balance));
	appendStringInfoChar(json, '}');
}

/* Run a batch: read its items, check them, find their members, post, and answer each item. */
void
seller_batch_run(Call *call, SellerOperation operation)
{
	ItemBatch	batch = {.merchant_id = call->merchant_id,.operation = operation};
	StringInfoData json;

	if (!json_read_items(call->body, call->body_length, start_item, take_item_field, &batch))
		raise_error(ERR_INVALID_ITEMS);
	for (size_t i = 0; i < batch.count; i++)
		check_fields(&batch.items[i], operation);
	find_programs(&batch);
	for (size_t i = 0; i < batch.count; i++)
	{
		if (batch.items[i].error == ERR_NONE)
			check_program(&batch, &batch.items[i]);
	}
	find_accounts(&batch);
	post_items(&batch);

	initStringInfo(&json);
	appendStringInfoChar(&json, '[');
	for (size_t i = 0; i < batch.count; i++)
	{
		if (i > 0)
			appendStringInfoChar(&json, ',');
		answer_item(&batch, &batch.items[i], &json);
	}
	appendStringInfoChar(&json, ']');
	call->json = json.data;
}
