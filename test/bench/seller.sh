#!/bin/bash
# Deposits of the seller API, as SQL and over HTTP, against one UPDATE and one
# INSERT of as many rows that check nothing, decode nothing and answer nothing.
ROUNDS=${ROUNDS:-10}	# short ones
. "$(dirname "$0")/bench.bash"

small=$((1000 / scale))
large=$((10000 / scale))
merchant=$(make_merchant seller $large)
key=$(sql -c "SELECT api_key FROM loyalty.create_api_key($merchant, 'bench')")
make_floor $large

# File "N-MEMBERS" has N deposits for so many members.
sql <<-END
	CREATE TABLE floor.files (name text PRIMARY KEY, items json);
	INSERT INTO floor.files
	SELECT n || '-' || members,
		json_agg(json_build_object('programId', p.client_id, 'memberId', 'CM' || 1 + i % members, 'amount', '10', 'comments', 'bench'))
	FROM (VALUES ($small, $small), ($large, $large), ($large, 1)) file (n, members), generate_series(1, n) i, loyalty_internal.program p
	WHERE p.merchant_id = $merchant GROUP BY n, members;
END
for n in $small $large; do
	sql -c "SELECT items FROM floor.files WHERE name = '$n-$n'" >"$work/$n.json"
done
settle

# by_sql N MEMBERS
by_sql() {
	posts_per_second "$1" "SELECT $1 FROM floor.files, loyalty.seller_deposit($merchant, items) answer
		WHERE name = '$1-$2' AND strpos(answer::text, '\"status\":\"error\"') = 0"
}

# by_http N
by_http() {
	local seconds posted
	seconds=$(curl -sSf -o "$work/answer" -w '%{time_total}' -H 'Content-Type: application/json' \
		--data-binary "@$work/$1.json" "$LOYALTY_URL/v1/seller/$key/deposit")
	posted=$(grep -o '"status":"success"' "$work/answer" | wc -l)
	[ "$posted" = "$1" ] || fail "posted $posted of $1"
	awk -v n="$1" -v s="$seconds" 'BEGIN { print n / s }'
}

floor() { posts_per_second "$1" "$(floor_batch "$1" 'detail, actor_id, request_id' "'{\"comments\":\"bench\"}'::json, 7, 7")"; }
# what comes by HTTP has a key
keyed_floor() { posts_per_second "$1" "$(floor_batch "$1" 'detail, actor_id, request_id' "'{\"comments\":\"bench\"}'::json, 7, 7")"; }

compare '1,000 JSON items as SQL / the floor' '≥ 0.7' 'posts/s' "by_sql $small $small" "floor $small"
compare '10,000 JSON items as SQL / the floor' '≥ 0.7' 'posts/s' "by_sql $large $large" "floor $large"
compare '10,000 JSON items for one member / for 10,000' '≥ 1.6' 'posts/s' "by_sql $large 1" "by_sql $large $large"
compare '1,000 JSON items over HTTP / the floor' '≥ 0.6' 'posts/s' "by_http $small" "keyed_floor $small"
compare '10,000 JSON items over HTTP / the floor' '≥ 0.6' 'posts/s' "by_http $large" "keyed_floor $large"
check_floor
