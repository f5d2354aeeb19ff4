/* SPDX-License-Identifier: MIT */
/* Which wire a program may speak. */
#include "app/wire.h"

#include "base/err.h"
#include "base/event.h"
#include "proto/hello.h"

int wire_choose(const struct common_options *opt, const char **ret)
{
    *ret = HELLO_ALPN;
    if (!*opt->secret)
        return 0; /* clients have keys of their own: that wire or none */
    if (hello_secret_is_long_enough(opt->secret))
        return 0;
    *ret = NULL;
    if (opt->legacy == LEGACY_NEVER) {
        event_secret_too_short(HELLO_SECRET_MIN);
        return ERR_INVAL;
    }
    return 0;
}

void wire_warn(const struct common_options *opt)
{
    if (!*opt->secret || hello_secret_is_long_enough(opt->secret))
        return;
    event_secret_is_short(HELLO_SECRET_MIN);
}
