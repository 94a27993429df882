# The seven laws, in the corners where undoing, expiry, ranks, terms and batches meet.
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
$stack->name_entries;
my $session = $stack->connect_async;
$session->query(q{SET time zone 'UTC'});

# --- time, SQL, programs ----------------------------------------------------------

# Now it is this moment, in UTC.
sub at
{
	my ($year, $month, $day, $hour, $minute) = shift =~ /^(\d+)-(\d+)-(\d+) (\d+):(\d+)$/ or die 'no moment';
	$stack->write_clock(1_000_000 * timegm(0, $minute, $hour, $day, $month - 1, $year) - ($stack->clock_us - $stack->{clock_offset_us}));
	return;
}

sub sql { my $answer = $session->query(shift); die "$answer\n" if $answer =~ /ERROR:/; return $answer }

# What a statement returns, or the SQLSTATE that it ends with.
sub outcome { my $answer = $session->query(shift); return $answer =~ /ERROR:  (\w{5}):/ ? $1 : $answer }

# A merchant with a program P of these terms, and ranks Plata, Oro (1.5 times the base) from 500 and Platino (twice) from 1,000 points on.
my ($m, $p);
sub begin
{
	my ($moment, %terms) = @_;
	at($moment);
	$m = sql("SELECT loyalty.create_merchant('Leyes')");
	sql("SELECT loyalty.set_rank_ranges($m, 'niveles', '{Plata,Oro,Platino}', '{0,500,1000}', '{1,1.5,2}')");
	$p = sql("SELECT program_id FROM loyalty.create_program($m, 'P', 'P')");
	configure(time_zone => 'UTC', %terms);
	return;
}
sub configure { sql(Loyalty::configure($m, $p, @_)); return }
sub account { return sql("SELECT loyalty.open_account($m, $p)") }
sub member { my ($id, $rank) = @_; sql("SELECT loyalty.seller_member_create($m, 'P', '$id\@correo.example', '$id', 'Ruiz', client_id => '$id'" . ($rank ? ", rank => '$rank')" : ')')); return sql("SELECT account_id FROM loyalty_internal.member WHERE merchant_id = $m AND client_id = '$id'") }

# Each returns the balance, or why it was refused.  Entries are told by their places.
my $references = 0;
sub post { my ($account, $kind, $amount, $more) = @_; return outcome("SELECT balance FROM loyalty.post($m, $account, '$kind', '$amount'" . ($more ? ", $more)" : ')')) }
sub undo { my ($account, $entry, $more) = @_; ++$references; return outcome("SELECT balance FROM loyalty.reverse($m, $account, test.entry($account, $entry), " . ($more || 'in_full => true') . ", reference => 'R$references')") }
sub sale { my ($account, $money) = @_; return outcome("SELECT points FROM loyalty.sale($m, $account, '$money')") }
sub rank { my ($account, $moment) = @_; return sql("SELECT loyalty.rank_at($m, $account, " . ($moment ? "'$moment Z')" : 'clock_timestamp())')) }
sub has { return sql("SELECT balance || ' expired ' || expired || ' earned ' || coalesce(earned::text, '-') FROM loyalty.balances WHERE merchant_id = $m AND account_id = $_[0]") }
sub lots { return sql("SELECT string_agg(coalesce(to_char(expires_at, 'MM-DD'), 'never') || '=' || points, ' ' ORDER BY expires_at) FROM loyalty.lots_of($m, $_[0])") }
sub sound
{
	is sql("SELECT * FROM loyalty.verify($m)"), '', "$_[0]: the ledger is sound";
	is sql("SELECT changes FROM loyalty.recount_ranks($m, loyalty.find_program($m, 'P'))"), '[]', "$_[0]: counting ranks anew changes nothing";
	return;
}

# --- 1: parts equal the whole --------------------------------------------------------

subtest 'a sale whose promotional points expired, in halves' => sub {
	begin('2042-02-01 12:00', duration_unit => 'month', duration_value => 2, range_group => 'niveles');
	sql(qq{SELECT loyalty.publish_rules($m, loyalty.find_program($m, 'P'), '[{"name":"promo","points":20,"expires_unit":"day","expires_value":5}]')});
	my ($a, $b) = (account(), account());
	sale($_, 800) for $a, $a, $b;
	undo($b, 1, "'20'");
	post($b, 'deposit', 20, "expires_at => '2042-02-07'");
	at('2042-02-20 12:00');
	is has($a), '160 expired 40 earned 200', 'two sales, of each 20 points have expired';
	is join(' ', map { undo($a, 1, "money => '400'") } 1, 2), '130 80', 'one is refunded in two halves: its 20 are counted once';
	is has($b), '80 expired 20 earned 100', 'promotional points refunded while they lived, and others of their date that expired';
	is undo($b, 1), 0, 'the rest takes what the sale itself has';
	sound('halves');
};

subtest 'any split is the whole' => sub {
	begin('2042-02-01 12:00', duration_unit => 'month', duration_value => 2, shortfall => 'negative', range_group => 'niveles', rank_window_value => 3);
	sql(qq{SELECT loyalty.publish_rules($m, loyalty.find_program($m, 'P'), '[{"name":"promo","points":30,"expires_unit":"day","expires_value":5,"max_day":100}]')});
	my %split = (one => [undef], two => [50, undef], many => [1, 19.5, 60, 0.25, undef], points => [20, 80, 50, 30]);
	my %of = map { $_ => account() } keys %split;
	for my $a (values %of)
	{
		sale($a, 1500);
		post($a, 'deposit', 40, "expires_at => '2042-02-20'");
		post($a, 'deposit', 25, q{expires_at => 'infinity'});
		post($a, 'redeem', 45);
	}
	at('2042-02-10 12:00');
	for my $name (sort keys %split)
	{
		undo($of{$name}, 1, defined $_ && "'$_'") for @{$split{$name}};
	}
	my @states = map { join ' | ', has($of{$_}), lots($of{$_}), rank($of{$_}), sql("SELECT string_agg(points_day || '/' || points_ever, ' ') FROM loyalty_internal.rule_use WHERE account_id = $of{$_}"),
		sql("SELECT string_agg(points || '/' || refunded, ' ') FROM loyalty_internal.expired_lot WHERE account_id = $of{$_}") } qw(one two many points);
	is $states[0], '20 expired 0 earned 65 | never=20 | Plata | 0/0 | ', 'as a whole';
	is $states[$_], $states[0], "split $_ leaves the same" for 1 .. 3;
	sound('splits');
};

subtest 'a pending sale that paid a debt' => sub {
	begin('2042-02-01 12:00', duration_unit => 'month', duration_value => 1, shortfall => 'negative');
	my $a = account();
	post($a, 'accrue', 30); post($a, 'redeem', 30); undo($a, 1);
	post($a, 'accrue', 100, "available_at => '2042-02-03 12:00Z'");
	at('2042-02-05 12:00');
	is has($a), '70 expired 0 earned 100', 'it paid 30';
	is join(' ', map { undo($a, 4, "'50'") } 1, 2), '20 -30', 'and is refunded in two parts';
	begin('2043-06-01 12:00', duration_unit => 'month', duration_value => 1, shortfall => 'negative');
	$a = account();
	post($a, 'accrue', 100); post($a, 'redeem', 100); undo($a, 1); post($a, 'accrue', 100);
	post($a, 'deposit', 50, q{expires_at => 'infinity'}); post($a, 'deposit', 50, q{expires_at => '2043-06-10'});
	is undo($a, 4, "'50'"), 50, 'points that paid a debt were spent, and had their date';
	is lots($a), 'never=50', 'so others are taken as spending takes them';
	sound('debts');
};

subtest 'points and money' => sub {
	begin('2042-02-01 12:00', decimals => 0);
	my $a = account();
	post($a, 'accrue', 150, "money => '1000'");
	is undo($a, 1, "'60'"), 90, '60 of 150 points';
	is undo($a, 1, "money => '300'"), 45, '300 of 1,000 are 45 points';
	is undo($a, 1, "money => '300.0001'"), 'LY011', '60 points stood for 400';
	is undo($a, 1, "money => '300'"), 0, 'so 300 are left, for all that is left';
	is undo($a, 1, $_), 'LY011', "then nothing is: $_" for "money => '1'", "'1'", 'in_full => true';
	post($a, 'accrue', 100, "money => '1000'"); undo($a, 5);
	is undo($a, 5, "money => '1000'"), 'LY011', 'a whole that was refunded';
	post($a, 'accrue', 150, "money => '1000'"); undo($a, 7, "money => '600'"); undo($a, 7, "'60'");
	is undo($a, 7, "money => '400'"), 'LY011', 'by money, then by points';
	post($a, 'accrue', 1, "money => '30'");
	is join(' ', map { undo($a, 10, "money => '$_'") } 10, 10, 10), '1 0 LY011', 'a part may come to nothing while something is left';
	post($a, 'accrue', 0, "money => '30'");
	my $b = account();
	post($b, 'accrue', $_ / 10, "money => '$_'") for 100, 200;
	my $once = sub { my ($entry, $name, $more) = @_; return outcome("SELECT test.entry_no($b, entry_id) || ' ' || balance FROM loyalty.reverse($m, $b, test.entry($b, $entry), " . ($more || 'in_full => true') . ", reference => '$name')") };
	is join(' / ', map { $once->(@$_) } [1, 'A'], [1, 'A', "money => '100'"], [1, 'A', "amount => '10'"], [1, 'A', "money => '99'"]), '3 20 / 3 20 / 3 20 / LY012', 'all of an entry is all of its money';
	is join(' / ', map { $once->(@$_) } [2, 'B', "money => '200'"], [2, 'B'], [2, 'B', "amount => '20'"], [2, 'B', "money => '100'"]), '4 0 / 4 0 / LY012 / LY012', 'and the other way round';
	sound('money');
	begin('2042-02-01 12:00', decimals => 0, rounding => 'down');
	for (['6.67'], ['6.6666'], ['6.66', '0.01'], ['3.33', '3.34'])
	{
		my $c = account();
		post($c, 'accrue', 3, "money => '10'");
		undo($c, 1, "'1'");
		undo($c, 1, "money => '$_'") for @$_;
		is has($c) . ' ' . undo($c, 1, "money => '0.01'"), '0 expired 0 earned - LY011', "of 3 points for 10, 1 point, and @$_: the last of the money takes the rest";
	}
	my $c = account();
	post($c, 'accrue', 3, "money => '10'");
	undo($c, 1, "'1'");
	is undo($c, 1, "money => '6.6701'"), 'LY011', 'more than the cent is not left';
	sound('money that does not come out even');
};

# --- 2: expired is expired --------------------------------------------------------------

subtest 'points that came back with another date' => sub {
	for my $by (qw(reversal hold))
	{
		begin('2042-02-01 12:00', duration_unit => 'day', duration_value => 10, reinstatement_days => 3);
		my $a = account();
		post($a, 'accrue', 100, "money => '1000'");
		$by eq 'hold' ? sql("SELECT loyalty.hold($m, $a, '100', release_at => '2042-03-01 12:00Z')") : post($a, 'redeem', 100);
		at('2042-03-01 12:00');
		undo($a, 2) if $by eq 'reversal';
		is has($a), '100 expired 0 earned 100', "$by: they can be spent for three days";
		at('2042-04-01 12:00');
		post($a, 'accrue', 500);
		is undo($a, 1), 500, "$by: they expired then, and no others are taken";
		is has($a), '500 expired 100 earned 500', "$by: nor counted twice";
		sound($by);
	}
};

subtest 'points of a 513th date' => sub {
	begin('2042-02-01 12:00');
	my $a = account();
	sql("SELECT count(*) FROM loyalty.post_batch($m, array_fill($a, '{512}'), '{deposit}', array_fill('1'::loyalty.points, '{512}'), expires_at => ARRAY(SELECT '2042-03-01 00:00Z'::timestamptz + i * interval '2 hours' FROM generate_series(1, 512) i))");
	post($a, 'accrue', 100, "expires_at => '2042-03-01 03:00Z'");
	is sql("SELECT points FROM loyalty.lots_of($m, $a) WHERE expires_at = '2042-03-01 04:00Z'"), 101, 'they join those of the next date';
	at('2042-03-01 04:00');
	is sql("SELECT balance FROM loyalty.balances WHERE account_id = $a"), 510, 'and expire with them';
	is undo($a, 513), 510, 'a refund takes no others for them';
	is undo($a, 2), 510, 'nor that of the one they joined';
	is undo($a, 3), 509, 'others live';
	sound('513 dates');

	begin('2042-02-01 12:00');
	$a = account();
	sql("SELECT count(*) FROM loyalty.post_batch($m, array_fill($a, '{2000}'), '{deposit}', array_fill('1'::loyalty.points, '{2000}'), expires_at => ARRAY(SELECT '2042-03-01 00:00Z'::timestamptz + i * interval '2 hours' FROM generate_series(1, 2000) i))");
	is sql("SELECT cardinality(string_to_array(lots::text, ',')) FROM loyalty_internal.account WHERE merchant_id = $m AND account_id = $a"), 512, 'later than all: an account has no more lots than dates';
	is undo($a, 1500), 1999, 'one of those that share the last date is refunded';
	at('2042-04-15 12:00');
	post($a, 'deposit', 7);
	is undo($a, 600), 1494, 'as the last date has moved on, those of its first ones live';
	at('2042-08-15 14:40');
	is has($a), '7 expired 1998 earned 2005', 'until all expire together';
	is undo($a, 1501), 7, 'what expired is not taken from others';
	sound('2,000 dates');

	begin('2042-02-01 12:00');
	$a = account();
	sql("SELECT count(*) FROM loyalty.post_batch($m, array_fill($a, '{512}'), '{deposit}', array_fill('1'::loyalty.points, '{512}'), expires_at => ARRAY(SELECT '2042-03-01 00:00Z'::timestamptz + i * interval '2 hours' FROM generate_series(1, 512) i))");
	sql("SELECT loyalty.hold($m, $a, '10', release_at => '2042-03-01 12:30Z')");
	post($a, 'deposit', 1, "expires_at => '2042-05-0$_ 12:00Z'") for 1 .. 6;
	at('2042-03-01 13:00');
	post($a, 'redeem', 1);
	is sql("SELECT count(*) FROM loyalty.lots_of($m, $a)"), 511, 'of points that come back, those past their date take no place from those that live';
	is has($a), '511 expired 6 earned 518', 'and expire at once';
	sound('512 dates again');
};

subtest 'transfers' => sub {
	for my $shortfall (qw(refuse partial negative))
	{
		begin('2043-02-01 12:00', duration_unit => 'day', duration_value => 10, shortfall => $shortfall, reinstatement_days => 5);
		my ($a, $b) = (account(), account());
		post($a, 'deposit', 100);
		sql("SELECT loyalty.transfer($m, $a, $b, '100')");
		at('2043-03-01 12:00');
		post($b, 'deposit', 30);
		is undo($a, 2), 0, "$shortfall: what expired at the receiver does not come back";
		is has($b), '30 expired 100 earned 30', "$shortfall: nor do others";
		is has($a), '0 expired 0 earned 100', "$shortfall: at nobody's cost";
		sound($shortfall);
	}
	begin('2042-06-01 12:00');
	my ($a, $b) = (account(), account());
	post($a, 'deposit', $_->[0], "expires_at => '$_->[1]'") for [40, '2042-06-10 00:00Z'], [60, '2042-07-10 00:00Z'];
	sql("SELECT loyalty.transfer($m, $a, $b, '100')");
	at('2042-06-20 12:00');
	is undo($a, 3, "'70'"), 30, '40 of 100 have expired: they count first';
	is undo($a, 3), 60, 'and the rest comes back';
	is undo($a, 3), 'LY011', 'then nothing is left';
	is has($b), '0 expired 40 earned 0', 'of the receiver';
	sound('a transfer of two dates');
};

subtest 'a family' => sub {
	begin('2042-02-01 12:00', duration_unit => 'day', duration_value => 10, shortfall => 'partial');
	my ($a, $b) = (member('A'), member('B'));
	post($a, 'accrue', 100); post($b, 'accrue', 7);
	sql("SELECT loyalty.share_account($m, $a, $b)");
	sql("SELECT loyalty.post($m, $b, 'accrue', '50', member_id => $a)");
	at('2042-03-01 12:00');
	sql("SELECT loyalty.leave_account($m, $a)");
	post($_, 'deposit', 20) for $a, $b;
	my ($sent, $sold) = (sql("SELECT entry_no FROM loyalty.entries WHERE account_id = $a AND kind = 'transfer'"), sql("SELECT entry_no FROM loyalty.entries WHERE account_id = $b AND amount::numeric = 50"));
	is undo($b, $sold), 20, 'a sale of the shared account is refunded there; its points had expired';
	is undo($a, $sent), 20, 'what went along and expired there does not come back';
	is undo($a, 1), 0, 'for the sale of the old account it was spent: the shortfall says';
	sound('a family');
};

# --- 3 and 4: the rank, and what is reversed ---------------------------------------------------

subtest 'reversed sales count for no rank' => sub {
	begin('2040-02-01 12:00', duration_unit => 'month', duration_value => 1, range_group => 'niveles', shortfall => 'partial');
	my ($a, $b) = (account(), account());
	post($_, 'accrue', 600) for $a, $b;
	post($b, 'redeem', 570); undo($b, 1);
	is rank($b) . ' ' . has($b), 'Plata 0 expired 0 earned 0', 'though their points were spent';
	at('2040-04-01 12:00');
	undo($a, 1);
	is rank($a) . ' ' . has($a), 'Plata 0 expired 600 earned 0', 'or had expired';
	is rank($a, '2040-03-31 12:00'), 'Oro', 'before they were reversed they did';
	sound('reversed');
	begin('2041-06-01 12:00', range_group => 'niveles', rank_window_unit => 'month', rank_window_value => 1, rank_grace_days => 10);
	$a = account();
	post($a, 'accrue', 200);
	at('2041-09-01 12:00');
	post($a, 'accrue', 600); undo($a, 1);
	is rank($a), 'Oro', 'what counts no more takes nothing with it';
	at('2041-10-05 12:00');
	is rank($a), 'Oro', 'in the grace';
	undo($a, 2);
	is rank($a), 'Plata', 'there is none for what is reversed';
	is rank($a, '2041-10-05 11:59'), 'Oro', 'before, there was';
	sound('windows');
};

subtest 'points that became available' => sub {
	begin('2041-02-01 12:00', pending_days => 5, range_group => 'niveles');
	my $a = member('A');
	is sale($a, 6000), 600, 'pending';
	is rank($a, '2041-02-07 12:00') . ' ' . rank($a, '2041-02-06 11:59'), 'Oro Plata', 'the rank to come';
	at('2041-02-10 12:00');
	is rank($a), 'Oro', 'is there, though nobody has looked';
	is sql("SELECT rank FROM loyalty.members WHERE merchant_id = $m"), 'Oro', 'for all';
	is sql("SELECT loyalty.seller_member_get($m, 'P', 'A') -> 'rank' ->> 'name'"), 'Oro', 'the seller too';
	is sql("SELECT points FROM loyalty.simulate($m, $a, '100')"), 15, 'a sale would earn by it';
	is sale($a, 100), 15, 'and does';
	is rank($a, '2041-02-06 12:01') . ' ' . rank($a, '2041-02-06 11:59'), 'Oro Plata', 'since then';
	undo($a, 1);
	is rank($a) . ' ' . has($a), 'Plata 0 expired 0 earned 0', 'reversed, it counted from that day';
	sound('pending');
};

subtest 'a rank that was granted' => sub {
	begin('2042-07-01 12:00', range_group => 'niveles', rank_window_unit => 'month', rank_window_value => 1);
	my ($a, $b, $c) = (member('A', 'Oro'), member('B', 'Oro'), member('C'));
	post($_, 'accrue', 1000) for $a, $b;
	is join(' ', map { rank($_) } $a, $b), 'Platino Platino', 'until a higher one is earned';
	undo($b, 1, "'1'");
	is rank($b), 'Oro', 'it is back if that is reversed';
	at('2042-10-01 12:00');
	is join(' ', map { rank($_) } $a, $b), 'Plata Oro', 'but not if the higher one is over';
	is join(' ', sale($a, 100), sale($b, 100)), '10 15', 'and earns by that';
	sql("SELECT loyalty.share_account($m, $b, $c)");
	is join(' ', rank($b), rank($c), rank($b, '2042-08-01 12:00')), 'Oro Plata Oro', 'it does not go along into an account that is shared';
	sql("SELECT loyalty.set_rank_ranges($m, 'niveles', '{Plata,Oro,Platino}', '{0,5,2000}')");
	is rank($b, '2042-08-01 12:00'), 'Oro', 'other ranges do not change the past';
	sound('granted');
};

subtest 'the owner of a shared account leaves' => sub {
	for my $way ('leave_account', 'disable_member')
	{
		begin('2042-07-01 12:00', range_group => 'niveles');
		my ($a, $b, $c) = (member('A'), member('B'), member('C'));
		my $ranks = sub { join ' ', map { rank($_, @_) } $a, $b, $c };
		my $sold = sub { my $who = shift; return sql("SELECT points FROM loyalty.sale($m, $a, '100', member_id => $who)") };
		my $own = sub { sql("SELECT account_id FROM loyalty_internal.member WHERE merchant_id = $m AND member_id = $a") };
		sql("SELECT loyalty.share_account($m, $_, $a)") for $c, $b;
		sql("SELECT loyalty.set_rank($m, $a, 'Oro')");
		is $sold->($c), 15, "$way: the rank of the owner is that of all";
		at('2042-08-01 12:00');
		sql("SELECT loyalty.$way($m, $a)");
		my $new = $own->();
		is $ranks->() . ' ' . rank($new), 'Plata Plata Plata Oro', 'it goes with the owner';
		is join(' ', map { $sold->($_) } $b, $c), '10 10', 'sales of those who stay are without it';
		is sql("SELECT points FROM loyalty.sale($m, $a, '100')") . ' ' . sql("SELECT points FROM loyalty.sale($m, $new, '100')"), '10 15', 'and those that name nobody';
		is $ranks->('2042-07-15 12:00'), 'Oro Plata Plata', 'the past stays what it was';
		at('2042-08-02 12:00');
		sql("SELECT loyalty.set_rank($m, $c, 'Platino')");
		is $ranks->() . ' ' . $sold->($b), 'Plata Plata Platino 10', 'that of another who shares the account is not its rank';
		sql("SELECT loyalty.set_rank($m, $b, 'Oro')");
		is $ranks->() . ' ' . join(' ', map { $sold->($_) } $b, $c), 'Oro Plata Platino 15 15', 'that of the new owner is, and is of this account alone';
		at('2042-09-01 12:00');
		sql("SELECT loyalty.$way($m, $b)");
		is $ranks->() . ' ' . $sold->($c), 'Platino Oro Plata 20', 'the next owner brings theirs, the last takes it along';
		is $ranks->('2042-08-15 12:00'), 'Oro Plata Platino', 'and the past stays';
		sql("SELECT loyalty.leave_account($m, $c)");
		is $ranks->(), 'Plata Oro Platino', 'the last who leaves has it in the old account';
		sql("SELECT loyalty.leave_account($m, $c)");
		is $ranks->(), 'Platino Oro Plata', 'and in the other again';
		is $ranks->('2042-08-15 12:00') . ' ' . $ranks->('2042-07-15 12:00'), 'Oro Plata Platino Oro Plata Plata', 'which changes no past';
		next if $way eq 'disable_member';
		sql("SELECT loyalty.share_account($m, $a, $c)");
		is rank($new) . ' ' . $sold->($a), 'Oro 20', 'the first owner comes back as a guest';
		sound($way);
	}
	begin('2042-07-01 12:00');
	my ($a, $b) = (member('A'), member('B'));
	sql("SELECT loyalty.publish_rules($m, loyalty.find_program($m, 'P'), '[{\"name\":\"cumple\",\"birthday_days\":0,\"points\":7}]')");
	sql("SELECT loyalty.correct_member($m, $a, birth_date => '1990-07-01')");
	sql("SELECT loyalty.correct_member($m, $b, birth_date => '1990-07-02')");
	sql("SELECT loyalty.share_account($m, $b, $a)");
	my $simulated = sub { sql("SELECT loyalty.sum(points) FROM loyalty.simulate($m, $a, '100'" . ($_[0] ? ", at => '$_[0] Z')" : ')')) };
	is $simulated->() . ' ' . sale($a, 100), '17 17', 'the birthday of who owns the account';
	sql("SELECT loyalty.leave_account($m, $a)");
	my $new = sql("SELECT account_id FROM loyalty_internal.member WHERE merchant_id = $m AND member_id = $a");
	is $simulated->() . ' ' . sale($a, 100) . ' ' . sale($new, 100), '10 10 17', 'goes with them';
	at('2042-07-02 12:00');
	is $simulated->() . ' ' . sale($a, 100) . ' ' . sale($new, 100), '17 17 10', 'that of the next owner counts';
	sound('birthdays');
};

subtest 'undoing, soon after a change of terms' => sub {
	for my $entry (1, 2)
	{
		begin('2042-02-01 12:00', rank_window_unit => 'day', rank_window_value => 30, rank_grace_days => 5, range_group => 'niveles');
		my $a = account();
		post($a, 'accrue', 500);
		at('2042-02-10 12:00');
		post($a, 'accrue', 50);
		configure(rank_window_value => 5);
		is rank($a, '2042-02-15 11:59') . ' ' . rank($a, '2042-02-15 12:01'), 'Oro Plata', 'what is out of the new window has the grace that begins with it';
		at('2042-02-12 12:00');
		undo($a, $entry);
		is rank($a), $entry == 1 ? 'Plata' : 'Oro', $entry == 1 ? 'what is reversed has none' : 'also if other points are reversed meanwhile';
		is rank($a, '2042-02-15 12:01'), 'Plata', 'and not longer';
		sound("entry $entry");
	}
	begin('2042-02-01 12:00', rank_window_unit => 'day', rank_window_value => 5, rank_grace_days => 3, range_group => 'niveles');
	my $a = account();
	post($a, 'accrue', 500);
	at('2042-02-03 12:00');
	post($a, 'accrue', 600);
	at('2042-02-14 12:00');
	is rank($a), 'Plata', 'all have ceased to count';
	configure(rank_window_value => 12);
	is rank($a), 'Oro', 'some do again in a wider window';
	undo($a, 2);
	is rank($a), 'Plata', 'until they are reversed: those that had ceased before it count for nothing';
	sound('a wider window');

	begin('2042-02-01 12:00', range_group => 'niveles');
	$a = account();
	post($a, 'accrue', 600);
	at('2042-02-02 12:00');
	configure(range_group => '');
	at('2042-02-03 12:00');
	is join(' ', map { rank($a, "2042-02-0$_ 12:30") } 1, 2, 3), 'Oro  ', 'a program that has no ranks any more had some';
	configure(range_group => 'niveles');
	is join(' ', map { rank($a, "2042-02-0$_ 12:30") } 1, 2, 3), 'Oro  Oro', 'and has them again';
	sound('no ranks any more');
};

subtest 'a rank that is given to a member' => sub {
	begin('2042-02-01 12:00', range_group => 'niveles', rank_window_unit => 'day', rank_window_value => 10);
	my ($a, $b) = (member('G'), member('H', 'Oro'));
	my $set = sub { my ($account, $rank, @more) = @_; return outcome("SELECT loyalty.set_rank($m, $account, " . join(', ', map { defined $_ ? "'$_'" : 'NULL' } $rank // '', @more) . ') IS NOT NULL') };
	my $was = sub { my ($account, @moments) = @_; return join ' ', map { rank($account, "2042-$_") } @moments };
	at('2042-02-02 12:00');
	is $set->($a, 'Oro', '2042-02-05 12:00Z', 'cortesía'), 't', 'until a moment';
	is $set->($b, 'Platino'), 't', 'for good, to one who was given another when created';
	is $was->($a, '02-02 11:59', '02-02 12:01', '02-05 11:59', '02-05 12:00'), 'Plata Oro Oro Plata', 'from then on, until then';
	is $was->($b, '02-01 13:00', '02-02 11:59', '02-02 12:01', '02-25 12:00'), 'Oro Oro Platino Platino', 'and before there is what there was';
	is sale($a, 100), 15, 'sales earn by it';
	at('2042-02-03 12:00');
	post($a, 'deposit', 1000);
	is $was->($a, '02-03 12:01', '02-05 12:00', '02-13 23:59', '02-14 00:00'), 'Platino Platino Platino Plata', 'the highest counts';
	is $set->($a, 'Oro', undef, 'VIP'), 't', 'changed';
	is $was->($a, '02-02 12:01', '02-03 12:01', '02-13 23:59', '02-14 00:00', '02-28 00:00'), 'Oro Platino Platino Oro Oro', 'it is there when the higher one has ended';
	at('2042-02-20 12:00');
	is $set->($a, undef, undef, 'baja'), 't', 'ended';
	is $was->($a, '02-02 12:01', '02-14 00:00', '02-20 11:59', '02-20 12:01'), 'Oro Oro Oro Plata', 'from then on';
	is $set->($b, ''), 't', 'what was given when created, too';
	is rank($b), 'Plata', 'is given no more';
	is sql("SELECT string_agg(concat_ws(' ', to_char(since, 'MM-DD'), coalesce(rank, '-'), to_char(ends_at, 'MM-DD'), reason), ', ' ORDER BY since) FROM loyalty.rank_grants WHERE merchant_id = $m AND member_id = $a"),
		'02-02 Oro 02-05 cortesía, 02-03 Oro VIP, 02-20 - baja', 'all of it can be looked up';
	is join(' ', $set->($a, 'Oro'), $set->($a, 'Platino'), rank($a)), 't t Platino', 'of two at one moment the later counts';
	for my $wrong ([$a, 'Bronce', 'LY006'], [$a, 'oro', 'LY006'], [1, 'Oro', 'LY006'], [$a, 'Oro', '2042-02-20 12:00Z', 'LY005'], [$a, 'Oro', '2042-01-01', 'LY005'], [$a, '', '2042-03-01', 'LY005'], [$a, 'Oro', undef, undef, 'LY005'])
	{
		my ($account, @arguments) = @$wrong;
		my $code = pop @arguments;
		is $set->($account, @arguments), $code, 'refused: ' . join ', ', map { $_ // 'NULL' } @arguments;
	}
	sql("SELECT loyalty.share_account($m, $b, $a)");
	is sale($b, 100), 'LY014', 'who shares an account';
	is outcome("SELECT points FROM loyalty.sale($m, $a, 100, member_id => $b)"), 20, 'has the rank of the one whose it is';
	is $set->($b, 'Oro'), 't', 'a rank of the guest';
	is $set->($a, undef), 't', 'and none of the host';
	is outcome("SELECT points FROM loyalty.sale($m, $a, 100, member_id => $b)"), 10, 'is not of this account';
	is rank($b), 'Oro', 'but of the guest\'s own';
	sound('given');
};

subtest 'calendar years' => sub {
	begin('2041-11-30 12:00', time_zone => 'America/Mexico_City', range_group => 'niveles', rank_window_unit => 'calendar_year', rank_window_value => 1);
	my ($a, $b) = (account(), account());
	post($_, 'deposit', 300) for $a, $b;
	at('2042-01-01 05:59');
	post($a, 'deposit', 200);
	is join(' ', rank($a), rank($a, '2042-01-01 06:00')), 'Oro Plata', 'to the end of the year';
	at('2042-01-01 06:00');
	post($_, 'deposit', 400) for $a, $b;
	is rank($a), 'Plata', 'the next begins with nothing';
	at('2042-06-30 12:00');
	post($a, 'deposit', 100);
	is join(' ', rank($a), rank($a, '2043-01-01 05:59'), rank($a, '2043-01-01 06:00')), 'Oro Oro Plata', 'all of its points end with it';
	undo($a, 3);
	is rank($a), 'Plata', 'what is reversed counts for no year';
	sound('a year');
	configure(rank_window_value => 2, rank_grace_days => 10);
	is join(' ', rank($a), rank($a, '2043-01-11 05:59'), rank($a, '2043-01-11 06:00')), 'Oro Oro Plata', 'two years, and a grace';
	sound('two years');
	is sql("SELECT rank_window_unit || rank_window_value FROM loyalty.programs WHERE merchant_id = $m"), 'calendar_year2', 'as it is shown';
};

subtest 'more than 512 days' => sub {
	begin('2040-01-01 12:00', range_group => 'niveles', rank_window_unit => 'month', rank_window_value => 24);
	my $a = account();
	sql("SELECT count(*) FROM loyalty.post_batch($m, array_fill($a, '{512}'), '{accrue}', array_fill('0.5'::loyalty.points, '{512}'), available_at => ARRAY(SELECT '2040-01-02 12:00Z'::timestamptz + n * interval '1 day' FROM generate_series(0, 511) n))");
	post($a, 'accrue', $_->[0], "available_at => '$_->[1] 12:00Z'") for [600, '2041-05-28'], [1, '2041-07-28'];
	at('2041-07-29 12:00');
	is join(' ', map { rank($a, "$_ 12:00") } qw(2043-05-28 2043-05-29 2043-07-28)), 'Oro Plata Plata', 'each counts as long as it says';
	sound('514 days');
};

# --- 4: caps, limits, the first purchase --------------------------------------------------------

subtest 'caps and limits' => sub {
	begin('2042-02-01 12:00', decimals => 2);
	sql(qq{SELECT loyalty.publish_rules($m, loyalty.find_program($m, 'P'), '[{"name":"tope","points_per":1,"money_per":1,"max_day":90,"max_member":100}, {"name":"bienvenida","first_purchase":true,"points":7}]')});
	sql("SELECT loyalty.set_limit($m, loyalty.find_program($m, 'P'), 'member', 'add', 1000, 5)");
	my $a = account();
	my $left = sub { return sql("SELECT points_left || '/' || operations_left FROM loyalty.allowances WHERE merchant_id = $m AND subject_id = $a") };
	my $used = sub { return sql("SELECT points_day || '/' || points_ever FROM loyalty_internal.rule_use WHERE account_id = $a") };
	is sale($a, 90), 106, '9, 90 by one rule, 7 by another';
	is $used->() . ' ' . $left->(), '90/90 894/4', 'are counted';
	undo($a, 1, "'53'");
	is $used->() . ' ' . $left->(), '45/45 947/4', 'a half that is reversed is not';
	undo($a, 1);
	is $used->() . ' ' . $left->(), '0/0 1000/5', 'nor is the rest, and no operation';
	is sale($a, 90), 106, 'it was no first purchase either';
	at('2042-02-02 12:00');
	is sale($a, 20), 12, '10 are left to the member';
	undo($a, 4, "'53'");
	is $used->(), '10/55', 'on another day, half of yesterday comes back to the cap by member only';
	is $left->(), '988/4', 'and nothing to the limit';
	sound('caps');
	my ($b, $c) = (account(), account());
	sql("SELECT loyalty.set_limit($m, loyalty.find_program($m, 'P'), 'member', 'spend', 100, 5)");
	post($b, 'deposit', 200);
	$a = $b;
	my $spend = sub { return sql("SELECT points_left || '/' || operations_left FROM loyalty.allowances WHERE merchant_id = $m AND subject_id = $b AND direction = 'spend'") };
	post($b, 'redeem', 30); sql("SELECT loyalty.transfer($m, $b, $c, '20')"); sql("SELECT loyalty.hold($m, $b, '40')"); sql("SELECT loyalty.capture($m, $b, test.entry($b, 4), in_full => true)");
	is $spend->(), '10/2', 'spent';
	undo($b, $_) for 2, 3;
	is $spend->(), '60/4', 'a redemption and a transfer are reversed';
	undo($b, 5, "'15'");
	is $spend->(), '75/4', 'and a part of what was captured, of the day of its hold';
	sound('limits');

	my $d = account();
	at('2042-02-03 23:00');
	post($d, 'deposit', 200);
	post($d, 'redeem', 90);
	at('2042-02-04 02:00');
	is post($a, 'redeem', 90), 85, 'shortly after midnight';
	configure(time_zone => 'America/Mexico_City');
	is sql("SELECT string_agg(coalesce(error, 'posted'), ' ') FROM loyalty.post_batch($m, '{$a,$d}', '{redeem}', '{1,20}')"), 'posted limit_exceeded', 'who has not begun the next day counts for this one, in a batch too';
	is post($a, 'redeem', 20), 'LY008', 'it is the day before again, by another time zone: what was spent still counts';
	at('2042-02-05 05:59');
	is post($a, 'redeem', 20), 'LY008', 'until the day that had begun is over';
	at('2042-02-05 06:00');
	is post($a, 'redeem', 20), 64, 'and not longer';
	sound('a day that goes back');
};

subtest 'caps by week, month and year' => sub {
	begin('2041-12-28 12:00');
	my @rules = map { my ($name, $most) = @$_; qq({"name":"$name","points":10,"max_$name":$most}) } [week => 25], [month => 35], [year => 55];
	sql("SELECT loyalty.publish_rules($m, loyalty.find_program($m, 'P'), '[" . join(',', @rules) . "]')");
	my $a = account();
	my $used = sub { return sql("SELECT string_agg(concat_ws('/', points_day, points_week, points_month, points_year, points_ever), ' ' ORDER BY rule) FROM loyalty_internal.rule_use WHERE account_id = $a") };
	is join(' ', map { sale($a, 0) } 1 .. 7), '30 30 25 15 10 5 0', 'a Saturday of December';
	is $used->(), '35/35/35/35/35 25/25/25/25/25 55/55/55/55/55', 'is counted';
	at('2041-12-29 23:59');
	is sale($a, 0), 0, 'the last of its week';
	at('2041-12-30 00:00');
	is sale($a, 0), 10, 'another week of the same month';
	at('2042-01-01 00:00');
	is join(' ', sale($a, 0), sale($a, 0)), '30 25', 'the same week in another month and year';
	is $used->(), '20/20/20/20/55 15/25/15/15/50 20/20/20/20/75', 'is counted on by its rule only';
	undo($a, 9);
	is $used->(), '20/20/20/20/55 15/15/15/15/40 20/20/20/20/75', 'what is reversed comes back to the week that it was of';
	is sale($a, 0), 30, 'where it can be had again';
	undo($a, 1);
	is $used->(), '30/30/30/30/55 25/25/25/25/40 30/30/30/30/75', 'and what was of other periods to none of these';
	is sale($a, 0), 15, 'so nothing more is had';
	at('2042-01-05 23:59');
	is sale($a, 0), 10, 'until the week is over';
	at('2042-01-06 00:00');
	is sale($a, 0), 15, 'but not the month';
	sound('periods');
	at('2042-01-06 02:00');
	configure(time_zone => 'America/Mexico_City');
	is sale($a, 0), 10, 'it is Sunday again by another time zone: the week that had begun goes on';
	is sale($a, 0), 5, 'and is counted on';
	sound('a week that goes back');
	at('2042-02-01 06:00');
	is sale($a, 0), 20, 'another month';
	undo($a, sql("SELECT entry_no FROM loyalty_internal.account WHERE account_id = $a"));
	is sale($a, 0), 20, 'a sale that is reversed';
	at('2043-01-01 05:59');
	is sale($a, 0), 20, 'the last minute of the year';
	at('2043-01-01 06:00');
	is sale($a, 0), 30, 'is not of the next';
	sound('years');
};

subtest 'a sale that earned nothing' => sub {
	begin('2042-02-01 12:00', decimals => 0, shortfall => 'refuse', range_group => 'niveles');
	sql(qq{SELECT loyalty.publish_rules($m, loyalty.find_program($m, 'P'), '[{"name":"bienvenida","first_purchase":true,"min_amount":10,"points":7}]')});
	sql("SELECT loyalty.set_limit($m, loyalty.find_program($m, 'P'), 'member', 'add', 1000, 5)");
	my $state = sub { my $a = shift; return has($a) . ' ' . (sql("SELECT operations_left FROM loyalty.allowances WHERE merchant_id = $m AND subject_id = $a AND direction = 'add'")) };
	my $reference = sub { my ($a, $entry, $name, $more) = @_; return outcome("SELECT test.entry_no($a, entry_id) || ' ' || balance FROM loyalty.reverse($m, $a, test.entry($a, $entry), " . ($more || 'in_full => true') . ", reference => '$name')") };
	my ($whole, $by_money, $mixed, $free, $paid) = map { account() } 1 .. 5;
	is sale($_, 4.99), 0, 'a small sale' for $whole, $by_money, $mixed;
	is $state->($whole), '0 expired 0 earned 0 4', 'is an operation of the day';
	is $reference->($whole, 1, 'dev'), '2 0', 'is reversed as a whole';
	is $reference->($whole, 1, 'dev'), '2 0', 'once for its reference';
	is $reference->($whole, 1, 'dev', "money => '4.99'"), '2 0', 'also if it names all of the money';
	is $reference->($whole, 1, 'dev', $_), 'LY012', "which is of no other refund: $_" for "money => '4.98'", "money => '5'", "amount => '1'";
	is $reference->($whole, 1, 'otra', $_), 'LY011', 'nothing is left of it: ' . ($_ // 'whole') for undef, "money => '4.99'", "money => '0.01'", "amount => '1'";
	is $reference->($whole, 1, 'otra', $_), 'LY004', "no part is $_" for "money => '0'", "money => '-1'", "amount => '0'";
	is undo($by_money, 1, "money => '$_->[0]'"), $_->[1], "$_->[0] of its money" for [5, 'LY011'], [3, 0], [2, 'LY011'], [1.99, 0], [0.01, 'LY011'];
	is undo($by_money, 1), 'LY011', 'parts of its money are the whole';
	is undo($mixed, 1, "money => '3'"), 0, 'or a part of its money';
	is $state->($mixed), '0 expired 0 earned 0 4', 'still is the operation';
	is $reference->($mixed, 1, 'resto'), '3 0', 'and all that is left';
	is $reference->($mixed, 1, 'resto', "money => '4.99'"), 'LY012', 'which is not all';
	is undo($mixed, 1, "money => '1.99'"), 'LY011', 'is all';
	is $state->($_), '0 expired 0 earned 0 5', 'then it is no operation of the day' for $whole, $by_money, $mixed;
	is sale($_, 10), 8, 'nor the first purchase' for $whole, $by_money, $mixed;

	is sale($free, 0), 0, 'a sale of no money';
	is undo($free, 1, "money => '0.01'"), 'LY011', 'has none to give back';
	is undo($free, 1), 0, 'but is reversed';
	is undo($free, 1), 'LY011', 'once';
	is sale($free, 10), 8, 'and was none';
	is post($free, 'accrue', 0), 8, 'an accrual of nothing, of which no money is known';
	is undo($free, 4, "money => '1'"), 'LY004', 'has none';
	is join(' ', undo($free, 4), undo($free, 4)), '8 LY011', 'and is reversed once';

	post($paid, 'deposit', 100);
	is outcome("SELECT test.entry_no($paid, entry_id) || ' ' || points FROM loyalty.sale($m, $paid, 100, points_used => 100)"), '3 0', 'a sale that is paid with points';
	is join(' ', undo($paid, 3), undo($paid, 2), undo($paid, 3), undo($paid, 2)), '0 100 LY011 LY011', 'is reversed by both of its entries';
	is sale($paid, 10), 8, 'and was no first purchase';
	post($paid, 'redeem', $_) for 100;
	is sale($paid, 4), 0, 'with little left';
	is undo($paid, 8), 8, 'there is nothing that could be missing';
	is sql("SELECT string_agg(x.error, ' ' ORDER BY x.item) FROM (SELECT item, coalesce(error, test.entry_no($paid, entry_id)::text) AS error FROM loyalty.post_batch($m, ARRAY[$paid, $paid, $paid], '{accrue,reverse,reverse}', '{0,NULL,NULL}', reference => '{v,lote,lote2}', entry_id => ARRAY[NULL, test.entry($paid, 8), test.entry($paid, 8)], money => '{3,NULL,NULL}', in_full => '{false,true,true}')) x"), '10 exceeds_original exceeds_original', 'in a batch too';
	is sql("SELECT string_agg(x.error, ' ' ORDER BY x.item) FROM (SELECT item, coalesce(error, test.entry_no($paid, entry_id)::text) AS error FROM loyalty.post_batch($m, ARRAY[$paid, $paid, $paid], '{reverse}', '{NULL,NULL,NULL}', reference => '{lote,lote,lote2}', entry_id => array_fill(test.entry($paid, 10), '{3}'), in_full => '{true,true,true}')) x"), '11 11 exceeds_original', 'where it is reversed once, and repeated';
	sound('nothing');
};

# --- 5: due is due ---------------------------------------------------------------------------

subtest 'terms that change' => sub {
	for my $days ([0, 10, '0 expired 100'], [10, 0, '100 expired 0'])
	{
		begin('2042-06-01 12:00', duration_unit => 'day', duration_value => 3, reinstatement_days => $days->[0]);
		my $a = account();
		post($a, 'deposit', 100);
		sql("SELECT loyalty.hold($m, $a, '100', release_at => '2042-06-20 12:00Z')");
		at('2042-06-21 12:00');
		is has($a), "$days->[2] earned 100", 'a hold that has timed out';
		configure(reinstatement_days => $days->[1]);
		is has($a), "$days->[2] earned 100", 'is not touched by other terms';
		is sql("SELECT loyalty.balance_at($m, $a, '2042-06-20 12:00Z')"), (split / /, $days->[2])[0], 'nor is its history';
		sound('terms');
	}
	begin('2042-06-01 12:00', pending_days => 2, range_group => 'niveles', rank_window_unit => 'day', rank_window_value => 30);
	my $a = account();
	sale($a, 6000);
	at('2042-06-10 12:00');
	configure(rank_window_value => 5);
	is join(' ', rank($a), rank($a, '2042-06-09 12:00'), rank($a, '2042-06-03 11:59')), 'Plata Oro Plata', 'what matured had its rank by the terms before';
	sound('a window');
};

# --- 6: a batch is its items, in order -----------------------------------------------------------

subtest 'batches' => sub {
	begin('2042-02-01 12:00', range_group => 'niveles');
	sql(qq{SELECT loyalty.publish_rules($m, loyalty.find_program($m, 'P'), '[{"name":"oro","ranks":["Oro"],"points":5},{"name":"bienvenida","first_purchase":true,"points":3},{"name":"tope","points":4,"max_day":7}]')});
	sql("SELECT loyalty.set_limit($m, loyalty.find_program($m, 'P'), 'member', 'add', 800, NULL)");
	member($_) for qw(A B);
	my @items = map { qq({"programId":"P","memberId":"ID","amount":$_,"comments":"x"}) } 5000, 1000, 1000, 10;
	my $totals = sub { my $items = shift; return sql(qq{SELECT string_agg("totalPoints", ' ') FROM json_to_recordset(loyalty.seller_accumulation($m, '[$items]')) AS i ("totalPoints" text)}) };
	my $batch = $totals->(join(',', @items) =~ s/ID/A/gr);
	is $batch, '507 665 0 671.5', 'the rank, the cap, the limit and the first purchase that one reaches count for the next';
	is join(' ', map { $totals->(s/ID/B/r) } @items), $batch, 'as one by one';
	sound('batches');
};

# --- 7: a repeat gets the first answer ---------------------------------------------------------------

subtest 'repeats' => sub {
	begin('2042-02-01 12:00');
	my ($a, $b, $c) = (member('A'), member('B'), member('C'));
	post($a, 'deposit', 100); sql("SELECT loyalty.transfer($m, $a, $b, '100')");
	my $call = "SELECT test.entry_no($a, entry_id) || ' ' || balance FROM loyalty.reverse($m, $a, test.entry($a, 2), '40', 'dev')";
	is outcome($call), '3 40', 'a transfer comes back in part';
	sql("SELECT loyalty.share_account($m, $b, $c)");
	is outcome($call), '3 40', 'after the peer has moved';
	is undo($a, 2, "'1'"), 'LY014', 'nothing more can be reversed then';
	sql("SELECT loyalty.share_account($m, $a, $c)");
	is outcome($call), '3 40', 'after the account has';
	is outcome($call =~ s/'40'/'41'/r), 'LY012', 'another refund under its name is another';
	is undo($a, 2, "'1'"), 'LY014', 'and a new one is refused';
};

# --- programs that are not active ------------------------------------------------------------------------

subtest 'inactive' => sub {
	for my $terms ([active => 0], [unit_active => 0])
	{
		begin('2042-02-01 12:00');
		my ($a, $b) = (account(), account());
		post($a, 'accrue', 100, "money => '1000'"); sql("SELECT loyalty.hold($m, $a, '10')");
		configure(@$terms);
		is sale($a, 100), 'LI005', 'a sale';
		is post($a, $_, 10), 'LI005', $_ for qw(accrue deposit);
		is outcome("SELECT loyalty.hold($m, $a, '10')"), 'LI005', 'a hold';
		is outcome("SELECT loyalty.transfer($m, $a, $b, '10')"), 'LI005', 'a transfer';
		is sql("SELECT string_agg(coalesce(error, balance::text), ' ') FROM loyalty.post_batch($m, ARRAY[$a, $a, $a], '{deposit,redeem,adjust}', '{1,1,2}')"), 'program_inactive 89 91', 'in a batch';
		is outcome("SELECT balance FROM loyalty.capture($m, $a, test.entry($a, 2), '5')"), 91, 'a capture';
		is outcome("SELECT balance FROM loyalty.release($m, $a, test.entry($a, 2), in_full => true)"), 96, 'a release';
		is undo($a, 1, "'10'"), 86, 'a refund';
		is post($a, 'redeem', 1), 85, 'a redemption';
		is post($a, 'adjust', $_->[0]), $_->[1], 'a correction' for [-1, 84], [2, 86];
		configure(active => 1, unit_active => 1);
		is post($a, 'deposit', 1), 87, 'active again';
		sound("@$terms");
	}
};

# --- days without a midnight, or with two --------------------------------------------------------------------

subtest 'days' => sub {
	for (['America/Havana', '2025-10-31 12:00', '2025-11-02 04:00', 'midnight comes twice: the day ends at the first'],
		['America/Asuncion', '2023-09-29 12:00', '2023-10-01 04:00', 'midnight does not come: the day ends at the first moment after it'])
	{
		my ($zone, $moment, $end, $what) = @$_;
		begin($moment, time_zone => $zone, duration_unit => 'day', duration_value => 1);
		my $a = account();
		post($a, 'deposit', 5);
		is sql("SELECT expires_at AT TIME ZONE 'UTC' = timestamp '$end' FROM loyalty.lots_of($m, $a)"), 't', "$zone: $what";
	}
};

subtest 'decimals' => sub {
	begin('2042-02-01 12:00', decimals => 0);
	my $a = account();
	is post($a, 'deposit', '1.2345'), '1.2345', 'the engine takes four, whatever the program shows';
	is outcome("SELECT loyalty.sale($m, $a, '10', '0.5')"), 'LY004', 'a sale has points of the program';
};

done_testing;
