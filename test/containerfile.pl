#!/usr/bin/perl
# containerfile.pl - a stage of Containerfile as a program of the shell, for a chroot of
# the Debian that it starts from: copies, runs the RUN lines, then the CMD.
#
#     test/containerfile.pl STAGE FOLDER >program
#
# FOLDER is there what dist/ is here.  The program runs what is in the function
# check, which is defined before it, while the CMD runs without a network.
use strict;
use warnings;

use FindBin;
use JSON::PP;

my ($wanted, $folder) = @ARGV;
my ($stage, $user, @environment) = ('', 'root');
my $command;

sub quote { my $word = shift; $word =~ s/'/'\\''/g; return "'$word'" }

open my $in, '<', "$FindBin::Bin/../Containerfile" or die "Containerfile: $!\n";
print "set -e\nexec </dev/null\n";
while (my $line = <$in>)
{
	chomp $line;
	next if $line =~ /^(#.*)?$/;
	my ($word, $rest) = $line =~ /^([A-Z]+) (.*)$/ or die "Containerfile:$.: $line\n";
	if ($word eq 'FROM')
	{
		($stage) = $rest =~ /^debian:bookworm-slim AS (\w+)$/ or die "Containerfile:$.: it starts from another Debian\n";
	}
	next if $stage ne $wanted;
	if ($word eq 'COPY')
	{
		my @files = split / /, $rest;
		my $target = pop @files;
		print "cp ", join(' ', map { s{^dist/}{$folder/}r } @files), " $target\n";
	}
	elsif ($word eq 'ENV') { push @environment, $rest }
	elsif ($word eq 'USER') { $user = $rest }
	elsif ($word eq 'RUN')
	{
		die "Containerfile:$.: it does not run as root\n" if $user ne 'root';
		print "env @environment sh -c ", quote($rest), "\n";
	}
	elsif ($word eq 'CMD') { $command = decode_json($rest) }
	elsif ($word !~ /^(FROM|VOLUME|EXPOSE)$/) { die "Containerfile:$.: what does $word do?\n" }
}
die "Containerfile has no stage $wanted\n" if !$command;
print <<"SH";
prepare
export -f check
exec unshare --net bash -ec '
	perl -MSocket -e "socket(my \\\$s, AF_INET, SOCK_DGRAM, 0) or die; my \\\$r = pack q(Z16 s x14), q(lo), 0x49; ioctl(\\\$s, 0x8914, \\\$r) or die"
	setpriv --reuid=$user --regid=$user --init-groups -- env @environment "\$@" &
	check
	kill \$!
	wait || true' bash @{[map { quote($_) } @$command]}
SH
