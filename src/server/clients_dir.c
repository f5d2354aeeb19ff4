/* SPDX-License-Identifier: MIT */
/* Clients by their files. */
#include "server/clients_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/i18n.h"
#include "base/secure.h"
#include "base/trust_path.h"
#include "proto/client_key.h"

#define SUFFIX  ".yaml"
#define REVOKED ".revoked"
#define TMP     ".gotunnel-tmp"

enum { FILE_NAME_BUF = NAME_MAX + 1 };

static int cannot_open(const struct clients_dir *d, struct errmsg *why)
{
    int errnum = errno;
    return errmsg_set(why, err_from_errno(errnum), _("cannot open folder %s: %s"), d->path,
                      errno_text(errnum));
}

static int cannot_write(const char *path, struct errmsg *why)
{
    int errnum = errno;
    return errmsg_set(why, err_from_errno(errnum), _("cannot write %s: %s"), path,
                      errno_text(errnum));
}

/* ---- the folder ---- */

/* Who has just made the folder as root gives it to the owner of the one above. */
static void give(int fd)
{
    int above = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (above < 0)
        return;
    file_give_to_owner(above, fd);
    (void)close(above);
}

static int open_folder(const char *path, enum clients_dir_use use)
{
    bool is_new = use == CLIENTS_DIR_CHANGE && mkdir(path, 0700) == 0;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && is_new)
        give(fd);
    return fd;
}

int clients_dir_open(struct clients_dir *ret, const char *path, enum clients_dir_use use,
                     struct errmsg *why)
{
    int err = trust_path(path, TRUST_FOLDER, false, why);
    if (err < 0)
        return err;
    if ((size_t)snprintf(ret->path, sizeof ret->path, "%s", path) >= sizeof ret->path)
        return errmsg_set(why, ERR_LIMIT, "%s: %s", path, errno_text(ENAMETOOLONG));
    ret->fd = open_folder(path, use);
    if (ret->fd < 0)
        return cannot_open(ret, why);
    if (use == CLIENTS_DIR_CHANGE && file_lock(ret->fd, CLIENTS_DIR_LOCK_MS) < 0) {
        clients_dir_close(ret);
        return errmsg_set(why, ERR_TIMEOUT, _("another process is changing %s"), path);
    }
    return 0;
}

void clients_dir_close(struct clients_dir *d)
{
    (void)close(d->fd); /* only read or locked */
}

/* ---- names ---- */

void clients_names_fini(struct clients_names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->list[i]);
    free(n->list);
    *n = (struct clients_names){0};
}

/* Adds file without its suffix, if it is of a client. False: no memory. */
static bool add_name(struct clients_names *n, size_t *room, const char *file)
{
    size_t len = strlen(file), suffix = sizeof SUFFIX - 1;
    if (*file == '.' || len <= suffix || strcmp(file + len - suffix, SUFFIX) != 0)
        return true;
    n->has_more |= n->count == CLIENTS_DIR_MAX;
    if (n->has_more)
        return true;
    if (n->count == *room) {
        size_t more = *room ? *room * 2 : 64;
        char **list = realloc(n->list, more * sizeof *list);
        if (!list)
            return false;
        n->list = list;
        *room = more;
    }
    n->list[n->count] = strndup(file, len - suffix);
    return n->list[n->count] && ++n->count;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int clients_dir_names(const struct clients_dir *d, struct clients_names *ret, struct errmsg *why)
{
    const struct dirent *e;
    size_t room = 0;
    bool is_full = false;
    *ret = (struct clients_names){0};
    int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        int err = cannot_open(d, why);
        if (fd >= 0)
            (void)close(fd);
        return err;
    }
    errno = 0;
    while (!is_full && (e = readdir(dir)))
        is_full = !add_name(ret, &room, e->d_name);
    int err = is_full      ? errmsg_set(why, ERR_NOMEM, "%s", err_text(ERR_NOMEM))
              : errno != 0 ? cannot_open(d, why)
                           : 0;
    (void)closedir(dir);
    if (err < 0)
        clients_names_fini(ret);
    else if (ret->count > 0)
        qsort(ret->list, ret->count, sizeof *ret->list, compare);
    return err;
}

void clients_folder(char ret[CLIENTS_FOLDER_MAX], const struct clients_dir *d)
{
    struct stat st = {.st_ino = 0};
    (void)fstat(d->fd, &st); /* of an open folder; else it is none's word */
    (void)snprintf(ret, CLIENTS_FOLDER_MAX, "%llx:%llx", (unsigned long long)st.st_dev,
                   (unsigned long long)st.st_ino); /* fits */
}

/* ---- a file ---- */

void clients_file_fini(struct clients_file *f)
{
    if (f->bytes)
        secure_zero(f->bytes, f->n); /* the key's A is nobody's business */
    free(f->bytes);
    f->bytes = NULL;
    f->n = 0;
}

/* The file's name; its path for sentences. */
static int name_of(const struct clients_dir *d, const char *name, char file[FILE_NAME_BUF],
                   char path[PATH_MAX], struct errmsg *why)
{
    int err = client_entry_check_name(name, why);
    if (err < 0)
        return err;
    (void)snprintf(file, FILE_NAME_BUF, "%s" SUFFIX, name); /* fits */
    if ((size_t)snprintf(path, PATH_MAX, "%s/%s", d->path, file) >= PATH_MAX)
        return errmsg_set(why, ERR_LIMIT, "%s: %s", d->path, errno_text(ENAMETOOLONG));
    return 0;
}

static int check_key(const char *text, struct errmsg *why)
{
    struct client_key any;
    int err = client_key_get(&any, text, strlen(text));
    secure_zero(&any, sizeof any);
    switch (err) {
    case 0:
        return 0;
    case ERR_PROTO:
        return errmsg_set(why, ERR_PROTO, "%s", _("it is of a later version of gotunnel"));
    case ERR_RANGE:
        return errmsg_set(why, ERR_RANGE, "%s", _("a character of it is missing or wrong"));
    default:
        return errmsg_set(why, ERR_INVAL,
                          _("it is no key: one begins with %s and has %d characters"),
                          CLIENT_KEY_PREFIX, CLIENT_KEY_LEN);
    }
}

static int cannot_read(const char *path, struct errmsg *why)
{
    int errnum = errno;
    return errmsg_set(why, err_from_errno(errnum), "%s: %s", path, errno_text(errnum));
}

static int read_bytes(int fd, const char *path, struct clients_file *f, struct errmsg *why)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return cannot_read(path, why);
    if (!S_ISREG(st.st_mode))
        return errmsg_set(why, ERR_INVAL, _("%s: it is not a regular file"), path);
    if (st.st_size > CLIENTS_DIR_FILE_MAX)
        return errmsg_set(why, ERR_INVAL, _("%s: the file has more than %d bytes"), path,
                          CLIENTS_DIR_FILE_MAX);
    int err = trust_file(fd, path, TRUST_SECRET, false, why);
    if (err < 0)
        return err;
    f->bytes = malloc((size_t)st.st_size + 1);
    if (!f->bytes)
        return errmsg_set(why, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    ssize_t n = file_read_all(fd, f->bytes, (size_t)st.st_size);
    if (n < 0)
        return cannot_read(path, why);
    f->n = (size_t)n;
    return 0;
}

int clients_dir_read(const struct clients_dir *d, const char *name, struct clients_file *f,
                     struct errmsg *why)
{
    char file[FILE_NAME_BUF], path[PATH_MAX];
    clients_file_fini(f);
    memset(&f->errors, 0, sizeof f->errors);
    int err = name_of(d, name, file, path, why);
    if (err < 0)
        return err;
    /* Not blocking: a FIFO of that name must not stop anything. */
    int fd = openat(d->fd, file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0)
        return cannot_read(path, why);
    err = read_bytes(fd, path, f, why);
    (void)close(fd); /* only read */
    if (err < 0)
        return err;
    why->text[0] = '\0'; /* a doubt is of the folder, and said there */
    err = client_entry_read(&f->entry, f->bytes, f->n, check_key, &f->errors);
    if (err == ERR_NOMEM)
        (void)errmsg_set(why, err, "%s", err_text(err));
    return err;
}

bool clients_dir_fault(const struct clients_dir *d, const char *name, const struct clients_file *f,
                       const struct errmsg *why, size_t i, char ret[CLIENTS_LINE_MAX])
{
    bool more;
    const struct config_error *e = config_errors_get(&f->errors, i, &more);
    if (*why->text) {
        (void)snprintf(ret, CLIENTS_LINE_MAX, "%s", why->text);
        return i == 0;
    }
    if (e)
        (void)snprintf(ret, CLIENTS_LINE_MAX, "%s/%s" SUFFIX ":%u:%u: %s", d->path, name,
                       e->at.line, e->at.column, e->text); /* cut on purpose */
    else if (more && i == CONFIG_ERRORS_MAX)
        (void)snprintf(ret, CLIENTS_LINE_MAX, "%s/%s" SUFFIX ": %s", d->path, name,
                       _("there is more that is wrong"));
    return e || (more && i == CONFIG_ERRORS_MAX);
}

/* ---- changes ---- */

static int rename_new(int fd, const char *from, const char *to)
{
    struct stat st;
    if (file_rename_new(fd, from, fd, to) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP)
        return -1;
    errno = EEXIST; /* a file system without: we have the lock */
    return fstatat(fd, to, &st, AT_SYMLINK_NOFOLLOW) == 0 ? -1 : renameat(fd, from, fd, to);
}

/* Makes the file under another name, and renames it. */
static int put(const struct clients_dir *d, const char *name, const char *bytes, size_t n,
               bool is_new, struct errmsg *why)
{
    char file[FILE_NAME_BUF], tmp[FILE_NAME_BUF], path[PATH_MAX];
    int err = name_of(d, name, file, path, why);
    if (err < 0)
        return err;
    (void)snprintf(tmp, sizeof tmp, ".%s" TMP, name); /* fits */
    (void)unlinkat(d->fd, tmp, 0);                    /* what a crash has left */
    int r = file_create(d->fd, tmp, 0600, bytes, n);
    if (r == 0)
        r = is_new ? rename_new(d->fd, tmp, file) : renameat(d->fd, tmp, d->fd, file);
    if (r == 0 && file_sync_folder(d->fd) == 0)
        return 0;
    err = errno == EEXIST ? errmsg_set(why, ERR_INUSE, _("there is a client called %s"), name)
                          : cannot_write(path, why);
    (void)unlinkat(d->fd, tmp, 0); /* not there if it was renamed */
    return err;
}

int clients_dir_add(const struct clients_dir *d, const char *name, const char *bytes, size_t n,
                    struct errmsg *why)
{
    return put(d, name, bytes, n, true, why);
}

int clients_dir_replace(const struct clients_dir *d, const char *name, const char *bytes, size_t n,
                        struct errmsg *why)
{
    return put(d, name, bytes, n, false, why);
}

int clients_dir_revoke(const struct clients_dir *d, const char *name, struct errmsg *why)
{
    char file[FILE_NAME_BUF], to[FILE_NAME_BUF], path[PATH_MAX];
    int err = name_of(d, name, file, path, why);
    if (err < 0)
        return err;
    (void)snprintf(to, sizeof to, "%s" REVOKED, name); /* fits */
    if (renameat(d->fd, file, d->fd, to) == 0)
        return 0;
    if (errno == ENOENT)
        return errmsg_set(why, ERR_NOTFOUND, _("there is no client called %s"), name);
    return cannot_write(path, why);
}

int clients_dir_sync(const struct clients_dir *d, struct errmsg *why)
{
    return file_sync_folder(d->fd) == 0 ? 0 : cannot_write(d->path, why);
}

void clients_dir_drop(const struct clients_dir *d, const char *name)
{
    char file[FILE_NAME_BUF], path[PATH_MAX];
    struct errmsg why;
    if (name_of(d, name, file, path, &why) == 0 && unlinkat(d->fd, file, 0) == 0)
        (void)!file_sync_folder(d->fd); /* it is gone for all who run */
}
