#!/usr/bin/perl
# load.pl HOST:PORT WORKERS SECONDS - requests per second of a server.
#
# Reads requests from standard input, raw, separated by a line of two percent
# signs.  Each worker sends them over one connection, one after the other, from
# a place of its own on, and at least one.  UNIQUE in a request is replaced by a
# word that no other has; not in a body, whose length is given.  An answer that
# is not a 200 ends the run, without a figure.
use strict;
use warnings;
use IO::Socket::INET;
use Time::HiRes qw(time);

my ($address, $workers, $seconds) = @ARGV;
my @requests = map { s/\n/\r\n/gr =~ s/\r\n\z//r } split /^%%\n/m, do { local $/; <STDIN> };
my $started = time;
my %reader;

# The body of an answer whose head was read.
sub body_of
{
	my ($socket, $head) = @_;
	my $body = '';
	if ($head =~ /^Content-Length: (\d+)/mi)
	{
		read $socket, $body, $1;
		return $body;
	}
	while ((my $size = hex((<$socket> // die "the connection ended\n") =~ s/\r\n//r)) > 0)
	{
		read $socket, my $chunk, $size + 2;
		$body .= $chunk;
	}
	<$socket>;
	return $body;
}

# The requests of one worker until the time is over; how many there were.
sub work
{
	my ($next) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => $address, Proto => 'tcp', Timeout => 10) or die "no connection to $address: $@\n";
	my $n = 0;
	do
	{
		print $socket $requests[$next++ % @requests] =~ s/UNIQUE/$$-$started-$n/r;
		my $head = '';
		while (defined(my $line = <$socket>)) { $head .= $line; last if $line eq "\r\n" }
		my $body = body_of($socket, $head);
		$head =~ m{^HTTP/1.1 200 } or die "not a 200: $head$body\n";
		$n++;
	} while (time - $started < $seconds);
	return $n;
}

for my $worker (0 .. $workers - 1)
{
	pipe my $reader, my $writer or die "no pipe: $!\n";
	defined(my $pid = fork) or die "no process: $!\n";
	if ($pid == 0) { print $writer work($worker * 997), "\n"; exit }
	$reader{$pid} = $reader;
}
my $total = 0;
for my $pid (keys %reader)
{
	my $n = readline $reader{$pid};
	if (!defined $n)
	{
		kill TERM => keys %reader;
		die "a worker failed\n";
	}
	$total += $n;
}
1 while wait != -1;
printf "%.1f\n", $total / (time - $started);
