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

extern bool quota_take(int64 merchant_id, const char *resource);

#endif
