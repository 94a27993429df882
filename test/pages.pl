#!/usr/bin/perl
# pages.pl - what tests ask of the pages of the documentation.  Prints what is wrong.
#
#     test/pages.pl sql        the SQL of each page prints what is shown; says how much was run
#     test/pages.pl blocks     each block is run, or says why not
#     test/pages.pl links      relative links, and their anchors, lead somewhere
#     test/pages.pl codes      the APIs' pages have all their codes, in the order of the functions' COMMENTs; the engine's are in a page and in a test
#     test/pages.pl names      the functions in C that CONTRIBUTING.md names are where it says
#     test/pages.pl words      the glossaries in English and Spanish agree
#     test/pages.pl spanish    pages in Spanish have the sections and the blocks of the English ones
use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/t";
use File::Basename qw(basename dirname);
use File::Temp qw(tempdir);
use Page;

binmode $_, ':encoding(UTF-8)' for *STDOUT, *STDERR;

# --- sql ------------------------------------------------------------------------

# In psql's own words: databases, and roles.
sub objects
{
	return split /\n/, Page::run('', 'psql', '-XAtqc', q{SELECT format('DATABASE %I', datname) FROM pg_database UNION ALL SELECT format('ROLE %I', rolname) FROM pg_roles}, 'postgres');
}

sub psql { print Page::run('', 'psql', '-Xqc', 'SET client_min_messages = warning', '-c', $_[0], 'postgres'); return }

# Each page has a database of its own, and leaves nothing.
sub sql
{
	psql('DROP DATABASE IF EXISTS page');
	chdir tempdir(CLEANUP => 1);
	for my $page (map { Page->new($_) } Page::names())
	{
		my @commands = $page->commands('sql') or next;
		my %there = map { $_ => 1 } objects();
		psql(q{CREATE DATABASE page ENCODING 'UTF8' TEMPLATE template0});
		my @wrong = do { local $ENV{PGDATABASE} = 'page'; $page->run_sql };
		print map { "$_\n" } @wrong;
		printf "%s: %d of %d blocks as shown\n", $page->{name}, @commands - @wrong, scalar @commands;
		# databases first: a role may own something there
		psql("DROP $_") for sort grep { !$there{$_} } objects();
	}
	return;
}

# --- blocks ---------------------------------------------------------------------

sub blocks
{
	for my $page (map { Page->new($_) } Page::names())
	{
		print map { "$_\n" } @{$page->{problems}};
	}
	return;
}

# --- links ----------------------------------------------------------------------

# As forges make them of headings.
sub anchors
{
	my $page = shift;
	my (%seen, %anchors);
	for my $number (sort { $a <=> $b } keys %{$page->{prose}})
	{
		my ($heading) = $page->{prose}{$number} =~ /^#{1,6} +(.*?) *$/ or next;
		$heading =~ s/\[([^\]]*)\]\([^)]*\)/$1/g;
		(my $anchor = lc $heading) =~ s/[^\w\- ]//g;
		$anchor =~ tr/ /-/;
		$anchors{$seen{$anchor}++ ? "$anchor-" . ($seen{$anchor} - 1) : $anchor} = 1;
	}
	return \%anchors;
}

sub links
{
	my @names = (Page::names(), Page::names('es'));
	my %page = map { $_ => Page->new($_) } @names;
	my %anchors = map { $_ => anchors($page{$_}) } @names;
	for my $name (@names)
	{
		my $prose = $page{$name}{prose};
		for my $number (sort { $a <=> $b } keys %$prose)
		{
			(my $line = $prose->{$number}) =~ s/`[^`]*`//g;
			while ($line =~ /\]\(([^)\s]*)\)/g)
			{
				my $link = $1;
				next if $link =~ /^(https?|mailto):/;
				my ($path, $anchor) = $link =~ /^([^#]*)(?:#(.*))?$/;
				my $target = $path eq '' ? $name : join '/', resolve(dirname($name), $path);
				if (!-e "$Page::root/$target")
				{
					print "$name:$number: there is no $link\n";
				}
				elsif (defined $anchor && !$anchors{$target}{$anchor})
				{
					print "$name:$number: there is no heading $link\n";
				}
			}
		}
	}
	return;
}

sub resolve
{
	my @parts;
	for my $part (map { split m{/} } @_)
	{
		next if $part eq '.' || $part eq '';
		$part eq '..' ? pop @parts : push @parts, $part;
	}
	return @parts;
}

# --- codes ----------------------------------------------------------------------

sub slurp
{
	open my $in, '<:encoding(UTF-8)', $_[0] or die "$_[0]: $!\n";
	local $/;
	return scalar <$in>;
}

sub once { my %seen; return grep { !$seen{$_}++ } @_ }

# The second code of each row of a section's table of errors, and the function.
sub documented_order
{
	my $text = shift;
	my ($function) = $text =~ /^SQL: `loyalty\.(\w+)`/m or return;
	my ($table) = $text =~ /^\| HTTP \| SQL \|.*\n\| --- .*\n((?:\|.*\n)+)/m or return;
	return ($function, grep { defined } $table =~ /^\| `\w+` \| (?:`(\w+)`|–) \|/mg);
}

sub codes
{
	my %family;
	my $catalogue = slurp("$Page::root/src/base/errcodes.txt");
	push @{$family{$2}}, $1 while $catalogue =~ /^ERROR_CODE\(\w+, "\w+", "(\w+)", "(\w+)"/mg;
	my %is_code = map { $_ => 1 } map { @$_ } values %family;
	my $sql = join '', map { slurp($_) } sort glob "$Page::root/sql/parts/*.sql";
	for my $name (Page::names(), Page::names('es'))
	{
		my $text = slurp("$Page::root/$name");
		my ($api) = $name =~ m{/api-(\w+)\.md$};
		print map { "$name: it has not $_\n" } grep { $text !~ /`$_`/ } once(@{$family{$api // ''} // []}) if ($api // '') ne 'kasu';
		print map { "$name: $_ is no code\n" } grep { !$is_code{$_} } once($text =~ /`((?:[a-z]+_)+\d\d)`/g);
		next if ($api // '') ne 'monedero';
		for my $section (split /^(?=## )/m, $text)
		{
			my ($function, @codes) = documented_order($section) or next;
			my ($comment) = $sql =~ /^COMMENT ON FUNCTION loyalty\.$function\(.*\) IS\n'(.*)';$/m or print "$name: $function has no COMMENT\n";
			my @raised = once(grep { $is_code{$_} } ($comment // '') =~ /\bL\w{4} (\w+)/g);
			print "$name: $function raises @raised, and not @codes\n" if "@{[once(@codes)]}" ne "@raised";
		}
	}
	# those of no document are described where a function raises them
	my $pages = join '', map { slurp("$Page::root/$_") } grep { $_ ne 'docs/errors.md' } Page::names();
	my $tests = join '', map { slurp($_) } map { glob "$Page::root/test/$_" } qw(sql/*.sql specs/*.spec t/*.p[lm]);
	print map { "$_: no page has it but docs/errors.md\n" } grep { $pages !~ /\b$_\b/ } @{$family{engine}};
	print map { "$_: no test has it\n" } grep { $tests !~ /\b$_\b/ } @{$family{engine}};
	return;
}

# --- names ----------------------------------------------------------------------

# Which files of src/ define a function, one for each time.
sub files_of
{
	my $function = shift;
	return map { my $text = slurp($_); (s{^\Q$Page::root\E/src/}{}r) x (() = $text =~ /^$function\(/mg) } glob "$Page::root/src/*/*.c";
}

# Each function of the last cell is defined once, in a file of the cell before it.
sub names
{
	my $named = 0;
	for my $row (slurp("$Page::root/CONTRIBUTING.md") =~ /^(\|.*\|)$/mg)
	{
		my (undef, undef, $files, $functions) = split / *\| */, $row;
		for my $function (($functions // '') =~ /`(\w+)\(\)`/g)
		{
			$named++;
			my @found = files_of($function);
			print "CONTRIBUTING.md: $function() is in ", (@found ? "@found" : 'no file'), ", and not once in $files\n"
				if @found != 1 || !grep { $_ eq $found[0] } $files =~ /`([^`]+)`/g;
		}
	}
	print "CONTRIBUTING.md names no function\n" if !$named;
	return;
}

# --- spanish --------------------------------------------------------------------

# Comments, and the titles that psql's results have none of, may be in Spanish; so
# may what a picture says, whose lines and functions are the same.
sub code
{
	my $text = shift;
	return join ' ', $text =~ /([\w.]+\([^)]*\)|\n|[\x{2500}-\x{25FF}])\g{-1}*/g if $text =~ /\x{2500}/;
	$text =~ s/(^|[ \t])(--|#) .*$/$1/mg;
	$text =~ s/[ \t]+$//mg;
	return $text;
}

sub spanish
{
	for my $name (Page::names('es'))
	{
		my $english = $name eq 'README.es.md' ? 'README.md' : 'docs/' . basename $name;
		if (!-e "$Page::root/$english")
		{
			print "$name: there is no $english\n";
			next;
		}
		my ($here, $there) = map { Page->new($_) } $name, $english;
		print map { "$_\n" } @{$here->{problems}};
		my @levels = map { my $prose = $_->{prose}; join ' ', map { $prose->{$_} =~ /^(#+) / ? length $1 : () } sort { $a <=> $b } keys %$prose } $here, $there;
		print "$name: it has not the headings of $english\n" if $levels[0] ne $levels[1];
		my @here = @{$here->{fences} // []};
		my @there = @{$there->{fences} // []};
		print "$name: ", scalar @here, " blocks, and ", scalar @there, " in $english\n" if @here != @there;
		for my $i (0 .. ($#here < $#there ? $#here : $#there))
		{
			print "$name:$here[$i]{line}: another block than $english:$there[$i]{line}\n"
				if $here[$i]{language} ne $there[$i]{language} || code($here[$i]{text}) ne code($there[$i]{text});
			print "$name:$here[$i]{line}: is not run, or is, unlike $english:$there[$i]{line}\n" if !$here[$i]{skip} ne !$there[$i]{skip};
		}
	}
	return;
}

# --- words ----------------------------------------------------------------------

# The first two cells of the rows of a page, one of which is the key.
sub pairs
{
	my ($name, $key) = @_;
	my %pairs;
	for my $line (slurp("$Page::root/$name") =~ /^(\| .*)$/mg)
	{
		my @cells = ($line =~ /^\| (.*?) \| (.*?) \|/) or next;
		s/ \(.*\)$//, s/ \[.*$// for @cells;
		$pairs{$cells[$key]} = $cells[1 - $key] if $cells[0] !~ /^---/;
	}
	return %pairs;
}

# Each word of the glossary is in the Spanish one, by the Spanish that it says.
sub words
{
	my %english = pairs('docs/glossary.md', 0);
	my %spanish = pairs('docs/es/glossary.md', 1);
	my %kind = pairs('docs/es/glossary.md', 0);
	delete @english{'word', 'kind'};
	for my $word (sort keys %english)
	{
		my $there = $spanish{$word} // $kind{$word} // '';
		print "docs/glossary.md: $word is $english{$word}, and in docs/es/glossary.md \"$there\"\n" if $there ne $english{$word};
	}
	return;
}

my %asked = (sql => \&sql, blocks => \&blocks, links => \&links, codes => \&codes, names => \&names, words => \&words, spanish => \&spanish);
($asked{$ARGV[0] // ''} // die "usage: pages.pl sql | blocks | links | codes | names | words | spanish\n")->();
