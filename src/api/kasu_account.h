/*
 * kasu_account.h
 *		API_ACCOUNTS and API_PAYMENTS of the customer API.
 */
#ifndef LOYALTY_KASU_ACCOUNT_H
#define LOYALTY_KASU_ACCOUNT_H

#include "api/operation.h"

extern const Endpoint kasu_accounts;
extern const Endpoint kasu_payments;

#endif
