/* SPDX-License-Identifier: MIT */
/*
 * A session's life: see life.h. Here are the tables of what may become of it, the timers, and the
 * rules that both ends share; the client's way back is in attempt.c, the server's port in users.c.
 *
 * Whatever takes time is a row of `timers`: when it is due, and what happens then. life_deadline()
 * is the earliest of them, life_tick() does what is due. An input notes facts, and acts at once
 * where the fact alone decides.
 */
#include "proto/session/internal.h"

#include <assert.h>

#include "proto/smux/session.h"

/* ---- the tables ---- */

enum { U = 1u << LIFE_UP, S = 1u << LIFE_SUSPECTED, D = 1u << LIFE_DETACHED, O = 1u << LIFE_OVER };

/* What an input may make of a connection that is UP, SUSPECTED, DETACHED. OVER stays so. */
static const uint8_t may_become[LIFE_INPUTS][3] = {
    /* clang-format off */
    [LIFE_IN_TICK]         = {U | S | D | O, U | S | D | O, D | O},
    [LIFE_IN_PROGRESS]     = {U,             S,             D},
    [LIFE_IN_LOST]         = {D | O,         D | O,         D},
    [LIFE_IN_STREAMS]      = {U | O,         S | O,         D | O},
    [LIFE_IN_GOAWAY]       = {U | O,         U | S | O,     D | O},
    [LIFE_IN_STOP]         = {U | O,         U | S | O,     D | O},
    [LIFE_IN_CLOSE]        = {O,             O,             O},
    [LIFE_IN_NETWORK]      = {U | S,         S,             D},
    [LIFE_IN_TAKEN]        = {U,             S,             D},
    [LIFE_IN_DIALLED]      = {U,             S,             D},
    [LIFE_IN_SECURED]      = {U,             S,             D},
    [LIFE_IN_FOUND]        = {U,             S | O,         D},
    [LIFE_IN_ANSWERED]     = {U,             U | S | O,     U | D | O},
    [LIFE_IN_RESUME_ASKED] = {U,             U | S,         U | D},
    /* clang-format on */
};

static const uint8_t service_may_become[] = {
    [LIFE_SERVING] = 1u << LIFE_SERVING | 1u << LIFE_DRAINING,
    [LIFE_DRAINING] = 1u << LIFE_DRAINING,
};

enum {
    A_NONE = 1u << LIFE_ATTEMPT_NONE,
    A_WAIT = 1u << LIFE_ATTEMPT_WAITING,
    A_DIAL = 1u << LIFE_ATTEMPT_DIALLING,
    A_TLS = 1u << LIFE_ATTEMPT_SECURING,
    A_ASK = 1u << LIFE_ATTEMPT_ASKED,
};

static const uint8_t attempt_may_become[] = {
    [LIFE_ATTEMPT_NONE] = A_NONE | A_WAIT | A_DIAL,
    [LIFE_ATTEMPT_WAITING] = A_NONE | A_WAIT | A_DIAL,
    [LIFE_ATTEMPT_DIALLING] = A_NONE | A_WAIT | A_DIAL | A_TLS,
    [LIFE_ATTEMPT_SECURING] = A_NONE | A_WAIT | A_DIAL | A_TLS | A_ASK,
    [LIFE_ATTEMPT_ASKED] = A_NONE | A_WAIT | A_DIAL | A_ASK,
};

const char *life_state_word(enum life_state s)
{
    static const char *const words[] = {"up", "suspected", "detached", "over"};
    return words[s];
}

const char *life_service_word(enum life_service s)
{
    static const char *const words[] = {"serving", "draining"};
    return words[s];
}

const char *life_attempt_word(enum life_attempt a)
{
    static const char *const words[] = {"none", "waiting", "dialling", "securing", "asked"};
    return words[a];
}

struct life_before life_enter(struct life *l, mtime_ms now)
{
    if (l->actions_from == l->actions_to)
        l->actions_from = l->actions_to = 0;
    if (now > l->now)
        l->now = now;
    return (struct life_before){l->state, l->service, l->attempt, l->actions_to};
}

void life_leave(const struct life *l, enum life_input input, struct life_before before)
{
    if (before.state == LIFE_OVER) {
        assert(l->state == LIFE_OVER && l->actions_to == before.actions);
        return;
    }
    assert(l->actions_to - before.actions <= LIFE_ACTIONS_MAX / 2);
    assert(may_become[input][before.state] & 1u << l->state);
    assert(service_may_become[before.service] & 1u << l->service);
    assert(attempt_may_become[before.attempt] & 1u << l->attempt);
    /* an attempt is the way back of a client whose connection is not good, and it has one */
    bool away = l->state == LIFE_SUSPECTED || l->state == LIFE_DETACHED;
    assert((l->attempt != LIFE_ATTEMPT_NONE) == (l->cfg.is_client && away));
    assert(!l->frozen || (l->attempt == LIFE_ATTEMPT_ASKED && l->state == LIFE_SUSPECTED));
}

/* ---- actions ---- */

void life_push(struct life *l, struct life_action a)
{
    assert(l->actions_to < LIFE_ACTIONS_MAX);
    l->actions[l->actions_to++] = a;
}

void life_say(struct life *l, enum life_action_kind kind)
{
    life_push(l, (struct life_action){.kind = kind});
}

void life_tell(struct life *l, enum life_tell what, mtime_ms ms, bool again)
{
    life_push(l, (struct life_action){.kind = LIFE_TELL,
                                      .tell = {.what = what, .ms = ms, .again = again}});
}

bool life_next(struct life *l, struct life_action *ret)
{
    if (l->actions_from == l->actions_to)
        return false;
    *ret = l->actions[l->actions_from++];
    return true;
}

void life_say_goaway(struct life *l, uint32_t code, mtime_ms ms)
{
    uint32_t most = ms < 0 ? 0 : ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
    life_push(l, (struct life_action){.kind = LIFE_GOAWAY, .goaway = {.code = code, .ms = most}});
}

void life_end(struct life *l, enum life_end end)
{
    l->state = LIFE_OVER;
    l->attempt = LIFE_ATTEMPT_NONE;
    l->frozen = l->held = l->refusing = false;
    life_push(l, (struct life_action){.kind = LIFE_CLOSE, .end = end});
}

/* The same, and the peer is told so if there is a way. */
static void end_politely(struct life *l, uint32_t code, enum life_end end)
{
    if (l->state != LIFE_DETACHED)
        life_say_goaway(l, code, 0);
    life_end(l, end);
}

/* ---- suspicion ---- */

bool life_can_resume(const struct life *l)
{
    return l->cfg.window_ms > 0 && !l->no_resume;
}

bool life_can_look(const struct life *l)
{
    return l->cfg.is_client && l->cfg.window_ms == 0 && !l->no_resume;
}

/* Bytes may wait so long before the connection is suspected. */
static mtime_ms suspect_ms(const struct life *l)
{
    mtime_ms ms = 2 * l->rtt_ms > LIFE_SUSPECT_MS ? 2 * l->rtt_ms : LIFE_SUSPECT_MS;
    for (uint32_t i = 0; i < l->unproven_resumes && ms < LIFE_SUSPECT_MAX_MS; i++)
        ms *= 2;
    return ms < LIFE_SUSPECT_MAX_MS ? ms : LIFE_SUSPECT_MAX_MS;
}

/* When what waits now will have waited too long. */
static mtime_ms overdue_at(const struct life *l)
{
    if (l->waiting_since == MTIME_NEVER)
        return MTIME_NEVER;
    mtime_ms since = l->waiting_since > l->resumed_at ? l->waiting_since : l->resumed_at;
    return since + suspect_ms(l);
}

static mtime_ms suspect_at(const struct life *l)
{
    bool may = l->state == LIFE_UP && (life_can_resume(l) || life_can_look(l));
    return may ? overdue_at(l) : MTIME_NEVER;
}

void life_suspect(struct life *l, bool changed)
{
    l->quiet = !changed && hints_broken(l);
    l->state = LIFE_SUSPECTED;
    l->suspected_at = l->now;
    life_tell(l, LIFE_TELL_SUSPECTED, changed ? 0 : l->now - l->waiting_since, l->quiet);
    users_hold(l);
    if (l->cfg.is_client)
        attempt_dial(l);
}

static void suspect(struct life *l)
{
    life_suspect(l, false);
}

/* A suspected connection is good again when nothing waits too long, and no change of the network
   speaks against it. One that was asked for a resume is not read: its answer decides. */
static mtime_ms recover_at(const struct life *l)
{
    if (l->state != LIFE_SUSPECTED || l->attempt == LIFE_ATTEMPT_ASKED)
        return MTIME_NEVER;
    mtime_ms at = l->doubted_until > l->now ? l->doubted_until : l->now;
    return overdue_at(l) > at ? at : MTIME_NEVER;
}

static void recover(struct life *l)
{
    l->state = LIFE_UP;
    l->doubted_until = 0;
    l->unknown_since = MTIME_NEVER;
    l->beside = l->beside && l->service == LIFE_DRAINING;
    l->told_answers = 0;
    attempt_stop(l);
    life_tell(l, LIFE_TELL_RECOVERED, 0, l->quiet);
    users_admit(l);
}

/* No way back is looked for any more: the connection stays what it is. */
static void stop_suspecting(struct life *l)
{
    if (l->state != LIFE_SUSPECTED)
        return;
    attempt_stop(l);
    l->state = LIFE_UP;
}

/* ---- lost, and the window ---- */

static void detach(struct life *l, enum life_loss loss)
{
    if (!life_can_resume(l)) {
        life_end(l, LIFE_END_LOST);
        return;
    }
    bool repeat = l->state == LIFE_UP ? hints_broken(l) : l->quiet, first = false;
    if (l->given_up_at == MTIME_NEVER) {
        first = true;
        l->given_up_at = l->now;
        l->expires = l->now + l->cfg.window_ms;
    }
    if (l->now >= l->expires) {
        life_end(l, LIFE_END_EXPIRED);
        return;
    }
    /* a loss that is given up for the first time is news, unless its kind was explained */
    l->quiet = repeat && (!first || l->told_idle);
    l->state = LIFE_DETACHED;
    l->broke_at = l->now;
    l->loss = loss;
    l->frozen = false;
    l->doubted_until = 0;
    life_say(l, LIFE_DETACH);
    life_push(l, (struct life_action){.kind = LIFE_TELL,
                                      .tell = {.what = LIFE_TELL_DETACHED,
                                               .again = l->quiet,
                                               .ms = l->expires - l->now,
                                               .loss = loss}});
    users_hold(l);
    attempt_end_is_known(l);
    if (!l->cfg.is_client || l->attempt > LIFE_ATTEMPT_WAITING)
        return;
    bool from_attempt = l->unproven || (l->attempt_at > 0 && l->resumed_at >= l->attempt_at);
    if (from_attempt && l->now - l->attempt_at < LIFE_RETRY_MOST_MS) {
        attempt_wait(l); /* accepted and lost, again and again, is no reason to hurry */
        return;
    }
    if (!l->unproven)
        l->retry_ms = 0;
    attempt_dial(l);
}

/* Nothing was acknowledged for too long, resumed or not. A connection is not given up before it had
   its patience, or a slow path that was found late would be thrown away; and once the window runs,
   each further one has its full time. */
static mtime_ms give_up_at(const struct life *l)
{
    bool has_conn = l->state == LIFE_UP || l->state == LIFE_SUSPECTED;
    if (!has_conn || !life_can_resume(l) || l->waiting_since == MTIME_NEVER)
        return MTIME_NEVER;
    if (l->given_up_at != MTIME_NEVER) {
        mtime_ms since = l->waiting_since > l->resumed_at ? l->waiting_since : l->resumed_at;
        return since + LIFE_DEAD_MS;
    }
    mtime_ms at = l->stalled_since + LIFE_DEAD_MS;
    mtime_ms fair = l->unproven ? l->resumed_at + attempt_patience(l) : 0;
    return at > fair ? at : fair;
}

static void give_up(struct life *l)
{
    detach(l, LIFE_LOSS_SILENT);
}

/* The end of the window. A server waits a grace longer, so that a client's last attempt succeeds;
   that attempt may come to its own end. A connection that was resumed at the last moment has its
   patience to prove itself. */
static mtime_ms expire_at(const struct life *l)
{
    if (l->given_up_at == MTIME_NEVER || l->state == LIFE_OVER)
        return MTIME_NEVER;
    mtime_ms end = l->expires, late = end + LIFE_GRACE_MS;
    if (!l->cfg.is_client)
        end = late;
    if (l->state != LIFE_DETACHED) {
        mtime_ms fair = l->resumed_at + attempt_patience(l);
        return end > fair ? end : fair;
    }
    if (l->attempt <= LIFE_ATTEMPT_WAITING)
        return end;
    if (l->attempt == LIFE_ATTEMPT_DIALLING || l->attempt_deadline > late)
        return late;
    return l->attempt_deadline > end ? l->attempt_deadline : end;
}

static void expire(struct life *l)
{
    end_politely(l, SMUX_GOAWAY_EXPIRED, LIFE_END_EXPIRED);
}

void life_switched(struct life *l, uint64_t peer_rx)
{
    life_say(l, LIFE_SWITCH);
    hints_switched(l);
    l->state = LIFE_UP;
    l->attempt = LIFE_ATTEMPT_NONE;
    l->frozen = false;
    l->resumed_at = l->now;
    l->unproven = true;
    l->unproven_resumes++;
    l->acked = l->acked_at_resume = peer_rx;
    l->waiting_since = MTIME_NEVER;
    l->doubted_until = 0;
    l->rtt_ms = 0;
    /* users of one direction stand still although the other one goes on */
    mtime_ms since = l->stalled_since < l->gap_since ? l->stalled_since : l->gap_since;
    life_tell(l, LIFE_TELL_RESUMED, l->now - since, l->quiet);
    users_admit(l);
    if (l->stopping) /* what was said before may never have arrived, and time has passed */
        life_say_goaway(l, SMUX_GOAWAY_SHUTDOWN, l->drain_until - l->now);
}

/* What follows a resume was acknowledged: all is as if nothing had been. */
static void prove(struct life *l)
{
    hints_proven(l);
    l->unproven = false;
    l->unproven_resumes = 0;
    l->given_up_at = MTIME_NEVER;
    l->told_answers = 0;
    l->quiet = false;
}

/* ---- draining ---- */

static mtime_ms drained_at(const struct life *l)
{
    bool drains = l->service == LIFE_DRAINING && l->state != LIFE_OVER;
    return drains ? l->drain_until : MTIME_NEVER;
}

static void drained(struct life *l)
{
    end_politely(l, SMUX_GOAWAY_SHUTDOWN, LIFE_END_DRAINED);
}

bool life_drain(struct life *l, mtime_ms ms)
{
    users_yield(l);
    bool sooner = l->service != LIFE_DRAINING || l->now + ms < l->drain_until;
    if (sooner)
        l->drain_until = l->now + ms;
    l->service = LIFE_DRAINING;
    attempt_end_is_known(l);
    return sooner;
}

void life_open_beside(struct life *l)
{
    if (!l->beside)
        life_say(l, LIFE_OPEN_BESIDE);
    l->beside = true;
}

/* ---- the timers ---- */

static mtime_ms unknown_at(const struct life *l)
{
    if (l->state != LIFE_DETACHED || l->unknown_since == MTIME_NEVER)
        return MTIME_NEVER;
    mtime_ms at = l->unknown_since + LIFE_UNKNOWN_MS;
    bool asks = l->attempt == LIFE_ATTEMPT_SECURING || l->attempt == LIFE_ATTEMPT_ASKED;
    return asks && l->attempt_deadline > at ? l->attempt_deadline
                                            : at; /* its answer may be another */
}

static void give_up_unknown(struct life *l)
{
    life_end(l, LIFE_END_UNKNOWN);
}

static mtime_ms attempt_at(const struct life *l)
{
    return l->attempt == LIFE_ATTEMPT_NONE ? MTIME_NEVER : l->attempt_deadline;
}

/* In this order when several are due: first what ends it. */
static const struct {
    mtime_ms (*due)(const struct life *l);
    void (*act)(struct life *l);
} timers[] = {
    /* clang-format off */
    {drained_at, drained},
    {expire_at, expire},
    {unknown_at, give_up_unknown},
    {give_up_at, give_up},
    {suspect_at, suspect},
    {recover_at, recover},
    {attempt_ask_at, attempt_ask_spared},
    {attempt_at, attempt_timed_out},
    {attempt_remind_at, attempt_end_is_known},
    {users_refuse_at, users_refuse},
    /* clang-format on */
};

mtime_ms life_deadline(const struct life *l)
{
    mtime_ms first = MTIME_NEVER;
    for (size_t i = 0; i < ARRAY_LEN(timers); i++) {
        mtime_ms at = timers[i].due(l);
        if (at < first)
            first = at;
    }
    return first;
}

void life_tick(struct life *l, mtime_ms now)
{
    struct life_before before = life_enter(l, now);
    /* what one does may make another one due; after a long sleep several are */
    for (int round = 0; life_deadline(l) <= l->now; round++) {
        assert(round < 4);
        for (size_t i = 0; i < ARRAY_LEN(timers); i++)
            if (timers[i].due(l) <= l->now)
                timers[i].act(l);
    }
    life_leave(l, LIFE_IN_TICK, before);
}

/* ---- inputs of both ends ---- */

void life_init(struct life *l, const struct life_config *cfg, mtime_ms now, uint64_t seed)
{
    *l = (struct life){
        .cfg = *cfg,
        .now = now,
        .heard_at = now,
        .waiting_since = MTIME_NEVER,
        .resumed_at = now,
        .stalled_since = MTIME_NEVER,
        .gap_since = now,
        .given_up_at = MTIME_NEVER,
        .unknown_since = MTIME_NEVER,
        .last_start = MTIME_NEVER,
        .hurried_at = now,
        .renewed_at = now - LIFE_RENEW_EVERY_MS,
    };
    rng_seed(&l->rng, seed);
}

void life_progress(struct life *l, mtime_ms heard_at, mtime_ms waiting_since, uint64_t acked,
                   mtime_ms now)
{
    struct life_before before = life_enter(l, now);
    if (l->state == LIFE_UP || l->state == LIFE_SUSPECTED) {
        hints_progress(l, heard_at, waiting_since, acked);
        if (l->unproven && acked > l->acked_at_resume)
            prove(l);
        bool moves = l->waiting_since != MTIME_NEVER && waiting_since > l->waiting_since;
        if (!l->unproven || (moves && waiting_since != MTIME_NEVER))
            l->stalled_since = waiting_since; /* a slow link may be busy with other bytes */
        else if (waiting_since < l->stalled_since)
            l->stalled_since = waiting_since;
        if (heard_at > l->resumed_at) /* the mux's clock starts anew with each connection */
            l->gap_since = heard_at;
        l->heard_at = heard_at;
        l->waiting_since = waiting_since;
        l->acked = acked;
    }
    life_leave(l, LIFE_IN_PROGRESS, before);
}

void life_lost(struct life *l, enum life_loss loss, mtime_ms now)
{
    struct life_before before = life_enter(l, now);
    if (l->state == LIFE_UP || l->state == LIFE_SUSPECTED)
        detach(l, loss);
    life_leave(l, LIFE_IN_LOST, before);
}

void life_streams(struct life *l, uint32_t n, mtime_ms now)
{
    struct life_before before = life_enter(l, now);
    bool last = n == 0 && l->streams > 0 && l->state != LIFE_OVER;
    l->streams = n;
    if (last && l->service == LIFE_DRAINING)
        drained(l);
    else if (last && l->unknown_since != MTIME_NEVER)
        life_end(l, LIFE_END_UNKNOWN);
    life_leave(l, LIFE_IN_STREAMS, before);
}

void life_rtt(struct life *l, mtime_ms rtt_ms)
{
    if (rtt_ms > 0 && (l->rtt_ms == 0 || rtt_ms < l->rtt_ms))
        l->rtt_ms = rtt_ms;
}

/* The peer ends the session in ms; users' connections may finish meanwhile. */
static void goaway_with_time(struct life *l, uint32_t code, uint32_t ms)
{
    bool again = l->service == LIFE_DRAINING;
    bool sooner = life_drain(l, ms);
    if (l->cfg.is_client) {
        l->no_resume = true; /* the server stops: nobody will listen */
        stop_suspecting(l);
    }
    if (sooner && !again)
        life_push(
            l, (struct life_action){.kind = LIFE_TELL,
                                    .tell = {.what = LIFE_TELL_DRAINING, .ms = ms, .code = code}});
    if (l->cfg.is_client && !l->stopping)
        life_open_beside(l);
    if (l->streams == 0)
        drained(l);
}

void life_goaway(struct life *l, uint32_t code, uint32_t ms, mtime_ms now)
{
    struct life_before before = life_enter(l, now);
    code = goaway_meant(l, code);
    if (l->state == LIFE_OVER)
        ;
    else if (code == SMUX_GOAWAY_REPLACED)
        life_end(l, LIFE_END_REPLACED);
    else if (code == SMUX_GOAWAY_PROTOCOL)
        life_end(l, LIFE_END_PROTOCOL);
    else if (code == SMUX_GOAWAY_EXPIRED)
        life_end(l, LIFE_END_EXPIRED);
    else if (ms == 0)
        life_end(l, LIFE_END_PEER);
    else
        goaway_with_time(l, code, ms);
    life_leave(l, LIFE_IN_GOAWAY, before);
}

static void stop(struct life *l, mtime_ms drain_ms)
{
    bool is_server = !l->cfg.is_client;
    if (l->streams == 0 || drain_ms <= 0 || (is_server && l->state == LIFE_DETACHED)) {
        users_yield(l);
        end_politely(l, SMUX_GOAWAY_SHUTDOWN, LIFE_END_CLOSED);
        return;
    }
    bool sooner = life_drain(l, drain_ms);
    if (is_server) {
        l->no_resume = true;
        stop_suspecting(l);
    }
    if (sooner || !l->stopping)
        life_say_goaway(l, SMUX_GOAWAY_SHUTDOWN, l->drain_until - l->now);
    l->stopping = true;
}

void life_stop(struct life *l, mtime_ms drain_ms, mtime_ms now)
{
    struct life_before before = life_enter(l, now);
    if (l->state != LIFE_OVER)
        stop(l, drain_ms);
    life_leave(l, LIFE_IN_STOP, before);
}

void life_close(struct life *l, mtime_ms now)
{
    struct life_before before = life_enter(l, now);
    if (l->state != LIFE_OVER)
        life_end(l, LIFE_END_CLOSED);
    life_leave(l, LIFE_IN_CLOSE, before);
}
