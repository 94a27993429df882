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

static Statement gifts_insert_sql = {
	.sql = "INSERT INTO loyalty.rule_gift (merchant_id, account_id, entry_id, rule, day, points, returned)"
	" SELECT $1, u.*, '0' FROM unnest($2, $3, $4, $5, $6) u",
	.params = {INT8OID, INT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, DATEARRAYOID, POINTSARRAYOID}
};

static Statement gift_insert_sql = {
	.sql = "INSERT INTO loyalty.rule_gift (merchant_id, account_id, entry_id, rule, day, points, returned)"
	" VALUES ($1, $2, $3, $4, $5, $6, '0')",
	.params = {INT8OID, INT8OID, INT8OID, TEXTOID, DATEOID, POINTSOID}
};

void
gifts_write(int64 merchant_id, const Gift *gifts, int n)
{
	Oid			types[GIFT_COLUMNS] = {INT8OID, INT8OID, TEXTOID, DATEOID, db_type(POINTSOID)};
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
	columns_write(&gifts_insert_sql, &gift_insert_sql, merchant_id, columns, GIFT_COLUMNS, n);
}

/* The part of a gift that goes with so many of the points of its sale. */
static Points
share_of(const Program *program, Points gift, Points undone, Points whole)
{
	Points		share;

	if (undone >= whole || !points_convert(gift, undone, whole, program->decimals, program->rounding, &share))
		return gift;
	return Min(share, gift);
}

/* What a gift gives back to a period: if it is still the one that is counted. */
#define RULE_USE_RETURN(column, unit) \
	column " = CASE WHEN date_trunc('" unit "', day::timestamp) = date_trunc('" unit "', $4::timestamp)" \
	" THEN " column " OPERATOR(loyalty.-) $5 ELSE " column " END"

static Statement rule_use_return_sql = {
	.sql = "UPDATE loyalty.rule_use SET points_ever = points_ever OPERATOR(loyalty.-) $5,"
	RULE_USE_RETURN("points_day", "day") "," RULE_USE_RETURN("points_week", "week") ","
	RULE_USE_RETURN("points_month", "month") "," RULE_USE_RETURN("points_year", "year")
	" WHERE merchant_id = $1 AND account_id = $2 AND rule = $3",
	.params = {INT8OID, INT8OID, TEXTOID, DATEOID, POINTSOID}
};

static Statement gift_return_sql = {
	.sql = "UPDATE loyalty.rule_gift SET returned = returned OPERATOR(loyalty.+) $4"
	" WHERE merchant_id = $1 AND entry_id = $2 AND rule = $3",
	.params = {INT8OID, INT8OID, TEXTOID, POINTSOID}
};

static void
give_back(int64 merchant_id, const Gift *gift, Points points)
{
	Datum		merchant = Int64GetDatum(merchant_id);
	Datum		rule = CStringGetTextDatum(gift->rule);

	db_write(&rule_use_return_sql, (Datum[]) {merchant, Int64GetDatum(gift->account_id), rule, DateADTGetDatum(gift->day), PointsGetDatum(points)}, NULL);
	db_write(&gift_return_sql, (Datum[]) {merchant, Int64GetDatum(gift->entry_id), rule, PointsGetDatum(points)}, NULL);
}

static Statement gifts_find_sql = {
	.sql = "SELECT rule, day, points, returned FROM loyalty.rule_gift"
	" WHERE merchant_id = $1 AND entry_id = $2 ORDER BY rule",
	.params = {INT8OID, INT8OID}
};

/* Of a sale of so many points so many are undone by now. */
void
gifts_return(int64 merchant_id, const Program *program, int64 account_id, int64 entry_id, Points whole, Points undone)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(entry_id)};
	uint64		n = whole > 0 ? db_write(&gifts_find_sql, values, NULL) : 0;
	Gift	   *gifts = palloc(Max(n, 1) * sizeof(Gift));
	bool		isnull;

	for (uint64 row = 0; row < n; row++)
		gifts[row] = (Gift) {account_id, entry_id, row_text(row, "rule"), DatumGetDateADT(row_datum(row, "day", &isnull)),
			row_int64(row, "points"), row_int64(row, "returned")};
	for (uint64 i = 0; i < n; i++)
	{
		Points		back = share_of(program, gifts[i].points, undone, whole) - gifts[i].returned;

		if (back > 0)
			give_back(merchant_id, &gifts[i], back);
	}
}
