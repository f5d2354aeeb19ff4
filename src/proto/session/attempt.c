/* SPDX-License-Identifier: MIT */
/*
 * The client's way back: one attempt after the other, until one is accepted.
 *
 *   DIALLING   the dialer tries the server's addresses (proto/path), which takes its own patience
 *   SECURING   TCP stands: TLS, and the answer, have what the path's round trip makes fair, doubled
 *   ASKED      each time it was not enough
 *   WAITING    between two, 50 ms at first, at most a second; what the attempt took counts. Longer where
 *              one connection after the other ends before TLS stands: the server has too many at once
 *
 * While the connection in use is only suspected it is frozen from ASKED on: it is read no further,
 * because the server was told how far we have read. If the server's answer is lost, reading on is
 * right again (docs/protocol.md 4.3).
 */
#include <assert.h>

#include "proto/session/internal.h"

mtime_ms attempt_patience(const struct life *l)
{
    if (!l->cfg.is_client)
        return LIFE_PATIENCE_MAX_MS;
    mtime_ms by_rtt = LIFE_ANSWER_MS + 8 * l->rtt_ms;
    mtime_ms by_connect = LIFE_ANSWER_MS + 4 * l->connect_ms;
    mtime_ms ms = by_rtt > by_connect ? by_rtt : by_connect;
    for (uint32_t i = 0; i < l->answer_timeouts && ms < LIFE_PATIENCE_MAX_MS; i++)
        ms *= 2;
    return ms < LIFE_PATIENCE_MAX_MS ? ms : LIFE_PATIENCE_MAX_MS;
}

/* The last moment for a fresh start before the session ends; MTIME_NEVER: it is not known. */
static mtime_ms last_start(const struct life *l)
{
    if (l->given_up_at == MTIME_NEVER)
        return MTIME_NEVER;
    mtime_ms end = l->expires;
    if (l->service == LIFE_DRAINING && l->drain_until < end)
        end = l->drain_until;
    return end - LIFE_LAST_START_MS;
}

/* TCP stands, and nothing large comes through: neither TLS's certificate, nor what follows a
   resume. A frozen server looks the same, and small segments do no harm. */
static bool wants_small_segments(const struct life *l)
{
    return l->unproven_resumes > 0 || l->answer_timeouts > 0 || l->told_mtu;
}

void attempt_dial(struct life *l)
{
    mtime_ms last = last_start(l);
    l->attempt = LIFE_ATTEMPT_DIALLING;
    l->ask_at = MTIME_NEVER;
    l->attempt_at = l->hurried_at = l->now;
    /* the dialer keeps its time itself, and says why; this is for one that does not */
    l->attempt_deadline = l->now + LIFE_PATIENCE_MAX_MS + LIFE_GRACE_MS;
    l->last_start = last > l->now ? last : MTIME_NEVER;
    life_push(l, (struct life_action){.kind = LIFE_DIAL,
                                      .dial = {.patience_ms = LIFE_PATIENCE_MAX_MS,
                                               .last_start = l->last_start,
                                               .small_segments = wants_small_segments(l)}});
}

static void hurry(struct life *l, mtime_ms at)
{
    life_push(l, (struct life_action){.kind = LIFE_HURRY, .at = at});
}

void attempt_end_is_known(struct life *l)
{
    mtime_ms last = last_start(l);
    if (l->attempt != LIFE_ATTEMPT_DIALLING || last == l->last_start)
        return;
    l->last_start = last;
    if (last > l->now && last != MTIME_NEVER)
        hurry(l, last);
}

/* A dialer has one moment in mind: after it was hurried it is told the last one again. */
mtime_ms attempt_remind_at(const struct life *l)
{
    if (l->attempt != LIFE_ATTEMPT_DIALLING || last_start(l) == l->last_start)
        return MTIME_NEVER;
    return last_start(l) > l->hurried_at + 1 ? l->hurried_at + 1 : MTIME_NEVER;
}

void attempt_wait(struct life *l)
{
    mtime_ms most = l->turned_away >= LIFE_TURNED_AWAY ? LIFE_RETRY_CROWDED_MS : LIFE_RETRY_MOST_MS;
    mtime_ms ms = l->retry_ms > 0 ? 2 * l->retry_ms : LIFE_RETRY_FIRST_MS;
    l->retry_ms = ms < most ? ms : most;
    mtime_ms quarter = l->retry_ms / 4;
    mtime_ms wait = l->retry_ms - quarter + rng_below(&l->rng, (uint32_t)(2 * quarter + 1));
    mtime_ms at = l->attempt_at + wait, last = last_start(l);
    if (last > l->now && last < at)
        at = last;
    l->attempt = LIFE_ATTEMPT_WAITING;
    l->attempt_deadline = at > l->now ? at : l->now + 1;
}

/* The old connection, if it is still there, goes on being read. */
static void unfreeze(struct life *l)
{
    if (l->frozen)
        life_say(l, LIFE_UNFREEZE);
    l->frozen = false;
}

static void cancel(struct life *l, bool timed_out)
{
    if (l->attempt > LIFE_ATTEMPT_WAITING)
        life_push(l, (struct life_action){.kind = LIFE_CANCEL, .timed_out = timed_out});
    unfreeze(l);
    l->attempt = LIFE_ATTEMPT_NONE;
}

void attempt_stop(struct life *l)
{
    cancel(l, false);
}

/* Why resuming does not succeed; at info the first time. */
static void tell_why(struct life *l, enum life_answer answer)
{
    bool again = l->told_answers & 1u << answer;
    l->told_answers |= 1u << answer;
    life_push(l, (struct life_action){
                     .kind = LIFE_TELL,
                     .tell = {.what = LIFE_TELL_ATTEMPT, .again = again, .answer = answer}});
}

void attempt_timed_out(struct life *l)
{
    enum life_attempt was = l->attempt;
    cancel(l, true);
    if (was == LIFE_ATTEMPT_WAITING) {
        attempt_dial(l);
        return;
    }
    if (was != LIFE_ATTEMPT_DIALLING)
        l->answer_timeouts++;
    tell_why(l, LIFE_ANSWER_FAILED);
    attempt_wait(l);
}

/* ---- inputs ---- */

/* An attempt that began on the network as it was is worth less than a new one. */
static void renew(struct life *l)
{
    if (l->attempt == LIFE_ATTEMPT_DIALLING) { /* what is on its way may still arrive */
        if (l->now - l->hurried_at >= LIFE_RENEW_MS) {
            hurry(l, l->hurried_at = l->now);
            l->last_start = MTIME_NEVER;
        }
        return;
    }
    if (l->attempt > LIFE_ATTEMPT_WAITING) {
        if (l->now - l->attempt_at < LIFE_RENEW_MS || l->now - l->renewed_at < LIFE_RENEW_EVERY_MS)
            return;
        l->renewed_at = l->now;
    }
    attempt_stop(l);
    l->retry_ms = l->turned_away = 0;
    attempt_dial(l);
}

void life_network_changed(struct life *l, bool elsewhere, mtime_ms now)
{
    struct life_before before = life_enter(l, now);
    bool doubts = elsewhere && l->cfg.is_client && life_can_resume(l);
    if (doubts && (l->state == LIFE_UP || l->state == LIFE_SUSPECTED))
        l->doubted_until = l->now + LIFE_DOUBT_MS;
    if (doubts && l->state == LIFE_UP)
        life_suspect(l, true);
    else if (l->attempt != LIFE_ATTEMPT_NONE)
        renew(l);
    life_leave(l, LIFE_IN_NETWORK, before);
}

void life_taken(struct life *l, mtime_ms now)
{
    struct life_before before = life_enter(l, now);
    if (l->attempt == LIFE_ATTEMPT_WAITING && l->unknown_since != MTIME_NEVER) {
        l->retry_ms = 0;
        attempt_dial(l);
    }
    life_leave(l, LIFE_IN_TAKEN, before);
}

void life_dialled(struct life *l, bool ok, mtime_ms connect_ms, mtime_ms now)
{
    struct life_before before = life_enter(l, now);
    if (l->attempt == LIFE_ATTEMPT_DIALLING && ok) {
        l->connect_ms = connect_ms;
        l->attempt = LIFE_ATTEMPT_SECURING;
        l->attempt_deadline = l->now + attempt_patience(l);
    } else if (l->attempt == LIFE_ATTEMPT_DIALLING) {
        l->turned_away = 0;
        attempt_wait(l);
    }
    life_leave(l, LIFE_IN_DIALLED, before);
}

void attempt_ask(struct life *l)
{
    l->ask_at = MTIME_NEVER;
    l->attempt = LIFE_ATTEMPT_ASKED;
    l->frozen = l->state == LIFE_SUSPECTED;
    life_push(l, (struct life_action){.kind = LIFE_ASK, .epoch = ++l->epoch});
}

/* The answer has its time from here, also after a stop of the machine. */
void attempt_ask_spared(struct life *l)
{
    l->attempt_deadline = l->now + attempt_patience(l);
    attempt_ask(l);
}

/* One that was lost meanwhile, or whose network has changed, is spared no longer. */
mtime_ms attempt_ask_at(const struct life *l)
{
    if (l->attempt != LIFE_ATTEMPT_SECURING || l->ask_at == MTIME_NEVER)
        return MTIME_NEVER;
    return l->state == LIFE_SUSPECTED && l->doubted_until <= l->now ? l->ask_at : l->now;
}

/* May TCP still mend the suspected connection by itself? Not after a change of the network, and
   not where it had its time on the connection before. */
static bool is_spared(const struct life *l)
{
    return l->state == LIFE_SUSPECTED && l->doubted_until <= l->now && l->unproven_resumes == 0 &&
           l->now < l->suspected_at + LIFE_SPARE_MS;
}

void life_secured(struct life *l, mtime_ms now)
{
    struct life_before before = life_enter(l, now);
    if (l->attempt == LIFE_ATTEMPT_SECURING)
        l->turned_away = 0;
    if (l->attempt == LIFE_ATTEMPT_SECURING && is_spared(l)) {
        l->ask_at = l->suspected_at + LIFE_SPARE_MS;
        l->attempt_deadline = l->ask_at + attempt_patience(l);
    } else if (l->attempt == LIFE_ATTEMPT_SECURING) {
        attempt_ask(l);
    }
    life_leave(l, LIFE_IN_SECURED, before);
}

void life_found(struct life *l, bool elsewhere, mtime_ms now)
{
    struct life_before before = life_enter(l, now);
    if (l->attempt == LIFE_ATTEMPT_SECURING && elsewhere) {
        life_end(l, LIFE_END_LOST);
    } else if (l->attempt == LIFE_ATTEMPT_SECURING) {
        l->answer_timeouts = 0;
        l->attempt = LIFE_ATTEMPT_WAITING;
        l->attempt_deadline = l->now + LIFE_LOOK_MS;
    }
    life_leave(l, LIFE_IN_FOUND, before);
}

/* Somebody at one of the server's addresses does not have the session. */
static void unknown(struct life *l)
{
    if (l->streams == 0) {
        life_end(l, LIFE_END_UNKNOWN); /* nothing is lost */
        return;
    }
    if (l->unknown_since == MTIME_NEVER) {
        l->unknown_since = l->now;
        if (l->service != LIFE_DRAINING) /* else there is one beside, or we are stopping */
            life_open_beside(l);
    }
    attempt_wait(l);
}

static void refused(struct life *l, enum life_answer answer)
{
    unfreeze(l);
    tell_why(l, answer);
    if (answer != LIFE_ANSWER_FAILED)
        l->answer_timeouts = 0;
    if (answer == LIFE_ANSWER_UNKNOWN || answer == LIFE_ANSWER_DRAINING)
        unknown(l);
    else if (answer == LIFE_ANSWER_RANGE)
        life_end(l, LIFE_END_UNKNOWN);
    else
        attempt_wait(l);
}

static void accepted(struct life *l, uint64_t peer_rx)
{
    l->answer_timeouts = 0;
    l->unknown_since = MTIME_NEVER;
    l->beside = l->beside && l->service == LIFE_DRAINING;
    life_switched(l, peer_rx);
}

void life_answered(struct life *l, enum life_answer answer, uint64_t peer_rx, mtime_ms now)
{
    struct life_before before = life_enter(l, now);
    bool asked = l->attempt == LIFE_ATTEMPT_ASKED;
    bool failed = l->attempt == LIFE_ATTEMPT_SECURING &&
                  (answer == LIFE_ANSWER_FAILED || answer == LIFE_ANSWER_UNKNOWN);
    if (failed && l->turned_away < LIFE_TURNED_AWAY)
        l->turned_away++;
    if (asked && answer == LIFE_ANSWER_ACCEPTED)
        accepted(l, peer_rx);
    else if (asked || failed)
        refused(l, answer);
    life_leave(l, LIFE_IN_ANSWERED, before);
}
