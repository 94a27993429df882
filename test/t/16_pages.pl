# The shell commands of the pages, README.md too: each page on a new system, as
# make up makes it, and what they print is what is shown.  (The SQL of the pages
# is the test pages of pg_regress.)
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use Loyalty;
use Page;
use Test::More;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

for my $page (map { Page->new($_) } Page::names())
{
	my @commands = $page->commands('sh') or next;
	subtest $page->{name} => sub {
		my $stack = Loyalty->start;
		my $folder = $stack->work_dir . '/page';
		mkdir $folder or die "$folder: $!\n";
		chdir $folder;
		symlink $stack->{run}, '.run';
		my @wrong = $stack->with_env(sub { $page->run_sh });
		chdir '/';
		cmp_ok scalar(@commands), '>', 0, @commands . ' commands';
		is join("\n", @wrong), '', 'print what is shown';
		ok $stack->stop, 'and crash no server';
	};
}

done_testing;
