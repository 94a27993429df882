#!/usr/bin/perl
# neighbours.pl HOST:PORT SECONDS FOLDER KIND CONNECTIONS - how long tills wait
# beside a neighbour: the 99th percentile of their requests, in microseconds.
#
# FOLDER has till.1, till.2 …, the requests of one merchant each, as load.pl
# reads them.  A merchant has four tills, each a connection from an address of
# the merchant's own, that rest for 50 ms after each answer.  An answer that is
# not a 200 ends the run, without a figure: no till is refused.
#
# The neighbour sends FOLDER/KIND, over so many connections from one address,
# without a rest and whatever is answered; KIND.slow is sent at a byte a second.
# FOLDER/answers gets the statuses that it was answered, and how often, and how
# many requests it sent.
use strict;
use warnings;
use File::Basename qw(basename);
use IO::Socket::INET;
use Time::HiRes qw(sleep time);

my ($address, $seconds, $folder, $kind, $connections) = @ARGV;
my $rest_s = 0.05;
my $tills = 4;
my %requests;

# Heads and bodies, by turns: a large body is not to be copied for each request.
sub requests_of
{
	open my $in, '<', "$folder/$_[0]" or die "$folder/$_[0]: $!\n";
	local $/ = "%%\n";
	return map { my ($head, $body) = split /\n\n/, $_, 2; ("$head\n\n" =~ s/\n/\r\n/gr, substr $body, 0, -length "\n%%\n") } <$in>;
}

sub send_request
{
	my ($socket, $requests, $n) = @_;
	my $place = 2 * $n % @$requests;
	print $socket $requests->[$place] =~ s/UNIQUE/$$-$n/r, $requests->[$place + 1];
	return;
}

sub connection
{
	my $from = shift;
	return IO::Socket::INET->new(PeerAddr => $address, LocalAddr => $from, Proto => 'tcp', Timeout => 60) // die "no connection to $address: $@\n";
}

# The status of one answer, read to its end; undef if the connection ended, and
# whether it is to be used again.
sub answer_of
{
	my $socket = shift;
	my $head = '';
	while (defined(my $line = <$socket>)) { $head .= $line; last if $line eq "\r\n" }
	my ($status) = $head =~ m{^HTTP/1\.1 (\d+) } or return;
	if ($head =~ /^Content-Length: (\d+)/mi) { read $socket, my $body, $1 }
	else
	{
		while ((my $size = hex((<$socket> // return) =~ s/\r\n//r)) > 0) { read $socket, my $chunk, $size + 2 }
		<$socket>;
	}
	return ($status, $head !~ /^Connection: close/mi);
}

# In a process of its own; what it prints can be read.
sub start
{
	my $work = shift;
	my $pid = open(my $out, '-|') // die "no process: $!\n";
	return {pid => $pid, out => $out} if $pid;
	$| = 1;
	$work->();
	exit;
}

# The times of one till, a line each, while the run lasts.
sub till
{
	my ($merchant, $number, $end) = @_;
	my $socket = connection('127.0.1.' . $merchant);
	sleep rand $rest_s;
	for (my $n = $number * 97; ; $n++)
	{
		my $started = time;
		send_request($socket, $requests{"till.$merchant"}, $n);
		my ($status) = answer_of($socket);
		die "a till got " . ($status // 'no answer') . "\n" if ($status // 0) != 200;
		printf "%d\n", 1e6 * (time - $started);
		last if time > $end;
		sleep $rest_s;
	}
	return;
}

# One connection of the neighbour, until it is stopped; each status that it got, a line.
sub neighbour
{
	my $number = shift;
	local $SIG{PIPE} = 'IGNORE';
	my $socket;
	for (my $n = $number * 31; ; $n++)
	{
		$socket //= eval { connection('127.0.2.1') } // next;
		send_request($socket, $requests{$kind}, $n);
		print "sent\n";
		my ($status, $goes_on) = answer_of($socket);
		print(($status // 'none') . "\n");
		undef $socket unless $goes_on;
	}
	return;
}

# All of its connections, of which half do not get to the end of their headers.
sub slow_neighbour
{
	my $request = join '', @{$requests{$kind}}[0, 1];
	my $half = int(length($request) / 2);
	local $SIG{PIPE} = 'IGNORE';
	my @sockets;
	for (1 .. $connections)
	{
		my $socket = eval { connection('127.0.2.1') } // next;
		syswrite $socket, substr $request, 0, $_ % 2 ? 20 : $half;
		push @sockets, $socket;
		print "open\n";
	}
	while (1)
	{
		sleep 1;
		syswrite $_, 'x' for @sockets;
	}
	return;
}

$requests{$_} = [requests_of($_)] for $kind, map { basename $_ } glob "$folder/till.*";
my @neighbours = $kind =~ /[.]slow$/ ? start(\&slow_neighbour) : map { my $number = $_; start(sub { neighbour($number) }) } 1 .. $connections;
sleep 1;
my $end = time + $seconds;
my @started;
for my $merchant (map { /(\d+)$/ } glob "$folder/till.*")
{
	push @started, map { my $number = $_; start(sub { till($merchant, $number, $end) }) } 1 .. $tills;
}
my (@times, $failed);
for my $till (@started)
{
	push @times, readline $till->{out};
	close $till->{out} or $failed = 1;
}
kill TERM => map { $_->{pid} } @neighbours;
my %answers;
for my $neighbour (@neighbours)
{
	chomp(my @lines = readline $neighbour->{out});
	$answers{$_}++ for @lines;
	close $neighbour->{out};
}
open my $out, '>', "$folder/answers" or die "$folder/answers: $!\n";
print $out map { "$_ $answers{$_}\n" } sort keys %answers;
close $out;
exit 1 if $failed;
@times = sort { $a <=> $b } @times;
printf "%d\n", $times[int(0.99 * @times)];
