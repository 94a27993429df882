# test/demo.sh: all it shows is as documented, the second time too; it can be
# read, and typed; and it says when something is not as documented.
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use IPC::Run ();
use JSON::PP ();
use Loyalty;
use Test::More;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $demo = "$FindBin::Bin/../demo.sh";
my $stack = Loyalty->start;

# The exit status of a tour with the settings in a folder, its text, and how
# many answers were as documented, of how many.
sub tour
{
	my ($folder) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([$demo, $folder], '<', '/dev/null', '>', \$out, '2>', \$err);
	my $status = $? >> 8;
	utf8::decode($_) for $out, $err;
	is $err, '', 'the tour has no complaints';
	my ($good, $total) = $out =~ /^(\d+) of (\d+) as documented$/m;
	return ($status, $out, $good, $total);
}

# --- all as documented ----------------------------------------------------------

my ($status, $text, $good, $total) = tour($stack->{run});
is $status, 0, 'a tour ends well';
cmp_ok $total, '>', 40, 'it shows many things';
is $good, $total, 'all of them are as documented';
unlike $text, qr/^!!!/m, 'and nothing says otherwise';

my ($second_status, $second_text, $second_good, $second_total) = tour($stack->{run});
is $second_status, 0, 'so does a second one on the same database';
is "$second_good of $second_total", "$good of $total", 'with the same count';

# --- to be read -----------------------------------------------------------------

# One text without a place to break it: a link, a message of a document.
my @long = grep { length > 100 && !/^ *"\w+": "[^"]*"[\]},]*$/ } split /\n/, $text . $second_text;
is_deeply \@long, [], 'no line has more than 100 columns that could be broken';

# After the status of an answer, and as many lines as are indented like it.
my @answers = $text =~ /^\d{3}  (.*\n(?: {5}.*\n)*)/mg;
cmp_ok scalar @answers, '>', 30, 'answers come with their status';
is_deeply [grep { !eval { JSON::PP->new->decode($_); 1 } } @answers], [], 'all are JSON, wrapped or not';
like $text, qr/María Núñez/, 'accents are as they should be';

# --- to be typed ----------------------------------------------------------------

# Commands go on in lines that are indented by fewer columns than answers.
my @shell = $text =~ /^\$ (.*\n(?:(?!\d{3}  | {5}|\n).*\n)*)/mg;
my @sql = $text =~ /^loyalty=# (.*\n(?:(?! {5}|\n).*\n)*)/mg;
cmp_ok @shell + @sql, '>', $total, 'each answer has its command';

# Everything in one shell, the last of whose commands is psql, in that order.
my $typed = join '', "set -u\n", @shell, @sql;
my ($said, $complaints) = ('', '');
utf8::encode($typed);
ok $stack->with_env(sub { IPC::Run::run(['bash'], '<', \$typed, '>', \$said, '2>', \$complaints) }), 'the commands can be typed';
unlike $complaints, qr/error|not found|unbound|invalid|no rows/i, 'none of them is refused';
utf8::decode($said);
like $said, qr/"code":"new_sale_01".*7dca2ac3b66f97b1.*"pagos_pendientes".*\bhers\b/s, 'and they do what was shown';

# --- not as documented ------------------------------------------------------------

my $elsewhere = $stack->work_dir . '/wrong key';
mkdir $elsewhere or die "$elsewhere: $!\n";
open my $in, '<', "$stack->{run}/env" or die;
open my $out, '>', "$elsewhere/env" or die;
print {$out} readline($in), "LOYALTY_APIKEY='lk_none'\n";
close $out;
my ($wrong_status, $wrong_text, $wrong_good, $wrong_total) = tour($elsewhere);
is $wrong_status, 1, 'a tour with a wrong key ends with an error';
is $wrong_total, $total, 'after it has shown everything';
cmp_ok $wrong_good, '<', $total, 'and says that less was as documented';
is scalar(() = $wrong_text =~ /^!!! This is not as documented/mg), $total - $wrong_good, 'each is marked';
like $wrong_text, qr/^401  .*\n!!! .*\n200  "code":"tool_users_01"$/m, 'and tells what was expected';

done_testing;
