/*
 * kasu_token.c
 *		Tokens of the customer API, and what is done under a token.
 *
 * There is no session and no stored token.  A partner signs the CURP in
 * question with its private key, by HMAC.  The token is an HMAC too: that
 * signature is its key, the time of issue and the time to live are its message.
 * Each request repeats all of it, and both HMACs are computed again.  So a token
 * is good for one user, one CURP and its time only.
 *
 * An app user may have several private keys, while one takes the place of
 * another: what any of them has signed is good, until that key expires.
 *
 * Every request about a customer is written to the access log, refused or not.
 */
#include "postgres.h"

#include <time.h>
#include "admin/turn.h"
#include "api/fields.h"
#include "api/kasu_token.h"
#include "base/crypto.h"
#include "base/json.h"
#include "mb/pg_wchar.h"
#include "utils/date.h"
#include "utils/builtins.h"

#define CLOCK_TOLERANCE_S 60
#define LOGGED_MAX_LENGTH 64

/* A row for each key that is good, the newest first; granted: whether the user may call the API, or with none named any of them. */
static Statement app_user_sql = {
	.sql = "SELECT u.merchant_id, u.token_ttl_s::bigint, CASE $2 WHEN 'CUSTOMER' THEN u.customer_expires_at WHEN 'ACCOUNTS' THEN u.accounts_expires_at"
	" WHEN 'PAYMENTS' THEN u.payments_expires_at ELSE greatest(u.customer_expires_at, u.accounts_expires_at, u.payments_expires_at) END > clock_timestamp() AS granted,"
	" u.customer_expires_at > clock_timestamp() AS reads,"
	" k.private_key, k.key_no::bigint, (k.last_used_at >= date_trunc('hour', clock_timestamp(), 'UTC')) IS NOT TRUE AS unused"
	" FROM loyalty_internal.app_user u JOIN loyalty_internal.app_user_key k ON k.app_user = u.name"
	" WHERE u.name = $1 AND k.app_user = $1 AND u.disabled_at IS NULL AND k.expires_at > clock_timestamp() ORDER BY k.key_no DESC",
	.params = {TEXTOID, TEXTOID}
};

static Statement merchant_sandbox_sql = {
	.sql = "SELECT sandbox FROM loyalty_internal.merchant WHERE merchant_id = $1",
	.params = {INT8OID}
};

/* One of the keys of an app user. */
typedef struct PrivateKey
{
	char	   *text;
	int64		key_no;
	bool		unused;			/* in this hour, as far as was written down */
} PrivateKey;

typedef struct AppUser
{
	int64		merchant_id;
	int64		token_ttl_s;
	bool		granted;		/* the API that is called */
	bool		reads;			/* whether API_CUSTOMER is granted, which tells customers' names */
	PrivateKey *keys;
	int			nkeys;
} AppUser;

/* ------------------------------------------------------------------------
 * Giving tokens
 * ------------------------------------------------------------------------ */

/* The merchant of an app user; 0: there is no such user. */
int64
kasu_merchant_of(const char *app_user)
{
	Datum		values[] = {CStringGetTextDatum(app_user), CStringGetTextDatum("")};

	return db_read(&app_user_sql, values, NULL) > 0 ? row_int64(0, "merchant_id") : 0;
}

/*
 * Find the app user of a request, who calls an API, or refuse.  Sandbox paths
 * have only the users of the sandbox, and other paths none of them; SQL has all.
 */
static void
find_app_user(const Call *call, const char *api, AppUser *user)
{
	Datum		values[] = {CStringGetTextDatum(call->values[KASU_USER].text), CStringGetTextDatum(api)};

	user->nkeys = db_read(&app_user_sql, values, NULL);
	if (user->nkeys == 0)
		raise_error(ERR_KASU_401);
	user->merchant_id = row_int64(0, "merchant_id");
	user->token_ttl_s = row_int64(0, "token_ttl_s");
	user->granted = row_bool(0, "granted");
	user->reads = row_bool(0, "reads");
	user->keys = palloc(user->nkeys * sizeof(PrivateKey));
	for (int i = 0; i < user->nkeys; i++)
	{
		user->keys[i].text = row_text(i, "private_key");
		user->keys[i].key_no = row_int64(i, "key_no");
		user->keys[i].unused = row_bool(i, "unused");
	}

	if (call->origin == FROM_SQL)
		return;
	values[0] = Int64GetDatum(user->merchant_id);
	if (db_read(&merchant_sandbox_sql, values, NULL) == 0 || row_bool(0, "sandbox") != call->sandbox)
		raise_error(ERR_KASU_401);
}

/* The merchant of the app user that a request names, or refuse: nothing proves yet that it comes from that user. */
int64
kasu_merchant(const Call *call)
{
	AppUser		user;

	find_app_user(call, "", &user);
	return user.merchant_id;
}

/*
 * The signature of the CURP by whichever key of the app user it is right for
 * what was sent; of none, the request is refused.  From then on it is known
 * whose the request is, and it takes a turn.
 */
static const char *
find_signature(Call *call, const AppUser *user, bool (*is_right) (const Call *call, const char *signature, const char *data), const char *data)
{
	for (int i = 0; i < user->nkeys; i++)
	{
		const char *signature = hmac_sha256_hex(user->keys[i].text, call->values[KASU_CURP].text);

		if (!is_right(call, signature, data))
			continue;
		call->unused_key_no = user->keys[i].unused ? user->keys[i].key_no : 0;
		call->merchant_id = user->merchant_id;
		if (call->origin == FROM_REQUEST)
			turn_take(call->merchant_id, TURNS_OF_APP_USERS);
		call->app_user = call->values[KASU_USER].text;
		call->reads_customers = user->reads;
		return signature;
	}
	raise_error(ERR_KASU_401);
}

/* Nobody waits: of two who would write it down at a time, the second does not. */
static Statement key_used_sql = {
	.sql = "UPDATE loyalty_internal.app_user_key k SET last_used_at = date_trunc('hour', clock_timestamp(), 'UTC')"
	" FROM (SELECT FROM loyalty_internal.app_user_key o WHERE o.app_user = $1 AND o.key_no = $2"
	" AND (o.last_used_at >= date_trunc('hour', clock_timestamp(), 'UTC')) IS NOT TRUE FOR NO KEY UPDATE SKIP LOCKED) nobodys"
	" WHERE k.app_user = $1 AND k.key_no = $2",
	.params = {TEXTOID, INT8OID}
};

/* Write down that the key of a request was used, once an hour, whether the request was refused or not. */
static void
record_key(const Call *call)
{
	Datum		values[] = {CStringGetTextDatum(call->values[KASU_USER].text), Int64GetDatum(call->unused_key_no)};

	if (call->unused_key_no != 0)
		db_write(&key_used_sql, values, NULL);
}

/* Complete an answer: ok, the members that were written so far, and one more with JSON. */
char *
kasu_answer(StringInfo members, const char *key, const char *value)
{
	body_json(members, key, value);
	return psprintf("{\"ok\":true,%s}", members->data);
}

static char *
token_data(int64 timestamp, int64 expires_in)
{
	return psprintf("{\"timestamp\":" INT64_FORMAT ",\"expires_in\":" INT64_FORMAT "}", timestamp, expires_in);
}

/* In the places of the fields that all requests have. */
enum
{
	REGISTER_SIGNATURE = KASU_CURP + 1
};

static Statement customer_name_sql = {
	.sql = "SELECT name FROM loyalty_internal.member WHERE merchant_id = $1 AND member_id = $2",
	.params = {INT8OID, INT8OID}
};

/*
 * The name of the customer, for who has the consent to read it, and may.  A
 * consent is looked for also where there is no customer, which takes as long.
 */
static const char *
customer_name(Call *call, bool found)
{
	Datum		values[] = {Int64GetDatum(call->merchant_id), Int64GetDatum(call->id)};

	if (kasu_consent_to_names(call, NULL, NULL) != TOLD_ALL || !found || db_read(&customer_name_sql, values, NULL) == 0)
		return "";
	return row_text(0, "name");
}

static bool
is_signature(const Call *call, const char *signature, const char *data pg_attribute_unused())
{
	return secrets_equal(signature, call->values[REGISTER_SIGNATURE].text);
}

/* A token is given to who may call any of the APIs; it tells no more than those do. */
static void
token_full_run(Call *call)
{
	const Value *values = call->values;
	AppUser		user;
	Curp		curp;
	bool		found;
	char	   *data;
	const char *signature;
	const char *name;
	StringInfoData json;

	if (strcmp(values[KASU_OPERATION].text, "token_full") != 0)
		raise_error(ERR_KASU_404);
	find_app_user(call, "", &user);
	signature = find_signature(call, &user, is_signature, NULL);
	if (!user.granted)
		raise_error(ERR_KASU_403);
	kasu_parse_curp(call, &curp);
	kasu_check_alive(call, &curp);
	found = kasu_find_customer(call, &curp);

	data = token_data(time(NULL), user.token_ttl_s);
	initStringInfo(&json);
	body_text(&json, "token", hmac_sha256_hex(signature, data));
	name = customer_name(call, found);
	if (*name)
		kasu_record_access(call, call->merchant_id, NULL, 200);
	else
		record_key(call);
	body_text(&json, "nombre", name);
	call->json = kasu_answer(&json, "token_data", data);
}

const Endpoint kasu_token_full = {
	.name = "token_full",
	.fields = {
		[KASU_OPERATION] = KASU_REQUIRED("tipo_peticion", FIELD_TEXT),
		[KASU_USER] = KASU_REQUIRED("nombre_de_usuario", FIELD_TEXT),
		[KASU_CURP] = KASU_REQUIRED("curp_en_uso", FIELD_TEXT),
		[REGISTER_SIGNATURE] = KASU_REQUIRED("firma_KEY", FIELD_TEXT),
	},
	.result = RESULT_JSON,
	.logs = true,
	.run = token_full_run,
};

PG_FUNCTION_INFO_V1(loyalty_customer_token);

/* loyalty.customer_token(): it has no merchant_id, since the app user has a merchant. */
Datum
loyalty_customer_token(PG_FUNCTION_ARGS)
{
	Call		call;
	StringInfoData json;
	ErrorContextCallback secret;

	secret_begin(&secret);
	call_start(&call, &kasu_token_full, FROM_SQL);
	call.values[KASU_OPERATION].text = kasu_token_full.name;
	for (int i = KASU_USER; i <= REGISTER_SIGNATURE; i++)
		fields_set(&call, i, JSON_IS_STRING, PG_ARGISNULL(i - KASU_USER) ? NULL :
				   text_to_cstring(PG_GETARG_TEXT_PP(i - KASU_USER)));
	initStringInfo(&json);
	call_answer(&call, &json);
	secret_end(&secret);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(json.data, json.len));
}

/* Run a function that makes a key, with the arguments of its caller: in C, so that the log does not get the key that it is given. */
static Datum
make_key(Statement *statement, FunctionCallInfo fcinfo)
{
	MemoryContext caller = CurrentMemoryContext;
	Datum		values[MAX_PARAMS];
	char		nulls[MAX_PARAMS];
	char	   *key;
	text	   *result;
	ErrorContextCallback secret;

	secret_begin(&secret);
	for (int i = 0; i < PG_NARGS(); i++)
	{
		values[i] = PG_GETARG_DATUM(i);
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
	}
	db_begin();
	db_write(statement, values, nulls);
	key = row_text(0, "key");
	MemoryContextSwitchTo(caller);
	result = cstring_to_text(key);
	db_end();
	secret_end(&secret);
	PG_RETURN_TEXT_P(result);
}

static Statement add_app_user_sql = {
	.sql = "SELECT loyalty_internal.add_app_user($1, $2, $3) AS key",
	.params = {INT8OID, TEXTOID, TEXTOID}
};

PG_FUNCTION_INFO_V1(loyalty_create_app_user);

Datum
loyalty_create_app_user(PG_FUNCTION_ARGS)
{
	return make_key(&add_app_user_sql, fcinfo);
}

static Statement add_private_key_sql = {
	.sql = "SELECT loyalty_internal.add_private_key($1, $2, $3, $4) AS key",
	.params = {INT8OID, TEXTOID, INTERVALOID, TEXTOID}
};

PG_FUNCTION_INFO_V1(loyalty_rotate_private_key);

Datum
loyalty_rotate_private_key(PG_FUNCTION_ARGS)
{
	return make_key(&add_private_key_sql, fcinfo);
}

/* ------------------------------------------------------------------------
 * Under a token
 * ------------------------------------------------------------------------ */

typedef struct TokenTimes
{
	const char *timestamp;
	const char *expires_in;
} TokenTimes;

static bool
is_token_time(void *context pg_attribute_unused(), const char *name)
{
	return strcmp(name, "timestamp") == 0 || strcmp(name, "expires_in") == 0;
}

static void
take_token_time(void *context, const char *name, JsonKind kind, const char *value)
{
	TokenTimes *times = context;

	if (kind == JSON_IS_NUMBER)
		value = json_plain_number(value);
	else if (kind != JSON_IS_STRING)
		return;
	if (strcmp(name, "timestamp") == 0)
		times->timestamp = value;
	else if (strcmp(name, "expires_in") == 0)
		times->expires_in = value;
}

/* Copy JSON without the blanks between its parts: what a client signs, however it prints it. */
static char *
without_blanks(const char *json)
{
	StringInfoData compact;
	bool		quoted = false;

	initStringInfo(&compact);
	for (const char *c = json; *c; c++)
	{
		if (quoted && *c == '\\' && c[1])
			appendStringInfoChar(&compact, *c++);
		else if (*c == '"')
			quoted = !quoted;
		else if (!quoted && strchr(" \t\r\n", *c))
			continue;
		appendStringInfoChar(&compact, *c);
	}
	return compact.data;
}

static bool
parse_seconds(const char *text, int64 *seconds)
{
	if (text == NULL || *text == '\0' || strlen(text) > 12 || strspn(text, "0123456789") != strlen(text))
		return false;
	*seconds = strtoll(text, NULL, 10);
	return true;
}

/*
 * Whether the bearer is the token of this signature for token_data of ours, or
 * for the one as it was sent, which others sign with more keys: byte for byte,
 * or without the blanks that came in when it was printed again.
 */
static bool
is_token(const Call *call, const char *signature, const char *data)
{
	const char *sent = call->values[KASU_TOKEN].text;
	bool		ours = secrets_equal(hmac_sha256_hex(signature, data), call->bearer);
	bool		as_sent = secrets_equal(hmac_sha256_hex(signature, sent), call->bearer);
	bool		compact = secrets_equal(hmac_sha256_hex(signature, without_blanks(sent)), call->bearer);

	return ours || as_sent || compact;
}

/*
 * Check the token of a request to an API, and set its merchant.  The signature
 * comes before the time: only a token that was issued here can have expired.
 * Who may not call the API is told so last, and nobody else is.
 */
void
kasu_check_token(Call *call, const char *api)
{
	const Value *values = call->values;
	const char *json = values[KASU_TOKEN].text;
	TokenTimes	times = {NULL, NULL};
	int64		timestamp;
	int64		expires_in;
	int64		now = time(NULL);
	AppUser		user;

	if (json == NULL)
		raise_error(ERR_KASU_400);
	json_read_object(json, strlen(json), is_token_time, take_token_time, &times);
	if (times.timestamp == NULL || times.expires_in == NULL)
		raise_error(ERR_KASU_400);
	find_app_user(call, api, &user);
	if (call->bearer == NULL ||
		!parse_seconds(times.timestamp, &timestamp) || !parse_seconds(times.expires_in, &expires_in))
		raise_error(ERR_KASU_401);

	/* a partner can sign anything with its own key, but not for longer */
	(void) find_signature(call, &user, is_token, token_data(timestamp, expires_in));
	if (expires_in != user.token_ttl_s || timestamp > now + CLOCK_TOLERANCE_S)
		raise_error(ERR_KASU_401);
	if (now - timestamp > expires_in)
		raise_error(ERR_KASU_418);
	if (!user.granted)
		raise_error(ERR_KASU_403);
}

static Statement customer_find_sql = {
	.sql = "SELECT member_id, blocked_at IS NOT NULL AS blocked FROM loyalty_internal.customer WHERE merchant_id = $1 AND curp OPERATOR(loyalty.=) $2",
	.params = {INT8OID, CURPOID}
};

/*
 * Find the customer of the CURP, into call->id, which stays 0 if there is none.
 * False too for one who is being cancelled.  It refuses nobody: whoever asks and
 * has no consent must not learn from the answer who is a customer.
 */
bool
kasu_find_customer(Call *call, Curp *curp)
{
	const char *why;
	Datum		values[2] = {Int64GetDatum(call->merchant_id)};

	if (!curp_parse(call->values[KASU_CURP].text, curp, &why))
		return false;
	values[1] = CurpPGetDatum(curp);
	if (db_read(&customer_find_sql, values, NULL) == 0)
		return false;
	call->id = row_int64(0, "member_id");
	return !row_bool(0, "blocked");
}

static Statement deceased_sql = {
	.sql = "SELECT 1 WHERE loyalty_internal.known_dead($1, $2)",
	.params = {INT8OID, CURPOID}
};

/* Parse the CURP, or refuse one that is not valid. */
void
kasu_parse_curp(const Call *call, Curp *curp)
{
	const char *why;

	if (!curp_parse(call->values[KASU_CURP].text, curp, &why))
		raise_error(ERR_KASU_417);
}

/* Refuse the CURP of somebody who is not born yet or known to be dead. */
void
kasu_check_alive(const Call *call, const Curp *curp)
{
	Datum		values[] = {Int64GetDatum(call->merchant_id), CurpPGetDatum(curp)};

	if (curp_birth_date(curp) > GetSQLCurrentDate() || db_read(&deceased_sql, values, NULL) > 0)
		raise_error(ERR_KASU_417);
}

/* written down before it is read under, whatever it says of the past */
static Statement consent_find_sql = {
	.sql = "SELECT policy_id FROM loyalty_internal.consent WHERE merchant_id = $1 AND member_id = $2 AND app_user = $3"
	" AND revoked_at IS NULL AND valid_from <= clock_timestamp() AND recorded_at <= clock_timestamp()"
	" AND (valid_until IS NULL OR valid_until > clock_timestamp()) AND ($4 IS NULL OR acceptance_hash = $4)"
	" AND (policy_id IS NULL OR policy_id = $5 OR $5 = -1) ORDER BY policy_id IS NULL DESC,"
	" CASE WHEN $5 = -1 THEN (SELECT s.sale_no FROM loyalty_internal.policy s WHERE s.merchant_id = $1 AND s.policy_id = consent.policy_id) END DESC NULLS LAST LIMIT 1",
	.params = {INT8OID, INT8OID, TEXTOID, BYTEAOID, INT8OID}
};

/*
 * What the customer allows this app user, with this acceptance key if one is
 * given: all data, or how a policy stands, if it is this one.  Of ANY_POLICY it
 * is set to the newest that is allowed; NULL asks for none.
 */
Told
kasu_consent(const Call *call, const char *acceptance, int64 *policy_id)
{
	Datum		values[] = {
		Int64GetDatum(call->merchant_id),
		Int64GetDatum(call->id),
		CStringGetTextDatum(call->values[KASU_USER].text),
		acceptance ? PointerGetDatum(sha256_digest(acceptance, strlen(acceptance))) : (Datum) 0,
		Int64GetDatum(policy_id ? *policy_id : 0),
	};
	const char	nulls[] = {' ', ' ', ' ', acceptance ? ' ' : 'n', ' '};

	if (db_write(&consent_find_sql, values, nulls) == 0)
		return TOLD_NOTHING;
	if (!row_has(0, "policy_id"))
		return TOLD_ALL;
	if (policy_id != NULL)
		*policy_id = row_int64(0, "policy_id");
	return TOLD_POLICY;
}

/* The same where a name is told: who may not call API_CUSTOMER reads none, under a consent for all data either. */
Told
kasu_consent_to_names(const Call *call, const char *acceptance, int64 *policy_id)
{
	Told		told = kasu_consent(call, acceptance, policy_id);

	return told == TOLD_ALL && !call->reads_customers ? TOLD_POLICY : told;
}

/*
 * Find the customer, or refuse to read.  A consent is looked for also where
 * there is no customer, which takes as long and is answered alike, and only who
 * has one is told that the customer is being cancelled.
 */
void
kasu_check_reading(Call *call, const char *acceptance, Curp *curp)
{
	bool		found = kasu_find_customer(call, curp);

	if (kasu_consent(call, acceptance, NULL) != TOLD_ALL)
		raise_error(ERR_KASU_409);
	if (!found)
		raise_error(ERR_KASU_412);
}

/* Whether a field is there, and no list or object. */
bool
kasu_is_text(const Value *value)
{
	return value->text != NULL && (value->kind == JSON_IS_STRING || value->kind == JSON_IS_NUMBER);
}

/* A merchant that may have only so many rows: this one comes after all that the request adds. */
#define HAS_ROOM "CASE WHEN t.max_rows IS NULL THEN true ELSE loyalty_internal.rows_of($1, t.max_rows) < t.max_rows END"

static Statement access_insert_sql = {
	.sql = "INSERT INTO loyalty_internal.access (merchant_id, app_user, member_id, operation, request, status, address)"
	" SELECT $1, $2, $3, $4, $5, $6, $7 FROM loyalty_internal.merchant t WHERE t.merchant_id = $1 AND " HAS_ROOM,
	.params = {INT8OID, TEXTOID, INT8OID, TEXTOID, TEXTOID, INT4OID, TEXTOID}
};

/*
 * More than sixty rows of a minute, and they are one: whoever knows a name could
 * go on for ever.  Where there is no room they are one from the start, and of the
 * hour: what is refused so often must count all the same.  A row tells whose data it was, or a little of a CURP of
 * nobody's: not both, or it would prove whose CURP was erased.
 */
static Statement refusal_insert_sql = {
	.sql = "INSERT INTO loyalty_internal.access AS a (merchant_id, app_user, member_id, operation, request, status, address, minute, curp_hash)"
	" SELECT $1, $2, CASE WHEN n.few THEN $3 END, $4, $5, $6, CASE WHEN n.few THEN $7 ELSE '' END, n.minute,"
	" CASE WHEN NOT n.few THEN 0 WHEN $3 IS NULL THEN n.hash ELSE hashint8($3) END"
	" FROM (SELECT m.minute, hashtext(encode(loyalty_internal.hmac(m.digest_key, concat(extract(epoch FROM m.minute), $8)), 'hex')) AS hash,"
	" m.room AND (SELECT count(*) FROM loyalty_internal.access o"
	" WHERE o.merchant_id = $1 AND o.app_user = $2 AND o.minute = m.minute) < 60 AS few"
	" FROM (SELECT date_trunc(CASE WHEN r.room THEN 'minute' ELSE 'hour' END, clock_timestamp(), 'UTC') AS minute, r.room, r.digest_key"
	" FROM (SELECT t.digest_key, " HAS_ROOM " AS room FROM loyalty_internal.merchant t WHERE t.merchant_id = $1 OFFSET 0) r OFFSET 0) m OFFSET 0) n"
	" ON CONFLICT (merchant_id, app_user, minute, status, operation, address, curp_hash) WHERE minute IS NOT NULL"
	" DO UPDATE SET times = a.times + 1, last_at = clock_timestamp()",
	.params = {INT8OID, TEXTOID, INT8OID, TEXTOID, TEXTOID, INT4OID, TEXTOID, TEXTOID}
};

/* The start of a text; empty for NULL. */
static Datum
logged(const char *text)
{
	if (text == NULL)
		text = "";
	return PointerGetDatum(cstring_to_text_with_len(text, pg_mbcliplen(text, strlen(text), LOGGED_MAX_LENGTH)));
}

/*
 * Who reads can roll back the row of the access log, and not what they have
 * read.  So what was told of a customer stands in the server's log too, at once:
 * who it was told to, and under which number the customer is known.
 */
static void
log_telling(const Call *call, int64 merchant_id, const char *operation, const char *request)
{
	ereport(LOG_SERVER_ONLY,
			(errmsg("data of member " INT64_FORMAT " of merchant " INT64_FORMAT " told to app user \"%s\": %s%s%s",
					call->id, merchant_id, call->values[KASU_USER].text, operation, *request ? ", " : "", request),
			 errhidestmt(true), errhidecontext(true)));
}

/* What the APIs can be asked for; any other text is logged as one of no such name. */
static const char *
known_operation(const Value *operation)
{
	static const char *const operations[] = {
		"token_full", "request", "individual_request", "request_block", "new_service", "account_status", "pagos_psd2"
	};

	if (!kasu_is_text(operation))
		return NULL;
	for (int i = 0; i < (int) lengthof(operations); i++)
	{
		if (strcmp(operations[i], operation->text) == 0)
			return operations[i];
	}
	return KASU_UNKNOWN;
}

/* The CURP of a request, of one person in one form; what is none as it was sent. */
const char *
kasu_asked_curp(const Call *call)
{
	const char *sent = call->values[KASU_CURP].text;
	char	   *normal = palloc(CURP_LENGTH + 1);
	const char *why;
	Curp		curp;

	if (sent == NULL || !curp_parse(sent, &curp, &why))
		return sent ? sent : "";
	curp_print(&curp, normal);
	return normal;
}

/*
 * Write to the access log what was asked for, in words of the document, and
 * nothing else of the request: that may be personal, and nobody could find it
 * here to erase it.
 */
void
kasu_record_access(const Call *call, int64 merchant_id, const char *request, int status)
{
	const Value *user = &call->values[KASU_USER];
	const Value *operation = &call->values[KASU_OPERATION];
	bool		refused = status >= 400;
	Datum		params[] = {
		Int64GetDatum(merchant_id),
		CStringGetTextDatum(user->text ? user->text : ""),
		Int64GetDatum(call->id),
		logged(known_operation(operation)),
		logged(request),
		Int32GetDatum(status),
		logged(call->address),
		CStringGetTextDatum(kasu_asked_curp(call)),
	};
	const char	nulls[] = {' ', ' ', call->id != 0 ? ' ' : 'n', ' ', ' ', ' ', ' ', ' '};

	if (db_write(refused ? &refusal_insert_sql : &access_insert_sql, params, nulls) == 0 && !refused)
		raise_error(ERR_ROW_LIMIT_REACHED);
	record_key(call);
	if (!refused && call->id != 0)
		log_telling(call, merchant_id, TextDatumGetCString(params[3]), TextDatumGetCString(params[4]));
}
