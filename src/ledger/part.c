/*
 * part.c
 *		What is left of an entry that can be reversed, and what a part of it is
 *		made of.
 *
 * Of what earlier parts have left, a part takes first the points that have
 * expired, then those that are still in the account, then those that were spent.
 * They are recognized by the date with which they were posted.  So all parts
 * together do, at one moment, what a reversal of the whole would do, and no
 * point is counted twice.  All that reverses asks here.
 */
#include "postgres.h"

#include "ledger/part.h"

/* How many points an entry moved that can be reversed; -1: none can. */
Points
whole_of(const Original *original)
{
	switch (original->kind)
	{
		case ENTRY_ACCRUE:
		case ENTRY_DEPOSIT:
			return original->amount + original->reserved;
		case ENTRY_REDEEM:
			return -original->amount;
		case ENTRY_CAPTURE:
			return -original->reserved;
		case ENTRY_TRANSFER:
			/* by the entry of the sender, and not that of a transfer that was itself reversed */
			return original->amount < 0 && original->origin_entry_id == 0 ? -original->amount : -1;
		default:
			return -1;
	}
}

/* What of an entry has not been reversed yet. */
Left
left_of(const Original *original)
{
	Left		left = {.points = whole_of(original)};

	lots_add_all(&left.lots, &original->lots);
	for (const Reversal *part = original->reversals; part != NULL; part = part->next)
	{
		left.points -= part->amount;
		for (int i = 0; i < part->lots.n; i++)
			lots_take_lot(&left.lots, &part->lots.lot[i], NULL);
	}
	left.undated = left.points - lots_total(&left.lots);
	return left;
}

/*
 * Whether nothing is left of an entry.  A sale that earned nothing has no points
 * that could tell: it is reversed as a whole, or when all of its money is.
 */
bool
is_reversed(const Original *original)
{
	Points		money = 0;
	bool		as_whole = false;

	if (whole_of(original) > 0)
		return left_of(original).points == 0;
	for (const Reversal *part = original->reversals; part != NULL; part = part->next)
	{
		money += part->money;
		as_whole |= !part->has_money;
	}
	return as_whole || (money > 0 && money == original->money);
}

/* A part of an entry while it is being chosen: the part so far, and what is left to choose from. */
typedef struct Choice
{
	Batch	   *batch;
	const Account *holder;		/* where the points are; NULL: nowhere, they were spent */
	bool		from_last;		/* those that expire last go first */
	Points		missing;		/* of the part */
	Left		left;			/* of the entry */
	Part	   *part;
} Choice;

/* The points of a lot that had expired and that no refund has counted yet. */
static Points
expired_of(const Choice *choice, const Lot *lot)
{
	const ExpiredLot *expired;

	if (lot->posted > account_moment(choice->holder, choice->batch->now))
		return 0;
	expired = batch_expired_lot(choice->batch, choice->holder->account_id, lot->posted);
	return expired->points - expired->refunded - lots_posted(&choice->part->expired, lot->posted);
}

/* Choose the expired points of one lot of the entry; false: there are none. */
static bool
choose_expired(Choice *choice, Lot *lot)
{
	lot->points = Min(lot->points, expired_of(choice, lot));
	lots_add_lot(&choice->part->expired, lot);
	return lot->points > 0;
}

static bool
choose_there(Choice *choice, Lot *lot)
{
	lot->points = lots_take_posted(&choice->part->rest, lot->posted, lot->points, &choice->part->there);
	choice->part->points_there += lot->points;
	return lot->points > 0;
}

static bool
choose_spent(Choice *choice, Lot *lot)
{
	lots_add_lot(&choice->part->spent, lot);
	return true;
}

static void
choose_lots(Choice *choice, bool (*choose) (Choice *choice, Lot *lot))
{
	Lots		left = {0};

	lots_add_all(&left, &choice->left.lots);
	for (int i = 0; i < left.n && choice->missing > 0; i++)
	{
		Lot			lot = left.lot[choice->from_last ? left.n - 1 - i : i];

		lot.points = Min(lot.points, choice->missing);
		if (!choose(choice, &lot))
			continue;
		choice->missing -= lot.points;
		lots_take_lot(&choice->left.lots, &lot, &choice->part->lots);
	}
}

/* Choose among the points that never expire, at most so many. */
static Points
choose_undated(Choice *choice, Points most)
{
	Points		points = Min(Min(choice->missing, choice->left.undated), most);

	choice->missing -= points;
	choice->left.undated -= points;
	return points;
}

static void
choose_what_is_there(Choice *choice)
{
	Part	   *part = choice->part;
	Points		undated = Max(choice->holder->balance, 0) - lots_total(&choice->holder->lots);

	lots_add_all(&part->rest, &choice->holder->lots);
	if (choice->from_last)
		part->points_there += choose_undated(choice, undated);
	choose_lots(choice, choose_there);
	if (!choice->from_last)
		part->points_there += choose_undated(choice, undated);
}

/*
 * What so many points of an entry are, of which so many are left at least, in
 * the account that got them; NULL: they were spent by the one who asks for
 * them.
 */
void
part_of(Batch *batch, const Original *original, const Account *holder, bool from_last, Points amount, Part *part)
{
	Choice		choice = {batch, holder, from_last, amount, left_of(original), part};

	memset(part, 0, sizeof(Part));
	part->amount = amount;
	if (holder != NULL)
	{
		choose_lots(&choice, choose_expired);
		part->points_expired = lots_total(&part->expired);
		choose_what_is_there(&choice);
	}
	if (from_last)
		part->spent_undated = choose_undated(&choice, choice.missing);
	choose_lots(&choice, choose_spent);
	if (!from_last)
		part->spent_undated = choose_undated(&choice, choice.missing);
	Assert(choice.missing == 0);
}

/* The lots of so many spent points, in the order of the part. */
void
part_spent(const Part *part, bool from_last, Points points, Lots *dated)
{
	Lots		spent = {0};

	lots_add_all(&spent, &part->spent);
	if (from_last)
		lots_take_last(&spent, points - Min(points, part->spent_undated), dated);
	else
		lots_take_first(&spent, points, dated);
}

/* Count expired points as refunded: nothing is taken for them, and no other refund counts them again. */
void
part_count_expired(Batch *batch, const Account *holder, const Part *part)
{
	for (int i = 0; i < part->expired.n; i++)
	{
		ExpiredLot *lot = batch_expired_lot(batch, holder->account_id, part->expired.lot[i].posted);

		lot->refunded += part->expired.lot[i].points;
		lot->new_refunded += part->expired.lot[i].points;
	}
}
