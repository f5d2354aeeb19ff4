/* SPDX-License-Identifier: MIT */
/* The side of `gotunnel ctl`: finds the socket, asks, and shows the answer, a row of a table for each command. */
#include "app/ctl_cmd.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/ctl_ask.h"
#include "app/ctl_find.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/i18n.h"
#include "base/log.h"
#include "conf/flags.h"
#include "conf/utc.h"

struct ctl_options {
    struct common_options common; /* of which nothing is used but `given` */
    const char *control;
    bool json;
};

static const struct option rows[] = {
    {"control", OPTION_STRING, offsetof(struct ctl_options, control), "", NULL, "FILE",
     N_("control socket of the program; that of the one service, or gotunnel up, of this machine "
        "if not given"),
     RELOAD_FIXED},
    {"json", OPTION_BOOL, offsetof(struct ctl_options, json), "", NULL, NULL,
     N_("print the answer as it comes, in JSON"), RELOAD_FIXED},
};

static const struct mode ctl_mode = {
    .name = "ctl", .options = rows, .count = ARRAY_LEN(rows), .required = ""};

static void say(const char *fmt, ...) PRINTF_LIKE(1, 2);

static void say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    cli_error(fmt, ap);
    va_end(ap);
}

/* ---- the command line ---- */

static int usage(int status)
{
    char text[4096];
    size_t n = (size_t)snprintf(text, sizeof text, "%s\n",
                                _("Usage of ctl: gotunnel ctl [-flag value ...] COMMAND"));
    for (enum ctl_command c = 0; c < CTL_COMMANDS && n < sizeof text; c++) {
        const struct ctl_row *row = &ctl_rows[c];
        n += (size_t)snprintf(text + n, sizeof text - n, "  %s%s%s\n    \t%s\n", row->name,
                              row->argument ? " " : "", row->argument ? row->argument : "",
                              _(row->help));
    }
    if (n < sizeof text)
        (void)flags_usage(&ctl_mode, text + n, sizeof text - n);
    log_text(text);
    return status;
}

/* True, or exit with *ret_status. */
static bool read_line(int argc, char **argv, struct ctl_options *o, struct ctl_request *req,
                      int *ret_status)
{
    struct flags_error why;
    int rest;
    flags_defaults(&ctl_mode, o);
    enum flags_outcome parsed = flags_parse(&ctl_mode, argc, argv, o, &rest, &why);
    *ret_status = EXIT_STATUS_USAGE;
    if (parsed == FLAGS_BAD)
        say("%s", why.text);
    if (parsed != FLAGS_OK || rest == argc) {
        (void)usage(0);
        *ret_status = parsed == FLAGS_HELP ? EXIT_STATUS_OK : EXIT_STATUS_USAGE;
        return false;
    }
    req->command = ctl_find(argv[rest]);
    if (req->command == CTL_COMMANDS) {
        say(_("there is no command '%s'"), argv[rest]);
        return false;
    }
    const struct ctl_row *row = &ctl_rows[req->command];
    int expected = row->argument ? 1 : 0;
    const char *argument = expected && rest + 1 < argc ? argv[rest + 1] : "";
    if (argc - rest - 1 != expected || strlen(argument) > CTL_ARGUMENT_MAX) {
        if (row->argument)
            say(_("'%s' takes one argument, '%s'"), row->name, row->argument);
        else
            say(_("'%s' takes no argument"), row->name);
        return false;
    }
    (void)snprintf(req->argument, sizeof req->argument, "%s", argument); /* fits */
    return true;
}

/* ---- what is shown ---- */

static void show_ping(const struct ctl_line *l)
{
    printf(_("it answers, as process %lld\n"), ctl_line_number(l, "pid"));
}

static void show_version(const struct ctl_line *l)
{
    const char *mode = ctl_line_text(l, "mode"), *version = ctl_line_text(l, "version");
    printf("gotunnel %s %s\n", mode ? mode : "?", version ? version : "?");
}

static void show_tunnels(const struct ctl_line *l)
{
    long long fresh = ctl_line_number(l, "tunnels_new");
    if (fresh < 0)
        return;
    printf(P_("%lld tunnel new, %lld changed, %lld closed, %lld as before\n",
              "%lld tunnels new, %lld changed, %lld closed, %lld as before\n", fresh),
           fresh, ctl_line_number(l, "tunnels_changed"), ctl_line_number(l, "tunnels_closed"),
           ctl_line_number(l, "tunnels_same"));
}

static void show_reload(const struct ctl_line *l)
{
    const char *word;
    for (size_t i = 0; (word = ctl_line_word(l, "next_start", i)); i++)
        printf(_("'%s' takes effect at the next start\n"), word);
    for (size_t i = 0; (word = ctl_line_word(l, "changed", i)); i++)
        printf(_("changed: %s\n"), word);
    show_tunnels(l);
    if (!ctl_line_word(l, "changed", 0))
        printf("%s\n", _("nothing to change"));
}

static void show_drain(const struct ctl_line *l)
{
    if (ctl_line_truth(l, "already"))
        printf("%s\n", _("it is stopping already"));
    else
        printf(_("stopping: connections that may finish: %lld, for up to %lld s\n"),
               ctl_line_number(l, "connections"), ctl_line_number(l, "drain_ms") / 1000);
}

static void show_log_level(const struct ctl_line *l)
{
    const char *level = ctl_line_text(l, "level");
    printf(_("the log has %s and heavier now\n"), level ? level : "?");
}

static void show_client(const struct ctl_line *l)
{
    long long sessions = ctl_line_number(l, "sessions");
    printf("%s\n", ctl_line_truth(l, "known") ? _("its file counts as it is now")
                                              : _("it has no file, and is not let in"));
    if (sessions > 0)
        printf(P_("ended: %lld session\n", "ended: %lld sessions\n", sessions), sessions);
}

/* Of lines before the last one: a client that is there. */
static void show_client_there(const struct ctl_line *l)
{
    const char *client = ctl_line_text(l, "client"), *from = ctl_line_text(l, "from");
    char since[UTC_BUF];
    if (client && from)
        printf(_("%s  from %s since %s\n"), client, from,
               utc_shown(since, ctl_line_number(l, "since")));
}

static void show_clients(const struct ctl_line *l)
{
    if (ctl_line_number(l, "sessions") == 0)
        printf("%s\n", _("no client with a key is there"));
}

static void show_status(const struct ctl_line *l)
{
    (void)l;
    printf("%s\n", _("'gotunnel status' shows it, or this with -json"));
}

static void (*const shows[CTL_COMMANDS])(const struct ctl_line *l) = {
    [CTL_PING] = show_ping,       [CTL_VERSION] = show_version,     [CTL_RELOAD] = show_reload,
    [CTL_DRAIN] = show_drain,     [CTL_LOG_LEVEL] = show_log_level, [CTL_CLIENT] = show_client,
    [CTL_CLIENTS] = show_clients, [CTL_STATUS] = show_status,
};

/* ---- the answer ---- */

/* A line of it; *ret_status, once it is the last. */
static void show_line(const struct ctl_request *req, const struct ctl_line *l, int *ret_status)
{
    const char *error = ctl_line_text(l, "error");
    if (error && *error)
        say("%s", error);
    if (!ctl_line_is_last(l)) {
        show_client_there(l);
        return;
    }
    *ret_status = ctl_line_truth(l, "ok") ? EXIT_STATUS_OK : EXIT_STATUS_FAILED;
    if (*ret_status == EXIT_STATUS_OK)
        shows[req->command](l);
}

static int show_answer(const struct ctl_request *req, const struct ctl_options *o, char *bytes)
{
    int status = -1;
    if (o->json)
        (void)fputs(bytes, stdout);
    for (char *at = bytes, *lf; status < 0 && (lf = strchr(at, '\n')); at = lf + 1) {
        struct ctl_line *l = ctl_line_get(at, (size_t)(lf - at));
        if (!l)
            break;
        if (!o->json)
            show_line(req, l, &status);
        else if (ctl_line_is_last(l))
            status = ctl_line_truth(l, "ok") ? EXIT_STATUS_OK : EXIT_STATUS_FAILED;
        ctl_line_free(l);
    }
    if (status < 0)
        say("%s", _("the answer makes no sense"));
    return status < 0 ? EXIT_STATUS_FAILED : status;
}

static int ask(int fd, const struct ctl_request *req, const struct ctl_options *o)
{
    struct errmsg why;
    char *bytes = ctl_ask(fd, req, &why);
    if (!bytes) {
        say("%s", why.text);
        return EXIT_STATUS_FAILED;
    }
    int status = show_answer(req, o, bytes);
    free(bytes);
    return status;
}

int cmd_ctl(int argc, char **argv)
{
    static struct ctl_options o; /* a secret, which is not used, makes it large */
    struct ctl_request req = {CTL_PING, ""};
    char path[CTL_PATH_MAX + 1];
    int status;
    if (!read_line(argc, argv, &o, &req, &status))
        return status;
    status = EXIT_STATUS_UNREACHABLE;
    struct errmsg why;
    if (!ctl_find_socket(o.control, path, &why)) {
        say("%s", why.text);
        return status;
    }
    int fd = ctl_reach(path, &why);
    if (fd < 0) {
        say("%s", why.text);
        return fd == ERR_PERM ? EXIT_STATUS_REJECTED : EXIT_STATUS_UNREACHABLE;
    }
    status = ask(fd, &req, &o);
    (void)close(fd); /* all is said */
    return status;
}
