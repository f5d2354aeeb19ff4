/* SPDX-License-Identifier: MIT */
/* By the environment, and who we are. */
#include "server/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool has(const char *path)
{
    return access(path, F_OK) == 0;
}

bool server_state_find(const char *given, bool makes, char ret[PATH_MAX])
{
    const char *home = getenv("HOME"), *xdg = getenv("XDG_STATE_HOME");
    int n;
    if (*given)
        n = snprintf(ret, PATH_MAX, "%s", given);
    else if (has("certs/ca.crt") || (!makes && (has("certs") || has("clients"))))
        n = snprintf(ret, PATH_MAX, ".");
    else if (geteuid() == 0)
        n = snprintf(ret, PATH_MAX, "/var/lib/gotunnel");
    else if (xdg && *xdg == '/')
        n = snprintf(ret, PATH_MAX, "%s/gotunnel", xdg);
    else if (home && *home == '/')
        n = snprintf(ret, PATH_MAX, "%s/.local/state/gotunnel", home);
    else
        return false;
    return n > 0 && n < PATH_MAX;
}
