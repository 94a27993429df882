/*
 * message.h
 *		The outbox: messages to members, by SMS or WhatsApp.
 */
#ifndef LOYALTY_MESSAGE_H
#define LOYALTY_MESSAGE_H

#include "postgres.h"
#include "program/program.h"
#include "types/phone.h"

extern void message_queue(int64 merchant_id, int64 member_id, const Program *program, Phone phone, const char *body);

#endif
