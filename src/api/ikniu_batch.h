/*
 * ikniu_batch.h
 *		Deposits, redemptions and accumulations of the seller API, in batches.
 */
#ifndef LOYALTY_IKNIU_BATCH_H
#define LOYALTY_IKNIU_BATCH_H

#include "api/operation.h"

typedef enum SellerOperation
{
	SELLER_DEPOSIT,				/* points, or money if it names a currency */
	SELLER_REDEMPTION,
	SELLER_ACCUMULATION			/* money */
} SellerOperation;

extern void seller_batch_run(Call *call, SellerOperation operation);

#endif
