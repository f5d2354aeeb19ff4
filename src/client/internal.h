/* SPDX-License-Identifier: MIT */
/*
 * Private to client/: the program, its uplinks, and the services behind it.
 *
 * A client keeps one session that serves (`current`), and for a while others beside it: one that
 * drains because its server stops, one that is still asked for at other addresses. Each is an uplink. What opens the next one, and when, is client.c; an uplink dials,
 * opens, and carries its session to the end.
 */
#pragma once

#include "app/census_desk.h"
#include "app/cli.h"
#include "app/ctl.h"
#include "app/notify.h"
#include "app/reload.h"
#include "app/sandbox.h"
#include "app/signals.h"
#include "base/list.h"
#include "base/log_budget.h"
#include "base/quota.h"
#include "client/pins.h"
#include "client/service.h"
#include "client/watch.h"
#include "conf/destination.h"
#include "conf/hostport.h"
#include "conf/snapshot.h"
#include "net/netwatch.h"
#include "net/tcp_memory.h"
#include "net/tls_pin.h"
#include "proto/account.h"
#include "proto/backoff.h"
#include "proto/path.h"
#include "proto/session/standing.h"
#include "proto/session/wishes.h"
#include "tunnel/opening.h"
#include "tunnel/session.h"

enum {
    CONNECT_MS = 10000,  /* TCP of a new session, all addresses together, as the original's */
    TLS_MS = 2000,       /* TLS of a new session at first; doubled after each failure, ... */
    TLS_MOST_MS = 10000, /* ... up to this */
    UPLINKS_MAX = 4,     /* one that serves, and three that end; more are ended: a server that says
                             GOAWAY again and again must not make us hold sessions */
};

enum uplink_state {
    UPLINK_DIALLING,
    UPLINK_OPENING,
    UPLINK_LIVE,
    UPLINK_OVER, /* memory goes at the end of the turn */
};

enum { UPLINK_REASONS_MAX = 8 }; /* lines of one gap: a server that alternates floods no log */

struct uplink {
    struct client *client;
    struct snapshot *options; /* those it began with */
    const struct client_options *opt;
    struct list node; /* in client->uplinks, the oldest first */
    enum uplink_state state;
    struct dial *dial; /* of the open, or of an attempt to resume */
    struct opening *opening;
    struct session *session;
    struct address at;                /* dialled last */
    bool is_secure, is_authenticated; /* how far the opening came: for the log */
    bool is_small;                    /* its connection has small segments */
    bool was_live;
    bool has_told_up; /* that a tunnel of it is up */
    long long port;   /* the public one, of the legacy wire, which has one */
    uint8_t nonce[HELLO_NONCE_BYTES];
    bool has_nonce;
    uint8_t ca_key[PIN_BYTES];            /* of the server that is being opened */
    uint64_t reasons[UPLINK_REASONS_MAX]; /* told, why it is not resumed yet: hashes */
    unsigned n_reasons;
    struct loop_job reaper;
};

/* One of the tunnels that are opened in the session: a wish, and the service behind it. */
struct tunnel {
    struct client *client;
    struct list node; /* in client->tunnels, or in client->leaving */
    struct wish wish;
    struct service *service; /* of all tunnels of its name, while it changes its port */
    mtime_ms refused_at;     /* the last time */
    bool is_sole;            /* all there is, and of no list: its lines name none */
};

/* What a client has been through, for its census. Words are static; "": never. */
struct client_history {
    int64_t begun_s;     /* seconds since 1970 */
    mtime_ms down_since; /* while there is no session */
    const char *failed;  /* the last attempt to have one; "": it did not */
    bool is_refused;     /* the server has said no then, or we have */
    mtime_ms failed_at;
    const char *broke; /* how the last one that is over ended */
    mtime_ms broke_at;
    uint64_t resumes; /* of all sessions */
    uint64_t reloads, reloads_failed;
    uint64_t refused[CENSUS_REFUSALS];
};

struct client {
    struct snapshot *options;
    const struct client_options *opt; /* what they say */
    struct hostport server;
    struct destinations *local;                /* of -local-target; NULL: its service has it */
    struct destinations *targets[TUNNELS_MAX]; /* the same of the options' tunnels */
    struct loop loop;
    struct account_client account; /* of descriptors */
    struct quota connections;
    struct tcp_memory tcp_memory;
    struct relays relays;
    struct list services;       /* behind it, at least one */
    struct service_dials dials; /* that they share */
    struct list
        tunnels; /* that are opened in the session, at least one, as the options have them */
    struct list leaving;  /* tunnels that a reload closes, or another one replaces */
    struct wishes wishes; /* which of them are open ... */
    struct uplink
        *asked; /* ... in whose session; NULL: in none. May be away, while the next one is opened */
    uv_timer_t wishes_due;
    uv_timer_t answer_due;     /* its data: the uplink whose open waits for an answer; NULL: none */
    struct log_budget notices; /* what servers say for the log */
    struct netwatch network;
    struct signals signals;
    struct ctl ctl;
    struct notify notify;  /* the service manager */
    struct errmsg trouble; /* why there is no session; "": there is one, or is not known yet */
    const struct client_watch *watch; /* NULL: nobody */
    void *watch_ctx;
    struct backoff backoff;
    struct rng rng;
    uv_timer_t retry;
    char id[HELLO_ID_MAX + 1];
    const struct hello_credential *credential; /* its own key, in place of the secret; NULL: none */
    struct standing standing;
    struct pins pins;         /* with LEGACY_AUTO only */
    bool fell_back;           /* to the legacy wire, and said so */
    struct path_memory paths; /* which address of the server works */
    const char *alpn;         /* HELLO_ALPN, or NULL: the legacy wire only */
    SSL_CTX *tls;             /* for the next session */
    struct {                  /* prepared by a reload, and not in use yet */
        SSL_CTX *tls;
        struct tunnels_plan *tunnels; /* NULL: nothing of them changes */
    } coming;
    struct tls_pin pin;          /* with a join string: of the server's CA, and ... */
    struct hello_credential own; /* ... what this client proves itself with */
    struct census_desk desk;
    struct client_history history;
    struct list uplinks;
    struct uplink *current; /* that serves, or is to; NULL: the next one waits for `retry` */
    unsigned tls_failures;  /* in a row, of opens */
    bool tries_small; /* the next open has small segments: the last one has seen no answer in TLS */
    unsigned rejections; /* of our secret, in a row, by a server that is there */
    mtime_ms rejection_told_at;
    bool is_quiet; /* the open that runs follows a rejection: its lines are for the debug log */
    bool was_up;   /* a session, once since the start: its server may have the id for a while */
    bool was_open; /* one of its tunnels, once since the start */
    int status;    /* the exit status */
    int script_fd; /* with -wait: who waits for the tunnel; -1: nobody, or no more */
    bool ended;    /* nothing may finish any more */
    bool closing;  /* the handles are */
};

/* ---- rejection.c ---- */

/* An open of u has ended so: counts client.rejections, or forgets them, and whether to be quiet. */
void client_note_rejection(struct client *c, const struct uplink *u, enum end_reason reason);

/* The line for END_AUTH, after it was noted: the first time, and once an hour. words: as end_text()
   has them. */
void client_tell_rejection(struct client *c, const char *words);

/* ---- unanswered.c ---- */

/* The timer of all opens, and its end. */
void unanswered_init(struct client *c);
void unanswered_close(struct client *c);

/* u's open is out: one line if it has no answer within seconds. It has one, or u is over. */
void unanswered_begin(struct uplink *u);
void unanswered_end(struct uplink *u);

/* ---- trust.c ---- */

/* Start-up: makes client.tls, which trusts what the options say and offers client.alpn, unless it is NULL.
   0, or a negative error with a sentence. */
int client_trust(struct client *c, struct errmsg *why) MUST_USE;

/* Whom it trusts, from c->opt->ca. 0, or a negative error with a sentence; *ret is the caller's. */
int client_load_ca(const struct client *c, SSL_CTX **ret, struct errmsg *why) MUST_USE;

/* The lines about it. */
void client_tell_trust(const struct client *c);

/* ---- ends.c ---- */

struct end_outcome {
    enum backoff_kind wait;  /* before the next attempt, unless what else is known says otherwise */
    enum exit_status status; /* with -once */
};

/* What it means that an attempt to have a session has ended so. */
struct end_outcome client_end_outcome(enum end_reason reason);

/* ---- once.c ---- */

/* A session, or its open, has ended so: true with -once, if no tunnel was open before. Then client.status is set,
   and said. */
bool client_once_is_over(struct client *c, enum end_reason reason);

/* A client that only visits (client/watch.h). */
bool client_is_visit(const struct client *c);

enum { CLIENT_ADDRESS_MAX = HOSTPORT_HOST_MAX + 24 };

/* host:port of what is public, as one would dial it. */
void client_public_address(char out[CLIENT_ADDRESS_MAX], const struct client *c, long long port);

/* It is up: the first time, with -wait, whoever waits is told where, in lines. */
void client_tell_script(struct client *c, const char *lines);

/* ---- reload.c ---- */

/* A reload may bring any other target. */
bool client_may_change_target(const struct client *c);

/* What may be asked over the control socket; their ctx is the client. */
extern const struct ctl_ops client_ctl_ops;

/* The same as client_reload(), for nobody who waits for what came of it. ctx: the client. */
void client_on_reload(void *ctx);

/* The configuration file and the CA are read again; what came of it is logged. */
void client_reload(struct client *c, struct reload_result *ret);

/* ---- uplink.c ---- */

/* Begins: dials. NULL without memory. */
struct uplink *uplink_new(struct client *c);

/* Ends it; client_uplink_over() follows, from the loop. */
void uplink_close(struct uplink *u);

/* No new users; running connections may finish. */
void uplink_stop(struct uplink *u, mtime_ms drain_ms);

void uplink_network_changed(struct uplink *u, bool woke);

/* The lines about tunnels that a server which knows only the legacy wire does not serve; another one: none. */
void uplink_tell_unserved(const struct uplink *u);

/* What it does, in the user's language. */
const char *uplink_state(const struct uplink *u);

/* The line about it, for a person who has asked by a signal. */
void uplink_tell(const struct uplink *u);

/* ---- targets.c ---- */

/* Reads a target of a client with these options: as address_parse_target(); or ERR_INVAL: it is the
   client's own control socket. */
int target_read(const struct client_options *o, const char *text, struct destinations **ret,
                struct errmsg *why) MUST_USE;

/* Frees those that no service has. */
void targets_drop(struct client *c);

/* What the cage must leave open for a target: its ports, looking up names, unix sockets. */
void target_cage(const struct destinations *to, struct sandbox_config *cage);

/* ---- tunnels.c ---- */

/* Reads the targets of the options' tunnels. 0, or negative, and said. */
int tunnels_prepare(struct client *c) MUST_USE;

/* Makes them, on c->loop. 0; ERR_NOMEM: some may be there. */
int tunnels_begin(struct client *c) MUST_USE;

/* A tunnel of the options, not in any list yet; with that service, of which it is an owner more, or one of its
   own, which takes *target and leaves NULL there. NULL: no memory. */
struct tunnel *tunnel_new(struct client *c, const struct tunnel_option *o, struct service *service);
struct tunnel *tunnel_new_to(struct client *c, const struct tunnel_option *o,
                             struct destinations **target);

/* Leaves its list and its service. NULL is fine. */
void tunnel_free(struct tunnel *t);

/* Each of client.tunnels has its part of the dials at once, whenever there are others. */
void tunnels_share_dials(struct client *c);

/* After each input to the wishes: does what they have decided. */
void tunnels_act(struct client *c);

/* Their timer, once nothing can fail any more, and its end; then the tunnels go, their services stay. */
void tunnels_init_timer(struct client *c);
void tunnels_close_timer(struct client *c);
void tunnels_free(struct client *c);

/* u's session serves users from now on, and none before it: they are asked for. */
void tunnels_session_up(struct client *c, struct uplink *u);

/* There is none that does. Idempotent. */
void tunnels_session_down(struct client *c);

/* A line of the server's on u's session. */
bool tunnels_on_line(struct uplink *u, struct hello_text line);

/* The service with that number; NULL: there is none. */
struct service *tunnels_service(const struct client *c, uint32_t svc);

/* Which of its services a stream that the server opened is for; NULL: there is none any more. */
struct service *client_service_of(const struct client *c, const struct smux_open *open);

/* Each has its answer, and it is no. */
bool tunnels_all_refused(const struct client *c);

/* Its name, as a person sees it; "": it is the only one. */
const char *tunnel_shown_name(const struct tunnel *t);

/* How many are open. */
unsigned tunnels_open(const struct client *c);

/* The one that is all there is; NULL: they are a list. */
const struct tunnel *tunnels_sole(const struct client *c);

/* The public port at which it serves, or while that is asked for, at which the one that it replaces does; 0: none. */
int32_t tunnel_port(const struct tunnel *t);

/* The lines of status. */
void tunnels_tell(const struct client *c);

/* ---- tunnels_reload.c ---- */

/* A part of a reload (app/reload.h): tunnels that are new, others, or gone; ctx is the client. */
int tunnels_reload_prepare(void *ctx, const struct reload_plan *plan, struct errmsg *why) MUST_USE;
bool tunnels_reload_apply(void *ctx, const struct reload_plan *plan);
void tunnels_reload_drop(void *ctx);

/* ---- census.c ---- */

/* On c->loop, before anybody asks; census_desk_close(&c->desk) ends it. */
void client_census_init(struct client *c);

/* Of struct ctl_ops. */
void client_census(void *client, struct census_ask *a);

/* u has ended so; still one of client.current and client.asked if it was. */
void client_note_end(struct client *c, const struct uplink *u, enum end_reason reason,
                     const struct hello_answer *refusal);

/* ---- status.c ---- */

/* The handlers of a signal, and of the service manager's beat. */
void client_status(void *ctx);
void client_on_beat(void *ctx);

/* Brings the service manager's line of status up to date, sooner than the next beat. */
void client_tell_manager(struct client *c);

/* ---- client.c ---- */

/* At once. Idempotent. ctx: the client. */
void client_end(void *ctx);

/* A tunnel of it is open: users are served. */
void client_tunnel_opened(struct client *c);

/* One was refused. True: with -once, none was ever open, and that was the last: the client ends. */
bool client_tunnel_refused(struct client *c);

/* For the service manager: nobody is served, because the server has refused that so often, as words say. */
void client_note_refusal(struct client *c, unsigned long long times, const char *words);

/* Its session is up. */
void client_uplink_up(struct client *c, struct uplink *u);

/* It serves no new users any more: the next one is opened beside it, at once. */
void client_open_beside(struct client *c, struct uplink *u);

/* Its session, given up for new users, was resumed after all. */
void client_uplink_back(struct client *c, struct uplink *u);

/* How soon to ask again after this end of the one that was to serve. */
enum backoff_kind client_backoff_kind(const struct client *c, enum end_reason reason,
                                      const struct hello_answer *refusal);

/* It is over, and left client->uplinks: the next one is opened when it is time. refusal: see
   opening_ops. */
void client_uplink_over(struct client *c, struct uplink *u, enum end_reason reason,
                        const struct hello_answer *refusal, const struct errmsg *why);
