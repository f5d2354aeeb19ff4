/* SPDX-License-Identifier: MIT */
/*
 * The hello of gotunnel/2: its words, and the collecting of a line. What lines say is read and
 * written in hello_line.c, what they prove is in hello_proof.c.
 */
#include "proto/hello.h"

#include <string.h>

#include "base/err.h"
#include "proto/hello_line.h"

static const struct {
    const char *word;
    enum hello_mac mac;
} errors[] = {
    [HELLO_OK] = {"", HELLO_MAC_ALWAYS},
    [HELLO_ERR_AUTH] = {"auth", HELLO_MAC_NEVER},
    [HELLO_ERR_TAKEN] = {"taken", HELLO_MAC_ALWAYS},
    [HELLO_ERR_UNKNOWN] = {"unknown", HELLO_MAC_NEVER},
    [HELLO_ERR_STALE] = {"stale", HELLO_MAC_ALWAYS},
    [HELLO_ERR_RANGE] = {"range", HELLO_MAC_ALWAYS},
    [HELLO_ERR_BUSY] = {"busy", HELLO_MAC_EITHER},
    [HELLO_ERR_DRAINING] = {"draining", HELLO_MAC_EITHER},
    [HELLO_ERR_MESSAGE] = {"message", HELLO_MAC_NEVER},
};

const char *hello_error_word(enum hello_error e)
{
    return errors[e].word;
}

enum hello_mac hello_error_mac(enum hello_error e)
{
    return errors[e].mac;
}

bool hello_secret_is_long_enough(const char *secret)
{
    return strnlen(secret, HELLO_SECRET_MIN) == HELLO_SECRET_MIN;
}

bool hello_id_is_valid(const char *id)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t n = strspn(id, allowed);
    return n >= 1 && n <= HELLO_ID_MAX && id[n] == '\0';
}

bool hello_id_is_of_key(const char *id, const char *name)
{
    size_t n = strlen(name);
    return strncmp(id, name, n) == 0 && (id[n] == '\0' || id[n] == '.');
}

/* ---- collecting ---- */

void hello_reader_init(struct hello_reader *r)
{
    r->len = 0;
    r->end = ERR_AGAIN;
    r->text[0] = '\0';
}

static int take_byte(struct hello_reader *r, uint8_t c)
{
    if (c == '\n')
        return r->len > 0 ? 0 : ERR_PROTO;
    if (c < 0x20 || (r->len == 0 && c != '{'))
        return ERR_PROTO;
    if (r->len == HELLO_MAX - 1)
        return ERR_LIMIT;
    r->text[r->len++] = (char)c;
    r->text[r->len] = '\0';
    return ERR_AGAIN;
}

int hello_reader_feed(struct hello_reader *r, const uint8_t *p, size_t n, size_t *ret_used)
{
    size_t i = 0;
    while (i < n && r->end == ERR_AGAIN)
        r->end = take_byte(r, p[i++]);
    *ret_used = i;
    return r->end;
}

struct hello_text hello_reader_line(const struct hello_reader *r)
{
    return (struct hello_text){r->text, r->len};
}

/* ---- what an end can do ---- */

bool hello_caps_have(const struct hello_caps *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->names[i], name) == 0)
            return true;
    return false;
}

void hello_caps_common(struct hello_caps *ret, const struct hello_caps *a,
                       const struct hello_caps *b)
{
    struct hello_caps both = {0}; /* ret may be one of them */
    for (size_t i = 0; i < a->count; i++)
        if (hello_caps_have(b, a->names[i]) && !hello_caps_have(&both, a->names[i]))
            memcpy(both.names[both.count++], a->names[i], sizeof both.names[0]);
    *ret = both;
}
