/* SPDX-License-Identifier: MIT */
/*
 * The choice of the language, and the catalogues that are part of the program (po/ compiles them).
 * The C library's locale is not touched: it would need the locale to be installed, and numbers are
 * written and read the same way everywhere.
 *
 * Which plural form a number has is a rule of each language: Plural-Forms in the header of its
 * catalogue, a C expression. We have two languages and no evaluator: the rules are here, and
 * tools/check-po and tests/unit/base/test_i18n.c hold the header to them.
 */
#include "base/i18n.h"

#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/i18n_catalogue.h"
#include "base/mo.h"

static const struct {
    const char *language;
    const unsigned char *data;
    const size_t *size;
} catalogues[] = {
    /* Traditional Chinese readers (zh_TW, zh_HK) read this more easily than English, too. */
    {"zh", i18n_zh_cn_mo, &i18n_zh_cn_mo_size},
};

static struct mo chosen; /* empty: English */

/* The value of the variable that decides. NULL if none is set. */
static const char *locale_name(void)
{
    static const char *const variables[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
        const char *value = getenv(variables[i]);
        if (value && *value)
            return value;
    }
    return NULL;
}

void i18n_init(void)
{
    const char *name = locale_name();
    size_t len = name ? strcspn(name, "_-.@") : 0; /* zh_CN.UTF-8, zh-Hans, zh@pinyin, zh */
    memset(&chosen, 0, sizeof chosen);
    for (size_t i = 0; i < ARRAY_LEN(catalogues); i++) {
        const char *language = catalogues[i].language;
        if (strlen(language) != len || strncmp(name, language, len) != 0)
            continue;
        if (mo_open(&chosen, catalogues[i].data, *catalogues[i].size) < 0)
            return; /* a broken build, which the tests would show: English */
    }
}

const char *i18n_text(const char *msgid)
{
    if (!*msgid)
        return msgid; /* the catalogue has its own header there */
    const char *text = mo_find(&chosen, msgid);
    return text ? text : msgid;
}

bool i18n_is_foreign(void)
{
    return mo_find(&chosen, "") != NULL; /* its header */
}

const char *i18n_plural(const char *one, const char *many, unsigned long long n)
{
    const char *text = mo_find(&chosen, one); /* Chinese: nplurals=1; plural=0 */
    if (text)
        return text;
    return n == 1 ? one : many; /* English: nplurals=2; plural=n != 1 */
}
