/* SPDX-License-Identifier: MIT */
/* Target: join_decode(), join_encode(). The first byte says what the rest is: a text, or the bytes of
   a string but for its check, which gets them the right one. What is taken is written again to the text
   that was read, but for case and blanks; and what stands in the string is what was there. */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "conf/join.h"
#include "proto/sha256.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Does the text come to word, when it is repaired? */
static bool is_same(const char *text, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (strchr(" \t\n\v\f\r", c) && c)
            continue;
        if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != *word++)
            return false;
    }
    return *word == '\0';
}

static void try_text(const char *text, size_t n)
{
    struct join j, again;
    struct errmsg why = {""};
    char word[JOIN_BUF], server[JOIN_SERVER_BUF];
    int err = join_decode(&j, text, n, sha256, &why);
    assert(err == 0 || err == ERR_INVAL || err == ERR_RANGE || err == ERR_PROTO);
    assert((err == 0) == (*why.text == '\0'));
    if (err < 0)
        return;
    int written = join_encode(word, &j, sha256);
    assert(written == 0 && is_same(text, n, word));
    int read = join_decode(&again, word, strlen(word), sha256, &why);
    assert(read == 0 && memcmp(&j, &again, sizeof j) == 0);
    join_server(server, &j);
    assert(strlen(server) < sizeof server && strchr(server, ':'));
}

static void try_bytes(const uint8_t *p, size_t n)
{
    uint8_t bytes[JOIN_BYTES_MAX + 8], digest[SHA256_BYTES];
    char word[sizeof JOIN_PREFIX + BASE32_LEN(sizeof bytes)] = JOIN_PREFIX;
    if (n > sizeof bytes - JOIN_CHECK_BYTES)
        return;
    memcpy(bytes, p, n);
    if (sha256(digest, bytes, n) < 0)
        return;
    memcpy(bytes + n, digest, JOIN_CHECK_BYTES);
    n += JOIN_CHECK_BYTES;
    base32_put(word + sizeof JOIN_PREFIX - 1, bytes, n);
    try_text(word, sizeof JOIN_PREFIX - 1 + BASE32_LEN(n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] == 0)
        try_bytes(data + 1, size - 1);
    else
        try_text((const char *)data + 1, size - 1);
    return 0;
}
