/*
 * merchant.h
 *		Merchants, the tenants.
 */
#ifndef LOYALTY_MERCHANT_H
#define LOYALTY_MERCHANT_H

#include "postgres.h"

typedef struct ApiKey
{
	int64		key_id;			/* 0: none */
	bool		unused;			/* in this hour, as far as was written down */
} ApiKey;

extern bool merchant_exists(int64 merchant_id);
extern int64 merchant_of_api_key(const char *api_key, ApiKey *key);
extern void api_key_used(int64 merchant_id, int64 key_id);

#endif
