# ModelDays.pm - the calendar of Model.pm: local days and when they begin.
#
# Moments are microseconds since 1970.
package ModelDays;

use strict;
use warnings;

use Exporter qw(import);
use POSIX ();
use Time::Local ();

our @EXPORT = qw(NEVER SECOND DAY midnight local_date local_time day_number periods later_date day_end expiry life_end whole_second same_time);

use constant {NEVER => 9_223_372_036_854_775_807, SECOND => 1_000_000, DAY => 86_400_000_000};

my (%midnight, %life_end);

sub local_time
{
	my ($zone, $at) = @_;
	local $ENV{TZ} = $zone;
	POSIX::tzset();
	return localtime(($at - $at % SECOND) / SECOND);
}

sub local_date
{
	my (undef, undef, undef, $day, $month, $year) = local_time(@_);
	return ($year + 1900, $month + 1, $day);
}

# A local day, counted from 1970 on; and the periods that it is in: weeks begin on Monday.
sub day_number { return midnight('UTC', local_date(@_)) / DAY }
sub periods
{
	my $day = shift;
	my ($year, $month) = local_date('UTC', $day * DAY);
	return (day => "day $day", week => 'week ' . POSIX::floor(($day + 3) / 7), month => "month $year-$month", year => "year $year");
}

# The first moment of a local day; days beyond the month's last count on.  Where
# midnight comes twice it is the first, where it does not come what comes instead.
sub midnight
{
	my ($zone, $year, $month, $day) = @_;
	return $midnight{"$zone $year $month $day"} //= do {
		my $guess = Time::Local::timegm_modern(0, 0, 0, 1, ($month - 1) % 12, $year + POSIX::floor(($month - 1) / 12)) + ($day - 1) * 86400;
		my $date = sprintf '%04d%02d%02d', local_date('UTC', $guess * SECOND);
		my ($before, $from) = ($guess - 30 * 3600, $guess + 30 * 3600);
		while ($from - $before > 1)
		{
			my $middle = ($before + $from) >> 1;
			if ($date le sprintf '%04d%02d%02d', local_date($zone, $middle * SECOND)) { $from = $middle }
			else { $before = $middle }
		}
		$from * SECOND;
	};
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
	return local_date('UTC', midnight('UTC', $year, $month, $day + $value)) if $unit eq 'day';
	my $months = $year * 12 + $month - 1 + ($unit eq 'year' ? 12 * $value : $value);
	($year, $month) = (POSIX::floor($months / 12), $months % 12 + 1);
	my $last = days_in_month($year, $month);
	return ($year, $month, $day < $last ? $day : $last);
}

# The end of the local day so many days after a moment.
sub day_end { my ($terms, $at, $days) = @_; return life_end($terms, $at, 'day', $days) }

# The end of the local day so many units after a moment.
sub life_end
{
	my ($terms, $at, $unit, $value) = @_;
	return $life_end{"$terms->{zone} $at $unit $value"} //= do {
		my ($year, $month, $day) = later_date(local_date($terms->{zone}, $at), $unit, $value);
		midnight($terms->{zone}, $year, $month, $day + 1);
	};
}

# The same local time so many days later; at the beginning of a day, that of the other.
sub same_time
{
	my ($zone, $at, $days) = @_;
	my ($year, $month, $day) = local_date($zone, $at);
	my $begin = midnight($zone, $year, $month, $day + $days);
	return $begin if $at == midnight($zone, $year, $month, $day);
	my ($later, $seconds) = ($begin, sub { my ($s, $minute, $hour) = local_time($zone, $_[0]); return ($hour * 60 + $minute) * 60 + $s });
	$later += ($seconds->($at) - $seconds->($begin)) * SECOND + $at % SECOND;
	return $later + ($seconds->($at) - $seconds->($later)) * SECOND;
}

# When points that become available at this moment expire.
sub expiry
{
	my ($terms, $at) = @_;
	my $zone = $terms->{zone};
	if ($terms->{expiry} eq 'fixed')
	{
		my ($year, $month, $day) = split /-/, $terms->{date};
		my $end = midnight($zone, $year, $month, $day + 1);
		return $at < $end ? $end : NEVER;
	}
	return $terms->{value} ? life_end($terms, $at, @{$terms}{qw(unit value)}) : NEVER if $terms->{expiry} eq 'rolling';
	my ($year, $month) = later_date(local_date($zone, $at), @{$terms}{qw(unit value)});
	return midnight($zone, $year, $month + 1, 1) if $terms->{expiry} eq 'month_end';
	return midnight($zone, $year, 3 * POSIX::floor(($month - 1) / 3) + 4, 1) if $terms->{expiry} eq 'quarter_end';
	return midnight($zone, $year + 1, 1, 1);
}

sub whole_second { my $at = shift; return $at == NEVER ? NEVER : $at + -$at % SECOND }

1;
