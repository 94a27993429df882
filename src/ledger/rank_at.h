/*
 * rank_at.h
 *		The rank that an account has at a moment.
 */
#ifndef LOYALTY_RANK_AT_H
#define LOYALTY_RANK_AT_H

#include "postgres.h"
#include "account/account.h"

extern TimestampTz rank_moment(const Account *account, const Moment *moment);
extern const Account *rank_account_at(int64 merchant_id, int64 account_id, TimestampTz at);

#endif
