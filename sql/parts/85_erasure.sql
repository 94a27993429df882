-- Erasure: what is personal of members and of staff is deleted, what the ledger
-- has to prove stays; and what is kept about a person, for that person.

-- A refund of what was captured goes on with a hold: nothing goes further back.
CREATE FUNCTION loyalty_internal.named_by_origin(merchant_id bigint, origin_entry_id bigint) RETURNS bigint
LANGUAGE sql STABLE STRICT
BEGIN ATOMIC
	SELECT coalesce(o.member_id, (
		SELECT h.member_id FROM loyalty.entry h WHERE h.merchant_id = named_by_origin.merchant_id AND h.entry_id = o.origin_entry_id))
	FROM loyalty.entry o WHERE o.merchant_id = named_by_origin.merchant_id AND o.entry_id = named_by_origin.origin_entry_id;
END;
COMMENT ON FUNCTION loyalty_internal.named_by_origin(bigint, bigint) IS
'Whom an entry names that others go on with, or what it goes on with itself: who acted there. So the text of a refund, a capture, a release, which name nobody, is theirs. NULL: nobody.';

CREATE FUNCTION loyalty_internal.text_salt(merchant_id bigint, entry_id bigint, account_id bigint, member_id bigint, peer_account_id bigint) RETURNS bytea
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT coalesce(
		(SELECT s.salt FROM loyalty_internal.entry_salt s WHERE s.merchant_id = text_salt.merchant_id AND s.entry_id = text_salt.entry_id),
		(SELECT sha256(uuid_send(k.text_key) || coalesce(uuid_send(o.text_key), '') || int8send(text_salt.entry_id))
		 FROM loyalty_internal.account k
		 LEFT JOIN loyalty_internal.account o ON o.merchant_id = k.merchant_id AND o.account_id = text_salt.peer_account_id
		 WHERE k.merchant_id = text_salt.merchant_id AND k.account_id IN (text_salt.member_id, text_salt.account_id)
		 ORDER BY k.account_id = text_salt.member_id DESC LIMIT 1));
END;
COMMENT ON FUNCTION loyalty_internal.text_salt(bigint, bigint, bigint, bigint, bigint) IS
'Part of loyalty_internal.erase_entries(): the salt of the text of an entry of the account, which names this member, or goes on with what does, and on whose other side this account is.';

CREATE FUNCTION loyalty_internal.text_digest(salt bytea, reference text, detail json) RETURNS bytea
LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_text_digest';
COMMENT ON FUNCTION loyalty_internal.text_digest(bytea, text, json) IS
'Part of loyalty_internal.erase_entries(): what the hash of an entry covers of its reference and detail. NULL: it has neither, or no salt.';

-- By name, whatever else comes to be kept of an operation, and by what it is:
-- where a number or a currency is meant, a client may have written anything.  An
-- amount in money is the entry's own; here it may be somebody's phone.
CREATE FUNCTION loyalty_internal.impersonal_detail(detail json) RETURNS json
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT json_object_agg(d.key, d.value ORDER BY d.n)
	FROM (
		SELECT f.n, f.key, CASE WHEN f.key <> 'items' THEN f.value ELSE (
			SELECT coalesce(json_agg((
				SELECT coalesce(json_object_agg(g.key, g.value ORDER BY g.n), '{}')
				FROM json_each(CASE WHEN json_typeof(i.item) = 'object' THEN i.item ELSE '{}' END) WITH ORDINALITY g (key, value, n)
				WHERE g.key IN ('sku', 'category', 'quantity', 'unitPrice') AND (json_typeof(g.value) = 'number'
				   OR json_typeof(g.value) = 'string' AND (g.key IN ('sku', 'category') OR (g.value #>> '{}') COLLATE "C" ~ '^-?[0-9]{1,18}(\.[0-9]{1,6})?$'))) ORDER BY i.n), '[]')
			FROM json_array_elements(CASE WHEN json_typeof(f.value) = 'array' THEN f.value ELSE '[]' END) WITH ORDINALITY i (item, n)) END AS value
		FROM json_each(CASE WHEN json_typeof(impersonal_detail.detail) = 'object' THEN impersonal_detail.detail ELSE '{}' END) WITH ORDINALITY f (key, value, n)
		WHERE f.key = 'items' OR f.key = 'branchId' AND json_typeof(f.value) IN ('string', 'number')
		   OR f.key IN ('currency', 'amountCurrency') AND json_typeof(f.value) = 'string' AND (f.value #>> '{}') COLLATE "C" ~ '^[A-Z]{3}$') d
	HAVING count(*) > 0;
END;
COMMENT ON FUNCTION loyalty_internal.impersonal_detail(json) IS
'What names nobody of the detail of an entry: branchId, currency and amountCurrency where they are three letters, and of items sku, category, and quantity and unitPrice where they are numbers; NULL: nothing.';

CREATE FUNCTION loyalty_internal.accounts_of_members(
	merchant_id bigint, member_ids bigint[], OUT account_id bigint, OUT after_no bigint, OUT until_no bigint, OUT since timestamptz, OUT until timestamptz)
RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT t.account_id, t.after_no, t.until_no, t.since, t.until
	FROM (
		SELECT o.member_id, o.account_id, o.entry_no AS after_no,
			   lead(o.entry_no, 1, 9223372036854775807) OVER (PARTITION BY o.account_id ORDER BY o.since) AS until_no,
			   o.since, lead(o.since, 1, 'infinity') OVER (PARTITION BY o.account_id ORDER BY o.since) AS until
		FROM (
			SELECT unnest(accounts_of_members.member_ids) AS account_id
			UNION
			SELECT w.account_id FROM loyalty_internal.account_owner w
			WHERE w.merchant_id = accounts_of_members.merchant_id AND w.member_id = ANY (accounts_of_members.member_ids)) a,
		LATERAL (
			SELECT m.member_id, m.member_id AS account_id, 0::bigint AS entry_no, '-infinity'::timestamptz AS since FROM loyalty_internal.member m
			WHERE m.merchant_id = accounts_of_members.merchant_id AND m.member_id = a.account_id
			UNION ALL
			SELECT w.member_id, w.account_id, w.entry_no, w.since FROM loyalty_internal.account_owner w
			WHERE w.merchant_id = accounts_of_members.merchant_id AND w.account_id = a.account_id) o) t
	WHERE t.member_id = ANY (accounts_of_members.member_ids);
END;
COMMENT ON FUNCTION loyalty_internal.accounts_of_members(bigint, bigint[]) IS
'Which accounts members have owned, from the entry after after_no to until_no: what was posted then and names no member is its owner''s. By the place of entries, whatever the clock said; since and until, for ranks and what expired, are by the clock.';

CREATE FUNCTION loyalty_internal.began_with_erased(merchant_id bigint, entry_id bigint) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT EXISTS (
		SELECT FROM loyalty.entry e
		LEFT JOIN loyalty.entry h ON h.merchant_id = began_with_erased.merchant_id AND h.entry_id = e.origin_entry_id,
		LATERAL (
			SELECT coalesce((SELECT w.member_id FROM loyalty_internal.account_owner w
							 WHERE w.merchant_id = began_with_erased.merchant_id AND w.account_id = e.account_id AND w.entry_no < coalesce(h.entry_no, e.entry_no)
							 ORDER BY w.since DESC LIMIT 1), e.account_id) AS member_id
			UNION ALL SELECT e.peer_account_id
			UNION ALL SELECT w.member_id FROM loyalty_internal.account_owner w
			WHERE w.merchant_id = began_with_erased.merchant_id AND w.account_id = e.peer_account_id) o
		JOIN loyalty_internal.member m ON m.merchant_id = began_with_erased.merchant_id AND m.member_id = o.member_id
		WHERE e.merchant_id = began_with_erased.merchant_id AND e.entry_id = began_with_erased.entry_id AND m.cancelled_at IS NOT NULL);
END;
COMMENT ON FUNCTION loyalty_internal.began_with_erased(bigint, bigint) IS
'Part of posting what goes on with an entry that names nobody: whether somebody has been erased who owned the account when that began, or ever the account on its other side. Then no text is kept, whoever owns the account by now.';

-- One look at the merchant's entries finds those of however many members: no
-- index has who acted.  Both sides of a transfer are one, known by how many
-- transfers there were between the two.
CREATE FUNCTION loyalty_internal.entries_of_members(
	merchant_id bigint, member_ids bigint[], OUT entry_id bigint, OUT keys_of bigint[], OUT has_text boolean, OUT theirs boolean, OUT on_their_side boolean)
RETURNS SETOF record
LANGUAGE sql STABLE
BEGIN ATOMIC
	WITH RECURSIVE owned AS MATERIALIZED (
		SELECT o.account_id, o.after_no, o.until_no FROM loyalty_internal.accounts_of_members(entries_of_members.merchant_id, entries_of_members.member_ids) o
	), accounts AS MATERIALIZED (
		SELECT array_agg(DISTINCT o.account_id) AS ids FROM owned o
	), touched AS MATERIALIZED (
		SELECT e.entry_id, e.account_id, e.peer_account_id, e.member_id, e.origin_entry_id, e.reference IS NOT NULL OR e.detail IS NOT NULL AS has_text,
			   o.account_id IS NOT NULL AS of_owner,
			   row_number() OVER (PARTITION BY e.account_id, e.peer_account_id ORDER BY e.entry_no) AS nth
		FROM loyalty.entry e
		LEFT JOIN owned o ON o.account_id = e.account_id AND e.entry_no > o.after_no AND e.entry_no <= o.until_no
		WHERE e.merchant_id = entries_of_members.merchant_id
		  AND (e.member_id = ANY (entries_of_members.member_ids) OR e.member_id = ANY ((SELECT a.ids FROM accounts a)::bigint[])
			   OR e.account_id = ANY ((SELECT a.ids FROM accounts a)::bigint[]) OR e.peer_account_id = ANY ((SELECT a.ids FROM accounts a)::bigint[])
			   OR e.origin_entry_id IS NOT NULL AND loyalty.entry_kind(e.kind) <> 'mature')
	), sides AS MATERIALIZED (
		SELECT t.entry_id, t.account_id, t.peer_account_id, t.member_id, t.origin_entry_id, t.has_text, t.of_owner, CASE WHEN t.peer_account_id IS NULL THEN t.of_owner ELSE bool_or(t.of_owner)
			   OVER (PARTITION BY least(t.account_id, t.peer_account_id), greatest(t.account_id, t.peer_account_id), t.nth) END AS of_either
		FROM touched t
	), begun AS (
		SELECT s.entry_id, s.account_id, s.peer_account_id, s.member_id, s.has_text, s.of_owner, s.of_either FROM sides s WHERE s.origin_entry_id IS NULL
		UNION ALL
		-- what goes on with an entry is of whom that is: a refund, a capture, a release
		SELECT s.entry_id, s.account_id, s.peer_account_id, coalesce(s.member_id, b.member_id), s.has_text,
			   s.of_owner OR b.of_owner AND b.account_id = s.account_id, s.of_either OR b.of_either
		FROM begun b JOIN sides s ON s.origin_entry_id = b.entry_id
	), named AS (
		SELECT b.*, b.member_id IS NOT NULL AND EXISTS (
				   SELECT FROM loyalty_internal.account k WHERE k.merchant_id = entries_of_members.merchant_id AND k.account_id = b.member_id) AS is_named,
			   b.member_id = ANY (entries_of_members.member_ids)
			   -- who names an account of theirs means them
			   OR b.member_id = ANY ((SELECT a.ids FROM accounts a)::bigint[]) AND NOT EXISTS (
				   SELECT FROM loyalty_internal.member m WHERE m.merchant_id = entries_of_members.merchant_id AND m.member_id = b.member_id) AS names_them
		FROM begun b
	)
	SELECT n.entry_id, ARRAY[CASE WHEN n.is_named THEN n.member_id ELSE n.account_id END, n.peer_account_id], n.has_text,
		   coalesce(n.names_them, false) OR NOT n.is_named AND n.of_either, coalesce(n.names_them, false) OR NOT n.is_named AND n.of_owner
	FROM named n;
END;
COMMENT ON FUNCTION loyalty_internal.entries_of_members(bigint, bigint[]) IS
'Which entries are of members: what they did, and what was posted to accounts while they were theirs and names nobody, with all that goes on with it. It has others too. keys_of: the accounts that have the keys of its text; theirs: on one of the sides of a transfer; on_their_side: on this side.';

-- The only thing that changes an entry, and so owned by a role of its own, which
-- has rights on these three columns.
CREATE FUNCTION loyalty_internal.erase_entries(merchant_id bigint, member_ids bigint[]) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	accounts CONSTANT bigint[] := ARRAY(
		SELECT DISTINCT o.account_id FROM loyalty_internal.accounts_of_members(erase_entries.merchant_id, erase_entries.member_ids) o);
	erased bigint[];
	kept bigint[];
BEGIN
	SELECT array_agg(o.entry_id) FILTER (WHERE o.theirs), array_agg(o.entry_id) FILTER (WHERE NOT o.theirs AND o.keys_of && accounts)
	INTO erased, kept FROM loyalty_internal.entries_of_members(erase_entries.merchant_id, erase_entries.member_ids) o WHERE o.has_text;

	INSERT INTO loyalty_internal.entry_remainder (merchant_id, entry_id, detail)
	SELECT e.merchant_id, e.entry_id, loyalty_internal.impersonal_detail(e.detail) FROM loyalty.entry e
	WHERE e.merchant_id = erase_entries.merchant_id AND e.entry_id = ANY (erased)
	  AND loyalty_internal.impersonal_detail(e.detail) IS NOT NULL
	ON CONFLICT DO NOTHING;
	UPDATE loyalty.entry e SET reference = NULL, detail = NULL, text_digest = loyalty_internal.text_digest(
		loyalty_internal.text_salt(e.merchant_id, e.entry_id, e.account_id,
			coalesce(e.member_id, loyalty_internal.named_by_origin(e.merchant_id, e.origin_entry_id)), e.peer_account_id), e.reference, e.detail)
	WHERE e.merchant_id = erase_entries.merchant_id AND e.entry_id = ANY (erased);
	DELETE FROM loyalty_internal.entry_salt s WHERE s.merchant_id = erase_entries.merchant_id AND s.entry_id = ANY (erased);
	INSERT INTO loyalty_internal.entry_salt (merchant_id, entry_id, salt)
	SELECT e.merchant_id, e.entry_id, loyalty_internal.text_salt(e.merchant_id, e.entry_id, e.account_id,
			coalesce(e.member_id, loyalty_internal.named_by_origin(e.merchant_id, e.origin_entry_id)), e.peer_account_id) FROM loyalty.entry e
	WHERE e.merchant_id = erase_entries.merchant_id AND e.entry_id = ANY (kept)
	ON CONFLICT DO NOTHING;
	RETURN erased IS NOT NULL;
END
$$;
COMMENT ON FUNCTION loyalty_internal.erase_entries(bigint, bigint[]) IS
'Erases the texts, reference and detail, of what members did and of what was posted to accounts while they were theirs, on both sides of transfers, and of what goes on with it, as refunds do; their digests stay, so the chain proves what it proved, and in loyalty_internal.entry_remainder what names nobody. Of texts that are kept the salts are put aside, so that the caller, who has locked the accounts, can replace their keys. Returns whether there were any to erase.';
ALTER FUNCTION loyalty_internal.erase_entries(bigint, bigint[]) OWNER TO loyalty_eraser;
GRANT EXECUTE ON FUNCTION loyalty_internal.erase_entries(bigint, bigint[]) TO loyalty_engine;
GRANT EXECUTE ON FUNCTION loyalty.entry_kind(smallint), loyalty_internal.named_by_origin(bigint, bigint), loyalty_internal.entries_of_members(bigint, bigint[]),
	loyalty_internal.text_salt(bigint, bigint, bigint, bigint, bigint), loyalty_internal.text_digest(bytea, text, json),
	loyalty_internal.impersonal_detail(json), loyalty_internal.accounts_of_members(bigint, bigint[]) TO loyalty_eraser;
GRANT SELECT (merchant_id, account_id, text_key) ON loyalty_internal.account TO loyalty_eraser;
GRANT SELECT (merchant_id, member_id) ON loyalty_internal.member TO loyalty_eraser;

CREATE FUNCTION loyalty_internal.curp_of(text) RETURNS loyalty.curp
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'curp_of';
COMMENT ON FUNCTION loyalty_internal.curp_of(text) IS
'The CURP that a text is, however it is written, as in requests; NULL: it is none.';

-- Whose an object of an answer is, it says by one of these.
CREATE FUNCTION loyalty_internal.answer_without(answer json, people jsonb, theirs boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	said jsonb;
BEGIN
	CASE json_typeof(answer)
		WHEN 'array' THEN
			RETURN '[' || coalesce((SELECT string_agg(loyalty_internal.answer_without(e.value, people, theirs), ',' ORDER BY e.n)
				FROM json_array_elements(answer) WITH ORDINALITY e (value, n)), '') || ']';
		WHEN 'object' THEN
			theirs := theirs OR people ? concat('id ', answer ->> 'id') OR people ? concat('id ', answer ->> 'id_contacto')
				OR people ? concat('curp ', loyalty_internal.curp_of(answer ->> 'curp_en_uso')) OR people ? concat('curp ', coalesce(answer ->> 'CURP', answer ->> 'curp'))
				OR people ? concat('member ', answer ->> 'programId', ' ', answer ->> 'memberId')
				OR people ? concat('poliza ', answer ->> 'poliza');
			RETURN '{' || coalesce((SELECT string_agg(to_json(f.key)::text || ':' || CASE
					WHEN theirs AND f.key IN ('id', 'id_venta', 'id_contacto', 'programId', 'transactionid', 'transactionId', 'status', 'description',
						'poliza', 'producto', 'mensaje', 'error', 'plan', 'pago_link', 'payment_ids') THEN f.value::text
					ELSE loyalty_internal.answer_without(f.value, people, theirs) END, ',' ORDER BY f.n)
				FROM json_each(answer) WITH ORDINALITY f (key, value, n)), '') || '}';
		WHEN 'string' THEN
			RETURN CASE WHEN theirs THEN '""' ELSE answer::text END;
		ELSE
			RETURN answer::text;
	END CASE;
END
$$;
COMMENT ON FUNCTION loyalty_internal.answer_without(json, jsonb, boolean) IS
'An answer of a documented API without what it says of some people: in the objects that are theirs, by one of the keys of people, texts are empty but for those that name nobody.';

CREATE FUNCTION loyalty_internal.erase_answers(merchant_id bigint, member_ids bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	people jsonb;
	printed text[];
BEGIN
	-- What an answer says who they are by, under all ids that they have had.
	WITH named AS (
		SELECT m.member_id, p.client_id AS program, m.client_id AS client FROM loyalty_internal.member m
		JOIN loyalty_internal.program p ON p.merchant_id = m.merchant_id AND p.program_id = m.program_id
		WHERE m.merchant_id = erase_answers.merchant_id AND m.member_id = ANY (erase_answers.member_ids)
		UNION ALL
		SELECT m.member_id, p.client_id, h.was FROM loyalty_internal.member_change h
		JOIN loyalty_internal.member m ON m.merchant_id = h.merchant_id AND m.member_id = h.member_id
		JOIN loyalty_internal.program p ON p.merchant_id = m.merchant_id AND p.program_id = m.program_id
		WHERE h.merchant_id = erase_answers.merchant_id AND h.member_id = ANY (erase_answers.member_ids) AND h.attribute = 'client_id'
	), said (key, value) AS (
		SELECT 'id ' || i.id, i.id::text FROM named n, LATERAL (VALUES (n.member_id), (loyalty_internal.contact_id(erase_answers.merchant_id, n.member_id))) i (id)
		UNION SELECT concat('member ', p.program, ' ', n.client), n.client FROM named n, LATERAL (VALUES (n.program), ('')) p (program)
		UNION SELECT 'curp ' || c.curp, c.curp::text FROM loyalty_internal.customer c
		WHERE c.merchant_id = erase_answers.merchant_id AND c.member_id = ANY (erase_answers.member_ids)
		-- a payment that names the policy need not say whose it is
		UNION SELECT 'poliza ' || s.policy_number, s.policy_number FROM loyalty_internal.policy s
		WHERE s.merchant_id = erase_answers.merchant_id AND s.member_id = ANY (erase_answers.member_ids)
	)
	SELECT jsonb_object_agg(s.key, true), array_agg(DISTINCT to_json(s.value)::text) INTO people, printed FROM said s;
	UPDATE loyalty_internal.idempotency_key r SET answer = loyalty_internal.answer_without(r.answer::json, people)
	WHERE r.merchant_id = erase_answers.merchant_id AND left(r.answer, 1) IN ('[', '{')
	  AND (EXISTS (SELECT FROM unnest(printed) p (value) WHERE strpos(r.answer, p.value) > 0)
		   -- as it was typed
		   OR people ? concat('curp ', loyalty_internal.curp_of(CASE WHEN r.answer LIKE '{"ok":true,"curp_en_uso":%' THEN r.answer::json ->> 'curp_en_uso' END)));
END
$$;
COMMENT ON FUNCTION loyalty_internal.erase_answers(bigint, bigint[]) IS
'Takes members out of the answers that are kept for idempotency keys: a late repeat gets the first answer without what it said of them. Of the items of a batch only those are found here whose member was looked up: what an item says itself is not kept.';

CREATE FUNCTION loyalty_internal.phone_of(text) RETURNS loyalty.phone
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'phone_of';
COMMENT ON FUNCTION loyalty_internal.phone_of(text) IS
'The phone that a text is, with whatever punctuation, as in requests; NULL: it is none.';

CREATE FUNCTION loyalty_internal.phones_of_members(merchant_id bigint, member_ids bigint[]) RETURNS SETOF loyalty.phone
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT DISTINCT ON (p.phone::text) p.phone
	FROM (
		SELECT m.phone FROM loyalty_internal.member m
		WHERE m.merchant_id = phones_of_members.merchant_id AND m.member_id = ANY (phones_of_members.member_ids)
		UNION ALL SELECT loyalty_internal.phone_of(h.was) FROM loyalty_internal.member_change h
		WHERE h.merchant_id = phones_of_members.merchant_id AND h.member_id = ANY (phones_of_members.member_ids) AND h.attribute = 'phone'
		UNION ALL SELECT g.phone FROM loyalty_internal.message g
		WHERE g.merchant_id = phones_of_members.merchant_id AND g.member_id = ANY (phones_of_members.member_ids)
		UNION ALL SELECT loyalty_internal.phone_of(s.application ->> 'telefono') FROM loyalty_internal.policy s
		WHERE s.merchant_id = phones_of_members.merchant_id AND s.member_id = ANY (phones_of_members.member_ids)) p (phone)
	WHERE p.phone IS NOT NULL;
END;
COMMENT ON FUNCTION loyalty_internal.phones_of_members(bigint, bigint[]) IS
'The phones that members have or had, those that came with their orders too, as far as they are still kept: by these they may be on the blacklist.';

CREATE FUNCTION loyalty_internal.erase_phones(merchant_id bigint, phones loyalty.phone[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	added loyalty.phone[];
	p loyalty.phone;
BEGIN
	-- Who is just putting one there is waited for.
	FOREACH p IN ARRAY ARRAY(SELECT DISTINCT u.phone FROM unnest(phones) u (phone) ORDER BY u.phone USING OPERATOR(loyalty.<)) LOOP
		INSERT INTO loyalty_internal.blacklisted_phone (merchant_id, phone) VALUES (erase_phones.merchant_id, p) ON CONFLICT DO NOTHING;
		IF FOUND THEN
			added := added || p;
		END IF;
	END LOOP;
	DELETE FROM loyalty_internal.blacklisted_phone b
	WHERE b.merchant_id = erase_phones.merchant_id AND b.phone OPERATOR(loyalty.=) ANY (phones) AND (b.phone OPERATOR(loyalty.=) ANY (added)
	   OR NOT EXISTS (SELECT FROM loyalty_internal.member m WHERE m.merchant_id = b.merchant_id AND m.phone OPERATOR(loyalty.=) b.phone)
	  AND NOT EXISTS (SELECT FROM loyalty_internal.staff s WHERE s.merchant_id = b.merchant_id AND s.number OPERATOR(loyalty.=) b.phone));
	UPDATE loyalty_internal.blacklisted_phone b SET reason = ''
	WHERE b.merchant_id = erase_phones.merchant_id AND b.phone OPERATOR(loyalty.=) ANY (phones);
END
$$;
COMMENT ON FUNCTION loyalty_internal.erase_phones(bigint, loyalty.phone[]) IS
'Takes phones off the blacklist that nobody has any more; of others, which somebody else has by now, the reason.';

CREATE FUNCTION loyalty_internal.other_text_key(text_key uuid, of_member boolean, of_owner boolean) RETURNS uuid
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT encode(set_byte(uuid_send(gen_random_uuid()), 6, 128 | of_member::integer | of_owner::integer * 2
		| CASE WHEN k.byte >> 4 = 8 THEN k.byte & 3 ELSE 0 END), 'hex')::uuid
	FROM get_byte(uuid_send(text_key), 6) k (byte);
END;
COMMENT ON FUNCTION loyalty_internal.other_text_key(uuid, boolean, boolean) IS
'Part of loyalty_internal.erase_members(): a random key that takes the place of this one, and says that texts of the member who has the account''s number, or of whoever owns the account, are not kept any more.';

-- Whoever loads just now is waited for.
CREATE FUNCTION loyalty_internal.erase_curp_records(merchant_id bigint, member_ids bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	curps loyalty.curp[] := ARRAY(
		SELECT c.curp FROM loyalty_internal.customer c
		WHERE c.merchant_id = erase_curp_records.merchant_id AND c.member_id = ANY (erase_curp_records.member_ids) ORDER BY c.curp USING OPERATOR(loyalty.<));
BEGIN
	INSERT INTO loyalty.curp_record (merchant_id, curp, first_name, first_last_name)
	SELECT erase_curp_records.merchant_id, u.curp, 'cancelado', 'cancelado' FROM unnest(curps) u (curp) ON CONFLICT DO NOTHING;
	DELETE FROM loyalty.curp_record r WHERE r.merchant_id = erase_curp_records.merchant_id AND r.curp OPERATOR(loyalty.=) ANY (curps);
END
$$;
COMMENT ON FUNCTION loyalty_internal.erase_curp_records(bigint, bigint[]) IS
'Part of loyalty_internal.erase_members(): deletes what was looked up of the CURPs of members, and is just being loaded of them: a row in its place waits for that.';

-- Who leaves an account locks it, and may have owned a lower one before.
CREATE FUNCTION loyalty_internal.lock_accounts_of_members(merchant_id bigint, member_ids bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM FROM loyalty_internal.account a
	WHERE a.merchant_id = lock_accounts_of_members.merchant_id AND a.account_id IN (
		SELECT o.account_id FROM loyalty_internal.accounts_of_members(lock_accounts_of_members.merchant_id, lock_accounts_of_members.member_ids) o
		UNION SELECT unnest(ARRAY[m.account_id, m.own_account_id]) FROM loyalty_internal.member m
		WHERE m.merchant_id = lock_accounts_of_members.merchant_id AND m.member_id = ANY (lock_accounts_of_members.member_ids))
	ORDER BY a.account_id FOR UPDATE;
END
$$;
COMMENT ON FUNCTION loyalty_internal.lock_accounts_of_members(bigint, bigint[]) IS
'Part of what erases members, who are locked: locks the accounts that they have owned, have, or can go back to, in the order of the engine.';

-- What is in flight is waited for, in one order: customers, members, accounts,
-- policies, each in ascending order, as everywhere.  Only then is anything read, by
-- statements of their own, which see what those have committed.  Whoever posts
-- later, or pays, sees under the same locks that it is of nobody.
CREATE FUNCTION loyalty_internal.erase_members(merchant_id bigint, member_ids bigint[]) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	phones loyalty.phone[];
	erased boolean;
BEGIN
	PERFORM FROM loyalty_internal.member m
	WHERE m.merchant_id = erase_members.merchant_id AND m.member_id = ANY (erase_members.member_ids) ORDER BY m.member_id FOR UPDATE;
	PERFORM loyalty_internal.lock_accounts_of_members(erase_members.merchant_id, erase_members.member_ids);
	PERFORM FROM loyalty_internal.policy s
	WHERE s.merchant_id = erase_members.merchant_id AND s.member_id = ANY (erase_members.member_ids) ORDER BY s.policy_id FOR UPDATE;

	erased := loyalty_internal.erase_entries(erase_members.merchant_id, erase_members.member_ids);
	UPDATE loyalty_internal.account a SET text_key = loyalty_internal.other_text_key(a.text_key,
		a.account_id = ANY (erase_members.member_ids) OR NOT EXISTS (
			SELECT FROM loyalty_internal.member m WHERE m.merchant_id = a.merchant_id AND m.member_id = a.account_id), o.owns)
	FROM (
		SELECT w.account_id, bool_or(w.until_no = 9223372036854775807) AS owns
		FROM loyalty_internal.accounts_of_members(erase_members.merchant_id, erase_members.member_ids) w GROUP BY w.account_id) o
	WHERE a.merchant_id = erase_members.merchant_id AND a.account_id = o.account_id;

	PERFORM loyalty_internal.erase_answers(erase_members.merchant_id, erase_members.member_ids);
	phones := ARRAY(SELECT loyalty_internal.phones_of_members(erase_members.merchant_id, erase_members.member_ids));
	UPDATE loyalty_internal.payment y SET reference = NULL, payer_digest = loyalty_internal.merchant_digest(y.merchant_id, y.reference || ' ' || (
		SELECT c.curp::text FROM loyalty_internal.customer c WHERE c.merchant_id = s.merchant_id AND c.member_id = s.member_id))
	FROM loyalty_internal.policy s
	WHERE s.merchant_id = erase_members.merchant_id AND s.member_id = ANY (erase_members.member_ids)
	  AND y.merchant_id = erase_members.merchant_id AND y.policy_id = s.policy_id AND y.reference IS NOT NULL;
	erased := erased OR FOUND;
	PERFORM loyalty_internal.erase_curp_records(erase_members.merchant_id, erase_members.member_ids);
	DELETE FROM loyalty_internal.customer c WHERE c.merchant_id = erase_members.merchant_id AND c.member_id = ANY (erase_members.member_ids);
	erased := erased OR FOUND;
	DELETE FROM loyalty_internal.member_address d WHERE d.merchant_id = erase_members.merchant_id AND d.member_id = ANY (erase_members.member_ids);
	erased := erased OR FOUND;
	DELETE FROM loyalty_internal.member_change h WHERE h.merchant_id = erase_members.merchant_id AND h.member_id = ANY (erase_members.member_ids);
	erased := erased OR FOUND;
	DELETE FROM loyalty_internal.message g WHERE g.merchant_id = erase_members.merchant_id AND g.member_id = ANY (erase_members.member_ids);
	erased := erased OR FOUND;
	UPDATE loyalty_internal.rank_grant g SET reason = ''
	WHERE g.merchant_id = erase_members.merchant_id AND g.member_id = ANY (erase_members.member_ids) AND g.reason <> '';
	erased := erased OR FOUND;
	UPDATE loyalty_internal.policy s SET application = NULL, service = ''
	WHERE s.merchant_id = erase_members.merchant_id AND s.member_id = ANY (erase_members.member_ids);
	UPDATE loyalty_internal.member m SET phone = NULL, email = NULL, name = 'cancelado', first_name = '', first_last_name = '',
		second_last_name = '', birth_date = NULL, country = '', active = false, client_id = loyalty_internal.new_client_id('CM'),
		cancelled_at = now()
	WHERE m.merchant_id = erase_members.merchant_id AND m.member_id = ANY (erase_members.member_ids) AND m.cancelled_at IS NULL;
	erased := erased OR FOUND;
	PERFORM loyalty_internal.erase_phones(erase_members.merchant_id, phones);
	RETURN erased;
END
$$;
COMMENT ON FUNCTION loyalty_internal.erase_members(bigint, bigint[]) IS
'Part of loyalty.erase_member() and loyalty.delete_blocked_customers(): makes members who have left nobody, and returns whether there was anything to erase.';

-- Both sides of a transfer have its text, and salts of both accounts: who erases
-- the one looks at the other, which is not locked.
CREATE FUNCTION loyalty_internal.begin_erasure(merchant_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM loyalty_internal.require_read_committed();
	PERFORM FROM loyalty_internal.merchant m WHERE m.merchant_id = begin_erasure.merchant_id FOR NO KEY UPDATE;
END
$$;
COMMENT ON FUNCTION loyalty_internal.begin_erasure(bigint) IS
'Part of what erases members, before it locks anything else: one erasure of a merchant waits for another. Errors: LY017 isolation_level.';

CREATE FUNCTION loyalty.erase_member(merchant_id bigint, member_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	cancelled timestamptz;
BEGIN
	PERFORM loyalty_internal.begin_erasure(erase_member.merchant_id);
	PERFORM FROM loyalty_internal.customer c
	WHERE c.merchant_id = erase_member.merchant_id AND c.member_id = erase_member.member_id FOR UPDATE;
	PERFORM loyalty_internal.lock_sharers(erase_member.merchant_id, erase_member.member_id);
	SELECT m.cancelled_at INTO cancelled FROM loyalty_internal.member m
	WHERE m.merchant_id = erase_member.merchant_id AND m.member_id = erase_member.member_id;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no member with this member_id.');
	ELSIF cancelled IS NULL THEN
		PERFORM loyalty_internal.lock_accounts_of_members(erase_member.merchant_id, ARRAY[erase_member.member_id]);
		PERFORM loyalty.disable_member(erase_member.merchant_id, erase_member.member_id);
	END IF;
	RETURN loyalty_internal.erase_members(erase_member.merchant_id, ARRAY[erase_member.member_id]);
END
$$;
COMMENT ON FUNCTION loyalty.erase_member(bigint, bigint) IS
'Erases what is personal of a member, with a CURP or without, at once and for good: names, birth date, phone, email, ids, CURP, addresses, messages, what they were before, the texts of what they did, references of their payments, what came with policies, reasons, and what kept answers say of them. What others are just writing of them is waited for, and erased too. Who has not left is taken out first, as by loyalty.disable_member(). Entries, payments, consents and the access log stay under their number, whose name is then cancelado, and loyalty.verify(), receipts, and late repeats of requests are what they were. What is posted or paid under the number afterwards is kept without its texts. Called again, it erases what there is by then. Returns whether there was anything to erase: the first time, always. Errors: LY017 isolation_level (other than READ COMMITTED), LY006 unknown_object.';

CREATE FUNCTION loyalty.erase_staff(merchant_id bigint, staff_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	had loyalty.phone;
BEGIN
	PERFORM loyalty_internal.require_read_committed();
	SELECT s.number INTO had FROM loyalty_internal.staff s
	WHERE s.merchant_id = erase_staff.merchant_id AND s.staff_id = erase_staff.staff_id FOR UPDATE;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no staff with this staff_id.');
	ELSIF had IS NULL THEN
		RETURN false;
	END IF;
	UPDATE loyalty_internal.staff s SET name = 'cancelado', number = NULL, password_digest = NULL, archived_at = coalesce(s.archived_at, now())
	WHERE s.merchant_id = erase_staff.merchant_id AND s.staff_id = erase_staff.staff_id;
	PERFORM loyalty_internal.erase_phones(erase_staff.merchant_id, ARRAY[had]);
	RETURN true;
END
$$;
COMMENT ON FUNCTION loyalty.erase_staff(bigint, bigint) IS
'Erases what is personal of a cashier or manager, at once and for good: name, number and password. Who is active is archived by it. Their staff_id stays in the list and in entries, with branch and type, under the name cancelado. Who is a member too is erased as one by loyalty.erase_member(). Returns whether they had not been erased yet. Errors: LY017 isolation_level (other than READ COMMITTED), LY006 unknown_object.';

CREATE FUNCTION loyalty.erase_sql_role(name name) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	line CONSTANT text := loyalty_internal.role_line(erase_sql_role.name::text);
BEGIN
	PERFORM loyalty_internal.require_read_committed();
	IF line IS NULL THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'name is required.');
	END IF;
	-- Whose name is just being written is waited for.
	LOCK TABLE loyalty_internal.sql_role IN SHARE ROW EXCLUSIVE MODE;
	IF EXISTS (SELECT FROM pg_roles r JOIN pg_roles g ON pg_has_role(r.oid, g.oid, 'MEMBER')
			   WHERE loyalty_internal.role_line(r.rolname::text) = line AND r.rolcanlogin AND has_schema_privilege(g.oid, 'loyalty', 'USAGE')) THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'The role may log in and use loyalty: drop it or take its rights before, or its name comes back.');
	END IF;
	UPDATE loyalty_internal.sql_role r SET name = NULL WHERE r.name = line;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION loyalty.erase_sql_role(name) IS
'Erases the name of a role of SQL, which somebody had for themselves, of all merchants, at once and for good. Its number stays in entries, under the name cancelado and that number, so who posted what is told apart as before, in reports too; a role that gets the name later has another. It has to be dropped before, not to log in any more, or to have no rights on schema loyalty, also by other roles. Returns whether there was anything to erase. Errors: LY017 isolation_level (other than READ COMMITTED), LY005 invalid_argument (NULL; the role may still post).';

CREATE FUNCTION loyalty_internal.lock_blocked(merchant_id bigint, moment timestamptz, max_rows integer) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN ARRAY(
		SELECT c.member_id FROM loyalty_internal.customer c
		WHERE c.merchant_id = lock_blocked.merchant_id AND c.blocked_at <= lock_blocked.moment
		ORDER BY c.blocked_at, c.member_id LIMIT lock_blocked.max_rows FOR UPDATE);
END
$$;
COMMENT ON FUNCTION loyalty_internal.lock_blocked(bigint, timestamptz, integer) IS 'Part of loyalty.delete_blocked_customers(): locks whose turn it is. The plan is one for many customers, and that of the erasure is not.';

CREATE FUNCTION loyalty.delete_blocked_customers(merchant_id bigint, older_than interval DEFAULT '30 days', max_rows integer DEFAULT 10000)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	moment CONSTANT timestamptz := loyalty_internal.forgotten_before(delete_blocked_customers.older_than, delete_blocked_customers.max_rows);
	gone bigint[];
BEGIN
	PERFORM loyalty_internal.begin_erasure(delete_blocked_customers.merchant_id);
	gone := loyalty_internal.lock_blocked(delete_blocked_customers.merchant_id, moment, delete_blocked_customers.max_rows);
	IF cardinality(gone) > 0 THEN
		PERFORM loyalty_internal.erase_members(delete_blocked_customers.merchant_id, gone);
	END IF;
	RETURN cardinality(gone);
END
$$;
COMMENT ON FUNCTION loyalty.delete_blocked_customers(bigint, interval, integer) IS
'Second step of a cancellation: erases customers that were blocked that long ago or longer, as loyalty.erase_member() does, the first max_rows (1 to 1,000,000) of them, and returns how many: as many as max_rows, and there may be more. It looks once at all entries of the merchant, however many there are to erase. Errors: LY005 invalid_argument, LY017 isolation_level (other than READ COMMITTED).';

CREATE FUNCTION loyalty.export_member(merchant_id bigint, member_id bigint) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	merchant CONSTANT bigint := export_member.merchant_id;
	id CONSTANT bigint := export_member.member_id;
	export json;
BEGIN
	PERFORM FROM loyalty_internal.member m WHERE m.merchant_id = merchant AND m.member_id = id;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no member with this member_id.');
	END IF;
	-- What accounts have now is told to who owns them now; what others did with them before or since is not of who owns, or left them.
	WITH had AS MATERIALIZED (
		SELECT o.account_id, o.until_no, o.since, o.until FROM loyalty_internal.accounts_of_members(merchant, ARRAY[id]) o
	), owned AS MATERIALIZED (
		SELECT o.account_id FROM had o WHERE o.until_no = 9223372036854775807
	), looked_at AS MATERIALIZED (
		SELECT o.entry_id, o.on_their_side FROM loyalty_internal.entries_of_members(merchant, ARRAY[id]) o
	), entries AS MATERIALIZED (
		SELECT e.*, r.detail AS remainder FROM looked_at o
		JOIN loyalty.entry e ON e.merchant_id = merchant AND e.entry_id = o.entry_id
		LEFT JOIN loyalty_internal.entry_remainder r ON r.merchant_id = merchant AND r.entry_id = o.entry_id
		WHERE o.on_their_side
	), counted AS (
		-- Limits count by the number of who is named, else of the account: of who uses which, on what day.
		SELECT l.*, EXISTS (
			SELECT FROM looked_at o JOIN loyalty.entry e ON e.merchant_id = merchant AND e.entry_id = o.entry_id
			WHERE NOT o.on_their_side AND coalesce(e.member_id, e.account_id) = l.subject_id AND e.origin_entry_id IS NULL
			  AND (e.posted_at AT TIME ZONE p.time_zone)::date = l.day) AS by_others
		FROM loyalty_internal.allowance l JOIN loyalty_internal.program p ON p.merchant_id = l.merchant_id AND p.program_id = l.program_id
		WHERE l.merchant_id = merchant AND l.scope = 'member' AND (l.subject_id = id OR l.subject_id IN (SELECT a.account_id FROM owned a))
	)
	SELECT json_build_object(
		'exported_at', now(),
		'merchant', (SELECT t.name FROM loyalty_internal.merchant t WHERE t.merchant_id = merchant),
		'member', (SELECT row_to_json(r) FROM (
			SELECT m.member_id, p.name AS program, m.client_id, m.phone, m.email, m.name, m.first_name, m.first_last_name, m.second_last_name,
				   m.birth_date, m.country, m.active, m.subscribed_at, m.created_at, m.cancelled_at, m.enrolled_by, m.granted_rank, m.rank_given,
				   loyalty.rank_at(merchant, m.account_id, now()) AS rank, m.account_id, m.own_account_id
			FROM loyalty_internal.member m JOIN loyalty_internal.program p ON p.merchant_id = m.merchant_id AND p.program_id = m.program_id
			WHERE m.merchant_id = merchant AND m.member_id = id) r),
		'customer', (SELECT row_to_json(r) FROM (
			SELECT c.curp, c.user_name, c.kind, c.preferences, c.deceased, c.blocked_at FROM loyalty_internal.customer c
			WHERE c.merchant_id = merchant AND c.member_id = id) r),
		'curp_record', (SELECT row_to_json(r) FROM (
			SELECT k.first_name, k.first_last_name, k.second_last_name, k.status, k.deceased, k.recorded_at
			FROM loyalty_internal.customer c JOIN loyalty.curp_record k ON k.merchant_id = c.merchant_id AND k.curp OPERATOR(loyalty.=) c.curp
			WHERE c.merchant_id = merchant AND c.member_id = id) r),
		'addresses', coalesce((SELECT json_agg(row_to_json(r)) FROM (
			SELECT d.ordinal, d.street, d.number_inside, d.number_outside, d.neighborhood, d.city, d.postcode, d.state, d.country
			FROM loyalty_internal.member_address d WHERE d.merchant_id = merchant AND d.member_id = id ORDER BY d.ordinal) r), '[]'),
		'changes', coalesce((SELECT json_agg(row_to_json(r)) FROM (
			SELECT h.changed_at, h.attribute, h.was
			FROM loyalty_internal.member_change h WHERE h.merchant_id = merchant AND h.member_id = id ORDER BY h.change_id) r), '[]'),
		'balances', coalesce((SELECT json_agg(row_to_json(r)) FROM (
			SELECT b.account_id, s.balance, s.held, s.pending, s.earned, s.expired, s.lots, b.qualifying, b.purchases, b.due_at, b.posted_at, b.entry_no
			FROM loyalty_internal.account b, LATERAL loyalty_internal.account_state(merchant, b.account_id, clock_timestamp()) s
			WHERE b.merchant_id = merchant AND b.account_id IN (
				SELECT a.account_id FROM owned a UNION SELECT m.account_id FROM loyalty_internal.member m WHERE m.merchant_id = merchant AND m.member_id = id)
			ORDER BY b.account_id) r), '[]'),
		'accounts_owned', coalesce((SELECT json_agg(row_to_json(r)) FROM (
			SELECT w.account_id, w.since, w.entry_no
			FROM loyalty_internal.account_owner w WHERE w.merchant_id = merchant AND w.member_id = id ORDER BY w.since) r), '[]'),
		'entries', coalesce((SELECT json_agg(row_to_json(r)) FROM (
			SELECT e.posted_at, loyalty.entry_kind(e.kind) AS kind, e.amount, e.balance, e.reserved, e.money, e.reference,
				   coalesce(e.detail, e.remainder) AS detail, e.staff_id, e.member_id, e.lots, e.happened_at, e.actor_id, e.request_id, e.rules,
				   e.account_id, e.entry_no, e.entry_id, e.origin_entry_id, e.peer_account_id
			FROM entries e ORDER BY e.posted_at, e.account_id, e.entry_no) r), '[]'),
		'reservations', coalesce((SELECT json_agg(row_to_json(r)) FROM (
			SELECT loyalty.entry_kind(v.kind) AS kind, v.amount, v.remaining, v.lots, v.due_at, v.account_id, v.entry_no, v.entry_id
			FROM loyalty_internal.reservation v WHERE v.merchant_id = merchant AND v.entry_id IN (SELECT e.entry_id FROM entries e)
			ORDER BY v.entry_id) r), '[]'),
		'lots_expired', coalesce((SELECT json_agg(row_to_json(r)) FROM (
			SELECT x.account_id, x.expires_at, x.points, x.refunded
			FROM had a JOIN loyalty_internal.expired_lot x ON x.merchant_id = merchant AND x.account_id = a.account_id AND x.expires_at >= a.since AND x.expires_at < a.until
			ORDER BY x.account_id, x.expires_at) r), '[]'),
		'ranks_held', coalesce((SELECT json_agg(row_to_json(r)) FROM (
			SELECT k.account_id, k.rank, greatest(k.since, a.since) AS since, nullif(least(k.until, a.until), 'infinity') AS ends_at, k.from_points,
				   CASE WHEN k.reversed_at < a.until THEN greatest(k.reversed_at, a.since) END AS reversed_at
			FROM had a JOIN loyalty_internal.rank_held k ON k.merchant_id = merchant AND k.account_id = a.account_id AND k.since < a.until AND k.until > a.since
			ORDER BY k.account_id, k.since, k.rank) r), '[]'),
		'ranks_given', coalesce((SELECT json_agg(row_to_json(r)) FROM (
			SELECT g.since, nullif(g.rank, '') AS rank, nullif(g.until, 'infinity') AS ends_at, g.reason
			FROM loyalty_internal.rank_grant g WHERE g.merchant_id = merchant AND g.member_id = id ORDER BY g.since) r), '[]'),
		'messages', coalesce((SELECT json_agg(row_to_json(r)) FROM (
			SELECT g.created_at, g.sent_at, g.attempts, g.claimed_until, g.channel, g.phone, g.body, g.message_id
			FROM loyalty_internal.message g WHERE g.merchant_id = merchant AND g.member_id = id ORDER BY g.message_id) r), '[]'),
		'blacklisted', coalesce((SELECT json_agg(row_to_json(r)) FROM (
			SELECT b.phone, b.reason, b.created_at FROM loyalty_internal.blacklisted_phone b
			WHERE b.merchant_id = merchant AND b.phone::text IN (SELECT p.phone::text FROM loyalty_internal.phones_of_members(merchant, ARRAY[id]) p (phone))
			  -- what another has by now is not said of them
			  AND NOT EXISTS (SELECT FROM loyalty_internal.member o
				WHERE o.merchant_id = merchant AND o.phone OPERATOR(loyalty.=) b.phone AND o.member_id <> id)
			ORDER BY b.phone) r), '[]'),
		'limits', coalesce((SELECT json_agg(row_to_json(r)) FROM (
			SELECT CASE WHEN l.adds THEN 'add' ELSE 'spend' END AS direction, l.max_points, l.max_operations, l.set_at
			FROM loyalty_internal.posting_limit l
			WHERE l.merchant_id = merchant AND l.scope = 'member' AND (l.subject_id = id OR l.subject_id IN (SELECT a.account_id FROM owned a)
				AND NOT EXISTS (SELECT FROM loyalty_internal.member o WHERE o.merchant_id = merchant AND o.member_id = l.subject_id)) ORDER BY l.adds) r), '[]'),
		'limits_used', coalesce((SELECT json_agg(row_to_json(r)) FROM (
			SELECT l.day, CASE WHEN l.adds THEN 'add' ELSE 'spend' END AS direction, l.points_given OPERATOR(loyalty.-) l.points_left AS points_used,
				   l.operations_given - l.operations_left AS operations_used
			FROM counted l WHERE NOT l.by_others ORDER BY l.day, l.adds) r), '[]'),
		'rules_used', coalesce((SELECT json_agg(row_to_json(r)) FROM (
			SELECT u.account_id, u.rule, max(u.day) AS day, coalesce(loyalty.sum(u.points) FILTER (WHERE u.day = u.newest), '0') AS points_day,
				   coalesce(loyalty.sum(u.points) FILTER (WHERE date_trunc('week', u.day::timestamp) = date_trunc('week', u.newest::timestamp)), '0') AS points_week,
				   coalesce(loyalty.sum(u.points) FILTER (WHERE date_trunc('month', u.day::timestamp) = date_trunc('month', u.newest::timestamp)), '0') AS points_month,
				   coalesce(loyalty.sum(u.points) FILTER (WHERE date_trunc('year', u.day::timestamp) = date_trunc('year', u.newest::timestamp)), '0') AS points_year,
				   loyalty.sum(u.points) AS points_ever
			FROM (SELECT w.account_id, w.rule, w.day, w.points OPERATOR(loyalty.-) w.returned AS points, max(w.day) OVER (PARTITION BY w.account_id, w.rule) AS newest
				  FROM loyalty_internal.rule_award w WHERE w.merchant_id = merchant AND w.entry_id IN (SELECT e.entry_id FROM entries e)) u
			GROUP BY u.account_id, u.rule ORDER BY u.rule, u.account_id) r), '[]'),
		'rule_awards', coalesce((SELECT json_agg(row_to_json(r)) FROM (
			SELECT w.account_id, w.entry_id, w.rule, w.day, w.points, w.returned
			FROM loyalty_internal.rule_award w WHERE w.merchant_id = merchant AND w.entry_id IN (SELECT e.entry_id FROM entries e)
			ORDER BY w.entry_id, w.rule) r), '[]'),
		'rule_points', coalesce((SELECT json_agg(row_to_json(r)) FROM (
			SELECT w.entry_id, w.ordinal, w.points
			FROM loyalty_internal.entry_rule w WHERE w.merchant_id = merchant AND w.entry_id IN (SELECT e.entry_id FROM entries e)
			ORDER BY w.entry_id, w.ordinal) r), '[]'),
		'consents', coalesce((SELECT json_agg(row_to_json(r)) FROM (
			SELECT c.consent_id, c.app_user, c.policy_id, c.purpose, c.notice_version, c.valid_from, c.recorded_at, c.valid_until, c.revoked_at
			FROM loyalty_internal.consent c WHERE c.merchant_id = merchant AND c.member_id = id ORDER BY c.consent_id) r), '[]'),
		'accesses', coalesce((SELECT json_agg(row_to_json(r)) FROM (
			SELECT a.at, a.app_user, a.operation, a.request, a.status, a.address, a.times, a.last_at
			FROM loyalty_internal.access a WHERE a.merchant_id = merchant AND a.member_id = id ORDER BY a.at, a.access_id) r), '[]'),
		'policies', coalesce((SELECT json_agg(row_to_json(r)) FROM (
			SELECT s.policy_id, s.policy_number, s.sale_no, d.name AS product, s.trust, s.price, s.cost, s.payments AS number_of_payments, s.pay_day,
				   s.commission, s.sold_by, s.status, s.registered_at, s.paid_off_at, s.service, s.application,
				   (SELECT json_agg(json_build_object('ordinal', i.ordinal, 'due_on', i.due_on, 'amount', i.amount) ORDER BY i.ordinal)
					FROM loyalty_internal.instalment i WHERE i.merchant_id = merchant AND i.policy_id = s.policy_id) AS instalments,
				   coalesce((SELECT json_agg(json_build_object('payment_no', y.payment_no, 'paid_at', y.paid_at, 'paid_on', y.paid_on, 'amount', y.amount, 'balance', y.balance,
						'method', y.method, 'reference', y.reference, 'app_user', y.app_user, 'commission', y.commission, 'payment_id', y.payment_id) ORDER BY y.payment_no)
					FROM loyalty_internal.payment y WHERE y.merchant_id = merchant AND y.policy_id = s.policy_id), '[]') AS payments
			FROM loyalty_internal.policy s JOIN loyalty_internal.product d ON d.merchant_id = s.merchant_id AND d.product_id = s.product_id
			WHERE s.merchant_id = merchant AND s.member_id = id ORDER BY s.sale_no) r), '[]'))
	INTO export;
	RETURN export;
END
$$;
COMMENT ON FUNCTION loyalty.export_member(bigint, bigint) IS
'Everything that is kept about a member, as one JSON object for whoever asks for their data: member, customer (null: no CURP), curp_record (null: not looked up), and lists of addresses, changes (what they were before), balances (with lots: when points expire), accounts_owned, entries (what they did, and what was posted to accounts while theirs, with what goes on with it, as refunds do), reservations (of these, what is held or pending, and until when), lots_expired, ranks_held and ranks_given, messages, blacklisted (phones that are theirs, or were and are nobody''s now), limits and limits_used (those of theirs alone), rules_used and rule_awards (what rules with caps have given), rule_points (what of a sale each rule gave, 0: the base), consents, accesses (who read their data, when), and policies with instalments and payments. Points and money are numbers or texts, times ISO 8601. Hashes and keys are left out, and so are answers kept for idempotency keys, which only repeat it. Of an account that had other owners before or since, ranks, what expired and what rules gave are those of the member''s time, and of limits what nobody else has used under the same number that day. It looks at all entries of the merchant, and writes nothing. Errors: LY006 unknown_object.';

CREATE FUNCTION loyalty.export_staff(merchant_id bigint, staff_id bigint) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	merchant CONSTANT bigint := export_staff.merchant_id;
	id CONSTANT bigint := export_staff.staff_id;
	export json;
BEGIN
	SELECT json_build_object(
		'exported_at', now(),
		'merchant', (SELECT t.name FROM loyalty_internal.merchant t WHERE t.merchant_id = merchant),
		'staff', row_to_json(r),
		'worked_at', coalesce((SELECT json_agg(json_build_object('branch', b.name, 'until', v.moved_at) ORDER BY v.moved_at) FROM loyalty_internal.staff_move v
			JOIN loyalty_internal.branch b ON b.merchant_id = v.merchant_id AND b.branch_id = v.branch_id
			WHERE v.merchant_id = merchant AND v.staff_id = id), '[]'),
		'programs', coalesce((SELECT json_agg(p.name ORDER BY p.program_id) FROM loyalty_internal.staff_program w
			JOIN loyalty_internal.program p ON p.merchant_id = w.merchant_id AND p.program_id = w.program_id
			WHERE w.merchant_id = merchant AND w.staff_id = id), '[]'),
		'blacklisted', coalesce((SELECT json_agg(json_build_object('phone', b.phone, 'reason', b.reason, 'created_at', b.created_at))
			FROM loyalty_internal.blacklisted_phone b WHERE b.merchant_id = merchant AND b.phone OPERATOR(loyalty.=) r.number), '[]'),
		'limits', coalesce((SELECT json_agg(json_build_object('program_id', l.program_id, 'direction', CASE WHEN l.adds THEN 'add' ELSE 'spend' END,
				'max_points', l.max_points, 'max_operations', l.max_operations, 'set_at', l.set_at) ORDER BY l.program_id, l.adds)
			FROM loyalty_internal.posting_limit l WHERE l.merchant_id = merchant AND l.scope = 'staff' AND l.subject_id = id), '[]'),
		'limits_used', coalesce((SELECT json_agg(json_build_object('program_id', l.program_id, 'day', l.day, 'direction', CASE WHEN l.adds THEN 'add' ELSE 'spend' END,
				'points_used', l.points_given OPERATOR(loyalty.-) l.points_left, 'operations_used', l.operations_given - l.operations_left)
				ORDER BY l.program_id, l.adds)
			FROM loyalty_internal.allowance l WHERE l.merchant_id = merchant AND l.scope = 'staff' AND l.subject_id = id), '[]'),
		'enrolled', coalesce((SELECT json_agg(json_build_object('member_id', m.member_id, 'created_at', m.created_at) ORDER BY m.member_id)
			FROM loyalty_internal.member m WHERE m.merchant_id = merchant AND m.enrolled_by = id), '[]'),
		'entries', coalesce((SELECT json_agg(json_build_object('posted_at', e.posted_at, 'kind', loyalty.entry_kind(e.kind), 'amount', e.amount,
				'money', e.money, 'account_id', e.account_id, 'entry_no', e.entry_no, 'entry_id', e.entry_id)
				ORDER BY e.posted_at, e.account_id, e.entry_no)
			FROM loyalty.entry e WHERE e.merchant_id = merchant AND e.staff_id = id), '[]'))
	INTO export
	FROM (
		SELECT s.staff_id, s.name, s.number, b.name AS branch, s.role, s.restricted, s.created_at, s.archived_at
		FROM loyalty_internal.staff s JOIN loyalty_internal.branch b ON b.merchant_id = s.merchant_id AND b.branch_id = s.branch_id
		WHERE s.merchant_id = merchant AND s.staff_id = id) r;
	IF export IS NULL THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no staff with this staff_id.');
	END IF;
	RETURN export;
END
$$;
COMMENT ON FUNCTION loyalty.export_staff(bigint, bigint) IS
'Everything that is kept about a cashier or manager, as one JSON object for whoever asks for their data: staff, and lists of worked_at (branches that they left, and when), programs (of those who may not operate all), blacklisted (their phone), limits and limits_used, enrolled (members, by their number), and entries (what they posted, without the texts, which are the members'', who have loyalty.export_member()). The password is left out. It looks at all entries of the merchant, and writes nothing. Errors: LY006 unknown_object.';
