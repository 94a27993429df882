# 20_codes.pl - every error code of the Monedero document is reached.
#
# One table says what each code is and how one comes to it, by HTTP and by SQL.
# Where the document lists two codes for a condition, HTTP answers the first and
# SQL raises the second.  What failed must have left no trace in any table but the
# count of what was refused.
# At the end the codes that were reached are compared with the catalogue.
use strict;
use warnings;
use utf8;

use Encode qw(decode encode);
use FindBin;
use IPC::Run ();
use Test::More;

use lib $FindBin::Bin;
use Loyalty;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $stack = Loyalty->start(level => 'http', rate => '10000r/s');
my $form_type = 'application/x-www-form-urlencoded';

# --- a merchant in whom everything can go wrong ---------------------------------

my $merchant = $stack->psql("SELECT loyalty.create_merchant('Café Olé', 'https://ole.example')");
my $neighbour = $stack->psql("SELECT loyalty.create_merchant('Vecino', 'https://vecino.example')");
my $apikey = $stack->psql("SELECT api_key FROM loyalty.create_api_key($merchant)");

my %bad_key = (
	absent => undef,
	empty => '',
	unknown => 'lk_' . '0' x 64,
	'in capitals' => uc $apikey,
	'with a letter more' => "${apikey}0",
	expired => $stack->psql("SELECT api_key FROM loyalty.create_api_key($merchant, 'old', now() - interval '1 second')"),
);
(my $key_id, $bad_key{revoked}) = split /\|/, $stack->psql("SELECT key_id, api_key FROM loyalty.create_api_key($merchant, 'lost')");
$stack->psql("SELECT loyalty.disable_api_key($merchant, $key_id)");

sub create_wallet
{
	my ($owner, $name, $percentage, $settings) = @_;
	return $stack->psql(qq{SELECT wallet_key FROM loyalty.create_wallet($owner, '$name', $percentage, '{"messages": ["welcome", "accrue", "redeem", "adjust"]$settings}')});
}

my $wallet = create_wallet($merchant, 'Normal', 10, '');
my $ticket_wallet = create_wallet($merchant, 'Con ticket', 10, ', "requires_ticket": true');
my $birthday_wallet = create_wallet($merchant, 'Cumpleaños', 10, ', "requires_birth_date": true');
my $rich_wallet = create_wallet($merchant, 'Rico', 1000, '');
my $foreign_wallet = create_wallet($neighbour, 'Ajeno', 10, '');

sub hire
{
	my ($owner, $n, $name) = @_;
	return $stack->psql("SELECT loyalty.employee_add($owner, 'cajero', '$name', 'Centro', '477300000$n', 'secreto-$n')");
}

my $cashier = hire($merchant, 1, 'Lucía Ruiz');
my $archived = hire($merchant, 2, 'Archivada');
my $elsewhere = hire($merchant, 3, 'De otra caja');
my $nowhere = hire($merchant, 4, 'Sin caja');
my ($foreign) = (map { hire($neighbour, $_, "Vecina $_") } 1 .. 6)[-1];
my $nobody = 999;
$stack->psql("SELECT loyalty.employee_disable($merchant, '4773000002')");
$stack->psql("SELECT loyalty.set_staff_programs($merchant, $elsewhere, ARRAY(SELECT program_id FROM loyalty.wallets WHERE wallet_key = '$rich_wallet'))");
$stack->psql("SELECT loyalty.set_staff_programs($merchant, $nowhere, '{}')");

# Phones.  The last two are contacts from before their numbers were refused.
my $free = '4779990000';
my $known = '4771000001';
my $blacklisted = '4771000002';
my $gone = '4771000003';
my $foreign_phone = '4771000004';
my $fixed = '5510001234';
my $far = '9981234567';
my $fixed_and_far = '9985551234';
my $known_fixed = '5510000001';
my $known_far = '9981000001';

sub take_out
{
	my ($key, $phone) = @_;
	return 'SELECT loyalty.disable_member(merchant_id, member_id) FROM loyalty.members JOIN loyalty.wallets USING (merchant_id, program_id)'
		. " WHERE wallet_key = '$key' AND phone::text = '$phone'";
}

for my $phone ($known, $blacklisted, $gone, $known_fixed, $known_far)
{
	for my $key ($wallet, $ticket_wallet, $birthday_wallet, $rich_wallet)
	{
		$stack->psql("SELECT loyalty.wallet_contact_add($merchant, '$key', '$phone', 'Contacto', $cashier, '2000-01-01')");
		$stack->psql("SELECT loyalty.wallet_balance_update($merchant, '$key', '$phone', 0, 1000, $cashier)");
		$stack->psql(take_out($key, $phone)) if $phone eq $gone;
	}
}
$stack->psql("SELECT loyalty.wallet_contact_add($neighbour, '$foreign_wallet', '$foreign_phone', 'Ajena', $foreign)");
$stack->psql("SELECT loyalty.blacklist_phone($merchant, '$blacklisted')");
$stack->psql("SELECT loyalty.set_area_code('998', false)");
$stack->psql("INSERT INTO loyalty.numbering_plan (nir, serie, numeracion_inicial, numeracion_final, tipo_red)"
	. " VALUES ('55', '1000', '0000', '9999', 'FIJO'), ('998', '555', '0000', '9999', 'FIJO'), ('55', '2000', '0000', '9999', 'MOVIL');"
	. "SELECT loyalty.apply_numbering_plan()");

# --- what can be asked, and in which circumstances -----------------------------

# Short names of the operations: path, function, and fields that would succeed.
my %operation = (
	staff => ['/toolusers/get', 'toolusers_get', {}],
	wallets => ['/wallet/get', 'wallet_get', {}],
	add => ['/wallet/contact/add', 'wallet_contact_add', {wallet_key => $wallet, phone => $free, customer_name => 'Ana', usertool_id => $cashier}],
	get => ['/wallet/contact/get', 'wallet_contact_get', {wallet_key => $wallet}],
	sell => ['/wallet/sale', 'wallet_sale',
		{wallet_key => $wallet, phone => $known, transaction_type => 0, transaction_amount => 100, usertool_id => $cashier}],
	redeem => ['/wallet/sale', 'wallet_sale',
		{wallet_key => $wallet, phone => $known, transaction_type => 1, points_used => 10, usertool_id => $cashier}],
	update => ['/wallet/balance/update', 'wallet_balance_update',
		{wallet_key => $wallet, phone => $known, transaction_type => 1, transaction_amount => 10, usertool_id => $cashier}],
	hire => ['/employee/add', 'employee_add',
		{type => 'gerente', employee_name => 'Nuevo', business_name => 'Sucursal Nueva', number => '4773009999', password => 'clave nueva'}],
	archive => ['/employee/disable', 'employee_disable', {number => '4773000001'}],
);

sub quota { my ($resource, $n) = @_; return "SELECT loyalty.set_quota($merchant, '$resource', $n)" }
sub no_quota { my ($resource) = @_; return "SELECT loyalty.remove_quota($merchant, '$resource')" }

my $cause = 'the disk is made of cheese';
$stack->psql("CREATE FUNCTION public.injected_shortage() RETURNS trigger LANGUAGE plpgsql AS"
	. " \$\$ BEGIN RAISE EXCEPTION USING MESSAGE = '$cause', ERRCODE = 'disk_full'; END \$\$;"
	. " CREATE FUNCTION public.injected_surprise() RETURNS trigger LANGUAGE plpgsql AS"
	. " \$\$ BEGIN RAISE EXCEPTION USING MESSAGE = '$cause'; END \$\$");

sub fault
{
	my ($what, $table, $function) = @_;
	$function //= 'injected_surprise';
	return ["CREATE TRIGGER injected BEFORE $what ON $table FOR EACH ROW EXECUTE FUNCTION public.$function()",
		"DROP TRIGGER injected ON $table"];
}

# What brings each about, and what ends it.
my %circumstance = (
	'no customers left' => [quota(customers => 0), no_quota('customers')],
	'no redemptions left' => [quota(redemptions => 0), no_quota('redemptions')],
	'no messages left' => [quota(messages => 0), no_quota('messages')],
	'members cannot be inserted' => fault(INSERT => 'loyalty_internal.member'),
	'members cannot be updated' => fault(UPDATE => 'loyalty_internal.member'),
	'accounts cannot be inserted' => fault(INSERT => 'loyalty_internal.account'),
	'messages cannot be inserted' => fault(INSERT => 'loyalty_internal.message'),
	'staff cannot be inserted' => fault(INSERT => 'loyalty_internal.staff'),
	'staff cannot be updated' => fault(UPDATE => 'loyalty_internal.staff'),
	'branches cannot be inserted' => fault(INSERT => 'loyalty_internal.branch'),
	'entries cannot be inserted' => fault(INSERT => 'loyalty.entry'),
	'accounts cannot be written for want of room' => fault('INSERT OR UPDATE' => 'loyalty_internal.account', 'injected_shortage'),
);

# --- the table -------------------------------------------------------------------

# Cases: way, operation, circumstance if the number of arguments says there is
# one, and the fields that differ.  A list of values is one case for each.
sub cases
{
	my ($ways, $operation, @rest) = @_;
	my $circumstance = @rest % 2 ? shift @rest : undef;
	my %fields = @rest;
	my @cases = ({});
	for my $name (sort keys %fields)
	{
		my @values = ref $fields{$name} ? @{$fields{$name}} : ($fields{$name});
		@cases = map { my $case = $_; map { {%$case, $name => $_} } @values } @cases;
	}
	return map { my $way = $_; map { [$way, $operation, $circumstance, $_] } @cases } @$ways;
}

sub http { return cases(['http'], @_) }
sub sql { return cases(['sql'], @_) }
sub both { return cases(['http', 'sql'], @_) }

my @absent = (undef, '', "  ");
my @no_phone = ('477123456', '47712345678', '477123456a', '+1 4771234567', '-4771234567', '+4771234567', '٤٧٧١٢٣٤٥٦٧');
my @no_number = ('0', '0.00', '-1', '+1', 'abc', '1e3', '1,000', '.5', '5.', '1.00001', '0x1', '922337203685477.5808', '1' x 400, 'NaN', 'mil');
my @no_numeric = (0, -1, '1.00001', '922337203685477.5808', "1e400", 'NaN', 'Infinity');
my @no_date = ('2001-02-29', '2000-13-01', '01-02-2000', '2000-1-1', '2000-01-01x', '2000-01-01 25:00:00', '2000-01-01 10:00-00', 'ayer', '0000-01-01');
my @not_mine = ($nobody, $archived, $foreign);


my @table = (
	# code, SQLSTATE, status, message; how to get there
	[contact_add_02 => 'LC002', 400, 'Llave de monedero indefinido.', http(add => wallet_key => \@absent)],
	[wallet_manager_03 => 'LM003', 400, 'Llave de monedero indefinido.', sql(add => wallet_key => \@absent)],
	[contact_add_03 => 'LC003', 400, 'Teléfono indefinido.', http(add => phone => \@absent)],
	[wallet_manager_04 => 'LM004', 400, 'Teléfono indefinido.', sql(add => phone => \@absent)],
	[contact_add_04 => 'LC004', 400, 'Teléfono con formato incorrecto.', both(add => phone => \@no_phone)],
	[contact_add_05 => 'LC005', 400, 'Nombre indefinido.', http(add => customer_name => \@absent)],
	[wallet_manager_05 => 'LM005', 400, 'Nombre indefinido.', sql(add => customer_name => \@absent)],
	[contact_add_06 => 'LC006', 400, 'Usuario indefinido.', http(add => usertool_id => [@absent, 'x', '-1', @not_mine, $nowhere, $elsewhere])],
	[wallet_manager_06 => 'LM006', 400, 'Usuario indefinido.', sql(add => usertool_id => [undef, -1, @not_mine, $nowhere, $elsewhere])],
	[contact_add_07 => 'LC007', 404, 'Monedero no existe', http(add => wallet_key => ['nada', $foreign_wallet])],
	[wallet_manager_07 => 'LM007', 404, 'Monedero no existe', sql(add => wallet_key => ['nada', $foreign_wallet])],
	[wallet_manager_08 => 'LM008', 409, 'El usuario ya se encuentra registrado', both(add => phone => [$known, "+52 $known"])],
	[wallet_manager_15 => 'LM015', 400, 'Lada no soportada', both(add => phone => [$far, '1111111111', '2000000000'])],
	[wallet_manager_09 => 'LM009', 400, 'Error en formato de fecha de cumpleaños',
		both(add => customer_birthdate => \@no_date), both(add => wallet_key => $birthday_wallet)],
	[wallet_manager_10 => 'LM010', 500, 'Error generar el contacto nuevo',
		both(add => 'members cannot be inserted'), both(add => 'accounts cannot be inserted'), both(add => 'messages cannot be inserted')],
	[wallet_manager_11 => 'LM011', 402, 'Saldo insuficiente', both(add => 'no messages left'), both(add => 'no messages left', phone => $gone)],
	[wallet_manager_12 => 'LM012', 500, 'Error al actualizar el estatus del contacto',
		both(add => 'members cannot be updated', phone => $gone)],
	[wallet_manager_14 => 'LM014', 400, 'Teléfono es de casa o fijo', both(add => phone => [$fixed, '5510000000', '5510009999'])],
	[wallet_manager_18 => 'LM018', 402, 'No cuentas con clientes disponibles.',
		both(add => 'no customers left'), both(add => 'no customers left', phone => $gone)],

	[balance_get_02 => 'LG002', 400, 'Llave de monedero indefinido.', http(get => wallet_key => [@absent, 'nada', $foreign_wallet])],
	[wallet_balance_get_02 => 'LW002', 400, 'Llave de monedero indefinido.', sql(get => wallet_key => [@absent, 'nada', $foreign_wallet])],
	[balance_get_03 => 'LG003', 400, 'Teléfono con formato incorrecto.', both(get => phone => \@no_phone)],
	[balance_get_04 => 'LG004', 404, 'El contacto no se encuentra registrado en el monedero.', both(get => phone => [$free, $gone, $foreign_phone])],

	[new_sale_02 => 'LS002', 400, 'Llave de monedero indefinido.', http(sell => wallet_key => \@absent)],
	[wallet_redeem_02 => 'LR002', 400, 'Llave de monedero indefinido.', sql(sell => wallet_key => \@absent)],
	[new_sale_03 => 'LS003', 400, 'Teléfono indefinido.', both(sell => phone => \@absent)],
	[new_sale_04 => 'LS004', 400, 'Teléfono con formato incorrecto.', both(sell => phone => \@no_phone)],
	[new_sale_05 => 'LS005', 400, 'Tipo de transacción indefinido.', http(sell => transaction_type => [@absent, '2', '00', '-1', '0.0', 'x'])],
	[wallet_redeem_06 => 'LR006', 400, 'Tipo de transacción indefinido.', sql(sell => transaction_type => [undef, 2, -1, 10])],
	[new_sale_06 => 'LS006', 400, 'Monto de transacción indefinido.', both(sell => transaction_amount => [undef]), http(sell => transaction_amount => \@absent)],
	[new_sale_07 => 'LS007', 400, 'Monto de transacción con formato incorrecto.', http(sell => transaction_amount => \@no_number),
		http(redeem => transaction_amount => '-1'), http(sell => wallet_key => $rich_wallet, transaction_amount => '922337203685477')],
	[wallet_redeem_03 => 'LR003', 400, 'Monto de transacción con formato incorrecto.', sql(sell => transaction_amount => \@no_numeric),
		sql(redeem => transaction_amount => -1), sql(sell => wallet_key => $rich_wallet, transaction_amount => '922337203685477')],
	[new_sale_08 => 'LS008', 400, 'Puntos a utilizar con formato incorrecto.', http(redeem => points_used => [@absent, @no_number, '1.001'])],
	[wallet_redeem_07 => 'LR007', 400, 'Puntos a utilizar con formato incorrecto.', sql(redeem => points_used => [undef, @no_numeric, '1.001'])],
	[new_sale_09 => 'LS009', 400, 'Id del usuario indefinido.', http(sell => usertool_id => \@absent), sql(sell => usertool_id => undef)],
	[new_sale_10 => 'LS010', 404, 'Monedero no existe.', both(sell => wallet_key => ['nada', $foreign_wallet])],
	[new_sale_11 => 'LS011', 400, 'Ticket indefinido.',
		http(sell => wallet_key => $ticket_wallet, ticket => \@absent), http(redeem => wallet_key => $ticket_wallet)],
	[wallet_redeem_12 => 'LR012', 400, 'Ticket indefinido.',
		sql(sell => wallet_key => $ticket_wallet, ticket => \@absent), sql(redeem => wallet_key => $ticket_wallet)],
	[new_sale_12 => 'LS012', 404, 'El contacto no se encuentra registrado en el monedero.', both(sell => phone => [$free, $gone, $foreign_phone])],
	[new_sale_13 => 'LS013', 403, 'El usuario de la herramienta no pertenece al usuario de la apikey.',
		http(sell => usertool_id => [@not_mine, 'x']), http(redeem => usertool_id => \@not_mine)],
	[wallet_redeem_15 => 'LR015', 403, 'El usuario de la herramienta no pertenece al usuario de la apikey.',
		sql(sell => usertool_id => \@not_mine), sql(redeem => usertool_id => \@not_mine)],
	[new_sale_14 => 'LS014', 403, 'El usuario de la herramienta no tiene permisos sobre el monedero.', http(sell => usertool_id => [$nowhere, $elsewhere])],
	[wallet_redeem_16 => 'LR016', 403, 'El usuario de la herramienta no tiene permisos sobre el monedero.', sql(sell => usertool_id => [$nowhere, $elsewhere])],
	[wallet_redeem_10 => 'LR010', 400, 'Los puntos a utilizar son mayores a los disponibles.', both(redeem => points_used => ['1000.01', '922337203685477'])],
	[wallet_redeem_13 => 'LR013', 402, 'Saldo insuficiente', both(redeem => 'no messages left'), both(sell => 'no messages left')],
	[wallet_redeem_14 => 'LR014', 403, 'Número de teléfono se encuentra en tu blacklist.', both(redeem => phone => $blacklisted), both(sell => phone => $blacklisted)],
	[wallet_redeem_18 => 'LR018', 402, 'No cuentas con canjes disponibles.', both(redeem => 'no redemptions left')],

	[balance_update_02 => 'LB002', 400, 'Llave de monedero indefinido.', http(update => wallet_key => \@absent)],
	[wallet_balance_update_02 => 'LU002', 400, 'Llave de monedero indefinido.', sql(update => wallet_key => \@absent)],
	[balance_update_03 => 'LB003', 400, 'Teléfono indefinido.', both(update => phone => \@absent)],
	[balance_update_04 => 'LB004', 400, 'Teléfono con formato incorrecto.', both(update => phone => \@no_phone)],
	[balance_update_05 => 'LB005', 400, 'Tipo de transacción indefinido.', http(update => transaction_type => [@absent, '2', 'x'])],
	[wallet_balance_update_04 => 'LU004', 400, 'Tipo de transacción indefinido.', sql(update => transaction_type => [undef, 2, -1])],
	[balance_update_06 => 'LB006', 400, 'Monto de transacción indefinido.', http(update => transaction_amount => \@absent), sql(update => transaction_amount => undef)],
	[balance_update_07 => 'LB007', 400, 'Monto de transacción con formato incorrecto.', http(update => transaction_amount => [@no_number, '1.001']),
		http(update => transaction_type => 0, transaction_amount => '922337203685477')],
	[wallet_balance_update_05 => 'LU005', 400, 'Monto de transacción con formato incorrecto.', sql(update => transaction_amount => [@no_numeric, '1.001']),
		sql(update => transaction_type => 0, transaction_amount => '922337203685477')],
	[balance_update_08 => 'LB008', 400, 'Id del usuario indefinido.', http(update => usertool_id => \@absent), sql(update => usertool_id => undef)],
	[balance_update_09 => 'LB009', 404, 'Monedero no existe.', both(update => wallet_key => ['nada', $foreign_wallet])],
	[balance_update_10 => 'LB010', 404, 'El contacto no se encuentra registrado en el monedero.', both(update => phone => [$free, $gone, $foreign_phone])],
	[wallet_balance_update_07 => 'LU007', 400, 'Los puntos a remover son mayores a los disponibles.', both(update => transaction_amount => '1000.01')],
	[wallet_balance_update_09 => 'LU009', 402, 'Saldo insuficiente', both(update => 'no messages left', transaction_type => [0, 1])],
	[wallet_balance_update_10 => 'LU010', 403, 'Número de teléfono se encuentra en tu blacklist.', both(update => phone => $blacklisted, transaction_type => [0, 1])],
	[balance_update_11 => 'LB011', 403, 'El usuario de la herramienta no pertenece al usuario de la apikey.', http(update => usertool_id => [@not_mine, 'x'])],
	[wallet_balance_update_11 => 'LU011', 403, 'El usuario de la herramienta no pertenece al usuario de la apikey.', sql(update => usertool_id => \@not_mine)],
	[balance_update_12 => 'LB012', 403, 'El usuario de la herramienta no tiene permisos sobre el monedero.', http(update => usertool_id => [$nowhere, $elsewhere])],
	[wallet_balance_update_12 => 'LU012', 403, 'El usuario de la herramienta no tiene permisos sobre el monedero.', sql(update => usertool_id => [$nowhere, $elsewhere])],

	[err_toolusers_01 => 'LE001', 500, 'Error al procesar la petición', both(hire => 'staff cannot be inserted'),
		both(hire => 'branches cannot be inserted'), both(archive => 'staff cannot be updated')],
	[err_toolusers_02 => 'LE002', 400, 'Parámetro inválido.', both(hire => type => [@absent, 'jefe', 'Cajero']), both(hire => employee_name => \@absent),
		both(hire => business_name => \@absent), both(hire => number => [@absent, @no_phone]), both(hire => password => [@absent, 'corta']),
		both(archive => number => [@absent, @no_phone])],
	[err_toolusers_03 => 'LE003', 409, 'Ya existe un usuario con el mismo nombre o password',
		both(hire => employee_name => ['Lucía Ruiz', 'LUCÍA RUIZ']), both(hire => password => 'secreto-1')],
	[err_toolusers_04 => 'LE004', 400, 'Error al crear el usuario.', both(hire => number => ['4773000001', '+52 477 300 0001'])],
	[err_toolusers_04 => 'LE04A', 400, 'Error al archivar el usuario.', both(archive => number => ['4773009999', '4773000002', '4773000006'])],
);

# --- asking ------------------------------------------------------------------------

sub ask_http
{
	my ($operation, $fields, %headers) = @_;
	my %all = (%{$operation{$operation}[2]}, %$fields);
	my @fields = map { defined $all{$_} ? ($_ => $all{$_}) : () } sort keys %all;
	return $stack->http('POST', $operation{$operation}[0], {apikey => $apikey, 'Content-Type' => $form_type, %headers}, Loyalty::form_encode(@fields));
}

sub literal
{
	my $value = shift // return 'NULL';
	$value =~ s/'/''/g;
	return "'$value'";
}

sub call
{
	my ($operation, $fields, $whose) = @_;
	my %all = (%{$operation{$operation}[2]}, %$fields);
	return "SELECT * FROM loyalty.$operation{$operation}[1]("
		. join(', ', 'merchant_id => ' . ($whose // $merchant), map { "$_ => " . literal($all{$_}) } sort keys %all) . ')';
}

sub error_body
{
	my ($code, $status, $message) = @_;
	return qq({"success":false,"message":"$message","code":"$code","status":$status});
}

# --- no trace ---------------------------------------------------------------------

my $observer = $stack->connect_async;
my $all_rows = join ' UNION ALL ', map { "SELECT '$_' AS t, (to_jsonb(r) - 'last_used_at')::text AS r FROM $_ r" } split /\n/,
	$stack->psql("SELECT oid::regclass FROM pg_class WHERE relnamespace IN ('loyalty'::regnamespace, 'loyalty_internal'::regnamespace) AND relkind = 'r' AND relname <> 'staff_refusal'");

sub fingerprint
{
	return $observer->query("SELECT count(*), md5(string_agg(t || r, '|' ORDER BY t, r)) FROM ($all_rows) a");
}

like fingerprint(), qr/^\d{3,}\|[0-9a-f]{32}$/, 'all rows have a fingerprint';

# --- the table, row by row ------------------------------------------------------------

my %reached;

# An error that was seen, as the catalogue lists it.
sub reach { my ($sqlstate, $code) = @_; $reached{"$sqlstate $code"} = 1; return }

sub answer_of
{
	my ($way, $operation, $fields) = @_;
	if ($way eq 'http')
	{
		my $answer = ask_http($operation, $fields);
		return ("$answer->{status} " . decode('UTF-8', $answer->{body}), join "\n", map { "$_: $answer->{headers}{$_}" } sort keys %{$answer->{headers}});
	}
	my $error = $stack->psql_error(call($operation, $fields)) // return ('no error', '');
	return (join(' | ', map { $_ // '' } @$error{qw(sqlstate message detail)}), $error->{hint} // '');
}

sub describe
{
	my ($way, $operation, $circumstance, $fields) = @_;
	my $text = join ', ', map { my $v = $fields->{$_}; "$_ " . (!defined $v ? 'absent' : length $v > 30 ? substr($v, 0, 30) . '...' : "'$v'") } sort keys %$fields;
	return join ', ', "$way $operation", $circumstance // (), $text || ();
}

sub check_case
{
	my ($code, $sqlstate, $status, $message, $case) = @_;
	my ($way, $operation, $circumstance, $fields) = @$case;
	my ($begin, $end) = $circumstance ? @{$circumstance{$circumstance}} : ();
	my $expected = $way eq 'http' ? "$status " . error_body($code, $status, $message) : "$sqlstate | $message | $code";
	my $name = "$code: " . describe(@$case);

	$stack->psql($begin) if $begin;
	my $before = fingerprint();
	$stack->forget_log;
	my ($got, $rest) = answer_of($way, $operation, $fields);
	my $after = fingerprint();
	$stack->psql($end) if $end;

	my $fine = is $got, $expected, $name;
	is $after, $before, "$name: no trace";
	return $fine unless ($circumstance // '') =~ /cannot/;
	like $stack->server_log, qr/\Q$cause\E/, "$name: the server log has the cause";
	unlike "$got\n$rest", qr/cheese|injected|trigger|SQL/i, "$name: nobody else";
	return $fine;
}

for my $row (@table)
{
	my ($code, $sqlstate, $status, $message, @cases) = @$row;
	for my $case (@cases)
	{
		reach($sqlstate, $code) if check_case($code, $sqlstate, $status, $message, $case);
	}
}

# The circumstances are over: the same requests succeed.
for my $operation (sort keys %operation)
{
	next if $operation eq 'archive';
	my $before = fingerprint();
	my $answer = ask_http($operation, {});
	is $answer->{status}, 200, "$operation: nothing is wrong with the request itself" or diag $answer->{body};
	isnt fingerprint(), $before, "$operation: success is seen" unless $operation =~ /^(staff|wallets|get)$/;
	$stack->psql(take_out($wallet, $free)) if $operation eq 'add';
}

# --- auth_01 ---------------------------------------------------------------------------

my $unauthorized = error_body('auth_01', 401, 'Usuario no autorizado');
my %seen;
for my $operation (sort keys %operation)
{
	my $before = fingerprint();
	for my $kind (sort keys %bad_key)
	{
		my %headers = ('Content-Type' => $form_type, defined $bad_key{$kind} ? (apikey => $bad_key{$kind}) : ());
		for my $body ('', Loyalty::form_encode(%{$operation{$operation}[2]}), '%zz')
		{
			my $answer = $stack->http('POST', $operation{$operation}[0], \%headers, $body);
			my $fine = "$answer->{status} " . decode('UTF-8', $answer->{body}) eq "401 $unauthorized";
			ok $fine, "auth_01: $operation, key $kind, body of " . length($body) . ' bytes' or diag $answer->{body};
			delete $answer->{headers}{$_} for 'date', 'x-request-id';
			$seen{join "\n", $answer->{body}, map { "$_: $answer->{headers}{$_}" } sort keys %{$answer->{headers}}}{$kind} = 1;
		}
	}
	is fingerprint(), $before, "auth_01: $operation: no trace";
}
is scalar keys %seen, 1, 'nothing tells the keys apart' or diag explain \%seen;

for my $kind (sort keys %bad_key)
{
	my $error = $stack->psql_error('SELECT loyalty.authenticate(' . literal($bad_key{$kind}) . ')');
	is_deeply [@$error{qw(sqlstate message detail)}], ['LA001', 'Usuario no autorizado', 'auth_01'], "auth_01: sql, key $kind" and reach('LA001', 'auth_01');
}
for my $operation (sort keys %operation)
{
	my $error = $stack->psql_error(call($operation, {}, 'NULL'));
	is_deeply [@$error{qw(sqlstate message detail)}], ['LA001', 'Usuario no autorizado', 'auth_01'], "auth_01: sql $operation, no merchant";
}
is $stack->psql("SELECT loyalty.authenticate('$apikey')"), $merchant, 'the right key is the merchant\'s';

# --- wallet_manager_13: a race ---------------------------------------------------------

# Wait until a session of somebody else waits for a lock.
sub wait_for_waiter
{
	return $stack->wait_until(sub { $observer->query("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND backend_type = 'client backend'") });
}

sub counts
{
	return $observer->query('SELECT (SELECT count(*) FROM loyalty_internal.account), (SELECT count(*) FROM loyalty_internal.member),'
		. ' (SELECT count(*) FROM loyalty_internal.member WHERE active), (SELECT count(*) FROM loyalty_internal.message), (SELECT count(*) FROM loyalty_internal.idempotency_key),'
		. " (SELECT coalesce(sum(remaining), 0) FROM loyalty_internal.quota WHERE merchant_id = $merchant)");
}

# While one session has registered the phone and not committed, somebody else
# registers it too; then the first one does what is said.
sub race
{
	my ($way, $phone, $outcome) = @_;
	my %mine = (phone => $phone);
	my $first = $stack->connect_async;
	my ($harness, $second, $out);
	$first->query('BEGIN');
	$first->query(call(add => \%mine));
	if ($way eq 'http')
	{
		my $body = Loyalty::form_encode(%{$operation{add}[2]}, %mine);
		$harness = IPC::Run::start(['curl', '-s', '-m', Loyalty::HANG_S, '-w', "\n%{http_code}", '-H', "apikey: $apikey", '-H', 'Idempotency-Key: carrera',
			'-d', $body, $stack->url . '/wallet/contact/add'], '<', '/dev/null', '>', \$out);
	}
	else
	{
		$second = $stack->connect_async;
		$second->query("SET default_transaction_isolation = 'read committed'");
		$second->send(call(add => {%mine, idempotency_key => 'carrera'}));
	}
	ok wait_for_waiter(), "$way: the second one waits";
	$first->query($outcome);
	$harness ? $harness->finish : ($out = $second->receive);
	$_->close for $first, $second // ();
	return $harness ? decode('UTF-8', $out) : $out;
}

my $raced = error_body('wallet_manager_13', 409, 'El usuario ya se encuentra registrado') . "\n409";
$stack->psql(quota(messages => 1000) . ';' . quota(customers => 1000));
for my $way ('http', 'sql')
{
	my $phone = $way eq 'http' ? '4774000001' : '4774000002';
	for my $kind ('new', 'returning')
	{
		$stack->psql(take_out($wallet, $phone)) if $kind eq 'returning';
		my @before = split /\|/, counts();
		my $got = race($way, $phone, 'COMMIT');
		my @after = split /\|/, counts();
		my $fine = $way eq 'http' ? is $got, $raced, "wallet_manager_13: http, a $kind contact" :
			like $got, qr/ERROR: +LM013: El usuario ya se encuentra registrado\nDETAIL: +wallet_manager_13\n/, "wallet_manager_13: sql, a $kind contact";
		reach('LM013', 'wallet_manager_13') if $fine;
		my $one = $kind eq 'new' ? 1 : 0;
		is_deeply [map { $after[$_] - $before[$_] } 0 .. $#after], [$one, $one, 1, 1, 0, -2],
			"$way: who lost the race for a $kind contact left no trace";
	}
}
for my $way ('http', 'sql')
{
	my $got = race($way, $way eq 'http' ? '4774000003' : '4774000004', 'ROLLBACK');
	like $got, $way eq 'http' ? qr/"contact_add_01"/ : qr/^\d+$/, "$way: if the first one gives up, the second is registered";
	$stack->psql("SELECT loyalty.forget_idempotency_keys($merchant, '0')");
}
$stack->psql(no_quota('messages') . ';' . no_quota('customers'));

# --- what the document has no code for --------------------------------------------------

for my $operation (qw(sell redeem update))
{
	check_case('internal_error', 'LY500', 500, 'an unexpected failure; nothing was written', $_)
		for http($operation => 'entries cannot be inserted');
}
for my $operation (qw(add sell redeem update))
{
	check_case('unavailable', 'LY503', 503, 'the operation was interrupted; nothing was written', $_)
		for http($operation => 'accounts cannot be written for want of room', $operation eq 'add' ? (phone => '4779990001') : ());
}

# --- of several faults the first ---------------------------------------------------------

# In the order that the comment on the function states: SQLSTATE, what HTTP
# answers, what is wrong.  Those without fields need a race.
my %faults = (
	add => [
		[LM003 => 'contact_add_02', {wallet_key => undef}],
		[LM004 => 'contact_add_03', {phone => undef}],
		[LC004 => 'contact_add_04', {phone => '477'}],
		[LM005 => 'contact_add_05', {customer_name => undef}],
		[LM006 => 'contact_add_06', {usertool_id => undef}],
		[LM009 => 'wallet_manager_09', {customer_birthdate => 'ayer'}],
		[LM007 => 'contact_add_07', {wallet_key => 'nada'}],
		[LM006 => 'contact_add_06', {usertool_id => $nowhere}],
		[LM015 => 'wallet_manager_15', {phone => $far}],
		[LM014 => 'wallet_manager_14', {phone => $fixed}],
		[LM009 => 'wallet_manager_09', {wallet_key => $birthday_wallet, customer_birthdate => undef}],
		[LM008 => 'wallet_manager_08', {phone => $known}],
		[LM018 => 'wallet_manager_18', {}, 'no customers left'],
		[LM013 => 'wallet_manager_13'],
		[LM011 => 'wallet_manager_11', {}, 'no messages left'],
	],
	sell => [
		[LR002 => 'new_sale_02', {wallet_key => undef}],
		[LS003 => 'new_sale_03', {phone => undef}],
		[LS004 => 'new_sale_04', {phone => '477'}],
		[LR006 => 'new_sale_05', {transaction_type => 2}],
		[LS006 => 'new_sale_06', {transaction_type => 0, transaction_amount => undef}],
		[LR003 => 'new_sale_07', {transaction_amount => 0}],
		[LR007 => 'new_sale_08', {transaction_type => 1, points_used => 0}],
		[LS009 => 'new_sale_09', {usertool_id => undef}],
		[LS010 => 'new_sale_10', {wallet_key => 'nada'}],
		[LR007 => 'new_sale_08', {transaction_type => 1, points_used => '1.001'}],
		[LR012 => 'new_sale_11', {wallet_key => $ticket_wallet, ticket => undef}],
		[LS012 => 'new_sale_12', {phone => $gone}],
		[LR015 => 'new_sale_13', {usertool_id => $nobody}],
		[LR016 => 'new_sale_14', {usertool_id => $nowhere}],
		[LR014 => 'wallet_redeem_14', {phone => $blacklisted}],
		[LR010 => 'wallet_redeem_10', {transaction_type => 1, points_used => 1000000}],
		[LR018 => 'wallet_redeem_18', {transaction_type => 1, points_used => 1}, 'no redemptions left'],
		[LR013 => 'wallet_redeem_13', {}, 'no messages left'],
	],
	update => [
		[LU002 => 'balance_update_02', {wallet_key => undef}],
		[LB003 => 'balance_update_03', {phone => undef}],
		[LB004 => 'balance_update_04', {phone => '477'}],
		[LU004 => 'balance_update_05', {transaction_type => 2}],
		[LB006 => 'balance_update_06', {transaction_amount => undef}],
		[LU005 => 'balance_update_07', {transaction_amount => 0}],
		[LB008 => 'balance_update_08', {usertool_id => undef}],
		[LB009 => 'balance_update_09', {wallet_key => 'nada'}],
		[LU005 => 'balance_update_07', {transaction_amount => '1.001'}],
		[LB010 => 'balance_update_10', {phone => $gone}],
		[LU011 => 'balance_update_11', {usertool_id => $nobody}],
		[LU012 => 'balance_update_12', {usertool_id => $nowhere}],
		[LU010 => 'wallet_balance_update_10', {phone => $blacklisted}],
		[LU007 => 'wallet_balance_update_07', {transaction_type => 1, transaction_amount => 1000000}],
		[LU009 => 'wallet_balance_update_09', {}, 'no messages left'],
	],
);

# The fields with both faults; nothing if they cannot be had together.
sub join_faults
{
	my ($first, $second) = @_;
	my %joined = %$first;
	for my $name (keys %$second)
	{
		return if exists $joined{$name} && ($joined{$name} // 'absent') ne ($second->{$name} // 'absent');
		$joined{$name} = $second->{$name};
	}
	return \%joined;
}

# The SQLSTATE and the HTTP code of a request with these faults.
sub both_answers
{
	my ($operation, $fields, @circumstances) = @_;
	$observer->query($circumstance{$_}[0]) for @circumstances;
	my ($sqlstate) = $observer->query(call($operation, $fields)) =~ /ERROR: +(\w{5}):/;
	my ($code) = ask_http($operation, $fields)->{body} =~ /"code":"(\w+)"/;
	$observer->query($circumstance{$_}[1]) for @circumstances;
	return ($sqlstate // 'none') . " $code";
}

for my $operation (sort keys %faults)
{
	my @faults = @{$faults{$operation}};
	my $comment = $stack->psql("SELECT obj_description(('loyalty.' || '$operation{$operation}[1]')::regproc)");
	my ($order) = $comment =~ /Errors, in this order: ([^;]+)/;
	is_deeply [($order // '') =~ /\b(L[A-Z][0-9]{3})\b/g], [map { $_->[0] } @faults], "$operation: the documented order of the errors";

	my $before = fingerprint();
	for my $i (0 .. $#faults)
	{
		my ($sqlstate, $code, $fields, $circumstance) = @{$faults[$i]};
		next unless $fields;
		my ($tried, @wrong) = (0);
		for my $later (@faults[$i .. $#faults])
		{
			my $joined = $later->[2] && join_faults($fields, $later->[2]) or next;
			my %circumstances = map { $_ => 1 } grep { defined } $circumstance, $later->[3];
			my $got = both_answers($operation, $joined, sort keys %circumstances);
			push @wrong, "with $later->[1]: $got" if $got ne "$sqlstate $code";
			$tried++;
		}
		ok $tried && !@wrong, "$operation: $code comes before what is listed after it ($tried)" or diag join "\n", @wrong;
	}
	is fingerprint(), $before, "$operation: no trace of them";
}

# Faults of one and the same phone.
for my $case (
	[$fixed_and_far, 'LM015 wallet_manager_15', 'area code before fixed line'],
	[$known_far, 'LM015 wallet_manager_15', 'area code before registered'],
	[$known_fixed, 'LM014 wallet_manager_14', 'fixed line before registered'])
{
	my ($phone, $expected, $name) = @$case;
	is both_answers('add', {phone => $phone}), $expected, "add: $name";
}
is both_answers('add', {phone => $known_fixed, wallet_key => $birthday_wallet}), 'LM014 wallet_manager_14', 'add: fixed line before birth date';
is both_answers('hire', {employee_name => 'Lucía Ruiz', number => '4773000001'}), 'LE003 err_toolusers_03', 'hire: name before number';
is both_answers('hire', {type => 'jefe', employee_name => 'Lucía Ruiz'}), 'LE002 err_toolusers_02', 'hire: parameters before name';

# --- none is missing ------------------------------------------------------------------------

my @codes = split /\n/, $stack->psql("SELECT sqlstate || ' ' || code FROM loyalty.error_codes WHERE family = 'monedero'");
is_deeply [sort keys %reached], [sort @codes], 'every code of the document has been reached: ' . @codes;
my @listed = split /\n/, $stack->psql("SELECT sqlstate || ' ' || code || ' ' || http_status || ' ' || message FROM loyalty.error_codes"
	. " WHERE family = 'monedero' AND sqlstate NOT IN ('LA001', 'LM013')");
is_deeply [sort @listed], [sort map { join ' ', @$_[1, 0, 2, 3] } @table], 'the catalogue says what the table says';
is $stack->psql('SELECT count(*) FROM loyalty.verify()'), 0, 'the books are in order';

$observer->close;
done_testing;
