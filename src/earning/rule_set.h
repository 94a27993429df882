/*
 * rule_set.h
 *		Published sets of earning rules, as a session knows them.
 */
#ifndef LOYALTY_RULE_SET_H
#define LOYALTY_RULE_SET_H

#include "program/program.h"
#include "types/points.h"
#include "utils/date.h"
#include "utils/timestamp.h"

#define NO_CAP PG_INT64_MAX

/* The period of a cap. */
typedef enum CapPeriod
{
	CAP_DAY,
	CAP_WEEK,					/* from Monday on */
	CAP_MONTH,
	CAP_YEAR,
	CAP_EVER,
	CAP_PERIODS
} CapPeriod;

/* Texts in byte order; NULL: no such condition. */
typedef struct Words
{
	char	  **words;
	int			n;
} Words;

typedef struct Rule
{
	char	   *name;
	int			ordinal;
	Words		skus;
	Words		categories;
	Words		ranks;
	TimestampTz valid_from;
	TimestampTz valid_until;
	int			days;			/* bit n: ISO day n of the week */
	TimeADT		from_time;
	TimeADT		until_time;
	Points		min_amount;		/* 0: none */
	int			birthday_days;	/* -1: not asked */
	bool		first_purchase;
	Points		points_per;		/* of points_per, multiplier, points one is not 0 */
	Points		money_per;
	Points		multiplier;
	Points		points;
	Interval	life;			/* 0: the program's */
	Points		max_ticket;
	Points		max[CAP_PERIODS];
} Rule;

/* A published set. */
typedef struct RuleSet
{
	int			version;
	int			nrules;
	Rule	   *rules;
	bool		is_for_goods;	/* some rule is */
	bool		asks_rank;
	bool		asks_birthday;
	bool		has_caps;		/* beyond a ticket */
} RuleSet;

extern bool words_allow(const Words *words, const char *word);
extern bool rule_is_for_goods(const Rule *rule);
extern bool rule_is_capped(const Rule *rule);
extern const RuleSet *rule_set_of(const Program *program, int version);

#endif
