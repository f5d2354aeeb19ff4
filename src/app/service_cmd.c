/* SPDX-License-Identifier: MIT */
/* Installs and removes services. */
#include "app/service_cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/cli.h"
#include "base/attr.h"
#include "base/escape.h"
#include "base/file.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/secure.h"
#include "conf/snapshot.h"

#define MARK "# written by gotunnel service install"

enum { FILES_MAX = 3, CONFIG_MAX = 1 << 20, MARK_BUF = 128 };

/* Which files there are of a service. */
enum service_file { CONFIG_FILE, JOIN_FILE, UNIT_FILE };

struct place {
    const struct manager *manager;
    char path[FILES_MAX][PATH_MAX];
};

int service_fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    cli_error(fmt, ap);
    va_end(ap);
    return EXIT_STATUS_FAILED;
}

/* ---- where things are ---- */

static int find_place(struct place *ret, const struct service *s)
{
    ret->manager = manager_find();
    if (!ret->manager)
        return service_fail("%s",
                            _("no service manager was found that is known: systemd, OpenRC or "
                              "procd"));
    static const char *const forms[] = {
        [CONFIG_FILE] = SERVICE_CONFIG "/@mode@.yaml", [JOIN_FILE] = SERVICE_CONFIG "/@mode@.join"};
    for (size_t i = 0; i < FILES_MAX; i++)
        if (!manager_name(ret->path[i], PATH_MAX, i == UNIT_FILE ? ret->manager->unit : forms[i],
                          s))
            return cli_cannot_start(ERR_LIMIT);
    if (strcmp(s->mode, "client") != 0)
        *ret->path[JOIN_FILE] = '\0'; /* there is none */
    return EXIT_STATUS_OK;
}

/* Did an install write it? */
static bool is_ours(const char *path)
{
    char text[4096] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    (void)!file_read_all(fd, text, sizeof text - 1); /* what cannot be read is not ours */
    (void)close(fd);
    return strstr(text, MARK);
}

static bool has_ours(const struct place *at)
{
    return is_ours(at->path[UNIT_FILE]) || is_ours(at->path[CONFIG_FILE]);
}

/* This program, where a service may run it. */
static int find_program(char ret[PATH_MAX])
{
    static const char *const hidden[] = {"/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/"};
    ssize_t n = readlink("/proc/self/exe", ret, PATH_MAX - 1);
    if (n < 0)
        return service_fail("/proc/self/exe: %s", errno_text(errno));
    ret[n] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(hidden); i++)
        if (strncmp(ret, hidden[i], strlen(hidden[i])) == 0)
            return service_fail(_("a service cannot run %s: install the program first, as by 'make "
                                  "install'"),
                                ret);
    return EXIT_STATUS_OK;
}

/* ---- what the program was told ---- */

/* The file's options, with its paths as they are from anywhere. 0; or a negative error, which was said, and neither. */
static int load(const char *path, const struct mode *m, struct config_file **ret_file,
                struct snapshot **ret)
{
    struct snapshot *s = NULL;
    struct config_file *file;
    int err = config_file_load(path, NULL, &file);
    if (err < 0)
        return err;
    if (config_file_mode(file) != m) {
        config_file_say(path, _("this is no file of 'gotunnel %s'"), m->name);
        err = ERR_INVAL;
    } else if (!(s = snapshot_new(m))) {
        err = ERR_NOMEM;
        (void)cli_cannot_start(err);
    }
    if (err == 0)
        err = config_file_apply(file, m, snapshot_draft(s));
    if (err == 0) {
        *ret_file = file;
        *ret = s;
    } else {
        snapshot_unref(s);
        config_file_free(file);
    }
    return err;
}

static const char *path_of(const struct option *o, const struct snapshot *s)
{
    return *(const char *const *)((const char *)snapshot_common(s) + o->at);
}

/* The copy means what the file does: the paths in it lead to the same. */
static int check_copy(const char *copy, const struct service_plan *p, const struct mode *m)
{
    struct config_file *file = NULL;
    struct snapshot *options = NULL;
    int status = EXIT_STATUS_OK;
    if (load(copy, m, &file, &options) < 0)
        return EXIT_STATUS_FAILED;
    for (size_t i = 0; i < m->count; i++) {
        const struct option *o = &m->options[i];
        if (!option_is_path(o) || strcmp(o->name, "join-file") == 0 ||
            strcmp(path_of(o, options), path_of(o, p->options)) == 0)
            continue;
        status = service_fail(
            _("%s: write the whole path behind '%s', beginning with /: the service reads "
              "a copy in another folder"),
            p->file, o->name);
        break;
    }
    snapshot_unref(options);
    config_file_free(file);
    return status;
}

/* They stand in a unit, or in a script that root runs, where some characters mean something; who chose them need not
   be root. */
static int check_paths(const struct service *s)
{
    static const char special[] = " \"'\\%$`:;";
    const char *const paths[] = {s->exe, s->state, s->secret_file};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        for (const char *c = paths[i]; *c; c++)
            if (strchr(special, *c) || (unsigned char)*c < ' ' || *c == 0x7f) {
                char shown[ESCAPE_BUF];
                return service_fail(_("%s: a service cannot have blanks or any of %s in a path"),
                                    escape_text(shown, paths[i], strlen(paths[i])), special + 1);
            }
    return EXIT_STATUS_OK;
}

static int read_plan(struct service_plan *p, const struct service_kind *k, const char *named)
{
    char found[PATH_MAX];
    if (!named && !k->find(found))
        return service_fail("%s", _(k->missing));
    if (!realpath(named ? named : found, p->file))
        return service_fail("%s: %s", named ? named : found, errno_text(errno));
    if (load(p->file, k->mode, &p->config, &p->options) < 0)
        return EXIT_STATUS_USAGE;
    if (snapshot_common(p->options)->secret_in_config)
        return service_fail(
            _("%s: a secret stands in the file itself: put it into a file of its own, "
              "and name that behind 'secret-file'"),
            p->file);
    int status = k->plan(p);
    return status == EXIT_STATUS_OK ? check_paths(&p->service) : status;
}

static void drop_plan(struct service_plan *p)
{
    snapshot_unref(p->options);
    config_file_free(p->config);
    secure_zero(p->join, sizeof p->join);
}

/* ---- files ---- */

/* A file that was not there. An exit status. */
static int put_file(const char *path, mode_t mode, const char *text, size_t n)
{
    char folder[PATH_MAX];
    (void)snprintf(folder, sizeof folder, "%s", path); /* fits */
    char *name = strrchr(folder, '/');
    *name++ = '\0';
    int dirfd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = dirfd < 0 ? -1 : file_create(dirfd, name, mode, text, n);
    if (r == 0)
        r = fchmodat(dirfd, name, mode, 0); /* whatever the umask is */
    if (r == 0)
        r = file_sync_folder(dirfd);
    int errnum = errno;
    if (dirfd >= 0)
        (void)close(dirfd); /* a folder */
    if (r < 0)
        return service_fail("%s: %s", path, errno_text(errnum));
    printf(_("written: %s\n"), path);
    return EXIT_STATUS_OK;
}

/* With a line of ours before it. */
static int put_config(const char *path, const struct service_plan *p)
{
    char *text = malloc(CONFIG_MAX + MARK_BUF);
    int fd = open(p->file, O_RDONLY | O_CLOEXEC), status;
    size_t n = text ? (size_t)snprintf(text, MARK_BUF, MARK "\n") : 0; /* fits */
    ssize_t more = text && fd >= 0 ? file_read_all(fd, text + n, CONFIG_MAX) : -1;
    if (more < 0)
        status = service_fail("%s: %s", p->file, errno_text(errno));
    else
        status = put_file(path, 0644, text, n + (size_t)more);
    if (fd >= 0)
        (void)close(fd); /* only read */
    free(text);
    return status;
}

static int make_config_folder(void)
{
    if (mkdir(SERVICE_CONFIG, 0755) < 0)
        return errno == EEXIST ? EXIT_STATUS_OK
                               : service_fail("%s: %s", SERVICE_CONFIG, errno_text(errno));
    if (chmod(SERVICE_CONFIG, 0755) < 0) /* whatever the umask is */
        return service_fail("%s: %s", SERVICE_CONFIG, errno_text(errno));
    return EXIT_STATUS_OK;
}

/* Takes away what is there, and the folder if it is empty then. Says so with `tells`. */
static void remove_files(const struct place *at, bool tells)
{
    for (size_t i = 0; i < FILES_MAX; i++)
        if (unlink(at->path[i]) == 0 && tells)
            printf(_("removed: %s\n"), at->path[i]);
    (void)rmdir(SERVICE_CONFIG); /* not where others have something in it */
}

static int check_free(const struct place *at, const struct service *s)
{
    for (size_t i = 0; i < FILES_MAX; i++) {
        struct stat st;
        if (lstat(at->path[i], &st) < 0)
            continue;
        if (has_ours(at))
            return service_fail(
                _("%s is there already: 'gotunnel service remove %s' takes the service away"),
                at->path[i], s->mode);
        return service_fail(
            _("%s is there already, and is not of 'gotunnel service install': move it away"),
            at->path[i]);
    }
    const char *other =
        SERVICE_CONFIG "/server.env"; /* of the unit that a package or make install brings */
    if (strcmp(s->mode, "server") == 0 && access(other, F_OK) == 0)
        return service_fail(_("%s is there already: the unit that came with the program is set up, "
                              "'systemctl enable --now gotunnel-server' starts it"),
                            other);
    return EXIT_STATUS_OK;
}

static int put_files(const struct place *at, const struct service_plan *p, const struct mode *m)
{
    char *unit = manager_unit(at->manager, &p->service), line[JOIN_BUF + 1];
    int status = unit ? make_config_folder() : cli_cannot_start(ERR_NOMEM);
    if (status == EXIT_STATUS_OK && *p->join) {
        int n = snprintf(line, sizeof line, "%s\n", p->join); /* fits */
        status = put_file(at->path[JOIN_FILE], 0600, line, (size_t)n);
        secure_zero(line, sizeof line);
    }
    if (status == EXIT_STATUS_OK)
        status = put_config(at->path[CONFIG_FILE], p);
    if (status == EXIT_STATUS_OK)
        status = check_copy(at->path[CONFIG_FILE], p, m);
    if (status == EXIT_STATUS_OK)
        status = put_file(at->path[UNIT_FILE], at->manager->mode, unit, strlen(unit));
    free(unit);
    return status;
}

/* ---- install and remove ---- */

static int say_failed(const char *command, int status)
{
    int errnum = errno;
    (void)fflush(stdout);
    return status < 0 ? service_fail(_("'%s' could not be run: %s"), command, errno_text(errnum))
                      : service_fail(_("'%s' failed with status %d"), command, status);
}

static int start(const struct place *at, const struct service *s)
{
    char command[MANAGER_COMMAND_MAX] = "";
    (void)fflush(stdout); /* what others say comes behind it */
    int status = manager_run(at->manager->start, s, command);
    if (status == 0)
        return EXIT_STATUS_OK;
    (void)say_failed(command, status);
    (void)!manager_run(at->manager->stop, s, command); /* as far as it was there */
    return EXIT_STATUS_FAILED;
}

/* Its file is gone: systemd knows a unit until it looks anew. */
static void forget(const struct place *at, const struct service *s)
{
    static const char *const reload[MANAGER_COMMANDS] = {"systemctl daemon-reload"};
    char command[MANAGER_COMMAND_MAX];
    (void)fflush(stdout);
    if (strcmp(at->manager->name, "systemd") == 0)
        (void)!manager_run(reload, s, command); /* what it says, it has said */
}

static int run_install(const struct service_kind *k, const char *file)
{
    static struct service_plan p;
    struct place at;
    char exe[PATH_MAX], look[MANAGER_COMMAND_MAX];
    int status = find_program(exe);
    p.service = (struct service){.mode = k->mode->name, .run = k->run, .exe = exe};
    if (status == EXIT_STATUS_OK)
        status = find_place(&at, &p.service);
    if (status == EXIT_STATUS_OK)
        status = check_free(&at, &p.service);
    if (status == EXIT_STATUS_OK)
        status = read_plan(&p, k, file);
    if (status == EXIT_STATUS_OK) {
        status = put_files(&at, &p, k->mode);
        if (status == EXIT_STATUS_OK)
            status = start(&at, &p.service);
        if (status != EXIT_STATUS_OK) {
            remove_files(&at, false);
            forget(&at, &p.service);
            if (k->undo)
                k->undo(p.options);
            (void)service_fail("%s", _("nothing was installed: what was written is removed"));
        }
    }
    if (status == EXIT_STATUS_OK && manager_name(look, sizeof look, at.manager->look, &p.service))
        printf(_("gotunnel-%s runs now, and after each boot; how it goes: %s\n"
                 "'gotunnel service remove %s' takes it away again\n"),
               p.service.mode, look, p.service.mode);
    drop_plan(&p);
    return status;
}

/* What it worked in is as it was. */
static void undo(const struct service_kind *k, const char *config)
{
    struct config_file *file = NULL;
    struct snapshot *options;
    if (!k->undo || load(config, k->mode, &file, &options) < 0)
        return;
    k->undo(options);
    snapshot_unref(options);
    config_file_free(file);
}

static int run_remove(const struct service_kind *k, const char *file)
{
    struct place at;
    const struct service s = {.mode = k->mode->name, .run = k->run};
    char command[MANAGER_COMMAND_MAX] = "";
    int status = find_place(&at, &s);
    (void)file; /* there is none */
    if (status != EXIT_STATUS_OK)
        return status;
    if (!has_ours(&at))
        return service_fail(_("there is no service of 'gotunnel service install %s' here"), s.mode);
    bool has_unit = is_ours(at.path[UNIT_FILE]); /* an install that was ended has none */
    int stopped = has_unit ? manager_run(at.manager->stop, &s, command) : 0;
    if (stopped != 0)
        return say_failed(command, stopped); /* it may run: its files are still needed */
    if (!has_unit)
        *at.path[UNIT_FILE] = '\0'; /* not of an install */
    if (!is_ours(at.path[CONFIG_FILE]))
        *at.path[CONFIG_FILE] = '\0'; /* somebody else's by now */
    else
        undo(k, at.path[CONFIG_FILE]);
    remove_files(&at, true);
    forget(&at, &s);
    return EXIT_STATUS_OK;
}

/* ---- the command line ---- */

static const struct word {
    const char *name;
    int (*run)(const struct service_kind *k, const char *file);
    const char *help;
    bool takes_file;
} words[] = {
    {"install", run_install,
     N_("make a service of what 'gotunnel up' or 'gotunnel join -save' began"), true},
    {"remove", run_remove, N_("stop such a service, and take its files away"), false},
};

static int usage(int status)
{
    char line[512];
    log_text(_("Usage of service: gotunnel service WORD [server|client] [FILE], as root\n"));
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        (void)snprintf(line, sizeof line, "  gotunnel service %-7s [server|client]%s\n    \t%s\n",
                       words[i].name, words[i].takes_file ? " [FILE]" : "",
                       _(words[i].help)); /* fits */
        log_text(line);
    }
    return status;
}

/* Which one is meant where neither is named; NULL, and it was said. */
static const struct service_kind *choose(const struct word *w, const struct service_kind *kinds)
{
    const struct service_kind *found = NULL;
    for (size_t i = 0; i < SERVICE_KINDS; i++) {
        char path[PATH_MAX];
        struct place at;
        const struct service s = {.mode = kinds[i].mode->name, .run = kinds[i].run};
        if (!w->takes_file && find_place(&at, &s) != EXIT_STATUS_OK)
            return NULL;
        if (w->takes_file ? !kinds[i].find(path) : !has_ours(&at))
            continue;
        if (found) {
            (void)service_fail("%s", _("there is a server and a client: say which one is meant"));
            return NULL;
        }
        found = &kinds[i];
    }
    if (!found && w->takes_file)
        for (size_t i = 0; i < SERVICE_KINDS; i++)
            (void)service_fail("%s", _(kinds[i].missing));
    else if (!found)
        (void)service_fail("%s", _("there is no service of 'gotunnel service install' here"));
    return found;
}

static bool is_help(const char *arg)
{
    return strcmp(arg, "-h") == 0 || strcmp(arg, "-help") == 0 || strcmp(arg, "--help") == 0;
}

int cmd_service(int argc, char **argv, const struct service_kind kinds[SERVICE_KINDS])
{
    const struct word *w = NULL;
    const struct service_kind *k = NULL;
    int at = 1;
    if (argc < 1 || is_help(argv[argc - 1]))
        return usage(argc < 1 ? EXIT_STATUS_USAGE : EXIT_STATUS_OK);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(argv[0], words[i].name) == 0)
            w = &words[i];
    for (size_t i = 0; w && at < argc && i < SERVICE_KINDS; i++)
        if (strcmp(argv[at], kinds[i].mode->name) == 0) {
            k = &kinds[i];
            at++;
            break;
        }
    bool is_named = k && w->takes_file && at < argc && argv[at][0] != '-';
    const char *file = is_named ? argv[at++] : NULL;
    if (!w || at < argc)
        return usage(EXIT_STATUS_USAGE);
    if (geteuid() != 0) {
        (void)service_fail(_("only root may do this: sudo gotunnel service %s"), w->name);
        return EXIT_STATUS_REJECTED;
    }
    log_hold();
    if (!k)
        k = choose(w, kinds);
    return k ? w->run(k, file) : EXIT_STATUS_FAILED;
}
