-- Programs.  A wallet (monedero) is a program that has a wallet_key.

CREATE TABLE loyalty.program (
	merchant_id			bigint		NOT NULL REFERENCES loyalty.merchant,
	program_id			bigint		NOT NULL DEFAULT loyalty.new_id(),
	wallet_key			text		CHECK (wallet_key <> ''),
	name				text		NOT NULL CHECK (name <> ''),
	percentage			numeric		NOT NULL CHECK (percentage BETWEEN 0 AND 1000 AND scale(percentage) <= 4),
	decimals			smallint	NOT NULL CHECK (decimals BETWEEN 0 AND 4),
	rounding			text		NOT NULL CHECK (rounding IN ('half_up', 'half_even', 'down', 'up')),
	requires_ticket		boolean		NOT NULL,
	requires_birth_date	boolean		NOT NULL,
	channel				text		NOT NULL CHECK (channel IN ('sms', 'whatsapp')),
	messages			text[]		NOT NULL CHECK (messages <@ '{welcome,accrue,redeem,adjust}'::text[]),
	created_at			timestamptz	NOT NULL DEFAULT now(),
	PRIMARY KEY (merchant_id, program_id),
	UNIQUE (merchant_id, wallet_key)
);
COMMENT ON TABLE loyalty.program IS 'Points schemes. A wallet is a program with a wallet_key.';
COMMENT ON COLUMN loyalty.program.percentage IS 'Percent of a sale''s amount that is earned as points, at most 4 decimals.';
COMMENT ON COLUMN loyalty.program.decimals IS 'How many decimals the points of this program have, 0 to 4.';
COMMENT ON COLUMN loyalty.program.rounding IS 'How a percentage of an amount is brought to those decimals.';
COMMENT ON COLUMN loyalty.program.messages IS 'Which operations send the member a message.';
REVOKE ALL ON loyalty.program FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON loyalty.program TO loyalty_engine;
SELECT pg_catalog.pg_extension_config_dump('loyalty.program', '');

CREATE FUNCTION loyalty.create_wallet(
	merchant_id bigint, name text, percentage numeric DEFAULT 10, decimals integer DEFAULT 2,
	rounding text DEFAULT 'half_up', requires_ticket boolean DEFAULT false, requires_birth_date boolean DEFAULT false,
	channel text DEFAULT 'sms', messages text[] DEFAULT '{welcome,redeem,adjust}',
	OUT program_id bigint, OUT wallet_key text)
RETURNS record
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM loyalty.require_merchant(create_wallet.merchant_id);
	INSERT INTO loyalty.program AS p (merchant_id, wallet_key, name, percentage, decimals, rounding,
		requires_ticket, requires_birth_date, channel, messages)
	VALUES (create_wallet.merchant_id, loyalty.random_key('', 16), create_wallet.name, create_wallet.percentage,
		create_wallet.decimals, create_wallet.rounding, create_wallet.requires_ticket,
		create_wallet.requires_birth_date, create_wallet.channel, create_wallet.messages)
	RETURNING p.program_id, p.wallet_key INTO program_id, wallet_key;
EXCEPTION WHEN check_violation OR not_null_violation OR numeric_value_out_of_range THEN
	PERFORM loyalty.fail('invalid_argument', 'percentage is 0 to 1000 with at most 4 decimals, decimals 0 to 4, rounding one of half_up, half_even, down, up, channel sms or whatsapp, messages a subset of {welcome,accrue,redeem,adjust}.');
END
$$;
COMMENT ON FUNCTION loyalty.create_wallet(bigint, text, numeric, integer, text, boolean, boolean, text, text[]) IS
'Creates a wallet (monedero) and returns its program_id and wallet_key. percentage: percent of a sale earned as points (0 to 1000, at most 4 decimals). decimals (0 to 4) and rounding (half_up, half_even, down, up) bring the result to the wallet''s points. requires_ticket, requires_birth_date: what a sale, a registration must carry. channel: sms or whatsapp. messages: which of welcome, accrue, redeem, adjust send one. Errors: LY005 invalid_argument, LY006 unknown_object.';
REVOKE ALL ON FUNCTION loyalty.create_wallet(bigint, text, numeric, integer, text, boolean, boolean, text, text[]) FROM PUBLIC;
ALTER FUNCTION loyalty.create_wallet(bigint, text, numeric, integer, text, boolean, boolean, text, text[]) OWNER TO loyalty_engine;

CREATE FUNCTION loyalty.configure_wallet(
	merchant_id bigint, wallet_key text, name text DEFAULT NULL, percentage numeric DEFAULT NULL,
	decimals integer DEFAULT NULL, rounding text DEFAULT NULL, requires_ticket boolean DEFAULT NULL,
	requires_birth_date boolean DEFAULT NULL, channel text DEFAULT NULL, messages text[] DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE loyalty.program p SET
		name = coalesce(configure_wallet.name, p.name),
		percentage = coalesce(configure_wallet.percentage, p.percentage),
		decimals = coalesce(configure_wallet.decimals, p.decimals),
		rounding = coalesce(configure_wallet.rounding, p.rounding),
		requires_ticket = coalesce(configure_wallet.requires_ticket, p.requires_ticket),
		requires_birth_date = coalesce(configure_wallet.requires_birth_date, p.requires_birth_date),
		channel = coalesce(configure_wallet.channel, p.channel),
		messages = coalesce(configure_wallet.messages, p.messages)
	WHERE p.merchant_id = configure_wallet.merchant_id AND p.wallet_key = configure_wallet.wallet_key;
	IF NOT FOUND THEN
		PERFORM loyalty.fail('unknown_object', 'The merchant has no wallet with this wallet_key.');
	END IF;
EXCEPTION WHEN check_violation OR numeric_value_out_of_range THEN
	PERFORM loyalty.fail('invalid_argument', 'The arguments are those of loyalty.create_wallet().');
END
$$;
COMMENT ON FUNCTION loyalty.configure_wallet(bigint, text, text, numeric, integer, text, boolean, boolean, text, text[]) IS
'Changes the arguments that are not NULL; they mean what they mean in loyalty.create_wallet(). Entries already posted stay as they are. Errors: LY005 invalid_argument, LY006 unknown_object.';
REVOKE ALL ON FUNCTION loyalty.configure_wallet(bigint, text, text, numeric, integer, text, boolean, boolean, text, text[]) FROM PUBLIC;
ALTER FUNCTION loyalty.configure_wallet(bigint, text, text, numeric, integer, text, boolean, boolean, text, text[]) OWNER TO loyalty_engine;

CREATE VIEW loyalty.wallets AS
SELECT p.merchant_id, p.program_id, p.wallet_key, p.name, p.percentage, p.decimals, p.rounding, p.requires_ticket,
	   p.requires_birth_date, p.channel, p.messages, p.created_at,
	   m.base_url || '/monedero/' || p.wallet_key AS app_client,
	   m.base_url || '/canje/' || p.wallet_key AS app_redeem
FROM loyalty.program p JOIN loyalty.merchant m USING (merchant_id)
WHERE p.wallet_key IS NOT NULL;
ALTER VIEW loyalty.wallets OWNER TO loyalty_engine;
COMMENT ON VIEW loyalty.wallets IS 'The wallets of the merchants with their terms; app_client and app_redeem are the links to the members'' and the cashiers'' pages.';
