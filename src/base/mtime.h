/* SPDX-License-Identifier: MIT */
/* One type for monotonic time, in milliseconds since an arbitrary start. Cores are handed it. */
#pragma once

#include <stdint.h>

typedef int64_t mtime_ms;

#define MTIME_NEVER INT64_MAX
