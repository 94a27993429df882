# What loyalty programs are known to get wrong, each by its name:
#
#     refunds keep the points
#     refunds take the points twice
#     expiry forgets which points were spent
#     double spending
#     holds are not counted as spent
#     retries post twice
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use JSON::PP ();
use Loyalty;
use POSIX ();
use Test::More;
use Time::Local qw(timegm);

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $stack = Loyalty->start(level => 'database', clock => 1, isolation => 'read committed');
$stack->name_entries;
my $session = $stack->connect_async;
$session->query(q{SET time zone 'UTC'});

# --- what tests say -------------------------------------------------------------------

my $bug;
sub check { my ($got, $expected, $name) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; return is $got, $expected, "$bug: $name" }

sub sql { my $answer = $session->query(shift); die "$answer\n" if $answer =~ /ERROR:/; return $answer }
sub outcome_of { my $answer = shift; return $answer =~ /ERROR:  (\w{5}):/ ? $1 : $answer }
sub outcome { return outcome_of($session->query(shift)) }

# UTC.  Every part has accounts of its own, so time may begin anew with it.
sub at
{
	my ($year, $month, $day, $hour, $minute) = shift =~ /^(\d+)-(\d+)-(\d+) (\d+):(\d+)$/ or die 'no moment';
	return $stack->set_clock(1_000_000 * timegm(0, $minute, $hour, $day, $month - 1, $year));
}

my $merchant = sql("SELECT loyalty.create_merchant('Uno')");
my $programs = 0;
sub program
{
	my %terms = (time_zone => 'UTC', @_);
	my $id = 'P' . ++$programs;
	my $program = sql("SELECT program_id FROM loyalty.create_program($merchant, '$id', '$id')");
	sql(Loyalty::configure($merchant, $program, %terms)) if %terms;
	return $program;
}
sub account { my $program = shift; return sql("SELECT loyalty.open_account($merchant, $program)") }

# Arguments as they are in SQL.  Those of these functions have names here, where an entry is told by its place, and all of it is meant unless told.
my %names = (reverse => [qw(entry_id reference amount money)], capture => [qw(entry_id amount)], release => [qw(entry_id amount)], transfer => [qw(to_account_id amount)]);
sub arguments_of
{
	my ($function, $account, @arguments) = @_;
	my @sql = map { defined ? "'$_'" : 'NULL' } @arguments;
	my @names = @{$names{$function} // []} or return join '', map { ", $_" } @sql;
	my @given = grep { defined $arguments[$_] } 0 .. $#arguments;
	$sql[0] = "test.entry($account, $arguments[0])" if $names[0] eq 'entry_id';
	return join '', (map { ", $names[$_] => $sql[$_]" } @given), (grep { $names[$_] =~ /^(amount|money)$/ } @given) ? () : ', in_full => true';
}

sub call_sql
{
	my ($function, $account, @arguments) = @_;
	my $more = ref $arguments[-1] ? pop @arguments : {};
	return "SELECT test.entry_no($account, entry_id) || ' ' || balance FROM loyalty.$function($merchant, $account"
		. arguments_of($function, $account, @arguments) . join('', map { ", $_ => '$more->{$_}'" } sort keys %$more) . ')';
}
# "place balance", or why not
sub call { return outcome(call_sql(@_)) }
sub post { return call('post', @_) }
sub reverse_entry { return call('reverse', @_) }

# balance, and held, pending and expired points if there are any
sub has
{
	my $account = shift;
	return sql("SELECT concat_ws(' ', balance, 'held ' || nullif(held::numeric, 0), 'pending ' || nullif(pending::numeric, 0), 'expired ' || nullif(expired::numeric, 0))
		FROM loyalty.balances WHERE merchant_id = $merchant AND account_id = $account");
}
sub lots { my $account = shift; return sql("SELECT string_agg(coalesce(to_char(expires_at, 'MM-DD') || ' ', '') || points, ', ') FROM loyalty.lots_of($merchant, $account)") }
sub history { my $account = shift; return sql("SELECT string_agg(kind || ' ' || amount, ', ' ORDER BY entry_no) FROM loyalty.entries WHERE merchant_id = $merchant AND account_id = $account") }
sub entries { my $account = shift; return sql("SELECT entry_no FROM loyalty_internal.account WHERE merchant_id = $merchant AND account_id = $account") }

# Statements in sessions of their own, all at one moment; their outcomes.
sub at_once
{
	my @statements = @_;
	pipe my $gate, my $opener or die "pipe: $!\n";
	my @children;
	for my $statement (@statements)
	{
		pipe my $in, my $out or die "pipe: $!\n";
		my $pid = fork // die "fork: $!\n";
		if (!$pid)
		{
			close $opener;
			my $connection = $stack->connect_async;
			$connection->query('SELECT 1');
			syswrite $out, 'r';
			sysread $gate, my $nothing, 1;
			print {$out} outcome_of($connection->query($statement));
			close $out;
			$connection->close;
			POSIX::_exit(0);
		}
		close $out;
		push @children, [$pid, $in];
	}
	sysread $_->[1], my $ready, 1 for @children;
	close $gate;
	close $opener;
	local $/;
	return map { my ($pid, $in) = @$_; my $text = <$in> // ''; waitpid $pid, 0; $text } @children;
}

# "3 x this, 1 x that": how often there was each answer.
sub tally
{
	my %times;
	$times{$_}++ for @_;
	return join ', ', map { "$times{$_} x $_" } sort keys %times;
}

# Whether a session waits for another that has not ended.
sub waits_for_lock
{
	my $part = shift;
	return $stack->wait_until(sub { $stack->psql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%$part%' AND pid <> pg_backend_pid()") });
}

# --- a sale is refunded, and its points stay ----------------------------------------------

$bug = 'refunds keep the points';
at('2024-01-10 12:00');
{
	my $a = account(program(duration_value => 30, duration_unit => 'day'));
	post($a, 'accrue', '10', 'ticket 1', undef, '100');
	post($a, 'deposit', '3');
	check(reverse_entry($a, 1, 'devolución 1'), '3 3', 'a sale is refunded');
	check(sql("SELECT balance || ' ' || earned FROM loyalty.balances WHERE account_id = $a"), '3 3', 'its points are neither there nor earned');
	check(sql("SELECT concat_ws(' ', kind, amount, test.entry_no($a, origin_entry_id), reference, money) FROM loyalty.entries WHERE account_id = $a AND entry_no = 3"), 'reverse -10 1 devolución 1', 'the ledger says which sale');
}
{
	my $a = account(program(duration_value => 30, duration_unit => 'day', decimals => 4));
	post($a, 'accrue', '10', 'ticket 1', undef, '99.99');
	check(reverse_entry($a, 1, "parte $_->[0]", undef, '33.33'), "$_->[1] $_->[2]", "a third of it, part $_->[0]") for [1, 2, '6.6667'], [2, 3, '3.3333'], [3, 4, '0'];
	check(has($a), '0', 'nothing is left of three thirds');

	my $b = account(program(duration_value => 30, duration_unit => 'day', decimals => 4));
	post($b, 'accrue', '0.0007', 'ticket 2', undef, '100');
	reverse_entry($b, 1, "parte $_", undef, '1') for 1 .. 99;
	check(has($b), '0', 'nor of a hundred, the last one missing');
	check(reverse_entry($b, 1, 'parte 100', undef, '1'), 'LY011', 'so there is nothing to refund by the last');
	check(sql("SELECT sum(amount::numeric) FROM loyalty.entries WHERE account_id = $b AND kind = 'reverse'"), '-0.0007', 'they sum to the sale');

	my $c = account(program(duration_value => 30, duration_unit => 'day', decimals => 0));
	post($c, 'accrue', '10', 'ticket 3', undef, '100');
	check((split / /, reverse_entry($c, 1, 'parte 1', undef, '33.33'))[1], '7', 'a part is of whole points where a program has no others');
	check((split / /, reverse_entry($c, 1, 'parte 2', undef, '33.33'))[1], '3', 'a further part');
	check((split / /, reverse_entry($c, 1, 'parte 3', undef, '33.34'))[1], '0', 'and the last');

	my $d = account(program());
	post($d, 'accrue', '10', 'ticket 4', undef, '100');
	check(reverse_entry($d, 1, 'parte 1', '4'), '2 6', 'a part by points');
	check(reverse_entry($d, 1, 'parte 2', undef, '50'), '3 1', 'then half of the money, which is half of the points');
	check(reverse_entry($d, 1, 'resto'), '4 0', 'then the rest');
}
{
	my $a = account(program(duration_value => 30, duration_unit => 'day', pending_days => 5));
	post($a, 'accrue', '10', 'ticket 1', undef, '100');
	check(reverse_entry($a, 1, 'parte', '4'), '2 0', 'a part of a sale whose points are pending');
	check(has($a), '0 pending 6', 'is not pending any more');
	reverse_entry($a, 1, 'resto');
	at('2024-01-20 12:00');
	check(has($a), '0', 'and no point comes of a sale that was refunded before its time');
	check(reverse_entry($a, 1, 'otra vez'), 'LY011', 'nor is there more to take later');
	at('2024-01-10 12:00');
}

# The points were spent.
for my $policy (qw(refuse partial negative))
{
	my $a = account(program(duration_value => 30, duration_unit => 'day', shortfall => $policy));
	post($a, 'accrue', '100', 'ticket 1', undef, '1000');
	post($a, 'redeem', '70');
	my %answer = (refuse => 'LY001', partial => '3 0', negative => '3 -70');
	check(reverse_entry($a, 1, 'devolución'), $answer{$policy}, "$policy: a refund after 70 of 100 points were spent");
	check(has($a), {refuse => '30', partial => '0', negative => '-70'}->{$policy}, "$policy: what is left");
	if ($policy eq 'refuse')
	{
		check(entries($a), '2', "$policy: nothing was posted");
		check(reverse_entry($a, 1, 'parte', '30'), '3 0', "$policy: a part for which there are points");
		post($a, 'deposit', '80');
		check(reverse_entry($a, 1, 'devolución'), '5 10', "$policy: the rest when there are more");
		next;
	}
	check(reverse_entry($a, 1, 'otra'), 'LY011', "$policy: the sale is refunded");
	check(post($a, 'redeem', '0.0001'), 'LY001', "$policy: nothing can be spent");
	check(call('hold', $a, '0.0001'), 'LY001', "$policy: nor held");
	check((split / /, post($a, 'accrue', '50', 'ticket 2', undef, '500'))[1], ($policy eq 'negative' ? '-20' : '50'), "$policy: the next sale");
	next if $policy eq 'partial';
	check(has($a), '-20', "$policy: pays a part of the debt");
	check((split / /, post($a, 'accrue', '50', 'ticket 3', undef, '500'))[1], '30', "$policy: one more pays the rest");
	check(lots($a), '02-10 30', "$policy: what is left can be spent");
	at('2024-02-10 00:00');
	check(has($a), '0 expired 30', "$policy: and expires, but nothing that paid a debt");
	at('2024-01-10 12:00');
}
for my $case (['refuse', 'LY001', '20 held 80'], ['partial', '4 0', '0 held 80'], ['negative', '4 -80', '-80 held 80'])
{
	my ($policy, $answer, $has) = @$case;
	my $a = account(program(shortfall => $policy));
	post($a, 'accrue', '100');
	post($a, 'accrue', '0');
	call('hold', $a, '80');
	check(reverse_entry($a, 1, 'devolución'), $answer, "$policy: a refund while 80 of 100 points are held");
	check(has($a), $has, "$policy: does not touch what is held");
	check((split / /, call('release', $a, '3'))[1], {refuse => '100', partial => '80', negative => '0'}->{$policy}, "$policy: what is released then");
}
{
	my $a = account(program(shortfall => 'negative'));
	my $b = account(sql("SELECT program_id FROM loyalty_internal.account WHERE account_id = $a"));
	post($a, 'deposit', '100');
	call('transfer', $a, $b, '100');
	post($b, 'redeem', '100');
	check(reverse_entry($a, 2, 'de vuelta', '60'), '3 60', 'a transfer goes back');
	check(has($b), '-60', 'from one who has spent it');
	check(has($a), '60', 'to who had sent it');
}

# --- a sale is refunded once, and points go twice ---------------------------------------------

$bug = 'refunds take the points twice';
{
	my $a = account(program(duration_value => 30, duration_unit => 'day'));
	post($a, 'accrue', '100', 'ticket 1', undef, '1000');
	post($a, 'accrue', '500');
	check(reverse_entry($a, 1, 'devolución', '40'), '3 560', 'a refund');
	post($a, 'redeem', '1');
	check(reverse_entry($a, 1, 'devolución', '40'), '3 560', 'the same again is answered as before');
	check(reverse_entry($a, 1, 'devolución', '40', {staff_id => 7}), '3 560', 'by another cashier too');
	check(has($a), '559', 'and takes nothing');
	check(reverse_entry($a, 1, 'devolución', '41'), 'LY012', 'another refund needs another reference');
	check(reverse_entry($a, 1, 'devolución', undef, '400'), 'LY012', 'also the same by money');
	check(reverse_entry($a, 1, 'devolución'), 'LY012', 'and so does the rest');
	check(reverse_entry($a, 1, 'segunda', '60.0001'), 'LY011', 'not more than the rest');
	check(reverse_entry($a, 1, 'segunda', '60'), '5 499', 'but that');
	check(reverse_entry($a, 1, 'tercera', '0.0001'), 'LY011', 'then nothing');
	check(reverse_entry($a, 1, 'tercera'), 'LY011', 'and there is no rest');
	check(reverse_entry($a, 1, 'segunda', '60'), '5 499', 'a late repetition is answered still');
	check(reverse_entry($a, $_->[0], 'devolución'), 'LY010', "$_->[1] cannot be refunded") for [3, 'a refund'], [99, 'what does not exist'];
	check(entries($a), '5', 'that is all');

	my $b = account(program());
	post($b, 'accrue', '10', 'ticket 1', undef, '100');
	check(reverse_entry($b, 1, 'por dinero', undef, '60'), '2 4', 'by money');
	check(reverse_entry($b, 1, 'por dinero', undef, '60'), '2 4', 'the same again');
	check(reverse_entry($b, 1, 'por dinero', undef, '61'), 'LY012', 'another amount');
	check(reverse_entry($b, 1, 'por dinero', '6'), 'LY012', 'the same by points');
	check(reverse_entry($b, 1, 'más', undef, '40.01'), 'LY011', 'more money than is left of the sale');
	check(reverse_entry($b, 1, 'puntos', '4.0001'), 'LY011', 'or more points');
	check(reverse_entry($b, 1, 'puntos', '4'), '3 0', 'the rest by points');
	check(reverse_entry($b, 1, 'dinero', undef, '40'), 'LY011', 'stands for the rest of the money');
}

# Given back once, too.
{
	my $a = account(program(duration_value => 30, duration_unit => 'day'));
	post($a, 'deposit', '100');
	post($a, 'redeem', '100');
	check(reverse_entry($a, 2, 'devolución', '40'), '3 40', 'a redemption is refunded');
	check(reverse_entry($a, 2, 'devolución', '40'), '3 40', 'once');
	check(reverse_entry($a, 2, 'otra', '60.0001'), 'LY011', 'never more than was spent');
	check(reverse_entry($a, 2, 'otra'), '4 100', 'but all of it');
	check(reverse_entry($a, 2, 'otra', '60'), '4 100', 'once');
	check(has($a), '100', 'no point too many');

	call('hold', $a, '50');
	call('capture', $a, '5', '30');
	check(reverse_entry($a, 6, 'devolución'), '7 80', 'what was captured is refunded');
	check(reverse_entry($a, 6, 'otra vez'), 'LY011', 'once');
	check(reverse_entry($a, 5, 'retención'), 'LY010', 'a hold is released, not refunded');
	check(call('release', $a, '5'), '8 100', 'the rest of the hold');
	check(call('release', $a, '5'), 'LY009', 'once');

	my $b = account(sql("SELECT program_id FROM loyalty_internal.account WHERE account_id = $a"));
	call('transfer', $a, $b, '70');
	check(reverse_entry($a, 9, 'de vuelta', '20'), '10 50', 'a transfer goes back');
	check(reverse_entry($a, 9, 'de vuelta', '20'), '10 50', 'once');
	check(reverse_entry($a, 9, 'más', '50.0001'), 'LY011', 'never more than was sent');
	check(reverse_entry($b, 1, 'de vuelta'), 'LY010', 'nor by who got it');
	check(reverse_entry($b, 2, 'de vuelta'), 'LY010', 'and not back again');
	check(has($a) . ' and ' . has($b), '50 and 50', 'no point too many in two accounts');
}

# In one batch, and by many at once.
{
	my $a = account(program(duration_value => 30, duration_unit => 'day'));
	post($a, 'accrue', '100', 'ticket 1', undef, '1000');
	post($a, 'accrue', '900');
	check(sql("SELECT string_agg(coalesce(error, test.entry_no($a, entry_id) || ' ' || balance), ', ' ORDER BY item) FROM loyalty.post_batch($merchant, array_fill($a\::bigint, '{5}'), '{reverse}', '{30,30,31,60,71}', reference => '{a,a,a,b,c}', entry_id => array_fill(test.entry($a, 1), '{5}'))"), '3 970, 3 970, reference_reused, 4 910, exceeds_original', 'a batch with the same refund twice');
	check(has($a), '910', 'takes it once');

	my $b = account(program(duration_value => 30, duration_unit => 'day'));
	post($b, 'accrue', '100', 'ticket 1', undef, '1000');
	post($b, 'accrue', '900');
	check(tally(at_once((call_sql('reverse', $b, 1, 'devolución', '80')) x 8)), '8 x 3 920', 'eight sessions with one reference');
	check(has($b), '920', 'take it once');
	check(tally(map { /^\d+ / ? 'done' : $_ } at_once(map { call_sql('reverse', $b, 2, "devolución $_", '200') } 1 .. 8)), '4 x LY011, 4 x done', 'eight sessions with references of their own');
	check(has($b), '120', 'take what the sale had');
	check(tally(map { /^\d+ / ? 'done' : $_ } at_once(map { call_sql('reverse', $b, 1, "todo $_") } 1 .. 4)), '3 x LY011, 1 x done', 'of four who refund all that is left');
	check(has($b), '100', 'one does');
}

# What has expired is gone already, whether a job booked that before the refund or nobody did.
for my $booked (1, 0)
{
	my $when = $booked ? 'booked by a job' : 'not booked before';
	my $begin = sub {
		my ($terms, @posts) = @_;
		at('2024-01-10 12:00');
		my $account = account(program(duration_value => 10, duration_unit => 'day', %$terms));
		post($account, @$_) for @posts;
		return $account;
	};
	my $pass = sub { at(shift); sql("SELECT loyalty.expire_due($merchant)") if $booked };
	my $sale = ['accrue', '100', 'ticket', undef, '1000'];
	my $never = ['deposit', '500', {expires_at => 'infinity'}];

	my $a = $begin->({}, $sale, $never);
	$pass->('2024-01-21 00:00');
	check(has($a), '500 expired 100', "$when: a sale expires unspent");
	check(sql("SELECT count(*) FROM loyalty_internal.expired_lot WHERE account_id = $a"), $booked, "$when: to look at it books nothing");
	check(reverse_entry($a, 1, 'devolución'), '4 500', "$when: its refund takes nothing");
	check(history($a), 'accrue 100, deposit 500, expire -100, reverse 0', "$when: in the ledger");
	check(reverse_entry($a, 1, 'devolución'), '4 500', "$when: the same again");
	check(reverse_entry($a, 1, 'otra'), 'LY011', "$when: and then it is refunded");

	$a = $begin->({}, $sale, $never, ['redeem', '60']);
	$pass->('2024-01-21 00:00');
	check(reverse_entry($a, 1, 'todo'), '5 440', "$when: a sale was spent in part, then the rest expired: its refund takes what was spent");
	$a = $begin->({}, $sale, $never, ['redeem', '60']);
	$pass->('2024-01-21 00:00');
	check((split / /, reverse_entry($a, 1, @$_[0, 1]))[1], $_->[2], "$when: in parts, $_->[0]") for ['uno', '30', '500'], ['dos', '30', '480'], ['tres', '40', '440'];

	$a = $begin->({}, $sale, ['accrue', '50'], $never, ['redeem', '70']);
	$pass->('2024-01-21 00:00');
	check(has($a), '500 expired 80', "$when: of two sales of one date 70 points were spent");
	check(reverse_entry($a, 1, 'uno'), '6 480', "$when: the refund of one counts what expired");
	check(reverse_entry($a, 2, 'dos'), '7 430', "$when: that of the other not again");
	$a = $begin->({}, $sale, ['accrue', '50'], $never, ['redeem', '70']);
	$pass->('2024-01-21 00:00');
	check(sql("SELECT string_agg(coalesce(error, test.entry_no($a, entry_id) || ' ' || balance), ', ' ORDER BY item) FROM loyalty.post_batch($merchant, array_fill($a\::bigint, '{4}'), '{reverse}', '{NULL,NULL,40,60}', reference => '{uno,uno,dos,tres}', entry_id => ARRAY[test.entry($a, 2), test.entry($a, 2), test.entry($a, 1), test.entry($a, 1)], in_full => '{true,true,false,false}')"), '6 500, 6 500, 7 490, 8 430', "$when: in one batch neither");

	$a = $begin->({}, $sale, $never);
	reverse_entry($a, 1, 'antes', undef, '400');
	$pass->('2024-01-21 00:00');
	check((split / /, reverse_entry($a, 1, "parte $_", undef, '200'))[1], '500', "$when: part $_ of what was not refunded before it expired") for 1 .. 3;
	check(sql("SELECT sum(amount::numeric) || ' ' || sum(money::numeric) FROM loyalty_internal.reversal WHERE account_id = $a"), '100 1000', "$when: all of it is reversed");
	check(reverse_entry($a, 1, 'más'), 'LY011', "$when: and there is no more");

	$a = $begin->({pending_days => 5}, $sale, $never);
	reverse_entry($a, 1, 'pendiente', '30');
	$pass->('2024-01-26 00:00');
	check(reverse_entry($a, 1, 'resto'), '6 500', "$when: pending points that came and expired");
	check(history($a), 'accrue 0, deposit 500, reverse 0, mature 70, expire -70, reverse 0', "$when: each of them once");

	for my $policy (qw(refuse partial negative))
	{
		$a = $begin->({shortfall => $policy}, $sale);
		$pass->('2024-01-21 00:00');
		check(reverse_entry($a, 1, 'devolución'), '3 0', "$when, $policy: nothing is there, and nothing is missing");

		$a = $begin->({shortfall => $policy}, $sale, ['deposit', '10', {expires_at => 'infinity'}], ['redeem', '60']);
		$pass->('2024-01-21 00:00');
		check(reverse_entry($a, 1, 'devolución'), {refuse => 'LY001', partial => '5 0', negative => '5 -50'}->{$policy}, "$when, $policy: 40 of 100 points have expired, and 10 others are there");
		next if $policy ne 'refuse';
		check(sql("SELECT string_agg(coalesce(error, balance::text), ', ' ORDER BY item) FROM loyalty.post_batch($merchant, array_fill($a\::bigint, '{2}'), '{reverse}', '{100,40}', reference => '{todo,parte}', entry_id => array_fill(test.entry($a, 1), '{2}'))"), 'insufficient_points, 10', "$when, $policy: what was refused has counted nothing");
		check(reverse_entry($a, 1, 'resto'), 'LY001', "$when, $policy: what was spent is still missing");
		post($a, 'deposit', '50');
		check((split / /, reverse_entry($a, 1, 'resto'))[1], '0', "$when, $policy: until it is there");
	}

	# others that expired, or did so later
	$a = $begin->({}, ['accrue', '100', {expires_at => '2024-01-15 00:00+00'}], $sale, $never, ['redeem', '150']);
	$pass->('2024-01-21 00:00');
	check(has($a), '500 expired 50', "$when: the first of two sales was spent and half of the second");
	check((split / /, reverse_entry($a, 1, 'primera'))[1], '400', "$when: what expired was none of the first");
	check((split / /, reverse_entry($a, 2, 'segunda'))[1], '350', "$when: but half of the second");
	$a = $begin->({shortfall => 'negative'}, ['deposit', '100'], ['redeem', '100']);
	reverse_entry($a, 1, 'deuda');
	post($a, @$_) for ['accrue', '150'], $sale, $never;
	$pass->('2024-01-21 00:00');
	check(has($a), '500 expired 150', "$when: a sale paid a debt of 100, and the rest of it expired, like another");
	check((split / /, reverse_entry($a, 4, 'la que pagó'))[1], '500', "$when: what paid has its date too, and the first refund counts what expired of that");
	check((split / /, reverse_entry($a, 5, 'otra'))[1], '400', "$when: and nothing for the other");
	$a = $begin->({}, $sale, ['redeem', '100'], $never);
	$pass->('2024-01-21 00:00');
	reverse_entry($a, 2, 'canje', '80');
	check(has($a), '500 expired 80', "$when: what is given back past its date expires at once");
	check((split / /, reverse_entry($a, 1, 'venta'))[1], '480', "$when: and is not taken again");
}
{
	at('2024-01-10 12:00');
	my $a = account(program(duration_value => 10, duration_unit => 'day'));
	post($a, 'accrue', '100') for 1 .. 2;
	post($a, 'deposit', '500', {expires_at => 'infinity'});
	post($a, 'redeem', '100');
	at('2024-01-21 00:00');
	check(tally(map { s/^\d+ .*/done/r } at_once(map { call_sql('reverse', $a, 1 + $_ % 2, "parte $_", '30') } 0 .. 7)), '2 x LY011, 6 x done', 'eight sessions refund parts of two sales of which half has expired');
	check(has($a), '420 expired 100', 'and count each expired point once');
}

# --- points expire that were spent, or others than those ------------------------------------------

$bug = 'expiry forgets which points were spent';
{
	at('2024-01-10 12:00');
	my $a = account(program(duration_value => 10, duration_unit => 'day'));
	post($a, 'deposit', '100');
	at('2024-01-12 12:00');
	post($a, 'deposit', '50');
	post($a, 'redeem', '120');
	at('2024-01-21 00:00');
	check(has($a), '30', '120 of 150 points are spent; on the date of the first 100 nothing expires');
	at('2024-01-23 00:00');
	check(has($a), '0 expired 30', 'on the second date what is left does');

	at('2024-01-10 12:00');
	my $b = account(program(duration_value => 30, duration_unit => 'day'));
	post($b, 'deposit', '100');
	post($b, 'deposit', '40', {expires_at => '2024-01-15 00:00+00'});
	post($b, 'deposit', '10', {expires_at => 'infinity'});
	post($b, 'adjust', '-30');
	check(lots($b), '01-15 10, 02-10 100, 10', 'what expires first is spent first, also if it came last');
	at('2024-01-15 00:00');
	check(has($b), '110 expired 10', 'only the rest expires');
	post($b, 'redeem', '95');
	at('2024-03-01 00:00');
	check(has($b), '10 expired 15', 'and what never does stays to the end');
	sql("SELECT loyalty.expire_due($merchant)");
	check(history($b), 'deposit 100, deposit 40, deposit 10, adjust -30, expire -10, redeem -95, expire -5', 'as the ledger has it');
}

# A redemption that is refunded in parts.
{
	at('2024-01-10 12:00');
	my $a = account(program());
	post($a, 'deposit', $_->[0], {expires_at => $_->[1]}) for ['10', '2024-01-20 00:00+00'], ['20', '2024-01-25 00:00+00'], ['40', 'infinity'];
	post($a, 'redeem', '60');
	check(lots($a), '10', 'three kinds of points are spent');
	reverse_entry($a, 4, 'uno', '35');
	check(lots($a), '01-25 5, 40', 'a refund gives back what was taken last');
	post($a, 'deposit', '1', {expires_at => '2024-01-25 00:00+00'});
	reverse_entry($a, 4, 'dos', '20');
	check(lots($a), '01-20 5, 01-25 21, 40', 'the next goes on where the first ended');
	reverse_entry($a, 4, 'tres');
	check(lots($a), '01-20 10, 01-25 21, 40', 'all are back in their places');
	at('2024-01-20 00:00');
	check(has($a), '61 expired 10', 'and expire on their days');
	at('2024-01-25 00:00');
	check(has($a), '40 expired 31', 'one after the other');
}
for my $case ([0, '20 expired 60', '20'], [3, '70 expired 10', '02-05 50, 20'])
{
	my ($days, $has, $lots) = @$case;
	at('2024-01-10 12:00');
	my $a = account(program(reinstatement_days => $days));
	post($a, 'deposit', $_->[0], {expires_at => $_->[1]}) for ['60', '2024-01-20 00:00+00'], ['20', 'infinity'];
	post($a, 'redeem', '70');
	post($a, 'deposit', '10', {expires_at => '2024-01-21 00:00+00'});
	at('2024-02-01 12:00');
	reverse_entry($a, 3, 'diez', '10');
	check(has($a), '20 expired 10', "$days days: a refund, after the date of most, of those that have none");
	reverse_entry($a, 3, 'cincuenta', '50');
	check(has($a), $has, "$days days: and of those that had expired if they had not been spent");
	check(lots($a), $lots, "$days days: until when they can be spent");
	reverse_entry($a, 3, 'resto');
	at('2024-02-05 00:00');
	check(has($a), '20 expired 70', "$days days: in the end nothing of them is left");
}

# A sale that is refunded takes its own points.
{
	at('2024-01-10 12:00');
	my $a = account(program());
	post($a, 'accrue', $_->[0], {expires_at => $_->[1]}) for ['10', '2024-01-20 00:00+00'], ['20', '2024-01-25 00:00+00'], ['40', 'infinity'];
	reverse_entry($a, 2, 'segunda', '15');
	check(lots($a), '01-20 10, 01-25 5, 40', 'a refund of a sale takes the points of that sale');
	reverse_entry($a, 3, 'tercera', '39');
	check(lots($a), '01-20 10, 01-25 5, 1', 'also those that never expire');
	post($a, 'redeem', '12');
	check(lots($a), '01-25 3, 1', 'some are spent');
	check(reverse_entry($a, 2, 'resto', '4'), '7 0', 'a further part');
	check(lots($a), '', 'and when they were spent, what there is');
	at('2024-02-01 00:00');
	check(has($a), '0', 'and nothing is left to expire');
}

# Holds and transfers keep the dates.
{
	at('2024-01-10 12:00');
	my $program = program();
	my ($a, $b) = map { account($program) } 1 .. 2;
	post($a, 'deposit', $_->[0], {expires_at => $_->[1]}) for ['10', '2024-01-20 00:00+00'], ['20', '2024-01-25 00:00+00'], ['40', 'infinity'];
	call('hold', $a, '25');
	post($a, 'redeem', '10');
	call('capture', $a, 4, '5');
	call('release', $a, 4, '12');
	check(lots($a), '01-25 12, 35', 'a hold keeps its points apart, with their dates');
	call('release', $a, 4);
	check(lots($a), '01-20 5, 01-25 15, 35', 'and gives them back with these');
	call('transfer', $a, $b, '15');
	check(lots($b), '01-20 5, 01-25 10', 'a transfer takes them along');
	at('2024-01-20 00:00');
	check(has($a) . ' and ' . has($b), '40 and 10 expired 5', 'they expire where they are');
	at('2024-01-25 00:00');
	check(has($a) . ' and ' . has($b), '35 expired 5 and 0 expired 15', 'each once');
}

# --- one point, two buyers ---------------------------------------------------------------------------

$bug = 'double spending';
at('2024-01-10 12:00');
for my $kind (['without terms'], ['of points that expire', duration_value => 30, duration_unit => 'day'])
{
	my ($name, %terms) = @$kind;
	my $program = program(%terms);
	my ($a, $b) = map { account($program) } 1 .. 2;
	my $fresh = sub { my $points = shift; my $account = account($program); post($account, 'deposit', $points); return $account };

	$a = $fresh->(100);
	check(tally(at_once((call_sql('post', $a, 'redeem', '100')) x 12)), '1 x 2 0, 11 x LY001', "$name: twelve sessions redeem the same 100 points");
	check(history($a), 'deposit 100, redeem -100', "$name: one gets them");
	$a = $fresh->(100);
	check(tally(map { /^\d+ / ? 'done' : $_ } at_once((call_sql('post', $a, 'redeem', '7')) x 16)), '2 x LY001, 14 x done', "$name: sixteen sessions redeem 7 of 100");
	check(has($a), '2', "$name: fourteen fit in");
	$a = $fresh->(100);
	check(tally(map { /^\d+ / ? 'done' : $_ } at_once((call_sql('hold', $a, '60')) x 6)), '5 x LY001, 1 x done', "$name: six sessions hold 60 of 100");
	$a = $fresh->(100);
	check(tally(map { /^\d+ / ? 'done' : $_ } at_once(call_sql('post', $a, 'redeem', '60'), call_sql('hold', $a, '60'), call_sql('transfer', $a, $b, '60'), call_sql('post', $a, 'adjust', '-60'),
		"SELECT coalesce(replace(error, 'insufficient_points', 'LY001'), test.entry_no($a, entry_id) || ' ' || balance) FROM loyalty.post_batch($merchant, ARRAY[$a], '{redeem}', '{60}')")), '4 x LY001, 1 x done', "$name: redemption, hold, transfer, correction and batch: one gets them");
	check(sql("SELECT balance::numeric FROM loyalty.balances WHERE account_id = $a"), '40', "$name: 40 are left");

	# while the first may still take it back
	$a = $fresh->(100);
	for my $end (qw(ROLLBACK COMMIT))
	{
		my ($first, $second) = map { $stack->connect_async } 1 .. 2;
		$first->query('BEGIN');
		$first->query(call_sql('post', $a, 'redeem', '80'));
		$second->send(call_sql('post', $a, 'redeem', '70', {reference => "segundo $a $end"}));
		check(waits_for_lock("segundo $a $end"), 1, "$name: a second session waits for the first");
		$first->query($end);
		check(outcome_of($second->receive), ($end eq 'COMMIT' ? 'LY001' : '2 30'), "$name: after its $end");
		$_->close for $first, $second;
		post($a, 'deposit', '70') if $end eq 'ROLLBACK';
	}
	check(has($a), '20', "$name: what is left");

	# around in a circle
	my @ring = map { $fresh->(100) } 1 .. 3;
	my @answers = at_once(map { my $i = $_ % 3; call_sql('transfer', $ring[$i], $ring[($i + 1 + int($_ / 3) % 2) % 3], '40') } 0 .. 17);
	check(scalar(grep { !/^\d+ |^LY001$/ } @answers), 0, "$name: transfers in all directions wait for each other in no circle") or diag tally(@answers);
	check(sql("SELECT sum(balance::numeric) || ' ' || (min(balance::numeric) >= 0) FROM loyalty_internal.account WHERE account_id IN ($ring[0], $ring[1], $ring[2])"), '300 true', "$name: and make no points");
}
{
	my $a = account(program(duration_value => 30, duration_unit => 'day'));
	post($a, 'deposit', '100');
	call('hold', $a, '60');
	check(call('capture', $a, 2, '60.0001'), 'LY011', 'no more is captured than is held');
	check(call('capture', $a, 2), '3 40', 'a hold is captured');
	check(call('capture', $a, 2), 'LY009', 'not twice');
	check(call('capture', $a, 2, '0.0001'), 'LY009', 'not a part of it');
	check(call('release', $a, 2), 'LY009', 'and not released after that');
	call('hold', $a, '40');
	check(call('capture', $a, 4, '15'), '5 0', 'a part of another');
	check(call('capture', $a, 4, '25.0001'), 'LY011', 'no more than the rest');
	check(call('release', $a, 4, '25.0001'), 'LY011', 'is released either');
	check(call('release', $a, 4), '6 25', 'but that');
	check(call($_, $a, 4), 'LY009', "and then there is nothing to $_") for qw(capture release);
	check(has($a), '25', 'what is left');
	check(call($_, $a, 1), 'LY009', "a deposit is no hold to $_") for qw(capture release);

	my $b = account(program(duration_value => 30, duration_unit => 'day'));
	post($b, 'deposit', '100');
	call('hold', $b, '60');
	check(tally(at_once((call_sql('capture', $b, 2)) x 8)), '1 x 3 40, 7 x LY009', 'eight sessions capture one hold: one does');
	call('hold', $b, '40');
	check(tally(map { /^\d+ / ? 'done' : $_ } at_once((call_sql('capture', $b, 4)) x 4, (call_sql('release', $b, 4)) x 4)), '7 x LY009, 1 x done', 'of eight who capture or release one hold, one does');
	check(has($b) =~ /^(?:0|40)$/ ? 1 : 0, 1, 'the points are spent, or they are back');
	call('hold', $a, '25');
	check(sql("SELECT string_agg(coalesce(error, balance::text), ' ' ORDER BY item) FROM loyalty.post_batch($merchant, array_fill($a\::bigint, '{4}'), '{capture,capture,release,redeem}', '{NULL,NULL,NULL,1}', entry_id => array_fill(test.entry($a, 7), '{3}') || NULL::bigint, in_full => '{true,true,true,false}')"),
		'0 unknown_hold unknown_hold insufficient_points', 'nor twice in one batch');
}

# --- what is held can be spent by another -------------------------------------------------------------

$bug = 'holds are not counted as spent';
{
	my $program = program(duration_value => 30, duration_unit => 'day', time_zone => 'UTC');
	my ($a, $b) = map { account($program) } 1 .. 2;
	post($a, 'deposit', '100');
	check(call('hold', $a, '60'), '2 40', 'a hold');
	check(has($a), '40 held 60', 'is not in the balance');
	check(post($a, 'redeem', '40.0001'), 'LY001', 'what is held is not redeemed');
	check(post($a, 'adjust', '-40.0001'), 'LY001', 'nor corrected away');
	check(call('hold', $a, '40.0001'), 'LY001', 'nor held again');
	check(call('transfer', $a, $b, '40.0001'), 'LY001', 'nor transferred');
	check(reverse_entry($a, 1, 'devolución'), 'LY001', 'nor refunded');
	check(sql("SELECT string_agg(coalesce(error, balance::text), ' ' ORDER BY item) FROM loyalty.post_batch($merchant, array_fill($a\::bigint, '{3}'), '{hold,redeem,redeem}', '{30,11,10}')"), '10 insufficient_points 0', 'nor in a batch');
	check(call('transfer', $a, $b), 'LY001', 'all that there is to transfer is nothing');
	check(call('release', $a, 2, '20'), '5 20', 'a part is released');
	check(post($a, 'redeem', '20'), '6 0', 'which can be spent');
	check(call('capture', $a, 2), '7 0', 'the rest is captured');
	check(has($a), '0 held 30', 'and spent once');
	check(sql("SELECT sum(amount::numeric + coalesce(reserved::numeric, 0)) FROM loyalty.entries WHERE account_id = $a"), '30', 'in the ledger');

	my $c = account($program);
	post($c, 'deposit', '100');
	call('hold', $c, '100');
	check(tally(at_once((call_sql('post', $c, 'redeem', '100')) x 3, (call_sql('capture', $c, 2)) x 3)), '1 x 3 0, 3 x LY001, 2 x LY009', 'redeemed and captured at once: only by who held it');
	check(has($c), '0', 'once');
}
{
	at('2024-01-10 12:00');
	my $a = account(program(duration_value => 5, duration_unit => 'day', time_zone => 'UTC'));
	post($a, 'deposit', '100');
	call('hold', $a, '60', {release_at => '2024-02-01 00:00+00'});
	at('2024-01-16 00:00');
	check(has($a), '0 held 60 expired 40', 'what is held does not expire');
	check(sql("SELECT loyalty.expire_due($merchant)") >= 1, 1, 'when it is booked neither');
	check(call('capture', $a, 2, '50'), '4 0', 'and can be captured after its date');
	at('2024-02-01 00:00');
	check(has($a), '0 expired 50', 'what is not captured expires when it comes back');
	check(call('capture', $a, 2, '1'), 'LY009', 'and then it is late');
	at('2024-01-10 12:00');
	my $b = account(program());
	post($b, 'deposit', '100');
	call('hold', $b, '60', {release_at => '2024-01-11 00:00+00'});
	at('2024-01-11 00:00');
	check(post($b, 'redeem', '100'), '4 0', 'a hold that has timed out is no hold, although no job ran');
	check(call('release', $b, 2), 'LY009', 'and is not released twice');
	check(has($b), '0', 'no point too many');
}

# --- the same request again -------------------------------------------------------------------------------

$bug = 'retries post twice';
{
	at('2024-01-10 12:00');
	my $program = program(duration_value => 30, duration_unit => 'day', time_zone => 'UTC');
	my ($a, $b) = map { account($program) } 1 .. 2;
	my @calls = (
		['post', $a, 'accrue', '100', 'ticket 1', 7, '1000'],
		['hold', $a, '60', {release_at => '2024-01-11 00:00+00', reference => 'r'}],
		['capture', $a, 2, '20'],
		['release', $a, 2, '10'],
		['post', $a, 'redeem', '5'],
		['reverse', $a, 5, 'devolución', '2'],
		['transfer', $a, $b, '30'],
		['post', $a, 'deposit', '9', {available_at => '2024-01-15 00:00+00', expires_at => '2024-02-15 00:00+00'}],
	);
	my %first;
	for my $i (0 .. $#calls)
	{
		my ($function, @arguments) = @{$calls[$i]};
		my $more = {ref $arguments[-1] ? %{pop @arguments} : (), idempotency_key => "k$i"};
		$calls[$i] = call_sql($function, @arguments, $more);
		$first{$i} = outcome($calls[$i]);
		check((split / /, $first{$i})[0], $i + 1, "$function is posted");
		check(outcome($calls[$i]), $first{$i}, "$function again, with its key, is answered as before");
	}
	check(entries($a), '8', 'and not posted again');
	post($a, 'redeem', '1');
	at('2024-02-20 12:00');
	check(outcome($calls[$_]), $first{$_}, 'nor later, when all is different: ' . ($calls[$_] =~ /loyalty\.(\w+)/)[0]) for 0 .. $#calls;
	check(entries($a), '9', 'and nothing is booked by that');
	at('2024-01-10 12:00');

	my $c = account($program);
	my $retry = call_sql('post', $c, 'redeem', '10', {idempotency_key => 'después'}) =~ s/después/despues/r;
	check(outcome($retry), 'LY001', 'a request that fails');
	check(outcome($retry), 'LY001', 'fails again');
	post($c, 'deposit', '50');
	check(outcome($retry), '2 40', 'until it can be done');
	check(outcome($retry), '2 40', 'then it is done, once');
	check(call('post', $c, 'redeem', '11', {idempotency_key => 'despues'}), 'LY422', 'the key is not for another amount');
	check(call('post', $b, 'redeem', '10', {idempotency_key => 'despues'}), 'LY422', 'nor another account');
	check(call('hold', $c, '10', {idempotency_key => 'despues'}), 'LY422', 'nor another function');
	check(has($c), '40', 'which post nothing');
	check(post($c, 'redeem', '10'), '3 30', 'without a key the same is another request');
}

# At once, and while the first may still fail.
{
	my $a = account(program(duration_value => 30, duration_unit => 'day'));
	my ($untracked) = account(program());
	for my $account ($a, $untracked)
	{
		post($account, 'deposit', '100');
		check(tally(at_once((call_sql('post', $account, 'redeem', '10', {idempotency_key => "juntos $account" =~ s/ /-/r})) x 10)), '10 x 2 90', 'ten sessions with one key are answered alike');
		check(history($account), 'deposit 100, redeem -10', 'and one has posted');
	}
	check(tally(at_once((call_sql('hold', $a, '10', {idempotency_key => 'apartar'})) x 6)), '6 x 3 80', 'six who hold');
	check(tally(at_once((call_sql('capture', $a, 3, {idempotency_key => 'cobrar'})) x 6)), '6 x 4 80', 'six who capture');
	check(entries($a), '4', 'one of them each time');
	for my $end (qw(ROLLBACK COMMIT))
	{
		my ($first, $second) = map { $stack->connect_async } 1 .. 2;
		my $request = call_sql('post', $a, 'redeem', '1', {idempotency_key => "fin-$end"});
		$first->query('BEGIN');
		my $answer = $first->query($request);
		$second->send($request);
		check(waits_for_lock("fin-$end"), 1, 'a retry waits for the first');
		$first->query($end);
		check($second->receive, $answer, "and is answered after its $end");
		$_->close for $first, $second;
	}
	check(has($a), '78', 'each was posted once');
}

# Batches.
{
	my $program = program(duration_value => 30, duration_unit => 'day');
	my $id = sql("SELECT client_id FROM loyalty_internal.program WHERE program_id = $program");
	my %member = map { $_ => sql("SELECT loyalty.seller_member_create($merchant, '$id', '$_\@correo.example', 'B', 'B', client_id => '$_') ->> 'id'") } qw(uno dos);
	my $items = sub { return JSON::PP->new->canonical->encode([map { my ($member, $amount) = @$_; {programId => $id, memberId => $member, amount => $amount, comments => 'x', @{$_} > 2 ? (amountCurrency => $amount) : ()} } @_]) };
	my $batch = sub { my ($function, $key, $json) = @_; return outcome("SELECT loyalty.seller_$function($merchant, '$json', '$key')") };
	my $deposits = $items->(['uno', 100], ['dos', 50], ['nadie', 1], ['uno', 7]);
	my $first = $batch->('deposit', 'lote-1', $deposits);
	check(join(' ', map { has($member{$_}) } qw(uno dos)), '107 50', 'a batch');
	check($batch->('deposit', 'lote-1', $deposits), $first, 'again, with its key, is answered as before');
	check(join(' ', map { has($member{$_}) } qw(uno dos)), '107 50', 'and not posted again');
	my $redemptions = $items->(['uno', 100, 1], ['dos', 60, 1], ['uno', 8, 1]);
	my $second = $batch->('redemption', 'lote-2', $redemptions);
	check(join(' ', map { has($member{$_}) } qw(uno dos)), '7 50', 'one of which a part fails');
	$batch->('deposit', 'lote-3', $items->(['uno', 1000], ['dos', 1000]));
	check($batch->('redemption', 'lote-2', $redemptions), $second, 'is answered as before, also when all could be done');
	check(join(' ', map { has($member{$_}) } qw(uno dos)), '1007 1050', 'and nothing of it is done');
	check($batch->('deposit', 'lote-1', $items->(['uno', 100])), 'LY422', 'its key is not for another batch');
	check($batch->('accumulation', 'lote-1', $deposits), 'LY422', 'nor another operation');
	check(scalar(keys %{{map { $_ => 1 } at_once(("SELECT loyalty.seller_deposit($merchant, '$deposits', 'lote-4')") x 6)}}), 1, 'six sessions with one batch and key are answered alike');
	check(join(' ', map { has($member{$_}) } qw(uno dos)), '1114 1100', 'and one has posted');
}

is sql('SELECT * FROM loyalty.verify()'), '', 'the ledger is sound';
$session->close;
done_testing;
