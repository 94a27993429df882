# Points outstanding, month by month: a random ledger of all kinds of entries in three
# programs, over more than a year, in which jobs run late or not at all.  What reports
# say of a moment is what balance_at() says, what they said at that moment, and what
# the entries come to when they are counted one by one in Perl.
#
# 20,000 entries, or as many as LIABILITY_ENTRIES says.
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use Loyalty;
use POSIX ();
use Test::More;
use Time::Local qw(timegm);

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $entries = $ENV{LIABILITY_ENTRIES} // 20_000;
my $steps = 200;
my $per_step = POSIX::ceil($entries * 1.3 / $steps);
my $accounts = POSIX::ceil($entries / 60);
my $zone = -6 * 3600;	# of the programs, all year

my $stack = Loyalty->start(level => 'database', clock => 1);
my $session = $stack->connect_async;
sub sql { my $answer = $session->query(shift); die "$answer\n" if $answer =~ /ERROR:/; return $answer }

my $start = timegm(0, 0, 12, 3, 0, 2027);
my $days = 420;
$stack->set_clock($start * 1_000_000);
sql(q{SET time zone 'UTC'; SET client_min_messages = warning; SET statement_timeout = '30s'});
my $m = sql(q{SELECT loyalty.create_merchant('Uno')});
my $other = sql(q{SELECT loyalty.create_merchant('Otro')});
my @programs = map { sql("SELECT program_id FROM loyalty.create_program($m, 'P', NULL, '$_')") } (
	'{"duration_value": 3, "pending_days": 5, "shortfall": "negative", "decimals": 4}',
	'{"expiry": "month_end", "duration_value": 2, "reinstatement_days": 10, "shortfall": "partial", "redemption_points": 2}',
	'{"shortfall": "partial"}');

# --- the ledger -------------------------------------------------------------------------

sql(q{CREATE SCHEMA test});
sql(q{CREATE TABLE test.account (n serial, program_id bigint, account_id bigint)});
sql(qq{INSERT INTO test.account (program_id, account_id) SELECT p, loyalty.open_account($m, p) FROM generate_series(1, $accounts) n, LATERAL (SELECT ('{@{[join ',', @programs]}}'::bigint[])[1 + n % 3]) v (p)});
sql(q{CREATE TABLE test.reversible (account_id bigint, entry_id bigint); CREATE TABLE test.open_hold (account_id bigint, entry_id bigint);
	CREATE TABLE test.snapshot AS SELECT now() AS at, * FROM loyalty_report.fact_lot LIMIT 0});
# Some entries of any kind; what is refused is none.
sql(q{CREATE FUNCTION test.step(m bigint, seed float8, n integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	a record;
	b record;
	e record;
	size integer := (SELECT count(*) FROM test.account);
	dice float8;
	done integer := 0;
BEGIN
	PERFORM setseed(seed);
	FOR i IN 1 .. n LOOP
		-- some are busy
		SELECT * INTO a FROM test.account WHERE test.account.n = 1 + floor(size * power(random(), 2))::integer;
		dice := random();
		BEGIN
			IF dice < 0.30 THEN
				INSERT INTO test.reversible SELECT a.account_id, s.entry_id FROM loyalty.sale(m, a.account_id, (random() * 900 + 1)::numeric(10, 2)) s;
			ELSIF dice < 0.38 THEN
				PERFORM loyalty.post(m, a.account_id, 'deposit', (random() * 40 + 1)::numeric(10, 2), expires_at => CASE WHEN random() < 0.5 THEN clock_timestamp() + random() * interval '90 days' END,
					available_at => CASE WHEN random() < 0.2 THEN clock_timestamp() + random() * interval '9 days' END);
			ELSIF dice < 0.55 THEN
				INSERT INTO test.reversible SELECT a.account_id, s.entry_id FROM loyalty.post(m, a.account_id, 'redeem', CASE WHEN random() < 0.6 THEN loyalty.balance_at(m, a.account_id, now()) ELSE (random() * 60 + 1)::numeric(10, 2)::loyalty.points END) s;
			ELSIF dice < 0.60 THEN
				PERFORM loyalty.post(m, a.account_id, 'adjust', (random() * 20 - 10)::numeric(10, 2));
			ELSIF dice < 0.68 THEN
				INSERT INTO test.open_hold SELECT a.account_id, s.entry_id FROM loyalty.hold(m, a.account_id, (random() * 30 + 1)::numeric(10, 2), release_at => CASE WHEN random() < 0.7 THEN clock_timestamp() + random() * interval '40 days' END) s;
			ELSIF dice < 0.81 THEN
				SELECT * INTO e FROM test.open_hold ORDER BY random() LIMIT 1;
				IF random() < 0.6 THEN
					INSERT INTO test.reversible SELECT e.account_id, s.entry_id FROM loyalty.capture(m, e.account_id, e.entry_id, (random() * 20 + 0.01)::numeric(10, 2)) s;
				ELSIF random() < 0.5 THEN
					PERFORM loyalty.release(m, e.account_id, e.entry_id, (random() * 20 + 0.01)::numeric(10, 2));
				ELSE
					PERFORM loyalty.release(m, e.account_id, e.entry_id, in_full => true);
				END IF;
			ELSIF dice < 0.92 THEN
				SELECT * INTO e FROM test.reversible ORDER BY random() LIMIT 1;
				IF random() < 0.5 THEN
					PERFORM loyalty.reverse(m, e.account_id, e.entry_id, reference => 'r' || random(), in_full => true);
				ELSE
					PERFORM loyalty.reverse(m, e.account_id, e.entry_id, (random() * 20 + 0.01)::numeric(10, 2), 'r' || random());
				END IF;
			ELSE
				SELECT * INTO b FROM test.account WHERE program_id = a.program_id AND account_id <> a.account_id OFFSET floor(random() * (size / 3 - 1)) LIMIT 1;
				INSERT INTO test.reversible SELECT a.account_id, s.entry_id FROM loyalty.transfer(m, a.account_id, b.account_id, (random() * 20 + 0.01)::numeric(10, 2)) s;
			END IF;
			done := done + 1;
		EXCEPTION WHEN OTHERS THEN
			IF SQLSTATE NOT LIKE 'LY%' THEN
				RAISE;
			END IF;
		END;
	END LOOP;
	-- The pools stay small.
	DELETE FROM test.reversible WHERE random() < 0.2;
	DELETE FROM test.open_hold WHERE random() < 0.1;
	RETURN done;
END
$$});
my @moments;	# the ends of months, and the middle of some
for my $n (0 .. 13)
{
	push @moments, [timegm(0, 0, 0, 1, ($n + 1) % 12, 2027 + int(($n + 1) / 12)) - $zone, 'end'];
}
my $next = 0;
for my $step (1 .. $steps)
{
	my $now = $start + int($days * 86400 * $step / $steps);
	# what was said then is kept, a microsecond before each month's end
	while ($next < @moments && $moments[$next][0] <= $now)
	{
		$stack->stop_clock($moments[$next++][0] * 1_000_000 - 1);
		sql(q{INSERT INTO test.snapshot SELECT clock_timestamp(), * FROM loyalty_report.fact_lot});
	}
	$stack->stop_clock($now * 1_000_000);
	sql("SELECT test.step($m, " . $step / $steps . ", $per_step)");
	sql("SELECT loyalty.expire_due($m, 100)") if $step % 23 == 0;
}
pop @moments while @moments > $next;
cmp_ok scalar @moments, '>=', 12, 'more than a year of months';
is sql("SELECT count(*) FROM loyalty.verify($m)"), 0, 'the ledger is sound';
cmp_ok sql("SELECT count(*) FROM loyalty.entry WHERE merchant_id = $m"), '>=', $entries * 0.9, 'and as long as it was to be';
is sql("SELECT string_agg(DISTINCT loyalty.entry_kind(kind), ' ' ORDER BY loyalty.entry_kind(kind)) FROM loyalty.entry WHERE merchant_id = $m"),
	'accrue adjust capture deposit expire hold mature redeem release reverse transfer', 'with entries of all kinds';
cmp_ok sql("SELECT count(*) FROM loyalty_internal.account WHERE merchant_id = $m AND due_at <= now()"), '>', 10, 'and of what is due not all is booked';
cmp_ok sql("SELECT count(*) FROM loyalty.entry WHERE merchant_id = $m AND balance OPERATOR(loyalty.<) '0'"), '>', 10, 'and debts';

# --- what the views say -------------------------------------------------------------------

my $lines = q{program_key, month_starts_on, opening, accrued, deposited, redeemed, expired, reversed, adjusted, transferred, closing, closing_available, closing_held, closing_pending};
sql("CREATE TABLE test.month AS SELECT $lines FROM loyalty_report.fact_month WHERE merchant_key = '$m'");
is sql(q{SELECT count(*) FROM test.month WHERE opening + accrued + deposited - redeemed - expired + reversed + adjusted + transferred <> closing OR closing_available + closing_held + closing_pending <> closing OR transferred <> 0}), 0,
	'each month is what it began with, and what happened, to the last decimal';
is sql(q{SELECT count(*) FROM (SELECT opening, lag(closing, 1, 0.0) OVER (PARTITION BY program_key ORDER BY month_starts_on) AS closing FROM test.month) m WHERE opening <> closing}), 0, 'and begins with what the one before ended with';
sql(qq{CREATE TABLE test.at AS SELECT to_timestamp(t) - interval '1 microsecond' AS at FROM unnest('{@{[join ',', map { $_->[0] } @moments]}}'::bigint[]) t});
is sql(qq{SELECT count(*) FROM (
	SELECT a.program_id, (t.at AT TIME ZONE 'America/Mexico_City')::date AS day, sum(loyalty.balance_at($m, a.account_id, t.at)::numeric) AS balance FROM test.account a, test.at t GROUP BY 1, 2) b
	LEFT JOIN test.month m ON m.program_key = b.program_id::text AND m.month_starts_on = date_trunc('month', b.day)::date WHERE m.closing_available IS DISTINCT FROM b.balance}), 0,
	'what can be spent at the end of each month is the sum of balance_at() over all accounts, without a difference';
is sql(qq{SELECT count(*) FROM (
	SELECT o.program_key, t.at, o.points_available, sum(b.points) AS points FROM (SELECT at FROM test.at ORDER BY at LIMIT 3 OFFSET 5) t, loyalty_report.outstanding_at(t.at - interval '11 days 7 hours') o
	JOIN test.account a ON a.program_id::text = o.program_key, LATERAL (SELECT loyalty.balance_at($m, a.account_id, t.at - interval '11 days 7 hours')::numeric AS points) b
	GROUP BY 1, 2, 3) x WHERE points_available <> points}), 0, 'and so it is in the middle of a month';
sql(qq{CREATE TABLE test.outstanding AS SELECT t.at, o.* FROM test.at t, LATERAL loyalty_report.outstanding_at(t.at) o WHERE o.merchant_key = '$m'});
is sql(q{SELECT count(*) FROM test.month m JOIN test.at t ON m.month_starts_on = date_trunc('month', t.at AT TIME ZONE 'America/Mexico_City')::date
	JOIN test.outstanding o ON o.at = t.at AND o.program_key = m.program_key
	WHERE (m.closing, m.closing_available, m.closing_held, m.closing_pending) <> (o.points, o.points_available, o.points_held, o.points_pending)}), 0, 'outstanding_at() says the same';

# Ageing says of a moment what was said then.
sql(q{CREATE TABLE test.aged AS SELECT t.at, g.* FROM test.at t, LATERAL loyalty_report.ageing_at(t.at) g});
is sql(qq{SELECT count(*) FROM (SELECT at, program_key, sum(points) AS points FROM test.aged WHERE merchant_key = '$m' GROUP BY 1, 2) g
	FULL JOIN test.outstanding o USING (at, program_key) WHERE coalesce(g.points, 0) <> coalesce(o.points, 0)}), 0, 'ages come to all that is outstanding';
is sql(q{SELECT count(*) FROM (SELECT at, program_key, CASE WHEN state IN ('available', 'held') THEN 'earned' ELSE state END AS state, coalesce(date_trunc('month', expires_on)::date, 'infinity') AS month, sum(points) AS points FROM test.snapshot GROUP BY 1, 2, 3, 4) s
	FULL JOIN (SELECT at, program_key, state, coalesce(expiry_month_starts_on, 'infinity') AS month, sum(points) AS points FROM test.aged GROUP BY 1, 2, 3, 4) g USING (at, program_key, state, month) WHERE coalesce(s.points, 0) <> coalesce(g.points, 0)}), 0,
	'what expires when, of what was outstanding at a moment that is over, is what was said at that moment';
cmp_ok sql(q{SELECT count(*) FROM test.snapshot}), '>', 1000, 'of very many lots';
is sql(q{SELECT count(*) FROM test.aged WHERE earned_month_starts_on > at OR points <= 0 AND state <> 'owed' OR state = 'owed' AND points >= 0}), 0, 'nothing is earned later than the moment';
cmp_ok sql(q{SELECT sum(points) FILTER (WHERE earned_month_starts_on IS NULL AND state = 'earned') / sum(points) FROM test.aged}), '<', 0.05, 'when points were earned is known of nearly all';

# Of one account and a month too, which reads what was posted in it, and no more.
sql(q{CREATE TABLE test.ends AS SELECT lag(at, 1, '-infinity') OVER (ORDER BY at) + interval '1 microsecond' AS starts_at, at + interval '1 microsecond' AS ends_at FROM test.at});
sql(qq{INSERT INTO test.ends SELECT max(ends_at), 'infinity' FROM test.ends});
sql(qq{CREATE TABLE test.moved AS SELECT account_id, moved_at, kind, sum(available) AS points, sum(held + pending) AS reserved FROM loyalty_internal.report_movement WHERE merchant_id = $m GROUP BY 1, 2, 3});
sql(qq{CREATE TABLE test.of_account AS SELECT a.account_id, e.starts_at, m.* FROM test.account a, test.ends e, LATERAL loyalty_internal.account_movements($m, a.account_id, e.starts_at, e.ends_at, 100000) m});
is sql(q{SELECT count(*) FROM test.moved m FULL JOIN (SELECT account_id, moved_at, kind, sum(points) AS points, sum(reserved) AS reserved FROM test.of_account GROUP BY 1, 2, 3) o USING (account_id, moved_at, kind)
	WHERE (m.points, m.reserved) IS DISTINCT FROM (o.points, o.reserved)}), 0, 'what an account did, asked month by month, is what the ledger has';
is sql(qq{SELECT count(*) FROM (SELECT o.account_id, o.starts_at, loyalty.balance_at($m, o.account_id, o.moved_at)::numeric - sum(o.points) OVER (PARTITION BY o.account_id ORDER BY o.moved_at) AS difference FROM test.of_account o) d
	WHERE difference <> 0}), 0, 'and comes to the balance of each moment at which something happened';

# --- counted differently --------------------------------------------------------------------

my $before = sql("SELECT md5(string_agg(m::text, '' ORDER BY m.program_key, m.month_starts_on)) FROM (SELECT $lines FROM loyalty_report.fact_month WHERE merchant_key = '$m') m");
1 while sql("SELECT loyalty.expire_due($m, 100000)") > 0;
is sql("SELECT md5(string_agg(m::text, '' ORDER BY m.program_key, m.month_starts_on)) FROM (SELECT $lines FROM loyalty_report.fact_month WHERE merchant_key = '$m') m"), $before, 'months are the same once what was due is booked';

# Ten-thousandths, entry by entry.
my %line_of = (accrue => 'accrued', deposit => 'deposited', redeem => 'redeemed', capture => 'redeemed', expire => 'expired', reverse => 'reversed', adjust => 'adjusted', transfer => 'transferred');
my (%month, %previous);
sub units { my ($sign, $whole, $part) = shift =~ /^(-?)(\d+)(?:\.(\d+))?$/ or die; my $n = $whole * 10_000 + substr(($part // '') . '0000', 0, 4); return $sign ? -$n : $n }
sub month_of { my @t = gmtime($_[0] + $zone); return sprintf '%04d-%02d-01', $t[5] + 1900, $t[4] + 1 }
for my $row (split /\n/, sql("SELECT a.program_id, e.account_id, e.kind, e.amount, coalesce(e.reserved, '0'), floor(extract(epoch FROM e.posted_at)), coalesce(e.lots::text, '') FROM loyalty.entries e JOIN test.account a USING (account_id) ORDER BY e.account_id, e.entry_no"))
{
	my ($program, $account, $kind, $amount, $reserved, $time, $lots) = split /\|/, $row;
	if ($kind eq 'expire')
	{
		while ($lots =~ /(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)Z[^=]*=([\d.]+)/g)
		{
			my $gone = timegm($6, $5, $4, $3, $2 - 1, $1);
			$gone = $previous{$account} if $gone < $previous{$account};
			$month{$program}{month_of($gone)}{expired} += units($7);
		}
	}
	elsif (my $line = $line_of{$kind})
	{
		my $change = units($amount) + units($reserved);
		$month{$program}{month_of($time)}{$line} += $line eq 'redeemed' ? -$change : $change;
	}
	$previous{$account} = $time;
}
my ($differences, $compared, %open) = (0, 0);
for my $row (split /\n/, sql('SELECT program_key, month_starts_on, accrued, deposited, redeemed, expired, reversed, adjusted, transferred, closing FROM test.month ORDER BY 1, 2'))
{
	my ($program, $day, @values) = split /\|/, $row;
	my @names = qw(accrued deposited redeemed expired reversed adjusted transferred);
	my $mine = $month{$program}{$day} // {};
	for my $i (0 .. $#names)
	{
		$open{$program} += ($names[$i] =~ /^(redeemed|expired)$/ ? -1 : 1) * ($mine->{$names[$i]} // 0);
		$differences++, diag "$program $day $names[$i]: $values[$i], and not " . ($mine->{$names[$i]} // 0) / 10_000 if units($values[$i]) != ($mine->{$names[$i]} // 0);
		$compared++ if $mine->{$names[$i]};
	}
	$differences++ if units($values[-1]) != $open{$program};
}
is $differences, 0, 'each line of each month is what its entries come to, counted one by one';
cmp_ok $compared, '>', 150, 'in very many lines';

$session->close;
$stack->stop;
done_testing;
