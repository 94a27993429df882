/*
 * lookup.c
 *		A statement that finds one row by its key, without the executor.
 *
 * Most of what such a statement takes is to set up the executor, and to take it
 * down again.  What is to be done the planner has said: where the plan that
 * PostgreSQL keeps of a statement is nothing but to go through a unique index by all
 * of its columns, the index is asked here.  Every other plan is executed: that of
 * a table with policies, of one that is foreign or distributed, or of
 * an index that is not there any more.  As PostgreSQL says which plan is valid,
 * nothing is remembered that could be out of date.
 */
#include "base/compat.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "db/lookup.h"
#include "executor/executor.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* The setting loyalty.enable_lookup. */
bool		lookup_enabled = true;

/* What is kept of a statement for as long as its plan is the same. */
struct Lookup
{
	int			generation;		/* of the plan */
	bool		fits;			/* or it is executed */
	Oid			table;
	Oid			index;
	int			nkeys;
	ScanKeyData keys[INDEX_MAX_KEYS];
	int			params[INDEX_MAX_KEYS]; /* whose value a key is, from 1 on */
	ParamListInfo values;
	ExprContext *context;
	ExprState  *condition;		/* of the row that is found, or NULL */
	ProjectionInfo *columns;
	TupleTableSlot *result;
	MemoryContext memory;
};

/* ------------------------------------------------------------------------
 * What the plan says
 * ------------------------------------------------------------------------ */

static Expr *
without_label(Expr * expression)
{
	return IsA(expression, RelabelType) ? ((RelabelType *) expression)->arg : expression;
}

/* A condition of the index: that a column of it equals a parameter. */
static bool
take_key(Lookup *lookup, Relation index, OpExpr * condition)
{
	Var		   *column;
	Param	   *param;
	int			strategy;
	Oid			left;
	Oid			right;

	if (!IsA(condition, OpExpr) || lookup->nkeys == INDEX_MAX_KEYS)
		return false;
	column = (Var *) without_label(linitial(condition->args));
	param = (Param *) without_label(lsecond(condition->args));
	if (!IsA(column, Var) || column->varattno <= 0 || !IsA(param, Param) || param->paramkind != PARAM_EXTERN)
		return false;
	get_op_opfamily_properties(condition->opno, index->rd_opfamily[column->varattno - 1], false, &strategy, &left, &right);
	if (strategy != BTEqualStrategyNumber)
		return false;
	lookup->params[lookup->nkeys] = param->paramid;
	ScanKeyEntryInitialize(&lookup->keys[lookup->nkeys++], 0, column->varattno, strategy, right, condition->inputcollid, condition->opfuncid, (Datum) 0);
	return true;
}

/* Do the conditions find one row at most: those of a unique index, each column once? */
static bool
take_keys(Lookup *lookup, Relation index, List * conditions)
{
	Bitmapset  *columns = NULL;
	ListCell   *lc;

	if (!index->rd_index->indisunique || !index->rd_index->indimmediate)
		return false;
	foreach(lc, conditions)
	{
		if (!take_key(lookup, index, lfirst(lc)))
			return false;
		columns = bms_add_member(columns, lookup->keys[lookup->nkeys - 1].sk_attno);
	}
	return lookup->nkeys == IndexRelationGetNumberOfKeyAttributes(index) && bms_num_members(columns) == lookup->nkeys;
}

/* The conditions and columns that the executor would look at, made ready for as long as the plan is valid. */
static void
take_columns(Lookup *lookup, const CachedPlanSource * source, const Plan * plan)
{
	lookup->values = makeParamList(source->num_params);
	for (int i = 0; i < source->num_params; i++)
	{
		lookup->values->params[i].ptype = source->param_types[i];
		lookup->values->params[i].pflags = PARAM_FLAG_CONST;
	}
	lookup->context = CreateStandaloneExprContext();
	lookup->context->ecxt_param_list_info = lookup->values;
	lookup->result = MakeSingleTupleTableSlot(source->resultDesc, &TTSOpsVirtual);
	lookup->condition = ExecInitQual(plan->qual, NULL);
	lookup->columns = ExecBuildProjectionInfo(plan->targetlist, lookup->context, lookup->result, NULL, NULL);
}

/* What both kinds of scan say. */
typedef struct Found
{
	Index		table;
	Oid			index;
	List	   *conditions;
} Found;

/* One of an index only reads no columns where it is as good as the other. */
static bool
find_scan(const PlannedStmt *planned, Found *found)
{
	const		Plan *plan = planned->planTree;

	if (planned->commandType != CMD_SELECT || planned->subplans != NIL || planned->rowMarks != NIL)
		return false;
	if (IsA(plan, IndexScan))
	{
		const		IndexScan *scan = (const IndexScan *) plan;

		*found = (Found)
		{
			scan->scan.scanrelid, scan->indexid, scan->indexqual
		};
		return true;
	}
	if (IsA(plan, IndexOnlyScan))
	{
		const		IndexOnlyScan *scan = (const IndexOnlyScan *) plan;

		*found = (Found)
		{
			scan->scan.scanrelid, scan->indexid, scan->indexqual
		};
		return plan->qual == NIL && !contain_var_clause((Node *) plan->targetlist);
	}
	return false;
}

static bool
take_plan(Lookup *lookup, const CachedPlanSource * source, const PlannedStmt *planned)
{
	Found		found;
	Relation	index;
	bool		fits;

	if (!find_scan(planned, &found))
		return false;
	lookup->table = rt_fetch(found.table, planned->rtable)->relid;
	lookup->index = found.index;
	index = index_open(lookup->index, AccessShareLock);
	fits = take_keys(lookup, index, found.conditions);
	index_close(index, NoLock);
	if (fits)
		take_columns(lookup, source, planned->planTree);
	return fits;
}

/* What is known of this plan. */
static Lookup *
lookup_of(Lookup **kept, const CachedPlanSource * source, const CachedPlan * plan)
{
	MemoryContext memory;
	MemoryContext caller;
	Lookup	   *lookup = *kept;

	if (lookup != NULL && lookup->generation == plan->generation)
		return lookup;
	lookup_forget(kept);
	memory = AllocSetContextCreate(CacheMemoryContext, "loyalty look-up", ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(memory);
	lookup = palloc0(sizeof(Lookup));
	lookup->memory = memory;
	lookup->generation = plan->generation;
	*kept = lookup;
	lookup->fits = list_length(plan->stmt_list) == 1 && take_plan(lookup, source, linitial_node(PlannedStmt, plan->stmt_list));
	MemoryContextSwitchTo(caller);
	return lookup;
}

/* What is kept; the plan is another one from now on. */
void
lookup_forget(Lookup **lookup)
{
	if (*lookup != NULL)
		MemoryContextDelete((*lookup)->memory);
	*lookup = NULL;
}

/* The columns of what it finds. */
TupleDesc
lookup_columns(const Lookup *lookup)
{
	return lookup->result->tts_tupleDescriptor;
}

/* ------------------------------------------------------------------------
 * The row
 * ------------------------------------------------------------------------ */

/* False: a parameter is NULL, which nothing equals. */
static bool
set_keys(Lookup *lookup, Datum *values, const char *nulls)
{
	for (int i = 0; i < lookup->values->numParams; i++)
	{
		lookup->values->params[i].value = values[i];
		lookup->values->params[i].isnull = nulls != NULL && nulls[i] == 'n';
	}
	for (int i = 0; i < lookup->nkeys; i++)
	{
		ParamExternData *param = &lookup->values->params[lookup->params[i] - 1];

		if (param->isnull)
			return false;
		lookup->keys[i].sk_argument = param->value;
	}
	return true;
}

/* A copy of the columns, in the caller's memory. */
static void
copy_columns(Lookup *lookup, Datum *columns, bool *isnull)
{
	TupleTableSlot *result = ExecProject(lookup->columns);

	slot_getallattrs(result);
	for (int i = 0; i < result->tts_tupleDescriptor->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(result->tts_tupleDescriptor, i);

		isnull[i] = result->tts_isnull[i];
		columns[i] = isnull[i] ? (Datum) 0 : datumCopy(result->tts_values[i], attribute->attbyval, attribute->attlen);
	}
	ExecClearTuple(result);
}

static uint64
find_row(Lookup *lookup, Snapshot snapshot, Datum *columns, bool *isnull)
{
	Relation	table = table_open(lookup->table, NoLock);	/* which is locked, as the plan is valid */
	Relation	index = index_open(lookup->index, AccessShareLock);
	TupleTableSlot *slot = table_slot_create(table, NULL);
	IndexScanDesc scan = index_beginscan(table, index, snapshot, NULL, lookup->nkeys, 0);
	uint64		rows = 0;

	index_rescan(scan, lookup->keys, lookup->nkeys, NULL, 0);
	if (index_getnext_slot(scan, ForwardScanDirection, slot))
	{
		lookup->context->ecxt_scantuple = slot;
		if (lookup->condition == NULL || ExecQual(lookup->condition, lookup->context))
		{
			copy_columns(lookup, columns, isnull);
			rows = 1;
		}
		ResetExprContext(lookup->context);
	}
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	index_close(index, NoLock);
	table_close(table, NoLock);
	return rows;
}

/*
 * Run the prepared statement, if its plan is a look-up; false: it has to be
 * executed.  What is found is a copy in the caller's memory.
 */
bool
lookup_run(Lookup **kept, SPIPlanPtr prepared, Datum *values, const char *nulls, Snapshot snapshot, Datum *columns, bool *isnull, uint64 *rows)
{
	const		CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(prepared));
	CachedPlan *plan = SPI_plan_get_cached_plan(prepared);
	const PlannedStmt *planned;
	Lookup	   *lookup;

	if (plan == NULL)
		return false;
	lookup = lookup_of(kept, source, plan);
	if (lookup->fits)
	{
		planned = linitial_node(PlannedStmt, plan->stmt_list);
		ExecCheckPermissions(planned->rtable, planned->permInfos, true);
		*rows = set_keys(lookup, values, nulls) ? find_row(lookup, snapshot, columns, isnull) : 0;
	}
	ReleaseCachedPlan(plan, CurrentResourceOwner);
	return lookup->fits;
}
