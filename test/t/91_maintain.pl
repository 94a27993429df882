# loyalty.maintain(): all that has to be run, for all merchants, by their terms; two at
# once, one that is killed, and one merchant for which something fails.
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use Loyalty;
use Test::More;

my $stack = Loyalty->start(level => 'database', clock => 1, clock_rate => 10, isolation => 'repeatable read');	# who waits 2 s for a lock waits 20
my $accounts = 2500;

sub scalar_of { return $stack->psql(shift) }
sub maintain { return $stack->psql('CALL loyalty.maintain(' . join(', ', @_) . ')') }
sub state_of { my ($merchant, $task) = @_; return $stack->psql("SELECT concat_ws(' ', finished, error, failed_at IS NOT NULL) FROM loyalty.maintenance WHERE merchant_id = $merchant AND task = '$task'") }
sub health { return $stack->psql(q{SELECT concat_ws(' ', healthy, merchants, detail) FROM loyalty.health() WHERE aspect = 'maintenance'}) }

is maintain(), '0|0|0', 'without a merchant there is nothing to do';
my ($a, $b) = map { $stack->psql("SELECT loyalty.create_merchant('$_')") } 'Uno', 'Dos';
my ($pa, $pb) = map { $stack->psql(qq{SELECT program_id FROM loyalty.create_program($_, 'P', settings => '{"duration_unit": "month", "duration_value": 1}')}) } $a, $b;
for ([$a, $pa], [$b, $pb])
{
	my ($merchant, $program) = @$_;
	$stack->psql(qq{INSERT INTO loyalty_internal.account (merchant_id, account_id, program_id, earned, expired, held, pending) SELECT $merchant, i, $program, '0', '0', '0', '0' FROM generate_series(1, $accounts) i;
		SELECT FROM loyalty.post_batch($merchant, (SELECT array_agg(i::bigint) FROM generate_series(1, $accounts) i), array_fill('accrue'::text, ARRAY[$accounts]), array_fill('10'::loyalty.points, ARRAY[$accounts])) \\g /dev/null
		SELECT loyalty.set_quota($merchant, 'messages', 1000)});
}
my $tasks = $stack->psql('SELECT count(*) FROM loyalty.maintenance') / 2;
is $tasks, 9, 'nine tasks of each merchant';
is health(), 't 0', 'who never ran it needs none';

# --- what it does ------------------------------------------------------------------------

is maintain(), 2 * $tasks . '|0|0', 'each is done, in a step';
is $stack->psql('SELECT count(*), bool_and(finished AND tried_at IS NOT NULL AND error IS NULL) FROM loyalty.maintenance'), 2 * $tasks . '|t', 'and came to its end';
is $stack->psql('SELECT sum(entries) FROM loyalty_internal.report_day'), 2 * $accounts, 'entries are rolled up';
is $stack->psql('SELECT count(DISTINCT merchant_id) FROM loyalty.roots'), 2, 'roots are made';
is maintain(), '4|0|0', 'then what is due each time';
$stack->advance_clock(3 * 3600);
is maintain(), '10|0|0', 'each hour a little more';
$stack->advance_clock(40 * 86_400);
is health() =~ s/\d+ s ago/N s ago/r =~ s/merchant \d+/merchant M/r, 'f 2 merchant M: maintain() was last run N s ago', 'who stopped running it is told so';
# 1,000 accounts a step, and one to see that there are no more; what is rolled up comes in its turn
my ($steps, $failed, $unfinished) = split /\|/, maintain();
cmp_ok $steps, '>', 2 * $tasks, 'what is much takes several steps';
is "$failed $unfinished", '0 0', 'until all is done';
is $stack->psql('SELECT count(*) FROM loyalty_internal.account WHERE due_at <= now()'), 0, 'what is due is booked';
is maintain() =~ s/^\d+//r, '|0|0', 'and again';
is $stack->psql('SELECT sum(entries) FROM loyalty_internal.report_day'), 4 * $accounts, 'and rolled up';
is health(), 't 0', 'all is well';

# --- by whose terms ------------------------------------------------------------------------

$stack->psql(qq{SELECT loyalty.claim_messages($_, 1) FROM generate_series(1, 1);
	INSERT INTO loyalty_internal.message (merchant_id, member_id, channel, phone, body, created_at, sent_at) SELECT $_, 1, 'sms', '4771234567', 'hola', now() - interval '40 days', now() - interval '40 days' FROM generate_series(1, 3)}) for $a, $b;
$stack->psql("SELECT loyalty.set_maintenance($a, 'forget_messages', '10 minutes', '30 days'), loyalty.set_maintenance($b, 'make_root', enabled => false), loyalty.set_maintenance($a, 'make_root', '2 days')");
is $stack->psql("SELECT every, older_than, enabled FROM loyalty.maintenance WHERE merchant_id = $a AND task = 'forget_messages'"), '00:10:00|30 days|t', 'a merchant has its own';
$stack->advance_clock(3 * 86_400);
my $roots = $stack->psql("SELECT count(*) FILTER (WHERE merchant_id = $a), count(*) FILTER (WHERE merchant_id = $b) FROM loyalty.roots");
maintain();
is $stack->psql("SELECT count(*) FILTER (WHERE merchant_id = $a), count(*) FILTER (WHERE merchant_id = $b) FROM loyalty_internal.message"), '0|3', 'messages are kept for as long as each says';
is $stack->psql("SELECT count(*) FILTER (WHERE merchant_id = $a), count(*) FILTER (WHERE merchant_id = $b) FROM loyalty.roots"), join('|', (split /\|/, $roots)[0] + 1, (split /\|/, $roots)[1]), 'roots are made as often as each says, or not';
$stack->advance_clock(20 * 86_400);
maintain();
is $stack->psql("SELECT count(*) FROM loyalty.roots WHERE merchant_id = $b"), (split /\|/, $roots)[1], 'what is not enabled is not done';
$stack->psql("SELECT loyalty.set_maintenance($_->[0], '$_->[1]')") for [$a, 'forget_messages'], [$a, 'make_root'], [$b, 'make_root'];
is $stack->psql("SELECT count(*) FROM loyalty.maintenance WHERE enabled AND every IN ('1 hour', '7 days') AND merchant_id = $a AND task IN ('forget_messages', 'make_root')"), 2, 'and back';
for (["1, 'roll_up'", 'LY006'], ["$a, 'verify'", 'LY005'], ["$a, NULL", 'LY005'], ["$a, 'roll_up', '-1 s'", 'LY005'], ["$a, 'roll_up', '294000 years'", 'LY005'], ["$a, 'roll_up', enabled => NULL", 'LY005'], ["$a, 'roll_up', older_than => '1 day'", 'LY005'],
	["$a, 'forget_messages', older_than => '-1 day'", 'LY005'], ["$a, 'forget_messages', older_than => '300000 years'", 'LY005'], ["$a, 'forget_access_log', older_than => '364 days'", 'LY005'])
{
	is $stack->psql_error("SELECT loyalty.set_maintenance($_->[0])")->{sqlstate}, $_->[1], "set_maintenance($_->[0]) is refused";
}
is $stack->psql_error("CALL loyalty.maintain($_->[0])")->{sqlstate}, $_->[1], "maintain($_->[0]) is refused" for ['-1', 'LY005'], ['NULL', 'LY005'], ['86401', 'LY005'], ['50, 1', 'LY006'];
is $stack->psql_error('BEGIN; CALL loyalty.maintain()')->{sqlstate}, '2D000', 'nor can it be called in a transaction';

# --- two at once ----------------------------------------------------------------------------

maintain();
my ($worker, $blocker) = map { $stack->connect_async } 1, 2;
$blocker->query("BEGIN; SELECT FROM loyalty_internal.maintenance WHERE merchant_id = $a AND task = 'roll_up' FOR UPDATE");
$stack->psql("SELECT FROM loyalty.post($_, 1, 'deposit', 1)") for $a, $b;
is maintain(), '3|0|1', 'what another is at is left to it, and said';
is $stack->psql("SELECT count(*) FROM loyalty_internal.report_account r JOIN loyalty_internal.account k USING (merchant_id, account_id) WHERE k.account_id = 1 AND r.entry_no = k.entry_no"), 1, 'the rest is done';
is maintain(50, $a), '1|0|1', 'of one merchant too';
$blocker->query('COMMIT');
is maintain(50, $a), '2|0|0', 'and when they are gone';
my $limited = maintain(0);
like $limited, qr/^1\|0\|[1-9]/, 'without time it does one step, and says what is left';

# Two that have all to do share it.
$stack->advance_clock(40 * 86_400);
$stack->psql(qq{SELECT FROM loyalty.post_batch($_, (SELECT array_agg(i::bigint) FROM generate_series(1, $accounts) i), array_fill('accrue'::text, ARRAY[$accounts]), array_fill('10'::loyalty.points, ARRAY[$accounts]))}) for $a, $b;
$stack->advance_clock(40 * 86_400);
$_->send('CALL loyalty.maintain()') for $worker, $blocker;
my @shares = map { [split /\|/, $_->receive] } $worker, $blocker;
is $shares[0][1] + $shares[1][1], 0, 'of two nothing fails';
cmp_ok $shares[0][0] * $shares[1][0], '>', 0, "both do something: $shares[0][0] and $shares[1][0] steps";
maintain();
is $stack->psql('SELECT count(*) FROM loyalty_internal.account WHERE due_at <= now()'), 0, 'all is booked';
is $stack->psql('SELECT sum(d.entries) = (SELECT count(*) FROM loyalty.entry) FROM loyalty_internal.report_day d'), 't', 'and rolled up once';

# --- one that is killed ------------------------------------------------------------------------

$stack->psql(qq{SELECT FROM loyalty.post_batch($_, (SELECT array_agg(i::bigint) FROM generate_series(1, $accounts) i), array_fill('accrue'::text, ARRAY[$accounts]), array_fill('10'::loyalty.points, ARRAY[$accounts]))}) for $a, $b;
$stack->advance_clock(40 * 86_400);
$blocker->query("BEGIN; SELECT FROM loyalty_internal.report_turn WHERE merchant_id = $b FOR UPDATE");
my $pid = $worker->query('SELECT pg_backend_pid()');
$worker->send('CALL loyalty.maintain()');
ok $stack->wait_until(sub { $stack->psql("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid AND wait_event_type = 'Lock'") eq '1' }), 'one waits in the middle of its work';
$stack->psql("SELECT pg_cancel_backend($pid)");
like $worker->receive, qr/^\d+\|1\|/, 'and is cancelled: it goes no further, and says that one has failed';
is state_of($b, 'roll_up') . ', ' . health(), 'f 57014 t, t 0', 'which is written down, and no matter';
$blocker->query('ROLLBACK');
is maintain() =~ s/^\d+//r, '|0|0', 'the next one does the rest';
is $stack->psql('SELECT count(*) FROM loyalty_internal.account WHERE due_at <= now()'), 0, 'all is booked';
maintain();
is $stack->psql('SELECT sum(d.entries) = (SELECT count(*) FROM loyalty.entry) FROM loyalty_internal.report_day d'), 't', 'and rolled up once';

# --- one for which something fails ----------------------------------------------------------------

$blocker->query("BEGIN; SELECT FROM loyalty_internal.report_turn WHERE merchant_id = $b FOR UPDATE");
is maintain(), '4|1|0', 'who waits for a lock too long has failed';
is state_of($b, 'roll_up'), 'f 55P03 t', 'which is said';
is health(), 't 0', 'and is no matter';
$stack->advance_clock(3700);
like health(), qr/^f 1 merchant $b: roll_up has failed for 3\d+ s, with 55P03$/, 'unless it goes on for an hour';
$blocker->query('ROLLBACK');
maintain();
is state_of($b, 'roll_up') . ', ' . health(), 't f, t 0', 'the next time it does not';
$stack->psql(qq{CREATE FUNCTION public.refuses() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE division_by_zero; END';
	CREATE TRIGGER refuses BEFORE INSERT OR UPDATE ON loyalty_internal.report_account FOR EACH ROW WHEN (NEW.merchant_id = $a) EXECUTE FUNCTION public.refuses()});
$stack->psql("SELECT FROM loyalty.post($_, 1, 'deposit', 1)") for $a, $b;
is maintain(), '4|1|0', 'what fails of a merchant';
is state_of($a, 'roll_up') . ', ' . state_of($a, 'expire_due') . ', ' . state_of($b, 'roll_up'), 'f 22012 t, t f, t f', 'keeps nothing else from being done';
is $stack->psql("SELECT sum(d.entries) = (SELECT count(*) FROM loyalty.entry WHERE merchant_id = $b) FROM loyalty_internal.report_day d WHERE merchant_id = $b"), 't', 'for the other';
like health(), qr/^f 1 merchant $a: roll_up has failed for \d+ s, with 22012$/, 'and is seen in health()';
like $stack->psql("SELECT sum(entries) = (SELECT count(*) FROM loyalty.entry WHERE merchant_id = $a) FROM loyalty_report.fact_day WHERE merchant_key = '$a'"), qr/^t$/, 'days are right all the same';
$stack->psql('DROP TRIGGER refuses ON loyalty_internal.report_account');
is maintain() . ', ' . health(), '4|0|0, t 0', 'until it does not any more';
is $stack->psql('SELECT count(*) FROM loyalty.verify()'), 0, 'the ledger is sound';

# The server ends a call by its statement_timeout, here after 6 s by a true clock.  What takes so long waits as long as it has failed, an hour at most.
$stack->psql(qq{CREATE FUNCTION public.waits() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(3600); END';
	CREATE TRIGGER waits BEFORE INSERT OR UPDATE ON loyalty_internal.report_account FOR EACH ROW WHEN (NEW.merchant_id = $a) EXECUTE FUNCTION public.waits()});
sub limited { return $stack->psql("SET statement_timeout = '600ms'; CALL loyalty.maintain()") }
sub waits { return $stack->psql("SELECT extract(epoch FROM due_at - now())::integer, least(tried_at - failed_at, '1 hour') - (due_at - tried_at) BETWEEN '0' AND '20 s' FROM loyalty.maintenance WHERE merchant_id = $a AND task = 'roll_up'") }
$stack->psql("SELECT FROM loyalty.post($_, 1, 'deposit', 1)") for $a, $b;
like limited(), qr/^\d\|1\|/, 'a call that statement_timeout ends says so';
is state_of($a, 'roll_up'), 'f 57014 t', 'and what it was at';
like waits(), qr/^(?:0|-\d+)\|t$/, 'which is tried once more';
$stack->advance_clock(300);
for my $minutes (5, 10, 20, 40, 60, 60)
{
	like limited(), qr/^\d+\|1\|/, 'it fails again';
	my ($seconds, $as_told) = split /\|/, waits();
	is $as_told . ' ' . int(($seconds + 30) / 300) * 5, "t $minutes", "and waits as long as it has failed, $minutes minutes and no more than an hour";
	like maintain(), qr/^\d+\|0\|0$/, 'which keeps nothing else from being done';
	$stack->advance_clock($seconds + 1);
}
like health(), qr/^f 1 merchant $a: roll_up has failed for \d+ s, with 57014, cancelled or by statement_timeout$/, 'and is in health()';
limited();
$stack->psql('DROP TRIGGER waits ON loyalty_internal.report_account');
maintain();
is state_of($a, 'roll_up'), 'f 57014 t', 'it waits still when the reason is gone';
$stack->psql("SELECT loyalty.set_maintenance($a, 'roll_up')");
maintain();
is state_of($a, 'roll_up') . ', ' . health(), 't f, t 0', 'unless its terms are set: then it is tried at once';

# --- who may, and a clock that steps back -----------------------------------------------------------

$stack->psql(q{CREATE ROLE till LOGIN PASSWORD 'for the till'; CREATE ROLE stranger LOGIN PASSWORD 'for others'; SELECT loyalty.grant_operation('till')});
my $as_till = $stack->psql('SET search_path = public; CALL loyalty.maintain()', user => 'till', password => 'for the till');
is $as_till, '4|0|0', 'a role of grant_operation may';
is $stack->psql_error('CALL loyalty.maintain()', user => 'stranger', password => 'for others')->{sqlstate}, '42501', 'others may not';
$stack->set_clock($stack->psql('SELECT (extract(epoch FROM now()) * 1000000)::bigint') - 86_400_000_000);
is maintain(), 2 * $tasks . '|0|0', 'when the clock was ahead all is due once';
is maintain(), '4|0|0', 'and not again';

# --- many merchants -----------------------------------------------------------------------------------

# What a step reads of the tasks and of merchants, if it is not the first one of a call.
sub step_reads
{
	my ($what, $merchant, $ends_at) = @_;
	my $session = $stack->connect_async;
	$session->query('BEGIN');
	my $did = $session->query("SELECT steps, unfinished IS NULL FROM loyalty.maintain_step($merchant, 50, clock_timestamp(), $ends_at, 1, 0)");
	my $rows = $session->query(q{SELECT sum(pg_stat_get_xact_tuples_returned(c.oid)) FROM pg_class c WHERE c.oid = ANY ('{loyalty_internal.maintenance, loyalty_internal.merchant}'::regclass[])
		OR c.oid IN (SELECT x.indexrelid FROM pg_index x WHERE x.indrelid = ANY ('{loyalty_internal.maintenance, loyalty_internal.merchant}'::regclass[]))});
	$session->query('COMMIT');
	$session->close;
	is $did, '2|t', "$what: a step";
	return $rows;
}
$stack->advance_clock(2 * 86_400);
my $with_two = step_reads('of two merchants', 'NULL', "'infinity'");
$stack->psql("SELECT count(loyalty.create_merchant('M' || i)) FROM generate_series(1, 100) i; SELECT count(*) FROM loyalty.maintain_step(NULL, 0, NULL, NULL, NULL, NULL)");
is $stack->psql('SELECT count(*) > 900 FROM loyalty.maintenance'), 't', 'there are many tasks';
for my $merchant ('NULL', $a)
{
	my $of = $merchant eq 'NULL' ? 'all' : 'one';
	cmp_ok step_reads("of $of of many merchants", $merchant, "'infinity'"), '<', $with_two + 40, 'reads no more';
}
is maintain(86400) =~ s/^\d+//r, '|0|0', 'until all of many is done';
is $stack->psql("SELECT count(*) FROM loyalty.maintenance WHERE NOT finished OR tried_at IS NULL OR due_at IS DISTINCT FROM tried_at + every AND every > '1 s'"), 0, 'and it is said when each is due again';

done_testing;
