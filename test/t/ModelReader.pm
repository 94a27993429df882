# ModelReader.pm - what the database says, in the form that Model.pm has.
package ModelReader;

use strict;
use warnings;

use Exporter qw(import);
use IPC::Open3 qw(open3);
use Model;
use POSIX ();

our @EXPORT = qw(reader ticks number moment array lots_text entry_text seen_text differs parse);

use constant {SECOND => 1_000_000, HOUR => 3_600_000_000};

# A session of the database to read from, which answers one query after the
# other and is in a hurry: $reader->query($sql), $reader->close.  In it, EXECUTE
# made(merchant, accounts, versions) shows the entries after those versions, and
# EXECUTE seen(merchant, accounts) what there is now; parse() reads both.
sub reader
{
	my $stack = shift;
	my $self = bless {n => 0}, __PACKAGE__;
	$self->{pid} = $stack->with_env(sub { open3($self->{in}, $self->{out}, undef, Loyalty::psql_command(), '-v', 'ON_ERROR_STOP=0') });
	$self->{in}->autoflush(1);
	$self->query(reading_statements());
	return $self;
}

sub query
{
	my ($self, $sql) = @_;
	my $end = '-- answer ' . ++$self->{n} . " --\n";
	print {$self->{in}} "$sql\n;\n\\echo $end";
	my $answer = '';
	while (defined(my $line = readline $self->{out}))
	{
		if ($line eq $end)
		{
			chomp $answer;
			return $answer;
		}
		$answer .= $line;
	}
	die "the session has ended: $answer\n";
}

sub close
{
	my $self = shift;
	close $self->{in};
	waitpid $self->{pid}, 0;
	return;
}

sub reading_statements
{
	return q{
	SET time zone 'UTC';
	CREATE FUNCTION pg_temp.us(at timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$SELECT (extract(epoch FROM at) * 1000000)::bigint$$;
	PREPARE made (bigint, bigint[], bigint[]) AS
	SELECT format('E|%s|%s|%s|%s|%s|%s|%s|%s|%s|%s|%s|%s', e.account_id, e.version, loyalty.entry_kind(e.kind), e.amount, e.balance, e.aside,
		e.origin, e.peer_id, e.money, e.reference, pg_temp.us(e.posted_at), e.lots)
	FROM unnest($2, $3) known (account_id, version)
	JOIN loyalty.entry e ON e.merchant_id = $1 AND e.account_id = known.account_id AND e.version > known.version
	ORDER BY e.account_id, e.version;
	PREPARE seen (bigint, bigint[]) AS
	SELECT format('A|%s|%s|%s|%s|%s|%s|%s|%s|%s', b.account_id, b.version, b.balance, b.held, b.pending, b.expired, b.earned, pg_temp.us(now()),
		(SELECT string_agg(format('%s=%s', coalesce(pg_temp.us(l.expires_at)::text, 'never'), l.points), ',')
		 FROM loyalty.lots_of($1, b.account_id) l))
	FROM unnest($2) known (account_id)
	JOIN loyalty.balances b ON b.merchant_id = $1 AND b.account_id = known.account_id;
};
}

# What the model sees of an account, as parse() gives what the database shows.
sub seen_text
{
	my $seen = shift;
	my $lots = $seen->{lots};
	$lots = join ',', grep { $_ ne '' } lots_text($lots), $seen->{never} > 0 ? "never=$seen->{never}" : '' if ref $lots;
	return join ', ', map({ "$_ $seen->{$_}" } qw(version balance held pending expired)), 'earned ' . ($seen->{earned} // '-'), "lots $lots";
}

# Ten-thousandths of a number, and back.
sub ticks
{
	my ($sign, $whole, $fraction) = shift =~ /^(-?)(\d+)(?:\.(\d{1,4}))?$/ or return;
	my $ticks = $whole * 10000 + substr(($fraction // '') . '0000', 0, 4);
	return $sign ? -$ticks : $ticks;
}

sub number
{
	my $ticks = shift;
	my $digits = sprintf '%05d', abs $ticks;
	substr $digits, -4, 0, '.';
	return ($ticks < 0 ? '-' : '') . $digits;
}

sub moment
{
	my $us = shift;
	return 'infinity' if $us == Model::NEVER;
	my ($s, $minute, $hour, $day, $month, $year) = gmtime POSIX::floor($us / SECOND);
	return sprintf '%04d-%02d-%02d %02d:%02d:%02d.%06d+00', $year + 1900, $month + 1, $day, $hour, $minute, $s, $us % SECOND;
}

my %us;
sub lots_of_text
{
	my $text = shift;
	my %lots;
	while ($text =~ /([-\dT:]+)Z=([\d.]+)/g)
	{
		my ($at, $points) = ($1, $2);
		my ($year, $month, $day, $rest) = split /[-T]/, $at;
		my ($hour, $minute, $s) = split /:/, $rest;
		$us{$at} //= Model::midnight('UTC', $year, $month, $day) + $hour * HOUR + ($minute * 60 + $s) * SECOND;
		$lots{$us{$at}} = ticks($points);
	}
	return \%lots;
}

sub lots_text { my $lots = shift; return join ',', map { $_ . '=' . $lots->{$_} } sort { $a <=> $b } keys %$lots }

# {error, results, made => {id => [entries]}, seen => {id => {}}, now}
sub parse
{
	my $text = shift;
	my $answer = {results => [], made => {}, seen => {}};
	for my $line (split /\n/, $text)
	{
		my ($what, @fields) = split /\|/, $line, -1;
		if ($line =~ /(?:ERROR|FATAL):  (\w{5}): (.*)/)
		{
			$answer->{error} //= $1;
			$answer->{message} //= $2;
		}
		elsif ($what eq 'R')
		{
			push @{$answer->{results}}, \@fields;
		}
		elsif ($what eq 'E')
		{
			my %entry;
			@entry{qw(version kind amount balance aside origin peer money reference at lots)} = @fields[1 .. 11];
			$_ = $_ eq '' ? 0 : ticks($_) for @entry{qw(amount balance aside)};
			$entry{money} = ticks($entry{money}) if $entry{money} ne '';
			$entry{lots} = lots_of_text($entry{lots});
			push @{$answer->{made}{$fields[0]}}, \%entry;
		}
		elsif ($what eq 'A')
		{
			my %seen;
			@seen{qw(version balance held pending expired earned now lots)} = @fields[1 .. 8];
			$_ = ticks($_) for @seen{qw(balance held pending expired earned)};
			$seen{lots} = join ',', map { my ($at, $points) = split /=/; "$at=" . ticks($points) } split /,/, $seen{lots};
			$answer->{seen}{$fields[0]} = \%seen;
			$answer->{now} = $seen{now};
		}
	}
	return $answer;
}

# An array of SQL.
sub array
{
	my ($type, @elements) = @_;
	return 'ARRAY[' . join(', ', map { defined $_ ? "'$_'" : 'NULL' } @elements) . "]::${type}[]";
}

sub differs
{
	my ($what, $expected, $got) = @_;
	$_ //= '' for $expected, $got;
	return $expected eq $got ? '' : "$what: expected $expected, got $got\n";
}

sub entry_text
{
	my $entry = shift;
	return join ' ', map { $_ // '-' } @{$entry}{qw(version kind amount)}, "balance $entry->{balance} aside $entry->{aside}",
		map({ "$_ " . ($entry->{$_} // '') } qw(origin peer money reference at)), 'lots', lots_text($entry->{lots});
}

1;
