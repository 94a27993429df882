/*
 * rule_gift.c
 *		What rules with a cap gave for which sale, and what comes back of it.
 *
 * A cap is on what a rule has given to an account, less what was undone.  So
 * it is noted by sale, and a refund gives the cap back in proportion: of all
 * points of the sale that are undone by then, less what earlier parts gave
 * back; so parts sum exactly to the whole.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "db/columns.h"
#include "db/statement.h"
#include "earning/rule_gift.h"
#include "utils/builtins.h"

#define GIFT_COLUMNS 5

void
gifts_write(int64 merchant_id, const Gift *gifts, int n)
{
	Oid			types[GIFT_COLUMNS] = {INT8OID, INT8OID, TEXTOID, DATEOID, plan_points_oid()};
	Column		columns[GIFT_COLUMNS];

	if (n == 0)
		return;
	columns_start(columns, types, GIFT_COLUMNS, n);
	for (int i = 0; i < n; i++)
	{
		bool		nulls[GIFT_COLUMNS] = {false};
		Datum		row[GIFT_COLUMNS] = {
			Int64GetDatum(gifts[i].account_id),
			Int64GetDatum(gifts[i].entry_id),
			CStringGetTextDatum(gifts[i].rule),
			DateADTGetDatum(gifts[i].day),
			PointsGetDatum(gifts[i].points),
		};

		columns_set(columns, GIFT_COLUMNS, i, row, nulls);
	}
	columns_write(PLAN_GIFTS_INSERT, PLAN_GIFT_INSERT, merchant_id, columns, GIFT_COLUMNS, n);
}

/* The part of a gift that goes with so many of the points of its sale. */
static Points
share_of(const ProgramTerms *program, Points gift, Points undone, Points whole)
{
	Points		share;

	if (undone >= whole || !points_convert(gift, undone, whole, program->decimals, program->rounding, &share))
		return gift;
	return Min(share, gift);
}

static void
give_back(int64 merchant_id, const Gift *gift, Points points)
{
	Datum		merchant = Int64GetDatum(merchant_id);
	Datum		rule = CStringGetTextDatum(gift->rule);

	plan_write(PLAN_RULE_USE_RETURN, (Datum[]) {merchant, Int64GetDatum(gift->account_id), rule, DateADTGetDatum(gift->day), PointsGetDatum(points)}, NULL);
	plan_write(PLAN_GIFT_RETURN, (Datum[]) {merchant, Int64GetDatum(gift->entry_id), rule, PointsGetDatum(points)}, NULL);
}

/* Of a sale of so many points so many are undone by now. */
void
gifts_return(int64 merchant_id, const ProgramTerms *program, int64 account_id, int64 entry_id, Points whole, Points undone)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(entry_id)};
	uint64		n = whole > 0 ? plan_write(PLAN_GIFTS_FIND, values, NULL) : 0;
	Gift	   *gifts = palloc(Max(n, 1) * sizeof(Gift));
	bool		isnull;

	for (uint64 row = 0; row < n; row++)
		gifts[row] = (Gift) {account_id, entry_id, plan_text(row, 0), DatumGetDateADT(plan_datum(row, 1, &isnull)),
			plan_int64(row, 2), plan_int64(row, 3)};
	for (uint64 i = 0; i < n; i++)
	{
		Points		back = share_of(program, gifts[i].points, undone, whole) - gifts[i].returned;

		if (back > 0)
			give_back(merchant_id, &gifts[i], back);
	}
}
