/*
 * verify_expired.h
 *		Expired lots, against the entries.
 */
#ifndef LOYALTY_VERIFY_EXPIRED_H
#define LOYALTY_VERIFY_EXPIRED_H

#include "proof/breach.h"

extern void expired_lots_add(Verification *v, const Lots *expired);
extern void verify_expired_lots(Verification *v);

#endif
