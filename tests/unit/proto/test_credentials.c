/* SPDX-License-Identifier: MIT */
/* Who is let in by his own key, what is found wrong, and that the work for it is always the same. */
#include "proto/credentials.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/err.h"
#include "proto/hmac.h"
#include "unit/no_memory.h"

enum { NOW = 1800000000, NOBODY = 0xff };

/* ---- what is computed ---- */

static struct {
    unsigned hmacs, verifies;
    size_t bytes; /* under all of them */
} work;

unsigned char *__real_HMAC(const EVP_MD *md, const void *key, int key_len, const unsigned char *p,
                           size_t n, unsigned char *out, unsigned int *ret_n);
unsigned char *__wrap_HMAC(const EVP_MD *md, const void *key, int key_len, const unsigned char *p,
                           size_t n, unsigned char *out, unsigned int *ret_n);
unsigned char *__wrap_HMAC(const EVP_MD *md, const void *key, int key_len, const unsigned char *p,
                           size_t n, unsigned char *out, unsigned int *ret_n)
{
    work.hmacs++;
    work.bytes += n;
    return __real_HMAC(md, key, key_len, p, n, out, ret_n);
}

int __real_EVP_DigestVerify(EVP_MD_CTX *ctx, const unsigned char *sig, size_t sig_len,
                            const unsigned char *p, size_t n);
int __wrap_EVP_DigestVerify(EVP_MD_CTX *ctx, const unsigned char *sig, size_t sig_len,
                            const unsigned char *p, size_t n);
int __wrap_EVP_DigestVerify(EVP_MD_CTX *ctx, const unsigned char *sig, size_t sig_len,
                            const unsigned char *p, size_t n)
{
    work.verifies++;
    work.bytes += n;
    return __real_EVP_DigestVerify(ctx, sig, sig_len, p, n);
}

/* ---- a table ---- */

static const uint8_t exporter[HELLO_EXPORTER_BYTES] = "an exporter, as good as another";
static unsigned freed, asked;

/* These rights let nobody in from port 7. */
static bool admits(const void *rights, const struct address *from)
{
    asked++;
    return !rights || from->port != 7;
}

static void count_free(void *rights)
{
    freed++;
    free(rights);
}

static struct client_secret nobody;

static struct client_secret secret_of(uint8_t n)
{
    struct client_secret s;
    if (n == NOBODY)
        return nobody;
    uint8_t t[CLIENT_KEY_T_BYTES] = {n};
    assert_int_equal(client_secret_init(&s, t), 0);
    return s;
}

static struct client_key key_of(uint8_t n)
{
    struct client_key k;
    struct client_secret s = secret_of(n);
    assert_int_equal(client_key_init(&k, &s), 0);
    return k;
}

static struct credentials *new_table(void)
{
    struct credentials_config cfg = {
        .hash_key = {1}, .nobody = {1}, .admits = admits, .rights_free = count_free};
    struct credentials *t = credentials_new(&cfg);
    assert_non_null(t);
    freed = 0;
    return t;
}

static void add(struct credentials *t, const struct credential *c)
{
    assert_int_equal(credentials_add(t, c), 0);
}

/* laptop with key 1; phone with key 2, and 3 and 4 before; off, over, caged with 5, 6, 7. */
static struct credentials *table(void)
{
    struct credentials *t = new_table();
    struct credential_old old[] = {{key_of(3), NOW + 10}, {key_of(4), NOW - 10}};
    add(t, &(struct credential){.name = "laptop", .key = key_of(1)});
    add(t, &(struct credential){
               .name = "phone", .key = key_of(2), .old = old, .old_count = ARRAY_LEN(old)});
    add(t, &(struct credential){.name = "off", .key = key_of(5), .is_disabled = true});
    add(t, &(struct credential){.name = "over", .key = key_of(6), .expires_s = NOW});
    add(t, &(struct credential){.name = "caged", .key = key_of(7), .rights = malloc(1)});
    assert_int_equal(credentials_count(t), 5);
    return t;
}

/* An open under that name, with the MAC of one key and the signature of another. */
struct attempt {
    struct hello_request request;
    struct hello_keys keys;
    char text[HELLO_MAX];
    size_t n;
};

static void make(struct attempt *a, const char *name, uint8_t mac, uint8_t sign)
{
    struct client_secret m = secret_of(mac), s = secret_of(sign);
    struct hello_signer signer = {s.seed, exporter};
    a->request = (struct hello_request){.op = HELLO_OPEN};
    (void)snprintf(a->request.id, sizeof a->request.id, "%s", name);
    (void)snprintf(a->request.key, sizeof a->request.key, "%s", name);
    assert_int_equal(hello_keys_init(&a->keys, m.a, sizeof m.a, exporter), 0);
    int n = hello_open_write(a->text, &a->request, &a->keys, &signer);
    assert_true(n > 0);
    a->n = (size_t)n - 1;
}

static struct credentials_question question(const struct attempt *a, uint16_t port)
{
    static struct address from;
    from = address_ipv4((uint8_t[]){192, 0, 2, 1}, port);
    return (struct credentials_question){.request = &a->request,
                                         .line = {a->text, a->n},
                                         .exporter = exporter,
                                         .from = &from,
                                         .now_s = NOW};
}

static enum credentials_cause judge(const struct credentials *t, const char *name, uint8_t mac,
                                    uint8_t sign, uint16_t port, int64_t now_s)
{
    struct attempt a;
    struct credentials_verdict v;
    static const struct hello_keys none;
    make(&a, name, mac, sign);
    struct credentials_question q = question(&a, port);
    q.now_s = now_s;
    memset(&v, 0x5a, sizeof v);
    credentials_judge(t, &q, &v);
    if (v.cause == CREDENTIALS_RIGHT) {
        struct client_key k = key_of(sign);
        assert_string_equal(v.client->name, name);
        assert_memory_equal(&v.keys, &a.keys, sizeof v.keys);
        assert_memory_equal(v.public_key, k.public_key, sizeof v.public_key);
    } else {
        assert_null(v.client);
        assert_memory_equal(&v.keys, &none, sizeof none);
    }
    return v.cause;
}

/* ---- who is let in ---- */

static void who_has_the_key_is_let_in(void **state)
{
    (void)state;
    struct credentials *t = table();
    assert_int_equal(judge(t, "laptop", 1, 1, 0, NOW), CREDENTIALS_RIGHT);
    assert_int_equal(judge(t, "phone", 2, 2, 0, NOW), CREDENTIALS_RIGHT);
    assert_int_equal(judge(t, "caged", 7, 7, 0, NOW), CREDENTIALS_RIGHT);
    credentials_unref(t);
}

struct wrong {
    const char *name;
    uint8_t mac, sign;
    uint16_t port;
    enum credentials_cause cause;
};

static const struct wrong wrongs[] = {
    {"nobody", 1, 1, 0, CREDENTIALS_UNKNOWN},
    {"Laptop", 1, 1, 0, CREDENTIALS_UNKNOWN},
    {"laptop", 2, 2, 0, CREDENTIALS_WRONG}, /* another client's key */
    {"laptop", 2, 1, 0, CREDENTIALS_WRONG},
    {"laptop", 1, 2, 0, CREDENTIALS_UNSIGNED}, /* A from a stolen file */
    {"phone", 2, 3, 0, CREDENTIALS_UNSIGNED},
    {"phone", 3, 2, 0, CREDENTIALS_UNSIGNED},
    {"phone", 4, 4, 0, CREDENTIALS_OLD},
    {"off", 5, 5, 0, CREDENTIALS_DISABLED},
    {"off", 1, 1, 0, CREDENTIALS_WRONG},
    {"over", 6, 6, 0, CREDENTIALS_EXPIRED},
    {"caged", 7, 7, 7, CREDENTIALS_SOURCE},
    {"caged", 1, 1, 7, CREDENTIALS_WRONG},
};

static void what_is_wrong_has_its_cause(void **state)
{
    (void)state;
    struct credentials *t = table();
    for (size_t i = 0; i < ARRAY_LEN(wrongs); i++) {
        const struct wrong *w = &wrongs[i];
        enum credentials_cause cause = judge(t, w->name, w->mac, w->sign, w->port, NOW);
        if (cause != w->cause)
            fail_msg("%zu: %s", i, credentials_cause_word(cause));
    }
    credentials_unref(t);
}

/* What stands in for a client that is not there lets nobody in, whoever knew it. */
static void nobody_is_nobody(void **state)
{
    (void)state;
    struct credentials_config cfg = {.hash_key = {1}, .nobody = {9}};
    struct credentials *t = credentials_new(&cfg);
    assert_non_null(t);
    assert_int_equal(judge(t, "laptop", 1, 1, 0, NOW), CREDENTIALS_UNKNOWN); /* an empty table */
    add(t, &(struct credential){.name = "laptop", .key = key_of(1)});
    for (uint8_t i = 0; i < 64; i++) { /* as the table makes them */
        uint8_t bytes[HMAC_BYTES];
        assert_int_equal(hmac_sha256(bytes, cfg.nobody, sizeof cfg.nobody, &i, 1), 0);
        assert_int_equal(client_secret_init(&nobody, bytes), 0);
        assert_int_equal(judge(t, "nobody", NOBODY, NOBODY, 0, NOW), CREDENTIALS_UNKNOWN);
        assert_int_equal(judge(t, "laptop", NOBODY, NOBODY, 0, NOW), CREDENTIALS_WRONG);
        assert_int_equal(judge(t, "laptop", NOBODY, 1, 0, NOW), CREDENTIALS_WRONG);
    }
    assert_int_equal(judge(t, "laptop", 1, 1, 7, NOW), CREDENTIALS_RIGHT); /* from everywhere */
    credentials_unref(t);
}

/* Both keys of a rotation are good until the former one is over, to the second; and a client until it
   expires. */
static void what_ends_ends_to_the_second(void **state)
{
    (void)state;
    struct credentials *t = table();
    assert_int_equal(judge(t, "phone", 3, 3, 0, NOW + 9), CREDENTIALS_RIGHT);
    assert_int_equal(judge(t, "phone", 3, 3, 0, NOW + 10), CREDENTIALS_OLD);
    assert_int_equal(judge(t, "phone", 4, 4, 0, NOW - 11), CREDENTIALS_RIGHT);
    assert_int_equal(judge(t, "phone", 2, 2, 0, NOW + 10), CREDENTIALS_RIGHT);
    assert_int_equal(judge(t, "over", 6, 6, 0, NOW - 1), CREDENTIALS_RIGHT);
    assert_int_equal(judge(t, "laptop", 1, 1, 0, INT64_MAX), CREDENTIALS_RIGHT);
    credentials_unref(t);
}

static void who_may_stay(void **state)
{
    (void)state;
    struct credentials *t = table();
    struct client_key k[8];
    for (uint8_t i = 0; i < ARRAY_LEN(k); i++)
        k[i] = key_of(i);
    assert_true(credentials_keep(t, "laptop", k[1].public_key, NOW));
    assert_false(credentials_keep(t, "laptop", k[2].public_key, NOW));
    assert_true(credentials_keep(t, "phone", k[2].public_key, NOW));
    assert_true(credentials_keep(t, "phone", k[3].public_key, NOW + 9));
    assert_false(credentials_keep(t, "phone", k[3].public_key, NOW + 10));
    assert_false(credentials_keep(t, "phone", k[4].public_key, NOW));
    assert_false(credentials_keep(t, "off", k[5].public_key, NOW));
    assert_true(credentials_keep(t, "over", k[6].public_key, NOW - 1));
    assert_false(credentials_keep(t, "over", k[6].public_key, NOW));
    assert_false(credentials_keep(t, "nobody", k[1].public_key, NOW));
    credentials_unref(t);
}

static void *copy_right(const void *rights)
{
    char *copy = malloc(1);
    if (copy)
        *copy = *(const char *)rights;
    return copy;
}

/* All others, with rights of their own and the keys they had; for as many as have to share a slot. */
static void a_copy_lacks_one_alone(void **state)
{
    (void)state;
    struct credentials *t = new_table();
    struct credential_old old = {key_of(3), NOW + 10};
    char name[16];
    for (int i = 0; i < 100; i++) {
        char *right = malloc(1);
        assert_non_null(right);
        *right = (char)i;
        (void)snprintf(name, sizeof name, "n%d", i);
        add(t, &(struct credential){
                   .name = name, .key = key_of(2), .old = &old, .old_count = 1, .rights = right});
    }
    unsigned hmacs = work.hmacs;
    struct credentials *copy = credentials_copy_but(t, "n7", copy_right);
    assert_int_equal(work.hmacs,
                     hmacs); /* no key is made anew: somebody is to be ended by it at once */
    credentials_unref(t);
    assert_int_equal(credentials_count(copy), 99);
    assert_null(credentials_find(copy, "n7"));
    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof name, "n%d", i);
        const struct credential *c = credentials_find(copy, name);
        assert_int_equal(c != NULL, i != 7);
        assert_true(!c || *(const char *)c->rights == (char)i);
        assert_int_equal(credentials_until(copy, name, key_of(3).public_key), c ? NOW + 10 : 0);
        assert_true(credentials_until(copy, name, key_of(2).public_key) == (c ? INT64_MAX : 0));
    }
    credentials_unref(copy);
}

/* ---- the same work ---- */

/* Whatever is wrong, or nothing: so many HMACs, one signature, the same bytes under them. The table
   has entries in every slot and out of it; names are of one length, for the line covers them. */
static void the_work_is_always_the_same(void **state)
{
    (void)state;
    static const struct wrong all[] = {
        {"client-right", 1, 1, 0, CREDENTIALS_RIGHT},
        {"client-nobod", 1, 1, 0, CREDENTIALS_UNKNOWN},
        {"client-right", 9, 9, 0, CREDENTIALS_WRONG},
        {"client-right", 1, 9, 0, CREDENTIALS_UNSIGNED},
        {"client-off-x", 5, 5, 0, CREDENTIALS_DISABLED},
        {"client-over-", 6, 6, 0, CREDENTIALS_EXPIRED},
        {"client-caged", 7, 7, 7, CREDENTIALS_SOURCE},
        {"client-phone", 2, 2, 0, CREDENTIALS_RIGHT},
        {"client-phone", 4, 4, 0, CREDENTIALS_OLD},
    };
    struct credentials *t = new_table();
    struct credential_old old[CREDENTIAL_OLD_MAX];
    for (size_t i = 0; i < ARRAY_LEN(old); i++)
        old[i] = (struct credential_old){key_of(4), NOW};
    add(t, &(struct credential){.name = "client-right", .key = key_of(1)});
    add(t, &(struct credential){.name = "client-off-x", .key = key_of(5), .is_disabled = true});
    add(t, &(struct credential){.name = "client-over-", .key = key_of(6), .expires_s = 1});
    add(t, &(struct credential){.name = "client-caged", .key = key_of(7), .rights = malloc(1)});
    add(t, &(struct credential){
               .name = "client-phone", .key = key_of(2), .old = old, .old_count = ARRAY_LEN(old)});
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct attempt a;
        struct credentials_verdict v;
        make(&a, all[i].name, all[i].mac, all[i].sign);
        struct credentials_question q = question(&a, all[i].port);
        memset(&work, 0, sizeof work);
        asked = 0;
        credentials_judge(t, &q, &v);
        assert_int_equal(v.cause, all[i].cause);
        assert_int_equal(work.hmacs, 1 + 4 * CREDENTIAL_KEYS);
        assert_int_equal(work.verifies, 1);
        assert_int_equal(asked, 1);
        static size_t bytes;
        bytes = i == 0 ? work.bytes : bytes;
        assert_int_equal(work.bytes, bytes);
    }
    credentials_unref(t);
}

/* ---- the table ---- */

static void what_is_no_name_is_not_added(void **state)
{
    (void)state;
    struct credentials *t = new_table();
    struct credential c = {.rights = malloc(1)};
    static const char *const names[] = {
        "",
        "a b",
        "a/b",
        "node.1",
        "node.",
        "\xc3\xa4",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        c.name = names[i];
        assert_int_equal(credentials_add(t, &c), ERR_INVAL);
    }
    c.name = "node";
    add(t, &c);
    c.rights = NULL;
    assert_int_equal(credentials_add(t, &c), ERR_INUSE);
    c.name = names[6] + 1; /* 64 characters */
    add(t, &c);
    assert_non_null(credentials_find(t, names[6] + 1));
    assert_null(credentials_find(t, names[6]));
    c.name = "old";
    c.old_count = CREDENTIAL_OLD_MAX + 1;
    assert_int_equal(credentials_add(t, &c), ERR_LIMIT);
    assert_int_equal(credentials_count(t), 2);
    assert_int_equal(freed, 0);
    credentials_unref(t);
    assert_int_equal(freed, 1);
}

static void the_last_owner_frees_it(void **state)
{
    (void)state;
    struct credentials *t = table();
    assert_ptr_equal(credentials_ref(t), t);
    credentials_unref(t);
    assert_int_equal(freed, 0);
    assert_int_equal(judge(t, "laptop", 1, 1, 0, NOW), CREDENTIALS_RIGHT);
    credentials_unref(t);
    assert_int_equal(freed, 1);
    credentials_unref(NULL);
}

static void a_table_has_a_bound(void **state)
{
    (void)state;
    struct credentials *t = new_table();
    struct credential c = {.key = key_of(1)};
    char name[32];
    for (int i = 0; i < CREDENTIALS_MAX; i++) {
        (void)snprintf(name, sizeof name, "client-%d", i);
        c.name = name;
        add(t, &c);
    }
    c.name = "one-more";
    assert_int_equal(credentials_add(t, &c), ERR_LIMIT);
    assert_int_equal(credentials_count(t), CREDENTIALS_MAX);
    for (int i = 0; i < CREDENTIALS_MAX; i += 97) {
        (void)snprintf(name, sizeof name, "client-%d", i);
        const struct credential *found = credentials_find(t, name);
        assert_true(found && strcmp(found->name, name) == 0);
    }
    assert_null(credentials_find(t, "client-100000"));
    assert_int_equal(judge(t, "client-99999", 1, 1, 0, NOW), CREDENTIALS_RIGHT);
    credentials_unref(t);
}

/* ---- no memory ---- */

/* How many verdicts are "right" when each of the library's allocations fails in turn. */
static int rights_without_memory(const struct credentials *t, const struct attempt *a,
                                 int *ret_tries)
{
    int rights = 0;
    struct credentials_question q = question(a, 0);
    *ret_tries = 0;
    struct credentials_verdict v;
    WITHOUT_EACH({
        credentials_judge(t, &q, &v);
        rights += v.cause == CREDENTIALS_RIGHT;
        ++*ret_tries;
    });
    return rights;
}

/* Nobody is let in for want of memory: not by a key of zeros, which would be nobody's. */
static void without_memory_nobody_new_is_let_in(void **state)
{
    (void)state;
    static const struct hello_keys zeros;
    struct credentials *t = table();
    struct attempt a;
    int tries;
    make(&a, "laptop", 1, 1);
    int rights = rights_without_memory(t, &a, &tries);
    assert_true(rights > 0 && rights < tries);
    struct client_secret s = secret_of(1);
    struct hello_signer signer = {s.seed, exporter};
    int n = hello_open_write(a.text, &a.request, &zeros, &signer);
    assert_true(n > 0);
    a.n = (size_t)n - 1;
    assert_int_equal(rights_without_memory(t, &a, &tries), 0);
    credentials_unref(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_the_key_is_let_in),
        cmocka_unit_test(what_is_wrong_has_its_cause),
        cmocka_unit_test(nobody_is_nobody),
        cmocka_unit_test(what_ends_ends_to_the_second),
        cmocka_unit_test(who_may_stay),
        cmocka_unit_test(a_copy_lacks_one_alone),
        cmocka_unit_test(the_work_is_always_the_same),
        cmocka_unit_test(what_is_no_name_is_not_added),
        cmocka_unit_test(the_last_owner_frees_it),
        cmocka_unit_test(a_table_has_a_bound),
        cmocka_unit_test(without_memory_nobody_new_is_let_in),
    };
    /* Before the library has asked for any memory. */
    if (!no_memory_init())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
