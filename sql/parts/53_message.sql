-- The outbox: texts to be sent to members, by a sender outside the database.

CREATE TABLE loyalty_internal.message (
	merchant_id		bigint			NOT NULL,
	message_id		bigint			NOT NULL DEFAULT loyalty_internal.new_id(),
	member_id		bigint			NOT NULL,
	channel			text			NOT NULL CHECK (channel IN ('sms', 'whatsapp')),
	phone			loyalty.phone	NOT NULL,
	body			text			NOT NULL,
	created_at		timestamptz		NOT NULL DEFAULT now(),
	attempts		integer			NOT NULL DEFAULT 0,
	claimed_until	timestamptz,
	sent_at			timestamptz,
	PRIMARY KEY (merchant_id, message_id)
) WITH (fillfactor = 70);	-- a claim changes the row in its page
COMMENT ON TABLE loyalty_internal.message IS 'The outbox. A row is written in the transaction of the operation it tells about.';
COMMENT ON COLUMN loyalty_internal.message.attempts IS 'How often a sender has claimed the message; acknowledging needs this number, so a sender that lost its claim cannot.';
COMMENT ON COLUMN loyalty_internal.message.claimed_until IS 'When the current claim ends and another sender may take the message.';
CREATE INDEX message_pending ON loyalty_internal.message (merchant_id, message_id) WHERE sent_at IS NULL;
CREATE INDEX message_sent ON loyalty_internal.message (merchant_id, sent_at) WHERE sent_at IS NOT NULL;	-- to forget them
GRANT SELECT, INSERT, UPDATE, DELETE ON loyalty_internal.message TO loyalty_engine;

CREATE FUNCTION loyalty.claim_messages(
	merchant_id bigint, max_messages integer DEFAULT 100, lease interval DEFAULT '1 minute',
	OUT message_id bigint, OUT attempt integer, OUT channel text, OUT phone loyalty.phone, OUT body text)
RETURNS SETOF record
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF coalesce(claim_messages.max_messages, 0) NOT BETWEEN 1 AND 10000
		OR coalesce(claim_messages.lease, '0') <= '0' OR claim_messages.lease > '30 days' THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'max_messages is 1 to 10000, lease is positive and at most 30 days.');
	END IF;
	RETURN QUERY
	WITH due AS MATERIALIZED (
		SELECT m.message_id FROM loyalty_internal.message m
		WHERE m.merchant_id = claim_messages.merchant_id AND m.sent_at IS NULL
		  AND (m.claimed_until IS NULL OR m.claimed_until <= clock_timestamp())
		  -- what was queued while the customer was being blocked, or the member erased
		  AND NOT EXISTS (SELECT FROM loyalty_internal.customer c
			WHERE c.merchant_id = m.merchant_id AND c.member_id = m.member_id AND c.blocked_at IS NOT NULL)
		  AND NOT EXISTS (SELECT FROM loyalty_internal.member o
			WHERE o.merchant_id = m.merchant_id AND o.member_id = m.member_id AND o.cancelled_at IS NOT NULL)
		ORDER BY m.message_id LIMIT claim_messages.max_messages
		FOR UPDATE SKIP LOCKED
	)
	UPDATE loyalty_internal.message m
	SET attempts = m.attempts + 1, claimed_until = clock_timestamp() + claim_messages.lease
	FROM due WHERE m.merchant_id = claim_messages.merchant_id AND m.message_id = due.message_id
	RETURNING m.message_id, m.attempts, m.channel, m.phone, m.body;
END
$$;
COMMENT ON FUNCTION loyalty.claim_messages(bigint, integer, interval) IS
'Takes up to max_messages unsent messages of a merchant for lease, at most 30 days; senders that ask at the same time get different ones. Those to customers who are blocked, and to members who were erased, nobody gets. What is not acknowledged by then can be claimed again. Errors: LY005 invalid_argument.';

CREATE FUNCTION loyalty.acknowledge_message(merchant_id bigint, message_id bigint, attempt integer) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE loyalty_internal.message m SET sent_at = clock_timestamp(), claimed_until = NULL
	WHERE m.merchant_id = acknowledge_message.merchant_id AND m.message_id = acknowledge_message.message_id
	  AND m.attempts = acknowledge_message.attempt AND m.sent_at IS NULL;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION loyalty.acknowledge_message(bigint, bigint, integer) IS
'Says that a claimed message has been sent; attempt is what loyalty.claim_messages() returned with it. False when the claim is no longer the newest or the message was acknowledged before.';

CREATE FUNCTION loyalty.forget_messages(merchant_id bigint, older_than interval DEFAULT '90 days', max_rows integer DEFAULT 10000)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	moment CONSTANT timestamptz := loyalty_internal.forgotten_before(forget_messages.older_than, forget_messages.max_rows);
	n bigint;
	unsent bigint;
BEGIN
	DELETE FROM loyalty_internal.message m WHERE m.merchant_id = forget_messages.merchant_id AND m.message_id = ANY (ARRAY(
		SELECT o.message_id FROM loyalty_internal.message o
		WHERE o.merchant_id = forget_messages.merchant_id AND o.sent_at < moment
		ORDER BY o.sent_at LIMIT forget_messages.max_rows FOR UPDATE SKIP LOCKED));
	GET DIAGNOSTICS n = ROW_COUNT;
	IF n = forget_messages.max_rows THEN
		RETURN n;
	END IF;
	-- Who gets what was to be said so long ago is only puzzled by it.  Numbers
	-- of messages are made of the time, so those that are old are the first.
	DELETE FROM loyalty_internal.message m WHERE m.merchant_id = forget_messages.merchant_id AND m.message_id = ANY (ARRAY(
		SELECT o.message_id FROM loyalty_internal.message o
		WHERE o.merchant_id = forget_messages.merchant_id AND o.sent_at IS NULL AND o.created_at < moment
		  AND o.message_id < loyalty_internal.first_id(moment) AND (o.claimed_until IS NULL OR o.claimed_until <= clock_timestamp())
		ORDER BY o.message_id LIMIT forget_messages.max_rows - n FOR UPDATE SKIP LOCKED));
	GET DIAGNOSTICS unsent = ROW_COUNT;
	RETURN n + unsent;
END
$$;
COMMENT ON FUNCTION loyalty.forget_messages(bigint, interval, integer) IS
'Deletes messages that were sent longer ago than this, and those that were queued longer ago and never sent, unless a sender has claimed them, the oldest max_rows (1 to 1,000,000) of them, and returns how many: as many as max_rows, and there may be more. Errors: LY005 invalid_argument.';

CREATE VIEW loyalty.outbox AS
SELECT merchant_id, message_id, member_id, channel, created_at, attempts, claimed_until, sent_at FROM loyalty_internal.message;
COMMENT ON VIEW loyalty.outbox IS 'The messages and how far they have got, without phone and text.';
