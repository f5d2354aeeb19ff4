/* SPDX-License-Identifier: MIT */
/*
 * What differs between the tunnels a client has and those that its file says now, by their names. The
 * order of a list is no difference. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "conf/tunnels.h"

enum tunnel_change {
    TUNNEL_SAME,
    TUNNEL_TARGET, /* another target alone: for connections to come */
    TUNNEL_PLACE,  /* another public port, and perhaps another target: another service */
    TUNNEL_NEW,    /* there was none of its name */
};

enum { TUNNEL_NOWHERE = UINT32_MAX };

/* An entry of the list that is to be. */
struct tunnel_edit {
    enum tunnel_change change;
    uint32_t was;        /* its place in the list that was; TUNNEL_NOWHERE: TUNNEL_NEW */
    bool has_new_target; /* also of TUNNEL_PLACE; not of TUNNEL_NEW */
};

struct tunnels_diff {
    uint32_t fresh, changed, closed, same; /* how many there are of each */
};

/* ret_edits has a row for each entry of is, ret_stays one for each of was: false where its name is gone. */
void tunnels_diff(const struct tunnels *was, const struct tunnels *is,
                  struct tunnel_edit *ret_edits, bool *ret_stays, struct tunnels_diff *ret);
