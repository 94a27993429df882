/*
 * answer.h
 *		What an operation answers: a loyalty.posting.
 */
#ifndef LOYALTY_ANSWER_H
#define LOYALTY_ANSWER_H

#include "postgres.h"
#include "ledger/posting.h"

#define ANSWER_COLUMNS 5

extern char *answer_text(const Posting *posting);
extern void answer_parse(const char *answer, Posting *posting);
extern void answer_columns(const Posting *posting, Datum *values, bool *nulls);
extern Datum answer_row(const Posting *posting);
extern void raise_refusal(const Posting *posting);

#endif
