/* SPDX-License-Identifier: MIT */
/*
 * A file of keys and values (YAML; JSON is read as well) as a row of entries: where each stands in the
 * tree, and its text. What a text means is its key's to say: "no", 022 and 1e3 have no second meaning.
 *
 * Not allowed are anchors, aliases, tags, merge keys (<<), a key twice in one map, more than one
 * document, and what is beyond the bounds below. The reader is libyaml's, event by event.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

enum {
    YAML_WALK_BYTES_MAX = 1 << 20,
    /* Of maps and lists in each other. What libyaml needs grows with the square of it. */
    YAML_WALK_DEPTH_MAX = 6,
    YAML_WALK_KEY_MAX = 64,  /* bytes of a key */
    YAML_WALK_KEYS_MAX = 64, /* of one map: each is compared with those before it */
};

/* From 1. A column is a character. */
struct yaml_place {
    unsigned line, column;
};

enum yaml_kind { YAML_TEXT, YAML_MAP, YAML_LIST };

/* One step of the way from the root. */
struct yaml_step {
    const char *key; /* in a map; NULL: in a list */
    size_t index;    /* how many are before it, in the map or list */
    struct yaml_place at;
};

struct yaml_entry {
    const struct yaml_step *path; /* the last step is the entry's own */
    size_t depth;                 /* of path: 1 to YAML_WALK_DEPTH_MAX */
    enum yaml_kind kind;          /* what is in a map or a list comes after it */
    const char *text; /* of YAML_TEXT: UTF-8, NUL-terminated; may have zero bytes in it */
    size_t len;
    bool is_missing; /* a text: nothing at all stands there */
    struct yaml_place at;
};

/* Who is told. All that is handed over is valid during the call only. */
struct yaml_sink {
    void (*entry)(void *ctx, const struct yaml_entry *e);
    /* Something that is wrong, as a sentence in the user's language. The entry that has it, with all
       that is in it, is left out. */
    void (*wrong)(void *ctx, struct yaml_place at, const char *text);
    void *ctx;
};

/*
 * Reads the whole file, n bytes, as far as it can be read. 0: to the end, whether something was wrong or
 * not; ERR_INVAL: no further, and the last call of wrong() says why; ERR_NOMEM.
 */
int yaml_walk(const char *bytes, size_t n, const struct yaml_sink *to) MUST_USE;
