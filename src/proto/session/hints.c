/* SPDX-License-Identifier: MIT */
/*
 * What a row of breaks tells about the path, for one line in the log instead of a pair every few
 * seconds:
 *
 *   - resumes are accepted, and what waits is not acknowledged behind any of them: small packets
 *     pass, large ones do not. The same if what was stuck behind one passes after the next, which
 *     the client has dialled with small segments;
 *   - connections break each time after they have been idle for about so long: something on the
 *     way forgets them. One that goes on after a rest as long speaks against it.
 */
#include "proto/session/internal.h"

void hints_progress(struct life *l, mtime_ms heard_at, mtime_ms waiting_since, uint64_t acked)
{
    bool goes_on = acked > l->acked && l->waiting_since != MTIME_NEVER;
    if (goes_on && l->idle_breaks > 0 && l->idle_before >= l->idle_least)
        l->idle_breaks = 0;
    if (waiting_since == MTIME_NEVER || waiting_since == l->waiting_since)
        return;
    mtime_ms moved = heard_at <= waiting_since ? heard_at : l->heard_at;
    l->idle_before = waiting_since > moved ? waiting_since - moved : 0;
}

/* How long nothing had moved when the trouble began. */
static mtime_ms idle_ms(const struct life *l)
{
    return l->waiting_since != MTIME_NEVER ? l->idle_before : l->now - l->heard_at;
}

/* What waits was given its time on this connection. */
static bool is_stuck(const struct life *l)
{
    mtime_ms since = l->waiting_since > l->resumed_at ? l->waiting_since : l->resumed_at;
    return l->waiting_since != MTIME_NEVER && l->now - since >= LIFE_SUSPECT_MS;
}

static void tell_mtu(struct life *l)
{
    if (!l->told_mtu)
        life_tell(l, LIFE_TELL_MTU, 0, false);
    l->told_mtu = true;
}

static bool is_alike(const struct life *l, mtime_ms idle)
{
    return l->idle_breaks > 0 && idle <= 2 * l->idle_least && 2 * idle >= l->idle_least;
}

bool hints_broken(struct life *l)
{
    mtime_ms idle = idle_ms(l);
    bool again = l->unproven_resumes > 0, alike = is_alike(l, idle);
    l->idle_break = !again && idle >= LIFE_HINT_IDLE_MS;
    if (l->idle_break) {
        again = l->told_idle && alike;
        l->idle_least = alike && l->idle_least < idle ? l->idle_least : idle;
        l->idle_breaks = alike ? l->idle_breaks + 1 : 1;
    } else if (!again) {
        l->idle_breaks = 0;
    }
    l->resume_stuck = l->resume_stuck || (l->unproven && is_stuck(l));
    if (l->unproven_resumes >= LIFE_HINT_UNPROVEN && l->waiting_since != MTIME_NEVER)
        tell_mtu(l);
    return again;
}

void hints_proven(struct life *l)
{
    if (l->cfg.is_client && l->resume_stuck && l->unproven_resumes >= LIFE_HINT_UNPROVEN)
        tell_mtu(l);
    l->resume_stuck = false;
}

void hints_switched(struct life *l)
{
    if (l->idle_break && l->idle_breaks >= LIFE_HINT_BREAKS && !l->told_idle) {
        l->told_idle = true;
        life_tell(l, LIFE_TELL_IDLE_CUT, l->idle_least, false);
    }
    l->idle_break = false;
    l->idle_before = 0;
}
