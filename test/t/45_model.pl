# The engine against a model: games of random operations of every kind while time
# passes, each step checked at once against the laws as Model.pm has them.
#
# The seeds are fixed.  LOYALTY_MODEL_SEEDS=N plays so many, from
# LOYALTY_MODEL_SEED on, each LOYALTY_MODEL_OPERATIONS steps long, until
# LOYALTY_MODEL_MINUTES are over: for a longer search than a test's.
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use Loyalty;
use ModelGame;
use ModelReader;
use Test::More;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $first = $ENV{LOYALTY_MODEL_SEED} || 1;
my $seeds = $ENV{LOYALTY_MODEL_SEEDS} || 20;
my $steps = $ENV{LOYALTY_MODEL_OPERATIONS} || 400;
my $until = $ENV{LOYALTY_MODEL_MINUTES} ? time + 60 * $ENV{LOYALTY_MODEL_MINUTES} : undef;

my $stack = Loyalty->start(level => 'database', clock => 1);
$stack->name_entries;
my $reader = reader($stack);
my %times;		# how often there was what

for my $seed ($first .. $first + $seeds - 1)
{
	last if $until && time > $until;
	my $game = ModelGame->new(stack => $stack, reader => $reader, seed => $seed, times => \%times);
	my $difference = eval { $game->play($steps, $until) } // "died: $@";
	is $difference, '', "seed $seed: $game->{terms}{name}" or report($game);
}
$reader->close;

sub report
{
	my $game = shift;
	diag "seed $game->{seed}, step ", scalar @{$game->{steps}};
	my @steps = $game->shrink;
	diag 'the shortest script that shows it has ', scalar @steps, " steps:\n", $game->script(@steps);
	return;
}

note map { "$_: $times{$_}\n" } sort keys %times;
if (!grep { $ENV{"LOYALTY_MODEL_$_"} } qw(SEED SEEDS OPERATIONS MINUTES))
{
	cmp_ok $times{$_} // 0, '>=', 20, "$_ was among them" for qw(post sale hold capture release reverse transfer share leave configure batch accumulate repeat ask),
		map({ "entry $_" } qw(accrue deposit redeem adjust expire hold capture release mature reverse transfer)), 'points that expired in a refund';
}
cmp_ok ModelGame::played(), '>=', $steps, ModelGame::played() . ' steps';
done_testing;
