#!/usr/bin/perl
# indent.pl - src/ as pg_bsd_indent leaves it, with PostgreSQL's own options.
#
#     test/indent.pl --check    print how the files differ from that, if they do
#     test/indent.pl --write    put them right
#
# What is a type, pg_bsd_indent has to be told: those of src/ are found here, those
# of the server that src/ uses are in test/typedefs.list.
use strict;
use warnings;

use File::Basename qw(dirname);
use File::Temp ();

my @options = qw(-bad -bap -bbb -bc -bl -cli1 -cp33 -cdb -nce -d0 -di12 -nfc1 -i4 -l119 -lp -lpl -nip -npro -sac -tpg -ts4);

chdir dirname(__FILE__) . '/..' or die;
my $mode = $ARGV[0] // '';
die "usage: $0 --check | --write\n" if $mode !~ /^--(check|write)$/;

sub slurp
{
	open my $in, '<', $_[0] or die "$_[0]: $!\n";
	local $/;
	return <$in>;
}

sub spit
{
	my ($name, $text) = @_;
	open my $out, '>', $name or die "$name: $!\n";
	print $out $text;
	close $out or die "$name: $!\n";
	return;
}

my @files = sort glob 'src/*.c src/*/*.[ch]';
my %type = map { $_ => 1 } split /\n/, slurp('test/typedefs.list');
for my $file (@files)
{
	my $text = slurp($file);
	$type{$1} = 1 while $text =~ /^\}\s*(\w+);/mg;
	$type{$1} = 1 while $text =~ /^typedef\s[^{};]*?\b(\w+);/mg;
	$type{$1} = 1 while $text =~ /^typedef\s[^;{}]*\(\*\s*(\w+)\)/mg;
}

my $dir = File::Temp->newdir;
spit("$dir/types", join '', map { "$_\n" } sort keys %type);

my $differ = 0;
for my $file (@files)
{
	my $before = slurp($file);
	(my $source = $before) =~ s/\btext(?=\s+\*+\w|\s+\*+\)|\s+\*$)/texT/mg;
	# it reads bytes, and some of them as white space
	$source =~ s/\xE2\x80\xA6/@@@/g;
	spit("$dir/file", $source);
	my $after = qx(pg_bsd_indent @options -U$dir/types <$dir/file 2>$dir/errors);
	my $errors = slurp("$dir/errors");
	die "$file: $errors" if $? != 0 || $errors ne '';

	# a function's type is no declaration; "text" is the name of a type and of variables
	$after =~ s/^([A-Za-z_]\S*)[ \t]+\*$/$1 */mg;
	$after =~ s/\btexT\b/text/g;
	$after =~ s/@@@/\xE2\x80\xA6/g;
	next if $after eq $before;

	$differ = 1;
	spit($mode eq '--write' ? $file : "$dir/after", $after);
	system 'diff', '-U0', "--label=$file", "--label=indented", $file, "$dir/after" if $mode eq '--check';
}
exit($mode eq '--check' && $differ);
