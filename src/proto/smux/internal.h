/* SPDX-License-Identifier: MIT */
/* Private to proto/smux: the structs, and the seams between its files. */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "base/ring.h"
#include "proto/smux/frame.h"
#include "proto/smux/session.h"

enum smux_half {
    HALF_OPEN,
    HALF_FINISHING, /* sending only: FIN is wanted but not written */
    HALF_CLOSED,
};

enum stream_flags {
    ST_SYN_DUE = 1u << 0,
    ST_UPD_DUE = 1u << 1,
    ST_FIN_DUE = 1u << 2,
    ST_RST_DUE = 1u << 3,
    ST_SETTLING = 1u << 4,   /* opened by the peer just now: nothing may be sent yet */
    ST_BLOCKED = 1u << 5,    /* the owner waits for CREDIT */
    ST_UPD_SEEN = 1u << 6,   /* peer_window is the peer's word, not the start value */
    ST_ROOMY = 1u << 7,      /* the peer announced more than a Go peer ever does */
    ST_RELEASED = 1u << 8,   /* the owner has let go */
    ST_HOLD_ACKED = 1u << 9, /* held FIN: the peer has consumed enough; one more step to go */
    ST_BROKEN = 1u << 10,    /* RESET was reported: nothing more is */
    ST_READY_DUE = 1u << 11,
    ST_HAS_OPEN = 1u << 12,    /* `open` is set: SYN_DUE means that one */
    ST_WANTS_READY = 1u << 13, /* opened by us, and the peer has not said READY */
    ST_OWES_READY = 1u << 14,  /* the other way round */
    ST_DUE = ST_SYN_DUE | ST_READY_DUE | ST_UPD_DUE | ST_FIN_DUE | ST_RST_DUE,
};

/* The payload of an OPEN, until there is room to write it. */
struct smux_kept_open {
    uint16_t len;
    uint8_t p[];
};

/* An idle connection costs this and its owner's struct. */
struct smux_stream {
    struct map_node node; /* key: stream id */
    struct smux_session *session;
    void *user;
    struct smux_gauge *gauge; /* NULL: little moves, the window is recv_window */
    struct list due;          /* in session->due while control frames wait for room */
    struct list wait;         /* in one of session->{settling, held, lingering, starved, credit} */
    union {
        mtime_ms wait_until;         /* of settling, held, lingering: of the legacy wire alone */
        struct smux_kept_open *open; /* with HAS_OPEN: of gotunnel/2 alone */
    };
    uint32_t sent, peer_consumed, peer_window;
    uint32_t received, consumed;
    uint32_t announced;  /* `consumed` as the peer last heard it */
    uint32_t limit;      /* the highest `received` the peer was ever allowed */
    uint32_t sent_at_rx; /* `sent` when data last came: is the peer sending at the same time? */
    unsigned flags;      /* enum stream_flags */
    uint8_t held_steps;  /* of a held FIN, since the peer last consumed */
    uint8_t recv, send;  /* enum smux_half */
    uint8_t rst_code;    /* of RST_DUE on gotunnel/2 */
};

/* What a stream has besides while data moves towards us: see window.c. */
struct smux_gauge {
    struct list node; /* in session->gauges, in the order of idle_at */
    struct smux_stream *stream;
    mtime_ms idle_at;
    uint32_t window; /* as announced last; beyond recv_window it is charged to the budget */
    uint32_t want;   /* to be announced next, budget permitting */
    /* the lap, and those measured together with it */
    bool running;
    bool sure;               /* none of them can have been longer than it seems */
    uint32_t laps;           /* finished */
    uint32_t lap_limit;      /* the first byte beyond ends the lap */
    uint32_t first_consumed; /* `consumed` when the first one began */
    mtime_ms first_at, lap_at;
    mtime_ms laps_ms; /* sum */
};

/* Bytes before the count `to` had been sent at a time. */
struct ring_mark {
    uint64_t to;
    mtime_ms at;
};

/* What decides the size of the outgoing ring of gotunnel/2: see ring_gauge.c. */
struct ring_gauge {
    size_t limit;     /* what data may fill. Less than the ring has: it is to become so small */
    bool cannot_grow; /* the ring is full and found no memory, until something is acked */
    struct ring_mark mark[2]; /* the later one first */
    uint64_t turnover_to;     /* when this is acked a full ring has turned over; 0: none is timed */
    mtime_ms turnover_since;  /* when that began */
    mtime_ms least_ms;        /* of the turnovers of this look, at this size; MTIME_NEVER: none */
    mtime_ms last_least_ms;   /* of the look before */
    uint64_t held_max;        /* bytes in the ring during this look */
    uint64_t last_held_max;
    mtime_ms look_since; /* when this look began */
    uint32_t looks;      /* finished ones, at this size */
    uint32_t turnovers;  /* timed ones, at this size */
    mtime_ms smaller_ms; /* least turnover before the ring last grew; MTIME_NEVER: that paid */
    mtime_ms no_growth_until;
    mtime_ms larger_ms; /* least turnover before the half was tried; MTIME_NEVER: that is judged */
    mtime_ms no_half_until;
};

/* What a session of gotunnel/2 knows of the two byte counts: see replay.c. */
struct replay {
    bool detached;

    /* received */
    uint64_t received;      /* what was eaten */
    uint64_t acked_to_peer; /* `received` as the peer last heard it */
    mtime_ms ack_due_at;    /* by then it hears it again; MTIME_NEVER: nothing asks for that */

    /* sent */
    uint64_t sent_max;       /* the ring's `sent` before it was ever set back */
    uint64_t unacked_to;     /* count behind the last staged frame that asks for an ACK */
    mtime_ms waiting_since;  /* when that last saw progress; MTIME_NEVER: it is acknowledged */
    mtime_ms acked_at;       /* when an ACK last said something new, or the wait began */
    uint64_t heard;          /* bytes received since then */
    uint64_t pace_from;      /* acknowledged when the pace was last good enough, ... */
    mtime_ms pace_at;        /* ... and when that was: see REPLAY_PACE_MS */
    uint64_t old_acks_to;    /* ACKs that say so much or less were sent before the resume: they are
                                ignored and not counted as useless */
    uint64_t late_frames_to; /* count behind the last FIN or RST we staged, or the first PING after
                                a resume. Until the peer acknowledges it, frames for streams that
                                are gone were under way; afterwards they are a fault of the peer */

    struct ring_gauge gauge;
    uint64_t charged; /* to cfg.replay */
};

/* Keepalive of gotunnel/2, and what else the session says for itself: see liveness.c. */
struct liveness {
    bool ping_due, pong_due;
    bool ping_open; /* the PONG to ping_word is to come */
    uint64_t ping_word, pong_word;
    mtime_ms ping_at; /* when the last PING became due, or was staged */
    uint32_t rtt_us;
    /* GOAWAY */
    bool goaway_due, goaway_said, goaway_heard;
    uint32_t goaway_code, goaway_ms; /* of the one to say */
    uint64_t goaway_to;              /* count behind the first one we said; 0: none is written */
    mtime_ms goaway_ends_at;         /* of those heard: the session ends then */
    uint32_t glitches;               /* since glitches_at */
    mtime_ms glitches_at;
};

struct smux_session {
    struct smux_config cfg;
    struct map streams;
    struct ring out;
    struct list due, settling, held, lingering, starved, credit;
    struct list gauges; /* of struct smux_gauge: the one that rests first comes first */
    uint32_t rtt_us;    /* shortest lap of any stream; 0: none yet */
    mtime_ms rtt_at;
    uint32_t lingering_count;
    uint32_t next_sid;
    uint32_t excess; /* see smux_config.peer_excess_max */
    mtime_ms now;    /* of the last call that said */
    mtime_ms nop_at, last_rx;
    bool nop_due;
    uint8_t known;  /* enum smux_known: what the peer may say */
    uint32_t stage; /* unsent bytes above which no data is staged */
    int dead;       /* the error that ended the session, or 0 */
    struct smux_stream
        *control; /* with services: stream 1, which is there as long as the session */
    struct replay replay;
    struct liveness live;
    /* the frame that is being received */
    size_t head_len;
    struct smux_stream *cur; /* of the PSH in progress; NULL: its payload is dropped */
    uint32_t cur_left;
    uint8_t head[]; /* header, and payload of all but PSH: the longest that is `known` */
};

static inline bool is_v2(const struct smux_session *s)
{
    return s->cfg.version >= SMUX_WIRE_GOTUNNEL2;
}

static inline bool has_services(const struct smux_session *s)
{
    return s->control != NULL;
}

/* Streams in the table, lingering ones included, the control stream not. */
static inline uint32_t session_streams(const struct smux_session *s)
{
    return (uint32_t)map_count(&s->streams) - has_services(s);
}

/* ---- session.c ---- */

/* A stream with the next id of ours, whose SYN or OPEN is due. 0, ERR_NOMEM, ERR_LIMIT,
   ERR_BADSTATE: see smux_stream_open(). */
int session_open_next(struct smux_session *s, void *user, struct smux_stream **ret) MUST_USE;

/* The UPD that a new stream begins with, if any: ST_UPD_DUE or 0. */
unsigned session_first_upd(const struct smux_session *s);

/* ---- stream.c ---- */

/* A stream in the table, both halves open. NULL without memory. */
struct smux_stream *stream_new(struct smux_session *s, uint32_t sid, void *user);
void stream_free(struct smux_stream *st);

/* Bytes the peer and our own care for it allow now; <= 0: none. *ret_starved: only the session's
   budget stands in the way. */
int64_t stream_credit(const struct smux_stream *st, bool *ret_starved);

/* Takes an UPD in. True when the stream is to be reset: the peer says it consumed what was never
   sent. */
bool stream_upd(struct smux_stream *st, struct smux_upd upd);

/* The peer's FIN is here: nothing more will come. */
void stream_fin_seen(struct smux_stream *st);

/* The peer has the stream in its table for sure: queues what waited for that. */
void stream_settled(struct smux_stream *st);

/* Marks control frames as due. */
void stream_due(struct smux_stream *st, unsigned flags);

/* Reports CREDIT if the owner waits for it and there is some. */
void stream_wake(struct smux_stream *st);

/* After any change of a half: frees a stream that is over, or lets it linger. st may be gone
   afterwards. */
void stream_end_check(struct smux_stream *st);

/* The owner is gone: what was delivered to it counts as consumed, what comes is dropped. */
void stream_release(struct smux_stream *st);

/* One step of a held FIN (every HOLD_STEP_MS). */
void stream_hold_step(struct smux_stream *st);

/* ---- window.c ---- */

/* The window the peer last heard of; recv_window to begin with. */
uint32_t stream_window(const struct smux_stream *st);

/* The window to announce now, together with st->consumed. */
uint32_t window_announce(struct smux_stream *st);

/* Ends a lap: see window_received(). */
void window_lap(struct smux_stream *st);

/* st->received has grown. */
static inline void window_received(struct smux_stream *st)
{
    const struct smux_gauge *g = st->gauge;
    if (g && g->running && (int32_t)(st->received - g->lap_limit) > 0)
        window_lap(st);
}

/* The window falls to recv_window, or to what the reader has before it, if that is more. What was
   announced stays allowed; the caller has the new window announced. */
void window_rest(struct smux_stream *st);

/* Gives everything back. */
void window_end(struct smux_stream *st);

/* Lets the windows of idle streams fall. */
void window_tick(struct smux_session *s);
mtime_ms window_deadline(const struct smux_session *s);

/* ---- output.c ---- */

/* Writes the control frames that are due, as far as the ring has room. */
void output_control(struct smux_session *s);

/* Stages the head of a frame; its payload, if any, is to be written to the place returned. There
   must be room. */
uint8_t *output_frame(struct smux_session *s, enum smux_cmd cmd, uint16_t len, uint32_t sid);

/* True if the ring has room for a frame of data and leaves the reserves alone. */
bool output_has_data_room(const struct smux_session *s);

/* True if behind so many full frames of data, that are reserved but not staged, there is room for
   one more in the ring as it is, and in the stage. */
bool output_has_frame_room(const struct smux_session *s, size_t frames);

/* True if data may be staged now; makes the ring grow for it if need be. */
bool output_make_room(struct smux_session *s);

/* ---- the rest is of gotunnel/2 ---- */

enum {
    /* Room in the ring for ACK, PING, PONG and GOAWAY alone. Without it two full rings could never
       say what they have received: 59 of 60 simulated runs froze; 107 bytes of it were ever used
       (docs/protocol.md 4.3). */
    REPLAY_RESERVE = 4096,
    REPLAY_FRAME_BYTES = SMUX_HEADER_BYTES + SMUX_WORD_BYTES,
};

/* ---- replay.c ---- */

void replay_init(struct smux_session *s);

enum { REPLAY_ACK_MS = 100 }; /* as Mosh delays its own */

/* A peer that acknowledges less in this time, while as much or more waits all along, is given up:
   slower than 300 bit/s is no link, but a peer that wants us to keep what it never takes. */
enum { REPLAY_PACE_BYTES = 1024, REPLAY_PACE_MS = 30000 };

/* Something was received that asks for an ACK: every frame but ACK does. */
static inline void replay_ack_wanted(struct smux_session *s)
{
    if (s->replay.ack_due_at == MTIME_NEVER)
        s->replay.ack_due_at = s->now + REPLAY_ACK_MS;
}

/* The pace is judged from here on. */
static inline void replay_pace_anew(struct smux_session *s)
{
    s->replay.pace_from = s->out.released;
    s->replay.pace_at = s->now;
}

/* What is staged by now waits for an ACK of the peer. */
static inline void replay_waits(struct smux_session *s)
{
    struct replay *r = &s->replay;
    if (r->unacked_to < s->out.released + REPLAY_PACE_BYTES)
        replay_pace_anew(s); /* not much had been waiting */
    r->unacked_to = s->out.staged;
    if (r->waiting_since != MTIME_NEVER)
        return;
    r->waiting_since = r->acked_at = s->now;
    r->heard = 0;
}

/* When a peer that acknowledges next to nothing is given up. */
mtime_ms replay_pace_ends(const struct smux_session *s);

/* n bytes were received: perhaps what stands in front of the ACK. */
void replay_heard(struct smux_session *s, size_t n);

/* The peer says that it has received so much. 0, ERR_PROTO, ERR_LIMIT. */
int replay_acked(struct smux_session *s, uint64_t count);

/* So many unacknowledged bytes are acknowledged at once. */
uint64_t replay_ack_bytes(const struct smux_session *s);

/* True if an ACK is to be written now; `anyway`: something else is, too. */
bool replay_ack_is_due(const struct smux_session *s, bool anyway);
void replay_put_ack(struct smux_session *s);

/* n bytes are on their way: they stay in the ring until they are acknowledged. */
void replay_sent(struct smux_session *s, size_t n);

/* ---- ring_gauge.c ---- */

void ring_gauge_init(struct smux_session *s);

/* Bytes were sent. */
void ring_gauge_sent(struct smux_session *s);

/* What is before `count` has been acknowledged, and released: may make the ring smaller. */
void ring_gauge_acked(struct smux_session *s, uint64_t count);

/* A new connection: what was measured is of another path. */
void ring_gauge_resumed(struct smux_session *s);

/* The ring holds next to nothing: back to the size it began with. */
void ring_gauge_trim(struct smux_session *s);

/* Gives the budget its share back. */
void ring_gauge_end(struct smux_session *s);

/* True while the ring may still grow, in size and by what growing would gain. */
bool ring_can_grow(const struct smux_session *s);

/* The ring lacks room for something: makes it grow if it may. False: it has not. */
bool ring_grow(struct smux_session *s);

/* ---- liveness.c ---- */

void liveness_init(struct smux_session *s);

/* 0 or ERR_TIMEOUT. */
int liveness_tick(struct smux_session *s);
mtime_ms liveness_deadline(const struct smux_session *s);

int liveness_on_ping(struct smux_session *s, uint64_t word);
int liveness_on_pong(struct smux_session *s, uint64_t word);
int liveness_on_goaway(struct smux_session *s, const uint8_t *p, struct smux_event *ev);

/* Writes GOAWAY, ACK, PONG and PING as they are due, with the ring's last room. */
void liveness_control(struct smux_session *s);

/* After a resume: a PING shows that the new path carries both ways. */
void liveness_resumed(struct smux_session *s);

/* Counts a frame that was of no use. 0, or ERR_LIMIT: too many of them. */
int liveness_glitch(struct smux_session *s);

/* True once an end has said that the session ends: neither opens streams any more. */
static inline bool is_going_away(const struct smux_session *s)
{
    return s->live.goaway_said || s->live.goaway_heard;
}

/* ---- v2.c ---- */

/* Whether a frame whose head is complete may come on st (NULL: no such stream) now. 0, ERR_PROTO,
   ERR_LIMIT. */
int v2_check(struct smux_session *s, const struct smux_stream *st, const struct smux_header *h);

/* The peer's RST: both halves are over. st is freed if its owner has gone: false. */
bool v2_reset_seen(struct smux_stream *st);

/* The owner resets st. */
void v2_reset(struct smux_stream *st, enum smux_reset_code code);

/* Writes the RST that is due, and frees st. */
void v2_put_rst(struct smux_stream *st);

/* ---- services.c ---- */

/* Makes the control stream, if the session is to have one. 0 or ERR_NOMEM. */
int services_init(struct smux_session *s) MUST_USE;

/* Reads the OPEN that is in s->head, n bytes of payload; *ret_flags: what the stream begins with.
   0 or ERR_PROTO. */
int services_on_open(const struct smux_session *s, size_t n, unsigned *ret_flags) MUST_USE;

/* The peer's READY, for an id of which no frame is illegal. True if it is news for the owner. */
bool services_on_ready(struct smux_stream *st);

/* Writes the OPEN of st. */
void services_put_open(struct smux_stream *st);

/* Frees what is kept of an OPEN that was not written. */
void services_forget_open(struct smux_stream *st);
