#!/usr/bin/perl
# meta.pl - META.json against the rules of PGXN, and against what the project says
# of itself.
#
#     test/meta.pl check     prints what is wrong
#     test/meta.pl version   prints the version of the distribution
#     test/meta.pl script    prints the file that META.json says provides the extension
use strict;
use warnings;

use FindBin;
use JSON::PP;

my $root = "$FindBin::Bin/..";
my $semantic = qr/\A(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-[A-Za-z][0-9A-Za-z-]*)?\z/;
# of https://pgxn.org/spec/
my %licenses = map { $_ => 1 } qw(agpl_3 apache_1_1 apache_2_0 artistic_1 artistic_2 bsd freebsd gfdl_1_2 gfdl_1_3 gpl_1 gpl_2 gpl_3
	lgpl_2_1 lgpl_3_0 mit mozilla_1_0 mozilla_1_1 openssl perl_5 postgresql qpl_1_0 ssleay sun zlib open_source restricted unrestricted unknown);
my @required = qw(name version abstract maintainer license provides meta-spec);
my %known = map { $_ => 1 } @required, qw(description generated_by tags no_index prereqs release_status resources);

sub slurp
{
	open my $in, '<', "$root/$_[0]" or die "$_[0]: $!\n";
	local $/;
	return scalar <$in>;
}

my $meta = decode_json(slurp('META.json'));
my ($extension_version) = slurp('loyalty.control') =~ /^default_version = '(.*)'$/m or die "loyalty.control has no version\n";

# 0.2.0dev is 0.2.0-dev there, and 0.2.0~dev in Debian.
sub spelled { my $between = shift; return $extension_version =~ s/\A(\d+\.\d+\.\d+)(?=[A-Za-z])/$1$between/r }

sub check
{
	my $provided = $meta->{provides}{loyalty} // {};
	my @wrong = map { "there is no $_" } grep { !defined $meta->{$_} } @required;
	push @wrong, map { "$_ is no key of PGXN" } grep { !$known{$_} && !/\A[xX]_/ } sort keys %$meta;
	push @wrong, 'the name has characters that none has' if ($meta->{name} // '') !~ /\A[^\s\/\\\0-\x1f]{2,}\z/;
	push @wrong, "no license $_" for grep { !$licenses{$_} } ref $meta->{license} eq 'ARRAY' ? @{$meta->{license}} : $meta->{license} // '';
	push @wrong, map { "version $_ is not semantic" } grep { $_ !~ $semantic } $meta->{version} // '', map { $_->{version} // '' } values %{$meta->{provides} // {}};
	push @wrong, "the version is not that of loyalty.control, ${\ spelled('-')}" if grep { ($_ // '') ne spelled('-') } $meta->{version}, $provided->{version};
	push @wrong, "the file of loyalty is not sql/loyalty--$extension_version.sql" if ($provided->{file} // '') ne "sql/loyalty--$extension_version.sql";
	push @wrong, "there is no $provided->{docfile}" if defined $provided->{docfile} && !-e "$root/$provided->{docfile}";
	push @wrong, 'the specification is not 1.0.0 of pgxn.org' if ($meta->{'meta-spec'}{version} // '') ne '1.0.0' || ($meta->{'meta-spec'}{url} // '') !~ m{\Ahttps?://pgxn\.org/};
	for my $phase (values %{$meta->{prereqs} // {}})
	{
		push @wrong, map { "a requirement of version $_" } grep { $_ ne '0' && $_ !~ /\A(?:[<>=!]+ *)?\d+\.\d+\.\d+/ } map { values %$_ } values %$phase;
	}
	push @wrong, map { "the tag $_ is not one" } grep { ref || length > 255 || m{[/\\\0-\x1f]} } @{$meta->{tags} // []};
	print map { "META.json: $_\n" } @wrong;
	my ($debian) = slurp('debian/changelog') =~ /\Aloyalty \((.*?)-[^-]*\) /;
	print "debian/changelog: version ${\ ($debian // '')}, and ${\ spelled('~')} in loyalty.control\n" if ($debian // '') ne spelled('~');
	return;
}

my %asked = (check => sub { check() }, version => sub { print "$meta->{version}\n" }, script => sub { print "$meta->{provides}{loyalty}{file}\n" });
($asked{$ARGV[0] // ''} // die "usage: meta.pl check | version | script\n")->();
