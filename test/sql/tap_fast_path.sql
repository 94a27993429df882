-- A single posting that is made by one UPDATE leaves what the general path leaves,
-- and is refused alike.
\ir ../tap.sql

SELECT loyalty.create_merchant('m') AS merchant \gset
SELECT loyalty.employee_add(:merchant, 'cajero', 'Ana', 'Centro', '4771000001', 'clave uno') AS staff \gset

CREATE TEMP TABLE program (name text PRIMARY KEY, program_id bigint, fast bigint, general bigint);
INSERT INTO program (name, program_id)
SELECT name, (loyalty.create_program(:merchant, name, name)).program_id
FROM unnest('{plain,expiring,pending,ranked,limited,inactive}'::text[]) name;
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'expiring'), json_build_object('duration_value', 1, 'duration_unit', 'year'));
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'pending'), json_build_object('pending_days', 3));
SELECT loyalty.set_rank_ranges(:merchant, 'g', '{Plata,Oro}', '{0,60}');
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'ranked'), json_build_object('range_group', 'g'));
SELECT loyalty.set_limit(:merchant, loyalty.find_program(:merchant, 'limited'), 'member', direction, '200', 12) FROM unnest('{add,spend}'::text[]) direction;
UPDATE program SET fast = loyalty.open_account(:merchant, program_id), general = loyalty.open_account(:merchant, program_id);
SELECT loyalty.post(:merchant, unnest(ARRAY[fast, general]), 'deposit', '50') FROM program WHERE name = 'inactive';
SELECT loyalty.disable_program(:merchant, loyalty.find_program(:merchant, 'inactive'));

CREATE TEMP TABLE operation (ordinal serial, kind text, amount loyalty.points, reference text, money loyalty.points);
INSERT INTO operation (kind, amount, reference, money) VALUES
	('redeem', '1', NULL, NULL), ('deposit', '100', NULL, NULL), ('deposit', '0', NULL, NULL), ('deposit', '-1', NULL, NULL),
	('accrue', '0', 'nada', '5'), ('accrue', '10', 'T-1', '100'), ('accrue', '10.5', NULL, NULL), ('redeem', '40', 'T-2', '40'),
	('redeem', '-40', NULL, NULL), ('redeem', '1000', NULL, NULL), ('adjust', '-5', 'corrección', NULL), ('adjust', '7', NULL, NULL),
	('adjust', '0', NULL, NULL), ('adjust', '-100000', NULL, NULL), ('deposit', '90', NULL, NULL), ('redeem', '60', NULL, NULL),
	('deposit', '922337203685477.5807', NULL, NULL), ('redeem', '922337203685477.5807', NULL, NULL),
	('redeem', '-922337203685477.5808', NULL, NULL),
	('accrue', '184467440737095.5', NULL, NULL), ('deposit', '1', 'último', NULL);

-- The balance that a posting answers, or why it is refused.
CREATE FUNCTION pg_temp.post(merchant bigint, account bigint, fast boolean, operation operation, staff bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('loyalty.enable_fast_path', fast::text, true);
	RETURN (loyalty.post(merchant, account, operation.kind, operation.amount, operation.reference, staff, operation.money)).balance;
EXCEPTION WHEN OTHERS THEN
	RETURN sqlstate || ' ' || sqlerrm;
END
$$;
CREATE TEMP TABLE answer AS
SELECT p.name, o.ordinal, pg_temp.post(:merchant, p.fast, true, o, :staff) AS fast, pg_temp.post(:merchant, p.general, false, o, :staff) AS general
FROM program p, operation o ORDER BY p.name, o.ordinal;

SELECT is(fast, general, format('%s: operation %s', name, ordinal)) FROM answer ORDER BY name, ordinal;
SELECT cmp_ok(count(*) FILTER (WHERE fast LIKE 'LY%'), '>', 30::bigint, 'some are refused') FROM answer;
SELECT cmp_ok(count(*) FILTER (WHERE fast NOT LIKE 'LY%'), '>', 40::bigint, 'and some are not') FROM answer;

PREPARE entries(boolean) AS
SELECT p.name, e.entry_no, e.kind, e.amount, e.balance, e.staff_id, e.money, e.reserved, e.origin_entry_id, e.peer_account_id, e.member_id, e.rules,
	   e.reference, e.detail::text, e.lots::text, length(e.hash), b.entry_no AS before
FROM program p JOIN loyalty.entry e ON e.account_id = CASE WHEN $1 THEN p.fast ELSE p.general END
LEFT JOIN loyalty.entry b ON b.merchant_id = e.merchant_id AND b.entry_id = e.previous_entry_id
ORDER BY p.name, e.entry_no;
SELECT results_eq('EXECUTE entries(true)', 'EXECUTE entries(false)', 'the entries are the same');
PREPARE accounts(boolean) AS
SELECT p.name, a.balance, a.entry_no, a.earned, a.expired, a.held, a.pending, a.lots::text, a.qualifying::text, a.due_at IS NULL,
	   a.newest_entry_id = (SELECT e.entry_id FROM loyalty.entry e WHERE e.account_id = a.account_id AND e.entry_no = a.entry_no)
FROM program p JOIN loyalty_internal.account a ON a.account_id = CASE WHEN $1 THEN p.fast ELSE p.general END ORDER BY p.name;
SELECT results_eq('EXECUTE accounts(true)', 'EXECUTE accounts(false)', 'and the accounts');
SELECT is_empty('SELECT * FROM loyalty.verify()', 'which verify() finds sound');

-- A limit comes after the one UPDATE, and takes it back; the general path knows before it writes.
-- A posting before it tells the session what the next one probably is to.
CREATE FUNCTION pg_temp.updates(merchant bigint, program bigint, fast boolean) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	account CONSTANT bigint := loyalty.open_account(merchant, program);
	before bigint;
BEGIN
	PERFORM set_config('loyalty.enable_fast_path', fast::text, true);
	PERFORM loyalty.post(merchant, account, 'deposit', '1');
	before := pg_stat_get_xact_tuples_updated('loyalty_internal.account'::regclass);
	BEGIN
		PERFORM loyalty.post(merchant, account, 'deposit', '1000');
	EXCEPTION WHEN SQLSTATE 'LY008' THEN
		RETURN pg_stat_get_xact_tuples_updated('loyalty_internal.account'::regclass) - before;
	END;
END
$$;
SELECT is(pg_temp.updates(:merchant, program_id, true), 2::bigint, 'the setting lets the fast path be taken') FROM program WHERE name = 'limited';
SELECT is(pg_temp.updates(:merchant, program_id, false), 0::bigint, 'or not') FROM program WHERE name = 'limited';

SELECT finish();
ROLLBACK;
