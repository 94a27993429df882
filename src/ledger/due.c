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

#include "ledger/due.h"
#include "ledger/recount.h"
#include "utils/timestamp.h"

/* Add expired points to the expired lots, which later refunds look at. */
static void
note_expired(Batch *batch, const Account *account, const Lots *expired)
{
	for (int i = 0; i < expired->n; i++)
	{
		ExpiredLot *lot = batch_expired_lot(batch, account->account_id, expired->lot[i].posted);

		lot->points += expired->lot[i].points;
		lot->new_points += expired->lot[i].points;
	}
}

/* Book what is past its date at that moment. */
void
book_expired(Batch *batch, Account *account, TimestampTz at)
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
date_returned(Batch *batch, Account *account, const Lots *lots, TimestampTz at, Lots *returned)
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
book_reservation(Batch *batch, Account *account, Reservation *reservation)
{
	TimestampTz at = reservation->due_at;
	Lots		dated = {0};
	bool		held = reservation->kind == ENTRY_HOLD;
	Entry		entry = {
		.kind = held ? ENTRY_RELEASE : ENTRY_MATURE,
		.amount = reservation->remaining,
		.reserved = -reservation->remaining,
		.origin_entry_id = reservation->key.entry_id,
	};

	date_returned(batch, account, &reservation->lots, at, &dated);
	account_add(account, reservation->remaining, &dated, at);
	if (held)
		account->held -= reservation->remaining;
	else
	{
		account->pending -= reservation->remaining;
		count_earned(batch, account, reservation->remaining, at);
	}
	reservation->remaining = 0;
	reservation->lots.n = 0;
	reservation->changed = true;
	entry.lots = lots_pack_some(&dated);
	batch_add_entry(batch, account, &entry, at);
}

/* Take a reservation that was read: one that is due, or the one that is due next. */
static void
take_reservation(void *context, Reservation *reservation)
{
	Batch	   *batch = context;
	Account    *account = batch_account(batch, reservation->key.account_id);

	if (reservation->remaining == 0)
		return;
	if (reservation->due_at > batch->now)
	{
		account_due(account, reservation->due_at);
		return;
	}
	book_expired(batch, account, reservation->due_at);
	book_reservation(batch, account, reservation);
}

/*
 * Leave an account to the next batch, of which the last reservation that was
 * read may be one.  To this one it is as an account that moved: to be tried again.
 */
static void
leave_due(const Batch *batch, Account *account, const Reservation *last)
{
	account->moved = true;
	account->changed = account->account_id == last->key.account_id;
	account_due(account, Min(last->due_at, batch->now));
}

/*
 * Book what is due in the accounts of the batch.  Their reservations come
 * by account and time, whatever else the batch knows of them.  False: there
 * are too many, and the accounts of which some are left can be posted to only
 * when those have been booked.
 */
bool
book_due(Batch *batch)
{
	int64	   *due = NULL;
	int			ndue = 0;
	const Reservation *last;

	for (int i = 0; i < batch->naccounts; i++)
	{
		Account    *account = &batch->accounts[i];

		if (account->bystander || !account->tracks_lots || account->due_at > batch->now)
			continue;
		if (due == NULL)
			due = palloc_extended(batch->naccounts * sizeof(int64), MCXT_ALLOC_HUGE);
		due[ndue++] = account->account_id;
		account->due_at = DT_NOEND;
		account->changed = true;
	}
	if (ndue == 0)
		return true;
	last = reservations_read_due(batch->merchant_id, batch_table(&batch->reservations, sizeof(Reservation)), due, ndue, batch->now,
								 batch->writes, take_reservation, batch);
	for (int i = 0; i < ndue; i++)
	{
		Account    *account = batch_account(batch, due[i]);

		if (last != NULL && account->account_id >= last->key.account_id)
		{
			leave_due(batch, account, last);
			continue;
		}
		book_expired(batch, account, batch->now);
		if (account->lots.n > 0)
			account_due(account, account->lots.lot[0].expires_at);
	}
	return last == NULL;
}
