/*
 * batch.c
 *		What a batch of postings has in memory.
 */
#include "postgres.h"

#include "account/chain.h"
#include "admin/sql_role.h"
#include "base/crypto.h"
#include "base/table.h"
#include "ledger/batch.h"

/* An entry with what it takes over from its posting. */
Entry
batch_entry(const Posting *posting, EntryKind kind)
{
	Entry		entry = {
		.account_id = posting->account_id,
		.kind = kind,
		.money = posting->money,
		.has_money = posting->has_money,
		.staff_id = posting->staff_id,
		.member_id = posting->member_id,
		.actor_id = posting->key_id != 0 ? posting->key_id : sql_role_id(),
		.request_id = posting->request_id,
		.origin_entry_id = posting->origin_entry_id,
		.named_id = posting_named(posting),
		.reference = posting->origin_erased ? NULL : posting->reference,
		.detail = posting->origin_erased ? NULL : posting->detail,
	};

	return entry;
}

/* The account of the batch that has this id; it must be one of those. */
Account *
batch_account(const Batch *batch, int64 account_id)
{
	Account		key = {.account_id = account_id};

	if (batch->naccounts == 1)
		return batch->accounts;
	return bsearch(&key, batch->accounts, batch->naccounts, sizeof(Account), compare_accounts);
}

/* What the program of an account says at a moment. */
const Terms *
batch_terms(Batch *batch, const Account *account, TimestampTz at)
{
	return terms_at(&batch->terms, batch->merchant_id, account->program_id, at);
}

/* A hash table by EntryKey, made when it is first needed. */
HTAB *
batch_table(HTAB **table, Size entry_size)
{
	if (*table == NULL)
		*table = table_create("entries of a batch", 64, sizeof(EntryKey), entry_size, CurrentMemoryContext);
	return *table;
}

/* The expired lot of an account with this posted date; empty unless it was read or has just expired. */
ExpiredLot *
batch_expired_lot(Batch *batch, int64 account_id, TimestampTz posted)
{
	ExpiredLotKey key = {account_id, posted};
	ExpiredLot *lot;
	bool		found;

	if (batch->expired_lots == NULL)
		batch->expired_lots = table_create("expired lots of a batch", 64, sizeof(ExpiredLotKey), sizeof(ExpiredLot), CurrentMemoryContext);
	lot = hash_search(batch->expired_lots, &key, HASH_ENTER, &found);
	if (!found)
	{
		memset(lot, 0, sizeof(ExpiredLot));
		lot->key = key;
	}
	return lot;
}

/* The reservation that an entry made, if the batch has read it; else NULL. */
Reservation *
batch_reservation(const Batch *batch, int64 account_id, int64 entry_id)
{
	EntryKey	key = {account_id, entry_id};

	return batch->reservations == NULL ? NULL : hash_search(batch->reservations, &key, HASH_FIND, NULL);
}

/* The key for the text of an entry: that of the own account of whom it names, if the batch has it, else that of the account. */
static const pg_uuid_t *
text_key(const Batch *batch, const Account *account, int64 named_id)
{
	const Account *own = named_id != 0 ? batch_account(batch, named_id) : NULL;

	return own != NULL && own->exists ? &own->text_key : &account->text_key;
}

/* Whether the text of an entry is of somebody who has been erased: whom it names, else whoever owns the account or its peer. */
static bool
text_is_erased(const Batch *batch, const Account *account, const Entry *entry)
{
	const Account *own = entry->named_id != 0 ? batch_account(batch, entry->named_id) : NULL;
	const Account *peer = entry->peer_account_id != 0 ? batch_account(batch, entry->peer_account_id) : NULL;

	if (own != NULL && own->exists)
		return (text_key_erased(&own->text_key) & OF_MEMBER) != 0;
	return (text_key_erased(&account->text_key) & OF_OWNER) != 0 ||
		(peer != NULL && (text_key_erased(&peer->text_key) & OF_OWNER) != 0);
}

/* Give an entry its id and its hash.  Entries of a batch that is only looked at need neither. */
static void
chain_entry(Batch *batch, Account *account, Entry *added)
{
	added->entry_id = new_id();
	added->previous_entry_id = account->newest_entry_id;
	account->previous_entry_id = account->newest_entry_id;
	account->newest_entry_id = added->entry_id;
	if (entry_has_text(added) && text_is_erased(batch, account, added))
		added->reference = added->detail = NULL;
	if (entry_has_text(added))
		chain_salt(text_key(batch, account, added->named_id),
				   added->peer_account_id != 0 ? &batch_account(batch, added->peer_account_id)->text_key : NULL,
				   added->entry_id, added->salt);
	added->hash = account->hash = chain_next(added, account->hash);
}

/* Append the account's next entry; the account has been changed by its amount already. */
Entry *
batch_add_entry(Batch *batch, Account *account, const Entry *entry, TimestampTz at)
{
	Entry	   *added = palloc(sizeof(Entry));

	/* The clock may step back; the entries of an account do not. */
	account->posted_at = account_moment(account, at);
	account->entry_no++;
	account->purchases += entry->kind == ENTRY_ACCRUE;
	account->changed = true;

	*added = *entry;
	added->merchant_id = batch->merchant_id;
	added->account_id = account->account_id;
	added->entry_no = account->entry_no;
	added->balance = account->balance;
	added->posted_at = account->posted_at;
	if (batch->writes)
		chain_entry(batch, account, added);
	if (batch->nentries == batch->allocated)
	{
		batch->allocated *= 2;
		batch->entries = repalloc_huge(batch->entries, batch->allocated * sizeof(Entry *));
	}
	batch->entries[batch->nentries++] = added;
	return added;
}
