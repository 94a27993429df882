# CREATE EXTENSION in two databases of one server at once: both need the role
# that owns the functions, and one of them makes it.  Then what the library shows
# to the server, and an upgrade, whose script ends with a seal, as the install
# script does.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use Loyalty;
use Test::More;

my $stack = Loyalty->start(level => 'cluster');
$stack->psql("CREATE DATABASE $_") for qw(first second);

my $first = $stack->connect_async(dbname => 'first');
my $second = $stack->connect_async(dbname => 'second');
$first->query('SET client_min_messages = warning');
$second->query('SET client_min_messages = warning');
is $first->query('BEGIN; CREATE EXTENSION loyalty'), '', 'one has made the role, and has not committed';
$second->send('CREATE EXTENSION loyalty');
my $waits = q{SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%CREATE EXTENSION%' AND pid <> pg_backend_pid()};
select undef, undef, undef, 0.05 until $stack->psql($waits) || $second->is_ready;
is $second->is_ready, 0, 'the other waits for it';
is $first->query('COMMIT'), '', 'the one commits';
is $second->receive, '', 'the other uses the role that is there';
is $stack->psql(q{SELECT extname FROM pg_extension WHERE extname = 'loyalty'}, dbname => $_), 'loyalty', "the $_ has the extension" for qw(first second);
is $stack->psql(q{SELECT count(*), bool_or(rolcanlogin OR rolinherit) FROM pg_roles WHERE rolname = 'loyalty_engine'}), '1|f', 'there is one role, and nobody logs in as it';
$_->close for $first, $second;

chomp(my $libdir = `"${\ $stack->bindir}/pg_config" --pkglibdir`);
my @exported = sort map { (split)[-1] } `nm -D --defined-only "$libdir/loyalty.so"`;
my @functions = split /\n/, $stack->psql(q{SELECT DISTINCT prosrc FROM pg_proc WHERE probin = '$libdir/loyalty'}, dbname => 'first');
ok @functions > 100, 'SQL has functions in C';
# Those of released scripts are called from databases that have not been updated.
my $sql = "$FindBin::Bin/../../sql";
open my $list, '<', "$sql/released.sha256" or die "$sql/released.sha256: $!\n";
for my $released (map { /^[0-9a-f]{64}  (.*)$/ ? $1 : () } <$list>)
{
	open my $in, '<', "$sql/$released" or die "$sql/$released: $!\n";
	my %is_known = map { $_ => 1 } @functions;
	push @functions, grep { !$is_known{$_}++ } map { /'MODULE_PATHNAME', '(\w+)'/g } <$in>;
}
is_deeply \@exported, [ sort 'Pg_magic_func', '_PG_init', map { ($_, "pg_finfo_$_") } @functions ], 'the library exports these, and nothing else';

SKIP: {
	skip 'modules have a version from PostgreSQL 18 on', 1 if $stack->psql('SHOW server_version_num') < 180000;
	my $loaded = q{SELECT m.module_name, m.version = e.default_version
		FROM pg_get_loaded_modules() m, pg_available_extensions e WHERE m.file_name = 'loyalty.so' AND e.name = 'loyalty'};
	is $stack->psql("LOAD 'loyalty'; $loaded", dbname => 'first'), 'loyalty|t', 'the library has the name and the version of the extension';
}

# --- an upgrade -----------------------------------------------------------------

sub dump_of { return $stack->with_env(sub { scalar qx(pg_dump first) }) }
sub grants_of { return join "\n", sort grep { /^GRANT/ } split /\n/, dump_of() }

$stack->psql(q{CREATE ROLE analyst; SELECT loyalty.grant_reading('analyst'), loyalty.grant_reporting('analyst')}, dbname => 'first');
my $granted = grants_of();
like $granted, qr/^GRANT SELECT ON TABLE \Q$_\E TO analyst;$/m, 'a dump has what a role was granted' for 'loyalty.entries', 'loyalty_report.fact_entry';
like dump_of(), qr/^COPY loyalty_internal\.report_role .*\nanalyst\t\\N\t/m, 'and of which merchants';
unlike $granted, qr/ TO (?!analyst;)/, 'and nothing that the extension gives by itself';

my $folder = $stack->with_env(sub { qx(pg_config --sharedir) }) =~ s/\n//r . '/extension';
my $version = $stack->psql(q{SELECT extversion FROM pg_extension WHERE extname = 'loyalty'}, dbname => 'first');
my $script = "$folder/loyalty--$version--$version+seal.sql";
END { unlink $script if defined $script }
open my $out, '>', $script or die "$script: $!\n";
print $out <<'SQL';
CREATE TABLE loyalty.added (merchant_id bigint PRIMARY KEY);
COMMENT ON TABLE loyalty.added IS 'Added.';
GRANT SELECT ON loyalty.added TO loyalty_engine;
CREATE TABLE loyalty.added_partly (merchant_id bigint PRIMARY KEY);
SELECT pg_catalog.pg_extension_config_dump('loyalty.added_partly', 'WHERE merchant_id > 1');
CREATE VIEW loyalty.addeds AS SELECT merchant_id FROM loyalty.added;
CREATE FUNCTION loyalty.added_count() RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'SELECT count(*) FROM loyalty.added';
CREATE FUNCTION loyalty.added_one() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
SELECT loyalty_internal.seal();
SQL
close $out or die "$script: $!\n";
is $stack->psql(qq{ALTER EXTENSION loyalty UPDATE TO '$version+seal'; SELECT extversion FROM pg_extension WHERE extname = 'loyalty'}, dbname => 'first') =~ s/^\s+//r,
	"$version+seal", 'a script that adds objects is run';
is $stack->psql(q{SELECT p.oid::regproc, p.proowner = 'loyalty_engine'::regrole, has_function_privilege('analyst', p.oid, 'EXECUTE'), has_function_privilege('loyalty_engine', p.oid, 'EXECUTE')
	FROM pg_proc p WHERE p.proname ~ '^added' ORDER BY 1}, dbname => 'first'),
	"loyalty.added_count|t|f|t\nloyalty.added_one|f|f|t", 'its functions are owned and executed by loyalty_engine, and by nobody else';
is $stack->psql(q{SELECT c.relname, c.relowner = 'loyalty_engine'::regrole, has_table_privilege('analyst', c.oid, 'SELECT')
	FROM pg_class c WHERE c.relname ~ '^added' AND c.relkind IN ('r', 'v') ORDER BY 1}, dbname => 'first'),
	"added|f|f\nadded_partly|f|f\naddeds|t|f", 'its view is owned by it, and read by nobody else';
is $stack->psql(q{SELECT loyalty.added_count(), count(*) FROM loyalty.addeds}, dbname => 'first'), '0|0', 'they work';
$stack->psql('INSERT INTO loyalty.added VALUES (1), (2); INSERT INTO loyalty.added_partly VALUES (1), (2)', dbname => 'first');
like dump_of(), qr/^COPY loyalty.added [^\n]*\n1\n2\n\\\.$/m, 'its table is dumped';
like dump_of(), qr/^COPY loyalty.added_partly [^\n]*\n2\n\\\.$/m, 'one for which the script says what of it, as it says';
is grants_of(), $granted, 'a dump still has what the role was granted before, and nothing else';
$stack->psql('DROP OWNED BY analyst', dbname => 'first');

# --- a role that must not be used ---------------------------------------------------

$stack->psql('DROP EXTENSION loyalty', dbname => $_) for qw(first second);
$stack->psql('ALTER ROLE loyalty_engine LOGIN');
my $error = $stack->psql_error('CREATE EXTENSION loyalty', dbname => 'first');
is "$error->{sqlstate} $error->{message}", '42710 role "loyalty_engine" exists with more rights than the extension allows', 'a role that could log in is refused';
is $stack->psql(q{SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'loyalty%'}, dbname => 'first'), '0', 'and nothing is left of it';

done_testing;
