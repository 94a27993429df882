/*
 * form.h
 *		Decoding application/x-www-form-urlencoded.
 */
#ifndef LOYALTY_FORM_H
#define LOYALTY_FORM_H

#include "postgres.h"

typedef void (*FormField) (void *context, const char *name, const char *value);

extern char *form_decode_segment(const char *text, size_t length);
extern bool form_read(const char *body, size_t length, FormField field, void *context);

#endif
