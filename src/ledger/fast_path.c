/*
 * fast_path.c
 *		A single posting, whose account is locked, checked and written by one
 *		UPDATE.
 *
 * That does for accounts that are not managed, and for managed ones of which
 * nothing expires, is due or counts for a rank, if the program's terms are
 * known.  What else such a program may have is limits, which come after the
 * account, as always; so what they refuse is taken back from it, to what its
 * newest entry says.
 *
 * False means that nothing was done, for whatever reason: the general way knows
 * which.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/crypto.h"
#include "db/statement.h"
#include "ledger/batch.h"
#include "utils/timestamp.h"

/* Whether it is of the sort that can be tried. */
bool
suits_at_once(const Posting *posting)
{
	return posting->available_at == 0 && posting->expires_at == 0 && posting->member_id == 0 &&
		posting->amount != PG_INT64_MIN && amount_suits_kind(posting->kind, posting->amount);
}

/*
 * The bound is one of the balance before, and of a managed account's other sums
 * too: apply_posting() has the same or, of these sums, a wider one.
 */
static Points
bound(Points amount, bool managed)
{
	if (amount < 0)
		return -amount;
	return managed ? (PG_INT64_MAX - amount) / 5 : PG_INT64_MAX - amount;
}

/* What counts as earned, for the rank that there may be one day. */
static Points
earned(const Posting *posting)
{
	return posting->amount > 0 && posting->kind != ENTRY_ADJUST ? posting->amount : 0;
}

static bool
update_account(int64 merchant_id, const Posting *posting, Entry *entry)
{
	const ProgramTerms *program = posting->program;
	bool		managed = program != NULL;
	Points		amount = posting->amount;
	Datum		values[] = {
		Int64GetDatum(merchant_id),
		Int64GetDatum(posting->account_id),
		PointsGetDatum(amount),
		TimestampTzGetDatum(GetCurrentTimestamp()),
		PointsGetDatum(bound(amount, managed)),
		PointerGetDatum(chain_content(merchant_id, entry)),
		PointerGetDatum(chain_text(entry)),
		Int64GetDatum(entry->entry_id),
		Int64GetDatum(managed ? program->program_id : 0),
		PointsGetDatum(earned(posting)),
	};
	PlanId		add = managed ? PLAN_ACCOUNT_ADD_MANAGED : PLAN_ACCOUNT_ADD;
	PlanId		take = managed ? PLAN_ACCOUNT_TAKE_MANAGED : PLAN_ACCOUNT_TAKE;
	bool		isnull;

	if (plan_post(amount < 0 ? take : add, values, NULL) == 0)
		return false;
	entry->entry_no = plan_int64(0, 0);
	entry->previous_id = plan_int64_or(0, 1, 0);
	entry->balance = plan_int64(0, 2);
	entry->posted_at = plan_int64(0, 3);
	entry->hash = DatumGetByteaPCopy(plan_datum(0, 4, &isnull));
	return true;
}

static void
restore_account(int64 merchant_id, const Posting *posting)
{
	Datum		values[] = {
		Int64GetDatum(merchant_id),
		Int64GetDatum(posting->account_id),
		PointsGetDatum(posting->amount),
		PointsGetDatum(earned(posting)),
	};

	if (plan_write(PLAN_ACCOUNT_RESTORE, values, NULL) != 1)
		elog(ERROR, "account " INT64_FORMAT " that was locked is gone", posting->account_id);
}

static bool
within_limits(int64 merchant_id, const Posting *posting)
{
	Movement	movement;
	Limits	   *limits;
	bool		within;

	if (posting->program == NULL || !posting->program->has_limits ||
		!posting_moves(posting, posting->program->program_id, &movement))
		return true;
	movement.program = posting->program;
	limits = limits_start(merchant_id, GetCurrentTimestamp());
	limits_expect(limits, &movement);
	within = limits_take(limits, &movement, i64abs(posting->amount));
	limits_write(limits);
	return within;
}

bool
post_at_once(int64 merchant_id, Posting *posting)
{
	Entry		entry = batch_entry(posting, posting->kind);

	if (posting->program != NULL && posting->amount >= 0 &&
		!(terms_are_simple(posting->program) && posting->program->active))
		return false;
	entry.entry_id = new_id();
	entry.amount = posting->amount;
	if (!update_account(merchant_id, posting, &entry))
		return false;
	if (!within_limits(merchant_id, posting))
	{
		restore_account(merchant_id, posting);
		posting->error = ERR_LIMIT_EXCEEDED;
		return true;
	}
	posting->entry_id = entry.entry_id;
	posting->balance = entry.balance;
	posting->posted_at = entry.posted_at;
	posting->error = ERR_NONE;
	rows_insert_entries(merchant_id, (Entry *[]) {&entry}, 1);
	return true;
}
