/* SPDX-License-Identifier: MIT */
/*
 * The file of the client's id: 32 hex digits and a line feed. It is written beside its place,
 * synced, and then given its name by a call that never replaces a file: of two starts at once one
 * wins, and the other reads what the winner wrote. Nothing that is there is ever changed.
 */
#include "client/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/event.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/i18n.h"
#include "base/trust_path.h"
#include "client/state.h"
#include "conf/quote.h"
#include "proto/hash.h"

enum {
    BASE_BYTES = 16,
    BASE_LEN = 2 * BASE_BYTES,
};

#define FILE_NAME "client-id"

static int cannot_read(const struct state_folder *f, struct errmsg *why)
{
    int errnum = errno;
    return errmsg_set(why, err_from_errno(errnum), _("cannot read %s/%s: %s"), f->path, FILE_NAME,
                      errno_text(errnum));
}

static int random_hex(char *ret, size_t bytes, struct errmsg *why)
{
    uint8_t raw[BASE_BYTES];
    /* A request of up to 256 bytes is never cut short. */
    if (getrandom(raw, bytes, 0) != (ssize_t)bytes)
        return errmsg_set(why, ERR_IO, "getrandom: %s", errno_text(errno));
    hex_put(ret, raw, bytes);
    ret[2 * bytes] = '\0';
    return 0;
}

/* ---- reading ---- */

/* Whoever may write the file decides whose port this client takes over. */
static int check_file(const struct state_folder *f, int fd, struct errmsg *why)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return cannot_read(f, why);
    if (!S_ISREG(st.st_mode))
        return errmsg_set(why, ERR_INVAL, _("%s/%s is not a regular file"), f->path, FILE_NAME);
    char path[PATH_MAX + sizeof FILE_NAME + 1];
    (void)snprintf(path, sizeof path, "%s/%s", f->path, FILE_NAME);
    return trust_file(fd, path, TRUST_FILE, false, why);
}

/* The digits and a line feed, and nothing more. */
static bool is_base(const char *text, ssize_t n)
{
    uint8_t base[BASE_BYTES];
    return n == BASE_LEN + 1 && text[BASE_LEN] == '\n' && hex_get(base, text, BASE_BYTES);
}

static int read_base(const struct state_folder *f, int fd, char ret[BASE_LEN + 1],
                     struct errmsg *why)
{
    char text[BASE_LEN + 2]; /* one byte to see that there is more */
    int err = check_file(f, fd, why);
    if (err < 0)
        return err;
    ssize_t n = read(fd, text, sizeof text); /* a regular file: all at once */
    if (n < 0)
        return cannot_read(f, why);
    if (!is_base(text, n))
        return errmsg_set(why, ERR_INVAL, _("%s/%s holds no id: remove it, and a new one is made"),
                          f->path, FILE_NAME);
    memcpy(ret, text, BASE_LEN);
    ret[BASE_LEN] = '\0';
    return 0;
}

/* ERR_NOTFOUND: there is no such file. */
static int read_file(const struct state_folder *f, char ret[BASE_LEN + 1], struct errmsg *why)
{
    /* Not blocking: a FIFO of that name must not stop the start. */
    int fd = openat(f->fd, FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0 && errno == ELOOP)
        return errmsg_set(why, ERR_INVAL, _("%s/%s is a symbolic link"), f->path, FILE_NAME);
    if (fd < 0)
        return cannot_read(f, why);
    int err = read_base(f, fd, ret, why);
    (void)close(fd); /* only read */
    return err;
}

/* ---- making ---- */

/* A whole file of a name nobody uses, on the disk. 0, or -1 with errno. */
static int write_new(int dirfd, const char *name, const char base[BASE_LEN + 1])
{
    char text[BASE_LEN + 2];
    int n = snprintf(text, sizeof text, "%s\n", base);
    int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    file_give_to_owner(dirfd, fd);
    int errnum = file_write_all(fd, text, (size_t)n) < (size_t)n ? errno : 0;
    if (!errnum && fsync(fd) < 0)
        errnum = errno;
    if (close(fd) < 0 && !errnum && errno != EINTR)
        errnum = errno; /* some network file systems tell of a full disk only now */
    errno = errnum;
    return errnum ? -1 : 0;
}

/* Gives it its name unless there is such a file already. */
static int publish(int dirfd, const char *name)
{
    if (file_rename_new(dirfd, name, dirfd, FILE_NAME) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP)
        return -1;
    return linkat(dirfd, name, dirfd, FILE_NAME, 0); /* NFS */
}

static int make_file(const struct state_folder *f, char base[BASE_LEN + 1], struct errmsg *why)
{
    char name[sizeof FILE_NAME "." + BASE_LEN] = FILE_NAME ".";
    int err = random_hex(base, BASE_BYTES, why);
    if (err == 0)
        err = random_hex(name + strlen(name), BASE_BYTES / 2, why);
    if (err < 0)
        return err;
    int r = write_new(f->fd, name, base) == 0 ? publish(f->fd, name) : -1;
    int errnum = errno;
    (void)unlinkat(f->fd, name, 0); /* gone already where it was renamed */
    if (r == 0) {
        (void)fsync(f->fd); /* a name that is lost in a crash is made again */
        return 0;
    }
    if (errnum == EEXIST)
        return read_file(f, base, why);
    return errmsg_set(why, err_from_errno(errnum), _("cannot write %s/%s: %s"), f->path, FILE_NAME,
                      errno_text(errnum));
}

static int keep_base(char ret[BASE_LEN + 1], struct errmsg *why)
{
    struct state_folder f;
    int err = state_open(&f, why);
    if (err < 0)
        return err;
    err = read_file(&f, ret, why);
    if (err == ERR_NOTFOUND)
        err = make_file(&f, ret, why);
    if (err == 0)
        *why = f.doubt;
    (void)close(f.fd); /* a folder */
    return err;
}

/* ---- the id ---- */

/* The same for the same tunnel. Only a number of our own goes with it, so nobody gains by a text
   that has the hash of another. */
static uint64_t hash_tunnel(const struct client_options *opt)
{
    char text[64];
    const struct tunnels *ts = &opt->tunnels;
    (void)snprintf(text, sizeof text, "%016" PRIx64 "%016" PRIx64 "%" PRId64,
                   hash_text(opt->server), hash_text(opt->local_target), opt->remote_port);
    uint64_t hash = hash_text(text);
    for (uint32_t i = 0; i < ts->count; i++) {
        (void)snprintf(text, sizeof text, "%016" PRIx64 "%016" PRIx64 "%" PRId32, hash,
                       hash_text(ts->at[i].target), ts->at[i].port);
        hash = hash_text(text);
    }
    return hash;
}

/* -id says it. */
static int take_given(char ret[HELLO_ID_MAX + 1], const struct client_options *opt,
                      struct errmsg *why)
{
    char quoted[128];
    (void)quote(quoted, sizeof quoted, opt->id); /* cut on purpose */
    if (!hello_id_is_valid(opt->id))
        return errmsg_set(why, ERR_INVAL, _("-id %s: an id is 1 to %d of A-Z a-z 0-9 . _ -"),
                          quoted, HELLO_ID_MAX);
    if (opt->has_join && !hello_id_is_of_key(opt->id, opt->join.name))
        return errmsg_set(why, ERR_INVAL,
                          _("-id %s: with this join string an id is %s, or begins with %s."),
                          quoted, opt->join.name, opt->join.name);
    (void)snprintf(ret, HELLO_ID_MAX + 1, "%s", opt->id);
    return IDENTITY_KEPT;
}

/* The id of a client with a key of its own begins with the key's name; behind a name that leaves no room
   there is nothing. */
static void put_behind_name(char id[HELLO_ID_MAX + 1], const char *name)
{
    uint64_t hash = hash_text(id);
    int n = snprintf(id, HELLO_ID_MAX + 1, "%s.%016" PRIx64, name, hash);
    if (n < 0 || n > HELLO_ID_MAX)
        (void)snprintf(id, HELLO_ID_MAX + 1, "%s", name);
}

int identity_find(char ret[HELLO_ID_MAX + 1], const struct client_options *opt, struct errmsg *why)
{
    char base[BASE_LEN + 1];
    enum identity_kind kind = IDENTITY_KEPT;
    why->text[0] = '\0';
    if (*opt->id)
        return take_given(ret, opt, why);
    if (opt->remote_port == 0)
        kind = IDENTITY_NEW;
    else if (keep_base(base, why) < 0)
        kind = IDENTITY_TEMPORARY;
    if (kind != IDENTITY_KEPT && random_hex(base, BASE_BYTES, why) < 0)
        return ERR_IO;
    (void)snprintf(ret, HELLO_ID_MAX + 1, "%s-%016" PRIx64, base, hash_tunnel(opt));
    if (opt->has_join)
        put_behind_name(ret, opt->join.name);
    return kind;
}

enum { VISIT_DIGITS_MIN = 6 }; /* so that no two visits meet */

int identity_of_visit(char ret[HELLO_ID_MAX + 1], const struct client_options *opt,
                      struct errmsg *why)
{
    char digits[BASE_LEN + 1];
    const char *name = opt->has_join ? opt->join.name : "visit";
    int room = HELLO_ID_MAX - (int)strlen(name) - 1;
    if (room < VISIT_DIGITS_MIN)
        return errmsg_set(why, ERR_RANGE, _("the client's name '%s' leaves no room for a visit"),
                          name);
    if (random_hex(digits, BASE_BYTES / 2, why) < 0)
        return ERR_IO;
    if (room < (int)strlen(digits))
        digits[room] = '\0';
    if (snprintf(ret, HELLO_ID_MAX + 1, "%s.%s", name, digits) > HELLO_ID_MAX)
        return ERR_RANGE; /* cannot be */
    return 0;
}

int identity_get(char ret[HELLO_ID_MAX + 1], const struct client_options *opt, struct errmsg *why)
{
    int kind = identity_find(ret, opt, why);
    if (kind < 0)
        return kind;
    if (kind == IDENTITY_TEMPORARY)
        event_id_not_kept(why->text);
    else if (*why->text)
        event_place_doubtful(why->text);
    return 0;
}
