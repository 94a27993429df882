-- Accounts that members share: whose points they are, who is said to have
-- acted, how much each may spend, and who may join and leave.  Two at once are
-- in iso_archive_member.spec, rules in tap_rule.sql.
SET datestyle = 'ISO';
-- It is noon in Mexico City, so that no day ends meanwhile.
COPY (SELECT (18 * 3600 - extract(epoch FROM clock_timestamp()) % 86400 + 86400) % 86400) TO PROGRAM '../advance_clock';
\ir ../tap.sql

SELECT loyalty.create_merchant('Uno') AS m \gset
SELECT loyalty.create_merchant('Dos') AS other \gset
SELECT program_id AS p, wallet_key FROM loyalty.create_program(:m, 'Programa', 'P') \gset
SELECT loyalty.configure_program(:m, loyalty.find_program(:m, 'P'), json_build_object('accumulation_points', 10, 'accumulation_money', 100, 'shortfall', 'negative')) \g /dev/null
SELECT program_id AS q FROM loyalty.create_program(:m, 'Otro', 'Q') \gset
SELECT program_id AS r FROM loyalty.create_program(:other, 'De otro', 'P') \gset
SELECT loyalty.employee_add(:m, 'cajero', 'Ana', 'Centro', '4771000001', 'secreto') AS staff \gset

-- A member with so many points that never expire; their number.
CREATE FUNCTION pg_temp.member(merchant bigint, program text, name text, points text DEFAULT '0', phone text DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	id CONSTANT bigint := loyalty.seller_member_create(merchant, program, name || '@correo.example', name, name, client_id => name, phone => phone) ->> 'id';
BEGIN
	IF points::numeric > 0 THEN
		PERFORM loyalty.post(merchant, id, 'deposit', points::loyalty.points);
	END IF;
	RETURN id;
END
$$;
-- Entries are named by their place in the account here.
CREATE FUNCTION pg_temp.entry(account bigint, no bigint) RETURNS bigint LANGUAGE sql AS
'SELECT e.entry_id FROM loyalty.entry e WHERE e.account_id = account AND e.entry_no = no';
-- What the members have, by name; those of one account are joined by +.
CREATE FUNCTION pg_temp.pools(merchant bigint) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(format('%s %s', names, balance), ', ' ORDER BY names)
	FROM (SELECT string_agg(client_id, '+' ORDER BY client_id) AS names, balance FROM loyalty.members WHERE merchant_id = merchant GROUP BY account_id, balance) x
$$;
-- Each entry from that place on, with who acted.
CREATE FUNCTION pg_temp.acted(account bigint, from_no bigint DEFAULT 1) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(concat_ws(' ', e.kind, e.amount, coalesce(m.client_id, '-')), ', ' ORDER BY e.entry_no)
	FROM loyalty.entries e LEFT JOIN loyalty_internal.member m USING (merchant_id, member_id) WHERE e.account_id = account AND e.entry_no >= from_no
$$;
CREATE FUNCTION pg_temp.lots(merchant bigint, account bigint) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(concat_ws(' ', (expires_at AT TIME ZONE 'UTC')::date, points), ', ' ORDER BY expires_at NULLS LAST) FROM loyalty.lots_of(merchant, account)
$$;

SELECT pg_temp.member(:m, 'P', 'A', '100', '5512340001') AS a, pg_temp.member(:m, 'P', 'B', '0', '5512340002') AS b, pg_temp.member(:m, 'P', 'C', '7', '5512340003') AS c, pg_temp.member(:m, 'P', 'D') AS d,
	pg_temp.member(:m, 'Q', 'X', '5') AS x, pg_temp.member(:other, 'P', 'Y', '5') AS y \gset

-- --- joining ---------------------------------------------------------------------------------

-- Points travel with their dates, what is past its date does not.
SELECT entry_id FROM loyalty.post(:m, :a, 'deposit', 20, expires_at => '2200-01-01T00:00Z') \g /dev/null
SELECT entry_id FROM loyalty.post(:m, :b, 'deposit', 30, expires_at => '2190-01-01T00:00Z') \g /dev/null
SELECT entry_id FROM loyalty.post(:m, :b, 'deposit', 40, expires_at => '2210-01-01T00:00Z') \g /dev/null
SELECT entry_id FROM loyalty.post(:m, :b, 'deposit', 50) \g /dev/null
SELECT entry_id FROM loyalty.post(:m, :b, 'deposit', 60, expires_at => clock_timestamp() + interval '1 hour') \g /dev/null
COPY (SELECT extract(epoch FROM due_at - clock_timestamp()) FROM loyalty_internal.account WHERE account_id = :b) TO PROGRAM '../advance_clock';
SELECT is(loyalty.share_account(:m, :b, :a), :a::bigint, 'joining tells the account');
SELECT is(pg_temp.pools(:m), 'A+B 240, C 7, D 0, X 5', 'which has the points of both');
SELECT is(pg_temp.lots(:m, :a), '2190-01-01 30, 2200-01-01 20, 2210-01-01 40, 150', 'with the dates that they had');
SELECT is(pg_temp.acted(:b), 'deposit 30 -, deposit 40 -, deposit 50 -, deposit 60 -, expire -60 -, transfer -120 -', 'the account that was left keeps its entries');
SELECT is(pg_temp.acted(:a), 'deposit 100 -, deposit 20 -, transfer 120 -', 'the other has one more');
SELECT is((SELECT peer_account_id FROM loyalty.entry WHERE account_id = :a AND entry_no = 3), :b::bigint, 'which says where from');
SELECT is(loyalty.share_account(:m, :b, :a), :a::bigint, 'joining again');
SELECT is(loyalty.share_account(:m, :a, :b), :a::bigint, 'or the other way round');
SELECT is(loyalty.share_account(:m, :a, :a), :a::bigint, 'or oneself');
SELECT is((SELECT entry_no FROM loyalty_internal.account WHERE account_id = :a), 3::bigint, 'posts nothing');
SELECT is(loyalty.share_account(:m, :d, :b), :a::bigint, 'who joins a guest joins the account, without points too');
SELECT is(pg_temp.pools(:m), 'A+B+D 240, C 7, X 5', 'three share it');
SELECT is((SELECT entry_no FROM loyalty_internal.account WHERE account_id = :a), 3::bigint, 'no points, no entry');

-- Every way to ask has the same answer.
SELECT results_eq(format('SELECT loyalty.seller_member_balance(%s, ''P'', id) ->> ''balance'' FROM unnest(ARRAY[''A'', ''B'', ''D'']) id', :m), $$VALUES ('240'), ('240'), ('240')$$, 'the seller API''s');
SELECT results_eq(format('SELECT contact_phone::text, contact_balance::text FROM loyalty.wallet_contact_get(%s, %L) ORDER BY 1', :m, :'wallet_key'), $$VALUES ('5512340001', '240'), ('5512340002', '240'), ('5512340003', '7')$$, 'the wallet''s');

-- --- who acted --------------------------------------------------------------------------------

SELECT loyalty.wallet_sale(:m, :'wallet_key', phone, type, 50, 2, :staff, 'ticket') FROM (VALUES ('5512340001', 0), ('5512340002', 0), ('5512340001', 1), ('5512340002', 1)) v (phone, type) \g /dev/null
SELECT is(pg_temp.acted(:a, 4), 'accrue 5 -, accrue 5 B, redeem -2 -, redeem -2 B', 'sales of the wallet name the guest, and not the owner of the account');
SELECT loyalty.wallet_balance_update(:m, :'wallet_key', '5512340002', type, 3, :staff) FROM unnest(ARRAY[0, 1]) type \g /dev/null
SELECT is(pg_temp.acted(:a, 8), 'adjust 3 B, adjust -3 B', 'corrections too');
SELECT loyalty.seller_deposit(:m, '[{"programId":"P","memberId":"B","amount":1,"comments":"x"},{"programId":"P","memberId":"A","amount":1,"comments":"x"},{"programId":"P","memberId":"D","amount":1,"comments":"x"}]') \g /dev/null
SELECT is(pg_temp.acted(:a, 10), 'deposit 1 B, deposit 1 -, deposit 1 D', 'a batch of the seller API');
SELECT loyalty.seller_redemption(:m, '[{"programId":"P","memberId":"D","amount":1,"amountCurrency":1,"comments":"x"}]') \g /dev/null
SELECT loyalty.seller_accumulation(:m, '[{"programId":"P","memberId":"B","amount":10,"comments":"x"}]') \g /dev/null
SELECT is(pg_temp.acted(:a, 13), 'redeem -1 D, accrue 1 B', 'its redemptions and sales');
SELECT entry_id FROM loyalty.post(:m, :a, 'redeem', 1, 'de D', member_id => :d) \g /dev/null
SELECT entry_id AS hold FROM loyalty.hold(:m, :a, 4, reference => 'de B', member_id => :b) \gset
SELECT entry_id FROM loyalty.capture(:m, :a, :hold, 1, 'de nadie') \g /dev/null
SELECT entry_id FROM loyalty.release(:m, :a, :hold, reference => 'de nadie', in_full => true) \g /dev/null
SELECT entry_id FROM loyalty.transfer(:m, :a, :c, 1, 'de B', member_id => :b) \g /dev/null
SELECT is(pg_temp.acted(:a, 15), 'redeem -1 D, hold -4 B, capture 0 -, release 3 -, transfer -1 B', 'the engine says who it is told');
SELECT is(pg_temp.pools(:m), 'A+B+D 246, C 8, X 5', 'all of it is one balance');
-- The salt of each text of theirs is made of the key of who acted, and of that of the account on the other side.
CREATE FUNCTION pg_temp.broken(merchant bigint, who bigint) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	broken text[];
BEGIN
	BEGIN
		UPDATE loyalty_internal.account SET text_key = gen_random_uuid() WHERE account_id = who;
		SELECT array_agg(coalesce(m.client_id, '-') ORDER BY e.entry_no) INTO broken FROM loyalty.verify(merchant) v
		JOIN loyalty.entry e ON e.entry_id = v.entry_id LEFT JOIN loyalty_internal.member m USING (member_id)
		WHERE v.invariant = 'an entry has the hash of what it says and of the entry before';
		RAISE EXCEPTION USING ERRCODE = 'LYZZZ';
	EXCEPTION WHEN SQLSTATE 'LYZZZ' THEN
		RETURN QUERY SELECT unnest(broken);
	END;
END
$$;
SELECT is_empty(format('SELECT * FROM loyalty.verify(%s)', :m), 'with texts of each of them');
SELECT bag_eq(format('SELECT pg_temp.broken(%s, %s)', :m, who), format('SELECT coalesce(m.client_id, ''-'') FROM loyalty.entry e LEFT JOIN loyalty_internal.member m USING (member_id) WHERE e.merchant_id = %s AND (e.reference IS NOT NULL OR e.detail IS NOT NULL) AND %s IN (coalesce(e.member_id, (SELECT o.member_id FROM loyalty.entry o WHERE o.entry_id = e.origin_entry_id), e.account_id), e.peer_account_id)', :m, who),
	format('without the key of %s its texts are lost, and no others', name)) FROM (VALUES ('the owner', :a), ('B', :b), ('C', :c), ('D', :d)) v (name, who);
SELECT results_eq(format('SELECT count(*) FROM loyalty.entry WHERE account_id = %s AND (reference IS NOT NULL OR detail IS NOT NULL) GROUP BY member_id ORDER BY 1', :a), 'VALUES (3::bigint), (5), (6)', 'each has some');

-- The statement of docs/engine.md that sums, as it stands there: each account once.
\set documented `sed -n '/^SELECT p.client_id, loyalty.sum(b.balance)/,/;$/p' ../../docs/engine.md | sed 's/:merchant/$1/; s/;$//'`
CREATE FUNCTION pg_temp.sums(merchant bigint, statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format('SELECT concat_ws('' '', client_id, points, held, pending) FROM (%s) x', statement) USING merchant;
END
$$;
SELECT is((SELECT string_agg(s, ', ' ORDER BY s) FROM pg_temp.sums(:m, :'documented') s), 'P 254 0 0, Q 5 0 0', 'the statement of docs/engine.md counts a shared account once');
SELECT is((SELECT loyalty.sum(balance)::numeric FROM loyalty.members WHERE merchant_id = :m), 254.0 + 5 + 2 * 246, 'members have it once each');
SELECT is((SELECT loyalty.sum(amount) FROM loyalty.entries WHERE merchant_id = :m)::text, '259', 'and entries come to the first');
SELECT is((SELECT string_agg(s.kind || ' ' || coalesce(s.member_id = :b, false), ', ' ORDER BY s.entry_no DESC) FROM loyalty.statement(:m, :a, pg_temp.entry(:a, 11), 3) s), 'deposit true, adjust true, adjust true', 'statements show it');

-- --- limits -------------------------------------------------------------------------------------

-- What comes of a redemption by that member.
CREATE FUNCTION pg_temp.spends(merchant bigint, wallet_key text, phone text, points text, staff bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	code text;
BEGIN
	RETURN loyalty.wallet_sale(merchant, wallet_key, phone, 1, NULL, points::numeric, staff);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = PG_EXCEPTION_DETAIL;
	RETURN code;
END
$$;
SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'member', 'spend', 20, NULL) \g /dev/null
SELECT is(pg_temp.spends(:m, :'wallet_key', phone, points, :staff), expected, format('%s spends %s: %s', who, points, expected))
FROM (VALUES ('A', '5512340001', '15', '231'), ('A', '5512340001', '6', 'limit_exceeded'), ('B', '5512340002', '20', '211'), ('B', '5512340002', '1', 'limit_exceeded'), ('A', '5512340001', '5', '206'), ('A', '5512340001', '1', 'limit_exceeded'),
	('C', '5512340003', '8', '0')) v (who, phone, points, expected);
SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'member', 'spend', 50, NULL, :b) \g /dev/null
SELECT is(pg_temp.spends(:m, :'wallet_key', phone, points, :staff), expected, format('with a limit for B, %s spends %s: %s', who, points, expected))
FROM (VALUES ('A', '5512340001', '1', 'limit_exceeded'), ('B', '5512340002', '30', '176'), ('B', '5512340002', '1', 'limit_exceeded')) v (who, phone, points, expected);
SELECT is((SELECT string_agg(concat_ws(' ', m.client_id, a.points_used, a.points_left), ', ' ORDER BY m.client_id) FROM loyalty.allowances a JOIN loyalty_internal.member m ON m.member_id = a.subject_id), 'A 20 0, B 50 0, C 8 12', 'each has used their own');

-- Taking points along is spending them, and so is bringing more of them.
SELECT pg_temp.refuses(format('SELECT loyalty.leave_account(%s, %s, 1)', :m, :b), 'limit_exceeded', 'who has spent all may take nothing along');
SELECT pg_temp.refuses(format('SELECT loyalty.leave_account(%s, %s, 21)', :m, :d), 'limit_exceeded', 'nor anybody more than they may spend');
SELECT pg_temp.member(:m, 'P', 'E', '21') AS e \gset
SELECT pg_temp.refuses(format('SELECT loyalty.share_account(%s, %s, %s)', :m, :e, :a), 'limit_exceeded', 'a limit on what goes out holds who joins');
SELECT loyalty.leave_account(:m, :d, 20) AS d_account \gset
SELECT is((SELECT concat_ws(' ', a.points_used, a.points_left) FROM loyalty.allowances a WHERE a.subject_id = :d), '20 0', 'it is counted for who leaves');
SELECT loyalty.remove_limit(:m, loyalty.find_program(:m, 'P'), 'member', 'spend'), loyalty.remove_limit(:m, loyalty.find_program(:m, 'P'), 'member', 'spend', :b) \g /dev/null

-- --- leaving -------------------------------------------------------------------------------------

SELECT is(pg_temp.pools(:m), 'A+B 156, C 0, D 20, E 21, X 5', 'who left has what they took');
SELECT is(pg_temp.lots(:m, :d_account), '2210-01-01 9, 11', 'those that expire first');
SELECT is(pg_temp.lots(:m, :a), '156', 'and the others what is left');
SELECT is(pg_temp.acted(:d_account), 'transfer 20 D', 'the first entry of an account of their own');
SELECT loyalty.leave_account(:m, :b) AS b_account \gset
SELECT is(pg_temp.pools(:m), 'A 156, B 0, C 0, D 20, E 21, X 5', 'by default that is nothing');
SELECT is(:b_account::bigint, :b::bigint, 'it is the account that they had');
SELECT is((SELECT entry_no FROM loyalty_internal.account WHERE account_id = :b_account), 6::bigint, 'with its entries');
SELECT is(loyalty.wallet_sale(:m, :'wallet_key', '5512340002', 0, 100, NULL, :staff)::text, '10', 'to which sales go from then on');
SELECT is(loyalty.share_account(:m, :b, :d), :d_account::bigint, 'who left may join another');
SELECT is(pg_temp.acted(:b_account, 7), 'accrue 10 -, transfer -10 -', 'with what there is by then');
SELECT pg_temp.refuses(format('SELECT loyalty.%s', call), 'account_moved', call || ': not while another account is shared') FROM (VALUES
	(format('post(%s, %s, ''deposit'', 1)', :m, :b_account)), (format('post(%s, %s, ''redeem'', 1)', :m, :b_account)), (format('hold(%s, %s, 1)', :m, :b_account)),
	(format('reverse(%s, %s, %s, reference => ''r'', in_full => true)', :m, :b_account, pg_temp.entry(:b_account, 1))), (format('transfer(%s, %s, %s, 1)', :m, :b_account, :d_account)), (format('transfer(%s, %s, %s, 1)', :m, :d_account, :b_account))) v (call);
SELECT is(loyalty.share_account(:m, :a, :d), :d_account::bigint, 'so may who was left alone');
SELECT is(pg_temp.pools(:m), 'A+B+D 186, C 0, E 21, X 5', 'with all that remained');
SELECT is(loyalty.leave_account(:m, :d, 186) IN (:a, :b, :b_account, :d, :d_account), false, 'the owner may leave too, with everything');
SELECT is(pg_temp.pools(:m), 'A+B 0, C 0, D 186, E 21, X 5', 'and the others keep the account');

-- --- refusals --------------------------------------------------------------------------------------

SELECT pg_temp.refuses(format('SELECT loyalty.share_account(%s)', arguments), code, format('share_account: %s', what)) FROM (VALUES
	(format('%s, 1, %s', :m, :e), 'unknown_object', 'no such member'), (format('%s, %s, 1', :m, :e), 'unknown_object', 'no such host'), (format('%s, %s, %s', :m, :e, :y), 'unknown_object', 'a host of another merchant'),
	(format('%s, %s, %s', :other, :e, :a), 'unknown_object', 'another merchant''s members'), (format('%s, NULL, %s', :m, :a), 'unknown_object', 'nobody'), (format('%s, %s, NULL', :m, :a), 'unknown_object', 'with nobody'), (format('NULL, %s, %s', :e, :a), 'unknown_object', 'of no merchant'),
	(format('%s, %s, %s', :m, :x, :a), 'different_programs', 'a member of another program'), (format('%s, %s, %s', :m, :a, :e), 'invalid_argument', 'others share the account')) v (arguments, code, what);
SELECT pg_temp.refuses(format('SELECT loyalty.leave_account(%s)', arguments), code, format('leave_account: %s', what)) FROM (VALUES
	(format('%s, 1', :m), 'unknown_object', 'no such member'), (format('%s, %s', :other, :a), 'unknown_object', 'of another merchant'), (format('%s, NULL', :m), 'unknown_object', 'nobody'), (format('NULL, %s', :a), 'unknown_object', 'of no merchant'),
	(format('%s, %s', :m, :e), 'invalid_argument', 'the account is shared with nobody'), (format('%s, %s, -1', :m, :a), 'invalid_argument', 'a negative amount'), (format('%s, %s, NULL', :m, :a), 'invalid_argument', 'no amount'),
	(format('%s, %s, ''0.0001''', :m, :a), 'insufficient_points', 'more than there is')) v (arguments, code, what);
SELECT loyalty.disable_member(:m, member_id) FROM loyalty.members WHERE merchant_id = :m AND phone OPERATOR(loyalty.=) '5512340003' \g /dev/null
SELECT pg_temp.refuses(format('SELECT loyalty.share_account(%s, %s, %s)', :m, who, whom), 'unknown_object', 'who was taken out neither joins nor is joined') FROM (VALUES (:c, :e), (:e, :c)) v (who, whom);

-- What is open would be lost sight of.
SELECT entry_id AS hold FROM loyalty.hold(:m, :e, 21) \gset
SELECT pg_temp.refuses(format('SELECT loyalty.share_account(%s, %s, %s)', :m, :e, :a), 'invalid_argument', 'held points');
SELECT entry_id FROM loyalty.release(:m, :e, :hold, in_full => true) \g /dev/null
SELECT entry_id AS pending FROM loyalty.post(:m, :e, 'deposit', 3, available_at => now() + interval '1 day') \gset
SELECT pg_temp.refuses(format('SELECT loyalty.share_account(%s, %s, %s)', :m, :e, :a), 'invalid_argument', 'pending points');
SELECT entry_id FROM loyalty.reverse(:m, :e, :pending, reference => 'R1', in_full => true) \g /dev/null
SELECT entry_id FROM loyalty.post(:m, :e, 'redeem', 20) \g /dev/null
SELECT entry_id FROM loyalty.reverse(:m, :e, pg_temp.entry(:e, 1), reference => 'R2', in_full => true) \g /dev/null
SELECT is(pg_temp.pools(:m), 'A+B 0, C 0, D 186, E -20, X 5', 'a refund of what was spent leaves a debt');
SELECT pg_temp.refuses(format('SELECT loyalty.share_account(%s, %s, %s)', :m, :e, :a), 'invalid_argument', 'a debt');
SELECT is(pg_temp.pools(:m), 'A+B 0, C 0, D 186, E -20, X 5', 'nothing came of all these');
SELECT is(loyalty.share_account(:m, :d, :e), :e::bigint, 'but one may join who has a debt');
SELECT is(pg_temp.pools(:m), 'A+B 0, C 0, D+E 166, X 5', 'and pay it');
SELECT entry_id FROM loyalty.hold(:m, :e, 100) \g /dev/null
SELECT pg_temp.refuses(format('SELECT loyalty.leave_account(%s, %s, 67)', :m, :d), 'insufficient_points', 'held points cannot be taken along');
SELECT lives_ok(format('SELECT loyalty.leave_account(%s, %s, 66)', :m, :d), 'the others can');

-- A hold that timed out is booked before anybody joins.
SELECT pg_temp.member(:m, 'P', 'F', '10') AS f \gset
SELECT entry_id FROM loyalty.hold(:m, :f, 10, release_at => clock_timestamp() + interval '1 hour') \g /dev/null
COPY (SELECT extract(epoch FROM due_at - clock_timestamp()) FROM loyalty_internal.account WHERE account_id = :f) TO PROGRAM '../advance_clock';
SELECT is(loyalty.share_account(:m, :f, :a), :d_account::bigint, 'points of a hold that timed out are no longer held');
SELECT is(pg_temp.pools(:m), 'A+B+F 10, C 0, D 66, E 0, X 5', 'and go along');

-- --- who is left alone -----------------------------------------------------------------------------

SELECT pg_temp.member(:m, 'P', 'G') AS g, pg_temp.member(:m, 'P', 'H') AS h, pg_temp.member(:m, 'P', 'I') AS i \gset
CREATE FUNCTION pg_temp.has(merchant bigint, who text) RETURNS text LANGUAGE sql AS
'SELECT concat_ws('' '', account_id, balance) FROM loyalty.members WHERE merchant_id = merchant AND client_id = who';
SELECT entry_id AS old FROM loyalty.post(:m, :h, 'accrue', 10, money => 100) \gset
SELECT loyalty.share_account(:m, :h, :g) \g /dev/null
SELECT entry_id AS bought FROM loyalty.post(:m, :g, 'accrue', 5, money => 50, member_id => :h) \gset
SELECT loyalty.disable_member(:m, :g) \g /dev/null
SELECT entry_id AS hold FROM loyalty.hold(:m, :g, 1, member_id => :h) \gset
SELECT pg_temp.refuses(format('SELECT loyalty.leave_account(%s, %s)', :m, :h), 'invalid_argument', 'who is left alone does not leave held points behind');
SELECT is(pg_temp.has(:m, 'H'), concat_ws(' ', :g, 14), 'and stays there, with what is not held');
SELECT entry_id FROM loyalty.release(:m, :g, :hold, in_full => true) \g /dev/null
SELECT is(loyalty.leave_account(:m, :h), :h::bigint, 'then they have the old account back');
SELECT is(pg_temp.has(:m, 'H'), concat_ws(' ', :h, 15), 'with all that was there');
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, ''deposit'', 1)', :m, :g), 'account_moved', 'nothing is lost in the one that was left');
SELECT is((SELECT balance::text FROM loyalty.reverse(:m, :h, :old, reference => 'H1', in_full => true)), '5', 'what was bought before is refunded');
SELECT is(loyalty.leave_account(:m, :h), :g::bigint, 'and they can go back');
SELECT is((SELECT balance::text FROM loyalty.reverse(:m, :g, :bought, reference => 'H2', in_full => true)), '0', 'to refund what was bought there');
SELECT entry_id FROM loyalty.post(:m, :g, 'deposit', 3) \g /dev/null
SELECT is(loyalty.share_account(:m, :h, :i), :i::bigint, 'from there they may join a third');
SELECT is(concat_ws(' ', loyalty.leave_account(:m, :h, 2), loyalty.leave_account(:m, :h), pg_temp.has(:m, 'H')), concat_ws(' ', :g, :h, :h, 2), 'and still have each of theirs back');
SELECT is(pg_temp.has(:m, 'I') || ' ' || (SELECT active FROM loyalty.members WHERE member_id = :g), concat_ws(' ', :i, '1 false'), 'others have what is theirs');
SELECT pg_temp.refuses(format('SELECT loyalty.leave_account(%s, %s)', :m, who), 'invalid_argument', 'who has one account does not leave it') FROM (VALUES (:i), (:g)) v (who);

SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');

SELECT * FROM finish();
ROLLBACK;
