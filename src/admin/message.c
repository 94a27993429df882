/*
 * message.c
 *		The outbox: what members are told, by SMS or WhatsApp.
 *
 * A message is a row, written in the transaction of the operation it tells
 * about, and paid for there by whoever queues it: it goes out if and only if the
 * operation happened.
 */
#include "postgres.h"

#include "admin/message.h"
#include "db/statement.h"
#include "utils/builtins.h"

void
message_queue(int64 merchant_id, int64 member_id, const Program *program, Phone phone, const char *body)
{
	Datum		values[] = {
		Int64GetDatum(merchant_id),
		Int64GetDatum(member_id),
		CStringGetTextDatum(program->channel),
		PhoneGetDatum(phone),
		CStringGetTextDatum(body),
	};

	plan_write(PLAN_MESSAGE_INSERT, values, NULL);
}
