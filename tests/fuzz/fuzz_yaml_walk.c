/* SPDX-License-Identifier: MIT */
/* Target: yaml_walk. Whatever the bytes: paths are within their bounds and grow one by one, an entry
   comes after the map or list it is in, and a file that is refused is refused with a sentence. */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "conf/yaml_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    size_t depth; /* of the last entry, and one more if it is a map or list */
    bool in_list[YAML_WALK_DEPTH_MAX + 1];
    unsigned wrong;
};

static void on_entry(void *ctx, const struct yaml_entry *e)
{
    struct seen *s = ctx;
    assert(e->depth >= 1 && e->depth <= YAML_WALK_DEPTH_MAX && e->depth <= s->depth);
    assert(e->at.line >= 1 && e->at.column >= 1);
    for (size_t i = 0; i < e->depth; i++) {
        assert(s->in_list[i] == !e->path[i].key);
        assert(!e->path[i].key || strlen(e->path[i].key) <= YAML_WALK_KEY_MAX);
        assert(!e->path[i].key || e->path[i].index < YAML_WALK_KEYS_MAX);
    }
    s->depth = e->depth + (e->kind != YAML_TEXT);
    s->in_list[e->depth] = e->kind == YAML_LIST;
    assert((e->kind == YAML_TEXT) == (e->text != NULL));
    assert(e->kind != YAML_TEXT || e->text[e->len] == '\0');
}

static void on_wrong(void *ctx, struct yaml_place at, const char *text)
{
    struct seen *s = ctx;
    s->wrong++;
    assert(at.line >= 1 && at.column >= 1 && *text);
    for (const char *p = text; *p; p++)
        assert((unsigned char)*p >= ' ' && *p != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen seen = {.depth = 1};
    const struct yaml_sink sink = {.entry = on_entry, .wrong = on_wrong, .ctx = &seen};
    int err = yaml_walk((const char *)data, size, &sink);
    assert(err == 0 || err == ERR_INVAL || err == ERR_NOMEM);
    assert(err != ERR_INVAL || seen.wrong > 0);
    return 0;
}
