/*
 * rule.h
 *		Earning rules: what a sale earns beyond the base of its program.
 */
#ifndef LOYALTY_RULE_H
#define LOYALTY_RULE_H

#include "postgres.h"
#include "account/account.h"
#include "base/errors.h"
#include "program/terms.h"
#include "types/points.h"

#define MAX_RULES 100

/* Somebody who buys, and for which account. */
typedef struct Buyer
{
	int64		account_id;
	int64		member_id;
	const Account *account;		/* whose ranks have been read, and change with its sales */
	const Program *program;
	int			version;		/* of the rules, 0: none */
	TimestampTz posted_at;		/* of what they buy: caps count it for that day */
	TimestampTz ranked_at;		/* the moment whose ranks count */
	TimestampTz available_at;	/* of what is earned: rules' durations start then */
} Buyer;

typedef struct Sale
{
	int64		account_id;
	int64		member_id;
	Points		base;			/* what the money earns without rules and ranks */
	Points		money;
	text	   *items;			/* JSON, NULL: not known */
} Sale;

/* What one rule gives. */
typedef struct Bonus
{
	const char *rule;
	int			ordinal;		/* of the rule in its set */
	Points		points;			/* > 0 */
	TimestampTz expires_at;		/* 0: as the program says */
	void	   *use;			/* the rule's own */
} Bonus;

typedef struct Earning
{
	int			version;		/* of the rules, 0: none */
	Points		base;			/* with the multiplier of the rank */
	Points		total;
	int			nbonuses;
	Bonus		bonuses[MAX_RULES];
} Earning;

typedef struct Rules Rules;

extern Rules *rules_start(int64 merchant_id, Moment moment, const Buyer *buyers, int n);
extern ErrorId rules_earn(const Rules *rules, const Sale *sale, Earning *earning);
extern void rules_keep(Rules *rules, int64 account_id, int64 member_id, int64 entry_id, const Earning *earning);
extern int	rules_write(const Rules *rules);

#endif
