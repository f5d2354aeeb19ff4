/* SPDX-License-Identifier: MIT */
/* Target: control_*. The first byte says in which pieces the rest is fed; what is decoded can be
   said again, and is then decoded to the same. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "proto/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int feed(struct control_reader *r, const uint8_t *p, size_t n, size_t step, size_t *ret_used)
{
    int err = ERR_AGAIN;
    *ret_used = 0;
    control_reader_init(r);
    while (err == ERR_AGAIN && *ret_used < n) {
        size_t part = n - *ret_used < step ? n - *ret_used : step, used = 0;
        err = control_reader_feed(r, p + *ret_used, part, &used);
        assert(used <= part);
        *ret_used += used;
    }
    return err;
}

static void say_again(const struct control_response *res)
{
    char out[CONTROL_ANSWER_BUF];
    struct control_reader r;
    struct control_response again;
    size_t used, n = control_response_put(out, sizeof out, res->ok, res->message);
    assert(n == strlen(out) && out[n - 1] == '\n');
    int err = feed(&r, (const uint8_t *)out, n, n, &used);
    assert(err == 0 && used == n - 1);
    err = control_response_get(&r, &again);
    assert(err == 0 && again.ok == res->ok);
    control_reader_fini(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct control_reader whole, cut;
    struct control_request req;
    struct control_response res;
    size_t used, used_cut;
    if (size < 1)
        return 0;
    size_t step = data[0] ? data[0] : 1;
    int r = feed(&whole, data + 1, size - 1, size, &used);
    int r_cut = feed(&cut, data + 1, size - 1, step, &used_cut);
    assert(r == r_cut && (r < 0 || used == used_cut));
    if (r == 0) {
        (void)!control_request_get(&whole, &req);
        if (control_response_get(&whole, &res) == 0) {
            assert(memchr(res.message, '\0', sizeof res.message));
            say_again(&res);
        }
    }
    control_reader_fini(&whole);
    control_reader_fini(&cut);
    return 0;
}
