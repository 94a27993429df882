/*
 * plan_statements.h
 *		The table of all SQL that the C code runs.  Known to plan.c only.
 */
#ifndef LOYALTY_PLAN_STATEMENTS_H
#define LOYALTY_PLAN_STATEMENTS_H

#include "db/statement.h"

#define MAX_PARAMS 24

/* Stand for the extension's own types, whose OIDs differ between databases. */
#define POINTS		((Oid) 1)
#define POINTSARRAY ((Oid) 2)
#define PHONE		((Oid) 3)
#define CURP		((Oid) 4)
#define LOTS		((Oid) 5)
#define LOTSARRAY	((Oid) 6)
#define CHANGEARRAY ((Oid) 7)
#define ENTRYARRAY	((Oid) 8)

typedef struct Statement
{
	const char *sql;
	int			expected;		/* SPI_OK_… */
	Oid			params[MAX_PARAMS];
} Statement;

extern const Statement plan_statements[PLAN_COUNT];

#endif
