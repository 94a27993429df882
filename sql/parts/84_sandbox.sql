-- The sandbox of the customer API.

CREATE FUNCTION loyalty.load_sandbox() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	app CONSTANT text := 'Api_KASU_Sandbox';
	sandbox_id bigint;
	program bigint;
	band record;
	customer record;
BEGIN
	SELECT u.merchant_id INTO sandbox_id FROM loyalty_internal.app_user u WHERE u.name = app;
	IF FOUND THEN
		RETURN sandbox_id;
	END IF;
	sandbox_id := loyalty.create_merchant('KASU Sandbox');
	UPDATE loyalty_internal.merchant m SET sandbox = true WHERE m.merchant_id = sandbox_id;
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
	RETURN sandbox_id;
END
$$;
COMMENT ON FUNCTION loyalty.load_sandbox() IS
'Creates, if it is not there, the sandbox of the customer API: a merchant of its own with the printed user, PRIVATE_KEY and CURPs, and made-up people and products. Returns its merchant_id.';
