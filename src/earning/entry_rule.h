/*
 * entry_rule.h
 *		What of a sale each rule gave.
 */
#ifndef LOYALTY_ENTRY_RULE_H
#define LOYALTY_ENTRY_RULE_H

#include "postgres.h"
#include "types/points.h"

#define ORDINAL_OF_BASE 0		/* the base of the program, with the multiplier of the rank */

/* Parts of sales, by the rules that gave them. */
typedef struct EntryRules
{
	struct EntryRule *parts;
	int			n;
	int			allocated;
} EntryRules;

extern void entry_rules_add(EntryRules *rules, int64 entry_id, int ordinal, Points points);
extern void entry_rules_write(const EntryRules *rules, int64 merchant_id);

#endif
