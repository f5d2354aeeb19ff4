/* SPDX-License-Identifier: MIT */
/* Who the program is: the owner of its state, without capabilities. */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "app/sandbox_internal.h"
#include "base/trust_path.h"

struct capabilities {
    struct __user_cap_data_struct half[_LINUX_CAPABILITY_U32S_3];
};

static bool has(const struct capabilities *c, unsigned cap)
{
    return c->half[cap / 32].permitted >> cap % 32 & 1;
}

static int capabilities_get(struct capabilities *ret)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    *ret = (struct capabilities){0};
    return syscall(SYS_capget, &head, ret->half) < 0 ? -errno : 0;
}

static int capabilities_set(const struct capabilities *c)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    return syscall(SYS_capset, &head, c->half) < 0 ? -errno : 0;
}

void user_find(const char *path, uid_t *ret_uid, gid_t *ret_gid)
{
    *ret_uid = geteuid();
    *ret_gid = getegid();
    if (!path)
        return;
    *ret_uid = trust_owner(path, ret_gid);
    const struct passwd *pw = *ret_uid == geteuid() ? NULL : getpwuid(*ret_uid); /* one thread */
    if (pw)
        *ret_gid = pw->pw_gid;
}

/* What no program that we might become can get again, where we may say so. */
static void drop_bounds(unsigned keep)
{
    for (unsigned cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        if (cap != keep)
            (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

static int change(uid_t uid, gid_t gid)
{
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 ||
        setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        return -errno;
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* another user is another beginning */
    return 0;
}

int user_become(uid_t uid, gid_t gid, bool keep_bind)
{
    enum { NONE = 1000 };
    struct capabilities have, keep = {0};
    int err = capabilities_get(&have);
    if (err < 0)
        return err;
    drop_bounds(keep_bind ? CAP_NET_BIND_SERVICE : NONE);
    if (uid != geteuid())
        err = change(uid, gid);
    else if (uid == 0)
        (void)setgroups(0, NULL); /* where root may: groups are the lesser part of it */
    if (err < 0)
        return err;
    if (keep_bind && has(&have, CAP_NET_BIND_SERVICE))
        keep.half[0].permitted = keep.half[0].effective = 1u << CAP_NET_BIND_SERVICE;
    /* A service manager may have taken them before, and this call as well. */
    bool is_done = memcmp(&have, &keep, sizeof keep) == 0;
    return is_done ? 0 : capabilities_set(&keep);
}
