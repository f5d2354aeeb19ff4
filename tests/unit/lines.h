/* SPDX-License-Identifier: MIT */
/*
 * The log as a test sees it: lines of level info and heavier are kept in place of stderr. For programs
 * that are linked with --wrap=log_line and without link-time optimization.
 */
#pragma once

/* The lines since the test has emptied it (*lines_seen = '\0'), a LF behind each. */
extern char lines_seen[128 << 10];

/* How many of them contain text; "": all. */
unsigned lines_count(const char *text);
