# Reports of a large ledger: what a dashboard asks, and the close of a month, before
# the ledger is rolled up by day and after it.  Both say the same, and after it nothing
# that a dashboard asks reads more than a few of the entries.
# What reports read grows as the ledger does, and not with its months or programs too.
#
# 12,000 entries, or as many as LARGE_ENTRIES says, and then seconds are printed.
use strict;
use warnings;
use utf8;

use FindBin;
use JSON::PP ();
use lib $FindBin::Bin;
use Loyalty;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);
use Time::Local qw(timegm);

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $entries = $ENV{LARGE_ENTRIES} // 12_000;
my $days = 400;
my $per_day = POSIX::ceil($entries / $days);
my $accounts = POSIX::ceil($entries / 50);
my $timeout = 900;

my $stack = Loyalty->start(level => 'database', clock => 1);
my $session = $stack->connect_async;
sub sql { my $answer = $session->query(shift); die "$answer\n" if $answer =~ /ERROR:/; return $answer }

# --- the ledger -------------------------------------------------------------------------

my $start = timegm(0, 0, 18, 3, 0, 2027);	# noon in Mexico City
$stack->set_clock($start * 1_000_000);
sql(q{SET time zone 'UTC'; SET client_min_messages = warning});
my $m = sql(q{SELECT loyalty.create_merchant('Uno')});
# most have nothing
my @all_programs = map { sql("SELECT program_id FROM loyalty.create_program($m, 'P', NULL, '$_')") } (
	'{"duration_value": 6, "duration_unit": "month"}', '{"expiry": "month_end", "duration_value": 12, "duration_unit": "month"}', ('{}') x 10);
my @programs = @all_programs[0, 1];
sql(qq{SELECT count(loyalty.create_branch($m, 'Sucursal ' || n)) FROM generate_series(1, 20) n});
sql(qq{INSERT INTO loyalty_internal.staff (merchant_id, staff_id, name, number, branch_id, role, password_cost, password_digest)
	SELECT $m, n, 'Empleado ' || n, (4771000000 + n)::text::loyalty.phone, (SELECT b.branch_id FROM loyalty_internal.branch b WHERE b.merchant_id = $m ORDER BY b.branch_id OFFSET n % 20 LIMIT 1), 'cajero', 1, encode(sha256(n::text::bytea), 'hex')
	FROM generate_series(1, 60) n});
sql(q{CREATE SCHEMA test});
sql(q{CREATE TABLE test.account (n serial PRIMARY KEY, account_id bigint)});
sql(qq{INSERT INTO test.account (account_id) SELECT loyalty.create_member($m, ('{@{[join ',', @programs]}}'::bigint[])[1 + n % 2], 'Miembro ' || n) FROM generate_series(1, $accounts) n});
# The sales, redemptions and deposits of a day, in batches.
sql(q{CREATE FUNCTION test.day(m bigint, posts integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	size CONSTANT integer := (SELECT count(*) FROM test.account);
	done bigint := 0;
	posted bigint;
BEGIN
	FOR nth IN 1 .. posts BY 10000 LOOP
		SELECT count(b.entry_id) INTO posted FROM (
			SELECT array_agg(a.account_id) AS accounts, array_agg(CASE WHEN v.dice < 0.6 THEN 'accrue' WHEN v.dice < 0.9 THEN 'redeem' ELSE 'deposit' END) AS kinds,
				   array_agg((CASE WHEN v.dice BETWEEN 0.6 AND 0.9 THEN 1 ELSE 5 END)::loyalty.points) AS amounts, array_agg(v.staff) AS staff, array_agg(v.money::loyalty.points) AS money
			FROM (SELECT random() AS dice, 1 + floor(size * random())::integer AS place, (1 + floor(60 * random()))::bigint AS staff, (10 + floor(1000 * random()))::integer AS money
				  FROM generate_series(nth, least(nth + 9999, posts))) v
			JOIN test.account a ON a.n = v.place) g,
			LATERAL loyalty.post_batch(m, g.accounts, g.kinds, g.amounts, staff_id => g.staff, money => g.money) b;
		done := done + posted;
	END LOOP;
	RETURN done;
END
$$});

# Reports of the whole ledger, and how many rows of plans they may take for each entry.
my @reports = (
	['months', 'SELECT * FROM loyalty_report.fact_month', 14],
	['deferred revenue', 'SELECT * FROM loyalty_report.fact_deferral', 20],
	['cohorts of points', 'SELECT * FROM loyalty_report.fact_cohort', 35],
	['ageing', 'SELECT * FROM loyalty_report.ageing_at(now())', 45],
	['points at a moment', "SELECT * FROM loyalty_report.outstanding_at('2027-06-01')", 14],
	['cohorts of enrolment', 'SELECT * FROM loyalty_report.fact_enrolment_cohort', 12],
	['value of members', 'SELECT * FROM loyalty_report.fact_member_value', 20],
	['weeks', 'SELECT * FROM loyalty_report.fact_active_week', 15],
	['cost of rules', 'SELECT * FROM loyalty_report.rule_cost', 8]);

# Rows that the steps of a plan had, and those that they looked at in vain.
sub rows_of
{
	my $node = shift;
	my $rows = 0;
	$rows += $node->{$_} // 0 for 'Actual Rows', 'Rows Removed by Filter', 'Rows Removed by Join Filter';
	$rows *= $node->{'Actual Loops'};
	$rows += rows_of($_) for @{$node->{Plans} // []};
	return $rows;
}

# How many rows a report took, in the functions that it calls too.
sub work_of
{
	my $report = shift;
	sql('SET ROLE report; SET client_min_messages = log');
	my $answer = $session->query($report->[1]);
	sql('SET client_min_messages = warning; RESET ROLE');
	my @plans = map { utf8::encode($_); JSON::PP->new->utf8->decode($_) } $answer =~ /plan:\n(\{.*?^\})/gms;
	cmp_ok scalar @plans, '>', 0, "$report->[0]: a plan";
	my $rows = 0;
	$rows += rows_of($_->{Plan}) for @plans;
	return $rows;
}
my %work;
if (!$ENV{LARGE_ENTRIES})
{
	sql($_) for q{LOAD 'auto_explain'}, 'SET auto_explain.log_nested_statements = on', 'SET auto_explain.log_analyze = on', 'SET auto_explain.log_timing = off', 'SET auto_explain.log_format = json';
}
sub measure_work
{
	my $when = shift;
	return if $ENV{LARGE_ENTRIES};
	sql('VACUUM ANALYZE');
	sql('SET auto_explain.log_min_duration = 0');
	$work{$when}{$_->[0]} = work_of($_) for @reports;
	sql('SET auto_explain.log_min_duration = -1');
	return;
}

my $posted = 0;
my $half;
my $began = time;
sql(qq{CREATE ROLE report LOGIN; SELECT loyalty.grant_reporting('report', $m)});
for my $day (1 .. $days)
{
	$stack->set_clock(($start + $day * 86400) * 1_000_000);
	$posted += sql("SELECT test.day($m, $per_day)");
	if ($day == $days / 2)
	{
		$half = $posted;
		measure_work('half');
	}
}
cmp_ok $posted, '>', 0.8 * $entries, 'a ledger of more than a year';
diag sprintf '%d entries of %d accounts in %.0f s', $posted, $accounts, time - $began if $ENV{LARGE_ENTRIES};
# what is due is booked before it is asked, so that nothing changes meanwhile
1 while sql("SELECT loyalty.expire_due($m, 1000)") > 0;
sql('CHECKPOINT');
sql('VACUUM ANALYZE');
measure_work('all');
for my $report ($ENV{LARGE_ENTRIES} ? () : @reports)
{
	my ($was, $is) = map { $work{$_}{$report->[0]} } 'half', 'all';
	cmp_ok $is / $posted, '<', $report->[2], "$report->[0]: so many rows for an entry";
	cmp_ok $is / $posted, '<', 1.2 * $was / $half, "$report->[0]: not more of them than when there were half the entries, and months";
}

# --- what is asked --------------------------------------------------------------------------

my $today = POSIX::strftime('%Y-%m-%d', gmtime $start + $days * 86400);
my @asked = (
	['today', "SELECT kind, sum(entries), sum(points), sum(money_sold) FROM loyalty_report.fact_day WHERE posted_on = '$today' GROUP BY 1 ORDER BY 1"],
	['30 days, by day', "SELECT posted_on, sum(points_issued), sum(points_redeemed), sum(money_sold) FROM loyalty_report.fact_day WHERE posted_on > '$today'::date - 30 GROUP BY 1 ORDER BY 1"],
	['branches, 30 days', "SELECT b.name, sum(d.money_sold) FROM loyalty_report.fact_day d JOIN loyalty_report.dim_branch b USING (branch_key) WHERE d.posted_on > '$today'::date - 30 GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10"],
	['rules, 30 days', "SELECT rule_set_version, sum(points_issued) FROM loyalty_report.fact_day WHERE posted_on > '$today'::date - 30 GROUP BY 1 ORDER BY 1"],
	['by month, always', "SELECT date_trunc('month', posted_on::timestamp)::date, sum(points) FROM loyalty_report.fact_day GROUP BY 1 ORDER BY 1"],
	['points outstanding', 'SELECT program_key, sum(points) FROM loyalty_report.fact_lot GROUP BY 1 ORDER BY 1'],
	['what expires, by month', "SELECT date_trunc('month', expires_on::timestamp)::date, sum(points) FROM loyalty_report.fact_lot GROUP BY 1 ORDER BY 1"],
	['the page of the dashboard', undef]);

# ask STATEMENT: what is answered, and how long that takes.
sub ask
{
	my $statement = shift;
	my $before = time;
	my $answer = $statement ? sql("SET ROLE report; SET statement_timeout = '${timeout}s'; $statement") : sql("SET statement_timeout = '${timeout}s'; SELECT md5(regexp_replace(loyalty_internal.dashboard_page($m), '\\d\\d:\\d\\d', '', 'g'))");
	my $seconds = time - $before;
	sql('RESET ROLE; RESET statement_timeout');
	return ($answer, $seconds);
}

# Blocks of the ledger that a statement reads.
sub blocks_read
{
	my $statement = shift;
	my $blocks = sub { sql(q{SELECT pg_stat_force_next_flush(); SELECT sum(heap_blks_read + heap_blks_hit) FROM pg_statio_user_tables WHERE relid = 'loyalty.entry'::regclass}) =~ s/\A\s+//r };
	my $before = $blocks->();
	ask($statement);
	return $blocks->() - $before;
}

sql("SELECT loyalty_internal.count_fraud($m)");
my %before = map { $_->[0] => [ask($_->[1])] } @asked;
$began = time;
sql("CALL loyalty.maintain(86400)");
my $rolled_s = time - $began;
sql('VACUUM ANALYZE');
is sql("SELECT count(*) FROM loyalty_internal.account a LEFT JOIN loyalty_internal.report_account r USING (merchant_id, account_id) WHERE a.entry_no > 0 AND a.entry_no IS DISTINCT FROM r.entry_no"), '0', 'all is rolled up';
my %after = map { $_->[0] => [ask($_->[1])] } @asked;
is $after{$_->[0]}[0], $before{$_->[0]}[0], "$_->[0]: the same" for @asked;
is sql("SELECT sum(entries) || ' ' || sum(points) FROM loyalty_report.fact_day"), sql("SELECT count(*) || ' ' || sum(amount::numeric) FROM loyalty.entry WHERE merchant_id = $m"), 'as the ledger has it';
cmp_ok blocks_read($_->[1]), '<', 100, "$_->[0]: without the ledger" for @asked;

# --- the close ------------------------------------------------------------------------------

my $month = POSIX::strftime('%Y-%m-01', gmtime $start + ($days - 31) * 86400);
$began = time;
sql("SELECT count(*) FROM (SELECT loyalty.close_month($m, p, '$month') FROM unnest('{@{[join ',', @programs]}}'::bigint[]) p) c");
my $closed_s = time - $began;
is sql("SELECT count(*) FROM loyalty_report.fact_close WHERE merchant_key = '$m'"), '2', 'the month is closed';

if ($ENV{LARGE_ENTRIES})
{
	diag sprintf '%-28s %9.2f s %9.2f s', $_->[0], $before{$_->[0]}[1], $after{$_->[0]}[1] for @asked;
	diag sprintf '%-28s %9s   %9.2f s', 'the roll-up', '', $rolled_s;
	diag sprintf '%-28s %9s   %9.2f s', 'close of a month, 2 programs', '', $closed_s;
	diag sprintf '%-28s %9s   %9.2f s', $_->[0], '', (ask($_->[1]))[1] for @reports;
	diag sql("SELECT format('%s rows rolled up, %s; the ledger has %s', count(*), pg_size_pretty(pg_table_size('loyalty_internal.report_day')), pg_size_pretty(pg_table_size('loyalty.entry'))) FROM loyalty_internal.report_day");
}

done_testing;
