/* SPDX-License-Identifier: MIT */
/* `gotunnel genkey`: a new secret on standard output. */
#pragma once

#include "base/attr.h"

/* 32 random bytes as 64 lower-case hex digits and a line feed. An exit status; on failure one line
   on stderr says why. */
int cmd_genkey(int argc, char **argv) MUST_USE;
