-- The sandbox of the customer API.

CREATE FUNCTION loyalty_internal.find_sandbox() RETURNS bigint
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT m.merchant_id FROM loyalty_internal.app_user u JOIN loyalty_internal.merchant m ON m.merchant_id = u.merchant_id
	WHERE u.name = 'Api_KASU_Sandbox' AND m.sandbox;
END;
COMMENT ON FUNCTION loyalty_internal.find_sandbox() IS 'Part of loyalty.load_sandbox(): the merchant of the sandbox, NULL if there is none.';

CREATE FUNCTION loyalty_internal.fill_sandbox(sandbox_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	app CONSTANT text := 'Api_KASU_Sandbox';
	program bigint;
	band record;
	customer record;
BEGIN
	-- Everybody has its key.
	PERFORM loyalty.set_row_limit(sandbox_id, 10000);
	PERFORM loyalty.create_app_user(sandbox_id, app, 'ef235aacf90d9f4aadd8c92e4b2562e1d9eb97f0');
	program := (loyalty.create_program(sandbox_id, 'Clientes KASU')).program_id;
	PERFORM loyalty.create_product(sandbox_id, 'Funerario', '5000', 100, 'Servicio funerario completo', 2, 69, 12, '12', '5');
	PERFORM loyalty.create_product(sandbox_id, 'Universitario', '20000', 100, 'Ahorro para la universidad', 0, 20, 36, '10', '2.5');
	FOR band IN
		SELECT * FROM (VALUES (2, 29, '3500'), (30, 49, '4200'), (50, 54, '4900'), (55, 59, '5600'), (60, 64, '6300'), (65, 69, '7000')) b (youngest, oldest, price)
	LOOP
		PERFORM loyalty.create_product(sandbox_id, format('Seguridad %s-%s', band.youngest, band.oldest), band.price::loyalty.points, 100,
			'Servicio funerario para elementos de seguridad', band.youngest, band.oldest, 12, '12', '5', 'Fideicomiso de pruebas', 'Seguridad');
	END LOOP;

	FOR customer IN
		SELECT * FROM (VALUES
			('CAMC880526HMCBNR04', 'Carlos', 'Cabrera', 'Montes', 'carlos.cabrera@example.com', '7221000001', 'Av. Hidalgo', '12'),
			('CAPC200504HMCBXRA2', 'César', 'Cabrera', 'Peña', 'cesar.cabrera@example.com', '7221000002', 'Av. Hidalgo', '12'),
			('REAE060617MMCYLVA4', 'Eva', 'Reyes', 'Alva', 'eva.reyes@example.com', '7221000003', 'Calle Morelos', '4 B'))
			c (curp, first_name, first_last_name, second_last_name, email, phone, street, number)
	LOOP
		PERFORM loyalty.create_customer(sandbox_id, program, customer.curp::loyalty.curp, customer.first_name, customer.first_last_name,
			customer.second_last_name, customer.phone::loyalty.phone, customer.email, customer.street, customer.number,
			'Centro', 'Toluca', '50000', 'Estado de México', loyalty.fold(customer.first_name) || '.' || customer.phone);
		PERFORM loyalty.grant_consent(sandbox_id, customer.curp::loyalty.curp, app, 'pruebas', '1');
		PERFORM loyalty.open_policy(sandbox_id, customer.curp::loyalty.curp, 'Funerario', 12, 1);
	END LOOP;
END
$$;
COMMENT ON FUNCTION loyalty_internal.fill_sandbox(bigint) IS 'Part of loyalty.load_sandbox(): all that the sandbox starts with.';

CREATE FUNCTION loyalty.load_sandbox() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	sandbox_id bigint := loyalty_internal.find_sandbox();
BEGIN
	IF sandbox_id IS NOT NULL THEN
		RETURN sandbox_id;
	END IF;
	sandbox_id := loyalty.create_merchant('KASU Sandbox');
	UPDATE loyalty_internal.merchant m SET sandbox = true WHERE m.merchant_id = sandbox_id;
	PERFORM loyalty_internal.fill_sandbox(sandbox_id);
	RETURN sandbox_id;
EXCEPTION WHEN SQLSTATE 'LY007' THEN
	-- Another has just made it, or the name is somebody's.
	sandbox_id := loyalty_internal.find_sandbox();
	IF sandbox_id IS NULL THEN
		RAISE;
	END IF;
	RETURN sandbox_id;
END
$$;
COMMENT ON FUNCTION loyalty.load_sandbox() IS
'Creates, if it is not there, the sandbox of the customer API: a merchant of its own with the printed user, PRIVATE_KEY and CURPs, made-up people and products, and at most 10,000 rows. Returns its merchant_id. Errors: LY007 already_exists (another merchant has an app user of the printed name).';

CREATE FUNCTION loyalty_internal.stop_requests(merchant_id bigint) RETURNS void
LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME', 'loyalty_stop_requests';
COMMENT ON FUNCTION loyalty_internal.stop_requests(bigint) IS
'Part of loyalty.load_sandbox(): waits for the merchant''s requests in progress, and has those that come meanwhile wait until the transaction ends.';

-- It runs as its caller, and nobody is granted it: what deletes entries is nobody's
-- but who may do so anyway, the superuser.
CREATE FUNCTION loyalty.load_sandbox(reset boolean) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	sandbox_id bigint;
	tables regclass[];
	of_sandbox regclass;
	conditions text[];
	condition text;
BEGIN
	sandbox_id := loyalty.load_sandbox();
	IF reset IS NOT TRUE THEN
		RETURN sandbox_id;
	END IF;
	-- Resets go one after the other, and not beside requests: those lock rows in other orders.
	PERFORM loyalty_internal.stop_requests(sandbox_id);
	PERFORM FROM loyalty_internal.merchant m WHERE m.merchant_id = sandbox_id FOR UPDATE;
	-- All tables that have rows of merchants, those that others refer to first.
	WITH RECURSIVE of_merchants (id, depth) AS (
		SELECT c.oid, 0 FROM pg_depend d
		JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'loyalty'
		JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'r' AND c.oid <> 'loyalty_internal.merchant'::regclass
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'merchant_id'
		WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
		UNION
		SELECT f.conrelid, o.depth + 1 FROM of_merchants o JOIN pg_constraint f ON f.contype = 'f' AND f.confrelid = o.id AND f.conrelid <> o.id
	)
	SELECT array_agg(t.id ORDER BY t.depth, t.id) INTO tables FROM (SELECT o.id, max(o.depth) AS depth FROM of_merchants o GROUP BY o.id) t;
	-- A table without a merchant_id has the rows of the merchant that refer to rows of it.
	FOREACH of_sandbox IN ARRAY tables LOOP
		IF EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = of_sandbox AND a.attname = 'merchant_id') THEN
			condition := 'merchant_id = $1';
		ELSE
			SELECT string_agg(format('(%s) IN (SELECT %s FROM %s WHERE %s)', c.these, c.those, r.name, conditions[array_position(tables, r.name)]), ' OR ')
			INTO condition FROM pg_constraint f, LATERAL (SELECT f.confrelid::regclass AS name) r, LATERAL (
				SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.n) AS these, string_agg(quote_ident(b.attname), ', ' ORDER BY k.n) AS those
				FROM unnest(f.conkey, f.confkey) WITH ORDINALITY k (this, that, n)
				JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.this
				JOIN pg_attribute b ON b.attrelid = f.confrelid AND b.attnum = k.that) c
			WHERE f.contype = 'f' AND f.conrelid = of_sandbox AND r.name <> of_sandbox AND r.name = ANY (tables);
		END IF;
		conditions := array_append(conditions, condition);
	END LOOP;
	-- What is in progress in SQL is waited for, and what comes then waits: whatever it
	-- adds belongs to a row that is locked here.
	FOR n IN 1 .. cardinality(tables) LOOP
		IF tables[n] = 'loyalty_internal.account'::regclass THEN
			PERFORM FROM loyalty_internal.account k WHERE k.merchant_id = sandbox_id ORDER BY k.account_id FOR UPDATE;
		ELSIF EXISTS (SELECT FROM pg_constraint f WHERE f.contype = 'f' AND f.confrelid = tables[n]) THEN
			EXECUTE format('SELECT FROM %s WHERE %s FOR UPDATE', tables[n], conditions[n]) USING sandbox_id;
		END IF;
	END LOOP;
	FOR n IN REVERSE cardinality(tables) .. 1 LOOP
		EXECUTE format('DELETE FROM %s WHERE %s', tables[n], conditions[n]) USING sandbox_id;
	END LOOP;
	UPDATE loyalty_internal.merchant m SET name = 'KASU Sandbox', base_url = 'https://localhost', customer_program_id = DEFAULT, notice_version = DEFAULT
	WHERE m.merchant_id = sandbox_id;
	PERFORM loyalty_internal.fill_sandbox(sandbox_id);
	RETURN sandbox_id;
END
$$;
COMMENT ON FUNCTION loyalty.load_sandbox(boolean) IS
'Creates the sandbox as loyalty.load_sandbox() does; if it is there and reset is true, deletes all that it has, entries and logs too, and makes it what it was at first, under the same merchant_id. Other merchants are not touched. Requests in progress are waited for; who asks meanwhile waits, and may be refused. For superusers only, whom alone the tables let delete. Errors: LY007 already_exists (another merchant has an app user of the printed name).';
