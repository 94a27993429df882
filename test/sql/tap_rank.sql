-- Ranks: held at once, until the points that count are too few, and longer by
-- the grace; what they multiply; and who held which when.
SET timezone = 'Asia/Tokyo';	-- of nobody here: nothing may depend on it
-- It is noon in Mexico City, so that no day ends meanwhile.
COPY (SELECT (18 * 3600 - extract(epoch FROM clock_timestamp()) % 86400 + 86400) % 86400) TO PROGRAM '../advance_clock';
\ir ../tap.sql

SELECT loyalty.create_merchant('Uno') AS merchant \gset
SELECT program_id AS program FROM loyalty.create_program(:merchant, 'Programa', 'P') \gset
-- Entries are named by their place in the account here.
CREATE FUNCTION pg_temp.entry(account bigint, no bigint) RETURNS bigint LANGUAGE sql AS
'SELECT e.entry_id FROM loyalty.entry e WHERE e.account_id = account AND e.entry_no = no';
CREATE FUNCTION pg_temp.member(name text, rank text DEFAULT NULL) RETURNS bigint LANGUAGE sql AS
'SELECT (loyalty.seller_member_create(m.merchant_id, ''P'', member.name || ''@correo.example'', member.name, member.name, client_id => member.name, rank => member.rank) ->> ''id'')::bigint FROM loyalty_internal.merchant m WHERE m.name = ''Uno''';
CREATE FUNCTION pg_temp.rank(account bigint) RETURNS text LANGUAGE sql AS 'SELECT rank FROM loyalty.members WHERE account_id = account';
-- The rank at a moment that is so far from now.
CREATE FUNCTION pg_temp.at(account bigint, away interval) RETURNS text LANGUAGE sql AS 'SELECT loyalty.rank_at(a.merchant_id, account, clock_timestamp() + away) FROM loyalty_internal.account a WHERE a.account_id = account';
-- The end of the day that is so far away, in the program's time zone.
CREATE FUNCTION pg_temp.day_end(away interval) RETURNS timestamptz LANGUAGE sql AS
'SELECT (date_trunc(''day'', now() AT TIME ZONE ''America/Mexico_City'') + away + interval ''1 day'') AT TIME ZONE ''America/Mexico_City''';
-- "rank until" of what is held now.
CREATE FUNCTION pg_temp.held(account bigint) RETURNS TABLE (rank text, until timestamptz) LANGUAGE sql AS
'SELECT h.rank, h.until FROM loyalty_internal.rank_held h WHERE h.account_id = account AND h.until > clock_timestamp() ORDER BY h.from_points';
-- As if so much time had passed since.
CREATE FUNCTION pg_temp.age(account bigint, away interval) RETURNS void LANGUAGE sql AS $$
	UPDATE loyalty_internal.rank_held h SET since = since - away, until = until - away WHERE h.account_id = account;
	UPDATE loyalty.entry e SET posted_at = posted_at - away WHERE e.account_id = account;
	UPDATE loyalty_internal.rank_past p SET since = since - away FROM loyalty_internal.account a WHERE a.account_id = account AND p.program_id = a.program_id;
	UPDATE loyalty_internal.account a SET qualifying = (SELECT ('{' || string_agg(format('%s=%s', to_char((l.expires_at - away) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), l.points), ',') || '}')::loyalty.lots FROM loyalty.unnest_lots(a.qualifying) l)
	WHERE a.account_id = account;
$$;

-- --- ranges ---------------------------------------------------------------------

SELECT pg_temp.refuses(format('SELECT loyalty.set_rank_ranges(%s, ''G'', ''{A,B}'', ''{0,1}'', %L)', :merchant, multipliers), 'invalid_argument', 'multipliers ' || multipliers)
FROM unnest('{"{1}","{1,2,3}","{1,0}","{1,-2}","{1,NULL}"}'::text[]) multipliers;
SELECT loyalty.set_rank_ranges(:merchant, 'G', '{Base,Plata,Oro}', '{0,500,1000}', '{1,1.25,2}') \g /dev/null
SELECT results_eq('SELECT rank, from_points::text, multiplier::text FROM loyalty_internal.rank_range WHERE merchant_id = ' || :merchant || ' ORDER BY rank_range.from_points', $$VALUES ('Base' COLLATE "C", '0', '1'), ('Plata', '500', '1.25'), ('Oro', '1000', '2')$$, 'ranks and what they multiply');
SELECT pg_temp.member('antes') AS before \gset
SELECT loyalty.post(:merchant, :before, 'deposit', '600') \g /dev/null
SELECT is(pg_temp.rank(:before), '', 'a program without ranks');
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'P'), json_build_object('range_group', 'G')) \g /dev/null
SELECT is(pg_temp.rank(:before), 'Plata', 'those who are there already are ranked');
SELECT is(pg_temp.at(:before, '-1 hour'), '', 'but were not before');
SELECT is(loyalty.rank_at(:merchant, :before, '2999-01-01'), 'Plata', 'points that count for ever');
SELECT results_eq(format('SELECT rank, ends_at, from_points::text, since >= now() FROM loyalty.ranks_held WHERE merchant_id = %s AND account_id = %s', :merchant, :before),
	$$VALUES ('Plata' COLLATE "C", NULL::timestamptz, '500', true)$$, 'reports show it, since when and until when');
SELECT results_eq(format('SELECT range_group, rank, from_points::text, multiplier::text FROM loyalty.rank_ranges WHERE merchant_id = %s ORDER BY rank_ranges.from_points', :merchant),
	$$VALUES ('G' COLLATE "C", 'Base' COLLATE "C", '0', '1'), ('G', 'Plata', '500', '1.25'), ('G', 'Oro', '1000', '2')$$, 'and the ranks that there are');
SELECT pg_temp.refuses(format('SELECT loyalty.rank_at(%s, %s, now())', m, a), 'unknown_account', 'rank_at of no account') FROM (VALUES (:merchant, 1), (1, :before)) v (m, a);

-- --- promotion, and what it multiplies --------------------------------------------

SELECT pg_temp.member('a') AS a \gset
SELECT is(pg_temp.rank(:a), 'Base', 'a new member');
CREATE FUNCTION pg_temp.sells(account bigint, money text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	simulated text;
	before text := pg_temp.rank(account);
	got text;
BEGIN
	SELECT loyalty.sum(s.points)::text INTO simulated FROM loyalty_internal.account a, loyalty.simulate(a.merchant_id, account, money::loyalty.points) s WHERE a.account_id = account;
	SELECT s.points || ' ' || before INTO got FROM loyalty_internal.account a, loyalty.sale(a.merchant_id, account, money::loyalty.points) s WHERE a.account_id = account;
	SELECT got || CASE WHEN split_part(got, ' ', 1) = simulated THEN '' ELSE ' simulated ' || simulated END || ' then ' || pg_temp.rank(account) INTO got;
	RETURN got;
END
$$;
SELECT is(pg_temp.sells(:a, money), expected, format('a sale of %s: %s', money, expected)) FROM (VALUES ('4999.9', '499.99 Base then Base'), ('0.1', '0.01 Base then Plata'), ('100', '12.5 Plata then Plata'),
	('99.96', '12.5 Plata then Plata'), ('0.05', '0.01 Plata then Plata'), ('3800', '475 Plata then Oro'), ('100', '20 Oro then Oro')) v (money, expected);
SELECT results_eq('SELECT * FROM pg_temp.held(' || :a || ')', $$VALUES ('Plata', 'infinity'::timestamptz), ('Oro', 'infinity')$$, 'a higher rank does not end a lower one');
SELECT is((SELECT count(*) FROM loyalty.entry WHERE account_id = :a AND rules IS NULL), 7::bigint, 'without rules no entry has their version');
SELECT loyalty.post(:merchant, :a, 'redeem', '1000') \g /dev/null
SELECT is(pg_temp.rank(:a), 'Oro', 'spending changes nothing');
SELECT loyalty.publish_rules(:merchant, loyalty.find_program(:merchant, 'P'), '[{"name":"oro","ranks":["Oro"],"points":5},{"name":"no oro","ranks":["Base","Plata"],"points":3},{"name":"doble","multiplier":2}]') \g /dev/null
SELECT pg_temp.member('b') AS b \gset
SELECT is(pg_temp.sells(:a, '100'), '35 Oro then Oro', 'rules for a rank; multiplied is the base');
SELECT is(pg_temp.sells(:b, '100'), '23 Base then Base', 'and for others');
SELECT pg_temp.member('c', 'Plata') AS c \gset
SELECT is(pg_temp.sells(:c, '100'), '25.5 Plata then Plata', 'a rank that was granted');
SELECT is(pg_temp.at(:c, '1 day'), 'Plata', 'and for ever');
SELECT loyalty.post(:merchant, :b, 'deposit', '977') \g /dev/null
SELECT is(pg_temp.rank(:b), 'Oro', 'a deposit counts');
SELECT loyalty.post(:merchant, pg_temp.member('d'), 'adjust', '5000') \g /dev/null
SELECT is((SELECT rank FROM loyalty.members WHERE client_id = 'd'), 'Base', 'a correction does not');

-- One batch promotes many, each by what it has.
SELECT loyalty.post_batch(:merchant, ARRAY[pg_temp.member('e1'), pg_temp.member('e2'), pg_temp.member('e3')], '{deposit}', '{499.9999,500,1000}') \g /dev/null
SELECT is(string_agg(rank, ' ' ORDER BY client_id), 'Base Plata Oro', 'a batch') FROM loyalty.members WHERE client_id ~ '^e\d';

-- --- reversed -------------------------------------------------------------------------

SELECT pg_temp.member('u') AS u \gset
SELECT loyalty.post(:merchant, :u, 'accrue', '1200', money => '12000') \g /dev/null
SELECT loyalty.reverse(:merchant, :u, pg_temp.entry(:u, 1), '200', 'R1') \g /dev/null
SELECT is(pg_temp.rank(:u), 'Oro', 'there are points enough left');
SELECT loyalty.reverse(:merchant, :u, pg_temp.entry(:u, 1), '100', 'R2') \g /dev/null
SELECT is(pg_temp.rank(:u), 'Plata', 'there are not; without grace the rank ends at once');
SELECT is((SELECT string_agg(loyalty.rank_at(:merchant, :u, h.since), ' ' ORDER BY h.from_points) || ' ' || loyalty.rank_at(:merchant, :u, max(h.since) - interval '1 microsecond') || ' ' ||
	loyalty.rank_at(:merchant, :u, min(h.until)) || ' ' || loyalty.rank_at(:merchant, :u, min(h.until) - interval '1 microsecond') FROM loyalty_internal.rank_held h WHERE account_id = :u), 'Oro Oro Base Plata Oro', 'to the microsecond');
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'P'), json_build_object('rank_grace_days', 10)) \g /dev/null
SELECT loyalty.reverse(:merchant, :u, pg_temp.entry(:u, 1), '500', 'R3') \g /dev/null
SELECT is(pg_temp.rank(:u), 'Base', 'there is no grace for what was reversed: it is as if it had not been');
SELECT is(pg_temp.at(:u, '-1 microsecond') || pg_temp.at(:u, '9 days 23 hours'), 'BaseBase', 'nor later');
SELECT is((SELECT loyalty.rank_at(:merchant, :u, max(h.until) - interval '1 microsecond') FROM loyalty_internal.rank_held h WHERE account_id = :u), 'Plata', 'before it was reversed it was held');
SELECT loyalty.post(:merchant, :u, 'deposit', '100') \g /dev/null
SELECT loyalty.set_rank_ranges(:merchant, 'G', '{Base,Plata,Oro}', '{0,501,1000}', '{1,1.25,2}') \g /dev/null
SELECT is(pg_temp.rank(:u), 'Plata', 'out of reach by a change of terms, it stays with grace');
SELECT is(pg_temp.at(:u, '9 days 23 hours'), 'Plata', 'until the grace is over');
SELECT is(pg_temp.at(:u, '10 days 1 hour'), 'Base', 'and then not');
SELECT loyalty.set_rank_ranges(:merchant, 'G', '{Base,Plata,Oro}', '{0,500,1000}', '{1,1.25,2}') \g /dev/null
SELECT loyalty.reverse(:merchant, :u, pg_temp.entry(:u, 1), '100', 'R4') \g /dev/null
SELECT is(pg_temp.rank(:u), 'Base', 'once more');
SELECT loyalty.post(:merchant, :u, 'deposit', '100') \g /dev/null
SELECT results_eq('SELECT * FROM pg_temp.held(' || :u || ')', $$VALUES ('Plata', 'infinity'::timestamptz)$$, 'enough again, it is held as before');
SELECT is((SELECT count(*) FROM loyalty_internal.rank_held WHERE account_id = :u AND rank = 'Plata'), 3::bigint, 'each time anew');
SELECT pg_temp.member('dado', 'Base') AS given \gset
SELECT loyalty.post(:merchant, :given, 'deposit', '1200') \g /dev/null
SELECT set_eq(format('SELECT rank FROM loyalty.ranks_held WHERE account_id = %s', :given), ARRAY['Plata', 'Oro'], 'reports show all ranks that were reached');
SELECT loyalty.reverse(:merchant, :given, pg_temp.entry(:given, 1), reference => 'R', amount => '300') \g /dev/null
SELECT set_eq(format('SELECT rank, reversed_at IS NULL FROM loyalty_internal.rank_held WHERE account_id = %s', :given), $$VALUES ('Plata' COLLATE "C", true), ('Oro', false)$$, 'one of them was never reached, as it is now');
SELECT set_eq(format('SELECT rank FROM loyalty.ranks_held WHERE account_id = %s', :given), ARRAY['Plata'], 'and is not shown any more');

-- --- a window ------------------------------------------------------------------------

SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'P'), json_build_object('rank_window_unit', 'month', 'rank_window_value', 2, 'rank_grace_days', 10)) \g /dev/null
SELECT results_eq('SELECT * FROM pg_temp.held(' || :a || ')', $$VALUES ('Plata', pg_temp.day_end('2 months') + interval '10 days'), ('Oro', pg_temp.day_end('2 months') + interval '10 days')$$, 'what is held gets an end');
SELECT pg_temp.member('w') AS w \gset
SELECT loyalty.post(:merchant, :w, 'deposit', '600') \g /dev/null
SELECT results_eq('SELECT * FROM pg_temp.held(' || :w || ')', $$VALUES ('Plata', pg_temp.day_end('2 months') + interval '10 days')$$, 'promotion comes with its end');
SELECT pg_temp.age(:w, '30 days') \g /dev/null
SELECT loyalty.post(:merchant, :w, 'deposit', '450') \g /dev/null
SELECT results_eq('SELECT * FROM pg_temp.held(' || :w || ')', $$VALUES ('Plata', pg_temp.day_end('2 months') + interval '-20 days'), ('Oro', pg_temp.day_end('2 months') + interval '-20 days')$$, '600 that are older and 450: each rank ends when the older ones stop counting');
SELECT loyalty.post(:merchant, :w, 'deposit', '50') \g /dev/null
SELECT is((SELECT until FROM pg_temp.held(:w) WHERE rank = 'Plata'), pg_temp.day_end('2 months') + interval '10 days', '500 new ones hold the lower rank by themselves');
SELECT is((SELECT until FROM pg_temp.held(:w) WHERE rank = 'Oro'), pg_temp.day_end('2 months') - interval '20 days', 'not the higher one');
SELECT loyalty.rank_at(:merchant, :w, until - interval '1 microsecond') || ' ' || loyalty.rank_at(:merchant, :w, until) AS change FROM pg_temp.held(:w) WHERE rank = 'Oro' \gset
SELECT is(:'change'::text, 'Oro Plata', 'the downgrade to come');
SELECT pg_temp.age(:w, day_end - now() - interval '40 days') FROM (SELECT pg_temp.day_end('2 months') AS day_end) d \g /dev/null
SELECT is(pg_temp.rank(:w), 'Oro', 'the older points have stopped counting ten days ago to the minute, less some');
SELECT pg_temp.age(:w, '10 days') \g /dev/null
SELECT pg_temp.age(:w, '10 days 1 minute') \g /dev/null
SELECT is(pg_temp.rank(:w), 'Plata', 'after window and grace it is lower');
SELECT is(pg_temp.at(:w, '-10 days'), 'Oro', 'and was higher');
SELECT loyalty.post(:merchant, :w, 'deposit', '1') \g /dev/null
SELECT is(pg_temp.rank(:w), 'Plata', 'a little does not bring it back');
SELECT loyalty.post(:merchant, :w, 'deposit', '499') \g /dev/null
SELECT is(pg_temp.rank(:w), 'Oro', 'enough does, at once');
SELECT is((SELECT count(*) FROM loyalty_internal.rank_held WHERE account_id = :w AND rank = 'Oro'), 2::bigint, 'as a new time of holding it');
SELECT loyalty.reverse(:merchant, :w, pg_temp.entry(:w, 5), reference => 'R', in_full => true) \g /dev/null
SELECT is(pg_temp.rank(:w) || ' ' || pg_temp.at(:w, '9 days 23 hours') || ' ' || pg_temp.at(:w, '10 days 1 hour'), 'Plata Plata Plata', 'reversed, it ends at once');

-- In the grace, less than enough changes nothing.
SELECT pg_temp.member('g') AS g \gset
SELECT loyalty.post(:merchant, :g, 'deposit', '1000') \g /dev/null
SELECT pg_temp.age(:g, pg_temp.day_end('2 months') - now() + interval '3 days') \g /dev/null
SELECT is(pg_temp.rank(:g), 'Oro', 'three days after the points have stopped counting');
SELECT loyalty.post(:merchant, :g, 'deposit', '999') \g /dev/null
SELECT is(pg_temp.at(:g, '6 days 23 hours') || ' ' || pg_temp.at(:g, '7 days 1 hour'), 'Oro Plata', 'it ends as it would have');
SELECT loyalty.post(:merchant, :g, 'deposit', '1') \g /dev/null
SELECT is(pg_temp.at(:g, '50 days'), 'Oro', 'enough in the grace goes on');
SELECT is((SELECT count(*) FROM loyalty_internal.rank_held WHERE account_id = :g AND rank = 'Oro'), 1::bigint, 'without a gap');

-- --- another window, found from the entries --------------------------------------------

SELECT pg_temp.member('h') AS h \gset
SELECT loyalty.post_batch(:merchant, array_fill(:h::bigint, ARRAY[4]), '{deposit}', '{400,300,200,250}') \g /dev/null
UPDATE loyalty.entry SET posted_at = posted_at - (ARRAY['100 days', '70 days', '40 days', '10 days']::interval[])[entry_no::integer] WHERE account_id = :h;
SELECT loyalty.reverse(:merchant, :h, pg_temp.entry(:h, 2), '50', 'R') \g /dev/null
CREATE FUNCTION pg_temp.window(merchant bigint, account bigint, unit text, value integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM loyalty.configure_program(merchant, loyalty.find_program(merchant, 'P'), json_build_object('rank_window_unit', unit, 'rank_window_value', value, 'rank_grace_days', 0));
	RETURN (SELECT coalesce(loyalty.total(a.qualifying)::text, 'all') || ' ' || pg_temp.rank(account) FROM loyalty_internal.account a WHERE a.account_id = account);
END
$$;
SELECT is(pg_temp.window(:merchant, :h, unit, value), expected, format('%s %s: %s', value, unit, expected)) FROM (VALUES ('day', 5, 'all Base'), ('day', 30, '250 Base'), ('day', 60, '450 Base'), ('day', 90, '700 Plata'), ('day', 120, '1100 Oro'), ('year', 1, '1100 Oro'),
	('month', 2, '450 Base'), ('day', 0, 'all Oro')) v (unit, value, expected);
SELECT is(pg_temp.window(:merchant, :h, 'day', 90), '700 Plata', 'a window of 90 days');
SELECT results_eq('SELECT * FROM pg_temp.held(' || :h || ')', $$VALUES ('Plata', pg_temp.day_end('20 days'))$$, 'ends when the oldest points stop counting');
SELECT results_eq('SELECT l.expires_at, l.points::text FROM loyalty_internal.account a, loyalty.unnest_lots(a.qualifying) l WHERE a.account_id = ' || :h, $$VALUES (pg_temp.day_end('20 days'), '250'), (pg_temp.day_end('50 days'), '200'), (pg_temp.day_end('80 days'), '250')$$, 'each counts from its day');
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'P'), json_build_object('time_zone', 'Asia/Tokyo')) \g /dev/null
SELECT is((SELECT string_agg(extract(hour FROM l.expires_at)::text, ' ') FROM loyalty_internal.account a, loyalty.unnest_lots(a.qualifying) l WHERE a.account_id = :h), '0 0 0', 'days are those of the program');
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'P'), json_build_object('time_zone', 'America/Mexico_City')) \g /dev/null

-- More days than an account tells apart of points that expire.
SELECT pg_temp.member('many') AS many \gset
SELECT loyalty.post_batch(:merchant, array_fill(:many::bigint, ARRAY[700]), '{deposit}', (SELECT array_agg(i::loyalty.points) FROM generate_series(1, 700) i)) \g /dev/null
UPDATE loyalty.entry SET posted_at = posted_at - (700 - entry_no) * interval '1 day' WHERE account_id = :many;
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'P'), json_build_object('rank_window_unit', 'day', 'rank_window_value', 1000)) \g /dev/null
SELECT results_eq('SELECT count(*), loyalty.sum(l.points)::text, max(l.expires_at) FROM loyalty_internal.account a, loyalty.unnest_lots(a.qualifying) l WHERE a.account_id = ' || :many, $$VALUES (700::bigint, '245350', pg_temp.day_end('1000 days'))$$, '700 days are 700 lots');
SELECT is((SELECT count(*) FROM loyalty.entry e WHERE e.account_id = :many AND (SELECT loyalty.sum(l.points) FROM loyalty_internal.account a, loyalty.unnest_lots(a.qualifying) l WHERE a.account_id = :many AND l.expires_at >= e.posted_at + interval '1000 days')::numeric
	< (SELECT sum(x.amount::numeric) FROM loyalty.entry x WHERE x.account_id = :many AND x.entry_no >= e.entry_no)), 0::bigint, 'none of them stops counting early');
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'P'), json_build_object('rank_window_value', 0)) \g /dev/null
SELECT is((SELECT count(*) FROM loyalty_internal.account WHERE program_id = :program AND qualifying IS NOT NULL AND loyalty.total(qualifying)::numeric > 0), 0::bigint, 'without a window nothing is kept');

-- --- other ranges -----------------------------------------------------------------------

SELECT pg_temp.member('r') AS r \gset
SELECT loyalty.post(:merchant, :r, 'deposit', '1000') \g /dev/null
CREATE FUNCTION pg_temp.ranges(merchant bigint, account bigint, ranks text, from_points text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	before timestamptz;
BEGIN
	before := clock_timestamp();
	PERFORM loyalty.set_rank_ranges(merchant, 'G', ranks::text[], from_points::loyalty.points[]);
	RETURN concat_ws(' ', loyalty.rank_at(merchant, account, before), '→', pg_temp.rank(account), loyalty.rank_at(merchant, account, clock_timestamp()));
END
$$;
SELECT is(pg_temp.ranges(:merchant, :r, ranks, from_points), expected, format('%s from %s: %s', ranks, from_points, expected)) FROM (VALUES
	('{Base,Plata,Oro}', '{0,500,1001}', 'Oro → Plata Plata'), ('{Base,Oro}', '{0,500}', 'Plata → Oro Oro'), ('{Inicio,Bronce}', '{0,2000}', 'Oro → Inicio Inicio'), ('{Inicial,Bronce}', '{0,2000}', 'Inicio → Inicial Inicial'),
	('{Bronce}', '{2000}', 'Inicial →  '), ('{Bronce}', '{1000}', ' → Bronce Bronce'), ('{Base,Plata,Oro}', '{0,500,1000}', 'Bronce → Oro Oro')) v (ranks, from_points, expected);
SELECT is((SELECT string_agg(loyalty.rank_at(:merchant, :r, b.since), ' ' ORDER BY b.since) FROM loyalty_internal.rank_base b WHERE b.program_id = :program AND b.since > (SELECT min(since) FROM loyalty_internal.rank_held WHERE account_id = :r)), 'Inicio Inicial  Oro', 'the past stays what it was');
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'P'), json_build_object('rank_grace_days', 30)) \g /dev/null
SELECT is(pg_temp.ranges(:merchant, :r, '{Base,Plata,Oro}', '{0,500,1001}'), 'Oro → Oro Oro', 'a range that is no longer reached ends after the grace');
SELECT is(pg_temp.at(:r, '29 days') || ' ' || pg_temp.at(:r, '31 days'), 'Oro Plata', 'of 30 days');
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'P'), json_build_object('range_group', '')) \g /dev/null
SELECT is(pg_temp.rank(:r) || loyalty.rank_at(:merchant, :r, clock_timestamp()), '', 'without a group there are none, and no grace');
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'P'), json_build_object('range_group', 'G')) \g /dev/null
SELECT is(pg_temp.rank(:r), 'Plata', 'with it there are');

-- --- many accounts ----------------------------------------------------------------------

-- All but the first are counted when they are asked for: from their entries only if what they have kept does not tell.
SELECT program_id AS large FROM loyalty.create_program(:merchant, 'Grande', 'L') \gset
SELECT loyalty.configure_program(:merchant, :large, '{"range_group": "G", "rank_window_unit": "day", "rank_window_value": 90, "rank_grace_days": 10}') \g /dev/null
SELECT count(loyalty.open_account(:merchant, :large)) FROM generate_series(1, 1001) \g /dev/null
SELECT max(account_id) AS l FROM loyalty_internal.account WHERE program_id = :large \gset
SELECT count(*) FROM loyalty.post_batch(:merchant, array_fill(:l::bigint, ARRAY[600]), '{deposit}', array_fill('1'::loyalty.points, ARRAY[600])) \g /dev/null
CREATE FUNCTION pg_temp.ranked(merchant bigint, account bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	before bigint := pg_stat_get_xact_tuples_fetched('loyalty.entry_pkey'::regclass);
	rank text := loyalty.rank_at(merchant, account, clock_timestamp());
BEGIN
	RETURN rank || CASE WHEN pg_stat_get_xact_tuples_fetched('loyalty.entry_pkey'::regclass) - before < 10 THEN ' as kept' ELSE ' by entries' END;
END
$$;
SELECT is(pg_temp.ranked(:merchant, :l), 'Plata as kept', 'points of an account of a large program');
SELECT loyalty.set_rank_ranges(:merchant, 'G', '{Base,Plata,Oro}', '{0,500,600}') \g /dev/null
SELECT is(pg_temp.ranked(:merchant, :l), 'Oro as kept', 'count for other ranks as they are');
SELECT loyalty.set_rank_ranges(:merchant, 'G', '{Base,Plata,Oro}', '{0,500,601}') \g /dev/null
SELECT loyalty.configure_program(:merchant, :large, '{"rank_grace_days": 0}') \g /dev/null
SELECT is(pg_temp.ranked(:merchant, :l), 'Plata as kept', 'and after a shorter grace');
SELECT is(pg_temp.ranked(:merchant, :l), expected, changed || ' is another way to count') FROM (VALUES
	('{"rank_grace_days": 11}', 'Plata by entries'), ('{"rank_window_value": 91}', 'Plata by entries'), ('{"rank_window_unit": "month"}', 'Plata by entries'), ('{"time_zone": "Asia/Tokyo"}', 'Plata by entries')) v (changed, expected),
	LATERAL (SELECT loyalty.configure_program(:merchant, :large, changed::json) OFFSET 0) c;
SELECT loyalty.post(:merchant, :l, 'deposit', '1') \g /dev/null
SELECT is(pg_temp.ranked(:merchant, :l), 'Oro as kept', 'once it is posted to, that is kept');
-- What comes while there are no ranks, nobody has counted.
SELECT loyalty.configure_program(:merchant, :large, '{"range_group": ""}') \g /dev/null
SELECT loyalty.post(:merchant, :l, 'deposit', '99') \g /dev/null
SELECT loyalty.configure_program(:merchant, :large, '{"range_group": "G"}') \g /dev/null
SELECT loyalty.set_rank_ranges(:merchant, 'G', '{Base,Plata,Oro}', '{0,500,700}') \g /dev/null
SELECT is(pg_temp.ranked(:merchant, :l), 'Oro by entries', 'points that came while there were no ranks');
SELECT loyalty.set_rank_ranges(:merchant, 'G', '{Base,Plata,Oro}', '{0,500,1000}') \g /dev/null
SELECT loyalty.post(:merchant, :l, 'deposit', '300') \g /dev/null
SELECT is(pg_temp.ranked(:merchant, :l), 'Oro as kept', 'a posting counts on from there');
SELECT is((SELECT changes::text FROM loyalty.recount_ranks(:merchant, :large, max_accounts => 1001)), '[]', 'as the entries do');

-- --- pending points ------------------------------------------------------------------------

SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'P'), json_build_object('pending_days', 1)) \g /dev/null
SELECT pg_temp.member('p') AS p \gset
SELECT loyalty.sale(:merchant, :p, '10000') \g /dev/null
SELECT is(pg_temp.rank(:p), 'Base', 'pending points do not count');
UPDATE loyalty_internal.reservation SET due_at = now() WHERE account_id = :p;
UPDATE loyalty_internal.account SET due_at = now() WHERE account_id = :p;
SELECT loyalty.expire_due(:merchant) \g /dev/null
SELECT is(pg_temp.rank(:p), 'Oro', 'until they are available');

-- --- counting anew, and what is given --------------------------------------------------------

SELECT pg_temp.refuses(format('SELECT loyalty.recount_ranks(%s, %s, max_accounts => %L)', :merchant, :program, n), 'invalid_argument', 'recount_ranks: at most ' || coalesce(n::text, 'NULL')) FROM unnest('{0,-1,100001,NULL}'::integer[]) n;
CREATE FUNCTION pg_temp.pieces(merchant bigint, program bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	piece record;
	last bigint;
	counted bigint := 0;
BEGIN
	LOOP
		SELECT * INTO piece FROM loyalty.recount_ranks(merchant_id => merchant, program_id => program, after_account_id => last, max_accounts => 2);
		EXIT WHEN piece.accounts = 0;
		counted := counted + piece.accounts;
		last := piece.last_account_id;
	END LOOP;
	RETURN counted || CASE WHEN piece.last_account_id IS NULL THEN ', then none' END;
END
$$;
SELECT is(pg_temp.pieces(:merchant, :program), count(*) || ', then none', 'pieces of two accounts are all accounts') FROM loyalty_internal.account WHERE program_id = :program;
SELECT ok(loyalty.set_rank(merchant_id => :merchant, member_id => :p, rank => 'Plata', ends_at => '2999-01-01', reason => 'feria') IS NOT NULL, 'a rank is given');
SELECT ok(loyalty.set_rank(:merchant, :p, 'Oro') > (SELECT since FROM loyalty.rank_grants WHERE rank = 'Plata'), 'and another one after it');
SELECT results_eq('SELECT rank, ends_at, reason FROM loyalty.rank_grants WHERE member_id = ' || :p || ' ORDER BY since', $$VALUES ('Plata' COLLATE "C", '2999-01-01'::timestamptz, 'feria'), ('Oro', NULL, '')$$, 'what was given says when it ends');
SELECT pg_temp.refuses(format('SELECT loyalty.set_rank(%s, %s, %s)', :merchant, :p, arguments), 'invalid_argument', 'set_rank: ' || arguments)
FROM (VALUES ('''Oro'', now()'), ('''Oro'', ends_at => ''2000-01-01'''), ('NULL, ''2999-01-01'''), ('''Oro'', reason => NULL')) v (arguments);

-- What is left out does not mean that all go.
SELECT pg_temp.refuses(format(call, :merchant), 'invalid_argument', call) FROM (VALUES
	('SELECT loyalty.set_rank_ranges(%s, NULL, ''{a}'', ''{1}'')'), ('SELECT loyalty.set_rank_ranges(%s, ''g'', NULL, NULL)'), ('SELECT loyalty.set_rank_ranges(%s, ''g'', ''{}'', NULL)'),
	('SELECT loyalty.set_rank_ranges(%s, repeat(''g'', 256), ''{a}'', ''{1}'')'), ('SELECT loyalty.set_rank_ranges(%s, ''g'', ARRAY[repeat(''g'', 256)], ''{1}'')'),
	('SELECT loyalty.set_rank(%1$s, (SELECT min(member_id) FROM loyalty.members WHERE merchant_id = %1$s), NULL)')) v (call);

SELECT * FROM finish();
ROLLBACK;
