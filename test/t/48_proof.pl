# verify() of a large ledger: it finds the one entry of 200,000 that is wrong,
# in a session that does not grow with them, and while others go on posting.
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use IO::Select;
use Loyalty;
use POSIX ();
use Test::More;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $accounts = 3000;
my $rounds = 50;
my $stack = Loyalty->start(level => 'database');

my ($merchant, $account) = split /\|/, $stack->psql(qq{
	SELECT loyalty.create_merchant('Grande') AS m \\gset
	SELECT program_id AS p FROM loyalty.create_wallet(:m, 'Monedero') \\gset
	CREATE TABLE crowd AS SELECT loyalty.open_account(:m, :p) AS id FROM generate_series(1, $accounts);
	ANALYZE loyalty.account;
	SELECT count(*) FROM generate_series(1, $rounds) r, LATERAL loyalty.post_batch(:m, (SELECT array_agg(id) FROM crowd), '{deposit}',
		array_fill(r::text::loyalty.points, '{$accounts}'), array_fill('referencia ' || r || repeat('.', 100), '{$accounts}')) \\g /dev/null
	ANALYZE loyalty.entry;
	SELECT concat_ws('|', :m, (SELECT id FROM crowd ORDER BY id OFFSET $accounts / 2 LIMIT 1))});

# One account has most of the entries: it is not in memory as a whole either.
$stack->psql("SELECT count(*) FROM loyalty.post_batch($merchant, array_fill($account, '{50000}'), '{deposit}',
	array_fill('1'::loyalty.points, '{50000}'), array_fill('uno' || repeat('.', 100), '{50000}'))");
my $entries = $accounts * $rounds + 50000;
is $stack->psql('SELECT count(*) FROM loyalty.entry'), $entries, 'there are many entries';

# What a session has had of memory at most, in kB, before and after it looked.
# The pages of the tables are the server's; they are met before.
sub growth
{
	my ($looks) = @_;
	my $most = q{SELECT (regexp_match(pg_read_file('/proc/self/status'), 'VmHWM:\s+(\d+)'))[1]};
	my @said = split /\n/, $stack->psql(qq{
		SET enable_seqscan = off;
		SET enable_bitmapscan = off;
		SELECT count(hash) FROM (SELECT hash FROM loyalty.entry ORDER BY merchant_id, account_id, version OFFSET 0) e \\g /dev/null
		RESET enable_seqscan;
		RESET enable_bitmapscan;
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
	cmp_ok $grown, '<', 8_192, 'verify() does not';
	($grown) = growth("SELECT root_id > 0 FROM loyalty.make_root($merchant)");
	cmp_ok $grown, '<', 8_192, 'nor does make_root()';
}

# Only who may do anything can do this.
$stack->psql("UPDATE loyalty.entry SET reference = reference || ' ' WHERE account_id = $account AND version = 25000");
is $stack->psql('SELECT invariant, broken_account_id, broken_version FROM loyalty.verify()'),
	"an entry has the hash of what it says and of the entry before|$account|25000", 'the one that was changed is found';
$stack->psql("UPDATE loyalty.entry SET reference = rtrim(reference) WHERE account_id = $account AND version = 25000");
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
	my $hold = "SELECT loyalty.capture($merchant, id, version) FROM (SELECT id, (loyalty.hold($merchant, id, '1')).version FROM crowd ORDER BY id DESC LIMIT 1) h \\g /dev/null\n";
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
is $stack->psql("SELECT count(*) FROM loyalty.roots r, LATERAL loyalty.verify_root(r.merchant_id, r.root_id, r.root) v"), 0, 'what each root has is in the ledger';
is $stack->psql("SELECT count(*) FROM loyalty.roots r, LATERAL loyalty.receipt(r.merchant_id, $account, r.root_id) t WHERE loyalty.check_receipt(t, r.root)"), 3,
	'each has a receipt of the account';

done_testing;
