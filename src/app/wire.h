/* SPDX-License-Identifier: MIT */
/* Which wire a program may speak: what -legacy and the secret allow. */
#pragma once

#include "base/attr.h"
#include "conf/options.h"

/* The protocol to offer or to select by ALPN in *ret, NULL for the legacy wire alone: a secret of
   less than HELLO_SECRET_MIN bytes proves too little. ERR_INVAL, logged: with -legacy never there
   is nothing left then. */
int wire_choose(const struct common_options *opt, const char **ret) MUST_USE;

/* Warns of a secret that is too short for what was promised. */
void wire_warn(const struct common_options *opt);
