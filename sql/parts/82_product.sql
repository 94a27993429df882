-- What merchants sell to customers: products, and the sales of them.

CREATE TABLE loyalty.product (
	merchant_id		bigint			NOT NULL REFERENCES loyalty.merchant,
	product_id		bigint			NOT NULL DEFAULT loyalty.new_id(),
	name			text			COLLATE "C" NOT NULL CHECK (name <> ''),
	description		text			NOT NULL DEFAULT '',
	price			loyalty.points	NOT NULL CHECK (price OPERATOR(loyalty.>) '0'::loyalty.points),
	stock			integer			NOT NULL CHECK (stock >= 0),
	min_age			smallint		NOT NULL DEFAULT 0 CHECK (min_age >= 0),
	max_age			smallint		NOT NULL DEFAULT 150,
	max_payments	smallint		NOT NULL DEFAULT 1 CHECK (max_payments BETWEEN 1 AND 36),
	annual_rate		loyalty.points	NOT NULL DEFAULT '0' CHECK (annual_rate OPERATOR(loyalty.>=) '0'::loyalty.points),
	commission		loyalty.points	NOT NULL DEFAULT '0' CHECK (commission OPERATOR(loyalty.>=) '0'::loyalty.points),
	PRIMARY KEY (merchant_id, product_id),
	UNIQUE (merchant_id, name),
	CHECK (max_age >= min_age)
);
COMMENT ON TABLE loyalty.product IS 'Products, with whom they can be sold to and on what terms.';
COMMENT ON COLUMN loyalty.product.price IS 'Money, for one payment.';
COMMENT ON COLUMN loyalty.product.annual_rate IS 'Percent a year that paying in instalments costs, for the months from the first instalment to the last.';
COMMENT ON COLUMN loyalty.product.commission IS 'Percent of each payment that the app users who take payments earn.';
REVOKE ALL ON loyalty.product FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON loyalty.product TO loyalty_engine;
SELECT pg_catalog.pg_extension_config_dump('loyalty.product', '');

CREATE TABLE loyalty.sale (
	merchant_id		bigint			NOT NULL,
	sale_id			bigint			NOT NULL DEFAULT loyalty.new_id(),
	member_id		bigint			NOT NULL,
	product_id		bigint			NOT NULL,
	policy_number	text			COLLATE "C" NOT NULL CHECK (policy_number <> ''),
	signature_id	text			NOT NULL DEFAULT '',
	cost			loyalty.points	NOT NULL CHECK (cost OPERATOR(loyalty.>) '0'::loyalty.points),
	payments		smallint		NOT NULL CHECK (payments BETWEEN 1 AND 36),
	status			text			NOT NULL CHECK (status IN ('PREVENTA', 'ACTIVO', 'PAGADO', 'CANCELADO')),
	registered_at	timestamptz		NOT NULL DEFAULT now(),
	application		json,
	PRIMARY KEY (merchant_id, sale_id),
	UNIQUE (merchant_id, policy_number),
	FOREIGN KEY (merchant_id, member_id) REFERENCES loyalty.member,
	FOREIGN KEY (merchant_id, product_id) REFERENCES loyalty.product
);
COMMENT ON TABLE loyalty.sale IS 'Products sold to customers, under a policy number each.';
COMMENT ON COLUMN loyalty.sale.cost IS 'Money, all payments together.';
COMMENT ON COLUMN loyalty.sale.application IS 'What the customer gave and accepted with the order, as it was sent.';
CREATE INDEX sale_member ON loyalty.sale (merchant_id, member_id);
REVOKE ALL ON loyalty.sale FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON loyalty.sale TO loyalty_engine;
SELECT pg_catalog.pg_extension_config_dump('loyalty.sale', '');

CREATE FUNCTION loyalty.instalment_cost(price loyalty.points, annual_rate loyalty.points, payments integer) RETURNS loyalty.points
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT round(price::numeric * (1 + annual_rate::numeric / 100 * (payments - 1) / 12), 2)::loyalty.points
$$;
COMMENT ON FUNCTION loyalty.instalment_cost(loyalty.points, loyalty.points, integer) IS
'What a price comes to in so many monthly payments: simple interest at the annual rate (percent) for the months between the first and the last, to the cent.';
REVOKE ALL ON FUNCTION loyalty.instalment_cost(loyalty.points, loyalty.points, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION loyalty.instalment_cost(loyalty.points, loyalty.points, integer) TO loyalty_engine;

CREATE FUNCTION loyalty.create_product(
	merchant_id bigint, name text, price loyalty.points, stock integer, description text DEFAULT '',
	min_age integer DEFAULT 0, max_age integer DEFAULT 150, max_payments integer DEFAULT 1, annual_rate loyalty.points DEFAULT '0',
	commission loyalty.points DEFAULT '0')
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	id bigint;
BEGIN
	PERFORM loyalty.require_merchant(create_product.merchant_id);
	-- Refuse here, and not at a sale, what comes to more than money can be.
	PERFORM loyalty.instalment_cost(create_product.price, create_product.annual_rate, create_product.max_payments);
	INSERT INTO loyalty.product AS p (merchant_id, name, description, price, stock, min_age, max_age, max_payments, annual_rate, commission)
	VALUES (create_product.merchant_id, create_product.name, create_product.description, create_product.price,
		create_product.stock, create_product.min_age, create_product.max_age, create_product.max_payments, create_product.annual_rate,
		create_product.commission)
	RETURNING p.product_id INTO id;
	RETURN id;
EXCEPTION
	WHEN check_violation OR not_null_violation OR numeric_value_out_of_range THEN
		PERFORM loyalty.fail('invalid_argument', 'price is positive, stock and ages are not negative, max_age is not below min_age, max_payments is 1 to 36.');
	WHEN unique_violation THEN
		PERFORM loyalty.fail('already_exists', 'The merchant has a product of this name.');
END
$$;
COMMENT ON FUNCTION loyalty.create_product(bigint, text, loyalty.points, integer, text, integer, integer, integer, loyalty.points, loyalty.points) IS
'Creates a product and returns its product_id. price: money for one payment; stock: how many there are; min_age, max_age: full years of who may have it; max_payments: 1 to 36 monthly ones, at annual_rate percent; commission: percent of each payment for the app users who take them. Errors: LY005 invalid_argument, LY006 unknown_object, LY007 already_exists.';
REVOKE ALL ON FUNCTION loyalty.create_product(bigint, text, loyalty.points, integer, text, integer, integer, integer, loyalty.points, loyalty.points) FROM PUBLIC;
ALTER FUNCTION loyalty.create_product(bigint, text, loyalty.points, integer, text, integer, integer, integer, loyalty.points, loyalty.points) OWNER TO loyalty_engine;

CREATE VIEW loyalty.products AS
SELECT merchant_id, product_id, name, description, price, stock, min_age, max_age, max_payments, annual_rate, commission FROM loyalty.product;
ALTER VIEW loyalty.products OWNER TO loyalty_engine;
COMMENT ON VIEW loyalty.products IS 'The products of the merchants.';

CREATE VIEW loyalty.sales AS
SELECT s.merchant_id, s.sale_id, s.member_id, p.name AS product, s.policy_number, s.signature_id, s.cost, s.payments, s.status, s.registered_at
FROM loyalty.sale s JOIN loyalty.product p USING (merchant_id, product_id);
ALTER VIEW loyalty.sales OWNER TO loyalty_engine;
COMMENT ON VIEW loyalty.sales IS 'The sales of the merchants.';
