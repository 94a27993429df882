/*
 * entry_space.h
 *		How much is kept of what a merchant's clients send in a day.
 */
#ifndef LOYALTY_ENTRY_SPACE_H
#define LOYALTY_ENTRY_SPACE_H

#include "postgres.h"
#include "program/program.h"

/* What rows take with their indexes, but for the texts in them. */
#define ENTRY_BYTES 240
#define ENTRY_RULE_BYTES 110
#define DAY_BYTES 340			/* of the roll-up */
#define RESERVATION_BYTES 260	/* with what it leaves when it ends */
#define MEMBER_BYTES 1000		/* with the account */
#define STAFF_BYTES 1000		/* with the branch */
#define OBJECT_BYTES 100		/* of an address or what is within it, however little it says */
#define POLICY_BYTES 1000		/* with its consent */
#define INSTALMENT_BYTES 150

extern int	entry_space_kb;

/* Whose clients send it. */
typedef enum SpaceOf
{
	SPACE_OF_MERCHANT,
	SPACE_OF_APP_USERS
} SpaceOf;

extern bool entry_space_take(int64 merchant_id, SpaceOf whose, int64 bytes);
extern void entry_space_owe(int64 merchant_id, SpaceOf whose, int64 bytes);
extern void entry_space_need(int64 merchant_id, int64 bytes);
extern int64 posting_space(const Program *program, bool adds);
extern int64 member_space(const char *json);

#endif
