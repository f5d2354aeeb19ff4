/* SPDX-License-Identifier: MIT */
/* Target: ctl_reader_feed, ctl_request_get, ctl_line_get. The first byte says in which pieces the rest is
   fed, which must not matter; what is understood can be asked again, and is then understood the same; the
   answer that quotes what was asked is one that can be read. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "proto/ctl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int feed(struct ctl_reader *r, const uint8_t *p, size_t n, size_t step)
{
    int err = ERR_AGAIN;
    memset(r, 0, sizeof *r);
    for (size_t at = 0; at < n && err == ERR_AGAIN; at += step)
        err = ctl_reader_feed(r, p + at, n - at < step ? n - at : step);
    return err;
}

static void ask_again(const struct ctl_request *req)
{
    struct ctl_reader r;
    struct ctl_request again;
    struct errmsg why;
    char line[CTL_LINE_MAX];
    size_t n = ctl_request_put(line, req);
    assert(n > 0 && n < sizeof line && memchr(line, '\n', n) == line + n - 1);
    assert(feed(&r, (const uint8_t *)line, n, n) == 0);
    int err = ctl_request_get(&r, &again, &why);
    assert(err == 0 && again.command == req->command);
    assert(strcmp(again.argument, req->argument) == 0);
}

static void answer(const char *text)
{
    struct ctl_answer a = {0};
    ctl_put_words(&a, "words", &text, 1);
    ctl_end_line(&a);
    ctl_refuse(&a, text);
    assert(!a.is_spoilt);
    const char *lf = memchr(a.bytes, '\n', a.len);
    assert(lf);
    struct ctl_line *first = ctl_line_get(a.bytes, (size_t)(lf - a.bytes));
    struct ctl_line *last = ctl_line_get(lf + 1, a.len - (size_t)(lf + 1 - a.bytes) - 1);
    assert(first && last && ctl_line_is_last(last) && !ctl_line_truth(last, "ok"));
    assert(ctl_line_word(first, "words", 0));
    ctl_line_free(first);
    ctl_line_free(last);
    ctl_answer_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ctl_reader r, whole;
    struct ctl_request req;
    struct errmsg why = {""};
    char text[256];
    if (size < 1)
        return 0;
    size_t step = data[0] % 64u + 1, n = size - 1;
    int err = feed(&r, data + 1, n, step);
    assert(err == feed(&whole, data + 1, n, n + 1));
    assert(err == 0 || err == ERR_AGAIN || err == ERR_LIMIT);
    if (err == 0) {
        err = ctl_request_get(&r, &req, &why);
        assert(err == 0 || *why.text);
    }
    if (err == 0)
        ask_again(&req);
    ctl_line_free(ctl_line_get((const char *)data + 1, n));
    size_t part = n < sizeof text - 1 ? n : sizeof text - 1;
    memcpy(text, data + 1, part);
    text[part] = '\0';
    answer(text);
    answer(why.text);
    return 0;
}
