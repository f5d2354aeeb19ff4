/* SPDX-License-Identifier: MIT */
/*
 * One life on a bench. Actions are compared as a line of text, so that a test reads like a log:
 *
 *   dial | dial last=T | dial small   hurry T   cancel   ask EPOCH   unfreeze   beside   switch
 *   detach   goaway CODE MS   close END   hold   refuse   admit   yield
 *   +WHAT MS ...  a line for the log
 *   -WHAT ...     the same, for the debug log only
 */
#pragma once

#include "proto/session/life.h"

enum { KIT_WINDOW = 60000, KIT_T0 = 100000 };

struct kit {
    struct life l;
    mtime_ms now;
    uint64_t acked;
};

/* Begins at KIT_T0 with n streams. */
void kit_client(struct kit *k, mtime_ms window, uint32_t streams);
void kit_server(struct kit *k, mtime_ms window, uint32_t streams);

/* The actions that wait are these, separated by "; ". "": none. */
#define expect(k, text) kit_expect((k), (text), __FILE__, __LINE__)
void kit_expect(struct kit *k, const char *text, const char *file, int line);
void kit_drop(struct kit *k); /* whatever they are */

/* All up to the time KIT_T0 + ms: each timer that is due fires at its exact time, and none makes an
   action; the actions of the last moment are left to be expected. */
#define pass_to(k, ms) kit_pass_to((k), (ms), __FILE__, __LINE__)
void kit_pass_to(struct kit *k, mtime_ms ms, const char *file, int line);

/* The deadline is exactly then, KIT_T0 + ms, and a tick before it does nothing. */
#define due_at(k, ms) kit_due_at((k), (ms), __FILE__, __LINE__)
void kit_due_at(struct kit *k, mtime_ms ms, const char *file, int line);

/* What the mux knows, and a tick. wait_ms < 0: nothing waits; else it has waited for so long. */
void kit_heard(struct kit *k, uint64_t more_acked, mtime_ms wait_ms);
/* Bytes are sent now, and wait; the last ones heard were at heard_ms. */
void kit_wait(struct kit *k, mtime_ms heard_ms);

/* Server: asked to resume with this epoch, and it must be granted. */
void kit_asked(struct kit *k, uint64_t epoch);

/* TLS stands; a suspected connection is spared first (LIFE_SPARE_MS), and the time moves on. */
void kit_secured(struct kit *k);

/* Through TCP, TLS and the answer at this moment; checks the actions on the way. */
void kit_resume(struct kit *k);
