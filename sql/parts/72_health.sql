-- Health: what monitoring asks of the database, and asks often.
--
-- Each figure is read from an index that has only what is counted, and no further
-- than its first 10,000 rows, or from a table of a few rows a merchant.  None
-- reads the ledger, nor accounts in which nothing is due.  A bitmap would be made of
-- the whole index, however few rows of it are wanted.

CREATE FUNCTION loyalty_internal.age_s(at timestamptz) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$SELECT CASE WHEN at > now() THEN 0 ELSE extract(epoch FROM now() - at)::bigint END$$;
COMMENT ON FUNCTION loyalty_internal.age_s(timestamptz) IS 'How many seconds ago that was; 0 of what others have done since the transaction started.';

CREATE FUNCTION loyalty_internal.metrics(
	OUT merchant_id bigint, OUT messages_waiting bigint, OUT message_age_s bigint, OUT accounts_due bigint, OUT due_age_s bigint,
	OUT open_holds bigint, OUT customers_left bigint, OUT redemptions_left bigint, OUT messages_left bigint,
	OUT root_age_s bigint, OUT verify_age_s bigint, OUT verify_failed boolean,
	OUT key_age_s bigint, OUT keys_idle bigint)
RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
AS $$
	SELECT m.merchant_id, w.messages, loyalty_internal.age_s(o.created_at), d.accounts, loyalty_internal.age_s(f.due_at),
		   h.holds, q.customers, q.redemptions, q.messages,
		   loyalty_internal.age_s(r.made_at), loyalty_internal.age_s(v.clean_at), coalesce(n.failed, false), loyalty_internal.age_s(k.last_used_at), k.idle
	FROM loyalty_internal.merchant m CROSS JOIN pg_control_system() s
	-- of message_pending, whose ids ascend with time
	CROSS JOIN LATERAL (SELECT count(*) FROM (SELECT FROM loyalty_internal.message x
		WHERE x.merchant_id = m.merchant_id AND x.sent_at IS NULL LIMIT 10000) y) w (messages)
	LEFT JOIN LATERAL (SELECT x.created_at FROM loyalty_internal.message x
		WHERE x.merchant_id = m.merchant_id AND x.sent_at IS NULL ORDER BY x.message_id LIMIT 1) o ON true
	-- of account_due
	CROSS JOIN LATERAL (SELECT count(*) FROM (SELECT FROM loyalty_internal.account x
		WHERE x.merchant_id = m.merchant_id AND x.due_at <= now() LIMIT 10000) y) d (accounts)
	LEFT JOIN LATERAL (SELECT x.due_at FROM loyalty_internal.account x
		WHERE x.merchant_id = m.merchant_id AND x.due_at <= now() ORDER BY x.due_at LIMIT 1) f ON true
	-- of reservation_open
	CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE loyalty.entry_kind(y.kind) = 'hold') FROM (SELECT x.kind FROM loyalty_internal.reservation x
		WHERE x.merchant_id = m.merchant_id AND x.remaining OPERATOR(loyalty.>) '0'::loyalty.points LIMIT 10000) y) h (holds)
	CROSS JOIN LATERAL (SELECT sum(x.remaining) FILTER (WHERE x.resource = 'customers')::bigint, sum(x.remaining) FILTER (WHERE x.resource = 'redemptions')::bigint,
			sum(x.remaining) FILTER (WHERE x.resource = 'messages')::bigint
		FROM loyalty_internal.quota x WHERE x.merchant_id = m.merchant_id) q (customers, redemptions, messages)
	LEFT JOIN LATERAL (SELECT x.made_at FROM loyalty_internal.root x WHERE x.merchant_id = m.merchant_id ORDER BY x.root_id DESC LIMIT 1) r ON true
	CROSS JOIN LATERAL (SELECT max(x.clean_at) FROM loyalty_internal.verification x WHERE x.merchant_id = m.merchant_id) v (clean_at)
	CROSS JOIN LATERAL (SELECT max(x.last_used_at), count(*) FILTER (WHERE x.disabled_at IS NULL AND (x.expires_at IS NULL OR x.expires_at > now())
			AND greatest(x.created_at, x.last_used_at) < now() - interval '90 days')
		FROM (SELECT y.* FROM loyalty_internal.api_key y WHERE y.merchant_id = m.merchant_id ORDER BY y.key_id DESC LIMIT 10000) x) k (last_used_at, idle)
	-- of this server, or else of another
	LEFT JOIN LATERAL (SELECT x.failed FROM loyalty_internal.verification x WHERE x.merchant_id = m.merchant_id
		ORDER BY x.server = s.system_identifier DESC, x.verified_at DESC LIMIT 1) n ON true
$$;
COMMENT ON FUNCTION loyalty_internal.metrics() IS
'What loyalty.metrics shows. Its cost grows with the number of merchants, and with what waits, is due or is held, up to 10,000 of each a merchant; not with accounts and entries.';

CREATE VIEW loyalty.metrics AS
SELECT x.merchant_id, x.messages_waiting, x.message_age_s, x.accounts_due, x.due_age_s, x.open_holds,
	   x.customers_left, x.redemptions_left, x.messages_left, x.root_age_s, x.verify_age_s, x.verify_failed,
	   x.key_age_s, x.keys_idle
FROM loyalty_internal.metrics() x;
COMMENT ON VIEW loyalty.metrics IS 'Figures for monitoring, a row for each merchant. They are cheap however large the database is: counts stop at 10,000.';
COMMENT ON COLUMN loyalty.metrics.messages_waiting IS 'Messages of the outbox that have not been sent, at most 10,000.';
COMMENT ON COLUMN loyalty.metrics.message_age_s IS 'How many seconds the oldest of them has waited; NULL: none waits.';
COMMENT ON COLUMN loyalty.metrics.accounts_due IS 'Accounts in which something has expired, is to be released or has become available, and has not been booked, at most 10,000.';
COMMENT ON COLUMN loyalty.metrics.due_age_s IS 'For how many seconds it has been due in the oldest of them; NULL: in none.';
COMMENT ON COLUMN loyalty.metrics.open_holds IS 'Holds that are neither captured nor released, of the first 10,000 holds and pending points.';
COMMENT ON COLUMN loyalty.metrics.customers_left IS 'What is left of the quota of customers; NULL: there is none.';
COMMENT ON COLUMN loyalty.metrics.redemptions_left IS 'What is left of the quota of redemptions; NULL: there is none.';
COMMENT ON COLUMN loyalty.metrics.messages_left IS 'What is left of the quota of messages; NULL: there is none.';
COMMENT ON COLUMN loyalty.metrics.root_age_s IS 'How many seconds ago the newest root was made; NULL: none was.';
COMMENT ON COLUMN loyalty.metrics.verify_age_s IS 'How many seconds ago the newest loyalty.verify() that found nothing began; NULL: there was none.';
COMMENT ON COLUMN loyalty.metrics.verify_failed IS 'Whether the newest loyalty.verify() of this server found something.';
COMMENT ON COLUMN loyalty.metrics.key_age_s IS 'How many seconds ago the hour began in which a request last came with one of the API keys, of the newest 10,000; NULL: none did.';
COMMENT ON COLUMN loyalty.metrics.keys_idle IS 'API keys of those that are good, and that no request has come with for 90 days; newer ones do not count.';

CREATE FUNCTION loyalty.health(OUT aspect text, OUT healthy boolean, OUT merchants bigint, OUT detail text) RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	WITH m AS MATERIALIZED (
		SELECT x.*, c.created_at FROM loyalty_internal.metrics() x JOIN loyalty_internal.merchant c ON c.merchant_id = x.merchant_id
	), found (aspect, merchant_id, badness, what) AS (
		SELECT 'outbox', m.merchant_id, m.message_age_s, format('%s messages wait, the oldest for %s s', m.messages_waiting, m.message_age_s)
		FROM m WHERE m.message_age_s > 3600
		UNION ALL
		SELECT 'due', m.merchant_id, m.due_age_s, format('%s accounts are due, the oldest for %s s', m.accounts_due, m.due_age_s)
		FROM m WHERE m.due_age_s > 86400
		UNION ALL
		SELECT 'quotas', m.merchant_id, -l.remaining, format('%s %s are left', l.remaining, l.resource)
		FROM m CROSS JOIN LATERAL (VALUES ('customers', m.customers_left), ('redemptions', m.redemptions_left), ('messages', m.messages_left)) l (resource, remaining)
		WHERE l.remaining < 100
		UNION ALL
		SELECT 'roots', m.merchant_id, m.root_age_s, format('the newest root is %s s old', m.root_age_s)
		FROM m WHERE m.root_age_s > 30 * 86400
		UNION ALL
		SELECT 'ledger', m.merchant_id, 9223372036854775807, 'verify() found something'
		FROM m WHERE m.verify_failed
		UNION ALL
		SELECT 'ledger', m.merchant_id, coalesce(m.verify_age_s, 9223372036854775806),
			   CASE WHEN m.verify_age_s IS NULL THEN 'verify() has never been run' ELSE format('verify() last found nothing %s s ago', m.verify_age_s) END
		FROM m WHERE NOT m.verify_failed AND loyalty_internal.age_s(m.created_at) > 3 * 86400 AND coalesce(m.verify_age_s, 9223372036854775807) > 3 * 86400
		UNION ALL
		-- who waits for a lock, or was cancelled, comes through the next time, or the one after
		SELECT 'maintenance', x.merchant_id, loyalty_internal.age_s(x.failed_at), format('%s has failed for %s s, with %s%s', x.task, loyalty_internal.age_s(x.failed_at), x.error, CASE x.error WHEN '57014' THEN ', cancelled or by statement_timeout' END)
		FROM loyalty_internal.maintenance x WHERE x.error NOT IN ('55P03', '40P01', '40001', '57014') OR loyalty_internal.age_s(x.failed_at) > 3600
		UNION ALL
		SELECT 'maintenance', x.merchant_id, loyalty_internal.age_s(max(x.tried_at)), format('maintain() was last run %s s ago', loyalty_internal.age_s(max(x.tried_at)))
		FROM loyalty_internal.maintenance x WHERE x.enabled GROUP BY x.merchant_id HAVING loyalty_internal.age_s(max(x.tried_at)) > 86400
		UNION ALL
		SELECT 'triggers', m.merchant_id, 0, format('a trigger of loyalty_internal.%s is not enabled always: run loyalty_internal.seal()', t.unwatched)
		FROM m CROSS JOIN loyalty_internal.unwatched_table() t (unwatched) WHERE t.unwatched IS NOT NULL
	)
	SELECT a.aspect, count(f.merchant_id) = 0, count(DISTINCT f.merchant_id),
		   (array_agg(format(CASE WHEN f.aspect <> 'triggers' THEN 'merchant %s: %s' ELSE '%2$s' END, f.merchant_id, f.what) ORDER BY f.badness DESC, f.merchant_id) FILTER (WHERE f.merchant_id IS NOT NULL))[1]
	FROM (VALUES (1, 'outbox'), (2, 'due'), (3, 'quotas'), (4, 'roots'), (5, 'ledger'), (6, 'maintenance'), (7, 'triggers')) a (place, aspect)
	LEFT JOIN found f ON f.aspect = a.aspect
	GROUP BY a.place, a.aspect ORDER BY a.place
$$;
COMMENT ON FUNCTION loyalty.health() IS
'What an operator should look at, a row for each aspect: whether all is well, of how many merchants it is not, and of the worst of these what. outbox: a message has waited for more than an hour. due: points have been due for more than a day, and expire_due() has not booked them. quotas: fewer than 100 customers, redemptions or messages are left. roots: the newest root is more than 30 days old; who never made one needs none. ledger: verify() found something, or has found nothing in the last three days. maintenance: a task of maintain() has failed, for an hour where it only met locks or was cancelled, as by statement_timeout, or maintain() was run once and not in the last day. triggers: one that tells sessions of changed settings is switched off, or on for ordinary roles only, as pg_restore --disable-triggers leaves them, which is so of all merchants; sessions remember no settings then, and loyalty_internal.seal() mends it. Other limits are queries of loyalty.metrics, from which this is made, and as cheap.';

CREATE FUNCTION loyalty_api.ready(writes boolean DEFAULT true) RETURNS json
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	-- 504, of which the web server makes a 503: PostgREST takes a 503 for a lost database.
	IF ready.writes AND pg_is_in_recovery() THEN
		PERFORM set_config('response.status', '504', true);
		RETURN '{"status": "read only"}';
	END IF;
	-- a call of the library, so that one that is missing or another one is noticed
	PERFORM loyalty_internal.quota_stripes();
	RETURN '{"status": "ready"}';
END
$$;
COMMENT ON FUNCTION loyalty_api.ready(boolean) IS
$$Whether requests can be served
For who balances the load, at /ready of the web server, with GET. writes: a database that can only be read is not ready.$$;
