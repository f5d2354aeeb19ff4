/* SPDX-License-Identifier: MIT */
/* Lines of hex digits. What is no such line, as a full disk leaves it, is passed over. */
#include "client/pins.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hex.h"
#include "base/i18n.h"
#include "base/trust_path.h"
#include "client/state.h"

enum { LINE_LEN = 2 * PIN_BYTES + 1 };

#define FILE_NAME "servers"

/* ---- the file ---- */

static int open_in(const struct state_folder *f, struct errmsg *why)
{
    char path[PATH_MAX + sizeof FILE_NAME + 1];
    int flags = O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW;
    (void)snprintf(path, sizeof path, "%s/%s", f->path, FILE_NAME);
    int fd = openat(f->fd, FILE_NAME, O_RDWR | O_CREAT | flags, 0600);
    if (fd < 0 && (errno == EROFS || errno == EACCES))
        fd = openat(f->fd, FILE_NAME, O_RDONLY | flags); /* what is known counts all the same */
    int errnum = errno;
    if (fd < 0)
        return errmsg_set(why, err_from_errno(errnum), _("cannot open %s: %s"), path,
                          errno_text(errnum));
    file_give_to_owner(f->fd, fd);
    int err = trust_file(fd, path, TRUST_FILE, false, why);
    if (err == 0)
        return fd;
    (void)close(fd); /* nothing was written */
    return err;
}

void pins_init(struct pins *p)
{
    struct state_folder f;
    *p = (struct pins){.fd = -1};
    if (state_open(&f, &p->why_none) < 0)
        return;
    p->fd = open_in(&f, &p->why_none);
    (void)close(f.fd); /* a folder */
}

void pins_fini(struct pins *p)
{
    if (p->fd >= 0)
        (void)close(p->fd); /* each line was written at once */
    p->fd = -1;
}

static void line_of(char ret[LINE_LEN + 1], const uint8_t key[PIN_BYTES])
{
    hex_put(ret, key, PIN_BYTES);
    (void)strcpy(ret + LINE_LEN - 1, "\n");
}

/* The text of the file, NUL-terminated, and its length; the caller frees it. NULL: not to be had. */
static char *read_all(const struct pins *p, size_t *ret_len)
{
    char *text = p->fd < 0 ? NULL : malloc(PINS_FILE_MAX + 1);
    ssize_t n = text ? pread(p->fd, text, PINS_FILE_MAX, 0) : -1; /* a regular file: all at once */
    if (n < 0) {
        free(text);
        return NULL;
    }
    text[n] = '\0';
    *ret_len = (size_t)n;
    return text;
}

static bool has_line(const char *text, const char line[LINE_LEN + 1])
{
    for (const char *at = text; (at = strstr(at, line)); at++) {
        if (at == text || at[-1] == '\n')
            return true;
    }
    return false;
}

/* By one write, so that clients that share the file do not mix their lines. */
static int append(const struct pins *p, const char *text, size_t len, const char line[LINE_LEN + 1],
                  struct errmsg *why)
{
    char out[LINE_LEN + 2];
    bool torn = len > 0 && text[len - 1] != '\n';
    int n = snprintf(out, sizeof out, "%s%s", torn ? "\n" : "", line);
    if (len + (size_t)n > PINS_FILE_MAX)
        return errmsg_set(why, ERR_LIMIT, _("%s is full: remove it"), FILE_NAME);
    ssize_t written = write(p->fd, out, (size_t)n);
    if (written == n)
        return 0;
    int errnum = written < 0 ? errno : ENOSPC;
    return errmsg_set(why, err_from_errno(errnum), _("cannot write %s: %s"), FILE_NAME,
                      errno_text(errnum));
}

/* ---- what is asked ---- */

static bool is_of_this_run(const struct pins *p, const uint8_t key[PIN_BYTES])
{
    for (unsigned i = 0; i < p->count && i < PINS_RUN_MAX; i++) {
        if (memcmp(p->keys[i], key, PIN_BYTES) == 0)
            return true;
    }
    return false;
}

bool pins_has(const struct pins *p, const uint8_t key[PIN_BYTES])
{
    char line[LINE_LEN + 1];
    size_t len;
    if (is_of_this_run(p, key))
        return true;
    char *text = read_all(p, &len);
    line_of(line, key);
    bool has = text && has_line(text, line);
    free(text);
    return has;
}

int pins_add(struct pins *p, const uint8_t key[PIN_BYTES], struct errmsg *why)
{
    char line[LINE_LEN + 1];
    size_t len;
    if (is_of_this_run(p, key))
        return 0;
    memcpy(p->keys[p->count++ % PINS_RUN_MAX], key, PIN_BYTES);
    if (p->fd < 0)
        return errmsg_set(why, ERR_NOTFOUND, "%s", p->why_none.text);
    char *text = read_all(p, &len);
    if (!text)
        return errmsg_set(why, ERR_IO, "%s: %s", FILE_NAME, err_text(ERR_IO));
    line_of(line, key);
    int err = has_line(text, line) ? 0 : append(p, text, len, line, why);
    free(text);
    return err;
}
