/*
 * ikniu_member.c
 *		Members of the seller API: their fields, and creating them.
 */
#include "postgres.h"

#include "admin/member.h"
#include "api/ikniu_member.h"
#include "base/crypto.h"
#include "base/fold.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

const Endpoint seller_member = {
	.name = "member",
	.fields = {MEMBER_FIELDS(OPTIONAL)},
};

static Datum
text_or_null(const Value *value, char *null)
{
	*null = value->text ? ' ' : 'n';
	return value->text ? CStringGetTextDatum(value->text) : (Datum) 0;
}

/* A name, without the blanks that people type around it. */
static Datum
name_or_null(const Value *value, char *null)
{
	*null = value->text ? ' ' : 'n';
	return value->text ? CStringGetTextDatum(text_trimmed(value->text)) : (Datum) 0;
}

static Statement rank_find_sql = {
	.sql = "SELECT 1 FROM loyalty_internal.rank_range WHERE merchant_id = $1 AND range_group ="
	" (SELECT p.range_group FROM loyalty_internal.program p WHERE p.merchant_id = $1 AND p.program_id = $2) AND rank = $3",
	.params = {INT8OID, INT8OID, TEXTOID}
};

static bool
rank_exists(int64 merchant_id, int64 program_id, const char *rank)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(program_id), CStringGetTextDatum(rank)};

	return db_read(&rank_find_sql, values, NULL) > 0;
}

static Statement member_create_sql = {
	.sql = "INSERT INTO loyalty_internal.member (merchant_id, member_id, program_id, account_id, client_id, phone, email, name, first_name,"
	" first_last_name, second_last_name, birth_date, granted_rank, subscribed_at, country)"
	" VALUES ($1, $2, $3, $2, coalesce($4, loyalty_internal.new_client_id('CM')), $5, loyalty_internal.trimmed($6),"
	" concat_ws(' ', $7, $8, nullif($9, '')), $7, $8, coalesce($9, ''), $10, coalesce($11, ''), coalesce($12, now()),"
	" coalesce($13, '')) ON CONFLICT DO NOTHING RETURNING client_id",
	.params = {INT8OID, INT8OID, INT8OID, TEXTOID, PHONEOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, DATEOID, TEXTOID,
	TIMESTAMPTZOID, TEXTOID}
};

static Statement member_register_again_sql = {
	.sql = "SELECT outcome, member_id, account_id, known_as FROM loyalty_internal.register_again"
	"(merchant_id => $1, program_id => $3, client_id => $4, phone => $5, email => $6, first_name => $7,"
	" first_last_name => $8, second_last_name => $9, birth_date => $10, country => $13)",
	.params = {INT8OID, INT8OID, INT8OID, TEXTOID, PHONEOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, DATEOID, TEXTOID,
	TIMESTAMPTZOID, TEXTOID}
};

static Registration
register_member(int64 merchant_id, int64 program_id, const Value *values, Member *member)
{
	const Value *client_id = &values[values[MEMBER_CLIENT_ID].text ? MEMBER_CLIENT_ID : MEMBER_ID];
	const Value *birth_date = &values[values[MEMBER_BIRTH_DATE].text ? MEMBER_BIRTH_DATE : MEMBER_BIRTHDATE];
	char		nulls[13];
	Datum		params[13];

	memset(nulls, ' ', sizeof(nulls));
	params[0] = Int64GetDatum(merchant_id);
	params[1] = Int64GetDatum(new_id());
	params[2] = Int64GetDatum(program_id);
	params[3] = text_or_null(client_id, &nulls[3]);
	params[4] = PhoneGetDatum(values[MEMBER_PHONE].phone);
	nulls[4] = values[MEMBER_PHONE].text ? ' ' : 'n';
	params[5] = text_or_null(&values[MEMBER_EMAIL], &nulls[5]);
	params[6] = name_or_null(&values[MEMBER_FIRST_NAME], &nulls[6]);
	params[7] = name_or_null(&values[MEMBER_FIRST_LAST_NAME], &nulls[7]);
	params[8] = name_or_null(&values[MEMBER_SECOND_LAST_NAME], &nulls[8]);
	params[9] = DateADTGetDatum(birth_date->date);
	nulls[9] = birth_date->text ? ' ' : 'n';
	params[10] = text_or_null(&values[MEMBER_RANK], &nulls[10]);
	params[11] = TimestampTzGetDatum(values[MEMBER_SUBSCRIPTION].time);
	nulls[11] = values[MEMBER_SUBSCRIPTION].text ? ' ' : 'n';
	params[12] = text_or_null(&values[MEMBER_COUNTRY], &nulls[12]);
	return member_register(&member_create_sql, &member_register_again_sql, params, nulls, member);
}

static Statement member_address_clear_sql = {
	.sql = "DELETE FROM loyalty_internal.member_address WHERE merchant_id = $1 AND member_id = $2",
	.params = {INT8OID, INT8OID}
};

static Statement member_address_sql = {
	.sql = "INSERT INTO loyalty_internal.member_address (merchant_id, member_id, ordinal, street, number_inside, number_outside,"
	" country, state, city) SELECT $1, $2, a.ordinal, coalesce(a.item ->> 'street', ''),"
	" coalesce(a.item ->> 'numberInside', ''), coalesce(a.item ->> 'numberOutside', ''),"
	" coalesce(a.item #>> '{postcode,country,name}', ''), coalesce(a.item #>> '{postcode,state,name}', ''),"
	" coalesce(a.item #>> '{postcode,city,name}', '')"
	" FROM json_array_elements($3) WITH ORDINALITY a (item, ordinal) WHERE json_typeof(a.item) = 'object'",
	.params = {INT8OID, INT8OID, JSONOID}
};

static void
write_addresses(int64 merchant_id, int64 member_id, const char *addresses, bool again)
{
	Datum		params[] = {Int64GetDatum(merchant_id), Int64GetDatum(member_id), CStringGetTextDatum(addresses)};

	if (again)
		db_write(&member_address_clear_sql, params, NULL);
	db_write(&member_address_sql, params, NULL);
}

/*
 * Create a member from decoded fields, or bring one back who had left.  Returns
 * ERR_NONE, or why nothing was written: a batch goes on with its other items.
 */
ErrorId
seller_member_create(int64 merchant_id, int64 program_id, const Value *values, Member *member)
{
	Registration outcome;

	if (values[MEMBER_RANK].text != NULL && !rank_exists(merchant_id, program_id, values[MEMBER_RANK].text))
		return ERR_UNKNOWN_RANK;
	outcome = register_member(merchant_id, program_id, values, member);
	if (outcome == MEMBER_TAKEN || outcome == MEMBER_BLOCKED)
		return ERR_MEMBER_EXISTS;
	if (values[MEMBER_ADDRESS].text != NULL)
		write_addresses(merchant_id, member->member_id, values[MEMBER_ADDRESS].text, outcome == MEMBER_RETURNED);
	return ERR_NONE;
}
