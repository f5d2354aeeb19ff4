/* SPDX-License-Identifier: MIT */
/* Private to proto/session: what life.c, attempt.c, users.c and hints.c know of each other. */
#pragma once

#include "proto/session/life.h"

/* The inputs of a life, as rows of its table. */
enum life_input {
    LIFE_IN_TICK,
    LIFE_IN_PROGRESS,
    LIFE_IN_LOST,
    LIFE_IN_STREAMS,
    LIFE_IN_GOAWAY,
    LIFE_IN_STOP,
    LIFE_IN_CLOSE,
    LIFE_IN_NETWORK,
    LIFE_IN_TAKEN,
    LIFE_IN_DIALLED,
    LIFE_IN_SECURED,
    LIFE_IN_FOUND,
    LIFE_IN_ANSWERED,
    LIFE_IN_RESUME_ASKED,
    LIFE_INPUTS,
};

/* ---- life.c ---- */

/* Every input begins and ends with these: enter says the time, leave checks that the tables allow
   what has changed since. */
struct life_before {
    enum life_state state;
    enum life_service service;
    enum life_attempt attempt;
    uint32_t actions;
};
struct life_before life_enter(struct life *l, mtime_ms now);
void life_leave(const struct life *l, enum life_input input, struct life_before before);

void life_push(struct life *l, struct life_action a);
void life_say(struct life *l, enum life_action_kind kind); /* an action without values */
void life_tell(struct life *l, enum life_tell what, mtime_ms ms, bool again);
void life_end(struct life *l, enum life_end end); /* OVER, and CLOSE */

void life_say_goaway(struct life *l, uint32_t code, mtime_ms ms);

/* The session may go on over another connection. */
bool life_can_resume(const struct life *l);

/* It cannot, but a client may look where its server is. */
bool life_can_look(const struct life *l);

/* A session beside this one shall serve the new users; said once. */
void life_open_beside(struct life *l);

/* It drains for ms, and has no port. True: it did not yet, or for longer. */
bool life_drain(struct life *l, mtime_ms ms);

/* UP -> SUSPECTED: of silence, or as the network has changed. */
void life_suspect(struct life *l, bool changed);

/* The connection of a resume is in use from now on: both ends. */
void life_switched(struct life *l, uint64_t peer_rx);

/* ---- attempt.c ---- */

/* How long the other end may take to answer on the path as it is known; a server knows no path but
   the one it has, and grants the most. */
mtime_ms attempt_patience(const struct life *l);

void attempt_dial(struct life *l); /* now */
void attempt_wait(struct life *l); /* DIAL follows, later with each time */
void attempt_stop(struct life *l); /* not wanted: CANCEL and UNFREEZE as needed; NONE */
void attempt_ask(struct life *l);  /* for the resume: TLS stands */
void attempt_ask_spared(struct life *l);
mtime_ms attempt_ask_at(const struct life *l);
void attempt_timed_out(struct life *l); /* its deadline is here: dial, or give it up */

/* The session's end is known, or nearer than it was: the dial under way is told. */
void attempt_end_is_known(struct life *l);
mtime_ms attempt_remind_at(const struct life *l);

/* ---- goaway.c ---- */

/* The code of a GOAWAY that came; SMUX_GOAWAY_SHUTDOWN for one that is not known, or that its sender
   cannot mean. */
uint32_t goaway_meant(const struct life *l, uint32_t code);

/* ---- hints.c ---- */

/* The mux's facts are about to be noted. */
void hints_progress(struct life *l, mtime_ms heard_at, mtime_ms waiting_since, uint64_t acked);

/* The connection, good until now, is suspected or lost. True: as often before, and the reason was
   told. */
bool hints_broken(struct life *l);

/* It came back over another connection. */
void hints_switched(struct life *l);

/* ... and what followed was acknowledged, after so many resumes. */
void hints_proven(struct life *l);

/* ---- users.c: server; nothing happens at a client ---- */

void users_hold(struct life *l);
void users_admit(struct life *l);
void users_yield(struct life *l); /* the port is no longer this session's */
mtime_ms users_refuse_at(const struct life *l);
void users_refuse(struct life *l);
