# 56_caches.pl - what a session remembers is never used when it is not valid any
# more.  Eight sessions post, by turns, while whatever a posting depends on is
# changed by every way that there is: by each function that sets something, by
# who may do everything, past all triggers, with tables rewritten and restored,
# in transactions and statements that are rolled back.  What is valid is what a
# session says that remembers nothing.  They post at once too, for
# LOYALTY_CACHES_SECONDS, and each entry is judged by what was valid meanwhile.
use strict;
use warnings;
use utf8;

use FindBin;
use IPC::Run ();
use lib $FindBin::Bin;
use Loyalty;
use Test::More;
use Time::HiRes qw(time);

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $stack = Loyalty->start(level => 'database', isolation => 'read committed');
my $m = $stack->psql(q{SELECT loyalty.create_merchant('Memoria')});
my ($p, $w) = split /\|/, $stack->psql(qq{SELECT program_id, wallet_key FROM loyalty.create_program($m, 'Programa', 'P')});
$stack->psql(qq{
	SELECT loyalty.set_area_code('55', true), loyalty.set_area_code('570', true);
	SELECT loyalty.set_rank_ranges($m, 'niveles', '{Base,Oro}', '{0,900000000000}', '{1,2}');
	SELECT loyalty.configure_program($m, $p, '{"range_group": "niveles", "rank_window_unit": "year", "rank_window_value": 1}');
	SELECT loyalty.publish_rules($m, $p, '[{"name": "cinco", "points": 5}]');
	SELECT loyalty.set_limit($m, $p, 'member', 'add', max_operations => 1000000);
	SELECT loyalty.set_limit($m, $p, 'program', 'spend', '1000000000');
	SELECT loyalty.employee_add($m, 'gerente', 'Eva', 'Centro', '5571000001', 'clave secreta 1');
	SELECT loyalty.wallet_contact_add($m, '$w', '5512345678', 'Ana', 1);
	SELECT loyalty.create_app_user($m, 'Banco', '0123456789abcdef0123456789abcdef');
	SELECT loyalty.create_customer($m, $p, 'CAMC880526HMCBNR04', 'Carlos', 'Cabrera', 'Montes', '5521000001', 'c\@correo.example');
	SELECT loyalty.grant_consent($m, 'CAMC880526HMCBNR04', 'Banco', 'pruebas', '1');
	ALTER TABLE loyalty_internal.rank_range CLUSTER ON rank_range_pkey;
	ALTER TABLE loyalty_internal.posting_limit CLUSTER ON posting_limit_pkey});
$stack->psql("SELECT loyalty.wallet_balance_update($m, '$w', '5512345678', 0, 100000, 1)");
my ($key, $key_id) = split /\|/, $stack->psql(qq{SELECT api_key, key_id FROM loyalty.create_api_key($m)});
my $ana = $stack->psql("SELECT member_id FROM loyalty_internal.member WHERE merchant_id = $m AND phone OPERATOR(loyalty.=) '5512345678'");
my @accounts = map { $stack->psql("SELECT loyalty.open_account($m, $p)") } 0 .. 9;
$stack->psql("SELECT loyalty.post($m, $_, 'deposit', '100000')") for @accounts;

# --- asking -----------------------------------------------------------------------

# What says what is valid, with an account of one's own, and another number each time.
my %probe = (
	sale => "SELECT points FROM loyalty.sale($m, %a, '100')",
	post => "SELECT points FROM loyalty.post($m, %a, 'deposit', '1')",
	spend => "SELECT points FROM loyalty.post($m, %a, 'redeem', '1')",
	batch => "SELECT coalesce(error, 'good') FROM loyalty.post_batch($m, '{%a,%a}', '{deposit}', '{1,1}')",
	wallet_sale => "SELECT 'good' FROM loyalty.wallet_sale($m, '$w', '5512345678', 0, 100, NULL, 1, 'T%n')",
	redeem => "SELECT 'good' FROM loyalty.wallet_sale($m, '$w', '5512345678', 1, NULL, 1, 1, 'T%n')",
	contact => "SELECT 'good' FROM loyalty.wallet_contact_add($m, '$w', '55' || 60000000 + %n, 'Nueva', 1)",
	black => "SELECT 'good' FROM loyalty.wallet_contact_add($m, '$w', '5550000000', 'Negra', 1)",
	area => "SELECT 'good' FROM loyalty.wallet_contact_add($m, '$w', '570' || 6000000 + %n, 'Lejos', 1)",
	key => "SELECT loyalty_api.gateway('wallet_key=$w') ->> 'code'",
	customer => "SELECT loyalty.customer_read($m, 'individual_request', 'Banco', 'CAMC880526HMCBNR04', 'Mail')",
	token => "SELECT loyalty.customer_token('Banco', 'CAMC880526HMCBNR04', encode(loyalty_internal.hmac_sha256('CAMC880526HMCBNR04', '0123456789abcdef0123456789abcdef'), 'hex')) IS NOT NULL",
);
my $number = 0;

sub probe_of
{
	my ($probe, $account) = @_;
	$number++;
	return $probe{$probe} =~ s/%a/$account/gr =~ s/%n/$number/gr;
}
sub outcome { my $answer = shift; return $answer =~ /ERROR:  (\w{5}):/ ? $1 : $answer }

my @headers = (q{SET client_min_messages = warning}, qq{SET request.headers = '{"x-loyalty-method": "POST", "x-loyalty-uri": "/wallet/contact/get", "x-loyalty-type": "application/x-www-form-urlencoded", "x-loyalty-key": "$key"}'});
sub start { my $session = $stack->connect_async; $session->query($_) for @headers; return $session }

# Who remembers nothing.
sub truth
{
	my $probe = shift;
	my $session = start();
	my $answer = outcome($session->query(probe_of($probe, $accounts[9])));
	$session->close;
	return $answer;
}

my @sessions = map { start() } 1 .. 8;
my $changer = start();

# All sessions say this, each once, and the one that changes things too.
sub all_say
{
	my ($probe, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$sessions[$_]->send(probe_of($probe, $accounts[$_])) for 0 .. 7;
	my @answers = map { outcome($_->receive) } @sessions;
	push @answers, outcome($changer->query(probe_of($probe, $accounts[8])));
	return is "@answers", join(' ', ($expected) x 9), $name;
}

sub change
{
	my $answer = $changer->query(shift);
	fail "is done: $answer" if $answer =~ /ERROR: /;
	return $answer;
}

# A session of the eight that has only begun, so that one is always cold.
my $turn = 0;
sub replace_one { my $i = $turn++ % 8; $sessions[$i]->close; $sessions[$i] = start(); return }

# --- the ways -----------------------------------------------------------------------

my $of = "merchant_id = $m AND program_id = $p";
my $kept = 'CREATE TEMP TABLE IF NOT EXISTS kept AS';
# Name, what is asked, the change, and what takes it back.  One that begins with "UPDATE", "INSERT" or "DELETE" is tried together with a posting in one statement too.
my @ways = (
	['configure_program()', 'sale', qq{SELECT loyalty.configure_program($m, $p, '{"accumulation_points": 20}')}, qq{SELECT loyalty.configure_program($m, $p, '{"accumulation_points": 10}')}],
	['disable_program(), enable_program()', 'sale', "SELECT loyalty.disable_program($m, $p)", "SELECT loyalty.enable_program($m, $p)"],
	['publish_rules()', 'sale', qq{SELECT loyalty.publish_rules($m, $p, '[{"name": "cinco", "points": 7}]')}, qq{SELECT loyalty.publish_rules($m, $p, '[{"name": "cinco", "points": 5}]')}],
	['set_rank_ranges()', 'sale', "SELECT loyalty.set_rank_ranges($m, 'niveles', '{Base,Oro}', '{0,900000000000}', '{3,4}')", "SELECT loyalty.set_rank_ranges($m, 'niveles', '{Base,Oro}', '{0,900000000000}', '{1,2}')"],
	['set_limit()', 'sale', "SELECT loyalty.set_limit($m, $p, 'member', 'add', max_operations => 0)", "SELECT loyalty.set_limit($m, $p, 'member', 'add', max_operations => 1000000)"],
	['set_limit() for a batch', 'batch', "SELECT loyalty.set_limit($m, $p, 'member', 'add', max_operations => 0)", "SELECT loyalty.set_limit($m, $p, 'member', 'add', max_operations => 1000000)"],
	['remove_limit()', 'spend', "SELECT loyalty.set_limit($m, $p, 'program', 'spend', '0')", "SELECT loyalty.remove_limit($m, $p, 'program', 'spend')"],
	['UPDATE of the program', 'sale', "UPDATE loyalty_internal.program SET accumulation_points = '30' WHERE $of", "UPDATE loyalty_internal.program SET accumulation_points = '10' WHERE $of"],
	['UPDATE of rules', 'sale', "UPDATE loyalty_internal.rule SET points = '9' WHERE $of", "UPDATE loyalty_internal.rule SET points = '5' WHERE $of"],
	['UPDATE of ranks', 'sale', "UPDATE loyalty_internal.rank_range SET multiplier = '5' WHERE merchant_id = $m AND rank = 'Base'", "UPDATE loyalty_internal.rank_range SET multiplier = '1' WHERE merchant_id = $m AND rank = 'Base'"],
	['UPDATE of limits', 'sale', "UPDATE loyalty_internal.posting_limit SET max_operations = 0 WHERE $of AND scope = 'member'", "UPDATE loyalty_internal.posting_limit SET max_operations = 1000000 WHERE $of AND scope = 'member'"],
	['INSERT and DELETE of limits', 'post', "INSERT INTO loyalty_internal.posting_limit (merchant_id, program_id, scope, subject_id, adds, max_operations) VALUES ($m, $p, 'program', 0, true, 0)", "DELETE FROM loyalty_internal.posting_limit WHERE $of AND scope = 'program' AND adds"],
	['DELETE and INSERT of ranks', 'sale', "UPDATE loyalty_internal.rank_range SET multiplier = '2' WHERE merchant_id = $m AND rank = 'Base'", "DELETE FROM loyalty_internal.rank_range WHERE merchant_id = $m AND rank = 'Base'; INSERT INTO loyalty_internal.rank_range (merchant_id, range_group, rank, from_points, multiplier) VALUES ($m, 'niveles', 'Base', '0', '1')"],
	['COPY of limits', 'post', "COPY loyalty_internal.posting_limit (merchant_id, program_id, scope, subject_id, adds, max_operations) FROM PROGRAM 'printf \"$m\\t$p\\tprogram\\t0\\tt\\t0\\n\"'", "DELETE FROM loyalty_internal.posting_limit WHERE $of AND scope = 'program' AND adds"],
	['TRUNCATE of limits', 'post', "INSERT INTO loyalty_internal.posting_limit (merchant_id, program_id, scope, subject_id, adds, max_operations) VALUES ($m, $p, 'program', 0, true, 0)",
		"$kept SELECT * FROM loyalty_internal.posting_limit; TRUNCATE loyalty_internal.posting_limit; INSERT INTO loyalty_internal.posting_limit SELECT * FROM kept WHERE NOT (scope = 'program' AND adds); DROP TABLE kept"],
	['past all triggers: session_replication_role', 'sale', "SET session_replication_role = replica; UPDATE loyalty_internal.rule SET points = '11' WHERE $of; RESET session_replication_role", "SET session_replication_role = replica; UPDATE loyalty_internal.rule SET points = '5' WHERE $of; RESET session_replication_role"],
	['the same of limits', 'post', "SET session_replication_role = replica; UPDATE loyalty_internal.posting_limit SET max_operations = 0 WHERE $of AND scope = 'member'; RESET session_replication_role", "SET session_replication_role = replica; UPDATE loyalty_internal.posting_limit SET max_operations = 1000000 WHERE $of AND scope = 'member'; RESET session_replication_role"],
	['the same of the program', 'sale', "SET session_replication_role = replica; UPDATE loyalty_internal.program SET accumulation_points = '40' WHERE $of; RESET session_replication_role", "SET session_replication_role = replica; UPDATE loyalty_internal.program SET accumulation_points = '10' WHERE $of; RESET session_replication_role"],
	['past all triggers: DISABLE TRIGGER', 'sale', "ALTER TABLE loyalty_internal.rule DISABLE TRIGGER USER; UPDATE loyalty_internal.rule SET points = '13' WHERE $of; ALTER TABLE loyalty_internal.rule ENABLE TRIGGER USER",
		"ALTER TABLE loyalty_internal.rule DISABLE TRIGGER USER; UPDATE loyalty_internal.rule SET points = '5' WHERE $of; ALTER TABLE loyalty_internal.rule ENABLE TRIGGER USER; SELECT loyalty_internal.seal()"],
	['a program that is deleted and comes back with its revision', 'sale',
		"SET session_replication_role = replica; $kept SELECT * FROM loyalty_internal.program WHERE $of; RESET session_replication_role; ALTER TABLE loyalty_internal.program DISABLE TRIGGER ALL; ALTER TABLE loyalty_internal.program ENABLE TRIGGER forget_deleted; DELETE FROM loyalty_internal.program WHERE $of; INSERT INTO loyalty_internal.program SELECT * FROM kept; DROP TABLE kept; SET session_replication_role = replica; ALTER TABLE loyalty_internal.program ENABLE TRIGGER ALL; RESET session_replication_role; UPDATE loyalty_internal.program SET accumulation_points = '50' WHERE $of",
		"UPDATE loyalty_internal.program SET accumulation_points = '10' WHERE $of; SELECT loyalty_internal.seal()"],
	['set_quota(), remove_quota()', 'redeem', "SELECT loyalty.set_quota($m, 'redemptions', 0)", "SELECT loyalty.remove_quota($m, 'redemptions')"],
	['set_row_limit(), remove_row_limit()', 'wallet_sale', "SELECT loyalty.set_row_limit($m, 0)", "SELECT loyalty.remove_row_limit($m)"],
	['UPDATE of the merchant', 'wallet_sale', "UPDATE loyalty_internal.merchant SET max_rows = 0 WHERE merchant_id = $m", "UPDATE loyalty_internal.merchant SET max_rows = NULL WHERE merchant_id = $m"],
	['past all triggers: of the program, whose triggers are on again', 'sale', "ALTER TABLE loyalty_internal.program DISABLE TRIGGER USER; UPDATE loyalty_internal.program SET accumulation_points = '60' WHERE $of; ALTER TABLE loyalty_internal.program ENABLE TRIGGER USER; SELECT loyalty_internal.seal()",
		"UPDATE loyalty_internal.program SET accumulation_points = '10' WHERE $of"],
	['past all triggers: of the merchant', 'wallet_sale', "SET session_replication_role = replica; UPDATE loyalty_internal.merchant SET max_rows = 0 WHERE merchant_id = $m; RESET session_replication_role", "SET session_replication_role = replica; UPDATE loyalty_internal.merchant SET max_rows = NULL WHERE merchant_id = $m; RESET session_replication_role"],
	['add_quota()', 'contact', "SELECT loyalty.set_quota($m, 'customers', 0)", "SELECT loyalty.add_quota($m, 'customers', 100000)"],
	['set_staff_programs()', 'wallet_sale', "SELECT loyalty.set_staff_programs($m, 1, '{}'::bigint[])", "SELECT loyalty.set_staff_programs($m, 1, every_program => true)"],
	['disable_member(), enable_member()', 'wallet_sale', "SELECT loyalty.disable_member($m, $ana)", "SELECT loyalty.enable_member($m, $ana)"],
	['blacklist_phone(), unblacklist_phone()', 'wallet_sale', "SELECT loyalty.blacklist_phone($m, '5512345678')", "SELECT loyalty.unblacklist_phone($m, '5512345678')"],
	['set_area_code()', 'area', "SELECT loyalty.set_area_code('570', false)", "SELECT loyalty.set_area_code('570', true)"],
	['disable_api_key(), enable_api_key()', 'key', "SELECT loyalty.disable_api_key($m, $key_id)", "SELECT loyalty.enable_api_key($m, $key_id)"],
	['block_customer()', 'customer', "SELECT loyalty.block_customer($m, 'CAMC880526HMCBNR04')", "UPDATE loyalty_internal.customer SET blocked_at = NULL WHERE merchant_id = $m; SELECT loyalty.grant_consent($m, 'CAMC880526HMCBNR04', 'Banco', 'pruebas', '1'); UPDATE loyalty_internal.member SET active = true WHERE merchant_id = $m"],
	['revoke_consent(), grant_consent()', 'customer', "SELECT loyalty.revoke_consent($m, consent_id) FROM loyalty_internal.consent WHERE merchant_id = $m AND revoked_at IS NULL", "SELECT loyalty.grant_consent($m, 'CAMC880526HMCBNR04', 'Banco', 'pruebas', '1')"],
);

my %at_first;
for my $way (@ways)
{
	my ($name, $probe, $change, $undo) = @$way;
	my $before = $at_first{$probe} //= truth($probe);

	replace_one();
	all_say($probe, $before, "$name: at first");

	# rolled back, after a posting that has seen it
	change('BEGIN');
	change($change);
	my $during = outcome($changer->query(probe_of($probe, $accounts[8])));
	$changer->query('ROLLBACK');
	isnt $during, $before, "$name: a posting sees a change of its own transaction";
	all_say($probe, $before, "$name: rolled back");

	# as part of a transaction that goes on
	change('BEGIN; SAVEPOINT s');
	change($change);
	$changer->query(probe_of($probe, $accounts[8]));
	change('ROLLBACK TO s');
	is outcome($changer->query(probe_of($probe, $accounts[8]))), $before, "$name: rolled back to a savepoint";
	change('COMMIT');
	all_say($probe, $before, "$name: and for all afterwards");

	# in the statement that posts, by a session that has read nothing yet
	if ($change =~ /^(?:UPDATE|INSERT|DELETE)/)
	{
		$changer->close;
		$changer = start();
		my $posting = probe_of($probe, $accounts[8]) =~ s/^SELECT (\w+) FROM (.*)$/(SELECT $1 FROM $2 WHERE n >= 0)/r;
		change('BEGIN');
		$changer->query("WITH x AS ($change RETURNING 1), y AS MATERIALIZED (SELECT count(*) AS n FROM x) SELECT n, $posting FROM y");
		change('ROLLBACK');
		all_say($probe, $before, "$name: by the statement that posts, rolled back");
	}

	# two changes in one transaction, and it is committed
	change('BEGIN');
	change($change);
	$changer->query(probe_of($probe, $accounts[8])) if $during !~ /^[0-9A-Z]{5}$/ || $during =~ /^\d+$/;
	change($undo);
	is outcome($changer->query(probe_of($probe, $accounts[8]))), $before, "$name: taken back in its transaction";
	change($change);
	change('COMMIT');
	my $after = truth($probe);
	is $after, $during, "$name: what is valid then";
	all_say($probe, $after, "$name: committed");
	change($undo);
	all_say($probe, $before, "$name: taken back");
}

# Who has a snapshot of before reads what was, and does not remember it: nothing tells a change past all triggers twice.
for my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
	for my $way (grep { $_->[0] =~ /past all triggers|^the same of/ } @ways)
	{
		my ($name, $probe, $change, $undo) = @$way;
		my $before = truth($probe);
		replace_one();
		$_->query("BEGIN ISOLATION LEVEL $level; SELECT count(*) FROM loyalty.programs") for @sessions;
		change($change);
		my @then = map { outcome($sessions[$_]->query(probe_of($probe, $accounts[$_]))) } 0 .. ($probe =~ /^wallet/ ? 0 : 7);
		$_->query('COMMIT') for @sessions;
		my $after = truth($probe);
		isnt $after, $before, "$level, $name: changed";
		is "@then", join(' ', ($before) x @then), 'who has a snapshot of before reads what was';
		all_say($probe, $after, 'and does not remember it');
		change($undo);
		all_say($probe, $before, 'taken back');
	}
}

# Every function that sets something is among the ways, or sets what no posting depends on.
my %without = map { $_ => 1 } qw(set_rank set_staff_branch set_member_address create_branch configure_customers set_customer_deceased set_customer_preferences set_token_life set_redemption_rate set_maintenance set_fraud_threshold);
is $stack->psql(q{SELECT string_agg(DISTINCT proname, ' ' ORDER BY proname) FROM pg_proc WHERE pronamespace = 'loyalty'::regnamespace AND proname ~ '^(set|remove|configure|publish|enable|disable|block|blacklist|unblacklist|add|grant|revoke)_' AND proname !~ '^grant_(api|operation|reading|reporting)$'}),
	join(' ', sort keys %{{map { $_ => 1 } map({ $_->[0] =~ /(\w+)\(\)/g } @ways), qw(disable_app_user enable_app_user grant_app_user_api revoke_app_user_api revoke_reporting), grep { /^(set|configure)_/ } keys %without}}), 'each function that sets something is tried';

# --- tables that are rewritten ------------------------------------------------------

sub rewritten
{
	my ($name, $command) = @_;
	change(qq{UPDATE loyalty_internal.program SET accumulation_points = accumulation_points OPERATOR(loyalty.+) '1' WHERE $of});
	change($command);
	all_say('sale', truth('sale'), $name);
	# two changes of one row in one transaction: with the rewriting its version may stand where an older one stood
	change("BEGIN; SELECT loyalty.set_limit($m, $p, 'member', 'add', max_operations => 1000001); SELECT loyalty.set_limit($m, $p, 'member', 'add', max_operations => 0); COMMIT");
	change($command);
	all_say('sale', 'LY008', "$name: after two changes in one transaction");
	change("SELECT loyalty.set_limit($m, $p, 'member', 'add', max_operations => 1000000)");
	return all_say('sale', truth('sale'), "$name: and after another");
}
my @tables = map { "loyalty_internal.$_" } qw(program posting_limit rule rank_range account);
rewritten('VACUUM FULL', join '; ', map { "VACUUM FULL $_" } @tables);
rewritten('CLUSTER', join '; ', map { "CLUSTER $_ USING " . ($_ =~ s/.*\.//r) . '_pkey' } @tables);
rewritten('ALTER TABLE with a rewrite', join '; ', map { "ALTER TABLE $_ ADD COLUMN extra float DEFAULT random(); ALTER TABLE $_ DROP COLUMN extra" } @tables[1 .. 3]);
rewritten('VACUUM and ANALYZE', 'VACUUM ANALYZE loyalty_internal.program, loyalty_internal.posting_limit');

# --- triggers that are off, or on for ordinary roles only ------------------------------

my $says_triggers = q{SELECT healthy FROM loyalty.health() WHERE aspect = 'triggers'};
subtest 'triggers' => sub {
	my $past = sub { return "SET session_replication_role = replica; $_[0]; RESET session_replication_role" };
	my %setting = (
		program => sub { "UPDATE loyalty_internal.program SET accumulation_points = '$_[0]0' WHERE $of" },
		rule => sub { "UPDATE loyalty_internal.rule SET points = '$_[0]' WHERE $of" },
		rank_range => sub { "UPDATE loyalty_internal.rank_range SET multiplier = '$_[0]' WHERE merchant_id = $m AND rank = 'Base'" },
		posting_limit => sub { 'UPDATE loyalty_internal.posting_limit SET max_operations = ' . ($_[0] % 2 ? 0 : 1_000_000) . " WHERE $of AND scope = 'member'" },
	);
	for my $table (sort keys %setting)
	{
		my $n = 10;
		my $changes = sub { my ($how, $name) = @_; change($how->($setting{$table}->(++$n))); return all_say('sale', truth('sale'), "$table: $name") };
		my $as_it_is = sub { return $_[0] };
		all_say('sale', truth('sale'), "$table: at first");
		change("ALTER TABLE loyalty_internal.$table DISABLE TRIGGER ALL; ALTER TABLE loyalty_internal.$table ENABLE TRIGGER ALL");
		all_say('sale', truth('sale'), "$table: as pg_restore --disable-triggers leaves it");
		is $stack->psql($says_triggers), 'f', 'which health() says';
		$changes->($past, 'changed past its triggers then') for 1 .. 2;
		$changes->($as_it_is, 'and not past them');
		change("ALTER TABLE loyalty_internal.$table DISABLE TRIGGER USER");
		all_say('sale', truth('sale'), "$table: with its triggers off");
		$changes->($as_it_is, 'changed then') for 1 .. 2;
		change('SELECT loyalty_internal.seal()');
		is $stack->psql($says_triggers), 't', 'on again';
		$changes->($past, 'changed past its triggers') for 1 .. 2;
		$changes->($as_it_is, 'and not past them') while $n % 2;
	}
	# who has had its locks since before
	$_->query('BEGIN') for @sessions;
	all_say('sale', truth('sale'), 'in transactions that go on');
	change($past->($setting{rule}->(19)));
	all_say('sale', truth('sale'), 'a change past all triggers is seen');
	$_->query('COMMIT') for @sessions;
	change("$_; SELECT loyalty.set_limit($m, $p, 'member', 'add', max_operations => 1000000)") for $setting{program}->(1), $setting{rule}->(5), $setting{rank_range}->(1);
};

# --- all at once ----------------------------------------------------------------------

# A sale of 100 earns hundreds by the base, units by the rule.  What is committed is in the log, by the transaction that changes it; what is
# rolled back has numbers of its own.
subtest 'at once' => sub {
	my $seconds = $ENV{LOYALTY_CACHES_SECONDS} || 2;
	$stack->psql(qq{
		CREATE TABLE public.log (version bigserial, base integer, unit integer);
		CREATE TABLE public.judged (base integer, unit integer, first bigint, last bigint);
		SELECT loyalty.configure_program($m, $p, '{"accumulation_points": 100, "accumulation_money": 100}');
		UPDATE loyalty_internal.rule SET points = '5' WHERE $of;
		INSERT INTO public.log (base, unit) VALUES (1, 5);
		CREATE PROCEDURE public.post_for(account bigint, seconds float) LANGUAGE plpgsql AS \$\$
		DECLARE
			until CONSTANT timestamptz := clock_timestamp() + seconds * interval '1 s';
			first bigint;
			last bigint;
			points integer;
		BEGIN
			WHILE clock_timestamp() < until LOOP
				SELECT max(version) INTO first FROM public.log;
				COMMIT;
				BEGIN
					points := (loyalty.sale($m, account, '100')).points::numeric;
				EXCEPTION WHEN SQLSTATE 'LY008' THEN
					points := -1;
				END;
				COMMIT;
				SELECT max(version) INTO last FROM public.log;
				INSERT INTO public.judged VALUES (points / 100, points % 100, first, last);
				COMMIT;
			END LOOP;
		END \$\$});
	$sessions[$_]->send("CALL public.post_for($accounts[$_], $seconds)") for 0 .. 7;
	my $until = time() + $seconds;
	my ($changes, $base, $unit) = (0, 1, 5);
	my @next = (
		sub { $base = 1 + $changes % 50; return qq{SELECT loyalty.configure_program($m, $p, '{"accumulation_points": ${base}00}')} },
		sub { $unit = 1 + $changes % 40; return qq{SELECT loyalty.publish_rules($m, $p, '[{"name": "cinco", "points": $unit}]')} },
		sub { $base = 1 + $changes % 50; return "UPDATE loyalty_internal.program SET accumulation_points = '${base}00' WHERE $of" },
		sub { $unit = 1 + $changes % 40; return "UPDATE loyalty_internal.rule SET points = '$unit' WHERE $of" },
		sub { $unit = 1 + $changes % 40; return "SET LOCAL session_replication_role = replica; UPDATE loyalty_internal.rule SET points = '$unit' WHERE $of; SET LOCAL session_replication_role = origin" },
	);
	while (time() < $until)
	{
		my $sql = $next[$changes++ % @next]->();
		change("BEGIN; $sql; INSERT INTO public.log (base, unit) VALUES ($base, $unit); COMMIT");
		change("BEGIN; UPDATE loyalty_internal.rule SET points = '77' WHERE $of; UPDATE loyalty_internal.program SET accumulation_points = '9000' WHERE $of; SELECT loyalty.sale($m, $accounts[8], '100'); ROLLBACK") if $changes % 3 == 0;
		change('VACUUM FULL loyalty_internal.rule') if $changes % 40 == 0;
		change("BEGIN; UPDATE loyalty_internal.posting_limit SET max_operations = 0 WHERE $of AND scope = 'member'; SELECT pg_sleep(0.001); ROLLBACK") if $changes % 4 == 0;
	}
	is $_->receive, '', 'a session has posted' for @sessions;
	my ($posted, $during) = split /\|/, $stack->psql('SELECT count(*), count(DISTINCT first) FROM public.judged');
	cmp_ok $posted, '>=', 8, "$posted postings";
	cmp_ok $during, '>=', 1, "under $during of $changes settings";
	is $stack->psql(q{SELECT * FROM public.judged j WHERE NOT EXISTS (SELECT FROM public.log l WHERE l.base = j.base AND l.version BETWEEN j.first AND j.last)
		OR NOT EXISTS (SELECT FROM public.log l WHERE l.unit = j.unit AND l.version BETWEEN j.first AND j.last) LIMIT 5}), '', 'each earned by what was valid from before its snapshot to its end';
};

# --- a dump that is restored while the sessions go on -------------------------------

my $dump = $stack->work_dir . '/caches.dump';
my $at_dump = truth('sale');
$stack->with_env(sub { IPC::Run::run(['pg_dump', '-Fc', '-f', $dump], '>', '/dev/null', '2>&1') }) or die "pg_dump failed\n";
change("SELECT loyalty.set_limit($m, $p, 'member', 'add', max_operations => 0); UPDATE loyalty_internal.program SET accumulation_points = '70' WHERE $of");
all_say('sale', 'LY008', 'changed after the dump');
sub restore { my @options = @_; my $said = ''; my $fine = $stack->with_env(sub { IPC::Run::run(['pg_restore', '-d', $stack->env('PGDATABASE'), @options, $dump], '>', \$said, '2>&1') }); return ok $fine, "restored: @options" || diag $said }
restore('--clean', '--if-exists');
is truth('sale'), $at_dump, 'the restored program is that of the dump';
all_say('sale', $at_dump, 'for every session that lived on');

change("UPDATE loyalty_internal.rule SET points = '17' WHERE $of; UPDATE loyalty_internal.posting_limit SET max_operations = 0 WHERE $of AND scope = 'member'");
all_say('sale', 'LY008', 'changed after the restoration');
change('TRUNCATE loyalty_internal.rule, loyalty_internal.posting_limit');
restore('--data-only', '--disable-triggers', '-t', 'rule', '-t', 'posting_limit');
is truth('sale'), $at_dump, 'two tables of it restored past their triggers';
all_say('sale', $at_dump, 'for every session');
is $stack->psql($says_triggers), 'f', 'which are on for ordinary roles only now';

is $stack->psql('SELECT * FROM loyalty.verify()'), '', 'the ledger is sound';
done_testing;
