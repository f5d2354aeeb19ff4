/* SPDX-License-Identifier: MIT */
/* Opening, renewing and lending the certificates; how they reach the disk is store.c's matter. */
#include "pki/pki.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/i18n.h"
#include "base/key_pool.h"
#include "base/trust_path.h"
#include "pki/internal.h"

enum {
    LOCK_WAIT_MS = 5000,
    OPEN_TRIES = 5, /* each lost race with another process costs one */
    CA_WARN_S = 180 * 24 * 3600,
};

/* Before this (2001) the clock was never set; a CA made then would be expired once it is. */
static const time_t clock_unset = 1000 * 1000 * 1000;

struct pki_identity {
    struct pki_dir dir;
    char *path; /* dir.path's storage */
    struct pki_set set;
    struct pki_dates dates; /* of set */

    /* what pki_keep() remembers */
    enum pki_state told; /* the last state that was told of; of those of the CA only */
    bool failed;         /* the last renewal */
    time_t tried_at, told_failure_at;
    struct errmsg failure; /* as told */
};

/* ---- renewal ---- */

/* Why there can be no renewal, and what follows from it. */
static int no_ca_key(const struct pki_dir *d, const struct pki_set *s, time_t now,
                     struct errmsg *why)
{
    char day[PKI_DATE_MAX];
    pki_date(pki_cert_until(s->cert), day);
    struct pki_dates dates = pki_set_dates(s);
    if (pki_dates_state(&dates, now) != PKI_LAPSED)
        return errmsg_set(why, ERR_CERT,
                          _("%s/server.crt ends on %s: put %s/ca.key back so that it can be "
                            "renewed"),
                          d->path, day, d->path);
    return errmsg_set(why, ERR_CERT,
                      _("%s/server.crt is not valid today (it ends on %s): put %s/ca.key back so "
                        "that it can be renewed"),
                      d->path, day, d->path);
}

/* Key and certificate of s to the disk, if possible; else a warning in why. */
static void save(const struct pki_dir *d, const struct pki_set *s, struct errmsg *why)
{
    if (pki_store_save_leaf(d, s->cert, s->key) == 0)
        return;
    int errnum = errno;
    (void)errmsg_set(why, err_from_errno(errnum),
                     _("the renewed certificate cannot be saved in %s: %s"), d->path,
                     errno_text(errnum));
}

/* What is new in a set of which a part was lost; why says what. */
static void save_lost(const struct pki_dir *d, struct pki_set *s, struct errmsg *why)
{
    if (s->lost == PKI_LOST_CERT)
        (void)errmsg_set(why, 0,
                         _("%s/server.crt was missing: it has been signed anew by %s/ca.key"),
                         d->path, d->path);
    else
        (void)errmsg_set(why, 0,
                         _("%s/server.crt and %s/server.key were missing: they have been made anew "
                           "by %s/ca.key"),
                         d->path, d->path, d->path);
    save(d, s, why);
    s->lost = PKI_LOST_NOTHING;
}

/* A certificate from ca_key, for another key; the key of a torn set stays: it is the newer one. */
static int issue(const struct pki_dir *d, time_t now, const struct pki_set *s, struct pki_set *ret,
                 struct errmsg *why)
{
    struct pki_set fresh = {.ca = s->ca, .ca_key = s->ca_key};
    int err = 0;
    if (s->is_torn && EVP_PKEY_up_ref(s->key) == 1)
        fresh.key = s->key;
    else
        err = pki_issue_key(&fresh.key);
    if (err == 0)
        err = pki_issue_leaf(&fresh, now, &fresh.cert);
    if (err < 0)
        (void)errmsg_set(why, err, _("cannot make a server certificate: %s"), err_name(err));
    else
        err = pki_set_check(&fresh, d->path, now, why);
    if (err < 0) {
        X509_free(fresh.cert);
        EVP_PKEY_free(fresh.key);
        return err;
    }
    *ret = fresh;
    return 0;
}

/* Replaces the certificate of s and its key, in memory and, if possible, on disk (else: a
   warning). */
static int renew(const struct pki_dir *d, time_t now, struct pki_set *s, struct errmsg *why)
{
    struct pki_set fresh;
    if (!s->ca_key)
        return no_ca_key(d, s, now, why);
    int err = issue(d, now, s, &fresh, why);
    if (err < 0)
        return err;
    if (s->is_torn)
        (void)errmsg_set(why, 0,
                         _("%s/server.crt did not belong to %s/server.key, and was replaced"),
                         d->path, d->path);
    X509_free(s->cert);
    EVP_PKEY_free(s->key);
    *s = fresh;
    save(d, s, why);
    return 0;
}

enum pki_state pki_state(const struct pki_identity *id, time_t now)
{
    return pki_dates_state(&id->dates, now);
}

/* Can a renewal help? Not where the CA itself is refused. */
static bool needs_renewal(const struct pki_set *s, time_t now)
{
    struct pki_dates dates = pki_set_dates(s);
    enum pki_state state = pki_dates_state(&dates, now);
    return s->is_torn || state == PKI_DUE || state == PKI_LAPSED;
}

static int reload(struct pki_identity *id, time_t now, struct pki_set *ret, struct errmsg *why)
{
    int err = pki_set_load(&id->dir, now, ret, why);
    if (err == 0 && X509_cmp(ret->ca, id->set.ca) != 0)
        err = errmsg_set(why, ERR_CERT, _("%s/ca.crt is another one than at the start: restart"),
                         id->dir.path);
    if (err == 0 && ret->lost != PKI_LOST_NOTHING)
        save_lost(&id->dir, ret, why);
    else if (err == 0 && needs_renewal(ret, now))
        err = renew(&id->dir, now, ret, why);
    return err;
}

/*
 * When everything is on the disk: the CA's key is not needed until a renewal, and is not kept; the
 * server's moves to where nothing is swapped out or dumped, as far as the system allows. As a copy,
 * because what makes, reads or writes a key allocates more than the key. If there is no memory, it
 * stays where it is.
 */
static void settle_keys(struct pki_set *s)
{
    EVP_PKEY_free(s->ca_key); /* which wipes it */
    s->ca_key = NULL;
    key_pool_enter();
    EVP_PKEY *copy = EVP_PKEY_dup(s->key);
    key_pool_leave();
    ERR_clear_error();
    if (!copy)
        return;
    EVP_PKEY_free(s->key);
    s->key = copy;
}

int pki_renew(struct pki_identity *id, time_t now, struct errmsg *why)
{
    struct pki_set s = {0};
    (void)errmsg_set(why, 0, "%s", "");
    if (file_lock(id->dir.fd, 0) < 0)
        return errmsg_set(why, ERR_TIMEOUT, _("another process is at work in %s"), id->dir.path);
    int err = reload(id, now, &s, why);
    file_unlock(id->dir.fd);
    if (err < 0) {
        pki_set_fini(&s);
        return err;
    }
    settle_keys(&s);
    pki_set_fini(&id->set);
    id->set = s;
    id->dates = pki_set_dates(&id->set);
    return 0;
}

/* ---- keeping ---- */

/* A clock that was set back ends a wait as well: it is another question then. */
static bool is_over(time_t since, time_t wait_s, time_t now)
{
    return now < since || now - since >= wait_s;
}

static void note_failure(struct pki_identity *id, time_t now, const struct errmsg *why)
{
    id->failed = true;
    id->tried_at = id->told_failure_at = now;
    if (why)
        id->failure = *why;
}

static enum pki_news try_renewal(struct pki_identity *id, time_t now, struct errmsg *why)
{
    if (pki_renew(id, now, why) == 0) {
        id->failed = false;
        return PKI_NEWS_RENEWED;
    }
    if (id->failed && strcmp(why->text, id->failure.text) == 0 &&
        !is_over(id->told_failure_at, PKI_TELL_AGAIN_S, now)) {
        id->tried_at = now;
        return PKI_NEWS_NONE;
    }
    note_failure(id, now, why);
    return PKI_NEWS_FAILED;
}

enum pki_news pki_keep(struct pki_identity *id, time_t now, struct errmsg *why)
{
    enum pki_state was = id->told, state = pki_state(id, now);
    time_t wait_s = state == PKI_DUE ? PKI_RETRY_DUE_S : PKI_RETRY_S;
    switch (state) {
    case PKI_CA_EARLY:
    case PKI_CA_EXPIRED:
        if (state == was)
            return PKI_NEWS_NONE;
        id->told = state;
        (void)!pki_dates_check_ca(&id->dates, id->path, now, why);
        return PKI_NEWS_CA;
    case PKI_DUE:
    case PKI_LAPSED:
        if (id->failed && !is_over(id->tried_at, wait_s, now))
            return PKI_NEWS_NONE;
        id->told = PKI_GOOD; /* the news of the renewal says it all */
        return try_renewal(id, now, why);
    case PKI_GOOD:
        break;
    }
    id->told = PKI_GOOD;
    return was == PKI_GOOD ? PKI_NEWS_NONE : PKI_NEWS_VALID;
}

/* ---- opening ---- */

int pki_check_place(const char *dir, bool is_lenient, struct errmsg *why)
{
    char path[PATH_MAX];
    int err = trust_path(dir, TRUST_FOLDER, is_lenient, why);
    struct errmsg warning = *why;
    for (int f = 0; f < PKI_FILES && err == 0; f++) {
        int n = snprintf(path, sizeof path, "%s/%s", dir, pki_file_name[f]);
        if (n < 0 || (size_t)n >= sizeof path)
            continue; /* pki_open() says so */
        err = trust_path(path, TRUST_FILE, is_lenient, why);
        if (!*warning.text)
            warning = *why;
    }
    if (err == 0)
        *why = warning;
    return err;
}

/* Whoever may write in the directory may replace what we trust. */
static int check_dir(const struct pki_dir *d, struct errmsg *why)
{
    struct stat st;
    if (fstat(d->fd, &st) == 0 && st.st_mode & S_IWOTH)
        return errmsg_set(why, ERR_CERT,
                          _("%s is writable by others (mode %04o): run chmod 700 %s"), d->path,
                          (unsigned)st.st_mode & 07777, d->path);
    return 0;
}

static int check_clock(const char *path, time_t now, struct errmsg *why)
{
    if (now >= clock_unset)
        return 0;
    char day[PKI_DATE_MAX];
    pki_date(now, day);
    return errmsg_set(why, ERR_BADSTATE,
                      _("cannot create the certificates in %s: set the clock of this machine first "
                        "(it says %s)"),
                      path, day);
}

/* What the person should know although the start succeeds; a warning already there stays. */
static void warn(const struct pki_dir *d, const struct pki_set *s, time_t now, struct errmsg *why)
{
    char day[PKI_DATE_MAX];
    struct pki_dates dates = pki_set_dates(s);
    if (!why || *why->text || pki_dates_check_ca(&dates, d->path, now, why) < 0)
        return;
    if (dates.ca_until - now < CA_WARN_S) {
        pki_date(dates.ca_until, day);
        (void)errmsg_set(why, 0,
                         _("%s/ca.crt expires on %s: plan to move the directory %s away by then, "
                           "and to give the new ca.crt to every client"),
                         d->path, day, d->path);
    } else if (!s->ca_key) {
        pki_date(pki_cert_until(s->cert), day);
        (void)errmsg_set(why, 0,
                         _("%s/ca.key is missing: the server certificate, valid until %s, cannot "
                           "be renewed without it"),
                         d->path, day);
    }
}

/* Loads what is in the locked directory, or fills it. */
static int open_locked(const struct pki_dir *d, time_t now, struct pki_set *s,
                       enum pki_outcome *ret_outcome, struct errmsg *why)
{
    int err = pki_store_recover(d, why);
    if (err == 0)
        err = pki_set_load(d, now, s, why);
    *ret_outcome = PKI_LOADED;
    if (err == ERR_NOTFOUND) {
        *ret_outcome = PKI_CREATED;
        (void)errmsg_set(why, 0, "%s", "");
        err = check_clock(d->path, now, why);
        return err < 0 ? err : pki_store_create_in(d, now, s, why);
    }
    if (err == 0 && s->lost != PKI_LOST_NOTHING) {
        *ret_outcome = PKI_RENEWED;
        save_lost(d, s, why);
        return 0;
    }
    if (err < 0 || !needs_renewal(s, now))
        return err;
    struct pki_dates dates = pki_set_dates(s);
    err = renew(d, now, s, why);
    if (err == 0)
        *ret_outcome = PKI_RENEWED;
    else if (!s->is_torn && pki_dates_state(&dates, now) == PKI_DUE)
        err = 0; /* why is the warning */
    return err;
}

static int cannot_open(const char *path, struct errmsg *why)
{
    int errnum = errno;
    return errmsg_set(why, err_from_errno(errnum), _("cannot open the directory %s: %s"), path,
                      errno_text(errnum));
}

/* One attempt. ERR_AGAIN: another process made the directory at the same moment. */
static int try_open(struct pki_identity *id, time_t now, enum pki_outcome *ret_outcome,
                    struct errmsg *why)
{
    id->dir.fd = open(id->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (id->dir.fd < 0 && errno == ENOENT) {
        *ret_outcome = PKI_CREATED;
        int err = check_clock(id->path, now, why);
        return err < 0 ? err : pki_store_create(id->path, now, &id->dir, &id->set, why);
    }
    if (id->dir.fd < 0)
        return cannot_open(id->path, why);
    int err = check_dir(&id->dir, why);
    if (err < 0)
        return err;
    if (file_lock(id->dir.fd, LOCK_WAIT_MS) < 0)
        return errmsg_set(why, ERR_TIMEOUT, _("another process is at work in %s"), id->path);
    pki_store_sweep(id->path);
    return open_locked(&id->dir, now, &id->set, ret_outcome, why);
}

static struct pki_identity *identity_new(const char *path)
{
    struct pki_identity *id = calloc(1, sizeof *id);
    if (!id)
        return NULL;
    id->path = strdup(path);
    id->dir = (struct pki_dir){-1, id->path};
    if (id->path)
        return id;
    pki_free(id);
    return NULL;
}

int pki_open(const char *dir, time_t now, struct pki_identity **ret, enum pki_outcome *ret_outcome,
             struct errmsg *why)
{
    if (!*dir)
        return errmsg_set(why, ERR_INVAL, "%s",
                          _("the name of the certificate directory is empty"));
    struct pki_identity *id = identity_new(dir);
    if (!id)
        return errmsg_set(why, ERR_NOMEM, "%s", err_name(ERR_NOMEM));
    enum pki_outcome outcome = PKI_LOADED;
    int err = ERR_AGAIN;
    for (int i = 0; i < OPEN_TRIES && err == ERR_AGAIN; i++) {
        (void)errmsg_set(why, 0, "%s", "");
        err = try_open(id, now, &outcome, why);
    }
    if (err < 0) {
        pki_free(id);
        return err == ERR_AGAIN ? ERR_IO : err; /* why has the words of the last attempt */
    }
    id->dates = pki_set_dates(&id->set);
    if (needs_renewal(&id->set, now))
        note_failure(id, now, why); /* why is its warning */
    if (pki_state(id, now) == PKI_CA_EARLY)
        id->told = PKI_CA_EARLY;
    warn(&id->dir, &id->set, now, why);
    file_unlock(id->dir.fd);
    settle_keys(&id->set);
    *ret_outcome = outcome;
    *ret = id;
    return 0;
}

/* ---- lending ---- */

X509 *pki_cert(const struct pki_identity *id)
{
    return id->set.cert;
}

EVP_PKEY *pki_key(const struct pki_identity *id)
{
    return id->set.key;
}

X509 *pki_ca(const struct pki_identity *id)
{
    return id->set.ca;
}

int pki_ca_pem(const struct pki_identity *id, char **ret)
{
    struct pki_blob text = {0};
    if (pki_pem_put_cert(id->set.ca, &text) < 0)
        return ERR_NOMEM;
    char *copy = strndup((const char *)text.data, text.len);
    pki_blob_fini(&text);
    if (!copy)
        return ERR_NOMEM;
    *ret = copy;
    return 0;
}

void pki_free(struct pki_identity *id)
{
    if (!id)
        return;
    if (id->dir.fd >= 0)
        (void)close(id->dir.fd); /* nothing was written through it */
    pki_set_fini(&id->set);
    free(id->path);
    free(id);
}
