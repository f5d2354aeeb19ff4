/* SPDX-License-Identifier: MIT */
/* Constant-time comparison, wiping, and pages for secrets. */
#include "base/secure.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

void *secure_alloc(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    (void)mlock(p, n); /* both as far as the system allows */
    (void)madvise(p, n, MADV_DONTDUMP);
    return p;
}

void secure_free(void *p, size_t n)
{
    if (!p)
        return;
    secure_zero(p, n);
    (void)munmap(p, n); /* fails for what was not mapped only */
}

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
