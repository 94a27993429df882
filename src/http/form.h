/*
 * form.h
 *		Decoding application/x-www-form-urlencoded.
 */
#ifndef LOYALTY_FORM_H
#define LOYALTY_FORM_H

#include "postgres.h"

typedef void (*FormField) (void *context, const char *name, const char *value);

/* Whether a field of this name is wanted; one that is not is decoded, and forgotten. */
typedef bool (*FormWanted) (void *context, const char *name);

extern char *form_decode_segment(const char *text, size_t length);
extern bool form_read(const char *body, size_t length, FormWanted wanted, FormField field, void *context);

#endif
