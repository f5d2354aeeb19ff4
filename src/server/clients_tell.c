/* SPDX-License-Identifier: MIT */
/* What `gotunnel clients` asks of a server that runs. What it asks for counts by the files alone (clients_live.c). */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/ctl_ask.h"
#include "base/i18n.h"
#include "base/log.h"
#include "conf/utc.h"
#include "proto/last_seen.h"
#include "server/clients_cmd.h"
#include "server/seen_store.h"

/* An answer of who is at path, NUL-terminated, the caller's. NULL: why has a sentence, or is empty where there is
   nobody to be asked. */
static char *ask(const struct clients_work *w, const char *path, enum ctl_command command,
                 struct errmsg *why)
{
    struct ctl_request req = {.command = command};
    why->text[0] = '\0';
    int fd = ctl_reach(path, why);
    if (fd < 0) {
        if (!*w->line.control)
            why->text[0] = '\0'; /* nobody has said that there is one */
        return NULL;
    }
    if (command == CTL_CLIENT)
        (void)snprintf(req.argument, sizeof req.argument, "%s", w->line.name); /* fits */
    char *bytes = ctl_ask(fd, &req, why);
    (void)close(fd); /* all is said */
    return bytes;
}

/* The line at *at, which goes on to the next one; NULL: that was all, or it is none. */
static struct ctl_line *next_line(char **at)
{
    char *lf = strchr(*at, '\n');
    struct ctl_line *l = lf ? ctl_line_get(*at, (size_t)(lf - *at)) : NULL;
    *at = lf ? lf + 1 : *at;
    return l;
}

/* What came of the change. */
struct told {
    bool is_told;
    long long sessions, connections;
    struct errmsg why; /* it is not, though somebody was asked */
};

static void tell_at(const struct clients_work *w, const char *path, struct told *ret)
{
    char folder[CLIENTS_FOLDER_MAX];
    char *bytes = ask(w, path, CTL_CLIENT, &ret->why), *at = bytes;
    struct ctl_line *l = bytes ? next_line(&at) : NULL;
    const char *error = l ? ctl_line_text(l, "error") : NULL;
    const char *its = l ? ctl_line_text(l, "folder") : NULL;
    clients_folder(folder, &w->dir);
    ret->is_told = its && strcmp(its, folder) == 0;
    if (ret->is_told) {
        ret->sessions = ctl_line_number(l, "sessions");
        ret->connections = ctl_line_number(l, "connections");
    } else if (error) {
        (void)errmsg_set(&ret->why, 0, "%s", error);
    } else if (its && *w->line.control) {
        (void)errmsg_set(&ret->why, 0, "%s", _("it has another folder of clients"));
    } else if (bytes && !l) {
        (void)errmsg_set(&ret->why, 0, "%s", _("the answer makes no sense"));
    }
    ctl_line_free(l);
    free(bytes);
}

/* Until one has our folder, or says what is wrong. */
static void tell(const struct clients_work *w, struct told *ret)
{
    char path[CTL_PATH_MAX + 1];
    memset(ret, 0, sizeof *ret);
    for (unsigned n = 0;
         !ret->is_told && !*ret->why.text && ctl_server_place(w->line.control, w->state, n, path);
         n++)
        tell_at(w, path, ret);
}

static int end(const struct told *t)
{
    if (!t->is_told)
        log_text(_("a server that runs must be reloaded to know it\n"));
    return *t->why.text ? clients_fail(_("the running server does not know it: %s"), t->why.text)
                        : EXIT_STATUS_OK;
}

/* "1 session and 12 connections" */
static const char *what_ended(char out[128], const struct told *t)
{
    char sessions[48], connections[48];
    (void)snprintf(sessions, sizeof sessions, P_("%lld session", "%lld sessions", t->sessions),
                   t->sessions);
    (void)snprintf(connections, sizeof connections,
                   P_("%lld connection", "%lld connections", t->connections), t->connections);
    (void)snprintf(out, 128, _("%s and %s"), sessions, connections); /* fits */
    return out;
}

int clients_tell(const struct clients_work *w)
{
    struct told t;
    char text[128];
    (void)fflush(stdout); /* before what is said on stderr */
    tell(w, &t);
    if (t.is_told && t.sessions > 0)
        printf(_("the running server knows it: %s ended\n"), what_ended(text, &t));
    else if (t.is_told)
        printf("%s\n", _("the running server knows it"));
    return end(&t);
}

int clients_tell_revoked(const struct clients_work *w)
{
    struct told t;
    char text[128];
    tell(w, &t);
    if (t.is_told)
        printf(_("revoked '%s': %s ended\n"), w->line.name, what_ended(text, &t));
    else
        printf(_("revoked '%s': the file is %s/%s.revoked now\n"), w->line.name, w->dir.path,
               w->line.name);
    return end(&t);
}

/* The last line of the answer has our folder. */
static bool is_of_folder(const struct clients_work *w, char *bytes)
{
    char folder[CLIENTS_FOLDER_MAX];
    bool is_ours = false;
    clients_folder(folder, &w->dir);
    for (struct ctl_line *l; (l = next_line(&bytes)); ctl_line_free(l)) {
        const char *its = ctl_line_is_last(l) ? ctl_line_text(l, "folder") : NULL;
        is_ours = its && strcmp(its, folder) == 0;
    }
    return is_ours;
}

/* ---- who is there, and who was ---- */

/* Of the client that the line names, or of all that have a file. */
static bool is_asked_for(const struct clients_work *w, const char *name)
{
    char file[HELLO_ID_MAX + sizeof ".yaml"];
    if (w->line.name)
        return strcmp(w->line.name, name) == 0;
    (void)snprintf(file, sizeof file, "%s.yaml", name); /* of a longer one there is none */
    return faccessat(w->dir.fd, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void print_seen(const struct clients_work *w, const char *name, int64_t at)
{
    char text[UTC_BUF];
    if (at >= 0 && is_asked_for(w, name))
        printf(_("last seen: %s at %s\n"), name, utc_shown(text, at));
}

/* Who was here before, but for those who are: their names, which are known from the lines before. */
static void print_line(const struct clients_work *w, const struct ctl_line *l,
                       struct last_seen *here)
{
    char since[UTC_BUF];
    const char *client = ctl_line_text(l, "client"), *id = ctl_line_text(l, "id");
    const char *from = ctl_line_text(l, "from"), *seen = ctl_line_text(l, "seen");
    if (client && id && from) {
        (void)last_seen_note(here, client, 0);
        if (!w->line.name || is_asked_for(w, client))
            printf(_("connected: %s as %s from %s since %s\n"), client, id, from,
                   utc_shown(since, ctl_line_number(l, "since")));
    } else if (seen && last_seen_at(here, seen) < 0) {
        print_seen(w, seen, ctl_line_number(l, "at"));
    }
}

static void print_there(const struct clients_work *w, char *at)
{
    struct ctl_line *l;
    struct last_seen here = {0};
    for (; (l = next_line(&at)); ctl_line_free(l))
        print_line(w, l, &here);
    last_seen_fini(&here);
}

/* Nobody is to be asked: as the server has kept it. What is wrong with that is the server's to say. */
static void print_kept(const struct clients_work *w)
{
    struct errmsg why;
    struct last_seen kept = {0};
    int dirfd = open(w->certs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0)
        return;
    if (seen_store_read(dirfd, w->certs, &kept, &why) == 0)
        for (size_t i = 0; i < kept.count; i++)
            print_seen(w, kept.list[i].name, kept.list[i].at);
    (void)close(dirfd); /* a folder */
    last_seen_fini(&kept);
}

void clients_print_there(const struct clients_work *w)
{
    struct errmsg why;
    char path[CTL_PATH_MAX + 1];
    bool is_over = false;
    for (unsigned n = 0; !is_over && ctl_server_place(w->line.control, w->state, n, path); n++) {
        char *bytes = ask(w, path, CTL_CLIENTS, &why);
        bool is_ours = bytes && is_of_folder(w, bytes);
        if (*why.text)
            (void)clients_fail("%s", why.text);
        if (is_ours)
            print_there(w, bytes);
        is_over = is_ours || *why.text;
        free(bytes);
    }
    if (!is_over)
        print_kept(w);
}
