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
#include "types/points.h"

/* How many dates the lots of an account may have: its row has to fit into a page. */
#define MAX_MOMENTS 512
/* How many lots a value may have: those of points that count for a rank are of many days. */
#define MAX_LOTS 65536

/*
 * The moment with which points were posted stays with them, whatever has put
 * off the one at which they expire.  Mostly the two are one.
 */
typedef struct Lot
{
	TimestampTz expires_at;		/* whole seconds, as the next */
	TimestampTz posted;			/* not after expires_at */
	Points		points;			/* > 0 */
} Lot;

/* In memory: ascending by both moments, each pair once; all zeros is empty. */
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

/* The points that were posted with a moment; and those that expire when lot *i does, which becomes the last of them. */
extern Points lots_posted(const Lots *lots, TimestampTz posted);
extern Points lots_of_moment(const Lots *lots, int *i);

/* When what is left of lots after a moment falls below points, more than 0; that moment, if it is below. */
extern TimestampTz lots_below(const Lots *lots, Points threshold, TimestampTz at);

/*
 * Add points, 0 or more, to the lot of this moment, rounded up; or those of a
 * lot, or of many, to the lots of the same moments.
 *
 * What is added to is never the same Lots as what is added or taken from,
 * here and below.
 */
extern void lots_add(Lots *lots, TimestampTz expires_at, Points points);
extern void lots_add_lot(Lots *lots, const Lot *lot);
extern void lots_add_all(Lots *lots, const Lots *added);

/*
 * What new points are in an account that has MAX_MOMENTS already: more of the
 * last lot of the moment that lots_keep_all() will give them.  Points that come
 * back are not new, they stay what they were posted as.
 */
extern void lots_join(const Lots *lots, Lots *added, TimestampTz at);

/*
 * Add to what an account has at a moment.  Where there are MAX_MOMENTS already
 * at which points expire, a further one joins the next later one; later than
 * all, it becomes that of the last lots.  What is past by then stays as it is.
 */
extern void lots_keep_all(Lots *lots, const Lots *added, TimestampTz at);

/*
 * Take as many points as there are, but not more than these: soonest first,
 * latest first, from the lots that were posted with a moment, or from just the
 * same lot.  A lot of which all is taken is gone.  Returns how many were taken;
 * with taken not NULL, they are added to it.  Less than 1 asked for takes
 * nothing.
 */
extern Points lots_take_first(Lots *lots, Points most, Lots *taken);
extern Points lots_take_last(Lots *lots, Points most, Lots *taken);
extern Points lots_take_posted(Lots *lots, TimestampTz posted, Points most, Lots *taken);
extern Points lots_take_lot(Lots *lots, const Lot *lot, Lots *taken);

/* Take all lots with expires_at <= now, likewise. */
extern Points lots_take_due(Lots *lots, TimestampTz now, Lots *taken);

#endif
