/*
 * goods.h
 *		The goods of a sale: what was bought, for how much.
 */
#ifndef LOYALTY_GOODS_H
#define LOYALTY_GOODS_H

#include "postgres.h"
#include "earning/rule_set.h"
#include "utils/numeric.h"

#define MAX_GOODS 10000			/* of a sale */
#define ITEMS_MAX_LENGTH 65536	/* bytes, as over HTTP */

typedef struct Good
{
	const char *sku;			/* NULL: none, as with category */
	const char *category;
	const char *quantity;
	const char *unit_price;		/* NULL: not told */
	Numeric		pieces;
	Numeric		worth;
} Good;

typedef struct Basket
{
	Good	   *goods;
	int			n;
	bool		malformed;
	bool		has_prices;		/* of some */
	Numeric		worth;			/* of all, never negative */
} Basket;

/* What goods come to, of what all come to. */
typedef struct Share
{
	Numeric		part;
	Numeric		whole;			/* NULL: the part is all there is */
} Share;

/* What items_valid() asks for. */
#define ITEMS_HINT "items is a JSON array of objects with sku, category, quantity and unitPrice."

extern bool good_number_valid(const char *text);
extern bool items_valid(const text *items);
extern bool basket_read(const text *items, Basket *basket);
extern bool basket_share(const Basket *basket, const Rule *rule, Share *share);

#endif
