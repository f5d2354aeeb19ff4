/* SPDX-License-Identifier: MIT */
/* The client's command line. */
#include "client/cmd.h"

#include "app/cli.h"
#include "base/i18n.h"
#include "client/client.h"

static bool is_said_twice(const struct snapshot *options)
{
    return snapshot_is_given(options, "forward") && (snapshot_is_given(options, "remote-port") ||
                                                     snapshot_is_given(options, "local-target"));
}

/* NULL: nothing is missing. */
static const char *missing(const struct snapshot *options)
{
    const struct common_options *common = snapshot_common(options);
    bool has_secret = *common->secret || common->has_own_key;
    bool has_server = *snapshot_client(options)->server != '\0';
    if (has_secret && has_server)
        return NULL;
    if (has_secret)
        return _("error: [client mode] the flag -server is required: the server's address, like "
                 "my.server.com:7000");
    if (has_server)
        return _("error: [client mode] the flag -secret is required (or -secret-file, or "
                 "GOTUNNEL_SECRET in the environment)");
    return _("error: [client mode] the flags -secret and -server are required (-secret-file or "
             "GOTUNNEL_SECRET may give the secret)");
}

struct snapshot *client_read_options(int argc, char **argv, int *ret_status)
{
    struct snapshot *options = cli_begin(&client_mode, argc, argv, ret_status);
    if (!options)
        return NULL;
    const char *what = missing(options);
    const char *file = snapshot_common(options)->config;
    if (is_said_twice(options))
        *ret_status = cli_wrong(&client_mode, _("-forward says what is forwarded: leave out "
                                                "-remote-port and -local-target"));
    else if (what && *file)
        *ret_status = cli_incomplete(&client_mode, file, snapshot_client(options)->server,
                                     snapshot_common(options)->secret);
    else if (what)
        *ret_status = cli_missing(&client_mode, what);
    else
        return options;
    snapshot_unref(options);
    return NULL;
}

int cmd_client(int argc, char **argv)
{
    int status;
    struct snapshot *options = client_read_options(argc, argv, &status);
    if (!options)
        return status;
    status = client_main(options);
    snapshot_unref(options);
    return status;
}
