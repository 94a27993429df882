# The shell commands of the pages, README.md too: each page on a new system, as
# make up makes it, and what they print is what is shown.  Who has read README.md
# goes on with Getting started on the same system.  (The SQL of the pages is the
# test pages of pg_regress.)
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use Loyalty;
use Page;
use Test::More;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

# These pages, one after the other on one system.
sub run_pages
{
	my @pages = map { Page->new($_) } @_;
	my @commands = map { $_->commands('sh') } @pages or return;
	return subtest join(', then ', @_) => sub {
		my $stack = Loyalty->start;
		my $folder = $stack->work_dir . '/page';
		mkdir $folder or die "$folder: $!\n";
		chdir $folder;
		symlink $stack->{run}, '.run';
		my @wrong = $stack->with_env(sub { map { $_->run_sh } @pages });
		chdir '/';
		cmp_ok scalar(@commands), '>', 0, @commands . ' commands';
		is join("\n", @wrong), '', 'print what is shown';
		ok $stack->stop, 'and crash no server';
	};
}

run_pages($_) for Page::names();
run_pages('README.md', 'docs/getting-started.md');

done_testing;
