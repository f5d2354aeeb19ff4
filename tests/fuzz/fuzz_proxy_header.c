/* SPDX-License-Identifier: MIT */
/* Target: proxy_header_look(). Every beginning of the input is judged: a verdict stays, one that is
   put off is put off no further than it says, and who looks only then comes to the same. */
#include <assert.h>
#include <stdint.h>

#include "proto/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const struct proxy_header_look *a, const struct proxy_header_look *b)
{
    assert(a->verdict == b->verdict && a->length == b->length);
    assert(a->source.family == b->source.family);
    assert(a->source.family == ADDRESS_NONE || address_equal(&a->source, &b->source));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header_look last = {PROXY_HEADER_MORE, .need = 1};
    size_t most = size < PROXY_HEADER_MAX + 8 ? size : PROXY_HEADER_MAX + 8;
    for (size_t n = 0; n <= most; n++) {
        struct proxy_header_look look = proxy_header_look(data, n);
        if (last.verdict != PROXY_HEADER_MORE)
            check_same(&look, &last);
        if (look.verdict == PROXY_HEADER_MORE) {
            assert(look.need > n && look.need <= PROXY_HEADER_MAX);
            assert(n == 0 || look.need == last.need || n == last.need);
        }
        if (look.verdict == PROXY_HEADER_WHOLE) {
            assert(look.length > 0 && look.length <= n);
            assert(last.verdict == PROXY_HEADER_WHOLE || (n == last.need && n == look.length));
        }
        last = look;
    }
    struct proxy_header_look look = {PROXY_HEADER_MORE, .need = 0};
    unsigned looks = 0;
    for (; look.verdict == PROXY_HEADER_MORE && look.need <= most; looks++)
        look = proxy_header_look(data, look.need);
    assert(looks <= PROXY_HEADER_V1_MAX);
    if (look.verdict != PROXY_HEADER_MORE)
        check_same(&look, &last);
    else
        assert(last.verdict != PROXY_HEADER_WHOLE);
    return 0;
}
