/*
 * quota.h
 *		What a merchant's plan allows, taken one at a time and never oversold.
 */
#ifndef LOYALTY_QUOTA_H
#define LOYALTY_QUOTA_H

#include "postgres.h"

#define QUOTA_CUSTOMERS		"customers"
#define QUOTA_REDEMPTIONS	"redemptions"
#define QUOTA_MESSAGES		"messages"

/* As many as an operation takes from at most. */
#define MAX_QUOTAS 2

extern bool quota_take(int64 merchant_id, const char *resource);
extern const char *quotas_take(int64 merchant_id, const char *const *resources, int n);

#endif
