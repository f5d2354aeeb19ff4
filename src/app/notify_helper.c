/* SPDX-License-Identifier: MIT */
/*
 * The helper of -notify, a process of its own outside of the cage: one command at a time, each with the
 * variables of its event, killed when it takes too long. Ends when the program has, and no command runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "app/notify_command.h"
#include "base/bucket.h"
#include "base/log_record.h"
#include "base/mtime.h"

enum {
    EVENT_MAX = LOG_RECORD_MAX + 64,       /* of a datagram */
    VARIABLES_MAX = LOG_RECORD_FIELDS + 8, /* that a command is given */
    CHANNEL = STDIN_FILENO,
};

struct told {
    size_t n;
    char text[EVENT_MAX + 1];
};

static const struct bucket_rate rate = {.per_s = 1, .burst = NOTIFY_BURST};

static struct helper {
    char command[NOTIFY_COMMAND_MAX + 1];
    struct told waiting[NOTIFY_WAITING]; /* a ring: the first one is at `first` */
    unsigned first, count;
    unsigned left_out; /* events that found no room, or no process; the next command is told */
    struct bucket bucket;
    pid_t running; /* 0: none */
    mtime_ms kill_at;
    bool is_killed;
    bool is_alone; /* the program has ended */
} h;

static mtime_ms helper_now(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
    return (mtime_ms)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- a command ---- */

/* One line of a datagram: NAME=value. Only names of ours, so that nobody sets PATH; MESSAGE becomes one. */
static void take_variable(char *line)
{
    char renamed[16 + sizeof "GOTUNNEL_"];
    char *equals = strchr(line, '=');
    if (!equals)
        return;
    *equals = '\0';
    if (strcmp(line, "MESSAGE") == 0) {
        (void)snprintf(renamed, sizeof renamed, "GOTUNNEL_%s", line);
        (void)setenv(renamed, equals + 1, 1); /* without memory it is missing */
    } else if (strncmp(line, "GOTUNNEL_", 9) == 0) {
        (void)setenv(line, equals + 1, 1);
    }
}

static void take_variables(char *text)
{
    for (int i = 0; *text && i < VARIABLES_MAX; i++) {
        char *end = strchr(text, '\n');
        if (!end)
            return;
        *end = '\0';
        if (!strchr(text, '='))
            return; /* a value of several lines: there is none in what was escaped */
        take_variable(text);
        text = end + 1;
    }
}

/* In the child; does not return. */
static void run_command(struct told *t)
{
    char left_out[16];
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGHUP, SIG_DFL);
    (void)setpgid(0, 0);
    take_variables(t->text);
    if (h.left_out > 0) {
        (void)snprintf(left_out, sizeof left_out, "%u", h.left_out);
        (void)setenv("GOTUNNEL_LEFT_OUT", left_out, 1);
    }
    if (dup2(STDOUT_FILENO, STDIN_FILENO) < 0) /* nowhere; the channel is the helper's */
        _exit(127);
    (void)execl("/bin/sh", "sh", "-c", h.command, (char *)NULL);
    _exit(127);
}

static void begin_next(mtime_ms now)
{
    struct told *t = &h.waiting[h.first];
    if (!bucket_take(&h.bucket, &rate, 1, now))
        return;
    pid_t pid = fork();
    if (pid == 0)
        run_command(t);
    h.first = (h.first + 1) % NOTIFY_WAITING;
    h.count--;
    if (pid < 0) {
        h.left_out++;
        return;
    }
    (void)setpgid(pid, pid); /* whoever is first */
    h.left_out = 0;
    h.running = pid;
    h.is_killed = false;
    h.kill_at = now + NOTIFY_MOST_MS;
}

/* The group, too: what it has left running ends with it. */
static void reap(void)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == h.running) {
            (void)kill(-pid, SIGKILL);
            h.running = 0;
        }
}

/* ---- the program ---- */

static void take_event(void)
{
    static struct told t;
    ssize_t n = recv(CHANNEL, t.text, EVENT_MAX, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        h.is_alone = true;
        h.count = 0; /* who would tell of a program that is over? */
        return;
    }
    if (h.count == NOTIFY_WAITING) {
        h.left_out++;
        return;
    }
    t.n = (size_t)n;
    t.text[n] = '\0';
    h.waiting[(h.first + h.count++) % NOTIFY_WAITING] = t;
}

/* Until when nothing happens by itself; -1: for ever. */
static int wait_ms(mtime_ms now)
{
    mtime_ms at = MTIME_NEVER;
    if (h.running != 0 && !h.is_killed)
        at = h.kill_at;
    else if (h.running == 0 && h.count > 0)
        at = bucket_due(&h.bucket, &rate, 1, now);
    if (at == MTIME_NEVER)
        return -1;
    return at <= now ? 0 : (int)(at - now);
}

static void serve(int signals)
{
    struct signalfd_siginfo info;
    while (!h.is_alone || h.running != 0) {
        mtime_ms now = helper_now();
        struct pollfd fds[2] = {{.fd = signals, .events = POLLIN},
                                {.fd = h.is_alone ? -1 : CHANNEL, .events = POLLIN}};
        (void)poll(fds, 2, wait_ms(now)); /* whatever it says is looked at below */
        if (fds[0].revents)
            (void)!read(signals, &info, sizeof info);
        reap();
        if (fds[1].revents)
            take_event();
        now = helper_now();
        if (h.running != 0 && !h.is_killed && now >= h.kill_at) {
            h.is_killed = true;
            (void)kill(-h.running, SIGKILL);
        }
        if (h.running == 0 && h.count > 0)
            begin_next(now);
    }
}

int notify_helper_main(void)
{
    sigset_t child;
    ssize_t n = recv(CHANNEL, h.command, NOTIFY_COMMAND_MAX, 0); /* the first datagram */
    if (n <= 0)
        return 1;
    (void)signal(SIGTERM, SIG_IGN); /* it ends with the program, not before */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    int signals = sigprocmask(SIG_BLOCK, &child, NULL) < 0
                      ? -1
                      : signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
    if (signals < 0 || send(CHANNEL, "", 1, MSG_NOSIGNAL) != 1)
        return 1;
    serve(signals);
    return 0;
}
