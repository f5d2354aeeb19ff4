/* SPDX-License-Identifier: MIT */
/*
 * glibc's name service loads a module for each service that nsswitch.conf names for hosts, when the
 * first look-up comes to it. One that is loaded already is found by its name.
 */
#include <features.h>

#include "app/sandbox_internal.h"

#ifdef __GLIBC__

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { MODULES_MAX = 16 };

/* "resolve" of "resolve [!UNAVAIL=return] files": a name, and no condition or path. */
static bool is_service(const char *word, size_t n)
{
    return n > 0 && strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789_") >= n;
}

static void load_module(const char *service, size_t n)
{
    char name[64];
    int len = snprintf(name, sizeof name, "libnss_%.*s.so.2", (int)n, service);
    if (len > 0 && (size_t)len < sizeof name)
        (void)dlopen(name, RTLD_NOW); /* to stay; the resolver can do without one */
}

static void load_all(const char *at)
{
    for (int i = 0; *at && i < MODULES_MAX; i++) {
        at += strspn(at, " \t\n");
        size_t n = strcspn(at, " \t\n");
        if (is_service(at, n))
            load_module(at, n);
        at += n;
    }
}

void resolver_load(void)
{
    char line[512];
    FILE *f = fopen("/etc/nsswitch.conf", "re");
    if (!f)
        return;
    while (fgets(line, sizeof line, f)) {
        char *at = line + strspn(line, " \t");
        line[strcspn(line, "#")] = '\0';
        if (strncmp(at, "hosts:", 6) == 0)
            load_all(at + 6);
    }
    (void)fclose(f); /* only read */
}

#else

void resolver_load(void)
{
    /* musl's resolver has no modules */
}

#endif
