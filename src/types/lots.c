/*
 * lots.c
 *		loyalty.lots: points by the moment at which they expire.
 *
 * Every account that has points which expire carries one in its row, rewritten
 * at each posting; so what counts is its length.  Stored are, lot by lot and
 * soonest first, the moment and the points, each as a varint: 7 bits a byte,
 * lowest first, the top bit set in all bytes but the last.  The first moment
 * is in seconds since the server's epoch, with its sign in the lowest bit; all
 * others are the seconds since the moment before.  That makes 6 or 7 bytes
 * a lot, and less than 7100 for MAX_MOMENTS of them whatever they hold.  Where
 * points were posted with an earlier moment, a 0 and the seconds that it was
 * earlier stand before the points.
 *
 * A value has one such form: no lot twice, none without points, no varint
 * longer than it needs to be.  So equal values have equal bytes, and whatever
 * is not that form is recognized as damaged.
 */
#include "base/compat.h"

#include "funcapi.h"
#include "libpq/pqformat.h"
#include "port/pg_bitutils.h"
#include "types/lots.h"
#include "utils/timestamp.h"

/* the first and the last whole second of a timestamp, since the epoch */
#define FIRST_SECOND	(MIN_TIMESTAMP / USECS_PER_SEC)
#define LAST_SECOND		(END_TIMESTAMP / USECS_PER_SEC - 1)

#define VARINT_BITS		7
#define VARINT_MORE		0x80	/* set in all bytes but the last */

/* what an array starts with: a year of month ends, and some */
#define FIRST_ALLOCATION	16

/* --- in memory ----------------------------------------------------------- */

static void
make_room(Lots *lots, int n)
{
	int			size = Max(lots->allocated, FIRST_ALLOCATION);

	if (n <= lots->allocated)
		return;
	while (size < n)
		size *= 2;
	if (lots->lot == NULL)
		lots->lot = palloc(size * sizeof(Lot));
	else
		lots->lot = repalloc(lots->lot, size * sizeof(Lot));
	lots->allocated = size;
}

TimestampTz
lots_moment(TimestampTz at)
{
	int64		fraction = at % USECS_PER_SEC;

	if (TIMESTAMP_NOT_FINITE(at))
		return at;
	/* before the epoch the remainder is negative, and off is up */
	at -= fraction;
	if (fraction > 0)
		at += USECS_PER_SEC;
	if (!IS_VALID_TIMESTAMP(at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	return at;
}

static Points
sum_points(Points a, Points b)
{
	Points		sum;

	if (!points_add(a, b, &sum))
		elog(ERROR, "points of lots do not fit");
	return sum;
}

static Points
sum_first(const Lots *lots, int count)
{
	Points		sum = 0;

	for (int i = 0; i < count; i++)
		sum = sum_points(sum, lots->lot[i].points);
	return sum;
}

/* The points of all lots. */
Points
lots_total(const Lots *lots)
{
	return sum_first(lots, lots->n);
}

Points
lots_posted(const Lots *lots, TimestampTz posted)
{
	Points		sum = 0;

	for (int i = 0; i < lots->n; i++)
	{
		if (lots->lot[i].posted == posted)
			sum = sum_points(sum, lots->lot[i].points);
	}
	return sum;
}

Points
lots_of_moment(const Lots *lots, int *i)
{
	Points		sum = lots->lot[*i].points;

	for (; *i + 1 < lots->n && lots->lot[*i + 1].expires_at == lots->lot[*i].expires_at; ++*i)
		sum = sum_points(sum, lots->lot[*i + 1].points);
	return sum;
}

/* How many lots expire before this moment. */
static int
count_before(const Lots *lots, TimestampTz at)
{
	int			low = 0;
	int			high = lots->n;

	/* mostly what is added is later than all that is there */
	if (high > 0 && lots->lot[high - 1].expires_at < at)
		return high;
	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (lots->lot[middle].expires_at < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* How many lots have expired at this moment. */
static int
count_due(const Lots *lots, TimestampTz now)
{
	int			count = count_before(lots, now);

	while (count < lots->n && lots->lot[count].expires_at == now)
		count++;
	return count;
}

static inline bool
lot_is_before(const Lot *lot, const Lot *other)
{
	return lot->expires_at < other->expires_at ||
		(lot->expires_at == other->expires_at && lot->posted < other->posted);
}

/* How many lots come before this one. */
static int
place_of(const Lots *lots, const Lot *lot)
{
	int			place = count_before(lots, lot->expires_at);

	while (place < lots->n && lot_is_before(&lots->lot[place], lot))
		place++;
	return place;
}

void
lots_add_lot(Lots *lots, const Lot *added)
{
	int			place = place_of(lots, added);
	Lot		   *lot;

	if (TIMESTAMP_NOT_FINITE(added->expires_at) || added->points < 0)
		elog(ERROR, "no lot has these points or this moment");
	if (added->points == 0)
		return;
	if (place < lots->n && !lot_is_before(added, &lots->lot[place]))
	{
		lot = &lots->lot[place];
		lot->points = sum_points(lot->points, added->points);
		return;
	}
	make_room(lots, lots->n + 1);
	lot = &lots->lot[place];
	memmove(lot + 1, lot, (lots->n - place) * sizeof(Lot));
	*lot = *added;
	lots->n++;
}

void
lots_add(Lots *lots, TimestampTz expires_at, Points points)
{
	TimestampTz at = lots_moment(expires_at);
	Lot			lot = {at, at, points};

	lots_add_lot(lots, &lot);
}

void
lots_add_all(Lots *lots, const Lots *added)
{
	Assert(lots != added);
	for (int i = 0; i < added->n; i++)
		lots_add_lot(lots, &added->lot[i]);
}

/* Whether there are as many dates after this moment as an account may have. */
static bool
is_full(const Lots *lots, TimestampTz at)
{
	int			count = 0;

	if (lots->n < MAX_MOMENTS)
		return false;
	for (int i = count_due(lots, at); i < lots->n; i++)
		count += i == 0 || lots->lot[i].expires_at != lots->lot[i - 1].expires_at;
	return count >= MAX_MOMENTS;
}

void
lots_join(const Lots *lots, Lots *added, TimestampTz at)
{
	Lots		joined = {0};

	if (!is_full(lots, at))
		return;
	for (int i = 0; i < added->n; i++)
	{
		Lot			lot = added->lot[i];
		int			next = count_before(lots, lot.expires_at);

		if (lot.expires_at > at)
		{
			if (next < lots->n)
			{
				lots_of_moment(lots, &next);
				lot.expires_at = lots->lot[next].expires_at;
			}
			else
				next--;
			lot.posted = lots->lot[next].posted;
		}
		lots_add_lot(&joined, &lot);
	}
	*added = joined;
}

/* The date that further points are merged into, of an account that has as many dates as it can. */
static TimestampTz
moment_to_join(Lots *lots, TimestampTz expires_at)
{
	int			place = count_before(lots, expires_at);
	TimestampTz last = lots->lot[lots->n - 1].expires_at;

	if (place < lots->n)
		return lots->lot[place].expires_at;
	for (int i = lots->n - 1; i >= 0 && lots->lot[i].expires_at == last; i--)
		lots->lot[i].expires_at = expires_at;
	return expires_at;
}

void
lots_keep_all(Lots *lots, const Lots *added, TimestampTz at)
{
	Assert(lots != added);
	for (int i = 0; i < added->n; i++)
	{
		Lot			lot = added->lot[i];

		if (lot.expires_at > at && is_full(lots, at))
			lot.expires_at = moment_to_join(lots, lot.expires_at);

		/*
		 * only points that came back are so many: a row has to end somewhere, beyond that they forget what they were
		 * posted with
		 */
		if (lots->n >= MAX_LOTS / 8)
			lot.posted = lot.expires_at;
		lots_add_lot(lots, &lot);
	}
}

/* Take some of a lot's points, not all. */
static void
take_part(Lot *lot, Points points, Lots *taken)
{
	Lot			part = {lot->expires_at, lot->posted, points};

	Assert(points > 0 && points < lot->points);
	if (taken != NULL)
		lots_add_lot(taken, &part);
	lot->points -= points;
}

/* Take so many neighbouring lots. */
static void
take_whole(Lots *lots, int from, int count, Lots *taken)
{
	Lot		   *lot = lots->lot + from;

	Assert(taken != lots);
	if (count == 0)
		return;
	if (taken != NULL)
	{
		for (int i = 0; i < count; i++)
			lots_add_lot(taken, &lot[i]);
	}
	lots->n -= count;
	memmove(lot, lot + count, (lots->n - from) * sizeof(Lot));
}

Points
lots_take_first(Lots *lots, Points most, Lots *taken)
{
	Points		left = most;
	int			count = 0;

	while (count < lots->n && lots->lot[count].points <= left)
		left -= lots->lot[count++].points;
	take_whole(lots, 0, count, taken);
	if (lots->n > 0 && left > 0)
	{
		take_part(&lots->lot[0], left, taken);
		left = 0;
	}
	return most - left;
}

Points
lots_take_last(Lots *lots, Points most, Lots *taken)
{
	Points		left = most;
	int			from = lots->n;

	while (from > 0 && lots->lot[from - 1].points <= left)
		left -= lots->lot[--from].points;
	/* the part is of the soonest, so that what is taken is in order */
	if (from > 0 && left > 0)
	{
		take_part(&lots->lot[from - 1], left, taken);
		left = 0;
	}
	take_whole(lots, from, lots->n - from, taken);
	return most - left;
}

/* Take from the lot at this place. */
static Points
take_from(Lots *lots, int place, Points most, Lots *taken)
{
	Points		points = Min(most, lots->lot[place].points);

	if (points < lots->lot[place].points)
		take_part(&lots->lot[place], points, taken);
	else
		take_whole(lots, place, 1, taken);
	return points;
}

Points
lots_take_posted(Lots *lots, TimestampTz posted, Points most, Lots *taken)
{
	Points		left = most;

	for (int i = count_before(lots, posted); i < lots->n && left > 0;)
	{
		int			n = lots->n;

		if (lots->lot[i].posted == posted)
			left -= take_from(lots, i, left, taken);
		/* what is gone leaves its place to the next */
		i += lots->n == n;
	}
	return most - left;
}

Points
lots_take_lot(Lots *lots, const Lot *lot, Lots *taken)
{
	int			place = place_of(lots, lot);

	if (place == lots->n || lot_is_before(lot, &lots->lot[place]) || lot->points <= 0)
		return 0;
	return take_from(lots, place, lot->points, taken);
}

Points
lots_take_due(Lots *lots, TimestampTz now, Lots *taken)
{
	int			count = count_due(lots, now);
	Points		points = sum_first(lots, count);

	take_whole(lots, 0, count, taken);
	return points;
}

/* --- stored -------------------------------------------------------------- */

/* Zigzag encoding of a signed number: 0, -1, 1, -2, ... are 0, 1, 2, 3, ... */
static inline uint64
zigzag(int64 value)
{
	return ((uint64) value << 1) ^ (value < 0 ? PG_UINT64_MAX : 0);
}

static inline int64
unzigzag(uint64 value)
{
	return (int64) ((value >> 1) ^ (value & 1 ? PG_UINT64_MAX : 0));
}

static inline int
varint_length(uint64 value)
{
	return value == 0 ? 1 : pg_leftmost_one_pos64(value) / VARINT_BITS + 1;
}

static uint8 *
write_varint(uint8 *p, uint64 value)
{
	while (value >= VARINT_MORE)
	{
		*p++ = (uint8) (value | VARINT_MORE);
		value >>= VARINT_BITS;
	}
	*p++ = (uint8) value;
	return p;
}

/* Read a varint; false: it is cut off, has more than 64 bits, or is not the shortest form. */
static bool
read_varint(const uint8 **p, const uint8 *end, uint64 *value)
{
	*value = 0;
	for (int shift = 0; shift < 64 && *p < end; shift += VARINT_BITS)
	{
		uint8		byte = *(*p)++;
		uint64		bits = byte & (VARINT_MORE - 1);

		if (bits << shift >> shift != bits)
			return false;
		*value |= bits << shift;
		if (byte < VARINT_MORE)
			return byte != 0 || shift == 0;
	}
	return false;
}

/*
 * What is stored for the moment of a lot.  From the first moment to the last
 * it is more microseconds than fit; seconds do.
 */
static inline uint64
stored_moment(const Lots *lots, int i)
{
	int64		second = lots->lot[i].expires_at / USECS_PER_SEC;

	if (i == 0)
		return zigzag(second);
	return second - lots->lot[i - 1].expires_at / USECS_PER_SEC;
}

/* How many seconds earlier the moment was with which the points were posted. */
static inline uint64
stored_earlier(const Lot *lot)
{
	return (lot->expires_at - lot->posted) / USECS_PER_SEC;
}

Datum
lots_pack(const Lots *lots)
{
	Size		size = VARHDRSZ;
	bytea	   *packed;
	uint8	   *p;

	/* refuses what could not be read again */
	(void) lots_total(lots);
	if (lots->n > MAX_LOTS)
		elog(ERROR, "too many lots");
	for (int i = 0; i < lots->n; i++)
	{
		Assert(lots->lot[i].points > 0);
		Assert(i == 0 || lot_is_before(&lots->lot[i - 1], &lots->lot[i]));
		if (lots->lot[i].posted != lots->lot[i].expires_at)
			size += 1 + varint_length(stored_earlier(&lots->lot[i]));
		size += varint_length(stored_moment(lots, i)) + varint_length(lots->lot[i].points);
	}
	packed = palloc(size);
	SET_VARSIZE(packed, size);
	p = (uint8 *) VARDATA(packed);
	for (int i = 0; i < lots->n; i++)
	{
		p = write_varint(p, stored_moment(lots, i));
		if (lots->lot[i].posted != lots->lot[i].expires_at)
		{
			p = write_varint(p, 0);
			p = write_varint(p, stored_earlier(&lots->lot[i]));
		}
		p = write_varint(p, lots->lot[i].points);
	}
	Assert(p == (uint8 *) packed + size);
	return PointerGetDatum(packed);
}

/* 0 if there are none: a column that would be empty is NULL instead. */
Datum
lots_pack_some(const Lots *lots)
{
	return lots->n > 0 ? lots_pack(lots) : (Datum) 0;
}

/* Read one lot; *second is the moment of the one before it. */
static bool
read_lot(const uint8 **p, const uint8 *end, bool first, int64 *second, Lot *lot)
{
	uint64		value;
	uint64		earlier = 0;

	if (!read_varint(p, end, &value))
		return false;
	if (first)
		*second = unzigzag(value);
	else if (value > (uint64) (LAST_SECOND - *second))
		return false;
	else
		*second += value;
	if (*second < FIRST_SECOND || *second > LAST_SECOND)
		return false;
	if (!read_varint(p, end, &value))
		return false;
	if (value == 0 && (!read_varint(p, end, &earlier) || earlier == 0 || earlier > (uint64) (*second - FIRST_SECOND) ||
					   !read_varint(p, end, &value)))
		return false;
	if (value == 0 || value > PG_INT64_MAX)
		return false;
	lot->expires_at = *second * USECS_PER_SEC;
	lot->posted = (*second - (int64) earlier) * USECS_PER_SEC;
	lot->points = value;
	return true;
}

/*
 * Whether these bytes are what lots_pack() writes.  They may come from
 * anywhere.
 */
static bool
unpack(const uint8 *p, Size size, Lots *lots)
{
	const uint8 *end = p + size;
	Size		varints = 0;
	int64		second = 0;
	Points		total = 0;

	memset(lots, 0, sizeof(Lots));
	for (Size i = 0; i < size; i++)
		varints += p[i] < VARINT_MORE;
	if (varints > 4 * MAX_LOTS)
		return false;
	/* each lot takes two; one more may turn out to be none, or be added later */
	make_room(lots, varints / 2 + 1);
	while (p < end)
	{
		Lot		   *lot = &lots->lot[lots->n];

		if (lots->n == MAX_LOTS || !read_lot(&p, end, lots->n == 0, &second, lot) ||
			(lots->n > 0 && !lot_is_before(lot - 1, lot)) ||
			!points_add(total, lot->points, &total))
			return false;
		lots->n++;
	}
	return true;
}

/* False if these are no lots; then there are none in *lots. */
bool
lots_read_if_sound(Datum packed, Lots *lots)
{
	struct varlena *value = PG_DETOAST_DATUM_PACKED(packed);
	bool		sound = unpack((const uint8 *) VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), lots);

	if ((Pointer) value != DatumGetPointer(packed))
		pfree(value);
	if (!sound)
		lots->n = 0;
	return sound;
}

void
lots_read(Datum packed, Lots *lots)
{
	if (!lots_read_if_sound(packed, lots))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("stored value of type %s is damaged", "lots")));
}

PG_FUNCTION_INFO_V1(lots_recv);
Datum
lots_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int			size = buf->len - buf->cursor;
	Lots		lots;

	if (!unpack((const uint8 *) pq_getmsgbytes(buf, size), size, &lots))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid value in external \"%s\" value", "lots")));
	return lots_pack(&lots);
}

/* Reads the value too, so that a damaged one goes nowhere. */
PG_FUNCTION_INFO_V1(lots_send);
Datum
lots_send(PG_FUNCTION_ARGS)
{
	Lots		lots;

	lots_read(PG_GETARG_DATUM(0), &lots);
	return lots_pack(&lots);
}

/* --- functions ----------------------------------------------------------- */

/* A value has one form only: equal values are equal bytes. */
static bool
same_bytes(Datum left, Datum right)
{
	struct varlena *a = PG_DETOAST_DATUM_PACKED(left);
	struct varlena *b = PG_DETOAST_DATUM_PACKED(right);
	Size		size = VARSIZE_ANY_EXHDR(a);

	return size == VARSIZE_ANY_EXHDR(b) &&
		memcmp(VARDATA_ANY(a), VARDATA_ANY(b), size) == 0;
}

PG_FUNCTION_INFO_V1(lots_eq);
Datum
lots_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(same_bytes(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)));
}

PG_FUNCTION_INFO_V1(lots_ne);
Datum
lots_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!same_bytes(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)));
}

/* unnest_lots(lots) */
PG_FUNCTION_INFO_V1(lots_unnest);
Datum
lots_unnest(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Lots		lots;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	lots_read(PG_GETARG_DATUM(0), &lots);
	for (int i = 0; i < lots.n; i++)
	{
		Datum		points = PointsGetDatum(lots_of_moment(&lots, &i));
		Datum		values[2] = {TimestampTzGetDatum(lots.lot[i].expires_at), points};
		bool		nulls[2] = {false, false};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* total(lots) */
PG_FUNCTION_INFO_V1(lots_total_all);
Datum
lots_total_all(PG_FUNCTION_ARGS)
{
	Lots		lots;

	lots_read(PG_GETARG_DATUM(0), &lots);
	PG_RETURN_POINTS(lots_total(&lots));
}

/* total_due(lots, at) */
PG_FUNCTION_INFO_V1(lots_total_due);
Datum
lots_total_due(PG_FUNCTION_ARGS)
{
	Lots		lots;

	lots_read(PG_GETARG_DATUM(0), &lots);
	PG_RETURN_POINTS(sum_first(&lots, count_due(&lots, PG_GETARG_TIMESTAMPTZ(1))));
}

/*
 * From the latest lot back, the one with which the threshold is reached: from
 * its moment on it is not.
 */
TimestampTz
lots_below(const Lots *lots, Points threshold, TimestampTz at)
{
	Points		later = 0;

	for (int i = lots->n - 1; i >= 0 && lots->lot[i].expires_at > at; i--)
	{
		later = sum_points(later, lots->lot[i].points);
		if (later >= threshold)
			return lots->lot[i].expires_at;
	}
	return at;
}

/* falls_below(lots, threshold, at) */
PG_FUNCTION_INFO_V1(lots_falls_below);
Datum
lots_falls_below(PG_FUNCTION_ARGS)
{
	Points		threshold = PG_GETARG_POINTS(1);
	Lots		lots;

	if (threshold <= 0)
		PG_RETURN_NULL();
	lots_read(PG_GETARG_DATUM(0), &lots);
	PG_RETURN_TIMESTAMPTZ(lots_below(&lots, threshold, PG_GETARG_TIMESTAMPTZ(2)));
}
