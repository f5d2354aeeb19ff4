/* SPDX-License-Identifier: MIT */
/* Target: targets_parse(): words with a line feed between them. What is taken has a name, an address and a port
   that -local-target and -remote-port take; nothing else is. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct target *t)
{
    struct destinations *to;
    struct errmsg why;
    int err = destinations_new(t->address, NULL, &to, &why);
    assert(err == 0 && to->count >= 1 && to->count <= DESTINATIONS_MAX);
    for (unsigned i = 0; i < to->count; i++) {
        const struct destination *d = &to->at[i];
        assert(d->path ? *d->path == '/' && strlen(d->path) <= DESTINATION_PATH_MAX
                       : *d->host && d->port != 0 && d->port <= 65535);
    }
    free(to);
    assert(t->port >= 0 && t->port <= 65535);
    assert(strlen(t->name) <= TUNNEL_NAME_MAX && !strpbrk(t->name, "=@: "));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct target all[TARGETS_MAX];
    char text[2048];
    const char *words[TARGETS_MAX + 2];
    struct errmsg why = {""};
    size_t n = 0;
    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    for (char *at = text; at && n < ARRAY_LEN(words); n++) {
        words[n] = at;
        at = strchr(at, '\n');
        if (at)
            *at++ = '\0';
    }
    int err = targets_parse(words, n, all, &why);
    assert((err < 0) == (*why.text != '\0'));
    for (size_t i = 0; i < n && err == 0; i++)
        check(&all[i]);
    return 0;
}
