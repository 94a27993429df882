/*
 * entry_rule.c
 *		What of a sale each rule gave.
 *
 * It is written down with the sale, once some rule has given something: the base
 * is a part of its own then, so the parts sum exactly to the points of the entry,
 * whatever was capped and rounded.  They never change: what of them a refund took
 * back follows from how many points of the entry were reversed.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "db/columns.h"
#include "db/statement.h"
#include "earning/entry_rule.h"

#define PART_COLUMNS 3

typedef struct EntryRule
{
	int64		entry_id;
	int			ordinal;
	Points		points;
} EntryRule;

/* Note a part of a sale, if there is any. */
void
entry_rules_add(EntryRules *rules, int64 entry_id, int ordinal, Points points)
{
	EntryRule	part = {entry_id, ordinal, points};

	if (points == 0)
		return;
	if (rules->n == rules->allocated)
	{
		rules->allocated = Max(16, 2 * rules->allocated);
		rules->parts = rules->parts == NULL ? palloc(rules->allocated * sizeof(EntryRule)) :
			repalloc_huge(rules->parts, rules->allocated * sizeof(EntryRule));
	}
	rules->parts[rules->n++] = part;
}

static Statement parts_insert_sql = {
	.sql = "INSERT INTO loyalty_internal.entry_rule (merchant_id, entry_id, ordinal, points) SELECT $1, u.* FROM unnest($2, $3, $4) u",
	.params = {INT8OID, INT8ARRAYOID, INT4ARRAYOID, POINTSARRAYOID}
};

static Statement part_insert_sql = {
	.sql = "INSERT INTO loyalty_internal.entry_rule (merchant_id, entry_id, ordinal, points) VALUES ($1, $2, $3, $4)",
	.params = {INT8OID, INT8OID, INT4OID, POINTSOID}
};

/* Write the parts of the sales of a batch. */
void
entry_rules_write(const EntryRules *rules, int64 merchant_id)
{
	Column		columns[PART_COLUMNS];

	if (rules->n == 0)
		return;
	columns_start(columns, &part_insert_sql, PART_COLUMNS, rules->n);
	for (int i = 0; i < rules->n; i++)
	{
		const EntryRule *part = &rules->parts[i];
		Datum		row[PART_COLUMNS] = {Int64GetDatum(part->entry_id), Int32GetDatum(part->ordinal), PointsGetDatum(part->points)};

		columns_set(columns, PART_COLUMNS, i, row, NULL);
	}
	columns_write(&parts_insert_sql, &part_insert_sql, merchant_id, columns, PART_COLUMNS, rules->n);
}
