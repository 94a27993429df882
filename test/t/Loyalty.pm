# Loyalty.pm - a running system for the tests in this folder.
#
#     use FindBin;
#     use lib $FindBin::Bin;
#     use Loyalty;
#
#     my $stack = Loyalty->start;                  # or (level => 'database')
#     is $stack->psql('SELECT 1'), '1';
#     my $answer = $stack->form('/wallet/get');
#     is $answer->{status}, 200;
#
# test/stack.sh starts and stops it; it ends with the test.  A test whose server
# crashed fails, unless it said expect_crash, and so does one after which a log
# has a secret that was used.
package Loyalty;

use strict;
use warnings;

use File::Basename qw(basename dirname);
use File::Spec;
use File::Temp qw(tempdir);
use HTTP::Tiny;
use IO::Socket::INET;
use IPC::Run ();
use JSON::PP ();
use Test::More ();
use Time::HiRes ();

# After so many seconds something hangs, on a slow machine and a busy one too.
use constant HANG_S => 1200;

my $script = File::Spec->rel2abs(dirname(__FILE__) . '/../stack.sh');
my @running;

# PostgreSQL does not run as root.
my @as_owner = $> == 0 ? qw(setpriv --reuid=postgres --regid=postgres --init-groups --) : ();
sub as_owner { return @as_owner }

# Levels: cluster, database, http, demo (what you get unless told; it has the
# rows of test/demo.sql).  Other options: durable => 1, rate => '500r/s',
# standby => 1 for a hot standby too, whose port is in LOYALTY_STANDBY_PORT;
# clock => 1 for one that advance_clock() moves, of which a second takes
# clock_rate => 100 of them; isolation => 'read committed' for sessions that wait
# for each other, where the server's default may be another level.
sub start
{
	my ($class, %option) = @_;
	my $self = bless {
		run => tempdir('run.XXXXXX', DIR => $ENV{LOYALTY_TMP} // '/tmp', CLEANUP => 1) . '/stack',
		level => $option{level} // 'demo',
		log_offset => 0,
		isolation => $option{isolation},
	}, $class;
	local $ENV{LOYALTY_DURABLE} = $option{durable} ? 1 : 0;
	local $ENV{LOYALTY_STANDBY} = $option{standby} ? 1 : 0;
	local $ENV{LOYALTY_RATE} = $option{rate} // '';
	local $ENV{LOYALTY_CLOCK} = $option{clock} ? 0 : '';
	local $ENV{LOYALTY_CLOCK_RATE} = $option{clock_rate} // 100;
	push @running, $self;
	system($script, 'up', $self->{run}, $self->{level}) == 0
		or die "the servers did not start\n";
	$self->read_settings;
	if ($option{clock})
	{
		my $clock = $self->env('LOYALTY_CLOCK');
		open $self->{clock}, '+<:raw', $clock or die "$clock: $!\n";
		sysread($self->{clock}, my $setting, 24) == 24 or die "$clock: $!\n";
		@$self{qw(clock_offset_us clock_since_us clock_rate)} = unpack 'q3', $setting;
	}
	return $self;
}

# What stack.sh wrote: the settings, by their names in .run/env.
sub read_settings
{
	my $self = shift;
	open my $in, '<:encoding(UTF-8)', "$self->{run}/env" or die "$self->{run}/env: $!\n";
	while (my $line = <$in>)
	{
		$line =~ /^(\w+)='(.*)'$/ or next;
		my ($name, $value) = ($1, $2);
		$value =~ s/'\\''/'/g;
		$self->{env}{$name} = $value;
	}
	return;
}

# A setting: $stack->env('LOYALTY_APIKEY').
sub env { return $_[0]{env}{$_[1]} // die "there is no setting $_[1]\n" }

sub url { return $_[0]->env('LOYALTY_URL') }
sub bindir { return $_[0]->env('LOYALTY_BINDIR') }
sub data_dir { return $_[0]->env('LOYALTY_PGDATA') }
sub port { return $_[0]->env('PGPORT') }

# A folder for the test's own files, removed with the stack.  A second server
# whose data directory is in here is stopped with the stack too.
sub work_dir { return dirname($_[0]->data_dir) }

# Run CODE with the settings of libpq in the environment; options replace them.
sub with_env
{
	my ($self, $code, %option) = @_;
	local %ENV = (%ENV, map { $_ => $self->env($_) } grep { /^PG/ } keys %{$self->{env}});
	$ENV{PGDATABASE} = $option{dbname} if defined $option{dbname};
	$ENV{PGUSER} = $option{user} if defined $option{user};
	$ENV{PGPASSWORD} = $option{password} if defined $option{password};
	$ENV{PGPORT} = $option{port} if defined $option{port};
	if (defined $self->{isolation})
	{
		(my $level = $self->{isolation}) =~ s/ /\\ /g;
		$ENV{PGOPTIONS} = "-c default_transaction_isolation=$level";
	}
	$ENV{PATH} = $self->bindir . ":$ENV{PATH}";
	return $code->();
}

# --- SQL ----------------------------------------------------------------------

sub psql_command
{
	return ('psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose', '-v', 'SHOW_CONTEXT=never', '-f', '-');
}

sub try_psql
{
	my ($self, $sql, %option) = @_;
	my ($out, $err) = ('', '');
	utf8::encode($sql) if utf8::is_utf8($sql);
	my $fine = $self->with_env(
		sub { IPC::Run::run([psql_command()], '<', \$sql, '>', \$out, '2>', \$err) }, %option);
	utf8::decode($_) for $out, $err;
	chomp $out;
	return ($fine, $out, $err);
}

# What the statements print, unaligned; dies if one fails.
sub psql
{
	my ($self, $sql, %option) = @_;
	my ($fine, $out, $err) = $self->try_psql($sql, %option);
	die "psql failed: $err\n  $sql\n" unless $fine;
	return $out;
}

# The error that the statements end with: {sqlstate, message, detail, hint};
# undef if there is none.
sub psql_error
{
	my ($self, $sql, %option) = @_;
	my ($fine, $out, $err) = $self->try_psql($sql, %option);
	return if $fine;
	my ($sqlstate, $message) = $err =~ /^(?:psql:\S+ )?(?:ERROR|FATAL|PANIC): +([0-9A-Z]{5}): (.*)$/m;
	my ($detail) = $err =~ /^DETAIL: +(.*)$/m;
	my ($hint) = $err =~ /^HINT: +(.*)$/m;
	return {sqlstate => $sqlstate, message => $message // $err, detail => $detail, hint => $hint};
}

# Both PostgREST read the schema again, or what signals of theirs are for, soon.
sub reload_postgrest
{
	my ($self, @signals) = @_;
	for my $name (qw(postgrest batches))
	{
		my $file = $self->work_dir . "/$name.pid";
		open my $in, '<', $file or die "$file: $!\n";
		chomp(my $pid = <$in>);
		kill $_, $pid or die "kill $pid: $!\n" for @signals ? @signals : 'USR1';
	}
	return;
}

# Ask until the answer is true, and return it; what a hang ends with is not.
sub wait_until
{
	my ($self, $ask) = @_;
	my $end = Time::HiRes::time() + HANG_S;
	my $answer;
	until ($answer = $ask->() or Time::HiRes::time() > $end)
	{
		Time::HiRes::sleep(0.02);
	}
	return $answer;
}

# Tests name entries by their place in the account: in SQL, from now on,
# test.entry(account_id, entry_no) is the entry_id, and test.entry_no(account_id,
# entry_id) the place, and test.peer_no(merchant_id, entry_id) that of an entry of
# whatever account.  Where no entry is, the place itself is no entry's id.
sub name_entries
{
	my $self = shift;
	$self->psql(q{
		CREATE SCHEMA test;
		CREATE FUNCTION test.entry(account bigint, place bigint) RETURNS bigint LANGUAGE sql AS $$
			SELECT coalesce((SELECT e.entry_id FROM loyalty_internal.account a JOIN loyalty.entry e USING (merchant_id, account_id)
				WHERE a.account_id = account AND e.entry_no = place), place)
		$$;
		CREATE FUNCTION test.entry_no(account bigint, entry bigint) RETURNS bigint LANGUAGE sql AS $$
			SELECT e.entry_no FROM loyalty_internal.account a JOIN loyalty.entry e USING (merchant_id, account_id)
			WHERE a.account_id = account AND e.entry_id = entry
		$$;
		CREATE FUNCTION test.peer_no(merchant bigint, entry bigint) RETURNS bigint LANGUAGE sql STRICT AS $$
			SELECT e.entry_no FROM loyalty.entry e WHERE e.merchant_id = merchant AND e.entry_id = entry
		$$});
	return;
}

# The statement that gives a program these terms, which are settings but for
# active.  The program is an expression in SQL.
sub configure
{
	my ($merchant, $program, %terms) = @_;
	my $active = delete $terms{active};
	my $settings = join ', ', map { qq{"$_": } . in_json($_, $terms{$_}) } grep { defined $terms{$_} } sort keys %terms;
	my @calls = $settings ? "loyalty.configure_program($merchant, $program, '{$settings}')" : ();
	push @calls, 'loyalty.' . ($active ? 'enable' : 'disable') . "_program($merchant, $program)" if defined $active;
	return 'SELECT ' . join ', ', @calls;
}

sub in_json
{
	my ($name, $value) = @_;
	return $value ? 'true' : 'false' if $name =~ /^(?:currency_active|unit_base|unit_active|earn_on_points)$/;
	return $value =~ /^-?\d+(?:\.\d+)?$/ ? $value : qq{"$value"};
}

# A text of the seller API with "entry 3 of 17" for the entry_id of its transactions:
# their places, and their accounts.
sub tell_entries
{
	my ($self, $text) = @_;
	my %told = map { split /=/ } split /\n/, $self->psql(q{SELECT format('%s=entry %s of %s', entry_id, entry_no, account_id) FROM loyalty.entry});
	return $text =~ s/(?<="transaction[iI]d":")(\d+)(?=")/$told{$1} \/\/ $1/ger;
}

# A session in the background: $session->query($sql) waits for the answer,
# $session->send($sql) does not and $session->receive gets it later, errors in
# it as psql prints them; $session->close ends it.
sub connect_async
{
	my ($self, %option) = @_;
	return $self->with_env(sub { Loyalty::Session->new }, %option);
}

# --- HTTP ---------------------------------------------------------------------

# {status, headers, body}: the body as bytes.  A path is sent to the gateway,
# an address to where it says.
sub http
{
	my ($self, $method, $path, $headers, $body) = @_;
	my $url = $path =~ m{^http://} ? $path : $self->url . $path;
	$self->know_secrets($path, $headers, $body);
	my %request = (headers => {%{$headers // {}}});
	if (defined $body)
	{
		utf8::encode($body) if utf8::is_utf8($body);
		$request{content} = $body;
	}
	my $answer = HTTP::Tiny->new(timeout => HANG_S, max_redirect => 0, keep_alive => 0)->request($method, $url, \%request);
	die "no answer from $url: $answer->{content}\n" if $answer->{status} == 599;
	return {status => $answer->{status}, headers => $answer->{headers}, body => $answer->{content}};
}

# The same with the body decoded into {json}.
sub http_json
{
	my ($self, @request) = @_;
	my $answer = $self->http(@request);
	$answer->{json} = eval { JSON::PP->new->utf8->allow_nonref->decode($answer->{body}) };
	return $answer;
}

sub form_encode
{
	my @fields = @_;
	my @pairs;
	while (my ($name, $value) = splice @fields, 0, 2)
	{
		for ($name, $value)
		{
			$_ //= '';
			utf8::encode($_) if utf8::is_utf8($_);
			s/([^A-Za-z0-9_.~-])/sprintf '%%%02X', ord $1/ge;
		}
		push @pairs, "$name=$value";
	}
	return join '&', @pairs;
}

# Post a form as the demo's merchant, like a client of the documented API.
# Fields as a hash, or as a list when their order or repetition matters;
# headers replace the usual ones.
sub form
{
	my ($self, $path, $fields, $headers) = @_;
	my @fields = ref $fields eq 'HASH' ? map { $_ => $fields->{$_} } sort keys %$fields : @{$fields // []};
	return $self->http_json('POST', $path,
		{apikey => $self->{env}{LOYALTY_APIKEY} // '', 'Content-Type' => 'application/x-www-form-urlencoded', %{$headers // {}}},
		form_encode(@fields));
}

# Bytes to the gateway as they are; all bytes that come back before it closes
# the connection.
sub raw
{
	my ($self, $bytes) = @_;
	$self->know_secrets($bytes =~ /^\S+ (\S+)/ ? $1 : '', {$bytes =~ /^(apikey|Authorization): *(\S.*?)\r?$/mig}, undef);
	my ($address) = $self->url =~ m{^http://(.*)$};
	my $socket = IO::Socket::INET->new(PeerAddr => $address, Timeout => HANG_S) or die "connect: $@\n";
	my ($answer, $readable) = ('', '');
	local $SIG{PIPE} = 'IGNORE';
	$socket->print($bytes);
	$socket->flush;
	vec($readable, fileno($socket), 1) = 1;
	while (select(my $ready = $readable, undef, undef, HANG_S))
	{
		sysread($socket, $answer, 65536, length $answer) or last;
	}
	close $socket;
	return $answer;
}

# --- the server -----------------------------------------------------------------

# What PostgreSQL logged since the stack started, or since forget_log.
sub server_log
{
	my $self = shift;
	open my $in, '<:encoding(UTF-8)', $self->env('LOYALTY_LOG') or die "server log: $!\n";
	seek $in, $self->{log_offset}, 0;
	local $/;
	return <$in> // '';
}

sub forget_log
{
	my $self = shift;
	$self->{log_offset} = -s $self->env('LOYALTY_LOG') // 0;
	return;
}

sub pg_ctl
{
	my ($self, @arguments) = @_;
	my $fine = IPC::Run::run(
		[@as_owner, $self->bindir . '/pg_ctl', '-D', $self->data_dir, '-w', '-t', HANG_S, @arguments],
		'<', '/dev/null', '>', $self->work_dir . '/pg_ctl.log', '2>&1');
	die "pg_ctl @arguments failed\n" unless $fine;
	return;
}

# --- secrets: nothing that proves who one is gets into a log ------------------------

# The secrets of a request: keys in headers and paths, and what the documents
# have for them in bodies.  Short ones may stand in a log by chance.
sub know_secrets
{
	my ($self, $path, $headers, $body) = @_;
	my %header = map { lc $_ => $headers->{$_} } grep { defined $headers->{$_} && !ref $headers->{$_} } keys %{$headers // {}};
	my @secrets = grep { defined } $header{apikey}, ($header{authorization} // '') =~ /(\S+)$/, $path =~ m{/v1/seller/([^/?]+)};
	push @secrets, $body =~ /"(?:firma_KEY|token|clave_aceptacion|password)"\s*:\s*"([^"\\]+)"/g, $body =~ /(?:^|&)password=([^&]+)/g if defined $body && length $body < 100_000;
	$self->{secrets}{$_} = 1 for grep { length >= 12 && length() < 200 && !/[^!-~]/ } @secrets;
	return;
}

# Lines of the logs of all servers that have one, or what looks like an API key.
sub lines_with_secrets
{
	my $self = shift;
	my ($fine, $keys) = $self->try_psql('SELECT private_key FROM loyalty_internal.app_user_key');
	my @known = (keys %{$self->{secrets} // {}}, $fine ? split /\n/, $keys : ());
	my $secret = join '|', 'lk_[0-9a-f]{64}', map { quotemeta } @known;
	my @lines;
	for my $log (grep { -f } $self->env('LOYALTY_LOG'), glob($self->work_dir . '/{postgrest,batches,nginx,standby*}.log'), glob($self->work_dir . '/{nginx,standby-nginx}/{*.log,logs/*}'))
	{
		open my $in, '<:raw', $log or die "$log: $!\n";
		while (my $line = <$in>)
		{
			push @lines, basename($log) . ": $line" if $line =~ /$secret/;
		}
	}
	return @lines;
}

# --- the clock: test/clock.c, in PostgreSQL only ----------------------------------

# In one write, so that nobody reads a part of it.
sub write_clock
{
	my ($self, $offset_us) = @_;
	$self->{clock_offset_us} = $offset_us;
	sysseek $self->{clock}, 0, 0;
	syswrite($self->{clock}, pack 'q', $offset_us) == 8 or die "the clock cannot be moved: $!\n";
	return;
}

# Time goes on by so many seconds at once, for everybody.
sub advance_clock
{
	my ($self, $seconds) = @_;
	die "there is no clock to be moved\n" unless $self->{clock};
	die "time does not go back\n" if $seconds < 0;
	return $self->write_clock($self->{clock_offset_us} + int($seconds * 1e6 + 0.5));
}

# From now on it is this moment, in microseconds since 1970; time may go back.
sub set_clock
{
	my ($self, $us) = @_;
	return $self->write_clock($self->{clock_offset_us} + $us - $self->clock_us);
}

# From now on it is this moment, and stays it until it is another.
sub stop_clock
{
	my ($self, $us) = @_;
	@$self{qw(clock_offset_us clock_rate)} = ($us - $self->{clock_since_us}, 0);
	sysseek $self->{clock}, 0, 0;
	syswrite($self->{clock}, pack 'q3', @$self{qw(clock_offset_us clock_since_us clock_rate)}) == 24 or die "the clock cannot be stopped: $!\n";
	return;
}

# Go on to the next noon in Mexico City, so that no day ends meanwhile.
sub noon
{
	my $self = shift;
	return $self->advance_clock((64_800_000_000 - $self->clock_us) % 86_400_000_000 / 1e6);
}

# What the clock of the server shows: microseconds since 1970.  It is a slow one.
sub clock_us
{
	my $self = shift;
	my ($s, $us) = Time::HiRes::gettimeofday();
	my $true = $s * 1_000_000 + $us;
	return $true unless $self->{clock};
	return $self->{clock_since_us} + $self->{clock_offset_us} unless $self->{clock_rate};
	return $self->{clock_since_us} + int(($true - $self->{clock_since_us}) / $self->{clock_rate}) + $self->{clock_offset_us};
}

sub stop_postgres { my ($self, $mode) = @_; return $self->pg_ctl('-m', $mode // 'fast', 'stop') }

sub start_postgres
{
	my $self = shift;
	local %ENV = (%ENV, LD_PRELOAD => $self->work_dir . '/clock.so', LOYALTY_CLOCK => $self->env('LOYALTY_CLOCK')) if $self->{clock};
	return $self->pg_ctl('-l', $self->env('LOYALTY_LOG'), 'start');
}

sub restart_postgres
{
	my ($self, $mode) = @_;
	$self->stop_postgres($mode);
	return $self->start_postgres;
}

# From now on a crash of the server is part of the test.
sub expect_crash { $_[0]{crash_expected} = 1; return }

sub stop
{
	my $self = shift;
	return 1 if $self->{stopped}++;
	my $failed = 0;
	if (!$self->{crash_expected} && $self->{env} && -e $self->env('LOYALTY_LOG'))
	{
		$self->{log_offset} = 0;
		my @lines = grep { /PANIC|TRAP:|terminated by signal/ } split /\n/, $self->server_log;
		Test::More::diag("the server crashed: $_") for @lines;
		$failed = @lines > 0;
	}
	if ($self->{env} && -e $self->env('LOYALTY_LOG'))
	{
		my @lines = $self->lines_with_secrets;
		Test::More::diag("a log has a secret: " . substr $_, 0, 500) for @lines[0 .. ($#lines < 9 ? $#lines : 9)];
		$failed ||= @lines > 0;
	}
	system($script, 'down', $self->{run});
	return !$failed;
}

END
{
	my $status = $?;
	for my $stack (@running)
	{
		$status ||= 99 unless $stack->stop;
	}
	$? = $status;
}

# So that the servers end when the test is told to.
$SIG{$_} = sub { exit 130 } for qw(INT TERM);

package Loyalty::Session;

sub new
{
	my $class = shift;
	my $self = bless {in => '', out => '', sent => 0, asked => 0}, $class;
	my @command = ('psql', '-XqAt', '-v', 'VERBOSITY=verbose', '-v', 'SHOW_CONTEXT=never', '-f', '-');
	$self->{timer} = IPC::Run::timeout(Loyalty::HANG_S);
	$self->{harness} = IPC::Run::start(\@command, '<', \$self->{in}, '>', \$self->{out}, '2>&1', $self->{timer});
	return $self;
}

sub send
{
	my ($self, $sql) = @_;
	utf8::encode($sql) if utf8::is_utf8($sql);
	$self->{sent}++;
	$self->{in} .= "$sql\n;\n\\echo -- answer $self->{sent} --\n";
	$self->{harness}->pump_nb;
	return;
}

sub receive
{
	my $self = shift;
	my $number = ++$self->{asked};
	my $end = qr/^-- answer $number --\n/m;
	$self->{timer}->start(Loyalty::HANG_S);
	$self->{harness}->pump until $self->{out} =~ $end;
	my ($answer) = $self->{out} =~ /\A(.*?)^-- answer $number --\n/ms;
	$self->{out} =~ s/\A.*?^-- answer $number --\n//ms;
	utf8::decode($answer);
	chomp $answer;
	return $answer;
}

sub query
{
	my ($self, $sql) = @_;
	$self->send($sql);
	return $self->receive;
}

# Has the answer to the oldest send arrived?
sub is_ready
{
	my $self = shift;
	my $number = $self->{asked} + 1;
	$self->{harness}->pump_nb;
	return $self->{out} =~ /^-- answer $number --$/m ? 1 : 0;
}

sub close
{
	my $self = shift;
	$self->{harness}->finish;
	return;
}

1;
