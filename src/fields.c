/*
 * fields.c
 *		From the texts of a request to the values of a call.
 *
 * Everything arrives as text and is validated as text, in the order of the
 * endpoint's descriptor: that order is the precedence of the errors.
 */
#include "postgres.h"

#include <ctype.h>

#include "datatype/timestamp.h"
#include "fields.h"
#include "utils/datetime.h"

/* "YYYY-MM-DD", the way it starts; what follows is in *rest. */
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

/* A birth date may carry a time, with colons or as documented with hyphens. */
static bool
parse_birth_date(const char *text, DateADT *date)
{
	const char *rest;
	char		separator;

	if (!parse_date(text, date, &rest))
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

static bool
parse_value(FieldKind kind, Value *value)
{
	if (value->nested)
		return false;
	switch (kind)
	{
		case FIELD_TEXT:
			return true;
		case FIELD_PHONE:
			return phone_parse(value->text, &value->phone);
		case FIELD_POINTS:
			/* the type tolerates signs and blanks, the documents do not */
			return strspn(value->text, "0123456789.") == strlen(value->text) &&
				points_parse(value->text, &value->points) == POINTS_OK &&
				value->points > 0;
		case FIELD_SWITCH:
			value->integer = value->text[0] - '0';
			return strcmp(value->text, "0") == 0 || strcmp(value->text, "1") == 0;
		case FIELD_STAFF:
			value->integer = parse_staff_id(value->text);
			return true;
		case FIELD_DATE:
			return parse_birth_date(value->text, &value->date);
	}
	return false;
}

/* Decode one field.  switched is the value of the FIELD_SWITCH before it. */
static void
decode_field(Call *call, const Field *field, Value *value, int64 switched)
{
	bool		required = field->need == REQUIRED ||
		(field->need == REQUIRED_IF_0 && switched == 0) ||
		(field->need == REQUIRED_IF_1 && switched == 1);

	if (field->need == REQUIRED_IF_1 && switched != 1)
	{
		value->text = NULL;
		value->nested = false;
		return;
	}
	if (value->text == NULL && !value->nested)
	{
		if (required)
			call_refuse(call, field->absent);
		return;
	}
	/* a text is malformed only where JSON has something else in its place */
	if (!parse_value(field->kind, value))
		call_refuse(call, field->malformed);
}

void
fields_decode(Call *call)
{
	int64		switched = -1;

	for (int i = 0; i < MAX_FIELDS && call->endpoint->fields[i].name; i++)
	{
		const Field *field = &call->endpoint->fields[i];
		Value	   *value = &call->values[i];

		decode_field(call, field, value, switched);
		if (field->kind == FIELD_SWITCH)
			switched = value->integer;
	}
}

/*
 * The last of several values wins, as it does in the languages of the
 * documents' samples.  Names that the endpoint does not know are ignored.
 */
void
call_set_field(Call *call, const char *name, const char *value, bool nested)
{
	for (int i = 0; i < MAX_FIELDS && call->endpoint->fields[i].name; i++)
	{
		if (strcmp(call->endpoint->fields[i].name, name) == 0)
			fields_set(call, i, value, nested);
	}
}

void
fields_set(Call *call, int i, const char *value, bool nested)
{
	if (value != NULL && strlen(value) > FIELD_MAX_LENGTH)
		raise_error(ERR_MALFORMED_REQUEST);
	if (value != NULL && strspn(value, " \t\r\n") == strlen(value))
		value = NULL;
	call->values[i].text = value;
	call->values[i].nested = nested;
}
