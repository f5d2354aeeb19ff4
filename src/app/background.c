/* SPDX-License-Identifier: MIT */
/* Two processes and a pipe between them. Until the word, the first is the second's terminal. */
#include "app/background.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/cli.h"
#include "base/err.h"

/* ---- the first process ---- */

static volatile sig_atomic_t caught; /* a signal that ends both */
static pid_t second;                 /* constant once there is a handler */

static void pass_on(int signum)
{
    int saved = errno;
    caught = signum;
    (void)kill(second, SIGTERM); /* it is there, or not waited for yet */
    errno = saved;
}

/* Those that end what runs in a terminal. */
static sigset_t ends(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    return set;
}

static void pass_signals_on(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction act = {.sa_handler = pass_on, .sa_flags = SA_RESTART}, now;
    sigset_t set = ends();
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
            (void)sigaction(signals[i], &act, NULL); /* a known signal */
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static size_t read_word(int fd, char word[BACKGROUND_WORD_MAX])
{
    size_t n = 0;
    while (n < BACKGROUND_WORD_MAX) {
        ssize_t got = read(fd, word + n, BACKGROUND_WORD_MAX - n);
        if (got > 0)
            n += (size_t)got;
        else if (got == 0 || errno != EINTR)
            break;
    }
    return n;
}

static bool print(const char *word, size_t n)
{
    while (n > 0) {
        ssize_t put = write(STDOUT_FILENO, word, n);
        if (put < 0 && errno != EINTR)
            return false;
        word += put > 0 ? put : 0;
        n -= put > 0 ? (size_t)put : 0;
    }
    return true;
}

/* What the second came to without a word; a 0 is none. */
static int status_of_second(void)
{
    int status;
    while (waitpid(second, &status, 0) < 0)
        if (errno != EINTR)
            return EXIT_STATUS_FAILED;
    return WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : EXIT_STATUS_FAILED;
}

/* Leaves by _exit(): what the log has not written yet is the second's, too. */
static _Noreturn void wait_for_word(int fd)
{
    char word[BACKGROUND_WORD_MAX];
    size_t n = read_word(fd, word);
    if (caught) {
        (void)status_of_second();
        (void)signal(caught, SIG_DFL);
        (void)raise(caught);
    }
    if (n == 0 || caught)
        _exit(status_of_second());
    (void)signal(SIGPIPE, SIG_IGN);
    if (print(word, n))
        _exit(EXIT_STATUS_OK);
    (void)kill(second, SIGTERM); /* nobody knows of it */
    _exit(EXIT_STATUS_FAILED);
}

/* ---- the second process ---- */

/* What the first has of a terminal or of a script's pipes is not for the second. */
static void leave_terminal(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) { /* else it keeps them */
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
        if (null > STDERR_FILENO)
            (void)close(null);
    }
    (void)setsid(); /* fails for the leader of a group, which a new process is not */
    if (isatty(STDERR_FILENO))
        (void)signal(SIGHUP, SIG_IGN); /* that terminal may go, as with nohup */
}

bool background_say(int *fd, const char *line)
{
    size_t n = strlen(line);
    ssize_t put;
    do
        put = write(*fd, line, n); /* a pipe takes so much whole */
    while (put < 0 && errno == EINTR);
    (void)close(*fd);
    *fd = -1;
    return put == (ssize_t)n;
}

/* ---- both ---- */

int background_begin(int *ret_fd)
{
    int ends_of_pipe[2];
    sigset_t set = ends(), before;
    if (pipe2(ends_of_pipe, O_CLOEXEC) < 0)
        return err_from_errno(errno);
    (void)pthread_sigmask(SIG_BLOCK, &set, &before); /* none is lost between the two */
    pid_t pid = fork();
    int errnum = errno;
    if (pid != 0)
        (void)close(ends_of_pipe[1]);
    if (pid <= 0)
        (void)close(ends_of_pipe[0]);
    if (pid > 0) {
        second = pid;
        pass_signals_on();
        wait_for_word(ends_of_pipe[0]);
    }
    if (pid == 0) {
        leave_terminal();
        *ret_fd = ends_of_pipe[1];
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pid == 0 ? 0 : err_from_errno(errnum);
}
