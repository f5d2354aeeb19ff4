/* SPDX-License-Identifier: MIT */
/*
 * Mux frames: 8 bytes of header, then the payload.
 *
 *     u8 version | u8 command | u16 payload length | u32 stream id      (little-endian)
 *
 * The version byte names the wire: 2 is smux's (docs/protocol.md 2), 3 that of gotunnel/2
 * (docs/protocol.md 4): the same five commands, and five more, and those that both ends have agreed
 * on. This file turns bytes into structs and back, and knows nothing of sessions.
 */
#pragma once

#include <stdint.h>

#include "base/attr.h"

enum smux_cmd {
    SMUX_SYN = 0, /* open a stream; no answer */
    SMUX_FIN = 1, /* the sender has no more data for this stream */
    SMUX_PSH = 2, /* data; empty is legal */
    SMUX_NOP = 3, /* keepalive; any stream id */
    SMUX_UPD = 4, /* u32 consumed, u32 window: see session.h */
    /* gotunnel/2 only */
    SMUX_RST = 5,    /* u32 code: the stream is over, in both directions, at once */
    SMUX_ACK = 6,    /* u64: bytes of the mux received so far */
    SMUX_PING = 7,   /* u64: any; asks for a PONG with the same */
    SMUX_PONG = 8,   /* u64 */
    SMUX_GOAWAY = 9, /* u32 code, u32 milliseconds: the sender ends the session after them */
    /* gotunnel/2, where both ends can do it */
    SMUX_OPEN = 10,  /* in the place of SYN: open.h */
    SMUX_READY = 12, /* the target of the stream is connected. (11 is kept for datagrams) */
};

/* Which commands an end takes: a set of these. */
enum smux_known {
    SMUX_KNOWS_LEGACY = 1u << 0,    /* smux's five */
    SMUX_KNOWS_GOTUNNEL2 = 1u << 1, /* of gotunnel/2 all but these: */
    SMUX_KNOWS_SYN = 1u << 2,
    SMUX_KNOWS_OPEN = 1u << 3,
    SMUX_KNOWS_READY = 1u << 4,
};

enum {
    SMUX_WIRE_LEGACY = 2, /* the version bytes */
    SMUX_WIRE_GOTUNNEL2 = 3,
    SMUX_HEADER_BYTES = 8,
    SMUX_UPD_BYTES = 8,
    SMUX_RST_BYTES = 4,
    SMUX_WORD_BYTES = 8,  /* of ACK, PING, PONG and GOAWAY */
    SMUX_FIXED_BYTES = 8, /* the longest payload of any command but PSH and OPEN */
};

struct smux_header {
    enum smux_cmd cmd;
    uint16_t len;
    uint32_t sid;
};

struct smux_upd {
    uint32_t consumed; /* bytes of the stream taken by the application so far, modulo 2^32 */
    uint32_t window;   /* bytes the sender may have unconsumed; read as int32 by peers */
};

/*
 * Reads a header of SMUX_HEADER_BYTES. 0, or ERR_PROTO: another version, a command that is not in
 * the set `known` (enum smux_known), a length other than the command's own (as smux 1.5.56 and later
 * check it; only PSH has any length, and OPEN SMUX_OPEN_MIN to SMUX_OPEN_MAX). On gotunnel/2 also:
 * stream id 0 in a frame of a stream, another one in a frame of the session (NOP, ACK, PING, PONG,
 * GOAWAY).
 */
int smux_header_get(const uint8_t *p, uint8_t version, unsigned known,
                    struct smux_header *ret) MUST_USE;

/* Writes SMUX_HEADER_BYTES. */
void smux_header_put(uint8_t *p, uint8_t version, enum smux_cmd cmd, uint16_t len, uint32_t sid);

/* Read and write the SMUX_UPD_BYTES of payload of an UPD. */
struct smux_upd smux_upd_get(const uint8_t *p);
void smux_upd_put(uint8_t *p, struct smux_upd upd);
