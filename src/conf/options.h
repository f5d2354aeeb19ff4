/* SPDX-License-Identifier: MIT */
/*
 * The one table of options. Parsing, defaults, -h, the man page and the shell completions all come
 * from its rows: a new option is a row and a field. The flags of the Go original keep their names,
 * types and defaults (docs/protocol.md says which came later).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/cidr.h"
#include "conf/join.h"
#include "conf/ports.h"
#include "conf/tunnels.h"

enum {
    /* With its LF a secret fills a line of at most 4,096 bytes (proto/auth.h, D12). */
    OPTION_SECRET_MAX = 4095,
    /* More would only compete for processors; each takes six descriptors (app/limits.h). */
    OPTION_THREADS_MAX = 64,
    /* Less would not hold one window of 256 KiB for each of 64 threads. */
    OPTION_MEMORY_MIN_MIB = 16,
    OPTION_MEMORY_MAX_MIB = 1 << 20, /* 1 TiB: beyond is a slip of the pen */
    /* A processor does less than 10,000 a second: more is no limit. */
    OPTION_RATE_MAX = 100000,
    /* More than a machine has descriptors for is no limit. */
    OPTION_LIMIT_MAX = 1000000,
    /* Longer, a server would keep ports and memory for clients that are gone for good. */
    OPTION_WINDOW_MAX_S = 600,
};

/* Whether a peer that knows only the wire of the Go original is served; at a client also: unless it
   has spoken gotunnel/2 before. */
enum legacy_choice { LEGACY_ALLOW, LEGACY_NEVER, LEGACY_AUTO };

/* What is done where a layer of the cage (app/sandbox.h) is missing; or none is wanted. */
enum sandbox_choice { SANDBOX_AUTO, SANDBOX_REQUIRE, SANDBOX_OFF };

/* So many a second: of all together, and of one source. */
struct rates {
    int all, source;
};

enum option_type {
    OPTION_STRING,   /* const char *; a draft's point into argv: conf/snapshot.h */
    OPTION_SECRET,   /* char[OPTION_SECRET_MAX + 1]; the argument itself is overwritten (D13) */
    OPTION_INT,      /* int64_t, Go's integer grammar */
    OPTION_DURATION, /* int64_t nanoseconds, Go's duration grammar */
    OPTION_PORTS,    /* struct ports; none: every port */
    OPTION_CIDRS,    /* struct cidrs; none: no address */
    OPTION_CHOICE,   /* int: index of a word in choices */
    OPTION_THREADS,  /* int: 1 to OPTION_THREADS_MAX; 0: not given */
    OPTION_WINDOW,   /* int64_t nanoseconds, 0 to OPTION_WINDOW_MAX_S seconds */
    OPTION_RATES, /* struct rates, each 1 to OPTION_RATE_MAX; one number leaves the second as it is */
    OPTION_RATE,    /* int: 1 to OPTION_RATE_MAX a second, "50" or "50/s"; 0: not given */
    OPTION_MEMORY,  /* int64_t bytes, OPTION_MEMORY_MIN_MIB to _MAX_MIB; 0: not given */
    OPTION_TUNNELS, /* struct tunnels; may be given again, each adds one */
    OPTION_BOOL,    /* bool; takes no argument */
    OPTION_LIMIT,   /* int: 1 to OPTION_LIMIT_MAX */
    OPTION_MOMENT,  /* int64_t seconds since 1970: conf/utc.h */
};

enum { OPTION_TYPES = OPTION_MOMENT + 1 };

/* When another value in the configuration file counts (conf/diff.h). */
enum option_reload {
    RELOAD_UNSET,   /* not thought about: no row may have it */
    RELOAD_LIVE,    /* at a reload: for what begins from then on */
    RELOAD_RESTART, /* at the next start */
    RELOAD_FIXED,   /* never: a file cannot say it */
};

enum { OPTIONS_MAX = 32 }; /* of a mode: bits of common_options.given */

struct option {
    const char *name; /* without the dash */
    enum option_type type;
    size_t at;           /* offset of the field */
    const char *def;     /* default as the user would write it; "" for none */
    const char *choices; /* of OPTION_CHOICE: words with one blank between them, else NULL */
    const char *value;   /* stands for the value in the man page, NULL for OPTION_BOOL; shells
                            complete a FILE and a DIR */
    const char *help;    /* for -h and the man page; translated where it is shown */
    enum option_reload reload;
};

/* A program of the binary: its name and its options, sorted by name. */
struct mode {
    const char *name;
    const struct option *options;
    size_t count;
    const char *required; /* the options without which it does not start, as one writes them */
    const char *first;    /* names that -h shows first, one blank between them; NULL: none */
    const char *examples; /* what one types, lines of -h; NULL: none */
    const char *also;     /* last lines of -h, translated where they are shown; NULL: none */
};

struct common_options {
    char secret[OPTION_SECRET_MAX + 1]; /* "" until one is given */
    bool secret_in_argv;                /* it is that of -secret */
    bool secret_in_config;              /* it is that of the configuration file */
    uint32_t given;                     /* bit i: the command line has row i of the mode's table */
    const char *config;                 /* a configuration file; "": none */
    const char *control;                /* path of the control socket; "": see app/ctl.h */
    const char *secret_file;            /* "": none */
    int log_format;                     /* enum log_format */
    int log_level;                      /* enum log_level */
    const char *notify;                 /* a command for events (app/notify_command.h); "": none */
    int threads;                        /* 0: as many as the program thinks best */
    int legacy;                         /* enum legacy_choice */
    int sandbox;                        /* enum sandbox_choice */
    int64_t resume_window_ns;           /* how long a session outlives its connection; 0: not */
    int64_t memory;                     /* bytes for what waits; 0: as the machine has */
    int64_t drain_ns;                   /* how long a stopping program lets connections finish */
    bool has_own_key; /* client: a join string gives it a key, in place of secret */
    bool version;
    bool once; /* client: a first attempt that fails is the last; also with wait */
    bool wait; /* client: goes on in the background once it is up */
};

struct server_options {
    struct common_options common;
    const char *listen;
    const char *certs;
    const char *clients;     /* "": beside certs, if there is one */
    const char *public_bind; /* "": every address */
    struct ports allow_ports;
    struct cidrs trusted_proxy; /* balancers, which say whose connection theirs is */
    struct rates handshakes;
    bool log_visitors; /* a line for each connection of a user */
    int client_rate;   /* new connections of users a second, of each client; 0: no limit */

    /* of `gotunnel up` alone (server/up.c); else NULL and false */
    const char *public_name; /* where clients find it; "": at an address of this machine */
    const char *state;
    bool json;
};

struct client_options {
    struct common_options common;
    const char *server;
    const char *ca;
    const char *local_target;
    int64_t remote_port;
    struct tunnels tunnels;              /* none: the one of local_target and remote_port */
    char sole_name[TUNNEL_NAME_MAX + 1]; /* ... its name in a file; "": it is called by its port */
    int64_t max_retry_ns;
    const char *id;                        /* "": one is made and kept (client/identity.h) */
    char join_text[OPTION_SECRET_MAX + 1]; /* of -join, until it was read (app/join.h) */
    const char *join_file;                 /* "": none */
    bool join_in_argv;                     /* the string itself was in the command line */
    bool has_join;
    struct join join;                  /* what the string says, if has_join */
    char join_server[JOIN_SERVER_BUF]; /* where it says the server is */
};

/* join_mode is the client by another name: the same options, of which words give some (conf/target.h). */
extern const struct mode server_mode, client_mode, join_mode;

bool mode_is_client(const struct mode *m);

/* The rows in the order of -h and of the man page: m->first, then the others. ret_rows has room for
   OPTIONS_MAX; m->count of them are written. */
void mode_rows(const struct mode *m, const struct option **ret_rows);

/* Where an option stands in a configuration file (conf/config.h). */
enum option_place {
    OPTION_TOP,    /* at the top */
    OPTION_TUNNEL, /* in an entry of `tunnels` */
    OPTION_NOWHERE,
};

/* *ret_key: what it is called there; its name, but in a tunnel. */
enum option_place option_place(const struct option *o, const char **ret_key);

/* Does it name a file or a folder? */
bool option_is_path(const struct option *o);
