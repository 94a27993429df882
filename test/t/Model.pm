# Model.pm - the rules of the points engine, once more, as plainly as possible.
#
# Accounts are hashes, points are whole ten-thousandths, moments microseconds
# since 1970.  Nothing here asks a database.  A test runs the same operations
# here and there and compares.
#
#     my $model = Model->new;
#     my $program = {zone => 'UTC', expiry => 'rolling', unit => 'day', value => 30,
#         shortfall => 'refuse', reinstatement => 0, pending => 0, decimals => 2, rounding => 'half_up'};
#     $model->open($account_id, $program, $now);
#     my $deed = $model->begin($now);
#     my ($version, $balance) = eval { $deed->post($account_id, 'accrue', 100_0000) };
#     # $@ is the SQLSTATE of what was refused
#     $model->commit($deed);
#
# What a deed changes are copies of the accounts until it is committed.
package Model;

use strict;
use warnings;

use Math::BigInt;
use POSIX ();

use constant {MOST => 9_223_372_036_854_775_807, NEVER => 9_223_372_036_854_775_807, SECOND => 1_000_000, DAY => 86_400_000_000, MAX_LOTS => 512};

sub new { my ($class) = @_; return bless {account => {}}, $class }

sub open
{
	my ($self, $id, $program, $at) = @_;
	my $state = {balance => 0, version => 0, earned => 0, expired => 0, lots => {}, asides => {}, lapsed => {}, spared => {}};
	$self->{account}{$id} = {program => $program, state => $state, history => [[$at, $state]], entries => [undef], undone => {}};
	return;
}

sub account { return $_[0]{account}{$_[1]} }
sub state { return $_[0]{account}{$_[1]}{state} }

# --- days ---------------------------------------------------------------------

my %midnight;

# The first moment of a local day; days and months beyond the last count on.
sub midnight
{
	my ($where, $year, $month, $day) = @_;
	return $midnight{"$where $year $month $day"} //= do {
		local $ENV{TZ} = $where;
		POSIX::tzset();
		POSIX::mktime(0, 0, 0, $day, $month - 1, $year - 1900, 0, 0, -1) * SECOND;
	};
}

sub local_date
{
	my ($where, $at) = @_;
	local $ENV{TZ} = $where;
	POSIX::tzset();
	my (undef, undef, undef, $day, $month, $year) = localtime(POSIX::floor($at / SECOND));
	return ($year + 1900, $month + 1, $day);
}

sub days_in_month
{
	my ($year, $month) = @_;
	return 28 + ($year % 4 == 0 && ($year % 100 != 0 || $year % 400 == 0)) if $month == 2;
	return $month =~ /^(4|6|9|11)$/ ? 30 : 31;
}

sub later_date
{
	my ($year, $month, $day, $unit, $value) = @_;
	if ($unit eq 'day')
	{
		my (undef, undef, undef, $d, $m, $y) = gmtime(midnight('UTC', $year, $month, $day + $value) / SECOND);
		return ($y + 1900, $m + 1, $d);
	}
	my $months = $year * 12 + $month - 1 + ($unit eq 'year' ? 12 * $value : $value);
	($year, $month) = (POSIX::floor($months / 12), $months % 12 + 1);
	my $last = days_in_month($year, $month);
	return ($year, $month, $day < $last ? $day : $last);
}

# When points that become available at this moment expire; undef: never.
sub expiry
{
	my ($program, $base) = @_;
	my $where = $program->{zone};
	if ($program->{expiry} eq 'fixed')
	{
		my ($year, $month, $day) = split /-/, $program->{date};
		my $end = midnight($where, $year, $month, $day + 1);
		return $base < $end ? $end : undef;
	}
	return if $program->{expiry} eq 'rolling' && $program->{value} == 0;
	my ($year, $month, $day) = later_date(local_date($where, $base), $program->{unit}, $program->{value});
	return midnight($where, $year, $month, $day + 1) if $program->{expiry} eq 'rolling';
	return midnight($where, $year, $month + 1, 1) if $program->{expiry} eq 'month_end';
	return midnight($where, $year, 3 * POSIX::floor(($month - 1) / 3) + 4, 1) if $program->{expiry} eq 'quarter_end';
	return midnight($where, $year + 1, 1, 1);
}

# The end of the local day so many days after a moment.
sub day_end
{
	my ($program, $at, $days) = @_;
	my ($year, $month, $day) = local_date($program->{zone}, $at);
	return midnight($program->{zone}, $year, $month, $day + $days + 1);
}

sub whole_second { my $at = shift; return POSIX::ceil($at / SECOND) * SECOND }

# --- lots: moment => points ---------------------------------------------------

sub total { my $lots = shift; my $sum = 0; $sum += $_ for values %$lots; return $sum }

sub add_lot
{
	my ($lots, $at, $points) = @_;
	return if $points == 0;
	if (exists $lots->{$at} || keys %$lots < MAX_LOTS)
	{
		$lots->{$at} += $points;
		return;
	}
	my @dates = sort { $a <=> $b } keys %$lots;
	my ($later) = grep { $_ > $at } @dates;
	if (defined $later)
	{
		$lots->{$later} += $points;
	}
	else
	{
		$lots->{$at} = $points + delete $lots->{$dates[-1]};
	}
	return;
}

sub add_lots
{
	my ($lots, $added) = @_;
	add_lot($lots, $_, $added->{$_}) for sort { $a <=> $b } keys %$added;
	return;
}

# Take at most so many points from the lots of these dates, in their order.
sub take_lots
{
	my ($lots, $most, @dates) = @_;
	my %taken;
	for my $at (@dates)
	{
		last if $most == 0;
		my $points = $lots->{$at} < $most ? $lots->{$at} : $most;
		$taken{$at} = $points;
		$most -= $points;
		delete $lots->{$at} if ($lots->{$at} -= $points) == 0;
	}
	return \%taken;
}

sub take_first { my ($lots, $most) = @_; return take_lots($lots, $most, sort { $a <=> $b } keys %$lots) }
sub take_last { my ($lots, $most) = @_; return take_lots($lots, $most, sort { $b <=> $a } keys %$lots) }
sub take_due { my ($lots, $at) = @_; return take_lots($lots, MOST, grep { $_ <= $at } sort { $a <=> $b } keys %$lots) }

# --- accounts -------------------------------------------------------------------

# A copy that can be changed.
sub copy_of
{
	my ($id, $account) = @_;
	my $state = $account->{state};
	my %asides = map { my $aside = $state->{asides}{$_}; $_ => {%$aside, lots => {%{$aside->{lots}}}} } keys %{$state->{asides}};
	return {
		id => $id, program => $account->{program}, of => $account, new => [],
		state => {%$state, asides => \%asides, map { $_ => {%{$state->{$_}}} } qw(lots lapsed spared)},
	};
}

sub enter
{
	my ($account, $at, $kind, $amount, %more) = @_;
	my $state = $account->{state};
	my $entry = {
		version => ++$state->{version}, kind => $kind, amount => $amount, balance => $state->{balance}, at => $at,
		aside => 0, lots => {}, %more,
	};
	$state->{earned} += $amount if $kind =~ /^(accrue|deposit|mature)$/ || $kind eq 'reverse' && $amount < 0;
	$state->{expired} -= $amount if $kind eq 'expire';
	push @{$account->{new}}, $entry;
	return $entry;
}

# Points with these dates come in and pay the debt first; what really became lots.
sub come_in
{
	my ($state, $points, $lots) = @_;
	my %left = %$lots;
	take_first(\%left, -$state->{balance}) if $state->{balance} < 0;
	$state->{balance} += $points;
	add_lots($state->{lots}, \%left);
	return \%left;
}

# Points are spent, soonest first.
sub go_out
{
	my ($state, $points) = @_;
	$state->{balance} -= $points;
	return take_first($state->{lots}, $points);
}

sub book_expiry
{
	my ($account, $due, $at) = @_;
	my $taken = take_due($account->{state}{lots}, $due);
	my $points = total($taken) or return;
	$account->{state}{balance} -= $points;
	$account->{state}{lapsed}{$_} += $taken->{$_} for keys %$taken;
	return enter($account, $at, 'expire', -$points, lots => $taken);
}

# Points come back from a hold or a redemption, with the dates they had; what is
# past its date then is for the caller to book.
sub come_back
{
	my ($account, $at, $kind, $points, $lots, %more) = @_;
	my $days = $account->{program}{reinstatement};
	my %back;
	add_lot(\%back, $_ <= $at && $days > 0 ? day_end($account->{program}, $at, $days) : $_, $lots->{$_}) for keys %$lots;
	my $added = come_in($account->{state}, $points, \%back);
	return enter($account, $at, $kind, $points, lots => $added, %more);
}

sub come_back_now
{
	my ($account, $now, @rest) = @_;
	my $entry = come_back($account, $now, @rest);
	book_expiry($account, $now, $now);
	return $entry;
}

# Take from what is set aside.
sub reduce_aside
{
	my ($state, $version, $points, $lots) = @_;
	my $aside = $state->{asides}{$version};
	delete $state->{asides}{$version} if ($aside->{remaining} -= $points) == 0;
	return;
}

# What became due until now, in order of time; what has expired since the last
# hold or maturity is booked now.
sub settle
{
	my ($account, $now, $only_asides) = @_;
	my $asides = $account->{state}{asides};
	while (1)
	{
		my ($version) = sort { $asides->{$a}{due} <=> $asides->{$b}{due} || $a <=> $b }
			grep { $asides->{$_}{due} <= $now } keys %$asides;
		last unless defined $version;
		my ($kind, $at, $points, $lots) = @{$asides->{$version}}{qw(kind due remaining lots)};
		book_expiry($account, $at, $at);
		delete $asides->{$version};
		if ($kind eq 'hold')
		{
			come_back($account, $at, 'release', $points, $lots, aside => -$points, origin => $version);
		}
		else
		{
			my $added = come_in($account->{state}, $points, $lots);
			enter($account, $at, 'mature', $points, aside => -$points, lots => $added, origin => $version);
		}
	}
	book_expiry($account, $now, $now) unless $only_asides;
	return;
}

# When something is next to be settled; undef: never.
sub next_due
{
	my $state = shift;
	my ($first) = sort { $a <=> $b } keys %{$state->{lots}}, map { $_->{due} } values %{$state->{asides}};
	return defined $first && $first < NEVER ? $first : undef;
}

sub set_aside
{
	my ($state, @kinds) = @_;
	my $sum = 0;
	for my $aside (values %{$state->{asides}})
	{
		$sum += $aside->{remaining} if grep { $_ eq $aside->{kind} } @kinds;
	}
	return $sum;
}

# What reading shows at a moment, not before the newest entry.
sub seen
{
	my ($self, $id, $at) = @_;
	my $account = copy_of($id, $self->{account}{$id});
	settle($account, $at);
	my $state = $account->{state};
	return {
		version => $self->{account}{$id}{state}{version}, balance => $state->{balance}, held => set_aside($state, 'hold'),
		pending => set_aside($state, 'pending'), expired => $state->{expired}, earned => $state->{earned}, lots => $state->{lots}, never => $state->{balance} - total($state->{lots}),
	};
}

# The balance at a moment of the past, or of the future if nothing is posted.
sub balance_at
{
	my ($self, $id, $at) = @_;
	my $history = $self->{account}{$id}{history};
	my ($low, $high) = (0, scalar @$history);
	while ($low < $high)
	{
		my $middle = ($low + $high) >> 1;
		if ($history->[$middle][0] <= $at) { $low = $middle + 1 }
		else { $high = $middle }
	}
	return 0 if $low == 0;
	my $account = copy_of($id, {%{$self->{account}{$id}}, state => $history->[$low - 1][1]});
	settle($account, $at);
	return $account->{state}{balance};
}

# --- deeds ------------------------------------------------------------------------

sub begin { my ($self, $now) = @_; return bless {model => $self, now => $now, account => {}, undone => {}}, 'Model::Deed' }

sub commit
{
	my ($self, $deed) = @_;
	for my $id (keys %{$deed->{account}})
	{
		my ($account, $copy) = ($self->{account}{$id}, $deed->{account}{$id});
		next unless @{$copy->{new}};
		$account->{state} = $copy->{state};
		push @{$account->{entries}}, @{$copy->{new}};
		push @{$account->{history}}, [$deed->{now}, $copy->{state}];
	}
	for my $key (keys %{$deed->{undone}})
	{
		my ($id, $version) = split / /, $key;
		$self->{account}{$id}{undone}{$version} = $deed->{undone}{$key};
	}
	return;
}

package Model::Deed;

sub refuse { my $code = shift; die "$code\n" }

# The account, settled.
sub account
{
	my ($self, $id) = @_;
	return $self->{account}{$id} if $self->{account}{$id};
	my $account = Model::copy_of($id, $self->{model}{account}{$id} // refuse('LY002'));
	Model::settle($account, $self->{now});
	return $self->{account}{$id} = $account;
}

# An entry that was there before.
sub entry { my ($account, $version) = @_; return $version > 0 ? $account->{of}{entries}[$version] : undef }

# Only what settling makes, as one entry after the other is read of a ledger.
sub settle
{
	my ($self, $id) = @_;
	my $account = $self->{account}{$id} = Model::copy_of($id, $self->{model}{account}{$id});
	Model::settle($account, $self->{now}, 1);
	Model::settle($account, $self->{now}) unless @{$account->{new}};
	return;
}

# Entries that were made, by account.
sub made { my ($self, $id) = @_; return $self->{account}{$id} ? @{$self->{account}{$id}{new}} : () }

# The number of an entry, and what can be spent after it.
sub answer { my ($account, $entry) = @_; return ($entry->{version}, $account->{state}{balance}) }

sub post
{
	my ($self, $id, $kind, $amount, %o) = @_;
	refuse('LY005') unless $kind =~ /^(accrue|deposit|redeem|adjust)$/;
	my $account = $self->account($id);
	refuse('LY005') if $amount < 0 && (defined $o{available_at} || defined $o{expires_at});
	refuse('LY004') if $kind eq 'accrue' ? $amount < 0 : $kind eq 'deposit' ? $amount <= 0 : $kind eq 'redeem' ? $amount >= 0 : $amount == 0;
	my ($now, $state) = ($self->{now}, $account->{state});
	my %more = (money => $o{money}, reference => $o{reference});
	if ($amount < 0)
	{
		refuse('LY001') if $state->{balance} < -$amount;
		my $taken = Model::go_out($state, -$amount);
		return answer($account, Model::enter($account, $now, $kind, $amount, lots => $taken, %more));
	}
	my $available_at = $o{available_at} // ($kind eq 'accrue' && defined $o{money} ? $now + $account->{program}{pending} * Model::DAY : $now);
	my $pending = $available_at > $now;
	my $base = $pending ? $available_at : $now;
	refuse('LY005') if $pending && $kind eq 'adjust' || defined $o{expires_at} && $o{expires_at} <= $base;
	refuse('LY003') if $state->{balance} > 0 && $amount > Model::MOST - $state->{balance};
	my $expires_at = !defined $o{expires_at} ? Model::expiry($account->{program}, $base)
		: $o{expires_at} < Model::NEVER ? Model::whole_second($o{expires_at}) : undef;
	my $lots = defined $expires_at && $amount > 0 ? {$expires_at => $amount} : {};
	if ($pending && $amount > 0)
	{
		my $entry = Model::enter($account, $now, $kind, 0, aside => $amount, lots => $lots, %more);
		$state->{asides}{$entry->{version}} = {kind => 'pending', amount => $amount, remaining => $amount, lots => {%$lots}, due => $available_at};
		return answer($account, $entry);
	}
	my $added = Model::come_in($state, $amount, $lots);
	return answer($account, Model::enter($account, $now, $kind, $amount, lots => $added, %more));
}

sub hold
{
	my ($self, $id, $amount, $expires_at, %o) = @_;
	refuse('LY005') if defined $expires_at && $expires_at <= $self->{now};
	my $account = $self->account($id);
	refuse('LY004') if $amount <= 0;
	my $state = $account->{state};
	refuse('LY001') if $state->{balance} < $amount;
	my $taken = Model::go_out($state, $amount);
	my $entry = Model::enter($account, $self->{now}, 'hold', -$amount, aside => $amount, lots => $taken, reference => $o{reference});
	$state->{asides}{$entry->{version}} = {kind => 'hold', amount => $amount, remaining => $amount, lots => {%$taken}, due => $expires_at // Model::NEVER};
	return answer($account, $entry);
}

# The open hold of this number and how much of it is meant.
sub part_of_hold
{
	my ($self, $account, $hold, $amount) = @_;
	my $aside = $account->{state}{asides}{$hold};
	refuse('LY009') unless $aside && $aside->{kind} eq 'hold';
	$amount //= $aside->{remaining};
	refuse('LY004') if $amount <= 0;
	refuse('LY011') if $amount > $aside->{remaining};
	return ($aside, $amount);
}

sub capture
{
	my ($self, $id, $hold, $amount, %o) = @_;
	my $account = $self->account($id);
	my ($aside, $points) = $self->part_of_hold($account, $hold, $amount);
	my $spent = Model::take_first($aside->{lots}, $points);
	Model::reduce_aside($account->{state}, $hold, $points);
	return answer($account, Model::enter($account, $self->{now}, 'capture', 0, aside => -$points, lots => $spent, origin => $hold,
			money => $o{money}, reference => $o{reference}));
}

sub release
{
	my ($self, $id, $hold, $amount, %o) = @_;
	my $account = $self->account($id);
	my ($aside, $points) = $self->part_of_hold($account, $hold, $amount);
	my $plain = $aside->{remaining} - Model::total($aside->{lots});
	my $returned = Model::take_last($aside->{lots}, $points > $plain ? $points - $plain : 0);
	Model::reduce_aside($account->{state}, $hold, $points);
	return answer($account, Model::come_back_now($account, $self->{now}, 'release', $points, $returned, aside => -$points, origin => $hold,
			reference => $o{reference}));
}

sub same_program
{
	my ($from, $to) = @_;
	return $from->{id} ne $to->{id} && $from->{program} == $to->{program};
}

sub transfer
{
	my ($self, $id, $to_id, $amount, %o) = @_;
	my ($from, $to) = ($self->account($id), $self->account($to_id));
	refuse('LY013') unless same_program($from, $to);
	refuse('LY004') if $amount <= 0;
	refuse('LY003') if $to->{state}{balance} > 0 && $amount > Model::MOST - $to->{state}{balance};
	refuse('LY001') if $from->{state}{balance} < $amount;
	my $taken = Model::go_out($from->{state}, $amount);
	my $sent = Model::enter($from, $self->{now}, 'transfer', -$amount, lots => $taken, peer => $to_id, reference => $o{reference});
	my $added = Model::come_in($to->{state}, $amount, $taken);
	my $got = Model::enter($to, $self->{now}, 'transfer', $amount, lots => $added, peer => $id, reference => $o{reference});
	return (answer($from, $sent), answer($to, $got));
}

# --- reversals -----------------------------------------------------------------------

# What was undone of an entry so far, to be changed.
sub undone
{
	my ($self, $account, $version) = @_;
	return $self->{undone}{"$account->{id} $version"} //= do {
		my $old = $account->{of}{undone}{$version} // {points => 0, money => 0, parts => {}};
		+{%$old, parts => {%{$old->{parts}}}};
	};
}

# Points that so much of the money stands for, as the program shows points.
sub share
{
	my ($program, $points, $money, $of_money) = @_;
	return $points if $money == $of_money;
	my $last = 10 ** (4 - $program->{decimals});
	my $of = Math::BigInt->new($of_money)->bmul($last);
	my ($due, $rest) = Math::BigInt->new($points)->bmul($money)->bdiv($of);
	my $more = $rest->copy->bmul(2)->bcmp($of);
	my $rounding = $program->{rounding};
	$due->binc if !$rest->is_zero && $rounding eq 'up' || $rounding =~ /^half/ && $more > 0
		|| $more == 0 && ($rounding eq 'half_up' || $rounding eq 'half_even' && $due->is_odd);
	$due = $due->bmul($last)->numify;
	return $due < $points ? $due : $points;
}

# How many points this part is of.
sub part_of_entry
{
	my ($program, $entry, $undone, $amount, $money) = @_;
	my $whole = abs($entry->{kind} =~ /^(accrue|deposit)$/ ? $entry->{amount} + $entry->{aside} : $entry->{kind} eq 'capture' ? $entry->{aside} : $entry->{amount});
	my $left = $whole - $undone->{points};
	if (defined $money)
	{
		refuse('LY011') if $undone->{money} + $money > $entry->{money};
		my $points = share($program, $whole, $undone->{money} + $money, $entry->{money}) - $undone->{points};
		return $points < 0 ? 0 : $points;
	}
	refuse('LY011') if $left == 0 || defined $amount && $amount > $left;
	return $amount // $left;
}

# What is there of the points that are to be given back.
sub there
{
	my ($account, $points) = @_;
	my $balance = $account->{state}{balance};
	return $points if $balance >= $points || $account->{program}{shortfall} eq 'negative';
	refuse('LY001') if $account->{program}{shortfall} eq 'refuse';
	return $balance > 0 ? $balance : 0;
}

# Take back points that came in with these dates, and some with none.
sub take_back
{
	my ($state, $lots, $plain, $points) = @_;
	my $rest = $points;
	my %taken;
	for my $at (sort { $a <=> $b } keys %$lots)
	{
		next unless $state->{lots}{$at};
		my $most = $lots->{$at} < $rest ? $lots->{$at} : $rest;
		my $some = Model::take_lots($state->{lots}, $most, $at);
		Model::add_lots(\%taken, $some);
		$rest -= Model::total($some);
	}
	my $plain_there = ($state->{balance} > 0 ? $state->{balance} : 0) - ($points - $rest) - Model::total($state->{lots});
	my $plain_taken = $plain < $plain_there ? $plain : $plain_there;
	$rest -= $plain_taken < $rest ? $plain_taken : $rest;
	Model::add_lots(\%taken, Model::take_first($state->{lots}, $rest));
	$state->{balance} -= $points;
	return \%taken;
}

# Points of a sale that need not be given back: on the dates it gave them, they
# expired, and no refund before this one was spared them.
sub expired_with
{
	my ($state, $entry, $points) = @_;
	my %gone;
	for my $at (sort { $a <=> $b } keys %{$entry->{lots}})
	{
		my ($some) = sort { $a <=> $b } $points, $entry->{lots}{$at}, ($state->{lapsed}{$at} // 0) - ($state->{spared}{$at} // 0);
		$gone{$at} = $some if $some > 0;
		$points -= $some;
	}
	return \%gone;
}

# The dates of the next points to return of an entry that took some.
sub next_returned
{
	my ($entry, $whole, $returned, $points) = @_;
	my %left = %{$entry->{lots}};
	my $plain = $whole - Model::total(\%left);
	for my $skipped ($returned)
	{
		my $of_plain = $skipped < $plain ? $skipped : $plain;
		$plain -= $of_plain;
		Model::take_last(\%left, $skipped - $of_plain);
	}
	return Model::take_last(\%left, $points > $plain ? $points - $plain : 0);
}

sub reverse
{
	my ($self, $id, $version, $reference, %o) = @_;
	my ($amount, $money) = @o{qw(amount money)};
	refuse('LY005') if !defined $reference || $reference eq '';
	my $account = $self->account($id);
	my $entry = entry($account, $version);
	refuse('LY010') unless $entry && ($entry->{kind} =~ /^(accrue|deposit|redeem|capture)$/
		|| $entry->{kind} eq 'transfer' && $entry->{amount} < 0 && !$entry->{back});
	$self->account($entry->{peer}) if $entry->{peer};
	my ($state, $undone) = ($account->{state}, $self->undone($account, $version));
	if (my $part = $undone->{parts}{$reference})
	{
		refuse('LY012') if ($part->{asked} // '') ne ($amount // '') || ($part->{money} // '') ne ($money // '');
		return ($part->{version}, $part->{balance});
	}
	refuse('LY004') if defined $amount && $amount <= 0 || defined $money && ($money <= 0 || defined $amount || !$entry->{money});
	my $points = part_of_entry($account->{program}, $entry, $undone, $amount, $money);
	my $posted = $self->undo($account, $entry, $undone, $points, $reference, $money);
	$undone->{points} += $points;
	$undone->{money} += $money if defined $money;
	$undone->{parts}{$reference} = {asked => $amount, money => $money, version => $posted->{version}, balance => $state->{balance}};
	return answer($account, $posted);
}

sub undo
{
	my ($self, $account, $entry, $undone, $points, $reference, $money) = @_;
	my ($state, $now, $version) = ($account->{state}, $self->{now}, $entry->{version});
	my %more = (origin => $version, reference => $reference, money => $money);
	if ($entry->{kind} =~ /^(accrue|deposit)$/)
	{
		if (my $aside = $state->{asides}{$version})
		{
			my $taken = Model::take_first($aside->{lots}, $points);
			Model::reduce_aside($state, $version, $points);
			return Model::enter($account, $now, 'reverse', 0, aside => -$points, lots => $taken, %more);
		}
		my $gone = expired_with($state, $entry, $points);
		my $moved = there($account, $points - Model::total($gone));
		$state->{spared}{$_} += $gone->{$_} for keys %$gone;
		my $whole = $entry->{amount} + $entry->{aside};
		my $taken = take_back($state, $entry->{lots}, $whole - Model::total($entry->{lots}), $moved);
		return Model::enter($account, $now, 'reverse', -$moved, lots => $taken, gone => Model::total($gone), %more);
	}
	if ($entry->{kind} eq 'transfer')
	{
		my $receiver = $self->account($entry->{peer});
		my $moved = there($receiver, $points);
		my $lots = next_returned($entry, -$entry->{amount}, $undone->{points}, $moved);
		my $taken = take_back($receiver->{state}, $lots, $moved - Model::total($lots), $moved);
		Model::enter($receiver, $now, 'transfer', -$moved, lots => $taken, %more, peer => $account->{id}, back => 1);
		return Model::come_back_now($account, $now, 'transfer', $moved, $lots, %more, peer => $entry->{peer}, back => 1);
	}
	my $whole = $entry->{kind} eq 'capture' ? -$entry->{aside} : -$entry->{amount};
	my $lots = next_returned($entry, $whole, $undone->{points}, $points);
	return Model::come_back_now($account, $now, 'reverse', $points, $lots, %more);
}

# --- many at once ----------------------------------------------------------------------

# Everything that is due; how many accounts that are.
sub expire_due
{
	my $self = shift;
	my $n = 0;
	for my $id (sort { $a <=> $b } keys %{$self->{model}{account}})
	{
		my $due = Model::next_due($self->{model}{account}{$id}{state});
		next unless defined $due && $due <= $self->{now};
		$self->account($id);
		$n++;
	}
	return $n;
}

# One item after the other; [version, balance] or the SQLSTATE of each.
sub batch
{
	my ($self, @items) = @_;
	my @results;
	for my $item (@items)
	{
		my $account = $self->{model}{account}{$item->{account}};
		my $undone = $item->{kind} eq 'reverse' && $account ? $account->{entries}[$item->{origin}] : undef;
		for my $id ($item->{account}, $item->{peer}, $undone ? $undone->{peer} : undef)
		{
			$self->account($id) if defined $id && $self->{model}{account}{$id};
		}
	}
	for my $item (@items)
	{
		my ($id, $kind, $amount) = @{$item}{qw(account kind amount)};
		undef $amount if $amount == 0 && $kind =~ /^(capture|release|reverse)$/;
		my %more = (reference => $item->{reference}, money => $item->{money});
		my @result = eval {
			  $kind eq 'hold' ? $self->hold($id, $amount, $item->{expires_at}, %more)
			: $kind eq 'capture' ? $self->capture($id, $item->{origin}, $amount, %more)
			: $kind eq 'release' ? $self->release($id, $item->{origin}, $amount, %more)
			: $kind eq 'reverse' ? $self->reverse($id, $item->{origin}, $item->{reference}, amount => $amount, money => $item->{money})
			: $kind eq 'transfer' ? $self->transfer($id, $item->{peer}, $amount, %more)
			: $self->post($id, $kind, $amount, %more, map { $_ => $item->{$_} } qw(expires_at available_at));
		};
		if (my $error = $@)
		{
			die $error unless $error =~ /^(LY\d{3})$/;
			push @results, $1;
		}
		else
		{
			push @results, [@result[0, 1]];
		}
	}
	return @results;
}

1;
