/* SPDX-License-Identifier: MIT */
/* The server's command line. */
#include "server/cmd.h"

#include "app/cli.h"
#include "base/i18n.h"
#include "conf/flags.h"
#include "server/server.h"

int cmd_server(int argc, char **argv)
{
    struct server_options opt = {0};
    int status;
    if (!cli_begin(&server_mode, argc, argv, &opt, &opt.common, &status))
        return status;
    if (!*opt.common.secret)
        status = cli_missing(&server_mode,
                             _("error: [server mode] the flag -secret is required "
                               "(or -secret-file, or GOTUNNEL_SECRET in the environment)"));
    else
        status = server_main(&opt);
    flags_free(&server_mode, &opt);
    return status;
}
