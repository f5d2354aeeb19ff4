/* SPDX-License-Identifier: MIT */
/*
 * pki_open() and pki_renew(): first start, the original's directory, every refusal with its
 * sentence (D26: nothing is overwritten), warnings, and renewal by the calendar.
 */
#include "pki/pki.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "pki/internal.h"
#include "place.h"

/* Ten years of ours, from TODAY: until 2037-01-15 there are three leap days. */
#define CA_DAYS 3653

uid_t __wrap_geteuid(void);
uid_t __real_geteuid(void);
static uid_t pretended_user; /* 0: the true one */

uid_t __wrap_geteuid(void)
{
    return pretended_user ? pretended_user : __real_geteuid();
}

/* Opens certs/, which must succeed that way. The caller's. */
static struct pki_identity *opened(time_t now, enum pki_outcome want, const char *warning)
{
    struct pki_identity *id = NULL;
    enum pki_outcome outcome;
    struct errmsg why;
    int err = pki_open("certs", now, &id, &outcome, &why);
    if (err < 0)
        fail_msg("refused: %s", why.text);
    assert_string_equal(why.text, warning);
    assert_int_equal(outcome, want);
    return id;
}

/* Opens certs/, which must be refused with this sentence. */
static void refused(time_t now, int want, const char *sentence)
{
    struct pki_identity *id;
    enum pki_outcome outcome;
    struct errmsg why;
    int err = pki_open("certs", now, &id, &outcome, &why);
    if (err == 0)
        fail_msg("opened instead of: %s", sentence);
    assert_string_equal(why.text, sentence);
    assert_int_equal(err, want);
}

static void made(void)
{
    pki_free(opened(TODAY, PKI_CREATED, ""));
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void assert_same_file(const char *path, const struct pki_blob *before)
{
    struct pki_blob now = place_read(path);
    assert_int_equal(now.len, before->len);
    assert_memory_equal(now.data, before->data, now.len);
    pki_blob_fini(&now);
}

/* ---- creation ---- */

static void the_first_start_makes_all(void **state)
{
    (void)state;
    made();
    assert_int_equal(place_count("certs"), 4);
    assert_false(place_has_leftovers("certs", NULL));
    assert_false(place_has_leftovers(".", "certs"));
    assert_int_equal(mode_of("certs"), 0700);
    assert_int_equal(mode_of("certs/ca.key"), 0600);
    assert_int_equal(mode_of("certs/server.key"), 0600);
    assert_int_equal(mode_of("certs/ca.crt"), 0644);
    assert_int_equal(mode_of("certs/server.crt"), 0644);
}

static void umask_is_heeded(void **state)
{
    (void)state;
    (void)umask(077);
    made();
    (void)umask(022);
    assert_int_equal(mode_of("certs/ca.crt"), 0600);
    assert_int_equal(mode_of("certs/ca.key"), 0600);
}

static void the_second_start_loads_the_same(void **state)
{
    (void)state;
    struct pki_identity *a = opened(TODAY, PKI_CREATED, "");
    struct pki_identity *b = opened(TODAY, PKI_LOADED, "");
    assert_int_equal(X509_cmp(pki_cert(a), pki_cert(b)), 0);
    assert_int_equal(EVP_PKEY_eq(pki_key(a), pki_key(b)), 1);
    assert_int_equal(X509_check_private_key(pki_cert(b), pki_key(b)), 1);
    pki_free(a);
    pki_free(b);
    pki_free(NULL);
}

static void the_ca_text_is_the_file(void **state)
{
    (void)state;
    struct pki_identity *id = opened(TODAY, PKI_CREATED, "");
    char *text;
    assert_int_equal(pki_ca_pem(id, &text), 0);
    struct pki_blob file = place_read("certs/ca.crt");
    assert_string_equal(text, (const char *)file.data);
    free(text);
    pki_blob_fini(&file);
    pki_free(id);
}

static void an_existing_directory_keeps_what_it_has(void **state)
{
    (void)state;
    assert_int_equal(mkdir("certs", 0750), 0);
    place_write_text("certs/notes.txt", "mine", 0644);
    made();
    assert_int_equal(place_count("certs"), 4);
    assert_false(place_has_leftovers("certs", "notes.txt"));
    assert_int_equal(mode_of("certs"), 0750);
    assert_int_equal(mode_of("certs/ca.key"), 0600);
}

/* What pki_open() makes of a name for the directory. */
static int open_at(const char *dir, struct errmsg *why)
{
    struct pki_identity *id;
    enum pki_outcome outcome;
    int err = pki_open(dir, TODAY, &id, &outcome, why);
    if (err == 0)
        pki_free(id);
    return err;
}

static void names_of_directories(void **state)
{
    (void)state;
    struct errmsg why;
    char longest[400];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(mkdir("some", 0700), 0);
    assert_int_equal(open_at("some/where//", &why), 0);
    assert_int_equal(place_count("some/where"), 4);
    assert_int_equal(open_at(".", &why), 0);
    assert_int_equal(place_count("."), 4);
    assert_int_equal(open_at("some/..", NULL), 0); /* the same; no sentence wanted */
    assert_int_equal(symlink("some/where", "link"), 0);
    assert_int_equal(open_at("link", &why), 0);
    assert_int_equal(open_at("", &why), ERR_INVAL);
    assert_int_equal(open_at(longest, &why), ERR_IO);
    assert_int_equal(open_at("no/such/parent", &why), ERR_NOTFOUND);
    assert_string_equal(why.text, "cannot create the certificates in no/such/parent: "
                                  "No such file or directory");
    assert_int_equal(open_at("ca.crt", &why), ERR_IO);
    assert_string_equal(why.text, "cannot open the directory ca.crt: Not a directory");
    assert_int_equal(symlink("nowhere", "dangling"), 0);
    assert_int_equal(open_at("dangling", &why), ERR_IO);
    assert_string_equal(why.text, "cannot create the certificates in dangling: File exists");
    assert_true(access("dangling.gotunnel-tmp", F_OK) < 0);
}

static void a_clock_that_was_never_set_makes_nothing(void **state)
{
    (void)state;
    static const char want[] = "cannot create the certificates in certs: set the clock of this "
                               "machine first (it says 1970-01-02)";
    refused(DAY, ERR_BADSTATE, want);
    assert_true(access("certs", F_OK) < 0);
    assert_int_equal(mkdir("certs", 0700), 0);
    refused(DAY, ERR_BADSTATE, want);
    assert_int_equal(place_count("certs"), 0);
}

/* ---- directories of others ---- */

static void the_originals_directory_loads_as_it_is(void **state)
{
    (void)state;
    place_go_certs();
    struct pki_blob before[PKI_FILES];
    for (int f = 0; f < PKI_FILES; f++) {
        char path[64];
        (void)snprintf(path, sizeof path, "certs/%s", pki_file_name[f]);
        before[f] = place_read(path);
    }
    pki_free(opened(TODAY, PKI_LOADED, ""));
    for (int f = 0; f < PKI_FILES; f++) {
        char path[64];
        (void)snprintf(path, sizeof path, "certs/%s", pki_file_name[f]);
        assert_same_file(path, &before[f]);
        pki_blob_fini(&before[f]);
    }
    assert_false(place_has_leftovers("certs", NULL));
}

static void the_ca_key_may_be_kept_elsewhere(void **state)
{
    (void)state;
    place_go_certs();
    assert_int_equal(unlink("certs/ca.key"), 0);
    pki_free(opened(TODAY, PKI_LOADED,
                    "certs/ca.key is missing: the server certificate, valid until 2036-11-25, "
                    "cannot be renewed without it"));
}

static X509_EXTENSION *extension(X509 *issuer, X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(ext);
    return ext;
}

/* Puts another value in the place of an extension (NULL: removes it) and signs anew. */
static void change(X509 *cert, const struct pki_set *by, int nid, const char *value)
{
    int at = X509_get_ext_by_NID(cert, nid, -1);
    if (at >= 0)
        X509_EXTENSION_free(X509_delete_ext(cert, at));
    if (value) {
        X509_EXTENSION *ext = extension(by->ca, cert, nid, value);
        assert_int_equal(X509_add_ext(cert, ext, -1), 1);
        X509_EXTENSION_free(ext);
    }
    assert_true(X509_sign(cert, by->ca_key, EVP_sha256()) > 0);
}

/* A CA and server pair with RSA keys, made with other tools: no key identifiers, PKCS#8. */
static void an_rsa_set_of_other_hands(void **state)
{
    (void)state;
    struct pki_set s;
    assert_int_equal(pki_issue_set(TODAY, &s), 0);
    EVP_PKEY_free(s.ca_key);
    EVP_PKEY_free(s.key);
    s.ca_key = EVP_RSA_gen(2048);
    s.key = EVP_RSA_gen(2048);
    assert_int_equal(X509_set_pubkey(s.ca, s.ca_key), 1);
    assert_int_equal(X509_set_pubkey(s.cert, s.key), 1);
    change(s.ca, &s, NID_subject_key_identifier, NULL);
    change(s.cert, &s, NID_authority_key_identifier, NULL);
    place_certs(&s);
    BIO *out = BIO_new_file("certs/server.key", "w");
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(out, s.key, NULL, NULL, 0, NULL, NULL), 1);
    BIO_free(out);
    pki_free(opened(TODAY, PKI_LOADED, ""));
    struct pki_identity *id = opened(TODAY + 300 * DAY, PKI_RENEWED, "");
    assert_int_equal(X509_get_ext_by_NID(pki_cert(id), NID_authority_key_identifier, -1), -1);
    pki_free(id);
    pki_set_fini(&s);
}

/* ---- refusals ---- */

static void d26_incomplete_directories(void **state)
{
    (void)state;
    static const struct {
        const char *keep[3];
        const char *sentence;
    } rows[] = {
        {{"ca.crt"}, "certs/server.crt is missing beside certs/ca.crt"},
        {{"ca.crt", "server.crt"}, "certs/server.key is missing beside certs/ca.crt"},
        {{"ca.crt", "server.key"}, "certs/server.crt is missing beside certs/ca.crt"},
        {{"ca.key", "server.crt", "server.key"}, "certs/ca.crt is missing beside certs/ca.key"},
        {{"server.crt", "server.key"}, "certs/ca.crt is missing beside certs/server.crt"},
        {{"server.key"}, "certs/ca.crt is missing beside certs/server.key"},
        {{"ca.key"}, "certs/ca.crt is missing beside certs/ca.key"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char sentence[256];
        int kept = 0;
        assert_int_equal(mkdir("certs", 0700), 0);
        for (int k = 0; k < 3 && rows[i].keep[k]; k++, kept++) {
            char path[64];
            (void)snprintf(path, sizeof path, "certs/%s", rows[i].keep[k]);
            place_write_text(path, "kept", 0600);
        }
        (void)snprintf(sentence, sizeof sentence,
                       "%s: put it back, or move the directory certs away to begin anew",
                       rows[i].sentence);
        refused(TODAY, ERR_CERT, sentence);
        assert_int_equal(place_count("certs"), kept);
        place_remove("certs");
    }
}

/* Only what ca.key can make: the CA, which clients trust, and the key stay. */
static void a_lost_certificate_is_signed_anew(void **state)
{
    (void)state;
    made();
    struct pki_identity *before = opened(TODAY, PKI_LOADED, "");
    struct pki_blob ca = place_read("certs/ca.crt"), key = place_read("certs/server.key");
    assert_int_equal(unlink("certs/server.crt"), 0);
    struct pki_identity *after =
        opened(TODAY + DAY, PKI_RENEWED,
               "certs/server.crt was missing: it has been signed anew by certs/ca.key");
    assert_int_not_equal(X509_cmp(pki_cert(before), pki_cert(after)), 0);
    assert_int_equal(X509_cmp(pki_ca(before), pki_ca(after)), 0);
    assert_int_equal(EVP_PKEY_eq(pki_key(before), pki_key(after)), 1);
    assert_same_file("certs/ca.crt", &ca);
    assert_same_file("certs/server.key", &key);
    struct pki_identity *again = opened(TODAY + DAY, PKI_LOADED, "");
    assert_int_equal(X509_cmp(pki_cert(again), pki_cert(after)), 0);
    assert_int_equal(place_count("certs"), 4);
    pki_free(before);
    pki_free(after);
    pki_free(again);
    pki_blob_fini(&ca);
    pki_blob_fini(&key);
}

/* Both: the CA stays, and clients keep their trust. */
static void a_lost_pair_is_made_anew(void **state)
{
    (void)state;
    made();
    struct pki_identity *before = opened(TODAY, PKI_LOADED, "");
    struct pki_blob ca = place_read("certs/ca.crt"), ca_key = place_read("certs/ca.key");
    assert_int_equal(unlink("certs/server.crt"), 0);
    assert_int_equal(unlink("certs/server.key"), 0);
    struct pki_identity *after = opened(TODAY + DAY, PKI_RENEWED,
                                        "certs/server.crt and certs/server.key were missing: they "
                                        "have been made anew by certs/ca.key");
    assert_int_not_equal(EVP_PKEY_eq(pki_key(before), pki_key(after)), 1);
    assert_int_equal(X509_check_private_key(pki_cert(after), pki_key(after)), 1);
    assert_int_equal(X509_cmp(pki_ca(before), pki_ca(after)), 0);
    assert_same_file("certs/ca.crt", &ca);
    assert_same_file("certs/ca.key", &ca_key);
    assert_int_equal(mode_of("certs/server.key"), 0600);
    struct pki_identity *again = opened(TODAY + DAY, PKI_LOADED, "");
    assert_int_equal(X509_cmp(pki_cert(again), pki_cert(after)), 0);
    assert_int_equal(EVP_PKEY_eq(pki_key(again), pki_key(after)), 1);
    assert_int_equal(place_count("certs"), 4);
    pki_free(before);
    pki_free(after);
    pki_free(again);
    pki_blob_fini(&ca);
    pki_blob_fini(&ca_key);
}

/* A folder where nothing can be written has a pair for as long as the program runs. */
static void a_lost_pair_that_cannot_be_saved_is_used(void **state)
{
    (void)state;
    made();
    assert_int_equal(unlink("certs/server.crt"), 0);
    assert_int_equal(unlink("certs/server.key"), 0);
    assert_int_equal(mkdir("certs/.server.crt.gotunnel-tmp", 0700), 0); /* in the way */
    struct pki_identity *id =
        opened(TODAY, PKI_RENEWED, "the renewed certificate cannot be saved in certs: File exists");
    assert_int_equal(X509_check_private_key(pki_cert(id), pki_key(id)), 1);
    assert_int_not_equal(access("certs/server.key", F_OK), 0);
    assert_int_not_equal(access("certs/server.crt", F_OK), 0);
    pki_free(id);
}

/* ca.key of another CA makes no pair, and nothing is made once the CA is over. */
static void a_lost_pair_needs_a_good_ca(void **state)
{
    (void)state;
    made();
    assert_int_equal(unlink("certs/server.crt"), 0);
    struct pki_blob own = place_read("certs/ca.key");
    assert_int_equal(unlink("certs/ca.key"), 0);
    assert_int_equal(rename("certs/server.key", "certs/ca.key"), 0);
    refused(TODAY, ERR_CERT,
            "certs/ca.key does not belong to certs/ca.crt: put back the two that belong together");
    assert_int_equal(place_count("certs"), 2);
    place_write("certs/ca.key", own.data, own.len, 0600);
    struct pki_identity *id;
    enum pki_outcome outcome;
    struct errmsg why;
    assert_int_equal(pki_open("certs", TODAY + CA_DAYS * DAY, &id, &outcome, &why), ERR_CERT);
    assert_non_null(strstr(why.text, "certs/ca.crt expired on"));
    assert_int_equal(place_count("certs"), 2);
    pki_blob_fini(&own);
}

/* Its certificate is there, so the key is somewhere, or just coming back. */
static void a_lost_key_alone_is_not_made_anew(void **state)
{
    (void)state;
    made();
    assert_int_equal(unlink("certs/server.key"), 0);
    refused(TODAY, ERR_CERT,
            "certs/server.key is missing beside certs/server.crt: put it back, or remove "
            "server.crt as well, and both are made anew by certs/ca.key");
    assert_int_equal(place_count("certs"), 3);
}

/* Without ca.key there is nothing to make it from. */
static void a_lost_pair_needs_the_key_of_the_ca(void **state)
{
    (void)state;
    made();
    assert_int_equal(unlink("certs/server.crt"), 0);
    assert_int_equal(unlink("certs/server.key"), 0);
    assert_int_equal(unlink("certs/ca.key"), 0);
    refused(TODAY, ERR_CERT,
            "certs/server.crt is missing beside certs/ca.crt: put it back, or move the directory "
            "certs away to begin anew");
    assert_int_equal(place_count("certs"), 1);
}

/* ca.key of another CA: nothing is signed by it. */
static void a_lost_certificate_needs_the_right_key(void **state)
{
    (void)state;
    made();
    assert_int_equal(rename("certs/ca.key", "away"), 0);
    assert_int_equal(unlink("certs/server.crt"), 0);
    assert_int_equal(rename("certs/server.key", "certs/ca.key"), 0);
    assert_int_equal(rename("away", "certs/server.key"), 0);
    refused(TODAY, ERR_CERT,
            "certs/ca.key does not belong to certs/ca.crt: put back the two that belong together");
    assert_int_equal(place_count("certs"), 3);
}

static void damaged_files(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *sentence;
    } rows[] = {
        {"ca.crt", "", "damaged or not a certificate: put back a good copy"},
        {"ca.crt", "-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n",
         "damaged or not a certificate: put back a good copy"},
        {"server.crt", "x",
         "damaged or not a certificate: remove it, and it is made anew by certs/ca.key"},
        {"ca.key", "", "damaged or not a private key: put back a good copy"},
        {"server.key", "x", "damaged or not a private key: put back a good copy"},
        {"server.key",
         "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE "
         "KEY-----\n",
         "encrypted: store it without a passphrase"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char path[64], sentence[256];
        place_go_certs();
        (void)snprintf(path, sizeof path, "certs/%s", rows[i].name);
        (void)snprintf(sentence, sizeof sentence, "%s is %s", path, rows[i].sentence);
        place_write_text(path, rows[i].text, 0600);
        refused(TODAY, ERR_CERT, sentence);
        place_remove("certs");
    }
}

/* What the sentence about server.crt says, and what it must not say without ca.key. */
static void a_damaged_certificate_can_be_removed(void **state)
{
    (void)state;
    place_go_certs();
    place_write_text("certs/server.crt", "x", 0600);
    assert_int_equal(unlink("certs/server.crt"), 0);
    pki_free(opened(TODAY, PKI_RENEWED,
                    "certs/server.crt was missing: it has been signed anew by certs/ca.key"));
    place_write_text("certs/server.crt", "x", 0600);
    assert_int_equal(unlink("certs/ca.key"), 0);
    refused(TODAY, ERR_CERT,
            "certs/server.crt is damaged or not a certificate: put back a good copy");
}

static void files_that_are_no_files(void **state)
{
    (void)state;
    place_go_certs();
    assert_int_equal(rename("certs/server.key", "elsewhere"), 0);
    assert_int_equal(symlink("../elsewhere", "certs/server.key"), 0);
    refused(TODAY, ERR_CERT, "certs/server.key is a symbolic link: put the file itself there");
    assert_int_equal(unlink("certs/server.key"), 0);
    assert_int_equal(mkfifo("certs/server.key", 0600), 0); /* must not block */
    refused(TODAY, ERR_CERT, "certs/server.key is not a regular file: put the file itself there");
    assert_int_equal(unlink("certs/server.key"), 0);
    assert_int_equal(mkdir("certs/server.key", 0700), 0);
    refused(TODAY, ERR_CERT, "certs/server.key is not a regular file: put the file itself there");
    assert_int_equal(rmdir("certs/server.key"), 0);
    assert_int_equal(rename("elsewhere", "certs/server.key"), 0);
    assert_int_equal(rename("certs/ca.crt", "elsewhere"), 0);
    assert_int_equal(symlink("../elsewhere", "certs/ca.crt"), 0); /* a certificate is no secret */
    pki_free(opened(TODAY, PKI_LOADED, ""));
}

static void files_that_are_too_large(void **state)
{
    (void)state;
    place_go_certs();
    struct pki_blob ca = place_read("certs/ca.crt");
    uint8_t *large = calloc(1, PKI_FILE_MAX + 1);
    assert_non_null(large);
    memset(large, '\n', PKI_FILE_MAX + 1);
    memcpy(large, ca.data, ca.len);
    place_write("certs/ca.crt", large, PKI_FILE_MAX, 0644);
    pki_free(opened(TODAY, PKI_LOADED, ""));
    place_write("certs/ca.crt", large, PKI_FILE_MAX + 1, 0644);
    refused(TODAY, ERR_CERT, "certs/ca.crt is larger than 64 KiB: put back a good copy");
    pki_blob_fini(&ca);
    free(large);
}

static void keys_that_others_can_read(void **state)
{
    (void)state;
    static const mode_t modes[] = {0640, 0604, 0644, 0660, 0610, 0777};
    made();
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        char sentence[256];
        (void)snprintf(sentence, sizeof sentence,
                       "certs/server.key is accessible to others (mode %04o): run chmod 600 "
                       "certs/server.key",
                       (unsigned)modes[i]);
        assert_int_equal(chmod("certs/server.key", modes[i]), 0);
        refused(TODAY, ERR_CERT, sentence);
    }
    assert_int_equal(chmod("certs/server.key", 0400), 0);
    pki_free(opened(TODAY, PKI_LOADED, ""));
    assert_int_equal(chmod("certs/ca.key", 0644), 0);
    refused(TODAY, ERR_CERT,
            "certs/ca.key is accessible to others (mode 0644): run chmod 600 certs/ca.key");
}

static void keys_of_another_user(void **state)
{
    (void)state;
    made();
    if (geteuid() != 0)
        skip();
    const char *refusal = "certs/ca.key belongs to another user: give it to the one who runs this";
    pretended_user = 54321;
    pki_free(opened(TODAY, PKI_LOADED, "")); /* root's are everybody's */
    pretended_user = 0;
    assert_int_equal(chown("certs/ca.key", 12345, 12345), 0);
    refused(TODAY, ERR_CERT, refusal);
    pretended_user = 54321;
    refused(TODAY, ERR_CERT, refusal);
    pretended_user = 12345;
    pki_free(opened(TODAY, PKI_LOADED, ""));
    pretended_user = 0;
    assert_int_equal(setenv("SUDO_UID", "12345", 1), 0);
    pki_free(opened(TODAY, PKI_LOADED, ""));
    (void)unsetenv("SUDO_UID");
}

/* What pki_check_place() says, but for what it says of the place of the tests itself. */
static void place_is(int want, bool is_lenient, const char *words)
{
    struct errmsg here, why;
    (void)!pki_check_place(".", false, &here);
    assert_int_equal(pki_check_place("certs", is_lenient, &why), want);
    if (strcmp(why.text, here.text) == 0)
        why.text[0] = '\0';
    if (*words ? !strstr(why.text, words) : *why.text)
        fail_msg("'%s' is not '%s'", why.text, words);
}

static void who_can_change_the_directory(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    place_is(0, false, ""); /* none yet */
    made();
    place_is(0, false, "");
    assert_int_equal(chown("certs/server.crt", 12345, 12345), 0);
    place_is(ERR_PERM, true, "certs/server.crt belongs to another user");
    pretended_user = 54321;
    place_is(ERR_PERM, false, "certs/server.crt belongs to another user");
    struct errmsg why;
    assert_int_equal(pki_check_place("certs", true, &why), 0); /* a warning: not root */
    assert_true(*why.text);
    pretended_user = 0;
    assert_int_equal(chown("certs/server.crt", 0, 0), 0);
    assert_int_equal(chmod("certs/ca.crt", 0646), 0);
    place_is(ERR_PERM, true, "certs/ca.crt can be written by other users");
    assert_int_equal(chown("certs", 12345, 12345), 0);
    place_is(ERR_PERM, true, "certs belongs to another user");
}

/* In the home of a user who ran sudo. */
static void what_root_makes_is_the_users(void **state)
{
    (void)state;
    struct stat st;
    if (geteuid() != 0)
        skip();
    assert_true(mkdir("home", 0755) == 0 && chown("home", 12345, 12346) == 0);
    assert_int_equal(setenv("SUDO_UID", "12345", 1), 0);
    assert_true(chdir("home") == 0);
    made();
    assert_true(stat("certs", &st) == 0 && st.st_uid == 12345 && st.st_gid == 12346);
    for (int f = 0; f < PKI_FILES; f++) {
        char path[64];
        (void)snprintf(path, sizeof path, "certs/%s", pki_file_name[f]);
        assert_true(stat(path, &st) == 0 && st.st_uid == 12345);
    }
    pki_free(opened(TODAY + 300 * DAY, PKI_RENEWED, ""));
    assert_true(stat("certs/server.crt", &st) == 0 && st.st_uid == 12345);
    assert_true(chdir("..") == 0);
    (void)unsetenv("SUDO_UID");
}

static void a_directory_that_others_can_write(void **state)
{
    (void)state;
    made();
    assert_int_equal(chmod("certs", 0777), 0);
    refused(TODAY, ERR_CERT, "certs is writable by others (mode 0777): run chmod 700 certs");
    assert_int_equal(chmod("certs", 0755), 0);
    pki_free(opened(TODAY, PKI_LOADED, ""));
}

static void files_that_do_not_belong_together(void **state)
{
    (void)state;
    static const struct {
        bool ca, ca_key, cert, key; /* taken from the second set */
        const char *sentence;
    } rows[] = {
        {false, true, false, false,
         "certs/ca.key does not belong to certs/ca.crt: put back the two that belong together"},
        {true, true, false, false,
         "certs/server.crt is not signed by certs/ca.crt: put back the files that belong "
         "together"},
        {false, false, true, true,
         "certs/server.crt is not signed by certs/ca.crt: put back the files that belong "
         "together"},
    };
    struct pki_set a, b;
    assert_int_equal(pki_issue_set(TODAY, &a), 0);
    assert_int_equal(pki_issue_set(TODAY, &b), 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct pki_set mixed = {.ca = rows[i].ca ? b.ca : a.ca,
                                .ca_key = rows[i].ca_key ? b.ca_key : a.ca_key,
                                .cert = rows[i].cert ? b.cert : a.cert,
                                .key = rows[i].key ? b.key : a.key};
        place_certs(&mixed);
        refused(TODAY, ERR_CERT, rows[i].sentence);
        place_remove("certs");
    }
    pki_set_fini(&a);
    pki_set_fini(&b);
}

static void certificates_that_clients_refuse(void **state)
{
    (void)state;
    static const struct {
        bool of_ca;
        int nid;
        const char *value, *sentence;
    } rows[] = {
        {false, NID_subject_alt_name, NULL, /* the name as common name only */
         "certs/server.crt is not for the name gotunnel.internal: put back the original one"},
        {false, NID_subject_alt_name, "DNS:example.org",
         "certs/server.crt is not for the name gotunnel.internal: put back the original one"},
        {false, NID_ext_key_usage, "clientAuth",
         "certs/server.crt or certs/ca.crt is not fit for its purpose (unsuitable certificate "
         "purpose): put back the original ones"},
        {true, NID_ext_key_usage, "clientAuth",
         "certs/server.crt or certs/ca.crt is not fit for its purpose (unsuitable certificate "
         "purpose): put back the original ones"},
        {true, NID_basic_constraints, "critical,CA:FALSE",
         "certs/server.crt or certs/ca.crt is not fit for its purpose (invalid CA certificate): "
         "put back the original ones"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct pki_set s;
        assert_int_equal(pki_issue_set(TODAY, &s), 0);
        change(rows[i].of_ca ? s.ca : s.cert, &s, rows[i].nid, rows[i].value);
        place_certs(&s);
        refused(TODAY, ERR_CERT, rows[i].sentence);
        pki_set_fini(&s);
        place_remove("certs");
    }
}

static void the_ca_by_the_calendar(void **state)
{
    (void)state;
    made();
    refused(TODAY + CA_DAYS * DAY, ERR_CERT,
            "certs/ca.crt expired on 2037-01-15: move the directory certs away to make a new CA, "
            "and give its ca.crt to every client (or set the clock: it says 2037-01-15)");
    pki_free(opened(TODAY - DAY, PKI_LOADED, ""));
}

/* ---- renewal ---- */

static time_t end_of(const struct pki_identity *id)
{
    return pki_cert_until(pki_cert(id));
}

static void renewal_in_the_last_third(void **state)
{
    (void)state;
    struct pki_identity *id = opened(TODAY, PKI_CREATED, "");
    time_t end = end_of(id), third = 366 * DAY / 3; /* of a year and the day before */
    struct pki_blob ca = place_read("certs/ca.crt"), key = place_read("certs/server.key");
    assert_int_equal(pki_state(id, end - third - 1), PKI_GOOD);
    assert_int_equal(pki_state(id, end - third), PKI_DUE);
    pki_free(id);
    pki_free(opened(end - third - 1, PKI_LOADED, ""));
    id = opened(end - third, PKI_RENEWED, "");
    assert_int_equal(end_of(id), end - third + 365 * DAY);
    assert_int_equal(pki_state(id, end - third), PKI_GOOD);
    pki_free(id);
    id = opened(end - third, PKI_LOADED, ""); /* it was saved */
    assert_int_equal(end_of(id), end - third + 365 * DAY);
    pki_free(id);
    assert_same_file("certs/ca.crt", &ca);                  /* the CA is never replaced */
    struct pki_blob fresh = place_read("certs/server.key"); /* the server's key always */
    assert_true(fresh.len != key.len || memcmp(fresh.data, key.data, key.len) != 0);
    assert_int_equal(mode_of("certs/server.key"), 0600);
    pki_blob_fini(&fresh);
    assert_false(place_has_leftovers("certs", NULL));
    pki_blob_fini(&ca);
    pki_blob_fini(&key);
}

/* As a crash between the two renames of a renewal leaves it. */
static void a_pair_that_does_not_match_is_signed_anew(void **state)
{
    (void)state;
    struct pki_set other;
    made();
    assert_int_equal(pki_issue_set(TODAY, &other), 0);
    place_key("certs/server.key", other.key);
    struct pki_blob key = place_read("certs/server.key");
    struct pki_identity *id =
        opened(TODAY, PKI_RENEWED,
               "certs/server.crt did not belong to certs/server.key, and was replaced");
    assert_int_equal(EVP_PKEY_eq(pki_key(id), other.key), 1);
    assert_int_equal(X509_check_private_key(pki_cert(id), pki_key(id)), 1);
    pki_free(id);
    assert_same_file("certs/server.key", &key);
    pki_free(opened(TODAY, PKI_LOADED, ""));
    assert_false(place_has_leftovers("certs", NULL));
    place_cert("certs/server.crt", other.cert); /* of another CA: what counts is the key */
    assert_int_equal(unlink("certs/ca.key"), 0);
    refused(TODAY, ERR_CERT,
            "certs/server.crt is not signed by certs/ca.crt: put back the files that belong "
            "together");
    EVP_PKEY_free(other.key);
    assert_int_equal(pki_issue_key(&other.key), 0);
    place_key("certs/server.key", other.key);
    refused(TODAY, ERR_CERT,
            "certs/server.key does not belong to certs/server.crt: put back the two that belong "
            "together");
    pki_blob_fini(&key);
    pki_set_fini(&other);
}

static void an_expired_certificate_is_renewed(void **state)
{
    (void)state;
    made();
    pki_free(opened(TODAY + 400 * DAY, PKI_RENEWED, ""));
    pki_free(opened(TODAY + 400 * DAY, PKI_LOADED, ""));
    pki_free(opened(TODAY + 100 * DAY, PKI_RENEWED, "")); /* set back: not yet valid */
}

/* The original's certificate ends with its CA: a new one could not last longer. */
static void no_renewal_that_gains_nothing(void **state)
{
    (void)state;
    place_go_certs();
    struct pki_identity *id = opened(TODAY, PKI_LOADED, "");
    time_t end = end_of(id);
    assert_int_equal(pki_state(id, end - 3 * 365 * DAY), PKI_GOOD);
    assert_int_equal(pki_state(id, end - DAY), PKI_GOOD);
    assert_int_equal(pki_state(id, end), PKI_CA_EXPIRED);
    pki_free(id);
}

static void the_end_of_the_ca_is_announced(void **state)
{
    (void)state;
    made();
    static const char warning[] =
        "certs/ca.crt expires on 2037-01-15: plan to move the directory certs away by then, and to "
        "give the new ca.crt to every client";
    time_t end = TODAY + CA_DAYS * DAY;
    struct pki_identity *id = opened(end - 179 * DAY, PKI_RENEWED, warning);
    assert_true(end_of(id) <= end); /* limited by the CA */
    pki_free(id);
    pki_free(opened(end - 2 * DAY, PKI_LOADED, warning));
    place_remove("certs");
    made();
    pki_free(opened(end - 200 * DAY, PKI_RENEWED, ""));
}

static void renewal_needs_the_ca_key(void **state)
{
    (void)state;
    made();
    assert_int_equal(unlink("certs/ca.key"), 0);
    pki_free(opened(TODAY + 300 * DAY, PKI_LOADED,
                    "certs/server.crt ends on 2028-01-15: put certs/ca.key back so that it can be "
                    "renewed"));
    refused(TODAY + 366 * DAY, ERR_CERT,
            "certs/server.crt is not valid today (it ends on 2028-01-15): put certs/ca.key back "
            "so that it can be renewed");
}

static void renewal_while_running(void **state)
{
    (void)state;
    struct errmsg why;
    time_t then = TODAY + 300 * DAY;
    struct pki_identity *id = opened(TODAY, PKI_CREATED, "");
    assert_int_equal(pki_state(id, then), PKI_DUE);
    assert_int_equal(pki_renew(id, then, &why), 0);
    assert_string_equal(why.text, "");
    assert_int_equal(end_of(id), then + 365 * DAY);
    assert_int_equal(X509_check_private_key(pki_cert(id), pki_key(id)), 1);
    assert_int_equal(pki_state(id, then), PKI_GOOD);
    struct pki_identity *other = opened(then, PKI_LOADED, "");
    assert_int_equal(X509_cmp(pki_cert(id), pki_cert(other)), 0);
    pki_free(other);
    pki_free(id);
}

/* Two servers on one directory: the second takes what the first has made. */
static void renewal_by_another_is_taken_over(void **state)
{
    (void)state;
    struct errmsg why;
    time_t then = TODAY + 300 * DAY;
    struct pki_identity *a = opened(TODAY, PKI_CREATED, "");
    struct pki_identity *b = opened(TODAY, PKI_LOADED, "");
    assert_int_equal(pki_renew(a, then, &why), 0);
    assert_int_equal(pki_renew(b, then + DAY, &why), 0);
    assert_int_equal(X509_cmp(pki_cert(a), pki_cert(b)), 0);
    pki_free(a);
    pki_free(b);
}

static void a_failed_renewal_keeps_the_old(void **state)
{
    (void)state;
    struct errmsg why;
    time_t then = TODAY + 300 * DAY;
    struct pki_identity *id = opened(TODAY, PKI_CREATED, "");
    time_t end = end_of(id);
    assert_int_equal(rename("certs/ca.key", "away"), 0);
    assert_int_equal(pki_renew(id, then, &why), ERR_CERT);
    assert_string_equal(why.text, "certs/server.crt ends on 2028-01-15: put certs/ca.key back so "
                                  "that it can be renewed");
    assert_int_equal(end_of(id), end);
    assert_int_equal(rename("away", "certs/ca.key"), 0);
    assert_int_equal(chmod("certs/ca.key", 0644), 0);
    assert_int_equal(pki_renew(id, then, &why), ERR_CERT);
    assert_int_equal(end_of(id), end);
    assert_int_equal(chmod("certs/ca.key", 0600), 0);
    assert_int_equal(pki_renew(id, TODAY + CA_DAYS * DAY, &why), ERR_CERT);
    assert_int_equal(end_of(id), end);
    assert_int_equal(pki_renew(id, then, &why), 0);
    pki_free(id);
}

static void another_ca_is_not_taken_while_running(void **state)
{
    (void)state;
    struct errmsg why;
    struct pki_set other;
    struct pki_identity *id = opened(TODAY, PKI_CREATED, "");
    X509 *before = pki_cert(id);
    assert_int_equal(pki_issue_set(TODAY, &other), 0);
    place_cert("certs/ca.crt", other.ca);
    place_key("certs/ca.key", other.ca_key);
    place_cert("certs/server.crt", other.cert);
    place_key("certs/server.key", other.key);
    assert_int_equal(pki_renew(id, TODAY, &why), ERR_CERT);
    assert_string_equal(why.text, "certs/ca.crt is another one than at the start: restart");
    assert_ptr_equal(pki_cert(id), before);
    pki_set_fini(&other);
    pki_free(id);
}

/* ---- while the server runs: pki_keep() ---- */

/* What it says at now, with its sentence. */
static void keeps(struct pki_identity *id, time_t now, enum pki_news want, const char *sentence)
{
    struct errmsg why = {""};
    enum pki_news news = pki_keep(id, now, &why);
    assert_string_equal(why.text, sentence);
    assert_int_equal(news, want);
}

static bool is_valid(const struct pki_identity *id, time_t now)
{
    return pki_state(id, now) == PKI_GOOD;
}

static void a_clock_that_was_behind_at_the_start(void **state)
{
    (void)state;
    struct pki_identity *id = opened(TODAY - 1000 * DAY, PKI_CREATED, "");
    keeps(id, TODAY - 1000 * DAY, PKI_NEWS_NONE, "");
    assert_int_equal(pki_state(id, TODAY), PKI_LAPSED);
    keeps(id, TODAY, PKI_NEWS_RENEWED, ""); /* the first connection after the clock was set */
    assert_true(is_valid(id, TODAY));
    keeps(id, TODAY, PKI_NEWS_NONE, "");
    pki_free(id);
    pki_free(opened(TODAY, PKI_LOADED, "")); /* it was saved */
}

/* The server certificate is from a day that has not come yet; the CA is older. */
static void a_clock_that_goes_back(void **state)
{
    (void)state;
    made();
    struct pki_identity *id = opened(TODAY + 1000 * DAY, PKI_RENEWED, "");
    keeps(id, TODAY + 1000 * DAY, PKI_NEWS_NONE, "");
    keeps(id, TODAY + 999 * DAY, PKI_NEWS_NONE, ""); /* it is valid from a day before */
    assert_int_equal(pki_state(id, TODAY), PKI_LAPSED);
    keeps(id, TODAY, PKI_NEWS_RENEWED, "");
    assert_true(is_valid(id, TODAY));
    pki_free(id);
}

/* No battery: the machine was off, and believes in a day before the CA was made. */
static void a_start_before_the_ca(void **state)
{
    (void)state;
    made();
    struct pki_blob ca = place_read("certs/ca.crt"), crt = place_read("certs/server.crt");
    struct pki_identity *id =
        opened(TODAY - 2 * DAY, PKI_LOADED,
               "certs/ca.crt is not valid before 2027-01-14: set the clock (it says 2027-01-13), "
               "or, if it is right, move the directory away to make a new CA, and give its ca.crt "
               "to every client");
    keeps(id, TODAY - 2 * DAY, PKI_NEWS_NONE, ""); /* the start has said it */
    keeps(id, TODAY, PKI_NEWS_VALID, "");
    keeps(id, TODAY, PKI_NEWS_NONE, "");
    assert_same_file("certs/ca.crt", &ca);
    assert_same_file("certs/server.crt", &crt);
    pki_blob_fini(&ca);
    pki_blob_fini(&crt);
    pki_free(id);
}

/* Nothing is made in place of a CA, and each change is told once. */
static void a_ca_that_clients_refuse_is_named_once(void **state)
{
    (void)state;
    struct pki_identity *id = opened(TODAY + 1000 * DAY, PKI_CREATED, "");
    struct pki_blob ca = place_read("certs/ca.crt");
    keeps(id, TODAY, PKI_NEWS_CA,
          "certs/ca.crt is not valid before 2029-10-10: set the clock (it says 2027-01-15), or, if "
          "it is right, move the directory away to make a new CA, and give its ca.crt to every "
          "client");
    for (int i = 0; i < 5; i++)
        keeps(id, TODAY + i * 10 * DAY, PKI_NEWS_NONE, "");
    keeps(id, TODAY + 1000 * DAY, PKI_NEWS_VALID, "");
    keeps(id, TODAY + 1000 * DAY, PKI_NEWS_NONE, "");
    time_t end = TODAY + (CA_DAYS + 1000) * DAY;
    keeps(id, end, PKI_NEWS_CA,
          "certs/ca.crt expired on 2039-10-11: move the directory certs away to make a new CA, and "
          "give its ca.crt to every client (or set the clock: it says 2039-10-12)");
    keeps(id, end + DAY, PKI_NEWS_NONE, "");
    assert_same_file("certs/ca.crt", &ca);
    pki_blob_fini(&ca);
    pki_free(id);
}

static const char no_key[] = "certs/server.crt is not valid today (it ends on 2028-01-15): put "
                             "certs/ca.key back so that it can be renewed";

/* Tried again after a while, not for each connection; told once, while it is the same. */
static void a_failed_renewal_is_not_tried_by_everybody(void **state)
{
    (void)state;
    time_t then = TODAY + 400 * DAY;
    struct pki_identity *id = opened(TODAY, PKI_CREATED, "");
    assert_int_equal(rename("certs/ca.key", "away"), 0);
    keeps(id, then, PKI_NEWS_FAILED, no_key);
    assert_int_equal(rename("away", "certs/ca.key"), 0);
    for (int s = 0; s < PKI_RETRY_S; s++)
        keeps(id, then + s, PKI_NEWS_NONE, "");
    assert_int_equal(pki_state(id, then), PKI_LAPSED); /* nobody has looked */
    keeps(id, then + PKI_RETRY_S, PKI_NEWS_RENEWED, "");
    pki_free(id);
}

static void a_failure_that_stays_is_told_now_and_then(void **state)
{
    (void)state;
    time_t then = TODAY + 400 * DAY, t;
    struct errmsg why;
    struct pki_identity *id = opened(TODAY, PKI_CREATED, "");
    assert_int_equal(unlink("certs/ca.key"), 0);
    keeps(id, then, PKI_NEWS_FAILED, no_key);
    for (t = then + PKI_RETRY_S; t < then + PKI_TELL_AGAIN_S; t += PKI_RETRY_S)
        assert_int_equal(pki_keep(id, t, &why), PKI_NEWS_NONE);
    keeps(id, then + PKI_TELL_AGAIN_S, PKI_NEWS_FAILED, no_key);
    assert_int_equal(unlink("certs/ca.crt"), 0); /* another failure is news */
    t = then + PKI_TELL_AGAIN_S + PKI_RETRY_S;
    keeps(id, t, PKI_NEWS_FAILED,
          "certs/ca.crt is missing beside certs/server.crt: put it back, or move the directory "
          "certs away to begin anew");
    pki_free(id);
}

/* A clock that is set back does not make anybody wait for the old time to come again. */
static void a_retry_does_not_wait_for_a_clock_that_went_back(void **state)
{
    (void)state;
    struct pki_identity *id = opened(TODAY, PKI_CREATED, "");
    assert_int_equal(rename("certs/ca.key", "away"), 0);
    keeps(id, TODAY + 900 * DAY, PKI_NEWS_FAILED, no_key);
    assert_int_equal(rename("away", "certs/ca.key"), 0);
    keeps(id, TODAY + 400 * DAY, PKI_NEWS_RENEWED, "");
    pki_free(id);
}

/* Where clients still accept the certificate an hour between tries is enough; the start's own try
   and warning count. Once they do not, it is urgent. */
static void a_renewal_that_is_merely_due_can_wait(void **state)
{
    (void)state;
    time_t due = TODAY + 300 * DAY, over = TODAY + 365 * DAY;
    static const char words[] =
        "certs/server.crt ends on 2028-01-15: put certs/ca.key back so that "
        "it can be renewed";
    made();
    assert_int_equal(unlink("certs/ca.key"), 0);
    struct pki_identity *id = opened(due, PKI_LOADED, words);
    keeps(id, due, PKI_NEWS_NONE, "");
    keeps(id, due + PKI_RETRY_DUE_S - 1, PKI_NEWS_NONE, "");
    keeps(id, due + PKI_RETRY_DUE_S, PKI_NEWS_FAILED, words);
    keeps(id, over - 1, PKI_NEWS_FAILED, words);
    keeps(id, over - 1 + PKI_RETRY_S, PKI_NEWS_FAILED, no_key);
    pki_free(id);
}

/* ---- other processes ---- */

static void a_directory_in_use(void **state)
{
    (void)state;
    struct errmsg why;
    struct pki_identity *id = opened(TODAY, PKI_CREATED, "");
    int fd = pki_dir_open_at(AT_FDCWD, "certs");
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(pki_renew(id, TODAY, &why), ERR_TIMEOUT); /* at once: the loop must go on */
    assert_string_equal(why.text, "another process is at work in certs");
    refused(TODAY, ERR_TIMEOUT, "another process is at work in certs");
    (void)close(fd);
    assert_int_equal(pki_renew(id, TODAY, &why), 0);
    pki_free(opened(TODAY, PKI_LOADED, ""));
    pki_free(id);
}

#define PLACED(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACED(the_first_start_makes_all),
        PLACED(umask_is_heeded),
        PLACED(the_second_start_loads_the_same),
        PLACED(the_ca_text_is_the_file),
        PLACED(an_existing_directory_keeps_what_it_has),
        PLACED(names_of_directories),
        PLACED(a_clock_that_was_never_set_makes_nothing),
        PLACED(the_originals_directory_loads_as_it_is),
        PLACED(the_ca_key_may_be_kept_elsewhere),
        PLACED(an_rsa_set_of_other_hands),
        PLACED(d26_incomplete_directories),
        PLACED(damaged_files),
        PLACED(a_damaged_certificate_can_be_removed),
        PLACED(a_lost_certificate_is_signed_anew),
        PLACED(a_lost_certificate_needs_the_right_key),
        PLACED(a_lost_pair_is_made_anew),
        PLACED(a_lost_pair_that_cannot_be_saved_is_used),
        PLACED(a_lost_pair_needs_a_good_ca),
        PLACED(a_lost_pair_needs_the_key_of_the_ca),
        PLACED(a_lost_key_alone_is_not_made_anew),
        PLACED(files_that_are_no_files),
        PLACED(files_that_are_too_large),
        PLACED(keys_that_others_can_read),
        PLACED(keys_of_another_user),
        PLACED(who_can_change_the_directory),
        PLACED(what_root_makes_is_the_users),
        PLACED(a_directory_that_others_can_write),
        PLACED(files_that_do_not_belong_together),
        PLACED(certificates_that_clients_refuse),
        PLACED(the_ca_by_the_calendar),
        PLACED(renewal_in_the_last_third),
        PLACED(a_pair_that_does_not_match_is_signed_anew),
        PLACED(an_expired_certificate_is_renewed),
        PLACED(no_renewal_that_gains_nothing),
        PLACED(the_end_of_the_ca_is_announced),
        PLACED(renewal_needs_the_ca_key),
        PLACED(renewal_while_running),
        PLACED(renewal_by_another_is_taken_over),
        PLACED(a_failed_renewal_keeps_the_old),
        PLACED(another_ca_is_not_taken_while_running),
        PLACED(a_clock_that_was_behind_at_the_start),
        PLACED(a_clock_that_goes_back),
        PLACED(a_start_before_the_ca),
        PLACED(a_ca_that_clients_refuse_is_named_once),
        PLACED(a_failed_renewal_is_not_tried_by_everybody),
        PLACED(a_failure_that_stays_is_told_now_and_then),
        PLACED(a_retry_does_not_wait_for_a_clock_that_went_back),
        PLACED(a_renewal_that_is_merely_due_can_wait),
        PLACED(a_directory_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
