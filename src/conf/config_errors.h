/* SPDX-License-Identifier: MIT */
/*
 * What is wrong with a file: sentences with their places, in the order of the file, up to
 * CONFIG_ERRORS_MAX of them. If there are more, those that come first in the file stay.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "conf/yaml_walk.h"

enum {
    CONFIG_ERRORS_MAX = 20,
    CONFIG_ERROR_TEXT = 512,
};

struct config_error {
    struct yaml_place at;
    char text[CONFIG_ERROR_TEXT]; /* cut if it is longer */
};

/* {0} is nothing wrong. */
struct config_errors {
    /* private */
    struct config_error list[CONFIG_ERRORS_MAX];
    size_t count;
    bool has_more;
};

/* Adds a sentence in the user's language. */
void config_errors_add(struct config_errors *e, struct yaml_place at, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
void config_errors_vadd(struct config_errors *e, struct yaml_place at, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

/* What yaml_walk() says. The last of it, which ends the reading, is behind all that was found before
   and must not be left out: it takes the place of one that was. */
void config_errors_walk(struct config_errors *e, struct yaml_place at, const char *text);

/* Number i, or NULL behind the last. *ret_more: not all have found a place. */
const struct config_error *config_errors_get(const struct config_errors *e, size_t i,
                                             bool *ret_more);
