#!/bin/bash
# demo.sh - a tour of the three APIs and of the engine, on the system that `make up` started.
#
#     test/demo.sh [FOLDER]
#
# What it shows is in tour.sh.  Each command is run as it is shown, and its
# answer compared with what is documented.  Ends with the count, and with an
# error if an answer was another one.
set -euo pipefail
. "$(dirname "$0")/common.sh"

folder=${1:-$root/.run}
[ -r "$folder/env" ] || die "nothing is running; start it with: make up"
set -a
. "$folder/env"
set +a
for name in LOYALTY_URL LOYALTY_APIKEY LOYALTY_WALLET_KEY LOYALTY_USERTOOL_ID LOYALTY_PROGRAM_ID LOYALTY_MEMBER_ID; do
	[ -n "${!name:-}" ] || die "$folder/env does not set $name"
done

# How a person names the file of settings, and stops the servers.
printf -v env_file %q "$folder/env"
[ ! "$folder" -ef .run ] || env_file=.run/env
printf -v stop 'make -C %q down' "$root"
[ ! "$root" -ef . ] || stop="make down"
[ $# = 0 ] || printf -v stop '%q down %q' "$root/test/stack.sh" "$folder"

# A customer and a cashier that no earlier tour has enrolled.
random_digits() { od -An -N8 -tu8 /dev/urandom | tr -d ' \n' | tail -c "$1"; }
phone=4775$(random_digits 6)
number=4776$(random_digits 6)
tag=$(random_digits 8)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP PIPE

# --- run ----------------------------------------------------------------------

status=
answer=

# The commands call this one: it tells the status apart, and no setting of the person's reaches it.
curl() {
	command curl -q -sS -m 30 --noproxy '*' -w '%{stderr}%{http_code}' "$@" 2>"$work/status"
}

# In this shell, so that what a command assigns is there for the next.
run_in_shell() {
	: >"$work/status"
	eval "$1" >"$work/answer" || true
	answer=$(<"$work/answer")
	status=$(tail -c 3 "$work/status")
	if [ "$status" = 000 ]; then
		answer=$(head -n 1 "$work/status")
	fi
}

# One session for all statements, which goes on after errors, like a person's.
start_psql() {
	mkfifo "$work/to_psql" "$work/from_psql"
	PGDATESTYLE=ISO "$LOYALTY_BINDIR/psql" -X -P pager=off <"$work/to_psql" >"$work/from_psql" 2>&1 &
	exec {to_psql}>"$work/to_psql" {from_psql}<"$work/from_psql"
}

run_in_psql() {
	local line end="-- end of $total --"
	status=
	answer=
	(trap '' PIPE; printf '%s\n\\echo %s\n' "$1" "$end" >&"$to_psql") 2>/dev/null || true
	while IFS= read -r -t 60 -u "$from_psql" line && [ "$line" != "$end" ]; do
		answer+=$line$'\n'
	done
}

# --- show, compare, count -------------------------------------------------------

total=0
good=0

chapter() { printf '\n\n=== %s ===\n' "$1"; }

# Standard input, with what this tour made up.
fill_in() {
	local text
	text=$(cat)
	text=${text//@PHONE/"$phone"}
	text=${text//@NUMBER/"$number"}
	text=${text//@TAG/"$tag"}
	text=${text//@PROGRAM/"$LOYALTY_PROGRAM_ID"}
	text=${text//@MEMBER/"$LOYALTY_MEMBER_ID"}
	printf '%s' "${text//@ENV/"$env_file"}"
}

# show PROMPT TITLE: the command on standard input, which is in $command then.
show() {
	command=$(fill_in)
	printf '\n# %s\n%s%s\n' "$2" "$1" "$command"
}

# is_documented STATUS TEXT: does the status match, and is each line of TEXT in the answer?  Blanks do not count.
is_documented() {
	local line found=${answer//[[:blank:]]/}
	[[ $status =~ ^($1)$ ]] || return 1
	while IFS= read -r line; do
		[[ $found == *"${line//[[:blank:]]/}"* ]] || return 1
	done <<<"$2"
}

# step RUN STATUS TEXT: RUN the command, show the answer, compare and count it.
step() {
	local want
	want=$(fill_in <<<"$3")
	"$1" "$command"
	printf '%-3s  ' "$status"
	perl "$root/test/wrap.pl" 5 <<<"$answer"
	total=$((total + 1))
	if is_documented "$2" "$want"; then
		good=$((good + 1))
	else
		printf '!!! This is not as documented. Expected:\n%s\n' "${2:+$2  }$want"
	fi
}

# The words of tour.sh.  Each has its command on standard input.
call() { show '$ ' "$3"; step run_in_shell "$1" "$2"; }      # STATUS TEXT TITLE
sql() { show 'loyalty=# ' "$2"; step run_in_psql '' "$1"; }  # TEXT TITLE
keep() { show '$ ' "$1"; eval "$command" || true; }          # TITLE
connect() { show '$ ' "$1"; start_psql; }                    # TITLE

# --- before and after -------------------------------------------------------------

# setting NAME WHERE_FROM
setting() { printf '  %s=%s\n      %s\n' "$1" "${!1}" "$2"; }

introduce() {
	cat <<-END
		A tour of loyalty: three documented HTTP APIs, then the engine in SQL.

		Each command is run as it is shown. Typed into a shell, it works there too, after

		\$ . $env_file

		which sets, among others, what "make up" made by test/stack.sh and test/demo.sql:
	END
	setting LOYALTY_URL "where nginx listens"
	setting LOYALTY_APIKEY "by loyalty.create_api_key(): whoever has it acts as the merchant, Café La Parroquia"
	setting LOYALTY_WALLET_KEY "by loyalty.create_wallet(): the program, as the wallet API calls it"
	setting LOYALTY_PROGRAM_ID "by loyalty.create_wallet(): the same program, as the seller API calls it"
	setting LOYALTY_MEMBER_ID "by loyalty.identify_member(): a customer, Sofía Hernández, phone 4771234501"
	setting LOYALTY_USERTOOL_ID "by loyalty.employee_add(): a cashier, José Núñez"
	cat <<-END

		New in each tour: the phones $phone (of a customer) and $number (of a cashier), and
		$tag, which makes other names new.
		Printed in the document of the customer API, and loaded by loyalty.load_sandbox(): the user
		Api_KASU_Sandbox, its PRIVATE_KEY ef235aacf90d9f4aadd8c92e4b2562e1d9eb97f0, and the CURP
		CAPC200504HMCBXRA2 of a customer.
		What comes from an answer is assigned by a command that is shown.
	END
	if [ -n "${http_proxy:-}${HTTP_PROXY:-}${all_proxy:-}${ALL_PROXY:-}" ]; then
		printf '\nThere is a proxy in your environment: before you type, export no_proxy=127.0.0.1\n'
	fi
}

conclude() {
	local marked=
	[ "$good" = "$total" ] || marked=$'\nThe others are marked with !!!'
	cat <<-END


		$good of $total as documented$marked

		It keeps running:
		  the documented APIs  $LOYALTY_URL
		  PostgREST            $POSTGREST_URL
		  PostgreSQL           $PGHOST:$PGPORT, database $PGDATABASE
		Stop it, and remove its data:
		  $stop

		Try next:
		  1. Sell something to Sofía:
		       . $env_file
		       curl "\$LOYALTY_URL/wallet/sale" -H "apikey: \$LOYALTY_APIKEY" \\
		         -d "wallet_key=\$LOYALTY_WALLET_KEY&usertool_id=\$LOYALTY_USERTOOL_ID" \\
		         -d "phone=4771234501&transaction_type=0&transaction_amount=250"
		  2. See what it wrote:
		       set -a; . $env_file; set +a; psql
		       SELECT name, phone, balance, last_posted_at FROM loyalty.members;
		       \\df+ loyalty.sale
		  3. Make a merchant of your own in that psql, step by step: docs/getting-started.md.
		     docs/operate.md installs it into a server of yours, and make check runs all tests.
	END
}

introduce
. "$root/test/tour.sh"
conclude
[ "$good" = "$total" ]
