/* SPDX-License-Identifier: MIT */
/*
 * Command lines in the grammar of Go's flag package, as the original takes them: -x v, --x v, -x=v,
 * --x=v; parsing stops at the first argument that is not a flag, at "-" and after "--"; the last
 * occurrence wins; the first error or -h from the left decides.
 */
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "conf/options.h"

enum flags_outcome {
    FLAGS_OK,
    FLAGS_HELP, /* -h or -help was met */
    FLAGS_BAD,  /* see the text */
};

/* What is wrong with a command line, or doubtful about it. */
struct flags_error {
    char text[1024]; /* why it is not taken; a long value in it is cut. In English Go's words, and
                        behind them what to write instead */
    const char *repeated; /* a flag that was given more than once; NULL: none */
};

/* Fills all fields of m's options struct at opt with their defaults. */
void flags_defaults(const struct mode *m, void *opt);

/*
 * Reads argv[0 .. argc) (without program and mode) into the options struct at opt, which has its
 * defaults. *ret_rest is the index of the first argument that was not looked at. Strings of opt
 * point into argv or into the table (until snapshot_seal() copies them); the bytes of a secret are
 * moved out of argv and overwritten there; common_options.given says which rows were there.
 * why->text is set for FLAGS_BAD only, why->repeated always.
 */
enum flags_outcome flags_parse(const struct mode *m, int argc, char **argv, void *opt,
                               int *ret_rest, struct flags_error *why) MUST_USE;

/* The list of options as Go prints it for -h, below its headline. Like snprintf: the length it has;
   at most room bytes are written, NUL included. */
size_t flags_usage(const struct mode *m, char *out, size_t room);
