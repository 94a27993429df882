-- What is found by its key without the executor is found as a statement finds
-- it: by whoever may, as policies say, by the index that there is or by none.
\ir ../tap.sql

SELECT loyalty.create_merchant('Claves') AS m \gset
SELECT wallet_key AS w FROM loyalty.create_wallet(:m, 'Claves', 10) \gset
SELECT loyalty.employee_add(:m, 'cajero', 'Ana', 'Centro', '4771000000', 'secreto-largo-1') AS staff \gset
SELECT staff_id AS u FROM loyalty.staff_members WHERE merchant_id = :m \gset
SELECT loyalty.wallet_contact_add(:m, :'w', phone, 'Contacto', :u, '2000-01-01') FROM unnest('{5510000001,5510000002}'::text[]) phone \g /dev/null
SELECT format('SELECT loyalty.wallet_sale(%s, %L, %L, 0, 100, usertool_id => %s)', :m, :'w', '5510000001', :u) AS sale \gset

SELECT lives_ok(:'sale', 'a sale');
SET LOCAL loyalty.enable_lookup = off;
SELECT lives_ok(:'sale', 'and one whose statements are all executed');
SET LOCAL loyalty.enable_lookup = on;

-- what this transaction has changed is seen, and what it has taken back is not
UPDATE loyalty_internal.staff SET archived_at = now(), password_digest = NULL WHERE merchant_id = :m;
SELECT pg_temp.refuses(:'sale', 'wallet_redeem_15', 'who was archived just now sells nothing');
SAVEPOINT before;
UPDATE loyalty_internal.staff SET archived_at = NULL, password_digest = repeat('0', 64) WHERE merchant_id = :m;
SELECT lives_ok(:'sale', 'who is back does');
ROLLBACK TO before;
SELECT pg_temp.refuses(:'sale', 'wallet_redeem_15', 'unless that was rolled back');
UPDATE loyalty_internal.staff SET archived_at = NULL, password_digest = repeat('0', 64) WHERE merchant_id = :m;
SELECT loyalty.blacklist_phone(:m, '5510000001') \g /dev/null
SELECT pg_temp.refuses(:'sale', 'wallet_redeem_14', 'a phone that is blacklisted just now buys nothing');
SELECT loyalty.unblacklist_phone(:m, '5510000001') \g /dev/null
SELECT lives_ok(:'sale', 'nor any longer than that');

-- rights
REVOKE SELECT ON loyalty_internal.staff FROM loyalty_engine;
SELECT throws_ok(:'sale', '42501', NULL, 'without the right to read a table nothing is found in it');
GRANT SELECT ON loyalty_internal.staff TO loyalty_engine;
SELECT lives_ok(:'sale', 'with it again it is');

-- policies
ALTER TABLE loyalty_internal.staff ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT pg_temp.refuses(:'sale', 'wallet_redeem_15', 'what no policy shows is not there');
CREATE POLICY shown ON loyalty_internal.staff USING (true);
SELECT lives_ok(:'sale', 'what one shows is');
ALTER TABLE loyalty_internal.staff DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
SELECT lives_ok(:'sale', 'without policies everything is');

-- indexes
SELECT string_agg(format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', conrelid::regclass, conname), ';') AS drop_keys FROM pg_constraint WHERE conrelid = 'loyalty_internal.staff'::regclass AND contype IN ('p', 'u') \gset
SET LOCAL client_min_messages = warning;
:drop_keys ;
SELECT lives_ok(:'sale', 'without the index it is found by another way');
CREATE INDEX another ON loyalty_internal.staff (merchant_id, staff_id);
SELECT lives_ok(:'sale', 'and by an index that is not unique');
DROP INDEX loyalty_internal.another;
CREATE UNIQUE INDEX another ON loyalty_internal.staff (staff_id, merchant_id) INCLUDE (restricted);
SELECT lives_ok(:'sale', 'and by one of another order');

-- columns
ALTER TABLE loyalty_internal.staff ADD COLUMN padding text DEFAULT 'x';
SELECT lives_ok(:'sale', 'and in a table that has another column');

SELECT is(count(*), 0::bigint, 'the ledger is sound') FROM loyalty.verify();
SELECT * FROM finish();
ROLLBACK;
