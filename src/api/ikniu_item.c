/*
 * ikniu_item.c
 *		Items of a batch of the seller API: reading and checking them, and what is kept.
 *
 * An item that is wrong fails alone, so nothing here raises an error but what is
 * wrong with the body as a whole.
 */
#include "postgres.h"

#include "api/fields.h"
#include "api/ikniu_item.h"
#include "base/fold.h"
#include "base/json.h"
#include "earning/goods.h"
#include "limits/entry_space.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define MAX_ITEMS 100000

typedef enum ItemKind
{
	ITEM_ID,					/* a string, or a number, taken as it is written */
	ITEM_TEXT,					/* a string */
	ITEM_AMOUNT,				/* a number, or a string, which may be one */
	ITEM_GOODS,					/* an array of objects */
	ITEM_MEMBER					/* an object, or a member's id */
} ItemKind;

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

/* Note why an item fails; the first reason counts. */
void
item_fail(SellerItem *item, ErrorId error, const char *field)
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
	item_fail(item, error, item_fields[field].name);
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

	if (index == 0)
	{
		batch->items = palloc_extended(count * sizeof(SellerItem), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
		batch->count = count;
	}
	if (!is_object)
		item_fail(&batch->items[index], ERR_INVALID_ITEMS, NULL);
	return &batch->items[index];
}

/* Set a field of an item.  Of several values the last one counts, also if it is malformed or null. */
static void
take_item_value(SellerItem *item, int i, JsonKind kind, const char *value)
{
	ItemKind	field = item_fields[i].kind;
	bool		nested = kind == JSON_IS_ARRAY || kind == JSON_IS_OBJECT;
	bool		malformed = kind != JSON_IS_NULL &&
	(!item_accepts(field, kind) || strlen(value) > (nested ? ARRAY_MAX_LENGTH : FIELD_MAX_LENGTH));

	item->fields[i] = NULL;
	item->malformed &= ~(1 << i);
	item->malformed |= malformed << i;
	if (kind == JSON_IS_NULL || malformed || text_is_blank(value))
		return;
	item->fields[i] = kind == JSON_IS_NUMBER && field == ITEM_AMOUNT ? json_plain_number(value) : value;
}

static bool
is_item_field(void *context pg_attribute_unused(), const char *name)
{
	for (int i = 0; i < ITEM_FIELDS; i++)
	{
		if (strcmp(item_fields[i].name, name) == 0)
			return true;
	}
	return false;
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
		item_fail(item, ERR_INVALID_FIELD, NULL);
}

static bool
is_good_field(void *context pg_attribute_unused(), const char *name)
{
	return strcmp(name, "sku") == 0 || strcmp(name, "name") == 0 || strcmp(name, "quantity") == 0 ||
		strcmp(name, "unitPrice") == 0;
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
	return item->program->currency_iso;
}

/* Compute the points of a deposit or an accumulation. */
static void
price_earning(SellerItem *item, SellerOperation operation, Points amount)
{
	const Program *program = item->program;
	const char *currency = item_currency(item, operation);

	if (currency == NULL)
	{
		item->kind = ENTRY_DEPOSIT;
		item->amount = amount;
		if (!program->unit_base)
			item_fail(item, ERR_CURRENCY_REQUIRED, NULL);
		else if (points_decimals_used(amount) > program->decimals)
			fail_field(item, ERR_INVALID_FIELD, AMOUNT);
		return;
	}
	item->kind = ENTRY_ACCRUE;
	item->money = amount;
	item->has_money = true;
	if (strcmp(currency, program->currency_iso) != 0 || !program->currency_active)
		item_fail(item, ERR_CURRENCY_NOT_ACCEPTED, currency);
	else if (!program_accumulate(program, amount, &item->amount))
		fail_field(item, ERR_INVALID_FIELD, AMOUNT);
}

/* Check that the points of a redemption are worth its money. */
static void
price_redemption(SellerItem *item, Points amount)
{
	const Program *program = item->program;
	const char *currency = item->fields[CURRENCY];

	item->kind = ENTRY_REDEEM;
	item->amount = -amount;
	item->has_money = true;
	if (points_decimals_used(amount) > program->decimals)
		fail_field(item, ERR_INVALID_FIELD, AMOUNT);
	else if (!parse_amount(item->fields[AMOUNT_CURRENCY], &item->money))
		fail_field(item, ERR_INVALID_FIELD, AMOUNT_CURRENCY);
	else if (!program->currency_active || (currency != NULL && strcmp(currency, program->currency_iso) != 0))
		item_fail(item, ERR_CURRENCY_NOT_ACCEPTED, currency ? currency : program->currency_iso);
	else if (!program_redeems_for(program, amount, item->money))
		item_fail(item, ERR_AMOUNT_MISMATCH, NULL);
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
		if (item->malformed & (1 << i))
			fail_field(item, ERR_INVALID_FIELD, i);
	}
	if (item->fields[MEMBER_CLIENT] == NULL)
		item->fields[MEMBER_CLIENT] = item->named_member;
	item->named_member = item->fields[MEMBER_CLIENT];
	if (item->error == ERR_NONE)
		check_present(item, operation);
	if (item->error == ERR_NONE && goods != NULL &&
		!json_read_items(goods, strlen(goods), MAX_GOODS, start_item_good, is_good_field, take_good_field, item))
		fail_field(item, ERR_INVALID_FIELD, GOODS);
}

/* Check an item by its program, and compute its points. */
void
item_check_program(SellerItem *item, SellerOperation operation)
{
	Points		amount;

	if (item->program == NULL)
		item_fail(item, ERR_PROGRAM_NOT_FOUND, NULL);
	else if (!item->program->active && operation != SELLER_REDEMPTION)
		item_fail(item, ERR_PROGRAM_INACTIVE, NULL);
	else if (!parse_amount(item->fields[AMOUNT], &amount))
		fail_field(item, ERR_INVALID_FIELD, AMOUNT);
	else if (operation == SELLER_REDEMPTION)
		price_redemption(item, amount);
	else
		price_earning(item, operation, amount);
}

/* Read the items of a call, and check what each says by itself. */
void
items_read(ItemBatch *batch, const Call *call)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	if (!json_read_items(call->body, call->body_length, MAX_ITEMS, start_item, is_item_field, take_item_field, batch))
		raise_error(ERR_INVALID_ITEMS);
	for (size_t i = 0; i < batch->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		check_fields(&batch->items[i], batch->operation);
	}
	MemoryContextSwitchTo(old);
}

/* ------------------------------------------------------------------------
 * What is kept
 * ------------------------------------------------------------------------ */

/* The fields that the engine does not know, which are kept with the entry. */
static const int kept[] = {COMMENTS, CONCEPT, BRANCH, VENDOR, CURRENCY, AMOUNT_CURRENCY};

/* The same as JSON, with the goods. */
text *
item_detail(const SellerItem *item)
{
	StringInfoData json;
	text	   *detail;

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
	detail = cstring_to_text_with_len(json.data, json.len);
	pfree(json.data);
	return detail;
}

/*
 * What an item takes for ever: what is posted, with what is kept with it, and what
 * long rows leave of a page.  The roll-up has a row for each branch of a program
 * and day, and there are no more of these than items that name another one than
 * the item before.
 */
int64
item_space(const SellerItem *item, const SellerItem *before, SellerOperation operation)
{
	const char *branch = item->fields[BRANCH];
	int64		texts = 0;
	int64		day = 0;

	for (int i = 0; i < (int) lengthof(kept); i++)
	{
		if (item->fields[kept[i]] != NULL)
			texts += strlen(item_fields[kept[i]].name) + json_text_length(item->fields[kept[i]]) + strlen("\"\":\"\",");
	}
	texts += item->fields[REFERENCE] != NULL ? strlen(item->fields[REFERENCE]) : 0;
	texts += item->fields[GOODS] != NULL ? strlen(item->fields[GOODS]) : 0;
	if (branch != NULL && (before == NULL || before->program != item->program || before->fields[BRANCH] == NULL || strcmp(before->fields[BRANCH], branch) != 0))
		day = DAY_BYTES;
	return posting_space(item->program, operation != SELLER_REDEMPTION) + texts + texts / 4 + day;
}
