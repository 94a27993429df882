/*
 * verify_reversal.h
 *		Reversals, against the entries.
 */
#ifndef LOYALTY_VERIFY_REVERSAL_H
#define LOYALTY_VERIFY_REVERSAL_H

#include "proof/breach.h"

extern void verify_reversals(Verification *v);

#endif
