/*
 * fields.c
 *		The fields of a call: from text to values.
 *
 * Everything arrives as text and is validated as text, in the order of the
 * endpoint's descriptor: that order is the precedence of the errors.
 */
#include "postgres.h"

#include <ctype.h>
#include "api/fields.h"
#include "base/fold.h"
#include "base/json.h"
#include "base/name.h"
#include "datatype/timestamp.h"
#include "utils/datetime.h"

#define JSON_MAX_ELEMENTS 100
#define FIRST_YEAR 1900			/* of whatever a client dates: of birth, or since when it is */
#define END_YEAR 2200

/* Parse "YYYY-MM-DD" at the start of a text; *rest is what follows. */
static bool
parse_date(const char *text, DateADT *date, const char **rest)
{
	int			year;
	int			month;
	int			day;
	int			jdate;
	int			check[3];

	for (int i = 0; i < 10; i++)
	{
		if ((i == 4 || i == 7) ? text[i] != '-' : !isdigit((unsigned char) text[i]))
			return false;
	}
	year = atoi(text);
	month = atoi(text + 5);
	day = atoi(text + 8);
	if (year < 1 || month < 1 || month > 12 || day < 1)
		return false;
	jdate = date2j(year, month, day);
	j2date(jdate, &check[0], &check[1], &check[2]);
	if (check[2] != day || check[1] != month)
		return false;
	*date = jdate - POSTGRES_EPOCH_JDATE;
	*rest = text + 10;
	return true;
}

/*
 * A birth date may carry a time, with colons or as documented with hyphens.
 * Nobody who lives was born before 1900, nor will be: the day is the server's.
 */
static bool
parse_birth_date(const char *text, DateADT *date)
{
	const char *rest;
	char		separator;

	if (!parse_date(text, date, &rest) ||
		*date < date2j(FIRST_YEAR, 1, 1) - POSTGRES_EPOCH_JDATE || *date > GetSQLCurrentDate())
		return false;
	if (*rest == '\0')
		return true;
	if ((*rest != ' ' && *rest != 'T') || strlen(rest) != strlen(" HH:MM:SS"))
		return false;
	separator = rest[3];
	if ((separator != ':' && separator != '-') || rest[6] != separator)
		return false;
	for (int i = 1; i < 9; i++)
	{
		if (i != 3 && i != 6 && !isdigit((unsigned char) rest[i]))
			return false;
	}
	return atoi(rest + 1) < 24 && atoi(rest + 4) < 60 && atoi(rest + 7) < 60;
}

/* Parse "+HH:MM", "-HH:MM", "Z" or nothing, into seconds east of Greenwich. */
static bool
parse_zone(const char *text, int *seconds)
{
	int			sign = *text == '-' ? -1 : 1;

	*seconds = 0;
	if (*text == '\0' || strcmp(text, "Z") == 0)
		return true;
	if ((*text != '+' && *text != '-') || strlen(text) != 6 || text[3] != ':' ||
		strspn(text + 1, "0123456789") != 2 || strspn(text + 4, "0123456789") != 2 ||
		atoi(text + 1) > 15 || atoi(text + 4) > 59)
		return false;
	*seconds = sign * (atoi(text + 1) * SECS_PER_HOUR + atoi(text + 4) * SECS_PER_MINUTE);
	return true;
}

/* Parse "HH:MM:SS", perhaps with a fraction, at the start of a text; moves *text past it. */
static bool
parse_clock(const char **text, int64 *micros)
{
	const char *t = *text;

	for (int i = 0; i < 8; i++)
	{
		if ((i == 2 || i == 5) ? t[i] != ':' : !isdigit((unsigned char) t[i]))
			return false;
	}
	if (atoi(t) > 23 || atoi(t + 3) > 59 || atoi(t + 6) > 59)
		return false;
	*micros = ((atoi(t) * MINS_PER_HOUR + atoi(t + 3)) * SECS_PER_MINUTE + atoi(t + 6)) * USECS_PER_SEC;
	t += 8;
	if (*t == '.')
	{
		int64		unit = USECS_PER_SEC / 10;

		while (isdigit((unsigned char) *++t))
		{
			*micros += unit * (*t - '0');
			unit /= 10;
		}
	}
	*text = t;
	return true;
}

/*
 * Parse ISO 8601: a date, which may be followed by "T" or a blank, a time, and a
 * zone.  The moment has to be one that whoever reads it can show: tools that make
 * reports end at the year 9999 or before, some begin at 1900, and one row that they
 * cannot show is an error of all.
 */
static bool
parse_time(const char *text, TimestampTz *time)
{
	DateADT		date;
	const char *rest;
	int			zone = 0;
	int64		micros = 0;

	if (!parse_date(text, &date, &rest))
		return false;
	if (*rest == 'T' || *rest == ' ')
	{
		rest++;
		if (!parse_clock(&rest, &micros) || !parse_zone(rest, &zone))
			return false;
	}
	else if (*rest != '\0')
		return false;
	*time = date * USECS_PER_DAY + micros - zone * USECS_PER_SEC;
	return *time >= (date2j(FIRST_YEAR, 1, 1) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY &&
		*time < (date2j(END_YEAR, 1, 1) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY;
}

static bool
parse_count(const char *text, int64 *count)
{
	if (strlen(text) > 9 || strspn(text, "0123456789") != strlen(text))
		return false;
	*count = atoi(text);
	return true;
}

static int64
parse_staff_id(const char *text)
{
	int64		id = 0;

	for (const char *c = text; *c; c++)
	{
		if (!isdigit((unsigned char) *c) || c - text >= 18)
			return 0;
		id = id * 10 + (*c - '0');
	}
	return id;
}

/* A JsonElement; its context is whether all elements so far were objects. */
static void *
check_element(void *context, size_t index pg_attribute_unused(), size_t count pg_attribute_unused(), bool is_object)
{
	if (!is_object)
		*(bool *) context = false;
	return context;
}

/* A JsonMember of an object within a field: it is no longer than a field of its own. */
static void
check_length(void *context, const char *name pg_attribute_unused(), JsonKind kind pg_attribute_unused(), const char *value)
{
	if (value != NULL && strlen(value) > FIELD_MAX_LENGTH)
		*(bool *) context = false;
}

static bool
parse_json_array(const char *text)
{
	size_t		length = strlen(text);
	bool		good = text[strspn(text, " \t\r\n")] == '[' && length <= ARRAY_MAX_LENGTH;

	return good && json_read_items(text, length, JSON_MAX_ELEMENTS, check_element, NULL, check_length, &good) && good;
}

static bool
parse_json_object(const char *text)
{
	size_t		length = strlen(text);
	bool		good = length <= OBJECT_MAX_LENGTH;

	return good && json_read_object(text, length, NULL, check_length, &good) && good;
}

/* Whether JSON may have this in a field's place. */
static bool
kind_accepts(FieldKind kind, JsonKind value)
{
	if (kind == FIELD_ANY)
		return true;
	switch (value)
	{
		case JSON_IS_STRING:
			return kind != FIELD_OBJECT;
		case JSON_IS_NUMBER:
			return kind != FIELD_OBJECT && kind != FIELD_JSON;
		case JSON_IS_BOOLEAN:
			return kind == FIELD_ACCEPTANCE;
		case JSON_IS_ARRAY:
			return kind == FIELD_JSON;
		case JSON_IS_OBJECT:
			return kind == FIELD_OBJECT;
		case JSON_IS_NULL:
		case JSON_IS_UNREADABLE:
			break;
	}
	return false;
}

/* Whether the value of a JSON number counts and not how it was written. */
static bool
is_numeric(FieldKind kind)
{
	return kind == FIELD_PHONE || kind == FIELD_TYPED_PHONE || kind == FIELD_POINTS || kind == FIELD_SWITCH || kind == FIELD_DIRECTION ||
		kind == FIELD_STAFF || kind == FIELD_COUNT || kind == FIELD_ACCEPTANCE || kind == FIELD_ANY;
}

/* The provider's client counts from 1 where the document counts from 0. */
static bool
parse_direction(const char *text, bool assistant, int64 *direction)
{
	if (strlen(text) != 1)
		return false;
	*direction = *text - '0';
	if (assistant && *direction > 0)
		*direction -= 1;
	return *direction == 0 || *direction == 1;
}

/* Parse points or money: positive, without the signs and blanks that the SQL type tolerates. */
bool
parse_amount(const char *text, Points *amount)
{
	return strspn(text, "0123456789.") == strlen(text) && points_parse(text, amount) == POINTS_OK && *amount > 0;
}

static bool
parse_value(FieldKind kind, bool assistant, Value *value)
{
	if (!kind_accepts(kind, value->kind))
		return false;
	switch (kind)
	{
		case FIELD_TEXT:
		case FIELD_ACCEPTANCE:
		case FIELD_ANY:
			return true;
		case FIELD_NAME:
			return text_is_name(value->text);
		case FIELD_OBJECT:
			return parse_json_object(value->text);
		case FIELD_PHONE:
			return phone_parse(value->text, &value->phone);
		case FIELD_TYPED_PHONE:
			return phone_parse_typed(value->text, &value->phone);
		case FIELD_POINTS:
			return parse_amount(value->text, &value->points);
		case FIELD_SWITCH:
			value->integer = value->text[0] - '0';
			return strcmp(value->text, "0") == 0 || strcmp(value->text, "1") == 0;
		case FIELD_DIRECTION:
			return parse_direction(value->text, assistant, &value->integer);
		case FIELD_STAFF:
			value->integer = parse_staff_id(value->text);
			return true;
		case FIELD_BIRTH_DATE:
			return parse_birth_date(value->text, &value->date);
		case FIELD_TIME:
			return parse_time(value->text, &value->time);
		case FIELD_COUNT:
			return parse_count(value->text, &value->integer);
		case FIELD_JSON:
			return parse_json_array(value->text);
	}
	return false;
}

/* Why a field is refused; NULL: it is not.  switched is the value of the FIELD_SWITCH before it. */
static const Refusal *
check_field(const Field *field, bool assistant, Value *value, int64 switched)
{
	bool		required = field->need == REQUIRED ||
	(field->need == REQUIRED_IF_0 && switched == 0) ||
	(field->need == REQUIRED_IF_1 && switched == 1);

	if (field->need == REQUIRED_IF_1 && switched != 1)
		value->text = NULL;
	if (value->text == NULL)
		return required ? &field->absent : NULL;
	/* a text is malformed only where JSON has something else in its place */
	return parse_value(field->kind, assistant, value) ? NULL : &field->malformed;
}

/* Check and decode all fields: why the first of them is refused, which is *field; NULL: none is. */
const Refusal *
fields_check(Call *call, const Field **field)
{
	int64		switched = -1;

	for (int i = 0; i < MAX_FIELDS && call->endpoint->fields[i].name; i++)
	{
		const Refusal *refusal;

		*field = &call->endpoint->fields[i];
		refusal = check_field(*field, call->assistant, &call->values[i], switched);
		if (refusal != NULL)
			return refusal;
		if ((*field)->kind == FIELD_SWITCH)
			switched = call->values[i].integer;
	}
	return NULL;
}

/* Check and decode all fields, or raise; an API without codes for fields names the field. */
void
fields_decode(Call *call)
{
	const Field *field;
	const Refusal *refusal = fields_check(call, &field);

	if (refusal == NULL)
		return;
	if (refusal->request == ERR_MISSING_FIELD || refusal->request == ERR_INVALID_FIELD)
		raise_field_error(refusal->request, field->name);
	call_refuse(call, *refusal);
}

/* Which of the names of a field this is: 0 is its own; -1: none. */
static int
field_spelling(const Field *field, const char *name)
{
	if (strcmp(field->name, name) == 0)
		return 0;
	for (int i = 0; i < MAX_SPELLINGS && field->also[i]; i++)
	{
		if (strcmp(field->also[i], name) == 0)
			return i + 1;
	}
	return -1;
}

/* Whether a call has a field of this name, which may be set: a JsonWanted. */
bool
call_has_field(void *context, const char *name)
{
	const Call *call = context;

	if (call->endpoint->knows_assistants && strcmp(name, "source") == 0)
		return true;
	for (int i = 0; i < MAX_FIELDS && call->endpoint->fields[i].name; i++)
	{
		if (field_spelling(&call->endpoint->fields[i], name) >= 0)
			return !call->values[i].fixed;
	}
	return false;
}

/*
 * Set a field by its name.  Of several values the last one counts, as it does in
 * the languages of the documents' samples, and of several names of the field the
 * first, wherever it stands, unless it is blank; an unknown name is ignored.
 */
void
call_set_field(Call *call, const char *name, JsonKind kind, const char *value)
{
	bool		blank = value == NULL || text_is_blank(value);

	if (call->endpoint->knows_assistants && strcmp(name, "source") == 0)
		call->assistant = kind == JSON_IS_STRING && strcmp(value, "mcp") == 0;
	for (int i = 0; i < MAX_FIELDS && call->endpoint->fields[i].name; i++)
	{
		int			spelling = field_spelling(&call->endpoint->fields[i], name);
		Value	   *present = &call->values[i];

		if (spelling < 0 || present->fixed)
			continue;
		if (present->text != NULL && (spelling > present->spelling || (spelling < present->spelling && blank)))
			continue;
		fields_set(call, i, kind, value);
		present->spelling = spelling;
	}
}

/* Set a field by a part of the path, which a query or a body cannot change. */
void
call_fix_field(Call *call, const char *name, const char *value)
{
	for (int i = 0; i < MAX_FIELDS && call->endpoint->fields[i].name; i++)
	{
		if (strcmp(call->endpoint->fields[i].name, name) != 0)
			continue;
		fields_set(call, i, JSON_IS_STRING, value);
		call->values[i].fixed = true;
	}
}

/* Set a field by its place; blank is as good as absent. */
void
fields_set(Call *call, int i, JsonKind kind, const char *value)
{
	FieldKind	field = call->endpoint->fields[i].kind;
	bool		nested = kind == JSON_IS_ARRAY || kind == JSON_IS_OBJECT;

	if (value != NULL && !nested && strlen(value) > FIELD_MAX_LENGTH && field != FIELD_JSON)
		raise_error(ERR_MALFORMED_REQUEST);
	if (kind == JSON_IS_NUMBER && is_numeric(field))
		value = json_plain_number(value);
	if (value != NULL && text_is_blank(value))
		value = NULL;
	call->values[i].text = value;
	call->values[i].kind = kind;
}
