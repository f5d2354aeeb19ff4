/* SPDX-License-Identifier: MIT */
/* Target: config_read and config_mode. The first byte chooses the program, and whether the command line
   has said everything. A file is refused with at least one sentence, at most so many, in order, each
   one printable line; and what the command line has said stays. */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "conf/config.h"
#include "conf/flags.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static union opt {
    struct common_options common;
    struct server_options server;
    struct client_options client;
} opt, before;

static void look_at_errors(const struct config *c, int err)
{
    const struct config_error *e;
    struct yaml_place last = {1, 1};
    bool more = false;
    size_t i = 0;
    for (; (e = config_error(c, i, &more)); i++) {
        assert(e->at.line > last.line || (e->at.line == last.line && e->at.column >= last.column));
        last = e->at;
        assert(*e->text);
        for (const char *p = e->text; *p; p++)
            assert((unsigned char)*p >= ' ' && *p != 0x7f);
    }
    assert(i <= CONFIG_ERRORS_MAX && (i > 0) == (err < 0) && (!more || i == CONFIG_ERRORS_MAX));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const struct mode *m = data[0] & 1 ? &client_mode : &server_mode;
    bool is_given = data[0] & 2;
    const char *bytes = (const char *)data + 1;
    struct yaml_place at;
    memset(&opt, 0, sizeof opt);
    flags_defaults(m, &opt);
    opt.common.given = is_given ? UINT32_MAX : 0;
    before = opt;
    struct config *c = config_new(m, "/etc/", NULL, 0);
    assert(c);
    int err = config_read(c, bytes, size - 1, &opt);
    assert(err == 0 || err == ERR_INVAL);
    look_at_errors(c, err);
    assert(!is_given || memcmp(&opt, &before, sizeof opt) == 0);
    assert(!config_has_secret(c, &at) || at.line >= 1);
    assert(strlen(config_tunnel(c)) <= TUNNEL_NAME_MAX);
    const struct mode *whose = config_mode(bytes, size - 1);
    assert(whose == &client_mode || whose == &server_mode);
    config_free(c);
    return 0;
}
