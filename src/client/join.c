/* SPDX-License-Identifier: MIT */
/*
 * `gotunnel join`: the client without a file and with few flags. Its words become the flags of a client, in
 * front of those that were given: -join, and -local-target and -remote-port, or for several a -forward each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/cli.h"
#include "app/join.h"
#include "base/err.h"
#include "base/i18n.h"
#include "client/client.h"
#include "client/cmd.h"
#include "conf/hostport.h"
#include "conf/target.h"
#include "conf/tunnels.h"

enum {
    OWN_ARGS = 2 + 2 * TARGETS_MAX + 4,       /* flags with their values */
    FORWARD_MAX = sizeof(struct target) + 16, /* name, port and address */
};

/* More than a lone dash, which is the standard input. */
static bool is_flag(const char *arg)
{
    return arg[0] == '-' && arg[1] != '\0';
}

/* Whether one of the flags is -name, however it is written. */
static bool has_flag(int argc, char **argv, const char *name)
{
    size_t n = strlen(name);
    for (int i = 0; i < argc; i++) {
        const char *arg = argv[i] + (strncmp(argv[i], "--", 2) == 0);
        if (*arg == '-' && strncmp(arg + 1, name, n) == 0 &&
            (arg[n + 1] == '\0' || arg[n + 1] == '='))
            return true;
    }
    return false;
}

static bool looks_like_string(const char *word)
{
    return strcmp(word, "-") == 0 || strncmp(word, "gt", 2) == 0 || strncmp(word, "GT", 2) == 0;
}

/* The first word, unless the string comes from elsewhere and it does not look like one. */
static bool begins_with_string(int words, int argc, char **argv)
{
    bool is_elsewhere = has_flag(argc - words, argv + words, "join") ||
                        has_flag(argc - words, argv + words, "join-file") || getenv(JOIN_VARIABLE);
    return words > 0 && (!is_elsewhere || looks_like_string(argv[0]));
}

/* A -forward for each target: how many arguments. They live as long as the program. */
static int forwards(const struct target *all, int count, char **args)
{
    static char flag[] = "-forward", texts[TARGETS_MAX][FORWARD_MAX];
    for (int i = 0; i < count; i++) {
        const struct target *t = &all[i];
        (void)snprintf(texts[i], sizeof texts[i], "%.*s%s%d=%.*s", TUNNEL_NAME_MAX, t->name,
                       *t->name ? "=" : "", t->port, (int)sizeof t->address - 1, t->address);
        args[2 * i] = flag;
        args[2 * i + 1] = texts[i];
    }
    return 2 * count;
}

/* The flags of a client with these targets. The port of one is not said where it is given by a flag. */
static struct snapshot *begin(char *string, struct target *t, int count, int argc, char **argv,
                              int *ret_status)
{
    static char join[] = "-join", local_target[] = "-local-target", remote_port[] = "-remote-port";
    char port[16];
    char **args = calloc((size_t)argc + OWN_ARGS, sizeof *args);
    int n = 0;
    if (!args) {
        *ret_status = cli_cannot_start(ERR_NOMEM);
        return NULL;
    }
    (void)snprintf(port, sizeof port, "%d", t->port);
    if (string)
        args[n++] = join, args[n++] = string;
    if (count > 1) {
        n += forwards(t, count, args + n);
    } else {
        if (*t->address)
            args[n++] = local_target, args[n++] = t->address;
        if (t->port > 0 || !has_flag(argc, argv, "remote-port"))
            args[n++] = remote_port, args[n++] = port;
    }
    memcpy(args + n, argv, (size_t)argc * sizeof *argv);
    struct snapshot *options = cli_begin(&join_mode, n + argc, args, ret_status);
    free(args);
    return options;
}

/* What is wrong with the words; NULL: nothing. */
static const char *judge(int count, const char *const *words, struct target all[TARGETS_MAX],
                         struct errmsg *why)
{
    if (targets_parse(words, (size_t)count, all, why) < 0)
        return why->text;
    return NULL;
}

static const char *missing(const struct snapshot *options, int count)
{
    if (!snapshot_client(options)->has_join)
        return _("the join string is missing: it stands first, as the server has printed it");
    if (count == 0)
        return _("what to forward is missing: write the port of a service here, like 22");
    return NULL;
}

int cmd_join(int argc, char **argv)
{
    static struct target all[TARGETS_MAX];
    struct errmsg why;
    int words = 0, status;
    while (words < argc && !is_flag(argv[words]))
        words++;
    int first = begins_with_string(words, argc, argv);
    int count = words - first;
    const char *wrong = judge(count, (const char *const *)argv + first, all, &why);
    if (wrong)
        return cli_wrong(&join_mode, wrong);
    struct snapshot *options =
        begin(first ? argv[0] : NULL, all, count, argc - words, argv + words, &status);
    if (!options)
        return status;
    wrong = missing(options, count);
    status = wrong ? cli_wrong(&join_mode, wrong) : client_main(options);
    snapshot_unref(options);
    return status;
}
