/*
 * name.h
 *		What people and branches may be called.
 */
#ifndef LOYALTY_NAME_H
#define LOYALTY_NAME_H

extern bool text_is_name(const char *text);
extern bool text_is_plain_name(const char *text);

#endif
