/* SPDX-License-Identifier: MIT */
/* What the process does for its secrets before anything else. */
#include "app/guard.h"

#include <sys/prctl.h>

#include "net/tls_ctx.h"

void guard_begin(void)
{
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    tls_library_begin();
}
