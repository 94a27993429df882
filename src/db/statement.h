/*
 * statement.h
 *		The SQL that the C code runs, prepared once per session.
 *
 * Every function below works between plan_begin() and plan_end().
 * plan_begin() connects to SPI; the operation's snapshot is that of the
 * statement it is part of, and what this transaction has done since.
 * plan_read() sees what that snapshot sees, and plan_write() the newest
 * committed rows, as most statements that lock or write must.  plan_post()
 * writes under the operation's snapshot: for statements that only insert, or
 * find one row by its key, which they follow to its newest version anyway.
 */
#ifndef LOYALTY_PLAN_H
#define LOYALTY_PLAN_H

#include "postgres.h"
#include "storage/itemptr.h"
#include "utils/portal.h"

typedef enum PlanId
{
	/* who asks, and for what */
	PLAN_API_KEY,
	PLAN_REQUEST_CLAIM,
	PLAN_REQUEST_READ,
	PLAN_REQUEST_ANSWER,
	PLAN_MERCHANT_LOCK,
	/* the ledger */
	PLAN_ACCOUNT_ADD,
	PLAN_ACCOUNT_TAKE,
	PLAN_ACCOUNT_ADD_MANAGED,
	PLAN_ACCOUNT_TAKE_MANAGED,
	PLAN_ACCOUNT_RESTORE,
	PLAN_ACCOUNT_LOCK,
	PLAN_ACCOUNTS_LOCK,
	PLAN_ACCOUNT_READ,
	PLAN_ACCOUNTS_EARNED,
	PLAN_ACCOUNT_UPDATE,
	PLAN_ACCOUNT_UPDATE_MANAGED,
	PLAN_ACCOUNTS_UPDATE,
	PLAN_ACCOUNT_OPEN,
	PLAN_ACCOUNTS_DUE,
	PLAN_ENTRY_INSERT,
	PLAN_ENTRIES_INSERT,
	PLAN_ENTRIES_FIND,
	PLAN_ENTRY_AT,
	PLAN_ENTRY_AFTER,
	PLAN_ASIDES_FIND,
	PLAN_ASIDES_DUE,
	PLAN_ASIDE_WRITE,
	PLAN_ASIDES_WRITE,
	PLAN_REVERSALS_FIND,
	PLAN_REVERSAL_INSERT,
	PLAN_REVERSALS_INSERT,
	PLAN_LAPSES_FIND,
	PLAN_LAPSE_WRITE,
	PLAN_LAPSES_WRITE,
	PLAN_PROGRAM_VERSION,
	PLAN_PROGRAM_TERMS,
	/* limits */
	PLAN_LIMITS_ALL,
	PLAN_LIMITS_FIND,
	PLAN_LIMITS_REVISION,
	PLAN_LIMIT_BRANCHES,
	PLAN_ALLOWANCE_TAKE,
	PLAN_ALLOWANCE_LOCK,
	PLAN_ALLOWANCES_LOCK,
	PLAN_ALLOWANCES_DRAWN,
	PLAN_ALLOWANCES_GATHER,
	PLAN_ALLOWANCES_CREATE,
	PLAN_ALLOWANCE_WRITE,
	PLAN_ALLOWANCES_WRITE,
	/* programs and members */
	PLAN_WALLET_FIND,
	PLAN_PROGRAM_FIND,
	PLAN_WALLET_LIST,
	PLAN_ASSISTANT_WALLETS,
	PLAN_WALLET_LINK,
	PLAN_MEMBER_FIND,
	PLAN_CONTACT_INSERT,
	PLAN_CONTACT_REGISTER_AGAIN,
	PLAN_CONTACT_LIST,
	PLAN_ASSISTANT_CONTACTS,
	PLAN_ASSISTANT_CONTACT,
	PLAN_CONTACT_GET,
	PLAN_BLACKLISTED,
	PLAN_PROGRAM_LIST,
	PLAN_PROGRAM_GET,
	PLAN_MEMBER_LIST,
	PLAN_MEMBER_LIST_BY_PHONE,
	PLAN_MEMBER_LIST_BY_EMAIL,
	PLAN_MEMBER_ID,
	PLAN_MEMBER_GET,
	PLAN_MEMBER_BALANCE,
	PLAN_MEMBER_CREATE,
	PLAN_MEMBER_REGISTER_AGAIN,
	PLAN_MEMBER_ADDRESS,
	PLAN_MEMBER_ADDRESS_CLEAR,
	PLAN_MEMBERS_FIND,
	PLAN_MEMBERS_BY_EMAIL,
	PLAN_MEMBER_BY_EMAIL,
	PLAN_RANK_FIND,
	PLAN_AREA_SUPPORTED,
	PLAN_FIXED_LINE,
	/* earning rules and ranks */
	PLAN_RULES,
	PLAN_BUYER,
	PLAN_BUYERS,
	PLAN_OWNER,
	PLAN_OWNERS,
	PLAN_HAS_BOUGHT,
	PLAN_HAVE_BOUGHT,
	PLAN_RULE_USE,
	PLAN_RULE_USES,
	PLAN_RULE_USE_WRITE,
	PLAN_RULE_USES_WRITE,
	PLAN_RULE_USE_RETURN,
	PLAN_GIFT_INSERT,
	PLAN_GIFTS_INSERT,
	PLAN_GIFTS_FIND,
	PLAN_GIFT_RETURN,
	PLAN_RULES_AT,
	PLAN_RANKS,
	PLAN_RANK_HELD,
	PLAN_RANKS_HELD,
	PLAN_RANK_WRITE,
	PLAN_RANKS_WRITE,
	PLAN_RANK_GRANTED,
	PLAN_RANK_BASE,
	PLAN_RANK_PAST,
	PLAN_COUNTED,
	PLAN_ACCOUNTS_RANKED,
	PLAN_PROGRAM_OF_ACCOUNT,
	/* customers, their consent and what they bought */
	PLAN_APP_USER,
	PLAN_MERCHANT_SANDBOX,
	PLAN_CUSTOMER_FIND,
	PLAN_CONSENT_FIND,
	PLAN_ACCESS_INSERT,
	PLAN_CUSTOMER_DATUM,
	PLAN_CUSTOMER_BLOCK,
	PLAN_SALE_DATUM,
	PLAN_PRODUCT_LIST,
	PLAN_PRODUCT_FOR,
	PLAN_CUSTOMER_DECEASED,
	PLAN_SALE_OPEN,
	PLAN_SALE_APPLICATION,
	PLAN_SALE_RECEIPT,
	PLAN_SALE_FIND,
	PLAN_SALE_STATUS,
	PLAN_PAYMENT_FIND,
	PLAN_PAYMENT_REGISTER,
	PLAN_PAYMENT_RECEIPT,
	/* staff */
	PLAN_STAFF_FIND,
	PLAN_STAFF_PERMITTED,
	PLAN_STAFF_LIST,
	PLAN_STAFF_ACTIVE,
	PLAN_STAFF_SECRET,
	PLAN_STAFF_INSERT,
	PLAN_STAFF_ARCHIVE,
	PLAN_STAFF_EXISTS,
	PLAN_STAFF_BRANCH,
	PLAN_BRANCH_FIND,
	PLAN_BRANCH_INSERT,
	/* quotas and messages */
	PLAN_QUOTA_READ,
	PLAN_QUOTA_TAKE,
	PLAN_QUOTAS_TAKE,
	PLAN_QUOTA_ANY,
	PLAN_QUOTA_ALL,
	PLAN_QUOTA_SET,
	PLAN_MESSAGE_INSERT,
	/* the proof */
	PLAN_VERIFY_MERCHANT,
	PLAN_VERIFY_ACCOUNTS,
	PLAN_VERIFY_ENTRIES,
	PLAN_VERIFY_ASIDES,
	PLAN_VERIFY_REVERSALS,
	PLAN_VERIFY_UNNOTED,
	PLAN_VERIFY_LAPSES,
	PLAN_ROOT_HEADS,
	PLAN_ROOT_INSERT,
	PLAN_ROOT_PAGE_INSERT,
	PLAN_ROOT_FIND,
	PLAN_ROOT_PAGE,
	PLAN_ROOT_LEAVES,
	PLAN_ROOT_ENTRIES,
	PLAN_RECEIPT_ENTRY,
	PLAN_TEXT_KEY,
	PLAN_COUNT
} PlanId;

/* Of a row: who wrote it and where it is, which no later version has in common with it. */
typedef struct RowVersion
{
	TransactionId xmin;
	ItemPointerData tid;
} RowVersion;

extern void plan_begin(void);
extern void plan_end(void);
extern uint64 plan_read(PlanId id, Datum *values, const char *nulls);
extern uint64 plan_write(PlanId id, Datum *values, const char *nulls);
extern uint64 plan_post(PlanId id, Datum *values, const char *nulls);
extern Portal plan_cursor(PlanId id, Datum *values);
extern Oid	plan_points_oid(void);
extern Oid	plan_lots_oid(void);
extern Oid	plan_change_oid(void);
extern Oid	plan_entry_oid(void);

/*
 * One column, counted from 0, of one row of the newest result, which lives
 * until the next statement.
 */
extern Datum plan_datum(uint64 row, int column, bool *isnull);
extern void plan_row(uint64 row, Datum *values, bool *nulls);
extern int64 plan_int64(uint64 row, int column);
extern int64 plan_int64_or(uint64 row, int column, int64 otherwise);
extern bool plan_bool(uint64 row, int column);
extern RowVersion plan_version(uint64 row, int column);
extern bool plan_version_equal(const RowVersion *left, const RowVersion *right);
extern char *plan_text(uint64 row, int column);

#endif
