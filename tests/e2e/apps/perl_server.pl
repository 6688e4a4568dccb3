# The same pages as the other applications, on Perl's SCGI module: perl perl_server.pl PORT
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use IO::Socket::INET;
use JSON::PP;
use SCGI;
use Time::HiRes qw(sleep time);

$SIG{PIPE} = 'IGNORE';

sub respond {
    my ($out, $status, $body, @headers) = @_;
    my $length = length $body;
    print $out join "\r\n", "Status: $status", 'Content-Type: text/plain',
        "Content-Length: $length", @headers, '', $body;
}

sub decode {
    my ($text) = @_;
    $text =~ tr/+/ /;
    $text =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
    return $text;
}

sub fields {
    my ($text) = @_;
    return map { decode($_) } map { my ($name, $value) = split /=/, $_, 2; ($name, $value // '') }
        split /&/, $text;
}

sub stream {
    my ($out, $gate) = @_;
    print $out "Content-Type: text/plain\r\n\r\nfirst\n";
    $out->flush;
    my $end = time + 10;
    sleep 0.01 until -e $gate || time > $end;
    print $out "second\n";
}

sub serve {
    my ($out, $env, $body) = @_;
    my ($page, $rest) = ($env->{PATH_INFO} // '') =~ m{^/([^/]*)/?(.*)$};
    $page //= '';
    if ($page eq 'variables') { respond($out, '200 OK', JSON::PP->new->latin1->encode($env)) }
    elsif ($page eq 'form') {
        my %fields = fields($body);
        respond($out, '200 OK', join ' ', map { "$_=$fields{$_}" } sort keys %fields);
    }
    elsif ($page eq 'session') {
        my ($seen) = ($env->{HTTP_COOKIE} // '') =~ /\bcount=(\d+)/;
        $seen = ($seen // 0) + 1;
        respond($out, '200 OK', $seen, "Set-Cookie: count=$seen; Path=/");
    }
    elsif ($page eq 'raw') { respond($out, '200 OK', length($body) . ' ' . sha256_hex($body)) }
    elsif ($page eq 'stream') { my %query = fields($env->{QUERY_STRING}); stream($out, $query{gate}) }
    elsif ($page eq 'redirect') {
        my $target = "http://$env->{HTTP_HOST}$env->{SCRIPT_NAME}/variables";
        respond($out, '302 Found', '', "Location: $target");
    }
    elsif ($page eq 'status') { respond($out, "$rest Whatever", "status $rest") }
    else { respond($out, '404 Not Found', 'no such page') }
}

my $socket = IO::Socket::INET->new(
    Listen => 20, ReuseAddr => 1, LocalAddr => '127.0.0.1', LocalPort => $ARGV[0]
) or die "cannot listen on port $ARGV[0]: $!";
my $scgi = SCGI->new($socket, blocking => 1);
while (my $request = $scgi->accept) {
    eval {
        $request->read_env;
        my $wanted = $request->env->{CONTENT_LENGTH};
        my $body = '';
        while (length $body < $wanted) {
            read($request->connection, $body, $wanted - length $body, length $body)
                or die "closed within the body\n";
        }
        serve($request->connection, $request->env, $body);
        1;
    } or warn $@;
    $request->close;
}
