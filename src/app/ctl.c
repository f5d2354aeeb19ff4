/* SPDX-License-Identifier: MIT */
/* The control socket in the file system. */
#include "app/ctl.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h> /* app/ has a limits.h of its own */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "app/ctl_internal.h"
#include "base/event.h"
#include "base/i18n.h"
#include "base/trust_path.h"

enum { MODE = 0660, BACKLOG = 64 };

_Static_assert((size_t)CTL_PATH_MAX == sizeof((struct sockaddr_un *)0)->sun_path, "CTL_PATH_MAX");

void ctl_path(char ret[CTL_PATH_MAX + 1], const struct common_options *o, bool *ret_asked)
{
    const char *given = getenv("RUNTIME_DIRECTORY"); /* or several, with colons between them */
    *ret_asked = *o->control != '\0';
    if (*ret_asked)
        (void)snprintf(ret, CTL_PATH_MAX + 1, "%s", o->control); /* cut: see bind_at() */
    else if (given && *given)
        (void)snprintf(ret, CTL_PATH_MAX + 1, "%.*s/control", (int)strcspn(given, ":"), given);
    else
        ret[0] = '\0';
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Where the folder of path really is; false: there is none. */
static bool real_folder(char ret[PATH_MAX], const char *path)
{
    char folder[PATH_MAX];
    size_t n = (size_t)(name_of(path) - path);
    if (n >= sizeof folder)
        return false;
    (void)snprintf(folder, sizeof folder, "%.*s", n > 0 ? (int)n : 1, n > 0 ? path : ".");
    return realpath(folder, ret);
}

bool ctl_is_at(const struct common_options *o, const char *path)
{
    char own[CTL_PATH_MAX + 1], real[PATH_MAX], here[PATH_MAX], there[PATH_MAX];
    bool any;
    ctl_path(own, o, &any);
    if (realpath(path, real)) /* it may be a link */
        path = real;
    return *own && real_folder(here, own) && real_folder(there, path) && strcmp(here, there) == 0 &&
           strcmp(name_of(own), name_of(path)) == 0;
}

/* The folder of a server: `gotunnel up` has its socket there. */
static bool is_state_folder(const char *folder)
{
    char certs[PATH_MAX];
    int n = snprintf(certs, sizeof certs, "%s/certs/ca.crt", folder);
    return n > 0 && n < (int)sizeof certs && access(certs, F_OK) == 0;
}

bool ctl_is_usual(const char *path)
{
    static const char clients[] = CTL_CLIENTS_RUN "/";
    char real[PATH_MAX], folder[PATH_MAX];
    if (realpath(path, real))
        path = real;
    if (strcmp(name_of(path), "control") != 0 || !real_folder(folder, path))
        return false;
    return strcmp(folder, CTL_SERVERS) == 0 || strncmp(folder, clients, sizeof clients - 1) == 0 ||
           is_state_folder(folder);
}

/* ---- whose place it is ---- */

/* Opens the folder, in which only we and those we trust may make a file. */
static int open_folder(struct ctl *c, struct errmsg *why)
{
    char folder[CTL_PATH_MAX];
    struct stat st;
    size_t n = (size_t)(name_of(c->path) - c->path);
    (void)snprintf(folder, sizeof folder, "%.*s", n > 0 ? (int)n : 1,
                   n > 0 ? c->path : "."); /* fits */
    c->dirfd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (c->dirfd < 0 || fstat(c->dirfd, &st) < 0)
        return errmsg_set(why, err_from_errno(errno), "%s: %s", folder, errno_text(errno));
    if (st.st_mode & S_IWOTH)
        return errmsg_set(why, ERR_PERM,
                          _("everybody may write in %s: use a folder of the program's own"),
                          folder);
    int err = trust_path(folder, TRUST_FOLDER, false, why);
    if (err == 0)
        why->text[0] = '\0'; /* a doubt is one of whoever works in a home of others */
    return err;
}

static struct sockaddr_un address_of(const struct ctl *c)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memcpy(at.sun_path, c->path, strlen(c->path) + 1); /* fits */
    return at;
}

/* A socket that nobody answers at was left by a process that is gone. 0: there is nothing any more. */
static int clear_place(const struct ctl *c, struct errmsg *why)
{
    const struct sockaddr_un at = address_of(c);
    struct stat st;
    if (fstatat(c->dirfd, name_of(c->path), &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0; /* what else is wrong with it bind() says */
    if (!S_ISSOCK(st.st_mode))
        return errmsg_set(why, ERR_INUSE, _("%s is there, and is no socket"), c->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errmsg_set(why, err_from_errno(errno), "%s", errno_text(errno));
    bool is_dead =
        connect(fd, (const struct sockaddr *)&at, sizeof at) < 0 && errno == ECONNREFUSED;
    (void)close(fd); /* it has said nothing */
    if (!is_dead)
        return errmsg_set(why, ERR_INUSE, _("another program answers at %s"), c->path);
    if (unlinkat(c->dirfd, name_of(c->path), 0) < 0)
        return errmsg_set(why, err_from_errno(errno), "%s: %s", c->path, errno_text(errno));
    return 0;
}

/* Nobody can connect before listen(), so nobody sees it with another owner or mode. */
static int make_socket(struct ctl *c, struct errmsg *why)
{
    const struct sockaddr_un at = address_of(c);
    const char *name = name_of(c->path);
    const uid_t become = trust_who_now().become;
    struct stat st;
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0 || bind(c->fd, (const struct sockaddr *)&at, sizeof at) < 0)
        goto failed;
    if (fchmodat(c->dirfd, name, MODE, 0) < 0 ||
        (become != geteuid() &&
         fchownat(c->dirfd, name, become, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0) ||
        fstatat(c->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || listen(c->fd, BACKLOG) < 0) {
        int errnum = errno;
        (void)unlinkat(c->dirfd, name, 0); /* as it was */
        errno = errnum;
        goto failed;
    }
    c->inode = st.st_ino;
    return 0;

failed:
    return errmsg_set(why, err_from_errno(errno), "%s: %s", c->path, errno_text(errno));
}

static void close_files(struct ctl *c)
{
    if (c->fd >= 0)
        (void)close(c->fd);
    if (c->dirfd >= 0)
        (void)close(c->dirfd); /* only a folder */
    c->fd = c->dirfd = -1;
}

/* Who starts at the same moment waits: between bind() and listen() a socket looks dead. */
static int bind_at(struct ctl *c, const char *path, struct errmsg *why)
{
    if (strlen(path) >= sizeof c->path)
        return errmsg_set(why, ERR_LIMIT, _("its path has more than %d bytes"), CTL_PATH_MAX - 1);
    memcpy(c->path, path, strlen(path) + 1);
    int err = open_folder(c, why);
    if (err == 0)
        (void)flock(c->dirfd, LOCK_EX); /* where there are no locks it goes without */
    if (err == 0)
        err = clear_place(c, why);
    if (err == 0)
        err = make_socket(c, why);
    if (c->dirfd >= 0)
        (void)flock(c->dirfd, LOCK_UN);
    if (err < 0) {
        close_files(c);
        c->path[0] = '\0';
    }
    return err;
}

/* ---- life ---- */

int ctl_bind(struct ctl *c, const struct common_options *o)
{
    char path[CTL_PATH_MAX + 1];
    struct errmsg why = {""};
    bool is_asked;
    *c = (struct ctl){.fd = -1, .dirfd = -1};
    list_init(&c->connections);
    ctl_path(path, o, &is_asked);
    int err = *path ? bind_at(c, path, &why) : 0;
    if (err < 0 && is_asked)
        event_control_failed(why.text);
    else if (err < 0)
        event_control_absent(why.text);
    return is_asked ? err : 0;
}

static void on_connection(uv_poll_t *h, int status, int events)
{
    (void)status, (void)events; /* accept() says what is wrong */
    ctl_watch(h->data);
}

void ctl_begin(struct ctl *c, struct loop *loop, const char *mode, struct signals *signals,
               const struct ctl_ops *ops, void *ctx)
{
    if (!*c->path)
        return;
    c->loop = loop;
    c->mode = mode;
    c->signals = signals;
    c->ops = ops;
    c->ctx = ctx;
    if (uv_poll_init(&loop->uv, &c->accepting, c->fd) < 0) {
        event_control_absent(err_text(ERR_LIMIT));
        ctl_close(c);
        return;
    }
    uv_timer_init(&loop->uv, &c->pause);
    c->accepting.data = c->pause.data = c;
    c->is_begun = true;
    uv_poll_start(&c->accepting, UV_READABLE, on_connection);
    event_control_ready(c->path);
}

void ctl_close(struct ctl *c)
{
    struct stat st;
    if (!*c->path || c->is_closed)
        return;
    c->is_closed = true;
    ctl_drop_all(c);
    if (c->is_begun) {
        uv_close((uv_handle_t *)&c->accepting, NULL);
        uv_close((uv_handle_t *)&c->pause, NULL);
    }
    const char *name = name_of(c->path);
    if (fstatat(c->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == c->inode)
        (void)unlinkat(c->dirfd, name, 0); /* in a folder of root's it stays, and is replaced */
    close_files(c);
}
