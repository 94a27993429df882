/*
 * limit_set.h
 *		The limits that a program sets, as a session knows them.
 */
#ifndef LOYALTY_LIMIT_SET_H
#define LOYALTY_LIMIT_SET_H

#include "postgres.h"
#include "program/terms.h"
#include "types/points.h"

/* In the order in which their rows are locked. */
typedef enum Scope
{
	SCOPE_PROGRAM,
	SCOPE_KEY,
	SCOPE_BRANCH,
	SCOPE_STAFF,
	SCOPE_MEMBER
} Scope;

#define SCOPES 5

/* Points and operations are always counted, whichever of them is limited. */
typedef struct Amount
{
	Points		points;
	int64		operations;
} Amount;

typedef struct LimitRule
{
	Scope		scope;
	bool		adds;
	int64		subject_id;		/* 0: each of them, or the program */
	Amount		max;			/* PG_INT64_MAX: as much as one likes */
} LimitRule;

/* In the order of compare_limit_rules(). */
typedef struct LimitSet
{
	LimitRule  *rules;
	int			n;
	bool		is_whole;		/* false: they are too many, and none is here */
} LimitSet;

extern const char *scope_name(Scope scope);
extern int	compare_limit_rules(const void *a, const void *b);
extern const LimitSet *limit_set_of(const Program *program);
extern LimitSet limit_set_read(int64 merchant_id, int64 program_id, Datum *subjects, int n);
extern const LimitRule *limit_rule_for(const LimitSet *set, Scope scope, bool adds, int64 subject_id);
extern bool limit_set_has(const LimitSet *set, Scope scope, bool adds);

#endif
