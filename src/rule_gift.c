/*
 * rule_gift.c
 *		What rules with a cap gave for which sale, and what comes back of it.
 *
 * A cap is on what a rule has given to an account, less what was undone.  So
 * it is noted by sale, and a refund gives the cap back in proportion: of all
 * points of the sale that are undone by then, less what earlier parts gave
 * back, so that parts sum exactly to the whole.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "columns.h"
#include "plan.h"
#include "rule_gift.h"
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
			Int64GetDatum(gifts[i].version),
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

/* Of a sale of so many points some were undone before, and now more are. */
void
gifts_return(int64 merchant_id, const ProgramTerms *program, int64 account_id, int64 version,
			 Points whole, Points before, Points more)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(account_id), Int64GetDatum(version)};
	uint64		n = whole > 0 ? plan_write(PLAN_GIFTS_FIND, values, NULL) : 0;
	Gift	   *gifts = palloc(Max(n, 1) * sizeof(Gift));
	bool		isnull;

	for (uint64 row = 0; row < n; row++)
		gifts[row] = (Gift) {account_id, version, plan_text(row, 0), DatumGetDateADT(plan_datum(row, 1, &isnull)), plan_int64(row, 2)};
	for (uint64 i = 0; i < n; i++)
	{
		Points		back = share_of(program, gifts[i].points, before + more, whole) - share_of(program, gifts[i].points, before, whole);

		if (back > 0)
			plan_write(PLAN_RULE_USE_RETURN, (Datum[]) {Int64GetDatum(merchant_id), Int64GetDatum(account_id),
						CStringGetTextDatum(gifts[i].rule), DateADTGetDatum(gifts[i].day), PointsGetDatum(back)}, NULL);
	}
}
