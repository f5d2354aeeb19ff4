/* SPDX-License-Identifier: MIT */
/* Constant-time comparison and wiping. */
#include "base/secure.h"

#include <stdint.h>
#include <string.h>

void secure_zero(void *p, size_t n)
{
    explicit_bzero(p, n);
}

bool secure_equal(const void *secret, size_t secret_len, const void *guess, size_t guess_len)
{
    const volatile uint8_t *s = secret;
    const volatile uint8_t *g = guess;
    static const uint8_t nothing;
    size_t diff = secret_len ^ guess_len;

    if (secret_len == 0) /* keep reading something, so that the loop below is the same */
        s = &nothing;
    size_t last = secret_len ? secret_len - 1 : 0;
    for (size_t i = 0; i < guess_len; i++) {
        size_t over = (size_t)0 - (size_t)(i > last); /* all ones past the end */
        size_t at = (i & ~over) | (last & over);
        diff |= (size_t)(s[at] ^ g[i]);
    }
    return diff == 0;
}
