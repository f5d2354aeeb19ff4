/* SPDX-License-Identifier: MIT */
/* "Did you mean": the known word that a mistyped one is nearest to. */
#pragma once

#include <stddef.h>

enum { NEAREST_MAX = 64 }; /* bytes of a word; a longer one is near to none */

struct nearest {
    const char *word; /* the nearest so far; NULL: none is near */
    unsigned distance;
};

/* Looks at one known word more. Near is what one or two slips away (a byte too many, missing, or another
   one, or two that changed places) are; of words of up to three bytes, one slip. Of several that are
   equally near the first stays. */
void nearest_try(struct nearest *n, const char *typed, const char *known);
