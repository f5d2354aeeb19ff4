/* SPDX-License-Identifier: MIT */
#include "app/ctl_find.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/ctl_ask.h"
#include "app/server_state.h"
#include "base/i18n.h"

struct found {
    unsigned count;
    char path[CTL_PATH_MAX + 1]; /* of the last one */
    char all[1024];
};

static void look(struct found *f, const char *folder, const char *name)
{
    char path[CTL_PATH_MAX + 1];
    int n = snprintf(path, sizeof path, "%s%s%s/control", folder, *name ? "/" : "", name);
    if (n < 0 || (size_t)n >= sizeof path || access(path, F_OK) < 0)
        return;
    size_t len = strlen(f->all);
    (void)snprintf(f->all + len, sizeof f->all - len, "%s%s", len > 0 ? ", " : "", path); /* cut */
    memcpy(f->path, path, sizeof path);
    f->count++;
}

/* Those of our units. */
static void look_around(struct found *f)
{
    DIR *clients = opendir(CTL_CLIENTS_RUN);
    look(f, CTL_SERVERS, "");
    for (struct dirent *e; clients && (e = readdir(clients));)
        if (e->d_name[0] != '.')
            look(f, CTL_CLIENTS_RUN, e->d_name);
    if (clients)
        (void)closedir(clients); /* only read */
}

/* That of `gotunnel up`, if it runs: what a dead one has left is none. */
static void look_in_state(struct found *f)
{
    char state[PATH_MAX], path[CTL_PATH_MAX + 1];
    struct errmsg why;
    if (!server_state_find("", false, state))
        return;
    int n = snprintf(path, sizeof path, "%s/control", state);
    int fd = n > 0 && n < CTL_PATH_MAX ? ctl_reach(path, &why) : ERR_NOTFOUND;
    if (fd >= 0)
        (void)close(fd); /* only tried */
    if (fd != ERR_NOTFOUND)
        look(f, state, "");
}

bool ctl_find_socket(const char *given, char ret[CTL_PATH_MAX + 1], struct errmsg *why)
{
    struct common_options asked = {.control = given};
    struct found f = {0};
    bool is_given;
    ctl_path(ret, &asked, &is_given);
    if (*ret)
        return true;
    look_around(&f);
    look_in_state(&f);
    if (f.count == 1)
        memcpy(ret, f.path, sizeof f.path);
    else if (f.count > 1)
        (void)errmsg_set(why, ERR_EXISTS,
                         _("there are several programs, name one with -control: %s"),
                         f.all); /* cut */
    else
        (void)errmsg_set(why, ERR_NOTFOUND, "%s",
                         _("no running program was found: name its socket with -control"));
    return f.count == 1;
}
