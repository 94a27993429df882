/*
 * rank.h
 *		Ranks, as the engine brings them in line with the points that count.
 */
#ifndef LOYALTY_RANK_H
#define LOYALTY_RANK_H

#include "postgres.h"
#include "account.h"
#include "datatype/timestamp.h"
#include "terms.h"

/* What has changed the points that count, or what they have to be. */
typedef enum RankCause
{
	RANK_EARNED,
	RANK_UNDONE,
	RANK_COUNTED_ANEW
} RankCause;

extern const Ranks *ranks_of(const ProgramTerms *program);
extern void ranks_read(int64 merchant_id, Account **accounts, int n, bool newest);
extern void ranks_settle(Account *account, const ProgramTerms *program, TimestampTz at, RankCause cause);
extern void ranks_write(int64 merchant_id, const Account *accounts, int n);
extern bool rank_is_held(const Account *account, const char *name, TimestampTz at);
extern Points rank_from_points(const ProgramTerms *program, const char *name, TimestampTz at);
extern bool rank_was_exceeded(const Account *account, const ProgramTerms *program, const char *name, TimestampTz at);
extern const Rank *rank_held_at(const ProgramTerms *program, const Account *account, const char *granted, TimestampTz at);

extern const Account *rank_account_at(int64 merchant_id, int64 account_id, TimestampTz at);

#endif
