# A database that was made by a released version and updated is the one that
# today's version makes: its catalog, what it does with data, and dumps go from
# either to the other.  Sessions that are open meanwhile, and have the library of
# before, work on or are told to connect again.
#
# Released versions are those in sql/released.sha256.  One more that was never
# released is made here, which differs from today's in some objects: so the test
# tests something before the first release, and that it finds what is wrong.
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use Filled;
use Loyalty;
use Test::More;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

# Scripts are added to the installation and its library is replaced, so it is a
# copy that nobody else has.
my ($bin, $installation) = own_installation();
my $stack = do { local $ENV{LOYALTY_BIN} = $bin; Loyalty->start(level => 'cluster', isolation => 'read committed') };
my $folder = pg_config('--sharedir') . '/extension';
my $library = pg_config('--pkglibdir') . '/loyalty.so';
my $today = $stack->psql(q{SELECT default_version FROM pg_available_extensions WHERE name = 'loyalty'});
my $script = Filled::slurp("$folder/loyalty--$today.sql");

sub own_installation
{
	my $theirs = $ENV{LOYALTY_BIN} // die "this test is run by make check\n";
	my ($prefix, $rest) = $theirs =~ m{^(.*?)((?:/lib/postgresql/\d+)?/bin)/?$} or die "$theirs: where is PostgreSQL?\n";
	my $copy = "$ENV{LOYALTY_TMP}/updated";
	system('cp', '-a', $prefix, $copy) == 0 or die "$prefix is not copied\n";
	return ($copy . $rest, $copy);
}

sub pg_config
{
	chomp(my $folder = qx("$bin/pg_config" $_[0]));
	return $folder;
}

sub spew
{
	my ($file, $text) = @_;
	open my $out, '>:encoding(UTF-8)', $file or die "$file: $!\n";
	print $out $text;
	close $out or die "$file: $!\n";
	return;
}

sub make_database
{
	my ($name, $version) = @_;
	$stack->psql("CREATE DATABASE $name");
	$stack->psql('SET client_min_messages = warning; CREATE EXTENSION loyalty' . ($version ? " VERSION '$version'" : ''), dbname => $name);
	return;
}

# A notice says so where there is nothing to do.
sub update { return $stack->psql('SET client_min_messages = warning; ALTER EXTENSION loyalty UPDATE', dbname => $_[0]) }

# --- the versions ---------------------------------------------------------------

# Of objects that are there for good: a comment, a function's body and a right.
my $sentence = 'What e-mails, names of staff and names of branches are compared by:';
my $oldest = qr/(FUNCTION loyalty_internal\.oldest_library\(\)[^;]*RETURN )'[^']*';/;
like $script, qr/\Q$sentence\E/, 'there is a comment to change';
like $script, $oldest, 'there is a function to change';
my $never = '0.2.0never';
my $old_script = $script =~ s/\Q$sentence\E/Folds:/r =~ s/$oldest/$1'0.1.9';/r =~ s/(?=\nSELECT loyalty_internal\.seal\(\);)/\nGRANT TRUNCATE ON loyalty.entry TO loyalty_engine;/r;
my ($comment) = $script =~ /(COMMENT ON FUNCTION loyalty\.fold\(text\) IS\n'[^']*';)/;
my ($function) = $script =~ /(FUNCTION loyalty_internal\.oldest_library\(\)[^;]*;)/;
my $seal = 'SELECT loyalty_internal.seal();';
my $changes = "$comment\nCREATE OR REPLACE $function\nREVOKE TRUNCATE ON loyalty.entry FROM loyalty_engine;\n";
spew("$folder/loyalty--$never.sql", $old_script);
spew("$folder/loyalty--$never--$today.sql", "$changes$seal\n");

my @releases = ([$never => 'fill.sql'], releases());
make_database('fresh');
my $fresh = facts($stack, dbname => 'fresh');
make_database('filled');
fill($stack, dbname => 'filled');
my $filled = contents($stack, dbname => 'filled');
my $dumps = $stack->work_dir;
is run_program($stack, {dbname => 'filled'}, 'pg_dump', '-Fc', '--data-only', '-f', "$dumps/filled"), '', 'a database of today is dumped';

sub is_fresh
{
	my ($name, $database) = @_;
	my @differences = differences(facts($stack, dbname => $database), $fresh);
	is @differences, 0, "$name: its catalog is that of a fresh one" or diag join "\n", map { substr $_, 0, 300 } @differences[0 .. ($#differences < 20 ? $#differences : 20)];
	return;
}

sub is_restored
{
	my ($name, $dump, $database, $contents) = @_;
	$stack->psql("CREATE DATABASE $database");
	is run_program($stack, {dbname => $database}, 'pg_restore', '--exit-on-error', '--single-transaction', '-d', $database, $dump), '', "$name: is restored";
	is_fresh("$name, restored", $database);
	is_deeply contents($stack, dbname => $database), $contents, "$name, restored: every row of every table is";
	return;
}

for (@releases)
{
	my ($version, $file) = @$_;
	my $database = 'of_' . $version =~ s/\W/_/gr;
	make_database($database, $version);
	is $stack->psql('SELECT library, script, fits FROM loyalty.version()', dbname => $database), "$today|$version|t", "$version: fits the library of today";
	ok differences(facts($stack, dbname => $database), $fresh) > 0, "$version: is another one than today's" if $version ne $today;
	fill($stack, file => $file, dbname => $database);
	my $before = contents($stack, dbname => $database);
	unlike $before->{$_}, qr/^0 rows/, "$version: $_ has something to lose" for sort keys %$before;
	my $answers = answers($stack, dbname => $database);
	is run_program($stack, {dbname => $database}, 'pg_dump', '-Fc', '-f', "$dumps/$version.before"), '', "$version: is dumped before the update";

	update($database);
	is $stack->psql('SELECT library, script, fits FROM loyalty.version()', dbname => $database), "$today|$today|t", "$version: is updated";
	is_fresh($version, $database);
	my $contents = contents($stack, dbname => $database);
	is_deeply [ grep { !exists $contents->{$_} } keys %$before ], [], "$version: no table is gone";
	is answers($stack, dbname => $database), $answers, "$version: the views answer the same";
	is $stack->psql('SELECT count(*) FROM loyalty.verify()', dbname => $database), '0', "$version: the ledger is sound";

	is run_program($stack, {dbname => $database}, 'pg_dump', '-Fc', '-f', "$dumps/$version.after"), '', "$version: is dumped after the update";
	is_restored($version, "$dumps/$version.after", "${database}_after", $contents);
	is_restored("$version, dumped before the update", "$dumps/$version.before", "${database}_before", $contents);
	make_database("${database}_empty", $version);
	update("${database}_empty");
	is run_program($stack, {dbname => "${database}_empty"}, 'pg_restore', '--exit-on-error', '--single-transaction', '-d', "${database}_empty", "$dumps/filled"), '',
		"$version: takes the dump of a database of today";
	is_deeply contents($stack, dbname => "${database}_empty"), $filled, "$version, updated: every row of every table is restored";
	is_fresh("$version, updated and restored", "${database}_empty");
	is $stack->psql(q{
		SELECT loyalty.create_merchant('Nueva') AS m \gset
		SELECT loyalty.open_account(:m, (SELECT program_id FROM loyalty.create_program(:m, 'P', 'P'))) AS a \gset
		SELECT loyalty.post(:m, :a, 'deposit', 9) \g /dev/null
		SELECT entry_id AS h FROM loyalty.hold(:m, :a, 4) \gset
		SELECT loyalty.capture(:m, :a, :h, 3) \g /dev/null
		SELECT balance, (SELECT count(*) FROM loyalty.verify()) FROM loyalty.balances WHERE account_id = :a}, dbname => $database), '5|0', "$version: what is written then is right";
}

# --- what is planted is found -----------------------------------------------------

# All that can be said of objects: what is done to it, and the fact that changes.
# Some member: of those there are, the first by name.
my $some = sub {
	my ($what, $from, $command) = @_;
	return "DO \$do\$ DECLARE x text; BEGIN SELECT $what INTO STRICT x FROM $from JOIN pg_depend d ON d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'loyalty')"
		. " ORDER BY 1 LIMIT 1; EXECUTE format(\$f\$$command\$f\$, x); END \$do\$";
};
my $member = sub { my ($catalog) = @_; return "d.classid = '$catalog'::regclass AND d.objid = o.oid" };
my @planted = (
	['the source of a function', q{CREATE OR REPLACE FUNCTION loyalty_internal.oldest_library() RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN '0'}, qr/routine loyalty_internal.oldest_library\(\) \| definition/],
	['the symbol of a function', q{UPDATE pg_proc SET prosrc = 'loyalty_fold' WHERE oid = 'loyalty_internal.trimmed(text)'::regprocedure}, qr/routine loyalty_internal.trimmed\(text\) \| source \| c loyalty_fold/],
	['a setting of a function', 'ALTER FUNCTION loyalty_internal.seal() SET work_mem = 64', qr/routine loyalty_internal.seal\(\) \| settings/],
	['how volatile a function is', 'ALTER FUNCTION loyalty.fold(text) STABLE', qr/routine loyalty.fold\(text\) \| kind/],
	['the owner of a function', 'ALTER FUNCTION loyalty.fold(text) OWNER TO loyalty_engine', qr/routine loyalty.fold\(text\) \| owner/],
	['a right on a function', 'GRANT EXECUTE ON FUNCTION loyalty.fold(text) TO PUBLIC', qr/routine loyalty.fold\(text\) \| rights/],
	['the comment on a function', q{COMMENT ON FUNCTION loyalty.fold(text) IS 'x'}, qr/routine loyalty.fold\(text\) \| comment/],
	['a default of an argument', 'DO $$ BEGIN EXECUTE regexp_replace(pg_get_functiondef(\'loyalty.statement\'::regproc), \'DEFAULT \d+\', \'DEFAULT 99\'); END $$', qr/routine loyalty.statement\(.*\) \| arguments/],
	['a member less', 'ALTER EXTENSION loyalty DROP FUNCTION loyalty.fold(text)', qr/function loyalty.fold\(text\) \| member/],
	['a member more', 'CREATE FUNCTION loyalty.planted() RETURNS integer LANGUAGE sql RETURN 1; ALTER EXTENSION loyalty ADD FUNCTION loyalty.planted()', qr/function loyalty.planted\(\) \| member \| yes/],
	['an object that is no member', 'CREATE TABLE loyalty_internal.planted ()', qr/table loyalty_internal.planted \| member \| no/],
	['the rights of a type', 'GRANT USAGE ON TYPE loyalty.points TO PUBLIC', qr/type loyalty.points \| rights/],
	['what a type can do', 'ALTER TYPE loyalty.points SET (STORAGE = plain, TYPMOD_OUT = NONE, ANALYZE = ts_typanalyze)', qr/type loyalty.points \| functions/],
	['an attribute of a type', 'ALTER TYPE loyalty.posting ADD ATTRIBUTE planted integer', qr/type loyalty.posting \| columns/],
	['an operator', 'ALTER OPERATOR loyalty.= (loyalty.points, loyalty.points) SET (RESTRICT = NONE)', qr/operator loyalty.=\(loyalty.points,loyalty.points\) \| planning/],
	['a class of operators', 'DO $$ BEGIN UPDATE pg_opclass SET opcdefault = false WHERE opcintype = \'loyalty.phone\'::regtype; END $$', qr/operator class .* \| kind/],
	['a cast', 'UPDATE pg_cast SET castcontext = \'e\' WHERE castsource = \'loyalty.points\'::regtype; UPDATE pg_cast SET castcontext = \'i\' WHERE castsource = \'numeric\'::regtype AND casttarget = \'loyalty.points\'::regtype', qr/cast from .*loyalty.points.* \| kind/],
	['a view', 'DO $$ BEGIN EXECUTE \'CREATE OR REPLACE VIEW loyalty.roots AS \' || rtrim(pg_get_viewdef(\'loyalty.roots\'), \';\') || \' LIMIT 7\'; END $$', qr/relation loyalty.roots \| view/],
	['an option of a view', 'ALTER VIEW loyalty.roots SET (security_barrier)', qr/relation loyalty.roots \| options/],
	['an option of a table', 'ALTER TABLE loyalty.entry SET (fillfactor = 42)', qr/relation loyalty.entry \| options/],
	['the owner of a table', 'ALTER TABLE loyalty_internal.merchant OWNER TO loyalty_engine', qr/relation loyalty_internal.merchant \| owner/],
	['a right on a table', 'GRANT DELETE ON loyalty.entry TO loyalty_engine', qr/relation loyalty.entry \| rights/],
	['a column', 'ALTER TABLE loyalty.entry ADD planted integer', qr/relation loyalty.entry column planted \| type/],
	['a default of a column', 'ALTER TABLE loyalty.entry ALTER account_id SET DEFAULT 7', qr/relation loyalty.entry column account_id \| default/],
	['a column that may be NULL', 'ALTER TABLE loyalty.entry ALTER amount DROP NOT NULL', qr/relation loyalty.entry column amount \| not null/],
	['how a column is stored', 'ALTER TABLE loyalty.entry ALTER reference SET STORAGE EXTERNAL', qr/relation loyalty.entry column reference \| storage/],
	['the comment on a column', q{COMMENT ON COLUMN loyalty.entry.amount IS 'x'}, qr/relation loyalty.entry column amount \| comment/],
	['a right on a column', 'GRANT SELECT (amount) ON loyalty.entry TO PUBLIC', qr/relation loyalty.entry column amount \| rights/],
	['a constraint', 'ALTER TABLE loyalty.entry ADD CONSTRAINT planted CHECK (account_id <> 7) NOT VALID', qr/relation loyalty.entry constraint planted \| state/],
	['an index', 'CREATE INDEX planted ON loyalty.entry (amount)', qr/relation loyalty.entry index loyalty.planted \| definition/],
	['statistics', 'CREATE STATISTICS loyalty.planted ON merchant_id, account_id FROM loyalty.entry', qr/statistics loyalty.planted \| definition/],
	['a trigger that is switched off', $some->('t.tgrelid::regclass', 'pg_trigger t JOIN pg_class o ON o.oid = t.tgrelid AND NOT t.tgisinternal', 'ALTER TABLE %s DISABLE TRIGGER USER'), qr/relation \S+ trigger \S+ \| enabled \| D/],
	['a trigger', 'CREATE TRIGGER planted BEFORE UPDATE ON loyalty.entry FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()', qr/relation loyalty.entry trigger planted \| definition/],
	['a rule', 'CREATE RULE planted AS ON DELETE TO loyalty.entry DO INSTEAD NOTHING', qr/relation loyalty.entry rule planted \| definition/],
	['a policy', 'CREATE POLICY planted ON loyalty.entry USING (account_id <> 7)', qr/relation loyalty.entry policy planted \| definition/],
	['row security', 'ALTER TABLE loyalty.entry ENABLE ROW LEVEL SECURITY', qr/relation loyalty.entry \| kind/],
	['the rights of a schema', 'GRANT USAGE ON SCHEMA loyalty TO PUBLIC', qr/schema loyalty \| rights/],
	['the comment on a schema', q{COMMENT ON SCHEMA loyalty IS 'x'}, qr/schema loyalty \| comment/],
	['a dump mark less', q{UPDATE pg_extension SET extconfig = extconfig[2:], extcondition = extcondition[2:] WHERE extname = 'loyalty'}, qr/^> extension \| dumped/],
	['the condition of a dump mark', q{UPDATE pg_extension SET extcondition[1] = 'WHERE true' WHERE extname = 'loyalty'}, qr/^< extension \| dumped .* \| where WHERE true/],
	['default rights', 'ALTER DEFAULT PRIVILEGES IN SCHEMA loyalty GRANT SELECT ON TABLES TO PUBLIC', qr/default rights of \S+ in loyalty \| on r/],
	['an event trigger', q{CREATE FUNCTION public.planted() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER planted ON ddl_command_end EXECUTE FUNCTION public.planted()}, qr/event trigger planted \| definition/],
	['rights that the extension gives', q{UPDATE pg_init_privs SET initprivs = initprivs[2:] WHERE classoid = 'pg_class'::regclass AND objoid = 'loyalty.entry'::regclass}, qr/table loyalty.entry \| initial rights/],
	['a kind that nobody has thought of', q{CREATE COLLATION public.planted FROM "C"; ALTER EXTENSION loyalty ADD COLLATION public.planted}, qr/does not know \| pg_collation/],
	['the owner of the extension', 'UPDATE pg_extension SET extowner = \'loyalty_engine\'::regrole WHERE extname = \'loyalty\'', qr/extension \| owner/],
	['the version of the extension', q{UPDATE pg_extension SET extversion = '0' WHERE extname = 'loyalty'}, qr/extension \| version \| 0/],
);
my $all = join ";\n", map { $_->[1] } @planted;
my @found = differences([ split /\n/, $stack->psql("BEGIN; $all;\n" . Filled::slurp("$FindBin::Bin/../catalog.sql"), dbname => 'fresh') ], $fresh);
for (@planted)
{
	my ($name, $command, $fact) = @$_;
	ok +(grep { $_ =~ $fact } @found), "$name, planted, is found" or diag $fact;
}
is_fresh('nothing planted', 'fresh');

# An update that does half of what it should.
spew("$folder/loyalty--$never--0.2.0half.sql", "$comment\n$seal\n");
make_database('half', $never);
$stack->psql(q{ALTER EXTENSION loyalty UPDATE TO '0.2.0half'}, dbname => 'half');
my $half = join "\n", differences(facts($stack, dbname => 'half'), $fresh);
like $half, qr/oldest_library\(\) \| definition/, 'a function that an update forgets is found';
unlike $half, qr/^. routine loyalty.fold/m, 'but none that it has not';

# --- sessions that have the library of before --------------------------------------

# The library of before is today's that says it is of an older version.
my $older = $today =~ tr/0-9/0/r;
my $new_library = "$installation/loyalty.so.new";
make_older_library();
spew("$folder/loyalty--$older.sql", $script);
spew("$folder/loyalty--$older--$today.sql", "$seal\n");
spew("$folder/loyalty--$older--$today+on.sql", "ALTER TABLE loyalty.entry ADD planted integer;\nCREATE OR REPLACE " . $function =~ s/RETURN '[^']*'/RETURN '0.0.0'/r . "\n$seal\n");

# Put a file in the place of another, as make install does: whoever has that open keeps it.
sub replace_library
{
	my ($from) = @_;
	system('cp', $from, "$library.new") == 0 && rename("$library.new", $library) or die "$library is not replaced\n";
	return;
}

sub make_older_library
{
	system('cp', $library, $new_library) == 0 or die "$library is not copied\n";
	open my $in, '<:raw', $library or die "$library: $!\n";
	my $bytes = do { local $/; <$in> };
	close $in;
	my $places = $bytes =~ s/(?<=\0)\Q$today\E(?=\0)/$older/g;
	ok $places, 'the library says of which version it is';
	open my $out, '>:raw', "$library.older" or die "$library.older: $!\n";
	print $out $bytes;
	close $out or die "$library.older: $!\n";
	replace_library("$library.older");
	return;
}

my $version = 'SELECT library, script, fits FROM loyalty.version()';
# Who knows the program and the plans of its statements, and posts.
sub session_of
{
	my ($database) = @_;
	make_database($database, $older);
	my $made = $stack->psql(q{
		SELECT loyalty.create_merchant('Abierta') AS m \gset
		SELECT program_id AS p FROM loyalty.create_program(:m, 'P', 'P') \gset
		SELECT concat_ws('|', :m, loyalty.open_account(:m, :p))}, dbname => $database);
	my ($merchant, $account) = split /\|/, $made;
	my $session = $stack->connect_async(dbname => $database);
	my $post = "SELECT balance FROM loyalty.post($merchant, $account, 'deposit', 1)";
	my $sale = "SELECT balance FROM loyalty.sale($merchant, $account, 100)";
	my $batch = "SELECT count(*) FROM loyalty.post_batch($merchant, array_fill($account\::bigint, ARRAY[3]), array_fill('deposit'::text, ARRAY[3]), array_fill(1::loyalty.points, ARRAY[3]))";
	is $session->query($version), "$older|$older|t", "$database: a session has the library of before";
	is $session->query($post), '1', "$database: it posts";
	is $session->query($sale), '11', "$database: and sells";
	is $session->query($batch), '3', "$database: by a batch too";
	return ($session, $post, $sale, $batch);
}

my ($going, @calls) = session_of('going_on');
my ($refused, @refused_calls) = session_of('refused');
replace_library($new_library);
is $going->query($calls[0]), '15', 'it posts when the library is another file';
is $stack->psql($version, dbname => 'going_on'), "$today|$older|f", 'a new session has that, which does not fit the script';
my $error = $stack->psql_error($calls[0], dbname => 'going_on');
is "$error->{sqlstate} $error->{detail}", 'LY016 version_mismatch', 'so it is refused';
like $error->{hint}, qr/ALTER EXTENSION loyalty UPDATE/, 'and told to update';
$stack->psql("ALTER EXTENSION loyalty UPDATE TO '$today+on'", dbname => 'going_on');
is $stack->psql($calls[0], dbname => 'going_on'), '16', 'after an update it posts';
is $going->query($version), "$older|$today+on|t", 'where the new script takes the library of before';
is $going->query($_->[0]), $_->[1], 'its session goes on' for [$calls[0], '17'], [$calls[1], '27'], [$calls[2], '3'];
is $stack->psql($calls[1], dbname => 'going_on'), '40', 'both do';
is $stack->psql('SELECT count(*) FROM loyalty.verify()', dbname => 'going_on'), '0', 'and what they wrote is sound';

is $refused->query("BEGIN; $refused_calls[0]"), '15', 'another is in a transaction when';
my $update = $stack->connect_async(dbname => 'refused');
is $update->query('SET client_min_messages = warning; ALTER EXTENSION loyalty UPDATE'), '', 'an update is made';
$update->close;
is $refused->query('COMMIT'), '', 'it commits';
like $refused->query($_), qr/ERROR:  LY016: the library and the script of the extension do not fit\nDETAIL:  version_mismatch\nHINT:  .*connect again/, 'where the new script does not take its library, it is told to connect again'
	for @refused_calls;
is $refused->query($version), "$older|$today|f", 'it sees why';
$refused->query(q{SELECT set_config('request.headers', '{"apikey": "lk_0"}', false)});
like $refused->query('SELECT loyalty_api.wallet_get()'), qr/^\{.*"code":"version_mismatch","status":503\}$/, 'which the APIs answer with 503';
is $refused->query("SELECT '7.5'::loyalty.points"), '7.5', 'and does what touches no table';
$refused->close;
is $stack->psql($refused_calls[0], dbname => 'refused'), '16', 'connected again it posts';
is $stack->psql('SELECT count(*) FROM loyalty.verify()', dbname => 'refused'), '0', 'and all is sound';
$going->close;

done_testing;
