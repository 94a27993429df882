/*
 * errors.h
 *		Errors are raised and answered by their name in the catalogue.
 */
#ifndef LOYALTY_ERRORS_H
#define LOYALTY_ERRORS_H

#include "postgres.h"
#include "base/compat.h"

typedef enum ErrorId
{
	ERR_NONE,
#define ERROR_CODE(name, sqlstate, code, family, http_status, message, hint) \
	ERR_##name,
#include "base/errcodes.txt"
#undef ERROR_CODE
	ERR_COUNT
} ErrorId;

typedef struct ErrorInfo
{
	const char *sqlstate;
	const char *code;
	const char *family;
	int			http_status;
	const char *message;
	const char *hint;
} ErrorInfo;

extern const ErrorInfo *error_info(ErrorId id);
extern ErrorId error_from_sqlerrcode(int sqlerrcode);
pg_noreturn extern void raise_error(ErrorId id);
pg_noreturn extern void raise_error_hint(ErrorId id, const char *hint);
pg_noreturn extern void raise_field_error(ErrorId id, const char *field);
extern void secret_begin(ErrorContextCallback *callback);
extern void secret_end(ErrorContextCallback *callback);

#endif
