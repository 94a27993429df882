# What is stored has an end: values within values, the access log, the answers
# that are kept for retries, and names.  What grows is forgotten so many rows at
# a time, by an index.
use strict;
use warnings;
use utf8;

use Digest::SHA qw(hmac_sha256_hex);
use FindBin;
use lib $FindBin::Bin;
use JSON::PP ();
use Loyalty;
use Test::More;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $stack = Loyalty->start(level => 'http', clock => 1, rate => '100000r/s', isolation => 'read committed');
my ($merchant, $key, $program, $program_name, $wallet, $staff) = split /\|/, $stack->psql(q{
	SELECT loyalty.create_merchant('Uno') AS m \gset
	SELECT api_key AS key FROM loyalty.create_api_key(:m) \gset
	SELECT program_id AS p, wallet_key AS w FROM loyalty.create_program(:m, 'Monedero', 'P') \gset
	SELECT loyalty.employee_add(:m, 'cajero', 'Ana', 'Centro', '4771000001', 'secreto') AS staff \gset
	SELECT loyalty.create_app_user(:m, 'Banco', repeat('k', 32)) \g /dev/null
	SELECT concat_ws('|', :m, :'key', :p, 'P', :'w', :staff)});

sub sql { return $stack->psql($_[0]) }
sub outcome { my $error = $stack->psql_error($_[0]); return $error ? $error->{sqlstate} : 'done' }
sub seller { my ($path, $body) = @_; return $stack->http_json('POST', "/v1/seller/$key/$path", {'Content-Type' => 'application/json'}, JSON::PP->new->utf8->encode($body)) }

# --- values within values ---------------------------------------------------------

my $mails = 0;
sub member { return {email => 'm' . ++$mails . '@x.mx', firstName => 'Ana', firstLastName => 'Gil', @_} }
sub created { my $answer = seller('program/P/member', member(@_)); return "$answer->{status} " . ($answer->{json}{description} // '') }
my $INVALID = '400 Un campo no tiene el tipo o el formato esperado:';
my %address = (street => 'x' x 1024, numberInside => '1', numberOutside => '2', postcode => {country => {name => 'México'}, state => {name => 'GTO'}, city => {name => 'León'}});

is created(address => [\%address]), '201 ', 'a street of 1,024 bytes';
is created(address => [{%address, street => 'x' x 1025}]), "$INVALID address", 'one of 1,025 is refused';
is created(address => [{%address, street => ['x' x 1024]}]), "$INVALID address", 'in an array too';
is created(address => [{%address, postcode => {country => {name => 'x' x 1024}}}]), "$INVALID address", 'and a country';
is created(address => [{map { ("key$_" => 'x' x 1000) } 1 .. 66}]), "$INVALID address", 'so is an address of 66 kB';
is created(address => [map { \%address } 1 .. 50]), '201 ', 'fifty addresses are not';
is sql('SELECT max(octet_length(street)), max(octet_length(country)) FROM loyalty_internal.member_address'), '1024|7', 'nothing longer is stored';

my $client = sql("SELECT client_id FROM loyalty.members WHERE merchant_id = $merchant LIMIT 1");
sub item { return {programId => 'P', memberId => $client, amount => 10, currency => 'MXN', comments => 'x', @_} }
sub outcomes { my ($operation, @items) = @_; return join ', ', map { "$_->{status} $_->{description}" } @{seller($operation, \@items)->{json}} }
my $ITEM_INVALID = 'error Un campo no tiene el tipo o el formato esperado:';
my @goods = map { {sku => "s$_", name => 'x' x 40, quantity => 1, unitPrice => 1} } 1 .. 600;
is outcomes('accumulation', item(items => [@goods[0 .. 599]]), item(items => [@goods, @goods]), item()), "success , $ITEM_INVALID items, success ", 'goods of 64 kB are kept, of more refused';
is outcomes('deposit', item(memberId => undef, member => member(address => [{street => 'x' x 1025}])), item()), "$ITEM_INVALID member.address, success ", 'a member within has the same addresses';
cmp_ok sql('SELECT max(octet_length(detail::text)) FROM loyalty.entry'), '<', 65536 + 1024, 'no detail is longer';

for my $call ("loyalty.set_member_address($merchant, m.member_id, 1, repeat('x', 1025))", "loyalty.set_member_address($merchant, m.member_id, 1, 'x', city => repeat('x', 1025))",
	"loyalty.create_customer($merchant, $program, 'CAMC880526HMCBNR04', 'A', 'B', street => repeat('x', 1025))")
{
	is outcome("SELECT $call FROM loyalty.members m WHERE m.merchant_id = $merchant LIMIT 1"), 'LY005', "in SQL: $call";
}

# --- what is kept for ever --------------------------------------------------------

# Accumulations of one item each, with so many bytes of comments, where there are 200 kB a day.
sub accumulated
{
	my ($n, $each, %option) = @_;
	$stack->advance_clock(1);	# which is slow: ids of two sessions in one millisecond may be the same
	return sql(($option{space} // "SELECT loyalty.fold('') \\g /dev/null\nSET loyalty.entry_space = 200;") . ($option{before} // '') . qq{
		SELECT string_agg(DISTINCT concat_ws(' ', i ->> 'status', i ->> 'description'), ', ') FROM json_array_elements(loyalty.seller_accumulation($merchant,
			(SELECT json_agg(json_build_object('programId', 'P', 'memberId', '$client', 'amount', 1, 'currency', 'MXN', 'comments', repeat('x', $each))) FROM generate_series(1, $n)))) i;} . ($option{after} // ''));
}
sub entry_bytes { return sql("SELECT coalesce(sum(octet_length(detail::text)), 0) FROM loyalty.entry WHERE merchant_id = $merchant") }
my $FULL = 'error Se excede un límite del programa';
sql('DELETE FROM loyalty_internal.entry_space');
my $bytes = entry_bytes();
is accumulated(120, 1000, before => 'BEGIN;', after => 'ROLLBACK'), 'success ', 'what is rolled back' for 1 .. 3;
is accumulated(120, 1000), 'success ', 'takes nothing of a day' for 1 .. 2;
is accumulated($_, 1000), $FULL, "when 200 kB are over, a batch of $_ adds nothing" for 120, 1;
cmp_ok entry_bytes() - $bytes, '<', 2 * 1024 * (200 + 64), 'to what is kept for ever';
is sql("SELECT sum(kilobytes) BETWEEN 300 AND 400 FROM loyalty_internal.entry_space WHERE merchant_id = $merchant"), 't', 'what was taken is counted';
is accumulated(1, 1, space => ''), 'success ', 'with more space it goes on';
sql('UPDATE loyalty_internal.entry_space SET day = day - 1');
is accumulated(1, 1), 'success ', 'so it does the next day';
sql('DELETE FROM loyalty_internal.entry_space');
my $singly = "SELECT loyalty.fold('') \\g /dev/null\nSET loyalty.entry_space = 200;\n" . join "\n", map { qq{SELECT loyalty.seller_accumulation($merchant, '[{"programId":"P","memberId":"$client","amount":1,"currency":"MXN","comments":"x"}]') ->0->>'status';} } 1 .. 100;
is sql($singly), join("\n", ('success') x 100), 'a hundred one by one';
is sql("SELECT kilobytes FROM loyalty_internal.entry_space WHERE merchant_id = $merchant"), '64', 'take space once, in advance';
is outcome("SELECT loyalty.fold(''); CREATE ROLE shop; SET ROLE shop; SET loyalty.entry_space = '2GB'"), '42501', 'how much there is, a superuser says';

# What an item takes, at once and when it is available, is at most what it counts as, and not much less.
sub kept_of_items { return sql(q{SELECT pg_total_relation_size('loyalty.entry') + pg_total_relation_size('loyalty_internal.reservation')}) }
sql('VACUUM FULL loyalty.entry');	# what was undone has left room
my %of_program = (Plain => '{}', Later => '{"pending_days": 1, "duration_unit": "month", "duration_value": 12}');
sql(qq{SELECT program_id AS p FROM loyalty.create_program($merchant, '$_', '$_', '$of_program{$_}') \\gset
	SELECT loyalty.create_member($merchant, :p, 'Ana', client_id => '$_')}) for keys %of_program;
for my $case (['deposit', 'Plain', 1000, 'x'], ['redemption', 'Plain', 1, 'x' x 200], ['deposit', 'Later', 1000, 'x'], ['accumulation', 'Later', 1000, 'x' x 500])
{
	my ($operation, $name, $amount, $comments) = @$case;
	my $items = $name eq 'Later' ? 1900 : 3000;	# an account has 2,000 pending at most
	sql('DELETE FROM loyalty_internal.entry_space');
	my $before = kept_of_items();
	is sql(qq{SELECT string_agg(DISTINCT concat_ws(' ', i ->> 'status', i ->> 'description'), ', ') FROM json_array_elements(loyalty.seller_$operation($merchant, (SELECT json_agg(json_build_object('programId', '$name', 'memberId', '$name',
		'amount', $amount, 'currency', 'MXN', 'amountCurrency', $amount, 'comments', '$comments', 'branchId', 'B', 'vendorId', 'V', 'reference', 'r' || n)) FROM generate_series(1, $items) n))) i}), 'success ', "$operation, $name";
	$stack->advance_clock(2 * 86_400) if $name eq 'Later';
	sql("SELECT loyalty.expire_due($merchant)");
	my ($grown, $counted) = (kept_of_items() - $before, 1024 * sql("SELECT sum(kilobytes) FROM loyalty_internal.entry_space WHERE merchant_id = $merchant"));
	ok $counted >= $grown && $counted < 1.5 * $grown, "what takes $grown bytes counts as $counted";
}
# What rules gave is kept with a sale, by rule: it is known when it is booked, and counts with what comes next.
{
	sql(qq{SELECT program_id AS p FROM loyalty.create_program($merchant, 'Ruled', 'Ruled') \\gset
		SELECT loyalty.create_member($merchant, :p, 'Eva', client_id => 'Ruled');
		SELECT loyalty.publish_rules($merchant, :p, (SELECT json_agg(json_build_object('name', 'r' || g, 'points', 1)) FROM generate_series(1, 20) g))});
	my $kept = sub { sql(q{SELECT pg_total_relation_size('loyalty.entry') + pg_total_relation_size('loyalty_internal.entry_rule')}) };
	my $sells = sub { join '; ', map { qq{SELECT string_agg(DISTINCT i ->> 'status', ' ') FROM json_array_elements(loyalty.seller_accumulation($merchant, (SELECT json_agg(json_build_object('programId', 'Ruled', 'memberId', 'Ruled', 'amount', 100, 'currency', 'MXN', 'comments', 'x')) FROM generate_series(1, $_)))) i} } @_ };
	sql('DELETE FROM loyalty_internal.entry_space');
	my $before = $kept->();
	is sql($sells->(1000, 1)), "success\nsuccess", 'sales by twenty rules';
	my ($grown, $counted) = ($kept->() - $before, 1024 * sql("SELECT sum(kilobytes) FROM loyalty_internal.entry_space WHERE merchant_id = $merchant"));
	ok $counted >= $grown && $counted < 1.5 * $grown, "what $grown bytes of entries and parts takes counts as $counted";
}
# The roll-up has a row for each branch, program and day: whoever names many takes that too, and who names one takes one.
sql(qq{SELECT program_id AS p FROM loyalty.create_program($merchant, '$_', '$_') \\gset
	SELECT loyalty.create_member($merchant, :p, 'Ana', client_id => '$_')}) for qw(North South);
for my $case ([3000, 'one branch', "'B'", "'North'", 1.5], [3000, 'many branches', "'B' || n", "'North'", 1.5], [3000, 'no branch', 'NULL', "'North'", 1.5],
	[3000, 'one branch in two programs', "'C'", "CASE n % 2 WHEN 0 THEN 'North' ELSE 'South' END", 3])
{
	my ($items, $what, $branch, $program, $most) = @$case;
	sql('VACUUM FULL loyalty_internal.report_day; DELETE FROM loyalty_internal.entry_space');
	my $size = sub { kept_of_items() + sql(q{SELECT pg_total_relation_size('loyalty_internal.report_day')}) };
	my $before = $size->();
	is sql(qq{SELECT string_agg(DISTINCT i ->> 'status', ' ') FROM json_array_elements(loyalty.seller_deposit($merchant, (SELECT json_agg(json_build_object('programId', $program, 'memberId', $program,
		'amount', 10, 'comments', 'x', 'branchId', $branch)) FROM generate_series(1, $items) n))) i}), 'success', "deposits of $what";
	sql("SELECT FROM loyalty_internal.roll_up($merchant)");
	my ($grown, $counted) = ($size->() - $before, 1024 * sql("SELECT sum(kilobytes) FROM loyalty_internal.entry_space WHERE merchant_id = $merchant"));
	ok $counted >= $grown && $counted < $most * $grown, "what $grown bytes of entries and days takes counts as $counted";
}
# So does a batch that is undone, by a lock that takes too long to have.
sql('DELETE FROM loyalty_internal.entry_space');
{
	my $other = $stack->connect_async;
	sql("ALTER FUNCTION loyalty_api.gateway(bytea) SET lock_timeout = '100ms'");
	$other->query("BEGIN; SELECT FROM loyalty_internal.account WHERE merchant_id = $merchant FOR UPDATE");
	is seller('deposit', [map { item(comments => 'x' x 1000) } 1 .. 100])->{status}, 503, 'a batch that is undone';
	$other->query('ROLLBACK');
	sql('ALTER FUNCTION loyalty_api.gateway(bytea) RESET lock_timeout');
}
is sql("SELECT sum(kilobytes) BETWEEN 100 AND 200 FROM loyalty_internal.entry_space WHERE merchant_id = $merchant"), 't', 'counts as if it were kept';
# And so does what was due in the accounts of one, which it has booked.
is sql(qq{SELECT string_agg(DISTINCT i ->> 'status', ', ') FROM json_array_elements(loyalty.seller_accumulation($merchant, (SELECT json_agg(json_build_object('programId', 'Later', 'memberId', 'Later', 'amount', 1000, 'comments', 'x')) FROM generate_series(1, 1500)))) i}), 'success', 'points that are pending';
$stack->advance_clock(2 * 86_400);
sql("DELETE FROM loyalty_internal.entry_space;
	CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE query_canceled; END'; CREATE TRIGGER refuse BEFORE INSERT ON loyalty.entry EXECUTE FUNCTION public.refuse()");
is seller('deposit', [item(programId => 'Later', memberId => 'Later')])->{status}, 503, 'a batch that is undone after it has booked what was due';
sql('DROP TRIGGER refuse ON loyalty.entry; DROP FUNCTION public.refuse()');
like sql("SELECT sum(kilobytes) FROM loyalty_internal.entry_space WHERE merchant_id = $merchant"), qr/^(?:3[3-9]|4\d)\d$/, 'counts all of it';
sql('DELETE FROM loyalty_internal.entry_space');

# Members and staff are kept too.  What a member takes is at most what it counts as.
sub kept_of_members { return sql("SELECT pg_relation_size('loyalty_internal.member') + pg_total_relation_size('loyalty_internal.member_address') + pg_total_relation_size('loyalty_internal.account')") }
sub members { return sql("SELECT count(*) FROM loyalty.members WHERE merchant_id = $merchant") }
sub deposited { return sql("SELECT loyalty.fold('') \\g /dev/null\nSET loyalty.entry_space = @{[shift]};" . q{SELECT string_agg(concat_ws(' ', i ->> 'status', i ->> 'description'), ', ') FROM json_array_elements(loyalty.seller_deposit(} . $merchant . q{, $json$} . JSON::PP->new->encode(\@_) . q{$json$)) i}) }
for my $by (['large', map { {%address, numberInside => 'y' x 1000, numberOutside => "z$_" x 300} } 1 .. 15], ['empty', map { {} } 1 .. 100])
{
	my ($size, @addresses) = @$by;
	sql('DELETE FROM loyalty_internal.entry_space');
	my $before = kept_of_members();
	is deposited(1_000_000, map { item(memberId => undef, member => member(address => \@addresses)) } 1 .. 20), join(', ', ('success ') x 20), "members with $size addresses";
	my ($grown, $counted) = (kept_of_members() - $before, 1024 * sql("SELECT sum(kilobytes) FROM loyalty_internal.entry_space WHERE merchant_id = $merchant"));
	cmp_ok $counted, '>=', $grown - 65536, "which take $grown bytes, count as $counted";
}
sql("UPDATE loyalty_internal.entry_space SET kilobytes = 1000");
my $members = members();
my $known = member();
is deposited(1_000_000, item(memberId => undef, member => $known)), 'success ', 'one who is found by the email';
is deposited(200, item(memberId => undef, member => member()), item(memberId => 'nobody'), item(memberId => undef, member => member(firstName => '')), item(memberId => undef, member => $known)),
	"$FULL, error El miembro no existe en el programa, error Falta un campo obligatorio: member.firstName, $FULL", 'when the day is over, items fail, by what is wrong with them first';
is members(), $members + 1, 'and make no member';
sub refused { return outcome("SELECT loyalty.fold(''); SET loyalty.entry_space = 200; SELECT loyalty.$_[0]") }
is refused("seller_member_create($merchant, 'P', 'new\@x.mx', 'Ana', 'Gil')"), 'LI014', 'no new member of the seller API';
is refused("wallet_contact_add($merchant, '$wallet', '4775550001', 'Ana', $staff)"), 'LY008', 'no contact';
is refused("employee_add($merchant, 'cajero', 'Eva', 'Centro', '4775550002', 'mas secreto')"), 'LY008', 'no staff';
is refused("employee_add($merchant, 'cajero', 'Eva', 'Centro', '4771000001', 'mas secreto')"), 'LE004', 'a taken number is told first';
is members(), $members + 1, 'nobody is registered';
is outcome("SELECT loyalty.wallet_contact_add($merchant, '$wallet', '4775550001', 'Ana', $staff)"), 'done', 'with more space there is a contact';
is refused("wallet_contact_add($merchant, '$wallet', '4775550001', 'Ana', $staff)"), 'LM008', 'who is told first';
is refused("wallet_sale($merchant, '$wallet', '4775550001', 0, 10, usertool_id => $staff, ticket => repeat('x', $_->[0]))"), $_->[1], "a ticket of $_->[0] bytes" for [125, 'LY008'], [124, 'done'];
sql("DELETE FROM loyalty_internal.entry_space; DELETE FROM loyalty_internal.message WHERE merchant_id = $merchant");

# So do orders of partners, and what they leave is at most what they count as, and not much less.
sql("SELECT loyalty.create_product($merchant, p, '100', 100000, '', 0, 120, 12) FROM unnest('{Vida,Auto}'::text[]) p");
sub curp
{
	my $start = sprintf 'BXXX80%02d%02dHDFXXX0', 1 + int($_[0] / 28), 1 + $_[0] % 28;
	my $sum = 0;
	$sum += (18 - $_) * index '0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ', substr $start, $_, 1 for 0 .. 16;
	return $start . (10 - $sum % 10) % 10;
}
sub random_text { return join '', map { chr 37 + int rand 80 } 1 .. shift }
# Orders of one payment, by customers with these numbers, in one session; what was answered.
sub ordered
{
	my ($product, $customers, $address, $space) = @_;
	my $now = sql('SELECT extract(epoch FROM clock_timestamp())::bigint');
	my @statements = map {
		my $curp = curp($_);
		my $body = JSON::PP->new->encode({tipo_peticion => 'new_service', nombre_de_usuario => 'Banco', curp_en_uso => $curp, token_data => {timestamp => $now, expires_in => 600}, mail => "n$_\@x.mx", telefono => 4776000000 + $_, nombre => 'Ana', paterno => 'Gil',
			producto => $product, numero_pagos => 1, direccion => $address->(), map { $_ => 1 } qw(terminos aviso fideicomiso)});
		my %headers = (method => 'POST', uri => '/api/Accounts_V1', type => 'application/json', bearer => hmac_sha256_hex(qq({"timestamp":$now,"expires_in":600}), hmac_sha256_hex($curp, 'k' x 32)));
		my $headers = JSON::PP->new->encode({map { ("x-loyalty-$_" => $headers{$_}) } keys %headers});
		qq{SELECT set_config('request.headers', \$h\$$headers\$h\$, false) \\g /dev/null\nSELECT loyalty_api.gateway(convert_to(\$b\$$body\$b\$, 'UTF8'))::text::json ->> 'status';};
	} @$customers;
	my %times;
	$times{$_}++ for split /\n/, sql(join "\n", "SELECT loyalty.fold('') \\g /dev/null\nSET loyalty.entry_space = $space;", map { $_ =~ s/ ->> 'status';$/ -> 'status' IS NULL;/r } @statements);
	return join ', ', map { "$times{$_} x $_" } sort keys %times;
}
sub kept_of_orders { return sql('SELECT sum(pg_total_relation_size(r)) FROM unnest(ARRAY[' . join(', ', map { "'loyalty_internal.$_'::regclass" } qw(policy instalment consent customer member member_address account)) . ']) r') }
sub part { return (map { $_ => random_text(1000) } qw(calle numero colonia municipio codigo_postal estado)) }
for my $case (['new customers', 'Vida', 0, sub { return {calle => 'Hidalgo'} }], ['with long addresses', 'Vida', 60, sub { return {part()} }], ['with what is no address', 'Vida', 120, sub { return {map { ("x$_" => random_text(900)) } 1 .. 7} }], ['customers', 'Auto', 120, sub { return {map { ("x$_" => random_text(900)) } 1 .. 7} }])
{
	my ($what, $product, $first, $address) = @$case;
	sql('DELETE FROM loyalty_internal.entry_space');
	my $before = kept_of_orders();
	is ordered($product, [$first .. $first + 59], $address, 1_000_000), '60 x t', "orders of $what";
	my ($grown, $counted) = (kept_of_orders() - $before, 1024 * sql("SELECT sum(kilobytes) FROM loyalty_internal.entry_space WHERE merchant_id = $merchant"));
	ok $counted >= $grown - 65536 && $counted < 1.3 * $grown + 65536, "which take $grown bytes, count as $counted";
}
# They have a third of it together: the tills have the rest, and all that partners leave.
sql('DELETE FROM loyalty_internal.entry_space');
is ordered('Vida', [180 .. 259], sub { return {map { ("x$_" => random_text(900)) } 1 .. 7} }, 600) =~ /^(\d+) x f, (\d+) x t$/ && $1 > 0 && $2 > 10, 1, 'orders end before the day';
cmp_ok sql("SELECT sum(kilobytes) FROM loyalty_internal.entry_space WHERE merchant_id = $merchant"), '<', 200 + 64, 'with a third of it';
is accumulated(100, 1000, space => "SELECT loyalty.fold('') \\g /dev/null\nSET loyalty.entry_space = 600;"), 'success ', 'which leaves the tills theirs' for 1 .. 2;
sql("DELETE FROM loyalty_internal.entry_space WHERE stripe >= 64; UPDATE loyalty_internal.entry_space SET kilobytes = 600 WHERE merchant_id = $merchant");
is ordered('Vida', [260], sub { return {} }, 600), '1 x f', 'and when all of it is over, partners have none';
sql('DELETE FROM loyalty_internal.entry_space; DELETE FROM loyalty_internal.access');

# --- names ------------------------------------------------------------------------

my $phone = 4779000000;
sub contact
{
	my ($name) = @_;
	my $answer = $stack->form('/wallet/contact/add', {wallet_key => $wallet, phone => ++$phone, usertool_id => $staff, customer_name => $name}, {apikey => $key});
	return "$answer->{status} $answer->{json}{code}";
}
sub hired
{
	my (%field) = @_;
	my $answer = $stack->form('/employee/add', {type => 'cajero', employee_name => 'Nuevo', business_name => 'Centro', number => ++$phone, password => 'otro secreto', %field}, {apikey => $key});
	return "$answer->{status} $answer->{json}{code}";
}

my @control = map { ["So${_}fía", sprintf 'U+%04X', ord] } "\x01", "\t", "\n", "\x1b", "\x7f", "\x{85}", "\x{9f}", "\x{2028}", "\x{202e}", "\x{2066}", "\x{200e}", "\x{200f}", "\x{61c}", "\x{206a}";
is contact($_->[0]), '400 contact_add_05', "$_->[1] in the name of a contact" for @control;
is hired(employee_name => $_->[0]), '400 err_toolusers_02', "$_->[1] in the name of staff" for @control[0, 2];
is hired(business_name => $_->[0]), '400 err_toolusers_02', "$_->[1] in that of a branch" for @control[0, 2];
is created(firstName => "So\nfía"), "$INVALID firstName", 'in the name of a member';
is created(firstLastName => "So\nfía"), "$INVALID firstLastName", 'in the last one';
is created(secondLastName => "So\nfía"), "$INVALID secondLastName", 'in the second';
is outcomes('deposit', item(memberId => undef, member => member(firstName => "So\nfía"))), "$ITEM_INVALID member.firstName", 'in that of one within an item';
is outcome("SELECT loyalty.$_"), 'LY005', "in SQL: $_" for "create_member($merchant, $program, E'So\\nfía')", "create_branch($merchant, E'Cen\\ntro')",
	"correct_member($merchant, (SELECT min(member_id) FROM loyalty.members WHERE merchant_id = $merchant), E'So\\nfía')", "create_customer($merchant, $program, 'CAMC880526HMCBNR04', E'So\\nfía', 'B')";
is outcome("SELECT loyalty.wallet_contact_add($merchant, '$wallet', '4779999999', E'So\\nfía', $staff)"), 'LM005', 'and with the code of the operation';

is contact($_), '200 contact_add_01', "'$_' is a name" for "\t Sofía Ñuñez \n", "O'Brien-Gómez, Ma. del Carmen", '李小龍', "zero\x{200d}width", 'Gana en bit.ly/x', 'https://x';
is sql("SELECT count(*) FROM loyalty.members WHERE name IN ('Sofía Ñuñez', 'Gana en bit.ly/x', 'https://x')"), '3', 'stored as it is';
is sql("SELECT string_agg(split_part(body, ' la bienvenida', 1), '; ' ORDER BY phone::text) FROM loyalty_internal.message"),
	"Sofía Ñuñez, te damos; O'Brien-Gómez, Ma. del Carmen, te damos; 李小龍, te damos; Te damos; Te damos; Te damos", 'messages have the names that are nothing else';
sub greeted { contact($_[0]); return sql("SELECT split_part(body, ' la bienvenida', 1) FROM loyalty_internal.message WHERE phone::text = '$phone'") }
is greeted($_), "$_, te damos", "'$_' is repeated" for 'J. R. Pérez', 'Juan Jr.', "Ma. D\x{2019}Angelo", "Jose\x{301}", 'Łukasz Øster', 'Ελένη', 'Алёна', 'محمد', 'Ñ' x 64;
is greeted($_), 'Te damos', "'$_' is not" for 'www.x.mx', 'evil.x', '.mx', 'evil..com', 'Llame al 55', 'Ñ' x 65,
	'evil/login', 'http:x', 'ana@banco', 'tel:+525512345678', 'banco。mx', "evil\x{200d}com", "evil\x{2007}com", 'bit,ly',
	# letters and digits of another width or script, and letters that look like a dot or a line
	"\x{ff45}vil", "\x{ff15}", "\x{665}", "evil\x{a4f8}com", "evil\x{1427}com", "evil\x{1c0}login";
# Nor is any sign of writing or counting, digit or blank of Unicode's first plane but those that names have.
my $signs = join ',', grep { chr =~ /[\p{P}\p{Sm}\p{Sk}\p{Sc}\p{N}\p{Z}\p{Cf}]/ && chr !~ /[ '\-\x{2019}]/ && $_ != 0x61c && !($_ > 0x200d && $_ < 0x2070 && chr =~ /[\p{Cf}\p{Zl}\p{Zp}]/) } 0x20 .. 0xd7ff, 0xe000 .. 0xffff;
is sql(qq{BEGIN;
	SELECT count(loyalty.wallet_contact_add($merchant, '$wallet', (4780000000 + n)::text, 'a' || chr(c) || 'b', $staff)) > 2000 FROM unnest('{$signs}'::integer[]) WITH ORDINALITY u (c, n);
	SELECT string_agg(DISTINCT body, ' ') FROM loyalty_internal.message WHERE phone::text LIKE '478%' AND body NOT LIKE 'Te damos la bienvenida%';
	ROLLBACK}), "t\n", 'no sign, digit or other blank either, of thousands';

# --- the access log -----------------------------------------------------------------

$stack->noon;
$stack->stop_clock($stack->clock_us);
my ($ana, $beto, $carlos) = qw(CAMC880526HMCBNR04 CAPC200504HMCBXRA2 REAE060617MMCYLVA4);

# A stranger knows the name of an app user, and nothing else.
sub stranger
{
	my (%field) = @_;
	return $stack->http_json('POST', '/api/Registro_V1', {'Content-Type' => 'application/json'},
		JSON::PP->new->utf8->encode({tipo_peticion => 'token_full', nombre_de_usuario => 'Banco', curp_en_uso => $ana, firma_KEY => '0' x 64, %field}))->{status};
}
sub access_log { return sql("SELECT app_user, operation, status, address, times FROM loyalty.access_log WHERE merchant_id = $merchant ORDER BY status, times DESC") }

is stranger(), 401, 'a stranger is refused' for 1 .. 5;
is access_log(), 'Banco|token_full|401|127.0.0.1|5', 'five times, which is one row';
is stranger(curp_en_uso => $beto), 401, 'for another CURP';
is stranger(tipo_peticion => 'x' x 1000), 404, 'with another status';
is stranger(tipo_peticion => 'y' x 1000), 404, 'whatever else is sent';
is access_log(), join("\n", 'Banco|token_full|401|127.0.0.1|5', 'Banco|token_full|401|127.0.0.1|1', 'Banco|?|404|127.0.0.1|2'), 'is another row';
$stack->stop_clock($stack->clock_us + 59_000_000 - $stack->clock_us % 60_000_000);
is stranger(), 401, 'at the end of the minute';
is sql("SELECT times, round(extract(epoch FROM last_at - at)) BETWEEN 0 AND 60 FROM loyalty.access_log ORDER BY times DESC LIMIT 1"), '6|t', 'is still counted, with its time';
$stack->stop_clock($stack->clock_us + 2_000_000);
is stranger(), 401, 'in the next one';
is sql('SELECT count(*) FROM loyalty.access_log'), '4', 'is another row';
stranger(curp_en_uso => "CURP $_") for 1 .. 100;
is sql('SELECT count(*), sum(times), max(times) FROM loyalty.access_log'), '64|110|41', 'a hundred CURPs within a minute are sixty rows and one, and all counted';
is sql("SELECT pg_column_size(a.*) < 300, address, member_id IS NULL FROM loyalty_internal.access a WHERE times = 41"), 't||t', 'a small one, of many addresses';
is sql("SELECT count(*) FROM pg_attribute WHERE attrelid = 'loyalty.access_log'::regclass AND attname ~ 'curp'"), '0', 'nobody reads whose CURP it was';
sql("SELECT loyalty.create_customer($merchant, $program, '$ana', 'Ana', 'Gil') \\g /dev/null
	SELECT loyalty.grant_consent($merchant, '$ana', 'Banco', 'x', '1') \\g /dev/null
	SELECT loyalty.customer_read($merchant, 'individual_request', 'Banco', '$ana', 'Nombre') FROM generate_series(1, 2)");
is sql('SELECT count(*) FROM loyalty.access_log WHERE status = 202 AND times = 1 AND at = last_at OR status = 202 AND times = 1 AND last_at - at < interval $$1 s$$'), '2', 'what is answered has a row each';

# --- what is forgotten -----------------------------------------------------------------

is outcome("SET ROLE loyalty_engine; $_"), '42501', "loyalty_engine: $_"
	for 'DELETE FROM loyalty_internal.access', "UPDATE loyalty_internal.access SET status = 202", "UPDATE loyalty_internal.access SET at = now()", "SELECT loyalty.forget_access_log($merchant)";
is sql("SELECT proowner::regrole, rolcanlogin, rolsuper, pg_has_role('loyalty_engine', oid, 'MEMBER') FROM (SELECT proowner FROM pg_proc WHERE proname = 'forget_access_log') p JOIN pg_roles r ON r.oid = proowner"),
	'loyalty_auditor|f|f|f', 'who forgets accesses is a role of its own';
is sql("SELECT string_agg(format('%s %s', c.oid::regclass, p), ', ' ORDER BY c.relname, array_position('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE}', p)) FROM pg_class c, unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE}'::text[]) p
	WHERE c.relnamespace::regnamespace::text ~ '^loyalty' AND c.relkind = 'r' AND has_table_privilege('loyalty_auditor', c.oid, p)"), 'loyalty_internal.access SELECT, loyalty_internal.access DELETE, loyalty_internal.maintenance SELECT, loyalty_internal.maintenance UPDATE', 'which has nothing else but when it did';
is outcome("SELECT loyalty.forget_access_log($merchant, '364 days')"), 'LY005', 'not before a year';
is sql("SELECT loyalty.forget_access_log($merchant)"), '0', 'nothing is that old';

sql(qq{
	UPDATE loyalty_internal.access SET at = now() - interval '3 years' WHERE access_id IN (SELECT access_id FROM loyalty_internal.access ORDER BY access_id LIMIT 25);
	INSERT INTO loyalty_internal.idempotency_key (merchant_id, key_digest, fingerprint, created_at) SELECT $merchant, sha256(('old' || i)::bytea), sha256('x'), now() - interval '3 years' FROM generate_series(1, 25) i;
	INSERT INTO loyalty_internal.message (merchant_id, member_id, channel, phone, body, sent_at) SELECT $merchant, 1, 'sms', '4771234567', 'x', now() - interval '3 years' FROM generate_series(1, 25) i;
	INSERT INTO loyalty_internal.root (merchant_id, root_id, made_at, accounts, root) SELECT $merchant, i, now() - interval '3 years', 300, sha256('x') FROM generate_series(1, 5) i;
	INSERT INTO loyalty_internal.root_page (merchant_id, root_id, level, first_account, page, nodes) SELECT $merchant, i, 0, p, p, '' FROM generate_series(1, 5) i, generate_series(1, 5) p});
is sql("SELECT string_agg(loyalty.$_->[0]($merchant, '2 years', 10)::text, ' ') FROM generate_series(1, 4)"), $_->[1], "$_->[0]: ten at a time"
	for ['forget_access_log', '10 10 5 0'], ['forget_idempotency_keys', '10 10 5 0'], ['forget_messages', '10 10 5 0'], ['forget_roots', '2 2 1 0'];
sql(qq{
	INSERT INTO loyalty_internal.message (merchant_id, message_id, member_id, channel, phone, body, created_at, claimed_until) SELECT $merchant, loyalty_internal.first_id(now() - age) + i, 1, 'sms', '4771234567', 'x', now() - age, till
	FROM (VALUES (interval '3 years', NULL::timestamptz, 15), ('3 years', now() - interval '1 year', 5), ('3 years', now() + interval '1 hour', 3), ('23 months', NULL, 4)) v (age, till, n), generate_series(10 * n + 1, 11 * n) i;
	INSERT INTO loyalty_internal.message (merchant_id, member_id, channel, phone, body, sent_at) SELECT $merchant, 1, 'sms', '4771234567', 'x', now() - interval '3 years' FROM generate_series(1, 5) i});
is sql("SELECT string_agg(loyalty.forget_messages($merchant, '2 years', 10)::text, ' ') FROM generate_series(1, 4)"), '10 10 5 0', 'messages that were never sent go too, after those that were';
is sql("SELECT count(*) FILTER (WHERE claimed_until > now()), count(*) FILTER (WHERE created_at > now() - interval '2 years'), count(*) FILTER (WHERE created_at < now() - interval '2 years') FROM loyalty.outbox WHERE merchant_id = $merchant AND member_id = 1 AND sent_at IS NULL"), '3|4|3',
	'but what a sender has just claimed, and what is newer';
like sql("SET enable_seqscan = off; SET enable_bitmapscan = off; EXPLAIN SELECT FROM loyalty_internal.message WHERE merchant_id = $merchant AND sent_at IS NULL AND message_id < loyalty_internal.first_id(now()) ORDER BY message_id LIMIT 10"),
	qr/Index (?:Only )?Scan using message_pending\b(?!.*Sort).*Index Cond: [^\n]*message_id </s, 'they are found by an index';
sql("DELETE FROM loyalty_internal.message WHERE merchant_id = $merchant AND member_id = 1");
sql("INSERT INTO loyalty_internal.root_page (merchant_id, root_id, level, first_account, page, nodes) SELECT $merchant, i, 0, p, p, '' FROM generate_series(1, 2) i, generate_series(1, 20) p");
is sql("SELECT string_agg(loyalty.forget_roots($merchant, '2 years', 10)::text, ' ') FROM generate_series(1, 3)"), '1 1 0', 'a root goes as a whole';
for my $by (['access', 'access_id', 'at', 'access_age'], ['idempotency_key', 'key_digest', 'created_at', 'idempotency_key_age'], ['message', 'message_id', 'sent_at', 'message_sent'])
{
	my ($table, $row, $time, $index) = @$by;
	like sql("SET enable_sort = off; SET enable_seqscan = off; EXPLAIN SELECT $row FROM loyalty_internal.$table WHERE merchant_id = $merchant AND $time < now() ORDER BY $time LIMIT 10"),
		qr/Index Scan using $index\b(?!.*Sort)/s, "the oldest of $table are found by an index";
}
is outcome("CREATE ROLE operator; SELECT loyalty.grant_operation('operator'); SET ROLE operator; SELECT loyalty.forget_access_log($merchant)"), 'done', 'an operator may';

# --- answers and keys --------------------------------------------------------------------

# Items that are refused, of whose answer 126 bytes are kept: 4 MB and a little more, or less.
sub deposit
{
	my ($items, $idempotency) = @_;
	return "SELECT length(loyalty.seller_deposit($merchant, (SELECT json_agg(json_build_object('programId', 'p', 'memberId', 'x', 'amount', 1, 'comments', 'x')) FROM generate_series(1, $items)), $idempotency)::text) > 3000000";
}
is sql(deposit(32000, "'long'")), 't', 'an answer of less than 4 MB is kept';
is sql(deposit(32000, "'long'")), 't', 'for the retry';
is outcome(deposit(36000, "'longer'")), 'LY425', 'one of more is not: answer_too_long';
is sql(deposit(36000, 'NULL')), 't', 'and without a key need not be';
is sql("SELECT string_agg(k, ' ') FROM loyalty_internal.idempotency_key, (VALUES ('long'), ('longer')) v (k) WHERE merchant_id = $merchant AND key_digest = loyalty_internal.merchant_digest($merchant, k)"), 'long', 'its key is free';
cmp_ok sql("SELECT sum(kilobytes) FROM loyalty_internal.idempotency_space WHERE merchant_id = $merchant"), '>', 3000, 'what it takes is counted';

my ($other, $account) = split /\|/, sql(q{SELECT loyalty.create_merchant('Dos') AS m \gset
	SELECT program_id AS p FROM loyalty.create_program(:m, 'P', 'P') \gset
	SELECT :m, loyalty.open_account(:m, :p)});
sub posts { my ($n, $prefix) = @_; return "SELECT count(loyalty.post($other, $account, 'deposit', 1, idempotency_key => '$prefix' || i)) FROM generate_series(1, $n) i" }
my $SMALL = q{SELECT loyalty.fold('') \g /dev/null
	SET loyalty.idempotency_space = 100;};
my @sessions = map { $stack->connect_async } 1 .. 3;
$_->query(qq{SELECT loyalty.fold(''); SET loyalty.idempotency_space = 100}) for @sessions;
is $sessions[0]->query(posts(40, 'a')), '40', 'forty keys in one session';
like $sessions[0]->query(qq{BEGIN; @{[posts(60, 'b')]}; ROLLBACK}), qr/60/, 'sixty that are rolled back';
is $sessions[1]->query(posts(10, 'c')), '10', 'ten in another';
my $answers = join ' ', map { $_->query(posts(100, "d$_")) } @sessions;
is scalar(() = $answers =~ /ERROR: .*kept for retries/g), 3, 'a hundred more are too many';
my $kept = sql("SELECT count(*) FROM loyalty_internal.idempotency_key WHERE merchant_id = $other");
is $kept, '50', 'of which none is kept';
my $n = 0;
$n++ until $n > 200 || outcome($SMALL . posts(1, "e$n")) ne 'done';
cmp_ok $n, '<', 60, 'one by one, too';
is outcome($SMALL . posts(1, 'f')), 'LY424', 'with a code: idempotency_keys_full';
is outcome($SMALL . "SELECT loyalty.post($other, $account, 'deposit', 1)"), 'done', 'without a key it goes on';
is outcome($SMALL . "SELECT loyalty.post($other, $account, 'deposit', 1, idempotency_key => 'a1')"), 'done', 'so does a retry';
is outcome(posts(1, 'g')), 'done', 'and what has more space';
sql('UPDATE loyalty_internal.idempotency_space SET counted_at = counted_at - interval $$61 minutes$$');
sql("UPDATE loyalty_internal.idempotency_key SET created_at = now() - interval '31 days' WHERE merchant_id = $other AND key_digest IN (SELECT loyalty_internal.merchant_digest($other, 'a' || i) FROM generate_series(1, 40) i)");
is outcome($SMALL . posts(1, 'h')), 'done', 'an hour later keys of 31 days ago make room';
is sql("SELECT count(*) FROM loyalty_internal.idempotency_key WHERE merchant_id = $other AND key_digest IN (SELECT loyalty_internal.merchant_digest($other, 'a' || i) FROM generate_series(1, 40) i)"), '0', 'and are gone';
# Whoever is refused undoes what was counted for them: a session counts once an hour, however often it is refused.
sql("INSERT INTO loyalty_internal.idempotency_key (merchant_id, key_digest, fingerprint, answer) SELECT $other, sha256(('many' || i)::bytea), sha256('x'), '' FROM generate_series(1, 5000) i; UPDATE loyalty_internal.idempotency_space SET counted_at = NULL, kilobytes = 5000 WHERE merchant_id = $other");
my $counts = $stack->connect_async;
$counts->query(q{SELECT loyalty.fold(''); SET loyalty.idempotency_space = 100});
$counts->query('BEGIN');
my @read = map { $counts->query('SAVEPOINT s'); like $counts->query(posts(1, "f$_")), qr/kept for retries/, 'with very many keys a session is refused'; $counts->query('ROLLBACK TO s');
	$counts->query(q{SELECT sum(pg_stat_get_xact_tuples_returned(c.oid)) FROM pg_class c WHERE c.oid = 'loyalty_internal.idempotency_key'::regclass OR c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'loyalty_internal.idempotency_key'::regclass)}) } 1 .. 3;
cmp_ok $read[0], '>', 5000, 'a session that is refused for the first time has counted all keys';
cmp_ok $read[2] - $read[0], '<', 20, 'and does not again';
$counts->close;
sql("DELETE FROM loyalty_internal.idempotency_key WHERE merchant_id = $other AND answer = ''; SELECT loyalty_internal.recount_idempotency_keys($other)");
is outcome("SELECT loyalty.fold(''); SET ROLE operator; SET loyalty.idempotency_space = '2GB'"), '42501', 'how much there is, a superuser says';
is sql('SELECT count(*) FROM loyalty.verify()'), '0', 'the ledger is sound';

$stack->stop;
done_testing;
