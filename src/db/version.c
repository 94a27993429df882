/*
 * version.c
 *		Whether the library and the script of the extension fit.
 *
 * A session keeps the library that it has loaded, whatever is installed or
 * updated meanwhile.  So a library meets scripts that are older, until ALTER
 * EXTENSION UPDATE, and newer ones after it.  The newer of the two knows whether
 * it gets on with the other: the library has OLDEST_SCRIPT, the script
 * loyalty_internal.oldest_library().  Versions are compared by their numbers.
 *
 * Nothing tells sessions that pg_extension has another version, so seal(), the
 * end of each script, has PostgreSQL tell them that the table pg_extension has
 * changed: then, and only then, they read the version again.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "base/compat.h"
#include "base/errors.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "db/version.h"
#include "fmgr.h"
#include "funcapi.h"
#include "parser/parse_func.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* The oldest script with which this library does all that the script offers. */
#define OLDEST_SCRIPT "0.2.0"

bool		version_is_checked = false;

/* Of the script, when it was looked at last. */
static char *known_script = NULL;

/* 0: perhaps any table has changed. */
static void
table_changed(Datum argument pg_attribute_unused(), Oid table)
{
	if (table == ExtensionRelationId || table == InvalidOid)
		version_is_checked = false;
}

/* Called when the module is loaded. */
void
version_init(void)
{
	CacheRegisterRelcacheCallback(table_changed, (Datum) 0);
}

PG_FUNCTION_INFO_V1(loyalty_announce_version);

Datum
loyalty_announce_version(PG_FUNCTION_ARGS)
{
	CacheInvalidateRelcacheByRelid(ExtensionRelationId);
	PG_RETURN_VOID();
}

/* What the catalog says; NULL: there is no such extension. */
static char *
script_version(void)
{
	Relation	extensions = table_open(ExtensionRelationId, AccessShareLock);
	char	   *version = NULL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	row;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum("loyalty"));
	scan = systable_beginscan(extensions, ExtensionNameIndexId, true, NULL, 1, &key);
	row = systable_getnext(scan);
	if (HeapTupleIsValid(row))
	{
		bool		isnull;
		Datum		value = heap_getattr(row, Anum_pg_extension_extversion, RelationGetDescr(extensions), &isnull);

		if (!isnull)
			version = TextDatumGetCString(value);
	}
	systable_endscan(scan);
	table_close(extensions, AccessShareLock);
	return version;
}

/* Below 0, 0 or above: one is older than the other, as old, newer. */
static int
compare_versions(const char *one, const char *other)
{
	int			a[3] = {0},
				b[3] = {0};

	sscanf(one, "%d.%d.%d", &a[0], &a[1], &a[2]);
	sscanf(other, "%d.%d.%d", &b[0], &b[1], &b[2]);
	for (int i = 0; i < 3; i++)
		if (a[i] != b[i])
			return a[i] < b[i] ? -1 : 1;
	return 0;
}

/* Whether the script, a newer one, says that this library will do. */
static bool
script_takes_library(void)
{
	Oid			oldest = LookupFuncName(list_make2(makeString("loyalty_internal"), makeString("oldest_library")), 0, NULL, true);

	return OidIsValid(oldest) && compare_versions(LOYALTY_VERSION, TextDatumGetCString(OidFunctionCall0(oldest))) >= 0;
}

static bool
fits(const char *script)
{
	int			order = compare_versions(LOYALTY_VERSION, script);

	return order == 0 || (order > 0 ? compare_versions(script, OLDEST_SCRIPT) >= 0 : script_takes_library());
}

/*
 * Refuse to work on what another version has made, unless both fit.  Whether
 * the script is another one than before: then what the session has prepared is
 * to be forgotten.
 */
bool
version_check(void)
{
	char	   *script = script_version();
	bool		is_another;

	if (script != NULL && !fits(script))
		raise_error_hint(ERR_VERSION_MISMATCH, compare_versions(LOYALTY_VERSION, script) < 0 ?
						 "This session has the library of before an update: connect again." :
						 "The library is newer: have the owner of the extension run ALTER EXTENSION loyalty UPDATE.");
	is_another = (script == NULL) != (known_script == NULL) || (script != NULL && strcmp(script, known_script) != 0);
	if (is_another)
	{
		char	   *known = script == NULL ? NULL : MemoryContextStrdup(TopMemoryContext, script);

		if (known_script != NULL)
			pfree(known_script);
		known_script = known;
	}
	version_is_checked = true;
	return is_another;
}

PG_FUNCTION_INFO_V1(loyalty_version);

Datum
loyalty_version(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	char	   *script = script_version();
	Datum		values[3];
	bool		nulls[3] = {false, script == NULL, script == NULL};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "loyalty_version returns a row");
	values[0] = CStringGetTextDatum(LOYALTY_VERSION);
	values[1] = script == NULL ? (Datum) 0 : CStringGetTextDatum(script);
	values[2] = BoolGetDatum(script != NULL && fits(script));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
