/*
 * attempt.h
 *		Work that leaves nothing behind, no lock either, unless it succeeds.
 */
#ifndef LOYALTY_ATTEMPT_H
#define LOYALTY_ATTEMPT_H

#include "postgres.h"

extern bool db_attempt(bool (*work) (void *argument), void *argument);

#endif
