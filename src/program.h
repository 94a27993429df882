/*
 * program.h
 *		Programs, as the operations see them.
 */
#ifndef LOYALTY_PROGRAM_H
#define LOYALTY_PROGRAM_H

#include "postgres.h"
#include "points.h"

typedef struct Program
{
	int64		program_id;
	int64		percent;		/* in ten-thousandths of a percent */
	int			decimals;
	Rounding	rounding;
	bool		requires_ticket;
	bool		requires_birth_date;
	bool		sends_message;	/* for the kind of operation asked about */
	char	   *name;
	char	   *channel;
} Program;

extern bool wallet_find(int64 merchant_id, const char *wallet_key, const char *message_kind, Program *wallet);
extern char *wallet_link(int64 merchant_id, int64 program_id);

#endif
