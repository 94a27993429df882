/*
 * posting.h
 *		One operation that is asked of the engine, and what came of it.
 */
#ifndef LOYALTY_POSTING_H
#define LOYALTY_POSTING_H

#include "postgres.h"
#include "account/entry.h"
#include "base/errors.h"
#include "program/program.h"

#define REFERENCE_MAX_LENGTH 1024	/* bytes, as of the fields of the APIs */

/* One operation that is asked for, and what came of it. */
typedef struct Posting
{
	int64		account_id;
	EntryKind	kind;
	Points		amount;			/* accrue to adjust: signed; else positive; when posted, what was moved */
	bool		in_full;		/* all there is, or all that is left of what is named; then there is no amount */
	Points		money;			/* of the sale, if has_money */
	bool		has_money;
	bool		earns;			/* the program's rules and ranks add to the amount, which is then all */
	Points		earning_money;	/* the part of the money that does, if it earns */
	text	   *items;			/* of the sale, JSON, NULL: not known */
	int64		key_id;			/* the API key that it came with; 0: none, a role posts it in SQL */
	int64		request_id;		/* the number of the request; 0: none */
	int64		staff_id;		/* 0: nobody in particular */
	int64		member_id;		/* 0: whose the account is */
	int64		origin_entry_id;	/* the hold, or what is reversed; else 0 */
	int64		origin_member_id;	/* whom that names; 0: nobody, or there is no text that would be theirs */
	bool		origin_erased;	/* of whom that is, they have been erased */
	int64		peer_account_id;	/* where a transfer goes; else 0 */
	TimestampTz available_at;	/* 0: as the program says */
	TimestampTz expires_at;		/* 0: as the program says; a hold's: when it times out */
	text	   *reference;		/* NULL: none */
	text	   *detail;			/* JSON, NULL: none */
	bool		looked_up;		/* who acts, or whose the account is, was looked up: has to be there still */
	bool		notifies;		/* and is sent a message of it */
	const Program *program;		/* if the caller has just read it and its accounts track lots; else NULL */

	ErrorId		error;			/* ERR_NONE: posted */
	const char *hint;			/* what is wrong, where the error alone does not say; else NULL */
	int64		entry_id;
	Points		balance;
	TimestampTz posted_at;
	int64		peer_entry_id;	/* of a transfer, or of one that is reversed; else 0 */
	Points		peer_balance;
} Posting;

static inline bool
posting_has_text(const Posting *posting)
{
	return posting->reference != NULL || posting->detail != NULL;
}

/* Whom a posting names, or what it goes on with; 0: nobody. */
static inline int64
posting_named(const Posting *posting)
{
	return posting->member_id != 0 ? posting->member_id : posting->origin_member_id;
}

/* The error of a posting that says what is wrong. */
static inline ErrorId
posting_refused(Posting *posting, ErrorId error, const char *hint)
{
	posting->hint = hint;
	return error;
}

#endif
