/* SPDX-License-Identifier: MIT */
/* Target: auth_line_*. The first byte says in which pieces the rest is fed; any pieces give the
   same. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "proto/auth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int feed(struct auth_line *l, const uint8_t *p, size_t n, size_t step, size_t *ret_used)
{
    int r = ERR_AGAIN;
    *ret_used = 0;
    auth_line_init(l);
    while (r == ERR_AGAIN && *ret_used < n) {
        size_t part = n - *ret_used < step ? n - *ret_used : step, used = 0;
        r = auth_line_feed(l, p + *ret_used, part, &used);
        assert(used <= part);
        *ret_used += used;
    }
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct auth_line whole, cut;
    size_t used, used_cut;
    if (size < 1)
        return 0;
    size_t step = data[0] ? data[0] : 1;
    int r = feed(&whole, data + 1, size - 1, size, &used);
    int r_cut = feed(&cut, data + 1, size - 1, step, &used_cut);
    assert(r == r_cut && (r < 0 || used == used_cut));
    bool secret = auth_line_matches(&whole, "s3cr3t"), ok = auth_line_is_ok(&whole);
    assert(secret == auth_line_matches(&cut, "s3cr3t") && ok == auth_line_is_ok(&cut));
    assert(!(secret && ok) && (r == 0 || (!secret && !ok)));
    if (r == 0) {
        assert(data[used] == '\n'); /* the byte that ended it, seen from data + 1 */
        assert(auth_line_len(&whole) == used - 1 &&
               memcmp(auth_line_text(&whole), data + 1, used - 1) == 0);
    }
    auth_line_wipe(&whole);
    auth_line_wipe(&cut);
    return 0;
}
