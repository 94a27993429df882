# Page.pm - the blocks of a page of the documentation, and what running them says.
#
# A page is Markdown.  Its commands are in fences of language sql, for psql, or
# sh, for bash; what they print follows at once in a fence of language text or
# json.  There, … stands for anything within a line.  A command that nothing
# follows may print what it likes, but must not fail.
#
# Comments, which a reader does not see, say more before a fence:
#     <!-- not run: WHY -->     it is shown only
#     <!-- first: COMMAND -->   is run before it, and not shown; several are, in order
# and at the top of a page:
#     <!-- goes on from: PAGE.md -->   its SQL runs after that page's, in one session
package Page;

use strict;
use warnings;
use utf8;

use File::Basename qw(basename dirname);
use File::Spec;
use Encode qw(decode encode);

our $root = File::Spec->rel2abs(dirname(__FILE__) . '/../..');

# The pages, by their names from the root: all of a language, English unless told.
sub names
{
	my ($language) = @_;
	my @top = map { basename $_ } glob "$root/*.md";
	return $language ? map { s{^\Q$root\E/}{}r } sort +glob("$root/*.$language.md"), glob "$root/docs/$language/*.md"
		: (sort(grep { !/\.\w\w\.md$/ } @top), map { 'docs/' . basename $_ } sort +glob "$root/docs/*.md");
}

sub new
{
	my ($class, $name) = @_;
	open my $in, '<:encoding(UTF-8)', "$root/$name" or die "$name: $!\n";
	my @lines = <$in>;
	chomp @lines;
	my $self = bless {name => $name, lines => \@lines, problems => []}, $class;
	$self->parse;
	return $self;
}

sub problem { my ($self, $line, $text) = @_; push @{$self->{problems}}, "$self->{name}:$line: $text"; return }

# {blocks}: {line, language, text, skip, first, shown}, those of commands and no others.
# {fences}: all of them, {line, language, text}.  {prose}: lines outside, by number.
sub parse
{
	my $self = shift;
	my ($fence, %said, $command);
	for my $number (1 .. @{$self->{lines}})
	{
		my $line = $self->{lines}[$number - 1];
		if ($fence)
		{
			if ($line =~ /^ *```$/)
			{
				$self->take($fence, \%said, \$command);
				$fence = undef;
				next;
			}
			$fence->{text} .= $line =~ s/^$fence->{indent}//r . "\n";
		}
		elsif ($line =~ /^( *)```(\w*)$/)
		{
			$fence = {line => $number, indent => $1, language => $2, text => ''};
		}
		else
		{
			$self->{prose}{$number} = $line;
			if ($line =~ /^ *<!-- (not run|first|goes on from): (.*) -->$/)
			{
				$said{$1} = join "\n", $said{$1} // (), $2;
			}
			next if $line =~ /^\s*(<!--.*-->)?$/;
			$command = undef;
			%said = ('goes on from' => $said{'goes on from'});
		}
	}
	$self->{goes_on_from} = $said{'goes on from'};
	return $self->problem($fence->{line}, 'a fence is not closed') if $fence;
	return;
}

sub take
{
	my ($self, $fence, $said, $command) = @_;
	push @{$self->{fences}}, $fence;
	if ($fence->{language} =~ /^(sql|sh)$/)
	{
		@$fence{qw(skip first)} = delete @$said{'not run', 'first'};
		push @{$self->{blocks}}, $$command = $fence;
	}
	elsif ($fence->{language} =~ /^(text|json)$/)
	{
		return $self->problem($fence->{line}, 'an answer without a command') unless $$command;
		$$command->{shown} = $fence->{text};
		$$command = undef;
	}
	elsif ($fence->{language} ne '')
	{
		$self->problem($fence->{line}, "a fence of language $fence->{language}");
	}
	return;
}

sub commands { my ($self, $language) = @_; return grep { $_->{language} eq $language && !$_->{skip} } @{$self->{blocks}} }

sub skipped { my ($self, $language) = @_; return grep { $_->{language} eq $language && $_->{skip} } @{$self->{blocks}} }

# What is wrong with what each block printed; nothing if it is as shown.
sub compare
{
	my ($self, $block, $printed, $failed) = @_;
	my $where = "$self->{name}:$block->{line}";
	$printed =~ s/[ \t]+$//mg;
	$printed =~ s/\n+\z/\n/;
	return $failed ? "$where: it fails\n$printed" : () unless defined $block->{shown};
	my $shown = $block->{shown} =~ s/\n+\z/\n/r;
	my $pattern = join '.*', map { quotemeta } split /…/, $shown, -1;
	return if $printed =~ /\A$pattern\z/;
	return "$where: it prints\n$printed";
}

# Run the program with TEXT for its input: all it says, in the order in which it does.
sub run
{
	my ($text, @command) = @_;
	my $input = encode('UTF-8', $text);
	require IPC::Run;
	IPC::Run::run(\@command, '<', \$input, '>', \my $said, '2>&1');
	return decode('UTF-8', $said);
}

# The SQL of a page as the shown environment of psql has it: what is not as shown.
# Pages that it goes on from come before, and are compared where they are run alone.
sub run_sql
{
	my $self = shift;
	my @before = $self->{goes_on_from} ? Page->new("docs/$self->{goes_on_from}")->commands('sql') : ();
	my @blocks = $self->commands('sql');
	my $script = join '', "\\set SHOW_CONTEXT never\n", map { $_->{text} } @before;
	for my $block (@blocks)
	{
		$script .= "\\echo <<<\n" . ($block->{first} ? "$block->{first}\n" : '') . "\\echo ---\n$block->{text}\n";
	}
	local @ENV{qw(PGDATESTYLE PGTZ PGOPTIONS)} = ('ISO', 'UTC', '-c client_min_messages=warning -c intervalstyle=postgres');
	my @answers = split /^<<<\n/m, run($script, qw(psql -Xq -P pager=off));
	shift @answers;
	return "$self->{name}: " . @answers . ' of ' . @blocks . ' blocks were run' if @answers != @blocks;
	return map { $self->compare_sql($blocks[$_], $answers[$_]) } 0 .. $#blocks;
}

sub compare_sql
{
	my ($self, $block, $answer) = @_;
	my ($before, $printed) = split /^---\n/m, $answer, 2;
	$printed //= '';
	return "$self->{name}:$block->{line}: what comes first fails\n$before" if $before =~ /^(ERROR|FATAL|psql: error)/m;
	return $self->compare($block, $printed, $printed =~ /^(?:psql:\S+ )?(?:ERROR|FATAL|PANIC|error):|^invalid command|^\\gset/m);
}

# The same for its shell, in the current folder: of all its commands, or of these.
# {shell} is who runs them, where that is another.
sub run_sh
{
	my ($self, @blocks) = @_;
	@blocks = $self->commands('sh') if !@blocks;
	my $script = "exec 2>&1\n";
	for my $block (@blocks)
	{
		$script .= "echo '<<<'\n" . ($block->{first} ? "$block->{first}\n" : '') . "echo ---\n$block->{text}\nprintf '\\n--- %d\\n' \$?\n";
	}
	my @answers = split /^<<<\n/m, run($script, @{$self->{shell} // ['bash']});
	shift @answers;
	return "$self->{name}: " . @answers . ' of ' . @blocks . ' blocks were run' if @answers != @blocks;
	return map {
		my ($printed, $status) = $answers[$_] =~ /^---\n(.*)^--- (\d+)\n\z/ms;
		defined $status ? $self->compare($blocks[$_], $printed, $status) : "$self->{name}:$blocks[$_]{line}: it does not end\n$answers[$_]"
	} 0 .. $#blocks;
}

1;
