/*
 * compat.h
 *		The one place that knows which PostgreSQL it is compiled for.
 *
 * Everything else is written against the newest API.  What an older server
 * lacks is offered here under the newer name.
 */
#ifndef LOYALTY_COMPAT_H
#define LOYALTY_COMPAT_H

#include "postgres.h"
#include "common/jsonapi.h"
#include "common/scram-common.h"
#include "fmgr.h"

#if PG_VERSION_NUM < 150000
#error "loyalty needs PostgreSQL 15 or newer"
#endif

#if PG_VERSION_NUM >= 160000
#include "nodes/miscnodes.h"
#include "varatt.h"
#else

/*
 * Soft errors came with PostgreSQL 16.  Before it nobody can ask for one, so
 * whatever would be recorded in the context is raised.
 */
#define errsave(context, ...) \
	do { \
		(void) (context); \
		ereport(ERROR, __VA_ARGS__); \
	} while (0)

#define ereturn(context, dummy_value, ...) \
	do { \
		errsave(context, __VA_ARGS__); \
		return dummy_value; \
	} while (0)

#define SOFT_ERROR_OCCURRED(context)	((void) (context), false)

#define i64abs(value)	((int64) llabs(value))

/* Before PostgreSQL 16 it is SHA-256 always. */
#define scram_SaltedPassword(password, hash_type, key_length, salt, ...) \
	scram_SaltedPassword(password, salt, __VA_ARGS__)

#endif

/* Sessions are numbered from low numbers on, by another name before PostgreSQL 17. */
#if PG_VERSION_NUM >= 170000
#include "storage/procnumber.h"
#else
#include "storage/backendid.h"
#define MyProcNumber	MyBackendId
#endif

/* Before PostgreSQL 16 a plan's rights are in its range table. */
#if PG_VERSION_NUM < 160000
#define ExecCheckPermissions(tables, rights, error) ExecCheckRTPerms(tables, error)
#define pgstat_get_local_beentry_by_index(i)	pgstat_fetch_stat_local_beentry(i)
#endif

/* Before PostgreSQL 17 a lexer is always allocated, and its input not const. */
#if PG_VERSION_NUM < 170000
#define makeJsonLexContextCstringLen(lex, json, length, encoding, escapes) \
	makeJsonLexContextCstringLen(unconstify(char *, json), length, encoding, escapes)

static inline void
freeJsonLexContext(JsonLexContext *lex)
{
	if (lex->strval != NULL)
	{
		pfree(lex->strval->data);
		pfree(lex->strval);
	}
	pfree(lex);
}
#endif

#if PG_VERSION_NUM < 180000
#define pg_noreturn		pg_attribute_noreturn()
#define PG_MODULE_MAGIC_EXT(...)	PG_MODULE_MAGIC
#include "access/genam.h"
#define index_beginscan(table, index, snapshot, instrument, nkeys, norderbys) \
	index_beginscan(table, index, snapshot, nkeys, norderbys)
#endif

/*
 * What is not exported is hidden (see the Makefile).  Before PostgreSQL 16
 * nothing says that a function for SQL is exported, so that is said here.
 */
#if PG_VERSION_NUM < 160000
#undef PGDLLEXPORT
#define PGDLLEXPORT		__attribute__((visibility("default")))

#undef PG_FUNCTION_INFO_V1
#define PG_FUNCTION_INFO_V1(name) \
extern PGDLLEXPORT Datum name(PG_FUNCTION_ARGS); \
extern PGDLLEXPORT const Pg_finfo_record *CppConcat(pg_finfo_,name)(void); \
const Pg_finfo_record * \
CppConcat(pg_finfo_,name)(void) \
{ \
	static const Pg_finfo_record finfo = {1}; \
	return &finfo; \
} \
extern int no_such_variable
#endif

#endif
