# wal.pl - what pg_waldump shows, by table and index.
#
#     pg_waldump … | perl wal.pl CALLS NAMES
#
# NAMES has lines "name|file|database".  Prints lines "name bytes pages", each
# for one call, and one for all.  A record is of the relation of its first block:
# what has several blocks has them in one relation.
use strict;
use warnings;

my ($calls, $names) = @ARGV;
my (%name, %bytes, %pages);
open my $in, '<', $names or die "$names: $!\n";
while (<$in>)
{
	chomp;
	my ($name, $file, $database) = split /\|/;
	$name{"$database/$file"} = $name =~ s/^loyalty(?:_internal)?\.//r if $file ne '';
}

while (<STDIN>)
{
	next if /^first record is after /;
	my ($length, $what) = m{^rmgr: .* len \(rec/tot\): +\d+/ *(\d+), .* desc: (\S+)} or die "not understood: $_";
	my @blocks = /blkref #\d+: rel \d+\/(\d+\/\d+ (?:fork \w+ )?blk \d+)/g;
	my $of;
	for my $block (@blocks)
	{
		my ($file) = split / /, $block;
		$of //= $name{$file};
		$pages{$name{$file}}{$block} = 1 if defined $name{$file};
	}
	$of //= 'commits' if !@blocks && $what =~ /^(?:COMMIT|ABORT)/;
	$bytes{$of} += $length if defined $of;
}

my ($all_bytes, $all_pages) = (0, 0);
for my $name (sort keys %bytes)
{
	my $n = keys %{$pages{$name}};
	$all_bytes += $bytes{$name};
	$all_pages += $n;
	printf "%s %.0f %.3f\n", $name, $bytes{$name} / $calls, $n / $calls;
}
die "nothing was written\n" unless $all_bytes > 0;
printf "all %.0f %.3f\n", $all_bytes / $calls, $all_pages / $calls;
