-- The terms of a program: what each attribute does to points, exactly, and who
-- holds which rank.  Expiry is in tap_expiry.sql.
-- It is noon in Mexico City, so that no day ends meanwhile.
COPY (SELECT (18 * 3600 - extract(epoch FROM clock_timestamp()) % 86400 + 86400) % 86400) TO PROGRAM '../advance_clock';
\ir ../tap.sql

SELECT loyalty.create_merchant('Uno') AS merchant \gset
SELECT loyalty.create_merchant('Dos') AS other \gset
SELECT program_id AS program, wallet_key FROM loyalty.create_program(:merchant, 'Programa', 'P') \gset
SELECT loyalty.employee_add(:merchant, 'cajero', 'Ana', 'Centro', '4771000001', 'secreto') AS staff \gset
SELECT loyalty.seller_member_create(:merchant, 'P', 'a@correo.example', 'Ana', 'Ruiz', client_id => 'A', phone => '5512340001') ->> 'id' AS a \gset

-- One item of an operation: "+points" of its entry, or why there is none.
CREATE FUNCTION pg_temp.item(merchant bigint, operation text, program text, member text, amount text, more json DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer json;
	amount_posted text;
BEGIN
	EXECUTE format('SELECT loyalty.%I($1, $2) -> 0', 'seller_' || operation) INTO answer
	USING merchant, (jsonb_build_object('programId', program, 'memberId', member, 'amount', amount, 'comments', 'x') || more::jsonb)::json;
	IF answer ->> 'status' = 'error' THEN
		RETURN answer ->> 'description';
	END IF;
	SELECT to_char(e.amount::numeric, 'FMSG999999999999990.9999') INTO STRICT amount_posted FROM loyalty.entry e
	WHERE e.merchant_id = merchant AND e.entry_id::text = coalesce(answer ->> 'transactionid', answer ->> 'transactionId');
	RETURN rtrim(amount_posted, '.');
END
$$;

-- --- what cannot be set --------------------------------------------------------

SELECT pg_temp.refuses(format('SELECT loyalty.create_program(%s)', arguments), code, 'create_program: ' || arguments)
FROM (VALUES (format('%s, ''''', :merchant), 'invalid_argument'), (format('%s, NULL', :merchant), 'invalid_argument'), (format('%s, ''Otro'', ''''', :merchant), 'invalid_argument'),
	(format('%s, ''Otro'', ''../../../../x''', :merchant), 'invalid_argument'), (format('%s, ''Otro'', ''a/b''', :merchant), 'invalid_argument'),
	(format('%s, ''Otro'', ''a\b''', :merchant), 'invalid_argument'), (format('%s, ''Otro'', E''a\nb''', :merchant), 'invalid_argument'), (format('%s, ''Otro'', E''a\u0085b''', :merchant), 'invalid_argument'),
	(format('%s, ''Otro'', ''.''', :merchant), 'invalid_argument'), (format('%s, ''Otro'', ''..''', :merchant), 'invalid_argument'),
	(format('%s, ''Otro'', ''P''', :merchant), 'already_exists'), ('1, ''Otro''', 'unknown_object'), ('NULL, ''Otro''', 'unknown_object')) v (arguments, code);
SELECT lives_ok(format('SELECT loyalty.create_program(%s, ''Suyo'', ''P'')', :other), 'another merchant may use the id');
SELECT is((loyalty.create_program(:merchant, 'Otro', given)).client_id, given, 'may be an id: ' || given) FROM (VALUES ('...'), ('..a'), ('Ñandú 7, 50 % & más? #1')) v (given);
SELECT matches(client_id, '^\d{13}$', 'a generated id has 13 digits') FROM loyalty.create_program(:merchant, 'Sin id');

SELECT pg_temp.refuses(format('SELECT loyalty.configure_program(%s, %s, %L)', :merchant, :program, settings), code, settings)
FROM (VALUES ('{"name": ""}', 'invalid_argument'), ('{"accumulation_points": -1}', 'invalid_argument'), ('{"accumulation_money": 0}', 'invalid_argument'), ('{"accumulation_money": -1}', 'invalid_argument'),
	('{"redemption_points": 0}', 'invalid_argument'), ('{"redemption_money": 0}', 'invalid_argument'), ('{"currency_change": 0}', 'invalid_argument'), ('{"decimals": -1}', 'invalid_argument'),
	('{"decimals": 5}', 'invalid_argument'), ('{"decimals": 100000}', 'invalid_argument'), ('{"rounding": "near"}', 'invalid_argument'), ('{"currency_iso": "mxn"}', 'invalid_argument'), ('{"currency_iso": "MX"}', 'invalid_argument'),
	('{"currency_iso": "MXNN"}', 'invalid_argument'), ('{"duration_unit": "week"}', 'invalid_argument'), ('{"duration_value": -1}', 'invalid_argument'), ('{"duration_value": 1201}', 'invalid_argument'),
	('{"time_zone": "Luna/Mar"}', 'invalid_argument'), ('{"time_zone": ""}', 'invalid_argument'), ('{"range_group": "nada"}', 'unknown_object')) v (settings, code);
SELECT pg_temp.refuses(format('SELECT loyalty.%s', format(call, m, id)), 'unknown_object', format('no such program: %s, %s: %s', m, id, call))
FROM (VALUES ('configure_program(%L, %L, ''{"name": "x"}'')'), ('enable_program(%L, %L)'), ('disable_program(%L, %L)'), ('recount_ranks(%L, %L)')) f (call),
	(VALUES (:merchant, 1), (:merchant, NULL), (1, :program), (:other, :program), (NULL, :program)) v (m, id);
SELECT is((SELECT name FROM loyalty.programs WHERE merchant_id = :other), 'Suyo', 'a program of another merchant is not changed');

SELECT loyalty.configure_program(:merchant, :program, '{"name": "Nombre", "managed_by": "ana", "accumulation_points": 3, "accumulation_money": 40, "redemption_points": 5, "redemption_money": 2, "decimals": 1, "rounding": "up",
	"currency_iso": "EUR", "currency_name": "Euro", "currency_change": 20.5, "currency_active": true, "unit_name": "Granos", "unit_base": true, "unit_active": true, "duration_name": "Un día", "duration_unit": "day", "duration_value": 0,
	"time_zone": "America/Tijuana", "range_group": ""}') \g /dev/null
CREATE FUNCTION pg_temp.terms(program bigint) RETURNS text LANGUAGE sql AS
'SELECT row_to_json(x)::text FROM (SELECT name, managed_by, active, accumulation_points, accumulation_money, redemption_points, redemption_money, decimals, rounding, currency_iso, currency_name, currency_change,
	currency_active, unit_name, unit_base, unit_active, duration_name, duration_unit, duration_value, time_zone, range_group FROM loyalty.programs WHERE program_id = program) x';
SELECT pg_temp.terms(:program) AS terms \gset
SELECT is(:'terms'::text, '{"name":"Nombre","managed_by":"ana","active":true,"accumulation_points":3,"accumulation_money":40,"redemption_points":5,"redemption_money":2,"decimals":1,"rounding":"up","currency_iso":"EUR","currency_name":"Euro","currency_change":20.5,"currency_active":true,"unit_name":"Granos","unit_base":true,"unit_active":true,"duration_name":"Un día","duration_unit":"day","duration_value":0,"time_zone":"America/Tijuana","range_group":""}',
	'every term can be set');
SELECT loyalty.configure_program(:merchant, :program, '{}') \g /dev/null
SELECT is(pg_temp.terms(:program), :'terms', 'what is not named stays as it is');

-- --- settings, as JSON --------------------------------------------------------------

SELECT results_eq('SELECT DISTINCT json_object_keys(settings) COLLATE "C" FROM loyalty.programs ORDER BY 1', $$SELECT attname::text COLLATE "C" FROM pg_attribute WHERE attrelid = 'loyalty_internal.program'::regclass AND attnum > 0 AND NOT attisdropped
	AND attname <> ALL ('{merchant_id,program_id,client_id,wallet_key,active,rules,rules_published_at,has_limits,revision,tracks_lots,ranked_at,created_at,updated_at}') ORDER BY 1$$, 'every column that says how points are given is a setting');

-- What the table gives a row that does not say otherwise.
CREATE FUNCTION pg_temp.default_of(setting text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	value jsonb;
BEGIN
	EXECUTE (SELECT 'SELECT to_jsonb(' || coalesce(pg_get_expr(d.adbin, d.adrelid), 'NULL::text') || ')' FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
			 WHERE a.attrelid = 'loyalty_internal.program'::regclass AND a.attname = setting) INTO STRICT value;
	RETURN coalesce(value, 'null');
END
$$;
CREATE FUNCTION pg_temp.row_of(program bigint) RETURNS jsonb LANGUAGE sql AS
'SELECT to_jsonb(p) FROM loyalty_internal.program p WHERE p.program_id = row_of.program';
SELECT loyalty.set_rank_ranges(:merchant, 'Escala', '{Uno}', '{1}') \g /dev/null
\set others '{"name": "Otra", "managed_by": "eva", "accumulation_points": 7.5, "accumulation_money": 99.0001, "redemption_points": 12, "redemption_money": 0.5, "decimals": 3, "rounding": "half_even", "currency_iso": "USD", "currency_name": "Dólar \\"US\\"", "currency_change": 18.25, "currency_active": false, "unit_name": "Estrellas", "unit_base": false, "unit_active": false, "duration_name": "Tres", "duration_unit": "year", "duration_value": 3, "expiry": "quarter_end", "expiry_date": "2040-02-29", "pending_days": 4, "shortfall": "partial", "reinstatement_days": 5, "time_zone": "UTC", "range_group": "Escala", "rank_window_unit": "calendar_year", "rank_window_value": 2, "rank_grace_days": 6, "earn_on_points": true, "requires_ticket": true, "requires_birth_date": true, "channel": "whatsapp", "messages": ["accrue", "welcome"]}'
SELECT program_id AS fresh FROM loyalty.create_program(:merchant, 'Nuevo') \gset
SELECT is(s.value, pg_temp.default_of(s.key), 'a new program has the default: ' || s.key) FROM loyalty.programs p, jsonb_each(p.settings::jsonb - 'name') s WHERE p.program_id = :fresh;
SELECT program_id AS another FROM loyalty.create_program(merchant_id => :merchant, name => 'Otro', client_id => 'otra', settings => :'others') \gset
SELECT is(settings::jsonb, :'others'::jsonb, 'all settings can be given to a new program, and win over its name') FROM loyalty.programs WHERE program_id = :another;
SELECT pg_temp.row_of(program) AS before, loyalty.configure_program(:merchant, program, (SELECT settings FROM loyalty.programs WHERE program_id = program))::jsonb AS answer, program INTO TEMP again FROM unnest(ARRAY[:fresh, :another]) program;
SELECT is(pg_temp.row_of(program), before, 'settings that are put in again change nothing, not even the revision') FROM again;
SELECT is(answer, (SELECT settings::jsonb FROM loyalty.programs WHERE program_id = program), 'and are what is answered') FROM again;
SELECT is(loyalty.configure_program(merchant_id => :merchant, program_id => :fresh, settings => '{"decimals": 1.0, "accumulation_points": 12.50000}')::jsonb, settings::jsonb || '{"decimals": 1, "accumulation_points": 12.5}', 'zeros after the point do not count')
FROM loyalty.programs WHERE program_id = :fresh;
SELECT is(loyalty.configure_program(:merchant, :fresh, '{"decimals": 3, "decimals": 0}') ->> 'decimals', '0', 'of a key that is there twice, the last one counts');

CREATE FUNCTION pg_temp.becomes_default(merchant bigint, program bigint, others jsonb) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	key text;
BEGIN
	FOR key IN SELECT jsonb_object_keys(others - 'name')
	LOOP
		PERFORM loyalty.configure_program(merchant, program, others::json);
		RETURN NEXT public.isnt(others -> key, pg_temp.default_of(key), 'not the default: ' || key);
		RETURN NEXT public.is(loyalty.configure_program(merchant, program, json_build_object(key, NULL))::jsonb, others || jsonb_build_object(key, pg_temp.default_of(key)), 'null is the default: ' || key);
	END LOOP;
END
$$;
SELECT pg_temp.becomes_default(:merchant, :another, :'others');
SELECT pg_temp.refuses(format('SELECT loyalty.configure_program(%s, %s, ''{"name": null}'')', :merchant, :another), 'invalid_argument', 'a name has no default');

-- What the hint of a refusal says.
CREATE FUNCTION pg_temp.hint(merchant bigint, program bigint, settings json) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	PERFORM loyalty.configure_program(merchant, program, settings);
	RETURN 'none: it is accepted';
EXCEPTION WHEN SQLSTATE 'LY005' THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN hint;
END
$$;
SELECT is(pg_temp.hint(:merchant, :fresh, json_build_object(s.key, w.value)), format('%s must be a JSON %s, or null for the default.', s.key, jsonb_typeof(s.value)), format('%s: not %s', s.key, w.value))
FROM jsonb_each(:'others') s, (VALUES ('{}'::json), ('[]'), ('1'), ('"1"'), ('true')) w (value) WHERE json_typeof(w.value) <> jsonb_typeof(s.value);
SELECT is(pg_temp.hint(:merchant, :fresh, json_build_object('name', 'x', key, value)), format('There is no setting "%s".', key), 'no setting: ' || key)
FROM (VALUES ('active', 'false'::json), ('percentage', '5'), ('client_id', '"x"'), ('program_id', '1'), ('revision', '1'), ('tracks_lots', 'true'), ('Decimals', '1'), ('', '1'), ('decimals ', 'null')) v (key, value);
SELECT is(pg_temp.hint(:merchant, :fresh, settings), 'settings is a JSON object.', 'not settings: ' || coalesce(settings::text, 'NULL')) FROM (VALUES ('[]'::json), ('null'), ('1'), ('"name"'), (NULL)) v (settings);
SELECT is(pg_temp.hint(:merchant, :fresh, settings), hint, settings::text) FROM (VALUES ('{"expiry_date": "tomorrow"}'::json, 'expiry_date is a date, YYYY-MM-DD.'), ('{"expiry_date": "01/02/2040"}', 'expiry_date is a date, YYYY-MM-DD.'),
	('{"messages": ["welcome", 1]}', 'messages is a list of strings.'), ('{"messages": [["welcome"]]}', 'messages is a list of strings.'), ('{"name": "a\u0000b"}', 'Texts must not have the character U+0000.')) v (settings, hint);
SELECT is(pg_temp.hint(:merchant, :fresh, format('{"managed_by": "x", "%s": %s, "unit_name": "x"}', setting, value)::json), setting || range, format('%s: %s', setting, value)) FROM (VALUES
	('name', '""', ' has 1 to 1,024 bytes, is not blank and has no control characters.'), ('name', 'null', ' has 1 to 1,024 bytes, is not blank and has no control characters.'), ('accumulation_points', '-1', ' is not negative, less than 922,337,203,685,478, with at most 4 decimals.'),
	('accumulation_money', '0', ' is more than 0, less than 922,337,203,685,478, with at most 4 decimals.'), ('redemption_points', '0.00001', ' is more than 0, less than 922,337,203,685,478, with at most 4 decimals.'),
	('redemption_money', '1e99', ' is more than 0, less than 922,337,203,685,478, with at most 4 decimals.'), ('currency_change', '0', ' is more than 0, less than 922,337,203,685,478, with at most 4 decimals.'),
	('decimals', '9', ' is 0 to 4.'), ('decimals', '1e99', ' is 0 to 4.'), ('decimals', '2.5', ' is 0 to 4.'), ('rounding', '"round"', ' is half_up, half_even, down or up.'), ('currency_iso', '"mxn"', ' is three capital letters.'),
	('duration_unit', '"week"', ' is day, month or year.'), ('duration_value', '1201', ' is 0 to 1200.'), ('expiry', '"weekly"', ' is rolling, month_end, quarter_end, year_end or fixed.'),
	('expiry', '"fixed"', '_date is a date from 2000-01-01 to 9999-12-31, and required where expiry is fixed.'), ('expiry_date', '"1999-12-31"', ' is a date from 2000-01-01 to 9999-12-31, and required where expiry is fixed.'),
	('expiry_date', '"2041-02-29"', ' is a date from 2000-01-01 to 9999-12-31, and required where expiry is fixed.'), ('pending_days', '-1', ' is 0 to 3650.'), ('shortfall', '"x"', ' is refuse, partial or negative.'),
	('reinstatement_days', '3651', ' is 0 to 3650.'), ('time_zone', '"America/Leon"', ' is a name such as America/Mexico_City, as pg_timezone_names has it, or UTC.'), ('rank_window_unit', '"week"', ' is day, month, year or calendar_year.'), ('rank_window_value', '1201', ' is 0 to 1200.'),
	('rank_grace_days', '3651', ' is 0 to 3650.'), ('channel', '"mail"', ' is sms or whatsapp.'), ('messages', '["birthday"]', ' is a subset of welcome, accrue, redeem, adjust.')) v (setting, value, range);
SELECT pg_temp.refuses(format('SELECT loyalty.configure_program(%s, %s, %L)', :merchant, :fresh, settings), 'invalid_argument', settings)
FROM (VALUES ('{"expiry_date": "2041-02-29"}'), ('{"decimals": 2.5}'), ('{"decimals": 1e99}'), ('{"accumulation_money": 1e99}'), ('{"accumulation_money": 0.00001}'), ('{"rank_window_value": 1201}'), ('{"rank_grace_days": -1}'), ('{"rank_window_unit": "week"}')) v (settings);
SELECT is((SELECT settings::jsonb FROM loyalty.programs WHERE program_id = :fresh), (SELECT answer || '{"decimals": 0, "accumulation_points": 12.5}' FROM again WHERE program = :fresh), 'what was refused has changed nothing');

-- --- by which a program is found, and whether it is enabled ----------------------------

SELECT is(loyalty.find_program(:merchant, 'P'), :program::bigint, 'by its client_id');
SELECT is(loyalty.find_program(merchant_id => :merchant, wallet_key => :'wallet_key'), :program::bigint, 'by its wallet_key');
SELECT isnt(loyalty.find_program(:other, 'P'), :program::bigint, 'each merchant has their own');
SELECT pg_temp.refuses(format('SELECT loyalty.find_program(%s)', arguments), code, format('find_program: %s', arguments))
FROM (VALUES (format('%s, ''Q''', :merchant), 'unknown_object'), (format('%s, ''''', :merchant), 'unknown_object'), (format('%s', :merchant), 'invalid_argument'), (format('%s, NULL, NULL', :merchant), 'invalid_argument'), ('1, ''P''', 'unknown_object'),
	('NULL, ''P''', 'unknown_object'), (format('%s, wallet_key => ''P''', :merchant), 'unknown_object'), (format('%s, wallet_key => %L', :other, :'wallet_key'), 'unknown_object'),
	(format('%s, ''P'', %L', :merchant, :'wallet_key'), 'invalid_argument'), (format('%s, client_id => ''Q'', wallet_key => ''Q''', :merchant), 'invalid_argument')) v (arguments, code);
SELECT is(loyalty.enable_program(:merchant, :program), false, 'a program is enabled as it is created');
SELECT is(loyalty.disable_program(merchant_id => :merchant, program_id => :program), true, 'it can be disabled');
SELECT is(pg_temp.row_of(:program) -> 'active', 'false', 'then it is inactive');
SELECT is(loyalty.disable_program(:merchant, :program), false, 'once');
SELECT is(loyalty.enable_program(merchant_id => :merchant, program_id => :program), true, 'it can be enabled');
SELECT is(loyalty.enable_program(:merchant, :program), false, 'once');
SELECT is(pg_temp.row_of(:program) -> 'active', 'true', 'and is active again');

-- --- money into points --------------------------------------------------------------

CREATE FUNCTION pg_temp.earns(merchant bigint, points text, per text, change text, decimals integer, rounding text, money text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM loyalty.configure_program(merchant, loyalty.find_program(merchant, 'P'), json_build_object('accumulation_points', points::loyalty.points, 'accumulation_money', per::loyalty.points, 'currency_change', change::loyalty.points, 'decimals', decimals, 'rounding', rounding));
	RETURN pg_temp.item(merchant, 'accumulation', 'P', 'A', money);
END
$$;
SELECT is(pg_temp.earns(:merchant, points, per, change, decimals, rounding, money), expected, format('%s at %s for %s, change %s, %s decimals %s: %s', money, points, per, change, decimals, rounding, expected))
FROM (VALUES
	('1', '30', '1', 2, 'half_up', '1000', '+33.33'), ('1', '30', '1', 2, 'up', '1000', '+33.34'), ('1', '30', '1', 0, 'down', '1000', '+33'), ('1', '30', '1', 0, 'up', '1000', '+34'), ('1', '30', '1', 4, 'half_up', '1000', '+33.3333'),
	('1', '30', '1', 0, 'down', '29.9999', '+0'), ('1', '30', '1', 0, 'down', '30', '+1'), ('1', '30', '1', 0, 'down', '59.9999', '+1'), ('1', '30', '1', 0, 'up', '0.0001', '+1'), ('1', '30', '1', 0, 'half_up', '15', '+1'),
	('1', '30', '1', 0, 'half_up', '14.9999', '+0'), ('1', '30', '1', 0, 'half_even', '15', '+0'), ('1', '30', '1', 0, 'half_even', '45', '+2'), ('1', '30', '1', 0, 'half_even', '15.0001', '+1'), ('1', '30', '1', 0, 'half_even', '75', '+2'),
	('10', '100', '1', 2, 'half_up', '0.05', '+0.01'), ('10', '100', '1', 2, 'half_up', '0.0499', '+0'), ('10', '100', '1', 2, 'half_even', '0.05', '+0'), ('10', '100', '1', 2, 'half_even', '0.15', '+0.02'),
	('10', '100', '18.5', 2, 'half_up', '1', '+1.85'), ('1', '30', '18.5', 2, 'half_up', '100', '+61.67'), ('1', '30', '0.0001', 4, 'down', '300', '+0.001'), ('1', '30', '0.0001', 4, 'down', '29.9999', '+0'),
	('0', '100', '1', 2, 'up', '1000', '+0'), ('0.0001', '922337203685477.5807', '1', 4, 'up', '0.0001', '+0.0001'), ('922337203685477.5807', '922337203685477.5807', '1', 4, 'down', '12.3456', '+12.3456')) v (points, per, change, decimals, rounding, money, expected);
SELECT is(pg_temp.earns(:merchant, '922337203685477', '0.0001', '1', 2, 'down', '1000'), 'Un campo no tiene el tipo o el formato esperado: amount', 'more points than there are');
SELECT is(pg_temp.earns(:merchant, '922337203685477', '0.0001', '922337203685477', 2, 'down', '922337203685477'), 'Un campo no tiene el tipo o el formato esperado: amount', 'however many');

-- Against exact arithmetic, whatever the terms.
CREATE FUNCTION pg_temp.exactly(points numeric, per numeric, change numeric, decimals integer, rounding text, money numeric) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	share numeric := money * points * change * 10::numeric ^ decimals;
	whole numeric := div(share, per);
	rest numeric := share - whole * per;
BEGIN
	whole := whole + CASE
		WHEN rounding = 'up' AND rest > 0 OR rounding = 'half_up' AND 2 * rest >= per THEN 1
		WHEN rounding = 'half_even' AND (2 * rest > per OR 2 * rest = per AND mod(whole, 2) = 1) THEN 1
		ELSE 0 END;
	RETURN '+' || trim_scale(round(whole / 10::numeric ^ decimals, 4));
END
$$;
SELECT setseed(0.5) \g /dev/null
CREATE TEMP TABLE cases AS
SELECT i, round((random() * 50)::numeric, (random() * 4)::integer) AS points, round((random() * 100)::numeric, (random() * 2)::integer) + 0.5 AS per, round((random() * 20)::numeric, (random() * 4)::integer) + 0.0001 AS change,
	(i % 5) AS decimals, ('{half_up,half_even,down,up}'::text[])[1 + i % 4] AS rounding, round((random() * 1000)::numeric, (random() * 4)::integer) + 0.0001 AS money
FROM generate_series(1, 400) i;
-- with many ties
INSERT INTO cases SELECT 400 + i, 1, 20, 1, i % 3, ('{half_up,half_even}'::text[])[1 + i % 2], 10 + 20 * i + i FROM generate_series(0, 99) i;
SELECT is_empty($$SELECT c.*, pg_temp.earns($$ || :merchant || $$, points::text, per::text, change::text, decimals, rounding, money::text) AS got, pg_temp.exactly(points, per, change, decimals, rounding, money) AS expected FROM cases c
	WHERE pg_temp.earns($$ || :merchant || $$, points::text, per::text, change::text, decimals, rounding, money::text) <> pg_temp.exactly(points, per, change, decimals, rounding, money)$$, '500 conversions are exact');

-- --- points and their currency ---------------------------------------------------------

SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'P'), json_build_object('accumulation_points', 10, 'accumulation_money', 100, 'redemption_points', 10, 'redemption_money', 3, 'currency_change', 1, 'currency_iso', 'MXN', 'decimals', 2, 'rounding', 'half_up')) \g /dev/null
SELECT is(pg_temp.item(:merchant, operation, 'P', 'A', amount, more::json), expected, format('%s of %s %s: %s', operation, amount, more, expected))
FROM (VALUES ('deposit', '10', '{}', '+10'), ('deposit', '100', '{"currency":"MXN"}', '+10'), ('deposit', '100', '{"currency":"USD"}', 'El programa no acepta esta moneda: USD'), ('deposit', '1.234', '{}', 'Un campo no tiene el tipo o el formato esperado: amount'),
	('deposit', '1.234', '{"currency":"MXN"}', '+0.12'), ('accumulation', '100', '{}', '+10'), ('accumulation', '100', '{"amountCurrency":"MXN"}', '+10'), ('accumulation', '100', '{"amountCurrency":"5"}', 'El programa no acepta esta moneda: 5'),
	('redemption', '10', '{"amountCurrency":3}', '-10'), ('redemption', '10', '{"amountCurrency":"2.99"}', '-10'), ('redemption', '10', '{"amountCurrency":"3.0101"}', 'El monto en moneda no corresponde a los puntos según la base de redención'),
	('redemption', '10', '{"amountCurrency":"MXN"}', 'Un campo no tiene el tipo o el formato esperado: amountCurrency')) v (operation, amount, more, expected);
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'P'), json_build_object('currency_active', false)) \g /dev/null
SELECT is(pg_temp.item(:merchant, operation, 'P', 'A', '10', more::json), expected, format('without its currency: %s %s', operation, more))
FROM (VALUES ('deposit', '{}', '+10'), ('deposit', '{"currency":"MXN"}', 'El programa no acepta esta moneda: MXN'), ('accumulation', '{}', 'El programa no acepta esta moneda: MXN'), ('redemption', '{"amountCurrency":3}', 'El programa no acepta esta moneda: MXN')) v (operation, more, expected);
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'P'), json_build_object('currency_active', true, 'unit_base', false)) \g /dev/null
SELECT is(pg_temp.item(:merchant, operation, 'P', 'A', '10', more::json), expected, format('without its unit as a base: %s %s', operation, more))
FROM (VALUES ('deposit', '{}', 'El programa solo acepta abonos en su moneda'), ('deposit', '{"currency":"MXN"}', '+1'), ('accumulation', '{}', '+1'), ('redemption', '{"amountCurrency":3}', '-10')) v (operation, more, expected);
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'P'), json_build_object('unit_base', true)) \g /dev/null

-- --- inactive -------------------------------------------------------------------------------

CREATE FUNCTION pg_temp.inactive(merchant bigint, wallet_key text, staff bigint, state text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN NEXT public.is(pg_temp.item(merchant, 'deposit', 'P', 'A', '10'), 'El programa no está activo', state || ': deposit');
	RETURN NEXT public.is(pg_temp.item(merchant, 'redemption', 'P', 'A', '10', '{"amountCurrency":3}'), '-10', state || ': redemption');
	RETURN NEXT public.is(pg_temp.item(merchant, 'accumulation', 'P', 'A', '10'), 'El programa no está activo', state || ': accumulation');
	RETURN NEXT pg_temp.refuses(format('SELECT loyalty.seller_member_create(%s, ''P'', ''b@correo.example'', ''B'', ''B'')', merchant), 'program_inactive', state || ': member_create');
	RETURN NEXT pg_temp.refuses(format('SELECT loyalty.wallet_sale(%s, %L, ''5512340001'', 0, 100, NULL, %s)', merchant, wallet_key, staff), 'new_sale_10', state || ': wallet_sale');
	RETURN NEXT public.lives_ok(format('SELECT loyalty.wallet_sale(%s, %L, ''5512340001'', 1, NULL, 1, %s)', merchant, wallet_key, staff), state || ': wallet_sale of points used');
	RETURN NEXT public.lives_ok(format('SELECT loyalty.wallet_balance_update(%s, %L, ''5512340001'', 0, 1, %s)', merchant, wallet_key, staff), state || ': wallet_balance_update');
	RETURN NEXT pg_temp.refuses(format('SELECT loyalty.wallet_contact_add(%s, %L, ''5512340002'', ''B'', %s)', merchant, wallet_key, staff), 'wallet_manager_07', state || ': wallet_contact_add');
	RETURN NEXT pg_temp.refuses(format('SELECT loyalty.wallet_contact_get(%s, %L)', merchant, wallet_key), 'wallet_balance_get_02', state || ': wallet_contact_get');
END
$$;
SELECT entry_no, balance::text AS balance FROM loyalty_internal.account WHERE account_id = :a \gset
SELECT loyalty.disable_program(:merchant, loyalty.find_program(:merchant, 'P')) \g /dev/null
SELECT pg_temp.inactive(:merchant, :'wallet_key', :staff, 'inactive');
SELECT is(loyalty.seller_program_get(:merchant, 'P') ->> 'status', 'inactive', 'the program says so');
SELECT is((loyalty.seller_member_balance(:merchant, 'P', 'A') ->> 'balance')::numeric, :'balance'::numeric - 10, 'balances can be read');
SELECT loyalty.enable_program(:merchant, :program), loyalty.configure_program(:merchant, :program, '{"unit_active": false}') \g /dev/null
SELECT pg_temp.inactive(:merchant, :'wallet_key', :staff, 'unit inactive');
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'P'), json_build_object('unit_active', true)) \g /dev/null
SELECT is((SELECT count(*) FROM loyalty.entries WHERE account_id = :a AND entry_no > :entry_no AND kind NOT IN ('redeem', 'adjust')), 0::bigint, 'nothing else was posted');
SELECT is((SELECT count(*) FROM loyalty.members WHERE merchant_id = :merchant), 1::bigint, 'nobody was enrolled');
SELECT lives_ok(format('SELECT loyalty.wallet_sale(%s, %L, ''5512340001'', 0, 100, NULL, %s)', :merchant, :'wallet_key', :staff), 'active again, a sale goes through');

-- --- ranks --------------------------------------------------------------------------------------

SELECT pg_temp.refuses(format('SELECT loyalty.set_rank_ranges(%s)', arguments), code, 'set_rank_ranges: ' || arguments)
FROM (VALUES ('1, ''G'', ''{A}'', ''{0}''', 'unknown_object'), (format('%s, '''', ''{A}'', ''{0}''', :merchant), 'invalid_argument'), (format('%s, NULL, ''{A}'', ''{0}''', :merchant), 'invalid_argument'),
	(format('%s, ''G'', ''{A,B}'', ''{0}''', :merchant), 'invalid_argument'), (format('%s, ''G'', ''{A,A}'', ''{0,1}''', :merchant), 'invalid_argument'), (format('%s, ''G'', ''{A,B}'', ''{1,1}''', :merchant), 'invalid_argument'),
	(format('%s, ''G'', ''{A}'', ''{-1}''', :merchant), 'invalid_argument'), (format('%s, ''G'', ''{""}'', ''{0}''', :merchant), 'invalid_argument'), (format('%s, ''G'', ''{NULL}'', ''{0}''', :merchant), 'invalid_argument'),
	(format('%s, ''G'', NULL, ''{0}''', :merchant), 'invalid_argument')) v (arguments, code);

SELECT loyalty.set_rank_ranges(:merchant, 'G', '{Oro,Base,Plata}', '{1000,0,100.5}') \g /dev/null
SELECT loyalty.create_program(:merchant, 'Con rangos', 'R') \g /dev/null
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'R'), json_build_object('range_group', 'G')) \g /dev/null
SELECT wallet_key AS ranked_wallet FROM loyalty_internal.program WHERE client_id = 'R' \gset
SELECT loyalty.seller_member_create(:merchant, 'R', 'r@correo.example', 'R', 'R', client_id => 'R', phone => '5512340003') ->> 'id' AS r \gset
CREATE FUNCTION pg_temp.rank(program text, member text) RETURNS text LANGUAGE sql AS
'SELECT m.rank || '' '' || m.balance || '' of '' || m.earned FROM loyalty.members m JOIN loyalty_internal.program p USING (merchant_id, program_id) WHERE p.client_id = program AND m.client_id = member';
CREATE FUNCTION pg_temp.step(merchant bigint, statement text, expected text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN public.is(pg_temp.rank('R', 'R'), expected, format('%s: %s', expected, regexp_replace(statement, '\d{10,}', '…', 'g')));
END
$$;
SELECT pg_temp.step(:merchant, format(statement, :merchant, :r), expected) FROM (VALUES
	('SELECT', 'Base 0 of 0'),
	('SELECT pg_temp.item(%s, ''deposit'', ''R'', ''R'', ''100.49'')', 'Base 100.49 of 100.49'),
	('SELECT pg_temp.item(%s, ''deposit'', ''R'', ''R'', ''0.01'')', 'Plata 100.5 of 100.5'),
	('SELECT pg_temp.item(%s, ''redemption'', ''R'', ''R'', ''100.5'', ''{"amountCurrency":100.5}'')', 'Plata 0 of 100.5'),
	('SELECT loyalty.post(%s, %s, ''adjust'', ''5000'')', 'Plata 5000 of 100.5'),
	('SELECT loyalty.post(%s, %s, ''adjust'', ''-5000'')', 'Plata 0 of 100.5'),
	('SELECT pg_temp.item(%s, ''accumulation'', ''R'', ''R'', ''8994.9'')', 'Plata 899.49 of 999.99'),
	('SELECT pg_temp.item(%s, ''accumulation'', ''R'', ''R'', ''0.1'')', 'Oro 899.5 of 1000'),
	('SELECT pg_temp.item(%s, ''redemption'', ''R'', ''R'', ''899.5'', ''{"amountCurrency":899.5}'')', 'Oro 0 of 1000'),
	('SELECT loyalty.set_rank_ranges(%s, ''G'', ''{Base,Plata,Oro}'', ''{0,500,1000.0001}'')', 'Plata 0 of 1000'),
	('SELECT loyalty.set_rank_ranges(%s, ''G'', ''{Plata,Oro}'', ''{2000,3000}'')', ' 0 of 1000'),
	('SELECT loyalty.set_rank_ranges(%s, ''G'', ''{Base,Plata,Oro}'', ''{0,100,1000}'')', 'Oro 0 of 1000'),
	('SELECT loyalty.configure_program(%s, loyalty.find_program(%1$s, ''R''), json_build_object(''range_group'', ''''))', ' 0 of 1000'),
	('SELECT loyalty.configure_program(%s, loyalty.find_program(%1$s, ''R''), json_build_object(''range_group'', ''G''))', 'Oro 0 of 1000')) v (statement, expected);
SELECT is(loyalty.seller_member_get(:merchant, 'R', 'R') -> 'rank' ->> 'name', 'Oro', 'the seller API tells it');

SELECT loyalty.seller_member_create(:merchant, 'R', 'g@correo.example', 'G', 'G', client_id => 'G', rank => 'Plata') \g /dev/null
SELECT is(pg_temp.rank('R', 'G'), 'Plata 0 of 0', 'a rank that was granted');
SELECT pg_temp.item(:merchant, 'deposit', 'R', 'G', '99') \g /dev/null
SELECT is(pg_temp.rank('R', 'G'), 'Plata 99 of 99', 'is held');
SELECT pg_temp.item(:merchant, 'deposit', 'R', 'G', '901') \g /dev/null
SELECT is(pg_temp.rank('R', 'G'), 'Oro 1000 of 1000', 'until a higher one is earned');
SELECT loyalty.wallet_sale(:merchant, :'ranked_wallet', '5512340003', 0, 100, NULL, :staff) \g /dev/null
SELECT is(pg_temp.rank('R', 'R'), 'Oro 10 of 1010', 'a sale of the wallet earns too');

-- Ranks for members who are there already.
SELECT loyalty.create_program(:merchant, 'Sin rangos', 'S') \g /dev/null
SELECT count(loyalty.seller_member_create(:merchant, 'S', i || '@correo.example', 'S', 'S', client_id => 'S' || i)) FROM generate_series(1, 3) i \g /dev/null
SELECT pg_temp.item(:merchant, operation, 'S', member, amount, more::json) FROM (VALUES ('deposit', 'S1', '150', '{}'), ('redemption', 'S1', '140', '{"amountCurrency":140}'), ('accumulation', 'S2', '5000', '{}'), ('accumulation', 'S2', '5000', '{}')) v (operation, member, amount, more) \g /dev/null
SELECT loyalty.post(:merchant, account_id, 'adjust', '700') FROM loyalty.members WHERE client_id = 'S1' \g /dev/null
SELECT results_eq($$SELECT client_id, rank, earned IS NULL FROM loyalty.members WHERE client_id ~ '^S\d' ORDER BY 1$$, $$VALUES ('S1' COLLATE "C", '', true), ('S2', '', true), ('S3', '', true)$$, 'a program without ranks does not count what is earned');
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'S'), json_build_object('range_group', 'G')) \g /dev/null
SELECT is(pg_temp.rank('S', member), expected, member || ' is ' || expected) FROM (VALUES ('S1', 'Plata 710 of 150'), ('S2', 'Oro 1000 of 1000'), ('S3', 'Base 0 of 0')) v (member, expected);
SELECT pg_temp.item(:merchant, 'deposit', 'S', 'S3', '100') \g /dev/null
SELECT is(pg_temp.rank('S', 'S3'), 'Plata 100 of 100', 'from then on it counts');
SELECT loyalty.seller_member_create(:merchant, 'S', '4@correo.example', 'S', 'S', client_id => 'S4') \g /dev/null
SELECT is(pg_temp.rank('S', 'S4'), 'Base 0 of 0', 'new members too');
SELECT is_empty('SELECT FROM loyalty_internal.account WHERE lots IS NOT NULL', 'ranks need no lots');

-- A large account, of a program that was never inactive: what it earns is not summed.
SELECT program_id AS large_program FROM loyalty.create_program(:merchant, 'Grande') \gset
SELECT loyalty.post(:merchant, account_id, 'deposit', '922337203685477.5807') FROM (SELECT loyalty.open_account(:merchant, :large_program) AS account_id) a \g /dev/null
SELECT max(account_id) AS large FROM loyalty_internal.account WHERE balance::numeric > 922337203685477 \gset
SELECT loyalty.post(:merchant, :large, 'redeem', '922337203685477') \g /dev/null
SELECT loyalty.post(:merchant, :large, 'deposit', '1000') \g /dev/null
SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');

-- What a session's timezone_abbreviations decide is no time zone of a program.
SELECT pg_temp.refuses(format('SELECT loyalty.configure_program(%s, %s, %L)', :merchant, :program, json_build_object('time_zone', zone)), 'invalid_argument', 'time zone ' || zone)
FROM unnest('{SAT,IST,EST,PDT,+3,FOO8,america/mexico_city,Luna/Mar}'::text[]) zone;
SELECT is(loyalty.configure_program(:merchant, :program, json_build_object('time_zone', zone)) ->> 'time_zone', zone, 'time zone ' || zone) FROM unnest('{UTC,America/Tijuana,Etc/GMT+6}'::text[]) zone;
SELECT pg_temp.refuses(format('SELECT loyalty.create_program(%s, ''x'', %L)', :merchant, repeat('9', 256)), 'invalid_argument', 'a client_id of 256 bytes');
SELECT pg_temp.refuses(format('SELECT loyalty.create_program(%s, %L)', :merchant, name), 'invalid_argument', 'a name of ' || octet_length(name) || ' bytes') FROM (VALUES (repeat('x', 1025)), (E' \t'), ('')) v (name);

SELECT * FROM finish();
ROLLBACK;
