/* SPDX-License-Identifier: MIT */
/*
 * `gotunnel join`: the client without a file and with few flags. Its words become the flags of a client, in
 * front of those that were given: -join, and -local-target and -remote-port, or for several, and one that has a
 * name, a -forward each.
 * Two flags are its own: -json and -save.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/join.h"
#include "base/err.h"
#include "base/event.h"
#include "base/i18n.h"
#include "client/client.h"
#include "client/cmd.h"
#include "client/steps.h"
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
static bool words_have_flag(int argc, char **argv, const char *name)
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
    bool is_elsewhere = words_have_flag(argc - words, argv + words, "join") ||
                        words_have_flag(argc - words, argv + words, "join-file") ||
                        getenv(JOIN_VARIABLE);
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
    if (count > 1 || (*t->name && !words_have_flag(argc, argv, "remote-port"))) {
        n += forwards(t, count, args + n);
    } else {
        if (*t->address)
            args[n++] = local_target, args[n++] = t->address;
        if (t->port > 0 || !words_have_flag(argc, argv, "remote-port"))
            args[n++] = remote_port, args[n++] = port;
    }
    memcpy(args + n, argv, (size_t)argc * sizeof *argv);
    struct snapshot *options = cli_begin(&join_mode, n + argc, args, ret_status);
    free(args);
    return options;
}

/* ---- its own flags ---- */

#define SAVE_FILE "client.yaml"

struct own {
    bool wants_json, wants_save;
    struct saver saver;
};

/* Takes them out of the count arguments at argv, and keeps of the others what a file can say. How many are left;
   or negative: they have no room in it. */
static int take_own(int argc, char **argv, struct own *own)
{
    int left = 0, n = 0, err;
    for (int i = 0; i < argc; i += n) {
        const char *name = argv[i][0] == '-' ? argv[i] + strspn(argv[i], "-") : "";
        const char *file = NULL;
        n = 1;
        if (strcmp(name, "json") == 0) {
            own->wants_json = true;
        } else if (strcmp(name, "save") == 0) {
            n = i + 1 < argc && !is_flag(argv[i + 1]) ? 2 : 1;
            file = n == 2 ? argv[i + 1] : SAVE_FILE;
        } else if (strncmp(name, "save=", 5) == 0) {
            file = name + 5;
        } else {
            n = save_flag(&own->saver, argc - i, argv + i, &err);
            if (err < 0)
                return err;
            memmove(argv + left, argv + i, (size_t)n * sizeof *argv);
            left += n;
        }
        if (file) {
            own->wants_save = true;
            (void)snprintf(own->saver.path, sizeof own->saver.path, "%s",
                           file); /* longer is none */
        }
    }
    return left;
}

/* What cannot be together; NULL: nothing. */
static const char *clash(const struct own *own, const struct snapshot *options)
{
    const struct common_options *common = snapshot_common(options);
    if (own->wants_json && common->wait)
        return _("-json shows steps on the standard output, where -wait prints the address: leave "
                 "one out");
    if (own->wants_save && *common->config)
        return _("-save writes a new file, and -config reads one: leave one out");
    return NULL;
}

/* The second process of -save. 0, or an exit status, and it was said. */
static int begin_save(struct own *own, const struct snapshot *options)
{
    const struct client_options *o = snapshot_client(options);
    struct errmsg why;
    int err = save_prepare(&own->saver, o->join_file, &why);
    if (err == 0 && (err = save_begin(&own->saver, &o->join)) < 0)
        (void)errmsg_set(&why, err, "%s", err_text(err));
    if (err < 0)
        event_config_not_saved(why.text);
    return err < 0 ? cli_hopeless(EXIT_STATUS_FAILED) : EXIT_STATUS_OK;
}

/* On a terminal the steps stand alone, with warnings between them, until the tunnels are up. */
static bool quiet_log(const struct snapshot *options)
{
    bool is_seen = isatty(STDOUT_FILENO) && isatty(STDERR_FILENO);
    if (!is_seen || snapshot_is_given(options, "log-level"))
        return false;
    log_set_level(LOG_LEVEL_WARN);
    return true;
}

static int run(struct own *own, struct snapshot *options)
{
    static struct steps steps; /* with places for each tunnel */
    int status = own->wants_save ? begin_save(own, options) : EXIT_STATUS_OK;
    if (status != EXIT_STATUS_OK)
        return status;
    steps.is_silent = snapshot_common(options)->wait;
    steps.form = checklist_form_of_stdout(own->wants_json);
    steps.log_is_quiet = !steps.is_silent && quiet_log(options);
    steps.saver = own->wants_save ? &own->saver : NULL;
    status = client_main_watched(options, &steps_watch, &steps);
    if (own->wants_save)
        save_end(&own->saver);
    checklist_flush();
    return status;
}

/* ---- the command ---- */

/* What is wrong with the words; NULL: nothing. */
static const char *judge(int count, const char *const *words, struct target all[TARGETS_MAX],
                         struct errmsg *why)
{
    if (targets_parse(words, (size_t)count, all, why) < 0)
        return why->text;
    return NULL;
}

static const char *missing(const struct own *own, const struct snapshot *options, int count)
{
    if (!snapshot_client(options)->has_join)
        return _("the join string is missing: it stands first, as the server has printed it");
    if (count == 0)
        return _("what to forward is missing: write the port of a service here, like 22");
    return clash(own, options);
}

int cmd_join(int argc, char **argv)
{
    static struct target all[TARGETS_MAX];
    static struct own own;
    struct errmsg why;
    int words = 0, status;
    while (words < argc && !is_flag(argv[words]))
        words++;
    int first = begins_with_string(words, argc, argv);
    int count = words - first;
    const char *wrong = judge(count, (const char *const *)argv + first, all, &why);
    if (wrong)
        return cli_wrong(&join_mode, wrong);
    int left = take_own(argc - words, argv + words, &own);
    if (left < 0)
        return cli_cannot_start(left);
    struct snapshot *options =
        begin(first ? argv[0] : NULL, all, count, left, argv + words, &status);
    if (!options)
        return status;
    wrong = missing(&own, options, count);
    status = wrong ? cli_wrong(&join_mode, wrong) : run(&own, options);
    snapshot_unref(options);
    return status;
}
