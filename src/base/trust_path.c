/* SPDX-License-Identifier: MIT */
/*
 * The way to a file, entry by entry from the root. Links are followed here and not by the kernel, so
 * that each folder that one can pass through is looked at, and each link as well.
 */
#include "base/trust_path.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/i18n.h"

enum {
    LINKS_MAX = 40,     /* as the kernel's */
    FOUND_MAX = 8,      /* more are looked up again */
    ACCOUNT_MAX = 4096, /* bytes of an account or a group with its members; more is not private */
};

static uid_t to_become; /* 0: root, or nobody else is known */

struct trust_who trust_who_now(void)
{
    struct trust_who who = {.self = geteuid(), .become = geteuid()};
    if (who.self == 0)
        who.become = to_become;
    const char *text = getenv("SUDO_UID");
    char *end;
    if (who.self != 0 || !text || *text < '0' || *text > '9')
        return who;
    errno = 0;
    unsigned long uid = strtoul(text, &end, 10);
    who.has_sudo = *end == '\0' && errno == 0 && uid < UINT_MAX; /* (uid_t)-1 is nobody */
    who.sudo = (uid_t)uid;
    return who;
}

/* ---- facts ---- */

/* Groups that were found private, for later: in the cage nobody can look into the accounts. */
static struct {
    uid_t uid;
    gid_t gid;
} found_private[FOUND_MAX];
static unsigned found_count;

/* The group has the name of its owner, and no member but them: how systems give each user a group
   of their own. */
static bool look_at_group(uid_t uid, gid_t gid)
{
    char account[ACCOUNT_MAX], members[ACCOUNT_MAX];
    struct passwd pw, *user = NULL;
    struct group gr, *group = NULL;
    if (getpwuid_r(uid, &pw, account, sizeof account, &user) != 0 || !user ||
        getgrgid_r(gid, &gr, members, sizeof members, &group) != 0 || !group)
        return false;
    bool alone = user->pw_gid == gid && strcmp(user->pw_name, group->gr_name) == 0;
    for (char **m = group->gr_mem; alone && *m; m++)
        alone = strcmp(*m, user->pw_name) == 0;
    return alone;
}

static bool is_private(uid_t uid, gid_t gid)
{
    for (unsigned i = 0; i < found_count; i++)
        if (found_private[i].uid == uid && found_private[i].gid == gid)
            return true;
    if (!look_at_group(uid, gid))
        return false;
    if (found_count < FOUND_MAX) {
        found_private[found_count].uid = uid;
        found_private[found_count++].gid = gid;
    }
    return true;
}

static struct trust_facts facts_of(const struct stat *st)
{
    struct trust_facts f = {.uid = st->st_uid, .mode = st->st_mode};
    if (st->st_mode & S_IWGRP && !S_ISLNK(st->st_mode))
        f.private_group = is_private(st->st_uid, st->st_gid);
    return f;
}

/* ---- sentences ---- */

static void describe(enum trust_fault fault, const char *path, const struct trust_facts *f,
                     uid_t self, struct errmsg *why)
{
    unsigned uid = f->uid, mode = f->mode & 07777;
    switch (fault) {
    case TRUST_FAULTLESS:
        break;
    case TRUST_BY_SUDO:
        (void)errmsg_set(why, 0,
                         _("%s belongs to the user who ran sudo (uid %u), who can change it"), path,
                         uid);
        break;
    case TRUST_SHOWN:
        (void)errmsg_set(why, 0,
                         _("%s can be read by every user here (mode %04o); it is taken because it "
                           "is root's, on a read-only mount"),
                         path, mode);
        break;
    case TRUST_MOVABLE:
        (void)errmsg_set(why, 0,
                         _("%s can be written by other users (mode %04o), who could take away what "
                           "is in it: run chmod +t on it"),
                         path, mode);
        break;
    case TRUST_FOREIGN:
        (void)errmsg_set(why, 0,
                         _("%s belongs to another user (uid %u), who could change what it says: "
                           "give it to the one who runs this (chown %u), or use another place"),
                         path, uid, (unsigned)self);
        break;
    case TRUST_WRITABLE:
        (void)errmsg_set(why, 0,
                         _("%s can be written by other users (mode %04o), who could change what it "
                           "says: run chmod go-w on it, or use another place"),
                         path, mode);
        break;
    case TRUST_OPEN:
        (void)errmsg_set(why, 0, _("%s is open to other users (mode %04o): run chmod 600 %s"), path,
                         mode, path);
        break;
    }
}

/* A refusal replaces a warning; of several warnings the first stays. */
static int conclude(const struct trust_who *who, enum trust_fault fault, const char *path,
                    const struct trust_facts *f, bool is_lenient, struct errmsg *why)
{
    switch (trust_verdict(who, fault, is_lenient)) {
    case TRUST_GOOD:
        return 0;
    case TRUST_DOUBTFUL:
        if (!*why->text)
            describe(fault, path, f, who->self, why);
        return 0;
    case TRUST_REFUSED:
        break;
    }
    describe(fault, path, f, who->self, why);
    return ERR_PERM;
}

int trust_file(int fd, const char *path, enum trust_place place, bool is_lenient,
               struct errmsg *why)
{
    const struct trust_who who = trust_who_now();
    struct stat st;
    why->text[0] = '\0';
    if (fstat(fd, &st) < 0)
        return errmsg_set(why, err_from_errno(errno), "%s: %s", path, errno_text(errno));
    struct trust_facts f = facts_of(&st);
    return conclude(&who, trust_judge(&who, place, &f), path, &f, is_lenient, why);
}

/* ---- the way ---- */

struct walk {
    int (*judge)(struct walk *w, const struct stat *st); /* an entry; negative: no further */
    struct trust_who who;
    enum trust_place last;
    bool is_lenient;
    struct errmsg *why;
    char at[PATH_MAX];   /* the way so far, without links and without a slash at its end */
    char rest[PATH_MAX]; /* what is still to come */
    unsigned links;
};

static const char *at_name(const struct walk *w)
{
    return *w->at ? w->at : "/";
}

/* What the entry that was just reached is. */
static enum trust_place place_of(const struct walk *w)
{
    const char *next = w->rest + strspn(w->rest, "/");
    if (!*next)
        return w->last;
    next += strcspn(next, "/");
    bool is_folder = w->last != TRUST_FOLDER && !next[strspn(next, "/")];
    return is_folder ? TRUST_FOLDER : TRUST_WAY;
}

static int judge_entry(struct walk *w, const struct stat *st)
{
    struct trust_facts f = facts_of(st);
    enum trust_place place = S_ISLNK(st->st_mode) ? TRUST_WAY : place_of(w);
    struct statvfs fs;
    if (place == TRUST_SECRET)
        f.read_only = statvfs(at_name(w), &fs) == 0 && fs.f_flag & ST_RDONLY;
    return conclude(&w->who, trust_judge(&w->who, place, &f), at_name(w), &f, w->is_lenient,
                    w->why);
}

static void go_up(struct walk *w)
{
    char *slash = strrchr(w->at, '/');
    if (slash)
        *slash = '\0';
}

/* Moves the next name from rest to at. False: there is none, or no room for it. */
static bool step(struct walk *w)
{
    char *name = w->rest + strspn(w->rest, "/");
    size_t n = strcspn(name, "/"), len = strlen(w->at);
    if (n == 0 || len + 1 + n >= sizeof w->at)
        return false;
    if (n == 2 && memcmp(name, "..", 2) == 0) {
        go_up(w);
    } else if (n != 1 || *name != '.') {
        w->at[len] = '/';
        memcpy(w->at + len + 1, name, n);
        w->at[len + 1 + n] = '\0';
    }
    memmove(w->rest, name + n, strlen(name + n) + 1);
    return true;
}

/* at is a link: what it says comes before the rest. False: it cannot be followed. */
static bool follow(struct walk *w)
{
    char to[PATH_MAX];
    ssize_t n = readlink(w->at, to, sizeof to);
    size_t rest = strlen(w->rest);
    if (n <= 0 || ++w->links > LINKS_MAX || (size_t)n + 1 + rest >= sizeof w->rest)
        return false;
    memmove(w->rest + n + 1, w->rest, rest + 1);
    memcpy(w->rest, to, (size_t)n);
    w->rest[n] = '/';
    if (*to == '/')
        w->at[0] = '\0';
    else
        go_up(w);
    return true;
}

static int walk(struct walk *w)
{
    struct stat st;
    int err = lstat("/", &st) == 0 ? w->judge(w, &st) : 0;
    while (err == 0 && step(w)) {
        if (lstat(at_name(w), &st) < 0)
            return 0; /* missing: it will be made; or who opens it will see */
        err = w->judge(w, &st);
        if (err == 0 && S_ISLNK(st.st_mode) && !follow(w))
            return 0;
    }
    return err;
}

/* Goes along path, which is relative to the working directory if it does not begin with a slash. 0,
   or the error of the first entry that is refused, or of the working directory. */
static int walk_along(struct walk *w, const char *path)
{
    char here[PATH_MAX] = "";
    w->why->text[0] = '\0';
    if (*path != '/' && !getcwd(here, sizeof here))
        return errmsg_set(w->why, err_from_errno(errno), "getcwd: %s", errno_text(errno));
    int n = snprintf(w->rest, sizeof w->rest, "%s/%s", here, path);
    if (n < 0 || (size_t)n >= sizeof w->rest)
        return errmsg_set(w->why, ERR_LIMIT, "%s", errno_text(ENAMETOOLONG));
    return walk(w);
}

int trust_path(const char *path, enum trust_place last, bool is_lenient, struct errmsg *why)
{
    struct walk w = {.judge = judge_entry,
                     .who = trust_who_now(),
                     .last = last,
                     .is_lenient = is_lenient,
                     .why = why};
    return walk_along(&w, path);
}

/* ---- whom root is to become ---- */

/* Does the way go no further? "/" and "/." do not. */
static bool is_end(const char *rest)
{
    while (*rest == '/' || (*rest == '.' && (rest[1] == '/' || !rest[1])))
        rest++;
    return !*rest;
}

/* Of the way to a state folder: root alone has made it what it is. The folder itself may be
   anyone's. */
static int judge_way(struct walk *w, const struct stat *st)
{
    if (is_end(w->rest) && !S_ISLNK(st->st_mode))
        return 0;
    struct trust_facts f = facts_of(st);
    enum trust_fault fault = trust_judge(&w->who, TRUST_WAY, &f);
    return trust_verdict(&w->who, fault, false) == TRUST_REFUSED ? ERR_PERM : 0;
}

/* Could nobody but root have put the folder where it is? Where others may write, sticky or not, they
   could; and a link of theirs could lead to a folder that they own. */
static bool is_placed(const char *state)
{
    struct errmsg why;
    struct stat above;
    struct walk w = {.judge = judge_way, .last = TRUST_FOLDER, .why = &why};
    if (walk_along(&w, state) < 0)
        return false;
    go_up(&w);
    return lstat(at_name(&w), &above) == 0 && above.st_uid == 0 && !(above.st_mode & 022);
}

uid_t trust_owner(const char *state, gid_t *ret_gid)
{
    struct trust_who who = trust_who_now();
    struct stat st;
    *ret_gid = getegid();
    if (who.self != 0 || stat(state, &st) < 0 || !S_ISDIR(st.st_mode))
        return who.self;
    bool is_sudos = who.has_sudo && st.st_uid == who.sudo;
    if (st.st_uid == 0 || (!is_sudos && !is_placed(state)))
        return who.self;
    *ret_gid = st.st_gid;
    return st.st_uid;
}

void trust_become_owner(const char *state)
{
    gid_t gid;
    to_become = trust_owner(state, &gid);
}
