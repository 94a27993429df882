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
# made(merchant, accounts, places) shows the entries after those places, EXECUTE
# seen(merchant, accounts) what there is now, and EXECUTE changed(merchant, accounts,
# places) the same of accounts that have entries after those; parse() reads all.
# Entries are found by the one after each, and shown by their places.
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
	my $balances = q{SELECT format('A|%s|%s|%s|%s|%s|%s|%s|%s|%s|%s', b.account_id,
		CASE coalesce(test.entry_no(b.account_id, b.newest_entry_id), 0) WHEN b.entry_no THEN b.entry_no END, b.balance, b.held, b.pending, b.expired, b.earned, pg_temp.us(now()),
		loyalty.rank_at($1, b.account_id, now()),
		(SELECT string_agg(format('%s=%s', coalesce(pg_temp.us(l.expires_at)::text, 'never'), l.points), ',')
		 FROM loyalty.lots_of($1, b.account_id) l))
	FROM loyalty.balances b};
	return q{
	SET time zone 'UTC';
	\set ON_ERROR_ROLLBACK on
	CREATE FUNCTION pg_temp.us(at timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$SELECT (extract(epoch FROM at) * 1000000)::bigint$$;
	PREPARE made (bigint, bigint[], bigint[]) AS
	WITH RECURSIVE made AS (
		SELECT a.newest_entry_id AS entry_id, a.entry_no - known.entry_no AS n, NULL::loyalty.entry AS entry
		FROM unnest($2, $3) known (account_id, entry_no) JOIN loyalty_internal.account a ON a.merchant_id = $1 AND a.account_id = known.account_id
		UNION ALL
		SELECT e.previous_entry_id, n - 1, e.entry
		FROM made m, LATERAL (SELECT e.previous_entry_id, e AS entry FROM loyalty.entry e WHERE e.merchant_id = $1 AND e.entry_id = m.entry_id OFFSET 0) e WHERE n > 0)
	SELECT format('E|%s|%s|%s|%s|%s|%s|%s|%s|%s|%s|%s|%s', e.account_id, e.entry_no, loyalty.entry_kind(e.kind), e.amount, e.balance, e.reserved,
		coalesce(test.entry_no(e.account_id, e.origin_entry_id), test.entry_no(e.peer_account_id, e.origin_entry_id), e.origin_entry_id), e.peer_account_id, e.money, e.reference, pg_temp.us(e.posted_at), e.lots)
	FROM made, LATERAL (SELECT (entry).* OFFSET 0) e WHERE entry IS DISTINCT FROM NULL
	ORDER BY e.account_id, e.entry_no;
	PREPARE seen (bigint, bigint[]) AS
	} . $balances . q{ WHERE b.merchant_id = $1 AND b.account_id = ANY ($2);
	PREPARE changed (bigint, bigint[], bigint[]) AS
	} . $balances . q{ JOIN unnest($2, $3) known (account_id, entry_no) USING (account_id) WHERE b.merchant_id = $1 AND b.entry_no > known.entry_no;
	PREPARE used (bigint) AS
	SELECT format('U|%s|%s|%s|%s|%s', scope, subject_id, direction, points_used, operations_used) FROM loyalty.allowances WHERE merchant_id = $1;
	PREPARE facts (bigint, bigint[], timestamptz[]) AS
	SELECT format('F|a%s|%s|%s|%s|%s|%s|%s|%s', known.n - 1, b.balance, b.held, b.pending, b.expired, b.earned,
		(SELECT string_agg(format('%s=%s', l.expires_at, l.points), ',') FROM loyalty.lots_of($1, b.account_id) l),
		(SELECT string_agg(loyalty.rank_at($1, b.account_id, at), ',' ORDER BY at) FROM unnest($3) at))
	FROM unnest($2) WITH ORDINALITY known (account_id, n)
	JOIN loyalty.balances b ON b.merchant_id = $1 AND b.account_id = known.account_id
	UNION ALL SELECT format('F|use|%s', to_jsonb(u)) FROM loyalty_internal.rule_use u WHERE merchant_id = $1
	UNION ALL SELECT format('F|limit|%s', to_jsonb(a)) FROM loyalty.allowances a WHERE merchant_id = $1
	ORDER BY 1;
};
}

# What the model sees of an account, as parse() gives what the database shows.
sub seen_text
{
	my $seen = shift;
	my $lots = $seen->{lots};
	$lots = lots_text($lots) if ref $lots;
	return join ', ', map({ "$_ $seen->{$_}" } qw(entry_no balance held pending expired)), 'earned ' . ($seen->{earned} // '-'), "lots $lots";
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

# The moments at which points expire are those with which they were posted, where
# the text names only one.
my %us;
sub lots_of_text
{
	my $text = shift;
	my %lots;
	while ($text =~ m{([-\dT:]+)Z(?:/([-\dT:]+)Z)?=([\d.]+)}g)
	{
		my ($date, $posted, $points) = ($1, $2 // $1, ticks($3));
		for my $at ($date, $posted)
		{
			my ($year, $month, $day, $rest) = split /[-T]/, $at;
			my ($hour, $minute, $s) = split /:/, $rest;
			$us{$at} //= Model::midnight('UTC', $year, $month, $day) + $hour * HOUR + ($minute * 60 + $s) * SECOND;
		}
		$lots{"$us{$date}:$us{$posted}"} = $points;
	}
	return \%lots;
}

sub lots_text
{
	my $lots = shift;
	my $never = Model::NEVER;
	return join ',', map { ($_ eq $never ? 'never' : $_) . '=' . $lots->{$_} } sort keys %$lots;
}

# {error, results, made => {id => [entries]}, seen => {id => {}}, now}; after lines W
# also {ways}: what was answered and is there, one way and another
sub parse
{
	my $text = shift;
	my $answer = {results => [], made => {}, seen => {}};
	for my $line (grep { /./ } split /\n/, $text)
	{
		my ($what, @fields) = split /\|/, $line, -1;
		if ($line =~ /(?:ERROR|FATAL):  (\w{5}): (.*)/)
		{
			$answer->{error} //= $1;
			$answer->{message} //= $2;
			push @{$answer->{ways}[-1]{$_}}, $1 for $answer->{ways} ? qw(errors answers) : ();
		}
		elsif ($what eq 'R')
		{
			push @{$answer->{results}}, \@fields;
			push @{$answer->{ways}[-1]{answers}}, $fields[0] =~ /^L/ ? $fields[0] : join '|', grep { $_ ne '' } @fields if $answer->{ways};
		}
		elsif ($what eq 'W')
		{
			push @{$answer->{ways}}, {errors => [], answers => [], facts => [], broken => []};
		}
		elsif ($what eq 'V')
		{
			push @{$answer->{ways}[-1]{broken}}, $line;
		}
		elsif ($what eq 'F')
		{
			push @{$answer->{ways}[-1]{facts}}, $line;
		}
		elsif ($what eq 'E')
		{
			my %entry;
			@entry{qw(entry_no kind amount balance reserved origin peer money reference at lots)} = @fields[1 .. 11];
			$_ = $_ eq '' ? 0 : ticks($_) for @entry{qw(amount balance reserved)};
			$entry{money} = ticks($entry{money}) if $entry{money} ne '';
			$entry{lots} = lots_of_text($entry{lots});
			push @{$answer->{made}{$fields[0]}}, \%entry;
		}
		elsif ($what eq 'U')
		{
			my ($scope, $subject, $direction, $points, $operations) = @fields;
			push @{$answer->{used}}, "$scope $subject $direction: " . ticks($points) . " in $operations";
		}
		elsif ($what eq 'A')
		{
			my %seen;
			@seen{qw(entry_no balance held pending expired earned now rank lots)} = @fields[1 .. 9];
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
	return join ' ', map { $_ // '-' } @{$entry}{qw(entry_no kind amount)}, "balance $entry->{balance} reserved $entry->{reserved}",
		map({ "$_ " . ($entry->{$_} // '') } qw(origin peer money reference at)), $entry->{kind} eq 'expire' ? ('lots', lots_text($entry->{lots})) : ();
}

1;
