/* SPDX-License-Identifier: MIT */
/*
 * Landlock. The headers of Debian 12 know ABI 2, musl has none: what the kernel's documentation
 * says of it (Documentation/userspace-api/landlock.rst) stands here once, up to ABI 6.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h> /* app/ has a limits.h of its own */
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "app/sandbox_internal.h"

/* The same numbers on all machines but alpha, which we do not know. */
enum { NR_CREATE_RULESET = 444, NR_ADD_RULE = 445, NR_RESTRICT_SELF = 446 };
enum { CREATE_RULESET_VERSION = 1 };
enum { RULE_PATH_BENEATH = 1, RULE_NET_PORT = 2 };

#define FS_EXECUTE     (UINT64_C(1) << 0)
#define FS_WRITE_FILE  (UINT64_C(1) << 1)
#define FS_READ_FILE   (UINT64_C(1) << 2)
#define FS_READ_DIR    (UINT64_C(1) << 3)
#define FS_REMOVE_DIR  (UINT64_C(1) << 4)
#define FS_REMOVE_FILE (UINT64_C(1) << 5)
#define FS_MAKE_DIR    (UINT64_C(1) << 7)
#define FS_MAKE_REG    (UINT64_C(1) << 8)
#define FS_MAKE_SYM    (UINT64_C(1) << 12) /* the last of ABI 1 */
#define FS_REFER       (UINT64_C(1) << 13) /* ABI 2 */
#define FS_TRUNCATE    (UINT64_C(1) << 14) /* ABI 3 */
#define FS_IOCTL_DEV   (UINT64_C(1) << 15) /* ABI 5 */

#define NET_BIND_TCP    (UINT64_C(1) << 0) /* ABI 4 */
#define NET_CONNECT_TCP (UINT64_C(1) << 1)

#define SCOPE_ABSTRACT_UNIX_SOCKET (UINT64_C(1) << 0) /* ABI 6 */
#define SCOPE_SIGNAL               (UINT64_C(1) << 1)

enum { ABI_REFER = 2, ABI_TRUNCATE = 3, ABI_NET = 4, ABI_IOCTL_DEV = 5, ABI_SCOPE = 6 };

/* A kernel that knows less takes it, if the fields it does not know are zero. */
struct ruleset_attr {
    uint64_t handled_access_fs, handled_access_net, scoped;
};

struct path_beneath_attr {
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));

struct net_port_attr {
    uint64_t allowed_access, port;
};

/* Whatever touches the disk, of the ABI. */
static uint64_t all_of_files(int abi)
{
    uint64_t all = (FS_MAKE_SYM << 1) - 1;
    all |= abi >= ABI_REFER ? FS_REFER : 0;
    all |= abi >= ABI_TRUNCATE ? FS_TRUNCATE : 0;
    all |= abi >= ABI_IOCTL_DEV ? FS_IOCTL_DEV : 0;
    return all;
}

/* A service manager's socket may be an abstract one. */
static bool tells_an_abstract_socket(void)
{
    const char *to = getenv("NOTIFY_SOCKET");
    return to && *to == '@';
}

static int add_rule(const struct landlock *l, int type, const void *rule)
{
    return syscall(NR_ADD_RULE, l->fd, type, rule, 0) < 0 ? -errno : 0;
}

/* ---- files ---- */

/* What is not there needs no rule. */
static int allow_beneath(const struct landlock *l, const char *path, uint64_t access)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
    struct path_beneath_attr rule = {access & all_of_files(l->abi), fd};
    int err = add_rule(l, RULE_PATH_BENEATH, &rule);
    (void)close(fd); /* a path only */
    return err;
}

/* The directory that a link leads to is one more. */
static int allow_target(const struct landlock *l, const char *link)
{
    char path[PATH_MAX];
    if (!realpath(link, path))
        return 0;
    char *name = strrchr(path, '/');
    *(name > path ? name : path + 1) = '\0';
    return strcmp(path, "/") == 0 ? 0 : allow_beneath(l, path, FS_READ_FILE);
}

/* The folder of a file: "." of one without; nothing of what lies in the root, which is everything. */
static int allow_folder(const struct landlock *l, const char *file, uint64_t access)
{
    char path[PATH_MAX];
    size_t n = strlen(file);
    if (n >= sizeof path)
        return 0; /* nobody can open it */
    memcpy(path, file, n + 1);
    char *name = strrchr(path, '/');
    if (!name)
        return allow_beneath(l, ".", access);
    *name = '\0';
    return *path ? allow_beneath(l, path, access) : 0;
}

/* Where it lies, and where what lies there leads to. */
static int allow_reading(const struct landlock *l, const char *file)
{
    int err = allow_folder(l, file, FS_READ_FILE);
    return err < 0 ? err : allow_target(l, file);
}

/* A file that is replaced is another one to the kernel, so rules are for directories. In /etc the
   files' own modes keep the rest from us, unless we are root. */
static int allow_resolver(const struct landlock *l)
{
    static const char *const directories[] = {
        "/etc", "/run/systemd/resolve", "/run/NetworkManager", "/run/resolvconf", "/run/connman",
    };
    static const char *const links[] = {"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"};
    int err = 0;
    for (size_t i = 0; i < ARRAY_LEN(directories) && err == 0; i++)
        err = allow_beneath(l, directories[i], FS_READ_FILE);
    for (size_t i = 0; i < ARRAY_LEN(links) && err == 0; i++)
        err = allow_target(l, links[i]);
    return err;
}

static int allow_files(const struct landlock *l, const struct sandbox_config *cfg)
{
    int err = 0;
    if (cfg->state)
        err = allow_beneath(l, cfg->state,
                            FS_READ_FILE | FS_READ_DIR | FS_WRITE_FILE | FS_TRUNCATE | FS_MAKE_REG |
                                FS_MAKE_DIR | FS_REMOVE_FILE | FS_REMOVE_DIR);
    if (err == 0 && cfg->resolves)
        err = allow_resolver(l);
    if (cfg->lists && err == 0)
        err = allow_beneath(l, cfg->lists, FS_READ_FILE | FS_READ_DIR);
    for (unsigned i = 0; i < SANDBOX_READS_MAX && cfg->reads[i] && err == 0; i++)
        err = allow_reading(l, cfg->reads[i]);
    if (err == 0 && cfg->control)
        err = allow_folder(l, cfg->control, FS_REMOVE_FILE);
    return err;
}

/* ---- ports ---- */

enum { DNS_PORT = 53 }; /* an answer that is too long for UDP is asked for by TCP */

static int allow_port(const struct landlock *l, int port, uint64_t access)
{
    struct net_port_attr rule = {access, (uint64_t)port};
    return add_rule(l, RULE_NET_PORT, &rule);
}

static int allow_binding(const struct landlock *l, const struct ports *bind)
{
    int err = 0;
    for (unsigned i = 0; i < bind->count; i++)
        for (int p = bind->ranges[i].first; p <= bind->ranges[i].last && err == 0; p++)
            err = allow_port(l, p, NET_BIND_TCP);
    return err;
}

static int allow_ports(const struct landlock *l, const struct sandbox_config *cfg)
{
    int err = 0;
    bool bounds = l->parts & LANDLOCK_CONNECT;
    for (unsigned i = 0; i < cfg->dials_count && bounds && err == 0; i++)
        err = allow_port(l, cfg->dials[i], NET_CONNECT_TCP);
    if (err == 0 && cfg->resolves && bounds)
        err = allow_port(l, DNS_PORT, NET_CONNECT_TCP);
    if (err == 0 && cfg->listens && l->parts & LANDLOCK_BIND)
        err = allow_binding(l, cfg->bind);
    return err;
}

/* ---- all of it ---- */

static unsigned parts_of(int abi, const struct sandbox_config *cfg)
{
    if (abi < ABI_NET)
        return LANDLOCK_FILES;
    bool any = cfg->listens && (!cfg->bind || cfg->bind->count == 0);
    return LANDLOCK_FILES | (cfg->dials_any ? 0 : LANDLOCK_CONNECT) | (any ? 0 : LANDLOCK_BIND);
}

int landlock_make(struct landlock *ret, const struct sandbox_config *cfg, int abi)
{
    *ret = (struct landlock){.fd = -1};
    int kernel = (int)syscall(NR_CREATE_RULESET, NULL, 0, CREATE_RULESET_VERSION);
    if (kernel < 0)
        return -errno;
    ret->abi = kernel < abi ? kernel : abi;
    ret->parts = parts_of(ret->abi, cfg);
    struct ruleset_attr attr = {.handled_access_fs = all_of_files(ret->abi)};
    attr.handled_access_net = (ret->parts & LANDLOCK_CONNECT ? NET_CONNECT_TCP : 0) |
                              (ret->parts & LANDLOCK_BIND ? NET_BIND_TCP : 0);
    if (ret->abi >= ABI_SCOPE)
        attr.scoped = SCOPE_SIGNAL | (tells_an_abstract_socket() ? 0 : SCOPE_ABSTRACT_UNIX_SOCKET);
    ret->fd = (int)syscall(NR_CREATE_RULESET, &attr, sizeof attr, 0);
    if (ret->fd < 0)
        return -errno;
    int err = allow_files(ret, cfg);
    if (err == 0 && attr.handled_access_net)
        err = allow_ports(ret, cfg);
    if (err < 0) {
        (void)close(ret->fd); /* rules that nobody follows */
        ret->fd = -1;
    }
    return err;
}

int landlock_restrict(struct landlock *l)
{
    int err = syscall(NR_RESTRICT_SELF, l->fd, 0) < 0 ? -errno : 0;
    (void)close(l->fd); /* in use, or given up */
    l->fd = -1;
    return err;
}
