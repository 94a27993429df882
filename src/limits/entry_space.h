/*
 * entry_space.h
 *		How much a merchant's clients may add to the ledger in a day.
 */
#ifndef LOYALTY_ENTRY_SPACE_H
#define LOYALTY_ENTRY_SPACE_H

#include "postgres.h"

extern int	entry_space_kb;

extern bool entry_space_take(int64 merchant_id, int64 bytes);

#endif
