/* SPDX-License-Identifier: MIT */
/* The client's command line. */
#include "client/cmd.h"

#include "app/cli.h"
#include "base/i18n.h"
#include "client/client.h"

int cmd_client(int argc, char **argv)
{
    int status;
    struct snapshot *options = cli_begin(&client_mode, argc, argv, &status);
    if (!options)
        return status;
    const char *secret = snapshot_common(options)->secret;
    const char *server = snapshot_client(options)->server;
    const char *file = snapshot_common(options)->config;
    if ((!*secret || !*server) && *file)
        status = cli_incomplete(&client_mode, file, server, secret);
    else if (!*secret || !*server)
        status = cli_missing(&client_mode,
                             _("error: [client mode] the flags -secret and -server are required "
                               "(-secret-file or GOTUNNEL_SECRET may give the secret)"));
    else
        status = client_main(options);
    snapshot_unref(options);
    return status;
}
