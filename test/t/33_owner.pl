# What CREATE EXTENSION, which a superuser runs, must not give away: whoever owns
# the database, or may make roles, could have prepared something for it.  The
# schema public, with operators of theirs, is not looked into; a role
# loyalty_engine that somebody can act as, or is about to, is refused.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use Loyalty;
use Test::More;

my $stack = Loyalty->start(level => 'cluster');

sub message_of
{
	my ($sql, $database) = @_;
	my $error = $stack->psql_error($sql, dbname => $database) // return 'no error';
	return "$error->{sqlstate} $error->{message}";
}

# --- a database whose owner has prepared it ---------------------------------------

# These fit better than PostgreSQL's own what the script calls with such types,
# and whoever runs them as superuser makes their owner one.
$stack->psql(q{CREATE ROLE mallory LOGIN PASSWORD 'mallory'; CREATE DATABASE hostile OWNER mallory});
$stack->psql(q{
	CREATE FUNCTION public.take() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
			ALTER ROLE mallory SUPERUSER;
		END IF;
	END $$;
	CREATE FUNCTION public.format(a text, b text, c text) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN PERFORM public.take(); RETURN pg_catalog.format(a, b, c); END $$;
	CREATE FUNCTION public.format(a text, b text, c name) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN PERFORM public.take(); RETURN pg_catalog.format(a, b, c); END $$;
	CREATE FUNCTION public.rem(a bigint, b integer) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
	BEGIN PERFORM public.take(); RETURN pg_catalog.mod(a, b::bigint); END $$;
	CREATE OPERATOR public.% (FUNCTION = public.rem, LEFTARG = bigint, RIGHTARG = integer);
	CREATE FUNCTION public.same(a name, b text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
	BEGIN PERFORM public.take(); RETURN a::text OPERATOR(pg_catalog.=) b; END $$;
	CREATE OPERATOR public.= (FUNCTION = public.same, LEFTARG = name, RIGHTARG = text);
	CREATE FUNCTION public.concat(a text, b text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
	BEGIN PERFORM public.take(); RETURN pg_catalog.concat(a, b); END $$;
	CREATE FUNCTION public.coalesce_all(a text, b integer) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
	BEGIN PERFORM public.take(); RETURN pg_catalog.concat(a, b); END $$;
	CREATE OPERATOR public.|| (FUNCTION = public.coalesce_all, LEFTARG = text, RIGHTARG = integer)},
	dbname => 'hostile', user => 'mallory', password => 'mallory');
my $is_superuser = q{SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'};
is $stack->psql($is_superuser), 'f', 'the owner of a database is no superuser';
$stack->psql(q{SELECT public.format('%s', 'a', 'b'); ALTER ROLE mallory NOSUPERUSER}, dbname => 'hostile');
$stack->psql('SET client_min_messages = warning; CREATE EXTENSION loyalty', dbname => 'hostile');
is $stack->psql($is_superuser), 'f', 'CREATE EXTENSION, by a superuser, does not make them one';
is $stack->psql(q{
	SELECT pg_describe_object(d.classid, d.objid, d.objsubid) || ' uses ' || pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid)
	FROM pg_depend d LEFT JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
		LEFT JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
	WHERE coalesce(o.oprnamespace, p.pronamespace) = 'public'::regnamespace
	  AND NOT EXISTS (SELECT FROM pg_operator x WHERE d.classid = 'pg_operator'::regclass AND x.oid = d.objid AND x.oprnamespace = 'public'::regnamespace)},
	dbname => 'hostile'), '', 'and no object of the extension uses anything in public';
$stack->psql(q{
	SELECT loyalty.create_merchant('La Ñ') AS merchant \gset
	SELECT loyalty.create_wallet(:merchant, 'Monedero', 5);
	SELECT count(*) FROM loyalty.members; SELECT count(*) FROM loyalty.limits; SELECT * FROM loyalty.verify();
	VACUUM ANALYZE; REINDEX DATABASE hostile}, dbname => 'hostile');
is $stack->psql($is_superuser), 'f', 'nor does what a superuser does afterwards';
is $stack->psql(q{SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'loyalty'}, dbname => 'hostile'), 'pg_catalog',
	'the extension looks into PostgreSQL\'s own schema only';
is message_of('ALTER EXTENSION loyalty SET SCHEMA public', 'hostile'), '0A000 extension "loyalty" does not support SET SCHEMA', 'it stays there';

# What others run here looks for what it calls on the path that the owner gave the database.
$stack->psql(q{CREATE ROLE till LOGIN PASSWORD 'till'; CREATE ROLE authenticator LOGIN NOINHERIT PASSWORD 'authenticator'; CREATE ROLE web_anon; GRANT web_anon TO authenticator;
	CREATE ROLE report LOGIN PASSWORD 'report'; CREATE ROLE analyst LOGIN PASSWORD 'analyst'; GRANT report TO analyst;
	SELECT loyalty.grant_operation('till'), loyalty.grant_api('web_anon'), loyalty.grant_reporting('report')}, dbname => 'hostile');
$stack->psql(q{
	CREATE TABLE public.taken (who text, what text); GRANT INSERT ON public.taken TO public;
	CREATE DOMAIN public.record AS text;
	CREATE FUNCTION public.keeps(moment pg_catalog.timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN INSERT INTO public.taken VALUES (session_user, current_user); RETURN true; END $$;
	CREATE DOMAIN public.timestamptz AS pg_catalog.timestamptz CHECK (public.keeps(VALUE));
	CREATE FUNCTION public.set_config(name text, value text, is_local boolean) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN INSERT INTO public.taken VALUES (session_user, value); RETURN pg_catalog.set_config(name, value, is_local); END $$;
	CREATE FUNCTION public.greater(a bigint, b integer) RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN INSERT INTO public.taken VALUES (session_user, current_user); RETURN a OPERATOR(pg_catalog.>) b; END $$;
	CREATE FUNCTION public.equal(a bigint, b integer) RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN INSERT INTO public.taken VALUES (session_user, current_user); RETURN a OPERATOR(pg_catalog.=) b; END $$;
	CREATE OPERATOR public.> (FUNCTION = public.greater, LEFTARG = bigint, RIGHTARG = integer);
	CREATE OPERATOR public.= (FUNCTION = public.equal, LEFTARG = bigint, RIGHTARG = integer);
	ALTER DATABASE hostile SET search_path = public, pg_catalog},
	dbname => 'hostile', user => 'mallory', password => 'mallory');
sub taken { return $stack->psql(q{SELECT string_agg(DISTINCT who || ' ' || what, ', ') FROM public.taken}, dbname => 'hostile') }
$stack->psql(q{SELECT set_config('request.headers', 'a key', true)}, dbname => 'hostile', user => 'till', password => 'till');
is taken(), '', 'but not for who was granted operations';
$stack->psql(q{SET search_path = public, pg_catalog; SELECT set_config('request.headers', 'a key', true)}, dbname => 'hostile', user => 'till', password => 'till');
is taken(), 'till a key', 'unless they have it otherwise: it may be a function of theirs';
$stack->psql('TRUNCATE public.taken', dbname => 'hostile');
$stack->psql(q{SELECT set_config('request.headers', 'a key', true)}, dbname => 'hostile', user => 'authenticator', password => 'authenticator');
is taken(), '', 'nor for who logs in for the API: PostgREST sets the headers so';
# Tools write bare names, and this one is closer to what they ask of than PostgreSQL's own.
$stack->psql(q{CREATE FUNCTION public.lower(t text) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN INSERT INTO public.taken VALUES (session_user, t); RETURN pg_catalog.lower(t); END $$},
	dbname => 'hostile', user => 'mallory', password => 'mallory');
# What the page has a superuser run in such a database, in both languages.
for my $page ('docs/operate.md', 'docs/es/operate.md')
{
	open my $in, '<', "$FindBin::Bin/../../$page" or die "$page: $!\n";
	my ($lines) = do { local $/; <$in> } =~ /^```sh\n((?:export [^\n]*\n)?roles=.*?)^pg_dumpall/ms or die "no roles in $page\n";
	$stack->psql(q{CREATE OR REPLACE FUNCTION public.current_database() RETURNS name LANGUAGE plpgsql AS $$
		BEGIN INSERT INTO public.taken VALUES (session_user, 'roles'); RETURN pg_catalog.current_database(); END $$}, dbname => 'hostile', user => 'mallory', password => 'mallory');
	my $commands = $lines =~ s/ loyalty / hostile /r . 'echo "$roles"';
	my $roles = $stack->with_env(sub { qx($commands) });
	like $roles, qr/till/, "$page: the roles";
	is taken(), '', 'are found by functions of PostgreSQL';
}
my $asks = 'SELECT count(lower(name)) FROM loyalty_report.dim_merchant';
for my $tool (qw(report analyst))
{
	is $stack->psql($asks, dbname => 'hostile', user => $tool, password => $tool), '1', "$tool reads reports";
	is taken(), '', 'by functions of PostgreSQL';
}
$stack->psql("SET search_path = public, pg_catalog; $asks", dbname => 'hostile', user => 'report', password => 'report');
like taken(), qr/^report La /, 'unless it has it otherwise';
$stack->psql('TRUNCATE public.taken', dbname => 'hostile');
for my $job (qw(minutely nightly))
{
	open my $in, '<', "$FindBin::Bin/../../debian/gateway/$job.sql" or die "$job.sql: $!\n";
	my $sql = do { local $/; <$in> };
	is $stack->psql_error($sql, dbname => 'hostile', user => 'till', password => 'till'), undef, "the $job job runs";
	is taken(), '', 'and calls nothing of theirs';
}
$stack->psql('ALTER DATABASE hostile RESET search_path');

$stack->psql('DROP EXTENSION loyalty; DROP SCHEMA public CASCADE', dbname => 'hostile');
is message_of('CREATE EXTENSION loyalty SCHEMA information_schema', 'hostile'), '0A000 extension "loyalty" must be installed in schema "pg_catalog"', 'and goes nowhere else';
$stack->psql('CREATE EXTENSION loyalty', dbname => 'hostile');
is $stack->psql('SELECT count(*) FROM loyalty.verify()', dbname => 'hostile'), '0', 'without a schema public it is there, and works';
$stack->psql('DROP EXTENSION loyalty', dbname => 'hostile');
is $stack->psql(q{SELECT count(*) FROM pg_namespace WHERE nspname ~ '^loyalty'}, dbname => 'hostile'), '0', 'DROP EXTENSION leaves no schema';

# --- a role of the name that was there before ----------------------------------------

is $stack->psql(q{SELECT count(*) FROM pg_roles WHERE rolname = 'loyalty_engine'}), '1', 'and leaves the role, which belongs to the server';
$stack->psql('CREATE DATABASE plain');
my $create = 'CREATE EXTENSION loyalty';
is message_of("$create; DROP EXTENSION loyalty", 'plain'), 'no error', 'a role that a former extension left is used';

my $rights = '42710 role "loyalty_engine" exists with more rights than the extension allows';
for my $attribute (qw(LOGIN SUPERUSER CREATEROLE CREATEDB REPLICATION BYPASSRLS))
{
	$stack->psql("ALTER ROLE loyalty_engine $attribute");
	is message_of($create, 'plain'), $rights, "one that is $attribute is not";
	$stack->psql("ALTER ROLE loyalty_engine NO$attribute");
}
my $members = '42710 role "loyalty_engine" exists with members, or is a member of other roles';
for my $membership ('loyalty_engine TO mallory', 'loyalty_engine TO mallory WITH ADMIN OPTION', 'mallory TO loyalty_engine', 'pg_read_server_files TO loyalty_engine')
{
	$stack->psql("GRANT $membership");
	is message_of($create, 'plain'), $members, "nor one after GRANT $membership";
	$stack->psql('REVOKE ' . $membership =~ s/ TO / FROM /r =~ s/ WITH.*//r);
}
$stack->psql('GRANT loyalty_engine TO mallory');
my $error = $stack->psql_error($create, dbname => 'plain');
is $error->{detail}, 'mallory is a member of loyalty_engine.', 'the error says who';
is $stack->psql(q{SELECT count(*) FROM pg_namespace WHERE nspname ~ '^loyalty'}, dbname => 'plain'), '0', 'nothing is left of what was refused';
$stack->psql('REVOKE loyalty_engine FROM mallory');
for my $role (qw(loyalty_engine loyalty_auditor loyalty_eraser))
{
	for my $made ('CREATE FUNCTION public.door(q text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN EXECUTE q; END $$; ALTER FUNCTION public.door(text) OWNER TO %s',
		'CREATE SCHEMA its AUTHORIZATION %s', 'ALTER DEFAULT PRIVILEGES FOR ROLE %s GRANT EXECUTE ON FUNCTIONS TO mallory')
	{
		$stack->psql(sprintf($made, $role), dbname => 'plain');
		is message_of($create, 'plain'), qq(42710 role "$role" exists and owns something in this database), "nor $role after " . substr $made, 0, 30;
		$stack->psql("DROP OWNED BY $role", dbname => 'plain');
	}
}
$stack->psql('DROP ROLE loyalty_engine; CREATE ROLE loyalty_engine');
is message_of($create, 'plain'), 'no error', 'a plain role of the name is used';
$stack->psql('DROP EXTENSION loyalty', dbname => 'plain');

# --- what the maker of a role still has of it ----------------------------------------

# No catalog shows an open transaction, or a session that has become the role.
my $make_roles = join ' ', map { "DROP ROLE IF EXISTS $_; CREATE ROLE $_;" } qw(loyalty_engine loyalty_auditor loyalty_eraser);
my $waits = q{SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'CREATE EXTENSION%'};
$stack->psql('CREATE DATABASE another');
$stack->psql('CREATE FUNCTION public.door(q text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN EXECUTE q; END $$', dbname => $_) for qw(plain another);

sub create_beside
{
	my ($statement, $end) = @_;
	$stack->psql($make_roles);
	my ($open, $super) = map { $stack->connect_async(dbname => 'plain') } 1, 2;
	$open->query("BEGIN; $statement");
	$super->send($create);
	select undef, undef, undef, 0.05 until $super->is_ready || $stack->psql($waits) > 0;
	is $super->is_ready, 0, "CREATE EXTENSION waits for an open $statement";
	$open->query($end);
	my $said = $super->receive;
	$_->close for $open, $super;
	return $said;
}
for my $case (
	['GRANT loyalty_engine TO mallory', 'members', 'REVOKE loyalty_engine FROM mallory'],
	['GRANT loyalty_auditor TO mallory', 'members', 'REVOKE loyalty_auditor FROM mallory'],
	['GRANT mallory TO loyalty_eraser', 'members', 'REVOKE mallory FROM loyalty_eraser'],
	["ALTER ROLE loyalty_engine LOGIN PASSWORD 'known'", 'more rights', 'ALTER ROLE loyalty_engine NOLOGIN'],
	map { ["ALTER FUNCTION public.door(text) OWNER TO $_", 'owns something', 'ALTER FUNCTION public.door(text) OWNER TO postgres'] } qw(loyalty_engine loyalty_eraser))
{
	my ($statement, $refusal, $undo) = @$case;
	like create_beside($statement, 'COMMIT'), qr/ERROR:  42710: role "loyalty_\w+" exists (and|with) $refusal/, 'and refuses what that has done';
	$stack->psql($undo, dbname => 'plain');
}
is create_beside('GRANT loyalty_engine TO mallory', 'ROLLBACK'), '', 'or goes on when it has done nothing';
$stack->psql('DROP EXTENSION loyalty', dbname => 'plain');

$stack->psql("$make_roles GRANT loyalty_engine TO mallory");
my $mallory = $stack->connect_async(dbname => 'plain', user => 'mallory', password => 'mallory');
is $mallory->query('SET ROLE loyalty_engine; SELECT current_user'), 'loyalty_engine', 'a session that was the role when mallory could act as it';
$stack->psql('REVOKE loyalty_engine FROM mallory');
is message_of($create, 'plain'), 'no error', 'is not seen';
like $mallory->query('SELECT * FROM loyalty_internal.app_user'), qr/permission denied/, 'and reads nothing of the extension\'s';
like $mallory->query('ALTER FUNCTION loyalty.create_merchant(text, text) SECURITY INVOKER'), qr/permission denied|must be owner/, 'nor changes a function';
$mallory->close;

# Another database's extension needs the roles that are there.
is message_of($create, 'another'), 'no error', 'what CREATE EXTENSION made is shared with another database';
$stack->psql('DROP EXTENSION loyalty', dbname => $_) for qw(plain another);
$stack->psql($make_roles);
$stack->psql('ALTER FUNCTION public.door(text) OWNER TO loyalty_engine', dbname => 'another');
$error = $stack->psql_error($create, dbname => 'plain');
is $error->{message}, 'role "loyalty_engine" exists, is in use, and was not made by CREATE EXTENSION', 'what somebody else made is not, though it owns nothing here';
is $error->{detail}, 'Something depends on it in: another.', 'the error says where it is used';
$stack->psql('ALTER ROLE mallory CREATEROLE');
$stack->psql('GRANT loyalty_engine TO mallory WITH ADMIN OPTION');
for my $forged ("ALTER ROLE loyalty_engine SET loyalty_role.made_by = 'CREATE EXTENSION loyalty'",
	"SET loyalty_role.made_by = 'CREATE EXTENSION loyalty'; ALTER ROLE loyalty_engine SET loyalty_role.made_by FROM CURRENT")
{
	$error = $stack->psql_error($forged, dbname => 'plain', user => 'mallory', password => 'mallory');
	is "$error->{sqlstate} $error->{message}", '42501 permission denied to set parameter "loyalty_role.made_by"', 'that only a superuser says who made it';
}
$stack->psql('REVOKE loyalty_engine FROM mallory');

done_testing;
