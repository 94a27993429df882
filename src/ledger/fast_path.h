/*
 * fast_path.h
 *		A single posting by one UPDATE.
 */
#ifndef LOYALTY_FAST_PATH_H
#define LOYALTY_FAST_PATH_H

#include "postgres.h"
#include "ledger/posting.h"

extern bool fast_path_enabled;	/* loyalty.enable_fast_path */

extern bool fast_path_suits(const Posting *posting);
extern bool fast_path_post(int64 merchant_id, Posting *posting);

#endif
