/* SPDX-License-Identifier: MIT */
/* By the environment, and who we are. */
#include "app/server_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool has(const char *path)
{
    return access(path, F_OK) == 0;
}

#define ROOTS_STATE "/var/lib/gotunnel"
#define UNITS_STATE "/var/lib/gotunnel-server" /* of gotunnel-server.service */

static const char *of_root(bool makes)
{
    bool is_units = !makes && !has(ROOTS_STATE "/certs") && has(UNITS_STATE "/certs");
    return is_units ? UNITS_STATE : ROOTS_STATE;
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
        n = snprintf(ret, PATH_MAX, "%s", of_root(makes));
    else if (xdg && *xdg == '/')
        n = snprintf(ret, PATH_MAX, "%s/gotunnel", xdg);
    else if (home && *home == '/')
        n = snprintf(ret, PATH_MAX, "%s/.local/state/gotunnel", home);
    else
        return false;
    return n > 0 && n < PATH_MAX;
}
