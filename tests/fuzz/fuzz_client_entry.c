/* SPDX-License-Identifier: MIT */
/* Target: client_entry_read, and client_entry_text. A file is refused with at least one sentence, each one
   printable line; and the text of one that is taken is read again as the same. */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "conf/client_entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct client_entry entry, again;
static struct config_errors errors;
static char text[CLIENT_ENTRY_TEXT_MAX], other[CLIENT_ENTRY_TEXT_MAX];

/* Of what a real key is made of. */
static int check_key(const char *key, struct errmsg *why)
{
    static const char allowed[] = "gk1_abcdefhijlmnopqrstuvwxyz234567";
    (void)why;
    return *key && strspn(key, allowed) == strlen(key) ? 0 : errmsg_set(why, ERR_INVAL, "no");
}

static size_t look_at_errors(void)
{
    const struct config_error *e;
    bool more = false;
    size_t i = 0;
    for (; (e = config_errors_get(&errors, i, &more)); i++) {
        assert(e->at.line >= 1 && e->at.column >= 1 && *e->text);
        for (const char *p = e->text; *p; p++)
            assert((unsigned char)*p >= ' ' && *p != 0x7f);
    }
    assert(i <= CONFIG_ERRORS_MAX);
    return i;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    memset(&errors, 0, sizeof errors);
    int err = client_entry_read(&entry, (const char *)data, size, check_key, &errors);
    assert(err == 0 || err == ERR_INVAL);
    assert((look_at_errors() > 0) == (err < 0));
    if (err < 0)
        return 0;
    size_t n = client_entry_text(text, &entry);
    assert(n < sizeof text && n == strlen(text));
    err = client_entry_read(&again, text, n, check_key, &errors);
    assert(err == 0);
    n = client_entry_text(other, &again);
    assert(strcmp(text, other) == 0 && n == strlen(other));
    return 0;
}
