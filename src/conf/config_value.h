/* SPDX-License-Identifier: MIT */
/*
 * Values of a file for rows of a table of options: a text, as the flag takes it; for ports and networks also
 * a list of such texts. What is wrong is said with the flag's own words, at the place where it stands.
 */
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "conf/config_errors.h"
#include "conf/options.h"
#include "conf/yaml_walk.h"

/* Does the row take a list? */
bool config_value_is_list(const struct option *o);

/* Is e one text for key? False: it is not, and that has been said. */
bool config_value_is_text(struct config_errors *errors, const char *key,
                          const struct yaml_entry *e);

/*
 * Sets o's field in the options struct at opt; with is_more adds to it, of a row that takes a list.
 * text, which a string then points into, is that of e as the flag would have it. False: the value is
 * wrong, and it has been said.
 */
bool config_value_set(struct config_errors *errors, const struct option *o, const char *key,
                      const struct yaml_entry *e, const char *text, bool is_more,
                      void *opt) MUST_USE;

/* A value that is a list, as far as it was read. {0}: none is open. */
struct config_list {
    const struct option *option; /* NULL: none is open */
    /* private */
    struct yaml_place at;
    bool is_empty;  /* nothing has come yet */
    bool has_items; /* good ones: the field has their values */
};

/* e is the list that is the value of the row o, which takes one. */
void config_list_begin(struct config_list *l, const struct option *o, const struct yaml_entry *e);

/* e is an entry of the open list: the first good one replaces what the field of its row in the
   options struct at opt has, the others are added. What is wrong is said. */
void config_list_take(struct config_list *l, struct config_errors *errors,
                      const struct yaml_entry *e, void *opt);

/* What comes is not of the open list, if there is one. One without an entry is wrong: it would mean
   everything, or nothing. */
void config_list_end(struct config_list *l, struct config_errors *errors);
