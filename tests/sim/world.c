/* SPDX-License-Identifier: MIT */
/* A client, servers and a network: see world.h. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"
#include "bytes.h"
#include "proto/path.h"
#include "proto/session/registry.h"
#include "proto/smux/session.h"

enum {
    SESSIONS = 512, /* ever, also those that were refused */
    FLOWS = 64,
    MARKS = 20000,
    SHOWN = 60,                     /* marks, with a failure */
    PIECE = 8192,                   /* of a user's bytes, at a time */
    MACHINES = 1 + WORLD_PROCS + 1, /* a client, the servers, the other client */
    CLIENTS = 2,
    PORT = 8000,
    /* Bytes of the handshake: ClientHello, the server's flight is in the config, Finished and the
       line, the answer. */
    HELLO = 300,
    FLIGHT_MAX = 4000,
    LINE = 400,
    ANSWER = 200,
    OPEN_FIRST_MS = 100, /* the client's waits between two tries to open */
    OPEN_MOST_MS = 2000,
    OPEN_PATIENCE_MS = 10000,
};

enum { OP_RESUME, OP_OPEN };
enum { OPENED_OK, OPENED_TAKEN, OPENED_DRAINING };

/* One user's connection, its two ends. */
struct flow {
    struct session *session;
    unsigned index;
    struct {
        struct smux_stream *st;
        uint64_t said, written, seen, unread;
        bool blocked, finish, fin_sent, fin_seen, reset, done;
    } e[2];
};

/* A search for a way, with the sockets it has. */
struct search {
    bool on, small, resolving;
    struct path path;
    struct conn *sockets[PATH_SOCKETS];
    mtime_ms resolved_at, next;
};

struct end {
    struct life life;
    struct smux_session *smux;
    struct conn *conn, *asking; /* server: the one that asks to resume */
    uint64_t asking_rx;
    bool exists, over, frozen, held, refusing, port;
    uint32_t streams;
};

/* What the line of an open says. */
struct open_line {
    int client;
    bool take;
    uint8_t nonce[HELLO_NONCE_BYTES];
    struct hello_nonces mine;
};

struct session {
    int id, proc, client;
    struct claim claim;
    struct claimant who;
    struct conn *asker; /* not answered yet */
    int place;          /* where the client has it */
    struct end e[2];
    struct search search;
    struct conn *candidate;
    struct flow *flows[FLOWS];
    unsigned nflows;
};

enum opening { IDLE, WAITS, DIALS, SECURES, ASKS };

/* A client process, and the session it opens next. */
struct client {
    enum opening state;
    bool wanted;
    struct search search;
    struct conn *conn;
    mtime_ms at, wait;
    bool take;                /* until the first accepted answer */
    uint8_t opens;            /* so far: makes its nonces */
    struct hello_nonces mine; /* of opens that were not answered, and sessions it is done with */
};

struct world {
    struct world_config cfg;
    struct net net;
    struct rng rng;
    mtime_ms begin, now;
    struct session *sessions[SESSIONS];
    int nsessions;
    struct path_memory memory;
    int name[NET_PLACES];
    unsigned nname;
    mtime_ms frozen_until[MACHINES];
    bool asleep[MACHINES], stopped[MACHINES];
    struct client clients[CLIENTS];
    int nclients;
    struct registry registries[WORLD_PROCS];
    struct registry_action decided[16]; /* what a registry has said, and was not done yet */
    unsigned ndecided;
    struct flow *users[FLOWS * SESSIONS];
    int nusers;
    struct mark marks[MARKS];
    unsigned nmarks;
    uint64_t bytes;
    unsigned takeovers;
    bool busy;
};

/* ---- failures ---- */

static const struct world *current;

static const char *const kinds[] = {"DIAL",   "HURRY",  "CANCEL", "ASK",    "UNFREEZE",
                                    "BESIDE", "SWITCH", "DETACH", "GOAWAY", "CLOSE",
                                    "tell",   "HOLD",   "REFUSE", "ADMIT",  "YIELD"};
static const char *const tells[] = {"suspected", "recovered", "detached", "resumed",
                                    "attempt",   "mtu",       "idle",     "draining"};

void world_show(const struct world *w)
{
    unsigned first = w->nmarks > SHOWN ? w->nmarks - SHOWN : 0;
    for (unsigned i = first; i < w->nmarks; i++) {
        const struct mark *m = &w->marks[i];
        (void)fprintf(stderr, "  %8lld  session %d %s  %s", (long long)m->at, m->session,
                      m->end == CLIENT ? "client" : "server",
                      m->kind == WORLD_OPENED ? "OPENED" : kinds[m->kind]);
        if (m->kind == LIFE_TELL)
            (void)fprintf(stderr, " %s %lld", tells[m->action.tell.what],
                          (long long)m->action.tell.ms);
        if (m->kind == LIFE_CLOSE)
            (void)fprintf(stderr, " end %d", (int)m->action.end);
        (void)fprintf(stderr, "\n");
    }
}

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            (void)fprintf(stderr, "seed %llu, at %lld ms, %s:%d: %s\n",                            \
                          (unsigned long long)current->cfg.seed,                                   \
                          (long long)(current->now - current->begin), __FILE__, __LINE__, #what);  \
            world_show(current);                                                                   \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void note(struct world *w, const struct session *s, int end, int kind,
                 const struct life_action *a)
{
    CHECK(w->nmarks < MARKS);
    w->marks[w->nmarks++] = (struct mark){w->now - w->begin, s->id, end, kind,
                                          a ? *a : (struct life_action){.kind = LIFE_TELL}};
}

/* ---- the search for a way ---- */

static struct address address_of(int place)
{
    return (struct address){.family = place % 2 ? ADDRESS_IPV6 : ADDRESS_IPV4,
                            .port = 7000,
                            .ip = {10, 0, 0, (uint8_t)place}};
}

static void search_end(struct world *w, struct search *q, const struct conn *taken)
{
    for (unsigned i = 0; i < PATH_SOCKETS; i++) {
        if (q->sockets[i] && q->sockets[i] != taken)
            net_close(&w->net, q->sockets[i], CLIENT, true);
        q->sockets[i] = NULL;
    }
    q->on = false;
}

static void search_begin(struct world *w, struct search *q, int at, bool small)
{
    CHECK(!q->on);
    struct path_config cfg = {
        .memory = &w->memory, .patience_ms = LIFE_PATIENCE_MAX_MS, .resolve = true, .renew = true};
    *q = (struct search){.on = true, .small = small, .next = w->now};
    path_begin(&q->path, &cfg, w->now);
    struct address known = address_of(at);
    if (at >= 0) /* where the session is */
        path_add(&q->path, &known);
}

static void search_resolved(struct world *w, struct search *q)
{
    struct address list[NET_PLACES];
    for (unsigned i = 0; i < w->nname; i++)
        list[i] = address_of(w->name[i]);
    q->resolving = false;
    path_resolved(&q->path, list, w->nname);
}

/* Returns the connection that came first; *ret_failed: there will be none. */
static struct conn *search_step(struct world *w, struct search *q, bool *ret_failed)
{
    struct path_step step;
    *ret_failed = false;
    for (unsigned i = 0; i < PATH_SOCKETS; i++) {
        struct conn *c = q->sockets[i];
        if (c && c->established) {
            search_end(w, q, c);
            return c;
        }
        if (c && c->seen[CLIENT] == CONN_RST) {
            q->sockets[i] = NULL;
            path_lost(&q->path, i, w->now);
        }
    }
    if (q->resolving && q->resolved_at <= w->now)
        search_resolved(w, q);
    for (;;) {
        path_next(&q->path, w->now, &step);
        if (step.what == PATH_START) {
            q->sockets[step.slot] = net_connect(&w->net, step.address.ip[3], q->small);
        } else if (step.what == PATH_DROP) {
            if (q->sockets[step.slot])
                net_close(&w->net, q->sockets[step.slot], CLIENT, true);
            q->sockets[step.slot] = NULL;
        } else if (step.what == PATH_RESOLVE) {
            q->resolving = true;
            q->resolved_at = w->now + w->cfg.resolver_ms;
        } else {
            break;
        }
    }
    q->next = step.what == PATH_WAIT ? step.at : MTIME_NEVER;
    if (q->resolving && q->resolved_at < q->next)
        q->next = q->resolved_at;
    if (step.what == PATH_GIVE_UP) {
        search_end(w, q, NULL);
        *ret_failed = true;
    }
    return NULL;
}

/* ---- handshakes ---- */

/* n bytes have come, and are taken. */
static bool took(struct conn *c, int dir, size_t n)
{
    struct pipe *p = &c->pipes[dir];
    if (p->rx_len < n)
        return false;
    memmove(p->rx, p->rx + n, p->rx_len - n);
    p->rx_len -= n;
    return true;
}

static void put_filler(struct world *w, struct conn *c, int dir, size_t n)
{
    static const uint8_t filler[FLIGHT_MAX];
    if (net_room(c, dir) > 0) /* else it is dead, which is seen soon */
        CHECK(net_send(&w->net, c, dir, filler, n) == n);
}

/* The client's side until TLS stands. */
static bool secures(struct world *w, struct conn *c)
{
    if (c->step[CLIENT] == 0) {
        put_filler(w, c, TO_SERVER, HELLO);
        c->step[CLIENT] = 1;
    }
    if (c->step[CLIENT] != 1 || !took(c, TO_CLIENT, w->cfg.flight))
        return false;
    c->step[CLIENT] = 2;
    return true;
}

static void put_line(struct world *w, struct conn *c, uint64_t op, uint64_t sid, uint64_t epoch,
                     uint64_t rx)
{
    uint64_t line[4] = {op, sid, epoch, rx};
    memcpy(c->line, line, sizeof line);
    put_filler(w, c, TO_SERVER, LINE);
    c->step[CLIENT] = 3;
}

static bool has_answer(struct conn *c)
{
    if (c->step[CLIENT] != 3 || !took(c, TO_CLIENT, ANSWER))
        return false;
    c->step[CLIENT] = 4;
    return true;
}

static void put_answer(struct world *w, struct conn *c, uint64_t what, uint64_t rx, uint64_t sid)
{
    uint64_t answer[3] = {what, rx, sid};
    memcpy(c->answer, answer, sizeof answer);
    put_filler(w, c, TO_CLIENT, ANSWER);
    c->step[SERVER] = 2;
}

static struct address place_of(const struct conn *c)
{
    return address_of(c->place);
}

/* ---- sessions ---- */

static void end_new(struct world *w, struct session *s, int me)
{
    struct end *e = &s->e[me];
    struct smux_config cfg = smux_config_default(me == CLIENT, SMUX_WIRE_GOTUNNEL2);
    struct life_config life = {.is_client = me == CLIENT, .window_ms = w->cfg.window_ms};
    CHECK(smux_session_new(&cfg, w->now, &e->smux) == 0);
    life_init(&e->life, &life, w->now, w->cfg.seed + (uint64_t)s->id);
    e->exists = e->port = true;
}

static struct session *session_new(struct world *w, int proc)
{
    struct session *s = calloc(1, sizeof *s);
    CHECK(s && w->nsessions < SESSIONS);
    s->id = w->nsessions;
    s->proc = proc;
    w->sessions[w->nsessions++] = s;
    return s;
}

static bool is_there(const struct end *e)
{
    return e->exists && !e->over;
}

/* All streams of this end are gone with its session. */
static void drop_flows(struct session *s, int me)
{
    for (unsigned i = 0; i < s->nflows; i++) {
        s->flows[i]->e[me].st = NULL;
        if (!s->flows[i]->e[me].done)
            s->flows[i]->e[me].reset = true;
        s->flows[i]->e[me].done = true;
    }
}

static void flush(struct world *w, struct session *s, int me)
{
    struct end *e = &s->e[me];
    size_t n;
    for (;;) {
        const uint8_t *p = smux_session_output(e->smux, &n);
        size_t sent = n > 0 ? net_send(&w->net, e->conn, !me, p, n) : 0;
        if (sent == 0)
            return;
        smux_session_sent(e->smux, sent);
        w->busy = true;
    }
}

/* This process is done with what that nonce has opened. */
static void remember(struct client *c, const uint8_t *nonce)
{
    if (c->mine.count < HELLO_MINE_MAX)
        c->mine.count++;
    memmove(c->mine.nonces[1], c->mine.nonces[0], (c->mine.count - 1u) * HELLO_NONCE_BYTES);
    memcpy(c->mine.nonces[0], nonce, HELLO_NONCE_BYTES);
}

static void end_over(struct world *w, struct session *s, int me)
{
    struct end *e = &s->e[me];
    if (e->conn && !e->frozen)
        flush(w, s, me);
    if (e->conn)
        net_close(&w->net, e->conn, me, false);
    if (me == CLIENT && s->candidate)
        net_close(&w->net, s->candidate, CLIENT, true);
    if (me == CLIENT && s->search.on)
        search_end(w, &s->search, NULL);
    drop_flows(s, me);
    smux_session_free(e->smux);
    if (me == CLIENT) {
        s->candidate = NULL;
        remember(&w->clients[s->client], s->who.nonce);
    } else {
        registry_gone(&w->registries[s->proc], &s->claim);
    }
    e->smux = NULL;
    e->conn = NULL;
    e->over = true;
    e->port = e->held = false;
}

/* ---- actions ---- */

static void use(struct world *w, struct session *s, int me, struct conn *c, uint64_t peer_rx)
{
    struct end *e = &s->e[me];
    if (e->conn)
        net_close(&w->net, e->conn, me, true);
    CHECK(smux_session_resume(e->smux, peer_rx, w->now) == 0);
    e->conn = c;
    e->frozen = false;
    c->owner[me] = s;
    s->place = c->place;
}

static void act_at_client(struct world *w, struct session *s, const struct life_action *a)
{
    struct end *e = &s->e[CLIENT];
    switch (a->kind) {
    case LIFE_DIAL:
        CHECK(!s->candidate && !s->search.on);
        search_begin(w, &s->search, s->place, a->dial.small_segments);
        if (a->dial.last_start != MTIME_NEVER)
            path_hurry(&s->search.path, a->dial.last_start);
        break;
    case LIFE_HURRY:
        CHECK(s->search.on);
        path_hurry(&s->search.path, a->at);
        s->search.next = w->now;
        break;
    case LIFE_CANCEL:
        CHECK(s->candidate || s->search.on);
        if (s->candidate) {
            struct address at = place_of(s->candidate);
            if (a->timed_out)
                path_failed(&w->memory, &at);
            net_close(&w->net, s->candidate, CLIENT, true);
        } else {
            search_end(w, &s->search, NULL);
        }
        s->candidate = NULL;
        break;
    case LIFE_ASK:
        CHECK(s->candidate && s->candidate->step[CLIENT] == 2);
        e->frozen = e->conn != NULL;
        put_line(w, s->candidate, OP_RESUME, (uint64_t)s->id, a->epoch,
                 smux_session_received(e->smux));
        break;
    case LIFE_UNFREEZE:
        CHECK(e->conn && e->frozen);
        e->frozen = false;
        break;
    case LIFE_OPEN_BESIDE:
        w->clients[s->client].wanted = true;
        break;
    case LIFE_SWITCH:
        use(w, s, CLIENT, s->candidate, s->candidate->answer[1]);
        s->candidate = NULL;
        break;
    default:
        CHECK(!"an action of servers");
    }
}

static void act_at_server(struct world *w, struct session *s, const struct life_action *a)
{
    struct end *e = &s->e[SERVER];
    switch (a->kind) {
    case LIFE_SWITCH: {
        uint64_t rx = smux_session_received(e->smux);
        use(w, s, SERVER, e->asking, e->asking_rx);
        put_answer(w, e->conn, LIFE_ANSWER_ACCEPTED, rx, 0);
        e->asking = NULL;
        break;
    }
    case LIFE_HOLD:
        CHECK(e->port && !e->held);
        e->held = true;
        break;
    case LIFE_REFUSE:
        CHECK(e->held && !e->refusing);
        e->refusing = true;
        break;
    case LIFE_ADMIT:
        CHECK(e->held && e->conn);
        e->held = e->refusing = false;
        break;
    case LIFE_CLOSE_PORTS:
        CHECK(e->port);
        e->port = e->held = e->refusing = false;
        registry_released(&w->registries[s->proc], &s->claim);
        break;
    default:
        CHECK(!"an action of clients");
    }
}

static void pull(struct world *w, struct session *s, int me)
{
    struct end *e = &s->e[me];
    struct life_action a;
    while (life_next(&e->life, &a)) {
        CHECK(!e->over);
        note(w, s, me, (int)a.kind, &a);
        w->busy = true;
        if (a.kind == LIFE_TELL) {
            CHECK(a.tell.ms >= 0);
        } else if (a.kind == LIFE_DETACH) {
            CHECK(e->conn);
            net_close(&w->net, e->conn, me, true);
            e->conn = NULL;
            e->frozen = false;
            smux_session_detach(e->smux);
        } else if (a.kind == LIFE_GOAWAY) {
            smux_session_goaway(e->smux, (enum smux_goaway_code)a.goaway.code, a.goaway.ms);
        } else if (a.kind == LIFE_CLOSE) {
            end_over(w, s, me);
        } else if (me == CLIENT) {
            act_at_client(w, s, &a);
        } else {
            act_at_server(w, s, &a);
        }
    }
    if (!e->over)
        CHECK(me == SERVER || e->frozen == e->life.frozen);
    if (!e->over)
        CHECK((e->conn != NULL) == (e->life.state == LIFE_UP || e->life.state == LIFE_SUSPECTED));
}

/* ---- users' connections ---- */

static uint8_t byte_at(const struct flow *f, int from, uint64_t at)
{
    return byte_of((uint64_t)(f->session->id * FLOWS + (int)f->index), from, at);
}

static void count_streams(struct world *w, struct session *s, int me)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < s->nflows; i++)
        n += s->flows[i]->e[me].st != NULL;
    if (n == s->e[me].streams)
        return;
    s->e[me].streams = n;
    life_streams(&s->e[me].life, n, w->now);
    pull(w, s, me);
}

static void flow_write(struct world *w, struct flow *f, int me)
{
    uint8_t *p;
    size_t room;
    while (f->e[me].written < f->e[me].said && !f->e[me].blocked) {
        int err = smux_stream_reserve(f->e[me].st, &p, &room);
        f->e[me].blocked = err == ERR_AGAIN;
        if (err < 0)
            return;
        uint64_t left = f->e[me].said - f->e[me].written;
        room = room < left ? room : (size_t)left;
        for (size_t k = 0; k < room; k++)
            p[k] = byte_at(f, me, f->e[me].written + k);
        smux_stream_commit(f->e[me].st, room);
        f->e[me].written += room;
        w->busy = true;
    }
}

static void flow_step(struct world *w, struct flow *f, int me)
{
    if (!f->e[me].st)
        return;
    if (f->e[me].reset) {
        smux_stream_close(f->e[me].st, w->now);
        f->e[me].st = NULL;
        f->e[me].done = true;
        return;
    }
    flow_write(w, f, me);
    if (f->e[me].unread > 0) {
        smux_stream_consumed(f->e[me].st, (size_t)f->e[me].unread, w->now);
        f->e[me].unread = 0;
    }
    if (f->e[me].finish && f->e[me].written == f->e[me].said && !f->e[me].fin_sent) {
        smux_stream_finish(f->e[me].st, w->now);
        f->e[me].fin_sent = true;
        w->busy = true;
    }
    if (f->e[me].fin_sent && f->e[me].fin_seen) {
        CHECK(f->e[me].seen == f->e[!me].said); /* nothing is missing */
        smux_stream_close(f->e[me].st, w->now);
        f->e[me].st = NULL;
        f->e[me].done = true;
        w->busy = true;
    }
}

static void on_event(struct world *w, struct session *s, int me, const struct smux_event *ev)
{
    if (ev->type == SMUX_EV_GOAWAY) {
        life_goaway(&s->e[me].life, ev->code, ev->ms, w->now);
        pull(w, s, me);
        return;
    }
    if (ev->type == SMUX_EV_OPENED) {
        uint32_t i = smux_stream_id(ev->stream) / 2 - 1;
        CHECK(me == CLIENT && i < s->nflows && !s->flows[i]->e[CLIENT].st);
        s->flows[i]->e[CLIENT].st = ev->stream;
        smux_stream_set_user(ev->stream, s->flows[i]);
        return;
    }
    struct flow *f = ev->user;
    CHECK(f && f->e[me].st == ev->stream && !f->e[me].reset);
    if (ev->type == SMUX_EV_DATA) {
        CHECK(!f->e[me].fin_seen && f->e[me].seen + ev->len <= f->e[!me].written);
        for (size_t k = 0; k < ev->len; k++)
            CHECK(ev->data[k] == byte_at(f, !me, f->e[me].seen + k));
        f->e[me].seen += ev->len;
        f->e[me].unread += ev->len;
        w->bytes += ev->len;
    } else if (ev->type == SMUX_EV_FIN) {
        CHECK(f->e[!me].fin_sent && f->e[me].seen == f->e[!me].written);
        f->e[me].fin_seen = f->e[me].finish = true;
    } else if (ev->type == SMUX_EV_CREDIT) {
        f->e[me].blocked = false;
    } else {
        CHECK(ev->err == ERR_RESET);
        f->e[me].reset = true;
    }
}

/* ---- one end's turn ---- */

static void read_conn(struct world *w, struct session *s, int me)
{
    struct end *e = &s->e[me];
    struct pipe *p = &e->conn->pipes[me];
    struct smux_input in = {p->rx, p->rx_len};
    struct smux_event ev;
    int r = 0;
    while (is_there(e) && (r = smux_session_feed(e->smux, &in, w->now, &ev)) > 0)
        on_event(w, s, me, &ev);
    if (!is_there(e))
        return;
    CHECK(r == 0);
    w->busy = w->busy || p->rx_len > 0;
    p->rx_len = 0;
    if (e->conn->seen[me] == CONN_OPEN)
        return;
    life_lost(&e->life, e->conn->seen[me] == CONN_FIN ? LIFE_LOSS_FIN : LIFE_LOSS_RESET, w->now);
    pull(w, s, me);
}

static void tick(struct world *w, struct session *s, int me)
{
    struct end *e = &s->e[me];
    struct smux_event ev;
    int r;
    while ((r = smux_session_tick(e->smux, w->now, &ev)) > 0)
        on_event(w, s, me, &ev);
    if (r == ERR_TIMEOUT && e->conn) {
        life_lost(&e->life, LIFE_LOSS_SILENT, w->now);
        pull(w, s, me);
    }
    if (!is_there(e))
        return;
    life_rtt(&e->life, smux_session_rtt_us(e->smux) / 1000);
    life_progress(&e->life, smux_session_heard_at(e->smux), smux_session_waiting_since(e->smux),
                  smux_session_acked(e->smux), w->now);
    life_tick(&e->life, w->now);
    pull(w, s, me);
}

static void turn(struct world *w, struct session *s, int me)
{
    struct end *e = &s->e[me];
    if (is_there(e) && e->conn && !e->frozen)
        read_conn(w, s, me);
    if (is_there(e))
        tick(w, s, me);
    for (unsigned i = 0; is_there(e) && i < s->nflows; i++)
        flow_step(w, s->flows[i], me);
    if (is_there(e))
        count_streams(w, s, me);
    if (is_there(e) && e->conn && !e->frozen)
        flush(w, s, me);
}

/* ---- the client's way back ---- */

static void answered(struct world *w, struct session *s, enum life_answer answer, uint64_t rx)
{
    struct end *e = &s->e[CLIENT];
    struct conn *c = s->candidate;
    struct address at = place_of(c);
    if (answer == LIFE_ANSWER_ACCEPTED && !smux_session_can_resume(e->smux, rx))
        answer = LIFE_ANSWER_RANGE;
    if (answer == LIFE_ANSWER_ACCEPTED) {
        path_good(&w->memory, &at);
    } else {
        if (answer == LIFE_ANSWER_FAILED || answer == LIFE_ANSWER_UNKNOWN ||
            answer == LIFE_ANSWER_DRAINING)
            path_failed(&w->memory, &at);
        net_close(&w->net, c, CLIENT, true);
        s->candidate = NULL;
    }
    life_answered(&e->life, answer, rx, w->now);
    pull(w, s, CLIENT);
}

/* Nothing can be resumed: is the server elsewhere? */
static void found(struct world *w, struct session *s)
{
    bool elsewhere = s->candidate->place != s->place;
    net_close(&w->net, s->candidate, CLIENT, true);
    s->candidate = NULL;
    life_found(&s->e[CLIENT].life, elsewhere, w->now);
}

static void way_back(struct world *w, struct session *s)
{
    struct end *e = &s->e[CLIENT];
    bool failed = false;
    if (!is_there(e))
        return;
    if (s->search.on) {
        struct conn *c = search_step(w, &s->search, &failed);
        if (c || failed) {
            s->candidate = c;
            life_dialled(&e->life, c != NULL, c ? w->now - c->begun : 0, w->now);
            pull(w, s, CLIENT);
        }
    }
    if (s->candidate && secures(w, s->candidate)) {
        if (w->cfg.window_ms > 0)
            life_secured(&e->life, w->now);
        else
            found(w, s);
        pull(w, s, CLIENT);
    }
    if (s->candidate && has_answer(s->candidate))
        answered(w, s, (enum life_answer)s->candidate->answer[0], s->candidate->answer[1]);
    else if (s->candidate && s->candidate->seen[CLIENT] != CONN_OPEN)
        answered(w, s, LIFE_ANSWER_FAILED, 0);
}

/* ---- a client's next session ---- */

static bool has_service(const struct world *w, int client)
{
    for (int i = 0; i < w->nsessions; i++) {
        const struct end *e = &w->sessions[i]->e[CLIENT];
        if (w->sessions[i]->client == client && is_there(e) && e->life.service == LIFE_SERVING &&
            !e->life.beside)
            return true;
    }
    return false;
}

static void open_later(struct world *w, struct client *c)
{
    if (c->conn) {
        struct address at = place_of(c->conn);
        path_failed(&w->memory, &at);
        if (c->state == ASKS)
            remember(c, ((struct open_line *)c->conn->said)->nonce);
        net_close(&w->net, c->conn, CLIENT, true);
    }
    c->conn = NULL;
    c->wait = c->wait ? 2 * c->wait : OPEN_FIRST_MS;
    if (c->wait > OPEN_MOST_MS)
        c->wait = OPEN_MOST_MS;
    c->at = w->now + c->wait;
    c->state = WAITS;
}

static void put_open(struct world *w, int client)
{
    struct client *c = &w->clients[client];
    struct open_line *line = calloc(1, sizeof *line);
    CHECK(line);
    line->client = client;
    line->take = c->take;
    line->mine = c->mine;
    memcpy(line->nonce, (uint8_t[]){(uint8_t)client, ++c->opens}, 2);
    c->conn->said = line;
    put_line(w, c->conn, OP_OPEN, 0, 0, 0);
    c->state = ASKS;
}

static void opened(struct world *w, struct client *c)
{
    struct conn *conn = c->conn;
    struct address at = place_of(conn);
    struct session *s = conn->answer[0] == OPENED_OK ? w->sessions[conn->answer[2]] : NULL;
    if (!s) {
        open_later(w, c);
        return;
    }
    path_good(&w->memory, &at);
    end_new(w, s, CLIENT);
    s->e[CLIENT].conn = conn;
    conn->owner[CLIENT] = s;
    c->conn = NULL;
    c->state = IDLE;
    c->wanted = c->take = false;
    c->wait = 0;
    note(w, s, CLIENT, WORLD_OPENED, NULL);
    for (int i = 0; i < w->nsessions; i++) { /* one that came back beside it drains */
        struct end *e = &w->sessions[i]->e[CLIENT];
        if (w->sessions[i] != s && w->sessions[i]->client == s->client && is_there(e) &&
            e->life.state == LIFE_UP && e->life.service == LIFE_SERVING) {
            life_stop(&e->life, 30000, w->now);
            pull(w, w->sessions[i], CLIENT);
        }
    }
}

static int machine_of(int client)
{
    return client == 0 ? 0 : 1 + WORLD_PROCS;
}

static void opener(struct world *w, int client)
{
    struct client *c = &w->clients[client];
    bool failed = false;
    if (w->stopped[machine_of(client)])
        return;
    if (c->state == IDLE && (c->wanted || !has_service(w, client))) {
        c->state = WAITS;
        c->at = w->now;
    }
    if (c->state == WAITS && c->at <= w->now) {
        search_begin(w, &c->search, -1, false);
        c->state = DIALS;
    }
    if (c->state == DIALS) {
        c->conn = search_step(w, &c->search, &failed);
        c->at = w->now + OPEN_PATIENCE_MS;
        if (c->conn)
            c->state = SECURES;
    }
    if (c->state == SECURES && secures(w, c->conn))
        put_open(w, client);
    if (c->state == ASKS && has_answer(c->conn)) {
        opened(w, c);
        return;
    }
    bool waits = c->state == SECURES || c->state == ASKS;
    if (failed || (waits && (c->at <= w->now || c->conn->seen[CLIENT] != CONN_OPEN)))
        open_later(w, c);
}

/* ---- a server process ---- */

/* The registry may not be called from here: what it says is done afterwards. */
static void decided(void *ctx, const struct registry_action *a)
{
    struct world *w = ctx;
    CHECK(w->ndecided < ARRAY_LEN(w->decided));
    w->decided[w->ndecided++] = *a;
}

static void accept_open(struct world *w, struct session *s)
{
    end_new(w, s, SERVER);
    s->e[SERVER].conn = s->asker;
    s->asker->owner[SERVER] = s;
    s->place = s->asker->place;
    put_answer(w, s->asker, OPENED_OK, 0, (uint64_t)s->id);
    s->asker = NULL;
    note(w, s, SERVER, WORLD_OPENED, NULL);
}

static void carry_out(struct world *w, const struct registry_action *a)
{
    struct session *s = CONTAINER_OF(a->claim, struct session, claim);
    struct registry *r = &w->registries[s->proc];
    switch (a->kind) {
    case REGISTRY_OPEN:
        registry_opened(r, &s->claim, PORT);
        break;
    case REGISTRY_ACCEPT:
        accept_open(w, s);
        break;
    case REGISTRY_REFUSE:
        put_answer(w, s->asker, OPENED_TAKEN, 0, 0);
        s->asker = NULL;
        registry_gone(r, &s->claim);
        break;
    case REGISTRY_EVICT:
        if (s->client != CONTAINER_OF(a->by, struct session, claim)->client)
            w->takeovers++;
        if (s->e[SERVER].conn)
            smux_session_goaway(s->e[SERVER].smux, SMUX_GOAWAY_REPLACED, 0);
        life_close(&s->e[SERVER].life, w->now);
        pull(w, s, SERVER); /* its end tells the registry */
        break;
    case REGISTRY_YIELD:
        registry_yielded(r, &s->claim, false); /* a port is a service's: see leasing */
        break;
    }
}

static void carry_out_all(struct world *w)
{
    for (unsigned i = 0; i < w->ndecided; i++) {
        struct registry_action a = w->decided[i];
        carry_out(w, &a);
    }
    w->ndecided = 0;
}

static void serve_open(struct world *w, struct conn *c)
{
    const struct open_line *line = c->said;
    if (w->stopped[1 + c->proc]) {
        put_answer(w, c, OPENED_DRAINING, 0, 0);
        return;
    }
    struct session *s = session_new(w, c->proc);
    s->client = line->client;
    s->asker = c;
    s->who = (struct claimant){.id = "laptop", .take = line->take, .mine = line->mine};
    s->claim = (struct claim){.who = &s->who, .wanted = PORT};
    memcpy(s->who.nonce, line->nonce, sizeof line->nonce);
    registry_ask(&w->registries[c->proc], &s->claim);
    carry_out_all(w);
}

static void serve_resume(struct world *w, struct conn *c)
{
    struct session *s = w->sessions[c->line[1]];
    struct end *e = &s->e[SERVER];
    enum life_answer no = LIFE_ANSWER_UNKNOWN;
    if (s->proc == c->proc && is_there(e)) {
        struct life_ask ask = {c->line[2], c->line[3],
                               smux_session_can_resume(e->smux, c->line[3])};
        e->asking = c;
        e->asking_rx = c->line[3];
        bool yes = life_resume_asked(&e->life, &ask, &no, w->now);
        pull(w, s, SERVER);
        if (yes)
            return;
        e->asking = NULL;
    }
    put_answer(w, c, no, 0, 0);
}

static void serve(struct world *w, struct conn *c)
{
    if (c->gone[SERVER] || c->step[SERVER] == 2)
        return;
    if (c->step[SERVER] == 0 && took(c, TO_SERVER, HELLO)) {
        put_filler(w, c, TO_CLIENT, w->cfg.flight);
        c->step[SERVER] = 1;
    }
    if (c->step[SERVER] == 1 && took(c, TO_SERVER, LINE)) {
        if (c->line[0] == OP_OPEN)
            serve_open(w, c);
        else
            serve_resume(w, c);
    } else if (c->seen[SERVER] != CONN_OPEN) {
        net_close(&w->net, c, SERVER, false);
    }
}

/* Whoever it is, it is not who was looked for. */
static void strangers(struct world *w)
{
    for (struct conn *c = w->net.conns; c; c = c->next)
        if (c->syn_arrived && c->proc < 0 && !c->gone[SERVER] && c->pipes[TO_SERVER].rx_len > 0)
            net_close(&w->net, c, SERVER, false);
}

/* ---- time ---- */

static bool is_frozen(const struct world *w, int machine)
{
    return w->frozen_until[machine] > w->now;
}

/* -1: a server process runs there. */
static int client_at(int machine)
{
    return machine == 0 ? 0 : machine == machine_of(1) ? 1 : -1;
}

static void turns(struct world *w)
{
    for (int m = 0; m < MACHINES; m++) {
        if (w->asleep[m] && !is_frozen(w, m))
            w->asleep[m] = false;
        if (is_frozen(w, m))
            continue;
        int client = client_at(m), proc = client < 0 ? m - 1 : -1;
        for (struct conn *c = w->net.conns; proc >= 0 && c; c = c->next)
            if (c->syn_arrived && c->proc == proc)
                serve(w, c);
        for (int i = 0; i < w->nsessions; i++) {
            struct session *s = w->sessions[i];
            if (s->proc == proc)
                turn(w, s, SERVER);
            if (s->client != client)
                continue;
            way_back(w, s);
            turn(w, s, CLIENT);
        }
        if (client >= 0 && client < w->nclients)
            opener(w, client);
    }
    carry_out_all(w); /* what waited for a session that has ended meanwhile */
    strangers(w);
    w->net.asleep[0] = w->asleep[0];
    w->net.asleep[1] = w->asleep[1] || w->asleep[2] || w->asleep[3];
}

static void sooner(mtime_ms *at, mtime_ms other)
{
    if (other < *at)
        *at = other;
}

static mtime_ms end_next(const struct end *e)
{
    if (!is_there(e))
        return MTIME_NEVER;
    mtime_ms at = life_deadline(&e->life);
    sooner(&at, smux_session_deadline(e->smux));
    return at;
}

static mtime_ms next(const struct world *w)
{
    mtime_ms at = net_next(&w->net);
    for (int m = 0; m < MACHINES; m++) {
        if (is_frozen(w, m)) {
            sooner(&at, w->frozen_until[m]);
            continue;
        }
        int client = client_at(m), proc = client < 0 ? m - 1 : -1;
        for (int i = 0; i < w->nsessions; i++) {
            const struct session *s = w->sessions[i];
            if (s->proc == proc)
                sooner(&at, end_next(&s->e[SERVER]));
            if (s->client != client)
                continue;
            sooner(&at, end_next(&s->e[CLIENT]));
            if (s->search.on)
                sooner(&at, s->search.next);
        }
        if (client < 0 || client >= w->nclients)
            continue;
        const struct client *c = &w->clients[client];
        if (c->state == DIALS)
            sooner(&at, c->search.next);
        else if (c->state != IDLE)
            sooner(&at, c->at);
    }
    return at;
}

void world_run(struct world *w, mtime_ms until)
{
    mtime_ms end = w->begin + until;
    current = w;
    for (;;) {
        w->busy = false;
        net_run(&w->net, w->now);
        turns(w);
        if (w->now >= end)
            return;
        mtime_ms at = w->busy ? w->now + 1 : next(w);
        if (at <= w->now)
            at = w->now + 1;
        w->now = at < end ? at : end;
    }
}

/* ---- from outside ---- */

struct world *world_new(const struct world_config *cfg)
{
    struct world *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    w->cfg = *cfg;
    if (w->cfg.flight == 0)
        w->cfg.flight = 2000;
    w->begin = w->now = 1000000;
    current = w;
    rng_seed(&w->rng, cfg->seed);
    net_init(&w->net, w->now);
    w->net.places[0] = (struct net_place){.host = NET_SERVES, .rtt = 2, .machine = 1};
    w->nname = 1;
    w->nclients = 1;
    w->clients[0].take = true;
    for (int i = 0; i < WORLD_PROCS; i++)
        registry_init(&w->registries[i], decided, w);
    world_run(w, 50 + cfg->resolver_ms); /* the first session opens as any */
    CHECK(world_serves(w));
    w->begin = w->now;
    return w;
}

void world_free(struct world *w)
{
    for (int i = 0; i < w->nsessions; i++) {
        struct session *s = w->sessions[i];
        for (int me = 0; me < 2; me++)
            smux_session_free(s->e[me].smux);
        for (unsigned k = 0; k < s->nflows; k++)
            free(s->flows[k]);
        free(s);
    }
    net_fini(&w->net);
    free(w);
}

struct net *world_net(struct world *w)
{
    return &w->net;
}

mtime_ms world_now(const struct world *w)
{
    return w->now - w->begin;
}

void world_name(struct world *w, unsigned n, const int *places)
{
    w->nname = n;
    memcpy(w->name, places, n * sizeof *places);
}

void world_freeze(struct world *w, int machine, mtime_ms until)
{
    w->frozen_until[machine] = w->begin + until;
}

void world_sleep(struct world *w, int machine, mtime_ms until)
{
    world_freeze(w, machine, until);
    w->asleep[machine] = true;
    w->net.asleep[machine > 0] = true;
}

void world_kill(struct world *w, int proc)
{
    current = w;
    for (int i = 0; i < w->nsessions; i++) {
        struct session *s = w->sessions[i];
        if (s->proc == proc && is_there(&s->e[SERVER])) {
            if (s->e[SERVER].conn)
                net_close(&w->net, s->e[SERVER].conn, SERVER, true);
            s->e[SERVER].conn = NULL;
            end_over(w, s, SERVER);
        }
    }
    for (struct conn *c = w->net.conns; c; c = c->next)
        if (c->syn_arrived && c->proc == proc && !c->gone[SERVER])
            net_close(&w->net, c, SERVER, true);
    w->stopped[1 + proc] = false;
}

void world_stop(struct world *w, int machine, mtime_ms drain_ms)
{
    current = w;
    w->stopped[machine] = true;
    int me = client_at(machine) >= 0 ? CLIENT : SERVER;
    for (int i = 0; i < w->nsessions; i++) {
        struct session *s = w->sessions[i];
        bool is_here = me == SERVER ? s->proc == machine - 1 : s->client == client_at(machine);
        if (!is_there(&s->e[me]) || !is_here)
            continue;
        life_stop(&s->e[me].life, drain_ms, w->now);
        pull(w, s, me);
        if (is_there(&s->e[me]) && s->e[me].conn)
            flush(w, s, me);
    }
}

void world_start_client(struct world *w, int client)
{
    struct client *c = &w->clients[client];
    current = w;
    for (int i = 0; i < w->nsessions; i++) {
        struct session *s = w->sessions[i];
        if (s->client == client && is_there(&s->e[CLIENT]))
            end_over(w, s, CLIENT);
    }
    if (c->search.on)
        search_end(w, &c->search, NULL);
    if (c->conn)
        net_close(&w->net, c->conn, CLIENT, true);
    *c = (struct client){.take = true, .opens = c->opens};
    w->stopped[machine_of(client)] = false;
    if (client >= w->nclients)
        w->nclients = client + 1;
}

/* The newest session of the first client that has its end. */
static struct session *newest(const struct world *w)
{
    for (int i = w->nsessions - 1; i >= 0; i--)
        if (is_there(&w->sessions[i]->e[CLIENT]) && w->sessions[i]->client == 0)
            return w->sessions[i];
    return NULL;
}

struct conn *world_conn(const struct world *w)
{
    struct session *s = newest(w);
    return s ? s->e[CLIENT].conn : NULL;
}

void world_network_changed(struct world *w, bool elsewhere)
{
    current = w;
    for (int i = 0; i < w->nsessions; i++) {
        if (!is_there(&w->sessions[i]->e[CLIENT]))
            continue;
        life_network_changed(&w->sessions[i]->e[CLIENT].life, elsewhere, w->now);
        pull(w, w->sessions[i], CLIENT);
    }
}

bool world_port_wanted(struct world *w, int proc)
{
    current = w;
    bool yes = true;
    for (int i = 0; i < w->nsessions; i++) {
        struct session *s = w->sessions[i];
        if (s->proc != proc || !is_there(&s->e[SERVER]))
            continue;
        yes = life_may_lose_port(&s->e[SERVER].life, w->now) && yes;
    }
    return yes;
}

/* ---- users ---- */

static struct session *serving(const struct world *w)
{
    for (int i = w->nsessions - 1; i >= 0; i--) {
        const struct session *s = w->sessions[i];
        const struct end *c = &s->e[CLIENT], *e = &s->e[SERVER];
        if (is_there(e) && e->port && !e->held && e->life.state == LIFE_UP && is_there(c) &&
            c->life.state == LIFE_UP && e->conn == c->conn)
            return w->sessions[i];
    }
    return NULL;
}

bool world_serves(const struct world *w)
{
    return serving(w) != NULL;
}

int world_user(struct world *w, uint64_t n)
{
    current = w;
    struct session *s = serving(w);
    if (!s || s->nflows == FLOWS)
        return -1;
    struct flow *f = calloc(1, sizeof *f);
    CHECK(f);
    f->session = s;
    f->index = s->nflows;
    CHECK(smux_stream_open(s->e[SERVER].smux, f, &f->e[SERVER].st) == 0);
    s->flows[s->nflows++] = f;
    w->users[w->nusers] = f;
    count_streams(w, s, SERVER);
    world_says(w, w->nusers, SERVER, n);
    world_says(w, w->nusers, CLIENT, n);
    return w->nusers++;
}

void world_says(struct world *w, int user, int end, uint64_t n)
{
    w->users[user]->e[end].said += n;
}

void world_finish(struct world *w, int user)
{
    w->users[user]->e[SERVER].finish = w->users[user]->e[CLIENT].finish = true;
}

bool world_is_reset(const struct world *w, int user)
{
    return w->users[user]->e[CLIENT].reset || w->users[user]->e[SERVER].reset;
}

bool world_is_quiet(const struct world *w, int user)
{
    const struct flow *f = w->users[user];
    return !world_is_reset(w, user) && f->e[CLIENT].seen == f->e[SERVER].said &&
           f->e[SERVER].seen == f->e[CLIENT].said;
}

uint32_t world_users(const struct world *w)
{
    uint32_t n = 0;
    for (int i = 0; i < w->nusers; i++)
        n += !world_is_reset(w, i);
    return n;
}

/* ---- marks ---- */

const struct mark *world_mark(const struct world *w, int end, int kind, unsigned nth)
{
    for (unsigned i = 0; i < w->nmarks; i++)
        if (w->marks[i].end == end && w->marks[i].kind == kind && nth-- == 0)
            return &w->marks[i];
    return NULL;
}

const struct mark *world_told(const struct world *w, int end, enum life_tell what, unsigned nth)
{
    for (unsigned i = 0; i < w->nmarks; i++)
        if (w->marks[i].end == end && w->marks[i].kind == LIFE_TELL &&
            w->marks[i].action.tell.what == what && nth-- == 0)
            return &w->marks[i];
    return NULL;
}

unsigned world_count(const struct world *w, int end, int kind)
{
    unsigned n = 0;
    while (world_mark(w, end, kind, n))
        n++;
    return n;
}

int world_sessions(const struct world *w)
{
    int n = 0;
    for (int i = 0; i < w->nsessions; i++)
        n += w->sessions[i]->e[SERVER].exists;
    return n;
}

unsigned world_takeovers(const struct world *w)
{
    return w->takeovers;
}

bool world_has_service(const struct world *w, int client)
{
    return has_service(w, client);
}

const struct life *world_life(const struct world *w, int session, int end)
{
    return is_there(&w->sessions[session]->e[end]) ? &w->sessions[session]->e[end].life : NULL;
}

uint64_t world_bytes(const struct world *w)
{
    return w->bytes;
}
