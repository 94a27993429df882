-- People who leave, come back, get the number of somebody else, and are
-- corrected.  Two at once are in iso_registration.spec and
-- iso_archive_member.spec, over HTTP it is in 60_seller.pl.
SET datestyle = 'ISO';
-- Erasing has to see what was committed meanwhile.
SET default_transaction_isolation = 'read committed';
\ir ../tap.sql

SELECT loyalty.create_merchant('Uno') AS m \gset
SELECT loyalty.create_merchant('Dos') AS other \gset
SELECT program_id AS p, wallet_key FROM loyalty.create_wallet(:m, 'Monedero', settings => json_build_object('messages', '{}'::text[])) \gset
SELECT loyalty.configure_program(:m, loyalty.find_program(:m, wallet_key => :'wallet_key'), json_build_object('name', 'Monedero')) \g /dev/null
SELECT client_id AS program FROM loyalty.programs WHERE program_id = :p \gset
SELECT loyalty.employee_add(:m, 'cajero', 'Caja', 'Centro', '4771000001', 'secreto') AS staff \gset

-- --- names ---------------------------------------------------------------------------------------

SELECT is(loyalty_internal.fold_name(a), loyalty_internal.fold_name(b), format('%s is %s', a, b)) FROM (VALUES
	('JOSÉ NÚÑEZ', 'jose nunez'), ('José', E'Jose\u0301'), ('  Ana   María ', 'ana maría'), (E'Ana\u00a0Ruiz', 'ANA RUIZ'), (E'Ana\tRuiz', 'ana ruiz'), ('Ñandú', 'ÑANDÚ'), ('Müller', 'MULLER'),
	('ÇELİK', 'celik'), ('ØRSTED ŁUKASZ', 'ørsted łukasz'), ('ＡＮＡ', 'ana'), ('', '   ')) v (a, b);
SELECT isnt(loyalty_internal.fold_name(a), loyalty_internal.fold_name(b), format('%s is not %s', a, b)) FROM (VALUES
	('Ana Ruiz', 'AnaRuiz'), ('Ana', 'Anna'), ('Ana Ruiz', 'Ruiz Ana'), ('Ana', ''), ('李明', '王明'), ('José', 'Josep')) v (a, b);
SELECT is(loyalty_internal.fold_name(NULL), NULL, 'no name is none');

-- --- who is the same person ------------------------------------------------------------------------

-- Somebody with 100 points, who has left; what is registered with their phone
-- then, and what has become of both: their name and points, active or not, of
-- those who have the phone, or had it.
CREATE FUNCTION pg_temp.again(left_as text, registered text, by_seller boolean DEFAULT false) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	merchant CONSTANT bigint := (SELECT merchant_id FROM loyalty_internal.merchant WHERE name = 'Uno');
	program record;
	id bigint;
	left_ text[] := string_to_array(left_as, '|');
	now_ text[] := string_to_array(registered, '|');
	result text;
BEGIN
	SELECT * INTO program FROM loyalty.create_wallet(merchant, 'Una', settings => json_build_object('messages', '{}'::text[]));
	id := loyalty.wallet_contact_add(merchant, program.wallet_key, '5512340001', left_[1], 1, left_[2]);
	IF left_[3] <> '' THEN
		PERFORM loyalty.identify_member(merchant, id, email => left_[3]);
	END IF;
	PERFORM loyalty.post(merchant, id, 'deposit', '100');
	PERFORM loyalty.disable_member(merchant, id);
	IF by_seller THEN
		PERFORM loyalty.seller_member_create(merchant, program.client_id, now_[3], split_part(now_[1], ' ', 1), split_part(now_[1], ' ', 2), birth_date => now_[2], phone => '5512340001');
	ELSE
		PERFORM loyalty.wallet_contact_add(merchant, program.wallet_key, '5512340001', now_[1], 1, now_[2]);
	END IF;
	SELECT string_agg(concat_ws(' ', CASE WHEN m.member_id = id THEN 'same' ELSE 'new' END, m.name, m.balance, m.birth_date, m.email, m.phone, CASE WHEN NOT m.active THEN 'left' END), ', ' ORDER BY m.member_id)
	INTO result FROM loyalty.members m WHERE m.program_id = program.program_id;
	RETURN result;
END
$$;
SELECT is(pg_temp.again(was, now), becomes, format('wallet: %s, then %s', was, now)) FROM (VALUES
	('Ana Ruiz||', 'Ana Ruiz||', 'same Ana Ruiz 100 5512340001'),
	('Ana Ruíz||', 'ANA RUIZ||', 'same ANA RUIZ 100 5512340001'),
	('Ana Ruiz||', 'Beto Otro||', 'same Ana Ruiz 100 left, new Beto Otro 0 5512340001'),
	('Ana Ruiz||', 'Beto Otro|1990-01-31|', 'same Ana Ruiz 100 left, new Beto Otro 0 1990-01-31 5512340001'),
	('Ana Ruiz|1970-01-01|', 'Beto Otro||', 'same Ana Ruiz 100 1970-01-01 left, new Beto Otro 0 5512340001'),
	('Ana Ruiz|1970-01-01|', 'Ana Ruiz||', 'same Ana Ruiz 100 1970-01-01 5512340001'),
	('Ana Ruiz||', 'Ana Ruiz|1970-01-01|', 'same Ana Ruiz 100 1970-01-01 5512340001'),
	('Ana Ruiz|1970-01-01|', 'Ana Ruiz|1990-01-31|', 'same Ana Ruiz 100 1970-01-01 left, new Ana Ruiz 0 1990-01-31 5512340001'),
	('Ana Ruiz|1970-01-01|', 'Ana de López|1970-01-01|', 'same Ana de López 100 1970-01-01 5512340001'),
	('Ana Ruiz||ana@x.mx', 'Ana Ruiz||', 'same Ana Ruiz 100 ana@x.mx 5512340001'),
	('Ana Ruiz||ana@x.mx', 'Beto||', 'same Ana Ruiz 100 ana@x.mx left, new Beto 0 5512340001')) v (was, now, becomes);
SELECT is(pg_temp.again(was, now, true), becomes, format('seller: %s, then %s', was, now)) FROM (VALUES
	('Ana Ruiz||', 'Ana Ruiz||ana@x.mx', 'same Ana Ruiz 100 ana@x.mx 5512340001'),
	('Ana Ruiz||ana@x.mx', 'Beto Otro||ANA@x.mx', 'same Beto Otro 100 ana@x.mx 5512340001'),
	('Ana Ruiz||ana@x.mx', 'Ana Ruiz||otra@x.mx', 'same Ana Ruiz 100 ana@x.mx left, new Ana Ruiz 0 otra@x.mx 5512340001'),
	('Ana Ruiz|1970-01-01|ana@x.mx', 'Ana Ruiz|1970-01-01|otra@x.mx', 'same Ana Ruiz 100 1970-01-01 otra@x.mx 5512340001'),
	('Ana Ruiz|1970-01-01|ana@x.mx', 'Ana Ruiz|1990-01-31|ana@x.mx', 'same Ana Ruiz 100 1990-01-31 ana@x.mx 5512340001'),
	('Ana Ruiz|1970-01-01|', 'Beto Otro||beto@x.mx', 'same Ana Ruiz 100 1970-01-01 left, new Beto Otro 0 beto@x.mx 5512340001')) v (was, now, becomes);

-- Both APIs say one name: parts that are of another are gone.
SELECT (loyalty.seller_member_create(:m, :'program', 'zoe@x.mx', 'Zoé', 'Paz', 'Gil', birth_date => '1970-01-01', client_id => 'ZOE', phone => '5512349001') ->> 'id')::bigint AS zoe \gset
SELECT loyalty.disable_member(:m, :zoe) \g /dev/null
SELECT is(loyalty.wallet_contact_add(:m, :'wallet_key', '5512349001', 'zoe paz gil', :staff), :zoe::bigint, 'the name as the wallet has it');
SELECT results_eq(format('SELECT name, first_name, first_last_name, second_last_name, client_id, email FROM loyalty.members WHERE member_id = %s', :zoe), $$VALUES ('Zoé Paz Gil', 'Zoé', 'Paz', 'Gil', 'ZOE' COLLATE "C", 'zoe@x.mx' COLLATE "C")$$, 'leaves its parts');
SELECT loyalty.disable_member(:m, :zoe) \g /dev/null
SELECT is(loyalty.wallet_contact_add(:m, :'wallet_key', '5512349001', 'Zoé Gil de Paz', :staff, '1970-01-01'), :zoe::bigint, 'another name, by the birth date');
SELECT results_eq(format('SELECT name, first_name, first_last_name, second_last_name FROM loyalty.members WHERE member_id = %s', :zoe), $$VALUES ('Zoé Gil de Paz', '', '', '')$$, 'has no parts');
SELECT is(loyalty.seller_member_get(:m, :'program', 'ZOE') ->> 'firstName', 'Zoé Gil de Paz', 'in the seller API either');

-- --- by what else the seller registers --------------------------------------------------------------

SELECT (loyalty.seller_member_create(:m, :'program', 'eva@x.mx', 'Eva', 'Sol', client_id => 'EVA', phone => '5512349002', address => '[{"street":"Uno"},{"street":"Dos"}]') ->> 'id')::bigint AS eva \gset
SELECT (loyalty.seller_member_create(:m, :'program', 'leo@x.mx', 'Leo', 'Mar', client_id => 'LEO', phone => '5512349003') ->> 'id')::bigint AS leo \gset
SELECT loyalty.post(:m, id, 'deposit', 10) FROM unnest(ARRAY[:eva, :leo]::bigint[]) id \g /dev/null
SELECT loyalty.disable_member(:m, :eva) \g /dev/null
SELECT pg_temp.refuses(format('SELECT loyalty.seller_member_get(%s, %L, ''EVA'')', :m, :'program'), 'member_not_found', 'who left is not found');
SELECT is(loyalty.seller_deposit(:m, format('[{"programId":"%s","memberId":"EVA","amount":1,"comments":"x"}]', :'program')::json) -> 0 ->> 'description', 'El miembro no existe en el programa', 'nor given points');
SELECT pg_temp.refuses(format('SELECT loyalty.seller_member_create(%s, %L, %L, ''Eva'', ''Sol'', client_id => %L, phone => %L)', :m, :'program', email, client_id, phone), 'member_exists', what) FROM (VALUES
	('eva@x.mx', NULL, '5512349003', 'with the phone of one who is here'), ('eva@x.mx', 'LEO', NULL, 'with the id of one who is here'), ('leo@x.mx', NULL, '5512349002', 'with the mail of one who is here'),
	('otra@x.mx', 'EVA', NULL, 'with the id of one who left, who has another mail')) v (email, client_id, phone, what);
SELECT results_eq(format('SELECT active, phone::text, client_id FROM loyalty.members WHERE member_id = %s', :eva), $$VALUES (false, '5512349002', 'EVA' COLLATE "C")$$, 'what was refused has changed nothing');
SELECT is((loyalty.seller_member_create(:m, :'program', 'EVA@x.mx', 'Eva', 'Sol', client_id => 'EVA2', phone => '5512349004', address => '[{"street":"Tres"}]') ->> 'id')::bigint, :eva::bigint, 'by mail, with a new id, phone and address');
SELECT is(loyalty.seller_member_get(:m, :'program', 'EVA2')::jsonb - 'id' - 'subscriptionDate' - 'address', '{"clientId":"EVA2","firstName":"Eva","firstLastName":"Sol","secondLastName":"","email":"eva@x.mx","birthDate":"","rank":{"name":""},"balance":10,"expiredAmount":0}', 'they have their points');
SELECT is((SELECT string_agg(street, ' ') FROM loyalty_internal.member_address WHERE member_id = :eva), 'Tres', 'and the new address');
SELECT loyalty.disable_member(:m, :leo) \g /dev/null
SELECT loyalty.disable_member(:m, :eva) \g /dev/null
SELECT is((loyalty.seller_member_create(:m, :'program', 'eva@x.mx', 'Eva', 'Sol', phone => '5512349003') ->> 'id')::bigint, :eva::bigint, 'two who left are in the way: who has the mail is it');
SELECT results_eq(format('SELECT client_id, phone::text, email, active, balance::text FROM loyalty.members WHERE member_id = %s', :leo), $$VALUES ('LEO' COLLATE "C", NULL, 'leo@x.mx' COLLATE "C", false, '10')$$, 'the other has everything but the phone');
SELECT is(loyalty.seller_deposit(:m, format('[{"programId":"%1$s","amount":5,"comments":"x","member":%2$s},{"programId":"%1$s","amount":6,"comments":"x","member":%2$s},{"programId":"%1$s","amount":7,"comments":"x","memberId":"LEO"}]', :'program',
	'{"email":"leo@x.mx","firstName":"Leo","firstLastName":"Mar","phone":"5512349009"}')::json)::jsonb #- '{0,transactionid}' #- '{1,transactionid}', format('[{"status":"success","description":"","programId":"%1$s","memberId":"LEO","totalPoints":15},{"status":"success","description":"","programId":"%1$s","memberId":"LEO","totalPoints":21},
	{"transactionid":"","status":"error","description":"El miembro no existe en el programa","programId":"%1$s","memberId":"LEO","totalPoints":0}]', :'program')::jsonb, 'a deposit with the member brings them back; who names them by id had none');
SELECT results_eq(format('SELECT phone::text, active FROM loyalty.members WHERE member_id = %s', :leo), $$VALUES ('5512349009', true)$$, 'with the phone that came along');
SELECT is((loyalty.seller_accumulation(:m, format('[{"programId":"%s","amount":5,"comments":"x","member":{"email":"b@x.mx","firstName":"Beto","firstLastName":"Otro","phone":"5512349002"}}]', :'program')::json) -> 0) ->> 'totalPoints', '0.5', 'a free number is anybody''s');

-- --- customers --------------------------------------------------------------------------------------

SELECT loyalty.create_customer(:m, loyalty.find_program(:m, :'program'), 'CAMC880526HMCBNR04', 'Carlos', 'Cabrera', 'Montes', '5512348001', 'carlos@x.mx', 'Hidalgo', user_name => 'carlos') AS carlos \gset
SELECT loyalty.post(:m, :carlos, 'deposit', 30) \g /dev/null
SELECT pg_temp.refuses(format('SELECT loyalty.create_customer(%s, loyalty.find_program(%1$s, %L), ''CAMC880526HMCBNR04'', ''Carlos'', ''Cabrera'')', :m, :'program'), 'already_exists', 'a customer is one');
SELECT loyalty.disable_member(:m, :carlos) \g /dev/null
SELECT is(loyalty.create_customer(:m, loyalty.find_program(:m, :'program'), 'CAMC880526HMCBNR04', 'Carlos', 'Cabrera', 'Montes'), :carlos::bigint, 'and comes back by the CURP');
SELECT results_eq(format('SELECT m.active, m.phone::text, m.email, m.balance::text, c.user_name, a.street FROM loyalty.members m JOIN loyalty_internal.customer c USING (member_id) JOIN loyalty_internal.member_address a USING (member_id) WHERE m.member_id = %s', :carlos),
	$$VALUES (true, '5512348001', 'carlos@x.mx' COLLATE "C", '30', 'carlos', 'Hidalgo')$$, 'with all that is not said anew');
SELECT loyalty.disable_member(:m, :carlos) \g /dev/null
SELECT isnt(loyalty.create_customer(:m, loyalty.find_program(:m, :'program'), 'CAPC200504HMCBXRA2', 'Carlos', 'Cabrera', 'Montes', phone => '5512348001'), :carlos::bigint, 'another CURP is another person, of whatever name');
SELECT pg_temp.refuses(format('SELECT loyalty.create_customer(%s, loyalty.find_program(%1$s, %L), ''REAE060617MMCYLVA4'', ''Carlos'', ''Cabrera'', ''Montes'', email => ''carlos@x.mx'')', :m, :'program'), 'already_exists', 'the mail stays who had it');
SELECT results_eq(format('SELECT m.phone::text, m.balance::text, c.curp::text FROM loyalty.members m JOIN loyalty_internal.customer c USING (member_id) WHERE m.member_id = %s', :carlos), $$VALUES (NULL, '30', 'CAMC880526HMCBNR04')$$, 'so do points and CURP');
SELECT loyalty.wallet_contact_add(:m, :'wallet_key', '5512348002', 'Eva Reyes', :staff) AS contact \gset
SELECT loyalty.disable_member(:m, :contact) \g /dev/null
SELECT is(loyalty.create_customer(:m, loyalty.find_program(:m, :'program'), 'REAE060617MMCYLVA4', 'EVA', 'REYES', phone => '5512348002'), :contact::bigint, 'a contact who left comes back as a customer');
SELECT loyalty.block_customer(:m, 'REAE060617MMCYLVA4') \g /dev/null
SELECT pg_temp.refuses(statement, code, 'who is cancelled does not come back: ' || code) FROM (VALUES
	(format('SELECT loyalty.wallet_contact_add(%s, %L, ''5512348002'', ''Eva Reyes'', %s)', :m, :'wallet_key', :staff), 'wallet_manager_12'),
	(format('SELECT loyalty.seller_member_create(%s, %L, ''nueva@x.mx'', ''Eva'', ''Reyes'', phone => ''5512348002'')', :m, :'program'), 'member_exists'),
	(format('SELECT loyalty.create_customer(%s, loyalty.find_program(%1$s, %L), ''REAE060617MMCYLVA4'', ''Eva'', ''Reyes'')', :m, :'program'), 'already_exists')) v (statement, code);
SELECT isnt(loyalty.wallet_contact_add(:m, :'wallet_key', '5512348002', 'Otra', :staff), :contact::bigint, 'but the number is free for others');
SELECT is(loyalty.delete_blocked_customers(:m, '0'), 1::bigint, 'they are deleted');
SELECT is_empty(format('SELECT FROM loyalty.member_changes WHERE member_id = %s', :contact), 'and with them what they were');

-- --- shared accounts ---------------------------------------------------------------------------------

SELECT loyalty.wallet_contact_add(:m, :'wallet_key', '551234700' || i, 'Familia ' || i, :staff) FROM generate_series(1, 3) i \g /dev/null
SELECT member_id AS f1 FROM loyalty.members WHERE name = 'Familia 1' \gset
SELECT member_id AS f2 FROM loyalty.members WHERE name = 'Familia 2' \gset
SELECT member_id AS f3 FROM loyalty.members WHERE name = 'Familia 3' \gset
SELECT loyalty.post(:m, :f1, 'deposit', 1000) \g /dev/null
SELECT loyalty.share_account(:m, id, :f1) FROM unnest(ARRAY[:f2, :f3]::bigint[]) id \g /dev/null
CREATE FUNCTION pg_temp.family() RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(concat_ws(' ', right(name, 1), balance, CASE WHEN NOT active THEN 'left' END), ', ' ORDER BY name) FROM loyalty.members WHERE name LIKE 'Familia _'
$$;
SELECT is(pg_temp.family(), '1 1000, 2 1000, 3 1000', 'three share');
SELECT loyalty.disable_member(:m, :f2) \g /dev/null
SELECT is(pg_temp.family(), '1 1000, 2 0 left, 3 1000', 'one is taken out, of what they shared too');
SELECT isnt(loyalty.wallet_contact_add(:m, :'wallet_key', '5512347002', 'Extraño', :staff), :f2::bigint, 'a stranger has the number');
SELECT results_eq(format('SELECT contact_name, contact_balance::text FROM loyalty.wallet_contact_get(%s, %L, ''5512347002'')', :m, :'wallet_key'), $$VALUES ('Extraño', '0')$$, 'and nothing else');
SELECT loyalty.disable_member(:m, :f3) \g /dev/null
SELECT is(loyalty.wallet_contact_add(:m, :'wallet_key', '5512347003', 'familia 3', :staff), :f3::bigint, 'who comes back');
SELECT is((SELECT balance::text FROM loyalty.members WHERE member_id = :f3), '0', 'does not share any more');
SELECT loyalty.share_account(:m, :f3, :f1) \g /dev/null
SELECT loyalty.disable_member(:m, :f1) \g /dev/null
SELECT results_eq(format('SELECT member_id, balance::text, account_id = %s FROM loyalty.members WHERE member_id IN (%1$s, %s) ORDER BY 2', :f1, :f3), format($$VALUES (%s::bigint, '0', false), (%s, '1000', true)$$, :f1, :f3), 'also the owner of the account is out of it');
SELECT loyalty.disable_member(:m, :f3) \g /dev/null
SELECT is((SELECT balance::text FROM loyalty.members WHERE member_id = :f3), '1000', 'the last one keeps what is there');
SELECT loyalty.wallet_contact_add(:m, :'wallet_key', '5512347003', 'Familia 3', :staff) \g /dev/null
SELECT loyalty.create_customer(:m, loyalty.find_program(:m, :'program'), 'REAE060617MMCYLVA4', 'Eva', 'Alva') AS customer \gset
SELECT loyalty.share_account(:m, :customer, :f3) \g /dev/null
SELECT loyalty.block_customer(:m, 'REAE060617MMCYLVA4') \g /dev/null
SELECT results_eq(format('SELECT active, balance::text FROM loyalty.members WHERE member_id = %s', :customer), $$VALUES (false, '0')$$, 'a cancellation ends it too');
SELECT is(loyalty.block_customer(:m, 'REAE060617MMCYLVA4'), false, 'twice is once');

-- --- corrections ---------------------------------------------------------------------------------------

SELECT loyalty.wallet_contact_add(:m, :'wallet_key', '5512346001', 'Lus Vega', :staff) AS luz \gset
SELECT is(loyalty.free_phone(merchant_id => :m, member_id => :luz), true, 'a phone is taken off');
SELECT is(loyalty.free_phone(:m, :luz), false, 'once');
SELECT pg_temp.refuses(format('SELECT * FROM loyalty.wallet_contact_get(%s, %L, ''5512346001'')', :m, :'wallet_key'), 'balance_get_04', 'nobody has it');
SELECT loyalty.identify_member(:m, :luz, email => 'luz@x.mx', client_id => 'CARD-1') \g /dev/null
SELECT loyalty.identify_member(:m, :luz, client_id => 'CARD-2') \g /dev/null
SELECT pg_temp.refuses(format('SELECT loyalty.correct_member(%s, %s, birth_date => ''1899-12-31'')', :m, :luz), 'invalid_argument', 'nobody who lives was born before 1900');
SELECT loyalty.correct_member(:m, :luz, name => 'Luz Vega', birth_date => '1980-02-29') \g /dev/null
SELECT loyalty.correct_member(:m, :luz, first_name => 'Luz', first_last_name => 'Vega', second_last_name => 'Díaz') \g /dev/null
SELECT loyalty.correct_member(:m, :luz, second_last_name => '', birth_date => '1980-02-28') \g /dev/null
SELECT loyalty.correct_member(:m, :luz) \g /dev/null
SELECT results_eq(format('SELECT name, first_name, first_last_name, second_last_name, birth_date FROM loyalty.members WHERE member_id = %s', :luz), $$VALUES ('Luz Vega', 'Luz', 'Vega', '', '1980-02-28'::date)$$, 'name and birth date are as they should be');
SELECT results_eq(format('SELECT was FROM loyalty.member_changes WHERE merchant_id = %s AND member_id = %s AND attribute = ''client_id'' ORDER BY change_id', :m, :luz),
	format('VALUES ((SELECT was FROM loyalty.member_changes WHERE member_id = %s AND was ~ ''^CM\d{13}$'')), (''CARD-1'')', :luz), 'a card that was replaced is not forgotten');
SELECT set_eq(format('SELECT attribute || '' '' || regexp_replace(was, ''CM\d+'', ''CM'') FROM loyalty.member_changes WHERE member_id = %s', :luz),
	ARRAY['phone 5512346001', 'client_id CM', 'client_id CARD-1', 'name Lus Vega', 'name Luz Vega', 'birth_date 1980-02-29', 'name Luz Vega Díaz'], 'nor anything else');
SELECT pg_temp.refuses(format('SELECT loyalty.correct_member(%s, %s)', who, arguments), code, format('correct_member: %s', arguments)) FROM (VALUES
	(format('%s, %s', :m, :luz), 'name => ''''', 'invalid_argument'), (format('%s, %s', :m, :luz), 'name => '' ''', 'invalid_argument'), (format('%s, %s', :m, :luz), 'name => ''A'', first_name => ''A''', 'invalid_argument'),
	(format('%s, %s', :m, :luz), 'first_name => ''''', 'invalid_argument'), (format('%s, %s', :m, :luz), 'birth_date => current_date + 2', 'invalid_argument'), (format('%s, %s', :m, :luz), 'birth_date => ''infinity''', 'invalid_argument'),
	(format('%s, %s', :m, :leo), 'first_name => '' ''', 'invalid_argument'), (format('%s, %s', :m, :carlos), 'birth_date => ''1988-05-27''', 'invalid_argument'), (format('%s, %s', :other, :luz), 'name => ''A''', 'unknown_object'),
	(format('%s, %s', :m, :luz), 'name => repeat(''x'', 100000)', 'invalid_argument'), (format('%s, %s', :m, :luz), 'name => repeat(''ñ'', 513)', 'invalid_argument'),
	(format('%s, %s', :m, :luz), 'second_last_name => repeat(''x'', 1025)', 'invalid_argument'), (format('%s, %s', :m, :luz), 'name => E''\u00a0\u3000\n''', 'invalid_argument'),
	(format('%s, %s', :m, :luz), 'birth_date => current_date + 1', 'invalid_argument'),
	(format('%s, NULL', :m), 'name => ''A''', 'unknown_object'), (format('NULL, %s', :luz), 'name => ''A''', 'unknown_object'), (format('%s, %s', :m, :contact), 'second_last_name => ''A''', 'invalid_argument')) v (who, arguments, code);
SELECT lives_ok(format('SELECT loyalty.correct_member(%s, %s, birth_date => ''1988-05-26'')', :m, :carlos), 'the birth date of the CURP is right');
SELECT pg_temp.refuses(format('SELECT loyalty.%s(%s)', f, arguments), 'unknown_object', format('%s: %s', f, what)) FROM unnest('{free_phone,free_email,enable_member,disable_member}'::text[]) f,
	(VALUES (format('%s, %s', :other, :luz), 'of another merchant'), (format('%s, 1', :m), 'nobody'), (format('%s, NULL::bigint', :m), 'NULL')) v (arguments, what);
SELECT pg_temp.refuses(format('SELECT loyalty.identify_member(%s, %s, %s => repeat(''x'', 1025))', :m, :luz, what), 'invalid_argument', 'identify_member: too long: ' || what) FROM unnest('{email,client_id}'::text[]) what;

-- An email is spelled as it was first, until it is told otherwise.
CREATE FUNCTION pg_temp.luz() RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws('|', name, email) FROM loyalty.members WHERE client_id = 'CARD-2'
$$;
SELECT loyalty.identify_member(:m, :luz, email => ' Luz@x.mx ') \g /dev/null
SELECT is(pg_temp.luz(), 'Luz Vega|Luz@x.mx', 'another spelling is taken from who identifies the member');
SELECT loyalty.disable_member(:m, :luz) \g /dev/null
SELECT loyalty.seller_member_create(:m, :'program', 'LUZ@X.MX', 'Luz', 'Vega') \g /dev/null
SELECT is(pg_temp.luz(), 'Luz Vega|Luz@x.mx', 'not from who registers them again');
SELECT is(loyalty.free_email(:m, :luz), true, 'an email is taken off');
SELECT is(loyalty.free_email(:m, :luz), false, 'once');
SELECT is(pg_temp.luz(), 'Luz Vega', 'and nothing else');
SELECT results_eq(format('SELECT was FROM loyalty.member_changes WHERE merchant_id = %s AND member_id = %s AND attribute = ''email'' ORDER BY change_id', :m, :luz), $$VALUES ('luz@x.mx' COLLATE "C"), ('Luz@x.mx')$$, 'what it was is known');
SELECT lives_ok(format('SELECT loyalty.identify_member(%s, %s, email => ''luz@x.mx'')', :m, member_id), 'somebody else can have it') FROM (SELECT loyalty.wallet_contact_add(:m, :'wallet_key', '5512346009', 'Otra', :staff)) c (member_id);
SELECT loyalty.free_email(:m, member_id) FROM loyalty.members WHERE merchant_id = :m AND phone OPERATOR(loyalty.=) '5512346009' \g /dev/null
SELECT loyalty.identify_member(:m, :luz, email => 'luz@x.mx') \g /dev/null

-- Names are kept without the blanks around them, whoever writes them.
SELECT loyalty.wallet_contact_add(:m, :'wallet_key', '5512346010', E'\t BETO  diaz \u00a0', :staff) AS beto \gset
SELECT (loyalty.seller_member_create(:m, :'program', 'b1@x.mx', ' Ana ', E'\u3000Ruiz\n', ' Paz ') ->> 'id')::bigint AS ana \gset
SELECT loyalty.seller_deposit(:m, format('[{"programId":"%s","amount":5,"comments":"x","member":{"email":"b2@x.mx","firstName":" Eva","firstLastName":"Gil ","secondLastName":" "}}]', :'program')::json) \g /dev/null
SELECT loyalty.create_customer(:m, loyalty.find_program(:m, :'program'), 'GOPR900101HMNMRS08', ' Raúl ', ' Gómez', '  ') AS raul \gset
SELECT is(concat_ws('|', name, first_name, first_last_name, second_last_name), found, 'a name without blanks: ' || found) FROM loyalty.members JOIN (VALUES
	(:beto, NULL, 'BETO  diaz|||'), (:ana, NULL, 'Ana Ruiz Paz|Ana|Ruiz|Paz'), (:raul, NULL, 'Raúl Gómez|Raúl|Gómez|'), (NULL, 'b2@x.mx', 'Eva Gil|Eva|Gil|')) v (id, mail, found) ON member_id = id OR email = mail;
SELECT loyalty.correct_member(:m, :beto, name => ' Beto Díaz ') \g /dev/null
SELECT loyalty.correct_member(:m, :ana, first_name => ' Anna ', second_last_name => ' ') \g /dev/null
SELECT is(string_agg(name, '|' ORDER BY name), 'Anna Ruiz|Beto Díaz', 'corrected ones too') FROM loyalty.members WHERE member_id IN (:beto, :ana);
SELECT loyalty.disable_member(:m, :beto) \g /dev/null
SELECT loyalty.wallet_contact_add(:m, :'wallet_key', '5512346010', ' BETO DIAZ ', :staff) \g /dev/null
SELECT is(name, 'BETO DIAZ', 'and those of who comes back') FROM loyalty.members WHERE member_id = :beto;

-- The day is that of the session.
SET timezone = 'Pacific/Kiritimati';
SELECT lives_ok(format('SELECT loyalty.correct_member(%s, %s, birth_date => CURRENT_DATE)', :m, :beto), 'who is born today, where it is the next day first');
SET timezone = 'Etc/GMT+12';
SELECT pg_temp.refuses(format('SELECT loyalty.correct_member(%s, %s, birth_date => CURRENT_DATE + 1)', :m, :beto), 'invalid_argument', 'and where it is so last');
RESET timezone;

SELECT is(loyalty.disable_member(merchant_id => :m, member_id => :luz), true, 'who has no phone can be taken out');
SELECT is(loyalty.disable_member(:m, :luz), false, 'once');
SELECT is((loyalty.seller_member_create(:m, :'program', 'luz@x.mx', 'Luz', 'Vega') ->> 'id')::bigint, :luz::bigint, 'and be registered again');

-- A number is given to somebody who is here already.
SELECT loyalty.identify_member(:m, :luz, phone => '5512346002') \g /dev/null
SELECT pg_temp.refuses(format('SELECT loyalty.identify_member(%s, %s, phone => ''5512346002'')', :m, :leo), 'already_exists', 'a phone of one who is here');
SELECT loyalty.disable_member(:m, :luz) \g /dev/null
SELECT lives_ok(format('SELECT loyalty.identify_member(%s, %s, phone => ''5512346002'')', :m, :leo), 'a phone of one who left');
SELECT results_eq(format('SELECT member_id, phone::text FROM loyalty.members WHERE member_id IN (%s, %s) ORDER BY phone', :leo, :luz), format($$VALUES (%s::bigint, '5512346002'), (%s, NULL)$$, :leo, :luz), 'is not theirs any more');
SELECT pg_temp.refuses(format('SELECT loyalty.identify_member(%s, %s, client_id => ''CARD-2'')', :m, :leo), 'already_exists', 'but the card is');

-- Who left is taken back as they are; nobody has to say who they are.
CREATE FUNCTION pg_temp.member(id bigint) RETURNS text LANGUAGE sql AS $$SELECT (m.phone, m.email, m.client_id, m.name, m.birth_date, m.account_id, m.balance, m.enrolled_by, m.subscribed_at)::text FROM loyalty.members m WHERE m.member_id = id$$;
SELECT loyalty.wallet_contact_add(:m, :'wallet_key', '5512346020', 'Paz Ríos', :staff, '1980-01-31') AS paz \gset
SELECT loyalty.identify_member(:m, :paz, email => 'paz@x.mx') \g /dev/null
SELECT loyalty.post(:m, :paz, 'deposit', 7) \g /dev/null
SELECT pg_temp.member(:paz) AS was \gset
SELECT is(loyalty.enable_member(:m, :paz), false, 'who is here need not come back');
SELECT is(loyalty.disable_member(:m, :paz), true, 'they leave');
SELECT is(loyalty.enable_member(merchant_id => :m, member_id => :paz), true, 'and are taken back');
SELECT is(loyalty.enable_member(:m, :paz), false, 'once');
SELECT is(pg_temp.member(:paz), :'was', 'as they were');
SELECT results_eq(format('SELECT contact_name, contact_balance::text FROM loyalty.wallet_contact_get(%s, %L, ''5512346020'')', :m, :'wallet_key'), $$VALUES ('Paz Ríos', '7')$$, 'the wallet finds them');
SELECT is((SELECT string_agg(was, ' ' ORDER BY change_id) FROM loyalty.member_changes WHERE member_id = :paz AND attribute = 'active'), 'true false', 'and what they were is known');
-- Their number may be somebody else's by then.
SELECT loyalty.disable_member(:m, :paz) \g /dev/null
SELECT isnt(loyalty.wallet_contact_add(:m, :'wallet_key', '5512346020', 'Otro Dueño', :staff), :paz::bigint, 'somebody has their number');
SELECT is(loyalty.enable_member(:m, :paz), true, 'they come back without it');
SELECT results_eq(format('SELECT phone::text, email, balance::text, active FROM loyalty.members WHERE member_id = %s', :paz), $$VALUES (NULL, 'paz@x.mx' COLLATE "C", '7', true)$$, 'and with all else');
-- What they shared is not theirs.
SELECT loyalty.wallet_contact_add(:m, :'wallet_key', '5512346021', 'Sol Ríos', :staff) AS sol \gset
SELECT loyalty.share_account(:m, :sol, :paz) \g /dev/null
SELECT loyalty.disable_member(:m, :sol) \g /dev/null
SELECT is(loyalty.enable_member(:m, :sol), true, 'who shared an account is taken back');
SELECT results_eq(format('SELECT balance::text, account_id = %s FROM loyalty.members WHERE member_id = %1$s', :sol), $$VALUES ('0', true)$$, 'into an account of their own');

-- The seller API's functions know programs and members by what its paths have.
SELECT is((loyalty.seller_member_create(merchant_id => :m, program_client_id => :'program', email => 'ines@x.mx', first_name => 'Inés', first_last_name => 'Paz', second_last_name => 'Gil', birth_date => '1980-01-31',
	member_client_id => 'INES', rank => NULL, subscription_date => '2020-01-31T12:00:00Z', country => 'México', phone => '5512346030', address => '[]', idempotency_key => 'ines'))::jsonb - '{id,address}'::text[],
	'{"clientId":"INES","firstName":"Inés","firstLastName":"Paz","secondLastName":"Gil","email":"ines@x.mx","birthDate":"1980-01-31","subscriptionDate":"2020-01-31T12:00:00.000Z","rank":{"name":""},"balance":0,"expiredAmount":0}', 'one is created by them');
SELECT is(m ->> 'email', 'ines@x.mx', 'and read') FROM loyalty.seller_member_get(merchant_id => :m, program_client_id => :'program', member_client_id => 'INES') m;
SELECT is(m::jsonb, jsonb_build_object('programId', :'program', 'memberId', 'INES', 'balance', 0, 'expiredAmount', 0), 'with a balance') FROM loyalty.seller_member_balance(merchant_id => :m, program_client_id => :'program', member_client_id => 'INES') m;
SELECT is(m ->> 'clientId', 'INES', 'and listed') FROM loyalty.seller_member_list(merchant_id => :m, program_client_id => :'program', row_limit => 1, row_offset => 0, email => 'ines@x.mx', phone => '5512346030') m;
SELECT is(p ->> 'clientId', :'program', 'as their program is') FROM loyalty.seller_program_get(merchant_id => :m, program_client_id => :'program') p;
SELECT is(count(*), (SELECT count(*) FROM loyalty.programs WHERE merchant_id = :m), 'beside the others') FROM loyalty.seller_program_list(merchant_id => :m);
SELECT is((loyalty.seller_deposit(merchant_id => :m, items => format('{"programId":"%s","memberId":"INES","amount":5,"comments":"x"}', :'program')::json, idempotency_key => 'd')) -> 0 ->> 'totalPoints', '5', 'deposits are by name too');
SELECT is((loyalty.seller_redemption(merchant_id => :m, items => format('{"programId":"%s","memberId":"INES","amount":2,"amountCurrency":2,"comments":"x"}', :'program')::json, idempotency_key => 'r')) -> 0 ->> 'totalPoints', '3', 'and redemptions');
SELECT is((loyalty.seller_accumulation(merchant_id => :m, items => format('{"programId":"%s","memberId":"INES","amount":10,"comments":"x"}', :'program')::json, idempotency_key => 'a')) -> 0 ->> 'totalPoints', '4', 'and accumulations');

-- --- where staff work ---------------------------------------------------------------------------------

SELECT loyalty.create_branch(merchant_id => :m, name => E'\u00a0Norte ') AS north \gset
SELECT loyalty.create_branch(:other, 'norte') AS others_north \gset
SELECT branch_id AS centre FROM loyalty.staff_members WHERE merchant_id = :m AND staff_id = :staff \gset
SELECT results_eq(format('SELECT branch_id, name FROM loyalty_internal.branch WHERE merchant_id = %s ORDER BY name', :m), format($$VALUES (%s::bigint, 'Centro' COLLATE "C"), (%s, 'Norte')$$, :centre, :north), 'a branch is made, without the blanks around its name');
SELECT is(loyalty.set_staff_branch(merchant_id => :m, staff_id => :staff, branch_id => branch), changes, format('the %s. move: %s', n, changes))
FROM (VALUES (1, :north, true), (2, :north, false), (3, :centre, true), (4, :north, true)) v (n, branch, changes) ORDER BY n;
SELECT results_eq(format('SELECT branch_id, branch FROM loyalty.staff_members WHERE merchant_id = %s AND staff_id = %s', :m, :staff), format($$VALUES (%s::bigint, 'Norte' COLLATE "C")$$, :north), 'a cashier works elsewhere');
SELECT loyalty.employee_add(:m, 'cajero', 'Nora', 'NORTE', '4771000009', 'otra clave') AS nora \gset
SELECT is(branch_id, :north::bigint, 'who is hired for a branch by name works in the same') FROM loyalty.staff_members WHERE merchant_id = :m AND staff_id = :nora;
SELECT loyalty.employee_disable(:m, '4771000009') \g /dev/null
SELECT is(loyalty.set_staff_branch(:m, :nora, :centre), true, 'archived staff too is moved');
SELECT pg_temp.refuses(format('SELECT loyalty.set_staff_branch(%s)', arguments), 'unknown_object', format('set_staff_branch: %s', what)) FROM (VALUES
	(format('%s, %s, %s', :other, :staff, :north), 'another merchant'), (format('%s, %s, %s', :other, 99, :others_north), 'staff of another merchant'), (format('%s, 99, %s', :m, :north), 'no such staff'),
	(format('%s, NULL, %s', :m, :north), 'no staff'), (format('NULL, 1, %s', :north), 'no merchant'), (format('%s, %s, NULL', :m, :staff), 'no branch'), (format('%s, %s, 1', :m, :staff), 'no such branch'),
	(format('%s, %s, %s', :m, :staff, :others_north), 'a branch of another merchant')) v (arguments, what);
SELECT pg_temp.refuses(format('SELECT loyalty.create_branch(%L, %s)', m, name), code, format('create_branch: %s', what)) FROM (VALUES
	(:m, 'NULL', 'invalid_argument', 'no name'), (:m, '''''', 'invalid_argument', 'an empty name'), (:m, 'E'' \u3000\n''', 'invalid_argument', 'a blank name'), (:m, 'repeat(''x'', 1025)', 'invalid_argument', 'a long name'),
	(:m, '''NORTE''', 'already_exists', 'there is one'), (:m, 'E''  centro\u00a0''', 'already_exists', 'there is one of staff'), (1, '''Sur''', 'unknown_object', 'no such merchant'), (NULL, '''Sur''', 'unknown_object', 'no merchant')) v (m, name, code, what);
SELECT is((SELECT count(*) FROM loyalty_internal.branch WHERE merchant_id = :m), 2::bigint, 'what was refused has made none');
SELECT lives_ok(format('SELECT loyalty.create_branch(%s, repeat(''ñ'', 512))', :m), 'the longest name is made');
SELECT is((SELECT max(octet_length(name)) FROM loyalty_internal.branch WHERE merchant_id = :m), 1024, 'as it is');

-- --- finding people ---------------------------------------------------------------------------------------

-- Many enough that an index is the faster way whatever is cached.
SELECT loyalty.create_merchant('Muchos') AS many \gset
SELECT program_id AS many_program, client_id AS many_client, wallet_key AS many_key FROM loyalty.create_program(:many, 'P', 'P') \gset
INSERT INTO loyalty_internal.account (merchant_id, account_id, program_id) SELECT :many, i, :many_program FROM generate_series(1, 20000) i;
INSERT INTO loyalty_internal.member (merchant_id, member_id, program_id, account_id, client_id, phone, email, name)
SELECT :many, i, :many_program, i, 'C' || i, (5500000000 + i)::text::loyalty.phone, 'm' || i || '@x.mx', 'Nombre ' || i FROM generate_series(1, 20000) i;
ANALYZE loyalty_internal.member; ANALYZE loyalty_internal.account;
CREATE FUNCTION pg_temp.scans(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	RETURN (SELECT string_agg(DISTINCT scan[1], ', ' ORDER BY scan[1]) FROM regexp_matches(plan::text, '"Node Type": "([^"]* Scan)",(?:(?!"Node Type").)*"Relation Name": "(?:member|account)"', 'gs') scan);
END
$$;
SELECT is(pg_temp.scans(format('SELECT * FROM loyalty.members WHERE merchant_id = %s AND phone OPERATOR(loyalty.=) ''5500000777''%s', :many, also)), 'Index Scan', 'by phone, ' || what) FROM (VALUES
	('', 'in any program'), (format(' AND program_id = %s', :many_program), 'in a program')) v (also, what);
SELECT is(pg_temp.scans(format('SELECT * FROM loyalty.members WHERE merchant_id = %s AND phone::text = ''5500000777''', :many)) ~ 'Seq Scan', true, 'which a text is not');
SELECT is((SELECT string_agg(m ->> 'clientId', ' ') FROM loyalty.seller_member_list(:many, 'P', n, o, after, email, phone) m), found, format('member_list(%s)', concat_ws(', ', n, o, after, email, phone))) FROM (VALUES
	(2, 19998, NULL, NULL, NULL, 'C19999 C20000'), (2, NULL, 'C19998', NULL, NULL, 'C19999 C20000'), (1, 1, 'C19998', NULL, NULL, 'C20000'), (NULL, NULL, 'C20000', NULL, NULL, NULL),
	(NULL, NULL, NULL, 'M777@X.mx', NULL, 'C777'), (NULL, NULL, NULL, NULL, '55 0000 0777', 'C777'), (NULL, NULL, NULL, 'm777@x.mx', '5500000777', 'C777'), (NULL, NULL, NULL, 'm778@x.mx', '5500000777', NULL),
	(NULL, NULL, NULL, 'nadie@x.mx', NULL, NULL), (NULL, 1, NULL, 'm777@x.mx', NULL, NULL), (0, NULL, NULL, NULL, '5500000777', NULL), (NULL, NULL, 'C776', NULL, '5500000777', 'C777'), (NULL, NULL, 'C777', 'm777@x.mx', NULL, NULL)) v (n, o, after, email, phone, found);
SELECT loyalty.disable_member(:many, 777) \g /dev/null
SELECT is_empty(format('SELECT FROM loyalty.seller_member_list(%s, ''P'', %s)', :many, arguments), 'who left is not found: ' || arguments) FROM unnest('{email => ''m777@x.mx'',phone => ''5500000777''}'::text[]) arguments;
SELECT is((SELECT m ->> 'clientId' FROM loyalty.seller_member_list(:many, 'P', 1, after => 'C777') m), 'C778', 'but others come after them');
SELECT pg_temp.refuses(format('SELECT loyalty.seller_member_list(%s, ''P'', %s)', :many, arguments), code, 'member_list: ' || arguments) FROM (VALUES
	('after => ''C0''', 'member_not_found'), ('phone => ''123''', 'invalid_field')) v (arguments, code);

SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');

-- --- who is found, and created, without an API ----------------------------------------------------------------

SELECT program_id AS native, wallet_key AS native_key FROM loyalty.create_wallet(:m, 'Nativa') \gset
SELECT program_id AS elsewhere FROM loyalty.create_wallet(:m, 'Otra') \gset
SELECT loyalty.create_member(:m, :native, E' Ana Núñez \u00a0', '55 1234 9101', ' Ana@x.mx ', 'ANA-1', '1980-02-29', :staff) AS ana \gset
SELECT results_eq(format('SELECT program_id, account_id, name, first_name, phone::text, email, client_id, birth_date, enrolled_by, active, balance::text FROM loyalty.members WHERE merchant_id = %s AND member_id = %s', :m, :ana),
	format($$VALUES (%s::bigint, %s::bigint, 'Ana Núñez', '', '5512349101', 'Ana@x.mx' COLLATE "C", 'ANA-1' COLLATE "C", '1980-02-29'::date, %s::bigint, true, '0')$$, :native, :ana, :staff), 'a member with everything, on an account of the same number');
SELECT loyalty.create_member(:m, :native, 'Sin Nada') AS bare \gset
SELECT results_eq(format('SELECT phone, email, birth_date, enrolled_by FROM loyalty.members WHERE member_id = %s', :bare), 'VALUES (NULL::loyalty.phone, NULL COLLATE "C", NULL::date, NULL::bigint)', 'a name is enough');
SELECT matches(client_id, '^CM\d{13}$', 'the client_id is made up then') FROM loyalty.members WHERE member_id = :bare;
SELECT isnt(loyalty.create_member(:m, :native, 'Sin Nada'), :bare::bigint, 'and a name is no key');
SELECT is(loyalty.create_member(merchant_id => :m, program_id => :elsewhere, name => 'Ana Núñez', phone => '5512349101', email => 'ana@x.mx', client_id => 'ANA-1', birth_date => NULL, staff_id => NULL) <> :ana, true, 'each program has its own members');
SELECT results_eq(format('SELECT contact_name FROM loyalty.wallet_contact_get(%s, %L, ''5512349101'')', :m, :'native_key'), $$VALUES ('Ana Núñez')$$, 'the wallet API has the contact');
SELECT is_empty(format('SELECT FROM loyalty.outbox WHERE merchant_id = %s AND member_id = %s', :m, :ana), 'no message was sent');

-- "member account" of who is found.
CREATE FUNCTION pg_temp.found(merchant bigint, arguments text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found text;
BEGIN
	EXECUTE format('SELECT member_id || '' '' || account_id FROM loyalty.find_member(%s, %s)', coalesce(merchant::text, 'NULL'), arguments) INTO STRICT found;
	RETURN found;
END
$$;
SELECT is(pg_temp.found(:m, :native || ', ' || key), concat_ws(' ', :ana, :ana), 'found by ' || key) FROM unnest('{"''5512349101''","client_id => ''ANA-1''","phone => ''5512349101''","phone => ''+52 1 55 1234 9101''","email => ''Ana@x.mx''","email => '' ANA@X.MX''",
	"''5512349101'', NULL, NULL","NULL, ''ana@x.mx'', NULL","NULL, NULL, ''ANA-1''"}'::text[]) key;
SELECT pg_temp.refuses(format('SELECT loyalty.find_member(%L, %s)', merchant, arguments), code, 'find_member: ' || arguments) FROM (VALUES
	(:m, format('%s, ''5512349101'', ''ana@x.mx''', :native), 'invalid_argument'), (:m, format('%s, ''5512349101'', client_id => ''ANA-1''', :native), 'invalid_argument'), (:m, format('%s, NULL, ''ana@x.mx'', ''ANA-1''', :native), 'invalid_argument'),
	(:m, format('%s, ''5512349101'', ''ana@x.mx'', ''ANA-1''', :native), 'invalid_argument'), (:m, :native::text, 'invalid_argument'), (:m, format('%s, NULL, NULL, NULL', :native), 'invalid_argument'),
	(:m, format('%s, client_id => ''ana-1''', :native), 'unknown_object'), (:m, format('%s, client_id => ''''', :native), 'unknown_object'), (:m, format('%s, phone => ''5512349199''', :native), 'unknown_object'), (:m, format('%s, email => ''''', :native), 'unknown_object'),
	(:m, 'NULL, ''5512349101''', 'unknown_object'), (:m, '1, ''5512349101''', 'unknown_object'), (:other, format('%s, ''5512349101''', :native), 'unknown_object'), (NULL, format('%s, ''5512349101''', :native), 'unknown_object')) v (merchant, arguments, code);
SELECT is(pg_temp.scans(format('SELECT * FROM loyalty_internal.member m WHERE m.merchant_id = %s AND m.program_id = %s AND m.cancelled_at IS NULL AND (m.client_id = ''C777'' COLLATE "C" OR m.phone OPERATOR(loyalty.=) NULL OR loyalty.fold(m.email) = loyalty.fold(NULL COLLATE "C"))',
	:many, :many_program)), 'Index Scan', 'as the function asks, by an index');

SELECT pg_temp.refuses(format('SELECT loyalty.create_member(%L, %s)', merchant, arguments), code, 'create_member: ' || arguments) FROM (VALUES
	(NULL, format('%s, ''X''', :native), 'invalid_argument'), (:m, 'NULL, ''X''', 'invalid_argument'), (:m, format('%s, NULL', :native), 'invalid_argument'), (:m, format('%s, E'' \u00a0''', :native), 'invalid_argument'),
	(:m, format('%s, repeat(''ñ'', 513)', :native), 'invalid_argument'), (:m, format('%s, ''X'', email => repeat(''x'', 1025)', :native), 'invalid_argument'), (:m, format('%s, ''X'', client_id => repeat(''x'', 1025)', :native), 'invalid_argument'),
	(:m, format('%s, ''X'', email => '' ''', :native), 'invalid_argument'), (:m, format('%s, ''X'', client_id => ''''', :native), 'invalid_argument'), (:m, format('%s, ''X'', birth_date => ''1899-12-31''', :native), 'invalid_argument'),
	(:m, format('%s, ''X'', birth_date => CURRENT_DATE + 1', :native), 'invalid_argument'), (:m, format('%s, ''X'', birth_date => ''infinity''', :native), 'invalid_argument'), (:m, format('%s, ''X'', staff_id => 99', :native), 'unknown_object'),
	(:m, '1, ''X''', 'unknown_object'), (:other, format('%s, ''X''', :native), 'unknown_object'), (1, format('%s, ''X''', :native), 'unknown_object'),
	(:m, format('%s, ''X'', ''5512349101''', :native), 'already_exists'), (:m, format('%s, ''Ana Núñez'', email => ''ANA@x.mx''', :native), 'already_exists'), (:m, format('%s, ''X'', client_id => ''ANA-1''', :native), 'already_exists')) v (merchant, arguments, code);
SELECT results_eq(format('SELECT count(*), (SELECT count(*) FROM loyalty_internal.account WHERE program_id = %s) FROM loyalty.members WHERE program_id = %1$s', :native), 'VALUES (3::bigint, 3::bigint)', 'what was refused has created nobody, and no account');

-- Who has left.
SELECT loyalty.post(:m, :ana, 'deposit', 100) \g /dev/null
SELECT loyalty.disable_member(:m, :ana) \g /dev/null
SELECT is(pg_temp.found(:m, format('%s, phone => ''5512349101''', :native)), concat_ws(' ', :ana, :ana), 'who has left is found');
SELECT is(loyalty.create_member(:m, :native, 'ANA NUNEZ', '5512349101'), :ana::bigint, 'who is the same person comes back');
SELECT results_eq(format('SELECT active, name, client_id, balance::text FROM loyalty.members WHERE member_id = %s', :ana), $$VALUES (true, 'ANA NUNEZ', 'ANA-1' COLLATE "C", '100')$$, 'with their points and all that they had');
SELECT is(string_agg(attribute || ' ' || was, ', ' ORDER BY change_id), 'active true, name Ana Núñez, active false', 'what they were is known') FROM loyalty.member_changes WHERE merchant_id = :m AND member_id = :ana;
SELECT loyalty.disable_member(:m, :ana) \g /dev/null
SELECT is(loyalty.create_member(:m, :native, 'Ana de López', email => 'ana@x.mx', client_id => 'ANA-2'), :ana::bigint, 'by the mail, with another card');
SELECT loyalty.disable_member(:m, :ana) \g /dev/null
SELECT pg_temp.refuses(format('SELECT loyalty.create_member(%s, %s, ''Beto'', client_id => ''ANA-2'', birth_date => ''1990-01-31'')', :m, :native), 'already_exists', 'a card stays theirs');
SELECT isnt(loyalty.create_member(:m, :native, 'Beto', '5512349101', birth_date => '1990-01-31'), :ana::bigint, 'their phone goes to somebody else');
SELECT results_eq(format('SELECT active, phone::text, balance::text FROM loyalty.members WHERE member_id = %s', :ana), $$VALUES (false, NULL, '100')$$, 'and not their points');
SELECT is(member_id || ' ' || (SELECT account_id FROM loyalty.members WHERE member_id = :bare), :bare || ' ' || account_id, 'who shares an account is found with it')
FROM (SELECT loyalty.share_account(:m, :bare, loyalty.create_member(:m, :native, 'Titular'))) s, LATERAL loyalty.find_member(:m, :native, client_id => (SELECT client_id FROM loyalty.members WHERE member_id = :bare));

-- Who has been cancelled.
INSERT INTO loyalty_internal.customer (merchant_id, member_id, curp) VALUES (:m, :ana, 'PEPM800229MDFRRN05');
SELECT loyalty.block_customer(:m, 'PEPM800229MDFRRN05') \g /dev/null
SELECT pg_temp.refuses(format('SELECT loyalty.create_member(%s, %s, ''Ana'', email => ''ana@x.mx'')', :m, :native), 'already_exists', 'who is blocked does not come back');
SELECT loyalty.delete_blocked_customers(:m, '0') \g /dev/null
SELECT client_id AS nobody FROM loyalty.members WHERE member_id = :ana \gset
SELECT pg_temp.refuses(format('SELECT loyalty.find_member(%s, %s, client_id => %L)', :m, :native, :'nobody'), 'unknown_object', 'nor is found once cancelled');
SELECT pg_temp.refuses(format('SELECT loyalty.create_member(%s, %s, ''cancelado'', client_id => %L)', :m, :native, :'nobody'), 'already_exists', 'by whatever is left');
SELECT isnt(loyalty.create_member(:m, :native, 'Ana', email => 'ana@x.mx'), :ana::bigint, 'and is somebody new');

-- What was is written as it ever is.
SET LOCAL datestyle = 'German, DMY';
SELECT loyalty.create_member(:m, :native, 'Dalia', birth_date => date '03.05.1990') AS dalia \gset
SELECT loyalty.correct_member(:m, :dalia, birth_date => date '06.03.1990') \g /dev/null
SELECT is(was, '1990-05-03', 'a birth date that was corrected, whatever the session''s style of dates') FROM loyalty.member_changes WHERE member_id = :dalia;
RESET datestyle;

SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is still sound');
SELECT * FROM finish();
ROLLBACK;
