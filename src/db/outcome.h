/*
 * outcome.h
 *		What a session keeps of a transaction that may still be rolled back.
 */
#ifndef LOYALTY_OUTCOME_H
#define LOYALTY_OUTCOME_H

#include "postgres.h"
#include "access/transam.h"

extern FullTransactionId outcome_open(void);
extern bool outcome_is_good(FullTransactionId *transaction);

#endif
