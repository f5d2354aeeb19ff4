/* SPDX-License-Identifier: MIT */
/* What a GOAWAY of the peer can mean: it decides what a person reads of the end, so no peer can say
 * what is not its to say. */
#include "base/attr.h"
#include "proto/session/internal.h"
#include "proto/smux/session.h"

/* A client gives no id or secret away; where nothing can be resumed no window ends. */
static const struct {
    bool of_server; /* a client cannot mean it */
    bool of_window; /* only of a session that can be resumed */
} codes[] = {
    [SMUX_GOAWAY_SHUTDOWN] = {false, false},      [SMUX_GOAWAY_REPLACED] = {true, false},
    [SMUX_GOAWAY_PROTOCOL] = {false, false},      [SMUX_GOAWAY_EXPIRED] = {false, true},
    [SMUX_GOAWAY_SECRET_CHANGED] = {true, false},
};

uint32_t goaway_meant(const struct life *l, uint32_t code)
{
    if (code >= ARRAY_LEN(codes) || (codes[code].of_server && !l->cfg.is_client) ||
        (codes[code].of_window && l->cfg.window_ms == 0))
        return SMUX_GOAWAY_SHUTDOWN;
    return code;
}
