/* SPDX-License-Identifier: MIT */
/* Error codes and their words. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

static const char *const names[] = {
    [-ERR_AGAIN] = "try again",
    [-ERR_EOF] = "end of stream",
    [-ERR_NOMEM] = "out of memory",
    [-ERR_PROTO] = "protocol error",
    [-ERR_LIMIT] = "limit reached",
    [-ERR_INVAL] = "invalid value",
    [-ERR_RANGE] = "value out of range",
    [-ERR_TIMEOUT] = "timed out",
    [-ERR_REFUSED] = "connection refused",
    [-ERR_RESET] = "connection reset",
    [-ERR_IO] = "input/output error",
    [-ERR_AUTH] = "authentication failed",
    [-ERR_CERT] = "certificate error",
    [-ERR_TLS] = "TLS error",
    [-ERR_RESOLVE] = "name does not resolve",
    [-ERR_INUSE] = "address already in use",
    [-ERR_PERM] = "permission denied",
    [-ERR_NOTFOUND] = "not found",
    [-ERR_BADSTATE] = "wrong state",
};

const char *err_name(int err)
{
    if (err >= 0 || (size_t)-err >= ARRAY_LEN(names) || !names[-err])
        return "unknown error";
    return names[-err];
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
