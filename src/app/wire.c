/* SPDX-License-Identifier: MIT */
/* Which wire a program may speak. */
#include "app/wire.h"

#include "base/err.h"
#include "base/i18n.h"
#include "base/log.h"
#include "proto/hello.h"

int wire_choose(const struct common_options *opt, const char **ret)
{
    *ret = HELLO_ALPN;
    if (hello_secret_is_long_enough(opt->secret))
        return 0;
    *ret = NULL;
    if (opt->legacy == LEGACY_NEVER) {
        log_error(_("the secret has less than %d bytes, and -legacy never needs more: 'gotunnel "
                    "genkey' makes one"),
                  HELLO_SECRET_MIN);
        return ERR_INVAL;
    }
    return 0;
}

void wire_warn(const struct common_options *opt)
{
    if (hello_secret_is_long_enough(opt->secret))
        return;
    log_warn(
        _("the secret has less than %d bytes: connections will not survive a break of the tunnel, "
          "and the secret itself is sent; 'gotunnel genkey' makes a better one"),
        HELLO_SECRET_MIN);
}
