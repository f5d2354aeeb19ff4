/* SPDX-License-Identifier: MIT */
/* Threads beside the main one. Signals are the main thread's: these take none. */
#pragma once

#include <pthread.h>
#include <stddef.h>

#include "base/attr.h"

/* Enough for whatever ours do; only what is touched costs memory. Deepest is a TLS handshake, below
   40 KB; the rest is for builds with sanitizers. */
enum { THREAD_STACK_BYTES = 512 << 10 };

enum { THREAD_NAME_MAX = 15 }; /* bytes: the kernel's limit */

/* Begins run(arg) in a thread that is to be joined, named for who looks at the threads (cut at
   THREAD_NAME_MAX), with all signals blocked but those of our own faults: blocked, they would end the program
   all the same, but without a sanitizer's report. 0 or the errno of pthread_create(). */
int thread_start(pthread_t *ret, const char *name, void *(*run)(void *arg), void *arg) MUST_USE;
