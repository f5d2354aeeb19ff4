/* SPDX-License-Identifier: MIT */
/* From what happens to a client to lines of a checklist. */
#include "client/steps.h"

#include <stdio.h>
#include <string.h>

#include "base/event.h"
#include "base/hex.h"
#include "base/i18n.h"
#include "client/internal.h"
#include "client/probe.h"
#include "net/sock.h"
#include "proto/hash.h"
#include "tunnel/refusal.h"

enum { DETAIL_MAX = 768, HINT_MAX = STEPS_HINT_MAX, TLS_VERSION_SHOWN = 16 };

static const struct {
    const char *word, *title;
} rows[STEPS] = {
    [STEP_DNS] = {"dns", "DNS"},
    [STEP_TCP] = {"tcp", "TCP"},
    [STEP_TLS] = {"tls", "TLS"},
    [STEP_AUTH] = {"auth", N_("client")},
};

static void show(struct steps *s, const struct checklist_step *step)
{
    s->failures += step->state == CHECKLIST_FAIL;
    if (!s->is_silent)
        checklist_show(s->form, step);
}

/* Of what keeps users out while the tunnel is up. */
static enum checklist_state trouble(const struct steps *s)
{
    return s->is_strict ? CHECKLIST_FAIL : CHECKLIST_WARN;
}

/* One of those that every attempt goes through: the same is not said twice. */
static void show_row(struct steps *s, enum step which, enum checklist_state state,
                     const char *detail, const char *hint)
{
    uint64_t text = hash_text(detail);
    bool is_same = s->told[which].is_told && s->told[which].state == state &&
                   (state == CHECKLIST_OK || s->told[which].text == text);
    if (is_same || s->phase == STEPS_DONE)
        return;
    s->told[which].is_told = true;
    s->told[which].state = state;
    s->told[which].text = text;
    const struct checklist_step step = {.word = rows[which].word,
                                        .state = state,
                                        .title = _(rows[which].title),
                                        .detail = detail,
                                        .hint = hint};
    show(s, &step);
}

static void steps_on_timer(uv_timer_t *t);

/* ---- the way to the server ---- */

static void steps_on_resolved(void *ctx, const struct address *all, unsigned n)
{
    struct steps *s = ctx;
    char detail[DETAIL_MAX], host[ADDRESS_HOST_BUF];
    size_t used = (size_t)snprintf(detail, sizeof detail, "%s ->", s->client->server.host);
    for (unsigned i = 0; i < n; i++)
        used += (size_t)snprintf(detail + used, sizeof detail - used, " %s",
                                 address_host_text(host, &all[i])); /* fits: at most 8 */
    show_row(s, STEP_DNS, CHECKLIST_OK, detail, NULL);
}

static void steps_on_dialled(void *ctx, const struct dial_result *r, const char *why)
{
    struct steps *s = ctx;
    char detail[DETAIL_MAX], name[SOCK_NAME_MAX];
    if (r->err == 0) {
        (void)snprintf(detail, sizeof detail, "%s (%d ms)", sock_address_name(name, &r->address),
                       (int)r->connect_ms); /* fits */
        show_row(s, STEP_TCP, CHECKLIST_OK, detail, NULL);
    } else if (r->err == ERR_RESOLVE) {
        show_row(s, STEP_DNS, CHECKLIST_FAIL, why,
                 _("the name is that of the join string, or of -server: if the server has another "
                   "one now, add -server NAME:PORT"));
    } else {
        (void)snprintf(detail, sizeof detail,
                       _("the server must run there, and its firewall, and that of its provider, "
                         "must let TCP port %d in"),
                       s->client->server.port);
        show_row(s, STEP_TCP, CHECKLIST_FAIL, why, detail);
    }
}

static void steps_on_secure(void *ctx, const struct uplink *u)
{
    struct steps *s = ctx;
    char detail[DETAIL_MAX], pin[2 * PIN_BYTES + 1] = "";
    const char *info = opening_tls_info(u->opening);
    int version = (int)strcspn(info, " ");
    hex_put(pin, u->client->pin.key, sizeof u->client->pin.key);
    if (u->opt->has_join)
        (void)snprintf(detail, sizeof detail,
                       _("%.*s, and the server's CA is that of the join string (pin %s)"), version,
                       info, pin); /* fits */
    else
        (void)snprintf(detail, sizeof detail, _("%.*s, and the server's CA is that in %s"), version,
                       info, u->opt->ca); /* cut on purpose */
    show_row(s, STEP_TLS, CHECKLIST_OK, detail, NULL);
}

static void steps_on_accepted(void *ctx, const struct uplink *u)
{
    struct steps *s = ctx;
    char detail[DETAIL_MAX];
    if (u->opt->has_join)
        (void)snprintf(detail, sizeof detail, _("the server takes it as '%s'"),
                       u->client->own.name); /* fits */
    else
        (void)snprintf(detail, sizeof detail, "%s", _("the server takes the secret"));
    show_row(s, STEP_AUTH, CHECKLIST_OK, detail, NULL);
    s->is_late = false;
    s->answer_by = loop_now(&s->client->loop) + STEPS_ANSWER_MS;
    if (s->phase == STEPS_OPENING)
        uv_timer_start(&s->timer, steps_on_timer, STEPS_ANSWER_MS, 0);
}

static void steps_on_lost(void *ctx, const struct uplink *u, enum end_reason reason,
                          const char *words)
{
    struct steps *s = ctx;
    char detail[DETAIL_MAX], hint[HINT_MAX];
    const char *name = u->client->own.name;
    s->answer_by = MTIME_NEVER;
    if (u->at.family == ADDRESS_NONE || u->was_live)
        return; /* the dial has told; or it was up: the log has it */
    if (reason == END_AUTH && *name) {
        (void)snprintf(detail, sizeof detail,
                       _("the server does not take the key of client %s (any more)"),
                       name); /* fits */
        words = detail;
    }
    show_row(s, u->is_secure ? STEP_AUTH : STEP_TLS, CHECKLIST_FAIL, words,
             steps_loss_hint(hint, u, reason));
}

/* ---- tunnels ---- */

/* A client with our key has it, which is not told to others: who asks beside one that runs. */
static bool is_elsewhere(const struct steps *s, const struct wish *w)
{
    return s->is_strict && w->state == WISH_REFUSED && w->why.error == SERVICE_ERR_TAKEN &&
           *w->why.by && w->wanted.port > 0;
}

static void show_answer(struct steps *s, const struct tunnel *t)
{
    const struct wish *w = &t->wish;
    char detail[DETAIL_MAX], hint[HINT_MAX] = "", text[REFUSAL_TEXT_MAX];
    bool is_open = w->state == WISH_OPEN, is_ours = is_elsewhere(s, w);
    if (is_open)
        client_public_address(detail, t->client, w->port);
    else if (is_ours)
        (void)snprintf(detail, sizeof detail,
                       _("%lld: a client with this key, at %s, has it open already"),
                       (long long)w->wanted.port, w->why.by); /* fits */
    else
        (void)snprintf(detail, sizeof detail, "%lld: %s", (long long)w->wanted.port,
                       refusal_service_text(text, &w->why, w->wanted.port)); /* cut on purpose */
    const struct checklist_step step = {
        .word = "port",
        .state = is_open || is_ours ? CHECKLIST_OK : CHECKLIST_FAIL,
        .title = _("public port"),
        .name = tunnel_shown_name(t),
        .detail = detail,
        .hint = is_open || is_ours ? NULL : steps_port_hint(hint, t->client, w),
    };
    show(s, &step);
}

static bool has_answer(const struct wish *w)
{
    return w->state == WISH_OPEN || w->state == WISH_REFUSED;
}

/* How many can be tried; *ret_all: each has its answer, or it is too late for that. */
static unsigned count_open(const struct steps *s, bool *ret_all)
{
    unsigned count = 0;
    *ret_all = true;
    list_foreach (i, &s->client->tunnels) {
        const struct wish *w = &LIST_ENTRY(i, struct tunnel, node)->wish;
        *ret_all &= s->is_late || has_answer(w);
        count += w->state == WISH_OPEN || is_elsewhere(s, w);
    }
    return count;
}

/* With none that is open it is over for who wants to know, and begins anew for who wants it up. */
static bool can_begin(const struct steps *s)
{
    bool all_answered;
    unsigned count = count_open(s, &all_answered);
    return all_answered && (count > 0 || s->is_strict);
}

/* It is asked for as before, and when it is open it is served. */
static void show_unanswered(struct steps *s)
{
    char detail[DETAIL_MAX];
    list_foreach (i, &s->client->tunnels) {
        const struct tunnel *t = LIST_ENTRY(i, struct tunnel, node);
        if (has_answer(&t->wish))
            continue;
        (void)snprintf(detail, sizeof detail,
                       _("public port %lld: the server has not answered for %d s"),
                       (long long)t->wish.wanted.port, STEPS_ANSWER_MS / 1000); /* fits */
        const struct checklist_step step = {
            .word = "port",
            .state = s->is_strict ? CHECKLIST_FAIL : CHECKLIST_WARN,
            .title = _("public port"),
            .name = tunnel_shown_name(t),
            .detail = detail,
            .hint = _(
                "the others go on; this one is still waited for, and the log says when it is open"),
        };
        show(s, &step);
    }
}

static void steps_on_answered(void *ctx, const struct tunnel *t, bool again)
{
    struct steps *s = ctx;
    if (s->phase != STEPS_OPENING)
        return;
    if (!again)
        show_answer(s, t);
    if (can_begin(s))
        uv_timer_start(&s->timer, steps_on_timer, 0, 0); /* not from inside the tunnels' call */
}

/* ---- what is tried from here ---- */

static void next_checks(struct steps *s);

/* NULL: nothing to do, or what is wrong says it. */
static const char *target_hint(const struct steps *s, int err)
{
    if (err == 0 || err == ERR_PERM)
        return NULL;
    if (s->is_strict)
        return _("start the service on this machine, or say where it is: users are cut off until "
                 "then");
    if (err == ERR_RESOLVE)
        return _("if it is spelled wrong, end this and write it anew");
    return _("start it: the tunnel is up, and need not be started again");
}

static void show_target(const struct steps_check *k, const struct probe_result *r)
{
    char detail[DETAIL_MAX];
    const char *name = k->service->name;
    if (r->err < 0)
        (void)snprintf(detail, sizeof detail, _("%s does not answer: %s"), name,
                       *r->why.text ? r->why.text : err_text(r->err)); /* cut on purpose */
    else
        (void)snprintf(detail, sizeof detail,
                       r->has_ended ? _("%s answers, and closes the connection") : _("%s answers"),
                       name); /* cut on purpose */
    const struct checklist_step step = {
        .word = "target",
        .state = r->err == 0 ? CHECKLIST_OK : trouble(k->steps),
        .title = _("service"),
        .name = k->name,
        .detail = detail,
        .said = r->said,
        .hint = target_hint(k->steps, r->err),
    };
    show(k->steps, &step);
}

const char *steps_mtu_hint(void)
{
    return _("a VPN, PPPoE or tunnel on the way is smaller than it says: set a smaller MTU here, "
             "like 1400 or 1280, or let ICMP pass in the firewalls");
}

/* A connection of our own proves what it has been through: the way from here. */
static void show_reach(const struct steps_check *k, const struct probe_result *r)
{
    char detail[DETAIL_MAX], hint[HINT_MAX] = "", address[CLIENT_ADDRESS_MAX];
    struct checklist_step step = {
        .word = "reach", .title = _("reachable"), .name = k->name, .detail = detail, .hint = hint};
    client_public_address(address, k->steps->client, k->port);
    if (k->steps->is_strict && k->was_visited && k->echo.loop && !r->has_answered) {
        step.state = CHECKLIST_FAIL;
        (void)snprintf(detail, sizeof detail,
                       _("a connection to %s came in, but no data came through: large packets get "
                         "lost on the way (MTU black hole)"),
                       address);
        (void)snprintf(hint, sizeof hint, "%s", steps_mtu_hint());
    } else if (k->was_visited || k->had_others) {
        bool is_here = sock_is_loopback(k->steps->client->server.host);
        (void)snprintf(detail, sizeof detail,
                       is_here ? _("yes, on this machine: a connection to %s came in")
                               : _("yes: a connection from here to %s came in"),
                       address);
    } else if (r->err == ERR_REFUSED || r->err == ERR_TIMEOUT) {
        step.state = trouble(k->steps);
        (void)snprintf(detail, sizeof detail, _("no, not from here: %s"), r->why.text);
        (void)snprintf(
            hint, sizeof hint,
            _("the server's firewall, and that of its provider, must let TCP port %lld in"),
            k->port);
    } else {
        step.state = CHECKLIST_UNKNOWN;
        if (r->err < 0)
            (void)snprintf(detail, sizeof detail, _("not known, it cannot be tried from here: %s"),
                           *r->why.text ? r->why.text : err_text(r->err));
        else
            (void)snprintf(
                detail, sizeof detail,
                k->is_elsewhere
                    ? _("%s answers; the client that has it knows what came of it")
                    : _("not known: %s answers, but what was sent there did not come in here"),
                address);
        (void)snprintf(hint, sizeof hint, "%s",
                       k->is_elsewhere && r->err == 0 ? "" : _("try it from another machine"));
    }
    show(k->steps, &step);
}

static int begin_check(struct steps_check *k);

/* Of several destinations the first that answers is used. */
static bool try_next(struct steps_check *k)
{
    k->at++;
    return k->steps->phase == STEPS_TARGETS && k->at < k->service->to->count && begin_check(k) == 0;
}

static void steps_on_probed(void *ctx, const struct probe_result *r)
{
    struct steps_check *k = ctx;
    struct steps *s = k->steps;
    struct probe *probe = k->probe;
    k->probe = NULL;
    if (r->err == 0 || !try_next(k)) {
        if (s->phase == STEPS_TARGETS)
            show_target(k, r);
        else
            show_reach(k, r);
        s->running--;
        next_checks(s);
    }
    probe_close(probe);
    echo_end(&k->echo);
}

static int begin_check(struct steps_check *k)
{
    const struct client *c = k->steps->client;
    struct probe_config cfg = {
        .host = c->server.host,
        .port = (int)k->port,
        .dial_ms = STEPS_DIAL_MS,
        .listen_ms = STEPS_VISIT_MS,
    };
    if (k->steps->phase == STEPS_TARGETS) {
        const struct destinations *to = k->service->to;
        const struct destination *d = &to->at[k->at % to->count];
        cfg.unix_path = d->path;
        cfg.host = d->host;
        cfg.port = d->port;
        cfg.listen_ms = STEPS_SPEAK_MS;
        cfg.named = k->service->name;
    }
    return probe_start(&k->steps->client->loop, &cfg, steps_on_probed, k, &k->probe);
}

static void take_visit(struct steps_check *k, struct session *session, struct smux_stream *st)
{
    struct client *c = k->steps->client;
    int err = echo_begin(&k->echo, &c->relays, session, st); /* it ends in order, with the probe */
    if (err < 0)
        smux_stream_reset(st, SMUX_RST_UNSPECIFIED, loop_now(&c->loop));
    if (err == 0 && k->steps->is_strict)
        probe_send(k->probe, STEPS_FILL); /* that one ends by what comes back */
    else
        probe_stop(k->probe);
}

/* Our own connection is not the service's business. */
static bool steps_on_visited(void *ctx, const struct service *service, struct session *session,
                             struct smux_stream *st, const struct smux_open *open)
{
    struct steps *s = ctx;
    for (unsigned i = 0; s->phase == STEPS_REACH && i < s->next; i++) {
        struct steps_check *k = &s->checks[i];
        if (!k->probe || k->service != service)
            continue;
        k->was_visited =
            open->visitor.family != ADDRESS_NONE && probe_is_from(k->probe, &open->visitor);
        k->had_others |= !k->was_visited;
        if (k->was_visited) {
            take_visit(k, session, st);
            return true;
        }
    }
    return false;
}

/* ---- the end ---- */

static void show_public(struct steps *s)
{
    char value[CLIENT_ADDRESS_MAX + 8], address[CLIENT_ADDRESS_MAX];
    list_foreach (i, &s->client->tunnels) {
        const struct tunnel *t = LIST_ENTRY(i, struct tunnel, node);
        if (t->wish.state != WISH_OPEN)
            continue;
        client_public_address(address, s->client, t->wish.port);
        (void)snprintf(value, sizeof value, "tcp://%s", address); /* fits */
        const struct checklist_step step = {.word = "public",
                                            .name = tunnel_shown_name(t),
                                            .value = value,
                                            .target = t->service->name};
        show(s, &step);
    }
}

/* A session that was lost meanwhile begins it anew. */
static void finish(struct steps *s)
{
    bool all_answered;
    uv_timer_stop(&s->timer);
    if (!s->is_silent && !s->is_strict && count_open(s, &all_answered) == 0) {
        s->phase = STEPS_OPENING;
        return;
    }
    s->phase = STEPS_DONE;
    if (!s->is_strict)
        show_public(s);
    if (s->log_is_quiet)
        log_set_level((enum log_level)s->client->opt->common.log_level);
    if (s->done)
        s->done(s);
}

static bool is_saving(const struct steps *s)
{
    return s->saver && s->saver->done;
}

/* Begins what may run at once, and after the last of a phase the next phase. */
static void next_checks(struct steps *s)
{
    while (s->phase < STEPS_SAVING) {
        while (s->running < STEPS_AT_ONCE && s->next < s->count) {
            struct steps_check *k = &s->checks[s->next++];
            if (begin_check(k) == 0)
                s->running++; /* else there is no memory: not a word about it */
        }
        if (s->running > 0)
            return;
        s->phase++;
        s->next = 0;
    }
    if (is_saving(s))
        uv_timer_start(&s->timer, steps_on_timer, STEPS_SAVE_MS, 0);
    else
        finish(s);
}

static void steps_on_saved(void *ctx, int err, const char *text)
{
    struct steps *s = ctx;
    char command[PATH_MAX + 64];
    const struct checklist_step step = {.word = "save",
                                        .state = err == 0 ? CHECKLIST_OK : CHECKLIST_FAIL,
                                        .title = _("saved"),
                                        .detail = text,
                                        .hint = err == 0 ? command : NULL};
    (void)snprintf(command, sizeof command, _("from now on: gotunnel client -config %s"),
                   s->saver->path); /* fits */
    if (err == 0)
        event_config_saved(text, s->saver->path);
    else
        event_config_not_saved(text);
    show(s, &step);
    if (s->phase == STEPS_SAVING)
        finish(s);
}

/* All tunnels have their answer. */
static void begin_checks(struct steps *s)
{
    s->count = s->next = s->running = 0;
    list_foreach (i, &s->client->tunnels) {
        const struct tunnel *t = LIST_ENTRY(i, struct tunnel, node);
        bool is_open = t->wish.state == WISH_OPEN, is_other = is_elsewhere(s, &t->wish);
        if ((is_open || is_other) && s->count < TARGETS_MAX && !s->is_silent)
            s->checks[s->count++] =
                (struct steps_check){.steps = s,
                                     .service = t->service,
                                     .name = tunnel_shown_name(t),
                                     .port = is_open ? t->wish.port : t->wish.wanted.port,
                                     .is_elsewhere = is_other};
    }
    if (s->saver)
        save_write(s->saver, s->client, steps_on_saved, s);
    s->phase = STEPS_TARGETS;
    next_checks(s);
}

/* It may still come. */
static void show_unsaved(struct steps *s)
{
    const struct checklist_step step = {
        .word = "save",
        .state = CHECKLIST_WARN,
        .title = _("saved"),
        .detail = _("not yet: the process that writes the files does not answer"),
    };
    show(s, &step);
}

static void steps_on_timer(uv_timer_t *t)
{
    struct steps *s = t->data;
    if (s->phase == STEPS_SAVING) {
        show_unsaved(s);
        finish(s);
        return;
    }
    if (s->phase != STEPS_OPENING)
        return;
    mtime_ms now = loop_now(&s->client->loop);
    if (!can_begin(s) && !s->is_late && now >= s->answer_by) {
        s->is_late = true;
        show_unanswered(s);
    }
    if (can_begin(s))
        begin_checks(s);
    else if (s->answer_by != MTIME_NEVER && now < s->answer_by) /* an answer, and a session's end */
        uv_timer_start(&s->timer, steps_on_timer, (uint64_t)(s->answer_by - now), 0);
}

static void steps_on_begun(void *ctx, struct client *c)
{
    struct steps *s = ctx;
    s->client = c;
    s->answer_by = MTIME_NEVER;
    uv_timer_init(&c->loop.uv, &s->timer);
    s->timer.data = s;
}

static void steps_on_ended(void *ctx)
{
    struct steps *s = ctx;
    for (unsigned i = 0; i < s->count; i++) {
        probe_close(s->checks[i].probe);
        echo_end(&s->checks[i].echo);
    }
    s->phase = STEPS_DONE;
    if (s->saver)
        save_end(s->saver);
    uv_close((uv_handle_t *)&s->timer, NULL);
}

const struct client_watch steps_watch = {
    .begun = steps_on_begun,
    .ended = steps_on_ended,
    .resolved = steps_on_resolved,
    .dialled = steps_on_dialled,
    .secure = steps_on_secure,
    .accepted = steps_on_accepted,
    .lost = steps_on_lost,
    .answered = steps_on_answered,
    .visited = steps_on_visited,
};
