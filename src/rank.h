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

/* A rank that an account has held from a moment on, and may hold still. */
typedef struct HeldRank
{
	int64		account_id;
	char	   *name;
	TimestampTz since;
	TimestampTz until;
	Points		from_points;
} HeldRank;

/* By account. */
typedef struct HeldRanks
{
	HeldRank   *held;
	int			n;
} HeldRanks;

/* An account whose points that count may have changed. */
typedef struct Counted
{
	int64		account_id;
	const ProgramTerms *program;
	Points		earned;
	const Lots *qualifying;
} Counted;

extern const Ranks *ranks_of(const ProgramTerms *program);
extern HeldRanks ranks_read_held(int64 merchant_id, const int64 *account_ids, int n, TimestampTz at);
extern const Rank *rank_held_at(const Ranks *ranks, const HeldRanks *held, int64 account_id, const char *granted, TimestampTz at);
extern void ranks_settle(int64 merchant_id, const Counted *accounts, int n, TimestampTz now);

#endif
