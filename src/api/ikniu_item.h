/*
 * ikniu_item.h
 *		Items of a batch of the seller API: reading and checking them, and what is kept.
 */
#ifndef LOYALTY_IKNIU_ITEM_H
#define LOYALTY_IKNIU_ITEM_H

#include "account/entry.h"
#include "api/operation.h"
#include "program/program.h"

typedef enum SellerOperation
{
	SELLER_DEPOSIT,				/* points, or money if it names a currency */
	SELLER_REDEMPTION,
	SELLER_ACCUMULATION			/* money */
} SellerOperation;

enum
{
	PROGRAM_ID, MEMBER_CLIENT, AMOUNT, COMMENTS, AMOUNT_CURRENCY, CURRENCY, REFERENCE, CONCEPT, BRANCH, VENDOR,
	GOODS, INLINE_MEMBER, ITEM_FIELDS
};

typedef struct SellerItem
{
	const char *fields[ITEM_FIELDS];	/* NULL: absent or empty */
	uint32		malformed;		/* a bit for each field of a wrong kind, or too long */
	ErrorId		error;
	const char *field;			/* that the error is about, or NULL */
	const char *named_member;	/* the id of the member, if the item says it */
	const char *email;			/* of the member within, folded, or "" */
	const Program *program;		/* NULL: there is none */
	int64		account_id;		/* 0: not found */
	int64		member_id;		/* who acts, as member_acting() says */
	EntryKind	kind;
	bool		has_money;
	Points		amount;
	Points		money;
	int64		entry_id;		/* when posted, as with balance */
	Points		balance;
} SellerItem;

typedef struct ItemBatch
{
	int64		merchant_id;
	int64		key_id;
	int64		request_id;
	SellerOperation operation;
	MemoryContext context;		/* of the items */
	SellerItem *items;
	size_t		count;
	const Program *program;		/* one of those that they are of; NULL: none is of any */
	int		   *due;			/* how many entries that were due it has booked */
} ItemBatch;

extern text *item_detail(const SellerItem *item);
extern int64 item_space(const SellerItem *item, const SellerItem *before, SellerOperation operation);
extern void item_fail(SellerItem *item, ErrorId error, const char *field);
extern void items_read(ItemBatch *batch, const Call *call);
extern void item_check_program(SellerItem *item, SellerOperation operation);

#endif
