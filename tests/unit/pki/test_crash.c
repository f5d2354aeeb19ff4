/* SPDX-License-Identifier: MIT */
/*
 * All or nothing: a child opens the certificates and dies, or finds the disk full, at its n-th
 * change to the file system, for every n. Whatever it leaves, the next start must come out with a
 * complete set, and what was visible once must stay as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "pki/internal.h"
#include "pki/pki.h"
#include "place.h"

enum {
    MANY = 60, /* more changes than any start makes */
    EXIT_REFUSED = 10,
    EXIT_KILLED = 11,
};

/* ---- faults ---- */

enum fault_kind {
    NO_FAULT,
    DIE,        /* before the change */
    DIE_WITHIN, /* a write has done half of its work */
    FAIL_ONCE,
    FAIL_GROWTH, /* from there on all that needs room fails; removing and renaming does not */
    FAIL_ALL,    /* from there on nothing can be changed */
};

struct fault {
    enum fault_kind kind;
    int at; /* the first change is 1 */
    int errnum;
};

static struct fault fault;
static int changes; /* made or attempted since the fault was set */

static bool hits(bool grows)
{
    bool here = ++changes == fault.at, from_here = changes >= fault.at;
    switch (fault.kind) {
    case NO_FAULT:
        return false;
    case DIE:
        if (here)
            _exit(EXIT_KILLED);
        return false;
    case DIE_WITHIN:
    case FAIL_ONCE:
        errno = fault.errnum;
        return here;
    case FAIL_GROWTH:
        errno = fault.errnum;
        return from_here && grows;
    case FAIL_ALL:
        errno = fault.errnum;
        return from_here;
    }
    return false;
}

ssize_t __real_write(int fd, const void *data, size_t n);
ssize_t __wrap_write(int fd, const void *data, size_t n);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_mkdirat(int fd, const char *name, mode_t mode);
int __wrap_mkdirat(int fd, const char *name, mode_t mode);
int __real_unlinkat(int fd, const char *name, int flags);
int __wrap_unlinkat(int fd, const char *name, int flags);
int __real_renameat(int from, const char *a, int to, const char *b);
int __wrap_renameat(int from, const char *a, int to, const char *b);
int __real_file_rename_new(int from, const char *a, int to, const char *b);
int __wrap_file_rename_new(int from, const char *a, int to, const char *b);
int __real_openat64(int fd, const char *name, int flags, ...);
int __wrap_openat64(int fd, const char *name, int flags, ...);
int __real_flock(int fd, int how);
int __wrap_flock(int fd, int how);

static bool no_flags_in_rename, no_locks; /* a file system that lacks them */
static int broken_sync; /* the fsync, counted from 1, with which the disk breaks */

ssize_t __wrap_write(int fd, const void *data, size_t n)
{
    if (!hits(true))
        return __real_write(fd, data, n);
    if (fault.kind != DIE_WITHIN)
        return -1;
    (void)!__real_write(fd, data, n / 2);
    _exit(EXIT_KILLED);
}

int __wrap_fsync(int fd)
{
    if (broken_sync && --broken_sync == 0) {
        errno = EIO;
        return -1;
    }
    return hits(true) ? -1 : __real_fsync(fd);
}

int __wrap_mkdirat(int fd, const char *name, mode_t mode)
{
    return hits(true) ? -1 : __real_mkdirat(fd, name, mode);
}

int __wrap_unlinkat(int fd, const char *name, int flags)
{
    return hits(false) ? -1 : __real_unlinkat(fd, name, flags);
}

int __wrap_renameat(int from, const char *a, int to, const char *b)
{
    return hits(false) ? -1 : __real_renameat(from, a, to, b);
}

int __wrap_file_rename_new(int from, const char *a, int to, const char *b)
{
    if (no_flags_in_rename) {
        errno = EINVAL;
        return -1;
    }
    return hits(false) ? -1 : __real_file_rename_new(from, a, to, b);
}

int __wrap_openat64(int fd, const char *name, int flags, ...)
{
    if (!(flags & O_CREAT))
        return __real_openat64(fd, name, flags);
    va_list ap;
    va_start(ap, flags);
    mode_t mode = va_arg(ap, mode_t);
    va_end(ap);
    return hits(true) ? -1 : __real_openat64(fd, name, flags, mode);
}

int __wrap_flock(int fd, int how)
{
    if (no_locks) {
        errno = ENOLCK;
        return -1;
    }
    return __real_flock(fd, how);
}

/* ---- one start ---- */

static time_t now = TODAY;

static int start(void *arg)
{
    struct pki_identity *id;
    enum pki_outcome outcome;
    struct errmsg why;
    fault = *(const struct fault *)arg;
    changes = 0;
    int err = pki_open("certs", now, &id, &outcome, &why);
    fault.kind = NO_FAULT;
    if (err < 0)
        return why.text[0] ? EXIT_REFUSED : 1;
    pki_free(id);
    return 0;
}

/* How a start with a fault in a child ended: 0, EXIT_REFUSED or EXIT_KILLED. */
static int start_with(enum fault_kind kind, int at, int errnum)
{
    struct fault f = {kind, at, errnum};
    int status = place_in_child(start, &f);
    assert_true(status == 0 || status == EXIT_REFUSED || status == EXIT_KILLED);
    return status;
}

/* A start without faults succeeds, and leaves a whole set and nothing else. */
static void assert_start(const char *foreign)
{
    struct fault none = {NO_FAULT, 0, 0};
    assert_int_equal(start(&none), 0);
    assert_int_equal(place_count("certs"), 4);
    assert_false(place_has_leftovers("certs", foreign));
    assert_false(place_has_leftovers(".", "certs"));
}

/* ---- where it starts from ---- */

static void nothing(void)
{
    place_remove("certs");
    place_remove("certs.gotunnel-tmp");
}

static void a_directory_with_notes(void)
{
    nothing();
    assert_int_equal(mkdir("certs", 0700), 0);
    place_write_text("certs/notes", "mine", 0644);
}

/* A set to be renewed. */
static void old_certificates(void)
{
    struct pki_set s;
    nothing();
    assert_int_equal(pki_issue_set(now - 300 * DAY, &s), 0);
    place_certs(&s);
    pki_set_fini(&s);
}

/* What a start that was killed at its n-th change in an existing directory left. */
static void an_interrupted_start(int n)
{
    a_directory_with_notes();
    assert_int_equal(start_with(DIE, n, 0), EXIT_KILLED);
}

/* ---- the checks ---- */

static struct pki_blob ca_before(void)
{
    return place_count("certs") ? place_read("certs/ca.crt") : (struct pki_blob){0};
}

/* A CA that was there is there still. */
static void assert_ca(struct pki_blob *before)
{
    struct pki_blob after = place_read("certs/ca.crt");
    if (before->data) {
        assert_int_equal(after.len, before->len);
        assert_memory_equal(after.data, before->data, after.len);
    }
    pki_blob_fini(&after);
    pki_blob_fini(before);
}

/* Runs the fault at every change; the number of changes. */
static int at_every_change(void (*from)(void), enum fault_kind kind, int errnum,
                           void (*check)(int status), const char *foreign)
{
    for (int n = 1; n < MANY; n++) {
        from();
        int status = start_with(kind, n, errnum);
        check(status);
        bool whole = place_count("certs") == 4;
        struct pki_blob before = whole ? ca_before() : (struct pki_blob){0};
        assert_start(foreign);
        assert_ca(&before);
        if (status == 0 && kind != FAIL_ONCE)
            return n - 1;
    }
    return MANY;
}

static void all_or_nothing(int status)
{
    (void)status;
    int n = place_count("certs");
    assert_true(n == 0 || n == 4);
}

static void recoverable(int status)
{
    int n = place_count("certs");
    if (n != 0 && n != 4) /* only a crash, and the rest waits in its place */
        assert_true(status == EXIT_KILLED && n + place_count("certs/.gotunnel-new") == 4);
}

static void anything(int status)
{
    (void)status;
}

/* ---- creation ---- */

enum { LEAST_CHANGES = 15 }; /* mkdir, 4 x (open, write, fsync), fsync, rename: the wraps work */

static void killed_at_any_moment(void **state)
{
    (void)state;
    assert_in_range(at_every_change(nothing, DIE, 0, all_or_nothing, NULL), LEAST_CHANGES,
                    MANY - 1);
    (void)at_every_change(nothing, DIE_WITHIN, EIO, all_or_nothing, NULL);
}

static void killed_at_any_moment_in_an_existing_directory(void **state)
{
    (void)state;
    assert_in_range(at_every_change(a_directory_with_notes, DIE, 0, recoverable, "notes"),
                    LEAST_CHANGES, MANY - 1);
    (void)at_every_change(a_directory_with_notes, DIE_WITHIN, EIO, recoverable, "notes");
}

static void a_full_disk_at_any_moment(void **state)
{
    (void)state;
    (void)at_every_change(nothing, FAIL_GROWTH, ENOSPC, all_or_nothing, NULL);
    (void)at_every_change(a_directory_with_notes, FAIL_GROWTH, ENOSPC, all_or_nothing, "notes");
}

static void one_failure_at_any_moment(void **state)
{
    (void)state;
    (void)at_every_change(nothing, FAIL_ONCE, EIO, all_or_nothing, NULL);
    (void)at_every_change(a_directory_with_notes, FAIL_ONCE, ENOSPC, all_or_nothing, "notes");
}

/* The disk turns read-only: nothing can be tidied up either, until the next start. */
static void no_more_changes_from_any_moment(void **state)
{
    (void)state;
    (void)at_every_change(nothing, FAIL_ALL, EROFS, all_or_nothing, NULL);
    (void)at_every_change(a_directory_with_notes, FAIL_ALL, EROFS, anything, "notes");
}

static void a_full_disk_leaves_no_trace(void **state)
{
    (void)state;
    for (int n = 1; n < LEAST_CHANGES; n++) {
        a_directory_with_notes();
        if (start_with(FAIL_GROWTH, n, ENOSPC) == 0)
            continue;
        assert_int_equal(place_count("certs"), 0);
        assert_false(place_has_leftovers("certs", "notes"));
        nothing();
        assert_int_equal(start_with(FAIL_GROWTH, n, ENOSPC), EXIT_REFUSED);
        assert_false(place_has_leftovers(".", NULL));
    }
}

/* Written is not enough: unless all has reached the disk, nothing is shown. */
static void a_disk_that_does_not_keep_it(void **state)
{
    (void)state;
    for (int n = 1; n <= PKI_FILES + 1; n++) { /* the files, and the folder that lists them */
        broken_sync = n;
        assert_int_equal(start_with(NO_FAULT, 0, 0), EXIT_REFUSED);
        assert_false(place_has_leftovers(".", NULL));
    }
    for (int n = 1; n <= PKI_FILES + 3; n++) { /* also when the set is ready, and in its place */
        a_directory_with_notes();
        broken_sync = n;
        assert_int_equal(start_with(NO_FAULT, 0, 0), EXIT_REFUSED);
        assert_int_equal(place_count("certs"), 0);
        assert_false(place_has_leftovers("certs", "notes"));
    }
    broken_sync = 0;
}

static void a_file_system_without_rename_flags(void **state)
{
    (void)state;
    no_flags_in_rename = true;
    assert_in_range(at_every_change(nothing, DIE, 0, all_or_nothing, NULL), LEAST_CHANGES,
                    MANY - 1);
    (void)at_every_change(a_directory_with_notes, DIE, 0, recoverable, "notes");
    no_flags_in_rename = false;
}

static void a_file_system_without_locks(void **state)
{
    (void)state;
    no_locks = true;
    assert_start(NULL);
    a_directory_with_notes();
    assert_start("notes");
    no_locks = false;
}

/* ---- recovery ---- */

static int interrupted_at;

static void interrupted(void)
{
    an_interrupted_start(interrupted_at);
}

/* Killed while showing the files, and then again while finishing that. */
static void killed_twice(void **state)
{
    (void)state;
    int total = at_every_change(a_directory_with_notes, DIE, 0, anything, "notes");
    for (interrupted_at = total - 10; interrupted_at <= total; interrupted_at++)
        (void)at_every_change(interrupted, DIE, 0, anything, "notes");
}

/* The number of changes after which `shown` files were in place and the rest were not. */
static int changes_until_shown(int shown)
{
    for (int n = 1; n < MANY; n++) {
        an_interrupted_start(n);
        if (place_count("certs") == shown && place_count("certs/.gotunnel-new") == 4 - shown)
            return n;
    }
    fail_msg("never %d files", shown);
    return 0;
}

/* Nothing was shown when it died, and somebody else has put a set there since. */
static void an_overtaken_set_is_dropped(void **state)
{
    (void)state;
    struct pki_set s;
    an_interrupted_start(changes_until_shown(0));
    assert_int_equal(pki_issue_set(TODAY, &s), 0);
    place_cert("certs/ca.crt", s.ca);
    place_key("certs/ca.key", s.ca_key);
    place_cert("certs/server.crt", s.cert);
    place_key("certs/server.key", s.key);
    struct pki_blob before = ca_before();
    assert_start("notes");
    assert_ca(&before);
    pki_set_fini(&s);
}

/* One was shown, and somebody has put another file in the place of the next. */
static void nothing_is_overwritten_d26(void **state)
{
    (void)state;
    struct fault none = {NO_FAULT, 0, 0};
    an_interrupted_start(changes_until_shown(1));
    place_write_text("certs/server.key", "precious", 0600);
    assert_int_equal(start(&none), EXIT_REFUSED);
    struct pki_blob b = place_read("certs/server.key");
    assert_string_equal((const char *)b.data, "precious");
    pki_blob_fini(&b);
    assert_int_equal(unlink("certs/server.key"), 0);
    assert_start("notes");
}

/* A finished directory, with what a crashed start had left beside it and a renewal in it. */
static void leftovers_are_removed(void **state)
{
    (void)state;
    assert_int_equal(start_with(DIE, 8, 0), EXIT_KILLED);
    assert_int_equal(access("certs.gotunnel-tmp", F_OK), 0);
    place_go_certs();
    place_write_text("certs/.server.crt.gotunnel-tmp", "half", 0644);
    place_write_text("certs/.server.key.gotunnel-tmp", "half", 0600);
    assert_start(NULL);
}

/* ---- renewal ---- */

/* The next start serves, whatever of the pair was replaced. */
static void old_or_new(int status)
{
    struct pki_identity *id;
    enum pki_outcome outcome;
    struct errmsg why;
    (void)status;
    assert_int_equal(place_count("certs"), 4);
    if (pki_open("certs", TODAY, &id, &outcome, &why) < 0)
        fail_msg("refused: %s", why.text);
    assert_int_equal(X509_check_private_key(pki_cert(id), pki_key(id)), 1);
    pki_free(id);
    assert_false(place_has_leftovers("certs", NULL));
}

static void renewal_at_any_moment(void **state)
{
    (void)state;
    assert_in_range(at_every_change(old_certificates, DIE, 0, old_or_new, NULL), 4, MANY - 1);
    (void)at_every_change(old_certificates, DIE_WITHIN, EIO, old_or_new, NULL);
    (void)at_every_change(old_certificates, FAIL_ONCE, EIO, old_or_new, NULL);
    (void)at_every_change(old_certificates, FAIL_ALL, EROFS, old_or_new, NULL);
    (void)at_every_change(old_certificates, FAIL_GROWTH, ENOSPC, old_or_new, NULL);
}

/* Nothing can be saved, but the server starts with a fresh certificate, also an expired one. */
static void renewal_without_a_disk(void **state)
{
    (void)state;
    old_certificates();
    for (time_t later = 0; later <= 100 * DAY; later += 100 * DAY) {
        struct pki_identity *id;
        enum pki_outcome outcome;
        struct errmsg why;
        fault = (struct fault){FAIL_ALL, 1, EROFS};
        assert_int_equal(pki_open("certs", TODAY + later, &id, &outcome, &why), 0);
        assert_int_equal(outcome, PKI_RENEWED);
        assert_string_equal(why.text, "the renewed certificate cannot be saved in certs: "
                                      "Read-only file system");
        assert_int_equal(pki_state(id, TODAY + later), PKI_GOOD);
        assert_int_equal(pki_renew(id, TODAY + later, &why), 0);
        assert_string_equal(why.text, "the renewed certificate cannot be saved in certs: "
                                      "Read-only file system");
        fault.kind = NO_FAULT;
        pki_free(id);
    }
}

/* The same while it runs: once, with a warning, and not for every connection. */
static void keeping_without_a_disk(void **state)
{
    (void)state;
    struct pki_identity *id;
    enum pki_outcome outcome;
    struct errmsg why;
    old_certificates();
    assert_int_equal(pki_open("certs", TODAY, &id, &outcome, &why), 0);
    fault = (struct fault){FAIL_ALL, 1, EROFS};
    time_t then = TODAY + 400 * DAY;
    assert_int_equal(pki_keep(id, then, &why), PKI_NEWS_RENEWED);
    assert_string_equal(why.text, "the renewed certificate cannot be saved in certs: "
                                  "Read-only file system");
    assert_int_equal(pki_state(id, then), PKI_GOOD);
    for (int i = 0; i < 10; i++)
        assert_int_equal(pki_keep(id, then + i * PKI_RETRY_S, &why), PKI_NEWS_NONE);
    fault.kind = NO_FAULT;
    pki_free(id);
}

/* ---- several at once ---- */

enum { STARTS = 8 };

/* Writes the fingerprint of the CA it got, or of nothing, to the pipe. */
static int start_and_tell(int pipe_fd)
{
    struct pki_identity *id;
    enum pki_outcome outcome;
    struct errmsg why;
    unsigned char hash[EVP_MAX_MD_SIZE] = {0};
    char *ca;
    if (pki_open("certs", TODAY, &id, &outcome, &why) < 0 || pki_ca_pem(id, &ca) < 0)
        return 1;
    bool ok = X509_check_private_key(pki_cert(id), pki_key(id)) == 1 &&
              EVP_Digest(ca, strlen(ca), hash, NULL, EVP_sha256(), NULL) == 1 &&
              __real_write(pipe_fd, hash, 32) == 32;
    return ok ? 0 : 1;
}

static void all_get_the_same(void)
{
    int fds[2];
    unsigned char first[32], next[32];
    assert_int_equal(pipe(fds), 0);
    (void)fflush(NULL);
    for (int i = 0; i < STARTS; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            _exit(start_and_tell(fds[1]));
    }
    for (int i = 0, status; i < STARTS; i++) {
        assert_true(wait(&status) > 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        assert_int_equal(read(fds[0], i ? next : first, 32), 32);
        if (i)
            assert_memory_equal(first, next, 32);
    }
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void starts_at_the_same_moment(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++) {
        nothing();
        all_get_the_same();
        assert_start(NULL);
        a_directory_with_notes();
        all_get_the_same();
        assert_start("notes");
    }
}

/* ---- no permission ---- */

/* As an ordinary user in a folder that is root's: the real thing. */
static int start_as_nobody(void *arg)
{
    if (geteuid() == 0 &&
        (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0))
        return 2;
    return start(arg);
}

static void a_read_only_directory(void **state)
{
    (void)state;
    struct fault none = {NO_FAULT, 0, 0};
    assert_int_equal(chmod(".", 0555), 0);
    assert_int_equal(place_in_child(start_as_nobody, &none), EXIT_REFUSED);
    assert_int_equal(chmod(".", 0755), 0);
    assert_true(access("certs", F_OK) < 0);
    assert_int_equal(mkdir("certs", 0555), 0);
    assert_int_equal(place_in_child(start_as_nobody, &none), EXIT_REFUSED);
    assert_int_equal(chmod("certs", 0755), 0);
    assert_int_equal(place_count("certs"), 0);
    assert_false(place_has_leftovers("certs", NULL));
    assert_false(place_has_leftovers(".", "certs"));
}

#define PLACED(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACED(killed_at_any_moment),
        PLACED(killed_at_any_moment_in_an_existing_directory),
        PLACED(a_full_disk_at_any_moment),
        PLACED(one_failure_at_any_moment),
        PLACED(no_more_changes_from_any_moment),
        PLACED(a_full_disk_leaves_no_trace),
        PLACED(a_disk_that_does_not_keep_it),
        PLACED(a_file_system_without_rename_flags),
        PLACED(a_file_system_without_locks),
        PLACED(killed_twice),
        PLACED(an_overtaken_set_is_dropped),
        PLACED(nothing_is_overwritten_d26),
        PLACED(leftovers_are_removed),
        PLACED(renewal_at_any_moment),
        PLACED(renewal_without_a_disk),
        PLACED(keeping_without_a_disk),
        PLACED(starts_at_the_same_moment),
        PLACED(a_read_only_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
