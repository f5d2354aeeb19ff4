/* SPDX-License-Identifier: MIT */
/*
 * Target: a session's life with an owner that tells it anything at any time. The input is a script:
 * each step is a byte that says what happens, and one that says how much. The owner here knows what
 * is there (connection, candidate, port, users that wait), and checks that each action fits:
 *
 *   - CLOSE comes once, and nothing after it;
 *   - DIAL only when nothing is under way; ASK only of a candidate whose TLS stands, with an epoch
 *     that grows; SWITCH only to one that was asked and accepted, or that asks;
 *   - HOLD, REFUSE, ADMIT and CLOSE_PORTS in an order that makes sense; UNFREEZE after a freeze;
 *   - a timer that was served is in the future; who is away has a deadline.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "proto/session/life.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum candidate { NOBODY, DIALLING, TCP, TLS, ASKED };

struct owner {
    struct life l;
    mtime_ms now;
    uint64_t acked, epoch;
    enum candidate candidate;
    bool is_client, conn, frozen, switches;
    bool port, held, refusing, closed;
};

/* ---- actions ---- */

static void on_way_back(struct owner *o, const struct life_action *a)
{
    assert(o->is_client);
    switch (a->kind) {
    case LIFE_DIAL:
        assert(o->candidate == NOBODY && a->dial.patience_ms > 0 && a->dial.last_start > o->now);
        o->candidate = DIALLING;
        break;
    case LIFE_HURRY:
        assert(o->candidate == DIALLING && a->at >= o->now);
        break;
    case LIFE_CANCEL:
        assert(o->candidate != NOBODY);
        o->candidate = NOBODY;
        break;
    case LIFE_ASK:
        assert(o->candidate == TLS && a->epoch > o->epoch);
        o->candidate = ASKED;
        o->epoch = a->epoch;
        o->frozen = o->conn;
        break;
    case LIFE_UNFREEZE:
        assert(o->frozen && o->conn && o->candidate == NOBODY);
        o->frozen = false;
        break;
    default: /* OPEN_BESIDE */
        break;
    }
}

static void on_users(struct owner *o, enum life_action_kind kind)
{
    assert(!o->is_client && o->port);
    switch (kind) {
    case LIFE_HOLD:
        assert(!o->held);
        o->held = true;
        break;
    case LIFE_REFUSE:
        assert(o->held && !o->refusing && !o->conn);
        o->refusing = true;
        break;
    case LIFE_ADMIT:
        assert(o->held && o->conn);
        o->held = o->refusing = false;
        break;
    default:
        o->held = o->refusing = o->port = false;
        break;
    }
}

static void on_action(struct owner *o, const struct life_action *a)
{
    assert(!o->closed);
    switch (a->kind) {
    case LIFE_SWITCH:
        assert(o->switches);
        o->switches = o->frozen = false;
        o->conn = true;
        break;
    case LIFE_DETACH:
        assert(o->conn);
        o->conn = o->frozen = false;
        break;
    case LIFE_CLOSE:
        o->closed = true;
        o->candidate = NOBODY;
        o->conn = o->frozen = o->held = false;
        break;
    case LIFE_TELL:
        assert(a->tell.ms >= 0);
        break;
    case LIFE_GOAWAY:
        break;
    case LIFE_HOLD:
    case LIFE_REFUSE:
    case LIFE_ADMIT:
    case LIFE_CLOSE_PORTS:
        on_users(o, a->kind);
        break;
    default:
        on_way_back(o, a);
        break;
    }
}

static void pull(struct owner *o)
{
    struct life_action a;
    while (life_next(&o->l, &a))
        on_action(o, &a);
    assert(!o->switches);
    if (o->closed) {
        assert(life_deadline(&o->l) == MTIME_NEVER);
        return;
    }
    assert(o->conn == (o->l.state == LIFE_UP || o->l.state == LIFE_SUSPECTED));
    assert(o->held == o->l.held);
    if (!o->conn || o->candidate != NOBODY)
        assert(life_deadline(&o->l) != MTIME_NEVER);
    if (o->frozen)
        assert(o->candidate == ASKED);
}

/* ---- inputs ---- */

static void candidate_steps(struct owner *o, unsigned what, uint8_t arg)
{
    bool accepts, ends;
    switch (what) {
    case 0:
        if (o->candidate == DIALLING)
            o->candidate = arg % 4 ? TCP : NOBODY;
        life_dialled(&o->l, arg % 4, arg * 20, o->now);
        break;
    case 1:
        if (o->candidate == TCP)
            o->candidate = TLS;
        if (o->candidate == TLS && o->l.cfg.window_ms == 0) {
            o->candidate = NOBODY;
            life_found(&o->l, arg % 2, o->now);
        } else {
            life_secured(&o->l, o->now);
        }
        break;
    default:
        accepts = arg % 7 == LIFE_ANSWER_ACCEPTED && o->candidate == ASKED;
        o->switches = accepts;
        ends = arg % 7 == LIFE_ANSWER_FAILED || arg % 7 == LIFE_ANSWER_UNKNOWN;
        if (o->candidate == ASKED || ((o->candidate == TCP || o->candidate == TLS) && ends))
            o->candidate = NOBODY;
        life_answered(&o->l, (enum life_answer)(arg % 7), o->acked + arg, o->now);
        if (accepts)
            o->acked += arg;
        break;
    }
}

static void connection_steps(struct owner *o, unsigned what, uint8_t arg)
{
    mtime_ms since = o->now - arg * 16;
    switch (what) {
    case 0:
        life_progress(&o->l, o->now, since, o->acked, o->now);
        break;
    case 1:
        o->acked += arg;
        life_progress(&o->l, o->now, arg % 2 ? o->now : MTIME_NEVER, o->acked, o->now);
        break;
    case 2:
        life_lost(&o->l, (enum life_loss)(arg % 4), o->now);
        break;
    default:
        life_rtt(&o->l, arg * 16);
        break;
    }
}

static void others_say(struct owner *o, unsigned what, uint8_t arg)
{
    enum life_answer no = LIFE_ANSWER_ACCEPTED;
    struct life_ask ask;
    switch (what) {
    case 0:
        life_streams(&o->l, arg % 3, o->now);
        break;
    case 1:
        life_goaway(&o->l, arg % 7, arg < 128 ? 0 : (uint32_t)(arg - 128) * 500, o->now);
        break;
    case 2:
        life_stop(&o->l, (mtime_ms)(arg >> 3) * 2000, o->now);
        break;
    case 3:
        if (arg == 99)
            life_close(&o->l, o->now);
        break;
    case 4:
        life_network_changed(&o->l, arg % 2, o->now);
        break;
    case 5:
        ask = (struct life_ask){o->epoch + arg % 3, o->acked, arg % 5 > 0};
        o->switches = life_resume_asked(&o->l, &ask, &no, o->now);
        assert(!o->switches || ask.in_range);
        assert(o->switches != (no != LIFE_ANSWER_ACCEPTED));
        o->epoch += o->switches ? arg % 3 : 0;
        break;
    default:
        assert(!life_may_lose_port(&o->l, o->now) || (!o->conn && !o->closed));
        break;
    }
}

static void time_passes(struct owner *o, unsigned what, uint8_t arg)
{
    mtime_ms due = life_deadline(&o->l);
    if (what == 0 && due != MTIME_NEVER && due > o->now)
        o->now = due;
    else if (what == 1)
        o->now += arg;
    else if (what == 2)
        o->now += arg * 100;
    life_tick(&o->l, o->now);
    assert(life_deadline(&o->l) > o->now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct owner o = {.now = 100000, .conn = true, .port = true, .is_client = data[0] & 1};
    struct life_config cfg = {.is_client = o.is_client,
                              .window_ms = (mtime_ms)(data[0] >> 1) * 500};
    life_init(&o.l, &cfg, o.now, data[1]);
    for (size_t at = 2; at + 1 < size; at += 2) {
        unsigned what = data[at] % 17;
        if (what < 3)
            candidate_steps(&o, what, data[at + 1]);
        else if (what < 7)
            connection_steps(&o, what - 3, data[at + 1]);
        else if (what < 14)
            others_say(&o, what - 7, data[at + 1]);
        else
            time_passes(&o, what - 14, data[at + 1]);
        pull(&o);
    }
    return 0;
}
