/* SPDX-License-Identifier: MIT */
/* What a core wants done, as a text: a test says each action that it pulls, and compares the whole. */
#pragma once

#include "base/attr.h"

enum { SAID_MAX = 8192 };

extern char said[SAID_MAX];

/* Appends to said; what does not fit is cut. */
void say(const char *fmt, ...) PRINTF_LIKE(1, 2);
