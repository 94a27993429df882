-- The dashboard: a page of one merchant's figures, for whoever has its link.
--
-- A link has the merchant, the second at which it ends, and a signature of both
-- under a key of the merchant's own: nothing is kept of it, and a new key ends all
-- of them.  Whatever is wrong with one, the answer is the same page, and as much is
-- done for it, whether there is such a merchant or not.
--
-- Its figures are rounded to a hundredth: exact ones are those of reports.  The page has no script, and no word of a client but what documents (92_document)
-- make of it; its style is told to the browser by its hash.  Drawings have no style
-- of their own, which that hash forbids, but attributes.

CREATE FUNCTION loyalty_internal.secrets_equal(a text, b text) RETURNS boolean
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_secrets_equal';
COMMENT ON FUNCTION loyalty_internal.secrets_equal(text, text) IS 'Whether two texts are the same, in a time that depends on their lengths only.';

CREATE FUNCTION loyalty_internal.take_turn(merchant_id bigint) RETURNS void
LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME', 'loyalty_take_turn';
COMMENT ON FUNCTION loyalty_internal.take_turn(bigint) IS
'Counts the transaction as a request of the merchant that is in progress, as loyalty.merchant_requests limits them. Errors: LY430 too_many_requests.';

-- --- links ---------------------------------------------------------------------------------

CREATE FUNCTION loyalty_internal.dashboard_signature(key text, merchant_id bigint, ends bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
RETURN encode(loyalty_internal.hmac(key, concat('dashboard ', merchant_id, ' ', ends)), 'hex');
COMMENT ON FUNCTION loyalty_internal.dashboard_signature(text, bigint, bigint) IS 'The signature of a link under a key. Without a key it is anybody''s, and proves nothing.';

CREATE FUNCTION loyalty.dashboard_link(merchant_id bigint, lifetime interval DEFAULT '7 days') RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ends bigint;
BEGIN
	PERFORM loyalty_internal.require_merchant(dashboard_link.merchant_id);
	IF NOT coalesce(dashboard_link.lifetime BETWEEN '1 minute' AND '90 days', false) THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'lifetime is 1 minute to 90 days.');
	END IF;
	ends := floor(extract(epoch FROM now() + dashboard_link.lifetime));
	RETURN (SELECT concat('/dashboard?token=', m.merchant_id, '.', ends, '.', loyalty_internal.dashboard_signature(m.dashboard_key, m.merchant_id, ends))
			FROM loyalty_internal.merchant m WHERE m.merchant_id = dashboard_link.merchant_id);
END
$$;
COMMENT ON FUNCTION loyalty.dashboard_link(bigint, interval) IS
'A link to the merchant''s dashboard, from the path on: the address of the web server goes before it. Whoever has it sees the merchant''s figures, and no names of members, until lifetime is over (1 minute to 90 days), or loyalty.rotate_dashboard_key() is called. Nothing is kept of it. Errors: LY006 unknown_object, LY005 invalid_argument.';

CREATE FUNCTION loyalty.rotate_dashboard_key(merchant_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE loyalty_internal.merchant m SET dashboard_key = loyalty_internal.random_key('', 32) WHERE m.merchant_id = rotate_dashboard_key.merchant_id;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'There is no merchant with this merchant_id.');
	END IF;
END
$$;
COMMENT ON FUNCTION loyalty.rotate_dashboard_key(bigint) IS
'Ends all links to the merchant''s dashboard that loyalty.dashboard_link() has made; those that it makes afterwards work. Errors: LY006 unknown_object.';

-- The merchant of a link that is good.  A key that is not there is one of zeros, so
-- the signature is compared either way, and counts only under a key.
CREATE FUNCTION loyalty_internal.dashboard_merchant(token text) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT m.merchant_id
	FROM regexp_match(dashboard_merchant.token, '^([1-9][0-9]{0,17}|[1-8][0-9]{18})[.]([1-9][0-9]{0,9})[.]([0-9a-f]{64})$') t (part)
	LEFT JOIN loyalty_internal.merchant m ON m.merchant_id = t.part[1]::bigint
	WHERE loyalty_internal.secrets_equal(t.part[3], loyalty_internal.dashboard_signature(m.dashboard_key, t.part[1]::bigint, t.part[2]::bigint))
	  AND m.dashboard_key IS NOT NULL AND t.part[2]::bigint > extract(epoch FROM now());
END;
COMMENT ON FUNCTION loyalty_internal.dashboard_merchant(text) IS 'The merchant whose dashboard the token of a link shows; NULL: it is not good, or not any more.';

-- --- what the page shows ---------------------------------------------------------------------

CREATE TYPE loyalty_internal.dashboard_day AS (
	day			date,
	branch_id	bigint,
	rules		integer,
	entries		numeric,
	sold		numeric,
	issued		numeric,
	redeemed	numeric,
	expired		numeric
);
COMMENT ON TYPE loyalty_internal.dashboard_day IS 'What happened on a day in a branch under a rule set.';

-- loyalty_report.fact_day, which would look at the newest entries of all merchants.
CREATE FUNCTION loyalty_internal.dashboard_days(merchant_id bigint, first date, last date) RETURNS loyalty_internal.dashboard_day[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
BEGIN ATOMIC
	SELECT coalesce(array_agg(ROW(x.day, x.branch_id, x.rules, x.entries, x.sold, x.issued, x.redeemed, x.expired)::loyalty_internal.dashboard_day), '{}')
	FROM (SELECT d.day, coalesce(b.branch_id, (s.branch_ids || s.branch_id)[1 + d.moves], s.branch_id) AS branch_id, nullif(d.rules, 0) AS rules, sum(d.entries) AS entries,
				 sum(d.money) FILTER (WHERE d.kind = 1) AS sold, sum(d.points + d.reserved) FILTER (WHERE d.kind IN (1, 2)) AS issued, -sum(d.points + d.reserved) FILTER (WHERE d.kind IN (3, 7)) AS redeemed,
				 -sum(d.points) FILTER (WHERE d.kind = 5) AS expired
		  FROM (SELECT r.* FROM loyalty_internal.report_day r WHERE r.merchant_id = dashboard_days.merchant_id AND r.day BETWEEN first AND last
				UNION ALL SELECT n.* FROM loyalty_internal.days_since(ARRAY[dashboard_days.merchant_id]) n WHERE n.day BETWEEN first AND last) d
		  LEFT JOIN loyalty_internal.report_staff s ON s.merchant_id = dashboard_days.merchant_id AND s.staff_id = d.staff_id
		  LEFT JOIN loyalty_internal.branch b ON b.merchant_id = dashboard_days.merchant_id AND loyalty_internal.branch_digest(b.name) = d.branch_digest
		  GROUP BY 1, 2, 3) x;
END;
COMMENT ON FUNCTION loyalty_internal.dashboard_days(bigint, date, date) IS 'Part of the dashboard: the days of a merchant.';

CREATE TYPE loyalty_internal.dashboard_lot AS (
	program_id	bigint,
	state		text,
	month		date,
	points		numeric
);
COMMENT ON TYPE loyalty_internal.dashboard_lot IS 'Points that members of a program have now, by the month in which they expire.';

CREATE FUNCTION loyalty_internal.dashboard_lots(merchant_id bigint) RETURNS loyalty_internal.dashboard_lot[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
BEGIN ATOMIC
	SELECT coalesce(array_agg(d), '{}') FROM (
		SELECT ROW(l.program_id, l.state, date_trunc('month', l.expires_at AT TIME ZONE p.time_zone)::date, sum(l.points::numeric))::loyalty_internal.dashboard_lot AS d
		FROM loyalty_internal.report_lot l
		JOIN loyalty_internal.program p ON p.merchant_id = dashboard_lots.merchant_id AND p.program_id = l.program_id
		WHERE l.merchant_id = dashboard_lots.merchant_id
		GROUP BY l.program_id, l.state, date_trunc('month', l.expires_at AT TIME ZONE p.time_zone)::date) s;
END;
COMMENT ON FUNCTION loyalty_internal.dashboard_lots(bigint) IS 'Part of the dashboard: what members of a merchant have.';

-- A share of the largest, 0 to 100, as a bar.
CREATE FUNCTION loyalty_internal.html_bar(value numeric, largest numeric) RETURNS xml
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN xmlelement(NAME svg, xmlattributes('bar' AS class, '0 0 100 4' AS "viewBox", 'none' AS "preserveAspectRatio", 'true' AS "aria-hidden"),
	xmlelement(NAME rect, xmlattributes('a' AS class, round(coalesce(greatest(value, 0) * 100 / nullif(largest, 0), 0), 2) AS width, 4 AS height)));
COMMENT ON FUNCTION loyalty_internal.html_bar(numeric, numeric) IS 'Part of the dashboard: a bar as long as a value is of the largest.';

CREATE FUNCTION loyalty_internal.html_card(title text, body xml, width text DEFAULT NULL) RETURNS xml
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN xmlelement(NAME section, xmlattributes(width AS class), xmlelement(NAME h2, title), coalesce(body, xmlelement(NAME p, xmlattributes('empty' AS class), 'Nada todavía.')));
COMMENT ON FUNCTION loyalty_internal.html_card(text, xml, text) IS 'Part of the dashboard: a section; without a body it says that there is nothing yet.';

CREATE FUNCTION loyalty_internal.dashboard_today(days loyalty_internal.dashboard_day[], today date) RETURNS xml
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT xmlelement(NAME div, xmlattributes('tiles' AS class), xmlagg(xmlelement(NAME div,
		xmlelement(NAME span, xmlattributes('dim' AS class), t.name), xmlelement(NAME strong, loyalty_internal.written_number(round(t.now, 2), t.decimals)),
		xmlelement(NAME span, xmlattributes('dim' AS class), 'ayer ' || loyalty_internal.written_number(round(t.before, 2), t.decimals))) ORDER BY t.n))
	FROM (SELECT coalesce(sum(d.sold) FILTER (WHERE d.day = today), 0) AS sold, coalesce(sum(d.sold) FILTER (WHERE d.day = today - 1), 0) AS sold_before,
				 coalesce(sum(d.issued) FILTER (WHERE d.day = today), 0) AS issued, coalesce(sum(d.issued) FILTER (WHERE d.day = today - 1), 0) AS issued_before,
				 coalesce(sum(d.redeemed) FILTER (WHERE d.day = today), 0) AS redeemed, coalesce(sum(d.redeemed) FILTER (WHERE d.day = today - 1), 0) AS redeemed_before,
				 coalesce(sum(d.entries) FILTER (WHERE d.day = today), 0) AS entries, coalesce(sum(d.entries) FILTER (WHERE d.day = today - 1), 0) AS entries_before
		  FROM unnest(days) d) s
	CROSS JOIN LATERAL (VALUES (1, 'Ventas', 2, s.sold, s.sold_before), (2, 'Puntos emitidos', 0, s.issued, s.issued_before), (3, 'Puntos canjeados', 0, s.redeemed, s.redeemed_before),
		(4, 'Movimientos', 0, s.entries, s.entries_before)) t (n, name, decimals, now, before);
END;
COMMENT ON FUNCTION loyalty_internal.dashboard_today(loyalty_internal.dashboard_day[], date) IS 'Part of the dashboard: today, beside yesterday.';

CREATE FUNCTION loyalty_internal.dashboard_month(days loyalty_internal.dashboard_day[], first date, last date) RETURNS xml
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT xmlconcat(
		xmlelement(NAME p, xmlattributes('legend' AS class),
			xmlelement(NAME span, xmlattributes('key a' AS class), 'Emitidos ', loyalty_internal.written_number(round(sum(x.issued), 2))),
			xmlelement(NAME span, xmlattributes('key b' AS class), 'Canjeados ', loyalty_internal.written_number(round(sum(x.redeemed), 2))),
			xmlelement(NAME span, 'Vencidos ', loyalty_internal.written_number(round(sum(x.expired), 2))),
			xmlelement(NAME span, 'Ventas ', loyalty_internal.written_number(round(sum(x.sold), 2), 2)),
			xmlelement(NAME span, 'Máximo del día ', loyalty_internal.written_number(round(max(x.largest), 2)))),
		xmlelement(NAME svg, xmlattributes('chart' AS class, concat('0 0 ', 20 * count(*), ' 100') AS "viewBox", 'none' AS "preserveAspectRatio", 'img' AS role, 'Puntos emitidos y canjeados por día' AS "aria-label"),
			xmlagg(xmlelement(NAME g,
				xmlelement(NAME title, concat(loyalty_internal.written_day(x.day), ': emitidos ', loyalty_internal.written_number(round(x.issued, 2)), ', canjeados ', loyalty_internal.written_number(round(x.redeemed, 2)))),
				xmlelement(NAME rect, xmlattributes('back' AS class, 20 * x.n AS x, 0 AS y, 20 AS width, 100 AS height)),
				xmlelement(NAME rect, xmlattributes('a' AS class, 20 * x.n + 2 AS x, 100 - x.a AS y, 8 AS width, x.a AS height)),
				xmlelement(NAME rect, xmlattributes('b' AS class, 20 * x.n + 10 AS x, 100 - x.b AS y, 8 AS width, x.b AS height))) ORDER BY x.n)),
		xmlelement(NAME p, xmlattributes('axis' AS class), xmlelement(NAME span, loyalty_internal.written_day(first)), xmlelement(NAME span, loyalty_internal.written_day(last))))
	FROM (SELECT y.*, round(coalesce(y.issued * 100 / nullif(y.largest, 0), 0), 2) AS a, round(coalesce(y.redeemed * 100 / nullif(y.largest, 0), 0), 2) AS b
		  FROM (SELECT g.n, first + g.n AS day, s.*, max(greatest(s.issued, s.redeemed)) OVER () AS largest
				FROM generate_series(0, last - first) g (n)
				CROSS JOIN LATERAL (SELECT coalesce(sum(d.sold), 0) AS sold, coalesce(sum(d.issued), 0) AS issued, coalesce(sum(d.redeemed), 0) AS redeemed, coalesce(sum(d.expired), 0) AS expired
									FROM unnest(days) d WHERE d.day = first + g.n) s) y) x;
END;
COMMENT ON FUNCTION loyalty_internal.dashboard_month(loyalty_internal.dashboard_day[], date, date) IS 'Part of the dashboard: points by day, as a chart, and the sums of all days.';

CREATE FUNCTION loyalty_internal.dashboard_liability(merchant_id bigint, lots loyalty_internal.dashboard_lot[]) RETURNS xml
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT loyalty_internal.html_table('{Programa,Disponibles,"En reserva",Total,Valor}', xmlagg(loyalty_internal.html_row('{Programa,Disponibles,"En reserva",Total,Valor}',
		loyalty_internal.html_text(p.name), loyalty_internal.html_number(round(s.available, 2)), loyalty_internal.html_number(round(s.reserved, 2)), loyalty_internal.html_number(round(s.available + s.reserved, 2)),
		xmlelement(NAME span, loyalty_internal.written_number(round((s.available + s.reserved) * loyalty_internal.point_value(p.merchant_id, p.program_id, now()), 2), 2) || ' ' || p.currency_iso)) ORDER BY s.available + s.reserved DESC, p.program_id))
	FROM (SELECT q.* FROM loyalty_internal.program q WHERE q.merchant_id = dashboard_liability.merchant_id ORDER BY q.active DESC, q.program_id LIMIT 50) p
	CROSS JOIN LATERAL (SELECT coalesce(sum(l.points) FILTER (WHERE l.state IN ('available', 'owed')), 0) AS available, coalesce(sum(l.points) FILTER (WHERE l.state IN ('held', 'pending')), 0) AS reserved
						FROM unnest(lots) l WHERE l.program_id = p.program_id) s;
END;
COMMENT ON FUNCTION loyalty_internal.dashboard_liability(bigint, loyalty_internal.dashboard_lot[]) IS 'Part of the dashboard: what members have, by program, and what it is worth.';

CREATE FUNCTION loyalty_internal.dashboard_expiry(lots loyalty_internal.dashboard_lot[], today date) RETURNS xml
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT loyalty_internal.html_table('{Mes,Puntos}', xmlagg(loyalty_internal.html_row('{Mes,Puntos}', xmlelement(NAME span, x.name, loyalty_internal.html_bar(x.points, x.largest)), loyalty_internal.html_number(round(x.points, 2))) ORDER BY x.n))
	FROM (SELECT m.n, CASE WHEN m.n = 13 THEN 'Después' WHEN m.n = 14 THEN 'Nunca' ELSE loyalty_internal.written_month((date_trunc('month', today) + m.n * interval '1 month')::date) END AS name,
				 coalesce(s.points, 0) AS points, max(coalesce(s.points, 0)) OVER () AS largest
		  FROM generate_series(0, 14) m (n)
		  LEFT JOIN (SELECT CASE WHEN l.month IS NULL THEN 14 ELSE least(13, greatest(0, ((extract(year FROM l.month) - extract(year FROM today)) * 12 + extract(month FROM l.month) - extract(month FROM today))::integer)) END AS n, sum(l.points) AS points
					 FROM unnest(lots) l WHERE l.state <> 'owed' GROUP BY 1) s ON s.n = m.n
		  WHERE cardinality(lots) > 0 AND (m.n < 6 OR s.points IS NOT NULL)) x;
END;
COMMENT ON FUNCTION loyalty_internal.dashboard_expiry(loyalty_internal.dashboard_lot[], date) IS 'Part of the dashboard: what expires when, if nobody spends.';

CREATE FUNCTION loyalty_internal.dashboard_branches(merchant_id bigint, days loyalty_internal.dashboard_day[]) RETURNS xml
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT loyalty_internal.html_table('{Sucursal,Ventas,Emitidos,Canjeados}', xmlagg(loyalty_internal.html_row('{Sucursal,Ventas,Emitidos,Canjeados}',
		xmlconcat(coalesce((SELECT loyalty_internal.html_text(b.name) FROM loyalty_internal.branch b WHERE b.merchant_id = dashboard_branches.merchant_id AND b.branch_id = s.branch_id), xmlelement(NAME span, '(ninguna)')),
			loyalty_internal.html_bar(s.sold, s.largest)), loyalty_internal.html_number(round(s.sold, 2), 2), loyalty_internal.html_number(round(s.issued, 2)), loyalty_internal.html_number(round(s.redeemed, 2))) ORDER BY s.sold DESC, s.issued DESC, s.branch_id))
	FROM (SELECT d.branch_id, coalesce(sum(d.sold), 0) AS sold, coalesce(sum(d.issued), 0) AS issued, coalesce(sum(d.redeemed), 0) AS redeemed, max(sum(d.sold)) OVER () AS largest
		  FROM unnest(days) d GROUP BY d.branch_id ORDER BY coalesce(sum(d.sold), 0) DESC, coalesce(sum(d.issued), 0) DESC, d.branch_id LIMIT 10) s;
END;
COMMENT ON FUNCTION loyalty_internal.dashboard_branches(bigint, loyalty_internal.dashboard_day[]) IS 'Part of the dashboard: the ten branches that sell most.';

CREATE FUNCTION loyalty_internal.dashboard_rules(days loyalty_internal.dashboard_day[]) RETURNS xml
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT loyalty_internal.html_table('{Reglas,Ventas,Emitidos,"Por cada 100"}', xmlagg(loyalty_internal.html_row('{Reglas,Ventas,Emitidos,"Por cada 100"}', xmlelement(NAME span, coalesce('Versión ' || s.rules, '(ninguna)')),
		loyalty_internal.html_number(round(s.sold, 2), 2), loyalty_internal.html_number(round(s.issued, 2)), coalesce(loyalty_internal.html_number(round(s.issued * 100 / nullif(s.sold, 0), 2), 2), xmlelement(NAME span, '–'))) ORDER BY s.issued DESC, s.rules))
	FROM (SELECT d.rules, coalesce(sum(d.sold), 0) AS sold, sum(d.issued) AS issued FROM unnest(days) d GROUP BY d.rules HAVING sum(d.issued) <> 0 ORDER BY sum(d.issued) DESC LIMIT 10) s;
END;
COMMENT ON FUNCTION loyalty_internal.dashboard_rules(loyalty_internal.dashboard_day[]) IS 'Part of the dashboard: what the earning rules gave, by the version of them.';

CREATE FUNCTION loyalty_internal.dashboard_looks(merchant_id bigint, zone text) RETURNS xml
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE WHEN count(*) > 0 THEN xmlconcat(
		loyalty_internal.html_table('{"Qué mirar",Casos}', xmlagg(loyalty_internal.html_row('{"Qué mirar",Casos}', xmlelement(NAME span, l.name), loyalty_internal.html_number(f.cases)) ORDER BY f.cases DESC, l.name) FILTER (WHERE f.cases > 0)),
		xmlelement(NAME p, xmlattributes('dim' AS class), concat(CASE WHEN sum(f.cases) = 0 THEN 'Nada en 30 días' ELSE 'En 30 días' END, ', contado el ', to_char(max(f.counted_at) AT TIME ZONE zone, 'DD/MM/YYYY HH24:MI'), '.'))) END
	FROM (VALUES ('same_member', 'un miembro, muchas ventas'), ('corrections', 'correcciones fuera de lo común'), ('quick_reversal', 'venta devuelta enseguida'),
		('outside_hours', 'actividad fuera de horario'), ('burst', 'ráfaga de una clave')) l (look, name)
	JOIN loyalty_internal.fraud_count f ON f.merchant_id = dashboard_looks.merchant_id AND f.look = l.look COLLATE "C";
END;
COMMENT ON FUNCTION loyalty_internal.dashboard_looks(bigint, text) IS 'Part of the dashboard: how much there was to look at when loyalty.maintain() counted it last; NULL: it never did.';

-- --- the page --------------------------------------------------------------------------------

CREATE FUNCTION loyalty_internal.dashboard_style() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ':root{color-scheme:light dark;--page:#f4f5f8;--card:#fff;--ink:#16181d;--dim:#565e6c;--line:#dde1e8;--a:#1f6feb;--b:#c2610c}
@media (prefers-color-scheme:dark){:root{--page:#0e1116;--card:#181c23;--ink:#e8ebf0;--dim:#a0a9b8;--line:#2c333d;--a:#5aa2ff;--b:#f0a050}}
*{box-sizing:border-box}
body{margin:0 auto;padding:12px;max-width:1200px;background:var(--page);color:var(--ink);font:16px/1.4 system-ui,"DejaVu Sans",sans-serif;overflow-wrap:anywhere}
h1{font-size:1.4rem;margin:4px 0}
h2{font-size:1rem;margin:0 0 8px}
p{margin:4px 0}
main{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,520px),1fr));gap:12px;margin-top:12px;align-items:start}
section{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px;min-width:0;overflow-x:auto}
section.wide{grid-column:1/-1}
.dim,.empty,.axis,th,footer{color:var(--dim);font-size:.85rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:12px}
.tiles div{display:grid}
strong{font-size:1.35rem;font-variant-numeric:tabular-nums}
.legend{display:flex;flex-wrap:wrap;gap:2px 16px;font-size:.85rem}
.key::before{content:"";display:inline-block;width:.8em;height:.8em;margin-right:.4em;border-radius:2px}
.key.a::before{background:var(--a)}
.key.b::before{background:var(--b)}
.chart{display:block;width:100%;height:181px;border-bottom:1px solid var(--line)}
.bar{display:block;width:100%;height:6px;margin:4px 0 2px}
.axis{display:flex;justify-content:space-between}
rect.a{fill:var(--a)}
rect.b{fill:var(--b)}
rect.back{fill:transparent}
table{width:100%;border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:4px 0 4px 8px;border-bottom:1px solid var(--line);text-align:right;vertical-align:top;font-weight:400}
th:first-child,td:first-child{padding-left:0;text-align:left}
td:nth-child(n+2){white-space:nowrap}
tbody tr:last-child,tbody tr:last-child td{border-bottom:0}
@media (max-width:600px){thead{display:none}tr{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 12px;padding:6px 0;border-bottom:1px solid var(--line)}td{padding:0;border:0}td:first-child{flex:0 0 100%}td:first-child:nth-last-child(2){flex:1}td:nth-child(n+2)::before{content:attr(data-head) " ";color:var(--dim)}td:nth-child(2):last-child::before{content:""}}';
COMMENT ON FUNCTION loyalty_internal.dashboard_style() IS 'The style of the dashboard.';

CREATE FUNCTION loyalty_internal.dashboard_page(merchant_id bigint) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	merchant CONSTANT text := (SELECT m.name FROM loyalty_internal.merchant m WHERE m.merchant_id = dashboard_page.merchant_id);
	zone CONSTANT text := coalesce((SELECT p.time_zone FROM loyalty_internal.program p WHERE p.merchant_id = dashboard_page.merchant_id ORDER BY p.active DESC, p.program_id LIMIT 1), 'America/Mexico_City');
	today CONSTANT date := (now() AT TIME ZONE zone)::date;
	days CONSTANT loyalty_internal.dashboard_day[] := loyalty_internal.dashboard_days(dashboard_page.merchant_id, today - 29, today);
	lots CONSTANT loyalty_internal.dashboard_lot[] := loyalty_internal.dashboard_lots(dashboard_page.merchant_id);
BEGIN
	RETURN loyalty_internal.html_page('Tablero', loyalty_internal.dashboard_style(), xmlconcat(
		xmlelement(NAME header, xmlelement(NAME h1, loyalty_internal.html_text(merchant)), xmlelement(NAME p, xmlattributes('dim' AS class), to_char(now() AT TIME ZONE zone, 'DD/MM/YYYY HH24:MI'))),
		xmlelement(NAME main,
			loyalty_internal.html_card('Hoy', loyalty_internal.dashboard_today(days, today), 'wide'),
			loyalty_internal.html_card('Últimos 30 días', loyalty_internal.dashboard_month(days, today - 29, today), 'wide'),
			loyalty_internal.html_card('Puntos por redimir', loyalty_internal.dashboard_liability(dashboard_page.merchant_id, lots)),
			loyalty_internal.html_card('Lo que vence, si nadie canjea', loyalty_internal.dashboard_expiry(lots, today)),
			loyalty_internal.html_card('Sucursales, 30 días', loyalty_internal.dashboard_branches(dashboard_page.merchant_id, days)),
			loyalty_internal.html_card('Reglas, 30 días', loyalty_internal.dashboard_rules(days)),
			loyalty_internal.html_card('Actividad por revisar', loyalty_internal.dashboard_looks(dashboard_page.merchant_id, zone))),
		xmlelement(NAME footer, xmlelement(NAME p, concat('Días y horas de ', zone, '.')))));
END
$$;
COMMENT ON FUNCTION loyalty_internal.dashboard_page(bigint) IS 'The dashboard of a merchant, of nobody else''s rows.';

CREATE FUNCTION loyalty_internal.dashboard_notice(title text, words text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN loyalty_internal.html_page(title, loyalty_internal.dashboard_style(), xmlconcat(xmlelement(NAME h1, title), xmlelement(NAME p, words)));
COMMENT ON FUNCTION loyalty_internal.dashboard_notice(text, text) IS 'A page that says why there is no dashboard.';

-- What proves nothing, and must not be known to others, is not kept or handed on by the browser.
CREATE FUNCTION loyalty_internal.dashboard_headers() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN json_build_array(
	json_build_object('Content-Type', 'text/html; charset=utf-8'),
	json_build_object('Content-Security-Policy', format('default-src ''none''; style-src ''sha256-%s''; base-uri ''none''; form-action ''none''; frame-ancestors ''none''',
		encode(sha256(convert_to(loyalty_internal.dashboard_style(), 'UTF8')), 'base64'))),
	json_build_object('Referrer-Policy', 'no-referrer'), json_build_object('Cache-Control', 'no-store'), json_build_object('X-Robots-Tag', 'noindex'),
	json_build_object('X-Frame-Options', 'DENY'), json_build_object('Cross-Origin-Resource-Policy', 'same-origin'))::text;
COMMENT ON FUNCTION loyalty_internal.dashboard_headers() IS 'The headers of the dashboard: no script, no style but its own, no frame around it, no copy of it.';

CREATE DOMAIN loyalty_api."text/html" AS text;
COMMENT ON DOMAIN loyalty_api."text/html" IS 'A page, of the media type that this is called by.';

CREATE FUNCTION loyalty_api.dashboard() RETURNS loyalty_api."text/html"
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' AS $$
DECLARE
	merchant bigint;
	page text;
	status text := '200';
BEGIN
	BEGIN
		merchant := loyalty_internal.dashboard_merchant(nullif(current_setting('request.headers', true), '')::json ->> 'x-loyalty-token');
		IF merchant IS NULL THEN
			status := '403';
			page := loyalty_internal.dashboard_notice('Sin acceso', 'Este enlace no es válido, o ya terminó. Pide otro a quien te lo dio.');
		ELSE
			PERFORM loyalty_internal.take_turn(merchant);
			page := loyalty_internal.dashboard_page(merchant);
		END IF;
		PERFORM set_config('response.headers', loyalty_internal.dashboard_headers(), true);
	EXCEPTION
		WHEN SQLSTATE 'LY430' THEN
			status := '429';
		-- a serialization failure too, which PostgREST would repeat for ever; not 503, which it takes for a lost database
		WHEN OTHERS THEN
			RAISE LOG 'dashboard failed: %', SQLERRM USING ERRCODE = SQLSTATE;
			status := '504';
	END;
	PERFORM set_config('response.status', status, true);
	RETURN coalesce(page, '');
END
$$;
COMMENT ON FUNCTION loyalty_api.dashboard() IS
$$The dashboard of a merchant
A page, for GET /dashboard?token=… of the web server in front, which hands on the token of a link that loyalty.dashboard_link() made in a header. 403: the link is not good, 429: too many requests of the merchant are in progress; what else goes wrong is 504, and in the server's log. Not meant to be called otherwise.$$;
