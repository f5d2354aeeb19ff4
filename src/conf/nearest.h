/* SPDX-License-Identifier: MIT */
/*
 * Which of the known names somebody may have meant by a word that is none of them: the one with the
 * fewest edits between the two. An edit is a byte more, a byte less, another byte, or two neighbours
 * that changed places.
 */
#pragma once

#include <stddef.h>

/* More edits than this are another word, not a slip. */
#define NEAREST_EDITS 2

/* Longer words and names are near to nothing. Bytes. */
#define NEAREST_WORD_MAX 64

struct nearest {
    /* private */
    const char *word; /* borrowed */
    size_t len;
    const char *name; /* the best until now; borrowed */
    size_t edits;
};

/* Begins the search for the len bytes at word, which must stay while it is used. */
void nearest_init(struct nearest *n, const char *word, size_t len);

/* Looks at one known name, which must stay as long. */
void nearest_try(struct nearest *n, const char *name);

/* The name with the fewest edits, the first of equals. NULL: none is within NEAREST_EDITS, or as
   much of it would be edited as is left: of "ca" nobody can say that it was meant to be "id". */
const char *nearest_name(const struct nearest *n);
