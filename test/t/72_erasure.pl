# 72_erasure.pl - who is erased is nowhere any more: somebody who did everything,
# over the documented APIs where these do it, somebody without a CURP, and a
# cashier who was a customer too.
#
# What is looked for is found before, in every column by the catalog and in a
# dump, and is not after.  The ledger, receipts, sums by branch and answers to
# late repeats are what they were.
use strict;
use warnings;
use utf8;

use Digest::SHA qw(hmac_sha256 hmac_sha256_hex);
use Encode qw(encode);
use FindBin;
use IPC::Run ();
use JSON::PP ();
use Test::More;

use lib $FindBin::Bin;
use Loyalty;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $stack = Loyalty->start(rate => '100000r/s', isolation => 'read committed');
my $json = JSON::PP->new->utf8->canonical->allow_nonref;

sub sql { return $stack->psql(join ';', @_) }
sub refused_as { return ($stack->psql_error(shift) // {sqlstate => 'done'})->{sqlstate} }
sub sql_json { return JSON::PP->new->decode(sql(shift)) }

# --- somebody who did everything --------------------------------------------------

my $curp = 'ZAQX870411MGTRXC04';
my ($merchant, $apikey, $wallet, $program, $cashier, $banco, $club, $agente) = split /\|/, sql(q{
	SELECT loyalty.create_merchant('La Ñ') AS m \gset
	SELECT api_key FROM loyalty.create_api_key(:m) \gset
	SELECT loyalty.set_rank_ranges(:m, 'niveles', '{Plata,Oro}', '{0,500000}') \g /dev/null
	SELECT wallet_key, program_id, client_id FROM loyalty.create_wallet(:m, 'Monedero', 5, json_build_object('range_group', 'niveles', 'messages', '{welcome,accrue,redeem,adjust}'::text[])) \gset
	SELECT loyalty.employee_add(:m, 'gerente', 'Raúl Gil', 'Centro', '4771000001', 'clave de Raúl') AS cashier \gset
	SELECT key FROM loyalty.create_app_user(:m, 'Banco') \gset
	SELECT loyalty.create_app_user(:m, 'Agente') AS agent \gset
	SELECT loyalty.create_product(:m, 'Vida', '1000', 10, max_payments => 4) \g /dev/null
	SELECT concat_ws('|', :m, :'api_key', :'wallet_key', :program_id, :cashier, :'key', :'client_id', :'agent')});
is sql("SELECT '$curp'::loyalty.curp"), $curp, 'the CURP is one';

sub form { my ($path, $fields, $key) = @_; return $stack->form($path, $fields, {apikey => $apikey, $key ? ('Idempotency-Key' => $key) : ()}) }
sub seller
{
	my ($path, $body, $key) = @_;
	return $stack->http_json('POST', "/v1/seller/$apikey$path", {'Content-Type' => 'application/json', $key ? ('Idempotency-Key' => $key) : ()}, $json->encode($body));
}
sub customer_api
{
	my ($path, %field) = @_;
	my $key = delete $field{key};
	my ($user, $private) = delete $field{agent} ? ('Agente', $agente) : (delete $field{user} // 'Banco', delete $field{private_key} // $banco);
	my $typed = defined $field{curp_en_uso} ? delete $field{curp_en_uso} : $curp;
	my $signature = hmac_sha256_hex($typed, $private);
	my %who = (nombre_de_usuario => $user, curp_en_uso => $typed);
	my $token = $stack->http_json('POST', '/api/Registro_V1', {'Content-Type' => 'application/json'}, $json->encode({%who, tipo_peticion => 'token_full', firma_KEY => $signature}))->{json};
	return $stack->http_json('POST', $path, {'Content-Type' => 'application/json', Authorization => "Bearer $token->{token}", $key ? ('Idempotency-Key' => $key) : ()}, $json->encode({%who, token_data => $token->{token_data}, %field}));
}

my $other = sql("SELECT loyalty.wallet_contact_add($merchant, '$wallet', '4771234000', 'Otra Persona', $cashier)");
my $her = sql("SELECT loyalty.create_customer($merchant, $program, '$curp', 'Xóchitl', 'Zárate', 'Quiñonez', '4779998866', 'xochitl.z\@correo.example', 'Callejón del Beso', '4 Bis', 'Jardines', 'León', '37000', 'Guanajuato', 'xochi88')");
sql("SELECT loyalty.identify_member($merchant, $her, client_id => 'TARJETA-XO-1')",
	"SELECT loyalty.blacklist_phone($merchant, '4779998866', 'la Xóchitl debe dos cafés'), loyalty.unblacklist_phone($merchant, '4779998866'), loyalty.blacklist_phone($merchant, '4779998866', 'la Xóchitl debe')",
	qq(UPDATE loyalty_internal.customer SET preferences = '{"color favorito":"solferino"}' WHERE member_id = $her),
	"SELECT loyalty.set_rank($merchant, $her, 'Oro', reason => 'prima de la gerente')",
	"INSERT INTO loyalty.curp_record (merchant_id, curp, first_name, first_last_name) VALUES ($merchant, '$curp', 'Xóchitl del Registro', 'Zárate')",
	"SELECT loyalty.grant_consent($merchant, '$curp', 'Banco', 'crédito', '1')");
my @sent = (['/deposit', [map { {programId => $club, memberId => $_, amount => 40, reference => "vale-$_", branchId => 'B-1', comments => 'para la señora del rebozo'} } 'TARJETA-XO-1', 'NADIE-1'], 'clave-XOCHI-1']);
my @first = (seller(@{$sent[0]}));
my @refused = ('/deposit', [map { {programId => $club, amount => 40, comments => 'para la del rebozo', %$_} } {programId => 'NO-TARJETA-XO-1', memberId => 'TARJETA-XO-1'}, {memberId => '4779998866'}, {memberId => 'xochitl.z@correo.example'},
	{memberId => 'Xóchitl Zárate'}, {memberId => 'TARJETA-XO-1', currency => 'XOCHI'}, {memberId => 'TARJETA-XO-1', amount => 'x'}, {member => {email => 'xochitl.z@correo.example'}, amount => -1}], 'clave-XOCHI-7');
my $refused = seller(@refused);
is_deeply [map { $_->{status} } @{$refused->{json}}], [('error') x 7], 'a batch of what is refused, which names her in every way';
my @by_email = ('/deposit', [{programId => $club, member => {email => 'Xochitl.Z@correo.example'}, amount => 1, comments => 'por correo'}], 'clave-XOCHI-8');
my $by_email = seller(@by_email);
is $by_email->{json}[0]{memberId}, 'TARJETA-XO-1', 'and one that finds her by the email';
is_deeply [map { $_->{status} } @{$first[0]{json}}], ['success', 'error'], 'a deposit, and one for nobody';
sql("SELECT loyalty.identify_member($merchant, $her, phone => '4779998877', client_id => 'TARJETA-XO-2')");
push @sent, ['/accumulation', [{programId => $club, memberId => 'TARJETA-XO-2', amount => 900, currency => 'MXN', branchId => 'B-1', vendorId => 'V-7', concept => 'boda de Xóchitl', comments => 'anillos', amountCurrency => 'de Xóchitl 4779998877',
	items => [{sku => 'S-1', name => 'anillo grabado XZ', quantity => 2, unitPrice => 300}, {sku => 'S-2', quantity => 1, unitPrice => 300}]}], 'clave-XOCHI-2'];
push @first, seller(@{$sent[1]});
my @forms = (['/wallet/sale', {wallet_key => $wallet, phone => '4779998877', transaction_type => 0, transaction_amount => 500, usertool_id => $cashier, ticket => 'boleto de Xochi 501'}, 'clave-XOCHI-3'],
	['/wallet/sale', {wallet_key => $wallet, phone => '4779998877', transaction_type => 1, points_used => 5, usertool_id => $cashier, ticket => 'canje de Xochi'}, 'clave-XOCHI-4'],
	['/wallet/balance/update', {wallet_key => $wallet, phone => '4779998877', transaction_type => 0, transaction_amount => 2, usertool_id => $cashier}, 'clave-XOCHI-5']);
my @told = map { form(@$_) } @forms;
is_deeply [$first[1]{json}[0]{description}, map { $_->{status} } @told], ['', 200, 200, 200], 'sales, a redemption and a correction';

my ($hold) = split /\|/, sql("SELECT entry_id FROM loyalty.hold($merchant, $her, 10, 'apartado para Xochi')");
sql("SELECT loyalty.capture($merchant, $her, $hold, 4, 'entrega a Xochi')", "SELECT loyalty.release($merchant, $her, $hold, in_full => true)");
sql("SELECT loyalty.transfer($merchant, $her, $other, 3, 'de Xochi con cariño')", "SELECT loyalty.transfer($merchant, $other, $her, 1, 'gracias, Xochi')");
my $spent = sql("SELECT entry_id FROM loyalty.post($merchant, $her, 'redeem', 6, 'taza de Xochi')");
my $refund = "SELECT loyalty.reverse($merchant, $her, $spent, 2, reference => 'devolución Xochi 9')";
my $refunded = sql($refund);
sql("SELECT loyalty.post($merchant, $other, 'redeem', 1, 'canje de otra')");

my @order = ('/api/Accounts_V1', key => 'clave-XOCHI-6', tipo_peticion => 'new_service', mail => 'xo.particular@correo.example', telefono => '(477) 999–8844', producto => 'Vida', numero_pagos => 4, dia_pago => 1,
	tipo_servicio => 'Ecologico', terminos => 'acepto', aviso => 'acepto', fideicomiso => 'acepto', direccion => {calle => 'Privada Solferino'});
my $ordered = customer_api(@order);
my $sale = {%{$ordered->{json}{datos_compra} // {}}};
like $sale->{poliza}, qr/^P/, 'a policy';
my $policy = sql("SELECT policy_id FROM loyalty.policies WHERE member_id = $her");
# a phone that she has nowhere else
sql("SELECT loyalty.blacklist_phone($merchant, '4779998844', 'particular de la Xóchitl')");
my %payment = (tipo_peticion => 'pagos_psd2', poliza_en_uso => $sale->{poliza}, cantidad => 250, metodo => 'SPEI', referencia => 'SPEI-XOCHI-77');
my $paid = customer_api('/api/Payments_V1', %payment);
is $paid->{status}, customer_api('/api/Payments_V1', %payment)->{status}, 'a payment, twice';
is sql("SELECT count(*) FROM loyalty.payments WHERE policy_id = $policy"), 1, 'which is one';
my @under_key = ('/api/Payments_V1', %payment, cantidad => 1, referencia => 'SPEI-XOCHI-78', key => 'clave-XOCHI-7');
my $paid_under_key = customer_api(@under_key);
# who says no CURP and has no consent
my $paid_unnamed = customer_api('/api/Payments_V1', %payment, curp_en_uso => undef, agent => 1, referencia => 'SPEI-XOCHI-80', key => 'clave-XOCHI-8');
like $paid_unnamed->{body}, qr/"curp_en_uso":"",.*SPEI-XOCHI-80/, 'a payment by who is told nothing of her';
my @typed = ('/api/Payments_V1', %payment, cantidad => 100, metodo => 'OXXO', referencia => 'OXXO-XOCHI-78', curp_en_uso => lc $curp, key => 'clave-XOCHI-6');
is customer_api(@typed)->{body}, customer_api(@typed)->{body}, 'a payment with a key, and the CURP in small letters';
like customer_api('/api/Payments_V1', tipo_peticion => 'account_status', poliza_en_uso => $sale->{poliza})->{body}, qr/SPEI-XOCHI-77/, 'and its reference is told';
like customer_api('/api/Customer_V1', tipo_peticion => 'request_block', request => 'cliente')->{body}, qr/xochi88/, 'her data are read';
customer_api('/api/Customer_V1', tipo_peticion => 'individual_request', request => $_) for 'Mail', 'Xochitl la del Beso';
customer_api('/api/Customer_V1', tipo_peticion => 'la prima Xochitl', request => 'Mail');
sql("SELECT count(*) FROM loyalty.claim_messages($merchant, 2) c, LATERAL loyalty.acknowledge_message($merchant, c.message_id, c.attempt)");

# Who else says what she said: another customer, and nobody.
my ($carlos, $stranger) = qw(CAMC880526HMCBNR04 CAPC200504HMCBXRA2);
sql("SELECT loyalty.create_customer($merchant, $program, '$carlos', 'Carlos', 'Cabrera'), loyalty.open_policy($merchant, '$carlos', 'Vida', 4)", "SELECT loyalty.grant_consent($merchant, '$carlos', 'Banco', 'crédito', '1')");
sub strangers
{
	return map { my ($typed, @policy) = @$_; customer_api('/api/Payments_V1', %payment, poliza_en_uso => undef, @policy, curp_en_uso => $typed)->{status} }
		[$carlos], [$carlos, poliza_en_uso => $sale->{poliza}], [$stranger], [$stranger, poliza_en_uso => $sale->{poliza}];
}
is_deeply [strangers()], [412, 404, 404, 404], 'her reference is no other\'s: not a customer\'s who has a policy, nor one\'s who names hers, nor nobody\'s';

# Somebody without a CURP, whom the seller API created, in a family's account.
my @born = ("/program/$club/member", {email => 'yolotl@correo.example', firstName => 'Yólotl', firstLastName => 'Ixmatl', clientId => 'YOLO-7', phone => '4779990011', birthDate => '1991-07-13',
	address => [{street => 'Cerrada Yolo', numberOutside => '7', postcode => {country => {name => 'México'}, state => {name => 'Gto'}, city => {name => 'León'}}}]}, 'clave-YOLO-1');
my $born = seller(@born);
is $born->{status}, 201, 'a member without a CURP';
my $child = $born->{json}{id};
sql("SELECT loyalty.share_account($merchant, $child, $other)");
push @sent, ['/deposit', [map { {programId => $club, memberId => $_, amount => 7, reference => "familia $_", branchId => 'B-2', comments => 'en familia'} } 'YOLO-7', 'TARJETA-XO-2'], 'clave-YOLO-2'];
push @first, seller(@{$sent[2]});
is_deeply [map { $_->{status} } @{$first[2]{json}}], ['success', 'success'], 'earns in a family\'s account';
my $kept = sql("SELECT reference FROM loyalty.entries e WHERE merchant_id = $merchant AND account_id = $other AND kind = 'redeem'");

# Who sold to herself.
my @hired = ('/employee/add', {type => 'cajero', employee_name => 'Xóchitl de la Caja', business_name => 'Centro', number => '4779998855', password => 'la clave de Xóchitl'}, 'clave-XOCHI-9');
my $hired = form(@hired);
my $staff = $hired->{json}{collaboratorId};
sql("SELECT loyalty.blacklist_phone($merchant, '4779998855', 'también debe')",
	"SELECT loyalty.wallet_sale($merchant, '$wallet', '4771234000', 0, 10, NULL, $staff, 'venta de la caja')");
# And who posts in SQL, as a role of her own.
my $role = 'xotla.zar';
my $as_role = qq{SET SESSION AUTHORIZATION "$role"; };
sql(qq{CREATE ROLE "$role" LOGIN; CREATE ROLE till; GRANT till TO "$role"; SELECT loyalty.grant_operation('till')},
	$as_role . "SELECT FROM loyalty.post($merchant, $other, 'deposit', 1); SELECT FROM loyalty.wallet_sale($merchant, '$wallet', '4771234000', 0, 10, NULL, $cashier)",
	"SELECT FROM loyalty.post($merchant, $other, 'deposit', 1)");
my $by_role = qq{SELECT dense_rank() OVER (ORDER BY actor_id), f.came_by, f.kind, count(*), count(DISTINCT came_by_name) FROM loyalty_report.fact_attribution f JOIN loyalty.entry e ON e.entry_id::text = f.entry_key
	WHERE merchant_key = '$merchant' AND came_by = 'SQL role' GROUP BY e.actor_id, f.came_by, f.kind ORDER BY e.actor_id, f.kind};

# --- where she is ----------------------------------------------------------------

my @hers = ($curp, 'Xóchitl', 'Xochi', 'XOCHI', 'Zárate', 'Quiñonez', '4779998866', '4779998877', '4779998844', '999–8844', 'xochitl.z@', 'xo.particular@', 'TARJETA-XO-1', 'TARJETA-XO-2', 'Callejón del Beso', 'Jardines', 'xochi88', 'solferino',
	'Solferino', 'prima de la gerente', 'rebozo', 'grabado XZ', 'del Registro', 'boleto de Xochi', 'cariño', '1987-04-11');
my @childs = ('YOLO-7', 'Yólotl', 'Ixmatl', 'yolotl@', '4779990011', 'Cerrada Yolo', '1991-07-13', 'familia YOLO');
my @cashiers = ('Xóchitl de la Caja', '4779998855', 'también debe', $role);
# Nothing ever keeps these.
my @never = ('clave-XOCHI-1', 'clave-XOCHI-7', 'clave-YOLO-1', 'la del Beso', 'la prima', 'la clave de');

my @columns = map { [split /\|/] } split /\n/, sql(q{
	SELECT c.oid::regclass, quote_ident(a.attname), a.atttypid = 'bytea'::regtype
	FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
	WHERE c.relnamespace::regnamespace::text LIKE 'loyalty%' AND c.relkind IN ('r', 'p', 'm') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, a.attnum});
cmp_ok scalar(grep { $_->[2] eq 't' } @columns), '>', 8, 'columns of bytes are among those of all tables';

sub quoted { return "'" . shift =~ s/'/''/gr . "'" }

# The columns that have a text, whatever their type; of bytes, those that have its bytes, or its plain SHA-256.
sub where
{
	my @texts = @_;
	my $all = 'unnest(ARRAY[' . join(', ', map { quoted($_) } @texts) . ']) s (text)';
	my $any = join ' UNION ALL ', map {
		my ($table, $column, $is_bytes) = @$_;
		my $has = $is_bytes eq 't' ? "position(convert_to(s.text, 'UTF8') IN t.$column) > 0 OR position(sha256(convert_to(s.text, 'UTF8')) IN t.$column) > 0" : "strpos(t.$column\::text, s.text) > 0";
		"SELECT s.text, '$table.$column' AS place FROM $all, $table t WHERE $has"
	} @columns;
	my %found;
	for (split /\n/, sql("SELECT DISTINCT text, place FROM ($any) x ORDER BY 1, 2")) { my ($text, $place) = split /\|/; push @{$found{$text}}, $place }
	return \%found;
}

# The same of a dump, as text or as the hexadecimal digits of bytes.
sub dumped
{
	my @texts = @_;
	my ($dump, $error) = ('', '');
	$stack->with_env(sub { IPC::Run::run([$stack->bindir . '/pg_dump', '--no-owner'], '>', \$dump, '2>', \$error) or die "pg_dump: $error\n" });
	die "the dump has no ledger\n" unless $dump =~ /COPY loyalty\.entry /;
	return [grep { my $bytes = encode('UTF-8', $_); index($dump, $bytes) >= 0 || index($dump, unpack 'H*', $bytes) >= 0 } @texts];
}

my $before = where(@hers, @childs, @cashiers);
is_deeply [grep { !$before->{$_} } @hers, @childs, @cashiers], [], 'each of her texts is in some column';
my %places = map { map { $_ => 1 } @$_ } values %$before;
is_deeply [grep { !$places{$_} } qw(loyalty.entry.reference loyalty.entry.detail loyalty_internal.idempotency_key.answer loyalty_internal.payment.reference loyalty_internal.member_change.was
	loyalty_internal.message.phone loyalty_internal.blacklisted_phone.reason loyalty_internal.rank_grant.reason loyalty_internal.policy.application loyalty_internal.customer.preferences
	loyalty_internal.member_address.street loyalty_internal.staff.name loyalty_internal.staff.number)], [], 'in all the places where such texts are';
is_deeply dumped(@hers, @childs, @cashiers), [@hers, @childs, @cashiers], 'and in a dump';
is_deeply where(@never), {}, 'keys, passwords and free words of requests are in none';
is_deeply dumped(@never), [], 'nor in the dump';
my $key = sql("SELECT digest_key FROM loyalty_internal.merchant WHERE merchant_id = $merchant");
is sql("SELECT count(*) FROM loyalty_internal.idempotency_key WHERE key_digest = '\\x" . unpack('H*', hmac_sha256('clave-XOCHI-1', $key)) . "'"), 1, 'a key is kept as its HMAC-SHA-256 under the key of the merchant';
is sql("SELECT count(*) FROM loyalty_internal.reversal WHERE reference_digest = '\\x" . unpack('H*', hmac_sha256(encode('UTF-8', 'devolución Xochi 9'), $key)) . "'"), 1, 'so is the reference of a refund';
is sql('SELECT count(DISTINCT digest_key) = count(*) FROM loyalty_internal.merchant'), 't', 'which no two have';

# --- what is kept about her ---------------------------------------------------------

# Where in the export the rows of each table are that has a member_id.
my %exported = (
	'loyalty_internal.member' => sub { [$_[0]{member}] }, 'loyalty_internal.customer' => sub { [$_[0]{customer}] },
	(map { my ($table, $list) = @$_; ("loyalty_internal.$table" => sub { $_[0]{$list} }) } ['member_address', 'addresses'], ['member_change', 'changes'], ['account_owner', 'accounts_owned'],
		['rank_grant', 'ranks_given'], ['message', 'messages'], ['consent', 'consents'], ['access', 'accesses'], ['policy', 'policies']),
	'loyalty.entry' => sub { [grep { ($_->{member_id} // 0) == $_[0]{member}{member_id} } @{$_[0]{entries}}] });
is_deeply [split /\n/, sql(q{SELECT c.oid::regclass FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'member_id' AND NOT a.attisdropped
	WHERE c.relnamespace::regnamespace::text LIKE 'loyalty%' AND c.relkind IN ('r', 'p', 'm') ORDER BY c.oid::regclass::text COLLATE "C"})], [sort keys %exported], 'every table with a member_id is exported';
for my $who ($her, $child)
{
	my $export = sql_json("SELECT loyalty.export_member($merchant, $who)");
	is scalar(grep { defined } @{$exported{$_}->($export)}), sql("SELECT count(*) FROM $_ WHERE merchant_id = $merchant AND member_id = $who"), "$_: all rows of $who" for sort keys %exported;
}
my $export = sql("SELECT loyalty.export_member($merchant, $her)");
is_deeply [grep { index($export, $_) < 0 } grep { !/^XOCHI$|Solferino/ } @hers], [], 'with all that she is known by';
is_deeply [sort map { $_->{phone} } @{JSON::PP->new->decode($export)->{blacklisted}}], ['4779998844', '4779998866'], 'on the blacklist by two phones, one of which came with an order';
unlike $export, qr/Ixmatl|Otra Persona|canje de otra|hash|digest/, 'and nothing of others, nor hashes';
is scalar(@{JSON::PP->new->decode($export)->{policies}[0]{payments}}), 3, 'payments are in their policy';
is refused_as("SELECT loyalty.export_member($merchant, 1)"), 'LY006', 'nobody has no export';

# A refusal tells whose data it was by a number, or a little of a CURP that is nobody's, which is another every minute and for every merchant.
my $fisgon = sql("SELECT key FROM loyalty.create_app_user($merchant, 'Fisgon')");
my $nobody = 'CAPC200504HMCBXRA2';
is customer_api('/api/Customer_V1', tipo_peticion => 'individual_request', request => 'Mail', user => 'Fisgon', private_key => $fisgon, curp_en_uso => $_)->{status}, 409, 'refused' for $curp, $nobody;
is sql("SELECT string_agg(format('%s %s', status, curp_hash = hashint8(member_id)), ', ' ORDER BY member_id) FROM loyalty_internal.access WHERE app_user = 'Fisgon'"), '409 t, 409 ', 'of her there is only the number';
is sql("SELECT curp_hash = hashtext(encode(loyalty_internal.merchant_digest($merchant, concat(extract(epoch FROM minute), '$nobody')), 'hex')) FROM loyalty_internal.access WHERE app_user = 'Fisgon' AND member_id IS NULL"), 't', 'of nobody what the key of the merchant makes of it';
is sql("SELECT count(*) FROM loyalty_internal.access a, unnest('{$curp,$nobody}'::text[]) c, sha256(c::bytea) d WHERE a.curp_hash = get_byte(d, 0) | get_byte(d, 1) << 8 | get_byte(d, 2) << 16 | get_byte(d, 3) << 24 OR a.curp_hash IN (hashtext(c), hashtext(encode(d, 'hex')))"), 0, 'and no plain digest';

# --- what must not change -----------------------------------------------------------

my $sums = q{SELECT coalesce(detail ->> 'branchId', '-'), coalesce(detail ->> 'currency', '-'), count(*), sum(amount::numeric), sum(money::numeric) FROM loyalty.entries
	WHERE merchant_id = } . $merchant . q{ GROUP BY 1, 2 ORDER BY 1, 2};
my $by_branch = sql($sums);
like $by_branch, qr/^B-1\|MXN\|1\|/m, 'there are sums by branch and currency';
my $goods = qq{SELECT i ->> 'sku', sum((i ->> 'quantity')::numeric) FROM loyalty.entries, json_array_elements(detail -> 'items') i WHERE merchant_id = $merchant GROUP BY 1 ORDER BY 1};
my $by_sku = sql($goods);
my $proven = qq{SELECT account_id, entry_id, entry_no, kind, amount, balance, money, staff_id, member_id, hash FROM loyalty.entries WHERE merchant_id = $merchant ORDER BY entry_id};
my $ledger = sql($proven);
my $root = sql("SELECT root_id FROM loyalty.make_root($merchant)");
my @receipts = map { sql("SELECT loyalty.receipt($merchant, $_, $root, (SELECT entry_id FROM loyalty.entry WHERE account_id = $_ AND entry_no = 1))") } $her, $other;
my $holds = sub { return sql('SELECT loyalty.check_receipt(' . quoted(shift) . ", (SELECT root FROM loyalty.roots WHERE root_id = $root))") };
is $holds->($_), 't', 'a receipt checks' for @receipts;
like $receipts[0], qr/boleto de Xochi/, 'with texts';
my $consents = sql("SELECT c FROM loyalty_internal.consent c WHERE member_id = $her");
my $roles = sql($by_role);
like $roles, qr/^2\|/m, 'two roles have posted';
my $status = sql_json("SELECT loyalty.pay_policy($merchant, $policy, 250, 'SPEI', 'SPEI-XOCHI-77', 'Banco')");
is sql('SELECT count(*) FROM loyalty.verify()'), 0, 'the ledger is sound';

# --- nobody else may ------------------------------------------------------------------

is refused_as("SET ROLE loyalty_engine; UPDATE loyalty.entry SET $_ = NULL"), '42501', "the engine does not erase: $_" for qw(reference detail text_digest);
is sql(q{SELECT string_agg(format('%s %s', a.attname, x.privilege_type), ', ' ORDER BY a.attnum) FROM pg_attribute a, aclexplode(a.attacl) x
	WHERE a.attrelid = 'loyalty.entry'::regclass AND x.privilege_type <> 'SELECT'}), 'reference UPDATE, detail UPDATE, text_digest UPDATE', 'three columns can be changed';
is sql(q{SELECT count(*) FROM pg_class c, aclexplode(c.relacl) x WHERE c.oid = 'loyalty.entry'::regclass AND x.privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE') AND x.grantee <> c.relowner}), 0, 'and no whole row';
is sql(q{SELECT string_agg(p.oid::regprocedure::text, ', ') FROM pg_proc p WHERE proowner = 'loyalty_eraser'::regrole}), 'loyalty_internal.erase_entries(bigint,bigint[])', 'by one function';
is sql(q{SELECT rolcanlogin, rolsuper, (SELECT count(*) FROM pg_auth_members WHERE r.oid IN (roleid, member)) FROM pg_roles r WHERE rolname = 'loyalty_eraser'}), 'f|f|0', 'whose owner nobody can be';
sql('CREATE ROLE teller; CREATE ROLE reporter', q{SELECT loyalty.grant_api('teller'), loyalty.grant_reading('reporter')});
for my $role (qw(teller reporter))
{
	is refused_as("SET ROLE $role; SELECT loyalty.$_"), '42501', "$role: $_" for "erase_member($merchant, $her)", "erase_staff($merchant, $staff)", "export_member($merchant, $her)", "export_staff($merchant, $staff)", "delete_blocked_customers($merchant, '0')", "erase_sql_role('$role')";
}

# --- erased ---------------------------------------------------------------------------

is refused_as("SELECT loyalty.erase_member($merchant, 1)"), 'LY006', 'nobody is not erased';
is refused_as("SELECT loyalty.erase_staff($merchant, 99)"), 'LY006', 'nor is no staff';
for my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
	is refused_as("BEGIN ISOLATION LEVEL $level; SELECT loyalty.$_"), 'LY017', "isolation_level $level: $_" for "erase_member($merchant, $her)", "erase_staff($merchant, $staff)", "delete_blocked_customers($merchant)", "erase_sql_role('$role')";
}
is sql("SELECT loyalty.erase_member($merchant, $her)"), 't', 'she is erased';
is_deeply where('4779998855'), {'4779998855' => ['loyalty_internal.blacklisted_phone.phone', 'loyalty_internal.staff.number']}, 'as a member';
is sql("SELECT loyalty.erase_staff($merchant, $staff)"), 't', 'and as a cashier';
my ($number) = sql("SELECT actor_id FROM loyalty.sql_roles WHERE merchant_id = $merchant AND name = '$role'");
isnt sql("SELECT actor_id FROM loyalty.sql_roles WHERE name = '$role' AND merchant_id = " . sql($as_role . q{SELECT loyalty.create_merchant('Otra') AS m \gset
	SELECT loyalty.open_account(:m, (loyalty.create_program(:m, 'P')).program_id) AS a \gset
	SELECT FROM loyalty.post(:m, :a, 'deposit', 1) \g /dev/null
	SELECT :m})), $number, 'the role has a number at each merchant that its name does not tell';
is refused_as("SELECT loyalty.erase_sql_role($_->[0])"), 'LY005', "not erased: $_->[1]" for ["'$role'", 'who may still post, by another role'], ['session_user', 'a superuser'], ['NULL', 'no name'];
is sql("SELECT loyalty.erase_sql_role('xotla')"), 'f', 'nor another name';
is sql(qq{BEGIN; ALTER ROLE "$role" NOLOGIN; SELECT loyalty.erase_sql_role('$role'); ROLLBACK}), 't', 'who may not log in is';
is sql(qq{REVOKE till FROM "$role"; SELECT loyalty.erase_sql_role('$role'), loyalty.erase_sql_role('$role')}), 't|f', 'and who has no rights, once';
is sql("SELECT name FROM loyalty.sql_roles WHERE merchant_id = $merchant AND actor_id = $number"), 'cancelado ' . -$number, 'who is called by the number';
is sql("SELECT count(*) FROM loyalty_report.fact_attribution WHERE merchant_key = '$merchant' AND came_by_name = 'cancelado ' || -($number)"), sql("SELECT count(*) FROM loyalty.entry WHERE merchant_id = $merchant AND actor_id = $number"), 'in reports too';
is sql($by_role), $roles, 'which tell who posted what as before';
is sql("SELECT loyalty.erase_member($merchant, $child)"), 't', 'a member without a CURP is erased';
is sql("SELECT loyalty.erase_member($merchant, $her), loyalty.erase_member($merchant, $child), loyalty.erase_staff($merchant, $staff)"), 'f|f|f', 'once';

is_deeply where(@hers, lc $curp, @childs, @cashiers, @never), {}, 'no column has any of her texts';
is_deeply dumped(@hers, lc $curp, @childs, @cashiers, @never), [], 'nor has a dump';
is sql('SELECT count(*) FROM loyalty.verify()'), 0, 'the ledger is as sound as it was';
is sql($proven), $ledger, 'entries say of points and money what they said';
is sql("SELECT count(*) FROM loyalty.entry WHERE merchant_id = $merchant AND account_id = $her AND (reference IS NOT NULL OR detail IS NOT NULL)"), 0, 'and nothing in words';
is $holds->($_), 't', 'a receipt of before still checks' for @receipts;
is $holds->(sql("SELECT loyalty.receipt($merchant, $_, $root, (SELECT entry_id FROM loyalty.entry WHERE account_id = $_ AND entry_no = 1))")), 't', 'and one of now' for $her, $other;
is sql($sums), $by_branch, 'sums by branch and currency are what they were';
is sql($goods), $by_sku, 'and by goods';
is sql("SELECT reference FROM loyalty.entries e WHERE merchant_id = $merchant AND account_id = $other AND kind = 'redeem'"), $kept, 'others have their texts';
is sql("SELECT c FROM loyalty_internal.consent c WHERE member_id = $her"), $consents, 'her consent is proven';
is sql("SELECT count(DISTINCT text_key) FROM loyalty_internal.account WHERE merchant_id = $merchant"), sql("SELECT count(*) FROM loyalty_internal.account WHERE merchant_id = $merchant"), 'every account has its own key';

# --- late repeats -----------------------------------------------------------------------

sub without
{
	my ($answer, @clients) = @_;
	my $text = $answer->{body};
	$text =~ s/"memberId":"\Q$_\E"/"memberId":""/ for @clients;
	return $text;
}
is seller(@{$sent[$_]})->{body}, $first[$_]{body}, "a late repeat of batch $_ gets the first answer, and says itself who it is about" for 0 .. $#sent;
is seller(@refused)->{body}, $refused->{body}, 'so does one of what was refused';
is seller(@by_email)->{body}, without($by_email, 'TARJETA-XO-1'), 'but who was found by it is not told any more';
is form(@{$forms[$_]})->{body}, $told[$_]{body}, "$forms[$_][0]: the first answer" for 0 .. $#forms;
is form(@hired)->{body}, $hired->{body}, 'hired once';
my $again = seller(@born);
is $again->{status}, 201, 'a repeated registration registers nobody';
is_deeply [$again->{json}{id}, map { ref $again->{json}{$_} ? $again->{json}{$_}[0]{street} : $again->{json}{$_} } qw(firstName firstLastName email clientId birthDate address)], [$child, ('') x 6], 'and tells nobody';
is_deeply [sort keys %{$again->{json}}], [sort keys %{$born->{json}}], 'under all keys';
is seller($sent[0][0], [{programId => $club, memberId => 'TARJETA-XO-1', amount => 41}], $sent[0][2])->{status}, 422, 'another request under her key is refused';
is sql($refund), $refunded, 'a refund is not done twice';
is refused_as("SELECT loyalty.reverse($merchant, $her, $spent, 1, reference => 'devolución Xochi 9')"), 'LY012', 'and is known by its reference';
my $after = sql_json("SELECT loyalty.pay_policy($merchant, $policy, 250, 'SPEI', 'SPEI-XOCHI-77', 'Banco')");
is_deeply [$after->{pagos}[0]{referencia}, @$after{qw(curp cliente tipo_servicio)}], ['', '', 'cancelado', ''], 'a payment has no reference any more, and the policy nobody';
$_->{curp} = $_->{cliente} = $_->{tipo_servicio} = '', map { $_->{referencia} = '' } @{$_->{pagos}} for $status, $after;
is_deeply $after, $status, 'and is not booked again';
is refused_as("SELECT loyalty.pay_policy($merchant, $policy, 1, 'SPEI', 'SPEI-XOCHI-77', 'Banco')"), 'LK412', 'nor is another under its reference';
# the customer API: by the key, and by the reference
my @by_reference = ('/api/Payments_V1', %payment);
my @late = map { my ($then, @request) = @$_; [$then, customer_api(@request), join ' ', map { $_ // '' } @request] } [$ordered, @order], [$paid_under_key, @under_key], [$paid, @by_reference];
for (@late)
{
	my ($then, $now, $request) = @$_;
	is_deeply [$now->{status}, $now->{json}{mensaje}, map { sort keys %$_ } $now->{json}, $now->{json}{datos_compra} // $now->{json}{data}],
		[201, $then->{json}{mensaje}, map { sort keys %$_ } $then->{json}, $then->{json}{datos_compra} // $then->{json}{data}], "a late repeat over HTTP: $then->{json}{mensaje}";
	is_deeply [grep { index($now->{body}, encode('UTF-8', $_)) >= 0 } grep { $_ ne $curp && index($request, $_) < 0 } @hers], [], 'which tells nothing of her';
	my ($told_then, $told_now) = map { my $told = $_->{json}{datos_compra} // $_->{json}{data}; join ' ', map { "$_: " . ($told->{$_} // 'none') } qw(CURP mail pago_link curp referencia cantidad metodo) } $then, $now;
	is $told_now, $then->{json}{datos_compra} ? $told_then : $told_then =~ s/(?<=pago_link: )\S+//r, 'but what the request says itself';
	is $now->{json}{curp_en_uso}, $then->{json}{curp_en_uso}, 'and for whom';
}
is_deeply [map { $_->{json}{payment_ids} } $late[1][1], $late[2][1]], [map { $_->{json}{payment_ids} } $paid_under_key, $paid], 'payments have their numbers';
is $late[0][1]{json}{datos_compra}{poliza}, $sale->{poliza}, 'and so has the policy';
is_deeply [map { ref ? @$_ : $_ } @{$_->[1]{json}{data}}{qw(id_venta producto status costo saldo pagos calendario)}], [('') x 3, 0, 0], "$_->[2], what may be told now: nothing" for [@{$late[1]}, 'by the key'], [@{$late[2]}, 'by the reference'];
is_deeply [strangers()], [412, 404, 404, 404], 'nobody else gets an answer for it, as before';
is sql("SELECT count(*) FROM loyalty.payments y JOIN loyalty.policies s USING (merchant_id, policy_id) JOIN loyalty.customers c USING (merchant_id, member_id) WHERE c.curp::text = '$carlos'"), 0, 'who has paid nothing';
is customer_api('/api/Payments_V1', %payment, cantidad => 251)->{status}, 412, 'another payment under the reference is refused';
is customer_api('/api/Payments_V1', %payment, referencia => 'SPEI-XOCHI-79')->{status}, 404, 'and a new one has nobody to be of';
is sql("SELECT count(*) FROM loyalty.payments WHERE policy_id = $policy"), 3, 'nothing more was booked';
is_deeply where(@hers, @never), {}, 'and nothing of her has come back';
like form('/toolusers/get')->{body}, qr/"usertool_id":$staff,"usertool_name":"cancelado","usertool_number":"","usertool_branch":"Centro","usertool_type":"cajero","usertool_status":"archivado"/, 'the list of staff has a number';
isnt sql("SELECT loyalty.create_customer($merchant, $program, '$curp', 'Xóchitl', 'Zárate', phone => '4779998877')"), $her, 'who comes back is new';

# --- blocked customers get no messages --------------------------------------------------

my $to_block = sql("SELECT member_id FROM loyalty.customers WHERE merchant_id = $merchant AND curp::text = '$curp'");
sql("DELETE FROM loyalty_internal.message", "SELECT loyalty.wallet_sale($merchant, '$wallet', '4779998877', 0, 100, NULL, $cashier)", "SELECT loyalty.wallet_sale($merchant, '$wallet', '4771234000', 0, 100, NULL, $cashier)");
is sql("SELECT loyalty.block_customer($merchant, '$curp')"), 't', 'a customer is blocked';
is sql("SELECT count(*) FROM loyalty_internal.message WHERE member_id = $to_block"), 0, 'whom nothing waits for any more';
sql("INSERT INTO loyalty_internal.message (merchant_id, member_id, channel, phone, body) VALUES ($merchant, $to_block, 'sms', '4779998877', 'de una venta')");
is sql("SELECT string_agg(c.phone::text, ' ') FROM loyalty.claim_messages($merchant) c"), '4771234000', 'what is told them meanwhile is not sent';
is sql("SELECT loyalty.delete_blocked_customers($merchant, '0', 1), loyalty.delete_blocked_customers($merchant, '0')"), '1|0', 'the second step erases';
is_deeply where($curp, '4779998877', 'Zárate'), {}, 'the same way';
is sql('SELECT count(*) FROM loyalty.verify()'), 0, 'and the ledger is sound';

done_testing;
