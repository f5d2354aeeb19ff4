/* SPDX-License-Identifier: MIT */
/* How wide text is on a terminal, whose cells are of one width: Chinese characters take two. */
#pragma once

#include <stddef.h>

/* Cells of a text in UTF-8. Bytes that are not UTF-8 count one each. Control characters count nothing: there are none in
   text that is shown. */
size_t columns_of(const char *text);

/* How many bytes of it fit into so many cells; never inside a character. */
size_t columns_cut(const char *text, size_t cells);
