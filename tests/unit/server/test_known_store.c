/* SPDX-License-Identifier: MIT */
/* server/known_store: the file of who is known, in a folder of its own for each test. */
#include "server/known_store.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define TMP  ".known.gotunnel-tmp"
#define FULL (KNOWN_FILE_MAX + 1)

enum { WALL = 1700000000, NOW = 5000 };

/* As NFS, where it is a lock of fcntl(): an exclusive one is for who may write. */
int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation);
int __wrap_flock(int fd, int operation)
{
    if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY && (operation & LOCK_EX)) {
        errno = EBADF;
        return -1;
    }
    return __real_flock(fd, operation);
}

static char dir[64];
static int dirfd;
static struct known k, back;
static uint8_t bytes[FULL];
static size_t size;
static struct errmsg why;

static int setup(void **state)
{
    uint8_t key[KEYED_HASH_KEY_BYTES] = "0123456789abcde", other[KEYED_HASH_KEY_BYTES] = {1};
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/gotunnel-known-XXXXXX");
    assert_non_null(mkdtemp(dir));
    dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(dirfd >= 0);
    known_init(&k, key);
    known_init(&back, other);
    (void)known_add(&k, "192.0.2.1", "nas", NOW);
    size = known_file_write(&k, NOW, WALL, bytes);
    why.text[0] = '\0';
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)unlinkat(dirfd, "known", 0);
    (void)unlinkat(dirfd, TMP, 0);
    (void)close(dirfd);
    return rmdir(dir) == 0 || errno == ENOENT ? 0 : -1;
}

static int read_it(void)
{
    return known_store_read(dirfd, dir, &back, NOW, WALL, &why);
}

static int write_it(void)
{
    return known_store_write(dirfd, dir, bytes, size, &why);
}

static void put(const char *name, const void *p, size_t n, mode_t mode)
{
    (void)unlinkat(dirfd, name, 0);
    int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && write(fd, p, n) == (ssize_t)n && fchmod(fd, mode) == 0);
    assert_int_equal(close(fd), 0);
}

static bool is_there(const char *name)
{
    return faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool is_known(void)
{
    return known_source(&back, "192.0.2.1", NOW);
}

/* It is refused, with these words, and nobody is known. */
static void refused(int err, const char *words)
{
    assert_int_equal(read_it(), err);
    if (!strstr(why.text, words))
        fail_msg("%s", why.text);
    assert_false(is_known());
}

static void what_was_written_is_read(void **state)
{
    struct stat st;
    (void)state;
    assert_int_equal(write_it(), 0);
    assert_int_equal(fstatat(dirfd, "known", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0600);
    assert_false(is_there(TMP));
    assert_int_equal(read_it(), 0);
    assert_true(is_known());
    assert_string_equal(why.text, "");
}

static void no_file_is_no_fault(void **state)
{
    (void)state;
    assert_int_equal(read_it(), 0);
    assert_string_equal(why.text, "");
    assert_false(is_known());
}

static void what_is_cut_or_too_long_is_damaged(void **state)
{
    (void)state;
    for (size_t n = 0; n < size; n++) {
        put("known", bytes, n, 0600);
        refused(ERR_INVAL, "/known is damaged");
    }
    put("known", bytes, size + 1, 0600);
    refused(ERR_INVAL, "/known is damaged");
    for (int i = 0; i < KNOWN_SOURCES; i++) {
        char source[32];
        (void)snprintf(source, sizeof source, "10.0.%d.%d", i / 256, i % 256);
        (void)known_add(&k, source, "x", NOW);
    }
    assert_int_equal(known_file_write(&k, NOW, WALL, bytes), KNOWN_FILE_MAX);
    put("known", bytes, FULL, 0600);
    refused(ERR_INVAL, "/known is damaged");
}

static void what_is_wrong_is_told_apart(void **state)
{
    (void)state;
    bytes[7] = '2';
    put("known", bytes, size, 0600);
    refused(ERR_INVAL, "/known is of another version");
    size = known_file_write(&k, NOW, WALL + 3600, bytes);
    put("known", bytes, size, 0600);
    refused(ERR_INVAL, "was written later than now");
}

/* Who could have written it could have made anybody known; who can read it, try addresses. */
static void what_others_can_change_or_read_is_refused(void **state)
{
    (void)state;
    put("known", bytes, size, 0604);
    refused(ERR_PERM, "is open to other users (mode 0604)");
    put("known", bytes, size, 0602);
    refused(ERR_PERM, "is open to other users (mode 0602)");
    put("known", bytes, size, 0600);
    if (geteuid() != 0)
        return; /* only root can give it away */
    assert_int_equal(fchownat(dirfd, "known", 65533, 65533, 0), 0);
    refused(ERR_PERM, "belongs to another user");
}

static void what_is_no_file_does_not_stop_the_start(void **state)
{
    (void)state;
    put("elsewhere", bytes, size, 0600);
    assert_int_equal(symlinkat("elsewhere", dirfd, "known"), 0);
    refused(ERR_IO, "cannot read");
    assert_int_equal(unlinkat(dirfd, "elsewhere", 0), 0);
    assert_int_equal(unlinkat(dirfd, "known", 0), 0);
    assert_int_equal(mkfifoat(dirfd, "known", 0600), 0);
    refused(ERR_INVAL, "is damaged");
    assert_int_equal(write_it(), 0); /* and is replaced */
    assert_int_equal(read_it(), 0);
    assert_true(is_known());
}

/* A disk that is full, as this process sees it. */
static void what_does_not_fit_leaves_the_old_one(void **state)
{
    struct rlimit all, few = {.rlim_cur = 100};
    (void)state;
    assert_int_equal(write_it(), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &all), 0);
    few.rlim_max = all.rlim_max;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &few), 0);
    int err = write_it();
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
    assert_true(err < 0 && err != ERR_AGAIN);
    assert_non_null(strstr(why.text, "cannot write "));
    assert_false(is_there(TMP));
    assert_int_equal(read_it(), 0);
    assert_true(is_known());
}

static void where_nothing_can_be_written_it_says_so(void **state)
{
    (void)state;
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(write_it(), err_from_errno(ENOENT));
    assert_non_null(strstr(why.text, "/known: "));
}

static void a_leftover_is_removed(void **state)
{
    (void)state;
    put(TMP, "half", 4, 0666);
    assert_int_equal(write_it(), 0);
    assert_false(is_there(TMP));
    assert_int_equal(read_it(), 0);
    assert_true(is_known());
}

static void who_is_writing_is_not_disturbed(void **state)
{
    (void)state;
    put(TMP, "half", 4, 0600);
    int other = openat(dirfd, TMP, O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(write_it(), ERR_AGAIN);
    assert_true(is_there(TMP) && !is_there("known"));
    assert_int_equal(close(other), 0);
    assert_int_equal(write_it(), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(what_was_written_is_read),
        T(no_file_is_no_fault),
        T(what_is_cut_or_too_long_is_damaged),
        T(what_is_wrong_is_told_apart),
        T(what_others_can_change_or_read_is_refused),
        T(what_is_no_file_does_not_stop_the_start),
        T(what_does_not_fit_leaves_the_old_one),
        T(where_nothing_can_be_written_it_says_so),
        T(a_leftover_is_removed),
        T(who_is_writing_is_not_disturbed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
