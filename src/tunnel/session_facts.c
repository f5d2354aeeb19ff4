/* SPDX-License-Identifier: MIT */
/* What is told of a session to whoever asks: its state, and how its last break went. */
#include "tunnel/internal.h"
#include "tunnel/relay.h"

const char *session_break_word(enum session_break b)
{
    static const char *const words[] = {
        [SESSION_BREAK_NONE] = "",         [SESSION_BREAK_CLOSED] = "closed",
        [SESSION_BREAK_RESET] = "reset",   [SESSION_BREAK_SILENT] = "silent",
        [SESSION_BREAK_FAILED] = "failed", [SESSION_BREAK_NETWORK] = "network-changed",
        [SESSION_BREAK_PEER] = "replaced",
    };
    return words[b];
}

static enum session_break break_of(enum life_loss loss)
{
    switch (loss) {
    case LIFE_LOSS_FIN:
        return SESSION_BREAK_CLOSED;
    case LIFE_LOSS_RESET:
        return SESSION_BREAK_RESET;
    case LIFE_LOSS_SILENT:
        return SESSION_BREAK_SILENT;
    case LIFE_LOSS_ERROR:
        break;
    }
    return SESSION_BREAK_FAILED;
}

/* It is back: of a break that this end has not noticed the other one knows more. */
static void note_resumed(struct session *s, mtime_ms gap_ms)
{
    struct session_history *h = &s->history;
    mtime_ms now = loop_now(s->cfg.loop);
    h->broke = h->now_broken == SESSION_BREAK_NONE ? SESSION_BREAK_PEER : h->now_broken;
    h->now_broken = SESSION_BREAK_NONE;
    h->broke_at = now - gap_ms;
    h->gap_ms = gap_ms;
    h->resumes++;
    h->up_at = now;
    histogram_add(&s->cfg.relays->gaps, gap_ms);
}

void session_note(struct session *s, const struct life_action *a)
{
    struct session_history *h = &s->history;
    switch (a->tell.what) {
    case LIFE_TELL_SUSPECTED:
        h->now_broken = a->tell.ms == 0 ? SESSION_BREAK_NETWORK : SESSION_BREAK_SILENT;
        break;
    case LIFE_TELL_RECOVERED:
        h->now_broken = SESSION_BREAK_NONE;
        h->up_at = loop_now(s->cfg.loop);
        break;
    case LIFE_TELL_DETACHED:
        h->now_broken = break_of(a->tell.loss);
        break;
    case LIFE_TELL_RESUMED:
        note_resumed(s, a->tell.ms);
        break;
    case LIFE_TELL_DRAINING:
        h->drains_at = loop_now(s->cfg.loop);
        break;
    case LIFE_TELL_IDLE_CUT:
        h->idle_cut_ms = a->tell.ms;
        break;
    case LIFE_TELL_ATTEMPT:
    case LIFE_TELL_MTU:
    case LIFE_TELL_CUT:
        break;
    }
}

/* All that was sent until then has been heard of, and the peer has said something since. On the legacy wire
   only the second. */
static mtime_ms proven_at(const struct session *s)
{
    mtime_ms heard = s->mux && s->tp ? smux_session_heard_at(s->mux) : s->life.heard_at;
    mtime_ms waiting = s->mux && s->cfg.is_v2 ? smux_session_waiting_since(s->mux) : MTIME_NEVER;
    return waiting < heard ? waiting : heard;
}

static mtime_ms state_since(const struct session *s)
{
    switch (s->life.state) {
    case LIFE_SUSPECTED:
        return s->life.suspected_at;
    case LIFE_DETACHED:
        return s->life.given_up_at < s->life.now ? s->life.given_up_at : s->life.broke_at;
    case LIFE_UP:
    case LIFE_OVER:
        break;
    }
    return s->life.service == LIFE_DRAINING ? s->history.drains_at : s->history.up_at;
}

void session_facts(const struct session *s, struct session_facts *ret)
{
    const struct session_history *h = &s->history;
    mtime_ms now = loop_now(s->cfg.loop);
    bool is_broken = h->now_broken != SESSION_BREAK_NONE;
    *ret = (struct session_facts){
        .state = s->life.state,
        .service = s->life.service,
        .state_ms = now - state_since(s),
        .proof_ms = now - proven_at(s),
        .window_ms = s->cfg.window_ms,
        .rtt_us = session_rtt_us(s),
        .resumes = h->resumes,
        .broke = is_broken ? h->now_broken : h->broke,
        .broke_ms = -1,
        .gap_ms = -1,
        .idle_cut_ms = h->idle_cut_ms,
        .held = session_held(s),
    };
    if (is_broken) {
        ret->broke_ms = now - s->life.gap_since;
    } else if (h->broke != SESSION_BREAK_NONE) {
        ret->broke_ms = now - h->broke_at;
        ret->gap_ms = h->gap_ms;
    }
}
