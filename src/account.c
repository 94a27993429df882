/*
 * account.c
 *		An account in memory, between its lock and its update.
 *
 * Those points of a balance that expire are in lots, by their dates; the rest
 * is in none and never expires.  Whatever takes points takes the lots first,
 * from the soonest on, so that nothing expires that could have been spent.
 */
#include "postgres.h"

#include "account.h"
#include "utils/timestamp.h"

/*
 * Whether so many points more stay in range, in all the sums they can get into.
 * What is set aside counts, it may come back at any time, and what has expired
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

/* The account has something to settle at that moment. */
void
account_due(Account *account, TimestampTz at)
{
	account->due_at = Min(account->due_at, at);
}

/*
 * Add points, of which some expire.  A debt is paid first, from the first to
 * expire on; *added is what is left of the lots.
 */
void
account_add(Account *account, Points amount, const Lots *dated, Lots *added)
{
	Points		debt = Min(amount, Max(-account->balance, 0));

	account->balance += amount;
	lots_add_all(added, dated);
	lots_take_first(added, debt, NULL);
	if (added->n == 0)
		return;
	lots_add_all(&account->lots, added);
	account_due(account, account->lots.lot[0].expires_at);
}

/* Take points that are there, or, of an account that may owe, more. */
void
account_take(Account *account, Points amount, Lots *taken)
{
	account->balance -= amount;
	lots_take_first(&account->lots, amount, taken);
}

/*
 * Take what certain points have become: of their own dates, of the points
 * without one as far as they had none, and only then as spending does.
 */
void
account_take_own(Account *account, Points amount, const Lots *own, Points own_undated, Lots *taken)
{
	Points		undated = Max(account->balance, 0) - lots_total(&account->lots);
	Points		left = amount;

	account->balance -= amount;
	for (int i = 0; i < own->n && left > 0; i++)
		left -= lots_take_at(&account->lots, own->lot[i].expires_at, Min(left, own->lot[i].points), taken);
	left -= Min(left, Min(undated, own_undated));
	lots_take_first(&account->lots, left, taken);
}

/* Points that were earned count for the rank, until the given moment. */
void
account_earn(Account *account, Points amount, TimestampTz until, TimestampTz now)
{
	account->earned += amount;
	account->recounted = true;
	lots_take_due(&account->qualifying, now, NULL);
	if (until != DT_NOEND && amount > 0)
		lots_add(&account->qualifying, until, amount);
}

/* Points that were undone do not count; until is when they would have ceased to. */
void
account_unearn(Account *account, Points amount, TimestampTz until)
{
	account->earned -= amount;
	account->recounted = true;
	amount -= lots_take_at(&account->qualifying, until, amount, NULL);
	lots_take_last(&account->qualifying, amount, NULL);
}
