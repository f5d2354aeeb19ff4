/* SPDX-License-Identifier: MIT */
/* The cage from inside: what is forbidden is tried, call by call, in a process of its own each. */
#include "app/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/sandbox_internal.h"
#include "base/log.h"

enum { ALLOWED_PORT = 21987, OTHER_PORT = 21988, ABI_NET = 4, NOBODY = 65534 };

/* The folder of the state is in one of ours: nobody else could have put it there. */
static char folder[] = "/tmp/test-sandbox-XXXXXX";
static char state[sizeof folder + sizeof "/state"];
static struct ports one_port = {.ranges = {{ALLOWED_PORT, ALLOWED_PORT}}, .count = 1};
static int asked = SANDBOX_REQUIRE; /* a sanitizer takes auto for off */
static bool with_landlock, with_ports, with_seccomp;

static struct sandbox_config server_cage(void)
{
    return (struct sandbox_config){
        .choice = asked, .state = state, .listens = true, .bind = &one_port};
}

static struct sandbox_config client_cage(void)
{
    return (struct sandbox_config){.choice = asked,
                                   .state = state,
                                   .resolves = true,
                                   .dials = {ALLOWED_PORT},
                                   .dials_count = 1};
}

/* ---- a process in the cage ---- */

enum { KILLED = 1000, NOT_ENTERED = 1001 }; /* beside errnos and 0 */

/* What becomes of a call there: 0, its errno, or KILLED. */
static int tried(const struct sandbox_config *cfg, long (*call)(void))
{
    int p[2], result = 0;
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        log_set_level(LOG_LEVEL_ERROR);
        if (sandbox_enter(cfg) < 0)
            result = NOT_ENTERED;
        else if (call() < 0)
            result = errno;
        _exit(write(p[1], &result, sizeof result) == sizeof result ? 0 : 1);
    }
    (void)close(p[1]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (read(p[0], &result, sizeof result) != sizeof result)
        result = WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS ? KILLED : 1002;
    (void)close(p[0]);
    return result;
}

struct attempt {
    const char *name;
    long (*call)(void);
    int result;
};

static void try_all(const struct sandbox_config *cfg, const struct attempt *list, size_t n)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < n; i++) {
        int result = tried(cfg, list[i].call);
        if (result == list[i].result)
            continue;
        print_error("%s: %d and not %d\n", list[i].name, result, list[i].result);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

/* ---- what nobody may ---- */

#define CALL(name, expression)                                                                     \
    static long name(void)                                                                         \
    {                                                                                              \
        return (long)(expression);                                                                 \
    }

static char *const no_words[] = {NULL};

CALL(try_execve, execve("/bin/true", no_words, no_words))
CALL(try_execveat, syscall(SYS_execveat, AT_FDCWD, "/bin/true", no_words, no_words, 0))
CALL(try_ptrace, ptrace(PTRACE_TRACEME, 0, NULL, NULL))
CALL(try_process_vm_readv, process_vm_readv(getppid(), NULL, 0, NULL, 0, 0))
CALL(try_process_vm_writev, process_vm_writev(getppid(), NULL, 0, NULL, 0, 0))
CALL(try_bpf, syscall(SYS_bpf, 0, NULL, 0))
CALL(try_keyctl, syscall(SYS_keyctl, 0, 0, 0, 0, 0))
CALL(try_add_key, syscall(SYS_add_key, "user", "x", "y", 1, 0))
CALL(try_request_key, syscall(SYS_request_key, "user", "x", NULL, 0))
CALL(try_init_module, syscall(SYS_init_module, NULL, 0, ""))
CALL(try_io_uring, syscall(SYS_io_uring_setup, 4, NULL))
CALL(try_userfaultfd, syscall(SYS_userfaultfd, 0))
CALL(try_perf, syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0))
CALL(try_process, syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0))
CALL(try_new_user, syscall(SYS_clone, SIGCHLD | CLONE_THREAD | CLONE_NEWUSER, 0, 0, 0, 0))
CALL(try_clone3, syscall(SYS_clone3, NULL, 0))
CALL(try_unshare, unshare(CLONE_NEWUSER))
CALL(try_setns, setns(0, 0))
CALL(try_mount, mount("none", "/mnt", "tmpfs", 0, NULL))
CALL(try_umount, umount2("/proc", MNT_DETACH))
CALL(try_chroot, chroot("/"))
CALL(try_setuid, syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY))
CALL(try_setgroups, syscall(SYS_setgroups, 0, NULL))
CALL(try_capset, syscall(SYS_capset, NULL, NULL))
CALL(try_kill, kill(getppid(), 0))
CALL(try_tgkill, syscall(SYS_tgkill, getppid(), getppid(), 0))
CALL(try_reboot, syscall(SYS_reboot, 0, 0, 0, NULL))
CALL(try_dumpable, prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
CALL(try_settime, syscall(SYS_clock_settime, CLOCK_REALTIME, NULL))
CALL(try_tty, ioctl(0, TIOCSTI, "x"))

static long try_limit(void)
{
    struct rlimit none = {0, 0};
    return setrlimit(RLIMIT_NOFILE, &none);
}

static long try_executable(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? -1 : 0;
}

static long try_make_executable(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? 0 : mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

CALL(try_raw, socket(AF_INET, SOCK_RAW, IPPROTO_ICMP))
CALL(try_packet, socket(AF_PACKET, SOCK_RAW, 0))
CALL(try_mptcp, socket(AF_INET, SOCK_STREAM, 262))
CALL(try_mptcp6, socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 262))
CALL(try_sctp, socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP))
CALL(try_seqpacket, socket(AF_UNIX, SOCK_SEQPACKET, 0))
CALL(try_vsock, socket(AF_VSOCK, SOCK_STREAM, 0))
CALL(try_alg, socket(AF_ALG, SOCK_SEQPACKET, 0))
CALL(try_xfrm, socket(AF_NETLINK, SOCK_RAW, 6))
CALL(try_socketpair, socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]){0}))

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static long try_fastopen(void)
{
    struct sockaddr_in to = loopback(OTHER_PORT);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return sendto(fd, "x", 1, 0x20000000, (struct sockaddr *)&to, sizeof to);
}

static long try_fastopen_message(void)
{
    struct sockaddr_in to = loopback(OTHER_PORT);
    struct msghdr m = {.msg_name = &to, .msg_namelen = sizeof to};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return sendmsg(fd, &m, 0x20000000);
}

static const struct attempt by_calls[] = {
    {"execve", try_execve, KILLED},
    {"execveat", try_execveat, KILLED},
    {"ptrace", try_ptrace, KILLED},
    {"process_vm_readv", try_process_vm_readv, KILLED},
    {"process_vm_writev", try_process_vm_writev, KILLED},
    {"bpf", try_bpf, KILLED},
    {"keyctl", try_keyctl, KILLED},
    {"add_key", try_add_key, KILLED},
    {"request_key", try_request_key, KILLED},
    {"init_module", try_init_module, KILLED},
    {"io_uring_setup", try_io_uring, EPERM},
    {"userfaultfd", try_userfaultfd, EPERM},
    {"perf_event_open", try_perf, EPERM},
    {"a process", try_process, EPERM},
    {"a user namespace", try_new_user, EPERM},
    {"clone3", try_clone3, ENOSYS},
    {"unshare", try_unshare, EPERM},
    {"setns", try_setns, EPERM},
    {"mount", try_mount, EPERM},
    {"umount", try_umount, EPERM},
    {"chroot", try_chroot, EPERM},
    {"setresuid", try_setuid, EPERM},
    {"setgroups", try_setgroups, EPERM},
    {"capset", try_capset, EPERM},
    {"kill", try_kill, EPERM},
    {"tgkill of another process", try_tgkill, EPERM},
    {"reboot", try_reboot, EPERM},
    {"PR_SET_DUMPABLE", try_dumpable, EPERM},
    {"clock_settime", try_settime, EPERM},
    {"TIOCSTI", try_tty, EPERM},
    {"setrlimit", try_limit, EPERM},
    {"executable memory", try_executable, EPERM},
    {"memory made executable", try_make_executable, EPERM},
    {"a raw socket", try_raw, EPERM},
    {"a packet socket", try_packet, EPERM},
    {"MPTCP", try_mptcp, EPERM},
    {"MPTCP over IPv6", try_mptcp6, EPERM},
    {"SCTP", try_sctp, EPERM},
    {"a SEQPACKET socket", try_seqpacket, EPERM},
    {"a VSOCK socket", try_vsock, EPERM},
    {"an ALG socket", try_alg, EPERM},
    {"NETLINK_XFRM", try_xfrm, EPERM},
    {"socketpair", try_socketpair, EPERM},
    {"MSG_FASTOPEN", try_fastopen, EPERM},
    {"sendmsg with MSG_FASTOPEN", try_fastopen_message, EPERM},
};

static void test_calls_are_refused(void **unused)
{
    (void)unused;
    struct sandbox_config server = server_cage(), client = client_cage();
    if (!with_seccomp)
        skip();
    try_all(&server, by_calls, ARRAY_LEN(by_calls));
    try_all(&client, by_calls, ARRAY_LEN(by_calls));
}

/* ---- files ---- */

CALL(try_shadow, open("/etc/shadow", O_RDONLY))
CALL(try_passwd, open("/etc/passwd", O_RDONLY))
CALL(try_root, open("/", O_RDONLY | O_DIRECTORY))
CALL(try_proc, open("/proc/self/mem", O_RDWR))
CALL(try_proc_maps, open("/proc/self/maps", O_RDONLY))
CALL(try_device, open("/dev/null", O_WRONLY))
CALL(try_program, open("/bin/true", O_RDONLY))
CALL(try_new_file, open("/tmp/test-sandbox-new", O_WRONLY | O_CREAT, 0600))
CALL(try_new_directory, mkdir("/tmp/test-sandbox-new", 0700))
CALL(try_remove, unlink("/etc/hostname"))
CALL(try_etc_write, open("/etc/hosts", O_WRONLY))
CALL(try_etc_list, open("/etc", O_RDONLY | O_DIRECTORY))

static const struct attempt by_files[] = {
    {"/", try_root, EACCES},
    {"/proc/self/mem", try_proc, EACCES},
    {"/proc/self/maps", try_proc_maps, EACCES},
    {"/dev/null", try_device, EACCES},
    {"/bin/true", try_program, EACCES},
    {"a new file", try_new_file, EACCES},
    {"a new directory", try_new_directory, EACCES},
    {"removing a file", try_remove, EACCES},
    {"writing /etc/hosts", try_etc_write, EACCES},
    {"listing /etc", try_etc_list, EACCES},
};

static const struct attempt by_files_of_etc[] = {
    {"/etc/shadow", try_shadow, EACCES},
    {"/etc/passwd", try_passwd, EACCES},
};

static void test_files_are_out_of_reach(void **unused)
{
    (void)unused;
    struct sandbox_config server = server_cage(), client = client_cage(), digits = client_cage();
    if (!with_landlock)
        skip();
    digits.resolves = false;
    try_all(&server, by_files, ARRAY_LEN(by_files));
    try_all(&client, by_files, ARRAY_LEN(by_files));
    try_all(&server, by_files_of_etc, ARRAY_LEN(by_files_of_etc));
    try_all(&digits, by_files_of_etc, ARRAY_LEN(by_files_of_etc));
}

/* Where names are resolved /etc is readable: its files' modes count. Who is not root has no more. */
static void test_a_resolver_that_is_not_root_reads_no_shadow(void **unused)
{
    (void)unused;
    struct sandbox_config client = client_cage();
    if (geteuid() == 0)
        assert_int_equal(chown(state, NOBODY, NOBODY), 0);
    assert_int_equal(tried(&client, try_shadow), EACCES);
    assert_int_equal(chown(state, geteuid(), getegid()), 0);
}

static long work_in_state(void)
{
    char file[128], other[128], sub[128];
    (void)snprintf(file, sizeof file, "%s/file", state);
    (void)snprintf(other, sizeof other, "%s/other", state);
    (void)snprintf(sub, sizeof sub, "%s/sub", state);
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, "x", 1) != 1 || fsync(fd) < 0 || close(fd) < 0)
        return -1;
    if (rename(file, other) < 0 || open(other, O_RDONLY) < 0 || unlink(other) < 0)
        return -1;
    return mkdir(sub, 0700) < 0 || rmdir(sub) < 0 ? -1 : 0;
}

static void test_the_state_stays_usable(void **unused)
{
    (void)unused;
    struct sandbox_config server = server_cage(), client = client_cage();
    assert_int_equal(tried(&server, work_in_state), 0);
    assert_int_equal(tried(&client, work_in_state), 0);
}

/* ---- what a reload reads, and the control socket ---- */

static char conf[128], control[128];

/* A path below the folder of the test. */
static const char *below(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

CALL(read_conf, open(below("conf/file"), O_RDONLY))
CALL(read_beside, open(below("conf/file.new"), O_RDONLY)) /* the kernel's other file */
CALL(read_by_link, open(below("conf/link"), O_RDONLY))
CALL(write_conf, open(below("conf/file"), O_WRONLY))
CALL(list_conf, open(conf, O_RDONLY | O_DIRECTORY))
CALL(remove_conf, unlink(below("conf/file")))
CALL(remove_control, unlink(control))
CALL(read_control, open(control, O_RDONLY))

static void make_file(const char *name)
{
    int fd = open(below(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
}

static void test_what_is_read_again_can_be_and_a_control_socket_removed(void **unused)
{
    (void)unused;
    static const char *const folders[] = {"conf", "run", "elsewhere"};
    static const char *const files[] = {"conf/file", "conf/file.new", "run/control",
                                        "elsewhere/link"};
    static const struct attempt list[] = {
        {"reading", read_conf, 0},
        {"reading another in its place", read_beside, 0},
        {"reading by a link", read_by_link, 0},
        {"writing", write_conf, EACCES},
        {"listing", list_conf, EACCES},
        {"removing", remove_conf, EACCES},
        {"reading the socket", read_control, EACCES},
        {"/etc/passwd", try_passwd, EACCES},
        {"a new file", try_new_file, EACCES},
        {"removing the socket", remove_control, 0},
    };
    struct sandbox_config cfg = server_cage();
    if (!with_landlock)
        skip();
    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        assert_int_equal(mkdir(below(folders[i]), 0700), 0);
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        make_file(files[i]);
    assert_int_equal(symlink("../elsewhere/link", below("conf/link")), 0);
    (void)snprintf(conf, sizeof conf, "%s", below("conf"));
    (void)snprintf(control, sizeof control, "%s", below("run/control"));
    assert_int_equal(tried(&cfg, read_conf), EACCES);
    assert_int_equal(tried(&cfg, remove_control), EACCES);
    char file[128], link[128];
    (void)snprintf(file, sizeof file, "%s", below("conf/file"));
    (void)snprintf(link, sizeof link, "%s", below("conf/link"));
    cfg.reads[0] = file;
    cfg.reads[1] = link;
    cfg.control = control;
    try_all(&cfg, list, ARRAY_LEN(list));
    assert_int_equal(access(control, F_OK), -1);
    (void)unlink(below("conf/link"));
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        (void)unlink(below(files[i])); /* but for the socket's */
    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        assert_int_equal(rmdir(below(folders[i])), 0);
}

/* ---- ports ---- */

static long bind_to(int port)
{
    struct sockaddr_in at = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return bind(fd, (struct sockaddr *)&at, sizeof at);
}

static long connect_to(int port)
{
    struct sockaddr_in at = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(fd, (struct sockaddr *)&at, sizeof at);
}

CALL(bind_allowed, bind_to(ALLOWED_PORT))
CALL(bind_other, bind_to(OTHER_PORT))
CALL(bind_any, bind_to(0))
CALL(connect_allowed, connect_to(ALLOWED_PORT))
CALL(connect_other, connect_to(OTHER_PORT))
CALL(connect_dns, connect_to(53))
CALL(listen_unbound, listen(socket(AF_INET, SOCK_STREAM, 0), 1))

static void test_a_server_binds_its_ports_and_dials_nobody(void **unused)
{
    (void)unused;
    static const struct attempt list[] = {
        {"bind to an allowed port", bind_allowed, 0}, {"bind to another port", bind_other, EACCES},
        {"bind to any port", bind_any, EACCES},       {"connect", connect_other, EACCES},
        {"connect to DNS", connect_dns, EACCES},
    };
    struct sandbox_config cfg = server_cage();
    struct ports any = {.count = 0}, choice = {.ranges = {{0, 0}}, .count = 1};
    if (!with_ports)
        skip();
    try_all(&cfg, list, ARRAY_LEN(list));
    cfg.bind = &choice;
    assert_int_equal(tried(&cfg, bind_any), 0);
    assert_int_equal(tried(&cfg, bind_allowed), EACCES);
    cfg.bind = &any;
    assert_int_equal(tried(&cfg, bind_other), 0);
    assert_int_equal(tried(&cfg, connect_other), EACCES);
}

static void test_a_client_dials_its_ports_and_opens_none(void **unused)
{
    (void)unused;
    static const struct attempt list[] = {
        {"connect to a known port", connect_allowed, ECONNREFUSED},
        {"connect to another port", connect_other, EACCES},
        {"bind", bind_allowed, EACCES},
        {"bind to any port", bind_any, EACCES},
    };
    struct sandbox_config cfg = client_cage();
    if (!with_ports)
        skip();
    try_all(&cfg, list, ARRAY_LEN(list));
    if (with_seccomp)
        assert_int_equal(tried(&cfg, listen_unbound), EPERM);
    assert_int_not_equal(tried(&cfg, connect_dns), EACCES); /* a truncated answer */
    cfg.resolves = false;
    assert_int_equal(tried(&cfg, connect_dns), EACCES);
    cfg.dials_any = true; /* a file may name another one later */
    assert_int_equal(tried(&cfg, connect_other), ECONNREFUSED);
    assert_int_equal(tried(&cfg, bind_allowed), EACCES);
}

/* ---- unix sockets ---- */

static struct sockaddr_un socket_there; /* somebody of this machine listens on it */
static socklen_t socket_there_len;

static long connect_unix(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd < 0 ? -1 : connect(fd, (struct sockaddr *)&socket_there, socket_there_len);
}

/* Landlock has no rule for one with a path up to ABI 6, and keeps those without one of others out. */
static void test_a_client_dials_unix_sockets_if_it_has_such_a_target(void **unused)
{
    (void)unused;
    struct sandbox_config cfg = client_cage();
    struct landlock l;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cfg.resolves = false;
    socket_there = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(socket_there.sun_path, sizeof socket_there.sun_path, "/tmp/test-sandbox-%d",
                   (int)getpid());
    socket_there_len = sizeof socket_there;
    assert_int_equal(bind(fd, (struct sockaddr *)&socket_there, socket_there_len), 0);
    assert_int_equal(listen(fd, 16), 0);
    if (with_seccomp)
        assert_int_equal(tried(&cfg, connect_unix), EPERM);
    cfg.dials_unix = true;
    assert_int_equal(tried(&cfg, connect_unix), 0);
    (void)unlink(socket_there.sun_path);

    memmove(socket_there.sun_path + 1, socket_there.sun_path, strlen(socket_there.sun_path));
    socket_there.sun_path[0] = '\0';
    assert_int_equal(bind(other, (struct sockaddr *)&socket_there, socket_there_len), 0);
    assert_int_equal(listen(other, 16), 0);
    if (landlock_make(&l, &cfg, LANDLOCK_ABI) == 0 && l.abi >= 6)
        assert_int_equal(tried(&cfg, connect_unix), EPERM);
    (void)close(l.fd), (void)close(fd), (void)close(other);
}

/* ---- before the cage ---- */

enum { URING_SETUP = 425 }; /* of every machine */

/* Whether an io_uring is to be had after sandbox_begin(), and a file still: 0, or an errno. */
static int begun(int choice)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        sandbox_begin(choice);
        if (open("/etc/passwd", O_RDONLY) < 0)
            _exit(1);
        _exit(syscall(URING_SETUP, 0, NULL) < 0 ? errno : 0); /* EFAULT, or EINVAL: it is there */
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_no_loop_gets_an_io_uring(void **unused)
{
    (void)unused;
    int before = begun(SANDBOX_OFF);
    if (!with_seccomp || before == ENOSYS || before == EPERM)
        skip();
    assert_int_equal(begun(asked), ENOSYS);
}

/* ---- what must go on ---- */

static void *try_in_a_thread(void *refused)
{
    bool no_file = open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES;
    *(bool *)refused = no_file && unshare(CLONE_NEWNS) < 0 && errno == EPERM;
    return NULL;
}

static long a_thread_is_in_it(void)
{
    pthread_t t;
    bool refused = false;
    errno = pthread_create(&t, NULL, try_in_a_thread, &refused);
    if (errno || pthread_join(t, NULL))
        return -1;
    errno = EBADMSG;
    return refused ? 0 : -1;
}

static long things_of_the_loop(void)
{
    struct epoll_event e = {.events = EPOLLIN};
    struct itimerspec soon = {.it_value = {.tv_nsec = 1}};
    int poll = epoll_create1(EPOLL_CLOEXEC), event = eventfd(1, EFD_CLOEXEC);
    int timer = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC),
        memory = memfd_create("x", MFD_CLOEXEC);
    bool made = poll >= 0 && event >= 0 && timer >= 0 && memory >= 0;
    bool works = made && epoll_ctl(poll, EPOLL_CTL_ADD, event, &e) == 0 &&
                 epoll_wait(poll, &e, 1, 1000) == 1 &&
                 timerfd_settime(timer, 0, &soon, NULL) == 0 && ftruncate(memory, 4096) == 0 &&
                 malloc(50 << 20);
    return works ? 0 : -1;
}

static long a_name_resolves(void)
{
    struct addrinfo *list, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    int r = getaddrinfo("localhost", "80", &hints, &list);
    errno = r ? EBADMSG : 0;
    return r ? -1 : 0;
}

CALL(resolv_conf, open("/etc/nsswitch.conf", O_RDONLY))

static void test_what_a_program_needs_goes_on(void **unused)
{
    (void)unused;
    struct sandbox_config server = server_cage(), client = client_cage();
    assert_int_equal(tried(&server, things_of_the_loop), 0);
    assert_int_equal(tried(&client, things_of_the_loop), 0);
    assert_int_equal(tried(&client, a_name_resolves), 0);
    assert_int_equal(tried(&client, resolv_conf), access("/etc/nsswitch.conf", R_OK) ? ENOENT : 0);
    if (with_landlock && with_seccomp)
        assert_int_equal(tried(&server, a_thread_is_in_it), 0);
}

/* ---- who we are ---- */

static long capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct half[2];
    if (syscall(SYS_capget, &head, half) < 0)
        return -1;
    errno = half[0].permitted == 0                            ? 501
            : half[0].permitted == 1u << CAP_NET_BIND_SERVICE ? 502
                                                              : 503;
    return -1;
}

static long user(void)
{
    uid_t real, effective, saved;
    gid_t gid = getgid();
    if (getresuid(&real, &effective, &saved) < 0)
        return -1;
    bool groups = getgroups(0, NULL) == 0;
    errno = real == effective && effective == saved && groups ? 600 + (real == 0) : 699;
    if (real != 0 && gid == 0)
        errno = 698;
    return -1;
}

static void test_root_becomes_the_owner_of_the_state(void **unused)
{
    (void)unused;
    struct sandbox_config server = server_cage(), client = client_cage();
    if (geteuid() != 0)
        skip();
    assert_int_equal(tried(&server, user), 601);
    assert_int_equal(tried(&server, capabilities), 502);
    assert_int_equal(tried(&client, capabilities), 501);
    assert_int_equal(chown(state, NOBODY, NOBODY), 0);
    assert_int_equal(tried(&server, user), 600);
    assert_int_equal(tried(&server, capabilities), 502);
    assert_int_equal(tried(&client, user), 600);
    assert_int_equal(tried(&client, capabilities), 501);
    assert_int_equal(tried(&server, work_in_state), 0);
    server.choice = SANDBOX_OFF;
    assert_int_equal(tried(&server, user), 601);
    assert_int_equal(chown(state, 0, 0), 0);
}

/* Where others can write, one of them may have put the folder there. */
static void test_root_becomes_nobody_who_planted_the_state(void **unused)
{
    (void)unused;
    struct sandbox_config server = server_cage();
    char planted[64], shared[] = "/tmp/gotunnel-shared-XXXXXX";
    if (geteuid() != 0)
        skip();
    assert_true(mkdtemp(shared) && chmod(shared, 01777) == 0);
    (void)snprintf(planted, sizeof planted, "%s/certs", shared);
    assert_true(mkdir(planted, 0700) == 0 && chown(planted, NOBODY, NOBODY) == 0);
    server.state = planted;
    assert_int_equal(tried(&server, user), 601);
    assert_int_equal(chmod(shared, 0755), 0);
    assert_int_equal(tried(&server, user), 600);
    assert_true(rmdir(planted) == 0 && rmdir(shared) == 0);
}

/* ---- a kernel that has less ---- */

/* One call fails with an errno from here on, for this process. */
static void without_call(unsigned nr, unsigned errnum)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | errnum),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {ARRAY_LEN(code), code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        _exit(9);
}

/* What a call does where landlock alone is there, and of an older kernel. */
static int tried_under(int abi, long (*call)(void))
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct sandbox_config cfg = server_cage();
        struct landlock l;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || landlock_make(&l, &cfg, abi) < 0 ||
            landlock_restrict(&l) < 0)
            _exit(255);
        _exit(call() < 0 ? errno : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_older_kernels(void **unused)
{
    (void)unused;
    struct sandbox_config cfg = server_cage();
    struct landlock l;
    if (!with_landlock)
        skip();
    for (int abi = 1; abi <= LANDLOCK_ABI; abi++) {
        assert_int_equal(landlock_make(&l, &cfg, abi), 0);
        (void)close(l.fd);
        if (l.abi < abi)
            break; /* this kernel's is older */
        bool ports = abi >= ABI_NET;
        assert_int_equal(tried_under(abi, try_program), EACCES);
        assert_int_equal(tried_under(abi, try_new_file), EACCES);
        assert_int_equal(tried_under(abi, work_in_state), 0);
        assert_int_equal(tried_under(abi, bind_allowed), 0);
        assert_int_equal(tried_under(abi, bind_other), ports ? EACCES : 0);
        assert_int_equal(tried_under(abi, connect_other), ports ? EACCES : ECONNREFUSED);
    }
}

/* What sandbox_enter() says there, with a choice: 0 or 1. */
static int entered_without(unsigned nr, int choice)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct sandbox_config cfg = server_cage();
        cfg.choice = choice;
        without_call(nr, ENOSYS);
        _exit(sandbox_enter(&cfg) < 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_a_missing_layer(void **unused)
{
    (void)unused;
    enum { NOTHING = 0xffffff, LANDLOCK_CREATE = 444, LANDLOCK_RESTRICT = 446 };
    assert_int_equal(entered_without(LANDLOCK_CREATE, SANDBOX_AUTO), 0);
    assert_int_equal(entered_without(LANDLOCK_CREATE, SANDBOX_REQUIRE), 1);
    assert_int_equal(entered_without(LANDLOCK_RESTRICT, SANDBOX_AUTO), 0);
    assert_int_equal(entered_without(LANDLOCK_RESTRICT, SANDBOX_REQUIRE), 1);
    assert_int_equal(entered_without(SYS_seccomp, SANDBOX_AUTO), 0);
    assert_int_equal(entered_without(SYS_seccomp, SANDBOX_REQUIRE), 1);
    assert_int_equal(entered_without(SYS_seccomp, SANDBOX_OFF), 0);
    if (with_landlock && with_seccomp)
        assert_int_equal(entered_without(NOTHING, SANDBOX_REQUIRE), 0);
}

/* ---- the whole ---- */

static long nothing(void)
{
    return 0;
}

static int set_up(void **unused)
{
    (void)unused;
    struct sandbox_config cfg = server_cage();
    struct landlock l;
    if (!mkdtemp(folder) || chmod(folder, 0755) < 0)
        return -1;
    (void)snprintf(state, sizeof state, "%s/state", folder);
    if (mkdir(state, 0700) < 0)
        return -1;
    if (tried(&cfg, nothing) != 0)
        asked = cfg.choice = SANDBOX_AUTO; /* some layer is missing here */
    with_landlock = landlock_make(&l, &cfg, LANDLOCK_ABI) == 0;
    with_ports = with_landlock && l.abi >= ABI_NET;
    if (with_landlock)
        (void)close(l.fd);
    with_seccomp = tried(&cfg, try_unshare) == EPERM;
    print_message("landlock ABI %d, seccomp %d\n", l.abi, with_seccomp);
    return tried(&cfg, nothing);
}

static int tear_down(void **unused)
{
    (void)unused;
    return rmdir(state) < 0 ? -1 : rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_are_refused),
        cmocka_unit_test(test_files_are_out_of_reach),
        cmocka_unit_test(test_a_resolver_that_is_not_root_reads_no_shadow),
        cmocka_unit_test(test_the_state_stays_usable),
        cmocka_unit_test(test_what_is_read_again_can_be_and_a_control_socket_removed),
        cmocka_unit_test(test_a_server_binds_its_ports_and_dials_nobody),
        cmocka_unit_test(test_a_client_dials_its_ports_and_opens_none),
        cmocka_unit_test(test_a_client_dials_unix_sockets_if_it_has_such_a_target),
        cmocka_unit_test(test_no_loop_gets_an_io_uring),
        cmocka_unit_test(test_what_a_program_needs_goes_on),
        cmocka_unit_test(test_root_becomes_the_owner_of_the_state),
        cmocka_unit_test(test_root_becomes_nobody_who_planted_the_state),
        cmocka_unit_test(test_older_kernels),
        cmocka_unit_test(test_a_missing_layer),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
