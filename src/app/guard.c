/* SPDX-License-Identifier: MIT */
/* What the process does for its secrets before anything else. */
#include "app/guard.h"

#include <stdlib.h>
#include <sys/prctl.h>

#include "net/tls_ctx.h"

void guard_begin(void)
{
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    (void)setenv("UV_USE_IO_URING", "0",
                 1); /* not all of libuv's versions hear it: sandbox_begin() */
    tls_library_begin();
}
