/*
 * answer.c
 *		What an operation answers: a loyalty.posting, and the text of it that is
 *		kept for retries.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/compat.h"
#include "db/statement.h"
#include "fmgr.h"
#include "funcapi.h"
#include "ledger/answer.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

/* The points that were moved: only an adjustment says which way. */
static Points
points_moved(const Posting *posting)
{
	return posting->kind == ENTRY_ADJUST ? posting->amount : i64abs(posting->amount);
}

/* The answer kept for a retry: the numbers of its columns. */
char *
answer_text(const Posting *posting)
{
	return psprintf(INT64_FORMAT " %s %s " INT64_FORMAT " %s", posting->entry_id, points_text(points_moved(posting)),
					points_text(posting->balance), posting->peer_entry_id, points_text(posting->peer_balance));
}

void
answer_parse(const char *answer, Posting *posting)
{
	char		points[POINTS_MAX_TEXT];
	char		balance[POINTS_MAX_TEXT];
	char		peer_balance[POINTS_MAX_TEXT];

	if (sscanf(answer, INT64_FORMAT " %23s %23s " INT64_FORMAT " %23s", &posting->entry_id, points, balance,
			   &posting->peer_entry_id, peer_balance) != 5 ||
		points_parse(points, &posting->amount) != POINTS_OK ||
		points_parse(balance, &posting->balance) != POINTS_OK ||
		points_parse(peer_balance, &posting->peer_balance) != POINTS_OK)
		elog(ERROR, "answer \"%s\" is not one of a posting", answer);
}

void
answer_columns(const Posting *posting, Datum *values, bool *nulls)
{
	bool		alone = posting->peer_entry_id == 0;

	memset(nulls, false, ANSWER_COLUMNS * sizeof(bool));
	values[0] = Int64GetDatum(posting->entry_id);
	values[1] = PointsGetDatum(points_moved(posting));
	values[2] = PointsGetDatum(posting->balance);
	values[3] = Int64GetDatum(posting->peer_entry_id);
	values[4] = PointsGetDatum(posting->peer_balance);
	nulls[3] = nulls[4] = alone;
}

/* The row type, copied once per session: asking the catalogs for it at each call costs as much as half a statement. */
static TupleDesc
answer_type(void)
{
	static TupleDesc type = NULL;

	if (type == NULL || type->tdtypeid != db_type(POSTINGOID))
	{
		MemoryContext context = MemoryContextSwitchTo(TopMemoryContext);

		type = lookup_rowtype_tupdesc_copy(db_type(POSTINGOID), -1);
		MemoryContextSwitchTo(context);
	}
	return type;
}

Datum
answer_row(const Posting *posting)
{
	Datum		values[ANSWER_COLUMNS];
	bool		nulls[ANSWER_COLUMNS];

	answer_columns(posting, values, nulls);
	return HeapTupleGetDatum(heap_form_tuple(answer_type(), values, nulls));
}

/* Raise the error of a posting, if it has one. */
void
raise_refusal(const Posting *posting)
{
	if (posting->error == ERR_NONE)
		return;
	if (posting->hint != NULL)
		raise_error_hint(posting->error, posting->hint);
	raise_error(posting->error);
}
