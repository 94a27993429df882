/*
 * loyalty.c
 *		Loading the module.
 */
#include "postgres.h"

#include "fmgr.h"

PG_MODULE_MAGIC;
