#!/usr/bin/perl
# load.pl HOST:PORT WORKERS SECONDS - requests per second of a server.
#
# Reads requests from standard input, raw, separated by a line of two percent
# signs.  Each worker sends them over one connection, one after the other, from
# a place of its own on.  An answer that is not a 200 ends the run.
use strict;
use warnings;
use IO::Socket::INET;
use Time::HiRes qw(time);

my ($address, $workers, $seconds) = @ARGV;
my @requests = map { s/\n/\r\n/gr =~ s/\r\n\z//r } split /^%%\n/m, do { local $/; <STDIN> };
my $started = time;
my @pipes;

# The requests of one worker until the time is over; how many there were.
sub work
{
	my ($next) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => $address, Proto => 'tcp') or die "no connection: $@\n";
	my $n = 0;
	while (time - $started < $seconds)
	{
		print $socket $requests[$next++ % @requests];
		my $head = '';
		while (defined(my $line = <$socket>)) { $head .= $line; last if $line eq "\r\n" }
		my $body = '';
		if ($head =~ /^Content-Length: (\d+)/mi) { read $socket, $body, $1 }
		else
		{
			while ((my $size = hex(<$socket> =~ s/\r\n//r)) > 0) { read $socket, my $chunk, $size + 2; $body .= $chunk }
			<$socket>;
		}
		$head =~ m{^HTTP/1.1 200 } or die "$head$body\n";
		$n++;
	}
	return $n;
}

for my $worker (0 .. $workers - 1)
{
	pipe my $reader, my $writer or die;
	defined(my $pid = fork) or die;
	if ($pid == 0) { print $writer work($worker * 997), "\n"; exit }
	push @pipes, $reader;
}
my $total = 0;
for my $pipe (@pipes) { my $n = <$pipe> // die "a worker failed\n"; $total += $n }
1 while wait != -1;
printf "%.0f\n", $total / (time - $started);
