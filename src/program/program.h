/*
 * program.h
 *		Programs, as the operations see them.
 */
#ifndef LOYALTY_PROGRAM_H
#define LOYALTY_PROGRAM_H

#include "postgres.h"
#include "program/terms.h"
#include "types/points.h"

typedef struct Program
{
	int64		program_id;
	int			decimals;
	Rounding	rounding;
	bool		requires_ticket;
	bool		requires_birth_date;
	bool		sends_message;	/* for the kind of operation asked about */
	char	   *name;
	char	   *channel;
	Points		accumulation_points;	/* earned for so much money */
	Points		accumulation_money;
	Points		redemption_points;	/* worth so much money */
	Points		redemption_money;
	char	   *currency_iso;
	Points		currency_change;	/* worth of one unit in that money */
	bool		currency_active;
	bool		earn_on_points; /* what is paid with points earns too */
	bool		unit_base;		/* points may be deposited as such */
	bool		active;
	const ProgramTerms *terms;	/* NULL: its accounts are not managed */
} Program;

extern bool wallet_find(int64 merchant_id, const char *wallet_key, const char *message_kind, Program *wallet);
extern bool program_find(int64 merchant_id, const char *client_id, Program *program);
extern bool program_of_account(int64 merchant_id, int64 account_id, Program *program);
extern bool program_accumulate(const Program *program, Points money, Points *points);
extern bool program_worth(const Program *program, Points points, Points *money);
extern bool program_redeems_for(const Program *program, Points points, Points money);
extern char *wallet_link(int64 merchant_id, int64 program_id);

#endif
