/* SPDX-License-Identifier: MIT */
/*
 * What becomes of new users at the server, and of the port they come to, while the client does not
 * answer; and how the client comes back there.
 *
 *   suspected   they wait in the kernel's queue (HOLD)
 *   detached    the same; from 2 s after the break they are refused (REFUSE)
 *   up again    served (ADMIT): those who waited, too
 *
 * A session has its ports until it drains (CLOSE_PORTS); one of them may go to another client before.
 */
#include "proto/session/internal.h"

void users_hold(struct life *l)
{
    if (l->cfg.is_client || l->service != LIFE_SERVING || l->held)
        return;
    l->held = true;
    life_say(l, LIFE_HOLD);
}

void users_admit(struct life *l)
{
    if (!l->held)
        return;
    l->held = l->refusing = false;
    life_say(l, LIFE_ADMIT);
}

void users_yield(struct life *l)
{
    if (l->cfg.is_client || l->service != LIFE_SERVING)
        return;
    l->held = l->refusing = false;
    life_say(l, LIFE_CLOSE_PORTS);
}

mtime_ms users_refuse_at(const struct life *l)
{
    bool wait = l->state == LIFE_DETACHED && l->held && !l->refusing;
    return wait ? l->broke_at + LIFE_HOLD_MS : MTIME_NEVER;
}

void users_refuse(struct life *l)
{
    l->refusing = true;
    life_say(l, LIFE_REFUSE);
}

/* ---- inputs ---- */

enum life_answer life_judge_resume(const struct life *l, const struct life_ask *ask)
{
    if (l->state == LIFE_OVER || l->cfg.is_client || l->cfg.window_ms == 0)
        return LIFE_ANSWER_UNKNOWN;
    if (l->no_resume)
        return LIFE_ANSWER_DRAINING;
    if (ask->epoch <= l->epoch) /* before its count is looked at, which is old as well */
        return LIFE_ANSWER_STALE;
    return ask->in_range ? LIFE_ANSWER_ACCEPTED : LIFE_ANSWER_RANGE;
}

bool life_resume_asked(struct life *l, const struct life_ask *ask, enum life_answer *ret_refusal,
                       mtime_ms now)
{
    struct life_before before = life_enter(l, now);
    enum life_answer no = life_judge_resume(l, ask);
    if (no == LIFE_ANSWER_ACCEPTED) {
        if (l->state == LIFE_UP)
            l->quiet = hints_broken(l);
        l->epoch = ask->epoch;
        life_switched(l, ask->peer_rx);
    } else {
        *ret_refusal = no;
    }
    life_leave(l, LIFE_IN_RESUME_ASKED, before);
    return no == LIFE_ANSWER_ACCEPTED;
}

bool life_may_lose_port(const struct life *l, mtime_ms now)
{
    mtime_ms keeps = l->streams > 0 ? LIFE_PORT_BUSY_MS : LIFE_PORT_FREE_MS;
    bool ended = l->loss == LIFE_LOSS_FIN || l->loss == LIFE_LOSS_RESET;
    return l->state == LIFE_DETACHED && ended && now >= l->broke_at + keeps;
}

bool life_drain_is_over(const struct life *l, mtime_ms now)
{
    return l->service == LIFE_DRAINING && now + LIFE_DRAIN_SLACK_MS >= l->drain_until;
}
