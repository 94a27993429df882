/*
 * operations.c
 *		The engine as SQL functions.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "admin/idempotency.h"
#include "catalog/pg_type.h"
#include "db/statement.h"
#include "fmgr.h"
#include "funcapi.h"
#include "ledger/ledger.h"
#include "miscadmin.h"
#include "types/lots.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

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

/* ------------------------------------------------------------------------
 * One posting
 * ------------------------------------------------------------------------ */

/* The numbers of a function's arguments; 0: it has no such argument. */
typedef struct Signature
{
	const char *name;
	EntryKind	kind;			/* unless the caller says */
	bool		amount_required;
	int			kind_at;
	int			amount;
	int			reference;
	int			staff_id;
	int			money;
	int			idempotency_key;
	int			member_id;
	int			available_at;
	int			expires_at;
	int			origin_entry_id;
	int			peer_account_id;
} Signature;

static bool
given(FunctionCallInfo fcinfo, int argument)
{
	return argument != 0 && !PG_ARGISNULL(argument);
}

static int64
int64_argument(FunctionCallInfo fcinfo, int argument)
{
	return given(fcinfo, argument) ? PG_GETARG_INT64(argument) : 0;
}

/* A moment of an argument.  0 stands for none, so the moment 0 is taken for the next one. */
static TimestampTz
moment_of(TimestampTz at)
{
	return at == 0 ? 1 : at;
}

static TimestampTz
moment_argument(FunctionCallInfo fcinfo, int argument)
{
	return given(fcinfo, argument) ? moment_of(PG_GETARG_TIMESTAMPTZ(argument)) : 0;
}

static void
required(FunctionCallInfo fcinfo, int argument)
{
	if (PG_ARGISNULL(argument))
		raise_error(ERR_INVALID_ARGUMENT);
}

static void
posting_arguments(FunctionCallInfo fcinfo, const Signature *signature, Posting *posting)
{
	required(fcinfo, 0);
	required(fcinfo, 1);
	if (signature->kind_at != 0)
		required(fcinfo, signature->kind_at);
	if (signature->origin_entry_id != 0)
		required(fcinfo, signature->origin_entry_id);
	if (signature->peer_account_id != 0)
		required(fcinfo, signature->peer_account_id);
	if (signature->amount_required)
		required(fcinfo, signature->amount);

	memset(posting, 0, sizeof(Posting));
	posting->account_id = PG_GETARG_INT64(1);
	posting->kind = signature->kind_at != 0 ? kind_argument(PG_GETARG_TEXT_PP(signature->kind_at)) : signature->kind;
	posting->amount = int64_argument(fcinfo, signature->amount);
	posting->reference = given(fcinfo, signature->reference) ? PG_GETARG_TEXT_PP(signature->reference) : NULL;
	posting->staff_id = int64_argument(fcinfo, signature->staff_id);
	posting->has_money = given(fcinfo, signature->money);
	posting->money = int64_argument(fcinfo, signature->money);
	posting->member_id = int64_argument(fcinfo, signature->member_id);
	posting->available_at = moment_argument(fcinfo, signature->available_at);
	posting->expires_at = moment_argument(fcinfo, signature->expires_at);
	posting->origin_entry_id = int64_argument(fcinfo, signature->origin_entry_id);
	posting->peer_account_id = int64_argument(fcinfo, signature->peer_account_id);

	/* there is a function for each of the other kinds */
	if (signature->kind_at != 0 && posting->kind > ENTRY_ADJUST)
		raise_error(ERR_INVALID_ARGUMENT);
	/* all that is left is NULL here, and 0 to the engine, which refuses negative amounts in their turn */
	if (posting->amount == 0 && given(fcinfo, signature->amount) && posting->kind > ENTRY_ADJUST)
		posting->amount = -1;
	if (posting->peer_account_id == 0 && signature->peer_account_id != 0)
		raise_error(ERR_UNKNOWN_ACCOUNT);
}

static void
add_number(StringInfo fingerprint, const char *name, int64 value)
{
	if (value != 0)
		fingerprint_add(fingerprint, name, psprintf(INT64_FORMAT, value));
}

static void
posting_fingerprint(StringInfo fingerprint, const char *name, const Posting *posting)
{
	fingerprint_start(fingerprint, name);
	fingerprint_add(fingerprint, "account_id", psprintf(INT64_FORMAT, posting->account_id));
	fingerprint_add(fingerprint, "kind", entry_kind_name(posting->kind));
	fingerprint_add(fingerprint, "amount", points_text(posting->amount));
	fingerprint_add(fingerprint, "staff_id", psprintf(INT64_FORMAT, posting->staff_id));
	fingerprint_add(fingerprint, "money", posting->has_money ? points_text(posting->money) : NULL);
	fingerprint_add(fingerprint, "reference", posting->reference ? text_to_cstring(posting->reference) : NULL);
	add_number(fingerprint, "member_id", posting->member_id);
	add_number(fingerprint, "available_at", posting->available_at);
	add_number(fingerprint, "expires_at", posting->expires_at);
	add_number(fingerprint, "origin_entry_id", posting->origin_entry_id);
	add_number(fingerprint, "peer_account_id", posting->peer_account_id);
}

/* The answer kept for a retry: entry and balance, and those of the other account. */
static char *
answer_text(const Posting *posting)
{
	return psprintf(INT64_FORMAT " %s " INT64_FORMAT " %s", posting->entry_id, points_text(posting->balance),
					posting->peer_entry_id, points_text(posting->peer_balance));
}

static void
answer_parse(const char *answer, Posting *posting)
{
	char		balance[POINTS_MAX_TEXT];
	char		peer_balance[POINTS_MAX_TEXT];

	if (sscanf(answer, INT64_FORMAT " %23s " INT64_FORMAT " %23s", &posting->entry_id, balance,
			   &posting->peer_entry_id, peer_balance) != 4 ||
		points_parse(balance, &posting->balance) != POINTS_OK ||
		points_parse(peer_balance, &posting->peer_balance) != POINTS_OK)
		elog(ERROR, "answer \"%s\" is not one of a posting", answer);
}

static void
post_once(int64 merchant_id, const char *name, Posting *posting, const char *key)
{
	StringInfoData fingerprint;
	char	   *answer;

	if (key != NULL)
		posting_fingerprint(&fingerprint, name, posting);
	if (!idempotency_claim(merchant_id, key, &fingerprint, &answer))
	{
		answer_parse(answer, posting);
		return;
	}

	ledger_post(merchant_id, posting, 1);
	if (posting->error != ERR_NONE)
		raise_error(posting->error);
	if (key != NULL)
		idempotency_answer(merchant_id, key, answer_text(posting));
}

/*
 * The row type of the answer, made once per session: asking the catalogs for it
 * at each call costs as much as half a statement.
 */
static TupleDesc
answer_type(bool with_peer)
{
	static TupleDesc results[2] = {NULL, NULL};
	static Oid	made_for[2] = {InvalidOid, InvalidOid};

	if (made_for[with_peer] != db_type(POINTSOID))
	{
		MemoryContext context = MemoryContextSwitchTo(TopMemoryContext);
		TupleDesc	result = CreateTemplateTupleDesc(with_peer ? 4 : 2);

		TupleDescInitEntry(result, 1, "entry_id", INT8OID, -1, 0);
		TupleDescInitEntry(result, 2, "balance", db_type(POINTSOID), -1, 0);
		if (with_peer)
		{
			TupleDescInitEntry(result, 3, "to_entry_id", INT8OID, -1, 0);
			TupleDescInitEntry(result, 4, "to_balance", db_type(POINTSOID), -1, 0);
		}
		results[with_peer] = BlessTupleDesc(result);
		MemoryContextSwitchTo(context);
		made_for[with_peer] = db_type(POINTSOID);
	}
	return results[with_peer];
}

static Datum
post_by(FunctionCallInfo fcinfo, const Signature *signature)
{
	Posting		posting;
	bool		nulls[4] = {false};
	Datum		values[4];

	posting_arguments(fcinfo, signature, &posting);
	db_begin();
	post_once(PG_GETARG_INT64(0), signature->name, &posting,
			  given(fcinfo, signature->idempotency_key) ?
			  text_to_cstring(PG_GETARG_TEXT_PP(signature->idempotency_key)) : NULL);
	db_end();

	values[0] = Int64GetDatum(posting.entry_id);
	values[1] = PointsGetDatum(posting.balance);
	values[2] = Int64GetDatum(posting.peer_entry_id);
	values[3] = PointsGetDatum(posting.peer_balance);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(answer_type(signature->peer_account_id != 0), values, nulls)));
}

PG_FUNCTION_INFO_V1(loyalty_post);

Datum
loyalty_post(PG_FUNCTION_ARGS)
{
	static const Signature signature = {
		.name = "post",.kind_at = 2,.amount = 3,.amount_required = true,.reference = 4,.staff_id = 5,.money = 6,
		.idempotency_key = 7,.member_id = 8,.available_at = 9,.expires_at = 10
	};

	return post_by(fcinfo, &signature);
}

PG_FUNCTION_INFO_V1(loyalty_hold);

Datum
loyalty_hold(PG_FUNCTION_ARGS)
{
	static const Signature signature = {
		.name = "hold",.kind = ENTRY_HOLD,.amount = 2,.amount_required = true,.expires_at = 3,.reference = 4,
		.staff_id = 5,.member_id = 6,.idempotency_key = 7
	};

	return post_by(fcinfo, &signature);
}

PG_FUNCTION_INFO_V1(loyalty_capture);

Datum
loyalty_capture(PG_FUNCTION_ARGS)
{
	static const Signature signature = {
		.name = "capture",.kind = ENTRY_CAPTURE,.origin_entry_id = 2,.amount = 3,.reference = 4,.staff_id = 5,.money = 6,
		.idempotency_key = 7
	};

	return post_by(fcinfo, &signature);
}

PG_FUNCTION_INFO_V1(loyalty_release);

Datum
loyalty_release(PG_FUNCTION_ARGS)
{
	static const Signature signature = {
		.name = "release",.kind = ENTRY_RELEASE,.origin_entry_id = 2,.amount = 3,.reference = 4,.staff_id = 5,
		.idempotency_key = 6
	};

	return post_by(fcinfo, &signature);
}

PG_FUNCTION_INFO_V1(loyalty_reverse);

Datum
loyalty_reverse(PG_FUNCTION_ARGS)
{
	static const Signature signature = {
		.name = "reverse",.kind = ENTRY_REVERSE,.origin_entry_id = 2,.reference = 3,.amount = 4,.money = 5,.staff_id = 6,
		.idempotency_key = 7
	};

	return post_by(fcinfo, &signature);
}

PG_FUNCTION_INFO_V1(loyalty_transfer);

Datum
loyalty_transfer(PG_FUNCTION_ARGS)
{
	static const Signature signature = {
		.name = "transfer",.kind = ENTRY_TRANSFER,.peer_account_id = 2,.amount = 3,.reference = 4,
		.staff_id = 5,.member_id = 6,.idempotency_key = 7
	};

	return post_by(fcinfo, &signature);
}

/* ------------------------------------------------------------------------
 * A batch
 * ------------------------------------------------------------------------ */

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

/* A column of the batch that may be absent, and whose elements may be. */
typedef struct Optional
{
	Datum	   *values;
	bool	   *nulls;
} Optional;

static Optional
optional_array(FunctionCallInfo fcinfo, int argument, Oid type, int n)
{
	Optional	column = {NULL, NULL};

	if (!PG_ARGISNULL(argument) && array_argument(fcinfo, argument, type, true, &column.values, &column.nulls) != n)
		raise_error(ERR_INVALID_ARGUMENT);
	return column;
}

static bool
has_element(Optional column, int i)
{
	return column.values != NULL && !column.nulls[i];
}

static Posting *
batch_arguments(FunctionCallInfo fcinfo, int *n)
{
	Posting    *postings;
	Datum	   *accounts;
	Datum	   *kinds;
	Datum	   *amounts;
	bool	   *nulls;
	int			nkinds;

	*n = array_argument(fcinfo, 1, INT8OID, false, &accounts, &nulls);
	nkinds = array_argument(fcinfo, 2, TEXTOID, false, &kinds, &nulls);
	if ((nkinds != *n && nkinds != 1) ||
		array_argument(fcinfo, 3, db_type(POINTSOID), false, &amounts, &nulls) != *n)
		raise_error(ERR_INVALID_ARGUMENT);

	postings = palloc_extended(Max(*n, 1) * sizeof(Posting), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int i = 0; i < *n; i++)
	{
		postings[i].account_id = DatumGetInt64(accounts[i]);
		postings[i].kind = i < nkinds ? kind_argument(DatumGetTextPP(kinds[i])) : postings[0].kind;
		postings[i].amount = DatumGetPoints(amounts[i]);
		postings[i].staff_id = int64_argument(fcinfo, 5);
	}
	return postings;
}

static void
batch_options(FunctionCallInfo fcinfo, Posting *postings, int n)
{
	Optional	references = optional_array(fcinfo, 4, TEXTOID, n);
	Optional	origins = optional_array(fcinfo, 6, INT8OID, n);
	Optional	peers = optional_array(fcinfo, 7, INT8OID, n);
	Optional	moneys = optional_array(fcinfo, 8, db_type(POINTSOID), n);
	Optional	expires = optional_array(fcinfo, 9, TIMESTAMPTZOID, n);
	Optional	available = optional_array(fcinfo, 10, TIMESTAMPTZOID, n);

	for (int i = 0; i < n; i++)
	{
		Posting    *posting = &postings[i];

		posting->reference = has_element(references, i) ? DatumGetTextPP(references.values[i]) : NULL;
		posting->has_money = has_element(moneys, i);
		posting->money = posting->has_money ? DatumGetPoints(moneys.values[i]) : 0;
		if (has_element(expires, i))
			posting->expires_at = moment_of(DatumGetTimestampTz(expires.values[i]));
		if (has_element(available, i))
			posting->available_at = moment_of(DatumGetTimestampTz(available.values[i]));
		if (has_element(origins, i) && (posting->kind == ENTRY_CAPTURE || posting->kind == ENTRY_RELEASE ||
										posting->kind == ENTRY_REVERSE))
			posting->origin_entry_id = DatumGetInt64(origins.values[i]);
		if (has_element(peers, i) && posting->kind == ENTRY_TRANSFER)
			posting->peer_account_id = DatumGetInt64(peers.values[i]);
	}
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

	db_begin();
	postings = batch_arguments(fcinfo, &n);
	batch_options(fcinfo, postings, n);
	ledger_post(PG_GETARG_INT64(0), postings, n);
	for (int i = 0; i < n; i++)
	{
		bool		failed = postings[i].error != ERR_NONE;
		Datum		values[4];
		bool		nulls[4] = {false, !failed, failed, failed};

		values[0] = Int32GetDatum(i + 1);
		values[1] = failed ? CStringGetTextDatum(error_info(postings[i].error)->code) : (Datum) 0;
		values[2] = Int64GetDatum(postings[i].entry_id);
		values[3] = PointsGetDatum(postings[i].balance);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	db_end();
	return (Datum) 0;
}

static Statement accounts_due_sql = {
	.sql = "SELECT account_id FROM loyalty_internal.account WHERE merchant_id = $1 AND due_at <= now()"
	" ORDER BY due_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED",
	.params = {INT8OID, INT8OID}
};

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

	db_begin();
	n = db_write(&accounts_due_sql, values, NULL);
	account_ids = palloc(Max(n, 1) * sizeof(int64));
	for (uint64 row = 0; row < n; row++)
		account_ids[row] = row_int64(row, "account_id");
	if (n > 0)
		ledger_expire(PG_GETARG_INT64(0), account_ids, n);
	db_end();
	PG_RETURN_INT32((int32) n);
}

PG_FUNCTION_INFO_V1(loyalty_account_state);

Datum
loyalty_account_state(PG_FUNCTION_ARGS)
{
	AccountState state;
	TupleDesc	type;
	Datum		values[6];
	bool		nulls[6] = {false};
	bool		found;
	MemoryContext caller = CurrentMemoryContext;

	if (get_call_result_type(fcinfo, NULL, &type) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "loyalty_internal.account_state() returns a row");
	db_begin();
	found = ledger_state(PG_GETARG_INT64(0), PG_GETARG_INT64(1), PG_GETARG_TIMESTAMPTZ(2), &state);
	if (found)
	{
		MemoryContext context = MemoryContextSwitchTo(caller);

		values[0] = PointsGetDatum(state.balance);
		values[1] = PointsGetDatum(state.held);
		values[2] = PointsGetDatum(state.pending);
		values[3] = PointsGetDatum(state.expired);
		values[4] = PointsGetDatum(state.earned);
		values[5] = lots_pack(&state.lots);
		MemoryContextSwitchTo(context);
	}
	db_end();
	if (!found)
		memset(nulls, true, sizeof(nulls));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(type), values, nulls)));
}
