/*
 * activity.c
 *		What other sessions, and the server's log, see of what this one does.
 *
 * Each session has a slot in shared memory for what it does, which others read
 * without a lock and which writing costs a few stores.  PostgreSQL's own long
 * commands count their progress there.  Ours is counted in the same numbers,
 * under a command of our own, so that no view of PostgreSQL's takes it for one of
 * its commands.  An error takes it away, whatever rolls back.
 */
#include "postgres.h"

#include "base/activity.h"
#include "base/compat.h"
#include "commands/progress.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "tcop/tcopprot.h"
#include "utils/backend_progress.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#define REQUEST_ID_MAX_LENGTH (NAMEDATALEN - 1) /* of an application_name */

/* ------------------------------------------------------------------------
 * Requests
 * ------------------------------------------------------------------------ */

#define DIGITS "0123456789"
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/* Whether a CURP begins here, as far as its form tells. */
static bool
looks_like_curp(const char *text)
{
	static const char *const classes[] = {LETTERS, DIGITS, "HMXhmx", LETTERS, DIGITS LETTERS, DIGITS};
	static const char form[] = "000011111123333345";

	for (int i = 0; form[i] != '\0'; i++)
	{
		if (text[i] == '\0' || strchr(classes[form[i] - '0'], text[i]) == NULL)
			return false;
	}
	return true;
}

/* Whether it names a person, as far as its form tells: has a CURP, or is a phone. */
static bool
names_person(const char *text)
{
	size_t		digits = strspn(text, DIGITS);

	for (const char *at = text; *at != '\0'; at++)
	{
		if (looks_like_curp(at))
			return true;
	}
	return text[digits] == '\0' && digits >= 10 && digits <= 13;
}

/* nginx.conf has the same. */
static bool
is_request_id(const char *text)
{
	size_t		length = strspn(text, DIGITS LETTERS "._-");

	return length > 0 && length <= REQUEST_ID_MAX_LENGTH && text[length] == '\0' && !names_person(text);
}

/*
 * Until the transaction ends, or what of it is rolled back, the session does what
 * a request has asked for.  Its id is the application_name, which log_line_prefix
 * can show; and it stands before the statement, which is what the postmaster can
 * tell of a session that died without a word.  What is no id is ignored.
 */
void
activity_of_request(const char *request_id)
{
	char	   *statement;

	if (request_id == NULL || !is_request_id(request_id))
		return;
	(void) set_config_option("application_name", request_id, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
	statement = psprintf("/* request %s */ %s", request_id, debug_query_string ? debug_query_string : "");
	pgstat_report_activity(STATE_RUNNING, statement);
	pfree(statement);
}

/* The worth of a hexadecimal digit; -1: it is none. */
static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 'a' ^ 'A';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#define HEX_DIGITS	16
#define FNV_OFFSET	UINT64CONST(14695981039346656037)
#define FNV_PRIME	UINT64CONST(1099511628211)

/*
 * The number of a request: of an id that begins with 16 hexadecimal digits, as
 * those of the web server and UUIDs do, hyphens apart, it is these; of another its
 * hash, FNV-1a of 64 bits.  0: it is no id.
 */
int64
request_number(const char *request_id)
{
	uint64		hash = FNV_OFFSET;
	uint64		prefix = 0;
	int			digits = 0;
	int			worst = 0;

	if (request_id == NULL || !is_request_id(request_id))
		return 0;
	for (const char *c = request_id; *c; c++)
	{
		hash = (hash ^ (unsigned char) *c) * FNV_PRIME;
		if (digits == HEX_DIGITS || *c == '-')
			continue;
		worst = Min(worst, hex_digit(*c));
		prefix = prefix << 4 | (hex_digit(*c) & 15);
		digits++;
	}
	if (digits == HEX_DIGITS && worst == 0)
		hash = prefix;
	return hash == 0 ? 1 : (int64) hash;
}

PG_FUNCTION_INFO_V1(loyalty_request_number);

/* loyalty.request_number(): by which entries are found of a request. */
Datum
loyalty_request_number(PG_FUNCTION_ARGS)
{
	int64		number = request_number(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	if (number == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(number);
}

/* ------------------------------------------------------------------------
 * Long work
 * ------------------------------------------------------------------------ */

#define COMMAND_OF_LOYALTY ((ProgressCommandType) 0x4C4F5941)

/* Its parameters. */
enum
{
	PROGRESS_WORK,
	PROGRESS_MERCHANT,
	PROGRESS_STARTED_AT,
	PROGRESS_ACCOUNTS_TOTAL,
	PROGRESS_ACCOUNTS_DONE,
	PROGRESS_PARAMETERS
};

static const char *const work_names[] = {
	[WORK_VERIFY] = "verify",
	[WORK_MAKE_ROOT] = "make_root",
	[WORK_VERIFY_ROOT] = "verify_root",
	[WORK_EXPIRE_DUE] = "expire_due",
	[WORK_RECOUNT_RANKS] = "recount_ranks",
	[WORK_ROLL_UP] = "roll_up",
};

/* Long work begins, on so many accounts of a merchant. */
void
work_begin(Work work, int64 merchant_id, int64 accounts)
{
	const int	parameters[PROGRESS_PARAMETERS] = {
		PROGRESS_WORK, PROGRESS_MERCHANT, PROGRESS_STARTED_AT, PROGRESS_ACCOUNTS_TOTAL, PROGRESS_ACCOUNTS_DONE,
	};
	const int64 values[PROGRESS_PARAMETERS] = {work, merchant_id, GetCurrentTimestamp(), accounts, 0};

	pgstat_progress_start_command(COMMAND_OF_LOYALTY, InvalidOid);
	pgstat_progress_update_multi_param(PROGRESS_PARAMETERS, parameters, values);
}

/* So many of them are done. */
void
work_done(int64 accounts)
{
	pgstat_progress_update_param(PROGRESS_ACCOUNTS_DONE, accounts);
}

void
work_end(void)
{
	pgstat_progress_end_command();
}

static void
put_work(ReturnSetInfo *result, const PgBackendStatus *session)
{
	const int64 *parameter = session->st_progress_param;
	Datum		values[] = {
		Int32GetDatum(session->st_procpid),
		(Datum) 0,
		Int64GetDatum(parameter[PROGRESS_MERCHANT]),
		Int64GetDatum(parameter[PROGRESS_ACCOUNTS_DONE]),
		Int64GetDatum(parameter[PROGRESS_ACCOUNTS_TOTAL]),
		TimestampTzGetDatum(parameter[PROGRESS_STARTED_AT]),
	};
	bool		nulls[lengthof(values)] = {
		[2] = parameter[PROGRESS_MERCHANT] == ALL_MERCHANTS,
		[4] = parameter[PROGRESS_ACCOUNTS_TOTAL] == ACCOUNTS_UNKNOWN,
	};
	int64		work = parameter[PROGRESS_WORK];

	/* between the beginning of its work and its parameters */
	if (work <= 0 || work >= (int64) lengthof(work_names))
		return;
	values[1] = CStringGetTextDatum(work_names[work]);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(loyalty_progress);

/* loyalty_internal.progress(): the long work of the sessions of this database. */
Datum
loyalty_progress(PG_FUNCTION_ARGS)
{
	int			sessions = pgstat_fetch_stat_numbackends();

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 1; i <= sessions; i++)
	{
		const PgBackendStatus *session = &pgstat_get_local_beentry_by_index(i)->backendStatus;

		if (session->st_progress_command == COMMAND_OF_LOYALTY && session->st_databaseid == MyDatabaseId)
			put_work((ReturnSetInfo *) fcinfo->resultinfo, session);
	}
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(loyalty_begin_roll_up);

/* loyalty_internal.begin_roll_up(): goes on behind so many accounts of a merchant. */
Datum
loyalty_begin_roll_up(PG_FUNCTION_ARGS)
{
	work_begin(WORK_ROLL_UP, PG_GETARG_INT64(0), ACCOUNTS_UNKNOWN);
	work_done(PG_GETARG_INT64(1));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(loyalty_end_work);

/* loyalty_internal.end_work(): for work whose end is in SQL. */
Datum
loyalty_end_work(PG_FUNCTION_ARGS)
{
	work_end();
	PG_RETURN_VOID();
}
