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

/* The ranks of a program, the highest first. */
typedef struct Rank
{
	char	   *name;
	Points		from_points;
	Points		multiplier;		/* of the base of sales */
} Rank;

/*
 * From how many points a rank was held since a moment, until the next one of
 * which there are some, and by which terms points counted for it.
 */
typedef struct PastRank
{
	TimestampTz since;
	char	   *name;
	Points		from_points;
	int			window_value;
	char	   *window_unit;
	int			grace_days;
	char	   *time_zone;
} PastRank;

typedef struct Ranks
{
	bool		multiply;		/* some of them do */
	int			n;
	Rank	   *rank;
	int			npast;
	PastRank   *past;			/* NULL: has not been read */
} Ranks;

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
	Program program;		/* with these terms */
	TimestampTz from;
	TimestampTz to;				/* DT_NOEND: they are those of now */
	Points		total;
	Lots		days;			/* if not for ever: by until when they count, and as which day's */
} Counted;

extern const Ranks *ranks_with_past(const Program *program);
extern TimestampTz rank_last_reached(const Counted *counted, Points from_points);
extern TimestampTz rank_end(const Counted *counted, int n, const char *name);
extern void rank_set_held(HeldRank *held, TimestampTz until, Points from_points, TimestampTz undone_at);
extern bool rank_is_recent(const Program *program, TimestampTz at);

extern const Ranks *ranks_of(const Program *program);
extern void ranks_read(int64 merchant_id, Account **accounts, int n, bool newest);
extern void ranks_settle(Account *account, const Program *program, TimestampTz at, RankCause cause);
extern void ranks_write(int64 merchant_id, const Account *accounts, int n);
extern bool rank_is_held(const Account *account, const char *name, TimestampTz at);
extern Points rank_from_points(const Program *program, const char *name, TimestampTz at);
extern bool rank_was_exceeded(const Account *account, const Program *program, const char *name, TimestampTz at);
extern const Rank *rank_held_at(const Program *program, const Account *account, const char *granted, bool lasts,
								TimestampTz at);

extern const Account *rank_account_at(int64 merchant_id, int64 account_id, TimestampTz at);

#endif
