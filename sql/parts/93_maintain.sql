-- Maintenance: one call for all that has to be run now and then, some of it at a time.
--
-- Each task of each merchant has a row, which whoever does it has locked: so two
-- who are at it do different ones, and what one leaves half done when it is killed
-- is due as before.  A step is a transaction: the first of the tasks that are due,
-- a part of it, and then the others have their turn.  What fails is written
-- down, waits as long as it has failed already, and keeps nothing else from being done.
-- The server's statement_timeout ends a call, whatever it was at: that is written down
-- too, and then the call goes no further, since the server interrupts it no more.  What is due is found by an index, so
-- a step takes no longer with many merchants; once in a call all of them are looked at.

CREATE TABLE loyalty_internal.maintenance (
	merchant_id		bigint		NOT NULL REFERENCES loyalty_internal.merchant,
	task			text		COLLATE "C" NOT NULL,
	enabled			boolean		NOT NULL DEFAULT true,
	every			interval,
	older_than		interval,
	tried_at		timestamptz,
	finished		boolean		NOT NULL DEFAULT false,
	failed_at		timestamptz,
	error			text		COLLATE "C",
	due_at			timestamptz	NOT NULL DEFAULT now(),
	PRIMARY KEY (merchant_id, task)
);
-- whose it is, as a number: of a truth value that is known the planner would make another expression
CREATE INDEX maintenance_due ON loyalty_internal.maintenance ((CASE task WHEN 'forget_access_log' THEN 1 ELSE 0 END), due_at, tried_at NULLS FIRST, merchant_id, task) WHERE enabled;
COMMENT ON TABLE loyalty_internal.maintenance IS 'The tasks of loyalty.maintain(): a row for each and each merchant, once it has run.';
COMMENT ON COLUMN loyalty_internal.maintenance.enabled IS 'Whether maintain() does it.';
COMMENT ON COLUMN loyalty_internal.maintenance.every IS 'How often, at most; NULL: as loyalty_internal.maintenance_tasks() says. So of older_than.';
COMMENT ON COLUMN loyalty_internal.maintenance.tried_at IS 'When it was last begun, or gone on with; NULL: never.';
COMMENT ON COLUMN loyalty_internal.maintenance.finished IS 'Whether it came to its end then; if not, it is due.';
COMMENT ON COLUMN loyalty_internal.maintenance.failed_at IS 'When it first failed, and did so each time since; NULL: the last time it did not.';
COMMENT ON COLUMN loyalty_internal.maintenance.error IS 'The SQLSTATE with which it failed last; the server''s log has the message.';
COMMENT ON COLUMN loyalty_internal.maintenance.due_at IS 'From when on it is due. Where there is more to do, the moment when the call began that left it, so that what was due before has its turn.';
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.maintenance TO loyalty_engine;

CREATE FUNCTION loyalty_internal.maintenance_tasks(OUT task text, OUT every interval, OUT older_than interval) RETURNS SETOF record
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT v.task, v.every, v.older_than FROM (VALUES
		('expire_due', interval '0', NULL::interval),
		('roll_up', '0', NULL),
		('count_fraud', '1 hour', NULL),
		('forget_idempotency_keys', '1 hour', '30 days'),
		('forget_messages', '1 hour', '90 days'),
		('forget_access_log', '1 day', '2 years'),
		('delete_blocked_customers', '1 day', '30 days'),
		('make_root', '7 days', NULL),
		('forget_roots', '1 day', '90 days')) v (task, every, older_than);
END;
COMMENT ON FUNCTION loyalty_internal.maintenance_tasks() IS 'The tasks of loyalty.maintain(), how often each is due, and what is forgotten, unless loyalty.set_maintenance() says otherwise.';

CREATE VIEW loyalty_internal.maintenance_terms AS
SELECT m.merchant_id, d.task COLLATE "C" AS task, coalesce(x.enabled, true) AS enabled, coalesce(x.every, d.every) AS every, coalesce(x.older_than, d.older_than) AS older_than,
	   x.tried_at, coalesce(x.finished, false) AS finished, x.failed_at, x.error, x.due_at
FROM loyalty_internal.merchant m
CROSS JOIN loyalty_internal.maintenance_tasks() d
LEFT JOIN loyalty_internal.maintenance x ON x.merchant_id = m.merchant_id AND x.task = d.task;
COMMENT ON VIEW loyalty_internal.maintenance_terms IS 'What loyalty.maintenance shows.';

CREATE VIEW loyalty.maintenance AS
SELECT t.merchant_id, t.task, t.enabled, t.every, t.older_than, t.tried_at, t.finished, t.failed_at, t.error, t.due_at FROM loyalty_internal.maintenance_terms t;
COMMENT ON VIEW loyalty.maintenance IS 'What loyalty.maintain() does for each merchant, by what terms, and how that went.';
COMMENT ON COLUMN loyalty.maintenance.merchant_id IS 'The merchant.';
COMMENT ON COLUMN loyalty.maintenance.task IS 'The function: expire_due, forget_idempotency_keys, forget_messages, forget_access_log, delete_blocked_customers, make_root, forget_roots; roll_up, which counts what was posted for loyalty_report.fact_day; or count_fraud, which counts for the dashboard what loyalty_report.fraud_… have of the last 30 days.';
COMMENT ON COLUMN loyalty.maintenance.enabled IS 'Whether maintain() does it.';
COMMENT ON COLUMN loyalty.maintenance.every IS 'How often it is due, at most; 0: each time.';
COMMENT ON COLUMN loyalty.maintenance.older_than IS 'How long what it deletes is kept; NULL: it deletes nothing.';
COMMENT ON COLUMN loyalty.maintenance.tried_at IS 'When it was last begun, or gone on with; NULL: never.';
COMMENT ON COLUMN loyalty.maintenance.due_at IS 'From when on it is due; NULL: it is, and maintain() has not seen it. What failed is tried in the next call, and then after as long as it has failed already, an hour at most.';

CREATE FUNCTION loyalty.set_maintenance(merchant_id bigint, task text, every interval DEFAULT NULL, older_than interval DEFAULT NULL, enabled boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	usual record;
BEGIN
	PERFORM loyalty_internal.require_merchant(set_maintenance.merchant_id);
	SELECT d.* INTO usual FROM loyalty_internal.maintenance_tasks() d WHERE d.task = set_maintenance.task COLLATE "C";
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'task is one of those in loyalty.maintenance.');
	ELSIF set_maintenance.every NOT BETWEEN interval '0' AND interval '1000 years' OR set_maintenance.enabled IS NULL THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'every is not negative, and up to 1,000 years; enabled is true or false.');
	ELSIF set_maintenance.older_than IS NOT NULL AND (usual.older_than IS NULL
		OR set_maintenance.task = 'forget_access_log' AND loyalty_internal.forgotten_before(set_maintenance.older_than) > now() - interval '1 year') THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'older_than is for what deletes something: not negative nor too long, and of forget_access_log a year at least.');
	END IF;
	PERFORM loyalty_internal.forgotten_before(coalesce(set_maintenance.older_than, '0'));
	INSERT INTO loyalty_internal.maintenance AS m (merchant_id, task, enabled, every, older_than)
	VALUES (set_maintenance.merchant_id, set_maintenance.task, set_maintenance.enabled, set_maintenance.every, set_maintenance.older_than)
	ON CONFLICT ON CONSTRAINT maintenance_pkey DO UPDATE SET enabled = excluded.enabled, every = excluded.every, older_than = excluded.older_than,
		failed_at = NULL, error = NULL, due_at = CASE WHEN m.finished THEN m.tried_at + coalesce(excluded.every, usual.every) ELSE now() END;
END
$$;
COMMENT ON FUNCTION loyalty.set_maintenance(bigint, text, interval, interval, boolean) IS
'By what terms loyalty.maintain() does a task for a merchant, as loyalty.maintenance shows them: every so often at most, and of what deletes something, what is older_than so much; NULL: as for all. enabled: whether it does it. Errors: LY006 unknown_object (no such merchant), LY005 invalid_argument.';

-- A part of a task; true: there is more of it.
CREATE FUNCTION loyalty_internal.maintain_task(merchant_id bigint, task text, older_than interval) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	max_rows CONSTANT integer := 10000;
BEGIN
	CASE maintain_task.task
		WHEN 'expire_due' THEN
			RETURN loyalty.expire_due(merchant_id, 1000) > 0;
		WHEN 'roll_up' THEN
			RETURN NOT r.at_end FROM loyalty_internal.roll_up(merchant_id) r;
		WHEN 'count_fraud' THEN
			PERFORM loyalty_internal.count_fraud(merchant_id);
			RETURN false;
		WHEN 'forget_idempotency_keys' THEN
			RETURN loyalty.forget_idempotency_keys(merchant_id, older_than, max_rows) >= max_rows;
		WHEN 'forget_messages' THEN
			RETURN loyalty.forget_messages(merchant_id, older_than, max_rows) >= max_rows;
		WHEN 'forget_access_log' THEN
			RETURN loyalty.forget_access_log(merchant_id, older_than, max_rows) >= max_rows;
		WHEN 'delete_blocked_customers' THEN
			RETURN loyalty.delete_blocked_customers(merchant_id, older_than, max_rows) >= max_rows;
		WHEN 'make_root' THEN
			PERFORM loyalty.make_root(merchant_id);
			RETURN false;
		WHEN 'forget_roots' THEN
			RETURN loyalty.forget_roots(merchant_id, older_than, max_rows) > 0;
	END CASE;
END
$$;
COMMENT ON FUNCTION loyalty_internal.maintain_task(bigint, text, interval) IS 'Part of loyalty.maintain(): does a part of a task, and returns whether there is more of it.';

-- Runs as whoever calls it: accesses are not the engine's to forget.
CREATE FUNCTION loyalty_internal.maintain_step(
	merchant_id bigint, max_seconds integer, of_access_log boolean, INOUT since timestamptz, INOUT ends_at timestamptz, INOUT steps bigint, INOUT failed bigint, OUT unfinished bigint) RETURNS record
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	moment CONSTANT timestamptz := clock_timestamp();
	job loyalty_internal.maintenance;
	usual record;
	more boolean;
	ended timestamptz;
	code text;
	message text;
BEGIN
	IF maintain_step.max_seconds IS NULL OR maintain_step.max_seconds NOT BETWEEN 0 AND 86400 THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'max_seconds is 0 to 86,400.');
	END IF;
	IF maintain_step.merchant_id IS NOT NULL AND NOT maintain_step.of_access_log THEN
		PERFORM loyalty_internal.require_merchant(maintain_step.merchant_id);
	END IF;
	-- the clock may step back while it runs
	since := least(maintain_step.since, moment);
	ends_at := least(maintain_step.ends_at, moment + make_interval(secs => maintain_step.max_seconds));
	steps := coalesce(maintain_step.steps, 0);
	failed := coalesce(maintain_step.failed, 0);
	IF steps = 0 AND NOT maintain_step.of_access_log THEN
		INSERT INTO loyalty_internal.maintenance (merchant_id, task)
		SELECT t.merchant_id, t.task FROM loyalty_internal.maintenance_terms t
		WHERE t.merchant_id = coalesce(maintain_step.merchant_id, t.merchant_id)
		  AND NOT EXISTS (SELECT FROM loyalty_internal.maintenance m WHERE m.merchant_id = t.merchant_id AND m.task = t.task)
		ORDER BY t.merchant_id, t.task ON CONFLICT DO NOTHING;
		-- a clock that was ahead says nothing
		UPDATE loyalty_internal.maintenance m SET due_at = since
		FROM (SELECT o.merchant_id, o.task FROM loyalty_internal.maintenance o WHERE o.enabled AND least(o.tried_at, o.due_at) > since AND o.merchant_id = coalesce(maintain_step.merchant_id, o.merchant_id)
			  ORDER BY o.merchant_id, o.task FOR UPDATE SKIP LOCKED) ahead
		WHERE m.merchant_id = ahead.merchant_id AND m.task = ahead.task;
	END IF;
	IF steps = 0 OR moment < maintain_step.ends_at THEN
		SELECT m.* INTO job FROM loyalty_internal.maintenance m
		WHERE m.enabled AND CASE m.task WHEN 'forget_access_log' THEN 1 ELSE 0 END = maintain_step.of_access_log::integer AND m.due_at <= since
		  AND (maintain_step.merchant_id IS NULL OR m.merchant_id = maintain_step.merchant_id)
		ORDER BY m.due_at, m.tried_at NULLS FIRST, m.merchant_id, m.task LIMIT 1 FOR UPDATE SKIP LOCKED;
	END IF;
	IF job.task IS NULL THEN
		SELECT count(*) INTO unfinished FROM loyalty_internal.maintenance m
		WHERE m.enabled AND CASE m.task WHEN 'forget_access_log' THEN 1 ELSE 0 END = maintain_step.of_access_log::integer AND m.due_at <= since
		  AND (maintain_step.merchant_id IS NULL OR m.merchant_id = maintain_step.merchant_id);
		RETURN;
	END IF;
	SELECT d.* INTO usual FROM loyalty_internal.maintenance_tasks() d WHERE d.task = job.task;
	BEGIN
		more := loyalty_internal.maintain_task(job.merchant_id, job.task, coalesce(job.older_than, usual.older_than));
	EXCEPTION WHEN OTHERS OR query_canceled THEN
		GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
		RAISE LOG 'maintenance: % of merchant % failed: % %', job.task, job.merchant_id, code, message;
		failed := failed + 1;
		-- whoever interrupted it meant all of the call
		IF code = '57014' THEN
			ends_at := since;
		END IF;
	END;
	steps := steps + 1;
	ended := clock_timestamp();
	UPDATE loyalty_internal.maintenance m SET tried_at = ended, finished = NOT coalesce(more, true), error = code,
		failed_at = CASE WHEN code IS NOT NULL THEN coalesce(m.failed_at, moment) END,
		-- not again in this call, but for what there is more of
		due_at = CASE WHEN more THEN since ELSE greatest(since + interval '1 microsecond', ended + CASE WHEN code IS NULL THEN coalesce(job.every, usual.every)
			ELSE least(moment - least(moment, job.failed_at), interval '1 hour') END) END
	WHERE m.merchant_id = job.merchant_id AND m.task = job.task;
END
$$;
COMMENT ON FUNCTION loyalty_internal.maintain_step(bigint, integer, boolean, timestamptz, timestamptz, bigint, bigint) IS 'Part of loyalty.maintain(): a step of the first of the tasks that are due, of those of the engine, or of forget_access_log.';

-- No lock is waited for longer than what holds up others should take.
CREATE FUNCTION loyalty.maintain_step(
	merchant_id bigint, max_seconds integer, INOUT since timestamptz, INOUT ends_at timestamptz, INOUT steps bigint, INOUT failed bigint, OUT unfinished bigint) RETURNS record
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
BEGIN
	SELECT s.* INTO since, ends_at, steps, failed, unfinished FROM loyalty_internal.maintain_step(maintain_step.merchant_id, maintain_step.max_seconds, false, maintain_step.since, maintain_step.ends_at, maintain_step.steps, maintain_step.failed) s;
END
$$;
COMMENT ON FUNCTION loyalty.maintain_step(bigint, integer, timestamptz, timestamptz, bigint, bigint) IS
'A step of loyalty.maintain(), for who cannot CALL: each has to be a transaction. Begin with NULL for since, ends_at, steps and failed, and go on with what was returned, until unfinished, how many tasks are due still, is not NULL. Errors: LY005 invalid_argument (max_seconds is 0 to 86,400), LY006 unknown_object (no such merchant).';

CREATE FUNCTION loyalty.maintain_access_log(
	merchant_id bigint, max_seconds integer, INOUT since timestamptz, INOUT ends_at timestamptz, INOUT steps bigint, INOUT failed bigint, OUT unfinished bigint) RETURNS record
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
BEGIN
	SELECT s.* INTO since, ends_at, steps, failed, unfinished FROM loyalty_internal.maintain_step(maintain_access_log.merchant_id, maintain_access_log.max_seconds, true, maintain_access_log.since, maintain_access_log.ends_at, maintain_access_log.steps, maintain_access_log.failed) s;
END
$$;
COMMENT ON FUNCTION loyalty.maintain_access_log(bigint, integer, timestamptz, timestamptz, bigint, bigint) IS
'The same of forget_access_log, which the other leaves out: the functions of the engine cannot forget who read customers'' data. Errors: LY005 invalid_argument (max_seconds is 0 to 86,400).';
ALTER FUNCTION loyalty.maintain_access_log(bigint, integer, timestamptz, timestamptz, bigint, bigint) OWNER TO loyalty_auditor;
GRANT EXECUTE ON FUNCTION loyalty_internal.maintain_step(bigint, integer, boolean, timestamptz, timestamptz, bigint, bigint), loyalty_internal.maintain_task(bigint, text, interval),
	loyalty_internal.maintenance_tasks() TO loyalty_auditor;
GRANT USAGE ON SCHEMA loyalty TO loyalty_auditor;
ALTER VIEW loyalty_internal.maintenance_terms OWNER TO loyalty_engine;	-- who grants it, whatever is made its own later
GRANT SELECT ON loyalty_internal.maintenance_terms TO loyalty_auditor;
GRANT SELECT, UPDATE ON loyalty_internal.maintenance TO loyalty_auditor;

-- A procedure that commits has neither rights nor settings of its own: the path is its
-- caller's, or what the owner of the database made it, so types are qualified too.
CREATE PROCEDURE loyalty.maintain(max_seconds integer DEFAULT 50, merchant_id bigint DEFAULT NULL, INOUT steps bigint DEFAULT NULL, INOUT failed bigint DEFAULT NULL, INOUT unfinished bigint DEFAULT NULL)
LANGUAGE plpgsql AS $$
DECLARE
	since pg_catalog.timestamptz;
	ends_at pg_catalog.timestamptz;
	left_over bigint;
BEGIN
	steps := NULL;
	failed := NULL;
	unfinished := NULL;
	WHILE unfinished IS NULL LOOP
		COMMIT;
		SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
		SELECT s.* INTO since, ends_at, steps, failed, unfinished
		FROM loyalty.maintain_step(maintain.merchant_id, maintain.max_seconds, since, ends_at, maintain.steps, maintain.failed) s;
	END LOOP;
	left_over := unfinished;
	unfinished := NULL;
	WHILE unfinished IS NULL LOOP
		COMMIT;
		SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
		SELECT s.* INTO since, ends_at, steps, failed, unfinished
		FROM loyalty.maintain_access_log(maintain.merchant_id, maintain.max_seconds, since, ends_at, maintain.steps, maintain.failed) s;
	END LOOP;
	unfinished := unfinished OPERATOR(pg_catalog.+) left_over;
END
$$;
COMMENT ON PROCEDURE loyalty.maintain(integer, bigint, bigint, bigint, bigint) IS
'Does what has to be run, for all merchants or for one, as loyalty.maintenance says: a step of each task that is due, in turn, each in a transaction of its own, until nothing is due any more or, after a step, max_seconds (0 to 86,400) are over. To be called each minute, outside of a transaction; several at once do different tasks, and one that is killed leaves the rest to the next; one that is cancelled, as by statement_timeout, ends after what it was at, which has failed. Returns how many steps it did and how many of them failed, which keeps no other from being done and is in loyalty.health(), and how many tasks are unfinished, because the time was over or others are at them. Errors: LY005 invalid_argument, LY006 unknown_object (no such merchant).';
