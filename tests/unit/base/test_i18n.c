/* SPDX-License-Identifier: MIT */
/* Which variable decides, and which of its values means which language. */
#include "base/i18n.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/i18n_catalogue.h"
#include "base/mo.h"

#define ENGLISH "client %s passed PSK authentication"
#define CHINESE "客户端 %s 已通过 PSK 认证"

static void set(const char *name, const char *value)
{
    assert_int_equal(value ? setenv(name, value, 1) : unsetenv(name), 0);
}

/* The text under these values, NULL for unset. */
static const char *text_under(const char *lc_all, const char *lc_messages, const char *lang)
{
    set("LC_ALL", lc_all);
    set("LC_MESSAGES", lc_messages);
    set("LANG", lang);
    i18n_init();
    return i18n_text(ENGLISH);
}

static void names_of_chinese(void **state)
{
    (void)state;
    static const char *const rows[] = {"zh",    "zh_CN",       "zh_CN.UTF-8", "zh_CN.utf8",
                                       "zh_SG", "zh-Hans",     "zh@x",        "zh.UTF-8",
                                       "zh-CN", "zh_TW.UTF-8", "zh_HK",       "zh_CN.GB18030"};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(text_under(NULL, NULL, rows[i]), CHINESE);
}

static void all_others_are_english(void **state)
{
    (void)state;
    static const char *const rows[] = {NULL,          "",   "C",      "POSIX", "C.UTF-8",
                                       "en_US.UTF-8", "en", "de",     "zhx_",  "zha",
                                       "z",           "_",  "xzh_CN", "Zh"};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(text_under(NULL, NULL, rows[i]), ENGLISH);
}

static void the_first_that_is_set_decides(void **state)
{
    (void)state;
    assert_string_equal(text_under("zh_CN.UTF-8", "C", "C"), CHINESE);
    assert_string_equal(text_under("C", "zh_CN.UTF-8", "zh_CN.UTF-8"), ENGLISH);
    assert_string_equal(text_under(NULL, "zh_CN", "en_US.UTF-8"), CHINESE);
    assert_string_equal(text_under(NULL, "en_US", "zh_CN.UTF-8"), ENGLISH);
    assert_string_equal(text_under("", "", "zh_CN.UTF-8"), CHINESE); /* empty is unset */
    assert_string_equal(text_under("", "en", "zh_CN.UTF-8"), ENGLISH);
}

/* The program must not depend on what the C library knows of the locale. */
static void no_locale_needs_to_exist(void **state)
{
    (void)state;
    set("LOCPATH", "/nonexistent");
    assert_string_equal(text_under("zh_CN.UTF-8", NULL, NULL), CHINESE);
    set("LOCPATH", NULL);
}

static void a_text_without_translation_is_itself(void **state)
{
    (void)state;
    static const char odd[] = "no such text in any catalogue";
    (void)text_under("zh_CN.UTF-8", NULL, NULL);
    assert_ptr_equal(i18n_text(odd), odd);
    assert_string_equal(i18n_text(""), "");
    (void)text_under("C", NULL, NULL);
    assert_ptr_equal(i18n_text(odd), odd);
}

static const char *plural(unsigned long long n)
{
    return i18n_plural("stopping: %u connection", "stopping: %u connections", n);
}

static void a_count_has_its_plural_form(void **state)
{
    (void)state;
    static const unsigned long long many[] = {0, 2, 11, 21, 101, 0x100000001, UINT64_MAX};
    (void)text_under("C", NULL, NULL);
    assert_string_equal(plural(1), "stopping: %u connection");
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        assert_string_equal(plural(many[i]), "stopping: %u connections");
    (void)text_under("zh_CN.UTF-8", NULL, NULL);
    assert_string_equal(plural(1), "正在停止：还有 %u 个连接");
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        assert_string_equal(plural(many[i]), plural(1));
    assert_string_equal(i18n_plural("no such text", "no such texts", 2), "no such texts");
}

/* i18n.c has no evaluator: what it does is right for this rule alone. */
static void the_rule_is_that_of_the_catalogue(void **state)
{
    (void)state;
    struct mo mo;
    assert_int_equal(mo_open(&mo, i18n_zh_cn_mo, i18n_zh_cn_mo_size), 0);
    assert_non_null(strstr(mo_find(&mo, ""), "\nPlural-Forms: nplurals=1; plural=0;\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_chinese),
        cmocka_unit_test(all_others_are_english),
        cmocka_unit_test(the_first_that_is_set_decides),
        cmocka_unit_test(no_locale_needs_to_exist),
        cmocka_unit_test(a_text_without_translation_is_itself),
        cmocka_unit_test(a_count_has_its_plural_form),
        cmocka_unit_test(the_rule_is_that_of_the_catalogue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
