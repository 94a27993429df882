/*
 * ikniu.h
 *		What the files of the seller API share.
 */
#ifndef LOYALTY_IKNIU_H
#define LOYALTY_IKNIU_H

#include "endpoint.h"
#include "program.h"

typedef enum SellerOperation
{
	SELLER_DEPOSIT,				/* points, or money if it names a currency */
	SELLER_REDEMPTION,
	SELLER_ACCUMULATION			/* money */
} SellerOperation;

/* The fields of a member; some have two names in the document. */
enum
{
	MEMBER_PROGRAM, MEMBER_EMAIL, MEMBER_FIRST_NAME, MEMBER_FIRST_LAST_NAME, MEMBER_SECOND_LAST_NAME,
	MEMBER_BIRTHDATE, MEMBER_BIRTH_DATE, MEMBER_CLIENT_ID, MEMBER_ID, MEMBER_RANK, MEMBER_SUBSCRIPTION,
	MEMBER_COUNTRY, MEMBER_PHONE, MEMBER_ADDRESS
};

typedef struct SellerMember
{
	char	   *client_id;
	int64		account_id;
} SellerMember;

extern const Endpoint seller_member;

extern ErrorId seller_member_create(int64 merchant_id, int64 program_id, const Value *values, SellerMember *member);
extern void seller_batch_run(Call *call, SellerOperation operation);

#endif
