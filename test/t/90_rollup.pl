# The roll-up beneath loyalty_report.fact_day: its sums are those of fact_entry at every
# moment, whatever the clock does, however late transactions commit, where staff go,
# which branches are created, who is erased, and whether it has been brought up to date.
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use Loyalty;
use Test::More;
use Time::Local qw(timegm);

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $rounds = $ENV{ROLLUP_ROUNDS} // 40;
my $stack = Loyalty->start(level => 'database', clock => 1, isolation => 'read committed');
my $session = $stack->connect_async;
sub sql { my $answer = $session->query(shift); die "$answer\n" if $answer =~ /ERROR:/; return $answer }
my $now = timegm(0, 0, 17, 3, 0, 2027);
sub at { $now += shift; return $stack->set_clock($now * 1_000_000) }

at(0);
sql(q{SET time zone 'UTC'; SET client_min_messages = warning; SET statement_timeout = '60s'});
my ($m, $other) = map { sql("SELECT loyalty.create_merchant('$_')") } 'Uno', 'Otro';
my @programs = map { sql("SELECT program_id FROM loyalty.create_program($m, 'P$_', 'p-$_', '{\"duration_value\": 3, \"duration_unit\": \"day\", \"shortfall\": \"negative\"}')") } 1, 2;
sql("SELECT loyalty.create_branch($m, 'Norte'), loyalty.create_branch($m, 'Sur'), loyalty.create_branch($other, 'Norte')");
sql("SELECT loyalty.employee_add($m, 'cajero', 'Cajera $_', 'Norte', '477100000$_', 'clave de $_')") for 1 .. 3;
sql(q{CREATE SCHEMA test; CREATE TABLE test.member (n serial, program integer, member_id bigint, client_id text)});
sql(qq{INSERT INTO test.member (program, member_id, client_id) SELECT 1 + n % 2, loyalty.create_member($m, (ARRAY[$programs[0], $programs[1]])[1 + n % 2], 'Socia ' || n, client_id => 'S' || n), 'S' || n FROM generate_series(1, 30) n});
sql(q{CREATE TABLE test.reversible (account_id bigint, entry_id bigint)});
# Some operations of any kind; what is refused is none.
sql(q{CREATE FUNCTION test.step(m bigint, seed float8, n integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	a record;
	e record;
	dice float8;
	done integer := 0;
BEGIN
	PERFORM setseed(seed);
	FOR i IN 1 .. n LOOP
		SELECT * INTO a FROM test.member WHERE test.member.n = 1 + floor(30 * random())::integer;
		dice := random();
		BEGIN
			IF dice < 0.45 THEN
				INSERT INTO test.reversible SELECT a.member_id, s.entry_id FROM loyalty.sale(m, a.member_id, (random() * 900 + 1)::numeric(10, 2), staff_id => CASE WHEN random() < 0.8 THEN 1 + floor(random() * 4)::bigint END) s;
			ELSIF dice < 0.60 THEN
				PERFORM loyalty.seller_deposit(m, json_build_array(json_build_object('programId', 'p-' || a.program, 'memberId', a.client_id, 'amount', '7', 'comments', 'c', 'branchId', (ARRAY[' NORTE ', 'Sur', 'Nueva 1', 'nueva 2', repeat('x', 200)])[1 + floor(random() * 5)::integer])));
			ELSIF dice < 0.75 THEN
				INSERT INTO test.reversible SELECT a.member_id, s.entry_id FROM loyalty.post(m, a.member_id, 'redeem', (random() * 20 + 1)::numeric(10, 2), staff_id => 1 + floor(random() * 3)::bigint) s;
			ELSIF dice < 0.85 THEN
				SELECT * INTO e FROM test.reversible ORDER BY random() LIMIT 1;
				PERFORM loyalty.reverse(m, e.account_id, e.entry_id, (random() * 20 + 0.01)::numeric(10, 2), 'r' || seed || ' ' || i);
			ELSIF dice < 0.95 THEN
				PERFORM loyalty.hold(m, a.member_id, 1, release_at => clock_timestamp() + random() * interval '2 days');
			ELSE
				PERFORM loyalty.transfer(m, a.member_id, (SELECT b.member_id FROM test.member b WHERE b.program = a.program AND b.n <> a.n ORDER BY random() LIMIT 1), 1);
			END IF;
			done := done + 1;
		EXCEPTION WHEN OTHERS THEN
			IF SQLSTATE !~ '^L' THEN
				RAISE;
			END IF;
		END;
	END LOOP;
	RETURN done;
END $$});

my @sums = qw(points points_reserved points_issued points_redeemed points_expired money_sold money_redeemed money_refunded money_unredeemed);
my $keys = 'merchant_key, program_key, branch_key, staff_key, posted_on, kind, rule_set_version';
my $by_day = "SELECT $keys, sum(entries) AS entries, sum(money) AS money, " . join(', ', map { "sum($_) AS $_" } @sums) . " FROM loyalty_report.fact_day GROUP BY $keys";
my $by_entry = "SELECT $keys, count(*)::numeric, coalesce(sum(coalesce(money_sold, money_redeemed, money_refunded, money_unredeemed, money_other)), 0), " . join(', ', map { "coalesce(sum($_), 0)" } @sums) . " FROM loyalty_report.fact_entry GROUP BY $keys";
# What differs; and how many entries there are, so that nothing is no answer.
sub difference { return sql("SELECT coalesce(string_agg(d::text, ' ' ORDER BY d::text), 'none') FROM ((($by_day) EXCEPT ALL ($by_entry)) UNION ALL (($by_entry) EXCEPT ALL ($by_day))) d") }
sub rolled { return sql("SELECT coalesce(sum(entries), 0) FROM loyalty_internal.report_day") }
sub entries { return sql('SELECT count(*) FROM loyalty.entry') }
sub roll_up { return sql("SELECT concat_ws(' ', accounts, at_end) FROM loyalty_internal.roll_up($m" . (@_ ? ", $_[0]" : '') . ')') }
sub roll_up_all { 1 until roll_up(@_) =~ /t$/; return }

is difference(), 'none', 'nothing comes to nothing';

# --- at random --------------------------------------------------------------------------

srand(7);
my ($done, $moves, $wrong, $rolled_up) = (0, 0, 0, 0);
for my $round (1 .. $rounds)
{
	# now and then it steps back, by up to a day
	at($round % 5 == 0 ? -int(rand 86_400) : int(rand 40_000));
	$done += sql("SELECT test.step($m, " . rand() . ', 25)');
	my $dice = rand;
	$moves += sql("SELECT loyalty.set_staff_branch($m, 1 + $round % 3, (SELECT branch_id FROM loyalty.branches WHERE merchant_id = $m ORDER BY random() LIMIT 1))") eq 't' if $dice < 0.5;
	sql("SELECT loyalty.create_branch($m, 'NUEVA 1')") if $round == int($rounds / 3);
	sql("SELECT loyalty.employee_add($m, 'cajero', 'Cajera 4', 'Nueva 2', '4771000004', 'clave de 4')") if $round == int($rounds / 2);
	sql("SELECT loyalty.erase_member($m, member_id) FROM test.member WHERE n = 30 - $round / 8") if $round % 8 == 0;
	sql("SELECT loyalty.expire_due($m)") if $round % 4 == 0;
	$rolled_up += (split / /, roll_up(10 + int(rand 60)))[0] if $round % 3 != 0;
	my $differs = difference();
	$wrong++ if $differs ne 'none';
	is $differs, 'none', "round $round" if $differs ne 'none' || $round == $rounds;
}
cmp_ok $done, '>', 12 * $rounds, "$done operations";
cmp_ok $moves, '>', $rounds / 8, "$moves moves";
cmp_ok $rolled_up, '>', $rounds, "of $rolled_up accounts something was rolled up";
is $wrong, 0, 'and days were the sums of entries after each';
sql("SELECT test.step($m, 0.3, 25)");
cmp_ok rolled(), '<', entries(), 'which are not all of them yet';
roll_up_all();
is rolled() . ' ' . difference(), entries() . ' none', 'nor do they differ once they are';
is roll_up(), '0 t', 'then there is nothing to do';
is sql("SELECT count(DISTINCT branch_key) > 3 AND count(DISTINCT staff_key) = 5 AND count(DISTINCT kind) > 6 FROM loyalty_report.fact_day"), 't', 'with branches, staff and kinds of all sorts';

# --- who commits late, and with a clock that is behind ------------------------------------

my ($early, $late) = map { sql("SELECT loyalty.create_member($m, $programs[0], 'Socia $_')") } 'temprana', 'tardía';
my $writer = $stack->connect_async;
$writer->query("BEGIN; SELECT FROM loyalty.sale($m, $late, 100, staff_id => 1)");
at(600);
sql("SELECT FROM loyalty.sale($m, $early, 200, staff_id => 1)");
roll_up_all();
is rolled() . ' ' . difference(), entries() . ' none', 'what is not committed is in neither';
my $before = entries();
is $writer->query('COMMIT'), '', 'it is committed, after later entries were rolled up';
is entries() - $before . ' ' . (entries() - rolled()) . ' ' . difference(), '1 1 none', 'and is in both';
roll_up_all();
is rolled() . ' ' . difference(), entries() . ' none', 'once, when it is rolled up too';
at(-90_000);
# a session's own numbers ascend
$stack->psql("SELECT FROM loyalty.sale($m, loyalty.create_member($m, $programs[0], 'Socia de ayer'), 50, staff_id => 2)");
is sql("SELECT count(*) FROM loyalty.entry e WHERE entry_id < (SELECT max(entry_id) FROM loyalty.entry) AND NOT EXISTS (SELECT FROM loyalty_internal.report_account r WHERE r.account_id = e.account_id)"), '1', 'an entry with a number below those of before';
is difference(), 'none', 'is in both';
roll_up_all();
is rolled() . ' ' . difference(), entries() . ' none', 'and rolled up';

# Many write while it is rolled up again and again: nothing is lost, nothing twice.
my @writers = map { $stack->connect_async } 1 .. 3;
$writers[$_]->send("SET client_min_messages = warning; SELECT test.step($m, 0.$_" . "1, 60); SELECT test.step($m, 0.$_" . '2, 60)') for 0 .. $#writers;
my ($compared, $differed) = (0, 0);
for (1 .. 12)
{
	roll_up(20);
	$compared++;
	$differed++ if difference() ne 'none';
}
$_->receive for @writers;
is "$differed of $compared", '0 of 12', 'while others write';
roll_up_all();
is rolled() . ' ' . difference(), entries() . ' none', 'and afterwards';

# --- who goes to another branch before what has been counted --------------------------------

sub work_of { return sql("SELECT string_agg(concat_ws(' ', moves, entries), ', ' ORDER BY moves) FROM loyalty_internal.report_day WHERE staff_id = 3 AND day >= '" . (split / /, sql("SELECT (now() + interval '9 days')::date"))[0] . "'") }
at(10 * 86_400);
sql("SELECT FROM loyalty.sale($m, $early, 10, staff_id => 3)");
roll_up_all();
my $branches = sql("SELECT count(*) FROM loyalty_internal.staff_move WHERE staff_id = 3");
at(-3600);
my $elsewhere = "SELECT loyalty.set_staff_branch($m, 3, (SELECT b.branch_id FROM loyalty.branches b WHERE b.merchant_id = $m AND b.branch_id <> (SELECT s.branch_id FROM loyalty.staff_members s WHERE s.merchant_id = $m AND s.staff_id = 3) ORDER BY b.name LIMIT 1))";
is sql($elsewhere), 't', 'a cashier goes while the clock is an hour back';
is difference(), 'none', 'the sale of an hour later is where they went';
# While it is rolled up, who moves somebody waits, and sees what was counted.
at(4200);
sql("SELECT FROM loyalty.sale($m, $early, 20, staff_id => 3)");
at(-1800);
sql('BEGIN');
roll_up();
$writer->send($elsewhere);
ok $stack->wait_until(sub { $stack->psql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%set_staff_branch%'") eq '1' }), 'one who moves them waits for the roll-up';
sql('COMMIT');
is $writer->receive, 't', 'and does it';
is difference(), 'none', 'what was counted meanwhile is where they went';
roll_up_all();
is rolled() . ' ' . difference(), entries() . ' none', 'all of it';

# --- another time zone ----------------------------------------------------------------------

my $kept = sql("SELECT sum(entries) FROM loyalty_internal.report_day WHERE program_id = $programs[1]");
sql("SELECT loyalty.configure_program($m, $programs[0], '{\"time_zone\": \"Pacific/Auckland\"}')");
is rolled(), $kept, "with another time zone a program's days are none, those of others stay";
is difference(), 'none', 'and are read of the ledger';
roll_up_all();
is rolled() . ' ' . difference(), entries() . ' none', 'until they are rolled up';
sql("SELECT loyalty.recount_days($m)");
is rolled() . ' ' . difference(), '0 none', 'so they are when they are forgotten';
is $stack->psql_error('SELECT loyalty.recount_days(1)')->{sqlstate}, 'LY006', 'those of nobody are not';
roll_up_all(1);
is rolled() . ' ' . difference(), entries() . ' none', 'and made anew, account by account';
# more than are looked up one by one
sql("SELECT loyalty.recount_days($m)");
sql("CREATE FUNCTION test.many() RETURNS void LANGUAGE sql AS 'SELECT loyalty.post_batch($m, array_fill($early\::bigint, ARRAY[51000]), array_fill(\$\$deposit\$\$::text, ARRAY[51000]), array_fill(\$\$1\$\$::loyalty.points, ARRAY[51000]))'; SELECT test.many()");
is difference(), 'none', 'of very many the ledger is read as it lies';
roll_up_all();
is rolled() . ' ' . difference(), entries() . ' none', 'of one account, however many it has';

done_testing;
