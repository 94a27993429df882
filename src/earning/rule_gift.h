/*
 * rule_gift.h
 *		What rules with a cap gave for which sale, and what comes back of it.
 */
#ifndef LOYALTY_RULE_GIFT_H
#define LOYALTY_RULE_GIFT_H

#include "postgres.h"
#include "program/terms.h"
#include "types/points.h"
#include "utils/date.h"

typedef struct Gift
{
	int64		account_id;
	int64		entry_id;		/* of the sale's entry */
	const char *rule;
	DateADT		day;			/* whose periods the caps count it for */
	Points		points;
	Points		returned;		/* to the caps, by refunds */
} Gift;

extern void gifts_write(int64 merchant_id, const Gift *gifts, int n);
extern void gifts_return(int64 merchant_id, const Program *program, int64 account_id, int64 entry_id,
						 Points whole, Points undone);

#endif
