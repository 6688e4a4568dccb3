/* HTTP/1.1 load on a port of 127.0.0.1, and what became of it.
 *
 *     load [OPTION VALUE]... PORT PATH BYTES
 *
 * Each connection stays open, and has its next request once the answer to the last one is whole. An answer is
 * good when its status is 200 and its body has BYTES bytes, by Content-Length or chunked. Options:
 *
 *     --connections N   1 unless told
 *     --seconds S       how long is measured
 *     --warm S          how long before that, at least; and each connection has had an answer by then
 *     --header TEXT     one more line of the head; repeatable
 *     --upload N        POST with a body of N bytes
 *     --chunked 1       that body is sent in chunks of 16 KiB
 *     --once 1          one request on each connection, which then stays open: measured when all have their answer
 *     --slowly N        answers are read at N bytes a second, in ten pieces a second; never ends by itself
 *
 * Prints "warm" when it begins to measure, and one line of JSON when it has: seconds; requests and bytes that came
 * in that time; p50 and p99 in microseconds, of all requests and from the first byte sent to the last one received;
 * statuses and errors since the beginning; open connections. Then it holds its connections open until its standard
 * input ends, which ends it at any moment.
 *
 * One thread, epoll. A connection that was closed is made anew, and is an error if a request was under way. */
#define _GNU_SOURCE
#include "answer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 16384, PATIENCE = 20, LONGEST_RUN = 300, PIECES = 10, AT_ONCE = 64 };
enum error { CONNECT, CLOSED, WRONG_STATUS, WRONG_LENGTH, MALFORMED, EARLY, ERRORS };

static const char *const error_names[ERRORS] = {"connect", "closed", "status", "length", "malformed", "early"};

struct connection {
    int fd, connected, waits_to_send, idle; /* idle: no request is under way */
    size_t sent;                            /* of the request */
    unsigned answered;
    double begun, due; /* the request; when it is read next, if slowly */
    struct answer answer;
};

static struct options {
    int connections, chunked, once, port;
    double seconds, warm;
    size_t upload, slowly, bytes;
} options = {.connections = 1, .seconds = 3, .warm = 0.5};

static char *request;
static size_t request_size;
static struct connection *all;
static int poll_fd, measuring, stopped, dialled, unanswered;
static unsigned long requests, errors[ERRORS], statuses[1000];
static unsigned long long bytes;
static uint32_t *taken; /* microseconds */
static size_t taken_room;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void watch(struct connection *this, int operation)
{
    int slow = options.slowly != 0 && this->connected && !this->waits_to_send;
    struct epoll_event event = {.events = slow ? 0 : EPOLLIN, .data.ptr = this};
    if (this->waits_to_send)
        event.events |= EPOLLOUT;
    epoll_ctl(poll_fd, operation, this->fd, &event);
}

static void dial(struct connection *this)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons((unsigned short)options.port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, small = 32768;
    this->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (this->fd < 0) {
        perror("load: socket");
        exit(1);
    }
    setsockopt(this->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (options.slowly)
        setsockopt(this->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    this->connected = 0;
    this->waits_to_send = 1;
    this->idle = 1;
    connect(this->fd, (struct sockaddr *)&where, sizeof where); /* what became of it is seen in turn() */
    watch(this, EPOLL_CTL_ADD);
}

/* The first time, connections come up one after the other: no server has room for any number of new ones at once. */
static void dial_more(void)
{
    while (dialled < options.connections && dialled - (options.connections - unanswered) < AT_ONCE)
        dial(&all[dialled++]);
}

static void fail(struct connection *this, enum error error)
{
    errors[error]++;
    close(this->fd);
    this->fd = -1;
    if (error == CONNECT)
        usleep(1000);
    if (!stopped)
        dial(this);
}

static void send_more(struct connection *this)
{
    while (this->sent < request_size) {
        ssize_t sent = send(this->fd, request + this->sent, request_size - this->sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            if (!this->waits_to_send) {
                this->waits_to_send = 1;
                watch(this, EPOLL_CTL_MOD);
            }
            return;
        }
        if (sent < 0) { /* an answer may have come before the server closed: it is read first */
            this->sent = request_size;
            break;
        }
        this->sent += (size_t)sent;
    }
    if (this->waits_to_send) {
        this->waits_to_send = 0;
        watch(this, EPOLL_CTL_MOD);
    }
}

static void ask(struct connection *this)
{
    expect_answer(&this->answer);
    this->idle = 0;
    this->sent = 0;
    this->begun = now();
    send_more(this);
}

static void note(double seconds)
{
    if (requests == taken_room) {
        taken_room = taken_room ? taken_room * 2 : 65536;
        taken = realloc(taken, taken_room * sizeof *taken);
        if (taken == NULL)
            exit(1);
    }
    taken[requests++] = (uint32_t)(seconds * 1e6);
}

/* The answer is whole. -1 when the connection was made anew. */
static int whole(struct connection *this)
{
    statuses[this->answer.status]++;
    if (this->answer.status != 200)
        return fail(this, WRONG_STATUS), -1;
    if (this->answer.got != options.bytes)
        return fail(this, WRONG_LENGTH), -1;
    if (this->sent < request_size)
        return fail(this, EARLY), -1;
    if (this->answered++ == 0)
        unanswered--;
    if (measuring || options.once)
        note(now() - this->begun);
    this->idle = 1;
    if (stopped || options.once)
        return 0;
    if (this->answer.closes) {
        close(this->fd);
        dial(this);
        return -1;
    }
    ask(this);
    return 0;
}

static void feed(struct connection *this, const char *data, size_t size)
{
    while (size > 0) {
        size_t before = this->answer.got;
        if (this->idle) {
            fail(this, MALFORMED);
            return;
        }
        enum progress progress = read_answer(&this->answer, &data, &size);
        if (measuring)
            bytes += this->answer.got - before;
        if (options.slowly && this->answer.status && this->answered++ == 0)
            unanswered--;
        if (progress == MALFORMED_ANSWER) {
            fail(this, MALFORMED);
            return;
        }
        if (progress == WHOLE && whole(this))
            return;
    }
}

static void receive(struct connection *this, size_t most)
{
    static char buffer[1 << 18];
    ssize_t got = recv(this->fd, buffer, most < sizeof buffer ? most : sizeof buffer, 0);
    if (got > 0) {
        feed(this, buffer, (size_t)got);
        return;
    }
    if (got < 0 && errno == EAGAIN)
        return;
    if (this->idle && this->connected) { /* closed between two requests, as a server may */
        close(this->fd);
        this->fd = -1;
        if (!stopped && !options.once)
            dial(this);
    } else
        fail(this, CLOSED);
}

static void turn(struct connection *this, unsigned events)
{
    if (!this->connected) {
        struct sockaddr_in peer;
        socklen_t size = sizeof peer;
        if (getpeername(this->fd, (struct sockaddr *)&peer, &size)) {
            fail(this, CONNECT);
            return;
        }
        this->connected = 1;
        ask(this);
        return;
    }
    if (events & EPOLLOUT)
        send_more(this);
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        receive(this, (size_t)-1);
}

static void read_slowly(double moment)
{
    for (int i = 0; i < options.connections; i++)
        if (all[i].connected && !all[i].waits_to_send && all[i].due <= moment) {
            all[i].due += 1.0 / PIECES;
            if (all[i].due < moment)
                all[i].due = moment + 1.0 / PIECES;
            receive(&all[i], options.slowly / PIECES);
        }
}

static int by_size(const void *one, const void *other)
{
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return a < b ? -1 : a > b;
}

static void report(double seconds)
{
    int open = 0;
    const char *comma = "";
    for (int i = 0; i < options.connections; i++)
        open += all[i].fd >= 0 && all[i].answered > 0;
    if (requests)
        qsort(taken, requests, sizeof *taken, by_size);
    printf("{\"seconds\": %.6f, \"requests\": %lu, \"bytes\": %llu, \"open\": %d, \"p50\": %u, \"p99\": %u, \"statuses\": {",
           seconds, requests, bytes, open, requests ? taken[requests / 2] : 0, requests ? taken[requests * 99 / 100] : 0);
    for (int i = 0; i < 1000; i++)
        if (statuses[i])
            printf("%s\"%d\": %lu", comma, i, statuses[i]), comma = ", ";
    printf("}, \"errors\": {");
    comma = "";
    for (int i = 0; i < ERRORS; i++)
        if (errors[i])
            printf("%s\"%s\": %lu", comma, error_names[i], errors[i]), comma = ", ";
    printf("}}\n");
    fflush(stdout);
}

static void compose(const char *path, const char *headers)
{
    size_t room = strlen(path) + strlen(headers) + 300 + options.upload + (options.upload / CHUNK + 2) * 16;
    char *at = request = malloc(room);
    if (request == NULL)
        exit(1);
    at += sprintf(at, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s", options.upload ? "POST" : "GET", path, options.port,
                  headers);
    if (options.upload)
        at += sprintf(at, "Content-Type: application/octet-stream\r\n");
    if (options.upload && !options.chunked)
        at += sprintf(at, "Content-Length: %zu\r\n", options.upload);
    if (options.upload && options.chunked)
        at += sprintf(at, "Transfer-Encoding: chunked\r\n");
    at += sprintf(at, "\r\n");
    for (size_t left = options.upload; left > 0;) {
        size_t part = options.chunked && left > CHUNK ? CHUNK : left;
        if (options.chunked)
            at += sprintf(at, "%zx\r\n", part);
        memset(at, 'y', part);
        at += part, left -= part;
        if (options.chunked)
            at += sprintf(at, left ? "\r\n" : "\r\n0\r\n\r\n");
    }
    request_size = (size_t)(at - request);
}

static void read_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"connections", 1, 0, 'c'}, {"seconds", 1, 0, 's'}, {"warm", 1, 0, 'w'},  {"header", 1, 0, 'h'},
        {"upload", 1, 0, 'u'},      {"chunked", 1, 0, 'k'}, {"once", 1, 0, 'o'},  {"slowly", 1, 0, 'r'},
        {0, 0, 0, 0},
    };
    static char headers[32768];
    size_t held = 0;
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;)
        switch (option) {
        case 'c': options.connections = atoi(optarg); break;
        case 's': options.seconds = atof(optarg); break;
        case 'w': options.warm = atof(optarg); break;
        case 'u': options.upload = strtoull(optarg, NULL, 10); break;
        case 'k': options.chunked = atoi(optarg); break;
        case 'o': options.once = atoi(optarg); break;
        case 'r': options.slowly = strtoull(optarg, NULL, 10); break;
        case 'h':
            if (held + strlen(optarg) + 3 > sizeof headers)
                exit(2);
            held += (size_t)sprintf(headers + held, "%s\r\n", optarg);
            break;
        default: exit(2);
        }
    if (argc - optind != 3 || options.connections < 1) {
        fprintf(stderr, "usage: load [OPTION VALUE]... PORT PATH BYTES\n");
        exit(2);
    }
    options.port = atoi(argv[optind]);
    options.bytes = strtoull(argv[optind + 2], NULL, 10);
    compose(argv[optind + 1], headers);
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    alarm(LONGEST_RUN);
    all = calloc((size_t)options.connections, sizeof *all);
    poll_fd = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, ready[256]; /* NULL: standard input */
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, 0, &event);
    unanswered = options.connections;
    double begun = now(), moment = begun;
    for (int i = 0; i < options.connections; i++) {
        all[i].fd = -1;
        all[i].due = begun + (double)i / options.connections / PIECES;
    }
    for (;;) {
        if (dialled < options.connections)
            dial_more();
        int count = epoll_wait(poll_fd, ready, 256, options.slowly ? 2 : 20);
        for (int i = 0; i < count; i++) {
            if (ready[i].data.ptr == NULL)
                return 0;
            turn(ready[i].data.ptr, ready[i].events);
        }
        moment = now();
        if (options.slowly)
            read_slowly(moment);
        int all_had_one = unanswered == 0 || moment - begun > PATIENCE;
        if (!measuring && !stopped && all_had_one && (options.once || moment - begun >= options.warm)) {
            puts("warm");
            fflush(stdout);
            if (options.once) {
                stopped = 1;
                report(moment - begun);
            } else {
                measuring = 1;
                begun = now();
            }
        } else if (measuring && !options.slowly && moment - begun >= options.seconds) {
            measuring = 0;
            stopped = 1;
            report(moment - begun);
        }
    }
}
