/* SPDX-License-Identifier: MIT */
/*
 * libuv in virtual time, as far as net/loop, net/poller and what stands on them use it: one loop,
 * whose clock only moves when it is told to, so that a run depends on its input alone and costs no
 * waiting. It is linked before libuv. Sockets are real: net/poller's epoll set is asked once a turn.
 */
#pragma once

#include <stdint.h>

#include "base/mtime.h"

/* The time moves on; what is due then runs in the next turn, that is in uv_run(). */
void virtual_pass(mtime_ms ms);

/* When the next timer is due; MTIME_NEVER: none runs. */
mtime_ms virtual_deadline(void);

/* Handles that are not closed. */
unsigned virtual_handles(void);
