/* SPDX-License-Identifier: MIT */
/*
 * The life of one session at one end, without I/O: what happens to a session of gotunnel/2 whose
 * connection is suspected, lost, replaced or drained. Facts and the time go in; actions come out
 * and are pulled one by one, so nothing calls back. Both programs, and the simulator, run this.
 *
 *   connection (enum life_state)
 *
 *        +------------- suspicion ------------+
 *        v                                    |
 *       UP ----------- lost ----------> DETACHED ---- window over, unknown ----> OVER
 *        | ^                                  ^                                   ^
 *        | +-- heard again, switched --+      |                                   |
 *        +---- silent, route changed --> SUSPECTED -- lost ----------------- closed, drained
 *
 *   service (enum life_service): what the session may do for new users
 *
 *       SERVING --GOAWAY said or heard--> DRAINING                         (then only OVER)
 *
 *   attempt (enum life_attempt), client only: the way back
 *
 *       NONE -> WAITING -> DIALLING -> SECURING -> ASKED -> NONE
 *
 *   With a window of 0 nothing is asked: a client whose connection is silent looks whether its
 *   server is elsewhere by now, and keeps the connection until it has found it there.
 *
 * The three change together as tables in life.c allow (checked after each input): what may become
 * of a connection by which input, of a service, of an attempt. life.c has the inputs, the timers
 * and the rules of both ends; attempt.c the client's way back; users.c what becomes of new users at
 * the server; hints.c what a row of breaks tells; goaway.c what a peer can mean by its GOAWAY.
 *
 * Rules that look arbitrary have a sentence beside their constant. docs/resumption.md tells users
 * what comes of it, docs/protocol.md section 5 has the lines.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/mtime.h"
#include "base/rng.h"

enum {
    /* Bytes unacknowledged for so long without progress raise the suspicion (or for two round
       trips, if that is more): a false alarm costs one handshake, TCP alone would take 5-23 s
       more. */
    LIFE_SUSPECT_MS = 3000,
    /* A suspected connection whose address answers has so much longer before the resume is asked
       for, which ends it: in an MTU black hole TCP's probing finds the smaller packet size 3.0 to
       3.2 s after what was lost, and on another connection it would begin anew. */
    LIFE_SPARE_MS = 500,
    /* After a resume that was followed by no acknowledgement the next suspicion waits twice as
       long, up to this: TCP needs some 3 s to find the smaller packet size of an MTU black hole. */
    LIFE_SUSPECT_MAX_MS = 24000,
    /* No acknowledgement for so long, however often the session was resumed meanwhile: the
       connection is given up, and the window begins. */
    LIFE_DEAD_MS = 15000,
    /* After a change of the network a connection that could not be made so any more is doubted for
       so long: a new address may take seconds to become usable. */
    LIFE_DOUBT_MS = 10000,
    /* TLS and the answer to a resume: so long and eight round trips, or four times what TCP's
       connect took, whichever is more; doubled with each attempt that timed out here ... */
    LIFE_ANSWER_MS = 2000,
    /* ... up to this, which is also the patience of a dial: a path whose round trip is 3 s. */
    LIFE_PATIENCE_MAX_MS = 10000,
    LIFE_RETRY_FIRST_MS = 50,  /* wait between two attempts, doubled each time ... */
    LIFE_RETRY_MOST_MS = 1000, /* ... up to this: how late a heal is noticed at most */
    /* Connections that end before TLS stands, so many in a row: the server is there, and more come than it
       takes in. From then on up to this, or a fleet that is back at once spends the processors of both
       ends on what is turned away. */
    LIFE_TURNED_AWAY = 8,
    LIFE_RETRY_CROWDED_MS = 8000,
    /* A change of the network hurries a dial that is older than this, and starts an attempt anew
       whose TCP stood for so long ... */
    LIFE_RENEW_MS = 1000,
    /* ... but only so often: an interface that flaps must not keep a slow path from answering. */
    LIFE_RENEW_EVERY_MS = 10000,
    /* Nothing can be resumed, and the server was found where the silent connection goes: its TCP
       comes back by itself, or the name leads elsewhere later. Looked at again after so long. */
    LIFE_LOOK_MS = 3000,
    /* The window's last moment: a last attempt begins so long before its end ... */
    LIFE_LAST_START_MS = 100,
    /* ... and may come to its own end so long after it, at both ends. */
    LIFE_GRACE_MS = 1000,
    /* A session with connections is asked for so long after the first `unknown`, at every address
       of the server's name: behind a balancer another one may still have it. */
    LIFE_UNKNOWN_MS = 5000,
    /* Server: so long after a break is certain new users wait, then they are accepted and reset. */
    LIFE_HOLD_MS = 2000,
    /* Server: after FIN or RST, nearly always a process that died, a waiting session gives its port
       to another client that asks for it from here on; with running connections from there on. */
    LIFE_PORT_FREE_MS = 10000,
    LIFE_PORT_BUSY_MS = 30000,
    /* So many breaks in a row, each after being idle for about the same time, make a hint for the
       log; shorter rests do not count as idle. */
    LIFE_HINT_BREAKS = 3,
    LIFE_HINT_IDLE_MS = 1000,
    /* The clocks of a program, of its workers and of the other end run out together, but for the
       time that the word of it took: an end within this of a drain's time is the end of the time. */
    LIFE_DRAIN_SLACK_MS = 1000,
    /* So many resumes in a row after which what waits was not acknowledged: the other hint. */
    LIFE_HINT_UNPROVEN = 2,
};

enum life_state { LIFE_UP, LIFE_SUSPECTED, LIFE_DETACHED, LIFE_OVER };
enum life_service { LIFE_SERVING, LIFE_DRAINING };
enum life_attempt {
    LIFE_ATTEMPT_NONE,     /* the connection is good, or nothing may be tried */
    LIFE_ATTEMPT_WAITING,  /* until the next dial */
    LIFE_ATTEMPT_DIALLING, /* DIAL was asked for */
    LIFE_ATTEMPT_SECURING, /* TCP stands */
    LIFE_ATTEMPT_ASKED,    /* the resume line is out; the old connection is frozen */
};

/* How a connection was lost. */
enum life_loss {
    LIFE_LOSS_FIN,    /* it ended in order, without GOAWAY */
    LIFE_LOSS_RESET,  /* RST */
    LIFE_LOSS_SILENT, /* nothing heard, or acknowledged, for too long */
    LIFE_LOSS_ERROR,  /* anything else: TLS, no route, memory */
};

/* What became of an attempt to resume, as its connection or the server's answer tells. */
enum life_answer {
    LIFE_ANSWER_ACCEPTED, /* proof right, epoch and count fit */
    LIFE_ANSWER_UNKNOWN,
    LIFE_ANSWER_STALE,
    LIFE_ANSWER_RANGE,
    LIFE_ANSWER_BUSY,
    LIFE_ANSWER_DRAINING,
    LIFE_ANSWER_FAILED, /* no answer: the connection failed, or the answer's proof was wrong */
};

/* Why a session is over. */
enum life_end {
    LIFE_END_CLOSED,   /* this end wanted it */
    LIFE_END_LOST,     /* the window is 0 (or the wire is the legacy one), and the connection lost,
                         or silent while the server is found elsewhere */
    LIFE_END_EXPIRED,  /* not resumed in time */
    LIFE_END_UNKNOWN,  /* the server does not have it any more */
    LIFE_END_PEER,     /* GOAWAY without time: the other side ended it */
    LIFE_END_REPLACED, /* GOAWAY: another client has the id */
    LIFE_END_PROTOCOL, /* GOAWAY: we broke the protocol */
    LIFE_END_DRAINED,  /* it drained: the last connection is over, or the time */
};

enum life_action_kind {
    /* client: the way back */
    LIFE_DIAL,        /* dial the server: patience_ms, last_start; answer with life_dialled() */
    LIFE_HURRY,       /* the dial under way: a fresh start to each address at `at`, be it now */
    LIFE_CANCEL,      /* give up what DIAL began, or the candidate: no result of it may follow;
                         timed_out: it had its time, else it is not wanted any more */
    LIFE_ASK,         /* freeze the old connection, send resume with epoch on the candidate */
    LIFE_UNFREEZE,    /* the old connection, if there is one, is read again */
    LIFE_OPEN_BESIDE, /* open a new session now, if there is none yet. If this one comes back
                         after all, life_stop() it when the other one is up */
    /* both */
    LIFE_SWITCH, /* client: the candidate carries on; server: the one that asked does */
    LIFE_DETACH, /* close the connection, keep the session */
    LIFE_GOAWAY, /* say it: code (enum smux_goaway_code), ms. Detached: after the resume */
    LIFE_CLOSE,  /* end: end; the last action there is: what runs is dropped, dial and all */
    LIFE_TELL,   /* something for the log: tell */
    /* server */
    LIFE_HOLD,   /* new users wait in the kernel's queue */
    LIFE_REFUSE, /* new users are accepted and reset */
    LIFE_ADMIT,  /* new users are served */
    LIFE_CLOSE_PORTS, /* close the public ports: the session drains. Who waited for HOLD or was refused is
                         gone with them: no ADMIT follows */
};

enum life_tell {
    LIFE_TELL_SUSPECTED, /* ms: has waited for so long; 0: the network changed */
    LIFE_TELL_RECOVERED,
    LIFE_TELL_DETACHED, /* loss; ms: the window, from now on */
    LIFE_TELL_RESUMED,  /* ms: since the last byte that arrived before the stall */
    LIFE_TELL_ATTEMPT,  /* answer: why resuming does not succeed; of FAILED the owner knows more */
    LIFE_TELL_MTU,      /* small packets pass, large ones do not; once a session */
    LIFE_TELL_IDLE_CUT, /* connections that are idle for ms are cut; once a session */
    LIFE_TELL_DRAINING, /* ms: so long; code */
    LIFE_TELL_CUT,      /* the session's, not life's: what drained was not over in time */
};

struct life_action {
    enum life_action_kind kind;
    union {
        struct {
            mtime_ms patience_ms; /* for TCP, all addresses together */
            mtime_ms last_start;  /* MTIME_NEVER, or when a fresh SYN to each address must go out */
            bool small_segments;  /* the last ones did not pass: dial with a small MSS */
        } dial;
        mtime_ms at;
        bool timed_out;
        uint64_t epoch;
        struct {
            uint32_t code, ms;
        } goaway;
        enum life_end end;
        struct {
            enum life_tell what;
            bool again; /* the same was told before, and nothing has changed: for the debug log */
            mtime_ms ms;
            enum life_loss loss;
            enum life_answer answer;
            uint32_t code;
        } tell;
    };
};

/* One input makes no more than half of it. Pull them all before the next input; but one that an
   action itself brings about, as a dial that fails at once, may come in between: what follows from
   it is behind what waits. */
enum { LIFE_ACTIONS_MAX = 32 };

struct life_config {
    bool is_client;
    mtime_ms window_ms; /* agreed; 0: a lost connection ends the session */
};

/* Embedded by the owner; nothing in it is to be touched from outside. */
struct life {
    /* private */
    struct life_config cfg;
    enum life_state state;
    enum life_service service;
    enum life_attempt attempt;
    mtime_ms now;     /* of the latest input */
    uint32_t streams; /* running connections */
    /* the connection in use */
    mtime_ms heard_at;      /* the last byte from the peer */
    mtime_ms waiting_since; /* for an acknowledgement; MTIME_NEVER: for none */
    mtime_ms resumed_at;
    uint64_t acked, acked_at_resume;
    bool unproven; /* resumed, and nothing acknowledged since */
    uint32_t unproven_resumes;
    mtime_ms stalled_since; /* first byte that waits, across unproven resumes; MTIME_NEVER */
    mtime_ms suspected_at;
    mtime_ms doubted_until; /* for a change of the network; 0: not doubted */
    mtime_ms gap_since;     /* the last byte before the stall */
    mtime_ms rtt_ms;        /* least on this connection: a stall shall not pass for a long path */
    /* detached */
    mtime_ms broke_at;
    enum life_loss loss;
    mtime_ms given_up_at; /* first since the connection was proven; MTIME_NEVER: not */
    mtime_ms expires;     /* then so */
    mtime_ms drain_until;
    bool stopping;  /* this end drains because it stops */
    bool no_resume; /* the server's tunnel port is closed: a lost connection ends the session */
    bool quiet;     /* this stall is a repeat: its lines are for the debug log */
    /* client */
    uint64_t epoch; /* server: the highest one served */
    bool frozen;
    mtime_ms attempt_at, attempt_deadline, retry_ms, connect_ms;
    /* SECURING: TLS stands, and the old connection is spared until then; or NEVER */
    mtime_ms ask_at;
    mtime_ms last_start; /* the dial under way knows; MTIME_NEVER: of none */
    mtime_ms hurried_at, renewed_at;
    uint32_t answer_timeouts; /* in a row */
    uint32_t turned_away;     /* in a row: see LIFE_TURNED_AWAY */
    mtime_ms unknown_since;   /* MTIME_NEVER: nobody has said so */
    uint32_t told_answers;    /* bit of enum life_answer */
    bool beside;              /* OPEN_BESIDE was said */
    /* server */
    bool held, refusing;
    /* hints */
    mtime_ms idle_before; /* what waits: so long nothing moved before it */
    mtime_ms idle_least;  /* of the breaks in a row */
    uint32_t idle_breaks;
    bool idle_break;   /* the present stall is one of them */
    bool resume_stuck; /* nothing was acknowledged after one, for long enough */
    bool told_mtu, told_idle;
    /* actions waiting to be pulled */
    struct life_action actions[LIFE_ACTIONS_MAX];
    uint32_t actions_from, actions_to;
    struct rng rng; /* jitter of the waits */
};

/* The open was accepted at now, over a connection that works: UP, SERVING. seed: of the jitter. */
void life_init(struct life *l, const struct life_config *cfg, mtime_ms now, uint64_t seed);

/* The next action, in order. False: there is none. */
bool life_next(struct life *l, struct life_action *ret);

/* When life_tick() has something to do; MTIME_NEVER: nothing. Behind now after a tick at now. */
mtime_ms life_deadline(const struct life *l);
void life_tick(struct life *l, mtime_ms now);

/* ---- facts, both ends ---- */

/* What the mux knows (smux_session_heard_at(), _waiting_since(), _acked()), after each feed and
   before each tick. Only notes it: the next tick, which may be due at once, acts on it. While
   detached: ignored. */
void life_progress(struct life *l, mtime_ms heard_at, mtime_ms waiting_since, uint64_t acked,
                   mtime_ms now);

/* The connection in use is gone. While DETACHED or OVER: ignored. */
void life_lost(struct life *l, enum life_loss loss, mtime_ms now);

/* How many connections of users run in it, whenever that changes. */
void life_streams(struct life *l, uint32_t n, mtime_ms now);

/* The round trip as the mux measures it; 0: unknown. */
void life_rtt(struct life *l, mtime_ms rtt_ms);

/* GOAWAY came. code: enum smux_goaway_code. */
void life_goaway(struct life *l, uint32_t code, uint32_t ms, mtime_ms now);

/* True if it drained, and had its time: an end that comes now cuts what has not finished, whichever
   end's clock was first (LIFE_DRAIN_SLACK_MS). */
bool life_drain_is_over(const struct life *l, mtime_ms now);

/* This end stops, and lets connections finish for drain_ms; 0: ends now. Server: its tunnel port is
   closed. */
void life_stop(struct life *l, mtime_ms drain_ms, mtime_ms now);

/* The owner ends it, without a word to the peer. */
void life_close(struct life *l, mtime_ms now);

/* ---- client ---- */

/* The network may have changed; elsewhere: the connection in use would not be made so now (another
   source address), or the machine slept. */
void life_network_changed(struct life *l, bool elsewhere, mtime_ms now);

/* Another open of ours was answered `taken`: behind an address of the server somebody has our id, who may be this
   very session. If somebody has said `unknown`, it is asked for at once, and soon again: an open and a resume that
   take turns never meet the same one of two servers behind a balancer. */
void life_taken(struct life *l, mtime_ms now);

/* The result of DIAL: TCP stands, after connect_ms; or it does not, and the dialer
   has said why. */
void life_dialled(struct life *l, bool ok, mtime_ms connect_ms, mtime_ms now);

/* The candidate's TLS stands: ASK follows. */
void life_secured(struct life *l, mtime_ms now);

/* The same where nothing can be resumed: the server is there, and the candidate, which is the
   owner's to close, has nothing to ask. elsewhere: at another address than the connection in use,
   or from one, so that this one cannot come back by itself as a path does that was cut for a
   while: it ends. */
void life_found(struct life *l, bool elsewhere, mtime_ms now);

/* The answer to ASK; or before it the candidate's end (FAILED), or its TLS shows that nobody there
   can have the session (UNKNOWN). ACCEPTED, and the peer has received
   peer_rx bytes: SWITCH follows. With any other answer the candidate is the owner's to close: no
   CANCEL follows. */
void life_answered(struct life *l, enum life_answer answer, uint64_t peer_rx, mtime_ms now);

/* ---- server ---- */

/* A resume whose proof is right asks to go on. */
struct life_ask {
    uint64_t epoch;
    uint64_t peer_rx; /* the client has received so many bytes */
    bool in_range;    /* and we can go on from there: smux_session_can_resume() */
};

/* ACCEPTED, or why not: UNKNOWN (over, or never resumable), DRAINING (this server stops), STALE,
   RANGE. Changes nothing: for the line that answers. */
enum life_answer life_judge_resume(const struct life *l, const struct life_ask *ask);

/* True: SWITCH follows. False: nothing has changed, and *ret_refusal says why, as above. */
bool life_resume_asked(struct life *l, const struct life_ask *ask, enum life_answer *ret_refusal,
                       mtime_ms now) MUST_USE;

/* Another client wants the port of one of its services. True: it may have it; false: not (yet). Changes
   nothing: the session and its other ports stay. */
bool life_may_lose_port(const struct life *l, mtime_ms now) MUST_USE;

/* Words for the debug log: "up", "suspected" ... Static. */
const char *life_state_word(enum life_state s);
const char *life_service_word(enum life_service s);
const char *life_attempt_word(enum life_attempt a);
