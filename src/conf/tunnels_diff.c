/* SPDX-License-Identifier: MIT */
/* Two lists of tunnels, compared by name. */
#include "conf/tunnels_diff.h"

#include <string.h>

/* The place of that name; it is looked for first where it is in nearly every file: behind the one before. */
static uint32_t place_of(const struct tunnels *ts, const char *name, uint32_t likely)
{
    for (uint32_t n = 0; n < ts->count; n++) {
        uint32_t i = (likely + n) % ts->count;
        if (strcmp(ts->at[i].name, name) == 0)
            return i;
    }
    return TUNNEL_NOWHERE;
}

static struct tunnel_edit edit_of(const struct tunnel_option *was, const struct tunnel_option *is)
{
    struct tunnel_edit e = {.change = TUNNEL_SAME};
    e.has_new_target = strcmp(was->target, is->target) != 0;
    if (was->port != is->port)
        e.change = TUNNEL_PLACE;
    else if (e.has_new_target)
        e.change = TUNNEL_TARGET;
    return e;
}

void tunnels_diff(const struct tunnels *was, const struct tunnels *is,
                  struct tunnel_edit *ret_edits, bool *ret_stays, struct tunnels_diff *ret)
{
    struct tunnels_diff d = {.closed = was->count};
    uint32_t likely = 0;
    for (uint32_t i = 0; i < was->count; i++)
        ret_stays[i] = false;
    for (uint32_t i = 0; i < is->count; i++) {
        uint32_t from = place_of(was, is->at[i].name, likely);
        if (from == TUNNEL_NOWHERE) {
            ret_edits[i] = (struct tunnel_edit){.change = TUNNEL_NEW, .was = TUNNEL_NOWHERE};
            d.fresh++;
            continue;
        }
        ret_edits[i] = edit_of(&was->at[from], &is->at[i]);
        ret_edits[i].was = from;
        ret_stays[from] = true;
        d.closed--;
        if (ret_edits[i].change == TUNNEL_SAME)
            d.same++;
        else
            d.changed++;
        likely = from + 1;
    }
    *ret = d;
}
