/*
 * row_limit.h
 *		How many rows a merchant may have.
 */
#ifndef LOYALTY_ROW_LIMIT_H
#define LOYALTY_ROW_LIMIT_H

#include "program/program.h"

extern void row_limit_check(int64 merchant_id);
extern void row_limit_check_program(const Program *program);

#endif
