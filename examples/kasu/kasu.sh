#!/bin/bash
# kasu.sh - a client of the KASU API in bash, with curl and openssl and nothing else.
#
#     KASU_URL=http://127.0.0.1:8080 ./kasu.sh
#     KASU_URL=http://127.0.0.1:8080 ./kasu.sh status CURP POLIZA
#
# The first asks for all there is to know of a customer, sells a service to somebody
# who is none yet, and pays all of it. The second asks how a policy stands: 30 days
# after its last payment it is ACTIVO.
#
# Nobody is sold the same service twice: the first way, once more, ends at new_service
# with 412. Either it is sold to somebody else then, by KASU_NEW_CURP, KASU_MAIL and
# KASU_PHONE, or the sandbox is put back as a superuser:
# SELECT loyalty.load_sandbox(reset => true).
#
# Each answer is a line: what was asked for, the HTTP status, and the body as it came.
# The first one that is not as expected ends it. kasu.py does the same in Python.
set -euo pipefail
LC_ALL=C.UTF-8

# Who asks whom. The sandbox's are printed in the document; an app user in production
# has KASU_END=V1, KASU_TOKEN=Token_Full, and a name and a PRIVATE_KEY of its own.
url=${KASU_URL:?says where the API is, such as http://127.0.0.1:8080}
end=${KASU_END:-sbx}
registro=${KASU_TOKEN:-Registro_$end}
user=${KASU_USER:-Api_KASU_Sandbox}
private_key=${KASU_KEY:-ef235aacf90d9f4aadd8c92e4b2562e1d9eb97f0}
# A customer who has consented to be read.
curp=${KASU_CURP:-CAMC880526HMCBNR04}
# The service, and to whom it is sold. The names are for who is in no registry; without
# them the API looks them up.
product=${KASU_PRODUCT:-Funerario}
payments=${KASU_PAYMENTS:-3}
new_curp=${KASU_NEW_CURP:-LOPM900312MDFPRR01}
new_names=${KASU_NEW_NAMES-María|López|Pérez}
mail=${KASU_MAIL:-maria@example.com}
phone=${KASU_PHONE:-5512345678}

# post STEP STATUS PATH BODY [HEADER]: the answer's body is in $answer. The token is
# left out until there is one.
post() {
	local status headers=(-H 'Content-Type: application/json' -H 'User-Agent: kasu-sh/1.0')
	[ -z "${token:-}" ] || headers+=(-H "Authorization: Bearer $token")
	[ $# -lt 5 ] || headers+=(-H "$5")
	answer=$(curl -sS "${headers[@]}" --data-binary "$4" -w '\n%{http_code}' "$url/api/$3")
	status=${answer##*$'\n'}
	answer=${answer%$'\n'*}
	printf '%s %s %s\n' "$1" "$status" "${answer//$'\n'/ }"
	[ "$status" = "$2" ] || { echo "$1: $2 was expected" >&2; exit 1; }
}

# value KEY: what the first KEY of the answer has, a text without its quotes.
value() {
	local pattern="\"$1\"[[:space:]]*:[[:space:]]*(\"([^\"]*)\"|\\{[^{}]*\\}|[^][{},\"[:space:]]+)"
	[[ $answer =~ $pattern ]] || { echo "there is no $1 in the answer" >&2; exit 1; }
	local found=${BASH_REMATCH[1]#\"}
	printf '%s\n' "${found%\"}"
}

# authenticate CURP: a token for requests about this person, good for some minutes.
# Whoever has the PRIVATE_KEY signs the CURP with it; the key itself is never sent.
# token_data is sent back as it came.
authenticate() {
	local signature
	token=
	signature=$(printf '%s' "$1" | openssl dgst -sha256 -hmac "$private_key")
	post token 200 "$registro" "{\"tipo_peticion\":\"token_full\",\"nombre_de_usuario\":\"$user\",\"curp_en_uso\":\"$1\",\"firma_KEY\":\"${signature##* }\"}"
	token=$(value token)
	token_data=$(value token_data)
}

# customer STEP STATUS TIPO REQUEST [MORE]: what API_CUSTOMER knows of the person.
customer() {
	post "$1" "$2" "Customer_$end" "{\"tipo_peticion\":\"$3\",\"nombre_de_usuario\":\"$user\",\"request\":\"$4\",${5:-}\"curp_en_uso\":\"$curp\",\"token_data\":$token_data}"
}

# policy STEP STATUS TIPO [MORE [HEADER]]: API_PAYMENTS goes by the policy, without a CURP.
# Of a sale, IdFIrma is its policy.
policy() {
	post "$1" "$2" "Payments_$end" "{\"tipo_peticion\":\"$3\",\"nombre_de_usuario\":\"$user\",\"poliza_en_uso\":\"$poliza\",${4:-}\"token_data\":$token_data}" "${@:5}"
}

read_customer() {
	local field
	authenticate "$curp"
	customer keys/request_block 202 request request_block
	customer keys/individual_request 202 request individual_request
	for field in Mail Telefono calle numero colonia municipio codigo_postal estado Producto Usuario Tipo Nombre Paterno Materno \
		CostoVenta Subtotal NumeroPagos DiaPago IdFIrma IdFirma Status FechaLiquidacion FechaRegistro; do
		customer "datum/$field" 202 individual_request "$field"
	done
	customer block/cliente 202 request_block cliente
	poliza=$(value IdFIrma)
	policy sale 200 account_status
	customer block/catalogo_productos 202 request_block catalogo_productos
	customer block/producto_cliente 202 request_block producto_cliente "\"producto\":\"$product\","
}

# Who buys accepts the terms and the notice of privacy: with that, this app user may
# follow the policy and take payments of it. It may not read the person's other data.
sell() {
	local names='' nombre paterno materno
	IFS='|' read -r nombre paterno materno <<<"$new_names"
	[ -z "$nombre" ] || names="\"nombre\":\"$nombre\",\"paterno\":\"$paterno\",\"materno\":\"$materno\","
	curp=$new_curp
	authenticate "$curp"
	post new_service 201 "Accounts_$end" "{\"tipo_peticion\":\"new_service\",\"nombre_de_usuario\":\"$user\",\"curp_en_uso\":\"$curp\",$names
		\"mail\":\"$mail\",\"telefono\":\"$phone\",\"producto\":\"$product\",\"numero_pagos\":$payments,\"dia_pago\":15,
		\"terminos\":\"acepto\",\"aviso\":\"acepto\",\"fideicomiso\":\"acepto\",
		\"direccion\":{\"calle\":\"Hidalgo\",\"numero\":\"12\",\"colonia\":\"Centro\",\"municipio\":\"Toluca\",\"codigo_postal\":\"50000\",\"estado\":\"México\"},
		\"token_data\":$token_data}"
	poliza=$(value poliza)
	instalment=$(value amount)
	customer unread 409 request_block cliente
}

# cents AMOUNT: as a whole number, so that bash can compare.
cents() {
	local exact
	printf -v exact %.2f "$1"
	echo $((10#${exact/./}))
}

# Each payment is known again by its referencia, or by an Idempotency-Key where it has
# none: one that got no answer is sent again, and is not booked twice. All instalments
# are paid ahead here, and the last one takes what is left.
pay() {
	local number=0 amount due
	policy account_status 200 account_status
	while due=$(value saldo) && [ "$(cents "$due")" -gt 0 ]; do
		number=$((number + 1))
		amount=$instalment
		[ "$(cents "$amount")" -le "$(cents "$due")" ] || amount=$due
		if [ $((number % 2)) = 1 ]; then
			policy "payment/$number" 201 pagos_psd2 "\"cantidad\":$amount,\"metodo\":\"SPEI\",\"referencia\":\"$poliza-$number\","
		else
			policy "payment/$number" 201 pagos_psd2 "\"cantidad\":$amount," "Idempotency-Key: $poliza-$number"
		fi
		policy account_status 200 account_status
	done
}

if [ "${1:-}" = status ]; then
	authenticate "$2"
	poliza=$3
	policy account_status 200 account_status
else
	read_customer
	sell
	pay
fi
