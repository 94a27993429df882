/*
 * program.h
 *		Programs: their terms, as a session remembers them.
 */
#ifndef LOYALTY_PROGRAM_H
#define LOYALTY_PROGRAM_H

#include "postgres.h"
#include "access/transam.h"
#include "datatype/timestamp.h"
#include "types/points.h"
#include "utils/date.h"
#include "utils/palloc.h"

/* What reversing an accrual does when its points were spent. */
typedef enum Shortfall
{
	SHORTFALL_REFUSE,
	SHORTFALL_PARTIAL,			/* take what is there */
	SHORTFALL_NEGATIVE			/* leave a debt */
} Shortfall;

/*
 * What the session has read of a program besides its row, each by the room
 * that knows it, when it is first needed; NULL: not yet.  It is allocated in
 * the program's memory context.
 */
typedef struct ProgramParts
{
	MemoryContext context;
	FullTransactionId read_in;	/* what the newest of them depends on: see db/outcome.c */
	struct Ranks *ranks;
	struct RuleSet *rules;
	struct LimitSet *limits;
} ProgramParts;

typedef struct Program
{
	int64		merchant_id;
	int64		program_id;
	int64		revision;		/* another one, never used before, whenever anything of it changes */
	ProgramParts *parts;
	char	   *name;
	bool		active;			/* points can be earned and sent */
	bool		tracks_lots;	/* its accounts track lots from the start */

	/* conversion */
	int			decimals;
	Rounding	rounding;
	Points		accumulation_points;	/* earned for so much money */
	Points		accumulation_money;
	Points		redemption_points;	/* worth so much money */
	Points		redemption_money;
	char	   *currency_iso;
	Points		currency_change;	/* worth of one unit in that money */
	bool		currency_active;
	bool		unit_base;		/* points may be deposited as such */
	bool		earn_on_points; /* what is paid with points earns too */

	/* registration and messages */
	bool		requires_ticket;
	bool		requires_birth_date;
	char	   *channel;
	char	  **messages;		/* the operations that send one */
	int			nmessages;

	/* the life of points */
	char	   *time_zone;
	char	   *expiry;
	int			duration_value;
	char	   *duration_unit;
	DateADT		expiry_date;	/* if expiry is fixed */
	int			pending_days;
	int			reinstatement_days;
	Shortfall	shortfall;

	/* ranks, rules and limits */
	char	   *range_group;	/* of its ranks; empty: none */
	int			rank_window_value;
	char	   *rank_window_unit;
	int			rank_grace_days;
	TimestampTz ranked_at;		/* when ranks were last to be recounted; DT_NOBEGIN: never */
	int			rules;			/* version of the earning rules, 0: none */
	bool		has_limits;
	bool		has_row_limit;	/* its merchant */
} Program;

extern void program_part_read(const Program *program);

/* NULL: there is none.  What they return lasts until the operation ends. */
extern const Program *program_remembered(int64 merchant_id, int64 program_id);
extern const Program *program_find(int64 merchant_id, int64 program_id);
extern const Program *program_of_wallet_key(int64 merchant_id, const char *wallet_key);
extern const Program *program_of_client_id(int64 merchant_id, const char *client_id);
extern const Program *program_of_account(int64 merchant_id, int64 account_id);

extern bool program_sends(const Program *program, const char *message_kind);
extern bool program_accumulate(const Program *program, Points money, Points *points);
extern bool program_worth(const Program *program, Points points, Points *money);
extern bool program_redeems_for(const Program *program, Points points, Points money);
extern char *wallet_link(const Program *wallet);

#endif
