/*
 * due.c
 *		What became due in an account since its last posting.
 *
 * Points past their date go, holds that timed out are given back, and what was
 * pending becomes available.  Each is booked at its moment, in the order of
 * time; only points past their date wait for the next such moment, or for now,
 * and are then booked as one entry whose lots say when each was due.  So what
 * an account had at any instant can be read off its entries.
 */
#include "postgres.h"

#include "ledger/batch.h"
#include "utils/timestamp.h"

/* What expires is summed by the date with which it was posted, for the refunds to come. */
static void
note_expired(Batch *batch, const Account *account, const Lots *expired)
{
	for (int i = 0; i < expired->n; i++)
	{
		Lapse	   *lapse = batch_lapse(batch, account->account_id, expired->lot[i].posted);

		lapse->points += expired->lot[i].points;
		lapse->new_points += expired->lot[i].points;
	}
}

/* Book what is past its date at that moment. */
void
settle_expired(Batch *batch, Account *account, TimestampTz at)
{
	Lots		expired = {0};
	Entry		entry = {.kind = ENTRY_EXPIRE};

	entry.amount = -lots_take_due(&account->lots, at, &expired);
	if (entry.amount == 0)
		return;
	account->balance += entry.amount;
	account->expired -= entry.amount;
	if (batch->writes)
		note_expired(batch, account, &expired);
	entry.lots = lots_pack(&expired);
	batch_add_entry(batch, account, &entry, at);
}

/*
 * The lots of points that are given back at a moment: with their dates, or with
 * a new one if those have passed and the program lets them be spent for a while.
 */
void
settle_returned(Batch *batch, Account *account, const Lots *lots, TimestampTz at, Lots *returned)
{
	for (int i = 0; i < lots->n; i++)
	{
		Lot			lot = lots->lot[i];

		if (lot.expires_at <= at)
			lot.expires_at = Max(lot.expires_at, batch_terms(batch, account, at)->reinstated_until);
		lots_add_lot(returned, &lot);
	}
}

/* A hold that timed out is given back; what was pending is earned. */
static void
settle_aside(Batch *batch, Account *account, Aside *aside)
{
	TimestampTz at = aside->due_at;
	Lots		dated = {0};
	bool		held = aside->kind == ENTRY_HOLD;
	Entry		entry = {
		.kind = held ? ENTRY_RELEASE : ENTRY_MATURE,
		.amount = aside->remaining,
		.aside = -aside->remaining,
		.origin = aside->key.entry_id,
	};

	settle_returned(batch, account, &aside->lots, at, &dated);
	account_add(account, aside->remaining, &dated, at);
	if (held)
		account->held -= aside->remaining;
	else
	{
		account->pending -= aside->remaining;
		count_earned(batch, account, aside->remaining, at);
	}
	aside->remaining = 0;
	aside->lots.n = 0;
	aside->changed = true;
	entry.lots = lots_pack_some(&dated);
	batch_add_entry(batch, account, &entry, at);
}

/* What is read of an account: all that is due, and the one that is due next. */
static void
take_aside(void *context, Aside *aside)
{
	Batch	   *batch = context;
	Account    *account = batch_account(batch, aside->key.account_id);

	if (aside->remaining == 0)
		return;
	if (aside->due_at > batch->now)
	{
		account_due(account, aside->due_at);
		return;
	}
	settle_expired(batch, account, aside->due_at);
	settle_aside(batch, account, aside);
}

/*
 * Settle the accounts of the batch that have something due.  Their asides come
 * by account and time, whatever else the batch knows of them.
 */
void
settle_accounts(Batch *batch)
{
	int64	   *due = NULL;
	int			ndue = 0;

	for (int i = 0; i < batch->naccounts; i++)
	{
		Account    *account = &batch->accounts[i];

		if (!account->managed || account->due_at > batch->now)
			continue;
		if (due == NULL)
			due = palloc_extended(batch->naccounts * sizeof(int64), MCXT_ALLOC_HUGE);
		due[ndue++] = account->account_id;
		account->due_at = DT_NOEND;
		account->changed = true;
	}
	if (ndue == 0)
		return;
	rows_read_due(batch->merchant_id, batch_table(&batch->asides, sizeof(Aside)), due, ndue, batch->now,
				  batch->writes, take_aside, batch);
	for (int i = 0; i < ndue; i++)
	{
		Account    *account = batch_account(batch, due[i]);

		settle_expired(batch, account, batch->now);
		if (account->lots.n > 0)
			account_due(account, account->lots.lot[0].expires_at);
	}
}
