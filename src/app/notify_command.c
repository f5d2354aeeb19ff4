/* SPDX-License-Identifier: MIT */
/* The program's side of -notify: which events, and the way to the helper. */
#include "app/notify_command.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/sandbox_internal.h"
#include "base/event.h"
#include "base/i18n.h"
#include "base/log_record.h"

extern char **environ;

/* What a command is told of: the events, and the word that stands for them. */
static const struct {
    enum event event;
    const char *what;
} rows[] = {
    /* at a server */
    {EVENT_client_authenticated, "up"},
    {EVENT_session_detached, "lost"},
    {EVENT_session_resumed, "resumed"},
    {EVENT_session_ended, "ended"},
    {EVENT_service_refused, "refused"},
    {EVENT_port_refused, "refused"},
    {EVENT_port_failed, "refused"},
    /* at a client */
    {EVENT_open_accepted, "up"},
    {EVENT_open_answered, "up"},
    {EVENT_tunnel_opened, "up"},
    {EVENT_uplink_detached, "lost"},
    {EVENT_uplink_lost, "lost"},
    {EVENT_uplink_resumed, "resumed"},
    {EVENT_tunnel_refused, "refused"},
    {EVENT_open_refused, "refused"},
};

static int channel = -1; /* to the helper; constant while there are threads */
static const char *mode_word;

/* ---- events ---- */

static const char *what_of(enum event e)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].event == e)
            return rows[i].what;
    return "";
}

/* It was killed, as by a kernel without memory: nobody is told any more, which is said once. */
static void tell_gone(void)
{
    static atomic_bool is_told;
    if (!atomic_exchange(&is_told, true))
        event_notify_failed(_("its helper has ended"));
}

/* Any thread. One that finds no room is lost: nobody waits for a command. */
static void notify_command_tell(enum event e, const struct log_record *r)
{
    char text[LOG_RECORD_MAX + 64];
    int saved = errno;
    int n = snprintf(text, sizeof text - LOG_RECORD_MAX, "GOTUNNEL_NOTIFY=%s\nGOTUNNEL_MODE=%s\n",
                     what_of(e), mode_word);
    size_t all = (size_t)n + log_record_journal(text + n, r);
    if (send(channel, text, all, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN &&
        errno != ENOBUFS && errno != ENOMEM)
        tell_gone(); /* of which nobody hears by a command */
    errno = saved;
}

/* ---- the helper ---- */

/* As the cage will have it; who we are is enough where we may not become anybody else. */
static int become(const char *state)
{
    uid_t uid;
    gid_t gid;
    user_find(state, &uid, &gid);
    if (uid == geteuid())
        return 0;
    return setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0
               ? -1
               : 0;
}

/* What is the program's alone: secrets, and the words of a service manager to it. */
static void clean_environment(void)
{
    static const char *const names[] = {"NOTIFY_SOCKET",  "WATCHDOG_USEC",        "WATCHDOG_PID",
                                        "LISTEN_FDS",     "LISTEN_PID",           "LISTEN_FDNAMES",
                                        "JOURNAL_STREAM", "CREDENTIALS_DIRECTORY"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        (void)unsetenv(names[i]);
    char **to = environ;
    for (char **e = environ; *e; e++) /* also what is no variable: whoever started us has made it */
        if (strncmp(*e, "GOTUNNEL_", 9) != 0)
            *to++ = *e;
    *to = NULL;
}

/* Whoever started us may have left some open. */
static void keep_no_descriptors(void)
{
    enum {
        FIRST = STDERR_FILENO + 1,
        FEW = 1024,
        CLOEXEC = 4 /* CLOSE_RANGE_CLOEXEC: Linux 5.11 */
    };
    if (syscall(SYS_close_range, (unsigned)FIRST, ~0u, (unsigned)CLOEXEC) == 0)
        return;
    for (int i = FIRST; i < FEW; i++)
        (void)fcntl(i, F_SETFD, FD_CLOEXEC);
}

/* In the helper to be: this program anew, with the channel as its standard input. Does not return. */
static void become_helper(int fd, const char *state, bool becomes)
{
    char name[] = "gotunnel", word[] = NOTIFY_HELPER_WORD;
    char *const args[] = {name, word, NULL};
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigset_t none;
    sigemptyset(&none);
    (void)setsid(); /* a terminal's signals are for the program */
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    clean_environment();
    if (nowhere < 0 || dup2(fd, STDIN_FILENO) < 0 || dup2(nowhere, STDOUT_FILENO) < 0 ||
        dup2(nowhere, STDERR_FILENO) < 0 || (becomes && become(state) < 0))
        _exit(1);
    keep_no_descriptors();
    (void)execv("/proc/self/exe", args);
    _exit(1);
}

/* A grandchild, so that it is nobody's zombie: a caged program could not wait for it. */
static int fork_helper(int fd, const char *state, bool becomes)
{
    int status;
    pid_t pid = fork();
    if (pid < 0)
        return -1;
    if (pid == 0) {
        pid_t helper = fork();
        if (helper == 0)
            become_helper(fd, state, becomes);
        _exit(helper < 0);
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

/* It says that it is there, which it does once it knows the command; the end of the channel means no. */
static bool is_there(int fd)
{
    char byte;
    ssize_t n;
    do
        n = recv(fd, &byte, 1, 0);
    while (n < 0 && errno == EINTR);
    return n == 1;
}

int notify_command_begin(const struct common_options *o, const char *mode, const char *state)
{
    int pair[2];
    size_t n = strlen(o->notify);
    if (n == 0)
        return 0;
    if (n > NOTIFY_COMMAND_MAX) {
        event_notify_failed(_("the command is too long"));
        return ERR_RANGE;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        event_notify_failed(errno_text(errno));
        return ERR_IO;
    }
    int err = fork_helper(pair[1], state, o->sandbox != SANDBOX_OFF);
    (void)close(pair[1]);
    if (err < 0 || send(pair[0], o->notify, n, MSG_NOSIGNAL) < 0 || !is_there(pair[0])) {
        (void)close(pair[0]);
        event_notify_failed(_("no process can be made for it"));
        return ERR_IO;
    }
    channel = pair[0];
    mode_word = mode;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        event_watch(rows[i].event, notify_command_tell);
    return 0;
}
