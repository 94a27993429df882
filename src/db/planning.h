/*
 * planning.h
 *		How the engine's statements are planned: for tables that are large,
 *		whatever they are now.
 */
#ifndef LOYALTY_PLANNING_H
#define LOYALTY_PLANNING_H

#include "nodes/parsenodes.h"

/*
 * An option of a cursor, and of a statement that is prepared, beside
 * PostgreSQL's own: with it a plan that is kept is made for large tables.
 */
#define CURSOR_OPT_FOR_LARGE_TABLES	(1 << 30)

extern void planning_init(void);

#endif
