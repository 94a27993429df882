/*
 * operations.c
 *		The engine as SQL functions.
 */
#include "postgres.h"

#include <ctype.h>
#include "access/htup_details.h"
#include "admin/idempotency.h"
#include "admin/merchant.h"
#include "base/activity.h"
#include "base/arguments.h"
#include "base/crypto.h"
#include "catalog/pg_type.h"
#include "db/statement.h"
#include "fmgr.h"
#include "funcapi.h"
#include "ledger/answer.h"
#include "ledger/ledger.h"
#include "miscadmin.h"
#include "types/lots.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
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

/* The kind of this name: of all that can be asked for, or of those that have no function of their own. */
static EntryKind
kind_argument(text *name, bool all)
{
	EntryKind	kind;

	if (!entry_kind_parse(text_to_cstring(name), &kind) || (kind > ENTRY_ADJUST && !all))
		raise_error_hint(ERR_INVALID_ARGUMENT, all ?
						 "kind is accrue, deposit, redeem, adjust, hold, capture, release, reverse or transfer." :
						 "kind is accrue, deposit, redeem or adjust; the others have a function each, as loyalty.hold() is.");
	return kind;
}

/* ------------------------------------------------------------------------
 * What is asked for
 * ------------------------------------------------------------------------ */

/* The arguments of an operation besides its account and kind, in the order in which loyalty.post_batch() has them. */
typedef enum Argument
{
	AMOUNT,
	REFERENCE,
	STAFF_ID,
	MONEY,
	MEMBER_ID,
	AVAILABLE_AT,
	EXPIRES_AT,
	RELEASE_AT,
	ENTRY_ID,
	TO_ACCOUNT_ID,
	IN_FULL,
	ARGUMENTS
} Argument;

#define BIT(argument) (1 << (argument))
#define TOO_LONG BIT(ARGUMENTS) /* no kind has that */

/* The arguments that a kind has. */
static inline int
arguments_of(EntryKind kind)
{
	int			all = BIT(AMOUNT) | BIT(REFERENCE) | BIT(STAFF_ID);

	switch (kind)
	{
		case ENTRY_HOLD:
			return all | BIT(MEMBER_ID) | BIT(RELEASE_AT);
		case ENTRY_CAPTURE:
		case ENTRY_REVERSE:
			return all | BIT(ENTRY_ID) | BIT(MONEY) | BIT(IN_FULL);
		case ENTRY_RELEASE:
			return all | BIT(ENTRY_ID) | BIT(IN_FULL);
		case ENTRY_TRANSFER:
			return all | BIT(TO_ACCOUNT_ID) | BIT(MEMBER_ID) | BIT(IN_FULL);
		default:
			return all | BIT(MONEY) | BIT(MEMBER_ID) | BIT(AVAILABLE_AT) | BIT(EXPIRES_AT);
	}
}

/* Whether these are arguments for a kind: such as it has, what it is about, and one that says how much. */
static inline bool
arguments_suit(EntryKind kind, int given)
{
	int			has = arguments_of(kind);
	int			needs = has & (BIT(ENTRY_ID) | BIT(TO_ACCOUNT_ID));
	int			how_much = given & (BIT(AMOUNT) | BIT(IN_FULL) | (kind == ENTRY_REVERSE ? BIT(MONEY) : 0));

	return (given & ~has) == 0 && (needs & ~given) == 0 && how_much != 0 && (how_much & (how_much - 1)) == 0;
}

/* Refuse arguments of a function that do not suit its kind: it has no others, so one that is needed is not there. */
pg_noreturn static void
refuse_arguments(EntryKind kind, int given)
{
	int			missing = arguments_of(kind) & ~given;

	if (given & TOO_LONG)
		raise_error_hint(ERR_INVALID_ARGUMENT, "reference has at most 1,024 bytes.");
	if (missing & BIT(ENTRY_ID))
		raise_error_hint(ERR_INVALID_ARGUMENT, "entry_id is required.");
	if (missing & BIT(TO_ACCOUNT_ID))
		raise_error_hint(ERR_INVALID_ARGUMENT, "to_account_id is required.");
	if (kind == ENTRY_REVERSE)
		raise_error_hint(ERR_INVALID_ARGUMENT, "Give exactly one of amount, money and in_full => true.");
	if (arguments_of(kind) & BIT(IN_FULL))
		raise_error_hint(ERR_INVALID_ARGUMENT, "Give exactly one of amount and in_full => true.");
	raise_error_hint(ERR_INVALID_ARGUMENT, "amount is required.");
}

/* A moment of an argument.  0 stands for none, so the moment 0 is taken for the next one. */
static TimestampTz
moment_of(Datum value)
{
	TimestampTz at = DatumGetTimestampTz(value);

	return at == 0 ? 1 : at;
}

/* Take an argument that is not NULL into a posting; returns its bit. */
static inline int
take_argument(Posting *posting, Argument argument, Datum value)
{
	switch (argument)
	{
		case AMOUNT:
			posting->amount = DatumGetPoints(value);
			break;
		case REFERENCE:
			posting->reference = DatumGetTextPP(value);
			if (VARSIZE_ANY_EXHDR(posting->reference) > REFERENCE_MAX_LENGTH)
				return TOO_LONG;
			break;
		case STAFF_ID:
			posting->staff_id = DatumGetInt64(value);
			break;
		case MONEY:
			posting->money = DatumGetPoints(value);
			posting->has_money = true;
			break;
		case MEMBER_ID:
			posting->member_id = DatumGetInt64(value);
			break;
		case AVAILABLE_AT:
			posting->available_at = moment_of(value);
			break;
		case EXPIRES_AT:
		case RELEASE_AT:
			posting->expires_at = moment_of(value);
			break;
		case ENTRY_ID:
			posting->origin_entry_id = DatumGetInt64(value);
			break;
		case TO_ACCOUNT_ID:
			posting->peer_account_id = DatumGetInt64(value);
			break;
		case IN_FULL:
			posting->in_full = DatumGetBool(value);
			/* in_full => false says nothing */
			return posting->in_full ? BIT(IN_FULL) : 0;
		case ARGUMENTS:
			break;
	}
	return BIT(argument);
}

/* What is redeemed is positive in SQL, and negative to the engine.  What has no opposite is refused, as all that is negative. */
static void
sign_amount(Posting *posting)
{
	if (posting->kind == ENTRY_REDEEM)
		posting->amount = -Max(posting->amount, -PG_INT64_MAX);
}

/* ------------------------------------------------------------------------
 * One operation
 * ------------------------------------------------------------------------ */

/* The numbers of a function's arguments; 0: it has no such argument. */
typedef struct Signature
{
	const char *name;
	EntryKind	kind;			/* unless the caller says */
	int			kind_at;
	int			at[ARGUMENTS];
	int			idempotency_key;
} Signature;

static void
posting_arguments(FunctionCallInfo fcinfo, const Signature *signature, Posting *posting)
{
	int			given = 0;

	require_argument(fcinfo, 0);
	require_argument(fcinfo, 1);
	if (signature->kind_at != 0)
		require_argument(fcinfo, signature->kind_at);
	memset(posting, 0, sizeof(Posting));
	posting->account_id = PG_GETARG_INT64(1);
	posting->kind = signature->kind_at != 0 ? kind_argument(PG_GETARG_TEXT_PP(signature->kind_at), false) : signature->kind;
	for (int i = 0; i < ARGUMENTS; i++)
	{
		int			at = signature->at[i];

		if (at != 0 && !PG_ARGISNULL(at))
			given |= take_argument(posting, i, PG_GETARG_DATUM(at));
	}
	if (!arguments_suit(posting->kind, given))
		refuse_arguments(posting->kind, given);
}

static void
add_number(StringInfo fingerprint, const char *name, int64 value)
{
	if (value != 0)
		fingerprint_add(fingerprint, name, psprintf(INT64_FORMAT, value));
}

/* The amount is the one that was asked for. */
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
	add_number(fingerprint, "in_full", posting->in_full);
}

static void
post_once(int64 merchant_id, const char *name, Posting *posting, const char *key)
{
	StringInfoData fingerprint;
	char	   *answer;

	if (key != NULL)
		posting_fingerprint(&fingerprint, name, posting);
	if (!idempotency_claim(merchant_id, NULL, key, &fingerprint, &answer))
	{
		answer_parse(answer, posting);
		return;
	}

	sign_amount(posting);
	ledger_post(merchant_id, posting, 1);
	raise_refusal(posting);
	if (key != NULL)
		idempotency_answer(merchant_id, NULL, key, answer_text(posting));
}

static Datum
post_by(FunctionCallInfo fcinfo, const Signature *signature)
{
	Posting		posting;
	int			key = signature->idempotency_key;

	posting_arguments(fcinfo, signature, &posting);
	db_begin();
	post_once(PG_GETARG_INT64(0), signature->name, &posting,
			  PG_ARGISNULL(key) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(key)));
	db_end();
	return answer_row(&posting);
}

PG_FUNCTION_INFO_V1(loyalty_post);

Datum
loyalty_post(PG_FUNCTION_ARGS)
{
	static const Signature signature = {
		.name = "post",.kind_at = 2,
		.at = {[AMOUNT] = 3,[REFERENCE] = 4,[STAFF_ID] = 5,[MONEY] = 6,[MEMBER_ID] = 7,[AVAILABLE_AT] = 8,[EXPIRES_AT] = 9},
		.idempotency_key = 10
	};

	return post_by(fcinfo, &signature);
}

PG_FUNCTION_INFO_V1(loyalty_hold);

Datum
loyalty_hold(PG_FUNCTION_ARGS)
{
	static const Signature signature = {
		.name = "hold",.kind = ENTRY_HOLD,
		.at = {[AMOUNT] = 2,[REFERENCE] = 3,[STAFF_ID] = 4,[MEMBER_ID] = 5,[RELEASE_AT] = 6},
		.idempotency_key = 7
	};

	return post_by(fcinfo, &signature);
}

PG_FUNCTION_INFO_V1(loyalty_capture);

Datum
loyalty_capture(PG_FUNCTION_ARGS)
{
	static const Signature signature = {
		.name = "capture",.kind = ENTRY_CAPTURE,
		.at = {[ENTRY_ID] = 2,[AMOUNT] = 3,[REFERENCE] = 4,[STAFF_ID] = 5,[MONEY] = 6,[IN_FULL] = 7},
		.idempotency_key = 8
	};

	return post_by(fcinfo, &signature);
}

PG_FUNCTION_INFO_V1(loyalty_release);

Datum
loyalty_release(PG_FUNCTION_ARGS)
{
	static const Signature signature = {
		.name = "release",.kind = ENTRY_RELEASE,
		.at = {[ENTRY_ID] = 2,[AMOUNT] = 3,[REFERENCE] = 4,[STAFF_ID] = 5,[IN_FULL] = 6},
		.idempotency_key = 7
	};

	return post_by(fcinfo, &signature);
}

PG_FUNCTION_INFO_V1(loyalty_reverse);

Datum
loyalty_reverse(PG_FUNCTION_ARGS)
{
	static const Signature signature = {
		.name = "reverse",.kind = ENTRY_REVERSE,
		.at = {[ENTRY_ID] = 2,[AMOUNT] = 3,[REFERENCE] = 4,[STAFF_ID] = 5,[MONEY] = 6,[IN_FULL] = 7},
		.idempotency_key = 8
	};

	return post_by(fcinfo, &signature);
}

PG_FUNCTION_INFO_V1(loyalty_transfer);

Datum
loyalty_transfer(PG_FUNCTION_ARGS)
{
	static const Signature signature = {
		.name = "transfer",.kind = ENTRY_TRANSFER,
		.at = {[TO_ACCOUNT_ID] = 2,[AMOUNT] = 3,[REFERENCE] = 4,[STAFF_ID] = 5,[MEMBER_ID] = 6,[IN_FULL] = 7},
		.idempotency_key = 8
	};

	return post_by(fcinfo, &signature);
}

/* ------------------------------------------------------------------------
 * A batch
 * ------------------------------------------------------------------------ */

/* The arguments of an item, by their names in SQL. */
static const struct
{
	const char *name;
	Oid			type;
}			item_arguments[ARGUMENTS] = {
	[AMOUNT] = {"amount", POINTSOID},
	[REFERENCE] = {"reference", TEXTOID},
	[STAFF_ID] = {"staff_id", INT8OID},
	[MONEY] = {"money", POINTSOID},
	[MEMBER_ID] = {"member_id", INT8OID},
	[AVAILABLE_AT] = {"available_at", TIMESTAMPTZOID},
	[EXPIRES_AT] = {"expires_at", TIMESTAMPTZOID},
	[RELEASE_AT] = {"release_at", TIMESTAMPTZOID},
	[ENTRY_ID] = {"entry_id", INT8OID},
	[TO_ACCOUNT_ID] = {"to_account_id", INT8OID},
	[IN_FULL] = {"in_full", BOOLOID},
};

/* An argument of post_batch(): an element for each item, or one for all. */
typedef struct Elements
{
	Argument	argument;
	Datum	   *values;			/* NULL: it is not given */
	bool	   *nulls;
	int			n;
} Elements;

/* Take an array apart that must be one-dimensional. */
static Elements
array_argument(FunctionCallInfo fcinfo, int argument, Oid type)
{
	Elements	elements = {0};
	ArrayType  *array;
	int16		length;
	bool		byval;
	char		align;

	if (PG_ARGISNULL(argument))
		return elements;
	array = PG_GETARG_ARRAYTYPE_P(argument);
	if (ARR_NDIM(array) > 1)
		raise_error_hint(ERR_INVALID_ARGUMENT, psprintf("%s has one dimension.", argument_name(fcinfo, argument)));
	get_typlenbyvalalign(type, &length, &byval, &align);
	deconstruct_array(array, type, length, byval, align, &elements.values, &elements.nulls, &elements.n);
	return elements;
}

static Elements
required_array(FunctionCallInfo fcinfo, int argument, Oid type)
{
	Elements	elements;

	require_argument(fcinfo, argument);
	elements = array_argument(fcinfo, argument, type);
	for (int i = 0; i < elements.n; i++)
	{
		if (elements.nulls[i])
			raise_error_hint(ERR_INVALID_ARGUMENT, psprintf("%s is required for each item.", argument_name(fcinfo, argument)));
	}
	return elements;
}

typedef struct Items
{
	int			n;
	Elements	accounts;
	Elements	kinds;
	EntryKind  *kind;			/* for each of kinds */
	Elements	given[ARGUMENTS];
	int			ngiven;
} Items;

#define BATCH_KEY (3 + ARGUMENTS)	/* its idempotency_key */

/* Refuse an array that has not an element for each item. */
static void
require_elements(FunctionCallInfo fcinfo, int argument, const Elements *elements, const Elements *items, bool one_for_all)
{
	if (elements->n != items->n && !(one_for_all && elements->n == 1))
		raise_error_hint(ERR_INVALID_ARGUMENT, psprintf("%s must have as many elements as account_id%s: %d, not %d.",
														argument_name(fcinfo, argument), one_for_all ? ", or one" : "",
														items->n, elements->n));
}

static void
read_items(FunctionCallInfo fcinfo, Items *items)
{
	require_argument(fcinfo, 0);
	require_argument(fcinfo, 3);
	items->accounts = required_array(fcinfo, 1, INT8OID);
	items->kinds = required_array(fcinfo, 2, TEXTOID);
	items->n = items->accounts.n;
	require_elements(fcinfo, 2, &items->kinds, &items->accounts, true);
	items->kind = palloc_extended(Max(items->kinds.n, 1) * sizeof(EntryKind), MCXT_ALLOC_HUGE);
	for (int i = 0; i < items->kinds.n; i++)
		items->kind[i] = kind_argument(DatumGetTextPP(items->kinds.values[i]), true);
	items->ngiven = 0;
	for (int i = 0; i < ARGUMENTS; i++)
	{
		Elements	elements = array_argument(fcinfo, 3 + i, db_type(item_arguments[i].type));

		if (elements.values == NULL)
			continue;
		require_elements(fcinfo, 3 + i, &elements, &items->accounts, i == STAFF_ID || i == IN_FULL);
		elements.argument = i;
		items->given[items->ngiven++] = elements;
	}
}

static EntryKind
kind_of_item(const Items *items, int i)
{
	return items->kind[items->kinds.n == 1 ? 0 : i];
}

/* The posting of an item, in memory that is 0; false: it cannot be asked for so. */
static bool
read_item(const Items *items, int i, Posting *posting)
{
	int			given = 0;

	posting->account_id = DatumGetInt64(items->accounts.values[i]);
	posting->kind = kind_of_item(items, i);
	for (int j = 0; j < items->ngiven; j++)
	{
		const Elements *elements = &items->given[j];
		int			element = elements->n == 1 ? 0 : i;

		if (!elements->nulls[element])
			given |= take_argument(posting, elements->argument, elements->values[element]);
	}
	sign_amount(posting);
	return arguments_suit(posting->kind, given);
}

/* Post those items that can be asked for so; *refused says which cannot, and the postings are those of the others. */
static Posting *
post_items(int64 merchant_id, const Items *items, bool **refused)
{
	Posting    *postings = palloc_extended(Max(items->n, 1) * sizeof(Posting), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	int			n = 0;

	*refused = palloc_extended(Max(items->n, 1) * sizeof(bool), MCXT_ALLOC_HUGE);
	for (int i = 0; i < items->n; i++)
	{
		(*refused)[i] = !read_item(items, i, &postings[n]);
		if ((*refused)[i])
			memset(&postings[n], 0, sizeof(Posting));
		else
			n++;
	}
	ledger_post(merchant_id, postings, n);
	return postings;
}

/* What came of an item: an error, or a posting. */
static void
put_item(ReturnSetInfo *rsinfo, int i, const char *error, const Posting *posting)
{
	Datum		values[2 + ANSWER_COLUMNS] = {Int32GetDatum(i + 1)};
	bool		nulls[2 + ANSWER_COLUMNS] = {false, error == NULL};

	if (error == NULL)
		answer_columns(posting, values + 2, nulls + 2);
	else
	{
		values[1] = CStringGetTextDatum(error);
		memset(nulls + 2, true, ANSWER_COLUMNS * sizeof(bool));
	}
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* What came of the items, one row for each; and one line for each into kept, unless that is NULL. */
static void
put_items(ReturnSetInfo *rsinfo, const Items *items, const bool *refused, const Posting *posting, StringInfo kept)
{
	for (int i = 0; i < items->n; i++)
	{
		ErrorId		id = refused[i] ? ERR_INVALID_ARGUMENT : posting->error;
		const char *error = id == ERR_NONE ? NULL : error_info(id)->code;

		put_item(rsinfo, i, error, posting);
		if (kept != NULL)
			appendStringInfo(kept, "%s\n", error != NULL ? error : answer_text(posting));
		if (!refused[i])
			posting++;
	}
}

/* The rows of the first call, by the lines that were kept of it. */
static void
put_kept_items(ReturnSetInfo *rsinfo, const Items *items, char *line)
{
	for (int i = 0; i < items->n; i++)
	{
		Posting		posting = {.kind = kind_of_item(items, i)};
		char	   *end = strchr(line, '\n');
		bool		posted = isdigit((unsigned char) *line);

		if (end == NULL)
			elog(ERROR, "the answer that was kept has %d items of %d", i, items->n);
		*end = '\0';
		if (posted)
			answer_parse(line, &posting);
		put_item(rsinfo, i, posted ? NULL : line, &posting);
		line = end + 1;
	}
}

/* An array as one digest, so that a fingerprint is short however many items there are. */
static void
add_elements(StringInfo fingerprint, const char *name, Oid type, const Elements *elements)
{
	StringInfoData bytes;

	initStringInfo(&bytes);
	for (int i = 0; i < elements->n; i++)
	{
		appendStringInfoChar(&bytes, elements->nulls[i] ? 'n' : 'v');
		if (elements->nulls[i])
			continue;
		if (type == TEXTOID)
		{
			text	   *value = DatumGetTextPP(elements->values[i]);

			appendStringInfo(&bytes, "%zu:", (size_t) VARSIZE_ANY_EXHDR(value));
			appendBinaryStringInfo(&bytes, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
		}
		else
			appendBinaryStringInfo(&bytes, (char *) &elements->values[i], sizeof(Datum));
	}
	fingerprint_add_bytes(fingerprint, name, VARDATA(sha256_digest(bytes.data, bytes.len)), PG_SHA256_DIGEST_LENGTH);
	pfree(bytes.data);
}

static void
batch_fingerprint(StringInfo fingerprint, const Items *items)
{
	fingerprint_start(fingerprint, "post_batch");
	add_elements(fingerprint, "account_id", INT8OID, &items->accounts);
	add_elements(fingerprint, "kind", TEXTOID, &items->kinds);
	for (int i = 0; i < items->ngiven; i++)
	{
		Argument	argument = items->given[i].argument;

		add_elements(fingerprint, item_arguments[argument].name, item_arguments[argument].type, &items->given[i]);
	}
}

static void
batch_once(ReturnSetInfo *rsinfo, int64 merchant_id, const Items *items, const char *key)
{
	StringInfoData fingerprint;
	StringInfoData kept;
	const Posting *postings;
	bool	   *refused;
	char	   *answer;

	/* refused items are an answer, which would be kept for a merchant that is none */
	if (!merchant_exists(merchant_id))
		raise_error(ERR_UNKNOWN_OBJECT);
	batch_fingerprint(&fingerprint, items);
	if (!idempotency_claim(merchant_id, NULL, key, &fingerprint, &answer))
	{
		put_kept_items(rsinfo, items, answer);
		return;
	}
	postings = post_items(merchant_id, items, &refused);
	initStringInfo(&kept);
	put_items(rsinfo, items, refused, postings, &kept);
	idempotency_answer(merchant_id, NULL, key, kept.data);
}

PG_FUNCTION_INFO_V1(loyalty_post_batch);

Datum
loyalty_post_batch(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Items		items;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);

	db_begin();
	read_items(fcinfo, &items);
	if (!PG_ARGISNULL(BATCH_KEY))
		batch_once(rsinfo, PG_GETARG_INT64(0), &items, text_to_cstring(PG_GETARG_TEXT_PP(BATCH_KEY)));
	else
	{
		bool	   *refused;
		const Posting *postings = post_items(PG_GETARG_INT64(0), &items, &refused);

		put_items(rsinfo, &items, refused, postings, NULL);
	}
	db_end();
	return (Datum) 0;
}

/* Accounts are booked so many at a time, which shows others how far it is and bounds the memory. */
#define ACCOUNTS_AT_ONCE 100
/* After so many entries for each of those that were asked for, no others are booked: all are locked until the end. */
#define ENTRIES_OF_ACCOUNT 10

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
	uint64		done = 0;
	int64		entries = 0;

	require_argument(fcinfo, 0);
	if (max_accounts < 1 || max_accounts > 100000)
		raise_error_hint(ERR_INVALID_ARGUMENT, "max_accounts is 1 to 100,000.");
	values[0] = PG_GETARG_DATUM(0);
	values[1] = Int64GetDatum(max_accounts);

	db_begin();
	n = db_write(&accounts_due_sql, values, NULL);
	account_ids = palloc(Max(n, 1) * sizeof(int64));
	for (uint64 row = 0; row < n; row++)
		account_ids[row] = row_int64(row, "account_id");
	work_begin(WORK_EXPIRE_DUE, PG_GETARG_INT64(0), n);
	while (done < n && entries < (int64) max_accounts * ENTRIES_OF_ACCOUNT)
	{
		int			some = Min(n - done, ACCOUNTS_AT_ONCE);

		work_done(done);
		entries += ledger_expire(PG_GETARG_INT64(0), account_ids + done, some);
		done += some;
	}
	work_end();
	db_end();
	PG_RETURN_INT32((int32) done);
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
