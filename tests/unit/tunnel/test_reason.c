/* SPDX-License-Identifier: MIT */
/* How a session is, in words. */
#include "tunnel/reason.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void how_a_session_is(void **state)
{
    static const struct {
        enum life_state state;
        enum life_service service;
        const char *text;
    } rows[] = {
        {LIFE_UP, LIFE_SERVING, "up"},
        {LIFE_SUSPECTED, LIFE_SERVING, "does not answer"},
        {LIFE_DETACHED, LIFE_SERVING, "away"},
        {LIFE_OVER, LIFE_SERVING, "away"},
        {LIFE_UP, LIFE_DRAINING, "lets its connections finish"},
        {LIFE_DETACHED, LIFE_DRAINING, "lets its connections finish"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(status_text(rows[i].state, rows[i].service, "away"), rows[i].text);
}

/* One without a word would be NULL in a census, whose text never is. */
static void each_reason_has_its_text_and_its_word(void **state)
{
    (void)state;
    for (int r = 0; r < END_REASONS; r++) {
        const char *word = end_reason_word((enum end_reason)r);
        assert_non_null(end_reason_text((enum end_reason)r));
        assert_non_null(word);
        assert_true(*word);
        for (int other = 0; other < r; other++)
            assert_string_not_equal(word, end_reason_word((enum end_reason)other));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(how_a_session_is),
                                       cmocka_unit_test(each_reason_has_its_text_and_its_word)};
    return cmocka_run_group_tests_name("tunnel/reason", tests, NULL, NULL);
}
