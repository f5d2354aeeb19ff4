/* SPDX-License-Identifier: MIT */
/* Who may decide about trust: every kind of entry, owner and mode, and what follows for whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/trust.h"

enum { ROOT = 0, ME = 1000, STRANGER = 2000, SUDOER = 3000, NEXT = 4000 };

static const struct trust_who user = {.self = ME, .become = ME};
static const struct trust_who root = {.self = ROOT, .become = ROOT};
static const struct trust_who by_sudo = {
    .self = ROOT, .become = ROOT, .sudo = SUDOER, .has_sudo = true};
static const struct trust_who becoming = {.self = ROOT, .become = NEXT};
static const struct trust_who becoming_sudo = {
    .self = ROOT, .become = SUDOER, .sudo = SUDOER, .has_sudo = true};
/* A variable that anybody could have set means nothing to a user. */
static const struct trust_who pretender = {
    .self = ME, .become = ME, .sudo = SUDOER, .has_sudo = true};

static void whose_files_are_trusted(void **state)
{
    (void)state;
    static const struct {
        const struct trust_who *who;
        uid_t owner;
        enum trust_fault fault;
    } rows[] = {
        {&user, ROOT, TRUST_FAULTLESS},      {&user, ME, TRUST_FAULTLESS},
        {&user, STRANGER, TRUST_FOREIGN},    {&root, ROOT, TRUST_FAULTLESS},
        {&root, ME, TRUST_FOREIGN},          {&root, SUDOER, TRUST_FOREIGN},
        {&by_sudo, ROOT, TRUST_FAULTLESS},   {&by_sudo, SUDOER, TRUST_BY_SUDO},
        {&by_sudo, STRANGER, TRUST_FOREIGN}, {&becoming, ROOT, TRUST_FAULTLESS},
        {&becoming, NEXT, TRUST_FAULTLESS},  {&becoming, STRANGER, TRUST_FOREIGN},
        {&pretender, SUDOER, TRUST_FOREIGN}, {&becoming_sudo, SUDOER, TRUST_BY_SUDO},
    };
    static const mode_t types[] = {S_IFDIR | 0700, S_IFREG | 0600, S_IFLNK | 0777, S_IFIFO | 0600,
                                   S_IFCHR | 0666};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t t = 0; t < ARRAY_LEN(types); t++) {
            for (int place = TRUST_WAY; place <= TRUST_SECRET; place++) {
                struct trust_facts f = {.uid = rows[i].owner, .mode = types[t]};
                if (trust_judge(rows[i].who, place, &f) != rows[i].fault)
                    fail_msg("row %zu, type %zu, place %d", i, t, place);
            }
        }
    }
}

static void folders_that_others_can_write(void **state)
{
    (void)state;
    static const struct {
        mode_t mode;
        bool private_group;
        bool fine;
    } rows[] = {
        {0700, false, true},  {0755, false, true},  {0775, false, false}, {0775, true, true},
        {0757, false, false}, {0757, true, false},  {0777, true, false},  {0770, false, false},
        {01777, false, true}, {01775, false, true}, {03777, false, true}, {02775, false, false},
        {02775, true, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct trust_facts f = {
            .uid = ROOT, .mode = S_IFDIR | rows[i].mode, .private_group = rows[i].private_group};
        assert_int_equal(trust_judge(&user, TRUST_WAY, &f),
                         rows[i].fine ? TRUST_FAULTLESS : TRUST_MOVABLE);
        assert_int_equal(trust_judge(&user, TRUST_FOLDER, &f),
                         rows[i].fine ? TRUST_FAULTLESS : TRUST_WRITABLE);
        f.uid = STRANGER; /* sticky or not */
        assert_int_equal(trust_judge(&user, TRUST_WAY, &f), TRUST_FOREIGN);
    }
}

static void files_that_others_can_write(void **state)
{
    (void)state;
    for (mode_t bits = 0; bits <= 0777; bits++) {
        for (int private_group = 0; private_group <= 1; private_group++) {
            struct trust_facts f = {
                .uid = ME, .mode = S_IFREG | bits, .private_group = private_group};
            bool fine = !(bits & 02) && (!(bits & 020) || private_group);
            assert_int_equal(trust_judge(&user, TRUST_FILE, &f),
                             fine ? TRUST_FAULTLESS : TRUST_WRITABLE);
        }
    }
    struct trust_facts sticky = {.uid = ME, .mode = S_IFREG | 01666};
    assert_int_equal(trust_judge(&user, TRUST_FILE, &sticky), TRUST_WRITABLE);
}

static void secrets_that_others_can_read(void **state)
{
    (void)state;
    for (mode_t bits = 0; bits <= 0777; bits++) {
        for (int read_only = 0; read_only <= 1; read_only++) {
            struct trust_facts f = {
                .uid = ROOT, .mode = S_IFREG | bits, .private_group = true, .read_only = read_only};
            bool fine = !(bits & 027), shown = read_only && !(bits & 022);
            assert_int_equal(trust_judge(&user, TRUST_SECRET, &f), fine    ? TRUST_FAULTLESS
                                                                   : shown ? TRUST_SHOWN
                                                                           : TRUST_OPEN);
            f.uid = ME; /* a container's secret is root's */
            assert_int_equal(trust_judge(&user, TRUST_SECRET, &f),
                             fine ? TRUST_FAULTLESS : TRUST_OPEN);
        }
    }
    static const struct trust_facts pipe = {.uid = ME, .mode = S_IFIFO | 0666};
    assert_int_equal(trust_judge(&user, TRUST_SECRET, &pipe), TRUST_FAULTLESS);
}

static void the_worst_is_named(void **state)
{
    (void)state;
    static const struct trust_facts rows[] = {
        {.uid = SUDOER, .mode = S_IFREG | 0666},
        {.uid = SUDOER, .mode = S_IFREG | 0644},
        {.uid = STRANGER, .mode = S_IFREG | 0666},
    };
    assert_int_equal(trust_judge(&by_sudo, TRUST_FILE, &rows[0]), TRUST_WRITABLE);
    assert_int_equal(trust_judge(&by_sudo, TRUST_FILE, &rows[1]), TRUST_BY_SUDO);
    assert_int_equal(trust_judge(&by_sudo, TRUST_FILE, &rows[2]), TRUST_FOREIGN);
}

static void what_follows(void **state)
{
    (void)state;
    static const struct {
        enum trust_fault fault;
        enum trust_verdict root, user, lenient; /* lenient: the user, by the original's flags */
    } rows[] = {
        {TRUST_FAULTLESS, TRUST_GOOD, TRUST_GOOD, TRUST_GOOD},
        {TRUST_BY_SUDO, TRUST_DOUBTFUL, TRUST_DOUBTFUL, TRUST_DOUBTFUL},
        {TRUST_SHOWN, TRUST_DOUBTFUL, TRUST_DOUBTFUL, TRUST_DOUBTFUL},
        {TRUST_MOVABLE, TRUST_DOUBTFUL, TRUST_DOUBTFUL, TRUST_DOUBTFUL},
        {TRUST_FOREIGN, TRUST_REFUSED, TRUST_REFUSED, TRUST_DOUBTFUL},
        {TRUST_WRITABLE, TRUST_REFUSED, TRUST_REFUSED, TRUST_DOUBTFUL},
        {TRUST_OPEN, TRUST_REFUSED, TRUST_REFUSED, TRUST_REFUSED},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(trust_verdict(&root, rows[i].fault, false), rows[i].root);
        assert_int_equal(trust_verdict(&root, rows[i].fault, true), rows[i].root);
        assert_int_equal(trust_verdict(&user, rows[i].fault, false), rows[i].user);
        assert_int_equal(trust_verdict(&user, rows[i].fault, true), rows[i].lenient);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whose_files_are_trusted),
        cmocka_unit_test(folders_that_others_can_write),
        cmocka_unit_test(files_that_others_can_write),
        cmocka_unit_test(secrets_that_others_can_read),
        cmocka_unit_test(the_worst_is_named),
        cmocka_unit_test(what_follows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
