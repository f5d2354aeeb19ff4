/* SPDX-License-Identifier: MIT */
/* What is nothing already is not written: in memory that may only be read. */
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

static void what_is_nothing_is_not_written(void **state)
{
    enum { SIZE = 1 << 16 };
    void *p = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)state;
    assert_ptr_not_equal(p, MAP_FAILED);
    memory_zero(p, SIZE);
    assert_int_equal(munmap(p, SIZE), 0);
}

/* Every byte of it, and none beside it, whatever the length and the place. */
static void all_of_it_is_nothing_then(void **state)
{
    uint8_t bytes[300];
    (void)state;
    for (size_t from = 0; from < 9; from++) {
        for (size_t n = 0; n < 280; n++) {
            memset(bytes, 0xa5, sizeof bytes);
            memory_zero(bytes + from, n);
            for (size_t i = 0; i < sizeof bytes; i++)
                assert_int_equal(bytes[i], i >= from && i < from + n ? 0 : 0xa5);
        }
    }
}

static void the_last_byte_counts(void **state)
{
    uint8_t bytes[130] = {0};
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = 1;
        memory_zero(bytes, sizeof bytes);
        assert_int_equal(bytes[i], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_nothing_is_not_written),
        cmocka_unit_test(all_of_it_is_nothing_then),
        cmocka_unit_test(the_last_byte_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
