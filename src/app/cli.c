/* SPDX-License-Identifier: MIT */
/* Command lines: what is printed where, and the exit status that goes with it. */
#include "app/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "app/config_file.h"
#include "app/join.h"
#include "app/notify.h"
#include "app/secret.h"
#include "app/signals.h"
#include "base/err.h"
#include "base/event.h"
#include "base/i18n.h"
#include "base/log.h"
#include "conf/flags.h"
#include "conf/quote.h"

/* Of the command line, as far as it was read: something that the original has not, so that nobody expects
   the original's status. */
static bool has_once, has_join;

int cli_hopeless(int status)
{
    return has_once || has_join || notify_is_wanted() ? EXIT_STATUS_CONFIG : status;
}

int cli_failed(int err)
{
    switch (err) {
    case ERR_INVAL:
    case ERR_RANGE:
    case ERR_CERT:
    case ERR_PERM:
    case ERR_NOTFOUND:
        return cli_hopeless(EXIT_STATUS_FAILED);
    default: /* no memory, no descriptors, a busy port, a name that does not resolve */
        return EXIT_STATUS_FAILED;
    }
}

/* Go's form, for -h, with examples before it. */
int cli_help(const struct mode *m)
{
    char head[64];
    (void)snprintf(head, sizeof head, "Usage of %s:\n", m->name); /* fits */
    log_text(head);
    if (m->examples) {
        log_text(m->examples);
        log_text("\n");
    }
    if (m == &join_mode) {
        log_text(
            _("  STRING is what the server has printed, - for standard input; then for each "
              "service its port, with @ and a public port behind it if the server shall not "
              "choose one: 22 web=3000@20001\n"
              "  -json\n"
              "    \tshow what is tried as JSON, an object a line, on the standard output\n"
              "  -save [FILE]\n"
              "    \twrite a configuration file (client.yaml), and the join string beside it, once "
              "the tunnels are open\n"));
        log_text(_("  The other flags are those of 'gotunnel client'; the string has what -server, "
                   "-secret and -ca say there:\n"));
    }
    size_t n = flags_usage(m, NULL, 0);
    char *text = malloc(n + 1);
    if (!text)
        return cli_cannot_start(ERR_NOMEM);
    (void)flags_usage(m, text, n + 1);
    log_text(text);
    free(text);
    if (m->also) {
        log_text("\n");
        log_text(_(m->also));
    }
    return EXIT_STATUS_OK;
}

/* Two lines, before the one that says what is wrong: the last line is the one that is read. */
static void print_synopsis(const struct mode *m)
{
    char text[512];
    (void)snprintf(text, sizeof text,
                   _("usage: gotunnel %s %s [-flag value ...]\n"
                     "       'gotunnel %s -h' lists the flags\n"),
                   m->name, m->required, m->name); /* fits */
    log_text(text);
}

void cli_error(const char *fmt, va_list ap)
{
    char text[1024], line[sizeof text + 64];
    (void)vsnprintf(text, sizeof text, fmt, ap); /* cut on purpose */
    (void)snprintf(line, sizeof line, _("error: %s\n"), text);
    log_text(line);
}

int cli_wrong(const struct mode *m, const char *error)
{
    char text[sizeof((struct flags_error *)0)->text + 64];
    (void)snprintf(text, sizeof text, _("error: %s\n"), error); /* cut on purpose */
    print_synopsis(m);
    log_text(text);
    has_join |= m == &join_mode;
    return cli_hopeless(EXIT_STATUS_USAGE);
}

int cli_missing(const struct mode *m, const char *text)
{
    print_synopsis(m);
    event_options_missing(text);
    return cli_hopeless(EXIT_STATUS_FAILED);
}

int cli_incomplete(const struct mode *m, const char *file, const char *server, const char *secret)
{
    if (mode_is_client(m) && !*server)
        config_file_say(file, "%s", _("'server' is missing"));
    if (!*secret)
        config_file_say(file, "%s",
                        _("the secret is missing: 'secret-file' gives it, or GOTUNNEL_SECRET in "
                          "the environment"));
    return cli_hopeless(EXIT_STATUS_USAGE);
}

int cli_cannot_start(int err)
{
    event_start_failed(err == ERR_LIMIT ? _("the descriptor limit is too low (see ulimit -n)")
                                        : err_text(err));
    return EXIT_STATUS_FAILED;
}

/* The form that the log has from now on; where it cannot have that, the one it has. */
static void set_log_format(const struct common_options *common)
{
    int err = log_set_format((enum log_format)common->log_format);
    if (err < 0)
        event_log_not_journal(err == ERR_NOTFOUND ? _("the standard error is not the journal")
                                                  : err_text(err));
}

/* A join string is a secret, and is not shown. */
static int left_over(const struct mode *m, const char *arg)
{
    char quoted[256], text[512];
    if (m == &join_mode && strncasecmp(arg, "gt1_", 4) == 0)
        return cli_wrong(m, _("the join string comes first, and the flags last"));
    (void)quote(quoted, sizeof quoted, arg); /* cut on purpose */
    if (m == &join_mode)
        (void)snprintf(text, sizeof text,
                       _("unexpected argument %s: what to forward stands before the flags"),
                       quoted);
    else
        (void)snprintf(text, sizeof text,
                       _("unexpected argument %s: flags come first, each as -name value"), quoted);
    return cli_wrong(m, text);
}

/* What -config names, if anything. False: exit with *ret_status. */
static bool read_config(const struct mode *m, struct common_options *common,
                        struct config_file **ret_file, int *ret_status)
{
    if (!*common->config)
        return true;
    int err = config_file_load(common->config, NULL, ret_file);
    if (err == 0)
        err = config_file_apply(*ret_file, m, common);
    if (err < 0)
        *ret_status = err == ERR_NOMEM ? EXIT_STATUS_FAILED : cli_hopeless(EXIT_STATUS_USAGE);
    return err == 0;
}

static bool is_joining(const struct client_options *o)
{
    return *o->join_text || *o->join_file;
}

/* The credential: a join string, or a secret. False: exit with *ret_status. */
static bool find_credential(const struct mode *m, struct common_options *common, int *ret_status)
{
    struct errmsg why = {""};
    if (mode_is_client(m) && join_find((struct client_options *)common, &why) < 0) {
        event_join_unusable(why.text);
        *ret_status = cli_hopeless(EXIT_STATUS_FAILED);
        return false;
    }
    if (*why.text)
        event_place_doubtful(why.text);
    if (secret_find(common, &why) < 0) {
        event_secret_missing(why.text);
        *ret_status = cli_hopeless(EXIT_STATUS_FAILED);
        return false;
    }
    if (*why.text)
        event_place_doubtful(why.text);
    return true;
}

/* Fills the draft and what is around it. True: go on. *ret_file holds what strings point to. */
static bool read_options(const struct mode *m, int argc, char **argv, struct snapshot *draft,
                         struct config_file **ret_file, int *ret_status)
{
    struct common_options *common = snapshot_draft(draft);
    struct flags_error error;
    int rest;

    enum flags_outcome parsed = flags_parse(m, argc, argv, common, &rest, &error);
    common->once |= common->wait;
    has_once = common->once;
    has_join =
        m == &join_mode || (mode_is_client(m) && is_joining((struct client_options *)common));
    switch (parsed) {
    case FLAGS_OK:
        break;
    case FLAGS_HELP:
        *ret_status = cli_help(m);
        return false;
    case FLAGS_BAD:
        *ret_status = cli_wrong(m, error.text);
        return false;
    }
    *ret_status = EXIT_STATUS_OK;
    if (common->version) {
        printf("gotunnel %s\n", GOTUNNEL_VERSION);
        return false;
    }
    if (rest < argc) {
        *ret_status = left_over(m, argv[rest]);
        return false;
    }
    if (snapshot_keep(draft) < 0) {
        *ret_status = cli_cannot_start(ERR_NOMEM);
        return false;
    }
    if (snapshot_is_given(draft, "log-format")) /* what is wrong with a file has it, too */
        set_log_format(common);
    if (!read_config(m, common, ret_file, ret_status))
        return false;
    log_set_level((enum log_level)common->log_level);
    if (!snapshot_is_given(draft, "log-format"))
        set_log_format(common);
    if (error.repeated)
        event_flag_repeated(error.repeated);
    return find_credential(m, common, ret_status);
}

struct snapshot *cli_begin(const struct mode *m, int argc, char **argv, int *ret_status)
{
    signals_hold();
    log_hold();
    struct config_file *file = NULL;
    struct snapshot *options = snapshot_new(m);
    if (!options) {
        *ret_status = cli_cannot_start(ERR_NOMEM);
        return NULL;
    }
    if (!read_options(m, argc, argv, options, &file, ret_status))
        goto drop;
    if (snapshot_seal(options) < 0) {
        *ret_status = cli_cannot_start(ERR_NOMEM);
        goto drop;
    }
    config_file_free(file);
    return options;

drop:
    config_file_free(file);
    snapshot_unref(options);
    return NULL;
}
