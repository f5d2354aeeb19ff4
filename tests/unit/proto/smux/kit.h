/* SPDX-License-Identifier: MIT */
/*
 * A session on a bench: frames are written by hand into it, and what it says comes back as text, so
 * that a rule reads as one line: fed(k) -> "OPENED:3 DATA:3:10 FIN:3", sent(k) ->
 * "UPD:3:10/262144". Time is a number the test sets. Failures inside the kit end the test (cmocka
 * asserts).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/smux/internal.h"

enum { KIT_EVENTS = 4096, KIT_TEXT = 1 << 16, KIT_STREAMS = 512 };

struct kit_event {
    enum smux_event_type type;
    uint32_t sid;
    int err;
    uint32_t code, ms; /* of RESET and GOAWAY */
    uint64_t len;      /* of DATA; neighbours of one stream count as one */
    uint64_t hash;     /* of its bytes */
};

/* Bytes made by the frame builders. */
struct wire {
    uint8_t *p;
    size_t n, cap;
    uint8_t version; /* 0: the legacy one */
};

struct kit {
    struct smux_session *s;
    mtime_ms now;
    struct wire in;                      /* the frames to be fed next */
    uint32_t pretend;                    /* bytes a stream the peer opens is taken to have sent */
    bool eager;                          /* DATA counts as consumed at once */
    struct kit_event events[KIT_EVENTS]; /* since kit_clear() */
    size_t count;
    int code;                                 /* what the last feed or tick ended with */
    struct smux_stream *streams[KIT_STREAMS]; /* by id, those below KIT_STREAMS */
    char text[KIT_TEXT];
    size_t sink;      /* bytes of PSH seen by the last kit_sent() */
    size_t frame_max; /* the longest payload ever seen */
};

/* A fresh session at time 1000; cfg NULL: the defaults. kit_free ends it; both handle the heap. */
struct kit *kit_new(bool is_client, const struct smux_config *cfg);
struct kit *kit_new_v2(bool is_client); /* defaults of gotunnel/2 */

/* An OPEN with a visitor, a name, and so 33 bytes of payload. */
struct smux_open kit_an_open(bool want_ready);
void kit_free(struct kit *k);

/* ---- frames to feed ---- */
void wire_raw(struct wire *w, const void *p, size_t n);
void wire_header(struct wire *w, uint8_t version, uint8_t cmd, uint16_t len, uint32_t sid);
void wire_plain(struct wire *w, enum smux_cmd cmd, uint32_t sid);
void wire_psh(struct wire *w, uint32_t sid, size_t len); /* any len: as many frames as it takes */
void wire_upd(struct wire *w, uint32_t sid, uint32_t consumed, uint32_t window);
void wire_rst(struct wire *w, uint32_t sid, uint32_t code);
void wire_open(struct wire *w, uint32_t sid, const struct smux_open *open); /* which is valid */
void wire_word(struct wire *w, enum smux_cmd cmd, uint64_t word);           /* ACK, PING, PONG */
void wire_goaway(struct wire *w, uint32_t code, uint32_t ms);

/* ---- doing ---- */

/* Feeds n bytes, taking every event; the events are added to k->events. Returns the final code. */
int kit_feed(struct kit *k, const uint8_t *p, size_t n);

/* Feeds k->in whole, forgets it, and gives the events since the last such call as text. */
const char *fed(struct kit *k);

/* Goes on to time `now`, ticking once; the events as text. */
const char *ticked(struct kit *k, mtime_ms now);

/* Takes all output and gives its frames as text: "SYN:2 PSH:2:100 UPD:2:0/262144 FIN:2 NOP:0". */
const char *sent(struct kit *k);

/* Events so far as text; kit_clear() forgets them. */
const char *kit_text(struct kit *k);
void kit_clear(struct kit *k);

/* Opens a stream; it must work. */
struct smux_stream *kit_open(struct kit *k);

/* Writes up to n bytes through reserve/commit, taking output whenever too much is staged. Returns
   how many were taken; *ret_err is the refusal (0 if all went). */
size_t kit_write(struct kit *k, struct smux_stream *st, size_t n, int *ret_err);

/* The session's inner books agree with each other: lists, flags, excess. */
void kit_check(const struct smux_session *s);
