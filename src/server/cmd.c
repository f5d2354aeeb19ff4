/* SPDX-License-Identifier: MIT */
/* The server's command line. */
#include "server/cmd.h"

#include "app/cli.h"
#include "base/i18n.h"
#include "server/clients.h"
#include "server/server.h"

int cmd_server(int argc, char **argv)
{
    int status;
    struct snapshot *options = cli_begin(&server_mode, argc, argv, &status);
    if (!options)
        return status;
    const char *secret = snapshot_common(options)->secret;
    const char *file = snapshot_common(options)->config;
    char clients[PATH_MAX];
    bool needs_secret = !clients_place(snapshot_server(options), clients);
    if (!*secret && needs_secret && *file)
        status = cli_incomplete(&server_mode, file, "", secret);
    else if (!*secret && needs_secret)
        status = cli_missing(&server_mode,
                             _("error: [server mode] the flag -secret is required "
                               "(or -secret-file, or GOTUNNEL_SECRET in the environment)"));
    else
        status = server_main(options, NULL, NULL);
    snapshot_unref(options);
    return status;
}
