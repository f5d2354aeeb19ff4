/* SPDX-License-Identifier: MIT */
/* A thread begins with the signal mask and the name of its maker, so the maker's are changed for a
   moment. To name another thread later would take a file in /proc, which the cage hides. */
#include "base/thread.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

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
    char theirs[THREAD_NAME_MAX + 1], ours[THREAD_NAME_MAX + 1] = "";
    (void)snprintf(theirs, sizeof theirs, "%s", name); /* cut on purpose */
    (void)prctl(PR_GET_NAME, ours, 0, 0, 0);           /* only names */
    (void)prctl(PR_SET_NAME, theirs, 0, 0, 0);
    (void)pthread_sigmask(SIG_SETMASK, &most, &before); /* fails for a wrong first argument only */
    r = pthread_create(ret, &attr, run, arg);
    (void)prctl(PR_SET_NAME, ours, 0, 0, 0);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr); /* cannot fail */
    return r;
}
