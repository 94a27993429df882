-- Entries are stored without a statement where nothing tells that from one, and
-- by a statement everywhere else: both leave the same rows.
\ir ../tap.sql

-- Everything that adds entries, in two accounts of a program of which points expire.
CREATE FUNCTION pg_temp.play(merchant bigint, program bigint) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
	a bigint := loyalty.open_account(merchant, program);
	b bigint := loyalty.open_account(merchant, program);
	spent bigint;
	held bigint;
BEGIN
	PERFORM loyalty.post(merchant, a, 'deposit', '100', 'ticket ñ', 7, '20.50');
	spent := (loyalty.post(merchant, a, 'redeem', '30')).entry_id;
	held := (loyalty.hold(merchant, a, '10', reference => 'reserva')).entry_id;
	PERFORM loyalty.capture(merchant, a, held, '4');
	PERFORM loyalty.release(merchant, a, held, in_full => true);
	PERFORM loyalty.reverse(merchant, a, spent, '12', 'devuelto');
	PERFORM loyalty.transfer(merchant, a, b, '5', 'regalo', member_id => b);
	PERFORM loyalty.post_batch(merchant, ARRAY[a, b, a, b], ARRAY['accrue', 'redeem', 'adjust', 'redeem'], ARRAY['1', '2', '-3', '1000']::loyalty.points[], reference => ARRAY['uno', NULL, 'tres', 'cuatro'], money => ARRAY['10', NULL, NULL, NULL]::loyalty.points[]);
	RETURN ARRAY[a, b];
END
$$;

-- What is in the entries, with their places for their names; hashes are checked by verify().
CREATE FUNCTION pg_temp.entries(accounts bigint[]) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws('|', array_position(accounts, e.account_id), e.entry_no, p.entry_no, e.kind, e.amount, e.balance, e.money, e.reference,
		e.staff_id, e.reserved, o.entry_no, array_position(accounts, e.peer_account_id), array_position(accounts, e.member_id), loyalty.total(e.lots),
		length(e.hash), e.posted_at >= now(), e.text_digest IS NULL AND e.happened_at IS NULL AND e.actor_id IS NULL AND e.request_id IS NULL)
	FROM loyalty.entry e LEFT JOIN loyalty.entry p ON p.entry_id = e.previous_entry_id LEFT JOIN loyalty.entry o ON o.entry_id = e.origin_entry_id
	WHERE e.account_id = ANY (accounts) ORDER BY array_position(accounts, e.account_id), e.entry_no
$$;

SELECT loyalty.create_merchant('almacén') AS merchant \gset
SELECT program_id AS program FROM loyalty.create_program(:merchant, 'club', 'club') \gset
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'club'), json_build_object('duration_value', 1, 'duration_unit', 'year'));

SELECT pg_temp.play(:merchant, :program) AS direct \gset
SELECT cmp_ok((SELECT count(*) FROM pg_temp.entries(:'direct')), '=', 11::bigint, 'entries of every kind are stored');

CREATE FUNCTION pg_temp.count_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('test.rows', (coalesce(nullif(current_setting('test.rows', true), ''), '0')::integer + 1)::text, true);
	RETURN NEW;
END
$$;
GRANT EXECUTE ON FUNCTION pg_temp.count_row() TO PUBLIC;
CREATE TRIGGER counted BEFORE INSERT ON loyalty.entry FOR EACH ROW EXECUTE FUNCTION pg_temp.count_row();
SELECT pg_temp.play(:merchant, :program) AS stated \gset
SELECT is(current_setting('test.rows'), '11', 'a trigger that somebody has added sees every row');
SELECT results_eq(format('SELECT pg_temp.entries(%L)', :'stated'), format('SELECT pg_temp.entries(%L)', :'direct'), 'and the rows are the same');
DROP TRIGGER counted ON loyalty.entry;
SELECT is_empty(format('SELECT * FROM loyalty.verify(%s)', :merchant), 'all is well, whichever way it was stored');

-- What an INSERT would be refused for.
SELECT (:'direct'::bigint[])[1] AS a \gset
SELECT format('SELECT loyalty.post(%s, %s, ''deposit'', ''1'')', :merchant, :a) AS post,
	   format('SELECT loyalty.post_batch(%s, ARRAY[%s, %s], ''{deposit}'', ''{1,2}'')', :merchant, :a, :a) AS batch \gset

ALTER TABLE loyalty.entry ADD CONSTRAINT no_ones CHECK (amount OPERATOR(loyalty.<>) '1'::loyalty.points) NOT VALID;
SELECT throws_ok(:'post', '23514', NULL, 'a CHECK that somebody has added is kept');
SELECT throws_ok(:'batch', '23514', NULL, 'and by a batch');
ALTER TABLE loyalty.entry DROP CONSTRAINT no_ones;

CREATE UNIQUE INDEX one_ticket ON loyalty.entry (merchant_id, reference) WHERE reference = 'único';
SELECT lives_ok(format('SELECT loyalty.post(%s, %s, ''deposit'', ''1'', ''único'')', :merchant, :a), 'an index that somebody has added is written');
SELECT throws_ok(format('SELECT loyalty.post(%s, %s, ''deposit'', ''1'', ''único'')', :merchant, :a), '23505', NULL, 'and what it refuses is refused');
SELECT lives_ok(:'post', 'what it is not about is not');
DROP INDEX loyalty.one_ticket;

ALTER TABLE loyalty.entry ADD COLUMN note text DEFAULT 'de fábrica';
SELECT lives_ok(:'post', 'a column that somebody has added');
SELECT lives_ok(:'batch', 'does not disturb');
ALTER TABLE loyalty.entry ADD COLUMN line bigint GENERATED ALWAYS AS IDENTITY;
SELECT lives_ok(:'post', 'nor one that counts');
SELECT lives_ok(:'batch', 'by itself');
SELECT is((SELECT string_agg(DISTINCT note, ',') FROM loyalty.entry), 'de fábrica', 'and has its default');
ALTER TABLE loyalty.entry DROP COLUMN note, DROP COLUMN line;
SELECT lives_ok(:'post', 'nor does one that is gone');

REVOKE INSERT ON loyalty.entry FROM loyalty_engine;
SELECT throws_ok(:'post', '42501', NULL, 'whoever may not insert does not');
SELECT throws_ok(:'batch', '42501', NULL, 'nor by a batch');
GRANT INSERT ON loyalty.entry TO loyalty_engine;

ALTER TABLE loyalty.entry ENABLE ROW LEVEL SECURITY;
CREATE POLICY small ON loyalty.entry FOR INSERT TO loyalty_engine WITH CHECK (amount OPERATOR(loyalty.<) '2'::loyalty.points);
CREATE POLICY seen ON loyalty.entry FOR SELECT TO loyalty_engine USING (true);
SELECT lives_ok(:'post', 'row security lets through what it lets through');
SELECT throws_ok(:'batch', '42501', NULL, 'and nothing else');
ALTER TABLE loyalty.entry DISABLE ROW LEVEL SECURITY;

CREATE FUNCTION pg_temp.keep_away() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
GRANT EXECUTE ON FUNCTION pg_temp.keep_away() TO PUBLIC;
CREATE TRIGGER kept_away BEFORE INSERT ON loyalty.entry FOR EACH ROW EXECUTE FUNCTION pg_temp.keep_away();
SELECT throws_ok(:'post', '09000', NULL, 'a trigger that keeps the entry away keeps the points away');
SELECT throws_ok(:'batch', '09000', NULL, 'and those of a batch');
DROP TRIGGER kept_away ON loyalty.entry;

SELECT throws_ok('DO $do$ BEGIN SET LOCAL transaction_read_only = on; PERFORM ' || substr(:'post', 8) || '; END $do$', '25006', NULL, 'nor in a transaction that only reads');
SELECT is_empty(format('SELECT * FROM loyalty.verify(%s)', :merchant), 'nothing of what was refused has stayed');

-- Entries that go round in a circle, which only damage makes.
SELECT entry_id AS first FROM loyalty.entry WHERE account_id = :a AND entry_no = 1 \gset
SELECT entry_id AS second FROM loyalty.entry WHERE account_id = :a AND entry_no = 2 \gset
UPDATE loyalty.entry SET previous_entry_id = :second WHERE entry_id = :first;
SELECT throws_ok(format('SELECT loyalty.balance_at(%s, %s, now() - interval ''1 day'')', :merchant, :a), 'XX001', NULL, 'a circle is reported');
UPDATE loyalty.entry SET previous_entry_id = 1 WHERE entry_id = :first;
SELECT throws_ok(format('SELECT loyalty.balance_at(%s, %s, now() - interval ''1 day'')', :merchant, :a), 'XX001', NULL, 'and so is an entry that is missing');
SELECT cmp_ok((loyalty_internal.earned_by_entries(:merchant, :a)).earned, '>', '0'::loyalty.points, 'what does not need it ends');

SELECT * FROM finish();
ROLLBACK;
