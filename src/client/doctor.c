/* SPDX-License-Identifier: MIT */
/*
 * The doctor of a client: goes once all the way that a client of these options goes, and says of each step how it
 * went. It is a visit (watch.h): a client that runs beside it, with the same key, is not disturbed. The steps are
 * those of `gotunnel join` (steps.h); here what keeps users out is a failure, and there are more of them:
 *
 *   config, limits --> dns, tcp, address ... --> tls, mtu, auth --> port --> target --> reach
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/ctl_ask.h"
#include "app/doctor_view.h"
#include "app/limits.h"
#include "base/i18n.h"
#include "base/log.h"
#include "client/client.h"
#include "client/cmd.h"
#include "client/internal.h"
#include "client/probe.h"
#include "client/steps.h"
#include "net/sock.h"

enum {
    PATIENCE_MS = 60 * 1000, /* for all of it: who is beside a server that lets us wait */
    FEW_CONNECTIONS = 256,   /* of users at once: below it a busy site fails */
    DETAIL_MAX = 512,
};

struct doctor;

/* One of several addresses of the server, beside the one that the session has. */
struct attempt {
    struct doctor *doctor;
    struct address at;
    struct probe *probe; /* NULL: none runs */
};

struct doctor {
    struct steps steps; /* first: the context of its watch, and of ours */
    struct client *client;
    struct address addresses[PATH_ADDRESSES];
    unsigned count;
    struct attempt attempts[PATH_ADDRESSES];
    unsigned running;
    bool has_tried, is_done; /* the addresses; the steps */
    uv_timer_t patience;
    char control[CTL_PATH_MAX + 1]; /* of the client that runs, where it would be; "": nowhere */
    struct status_view sister;      /* what that one said at the start; {0}: there is none */
};

static void show(struct doctor *d, const char *word, enum checklist_state state, const char *title,
                 const char *detail, const char *hint)
{
    const struct checklist_step step = {
        .word = word, .state = state, .title = title, .detail = detail, .hint = hint};
    d->steps.failures += state == CHECKLIST_FAIL;
    checklist_show(d->steps.form, &step);
}

static void end_if_done(struct doctor *d)
{
    if (d->is_done && d->running == 0)
        client_end(d->client);
}

/* ---- the client that runs ---- */

/* What it says of itself. False: none runs, or it is another user's, or says nothing of use. */
static bool ask_running(const struct doctor *d, struct status_view *ret)
{
    struct errmsg why;
    int fd = *d->control ? ctl_reach(d->control, &why) : ERR_NOTFOUND;
    *ret = (struct status_view){0};
    if (fd < 0)
        return false;
    bool is_told = status_view_read(ret, fd, NULL, &why) == 0;
    (void)close(fd); /* all is said */
    if (!is_told) {
        status_view_fini(ret);
        *ret = (struct status_view){0};
    }
    return is_told;
}

/* Connections that ever came to its tunnels of that public port. */
static uint64_t visitors_of(const struct status_view *v, long long port)
{
    uint64_t all = 0;
    for (const struct census_client *k = NULL; (k = census_next_client(v->clients, k));)
        for (const struct census_tunnel *t = NULL; (t = census_next_tunnel(k, t));)
            all += t->port == port ? t->all : 0;
    return all;
}

static void show_arrival(struct doctor *d, const struct steps_check *k, bool has_come)
{
    const struct checklist_step step = {
        .word = "arrived",
        .state = has_come ? CHECKLIST_OK : CHECKLIST_FAIL,
        .title = _("arrived"),
        .name = k->name,
        .detail = has_come ? _("the client that runs had this connection")
                           : _("the client that runs had no connection meanwhile"),
        .hint = has_come
                    ? NULL
                    : _("another client of this key may have the port: 'gotunnel status' at the "
                        "server names it")};
    d->steps.failures += !has_come;
    checklist_show(d->steps.form, &step);
}

/* Whether what was dialled at a port that it has came to it. */
static void look_for_arrivals(struct doctor *d)
{
    struct status_view now;
    if (!d->sister.c || !ask_running(d, &now))
        return;
    for (unsigned i = 0; i < d->steps.count; i++) {
        const struct steps_check *k = &d->steps.checks[i];
        if (k->is_elsewhere)
            show_arrival(d, k, visitors_of(&now, k->port) > visitors_of(&d->sister, k->port));
    }
    status_view_fini(&now);
}

static void on_done(struct steps *s)
{
    struct doctor *d = (struct doctor *)s;
    look_for_arrivals(d);
    d->is_done = true;
    end_if_done(d);
}

/* ---- this machine ---- */

static void show_limits(struct doctor *d)
{
    char detail[DETAIL_MAX];
    unsigned long long connections = d->client->account.connections;
    bool is_few = connections < FEW_CONNECTIONS;
    (void)snprintf(detail, sizeof detail,
                   P_("room for %llu connection of users at once",
                      "room for %llu connections of users at once", connections),
                   connections); /* fits */
    show(d, "limits", is_few ? CHECKLIST_WARN : CHECKLIST_OK, _("descriptors"), detail,
         is_few ? _("raise the limit: ulimit -n in a shell, LimitNOFILE= in a unit") : NULL);
}

static void on_patience(uv_timer_t *t)
{
    struct doctor *d = t->data;
    show(d, "session", CHECKLIST_FAIL, _("session"), _("no end of it within 60 s"), NULL);
    client_end(d->client);
}

static void on_begun(void *ctx, struct client *c)
{
    struct doctor *d = ctx;
    d->client = c;
    steps_watch.begun(&d->steps, c);
    uv_timer_init(&c->loop.uv, &d->patience);
    d->patience.data = d;
    uv_timer_start(&d->patience, on_patience, PATIENCE_MS, 0);
    show_limits(d);
}

static void on_ended(void *ctx)
{
    struct doctor *d = ctx;
    for (unsigned i = 0; i < d->count; i++)
        probe_close(d->attempts[i].probe);
    uv_close((uv_handle_t *)&d->patience, NULL);
    steps_watch.ended(&d->steps);
}

/* ---- the server's addresses ---- */

static void show_attempt(const struct attempt *a, const struct probe_result *r)
{
    char detail[DETAIL_MAX], name[SOCK_NAME_MAX];
    bool is_ok = r->err == 0;
    if (is_ok)
        (void)sock_address_name(name, &a->at);
    else
        (void)snprintf(detail, sizeof detail, "%s",
                       *r->why.text ? r->why.text : err_text(r->err)); /* cut on purpose */
    show(a->doctor, "address", is_ok ? CHECKLIST_OK : CHECKLIST_WARN, _("address"),
         is_ok ? name : detail,
         is_ok ? NULL
               : _("who tries this one first waits for it: let it in there, or take it out of the "
                   "DNS"));
}

static void on_attempt(void *ctx, const struct probe_result *r)
{
    struct attempt *a = ctx;
    struct doctor *d = a->doctor;
    struct probe *probe = a->probe;
    a->probe = NULL;
    show_attempt(a, r);
    d->running--;
    end_if_done(d);
    probe_close(probe);
}

static void try_address(struct doctor *d, struct attempt *a, const struct address *at)
{
    char host[ADDRESS_HOST_BUF];
    const struct probe_config cfg = {
        .host = address_host_text(host, at), .port = at->port, .dial_ms = STEPS_DIAL_MS};
    *a = (struct attempt){.doctor = d, .at = *at};
    if (probe_start(&d->client->loop, &cfg, on_attempt, a, &a->probe) == 0)
        d->running++; /* else there is no memory: not a word about it */
}

static void on_resolved(void *ctx, const struct address *all, unsigned n)
{
    struct doctor *d = ctx;
    steps_watch.resolved(&d->steps, all, n);
    d->count = n < PATH_ADDRESSES ? n : PATH_ADDRESSES;
    memcpy(d->addresses, all, d->count * sizeof *all);
}

static void on_dialled(void *ctx, const struct dial_result *r, const char *why)
{
    struct doctor *d = ctx;
    steps_watch.dialled(&d->steps, r, why);
    if (r->err < 0 || d->has_tried)
        return;
    d->has_tried = true;
    for (unsigned i = 0; i < d->count; i++)
        if (!address_equal(&d->addresses[i], &r->address))
            try_address(d, &d->attempts[i], &d->addresses[i]);
}

/* ---- the session ---- */

static void on_secure(void *ctx, const struct uplink *u)
{
    struct doctor *d = ctx;
    steps_watch.secure(&d->steps, u);
    if (u->is_small)
        show(d, "mtu", CHECKLIST_WARN, "MTU",
             _("small packets pass, large ones get lost on the way to the server (MTU black hole)"),
             steps_mtu_hint());
}

static void on_accepted(void *ctx, const struct uplink *u)
{
    struct doctor *d = ctx;
    steps_watch.accepted(&d->steps, u);
}

static void on_lost(void *ctx, const struct uplink *u, enum end_reason reason, const char *words)
{
    struct doctor *d = ctx;
    steps_watch.lost(&d->steps, u, reason, words);
    if (!u->was_live)
        return;
    show(d, "session", CHECKLIST_FAIL, _("session"), words, NULL);
    d->is_done = true;
    end_if_done(d);
}

static void on_answered(void *ctx, const struct tunnel *t, bool again)
{
    struct doctor *d = ctx;
    steps_watch.answered(&d->steps, t, again);
}

static bool on_visited(void *ctx, const struct service *s, struct session *session,
                       struct smux_stream *st, const struct smux_open *open)
{
    struct doctor *d = ctx;
    return steps_watch.visited(&d->steps, s, session, st, open);
}

static const struct client_watch doctor_watch = {
    .is_visit = true,
    .begun = on_begun,
    .ended = on_ended,
    .resolved = on_resolved,
    .dialled = on_dialled,
    .secure = on_secure,
    .accepted = on_accepted,
    .lost = on_lost,
    .answered = on_answered,
    .visited = on_visited,
};

/* ---- the command ---- */

/* The client that runs has seen the way for longer. */
static void look_at_running(struct doctor *d, const struct client_options *o)
{
    bool is_given;
    ctl_path(d->control, &o->common, &is_given);
    if (ask_running(d, &d->sister))
        doctor_show_cuts(d->steps.form, &d->sister);
}

/* With fewer descriptors than it can begin with there is nothing to try. */
static bool has_descriptors(struct doctor *d)
{
    struct account_client account;
    char detail[DETAIL_MAX];
    unsigned long long limit = limits_raise();
    if (account_of_client(&account, limit))
        return true;
    (void)snprintf(detail, sizeof detail, _("the limit of %llu is too low, %d is the least"), limit,
                   ACCOUNT_DESCRIPTORS_MIN); /* fits */
    show(d, "limits", CHECKLIST_FAIL, _("descriptors"), detail,
         _("raise the limit: ulimit -n in a shell, LimitNOFILE= in a unit"));
    return false;
}

static int examine(struct snapshot *options, bool wants_json)
{
    static struct doctor d; /* with places for each tunnel */
    const struct client_options *o = snapshot_client(options);
    d.steps.form = checklist_form_of_stdout(wants_json);
    d.steps.is_strict = true;
    d.steps.done = on_done;
    if (!snapshot_is_given(options, "log-level"))
        log_set_level(LOG_LEVEL_ERROR);
    checklist_hold();
    show(&d, "config", CHECKLIST_OK, _("configuration"),
         *o->common.config ? o->common.config : _("the command line"), NULL);
    look_at_running(&d, o);
    int status =
        has_descriptors(&d) ? client_main_watched(options, &doctor_watch, &d) : EXIT_STATUS_FAILED;
    status_view_fini(&d.sister);
    checklist_flush();
    bool is_interrupted = status == EXIT_STATUS_OK && !d.is_done;
    return d.steps.failures > 0 || is_interrupted ? EXIT_STATUS_FAILED : status;
}

int client_doctor(int argc, char **argv)
{
    bool wants_json = checklist_take_json(&argc, argv);
    int status;
    struct snapshot *options = client_read_options(argc, argv, &status);
    if (!options)
        return status;
    status = examine(options, wants_json);
    snapshot_unref(options);
    return status;
}
