/* SPDX-License-Identifier: MIT */
/* Error codes and their words. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/i18n.h"

enum { ERRNO_TEXT_MAX = 128 };

static const char *const names[] = {
    [-ERR_AGAIN] = N_("try again"),
    [-ERR_EOF] = N_("end of stream"),
    [-ERR_NOMEM] = N_("out of memory"),
    [-ERR_PROTO] = N_("protocol error"),
    [-ERR_LIMIT] = N_("limit reached"),
    [-ERR_INVAL] = N_("invalid value"),
    [-ERR_RANGE] = N_("value out of range"),
    [-ERR_TIMEOUT] = N_("timed out"),
    [-ERR_REFUSED] = N_("connection refused"),
    [-ERR_RESET] = N_("connection reset"),
    [-ERR_IO] = N_("input/output error"),
    [-ERR_AUTH] = N_("authentication failed"),
    [-ERR_CERT] = N_("certificate error"),
    [-ERR_TLS] = N_("TLS error"),
    [-ERR_RESOLVE] = N_("name does not resolve"),
    [-ERR_INUSE] = N_("address already in use"),
    [-ERR_PERM] = N_("permission denied"),
    [-ERR_NOTFOUND] = N_("not found"),
    [-ERR_BADSTATE] = N_("wrong state"),
    [-ERR_EXISTS] = N_("is there already"),
    [-ERR_CERT_TIME] = N_("certificate not valid at this time"),
};

const char *err_name(int err)
{
    if (err >= 0 || err <= -(int)ARRAY_LEN(names) || !names[-err])
        return N_("unknown error");
    return names[-err];
}

const char *err_text(int err)
{
    return _(err_name(err));
}

/* In English what the system's library says. The others say it in their language, with that in
   brackets: it is what people search for. */
static const struct {
    int errnum;
    const char *text;
} errnos[] = {
    {EACCES, N_("Permission denied")},
    {EADDRINUSE, N_("Address already in use")},
    {EADDRNOTAVAIL, N_("Cannot assign requested address")},
    {EAFNOSUPPORT, N_("Address family not supported by protocol")},
    {ECONNABORTED, N_("Software caused connection abort")},
    {ECONNREFUSED, N_("Connection refused")},
    {ECONNRESET, N_("Connection reset by peer")},
    {EEXIST, N_("File exists")},
    {EHOSTUNREACH, N_("No route to host")},
    {EIO, N_("Input/output error")},
    {EISDIR, N_("Is a directory")},
    {ELOOP, N_("Too many levels of symbolic links")},
    {EMFILE, N_("Too many open files")},
    {ENAMETOOLONG, N_("File name too long")},
    {ENETDOWN, N_("Network is down")},
    {ENETUNREACH, N_("Network is unreachable")},
    {ENFILE, N_("Too many open files in system")},
    {ENOENT, N_("No such file or directory")},
    {ENOMEM, N_("Cannot allocate memory")},
    {ENOSPC, N_("No space left on device")},
    {ENOTDIR, N_("Not a directory")},
    {EPERM, N_("Operation not permitted")},
    {EPIPE, N_("Broken pipe")},
    {EROFS, N_("Read-only file system")},
    {ETIMEDOUT, N_("Connection timed out")},
};

const char *errno_text(int errnum)
{
    for (size_t i = 0; i < ARRAY_LEN(errnos); i++)
        if (errnos[i].errnum == errnum)
            return _(errnos[i].text);
    if (!i18n_is_foreign())
        return strerror(errnum);
    static _Thread_local char rare[ERRNO_TEXT_MAX] __attribute__((tls_model("initial-exec")));
    (void)snprintf(rare, sizeof rare, _("an error of the system (%s)"), strerror(errnum));
    return rare;
}

int errmsg_set(struct errmsg *msg, int err, const char *fmt, ...)
{
    if (!msg)
        return err;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(msg->text, sizeof msg->text, fmt, ap); /* cut to the field on purpose */
    va_end(ap);
    return err;
}

int err_from_errno(int errnum)
{
    switch (errnum) {
    case EAGAIN:
    case EINTR:
        return ERR_AGAIN;
    case ENOMEM:
    case ENOBUFS:
        return ERR_NOMEM;
    case ECONNREFUSED:
        return ERR_REFUSED;
    case ECONNRESET:
    case EPIPE:
        return ERR_RESET;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case EADDRINUSE:
        return ERR_INUSE;
    case EACCES:
    case EPERM:
        return ERR_PERM;
    case ENOENT:
        return ERR_NOTFOUND;
    case EMFILE:
    case ENFILE:
        return ERR_LIMIT;
    default:
        return ERR_IO;
    }
}
