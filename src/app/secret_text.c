/* SPDX-License-Identifier: MIT */
/* From places that keep a secret to memory that does. */
#include "app/secret_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/i18n.h"
#include "base/secure.h"
#include "base/trust_path.h"

static int check_type(int fd, const char *name, struct errmsg *why)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return errmsg_set(why, ERR_IO, "%s: %s", name, errno_text(errno));
    return S_ISDIR(st.st_mode) ? errmsg_set(why, ERR_INVAL, _("%s is a directory"), name) : 0;
}

/* Reads to the end of the file, at most room bytes. Bytes, or -1 with errno. */
static ssize_t read_all(int fd, char *buf, size_t room)
{
    size_t n = 0;
    while (n < room) {
        ssize_t r = read(fd, buf + n, room - n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -1;
        if (r == 0)
            break;
        n += (size_t)r;
    }
    return (ssize_t)n;
}

/* One line end belongs to the editor, not to the secret. */
static size_t without_line_end(const char *p, size_t n)
{
    if (n > 0 && p[n - 1] == '\n')
        n--;
    if (n > 0 && p[n - 1] == '\r')
        n--;
    return n;
}

/* A byte order mark is not seen in an editor, and the other end's secret does not have it. */
static int take(struct secret_text *ret, const char *text, size_t n, const char *from,
                struct errmsg *why)
{
    n = without_line_end(text, n);
    if (n == 0)
        return errmsg_set(why, ERR_INVAL, _("%s is empty"), from);
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        return errmsg_set(
            why, ERR_INVAL,
            _("%s begins with a byte order mark (EF BB BF): save it as UTF-8 without one"), from);
    if (n >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
        return errmsg_set(why, ERR_INVAL,
                          _("%s is saved as UTF-16: save it as UTF-8 without a byte order mark"),
                          from);
    if (n > OPTION_SECRET_MAX)
        return errmsg_set(why, ERR_LIMIT, _("%s has more than %d bytes"), from, OPTION_SECRET_MAX);
    memcpy(ret->bytes, text, n);
    ret->bytes[n] = '\0';
    ret->n = n;
    return 0;
}

static int from_descriptor(struct secret_text *ret, int fd, const char *name, struct errmsg *why)
{
    char text[OPTION_SECRET_MAX + 3]; /* a line end, and one byte to see that it is too long */
    ssize_t n = read_all(fd, text, sizeof text);
    int err = n < 0 ? errmsg_set(why, ERR_IO, "%s: %s", name, errno_text(errno))
                    : take(ret, text, (size_t)n, name, why);
    secure_zero(text, sizeof text);
    return err;
}

int secret_text_read(struct secret_text *ret, const char *path, const char *stdin_name,
                     struct errmsg *why)
{
    why->text[0] = '\0';
    if (strcmp(path, "-") == 0)
        return from_descriptor(ret, STDIN_FILENO, stdin_name, why);
    int err = trust_path(path, TRUST_SECRET, false, why);
    if (err < 0)
        return err;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return errmsg_set(why, err_from_errno(errno), "%s: %s", path, errno_text(errno));
    err = check_type(fd, path, why);
    if (err == 0)
        err = from_descriptor(ret, fd, path, why);
    (void)close(fd); /* only read */
    return err;
}

/* Copies the variable and wipes it: /proc/PID/environ shows what stands in that memory. */
int secret_text_environment(struct secret_text *ret, const char *name, bool wanted,
                            struct errmsg *why)
{
    char *value = getenv(name);
    ret->n = 0;
    if (!value)
        return 0;
    size_t n = strlen(value);
    int err = wanted && n > 0 ? take(ret, value, n, name, why) : 0;
    secure_zero(value, n);
    (void)unsetenv(name); /* fails for a malformed name only */
    return err;
}
