#!/usr/bin/perl
# includes.pl - the #includes of src/ go down only, and in no circle.
#
#   test/includes.pl            prints what breaks that; nothing if all is well
#   test/includes.pl --dot      prints the graph for Graphviz, a box per folder
#
# A .c file and its .h are one unit.  Folders stand on floors: a unit includes
# units of its own folder and of the floors below it, and no two units reach
# each other.  A header declares what its own .c file defines, and nothing else:
# so who calls a function includes its unit, and no tie is left out.
use strict;
use warnings;

use File::Find;

# From the lowest floor up.  What stands on one floor knows nothing of its neighbours.
my @floors = (
	['base'], ['types', 'db'], ['program'], ['account'], ['earning', 'limits', 'admin'],
	['ledger'], ['proof', 'api'], ['http'], ['loyalty'],
);
my %floor_of;
for my $floor (0 .. $#floors) {
	$floor_of{$_} = $floor for @{ $floors[$floor] };
}

# The unit of a file is its path without the end: api/fields.
sub unit { $_[0] =~ s/\.\w+$//r }
sub folder { $_[0] =~ s{/.*}{}r }

sub contents {
	my ($file) = @_;
	open my $in, '<', $file or die "$file: $!\n";
	local $/;
	return <$in>;
}

my %includes;
find({
	no_chdir => 1,
	wanted   => sub {
		my $file = $_ =~ s{^src/}{}r;
		return unless $file =~ /\.[ch]$/;
		my $includes = $includes{ unit($file) } //= {};
		for (contents($_) =~ /^\s*#\s*include\s+"([^"]+)"/mg) {
			$includes->{ unit($_) } = 1 if -e "src/$_" && unit($_) ne unit($file);
		}
	},
}, 'src');
$includes{$_} //= {} for map { keys %$_ } values %includes;

sub upward {
	my ($from, $to) = map { folder($_) } @_;
	return $from ne $to && $floor_of{$to} >= $floor_of{$from};
}

# What the header of a unit declares and its .c file does not define.
sub foreign_declarations {
	my ($header, $source) = map { -e "src/$_[0].$_" ? contents("src/$_[0].$_") : '' } 'h', 'c';
	$header =~ s{/\*.*?\*/}{}gs;
	$header =~ s/^#define(?:.*\\\n)*.*//gm;
	my @names = $header =~ /^(?:pg_noreturn\s+)?extern\s[^;(]*?(\w+)(?:\[\w*\])?\s*[;(]/mg;
	return grep { $source !~ /^(?:\w.*[\s*])?$_\s*[(=[;]/m } @names;
}

# Circles are the strongly connected parts of more than one unit (Tarjan).
my (@stack, %number, %lowest, %stacked, @circles);

sub visit {
	my ($unit) = @_;
	$number{$unit} = $lowest{$unit} = keys %number;
	push @stack, $unit;
	$stacked{$unit} = 1;
	for my $next (sort keys %{ $includes{$unit} }) {
		visit($next) unless exists $number{$next};
		$lowest{$unit} = $lowest{$next} if $stacked{$next} && $lowest{$next} < $lowest{$unit};
	}
	return if $lowest{$unit} != $number{$unit};
	my @part;
	do {
		push @part, pop @stack;
		delete $stacked{ $part[-1] };
	} until $part[-1] eq $unit;
	push @circles, [ sort @part ] if @part > 1;
}

sub print_offences {
	for my $unit (sort keys %includes) {
		print "src/$unit: the folder stands on no floor\n" unless exists $floor_of{ folder($unit) };
		print "src/$unit.h declares $_, which $unit.c does not define\n" for foreign_declarations($unit);
	}
	for my $unit (grep { exists $floor_of{ folder($_) } } sort keys %includes) {
		for my $next (sort keys %{ $includes{$unit} }) {
			print "src/$unit includes $next, which is not below it\n" if exists $floor_of{ folder($next) } && upward($unit, $next);
		}
		visit($unit) unless exists $number{$unit};
	}
	print "circle: @$_\n" for @circles;
}

sub print_dot {
	my %units;
	push @{ $units{ folder($_) } }, $_ for sort keys %includes;
	print "digraph includes {\n\tnode [shape=box, style=filled, fillcolor=white];\n";
	for my $folder (map { @$_ } reverse @floors) {
		print "\tsubgraph \"cluster_$folder\" {\n\t\tlabel=\"$folder\";\n";
		print "\t\t\"$_\" [label=\"", s{.*/}{}r, "\"];\n" for @{ $units{$folder} };
		print "\t}\n";
	}
	for my $unit (sort keys %includes) {
		print "\t\"$unit\" -> \"$_\";\n" for sort keys %{ $includes{$unit} };
	}
	print "}\n";
}

@ARGV && $ARGV[0] eq '--dot' ? print_dot() : print_offences();
