/*
 * merchant.h
 *		Merchants, the tenants.
 */
#ifndef LOYALTY_MERCHANT_H
#define LOYALTY_MERCHANT_H

#include "postgres.h"

extern bool merchant_exists(int64 merchant_id);
extern int64 merchant_of_api_key(const char *api_key, int64 *key_id);

#endif
