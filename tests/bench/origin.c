/* A fast SCGI origin for measurements.
 *
 *     origin FILE WHERE...
 *
 * WHERE is a port of 127.0.0.1 or the path of a UNIX socket. One thread, epoll. The last segment of REQUEST_URI
 * says what is answered, once the whole body of the request (CONTENT_LENGTH) was read:
 *
 *     a number      so many bytes of body
 *     x-sendfile    X-Sendfile with the path FILE
 *     x-accel       X-Accel-Redirect to /files/ and the name of FILE
 *
 * Anything else is answered with 404. A request that is no netstring, or is too long, has its connection closed. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { LONGEST_BLOCK = 16384, MOST_CONNECTIONS = 65536, MOST_ANSWERS = 16 };

struct answer {
    size_t bytes, size;
    char *text;
};

struct connection {
    char *block;           /* what came so far, until the block is whole; kept for the next connection */
    size_t held;
    size_t body_left;
    const struct answer *answer; /* once the block is whole */
    size_t sent;
    int waits_to_send;
};

static struct connection connections[MOST_CONNECTIONS];
static struct answer answers[MOST_ANSWERS], with_file, with_redirect, not_found;
static int answer_count, poll_fd;

static struct answer made(const char *head, size_t bytes)
{
    size_t length = strlen(head);
    struct answer made = {.bytes = bytes, .size = length + bytes, .text = malloc(length + bytes)};
    if (made.text == NULL)
        exit(1);
    memcpy(made.text, head, length);
    memset(made.text + length, 'x', bytes);
    return made;
}

static const struct answer *of_bytes(size_t bytes)
{
    for (int i = 0; i < answer_count; i++)
        if (answers[i].bytes == bytes)
            return &answers[i];
    if (answer_count == MOST_ANSWERS || bytes > (size_t)1 << 30)
        return &not_found;
    char head[200];
    snprintf(head, sizeof head, "Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", bytes);
    answers[answer_count] = made(head, bytes);
    return &answers[answer_count++];
}

static const struct answer *chosen(const char *block, const char *end)
{
    static const char name[] = "\0REQUEST_URI";
    const char *uri = memmem(block, (size_t)(end - block), name, sizeof name);
    if (uri == NULL)
        return &not_found;
    const char *last = strrchr(uri + sizeof name, '/'); /* the block ends with a NUL */
    if (last == NULL)
        return &not_found;
    if (last[1] >= '0' && last[1] <= '9')
        return of_bytes(strtoull(last + 1, NULL, 10));
    if (strcmp(last + 1, "x-sendfile") == 0)
        return &with_file;
    return strcmp(last + 1, "x-accel") == 0 ? &with_redirect : &not_found;
}

static void end(int fd)
{
    connections[fd].answer = NULL;
    connections[fd].held = 0;
    connections[fd].waits_to_send = 0;
    close(fd);
}

static void answer(int fd)
{
    struct connection *this = &connections[fd];
    while (this->sent < this->answer->size) {
        ssize_t sent = send(fd, this->answer->text + this->sent, this->answer->size - this->sent,
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN) {
            if (!this->waits_to_send) {
                struct epoll_event event = {.events = EPOLLOUT, .data.fd = fd};
                epoll_ctl(poll_fd, EPOLL_CTL_MOD, fd, &event);
                this->waits_to_send = 1;
            }
            return;
        }
        if (sent <= 0)
            break;
        this->sent += (size_t)sent;
    }
    end(fd);
}

/* 1: the block is whole; 0: not yet; -1: it is none. */
static int begin(struct connection *this)
{
    const char *colon = memchr(this->block, ':', this->held < 8 ? this->held : 8);
    if (colon == NULL)
        return this->held < 8 ? 0 : -1;
    size_t length = strtoul(this->block, NULL, 10);
    size_t needed = (size_t)(colon - this->block) + 1 + length + 1;
    if (length < 20 || needed > LONGEST_BLOCK)
        return -1;
    if (this->held < needed)
        return 0;
    const char *block = colon + 1, *end = block + length;
    if (*end != ',' || end[-1] != '\0' || strcmp(block, "CONTENT_LENGTH") != 0)
        return -1;
    size_t body = strtoul(block + sizeof "CONTENT_LENGTH", NULL, 10), more = this->held - needed;
    this->answer = chosen(block, end);
    this->body_left = more < body ? body - more : 0;
    this->sent = 0;
    return 1;
}

static void receive(int fd)
{
    static char unread[1 << 18];
    struct connection *this = &connections[fd];
    if (this->answer == NULL) {
        if (this->block == NULL && (this->block = malloc(LONGEST_BLOCK)) == NULL)
            exit(1);
        ssize_t got = recv(fd, this->block + this->held, LONGEST_BLOCK - this->held, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0)
            return end(fd);
        this->held += (size_t)got;
        int whole = begin(this);
        if (whole < 0 || (whole == 0 && this->held == LONGEST_BLOCK))
            return end(fd);
        if (whole == 0)
            return;
    } else {
        ssize_t got = recv(fd, unread, sizeof unread, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0)
            return end(fd);
        this->body_left -= (size_t)got < this->body_left ? (size_t)got : this->body_left;
    }
    if (this->body_left == 0)
        answer(fd);
}

static int listening(const char *where)
{
    int on = 1, fd;
    if (strchr(where, '/') != NULL) {
        struct sockaddr_un path = {.sun_family = AF_UNIX};
        snprintf(path.sun_path, sizeof path.sun_path, "%s", where);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (bind(fd, (struct sockaddr *)&path, sizeof path) || chmod(where, 0666))
            return -1;
    } else {
        struct sockaddr_in port = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(where)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* its connections have it from here */
        if (bind(fd, (struct sockaddr *)&port, sizeof port))
            return -1;
    }
    return listen(fd, 4096) ? -1 : fd;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return fprintf(stderr, "usage: origin FILE WHERE...\n"), 2;
    char head[5000];
    const char *slash = strrchr(argv[1], '/');
    snprintf(head, sizeof head, "Status: 200 OK\r\nContent-Type: text/plain\r\nX-Sendfile: %.4000s\r\n\r\n", argv[1]);
    with_file = made(head, 0);
    snprintf(head, sizeof head, "Status: 200 OK\r\nContent-Type: text/plain\r\nX-Accel-Redirect: /files/%.4000s\r\n\r\n",
             slash == NULL ? argv[1] : slash + 1);
    with_redirect = made(head, 0);
    not_found = made("Status: 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n", 0);

    int listeners = 0;
    poll_fd = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN}, ready[64];
    for (int i = 2; i < argc; i++) {
        int fd = listening(argv[i]);
        if (fd < 0)
            return perror(argv[i]), 1;
        event.data.fd = fd;
        epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event);
        listeners = fd; /* all descriptors up to here are no connections */
    }
    for (;;) {
        int count = epoll_wait(poll_fd, ready, 64, -1);
        for (int i = 0; i < count; i++) {
            int fd = ready[i].data.fd;
            if (fd > listeners) {
                if (connections[fd].waits_to_send)
                    answer(fd);
                else
                    receive(fd);
                continue;
            }
            while ((event.data.fd = accept4(fd, NULL, NULL, 0)) >= 0)
                if (event.data.fd >= MOST_CONNECTIONS)
                    close(event.data.fd);
                else
                    epoll_ctl(poll_fd, EPOLL_CTL_ADD, event.data.fd, &event);
        }
    }
}
