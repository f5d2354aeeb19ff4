/* SPDX-License-Identifier: MIT */
/*
 * The link: joins the transport with the session and drives both from the loop.
 *
 * Everything a turn brings is served at its end, once (turn): sockets of users that have data are
 * read into the outgoing ring, fairly and only while the tunnel takes it; then the ring is sealed
 * and sent. An end is marked by link_close() and carried out there too, so no caller ever loses an
 * object it still holds.
 */
#include "tunnel/link.h"

#include <stdlib.h>
#include <string.h>

#include "base/i18n.h"
#include "base/secure.h"
#include "net/sock.h"
#include "tunnel/internal.h"

enum {
    READ_ROUNDS = 4, /* receive buffers one tunnel may fill in a turn before others get theirs */
    TURN_OUT_BYTES = 256 << 10, /* the same for sending ... */
    TURN_SHARES = 4,            /* ... and shares of users that are used up */
    QUIET_MS = 5000,            /* without data for so long, buffers are trimmed */
    LOOK_BYTES = 8 << 10,       /* so much is sent between two looks at what waits */
    KEEPALIVE_BYTES = 64,       /* less than this at a time is not data */
};

static void dispatch(struct link *l, const struct smux_event *ev);

/* ---- ends ---- */

const char *link_reason_text(enum link_reason reason)
{
    static const char *const text[] = {
        [LINK_END_PEER] = N_("the connection was closed by the other side"),
        [LINK_END_SILENT] = N_("nothing was heard from the other side for 30 seconds"),
        [LINK_END_DEAD] = N_("nothing was heard from the other side for 15 seconds"),
        [LINK_END_STALLED] = N_("the other side took no data for 60 seconds"),
        [LINK_END_PROTOCOL] = N_("the other side broke the protocol"),
        [LINK_END_DEADLINE] = N_("the other side took too long"),
        [LINK_END_TLS] = N_("the TLS handshake failed"),
        [LINK_END_CERT] = N_("the certificate was not accepted"),
        [LINK_END_AUTH] = N_("the secret was rejected"),
        [LINK_END_UNPROVEN] = N_("the server does not know the secret"),
        [LINK_END_PUT_OFF] = N_("the server has no room at present"),
        [LINK_END_REFUSED] = N_("the port was refused"),
        [LINK_END_LOCAL] = N_("out of memory or descriptors on this machine"),
        [LINK_END_SHUTDOWN] = N_("closed by this program"),
        [LINK_END_LEGACY] =
            N_("the other side speaks only the legacy wire, which -legacy never forbids"),
        [LINK_END_REPLACED] = N_("another client with the same id has taken its place"),
        [LINK_END_EXPIRED] = N_("it was not resumed in time"),
        [LINK_END_LOST] = N_("the server does not know the session any more"),
        [LINK_END_MOVED] = N_("it goes on in another session"),
    };
    return _(text[reason]);
}

const char *link_end_text(char out[ESCAPE_BUF], enum link_reason reason, const struct errmsg *why)
{
    return *why->text ? escape_text(out, why->text, strlen(why->text)) : link_reason_text(reason);
}

void link_close(struct link *l, enum link_reason reason, const struct errmsg *why)
{
    if (l->state == LINK_CLOSED)
        return;
    l->state = LINK_CLOSED;
    l->reason = reason;
    if (why)
        l->why = *why;
    loop_defer(l->cfg.loop, &l->turn);
}

static enum link_reason reason_of(const struct link *l, int err)
{
    switch (err) {
    case ERR_CERT:
        return LINK_END_CERT;
    case ERR_TLS:
        return l->state == LINK_HANDSHAKE ? LINK_END_TLS : LINK_END_PROTOCOL;
    case ERR_PROTO:
    case ERR_LIMIT:
        return l->state == LINK_HANDSHAKE ? LINK_END_TLS : LINK_END_PROTOCOL;
    case ERR_NOMEM:
        return LINK_END_LOCAL;
    case ERR_TIMEOUT:
        return l->exact ? LINK_END_DEAD : LINK_END_SILENT;
    default:
        return LINK_END_PEER;
    }
}

/* ---- sending ---- */

void link_wake(struct link *l)
{
    loop_defer(l->cfg.loop, &l->turn);
}

bool link_is_blocked(const struct link *l)
{
    return !l->mux || !l->tp || l->is_crowded || !transport_writable(l->tp) ||
           !smux_session_can_stage(l->mux);
}

/* Looks at what waits for the network, and sets how much more may be staged. */
static void look_at_queue(struct link *l)
{
    mtime_ms now = loop_now(l->cfg.loop);
    struct transport_queue q = transport_queue(l->tp);
    if (l->stage_of != l->tp) { /* another path may be slower */
        stage_init(&l->stage, q.sent, now);
        l->stage_of = l->tp;
    }
    stage_count(&l->stage, q.sent, now);
    size_t bound = stage_bound(&l->stage);
    transport_set_unsent_max(l->tp, bound / 2);
    smux_session_set_stage(l->mux, (uint32_t)(bound > q.waiting ? bound - q.waiting : 0));
    l->is_crowded = !stage_has_room(&l->stage, q.waiting);
    l->sent_unseen = 0;
}

/* Seals and sends as much as the transport takes. Bytes taken. */
static size_t output(struct link *l)
{
    size_t total = 0;
    while (l->mux && l->tp) {
        size_t n;
        const uint8_t *p = smux_session_output(l->mux, &n);
        ssize_t taken = n > 0 ? transport_write(l->tp, p, n) : 0;
        if (taken <= 0)
            break; /* an error comes through on_error */
        smux_session_sent(l->mux, (size_t)taken);
        total += (size_t)taken;
        l->had_data = l->had_data || taken > KEEPALIVE_BYTES;
        transport_flush(l->tp);
    }
    l->sent_unseen += total;
    if (l->mux && l->tp && l->sent_unseen >= LOOK_BYTES)
        look_at_queue(l);
    return total;
}

/* Reads users' sockets into the ring, one after the other, while the tunnel takes it. */
static void serve_readers(struct link *l)
{
    size_t sent = 0;
    int shares = 0;
    struct turn_node *reader;
    if (turn_is_over(&l->readers))
        return;
    if (l->tp && (l->is_crowded || l->stage_of != l->tp))
        look_at_queue(l);
    while (!l->is_crowded && sent < TURN_OUT_BYTES && shares < TURN_SHARES &&
           (reader = turn_next(&l->readers))) {
        enum relay_progress p = relay_read(reader);
        shares += p == RELAY_MORE;
        if (p != RELAY_FULL)
            continue;
        size_t taken = output(l); /* then it is this one's turn still, but for who is fresh */
        sent += taken;
        if (taken == 0 || link_is_blocked(l))
            break;
    }
    if (turn_is_over(&l->readers))
        return;
    if (!link_is_blocked(l))
        loop_defer(l->cfg.loop, &l->turn);
    else if (l->tp && l->is_crowded)
        transport_tell_sent(l->tp);
}

/* ---- the clock ---- */

static void on_link_timer(uv_timer_t *t);

static void arm_timer(struct link *l)
{
    mtime_ms now = loop_now(l->cfg.loop);
    mtime_ms at = l->phase_deadline;
    if (l->mux && smux_session_deadline(l->mux) < at)
        at = smux_session_deadline(l->mux);
    if (l->resume.possible && resume_deadline(l) < at)
        at = resume_deadline(l);
    if (at >= l->timer_at)
        return; /* it fires before, and is armed again then */
    l->timer_at = at;
    uv_timer_start(&l->timer, on_link_timer, at > now ? (uint64_t)(at - now) : 0, 0);
}

void link_set_deadline(struct link *l, mtime_ms at)
{
    l->phase_deadline = at;
    link_wake(l);
}

/* Ends the link when no byte could be written for LINK_STALL_MS. */
static void check_stall(struct link *l, mtime_ms now)
{
    struct transport_queue q = transport_queue(l->tp);
    if (q.waiting == 0 || q.sent != l->stall_sent) {
        l->stall_sent = q.sent;
        l->stall_since = now;
    } else if (now - l->stall_since >= LINK_STALL_MS) {
        link_close(l, LINK_END_STALLED, NULL);
    }
}

/* Buffers of a session that has been quiet for a while go back to the system. */
static void trim_idle(struct link *l, mtime_ms now)
{
    if (now < l->trim_at)
        return;
    l->trim_at = now + QUIET_MS;
    if (!l->had_data) {
        smux_session_trim(l->mux);
        if (l->tp)
            transport_idle(l->tp);
    }
    l->had_data = false;
}

static void tick_session(struct link *l, mtime_ms now)
{
    struct smux_event ev;
    int r;
    while ((r = smux_session_tick(l->mux, now, &ev)) > 0)
        dispatch(l, &ev);
    if (r < 0)
        link_lost(l, r, NULL);
    else if (l->tp && !l->exact)
        check_stall(l, now); /* on gotunnel/2 the session times acknowledgements itself */
    trim_idle(l, now);
}

static void on_link_timer(uv_timer_t *t)
{
    struct link *l = t->data;
    mtime_ms now = loop_now(l->cfg.loop);
    l->timer_at = MTIME_NEVER;
    if (l->state == LINK_CLOSED)
        return;
    if (now >= l->phase_deadline) {
        if (l->reject_at)
            (l->state == LINK_HELLO ? hello_send_rejection : auth_send_rejection)(l);
        else
            link_close(l, LINK_END_DEADLINE, NULL);
    }
    if (l->mux && l->state != LINK_CLOSED)
        tick_session(l, now);
    if (l->resume.possible && l->state != LINK_CLOSED)
        resume_tick(l, now);
    link_wake(l);
}

/* ---- receiving ---- */

static enum link_reason reason_of_goaway(uint32_t code)
{
    switch (code) {
    case SMUX_GOAWAY_REPLACED:
        return LINK_END_REPLACED;
    case SMUX_GOAWAY_PROTOCOL:
        return LINK_END_PROTOCOL;
    case SMUX_GOAWAY_EXPIRED:
        return LINK_END_EXPIRED;
    default:
        return LINK_END_PEER;
    }
}

static void dispatch(struct link *l, const struct smux_event *ev)
{
    struct stream_owner *o = ev->user;
    switch (ev->type) {
    case SMUX_EV_GOAWAY:
        link_close(l, reason_of_goaway(ev->code), NULL);
        break;
    case SMUX_EV_OPENED:
        if (l->cfg.is_server)
            control_opened(l, ev->stream);
        else if (l->state == LINK_UP)
            l->cfg.ops->on_stream(l->cfg.ctx, ev->stream);
        else
            smux_stream_close(ev->stream, loop_now(l->cfg.loop));
        break;
    case SMUX_EV_DATA:
        o->ops->on_data(o, ev->data, ev->len);
        break;
    case SMUX_EV_FIN:
        o->ops->on_fin(o);
        break;
    case SMUX_EV_RESET:
        o->ops->on_reset(o, ev->code);
        break;
    case SMUX_EV_CREDIT:
        o->ops->on_credit(o);
        break;
    }
}

void link_feed(struct link *l, const uint8_t *p, size_t n)
{
    struct smux_input in = {p, n};
    struct smux_event ev;
    int r = 0;
    l->had_data = l->had_data || n > KEEPALIVE_BYTES;
    while (l->state != LINK_CLOSED &&
           (r = smux_session_feed(l->mux, &in, loop_now(l->cfg.loop), &ev)) > 0)
        dispatch(l, &ev);
    relay_flush_gathered(l);
    if (r < 0)
        link_close(l, reason_of(l, r), NULL);
    else if (l->resume.suspected && l->state == LINK_UP)
        resume_look(l, loop_now(l->cfg.loop));
    if ((r == ERR_PROTO || r == ERR_LIMIT) && l->exact)
        smux_session_goaway(l->mux, SMUX_GOAWAY_PROTOCOL, 0);
    link_wake(l);
}

static void input(struct link *l, const uint8_t *p, size_t n)
{
    if (l->state == LINK_AUTH)
        auth_input(l, &p, &n);
    else if (l->state == LINK_HELLO)
        hello_input(l, &p, &n);
    if (l->mux && n > 0)
        link_feed(l, p, n);
}

/* Fills the loop's receive buffer. Bytes, and the error that stopped it in *ret_err (0: none). */
static size_t fill(struct link *l, int *ret_err, struct errmsg *why)
{
    size_t n = 0;
    *ret_err = 0;
    while (n < RELAYS_SCRATCH_BYTES) {
        ssize_t r =
            transport_read(l->tp, l->cfg.relays->scratch + n, RELAYS_SCRATCH_BYTES - n, why);
        if (r < 0) {
            *ret_err = (int)r;
            break;
        }
        n += (size_t)r;
    }
    return n;
}

static void on_readable(void *ctx)
{
    struct link *l = ctx;
    if (l->state == LINK_CLOSED || l->resume.frozen)
        return;
    for (int i = 0; i < READ_ROUNDS; i++) {
        struct errmsg why = {""};
        int err;
        size_t n = fill(l, &err, &why);
        /* Round trips are measured by when bytes have come. What came late in a long turn must not
           seem to have come at its beginning: a round trip that looks too short stays so for
           minutes, and keeps windows small. */
        loop_update(l->cfg.loop);
        if (n > 0)
            input(l, l->cfg.relays->scratch, n);
        if (err == ERR_AGAIN || l->state == LINK_CLOSED)
            return;
        if (err < 0) {
            link_lost(l, err, &why);
            return;
        }
    }
    transport_read_later(l->tp);
}

/* ---- phases ---- */

static void on_ready(void *ctx)
{
    struct link *l = ctx;
    if (l->state != LINK_HANDSHAKE)
        return;
    if (transport_speaks(l->tp, HELLO_ALPN)) {
        l->state = LINK_HELLO;
        hello_begin(l);
        return;
    }
    l->state = LINK_AUTH;
    auth_begin(l);
}

static void on_writable(void *ctx)
{
    link_wake(ctx);
}

static void on_error(void *ctx, int err, const struct errmsg *why)
{
    link_lost(ctx, err, why);
}

const struct transport_events link_events = {on_ready, on_readable, on_writable, on_error};

void link_lost(struct link *l, int err, const struct errmsg *why)
{
    if (l->state == LINK_UP && l->resume.possible && resume_detach(l, err, why))
        return;
    link_close(l, reason_of(l, err), why);
}

bool link_say(struct link *l, const char *text, size_t n)
{
    ssize_t r = transport_write(l->tp, text, n);
    if (r != (ssize_t)n) {
        link_close(l, LINK_END_PEER, NULL);
        return false;
    }
    transport_flush(l->tp);
    return true;
}

bool link_begin_session(struct link *l)
{
    mtime_ms now = loop_now(l->cfg.loop);
    bool v2 = l->state == LINK_HELLO;
    struct smux_config cfg =
        smux_config_default(!l->cfg.is_server, v2 ? SMUX_WIRE_GOTUNNEL2 : SMUX_WIRE_LEGACY);
    cfg.budget = &l->cfg.relays->windows;
    cfg.replay = &l->cfg.relays->replay;
    if (smux_session_new(&cfg, now, &l->mux) < 0) {
        link_close(l, LINK_END_LOCAL, NULL);
        return false;
    }
    transport_trust(l->tp);
    l->exact = v2;
    l->state = v2 ? LINK_UP : LINK_CONTROL;
    l->stall_since = now;
    return true;
}

int link_open_stream(struct link *l, struct smux_stream **ret)
{
    if (l->state != LINK_UP)
        return ERR_BADSTATE;
    link_wake(l);
    return smux_stream_open(l->mux, NULL, ret);
}

/* ---- life ---- */

static void on_link_timer_closed(uv_handle_t *h)
{
    free(h->data);
}

/* Sends what is staged and, on gotunnel/2, a GOAWAY: this end is intended. */
static void say_goodbye(struct link *l)
{
    if (l->exact && l->reason == LINK_END_SHUTDOWN)
        smux_session_goaway(l->mux, SMUX_GOAWAY_SHUTDOWN, 0);
    else if (l->exact && l->reason == LINK_END_REPLACED)
        smux_session_goaway(l->mux, SMUX_GOAWAY_REPLACED, 0);
    (void)output(l);
}

/* Carries out what link_close() marked. */
static void link_end(struct link *l)
{
    for (struct list *n; (n = list_first(&l->relays));)
        relay_orphan(relay_of_link_node(n));
    say_goodbye(l);
    auth_line_wipe(&l->line);
    secure_zero(&l->keys, sizeof l->keys);
    resume_end(l);
    control_reader_fini(&l->control_in);
    l->control_st = NULL;
    if (l->moving) {
        transport_release(l->tp);
        l->moving->tp = l->tp;
    } else {
        transport_close(l->tp);
    }
    l->tp = NULL;
    smux_session_free(l->mux);
    l->mux = NULL;
    loop_cancel(&l->turn); /* ending the relays has deferred it again */
    l->cfg.ops->on_closed(l->cfg.ctx, l->reason, &l->why);
    uv_close((uv_handle_t *)&l->timer, on_link_timer_closed);
}

static void turn(struct loop_job *job)
{
    struct link *l = CONTAINER_OF(job, struct link, turn);
    if (l->state == LINK_CLOSED) {
        link_end(l);
        return;
    }
    if (l->mux) {
        smux_session_clock(l->mux, loop_now(l->cfg.loop));
        serve_readers(l);
        (void)output(l);
    }
    arm_timer(l);
}

int link_new(const struct link_config *cfg, int fd, struct link **ret)
{
    struct link *l = calloc(1, sizeof *l);
    if (!l) {
        sock_close_reset(fd);
        return ERR_NOMEM;
    }
    l->cfg = *cfg;
    list_init(&l->relays);
    turn_init(&l->readers);
    loop_job_init(&l->turn, turn);
    control_reader_init(&l->control_in);
    auth_line_init(&l->line);
    int r = transport_new(cfg->loop, fd, cfg->tls, cfg->is_server, &link_events, l, &l->tp);
    if (r < 0) {
        free(l);
        return r;
    }
    uv_timer_init(&cfg->loop->uv, &l->timer);
    l->timer.data = l;
    l->timer_at = MTIME_NEVER;
    l->auth_deadline = loop_now(cfg->loop) + (cfg->is_server ? LINK_AUTH_MS : cfg->handshake_ms);
    link_set_deadline(l, l->auth_deadline);
    *ret = l;
    return 0;
}

const char *link_peer(const struct link *l)
{
    return l->tp ? transport_peer(l->tp) : "-";
}

const struct address *link_peer_address(const struct link *l)
{
    return l->tp ? transport_peer_address(l->tp) : NULL;
}

const char *link_tls_info(const struct link *l)
{
    return transport_describe(l->tp);
}

bool link_is_up(const struct link *l)
{
    return l->state == LINK_UP;
}

const uint8_t *link_sid(const struct link *l)
{
    return l->resume.sid;
}

bool link_is_exact(const struct link *l)
{
    return l->exact;
}

bool link_is_detached(const struct link *l)
{
    return l->state == LINK_DETACHED;
}

bool link_is_established(const struct link *l)
{
    return link_is_up(l) || link_is_detached(l);
}

uint32_t link_rtt_us(const struct link *l)
{
    return l->mux ? smux_session_rtt_us(l->mux) : 0;
}

unsigned link_connections(const struct link *l)
{
    unsigned n = 0;
    list_foreach (node, &l->relays)
        n++;
    return n;
}
