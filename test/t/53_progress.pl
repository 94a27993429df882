# Long work is seen by others while it goes on, in loyalty.progress, and no more
# when it ends, whichever way; and what an exporter for Prometheus asks.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Loyalty;
use Test::More;

my $stack = Loyalty->start(level => 'database', clock => 1, isolation => 'read committed');
my $accounts = 1500;

# Accounts whose first points are due.
my ($merchant, $program) = split /\|/, $stack->psql(qq{
	SELECT loyalty.create_merchant('Mucho') AS m \\gset
	SELECT program_id AS p FROM loyalty.create_program(:m, 'Mucho', settings => '{"duration_unit": "month", "duration_value": 1}') \\gset
	SELECT loyalty.set_rank_ranges(:m, 'g', '{bajo,alto}', '{0,100}') \\g /dev/null
	SELECT loyalty.configure_program(:m, :p, '{"range_group": "g", "rank_window_value": 1, "rank_window_unit": "year"}') \\g /dev/null
	INSERT INTO loyalty_internal.account (merchant_id, account_id, program_id, earned, expired, held, pending, ranked_at)
	SELECT :m, i, :p, '0', '0', '0', '0', (SELECT ranked_at FROM loyalty_internal.program WHERE program_id = :p) FROM generate_series(1, $accounts) i;
	SELECT FROM loyalty.post_batch(:m, (SELECT array_agg(i::bigint) FROM generate_series(1, $accounts) i), array_fill('accrue'::text, '{1500}'), array_fill('10'::loyalty.points, '{1500}')) \\g /dev/null
	SELECT FROM loyalty.post_batch(:m, (SELECT array_agg(i::bigint) FROM generate_series(1, $accounts) i), array_fill('hold'::text, '{1500}'), array_fill('3'::loyalty.points, '{1500}'),
		release_at => (SELECT array_agg(now() + interval '1 h' + interval '1 s' * i) FROM generate_series(1, $accounts) i)) \\g /dev/null
	SELECT concat_ws('|', :'m', :'p')});
my $worker = $stack->connect_async;
my $pid = $worker->query('SELECT pg_backend_pid()');
my $blocker = $stack->connect_async;
my $observer = $stack->connect_async;

sub progress { return $observer->query(q{SELECT concat_ws(' ', pid, work, merchant_id, accounts_done, coalesce(accounts_total::text, 'unknown'), started_at <= now()) FROM loyalty.progress}) }

is progress(), '', 'nobody works';

# Behind a row of somebody else's, in the twelfth hundred: holds that time out.
subtest 'expire_due' => sub {
	$stack->advance_clock(7200);
	$blocker->query("BEGIN; UPDATE loyalty_internal.reservation SET remaining = remaining WHERE merchant_id = $merchant AND account_id = 1200");
	$worker->send("SELECT loyalty.expire_due($merchant, 5000)");
	is $stack->wait_until(sub { my $seen = progress(); $seen =~ / 1100 / && $seen }), "$pid expire_due $merchant 1100 $accounts t", 'is seen after its first eleven hundred';
	is $stack->psql(q{SELECT p.work FROM loyalty.progress p JOIN pg_stat_activity a USING (pid) WHERE a.wait_event_type = 'Lock'}), 'expire_due', 'and what it waits for';
	$blocker->query('ROLLBACK');
	is $worker->receive, $accounts, 'all are booked';
	is progress(), '', 'then it is gone';
	is $stack->psql("SELECT count(*) FROM loyalty.verify($merchant)"), '0', 'and the ledger is whole';
};

subtest 'recount_ranks' => sub {
	$blocker->query("BEGIN; SELECT FROM loyalty_internal.account WHERE merchant_id = $merchant AND account_id = 1200 FOR UPDATE");
	$worker->send("SELECT accounts FROM loyalty.recount_ranks($merchant, $program, max_accounts => 5000)");
	is $stack->wait_until(sub { my $seen = progress(); $seen =~ / 1000 / && $seen }), "$pid recount_ranks $merchant 1000 $accounts t", 'is seen after its first thousand';
	$stack->psql("SELECT pg_cancel_backend($pid)");
	like $worker->receive, qr/57014/, 'it is cancelled';
	is progress(), '', 'then it is gone';
	$blocker->query('ROLLBACK');
};

# These wait for nobody: they run until they have been seen.
sub is_seen
{
	my ($work, $call, $total) = @_;
	$worker->send("DO 'BEGIN LOOP PERFORM FROM $call; END LOOP; END'");
	my $seen = $stack->wait_until(sub {
		my $progress = progress();
		my ($done) = $progress =~ /^$pid $work $merchant (\d+) $total t$/;
		return defined $done && $done > 0 && $done < $accounts && $progress;
	});
	like $seen, qr/^$pid $work $merchant \d+ $total t$/, "$work is seen on its way";
	$stack->psql("SELECT pg_cancel_backend($pid)");
	like $worker->receive, qr/57014/, 'it is cancelled';
	is progress(), '', 'then it is gone';
	is $worker->query("SELECT count(*) > 0 FROM $call") =~ /^[tf]$/ ? 1 : 0, 1, 'and the session goes on';
	is progress(), '', 'without a trace';
	return;
}

is_seen('verify', "loyalty.verify($merchant)", $accounts);
is_seen('verify', 'loyalty.verify()', $accounts);
is_seen('make_root', "loyalty.make_root($merchant)", $accounts);
is_seen('verify_root', "loyalty.verify_root($merchant)", $accounts);

# Behind a row of the second step.
subtest 'roll_up' => sub {
	my $done = $worker->query("SELECT accounts FROM loyalty_internal.roll_up($merchant, 1000)");
	cmp_ok $done, '>', 0, 'a step is some accounts';
	cmp_ok $done, '<', $accounts, 'and not all';
	$blocker->query("BEGIN; INSERT INTO loyalty_internal.report_account (merchant_id, account_id, entry_no) VALUES ($merchant, $accounts, 0)");
	$worker->send("SELECT at_end FROM loyalty_internal.roll_up($merchant)");
	is $stack->wait_until(sub { my $seen = progress(); $seen =~ / roll_up / && $seen }), "$pid roll_up $merchant $done unknown t", 'the next one is seen with what was done before';
	$blocker->query('ROLLBACK');
	is $worker->receive, 't', 'it does the rest';
	is progress(), '', 'then it is gone';
};

# Two that verify at once note it in one row.
$blocker->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM loyalty.metrics');
$stack->psql('SELECT FROM loyalty.verify()');
is $blocker->query('SELECT count(*) FROM loyalty.verify()'), '0', 'who cannot see what another one has noted verifies all the same';
is $blocker->query('COMMIT'), '', 'and goes on';

# --- what an exporter asks -------------------------------------------------------------

subtest 'examples/loyalty.collector.yml' => sub {
	open my $in, '<', dirname(abs_path(__FILE__)) . '/../../examples/loyalty.collector.yml' or die "$!\n";
	my $text = do { local $/; <$in> };
	my ($metrics, $queries) = $text =~ /^metrics:\n(.*)^queries:\n(.*)/ms or die "no metrics and queries\n";
	my $query = qr/    query: \|\n((?:      .*\n)+)/;
	my %query = $queries =~ /  - query_name: (\w+)\n$query/g;
	is_deeply [sort keys %query], ['figures', 'work'], 'has two queries for many';
	$stack->psql("CREATE ROLE exporter LOGIN PASSWORD 'of the exporter'; GRANT pg_monitor TO exporter");
	$blocker->query("BEGIN; SELECT FROM loyalty_internal.account WHERE merchant_id = $merchant AND account_id = 1200 FOR UPDATE");
	$worker->send("SELECT accounts FROM loyalty.recount_ranks($merchant, $program, max_accounts => 5000)");
	$stack->wait_until(sub { progress() =~ / 1000 / });
	my (%seen, %columns);
	for my $metric (split /^  - /m, $metrics)
	{
		my ($name) = $metric =~ /^metric_name: (\w+)$/m or next;
		my ($own) = $metric =~ $query;
		my ($ref) = $metric =~ /query_ref: (\w+)$/m;
		my @labels = split /, /, $metric =~ s/.*key_labels: \[(.*?)\].*/$1/sr;
		my @values = split /, /, $metric =~ s/.* values: \[(.*?)\].*/$1/sr;
		my $sql = $own // $query{$ref // ''} // die "$name has no query\n";
		$sql =~ s/\s+\z//;
		is $seen{$name}++, 0, "$name is one metric";
		my $rows = $stack->psql("SELECT count(*) > 0, bool_and(x IS NOT NULL) FROM ($sql) q, unnest(ARRAY[" . join(', ', map { "q.$_\::float8" } @values) . ']) x', user => 'exporter', password => 'of the exporter');
		is $rows, 't|t', "$name: " . join(', ', @values) . ' are numbers';
		is $stack->psql("SELECT DISTINCT pg_typeof(q.$_)::text FROM ($sql) q", user => 'exporter', password => 'of the exporter'), 'text', "and $_ is a text" for @labels;
	}
	is scalar(keys %seen), 14, 'of fourteen';
	$blocker->query('ROLLBACK');
	$worker->receive;
};

is $stack->psql("SELECT count(*) FROM pg_stat_progress_vacuum"), '0', "no view of PostgreSQL's takes it for something else";
is $stack->psql("SELECT count(*) FROM loyalty.verify()"), '0', 'the ledger is whole';

done_testing;
