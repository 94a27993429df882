#!/usr/bin/perl
# nginx.pl - the configuration of nginx for the package loyalty-gateway.
#
#     debian/gateway/nginx.pl http/nginx.conf >nginx.conf
#
# Each of these lines is found once, or there is no package: what http/nginx.conf
# says, the package says.
use strict;
use warnings;

my ($source) = @ARGV;
my @changes = (
	[qr/^# To deploy, edit the lines marked EDIT\..*?(?=^\n)/ms,
		"# Of the package loyalty-gateway: addresses and certificates are in tls.conf, and\n"
		. "# the lines marked EDIT are the ones to edit.  With a proxy in front, name it in\n"
		. "# set_real_ip_from, or all its clients share one rate limit.\n"],
	[qr/^worker_processes auto;\K[^\n]*/m, "\nuser www-data;"],
	[qr/^pid nginx\.pid;[^\n]*/m, 'pid /run/loyalty-nginx.pid;'],
	[qr/^error_log error\.log crit;[^\n]*/m, 'error_log /var/log/loyalty/error.log crit;      # of the processes'],
	[qr/^\t# EDIT, as above\.  What/m, "\t# What"],
	[qr/^\terror_log error\.log emerg;/m, "\terror_log /var/log/loyalty/error.log emerg;"],
	[qr/^\taccess_log access\.log /m, "\taccess_log /var/log/loyalty/access.log "],
	[qr/^\t\tlisten 127\.0\.0\.1:8080;[^\n]*/m, "\t\tinclude /etc/loyalty/tls.conf;"],
);

open my $in, '<', $source or die "$source: $!\n";
my $text = do { local $/; <$in> };
for my $change (@changes)
{
	my ($line, $becomes) = @$change;
	my $found = $text =~ s/$line/$becomes/g;
	die "$source has $line " . ($found || 0) . " times, and not once\n" if $found != 1;
}
print $text;
