/* SPDX-License-Identifier: MIT */
/* The end of a session that drains: what its owner is told of it. */
#include "tunnel/internal.h"

void session_note_drained(struct session *s)
{
    if (s->life.service != LIFE_DRAINING)
        return;
    bool is_over = life_drain_is_over(&s->life, loop_now(s->cfg.loop));
    if (s->relay_count > 0 && is_over)
        s->ops->on_tell(s->ctx,
                        &(struct life_action){.kind = LIFE_TELL, .tell = {.what = LIFE_TELL_CUT}},
                        &s->why);
    if (s->relay_count == 0 || is_over)
        s->reason = END_DRAINED;
}
