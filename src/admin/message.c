/*
 * message.c
 *		The outbox: messages to members, by SMS or WhatsApp.
 *
 * A message is a row, written in the transaction of its operation: it goes out
 * if and only if that commits.  The caller takes it from the merchant's quota.
 */
#include "postgres.h"

#include "admin/message.h"
#include "db/statement.h"
#include "utils/builtins.h"

static Statement message_insert_sql = {
	.sql = "INSERT INTO loyalty_internal.message (merchant_id, member_id, channel, phone, body) VALUES ($1, $2, $3, $4, $5)",
	.params = {INT8OID, INT8OID, TEXTOID, PHONEOID, TEXTOID}
};

/* Queue a message, by the channel of the program. */
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

	db_write(&message_insert_sql, values, NULL);
}
