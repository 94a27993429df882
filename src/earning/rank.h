/*
 * rank.h
 *		Ranks, as the engine brings them in line with the points that count.
 */
#ifndef LOYALTY_RANK_H
#define LOYALTY_RANK_H

#include "postgres.h"
#include "account/account.h"
#include "datatype/timestamp.h"
#include "program/terms.h"

/* What has changed the points that count, or what they have to be. */
typedef enum RankCause
{
	RANK_EARNED,
	RANK_UNDONE,
	RANK_COUNTED_ANEW
} RankCause;

/*
 * What is left of what counted for ranks while a program had the same terms for
 * them, which began and ended at these moments.
 */
typedef struct Counted
{
	ProgramTerms program;		/* with these terms */
	TimestampTz from;
	TimestampTz to;				/* DT_NOEND: they are those of now */
	Points		total;
	Lots		days;			/* if not for ever: by until when they count, and as which day's */
} Counted;

extern const Ranks *ranks_with_past(const ProgramTerms *program);
extern TimestampTz rank_last_reached(const Counted *counted, Points from_points);
extern TimestampTz rank_end(const Counted *counted, int n, const char *name);
extern void rank_set_held(HeldRank *held, TimestampTz until, Points from_points, TimestampTz undone_at);
extern bool rank_is_recent(const ProgramTerms *program, TimestampTz at);

extern const Ranks *ranks_of(const ProgramTerms *program);
extern void ranks_read(int64 merchant_id, Account **accounts, int n, bool newest);
extern void ranks_settle(Account *account, const ProgramTerms *program, TimestampTz at, RankCause cause);
extern void ranks_write(int64 merchant_id, const Account *accounts, int n);
extern bool rank_is_held(const Account *account, const char *name, TimestampTz at);
extern Points rank_from_points(const ProgramTerms *program, const char *name, TimestampTz at);
extern bool rank_was_exceeded(const Account *account, const ProgramTerms *program, const char *name, TimestampTz at);
extern const Rank *rank_held_at(const ProgramTerms *program, const Account *account, const char *granted, bool lasts,
								TimestampTz at);

extern const Account *rank_account_at(int64 merchant_id, int64 account_id, TimestampTz at);

#endif
