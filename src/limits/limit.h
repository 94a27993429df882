/*
 * limit.h
 *		How much a program, an API key, a branch, a cashier or a member may move
 *		in a day.
 */
#ifndef LOYALTY_LIMIT_H
#define LOYALTY_LIMIT_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "program/terms.h"
#include "types/points.h"
#include "utils/date.h"

typedef struct Limits Limits;

/* Who moves points, and which way: what there can be limits on. */
typedef struct Movement
{
	int64		program_id;
	const Program *program;		/* of what is expected; else not looked at */
	int64		key_id;			/* 0: none, it is called in SQL */
	int64		staff_id;		/* 0: nobody in particular */
	int64		member_id;		/* or the account's id, if it has no member */
	bool		adds;			/* else it spends */
	bool		gives;			/* back, of what is expected; else not looked at */
	Points		most;			/* of what is expected; PG_INT64_MAX: not known; else not looked at */
} Movement;

extern Limits *limits_start(int64 merchant_id, TimestampTz now);
extern void limits_advance(Limits *limits, TimestampTz posted_at);
extern void limits_expect(Limits *limits, const Movement *movement);
extern bool limits_take(Limits *limits, const Movement *movement, Points points);
extern void limits_give(Limits *limits, const Movement *movement, DateADT day, Points points, int64 operations);
extern void limits_write(Limits *limits);

#endif
