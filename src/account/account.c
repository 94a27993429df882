/*
 * account.c
 *		An account in memory, between its lock and its update.
 *
 * Those points of a balance that expire are in lots, by their dates; the rest
 * is in none and never expires.  Whatever takes points takes the lots first,
 * from the soonest on, so that nothing expires that could have been spent.
 */
#include "postgres.h"

#include "access/xact.h"
#include "account/account.h"
#include "utils/timestamp.h"

/* A moment is over when it was so as the transaction began. */
Moment
moment_at(TimestampTz at)
{
	TimestampTz clock = GetCurrentTimestamp();
	Moment		moment = {at, at >= Min(clock, GetCurrentTransactionStartTimestamp()) ? clock : DT_NOEND};

	return moment;
}

bool
has_begun(const Moment *moment, TimestampTz since)
{
	return since <= moment->at || since > moment->ahead;
}

/* The moment, or a later one at which something has begun. */
TimestampTz
moment_raised(const Moment *moment, TimestampTz since)
{
	return has_begun(moment, since) ? Max(moment->at, since) : moment->at;
}

/*
 * When something counts that is posted to an account at a moment by the clock:
 * not before its newest entry, for the clock may have stepped back since.  Days,
 * for limits, caps and ranks, are those of this moment, which the entry has; what
 * falls due does so by the clock.
 */
TimestampTz
account_moment(const Account *account, TimestampTz at)
{
	return Max(at, account->posted_at);
}

/* The same for its ranks, which are not older than the terms by which they were counted. */
TimestampTz
account_rank_moment(const Account *account, TimestampTz at)
{
	return Max(account_moment(account, at), account->ranked_at);
}

/*
 * Whether so many points more stay in range, in all the sums they can get into.
 * What is reserved counts, it may come back at any time, and what has expired
 * too, for all of it may yet expire.
 */
bool
account_has_room(const Account *account, Points amount)
{
	Points		sum = Max(account->balance, 0);

	return points_add(sum, Max(amount, 0), &sum) &&
		points_add(sum, account->held, &sum) &&
		points_add(sum, account->pending, &sum) &&
		points_add(sum, account->expired, &sum) &&
		points_add(account->earned, Max(amount, 0), &sum);
}

/* Note that something of the account is due at a moment. */
void
account_due(Account *account, TimestampTz at)
{
	account->due_at = Min(account->due_at, at);
}

/*
 * What points that come in leave in lots: a debt is paid first, from the first
 * to expire on.
 */
void
account_keep(Lots *lots, Points balance, Points amount, const Lots *dated, TimestampTz at)
{
	Lots		kept = {0};

	if (balance < 0 && dated->n > 0)
	{
		lots_add_all(&kept, dated);
		lots_take_first(&kept, amount < -balance ? amount : -balance, NULL);
		dated = &kept;
	}
	lots_keep_all(lots, dated, at);
}

/* Add points, of which some expire. */
void
account_add(Account *account, Points amount, const Lots *dated, TimestampTz at)
{
	account_keep(&account->lots, account->balance, amount, dated, at);
	account->balance += amount;
	if (account->lots.n > 0)
		account_due(account, account->lots.lot[0].expires_at);
}

/* Take points from an account, which may owe some afterwards if it may owe. */
void
account_take(Account *account, Points amount, Lots *taken)
{
	account->balance -= amount;
	lots_take_first(&account->lots, amount, taken);
}
