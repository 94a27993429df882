# ModelGame.pm - games of the engine against Model.pm: random operations of every
# kind while time passes, each compared at once.
#
#     my $game = ModelGame->new(stack => $stack, reader => reader($stack), seed => 7);
#     my $difference = $game->play(400);		# '' if there is none
#     print $game->script($game->shrink);		# the shortest that shows it
#
# A step is data: a moment, an operation, accounts by their place, entries by the
# step that made them.  So steps can be left out, and the rest be played again.
package ModelGame;

use strict;
use warnings;

use Loyalty;
use Model;
use ModelDays;
use ModelEarning;
use ModelReader;
use ModelSteps;

use constant {MEMBERS => 4, ACCOUNTS => 5, STRANGER => 5};

my $played = 0;

sub new
{
	my ($class, %o) = @_;
	my $self = bless {times => {}, %o, steps => [], kinds => {}}, $class;
	srand($self->{seed});
	$self->{terms} = ModelSteps::some_terms($self->{seed});
	$self->{terms}{fast_path} = $self->{seed} % 2 ? 'on' : 'off';
	return $self;
}

# --- the beginning -----------------------------------------------------------------

# What makes merchant, programs and accounts; :m, :p, :a0 … are their numbers.
sub set_up_statements
{
	my $terms = shift;
	my @sql = ("SELECT loyalty.create_merchant('Modelo') AS m \\gset", "SET loyalty.enable_fast_path = $terms->{fast_path}");
	push @sql, ModelSteps::ranges_statement($terms->{ranks}) if $terms->{ranks};
	for my $name (qw(P Q))
	{
		push @sql, "SELECT program_id AS \L$name\E FROM loyalty.create_program(:m, '$name', '$name') \\gset";
		push @sql, Loyalty::configure(':m', ":\L$name\E", ModelSteps::terms_arguments($terms));
	}
	for my $i (0 .. MEMBERS - 1)
	{
		my $rank = defined $terms->{granted} && $i == 1 ? ", rank => '$terms->{ranks}[$terms->{granted}][0]'" : '';
		push @sql, "SELECT loyalty.seller_member_create(:m, 'P', 'm$i\@example.com', 'Ana', 'Ruiz', client_id => 'CM$i'$rank) IS NULL";
		push @sql, "SELECT account_id AS a$i, member_id AS m$i FROM loyalty.members WHERE merchant_id = :m AND client_id = 'CM$i' \\gset";
	}
	push @sql, map { my ($i, $of) = @$_; "SELECT loyalty.open_account(:m, :$of) AS a$i \\gset" } [ACCOUNTS - 1, 'p'], [STRANGER, 'q'];
	push @sql, map { ModelSteps::limit_statement($_) } @{$terms->{limits} // []};
	push @sql, ModelSteps::rules_statement($terms->{rules}) if $terms->{rules};
	return @sql;
}

sub terminated { return map { /\\gset$/ ? $_ : "$_;" } @_ }

sub set_up
{
	my $self = shift;
	my $reader = $self->{reader};
	$self->{t} = $self->{terms}{begin};
	$self->{stack}->stop_clock($self->{t});
	my @sql = set_up_statements($self->{terms});
	my $said = $reader->query(join "\n", terminated(@sql), "SELECT 'ids', " . join(', ', map({ ":m$_" } 0 .. MEMBERS - 1), map { ":a$_" } 0 .. STRANGER));
	die "the game does not begin: $said\n" if $said =~ /ERROR/;
	my ($ids) = $said =~ /^ids\|(.*)$/m;
	my @ids = split /\|/, $ids;
	$self->{member} = [splice @ids, 0, MEMBERS];
	$self->{account} = \@ids;
	$self->{log} = [];
	$self->{label} = {};
	$self->{answers} = {};
	$self->{model} = Model->new;
	$self->{model}{times} = $self->{times};
	my ($program, $other) = map { my %copy = %{$self->{terms}}; \%copy } 1 .. 2;
	$self->{program} = $program;
	for my $i (0 .. STRANGER)
	{
		$self->{model}->open($ids[$i], $i == STRANGER ? $other : $program, $self->{t},
			$i < MEMBERS ? (member => $self->{member}[$i]) : (), $i == 1 ? (granted => $self->{terms}{granted}) : ());
	}
	return;
}

# --- playing -------------------------------------------------------------------------

# So many steps, as chance has them; '' or the difference.
sub play
{
	my ($self, $n, $until) = @_;
	$self->set_up;
	for my $i (1 .. $n)
	{
		last if $until && time > $until;
		my $step = ModelSteps::some_step($self, $i);
		push @{$self->{steps}}, $step;
		my $difference = $self->do_step($step);
		$played++;
		return $self->{difference} = $difference if $difference ne '';
	}
	return '';
}

sub played { return $played }

# The same steps, or some of them, again.
sub play_again
{
	my ($self, @steps) = @_;
	$self->set_up;
	for my $step (@steps)
	{
		my $difference = eval { $self->do_step($step) } // "died: $@";
		return $difference if $difference ne '';
	}
	return '';
}

# What of a difference must stay the same while steps are left out.
sub kind_of { my ($kind) = split /:/, $_[0]; return $kind }

# The fewest steps that show such a difference.
sub shrink
{
	my $self = shift;
	my $kind = kind_of($self->{difference});
	my @steps = @{$self->{steps}};
	my $end = time + ($ENV{LOYALTY_MODEL_SHRINK} // 60);
	my $again = sub { return kind_of($self->play_again(@_) || '-') eq $kind };
	return @steps unless $again->(@steps);
	my @short = (grep({ $_->{op} !~ /^(ask|law|repeat)$/ } @steps[0 .. $#steps - 1]), $steps[-1]);
	@steps = @short if $again->(@short);
	for my $question ($steps[-1]{op} eq 'ask' ? @{$steps[-1]{questions}} : ())
	{
		my @one = (@steps[0 .. $#steps - 1], {%{$steps[-1]}, questions => [$question]});
		next unless $again->(@one);
		@steps = @one;
		last;
	}
	for (my $size = @steps >> 1; $size >= 1; $size = $size == 1 ? 0 : ($size + 1) >> 1)
	{
		for (my $from = $#steps; $from >= 0 && time < $end; $from -= $size)
		{
			my $first = $from - $size + 1 > 0 ? $from - $size + 1 : 0;
			my @fewer = @steps[grep { $_ < $first || $_ > $from } 0 .. $#steps];
			@steps = @fewer if @fewer && $again->(@fewer);
		}
	}
	return @steps;
}

# These steps as psql has them, and what they end with.
sub script
{
	my ($self, @steps) = @_;
	my $difference = $self->play_again(@steps);
	return join "\n", "-- the clock stands at " . moment($self->{terms}{begin}), terminated(set_up_statements($self->{terms})), @{$self->{log}}, $difference, '';
}

# One step; how engine and model differ.
sub do_step
{
	my ($self, $step) = @_;
	$self->{t} = $step->{at};
	$self->{stack}->stop_clock($step->{at});
	$self->{touched} = {};
	my $sql = ModelSteps::statement($self, $step) // return '';
	# nobody else does: autovacuum waits for a clock that goes on
	$self->{reader}->query('ANALYZE ' . join ', ', 'loyalty.entry', map { "loyalty_internal.$_" } qw(account reservation reversal expired_lot)) if $step->{n} % 50 == 12;
	my $model = $self->{model};
	my @all = @{$self->{account}};
	my $ids = array('bigint', @all);
	my $known = array('bigint', map { $model->state($_)->{entry_no} } @all);
	# what has changed is looked at, and now and then everything
	my $all = $step->{n} % 10 == 9;
	my $seen = $all ? array('bigint', map { -1 } @all) : $known;
	my $answer = parse($self->{reader}->query("$sql;\nEXECUTE made(:m, $ids, $known)" . ($step->{law} ? '' : ";\nEXECUTE changed(:m, $ids, $seen)") . ($all && !$step->{law} ? ";\nEXECUTE used(:m)" : '')));
	push @{$self->{log}}, "-- at " . moment($step->{at}), "$sql;", "--   " . ModelSteps::answer_text($step, $answer);
	$self->{times}{"law of $step->{law}"}++ if $step->{law};
	return ModelSteps::law_broken($step, $answer) if $step->{law};
	my $difference = $self->compare($step, $answer);
	$difference ||= $self->compare_seen($answer);
	$difference ||= $self->compare_used($answer) if $all;
	return $difference;
}

sub compare
{
	my ($self, $step, $answer) = @_;
	my $got = ModelSteps::answer_text($step, $answer);
	my $deed = $self->{model}->begin($step->{at});
	my @results = eval { ModelSteps::deed($self, $step, $deed) };
	my $error = $@;
	chomp $error;
	die "$error in $step->{op}\n" if $error && $error !~ /^L[YI]\d{3}$/;
	$self->{times}{$error || $step->{op}}++;
	my $expected = $error || ($step->{op} =~ /^(share|leave)$/ ? '' : join ' ', map { ref $_ ? "@$_" : $_ } @results);
	my $difference = differs("result of $step->{op}", $expected, $got);
	return $difference if $difference ne '';
	$self->{answers}{$step->{n}} = $got unless $error;
	my $committed = !$error;
	# what is due may be booked or be left for later, where nothing else is made
	for my $id (@{$self->{account}})
	{
		my $is_due = !grep { $_->{kind} !~ /^(expire|mature|release)$/ } $deed->made($id);
		if ($answer->{made}{$id}) { $deed->account($id) if $is_due && $step->{op} =~ /^(configure|ranges|rules|repeat|expire_due|share|leave)$/ }
		elsif ($is_due && $step->{op} ne 'expire_due') { $deed->leave_unbooked($id) }
	}
	for my $id (@{$self->{account}})
	{
		my @expected = $committed ? $deed->made($id) : ();
		my @made = @{$answer->{made}{$id} // []};
		for my $i (0 .. ($#expected > $#made ? $#expected : $#made))
		{
			my ($should, $is) = map { $_ && $self->named($id) . entry_text($_) } $expected[$i], $made[$i];
			$difference .= differs('entry', $should, $is);
		}
		$self->{times}{"entry $_->{kind}"}++ for @expected;
		$self->{times}{'points that expired in a refund'}++ for grep { $_->{gone} } @expected;
	}
	return $difference if $difference ne '' || !$committed;
	$self->{model}->commit($deed);
	ModelSteps::label($self, $step, @results);
	return '';
}

# An account by its place.
sub named
{
	my ($self, $id) = @_;
	my ($i) = grep { $self->{account}[$_] eq $id } 0 .. STRANGER;
	return "a$i: ";
}

# What the limits of the day have counted today.
sub compare_used
{
	my ($self, $answer) = @_;
	my $today = ModelEarning::day_of($self, $self->{t});
	my $used = $self->{model}{used};
	my @expected;
	for my $key (keys %$used)
	{
		my ($scope, $subject, $adds) = split / /, $key;
		push @expected, "$scope $subject " . ($adds ? 'add' : 'spend') . ": $used->{$key}{points} in $used->{$key}{operations}" if $used->{$key}{day} >= $today;
	}
	my @lists = map { join ', ', sort grep { !/: 0 in 0$/ } @$_ } \@expected, $answer->{used} // [];
	return differs('used of limits', @lists);
}

sub compare_seen
{
	my ($self, $answer) = @_;
	my $difference = '';
	for my $id (@{$self->{account}})
	{
		my $got = $answer->{seen}{$id} or next;
		my $expected = $self->{model}->seen($id, $self->{t});
		$expected->{earned} = undef unless defined $got->{earned};
		my $name = $self->named($id);
		$difference .= differs('account', $name . seen_text($expected), $name . seen_text($got));
		$difference .= differs('rank', $name . ModelEarning::rank_at(Model::copy_of($id, $self->{model}->account($id)), $self->{t}), $name . $got->{rank})
			if $self->{program}{ranks};
	}
	return $difference;
}

1;
