# Closed months, and revenue that is deferred with points: the figures of IFRS 15,
# Illustrative Example 52, and months that do not change unnoticed.
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use Loyalty;
use Test::More;
use Time::Local qw(timegm);

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $stack = Loyalty->start(level => 'database', clock => 1);
my $session = $stack->connect_async;
sub outcome { my $answer = $session->query(shift); return $answer =~ /ERROR:  (\w{5}):/ ? $1 : $answer }
sub sql { my $answer = $session->query(shift); die "$answer\n" if $answer =~ /ERROR:/; return $answer }
sub at { my ($year, $month, $day) = @_; return $stack->stop_clock(1_000_000 * timegm(0, 0, 18, $day, $month - 1, $year)) }

at(2027, 1, 10);
sql(q{SET time zone 'UTC'; SET statement_timeout = '20s'});
my $m = sql(q{SELECT loyalty.create_merchant('Uno')});

# --- Illustrative Example 52 -----------------------------------------------------------------

# One point for 10 of money, worth 1; 9,500 of 10,000 are expected to be redeemed.
my $p = sql(qq{SELECT program_id FROM loyalty.create_program($m, 'Puntos', NULL, '{"accumulation_points": 1, "accumulation_money": 10}')});
sql("SELECT loyalty.set_redemption_rate($m, $p, 0.95, '2027-01-15')");
my @members = map { sql("SELECT loyalty.open_account($m, $p)") } 1 .. 100;
sql("SELECT loyalty.sale($m, $_, 1000)") for @members;
at(2027, 7, 1);
sql("SELECT loyalty.post($m, $_, 'redeem', 100)") for @members[0 .. 44];
at(2028, 5, 1);
sql("SELECT loyalty.set_redemption_rate($m, $p, 0.97, '2028-01-01')");
sql("SELECT loyalty.post($m, $_, 'redeem', 100)") for @members[45 .. 84];
my $deferral = "FROM loyalty_report.fact_deferral WHERE program_key = '$p'";
is sql("SELECT sum(money_sold), round(sum(money_sold - money_allocated)), round(sum(money_allocated)) $deferral"), '100000|91324|8676', 'the price is allocated to goods and points at relative stand-alone prices';
is sql("SELECT round(sum(money_earned)) $deferral AND month_starts_on < '2028-01-01'"), '4110', 'in the first year 4,500 of 9,500 points are earned';
is sql("SELECT round(sum(money_earned)) $deferral AND month_starts_on >= '2028-01-01'"), '3493', 'in the second 8,500 of 9,700, less that';
is sql("SELECT round(money_deferred) $deferral AND month_starts_on = '2027-12-01'"), 8676 - 4110, 'the rest is a liability';
is sql("SELECT count(*) FROM (SELECT month_starts_on FROM loyalty_report.fact_journal WHERE program_key = '$p' GROUP BY 1 HAVING sum(debit) <> sum(credit)) j"), 0, 'debits and credits are equal';
is sql("SELECT round(sum(credit - debit)) FROM loyalty_report.fact_journal WHERE program_key = '$p' AND account = 'contract liability' AND month_starts_on < '2028-01-01'"), 8676 - 4110, 'and leave the liability';
is sql("SELECT account, debit, credit FROM loyalty_report.fact_journal WHERE program_key = '$p' AND month_starts_on = '2027-01-01' ORDER BY line_number"),
	"receivables|100000.00|0\nrevenue from sales|0|91324.20\ncontract liability|0|8675.80\ncontract liability|0.00|0.00\nrevenue from points|0.00|0.00", 'the journal of the month of the sales'
	or diag sql("SELECT * FROM loyalty_report.fact_journal WHERE program_key = '$p' AND month_starts_on = '2027-01-01' ORDER BY line_number");
is sql("SELECT age_months, earned, redeemed_share, expired_share, breakage FROM loyalty_report.breakage_curve() WHERE program_key = '$p' AND age_months IN (5, 6, 16)") =~ s/(\.\d*?)0+\b/$1/gr =~ s/\.(?=\||$)//gmr,
	"5|10000|0|0|1\n6|10000|0.45|0|0.55\n16|10000|0.85|0|0.15", 'the curve of breakage has when they were redeemed';
# A refund takes its share.
sql("SELECT loyalty.reverse($m, $members[99], (SELECT entry_id FROM loyalty.entry WHERE account_id = $members[99] AND kind = 1), reference => 'r', in_full => true)");
is sql("SELECT round(sum(money_sold)), round(sum(money_allocated), 2) $deferral"), '99000|8589.04', 'of a sale that is refunded nothing is allocated';
is outcome("SELECT loyalty.set_redemption_rate($m, $p, $_->[0], $_->[1])"), 'LY005', "no rate: @$_" for [1.1, q{'2027-01-01'}], [-0.1, q{'2027-01-01'}], ['NULL', q{'2027-01-01'}], [1, q{'infinity'}], [1, 'NULL'];
is outcome("SELECT loyalty.set_redemption_rate($m, 1, 1, '2027-01-01')"), 'LY006', 'no program';

# --- what points were worth ---------------------------------------------------------------------

sql(qq{SELECT loyalty.configure_program($m, $p, '{"redemption_points": 2}')});
is sql("SELECT round(money_per_point, 2) FROM loyalty_report.outstanding_at('2028-04-30') WHERE program_key = '$p'") . ' ' . sql("SELECT round(money_per_point, 2) FROM loyalty_report.outstanding_at(clock_timestamp()) WHERE program_key = '$p'"), '1.00 0.50', 'a liability of before goes by the terms of before';
is sql("SELECT count(*), count(valid_until_at), max(valid_until_at) = max(valid_from_at) FROM loyalty_report.dim_program_version WHERE program_key = '$p'"), '2|1|t', 'which are kept';
is sql("SELECT round(closing_money / closing, 2) FROM loyalty_report.fact_month WHERE program_key = '$p' AND month_starts_on = '2028-04-01'"), '1.00', 'by month too';

# --- closes ---------------------------------------------------------------------------------------

at(2029, 1, 5);
my $q = sql(qq{SELECT program_id FROM loyalty.create_program($m, 'Cierre', NULL, '{"duration_unit": "day", "duration_value": 20}')});
my $branch = sql("SELECT loyalty.create_branch($m, 'Centro')");
sql("SELECT loyalty.employee_add($m, 'cajero', 'Ana', 'Centro', '4771000001', 'clave de Ana')");
my ($a, $b, $c) = map { sql("SELECT loyalty.open_account($m, $q)") } 1 .. 3;
sql("SELECT loyalty.publish_rules($m, $q, '[{\"name\": \"doble\", \"multiplier\": 2}]')");
sql("SELECT loyalty.sale($m, $a, 500, staff_id => 1)");
sql("SELECT loyalty.post($m, $b, 'deposit', 30)");
at(2029, 1, 20);
sql("SELECT loyalty.post($m, $a, 'redeem', 15, staff_id => 1)");
sub close_month { return outcome("SELECT closing, encode(digest, 'hex'), encode(root, 'hex') FROM loyalty.close_month($m, $q, '$_[0]')") }
is close_month('2029-01-01'), 'LY005', 'a month is not closed before it is over';
at(2029, 2, 2);
is sql("SELECT count(*) FROM loyalty.entry WHERE merchant_id = $m AND kind = 5"), 0, 'points have expired, and no job ran';
my $january = close_month('2029-01-17');
like $january, qr/^0(?:\.0+)?\|[0-9a-f]{64}\|[0-9a-f]{64}$/, 'a close has what is left, a digest and a root';
is sql("SELECT encode(root, 'hex') FROM loyalty.roots WHERE merchant_id = $m ORDER BY root_id DESC LIMIT 1"), $january =~ s/.*\|//r, 'of that moment';
is sql("SELECT kind, branch_key = '$branch', rule_set_version, is_late, entries, points FROM loyalty_report.fact_close_line WHERE program_key = '$q' ORDER BY kind, points") =~ s/\.0+\b//gr,
	"accrue|t|1|f|1|100\ndeposit|f||f|1|30\nexpire|f||f|2|-115\nredeem|t||f|1|-15", 'its lines are by kind, branch and rule set, and what was due is booked';
is close_month('2029-01-01'), $january, 'it is closed once';
is close_month('2029-03-01'), 'LY005', 'nothing is left out';
is outcome("SELECT loyalty.close_month($m, 1, '2029-01-01')"), 'LY006', 'no program';
is outcome("SELECT loyalty.close_month($m, $q, $_)"), 'LY005', "no month: $_" for 'NULL', q{'infinity'};
at(2029, 3, 3);
like close_month('2029-02-01'), qr/^0(?:\.0+)?\|/, 'the next one follows';
is sql("SELECT count(*), sum(abs(difference)) FROM loyalty_report.fact_close WHERE program_key = '$q'") =~ s/\.0+$//r, '2|0', 'closed months are what the ledger says';
# A clock that was wrong: an entry of January.
at(2029, 1, 30);
sql("SELECT loyalty.post($m, $c, 'deposit', 7, expires_at => '2029-06-01')");
at(2029, 4, 3);
is sql("SELECT month_starts_on, closing, closing_now, difference FROM loyalty_report.fact_close WHERE program_key = '$q' ORDER BY 1") =~ s/\.0+\b//gr, "2029-01-01|0|7|7\n2029-02-01|0|7|7", 'what came late is a difference to what was frozen';
like close_month('2029-03-01'), qr/^7(?:\.0+)?\|/, 'which the next close has';
is sql("SELECT is_late, kind, points FROM loyalty_report.fact_close_line WHERE program_key = '$q' AND month_starts_on = '2029-03-01'") =~ s/\.0+\b//gr, 't|deposit|7', 'in a line that says so';
at(2029, 5, 3);
close_month('2029-04-01');
is sql("SELECT count(*) FROM loyalty_report.fact_close_line WHERE program_key = '$q' AND month_starts_on = '2029-04-01'"), 0, 'once';
is sql("SELECT * FROM loyalty.verify_closes($m)") . sql('SELECT * FROM loyalty.verify()'), '', 'closes and ledger are sound';

# Who may write everything is noticed.
for my $change ("UPDATE loyalty_internal.month_close_line SET points = points + 1 WHERE month = '2029-01-01' AND line_no = 1", "UPDATE loyalty_internal.month_close SET closing = 1 WHERE month = '2029-02-01'",
	"DELETE FROM loyalty_internal.month_close WHERE month = '2029-02-01'", "UPDATE loyalty_internal.month_close_line SET branch_id = NULL WHERE branch_id IS NOT NULL",
	"UPDATE loyalty_internal.month_close SET money_per_point = 2 WHERE month = '2029-04-01'", "DELETE FROM loyalty_internal.month_close_line WHERE late")
{
	sql('BEGIN');
	sql($change);
	cmp_ok sql("SELECT count(*) FROM loyalty.verify_closes($m)"), '>', 0, "noticed: $change";
	sql('ROLLBACK');
}
is sql("SELECT string_agg(DISTINCT invariant, '') FROM loyalty.verify_closes($m)"), '', 'and nothing else is';

$session->close;
$stack->stop;
done_testing;
