/* SPDX-License-Identifier: MIT */
/* Bytes to a word that survives being copied, and back. */
#include "conf/join.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/endian.h"
#include "base/i18n.h"
#include "base/secure.h"

enum {
    VERSION = 1,
    PREFIX_LEN = sizeof JOIN_PREFIX - 1,
    HASH_BYTES = 32,
    DIGITS_MAX = 9, /* of the version in a prefix: more is none */
};

/* What repair() leaves fits when it is decoded. */
_Static_assert((JOIN_BUF - PREFIX_LEN) * 5 / 8 <= JOIN_BYTES_MAX, "bytes");

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

static bool is_name(const char *text)
{
    size_t n = strlen(text);
    return n >= 1 && n <= JOIN_NAME_MAX && strspn(text, LETTERS) == n;
}

static bool is_host(const char *text)
{
    size_t n = strlen(text);
    return n >= 1 && n <= JOIN_HOST_MAX && strspn(text, LETTERS ":%") == n;
}

static int put_check(uint8_t *bytes, size_t n, join_hash *hash)
{
    uint8_t digest[HASH_BYTES];
    int err = hash(digest, bytes, n);
    if (err == 0)
        memcpy(bytes + n, digest, JOIN_CHECK_BYTES);
    return err;
}

/* ---- to text ---- */

static uint8_t *put_text(uint8_t *at, const char *text)
{
    size_t n = strlen(text);
    *at = (uint8_t)n;
    memcpy(at + 1, text, n);
    return at + 1 + n;
}

static size_t put_fields(uint8_t bytes[JOIN_BYTES_MAX], const struct join *j)
{
    uint8_t *at = bytes;
    *at++ = VERSION;
    *at++ = 0;
    at = put_text(at, j->name);
    put_le16(at, j->port);
    at = put_text(at + 2, j->host);
    memcpy(at, j->pin, sizeof j->pin);
    at += sizeof j->pin;
    memcpy(at, j->t, sizeof j->t);
    return (size_t)(at - bytes) + sizeof j->t;
}

int join_encode(char ret[JOIN_BUF], const struct join *j, join_hash *hash)
{
    uint8_t bytes[JOIN_BYTES_MAX];
    memset(ret, 0, JOIN_BUF);
    if (!is_name(j->name) || !is_host(j->host) || j->port == 0)
        return ERR_INVAL;
    size_t n = put_fields(bytes, j);
    int err = put_check(bytes, n, hash);
    if (err == 0) {
        memcpy(ret, JOIN_PREFIX, PREFIX_LEN);
        base32_put(ret + PREFIX_LEN, bytes, n + JOIN_CHECK_BYTES);
    }
    secure_zero(bytes, sizeof bytes);
    return err;
}

void join_server(char ret[JOIN_SERVER_BUF], const struct join *j)
{
    bool is_v6 = strchr(j->host, ':');
    (void)snprintf(ret, JOIN_SERVER_BUF, "%s%s%s:%u", is_v6 ? "[" : "", j->host, is_v6 ? "]" : "",
                   j->port); /* fits */
}

/* ---- from text ---- */

/* The text without blanks and in lower case, as far as the longest one goes and one character more.
   How many characters. */
static size_t repair(char ret[JOIN_BUF], const char *text, size_t n)
{
    size_t len = 0;
    for (size_t i = 0; i < n && len < JOIN_BUF; i++) {
        char c = text[i];
        if (c == ' ' || (c >= '\t' && c <= '\r'))
            continue;
        ret[len++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    return len;
}

/* Does the text begin with gt, a number and _? *ret_ours: the number is 1. */
static bool has_prefix(const char *text, size_t n, bool *ret_ours)
{
    size_t at = 2;
    if (n < 2 || memcmp(text, "gt", 2) != 0)
        return false;
    while (at < n && at < 2 + DIGITS_MAX && text[at] >= '0' && text[at] <= '9')
        at++;
    *ret_ours = at == 3 && text[2] == '1';
    return at > 2 && at < n && text[at] == '_';
}

/* What is left to read of the bytes before the check. */
struct rest {
    const uint8_t *p;
    size_t n;
};

static bool take(struct rest *r, void *ret, size_t n)
{
    if (r->n < n)
        return false;
    memcpy(ret, r->p, n);
    r->p += n;
    r->n -= n;
    return true;
}

/* A zero byte in it is found by the caller, who asks what characters it has and how many. */
static bool take_text(struct rest *r, char *ret, size_t max, size_t *ret_len)
{
    uint8_t n;
    if (!take(r, &n, 1) || n > max || !take(r, ret, n))
        return false;
    ret[n] = '\0';
    *ret_len = n;
    return true;
}

static bool take_fields(struct rest r, struct join *j)
{
    uint8_t port[2];
    size_t name = 0, host = 0;
    if (!take_text(&r, j->name, JOIN_NAME_MAX, &name) || !take(&r, port, sizeof port) ||
        !take_text(&r, j->host, JOIN_HOST_MAX, &host) || !take(&r, j->pin, sizeof j->pin) ||
        !take(&r, j->t, sizeof j->t))
        return false;
    j->port = get_le16(port);
    return r.n == 0 && is_name(j->name) && strlen(j->name) == name && is_host(j->host) &&
           strlen(j->host) == host && j->port > 0;
}

static int newer(struct errmsg *why)
{
    return errmsg_set(why, ERR_PROTO, "%s",
                      _("this join string was made by a newer gotunnel: update the one here"));
}

/* The n bytes of a string with the right prefix. */
static int read_bytes(struct join *ret, const uint8_t *bytes, size_t n, join_hash *hash,
                      struct errmsg *why)
{
    uint8_t digest[HASH_BYTES];
    struct join j = {0};
    if (n < 2 + JOIN_CHECK_BYTES)
        goto damaged;
    n -= JOIN_CHECK_BYTES;
    int err = hash(digest, bytes, n);
    if (err < 0)
        return errmsg_set(why, err, "%s", err_text(err));
    if (memcmp(digest, bytes + n, JOIN_CHECK_BYTES) != 0)
        goto damaged;
    if (bytes[0] != VERSION || bytes[1] != 0)
        return newer(why);
    if (!take_fields((struct rest){bytes + 2, n - 2}, &j))
        err = errmsg_set(why, ERR_INVAL, "%s",
                         _("this join string is whole, but gotunnel makes none like it: ask for "
                           "another"));
    else
        *ret = j;
    secure_zero(&j, sizeof j);
    return err;

damaged:
    return errmsg_set(why, ERR_RANGE, "%s",
                      _("a character of the join string is missing or wrong: copy it again, from "
                        "gt1_ to its end"));
}

int join_decode(struct join *ret, const char *text, size_t n, join_hash *hash, struct errmsg *why)
{
    char word[JOIN_BUF];
    uint8_t bytes[JOIN_BYTES_MAX];
    bool is_ours;
    int err;
    size_t len = repair(word, text, n);
    if (!has_prefix(word, len, &is_ours)) {
        err = errmsg_set(why, ERR_INVAL, "%s", _("this is no join string (it begins with gt1_)"));
    } else if (!is_ours) {
        err = newer(why);
    } else {
        size_t count = (len - PREFIX_LEN) * 5 / 8;
        bool is_whole =
            BASE32_LEN(count) == len - PREFIX_LEN && base32_get(bytes, word + PREFIX_LEN, count);
        err = read_bytes(ret, bytes, is_whole ? count : 0, hash, why);
        secure_zero(bytes, sizeof bytes);
    }
    secure_zero(word, sizeof word);
    return err;
}
