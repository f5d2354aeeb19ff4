/* SPDX-License-Identifier: MIT */
/* A thread begins with the signal mask of its maker, so the maker's is changed for a moment. */
#include "base/thread.h"

#include <signal.h>

int thread_start(pthread_t *ret, const char *name, void *(*run)(void *arg), void *arg)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    pthread_attr_t attr;
    sigset_t most, before;
    sigfillset(&most);
    for (size_t i = 0; i < ARRAY_LEN(faults); i++)
        sigdelset(&most, faults[i]);
    int r = pthread_attr_init(&attr);
    if (r != 0)
        return r;
    (void)pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES); /* fails below the minimum only */
    (void)pthread_sigmask(SIG_SETMASK, &most, &before); /* fails for a wrong first argument only */
    r = pthread_create(ret, &attr, run, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr); /* cannot fail */
    if (r == 0)
        (void)pthread_setname_np(*ret, name); /* only a name */
    return r;
}
