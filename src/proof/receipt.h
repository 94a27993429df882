/*
 * receipt.h
 *		A receipt as JSON: its members, written and read.
 */
#ifndef LOYALTY_RECEIPT_H
#define LOYALTY_RECEIPT_H

#include "base/json.h"
#include "ledger/ledger.h"
#include "proof/merkle.h"

/* Entries that a receipt may have after the one that was asked for. */
#define RECEIPT_ENTRIES 1000

/* A path of more steps is of no tree. */
#define RECEIPT_STEPS	64

#define MAX_MEMBERS 24

/* The members of a JSON object.  What is read is marked. */
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

extern void write_number(StringInfo json, const char *name, int64 value);
extern void write_id(StringInfo json, const char *name, int64 value);
extern void write_points(StringInfo json, const char *name, Points value);
extern void write_time(StringInfo json, const char *name, TimestampTz at);
extern void write_hex(StringInfo json, const char *name, const void *bytes, Size length);
extern void write_entry(StringInfo json, const Entry *entry);

/* Each is false if there is no such member, or it is not just that. */
extern bool read_number(Members *members, const char *name, int64 *value);
extern bool read_id(Members *members, const char *name, int64 *value);
extern bool read_points(Members *members, const char *name, Points *value);
extern bool read_time(Members *members, const char *name, TimestampTz *at);
extern bool read_digest(Members *members, const char *name, Digest *digest);
extern bool read_bytes(Members *members, const char *name, bytea **bytes);
extern bool read_entry(Members *members, Entry *entry);

/* The text of a member of this kind, NULL if there is none. */
extern const char *read_member(Members *members, const char *name, JsonKind kind);
extern bool has_member(const Members *members, const char *name);
extern bool all_read(const Members *members);
extern void collect_member(void *context, const char *name, JsonKind kind, const char *value);

#endif
