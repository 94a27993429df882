/*
 * planning.c
 *		How the engine's statements are planned: for tables that are large,
 *		whatever they are now.
 *
 * A session plans a statement once.  That may be when the tables are empty, and
 * the session may go on until they have millions of rows: what was a good plan
 * then reads all of them.  So such a plan does not follow what PostgreSQL knows
 * of the tables, which changes, but what the schema says, which does not: the
 * planner is told that each table has very many rows, and of its columns what is
 * true of most.  Then it looks rows up by the index that finds the fewest, and never
 * reads a table from end to end where it need not.
 *
 * So are PostgreSQL's checks of the foreign keys of these tables.
 *
 * A plan that is made for one call only, and those of others, are made as always.
 *
 * But reports, whoever asks for them, read of each table the rows of their merchants
 * alone, so that EXPLAIN (ANALYZE) can count no others: by an index, whatever else
 * would be faster, or the reader's settings ask for.
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "access/stratnum.h"
#include "catalog/namespace.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_type.h"
#include "db/planning.h"
#include "fmgr.h"
#include "jit/jit.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "optimizer/plancat.h"
#include "optimizer/planner.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/selfuncs.h"

/* What is told of each table and its indexes. */
#define LARGE_TUPLES	1e8
#define LARGE_PAGES		2000000
#define LARGE_HEIGHT	3

/* What is told of columns: half of a column is NULL, and else each row has a value of its own. */
#define NULLS			0.5
#define DISTINCT_VALUES	(-1)

/* But the columns by which many rows belong together are not NULL, and have so many values. */
static const struct
{
	const char *name;
	float4		values;
}			shared_columns[] = {
	{"merchant_id", 1000},
	{"program_id", 10},
	{"scope", 10},
	{"stripe", 10},
};

static planner_hook_type next_planner;
static get_relation_info_hook_type next_relation_info;
static get_relation_stats_hook_type next_relation_stats;
static get_index_stats_hook_type next_index_stats;
static set_rel_pathlist_hook_type next_paths;

/* Whether the planner is at work on a statement that is planned for large tables. */
static bool for_large = false;

static PlannedStmt *
plan_any(Query *query, const char *text, int options, ParamListInfo params)
{
	return next_planner != NULL ? next_planner(query, text, options, params) : standard_planner(query, text, options, params);
}

/* Those of the C code say so; of functions in SQL sql/parts/97_planning.sql says which. */
static bool
is_kept_by_engine(int options)
{
	return (options & CURSOR_OPT_FOR_LARGE_TABLES) != 0 ||
		(plan_cache_mode == PLAN_CACHE_MODE_FORCE_GENERIC_PLAN && GetUserId() == get_role_oid("loyalty_engine", true));
}

/*
 * Checks of foreign keys are kept by PostgreSQL, for as long as a session lives too.
 * They run with a mark that nothing else has, and look at one table.
 */
static bool
is_check_of_ours(const Query *query)
{
	const RangeTblEntry *table = query->rtable == NIL ? NULL : linitial(query->rtable);
	Oid			schema;

	if (!InNoForceRLSOperation() || table == NULL || table->rtekind != RTE_RELATION)
		return false;
	schema = get_rel_namespace(table->relid);
	return schema == get_namespace_oid("loyalty_internal", true) || schema == get_namespace_oid("loyalty", true);
}

/* What the planner evaluates meanwhile may plan statements of its own. */
static PlannedStmt *
plan(Query *query, const char *text, int options, ParamListInfo params)
{
	bool		outer = for_large;
	bool		inner = params == NULL && (is_kept_by_engine(options) || is_check_of_ours(query));
	PlannedStmt *planned;

	if (!inner && !outer)
		return plan_any(query, text, options, params);
	for_large = inner;
	PG_TRY();
	{
		planned = plan_any(query, text, options, params);
		/* its costs are those of tables that are not there: they do not say that it is worth compiling */
		if (inner)
			planned->jitFlags = PGJIT_NONE;
	}
	PG_FINALLY();
	{
		for_large = outer;
	}
	PG_END_TRY();
	return planned;
}

static void
relation_info(PlannerInfo *root, Oid relation, bool inherits, RelOptInfo *info)
{
	ListCell   *lc;

	if (next_relation_info != NULL)
		next_relation_info(root, relation, inherits, info);
	if (!for_large)
		return;
	info->pages = LARGE_PAGES;
	info->tuples = LARGE_TUPLES;
	info->allvisfrac = 0;
	foreach(lc, info->indexlist)
	{
		IndexOptInfo *index = lfirst(lc);

		index->pages = LARGE_PAGES / 4;
		index->tuples = LARGE_TUPLES;
		index->tree_height = LARGE_HEIGHT;
	}
}

/* The fixed part of a row of pg_statistic, which has nothing else. */
static HeapTuple
made_up_statistics(float4 nulls, float4 values)
{
	Size		header = MAXALIGN(SizeofHeapTupleHeader);
	HeapTuple	row = palloc0(HEAPTUPLESIZE + header + sizeof(FormData_pg_statistic));
	Form_pg_statistic statistics;

	row->t_len = header + sizeof(FormData_pg_statistic);
	row->t_data = (HeapTupleHeader) ((char *) row + HEAPTUPLESIZE);
	row->t_data->t_hoff = header;
	statistics = (Form_pg_statistic) GETSTRUCT(row);
	statistics->stanullfrac = nulls;
	statistics->stadistinct = values;
	return row;
}

static HeapTuple
statistics_of(const char *column)
{
	for (int i = 0; i < (int) lengthof(shared_columns); i++)
	{
		if (strcmp(column, shared_columns[i].name) == 0)
			return made_up_statistics(0, shared_columns[i].values);
	}
	return made_up_statistics(NULLS, DISTINCT_VALUES);
}

/* Of booleans the planner knows enough. */
static bool
relation_stats(PlannerInfo *root, RangeTblEntry *entry, AttrNumber attribute, VariableStatData *stats)
{
	if (!for_large || entry->rtekind != RTE_RELATION)
		return next_relation_stats != NULL && next_relation_stats(root, entry, attribute, stats);
	if (stats->vartype != BOOLOID)
		stats->statsTuple = statistics_of(attribute > 0 ? get_attname(entry->relid, attribute, false) : "");
	stats->freefunc = heap_freetuple;
	return true;
}

/* Of an expression that is indexed. */
static bool
index_stats(PlannerInfo *root, Oid index, AttrNumber attribute, VariableStatData *stats)
{
	if (!for_large)
		return next_index_stats != NULL && next_index_stats(root, index, attribute, stats);
	stats->statsTuple = made_up_statistics(NULLS, DISTINCT_VALUES);
	stats->freefunc = heap_freetuple;
	return true;
}

PG_FUNCTION_INFO_V1(loyalty_is_reported);
PG_FUNCTION_INFO_V1(loyalty_is_reported_support);

static int
compare_merchants(const void *a, const void *b)
{
	int64		left = *(const int64 *) a;
	int64		right = *(const int64 *) b;

	return (left > right) - (left < right);
}

/* merchant_id = ANY (merchants), which are in ascending order: of thousands too. */
Datum
loyalty_is_reported(PG_FUNCTION_ARGS)
{
	int64		merchant = PG_GETARG_INT64(0);
	ArrayType  *merchants = PG_GETARG_ARRAYTYPE_P(1);

	if (ARR_HASNULL(merchants))
		PG_RETURN_NULL();
	PG_RETURN_BOOL(bsearch(&merchant, ARR_DATA_PTR(merchants), ArrayGetNItems(ARR_NDIM(merchants), ARR_DIMS(merchants)),
						   sizeof(int64), compare_merchants) != NULL);
}

/*
 * What the subquery comes to, for whoever asks, that is the second argument of
 * loyalty_internal.is_reported() and a parameter by now; NULL: it cannot be told.
 */
static ArrayType *
merchants_of(PlannerInfo *root, List * args)
{
	Param	   *merchants = lsecond(args);
	ListCell   *lc;

	if (!IsA(merchants, Param))
		return NULL;
	foreach(lc, root->init_plans)
	{
		SubPlan    *subplan = lfirst(lc);
		Plan	   *found = list_nth(root->glob->subplans, subplan->plan_id - 1);
		Node	   *value;

		if (!list_member_int(subplan->setParam, merchants->paramid))
			continue;
		value = estimate_expression_value(root, (Node *) ((TargetEntry *) linitial(found->targetlist))->expr);
		return IsA(value, Const) && !((Const *) value)->constisnull ? DatumGetArrayTypeP(((Const *) value)->constvalue) : NULL;
	}
	return NULL;
}

/* Whether they are all there are, and will be, which 0 stands for. */
static bool
are_all(ArrayType *merchants)
{
	return DatumGetBool(DirectFunctionCall2(loyalty_is_reported, Int64GetDatum(0), PointerGetDatum(merchants)));
}

/*
 * How many rows it leaves is told of the merchants themselves, to which each view
 * joins the others: were it told of these too, the planner would count it twice.
 */
static Selectivity
share_reported(PlannerInfo *root, List * args, int relation)
{
	ArrayType  *merchants = merchants_of(root, args);
	VariableStatData column;
	Selectivity share = 1;

	if (merchants == NULL)
		return 1;
	examine_variable(root, linitial(args), relation, &column);
	if (column.isunique && column.rel != NULL && column.rel->tuples > 0)
		share = ArrayGetNItems(ARR_NDIM(merchants), ARR_DIMS(merchants)) / column.rel->tuples;
	ReleaseVariableStats(column);
	return Min(share, 1);
}

/*
 * loyalty_internal.is_reported() as a condition of an index, with which a scan reads
 * nothing of other merchants.  Who sees all has nothing to find out, and is not led through the index merchant by merchant.  A plan that was kept
 * for another is right too.
 */
static Node *
index_condition(SupportRequestIndexCondition * request)
{
	List	   *args = ((FuncExpr *) request->node)->args;
	ArrayType  *merchants = merchants_of(request->root, args);
	Oid			equals = get_opfamily_member(request->opfamily, INT8OID, INT8OID, BTEqualStrategyNumber);
	ScalarArrayOpExpr *any;

	if (merchants == NULL || request->indexarg != 0 || !OidIsValid(equals) || !request->index->amsearcharray || are_all(merchants))
		return NULL;
	any = makeNode(ScalarArrayOpExpr);
	any->opno = equals;
	any->opfuncid = get_opcode(equals);
	any->useOr = true;
	any->args = args;
	any->location = -1;
	request->lossy = false;
	return (Node *) any;
}

/*
 * A scan asks what costs the least first, and of what the reader asks that is known not
 * to leak, some costs nothing, such as IS NOT NULL.  Whether loyalty_internal.is_reported()
 * is asked of any row at all, EXPLAIN (ANALYZE) tells: so nothing may be asked before it.
 */
#define ASKED_FIRST		(-1e-9)

Datum
loyalty_is_reported_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);

	if (IsA(request, SupportRequestSelectivity))
	{
		SupportRequestSelectivity *asked = (SupportRequestSelectivity *) request;

		asked->selectivity = share_reported(asked->root, asked->args, asked->varRelid);
		PG_RETURN_POINTER(request);
	}
	if (IsA(request, SupportRequestIndexCondition))
	{
		Node	   *condition = index_condition((SupportRequestIndexCondition *) request);

		PG_RETURN_POINTER(condition == NULL ? NULL : list_make1(condition));
	}
	if (IsA(request, SupportRequestCost))
	{
		SupportRequestCost *cost = (SupportRequestCost *) request;

		cost->startup = 0;
		cost->per_tuple = ASKED_FIRST;
		PG_RETURN_POINTER(request);
	}
	PG_RETURN_POINTER(NULL);
}

/* Whether a condition is loyalty_internal.is_reported() of a column. */
static bool
asks_reported(Node * condition)
{
	FuncExpr   *asked = (FuncExpr *) condition;
	FmgrInfo	function;

	if (!IsA(condition, FuncExpr) || list_length(asked->args) != 2 || !IsA(linitial(asked->args), Var) || !IsA(lsecond(asked->args), Param))
		return false;
	fmgr_info(asked->funcid, &function);
	return function.fn_addr == loyalty_is_reported;
}

/* The column of a table by which a report reads rows of some merchants only; 0: there is none. */
static AttrNumber
column_reported(PlannerInfo *root, RelOptInfo *table)
{
	ListCell   *lc;

	foreach(lc, table->baserestrictinfo)
	{
		Node	   *condition = (Node *) ((RestrictInfo *) lfirst(lc))->clause;
		ArrayType  *merchants;

		if (!asks_reported(condition))
			continue;
		merchants = merchants_of(root, ((FuncExpr *) condition)->args);
		if (merchants != NULL && !are_all(merchants))
			return ((Var *) linitial(((FuncExpr *) condition)->args))->varattno;
	}
	return 0;
}

/*
 * The indexes that lead to a merchant's rows, and not by a bitmap: one that is
 * larger than work_mem leads to pages, with the rows of others that are there.
 */
static List *
indexes_by(AttrNumber column, List * indexes)
{
	List	   *leading = NIL;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		IndexOptInfo *index = lfirst(lc);

		if (index->indexkeys[0] != column || !index->amsearcharray)
			continue;
		index->amhasgetbitmap = false;
		leading = lappend(leading, index);
	}
	return leading;
}

/* Those by some of its indexes alone, as if the reader had never set that there be none. */
static void
make_index_paths(PlannerInfo *root, RelOptInfo *table, List * indexes)
{
	List	   *all = table->indexlist;
	bool		enabled = enable_indexscan;

	table->pathlist = table->partial_pathlist = NIL;
	PG_TRY();
	{
		enable_indexscan = true;
		table->indexlist = indexes;
		create_index_paths(root, table);
	}
	PG_FINALLY();
	{
		enable_indexscan = enabled;
		table->indexlist = all;
	}
	PG_END_TRY();
}

/*
 * A scan that passes by rows of other merchants counts them, and with a LIMIT those
 * between two of one's own.  Those by an index are made anew: some that others were
 * better than are not in the list any more.
 */
static void
paths_of_reported(PlannerInfo *root, RelOptInfo *table, Index place, RangeTblEntry *entry)
{
	List	   *paths;
	List	   *partial;
	AttrNumber	column;

	if (next_paths != NULL)
		next_paths(root, table, place, entry);
	if (entry->rtekind != RTE_RELATION || entry->inh || IS_DUMMY_REL(table) || (column = column_reported(root, table)) == 0)
		return;
	paths = table->pathlist;
	partial = table->partial_pathlist;
	make_index_paths(root, table, indexes_by(column, table->indexlist));
	if (table->pathlist == NIL)
	{
		table->pathlist = paths;
		table->partial_pathlist = partial;
	}
}

/* Called once, when the module is loaded. */
void
planning_init(void)
{
	next_planner = planner_hook;
	planner_hook = plan;
	next_relation_info = get_relation_info_hook;
	get_relation_info_hook = relation_info;
	next_relation_stats = get_relation_stats_hook;
	get_relation_stats_hook = relation_stats;
	next_index_stats = get_index_stats_hook;
	get_index_stats_hook = index_stats;
	next_paths = set_rel_pathlist_hook;
	set_rel_pathlist_hook = paths_of_reported;
}
