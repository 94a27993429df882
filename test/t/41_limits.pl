# Limits with many at once: 16 sessions of one branch, single postings and
# batches, cashiers in any order.  What a limit allows is given out exactly, and
# nobody waits in a circle.
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use Loyalty;
use Test::More;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $SESSIONS = 16;
my $stack = Loyalty->start(level => 'database', clock => 1, isolation => 'read committed');
$stack->noon;
my ($merchant, $program, @staff) = split /\|/, $stack->psql(q{
	SELECT loyalty.create_merchant('Uno') AS m \gset
	SELECT program_id AS p FROM loyalty.create_program(:m, 'Programa', 'P') \gset
	SELECT count(loyalty.employee_add(:m, 'cajero', 'Persona ' || i, CASE WHEN i <= 16 THEN 'Centro' ELSE 'Norte' END, '47710000' || i, 'secreto ' || i)) AS staff
	FROM generate_series(10, 19) i \gset
	SELECT count(loyalty.open_account(:m, :p)) AS accounts FROM generate_series(1, 200) \gset
	SELECT concat_ws('|', :m, :p, (SELECT string_agg(staff_id::text, '|' ORDER BY staff_id) FROM loyalty_internal.staff WHERE merchant_id = :m))});
my @centro = @staff[0 .. 6];
my @accounts = split /\n/, $stack->psql("SELECT account_id FROM loyalty_internal.account WHERE merchant_id = $merchant ORDER BY 1");
my @sessions = map { $stack->connect_async } 1 .. $SESSIONS;
# A second of that clock takes a hundred.
$_->query("SET lock_timeout = '10s'; SET deadlock_timeout = '1ms'") for @sessions;
$sessions[$_]->query("SELECT setseed(0.01 * $_)") for 0 .. $#sessions;

# In the sessions: one posting or batch, to accounts and with staff at random;
# how often there was each answer.
$_->query(q{
	CREATE FUNCTION pg_temp.once(merchant bigint, accounts bigint[], staff bigint[], amounts text[], items integer)
	RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		who bigint := staff[1 + floor(random() * cardinality(staff))::integer];
		amount loyalty.points := amounts[1 + floor(random() * cardinality(amounts))::integer];
		chosen bigint[] := ARRAY(SELECT accounts[1 + floor(random() * cardinality(accounts))::integer] FROM generate_series(1, items));
		code text;
	BEGIN
		IF items = 1 THEN
			PERFORM loyalty.post(merchant, chosen[1], 'deposit', amount, staff_id => who);
			RETURN '1 x posted';
		END IF;
		RETURN (SELECT string_agg(format('%s x %s', times, answer), ', ') FROM (
			SELECT coalesce(b.error, 'posted') AS answer, count(*) AS times
			FROM loyalty.post_batch(merchant, chosen, '{deposit}', array_fill(amount, ARRAY[items]), staff_id => ARRAY[who]) b GROUP BY 1) x);
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS code = PG_EXCEPTION_DETAIL;
		RETURN '1 x ' || CASE WHEN SQLSTATE LIKE 'L%' THEN code ELSE SQLSTATE || ' ' || SQLERRM END;
	END
	$$}) for @sessions;

sub set_limit
{
	my ($scope, $points, $operations) = @_;
	my $remove = !defined $points && !defined $operations;
	$_ //= 'NULL' for $points, $operations;
	$stack->psql($remove ? "SELECT loyalty.remove_limit($merchant, $program, '$scope', 'add')" : "SELECT loyalty.set_limit($merchant, $program, '$scope', 'add', $points, $operations)");
	return;
}

# Nothing was posted today, as far as limits know.
sub new_day { $stack->psql("UPDATE loyalty_internal.allowance SET day = day - 1 WHERE merchant_id = $merchant"); return }

sub array { return "'{" . join(',', @_) . "}'" }

# Every session runs the same number of transactions, all at one time; how often
# there was each answer.
sub all_together
{
	my (%option) = @_;
	my @items = @{$option{items} // [1]};
	my $call = sprintf 'SELECT pg_temp.once(%s, %s, %s, %s, %%d)', $merchant, array(@{$option{accounts} // \@accounts}), array(@{$option{staff}}), array(@{$option{amounts}});
	$sessions[$_]->send(join ";\n", (sprintf $call, $items[$_ % @items]) x $option{times}) for 0 .. $#sessions;
	my %times;
	for my $part (map { split /, |\n/, $_->receive } @sessions)
	{
		$part =~ /^(\d+) x (.*)$/ ? ($times{$2} += $1) : $times{$part}++;
	}
	return \%times;
}

sub entries { return $stack->psql("SELECT count(*) FROM loyalty.entry WHERE merchant_id = $merchant") }
sub counted { return $stack->psql("SELECT string_agg(concat_ws(' ', points_used, operations_used, points_left, operations_left), ', ' ORDER BY scope) FROM loyalty.allowances WHERE merchant_id = $merchant AND day >= (now() AT TIME ZONE 'America/Mexico_City')::date") }

# Never more than so many, and no fewer either.
set_limit('branch', undef, 500);
my $before = entries();
is_deeply all_together(staff => \@centro, amounts => [1], times => 50), {posted => 500, limit_exceeded => 300},
	'800 postings, one a transaction, of a branch that has 500';
is entries() - $before, 500, '500 entries';
is counted(), '500 500 0', 'all are counted';

# A limit so small that nothing is drawn for later.
new_day();
set_limit('branch', undef, 20);
is_deeply all_together(staff => \@centro, amounts => [1], times => 5), {posted => 20, limit_exceeded => 60}, '80 postings of a branch that has 20';
is counted(), '20 20 0', 'all are counted';

# Points of different sizes: the last is given out, as there are postings of 1.
new_day();
set_limit('branch', 30000);
{
	my $times = all_together(staff => \@centro, amounts => [1, 10, 100, 700], times => 60);
	is_deeply [sort keys %$times], ['limit_exceeded', 'posted'], 'postings of 1 to 700 points, of a branch that has 30,000';
	is $times->{posted} + $times->{limit_exceeded}, 16 * 60, 'each is posted or refused';
	my ($points, $operations, $left) = split / /, counted();
	is $operations, $times->{posted}, 'those that were posted are counted';
	is $points + $left, 30000, 'points are used or left';
	is $points, $stack->psql("SELECT loyalty.sum(amount) FROM (SELECT amount FROM loyalty.entry WHERE merchant_id = $merchant ORDER BY posted_at DESC, account_id LIMIT $operations) e"),
		'those that are used are in the ledger';
	cmp_ok $left, '<', 700, 'no more was left than somebody asked for';
	all_together(staff => \@centro, amounts => [1], times => 50);
	is counted(), '30000 ' . ($operations + $left) . ' 0', 'then the last point is given out';
}

# Limits of cashiers and of their branches at once, in batches and not, by
# cashiers in any order.
new_day();
set_limit('branch', undef, 400);
set_limit('staff', undef, 90);
$before = entries();
{
	my $times = all_together(staff => \@staff, amounts => [1], times => 12, items => [1, 7, 1, 3]);
	is_deeply [sort grep { $_ !~ /^(?:posted|limit_exceeded)$/ } keys %$times], [], 'single postings and batches of all cashiers: no deadlock, no other error';
	is $times->{posted} + ($times->{limit_exceeded} // 0), 12 * (8 * 1 + 4 * 7 + 4 * 3), 'each is posted or refused';
	is entries() - $before, $times->{posted}, 'one entry for each that was posted';
	is $stack->psql("SELECT string_agg(DISTINCT sums::text, ' ') FROM (SELECT sum(operations_used) AS sums FROM loyalty.allowances WHERE merchant_id = $merchant GROUP BY scope) x"), $times->{posted},
		'counted once for the cashier and once for the branch';
	is $stack->psql("SELECT count(*) FROM loyalty.allowances WHERE merchant_id = $merchant AND (operations_used > CASE scope WHEN 'branch' THEN 400 ELSE 90 END)"), '0', 'nobody has more than he may';
	all_together(staff => \@centro, amounts => [1], times => 20, items => [1, 3]);
	is $stack->psql("SELECT operations_used FROM loyalty.allowances WHERE merchant_id = $merchant AND scope = 'branch' ORDER BY 1 DESC LIMIT 1"), '400', 'the branch can give out all';
}

# Members: the same account in all sessions.
new_day();
set_limit('branch');
set_limit('staff');
set_limit('member', 100, undef);
{
	my $times = all_together(staff => \@staff, accounts => [@accounts[0, 1]], amounts => ['0.5'], times => 20, items => [1, 4]);
	is_deeply $times, {posted => 400, limit_exceeded => 8 * 20 * 5 - 400}, 'two members with 100 points each, half a point at a time';
	is counted(), '100 200 0, 100 200 0', 'all are counted';
}

# All of a program, whoever posts, in batches and not, with limits of branches
# and cashiers at once: each is exact, and nobody waits in a circle.
new_day();
set_limit('member');
set_limit('program', undef, 500);
is_deeply all_together(staff => \@staff, amounts => [1], times => 50), {posted => 500, limit_exceeded => 300}, '800 postings of a program that has 500';
is counted(), '500 500 0', 'all are counted';
new_day();
set_limit('program', 1500, 900);
set_limit('branch', undef, 700);
set_limit('staff', undef, 110);
$before = entries();
{
	my $times = all_together(staff => \@staff, amounts => [1, 3], times => 24, items => [1, 7, 1, 3]);
	is_deeply [sort keys %$times], ['limit_exceeded', 'posted'], 'limits of the program, its branches and cashiers: no deadlock, no other error';
	is $times->{posted} + $times->{limit_exceeded}, 24 * (8 * 1 + 4 * 7 + 4 * 3), 'each is posted or refused';
	is entries() - $before, $times->{posted}, 'one entry for each that was posted';
	is $stack->psql("SELECT string_agg(DISTINCT points || ' ' || operations, ', ') FROM (SELECT loyalty.sum(points_used) AS points, sum(operations_used) AS operations FROM loyalty.allowances WHERE merchant_id = $merchant GROUP BY scope) x"),
		$stack->psql("SELECT concat_ws(' ', loyalty.sum(amount), count(*)) FROM (SELECT amount FROM loyalty.entry WHERE merchant_id = $merchant ORDER BY entry_id DESC LIMIT $times->{posted}) e"), 'each counts once in each scope';
	cmp_ok $stack->psql("SELECT points_used::numeric FROM loyalty.allowances WHERE merchant_id = $merchant AND scope = 'program'"), '<=', 1500, 'the program has no more than it may';
	set_limit('branch');
	set_limit('staff');
	all_together(staff => \@staff, amounts => [1], times => 100, items => [1, 5]);
	like counted(), qr/^(?:1500 \d+ 0 \d+|\d+ 900 \d+ 0)$/, 'but all of it';
}

# While a branch has plenty, nobody waits for a colleague who has not committed;
# only who draws from the branch waits for who has just drawn.
new_day();
set_limit('program', 100000, 100000);
set_limit('branch', 100000, 100000);
{
	$sessions[$_]->query("SELECT balance FROM loyalty.post($merchant, $accounts[199], 'deposit', 1, staff_id => $centro[$_])") for 0 .. $#centro;
	my @waited;
	for my $i (0 .. $#centro)
	{
		$sessions[$i]->query("SET lock_timeout = '2s'; BEGIN");
		push @waited, $i if $sessions[$i]->query("SELECT entry_id FROM loyalty.post($merchant, $accounts[$i], 'deposit', 1, staff_id => $centro[$i])") !~ /^\d+$/;
	}
	is_deeply \@waited, [], 'open transactions of seven cashiers of a branch and a program: none waits for another';
	$_->query('ROLLBACK') for @sessions[0 .. 2];
	$_->query('COMMIT') for @sessions[3 .. 6];
	is counted(), '11 11 99989 99989, 11 11 99989 99989', 'what was rolled back is not counted';
}

$_->close for @sessions;
unlike $stack->server_log, qr/deadlock detected/, 'no deadlock in all of this';
is $stack->psql('SELECT * FROM loyalty.verify()'), '', 'the ledger is sound';
done_testing;
