/*
 * rule_award.c
 *		What rules with a cap gave for which sale, and what comes back of it.
 *
 * A cap is on what a rule has given to an account, less what was reversed.  So
 * it is noted by sale, and a refund gives the cap back in proportion: of all
 * points of the sale that are reversed by then, less what earlier parts gave
 * back; so parts sum exactly to the whole.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "db/columns.h"
#include "db/statement.h"
#include "earning/rule_award.h"
#include "utils/builtins.h"

#define AWARD_COLUMNS 5

static Statement awards_insert_sql = {
	.sql = "INSERT INTO loyalty_internal.rule_award (merchant_id, account_id, entry_id, rule, day, points, returned)"
	" SELECT $1, u.*, '0' FROM unnest($2, $3, $4, $5, $6) u",
	.params = {INT8OID, INT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, DATEARRAYOID, POINTSARRAYOID}
};

static Statement award_insert_sql = {
	.sql = "INSERT INTO loyalty_internal.rule_award (merchant_id, account_id, entry_id, rule, day, points, returned)"
	" VALUES ($1, $2, $3, $4, $5, $6, '0')",
	.params = {INT8OID, INT8OID, INT8OID, TEXTOID, DATEOID, POINTSOID}
};

/* Write what capped rules gave for sales. */
void
awards_write(int64 merchant_id, const Award *awards, int n)
{
	Column		columns[AWARD_COLUMNS];

	if (n == 0)
		return;
	columns_start(columns, &award_insert_sql, AWARD_COLUMNS, n);
	for (int i = 0; i < n; i++)
	{
		bool		nulls[AWARD_COLUMNS] = {false};
		Datum		row[AWARD_COLUMNS] = {
			Int64GetDatum(awards[i].account_id),
			Int64GetDatum(awards[i].entry_id),
			CStringGetTextDatum(awards[i].rule),
			DateADTGetDatum(awards[i].day),
			PointsGetDatum(awards[i].points),
		};

		columns_set(columns, AWARD_COLUMNS, i, row, nulls);
	}
	columns_write(&awards_insert_sql, &award_insert_sql, merchant_id, columns, AWARD_COLUMNS, n);
}

/* The part of an award that goes with so many points of its sale. */
static Points
share_of(const Program *program, Points award, Points reversed, Points whole)
{
	Points		share;

	if (reversed >= whole || !points_convert(award, reversed, whole, program->decimals, program->rounding, &share))
		return award;
	return Min(share, award);
}

/* What an award gives back to a period, if that is still the one that is counted. */
#define RULE_USE_RETURN(column, unit) \
	column " = CASE WHEN date_trunc('" unit "', day::timestamp) = date_trunc('" unit "', $4::timestamp)" \
	" THEN " column " OPERATOR(loyalty.-) $5 ELSE " column " END"

static Statement rule_use_return_sql = {
	.sql = "UPDATE loyalty_internal.rule_use SET points_ever = points_ever OPERATOR(loyalty.-) $5,"
	RULE_USE_RETURN("points_day", "day") "," RULE_USE_RETURN("points_week", "week") ","
	RULE_USE_RETURN("points_month", "month") "," RULE_USE_RETURN("points_year", "year")
	" WHERE merchant_id = $1 AND account_id = $2 AND rule = $3",
	.params = {INT8OID, INT8OID, TEXTOID, DATEOID, POINTSOID}
};

static Statement award_return_sql = {
	.sql = "UPDATE loyalty_internal.rule_award SET returned = returned OPERATOR(loyalty.+) $4"
	" WHERE merchant_id = $1 AND entry_id = $2 AND rule = $3",
	.params = {INT8OID, INT8OID, TEXTOID, POINTSOID}
};

static void
return_award(int64 merchant_id, const Award *award, Points points)
{
	Datum		rule = CStringGetTextDatum(award->rule);
	Datum		use[] = {
		Int64GetDatum(merchant_id),
		Int64GetDatum(award->account_id),
		rule,
		DateADTGetDatum(award->day),
		PointsGetDatum(points),
	};
	Datum		returned[] = {Int64GetDatum(merchant_id), Int64GetDatum(award->entry_id), rule, PointsGetDatum(points)};

	db_write(&rule_use_return_sql, use, NULL);
	db_write(&award_return_sql, returned, NULL);
}

static Statement awards_find_sql = {
	.sql = "SELECT rule, day, points, returned FROM loyalty_internal.rule_award"
	" WHERE merchant_id = $1 AND entry_id = $2 ORDER BY rule",
	.params = {INT8OID, INT8OID}
};

/* Give back to the caps what belongs to the reversed part of a sale. */
void
awards_return(int64 merchant_id, const Program *program, int64 account_id, int64 entry_id, Points whole, Points reversed)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(entry_id)};
	uint64		n = whole > 0 ? db_write(&awards_find_sql, values, NULL) : 0;
	Award	   *awards = palloc(Max(n, 1) * sizeof(Award));

	for (uint64 row = 0; row < n; row++)
	{
		bool		isnull;
		Award		award = {account_id, entry_id, row_text(row, "rule"), DatumGetDateADT(row_datum(row, "day", &isnull)),
		row_int64(row, "points"), row_int64(row, "returned")};

		awards[row] = award;
	}
	for (uint64 i = 0; i < n; i++)
	{
		Points		back = share_of(program, awards[i].points, reversed, whole) - awards[i].returned;

		if (back > 0)
			return_award(merchant_id, &awards[i], back);
	}
}
