-- Whatever changes of a program, whoever changes it, has its effect on the next
-- operation of a session that remembers the program; and a change that is reversed
-- has none.
\ir ../tap.sql

SELECT loyalty.create_merchant('m') AS m \gset
SELECT loyalty.set_rank_ranges(:m, 'g', '{Base,Oro}', '{0,1000}', '{1,2}');
SELECT program_id AS p FROM loyalty.create_program(:m, 'P', 'P') \gset
SELECT loyalty.configure_program(:m, loyalty.find_program(:m, 'P'), json_build_object('range_group', 'g', 'rank_window_unit', 'year', 'rank_window_value', 1));
SELECT loyalty.publish_rules(:m, loyalty.find_program(:m, 'P'), '[{"name": "cinco", "points": 5}]') IS NOT NULL;
SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'member', 'add', '1000', NULL);
SELECT loyalty.open_account(:m, :p) AS a \gset

CREATE FUNCTION pg_temp.revision() RETURNS bigint LANGUAGE sql AS 'SELECT revision FROM loyalty_internal.program WHERE client_id = ''P''';
-- What a sale of 100 earns, or why it is refused.
CREATE FUNCTION pg_temp.sale(merchant bigint, account bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN (loyalty.sale(merchant, account, '100')).points;
EXCEPTION WHEN SQLSTATE 'LY008' THEN
	RETURN sqlstate;
END
$$;
SELECT is(pg_temp.sale(:m, :a), '15', 'the base of 10, and 5 by the rule');

-- One change after the other, by who may do everything.
CREATE TEMP TABLE change (ordinal serial, statement text, expected text);
INSERT INTO change (statement, expected) VALUES
	('UPDATE loyalty_internal.program SET accumulation_points = ''20''', '25'),
	('UPDATE loyalty_internal.rule SET points = ''7''', '27'),
	('UPDATE loyalty_internal.rank_range SET multiplier = ''3'' WHERE rank = ''Base''', '67'),
	('DELETE FROM loyalty_internal.rank_range WHERE rank = ''Base''', '27'),
	('INSERT INTO loyalty_internal.rule (merchant_id, program_id, version, ordinal, name, points) SELECT merchant_id, program_id, version, 2, ''uno'', ''1'' FROM loyalty_internal.rule', '28'),
	('DELETE FROM loyalty_internal.rule WHERE name = ''cinco''', '21'),
	('UPDATE loyalty_internal.posting_limit SET max_points = ''1''', 'LY008'),
	('DELETE FROM loyalty_internal.posting_limit', '21'),
	('INSERT INTO loyalty_internal.posting_limit (merchant_id, program_id, scope, subject_id, adds, max_operations) SELECT merchant_id, program_id, ''member'', 0, true, 0 FROM loyalty_internal.program', 'LY008'),
	('TRUNCATE loyalty_internal.posting_limit', '21'),
	('TRUNCATE loyalty_internal.rank_range', '21');
CREATE FUNCTION pg_temp.changed(statement text, merchant bigint, account bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	before CONSTANT bigint := pg_temp.revision();
BEGIN
	EXECUTE statement;
	RETURN pg_temp.sale(merchant, account) || CASE WHEN pg_temp.revision() <= before THEN ', and no other revision' ELSE '' END;
END
$$;
SELECT is(pg_temp.changed(statement, :m, :a), expected, statement) FROM change ORDER BY ordinal;

-- However many rows a statement changes, the program gets one revision, and has one more version.
SELECT pg_stat_get_xact_tuples_updated('loyalty_internal.program'::regclass) AS updated \gset
INSERT INTO loyalty_internal.posting_limit (merchant_id, program_id, scope, subject_id, adds, max_operations)
SELECT :m, :p, 'member', n, true, 1000 FROM generate_series(1, 500) n;
SELECT is(pg_stat_get_xact_tuples_updated('loyalty_internal.program'::regclass) - :updated, 1::bigint, 'of 500 limits one revision');
UPDATE loyalty_internal.posting_limit SET max_operations = 2000;
DELETE FROM loyalty_internal.posting_limit;
SELECT is(pg_stat_get_xact_tuples_updated('loyalty_internal.program'::regclass) - :updated, 3::bigint, 'and of their change and removal');

-- A change that fails, after an operation that has seen it.
SELECT pg_temp.revision() AS revision \gset
SAVEPOINT before;
UPDATE loyalty_internal.program SET accumulation_points = '30';
SELECT pg_temp.sale(:m, :a) AS during \gset
ROLLBACK TO before;
SELECT is(:'during'::text, '31', 'an operation sees a change of its own transaction');
SELECT is(pg_temp.revision(), :revision, 'which leaves no revision if it fails');
SELECT is(pg_temp.sale(:m, :a), '21', 'and has no effect then');

-- One that fails with the statement that has posted by it: the program has no other revision yet, and nothing had been read of it.
UPDATE loyalty_internal.program SET updated_at = now();
SAVEPOINT before;
WITH x AS (
	INSERT INTO loyalty_internal.posting_limit (merchant_id, program_id, scope, subject_id, adds, max_operations)
	VALUES (:m, :p, 'member', 0, true, 0) RETURNING 1), y AS MATERIALIZED (SELECT count(*) AS n FROM x)
SELECT pg_temp.sale(:m, :a) AS during FROM y WHERE n > 0 \gset
ROLLBACK TO before;
SELECT is(:'during'::text, 'LY008', 'an operation sees a change of its own statement');
SELECT is(pg_temp.sale(:m, :a), '21', 'which has no effect either if it fails');

-- Rows that are changed as a subscription would change them.
SET LOCAL session_replication_role = replica;
INSERT INTO loyalty_internal.posting_limit (merchant_id, program_id, scope, subject_id, adds, max_operations) VALUES (:m, :p, 'member', 0, true, 0);
SET LOCAL session_replication_role = origin;
SELECT is(pg_temp.sale(:m, :a), 'LY008', 'limits that are set past the triggers of others');
SET LOCAL session_replication_role = replica;
DELETE FROM loyalty_internal.posting_limit;
UPDATE loyalty_internal.program SET accumulation_points = '40';
SET LOCAL session_replication_role = origin;
SELECT is(pg_temp.sale(:m, :a), '41', 'and terms');

-- The same after pg_restore --disable-triggers: triggers are on for ordinary roles only.
ALTER TABLE loyalty_internal.program DISABLE TRIGGER ALL;
ALTER TABLE loyalty_internal.program ENABLE TRIGGER ALL;
SELECT is(pg_temp.sale(:m, :a), '41', 'a session that reads them when triggers were switched off and on');
SET LOCAL session_replication_role = replica;
UPDATE loyalty_internal.program SET accumulation_points = '50';
SET LOCAL session_replication_role = origin;
SELECT is(pg_temp.sale(:m, :a), '51', 'does not remember them');
ALTER TABLE loyalty_internal.program DISABLE TRIGGER ALL;
SELECT is(pg_temp.sale(:m, :a), '51', 'nor while they are off');
UPDATE loyalty_internal.program SET accumulation_points = '60';
SELECT is(pg_temp.sale(:m, :a), '61', 'so that what changes then is seen');
SELECT loyalty_internal.seal();
SET LOCAL session_replication_role = replica;
UPDATE loyalty_internal.program SET accumulation_points = '70';
SET LOCAL session_replication_role = origin;
SELECT is(pg_temp.sale(:m, :a), '71', 'and when they are on again');
SELECT results_eq('SELECT DISTINCT invariant, detail FROM loyalty.verify()', $$VALUES ('what rules gave for a sale comes to its points', 'one of the rules is none of the set')$$, 'the ledger is sound, but for sales by a rule that is gone');

SELECT finish();
ROLLBACK;
