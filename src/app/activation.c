/* SPDX-License-Identifier: MIT */
/* Which socket a service manager has handed over, by the environment. */
#include "app/activation.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/i18n.h"

enum { COUNT_MAX = 1000000 }; /* more descriptors no process has */

/* A number in digits up to COUNT_MAX, or -1. */
static long count_of(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);
    return *text < '0' || *text > '9' || *end || n > COUNT_MAX ? -1 : n;
}

/* True if the variables are meant for this process and not for one that started it. */
static bool is_for_us(void)
{
    char self[24];
    const char *pid = getenv("LISTEN_PID");
    (void)snprintf(self, sizeof self, "%ld", (long)getpid()); /* fits */
    return pid && strcmp(pid, self) == 0;
}

static int find(int *ret, struct errmsg *why)
{
    const char *text = getenv("LISTEN_FDS");
    *ret = -1;
    if (!text || !is_for_us())
        return 0;
    long n = count_of(text);
    if (n < 0)
        return errmsg_set(why, ERR_INVAL, "%s",
                          _("the variable LISTEN_FDS has no number of sockets in it"));
    if (n > 1)
        return errmsg_set(why, ERR_INVAL,
                          _("the service manager has handed over %ld sockets, and the tunnel port "
                            "is one"),
                          n);
    if (n == 1)
        *ret = ACTIVATION_FD;
    return 0;
}

int activation_take(int *ret, struct errmsg *why)
{
    int err = find(ret, why);
    (void)unsetenv("LISTEN_FDS"); /* fails for a malformed name only */
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDNAMES");
    if (err == 0 && *ret >= 0)
        (void)fcntl(*ret, F_SETFD, FD_CLOEXEC); /* not open: listener_adopt() says so */
    return err;
}
