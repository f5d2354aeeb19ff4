/* SPDX-License-Identifier: MIT */
/* The rows. Keep each table sorted by name: that is the order of -h. */
#include "conf/options.h"

#include <string.h>

#include "base/attr.h"
#include "base/i18n.h"

#define COMMON(type, field) offsetof(struct type, common) + offsetof(struct common_options, field)

/* clang-format off */
static const struct option server_rows[] = {
    {"allow-ports", OPTION_PORTS, offsetof(struct server_options, allow_ports), "", NULL, "LIST",
     N_("public ports that clients may ask for, e.g. 8000-8999,80 (0 allows a free choice); every port if not given"), RELOAD_LIVE},
    {"certs", OPTION_STRING, offsetof(struct server_options, certs), "certs", NULL, "DIR",
     N_("directory of the certificates, made at the first start"), RELOAD_RESTART},
    {"client-rate", OPTION_RATE, offsetof(struct server_options, client_rate), "", NULL, "N/s",
     N_("new connections of users a second for each client, e.g. 50/s: more of them wait, and none is refused; no limit if not given"), RELOAD_LIVE},
    {"clients", OPTION_STRING, offsetof(struct server_options, clients), "", NULL, "DIR",
     N_("directory of clients with a key of their own (gotunnel clients); clients beside the certificates, if it is there, if not given"), RELOAD_RESTART},
    {"config", OPTION_STRING, COMMON(server_options, config), "", NULL, "FILE",
     N_("configuration file in YAML, whose keys are the names of these flags; a flag wins over the file"), RELOAD_FIXED},
    {"control", OPTION_STRING, COMMON(server_options, control), "", NULL, "FILE",
     N_("local socket for gotunnel ctl; control in the folder of RUNTIME_DIRECTORY, if a service manager gives one, or none if not given"), RELOAD_RESTART},
    {"drain", OPTION_WINDOW, COMMON(server_options, drain_ns), "30s", NULL, "TIME",
     N_("how long running connections may finish after a SIGTERM, up to 10m; a second one ends now"), RELOAD_LIVE},
    {"handshakes", OPTION_RATES, offsetof(struct server_options, handshakes), "200,10", NULL, "N[,N]",
     N_("TLS handshakes begun in a second: of all together, and of one address from which no client has authenticated in the last 24 hours"), RELOAD_LIVE},
    {"legacy", OPTION_CHOICE, COMMON(server_options, legacy), "allow", "allow never", "WORD",
     N_("peers that know only the old protocol, in which the secret itself is sent: allow or never"), RELOAD_LIVE},
    {"listen", OPTION_STRING, offsetof(struct server_options, listen), "7000", NULL, "ADDRESS",
     N_("port for tunnels from clients"), RELOAD_RESTART},
    {"log-format", OPTION_CHOICE, COMMON(server_options, log_format), "text", "text json journal", "FORM",
     N_("form of the log: text, json (an object a line), or journal (with fields, to the journal of systemd, if that is where the log goes)"), RELOAD_RESTART},
    {"log-level", OPTION_CHOICE, COMMON(server_options, log_level), "info", "error warn info debug", "LEVEL",
     N_("lowest level to log: error, warn, info or debug"), RELOAD_LIVE},
    {"log-visitors", OPTION_BOOL, offsetof(struct server_options, log_visitors), "", NULL, NULL,
     N_("a line of the log for each connection of a user, when it has ended: address, client, tunnel, time, bytes"), RELOAD_LIVE},
    {"memory", OPTION_MEMORY, COMMON(server_options, memory), "", NULL, "SIZE",
     N_("memory for what waits for slow readers, e.g. 64M or 1G, 16M to 1T; a quarter of what there is, at most 512M, if not given"), RELOAD_RESTART},
    {"notify", OPTION_STRING, COMMON(server_options, notify), "", NULL, "COMMAND",
     N_("command that runs (sh -c) when a session is up, lost, resumed or over, or a port is refused, with GOTUNNEL_NOTIFY and others in its environment; none if not given"), RELOAD_RESTART},
    {"public-bind", OPTION_STRING, offsetof(struct server_options, public_bind), "", NULL, "IP",
     N_("IP address that public ports listen at, e.g. 192.0.2.1 or 2001:db8::1; every one of this machine if not given"), RELOAD_RESTART},
    {"resume-window", OPTION_WINDOW, COMMON(server_options, resume_window_ns), "1m0s", NULL, "TIME",
     N_("how long connections outlive a cut tunnel, up to 10m; the shorter one of both ends counts; 0: not at all"), RELOAD_LIVE},
    {"sandbox", OPTION_CHOICE, COMMON(server_options, sandbox), "auto", "auto require off", "WORD",
     N_("give up what is not needed of the system: auto as far as possible here, require with landlock and seccomp or not at all, off not"), RELOAD_RESTART},
    {"secret", OPTION_SECRET, COMMON(server_options, secret), "", NULL, "TEXT",
     N_("shared secret (required)"), RELOAD_RESTART},
    {"secret-file", OPTION_STRING, COMMON(server_options, secret_file), "", NULL, "FILE",
     N_("file with the shared secret, - for standard input; keeps it off the command line"), RELOAD_RESTART},
    {"threads", OPTION_THREADS, COMMON(server_options, threads), "", NULL, "N",
     N_("threads that serve clients, 1 to 64; one for each processor, but at most 8, if not given"), RELOAD_RESTART},
    {"trusted-proxy", OPTION_CIDRS, offsetof(struct server_options, trusted_proxy), "", NULL, "NETWORKS",
     N_("balancers in front of the tunnel port, e.g. 192.0.2.1,10.0.0.0/8: their connections begin with a PROXY header, which says whose they are; none if not given"), RELOAD_LIVE},
    {"version", OPTION_BOOL, COMMON(server_options, version), "", NULL, NULL,
     N_("print the version and exit"), RELOAD_FIXED},
};

static const struct option client_rows[] = {
    {"ca", OPTION_STRING, offsetof(struct client_options, ca), "ca.crt", NULL, "FILE",
     N_("path of the CA certificate file"), RELOAD_RESTART},
    {"config", OPTION_STRING, COMMON(client_options, config), "", NULL, "FILE",
     N_("configuration file in YAML, whose keys are the names of these flags; a flag wins over the file"), RELOAD_FIXED},
    {"control", OPTION_STRING, COMMON(client_options, control), "", NULL, "FILE",
     N_("local socket for gotunnel ctl; control in the folder of RUNTIME_DIRECTORY, if a service manager gives one, or none if not given"), RELOAD_RESTART},
    {"drain", OPTION_WINDOW, COMMON(client_options, drain_ns), "30s", NULL, "TIME",
     N_("how long running connections may finish after a SIGTERM, up to 10m; a second one ends now"), RELOAD_LIVE},
    {"forward", OPTION_TUNNELS, offsetof(struct client_options, tunnels), "", NULL, "[NAME=]PORT=TARGET",
     N_("public port and what it forwards to, e.g. 8080=127.0.0.1:3000 or web=8080=127.0.0.1:3000; up to 1024 times, in place of -remote-port and -local-target"), RELOAD_LIVE},
    {"id", OPTION_STRING, offsetof(struct client_options, id), "", NULL, "NAME",
     N_("name of this client, which its public ports belong to: 1 to 64 of A-Z a-z 0-9 . _ -; made, and kept in a file, if not given"), RELOAD_RESTART},
    {"join", OPTION_SECRET, offsetof(struct client_options, join_text), "", NULL, "STRING",
     N_("join string (gt1_...), - for standard input: the server, its CA and the key of this client, in place of -server, -ca and -secret"), RELOAD_FIXED},
    {"join-file", OPTION_STRING, offsetof(struct client_options, join_file), "", NULL, "FILE",
     N_("file with the join string, - for standard input; keeps it off the command line"), RELOAD_RESTART},
    {"legacy", OPTION_CHOICE, COMMON(client_options, legacy), "auto", "allow never auto", "WORD",
     N_("servers that know only the old protocol, in which the secret itself is sent: allow, never, or auto: unless they have known better before"), RELOAD_RESTART},
    {"local-target", OPTION_STRING, offsetof(struct client_options, local_target), "127.0.0.1:80", NULL, "ADDRESS",
     N_("local target address that connections are forwarded to"), RELOAD_LIVE},
    {"log-format", OPTION_CHOICE, COMMON(client_options, log_format), "text", "text json journal", "FORM",
     N_("form of the log: text, json (an object a line), or journal (with fields, to the journal of systemd, if that is where the log goes)"), RELOAD_RESTART},
    {"log-level", OPTION_CHOICE, COMMON(client_options, log_level), "info", "error warn info debug", "LEVEL",
     N_("lowest level to log: error, warn, info or debug"), RELOAD_LIVE},
    {"max-retry-interval", OPTION_DURATION, offsetof(struct client_options, max_retry_ns), "1m0s", NULL, "TIME",
     N_("longest wait between attempts to reconnect"), RELOAD_LIVE},
    {"memory", OPTION_MEMORY, COMMON(client_options, memory), "", NULL, "SIZE",
     N_("memory for what waits for slow readers, e.g. 64M or 1G, 16M to 1T; a quarter of what there is, at most 512M, if not given"), RELOAD_RESTART},
    {"notify", OPTION_STRING, COMMON(client_options, notify), "", NULL, "COMMAND",
     N_("command that runs (sh -c) when a session is up, lost, resumed or over, or a port is refused, with GOTUNNEL_NOTIFY and others in its environment; none if not given"), RELOAD_RESTART},
    {"once", OPTION_BOOL, COMMON(client_options, once), "", NULL, NULL,
     N_("end if the first attempt fails; the exit status says why: 69 unreachable, 77 rejected, 78 a wrong option or file"), RELOAD_FIXED},
    {"remote-port", OPTION_INT, offsetof(struct client_options, remote_port), "8080", NULL, "PORT",
     N_("public port to open on the server"), RELOAD_LIVE},
    {"resume-window", OPTION_WINDOW, COMMON(client_options, resume_window_ns), "1m0s", NULL, "TIME",
     N_("how long connections outlive a cut tunnel, up to 10m; the shorter one of both ends counts; 0: not at all"), RELOAD_LIVE},
    {"sandbox", OPTION_CHOICE, COMMON(client_options, sandbox), "auto", "auto require off", "WORD",
     N_("give up what is not needed of the system: auto as far as possible here, require with landlock and seccomp or not at all, off not"), RELOAD_RESTART},
    {"secret", OPTION_SECRET, COMMON(client_options, secret), "", NULL, "TEXT",
     N_("shared secret (required)"), RELOAD_RESTART},
    {"secret-file", OPTION_STRING, COMMON(client_options, secret_file), "", NULL, "FILE",
     N_("file with the shared secret, - for standard input; keeps it off the command line"), RELOAD_RESTART},
    {"server", OPTION_STRING, offsetof(struct client_options, server), "", NULL, "ADDRESS",
     N_("address of the server, e.g. my.server.com:7000 (required)"), RELOAD_RESTART},
    {"threads", OPTION_THREADS, COMMON(client_options, threads), "1", NULL, "N",
     N_("threads, 1 to 64; a client has one connection to its server, which one thread serves: more change nothing"), RELOAD_RESTART},
    {"version", OPTION_BOOL, COMMON(client_options, version), "", NULL, NULL,
     N_("print the version and exit"), RELOAD_FIXED},
    {"wait", OPTION_BOOL, COMMON(client_options, wait), "", NULL, NULL,
     N_("wait until the tunnel is up, print its public address and go on in the background; a first attempt that fails ends as with -once"), RELOAD_FIXED},
};
/* clang-format on */

#define SHORT_WAY                                                                                  \
    N_("'gotunnel up' is the server in one command, from nothing, and 'gotunnel join' the "        \
       "client, by "                                                                               \
       "the line that it prints.\n")

const struct mode server_mode = {
    "server",
    server_rows,
    ARRAY_LEN(server_rows),
    "-secret-file FILE",
    .first = "secret secret-file",
    .examples = "  gotunnel server -secret-file secret -allow-ports 8000-8999\n"
                "  gotunnel server -config server.yaml\n",
    .also = SHORT_WAY,
};
const struct mode client_mode = {
    "client",
    client_rows,
    ARRAY_LEN(client_rows),
    "-server HOST:PORT -secret-file FILE",
    .first = "server secret secret-file",
    .examples =
        "  gotunnel client -server vps.example.com:7000 -secret-file secret -remote-port 8080 "
        "-local-target 127.0.0.1:3000\n"
        "  gotunnel client -config client.yaml\n",
    .also = SHORT_WAY,
};
const struct mode join_mode = {
    "join",
    client_rows,
    ARRAY_LEN(client_rows),
    "STRING [NAME=][HOST:]PORT[@PUBLIC] ...",
    .first = "join-file",
    .examples = "  gotunnel join gt1_... 3000\n"
                "  gotunnel join - ssh=22@2222 web=3000@8080 -save < c1.join\n",
};

bool mode_is_client(const struct mode *m)
{
    return m->options == client_rows;
}

/* Is it among words, which have one blank between them? */
static bool has_word(const char *words, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = words; at && (at = strstr(at, name)); at += n)
        if ((at == words || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
            return true;
    return false;
}

void mode_rows(const struct mode *m, const struct option **ret_rows)
{
    size_t n = 0;
    for (const char *word = m->first; word; word = strchr(word, ' ')) {
        word += *word == ' ';
        size_t len = strcspn(word, " ");
        for (size_t i = 0; i < m->count; i++)
            if (strlen(m->options[i].name) == len && memcmp(m->options[i].name, word, len) == 0)
                ret_rows[n++] = &m->options[i];
    }
    for (size_t i = 0; i < m->count; i++)
        if (!has_word(m->first, m->options[i].name))
            ret_rows[n++] = &m->options[i];
}

/* In a file all others stand at the top, by their names. */
static const struct {
    const char *name;
    enum option_place place;
    const char *key;
} places[] = {
    {"config", OPTION_NOWHERE, "config"},      {"forward", OPTION_NOWHERE, "tunnels"},
    {"join", OPTION_NOWHERE, "join"},          {"json", OPTION_NOWHERE, "json"},
    {"local-target", OPTION_TUNNEL, "target"}, {"once", OPTION_NOWHERE, "once"},
    {"public", OPTION_NOWHERE, "public"},      {"remote-port", OPTION_TUNNEL, "port"},
    {"state", OPTION_NOWHERE, "state"},        {"version", OPTION_NOWHERE, "version"},
    {"wait", OPTION_NOWHERE, "wait"},
};

enum option_place option_place(const struct option *o, const char **ret_key)
{
    *ret_key = o->name;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        if (strcmp(places[i].name, o->name) == 0) {
            *ret_key = places[i].key;
            return places[i].place;
        }
    }
    return OPTION_TOP;
}

bool option_is_path(const struct option *o)
{
    return o->value && (strcmp(o->value, "FILE") == 0 || strcmp(o->value, "DIR") == 0);
}
