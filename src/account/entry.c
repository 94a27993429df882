/*
 * entry.c
 *		An entry: one line of the ledger.
 *
 * One table of its columns serves all that is done with entries: they are read
 * and written, hashed and printed by it.
 */
#include "postgres.h"

#include "account/entry.h"
#include "base/compat.h"
#include "utils/builtins.h"

/* ------------------------------------------------------------------------
 * Kinds
 * ------------------------------------------------------------------------ */

static const struct
{
	const char *name;
	bool		asked;			/* false: only the engine knows when */
}			kinds[] = {
	[ENTRY_ACCRUE] = {"accrue", true},
	[ENTRY_DEPOSIT] = {"deposit", true},
	[ENTRY_REDEEM] = {"redeem", true},
	[ENTRY_ADJUST] = {"adjust", true},
	[ENTRY_EXPIRE] = {"expire", false},
	[ENTRY_HOLD] = {"hold", true},
	[ENTRY_CAPTURE] = {"capture", true},
	[ENTRY_RELEASE] = {"release", true},
	[ENTRY_MATURE] = {"mature", false},
	[ENTRY_REVERSE] = {"reverse", true},
	[ENTRY_TRANSFER] = {"transfer", true},
};

/* The name of a kind; NULL: the number is no kind's. */
const char *
entry_kind_name(EntryKind kind)
{
	return (int) kind >= 0 && (int) kind < (int) lengthof(kinds) ? kinds[kind].name : NULL;
}

/* The kind that has this name; false: none has. */
bool
entry_kind_of_name(const char *name, EntryKind *kind)
{
	for (int i = ENTRY_ACCRUE; i < (int) lengthof(kinds); i++)
	{
		if (strcmp(kinds[i].name, name) != 0)
			continue;
		*kind = i;
		return true;
	}
	return false;
}

/* The kind of this name, if it can be asked for. */
bool
entry_kind_parse(const char *name, EntryKind *kind)
{
	return entry_kind_of_name(name, kind) && kinds[*kind].asked;
}

/* ------------------------------------------------------------------------
 * Columns
 * ------------------------------------------------------------------------ */

#define COLUMN(field, form, optional, in_receipt) {#field, form, optional, in_receipt}

const EntryColumn entry_columns[NUMBER_OF_ENTRY_COLUMNS] = {
	COLUMN(merchant_id, FORM_ID, false, false),
	COLUMN(entry_id, FORM_ID, false, true),
	COLUMN(account_id, FORM_ID, false, false),
	COLUMN(entry_no, FORM_NUMBER, false, true),
	COLUMN(previous_entry_id, FORM_ID, true, false),
	COLUMN(kind, FORM_KIND, false, true),
	COLUMN(amount, FORM_POINTS, false, true),
	COLUMN(balance, FORM_POINTS, false, true),
	COLUMN(posted_at, FORM_TIME, false, true),
	COLUMN(staff_id, FORM_ID, true, true),
	COLUMN(money, FORM_POINTS, true, true),
	COLUMN(reserved, FORM_POINTS, true, true),
	COLUMN(origin_entry_id, FORM_ID, true, true),
	COLUMN(peer_account_id, FORM_ID, true, true),
	COLUMN(member_id, FORM_ID, true, true),
	COLUMN(rules, FORM_NUMBER, true, true),
	COLUMN(happened_at, FORM_TIME, true, true),
	COLUMN(actor_id, FORM_ID, true, true),
	COLUMN(request_id, FORM_ID, true, true),
	COLUMN(lots, FORM_LOTS, true, true),
	COLUMN(reference, FORM_TEXT, true, true),
	COLUMN(detail, FORM_TEXT, true, true),
	COLUMN(text_digest, FORM_BYTES, true, false),
	COLUMN(hash, FORM_BYTES, false, false),
};

StaticAssertDecl(offsetof(Entry, hash) == (NUMBER_OF_ENTRY_COLUMNS - 1) * sizeof(Datum) &&
				 offsetof(Entry, money) == ENTRY_MONEY * sizeof(Datum),
				 "the columns of an entry are Datums, so the server has to be a 64-bit one");

/* The names of the columns. */
const char *const *
entry_column_names(void)
{
	static const char *names[NUMBER_OF_ENTRY_COLUMNS] = {NULL};

	for (int i = 0; i < NUMBER_OF_ENTRY_COLUMNS && names[i] == NULL; i++)
		names[i] = entry_columns[i].name;
	return names;
}

/* Whether it has a text that has not been erased. */
bool
entry_has_text(const Entry *entry)
{
	return entry->reference != NULL || entry->detail != NULL;
}

/* An entry as the row that is to be written. */
void
entry_datums(const Entry *entry, Datum *values, bool *nulls)
{
	memcpy(values, entry, NUMBER_OF_ENTRY_COLUMNS * sizeof(Datum));
	for (int i = 0; i < NUMBER_OF_ENTRY_COLUMNS; i++)
		nulls[i] = entry_columns[i].optional && values[i] == 0;
	nulls[ENTRY_MONEY] = !entry->has_money;
}

/* A stored hash, detoasted; NULL becomes the empty one, which no entry has. */
bytea *
hash_of(bytea *stored)
{
	return (bytea *) (stored != NULL ? pg_detoast_datum_packed((struct varlena *) stored) : cstring_to_text(""));
}

/* Read an entry.  Large values stay where they are stored until they are looked at. */
bool
entry_of_stream(const Stream *stream, Entry *entry)
{
	bool		as_written = true;

	memset(entry, 0, sizeof(Entry));
	for (int i = 0; i < NUMBER_OF_ENTRY_COLUMNS; i++)
	{
		bool		isnull;
		Datum		value = db_stream_datum(stream, entry_columns[i].name, &isnull);

		*entry_field(entry, i) = isnull ? 0 : value;
		if (i == ENTRY_MONEY)
			entry->has_money = !isnull;
		else if (!isnull && value == 0 && entry_columns[i].optional)
			as_written = false;
	}
	entry->hash = hash_of(entry->hash);
	if (entry->text_digest != NULL)
		entry->text_digest = (bytea *) pg_detoast_datum_packed((struct varlena *) entry->text_digest);
	if (entry->text_digest != NULL &&
		(entry_has_text(entry) || VARSIZE_ANY_EXHDR(entry->text_digest) != PG_SHA256_DIGEST_LENGTH))
		as_written = false;
	return as_written;
}
