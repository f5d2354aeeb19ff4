/* SPDX-License-Identifier: MIT */
/* Target: client_key_get(). What is a key is written again as the same text, so one key has one. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "proto/client_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct client_key k;
    char text[CLIENT_KEY_BUF];
    int err = client_key_get(&k, (const char *)data, size);
    assert(err == 0 || err == ERR_INVAL || err == ERR_PROTO || err == ERR_RANGE);
    if (err == 0 && client_key_put(text, &k) == 0)
        assert(size == CLIENT_KEY_LEN && memcmp(text, data, size) == 0);
    return 0;
}
