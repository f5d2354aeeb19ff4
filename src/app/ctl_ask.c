/* SPDX-License-Identifier: MIT */
/* A question at a control socket. */
#include "app/ctl_ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/i18n.h"

enum {
    ANSWER_S = 60,     /* for what waits for the disk */
    ANSWER_SOON_S = 5, /* for all else: a program that does not answer within it stands still */
};

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

/* What our environment says, or the unit. */
static bool place_of_service(const char *given, char ret[CTL_PATH_MAX + 1])
{
    struct common_options asked = {.control = given};
    bool is_given;
    ctl_path(ret, &asked, &is_given);
    if (*ret)
        return true;
    (void)snprintf(ret, CTL_PATH_MAX + 1, "%s/control", CTL_SERVERS); /* fits */
    return is_there(ret);
}

bool ctl_server_place(const char *given, const char *state, unsigned n, char ret[CTL_PATH_MAX + 1])
{
    if (*given)
        return n == 0 && place_of_service(given, ret);
    int len = snprintf(ret, CTL_PATH_MAX + 1, "%s/control", state);
    bool is_in_state = len > 0 && len < CTL_PATH_MAX && is_there(ret);
    if (is_in_state && n == 0)
        return true;
    return n == (is_in_state ? 1u : 0u) && place_of_service(given, ret);
}

int ctl_reach(const char *path, struct errmsg *why)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = ANSWER_SOON_S};
    if (strlen(path) >= sizeof at.sun_path)
        return errmsg_set(why, ERR_LIMIT, _("its path has more than %d bytes"), CTL_PATH_MAX - 1);
    memcpy(at.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0 &&
        connect(fd, (const struct sockaddr *)&at, sizeof at) == 0)
        return fd;
    int errnum = errno;
    if (fd >= 0)
        (void)close(fd); /* never used */
    if (errnum == ECONNREFUSED || errnum == ENOENT)
        return errmsg_set(why, ERR_NOTFOUND, _("no program answers at %s"), path);
    bool is_refused = errnum == EACCES || errnum == EPERM;
    return errmsg_set(why, is_refused ? ERR_PERM : ERR_IO, "%s: %s", path, errno_text(errnum));
}

/* How long it is waited for the answer to this one. */
static void be_patient(int fd, const struct ctl_request *req)
{
    bool is_long = req->command == CTL_RELOAD || req->command == CTL_CLIENT;
    const struct timeval patience = {.tv_sec = is_long ? ANSWER_S : ANSWER_SOON_S};
    int err = setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)err; /* it was possible before */
}

/* NULL: it breaks off, or is too long. */
static char *read_answer(int fd)
{
    char *bytes = malloc(CTL_ANSWER_MAX + 1);
    ssize_t n = bytes ? file_read_all(fd, bytes, CTL_ANSWER_MAX) : -1;
    if (n <= 0 || bytes[n - 1] != '\n') {
        free(bytes);
        return NULL;
    }
    bytes[n] = '\0';
    return bytes;
}

char *ctl_ask(int fd, const struct ctl_request *req, struct errmsg *why)
{
    char line[CTL_LINE_MAX];
    size_t n = ctl_request_put(line, req);
    be_patient(fd, req);
    bool is_asked = send(fd, line, n, MSG_NOSIGNAL) == (ssize_t)n;
    int errnum = errno;
    char *bytes = read_answer(fd); /* one that is refused is told before it asks */
    if (!bytes)
        (void)errmsg_set(why, ERR_IO, "%s",
                         is_asked ? _("the program has given no answer") : errno_text(errnum));
    return bytes;
}

/* ---- line by line ---- */

struct lines {
    int fd;
    char *bytes;
    size_t len, room;
};

/* Some bytes more. ERR_EOF: there are none. */
static int read_more(struct lines *l)
{
    enum { STEP = 64 << 10 };
    if (l->room - l->len < STEP) {
        size_t room = l->room + STEP < 2 * l->room ? 2 * l->room : l->room + STEP;
        char *bytes = l->len > CTL_ANSWER_MAX ? NULL : realloc(l->bytes, room);
        if (!bytes)
            return l->len > CTL_ANSWER_MAX ? ERR_LIMIT : ERR_NOMEM;
        l->bytes = bytes;
        l->room = room;
    }
    ssize_t n;
    do
        n = recv(l->fd, l->bytes + l->len, l->room - l->len, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return ERR_TIMEOUT;
    if (n <= 0)
        return ERR_EOF;
    l->len += (size_t)n;
    return 0;
}

/* The lines that are whole; what is behind the last of them stays. False: no more are wanted. */
static bool take_lines(struct lines *l, ctl_take_line *take, void *ctx)
{
    char *at = l->bytes, *end = l->bytes + l->len, *lf;
    bool more = true;
    while (more && (lf = memchr(at, '\n', (size_t)(end - at)))) {
        *lf = '\0';
        more = take(ctx, at, (size_t)(lf - at));
        at = lf + 1;
    }
    l->len = (size_t)(end - at);
    memmove(l->bytes, at, l->len);
    return more;
}

int ctl_ask_lines(int fd, const struct ctl_request *req, ctl_take_line *take, void *ctx,
                  struct errmsg *why)
{
    char line[CTL_LINE_MAX];
    struct lines l = {.fd = fd};
    size_t n = ctl_request_put(line, req);
    int err = 0;
    be_patient(fd, req);
    (void)!send(fd, line, n, MSG_NOSIGNAL); /* one that is refused is told before it asks */
    while (err == 0) {
        err = read_more(&l);
        if (err == 0 && !take_lines(&l, take, ctx))
            break;
    }
    free(l.bytes);
    if (err == 0)
        return 0;
    bool is_silent = err == ERR_EOF || err == ERR_TIMEOUT;
    return errmsg_set(why, err == ERR_EOF ? ERR_IO : err, "%s",
                      is_silent ? _("the program has given no answer") : err_text(err));
}
