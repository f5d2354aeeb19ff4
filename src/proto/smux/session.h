/* SPDX-License-Identifier: MIT */
/*
 * A mux session without I/O: bytes, time and memory come in as arguments; events and bytes go out.
 *
 *   in:    smux_session_feed() eats received bytes and returns one event at a time;
 *          smux_session_tick() does the same for the passing of time (due at
 *          smux_session_deadline()).
 *   out:   smux_session_output() shows the bytes to send, smux_session_sent() says how many went.
 *   user:  smux_stream_reserve()/commit() put data straight behind a frame header in the outgoing
 *          ring; smux_stream_consumed() gives credit back; finish, close and reset end a stream.
 *
 * Nothing here calls back, so nothing can re-enter or free what the caller holds. A stream belongs
 * to the session; the owner's pointer stays valid until the owner calls smux_stream_close() or
 * smux_stream_reset(), or frees the session.
 *
 * A stream is two half-machines (smux FIN ends one direction only; what an old Go peer does with
 * the other one is in docs/protocol.md 2.2):
 *
 *   receive:  OPEN --FIN--> CLOSED
 *   send:     OPEN --finish--> FINISHING --FIN written--> CLOSED
 *
 * Flow control towards us: the peer may have as many bytes of a stream unconsumed as its window
 * says (never less than the 262,144 every smux sender starts with); more is a protocol error. So
 * memory is bounded by streams x window, and reading the connection never has to stop: a stalled
 * stream stalls alone. Windows grow with what is consumed in a round trip (window.c), all together
 * no further than a budget.
 *
 * There are two wires. The legacy one is smux v2, as the Go original speaks it; what is said of Go
 * peers is of that one. A session of gotunnel/2 (docs/protocol.md 4) outlives its connection: all
 * it sends stays in the outgoing ring until the peer acknowledges it, so after
 *
 *   smux_session_detach()   the connection is gone; nothing is sent or received, streams stay
 *   smux_session_resume()   there is a new one, and the peer has received so much
 *
 * not a byte is missing or comes twice. Its streams end exactly: FIN ends one direction, RST both,
 * with a reason. A stream whose owner closes it before the peer's FIN is reset.
 *
 * Where both ends can do it (smux_config.caps), a session of gotunnel/2 carries several services:
 *
 *   smux_session_control()      a stream that is there from the first byte to the last; what is said
 *                               on it is the owners'
 *   smux_stream_open_service()  opens a stream that says which service it is for, and whose
 *                               connection it carries; the acceptor's smux_event_open() reads it
 *   smux_stream_ready()         the acceptor has connected the target: SMUX_EV_READY at the opener
 *
 * All of it lies inside the numbered bytes: a cut changes nothing of its order, and repeats nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attr.h"
#include "base/mtime.h"
#include "proto/smux/frame.h"
#include "proto/smux/open.h"

struct smux_session;
struct smux_stream;

enum {
    /* What every smux v2 sender assumes before the first UPD (stream.go, initialPeerWindow). */
    SMUX_START_WINDOW = 262144,
    /* What a Go peer announces in each UPD (smux DefaultConfig, MaxStreamBuffer). A peer that
       announces more has buffers of its own and no shared 4 MiB bucket. */
    SMUX_GO_WINDOW = 65536,
    /* A Go peer leaves up to this many consumed bytes unannounced for ever (half its window less
       one). */
    SMUX_GO_UNANNOUNCED = 32767,
    /* One more than that: with so much in flight a Go peer that reads always announces. Every
       stream may have it, whatever the budget says, so that stalled ones cannot starve it. */
    SMUX_GO_FREE = SMUX_GO_UNANNOUNCED + 1,
    /* An eighth of its window consumed is announced: waiting for half of it makes a sender over a
       distance wait too (docs/design.md). */
    SMUX_ANNOUNCE_PART = 8,
    /* After so long without an announcement a window falls back to recv_window. */
    SMUX_WINDOW_IDLE_MS = 10000,
    /* Header + payload fill one TLS record of 16,384 bytes. */
    SMUX_FRAME_PAYLOAD = 16376,
    SMUX_FRAME_BYTES = SMUX_FRAME_PAYLOAD + 8, /* with its header (frame.h) */
    /* The least that may be staged: with less than a record of 16 KiB waiting, a link that has just
       become fast again would run dry. 64 kbit/s take 2 s for it. */
    SMUX_STAGE_MIN = 16384,
    SMUX_CONTROL_SID = 1,
};

/* What an end can do beyond gotunnel/2 as it was, once the other one has said that it can too. */
enum smux_cap {
    SMUX_CAP_SERVICES = 1u << 0, /* the control stream, and OPEN in the place of SYN */
    SMUX_CAP_READY = 1u << 1,    /* READY; who has no services never asks for it */
};

/*
 * An UPD with this window, then FIN, says "reset". The old wire has no word for it; a Go peer reads
 * the window as negative, stops sending on a stream that ends anyway, and sees the FIN. It computes
 * int32(window) - inflight, so the number is a small negative one: -2^31 + 1 would wrap around and
 * open the window wide. docs/protocol.md 2.3.
 */
#define SMUX_RESET_WINDOW 0xffff0001u

/*
 * What many sessions together may have beyond what each begins with: the receive windows of their
 * streams beyond recv_window, or their rings beyond ring_bytes. Whoever runs the sessions owns it,
 * sets max, and may change that at any time. Plain numbers: its sessions must belong to one thread.
 * Streams that want all they can get come to equal shares, and leave one of these free for the
 * next.
 */
struct smux_budget {
    uint64_t max;
    uint64_t used;
};

struct smux_config {
    uint8_t version; /* the wire: SMUX_WIRE_LEGACY or SMUX_WIRE_GOTUNNEL2 */
    bool is_client;  /* we open streams 3, 5, 7 ...; a server 2, 4, 6 ... */

    /* Bytes a stream may have unconsumed at first, and after a rest: SMUX_START_WINDOW ..
       0x7fffffff; default 262,144. */
    uint32_t recv_window;
    /* How far that may grow; default 16 MiB: 100 ms at 100 MB/s need 10 MB, and a little more as it
       is announced in portions. */
    uint32_t recv_window_max;
    struct smux_budget *budget; /* must outlive the session; NULL, the default: windows stay */
    /* Streams of both sides together, each about 120 bytes; a SYN above it ends the session (a peer
       that floods). Default 131,072. */
    uint32_t max_streams;
    /* Unsent bytes above which no data is staged; default 65,536: more makes a keystroke wait
       behind bulk (measured, docs/design.md). */
    uint32_t stage_max;
    /* The outgoing ring; default 262,144: stage_max, one frame, and control frames. */
    size_t ring_bytes;
    /* Towards a Go peer: the most that all its streams together may have in flight beyond
       SMUX_GO_FREE each. They share a bucket of 4 MiB, and a stalled one keeps all it was sent in
       it: with the default of 1 MiB 32 stalled users get 64 KiB, further ones half of it, and it
       takes 96 to freeze the session instead of 64. */
    uint32_t peer_excess_max;
    /* Closed streams that wait for the peer's FIN; the oldest goes first; default 4,096. */
    uint32_t linger_max;
    mtime_ms nop_ms; /* NOP interval, from the session's start; default 10,000 */
    /* Silence after which the peer is dead; default 30,000; on gotunnel/2 15,000, and as long
       without progress of what waits for an ACK. */
    mtime_ms dead_ms;
    /* Least wait before answering a SYN without having seen data: a Go peer loses what comes before
       it has entered the stream in its table, which a busy machine delays by some ms (measured);
       one of ours announces a window with its SYN, so nothing waits for it. Default 20. */
    mtime_ms settle_ms;
    mtime_ms linger_ms; /* how long a closed stream waits for the peer's FIN; default 60,000 */

    /* gotunnel/2 only. */

    /* The ring grows from ring_bytes (default there 1 MiB) to so much as bytes wait for their ACK
       on a long path; default 16 MiB, as the windows: 100 MB/s x 100 ms and a margin. */
    size_t ring_max;
    /* What the rings of many sessions may grow by; must outlive the session; NULL: no limit but
       ring_max. */
    struct smux_budget *replay;
    mtime_ms ping_ms; /* PING after so long without received bytes; default 5,000 */
    bool refuse_syn;  /* a SYN or OPEN of the peer ends the session; default: of a server */
    unsigned caps;    /* enum smux_cap, the same at both ends; default: none */

    const struct alloc *alloc; /* NULL: malloc */
};

/* All defaults of one wire. */
struct smux_config smux_config_default(bool is_client, uint8_t version);

/* Why a stream was reset; on the wire of gotunnel/2 only. */
enum smux_reset_code {
    SMUX_RST_UNSPECIFIED = 0,
    SMUX_RST_PEER_RESET = 1,      /* the socket behind the stream was reset */
    SMUX_RST_CONNECT_REFUSED = 2, /* the target did not take the connection */
    SMUX_RST_CONNECT_TIMEOUT = 3,
    SMUX_RST_BUSY = 4, /* a limit was reached */
    SMUX_RST_IDLE_TIMEOUT = 5,
    SMUX_RST_STALLED = 6, /* its reader stood still, and room was needed */
    SMUX_RST_SHUTDOWN = 7,
    SMUX_RST_NO_SERVICE = 8, /* the acceptor has no such service: its OPEN has crossed the end */
};

/* Why a session ends. */
enum smux_goaway_code {
    SMUX_GOAWAY_SHUTDOWN = 0,
    SMUX_GOAWAY_REPLACED = 1, /* a server: another session of the same client has taken its place */
    SMUX_GOAWAY_PROTOCOL = 2, /* the receiver of GOAWAY broke the protocol */
    SMUX_GOAWAY_SECRET_CHANGED = 3,
    SMUX_GOAWAY_EXPIRED = 4, /* the resume window is over */
};

enum smux_event_type {
    SMUX_EV_OPENED, /* the peer opened stream; give it an owner, or close it. What it is for:
                       smux_event_open() */
    SMUX_EV_DATA,   /* data[0..len) of stream, in order; points into the fed input */
    SMUX_EV_FIN,    /* no more data will come on stream */
    SMUX_EV_RESET,  /* the peer gave the stream up, or broke its flow control (err); close it. Data
                       that has not been delivered is lost */
    SMUX_EV_CREDIT, /* stream, refused by smux_stream_reserve(), may be tried again */
    SMUX_EV_GOAWAY, /* the peer ends the session in ms milliseconds (0: now), whatever runs in it;
                       no stream. Until then streams go on. May come again: with another code, or
                       less time */
    SMUX_EV_READY,  /* the acceptor of stream, which was asked to say so, has connected its target.
                       At most once, and before any of its data */
};

struct smux_event {
    enum smux_event_type type;
    struct smux_stream *stream;
    void *user;          /* the stream's owner (smux_stream_set_user) */
    const uint8_t *data; /* of OPENED: what smux_event_open() reads */
    size_t len;
    int err;       /* of RESET: ERR_RESET or ERR_PROTO */
    uint32_t code; /* of RESET: enum smux_reset_code, 0 on the legacy wire; of GOAWAY: enum
                      smux_goaway_code; the peer may know more than we do */
    uint32_t ms;   /* of GOAWAY: left from now; never beyond what an earlier one said */
};

struct smux_input {
    const uint8_t *p;
    size_t n;
};

/* 0, or ERR_NOMEM / ERR_INVAL (a bound above; caps on the legacy wire). The NOP clock starts at
   now. */
int smux_session_new(const struct smux_config *cfg, mtime_ms now,
                     struct smux_session **ret) MUST_USE;

/* Frees the session and all its streams; no event comes of it. NULL is fine. */
void smux_session_free(struct smux_session *s);

/*
 * Eats input until there is an event: 1 and *ev is set (in says what is left: call again), 0 when
 * all was eaten, ERR_PROTO (malformed frame, window overrun) or ERR_LIMIT (too many streams, or
 * useless frames) or ERR_NOMEM: the session is over, and every later call says the same. Any split
 * of the input gives the same events. ERR_BADSTATE while detached.
 */
int smux_session_feed(struct smux_session *s, struct smux_input *in, mtime_ms now,
                      struct smux_event *ev) MUST_USE;

/* Like feed, for what time brings: 1 an event, 0 nothing more now, ERR_TIMEOUT the peer is silent.
   The legacy session is over then; one of gotunnel/2 is to be detached by its owner. */
int smux_session_tick(struct smux_session *s, mtime_ms now, struct smux_event *ev) MUST_USE;

/* When tick has something to do next. MTIME_NEVER only while detached: keepalive always runs. */
mtime_ms smux_session_deadline(const struct smux_session *s);

/* Says the time where no other call does: before a turn that reserves and sends. */
void smux_session_clock(struct smux_session *s, mtime_ms now);

/* The bytes to send now, in one piece, valid until the next call; *ret_n 0 if none. Control frames
   that are due are put in first. */
const uint8_t *smux_session_output(struct smux_session *s, size_t *ret_n);

/* The first n bytes of that are on their way. */
void smux_session_sent(struct smux_session *s, size_t n);

/* Nothing has moved for a while: gives the memory of the outgoing ring back if it is (next to)
   empty. */
void smux_session_trim(struct smux_session *s);

/* How many unsent bytes may be staged from now on: SMUX_STAGE_MIN .. stage_max, what is beyond is
   taken as the nearest. For an owner that sees how fast the connection takes them. */
void smux_session_set_stage(struct smux_session *s, uint32_t bytes);

/* False while that is reached, on gotunnel/2 also while the ring is full of what the peer has not
   acknowledged: readers of users' sockets wait until output was sent, or something was fed. */
bool smux_session_can_stage(const struct smux_session *s);

/* Streams that are not over: an owner has them, or data, FIN or RST is still to be written. Those
   that only wait for the peer's FIN (they linger, on the legacy wire) do not count, nor does the
   control stream. */
uint32_t smux_session_open_streams(const struct smux_session *s);

/* ---- gotunnel/2: sessions that outlive connections (replay.c, liveness.c) ---- */

/* Bytes of the mux received so far, every one that feed has eaten: what a resume tells the peer.
   Connections are read no further once it was told. */
uint64_t smux_session_received(const struct smux_session *s);

/* The connection is gone: there is no output, no deadline, tick does nothing, reserve says
   ERR_LIMIT. Streams may still be opened, closed, reset, consumed: it is told after the resume. */
void smux_session_detach(struct smux_session *s);

/* True if a peer that has received peer_rx bytes can go on from there: not less than it has
   acknowledged, not more than was ever sent, and the session is not over. */
bool smux_session_can_resume(const struct smux_session *s, uint64_t peer_rx);

/* A new connection carries on; what the peer has is released, the rest is sent again, from the
   middle of a frame if need be. Detaches first if that was not done. 0, or ERR_RANGE where
   can_resume says false: nothing has changed. */
int smux_session_resume(struct smux_session *s, uint64_t peer_rx, mtime_ms now) MUST_USE;

/* Since when something that asks for an ACK has waited for it without any progress; MTIME_NEVER:
   nothing does. Progress is an ACK that says something new, and bytes of the peer that keep coming
   at 8 kbit/s or more, up to 4 MiB since the last such ACK: it may stand behind them. As exact as
   the clock was told. */
mtime_ms smux_session_waiting_since(const struct smux_session *s);

/* When the last byte of the peer was fed; a resume, and the session's start, count as one. Stays as
   it is while detached: what the user's wait is counted from. */
mtime_ms smux_session_heard_at(const struct smux_session *s);

/* How many bytes of ours the peer has acknowledged, by ACK or by a resume. */
uint64_t smux_session_acked(const struct smux_session *s);

/* The last round trip of a PING, in microseconds; 0: none yet. */
uint32_t smux_session_rtt_us(const struct smux_session *s);

/* Bytes kept in the ring now: unsent, or sent and not acknowledged. */
uint64_t smux_session_held(const struct smux_session *s);

/* Tells the peer that we end the session in ms milliseconds; 0: now. Goes ahead of everything that
   is not staged yet, also after an error of the session, and waits while detached. The owner keeps
   the time. Until then streams go on; no new ones are opened, and a SYN of the peer, which had not
   heard it, is answered with RST SMUX_RST_SHUTDOWN and no event. May be said again, with another
   code or less time. Nothing on the legacy wire, which has no word for it. */
void smux_session_goaway(struct smux_session *s, enum smux_goaway_code code, uint32_t ms);

/* ---- gotunnel/2 with services (services.c, docs/protocol.md 4.7) ---- */

/*
 * The control stream; NULL without SMUX_CAP_SERVICES. It belongs to the session, and is open both
 * ways as long as that. Its owner sets itself with smux_stream_set_user() before anything is fed or
 * ticked, and then treats it as any stream: DATA and CREDIT come for it, reserve and commit write,
 * consumed gives credit back. It is never finished, closed or reset (checked): the peer may not do
 * so either, nor ever be told. What the owner has not consumed is at most cfg.recv_window, which
 * does not grow here. Detached, reserve says ERR_LIMIT as for any stream.
 */
struct smux_stream *smux_session_control(struct smux_session *s);

/* The owner of the control stream has read something of no use, as a line that a later version may
   mean: it counts as a useless frame of the peer (docs/protocol.md 4.4). 0, or ERR_LIMIT: too many,
   the session is over. */
int smux_session_count_useless(struct smux_session *s) MUST_USE;

/* Opens a stream for a service, as smux_stream_open(); what open points to is copied. ERR_INVAL:
   open is not valid (open.h). Where the session has no services a SYN goes, and nothing of it. */
int smux_stream_open_service(struct smux_session *s, const struct smux_open *open, void *user,
                             struct smux_stream **ret) MUST_USE;

/* What was said with an OPENED event; until the next call on the session, for the name is in it.
   All 0 where the session has no services: the service is 0 then, which no OPEN says. */
struct smux_open smux_event_open(const struct smux_event *ev);

/* Tells the opener of st that the target is connected: READY goes ahead of all data that is written
   after this. Nothing, if the opener did not ask for it, if it was said before, or after finish or
   the peer's reset. */
void smux_stream_ready(struct smux_stream *st);

/* ---- streams ---- */

/* Opens a stream; its SYN is queued. 0; ERR_NOMEM; ERR_LIMIT (max_streams); ERR_BADSTATE after an
   error, and once GOAWAY was said or heard; ERR_INVAL with services, where no SYN may be said. */
int smux_stream_open(struct smux_session *s, void *user, struct smux_stream **ret) MUST_USE;

void smux_stream_set_user(struct smux_stream *st, void *user);
uint32_t smux_stream_id(const struct smux_stream *st);

/*
 * Where to put data for the peer: *ret_room (> 0) bytes at *ret_p, valid until the next call on the
 * session. ERR_AGAIN: the peer gives no credit, or the stream must settle: SMUX_EV_CREDIT follows;
 * until then stop reading the source. ERR_LIMIT: too much is staged: try again when output was
 * sent. ERR_BADSTATE: finished.
 */
int smux_stream_reserve(struct smux_stream *st, uint8_t **ret_p, size_t *ret_room) MUST_USE;

/* The same for several frames at once, as many as hold `most` bytes (> 0): the room is pieces of
   SMUX_FRAME_PAYLOAD bytes that begin SMUX_FRAME_BYTES apart, the last one may be shorter. What is
   between them is the headers'. No frame more is given than one after the other would be. */
int smux_stream_reserve_frames(struct smux_stream *st, size_t most, uint8_t **ret_p,
                               size_t *ret_room) MUST_USE;

/* n bytes, 0 < n <= room of the last reserve, were put there, the pieces before the last one are
   full: they are staged, a frame each. */
void smux_stream_commit(struct smux_stream *st, size_t n);

/* Copies n bytes, or as many as there is room for now; *ret_n says how many, also 0. 0: all; else why
   not: what smux_stream_reserve() says. */
int smux_stream_write(struct smux_stream *st, const void *p, size_t n, size_t *ret_n) MUST_USE;

/* The owner has passed n more of the DATA bytes on; n must not exceed what was delivered
   (checked). */
void smux_stream_consumed(struct smux_stream *st, size_t n, mtime_ms now);

/* True when writing is hopeless: the peer has sent FIN, looks like a Go peer (which forgets a
   stream with its FIN and never announces again), and gives no credit. The owner may discard what
   its source still says. */
bool smux_stream_peer_gone(const struct smux_stream *st);

/*
 * No more data from us: FIN follows what is staged. Towards a Go peer that is sending at the same
 * time FIN waits until that peer has consumed nearly all, and 200 ms more (smux 1.5.28-1.5.53 drop
 * received bytes at a FIN), at most 5 s without progress. Idempotent.
 */
void smux_stream_finish(struct smux_stream *st, mtime_ms now);

/* The owner lets go: finish, if it was not yet; data that still comes is acknowledged and dropped.
   On gotunnel/2 it is a reset unless the peer's FIN is here. st must not be used any more. */
void smux_stream_close(struct smux_stream *st, mtime_ms now);

/* As close, at once and visibly: a peer of our kind gets SMUX_EV_RESET, a Go peer a FIN. The code
   is lost on the legacy wire. */
void smux_stream_reset(struct smux_stream *st, enum smux_reset_code code, mtime_ms now);
