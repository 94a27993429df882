#!/usr/bin/perl
# pg_cron.pl - the jobs of cron's table as those of the extension pg_cron.
#
#     debian/gateway/pg_cron.pl debian/loyalty-gateway.cron.d >pg_cron.sql
use strict;
use warnings;

use File::Basename qw(dirname);

my $folder = dirname($0);
my ($table) = @ARGV;
open my $in, '<', $table or die "$table: $!\n";
my @jobs = map { m{^((?:\S+ ){4}\S+) _loyalty \S+/maintenance (\w+)$} ? [$2, $1] : () } <$in>;
die "$table has no jobs\n" if !@jobs;

print <<'SQL';
-- The jobs that a database with the extension loyalty wants to be run, for pg_cron,
-- in place of those of /etc/cron.d/loyalty-gateway.  To be run by a role that has
-- loyalty.grant_operation(), in the database of pg_cron, which has loyalty too:
-- in another one, use cron.schedule_in_database().  Running it again changes them.
SQL
for (@jobs)
{
	my ($name, $when) = @$_;
	open my $sql, '<', "$folder/$name.sql" or die "$folder/$name.sql: $!\n";
	my $text = do { local $/; <$sql> };
	my ($says, $does) = $text =~ /^((?:--[^\n]*\n)+)(.*?);\n\z/s or die "$folder/$name.sql is no statement\n";
	print "\n${says}SELECT cron.schedule('loyalty $name', '$when', \$job\$\n$does\n\$job\$);\n";
}
