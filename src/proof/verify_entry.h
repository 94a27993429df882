/*
 * verify_entry.h
 *		One entry after the other, against those before it.
 */
#ifndef LOYALTY_VERIFY_ENTRY_H
#define LOYALTY_VERIFY_ENTRY_H

#include "proof/breach.h"

extern void verify_entry(Verification *v, Entry *entry, bool as_written);

#endif
