# wrap.pl - an answer in lines of at most 100 columns.
#
#     perl wrap.pl INDENT <ANSWER
#
# All lines but the first, which is to be printed there too, are indented by so
# many columns.  An answer that fits stays as it is.  JSON that does not is
# broken between its members; its texts and numbers stay as they came.
use strict;
use warnings;

binmode $_, ':encoding(UTF-8)' for *STDIN, *STDOUT;

my $width = 100;
my $room = $width - 3;    # a comma, or what closes, comes after
my $margin = shift // 0;
my $text = do { local $/; <STDIN> // '' };
$text =~ s/\s+\z//;

# One value, from where the last match ended: {flat} is all of it in one line;
# an array or an object has {items} too, each a value with its {key}.
sub parse
{
	if ($text =~ /\G\s*([\[{])/gc)
	{
		my $node = {open => $1, close => $1 eq '[' ? ']' : '}', items => []};
		until ($text =~ /\G\s*[\]}]/gc)
		{
			my $key = $node->{open} eq '{' ? parse()->{flat} . ': ' : '';
			$text =~ /\G\s*:/gc;
			push @{$node->{items}}, {%{parse()}, key => $key};
			$text =~ /\G\s*,/gc;
		}
		$node->{flat} = $node->{open} . join(', ', map { $_->{key} . $_->{flat} } @{$node->{items}}) . $node->{close};
		return $node;
	}
	$text =~ /\G\s*("(?:[^"\\]|\\.)*"|[^\s,:\[\]{}"]+)/gc or die "no JSON\n";
	return {flat => $1};
}

# Items in lines that begin at a column, as many in a line as fit.
sub fill
{
	my ($items, $column) = @_;
	my @lines = ('');
	for my $item (@$items)
	{
		my $flat = $item->{key} . $item->{flat};
		my $long = $column + length $flat > $room;
		my $separator = $lines[-1] eq '' ? '' : ', ';
		if (!$long && $column + length("$lines[-1]$separator$flat") <= $room)
		{
			$lines[-1] .= $separator . $flat;
			next;
		}
		push @lines, $long ? (layout($item, $column), '') : $flat;
	}
	return join ",\n" . ' ' x $column, grep { $_ ne '' } @lines;
}

# What does not fit in a line that begins at a column.  A value without a key
# goes on below its beginning, one with a key in lines of its own.
sub layout
{
	my ($node, $column) = @_;
	return $node->{key} . $node->{flat} unless $node->{items};
	return $node->{open} . fill($node->{items}, $column + 1) . $node->{close} if $node->{key} eq '';
	return "$node->{key}$node->{open}\n" . ' ' x ($column + 2) . fill($node->{items}, $column + 2) . $node->{close};
}

my $wrapped;
if ($margin + length $text > $width)
{
	$wrapped = eval {
		my $node = {%{parse()}, key => ''};
		die "more than JSON\n" if $text =~ /\G\s*\S/gc;
		layout($node, $margin);
	};
}
$text =~ s{\n(?=.)}{"\n" . ' ' x $margin}ge;
print $wrapped // $text, "\n";
