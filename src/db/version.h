/*
 * version.h
 *		Whether the library and the script of the extension fit.
 */
#ifndef LOYALTY_DB_VERSION_H
#define LOYALTY_DB_VERSION_H

#include "postgres.h"

/* Whether the session has seen that they do, and nothing has happened since. */
extern bool version_is_checked;

extern void version_init(void);
extern bool version_check(void);

#endif
