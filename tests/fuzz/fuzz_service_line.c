/* SPDX-License-Identifier: MIT */
/* Target: service_line_*, service_reader_*: the reader and the lines of the control stream. The first byte says in which
   pieces the rest is fed; all ways to cut it bring the same lines; what is read can be written, and
   is read to the same. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "proto/service_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one_end(struct hello_text text, enum service_end from)
{
    struct service_line l, again;
    char one[HELLO_MAX], two[HELLO_MAX];
    int err = service_line_get(text, from, &l);
    assert(err == 0 || err == ERR_PROTO || err == ERR_NOTFOUND);
    if (err < 0 || (l.op == SERVICE_OPEN && l.wanted.kind == SERVICE_KIND_OTHER))
        return;
    assert((l.svc == 0) == (l.op == SERVICE_NOTICE));
    assert(l.op != SERVICE_REFUSED || l.why.error != SERVICE_OK);
    size_t n = service_line_put(one, &l);
    assert(n == strlen(one) && one[n - 1] == '\n');
    err = service_line_get((struct hello_text){one, n - 1}, from, &again);
    assert(err == 0 && service_line_put(two, &again) == n && strcmp(one, two) == 0);
}

/* A number for all lines that come, and how it ended. */
struct told {
    uint64_t sum;
    unsigned lines;
    int err;
};

static struct told feed(const uint8_t *p, size_t n, size_t step)
{
    struct told t = {.err = ERR_AGAIN};
    struct service_reader r;
    service_reader_init(&r);
    for (size_t at = 0; t.err == 0 || (t.err == ERR_AGAIN && at < n);) {
        size_t part = n - at < step ? n - at : step, used = 0;
        t.err = service_reader_feed(&r, p + at, part, &used);
        assert(used <= part && (t.err != ERR_AGAIN || used == part));
        at += used;
        if (t.err < 0)
            continue;
        struct hello_text text = service_reader_line(&r);
        one_end(text, SERVICE_CLIENT);
        one_end(text, SERVICE_SERVER);
        t.lines++;
        for (size_t i = 0; i < text.n; i++)
            t.sum = t.sum * 31 + (uint8_t)text.p[i];
    }
    service_reader_fini(&r);
    return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct told whole = feed(data + 1, size - 1, size);
    struct told cut = feed(data + 1, size - 1, data[0] ? data[0] : 1);
    assert(whole.sum == cut.sum && whole.lines == cut.lines && whole.err == cut.err);
    /* also what no reader lets through */
    one_end((struct hello_text){(const char *)data + 1, size - 1}, SERVICE_CLIENT);
    one_end((struct hello_text){(const char *)data + 1, size - 1}, SERVICE_SERVER);
    return 0;
}
