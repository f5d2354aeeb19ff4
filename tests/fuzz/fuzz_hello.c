/* SPDX-License-Identifier: MIT */
/* Target: hello_*: the reader, both parsers, and the place of the proof. The first byte says in
   which pieces the rest is fed; what is decoded can be written again, is then proved, and decoded
   to the same. */
#include <assert.h>
#include <stdbool.h>
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
    assert(hello_reader_line(r).n == strlen(hello_reader_line(r).p));
    return err;
}

static const struct hello_keys keys;
static const uint8_t key[32], exporter[32];
static const struct hello_text asked = {"{}", 2};

static struct hello_text line_of(const char *buf, int n)
{
    assert(n > 1 && (size_t)n == strlen(buf) && buf[n - 1] == '\n');
    return (struct hello_text){buf, (size_t)n - 1};
}

static int write_request(char *buf, const struct hello_request *r)
{
    static const struct hello_signer signer = {key, exporter};
    return r->op == HELLO_OPEN ? hello_open_write(buf, r, &keys, *r->key ? &signer : NULL)
                               : hello_resume_write(buf, r, key, exporter);
}

static void request(struct hello_text line)
{
    struct hello_request r, again;
    char one[HELLO_MAX], two[HELLO_MAX];
    if (hello_request_get(line, &r) < 0)
        return;
    assert(r.op == HELLO_RESUME || hello_id_is_valid(r.id));
    assert(!*r.key || (hello_id_is_valid(r.key) && hello_id_is_of_key(r.id, r.key)));
    assert(r.caps.count <= HELLO_CAPS_MAX && r.mine.count <= HELLO_MINE_MAX);
    struct hello_text mine = line_of(one, write_request(one, &r));
    assert(r.op == HELLO_OPEN ? hello_open_verify(mine, &keys)
                              : hello_resume_verify(mine, key, exporter));
    int err = hello_request_get(mine, &again);
    assert(err == 0 && write_request(two, &again) == (int)mine.n + 1 && strcmp(one, two) == 0);
}

static int write_answer(char *buf, const struct hello_answer *a, enum hello_op op)
{
    if (!a->has_mac)
        return (int)hello_refusal_write(buf, a);
    return op == HELLO_OPEN ? hello_answer_write(buf, a, asked, &keys)
                            : hello_resumed_write(buf, a, asked, key, exporter);
}

static void answer(struct hello_text line, enum hello_op op)
{
    struct hello_answer a, again;
    char one[HELLO_MAX], two[HELLO_MAX];
    if (hello_answer_get(line, op, &a) < 0)
        return;
    assert(a.has_mac || a.error != HELLO_OK);
    struct hello_text mine = line_of(one, write_answer(one, &a, op));
    bool proved = op == HELLO_OPEN ? hello_answer_verify(mine, asked, &keys)
                                   : hello_resumed_verify(mine, asked, key, exporter);
    assert(proved == a.has_mac);
    int err = hello_answer_get(mine, op, &again);
    assert(err == 0 && write_answer(two, &again, op) == (int)mine.n + 1 && strcmp(one, two) == 0);
}

static void all(struct hello_text line)
{
    request(line);
    answer(line, HELLO_OPEN);
    answer(line, HELLO_RESUME);
    /* Nobody has signed this, and every length must be looked at before the bytes. */
    (void)hello_open_verify(line, &keys);
    (void)hello_open_verify_sig(line, key, exporter);
    (void)hello_resumed_verify(line, asked, key, exporter);
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
    all((struct hello_text){(const char *)data + 1,
                            size - 1}); /* also what no reader lets through */
    if (r == 0)
        all(hello_reader_line(&whole));
    return 0;
}
