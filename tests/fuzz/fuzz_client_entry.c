/* SPDX-License-Identifier: MIT */
/* Target: client_entry_read, client_entry_text, client_edit. A file is refused with at least one sentence,
   each one printable line; the text of one that is taken is read again as the same; and a change makes a
   file that says what it should, or none. */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf/client_edit.h"

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

/* A change of some fields, chosen by the length. */
static void edit(const char *file, size_t size)
{
    struct client_edit_obstacle why;
    char *made;
    size_t n;
    again = entry;
    again.disabled ^= size & 1;
    if (size & 2)
        again.ports.count = 0;
    if (size & 4)
        again.rate = 7;
    if (size & 8)
        again.old_count = 0;
    if (size & 16)
        again.from.count = 0;
    int err = client_edit(file, size, &entry, &again, &made, &n, &why);
    assert(err == 0 || (err == ERR_BADSTATE && *why.key));
    if (err < 0)
        return;
    (void)client_entry_text(text, &again);
    err = client_entry_read(&again, made, n, check_key, &errors);
    assert(err == 0);
    (void)client_entry_text(other, &again);
    assert(strcmp(text, other) == 0);
    free(made);
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
    edit((const char *)data, size);
    return 0;
}
