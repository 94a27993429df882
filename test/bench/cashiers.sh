#!/bin/bash
# Sixteen cashiers of one branch, each in a session of their own, who sell and
# redeem by turns: with a plan's quota of redemptions and prepaid message
# credit, and with limits on each cashier and the branch besides, against with
# none of these; in SQL, and over HTTP as their tills do.
. "$(dirname "$0")/bench.bash"

contacts=$((2000 / scale))

# Other merchants' rows: in tables of a few pages every look-up reads them all.
sql <<-END >/dev/null
	SELECT loyalty.create_merchant('bench other ' || i) FROM generate_series(1, $((500 / scale))) i;
	SELECT loyalty.set_quota(merchant_id, kind, 1000) FROM loyalty_internal.merchant, unnest('{redemptions,messages}'::text[]) kind WHERE name LIKE 'bench other %';
	INSERT INTO loyalty_internal.branch (merchant_id, name) SELECT merchant_id, 'Norte' FROM loyalty_internal.merchant WHERE name LIKE 'bench other %';
	INSERT INTO loyalty_internal.staff (merchant_id, staff_id, branch_id, role, name, number, password_digest, password_cost)
	SELECT merchant_id, i, branch_id, 'cajero', 'Cajero ' || i, (4771000000 + i)::text::loyalty.phone, lpad(to_hex(i), 64, '0'), 4096
	FROM loyalty_internal.branch, generate_series(101, 116) i WHERE name = 'Norte';
	INSERT INTO loyalty_internal.allowance (merchant_id, program_id, adds, scope, subject_id)
	SELECT merchant_id, 1, adds, 'staff', staff_id FROM loyalty_internal.staff, unnest('{true,false}'::boolean[]) adds WHERE staff_id > 100;
END

# make_script NAME MERCHANT: what cashier number client_id + 1 does.
make_script() {
	cat >"$work/$1.sql" <<-END
		\set contact random(1, $contacts)
		SELECT loyalty.wallet_sale($2, 'bench-$1', (5510000000 + :contact)::text, 0, 10, NULL, :client_id + 1, 'T1');
		\set contact random(1, $contacts)
		SELECT loyalty.wallet_sale($2, 'bench-$1', (5510000000 + :contact)::text, 1, NULL, 1, :client_id + 1, 'T1');
	END
}

# make_requests NAME MERCHANT: the same as requests, of all cashiers.
make_requests() {
	local key i
	key=$(sql -c "SELECT api_key FROM loyalty.create_api_key($2, 'bench')")
	for i in $(seq 2000); do
		post_request /wallet/sale application/x-www-form-urlencoded \
			"wallet_key=bench-$1&phone=$((5510000001 + i * 7 % contacts))&transaction_type=$((i % 2))&transaction_amount=10&points_used=1&usertool_id=$((1 + i % 16))&ticket=T1" \
			"apikey: $key"
	done >"$work/$1.http"
}

for name in without quotas limits; do
	merchant=$(make_merchant "$name" "$contacts")
	make_script "$name" "$merchant"
	make_requests "$name" "$merchant"
	if [ "$name" != without ]; then
		sql -c "SELECT loyalty.set_quota($merchant, kind, 100000000) FROM unnest('{redemptions,messages}'::text[]) kind" >/dev/null
	fi
	if [ "$name" = limits ]; then
		sql -c "SELECT loyalty.set_limit(merchant_id, program_id, scope, direction, '100000000', 100000000)
			FROM loyalty_internal.program, unnest('{staff,branch}'::text[]) scope, unnest('{add,spend}'::text[]) direction WHERE merchant_id = $merchant" >/dev/null
	fi
done
settle

in_sql() { pgbench_tps "$work/$1.sql" -c 16 -j 2; }
over_http() { requests_per_second "$LOYALTY_URL" "$work/$1.http"; }

compare '16 cashiers, with quotas and message credit / without' '≥ 0.9' 'pairs/s' 'in_sql quotas' 'in_sql without'
compare '16 cashiers, with these and limits / without' '≥ 0.9' 'pairs/s' 'in_sql limits' 'in_sql without'
compare '16 cashiers, with these and limits / without, over HTTP' '≥ 0.9' 'requests/s' 'over_http limits' 'over_http without'
