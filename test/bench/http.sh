#!/bin/bash
# /wallet/sale through nginx and PostgREST, against PostgREST alone calling a
# plpgsql function that does the same two writes and nothing else.
. "$(dirname "$0")/bench.bash"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bench=$(cd "$(dirname "$0")" && pwd)
members=1000
make_accounts $members

sql <<-END >/dev/null
	CREATE FUNCTION loyalty_api.floor_sale(id bigint, amount bigint) RETURNS json
	LANGUAGE plpgsql SECURITY DEFINER AS \$\$
	DECLARE
		a floor.account;
	BEGIN
		UPDATE floor.account SET balance = balance + amount, version = version + 1, posted_at = now(), hash = '$some_hash'
		WHERE merchant_id = 1 AND account_id = id RETURNING * INTO a;
		INSERT INTO floor.entry (merchant_id, account_id, version, amount, balance, posted_at, kind)
		VALUES (1, id, a.version, amount, a.balance, now(), 2);
		RETURN json_build_object('success', true, 'newBalance', a.balance);
	END \$\$;
	GRANT EXECUTE ON FUNCTION loyalty_api.floor_sale(bigint, bigint) TO web_anon;
	NOTIFY pgrst, 'reload schema';
	SELECT count(loyalty.wallet_contact_add(merchant_id, '$LOYALTY_WALLET_KEY', (5510000000 + i)::text, 'bench', $LOYALTY_USERTOOL_ID))
	FROM loyalty.program, generate_series(1, $members) i WHERE wallet_key = '$LOYALTY_WALLET_KEY';
	VACUUM ANALYZE;
END
sleep 2

for i in $(seq $members); do
	body="wallet_key=$LOYALTY_WALLET_KEY&phone=$((5510000000 + i))&transaction_type=0&transaction_amount=10&usertool_id=$LOYALTY_USERTOOL_ID"
	printf 'POST /wallet/sale HTTP/1.1\nHost: bench\napikey: %s\nContent-Type: application/x-www-form-urlencoded\nContent-Length: %d\n\n%s\n%%%%\n' \
		"$LOYALTY_APIKEY" ${#body} "$body"
done >"$work/sale"
for i in $(seq $members); do
	body="{\"id\":$i,\"amount\":10000}"
	printf 'POST /rpc/floor_sale HTTP/1.1\nHost: bench\nContent-Type: application/json\nContent-Length: %d\n\n%s\n%%%%\n' ${#body} "$body"
done >"$work/floor"

sale() { perl "$bench/load.pl" "${LOYALTY_URL#http://}" 16 "$SECONDS_EACH" <"$work/sale"; }
floor() { perl "$bench/load.pl" "${POSTGREST_URL#http://}" 16 "$SECONDS_EACH" <"$work/floor"; }

compare '/wallet/sale over HTTP, 16 connections' '>= 0.8' 'requests/s' sale floor
sql -c 'DROP FUNCTION loyalty_api.floor_sale(bigint, bigint)'
