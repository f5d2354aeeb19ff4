/* SPDX-License-Identifier: MIT */
/* The smux v2 frame codec. */
#include "proto/smux/frame.h"

#include "base/endian.h"
#include "base/err.h"

int smux_header_get(const uint8_t *p, struct smux_header *ret)
{
    /* The payload length each command must have; -1 leaves it to the sender. */
    static const int want_len[] = {
        [SMUX_SYN] = 0,
        [SMUX_FIN] = 0,
        [SMUX_PSH] = -1,
        [SMUX_NOP] = 0,
        [SMUX_UPD] = SMUX_UPD_BYTES,
    };
    uint8_t cmd = p[1];
    uint16_t len = get_le16(p + 2);

    if (p[0] != SMUX_VERSION || cmd >= ARRAY_LEN(want_len))
        return ERR_PROTO;
    if (want_len[cmd] >= 0 && len != want_len[cmd])
        return ERR_PROTO;
    *ret = (struct smux_header){.cmd = (enum smux_cmd)cmd, .len = len, .sid = get_le32(p + 4)};
    return 0;
}

void smux_header_put(uint8_t *p, enum smux_cmd cmd, uint16_t len, uint32_t sid)
{
    p[0] = SMUX_VERSION;
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
