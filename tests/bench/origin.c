/* A fast SCGI backend for measurements: reads a request block, answers BYTES of body, closes.
 *
 *     origin PORT BYTES
 *
 * One thread, epoll. It does not read request bodies: for GET only. */
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
#include <unistd.h>

static char *answer;
static size_t answer_size;

static void serve(int fd)
{
    char block[65536];
    ssize_t got = recv(fd, block, sizeof block, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got > 0) {
        size_t sent = 0;
        while (sent < answer_size) {
            ssize_t n = send(fd, answer + sent, answer_size - sent, MSG_NOSIGNAL);
            if (n <= 0)
                break;
            sent += (size_t)n;
        }
    }
    close(fd);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return fprintf(stderr, "usage: origin PORT BYTES\n"), 2;
    size_t body = (size_t)atol(argv[2]);
    answer = malloc(body + 256);
    int head = sprintf(answer, "Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", body);
    memset(answer + head, 'x', body);
    answer_size = (size_t)head + body;

    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1])),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (struct sockaddr *)&where, sizeof where) || listen(listener, 1024))
        return perror("origin"), 1;
    int poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ready[64];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(poll, ready, 64, -1);
        for (int i = 0; i < count; i++) {
            if (ready[i].data.fd != listener) {
                serve(ready[i].data.fd);
                continue;
            }
            for (;;) {
                int fd = accept4(listener, NULL, NULL, 0);
                if (fd < 0)
                    break;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                event.data.fd = fd;
                epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
            }
            event.data.fd = listener;
        }
    }
}
