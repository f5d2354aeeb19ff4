/* SPDX-License-Identifier: MIT */
/* What both ends put into a census (proto/census.h) of a session and of what is counted of a tunnel. */
#pragma once

#include "base/mtime.h"
#include "proto/census.h"
#include "proto/tally.h"

struct relays;
struct session;

/* State, address, and all that session_facts() tells. */
void census_put_session(struct census_part *p, struct census_client *k, const struct session *s);

/* Connections, bytes, the last error and its age. is_server: bytes go out to the peer's target. */
void census_put_tally(struct census_tunnel *t, const struct tally *y, bool is_server, mtime_ms now);

/* Of a tunnel whose port is open: UP, or what its target does. */
enum census_state census_tally_state(const struct tally *y);

/* What all sessions of a loop have together. */
void census_put_relays(struct census_part *p, const struct relays *rs, bool is_server);
