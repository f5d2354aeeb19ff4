/* SPDX-License-Identifier: MIT */
/* The server that `gotunnel up` has begun, or one of a file. */
#include "server/install.h"

#include <errno.h>
#include <ftw.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/ctl.h"
#include "app/ctl_ask.h"
#include "app/server_state.h"
#include "base/i18n.h"
#include "conf/hostport.h"
#include "server/up_record.h"

enum { FIRST_FREE_PORT = 1024, LOGIN_BUF = 257 };

/* The folder of whoever ran sudo; root's is first, and what is in the working directory before both. */
static bool find_record(char ret[PATH_MAX])
{
    char state[PATH_MAX];
    const char *name = getenv("SUDO_USER");
    const struct passwd *user = name ? getpwnam(name) : NULL;
    int n = -1;
    if (server_state_find("", false, state))
        n = snprintf(ret, PATH_MAX, "%s/" UP_RECORD, state);
    if (n > 0 && n < PATH_MAX && access(ret, F_OK) == 0)
        return true;
    if (!user)
        return false;
    n = snprintf(ret, PATH_MAX, "%s/.local/state/gotunnel/" UP_RECORD, user->pw_dir);
    return n > 0 && n < PATH_MAX && access(ret, F_OK) == 0;
}

/* What up could not write down. An exit status. */
static int check_record(const struct service_plan *p)
{
    char line[PATH_MAX + 64];
    int status = EXIT_STATUS_OK;
    FILE *f = fopen(p->file, "re");
    while (f && status == EXIT_STATUS_OK && fgets(line, sizeof line, f)) {
        size_t n = strlen(UP_RECORD_CONFIG);
        line[strcspn(line, "\n")] = '\0';
        if (strcmp(line, UP_RECORD_SECRET) == 0)
            status = service_fail(
                "%s", _("the last 'gotunnel up' had a shared secret, which is not kept: start it "
                        "once more with -secret-file FILE"));
        else if (strncmp(line, UP_RECORD_CONFIG, n) == 0)
            status = service_fail(_("the last 'gotunnel up' had a configuration file: "
                                    "'gotunnel service install server %s' makes a service of that"),
                                  line + n);
    }
    if (f)
        (void)fclose(f); /* only read */
    return status;
}

static bool is_in_states(const char *path)
{
    size_t n = strlen(SERVICE_STATES);
    return strncmp(path, SERVICE_STATES, n) == 0 && !strchr(path + n, '/');
}

/* The folder above the certificates, a whole path. */
static void folder_of(char ret[PATH_MAX], const char *certs)
{
    (void)snprintf(ret, PATH_MAX, "%s", certs); /* fits */
    size_t n = strlen(ret);
    while (n > 1 && ret[n - 1] == '/')
        ret[--n] = '\0';
    *strrchr(ret, '/') = '\0';
}

static int find_state(struct service_plan *p, const char *certs)
{
    struct service *s = &p->service;
    struct stat st;
    char whole[PATH_MAX];
    if (*certs != '/')
        return service_fail(
            _("%s: write the whole path behind '%s', beginning with /: the service reads "
              "a copy in another folder"),
            p->file, "certs");
    folder_of(s->state, certs);
    if (!realpath(s->state, whole) || stat(whole, &st) < 0)
        return service_fail("%s: %s", s->state, errno_text(errno));
    s->is_managers = is_in_states(s->state) && st.st_uid == 0;
    static char user[LOGIN_BUF];
    const struct passwd *owner = s->is_managers ? NULL : getpwuid(st.st_uid);
    (void)snprintf(user, sizeof user, "%s",
                   s->is_managers ? "gotunnel"
                   : owner        ? owner->pw_name
                                  : "");
    s->user = user;
    if (!*user)
        return service_fail(_("%s belongs to a user without a name"), s->state);
    return EXIT_STATUS_OK;
}

/* By its socket in the folder. */
static int check_stopped(const char *state)
{
    char path[CTL_PATH_MAX];
    struct errmsg why;
    int n = snprintf(path, sizeof path, "%s/control", state);
    int fd = n > 0 && n < CTL_PATH_MAX ? ctl_reach(path, &why) : ERR_NOTFOUND;
    if (fd < 0)
        return EXIT_STATUS_OK;
    (void)close(fd); /* only tried */
    return service_fail(
        "%s", _("'gotunnel up' still runs: end it with Ctrl-C, or by 'gotunnel ctl drain', and "
                "install the service then"));
}

static int plan(struct service_plan *p)
{
    const struct server_options *o = snapshot_draft(p->options);
    struct hostport at;
    struct errmsg why;
    int status = check_record(p);
    if (status == EXIT_STATUS_OK)
        status = find_state(p, o->certs);
    if (status == EXIT_STATUS_OK)
        status = check_stopped(p->service.state);
    if (hostport_parse_listen(o->listen, &at, &why) < 0)
        return service_fail("%s: %s", p->file, why.text);
    p->service.opens_low_port = at.port != 0 && at.port < FIRST_FREE_PORT; /* also a name's */
    p->service.waits = true;
    (void)snprintf(p->service.secret_file, sizeof p->service.secret_file, "%s",
                   o->common.secret_file); /* fits */
    return status;
}

/* ---- the way back ---- */

static int give_to_root(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    (void)!lchown(path, 0, 0); /* what cannot be stays, and `gotunnel up` names it */
    return 0;
}

/* systemd has moved the state to where only it may look, left a link in its place, and given it to the service's user. */
static void undo(const struct snapshot *options)
{
    const struct server_options *o = (const struct server_options *)snapshot_common(options);
    char state[PATH_MAX], whole[PATH_MAX];
    enum { OPEN_FOLDERS = 8 };
    struct stat st;
    if (*o->certs != '/')
        return;
    folder_of(state, o->certs);
    if (!is_in_states(state) || !realpath(state, whole))
        return;
    (void)nftw(whole, give_to_root, OPEN_FOLDERS, FTW_PHYS);
    if (lstat(state, &st) == 0 && S_ISLNK(st.st_mode) && unlink(state) == 0)
        (void)!rename(whole, state);
}

const struct service_kind server_service_kind = {
    .mode = &server_mode,
    .run = "gotunnel-server",
    .find = find_record,
    .missing = N_("there is no server to make a service of: 'gotunnel up' begins one"),
    .plan = plan,
    .undo = undo,
};
