/* SPDX-License-Identifier: MIT */
/* The command `gotunnel status`: asks once, or again and again, and shows what comes. */
#include "app/status_cmd.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/ctl_ask.h"
#include "app/ctl_find.h"
#include "app/status_prometheus.h"
#include "app/status_view.h"
#include "base/columns.h"
#include "base/i18n.h"
#include "base/log.h"
#include "conf/flags.h"

struct status_options {
    struct common_options common; /* of which nothing is used but `given` */
    const char *control;
    bool json, watch, quiet, prometheus;
};

static const struct option rows[] = {
    {"control", OPTION_STRING, offsetof(struct status_options, control), "", NULL, "FILE",
     N_("control socket of the program; that of the one service, or gotunnel up, of this machine "
        "if not given"),
     RELOAD_FIXED},
    {"json", OPTION_BOOL, offsetof(struct status_options, json), "", NULL, NULL,
     N_("print it as one JSON document"), RELOAD_FIXED},
    {"watch", OPTION_BOOL, offsetof(struct status_options, watch), "", NULL, NULL,
     N_("show it anew each second, with rates, until interrupted"), RELOAD_FIXED},
    {"prometheus", OPTION_BOOL, offsetof(struct status_options, prometheus), "", NULL, NULL,
     N_("print it in the text format of Prometheus"), RELOAD_FIXED},
    {"q", OPTION_BOOL, offsetof(struct status_options, quiet), "", NULL, NULL,
     N_("print nothing; exit status 0 if all is up, 75 if not, 69 if no program answers"),
     RELOAD_FIXED},
};

static const struct mode status_mode = {
    .name = "status", .options = rows, .count = ARRAY_LEN(rows), .required = ""};

static void say(const struct status_options *o, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void say(const struct status_options *o, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (!o->quiet)
        cli_error(fmt, ap);
    va_end(ap);
}

static int usage(int status)
{
    char text[2048];
    int n = snprintf(text, sizeof text, "%s\n",
                     _("Usage of status: gotunnel status [-json | -watch | -prometheus | -q]"));
    (void)flags_usage(&status_mode, text + n, sizeof text - (size_t)n);
    log_text(text);
    return status;
}

/* True, or exit with *ret_status. */
static bool read_flags(int argc, char **argv, struct status_options *o, int *ret_status)
{
    struct flags_error why;
    int rest;
    flags_defaults(&status_mode, o);
    enum flags_outcome parsed = flags_parse(&status_mode, argc, argv, o, &rest, &why);
    bool is_too_much =
        parsed == FLAGS_OK && (rest < argc || o->json + o->watch + o->quiet + o->prometheus > 1);
    if (parsed == FLAGS_OK && !is_too_much)
        return true;
    o->quiet = false;
    if (parsed == FLAGS_BAD)
        say(o, "%s", why.text);
    else if (is_too_much)
        say(o, "%s", _("'status' takes no argument, and one of -json, -watch, -prometheus and -q"));
    *ret_status = usage(parsed == FLAGS_HELP ? EXIT_STATUS_OK : EXIT_STATUS_USAGE);
    return false;
}

/* ---- asking ---- */

/* An exit status; what is in v is the caller's in any case. */
static int ask(const char *path, FILE *raw, struct status_view *v, struct errmsg *why)
{
    *v = (struct status_view){0};
    int fd = ctl_reach(path, why);
    if (fd < 0)
        return fd == ERR_PERM ? EXIT_STATUS_REJECTED : EXIT_STATUS_UNREACHABLE;
    int err = status_view_read(v, fd, raw, why);
    (void)close(fd); /* all is said */
    if (err == ERR_TIMEOUT)
        return EXIT_STATUS_UNREACHABLE;
    return err == 0 ? EXIT_STATUS_OK : EXIT_STATUS_FAILED;
}

static int show_once(const struct status_options *o, const char *path)
{
    struct status_view v;
    struct errmsg why;
    int status = ask(path, o->json ? stdout : NULL, &v, &why);
    if (status != EXIT_STATUS_OK) {
        say(o, "%s", why.text);
    } else if (o->quiet) {
        status = status_view_is_up(&v) ? EXIT_STATUS_OK : EXIT_STATUS_NOT_UP;
    } else if (o->prometheus) {
        status_prometheus(v.c, v.clients, stdout);
    } else if (!o->json && !status_view_print(&v, NULL, stdout)) {
        say(o, "%s", err_text(ERR_NOMEM));
        status = EXIT_STATUS_FAILED;
    }
    status_view_fini(&v);
    if (fflush(stdout) != 0 || ferror(stdout)) { /* a monitor must not take a part for all */
        say(o, "%s", errno_text(errno));
        status = EXIT_STATUS_FAILED;
    }
    return status;
}

/* ---- -watch ---- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
    (void)sig;
    interrupted = 1;
}

static void hear_interrupts(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    const struct sigaction act = {.sa_handler = on_interrupt}; /* no SA_RESTART: a wait ends */
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        (void)sigaction(signals[i], &act, NULL); /* else it ends at once: as well */
}

/* As many lines as fit, each cut at the right edge, over what was there. */
static void redraw(const char *text)
{
    struct winsize at = {0};
    bool has_size = ioctl(STDOUT_FILENO, TIOCGWINSZ, &at) == 0 && at.ws_row > 1 && at.ws_col > 0;
    size_t rows_left = has_size ? at.ws_row - 1u : SIZE_MAX,
           columns = has_size ? at.ws_col : SIZE_MAX;
    (void)fputs("\033[H", stdout);
    for (const char *line = text; *line && rows_left > 0; rows_left--) {
        char one[1024];
        size_t n = strcspn(line, "\n"), part = n < sizeof one ? n : sizeof one - 1;
        memcpy(one, line, part);
        one[part] = '\0';
        printf("%.*s\033[K\n", (int)columns_cut(one, columns), one);
        line += n + (line[n] == '\n');
    }
    (void)fputs("\033[J", stdout);
    (void)fflush(stdout);
}

/* One round. False: there is no more memory, or nobody reads. */
static bool watch_round(const char *path, bool is_terminal, struct status_view *last)
{
    struct status_view v;
    struct errmsg why;
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    if (!out)
        return false;
    int status = ask(path, NULL, &v, &why);
    if (status == EXIT_STATUS_OK) {
        (void)status_view_print(&v, last->c ? last : NULL, out);
        status_view_fini(last);
        *last = v;
    } else {
        (void)fprintf(out, "%s\n", why.text);
        status_view_fini(&v);
    }
    bool is_whole = fclose(out) == 0 && text;
    if (is_whole && is_terminal)
        redraw(text);
    else if (is_whole)
        printf("%s\n", text);
    free(text);
    return is_whole && fflush(stdout) == 0;
}

static int watch(const char *path)
{
    const struct timespec second = {.tv_sec = 1};
    bool is_terminal = isatty(STDOUT_FILENO), goes_on = true;
    struct status_view last = {0};
    hear_interrupts();
    if (is_terminal)
        (void)fputs("\033[?25l\033[2J", stdout); /* no cursor, nothing on it */
    while (goes_on && !interrupted) {
        goes_on = watch_round(path, is_terminal, &last);
        if (goes_on && !interrupted)
            (void)nanosleep(&second, NULL); /* a signal ends it */
    }
    if (is_terminal)
        (void)fputs("\033[?25h\n", stdout);
    status_view_fini(&last);
    return goes_on ? EXIT_STATUS_OK : EXIT_STATUS_FAILED;
}

int cmd_status(int argc, char **argv)
{
    static struct status_options o; /* a secret, which is not used, makes it large */
    char path[CTL_PATH_MAX + 1];
    struct errmsg why;
    int status;
    if (!read_flags(argc, argv, &o, &status))
        return status;
    if (!ctl_find_socket(o.control, path, &why)) {
        say(&o, "%s", why.text);
        return EXIT_STATUS_UNREACHABLE;
    }
    return o.watch ? watch(path) : show_once(&o, path);
}
