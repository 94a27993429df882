/*
 * sale.c
 *		Sales by the earning rules as SQL functions: sale, simulate.
 */
#include "postgres.h"

#include "admin/idempotency.h"
#include "base/arguments.h"
#include "catalog/pg_type.h"
#include "db/statement.h"
#include "earning/goods.h"
#include "earning/rank.h"
#include "earning/rule.h"
#include "fmgr.h"
#include "funcapi.h"
#include "ledger/answer.h"
#include "ledger/ledger.h"
#include "ledger/rank_at.h"
#include "miscadmin.h"
#include "program/program.h"
#include "program/terms.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

static const Program *
require_program(int64 merchant_id, int64 account_id)
{
	const Program *program = program_of_account(merchant_id, account_id);

	if (program == NULL)
		raise_error(ERR_UNKNOWN_ACCOUNT);
	return program;
}

/* The points that money earns at the base of a program. */
static Points
base_points(const Program *program, Points money)
{
	Points		points;

	if (!program_accumulate(program, money, &points))
		raise_error(ERR_BALANCE_OUT_OF_RANGE);
	return points;
}

/* ------------------------------------------------------------------------
 * sale
 * ------------------------------------------------------------------------ */

typedef struct SaleCall
{
	int64		merchant_id;
	Posting		use;			/* redeems points_used; amount 0: none are */
	Posting		accrual;
	Points		money;
} SaleCall;

static void
sale_fingerprint(StringInfo fingerprint, const SaleCall *sale)
{
	const Posting *accrual = &sale->accrual;

	fingerprint_start(fingerprint, "sale");
	fingerprint_add(fingerprint, "account_id", psprintf(INT64_FORMAT, accrual->account_id));
	fingerprint_add(fingerprint, "money", points_text(sale->money));
	fingerprint_add(fingerprint, "points_used", points_text(-sale->use.amount));
	fingerprint_add(fingerprint, "items", accrual->items ? text_to_cstring(accrual->items) : NULL);
	fingerprint_add(fingerprint, "reference", accrual->reference ? text_to_cstring(accrual->reference) : NULL);
	fingerprint_add(fingerprint, "staff_id", psprintf(INT64_FORMAT, accrual->staff_id));
	fingerprint_add(fingerprint, "member_id", psprintf(INT64_FORMAT, accrual->member_id));
}

static void
read_sale(FunctionCallInfo fcinfo, SaleCall *sale)
{
	Posting    *accrual = &sale->accrual;

	for (int i = 0; i < 4; i++)
		require_argument(fcinfo, i);
	memset(sale, 0, sizeof(SaleCall));
	sale->merchant_id = PG_GETARG_INT64(0);
	sale->money = PG_GETARG_POINTS(2);
	accrual->account_id = PG_GETARG_INT64(1);
	accrual->kind = ENTRY_ACCRUE;
	accrual->money = sale->money;
	accrual->has_money = true;
	accrual->earns = true;
	accrual->items = text_argument(fcinfo, 4, ITEMS_MAX_LENGTH);
	accrual->reference = text_argument(fcinfo, 5, REFERENCE_MAX_LENGTH);
	accrual->staff_id = PG_ARGISNULL(6) ? 0 : PG_GETARG_INT64(6);
	accrual->member_id = PG_ARGISNULL(7) ? 0 : PG_GETARG_INT64(7);
	if (sale->money < 0 || PG_GETARG_POINTS(3) < 0)
		raise_error_hint(ERR_INVALID_AMOUNT, "money and points_used are not negative.");
	if (accrual->items != NULL && !items_valid(accrual->items))
		raise_error_hint(ERR_INVALID_ARGUMENT, ITEMS_HINT);

	sale->use = *accrual;
	sale->use.kind = ENTRY_REDEEM;
	sale->use.amount = -PG_GETARG_POINTS(3);
	sale->use.earns = false;
	sale->use.items = NULL;
}

/* Points used pay a part of the sale, which does not earn unless the program says so. */
static void
price_sale(SaleCall *sale)
{
	const Program *program = require_program(sale->merchant_id, sale->accrual.account_id);

	if (!program->active)
		raise_error(ERR_PROGRAM_INACTIVE);
	if (points_decimals_used(sale->use.amount) > program->decimals)
		raise_error_hint(ERR_INVALID_AMOUNT, psprintf("points_used has more decimals than the program's %d.", program->decimals));
	if (!program_worth(program, -sale->use.amount, &sale->use.money))
		raise_error(ERR_BALANCE_OUT_OF_RANGE);
	if (sale->use.money > sale->money)
		raise_error_hint(ERR_INVALID_AMOUNT, psprintf("The points used are worth %s, the sale is one of %s.",
													  points_text(sale->use.money), points_text(sale->money)));
	sale->accrual.earning_money = program->earn_on_points ? sale->money : sale->money - sale->use.money;
	sale->accrual.amount = base_points(program, sale->accrual.earning_money);
}

/* Both entries are in one batch; an error reverses all of it. */
static void
post_sale(SaleCall *sale)
{
	Posting		postings[] = {sale->use, sale->accrual};
	bool		uses = sale->use.amount != 0;

	ledger_post(sale->merchant_id, uses ? postings : postings + 1, uses ? 2 : 1);
	for (int i = uses ? 0 : 1; i < 2; i++)
		raise_refusal(&postings[i]);
	sale->accrual = postings[1];
}

static void
sale_once(SaleCall *sale, const char *key)
{
	StringInfoData fingerprint;
	char	   *answer;

	if (key != NULL)
		sale_fingerprint(&fingerprint, sale);
	if (!idempotency_claim(sale->merchant_id, NULL, key, &fingerprint, &answer))
	{
		answer_parse(answer, &sale->accrual);
		return;
	}
	price_sale(sale);
	post_sale(sale);
	if (key != NULL)
		idempotency_answer(sale->merchant_id, NULL, key, answer_text(&sale->accrual));
}

PG_FUNCTION_INFO_V1(loyalty_sale);

Datum
loyalty_sale(PG_FUNCTION_ARGS)
{
	SaleCall	sale;

	read_sale(fcinfo, &sale);
	db_begin();
	sale_once(&sale, PG_ARGISNULL(8) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(8)));
	db_end();
	return answer_row(&sale.accrual);
}

/* ------------------------------------------------------------------------
 * simulate
 * ------------------------------------------------------------------------ */

static void
put_row(ReturnSetInfo *rsinfo, const char *rule, Points points, TimestampTz expires_at)
{
	Datum		values[3] = {CStringGetTextDatum(rule), PointsGetDatum(points), TimestampTzGetDatum(expires_at)};
	bool		nulls[3] = {false, false, expires_at == DT_NOEND};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static Statement rules_at_sql = {
	.sql = "SELECT version FROM loyalty_internal.rule_set"
	" WHERE merchant_id = $1 AND program_id = $2 AND " HAS_BEGUN("published_at") " ORDER BY version DESC LIMIT 1",
	.params = {INT8OID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID}
};

/* The version of the rules in force at a moment; 0: none. */
static int
rules_at(int64 merchant_id, const Program *program, const Moment *moment)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(program->program_id), TimestampTzGetDatum(moment->at),
	TimestampTzGetDatum(moment->ahead)};

	return db_write(&rules_at_sql, values, NULL) > 0 ? (int) row_int64(0, "version") : 0;
}

static void
simulate(ReturnSetInfo *rsinfo, int64 merchant_id, Sale *sale, TimestampTz at)
{
	Terms	   *cache = NULL;
	const Terms *terms;
	const Program *program = require_program(merchant_id, sale->account_id);
	Buyer		buyer = {.account_id = sale->account_id};
	Moment		moment = moment_at(at);
	Earning		earning;
	ErrorId		error;

	sale->base = base_points(program, sale->money);
	terms = terms_at(&cache, merchant_id, program->program_id, at);
	buyer.program = terms->program;
	buyer.account = rank_account_at(merchant_id, sale->account_id, at);
	buyer.version = rules_at(merchant_id, buyer.program, &moment);
	buyer.posted_at = moment_raised(&moment, buyer.account->posted_at);
	buyer.ranked_at = rank_moment(buyer.account, &moment);
	buyer.available_at = terms->sale_available_at;
	terms = terms_at(&cache, merchant_id, program->program_id, terms->sale_available_at);
	error = rules_earn(rules_start(merchant_id, moment, &buyer, 1), sale, &earning);
	if (error != ERR_NONE)
		raise_error(error);

	put_row(rsinfo, "", earning.base, terms->expires_at);
	for (int i = 0; i < earning.nbonuses; i++)
		put_row(rsinfo, earning.bonuses[i].rule, earning.bonuses[i].points,
				earning.bonuses[i].expires_at != 0 ? earning.bonuses[i].expires_at : terms->expires_at);
}

PG_FUNCTION_INFO_V1(loyalty_simulate);

Datum
loyalty_simulate(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Sale		sale = {0};

	for (int i = 0; i < 5; i++)
	{
		if (i != 3)
			require_argument(fcinfo, i);
	}
	if (!terms_moment_suits(PG_GETARG_TIMESTAMPTZ(4)))
		raise_error_hint(ERR_INVALID_ARGUMENT, "at is a moment of the years 1 to 9999, but for their first and last day.");
	sale.account_id = PG_GETARG_INT64(1);
	sale.money = PG_GETARG_POINTS(2);
	sale.items = text_argument(fcinfo, 3, ITEMS_MAX_LENGTH);
	if (sale.money < 0)
		raise_error_hint(ERR_INVALID_AMOUNT, "money is not negative.");
	if (sale.items != NULL && !items_valid(sale.items))
		raise_error_hint(ERR_INVALID_ARGUMENT, ITEMS_HINT);
	InitMaterializedSRF(fcinfo, 0);

	db_begin();
	simulate(rsinfo, PG_GETARG_INT64(0), &sale, PG_GETARG_TIMESTAMPTZ(4));
	db_end();
	return (Datum) 0;
}
