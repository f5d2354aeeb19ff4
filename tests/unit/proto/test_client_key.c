/* SPDX-License-Identifier: MIT */
/* A client's secret, the server's part of it and its text: against what a second implementation
   makes of the document. */
#include "proto/client_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/err.h>

#include "base/err.h"
#include "base/hex.h"
#include "proto/ed25519.h"
#include "unit/no_memory.h"

/* The n bytes of a line of tests/vectors/hello/vectors.txt. */
static void vector(const char *name, void *ret, size_t n)
{
    char path[4096], word[64] = "";
    static char hex[8192];
    (void)snprintf(path, sizeof path, "%s/hello/vectors.txt", getenv("GOTUNNEL_VECTORS"));
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (strcmp(word, name) != 0)
        assert_int_equal(fscanf(f, "%63s %8191s", word, hex), 2);
    (void)fclose(f); /* only read */
    assert_int_equal(strlen(hex), 2 * n);
    assert_true(hex_get(ret, hex, n));
}

static void assert_vector(const void *got, const char *name, size_t n)
{
    uint8_t want[CLIENT_KEY_LEN];
    vector(name, want, n);
    assert_memory_equal(got, want, n);
}

static struct client_secret secret;
static struct client_key key;

static void make(void)
{
    uint8_t t[CLIENT_KEY_T_BYTES];
    vector("t", t, sizeof t);
    assert_int_equal(client_secret_init(&secret, t), 0);
    assert_int_equal(client_key_init(&key, &secret), 0);
}

static void the_same_keys_as_another_implementation(void **state)
{
    (void)state;
    char text[CLIENT_KEY_BUF];
    make();
    assert_vector(secret.seed, "seed", 32);
    assert_vector(secret.a, "a", 32);
    assert_vector(key.public_key, "public_key", 32);
    assert_memory_equal(key.a, secret.a, 32);
    assert_int_equal(client_key_put(text, &key), 0);
    assert_int_equal(strlen(text), CLIENT_KEY_LEN);
    assert_vector(text, "key_text", CLIENT_KEY_LEN);
}

/* RFC 8032, 7.1, tests 1 to 3. */
static void signatures_of_the_rfc(void **state)
{
    (void)state;
    static const struct {
        const char *seed, *public_key, *message, *sig;
    } tests[] = {
        {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
         "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701"
         "c"
         "f9b46bd25bf5f0595bbe24655141438e7a100b"},
        {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
         "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d"
         "0"
         "f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
        {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
         "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f7609"
         "8"
         "4dc6594a7c15e9716ed28dc027beceea1ec40a"},
    };
    for (size_t i = 0; i < ARRAY_LEN(tests); i++) {
        uint8_t seed[32], public_key[32], got_key[32], message[8], sig[64], got[64];
        size_t n = strlen(tests[i].message) / 2;
        assert_true(hex_get(seed, tests[i].seed, 32) && hex_get(sig, tests[i].sig, 64));
        assert_true(hex_get(public_key, tests[i].public_key, 32));
        assert_true(hex_get(message, tests[i].message, n));
        assert_int_equal(ed25519_public(got_key, seed), 0);
        assert_memory_equal(got_key, public_key, 32);
        assert_int_equal(ed25519_sign(got, seed, message, n), 0);
        assert_memory_equal(got, sig, 64);
        assert_true(ed25519_verify(public_key, message, n, sig));
        assert_false(ed25519_verify(public_key, message, n + 1, sig));
    }
}

/* Keys and signatures that are none, the malleable one included; and the thread's TLS connections,
   which look at the same queue of errors, never hear of it. */
static void a_wrong_signature_leaves_nothing_behind(void **state)
{
    (void)state;
    uint8_t sig[64], wrong[64], nobody[32];
    make();
    assert_int_equal(ed25519_sign(sig, secret.seed, "text", 4), 0);
    for (size_t i = 0; i < 8 * sizeof sig; i++) {
        memcpy(wrong, sig, sizeof wrong);
        wrong[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_false(ed25519_verify(key.public_key, "text", 4, wrong));
    }
    memcpy(wrong, sig, sizeof wrong);
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,       0xd6,
                                      0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
    unsigned carry = 0;
    for (size_t i = 0; i < 32; i++) { /* s + L signs the same, and is not taken */
        carry += wrong[32 + i] + order[i];
        wrong[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    assert_false(ed25519_verify(key.public_key, "text", 4, wrong));
    memset(nobody, 0xff, sizeof nobody); /* no point of the curve */
    assert_false(ed25519_verify(nobody, "text", 4, sig));
    assert_int_equal(ERR_peek_error(), 0);
    assert_true(ed25519_verify(key.public_key, "text", 4, sig));
}

/* ---- text ---- */

static int get(const char *text, struct client_key *ret)
{
    return client_key_get(ret, text, strlen(text));
}

static void a_text_is_read_again(void **state)
{
    (void)state;
    char text[CLIENT_KEY_BUF];
    struct client_key again;
    make();
    assert_int_equal(client_key_put(text, &key), 0);
    assert_int_equal(get(text, &again), 0);
    assert_memory_equal(&again, &key, sizeof key);
}

/* Every character replaced by every other: one text is one key. */
static void every_character_counts(void **state)
{
    (void)state;
    char text[CLIENT_KEY_BUF];
    struct client_key again, before;
    make();
    memset(&before, 0x5a, sizeof before);
    assert_int_equal(client_key_put(text, &key), 0);
    for (size_t at = 0; at < CLIENT_KEY_LEN; at++)
        for (int c = 0; c < 256; c++) {
            char was = text[at];
            if ((char)c == was)
                continue;
            text[at] = (char)c;
            again = before;
            int err = client_key_get(&again, text, CLIENT_KEY_LEN);
            bool is_digit = c != 0 && strchr("abcdefghijklmnopqrstuvwxyz234567", c);
            if (at < CLIENT_KEY_PREFIX_LEN || !is_digit)
                assert_int_equal(err, ERR_INVAL);
            else if (at < CLIENT_KEY_LEN - 1)
                assert_int_equal(err, ERR_RANGE);
            else
                assert_true(err == ERR_RANGE || err == ERR_INVAL); /* spare bits of the last one */
            assert_memory_equal(&again, &before, sizeof again);
            text[at] = was;
        }
}

static void another_length_is_no_key(void **state)
{
    (void)state;
    char text[CLIENT_KEY_BUF + 1];
    struct client_key again;
    make();
    assert_int_equal(client_key_put(text, &key), 0);
    for (size_t n = 0; n < CLIENT_KEY_LEN; n++) {
        char *cut = malloc(n + 1); /* of its own size, for the address sanitizer */
        memcpy(cut, text, n);
        assert_int_equal(client_key_get(&again, cut, n), ERR_INVAL);
        free(cut);
    }
    (void)snprintf(text + CLIENT_KEY_LEN, 2, "a");
    assert_int_equal(get(text, &again), ERR_INVAL);
}

/* The check is right, the version is not ours. */
static void a_later_version_is_told_apart(void **state)
{
    (void)state;
    struct client_key again;
    static const char later[] = "gk1_aiaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaas56g2ja";
    assert_int_equal(get(later, &again), ERR_PROTO);
}

/* ---- no memory ---- */

static int run_out(int at, uint8_t sig[64])
{
    static const uint8_t t[CLIENT_KEY_T_BYTES], zero[64];
    struct client_secret s;
    struct client_key k;
    no_memory_at(at);
    int err = client_secret_init(&s, t);
    assert_true(err == 0 || memcmp(&s, zero, sizeof s) == 0);
    if (err == 0 && (err = client_key_init(&k, &s)) < 0)
        assert_memory_equal(&k, zero, sizeof k);
    if (err == 0 && (err = ed25519_sign(sig, s.seed, "text", 4)) < 0)
        assert_memory_equal(sig, zero, sizeof zero);
    if (err == 0 && !ed25519_verify(k.public_key, "text", 4, sig))
        err = ERR_NOMEM;
    no_memory_end();
    assert_true(err == 0 || err == ERR_NOMEM);
    return err;
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    uint8_t sig[64];
    int failures = 0, all;
    assert_int_equal(run_out(-1, sig), 0);
    all = no_memory_calls;
    for (int at = 0; at < all; at++)
        failures += run_out(at, sig) < 0;
    assert_true(failures > 0);
    assert_int_equal(run_out(-1, sig), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_keys_as_another_implementation),
        cmocka_unit_test(signatures_of_the_rfc),
        cmocka_unit_test(a_wrong_signature_leaves_nothing_behind),
        cmocka_unit_test(a_text_is_read_again),
        cmocka_unit_test(every_character_counts),
        cmocka_unit_test(another_length_is_no_key),
        cmocka_unit_test(a_later_version_is_told_apart),
        cmocka_unit_test(any_allocation_may_fail),
    };
    /* Before the library has asked for any memory. */
    if (!no_memory_init())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
