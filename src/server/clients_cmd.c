/* SPDX-License-Identifier: MIT */
/* The words of `gotunnel clients`, and what each does. */
#include "server/clients_cmd.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/server_state.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/trust_path.h"
#include "conf/client_edit.h"
#include "conf/flags.h"
#include "conf/nearest.h"
#include "conf/quote.h"
#include "conf/utc.h"
#include "server/clients_key.h"

enum clients_flags {
    WITH_NAME = 1u << 0,
    WITH_RIGHTS = 1u << 1,
    WITH_PUBLIC = 1u << 2,
    WITH_GRACE = 1u << 3,
    WITH_UNSET = 1u << 4,
    TO_CHANGE = 1u << 5,
    TO_TELL = 1u << 6, /* a server that runs */
};

struct word {
    const char *name;
    unsigned flags;
    int (*run)(struct clients_work *w);
    const char *help;
};

static int run_list(struct clients_work *w);
static int run_show(struct clients_work *w);
static int run_set(struct clients_work *w);
static int run_revoke(struct clients_work *w);

static const struct word words[] = {
    {"add", WITH_NAME | WITH_RIGHTS | WITH_PUBLIC | TO_CHANGE | TO_TELL, clients_add,
     N_("make a client, and the join string for its machine")},
    {"list", TO_TELL, run_list, N_("show all clients and what they may do")},
    {"show", WITH_NAME | TO_TELL, run_show, N_("show one client")},
    {"set", WITH_NAME | WITH_RIGHTS | WITH_UNSET | TO_CHANGE | TO_TELL, run_set,
     N_("change what a client may do")},
    {"rotate", WITH_NAME | WITH_PUBLIC | WITH_GRACE | TO_CHANGE | TO_TELL, clients_rotate,
     N_("give a client a new key; the old one is taken for a while")},
    {"revoke", WITH_NAME | TO_CHANGE | TO_TELL, run_revoke, N_("end a client for good")},
};

/* ---- words on stderr ---- */

int clients_fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    cli_error(fmt, ap);
    va_end(ap);
    return EXIT_STATUS_FAILED;
}

/* All that is wrong with the file that was read. */
static int say_broken(const struct clients_work *w, const char *name, const struct errmsg *why)
{
    char line[CLIENTS_LINE_MAX + 1];
    for (size_t i = 0; clients_dir_fault(&w->dir, name, &w->file, why, i, line); i++) {
        size_t n = strlen(line);
        memcpy(line + n, "\n", 2);
        log_text(line);
    }
    return EXIT_STATUS_USAGE;
}

/* ---- what several of them do ---- */

int clients_read(struct clients_work *w)
{
    struct errmsg why;
    int err = clients_dir_read(&w->dir, w->line.name, &w->file, &why);
    if (err == ERR_NOTFOUND)
        return clients_fail(_("there is no client called %s"), w->line.name);
    return err < 0 ? say_broken(w, w->line.name, &why) : EXIT_STATUS_OK;
}

int clients_change(struct clients_work *w, const struct client_entry *to)
{
    struct client_edit_obstacle obstacle;
    struct errmsg why;
    char *bytes;
    size_t n;
    int err = client_edit(w->file.bytes, w->file.n, &w->file.entry, to, &bytes, &n, &obstacle);
    if (err == ERR_BADSTATE && obstacle.line > 0)
        return clients_fail(_("%s/%s.yaml:%u: '%s' is not on a line of its own: change it by hand"),
                            w->dir.path, w->line.name, obstacle.line, obstacle.key);
    if (err == ERR_BADSTATE)
        return clients_fail(_("%s/%s.yaml: '%s' cannot be added as a line: add it by hand"),
                            w->dir.path, w->line.name, obstacle.key);
    if (err < 0)
        return clients_fail("%s", err_text(err));
    err = clients_dir_replace(&w->dir, w->line.name, bytes, n, &why);
    free(bytes);
    return err < 0 ? clients_fail("%s", why.text) : EXIT_STATUS_OK;
}

/* The fields of the file but keys, and in words what follows from them now. */
void clients_print(const char *name, size_t width, const struct client_entry *e)
{
    char value[CLIENT_ENTRY_VALUE_MAX];
    const char *field;
    printf("%-*s", (int)width, name);
    for (size_t i = 0; (field = client_entry_field(i)); i++) {
        bool is_key = strncmp(field, "key", 3) == 0, is_word = strcmp(field, "disabled") == 0;
        if (!is_key && !is_word && client_entry_value(value, sizeof value, e, i) > 0)
            printf("  %s %s", field, value);
    }
    if (e->ports.count == 0)
        printf("  %s", _("may open no port"));
    if (e->expires <= (int64_t)time(NULL))
        printf("  %s", _("expired"));
    if (e->disabled)
        printf("  %s", _("disabled"));
    if (e->old_count > 0)
        printf("  %s: %u", _("former keys"), e->old_count);
    printf("\n");
}

/* ---- list, show, set, revoke ---- */

static int run_list(struct clients_work *w)
{
    struct clients_names names;
    struct errmsg why;
    size_t width = 0;
    if (clients_dir_names(&w->dir, &names, &why) < 0)
        return clients_fail("%s", why.text);
    for (size_t i = 0; i < names.count; i++)
        width = strlen(names.list[i]) > width ? strlen(names.list[i]) : width;
    for (size_t i = 0; i < names.count; i++) {
        int err = clients_dir_read(&w->dir, names.list[i], &w->file, &why);
        if (err == 0) {
            clients_print(names.list[i], width, &w->file.entry);
        } else if (err != ERR_NOTFOUND) { /* revoked meanwhile */
            char quoted[256];
            bool is_plain = client_entry_check_name(names.list[i], &(struct errmsg){""}) == 0;
            (void)quote(quoted, sizeof quoted, names.list[i]); /* cut on purpose */
            printf("%-*s  %s\n", (int)width, is_plain ? names.list[i] : quoted, _("broken"));
            (void)say_broken(w, is_plain ? names.list[i] : quoted, &why);
        }
    }
    if (names.count == 0)
        log_text(_("there are no clients\n"));
    clients_names_fini(&names);
    clients_print_there(w);
    return EXIT_STATUS_OK;
}

static int run_show(struct clients_work *w)
{
    const struct client_entry *e = &w->file.entry;
    char value[CLIENT_ENTRY_VALUE_MAX];
    const char *field;
    int status = clients_read(w);
    if (status != EXIT_STATUS_OK)
        return status;
    printf("%s/%s.yaml\n", w->dir.path, w->line.name);
    for (size_t i = 0; (field = client_entry_field(i)); i++)
        if (strncmp(field, "key", 3) != 0 && client_entry_value(value, sizeof value, e, i) > 0)
            printf("  %s: %s\n", field, value);
    if (e->ports.count == 0)
        printf("  %s\n", _("may open no port"));
    if (e->expires <= (int64_t)time(NULL))
        printf("  %s\n", _("expired"));
    for (unsigned i = 0; i < e->old_count; i++) {
        char until[UTC_BUF];
        bool is_over = e->old[i].until <= (int64_t)time(NULL);
        printf("  %s %s\n",
               is_over ? _("a former key was taken until") : _("a former key is taken until"),
               utc_text(until, e->old[i].until));
    }
    clients_print_there(w);
    return EXIT_STATUS_OK;
}

/* Takes the row of this name out. False: there is none. */
static bool unset(struct client_entry *e, const char *name, size_t n)
{
    struct client_entry none;
    const struct mode *m = &client_entry_mode;
    client_entry_init(&none);
    for (size_t i = 0; i < m->count; i++) {
        const struct option *o = &m->options[i];
        if (strlen(o->name) == n && memcmp(o->name, name, n) == 0) {
            client_entry_copy(e, &none, o);
            return true;
        }
    }
    return false;
}

static int run_set(struct clients_work *w)
{
    const struct mode *m = &client_entry_mode;
    bool is_any = *w->line.unset != '\0';
    int status = clients_read(w);
    if (status != EXIT_STATUS_OK)
        return status;
    struct client_entry to = w->file.entry;
    for (size_t i = 0; i < m->count; i++) {
        if (!(w->line.common.given >> i & 1))
            continue;
        is_any = true;
        client_entry_copy(&to, &w->line.entry, &m->options[i]);
    }
    for (const char *name = w->line.unset; *name;) {
        size_t n = strcspn(name, ",");
        if (!unset(&to, name, n)) {
            (void)clients_fail(_("-unset: '%.*s' is no key that can be taken out"), (int)n, name);
            return EXIT_STATUS_USAGE;
        }
        name += n + (name[n] == ',');
    }
    if (!is_any) {
        (void)clients_fail("%s", _("nothing to change: 'gotunnel clients set -h' lists the flags"));
        return EXIT_STATUS_USAGE;
    }
    status = clients_change(w, &to);
    if (status != EXIT_STATUS_OK)
        return status;
    clients_print(w->line.name, 0, &to);
    return clients_tell(w);
}

static int run_revoke(struct clients_work *w)
{
    struct errmsg why;
    if (clients_dir_revoke(&w->dir, w->line.name, &why) < 0)
        return clients_fail("%s", why.text);
    int status = clients_tell_revoked(w); /* its sessions do not wait for a disk */
    if (clients_dir_sync(&w->dir, &why) < 0)
        status = clients_fail("%s", why.text);
    return status;
}

/* ---- the command line ---- */

/* clang-format off */
static const struct option extra_rows[] = {
    {.name = "control", .type = OPTION_STRING, .at = offsetof(struct clients_line, control), .def = "", .value = "FILE",
     .help = N_("control socket of the running server; if not given, control in its folder, or that of the service of this machine")},
    {.name = "grace", .type = OPTION_DURATION, .at = offsetof(struct clients_line, grace_ns), .def = "24h0m0s", .value = "TIME",
     .help = N_("how long the old key is taken, e.g. 24h; 0: not any more")},
    {.name = "public", .type = OPTION_STRING, .at = offsetof(struct clients_line, public_name), .def = "", .value = "NAME[:PORT]",
     .help = N_("where the client finds this server, port 7000 if none is given; the first public address of this machine if not given")},
    {.name = "state", .type = OPTION_STRING, .at = offsetof(struct clients_line, state), .def = "", .value = "DIR",
     .help = N_("folder of the server's certs and clients; if not given, the working directory if it has one of them, else /var/lib/gotunnel for root and ~/.local/state/gotunnel for others")},
    {.name = "unset", .type = OPTION_STRING, .at = offsetof(struct clients_line, unset), .def = "", .value = "LIST",
     .help = N_("keys to take out of the file, e.g. from,expires: then it is as if they had never been given")},
};
/* clang-format on */

enum { ROWS_MAX = OPTIONS_MAX, NAME_BUF = 32 };

/* The flags of a word. Those of rights come first, so that the bits of common.given are theirs. */
struct clients_mode {
    struct mode mode;
    char name[NAME_BUF];
    struct option rows[ROWS_MAX];
};

static void make_mode(struct clients_mode *m, const struct word *word)
{
    const struct mode *rights = &client_entry_mode;
    size_t n = 0;
    for (size_t i = 0; word->flags & WITH_RIGHTS && i < rights->count; i++) {
        m->rows[n] = rights->options[i];
        m->rows[n++].at += offsetof(struct clients_line, entry);
    }
    static const unsigned wanted[] = {TO_TELL, WITH_GRACE, WITH_PUBLIC, 0, WITH_UNSET};
    for (size_t i = 0; i < ARRAY_LEN(extra_rows); i++)
        if (!wanted[i] || word->flags & wanted[i])
            m->rows[n++] = extra_rows[i];
    (void)snprintf(m->name, sizeof m->name, "clients %s", word->name); /* fits */
    m->mode = (struct mode){.name = m->name,
                            .options = m->rows,
                            .count = n,
                            .required = word->flags & WITH_NAME ? "NAME" : ""};
}

static int usage(int status)
{
    char line[256];
    log_text(_("Usage of clients: gotunnel clients WORD looks at the files of a server's clients, "
               "and changes them\n"));
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        (void)snprintf(line, sizeof line, "  gotunnel clients %-6s %-5s %s\n", words[i].name,
                       words[i].flags & WITH_NAME ? "NAME" : "", _(words[i].help)); /* fits */
        log_text(line);
    }
    return status;
}

/* Flags before and behind the name. True: go on. */
static bool read_line(const struct clients_mode *m, const struct word *word, int argc, char **argv,
                      struct clients_line *line, int *ret_status)
{
    struct flags_error error;
    char quoted[256], text[CONFIG_ERROR_TEXT];
    int rest = 0;
    line->name = NULL;
    for (;;) {
        switch (flags_parse(&m->mode, argc, argv, line, &rest, &error)) {
        case FLAGS_OK:
            break;
        case FLAGS_HELP:
            *ret_status = cli_help(&m->mode);
            return false;
        case FLAGS_BAD:
            *ret_status = cli_wrong(&m->mode, error.text);
            return false;
        }
        argc -= rest;
        argv += rest;
        if (argc == 0 || line->name || !(word->flags & WITH_NAME))
            break;
        line->name = *argv++;
        argc--;
    }
    if (argc > 0) {
        (void)quote(quoted, sizeof quoted, *argv); /* cut on purpose */
        (void)snprintf(text, sizeof text, _("unexpected argument %s"), quoted);
        *ret_status = cli_wrong(&m->mode, text);
        return false;
    }
    if (word->flags & WITH_NAME && !line->name) {
        *ret_status = cli_wrong(&m->mode, _("the name of the client is missing"));
        return false;
    }
    return true;
}

/* Opens the folder, and runs. */
static int run(const struct word *word, struct clients_work *w)
{
    struct errmsg why;
    char path[PATH_MAX];
    if (!server_state_find(w->line.state, false, w->state))
        return clients_fail("%s", _("the server's folder is not known: -state DIR names it"));
    int n = strcmp(w->state, ".") == 0
                ? snprintf(path, sizeof path, CLIENTS_DIR_NAME)
                : snprintf(path, sizeof path, "%s/" CLIENTS_DIR_NAME, w->state);
    int m = snprintf(w->certs, sizeof w->certs, "%s/certs", w->state);
    if (n < 0 || n >= (int)sizeof path || m < 0 || m >= (int)sizeof w->certs)
        return clients_fail("%s: %s", w->state, errno_text(ENAMETOOLONG));
    w->port = CLIENTS_PORT;
    if (access(w->state, F_OK) < 0)
        return clients_fail(_("%s: %s: -state DIR names the server's folder"), w->state,
                            errno_text(errno));
    trust_become_owner(w->state);
    bool is_made = word->run == clients_add || access(path, F_OK) == 0;
    if (!is_made) {
        if (word->flags & WITH_NAME)
            return clients_fail(_("there is no client called %s"), w->line.name);
        log_text(_("there are no clients\n"));
        return EXIT_STATUS_OK;
    }
    enum clients_dir_use use = word->flags & TO_CHANGE ? CLIENTS_DIR_CHANGE : CLIENTS_DIR_READ;
    if (clients_dir_open(&w->dir, path, use, &why) < 0)
        return clients_fail("%s", why.text);
    int status = word->run(w);
    clients_dir_close(&w->dir);
    clients_file_fini(&w->file);
    return status;
}

static const struct word *find(const char *typed, const char **ret_near)
{
    struct nearest near;
    nearest_init(&near, typed, strlen(typed));
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(words[i].name, typed) == 0)
            return &words[i];
        nearest_try(&near, words[i].name);
    }
    *ret_near = nearest_name(&near);
    return NULL;
}

static int unknown_word(const char *typed, const char *near)
{
    char quoted[256];
    (void)usage(0);
    (void)quote(quoted, sizeof quoted, typed); /* cut on purpose */
    if (near)
        (void)clients_fail(_("%s is no word of clients: did you mean %s?"), quoted, near);
    else
        (void)clients_fail(_("%s is no word of clients"), quoted);
    return EXIT_STATUS_USAGE;
}

int cmd_clients(int argc, char **argv)
{
    static struct clients_mode mode;
    const char *near = NULL;
    int status;
    log_hold();
    if (argc == 0)
        return usage(EXIT_STATUS_USAGE);
    if (strcmp(argv[0], "-h") == 0 || strcmp(argv[0], "-help") == 0 ||
        strcmp(argv[0], "--help") == 0)
        return usage(EXIT_STATUS_OK);
    const struct word *word = find(argv[0], &near);
    if (!word)
        return unknown_word(argv[0], near);
    struct clients_work *w = calloc(1, sizeof *w);
    if (!w)
        return clients_fail("%s", err_text(ERR_NOMEM));
    make_mode(&mode, word);
    client_entry_init(&w->line.entry);
    w->line.control = w->line.public_name = w->line.unset = "";
    flags_defaults(&mode.mode, &w->line);
    if (read_line(&mode, word, argc - 1, argv + 1, &w->line, &status)) {
        struct errmsg why;
        if (w->line.name && client_entry_check_name(w->line.name, &why) < 0)
            status = cli_wrong(&mode.mode, why.text);
        else
            status = run(word, w);
    }
    free(w);
    return status;
}
