/* SPDX-License-Identifier: MIT */
/* See kit.h. */
#include "kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *const losses[] = {"fin", "reset", "silent", "error"};
static const char *const answers[] = {"accepted", "unknown",  "stale", "range",
                                      "busy",     "draining", "failed"};
static const char *const ends[] = {"closed", "lost",     "expired",  "unknown",
                                   "peer",   "replaced", "protocol", "drained"};
static const char *const tells[] = {"suspected", "recovered", "detached", "resumed",
                                    "attempt",   "mtu",       "idle",     "draining"};
static const char *const kinds[] = {"dial",   "hurry",  "cancel", "ask",    "unfreeze",
                                    "beside", "switch", "detach", "goaway", "close",
                                    "tell",   "hold",   "refuse", "admit",  "yield"};

static void start(struct kit *k, bool is_client, mtime_ms window, uint32_t streams)
{
    struct life_config cfg = {.is_client = is_client, .window_ms = window};
    *k = (struct kit){.now = KIT_T0, .acked = 1000};
    life_init(&k->l, &cfg, k->now, 7);
    life_streams(&k->l, streams, k->now);
    kit_heard(k, 0, -1);
    kit_expect(k, "", __FILE__, __LINE__);
}

void kit_client(struct kit *k, mtime_ms window, uint32_t streams)
{
    start(k, true, window, streams);
}

void kit_server(struct kit *k, mtime_ms window, uint32_t streams)
{
    start(k, false, window, streams);
}

static int tell_text(const struct life_action *a, char *p, size_t n)
{
    char sign = a->tell.again ? '-' : '+';
    const char *what = tells[a->tell.what];
    switch (a->tell.what) {
    case LIFE_TELL_DETACHED:
        return snprintf(p, n, "%c%s %s %lld", sign, what, losses[a->tell.loss],
                        (long long)a->tell.ms);
    case LIFE_TELL_ATTEMPT:
        return snprintf(p, n, "%c%s %s", sign, what, answers[a->tell.answer]);
    case LIFE_TELL_DRAINING:
        return snprintf(p, n, "%c%s %u %lld", sign, what, a->tell.code, (long long)a->tell.ms);
    default:
        return snprintf(p, n, a->tell.ms ? "%c%s %lld" : "%c%s", sign, what, (long long)a->tell.ms);
    }
}

static int action_text(const struct life_action *a, char *p, size_t n)
{
    const char *kind = kinds[a->kind];
    switch (a->kind) {
    case LIFE_DIAL:
        assert_int_equal(a->dial.patience_ms, LIFE_PATIENCE_MAX_MS);
        if (a->dial.last_start != MTIME_NEVER)
            return snprintf(p, n, "dial last=%lld%s", (long long)(a->dial.last_start - KIT_T0),
                            a->dial.small_segments ? " small" : "");
        return snprintf(p, n, "dial%s", a->dial.small_segments ? " small" : "");
    case LIFE_HURRY:
        return snprintf(p, n, "hurry %lld", (long long)(a->at - KIT_T0));
    case LIFE_ASK:
        return snprintf(p, n, "ask %llu", (unsigned long long)a->epoch);
    case LIFE_GOAWAY:
        return snprintf(p, n, "goaway %u %u", a->goaway.code, a->goaway.ms);
    case LIFE_CLOSE:
        return snprintf(p, n, "close %s", ends[a->end]);
    case LIFE_TELL:
        return tell_text(a, p, n);
    default:
        return snprintf(p, n, "%s", kind);
    }
}

void kit_expect(struct kit *k, const char *text, const char *file, int line)
{
    char got[1024] = "";
    size_t at = 0;
    struct life_action a;
    while (life_next(&k->l, &a)) {
        if (at > 0)
            at += (size_t)snprintf(got + at, sizeof got - at, "; ");
        at += (size_t)action_text(&a, got + at, sizeof got - at);
    }
    if (strcmp(got, text) == 0)
        return;
    print_error("at %lld ms\n  wanted: %s\n  got:    %s\n", (long long)(k->now - KIT_T0), text,
                got);
    _fail(file, line);
}

void kit_drop(struct kit *k)
{
    struct life_action a;
    while (life_next(&k->l, &a))
        ;
}

void kit_pass_to(struct kit *k, mtime_ms ms, const char *file, int line)
{
    mtime_ms end = KIT_T0 + ms;
    kit_expect(k, "", file, line);
    for (mtime_ms at; (at = life_deadline(&k->l)) < end;) {
        k->now = at;
        life_tick(&k->l, at);
        kit_expect(k, "", file, line);
    }
    k->now = end;
    life_tick(&k->l, end);
}

void kit_due_at(struct kit *k, mtime_ms ms, const char *file, int line)
{
    mtime_ms at = life_deadline(&k->l);
    if (at != KIT_T0 + ms) {
        print_error("due at %lld, not %lld\n", (long long)(at - KIT_T0), (long long)ms);
        _fail(file, line);
    }
    struct kit early = *k;
    life_tick(&early.l, at - 1);
    kit_expect(&early, "", file, line);
}

void kit_heard(struct kit *k, uint64_t more_acked, mtime_ms wait_ms)
{
    k->acked += more_acked;
    mtime_ms since = wait_ms < 0 ? MTIME_NEVER : k->now - wait_ms;
    life_progress(&k->l, k->now, since, k->acked, k->now);
    life_tick(&k->l, k->now);
}

void kit_wait(struct kit *k, mtime_ms heard_ms)
{
    life_progress(&k->l, KIT_T0 + heard_ms, k->now, k->acked, k->now);
    life_tick(&k->l, k->now);
}

void kit_asked(struct kit *k, uint64_t epoch)
{
    enum life_answer no;
    struct life_ask ask = {.epoch = epoch, .peer_rx = k->acked, .in_range = true};
    assert_true(life_resume_asked(&k->l, &ask, &no, k->now));
}

void kit_secured(struct kit *k)
{
    life_secured(&k->l, k->now);
    if (k->l.attempt != LIFE_ATTEMPT_SECURING)
        return;
    k->now = life_deadline(&k->l);
    life_tick(&k->l, k->now);
    assert_int_equal(k->l.attempt, LIFE_ATTEMPT_ASKED);
}

void kit_resume(struct kit *k)
{
    struct life_action a;
    life_dialled(&k->l, true, 1, k->now);
    assert_false(life_next(&k->l, &a));
    kit_secured(k);
    assert_true(life_next(&k->l, &a));
    assert_int_equal(a.kind, LIFE_ASK);
    assert_false(life_next(&k->l, &a));
    life_answered(&k->l, LIFE_ANSWER_ACCEPTED, k->acked, k->now);
}
