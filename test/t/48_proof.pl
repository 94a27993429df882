# Proof of a ledger: a stranger can check receipts and chains with SHA-256 alone,
# also when texts were erased.  And verify() of a large one finds the one entry
# of 200,000 that is wrong, in a session that does not grow with them, and while
# others go on posting.
use strict;
use warnings;
use utf8;

use Digest::SHA qw(sha256 sha256_hex);
use FindBin;
use lib $FindBin::Bin;
use IO::Select;
use JSON::PP ();
use Loyalty;
use ModelReader qw(ticks);
use POSIX ();
use Test::More;
use Time::Local qw(timegm_modern);

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $stack = Loyalty->start(level => 'database');

# --- what a stranger computes -----------------------------------------------------------

# As the comments of loyalty.check_receipt() and loyalty_internal.lots_send() say, of receipts
# as JSON::PP reads them.

use constant MICROS_TO_2000 => 946_684_800_000_000;
my %kind;
@kind{qw(accrue deposit redeem adjust expire hold capture release mature reverse transfer)} = 1 .. 11;

sub int8 { return pack 'q>', shift }
sub points { return int8(ticks(shift)) }
sub after_length { my $bytes = shift; return pack('N', length $bytes) . $bytes }
sub utf8_of { my $text = shift; utf8::encode($text); return $text }

sub micros
{
	my ($year, $month, $day, $hour, $minute, $second, $micros) = shift =~ /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{6}))?Z$/ or die 'no moment';
	return 1_000_000 * timegm_modern($second, $minute, $hour, $day, $month - 1, $year) + ($micros // 0) - MICROS_TO_2000;
}
sub moment { return int8(micros(shift)) }

sub varint
{
	my $number = shift;
	my $bytes = '';
	for (; $number >= 128; $number >>= 7) { $bytes .= chr($number % 128 + 128) }
	return $bytes . chr $number;
}

sub lots
{
	my $lots = shift;
	my @lots = sort { $a->[0] <=> $b->[0] || $a->[1] <=> $b->[1] } map {
		my ($expires, $posted) = map { micros($_) / 1_000_000 } split m{/};
		[$expires, $posted // $expires, ticks($lots->{$_})];
	} keys %$lots;
	my ($bytes, $before) = ('', undef);
	for my $lot (@lots)
	{
		my ($expires, $posted, $points) = @$lot;
		$bytes .= varint(defined $before ? $expires - $before : $expires < 0 ? -2 * $expires - 1 : 2 * $expires);
		$bytes .= varint(0) . varint($expires - $posted) if $posted < $expires;
		$bytes .= varint($points);
		$before = $expires;
	}
	return $bytes;
}

# undef: the entry never had a text.
sub text_digest
{
	my $entry = shift;
	my @texts = @{$entry}{qw(reference detail)};
	return defined $entry->{text_digest} ? pack 'H*', $entry->{text_digest} : undef unless grep { defined } @texts;
	my $mask = (defined $texts[0] ? 1 : 0) + (defined $texts[1] ? 2 : 0);
	return sha256(pack('H*', $entry->{salt}), chr $mask, map { after_length(utf8_of($_)) } grep { defined } @texts);
}

sub entry_hash
{
	my ($receipt, $entry, $before) = @_;
	my @ids = map { my $id = $entry->{$_}; defined $id ? int8($id) : undef } qw(origin_entry_id peer_account_id member_id rules);
	my @parts = (defined $entry->{staff_id} ? int8($entry->{staff_id}) : undef, map({ defined $entry->{$_} ? points($entry->{$_}) : undef } qw(money reserved)), @ids,
		defined $entry->{happened_at} ? moment($entry->{happened_at}) : undef, map({ defined $entry->{$_} ? int8($entry->{$_}) : undef } qw(actor_id request_id)),
		$entry->{lots} ? after_length(lots($entry->{lots})) : undef, text_digest($entry));
	my $mask = 0;
	$mask |= 1 << $_ for grep { defined $parts[$_] } 0 .. $#parts;
	return sha256(chr 1, $before || "\0" x 32, int8($entry->{entry_no}), points($entry->{balance}), moment($entry->{posted_at}), int8($receipt->{merchant_id}),
		int8($receipt->{account_id}), int8($entry->{entry_id}), points($entry->{amount}), pack('nn', $kind{$entry->{kind}}, $mask), grep { defined } @parts);
}

# What does not hold of a receipt, given the root that was published, in hexadecimal; '' if all does.
sub problem
{
	my ($receipt, $root) = @_;
	my $hash = pack 'H*', $receipt->{hash};
	my $top = sha256("\0", map({ int8($receipt->{$_}) } qw(merchant_id account_id entry_id)), points($receipt->{balance}), moment($receipt->{posted_at}), $hash);
	$top = sha256("\1", defined $_->{left} ? pack('H*', $_->{left}) . $top : $top . pack 'H*', $_->{right}) for @{$receipt->{path}};
	return 'another root' if sha256_hex("\2", map({ int8($receipt->{$_}) } qw(merchant_id root_id)), moment($receipt->{made_at}), int8($receipt->{accounts}), $top) ne $root;
	my $entries = $receipt->{entries} or return '';
	my $link = pack 'H*', $receipt->{previous};
	$link = entry_hash($receipt, $_, $link) for @$entries;
	return 'another hash' if $link ne $hash;
	return grep({ $entries->[-1]{$_} ne $receipt->{$_} } qw(entry_id balance posted_at)) ? 'another newest entry' : '';
}

# --- receipts, and texts that were erased ------------------------------------------------

my $json = JSON::PP->new->canonical;

subtest 'a stranger checks receipts' => sub {
	$stack->name_entries;
	my ($m, $a, $b, $c) = split /\|/, $stack->psql(q{
		SELECT loyalty.create_merchant('Recibos') AS m \gset
		SELECT program_id AS p FROM loyalty.create_program(:m, 'P', 'P') \gset
		SELECT loyalty.configure_program(:m, loyalty.find_program(:m, 'P'), json_build_object('duration_unit', 'day', 'duration_value', 10, 'reinstatement_days', 3)) \g /dev/null
		SELECT loyalty.publish_rules(:m, loyalty.find_program(:m, 'P'), '[{"name":"promo","points":2,"expires_unit":"day","expires_value":5}]') \g /dev/null
		SELECT loyalty.seller_member_create(:m, 'P', id || '@correo.example', id, 'Ruiz', client_id => id) FROM unnest('{A,B,C}'::text[]) id \g /dev/null
		SELECT member_id AS a FROM loyalty_internal.member WHERE merchant_id = :m AND client_id = 'A' \gset
		SELECT member_id AS b FROM loyalty_internal.member WHERE merchant_id = :m AND client_id = 'B' \gset
		SELECT member_id AS c FROM loyalty_internal.member WHERE merchant_id = :m AND client_id = 'C' \gset
		SELECT loyalty.share_account(:m, :b, :a) \g /dev/null
		SELECT loyalty.post(:m, :a, 'deposit', '9', 'caduca', expires_at => clock_timestamp() + interval '1 second') \g /dev/null
		SELECT entry_id AS spent FROM loyalty.post(:m, :a, 'redeem', '9') \gset
		SELECT loyalty.post(:m, :a, 'adjust', '1.0001') \g /dev/null
		SELECT loyalty.sale(:m, :a, '350.5', reference => E'ticket "ñ" \\ 😀', staff_id => 7) \g /dev/null
		SELECT loyalty.sale(:m, :a, '100', reference => 'del invitado', member_id => :b) \g /dev/null
		SELECT loyalty.sale(:m, :a, '100', reference => 'del invitado', member_id => :b) \g /dev/null
		SELECT loyalty.seller_deposit(:m, '[{"programId":"P","memberId":"B","amount":5,"comments":"niño \"x\"","concept":"Regalo"}]') \g /dev/null
		SELECT loyalty.seller_deposit(:m, '[{"programId":"P","memberId":"A","amount":6,"comments":"dos","reference":"R-2"}]') \g /dev/null
		SELECT loyalty.post(:m, :a, 'deposit', '3', available_at => clock_timestamp() + interval '0.5 seconds') \g /dev/null
		SELECT entry_id AS hold FROM loyalty.hold(:m, :a, '12', reference => 'pedido') \gset
		SELECT loyalty.capture(:m, :a, :hold, '4', money => '40') \g /dev/null
		SELECT loyalty.release(:m, :a, :hold, in_full => true) \g /dev/null
		SELECT loyalty.transfer(:m, :a, :c, '2.5', 'para C', 7) \g /dev/null
		SELECT pg_sleep(extract(epoch FROM e.lots::text::timestamptz - clock_timestamp()) + 0.01)
			FROM (SELECT substring(lots::text, '\{(.*?)=') AS lots FROM loyalty.entry WHERE merchant_id = :m AND account_id = :a AND entry_no = 1) e \g /dev/null
		SELECT loyalty.reverse(:m, :a, :spent, reference => 'vuelve', in_full => true) \g /dev/null
		SELECT loyalty.post(:m, :c, 'deposit', '1', 'último de C', expires_at => 'infinity') \g /dev/null
		SELECT concat_ws('|', :m, :a, :b, :c)});
	my $make_root = sub { return split /\|/, $stack->psql("SELECT root_id, encode(root, 'hex') FROM loyalty.make_root($m)") };
	# as texts: what is read of a number becomes a text in JSON::PP
	my $receipt_of = sub { my ($account, $root) = @_; return $stack->psql("SELECT loyalty.receipt($m, $account, $root, test.entry($account, 1))") };
	my $holds = sub {
		my ($receipt, $root) = @_;
		return $stack->psql("SELECT loyalty.check_receipt('" . $receipt =~ s/'/''/gr . "', '\\x$root')") . ' ' . problem($json->decode($receipt), $root);
	};
	# A receipt of which an entry has other members; undef: has it not.
	my $with = sub {
		my ($receipt, $place, %changes) = @_;
		my $forged = $json->decode($receipt);
		my $entry = $forged->{entries}[$place - 1];
		%$entry = (%$entry, %changes);
		delete @{$entry}{grep { !defined $changes{$_} } keys %changes};
		return $json->encode($forged);
	};
	my $set = sub { my ($account, $place, $what) = @_; return $stack->psql("UPDATE loyalty.entry SET $what WHERE merchant_id = $m AND entry_id = test.entry($account, $place)") };
	my $broken = sub {
		return $stack->psql("SELECT v.invariant, v.account_id, test.entry_no(v.account_id, v.entry_id) FROM loyalty.verify($m) v");
	};
	my $hash_breach = sub { return "an entry has the hash of what it says and of the entry before|$_[0]|$_[1]" };

	my ($root_id, $root) = $make_root->();
	my %receipt = map { $_ => $receipt_of->($_, $root_id) } $a, $c;
	is $holds->($receipt{$_}, $root), 't ', 'all entries of an account' for $a, $c;
	is $broken->(), '', 'which verify() finds sound';
	my %entries = map { $_ => $json->decode($receipt{$_})->{entries} } $a, $c;
	my @entries = map { @$_ } @entries{$a, $c};
	is_deeply [sort keys %{{map { $_->{kind} => 1 } @entries}}], [sort grep { $_ ne 'expire' } keys %kind], 'they are of every kind but one';
	my %has = map { $_ => 1 } map { keys %$_ } @entries;
	is_deeply [grep { !$has{$_} } qw(staff_id money reserved origin_entry_id peer_account_id member_id rules reference detail salt lots)], [], 'and have everything that entries have today';
	ok scalar(grep { m{/} } map { keys %{$_->{lots} // {}} } @entries), 'also lots that came back with another date';
	is join(' ', map { scalar @{$entries{$_}} } $a, $c), $stack->psql("SELECT string_agg(entry_no::text, ' ' ORDER BY account_id = $c) FROM loyalty_internal.account WHERE merchant_id = $m AND account_id IN ($a, $c)"), 'none is missing';

	# whose salt it is
	my %key = map { split /\|/ } split /\n/, $stack->psql("SELECT account_id, replace(text_key::text, '-', '') FROM loyalty_internal.account WHERE merchant_id = $m");
	my $salt = sub { my ($entry, $account) = @_; return sha256_hex(pack('H*', $key{$account} . ($key{$entry->{peer_account_id} // ''} // '')), pack 'q>', $entry->{entry_id}) };
	my @texts = grep { defined $_->{reference} || defined $_->{detail} } @{$entries{$a}};
	is_deeply [map { $_->{salt} } @texts], [map { $salt->($_, $_->{member_id} // $a) } @texts], 'a text has a salt of the key of the member who acted, or of the account, and of that of the other side';
	is scalar(keys %{{map { $_->{salt} => 1 } @texts}}), scalar @texts, 'each another';
	ok scalar(grep { ($_->{member_id} // '') eq $b } @texts), 'there are those of a guest';
	is_deeply [grep { exists $_->{salt} != (defined $_->{reference} || defined $_->{detail}) } @entries], [], 'and only texts have one';

	# each entry's hash, and what of it can be changed
	my ($guest, $again) = grep { ($_->{reference} // '') eq 'del invitado' } @texts;
	my ($gift) = grep { defined $_->{detail} && !defined $_->{reference} } @texts;
	my $changed = sub { return $holds->($with->($receipt{$a}, $guest->{entry_no}, @_), $root) };
	is $changed->(), 't ', 'a copy is as good';
	is $changed->(salt => $salt->($guest, $a)), 'f another hash', 'a text with another salt does not hold';
	is $changed->(salt => $guest->{salt} =~ s/(.)$/$1 eq '0' ? '1' : '0'/er), 'f another hash', 'nor with one digit of it changed';
	is $changed->(reference => 'del invitado '), 'f another hash', 'nor a text that is longer by a blank';
	is $changed->(entry_no => $guest->{entry_no} + 1), 'f another hash', 'nor another place';
	is $changed->(entry_id => $guest->{entry_id} + 1 . ''), 'f another hash', 'nor another name';

	# What no function posts yet, written by hand with the hash that we compute.
	my $newest = $entries{$c}[-1];
	my $planted = {%$newest, happened_at => '2024-02-29T23:59:59.000001Z', actor_id => '12', request_id => '9007199254740993'};
	my $hash = unpack 'H*', entry_hash($json->decode($receipt{$c}), $planted, pack 'H*', $stack->psql("SELECT encode(hash, 'hex') FROM loyalty.entry WHERE merchant_id = $m AND entry_id = test.entry($c, $newest->{entry_no} - 1)"));
	$set->($c, $newest->{entry_no}, "happened_at = '$planted->{happened_at}', actor_id = $planted->{actor_id}, request_id = $planted->{request_id}");
	is $broken->(), $hash_breach->($c, $newest->{entry_no}), 'who, by which request and when: written beside the hash it is found';
	$set->($c, $newest->{entry_no}, "hash = '\\x$hash'");
	$stack->psql("UPDATE loyalty_internal.account SET hash = '\\x$hash' WHERE merchant_id = $m AND account_id = $c");
	is $broken->(), '', 'with a hash of what it says it is sound';
	my $published = $root;
	($root_id, $root) = $make_root->();
	my $more = $receipt_of->($c, $root_id);
	is_deeply $json->decode($more)->{entries}[-1], $planted, 'a receipt has it';
	is $holds->($more, $root), 't ', 'and holds';

	# Erased as it will be: the digest stays.
	my $erase = sub { my ($entry, $account) = @_; return $set->($account // $a, $entry->{entry_no}, "reference = NULL, detail = NULL, text_digest = '\\x" . unpack('H*', text_digest($entry)) . q{'}) };
	$erase->($_) for $guest, $again, $gift;
	is $broken->(), '', 'texts are erased: the ledger is sound';
	is $stack->psql("SELECT * FROM loyalty.verify_root($m)"), '', 'as it is in the root';
	my $erased = $receipt_of->($a, $root_id);
	my $left = $json->decode($erased)->{entries}[$guest->{entry_no} - 1];
	is_deeply $left, {map({ $_ => $guest->{$_} } grep { !/^(reference|salt)$/ } keys %$guest), text_digest => unpack 'H*', text_digest($guest)}, 'a receipt has the digest instead';
	is $holds->($erased, $root), 't ', 'and holds';
	is $holds->($receipt{$a}, $published), 't ', 'one of before, with the texts, does too';
	$changed = sub { return $holds->($with->($erased, $guest->{entry_no}, @_), $root) };
	is $changed->(text_digest => $left->{text_digest} =~ s/^(.)/$1 eq '0' ? '1' : '0'/er), 'f another hash', 'with another digest it does not';
	is $changed->(text_digest => undef), 'f another hash', 'nor without';
	is $changed->(text_digest => undef, reference => 'otro', salt => $guest->{salt}), 'f another hash', 'nor with another text';
	is $changed->(text_digest => undef, reference => $guest->{reference}, salt => $guest->{salt}), 't ', 'but with that which it had';
	like $changed->(reference => $guest->{reference}, salt => $guest->{salt}), qr/^f /, 'a text beside its digest says too much';

	# A receipt from before tells nothing about the other texts of its member.
	is "$again->{reference} $again->{member_id}", "$guest->{reference} $guest->{member_id}", 'the same member has the same text again';
	isnt $json->decode($erased)->{entries}[$again->{entry_no} - 1]{text_digest}, $left->{text_digest}, 'its digest is another';
	is $changed->(text_digest => undef, reference => $guest->{reference}, salt => $again->{salt}), 'f another hash', 'and its salt does not open this one';

	# nothing is left by which a text could be tried
	my $key = "UPDATE loyalty_internal.account SET text_key = gen_random_uuid() WHERE merchant_id = $m AND account_id = ";
	$stack->psql("$key$b");
	is $broken->(), '', 'the key of a member whose texts are erased is destroyed: the ledger is sound';
	is $holds->($receipt_of->($a, $root_id), $root), 't ', 'and receipts hold';
	$set->($a, $gift->{entry_no}, "text_digest = set_byte(text_digest, 31, get_byte(text_digest, 31) # 1)");
	is $broken->(), $hash_breach->($a, $gift->{entry_no}), 'a digest that is changed is found';
	is $holds->($receipt_of->($a, $root_id), $root), 'f another hash', 'and by receipts';
	$set->($a, $gift->{entry_no}, "text_digest = NULL");
	is $broken->(), $hash_breach->($a, $gift->{entry_no}), 'so is one that is gone';
	$erase->($gift);
	$stack->psql("$key$a");
	my ($first) = grep { ($_->{member_id} // $a) ne $b } @texts;
	like $broken->(), qr/^\Q@{[$hash_breach->($a, $first->{entry_no})]}\E$/m, 'and the key of texts that are there is not to be changed';
	$erase->($_) for grep { ($_->{member_id} // $a) ne $b } @texts;
	$erase->($_, $c) for grep { ($_->{peer_account_id} // '') eq $a && defined $_->{reference} } @{$entries{$c}};
	is $broken->(), '', 'but when these are erased too, on both sides';
	is $holds->($receipt_of->($a, $root_id), $root), 't ', 'nothing but digests is left, and it holds';
};

# --- a large ledger ----------------------------------------------------------------------

my $accounts = 3000;
my $rounds = 50;

my ($merchant, $account) = split /\|/, $stack->psql(qq{
	SELECT loyalty.create_merchant('Grande') AS m \\gset
	SELECT program_id AS p FROM loyalty.create_wallet(:m, 'Monedero') \\gset
	CREATE TABLE crowd AS SELECT loyalty.open_account(:m, :p) AS id FROM generate_series(1, $accounts);
	ANALYZE loyalty_internal.account;
	SELECT count(*) FROM generate_series(1, $rounds) r, LATERAL loyalty.post_batch(:m, (SELECT array_agg(id) FROM crowd), '{deposit}', array_fill(r::text::loyalty.points, '{$accounts}'), reference => array_fill('referencia ' || r || repeat('.', 100), '{$accounts}')) \\g /dev/null
	ANALYZE loyalty.entry;
	SELECT concat_ws('|', :m, (SELECT id FROM crowd ORDER BY id OFFSET $accounts / 2 LIMIT 1))});

# One account has most of the entries: it is not in memory as a whole either.
$stack->psql("SELECT count(*) FROM loyalty.post_batch($merchant, array_fill($account, '{50000}'), '{deposit}', array_fill('1'::loyalty.points, '{50000}'), reference => array_fill('uno' || repeat('.', 100), '{50000}'))");
my $entries = $accounts * $rounds + 50000;
is $stack->psql("SELECT count(*) FROM loyalty.entry WHERE merchant_id = $merchant"), $entries, 'there are many entries';

# By how much the most that a session has had of memory grew, in kB, while it
# looked.  All that the servers share is part of its address space from the
# start, used or not; what is new there is its own.
sub growth
{
	my ($looks) = @_;
	my $most = q{SELECT (regexp_match(pg_read_file('/proc/self/status'), 'VmPeak:\s+(\d+)'))[1]};
	my @said = split /\n/, $stack->psql(qq{
		SET jit = off;
		SET work_mem = '1MB';
		SELECT count(*) FROM loyalty.verify(0) \\g /dev/null
		$most;
		$looks;
		$most});
	return ($said[2] - $said[0], $said[1]);
}

SKIP:
{
	skip 'only Linux says how much memory a process had', 4 unless -r '/proc/self/status';
	my ($hoarded) = growth("SELECT length(string_agg(reference, '')) > 0 FROM loyalty.entry");
	cmp_ok $hoarded, '>', 16_384, 'what holds all entries in memory is seen to';
	my ($grown, $found) = growth('SELECT count(*) FROM loyalty.verify()');
	is $found, 0, 'the ledger is sound';
	cmp_ok $grown, '<', 6_144, 'verify() does not';
	($grown) = growth("SELECT root_id > 0 FROM loyalty.make_root($merchant)");
	cmp_ok $grown, '<', 8_192, 'nor does make_root()';
}

# Only who may do anything can do this.
my $changed = $stack->psql("SELECT test.entry($account, 25000)");
$stack->psql("UPDATE loyalty.entry SET reference = reference || ' ' WHERE merchant_id = $merchant AND entry_id = $changed");
is $stack->psql('SELECT invariant, account_id, entry_id FROM loyalty.verify()'),
	"an entry has the hash of what it says and of the entry before|$account|$changed", 'the one that was changed is found';
$stack->psql("UPDATE loyalty.entry SET reference = rtrim(reference) WHERE merchant_id = $merchant AND entry_id = $changed");
is $stack->psql('SELECT * FROM loyalty.verify()'), '', 'and is right again';
is $stack->psql("SELECT * FROM loyalty.verify_root($merchant)"), '', 'as it is in the root';

# Everything is looked at in one snapshot: what is posted meanwhile is no
# breach, and a root is of one moment too.  They post until we have looked.
pipe my $looking, my $looked or die "pipe: $!\n";
my $poster = fork // die "fork: $!\n";
if (!$poster)
{
	my $post = "SELECT loyalty.post($merchant, id, 'deposit', '1') FROM (SELECT id FROM crowd ORDER BY id LIMIT 3) c \\g /dev/null\n";
	my $transfer = "SELECT loyalty.transfer($merchant, min(id), max(id), '1') FROM crowd \\g /dev/null\n";
	my $hold = "SELECT loyalty.capture($merchant, id, entry_id, in_full => true) FROM (SELECT id, (loyalty.hold($merchant, id, '1')).entry_id FROM crowd ORDER BY id DESC LIMIT 1) h \\g /dev/null\n";
	my $all = $post . $transfer . $hold;
	close $looked;
	POSIX::_exit(eval { do { $stack->psql($all x 300) } while !IO::Select->new($looking)->can_read(0); 1 } ? 0 : 1);
}
my ($looks, $breaches) = (0, '');
my $ended = 0;
until ($ended)
{
	$ended = waitpid($poster, POSIX::WNOHANG()) > 0;
	$breaches .= $stack->psql("SELECT * FROM loyalty.verify($merchant)");
	$breaches .= $stack->psql("SELECT v.* FROM loyalty.make_root($merchant) r, LATERAL loyalty.verify_root($merchant, r.root_id) v") if $looks < 2;
	$looks++;
	close $looked if $looks == 2;
}
is $?, 0, 'others post';
is $breaches, '', 'while verify() and make_root() look';
cmp_ok $looks, '>', 1, 'more than once';
is $stack->psql("SELECT count(*) FROM loyalty.roots r, LATERAL loyalty.verify_root(r.merchant_id, r.root_id, r.root) v WHERE r.merchant_id = $merchant"), 0, 'what each root has is in the ledger';
is $stack->psql("SELECT count(*) FROM loyalty.roots r, LATERAL loyalty.receipt(r.merchant_id, $account, r.root_id) t WHERE r.merchant_id = $merchant AND loyalty.check_receipt(t, r.root)"), 3,
	'each has a receipt of the account';

done_testing;
