/* SPDX-License-Identifier: MIT */
/*
 * smux version 2 frames: 8 bytes of header, then the payload.
 *
 *     u8 version = 2 | u8 command | u16 payload length | u32 stream id      (little-endian)
 *
 * This file turns bytes into structs and back, and knows nothing of sessions. docs/protocol.md 2.1.
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
};

enum {
    SMUX_VERSION = 2,
    SMUX_HEADER_BYTES = 8,
    SMUX_UPD_BYTES = 8,
    SMUX_PAYLOAD_MAX = 65535, /* what the length field can say */
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
 * Reads a header of SMUX_HEADER_BYTES. 0, or ERR_PROTO: wrong version, unknown command, a length
 * other than 0 for SYN, FIN and NOP, other than 8 for UPD (as smux 1.5.56 and later check it).
 */
int smux_header_get(const uint8_t *p, struct smux_header *ret) MUST_USE;

/* Writes SMUX_HEADER_BYTES. */
void smux_header_put(uint8_t *p, enum smux_cmd cmd, uint16_t len, uint32_t sid);

/* Read and write the SMUX_UPD_BYTES of payload of an UPD. */
struct smux_upd smux_upd_get(const uint8_t *p);
void smux_upd_put(uint8_t *p, struct smux_upd upd);
