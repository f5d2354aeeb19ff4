/* SPDX-License-Identifier: MIT */
/* Private to the sandbox: its layers. Each is tried and may be missing here. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "app/sandbox.h"

/* ---- landlock: in two steps, as its files are opened by who we are, and used by who we become -- */

enum {
    LANDLOCK_FILES = 1u << 0,
    LANDLOCK_CONNECT = 1u << 1, /* TCP, by port */
    LANDLOCK_BIND = 1u << 2,    /* TCP, by port */
};

/* The ABI that this code knows all of. */
enum { LANDLOCK_ABI = 6 };

struct landlock {
    int fd;         /* the rules; -1: none */
    int abi;        /* that is used; 0: the kernel has no landlock */
    unsigned parts; /* LANDLOCK_...: what the rules are about */
};

/* Writes the rules down, by the kernel's ABI or abi, which is less. 0, or a negative errno. */
int landlock_make(struct landlock *ret, const struct sandbox_config *cfg, int abi) MUST_USE;

/* From now on they hold, for this thread and those it makes; needs no_new_privs. 0, or a negative
   errno. The rules are closed. */
int landlock_restrict(struct landlock *l) MUST_USE;

/* ---- seccomp ---- */

/* io_uring is no more to be had: ENOSYS. Sets no_new_privs. 0, or a negative errno, as below. */
int seccomp_without_uring(void) MUST_USE;

/* Loads the filter for all threads; needs no_new_privs. 0, or a negative errno (-ENOSYS: the
   program was built without libseccomp). */
int seccomp_restrict(const struct sandbox_config *cfg) MUST_USE;

/* ---- user ---- */

/* Who we are to be: trust_owner() of path (base/trust_path.h), which may be NULL. *ret_gid is the
   group of that user. */
void user_find(const char *path, uid_t *ret_uid, gid_t *ret_gid);

/* Becomes uid for good, if it is not who we are, and gives up every capability but
   CAP_NET_BIND_SERVICE, and that too unless keep_bind. 0, or a negative errno. */
int user_become(uid_t uid, gid_t gid, bool keep_bind) MUST_USE;

/* ---- resolver ---- */

/* Loads the modules that name look-ups of the C library may want: later it cannot. */
void resolver_load(void);
