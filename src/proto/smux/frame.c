/* SPDX-License-Identifier: MIT */
/* The frame codec of both versions. */
#include "proto/smux/frame.h"

#include <stdbool.h>

#include "base/endian.h"
#include "base/err.h"
#include "proto/smux/open.h"

/* What a header must look like. */
struct rule {
    uint16_t least, most; /* bytes of payload */
    uint8_t known;        /* enum smux_known: one of these, or nobody may say it */
    bool of_stream;
};

enum { BOTH = SMUX_KNOWS_LEGACY | SMUX_KNOWS_GOTUNNEL2 };

static const struct rule rules[] = {
    [SMUX_SYN] = {0, 0, SMUX_KNOWS_LEGACY | SMUX_KNOWS_SYN, true},
    [SMUX_FIN] = {0, 0, BOTH, true},
    [SMUX_PSH] = {0, UINT16_MAX, BOTH, true},
    [SMUX_NOP] = {0, 0, BOTH, false},
    [SMUX_UPD] = {SMUX_UPD_BYTES, SMUX_UPD_BYTES, BOTH, true},
    [SMUX_RST] = {SMUX_RST_BYTES, SMUX_RST_BYTES, SMUX_KNOWS_GOTUNNEL2, true},
    [SMUX_ACK] = {SMUX_WORD_BYTES, SMUX_WORD_BYTES, SMUX_KNOWS_GOTUNNEL2, false},
    [SMUX_PING] = {SMUX_WORD_BYTES, SMUX_WORD_BYTES, SMUX_KNOWS_GOTUNNEL2, false},
    [SMUX_PONG] = {SMUX_WORD_BYTES, SMUX_WORD_BYTES, SMUX_KNOWS_GOTUNNEL2, false},
    [SMUX_GOAWAY] = {SMUX_WORD_BYTES, SMUX_WORD_BYTES, SMUX_KNOWS_GOTUNNEL2, false},
    [SMUX_OPEN] = {SMUX_OPEN_MIN, SMUX_OPEN_MAX, SMUX_KNOWS_OPEN, true},
    [SMUX_READY] = {0, 0, SMUX_KNOWS_READY, true},
};

int smux_header_get(const uint8_t *p, uint8_t version, unsigned known, struct smux_header *ret)
{
    uint8_t cmd = p[1];
    uint16_t len = get_le16(p + 2);
    uint32_t sid = get_le32(p + 4);

    if (p[0] != version || cmd >= ARRAY_LEN(rules) || !(rules[cmd].known & known))
        return ERR_PROTO;
    if (len < rules[cmd].least || len > rules[cmd].most)
        return ERR_PROTO;
    if (version >= SMUX_WIRE_GOTUNNEL2 && rules[cmd].of_stream != (sid != 0))
        return ERR_PROTO;
    *ret = (struct smux_header){.cmd = (enum smux_cmd)cmd, .len = len, .sid = sid};
    return 0;
}

void smux_header_put(uint8_t *p, uint8_t version, enum smux_cmd cmd, uint16_t len, uint32_t sid)
{
    p[0] = version;
    p[1] = (uint8_t)cmd;
    put_le16(p + 2, len);
    put_le32(p + 4, sid);
}

struct smux_upd smux_upd_get(const uint8_t *p)
{
    return (struct smux_upd){.consumed = get_le32(p), .window = get_le32(p + 4)};
}

void smux_upd_put(uint8_t *p, struct smux_upd upd)
{
    put_le32(p, upd.consumed);
    put_le32(p + 4, upd.window);
}
