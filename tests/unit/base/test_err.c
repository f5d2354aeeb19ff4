/* SPDX-License-Identifier: MIT */
/* Error codes: every one has its own words; the mapping from errno; cutting of long messages. */
#include "base/err.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/i18n.h"

static void every_code_has_words_of_its_own(void **state)
{
    (void)state;
    for (int a = ERR_AGAIN; a >= ERR_CERT_TIME; a--) {
        assert_string_not_equal(err_name(a), "unknown error");
        for (int b = ERR_AGAIN; b > a; b--)
            assert_string_not_equal(err_name(a), err_name(b));
    }
}

static void other_numbers_are_unknown(void **state)
{
    (void)state;
    static const int odd[] = {0, 1, ERR_CERT_TIME - 1, INT_MIN, INT_MIN + 1, INT_MAX};
    for (size_t i = 0; i < ARRAY_LEN(odd); i++)
        assert_string_equal(err_name(odd[i]), "unknown error");
}

static void errmsg_is_filled_and_cut(void **state)
{
    (void)state;
    struct errmsg msg;
    assert_int_equal(errmsg_set(&msg, ERR_INUSE, "cannot bind '%s': %d", "x", 7), ERR_INUSE);
    assert_string_equal(msg.text, "cannot bind 'x': 7");
    char longer[2 * sizeof msg.text];
    memset(longer, 'y', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(errmsg_set(&msg, ERR_IO, "%s", longer), ERR_IO);
    assert_int_equal(strlen(msg.text), sizeof msg.text - 1);
    assert_int_equal(errmsg_set(NULL, ERR_PERM, "%s", longer), ERR_PERM);
}

static void errno_values(void **state)
{
    (void)state;
    static const struct {
        int errnum, want;
    } rows[] = {
        {EAGAIN, ERR_AGAIN},
        {EINTR, ERR_AGAIN},
        {ENOMEM, ERR_NOMEM},
        {ENOBUFS, ERR_NOMEM},
        {ECONNREFUSED, ERR_REFUSED},
        {ECONNRESET, ERR_RESET},
        {EPIPE, ERR_RESET},
        {ETIMEDOUT, ERR_TIMEOUT},
        {EADDRINUSE, ERR_INUSE},
        {EACCES, ERR_PERM},
        {EPERM, ERR_PERM},
        {ENOENT, ERR_NOTFOUND},
        {EMFILE, ERR_LIMIT},
        {ENFILE, ERR_LIMIT},
        {EIO, ERR_IO},
        {0, ERR_IO},
        {-1, ERR_IO},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(err_from_errno(rows[i].errnum), rows[i].want);
}

/* In English they are the system's own, to the letter; in Chinese these follow in brackets. */
static void errno_in_words(void **state)
{
    (void)state;
    static const int named[] = {EACCES,       EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, ECONNABORTED,
                                ECONNREFUSED, ECONNRESET, EEXIST,        EHOSTUNREACH, EIO,
                                EISDIR,       ELOOP,      EMFILE,        ENAMETOOLONG, ENETDOWN,
                                ENETUNREACH,  ENFILE,     ENOENT,        ENOMEM,       ENOSPC,
                                ENOTDIR,      EPERM,      EPIPE,         EROFS,        ETIMEDOUT};
    char raw[128], bracketed[160];
    for (size_t i = 0; i < ARRAY_LEN(named); i++) {
        assert_int_equal(setenv("LC_ALL", "C", 1), 0);
        i18n_init();
        (void)snprintf(raw, sizeof raw, "%s", strerror(named[i]));
        assert_string_equal(errno_text(named[i]), raw);
        assert_int_equal(setenv("LC_ALL", "zh_CN.UTF-8", 1), 0);
        i18n_init();
        (void)snprintf(bracketed, sizeof bracketed, "（%s）", raw);
        const char *zh = errno_text(named[i]);
        assert_true(strlen(zh) > strlen(bracketed));
        assert_string_equal(zh + strlen(zh) - strlen(bracketed), bracketed);
    }
    (void)snprintf(bracketed, sizeof bracketed, "系统错误（%s）", strerror(EDOM)); /* rare */
    assert_string_equal(errno_text(EDOM), bracketed);
    assert_int_equal(unsetenv("LC_ALL"), 0);
    i18n_init();
    assert_string_equal(errno_text(EDOM), strerror(EDOM));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_words_of_its_own),
        cmocka_unit_test(other_numbers_are_unknown),
        cmocka_unit_test(errmsg_is_filled_and_cut),
        cmocka_unit_test(errno_values),
        cmocka_unit_test(errno_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
