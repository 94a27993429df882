/*
 * loyalty.c
 *		Loading the module.
 */
#include "postgres.h"

#include "fmgr.h"
#include "json.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	json_use_palloc();
}
