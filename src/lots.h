/*
 * lots.h
 *		loyalty.lots: points by the moment at which they expire.
 *
 * A Lots is the value unpacked, to be changed in memory and packed again.  It
 * is declared all zeros, which is the empty one; its array is allocated in the
 * memory context that is current when it first needs one, and nothing frees
 * it but the end of that context.
 *
 * A negative or infinite something, or a total beyond what points can be, is
 * a mistake of the caller here: elog(ERROR).
 */
#ifndef LOYALTY_LOTS_H
#define LOYALTY_LOTS_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "points.h"

/* As many as make a row that fits into a page, however large the amounts. */
#define MAX_LOTS 512

typedef struct Lot
{
	TimestampTz expires_at;		/* whole seconds */
	Points		points;			/* > 0 */
} Lot;

/* In memory: ascending by moment, each once; all zeros is empty. */
typedef struct Lots
{
	int			n;
	int			allocated;
	Lot		   *lot;
} Lots;

/*
 * From and to a datum that is not NULL.  What was in the Lots is forgotten,
 * not looked at.  Empty packs as '{}'.
 */
extern void lots_read(Datum packed, Lots *lots);
extern bool lots_read_if_sound(Datum packed, Lots *lots);
extern Datum lots_pack(const Lots *lots);
extern Datum lots_pack_some(const Lots *lots);

/*
 * A moment rounded up to what a lot can have: whole seconds.  Infinity stays
 * as it is; the last fraction of a second that a timestamp can have is out of
 * range.
 */
extern TimestampTz lots_moment(TimestampTz at);

extern Points lots_total(const Lots *lots);

/* When what is left of lots after a moment falls below points, more than 0; that moment, if it is below. */
extern TimestampTz lots_below(const Lots *lots, Points threshold, TimestampTz at);

/*
 * Add points, 0 or more, to the lot of this moment, rounded up.  Where there
 * are MAX_LOTS already, a further moment joins the next later one; later than
 * all, it becomes that of the last lot.
 *
 * What is added to is never the same Lots as what is added or taken from,
 * here and below.
 */
extern void lots_add(Lots *lots, TimestampTz expires_at, Points points);
extern void lots_add_all(Lots *lots, const Lots *added);

/*
 * Take as many points as there are, but not more than these: soonest first,
 * latest first, or from the lot of exactly this moment.  A lot of which all is
 * taken is gone.  Returns how many were taken; with taken not NULL, they are
 * added to it by moment.  Less than 1 asked for takes nothing.
 */
extern Points lots_take_first(Lots *lots, Points most, Lots *taken);
extern Points lots_take_last(Lots *lots, Points most, Lots *taken);
extern Points lots_take_at(Lots *lots, TimestampTz expires_at, Points most, Lots *taken);

/* Take all lots with expires_at <= now, likewise. */
extern Points lots_take_due(Lots *lots, TimestampTz now, Lots *taken);

#endif
