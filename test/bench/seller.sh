#!/bin/bash
# Deposits of the seller API, as SQL and over HTTP, against one UPDATE and one
# INSERT of as many rows that check nothing, decode nothing and answer nothing.
. "$(dirname "$0")/bench.bash"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
make_accounts 10000

merchant=$(sql -c "SELECT loyalty.create_merchant('bench')")
key=$(sql -c "SELECT api_key FROM loyalty.create_api_key($merchant)")
program=$(sql -c "SELECT program_client_id FROM loyalty.create_program($merchant, 'bench')")
sql <<-END >/dev/null
	INSERT INTO loyalty.member (merchant_id, member_id, program_id, account_id, client_id, name)
	SELECT p.merchant_id, i, p.program_id, i, 'CM' || i, 'member ' || i
	FROM loyalty.program p, generate_series(1, 10000) i WHERE p.merchant_id = $merchant;
	INSERT INTO loyalty.account (merchant_id, account_id, program_id)
	SELECT merchant_id, account_id, program_id FROM loyalty.member WHERE merchant_id = $merchant;
	VACUUM ANALYZE loyalty.member, loyalty.account;
END
sql <<-END
	CREATE TABLE floor.items (name text PRIMARY KEY, items json);
	INSERT INTO floor.items
	SELECT batch.name, json_agg(json_build_object('programId', '$program', 'memberId', 'CM' || 1 + i % members, 'amount', '10', 'comments', 'bench'))
	FROM (VALUES ('1000', 1000, 1000), ('10000', 10000, 10000), ('hot', 10000, 1)) batch (name, n, members), generate_series(1, n) i
	GROUP BY batch.name;
END
for name in 1000 10000; do
	sql -c "SELECT items FROM floor.items WHERE name = '$name'" >"$work/$name.json"
done

per_second() {
	awk -v n="$1" -v s="$2" 'BEGIN { print n / s }'
}

# Posts per second of a file of $2 items, as an SQL call and over HTTP.
by_sql() {
	per_second "$2" "$(statement_seconds "SELECT length(loyalty.deposit($merchant, items)::text) FROM floor.items WHERE name = '$1'")"
}

by_http() {
	per_second "$2" "$(curl -s -o "$work/answer" -w '%{time_total}' -H 'Content-Type: application/json' \
		--data-binary "@$work/$1.json" "$LOYALTY_URL/v1/seller/$key/deposit")"
	grep -q '"totalPoints"' "$work/answer"
}

floor() {
	per_second "$1" "$(statement_seconds "$(floor_batch "$1")")"
}

sql_1000() { by_sql 1000 1000; }
sql_10000() { by_sql 10000 10000; }
sql_hot() { by_sql hot 10000; }
http_1000() { by_http 1000 1000; }
http_10000() { by_http 10000 10000; }
floor_1000() { floor 1000; }
floor_10000() { floor 10000; }

ROUNDS=$((ROUNDS * 2))
compare 'deposit of 1,000 JSON items as SQL' '-' 'posts/s' sql_1000 floor_1000
compare 'deposit of 10,000 JSON items as SQL' '-' 'posts/s' sql_10000 floor_10000
compare 'deposit of 10,000 JSON items, one member / spread' '>= 1' 'posts/s' sql_hot sql_10000
compare 'deposit of 1,000 JSON items over HTTP' '-' 'posts/s' http_1000 floor_1000
compare 'deposit of 10,000 JSON items over HTTP' '-' 'posts/s' http_10000 floor_10000
