/*
 * receipt_json.c
 *		A receipt (an inclusion proof) as JSON: its members, written and read.
 *
 * Ids, amounts and times are strings, since many readers take JSON numbers as
 * doubles.  Every value has one form only, and is not read in another.
 */
#include "postgres.h"

#include "account/chain.h"
#include "proof/receipt_json.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define MOMENT_MAX_TEXT 64

/* ------------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------------ */

/* Write a member that is a JSON number. */
void
write_integer(StringInfo json, const char *name, int64 value)
{
	json_key(json, name);
	appendStringInfo(json, INT64_FORMAT, value);
}

/* Write an id, as a string. */
void
write_id(StringInfo json, const char *name, int64 value)
{
	json_key(json, name);
	appendStringInfo(json, "\"" INT64_FORMAT "\"", value);
}

/* Write points, as a string. */
void
write_points(StringInfo json, const char *name, Points value)
{
	json_key(json, name);
	json_text(json, points_text(value));
}

/* The text of a time, in UTC: with six digits of fraction, or none for lots, whose times are whole seconds. */
static void
moment_text(TimestampTz at, bool fraction, char *text)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			n;

	if (TIMESTAMP_NOT_FINITE(at) || timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
	{
		strlcpy(text, "?", MOMENT_MAX_TEXT);
		return;
	}
	n = snprintf(text, MOMENT_MAX_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year, tm.tm_mon, tm.tm_mday,
				 tm.tm_hour, tm.tm_min, tm.tm_sec);
	snprintf(text + n, MOMENT_MAX_TEXT - n, fraction ? ".%06dZ" : "Z", (int) fsec);
}

/* Write a time, as a string. */
void
write_time(StringInfo json, const char *name, TimestampTz at)
{
	char		text[MOMENT_MAX_TEXT];

	moment_text(at, true, text);
	json_key(json, name);
	json_text(json, text);
}

/* Write bytes as lower-case hexadecimal digits. */
void
write_hex(StringInfo json, const char *name, const void *bytes, Size length)
{
	char	   *text = palloc(2 * length + 1);

	text[hex_encode(bytes, length, text)] = '\0';
	json_key(json, name);
	json_text(json, text);
}

static void
write_lots(StringInfo json, const char *name, Datum packed)
{
	Lots		lots;

	/* damaged ones are left out: then the receipt does not hold */
	if (!lots_read_if_sound(packed, &lots))
		return;
	json_key(json, name);
	appendStringInfoChar(json, '{');
	for (int i = 0; i < lots.n; i++)
	{
		char		expires_at[MOMENT_MAX_TEXT];
		char		posted[MOMENT_MAX_TEXT];

		moment_text(lots.lot[i].expires_at, false, expires_at);
		moment_text(lots.lot[i].posted, false, posted);
		write_points(json, lots.lot[i].posted == lots.lot[i].expires_at ? expires_at : psprintf("%s/%s", expires_at, posted),
					 lots.lot[i].points);
	}
	appendStringInfoChar(json, '}');
}

static void
write_column(StringInfo json, const EntryColumn *column, int64 value)
{
	const char *kind;

	switch (column->form)
	{
		case FORM_ID:
			write_id(json, column->name, value);
			break;
		case FORM_NUMBER:
			write_integer(json, column->name, value);
			break;
		case FORM_KIND:
			kind = entry_kind_name(value);
			json_key(json, column->name);
			json_text(json, kind != NULL ? kind : "?");
			break;
		case FORM_POINTS:
			write_points(json, column->name, value);
			break;
		case FORM_TIME:
			write_time(json, column->name, value);
			break;
		case FORM_LOTS:
			write_lots(json, column->name, (Datum) value);
			break;
		case FORM_TEXT:
			json_key(json, column->name);
			json_text(json, TextDatumGetCString((Datum) value));
			break;
		case FORM_BYTES:
			break;
	}
}

/* Write an entry as one more object of an array; what it does not have is left out. */
void
write_receipt_entry(StringInfo json, const Entry *entry)
{
	appendStringInfoString(json, json->data[json->len - 1] == '[' ? "{" : ",{");
	for (int i = 0; i < NUMBER_OF_ENTRY_COLUMNS; i++)
	{
		if (entry_columns[i].in_receipt && entry_has(entry, i))
			write_column(json, &entry_columns[i], DatumGetInt64(*entry_field(entry, i)));
	}
	if (entry_has_text(entry))
		write_hex(json, "salt", entry->salt, sizeof(entry->salt));
	else if (entry->text_digest != NULL)
		write_hex(json, "text_digest", VARDATA_ANY(entry->text_digest), VARSIZE_ANY_EXHDR(entry->text_digest));
	appendStringInfoChar(json, '}');
}

/* ------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------ */

/* Take a member of a JSON object: a JsonMember, whose context is the Members. */
void
collect_member(void *context, const char *name, JsonKind kind, const char *value)
{
	Members    *members = context;

	if (members->n == MAX_MEMBERS)
	{
		members->too_many = true;
		return;
	}
	members->member[members->n].name = pstrdup(name);
	members->member[members->n].kind = kind;
	members->member[members->n].value = value;
	members->member[members->n].read = false;
	members->n++;
}

/* The value of a member of this kind, which is marked as read; NULL: there is none. */
const char *
read_member(Members *members, const char *name, JsonKind kind)
{
	for (int i = 0; i < members->n; i++)
	{
		if (strcmp(members->member[i].name, name) != 0 || members->member[i].kind != kind)
			continue;
		members->member[i].read = true;
		return members->member[i].value;
	}
	return NULL;
}

/* Whether there is a member of this name, of whatever kind. */
bool
has_member(const Members *members, const char *name)
{
	for (int i = 0; i < members->n; i++)
	{
		if (strcmp(members->member[i].name, name) == 0)
			return true;
	}
	return false;
}

/* Whether every member was read: one that was not would say something that is not proved. */
bool
all_read(const Members *members)
{
	for (int i = 0; i < members->n; i++)
	{
		if (!members->member[i].read)
			return false;
	}
	return !members->too_many;
}

/* Parse an integer; false if it is not in its only form. */
static bool
parse_int64(const char *text, int64 *value)
{
	char		again[32];
	char	   *end;

	if (text == NULL)
		return false;
	errno = 0;
	*value = strtoi64(text, &end, 10);
	snprintf(again, sizeof(again), INT64_FORMAT, *value);
	return errno == 0 && strcmp(text, again) == 0;
}

/* Read a JSON number that is an integer. */
bool
read_integer(Members *members, const char *name, int64 *value)
{
	return parse_int64(read_member(members, name, JSON_IS_NUMBER), value);
}

/* Read an id, a string. */
bool
read_id(Members *members, const char *name, int64 *value)
{
	return parse_int64(read_member(members, name, JSON_IS_STRING), value);
}

static bool
parse_points(const char *text, Points *points)
{
	char		again[POINTS_MAX_TEXT];

	if (text == NULL || points_parse(text, points) != POINTS_OK)
		return false;
	points_print(*points, again);
	return strcmp(text, again) == 0;
}

/* Read points, a string. */
bool
read_points(Members *members, const char *name, Points *value)
{
	return parse_points(read_member(members, name, JSON_IS_STRING), value);
}

static bool
parse_moment(const char *text, bool fraction, TimestampTz *at)
{
	struct pg_tm tm = {0};
	char		again[MOMENT_MAX_TEXT];
	int			micros = 0;
	int			n = 0;

	if (text == NULL)
		return false;
	if (sscanf(text, "%6d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
			   &tm.tm_sec, &n) != 6)
		return false;
	if (fraction && sscanf(text + n, ".%6dZ", &micros) != 1)
		return false;
	if (tm2timestamp(&tm, micros, NULL, at) != 0)
		return false;
	moment_text(*at, fraction, again);
	return strcmp(text, again) == 0;
}

/* Read a time, a string. */
bool
read_time(Members *members, const char *name, TimestampTz *at)
{
	return parse_moment(read_member(members, name, JSON_IS_STRING), true, at);
}

/* Read bytes, lower-case hexadecimal digits. */
bool
read_bytes(Members *members, const char *name, bytea **bytes)
{
	const char *text = read_member(members, name, JSON_IS_STRING);
	size_t		length = text != NULL ? strlen(text) : 0;

	if (text == NULL || length % 2 != 0 || strspn(text, "0123456789abcdef") != length)
		return false;
	*bytes = palloc(VARHDRSZ + length / 2);
	SET_VARSIZE(*bytes, VARHDRSZ + length / 2);
	hex_decode(text, length, VARDATA(*bytes));
	return true;
}

/* Read bytes that are as many as a hash has. */
bool
read_digest(Members *members, const char *name, Digest *digest)
{
	bytea	   *bytes;

	if (!read_bytes(members, name, &bytes) || VARSIZE_ANY_EXHDR(bytes) != sizeof(Digest))
		return false;
	memcpy(digest, VARDATA_ANY(bytes), sizeof(Digest));
	return true;
}

typedef struct LotsRead
{
	Lots		lots;
	Points		total;
	bool		sound;
} LotsRead;

/* The times of a lot: when its points expire and, if that was put off, the date they were posted with. */
static bool
parse_moments(const char *name, Lot *lot)
{
	const char *slash = strchr(name, '/');

	if (slash == NULL)
		return parse_moment(name, false, &lot->expires_at) && parse_moment(name, false, &lot->posted);
	return parse_moment(pnstrdup(name, slash - name), false, &lot->expires_at) &&
		parse_moment(slash + 1, false, &lot->posted) && lot->posted < lot->expires_at;
}

/* Add a lot; one name twice is refused, since other readers would see the last only. */
static void
collect_lot(void *context, const char *name, JsonKind kind, const char *value)
{
	LotsRead   *read = context;
	int			n = read->lots.n;
	Lot			lot;

	if (kind == JSON_IS_STRING && parse_moments(name, &lot) && parse_points(value, &lot.points) && lot.points > 0 &&
		points_add(read->total, lot.points, &read->total) && n < MAX_LOTS)
		lots_add_lot(&read->lots, &lot);
	if (read->lots.n == n)
		read->sound = false;
}

static bool
read_lots(Members *members, const char *name, int64 *packed)
{
	const char *text = read_member(members, name, JSON_IS_OBJECT);
	LotsRead	read = {.sound = true};

	if (text == NULL || !json_read_object(text, strlen(text), NULL, collect_lot, &read) || !read.sound)
		return false;
	*packed = (int64) lots_pack(&read.lots);
	return true;
}

static bool
read_kind(Members *members, const char *name, int64 *value)
{
	const char *text = read_member(members, name, JSON_IS_STRING);
	EntryKind	kind;

	if (text == NULL || !entry_kind_of_name(text, &kind))
		return false;
	*value = kind;
	return true;
}

static bool
read_text(Members *members, const char *name, int64 *value)
{
	const char *string = read_member(members, name, JSON_IS_STRING);

	if (string == NULL)
		return false;
	*value = (int64) CStringGetTextDatum(string);
	return true;
}

static bool
read_form(Members *members, const char *name, EntryForm form, int64 *value)
{
	switch (form)
	{
		case FORM_ID:
			return read_id(members, name, value);
		case FORM_NUMBER:
			return read_integer(members, name, value) && *value == (int) *value;
		case FORM_KIND:
			return read_kind(members, name, value);
		case FORM_POINTS:
			return read_points(members, name, value);
		case FORM_TIME:
			return read_time(members, name, value);
		case FORM_LOTS:
			return read_lots(members, name, value);
		case FORM_TEXT:
			return read_text(members, name, value);
		case FORM_BYTES:
			break;
	}
	return false;
}

/* Read a column of an entry.  An optional one is left out if it is 0, and only then. */
static bool
read_column(Members *members, Entry *entry, int column)
{
	const char *name = entry_columns[column].name;
	int64		value;

	if (!has_member(members, name))
		return entry_columns[column].optional;
	if (!read_form(members, name, entry_columns[column].form, &value))
		return false;
	*entry_field(entry, column) = Int64GetDatum(value);
	if (column == ENTRY_MONEY)
		entry->has_money = true;
	return entry_has(entry, column);
}

/* Read the salt of the texts of an entry or, if they were erased, their digest. */
static bool
read_salt(Members *members, Entry *entry)
{
	bytea	   *salt;

	if (!entry_has_text(entry))
		return !has_member(members, "text_digest") || read_bytes(members, "text_digest", &entry->text_digest);
	if (!read_bytes(members, "salt", &salt) || VARSIZE_ANY_EXHDR(salt) != sizeof(entry->salt))
		return false;
	memcpy(entry->salt, VARDATA_ANY(salt), sizeof(entry->salt));
	return true;
}

/* Read an entry, but for its account, which the receipt has once, and its hash, which is to be computed. */
bool
read_receipt_entry(Members *members, Entry *entry)
{
	memset(entry, 0, sizeof(Entry));
	for (int i = 0; i < NUMBER_OF_ENTRY_COLUMNS; i++)
	{
		if (entry_columns[i].in_receipt && !read_column(members, entry, i))
			return false;
	}
	return read_salt(members, entry) && all_read(members);
}
