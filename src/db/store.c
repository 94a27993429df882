/*
 * store.c
 *		Rows that are added to a table without planning a statement for it.
 *
 * Most of what a small INSERT costs is the executor's setting up of its nodes.
 * The part of the executor that stores a row can be had without: it is what
 * logical replication applies rows by.  It checks constraints and keeps indexes
 * as an INSERT does, and what it leaves behind is the same.
 *
 * What else an INSERT does it would leave out.  So it is taken only for a table
 * to which nothing of that applies, and that the user may write to.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "db/store.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#define MAX_COLUMNS 32

struct Store
{
	Relation	table;
	EState	   *estate;
	ResultRelInfo *target;
	TupleTableSlot *slot;
	int			ncolumns;
	int			attributes[MAX_COLUMNS];
};

/* No triggers, foreign keys among them, rules, row security, partitions or CHECKs. */
static bool
is_plain(Relation table)
{
	const TupleConstr *constraints = table->rd_att->constr;

	return table->rd_rel->relkind == RELKIND_RELATION && table->rd_rel->relam == HEAP_TABLE_AM_OID &&
		table->trigdesc == NULL && table->rd_rules == NULL && !table->rd_rel->relrowsecurity &&
		!table->rd_rel->relispartition && (constraints == NULL || constraints->num_check == 0);
}

/* Which of the names is that of an attribute; first this one is tried. */
static int
find_name(const char *const *names, int ncolumns, int first, const char *attribute)
{
	for (int i = 0; i < ncolumns; i++)
	{
		int			name = (first + i) % ncolumns;

		if (strcmp(names[name], attribute) == 0)
			return name;
	}
	return -1;
}

/* Where the columns are, if there are no others: those may have defaults, be computed, or be counted. */
static bool
find_columns(Store *store, const char *const *names, int ncolumns)
{
	TupleDesc	type = store->table->rd_att;
	static int	newest[MAX_COLUMNS];	/* where they were the last time */
	int			found = 0;

	if (type->natts > MAX_COLUMNS)
		return false;
	for (int i = 0; i < type->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(type, i);
		int			name;

		if (attribute->attisdropped)
			continue;
		name = find_name(names, ncolumns, newest[i], NameStr(attribute->attname));
		if (name < 0)
			return false;
		store->attributes[name] = i;
		newest[i] = name;
		found++;
	}
	store->ncolumns = ncolumns;
	return found == ncolumns;
}

/* Whoever may not, or not now, is told so by the statement. */
static bool
may_insert(Relation table)
{
	return !XactReadOnly && !IsInParallelMode() && ExecutorCheckPerms_hook == NULL &&
		pg_class_aclcheck(RelationGetRelid(table), GetUserId(), ACL_INSERT) == ACLCHECK_OK;
}

/* To add rows to the table of a row type that has these columns; NULL: only a statement can. */
Store *
store_open(Oid row_type, const char *const *names, int ncolumns)
{
	Relation	table = table_open(get_typ_typrelid(row_type), RowExclusiveLock);
	Store	   *store = palloc(sizeof(Store));

	Assert(ncolumns <= MAX_COLUMNS);
	store->table = table;
	if (!is_plain(table) || !may_insert(table) || !find_columns(store, names, ncolumns))
	{
		table_close(table, NoLock);
		return NULL;
	}
	store->estate = CreateExecutorState();
	store->estate->es_output_cid = GetCurrentCommandId(true);
	store->target = makeNode(ResultRelInfo);
	InitResultRelInfo(store->target, table, 0, NULL, 0);
	ExecOpenIndices(store->target, false);
	store->slot = table_slot_create(table, &store->estate->es_tupleTable);
	return store;
}

/* Add a row, which has the values in the order of the names. */
void
store_insert(Store *store, const Datum *values, const bool *nulls)
{
	TupleTableSlot *slot = store->slot;

	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts * sizeof(bool));
	for (int i = 0; i < store->ncolumns; i++)
	{
		slot->tts_values[store->attributes[i]] = values[i];
		slot->tts_isnull[store->attributes[i]] = nulls[i];
	}
	ExecStoreVirtualTuple(slot);
	ExecSimpleRelationInsert(store->target, store->estate, slot);
	ResetPerTupleExprContext(store->estate);
}

/* What comes after sees the rows. */
void
store_close(Store *store)
{
	ExecCloseIndices(store->target);
	ExecResetTupleTable(store->estate->es_tupleTable, false);
	FreeExecutorState(store->estate);
	table_close(store->table, NoLock);
	CommandCounterIncrement();
}
