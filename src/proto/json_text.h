/* SPDX-License-Identifier: MIT */
/* Text of people as the inside of a JSON string. */
#pragma once

#include <stddef.h>

/* Writes text, NUL-terminated, with what JSON wants escaped; what is no UTF-8 becomes U+FFFD; what
   does not fit into room (at least 1) is cut before a character. The length without the NUL. */
size_t json_text_put(char *out, size_t room, const char *text);
