# docs/hash-chain.md: from its test vectors and what it says about them a program
# that knows nothing of the engine computes the bytes and hashes that are written
# there; a ledger of just these entries is sound to the engine; and what is
# changed of one is noticed.
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use Digest::SHA qw(sha256);
use Encode qw(encode);
use List::Util qw(first);
use Loyalty;
use Test::More;
use Time::Local qw(timegm);

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

# --- the document ---------------------------------------------------------------

open my $in, '<:encoding(UTF-8)', "$FindBin::Bin/../../docs/hash-chain.md" or die "docs/hash-chain.md: $!\n";
my ($vectors) = join('', <$in>) =~ /^## Test vectors\n(.*)/ms or die "there are no test vectors\n";

# {title, text => [[part, value, bytes] …], part => the same, hash}
sub vector
{
	my ($title, $body) = @_;
	my ($hash) = $body =~ /^Hash: `([0-9a-f]{64})`$/m or die "$title: there is no hash\n";
	my %table = (text => [], part => []);
	my $rows;
	for my $line (split /\n/, $body)
	{
		my ($part, $value, $bytes) = $line =~ /^\| (.*?) \| (.*) \| (\S+) \|$/ or next;
		if ($bytes eq 'bytes')
		{
			$rows = $table{$part} // die "$title: a table of $part\n";
		}
		elsif ($bytes ne '---')
		{
			$bytes =~ /^`((?:[0-9a-f]{2})+)`$/ or die "$title: $bytes\n";
			push @$rows, [$part, $value, $1];
		}
	}
	return {(map { ($_->[0] => $_->[1]) } @{$table{text}}, @{$table{part}}), %table, title => $title, hash => $hash};
}

my %key = $vectors =~ /^\| (\d+) \| ([0-9a-f-]{36}) \|$/mg;
my @vectors = map { vector(split /\n\n/, $_, 2) } grep { /^Hash: /m } split /^### /m, $vectors;
my @entries = grep { $_->{title} =~ /, entry / } @vectors;
my %tree = map { ($_->{title} => $_) } grep { $_->{title} !~ /, entry / } @vectors;

# --- what it says, in Perl --------------------------------------------------------

my @kinds = qw(none accrue deposit redeem adjust expire hold capture release mature reverse transfer);
my @optional = qw(staff_id money reserved origin_entry_id peer_account_id member_id rules happened_at actor_id request_id lots text);
my %is_points = map { $_ => 1 } qw(balance amount money reserved);
my %is_time = map { $_ => 1 } qw(posted_at happened_at made_at);

sub points
{
	my ($sign, $whole, $fraction) = $_[0] =~ /^(-?)(\d+)(?:\.(\d{1,4}))?$/ or die "points $_[0]\n";
	my $units = $whole . substr(($fraction // '') . '0000', 0, 4);
	return $sign ? -$units : $units + 0;
}

sub microseconds
{
	my ($year, $month, $day, $hour, $minute, $second, $fraction) = $_[0] =~ /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?Z$/
		or die "time $_[0]\n";
	my $seconds = timegm($second, $minute, $hour, $day, $month - 1, $year) - timegm(0, 0, 0, 1, 0, 2000);
	return $seconds * 1_000_000 + substr(($fraction // '') . '000000', 0, 6);
}

sub varint
{
	my ($number) = @_;
	my $bytes = '';
	for (; $number >= 128; $number >>= 7)
	{
		$bytes .= chr($number & 127 | 128);
	}
	return $bytes . chr $number;
}

sub packed_lots
{
	my ($text) = $_[0] =~ /^\{(.*)\}$/ or die "lots $_[0]\n";
	my ($bytes, $before) = ('');
	for my $lot (split /,/, $text)
	{
		my ($moment, $posted, $points) = $lot =~ m{^([^/=]+)(?:/([^=]+))?=(.+)$} or die "lot $lot\n";
		my $second = microseconds($moment) / 1_000_000;
		$bytes .= varint(defined $before ? $second - $before : $second < 0 ? -2 * $second - 1 : 2 * $second);
		$bytes .= varint(0) . varint($second - microseconds($posted) / 1_000_000) if defined $posted;
		$bytes .= varint(points($points));
		$before = $second;
	}
	return $bytes;
}

sub integer { return pack 'q>', $_[0] }
sub counted { return pack('N', length $_[0]) . $_[0] }
sub bytes_of_text { return counted(encode('UTF-8', $_[0])) }

# The bytes of one of the numbers.
sub number
{
	my ($name, $value) = @_;
	return integer($is_points{$name} ? points($value) : $is_time{$name} ? microseconds($value) : $value);
}

# [part, bytes] of what is digested of a text, and of what is hashed of an entry
# after one whose hash is given.
sub text_parts
{
	my ($entry) = @_;
	my $keys = join '', $key{$entry->{member_id} // ''} // $key{$entry->{account_id}}, $key{$entry->{peer_account_id} // ''} // '';
	my @there = grep { defined $entry->{$_} } qw(reference detail);
	my $mask = (defined $entry->{reference} ? 1 : 0) + (defined $entry->{detail} ? 2 : 0);
	return unless @there;
	return (['salt', sha256(pack('H*', $keys =~ tr/-//dr), integer($entry->{entry_id}))], ['text mask', chr $mask], map { [$_, bytes_of_text($entry->{$_})] } @there);
}

sub together { return join '', map { $_->[1] } @_ }

sub entry_parts
{
	my ($entry, $before) = @_;
	my @text = text_parts($entry);
	my $number = first { $kinds[$_] eq $entry->{kind} } 1 .. $#kinds;
	my @there = grep { $_ eq 'text' ? @text : defined $entry->{$_} } @optional;
	my $mask = 0;
	for my $bit (0 .. $#optional)
	{
		$mask += 2**$bit if grep { $_ eq $optional[$bit] } @there;
	}
	my @parts = (['format', chr 1], ['hash before', $before]);
	push @parts, map { [$_, number($_, $entry->{$_})] } qw(entry_no balance posted_at merchant_id account_id entry_id amount);
	push @parts, ['kind', pack 'n', $number], ['mask', pack 'n', $mask];
	for my $name (@there)
	{
		push @parts, $name eq 'text' ? ['text digest', sha256(together(@text))]
			: $name eq 'lots' ? ['lots', counted(packed_lots($entry->{lots}))]
			: [$name, number($name, $entry->{$name})];
	}
	return @parts;
}

sub as_hex { return [map { [$_->[0], unpack 'H*', $_->[1]] } @_] }
sub as_written { return [map { [$_->[0], $_->[2]] } @{$_[0]}] }

my (%newest, %chain);
for my $entry (@entries)
{
	my $account = $entry->{account_id};
	my @parts = entry_parts($entry, defined $newest{$account} ? pack('H*', $newest{$account}{hash}) : "\0" x 32);
	$entry->{previous_entry_id} = $newest{$account}{entry_id};
	like $entry->{title}, qr/^Account $account, entry $entry->{entry_no}: /, $entry->{title};
	is_deeply as_written($entry->{text}), as_hex(text_parts($entry)), '… its text';
	is_deeply as_written($entry->{part}), as_hex(@parts), '… its parts';
	is unpack('H*', sha256(together(@parts))), $entry->{hash}, '… its hash';
	$newest{$account} = $entry;
	push @{$chain{$account}}, $entry;
}
my %covered = map { ($_->[0] => 1) } map { (@{$_->{text}}, @{$_->{part}}) } @entries;
is_deeply [grep { !$covered{$_} } @optional[0 .. 10], 'text digest', qw(reference detail)], [], 'each part is in some vector';
cmp_ok scalar(grep { $_->{title} =~ /was erased/ } @entries), '>', 0, 'and a text that was erased';

# --- the tree ---------------------------------------------------------------------

# [part, bytes] of the hashes of the tree.
my @accounts = sort { $a <=> $b } keys %chain;
sub leaf_parts
{
	my ($entry) = @_;
	return (['kind of hash', chr 0], (map { [$_, number($_, $entry->{$_})] } qw(merchant_id account_id entry_id balance posted_at)),
		['hash', pack 'H*', $entry->{hash}]);
}

sub is_hash
{
	my ($title, @parts) = @_;
	is_deeply as_written($tree{$title}{part}), as_hex(@parts), "$title: its parts";
	is unpack('H*', sha256(together(@parts))), $tree{$title}{hash}, '… its hash';
	return;
}

sub node_parts { return (['kind of hash', chr 1], ['left', pack 'H*', $_[0]{hash}], ['right', pack 'H*', $_[1]{hash}]) }

is_hash("Leaf of account $_", leaf_parts($newest{$_})) for @accounts;
my @leaves = @tree{map { "Leaf of account $_" } @accounts};
is @leaves, 3, 'there are three leaves';
is_hash('Node', node_parts(@leaves[0, 1]));
is_hash('Top', node_parts($tree{Node}, $leaves[2]));
my $root = $tree{Root};
is_hash('Root', ['kind of hash', chr 2], (map { [$_, number($_, $root->{$_})] } qw(merchant_id root_id made_at accounts)),
	['top', pack 'H*', $tree{Top}{hash}]);

# --- the engine -------------------------------------------------------------------

my $stack = Loyalty->start(level => 'database');

sub literal { return defined $_[0] ? "'" . $_[0] =~ s/'/''/gr . "'" : 'NULL' }

# Only who may do anything can do this.
my @columns = (qw(merchant_id entry_id account_id entry_no previous_entry_id amount balance posted_at kind), @optional[0 .. 10], qw(reference detail hash));
sub insert_entry
{
	my ($entry) = @_;
	my %value = (%$entry, hash => "\\x$entry->{hash}", kind => first { $kinds[$_] eq $entry->{kind} } 1 .. $#kinds);
	return sprintf 'INSERT INTO loyalty.entry (%s) VALUES (%s);', join(', ', @columns), join(', ', map { literal($value{$_}) } @columns);
}

# What is in an account's row besides its newest entry comes of what its entries do.
my %sums = (
	8 => q{earned = '390.5', held = '10'},
	9 => q{earned = '5.5', due_at = '2036-12-31T06:00:00Z', lots = '{2036-12-31T06:00:00Z=2.5,2037-01-31T06:00:00Z/2036-06-30T06:00:00Z=3}'},
	10 => q{earned = '1'});
my ($hold) = grep { $_->{kind} eq 'hold' } @entries;
my $rows = join "\n", map { insert_entry($_) } @entries;
for my $account (@accounts)
{
	my $entry = $newest{$account};
	my $previous = literal($entry->{previous_entry_id});
	my $purchases = grep { $_->{account_id} == $account && $_->{kind} eq 'accrue' } @entries;
	$rows .= qq{
		INSERT INTO loyalty_internal.account (merchant_id, account_id, program_id, text_key, balance, entry_no, newest_entry_id, previous_entry_id, posted_at, hash, earned, purchases, expired, held, pending)
		VALUES (1, $account, 3, '$key{$account}', '$entry->{balance}', $entry->{entry_no}, $entry->{entry_id}, $previous, '$entry->{posted_at}', '\\x$entry->{hash}',
			'0', $purchases, '0', '0', '0');
		UPDATE loyalty_internal.account SET $sums{$account} WHERE account_id = $account;};
}
my $nodes = join '', map { $_->{hash} } @leaves;
my $account_ids = join ',', @accounts;
my $entry_ids = join ',', map { $newest{$_}{entry_id} } @accounts;
$stack->psql(qq{
	INSERT INTO loyalty_internal.merchant (merchant_id, name, base_url) VALUES (1, 'Café', 'https://cafe.example');
	INSERT INTO loyalty_internal.program (merchant_id, program_id, name, tracks_lots) VALUES (1, 3, 'Monedero', true);
	$rows
	INSERT INTO loyalty_internal.reservation (merchant_id, entry_id, account_id, entry_no, kind, amount, remaining) VALUES (1, $hold->{entry_id}, 8, $hold->{entry_no}, 6, '60', '10');
	INSERT INTO loyalty_internal.root (merchant_id, root_id, made_at, accounts, root) VALUES (1, $root->{root_id}, '$root->{made_at}', 3, '\\x$root->{hash}');
	INSERT INTO loyalty_internal.root_page (merchant_id, root_id, level, first_account, page, account_ids, entry_ids, nodes)
	VALUES (1, $root->{root_id}, 0, $accounts[0], 0, '{$account_ids}', '{$entry_ids}', '\\x$nodes')});

sub verify { return $stack->psql("$_[0] SELECT invariant, account_id, entry_id FROM loyalty.verify()") }
my $wrong_hash = 'an entry has the hash of what it says and of the entry before';

is verify(''), '', 'a ledger of these entries is sound';
is $stack->psql("SELECT * FROM loyalty.verify_root(1, $root->{root_id}, '\\x$root->{hash}')"), '', 'and is what the root has';
for my $account (@accounts)
{
	is $stack->psql("SELECT loyalty.check_receipt(loyalty.receipt(1, $account, entry_id => $chain{$account}[0]{entry_id}), '\\x$root->{hash}')"), 't',
		"account $account has a receipt for all its entries";
}

# Erasing its text changes no hash.
for my $entry (grep { $_->{title} =~ /was erased/ } @entries)
{
	my $digest = (grep { $_->[0] eq 'text digest' } @{$entry->{part}})[0][2];
	$stack->psql("UPDATE loyalty.entry SET reference = NULL, detail = NULL, text_digest = '\\x$digest' WHERE entry_id = $entry->{entry_id}");
	is verify(''), '', "$entry->{title}: the ledger is sound without it";
	is $stack->psql("SELECT loyalty.check_receipt(loyalty.receipt(1, $entry->{account_id}, entry_id => $entry->{entry_id}), '\\x$root->{hash}')"), 't',
		'and has a receipt for the rest';
	$entry->{text_digest} = $digest;
	$entry->{was_erased} = 1;
}

# --- what is changed is noticed -----------------------------------------------------

# Values that are others than what is there, NULL or not; as SQL of the column.
my %change = (
	(map { $_ => "coalesce($_, 0) + 1" } qw(staff_id origin_entry_id peer_account_id member_id rules actor_id request_id)),
	(map { $_ => "coalesce($_, '0') OPERATOR(loyalty.+) '0.0001'::loyalty.points" } qw(money reserved)),
	happened_at => "coalesce(happened_at, '2026-03-01') + interval '1 microsecond'",
	posted_at => "posted_at + interval '1 microsecond'",
	balance => "balance OPERATOR(loyalty.+) '0.0001'::loyalty.points",
	amount => "amount OPERATOR(loyalty.+) '0.0001'::loyalty.points",
	kind => 'kind % 11 + 1',
	lots => "CASE WHEN lots IS NULL THEN '{2036-03-31T06:00:00Z=1}' ELSE replace(lots::text, ':00Z=', ':01Z=')::loyalty.lots END",
	reference => "coalesce(reference, '') || ' '",
	detail => "coalesce(detail::text || ' ', '{}')::json",
	text_digest => 'set_byte(text_digest, 31, get_byte(text_digest, 31) # 1)',
	hash => 'set_byte(hash, 31, get_byte(hash, 31) # 1)');

for my $entry (@entries)
{
	my @noticed;
	my @changed = sort grep { $_ ne 'text_digest' || $entry->{was_erased} } keys %change;
	for my $column (@changed)
	{
		my $found = verify("BEGIN; UPDATE loyalty.entry SET $column = $change{$column} WHERE entry_id = $entry->{entry_id};");
		push @noticed, $column if grep { $_ eq "$wrong_hash|$entry->{account_id}|$entry->{entry_id}" } split /\n/, $found;
	}
	is_deeply \@noticed, \@changed, "$entry->{title}: whatever is changed is noticed";

	# One part of it that is not there any more.
	my @parts = grep { $_ ne 'text digest' } map { $_->[0] } @{$entry->{part}}[11 .. $#{$entry->{part}}];
	push @parts, $entry->{was_erased} ? 'text_digest' : map { $_->[0] } @{$entry->{text}}[2 .. $#{$entry->{text}}];
	my @missed = grep {
		verify("BEGIN; UPDATE loyalty.entry SET $_ = NULL WHERE entry_id = $entry->{entry_id};") !~ /^\Q$wrong_hash|$entry->{account_id}|$entry->{entry_id}\E$/m
	} @parts;
	is_deeply \@missed, [], '… and whatever is taken away: ' . (join(', ', @parts) || 'nothing');
}

# Ids are changed where nothing else is of that name.
my $first = $chain{8}[0];
my $second = $chain{8}[1];
like verify("BEGIN; UPDATE loyalty.entry SET entry_id = entry_id + 1 WHERE entry_id = $first->{entry_id};"),
	qr/^\Q$wrong_hash|8|@{[$first->{entry_id} + 1]}\E$/m, 'another entry_id is noticed';
is verify("BEGIN; UPDATE loyalty.entry SET previous_entry_id = previous_entry_id + 1 WHERE entry_id = $second->{entry_id};"),
	"an entry names the one before it|8|$second->{entry_id}", 'another previous_entry_id is, without the hash';
like verify("BEGIN; UPDATE loyalty_internal.account SET text_key = gen_random_uuid() WHERE account_id = 8;"),
	qr/^\Q$wrong_hash|8|$second->{entry_id}\E$/m, 'another key is';
my ($shared) = grep { defined $_->{member_id} && defined $_->{reference} } @entries;
my ($own) = grep { defined $_->{reference} } @{$chain{9}};
is verify("BEGIN; UPDATE loyalty_internal.account SET text_key = gen_random_uuid() WHERE account_id = 9;"),
	"$wrong_hash|8|$shared->{entry_id}\n$wrong_hash|9|$own->{entry_id}", 'and that of the member who acted, in both accounts';
is $stack->psql("SELECT count(*) FROM loyalty.verify_root(1, $root->{root_id}, set_byte('\\x$root->{hash}'::bytea, 0, 0))"), 1,
	'and another root';

done_testing;
