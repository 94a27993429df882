/*
 * part.h
 *		Parts of an entry that are reversed.
 */
#ifndef LOYALTY_PART_H
#define LOYALTY_PART_H

#include "postgres.h"
#include "ledger/batch.h"

/* What is left of an entry that can be reversed. */
typedef struct Left
{
	Points		points;
	Points		undated;		/* of these never expire */
	Lots		lots;
} Left;

/* What a part of it is made of; all lots but the last two are the entry's own. */
typedef struct Part
{
	Points		amount;
	Lots		lots;			/* all that has a date */
	Lots		expired;		/* had expired already */
	Lots		spent;
	Points		points_expired;
	Points		points_there;
	Points		spent_undated;
	Lots		there;			/* as the account has them */
	Lots		rest;			/* of the account's lots, without those */
} Part;

extern Points whole_of(const Original *original);
extern Left left_of(const Original *original);
extern bool is_reversed(const Original *original);
extern void part_of(Batch *batch, const Original *original, const Account *holder, bool from_last, Points amount, Part *part);
extern void part_spent(const Part *part, bool from_last, Points points, Lots *dated);
extern void part_count_expired(Batch *batch, const Account *holder, const Part *part);

#endif
