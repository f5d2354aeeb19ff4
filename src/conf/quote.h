/* SPDX-License-Identifier: MIT */
/* Text in double quotes as Go's %q prints it: one line, no control characters. */
#pragma once

#include <stddef.h>

/*
 * Writes text, quoted, into at most room bytes of out (NUL included) and returns the length it has
 * without the NUL, like snprintf: a result >= room means that it was cut. Letters of any script
 * stay; control, format and private characters, blanks other than U+0020, and bytes that are not
 * UTF-8 become escapes. (Go also escapes what is unassigned in its own version of Unicode; here
 * those characters stay.)
 */
size_t quote(char *out, size_t room, const char *text);
