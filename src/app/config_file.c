/* SPDX-License-Identifier: MIT */
/* From a path to options. */
#include "app/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h> /* app/ has a limits.h of its own */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/address.h"
#include "base/event.h"
#include "base/file.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/secure.h"
#include "base/trust_path.h"
#include "conf/config.h"
#include "conf/number.h"
#include "proto/hello.h"

enum {
    ROOM = YAML_WALK_BYTES_MAX + 4, /* a mark of UTF-8, and one byte to see that it is too long */
    LINE_MAX_BYTES = PATH_MAX + CONFIG_ERROR_TEXT + 64,
};

struct config_file {
    const char *path;
    const struct config_listener *to; /* NULL: stderr */
    struct config *config;
    size_t n;
    char folder[PATH_MAX]; /* with a slash at its end, or "" */
    char bytes[ROOM];
};

static void say(const struct config_listener *to, const char *path, const char *fmt, va_list ap)
{
    char text[CONFIG_ERROR_TEXT], line[LINE_MAX_BYTES];
    (void)vsnprintf(text, sizeof text, fmt, ap); /* cut on purpose */
    (void)snprintf(line, sizeof line, "%s: %s%s", path, text, to ? "" : "\n");
    if (to)
        to->line(to->ctx, line);
    else
        log_text(line);
}

void config_file_say(const char *path, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(NULL, path, fmt, ap);
    va_end(ap);
}

static void tell(const struct config_listener *to, const char *path, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static void tell(const struct config_listener *to, const char *path, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(to, path, fmt, ap);
    va_end(ap);
}

/* ---- what the text alone does not show ---- */

static int check_address(const char *text, struct errmsg *why)
{
    struct hostport any;
    return address_parse(text, &any, why);
}

static int check_target(const char *text, struct errmsg *why)
{
    struct destinations *any;
    int err = address_parse_target(text, &any, why);
    if (err == 0)
        free(any);
    return err;
}

static int check_listen(const char *text, struct errmsg *why)
{
    struct hostport any;
    return address_parse_listen(text, &any, why);
}

static int check_ip(const char *text, struct errmsg *why)
{
    char any[SOCK_NAME_MAX];
    return address_parse_ip(text, any, why);
}

static int check_port(const char *text, struct errmsg *why)
{
    int64_t port;
    if (number_parse(text, &port) == 0 && port >= 0 && port <= 65535)
        return 0;
    return errmsg_set(why, ERR_RANGE, _("'%s' is not 0 to 65535"), text);
}

static int check_id(const char *text, struct errmsg *why)
{
    if (!*text || hello_id_is_valid(text))
        return 0;
    return errmsg_set(why, ERR_INVAL, _("an id is 1 to %d of A-Z a-z 0-9 . _ -"), HELLO_ID_MAX);
}

static int check_secret(const char *text, struct errmsg *why)
{
    if (!strchr(text, '\n'))
        return 0;
    return errmsg_set(why, ERR_INVAL, "%s", _("a secret is one line"));
}

static const struct config_check checks[] = {
    {"id", check_id},          {"listen", check_listen},    {"local-target", check_target},
    {"public-bind", check_ip}, {"remote-port", check_port}, {"secret", check_secret},
    {"server", check_address},
};

/* ---- the file ---- */

static int read_bytes(struct config_file *f)
{
    struct stat st;
    int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        goto failed;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        goto failed;
    }
    ssize_t n = file_read_all(fd, f->bytes, sizeof f->bytes);
    if (n < 0)
        goto failed;
    f->n = (size_t)n;
    (void)close(fd); /* only read */
    return 0;

failed:;
    int errnum = errno;
    if (fd >= 0)
        (void)close(fd);
    tell(f->to, f->path, "%s", errno_text(errnum));
    return err_from_errno(errnum);
}

/* True, or it is said why not. */
static int check_trust(const struct config_file *f)
{
    struct errmsg why;
    int err = trust_path(f->path, TRUST_FILE, false, &why);
    if (err < 0)
        tell(f->to, f->path, "%s", why.text);
    else if (*why.text)
        event_place_doubtful(why.text);
    return err;
}

int config_file_load(const char *path, const struct config_listener *to, struct config_file **ret)
{
    struct config_file *f = secure_alloc(sizeof *f); /* a secret may be in it */
    if (!f) {
        tell(to, path, "%s", err_text(ERR_NOMEM));
        return ERR_NOMEM;
    }
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) + 1 : 0;
    f->path = path;
    f->to = to;
    int err = check_trust(f);
    if (err == 0 && n >= sizeof f->folder) {
        tell(f->to, path, "%s", errno_text(ENAMETOOLONG));
        err = ERR_LIMIT;
    }
    if (err == 0)
        err = read_bytes(f);
    if (err < 0) {
        config_file_free(f);
        return err;
    }
    memcpy(f->folder, path, n);
    *ret = f;
    return 0;
}

/* What an editor that writes in place leaves for a moment, and a full disk for longer. JSON may end
   without a line feed, and with its bracket. */
static const char *is_cut(const struct config_file *f)
{
    size_t n = f->n;
    if (n == 0 || f->bytes[n - 1] == '\n' || f->bytes[n - 1] == '}')
        return NULL; /* that one is empty is said by who reads it */
    return _(
        "the last line has no end: the file may not be written to its end yet (add a line feed)");
}

int config_file_load_again(const char *path, const struct config_listener *to,
                           struct config_file **ret)
{
    struct config_file *f;
    int err = config_file_load(path, to, &f);
    if (err < 0)
        return err;
    const char *why = is_cut(f);
    if (why) {
        tell(to, path, "%s", why);
        config_file_free(f);
        return ERR_INVAL;
    }
    *ret = f;
    return 0;
}

const struct mode *config_file_mode(const struct config_file *f)
{
    return config_mode(f->bytes, f->n);
}

static void say_errors(const struct config_file *f)
{
    bool more = false;
    const struct config_error *e;
    char place[PATH_MAX + 32];
    for (size_t i = 0; (e = config_error(f->config, i, &more)); i++) {
        (void)snprintf(place, sizeof place, "%s:%u:%u", f->path, e->at.line,
                       e->at.column); /* cut on purpose */
        tell(f->to, place, "%s", e->text);
    }
    if (more)
        tell(f->to, f->path, "%s", _("there is more that is wrong"));
}

/* A secret in a file that others can read is none. */
static int check_secrecy(const struct config_file *f)
{
    struct yaml_place at;
    struct errmsg why;
    char place[PATH_MAX + 32];
    if (!config_has_secret(f->config, &at))
        return 0;
    int err = trust_path(f->path, TRUST_SECRET, false, &why);
    if (err < 0) {
        (void)snprintf(place, sizeof place, "%s:%u:%u", f->path, at.line, at.column);
        tell(f->to, place, _("the file has a secret in it: %s"), why.text);
    }
    return err;
}

int config_file_apply(struct config_file *f, const struct mode *m, void *opt)
{
    f->config = config_new(m, f->folder, checks, ARRAY_LEN(checks));
    int err = f->config ? config_read(f->config, f->bytes, f->n, opt) : ERR_NOMEM;
    if (err == ERR_NOMEM) {
        tell(f->to, f->path, "%s", err_text(err));
        return err;
    }
    say_errors(f);
    int secrecy = check_secrecy(f);
    return err < 0 ? err : secrecy;
}

const char *config_file_tunnel(const struct config_file *f)
{
    return config_tunnel(f->config);
}

void config_file_free(struct config_file *f)
{
    if (!f)
        return;
    config_free(f->config);
    secure_free(f, sizeof *f);
}
