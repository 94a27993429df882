/*
 * operation.h
 *		An endpoint of a documented API, and a call of it.
 *
 * An endpoint's descriptor alone knows its fields, the codes that refuse them
 * and the shape of its answer.  It serves three ways in: the SQL function that
 * raises errors, the function with named parameters that answers them, and the
 * documented path.
 */
#ifndef LOYALTY_OPERATION_H
#define LOYALTY_OPERATION_H

#include "postgres.h"
#include "admin/merchant.h"
#include "base/compat.h"
#include "base/errors.h"
#include "base/json.h"
#include "db/statement.h"
#include "types/phone.h"
#include "types/points.h"
#include "utils/date.h"

#define MAX_FIELDS	24
#define MAX_SPELLINGS 2
#define FIELD_MAX_LENGTH 1024	/* of a text, and of what is within an object */
#define OBJECT_MAX_LENGTH 8192
#define ARRAY_MAX_LENGTH 65536

/* Bytes of a body, as in http/nginx.conf: all fields, escaped; lists of addresses; batches. */
#define BODY_MAX_LENGTH (64 * 1024)
#define MEMBER_BODY_MAX_LENGTH (1024 * 1024)
#define BATCH_BODY_MAX_LENGTH (8 * 1024 * 1024)

/* Where a call comes from.  The Monedero document lists two codes for many conditions. */
typedef enum Origin
{
	FROM_REQUEST,				/* HTTP: the code of the request */
	FROM_SQL					/* SQL: the code that the operation raises */
} Origin;

/* The code of a condition, by the origin of the call. */
typedef struct Refusal
{
	ErrorId		request;
	ErrorId		operation;
} Refusal;

typedef enum FieldKind
{
	FIELD_TEXT,
	FIELD_NAME,					/* a text without control characters */
	FIELD_PHONE,
	FIELD_TYPED_PHONE,			/* with whatever punctuation */
	FIELD_POINTS,				/* positive; points or money */
	FIELD_SWITCH,				/* 0 or 1 */
	FIELD_DIRECTION,			/* 0 or 1; of an assistant 1 or 2, which is 0 or 1 */
	FIELD_STAFF,				/* a staff_id; what is none is 0 */
	FIELD_BIRTH_DATE,			/* from 1900 until today; a time may follow and is left out */
	FIELD_TIME,					/* ISO 8601, from 1900 until 2199 */
	FIELD_COUNT,				/* 0, 1, 2 … */
	FIELD_JSON,					/* an array of objects of short values, as JSON */
	FIELD_OBJECT,				/* an object of short values, as JSON */
	FIELD_ACCEPTANCE,			/* a text or a boolean */
	FIELD_ANY					/* whatever it is */
} FieldKind;

typedef enum FieldNeed
{
	OPTIONAL,
	REQUIRED,
	REQUIRED_IF_0,				/* of the FIELD_SWITCH before it; else optional */
	REQUIRED_IF_1				/* of the FIELD_SWITCH before it; else ignored */
} FieldNeed;

typedef struct Field
{
	const char *name;
	FieldKind	kind;
	FieldNeed	need;
	Refusal		absent;
	Refusal		malformed;
	bool		secret;			/* kept out of the fingerprint of the idempotency key */
	const char *also[MAX_SPELLINGS];	/* other names of it, in a body; of several the first counts */
} Field;

typedef struct Value
{
	const char *text;			/* NULL: absent or empty */
	JsonKind	kind;			/* what it was in JSON; else a string */
	bool		fixed;			/* set by the path: a query or a body may not */
	int			spelling;		/* which of the names of the field it has */
	union
	{
		int64		integer;
		Points		points;
		Phone		phone;
		DateADT		date;
		TimestampTz time;
	};
} Value;

typedef enum ResultKind
{
	RESULT_ID,
	RESULT_POINTS,
	RESULT_ROWS,
	RESULT_JSON,				/* call->json, written by the handler */
	RESULT_NONE					/* an id in SQL, nothing in the answer */
} ResultKind;

struct Call;

typedef struct Endpoint
{
	const char *name;
	Field		fields[MAX_FIELDS]; /* ends with a NULL name */
	ResultKind	result;
	bool		writes;			/* takes an idempotency key; unset where the handler claims it, once it knows who asks */
	bool		logs;			/* what it tells, and refuses to, is written down */
	bool		takes_items;	/* instead of fields: a JSON array */
	size_t		body_max_length;	/* if it may be longer than BODY_MAX_LENGTH */
	bool		knows_assistants;	/* those say "source": "mcp" */
	ErrorId		unexpected;		/* answers an error that has no code; else INTERNAL_ERROR does */
	const char *code;			/* of success */
	const char *message;
	const char *answer[6];		/* keys of the answer, in order; success, message, code and status are the envelope's,
								 * another one holds the result; without keys the answer is the result */
	int			status;			/* of success, if not 200 */
	void		(*run) (struct Call *call);
	char	   *(*complete) (const struct Call *call, const char *kept);	/* the answer, of call->kept and a
																			 * repetition */
} Endpoint;

typedef struct Call
{
	const Endpoint *endpoint;
	Origin		origin;
	int64		merchant_id;
	ApiKey		key;			/* that it came with */
	int64		request_id;		/* the number of the request; 0: none */
	const char *app_user;		/* who acts for the merchant, once that is proved and it has a turn; NULL: the
								 * merchant */
	bool		reads_customers;	/* the app user may call API_CUSTOMER, which tells their names */
	int64		unused_key_no;	/* of the app user's keys the one that signed, if it is to be written down as used;
								 * else 0 */
	bool		sandbox;		/* came by a sandbox path */
	bool		assistant;		/* comes from the provider's client for assistants */
	bool		only_reads;		/* nothing may be written, or can be: a standby */
	const char *bearer;
	const char *address;		/* of the client, as the web server says */
	const char *idempotency_key;
	Value		values[MAX_FIELDS];
	const char *body;			/* if the endpoint takes items */
	size_t		body_length;
	ErrorId		unexpected;
	bool		replayed;		/* answered what its idempotency key has */

	/* the result, by the endpoint's kind */
	int64		id;
	Points		points;
	Statement  *rows;
	Datum		row_params[8];	/* the first is the merchant */
	Statement  *row_sizes;		/* with the same parameters, the bytes of each row; NULL: of few rows, or in no order */
	char	   *json;
	int			status;			/* of success, if not the endpoint's */
	int64		space;			/* that what it wrote takes, also if it fails later */
	int			due;			/* how many entries that were due it has booked, also if it fails later */
	char	   *kept;			/* for a repetition, if that is not the result itself */
	bool		single_row;		/* an object instead of an array */
	ErrorId		no_row;			/* raised if there is no such row */
	const char *more_key;		/* of a second array in the answer, or NULL */
	int			more_from;		/* the first of the columns of rows that go into it */
} Call;

extern void call_start(Call *call, const Endpoint *endpoint, Origin origin);
pg_noreturn extern void call_refuse(const Call *call, Refusal refusal);
extern void call_set_body(Call *call, const char *body, size_t length);
extern void call_set_items(Call *call, text *items);

extern void body_text(StringInfo json, const char *key, const char *text);
extern void body_json(StringInfo json, const char *key, const char *value);
extern void body_members(StringInfo json, const char *object);

#endif
