/*
 * ikniu_batch.h
 *		Deposits, redemptions and accumulations of the seller API, in batches.
 */
#ifndef LOYALTY_IKNIU_BATCH_H
#define LOYALTY_IKNIU_BATCH_H

#include "api/ikniu_item.h"

extern void seller_batch_run(Call *call, SellerOperation operation);
extern char *seller_batch_complete(const Call *call, SellerOperation operation, const char *kept);

#endif
