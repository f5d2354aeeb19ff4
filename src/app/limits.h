/* SPDX-License-Identifier: MIT */
/* Descriptor limits of the process, and what they allow. */
#pragma once

#include <stdint.h>

/*
 * Raises the soft descriptor limit to the hard one and returns how many forwarded connections that
 * allows: each costs one descriptor, and a quarter of a small limit, at most LIMITS_RESERVE, stays
 * free for tunnels, listeners, dials and files. At most LIMITS_CONNECTIONS_MAX; 0 if the limit is
 * below LIMITS_DESCRIPTORS_MIN, with which nothing would work (libuv aborts on a few). Core
 * dumps, which would hold the secret, are switched off.
 */
uint32_t limits_apply(void);

enum { LIMITS_RESERVE = 256, LIMITS_CONNECTIONS_MAX = 100000, LIMITS_DESCRIPTORS_MIN = 20 };
