/*
 * verify_reservation.h
 *		Reservations, against the entries.
 */
#ifndef LOYALTY_VERIFY_RESERVATION_H
#define LOYALTY_VERIFY_RESERVATION_H

#include "proof/breach.h"

extern void reservation_open(Verification *v, const Entry *entry, const Lots *lots);
extern bool reservation_take(Verification *v, const Entry *entry, const Lots *lots);
extern void verify_reservations(Verification *v);

#endif
