/* SPDX-License-Identifier: MIT */
/* The client's command line. */
#include "client/cmd.h"

#include "app/cli.h"
#include "base/i18n.h"
#include "client/client.h"
#include "conf/flags.h"

int cmd_client(int argc, char **argv)
{
    struct client_options opt = {0};
    int status;
    if (!cli_begin(&client_mode, argc, argv, &opt, &opt.common, &status))
        return status;
    if (!*opt.common.secret || !*opt.server)
        status = cli_missing(&client_mode,
                             _("error: [client mode] the flags -secret and -server are required "
                               "(-secret-file or GOTUNNEL_SECRET may give the secret)"));
    else
        status = client_main(&opt);
    flags_free(&client_mode, &opt);
    return status;
}
