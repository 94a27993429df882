# Points that expire, are pending or held, while time passes: to the second, in
# any time zone, and whether a job books it or not.
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

my $stack = Loyalty->start(level => 'database', clock => 1, isolation => 'read committed');
$stack->name_entries;
my $session = $stack->connect_async;
$session->query(q{SET time zone 'UTC'});

# --- time ---------------------------------------------------------------------------

sub us_of
{
	my ($year, $month, $day, $hour, $minute, $second) = shift =~ /^(\d+)-(\d+)-(\d+) (\d+):(\d+)(?::(\d+))?$/ or die 'no moment';
	return 1_000_000 * timegm($second // 0, $minute, $hour, $day, $month - 1, $year);
}

# Now it is this moment (UTC), or some seconds before or after it.  Every part
# of the test has accounts of its own, so time may begin anew with it.
sub at
{
	my ($moment, $seconds) = @_;
	return $stack->set_clock(us_of($moment) + 1_000_000 * ($seconds // 0));
}

# --- SQL ----------------------------------------------------------------------------

sub sql { my $answer = $session->query(shift); die "$answer\n" if $answer =~ /ERROR:/; return $answer }

# The SQLSTATE that a statement ends with, or what it returns.
sub outcome { my $answer = $session->query(shift); return $answer =~ /ERROR:  (\w{5}):/ ? $1 : $answer }

my $programs = 0;
sub program
{
	my ($merchant, %terms) = @_;
	my $id = 'P' . ++$programs;
	my $program = sql("SELECT program_id FROM loyalty.create_program($merchant, '$id', '$id')");
	sql(Loyalty::configure($merchant, $program, %terms)) if %terms;
	return $program;
}

sub merchant { return sql("SELECT loyalty.create_merchant('Uno')") }
sub account { my ($merchant, $program) = @_; return sql("SELECT loyalty.open_account($merchant, $program)") }

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

# "place balance", or why not
sub call
{
	my ($function, $merchant, $account, @arguments) = @_;
	my $more = ref $arguments[-1] ? pop @arguments : {};
	return outcome("SELECT test.entry_no($account, entry_id) || ' ' || balance FROM loyalty.$function($merchant, $account"
		. arguments_of($function, $account, @arguments) . join('', map { ", $_ => '$more->{$_}'" } sort keys %$more) . ')');
}
sub post { return call('post', @_) }

# balance, and held, pending and expired points if there are any
sub has
{
	my ($merchant, $account) = @_;
	return sql("SELECT concat_ws(' ', balance, 'held ' || nullif(held::numeric, 0), 'pending ' || nullif(pending::numeric, 0), 'expired ' || nullif(expired::numeric, 0))
		FROM loyalty.balances WHERE merchant_id = $merchant AND account_id = $account");
}
sub balance_at { my ($merchant, $account, $moment) = @_; return outcome("SELECT loyalty.balance_at($merchant, $account, '$moment')") }
sub lots { my ($merchant, $account) = @_; return sql("SELECT string_agg(coalesce(to_char(expires_at, 'YYYY-MM-DD HH24:MI') || ' ', '') || points, ', ') FROM loyalty.lots_of($merchant, $account)") }

# "kind amount", in order, with the reserved points and the moments if asked
sub history
{
	my ($merchant, $account, $with_time) = @_;
	my $time = $with_time ? q{' at ' || to_char(posted_at, 'MM-DD HH24:MI:SS')} : 'NULL';
	return sql("SELECT string_agg(concat(kind, ' ', amount, ' reserved ' || reserved, $time), ', ' ORDER BY entry_no) FROM loyalty.entries WHERE merchant_id = $merchant AND account_id = $account");
}

# Run each piece of code in a process of its own, all released at one moment;
# what they return, as texts, in their order.
sub at_once
{
	my @pieces = @_;
	pipe my $gate, my $opener or die "pipe: $!\n";
	my @children;
	for my $piece (@pieces)
	{
		pipe my $in, my $out or die "pipe: $!\n";
		my $pid = fork // die "fork: $!\n";
		if (!$pid)
		{
			close $opener;
			sysread $gate, my $nothing, 1;
			print {$out} eval { $piece->() } // "died: $@";
			close $out;
			POSIX::_exit(0);
		}
		close $out;
		push @children, [$pid, $in];
	}
	close $gate;
	close $opener;
	local $/;
	return map { my ($pid, $in) = @$_; my $text = <$in> // ''; waitpid $pid, 0; $text } @children;
}

# --- when points expire ----------------------------------------------------------------

# Terms, zone, when they were posted, when they expire; both UTC.
my $merchant = merchant();
my %rolling = map { my ($value, $unit) = split / /; ($_ => {duration_value => $value, duration_unit => $unit}) } '1 day', '30 day', '1 month', '3 month', '6 month', '1 year', '4 year', '0 day', '10 day';
for my $case (
	['1 day, in the middle of the day', $rolling{'1 day'}, 'UTC', '2024-05-10 13:00', '2024-05-12 00:00'],
	['1 day, just before midnight', $rolling{'1 day'}, 'UTC', '2024-05-10 23:59:30', '2024-05-12 00:00'],
	['1 day, at midnight', $rolling{'1 day'}, 'UTC', '2024-05-11 00:00', '2024-05-13 00:00'],
	['1 month from 31 January', $rolling{'1 month'}, 'UTC', '2023-01-31 12:00', '2023-03-01 00:00'],
	['1 month from 31 January of a leap year', $rolling{'1 month'}, 'UTC', '2024-01-31 12:00', '2024-03-01 00:00'],
	['1 month from 30 January', $rolling{'1 month'}, 'UTC', '2023-01-30 12:00', '2023-03-01 00:00'],
	['1 month from 28 January', $rolling{'1 month'}, 'UTC', '2023-01-28 12:00', '2023-03-01 00:00'],
	['1 month from 27 January', $rolling{'1 month'}, 'UTC', '2023-01-27 12:00', '2023-02-28 00:00'],
	['1 month from 29 February', $rolling{'1 month'}, 'UTC', '2024-02-29 12:00', '2024-03-30 00:00'],
	['3 months from 30 November', $rolling{'3 month'}, 'UTC', '2023-11-30 12:00', '2024-03-01 00:00'],
	['6 months from 31 August', $rolling{'6 month'}, 'UTC', '2022-08-31 12:00', '2023-03-01 00:00'],
	['1 year from 29 February', $rolling{'1 year'}, 'UTC', '2024-02-29 12:00', '2025-03-01 00:00'],
	['4 years from 29 February', $rolling{'4 year'}, 'UTC', '2020-02-29 12:00', '2024-03-01 00:00'],
	['30 days, an evening in Mexico', $rolling{'30 day'}, 'America/Mexico_City', '2024-02-01 05:30', '2024-03-02 06:00'],
	['30 days, a night in Mexico', $rolling{'30 day'}, 'America/Mexico_City', '2024-02-01 06:10', '2024-03-03 06:00'],
	['end of month', {expiry => 'month_end'}, 'UTC', '2024-02-10 12:00', '2024-03-01 00:00'],
	['end of month, at its end', {expiry => 'month_end'}, 'UTC', '2024-02-29 23:59:30', '2024-03-01 00:00'],
	['end of month, at its beginning', {expiry => 'month_end'}, 'UTC', '2024-03-01 00:00', '2024-04-01 00:00'],
	['end of month, 31 January in Mexico', {expiry => 'month_end'}, 'America/Mexico_City', '2024-02-01 05:30', '2024-02-01 06:00'],
	['end of the next month, 31 January', {expiry => 'month_end', %{$rolling{'1 month'}}}, 'UTC', '2024-01-31 12:00', '2024-03-01 00:00'],
	['end of the month in 10 days', {expiry => 'month_end', %{$rolling{'10 day'}}}, 'UTC', '2024-01-25 12:00', '2024-03-01 00:00'],
	['end of quarter, at the beginning of the year', {expiry => 'quarter_end'}, 'UTC', '2024-01-01 00:00', '2024-04-01 00:00'],
	['end of quarter, at its end', {expiry => 'quarter_end'}, 'UTC', '2024-03-31 23:59:30', '2024-04-01 00:00'],
	['end of quarter, at its beginning', {expiry => 'quarter_end'}, 'UTC', '2024-04-01 00:00', '2024-07-01 00:00'],
	['end of quarter in Madrid, which has moved its clocks on 31 March', {expiry => 'quarter_end'}, 'Europe/Madrid', '2024-02-01 12:00', '2024-03-31 22:00'],
	['end of the quarter in 3 months, 30 November', {expiry => 'quarter_end', %{$rolling{'3 month'}}}, 'UTC', '2023-11-30 12:00', '2024-04-01 00:00'],
	['end of the quarter in 1 day, 31 December', {expiry => 'quarter_end', %{$rolling{'1 day'}}}, 'UTC', '2023-12-31 12:00', '2024-04-01 00:00'],
	['end of year, at its end', {expiry => 'year_end'}, 'UTC', '2023-12-31 23:59:30', '2024-01-01 00:00'],
	['end of year, at its beginning', {expiry => 'year_end'}, 'UTC', '2024-01-01 00:00', '2025-01-01 00:00'],
	['end of the next year, 29 February', {expiry => 'year_end', %{$rolling{'1 year'}}}, 'UTC', '2024-02-29 12:00', '2026-01-01 00:00'],
	['end of the year in 1 day, 31 December', {expiry => 'year_end', %{$rolling{'1 day'}}}, 'UTC', '2023-12-31 12:00', '2025-01-01 00:00'],
	['end of year, where it comes first', {expiry => 'year_end'}, 'Pacific/Kiritimati', '2023-12-31 09:30', '2023-12-31 10:00'],
	['end of year, where it has come', {expiry => 'year_end'}, 'Pacific/Kiritimati', '2023-12-31 10:00', '2024-12-31 10:00'],
	['fixed date', {expiry => 'fixed', expiry_date => '2024-06-30'}, 'America/Mexico_City', '2024-01-01 12:00', '2024-07-01 06:00'],
	['fixed date, on its last evening', {expiry => 'fixed', expiry_date => '2024-06-30'}, 'America/Mexico_City', '2024-07-01 05:59:30', '2024-07-01 06:00'],
	['fixed date, after it', {expiry => 'fixed', expiry_date => '2024-06-30'}, 'America/Mexico_City', '2024-07-01 06:00', undef],
	['fixed date, long after it', {expiry => 'fixed', expiry_date => '2024-06-30'}, 'America/Mexico_City', '2025-01-01 06:00', undef],
	['no duration', $rolling{'0 day'}, 'UTC', '2024-01-01 12:00', undef],

	['the last day before New York goes over to summer time', $rolling{'1 day'}, 'America/New_York', '2024-03-08 17:00', '2024-03-10 05:00'],
	['the day New York does', $rolling{'1 day'}, 'America/New_York', '2024-03-10 04:30', '2024-03-11 04:00'],
	['the first day of summer time in New York', $rolling{'1 day'}, 'America/New_York', '2024-03-10 07:00', '2024-03-12 04:00'],
	['until a time that New York has not', $rolling{'1 month'}, 'America/New_York', '2024-02-10 07:30', '2024-03-11 04:00'],
	['the last day before New York goes back', $rolling{'1 day'}, 'America/New_York', '2024-11-01 16:00', '2024-11-03 04:00'],
	['the day New York does, of 25 hours', $rolling{'1 day'}, 'America/New_York', '2024-11-03 03:00', '2024-11-04 05:00'],
	['half past one in New York', $rolling{'1 day'}, 'America/New_York', '2024-11-03 05:30', '2024-11-05 05:00'],
	['half past one in New York, the second time', $rolling{'1 day'}, 'America/New_York', '2024-11-03 06:30', '2024-11-05 05:00'],
	['until a midnight that Santiago has not', $rolling{'1 day'}, 'America/Santiago', '2024-09-06 16:00', '2024-09-08 04:00'],
	['the last half an hour before it', $rolling{'1 day'}, 'America/Santiago', '2024-09-08 03:30', '2024-09-09 03:00'],
	['until Santiago has 11 p.m. twice', $rolling{'1 day'}, 'America/Santiago', '2024-04-05 15:00', '2024-04-07 04:00'],
	['until a midnight that Cairo has not', $rolling{'1 day'}, 'Africa/Cairo', '2024-04-24 10:00', '2024-04-25 22:00'],
	['end of a month that is an hour longer in Cairo', {expiry => 'month_end'}, 'Africa/Cairo', '2024-10-10 10:00', '2024-10-31 22:00'],
	['until a day that Apia has not', $rolling{'1 day'}, 'Pacific/Apia', '2011-12-28 22:00', '2011-12-30 10:00'],
	['by quarters of an hour', $rolling{'1 day'}, 'Pacific/Chatham', '2024-06-01 11:20', '2024-06-03 11:15'],
	)
{
	my ($name, $terms, $zone, $posted, $expires) = @$case;
	at($posted);
	my $account = account($merchant, program($merchant, time_zone => $zone, %$terms));
	post($merchant, $account, 'deposit', '10');
	is lots($merchant, $account), ($expires ? "$expires 10" : '10'), "$name: the date";
	at($expires // '2100-01-01 00:00', -15);
	is has($merchant, $account), '10', "$name: until then" if $expires;
	at($expires // '2100-01-01 00:00');
	is has($merchant, $account), ($expires ? '0 expired 10' : '10'), $name;
}

# --- points past their date are nowhere ---------------------------------------------------

{
	at('2024-05-01 18:00');
	my $m = merchant();
	my $program = program($m, duration_value => 30, duration_unit => 'day');
	my ($wallet, $id) = split /\|/, sql("SELECT wallet_key, client_id FROM loyalty_internal.program WHERE program_id = $program");
	my $staff = sql("SELECT loyalty.employee_add($m, 'cajero', 'Ana', 'Centro', '4771000001', 'secreto')");
	my ($b, $c) = map { sql("SELECT loyalty.seller_member_create($m, '$id', '$_\@correo.example', 'B', 'B', client_id => '$_', phone => '55123400$_') ->> 'id'") } 10, 11;
	my $other = account($m, $program);
	post($m, $_, 'deposit', '100') for $b, $c;
	at('2024-05-11 18:00');
	post($m, $_, 'accrue', '50') for $b, $c;
	at('2024-05-21 18:00');
	post($m, $_, 'redeem', '30') for $b, $c;
	at('2024-06-01 06:00', -15);
	is has($m, $b), '120', 'the last evening of 100 points, of which 30 were spent';
	at('2024-06-01 06:00');

	my %shown = (
		'loyalty.balances' => "SELECT balance || ' ' || expired || ' ' || earned FROM loyalty.balances WHERE account_id = $b",
		'loyalty.members' => "SELECT balance || ' ' || expired || ' ' || earned FROM loyalty.members WHERE account_id = $b",
		'account_state' => "SELECT balance || ' ' || expired || ' ' || earned FROM loyalty_internal.account_state($m, $b, now())",
	);
	is sql($shown{$_}), '50 70 150', "$_ shows 50 points" for sort keys %shown;
	is sql("SELECT x ->> 'balance' || ' ' || (x ->> 'expiredAmount') FROM loyalty.$_($m, '$id', '10') x"), '50 70', "$_ does" for qw(seller_member_balance seller_member_get);
	is sql("SELECT string_agg(x ->> 'balance', ' ') FROM loyalty.seller_member_list($m, '$id') x"), '50 50', 'member_list does';
	is sql("SELECT contact_balance FROM loyalty.wallet_contact_get($m, '$wallet', '5512340010')"), '50', 'wallet_contact_get does';
	is sql("SELECT string_agg(contact_balance::text, ' ') FROM loyalty.wallet_contact_get($m, '$wallet')"), '50 50', 'of all contacts too';
	is sql("SELECT loyalty.balance_at($m, $b, now())"), '50', 'balance_at does';
	is lots($m, $b), '2024-06-11 06:00 50', 'lots_of does';

	my %spent = (
		'loyalty.post' => [LY001 => "SELECT loyalty.post($m, $b, 'redeem', '50.0001')"],
		'a correction' => [LY001 => "SELECT loyalty.post($m, $b, 'adjust', '-50.0001')"],
		'loyalty.hold' => [LY001 => "SELECT loyalty.hold($m, $b, '50.0001')"],
		'loyalty.transfer' => [LY001 => "SELECT loyalty.transfer($m, $b, $other, '50.0001')"],
		'wallet_sale' => [LR010 => "SELECT loyalty.wallet_sale($m, '$wallet', '5512340010', 1, NULL, 50.01, $staff)"],
		'wallet_balance_update' => [LU007 => "SELECT loyalty.wallet_balance_update($m, '$wallet', '5512340010', 1, 50.01, $staff)"],
	);
	is outcome($spent{$_}[1]), $spent{$_}[0], "$_ cannot have more" for sort keys %spent;
	is sql("SELECT entry_no || ' ' || balance FROM loyalty_internal.account WHERE account_id = $b"), '3 120', 'although nothing was booked';
	is sql("SELECT loyalty.seller_redemption($m, '{\"programId\":\"$id\",\"memberId\":\"10\",\"amount\":51,\"amountCurrency\":51,\"comments\":\"x\"}') -> 0 ->> 'description'"),
		'El miembro no tiene puntos suficientes', 'redemption cannot';
	is sql("SELECT string_agg(coalesce(error, balance::text), ' ') FROM loyalty.post_batch($m, ARRAY[$c, $c, $c, $c], '{redeem,hold,transfer,redeem}', '{51,51,51,1}', to_account_id => ARRAY[NULL, NULL, $other, NULL])"),
		'insufficient_points insufficient_points insufficient_points 49', 'nor a batch';
	is history($m, $c), 'deposit 100, accrue 50, redeem -30, expire -70, redeem -1', 'which books it first, once';

	is sql("SELECT loyalty.wallet_sale($m, '$wallet', '5512340010', 1, NULL, 49.5, $staff)"), '0.5', 'what is left can be spent';
	is history($m, $b), 'deposit 100, accrue 50, redeem -30, expire -70, redeem -49.5', 'the expiry is booked before it';
	is has($m, $b), '0.5 expired 70', 'and not counted twice';
	is sql("SELECT loyalty.expire_due($m)"), '0', 'nothing is left to book';
	at('2024-06-11 06:00');
	is has($m, $b), '0 expired 70.5', 'the rest expires';
	is post($m, $b, 'deposit', '5'), '7 5', 'a deposit finds an empty account';
	is history($m, $b), 'deposit 100, accrue 50, redeem -30, expire -70, redeem -49.5, expire -0.5, deposit 5', 'and books that';
	is sql("SELECT loyalty.seller_deposit($m, '[{\"programId\":\"$id\",\"memberId\":\"11\",\"amount\":1,\"comments\":\"x\"},{\"programId\":\"$id\",\"memberId\":\"11\",\"amount\":2,\"comments\":\"x\"}]') #>> '{1,totalPoints}'"),
		'3', 'deposits of a batch see the balance without it';
	is has($m, $c), '3 expired 119', 'booked once for both';
}

# --- a job books it, in steps ----------------------------------------------------------------

{
	at('2024-01-10 12:00');
	my ($m, $n) = map { merchant() } 1 .. 2;
	my $program = program($m, duration_value => 1, duration_unit => 'day', time_zone => 'UTC');
	my @accounts = map { account($m, $program) } 1 .. 7;
	my $theirs = account($n, program($n, duration_value => 1, duration_unit => 'day', time_zone => 'UTC'));
	my $spent = account($m, $program);
	my $later = account($m, $program);
	post($m, $accounts[$_], 'deposit', $_ + 1) for 0 .. 6;
	post($n, $theirs, 'deposit', '9');
	post($m, $spent, 'deposit', '3');
	post($m, $spent, 'redeem', '3');
	post($m, $later, 'deposit', '4', {expires_at => '2024-02-01 00:00+00'});
	at('2024-01-12 00:00', -15);
	is sql("SELECT loyalty.expire_due($m)"), '0', 'before midnight nothing is due';
	at('2024-01-12 00:00');
	is sql("SELECT loyalty.expire_due($m, 3)"), '3', 'a job takes at most three accounts' for 1, 2;
	is sql("SELECT count(DISTINCT account_id) FROM loyalty.entries WHERE merchant_id = $m AND kind = 'expire'") >= 5, 1, 'others each time';
	like sql("SELECT loyalty.expire_due($m, 3)"), qr/^[12]$/, 'then the rest';
	is sql("SELECT loyalty.expire_due($m, 3)"), '0', 'then none' for 1, 2;
	is history($m, $accounts[$_]), "deposit @{[$_ + 1]}, expire -@{[$_ + 1]}", "account $_ is booked, once" for 0 .. 6;
	is history($m, $spent), 'deposit 3, redeem -3', 'what was spent is not';
	is history($m, $later), 'deposit 4', 'nor what is not yet due';
	is history($n, $theirs), 'deposit 9', 'nor another merchant\'s';
	is has($n, $theirs), '0 expired 9', 'which does not count either';
	is sql("SELECT loyalty.expire_due($n, 100000)"), '1', 'until it is';
	at('2024-02-01 00:00');
	is sql("SELECT loyalty.expire_due($m, 1)"), $_, "another day: $_" for 1, 0;
	is history($m, $later), 'deposit 4, expire -4', 'the last one is booked';
}

# Who is posting to an account is left alone, and books it.
{
	at('2024-01-10 12:00');
	my $m = merchant();
	my $program = program($m, duration_value => 1, duration_unit => 'day', time_zone => 'UTC');
	my ($a, $b) = map { account($m, $program) } 1 .. 2;
	post($m, $_, 'deposit', '10') for $a, $b;
	at('2024-01-12 00:00');
	my $holder = $stack->connect_async;
	$holder->query("BEGIN; SELECT loyalty.post($m, $a, 'deposit', '1')");
	$session->query(q{SET lock_timeout = '5s'});
	is sql("SELECT loyalty.expire_due($m)"), '1', 'expire_due waits for nobody';
	$holder->query('ROLLBACK');
	is sql("SELECT loyalty.expire_due($m)"), '1', 'what was rolled back is due again';
	is sql("SELECT loyalty.expire_due($m)"), '0', 'once';
	$session->query('RESET lock_timeout');
	$holder->close;
	is history($m, $_), 'deposit 10, expire -10', 'each is booked once' for $a, $b;
}

# Many jobs beside many who post.
{
	at('2024-01-10 12:00');
	my $m = merchant();
	my $program = program($m, duration_value => 1, duration_unit => 'day', time_zone => 'UTC');
	my @accounts = split /\n/, sql("SELECT loyalty.open_account($m, $program) FROM generate_series(1, 300)");
	my $all = 'ARRAY[' . join(',', @accounts) . ']::bigint[]';
	sql("SELECT count(*) FROM loyalty.post_batch($m, $all, '{deposit}', array_fill('10'::loyalty.points, '{300}'))");
	at('2024-01-12 00:00');
	my $job = sub {
		my $max = shift;
		my ($connection, $sum) = ($stack->connect_async, 0);
		while (my $n = $connection->query("SELECT loyalty.expire_due($m, $max)")) { return $n if $n =~ /\D/; $sum += $n }
		$connection->close;
		return $sum;
	};
	my $poster = sub {
		my $step = shift;
		my ($connection, @errors) = ($stack->connect_async);
		for my $i (0 .. 149)
		{
			my ($one, $two) = @accounts[$i * $step % 300, ($i * $step + 17) % 300];
			my $answer = $connection->query($i % 3 ? "SELECT loyalty.post($m, $one, 'deposit', '1', expires_at => 'infinity')"
				: "SELECT count(error) FROM loyalty.post_batch($m, ARRAY[$two, $one], '{deposit}', '{1,1}', expires_at => '{infinity,infinity}')");
			push @errors, $answer if $answer =~ /ERROR/ || !($i % 3) && $answer ne '0';
		}
		$connection->close;
		return join "\n", @errors;
	};
	my @answers = at_once(map({ my $max = $_; sub { $job->($max) } } 2, 5), map { my $step = $_; sub { $poster->($step) } } 7, 293);
	is join('', @answers[2, 3]), '', 'two post while two jobs book what is due';
	cmp_ok $answers[0] + $answers[1], '<=', 300, 'the jobs took no account twice';
	is sql("SELECT loyalty.expire_due($m)"), '0', 'and left none';
	is sql("SELECT count(*) || ' of ' || count(DISTINCT account_id) || ' of ' || sum(amount::numeric) FROM loyalty.entries WHERE merchant_id = $m AND kind = 'expire'"),
		'300 of 300 of -3000', 'each account was booked once';
	is sql("SELECT sum(balance::numeric) || ' ' || sum(expired::numeric) FROM loyalty.balances WHERE merchant_id = $m"), '400 3000', 'what was posted meanwhile is all there';
}

# --- pending points --------------------------------------------------------------------------

{
	at('2024-03-01 12:00');
	my $m = merchant();
	my $program = program($m, duration_value => 10, duration_unit => 'day', time_zone => 'America/New_York');
	my $a = account($m, $program);
	post($m, $a, 'deposit', '7', {expires_at => 'infinity'});
	is post($m, $a, 'deposit', '20', {available_at => '2024-03-05 09:30:00.5+00'}), '2 7', 'points for a later day';
	is has($m, $a), '7 pending 20', 'are pending';
	is post($m, $a, 'redeem', '7.0001'), 'LY001', 'and cannot be spent';
	is call('hold', $m, $a, '7.0001'), 'LY001', 'nor held';
	is balance_at($m, $a, $_->[0]), $_->[1], "foreseen for $_->[0]" for ['2024-03-05 09:30:00.499999+00', 7], ['2024-03-05 09:30:00.5+00', 27], ['2024-03-16 04:00+00', 7];
	at('2024-03-05 09:30', -15);
	is has($m, $a), '7 pending 20', 'until that day';
	is post($m, $a, 'redeem', '7.0001'), 'LY001', 'they still cannot be spent';
	at('2024-03-05 09:30', 1);
	is has($m, $a), '27', 'then they are there';
	is sql("SELECT earned FROM loyalty.balances WHERE account_id = $a"), '27', 'and earned';
	is lots($m, $a), '2024-03-16 04:00 20, 7', 'for ten days from that one';
	is post($m, $a, 'redeem', '1'), '4 26', 'and can be spent, although no job ran';
	is history($m, $a), 'deposit 7, deposit 0 reserved 20, mature 20 reserved -20, redeem -1', 'which books them first';
	is sql("SELECT posted_at = '2024-03-05 09:30:00.5+00' FROM loyalty.entries WHERE account_id = $a AND kind = 'mature'"), 't', 'at their moment';

	# what is due in between is booked in the order of time
	at('2024-03-06 12:00');
	post($m, $a, 'deposit', $_->[0], {expires_at => $_->[1], $_->[2] ? (available_at => $_->[2]) : ()})
		for ['1', '2024-03-07 00:00+00', ''], ['2', '2024-03-09 00:00+00', '2024-03-08 00:00+00'], ['4', '2024-03-10 00:00+00', '2024-03-07 00:00+00'], ['8', '2024-03-12 00:00+00', ''];
	at('2024-03-10 12:00');
	is has($m, $a), '34 expired 7', 'days later';
	is sql("SELECT loyalty.expire_due($m)"), '1', 'a job books it';
	is history($m, $a, 1) =~ s/.*deposit 8[^,]*, //r, 'expire -1 at 03-07 00:00:00, mature 4 reserved -4 at 03-07 00:00:00, mature 2 reserved -2 at 03-08 00:00:00, expire -6 at 03-10 12:00:00', 'in the order of time';

	# sales of a program that makes them wait
	at('2024-03-08 12:00');
	my $waiting = program($m, duration_value => 1, duration_unit => 'day', pending_days => 3, time_zone => 'America/New_York');
	my ($wallet) = sql("SELECT wallet_key FROM loyalty_internal.program WHERE program_id = $waiting");
	my $staff = sql("SELECT loyalty.employee_add($m, 'cajero', 'Ana', 'Centro', '4771000001', 'secreto')");
	sql("SELECT loyalty.wallet_contact_add($m, '$wallet', '5512340001', 'Ana', $staff)");
	my $w = sql("SELECT account_id FROM loyalty.members WHERE merchant_id = $m AND program_id = $waiting");
	is sql("SELECT loyalty.wallet_sale($m, '$wallet', '5512340001', 0, 100, NULL, $staff)"), '0', 'a sale';
	is sql("SELECT loyalty.wallet_balance_update($m, '$wallet', '5512340001', 0, 3, $staff)"), '3', 'a correction';
	is post($m, $w, 'deposit', '2'), '3 5', 'and a gift';
	is has($m, $w), '5 pending 10', 'of which only the sale is pending';
	is outcome("SELECT loyalty.wallet_sale($m, '$wallet', '5512340001', 1, NULL, 5.01, $staff)"), 'LR010', 'its points cannot be spent';
	at('2024-03-11 12:00', -15);
	is has($m, $w), '0 pending 10 expired 5', 'for three days';
	at('2024-03-11 12:00', 1);
	is has($m, $w), '10 expired 5', 'of 24 hours each, when the clocks are moved too';
	is sql("SELECT loyalty.wallet_sale($m, '$wallet', '5512340001', 1, NULL, 1, $staff)"), '9', 'then they can';
	is lots($m, $w), '2024-03-13 04:00 9', 'and last from then on';
}

# --- holds that time out -----------------------------------------------------------------------

{
	at('2024-07-01 12:00');
	my $m = merchant();
	my $program = program($m, duration_value => 10, duration_unit => 'day', time_zone => 'UTC');
	my ($a, $b) = map { account($m, $program) } 1 .. 2;
	post($m, $a, 'deposit', '100');
	is call('hold', $m, $a, '60', {release_at => '2024-07-02 08:00:00.25+00'}), '2 40', 'a hold for a day';
	is call('hold', $m, $a, '30'), '3 10', 'and one without an end';
	is call('capture', $m, $a, '2', '15'), '4 10', 'a part is captured';
	at('2024-07-02 08:00', -15);
	is has($m, $a), '10 held 75', 'until its end the rest is held';
	is post($m, $a, 'redeem', '10.0001'), 'LY001', 'and cannot be spent';
	at('2024-07-02 08:00', 1);
	is has($m, $a), '55 held 30', 'then it is back, although no job ran';
	is call($_, $m, $a, '2'), 'LY009', "there is nothing to $_ any more" for qw(capture release);
	is post($m, $a, 'redeem', '55'), '6 0', 'and all of it can be spent';
	is history($m, $a), 'deposit 100, hold -60 reserved 60, hold -30 reserved 30, capture 0 reserved -15, release 45 reserved -45, redeem -55', 'the release is booked first';
	is sql("SELECT posted_at = '2024-07-02 08:00:00.25+00' AND origin_entry_id = test.entry($a, 2) FROM loyalty.entries WHERE account_id = $a AND kind = 'release'"), 't', 'at its moment';
	at('2025-07-02 08:00');
	is has($m, $a), '0 held 30', 'the other is held for ever';
	is call('capture', $m, $a, '3', '10'), '7 0', 'and can be captured after the date of its points';
	is call('release', $m, $a, '3'), '8 0', 'what is released is past its date';
	is has($m, $a), '0 expired 20', 'and expires';
	is history($m, $a) =~ s/.*redeem -55, //r, 'capture 0 reserved -10, release 20 reserved -20, expire -20', 'at once';

	at('2024-07-01 12:00');
	post($m, $b, 'deposit', '10', {expires_at => '2024-07-03 00:00+00'});
	post($m, $b, 'deposit', '10', {expires_at => '2024-07-05 00:00+00'});
	call('hold', $m, $b, '15', {release_at => '2024-07-04 00:00+00'});
	at('2024-07-04 00:00', 1);
	is has($m, $b), '10 expired 10', 'a hold that times out gives back what is not past its date';
	is sql("SELECT loyalty.expire_due($m)"), '1', 'a job books it';
	is history($m, $b, 1) =~ s/.*hold[^,]*, //r, 'release 15 reserved -15 at 07-04 00:00:00, expire -10 at 07-04 00:00:01', 'the rest expires';
	is balance_at($m, $b, $_->[0]), $_->[1], "at $_->[0] there were $_->[1]" for ['2024-07-03 23:59:59', 5], ['2024-07-04 00:00:00', 10], ['2024-07-04 00:00:00.5', 10], ['2024-07-04 00:00:01.5', 10], ['2024-07-05 00:00', 0];
}

# --- what comes back after its date ----------------------------------------------------------------

for my $case ([0, undef], [1, '2024-08-06 06:00'], [5, '2024-08-10 06:00'])
{
	my ($days, $until) = @$case;
	at('2024-08-01 18:00');
	my $m = merchant();
	my $a = account($m, program($m, duration_value => 1, duration_unit => 'day', time_zone => 'America/Mexico_City', reinstatement_days => $days));
	post($m, $a, 'deposit', '50');
	post($m, $a, 'deposit', '30', {expires_at => '2024-08-05 06:00+00'});
	post($m, $a, 'deposit', '20', {expires_at => 'infinity'});
	my ($sale) = split / /, post($m, $a, 'redeem', '90');
	my ($hold) = split / /, call('hold', $m, $a, '10');
	at('2024-08-05 04:00');
	is has($m, $a), '0 held 10', "$days days: all is spent";
	is call('reverse', $m, $a, $sale, 'parte', '15'), '6 15', "$days days: a part comes back, what was taken last first";
	is lots($m, $a), '2024-08-05 06:00 5, 10', "$days days: with the date it had";
	is +(split / /, call('reverse', $m, $a, $sale, 'resto'))[1], ($days ? '90' : '40'), "$days days: the rest comes back, past its date or not";
	is has($m, $a), ($days ? '90 held 10' : '40 held 10 expired 50'), "$days days: that is what can be spent";
	is lots($m, $a), join(', ', '2024-08-05 06:00 30', $days ? "$until 50" : (), '10'), "$days days: until when";
	is history($m, $a) =~ s/.*reverse 15, //r, ($days ? 'reverse 75' : 'reverse 75, expire -50'), "$days days: in the ledger";
	at('2024-08-05 06:00');
	is has($m, $a), ($days ? '60 held 10 expired 30' : '10 held 10 expired 80'), "$days days: what has a date keeps it, whatever the window";
	next unless $days;
	at($until, -15);
	is post($m, $a, 'redeem', '1'), '9 59', "$days days: until the end of the last day they can be spent";
	at($until);
	is has($m, $a), '10 held 10 expired 79', "$days days: then they are gone";
	is post($m, $a, 'redeem', '10.0001'), 'LY001', "$days days: for good";
}

# --- what there was at any instant -------------------------------------------------------------------

# Two accounts with the same history: one is booked by a job at every turn, the
# other not before it has to be.
{
	at('2024-01-01 12:00');
	my %terms = (duration_value => 10, duration_unit => 'day', time_zone => 'America/Santiago', reinstatement_days => 2);
	my @twins = map { my $m = merchant(); my $program = program($m, %terms); [$m, account($m, $program), account($m, $program)] } 1 .. 2;
	my $both = sub {
		my ($function, @arguments) = @_;
		my @answers = map { call($function, @{$_}[0, 1], @arguments) } @twins;
		like $_, qr/^\d+ /, "the twins $function" for @answers;
		return (split / /, $answers[0])[0];
	};
	my (@moments, @seen);
	my $look = sub {
		my $moment = shift;
		at($moment);
		push @moments, $moment;
		push @seen, [map { has(@{$_}[0, 1]) } @twins];
		sql("SELECT loyalty.expire_due($twins[1][0])");
		push @{$seen[-1]}, has(@{$twins[1]}[0, 1]);
	};
	my %sale;
	my %deeds = (
		'2024-01-02' => sub { $both->('post', 'deposit', '100') },
		'2024-01-03' => sub { $both->('post', 'deposit', '40', {available_at => '2024-01-06 07:00+00'}) },
		'2024-01-04' => sub { $both->('hold', '30', {release_at => '2024-01-14 16:00+00'}) },
		'2024-01-05' => sub { $sale{a} = $both->('post', 'redeem', '25') },
		'2024-01-08' => sub { $both->('post', 'deposit', '7', {expires_at => '2024-01-09 01:00+00'}) },
		'2024-01-11' => sub { $both->('post', 'deposit', '60', {expires_at => '2024-01-14 09:00+00'}) },
		'2024-01-16' => sub { $both->('reverse', $sale{a}, 'parte', '10') },
		'2024-01-18' => sub { like call('transfer', @$_, '5'), qr/^\d+ 5$/, 'the twins transfer' for @twins },
		'2024-01-20' => sub { $both->('post', 'deposit', '80'); $both->('post', 'deposit', '9', {available_at => '2024-02-02 00:00+00', expires_at => '2024-02-03 00:00+00'}) },
	);
	for my $day (map { sprintf '2024-01-%02d', $_ } 2 .. 20)
	{
		$look->("$day $_") for '02:59:50', '03:00', '11:00';
		$deeds{$day}->() if $deeds{$day};
		$look->("$day $_") for '12:00', '20:00';
	}
	my @ahead = map { ("2024-$_ 02:59:50", "2024-$_ 03:00", "2024-$_ 12:00") } '01-21', '01-25', '01-30', '01-31', '02-01', '02-02', '02-03', '02-04';
	my %foreseen = map { my $moment = $_; ($moment => [map { balance_at(@{$_}[0, 1], "$moment+00") } @twins]) } @ahead;
	my @booked = map { sql("SELECT entry_no FROM loyalty_internal.account WHERE account_id = $_->[1]") } @twins;
	$look->($_) for @ahead;
	cmp_ok sql("SELECT entry_no FROM loyalty_internal.account WHERE account_id = $twins[1][1]"), '>', $booked[0], 'of two equal accounts a job has booked one';
	is sql("SELECT entry_no FROM loyalty_internal.account WHERE account_id = $twins[0][1]"), $booked[0], 'and not the other';

	is_deeply [map { $_->[0] } @seen], [map { $_->[1] } @seen], 'at all times both showed the same';
	is_deeply [map { $_->[2] } @seen], [map { $_->[1] } @seen], 'before the job and after it';
	cmp_ok scalar keys %{{map { $_->[0] => 1 } @seen}}, '>=', 15, 'and that was not always the same';
	my @then = map { $_->[0] =~ s/ .*//r } @seen;
	is_deeply [map { $foreseen{$_}[0] } @ahead], [@then[-@ahead .. -1]], 'as it was foreseen';
	is_deeply [map { $foreseen{$_}[1] } @ahead], [@then[-@ahead .. -1]], 'of both';

	# What was booked later than it was due may not change what there was; at a
	# look itself, something may just have been posted.
	my $past = sub { my $twin = shift; return [map { balance_at(@{$twin}[0, 1], "$_+00") } @moments] };
	is_deeply $past->($twins[$_]), \@then, 'what there was at each instant, ' . ('before it is booked', 'of the one that is')[$_] for 0, 1;
	at('2024-02-20 12:00');
	is_deeply $past->($twins[0]), \@then, 'the same later';
	is sql("SELECT loyalty.expire_due($twins[0][0])"), '2', 'a late job books it';
	is_deeply $past->($twins[0]), \@then, 'the same after that';
	call('post', @{$_}[0, 1], 'deposit', '1000') for @twins;
	at('2024-04-20 12:00');
	call('post', @{$_}[0, 1], 'deposit', '1000') for @twins;
	is_deeply $past->($twins[$_]), \@then, 'and after more has happened' for 0, 1;
	is balance_at(@{$twins[0]}[0, 1], '2024-01-02 11:00+00'), '0', 'before its first entry there was nothing';
	is balance_at(@{$twins[0]}[0, 1], 'infinity'), 'LY005', 'and infinity is no instant';
	is balance_at($twins[0][0], $twins[1][1], 'now'), 'LY002', 'nor another merchant\'s account one of this';
}

# To the microsecond, and right after a late booking.
{
	at('2024-01-01 12:00');
	my $m = merchant();
	my $a = account($m, program($m));
	post($m, $a, 'deposit', $_->[0], {expires_at => $_->[1]}) for ['1', '2024-01-02 00:00+00'], ['2', '2024-01-02 00:00:01+00'], ['4', '2024-01-03 00:00+00'], ['8', 'infinity'];
	my @expected = (['2024-01-01 23:59:59.999999', 15], ['2024-01-02 00:00:00', 14], ['2024-01-02 00:00:00.999999', 14], ['2024-01-02 00:00:01', 12], ['2024-01-02 23:59:59.999999', 12], ['2024-01-03 00:00:00', 8], ['2024-01-03 00:00:00.000001', 8]);
	my $all = sub { return [map { [$_->[0], balance_at($m, $a, "$_->[0]+00")] } @expected] };
	is_deeply $all->(), \@expected, 'foreseen to the microsecond';
	at('2024-01-05 12:00');
	is_deeply $all->(), \@expected, 'seen afterwards';
	is post($m, $a, 'redeem', '3'), '6 5', 'a late posting books it';
	is history($m, $a) =~ s/.*deposit 8, //r, 'expire -7, redeem -3', 'all in one entry';
	is_deeply $all->(), \@expected, 'which says when each was due';
	my $booked = sql("SELECT posted_at FROM loyalty.entries WHERE account_id = $a AND entry_no = 6");
	is sql("SELECT loyalty.balance_at($m, $a, '$booked')"), '5', 'from its moment on there is what it left';
	is sql("SELECT loyalty.balance_at($m, $a, '$booked'::timestamptz - interval '1 us')"), '8', 'and until then what there was';
	is sql("SELECT loyalty.balance_at($m, $a, '$booked'::timestamptz + interval '100 years')"), '5', 'for ever';
}

# --- how much falls due ------------------------------------------------------------------------------

# However many sales an account has, 2,000 of them are pending at most, so that a look at it is one at a bounded number of rows.
{
	at('2024-01-01 12:00');
	my $m = merchant();
	my $a = account($m, program($m, pending_days => 1));
	my $errors = sub {
		my ($n, $kind, $more) = @_;
		return sql("SELECT string_agg(n || ' ' || error, ', ' ORDER BY error DESC) FROM (SELECT coalesce(error, 'posted') AS error, count(*) AS n
			FROM loyalty.post_batch($m, array_fill($a\::bigint, ARRAY[$n]), '{$kind}', array_fill('1'::loyalty.points, ARRAY[$n])$more) GROUP BY 1) x");
	};
	my $sales = sub { return $errors->($_[0], 'accrue', ", money => array_fill('10'::loyalty.points, ARRAY[$_[0]])") };
	my $sale = sub { return call('post', $m, $a, 'accrue', '1', {money => 10}) };
	is $sales->(1500), '1500 posted', 'sales that are pending';
	is $sales->(1000), '500 posted, 500 limit_exceeded', 'are 2,000 of an account, and no more';
	is $sale->(), 'LY008', 'one by one neither';
	is post($m, $a, 'deposit', '1', {available_at => '2030-01-01'}), 'LY008', 'nor points that a call says are';
	is $errors->(10, 'deposit', ''), '10 posted', 'what is available at once is posted';
	is call('hold', $m, $a, '1', {release_at => '2024-01-02 12:00+00'}), 'LY008', 'a hold that times out waits as they do';
	is call('hold', $m, $a, '1'), '2011 9', 'one that does not is none of them';
	is sql("SELECT balance FROM loyalty.reverse($m, $a, test.entry($a, 1), reference => 'R', in_full => true)"), '9', 'a sale is refunded';
	is $sale->() =~ s/^\d+ //r, '9', 'then there is room for another';
	is $sale->(), 'LY008', 'but for one';
	is has($m, $a), '9 held 1 pending 2000', 'what was refused has changed nothing';
	at('2024-01-02 12:00', 60);
	is has($m, $a), '2009 held 1', 'a day later all are available';
	is $sale->() =~ s/^\d+ //r, '2009', 'and are booked with the next sale';
	is $sales->(2500), '1999 posted, 501 limit_exceeded', 'after which there is room for as many';
	is has($m, $a), '2009 held 1 pending 2000', 'which are pending';
	is sql("SELECT count(*) FROM loyalty.entries WHERE account_id = $a AND kind = 'mature'"), '2000', 'each has its entry';
}

# What a statement answers, and how many ticks of processor the session takes for it.
sub processor
{
	my $ticks = q{SELECT t[1]::integer + t[2]::integer FROM regexp_match(pg_read_file('/proc/self/stat'), '\) (?:\S+ ){11}(\d+) (\d+)') t};
	my $before = sql($ticks);
	return (sql(shift), sql($ticks) - $before);
}

# What is due at ever other moments is booked as fast as what is at one, where ranks ask what the program says at each.
SKIP:
{
	skip 'only Linux says what a process has taken', 7 unless -r '/proc/self/stat';
	my ($accounts, $each) = (120, 200);
	my @taken;
	for my $apart (0, 1)
	{
		at('2024-01-01 12:00');
		my $m = merchant();
		sql("SELECT loyalty.set_rank_ranges($m, 'g', '{bajo,alto}', '{0,100}')");
		my $p = program($m, range_group => 'g', rank_window_value => 1, rank_window_unit => 'year');
		sql("SELECT count(*) FROM (SELECT loyalty.open_account($m, $p) FROM generate_series(1, $accounts)) x");
		sql("SELECT count(*) FROM loyalty.post_batch($m, ARRAY(SELECT account_id FROM loyalty.balances, generate_series(1, $each) WHERE merchant_id = $m ORDER BY 1), '{deposit}',
			array_fill('1'::loyalty.points, ARRAY[$accounts * $each]), available_at => ARRAY(SELECT now() + interval '1 day' + $apart * i * interval '1 ms' FROM generate_series(1, $accounts * $each) i))");
		at('2024-01-03 12:00');
		my ($booked, $ticks) = processor("SELECT loyalty.expire_due($m, 1000)");
		is $booked, 100, 'after ten entries for each account that was asked for, no more are booked at once';
		push @taken, $ticks;
		is sql("SELECT loyalty.expire_due($m, 1000) || ' ' || loyalty.expire_due($m, 1000)"), '20 0', 'the rest is with the next call';
		is sql("SELECT loyalty.sum(balance) FROM loyalty.balances WHERE merchant_id = $m"), $accounts * $each, 'then all are available';
	}
	note "@taken ticks";
	cmp_ok $taken[1], '<', 3 * $taken[0], 'at ever other moments as fast';
}

# Accounts are booked in steps, each of which leaves no memory behind.
SKIP:
{
	skip 'only Linux says what a process has taken', 2 unless -r '/proc/self/status';
	my @merchants;
	at('2024-01-01 12:00');
	for my $accounts (1, 1000)
	{
		my $m = merchant();
		my $p = program($m);
		sql("SELECT count(*) FROM (SELECT loyalty.open_account($m, $p) FROM generate_series(1, $accounts)) x");
		sql("SELECT count(*) FROM loyalty.post_batch($m, ARRAY(SELECT account_id FROM loyalty.balances, generate_series(1, 10) WHERE merchant_id = $m), '{deposit}',
			array_fill('1'::loyalty.points, ARRAY[10 * $accounts]), available_at => array_fill('2024-01-02Z'::timestamptz, ARRAY[10 * $accounts]))");
		push @merchants, $m;
	}
	at('2024-01-03 12:00');
	my $other = $stack->connect_async;
	my @said = map { $other->query($_) } map { ("SELECT loyalty.expire_due($_, 10000)", q{SELECT (regexp_match(pg_read_file('/proc/self/status'), 'VmPeak:\s+(\d+)'))[1]}) } @merchants;
	$other->close;
	is "$said[0] $said[2]", '1 1000', 'what is due in 1,000 accounts';
	note $said[3] - $said[1], ' kB';
	cmp_ok $said[3] - $said[1], '<', 3072, 'is booked in little memory';
}

# --- statements by pages -----------------------------------------------------------------------------

{
	at('2024-01-01 12:00');
	my $m = merchant();
	my $a = account($m, program($m, duration_value => 1, duration_unit => 'day'));
	my $empty = account($m, program($m));
	post($m, $a, 'deposit', $_) for 1 .. 20;
	at('2024-01-05 12:00');
	post($m, $a, 'deposit', '30');
	my $page = sub { my ($before, @most) = @_; return outcome("SELECT string_agg(entry_no::text, ' ') FROM loyalty.statement($m, $a" . join('', map { ", $_" } defined $before ? "test.entry($a, $before)" : (), @most) . ')') };
	is $page->(), join(' ', reverse 1 .. 22), 'a statement is newest first';
	is $page->('NULL', 8), '22 21 20 19 18 17 16 15', 'its first page';
	post($m, $a, 'redeem', '1');
	is $page->(15, 8), '14 13 12 11 10 9 8 7', 'the second, although something was posted meanwhile';
	is $page->(7, 8), '6 5 4 3 2 1', 'the third';
	is $page->(1, 8), '', 'and no more';
	is $page->('NULL', 1), '23', 'the newest entry';
	is $page->(1000, 2), 'LY010', 'nor one before an entry that does not exist';
	is outcome("SELECT * FROM loyalty.statement($m, $empty, test.entry($a, 15))"), 'LY010', 'or is another account\'s';
	is sql("SELECT string_agg(kind || ' ' || amount || ' ' || balance, ', ') FROM loyalty.statement($m, $a, NULL, 3)"), 'redeem -1 29, deposit 30 30, expire -210 0', 'it says what entries say';
	is sql("SELECT count(*) FROM (SELECT s::text FROM loyalty.statement($m, $a, NULL, 10000) s EXCEPT ALL SELECT e::text FROM loyalty.entries e) x"), '0', 'all of it';
	is sql("SELECT count(*) FROM loyalty.statement($m, $empty)"), '0', 'an account without entries has none';
	is $page->('NULL', $_), 'LY005', "no page of $_" for 0, -1, 10001, 'NULL';
	is outcome("SELECT * FROM loyalty.statement($m, 42)"), 'LY002', 'nor of an account that does not exist';
	is outcome("SELECT * FROM loyalty.statement(@{[merchant()]}, $a)"), 'LY002', 'or is another merchant\'s';
}

is sql('SELECT * FROM loyalty.verify()'), '', 'the ledger is sound';
$session->close;
done_testing;
