/* SPDX-License-Identifier: MIT */
/* The clients of a server that runs, and the lines of its log about them. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/event.h"
#include "server/clients.h"

/* Beside the folder of the certificates: certs -> clients, /var/lib/g/certs/ -> /var/lib/g/clients. */
bool clients_place(const struct server_options *opt, char ret[PATH_MAX])
{
    size_t n = strlen(opt->certs);
    int len;
    while (n > 1 && opt->certs[n - 1] == '/')
        n--;
    while (n > 0 && opt->certs[n - 1] != '/')
        n--;
    if (*opt->clients)
        len = snprintf(ret, PATH_MAX, "%s", opt->clients);
    else
        len = snprintf(ret, PATH_MAX, "%.*s" CLIENTS_DIR_NAME, (int)n, opt->certs);
    return len > 0 && len < PATH_MAX && (*opt->clients || access(ret, F_OK) == 0);
}

static void on_broken(void *ctx, const char *line)
{
    unsigned *lines = ctx;
    if ((*lines)++ < CLIENTS_LINES_MAX)
        event_client_file_broken(line);
}

int clients_take(const struct server_options *opt, const struct credentials *former,
                 struct credentials **ret)
{
    char path[PATH_MAX];
    struct clients_dir dir;
    struct clients_counts counts;
    struct errmsg why;
    unsigned lines = 0;
    if (!clients_place(opt, path)) {
        *ret = NULL;
        return 0;
    }
    int err = clients_dir_open(&dir, path, CLIENTS_DIR_READ, &why);
    if (err < 0) {
        event_clients_not_loaded(why.text);
        return err;
    }
    if (*why.text)
        event_place_doubtful(why.text);
    err = clients_load(&dir, former, on_broken, &lines, ret, &counts, &why);
    clients_dir_close(&dir);
    if (err < 0)
        event_clients_not_loaded(why.text);
    else
        event_clients_loaded(path, counts.clients, counts.broken);
    return err;
}
