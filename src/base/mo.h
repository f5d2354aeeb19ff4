/* SPDX-License-Identifier: MIT */
/*
 * Reader of a compiled message catalogue: the .mo file of gettext, little-endian, in memory. Any
 * bytes are safe input: what does not fit is refused or not found.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct mo {
    /* private */
    const uint8_t *data; /* borrowed */
    size_t size;
    uint32_t count;
    uint32_t originals; /* offsets of the two tables in data */
    uint32_t translations;
};

/* Opens the catalogue in data, which must outlive mo. ERR_INVAL if it is none (mo is empty then:
   nothing is found in it). */
MUST_USE int mo_open(struct mo *mo, const void *data, size_t size);

/* The translation of msgid, inside data; NULL if there is none (or an empty one). A text with plural
   forms is found by its singular, and is the first form of its translation: base/i18n.c. */
const char *mo_find(const struct mo *mo, const char *msgid);
