/* SPDX-License-Identifier: MIT */
/* The catalogue reader: finding, not finding, and every damage of a small catalogue. */
#include "base/mo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/endian.h"
#include "base/err.h"

static const char *const texts[][2] = {
    {"", "header"}, {"a", "A"}, {"ab", "AB"}, {"b", ""}, {"zz", "ZZ"}, {"\xe4", "high"},
};

enum { COUNT = ARRAY_LEN(texts), HEADER = 28, IMAGE_MAX = 512 };

/* Builds the catalogue of texts; its size. */
static size_t build(uint8_t image[IMAGE_MAX])
{
    size_t at = HEADER + 16 * COUNT;
    memset(image, 0, IMAGE_MAX);
    put_le32(image, 0x950412deu);
    put_le32(image + 8, COUNT);
    put_le32(image + 12, HEADER);
    put_le32(image + 16, HEADER + 8 * COUNT);
    for (size_t side = 0; side < 2; side++) {
        for (size_t i = 0; i < COUNT; i++) {
            uint8_t *row = image + HEADER + 8 * COUNT * side + 8 * i;
            size_t n = strlen(texts[i][side]);
            put_le32(row, (uint32_t)n);
            put_le32(row + 4, (uint32_t)at);
            memcpy(image + at, texts[i][side], n + 1);
            at += n + 1;
        }
    }
    return at;
}

static void finds_every_text(void **state)
{
    (void)state;
    uint8_t image[IMAGE_MAX];
    struct mo mo;
    assert_int_equal(mo_open(&mo, image, build(image)), 0);
    for (size_t i = 0; i < COUNT; i++) {
        const char *found = mo_find(&mo, texts[i][0]);
        if (*texts[i][1])
            assert_string_equal(found, texts[i][1]);
        else
            assert_null(found); /* not translated */
    }
    static const char *const missing[] = {"A", "aa", "abc", "c", "zzz", "\xff"};
    for (size_t i = 0; i < ARRAY_LEN(missing); i++)
        assert_null(mo_find(&mo, missing[i]));
}

/* "one NUL many", and its forms. */
static void a_text_with_plural_forms_is_found_by_its_singular(void **state)
{
    (void)state;
    uint8_t image[IMAGE_MAX];
    struct mo mo;
    size_t n = build(image);
    uint8_t *original = image + HEADER + 8 * 4, *translation = original + 8 * COUNT; /* "zz" */
    memcpy(image + n, "zz\0zzz\0Z one\0Z many", 20);
    put_le32(original, 6);
    put_le32(original + 4, (uint32_t)n);
    put_le32(translation, 12);
    put_le32(translation + 4, (uint32_t)n + 7);
    assert_int_equal(mo_open(&mo, image, n + 20), 0);
    assert_string_equal(mo_find(&mo, "zz"), "Z one");
    assert_null(mo_find(&mo, "zzz"));
    assert_string_equal(mo_find(&mo, "ab"), "AB"); /* its neighbours as before */
    assert_string_equal(mo_find(&mo, "\xe4"), "high");
}

static void other_bytes_are_refused(void **state)
{
    (void)state;
    uint8_t image[IMAGE_MAX];
    struct mo mo;
    size_t n = build(image);
    for (size_t cut = 0; cut < HEADER; cut++)
        assert_int_equal(mo_open(&mo, image, cut), ERR_INVAL);
    static const struct {
        size_t at;
        uint32_t value;
    } rows[] = {
        {0, 0xde120495u},  {4, 0x10000},      {8, 0xffffffffu}, {8, COUNT * 100},
        {12, 0xffffffffu}, {12, 0xfffffff0u}, {16, IMAGE_MAX},  {16, 0xffffffffu},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        build(image);
        put_le32(image + rows[i].at, rows[i].value);
        assert_int_equal(mo_open(&mo, image, n), ERR_INVAL);
        assert_null(mo_find(&mo, "a"));
    }
}

static void a_table_must_lie_inside_whole(void **state)
{
    (void)state;
    uint8_t image[IMAGE_MAX];
    struct mo mo;
    uint32_t n = (uint32_t)build(image);
    for (size_t field = 12; field <= 16; field += 4) {
        for (uint32_t missing = 0; missing <= 8; missing++) {
            build(image);
            put_le32(image + field, n - 8 * COUNT + missing);
            assert_int_equal(mo_open(&mo, image, n), missing > 0 ? ERR_INVAL : 0);
        }
    }
}

/* Looks everything up in a copy of exactly n bytes: what is found must lie inside, with its NUL. */
static void look_around(const uint8_t *image, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    struct mo mo;
    memcpy(copy, image, n);
    if (mo_open(&mo, copy, n) == 0) {
        for (size_t i = 0; i < COUNT; i++) {
            const char *found = mo_find(&mo, texts[i][0]);
            if (!found)
                continue;
            assert_in_range((uintptr_t)found, (uintptr_t)copy, (uintptr_t)copy + n - 1);
            assert_non_null(memchr(found, '\0', n - (size_t)(found - (const char *)copy)));
        }
    }
    free(copy);
}

static void every_truncation_and_every_bent_word_is_safe(void **state)
{
    (void)state;
    static const uint32_t values[] = {0, 1, 0x7f, IMAGE_MAX, 0x7fffffff, 0xfffffffeu, 0xffffffffu};
    uint8_t image[IMAGE_MAX];
    size_t n = build(image);
    for (size_t cut = 0; cut <= n; cut++)
        look_around(image, cut);
    for (size_t at = 0; at + 4 <= n; at++) {
        for (size_t i = 0; i < ARRAY_LEN(values); i++) {
            build(image);
            put_le32(image + at, values[i]);
            look_around(image, n);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_every_text),
        cmocka_unit_test(a_text_with_plural_forms_is_found_by_its_singular),
        cmocka_unit_test(other_bytes_are_refused),
        cmocka_unit_test(a_table_must_lie_inside_whole),
        cmocka_unit_test(every_truncation_and_every_bent_word_is_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
