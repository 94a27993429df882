/*
 * sql_role.h
 *		The roles that post in SQL.
 */
#ifndef LOYALTY_SQL_ROLE_H
#define LOYALTY_SQL_ROLE_H

#include "postgres.h"

extern int64 sql_role_id(void);
extern void sql_role_keep(int64 merchant_id);

#endif
