# 79_erasure_in_flight.pl - somebody is erased while others write of them.
#
# The catalog says which columns have words.  Each that may have those of a person
# is written by somebody in flight here: once the writer was first, and the erasure
# waits for it, sees what it wrote and erases that; once the erasure was first, and
# the writer waits, and then finds nobody, or writes no words.  What each waits at
# is said beside it: there is no writer of a person's words that waits at nothing.
# Blocking a customer is tried in the same way, with what is answered of one.
use strict;
use warnings;
use utf8;

use Digest::SHA qw(hmac_sha256_hex);
use FindBin;
use JSON::PP ();
use Test::More;

use lib $FindBin::Bin;
use Loyalty;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $stack = Loyalty->start(level => 'database', isolation => 'read committed');
my $json = JSON::PP->new->canonical;
my ($eraser, $writer, $watcher) = map { $stack->connect_async } 1 .. 3;
my %pid = (writer => $writer->query('SELECT pg_backend_pid()'), eraser => $eraser->query('SELECT pg_backend_pid()'));

$watcher->query(q{
	CREATE SCHEMA test;
	CREATE VIEW test.word AS
	SELECT c.oid::regclass::text AS place, a.attname::text AS name, quote_ident(a.attname) AS quoted, EXISTS (
		SELECT FROM pg_attribute m WHERE m.attrelid = c.oid AND m.attname = 'merchant_id') AS of_merchant
	FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	WHERE c.relnamespace::regnamespace::text LIKE 'loyalty%' AND c.relkind IN ('r', 'p', 'm')
	  AND a.atttypid::regtype::text <> ALL ('{boolean,smallint,integer,bigint,bigint[],integer[],int8range,uuid,bytea,"timestamp with time zone","timestamp with time zone[]","time without time zone",loyalty.points,loyalty.lots}');
	CREATE FUNCTION test.words(merchant bigint, words text) RETURNS SETOF text LANGUAGE plpgsql AS $$
	DECLARE
		t record;
		found boolean;
	BEGIN
		FOR t IN SELECT w.place, array_agg(w.quoted) AS columns FROM test.word w WHERE w.of_merchant GROUP BY w.place LOOP
			EXECUTE format('SELECT EXISTS (SELECT FROM %s r WHERE r.merchant_id = $1 AND r::text ~* $2)', t.place) INTO found USING merchant, words;
			IF found THEN
				RETURN QUERY EXECUTE (SELECT string_agg(format('SELECT %L WHERE EXISTS (SELECT FROM %s r WHERE r.merchant_id = $1 AND r.%s::text ~* $2)', t.place || '.' || c, t.place, c), ' UNION ALL ') FROM unnest(t.columns) c) USING merchant, words;
			END IF;
		END LOOP;
	END
	$$});

# --- a merchant for each try -------------------------------------------------------

my $curp = 'ZAQX870411MGTRXC04';
# All that she is known by, and what only the writer says.
my $hers = "Xochi|Zarate|4779998866|4779990088|$curp|1987-04-11|Quetzal|4779990077|1991-07-13";

# She, who is a customer or plain, and may have left; and another.  Without ranks, what is posted takes the fast path.
sub set_up
{
	my (%she) = @_;
	my %m;
	@m{qw(m program club wallet her her_policy other key)} = split /\|/, $stack->psql(q{
		SELECT loyalty.create_merchant('La Ñ') AS m \gset
		SELECT program_id AS p, client_id AS c, wallet_key AS w FROM loyalty.create_wallet(:m, 'Monedero', 5, '{"messages":["welcome","accrue","adjust"]}') \gset
		SELECT loyalty.employee_add(:m, 'gerente', 'Jefe', 'Centro', '4771000001', 'clave de Jefe'), loyalty.create_product(:m, 'Vida', '1000', 10, max_payments => 4), loyalty.create_product(:m, 'Hogar', '1000', 10) \g /dev/null
		SELECT key FROM loyalty.create_app_user(:m, 'Banco ' || :m) \gset
		SELECT loyalty.create_member(:m, :p, 'Otra', '4771230002', client_id => 'OTRA') AS other \gset
		SELECT '' AS policy \gset
		} . ($she{plain} ? q{SELECT loyalty.create_member(:m, :p, 'Xochi Zarate', '4779998866', 'xochi@correo.example', 'XOCHI-1') AS her \gset}
			: qq{SELECT loyalty.create_customer(:m, :p, '$curp', 'Xochi', 'Zarate', phone => '4779998866', email => 'xochi\@correo.example') AS her \\gset
				SELECT loyalty.identify_member(:m, :her, client_id => 'XOCHI-1'), loyalty.grant_consent(:m, '$curp', 'Banco ' || :m, 'crédito', '1') \\g /dev/null
				SELECT loyalty.open_policy(:m, '$curp', 'Vida', 4) AS policy \\gset}) . q{
		SELECT loyalty.post(:m, :her, 'deposit', 50), loyalty.post(:m, :other, 'deposit', 50) \g /dev/null
		} . ($she{ranks} ? q{SELECT loyalty.set_rank_ranges(:m, 'niveles', '{Plata,Oro}', '{0,500000}'), loyalty.configure_program(:m, :p, '{"range_group":"niveles"}') \g /dev/null} : '') . q{
		} . ($she{elsewhere} ? q{SELECT loyalty.post(:m, :other, 'deposit', 20, member_id => :her), loyalty.hold(:m, :other, 9, member_id => :her) \g /dev/null} : '') . q{
		} . ($she{ordered} ? q{UPDATE loyalty_internal.policy SET application = '{"telefono":"477-999-00-88"}' WHERE merchant_id = :m;} : '') . q{
		} . ($she{left} ? 'SELECT loyalty.disable_member(:m, :her) \g /dev/null' : '') . q{
		SELECT concat_ws('|', :m, :p, :'c', :'w', :her, :'policy', :other, :'key')});
	return \%m;
}

# The statements of a request to the customer API.
sub customer_api
{
	my ($m, $path, $key, %field) = @_;
	my $data = qq({"timestamp":@{[time]},"expires_in":600});
	my %header = ('x-loyalty-uri' => $path, 'x-loyalty-method' => 'POST', 'x-loyalty-type' => 'application/json', 'x-loyalty-idempotency-key' => $key,
		'x-loyalty-bearer' => hmac_sha256_hex($data, hmac_sha256_hex($curp, $m->{key})));
	my $body = $json->encode({nombre_de_usuario => "Banco $m->{m}", curp_en_uso => $curp, token_data => $json->decode($data), %field});
	return "SET request.headers = '" . $json->encode(\%header) . "'; SELECT loyalty_api.gateway(convert_to(\$body\$$body\$body\$, 'UTF8'))";
}

# --- who writes words of a person ----------------------------------------------------

my $done = qr/\A(?!.*ERROR)/s;
my %writers = (
	'a correction' => {waits_at => 'the member', says => qr/LY006/, sql => sub { "SELECT loyalty.correct_member($_->{m}, $_->{her}, first_name => 'Quetzal', first_last_name => 'Quetzal', second_last_name => 'Quetzal')" }},
	'what finds her' => {waits_at => 'the member', says => qr/LY006/, sql => sub { "SELECT loyalty.identify_member($_->{m}, $_->{her}, '4779990077', 'quetzal\@correo.example', 'QUETZAL-1')" }},
	'an address' => {waits_at => 'the member', says => qr/LY006/,
		sql => sub { "SELECT loyalty.set_member_address($_->{m}, $_->{her}, 2, 'Quetzal', 'Quetzal', 'Quetzal', 'Quetzal', 'Quetzal', 'Quetzal')" }},
	'a rank' => {waits_at => 'the member', says => qr/LY006/, she => {ranks => 1}, sql => sub { "SELECT loyalty.set_rank($_->{m}, $_->{her}, 'Oro', reason => 'prima de Quetzal')" }},
	'preferences' => {waits_at => 'the customer', says => qr/LY006/, sql => sub { "SELECT loyalty.set_customer_preferences($_->{m}, '$curp', '{\"a\":\"Quetzal\"}')" }},
	'a policy' => {waits_at => 'the customer', says => qr/LK404/, sql => sub { "SELECT loyalty.open_policy($_->{m}, '$curp', 'Hogar', service => 'para Quetzal')" }},
	'an order' => {waits_at => 'the customer', says => qr/"status":417/, sql => sub { customer_api($_, '/api/Accounts_V1', 'k', tipo_peticion => 'new_service', mail => 'quetzal@correo.example', telefono => '4779990077',
		producto => 'Hogar', numero_pagos => 1, terminos => 'acepto', aviso => 'acepto', fideicomiso => 'acepto', nombre => 'Quetzal', paterno => 'Quetzal', tipo_servicio => 'para Quetzal', direccion => {calle => 'Quetzal'}) }},
	'a payment' => {waits_at => 'the customer', says => qr/"status":503/,
		sql => sub { customer_api($_, '/api/Payments_V1', 'k', tipo_peticion => 'pagos_psd2', cantidad => 10, referencia => 'de Quetzal') }},
	'a payment in SQL' => {waits_at => 'the policy', says => $done, sql => sub { "SELECT loyalty.pay_policy($_->{m}, $_->{her_policy}, 10, 'SPEI', 'de Quetzal', 'Banco')" }},
	'a posting' => {waits_at => 'the account', says => $done, sql => sub { "SELECT loyalty.post($_->{m}, $_->{her}, 'deposit', 5, 'de Quetzal')" }},
	'what she does elsewhere' => {waits_at => 'the account', says => $done, sql => sub { "SELECT loyalty.post($_->{m}, $_->{other}, 'deposit', 5, 'de Quetzal', member_id => $_->{her})" }},
	map({ my ($what, $of) = @$_; ("a $what of what she did elsewhere" => {waits_at => 'the account', says => $done, she => {elsewhere => 1},
		sql => sub { "SELECT loyalty.$what($_->{m}, $_->{other}, (SELECT entry_id FROM loyalty.entries WHERE merchant_id = $_->{m} AND member_id = $_->{her} AND kind = '$of'), 1, 'de Quetzal')" }}) }
		['reverse', 'deposit'], ['capture', 'hold'], ['release', 'hold']),
	'a transfer' => {waits_at => 'the account', says => $done, sql => sub { "SELECT loyalty.transfer($_->{m}, $_->{other}, $_->{her}, 1, 'para Quetzal')" }},
	'a hold' => {waits_at => 'the account', says => $done, sql => sub { "SELECT loyalty.hold($_->{m}, $_->{her}, 5, 'de Quetzal')" }},
	'a sale with a ticket' => {waits_at => 'the account', says => qr/LY503/, sql => sub { "SELECT loyalty.wallet_sale($_->{m}, '$_->{wallet}', '4779998866', 0, 100, NULL, 1, 'de Quetzal', 'k')" }},
	'a sale that is told her' => {waits_at => 'the account', says => qr/LY503/, sql => sub { "SELECT loyalty.wallet_sale($_->{m}, '$_->{wallet}', '4779998866', 0, 100, NULL, 1)" }},
	'a correction that is told her' => {waits_at => 'the account', says => qr/LY503/, sql => sub { "SELECT loyalty.wallet_balance_update($_->{m}, '$_->{wallet}', '4779998866', 0, 5, 1)" }},
	'a batch' => {waits_at => 'the account', says => qr/"status":"error"/,
		sql => sub { qq{SELECT loyalty.seller_deposit($_->{m}, '[{"programId":"$_->{club}","memberId":"XOCHI-1","amount":5,"reference":"de Quetzal","comments":"para Quetzal"}]', 'k')} }},
	'a batch that looks her up' => {waits_at => 'the account', says => qr/"status":"error"/,
		sql => sub { qq{SELECT loyalty.seller_deposit($_->{m}, '[{"programId":"$_->{club}","member":{"email":"XOCHI\@correo.example"},"amount":5,"comments":"para Quetzal"}]', 'k')} }},
	'a blacklist' => {waits_at => 'a row in its place', says => $done, later => 1, sql => sub { "SELECT loyalty.blacklist_phone($_->{m}, '4779998866', 'Quetzal debe')" }},
	'a blacklist of what came with an order' => {waits_at => 'a row in its place', says => $done, later => 1, she => {ordered => 1}, sql => sub { "SELECT loyalty.blacklist_phone($_->{m}, '4779990088', 'Quetzal debe')" }},
	'what is looked up' => {waits_at => 'a row in its place', says => qr/^$/, later => 1,
		sql => sub { "INSERT INTO loyalty.curp_record (merchant_id, curp, first_name, first_last_name, second_last_name, status) VALUES ($_->{m}, '$curp', 'Quetzal', 'Quetzal', 'Quetzal', 'Quetzal')" }},
	# who had left and comes back; who has waited for the erasure is new, as after it
	'who comes back by the wallet' => {waits_at => 'the member', says => $done, she => {left => 1, plain => 1}, sql => sub { "SELECT loyalty.wallet_contact_add($_->{m}, '$_->{wallet}', '4779998866', 'Xochi Zarate', 1, '1991-07-13', 'k')" }},
	'who comes back by the seller' => {waits_at => 'the member', says => $done, she => {left => 1, plain => 1},
		sql => sub { qq{SELECT loyalty.seller_member_create($_->{m}, '$_->{club}', 'xochi\@correo.example', 'Quetzal', 'Quetzal', client_id => 'QUETZAL-1', phone => '4779990077', birth_date => '1991-07-13', country => 'Quetzal', idempotency_key => 'k')} }},
	'who comes back as a customer' => {waits_at => 'the member', says => $done, she => {left => 1, plain => 1},
		sql => sub { qq{SELECT loyalty.create_customer($_->{m}, $_->{program}, '$curp', 'Xochi', 'Zarate', phone => '4779998866', street => 'Quetzal', number => 'Quetzal', neighborhood => 'Quetzal', municipality => 'Quetzal', postcode => 'Quetzal', state => 'Quetzal', user_name => 'Quetzal', kind => 'Quetzal')} }},
);

# Columns that nobody writes a person's words to who could be erased meanwhile, and why.
my %others = (
	'named by the merchant, of its business' => [qw(loyalty_internal.api_key.label loyalty_internal.branch.name loyalty_internal.payment.method loyalty_internal.policy.trust loyalty_internal.merchant.name loyalty_internal.merchant.base_url loyalty_internal.merchant.notice_version
		loyalty_internal.consent.purpose loyalty_internal.consent.notice_version loyalty_internal.member.granted_rank loyalty_internal.rank_grant.rank loyalty_internal.rank_held.rank loyalty_internal.rank_base.rank loyalty_internal.rank_past.rank
		loyalty_internal.rule_award.rule loyalty_internal.rule_use.rule loyalty_internal.app_user.name loyalty_internal.app_user_key.app_user),
		map { "loyalty_internal.$_.app_user" } qw(access consent idempotency_key idempotency_space payment)],
	'words of the documents, or of the engine' => [qw(loyalty_internal.access.operation loyalty_internal.access.request loyalty_internal.member_change.attribute loyalty_internal.message.channel loyalty_internal.policy.status
		loyalty_internal.posting_limit.scope loyalty_internal.allowance.scope loyalty_internal.quota.resource loyalty_internal.staff.role loyalty_internal.rank_past.time_zone loyalty_internal.rank_past.window_unit)],
	'of a role of SQL, which is erased by its name, below' => ['loyalty_internal.sql_role.name'],
	'from where it was asked, which proves who asked' => ['loyalty_internal.access.address'],
	'made here' => [qw(loyalty_internal.policy.policy_number loyalty_internal.merchant.digest_key loyalty_internal.merchant.dashboard_key loyalty_internal.merchant.password_salt loyalty_internal.app_user_key.private_key)],
	'who sold it, an app user' => ['loyalty_internal.policy.sold_by'],
	'days, of counters and of payments' => [map { "loyalty_internal.$_" } qw(allowance.day entry_space.day rule_award.day rule_use.day instalment.due_on payment.paid_on program.expiry_date)],
	'written once, with a member of the staff whom nobody else knows yet' => [map { "loyalty_internal.staff.$_" } qw(name number password_digest)],
	'codes of what was erased, which the erasure writes' => ['loyalty_internal.entry_remainder.detail'],
);
# Tables of nobody.
my $of_business = qr/^(?:loyalty\.numbering_plan|loyalty_internal\.(?:program|report_day|report_account|report_turn|maintenance|program_past|product|rule|rank_range|month_close|month_close_line|verification|redemption_rate|fraud_threshold|fraud_count|report_role|fixed_line_range|supported_area_code))\./;

# --- both orders ------------------------------------------------------------------------

sub words { my ($session, $m, $words) = @_; return [sort grep { length } split /\n/, $session->query("SELECT test.words($m->{m}, '$words')")] }

# A session has come to a lock that another has, or is done.
sub wait_or_done
{
	my ($session, $who) = @_;
	return $stack->wait_until(sub { return $session->is_ready ? 'done'
		: $watcher->query("SELECT count(*) FROM pg_locks WHERE pid = $pid{$who} AND NOT granted") > 0 ? 'waits' : '' });
}

# Who came back as somebody new meanwhile is erased for themselves.
sub erase_newcomers
{
	my ($m) = @_;
	return $watcher->query("SELECT count(loyalty.erase_member($m->{m}, member_id)) FROM loyalty.members WHERE merchant_id = $m->{m} AND member_id NOT IN ($m->{her}, $m->{other})");
}

sub is_clean
{
	my ($m, $what) = @_;
	is_deeply words($watcher, $m, $hers), [], "$what: no column has any of her words";
	is $watcher->query("SELECT loyalty.erase_member($m->{m}, $m->{her})"), 'f', '… there is nothing more to erase';
	is $watcher->query("SELECT count(*) FROM loyalty.verify($m->{m})"), 0, '… and the ledger is sound';
	return;
}

my %written;
for my $what (sort keys %writers)
{
	my $writes = $writers{$what};
	my $m = set_up(%{$writes->{she} // {}});
	my $erase = "SELECT loyalty.erase_member($m->{m}, $m->{her})";
	my %before = map { $_ => 1 } @{words($watcher, $m, $hers)};
	my ($sql) = map { $writes->{sql}->($_) } $m;
	$writer->query('BEGIN');
	$writer->query($sql);
	$written{$_} = 1 for @{words($writer, $m, 'Quetzal|4779990077')}, grep { !$before{$_} } @{words($writer, $m, $hers)};
	$eraser->send($erase);
	is wait_or_done($eraser, 'eraser'), 'waits', "$what, in flight: the erasure waits at $writes->{waits_at}";
	$writer->query('COMMIT');
	is $eraser->receive, 't', '… and erases';
	is_clean($m, '… it');

	$m = set_up(%{$writes->{she} // {}});
	$erase = "SELECT loyalty.erase_member($m->{m}, $m->{her})";
	($sql) = map { $writes->{sql}->($_) } $m;
	$eraser->query('BEGIN');
	$eraser->query($erase);
	$writer->send($sql);
	is wait_or_done($writer, 'writer'), 'waits', "$what, after the erasure has begun: waits at $writes->{waits_at}";
	$eraser->query('COMMIT');
	like $writer->receive, $writes->{says}, '… and then finds nobody, or has no words';
	# Who writes of a phone or CURP that is nobody's by then does so of nobody: that is for the merchant not to do, and to undo.
	if ($writes->{later})
	{
		is_deeply [grep { !/^loyalty(?:\.curp_record|_internal\.blacklisted_phone)\./ } @{words($watcher, $m, $hers)}], [], '… but writes what is of no member';
		$watcher->query("DELETE FROM loyalty.curp_record WHERE merchant_id = $m->{m}; SELECT loyalty.unblacklist_phone($m->{m}, p) FROM unnest('{4779998866,4779990088}'::loyalty.phone[]) p");
	}
	erase_newcomers($m);
	is_clean($m, '… afterwards');
}

my @words = split /\n/, $watcher->query(q{SELECT place || '.' || name FROM test.word ORDER BY 1});
my %known = (%written, map { $_ => 1 } map { @$_ } values %others);
is_deeply [grep { !$known{$_} && !/$of_business/ } @words], [], 'every column of words is written by one of these, or has none of a person';
my %is_word = map { $_ => 1 } @words;
is_deeply [sort grep { !$is_word{$_} || $written{$_} } map { @$_ } values %others], [], 'and those that have none are such columns';

# --- who is erased on both sides at once --------------------------------------------------

my $both = set_up();
$watcher->query("SELECT loyalty.transfer($both->{m}, $both->{her}, $both->{other}, 1, 'de Xochi'), loyalty.transfer($both->{m}, $both->{other}, $both->{her}, 1, 'para Xochi', member_id => $both->{other})");
$eraser->query('BEGIN');
$eraser->query("SELECT loyalty.erase_member($both->{m}, $both->{her})");
$writer->send("SELECT loyalty.erase_member($both->{m}, $both->{other})");
is wait_or_done($writer, 'writer'), 'waits', 'an erasure waits for another of the merchant';
$eraser->query('COMMIT');
is $writer->receive, 't', '… and erases the other side of a transfer';
is $watcher->query("SELECT count(*) FROM loyalty.entry WHERE merchant_id = $both->{m} AND text_digest IS NOT NULL"), 4, '… of which each keeps its digest';
is $watcher->query("SELECT count(*) FROM loyalty_internal.entry_salt WHERE merchant_id = $both->{m}"), 0, '… and no salt';
is_clean($both, '… both');

# --- a role of SQL ------------------------------------------------------------------------

my $posted = set_up();
$watcher->query(q{CREATE ROLE "Xochi" LOGIN; SELECT loyalty.grant_operation('Xochi')});
my $post = "SELECT FROM loyalty.post($posted->{m}, $posted->{other}, 'deposit', 1)";
my $numbers = "SELECT actor_id FROM loyalty.entry e WHERE merchant_id = $posted->{m} AND actor_id NOT IN (SELECT actor_id FROM loyalty.sql_roles WHERE name = session_user) ORDER BY entry_id";
$writer->query($_) for 'SET SESSION AUTHORIZATION "Xochi"', 'BEGIN', $post;
$watcher->query('ALTER ROLE "Xochi" NOLOGIN');
$eraser->send("SELECT loyalty.erase_sql_role('Xochi')");
is wait_or_done($eraser, 'eraser'), 'waits', 'who posts in SQL for the first time, in flight: the erasure of the role waits';
$writer->query('COMMIT');
is $eraser->receive, 't', '… and erases the name';
$writer->query($post);
is $watcher->query("SELECT count(*) FROM loyalty_internal.sql_role WHERE name ~ 'Xochi'"), 0, '… which a session that goes on does not bring back';
$writer->query('RESET SESSION AUTHORIZATION');
$watcher->query('ALTER ROLE "Xochi" LOGIN');
my $again = $stack->connect_async;
$again->query($_) for 'SET SESSION AUTHORIZATION "Xochi"', 'BEGIN', $post, 'ROLLBACK', $post, $post;
is $watcher->query("SELECT string_agg(n::text, ' ' ORDER BY n) FROM (SELECT dense_rank() OVER (ORDER BY -actor_id) AS n FROM ($numbers) e) x"), '1 1 2 2', 'who gets the role later has another number';
is $watcher->query("SELECT string_agg(name, ' ' ORDER BY -actor_id) FROM loyalty.sql_roles WHERE merchant_id = $posted->{m} AND name <> session_user") =~ s/\d+/N/r, 'cancelado N Xochi', '… and the name';

# --- who waits for whom ---------------------------------------------------------------------

# $first and then $second wait for what the watcher has: both are done once it is.
sub in_one_order
{
	my ($what, $has, $first, $second) = @_;
	$watcher->query('BEGIN');
	$watcher->query($has);
	my ($one, $other) = (['writer', $writer], ['eraser', $eraser]);
	($one, $other) = ($other, $one) if $first =~ /erase_member/;
	$one->[1]->send($first);
	is wait_or_done($one->[1], $one->[0]), 'waits', "$what: the first waits";
	$other->[1]->send($second);
	is wait_or_done($other->[1], $other->[0]), 'waits', '… and the second';
	$watcher->query('COMMIT');
	unlike $one->[1]->receive, qr/ERROR/, '… the first is done';
	unlike $other->[1]->receive, qr/ERROR/, '… and so is the second';
	return;
}
for my $step ('erase_member', 'block_customer')
{
	my $m = set_up(left => 1);
	in_one_order("who comes back as a customer, and $step()", "SELECT loyalty.identify_member($m->{m}, $m->{her}, client_id => 'XOCHI-2')",
		"SELECT loyalty.create_customer($m->{m}, $m->{program}, '$curp', 'Xochi', 'Zarate')",
		$step eq 'erase_member' ? "SELECT loyalty.erase_member($m->{m}, $m->{her})" : "SELECT loyalty.block_customer($m->{m}, '$curp')");
	is $watcher->query("SELECT count(*) FROM loyalty.members WHERE member_id = $m->{her} AND active"), 0, '… she is out';
	is_clean($m, '… what was written of her is erased') if $step eq 'erase_member';
}
# She has owned an account that is lower than the one that she shares.
my $shared = set_up();
my $third = $watcher->query("SELECT loyalty.create_member($shared->{m}, $shared->{program}, 'Dora')");
$watcher->query("SELECT loyalty.share_account($shared->{m}, $shared->{other}, $shared->{her})");
my $higher = $watcher->query("SELECT loyalty.leave_account($shared->{m}, $shared->{her})");
$watcher->query("SELECT loyalty.share_account($shared->{m}, $third, $shared->{her})");
in_one_order('who leaves a shared account to be erased, and a batch', "SELECT loyalty.post($shared->{m}, $higher, 'deposit', 1)",
	"SELECT loyalty.erase_member($shared->{m}, $shared->{her})",
	"SELECT item FROM loyalty.post_batch($shared->{m}, '{$shared->{her},$higher}', '{deposit,deposit}', '{1,1}')");
is_clean($shared, '… she is erased');

# --- the first step of a cancellation -------------------------------------------------------

my $told = "SELECT count(*) FROM loyalty_internal.idempotency_key WHERE merchant_id = %s AND answer ~* '$hers'";
for my $what ('a payment', 'an order')
{
	my $m = set_up();
	my $block = "SELECT loyalty.block_customer($m->{m}, '$curp')";
	my ($sql) = map { $writers{$what}{sql}->($_) } $m;
	$writer->query('BEGIN');
	$writer->query($sql);
	$eraser->send($block);
	is wait_or_done($eraser, 'eraser'), 'waits', "$what, in flight: who is blocked is waited for";
	$writer->query('COMMIT');
	is $eraser->receive, 't', '… and blocked';
	is $watcher->query(sprintf $told, $m->{m}), 0, '… no answer that is kept tells anything of her';

	$m = set_up();
	$eraser->query('BEGIN');
	$eraser->query("SELECT loyalty.block_customer($m->{m}, '$curp')");
	($sql) = map { $writers{$what}{sql}->($_) } $m;
	$writer->send($sql);
	is wait_or_done($writer, 'writer'), 'waits', "$what, once she is being blocked: waits";
	$eraser->query('COMMIT');
	like $writer->receive, $writers{$what}{says}, '… and finds nobody';
	is $watcher->query(sprintf $told, $m->{m}), 0, '… so no answer is kept';
}

$_->close for $eraser, $writer, $watcher;
done_testing;
