/*
 * ledger_sql.c
 *		The engine as SQL functions: post, post_batch, entry_kind.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "ledger.h"
#include "miscadmin.h"
#include "plan.h"
#include "request.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(loyalty_entry_kind);

Datum
loyalty_entry_kind(PG_FUNCTION_ARGS)
{
	const char *name = entry_kind_name(PG_GETARG_INT16(0));

	if (name == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

static EntryKind
kind_argument(text *name)
{
	EntryKind	kind;

	if (!entry_kind_parse(text_to_cstring(name), &kind))
		raise_error(ERR_INVALID_ARGUMENT);
	return kind;
}

static void
posting_fingerprint(StringInfo fingerprint, const Posting *posting)
{
	fingerprint_start(fingerprint, "post");
	fingerprint_add(fingerprint, "account_id", psprintf(INT64_FORMAT, posting->account_id));
	fingerprint_add(fingerprint, "kind", entry_kind_name(posting->kind));
	fingerprint_add(fingerprint, "amount", points_text(posting->amount));
	fingerprint_add(fingerprint, "staff_id", psprintf(INT64_FORMAT, posting->staff_id));
	fingerprint_add(fingerprint, "money", posting->has_money ? points_text(posting->money) : NULL);
	fingerprint_add(fingerprint, "reference", posting->reference ? text_to_cstring(posting->reference) : NULL);
}

/* The answer kept for a retry is "version balance". */
static void
post_once(int64 merchant_id, Posting *posting, const char *key)
{
	StringInfoData fingerprint;
	char	   *answer;

	if (key != NULL)
		posting_fingerprint(&fingerprint, posting);
	if (!request_claim(merchant_id, key, &fingerprint, &answer))
	{
		char	   *balance;

		posting->version = strtoll(answer, &balance, 10);
		if (points_parse(balance + 1, &posting->balance) != POINTS_OK)
			elog(ERROR, "answer \"%s\" is not one of loyalty.post()", answer);
		return;
	}

	ledger_post(merchant_id, posting, 1);
	if (posting->error != ERR_NONE)
		raise_error(posting->error);
	if (key != NULL)
		request_answer(merchant_id, key,
					   psprintf(INT64_FORMAT " %s", posting->version, points_text(posting->balance)));
}

/*
 * The row type of loyalty.post(), made once per session: asking the catalogs
 * for it at each call costs as much as half a statement.
 */
static TupleDesc
post_result(void)
{
	static TupleDesc result = NULL;
	static Oid	made_for = InvalidOid;

	if (made_for != plan_points_oid())
	{
		MemoryContext context = MemoryContextSwitchTo(TopMemoryContext);

		result = CreateTemplateTupleDesc(2);
		TupleDescInitEntry(result, 1, "version", INT8OID, -1, 0);
		TupleDescInitEntry(result, 2, "balance", plan_points_oid(), -1, 0);
		BlessTupleDesc(result);
		MemoryContextSwitchTo(context);
		made_for = plan_points_oid();
	}
	return result;
}

PG_FUNCTION_INFO_V1(loyalty_post);

Datum
loyalty_post(PG_FUNCTION_ARGS)
{
	Posting		posting = {0};
	Datum		values[2];
	bool		nulls[2] = {false, false};

	for (int i = 0; i < 4; i++)
	{
		if (PG_ARGISNULL(i))
			raise_error(ERR_INVALID_ARGUMENT);
	}

	posting.account_id = PG_GETARG_INT64(1);
	posting.kind = kind_argument(PG_GETARG_TEXT_PP(2));
	posting.amount = PG_GETARG_POINTS(3);
	posting.reference = PG_ARGISNULL(4) ? NULL : PG_GETARG_TEXT_PP(4);
	posting.staff_id = PG_ARGISNULL(5) ? 0 : PG_GETARG_INT64(5);
	posting.has_money = !PG_ARGISNULL(6);
	posting.money = PG_ARGISNULL(6) ? 0 : PG_GETARG_POINTS(6);

	plan_begin();
	post_once(PG_GETARG_INT64(0), &posting,
			  PG_ARGISNULL(7) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(7)));
	plan_end();

	values[0] = Int64GetDatum(posting.version);
	values[1] = PointsGetDatum(posting.balance);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(post_result(), values, nulls)));
}

/* The elements of an array argument that must be one-dimensional. */
static int
array_argument(FunctionCallInfo fcinfo, int argument, Oid type, bool nulls_allowed, Datum **values, bool **nulls)
{
	ArrayType  *array;
	int			n;
	bool		byval = type != TEXTOID;

	if (PG_ARGISNULL(argument))
		raise_error(ERR_INVALID_ARGUMENT);
	array = PG_GETARG_ARRAYTYPE_P(argument);
	if (ARR_NDIM(array) > 1 || (!nulls_allowed && array_contains_nulls(array)))
		raise_error(ERR_INVALID_ARGUMENT);
	deconstruct_array(array, type, byval ? 8 : -1, byval, byval ? TYPALIGN_DOUBLE : TYPALIGN_INT, values, nulls, &n);
	return n;
}

static Posting *
batch_arguments(FunctionCallInfo fcinfo, int *n)
{
	Posting    *postings;
	Datum	   *accounts;
	Datum	   *kinds;
	Datum	   *amounts;
	Datum	   *references = NULL;
	bool	   *nulls;
	bool	   *no_reference = NULL;
	int			nkinds;

	*n = array_argument(fcinfo, 1, INT8OID, false, &accounts, &nulls);
	nkinds = array_argument(fcinfo, 2, TEXTOID, false, &kinds, &nulls);
	if ((nkinds != *n && nkinds != 1) ||
		array_argument(fcinfo, 3, plan_points_oid(), false, &amounts, &nulls) != *n ||
		(!PG_ARGISNULL(4) && array_argument(fcinfo, 4, TEXTOID, true, &references, &no_reference) != *n))
		raise_error(ERR_INVALID_ARGUMENT);

	postings = palloc0(Max(*n, 1) * sizeof(Posting));
	for (int i = 0; i < *n; i++)
	{
		postings[i].account_id = DatumGetInt64(accounts[i]);
		postings[i].kind = i < nkinds ? kind_argument(DatumGetTextPP(kinds[i])) : postings[0].kind;
		postings[i].amount = DatumGetPoints(amounts[i]);
		postings[i].staff_id = PG_ARGISNULL(5) ? 0 : PG_GETARG_INT64(5);
		if (references != NULL && !no_reference[i])
			postings[i].reference = DatumGetTextPP(references[i]);
	}
	return postings;
}

PG_FUNCTION_INFO_V1(loyalty_post_batch);

Datum
loyalty_post_batch(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Posting    *postings;
	int			n;

	if (PG_ARGISNULL(0))
		raise_error(ERR_INVALID_ARGUMENT);
	InitMaterializedSRF(fcinfo, 0);

	plan_begin();
	postings = batch_arguments(fcinfo, &n);
	ledger_post(PG_GETARG_INT64(0), postings, n);
	for (int i = 0; i < n; i++)
	{
		bool		failed = postings[i].error != ERR_NONE;
		Datum		values[4];
		bool		nulls[4] = {false, !failed, failed, failed};

		values[0] = Int32GetDatum(i + 1);
		values[1] = failed ? CStringGetTextDatum(error_info(postings[i].error)->code) : (Datum) 0;
		values[2] = Int64GetDatum(postings[i].version);
		values[3] = PointsGetDatum(postings[i].balance);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	plan_end();
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(loyalty_expire_due);

Datum
loyalty_expire_due(PG_FUNCTION_ARGS)
{
	int32		max_accounts = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT32(1);
	Datum		values[2];
	int64	   *account_ids;
	uint64		n;

	if (PG_ARGISNULL(0) || max_accounts < 1 || max_accounts > 100000)
		raise_error(ERR_INVALID_ARGUMENT);
	values[0] = PG_GETARG_DATUM(0);
	values[1] = Int64GetDatum(max_accounts);

	plan_begin();
	n = plan_write(PLAN_ACCOUNTS_DUE, values, NULL);
	account_ids = palloc(Max(n, 1) * sizeof(int64));
	for (uint64 row = 0; row < n; row++)
		account_ids[row] = plan_int64(row, 0);
	if (n > 0)
		ledger_expire(PG_GETARG_INT64(0), account_ids, n);
	plan_end();
	PG_RETURN_INT32((int32) n);
}
