/*
 * rule_award.h
 *		What rules with a cap gave for which sale, and what comes back of it.
 */
#ifndef LOYALTY_RULE_AWARD_H
#define LOYALTY_RULE_AWARD_H

#include "postgres.h"
#include "program/terms.h"
#include "types/points.h"
#include "utils/date.h"

typedef struct Award
{
	int64		account_id;
	int64		entry_id;		/* of the sale's entry */
	const char *rule;
	DateADT		day;			/* whose periods the caps count it for */
	Points		points;
	Points		returned;		/* to the caps, by refunds */
} Award;

extern void awards_write(int64 merchant_id, const Award *awards, int n);
extern void awards_return(int64 merchant_id, const Program *program, int64 account_id, int64 entry_id,
						  Points whole, Points reversed);

#endif
