/*
 * rank.h
 *		Ranks, as the engine brings them in line with the points that count.
 */
#ifndef LOYALTY_RANK_H
#define LOYALTY_RANK_H

#include "postgres.h"
#include "account/account.h"
#include "datatype/timestamp.h"
#include "db/statement.h"
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
	RANK_REVERSED,
	RANK_RECOUNTED
} RankCause;

/*
 * What is left of what counted for ranks while a program had the same terms for
 * them, which began and ended at these moments.
 */
typedef struct Counted
{
	Program		program;		/* with these terms */
	TimestampTz from;
	TimestampTz to;				/* DT_NOEND: they are those of now */
	Points		total;
	Lots		days;			/* if not for ever: by until when they count, and as which day's */
} Counted;

/*
 * Whether something has begun by a Moment, of which $3 is at and $4 ahead.  By
 * now, which postings ask for, all has that there is: that costs nothing.
 */
#define HAS_BEGUN(since) "(" since " <= $3 OR " since " > $4)"
#define BEGUN_BY_NOW(since) "true"

/* The rank that a member was given last by then, if that was after registration; empty: it has ended by $3. */
#define RANK_GRANT_OF(member, has_begun) \
	" LEFT JOIN LATERAL (SELECT CASE WHEN r.until > $3 THEN r.rank ELSE '' END FROM loyalty_internal.rank_grant r" \
	" WHERE r.merchant_id = $1 AND r.member_id = " member ".member_id AND " has_begun("r.since") " ORDER BY r.since DESC LIMIT 1) g (rank) ON true"

/* Who owned an account by then, at most one: each member owns one, that of their number until there is another. */
#define OWNER_OF(account, has_begun) \
	"(SELECT n.member_id FROM loyalty_internal.member n WHERE n.merchant_id = $1 AND n.member_id = " account \
	" AND NOT EXISTS (SELECT FROM loyalty_internal.account_owner l WHERE l.merchant_id = $1 AND l.member_id = n.member_id AND " has_begun("l.since") ")" \
	" UNION ALL SELECT o.member_id FROM loyalty_internal.account_owner o" \
	" WHERE o.merchant_id = $1 AND o.account_id = " account " AND " has_begun("o.since") " AND NOT EXISTS (SELECT FROM loyalty_internal.account_owner l" \
	" WHERE l.merchant_id = $1 AND l.member_id = o.member_id AND l.since > o.since AND " has_begun("l.since") ") LIMIT 1)"

/* The rank that the owner of an account was given: granted_rank at registration, at created_at, and rank since then. */
extern Statement rank_granted_sql;
extern Statement rank_granted_now_sql;

extern const Ranks *ranks_with_past(const Program *program);
extern TimestampTz rank_last_reached(const Counted *counted, Points from_points);
extern TimestampTz rank_end(const Counted *counted, int n, const char *name);
extern void rank_set_held(HeldRank *held, TimestampTz until, Points from_points, TimestampTz reversed_at);
extern bool rank_is_recent(const Program *program, TimestampTz at);

extern const Ranks *ranks_of(const Program *program);
extern bool ranks_ever(const Program *program);
extern void ranks_read(int64 merchant_id, Account **accounts, int n, bool newest);
extern void ranks_update(Account *account, const Program *program, TimestampTz at, RankCause cause);
extern void ranks_write(int64 merchant_id, const Account *accounts, int n);
extern bool rank_is_held(const Account *account, const char *name, TimestampTz at);
extern Points rank_from_points(const Program *program, const char *name, TimestampTz at);
extern bool rank_was_exceeded(const Account *account, const Program *program, const char *name, TimestampTz at);
extern const Rank *rank_held_at(const Program *program, const Account *account, const char *granted, bool lasts,
								TimestampTz at);

#endif
