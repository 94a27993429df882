# Chromium.pm - pages, as a browser shows them: Chromium without a window, told what
# to do through a pipe by its own protocol (DevTools).
#
#     my $browser = Chromium->start;
#     $browser->size(360, 640);               # of the window
#     $browser->scheme('dark');
#     $browser->visit('http://127.0.0.1:…');
#     $browser->ask('document.title');        # what the script comes to, in the page
#     $browser->picture('page.png');
#     $browser->complaints;                   # what it had to say of the page since it was opened
package Chromium;

use strict;
use warnings;

use Carp qw(croak);
use File::Path qw(remove_tree);
use File::Temp ();
use JSON::PP ();
use MIME::Base64 qw(decode_base64);
use POSIX ();
use Time::HiRes ();

use constant PATIENCE_S => 120;

my $json = JSON::PP->new->utf8->allow_nonref;

sub program
{
	my ($program) = grep { -x } map { my $folder = $_; map { "$folder/$_" } qw(chromium-headless-shell chromium) } split /:/, "$ENV{PATH}:/usr/bin";
	return $program;
}

# It reads descriptor 3, and writes 4.  Without its sandbox, which no container lets it make: what it opens is ours.
sub start
{
	my $class = shift;
	my $program = $class->program or croak 'Chromium is not installed';
	my $folder = File::Temp->newdir('chromium.XXXXXX', TMPDIR => 1);
	pipe my $its_in, my $out or croak "pipe: $!";
	pipe my $in, my $its_out or croak "pipe: $!";
	defined(my $pid = fork) or croak "fork: $!";
	if ($pid == 0)
	{
		# above 4, and then down
		my ($read, $write) = map { POSIX::dup2(fileno $_->[0], $_->[1]) } [$its_in, 23], [$its_out, 24];
		open STDIN, '<', '/dev/null';
		open STDOUT, '>', '/dev/null';
		open STDERR, '>', "$folder/log";
		POSIX::dup2(23, 3);
		POSIX::dup2(24, 4);
		POSIX::close($_) for 23, 24;
		$ENV{HOME} = "$folder";
		exec $program, qw(--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --hide-scrollbars --no-proxy-server --remote-debugging-pipe),
			"--user-data-dir=$folder/profile", 'about:blank' or POSIX::_exit(127);
	}
	close $its_in;
	close $its_out;
	binmode $_ for $in, $out;
	$out->autoflush(1);
	my $self = bless {pid => $pid, in => $in, out => $out, buffer => '', number => 0, events => [], folder => $folder}, $class;
	my $target = $self->tell('Target.createTarget', {url => 'about:blank'})->{targetId};
	$self->{session} = $self->tell('Target.attachToTarget', {targetId => $target, flatten => JSON::PP::true})->{sessionId};
	$self->tell("$_.enable") for qw(Page Runtime Log);
	return $self;
}

# The next message, of those that it sends by itself too.
sub receive
{
	my $self = shift;
	my $end = Time::HiRes::time() + PATIENCE_S;
	until ($self->{buffer} =~ /\0/)
	{
		my $wanted = '';
		vec($wanted, fileno $self->{in}, 1) = 1;
		select(my $ready = $wanted, undef, undef, 1);
		croak 'Chromium says nothing' if Time::HiRes::time() > $end;
		next unless vec($ready, fileno $self->{in}, 1);
		sysread($self->{in}, $self->{buffer}, 1 << 20, length $self->{buffer}) or croak "Chromium has ended: " . $self->last_words;
	}
	$self->{buffer} =~ s/\A([^\0]*)\0//;
	return $json->decode($1);
}

sub last_words
{
	my $self = shift;
	open my $log, '<', "$self->{folder}/log" or return '';
	return join '', <$log>;
}

# A method of the protocol, and what it answers.
sub tell
{
	my ($self, $method, $parameters) = @_;
	my $number = ++$self->{number};
	my %message = (id => $number, method => $method, params => $parameters // {});
	$message{sessionId} = $self->{session} if $self->{session};
	print {$self->{out}} $json->encode(\%message) . "\0";
	while (1)
	{
		my $message = $self->receive;
		if (($message->{id} // 0) == $number)
		{
			croak "$method: $message->{error}{message}" if $message->{error};
			return $message->{result};
		}
		push @{$self->{events}}, $message if $message->{method};
	}
}

sub wait_for
{
	my ($self, $method) = @_;
	until (grep { $_->{method} eq $method } @{$self->{events}})
	{
		my $message = $self->receive;
		push @{$self->{events}}, $message if $message->{method};
	}
	return;
}

sub visit
{
	my ($self, $url) = @_;
	$self->{events} = [];
	my $answer = $self->tell('Page.navigate', {url => $url});
	croak "$url: $answer->{errorText}" if $answer->{errorText};
	$self->wait_for('Page.loadEventFired');
	return;
}

sub ask
{
	my ($self, $script) = @_;
	my $answer = $self->tell('Runtime.evaluate', {expression => $script, returnByValue => JSON::PP::true});
	croak "$script: $answer->{exceptionDetails}{exception}{description}" if $answer->{exceptionDetails};
	return $answer->{result}{value};
}

sub size
{
	my ($self, $width, $height) = @_;
	$self->tell('Emulation.setDeviceMetricsOverride', {width => $width, height => $height, deviceScaleFactor => 1, mobile => $width < 600 ? JSON::PP::true : JSON::PP::false});
	return;
}

sub scheme
{
	my ($self, $scheme) = @_;
	$self->tell('Emulation.setEmulatedMedia', {media => '', features => [{name => 'prefers-color-scheme', value => $scheme}]});
	return;
}

sub write_file
{
	my ($file, $bytes) = @_;
	open my $out, '>:raw', $file or croak "$file: $!";
	print $out $bytes;
	close $out or croak "$file: $!";
	return;
}

# All of the page, however long it is.
sub picture
{
	my ($self, $file) = @_;
	write_file($file, decode_base64($self->tell('Page.captureScreenshot', {captureBeyondViewport => JSON::PP::true})->{data}));
	return;
}

# As it is printed.
sub print_to
{
	my ($self, $file) = @_;
	write_file($file, decode_base64($self->tell('Page.printToPDF', {preferCSSPageSize => JSON::PP::true, printBackground => JSON::PP::true})->{data}));
	return;
}

# What it refused, and what a script wrote or died of.
sub complaints
{
	my $self = shift;
	$self->ask('1');
	return map { $_->{params}{entry}{text} // $_->{method} } grep { $_->{method} =~ /^(?:Log[.]entryAdded|Runtime[.](?:exceptionThrown|consoleAPICalled)|Page[.]javascriptDialogOpening)$/ } @{$self->{events}};
}

# What is wider than the window, as a script of ask(): names of the elements, none if there are none.
sub too_wide
{
	my $self = shift;
	return $self->ask(q{(() => { const w = document.documentElement.clientWidth;
		const out = [...document.querySelectorAll('body *')].filter(e => { const r = e.getBoundingClientRect(); return r.width > 0 && (r.right > w + 1 || r.left < -1); }).map(e => e.tagName + '.' + (e.getAttribute('class') || ''));
		return (document.documentElement.scrollWidth > w ? ['page ' + document.documentElement.scrollWidth] : []).concat(out).join(' '); })()});
}

sub stop
{
	my $self = shift;
	my $pid = delete $self->{pid} or return;
	local ($?, $@, $!);
	local $SIG{PIPE} = 'IGNORE';
	# its other processes write to the folder until it has ended them itself
	print {$self->{out}} $json->encode({id => ++$self->{number}, method => 'Browser.close'}) . "\0";
	my $end = Time::HiRes::time() + PATIENCE_S;
	until (waitpid($pid, POSIX::WNOHANG()) != 0)
	{
		kill 'KILL', $pid if Time::HiRes::time() > $end;
		Time::HiRes::sleep(0.05);
	}
	close $self->{$_} for qw(in out);
	for (1 .. 100)
	{
		remove_tree("$self->{folder}", {safe => 1, error => \my $errors});
		last unless -e "$self->{folder}";
		Time::HiRes::sleep(0.05);
	}
	return;
}

sub DESTROY { my $self = shift; return $self->stop }

1;
