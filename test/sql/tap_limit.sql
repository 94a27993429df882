-- Limits of a day: what each takes from which, to the last point and operation,
-- and what changes them.  Many at once are in iso_limit.spec and 41_limits.pl.
-- It is noon in Mexico City, so that no day ends meanwhile.
COPY (SELECT (18 * 3600 - extract(epoch FROM clock_timestamp()) % 86400 + 86400) % 86400) TO PROGRAM '../advance_clock';
\ir ../tap.sql

-- What comes of one posting: "done", or the code.
CREATE FUNCTION pg_temp.posts(merchant bigint, account bigint, kind text, amount text, staff bigint DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	code text;
BEGIN
	PERFORM loyalty.post(merchant, account, kind, amount::loyalty.points, staff_id => staff);
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = PG_EXCEPTION_DETAIL;
	RETURN code;
END
$$;

-- The same for each item of a batch.
CREATE FUNCTION pg_temp.batch(merchant bigint, accounts bigint[], kinds text[], amounts text[], staff bigint DEFAULT NULL) RETURNS text LANGUAGE sql AS
$$SELECT string_agg(coalesce(error, 'done'), ' ' ORDER BY item) FROM loyalty.post_batch(merchant, accounts, kinds, amounts::loyalty.points[], staff_id => ARRAY[staff])$$;

-- What is left of a limit, as "points/operations"; - for what is not limited.
CREATE FUNCTION pg_temp.left_of(program bigint, scope text, direction text, subject bigint) RETURNS text LANGUAGE sql AS
$$SELECT coalesce(points_left::text, '-') || '/' || coalesce(operations_left::text, '-') FROM loyalty.allowances a
WHERE a.program_id = program AND a.scope = left_of.scope AND a.direction = left_of.direction AND a.subject_id = subject$$;

SELECT loyalty.create_merchant('Uno') AS m \gset
SELECT loyalty.create_merchant('Dos') AS other \gset
SELECT program_id AS p FROM loyalty.create_program(:m, 'Programa', 'P') \gset
SELECT program_id AS q FROM loyalty.create_program(:m, 'Otro', 'Q') \gset
SELECT loyalty.employee_add(:m, 'cajero', 'Ana', 'Centro', '4771000001', 'clave uno') AS ana \gset
SELECT loyalty.employee_add(:m, 'cajero', 'Beto', 'Centro', '4771000002', 'clave dos') AS beto \gset
SELECT loyalty.employee_add(:m, 'cajero', 'Cleo', 'Norte', '4771000003', 'clave tres') AS cleo \gset
SELECT branch_id AS centro FROM loyalty_internal.branch WHERE merchant_id = :m AND name = 'Centro' \gset
SELECT loyalty.open_account(:m, :p) AS a, loyalty.open_account(:m, :p) AS b, loyalty.open_account(:m, :q) AS other_program \gset
SELECT entry_id FROM loyalty.post_batch(:m, ARRAY[:a, :b, :other_program], '{deposit}', '{100000,100000,100000}') \g /dev/null

-- --- what can be set ------------------------------------------------------------------

SELECT pg_temp.refuses(format('SELECT loyalty.set_limit(%s, %L, %s)', :m, program, arguments), code, format('set_limit: %s, %s', program, arguments))
FROM (VALUES (1, '''staff'', ''add'', 1, 1', 'unknown_object'), (NULL, '''staff'', ''add'', 1, 1', 'unknown_object'), (:p, '''staff'', ''add'', 1, 1, 99', 'unknown_object'), (:p, '''staff'', ''add'', 1, 1, 0', 'unknown_object'),
	(:p, '''branch'', ''add'', 1, 1, 1', 'unknown_object'), (:p, format('''member'', ''add'', 1, 1, %s', :other_program), 'unknown_object'), (:p, '''everybody'', ''add'', 1, 1', 'invalid_argument'), (:p, 'NULL, ''add'', 1, 1', 'invalid_argument'),
	(:p, '''staff'', ''take'', 1, 1', 'invalid_argument'), (:p, '''staff'', NULL, 1, 1', 'invalid_argument'), (:p, '''staff'', ''add'', ''-0.0001'', 1', 'invalid_argument'), (:p, '''staff'', ''add'', 1, -1', 'invalid_argument'),
	(:p, '''staff'', ''add'', NULL, NULL', 'invalid_argument'), (:p, '''staff'', ''add''', 'invalid_argument'), (:p, '''staff'', ''add'', subject_id => 1', 'invalid_argument')) v (program, arguments, code);
SELECT pg_temp.refuses(format('SELECT loyalty.set_limit(%s, %s, ''staff'', ''add'', 1, 1)', :other, :p), 'unknown_object', 'of another merchant''s program');
SELECT is_empty('SELECT * FROM loyalty.limits', 'nothing was set');
SELECT is((SELECT has_limits FROM loyalty_internal.program WHERE program_id = :p), false, 'the program has no limits');
SELECT is(loyalty.remove_limit(:m, :p, 'staff', 'add'), false, 'removing a limit that is not there');
SELECT pg_temp.refuses(format('SELECT loyalty.remove_limit(%L, %L, %s)', m, program, arguments), code, format('remove_limit: %s, %s, %s', m, program, arguments))
FROM (VALUES (:m, 1, '''staff'', ''add''', 'unknown_object'), (:m, NULL, '''staff'', ''add''', 'unknown_object'), (:other, :p, '''staff'', ''add''', 'unknown_object'), (NULL, :p, '''staff'', ''add''', 'unknown_object'),
	(:m, :p, '''everybody'', ''add''', 'invalid_argument'), (:m, :p, 'NULL, ''add''', 'invalid_argument'), (:m, :p, '''staff'', ''take''', 'invalid_argument'), (:m, :p, '''staff'', NULL', 'invalid_argument')) v (m, program, arguments, code);
SELECT loyalty.set_limit(merchant_id => :m, program_id => :p, scope => 'staff', direction => 'add', max_operations => 5), loyalty.set_limit(:m, :p, 'staff', 'add', 1, subject_id => :ana), loyalty.set_limit(:m, :q, 'staff', 'add', 1) \g /dev/null
SELECT results_eq(format('SELECT loyalty.remove_limit(%s, %s, ''staff'', ''add'', 0)', :m, :p), 'VALUES (false)', 'nobody has the number 0');
SELECT is(loyalty.remove_limit(merchant_id => :m, program_id => :p, scope => 'staff', direction => 'add', subject_id => :ana), true, 'one''s own limit goes');
SELECT is(loyalty.remove_limit(:m, :p, 'staff', 'add', :ana), false, 'and is gone');
SELECT results_eq('SELECT client_id, subject_id IS NULL, max_points, max_operations FROM loyalty.limits ORDER BY 1', $$VALUES ('P' COLLATE "C", true, NULL::loyalty.points, 5::bigint), ('Q', true, '1', NULL)$$, 'those of each and of other programs stay');
SELECT is(loyalty.remove_limit(:m, :p, 'staff', 'add'), true, 'that of each goes');
SELECT results_eq('SELECT client_id, has_limits FROM loyalty_internal.program ORDER BY 1', $$VALUES ('P' COLLATE "C", false), ('Q', true)$$, 'a program whose last limit is removed has none');
SELECT loyalty.remove_limit(:m, :q, 'staff', 'add') \g /dev/null
SELECT is((SELECT has_limits FROM loyalty_internal.program WHERE program_id = :p), false, 'makes none');

-- --- operations -------------------------------------------------------------------------

SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'staff', 'add', NULL, 3) \g /dev/null
SELECT results_eq('SELECT client_id, scope, direction, subject_id, max_points::text, max_operations FROM loyalty.limits', $$VALUES ('P' COLLATE "C", 'staff' COLLATE "C", 'add', NULL::bigint, NULL, 3::bigint)$$, 'a limit on each cashier');
SELECT is((SELECT has_limits FROM loyalty_internal.program WHERE program_id = :p), true, 'the program has limits');
SELECT is(pg_temp.left_of(:p, 'staff', 'add', :ana), NULL, 'who has not posted is not listed');
SELECT is(pg_temp.posts(:m, :a, 'deposit', '1', :ana), 'done', 'operation ' || n) FROM generate_series(1, 2) n;
SELECT is(pg_temp.left_of(:p, 'staff', 'add', :ana), '-/1', 'one is left');
SELECT is(pg_temp.posts(:m, :b, 'accrue', '0', :ana), 'done', 'a sale that earns nothing is an operation too');
SELECT is(pg_temp.posts(:m, :b, 'deposit', '0.0001', :ana), 'limit_exceeded', 'the fourth is too many');
SELECT is(pg_temp.posts(:m, :b, 'adjust', '1', :ana), 'limit_exceeded', 'whatever adds');
SELECT is(pg_temp.posts(:m, :b, 'adjust', '-1', :ana), 'done', 'what spends is not limited');
SELECT is(pg_temp.posts(:m, :b, 'redeem', '1', :ana), 'done', 'neither is');
SELECT is(pg_temp.posts(:m, :b, 'deposit', '1', :beto), 'done', 'nor is a colleague');
SELECT is(pg_temp.posts(:m, :b, 'deposit', '1'), 'done', 'nor nobody in particular');
SELECT is(pg_temp.posts(:m, :other_program, 'deposit', '1', :ana), 'done', 'nor the other program');
SELECT is(pg_temp.left_of(:p, 'staff', 'add', :ana) || ' ' || pg_temp.left_of(:p, 'staff', 'add', :beto), '-/0 -/2', 'what is left');
SELECT throws_ok(format('SELECT loyalty.post(%s, %s, ''deposit'', 1, staff_id => %s)', :m, :a, :ana), 'LY008', 'a limit of the program would be exceeded', 'the error is LY008');
SELECT is((SELECT count(*) FROM loyalty.entries WHERE account_id IN (:a, :b) AND staff_id = :ana AND kind IN ('deposit', 'accrue')), 3::bigint, 'three entries');

-- --- points ------------------------------------------------------------------------------

SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'staff', 'spend', 100, NULL) \g /dev/null
SELECT is(pg_temp.posts(:m, :a, kind, amount, :ana), expected, format('of 100: %s of %s', kind, amount))
FROM (VALUES (1, 'redeem', '60', 'done'), (2, 'redeem', '40.0001', 'limit_exceeded'), (3, 'redeem', '1000000', 'insufficient_points'), (4, 'adjust', '-39.9999', 'done'), (5, 'redeem', '0.0002', 'limit_exceeded'), (6, 'redeem', '0.0001', 'done'),
	(7, 'redeem', '0.0001', 'limit_exceeded'), (8, 'redeem', '0', 'invalid_amount')) v (n, kind, amount, expected) ORDER BY n;
SELECT is(pg_temp.left_of(:p, 'staff', 'spend', :ana), '0/-', 'all is spent');
SELECT is((SELECT points_used::text || ' in ' || operations_used FROM loyalty.allowances WHERE direction = 'spend' AND subject_id = :ana), '100 in 3', 'and counted');

-- --- branches and members ---------------------------------------------------------------

SELECT loyalty.remove_limit(:m, loyalty.find_program(:m, 'P'), 'staff', 'spend') \g /dev/null
SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'branch', 'spend', 50, NULL) \g /dev/null
SELECT is(pg_temp.posts(:m, :a, 'redeem', '30', :ana), 'done', 'a branch has 50, Ana spends 30');
SELECT is(pg_temp.posts(:m, :a, 'redeem', '21', :beto), 'limit_exceeded', 'her colleague cannot spend 21');
SELECT is(pg_temp.posts(:m, :b, 'redeem', '20', :beto), 'done', 'but 20');
SELECT is(pg_temp.posts(:m, :a, 'redeem', '50', :cleo), 'done', 'another branch has its own');
SELECT is(pg_temp.left_of(:p, 'branch', 'spend', :centro), '0/-', 'nothing is left');
SELECT loyalty.remove_limit(:m, loyalty.find_program(:m, 'P'), 'branch', 'spend') \g /dev/null

SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'member', 'spend', 10, 4) \g /dev/null
SELECT is(pg_temp.posts(:m, account, 'redeem', amount, staff), expected, format('of 10 in 4: %s', n))
FROM (VALUES (1, :a, '8', :ana, 'done'), (2, :a, '2.0001', :cleo, 'limit_exceeded'), (3, :b, '2.0001', :cleo, 'done'), (4, :a, '1', NULL, 'done'), (5, :a, '0.5', :ana, 'done'), (6, :a, '0.25', :beto, 'done'), (7, :a, '0.25', :beto, 'limit_exceeded'))
	v (n, account, amount, staff, expected) ORDER BY n;
SELECT is(pg_temp.left_of(:p, 'member', 'spend', :a) || ' ' || pg_temp.left_of(:p, 'member', 'spend', :b), '0.25/0 7.9999/3', 'each member has his own');

-- --- one's own limit ---------------------------------------------------------------------

SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'member', 'spend', NULL, 5, :a) \g /dev/null
SELECT is(pg_temp.posts(:m, :a, 'redeem', '100', :ana), 'done', 'a limit of one''s own goes first, with what was counted');
SELECT is(pg_temp.posts(:m, :a, 'redeem', '1', :ana), 'limit_exceeded', 'the fifth was the last');
SELECT is(pg_temp.posts(:m, :b, 'redeem', '8', :ana), 'limit_exceeded', 'others have the one of each');
SELECT loyalty.remove_limit(:m, loyalty.find_program(:m, 'P'), 'member', 'spend', :a) \g /dev/null
SELECT is(pg_temp.posts(:m, :a, 'redeem', '0.1', :ana), 'limit_exceeded', 'without it the one of each counts again');
SELECT loyalty.remove_limit(:m, loyalty.find_program(:m, 'P'), 'member', 'spend') \g /dev/null
SELECT is(pg_temp.posts(:m, :a, 'redeem', '1000', :ana), 'done', 'without that there is none');

-- --- changed in the middle of the day -------------------------------------------------------

SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'staff', 'add', NULL, 5) \g /dev/null
SELECT is(pg_temp.left_of(:p, 'staff', 'add', :ana), '-/2', 'raised from 3 to 5: two more');
SELECT is(pg_temp.posts(:m, :a, 'deposit', '1', :ana), 'done', 'one');
SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'staff', 'add', NULL, 2) \g /dev/null
SELECT is(pg_temp.left_of(:p, 'staff', 'add', :ana), '-/0', 'lowered below what is used: nothing is left');
SELECT is(pg_temp.posts(:m, :a, 'deposit', '1', :ana), 'limit_exceeded', 'nor given');
SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'staff', 'add', 10, 5) \g /dev/null
SELECT is(pg_temp.left_of(:p, 'staff', 'add', :ana), '7/1', 'points were counted before they were limited');
SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'staff', 'add', 0, NULL) \g /dev/null
SELECT is(pg_temp.posts(:m, :a, 'deposit', '0.0001', :cleo), 'limit_exceeded', 'no points at all');
SELECT is(pg_temp.posts(:m, :a, 'accrue', '0', :cleo), 'done', 'an operation without points goes');
SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'staff', 'add', NULL, 0) \g /dev/null
SELECT is(pg_temp.posts(:m, :a, 'accrue', '0', :cleo), 'limit_exceeded', 'no operations at all');
SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'staff', 'add', '922337203685477.5807', 9223372036854775807) \g /dev/null
SELECT is(pg_temp.posts(:m, :a, 'deposit', '100', :cleo), 'done', 'the highest limit');

-- --- what is handed out ----------------------------------------------------------------------

SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'staff', 'add', 100000, NULL) \g /dev/null
SELECT is(pg_temp.posts(:m, :a, 'deposit', '99990', :beto), 'done', 'nearly all that a cashier may');
SELECT is(pg_temp.posts(:m, :a, 'deposit', '8.9999', :beto), 'done', 'and more');
SELECT is(pg_temp.posts(:m, :a, 'deposit', '0.0002', :beto), 'limit_exceeded', 'not more than there is');
SELECT is(pg_temp.posts(:m, :a, 'deposit', '0.0001', :beto), 'done', 'but all of it');
SELECT loyalty.remove_limit(:m, loyalty.find_program(:m, 'P'), 'staff', 'add') \g /dev/null

SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'branch', 'add', 100000, 10000) \g /dev/null
CREATE FUNCTION pg_temp.row_of(program bigint, subject bigint) RETURNS text LANGUAGE sql AS
$$SELECT format('%s/%s', points_left, operations_left) FROM loyalty_internal.allowance WHERE program_id = program AND adds AND subject_id = subject$$;
SELECT is(pg_temp.posts(:m, :a, 'deposit', '10', :beto), 'done', 'a branch has plenty');
SELECT is(pg_temp.row_of(:p, :centro) || ' ' || pg_temp.row_of(:p, :beto), '93740.625/9375 6249.375/624', 'its cashier draws a sixteenth for later');
SELECT is(pg_temp.posts(:m, :a, 'deposit', '10', :beto), 'done', 'what comes later');
SELECT is(pg_temp.row_of(:p, :centro) || ' ' || pg_temp.row_of(:p, :beto), '93740.625/9375 6239.375/623', 'asks the branch no more');
SELECT is(pg_temp.left_of(:p, 'branch', 'add', :centro), '99980/9998', 'what was drawn is not used');
SELECT is(pg_temp.posts(:m, :a, 'deposit', '6239.3751', :beto), 'done', 'more than was drawn');
SELECT is(pg_temp.row_of(:p, :centro) || ' ' || pg_temp.row_of(:p, :beto), '93740.6249/9997 0/0', 'is given, and nothing for later, if that were little');
SELECT is(pg_temp.posts(:m, :a, 'deposit', '1', :ana), 'done', 'a colleague');
SELECT is(pg_temp.row_of(:p, :centro) || ' ' || pg_temp.row_of(:p, :ana), '87880.8984/9372 5858.7265/624', 'draws too');
SELECT is(pg_temp.posts(:m, :a, 'deposit', '93739.625', :beto), 'limit_exceeded', 'more than there is is refused');
SELECT is(pg_temp.row_of(:p, :centro) || ' ' || pg_temp.row_of(:p, :ana), '87880.8984/9372 5858.7265/624', 'and nothing changes');
SELECT is(pg_temp.batch(:m, ARRAY[:a], '{deposit}', '{93739.625}', :beto), 'limit_exceeded', 'also where that is no exception');
SELECT is(pg_temp.left_of(:p, 'branch', 'add', :centro), '93739.6249/9996', 'what there is stays');
SELECT is(pg_temp.posts(:m, :a, 'deposit', '93739.6249', :beto), 'done', 'all there is, as the colleague gives back what she has not used');
SELECT is(pg_temp.row_of(:p, :centro) || ' ' || pg_temp.row_of(:p, :ana), '0/9995 0/0', 'so nothing is left');
SELECT is(pg_temp.posts(:m, :a, 'deposit', '0.0001', :ana), 'limit_exceeded', 'for her');
SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'branch', 'add', 200000, NULL) \g /dev/null
SELECT is(pg_temp.posts(:m, :a, 'deposit', '1', :ana), 'done', 'under another limit');
SELECT is(pg_temp.left_of(:p, 'branch', 'add', :centro), '99999/-', 'what was used counts');
SELECT is(pg_temp.batch(:m, ARRAY[:a, :a, :b], '{deposit}', '{1,2,3}', :beto), 'done done done', 'a batch');
SELECT is((SELECT loyalty.sum(points_left)::text || ' ' || sum(operations_left) FROM loyalty_internal.allowance WHERE program_id = :p AND adds AND (subject_id = :centro OR drawn_from = :centro)),
	'99993 ' || 9223372036854775807 - (SELECT operations_used FROM loyalty.allowances WHERE direction = 'add' AND subject_id = :centro), 'nothing is lost');
SELECT loyalty.remove_limit(:m, loyalty.find_program(:m, 'P'), 'branch', 'add') \g /dev/null
SELECT is(pg_temp.posts(:m, :a, 'deposit', '1000000', :ana), 'done', 'no limit');
SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'branch', 'add', 200000, NULL) \g /dev/null
SELECT is(pg_temp.posts(:m, :a, 'deposit', '99993.0001', :beto), 'limit_exceeded', 'the limit again: as much is left');
SELECT is(pg_temp.posts(:m, :a, 'deposit', '99993', :beto), 'done', 'as before');
SELECT loyalty.remove_limit(:m, loyalty.find_program(:m, 'P'), 'branch', 'add') \g /dev/null

-- Only one branch is limited.
SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'branch', 'add', 10, NULL, :centro) \g /dev/null
UPDATE loyalty_internal.allowance SET day = day - 1;
SELECT is(pg_temp.posts(:m, :a, 'deposit', amount, staff), expected, format('%s by %s where one branch has 10: %s', amount, name, expected))
FROM (VALUES (1, '8', :cleo, 'Cleo', 'done'), (2, '8', :ana, 'Ana', 'done'), (3, '8', :cleo, 'Cleo', 'done'), (4, '3', :ana, 'Ana', 'limit_exceeded'), (5, '2', :beto, 'Beto', 'done')) v (n, amount, staff, name, expected) ORDER BY n;
SELECT is((SELECT string_agg(subject_id || ' ' || points_used::text, ', ') FROM loyalty.allowances WHERE direction = 'add'), :centro || ' 10', 'only that is listed');
SELECT loyalty.remove_limit(:m, loyalty.find_program(:m, 'P'), 'branch', 'add', :centro) \g /dev/null

-- A refusal by the second limit gives back what the first has given.
SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'staff', 'add', 5000000, 1000) \g /dev/null
SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'member', 'add', 100, NULL) \g /dev/null
SELECT loyalty.open_account(:m, :p) AS fresh \gset
SELECT is(pg_temp.posts(:m, :fresh, 'deposit', '60', :cleo), 'done', 'within both');
SELECT pg_temp.left_of(:p, 'staff', 'add', :cleo) AS cleo_left \gset
SELECT is(pg_temp.batch(:m, ARRAY[:fresh], '{deposit}', '{41}', :cleo), 'limit_exceeded', 'too much for the member');
SELECT is(pg_temp.left_of(:p, 'staff', 'add', :cleo), :'cleo_left', 'is not counted for the cashier');
SELECT is(pg_temp.left_of(:p, 'member', 'add', :fresh), '40/-', 'nor for the member');
SELECT is((SELECT balance::text || ' ' || entry_no FROM loyalty_internal.account WHERE account_id = :fresh), '60 1', 'nor posted');
SELECT loyalty.remove_limit(:m, loyalty.find_program(:m, 'P'), 'member', 'add') \g /dev/null

-- --- batches ---------------------------------------------------------------------------------

UPDATE loyalty_internal.allowance SET day = day - 1;
SELECT loyalty.remove_limit(:m, loyalty.find_program(:m, 'P'), 'staff', 'add') \g /dev/null
SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'branch', 'add', 100, 4) \g /dev/null
SELECT is(pg_temp.posts(:m, :a, 'deposit', '3', :ana), 'done', 'on another day');
SELECT is(pg_temp.batch(:m, ARRAY[:a, :b, :a, :a, :b, :a], '{deposit}', '{60,50,40,0.5,-1,30}', :cleo), 'done limit_exceeded done limit_exceeded invalid_amount limit_exceeded', 'what is refused takes nothing');
SELECT is(pg_temp.batch(:m, ARRAY[:a, :b, :a], '{accrue}', '{0,0,0}', :cleo), 'done done limit_exceeded', 'nor an operation');
SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'staff', 'add', 1000, NULL) \g /dev/null
SELECT is(pg_temp.batch(:m, ARRAY[:a, :b, :a], '{deposit}', '{3,3,2}', :cleo), 'limit_exceeded limit_exceeded limit_exceeded', 'what one limit refuses');
SELECT is(pg_temp.left_of(:p, 'staff', 'add', :cleo), '900/-', 'another does not count, but what the cashier has posted for her branch does');
SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'staff', 'add', 5, NULL, :ana) \g /dev/null
SELECT is(pg_temp.batch(:m, ARRAY[:a, :b, :a], '{deposit}', '{3,3,2}', :ana), 'limit_exceeded limit_exceeded done', 'what was deposited before counts');
SELECT is(pg_temp.left_of(:p, 'branch', 'add', :centro), '95/2', 'and only what was posted, for the branch');
SELECT loyalty.remove_limit(:m, loyalty.find_program(:m, 'P'), 'staff', 'add', :ana) \g /dev/null
SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'member', 'add', 7, NULL) \g /dev/null
SELECT loyalty.remove_limit(:m, loyalty.find_program(:m, 'P'), 'staff', 'add') \g /dev/null
SELECT loyalty.remove_limit(:m, loyalty.find_program(:m, 'P'), 'branch', 'add') \g /dev/null
SELECT is(pg_temp.batch(:m, ARRAY[:b, :a, :b, :a, :b, :other_program], '{deposit}', '{4,7,4,1,3,50}', :ana), 'done done limit_exceeded limit_exceeded done done', 'members in a batch');
SELECT is(pg_temp.batch(:m, ARRAY[:b, :a, :b], '{deposit,redeem,redeem}', '{4,7,4}', :ana), 'limit_exceeded done done', 'both ways in a batch');

-- --- what is limited, and what is not -------------------------------------------------

SELECT loyalty.remove_limit(:m, loyalty.find_program(:m, 'P'), 'member', 'add') \g /dev/null
SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'member', 'spend', 1000, 6) \g /dev/null
SELECT loyalty.open_account(:m, :p) AS d, loyalty.open_account(:m, :p) AS e \gset
SELECT entry_id AS deposit FROM loyalty.post(:m, :d, 'deposit', 2000) \gset
SELECT entry_id AS hold FROM loyalty.hold(:m, :d, 500) \gset
SELECT is(pg_temp.left_of(:p, 'member', 'spend', :d), '500/5', 'a hold spends');
SELECT lives_ok(format('SELECT loyalty.capture(%s, %s, %s, 100); SELECT loyalty.release(%s, %s, %s, in_full => true)', :m, :d, :hold, :m, :d, :hold), 'a capture and a release');
SELECT is(pg_temp.left_of(:p, 'member', 'spend', :d), '500/5', 'take nothing, and give nothing back');
SELECT pg_temp.refuses(format('SELECT loyalty.hold(%s, %s, ''500.0001'')', :m, :d), 'limit_exceeded', 'a hold of too much');
SELECT pg_temp.refuses(format('SELECT loyalty.transfer(%s, %s, %s, ''500.0001'')', :m, :d, :e), 'limit_exceeded', 'a transfer of too much');
SELECT entry_id AS transfer FROM loyalty.transfer(:m, :d, :e, 300) \gset
SELECT is(pg_temp.left_of(:p, 'member', 'spend', :d), '200/4', 'a transfer spends');
SELECT is(pg_temp.left_of(:p, 'member', 'spend', :e), NULL, 'of the sender');
SELECT lives_ok(format('SELECT loyalty.reverse(%s, %s, %s, reference => ''R1'', in_full => true)', :m, :d, :transfer), 'a transfer back');
SELECT is(pg_temp.left_of(:p, 'member', 'spend', :d) || coalesce(pg_temp.left_of(:p, 'member', 'spend', :e), ' none'), '500/5 none', 'gives back what it took to its day, and takes nothing from the other');
SELECT lives_ok(format('SELECT loyalty.reverse(%s, %s, %s, 700, ''R2'')', :m, :d, :deposit), 'nor does a deposit that is reversed');
SELECT is(pg_temp.left_of(:p, 'member', 'spend', :d), '500/5', 'however large');
SELECT is((SELECT error FROM loyalty.post_batch(:m, ARRAY[:d], '{redeem}', '{1}') LIMIT 1), NULL, 'a redemption is one operation more');
SELECT loyalty.post(:m, :d, 'redeem', '9', member_id => :e) \g /dev/null
SELECT is(pg_temp.left_of(:p, 'member', 'spend', :d) || ' ' || pg_temp.left_of(:p, 'member', 'spend', :e), '499/4 991/5', 'who acts for somebody else''s account has a limit of his own');
SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'member', 'add', 50, NULL) \g /dev/null
SELECT lives_ok(format('SELECT loyalty.post(%s, %s, ''accrue'', 30, available_at => now() + interval ''1 day'')', :m, :e), 'points that are pending');
SELECT is(pg_temp.left_of(:p, 'member', 'add', :e), '20/-', 'count when they are posted');
SELECT is(pg_temp.posts(:m, :e, 'deposit', '21'), 'limit_exceeded', 'as all that adds');
SELECT loyalty.remove_limit(:m, loyalty.find_program(:m, 'P'), 'member', 'spend') \g /dev/null

-- --- days ----------------------------------------------------------------------------------------

-- These two never have the same date.
SELECT loyalty.configure_program(:m, loyalty.find_program(:m, 'P'), json_build_object('time_zone', 'Pacific/Pago_Pago')) \g /dev/null
SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'branch', 'add', NULL, 1000, :centro) \g /dev/null
SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'member', 'add', NULL, 2) \g /dev/null
SELECT loyalty.open_account(:m, :p) AS c \gset
SELECT is(pg_temp.batch(:m, ARRAY[:c, :c, :c], '{deposit}', '{1,1,1}', :ana), 'done done limit_exceeded', 'two a day');
SELECT loyalty.configure_program(:m, loyalty.find_program(:m, 'P'), json_build_object('time_zone', 'Pacific/Kiritimati')) \g /dev/null
SELECT is(pg_temp.left_of(:p, 'member', 'add', :c), NULL, 'another day: all is left');
SELECT is(pg_temp.posts(:m, :c, 'deposit', '1', :ana), 'done', 'and can be taken');
SELECT is(pg_temp.left_of(:p, 'member', 'add', :c) || ' ' || pg_temp.left_of(:p, 'branch', 'add', :centro), '-/1 -/999', 'the branch begins anew too');
SELECT is((SELECT DISTINCT day FROM loyalty.allowances WHERE program_id = :p AND direction = 'add'), (now() AT TIME ZONE 'Pacific/Kiritimati')::date, 'the day is the program''s');
SELECT loyalty.configure_program(:m, loyalty.find_program(:m, 'P'), json_build_object('time_zone', 'Pacific/Pago_Pago')) \g /dev/null
SELECT is(pg_temp.batch(:m, ARRAY[:c, :c], '{deposit}', '{1,1}', :ana), 'done limit_exceeded', 'a day that has begun is not begun again');
SELECT is(pg_temp.left_of(:p, 'branch', 'add', :centro), '-/998', 'nor the branch''s');
UPDATE loyalty_internal.allowance SET day = day - 2;
SELECT is(pg_temp.batch(:m, ARRAY[:c, :c, :c], '{deposit}', '{1,1,1}', :ana), 'done done limit_exceeded', 'tomorrow two more');
SELECT is(pg_temp.left_of(:p, 'branch', 'add', :centro), '-/998', 'of a thousand');
UPDATE loyalty_internal.allowance SET day = day - 1;
SELECT is(pg_temp.posts(:m, :c, 'deposit', '1', :ana), 'done', 'and the day after');
SELECT is(pg_temp.left_of(:p, 'branch', 'add', :centro), '-/999', 'one by one');

-- --- no limits ---------------------------------------------------------------------------------

SELECT loyalty.remove_limit(:m, loyalty.find_program(:m, 'P'), 'branch', 'add', :centro) \g /dev/null
SELECT is((SELECT has_limits FROM loyalty_internal.program WHERE program_id = :p), true, 'one is left');
SELECT loyalty.remove_limit(:m, loyalty.find_program(:m, 'P'), 'member', 'add') \g /dev/null
SELECT is((SELECT has_limits FROM loyalty_internal.program WHERE program_id = :p), false, 'none is left');
SELECT is(pg_temp.batch(:m, ARRAY[:c, :c, :c], '{deposit}', '{1,1,1}', :ana), 'done done done', 'and nothing limited');
SELECT is_empty('SELECT * FROM loyalty.allowances', 'nobody has anything left of nothing');
SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');

-- --- against a model -----------------------------------------------------------------------------

SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), v.scope, v.direction, v.points::loyalty.points, v.operations, v.subject)
FROM (VALUES ('staff', 'add', '300', 40, NULL::bigint), ('staff', 'spend', '250', NULL, NULL), ('branch', 'add', NULL, 60, NULL), ('branch', 'spend', '400', 55, NULL), ('member', 'add', '140', NULL, NULL), ('member', 'spend', '130', 25, NULL),
	('staff', 'add', NULL, 30, :beto), ('member', 'spend', NULL, 12, :a), ('branch', 'spend', '60', NULL, :centro)) v (scope, direction, points, operations, subject) \g /dev/null
UPDATE loyalty_internal.allowance SET day = day - 10;
CREATE TEMP TABLE used (scope text, subject bigint, direction text, points numeric, operations bigint, PRIMARY KEY (scope, subject, direction));
CREATE TEMP TABLE has AS SELECT account_id AS account, balance::numeric AS balance FROM loyalty_internal.account WHERE program_id = :p;

-- The answers that a batch should get.
CREATE FUNCTION pg_temp.expected(merchant bigint, program bigint, accounts bigint[], amounts text[], staff bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answers text[] := '{}';
	answer text;
	size numeric;
	way text;
BEGIN
	FOR i IN 1 .. cardinality(accounts) LOOP
		size := abs(amounts[i]::numeric);
		way := CASE WHEN amounts[i]::numeric < 0 THEN 'spend' ELSE 'add' END;
		CREATE TEMP TABLE applies ON COMMIT DROP AS
		SELECT DISTINCT ON (s.scope) s.scope, s.subject, l.max_points, l.max_operations
		FROM (SELECT 'staff' AS scope, staff AS subject UNION ALL SELECT 'member', accounts[i]
			  UNION ALL SELECT 'branch', x.branch_id FROM loyalty_internal.staff x WHERE x.merchant_id = merchant AND x.staff_id = staff) s
		JOIN loyalty.limits l ON l.program_id = program AND l.scope = s.scope AND l.direction = way AND coalesce(l.subject_id, s.subject) = s.subject
		WHERE s.subject IS NOT NULL ORDER BY s.scope, l.subject_id NULLS LAST;
		answer := CASE
			WHEN way = 'spend' AND (SELECT balance < size FROM has WHERE account = accounts[i]) THEN 'insufficient_points'
			WHEN EXISTS (SELECT FROM applies a LEFT JOIN used u ON u.scope = a.scope AND u.subject = a.subject AND u.direction = way
						 WHERE coalesce(u.points, 0) + size > a.max_points::numeric OR coalesce(u.operations, 0) + 1 > a.max_operations) THEN 'limit_exceeded'
			ELSE 'done' END;
		IF answer = 'done' THEN
			INSERT INTO used AS u SELECT a.scope, a.subject, way, size, 1 FROM applies a
			ON CONFLICT (scope, subject, direction) DO UPDATE SET points = u.points + excluded.points, operations = u.operations + 1;
			UPDATE has SET balance = balance + amounts[i]::numeric WHERE account = accounts[i];
		END IF;
		DROP TABLE applies;
		answers := answers || answer;
	END LOOP;
	RETURN array_to_string(answers, ' ');
END
$$;

SELECT setseed(0.25) \g /dev/null
CREATE TEMP TABLE batches AS
SELECT n, (ARRAY[:ana, :beto, :cleo, NULL])[1 + floor(random() * 4)::integer] AS staff, x.*
FROM generate_series(1, 150) n, LATERAL (
	SELECT array_agg((ARRAY[:a, :b, :c])[1 + floor(random() * 3)::integer]) AS accounts,
		   array_agg(((CASE WHEN random() < 0.5 THEN -1 ELSE 1 END) * round((0.0001 + random() * random() * 30)::numeric, 4))::text) AS amounts
	FROM generate_series(1, 1 + (n % 3) * (n % 4))) x;
CREATE TEMP TABLE answers (n integer, got text, expected text);
DO $$
DECLARE
	b record;
	merchant bigint := (SELECT merchant_id FROM loyalty.limits LIMIT 1);
	program bigint := (SELECT program_id FROM loyalty.limits LIMIT 1);
BEGIN
	FOR b IN SELECT * FROM batches ORDER BY n LOOP
		IF cardinality(b.accounts) = 1 THEN
			INSERT INTO answers SELECT b.n, pg_temp.posts(merchant, b.accounts[1], 'adjust', b.amounts[1], b.staff), pg_temp.expected(merchant, program, b.accounts, b.amounts, b.staff);
		ELSE
			INSERT INTO answers SELECT b.n, pg_temp.batch(merchant, b.accounts, '{adjust}', b.amounts, b.staff), pg_temp.expected(merchant, program, b.accounts, b.amounts, b.staff);
		END IF;
	END LOOP;
END
$$;
SELECT is_empty('SELECT a.*, b.amounts, b.staff FROM answers a JOIN batches b USING (n) WHERE got IS DISTINCT FROM expected ORDER BY n', '150 random batches are answered as the model answers them');
SELECT cmp_ok((SELECT count(*) FROM answers, regexp_split_to_table(got, ' ') x WHERE x = code), '>', 50::bigint, 'among them many ' || code) FROM unnest('{done,limit_exceeded}'::text[]) code;
SELECT is_empty($$SELECT u.*, a.points_used, a.operations_used FROM used u LEFT JOIN loyalty.allowances a ON a.scope = u.scope AND a.direction = u.direction AND a.subject_id = u.subject
	WHERE a.points_used::numeric IS DISTINCT FROM u.points OR a.operations_used IS DISTINCT FROM u.operations$$, 'and counted as it counts');

-- The seller API says it in its own words.
SELECT client_id AS client FROM loyalty.create_program(:m, 'Con límite') \gset
SELECT loyalty.set_limit(:m, loyalty.find_program(:m, :'client'), 'member', 'add', 100, NULL) \g /dev/null
SELECT loyalty.seller_member_create(:m, :'client', 'ana@example.com', 'Ana', 'Ruiz', client_id => 'CM1') \g /dev/null
SELECT results_eq(format($$SELECT i.status, i.description, i."totalPoints"::text FROM json_to_recordset(loyalty.seller_deposit(%s, '[
	{"programId": "%2$s", "memberId": "CM1", "amount": 60, "comments": "x"}, {"programId": "%2$s", "memberId": "CM1", "amount": 60, "comments": "x"},
	{"programId": "%2$s", "memberId": "CM1", "amount": 40, "comments": "x"}]')) i (status text, description text, "totalPoints" loyalty.points)$$, :m, :'client'),
	$$VALUES ('success', '', '60'), ('error', 'Se excede un límite del programa', '0'), ('success', '', '100')$$, 'the seller API refuses the item');

-- One at a time, which takes another way; what is refused is as if it had not been.
SELECT loyalty.seller_member_create(:m, :'client', 'eva@example.com', 'Eva', 'Ruiz', client_id => 'CM2') \g /dev/null
CREATE FUNCTION pg_temp.seller(operation text, merchant bigint, client text, amount numeric) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer json;
BEGIN
	EXECUTE format('SELECT loyalty.%I($1, $2)', 'seller_' || operation) INTO answer USING merchant, json_build_array(json_build_object(
		'programId', client, 'memberId', 'CM2', 'amount', amount, 'amountCurrency', amount, 'comments', 'x', 'clientId', 'x'));
	RETURN concat_ws(' ', answer->0->>'status', nullif(answer->0->>'description', ''), answer->0->>'totalPoints');
END
$$;
CREATE FUNCTION pg_temp.account_of(client text) RETURNS loyalty_internal.account LANGUAGE sql AS $$SELECT a FROM loyalty_internal.account a JOIN loyalty_internal.member m USING (merchant_id, account_id) WHERE m.client_id = client$$;
SELECT is(pg_temp.seller('deposit', :m, :'client', amount), expected, format('a deposit of %s: %s', amount, expected))
FROM (VALUES (1, 50, 'success 50'), (2, 20, 'success 70')) v (n, amount, expected) ORDER BY n;
SELECT pg_temp.account_of('CM2')::text AS account \gset
SELECT is(pg_temp.seller('deposit', :m, :'client', 31), 'error Se excede un límite del programa 0', 'a deposit of more than is left');
SELECT is(pg_temp.account_of('CM2')::text, :'account', 'leaves the account as it was');
SELECT is(pg_temp.left_of((SELECT program_id FROM loyalty_internal.program WHERE client_id = :'client'), 'member', 'add', (pg_temp.account_of('CM2')).account_id), '30/-', 'and the limit');
SELECT is(pg_temp.seller('deposit', :m, :'client', 30), 'success 100', 'a deposit of all that is left');
SELECT is((SELECT earned::text || ' ' || entry_no FROM pg_temp.account_of('CM2')), '100 3', 'is earned');
SELECT is((SELECT count(*) || ' ' || min(entry_no) || ' ' || max(entry_no) FROM loyalty.entry WHERE account_id = (pg_temp.account_of('CM2')).account_id), '3 1 3', 'three entries');
SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');

-- So does the wallet's: cashier, branch and member.
SELECT wallet_key AS w FROM loyalty.create_wallet(:m, 'Monedero', 10) \gset
SELECT loyalty.set_limit(:m, loyalty.find_program(:m, p.client_id), v.scope, 'spend', v.points::loyalty.points, NULL) FROM loyalty_internal.program p, (VALUES ('staff', '70'), ('branch', '100'), ('member', '50')) v (scope, points) WHERE p.wallet_key = :'w' \g /dev/null
SELECT loyalty.wallet_contact_add(:m, :'w', phone, 'Eva', :ana) FROM unnest('{4771230001,4771230002,4771230003}'::text[]) phone \g /dev/null
CREATE FUNCTION pg_temp.sells(merchant bigint, wallet text, phone text, kind integer, amount text, staff bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	code text;
BEGIN
	RETURN loyalty.wallet_sale(merchant, wallet, phone, kind, amount::numeric, amount::numeric, staff, 'T');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = PG_EXCEPTION_DETAIL;
	RETURN code;
END
$$;
SELECT is(pg_temp.sells(:m, :'w', phone, kind, amount, staff), expected, format('%s of %s to %s: %s', CASE kind WHEN 0 THEN 'a sale' ELSE 'a redemption' END, amount, phone, expected))
FROM (VALUES (1, '4771230001', 0, '1000', :ana, '100'), (2, '4771230002', 0, '1000', :ana, '100'), (3, '4771230003', 0, '1000', :cleo, '100'),
	(4, '4771230001', 1, '51', :ana, 'limit_exceeded'), (5, '4771230001', 1, '40', :ana, '60'), (6, '4771230001', 1, '11', :beto, 'limit_exceeded'),
	(7, '4771230002', 1, '31', :ana, 'limit_exceeded'), (8, '4771230002', 1, '30', :ana, '70'), (9, '4771230003', 1, '31', :beto, 'limit_exceeded'),
	(10, '4771230003', 1, '30', :beto, '70'), (11, '4771230003', 1, '21', :cleo, 'limit_exceeded'), (12, '4771230003', 1, '20', :cleo, '50'), (13, '4771230001', 0, '10', :beto, '61'))
	v (n, phone, kind, amount, staff, expected) ORDER BY n;
SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');

SELECT * FROM finish();
ROLLBACK;
