#!/usr/bin/perl
# debian.pl - what the files of debian/ say of each other and of the rest of the
# project.  Prints what is wrong.  (make check-packages builds and installs them.)
use strict;
use warnings;

use FindBin;
use File::Basename qw(basename);

chdir "$FindBin::Bin/.." or die "$!\n";

sub slurp
{
	open my $in, '<', $_[0] or die "$_[0]: $!\n";
	local $/;
	return scalar <$in>;
}

sub wrong { print "@_\n"; return }

# --- control ------------------------------------------------------------------------

# What is committed is that of the Debian that has PostgreSQL 15.
my $control = slurp('debian/control');
wrong('debian/control is not debian/control.in for 15') if $control ne slurp('debian/control.in') =~ s/PGVERSION/15/gr;
my %packages = map { $_ => 1 } $control =~ /^Package: (\S+)$/mg;
for my $file (glob 'debian/*.*')
{
	my ($package) = basename($file) =~ /^(loyalty-gateway|postgresql-\d+-loyalty)\./ or next;
	wrong("$file is of no package") if !$packages{$package};
}
my ($oldest) = slurp('debian/pgversions') =~ /^(\d+)\+$/m;
my ($required) = slurp('META.json') =~ /"PostgreSQL": "(\d+)\./;
wrong('debian/pgversions and META.json start with different versions') if ($oldest // '') ne ($required // '');

# --- what is installed ------------------------------------------------------------------

my %installed;
for my $line (split /\n/, slurp('debian/loyalty-gateway.install'))
{
	my ($pattern, $folder) = split ' ', $line;
	my @files = grep { -f } glob $pattern;
	wrong("debian/loyalty-gateway.install: there is no $pattern") if !@files;
	$installed{"/$folder/" . basename($_)} = $_ for @files;
}
# and what debian/rules makes
my $rules = slurp('debian/rules');
$installed{"/$_"} = 1 for $rules =~ m{\$\(gateway\)/(\S+)}g;
for my $file (glob 'debian/gateway/*')
{
	wrong("$file is not in the package") if !grep { $_ eq $file } values %installed and $rules !~ /\Q$file\E/;
}

# A path of ours that a file names is installed, or made by nginx.
my %made = map { $_ => 1 } qw(/var/log/loyalty /var/log/loyalty/error.log /var/log/loyalty/access.log /var/lib/loyalty-gateway /run/loyalty-nginx.pid /etc/loyalty/tls/certificate.pem /etc/loyalty/tls/key.pem
	/etc/loyalty /etc/cron.d/loyalty-gateway);
for my $file (glob('debian/loyalty-gateway.*'), glob('debian/gateway/*'), 'docs/install.md', 'docs/es/install.md', 'Containerfile')
{
	for my $path (slurp($file) =~ m#((?<![\w.}])/(?:etc|usr/lib|usr/share|var/lib|var/log|run)/loyalty\b[\w./-]*)#g)
	{
		$path =~ s/[.\/]+$//;
		wrong("$file: $path is not installed") if !$installed{$path} && !$made{$path} && !grep { /^\Q$path\E\// } keys %installed;
	}
}

# --- units ---------------------------------------------------------------------------------

my ($services) = $rules =~ /^services = (.*)$/m;
my @units = map { m{debian/loyalty-gateway\.(.*)\.service$} } glob 'debian/*.service';
wrong("debian/rules installs the services $services, and there are @units") if join(' ', sort split / /, $services) ne join(' ', sort @units);
for my $unit (@units)
{
	my $text = slurp("debian/loyalty-gateway.$unit.service");
	for my $file ($text =~ m{^(?:EnvironmentFile|ExecStart)=-?(/(?:etc|usr/lib)/loyalty\S+)}mg)
	{
		wrong("$unit: $file is not installed") if !$installed{$file};
	}
	for my $other (map { split ' ' } $text =~ /^(?:Wants|After)=(.*)$/mg)
	{
		wrong("$unit: there is no $other") if $other =~ /^loyalty-(.*)\.service$/ && !grep { "$_.service" eq $other } @units;
	}
}
for my $page ('docs/install.md', 'docs/es/install.md')
{
	my $text = slurp($page);
	wrong("$page: it does not name the service $_") for grep { $text !~ /`$_`/ } @units;
}

# --- jobs ----------------------------------------------------------------------------------

my @jobs = slurp('debian/loyalty-gateway.cron.d') =~ m{/maintenance (\w+)$}mg;
my @scripts = map { basename($_, '.sql') } glob 'debian/gateway/*.sql';
wrong("cron's table has the jobs @jobs, and there are @scripts") if join(' ', sort @jobs) ne join(' ', sort @scripts);
my $pg_cron = qx(debian/gateway/pg_cron.pl debian/loyalty-gateway.cron.d);
wrong('pg_cron does not get them') if $? || (() = $pg_cron =~ /^SELECT cron\.schedule\('loyalty /mg) != @jobs;
my $texts = join '', map { slurp("debian/gateway/$_.sql") } @scripts;
my ($table) = slurp('docs/operate.md') =~ /^## What has to be run\n(.*?)^## /ms;
for my $call ($table =~ /^\| (?:each \S+) .*$/mg)
{
	wrong("no job calls $_(), which docs/operate.md says has to be run") for grep { $texts !~ /loyalty\.$_\(/ } $call =~ /`(\w+)\(merchant_id/g;
}

# --- nginx -----------------------------------------------------------------------------------

qx(debian/gateway/nginx.pl http/nginx.conf);
wrong('the configuration of nginx cannot be made of http/nginx.conf') if $?;
