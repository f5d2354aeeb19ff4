/* SPDX-License-Identifier: MIT */
/* Target: client_hello_look(). Every beginning of the input is judged: a verdict stays, one that is
   put off is put off no further than it says, and who looks only then comes to the same. */
#include <assert.h>
#include <stdint.h>

#include "proto/client_hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct client_hello_look last = {CLIENT_HELLO_MORE, 1};
    size_t most = size < CLIENT_HELLO_MAX + 8 ? size : CLIENT_HELLO_MAX + 8;
    for (size_t n = 0; n <= most; n++) {
        struct client_hello_look look = client_hello_look(data, n);
        if (last.verdict != CLIENT_HELLO_MORE)
            assert(look.verdict == last.verdict);
        if (look.verdict == CLIENT_HELLO_MORE) {
            assert(look.need > n && look.need <= CLIENT_HELLO_MAX);
            assert(n == 0 || look.need == last.need || n == last.need);
        }
        if (look.verdict == CLIENT_HELLO_WHOLE)
            assert(last.verdict == CLIENT_HELLO_WHOLE || n == last.need);
        last = look;
    }
    struct client_hello_look look = {CLIENT_HELLO_MORE, 0};
    unsigned looks = 0;
    for (; look.verdict == CLIENT_HELLO_MORE && look.need <= most; looks++)
        look = client_hello_look(data, look.need);
    assert(looks <= 1 + 2 * CLIENT_HELLO_RECORDS);
    assert(look.verdict == last.verdict ||
           (look.verdict == CLIENT_HELLO_MORE && last.verdict == CLIENT_HELLO_NOT));
    return 0;
}
