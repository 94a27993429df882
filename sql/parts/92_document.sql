-- Documents: statements to print, as HTML, and the same as CSV for spreadsheets.
--
-- HTML is made by PostgreSQL's own XML functions, and by nothing else: a text is no
-- xml, and becomes some only where they escape it.  Nothing here makes xml of a
-- text that has markup in it.  A server that was built without libxml has none of
-- that, and says so when a document is asked for.

-- What stays of a text in a document: the Unicode that can be seen.
CREATE FUNCTION loyalty_internal.visible(value text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
RETURN regexp_replace(value, '[\u0001-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffe\uffff]', chr(65533), 'g');
COMMENT ON FUNCTION loyalty_internal.visible(text) IS
'A text of somebody as documents show it: what controls, or changes the direction of what follows, is a replacement character.';

-- Whatever direction it is written in, what is around it keeps its own.
CREATE FUNCTION loyalty_internal.html_text(value text) RETURNS xml
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
RETURN xmlelement(NAME bdi, loyalty_internal.visible(value));
COMMENT ON FUNCTION loyalty_internal.html_text(text) IS 'A text of somebody, for a document.';

-- XML closes what is empty in its own tag, which HTML does not know: but for a few
-- that have no end there.  Of texts and attributes each < and > is escaped, so what
-- is found is a tag.
CREATE FUNCTION loyalty_internal.html_page(title text, style text, body xml) RETURNS text
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
RETURN U&'<!DOCTYPE html>\000A' || regexp_replace(
	xmlserialize(CONTENT xmlelement(NAME html, xmlattributes('es-MX' AS lang),
		xmlelement(NAME head,
			xmlelement(NAME meta, xmlattributes('utf-8' AS charset)),
			xmlelement(NAME meta, xmlattributes('viewport' AS name, 'width=device-width, initial-scale=1' AS content)),
			xmlelement(NAME meta, xmlattributes('robots' AS name, 'noindex' AS content)),
			xmlelement(NAME title, loyalty_internal.visible(title)),
			xmlelement(NAME style, style)),
		xmlelement(NAME body, body)) AS text),
	'<(?!meta\M|br\M)([a-z][a-z0-9]*)((?: [^<>]*)?)/>', '<\1\2></\1>', 'g');
COMMENT ON FUNCTION loyalty_internal.html_page(text, text, xml) IS
'A page of HTML. style has no <, > and &, which within a style are not decoded. Errors: 0A000 where the server was built without libxml.';

-- On a phone each cell stands by itself, with the head of its column.
CREATE FUNCTION loyalty_internal.html_row(heads text[], VARIADIC cells xml[]) RETURNS xml
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN xmlelement(NAME tr, (
	SELECT xmlagg(xmlelement(NAME td, xmlattributes(nullif(heads[c.n], '') AS "data-head"), c.content) ORDER BY c.n) FROM unnest(cells) WITH ORDINALITY c (content, n)));
COMMENT ON FUNCTION loyalty_internal.html_row(text[], xml[]) IS 'A row of a table whose columns have these heads.';

CREATE FUNCTION loyalty_internal.html_table(heads text[], rows xml) RETURNS xml
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
RETURN xmlelement(NAME "table",
	xmlelement(NAME thead, xmlelement(NAME tr, (SELECT xmlagg(xmlelement(NAME th, xmlattributes('col' AS scope), h.head) ORDER BY h.n) FROM unnest(heads) WITH ORDINALITY h (head, n)))),
	xmlelement(NAME tbody, rows));
COMMENT ON FUNCTION loyalty_internal.html_table(text[], xml) IS 'A table; NULL: it would have no rows.';

-- Numbers as they are written in Mexico, whatever the locale is; none loses a decimal.
CREATE FUNCTION loyalty_internal.written_number(value numeric, decimals integer DEFAULT 0) RETURNS text
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
RETURN to_char(value, 'FM999,999,999,999,999,999,999,999,999,990' || rtrim('.' || repeat('0', greatest(decimals, scale(trim_scale(value)))), '.'));
COMMENT ON FUNCTION loyalty_internal.written_number(numeric, integer) IS 'A number such as -1,234.50, with at least so many decimals, and all it has.';

CREATE FUNCTION loyalty_internal.html_number(value numeric, decimals integer DEFAULT 0) RETURNS xml
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
RETURN xmlelement(NAME span, loyalty_internal.written_number(value, decimals));
COMMENT ON FUNCTION loyalty_internal.html_number(numeric, integer) IS 'A number, for a cell.';

CREATE FUNCTION loyalty_internal.written_day(day date) RETURNS text
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
RETURN to_char(day, 'DD/MM/YYYY');
COMMENT ON FUNCTION loyalty_internal.written_day(date) IS 'A day such as 28/11/2026.';

CREATE FUNCTION loyalty_internal.written_month(day date) RETURNS text
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
RETURN (ARRAY['enero', 'febrero', 'marzo', 'abril', 'mayo', 'junio', 'julio', 'agosto', 'septiembre', 'octubre', 'noviembre', 'diciembre'])[extract(month FROM day)::integer]
	|| ' de ' || to_char(day, 'YYYY');
COMMENT ON FUNCTION loyalty_internal.written_month(date) IS 'The month of a day, such as noviembre de 2026.';

CREATE FUNCTION loyalty_internal.written_kind(kind smallint) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
RETURN (ARRAY['Acumulación', 'Abono', 'Canje', 'Ajuste', 'Vencimiento', 'Apartado', 'Canje del apartado', 'Liberación del apartado', 'Liberación de pendientes', 'Reverso', 'Traspaso'])[kind];
COMMENT ON FUNCTION loyalty_internal.written_kind(smallint) IS 'A kind of entry, in Spanish.';

-- What a spreadsheet takes for a formula begins with one of these, be it after blanks,
-- or in the width of East Asian letters; after an apostrophe it is a text.
CREATE FUNCTION loyalty_internal.csv_text(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
RETURN '"' || replace(regexp_replace(coalesce(loyalty_internal.visible(value), ''), '^(?=[\t\n \u00a0\u2000-\u200d\u2028-\u202f\u205f\u3000\ufeff\ufffd]*[-=+@\uff1d\uff0b\uff0d\uff20]|[\t\n])', ''''), '"', '""') || '"';
COMMENT ON FUNCTION loyalty_internal.csv_text(text) IS 'A text of somebody as a field of CSV, quoted: no spreadsheet takes it for a formula.';

CREATE FUNCTION loyalty_internal.csv_lines(VARIADIC lines text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
RETURN (SELECT string_agg(l.line || U&'\000D\000A', '' ORDER BY l.n) FROM unnest(lines) WITH ORDINALITY l (line, n) WHERE l.line IS NOT NULL);
COMMENT ON FUNCTION loyalty_internal.csv_lines(text[]) IS 'Lines of CSV, each with the end that RFC 4180 asks for.';

CREATE FUNCTION loyalty_internal.print_style() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '@page{size:letter;margin:18mm 15mm;@bottom-right{content:counter(page) " / " counter(pages)}}
body{font:11pt/1.4 "DejaVu Sans",Arial,sans-serif;color:#111;background:#fff;max-width:190mm;margin:0 auto;padding:12px}
h1{font-size:17pt;margin:0 0 4px}
h2{font-size:12pt;margin:18px 0 6px}
p{margin:2px 0;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:max-content auto;gap:2px 16px;margin:12px 0;padding:8px 0;border-top:2px solid #111;border-bottom:1px solid #111}
dt{color:#444}
dd{margin:0;text-align:right;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;font-size:9.5pt}
thead{display:table-header-group}
tr{break-inside:avoid}
th,td{padding:3px 6px;border-bottom:1px solid #bbb;text-align:left;vertical-align:top;overflow-wrap:anywhere}
th{border-bottom:1px solid #111}
th:nth-child(n+3),td:nth-child(n+3){text-align:right;font-variant-numeric:tabular-nums}
td:nth-child(n+3){white-space:nowrap}
.empty,footer{color:#444;font-size:9pt}
footer{margin-top:18px}
@media print{body{padding:0}}
@media screen and (max-width:600px){thead{display:none}tr{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 12px;padding:4px 0;border-bottom:1px solid #bbb}td{border:0;padding:0}td:nth-child(-n+2){flex:0 0 100%}td:nth-child(n+3)::before{content:attr(data-head) " ";color:#444}td:empty{display:none}}';
COMMENT ON FUNCTION loyalty_internal.print_style() IS 'The style of documents that are printed.';

CREATE FUNCTION loyalty_internal.html_terms(VARIADIC terms text[]) RETURNS xml
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN xmlelement(NAME dl, (
	SELECT xmlagg(CASE WHEN t.n % 2 = 1 THEN xmlelement(NAME dt, t.term) ELSE xmlelement(NAME dd, t.term) END ORDER BY t.n)
	FROM unnest(terms) WITH ORDINALITY t (term, n)));
COMMENT ON FUNCTION loyalty_internal.html_terms(text[]) IS 'A list of names, each with its value after it; none is a text of somebody.';

CREATE FUNCTION loyalty_internal.require_format(format text) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF coalesce(require_format.format, '') NOT IN ('html', 'csv') THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'format is html or csv.');
	END IF;
END
$$;
COMMENT ON FUNCTION loyalty_internal.require_format(text) IS 'Part of the functions that make documents. Errors: LY005 invalid_argument.';

-- --- what an account did -----------------------------------------------------------------

-- As loyalty_internal.report_movement has it, of one account and a time, and no more
-- is read than was posted in it: entries are found by the one after them, from the
-- first that is in the index and later.  The one after the last is read too, and
-- the one before the first: of an expire, lots go when their date has passed.
CREATE FUNCTION loyalty_internal.account_movements(merchant_id bigint, account_id bigint, starts_at timestamptz, ends_at timestamptz, max_entries integer)
RETURNS TABLE (moved_at timestamptz, place bigint, entry_id bigint, kind smallint, points numeric, reserved numeric)
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH RECURSIVE last AS (
		SELECT i.entry_id, a.newest_entry_id, a.posted_at, a.due_at FROM loyalty_internal.account a
		LEFT JOIN LATERAL (
			SELECT e.entry_id FROM loyalty.entry e
			WHERE e.merchant_id = account_movements.merchant_id AND e.account_id = account_movements.account_id AND e.entry_no % 16 = 0 AND e.posted_at >= account_movements.ends_at
			ORDER BY e.posted_at, e.entry_no LIMIT 1) i ON true
		WHERE a.merchant_id = account_movements.merchant_id AND a.account_id = account_movements.account_id
	), walk AS (
		SELECT e.entry_id, e.entry_no, e.previous_entry_id, e.kind, e.amount, e.reserved, e.posted_at, e.lots, 1 AS n
		FROM last l JOIN loyalty.entry e ON e.merchant_id = account_movements.merchant_id AND e.entry_id = coalesce(l.entry_id, l.newest_entry_id)
		UNION ALL
		SELECT b.*, w.n + 1 FROM walk w, LATERAL (
			SELECT e.entry_id, e.entry_no, e.previous_entry_id, e.kind, e.amount, e.reserved, e.posted_at, e.lots FROM loyalty.entry e
			WHERE e.merchant_id = account_movements.merchant_id AND e.entry_id = w.previous_entry_id OFFSET 0) b
		WHERE w.posted_at >= account_movements.starts_at AND w.n < account_movements.max_entries + 18
	), dated AS (
		SELECT w.entry_no AS place, w.entry_id, w.kind, w.amount, w.reserved, w.posted_at, w.lots, lag(w.posted_at) OVER (ORDER BY w.entry_no) AS after_at FROM walk w
		UNION ALL
		SELECT 9000000000000000000 + d.n, NULL, d.kind, d.amount, d.reserved, d.posted_at, d.lots, coalesce(d.after_at, l.posted_at)
		FROM last l
		CROSS JOIN LATERAL (SELECT x.* FROM loyalty_internal.due_entries(account_movements.merchant_id, account_movements.account_id, now()) WITH ORDINALITY x (kind, amount, reserved, balance, posted_at, after_at, origin_entry_id, lots, n) OFFSET 0) d
		WHERE l.entry_id IS NULL AND l.due_at <= now())
	SELECT m.moved_at, d.place, d.entry_id, d.kind, m.points, m.reserved
	FROM dated d
	CROSS JOIN LATERAL (
		SELECT d.posted_at AS moved_at, d.amount::numeric AS points, coalesce(d.reserved::numeric, 0) AS reserved WHERE d.kind <> 5
		UNION ALL
		SELECT greatest(u.expires_at, d.after_at), -sum(u.points::numeric), 0 FROM loyalty.unnest_lots(d.lots) u WHERE d.kind = 5 GROUP BY 1) m
	WHERE m.moved_at >= account_movements.starts_at AND m.moved_at < account_movements.ends_at;
END;
COMMENT ON FUNCTION loyalty_internal.account_movements(bigint, bigint, timestamptz, timestamptz, integer) IS
'What an account did in a time, by when it happened, in the order of moved_at and place; more than max_entries: some are missing. What is due and has no entry yet has entry_id NULL. points: change of the balance; reserved: of what is held or pending.';

-- --- the statement of a member -------------------------------------------------------------

CREATE TYPE loyalty_internal.statement_line AS (
	moved_at	timestamp,
	kind		smallint,
	reference	text,
	money		numeric,
	points		numeric,
	reserved	numeric,
	balance		numeric
);
COMMENT ON TYPE loyalty_internal.statement_line IS 'A line of a statement, in the time of its program.';

CREATE TYPE loyalty_internal.statement AS (
	merchant	text,
	program		text,
	unit_name	text,
	decimals	integer,
	time_zone	text,
	member		text,
	client_id	text,
	from_date	date,
	until_date	date,
	opening		numeric,
	closing		numeric,
	lines		loyalty_internal.statement_line[]
);
COMMENT ON TYPE loyalty_internal.statement IS 'What a statement of a member says.';

CREATE FUNCTION loyalty_internal.read_statement(merchant_id bigint, member_id bigint, from_date date, until_date date) RETURNS loyalty_internal.statement
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	max_lines CONSTANT integer := 10000;
	merchant CONSTANT bigint := read_statement.merchant_id;
	id CONSTANT bigint := read_statement.member_id;
	s loyalty_internal.statement;
	account bigint;
	hidden boolean;
	starts_at timestamptz;
	ends_at timestamptz;
BEGIN
	SELECT t.name, p.name, p.unit_name, p.decimals, p.time_zone, m.account_id, r.hidden,
		   CASE WHEN r.hidden THEN loyalty_internal.pseudonym(t.digest_key, id) ELSE m.name END, CASE WHEN NOT r.hidden THEN m.client_id END
	INTO s.merchant, s.program, s.unit_name, s.decimals, s.time_zone, account, hidden, s.member, s.client_id
	FROM loyalty_internal.member m
	JOIN loyalty_internal.report_member r ON r.merchant_id = m.merchant_id AND r.member_id = m.member_id
	JOIN loyalty_internal.merchant t ON t.merchant_id = m.merchant_id
	JOIN loyalty_internal.program p ON p.merchant_id = m.merchant_id AND p.program_id = m.program_id
	WHERE m.merchant_id = merchant AND m.member_id = id;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no member with this member_id.');
	END IF;
	s.from_date := read_statement.from_date;
	s.until_date := read_statement.until_date;
	IF s.from_date BETWEEN '1900-01-01' AND s.until_date AND s.until_date < '9999-12-31' THEN
		starts_at := s.from_date::timestamp AT TIME ZONE s.time_zone;
		ends_at := (s.until_date + 1)::timestamp AT TIME ZONE s.time_zone;
	END IF;
	IF coalesce(starts_at > now(), true) THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'from_date is a day since 1900 that has begun, and until_date is not before it.');
	END IF;
	s.opening := loyalty.balance_at(merchant, account, starts_at - interval '1 microsecond')::numeric;
	SELECT array_agg(ROW(l.moved_at AT TIME ZONE s.time_zone, l.kind, l.reference, l.money, l.points, l.reserved, l.balance)::loyalty_internal.statement_line ORDER BY l.moved_at, l.place)
	INTO s.lines
	FROM (SELECT v.moved_at, v.place, v.kind, v.points, v.reserved, e.money::numeric AS money, s.opening + sum(v.points) OVER w AS balance,
				 -- whose an entry is, as loyalty_internal.report_entry has it
				 CASE WHEN NOT hidden AND coalesce(k.account_id, o.member_ids[width_bucket(e.entry_no - 1, o.after_nos)], e.account_id) = id THEN e.reference END AS reference
		  FROM (SELECT x.* FROM loyalty_internal.account_movements(merchant, account, starts_at, ends_at, max_lines + 1) x OFFSET 0) v
		  LEFT JOIN loyalty.entry e ON e.merchant_id = merchant AND e.entry_id = v.entry_id
		  LEFT JOIN loyalty_internal.account k ON k.merchant_id = merchant AND k.account_id = e.member_id
		  LEFT JOIN loyalty_internal.report_owner o ON o.merchant_id = merchant AND o.account_id = account
		  WINDOW w AS (ORDER BY v.moved_at, v.place ROWS UNBOUNDED PRECEDING)) l;
	IF cardinality(s.lines) > max_lines THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'A statement has at most 10,000 lines: ask for a shorter time.');
	END IF;
	s.closing := coalesce(s.lines[cardinality(s.lines)].balance, s.opening);
	-- what somebody is handed is never wrong: once it is over, it ends with what there was
	IF ends_at <= now() AND s.closing <> loyalty.balance_at(merchant, account, ends_at - interval '1 microsecond')::numeric THEN
		PERFORM loyalty_internal.fail('internal_error', 'The statement does not come to the balance: see loyalty.verify().');
	END IF;
	RETURN s;
END
$$;
COMMENT ON FUNCTION loyalty_internal.read_statement(bigint, bigint, date, date) IS 'Part of loyalty.member_statement().';

CREATE FUNCTION loyalty_internal.statement_csv(s loyalty_internal.statement) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT loyalty_internal.csv_lines(VARIADIC
		ARRAY['fecha,hora,movimiento,referencia,importe,puntos,en_reserva,saldo', concat_ws(',', s.from_date, '', 'Saldo inicial', '', '', '', '', trim_scale(s.opening))]
		|| ARRAY(
			SELECT concat_ws(',', l.moved_at::date, to_char(l.moved_at, 'HH24:MI:SS'), loyalty_internal.written_kind(l.kind), loyalty_internal.csv_text(l.reference),
							 coalesce(trim_scale(l.money)::text, ''), trim_scale(l.points), trim_scale(l.reserved), trim_scale(l.balance))
			FROM unnest(s.lines) WITH ORDINALITY l (moved_at, kind, reference, money, points, reserved, balance, n) ORDER BY l.n)
		|| concat_ws(',', s.until_date, '', 'Saldo final', '', '', '', '', trim_scale(s.closing)));
END;
COMMENT ON FUNCTION loyalty_internal.statement_csv(loyalty_internal.statement) IS 'Part of loyalty.member_statement().';

CREATE FUNCTION loyalty_internal.statement_html(s loyalty_internal.statement) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT loyalty_internal.html_page(concat('Estado de cuenta ', loyalty_internal.written_day(s.from_date), ' – ', loyalty_internal.written_day(s.until_date)), loyalty_internal.print_style(), xmlconcat(
		xmlelement(NAME h1, 'Estado de cuenta'),
		xmlelement(NAME p, loyalty_internal.html_text(s.merchant), ' · ', loyalty_internal.html_text(s.program)),
		xmlelement(NAME p, loyalty_internal.html_text(s.member), CASE WHEN s.client_id <> '' THEN xmlconcat(xmlelement(NAME br), loyalty_internal.html_text(s.client_id)) END),
		xmlelement(NAME p, concat('Del ', loyalty_internal.written_day(s.from_date), ' al ', loyalty_internal.written_day(s.until_date))),
		loyalty_internal.html_terms('Saldo inicial', loyalty_internal.written_number(s.opening, s.decimals),
			'Entradas', loyalty_internal.written_number(t.added, s.decimals), 'Salidas', loyalty_internal.written_number(t.taken, s.decimals),
			'Saldo final', loyalty_internal.written_number(s.closing, s.decimals)),
		CASE WHEN t.rows IS NULL THEN xmlelement(NAME p, xmlattributes('empty' AS class), 'Sin movimientos.') ELSE
			loyalty_internal.html_table('{Fecha,Movimiento,Importe,Puntos,"En reserva",Saldo}', t.rows) END,
		xmlelement(NAME footer, xmlelement(NAME p, 'En ', loyalty_internal.html_text(s.unit_name), concat('. El saldo es lo que se puede usar; lo apartado y lo pendiente está en reserva. Horas de ', s.time_zone, '. Emitido el ',
			to_char(now() AT TIME ZONE s.time_zone, 'DD/MM/YYYY HH24:MI'), '.')))))
	FROM (SELECT coalesce(sum(l.points) FILTER (WHERE l.points > 0), 0) AS added, coalesce(sum(l.points) FILTER (WHERE l.points < 0), 0) AS taken,
				 xmlagg(loyalty_internal.html_row('{Fecha,Movimiento,Importe,Puntos,"En reserva",Saldo}', xmlelement(NAME span, to_char(l.moved_at, 'DD/MM/YYYY HH24:MI')),
					xmlelement(NAME span, loyalty_internal.written_kind(l.kind), CASE WHEN l.reference <> '' THEN xmlconcat(xmlelement(NAME br), loyalty_internal.html_text(l.reference)) END),
					loyalty_internal.html_number(l.money, 2), loyalty_internal.html_number(l.points, s.decimals), loyalty_internal.html_number(nullif(l.reserved, 0), s.decimals), loyalty_internal.html_number(l.balance, s.decimals)) ORDER BY l.n) AS rows
		  FROM unnest(s.lines) WITH ORDINALITY l (moved_at, kind, reference, money, points, reserved, balance, n)) t;
END;
COMMENT ON FUNCTION loyalty_internal.statement_html(loyalty_internal.statement) IS 'Part of loyalty.member_statement().';

CREATE FUNCTION loyalty.member_statement(merchant_id bigint, member_id bigint, from_date date, until_date date, format text DEFAULT 'html') RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' AS $$
DECLARE
	s loyalty_internal.statement;
BEGIN
	PERFORM loyalty_internal.require_format(member_statement.format);
	s := loyalty_internal.read_statement(member_statement.merchant_id, member_statement.member_id, member_statement.from_date, member_statement.until_date);
	RETURN CASE member_statement.format WHEN 'csv' THEN loyalty_internal.statement_csv(s) ELSE loyalty_internal.statement_html(s) END;
END
$$;
COMMENT ON FUNCTION loyalty.member_statement(bigint, bigint, date, date, text) IS
'A statement to hand to a member, in Spanish: what was in the account that holds their points when from_date began, each movement until until_date is over, and what was in it then, which the movements come to; days are those of the program''s time zone. format: html (a page to be printed, numbers as 1,234.50 and days as 28/11/2026) or csv (RFC 4180: numbers without separators, days as 2026-11-28, and what somebody may have written in quotes, after an apostrophe where a spreadsheet would take it for a formula). What expired is there by its date, booked or not. Of an account that was another''s, or is shared, all movements are there, and the references of the member''s own. Of who is blocked or was erased there is a pseudonym, and no reference. It reads as much as was posted in the time, writes nothing, and like loyalty.statement() no access either. Errors: LY005 invalid_argument (format; days in the wrong order, or to come; more than 10,000 lines), LY006 unknown_object, LY500 internal_error (the ledger is not sound), 0A000 (html, of a server that was built without libxml).';

-- --- the close of a month --------------------------------------------------------------------

CREATE FUNCTION loyalty_internal.close_csv(c loyalty_internal.month_close, opening numeric) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT loyalty_internal.csv_lines(VARIADIC
		ARRAY['mes,de,movimiento,sucursal,reglas,movimientos,puntos', concat_ws(',', c.month, '', 'Saldo inicial', '', '', '', trim_scale(opening))]
		|| ARRAY(
			SELECT concat_ws(',', c.month, CASE WHEN l.late THEN 'meses anteriores' ELSE 'el mes' END, loyalty_internal.written_kind(l.kind), loyalty_internal.csv_text(b.name),
							 coalesce(l.rules::text, ''), l.entries, trim_scale(l.points))
			FROM loyalty_internal.month_close_line l
			LEFT JOIN loyalty_internal.branch b ON b.merchant_id = l.merchant_id AND b.branch_id = l.branch_id
			WHERE l.merchant_id = c.merchant_id AND l.program_id = c.program_id AND l.month = c.month ORDER BY l.line_no)
		|| concat_ws(',', c.month, '', 'Saldo final', '', '', '', trim_scale(c.closing)));
END;
COMMENT ON FUNCTION loyalty_internal.close_csv(loyalty_internal.month_close, numeric) IS 'Part of loyalty.month_statement().';

CREATE FUNCTION loyalty_internal.close_table(c loyalty_internal.month_close, late boolean, decimals integer) RETURNS xml
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT loyalty_internal.html_table('{Movimiento,Sucursal,Reglas,Movimientos,Puntos}', xmlagg(loyalty_internal.html_row('{Movimiento,Sucursal,Reglas,Movimientos,Puntos}', xmlelement(NAME span, loyalty_internal.written_kind(l.kind)),
		coalesce(loyalty_internal.html_text(b.name), xmlelement(NAME span, '(ninguna)')), loyalty_internal.html_number(l.rules), loyalty_internal.html_number(l.entries), loyalty_internal.html_number(l.points, decimals)) ORDER BY l.line_no))
	FROM loyalty_internal.month_close_line l
	LEFT JOIN loyalty_internal.branch b ON b.merchant_id = l.merchant_id AND b.branch_id = l.branch_id
	WHERE l.merchant_id = c.merchant_id AND l.program_id = c.program_id AND l.month = c.month AND l.late = close_table.late;
END;
COMMENT ON FUNCTION loyalty_internal.close_table(loyalty_internal.month_close, boolean, integer) IS 'Part of loyalty.month_statement(): the lines of the month, or those that came late; NULL: there are none.';

CREATE FUNCTION loyalty_internal.close_html(c loyalty_internal.month_close, opening numeric) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT loyalty_internal.html_page('Cierre de ' || loyalty_internal.written_month(c.month), loyalty_internal.print_style(), xmlconcat(
		xmlelement(NAME h1, 'Cierre de ' || loyalty_internal.written_month(c.month)),
		xmlelement(NAME p, loyalty_internal.html_text(t.name), ' · ', loyalty_internal.html_text(p.name)),
		loyalty_internal.html_terms('Saldo inicial', loyalty_internal.written_number(opening, p.decimals),
			'Movimientos', loyalty_internal.written_number(c.closing - opening, p.decimals), 'Saldo final', loyalty_internal.written_number(c.closing, p.decimals),
			'Valor de un punto', loyalty_internal.written_number(round(c.money_per_point, 6), 2) || ' ' || p.currency_iso,
			'Valor del saldo final', loyalty_internal.written_number(round(c.closing * c.money_per_point, 2), 2) || ' ' || p.currency_iso),
		xmlelement(NAME h2, 'Movimientos del mes'),
		coalesce(loyalty_internal.close_table(c, false, p.decimals), xmlelement(NAME p, xmlattributes('empty' AS class), 'Sin movimientos.')),
		(SELECT xmlconcat(xmlelement(NAME h2, 'De meses anteriores, conocidos después'), l.late) FROM (SELECT loyalty_internal.close_table(c, true, p.decimals) AS late) l WHERE l.late IS NOT NULL),
		xmlelement(NAME footer,
			xmlelement(NAME p, 'En ', loyalty_internal.html_text(p.unit_name), concat(': lo que se puede usar, lo apartado y lo pendiente. Cerrado el ', to_char(c.closed_at AT TIME ZONE p.time_zone, 'DD/MM/YYYY HH24:MI'), '.')),
			xmlelement(NAME p, concat('Raíz ', c.root_id, ': ', encode(c.root, 'hex'))),
			xmlelement(NAME p, concat('Resumen (SHA-256): ', encode(c.digest, 'hex'))))))
	FROM loyalty_internal.program p
	JOIN loyalty_internal.merchant t ON t.merchant_id = p.merchant_id
	WHERE p.merchant_id = c.merchant_id AND p.program_id = c.program_id;
END;
COMMENT ON FUNCTION loyalty_internal.close_html(loyalty_internal.month_close, numeric) IS 'Part of loyalty.month_statement().';

CREATE FUNCTION loyalty.month_statement(merchant_id bigint, program_id bigint, month date, format text DEFAULT 'html') RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' AS $$
DECLARE
	c loyalty_internal.month_close;
	opening numeric;
BEGIN
	PERFORM loyalty_internal.require_format(month_statement.format);
	SELECT m.* INTO c FROM loyalty_internal.month_close m
	WHERE m.merchant_id = month_statement.merchant_id AND m.program_id = month_statement.program_id
	  AND m.month = CASE WHEN month_statement.month BETWEEN '0001-01-01' AND '9999-12-31' THEN date_trunc('month', month_statement.month)::date END;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no program with this program_id, or its month has not been closed.');
	END IF;
	SELECT coalesce(sum(l.points), 0) INTO opening FROM loyalty_internal.month_close_line l
	WHERE l.merchant_id = c.merchant_id AND l.program_id = c.program_id AND l.month < c.month;
	RETURN CASE month_statement.format WHEN 'csv' THEN loyalty_internal.close_csv(c, opening) ELSE loyalty_internal.close_html(c, opening) END;
END
$$;
COMMENT ON FUNCTION loyalty.month_statement(bigint, bigint, date, text) IS
'A month that loyalty.close_month() has closed, as it was frozen, in Spanish: the points outstanding when it began, what it came to by kind, branch and rule set, what came late of months before, and the points outstanding when it ended, with the root and the digest. month: any day of it. format: html or csv, as of loyalty.member_statement(). Nobody is named. Errors: LY005 invalid_argument (format), LY006 unknown_object (no such program, or the month is not closed), 0A000 (html, of a server that was built without libxml).';
