/* SPDX-License-Identifier: MIT */
/* Secrets from files, standard input and the environment. */
#include "app/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/event.h"
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
static int take_secret(struct common_options *o, const char *text, size_t n, const char *from,
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
    if (memchr(text, '\0', n))
        return errmsg_set(why, ERR_INVAL, _("%s has a zero byte in it"), from);
    if (memchr(text, '\n', n))
        return errmsg_set(why, ERR_INVAL, _("%s has a line feed in it: a secret is one line"),
                          from);
    memcpy(o->secret, text, n);
    o->secret[n] = '\0';
    return 0;
}

static int from_descriptor(struct common_options *o, int fd, const char *name, struct errmsg *why)
{
    char text[OPTION_SECRET_MAX + 3]; /* a line end, and one byte to see that it is too long */
    ssize_t n = read_all(fd, text, sizeof text);
    int err = n < 0 ? errmsg_set(why, ERR_IO, "%s: %s", name, errno_text(errno))
                    : take_secret(o, text, (size_t)n, name, why);
    secure_zero(text, sizeof text);
    return err;
}

static int from_file(struct common_options *o, struct errmsg *why)
{
    const char *name = o->secret_file;
    if (strcmp(name, "-") == 0)
        return from_descriptor(o, STDIN_FILENO, _("the secret on standard input"), why);
    int err = trust_path(name, TRUST_SECRET, false, why);
    if (err < 0)
        return err;
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return errmsg_set(why, err_from_errno(errno), "%s: %s", name, errno_text(errno));
    err = check_type(fd, name, why);
    if (err == 0)
        err = from_descriptor(o, fd, name, why);
    (void)close(fd); /* only read */
    return err;
}

/* Copies the variable and wipes it: /proc/PID/environ shows what stands in that memory. */
static int from_environment(struct common_options *o, bool wanted, struct errmsg *why)
{
    char *value = getenv(SECRET_VARIABLE);
    if (!value)
        return 0;
    size_t n = strlen(value);
    int err = wanted && n > 0 ? take_secret(o, value, n, SECRET_VARIABLE, why) : 0;
    secure_zero(value, n);
    (void)unsetenv(SECRET_VARIABLE); /* fails for a malformed name only */
    return err;
}

int secret_find(struct common_options *o, struct errmsg *why)
{
    why->text[0] = '\0';
    bool is_there = *o->secret != '\0';
    bool in_argv = is_there && !o->secret_in_config;
    o->secret_in_argv = in_argv;
    bool in_file = !is_there && *o->secret_file;
    int err = from_environment(o, !is_there && !in_file, why);
    if (err == 0 && in_file)
        err = from_file(o, why);
    if (in_argv && strchr(o->secret, '\n'))
        err = errmsg_set(why, ERR_INVAL, _("%s has a line feed in it: a secret is one line"),
                         "-secret");
    return err;
}

void secret_warn(const struct common_options *o)
{
    if (o->secret_in_argv)
        event_secret_in_argv();
}
