# CREATE EXTENSION in two databases of one server at once: both need the role
# that owns the functions, and one of them makes it.  And what the library shows
# to the server.
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
is_deeply \@exported, [ sort 'Pg_magic_func', map { ($_, "pg_finfo_$_") } @functions ], 'the library exports these, and nothing else';

SKIP: {
	skip 'modules have a version from PostgreSQL 18 on', 1 if $stack->psql('SHOW server_version_num') < 180000;
	my $loaded = q{SELECT m.module_name, m.version = e.default_version
		FROM pg_get_loaded_modules() m, pg_available_extensions e WHERE m.file_name = 'loyalty.so' AND e.name = 'loyalty'};
	is $stack->psql("LOAD 'loyalty'; $loaded", dbname => 'first'), 'loyalty|t', 'the library has the name and the version of the extension';
}

$stack->psql('DROP EXTENSION loyalty', dbname => $_) for qw(first second);
$stack->psql('ALTER ROLE loyalty_engine LOGIN');
my $error = $stack->psql_error('CREATE EXTENSION loyalty', dbname => 'first');
is "$error->{sqlstate} $error->{message}", '42710 role "loyalty_engine" exists with more rights than the extension allows', 'a role that could log in is refused';
is $stack->psql(q{SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'loyalty%'}, dbname => 'first'), '0', 'and nothing is left of it';

done_testing;
