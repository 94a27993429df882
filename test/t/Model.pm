# Model.pm - the laws of the points engine, once more, as plainly as possible.
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
#     my ($entry_no, $balance) = eval { $deed->post($account_id, 'accrue', 100_0000) };
#     # $@ is the SQLSTATE of what was refused
#     $model->commit($deed);
#
# What a deed changes are copies of the accounts until it is committed.
#
# Two functions carry the laws.  left_of() tells what is left of an entry that
# can be reversed, by lot, now: everything that undoes asks it.  counted() tells
# what an account had earned until a moment: ranks and sums follow from it.
#
# Lots are hashes of "date:posted" to points: the date at which the points
# expire, and the one with which they were posted.  Mostly they are the same; but
# points that come back late get a new date, and an account tells only so many
# dates apart: new points of yet another are points of the lot they join.  Points that never expire have the date NEVER.
package Model;

use strict;
use warnings;

use Math::BigInt;
use ModelDays;
use ModelEarning;

use constant {MOST => 9_223_372_036_854_775_807, MAX_LOTS => 512, CENT => 100};

sub new { my ($class) = @_; return bless {account => {}, used => {}, times => {}}, $class }

sub open
{
	my ($self, $id, $program, $at, %more) = @_;
	my $state = {entry_no => 0, debt => 0, expired => 0, lots => {}, reservations => {}, expired_lots => {}, claimed => {}, originals => {}, uses => {}};
	$self->{account}{$id} = {program => $program, state => $state, history => [[$at, $state]], entries => [undef], opened => $at, %more};
	return;
}

sub account { return $_[0]{account}{$_[1]} }
sub state { return $_[0]{account}{$_[1]}{state} }

# --- terms ----------------------------------------------------------------------

# The program's terms are others from now on; what is due goes by the old ones.
sub configure
{
	my ($self, $program, $at, %changes) = @_;
	$program->{terms} //= [[0, {%$program}]];
	$program->{$_} = $changes{$_} for keys %changes;
	my $terms = {%$program};
	delete $terms->{terms};
	push @{$program->{terms}}, [$at, $terms];
	return;
}

# The terms by which goes what falls due at a moment.
sub terms_at
{
	my ($program, $at) = @_;
	my $terms = $program;
	for my $change (@{$program->{terms} // []})
	{
		last if $change->[0] >= $at;
		$terms = $change->[1];
	}
	return $terms;
}

# --- lots -----------------------------------------------------------------------

sub date_of { return (split /:/, $_[0])[0] }
sub posted_of { return (split /:/, $_[0])[1] }
sub total { my $lots = shift; my $sum = 0; $sum += $_ for values %$lots; return $sum }

sub soonest_first
{
	my $lots = shift;
	my %at = map { $_ => [split /:/] } keys %$lots;
	return sort { $at{$a}[0] <=> $at{$b}[0] || $at{$a}[1] <=> $at{$b}[1] } keys %at;
}

sub latest_first { return reverse soonest_first(@_) }

# The dates at which points will expire, if they are as many as an account tells apart.
sub dates_if_full
{
	my ($lots, $now) = @_;
	my %dates = map { $_ => 1 } grep { $_ > $now && $_ < NEVER } map { date_of($_) } keys %$lots;
	return keys %dates < MAX_LOTS ? () : sort { $a <=> $b } keys %dates;
}

# New points of yet another date are more of the lot that they join: the last of
# those that expire next, or of all, which then expire when they do.
sub join_lots
{
	my ($lots, $new, $now) = @_;
	my @dates = dates_if_full($lots, $now) or return $new;
	my %joined;
	for my $key (keys %$new)
	{
		my ($date, $posted) = split /:/, $key;
		if ($date > $now && $date < NEVER)
		{
			my ($later) = grep { $_ >= $date } @dates;
			my $joins = $later // $dates[-1];
			$posted = posted_of((grep { date_of($_) == $joins } soonest_first($lots))[-1]);
			$date = $later // $date;
		}
		$joined{"$date:$posted"} += $new->{$key};
	}
	return \%joined;
}

# What is past its date already is not merged with what is not.
sub add_lot
{
	my ($lots, $key, $points, $now) = @_;
	return if $points == 0;
	my ($date, $posted) = split /:/, $key;
	my @dates = $date > $now && $date < NEVER ? dates_if_full($lots, $now) : ();
	if (@dates && !grep { $_ == $date } @dates)
	{
		my ($later) = grep { $_ > $date } @dates;
		for my $last (defined $later ? () : grep { date_of($_) == $dates[-1] } keys %$lots)
		{
			$lots->{"$date:" . posted_of($last)} += delete $lots->{$last};
		}
		$date = $later // $date;
	}
	$lots->{"$date:$posted"} += $points;
	return;
}

# Take at most so many points from the lots of these keys, in their order.
sub take
{
	my ($lots, $most, @keys) = @_;
	my %taken;
	for my $key (@keys)
	{
		last if $most == 0;
		my $points = $lots->{$key} < $most ? $lots->{$key} : $most;
		$taken{$key} = $points;
		$most -= $points;
		delete $lots->{$key} if ($lots->{$key} -= $points) == 0;
	}
	return \%taken;
}

# --- accounts ---------------------------------------------------------------------

# A copy that can be changed.  Originals are copied when one is.
sub copy_of
{
	my ($id, $account) = @_;
	my $state = $account->{state};
	my %reservations = map { my $reservation = $state->{reservations}{$_}; $_ => {%$reservation, lots => {%{$reservation->{lots}}}} } keys %{$state->{reservations}};
	return {
		id => $id, of => $account, new => [], map({ $_ => $account->{$_} } qw(program moved_to granted grants opened member)),
		state => {%$state, reservations => \%reservations, map { $_ => {%{$state->{$_}}} } qw(lots expired_lots claimed originals uses)},
	};
}

sub balance_of { my $state = shift; return total($state->{lots}) - $state->{debt} }

sub enter
{
	my ($account, $at, $kind, $amount, %more) = @_;
	my $state = $account->{state};
	my $entry = {entry_no => ++$state->{entry_no}, kind => $kind, amount => $amount, balance => balance_of($state), at => $at, reserved => 0, %more};
	push @{$account->{new}}, $entry;
	return $entry;
}

# Points come in and pay the debt first.
sub come_in
{
	my ($state, $lots, $now) = @_;
	my %left = %$lots;
	$state->{debt} -= total(take(\%left, $state->{debt}, soonest_first(\%left)));
	add_lot($state->{lots}, $_, $left{$_}, $now) for soonest_first(\%left);
	return;
}

# Points are spent, the first to expire first; what is not there is a debt.
sub go_out
{
	my ($state, $points) = @_;
	my $taken = take($state->{lots}, $points, soonest_first($state->{lots}));
	$state->{debt} += $points - total($taken);
	return $taken;
}

# What has expired until a moment is booked.
sub book_expiry
{
	my ($account, $due, $at) = @_;
	my $state = $account->{state};
	my @keys = grep { date_of($_) <= $due } soonest_first($state->{lots});
	my $taken = take($state->{lots}, MOST, @keys);
	my $points = total($taken) or return;
	$state->{expired} += $points;
	$state->{expired_lots}{posted_of($_)} += $taken->{$_} for @keys;
	return enter($account, $at, 'expire', -$points, lots => $taken);
}

# Points come back, with the dates they had; those whose date has passed can be
# spent for a while, or are booked as expired by the caller.
sub come_back
{
	my ($account, $at, $kind, $lots, %more) = @_;
	my $terms = terms_at($account->{program}, $at);
	my %back;
	for my $key (keys %$lots)
	{
		my ($date, $posted) = split /:/, $key;
		$date = day_end($terms, $at, $terms->{reinstatement}) if $date <= $at && $terms->{reinstatement} > 0;
		$back{"$date:$posted"} += $lots->{$key};
	}
	come_in($account->{state}, \%back, $at);
	return enter($account, $at, $kind, total($lots), %more);
}

sub come_back_now
{
	my ($account, $now, @rest) = @_;
	my $entry = come_back($account, $now, @rest);
	book_expiry($account, $now, $now);
	return $entry;
}

# What became due until now, in order of time, each by the terms of its moment;
# what has expired since the last hold or maturity is booked now.
sub book_due
{
	my ($account, $now, $only_reservations) = @_;
	my $reservations = $account->{state}{reservations};
	while (1)
	{
		my ($entry_no) = sort { $reservations->{$a}{due} <=> $reservations->{$b}{due} || $a <=> $b } grep { $reservations->{$_}{due} <= $now } keys %$reservations;
		last unless defined $entry_no;
		my ($kind, $at, $lots) = @{delete $reservations->{$entry_no}}{qw(kind due lots)};
		book_expiry($account, $at, $at);
		my %more = (reserved => -total($lots), origin => $entry_no);
		come_back($account, $at, $kind eq 'hold' ? 'release' : 'mature', $lots, %more);
	}
	book_expiry($account, $now, $now) unless $only_reservations;
	return;
}

# When something is next to be booked; undef: never.
sub next_due
{
	my $state = shift;
	my ($first) = sort { $a <=> $b } map({ date_of($_) } keys %{$state->{lots}}), map { $_->{due} } values %{$state->{reservations}};
	return defined $first && $first < NEVER ? $first : undef;
}

sub reserved
{
	my ($state, $kind) = @_;
	my $sum = 0;
	$sum += total($_->{lots}) for grep { $_->{kind} eq $kind } values %{$state->{reservations}};
	return $sum;
}

# What reading shows at a moment, not before the newest entry.
sub seen
{
	my ($self, $id, $at) = @_;
	my $account = copy_of($id, $self->{account}{$id});
	book_due($account, $at);
	my $state = $account->{state};
	my %dates;
	$dates{date_of($_)} += $state->{lots}{$_} for keys %{$state->{lots}};
	return {
		entry_no => $self->{account}{$id}{state}{entry_no}, balance => balance_of($state), held => reserved($state, 'hold'),
		pending => reserved($state, 'pending'), expired => $state->{expired}, earned => ModelEarning::earned($account, $at), lots => \%dates,
	};
}

# The balance at a moment of the past, or of the future if nothing is posted.
sub balance_at
{
	my ($self, $id, $at) = @_;
	my ($was) = grep { $_->[0] <= $at } reverse @{$self->{account}{$id}{history}};
	return 0 unless $was;
	my $account = copy_of($id, {%{$self->{account}{$id}}, state => $was->[1]});
	book_due($account, $at);
	return balance_of($account->{state});
}

# --- what is left of an original -----------------------------------------------------

# An entry that can be reversed is remembered with what is left of it: %more has
# its lots, and what belongs to its kind.
sub remember
{
	my ($account, $entry, $lots, %more) = @_;
	return $account->{state}{originals}{$entry->{entry_no}} = {
		entry_no => $entry->{entry_no}, at => $entry->{at}, whole => total($lots), left => {%$lots}, reversed => [], money => $entry->{money},
		by_money => 0, by_points => 0, parts => {}, %more,
	};
}

# What is left of this original, by lot, now: parcels in the order in which they
# are reversed.  State is that of the account where the points are.  Of each date
# there are those that expired there, as far as no other refund has counted them,
# those that are there, and those that were spent.
sub left_of
{
	my ($original, $state) = @_;
	my %left = %{$original->{left}};
	my @keys = $original->{class} eq 'earned' ? soonest_first(\%left) : latest_first(\%left);
	return map { {class => 'spent', from => $_, points => $left{$_}} } @keys unless $state;
	my (@expired, @there, %expired);
	for my $key (@keys)
	{
		my $posted = posted_of($key);
		$expired{$posted} //= ($state->{expired_lots}{$posted} // 0) - ($state->{claimed}{$posted} // 0);
		my $parcel = parcel('expired', $key, \%left, \$expired{$posted});
		push @expired, $parcel if $parcel;
	}
	my %there = %{$state->{lots}};
	for my $key (@keys)
	{
		for my $is (grep { posted_of($_) == posted_of($key) } soonest_first(\%there))
		{
			my $parcel = parcel('there', $key, \%left, \$there{$is});
			push @there, {%$parcel, is => $is} if $parcel;
		}
	}
	return (@expired, @there, map { parcel('spent', $_, \%left, \my $all) // () } @keys);
}

# As many points of a key as there are of both; they are taken off there.
sub parcel
{
	my ($class, $key, $left, $most) = @_;
	my $points = $left->{$key} // 0;
	$points = $$most if defined $$most && $$most < $points;
	return if $points <= 0;
	$left->{$key} -= $points;
	$$most -= $points if defined $$most;
	return {class => $class, from => $key, points => $points};
}

# The first so many points of the parcels.
sub cut
{
	my ($most, @parcels) = @_;
	my @cut;
	for my $parcel (@parcels)
	{
		my $points = $parcel->{points} < $most ? $parcel->{points} : $most;
		push @cut, {%$parcel, points => $points} if $points > 0;
		$most -= $points;
	}
	return @cut;
}

sub sum_of { my ($class, @parcels) = @_; my $sum = 0; $sum += $_->{points} for grep { $_->{class} eq $class } @parcels; return $sum }

# Points that so much of a whole stands for, as the program shows points.
sub share
{
	my ($program, $points, $part, $whole) = @_;
	return $points if $part == $whole;
	return ModelEarning::rounded($program, Math::BigInt->new($points)->bmul($part), Math::BigInt->new($whole), $points);
}

# Is nothing left of an original?  A sale that earned nothing is reversed as a
# whole, or when all of its money is.
sub is_reversed
{
	my $original = shift;
	return !%{$original->{left}} if $original->{whole};
	return 1 if grep { !defined $_->{money} } values %{$original->{parts}};
	return $original->{by_money} > 0 && $original->{by_money} == $original->{money};
}

# How many points a part is of.  A part in points stands for its share of the
# money, to the cent, and then the last of the money takes the rest; what is refunded by money is rounded so that all of it sums to the whole.
sub size_of_part
{
	my ($program, $original, $amount, $money) = @_;
	my $left = total($original->{left});
	refuse('LY011') if is_reversed($original) || defined $amount && $amount > $left;
	return $amount // $left unless defined $money;
	my ($whole, $all, $by_money) = @{$original}{qw(whole money by_money)};
	my $money_left = $all - $by_money;
	if ($original->{by_points})
	{
		my ($cents, $rest) = Math::BigInt->new($all)->bmul($whole - $original->{by_points})->bdiv(Math::BigInt->new($whole)->bmul(CENT));
		$cents->binc unless $rest->is_zero;
		my $share = $cents->bmul(CENT)->numify;
		$money_left = ($share < $all ? $share : $all) - $by_money;
	}
	refuse('LY011') if $money > $money_left;
	return $left if $original->{by_points} && $money_left - $money < CENT;
	my $points = share($program, $whole, $by_money + $money, $all) - share($program, $whole, $by_money, $all);
	return $points < $left ? $points : $left;
}

sub refuse { my $code = shift; die "$code\n" }

# --- deeds ------------------------------------------------------------------------------

sub begin { my ($self, $now) = @_; return bless {model => $self, now => $now, account => {}, used => {}}, 'Model::Deed' }

sub commit
{
	my ($self, $deed) = @_;
	for my $id (keys %{$deed->{account}})
	{
		my ($account, $copy) = ($self->{account}{$id}, $deed->{account}{$id});
		$account->{moved_to} = $copy->{moved_to};
		next unless @{$copy->{new}};
		$account->{state} = $copy->{state};
		push @{$account->{entries}}, @{$copy->{new}};
		push @{$account->{history}}, [$deed->{now}, $copy->{state}];
	}
	$self->{used}{$_} = $deed->{used}{$_} for keys %{$deed->{used}};
	return;
}

package Model::Deed;

use ModelDays;

BEGIN { *refuse = \&Model::refuse }

# The account, with what is due booked.
sub account
{
	my ($self, $id) = @_;
	return $self->{account}{$id} if $self->{account}{$id};
	my $account = Model::copy_of($id, $self->{model}{account}{$id} // refuse('LY002'));
	Model::book_due($account, $self->{now});
	return $self->{account}{$id} = $account;
}

# The same if it can be posted to.
sub open_account
{
	my ($self, $id) = @_;
	my $account = $self->account($id);
	refuse('LY014') if defined $account->{moved_to};
	return $account;
}

# Only what settling makes, as one entry after the other is read of a ledger.
sub book_due
{
	my ($self, $id) = @_;
	my $account = $self->{account}{$id} = Model::copy_of($id, $self->{model}{account}{$id});
	Model::book_due($account, $self->{now}, 1);
	Model::book_due($account, $self->{now}) unless @{$account->{new}};
	return;
}

# What was due is not booked yet.
sub leave_unbooked { my ($self, $id) = @_; $self->{account}{$id}{new} = [] if $self->{account}{$id}; return }

# Entries that were made, by account.
sub made { my ($self, $id) = @_; return $self->{account}{$id} ? @{$self->{account}{$id}{new}} : () }

# The number of an entry, and what can be spent after it.
# Place, points, balance.  The points are what the entry moved, unless told; only of a correction with their sign.
sub answer
{
	my ($account, $entry, $points) = @_;
	my ($moved, $reserved) = map { abs } @{$entry}{qw(amount reserved)};
	$points //= $entry->{kind} eq 'adjust' ? $entry->{amount} : $moved > $reserved ? $moved : $reserved;
	return ($entry->{entry_no}, $points, Model::balance_of($account->{state}));
}

sub refuse_if_still
{
	my $program = shift;
	refuse('LI005') if exists $program->{active} && !$program->{active} || exists $program->{unit_active} && !$program->{unit_active};
	return;
}

sub post
{
	my ($self, $id, $kind, $amount, %o) = @_;
	refuse('LY005') unless $kind =~ /^(accrue|deposit|redeem|adjust)$/;
	my $account = $self->open_account($id);
	refuse('LY005') if $amount < 0 && (defined $o{available_at} || defined $o{expires_at});
	refuse('LY004') if $kind eq 'accrue' ? $amount < 0 : $kind eq 'deposit' ? $amount <= 0 : $kind eq 'redeem' ? $amount >= 0 : $amount == 0;
	refuse_if_still($account->{program}) if $kind =~ /accrue|deposit/;
	return $self->spend($account, $kind, -$amount, %o) if $amount < 0;
	my $available_at = $o{available_at} // ($kind eq 'accrue' && defined $o{money} ? $self->{now} + $account->{program}{pending} * DAY : $self->{now});
	my $base = $available_at > $self->{now} ? $available_at : $self->{now};
	refuse('LY005') if $base > $self->{now} && $kind eq 'adjust' || defined $o{expires_at} && $o{expires_at} <= $base;
	my $date = defined $o{expires_at} ? whole_second($o{expires_at}) : expiry($account->{program}, $base);
	return $self->give($account, $kind, $base, {"$date:$date" => $amount}, %o);
}

sub spend
{
	my ($self, $account, $kind, $points, %o) = @_;
	refuse('LY001') if Model::balance_of($account->{state}) < $points;
	my $counted = ModelEarning::count($self, $account, 0, $points, %o);
	my $taken = Model::go_out($account->{state}, $points);
	my $entry = Model::enter($account, $self->{now}, $kind, -$points, map { $_ => $o{$_} } qw(money reference));
	Model::remember($account, $entry, $taken, class => 'spent', counted => $counted) if $kind eq 'redeem';
	return answer($account, $entry);
}

# Points of these lots, available at a moment.
sub give
{
	my ($self, $account, $kind, $available_at, $lots, %o) = @_;
	my ($state, $now, $amount) = ($account->{state}, $self->{now}, Model::total($lots));
	$lots = {map { $_ => $lots->{$_} } grep { $lots->{$_} } keys %$lots};
	my $balance = Model::balance_of($state);
	refuse('LY003') if $balance > 0 && $amount > Model::MOST - $balance;
	my %more = map { $_ => $o{$_} } qw(money reference);
	my $counted = ModelEarning::count($self, $account, 1, $amount, %o);
	my $pending = $available_at > $now && $amount > 0;
	$lots = Model::join_lots($state->{lots}, $lots, $now) unless $pending;
	Model::come_in($state, $lots, $now) unless $pending;
	my $entry = Model::enter($account, $now, $kind, $pending ? 0 : $amount, $pending ? (reserved => $amount) : (), %more);
	$state->{reservations}{$entry->{entry_no}} = {kind => 'pending', lots => {%$lots}, due => $available_at} if $pending;
	Model::remember($account, $entry, $lots, class => 'earned', kind => $kind, available_at => $available_at, counted => $counted, uses => $o{uses} // {})
		if $kind ne 'adjust';
	return answer($account, $entry);
}

# Both sides of a sale: the points used, and what it earns.
sub sale
{
	my ($self, $id, $money, $used, %o) = @_;
	my $account = $self->account($id);
	refuse('LY004') if $money < 0 || $used < 0;
	refuse_if_still($account->{program});
	my $worth = ModelEarning::worth($account->{program}, $used);
	refuse('LY004') if $worth > $money || $used % 10 ** (4 - $account->{program}{decimals});
	refuse('LY014') if defined $account->{moved_to};
	$self->spend($account, 'redeem', $used, %o, money => $worth) if $used > 0;
	my $paid = $account->{program}{earn_on_points} ? $money : $money - $worth;
	my $earned = ModelEarning::sale($account, $paid, $money, $self->{now});
	my $available_at = $self->{now} + $account->{program}{pending} * DAY;
	my @answer = $self->give($account, 'accrue', $available_at, $earned->{lots}, %o, money => $money, uses => $earned->{uses});
	$self->use_rules($account, $earned->{uses}, 1);
	return ($answer[0], $earned->{points}, $answer[2]);
}

# What rules have given goes up, or down again.
sub use_rules
{
	my ($self, $account, $uses, $sign) = @_;
	for my $name (keys %$uses)
	{
		my ($points, $day) = @{$uses->{$name}};
		my $used = $account->{state}{uses};
		my %period = periods($day);
		$used->{$_} = ($used->{$_} // 0) + $sign * $points for $name, map { "$name $_" } values %period;
		$used->{"$name newest"} = $day if $sign > 0;
	}
	return;
}

sub hold
{
	my ($self, $id, $amount, $expires_at, %o) = @_;
	refuse('LY005') if defined $expires_at && $expires_at <= $self->{now};
	my $account = $self->open_account($id);
	refuse('LY004') if $amount <= 0;
	refuse_if_still($account->{program});
	my $state = $account->{state};
	refuse('LY001') if Model::balance_of($state) < $amount;
	my $counted = ModelEarning::count($self, $account, 0, $amount, %o);
	my $taken = Model::go_out($state, $amount);
	my $entry = Model::enter($account, $self->{now}, 'hold', -$amount, reserved => $amount, reference => $o{reference});
	$state->{reservations}{$entry->{entry_no}} = {kind => 'hold', lots => $taken, due => $expires_at // NEVER, counted => $counted};
	return answer($account, $entry);
}

# The open hold of this number and how much of it is meant.
sub part_of_hold
{
	my ($self, $account, $hold, $amount) = @_;
	my $reservation = $account->{state}{reservations}{$hold};
	refuse('LY009') unless $reservation && $reservation->{kind} eq 'hold';
	my $there = Model::total($reservation->{lots});
	$amount //= $there;
	refuse('LY004') if $amount <= 0;
	refuse('LY011') if $amount > $there;
	delete $account->{state}{reservations}{$hold} if $amount == $there;
	return ($reservation, $amount);
}

sub capture
{
	my ($self, $id, $hold, $amount, %o) = @_;
	my $account = $self->open_account($id);
	my ($reservation, $points) = $self->part_of_hold($account, $hold, $amount);
	my $spent = Model::take($reservation->{lots}, $points, Model::soonest_first($reservation->{lots}));
	my $entry = Model::enter($account, $self->{now}, 'capture', 0, reserved => -$points, origin => $hold, map { $_ => $o{$_} } qw(money reference));
	Model::remember($account, $entry, $spent, class => 'spent', counted => $reservation->{counted});
	return answer($account, $entry);
}

sub release
{
	my ($self, $id, $hold, $amount, %o) = @_;
	my $account = $self->open_account($id);
	my ($reservation, $points) = $self->part_of_hold($account, $hold, $amount);
	my $returned = Model::take($reservation->{lots}, $points, Model::latest_first($reservation->{lots}));
	return answer($account, Model::come_back_now($account, $self->{now}, 'release', $returned, reserved => -$points, origin => $hold, reference => $o{reference}));
}

sub transfer
{
	my ($self, $id, $to_id, $amount, %o) = @_;
	my ($from, $to) = ($self->account($id), $self->account($to_id));
	refuse('LY014') if !$o{moving} && grep { defined $_->{moved_to} } $from, $to;
	refuse_if_still($from->{program});
	refuse('LY013') unless $id ne $to_id && $from->{program} == $to->{program};
	$amount //= Model::balance_of($from->{state});
	refuse('LY004') if $amount <= 0;
	my $balance = Model::balance_of($to->{state});
	refuse('LY003') if $balance > 0 && $amount > Model::MOST - $balance;
	refuse('LY001') if Model::balance_of($from->{state}) < $amount;
	my $counted = ModelEarning::count($self, $from, 0, $amount, %o);
	my $taken = Model::go_out($from->{state}, $amount);
	my $sent = Model::enter($from, $self->{now}, 'transfer', -$amount, peer => $to_id, reference => $o{reference});
	Model::remember($from, $sent, $taken, class => 'transfer', peer => $to_id, counted => $counted);
	Model::come_in($to->{state}, $taken, $self->{now});
	my $got = Model::enter($to, $self->{now}, 'transfer', $amount, peer => $id, reference => $o{reference});
	return (answer($from, $sent), (answer($to, $got))[0, 2]);
}

# A member's points go into another's account, which both use from now on.
sub share_account
{
	my ($self, $id, $with_id, $member) = @_;
	my ($from, $to) = ($self->account($id), $self->account($with_id));
	refuse('LY013') unless $from->{program} == $to->{program};
	my $state = $from->{state};
	refuse('LY005') if $id eq $with_id || defined $from->{moved_to} || defined $to->{moved_to} || %{$state->{reservations}} || $state->{debt}
		|| grep { defined $_->{moved_to} && $_->{moved_to} eq $id } values %{$self->{model}{account}};
	my @moved = Model::balance_of($state) > 0 ? $self->transfer($id, $with_id, undef, member_id => $member, moving => 1) : ();
	$from->{moved_to} = $with_id;
	return @moved;
}

sub leave_account
{
	my ($self, $id, $amount, $member) = @_;
	my $account = $self->account($id);
	refuse('LY005') unless defined $account->{moved_to};
	my $shared = $account->{moved_to};
	my @moved = $amount > 0 ? $self->transfer($shared, $id, $amount, member_id => $member, moving => 1) : ();
	$account->{moved_to} = undef;
	return @moved;
}

# --- reversals -----------------------------------------------------------------------

# The original of an entry, to be changed.
sub original
{
	my ($account, $entry_no) = @_;
	my $old = $account->{state}{originals}{$entry_no} // refuse('LY010');
	return $account->{state}{originals}{$entry_no} = {%$old, left => {%{$old->{left}}}, parts => {%{$old->{parts}}}, reversed => [@{$old->{reversed}}]};
}

# What a refund is of: all of the money is all there is, if nothing was reversed before.
sub asked
{
	my ($original, $amount, $money) = @_;
	return $money == ($original->{money} // -1) ? 'all' : "money $money" if defined $money;
	return defined $amount ? "points $amount" : %{$original->{parts}} ? 'rest' : 'all';
}

sub reverse
{
	my ($self, $id, $entry_no, $reference, %o) = @_;
	my ($amount, $money) = @o{qw(amount money)};
	refuse('LY005') if !defined $reference || $reference eq '';
	my $account = $self->account($id);
	refuse('LY010') if grep { $_->{entry_no} == $entry_no } @{$account->{new}};
	my $original = original($account, $entry_no);
	if (my $part = $original->{parts}{$reference})
	{
		refuse('LY012') unless $part->{asked} eq asked($original, $amount, $money) || !defined $amount && !defined $money && $part->{asked} eq 'all';
		return @{$part->{answer}};
	}
	refuse('LY014') if defined $account->{moved_to};
	$self->open_account($original->{peer}) if $original->{peer};
	refuse('LY004') if defined $amount && $amount <= 0 || defined $money && ($money <= 0 || defined $amount || !defined $original->{money});
	my $points = Model::size_of_part($account->{program}, $original, $amount, $money);
	my $asked = asked($original, $amount, $money);
	my ($entry, @peer) = $self->undo($account, $original, $points, origin => $entry_no, reference => $reference, money => $money);
	$original->{defined $money ? 'by_money' : 'by_points'} += $money // $points;
	push @{$original->{reversed}}, [$self->{now}, $points];
	my @answer = (answer($account, $entry, $points), @peer);
	$original->{parts}{$reference} = {asked => $asked, money => $money, answer => \@answer};
	$self->give_back_counts($account, $original, $points);
	return @answer;
}

# What rules and limits counted is given back in proportion.
sub give_back_counts
{
	my ($self, $account, $original, $points) = @_;
	my $before = $original->{whole} - Model::total($original->{left}) - $points;
	my %back;
	for my $name (keys %{$original->{uses} // {}})
	{
		my ($use, $day) = @{$original->{uses}{$name}};
		my ($now, $then) = map { Model::share($account->{program}, $use, $_, $original->{whole}) } $before + $points, $before;
		$back{$name} = [$now - $then, $day];
	}
	$self->use_rules($account, \%back, -1);
	ModelEarning::give_back($self, $account, $original->{counted}, $points, Model::is_reversed($original));
	return;
}

# What is given up for these points, by the shortfall: how many there are.
sub there
{
	my ($account, $points) = @_;
	my $balance = Model::balance_of($account->{state});
	return $points if $balance >= $points || $account->{program}{shortfall} eq 'negative';
	refuse('LY001') if $account->{program}{shortfall} eq 'refuse';
	return $balance > 0 ? $balance : 0;
}

# Take the parcels from where they are: what expired is counted, what is there is
# taken, and for what was spent others are.  The lots that were given up, as the
# original's own; how many others; how many had expired.
sub take_parcels
{
	my ($account, @parcels) = @_;
	my $state = $account->{state};
	my $gone = Model::sum_of('expired', @parcels);
	my $there = Model::sum_of('there', @parcels);
	my $moved = there($account, $there + Model::sum_of('spent', @parcels));
	my @spent = Model::cut($moved - $there, grep { $_->{class} eq 'spent' } @parcels);
	$state->{claimed}{Model::posted_of($_->{from})} += $_->{points} for grep { $_->{class} eq 'expired' } @parcels;
	my %lots;
	for my $parcel (grep { $_->{class} eq 'there' } @parcels)
	{
		Model::take($state->{lots}, $parcel->{points}, $parcel->{is});
		$lots{$parcel->{is}} += $parcel->{points};
	}
	Model::go_out($state, Model::sum_of('spent', @spent));
	$lots{$_->{from}} += $_->{points} for @spent;
	return (\%lots, $gone);
}

sub undo
{
	my ($self, $account, $original, $points, %more) = @_;
	my ($state, $now, $entry_no) = ($account->{state}, $self->{now}, $original->{entry_no});
	my $reservation = $original->{class} eq 'earned' ? $state->{reservations}{$entry_no} : undef;
	my $where = $original->{class} eq 'transfer' ? $self->account($original->{peer}) : $original->{class} eq 'earned' && !$reservation ? $account : undef;
	my @parcels = Model::cut($points, Model::left_of($original, $where && $where->{state}));
	my ($lots, $gone) = $where ? take_parcels($where, @parcels) : ();
	$self->{model}{times}{"reversed $original->{class}: " . ($reservation ? 'pending' : $_->{class})}++ for @parcels;
	$self->{model}{times}{"reversed $original->{class}: changed dates"}++ for grep { ($_->{is} // $_->{from}) !~ /^(\d+):\1$/ } @parcels;
	$self->{model}{times}{"reversed $original->{class}: a later part"}++ if @{$original->{reversed}};
	for my $parcel (@parcels)
	{
		delete $original->{left}{$parcel->{from}} if ($original->{left}{$parcel->{from}} -= $parcel->{points}) == 0;
	}
	if ($reservation)
	{
		Model::take($reservation->{lots}, $_->{points}, $_->{from}) for @parcels;
		delete $state->{reservations}{$entry_no} unless %{$reservation->{lots}};
		return Model::enter($account, $now, 'reverse', 0, reserved => -$points, %more);
	}
	if (!$where)
	{
		my %lots;
		$lots{$_->{from}} += $_->{points} for @parcels;
		return Model::come_back_now($account, $now, 'reverse', \%lots, %more);
	}
	my $moved = Model::total($lots);
	return Model::enter($account, $now, 'reverse', -$moved, gone => $gone, %more) if $original->{class} eq 'earned';
	my $taken = Model::enter($where, $now, 'transfer', -$moved, %more, peer => $account->{id}, gone => $gone);
	return (Model::come_back_now($account, $now, 'transfer', $lots, %more, peer => $original->{peer}), $taken->{entry_no}, $taken->{balance});
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

# One item after the other; the answer or the SQLSTATE of each.
sub batch
{
	my ($self, @items) = @_;
	my @results;
	for my $item (@items)
	{
		my $account = $self->{model}{account}{$item->{account}};
		my $original = $item->{kind} eq 'reverse' && $account ? $account->{state}{originals}{$item->{origin}} : undef;
		$self->account($_) for grep { defined && $self->{model}{account}{$_} } $item->{account}, $item->{peer}, $original ? $original->{peer} : undef;
	}
	for my $item (@items)
	{
		my ($id, $kind, $amount) = @{$item}{qw(account kind amount)};
		undef $amount if $amount == 0 && $kind =~ /^(capture|release|reverse|transfer)$/;
		my %more = map { $_ => $item->{$_} } qw(reference money member_id);
		my @result = eval {
			  $kind eq 'hold' ? $self->hold($id, $amount, $item->{expires_at}, %more)
			: $kind eq 'capture' ? $self->capture($id, $item->{origin}, $amount, %more)
			: $kind eq 'release' ? $self->release($id, $item->{origin}, $amount, %more)
			: $kind eq 'reverse' ? $self->reverse($id, $item->{origin}, $item->{reference}, amount => $amount, money => $item->{money})
			: $kind eq 'transfer' ? $self->transfer($id, $item->{peer}, $amount, %more)
			: $kind eq 'sale' ? $self->sale($id, $item->{money}, 0, %more)
			: $self->post($id, $kind, $amount, %more, map { $_ => $item->{$_} } qw(expires_at available_at));
		};
		if (my $error = $@)
		{
			die $error unless $error =~ /^(L[YI]\d{3})$/;
			push @results, $1;
		}
		else
		{
			push @results, \@result;
		}
	}
	return @results;
}

1;
