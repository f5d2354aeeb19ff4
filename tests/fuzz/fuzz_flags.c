/* SPDX-License-Identifier: MIT */
/* Target: flags_parse, with addresses and port lists behind it. Input: arguments with zero bytes
   between them; the first byte chooses the mode. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf/flags.h"
#include "conf/hostport.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_ARGS = 64 };

static void addresses(const char *text)
{
    struct hostport hp;
    struct errmsg why;
    if (hostport_parse(text, &hp, &why) == 0)
        assert(*hp.host && hp.port != 0 && hp.port <= 65535 && (hp.port > 0 || *hp.service));
    if (hostport_parse_listen(text, &hp, &why) == 0)
        assert(hp.port <= 65535 && (hp.port >= 0 || *hp.service));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static union {
        struct server_options server;
        struct client_options client;
    } opt;
    struct flags_error why = {.text = ""};
    char *argv[MAX_ARGS];
    int argc = 0, rest = -1;
    if (size < 2)
        return 0;
    char *text = malloc(size);
    if (!text)
        return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    for (char *p = text; p < text + size && argc < MAX_ARGS; p += strlen(p) + 1)
        argv[argc++] = p;
    const struct mode *m = data[0] & 1 ? &client_mode : &server_mode;
    memset(&opt, 0, sizeof opt);
    flags_defaults(m, &opt);
    enum flags_outcome r = flags_parse(m, argc, argv, &opt, &rest, &why);
    assert(rest >= 0 && rest <= argc);
    assert((r == FLAGS_BAD) == (why.text[0] != '\0'));
    if (r == FLAGS_OK && m == &client_mode) {
        addresses(opt.client.server);
        addresses(opt.client.local_target);
    } else if (r == FLAGS_OK) {
        addresses(opt.server.listen);
    }
    if (m == &client_mode)
        tunnels_fini(&opt.client.tunnels);
    free(text);
    return 0;
}
