/*
 * program.c
 *		Programs, as the operations see them.
 */
#include "postgres.h"

#include "db/statement.h"
#include "program/program.h"
#include "utils/builtins.h"

static bool
find(PlanId plan, int64 merchant_id, Datum key, const char *message_kind, Program *program)
{
	Datum		values[] = {
		Int64GetDatum(merchant_id),
		key,
		CStringGetTextDatum(message_kind),
	};
	RowVersion	version;
	bool		managed;

	if (plan_read(plan, values, NULL) == 0)
		return false;
	program->program_id = plan_int64(0, 0);
	program->accumulation_points = plan_int64(0, 1);
	program->accumulation_money = plan_int64(0, 2);
	program->decimals = plan_int64(0, 3);
	if (!rounding_parse(plan_text(0, 4), &program->rounding))
		elog(ERROR, "unknown rounding of program " INT64_FORMAT, program->program_id);
	program->requires_ticket = plan_bool(0, 5);
	program->requires_birth_date = plan_bool(0, 6);
	program->sends_message = plan_bool(0, 7);
	program->name = plan_text(0, 8);
	program->channel = plan_text(0, 9);
	program->redemption_points = plan_int64(0, 10);
	program->redemption_money = plan_int64(0, 11);
	program->currency_iso = plan_text(0, 12);
	program->currency_change = plan_int64(0, 13);
	program->currency_active = plan_bool(0, 14);
	program->unit_base = plan_bool(0, 15);
	program->active = plan_bool(0, 16);
	program->earn_on_points = plan_bool(0, 17);
	managed = plan_bool(0, 18);
	version = plan_version(0, 19);
	program->terms = managed ? terms_of_version(merchant_id, program->program_id, &version) : NULL;
	return true;
}

bool
wallet_find(int64 merchant_id, const char *wallet_key, const char *message_kind, Program *wallet)
{
	return find(PLAN_WALLET_FIND, merchant_id, CStringGetTextDatum(wallet_key), message_kind, wallet);
}

bool
program_find(int64 merchant_id, const char *client_id, Program *program)
{
	return find(PLAN_PROGRAM_FIND, merchant_id, CStringGetTextDatum(client_id), "", program);
}

bool
program_of_account(int64 merchant_id, int64 account_id, Program *program)
{
	return find(PLAN_PROGRAM_OF_ACCOUNT, merchant_id, Int64GetDatum(account_id), "", program);
}

/* The points that money in the program's currency earns. */
bool
program_accumulate(const Program *program, Points money, Points *points)
{
	return points_convert(money,
						  (int128) program->accumulation_points * program->currency_change,
						  (int128) program->accumulation_money * POINTS_ONE,
						  program->decimals, program->rounding, points);
}

/* What points are worth when they are redeemed, in the program's currency. */
bool
program_worth(const Program *program, Points points, Points *money)
{
	return points_convert(points,
						  (int128) program->redemption_money * POINTS_ONE,
						  (int128) program->redemption_points * program->currency_change,
						  POINTS_DECIMALS, program->rounding, money);
}

/*
 * Whether money, in the program's currency, is what points are worth, within a
 * cent.  Both sides are multiplied out, so nothing is rounded.
 */
bool
program_redeems_for(const Program *program, Points points, Points money)
{
	const int64 cent = POINTS_ONE / 100;
	int128		per = (int128) program->redemption_points * program->currency_change;
	int128		worth;
	int128		offered;
	int128		tolerance;

	if (__builtin_mul_overflow((int128) points * program->redemption_money, (int128) POINTS_ONE, &worth) ||
		__builtin_mul_overflow((int128) money, per, &offered) ||
		__builtin_mul_overflow((int128) cent, per, &tolerance))
		return false;
	return worth - offered <= tolerance && offered - worth <= tolerance;
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
