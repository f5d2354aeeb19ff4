/* SPDX-License-Identifier: MIT */
#include "tunnel/census_fill.h"

#include "proto/session/waiting.h"
#include "tunnel/relay.h"
#include "tunnel/session.h"

static enum census_state state_of(const struct session_facts *f)
{
    switch (f->state) {
    case LIFE_DETACHED:
        return CENSUS_WAITING;
    case LIFE_SUSPECTED:
        return CENSUS_SUSPECT;
    case LIFE_OVER:
        return CENSUS_DRAINING;
    case LIFE_UP:
        break;
    }
    if (f->service == LIFE_DRAINING)
        return CENSUS_DRAINING;
    return f->proof_ms <= CENSUS_PROOF_MS ? CENSUS_UP : CENSUS_SUSPECT;
}

void census_put_session(struct census_part *p, struct census_client *k, const struct session *s)
{
    struct session_facts f;
    session_facts(s, &f);
    k->address = census_text(p, session_peer(s));
    k->is_legacy = !session_is_v2(s);
    k->state = state_of(&f);
    k->state_ms = f.state_ms;
    k->proof_ms = f.proof_ms;
    k->window_ms = f.window_ms;
    k->rtt_us = f.rtt_us > 0 ? (int64_t)f.rtt_us : -1;
    k->resumes = f.resumes;
    k->broke = session_break_word(f.broke);
    k->broke_ms = f.broke_ms;
    k->gap_ms = f.gap_ms;
    k->idle_cut_ms = f.idle_cut_ms > 0 ? f.idle_cut_ms : -1;
    k->held = f.held;
}

void census_put_tally(struct census_tunnel *t, const struct tally *y, bool is_server, mtime_ms now)
{
    t->connections = tally_running(y);
    t->all = y->all;
    t->failed = y->failed;
    t->in = is_server ? y->sent : y->received;
    t->out = is_server ? y->received : y->sent;
    t->error = tally_word(y->error);
    t->error_ms = y->error == TALLY_OK ? -1 : now - y->failed_at;
}

enum census_state census_tally_state(const struct tally *y)
{
    if (!y->is_bad)
        return CENSUS_UP;
    return y->error == TALLY_REFUSED ? CENSUS_TARGET_REFUSES : CENSUS_TARGET_FAILS;
}

void census_put_relays(struct census_part *p, const struct relays *rs, bool is_server)
{
    p->worker.connections = rs->count;
    p->worker.in = is_server ? rs->sent : rs->received;
    p->worker.out = is_server ? rs->received : rs->sent;
    p->worker.window_bytes = rs->windows.used;
    p->worker.replay_bytes = rs->replay.used;
    p->worker.late_bytes = waiting_bytes(rs->late);
    p->gaps = rs->gaps;
}
