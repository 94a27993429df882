/*
 * loyalty.c
 *		Module entry points.
 */
#include "postgres.h"

#include "fmgr.h"

PG_MODULE_MAGIC;
