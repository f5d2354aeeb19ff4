/* SPDX-License-Identifier: MIT */
/*
 * The list of system calls. By name, as libraries and kernels know different ones: what this
 * libseccomp or this machine does not know is passed over.
 */
#include <errno.h>

#include "app/sandbox_internal.h"

#if HAVE_SECCOMP

#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* What musl's headers, or older ones, do not have. */
enum {
    FASTOPEN = 0x20000000,         /* MSG_FASTOPEN */
    UNSENT_NOT_IN_FLIGHT = 0x894b, /* SIOCOUTQNSD */
    NAME_OF_INTERFACE = 0x8910,    /* SIOCGIFNAME */
    INDEX_OF_INTERFACE = 0x8933,   /* SIOCGIFINDEX */
    SET_VMA = 0x53564d41,          /* PR_SET_VMA: names for malloc's mappings */
    NAMESPACES = 0x7e020000,       /* CLONE_NEW...: NS, CGROUP, UTS, IPC, USER, PID, NET */
    NEW_TIME = 0x80,               /* CLONE_NEWTIME */
};

#define TERMIOS_TWO 0x802c542au /* TCGETS2: isatty() of later C libraries */

/* Whatever the arguments are. */
static const char *const allowed[] = {
    /* sockets */
    "accept",
    "accept4",
    "connect",
    "getpeername",
    "getsockname",
    "getsockopt",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "setsockopt",
    "shutdown",
    /* descriptors */
    "close",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "eventfd2",
    "fcntl",
    "fcntl64",
    "memfd_create",
    "pipe2",
    "poll",
    "ppoll",
    "ppoll_time64",
    "pread64",
    "pselect6",
    "pselect6_time64",
    "read",
    "readv",
    "select",
    "_newselect",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_settime",
    "timerfd_settime64",
    "write",
    "writev",
    /* files: which ones is landlock's matter */
    "_llseek",
    "access",
    "faccessat",
    "faccessat2",
    "fchmod",
    "fchown",
    "fdatasync",
    "flock",
    "fstat",
    "fstat64",
    "fstatat64",
    "fstatfs",
    "fstatfs64",
    "fsync",
    "ftruncate",
    "ftruncate64",
    "getcwd",
    "getdents",
    "getdents64",
    "linkat",
    "lseek",
    "lstat",
    "lstat64",
    "mkdir",
    "mkdirat",
    "newfstatat",
    "open",
    "openat",
    "readlink",
    "readlinkat",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "stat",
    "stat64",
    "statfs",
    "statfs64",
    "statx",
    "umask",
    "unlink",
    "unlinkat",
    /* memory and threads */
    "brk",
    "exit",
    "exit_group",
    "futex",
    "futex_time64",
    "futex_waitv",
    "get_robust_list",
    "getcpu",
    "getrusage",
    "madvise",
    "membarrier",
    "mlock",
    "mlock2",
    "mremap",
    "munlock",
    "munmap",
    "restart_syscall",
    "rseq",
    "sched_getaffinity",
    "sched_yield",
    "set_robust_list",
    "set_tid_address",
    "sigaltstack",
    "sysinfo",
    /* signals */
    "rt_sigaction",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_sigtimedwait_time64",
    "sigaction",
    "sigprocmask",
    "sigreturn",
    /* the time, who we are, randomness */
    "capget",
    "clock_getres",
    "clock_getres_time64",
    "clock_gettime",
    "clock_gettime64",
    "clock_nanosleep",
    "clock_nanosleep_time64",
    "getegid",
    "getegid32",
    "geteuid",
    "geteuid32",
    "getgid",
    "getgid32",
    "getgroups",
    "getpgrp",
    "getpid",
    "getppid",
    "getpriority",
    "getrandom",
    "getresgid",
    "getresuid",
    "getrlimit",
    "getsid",
    "gettid",
    "gettimeofday",
    "getuid",
    "getuid32",
    "nanosleep",
    "time",
    "times",
    "ugetrlimit",
    "uname",
};

/* Nobody of us asks for these: whoever does is an intruder. What libraries may try by themselves
   (fork, io_uring) is refused only. */
static const char *const deadly[] = {
    "add_key",    "bpf",          "delete_module",    "execve",
    "execveat",   "finit_module", "init_module",      "kexec_file_load",
    "kexec_load", "keyctl",       "process_vm_readv", "process_vm_writev",
    "ptrace",     "request_key",
};

/* For one call, while the first of its arguments are so. */
struct rule {
    const char *call;
    struct scmp_arg_cmp args[3];
    unsigned count;
};

static int add(scmp_filter_ctx f, uint32_t action, const struct rule *r)
{
    int nr = seccomp_syscall_resolve_name(r->call);
    if (nr == __NR_SCMP_ERROR)
        return 0;
    int err = seccomp_rule_add_array(f, action, nr, r->count, r->args);
    return err == -EDOM ? 0 : err; /* this machine has not got it */
}

static int add_names(scmp_filter_ctx f, uint32_t action, const char *const *names, size_t n)
{
    int err = 0;
    for (size_t i = 0; i < n && err == 0; i++)
        err = add(f, action, &(struct rule){.call = names[i]});
    return err;
}

static int add_rules(scmp_filter_ctx f, const struct rule *rules, size_t n)
{
    int err = 0;
    for (size_t i = 0; i < n && err == 0; i++)
        err = add(f, SCMP_ACT_ALLOW, &rules[i]);
    return err;
}

/* ---- sockets: three ways around landlock's rules for ports are closed here ---- */

#define IS(arg, value)         SCMP_CMP64(arg, SCMP_CMP_EQ, (scmp_datum_t)(value))
#define IS_32(arg, value)      SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, 0xffffffffu, (scmp_datum_t)(value))
#define HAS_NOT(arg, bits)     SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, (scmp_datum_t)(bits), 0)
#define IS_ONLY(arg, but, val) SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, ~(scmp_datum_t)(but), (val))
#define IS_TYPE(value)         IS_ONLY(1, SOCK_NONBLOCK | SOCK_CLOEXEC, (scmp_datum_t)(value))

/* MPTCP and others carry TCP without its rules: TCP is protocol 0 or 6 only. Names of interfaces
   are asked for by a datagram socket, service managers are told by one; who dials asks for a route by UDP,
   and hears of new ones by netlink. */
static int add_sockets(scmp_filter_ctx f, const struct sandbox_config *cfg)
{
    static const struct rule both[] = {
        {"socket", {IS(0, AF_INET), IS_TYPE(SOCK_STREAM), IS(2, 0)}, 3},
        {"socket", {IS(0, AF_INET), IS_TYPE(SOCK_STREAM), IS(2, IPPROTO_TCP)}, 3},
        {"socket", {IS(0, AF_INET6), IS_TYPE(SOCK_STREAM), IS(2, 0)}, 3},
        {"socket", {IS(0, AF_INET6), IS_TYPE(SOCK_STREAM), IS(2, IPPROTO_TCP)}, 3},
        {"socket", {IS(0, AF_UNIX), IS_TYPE(SOCK_DGRAM), IS(2, 0)}, 3},
        /* MSG_FASTOPEN connects without connect() */
        {"sendto", {HAS_NOT(3, FASTOPEN)}, 1},
        {"send", {HAS_NOT(3, FASTOPEN)}, 1},
        {"sendmsg", {HAS_NOT(2, FASTOPEN)}, 1},
        {"sendmmsg", {HAS_NOT(3, FASTOPEN)}, 1},
    };
    static const struct rule dialling[] = {
        {"socket", {IS(0, AF_INET), IS_TYPE(SOCK_DGRAM)}, 2},
        {"socket", {IS(0, AF_INET6), IS_TYPE(SOCK_DGRAM)}, 2},
        {"socket", {IS(0, AF_NETLINK), IS_TYPE(SOCK_RAW), IS(2, NETLINK_ROUTE)}, 3},
        {"bind", {{0}}, 0}, /* of that one */
    };
    static const struct rule local[] = {
        /* a target, or the cache of a resolver */
        {"socket", {IS(0, AF_UNIX), IS_TYPE(SOCK_STREAM), IS(2, 0)}, 3},
    };
    static const struct rule pairs[] = {
        {"socketpair", {IS(0, AF_UNIX), IS_TYPE(SOCK_STREAM), IS(2, 0)}, 3},
    };
    /* listen() binds what is not bound: who opens no port has neither. */
    static const struct rule listening[] = {{"bind", {{0}}, 0}, {"listen", {{0}}, 0}};
    int err = add_rules(f, both, ARRAY_LEN(both));
    if (err == 0 && cfg->dials_count > 0)
        err = add_rules(f, dialling, ARRAY_LEN(dialling));
    if (err == 0 && (cfg->resolves || cfg->dials_unix))
        err = add_rules(f, local, ARRAY_LEN(local));
    if (err == 0 && cfg->pairs)
        err = add_rules(f, pairs, ARRAY_LEN(pairs));
    if (err == 0 && cfg->listens)
        err = add_rules(f, listening, ARRAY_LEN(listening));
    return err;
}

/* ---- the rest that depends on arguments ---- */

static int add_ioctls(scmp_filter_ctx f)
{
    static const unsigned requests[] = {
        FIONREAD,
        FIONBIO,
        FIOCLEX,
        FIONCLEX,
        UNSENT_NOT_IN_FLIGHT,
        NAME_OF_INTERFACE,
        INDEX_OF_INTERFACE,
        TCGETS,
        TERMIOS_TWO,
        TIOCGPGRP,
        TIOCGSID,
        TIOCGWINSZ,
    };
    int err = 0;
    for (size_t i = 0; i < ARRAY_LEN(requests) && err == 0; i++)
        err = add(f, SCMP_ACT_ALLOW, &(struct rule){"ioctl", {IS_32(1, requests[i])}, 1});
    return err;
}

/* Threads, not processes or namespaces. */
static int add_threads(scmp_filter_ctx f)
{
#if defined(__s390__)
    enum { FLAGS = 1 };
#else
    enum { FLAGS = 0 };
#endif
    const struct rule clone = {
        "clone",
        {SCMP_CMP64(FLAGS, SCMP_CMP_MASKED_EQ, CLONE_THREAD | NAMESPACES | NEW_TIME, CLONE_THREAD)},
        1};
    return add(f, SCMP_ACT_ALLOW, &clone);
}

static int add_others(scmp_filter_ctx f)
{
    const struct rule rules[] = {
        {"mmap", {HAS_NOT(2, PROT_EXEC)}, 1},
        {"mmap2", {HAS_NOT(2, PROT_EXEC)}, 1},
        {"mprotect", {HAS_NOT(2, PROT_EXEC)}, 1},
        {"tgkill", {IS(0, getpid())}, 1}, /* abort() */
        {"tkill", {{0}}, 0},              /* musl's; landlock's scope is what bounds it */
        {"prlimit64", {IS(0, 0), IS(2, 0)}, 2},
        {"prctl", {IS(0, PR_GET_NAME)}, 1},
        {"prctl", {IS(0, PR_SET_NAME)}, 1},
        {"prctl", {IS(0, PR_GET_DUMPABLE)}, 1},
        {"prctl", {IS(0, SET_VMA)}, 1},
    };
    return add_rules(f, rules, ARRAY_LEN(rules));
}

/* ---- two filters ---- */

/* No other process is slowed down for us, as we run no code of others (SSB); calls are looked up,
   not searched. Older kernels and libraries do without these. */
static int set_up(scmp_filter_ctx f, bool log)
{
    (void)seccomp_attr_set(f, SCMP_FLTATR_CTL_LOG, log);
    (void)seccomp_attr_set(f, SCMP_FLTATR_CTL_SSB, 1);
    (void)seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    return seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
}

/* What clone3() would do cannot be seen: the C library does without it. It tries at each thread,
   which is not worth a line of the kernel's log. */
static int fill_first(scmp_filter_ctx f)
{
    int err = set_up(f, false);
    return err < 0 ? err : add(f, SCMP_ACT_ERRNO(ENOSYS), &(struct rule){.call = "clone3"});
}

static int fill_second(scmp_filter_ctx f, const struct sandbox_config *cfg)
{
    int err = set_up(f, true);
    if (err == 0)
        err = add(f, SCMP_ACT_ALLOW, &(struct rule){.call = "clone3"}); /* the first one's matter */
    if (err == 0)
        err = add_names(f, SCMP_ACT_ALLOW, allowed, ARRAY_LEN(allowed));
    if (err == 0)
        err = add_names(f, SCMP_ACT_KILL_PROCESS, deadly, ARRAY_LEN(deadly));
    if (err == 0)
        err = add_sockets(f, cfg);
    if (err == 0)
        err = add_ioctls(f);
    if (err == 0)
        err = add_threads(f);
    return err < 0 ? err : add_others(f);
}

/* Loads a filter, if filling it has come to this: 0. */
static int load(scmp_filter_ctx f, int filled)
{
    int err = filled < 0 ? filled : seccomp_load(f);
    seccomp_release(f);
    return err > 0 ? -ESRCH : err; /* above 0: a thread that could not follow */
}

int seccomp_without_uring(void)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    if (!f)
        return -ENOMEM;
    int err = set_up(f, false);
    if (err == 0)
        err = add(f, SCMP_ACT_ERRNO(ENOSYS), &(struct rule){.call = "io_uring_setup"});
    return load(f, err);
}

int seccomp_restrict(const struct sandbox_config *cfg)
{
    scmp_filter_ctx first = seccomp_init(SCMP_ACT_ALLOW);
    scmp_filter_ctx second = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!first || !second) {
        seccomp_release(first);
        seccomp_release(second);
        return -ENOMEM;
    }
    int err = load(first, fill_first(first));
    return load(second, err < 0 ? err : fill_second(second, cfg));
}

#else

int seccomp_without_uring(void)
{
    return -ENOSYS;
}

int seccomp_restrict(const struct sandbox_config *cfg)
{
    (void)cfg;
    return -ENOSYS;
}

#endif
