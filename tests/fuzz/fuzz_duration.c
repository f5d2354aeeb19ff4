/* SPDX-License-Identifier: MIT */
/* Targets: duration_parse, number_parse, quote. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf/duration.h"
#include "conf/number.h"
#include "conf/quote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char quoted[64];
    int64_t ns, number;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    (void)!duration_parse(text, &ns);
    (void)!number_parse(text, &number);
    size_t n = quote(quoted, sizeof quoted, text);
    assert(n >= 2 && strlen(quoted) < sizeof quoted && (n >= sizeof quoted || strlen(quoted) == n));
    for (const char *p = quoted; *p; p++)
        assert((unsigned char)*p >= 0x20 && *p != 0x7f);
    free(text);
    return 0;
}
