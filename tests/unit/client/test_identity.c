/* SPDX-License-Identifier: MIT */
/* The client's id: where it is kept, who gets the same, and what happens when it cannot be kept. */
#include "client/identity.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"

/* ---- system calls that fail when they are told to ---- */

enum call { NO_CALL, WRITE, SHORT_WRITE, FSYNC, MKDIR, CREATE, RENAME, LINK, RANDOM, EUID };

static enum call failing;
static int failing_errno;

static bool fails(enum call c)
{
    if (failing == c)
        errno = failing_errno;
    return failing == c;
}

ssize_t __real_write(int fd, const void *data, size_t n);
ssize_t __wrap_write(int fd, const void *data, size_t n);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode);
int __real_openat64(int fd, const char *name, int flags, ...);
int __wrap_openat64(int fd, const char *name, int flags, ...);
int __real_file_rename_new(int from, const char *a, int to, const char *b);
int __wrap_file_rename_new(int from, const char *a, int to, const char *b);
int __real_linkat(int from, const char *a, int to, const char *b, int flags);
int __wrap_linkat(int from, const char *a, int to, const char *b, int flags);
ssize_t __real_getrandom(void *p, size_t n, unsigned flags);
ssize_t __wrap_getrandom(void *p, size_t n, unsigned flags);
uid_t __real_geteuid(void);
uid_t __wrap_geteuid(void);

ssize_t __wrap_write(int fd, const void *data, size_t n)
{
    if (failing == SHORT_WRITE)
        return __real_write(fd, data, n / 2);
    return fails(WRITE) ? -1 : __real_write(fd, data, n);
}

int __wrap_fsync(int fd)
{
    return fails(FSYNC) ? -1 : __real_fsync(fd);
}

int __wrap_mkdir(const char *path, mode_t mode)
{
    struct stat st; /* the kernel says EEXIST first */
    return stat(path, &st) < 0 && fails(MKDIR) ? -1 : __real_mkdir(path, mode);
}

int __wrap_openat64(int fd, const char *name, int flags, ...)
{
    if (flags & O_CREAT && fails(CREATE))
        return -1;
    return __real_openat64(fd, name, flags, 0600);
}

int __wrap_file_rename_new(int from, const char *a, int to, const char *b)
{
    return fails(RENAME) ? -1 : __real_file_rename_new(from, a, to, b);
}

int __wrap_linkat(int from, const char *a, int to, const char *b, int flags)
{
    return fails(LINK) ? -1 : __real_linkat(from, a, to, b, flags);
}

ssize_t __wrap_getrandom(void *p, size_t n, unsigned flags)
{
    return fails(RANDOM) ? -1 : __real_getrandom(p, n, flags);
}

uid_t __wrap_geteuid(void)
{
    return __real_geteuid() + (failing == EUID ? 4711 : 0);
}

/* ---- a folder for each test ---- */

#define FILE_PATH "state/gotunnel/client-id"

static char place[64];
static struct errmsg why;

static int setup(void **state)
{
    (void)state;
    failing = NO_CALL;
    (void)strcpy(place, "/tmp/gotunnel-id-XXXXXX");
    if (!mkdtemp(place) || chdir(place) < 0)
        return -1;
    char xdg[128];
    (void)snprintf(xdg, sizeof xdg, "%s/state", place);
    (void)setenv("XDG_STATE_HOME", xdg, 1);
    (void)unsetenv("STATE_DIRECTORY");
    return setenv("HOME", place, 1);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

static int teardown(void **state)
{
    (void)state;
    failing = NO_CALL;
    return chdir("/") < 0 ? -1 : nftw(place, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int find(char id[HELLO_ID_MAX + 1], const char *given, const char *server, int64_t port,
                const char *target)
{
    struct client_options opt = {
        .id = given, .server = server, .remote_port = port, .local_target = target};
    why.text[0] = '\0';
    return identity_find(id, &opt, &why);
}

/* The usual command line. */
static int usual(char id[HELLO_ID_MAX + 1])
{
    return find(id, "", "h:7000", 8080, "127.0.0.1:80");
}

static void make_file(const char *path, const char *text, size_t n, mode_t mode)
{
    (void)__real_mkdir("state", 0700);
    (void)__real_mkdir("state/gotunnel", 0700);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static size_t read_file(const char *path, char *to, size_t room)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(to, 1, room - 1, f);
    to[n] = '\0';
    (void)fclose(f); /* only read */
    return n;
}

/* Names in the folder, apart from the file itself. */
static unsigned leftovers(void)
{
    unsigned n = 0;
    DIR *d = opendir("state/gotunnel");
    if (!d)
        return 0;
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.' && strcmp(e->d_name, "client-id") != 0;
    (void)closedir(d);
    return n;
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* Two runs have different ids, the cause is named, and nothing is left behind. */
static void assert_temporary(const char *words)
{
    char a[HELLO_ID_MAX + 1], b[HELLO_ID_MAX + 1];
    assert_int_equal(usual(a), IDENTITY_TEMPORARY);
    if (!strstr(why.text, words))
        fail_msg("'%s' is not in '%s'", words, why.text);
    assert_int_equal(usual(b), IDENTITY_TEMPORARY);
    assert_string_not_equal(a, b);
    assert_true(hello_id_is_valid(a) && hello_id_is_valid(b));
    assert_string_equal(strchr(a, '-'), strchr(b, '-')); /* the tunnel's part */
    assert_int_equal(leftovers(), 0);
}

/* ---- which id ---- */

static void what_is_given_is_taken(void **state)
{
    (void)state;
    char id[HELLO_ID_MAX + 1];
    assert_int_equal(find(id, "office.printer_1", "h:1", 1, "t:1"), IDENTITY_KEPT);
    assert_string_equal(id, "office.printer_1");
    assert_false(exists("state"));
}

static void what_is_no_id_is_refused(void **state)
{
    (void)state;
    char id[HELLO_ID_MAX + 1], big[2 * HELLO_ID_MAX];
    memset(big, 'x', sizeof big);
    big[HELLO_ID_MAX + 1] = '\0';
    const char *const wrong[] = {"a b", "a/b", "\n", "端", big};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(find(id, wrong[i], "h:1", 1, "t:1"), ERR_INVAL);
        assert_non_null(strstr(why.text, "-id \""));
        assert_null(strchr(why.text, '\n'));
    }
    assert_false(exists("state"));
}

static int find_by_key(char id[HELLO_ID_MAX + 1], const char *name, const char *given, int64_t port)
{
    struct client_options opt = {.server = "h:7000",
                                 .local_target = "127.0.0.1:80",
                                 .remote_port = port,
                                 .id = given,
                                 .has_join = true};
    (void)snprintf(opt.join.name, sizeof opt.join.name, "%s", name);
    return identity_find(id, &opt, &why);
}

/* What a server takes from the owner of a key. */
static void with_a_join_string_the_id_is_of_its_key(void **state)
{
    (void)state;
    char id[HELLO_ID_MAX + 1], again[HELLO_ID_MAX + 1], name[JOIN_NAME_MAX + 1] = "";
    assert_int_equal(find_by_key(id, "laptop", "", 80), IDENTITY_KEPT);
    assert_int_equal(find_by_key(again, "laptop", "", 80), IDENTITY_KEPT);
    assert_string_equal(id, again);
    assert_int_equal(find_by_key(again, "laptop", "", 81), IDENTITY_KEPT);
    assert_string_not_equal(id, again);
    assert_int_equal(find_by_key(id, "laptop", "", 0), IDENTITY_NEW);
    for (size_t n = 1; n <= JOIN_NAME_MAX; n++) {
        memset(name, 'n', n);
        assert_int_equal(find_by_key(id, name, "", 80), IDENTITY_KEPT);
        assert_true(hello_id_is_valid(id) && hello_id_is_of_key(id, name));
        assert_int_equal(strlen(id), n + 17 <= HELLO_ID_MAX ? n + 17 : n);
    }
    assert_int_equal(find_by_key(id, "laptop", "laptop", 80), IDENTITY_KEPT);
    assert_int_equal(find_by_key(id, "laptop", "laptop.x", 80), IDENTITY_KEPT);
    assert_string_equal(id, "laptop.x");
    assert_int_equal(find_by_key(id, "laptop", "laptops", 80), ERR_INVAL);
    assert_string_equal(why.text,
                        "-id \"laptops\": with this join string an id is laptop, or begins "
                        "with laptop.");
}

static void the_same_command_line_is_the_same_client(void **state)
{
    (void)state;
    char a[HELLO_ID_MAX + 1], b[HELLO_ID_MAX + 1], text[64];
    struct stat st;
    assert_int_equal(usual(a), IDENTITY_KEPT);
    assert_int_equal(usual(b), IDENTITY_KEPT);
    assert_string_equal(a, b);
    assert_true(hello_id_is_valid(a));
    assert_int_equal(read_file(FILE_PATH, text, sizeof text), 33);
    assert_memory_equal(text, a, 32);
    assert_int_equal(a[32], '-');
    assert_int_equal(stat(FILE_PATH, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat("state/gotunnel", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(leftovers(), 0);
}

static void another_tunnel_is_another_client(void **state)
{
    (void)state;
    char ids[5][HELLO_ID_MAX + 1];
    assert_int_equal(usual(ids[0]), IDENTITY_KEPT);
    assert_int_equal(find(ids[1], "", "h:7001", 8080, "127.0.0.1:80"), IDENTITY_KEPT);
    assert_int_equal(find(ids[2], "", "h:7000", 8081, "127.0.0.1:80"), IDENTITY_KEPT);
    assert_int_equal(find(ids[3], "", "h:7000", 8080, "127.0.0.1:81"), IDENTITY_KEPT);
    assert_int_equal(find(ids[4], "", "127.0.0.1:80", 8080, "h:7000"), IDENTITY_KEPT);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(ids[i], ids[j]);
            assert_memory_equal(ids[i], ids[j], 33); /* of one user */
        }
}

/* Several clients of one command line, each with a port of its own. */
static void where_the_server_chooses_each_run_is_another_client(void **state)
{
    (void)state;
    char a[HELLO_ID_MAX + 1], b[HELLO_ID_MAX + 1];
    assert_int_equal(find(a, "", "h:7000", 0, "127.0.0.1:80"), IDENTITY_NEW);
    assert_int_equal(find(b, "", "h:7000", 0, "127.0.0.1:80"), IDENTITY_NEW);
    assert_true(hello_id_is_valid(a) && hello_id_is_valid(b));
    assert_string_not_equal(a, b);
    assert_false(exists("state"));
    assert_int_equal(find(a, "mine", "h:7000", 0, "127.0.0.1:80"), IDENTITY_KEPT);
    assert_string_equal(a, "mine");
}

/* The hash must not change from one release to the next: ports would be lost at an update. */
static void the_id_of_a_tunnel_stays(void **state)
{
    (void)state;
    char id[HELLO_ID_MAX + 1];
    make_file(FILE_PATH, "00112233445566778899aabbccddeeff\n", 33, 0600);
    assert_int_equal(usual(id), IDENTITY_KEPT);
    assert_string_equal(id, "00112233445566778899aabbccddeeff-ef1630d24bc48c7d");
}

/* ---- where ---- */

static void the_place_follows_the_environment(void **state)
{
    (void)state;
    char id[HELLO_ID_MAX + 1], path[256];
    (void)snprintf(path, sizeof path, "%s/service:%s/other", place, place);
    assert_int_equal(__real_mkdir("service", 0700), 0);
    (void)setenv("STATE_DIRECTORY", path, 1);
    assert_int_equal(usual(id), IDENTITY_KEPT);
    assert_true(exists("service/client-id") && !exists("state"));
    (void)setenv("STATE_DIRECTORY", "", 1);
    assert_int_equal(usual(id), IDENTITY_KEPT);
    assert_true(exists(FILE_PATH) && !exists(".local"));
    (void)setenv("XDG_STATE_HOME", "relative", 1); /* to be ignored, says its specification */
    assert_int_equal(usual(id), IDENTITY_KEPT);
    assert_true(exists(".local/state/gotunnel/client-id") && !exists("relative"));
    (void)unsetenv("XDG_STATE_HOME");
    (void)unsetenv("HOME");
    assert_temporary("HOME");
}

/* ---- what is not to be trusted ---- */

static void what_is_not_an_id_is_left_alone(void **state)
{
    (void)state;
#define GOOD "00112233445566778899aabbccddeeff"
    static const struct {
        const char *text;
        size_t n;
    } rows[] = {{"", 0},
                {"\n", 1},
                {GOOD, 32},
                {GOOD "\n\n", 34},
                {GOOD "0\n", 34},
                {"0" GOOD "\n", 34},
                {"00112233445566778899AABBCCDDEEFF\n", 33},
                {"00112233445566778899aabbccddee/f\n", 33},
                {"00112233445566778899aabbccddee\0f\n", 33}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char after[64];
        make_file(FILE_PATH, rows[i].text, rows[i].n, 0600);
        assert_temporary("holds no id: remove it");
        assert_int_equal(read_file(FILE_PATH, after, sizeof after), rows[i].n);
        assert_memory_equal(after, rows[i].text, rows[i].n);
    }
}

static void a_link_is_not_followed(void **state)
{
    (void)state;
    make_file("target", GOOD "\n", 33, 0600);
    make_file(FILE_PATH, "", 0, 0600);
    assert_int_equal(unlink(FILE_PATH), 0);
    assert_int_equal(symlink("../../target", FILE_PATH), 0);
    assert_temporary("is a symbolic link");
    assert_int_equal(unlink("target"), 0);
    assert_temporary("is a symbolic link");
    assert_false(exists("target"));
}

static void only_a_file_will_do(void **state)
{
    (void)state;
    make_file(FILE_PATH, "", 0, 0600);
    assert_int_equal(unlink(FILE_PATH), 0);
    assert_int_equal(mkfifo(FILE_PATH, 0600), 0);
    assert_temporary("is not a regular file"); /* and does not wait for a writer */
    assert_int_equal(unlink(FILE_PATH), 0);
    assert_int_equal(__real_mkdir(FILE_PATH, 0700), 0);
    assert_temporary("is not a regular file");
}

static void nobody_else_may_write_it(void **state)
{
    (void)state;
    char id[HELLO_ID_MAX + 1];
    make_file(FILE_PATH, GOOD "\n", 33, 0602);
    assert_temporary("by other users");
    make_file(FILE_PATH, GOOD "\n", 33, 0620);
    if (__real_geteuid() == 0) { /* else it may be a group of our own */
        assert_int_equal(chown(FILE_PATH, 0, 12345), 0);
        assert_temporary("by other users");
    }
    make_file(FILE_PATH, GOOD "\n", 33, 0644);
    assert_int_equal(usual(id), IDENTITY_KEPT);
    if (__real_geteuid() != 0) { /* root's file is taken by everybody */
        failing = EUID;
        assert_temporary("belongs to another user");
    }
}

/* ---- what cannot be kept ---- */

static void a_disk_that_takes_nothing(void **state)
{
    (void)state;
    static const struct {
        enum call call;
        int errnum;
        const char *words;
    } rows[] = {
        {MKDIR, EROFS, "cannot open folder"}, {MKDIR, EACCES, "cannot open folder"},
        {CREATE, EROFS, "cannot write"},      {CREATE, ENOSPC, "cannot write"},
        {WRITE, ENOSPC, "cannot write"},      {SHORT_WRITE, 0, "cannot write"},
        {FSYNC, EIO, "cannot write"},         {RENAME, EROFS, "cannot write"},
        {RENAME, ENOSPC, "cannot write"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        failing = rows[i].call;
        failing_errno = rows[i].errnum;
        assert_temporary(rows[i].words);
        assert_non_null(strstr(why.text, rows[i].errnum ? strerror(rows[i].errnum) : "space"));
        assert_false(exists(FILE_PATH));
    }
    failing = NO_CALL;
    char id[HELLO_ID_MAX + 1];
    assert_int_equal(usual(id), IDENTITY_KEPT);
}

static void a_file_system_that_only_links(void **state)
{
    (void)state;
    char a[HELLO_ID_MAX + 1], b[HELLO_ID_MAX + 1];
    failing = RENAME;
    failing_errno = EINVAL;
    assert_int_equal(usual(a), IDENTITY_KEPT);
    assert_int_equal(usual(b), IDENTITY_KEPT);
    assert_string_equal(a, b);
    assert_int_equal(leftovers(), 0);
}

/* What a crash between writing and naming leaves does not matter. */
static void a_file_of_a_crashed_start(void **state)
{
    (void)state;
    char a[HELLO_ID_MAX + 1], b[HELLO_ID_MAX + 1];
    make_file("state/gotunnel/client-id.0011223344556677", GOOD, 3, 0600);
    assert_int_equal(usual(a), IDENTITY_KEPT);
    assert_int_equal(usual(b), IDENTITY_KEPT);
    assert_string_equal(a, b);
}

static void without_random_numbers_there_is_no_id(void **state)
{
    (void)state;
    char id[HELLO_ID_MAX + 1];
    failing = RANDOM;
    failing_errno = ENOSYS;
    assert_int_equal(usual(id), ERR_IO);
    assert_non_null(strstr(why.text, "getrandom"));
    assert_int_equal(find(id, "", "h:7000", 0, "127.0.0.1:80"), ERR_IO);
    assert_non_null(strstr(why.text, "getrandom"));
}

/* ---- several starts at once ---- */

enum { STARTS = 12, ID_LEN = 49 };

static void start(int go, int out)
{
    char id[HELLO_ID_MAX + 1] = "", c;
    (void)!read(go, &c, 1); /* until the parent closes its end */
    if (usual(id) != IDENTITY_KEPT)
        (void)strcpy(id, why.text);
    _exit(__real_write(out, id, ID_LEN) == ID_LEN ? 0 : 1);
}

static void all_get_the_same(void)
{
    int go[2], out[2];
    char first[HELLO_ID_MAX + 1] = "", id[HELLO_ID_MAX + 1] = "";
    assert_int_equal(pipe(go), 0);
    assert_int_equal(pipe(out), 0);
    for (int i = 0; i < STARTS; i++)
        if (fork() == 0) {
            (void)close(go[1]);
            start(go[0], out[1]);
        }
    (void)close(go[1]);
    for (int i = 0; i < STARTS; i++) {
        assert_int_equal(read(out[0], id, ID_LEN), ID_LEN);
        if (i == 0)
            memcpy(first, id, sizeof first);
        assert_string_equal(id, first);
        int status;
        assert_true(wait(&status) > 0 && status == 0);
    }
    (void)close(go[0]);
    (void)close(out[0]);
    (void)close(out[1]);
    assert_int_equal(leftovers(), 0);
    assert_int_equal(usual(id), IDENTITY_KEPT);
    assert_string_equal(id, first);
}

static void several_starts_at_once_agree(void **state)
{
    (void)state;
    for (int round = 0; round < 40; round++) {
        failing = round % 2 ? RENAME : NO_CALL; /* by a link, by renaming */
        failing_errno = EINVAL;
        all_get_the_same();
        assert_int_equal(unlink(FILE_PATH), 0);
    }
}

/* ---- the program's way ---- */

static void a_temporary_id_is_warned_of_once(void **state)
{
    (void)state;
    char id[HELLO_ID_MAX + 1], text[512];
    struct client_options opt = {
        .id = "", .server = "h:1", .remote_port = 1, .local_target = "t:1"};
    int old = dup(STDERR_FILENO);
    int log = open("log", O_RDWR | O_CREAT, 0600);
    assert_true(dup2(log, STDERR_FILENO) >= 0);
    int kept = identity_get(id, &opt, &why);
    failing = EUID; /* does not matter here */
    (void)unsetenv("XDG_STATE_HOME");
    (void)unsetenv("HOME");
    int temporary = identity_get(id, &opt, &why);
    opt.id = "a b";
    int refused = identity_get(id, &opt, &why);
    log_flush();
    assert_true(dup2(old, STDERR_FILENO) >= 0);
    (void)close(old);
    (void)close(log);
    assert_true(kept == 0 && temporary == 0 && refused == ERR_INVAL);
    size_t n = read_file("log", text, sizeof text);
    assert_non_null(strstr(text, "for this run only"));
    assert_ptr_equal(strchr(text, '\n'), text + n - 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_given_is_taken),
        TEST(what_is_no_id_is_refused),
        TEST(with_a_join_string_the_id_is_of_its_key),
        TEST(the_same_command_line_is_the_same_client),
        TEST(another_tunnel_is_another_client),
        TEST(where_the_server_chooses_each_run_is_another_client),
        TEST(the_id_of_a_tunnel_stays),
        TEST(the_place_follows_the_environment),
        TEST(what_is_not_an_id_is_left_alone),
        TEST(a_link_is_not_followed),
        TEST(only_a_file_will_do),
        TEST(nobody_else_may_write_it),
        TEST(a_disk_that_takes_nothing),
        TEST(a_file_system_that_only_links),
        TEST(a_file_of_a_crashed_start),
        TEST(without_random_numbers_there_is_no_id),
        TEST(several_starts_at_once_agree),
        TEST(a_temporary_id_is_warned_of_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
