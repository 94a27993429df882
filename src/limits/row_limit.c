/*
 * row_limit.c
 *		How many rows a merchant may have, one whose key is public.
 *
 * They are counted after an operation has added its own, which are undone if
 * there are too many then.  Sessions that add some at once do not see each
 * other's yet, and all of them may.  The customer API looks itself, with what it
 * writes to the access log.
 */
#include "base/compat.h"

#include "base/errors.h"
#include "catalog/pg_type.h"
#include "db/statement.h"
#include "limits/row_limit.h"

static Statement row_limit_sql = {
	.sql = "SELECT 1 FROM loyalty_internal.merchant WHERE merchant_id = $1"
	" AND CASE WHEN max_rows IS NOT NULL THEN loyalty_internal.rows_of($1, max_rows + 1) > max_rows END",
	.params = {INT8OID}
};

/* Raise, if the merchant has more rows than it may have. */
void
row_limit_check(int64 merchant_id)
{
	Datum		value = Int64GetDatum(merchant_id);
	bool		is_reached;

	db_begin();
	is_reached = db_write(&row_limit_sql, &value, NULL) > 0;
	db_end();
	if (is_reached)
		raise_error(ERR_ROW_LIMIT_REACHED);
}

/* The same, where one of its programs is known: of others nothing is read. */
void
row_limit_check_program(const Program *program)
{
	if (program->has_row_limit)
		row_limit_check(program->merchant_id);
}
