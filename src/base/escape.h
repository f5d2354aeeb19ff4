/* SPDX-License-Identifier: MIT */
/* Makes text that came from a peer safe to print: one line, no terminal escapes, bounded. */
#pragma once

#include <stddef.h>

/* Enough for ESCAPE_MAX bytes of escaped text, the mark of a cut, and NUL. */
enum { ESCAPE_MAX = 256, ESCAPE_BUF = ESCAPE_MAX + 4 };

/*
 * Writes n bytes of text into out as printable UTF-8 and returns out. Bytes below 0x20, 0x7f, C1
 * controls, bidirectional and other format controls, '"', '\' and invalid UTF-8 become \xNN (or \n
 * \r \t \" \\). Cut at ESCAPE_MAX output bytes, never inside a character or an escape, with "..."
 * behind.
 */
const char *escape_text(char out[ESCAPE_BUF], const void *text, size_t n);
