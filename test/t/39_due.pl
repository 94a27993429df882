# What is due in the accounts that a batch names is booked with it, in whatever
# number: so many entries at a time, and for one request so many in all.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use Loyalty;
use Test::More;

my $stack = Loyalty->start(level => 'database', clock => 1, isolation => 'read committed');
my $ACCOUNTS = 62;
my $EACH = 2000;
my ($merchant) = split /\|/, $stack->psql(qq{
	SELECT loyalty.create_merchant('Uno') AS m \\gset
	SELECT program_id AS p FROM loyalty.create_program(:m, 'P', 'P', '{"pending_days": 1}') \\gset
	SELECT loyalty.create_member(:m, :p, 'Ana', client_id => 'm' || i) FROM generate_series(1, $ACCOUNTS) i \\g /dev/null
	SELECT :m});
my $session = $stack->connect_async;
sub sql { my $answer = $session->query(shift); die "$answer\n" if $answer =~ /ERROR:/; return $answer }

# What came of a batch with so many items for each member: how often which outcome.
sub batch
{
	my ($operation, $items, $to) = @_;
	$to //= $ACCOUNTS;
	return sql(qq{SELECT string_agg(concat_ws(' ', n, what), ', ' ORDER BY n DESC) FROM (SELECT count(*) AS n, nullif(concat_ws(': ', i ->> 'status', nullif(i ->> 'description', '')), 'success') AS what FROM json_array_elements(loyalty.seller_$operation($merchant,
		(SELECT json_agg(json_build_object('programId', 'P', 'memberId', 'm' || m, 'amount', 1, 'comments', 'x')) FROM generate_series(1, $items), generate_series(1, $to) m))) i GROUP BY what) o});
}
sub booked { return sql("SELECT count(*) FROM loyalty.entries WHERE merchant_id = $merchant AND kind = 'mature'") }
sub peak { return sql(q{SELECT (regexp_match(pg_read_file('/proc/self/status'), 'VmPeak:\s+(\d+)'))[1]}) }
sub counted { return sql("SELECT sum(kilobytes) FROM loyalty_internal.entry_space WHERE merchant_id = $merchant") }

is batch('accumulation', $EACH / 2), $ACCOUNTS * $EACH / 2, 'half of what may be pending' for 1, 2;
$session->close;
$stack->advance_clock(2 * 86_400);
$session = $stack->connect_async;
is batch('deposit', 1, 1), '1', 'one account with all that it may have due';
is booked(), $EACH, 'has it booked';

my ($peak, $space) = (peak(), counted());
like batch('deposit', 1), qr/^(?:5\d|6[01]), \d+ error: the operation was interrupted; nothing was written$/, 'a batch of many that do';
cmp_ok abs(booked() - $EACH - 110_000), '<=', 10_000, 'books some hundred thousand entries, and the others fail';
cmp_ok peak() - $peak, '<', 64 * 1024, 'in little memory';
is batch('deposit', 1), $ACCOUNTS, 'sent again, they are posted';
is booked(), $ACCOUNTS * $EACH, 'and all is booked';
cmp_ok counted() - $space, '>', 100_000 * 230 / 1024, 'what was booked counts of the day';
cmp_ok counted() - $space, '<', $ACCOUNTS * $EACH * 300 / 1024, 'once';
is sql("SELECT string_agg(DISTINCT b.balance::text, ' ') FROM loyalty.members m JOIN loyalty.balances b ON b.merchant_id = m.merchant_id AND b.account_id = m.account_id WHERE m.merchant_id = $merchant AND m.client_id <> 'm1'"), '201 202', 'nothing is lost';
is sql('SELECT count(*) FROM loyalty.verify()'), 0, 'the ledger is sound';

$session->close;
$stack->stop;
done_testing;
