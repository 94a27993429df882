/*
 * allowance.h
 *		What is left of a limit, counted in rows that are locked.
 */
#ifndef LOYALTY_ALLOWANCE_H
#define LOYALTY_ALLOWANCE_H

#include "postgres.h"
#include "limits/counter.h"

extern bool allowance_take(int64 merchant_id, const Counter *counter, DateADT today, int64 revision, Points points, int64 operations);
extern bool allowances_try(int64 merchant_id, const Counter *counters, int n, DateADT today, int64 revision);
extern void allowances_lock(int64 merchant_id, Counter *counters, int n);
extern Amount allowance_gather(int64 merchant_id, const Counter *pool, Scope drawers);
extern void allowances_write(int64 merchant_id, const Counter *counters, int n);

#endif
