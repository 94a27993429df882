/*
 * program.c
 *		Programs, as the operations see them.
 */
#include "postgres.h"

#include "plan.h"
#include "program.h"
#include "utils/builtins.h"

bool
wallet_find(int64 merchant_id, const char *wallet_key, const char *message_kind, Program *wallet)
{
	Datum		values[] = {
		Int64GetDatum(merchant_id),
		CStringGetTextDatum(wallet_key),
		CStringGetTextDatum(message_kind),
	};

	if (plan_read(PLAN_WALLET_FIND, values, NULL) == 0)
		return false;
	wallet->program_id = plan_int64(0, 0);
	wallet->percent = plan_int64(0, 1);
	wallet->decimals = plan_int64(0, 2);
	if (!rounding_parse(plan_text(0, 3), &wallet->rounding))
		elog(ERROR, "unknown rounding of program " INT64_FORMAT, wallet->program_id);
	wallet->requires_ticket = plan_bool(0, 4);
	wallet->requires_birth_date = plan_bool(0, 5);
	wallet->sends_message = plan_bool(0, 6);
	wallet->name = plan_text(0, 7);
	wallet->channel = plan_text(0, 8);
	return true;
}

/* Where the wallet's members look at their points. */
char *
wallet_link(int64 merchant_id, int64 program_id)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(program_id)};

	if (plan_read(PLAN_WALLET_LINK, values, NULL) == 0)
		elog(ERROR, "wallet " INT64_FORMAT " is gone", program_id);
	return plan_text(0, 0);
}
