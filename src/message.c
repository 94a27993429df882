/*
 * message.c
 *		The outbox: what members are told, by SMS or WhatsApp.
 *
 * A message is a row, written and paid for in the transaction of the operation
 * it tells about: it goes out if and only if the operation happened.
 */
#include "postgres.h"

#include "message.h"
#include "plan.h"
#include "quota.h"
#include "utils/builtins.h"

/* False if the merchant's message credit does not cover it. */
bool
message_queue(int64 merchant_id, int64 member_id, const Program *program, Phone phone, const char *body)
{
	Datum		values[] = {
		Int64GetDatum(merchant_id),
		Int64GetDatum(member_id),
		CStringGetTextDatum(program->channel),
		PhoneGetDatum(phone),
		CStringGetTextDatum(body),
	};

	if (!quota_take(merchant_id, QUOTA_MESSAGES))
		return false;
	plan_write(PLAN_MESSAGE_INSERT, values, NULL);
	return true;
}
