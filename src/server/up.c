/* SPDX-License-Identifier: MIT */
/*
 * From nothing to a server that runs: it is told what happens as a guide (server/server.h). What is there already is
 * left as it is, so a start that was ended anywhere is repaired by the next one; only a join string is shown once.
 */
#include "server/up.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/checklist.h"
#include "app/cli.h"
#include "app/ctl.h"
#include "app/server_state.h"
#include "base/file.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/secure.h"
#include "server/banner.h"
#include "server/clients.h"
#include "server/clients_key.h"
#include "server/public_address.h"
#include "server/server.h"
#include "server/up_record.h"

#define FIRST_CLIENT "c1"

enum {
    ROWS_MAX = OPTIONS_MAX,
    FIRST_PORT = 1024, /* below are those of the system's services */
    LAST_PORT = 65535,
    COMMAND_BUF = CHECKLIST_TEXT_MAX + 1,
};

enum up_client { UP_MADE, UP_THERE, UP_OTHERS, UP_REVOKED };

struct up {
    const struct server_options *opt;
    char state[PATH_MAX]; /* the folder above the certificates */
    bool is_elsewhere;    /* `gotunnel clients` must be told of it */
    struct clients_work work;
    struct clients_key key;
    enum up_client client;
    bool is_open; /* work.dir */
    bool is_shown, is_terminal;
    enum checklist_form form;
    struct up_record record;
};

/* ---- the flags: those of the server, with other defaults, and some more ---- */

/* clang-format off */
static const struct option extra_rows[] = {
    {"json", OPTION_BOOL, offsetof(struct server_options, json), "", NULL, NULL,
     N_("show the steps in JSON, an object a line"), RELOAD_FIXED},
    {"public", OPTION_STRING, offsetof(struct server_options, public_name), "", NULL, "NAME[:PORT]",
     N_("where clients find this server; the first public address of this machine, and the port of -listen, if not given"), RELOAD_FIXED},
    {"state", OPTION_STRING, offsetof(struct server_options, state), "", NULL, "DIR",
     N_("folder for certs and clients, made if it is missing; if not given, the working directory if it has certs/ca.crt, else /var/lib/gotunnel for root and ~/.local/state/gotunnel for others"), RELOAD_FIXED},
};
/* clang-format on */

struct up_mode {
    struct mode mode;
    struct option rows[ROWS_MAX];
    char certs[PATH_MAX], control[CTL_PATH_MAX];
};

static void set_defaults(struct up_mode *m, struct option *o)
{
    if (strcmp(o->name, "certs") == 0)
        o->def = m->certs;
    else if (strcmp(o->name, "control") == 0)
        o->def = m->control;
    else if (strcmp(o->name, "legacy") == 0)
        o->def = "never";
    else if (strcmp(o->name, "secret") == 0)
        o->help = N_("shared secret, for clients without a key of their own; none if not given");
}

/* Both tables are sorted, and so is the result. False: a name is too long. */
static bool make_mode(struct up_mode *m, const char *state)
{
    size_t n = 0, extra = 0;
    int certs = snprintf(m->certs, sizeof m->certs, "%s/certs", state);
    int control = snprintf(m->control, sizeof m->control, "%s/control", state);
    if (control >= (int)sizeof m->control || getenv("RUNTIME_DIRECTORY"))
        *m->control = '\0';
    for (size_t i = 0; i < server_mode.count; i++) {
        const struct option *o = &server_mode.options[i];
        while (extra < ARRAY_LEN(extra_rows) && strcmp(extra_rows[extra].name, o->name) < 0)
            m->rows[n++] = extra_rows[extra++];
        m->rows[n] = *o;
        set_defaults(m, &m->rows[n++]);
    }
    m->mode = (struct mode){
        "up",
        m->rows,
        n,
        "[-public NAME]",
        .first = "public state",
        .examples = "  gotunnel up -public vps.example.com\n",
    };
    return certs > 0 && certs < (int)sizeof m->certs && control > 0;
}

/* The value of -state, which decides about defaults; "": it is not given. */
static const char *given_state(int argc, char **argv)
{
    const char *state = "";
    for (int i = 0; i < argc; i++) {
        const char *arg = argv[i] + (strncmp(argv[i], "--", 2) == 0);
        if (strncmp(arg, "-state=", 7) == 0)
            state = arg + 7;
        else if (strcmp(arg, "-state") == 0 && i + 1 < argc)
            state = argv[++i];
    }
    return state;
}

/* ---- what is shown ---- */

static void show(const struct up *up, const char *word, enum checklist_state state,
                 const char *title, const char *detail, const char *hint)
{
    const struct checklist_step step = {
        .word = word, .state = state, .title = title, .detail = detail, .hint = hint};
    checklist_show(up->form, &step);
}

static void show_made(const struct up *up, const char *word, const char *title, const char *what,
                      bool is_new)
{
    char detail[CHECKLIST_TEXT_MAX];
    (void)snprintf(detail, sizeof detail, "%s (%s)", what,
                   is_new ? _("new") : _("there already")); /* cut on purpose */
    show(up, word, CHECKLIST_OK, title, detail, NULL);
}

/* ---- the folder ---- */

/* Whose is the folder that has the certificates: the state, wherever a flag or a file has put them. */
static void find_folder(struct up *up)
{
    const char *certs = up->opt->certs;
    size_t n = strlen(certs);
    while (n > 1 && certs[n - 1] == '/')
        n--;
    while (n > 0 && certs[n - 1] != '/')
        n--;
    while (n > 1 && certs[n - 1] == '/')
        n--;
    if (n == 0)
        (void)snprintf(up->state, sizeof up->state, ".");
    else
        (void)snprintf(up->state, sizeof up->state, "%.*s", (int)n, certs); /* fits */
}

static int make_folder(struct up *up)
{
    char shown[PATH_MAX];
    bool is_new = access(up->state, F_OK) < 0;
    if (file_make_folders(up->state) < 0)
        return clients_fail(_("cannot make folder %s: %s: name another one by -state"), up->state,
                            errno_text(errno));
    show_made(up, "state", _("state"), realpath(up->state, shown) ? shown : up->state, is_new);
    return EXIT_STATUS_OK;
}

static void on_identity(void *ctx, const char *fingerprint, bool is_new)
{
    const struct up *up = ctx;
    char shown[CHECKLIST_TEXT_MAX];
    (void)snprintf(shown, sizeof shown, "SHA-256 %s", fingerprint); /* fits */
    show_made(up, "ca", _("CA"), shown, is_new);
}

/* ---- the client ---- */

static void add_ports(struct ports *p, int first, int last)
{
    if (first <= last)
        p->ranges[p->count++] =
            (struct ports_range){.first = (uint16_t)first, .last = (uint16_t)last};
}

/* All that need no right of the system's, but for the tunnel's own port; and a free choice. */
static void allow(struct ports *p, int tunnel_port)
{
    p->count = 0;
    add_ports(p, 0, 0);
    if (tunnel_port < FIRST_PORT) {
        add_ports(p, FIRST_PORT, LAST_PORT);
    } else {
        add_ports(p, FIRST_PORT, tunnel_port - 1);
        add_ports(p, tunnel_port + 1, LAST_PORT);
    }
}

static bool is_revoked(const struct up *up)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/" FIRST_CLIENT ".revoked", up->work.dir.path);
    return n > 0 && n < (int)sizeof path && access(path, F_OK) == 0;
}

/* Who is there already. An exit status. */
static int look_for_clients(struct up *up, size_t *ret_count)
{
    struct clients_names names;
    struct errmsg why;
    if (clients_dir_names(&up->work.dir, &names, &why) < 0)
        return clients_fail("%s", why.text);
    up->client = names.count > 0 ? UP_OTHERS : is_revoked(up) ? UP_REVOKED : UP_MADE;
    for (size_t i = 0; i < names.count; i++)
        if (strcmp(names.list[i], FIRST_CLIENT) == 0)
            up->client = UP_THERE;
    *ret_count = names.count;
    clients_names_fini(&names);
    return EXIT_STATUS_OK;
}

static void show_client(const struct up *up, size_t count)
{
    char text[CHECKLIST_TEXT_MAX], ports[PORTS_BUF];
    const char *title = _("client");
    switch (up->client) {
    case UP_MADE:
        (void)ports_text(ports, sizeof ports, &up->work.line.entry.ports); /* fits */
        (void)snprintf(text, sizeof text, _("c1, which may open the ports %s (new)"), ports);
        break;
    case UP_THERE:
    case UP_OTHERS:
        if (up->client == UP_THERE && count == 1) {
            show_made(up, "client", title, FIRST_CLIENT, false);
            return;
        }
        (void)snprintf(text, sizeof text,
                       P_("%zu is there already", "%zu are there already", count), count);
        break;
    case UP_REVOKED:
        show(up, "client", CHECKLIST_WARN, title, _("c1 was revoked, and there is no other"), NULL);
        return;
    }
    show(up, "client", CHECKLIST_OK, title, text, NULL);
}

static int have_client(struct up *up)
{
    struct clients_work *w = &up->work;
    struct errmsg why;
    char path[PATH_MAX];
    size_t count = 0;
    (void)clients_place(up->opt, path); /* there or not */
    if (clients_dir_open(&w->dir, path, CLIENTS_DIR_CHANGE, &why) < 0)
        return clients_fail("%s", why.text);
    up->is_open = true;
    int status = look_for_clients(up, &count);
    if (status == EXIT_STATUS_OK && up->client == UP_MADE)
        status = clients_key_clear(w);
    if (status == EXIT_STATUS_OK && up->client == UP_MADE)
        status = clients_key_add(w, &up->key, up->is_terminal);
    else if (status == EXIT_STATUS_OK)
        status = clients_key_find(w, &up->key);
    if (status == EXIT_STATUS_OK)
        show_client(up, count);
    else
        up->client = UP_OTHERS; /* nothing was made */
    return status;
}

static int on_listening(void *ctx, const char *address, int port)
{
    struct up *up = ctx;
    show(up, "listening", CHECKLIST_OK, _("listening"), address, NULL);
    up->work.port = (uint16_t)port;
    allow(&up->work.line.entry.ports, port);
    return have_client(up) == EXIT_STATUS_OK ? 0 : ERR_IO;
}

/* ---- the other side's line ---- */

static bool is_private(const char *host)
{
    struct cidrs one;
    return cidrs_parse(host, &one) == 0 && !public_address_is(&one.list[0].net);
}

static void show_address(const struct up *up)
{
    char server[JOIN_SERVER_BUF], text[CHECKLIST_TEXT_MAX];
    const char *title = _("address");
    join_server(server, &up->key.join);
    if (up->key.is_nameless) {
        show(up, "address", CHECKLIST_WARN, title,
             _("no interface of this machine has a public address"),
             _("write the server's name in the place of YOUR-NAME, or give it by -public NAME"));
    } else if (is_private(up->key.join.host)) {
        (void)snprintf(text, sizeof text, _("%s is private: only its own network reaches it"),
                       server);
        show(up, "address", CHECKLIST_WARN, title, text,
             _("use the public name: -public NAME gives it"));
    } else {
        show(up, "address", CHECKLIST_OK, title, server, NULL);
    }
    (void)snprintf(text, sizeof text,
                   _("a firewall must let in port %u and the public ports of clients"),
                   (unsigned)up->work.port);
    show(up, "reachable", CHECKLIST_UNKNOWN, _("from outside"),
         _("whether the Internet reaches this port cannot be told from here"), text);
}

/* A word of a shell's command line. */
static void put_word(char to[COMMAND_BUF], const char *flag, const char *word)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-:";
    bool is_plain = word[strspn(word, plain)] == '\0';
    const char *mark = is_plain ? "" : "'";
    size_t n = strlen(to);
    (void)snprintf(to + n, COMMAND_BUF - n, " %s %s%s%s", flag, mark, word,
                   mark); /* cut on purpose */
}

/* Behind `gotunnel clients rotate c1` or `add`: what they cannot find by themselves. */
static void put_flags(const struct up *up, char command[COMMAND_BUF])
{
    char server[JOIN_SERVER_BUF], path[PATH_MAX];
    bool is_default = !*up->opt->public_name && up->work.port == CLIENTS_PORT;
    join_server(server, &up->key.join);
    if (up->key.is_nameless)
        (void)snprintf(server, sizeof server, CLIENTS_NO_NAME ":%u", (unsigned)up->key.join.port);
    if (!is_default || up->key.is_nameless)
        put_word(command, "-public", server);
    if (up->is_elsewhere)
        put_word(command, "-state", realpath(up->state, path) ? path : up->state);
}

/* What to run, and the sentence before it. */
static const char *next_command(const struct up *up, char intro[CHECKLIST_TEXT_MAX],
                                char command[COMMAND_BUF])
{
    char server[JOIN_SERVER_BUF + 16] = "", file[CLIENTS_KEY_FILE_BUF];
    if (up->key.is_nameless)
        (void)snprintf(server, sizeof server, " -server " CLIENTS_NO_NAME ":%u",
                       (unsigned)up->key.join.port);
    clients_key_file(&up->work, file);
    switch (up->client) {
    case UP_MADE:
        (void)snprintf(intro, CHECKLIST_TEXT_MAX, "%s",
                       _("On the machine of the service run this, with the service's port in the "
                         "place of 22. It is shown once:"));
        (void)snprintf(command, COMMAND_BUF, "gotunnel join %s 22%s", up->key.string, server);
        if (up->is_terminal)
            break;
        (void)snprintf(
            intro, CHECKLIST_TEXT_MAX,
            _("The join string is in %s: take that to the machine of the service, remove "
              "it here, and run there, with the service's port in the place of 22:"),
            file);
        (void)snprintf(command, COMMAND_BUF, "gotunnel join - 22%s < %s", server, file);
        break;
    case UP_THERE:
        (void)snprintf(
            intro, CHECKLIST_TEXT_MAX, "%s",
            _("The join string of c1 was shown once, and is not kept. This makes another "
              "one:"));
        (void)snprintf(command, COMMAND_BUF, "gotunnel clients rotate " FIRST_CLIENT);
        put_flags(up, command);
        break;
    case UP_OTHERS:
    case UP_REVOKED:
        (void)snprintf(intro, CHECKLIST_TEXT_MAX, "%s",
                       _("Join strings are shown once, and are not kept. This makes a client:"));
        (void)snprintf(command, COMMAND_BUF, "gotunnel clients add NAME -ports 0,20000-20100");
        put_flags(up, command);
        break;
    }
    return command;
}

/* Past the outlet of the other steps, which would keep a copy of the secret. */
static void show_next(const struct up *up)
{
    char intro[CHECKLIST_TEXT_MAX], command[COMMAND_BUF], line[CHECKLIST_LINE_MAX];
    const struct checklist_step step = {.word = "next", .value = next_command(up, intro, command)};
    size_t n = checklist_text(line, up->form, &step);
    char *text = malloc(sizeof intro + n + 16);
    if (text) {
        bool is_json = up->form == CHECKLIST_JSON;
        (void)snprintf(text, sizeof intro + n + 16, is_json ? "%s%s" : "\n%s\n\n  %s\n",
                       is_json ? "" : intro, line); /* fits */
        banner_put(text);
    }
    secure_zero(command, sizeof command);
    secure_zero(line, sizeof line);
}

static void close_folder(struct up *up)
{
    if (up->is_open)
        clients_dir_close(&up->work.dir);
    up->is_open = false;
}

static void on_ready(void *ctx)
{
    struct up *up = ctx;
    log_set_level((enum log_level)up->opt->common.log_level);
    close_folder(up);
    show_address(up);
    checklist_flush();
    show_next(up);
    up->is_shown = true;
    secure_zero(&up->key, sizeof up->key);
}

/* ---- all ---- */

/* The steps say what the first lines of the log do, and a person who sees both would read it twice. */
static void quieten(const struct snapshot *options, const struct up *up)
{
    bool is_person = up->is_terminal && isatty(STDERR_FILENO);
    if (is_person && up->form != CHECKLIST_JSON && !snapshot_is_given(options, "log-level") &&
        up->opt->common.log_level == LOG_LEVEL_INFO)
        log_set_level(LOG_LEVEL_WARN);
}

static int up_run(struct up *up, struct snapshot *options)
{
    static const struct server_guide guide = {on_identity, on_listening, on_ready};
    struct errmsg why;
    up->opt = snapshot_server(options);
    up->work.line.name = FIRST_CLIENT;
    up->work.line.public_name = up->opt->public_name;
    up->work.port = CLIENTS_PORT;
    client_entry_init(&up->work.line.entry);
    (void)snprintf(up->work.certs, sizeof up->work.certs, "%s", up->opt->certs); /* fits */
    up->is_terminal = isatty(STDOUT_FILENO);
    up->form = checklist_form_of_stdout(up->opt->json);
    find_folder(up);
    int status = clients_key_find(&up->work, &up->key); /* before anything is made */
    if (status != EXIT_STATUS_OK)
        return cli_hopeless(status);
    checklist_hold();
    quieten(options, up);
    status = make_folder(up);
    if (status == EXIT_STATUS_OK &&
        up_record_write(&up->record, up->state, up->opt->certs, up->opt, &why) < 0)
        status = clients_fail("%s", why.text);
    if (status == EXIT_STATUS_OK)
        status = server_main(options, &guide, up);
    if (up->is_open && up->client == UP_MADE && !up->is_shown)
        clients_key_undo(&up->work, up->is_terminal);
    close_folder(up);
    if (status != EXIT_STATUS_OK && !up->is_shown)
        show(up, "start", CHECKLIST_FAIL, _("start"),
             _("the server has not started: the last line of the log says why"), NULL);
    checklist_flush();
    return status;
}

int cmd_up(int argc, char **argv)
{
    static struct up_mode mode;
    char state[PATH_MAX];
    int status = EXIT_STATUS_FAILED;
    const char *given = given_state(argc, argv);
    log_hold();
    if (!server_state_find(given, true, state) || !make_mode(&mode, state))
        return clients_fail("%s", _("the server's folder is not known: -state DIR names it"));
    struct up *up = secure_alloc(sizeof *up);
    int err = up ? up_record_begin(&up->record, &mode.mode, argc, argv) : ERR_NOMEM;
    struct snapshot *options = err == 0 ? cli_begin(&mode.mode, argc, argv, &status) : NULL;
    if (options) {
        up->is_elsewhere = *given || strcmp(state, ".") == 0;
        status = up_run(up, options);
    } else if (err < 0) {
        status = cli_cannot_start(err);
    }
    secure_free(up, sizeof *up);
    snapshot_unref(options);
    return status;
}
