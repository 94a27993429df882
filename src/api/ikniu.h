/*
 * ikniu.h
 *		The seller API of the IKNIU document, as its files share it.
 */
#ifndef LOYALTY_IKNIU_H
#define LOYALTY_IKNIU_H

#include "api/family.h"

typedef enum SellerOperation
{
	SELLER_DEPOSIT,				/* points, or money if it names a currency */
	SELLER_REDEMPTION,
	SELLER_ACCUMULATION			/* money */
} SellerOperation;

extern const Family ikniu_family;

extern void seller_batch_run(Call *call, SellerOperation operation);

#endif
