/* SPDX-License-Identifier: MIT */
/* Target: hello_*: the reader, and both parsers. The first byte says in which pieces the rest is
   fed; what is decoded can be said again, and is then decoded to the same. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "proto/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int feed(struct hello_reader *r, const uint8_t *p, size_t n, size_t step, size_t *ret_used)
{
    int err = ERR_AGAIN;
    *ret_used = 0;
    hello_reader_init(r);
    while (err == ERR_AGAIN && *ret_used < n) {
        size_t part = n - *ret_used < step ? n - *ret_used : step, used = 0;
        err = hello_reader_feed(r, p + *ret_used, part, &used);
        assert(used <= part);
        *ret_used += used;
    }
    assert(hello_reader_len(r) == strlen(hello_reader_text(r)));
    return err;
}

static void request(const char *line, size_t n)
{
    struct hello_request r, again;
    char one[HELLO_MAX], two[HELLO_MAX];
    if (hello_request_get(line, n, &r) < 0)
        return;
    assert(r.op == HELLO_RESUME || hello_id_is_valid(r.id));
    size_t len = hello_request_put(one, &r);
    assert(len == strlen(one) && one[len - 1] == '\n');
    int err = hello_request_get(one, len - 1, &again);
    assert(err == 0 && hello_request_put(two, &again) == len && strcmp(one, two) == 0);
}

static void answer(const char *line, size_t n)
{
    struct hello_answer a, again;
    char one[HELLO_MAX], two[HELLO_MAX];
    if (hello_answer_get(line, n, &a) < 0)
        return;
    assert(a.has_mac || a.error != HELLO_OK);
    size_t len = hello_answer_put(one, &a);
    assert(len == strlen(one) && one[len - 1] == '\n');
    int err = hello_answer_get(one, len - 1, &again);
    assert(err == 0 && hello_answer_put(two, &again) == len && strcmp(one, two) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct hello_reader whole, cut;
    size_t used, used_cut;
    if (size < 1)
        return 0;
    int r = feed(&whole, data + 1, size - 1, size, &used);
    int r_cut = feed(&cut, data + 1, size - 1, data[0] ? data[0] : 1, &used_cut);
    assert(r == r_cut && used == used_cut);
    request((const char *)data + 1, size - 1); /* any bytes, also those no reader lets through */
    answer((const char *)data + 1, size - 1);
    if (r == 0) {
        request(hello_reader_text(&whole), hello_reader_len(&whole));
        answer(hello_reader_text(&whole), hello_reader_len(&whole));
    }
    return 0;
}
