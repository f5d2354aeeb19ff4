/* SPDX-License-Identifier: MIT */
/* The way to a file on a real file system: every entry counts, links and missing ones too. What
   needs owners is for root. The folder of the tests is asked for first: where others can write it
   (a machine whose /tmp is not sticky) each test sees that one warning. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/trust_path.h"

enum { STRANGER = 12345, OTHER = 12346 };

static bool no_accounts; /* as in the cage */

int __real_getgrgid_r(gid_t gid, struct group *gr, char *buf, size_t n, struct group **ret);
int __wrap_getgrgid_r(gid_t gid, struct group *gr, char *buf, size_t n, struct group **ret);
int __wrap_getgrgid_r(gid_t gid, struct group *gr, char *buf, size_t n, struct group **ret)
{
    *ret = NULL;
    return no_accounts ? EACCES : __real_getgrgid_r(gid, gr, buf, n, ret);
}

static char folder[64];
static struct errmsg usual, why; /* usual: what is said of the folder itself */

static int setup(void **state)
{
    (void)state;
    (void)strcpy(folder, "/tmp/gotunnel-trust-XXXXXX");
    (void)unsetenv("SUDO_UID");
    if (!mkdtemp(folder) || chdir(folder) < 0)
        return -1;
    return trust_path(".", TRUST_FOLDER, false, &usual);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

static int teardown(void **state)
{
    (void)state;
    return chdir("/") < 0 ? -1 : nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void make(const char *path, mode_t mode)
{
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0 && fchmod(fd, mode) == 0 && close(fd) == 0);
}

static void make_folder(const char *path, mode_t mode)
{
    assert_true(mkdir(path, 0700) == 0 && chmod(path, mode) == 0);
}

static void good(const char *path, enum trust_place last)
{
    assert_int_equal(trust_path(path, last, false, &why), 0);
    assert_string_equal(why.text, usual.text);
}

/* Refused, and the sentence has these words. */
static void refused(const char *path, enum trust_place last, const char *a, const char *b)
{
    assert_int_equal(trust_path(path, last, false, &why), ERR_PERM);
    if (!strstr(why.text, a) || !strstr(why.text, b))
        fail_msg("'%s' and '%s' are not in '%s'", a, b, why.text);
}

static void modes_on_the_way(void **state)
{
    (void)state;
    make_folder("a", 0755);
    make_folder("a/b", 0755);
    make("a/b/file", 0644);
    good("a/b/file", TRUST_FILE);
    good("./a//b/../b/file", TRUST_FILE);
    good("a/b/", TRUST_FOLDER);
    char absolute[128];
    (void)snprintf(absolute, sizeof absolute, "%s/a/b/file", folder);
    good(absolute, TRUST_FILE);
    assert_int_equal(chmod("a/b/file", 0666), 0);
    refused("a/b/file", TRUST_FILE, "/a/b/file can be written", "chmod go-w");
    assert_int_equal(chmod("a/b/file", 0604), 0);
    refused("a/b/file", TRUST_SECRET, "mode 0604", "chmod 600");
    assert_int_equal(chmod("a/b", 0777), 0);
    refused("a/b/file", TRUST_FILE, "/a/b can be written", "mode 0777");
    refused("a/b", TRUST_FOLDER, "/a/b can be written", "mode 0777");
    assert_int_equal(chmod("a/b", 01777), 0);
    good("a/b/file", TRUST_FILE);
}

static void a_way_that_others_can_cut_is_doubtful(void **state)
{
    (void)state;
    make_folder("a", 0777);
    make_folder("a/b", 0755);
    make("a/b/file", 0644);
    usual.text[0] = '\0'; /* below is another */
    assert_int_equal(trust_path("a/b/file", TRUST_FILE, false, &why), 0);
    assert_non_null(strstr(why.text, "chmod +t"));
    refused("a/file", TRUST_FILE, "/a can be written", "chmod go-w"); /* here it is the folder */
}

static void what_is_missing_will_be_made(void **state)
{
    (void)state;
    good("no/such/file", TRUST_FILE);
    good("certs", TRUST_FOLDER);
    make_folder("open", 0777);
    refused("open/file", TRUST_FILE, "/open can be written", "chmod go-w");
}

static void links_are_followed_and_looked_at(void **state)
{
    (void)state;
    char absolute[128];
    make_folder("a", 0755);
    make_folder("open", 0777);
    make("a/file", 0644);
    make("open/file", 0644);
    (void)snprintf(absolute, sizeof absolute, "%s/open", folder);
    assert_int_equal(symlink("../a/file", "a/again"), 0);
    assert_int_equal(symlink("../open", "a/out"), 0);
    assert_int_equal(symlink(absolute, "a/far"), 0);
    assert_int_equal(symlink("loop", "a/loop"), 0);
    good("a/again", TRUST_FILE);
    refused("a/out/file", TRUST_FILE, "/open can be written", "chmod go-w");
    refused("a/far/file", TRUST_FILE, "/open can be written", "chmod go-w");
    good("a/loop", TRUST_FILE); /* whoever opens it hears of it */
}

static void owners_on_the_way(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    make_folder("a", 0755);
    make_folder("a/b", 0755);
    make("a/b/file", 0644);
    assert_int_equal(chown("a/b/file", STRANGER, STRANGER), 0);
    refused("a/b/file", TRUST_FILE, "a/b/file belongs to another user (uid 12345)", "chown 0");
    assert_int_equal(chown("a/b/file", 0, 0), 0);
    assert_int_equal(chown("a", STRANGER, STRANGER), 0);
    refused("a/b/file", TRUST_FILE, "/a belongs to another user (uid 12345)", "chown 0");
    assert_int_equal(setenv("SUDO_UID", "12346", 1), 0);
    refused("a/b/file", TRUST_FILE, "/a belongs to another user", "chown 0");
    assert_int_equal(setenv("SUDO_UID", "12345x", 1), 0);
    refused("a/b/file", TRUST_FILE, "/a belongs to another user", "chown 0");
    assert_int_equal(setenv("SUDO_UID", "12345", 1), 0);
    assert_int_equal(trust_path("a/b/file", TRUST_FILE, false, &why), 0);
    assert_non_null(*usual.text ? why.text : strstr(why.text, "who ran sudo (uid 12345)"));
}

static void a_link_that_was_planted(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    make_folder("shared", 01777);
    make_folder("certs", 0700);
    assert_int_equal(symlink("../certs", "shared/certs"), 0);
    good("shared/certs", TRUST_FOLDER);
    assert_int_equal(lchown("shared/certs", STRANGER, STRANGER), 0);
    refused("shared/certs", TRUST_FOLDER, "shared/certs belongs to another user", "chown 0");
}

static void what_root_makes_is_the_folders_owners(void **state)
{
    (void)state;
    struct stat st;
    if (geteuid() != 0)
        skip();
    make_folder("home", 0755);
    assert_int_equal(chown("home", STRANGER, OTHER), 0);
    int dir = open("home", O_RDONLY | O_DIRECTORY);
    int fd = openat(dir, "file", O_CREAT | O_WRONLY, 0600);
    assert_true(dir >= 0 && fd >= 0);
    file_give_to_owner(dir, fd);
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(st.st_uid == STRANGER && st.st_gid == OTHER);
    (void)close(fd);
    (void)close(dir);
}

/* Root gives itself up for who owns its state: but not for whoever has planted it. */
static void whom_root_becomes_is_trusted(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    make_folder("lib", 0755);
    make_folder("lib/certs", 0700);
    make("lib/certs/ca.crt", 0644);
    assert_int_equal(chown("lib/certs", STRANGER, STRANGER), 0);
    assert_int_equal(chown("lib/certs/ca.crt", STRANGER, STRANGER), 0);
    refused("lib/certs", TRUST_FOLDER, "belongs to another user", "chown");
    trust_become_owner("lib/certs");
    good("lib/certs", TRUST_FOLDER);
    good("lib/certs/ca.crt", TRUST_FILE);
    assert_int_equal(chown("lib/certs/ca.crt", OTHER, OTHER), 0);
    refused("lib/certs/ca.crt", TRUST_FILE, "belongs to another user", "chown");
    for (mode_t mode = 01777; mode; mode = mode == 01777 ? 0775 : 0) {
        assert_int_equal(chmod("lib", mode), 0);
        trust_become_owner("lib/certs");
        refused("lib/certs", TRUST_FOLDER, "belongs to another user", "chown");
    }
    assert_int_equal(chmod("lib", 0755), 0);
    assert_int_equal(chown("lib", OTHER, OTHER), 0);
    trust_become_owner("lib/certs");
    refused("lib/certs", TRUST_FOLDER, "belongs to another user", "chown");
    trust_become_owner("no/such/folder");
}

/* A link in a folder of all, or one that leads through a folder of somebody's, ends where he wants:
   in his own home, whose parent is root's. */
static void who_planted_the_way_is_not_trusted(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    make_folder("homes", 0755);
    make_folder("homes/mallory", 0755);
    make_folder("shared", 01777);
    make_folder("shared/x", 0755);
    assert_int_equal(symlink("../homes/mallory", "shared/certs"), 0);
    assert_int_equal(symlink("../../homes/mallory", "shared/x/certs"), 0);
    assert_int_equal(chown("homes/mallory", STRANGER, STRANGER), 0);
    trust_become_owner("shared/certs"); /* the link is root's */
    good("shared/certs", TRUST_FOLDER);
    assert_int_equal(lchown("shared/certs", STRANGER, STRANGER), 0);
    trust_become_owner("shared/certs");
    refused("shared/certs", TRUST_FOLDER, "shared/certs belongs to another user", "chown 0");
    trust_become_owner("shared/x/certs");
    good("shared/x/certs", TRUST_FOLDER);
    assert_int_equal(chown("shared/x", STRANGER, STRANGER), 0);
    trust_become_owner("shared/x/certs");
    refused("shared/x/certs", TRUST_FOLDER, "shared/x belongs to another user", "chown 0");
    trust_become_owner("no/such/folder");
}

static void whom_root_is_to_become(void **state)
{
    (void)state;
    static const struct {
        const char *path, *sudo;
        uid_t uid;
        gid_t gid;
    } rows[] = {
        {"lib/certs", NULL, STRANGER, OTHER},
        {"lib/certs/.", NULL, STRANGER, OTHER},
        {"lib/certs//", NULL, STRANGER, OTHER},
        {"lib/../lib/./certs", NULL, STRANGER, OTHER},
        {"lib/certs/../certs", NULL, 0, 0}, /* through his folder */
        {"lib/roots", NULL, 0, 0},
        {"lib/file", NULL, 0, 0},
        {"lib/none", NULL, 0, 0},
        {"", NULL, 0, 0},
        {"shared/certs", NULL, 0, 0},
        {"shared/certs", "12345", STRANGER, OTHER},
        {"shared/certs", "12346", 0, 0},
        {"lib/certs", "12345", STRANGER, OTHER},
        {"lib/certs", "12346", STRANGER, OTHER},
    };
    if (geteuid() != 0)
        skip();
    make_folder("lib", 0755);
    make_folder("lib/certs", 0700);
    make_folder("lib/roots", 0700);
    make("lib/file", 0600);
    make_folder("shared", 01777);
    make_folder("shared/certs", 0700);
    assert_int_equal(chown("lib/certs", STRANGER, OTHER), 0);
    assert_int_equal(chown("lib/file", STRANGER, OTHER), 0);
    assert_int_equal(chown("shared/certs", STRANGER, OTHER), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gid_t gid;
        (void)unsetenv("SUDO_UID");
        assert_true(!rows[i].sudo || setenv("SUDO_UID", rows[i].sudo, 1) == 0);
        if (trust_owner(rows[i].path, &gid) != rows[i].uid || gid != rows[i].gid)
            fail_msg("row %zu", i);
    }
}

/* Where root is to become the one who ran sudo, he is warned all the same. */
static void who_ran_sudo_is_warned_once_more(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    make_folder("home", 0700);
    make_folder("home/certs", 0700);
    assert_int_equal(chown("home", STRANGER, STRANGER), 0);
    assert_int_equal(chown("home/certs", STRANGER, STRANGER), 0);
    assert_int_equal(setenv("SUDO_UID", "12345", 1), 0);
    trust_become_owner("home/certs");
    assert_int_equal(trust_path("home/certs", TRUST_FOLDER, false, &why), 0);
    assert_non_null(*usual.text ? why.text : strstr(why.text, "who ran sudo (uid 12345)"));
    trust_become_owner("no/such/folder");
}

static void the_mode_of_an_open_file(void **state)
{
    (void)state;
    make("file", 0602);
    int fd = open("file", O_RDONLY);
    assert_int_equal(trust_file(fd, "its/name", TRUST_FILE, false, &why), ERR_PERM);
    assert_non_null(strstr(why.text, "its/name can be written by other users (mode 0602)"));
    assert_int_equal(fchmod(fd, 0600), 0);
    assert_int_equal(trust_file(fd, "its/name", TRUST_FILE, false, &why), 0);
    assert_string_equal(why.text, "");
    (void)close(fd);
}

/* A reload judges its file anew, where nobody can look into the accounts any more. */
static void a_private_group_is_remembered(void **state)
{
    (void)state;
    make("file", 0664);
    if (trust_path("file", TRUST_FILE, false, &why) < 0)
        skip(); /* who runs this has no group alone */
    no_accounts = true;
    good("file", TRUST_FILE);
    if (geteuid() == 0) {
        assert_int_equal(chown("file", 0, OTHER), 0);
        refused("file", TRUST_FILE, "file", "can be written by other users");
    }
    no_accounts = false;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(modes_on_the_way),
        TEST(a_way_that_others_can_cut_is_doubtful),
        TEST(what_is_missing_will_be_made),
        TEST(links_are_followed_and_looked_at),
        TEST(owners_on_the_way),
        TEST(a_link_that_was_planted),
        TEST(what_root_makes_is_the_folders_owners),
        TEST(whom_root_becomes_is_trusted),
        TEST(who_planted_the_way_is_not_trusted),
        TEST(whom_root_is_to_become),
        TEST(who_ran_sudo_is_warned_once_more),
        TEST(the_mode_of_an_open_file),
        TEST(a_private_group_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
