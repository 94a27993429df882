-- Earning rules: what a sale earns beyond the base of its program.  A set of
-- rules never changes; another set takes its place.

CREATE TABLE loyalty_internal.rule_set (
	merchant_id		bigint		NOT NULL,
	program_id		bigint		NOT NULL,
	version			integer		NOT NULL CHECK (version > 0),
	published_at	timestamptz	NOT NULL,
	PRIMARY KEY (merchant_id, program_id, version),
	FOREIGN KEY (merchant_id, program_id) REFERENCES loyalty_internal.program
);
COMMENT ON TABLE loyalty_internal.rule_set IS 'The sets of earning rules that a program has had: each is current from its publication to the next one''s.';
GRANT SELECT, INSERT ON loyalty_internal.rule_set TO loyalty_engine;

CREATE TABLE loyalty_internal.rule (
	merchant_id		bigint			NOT NULL,
	program_id		bigint			NOT NULL,
	version			integer			NOT NULL,
	ordinal			integer			NOT NULL CHECK (ordinal > 0),
	name			text			COLLATE "C" NOT NULL CHECK (name <> ''),
	skus			text[]			COLLATE "C" CHECK (skus <> '{}'),
	categories		text[]			COLLATE "C" CHECK (categories <> '{}'),
	valid_from		timestamptz,
	valid_until		timestamptz,
	days			integer[]		CHECK (days <> '{}' AND days <@ '{1,2,3,4,5,6,7}'),
	from_time		time,
	until_time		time,
	min_amount		loyalty.points	CHECK (min_amount OPERATOR(loyalty.>) '0'::loyalty.points),
	birthday_days	integer			CHECK (birthday_days BETWEEN 0 AND 180),
	first_purchase	boolean			NOT NULL DEFAULT false,
	ranks			text[]			COLLATE "C" CHECK (ranks <> '{}'),
	points_per		loyalty.points	CHECK (points_per OPERATOR(loyalty.>) '0'::loyalty.points),
	money_per		loyalty.points	CHECK (money_per OPERATOR(loyalty.>) '0'::loyalty.points),
	multiplier		loyalty.points	CHECK (multiplier OPERATOR(loyalty.>) '1'::loyalty.points),
	points			loyalty.points	CHECK (points OPERATOR(loyalty.>) '0'::loyalty.points),
	expires_unit	text			CHECK (expires_unit IN ('day', 'month', 'year')),
	expires_value	integer			CHECK (expires_value BETWEEN 1 AND 1200),
	max_ticket		loyalty.points	CHECK (max_ticket OPERATOR(loyalty.>) '0'::loyalty.points),
	max_day			loyalty.points	CHECK (max_day OPERATOR(loyalty.>) '0'::loyalty.points),
	max_week		loyalty.points	CHECK (max_week OPERATOR(loyalty.>) '0'::loyalty.points),
	max_month		loyalty.points	CHECK (max_month OPERATOR(loyalty.>) '0'::loyalty.points),
	max_year		loyalty.points	CHECK (max_year OPERATOR(loyalty.>) '0'::loyalty.points),
	max_member		loyalty.points	CHECK (max_member OPERATOR(loyalty.>) '0'::loyalty.points),
	PRIMARY KEY (merchant_id, program_id, version, ordinal),
	UNIQUE (merchant_id, program_id, version, name),
	FOREIGN KEY (merchant_id, program_id, version) REFERENCES loyalty_internal.rule_set,
	CHECK (num_nonnulls(points_per, multiplier, points) = 1 AND num_nonnulls(points_per, money_per) <> 1),
	CHECK (num_nonnulls(from_time, until_time) <> 1 AND num_nonnulls(expires_unit, expires_value) <> 1)
);
COMMENT ON TABLE loyalty_internal.rule IS 'The rules of the sets; the columns mean what the keys of loyalty.publish_rules() do. Never changed.';
COMMENT ON COLUMN loyalty_internal.rule.name IS 'What simulate() calls the rule, and what its use is counted under in all sets.';
COMMENT ON COLUMN loyalty_internal.rule.skus IS 'In byte order, as are categories and ranks: they are searched.';
GRANT SELECT, INSERT ON loyalty_internal.rule TO loyalty_engine;

-- Written under the lock of the account.
CREATE TABLE loyalty_internal.rule_use (
	merchant_id		bigint			NOT NULL,
	account_id		bigint			NOT NULL,
	rule			text			COLLATE "C" NOT NULL,
	day				date			NOT NULL,
	points_day		loyalty.points	NOT NULL,
	points_week		loyalty.points	NOT NULL,
	points_month	loyalty.points	NOT NULL,
	points_year		loyalty.points	NOT NULL,
	points_ever		loyalty.points	NOT NULL,
	PRIMARY KEY (merchant_id, account_id, rule)
) WITH (fillfactor = 80);
COMMENT ON TABLE loyalty_internal.rule_use IS 'What rules with a cap beyond a ticket have given to an account, less what was reversed.';
COMMENT ON COLUMN loyalty_internal.rule_use.rule IS 'The name of the rule, whatever set it is in.';
COMMENT ON COLUMN loyalty_internal.rule_use.day IS 'The day, in the program''s time zone, that points_day is of; points_week, points_month and points_year are of its week, from Monday on, its month and its year.';
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.rule_use TO loyalty_engine;

CREATE TABLE loyalty_internal.rule_award (
	merchant_id	bigint			NOT NULL,
	entry_id	bigint			NOT NULL,
	account_id	bigint			NOT NULL,
	rule		text			COLLATE "C" NOT NULL,
	day			date			NOT NULL,
	points		loyalty.points	NOT NULL,
	returned	loyalty.points	NOT NULL,
	PRIMARY KEY (merchant_id, entry_id, rule)
) WITH (fillfactor = 80);
COMMENT ON TABLE loyalty_internal.rule_award IS 'What of a sale rules with a cap beyond a ticket gave: a refund gives it back to the caps in proportion.';
COMMENT ON COLUMN loyalty_internal.rule_award.entry_id IS 'The entry of the sale.';
COMMENT ON COLUMN loyalty_internal.rule_award.day IS 'The day, in the program''s time zone, for which the caps counted it.';
COMMENT ON COLUMN loyalty_internal.rule_award.returned IS 'Points that refunds have returned to the caps.';
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.rule_award TO loyalty_engine;

CREATE TABLE loyalty_internal.entry_rule (
	merchant_id	bigint			NOT NULL,
	entry_id	bigint			NOT NULL,
	ordinal		integer			NOT NULL,
	points		loyalty.points	NOT NULL,
	PRIMARY KEY (merchant_id, entry_id, ordinal)
);
COMMENT ON TABLE loyalty_internal.entry_rule IS 'What of a sale each rule gave, as it was capped and rounded, and what the base of the program: all of an entry come to its points. Only of sales for which a rule gave something; of others all is of the base.';
COMMENT ON COLUMN loyalty_internal.entry_rule.entry_id IS 'The entry of the sale, whose rules is the version of the set.';
COMMENT ON COLUMN loyalty_internal.entry_rule.ordinal IS 'The rule, by its ordinal in the set; 0: the base, with the multiplier of the rank.';
GRANT SELECT, INSERT ON loyalty_internal.entry_rule TO loyalty_engine;

-- The three below are for publish_rules() only: nobody is granted them.
CREATE FUNCTION loyalty_internal.rule_instant(value text, time_zone text) RETURNS timestamptz
LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF value !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?$' THEN
		RAISE datetime_field_overflow;
	ELSIF value ~ ':.*(Z|[+-][0-9]{2}(:?[0-9]{2})?)$' THEN
		RETURN value::timestamptz;
	END IF;
	RETURN value::timestamp AT TIME ZONE rule_instant.time_zone;
END
$$;
COMMENT ON FUNCTION loyalty_internal.rule_instant(text, text) IS 'An ISO 8601 moment, in the time zone given unless it says its own. Errors: 22007, 22008 when it is none.';

CREATE FUNCTION loyalty_internal.rule_texts(rule jsonb, key text) RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT array_agg(DISTINCT t.value COLLATE "C" ORDER BY t.value COLLATE "C") FROM jsonb_array_elements_text(rule -> key) t
$$;
COMMENT ON FUNCTION loyalty_internal.rule_texts(jsonb, text) IS 'A list of a rule, each text once and in byte order; NULL if the rule has no such list.';

CREATE FUNCTION loyalty_internal.rule_problem(rule jsonb, time_zone text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	kinds CONSTANT jsonb := '{"name": "string", "skus": "array", "categories": "array", "ranks": "array", "from": "string", "until": "string",
		"days": "array", "from_time": "string", "until_time": "string", "min_amount": "number", "birthday_days": "number",
		"first_purchase": "boolean", "points_per": "number", "money_per": "number", "multiplier": "number", "points": "number",
		"expires_unit": "string", "expires_value": "number", "max_ticket": "number", "max_day": "number", "max_week": "number",
		"max_month": "number", "max_year": "number", "max_member": "number"}';
	problem text;
	valid_from timestamptz;
	valid_until timestamptz;
BEGIN
	IF jsonb_typeof(rule) <> 'object' THEN
		RETURN 'it is not an object';
	END IF;

	SELECT CASE WHEN NOT kinds ? m.key THEN format('there is no key "%s"', m.key)
				ELSE format('%s must be a JSON %s', m.key, kinds ->> m.key) END
	INTO problem FROM jsonb_each(rule) m WHERE jsonb_typeof(m.value) IS DISTINCT FROM kinds ->> m.key ORDER BY m.key COLLATE "C" LIMIT 1;
	IF FOUND THEN
		RETURN problem;
	ELSIF coalesce(rule ->> 'name', '') !~ '[^[:space:]]' OR length(rule ->> 'name') > 100 THEN
		RETURN 'name has 1 to 100 characters';
	ELSIF NOT loyalty_internal.is_line(rule ->> 'name') THEN
		RETURN 'name has no control characters';
	END IF;

	SELECT format('%s has 1 to 1,000 elements, none empty', k.key) INTO problem
	FROM unnest('{skus,categories,ranks}'::text[]) k (key)
	WHERE jsonb_array_length(rule -> k.key) NOT BETWEEN 1 AND 1000
	   OR EXISTS (SELECT FROM jsonb_array_elements(rule -> k.key) e WHERE jsonb_typeof(e) <> 'string' OR e #>> '{}' = '')
	ORDER BY k.key COLLATE "C" LIMIT 1;
	IF FOUND THEN
		RETURN problem;
	ELSIF rule ? 'days' AND (jsonb_array_length(rule -> 'days') NOT BETWEEN 1 AND 7
		OR EXISTS (SELECT FROM jsonb_array_elements(rule -> 'days') d WHERE d NOT IN ('1', '2', '3', '4', '5', '6', '7'))) THEN
		RETURN 'days has some of 1 (Monday) to 7 (Sunday)';
	END IF;

	SELECT format('%s is a number from %s to %s with at most %s decimals', b.key, b.lowest, b.highest, b.decimals) INTO problem
	FROM (VALUES ('birthday_days', 0, 180, 0), ('expires_value', 1, 1200, 0), ('multiplier', 1.0001, 1000, 4),
				 ('min_amount', 0.0001, 922337203685477.5807, 4), ('points_per', 0.0001, 922337203685477.5807, 4),
				 ('money_per', 0.0001, 922337203685477.5807, 4), ('points', 0.0001, 922337203685477.5807, 4),
				 ('max_ticket', 0.0001, 922337203685477.5807, 4), ('max_day', 0.0001, 922337203685477.5807, 4),
				 ('max_week', 0.0001, 922337203685477.5807, 4), ('max_month', 0.0001, 922337203685477.5807, 4), ('max_year', 0.0001, 922337203685477.5807, 4),
				 ('max_member', 0.0001, 922337203685477.5807, 4)) b (key, lowest, highest, decimals)
	WHERE (rule ->> b.key)::numeric NOT BETWEEN b.lowest AND b.highest
	   OR (rule ->> b.key)::numeric <> round((rule ->> b.key)::numeric, b.decimals)
	ORDER BY b.key COLLATE "C" LIMIT 1;
	IF FOUND THEN
		RETURN problem;
	ELSIF (SELECT count(*) FROM unnest('{points_per,multiplier,points}'::text[]) e WHERE rule ? e) <> 1
		OR rule ? 'points_per' <> rule ? 'money_per' THEN
		RETURN 'it gives exactly one of points_per with money_per, multiplier, points';
	ELSIF rule ? 'expires_unit' <> rule ? 'expires_value' OR rule ->> 'expires_unit' NOT IN ('day', 'month', 'year') THEN
		RETURN 'expires_unit is day, month or year and goes with expires_value';
	ELSIF rule ->> 'from_time' !~ '^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$' OR rule ->> 'until_time' !~ '^(([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?|24:00(:00)?)$' THEN
		RETURN 'from_time and until_time are times, HH:MM or HH:MM:SS';
	ELSIF coalesce((rule ->> 'from_time')::time, '00:00') = coalesce((rule ->> 'until_time')::time, '24:00') THEN
		RETURN 'from_time and until_time are different times';
	END IF;

	-- One by one: of a comparison with NULL, nothing else need be evaluated.
	valid_from := loyalty_internal.rule_instant(rule ->> 'from', rule_problem.time_zone);
	valid_until := loyalty_internal.rule_instant(rule ->> 'until', rule_problem.time_zone);
	IF valid_from >= valid_until THEN
		RETURN 'from is before until';
	END IF;
	RETURN NULL;
EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format THEN
	RETURN 'from and until are ISO 8601 dates or times';
END
$$;
COMMENT ON FUNCTION loyalty_internal.rule_problem(jsonb, text) IS 'What is wrong with one rule for loyalty.publish_rules(), NULL: nothing.';

CREATE FUNCTION loyalty.publish_rules(
	merchant_id bigint, program_id bigint, rules json, expected_version integer DEFAULT NULL, OUT version integer, OUT dropped text[])
RETURNS record
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	program loyalty_internal.program;
	given jsonb;
	problem text;
BEGIN
	given := publish_rules.rules;
	-- The lock: two publications do not get the same number.
	SELECT p.* INTO program FROM loyalty_internal.program p
	WHERE p.merchant_id = publish_rules.merchant_id AND p.program_id = publish_rules.program_id FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no program with this program_id.');
	ELSIF expected_version <> program.rules THEN
		PERFORM loyalty_internal.fail('version_conflict', format('The rules of the program are version %s; loyalty.rules shows them.', program.rules));
	ELSIF jsonb_typeof(given) IS DISTINCT FROM 'array' THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'rules is a JSON array of objects; [] for no rules.');
	ELSIF jsonb_array_length(given) > 100 THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'A set has at most 100 rules.');
	END IF;

	SELECT format('Rule %s%s: %s.', r.ordinal, ' (' || (r.rule ->> 'name') || ')', x.problem) INTO problem
	FROM jsonb_array_elements(given) WITH ORDINALITY r (rule, ordinal), LATERAL loyalty_internal.rule_problem(r.rule, program.time_zone) x (problem)
	WHERE x.problem IS NOT NULL ORDER BY r.ordinal LIMIT 1;
	IF FOUND THEN
		PERFORM loyalty_internal.fail('invalid_argument', problem);
	END IF;
	SELECT format('Two rules have the name %s.', r ->> 'name') INTO problem
	FROM jsonb_array_elements(given) r GROUP BY r ->> 'name' HAVING count(*) > 1 ORDER BY (r ->> 'name') COLLATE "C" LIMIT 1;
	IF FOUND THEN
		PERFORM loyalty_internal.fail('invalid_argument', problem);
	END IF;
	SELECT format('Rule %s: the program has no rank %s.', r.rule ->> 'name', k.rank) INTO problem
	FROM jsonb_array_elements(given) WITH ORDINALITY r (rule, ordinal), jsonb_array_elements_text(r.rule -> 'ranks') k (rank)
	WHERE NOT EXISTS (SELECT FROM loyalty_internal.rank_range g WHERE g.merchant_id = program.merchant_id
					  AND g.range_group = program.range_group AND g.rank = k.rank)
	ORDER BY r.ordinal LIMIT 1;
	IF FOUND THEN
		PERFORM loyalty_internal.fail('invalid_argument', problem);
	END IF;

	INSERT INTO loyalty_internal.rule_set AS s (merchant_id, program_id, version, published_at)
	SELECT program.merchant_id, program.program_id, program.rules + 1,
		   greatest(clock_timestamp(), max(o.published_at) + interval '1 microsecond')
	FROM loyalty_internal.rule_set o WHERE o.merchant_id = program.merchant_id AND o.program_id = program.program_id
	RETURNING s.version INTO publish_rules.version;
	dropped := ARRAY(SELECT r.name FROM loyalty_internal.rule r
					 WHERE r.merchant_id = program.merchant_id AND r.program_id = program.program_id AND r.version = program.rules
					   AND r.name <> ALL (SELECT g ->> 'name' FROM jsonb_array_elements(given) g)
					 ORDER BY r.ordinal);
	INSERT INTO loyalty_internal.rule (merchant_id, program_id, version, ordinal, name, skus, categories, valid_from, valid_until, days, from_time,
		until_time, min_amount, birthday_days, first_purchase, ranks, points_per, money_per, multiplier, points, expires_unit,
		expires_value, max_ticket, max_day, max_week, max_month, max_year, max_member)
	SELECT program.merchant_id, program.program_id, publish_rules.version, r.ordinal, r.rule ->> 'name',
		   loyalty_internal.rule_texts(r.rule, 'skus'), loyalty_internal.rule_texts(r.rule, 'categories'),
		   loyalty_internal.rule_instant(r.rule ->> 'from', program.time_zone), loyalty_internal.rule_instant(r.rule ->> 'until', program.time_zone),
		   (SELECT array_agg(DISTINCT d.value::numeric::integer) FROM jsonb_array_elements_text(r.rule -> 'days') d),
		   CASE WHEN r.rule ?| '{from_time,until_time}' THEN coalesce((r.rule ->> 'from_time')::time, '00:00') END,
		   CASE WHEN r.rule ?| '{from_time,until_time}' THEN coalesce((r.rule ->> 'until_time')::time, '24:00') END,
		   (r.rule ->> 'min_amount')::numeric::loyalty.points, (r.rule ->> 'birthday_days')::numeric,
		   coalesce((r.rule ->> 'first_purchase')::boolean, false), loyalty_internal.rule_texts(r.rule, 'ranks'),
		   (r.rule ->> 'points_per')::numeric::loyalty.points, (r.rule ->> 'money_per')::numeric::loyalty.points,
		   (r.rule ->> 'multiplier')::numeric::loyalty.points, (r.rule ->> 'points')::numeric::loyalty.points,
		   r.rule ->> 'expires_unit', (r.rule ->> 'expires_value')::numeric, (r.rule ->> 'max_ticket')::numeric::loyalty.points,
		   (r.rule ->> 'max_day')::numeric::loyalty.points, (r.rule ->> 'max_week')::numeric::loyalty.points,
		   (r.rule ->> 'max_month')::numeric::loyalty.points, (r.rule ->> 'max_year')::numeric::loyalty.points, (r.rule ->> 'max_member')::numeric::loyalty.points
	FROM jsonb_array_elements(given) WITH ORDINALITY r (rule, ordinal);
	UPDATE loyalty_internal.program p SET rules = publish_rules.version, updated_at = now(), rules_published_at = (
		SELECT s.published_at FROM loyalty_internal.rule_set s
		WHERE s.merchant_id = program.merchant_id AND s.program_id = program.program_id AND s.version = publish_rules.version)
	WHERE p.merchant_id = program.merchant_id AND p.program_id = program.program_id;
	IF jsonb_array_length(given) > 0 THEN
		PERFORM loyalty_internal.track_lots(program.merchant_id, program.program_id);
	END IF;
EXCEPTION WHEN untranslatable_character THEN
	PERFORM loyalty_internal.fail('invalid_argument', 'Texts must not have the character U+0000.');
END
$$;
COMMENT ON FUNCTION loyalty.publish_rules(bigint, bigint, json, integer) IS
'Replaces the earning rules of a program by a new set. Returns its version (1, 2, 3 …) and, in dropped, the names of the rules before that it does not have; those still are in loyalty.rules, under their version. rules: an array of at most 100 objects, [] for none. expected_version: the version that is to be replaced, 0 for none; if another is current, nothing is published. NULL: whichever is. A sale earns the base of the program, times the multiplier of the rank held, and what each rule gives whose conditions all hold.
Keys of a rule: name (obligatory, unique in the set).
Conditions: skus, categories (lists: goods of the ticket whose sku, category is in them; with both, goods that are in both; without, the whole ticket), from, until (ISO 8601, in the program''s time zone unless they say their own; until is outside), days (list of 1, Monday, to 7), from_time, until_time (HH:MM, in the program''s time zone; if until_time is the earlier one, the night that begins on the day), min_amount (money of the ticket, or of the goods), birthday_days (that many days before or after the birthday; 29 February is 28 February in other years), first_purchase (true: the account has no accrual of which something is left), ranks (list: the rank held before the sale).
Effect, one of: points_per with money_per (so many points for so much money of the ticket, or of the goods, in proportion), multiplier (of the base of the ticket, or of the goods'' share: 2 adds it once more), points. Each is rounded as the base is.
Expiry: expires_unit (day, month, year) with expires_value; without, as other points of the program.
Caps, in points: max_ticket, max_day, max_week (from Monday on), max_month, max_year (all in the program''s time zone), max_member (for life); counted under the rule''s name, in whatever set it is; a refund gives back in proportion, to the day, week, month and year of the sale while they last.
Goods are quantity (1 unless told) times unitPrice, both with up to 18 digits before and 6 after the point; without unitPrice they have no money. Lines may be negative: discounts, and what was brought back. Goods count for their share of all lines, of the money of the sale, and never for more than that; goods that were brought back do not count, and if the lines come to nothing no rule for goods applies. Errors: LY006 unknown_object, LY015 version_conflict, LY005 invalid_argument.';

CREATE FUNCTION loyalty.rules_at(merchant_id bigint, program_id bigint, at timestamptz) RETURNS integer
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	version integer;
BEGIN
	-- What was published has been, also if the clock was ahead then.
	SELECT coalesce((SELECT s.version FROM loyalty_internal.rule_set s
					 WHERE s.merchant_id = p.merchant_id AND s.program_id = p.program_id
					   AND (s.published_at <= rules_at.at OR rules_at.at >= now() AND s.published_at > clock_timestamp())
					 ORDER BY s.version DESC LIMIT 1), 0)
	INTO version FROM loyalty_internal.program p
	WHERE p.merchant_id = rules_at.merchant_id AND p.program_id = rules_at.program_id;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no program with this program_id.');
	END IF;
	RETURN version;
END
$$;
COMMENT ON FUNCTION loyalty.rules_at(bigint, bigint, timestamptz) IS
'The version of the earning rules that a program had at a moment; 0: it had had none yet. Of now, and later, it is the last one that was published, also if the clock was ahead then. What an entry was earned under is in the entry. Errors: LY006 unknown_object.';

CREATE VIEW loyalty.rules AS
SELECT r.merchant_id, r.program_id, p.client_id, r.version, s.published_at, r.version = p.rules AS current, r.ordinal, r.name, r.skus,
	   r.categories, r.valid_from, r.valid_until, r.days, r.from_time, r.until_time, r.min_amount, r.birthday_days, r.first_purchase,
	   r.ranks, r.points_per, r.money_per, r.multiplier, r.points, r.expires_unit, r.expires_value, r.max_ticket, r.max_day,
	   r.max_week, r.max_month, r.max_year, r.max_member
FROM loyalty_internal.rule r
JOIN loyalty_internal.rule_set s ON s.merchant_id = r.merchant_id AND s.program_id = r.program_id AND s.version = r.version
JOIN loyalty_internal.program p ON p.merchant_id = r.merchant_id AND p.program_id = r.program_id;
COMMENT ON VIEW loyalty.rules IS 'All earning rules that programs have or had, by the version of their set; the columns mean what the keys of loyalty.publish_rules() do.';
