/*
 * receipt_json.h
 *		A receipt (an inclusion proof) as JSON: its members, written and read.
 */
#ifndef LOYALTY_RECEIPT_JSON_H
#define LOYALTY_RECEIPT_JSON_H

#include "base/json.h"
#include "ledger/ledger.h"
#include "proof/merkle.h"

/* Entries that a receipt may have after the one that was asked for. */
#define RECEIPT_ENTRIES 1000

/* Levels of a tree, at most: more than any number of accounts needs. */
#define RECEIPT_STEPS	64

#define MAX_MEMBERS 24

/* The members of a JSON object; those that were read are marked. */
typedef struct Members
{
	int			n;
	bool		too_many;
	struct
	{
		const char *name;
		JsonKind	kind;
		const char *value;
		bool		read;
	}			member[MAX_MEMBERS];
} Members;

extern void write_integer(StringInfo json, const char *name, int64 value);
extern void write_id(StringInfo json, const char *name, int64 value);
extern void write_points(StringInfo json, const char *name, Points value);
extern void write_time(StringInfo json, const char *name, TimestampTz at);
extern void write_hex(StringInfo json, const char *name, const void *bytes, Size length);
extern void write_receipt_entry(StringInfo json, const Entry *entry);

/* Each is false if there is no such member, or if its value is not in the only form that it may have. */
extern bool read_integer(Members *members, const char *name, int64 *value);
extern bool read_id(Members *members, const char *name, int64 *value);
extern bool read_points(Members *members, const char *name, Points *value);
extern bool read_time(Members *members, const char *name, TimestampTz *at);
extern bool read_digest(Members *members, const char *name, Digest *digest);
extern bool read_bytes(Members *members, const char *name, bytea **bytes);
extern bool read_receipt_entry(Members *members, Entry *entry);

extern const char *read_member(Members *members, const char *name, JsonKind kind);
extern bool has_member(const Members *members, const char *name);
extern bool all_read(const Members *members);
extern void collect_member(void *context, const char *name, JsonKind kind, const char *value);

#endif
