/* Reading one HTTP/1.1 answer, in whatever pieces it comes: its status, and how long its body is. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/types.h>

enum { LONGEST_HEAD = 8192, LONGEST_LINE = 100 };
enum reading { HEAD, LENGTH, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER };
enum progress { MORE, WHOLE, MALFORMED_ANSWER };

struct answer {
    enum reading reading;
    int status, closes;  /* 0 until the head is whole; whether the connection ends with it */
    size_t got, left;    /* of the body; of the part of it that is read now */
    size_t held;         /* of the head, or of a line of chunked coding */
    char text[LONGEST_HEAD];
};

static void expect_answer(struct answer *this)
{
    this->reading = HEAD;
    this->status = this->closes = 0;
    this->got = this->left = this->held = 0;
}

static int parse_head(struct answer *this, const char *end)
{
    int chunked = 0, has_length = 0;
    const char *line = this->text;
    if (strncmp(line, "HTTP/1.", 7) != 0)
        return -1;
    this->closes = line[7] == '0';
    this->status = atoi(line + 9);
    if (this->status < 100 || this->status > 999)
        return -1;
    while (line < end) {
        if (strncasecmp(line, "Content-Length:", 15) == 0) {
            has_length = 1;
            this->left = strtoull(line + 15, NULL, 10);
        } else if (strncasecmp(line, "Transfer-Encoding: chunked", 26) == 0)
            chunked = 1;
        else if (strncasecmp(line, "Connection: close", 17) == 0)
            this->closes = 1;
        line = (const char *)memchr(line, '\n', (size_t)(end - line)) + 1;
    }
    if (!chunked && !has_length)
        return -1;
    this->reading = chunked ? CHUNK_SIZE : LENGTH;
    this->held = 0;
    return 0;
}

/* How much of `data` belongs to the head; -1 when it is none. */
static ssize_t read_head(struct answer *this, const char *data, size_t size)
{
    size_t before = this->held, room = LONGEST_HEAD - 1 - before, part = size < room ? size : room;
    memcpy(this->text + before, data, part);
    this->held += part;
    this->text[this->held] = 0;
    const char *end = memmem(this->text, this->held, "\r\n\r\n", 4);
    if (end == NULL)
        return this->held == LONGEST_HEAD - 1 ? -1 : (ssize_t)size;
    end += 4;
    return parse_head(this, end) ? -1 : (ssize_t)((size_t)(end - this->text) - before);
}

/* Lines of chunked coding, byte by byte; they are few. */
static enum progress read_line(struct answer *this, char byte)
{
    if (this->reading == CHUNK_END) {
        if (byte == '\n')
            this->reading = CHUNK_SIZE;
        return byte == '\n' || byte == '\r' ? MORE : MALFORMED_ANSWER;
    }
    if (byte != '\n') {
        if (this->held == LONGEST_LINE)
            return MALFORMED_ANSWER;
        this->text[this->held++] = byte;
        return MORE;
    }
    this->text[this->held] = 0;
    int empty = this->held == 0 || this->text[0] == '\r';
    this->held = 0;
    if (this->reading == TRAILER)
        return empty ? WHOLE : MORE;
    if (empty)
        return MALFORMED_ANSWER;
    this->left = strtoull(this->text, NULL, 16);
    this->reading = this->left ? CHUNK_DATA : TRAILER;
    return MORE;
}

/* Reads on, to the end of the answer or of the data, which `data` and `size` are moved to. */
static enum progress read_answer(struct answer *this, const char **data, size_t *size)
{
    while (*size > 0) {
        size_t part = 1;
        if (this->reading == HEAD) {
            ssize_t used = read_head(this, *data, *size);
            if (used < 0)
                return MALFORMED_ANSWER;
            part = (size_t)used;
        } else if (this->reading == LENGTH || this->reading == CHUNK_DATA) {
            part = *size < this->left ? *size : this->left;
            this->left -= part;
            this->got += part;
            if (this->reading == CHUNK_DATA && this->left == 0)
                this->reading = CHUNK_END;
        } else {
            enum progress progress = read_line(this, **data);
            if (progress != MORE) {
                *data += 1, *size -= 1;
                return progress;
            }
        }
        *data += part, *size -= part;
        if (this->reading == LENGTH && this->left == 0)
            return WHOLE;
    }
    return MORE;
}
