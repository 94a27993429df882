# Sessions that post to the same accounts at once, while time passes: the ledger
# they leave is one that the model makes of the same operations in its order.
#
# A reference says how its operation was asked for, so that it can be done again.
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use Loyalty;
use Model;
use ModelReader;
use POSIX ();
use Test::More;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

use constant {SECOND => 1_000_000, HOUR => 3_600_000_000, DAY => 86_400_000_000, SESSIONS => 4, ACCOUNTS => 3};

my $operations = $ENV{LOYALTY_MODEL_OPERATIONS} // 500;
my $first_seed = $ENV{LOYALTY_MODEL_SEED} // 1;

my $stack = Loyalty->start(level => 'database', clock => 1, isolation => 'read committed');
$stack->set_clock(1_709_121_600 * SECOND);	# 2024-02-28 12:00 UTC
$stack->name_entries;
my $reader = reader($stack);

sub chance { return rand(100) < $_[0] }
sub one_of { return $_[rand @_] }

# --- one session ------------------------------------------------------------------

# What it does next: a function, its arguments, and the account it is about.
# It often chooses a hold or an entry that others choose too.
sub some_operation
{
	my ($run, $now, $newest, $expired) = @_;
	my ($id, $other) = map { one_of(@{$run->{accounts}}) } 1 .. 2;
	my $points = 1 + int rand 1_000_000;
	my $part = chance(40) ? undef : $points;
	my $later = $now + SECOND * int(60 + rand 3 * 86400);
	my ($known, $hold) = $newest->($id);
	my $entry_no = chance(70) ? $known - int rand 6 : 1 + int rand $known;
	my $dice = rand 100;
	return {f => 'post', id => $id, kind => one_of(qw(accrue deposit)), amount => $points, money => 1 + int rand 10_000_000,
		available_at => chance(25) ? $later : undef, expires_at => chance(25) ? $later + DAY : undef} if $dice < 30;
	return {f => 'post', id => $id, kind => one_of(qw(redeem adjust)), amount => -$points} if $dice < 42;
	return {f => 'hold', id => $id, amount => $points, expires_at => $later} if $dice < 56;
	return {f => one_of(qw(capture release)), id => $id, hold => $hold, amount => $part} if $dice < 70;
	return {f => 'transfer', id => $id, to => $other, amount => $points} if $dice < 82;
	$entry_no = $expired->($id) || $entry_no if $expired && chance(60);
	return {f => 'reverse', id => $id, entry_no => $entry_no, amount => $part} if $dice < 95;
	return {f => 'reverse', id => $id, entry_no => $entry_no, money => $points};
}

# What it is of, in SQL; undef if it is of no entry.
sub entry_of { my $o = shift; my $entry_no = $o->{hold} // $o->{entry_no}; return defined $entry_no ? "test.entry($o->{id}, $entry_no)" : undef }
sub asked { my $operation = shift; return join ';', map { "$_=$operation->{$_}" } grep { defined $operation->{$_} } sort keys %$operation }
sub asked_for { my ($text) = split /#/, shift; return {map { split /=/, $_, 2 } split /;/, $text} }

# In SQL what is redeemed is positive, and all there is has a name.
sub amount_of { my $o = shift; return defined $o->{kind} && $o->{kind} eq 'redeem' ? -$o->{amount} : $o->{amount} }
sub in_full { my $o = shift; return $o->{f} =~ /^(capture|release|reverse)$/ && !defined $o->{amount} && !defined $o->{money} }

sub statement_of
{
	my ($run, $o, $reference, $key) = @_;
	my $of = $o->{f};
	my %named = (reference => $reference, idempotency_key => $key, map { $_ => $o->{$_} }
			$of eq 'reverse' ? qw(amount money) : $of =~ /capture|release/ ? qw(amount) : $of eq 'post' ? qw(money available_at expires_at) : ());
	$named{release_at} = $o->{expires_at} if $of eq 'hold';
	$named{in_full} = 'true' if in_full($o);
	for my $name (grep { defined $named{$_} } keys %named)
	{
		$named{$name} = number($named{$name}) if $name =~ /amount|money/;
		$named{$name} = moment($named{$name}) if $name =~ /_at$/;
	}
	my @arguments = ($run->{merchant}, $o->{id},
		  $of eq 'post' ? ("'$o->{kind}'", "'" . number(amount_of($o)) . "'")
		: $of eq 'hold' ? ("'" . number($o->{amount}) . "'")
		: $of eq 'transfer' ? ($o->{to}, "'" . number($o->{amount}) . "'")
		: entry_of($o));
	return "SELECT format('R|%s|%s', coalesce(test.entry_no($o->{id}, entry_id), 0), balance) FROM loyalty.$of(" . join(', ', @arguments, map { "$_ => '$named{$_}'" }
		grep { defined $named{$_} } sort keys %named) . ')';
}

# Some of them in one call.
sub batch_of
{
	my ($run, @items) = @_;
	my @of = map { my $o = $_->[0]; +{%$o, kind => $o->{kind} // $o->{f}, reference => $_->[1]} } @items;
	return "SELECT format('B|%s|%s|%s', error, entry_id, balance) FROM loyalty.post_batch(" . join(', ', $run->{merchant},
		array('bigint', map { $_->{id} } @of), array('text', map { $_->{kind} } @of), array('loyalty.points', map { defined $_->{amount} ? number(amount_of($_)) : undef } @of),
		'reference => ' . array('text', map { $_->{reference} } @of), 'money => ' . array('loyalty.points', map { defined $_->{money} ? number($_->{money}) : undef } @of),
		(map { my $date = $_; "$date => " . array('timestamptz', map { defined $_->{$date} && $_->{f} eq 'post' ? moment($_->{$date}) : undef } @of) } qw(available_at expires_at)),
		'release_at => ' . array('timestamptz', map { $_->{f} eq 'hold' ? moment($_->{expires_at}) : undef } @of),
		'entry_id => ARRAY[' . join(', ', map { entry_of($_) // 'NULL' } @of) . ']::bigint[]', 'to_account_id => ' . array('bigint', map { $_->{to} } @of),
		'in_full => ' . array('boolean', map { in_full($_) ? 'true' : 'false' } @of)) . ') ORDER BY item';
}

# Lines of what was answered: account, entry_no, balance, SQLSTATE, key.
sub work
{
	my ($run, $number, $ticks) = @_;
	my $session = reader($stack);
	my $said = '';
	my $newest = sub {
		my $id = shift;
		my ($entry_no, $hold) = split /\|/, $session->query("SELECT greatest(entry_no, 1), (SELECT entry_no FROM loyalty_internal.reservation s
			WHERE s.merchant_id = $run->{merchant} AND s.account_id = $id AND s.remaining OPERATOR(loyalty.>) '0' ORDER BY s.entry_no DESC LIMIT 1)
			FROM loyalty_internal.account WHERE merchant_id = $run->{merchant} AND account_id = $id"), -1;
		return ($entry_no, $hold || 1);
	};
	# a sale of which points may have expired
	my $expired = sub {
		my $id = shift;
		return $session->query("SELECT e.entry_no FROM loyalty.entry e, loyalty.unnest_lots(e.lots) u, loyalty_internal.expired_lot l
			WHERE e.merchant_id = $run->{merchant} AND e.account_id = $id AND loyalty.entry_kind(e.kind) IN ('accrue', 'deposit')
			  AND l.merchant_id = $run->{merchant} AND l.account_id = $id AND l.expires_at = u.expires_at AND l.refunded OPERATOR(loyalty.<) l.points
			ORDER BY random() LIMIT 1");
	};
	for my $n (1 .. $operations)
	{
		# Every tenth is the same, under the same key, in two sessions.
		my $pair = $n % 10 == 0;
		# so that time passes as we get on
		syswrite $ticks, chr $number;
		srand($first_seed + ($pair ? 1_000_000 * (1 + int($number / 2)) + $n : 1000 * $number + $n));
		my $now = $pair ? $run->{begun} + 30 * DAY : $stack->clock_us;
		if ($n % 7 == 0)
		{
			my @items = map { [some_operation($run, $now, $newest, $expired)] } 1 .. 5;
			push @{$items[$_]}, asked($items[$_][0]) . "#$number.$n.$_" for 0 .. $#items;
			$said .= "0|||" . ($session->query(batch_of($run, @items)) =~ /ERROR:  (\w+)/ ? $1 : '') . "|\n";
			next;
		}
		my $o = some_operation($run, $now, $pair ? sub { (1, 1) } : ($newest, $expired));
		my $late;
		# What nothing can be in the way of, half the times that two do the same;
		# and a refund of what has expired, as soon as anything has.
		$o = {f => 'post', id => $o->{id}, kind => 'deposit', amount => 1 + int rand 1_000_000} if $n % 20 == 0;
		$o = {f => 'reverse', id => $o->{id}, entry_no => $late} if $n % 20 == 5 && ($late = $expired->($o->{id}));
		my $key = $pair ? 'pair' . int($number / 2) . ".$n" : undef;
		my $reference = asked($o) . '#' . ($key // "$number.$n");
		my $answer = $session->query(statement_of($run, $o, $reference, $key));
		my ($entry_no, $balance) = $answer =~ /^R\|(\d+)\|(\S+)$/m;
		my ($error) = $answer =~ /ERROR:  (\w+)/;
		$said .= join('|', $o->{id}, $entry_no // '', $balance // '', $error // '', $key // '') . "\n";
		$session->query("SELECT loyalty.expire_due($run->{merchant})") if chance(1);
	}
	$session->close;
	return $said;
}

# All sessions, until the last has ended.  Time passes here, as the slowest of
# them gets on, so that moments which sessions computed just before are never
# far off.
sub work_at_once
{
	my $run = shift;
	srand($first_seed);
	pipe my $ticks, my $ticker or die "pipe: $!\n";
	my @children;
	for my $number (0 .. SESSIONS - 1)
	{
		pipe my $in, my $out or die "pipe: $!\n";
		my $pid = fork // die "fork: $!\n";
		if (!$pid)
		{
			close $ticks;
			my $text = eval { work($run, $number, $ticker) } // "died: session $number: $@";
			close $ticker;
			print {$out} $text;
			close $out;
			POSIX::_exit(0);
		}
		close $out;
		push @children, [$pid, $in];
	}
	close $ticker;
	my @done = (0) x SESSIONS;
	my $moved = 0;
	while (sysread $ticks, my $some, 65536)
	{
		$done[ord]++ for split //, $some;
		my $slowest = (sort { $a <=> $b } @done)[0];
		while ($moved < 20 * DAY * $slowest / $operations)
		{
			my $us = int rand 3 * HOUR;
			$stack->advance_clock($us / SECOND);
			$moved += $us;
		}
	}
	local $/;
	my @answers = map { my ($pid, $in) = @$_; my $text = <$in> // ''; waitpid $pid, 0; $text } @children;
	die $_ for grep { /^died: / } @answers;
	return map { split /\n/ } @answers;
}

# --- the ledger once more -----------------------------------------------------------

# Do what an entry's reference asks for; the model's entries, by account.
sub do_again
{
	my ($deed, $o, $reference) = @_;
	my %o = (%$o, reference => $reference);
	return $deed->post($o->{id}, @o{qw(kind amount)}, map { $_ => $o{$_} } qw(money reference available_at expires_at)) if $o->{f} eq 'post';
	return $deed->hold($o->{id}, @o{qw(amount expires_at)}, reference => $reference) if $o->{f} eq 'hold';
	return $deed->capture($o->{id}, @o{qw(hold amount)}, reference => $reference) if $o->{f} eq 'capture';
	return $deed->release($o->{id}, @o{qw(hold amount)}, reference => $reference) if $o->{f} eq 'release';
	return $deed->transfer($o->{id}, @o{qw(to amount)}, reference => $reference) if $o->{f} eq 'transfer';
	return $deed->reverse($o->{id}, $o->{entry_no}, $reference, amount => $o->{amount}, money => $o->{money});
}

# Whether the entries that the model made are the next ones; then they are read.
sub same_entries
{
	my ($run, $deed) = @_;
	my $difference = '';
	for my $id (sort { $a <=> $b } keys %{$deed->{account}})
	{
		for my $expected ($deed->made($id))
		{
			my $got = shift @{$run->{ledger}{$id}};
			$difference .= differs("entry of $id", entry_text($expected), $got && entry_text($got));
		}
	}
	$run->{spared} += grep { $_->{gone} } map { $deed->made($_) } keys %{$deed->{account}};
	$run->{model}->commit($deed) if $difference eq '';
	return $difference;
}

# Read the next entry, and those that belong to it; undef: nothing can be read.
sub replay_one
{
	my $run = shift;
	for my $id (@{$run->{accounts}})
	{
		my $entry = $run->{ledger}{$id}[0] or next;
		my $deed = $run->{model}->begin($entry->{at});
		my $settles = !defined $entry->{reference} || $entry->{reference} eq '';
		if (!$settles)
		{
			my $o = asked_for($entry->{reference});
			my @ids = grep { defined && $_ ne '' } $id, $entry->{peer};
			my @late = grep { my $head = $run->{ledger}{$_}[0]; !$head || $head->{reference} ne $entry->{reference} } @ids;
			next if @late;
			my $error = eval { do_again($deed, $o, $entry->{reference}); 1 } ? '' : $@;
			return "the model refuses with $error  " . entry_text($entry) . "\n" if $error;
		}
		else
		{
			$deed->book_due($id);
			return "nothing is due\n  " . entry_text($entry) . "\n" unless $deed->made($id);
		}
		return same_entries($run, $deed);
	}
	return;
}

sub read_ledger
{
	my $run = shift;
	my $ids = array('bigint', @{$run->{accounts}});
	my $answer = parse($reader->query("EXECUTE made($run->{merchant}, $ids, " . array('bigint', map { 0 } @{$run->{accounts}})
		. ");\nEXECUTE seen($run->{merchant}, $ids)"));
	$run->{ledger} = $answer->{made};
	$run->{entries} = {map { my $id = $_; map { ("$id $_->{entry_no}" => $_) } @{$answer->{made}{$id}} } keys %{$answer->{made}}};
	$run->{seen} = $answer->{seen};
	$run->{now} = $answer->{now};
	return;
}

sub start_run
{
	my ($name, $terms) = @_;
	my %program = (zone => 'UTC', expiry => 'rolling', unit => 'day', value => 0, shortfall => 'refuse', reinstatement => 0, pending => 0, decimals => 2,
		rounding => 'half_up', %$terms);
	my ($merchant, $program) = split /\|/, $reader->query("SELECT loyalty.create_merchant('$name') AS m \\gset
		SELECT :m, program_id FROM loyalty.create_program(:m, 'P', 'P')");
	$reader->query("SELECT loyalty.configure_program($merchant, loyalty.find_program($merchant, 'P'), json_build_object('duration_unit', 'day', 'duration_value', $program{value}, 'time_zone', '$program{zone}', 'shortfall', '$program{shortfall}', 'reinstatement_days', $program{reinstatement}))");
	my $run = {merchant => $merchant, model => Model->new, begun => $stack->clock_us};
	for (1 .. ACCOUNTS)
	{
		push @{$run->{accounts}}, $reader->query("SELECT loyalty.open_account($merchant, $program)");
		$run->{model}->open($run->{accounts}[-1], \%program, $run->{begun});
	}
	return $run;
}

for my $test (['never, refuse', {}], ['2 days, partial, reinstated for 1', {value => 2, shortfall => 'partial', reinstatement => 1}],
	['1 day, negative', {value => 1, shortfall => 'negative', zone => 'America/Mexico_City'}])
{
	my ($name, $terms) = @$test;
	my $run = start_run($name, $terms);
	my @said = map { [split /\|/, $_, -1] } work_at_once($run);
	read_ledger($run);

	my %codes = map { $_->[3] => 1 } @said;
	is join(' ', sort grep { !/^(|LY001|LY004|LY005|LY009|LY010|LY011|LY013)$/ } keys %codes), '', "$name: nobody is refused for no reason";
	# the balance is the one after what had to expire at once, if anything had
	my @lost = grep {
		my ($id, $entry_no, $balance) = @$_;
		my ($entry, $next) = map { $run->{entries}{"$id $_"} } $entry_no || 0, ($entry_no || 0) + 1;
		$entry_no ne '' && !($entry && grep { $_ && $_->{at} == $entry->{at} && $_->{balance} == ticks($balance) } $entry, $next)
	} @said;
	is scalar(@lost), 0, "$name: every answer names an entry and the balance after it";
	my %answers;
	push @{$answers{$_->[4]}}, "$_->[1] $_->[2]" for grep { $_->[4] ne '' && $_->[1] ne '' } @said;
	is scalar(grep { my ($first, @others) = @$_; grep { $_ ne $first } @others } values %answers), 0, "$name: one key has one answer";
	cmp_ok scalar(grep { @$_ == 2 } values %answers), '>=', $operations / 20, "$name: and many were sent twice";
	my %entries;
	for my $place (keys %{$run->{entries}})
	{
		my ($id) = split / /, $place;
		my $reference = $run->{entries}{$place}{reference};
		$entries{$1}++ if $reference =~ /#(pair.*)/ && asked_for($reference)->{id} == $id;
	}
	is_deeply \%entries, {map { $_ => 1 } keys %answers}, "$name: each key posted once";

	my ($n, $difference) = (0, '');
	while (defined(my $here = replay_one($run)))
	{
		$difference = $here and last;
		$n++;
	}
	is $difference, '', "$name: the model makes the same ledger" or diag "after $n operations";
	is scalar(map { @$_ } values %{$run->{ledger}}), 0, "$name: and all of it ($n operations)";
	cmp_ok $n, '>=', SESSIONS * $operations / 3, "$name: which is long";
	cmp_ok $run->{spared}, '>=', $operations / 100, "$name: with refunds of points that had expired" if $terms->{value};
	for my $id (@{$run->{accounts}})
	{
		my ($expected, $got) = ($run->{model}->seen($id, $run->{now}), $run->{seen}{$id});
		$expected->{earned} = undef unless defined $got->{earned};
		is seen_text($got), seen_text($expected), "$name: an account ends as in the model";
	}
	is $reader->query("SELECT * FROM loyalty.verify($run->{merchant}) LIMIT 20"), '', "$name: the ledger is sound";
}
unlike $stack->server_log, qr/deadlock detected/, 'there was no deadlock';
$reader->close;
done_testing;
