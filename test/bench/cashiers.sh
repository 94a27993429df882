#!/bin/bash
# Sixteen cashiers of one branch, each in a session of their own, who sell and
# redeem by turns: with a plan's quota of redemptions and prepaid message
# credit, and with limits on each cashier and the branch besides, against with
# none of these; in SQL, and over HTTP as their tills do.
. "$(dirname "$0")/bench.bash"

work=$(mktemp -d)
bench=$(cd "$(dirname "$0")" && pwd)
trap 'rm -rf "$work"' EXIT
make_accounts 1

# A merchant with 16 cashiers and 2,000 contacts, who have plenty; its number.
make_merchant() {
	local merchant
	merchant=$(sql -c "SELECT loyalty.create_merchant('bench')")
	sql <<-END >/dev/null
		SELECT wallet_key FROM loyalty.create_wallet($merchant, 'bench $1', 10) \gset
		UPDATE loyalty.program SET wallet_key = 'bench-$1' WHERE merchant_id = $merchant;
		SELECT loyalty.employee_add($merchant, 'cajero', 'Cajero ' || i, 'Centro', (4771000000 + i)::text, 'clave' || i) FROM generate_series(1, 16) i;
		WITH made AS (
			INSERT INTO loyalty.member (merchant_id, member_id, program_id, account_id, phone, name)
			SELECT p.merchant_id, i, p.program_id, i, (5510000000 + i)::text::loyalty.phone, 'contacto'
			FROM loyalty.program p, generate_series(1, 2000) i WHERE p.merchant_id = $merchant
			RETURNING merchant_id, account_id, program_id)
		INSERT INTO loyalty.account (merchant_id, account_id, program_id) SELECT * FROM made;
		SELECT count(error) FROM loyalty.post_batch($merchant, ARRAY(SELECT generate_series(1, 2000)), '{deposit}', array_fill('1000000'::loyalty.points, ARRAY[2000]));
	END
	printf '%s\n' "$merchant"
}

# What cashier number client_id + 1 does.
make_script() {
	cat >"$work/$1.sql" <<-END
		\set contact random(1, 2000)
		SELECT loyalty.wallet_sale($2, 'bench-$1', (5510000000 + :contact)::text, 0, 10, NULL, :client_id + 1, 'T1');
		\set contact random(1, 2000)
		SELECT loyalty.wallet_sale($2, 'bench-$1', (5510000000 + :contact)::text, 1, NULL, 1, :client_id + 1, 'T1');
	END
}

# Other merchants' rows: in tables of a few pages every look-up reads them all.
sql <<-END >/dev/null
	SELECT loyalty.create_merchant('other ' || i) FROM generate_series(1, 500) i;
	SELECT loyalty.set_quota(merchant_id, kind, 1000) FROM loyalty.merchant, unnest('{redemptions,messages}'::text[]) kind WHERE name LIKE 'other %';
	INSERT INTO loyalty.branch (merchant_id, name) SELECT merchant_id, 'Centro' FROM loyalty.merchant WHERE name LIKE 'other %';
	INSERT INTO loyalty.staff (merchant_id, staff_id, branch_id, role, name, number, password_secret)
	SELECT merchant_id, i, branch_id, 'cajero', 'Cajero ' || i, (4771000000 + i)::text::loyalty.phone, 'SCRAM-SHA-256\$none' FROM loyalty.branch, generate_series(101, 116) i WHERE name = 'Centro';
	INSERT INTO loyalty.allowance (merchant_id, program_id, adds, scope, subject_id)
	SELECT merchant_id, 1, adds, 'staff', staff_id FROM loyalty.staff, unnest('{true,false}'::boolean[]) adds;
END

# The same as requests, of all cashiers.
make_requests() {
	local key kind body
	key=$(sql -c "SELECT api_key FROM loyalty.create_api_key($2, 'bench')")
	for i in $(seq 2000); do
		kind=$((i % 2))
		body="wallet_key=bench-$1&phone=$((5510000000 + 1 + i * 7 % 2000))&transaction_type=$kind"
		body+="&transaction_amount=10&points_used=1&usertool_id=$((1 + i % 16))&ticket=T1"
		printf 'POST /wallet/sale HTTP/1.1\nHost: bench\napikey: %s\nContent-Type: application/x-www-form-urlencoded\nContent-Length: %d\n\n%s\n%%%%\n' \
			"$key" ${#body} "$body"
	done >"$work/$1.http"
}

for name in without quotas limits; do
	merchant=$(make_merchant "$name")
	make_script "$name" "$merchant"
	make_requests "$name" "$merchant"
	if [ "$name" != without ]; then
		sql -c "SELECT loyalty.set_quota($merchant, kind, 100000000) FROM unnest('{redemptions,messages}'::text[]) kind" >/dev/null
	fi
	if [ "$name" = limits ]; then
		sql -c "SELECT loyalty.set_limit(merchant_id, client_id, scope, direction, '100000000', 100000000)
			FROM loyalty.program, unnest('{staff,branch}'::text[]) scope, unnest('{add,spend}'::text[]) direction WHERE merchant_id = $merchant" >/dev/null
	fi
done
sql -c 'VACUUM ANALYZE' -c 'CHECKPOINT'

without() { pgbench_tps "$work/without.sql" -c 16 -j 2; }
quotas() { pgbench_tps "$work/quotas.sql" -c 16 -j 2; }
limits() { pgbench_tps "$work/limits.sql" -c 16 -j 2; }
requests() { perl "$bench/load.pl" "${LOYALTY_URL#http://}" 16 "$SECONDS_EACH" <"$work/$1.http"; }
without_http() { requests without; }
limits_http() { requests limits; }

compare '16 cashiers with quotas and message credit / without' '>= 0.9' 'pairs/s' quotas without
compare '16 cashiers with these and limits / without' '>= 0.9' 'pairs/s' limits without
compare '16 cashiers with these and limits / without, over HTTP' '>= 0.9' 'requests/s' limits_http without_http
