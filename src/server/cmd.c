/* SPDX-License-Identifier: MIT */
/* The server's command line. */
#include "server/cmd.h"

#include "app/cli.h"
#include "base/i18n.h"
#include "server/clients.h"
#include "server/server.h"

struct snapshot *server_read_options(int argc, char **argv, int *ret_status)
{
    struct snapshot *options = cli_begin(&server_mode, argc, argv, ret_status);
    if (!options)
        return NULL;
    const char *secret = snapshot_common(options)->secret;
    const char *file = snapshot_common(options)->config;
    char clients[PATH_MAX];
    if (*secret || clients_place(snapshot_server(options), clients))
        return options;
    if (*file)
        *ret_status = cli_incomplete(&server_mode, file, "", secret);
    else
        *ret_status = cli_missing(&server_mode,
                                  _("error: [server mode] the flag -secret is required "
                                    "(or -secret-file, or GOTUNNEL_SECRET in the environment)"));
    snapshot_unref(options);
    return NULL;
}

int cmd_server(int argc, char **argv)
{
    int status;
    struct snapshot *options = server_read_options(argc, argv, &status);
    if (!options)
        return status;
    status = server_main(options, NULL, NULL);
    snapshot_unref(options);
    return status;
}
