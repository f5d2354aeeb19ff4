/* SPDX-License-Identifier: MIT */
/* The two files of `join -save`, and the process that writes them. */
#include "client/save.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/flag_lines.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/i18n.h"
#include "base/secure.h"
#include "base/trust_path.h"
#include "client/internal.h"
#include "proto/json_text.h"
#include "proto/sha256.h"

enum { TEXT_MAX = 1 << 20, TAIL_BYTES = 8 }; /* as large as a file may be */

/* What comes back. */
struct reply {
    int err;
    char text[512];
};

/* ---- names ---- */

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The folder of a path, which ends with a slash, or ".". */
static void folder_of(char out[PATH_MAX], const char *path)
{
    size_t n = (size_t)(base_of(path) - path);
    (void)snprintf(out, PATH_MAX, "%.*s", n > 0 ? (int)n : 1, n > 0 ? path : "."); /* fits */
}

static int check_free(const char *path, struct errmsg *why)
{
    if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return errmsg_set(why, ERR_INUSE,
                          _("%s is there already: move it away, or name another file behind -save"),
                          path);
    return errno == ENOENT
               ? 0
               : errmsg_set(why, err_from_errno(errno), "%s: %s", path, errno_text(errno));
}

/* Beside the file, with .join in the place of .yaml. */
static int choose_join_path(struct saver *s, struct errmsg *why)
{
    static const char *const ends[] = {".yaml", ".yml", ".json"};
    size_t n = strlen(s->path);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        size_t e = strlen(ends[i]);
        if (strlen(base_of(s->path)) > e && strcmp(s->path + n - e, ends[i]) == 0) {
            n -= e;
            break;
        }
    }
    if (n + sizeof ".join" > sizeof s->join_path)
        return errmsg_set(why, ERR_LIMIT, "%s", errno_text(ENAMETOOLONG));
    (void)snprintf(s->join_path, sizeof s->join_path, "%.*s.join", (int)n, s->path); /* fits */
    return check_free(s->join_path, why);
}

int save_prepare(struct saver *s, const char *join_file, struct errmsg *why)
{
    char folder[PATH_MAX];
    s->has_join_file = *join_file && strcmp(join_file, "-") != 0;
    if (!*base_of(s->path))
        return errmsg_set(why, ERR_INVAL, "%s: %s", s->path, errno_text(EISDIR));
    int err = check_free(s->path, why);
    if (err == 0) /* as `client -config` will ask */
        err = trust_path(s->path, TRUST_FILE, false, why);
    if (err == 0 && !s->has_join_file)
        err = choose_join_path(s, why);
    else if (err == 0 && !realpath(join_file, s->join_path))
        err = errmsg_set(why, err_from_errno(errno), "%s: %s", join_file, errno_text(errno));
    if (err < 0)
        return err;
    folder_of(folder, s->path);
    if (faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) < 0)
        return errmsg_set(why, err_from_errno(errno),
                          _("folder %s: %s: name a file in another one behind -save"), folder,
                          errno_text(errno));
    return 0;
}

/* ---- the text ---- */

static void put_quoted(FILE *to, const char *text)
{
    char quoted[4 * PATH_MAX];
    (void)json_text_put(quoted, sizeof quoted, text);
    fprintf(to, "\"%s\"", quoted); /* YAML takes what JSON has */
}

int save_flag(struct saver *s, int argc, char **argv, int *ret_err)
{
    static const char *const own_lines[] = {"join-file", "server", "id", NULL};
    return flag_line(s->flags, sizeof s->flags, &join_mode, own_lines, argc, argv, ret_err);
}

static void put_tunnel(FILE *to, const struct tunnel *t)
{
    const struct wish *w = &t->wish;
    const char *name = tunnel_shown_name(t);
    long long port = w->state == WISH_OPEN ? w->port : w->wanted.port;
    if (*name) {
        fprintf(to, "  - name: ");
        put_quoted(to, name);
        fprintf(to, "\n    port: %lld\n", port);
    } else {
        fprintf(to, "  - port: %lld\n", port);
    }
    fprintf(to, "    target: ");
    put_quoted(to, t->service->name);
    fprintf(to, "\n");
}

static void put_config(FILE *to, const struct saver *s, const struct client *c)
{
    fprintf(to, "# written by gotunnel join -save\nserver: ");
    put_quoted(to, c->opt->server);
    fprintf(to, "\njoin-file: ");
    put_quoted(to, s->has_join_file ? s->join_path : base_of(s->join_path));
    fprintf(to, "\nid: ");
    put_quoted(to, c->id);
    fprintf(to, "\n%stunnels:\n", s->flags);
    list_foreach (i, &c->tunnels)
        put_tunnel(to, LIST_ENTRY(i, struct tunnel, node));
}

/* ---- the second process ---- */

/* A file that is whole, or not there: under a name that nobody knows, then under its own. 0, or an errno. */
static int put_new(int dirfd, const char *name, const char *text)
{
    uint8_t tail[TAIL_BYTES];
    char hex[2 * TAIL_BYTES + 1] = "", hidden[NAME_MAX + 1];
    if (getrandom(tail, sizeof tail, 0) != sizeof tail)
        return errno;
    hex_put(hex, tail, sizeof tail);
    (void)snprintf(hidden, sizeof hidden, ".gotunnel-%s", hex); /* fits */
    int errnum = file_create(dirfd, hidden, 0600, text, strlen(text)) == 0 ? 0 : errno;
    if (errnum == 0 && file_rename_new(dirfd, hidden, dirfd, name) < 0) {
        errnum = errno;
        if (errnum == EINVAL || errnum == ENOSYS || errnum == ENOTSUP) /* NFS */
            errnum = linkat(dirfd, hidden, dirfd, name, 0) == 0 ? 0 : errno;
    }
    (void)unlinkat(dirfd, hidden, 0); /* gone already where it was renamed */
    return errnum;
}

static void fail(struct reply *r, const char *path, int errnum)
{
    r->err = err_from_errno(errnum);
    if (errnum == EEXIST)
        (void)snprintf(r->text, sizeof r->text,
                       _("%s is there already: move it away, or name another file behind -save"),
                       path); /* cut on purpose */
    else
        (void)snprintf(r->text, sizeof r->text, "%s: %s", path, errno_text(errnum)); /* as above */
}

/* Both or none. */
static void write_files(const struct saver *s, const char *config, struct reply *r)
{
    char folder[PATH_MAX], line[JOIN_BUF + 1];
    folder_of(folder, s->path);
    int dirfd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0) {
        fail(r, folder, errno);
        return;
    }
    (void)snprintf(line, sizeof line, "%s\n", s->join); /* fits */
    int errnum = s->has_join_file ? 0 : put_new(dirfd, base_of(s->join_path), line);
    if (errnum != 0)
        fail(r, s->join_path, errnum);
    if (errnum == 0 && (errnum = put_new(dirfd, base_of(s->path), config)) != 0) {
        fail(r, s->path, errnum);
        if (!s->has_join_file)
            (void)unlinkat(dirfd, base_of(s->join_path), 0); /* ours, a moment old */
    }
    if (errnum == 0 && file_sync_folder(dirfd) < 0)
        fail(r, folder, errno);
    (void)close(dirfd); /* a folder */
    secure_zero(line, sizeof line);
    if (r->err == 0)
        (void)snprintf(r->text, sizeof r->text, s->has_join_file ? "%s" : "%s, %s", s->path,
                       s->join_path); /* cut on purpose */
}

static bool read_whole(int fd, void *to, size_t n)
{
    return file_read_all(fd, to, n) == (ssize_t)n;
}

/* n bytes of the text; NULL: they are not there. */
static char *take_text(const struct saver *s, size_t n)
{
    char *text = n < TEXT_MAX && lseek(s->text, 0, SEEK_SET) == 0 ? calloc(1, n + 1) : NULL;
    if (text && !read_whole(s->text, text, n)) {
        free(text);
        text = NULL;
    }
    return text;
}

static _Noreturn void serve(const struct saver *s, int request, int reply)
{
    struct reply r = {.err = 0};
    uint32_t n;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
        (void)dup2(null, fd); /* who reads them to their end does not wait for us */
    (void)signal(SIGPIPE, SIG_IGN);
    char *config = read_whole(request, &n, sizeof n) ? take_text(s, n) : NULL;
    if (config) {
        write_files(s, config, &r);
        (void)!file_write_all(reply, &r, sizeof r); /* who is gone does not ask */
    }
    _exit(0);
}

/* ---- the first process ---- */

/* The pipes to and from the other process, and the text's memory. 0, or an error, and none of them. */
static int make_ways(struct saver *s, int to[2], int from[2])
{
    if (pipe2(to, O_CLOEXEC) < 0)
        return err_from_errno(errno);
    if (pipe2(from, O_CLOEXEC) < 0) {
        int err = err_from_errno(errno);
        (void)close(to[0]);
        (void)close(to[1]);
        return err;
    }
    s->text = memfd_create("gotunnel-save", MFD_CLOEXEC);
    if (s->text >= 0)
        return 0;
    int err = err_from_errno(errno);
    for (int i = 0; i < 2; i++) {
        (void)close(to[i]);
        (void)close(from[i]);
    }
    return err;
}

int save_begin(struct saver *s, const struct join *join)
{
    int to[2], from[2];
    s->request = s->reply = s->text = -1;
    s->source.fd = -1;
    int err = join_encode(s->join, join, sha256);
    if (err == 0)
        err = make_ways(s, to, from);
    if (err < 0)
        return err;
    pid_t pid = fork();
    err = pid < 0 ? err_from_errno(errno) : 0;
    if (pid == 0 && fork() != 0)
        _exit(0); /* who serves is nobody's child: the client, in its cage, need not wait for it */
    if (pid == 0) {
        (void)close(to[1]);
        (void)close(from[0]);
        serve(s, to[0], from[1]);
    }
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    (void)close(to[0]);
    (void)close(from[1]);
    s->request = to[1];
    s->reply = from[0];
    (void)fcntl(s->reply, F_SETFL, O_NONBLOCK);
    secure_zero(s->join, sizeof s->join);
    if (err < 0)
        save_end(s);
    return err;
}

static void save_over(struct saver *s, const struct reply *r)
{
    save_done_fn done = s->done;
    save_end(s);
    done(s->ctx, r->err, r->text);
}

static void save_on_reply(struct poller_source *source, unsigned events)
{
    struct saver *s = CONTAINER_OF(source, struct saver, source);
    struct reply r = {.err = ERR_IO};
    (void)events;
    ssize_t n = s->done ? read(source->fd, &r, sizeof r) : -1;
    if (!s->done || (n < 0 && errno == EAGAIN))
        return;
    if (n != sizeof r) { /* written at once, or its end */
        r.err = ERR_IO;
        (void)snprintf(r.text, sizeof r.text, "%s", err_text(ERR_IO));
    }
    r.text[sizeof r.text - 1] = '\0';
    save_over(s, &r);
}

/* 0, ERR_NOMEM, or ERR_IO: the other process is gone. */
static int send_config(const struct saver *s, const struct client *c)
{
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    if (!to)
        return ERR_NOMEM;
    put_config(to, s, c);
    int err = fclose(to) == 0 && n < TEXT_MAX ? 0 : ERR_NOMEM;
    uint32_t size = (uint32_t)n;
    if (err == 0 && (file_write_all(s->text, text, n) < n || /* memory */
                     file_write_all(s->request, &size, sizeof size) < sizeof size))
        err = ERR_IO;
    free(text);
    return err;
}

void save_write(struct saver *s, struct client *c, save_done_fn done, void *ctx)
{
    struct reply r = {.err = 0};
    if (s->request < 0)
        return; /* it was written */
    s->done = done;
    s->ctx = ctx;
    s->loop = &c->loop;
    s->source.on_ready = save_on_reply;
    r.err = send_config(s, c);
    (void)close(s->request);
    (void)close(s->text);
    s->request = s->text = -1;
    if (r.err == 0)
        r.err = poller_add(&c->loop, &s->source, s->reply);
    if (r.err == 0)
        return;
    (void)snprintf(r.text, sizeof r.text, "%s", err_text(r.err)); /* fits */
    save_over(s, &r);
}

void save_end(struct saver *s)
{
    if (s->source.fd >= 0)
        poller_forget(s->loop, &s->source);
    if (s->request >= 0)
        (void)close(s->request);
    if (s->reply >= 0)
        (void)close(s->reply);
    if (s->text >= 0)
        (void)close(s->text);
    s->request = s->reply = s->text = -1;
    s->done = NULL;
}
