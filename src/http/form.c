/*
 * form.c
 *		Decoding application/x-www-form-urlencoded.
 *
 * The samples of the documents encode in every way there is: a space is "+",
 * "%20" or raw, letters outside ASCII are escapes or raw UTF-8.  All of that is
 * accepted.  A broken escape, a NUL and invalid UTF-8 are refused, since their
 * meaning could only be guessed.
 */
#include "postgres.h"

#include "http/form.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The decoded text in palloc'd memory, NULL if it cannot be decoded. */
static char *
decode(const char *from, const char *end, bool plus_is_blank)
{
	char	   *text = palloc(end - from + 1);
	char	   *to = text;

	while (from < end)
	{
		char		c = *from++;

		if (c == '+' && plus_is_blank)
			c = ' ';
		else if (c == '%')
		{
			int			high = from < end ? hex_digit(from[0]) : -1;
			int			low = high >= 0 && from + 1 < end ? hex_digit(from[1]) : -1;

			if (low < 0)
				return NULL;
			c = (char) (high << 4 | low);
			from += 2;
		}
		if (c == '\0')
			return NULL;
		*to++ = c;
	}
	*to = '\0';
	return pg_verify_mbstr(PG_UTF8, text, to - text, true) ? text : NULL;
}

/* Decode a segment of a path, where a plus sign is a plus sign; NULL if it cannot be decoded. */
char *
form_decode_segment(const char *text, size_t length)
{
	return decode(text, text + length, false);
}

/* Read a form, field by field; false if any part of it cannot be decoded. */
bool
form_read(const char *body, size_t length, FormWanted wanted, FormField field, void *context)
{
	const char *end = body + length;

	while (body < end)
	{
		const char *pair_end = memchr(body, '&', end - body);
		const char *equals;
		char	   *name;
		char	   *value;

		CHECK_FOR_INTERRUPTS();
		if (pair_end == NULL)
			pair_end = end;
		equals = memchr(body, '=', pair_end - body);
		if (equals == NULL)
			equals = pair_end;

		name = decode(body, equals, true);
		value = decode(Min(equals + 1, pair_end), pair_end, true);
		if (name == NULL || value == NULL)
			return false;
		if (wanted(context, name))
			field(context, name, value);
		else
			pfree(value);
		pfree(name);
		body = pair_end + 1;
	}
	return true;
}
