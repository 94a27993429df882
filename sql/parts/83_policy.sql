-- What merchants sell to customers: products, the policies under which they are
-- sold, and what is paid of these in instalments.

CREATE TABLE loyalty_internal.product (
	merchant_id		bigint			NOT NULL REFERENCES loyalty_internal.merchant,
	product_id		bigint			NOT NULL DEFAULT loyalty_internal.new_id(),
	name			text			COLLATE "C" NOT NULL CHECK (name <> '' AND loyalty_internal.is_line(name)),
	description		text			NOT NULL DEFAULT '',
	price			loyalty.points	NOT NULL CHECK (price OPERATOR(loyalty.>) '0'::loyalty.points),
	stock			integer			NOT NULL CHECK (stock >= 0),
	min_age			smallint		NOT NULL DEFAULT 0 CHECK (min_age >= 0),
	max_age			smallint		NOT NULL DEFAULT 150,
	max_payments	smallint		NOT NULL DEFAULT 1 CHECK (max_payments BETWEEN 1 AND 36),
	annual_rate		loyalty.points	NOT NULL DEFAULT '0' CHECK (annual_rate OPERATOR(loyalty.>=) '0'::loyalty.points),
	commission		loyalty.points	NOT NULL DEFAULT '0' CHECK (commission OPERATOR(loyalty.>=) '0'::loyalty.points),
	trust			text			NOT NULL DEFAULT '',
	family			text			COLLATE "C" CHECK (family <> '' AND loyalty_internal.is_line(family)),
	PRIMARY KEY (merchant_id, product_id),
	UNIQUE (merchant_id, name),
	CHECK (max_age >= min_age)
);
CREATE INDEX product_family ON loyalty_internal.product (merchant_id, family);
COMMENT ON TABLE loyalty_internal.product IS 'Products, with whom they can be sold to and on what terms.';
COMMENT ON COLUMN loyalty_internal.product.price IS 'Money, for one payment.';
COMMENT ON COLUMN loyalty_internal.product.annual_rate IS 'Percent a year that paying in instalments costs, for the months from the first instalment to the last.';
COMMENT ON COLUMN loyalty_internal.product.commission IS 'Percent of each payment that the app users who take payments earn.';
COMMENT ON COLUMN loyalty_internal.product.trust IS 'The trust fund that stands behind it.';
COMMENT ON COLUMN loyalty_internal.product.family IS 'Under whose name it is sold too, to whom its ages fit: those of a family do not overlap. NULL: it has none.';
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.product TO loyalty_engine;

CREATE TABLE loyalty_internal.policy (
	merchant_id		bigint			NOT NULL,
	policy_id		bigint			NOT NULL DEFAULT loyalty_internal.new_id(),
	member_id		bigint			NOT NULL,
	sale_no			integer			NOT NULL CHECK (sale_no > 0),
	product_id		bigint			NOT NULL,
	policy_number	text			COLLATE "C" NOT NULL CHECK (policy_number <> ''),
	price			loyalty.points	NOT NULL CHECK (price OPERATOR(loyalty.>) '0'::loyalty.points),
	cost			loyalty.points	NOT NULL CHECK (cost OPERATOR(loyalty.>) '0'::loyalty.points),
	payments		smallint		NOT NULL CHECK (payments BETWEEN 1 AND 36),
	pay_day			smallint		NOT NULL CHECK (pay_day IN (0, 1, 15)),
	commission		loyalty.points	NOT NULL CHECK (commission OPERATOR(loyalty.>=) '0'::loyalty.points),
	trust			text			NOT NULL DEFAULT '',
	service			text			NOT NULL DEFAULT 'Ecologico',
	sold_by			text			COLLATE "C",
	status			text			NOT NULL CHECK (status IN ('PREVENTA', 'COBRANZA', 'ACTIVACION', 'CANCELADO')),
	registered_at	timestamptz		NOT NULL DEFAULT now(),
	paid_off_at		timestamptz,
	application		json,
	PRIMARY KEY (merchant_id, policy_id),
	UNIQUE (merchant_id, policy_number),
	UNIQUE (merchant_id, member_id, sale_no),
	FOREIGN KEY (merchant_id, member_id) REFERENCES loyalty_internal.member,
	FOREIGN KEY (merchant_id, product_id) REFERENCES loyalty_internal.product
);
COMMENT ON TABLE loyalty_internal.policy IS 'Products sold to customers, under a policy number each.';
COMMENT ON COLUMN loyalty_internal.policy.sale_no IS 'Its place among those of the customer, 1, 2, 3 …, in the order in which they were sold; registered_at goes by the clock.';
COMMENT ON COLUMN loyalty_internal.policy.price IS 'Money, for one payment: that of the product when it was sold.';
COMMENT ON COLUMN loyalty_internal.policy.cost IS 'Money, all payments together.';
COMMENT ON COLUMN loyalty_internal.policy.pay_day IS 'The day of the month on which payments are due; 0: there is one payment.';
COMMENT ON COLUMN loyalty_internal.policy.commission IS 'Percent of each payment: that of the product when it was sold.';
COMMENT ON COLUMN loyalty_internal.policy.trust IS 'The trust fund that stands behind it: that of the product when it was sold.';
COMMENT ON COLUMN loyalty_internal.policy.sold_by IS 'The app user who sold it; NULL: none did.';
COMMENT ON COLUMN loyalty_internal.policy.status IS 'What was done to it. One in ACTIVACION is in ACTIVO 30 days after it was paid off: loyalty_internal.policy_state() knows.';
COMMENT ON COLUMN loyalty_internal.policy.paid_off_at IS 'When the last payment was booked.';
COMMENT ON COLUMN loyalty_internal.policy.application IS 'What the customer gave and accepted with the order, as it was sent.';
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.policy TO loyalty_engine;

CREATE TABLE loyalty_internal.instalment (
	merchant_id	bigint			NOT NULL,
	policy_id	bigint			NOT NULL,
	ordinal		smallint		NOT NULL CHECK (ordinal > 0),
	due_on		date			NOT NULL,
	amount		loyalty.points	NOT NULL CHECK (amount OPERATOR(loyalty.>) '0'::loyalty.points),
	PRIMARY KEY (merchant_id, policy_id, ordinal),
	FOREIGN KEY (merchant_id, policy_id) REFERENCES loyalty_internal.policy
);
COMMENT ON TABLE loyalty_internal.instalment IS 'When which part of a policy''s cost is due. The parts add up to the cost.';
GRANT SELECT, INSERT ON loyalty_internal.instalment TO loyalty_engine;

CREATE TABLE loyalty_internal.payment (
	merchant_id	bigint			NOT NULL,
	reference_digest bytea		NOT NULL CHECK (length(reference_digest) = 32),
	reference	text			COLLATE "C" CHECK (reference <> ''),
	policy_id	bigint			NOT NULL,
	amount		loyalty.points	NOT NULL CHECK (amount OPERATOR(loyalty.>) '0'::loyalty.points),
	method		text			NOT NULL CHECK (method <> ''),
	app_user	text			COLLATE "C" NOT NULL,
	paid_at		timestamptz		NOT NULL DEFAULT clock_timestamp(),
	payment_no	integer			NOT NULL CHECK (payment_no > 0),
	balance		loyalty.points	NOT NULL CHECK (balance OPERATOR(loyalty.>=) '0'::loyalty.points),
	payment_id	bigint			NOT NULL DEFAULT loyalty_internal.new_id(),
	commission	loyalty.points	NOT NULL CHECK (commission OPERATOR(loyalty.>=) '0'::loyalty.points),
	payer_digest bytea,
	paid_on		date			NOT NULL,
	PRIMARY KEY (merchant_id, app_user, reference_digest),
	UNIQUE (merchant_id, policy_id, payment_no),
	FOREIGN KEY (merchant_id, policy_id) REFERENCES loyalty_internal.policy
);
COMMENT ON TABLE loyalty_internal.payment IS 'What customers have paid of their policies; a reference of an app user posts once. Payments fill instalments from the first on, so arrears come first.';
COMMENT ON COLUMN loyalty_internal.payment.reference_digest IS 'The reference as loyalty_internal.merchant_digest(), by which a repeat is recognised.';
COMMENT ON COLUMN loyalty_internal.payment.reference IS 'The reference, as it is shown; NULL: it was erased.';
COMMENT ON COLUMN loyalty_internal.payment.payment_no IS 'Its place among those of the policy, 1, 2, 3 …, in the order in which they were booked; paid_at goes by the clock.';
COMMENT ON COLUMN loyalty_internal.payment.balance IS 'What was still to be paid after it, which is the answer to a repetition.';
COMMENT ON COLUMN loyalty_internal.payment.commission IS 'Money that the app user earns by it. Those of a policy add up to its percentage of what was paid, to the cent.';
COMMENT ON COLUMN loyalty_internal.payment.payer_digest IS 'Once the reference was erased, that and the CURP together as loyalty_internal.merchant_digest(): by it a late repeat is told from another customer''s payment under that reference. Nobody tries a CURP with it who does not know the reference.';
COMMENT ON COLUMN loyalty_internal.payment.paid_on IS 'The day of paid_at in the time_zone that the customer''s program had: on which arrears stood as the answer says, whatever the time_zone becomes.';
GRANT SELECT, INSERT, UPDATE (reference, payer_digest) ON loyalty_internal.payment TO loyalty_engine;

-- Divided once, and last, to more decimals than can hide on which side of half a
-- cent it is.
CREATE FUNCTION loyalty.instalment_cost(price loyalty.points, annual_rate loyalty.points, payments integer) RETURNS loyalty.points
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT round(price::numeric * (1200 + annual_rate::numeric * (payments - 1)) / 1200.00000000000000000000, 2)::loyalty.points
$$;
COMMENT ON FUNCTION loyalty.instalment_cost(loyalty.points, loyalty.points, integer) IS
'What a price comes to in so many monthly payments: simple interest at the annual rate (percent) for the months between the first and the last, to the cent, half a cent up.';

-- Ages of one family are kept apart, and its name from those of products: who creates
-- or changes products of a merchant waits for who does so too.  It is an UPDATE, so
-- that who has looked before, under another isolation level, fails instead.
CREATE FUNCTION loyalty_internal.lock_products(merchant_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE loyalty_internal.merchant t SET name = t.name WHERE t.merchant_id = lock_products.merchant_id;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'There is no merchant with this merchant_id.');
	END IF;
END
$$;
COMMENT ON FUNCTION loyalty_internal.lock_products(bigint) IS
'Part of loyalty.create_product() and loyalty.change_product(): nobody else changes the products of the merchant until the transaction ends. Errors: LY006 unknown_object.';

CREATE FUNCTION loyalty_internal.check_family(product loyalty_internal.product) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF EXISTS (SELECT FROM loyalty_internal.product p
			WHERE p.merchant_id = product.merchant_id AND p.product_id <> product.product_id AND p.family = product.family
			  AND p.min_age <= product.max_age AND p.max_age >= product.min_age) THEN
		PERFORM loyalty_internal.fail('already_exists', 'The family has a product for some of these ages.');
	ELSIF EXISTS (SELECT FROM loyalty_internal.product p
			WHERE p.merchant_id = product.merchant_id AND (p.family = product.name OR p.name = product.family)) THEN
		PERFORM loyalty_internal.fail('already_exists', 'No product of the merchant has the name of one of its families.');
	END IF;
END
$$;
COMMENT ON FUNCTION loyalty_internal.check_family(loyalty_internal.product) IS
'Part of loyalty.create_product() and loyalty.change_product(): refuses a product, as it has just been written, whose ages overlap with those of another of its family, or whose name is that of a family. Errors: LY007 already_exists.';

CREATE FUNCTION loyalty.create_product(
	merchant_id bigint, name text, price loyalty.points, stock integer, description text DEFAULT '',
	min_age integer DEFAULT 0, max_age integer DEFAULT 150, max_payments integer DEFAULT 1, annual_rate loyalty.points DEFAULT '0',
	commission loyalty.points DEFAULT '0', trust text DEFAULT '', family text DEFAULT NULL, idempotency_key text DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	id bigint := loyalty_internal.claim_key(merchant_id, idempotency_key, 'create_product', ARRAY[name, price::text, stock::text, description, min_age::text,
		max_age::text, max_payments::text, annual_rate::text, commission::text, trust, family]);
	becomes loyalty_internal.product;
BEGIN
	IF id IS NOT NULL THEN
		RETURN id;
	END IF;
	PERFORM loyalty_internal.lock_products(create_product.merchant_id);
	PERFORM loyalty_internal.require_short(create_product.name, create_product.description, create_product.trust, create_product.family);
	-- Refuse here, and not when it is sold, what comes to more than money can be.
	PERFORM loyalty.instalment_cost(create_product.price, create_product.annual_rate, create_product.max_payments);
	INSERT INTO loyalty_internal.product AS p (merchant_id, name, description, price, stock, min_age, max_age, max_payments, annual_rate, commission, trust, family)
	VALUES (create_product.merchant_id, create_product.name, create_product.description, create_product.price,
		create_product.stock, create_product.min_age, create_product.max_age, create_product.max_payments, create_product.annual_rate,
		create_product.commission, create_product.trust, nullif(create_product.family, ''))
	RETURNING p.* INTO becomes;
	PERFORM loyalty_internal.check_family(becomes);
	RETURN loyalty_internal.keep_answer(merchant_id, idempotency_key, becomes.product_id::text);
EXCEPTION
	WHEN check_violation OR not_null_violation OR numeric_value_out_of_range THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'name and family have no control characters, price is positive, stock and ages are not negative, max_age is not below min_age, max_payments is 1 to 36.');
	WHEN unique_violation THEN
		PERFORM loyalty_internal.fail('already_exists', 'The merchant has a product of this name.');
END
$$;
COMMENT ON FUNCTION loyalty.create_product(bigint, text, loyalty.points, integer, text, integer, integer, integer, loyalty.points, loyalty.points, text, text, text) IS
'Creates a product and returns its product_id. price: money for one payment; stock: how many there are; min_age, max_age: full years of who may have it; max_payments: 1 to 36 monthly ones, at annual_rate percent; commission: percent of each payment for the app users who take them; trust: the trust fund behind it; family: under whose name it is sold too, to who is of its ages, which those of a family share with no other. idempotency_key: the same call again returns the first answer and creates nothing. Errors: LY422 idempotency_key_reused, LY423 invalid_idempotency_key, LY006 unknown_object, LY005 invalid_argument, LY007 already_exists (a product of the name, or of the family for some of these ages; or the name is that of a family, or the family that of a product).';

CREATE FUNCTION loyalty_internal.policy_state(status text, paid_off_at timestamptz, at timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE WHEN policy_state.status = 'ACTIVACION' AND policy_state.paid_off_at <= policy_state.at - interval '720 hours'
		THEN 'ACTIVO' ELSE policy_state.status END;
END;
COMMENT ON FUNCTION loyalty_internal.policy_state(text, timestamptz, timestamptz) IS
'The status of a policy at a moment: one that was paid off is in ACTIVACION, and 30 days of 24 hours later in ACTIVO, though nothing ran.';

CREATE FUNCTION loyalty_internal.holds_product(merchant_id bigint, member_id bigint, product_id bigint, policy_id bigint) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT EXISTS (SELECT FROM loyalty_internal.policy s
		WHERE s.merchant_id = holds_product.merchant_id AND s.member_id = holds_product.member_id
		  AND s.status <> 'CANCELADO' AND s.policy_id IS DISTINCT FROM holds_product.policy_id
		  AND (s.product_id = holds_product.product_id OR s.product_id IN (
			SELECT o.product_id FROM loyalty_internal.product p JOIN loyalty_internal.product o ON o.merchant_id = p.merchant_id AND o.family = p.family
			WHERE p.merchant_id = holds_product.merchant_id AND p.product_id = holds_product.product_id)));
END;
COMMENT ON FUNCTION loyalty_internal.holds_product(bigint, bigint, bigint, bigint) IS
'Whether a customer has a product, or another of its family, by a policy that is not cancelled, and is not this one.';

CREATE FUNCTION loyalty_internal.sell_policy(
	merchant_id bigint, curp loyalty.curp, product text, payments integer, pay_day integer, on_date date, service text, app_user text,
	phone loyalty.phone, application json)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	today date := coalesce(sell_policy.on_date, loyalty_internal.customer_today(sell_policy.merchant_id));
	age CONSTANT integer := loyalty_internal.age_on(sell_policy.curp, today);
	buyer loyalty_internal.customer;
	sold loyalty_internal.product;
	cost loyalty.points;
	cents bigint;
	id bigint;
	first_due date;
BEGIN
	PERFORM loyalty_internal.require_short(sell_policy.service, sell_policy.app_user);
	-- What can be said of the product and the CURP alone comes first: it does not tell who is a customer.
	SELECT * INTO sold FROM loyalty_internal.product p
	WHERE p.merchant_id = sell_policy.merchant_id AND (p.name = sell_policy.product COLLATE "C" OR p.family = sell_policy.product COLLATE "C")
	  AND age BETWEEN p.min_age AND p.max_age;
	IF NOT isfinite(today) THEN
		PERFORM loyalty_internal.fail('kasu_400', 'on_date must be a day.');
	ELSIF sell_policy.curp IS NULL THEN
		PERFORM loyalty_internal.fail('kasu_404');
	ELSIF sold.product_id IS NULL THEN
		PERFORM loyalty_internal.fail('kasu_406');
	END IF;
	IF coalesce(sell_policy.payments, 0) NOT BETWEEN 1 AND sold.max_payments OR coalesce(sell_policy.pay_day, 0) NOT IN (1, 15) THEN
		PERFORM loyalty_internal.fail('kasu_400', 'numero_pagos is 1 to the product''s, dia_pago is 1 or 15.');
	END IF;
	cost := loyalty.instalment_cost(sold.price, sold.annual_rate, sell_policy.payments);
	cents := (cost::numeric * 100)::bigint;
	IF cents < sell_policy.payments THEN
		PERFORM loyalty_internal.fail('kasu_400', 'The cost does not divide into so many payments of a cent or more.');
	END IF;

	IF sold.stock = 0 THEN
		PERFORM loyalty_internal.fail('kasu_412', 'There is none of this product left.');
	END IF;

	IF sell_policy.application IS NOT NULL THEN
		PERFORM loyalty_internal.enrol_applicant(sell_policy.merchant_id, sell_policy.curp, sell_policy.phone, sell_policy.application);
	END IF;
	-- The customer's row keeps two policies of one product and one customer apart, and numbers them.
	SELECT * INTO buyer FROM loyalty_internal.customer c
	WHERE c.merchant_id = sell_policy.merchant_id AND c.curp OPERATOR(loyalty.=) sell_policy.curp
	  AND c.blocked_at IS NULL FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail(CASE WHEN sell_policy.application IS NULL THEN 'kasu_404' ELSE 'kasu_417' END);
	ELSIF loyalty_internal.known_dead(sell_policy.merchant_id, sell_policy.curp) THEN
		PERFORM loyalty_internal.fail('kasu_417');
	END IF;
	-- Where the customer's program is it may be another day, and the customer of another age.
	today := coalesce(sell_policy.on_date, loyalty_internal.customer_today(sell_policy.merchant_id, buyer.member_id));
	IF loyalty_internal.age_on(sell_policy.curp, today) NOT BETWEEN sold.min_age AND sold.max_age THEN
		RETURN loyalty_internal.sell_policy(sell_policy.merchant_id, sell_policy.curp, sell_policy.product, sell_policy.payments, sell_policy.pay_day,
			today, sell_policy.service, sell_policy.app_user, sell_policy.phone, sell_policy.application);
	END IF;
	IF loyalty_internal.holds_product(sell_policy.merchant_id, buyer.member_id, sold.product_id, NULL) THEN
		PERFORM loyalty_internal.fail('kasu_412', 'The customer already has this product, or another of its family.');
	END IF;
	UPDATE loyalty_internal.product p SET stock = p.stock - 1
	WHERE p.merchant_id = sell_policy.merchant_id AND p.product_id = sold.product_id AND p.stock > 0;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('kasu_412', 'There is none of this product left.');
	END IF;

	INSERT INTO loyalty_internal.policy AS s (merchant_id, member_id, sale_no, product_id, policy_number, price, cost, payments, pay_day, commission, trust, service, sold_by, status, application)
	VALUES (sell_policy.merchant_id, buyer.member_id,
		(SELECT coalesce(max(o.sale_no), 0) + 1 FROM loyalty_internal.policy o
		 WHERE o.merchant_id = sell_policy.merchant_id AND o.member_id = buyer.member_id),
		sold.product_id, upper(loyalty_internal.random_key('P', 8) COLLATE "C"), sold.price, cost, sell_policy.payments,
		CASE WHEN sell_policy.payments > 1 THEN sell_policy.pay_day ELSE 0 END, sold.commission, sold.trust, coalesce(sell_policy.service, 'Ecologico'), sell_policy.app_user, 'PREVENTA', sell_policy.application)
	RETURNING s.policy_id INTO id;

	-- The first day after today that is the day of payment; cents that do not
	-- divide go to the first instalments.
	first_due := date_trunc('month', today)::date + sell_policy.pay_day - 1;
	IF first_due <= today THEN
		first_due := (first_due + interval '1 month')::date;
	END IF;
	INSERT INTO loyalty_internal.instalment (merchant_id, policy_id, ordinal, due_on, amount)
	SELECT sell_policy.merchant_id, id, n, (first_due + (n - 1) * interval '1 month')::date,
		   ((cents / sell_policy.payments + (n <= cents % sell_policy.payments)::integer)::numeric / 100)::loyalty.points
	FROM generate_series(1, sell_policy.payments) n;
	-- Who accepts the notice lets the app user follow what it has sold, and nothing else.
	IF sell_policy.application IS NOT NULL THEN
		INSERT INTO loyalty_internal.consent (merchant_id, member_id, app_user, policy_id, purpose, notice_version, acceptance_hash)
		SELECT t.merchant_id, buyer.member_id, sell_policy.app_user, id, 'servicio contratado', t.notice_version,
			   sha256(convert_to(loyalty_internal.random_key('', 16), 'UTF8'))
		FROM loyalty_internal.merchant t WHERE t.merchant_id = sell_policy.merchant_id;
	END IF;
	RETURN id;
END
$$;
COMMENT ON FUNCTION loyalty_internal.sell_policy(bigint, loyalty.curp, text, integer, integer, date, text, text, loyalty.phone, json) IS
'Sells a policy, as loyalty.open_policy() says. application: what came with an order of the customer API; then the customer is created, if there is none, and a consent to the app user is written for this policy.';

CREATE FUNCTION loyalty.open_policy(
	merchant_id bigint, curp loyalty.curp, product text, payments integer DEFAULT 1, pay_day integer DEFAULT 1,
	on_date date DEFAULT NULL, service text DEFAULT 'Ecologico', app_user text DEFAULT NULL, idempotency_key text DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	id bigint := loyalty_internal.claim_key(merchant_id, idempotency_key, 'open_policy', ARRAY[curp::text, product, payments::text, pay_day::text, to_json(on_date) #>> '{}', service, app_user]);
BEGIN
	IF id IS NOT NULL THEN
		RETURN id;
	END IF;
	id := loyalty_internal.sell_policy(merchant_id, curp, product, payments, pay_day, on_date, service, app_user, NULL, NULL);
	RETURN loyalty_internal.keep_answer(merchant_id, idempotency_key, id::text);
END
$$;
COMMENT ON FUNCTION loyalty.open_policy(bigint, loyalty.curp, text, integer, integer, date, text, text, text) IS
'Sells a product, by its name or by that of a family the one that fits the age, to a customer, in monthly payments due on pay_day (1 or 15), and returns the policy_id; the policy is in PREVENTA until something is paid. on_date: day of the sale, today in the time_zone of the customer''s program unless given. service: what kind of service; app_user: who sells it. idempotency_key: the same call again returns the first answer and sells nothing. Errors: LY422 idempotency_key_reused, LY423 invalid_idempotency_key, LK406 kasu_406 (no such product, or none of the family, at this age), LK400 kasu_400 (payments, pay_day), LK404 kasu_404 (no such customer), LK417 kasu_417 (one who has died), LK412 kasu_412 (none left, which is looked at before the customer, or has it or another of its family already).';

-- How a policy stands on a day, or stood after one of its payments: the answer to
-- a repetition of that, whatever was paid since.
CREATE FUNCTION loyalty_internal.policy_stands(
	merchant_id bigint, policy_id bigint, on_date date, payment_no integer, told_to text) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	WITH policy AS (
		SELECT s.*, m.customer, c.today, c.moment,
			   (SELECT p.name FROM loyalty_internal.product p WHERE p.merchant_id = s.merchant_id AND p.product_id = s.product_id) AS product,
			   (SELECT c.curp::text FROM loyalty_internal.customer c WHERE c.merchant_id = s.merchant_id AND c.member_id = s.member_id) AS curp,
			   (SELECT t.base_url FROM loyalty_internal.merchant t WHERE t.merchant_id = s.merchant_id) AS base_url,
			   s.cost::numeric - coalesce(y.balance::numeric, s.cost::numeric) AS paid, coalesce(y.payment_no, 0) AS last_payment,
			   CASE WHEN policy_stands.payment_no IS NULL THEN s.status WHEN y.balance::numeric = 0 THEN 'ACTIVACION' ELSE 'COBRANZA' END AS state,
			   CASE WHEN policy_stands.payment_no IS NULL THEN s.paid_off_at WHEN y.balance::numeric = 0 THEN y.paid_at END AS paid_off
		FROM loyalty_internal.policy s
		LEFT JOIN LATERAL (
			SELECT l.* FROM loyalty_internal.payment l
			WHERE l.merchant_id = s.merchant_id AND l.policy_id = s.policy_id
			  AND (policy_stands.payment_no IS NULL OR l.payment_no = policy_stands.payment_no)
			ORDER BY l.payment_no DESC LIMIT 1) y ON true
		CROSS JOIN LATERAL (
			SELECT m.name AS customer, (SELECT g.time_zone FROM loyalty_internal.program g
					WHERE g.merchant_id = s.merchant_id AND g.program_id = m.program_id) AS zone
			FROM loyalty_internal.member m
			WHERE m.merchant_id = s.merchant_id AND m.member_id = s.member_id OFFSET 0) m
		CROSS JOIN LATERAL (
			SELECT d.today, CASE WHEN policy_stands.on_date IS NULL THEN d.at WHEN policy_stands.on_date >= '9999-12-31' THEN 'infinity'
					ELSE (policy_stands.on_date + 1)::timestamp AT TIME ZONE m.zone END AS moment
			FROM (SELECT CASE WHEN policy_stands.payment_no IS NULL THEN now() ELSE y.paid_at END AS at,
					coalesce(policy_stands.on_date, CASE WHEN policy_stands.payment_no IS NULL THEN (now() AT TIME ZONE m.zone)::date ELSE y.paid_on END) AS today) d) c
		WHERE s.merchant_id = policy_stands.merchant_id AND s.policy_id = policy_stands.policy_id
	), due AS (
		SELECT i.ordinal, i.due_on,
			   greatest(least(sum(i.amount::numeric) OVER (ORDER BY i.ordinal) - s.paid, i.amount::numeric), 0) AS unpaid
		FROM policy s JOIN loyalty_internal.instalment i ON i.merchant_id = s.merchant_id AND i.policy_id = s.policy_id
	), arrears AS (
		SELECT coalesce(sum(d.unpaid), 0) AS amount FROM due d, policy s WHERE d.due_on < s.today
	), paid AS (
		SELECT coalesce(sum(y.commission::numeric), 0) AS commission,
			   coalesce(json_agg(json_build_object('referencia', coalesce(y.reference, ''), 'cantidad', y.amount, 'metodo', y.method,
					'fecha', to_char(y.paid_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) ORDER BY y.payment_no), '[]') AS list
		FROM policy s JOIN loyalty_internal.payment y ON y.merchant_id = s.merchant_id AND y.policy_id = s.policy_id AND y.payment_no <= s.last_payment
	)
	SELECT json_build_object(
		'id_venta', s.policy_id::text, 'poliza', s.policy_number, 'curp', coalesce(s.curp, ''),
		'cliente', CASE WHEN policy_stands.told_to IS NULL THEN s.customer WHEN policy_stands.told_to = s.sold_by THEN loyalty_internal.applicant(s.application) ELSE '' END,
		'producto', s.product, 'tipo_servicio', s.service, 'status', loyalty_internal.policy_state(s.state, s.paid_off, s.moment),
		'costo_venta', s.cost, 'subtotal', s.price,
		'fecha_liquidacion', coalesce(to_char(s.paid_off AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), ''),
		'numero_pagos', s.payments, 'dia_pago', s.pay_day,
		'pago_periodo', trim_scale(coalesce((SELECT d.unpaid FROM due d WHERE d.due_on >= s.today ORDER BY d.ordinal LIMIT 1), 0)),
		'pagos_realizados', trim_scale(s.paid), 'saldo', trim_scale(s.cost::numeric - s.paid),
		'pagos_pendientes', (SELECT count(*) FROM due d WHERE d.unpaid > 0),
		'estado_cobranza', CASE WHEN a.amount > 0 THEN 'MORA' ELSE 'CORRIENTE' END,
		'comision_producto', s.commission, 'pago_link', s.base_url || '/pago/' || s.policy_number,
		'costo', s.cost, 'atrasos', trim_scale(a.amount), 'comision', trim_scale(p.commission), 'pagos', p.list,
		'calendario', coalesce((SELECT json_agg(json_build_object('numero', d.ordinal, 'fecha', d.due_on,
				'cantidad', trim_scale(d.unpaid)) ORDER BY d.ordinal)
			FROM due d WHERE d.unpaid > 0), '[]'))
	FROM policy s, arrears a, paid p
$$;
COMMENT ON FUNCTION loyalty_internal.policy_stands(bigint, bigint, date, integer, text) IS
'Part of loyalty.policy_status() and of the customer API. on_date: as on that day, today if NULL; payment_no: as after that payment, on the day of it; told_to: the app user who may not know the customer''s name, but the one that came with an order of its own; NULL: with the customer''s name.';

CREATE FUNCTION loyalty.policy_status(merchant_id bigint, policy_id bigint, on_date date DEFAULT NULL) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT loyalty_internal.policy_stands(policy_status.merchant_id, policy_status.policy_id, policy_status.on_date, NULL, NULL);
END;
COMMENT ON FUNCTION loyalty.policy_status(bigint, bigint, date) IS
'How a policy stands, as JSON, under the keys of account_status: status (PREVENTA, COBRANZA, ACTIVACION, 30 days after it was paid off ACTIVO; CANCELADO), balance (saldo), payment of the period, arrears (atrasos), whether there are any (estado_cobranza, MORA or CORRIENTE), what was paid and how many instalments are pending, commission earned so far, payments (pagos) and what is due when (calendario). on_date: today in the time_zone of the customer''s program unless given. NULL if there is no such policy.';

-- Who sells, reopens and pays takes the customer's row first, and then the policy's.
CREATE FUNCTION loyalty_internal.lock_policy(merchant_id bigint, policy_id bigint) RETURNS loyalty_internal.policy
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	sold loyalty_internal.policy;
BEGIN
	-- The customer's row, as where it is sold: nobody gets a product twice.
	PERFORM FROM loyalty_internal.policy s JOIN loyalty_internal.customer c ON c.merchant_id = s.merchant_id AND c.member_id = s.member_id
	WHERE s.merchant_id = lock_policy.merchant_id AND s.policy_id = lock_policy.policy_id FOR NO KEY UPDATE OF c;
	-- What is still to be paid must not change meanwhile, and payments are numbered.
	SELECT * INTO sold FROM loyalty_internal.policy s
	WHERE s.merchant_id = lock_policy.merchant_id AND s.policy_id = lock_policy.policy_id FOR NO KEY UPDATE;
	RETURN sold;
END
$$;
COMMENT ON FUNCTION loyalty_internal.lock_policy(bigint, bigint) IS
'A policy, which nobody else changes until the transaction ends, nor sells its customer anything; all of it NULL if there is none.';

-- Works the same however many payments there have been: what has been paid is
-- what the last of them left.  How many there are is bounded, since whoever asks
-- how the policy stands gets them all.
CREATE FUNCTION loyalty_internal.book_payment(
	merchant_id bigint, policy_id bigint, amount loyalty.points, method text, reference text, app_user text, OUT payment_no integer, OUT booked boolean)
RETURNS record
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	max_payments CONSTANT integer := 200;
	sold loyalty_internal.policy;
	digest CONSTANT bytea := loyalty_internal.merchant_digest(book_payment.merchant_id, book_payment.reference);
	earlier loyalty_internal.payment;
	moment timestamptz;
	paid integer;
	unpaid numeric;
	due numeric;
BEGIN
	PERFORM loyalty_internal.require_short(book_payment.method, book_payment.reference, book_payment.app_user);
	sold := loyalty_internal.lock_policy(book_payment.merchant_id, book_payment.policy_id);
	IF sold.policy_id IS NULL THEN
		PERFORM loyalty_internal.fail('kasu_412');
	END IF;
	SELECT * INTO earlier FROM loyalty_internal.payment y
	WHERE y.merchant_id = book_payment.merchant_id AND y.app_user = book_payment.app_user COLLATE "C" AND y.reference_digest = digest;
	IF FOUND THEN
		IF earlier.policy_id <> book_payment.policy_id OR earlier.amount::numeric <> book_payment.amount::numeric
			OR earlier.method <> book_payment.method COLLATE "C" THEN
			PERFORM loyalty_internal.fail('kasu_412', 'The reference was used for another payment.');
		END IF;
		payment_no := earlier.payment_no;
		booked := false;
		RETURN;
	END IF;
	IF sold.status = 'CANCELADO' AND loyalty_internal.holds_product(sold.merchant_id, sold.member_id, sold.product_id, sold.policy_id) THEN
		PERFORM loyalty_internal.fail('kasu_412', 'The policy is cancelled, and the customer has another of the product, or of its family.');
	END IF;
	SELECT y.payment_no, y.balance::numeric INTO paid, unpaid FROM loyalty_internal.payment y
	WHERE y.merchant_id = book_payment.merchant_id AND y.policy_id = book_payment.policy_id
	ORDER BY y.payment_no DESC LIMIT 1;
	paid := coalesce(paid, 0);
	due := coalesce(unpaid, sold.cost::numeric);
	unpaid := due - book_payment.amount::numeric;
	IF unpaid < 0 OR scale(trim_scale(book_payment.amount::numeric)) > 2 THEN
		PERFORM loyalty_internal.fail('kasu_412', 'The amount is in cents and no more than what is still to be paid.');
	END IF;
	IF paid >= max_payments AND unpaid > 0 THEN
		PERFORM loyalty_internal.fail('kasu_412', 'The policy has been paid in 200 payments; one more has to be all that is still to be paid.');
	END IF;
	moment := clock_timestamp();
	-- The reference of one of somebody who has been erased is not kept.
	INSERT INTO loyalty_internal.payment (merchant_id, reference_digest, reference, policy_id, amount, method, app_user, payment_no, balance, commission, paid_at, paid_on)
	VALUES (book_payment.merchant_id, digest, (
				SELECT book_payment.reference FROM loyalty_internal.member m
				WHERE m.merchant_id = book_payment.merchant_id AND m.member_id = sold.member_id AND m.cancelled_at IS NULL), book_payment.policy_id, book_payment.amount,
			book_payment.method, book_payment.app_user, paid + 1, unpaid::loyalty.points,
			(round((sold.cost::numeric - unpaid) * sold.commission::numeric * 0.01, 2)
			 - round((sold.cost::numeric - due) * sold.commission::numeric * 0.01, 2))::loyalty.points,
			moment, (moment AT TIME ZONE (
				SELECT (SELECT g.time_zone FROM loyalty_internal.program g WHERE g.merchant_id = m.merchant_id AND g.program_id = m.program_id)
				FROM loyalty_internal.member m WHERE m.merchant_id = book_payment.merchant_id AND m.member_id = sold.member_id))::date);
	payment_no := paid + 1;
	booked := true;
	UPDATE loyalty_internal.policy s SET status = CASE WHEN unpaid = 0 THEN 'ACTIVACION' ELSE 'COBRANZA' END,
		paid_off_at = CASE WHEN unpaid = 0 THEN clock_timestamp() END
	WHERE s.merchant_id = book_payment.merchant_id AND s.policy_id = book_payment.policy_id;
EXCEPTION
	WHEN unique_violation THEN
		PERFORM loyalty_internal.fail('kasu_412', 'The reference was used for another payment.');
	WHEN check_violation OR not_null_violation THEN
		PERFORM loyalty_internal.fail('kasu_400');
END
$$;
COMMENT ON FUNCTION loyalty_internal.book_payment(bigint, bigint, loyalty.points, text, text, text) IS
'Books a payment as pay_policy() does. payment_no: its number among those of the policy, also of one that was booked before; booked: whether it is booked now.';

CREATE FUNCTION loyalty.pay_policy(
	merchant_id bigint, policy_id bigint, amount loyalty.points, method text, reference text, app_user text)
RETURNS json
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	payment_no integer;
BEGIN
	payment_no := (loyalty_internal.book_payment(merchant_id, policy_id, amount, method, reference, app_user)).payment_no;
	RETURN loyalty_internal.policy_stands(merchant_id, policy_id, NULL, payment_no, NULL);
END
$$;
COMMENT ON FUNCTION loyalty.pay_policy(bigint, bigint, loyalty.points, text, text, text) IS
'Books a payment (money) of a policy and returns how the policy stands. Payments fill instalments from the first on, so arrears come first; one of a cancelled policy opens it again. The same reference of app_user again books nothing and gets the first answer, whatever has been booked since, under the name that the customer has by now; another app user''s is another one. A policy takes 200 payments, and then one more of all that is still to be paid. method, reference and app_user have at most 1,024 bytes. Errors: LY005 invalid_argument (a longer one), LK400 kasu_400 (nothing may be NULL or empty), LK412 kasu_412 (no such policy, more than is still to be paid, too many payments, or the reference was used for another payment of app_user).';

CREATE FUNCTION loyalty.cancel_policy(merchant_id bigint, policy_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE loyalty_internal.policy s SET status = 'CANCELADO'
	WHERE s.merchant_id = cancel_policy.merchant_id AND s.policy_id = cancel_policy.policy_id AND s.status <> 'CANCELADO';
	IF FOUND THEN
		RETURN true;
	END IF;
	IF NOT EXISTS (SELECT FROM loyalty_internal.policy s
			WHERE s.merchant_id = cancel_policy.merchant_id AND s.policy_id = cancel_policy.policy_id) THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no policy with this policy_id.');
	END IF;
	RETURN false;
END
$$;
COMMENT ON FUNCTION loyalty.cancel_policy(bigint, bigint) IS
'Cancels a policy: it is in CANCELADO until loyalty.reopen_policy() or a payment, and the customer may buy the product again. Stock and payments stay as they are. Returns whether it was not cancelled yet. Errors: LY006 unknown_object.';

CREATE FUNCTION loyalty.reopen_policy(merchant_id bigint, policy_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	sold loyalty_internal.policy;
	unpaid numeric;
BEGIN
	sold := loyalty_internal.lock_policy(reopen_policy.merchant_id, reopen_policy.policy_id);
	IF sold.policy_id IS NULL THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no policy with this policy_id.');
	ELSIF sold.status <> 'CANCELADO' THEN
		RETURN false;
	END IF;
	IF loyalty_internal.holds_product(sold.merchant_id, sold.member_id, sold.product_id, sold.policy_id) THEN
		PERFORM loyalty_internal.fail('kasu_412', 'The customer has another policy of the product, or of its family.');
	END IF;
	SELECT y.balance::numeric INTO unpaid FROM loyalty_internal.payment y
	WHERE y.merchant_id = sold.merchant_id AND y.policy_id = sold.policy_id ORDER BY y.payment_no DESC LIMIT 1;
	UPDATE loyalty_internal.policy s SET status = CASE WHEN unpaid IS NULL THEN 'PREVENTA' WHEN unpaid = 0 THEN 'ACTIVACION' ELSE 'COBRANZA' END
	WHERE s.merchant_id = sold.merchant_id AND s.policy_id = sold.policy_id;
	RETURN true;
END
$$;
COMMENT ON FUNCTION loyalty.reopen_policy(bigint, bigint) IS
'Takes back loyalty.cancel_policy(): the policy is what its payments make it, PREVENTA, COBRANZA, ACTIVACION or ACTIVO. Returns whether it was cancelled. Errors: LY006 unknown_object, LK412 kasu_412 (the customer has bought the product, or another of its family, again).';

CREATE FUNCTION loyalty.change_product(
	merchant_id bigint, name text, price loyalty.points DEFAULT NULL, stock integer DEFAULT NULL, description text DEFAULT NULL,
	min_age integer DEFAULT NULL, max_age integer DEFAULT NULL, max_payments integer DEFAULT NULL, annual_rate loyalty.points DEFAULT NULL,
	commission loyalty.points DEFAULT NULL, trust text DEFAULT NULL, family text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	becomes loyalty_internal.product;
BEGIN
	PERFORM loyalty_internal.lock_products(change_product.merchant_id);
	PERFORM loyalty_internal.require_short(change_product.description, change_product.trust, change_product.family);
	UPDATE loyalty_internal.product p SET price = coalesce(change_product.price, p.price), stock = coalesce(change_product.stock, p.stock),
		description = coalesce(change_product.description, p.description), min_age = coalesce(change_product.min_age, p.min_age),
		max_age = coalesce(change_product.max_age, p.max_age), max_payments = coalesce(change_product.max_payments, p.max_payments),
		annual_rate = coalesce(change_product.annual_rate, p.annual_rate), commission = coalesce(change_product.commission, p.commission),
		trust = coalesce(change_product.trust, p.trust), family = nullif(coalesce(change_product.family, p.family), '')
	WHERE p.merchant_id = change_product.merchant_id AND p.name = change_product.name COLLATE "C"
	RETURNING p.* INTO becomes;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no product of this name.');
	END IF;
	PERFORM loyalty.instalment_cost(becomes.price, becomes.annual_rate, becomes.max_payments);
	PERFORM loyalty_internal.check_family(becomes);
EXCEPTION
	WHEN check_violation OR numeric_value_out_of_range THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'family has no control characters, price is positive, stock and ages are not negative, max_age is not below min_age, max_payments is 1 to 36.');
END
$$;
COMMENT ON FUNCTION loyalty.change_product(bigint, text, loyalty.points, integer, text, integer, integer, integer, loyalty.points, loyalty.points, text, text) IS
'Changes a product from now on; what is NULL stays, and so does what was sold. Arguments are those of loyalty.create_product(); an empty family is none. Errors: LY005 invalid_argument, LY006 unknown_object, LY007 already_exists (as there).';

CREATE VIEW loyalty.instalments AS
SELECT merchant_id, policy_id, ordinal, due_on, amount FROM loyalty_internal.instalment;
COMMENT ON VIEW loyalty.instalments IS 'What is due of a policy when; all instalments of a policy come to its cost. amount: money. Payments fill them from the first on, and are in loyalty.payments.';
COMMENT ON COLUMN loyalty.instalments.ordinal IS 'Its number among those of the policy: 1, 2, 3 …';
COMMENT ON COLUMN loyalty.instalments.amount IS 'Money.';

CREATE VIEW loyalty.payments AS
SELECT merchant_id, policy_id, payment_no, reference, amount, method, app_user, paid_at, balance, commission, payment_id FROM loyalty_internal.payment;
COMMENT ON VIEW loyalty.payments IS 'What has been paid of policies, in the order of payment_no. amount: money; reference: what app_user knows the payment by; app_user: who took it; balance: what was still to be paid after it; commission: what app_user earns by it; payment_id: what the customer API calls it.';
COMMENT ON COLUMN loyalty.payments.amount IS 'Money.';
COMMENT ON COLUMN loyalty.payments.app_user IS 'Who took it.';
COMMENT ON COLUMN loyalty.payments.commission IS 'Money that app_user earns by it.';

CREATE VIEW loyalty.commissions AS
SELECT y.merchant_id, y.app_user, d.period, count(*) AS payments, sum(y.amount::numeric)::loyalty.points AS amount,
	   sum(y.commission::numeric)::loyalty.points AS commission
FROM loyalty_internal.payment y
JOIN loyalty_internal.policy s ON s.merchant_id = y.merchant_id AND s.policy_id = y.policy_id
JOIN loyalty_internal.member m ON m.merchant_id = s.merchant_id AND m.member_id = s.member_id
JOIN loyalty_internal.program g ON g.merchant_id = m.merchant_id AND g.program_id = m.program_id,
LATERAL (SELECT date_trunc('month', y.paid_at AT TIME ZONE g.time_zone)::date AS period) d
GROUP BY y.merchant_id, y.app_user, d.period;
COMMENT ON VIEW loyalty.commissions IS 'What app users have earned by the payments that they took, by month. period: the first day of it, in the time_zone of the customers'' program; payments: how many; amount: money that was paid; commission: money that the app user earns.';
COMMENT ON COLUMN loyalty.commissions.period IS 'The first day of the month.';
COMMENT ON COLUMN loyalty.commissions.payments IS 'How many.';
COMMENT ON COLUMN loyalty.commissions.amount IS 'Money that was paid.';
COMMENT ON COLUMN loyalty.commissions.commission IS 'Money that the app user earns.';

CREATE VIEW loyalty.products AS
SELECT merchant_id, product_id, name, description, price, stock, min_age, max_age, max_payments, annual_rate, commission, trust, family FROM loyalty_internal.product;
COMMENT ON VIEW loyalty.products IS 'The products of the merchants. min_age, max_age: full years of who may have it; family: under whose name it is sold too, NULL: none.';

CREATE VIEW loyalty.policies AS
SELECT s.merchant_id, s.policy_id, s.member_id, s.sale_no, p.name AS product, s.policy_number, s.cost, s.payments,
	   loyalty_internal.policy_state(s.status, s.paid_off_at, now()) AS status, s.registered_at, s.price, s.pay_day, s.commission, s.service, s.sold_by, s.paid_off_at, s.trust
FROM loyalty_internal.policy s JOIN loyalty_internal.product p USING (merchant_id, product_id);
COMMENT ON VIEW loyalty.policies IS 'What the merchants have sold to customers, under a policy number each. price: money for one payment, cost: all payments together; pay_day: 1 or 15, 0 for one payment; commission: percent of each payment; trust: the trust fund behind it; sold_by: the app user; paid_off_at: when the last payment was booked, 30 days before it is ACTIVO.';
