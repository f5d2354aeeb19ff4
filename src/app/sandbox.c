/* SPDX-License-Identifier: MIT */
/* The order of the layers, and what is said of them. */
#include "app/sandbox.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "app/sandbox_internal.h"
#include "base/event.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/memory.h"

/* A list of words, as for a person. */
struct words {
    char text[160];
};

static void say(struct words *w, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void say(struct words *w, const char *fmt, ...)
{
    size_t n = strlen(w->text);
    va_list ap;
    if (n > 0)
        n += (size_t)snprintf(w->text + n, sizeof w->text - n, ", ");
    va_start(ap, fmt);
    if (n < sizeof w->text)
        (void)vsnprintf(w->text + n, sizeof w->text - n, fmt, ap); /* cut on purpose */
    va_end(ap);
}

/* What became of a layer: 0, or a negative errno. */
static bool note(struct words *missing, const char *layer, int err)
{
    if (err < 0)
        say(missing, "%s (%s)", layer, errno_text(-err));
    return err == 0;
}

static void say_landlock(struct words *have, const struct landlock *l)
{
    say(have, "landlock %d (files%s%s)", l->abi, l->parts & LANDLOCK_CONNECT ? ", connect" : "",
        l->parts & LANDLOCK_BIND ? ", bind" : "");
}

/* All but who we are. What is there and what is missing goes into the two lists. */
static void restrict_ourselves(const struct sandbox_config *cfg, struct landlock *l, int made,
                               struct words *have, struct words *missing)
{
    int err = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
    if (note(missing, "no_new_privs", err))
        say(have, "no_new_privs");
    if (note(missing, "landlock", made < 0 ? made : landlock_restrict(l)))
        say_landlock(have, l);
    if (note(missing, "seccomp", seccomp_restrict(cfg)))
        say(have, "seccomp");
}

static int enter(const struct sandbox_config *cfg)
{
    struct words have = {""}, missing = {""};
    struct landlock rules;
    uid_t uid;
    gid_t gid;
    tzset(); /* reads a file, once */
    if (cfg->resolves)
        resolver_load();
    user_find(cfg->state, &uid, &gid);
    int made = landlock_make(&rules, cfg, LANDLOCK_ABI); /* by who may open all of its files */
    int err = user_become(uid, gid, cfg->listens);
    if (err < 0) {
        event_sandbox_user_failed((unsigned)uid, errno_text(-err));
        return ERR_PERM;
    }
    say(&have, "uid %u", (unsigned)uid);
    restrict_ourselves(cfg, &rules, made, &have, &missing);
    if (*missing.text && cfg->choice == SANDBOX_REQUIRE) {
        event_sandbox_missing(missing.text);
        return ERR_PERM;
    }
    if (*missing.text)
        event_sandbox_partial(have.text, missing.text);
    else
        event_sandbox_active(have.text);
    return 0;
}

/* A sanitizer looks into its own process, by /proc and at the end by ptrace. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static bool is_off(int choice)
{
    return choice == SANDBOX_OFF || (SANITIZED && choice == SANDBOX_AUTO);
}

void sandbox_begin(int choice)
{
    int err = is_off(choice) ? 0 : seccomp_without_uring();
    (void)err; /* what is missing, sandbox_enter() says */
}

int sandbox_enter(const struct sandbox_config *cfg)
{
    int err = 0;
    if (is_off(cfg->choice))
        event_sandbox_off();
    else
        err = enter(cfg);
    memory_give_back(); /* what the filter and what was read before have taken: 150 to 270 KB */
    log_release();
    return err;
}
