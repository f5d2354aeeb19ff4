/* SPDX-License-Identifier: MIT */
/*
 * The four files as one object. Everything between the bytes and the verdict happens here, in
 * memory: which files are missing, what is damaged, what does not belong together, what has
 * expired. Each verdict is one sentence that names the file and says what to do.
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "base/i18n.h"
#include "pki/internal.h"
#include "pki/pki.h"

enum { SECURITY_LEVEL = 2 }; /* as the TLS settings demand later */

void pki_set_fini(struct pki_set *s)
{
    X509_free(s->ca);
    X509_free(s->cert);
    EVP_PKEY_free(s->ca_key);
    EVP_PKEY_free(s->key);
    *s = (struct pki_set){0};
}

/* ---- time ---- */

static time_t from_asn1(const ASN1_TIME *t)
{
    struct tm tm;
    return ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : 0;
}

time_t pki_cert_until(const X509 *cert)
{
    return from_asn1(X509_get0_notAfter(cert));
}

void pki_date(time_t t, char ret[PKI_DATE_MAX])
{
    struct tm tm;
    if (!gmtime_r(&t, &tm) || strftime(ret, PKI_DATE_MAX, "%Y-%m-%d", &tm) == 0)
        (void)snprintf(ret, PKI_DATE_MAX, "?");
}

struct pki_dates pki_set_dates(const struct pki_set *s)
{
    return (struct pki_dates){
        .ca_from = from_asn1(X509_get0_notBefore(s->ca)),
        .ca_until = pki_cert_until(s->ca),
        .from = from_asn1(X509_get0_notBefore(s->cert)),
        .until = pki_cert_until(s->cert),
    };
}

enum pki_state pki_dates_state(const struct pki_dates *d, time_t now)
{
    if (now >= d->ca_until)
        return PKI_CA_EXPIRED;
    if (now < d->ca_from)
        return PKI_CA_EARLY;
    if (now < d->from || now >= d->until)
        return PKI_LAPSED;
    bool last_third = d->until - now <= (d->until - d->from) / 3;
    return last_third && pki_issue_leaf_until(d->ca_until, now) > d->until ? PKI_DUE : PKI_GOOD;
}

int pki_dates_check_ca(const struct pki_dates *d, const char *path, time_t now, struct errmsg *why)
{
    char today[PKI_DATE_MAX], day[PKI_DATE_MAX];
    pki_date(now, today);
    switch (pki_dates_state(d, now)) {
    case PKI_CA_EXPIRED:
        pki_date(d->ca_until, day);
        return errmsg_set(why, ERR_CERT,
                          _("%s/ca.crt expired on %s: move the directory %s away to make a new CA, "
                            "and give its ca.crt to every client (or set the clock: it says %s)"),
                          path, day, path, today);
    case PKI_CA_EARLY:
        pki_date(d->ca_from, day);
        return errmsg_set(why, ERR_CERT,
                          _("%s/ca.crt is not valid before %s: set the clock (it says %s), or, if "
                            "it is right, move the directory away to make a new CA, and give its "
                            "ca.crt to every client"),
                          path, day, today);
    case PKI_GOOD:
    case PKI_DUE:
    case PKI_LAPSED:
        break;
    }
    return 0;
}

/* ---- parsing ---- */

static bool belongs(const X509 *cert, const EVP_PKEY *key)
{
    bool ok = X509_check_private_key(cert, key) == 1;
    ERR_clear_error();
    return ok;
}

static int bad_file(int err, const char *path, enum pki_file f, struct errmsg *why)
{
    const char *name = pki_file_name[f];
    if (err == ERR_NOMEM)
        return errmsg_set(why, err, "%s", err_name(err));
    if (err == ERR_PERM)
        return errmsg_set(why, ERR_CERT, _("%s/%s is encrypted: store it without a passphrase"),
                          path, name);
    if (pki_file_is_key(f))
        return errmsg_set(why, ERR_CERT,
                          _("%s/%s is damaged or not a private key: put back a good copy"), path,
                          name);
    return errmsg_set(why, ERR_CERT,
                      _("%s/%s is damaged or not a certificate: put back a good copy"), path, name);
}

static int parse_cert(const struct pki_blob files[], enum pki_file f, const char *path, X509 **ret,
                      struct errmsg *why)
{
    int err = pki_pem_cert(&files[f], ret);
    if (err < 0 && err != ERR_NOMEM && f == PKI_SERVER_CRT &&
        files[PKI_CA_KEY].data) /* what_is_lost() */
        return errmsg_set(why, ERR_CERT,
                          _("%s/server.crt is damaged or not a certificate: remove it, and it is "
                            "made anew by %s/ca.key"),
                          path, path);
    return err < 0 ? bad_file(err, path, f, why) : 0;
}

static int parse_key(const struct pki_blob files[], enum pki_file f, const char *path,
                     EVP_PKEY **ret, struct errmsg *why)
{
    int err = files[f].data ? pki_pem_key(&files[f], ret) : 0; /* NULL where it is missing */
    return err < 0 ? bad_file(err, path, f, why) : 0;
}

/* What can be made from the CA: server.crt, also where server.key is missing besides. Whoever could
   remove them could have taken ca.key. server.key alone is not made anew: its certificate is there,
   so somebody has the key elsewhere, or is just putting it back. */
static enum pki_lost what_is_lost(const struct pki_blob files[])
{
    if (files[PKI_SERVER_CRT].data || !files[PKI_CA_CRT].data || !files[PKI_CA_KEY].data)
        return PKI_LOST_NOTHING;
    return files[PKI_SERVER_KEY].data ? PKI_LOST_CERT : PKI_LOST_PAIR;
}

static int replace_lost(struct pki_set *s, time_t now, struct errmsg *why)
{
    int err = s->lost == PKI_LOST_PAIR ? pki_issue_key(&s->key) : 0;
    if (err == 0)
        err = pki_issue_leaf(s, now, &s->cert);
    return err < 0 ? errmsg_set(why, err, _("cannot make a server certificate: %s"), err_name(err))
                   : 0;
}

/* ca.key alone may be missing, or what can be made from it, or all of them. */
static int check_complete(const struct pki_blob files[], const char *path, struct errmsg *why)
{
    int missing = -1, present = -1;
    for (int f = 0; f < PKI_FILES; f++) {
        if (files[f].data)
            present = present < 0 ? f : present;
        else if (f != PKI_CA_KEY)
            missing = missing < 0 ? f : missing;
    }
    if (missing < 0 || what_is_lost(files) != PKI_LOST_NOTHING)
        return 0;
    if (present < 0)
        return errmsg_set(why, ERR_NOTFOUND, _("there are no certificates in %s"), path);
    if (missing == PKI_SERVER_KEY && files[PKI_CA_KEY].data)
        return errmsg_set(why, ERR_CERT,
                          _("%s/server.key is missing beside %s/server.crt: put it back, or remove "
                            "server.crt as well, and both are made anew by %s/ca.key"),
                          path, path, path);
    return errmsg_set(why, ERR_CERT,
                      _("%s/%s is missing beside %s/%s: put it back, or move the directory %s away "
                        "to begin anew"),
                      path, pki_file_name[missing], path, pki_file_name[present], path);
}

int pki_set_parse(const struct pki_blob files[PKI_FILES], const char *path, time_t now,
                  struct pki_set *ret, struct errmsg *why)
{
    struct pki_set s = {.lost = what_is_lost(files)};
    int err = check_complete(files, path, why);
    if (err == 0)
        err = parse_cert(files, PKI_CA_CRT, path, &s.ca, why);
    if (err == 0)
        err = parse_key(files, PKI_CA_KEY, path, &s.ca_key, why);
    if (err == 0 && s.lost == PKI_LOST_NOTHING)
        err = parse_cert(files, PKI_SERVER_CRT, path, &s.cert, why);
    if (err == 0)
        err = parse_key(files, PKI_SERVER_KEY, path, &s.key, why);
    if (err == 0 && s.lost != PKI_LOST_NOTHING)
        err = replace_lost(&s, now, why);
    s.is_torn = err == 0 && s.ca_key && !belongs(s.cert, s.key);
    if (err == 0)
        err = pki_set_check(&s, path, now, why);
    if (err < 0) {
        pki_set_fini(&s);
        return err;
    }
    *ret = s;
    return 0;
}

int pki_set_load(const struct pki_dir *d, time_t now, struct pki_set *ret, struct errmsg *why)
{
    struct pki_blob files[PKI_FILES] = {{0}};
    int err = 0;
    for (int f = 0; f < PKI_FILES && err == 0; f++)
        err = pki_dir_read(d, f, &files[f], why);
    if (err == 0)
        err = pki_set_parse(files, d->path, now, ret, why);
    for (int f = 0; f < PKI_FILES; f++)
        pki_blob_fini(&files[f]);
    return err;
}

/* ---- checks ---- */

static int check_keys(const struct pki_set *s, const char *path, struct errmsg *why)
{
    if (!s->is_torn && !belongs(s->cert, s->key))
        return errmsg_set(why, ERR_CERT,
                          _("%s/server.key does not belong to %s/server.crt: put back the two that "
                            "belong together"),
                          path, path);
    if (s->ca_key && !belongs(s->ca, s->ca_key))
        return errmsg_set(why, ERR_CERT,
                          _("%s/ca.key does not belong to %s/ca.crt: put back the two that belong "
                            "together"),
                          path, path);
    return 0;
}

/* A client with our settings, but for the time: an expired certificate is renewed, not refused. */
static int verify(X509_STORE *store, X509_STORE_CTX *ctx, const struct pki_set *s, int *ret_code)
{
    if (!store || !ctx || X509_STORE_add_cert(store, s->ca) != 1 ||
        X509_STORE_CTX_init(ctx, store, s->cert, NULL) != 1)
        return ERR_NOMEM;
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_NO_CHECK_TIME | X509_V_FLAG_PARTIAL_CHAIN);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    X509_VERIFY_PARAM_set_auth_level(param, SECURITY_LEVEL);
    if (X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER) != 1 ||
        X509_VERIFY_PARAM_set1_host(param, PKI_SERVER_NAME, 0) != 1)
        return ERR_NOMEM;
    *ret_code = X509_verify_cert(ctx) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
    return 0;
}

static int refuse(int code, const char *path, struct errmsg *why)
{
    switch (code) {
    case X509_V_OK:
        return 0;
    case X509_V_ERR_OUT_OF_MEM:
        return errmsg_set(why, ERR_NOMEM, "%s", err_name(ERR_NOMEM));
    case X509_V_ERR_HOSTNAME_MISMATCH:
        return errmsg_set(why, ERR_CERT,
                          _("%s/server.crt is not for the name %s: put back the original one"),
                          path, PKI_SERVER_NAME);
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return errmsg_set(why, ERR_CERT,
                          _("%s/server.crt is not signed by %s/ca.crt: put back the files that "
                            "belong together"),
                          path, path);
    default:
        return errmsg_set(why, ERR_CERT,
                          _("%s/server.crt or %s/ca.crt is not fit for its purpose (%s): put back "
                            "the original ones"),
                          path, path, X509_verify_cert_error_string(code));
    }
}

int pki_set_check(const struct pki_set *s, const char *path, time_t now, struct errmsg *why)
{
    int code = X509_V_ERR_OUT_OF_MEM;
    struct pki_dates dates = pki_set_dates(s);
    int err = 0;
    if (pki_dates_state(&dates, now) == PKI_CA_EXPIRED) /* one that is early is a wrong clock */
        err = pki_dates_check_ca(&dates, path, now, why);
    if (err == 0)
        err = check_keys(s, path, why);
    if (err < 0 || s->is_torn)
        return err;
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    err = verify(store, ctx, s, &code);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    ERR_clear_error();
    return refuse(err < 0 ? X509_V_ERR_OUT_OF_MEM : code, path, why);
}
