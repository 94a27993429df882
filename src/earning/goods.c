/*
 * goods.c
 *		The goods of a sale: what was bought, for how much.
 *
 * They are what an invoice may have: prices and quantities of six decimals, and
 * lines that take away, a discount or something brought back.  So a line is a
 * numeric, and only the points of a rule are rounded.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/json.h"
#include "earning/goods.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

/* The decimals of a quantity or a price, as in Mexico's invoices. */
#define MAX_INTEGER_DIGITS 18
#define MAX_DECIMALS 6

/* ------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------ */

/* Whether it is a plain decimal number of so many digits. */
bool
good_number_valid(const char *text)
{
	const char *integer = text + (*text == '-');
	size_t		integer_digits = strspn(integer, "0123456789");
	const char *fraction = integer + integer_digits;
	size_t		decimals;

	if (integer_digits == 0 || integer_digits > MAX_INTEGER_DIGITS)
		return false;
	if (*fraction == '\0')
		return true;
	decimals = strspn(fraction + 1, "0123456789");
	return *fraction == '.' && decimals > 0 && decimals <= MAX_DECIMALS && fraction[1 + decimals] == '\0';
}

static void *
start_good(void *context, size_t index, size_t count, bool is_object)
{
	Basket	   *basket = *(Basket **) context;

	if (index == 0)
		basket->goods = palloc_extended(count * sizeof(Good), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	basket->n = index + 1;
	basket->goods[index].quantity = "1";
	basket->malformed |= !is_object;
	return context;
}

static bool
is_good_member(void *context pg_attribute_unused(), const char *name)
{
	return strcmp(name, "sku") == 0 || strcmp(name, "category") == 0 || strcmp(name, "quantity") == 0 ||
		strcmp(name, "unitPrice") == 0;
}

static void
take_good_member(void *context, const char *name, JsonKind kind, const char *value)
{
	Basket	   *basket = *(Basket **) context;
	Good	   *good = &basket->goods[basket->n - 1];
	bool		is_text = kind == JSON_IS_STRING || kind == JSON_IS_NUMBER;
	const char **number = NULL;

	if (kind == JSON_IS_NULL)
		return;
	if (strcmp(name, "sku") == 0 && is_text)
		good->sku = value;
	else if (strcmp(name, "sku") == 0)
		basket->malformed = true;
	else if (strcmp(name, "category") == 0 && is_text)
		good->category = value;
	else if (strcmp(name, "quantity") == 0)
		number = &good->quantity;
	else if (strcmp(name, "unitPrice") == 0)
		number = &good->unit_price;
	basket->malformed |= kind == JSON_IS_UNREADABLE;
	if (number == NULL)
		return;
	if (kind == JSON_IS_NUMBER)
		value = json_plain_number(value);
	*number = value;
	if (!is_text || !good_number_valid(value))
		basket->malformed = true;
}

/* Whether JSON is an array: a single object is none. */
static bool
is_array(const text *json)
{
	const char *start = VARDATA_ANY(json);
	const char *end = start + VARSIZE_ANY_EXHDR(json);

	while (start < end && strchr(" \t\r\n", *start) != NULL)
		start++;
	return start < end && *start == '[';
}

static bool
read_goods(const text *items, Basket *basket)
{
	Basket	   *context = basket;

	memset(basket, 0, sizeof(Basket));
	return is_array(items) && json_read_items(VARDATA_ANY(items), VARSIZE_ANY_EXHDR(items), MAX_GOODS, start_good, is_good_member, take_good_member, &context) &&
		!basket->malformed;
}

/* Whether the items of a sale are an array of goods, each of which has what it must have. */
bool
items_valid(const text *items)
{
	Basket		basket;

	return read_goods(items, &basket);
}

/* ------------------------------------------------------------------------
 * What they come to
 * ------------------------------------------------------------------------ */

static Numeric
read_number(const char *text)
{
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

static Numeric
add(Numeric a, Numeric b)
{
	return DatumGetNumeric(DirectFunctionCall2(numeric_add, NumericGetDatum(a), NumericGetDatum(b)));
}

static int
sign_of(Numeric value)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(value), NumericGetDatum(int64_to_numeric(0))));
}

static Numeric
at_least_zero(Numeric value)
{
	return sign_of(value) < 0 ? int64_to_numeric(0) : value;
}

/* Read the goods of a sale; false: they are malformed. */
bool
basket_read(const text *items, Basket *basket)
{
	if (!read_goods(items, basket))
		return false;
	basket->worth = int64_to_numeric(0);
	for (int i = 0; i < basket->n; i++)
	{
		Good	   *good = &basket->goods[i];

		good->pieces = read_number(good->quantity);
		good->worth = int64_to_numeric(0);
		if (good->unit_price == NULL)
			continue;
		basket->has_prices = true;
		good->worth = DatumGetNumeric(DirectFunctionCall2(numeric_mul, NumericGetDatum(good->pieces),
														  NumericGetDatum(read_number(good->unit_price))));
		basket->worth = add(basket->worth, good->worth);
	}
	basket->worth = at_least_zero(basket->worth);
	return true;
}

/*
 * The share of the goods that a rule is for; false: there are none, or those
 * that there were have been brought back, or all goods together come to nothing.
 * Where no good has a price, those that a rule is for have a share of nothing.
 * A share is never more than all: what a discount on the whole takes off is not
 * the rule's.
 */
bool
basket_share(const Basket *basket, const Rule *rule, Share *share)
{
	Numeric		pieces = int64_to_numeric(0);
	Numeric		part = int64_to_numeric(0);

	for (int i = 0; i < basket->n; i++)
	{
		const Good *good = &basket->goods[i];

		if (!words_allow(&rule->skus, good->sku) || !words_allow(&rule->categories, good->category))
			continue;
		pieces = add(pieces, good->pieces);
		part = add(part, good->worth);
	}
	if (sign_of(pieces) <= 0 || sign_of(part) < 0 || (basket->has_prices && sign_of(basket->worth) == 0))
		return false;
	share->whole = basket->has_prices ? basket->worth : int64_to_numeric(1);
	share->part = DatumGetNumeric(DirectFunctionCall2(numeric_smaller, NumericGetDatum(part), NumericGetDatum(share->whole)));
	return true;
}
