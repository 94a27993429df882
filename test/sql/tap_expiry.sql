-- Points that expire: terms, the dates that points get by them, and in which
-- order points are spent.  What takes time to pass is in 44_expiry.pl.
SET timezone = 'UTC';
SET intervalstyle = 'postgres';
-- It is noon in Mexico City, so that no day ends meanwhile.
COPY (SELECT (18 * 3600 - extract(epoch FROM clock_timestamp()) % 86400 + 86400) % 86400) TO PROGRAM '../advance_clock';
\ir ../tap.sql

SELECT loyalty.create_merchant('Uno') AS merchant \gset
SELECT loyalty.create_merchant('Dos') AS other \gset
SELECT loyalty.employee_add(:merchant, 'cajero', 'Ana', 'Centro', '4771000001', 'secreto') AS staff \gset

CREATE FUNCTION pg_temp.program(merchant bigint, id text, unit text, value integer, zone text DEFAULT 'UTC') RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	RETURN (loyalty.create_program(merchant, 'Programa ' || id, id, json_build_object('duration_unit', unit, 'duration_value', value, 'time_zone', zone))).program_id;
END
$$;
CREATE FUNCTION pg_temp.post(merchant bigint, account bigint, kind text, amount text, expires_at timestamptz DEFAULT NULL) RETURNS text LANGUAGE sql AS
'SELECT p.balance::text FROM loyalty.post(merchant, account, kind, amount::loyalty.points, expires_at => post.expires_at) p';
-- "balance expired"
CREATE FUNCTION pg_temp.has(account bigint) RETURNS text LANGUAGE sql AS
'SELECT b.balance || '' '' || b.expired FROM loyalty.balances b WHERE b.account_id = account';
-- what is left by its date, in the order in which it is spent
CREATE FUNCTION pg_temp.left_of(merchant bigint, account bigint) RETURNS text LANGUAGE sql AS
'SELECT string_agg(coalesce(to_char(l.expires_at, ''YYYY-MM-DD'') || '' '', '''') || l.points, '', '') FROM loyalty.lots_of(merchant, account) l';
-- the place of an entry in its account
CREATE FUNCTION pg_temp.entry_no(id bigint) RETURNS bigint LANGUAGE sql AS
'SELECT e.entry_no FROM loyalty.entry e WHERE e.entry_id = id';
-- the entries of an account: "kind amount", in order
CREATE FUNCTION pg_temp.history(account bigint) RETURNS text LANGUAGE sql AS
'SELECT string_agg(e.kind || '' '' || e.amount, '', '' ORDER BY e.entry_no) FROM loyalty.entries e WHERE e.account_id = account';
CREATE FUNCTION pg_temp.lots_of_entry(account bigint, no bigint DEFAULT NULL) RETURNS text LANGUAGE sql AS
'SELECT e.lots::text FROM loyalty.entries e WHERE e.account_id = account AND (no IS NULL OR e.entry_no = no) ORDER BY e.entry_no DESC LIMIT 1';

-- --- terms -----------------------------------------------------------------------------

SELECT pg_temp.program(:merchant, 'T', 'month', 0) AS program \gset
SELECT results_eq($$SELECT expiry, expiry_date IS NULL, duration_unit, duration_value, pending_days, shortfall, reinstatement_days FROM loyalty.programs WHERE client_id = 'T'$$,
	$$VALUES ('rolling', true, 'month', 0, 0, 'refuse', 0)$$, 'points of a new program do not expire');
SELECT pg_temp.refuses(format('SELECT loyalty.configure_program(%s, %s, %L)', :merchant, :program, settings), 'invalid_argument', 'no terms: ' || settings)
FROM unnest(ARRAY['{"expiry": "fixed"}', '{"expiry": "weekly"}', '{"expiry": ""}', '{"expiry_date": "1999-12-31"}', '{"expiry": "fixed", "expiry_date": "infinity"}', '{"duration_unit": "week"}',
	'{"duration_value": -1}', '{"duration_value": 1201}', '{"pending_days": -1}', '{"pending_days": 3651}', '{"reinstatement_days": -1}', '{"reinstatement_days": 3651}', '{"shortfall": "forgive"}',
	'{"shortfall": ""}', '{"time_zone": "America/Atlantis"}', '{"time_zone": ""}']) settings;
SELECT results_eq($$SELECT expiry, expiry_date IS NULL, duration_unit, duration_value, pending_days, shortfall, reinstatement_days, time_zone FROM loyalty.programs WHERE client_id = 'T'$$,
	$$VALUES ('rolling', true, 'month', 0, 0, 'refuse', 0, 'UTC')$$, 'what was refused has changed nothing');
SELECT lives_ok(format('SELECT loyalty.configure_program(%s, %s, %L)', :merchant, :program, settings), 'terms: ' || settings)
FROM unnest(ARRAY['{"expiry": "fixed", "expiry_date": "2000-01-01"}', '{"expiry": "year_end"}', '{"expiry": "fixed"}', '{"expiry_date": "9999-12-31"}', '{"duration_value": 1200}', '{"pending_days": 3650}',
	'{"reinstatement_days": 3650}', '{"shortfall": "negative"}', '{"shortfall": "partial"}']) settings;
SELECT results_eq($$SELECT expiry, expiry_date, duration_value, pending_days, shortfall, reinstatement_days FROM loyalty.programs WHERE client_id = 'T'$$,
	$$VALUES ('fixed', '9999-12-31'::date, 1200, 3650, 'partial', 3650)$$, 'they are kept');
SELECT pg_temp.refuses(format('SELECT loyalty.configure_program(%s, %s, ''{"expiry": "month_end"}'')', :other, :program), 'unknown_object', 'nobody sets the terms of another merchant');

-- --- when points expire --------------------------------------------------------------

-- The end of the local day, month, quarter or year in which the duration ends.
CREATE FUNCTION pg_temp.end_of(expiry text, unit text, value integer, zone text, posted_at timestamptz) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
	day date := (posted_at AT TIME ZONE zone)::date;
BEGIN
	day := (day + make_interval(years => CASE unit WHEN 'year' THEN value ELSE 0 END, months => CASE unit WHEN 'month' THEN value ELSE 0 END,
		days => CASE unit WHEN 'day' THEN value ELSE 0 END))::date;
	RETURN CASE expiry
		WHEN 'rolling' THEN day + 1
		WHEN 'month_end' THEN make_date(extract(year FROM day)::integer, extract(month FROM day)::integer, 1) + interval '1 month'
		WHEN 'quarter_end' THEN make_date(extract(year FROM day)::integer, 3 * extract(quarter FROM day)::integer - 2, 1) + interval '3 months'
		WHEN 'year_end' THEN make_date(extract(year FROM day)::integer + 1, 1, 1)
	END::timestamp AT TIME ZONE zone;
END
$$;
CREATE FUNCTION pg_temp.expires_as_agreed(merchant bigint, expiry text, unit text, value integer, zone text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	id text := replace(concat_ws(' ', expiry, unit, value, zone), '/', '-');
	account bigint := loyalty.open_account(merchant, pg_temp.program(merchant, id, unit, value, zone));
BEGIN
	PERFORM loyalty.configure_program(merchant, loyalty.find_program(merchant, id), json_build_object('expiry', expiry));
	PERFORM loyalty.post(merchant, account, 'deposit', '1.5');
	RETURN (SELECT array_agg(ROW(l.expires_at, l.points::text)) = ARRAY[ROW(pg_temp.end_of(expiry, unit, value, zone, e.posted_at), '1.5'::text)]
			FROM loyalty.lots_of(merchant, account) l, loyalty.entry e WHERE e.account_id = account GROUP BY e.posted_at);
END
$$;
SELECT ok(pg_temp.expires_as_agreed(:merchant, expiry, unit, value, zone), format('%s, %s %s in %s', expiry, value, unit, zone))
FROM unnest('{rolling,month_end,quarter_end,year_end}'::text[]) expiry,
	(VALUES ('day', 0), ('month', 0), ('day', 1), ('day', 180), ('day', 1200), ('month', 1), ('month', 6), ('month', 13), ('year', 1), ('year', 100)) d (unit, value),
	(VALUES ('America/Mexico_City'), ('America/Tijuana'), ('Europe/Madrid'), ('UTC'), ('Pacific/Chatham'), ('Pacific/Kiritimati'), ('America/St_Johns')) z (zone)
WHERE expiry <> 'rolling' OR value > 0;

CREATE FUNCTION pg_temp.fixed(merchant bigint, day date, zone text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	id text := replace(concat_ws(' ', 'fixed', day, zone), '/', '-');
	account bigint := loyalty.open_account(merchant, pg_temp.program(merchant, id, 'day', 5, zone));
BEGIN
	PERFORM loyalty.configure_program(merchant, loyalty.find_program(merchant, id), json_build_object('expiry', 'fixed', 'expiry_date', day));
	PERFORM loyalty.post(merchant, account, 'deposit', '1');
	RETURN (SELECT coalesce((l.expires_at - (day + 1)::timestamp AT TIME ZONE zone)::text, 'never') FROM loyalty.lots_of(merchant, account) l);
END
$$;
SELECT is(pg_temp.fixed(:merchant, (now() AT TIME ZONE zone)::date + days, zone), CASE WHEN days >= 0 THEN '00:00:00' ELSE 'never' END, format('fixed at the end of the day %s days from today in %s', days, zone))
FROM unnest('{-1000,-1,0,1,1000}'::integer[]) days, unnest('{UTC,America/Mexico_City,Pacific/Kiritimati}'::text[]) zone;

-- Several programs and moments in one batch.
SELECT pg_temp.program(:merchant, 'P1', 'day', 10) AS first \gset
SELECT pg_temp.program(:merchant, 'P2', 'day', 20) AS second \gset
SELECT loyalty.open_account(:merchant, :first) AS a, loyalty.open_account(:merchant, :second) AS b \gset
SELECT loyalty.post_batch(:merchant, ARRAY[:a, :b, :a, :b]::bigint[], '{deposit,accrue,deposit,accrue}', '{1,2,4,8}', available_at => ARRAY[NULL, NULL, now() + interval '5 days', NULL]) \g /dev/null
SELECT is(pg_temp.left_of(:merchant, account), to_char(now() + days * interval '1 day', 'YYYY-MM-DD ') || points, 'one batch, program of ' || days - 1 || ' days')
FROM (VALUES (:a, 11, '1'), (:b, 21, '10')) v (account, days, points);
SELECT is((SELECT e.lots::text FROM loyalty.entries e WHERE e.account_id = :a AND e.entry_no = 2), to_char(now() + interval '16 days', '"{"YYYY-MM-DD"T00:00:00Z=4}"'), 'pending points last from the day they become available');

-- --- points with a date of their own -----------------------------------------------------

SELECT pg_temp.program(:merchant, 'A', 'day', 30) AS program \gset
SELECT loyalty.open_account(:merchant, :program) AS a \gset
SELECT to_char(now() + interval '31 days', 'YYYY-MM-DD') AS usual \gset
SELECT pg_temp.post(:merchant, :a, kind, amount, expires_at) FROM (VALUES ('accrue', '100', NULL), ('deposit', '50', '2091-03-01T06:00Z'::timestamptz), ('deposit', '5', now() + interval '3 days'),
	('adjust', '7', '2091-03-01T06:00Z'), ('accrue', '1', 'infinity')) v (kind, amount, expires_at) \g /dev/null
SELECT is(pg_temp.left_of(:merchant, :a), to_char(now() + interval '3 days', 'YYYY-MM-DD') || ' 5, ' || :'usual' || ' 100, 2091-03-01 57, 1', 'promotional points have dates of their own, beside the ordinary ones');
SELECT is(pg_temp.has(:a), '163 0', 'all can be spent');
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, %s)', :merchant, :a, arguments), 'invalid_argument', 'no date: ' || arguments)
FROM unnest(ARRAY['''deposit'', ''1'', expires_at => now() - interval ''1 second''', '''deposit'', ''1'', expires_at => now() - interval ''1 day''', '''accrue'', ''1'', expires_at => ''-infinity''', '''adjust'', ''1'', expires_at => ''2000-01-01''',
	'''deposit'', ''1'', available_at => ''2090-01-02'', expires_at => ''2090-01-01''', '''deposit'', ''1'', available_at => ''2090-01-02'', expires_at => ''2090-01-02''', '''deposit'', ''1'', available_at => ''infinity''',
	'''adjust'', ''1'', available_at => ''2090-01-01''', '''redeem'', ''1'', expires_at => ''2090-01-01''', '''adjust'', ''-1'', expires_at => ''2090-01-01''', '''redeem'', ''1'', available_at => ''2090-01-01''']) arguments;
SELECT is(pg_temp.has(:a), '163 0', 'what was refused changes nothing');

SELECT loyalty.open_account(:merchant, :program) AS r \gset
SELECT pg_temp.post(:merchant, :r, 'deposit', '1', expires_at::timestamptz) FROM unnest('{2091-01-01 00:00:00.000001+00,2091-01-01 00:00:01+00,2091-01-01 00:00:00.999999+00,2091-01-01 00:00:00+00,2091-01-01 00:00:01.5+00}'::text[]) expires_at \g /dev/null
SELECT is((SELECT lots::text FROM loyalty_internal.account WHERE account_id = :r), '{2091-01-01T00:00:00Z=1,2091-01-01T00:00:01Z=3,2091-01-01T00:00:02Z=1}', 'dates are whole seconds, and rounded up');

-- --- what is spent first --------------------------------------------------------------------

SELECT pg_temp.program(:merchant, 'S', 'day', 0) AS program \gset
SELECT loyalty.open_account(:merchant, :program) AS s, loyalty.open_account(:merchant, :program) AS s2 \gset
SELECT pg_temp.post(:merchant, :s, 'deposit', amount, expires_at) FROM (VALUES ('1000', NULL), ('30', '2093-01-01'::timestamptz), ('10', '2091-01-01'), ('20', '2092-01-01')) v (amount, expires_at) \g /dev/null
SELECT is(pg_temp.left_of(:merchant, :s), '2091-01-01 10, 2092-01-01 20, 2093-01-01 30, 1000', 'four kinds of points, whatever their order');
SELECT is(pg_temp.post(:merchant, :s, 'redeem', '15'), '1045', '15 are spent');
SELECT is(pg_temp.lots_of_entry(:s), '{2091-01-01T00:00:00Z=10,2092-01-01T00:00:00Z=5}', 'those that expire first');
SELECT is(pg_temp.left_of(:merchant, :s), '2092-01-01 15, 2093-01-01 30, 1000', 'and they are gone');
SELECT is(pg_temp.post(:merchant, :s, 'adjust', '-1'), '1044', 'a correction down');
SELECT is(pg_temp.left_of(:merchant, :s), '2092-01-01 14, 2093-01-01 30, 1000', 'does the same');
SELECT entry_id AS hold, balance FROM loyalty.hold(:merchant, :s, '54') \gset
SELECT is(:'balance'::text, '990', 'a hold');
SELECT is(pg_temp.lots_of_entry(:s), '{2092-01-01T00:00:00Z=14,2093-01-01T00:00:00Z=30}', 'reserves those that expire first');
SELECT is(pg_temp.left_of(:merchant, :s), '990', 'what never expires comes last');
SELECT loyalty.capture(:merchant, :s, :hold, '20') \g /dev/null
SELECT is(pg_temp.lots_of_entry(:s), '{2092-01-01T00:00:00Z=14,2093-01-01T00:00:00Z=6}', 'a part of it is captured: those that expire first');
SELECT loyalty.release(:merchant, :s, :hold, '11') \g /dev/null
SELECT is(pg_temp.left_of(:merchant, :s), '2093-01-01 1, 1000', 'a part is released: those that expire last');
SELECT loyalty.release(:merchant, :s, :hold, in_full => true) \g /dev/null
SELECT is(pg_temp.left_of(:merchant, :s), '2093-01-01 24, 1000', 'and then the rest');
SELECT is(balance || ' ' || peer_balance, '1000 24', 'a transfer of 24') FROM loyalty.transfer(:merchant, :s, :s2, '24');
SELECT is(pg_temp.left_of(:merchant, :s) || ' and ' || pg_temp.left_of(:merchant, :s2), '1000 and 2093-01-01 24', 'takes those that expire, with their date');
SELECT is(pg_temp.post(:merchant, :s, 'redeem', '1000'), '0', 'all is spent');
SELECT is(pg_temp.lots_of_entry(:s), NULL::text, 'of no date');
SELECT is(pg_temp.left_of(:merchant, :s), NULL::text, 'nothing is left');
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, ''redeem'', ''24.0001'')', :merchant, :s2), 'insufficient_points', 'no more can be spent than there is');

SELECT loyalty.open_account(:merchant, :program) AS batched \gset
SELECT results_eq(format($$SELECT b.error, b.balance::text FROM loyalty.post_batch(%s, array_fill(%s::bigint, '{5}'), '{deposit,deposit,redeem,redeem,redeem}', '{10,5,7,8.0001,8}', expires_at => '{2092-01-01 00:00+00,2091-01-01 00:00+00,NULL,NULL,NULL}') b$$, :merchant, :batched), $$VALUES (NULL, '10'), (NULL, '15'), (NULL, '8'), ('insufficient_points', NULL), (NULL, '0')$$, 'a batch');
SELECT results_eq(format('SELECT lots::text FROM loyalty.entry WHERE account_id = %s ORDER BY entry_no', :batched),
	$$VALUES ('{2092-01-01T00:00:00Z=10}'), ('{2091-01-01T00:00:00Z=5}'), ('{2091-01-01T00:00:00Z=5,2092-01-01T00:00:00Z=2}'), ('{2092-01-01T00:00:00Z=8}')$$, 'spends in the same order');

-- A sale that earned nothing has no date.
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'S'), json_build_object('duration_value', 10)) \g /dev/null
SELECT loyalty.open_account(:merchant, :program) AS nothing \gset
SELECT is(pg_temp.post(:merchant, :nothing, 'accrue', '0'), '0', 'a sale that earns nothing');
SELECT is((SELECT coalesce(lots::text, 'none') || ' ' || coalesce(due_at::text, 'nothing due') FROM loyalty_internal.account WHERE account_id = :nothing), 'none nothing due', 'leaves nothing that expires');

-- --- durations that change ---------------------------------------------------------------------

SELECT pg_temp.program(:merchant, 'D', 'day', 60) AS program \gset
SELECT loyalty.open_account(:merchant, :program) AS d \gset
CREATE FUNCTION pg_temp.in_days(merchant bigint, account bigint) RETURNS text LANGUAGE sql AS
'SELECT string_agg(coalesce(l.expires_at::date - now()::date || '': '', ''never: '') || l.points, '', '') FROM loyalty.lots_of(merchant, account) l';
SELECT pg_temp.post(:merchant, :d, 'deposit', '100') \g /dev/null
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'D'), json_build_object('duration_value', 10)) \g /dev/null
SELECT is(pg_temp.in_days(:merchant, :d), '61: 100', 'a shorter duration leaves what was issued');
SELECT pg_temp.post(:merchant, :d, 'deposit', '20') \g /dev/null
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'D'), json_build_object('duration_value', 90)) \g /dev/null
SELECT pg_temp.post(:merchant, :d, 'deposit', '7') \g /dev/null
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'D'), json_build_object('expiry', 'fixed', 'expiry_date', now()::date + 200)) \g /dev/null
SELECT pg_temp.post(:merchant, :d, 'deposit', '2') \g /dev/null
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'D'), json_build_object('expiry', 'rolling', 'duration_value', 0)) \g /dev/null
SELECT pg_temp.post(:merchant, :d, 'deposit', '3') \g /dev/null
SELECT is(pg_temp.in_days(:merchant, :d), '11: 20, 61: 100, 91: 7, 201: 2, never: 3', 'points keep the date of the terms they were issued under');
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'D'), json_build_object('duration_value', 1, 'time_zone', 'Pacific/Kiritimati')) \g /dev/null
SELECT is(pg_temp.in_days(:merchant, :d), '11: 20, 61: 100, 91: 7, 201: 2, never: 3', 'another time zone changes none');
SELECT entry_id AS hold FROM loyalty.hold(:merchant, :d, '25') \gset
SELECT loyalty.release(:merchant, :d, :hold, in_full => true) \g /dev/null
SELECT is(pg_temp.in_days(:merchant, :d), '11: 20, 61: 100, 91: 7, 201: 2, never: 3', 'what was held comes back with its dates');
SELECT entry_id AS redeemed FROM loyalty.post(:merchant, :d, 'redeem', '130') \gset
SELECT loyalty.reverse(:merchant, :d, :redeemed, reference => 'devolución', in_full => true) \g /dev/null
SELECT is(pg_temp.in_days(:merchant, :d), '11: 20, 61: 100, 91: 7, 201: 2, never: 3', 'what was spent and given back too');

-- --- very many dates --------------------------------------------------------------------------

SELECT pg_temp.program(:merchant, 'G', 'year', 1) AS program \gset
SELECT loyalty.open_account(:merchant, :program) AS g \gset
SELECT is((SELECT count(*) FROM loyalty.post_batch(:merchant, array_fill(:g::bigint, '{10000}'), '{deposit}', (SELECT array_agg(i::loyalty.points) FROM generate_series(1, 10000) i)) WHERE error IS NULL), 10000::bigint, '10,000 deposits');
SELECT is(pg_temp.left_of(:merchant, :g), to_char((now()::date + interval '1 year')::date + 1, 'YYYY-MM-DD') || ' 50005000', 'of one day are one lot');

SELECT loyalty.open_account(:merchant, :program) AS many \gset
CREATE TEMP TABLE promised AS SELECT '2091-01-01 00:00+00'::timestamptz + i * interval '1 hour' AS expires_at, i AS points FROM generate_series(1, 512) i;
SELECT count(*) FROM loyalty.post_batch(:merchant, array_fill(:many::bigint, '{512}'), '{deposit}', (SELECT array_agg(points::loyalty.points ORDER BY expires_at) FROM promised), expires_at => (SELECT array_agg(expires_at ORDER BY expires_at) FROM promised)) \g /dev/null
SELECT is((SELECT count(*) FROM loyalty.lots_of(:merchant, :many)), 512::bigint, '512 dates');
SELECT pg_temp.post(:merchant, :many, 'deposit', '1000', '2091-01-01 10:30+00') \g /dev/null
SELECT results_eq(format('SELECT points::text FROM loyalty.lots_of(%s, %s) WHERE expires_at BETWEEN ''2091-01-01 10:00+00'' AND ''2091-01-01 12:00+00''', :merchant, :many), $$VALUES ('10'), ('1011'), ('12')$$, 'a further one joins the next later one');
SELECT pg_temp.post(:merchant, :many, 'deposit', '2000', '2095-01-01 00:00+00') \g /dev/null
SELECT results_eq(format('SELECT expires_at, points::text FROM loyalty.lots_of(%s, %s) ORDER BY expires_at DESC LIMIT 2', :merchant, :many),
	$$VALUES ('2095-01-01 00:00+00'::timestamptz, '2512'), ('2091-01-22 07:00+00', '511')$$, 'later than all others it takes the last along');
INSERT INTO promised VALUES ('2091-01-01 10:30+00', 1000), ('2095-01-01 00:00+00', 2000);
INSERT INTO promised SELECT '2090-12-01 00:00+00'::timestamptz + (i * 7919 % 10007) * interval '17 minutes', i FROM generate_series(1, 1500) i;
SELECT count(*) FROM loyalty.post_batch(:merchant, array_fill(:many::bigint, '{1500}'), '{deposit}', (SELECT array_agg(i::loyalty.points ORDER BY i) FROM generate_series(1, 1500) i), expires_at => (SELECT array_agg('2090-12-01 00:00+00'::timestamptz + (i * 7919 % 10007) * interval '17 minutes' ORDER BY i) FROM generate_series(1, 1500) i)) \g /dev/null
SELECT is((SELECT count(*) || ' of ' || sum(points::numeric) FROM loyalty.lots_of(:merchant, :many)), '512 of ' || sum(points), '1,500 further dates fit in') FROM promised;
SELECT is_empty(format($$SELECT d.expires_at FROM promised d WHERE (SELECT sum(p.points) FROM promised p WHERE p.expires_at <= d.expires_at)
	< (SELECT coalesce(sum(l.points::numeric), 0) FROM loyalty.lots_of(%s, %s) l WHERE l.expires_at <= d.expires_at)$$, :merchant, :many), 'no point expires earlier than promised');
SELECT is(pg_temp.post(:merchant, :many, 'redeem', sum(points)::text), '0', 'all can be spent') FROM promised;

-- --- accounts that begin to track lots ------------------------------------------------------------

SELECT pg_temp.program(:merchant, 'E', 'day', 0) AS program \gset
SELECT loyalty.open_account(:merchant, :program) AS id, what INTO TEMP adopted FROM unnest('{promotion,hold,pending,transfer,terms,empty}'::text[]) what;
SELECT id AS promotion FROM adopted WHERE what = 'promotion' \gset
SELECT id AS hold FROM adopted WHERE what = 'hold' \gset
SELECT id AS pending FROM adopted WHERE what = 'pending' \gset
SELECT id AS transfer FROM adopted WHERE what = 'transfer' \gset
SELECT id AS terms FROM adopted WHERE what = 'terms' \gset
SELECT id AS empty FROM adopted WHERE what = 'empty' \gset
SELECT loyalty.post_batch(:merchant, array_fill(id, '{5}'), '{deposit,accrue,redeem,adjust,accrue}', '{100,10,20,3,5}') FROM adopted WHERE what <> 'empty' \g /dev/null
SELECT loyalty.reverse(:merchant, id, e.entry_id, reference => 'devolución', in_full => true) FROM adopted JOIN loyalty.entry e ON e.account_id = id AND e.entry_no = 5 \g /dev/null
CREATE FUNCTION pg_temp.sums(account bigint) RETURNS text LANGUAGE sql AS
'SELECT concat_ws('' '', a.balance, coalesce(a.earned::text, ''-''), coalesce(a.expired::text, ''-''), coalesce(a.held::text, ''-''), coalesce(a.pending::text, ''-'')) FROM loyalty_internal.account a WHERE a.account_id = account';
SELECT is(pg_temp.sums(id), CASE what WHEN 'empty' THEN '0 - - - -' ELSE '93 - - - -' END, 'without terms an account keeps no sums: ' || what) FROM adopted;
SELECT pg_temp.post(:merchant, :promotion, 'deposit', '50', '2091-01-01 00:00+00') \g /dev/null
SELECT is(pg_temp.sums(:promotion), '143 160 0 0 0', 'with its first date it does, from what it has earned so far');
SELECT is(pg_temp.left_of(:merchant, :promotion), '2091-01-01 50, 93', 'what was there before does not expire');
SELECT loyalty.hold(:merchant, :hold, '90') \g /dev/null
SELECT is(pg_temp.sums(:hold), '3 110 0 90 0', 'with its first hold');
SELECT loyalty.post(:merchant, :pending, 'deposit', '8', available_at => '2091-01-01') \g /dev/null
SELECT is(pg_temp.sums(:pending), '93 110 0 0 8', 'with its first pending points');
SELECT loyalty.transfer(:merchant, :promotion, :transfer, '60') \g /dev/null
SELECT is(pg_temp.sums(:promotion) || ', ' || pg_temp.sums(:transfer), '83 160 0 0 0, 153 110 0 0 0', 'or when it gets points that have dates');
SELECT is(pg_temp.left_of(:merchant, :transfer), '2091-01-01 50, 103', 'which it keeps');
SELECT is(pg_temp.sums(:terms), '93 - - - -', 'the others still do not');
SELECT pg_temp.refuses(format('SELECT loyalty.hold(%s, %s, ''93.0001'')', :merchant, :terms), 'insufficient_points', 'a hold that is refused');
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'E'), json_build_object('duration_value', 5)) \g /dev/null
SELECT is(pg_temp.sums(:terms), '93 110 0 0 0', 'until the program has terms');
SELECT is(pg_temp.sums(:empty), '0 0 0 0 0', 'an empty one too');
SELECT is(pg_temp.sums(:hold), '3 110 0 90 0', 'what was kept already stays');
SELECT is(pg_temp.left_of(:merchant, :terms), '93', 'points that were there do not expire');
SELECT is(pg_temp.post(:merchant, :terms, 'deposit', '50'), '143', 'new ones');
SELECT is(pg_temp.in_days(:merchant, :terms), '6: 50, never: 93', 'do');
SELECT is(pg_temp.sums(loyalty.open_account(:merchant, :program)), '0 0 0 0 0', 'accounts that are opened now keep sums');
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'E'), json_build_object('duration_value', 0)) \g /dev/null
SELECT is(pg_temp.in_days(:merchant, :terms), '6: 50, never: 93', 'points keep their date when the program no longer expires any');

-- --- the seller API --------------------------------------------------------------------------------

SELECT pg_temp.program(:merchant, 'B', 'day', 30) AS program \gset
SELECT wallet_key AS wallet FROM loyalty_internal.program WHERE program_id = :program \gset
SELECT loyalty.seller_member_create(:merchant, 'B', 'b@correo.example', 'B', 'B', client_id => 'B', phone => '5512340001') ->> 'id' AS b \gset
SELECT is(loyalty.seller_deposit(:merchant, '{"programId":"B","memberId":"B","amount":100,"comments":"x"}') -> 0 ->> 'totalPoints', '100', '100 points by the seller API');
SELECT is(loyalty.wallet_sale(:merchant, :'wallet', '5512340001', 0, 500, NULL, :staff)::text, '150', '50 by the wallet API');
SELECT is(pg_temp.in_days(:merchant, :b), '31: 150', 'expire alike');
-- an hour that is not over when it is posted, and is at the next look
SELECT pg_temp.post(:merchant, :b, 'deposit', '70', clock_timestamp() + interval '1 hour') \g /dev/null
SELECT is(loyalty.seller_member_balance(:merchant, 'B', 'B') ->> key, expected, 'member_balance: ' || key) FROM (VALUES ('balance', '220'), ('expiredAmount', '0')) v (key, expected);
COPY (SELECT 3601) TO PROGRAM '../advance_clock';
SELECT is(loyalty.seller_redemption(:merchant, '{"programId":"B","memberId":"B","amount":150.01,"amountCurrency":150.01,"comments":"x"}') -> 0 ->> 'description', 'El miembro no tiene puntos suficientes', 'what is past its date cannot be redeemed');
SELECT is(loyalty.seller_redemption(:merchant, '{"programId":"B","memberId":"B","amount":30,"amountCurrency":30,"comments":"x"}') -> 0 ->> 'totalPoints', '120', 'the rest can');
SELECT is(pg_temp.history(:b), 'deposit 100, accrue 50, deposit 70, expire -70, redeem -30', 'the expiry is booked before it');
SELECT is((SELECT concat_ws(' ', staff_id, reference, money, detail, origin_entry_id, peer_account_id, member_id, reserved) FROM loyalty.entries WHERE account_id = :b AND kind = 'expire'), '', 'by an entry of nobody');
SELECT is(loyalty.seller_member_balance(:merchant, 'B', 'B') ->> key, expected, 'member_balance: ' || key) FROM (VALUES ('balance', '120'), ('expiredAmount', '70')) v (key, expected);
SELECT is(loyalty.seller_member_get(:merchant, 'B', 'B') ->> key, expected, 'member_get: ' || key) FROM (VALUES ('balance', '120'), ('expiredAmount', '70')) v (key, expected);
SELECT is((SELECT m ->> 'balance' FROM loyalty.seller_member_list(:merchant, 'B') m), '120', 'member_list');
SELECT is((SELECT balance || ' ' || expired || ' ' || earned FROM loyalty.members WHERE client_id = 'B'), '120 70 220', 'loyalty.members');
SELECT results_eq(format($$SELECT x ->> 'totalPoints', pg_temp.entry_no((x ->> 'transactionid')::bigint) FROM json_array_elements(loyalty.seller_deposit(%s,
	'[{"programId":"B","memberId":"B","amount":1,"comments":"x"},{"programId":"B","memberId":"B","amount":2,"comments":"x"}]')) x$$, :merchant),
	$$VALUES ('121', 6::bigint), ('123', 7)$$, 'it is not booked twice');

-- --- arguments -------------------------------------------------------------------------------------------

SELECT pg_temp.refuses(format('SELECT loyalty.expire_due(%s)', arguments), 'invalid_argument', 'expire_due: ' || arguments)
FROM unnest(ARRAY['NULL', '1, 0', '1, -1', '1, 100001', '1, NULL']) arguments;
SELECT is(loyalty.expire_due(:merchant, max_accounts), 0, 'nothing is due, of at most ' || max_accounts) FROM unnest('{1,100000}'::integer[]) max_accounts;
SELECT is(loyalty.expire_due(1), 0, 'nobody has nothing due');
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, %L, ''-1'')', :merchant, :b, kind), 'invalid_argument', kind || ' cannot be posted') FROM unnest('{expire,mature}'::text[]) kind;
SELECT pg_temp.refuses(format('SELECT * FROM loyalty.lots_of(%s)', arguments), 'unknown_account', 'lots_of: ' || what)
FROM (VALUES (format('%s, 1', :merchant), 'no account'), (format('%s, %s', :other, :b), 'an account of another merchant')) v (arguments, what);

-- --- at the end of the range ----------------------------------------------------------------------------

SELECT loyalty.open_account(:merchant, :program) AS full \gset
SELECT pg_temp.post(:merchant, :full, kind, amount) FROM (VALUES ('deposit', '922337203685477'), ('redeem', '922337203685000')) v (kind, amount) \g /dev/null
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, ''deposit'', ''0.5808'')', :merchant, :full), 'balance_out_of_range', 'all that was ever earned has a range too');
SELECT is(pg_temp.post(:merchant, :full, 'deposit', '0.5807'), '477.5807', 'within which it is exact');

SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');

SELECT * FROM finish();
ROLLBACK;
