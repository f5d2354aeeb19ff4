/* SPDX-License-Identifier: MIT */
/*
 * Translations. Messages are written in English in the source, marked with _(), collected by
 * gettext's tools into po/, and compiled (msgfmt) into catalogues that are embedded in the binary:
 * a copied single file speaks Chinese also where no zh_CN locale was ever generated.
 */
#pragma once

#include <stdbool.h>

/* Chooses the language from LC_ALL, LC_MESSAGES, LANG (first non-empty wins); English otherwise. */
void i18n_init(void);

/* The text in the chosen language, or msgid itself. Static storage. */
const char *i18n_text(const char *msgid) __attribute__((format_arg(1)));

/* A text with a count in it: of n things, `one` if n is 1, else `many`, or their translation. Both
   print the same values in the same order; a text has one such noun, others stand as "connections: %u"
   or with the sign of a unit, as "%d s" (tools/check-po). Static storage. */
const char *i18n_plural(const char *one, const char *many, unsigned long long n)
    __attribute__((format_arg(1), format_arg(2)));

/* Is it another language than English? */
bool i18n_is_foreign(void);

#define _(msgid)  i18n_text(msgid)
#define N_(msgid) (msgid) /* marks a text for the catalogue; translated where it is used */

#define P_(one, many, n) i18n_plural(one, many, n)
