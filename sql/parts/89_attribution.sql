-- Attribution: who posted what, by which way, in reports.
--
-- An entry has numbers for it, as loyalty.entry says; here they have names.

CREATE VIEW loyalty_report_personal.fact_attribution WITH (security_barrier) AS
SELECT e.entry_id::text AS entry_key, t.merchant_id::text AS merchant_key, concat(e.merchant_id, '-', coalesce(s.staff_id, 0)) AS staff_key,
	   coalesce(k.key_id::text, e.merchant_id || '-0') AS api_key_key, e.posted_at, loyalty.entry_kind(e.kind) AS kind,
	   CASE WHEN s.staff_id IS NOT NULL THEN 'staff' WHEN e.actor_id > 0 THEN 'API key' WHEN e.actor_id < 0 THEN 'SQL role' ELSE 'engine' END AS posted_by,
	   CASE WHEN e.actor_id > 0 THEN 'API key' WHEN e.actor_id < 0 THEN 'SQL role' ELSE 'engine' END AS came_by,
	   CASE WHEN e.actor_id > 0 THEN coalesce(nullif(k.label, ''), e.actor_id::text) WHEN e.actor_id < 0 THEN coalesce(r.name, 'cancelado ' || -r.actor_id, e.actor_id::text) END COLLATE "default" AS came_by_name,
	   lpad(to_hex(e.request_id), 16, '0') AS request, CASE WHEN t.personal THEN s.name COLLATE "default" END AS staff_name
FROM loyalty_internal.visible_entry e
JOIN loyalty_internal.report_merchant t ON t.merchant_id = e.merchant_id
LEFT JOIN loyalty_internal.visible_staff s ON s.merchant_id = e.merchant_id AND s.staff_id = e.staff_id
LEFT JOIN loyalty_internal.visible_api_key k ON k.merchant_id = e.merchant_id AND k.key_id = e.actor_id
LEFT JOIN loyalty_internal.visible_sql_role r ON r.merchant_id = e.merchant_id AND r.actor_id = e.actor_id;
COMMENT ON VIEW loyalty_report_personal.fact_attribution IS 'Who posted each entry of the ledger, with the names of staff.';
COMMENT ON COLUMN loyalty_report_personal.fact_attribution.entry_key IS 'The entry: its entry_id, as a text.';
COMMENT ON COLUMN loyalty_report_personal.fact_attribution.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report_personal.fact_attribution.staff_key IS 'The member of staff who did it; nobody, if none was named.';
COMMENT ON COLUMN loyalty_report_personal.fact_attribution.api_key_key IS 'The API key with which it came; none, if it was posted in SQL or fell due.';
COMMENT ON COLUMN loyalty_report_personal.fact_attribution.posted_at IS 'When it counts.';
COMMENT ON COLUMN loyalty_report_personal.fact_attribution.kind IS 'The kind of entry.';
COMMENT ON COLUMN loyalty_report_personal.fact_attribution.posted_by IS 'Who did it: staff, if a member of staff was named; else API key or SQL role, by which it came; engine: it fell due by itself.';
COMMENT ON COLUMN loyalty_report_personal.fact_attribution.came_by IS 'By which way it came: API key (over HTTP), SQL role (in SQL) or engine.';
COMMENT ON COLUMN loyalty_report_personal.fact_attribution.came_by_name IS 'The label of the API key, or its number if it has none; the name of the role that was logged in, cancelado and its number if that was erased; NULL: engine.';
COMMENT ON COLUMN loyalty_report_personal.fact_attribution.request IS 'The request over HTTP, in 16 hexadecimal digits: those with which its X-Request-Id begins, or of another id as to_hex(loyalty.request_number()) says; NULL: it did not come over HTTP.';
COMMENT ON COLUMN loyalty_report_personal.fact_attribution.staff_name IS 'The name of the member of staff; cancelado: it was erased; NULL: none was named, or the role may not know people of that merchant.';

CREATE VIEW loyalty_report.fact_attribution WITH (security_barrier) AS
SELECT entry_key, merchant_key, staff_key, api_key_key, posted_at, kind, posted_by, came_by, came_by_name, request
FROM loyalty_report_personal.fact_attribution;
COMMENT ON VIEW loyalty_report.fact_attribution IS 'Who posted each entry of the ledger: staff by number, API keys by label, roles of SQL by name, and by which request.';
