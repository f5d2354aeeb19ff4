/* SPDX-License-Identifier: MIT */
/* server/keeper: when the file of who is known is written. A real folder and a real thread; the
 * clock is kit.now, and the timer is the test's. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "kit.h"
#include "server/known_store.h"
#include "timers.h"

#define HOUR_MS (3600 * 1000)

static char dir[64];

/* ---- a slow disk ---- */

/* While it stands nothing gets onto it. Who waits for that moves the clock, which stands otherwise. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t moves;
    bool stands;
    unsigned waiting; /* in fsync() */
    /* the main thread's */
    mtime_ms first_takes; /* the writing under way ends after so much waiting; 0: never */
    const uv_cond_t *moving;
    uint64_t clock_ns;
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER, .moves = PTHREAD_COND_INITIALIZER};

static void disk_stands(bool stands)
{
    pthread_mutex_lock(&disk.lock);
    disk.stands = stands;
    pthread_cond_broadcast(&disk.moves);
    pthread_mutex_unlock(&disk.lock);
}

/* A writing has come as far as that. */
static void wait_for_the_disk(void)
{
    pthread_mutex_lock(&disk.lock);
    while (disk.waiting == 0)
        pthread_cond_wait(&disk.moves, &disk.lock);
    pthread_mutex_unlock(&disk.lock);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    pthread_mutex_lock(&disk.lock);
    disk.waiting++;
    pthread_cond_broadcast(&disk.moves);
    while (disk.stands)
        pthread_cond_wait(&disk.moves, &disk.lock);
    disk.waiting--;
    pthread_mutex_unlock(&disk.lock);
    return __real_fsync(fd);
}

uint64_t __wrap_uv_hrtime(void);
uint64_t __wrap_uv_hrtime(void)
{
    return disk.clock_ns;
}

int __real_uv_cond_timedwait(uv_cond_t *c, uv_mutex_t *m, uint64_t ns);
int __wrap_uv_cond_timedwait(uv_cond_t *c, uv_mutex_t *m, uint64_t ns);
int __wrap_uv_cond_timedwait(uv_cond_t *c, uv_mutex_t *m, uint64_t ns)
{
    uint64_t takes_ns = (uint64_t)disk.first_takes * 1000000;
    if (disk.stands && takes_ns > 0 && takes_ns <= ns) {
        disk.clock_ns += takes_ns;
        disk.first_takes = 0;
        disk.moving = c;
        disk_stands(false);
    }
    if (!disk.stands)
        return __real_uv_cond_timedwait(c, m, 60 * UINT64_C(1000000000)); /* it is over soon */
    disk.clock_ns += ns;
    return UV_ETIMEDOUT;
}

int __real_pthread_join(pthread_t thread, void **ret);
int __wrap_pthread_join(pthread_t thread, void **ret);
int __wrap_pthread_join(pthread_t thread, void **ret)
{
    int r = __real_pthread_join(thread, ret);
    if (disk.moving)
        disk_stands(true); /* once more */
    disk.moving = NULL;
    return r;
}

/* ---- the bench ---- */

static void begin(void)
{
    static const uint8_t key[KEYED_HASH_KEY_BYTES] = "0123456789abcde";
    memset(&kit.srv.keeper, 0, sizeof kit.srv.keeper);
    known_init(&kit.srv.known, key);
    keeper_begin(&kit.srv);
}

static int setup(void **state)
{
    (void)kit_setup(state);
    const char *memory =
        access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"; /* no disk takes its time */
    (void)snprintf(dir, sizeof dir, "%s/gotunnel-keeper-XXXXXX", memory);
    assert_non_null(mkdtemp(dir));
    kit.opt.certs = dir;
    begin();
    return 0;
}

static void remove_file(const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    (void)unlink(path);
}

static int teardown(void **state)
{
    (void)state;
    if (timer_is_open(&kit.srv.keeper.due))
        keeper_end(&kit.srv);
    remove_file("known");
    remove_file("last-seen");
    (void)rmdir(dir);
    return 0;
}

static void proves_itself(const char *source, const char *id)
{
    keeper_changed(&kit.srv, known_add(&kit.srv.known, source, id, kit.now));
}

/* The timer runs when it is due. */
static void wait_until(mtime_ms at)
{
    for (mtime_ms due; (due = timer_due(&kit.srv.keeper.due)) <= at;) {
        kit.now = due > kit.now ? due : kit.now;
        timer_ring(&kit.srv.keeper.due);
    }
    kit.now = at;
}

/* Until no writing is under way any more, a minute at most, in which the clock stands. */
static void settle(void)
{
    for (int i = 0; i < 60000 && kit.srv.keeper.write; i++) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        timer_ring(&kit.srv.keeper.due);
    }
    assert_null(kit.srv.keeper.write);
}

/* What a server that starts now would know of source. */
static bool is_on_disk(const char *source)
{
    static struct known k;
    struct errmsg why;
    uint8_t key[KEYED_HASH_KEY_BYTES] = {0};
    known_init(&k, key);
    int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(known_store_read(dirfd, dir, &k, kit.now, (uint64_t)time(NULL), &why), 0);
    (void)close(dirfd);
    return known_source(&k, source, kit.now);
}

/* ---- when ---- */

/* Somebody comes each 0.9 s while it is written: that it is over is seen all the same. */
static void nobody_puts_the_end_of_a_writing_off(void **state)
{
    (void)state;
    proves_itself("192.0.2.1", "nas");
    wait_until(kit.now);
    assert_non_null(kit.srv.keeper.write);
    mtime_ms looks_at = timer_due(&kit.srv.keeper.due);
    kit.now += 900;
    proves_itself("192.0.2.2", "nas");
    assert_int_equal(timer_due(&kit.srv.keeper.due), looks_at);
    settle();
}

static void a_new_one_is_written_at_once_and_then_once_a_minute(void **state)
{
    mtime_ms began = kit.now;
    (void)state;
    proves_itself("192.0.2.1", "nas");
    wait_until(kit.now);
    settle();
    assert_true(is_on_disk("192.0.2.1"));
    proves_itself("192.0.2.2", "nas");
    assert_int_equal(timer_due(&kit.srv.keeper.due), began + KEEPER_WRITE_MS);
    wait_until(began + KEEPER_WRITE_MS - 1);
    assert_null(kit.srv.keeper.write);
    assert_false(is_on_disk("192.0.2.2"));
    wait_until(began + KEEPER_WRITE_MS);
    settle();
    assert_true(is_on_disk("192.0.2.2"));
    KIT_LINES("");
}

/* A client whose connection is cut each minute does not wear out a disk. */
static void who_only_comes_again_is_written_once_an_hour(void **state)
{
    (void)state;
    proves_itself("192.0.2.1", "nas");
    wait_until(kit.now);
    settle();
    remove_file("known");
    mtime_ms began = kit.now;
    for (int minute = 0; minute < 60; minute++) {
        wait_until(began + minute * 60000);
        proves_itself("192.0.2.1", "nas");
        assert_null(kit.srv.keeper.write);
    }
    assert_false(is_on_disk("192.0.2.1"));
    wait_until(began + HOUR_MS);
    settle();
    assert_true(is_on_disk("192.0.2.1"));
}

static void nothing_changed_writes_nothing(void **state)
{
    (void)state;
    wait_until(kit.now + 48 * HOUR_MS);
    assert_true(timer_due(&kit.srv.keeper.due) == MTIME_NEVER);
    keeper_end(&kit.srv);
    assert_false(is_on_disk("192.0.2.1"));
    KIT_DID("timer-close ");
}

static void the_end_writes_what_is_not_written_yet(void **state)
{
    (void)state;
    proves_itself("192.0.2.1", "nas");
    wait_until(kit.now);
    proves_itself("192.0.2.2", "nas"); /* while the first is under way, or was just over */
    keeper_end(&kit.srv);
    assert_true(is_on_disk("192.0.2.2"));
    KIT_DID("timer-close ");
    KIT_LINES("");
}

/* When clients were here is written with it: so not more often either. A damaged one says nothing, and is replaced. */
static void when_clients_were_here_is_kept(void **state)
{
    char path[160];
    (void)state;
    for (int damaged = 0; damaged < 2; damaged++) {
        keeper_changed(&kit.srv, last_seen_note(&kit.srv.last_seen, "nas", 1800000000 + damaged));
        keeper_end(&kit.srv);
        last_seen_fini(&kit.srv.last_seen);
        begin();
        KIT_LINES("");
        assert_int_equal(last_seen_at(&kit.srv.last_seen, "nas"), 1800000000 + damaged);
        keeper_end(&kit.srv);
        (void)snprintf(path, sizeof path, "%s/last-seen", dir);
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        (void)fputs("nas 7\n", f);
        (void)fclose(f);
        last_seen_fini(&kit.srv.last_seen);
        begin();
        assert_int_equal(kit_count("when clients were here last is not known: "), 1);
        assert_int_equal(kit_count("last-seen is damaged"), 1);
        assert_int_equal(kit.srv.last_seen.count, 0);
        *kit.did = '\0';
        *kit.lines = '\0';
    }
    last_seen_fini(&kit.srv.last_seen);
}

static void the_next_run_knows_them_by_the_same_numbers(void **state)
{
    (void)state;
    proves_itself("192.0.2.1", "nas");
    uint64_t id = known_id(&kit.srv.known, "192.0.2.1", "nas", kit.now);
    keeper_end(&kit.srv);
    kit.now += HOUR_MS; /* another boot's clock */
    begin();
    assert_true(known_source(&kit.srv.known, "192.0.2.1", kit.now));
    assert_false(known_source(&kit.srv.known, "192.0.2.2", kit.now));
    assert_true(known_id(&kit.srv.known, "192.0.2.1", "nas", kit.now) == id);
    KIT_LINES("");
}

/* ---- what goes wrong ---- */

static void put(const void *p, size_t n)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/known", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && write(fd, p, n) == (ssize_t)n);
    (void)close(fd);
}

static void a_damaged_file_is_one_line_and_is_replaced(void **state)
{
    (void)state;
    keeper_end(&kit.srv);
    put("nothing of ours", 15);
    begin();
    assert_int_equal(kit_count("every address counts as a stranger's"), 1);
    assert_int_equal(kit_count("/known is damaged"), 1);
    proves_itself("192.0.2.1", "nas");
    wait_until(kit.now);
    settle();
    assert_true(is_on_disk("192.0.2.1"));
    assert_int_equal(kit_count(""), 1);
}

static void what_cannot_be_written_is_one_line(void **state)
{
    (void)state;
    assert_int_equal(rmdir(dir), 0);
    proves_itself("192.0.2.1", "nas");
    for (int minute = 0; minute < 10; minute++) {
        wait_until(kit.now + 60000);
        settle();
    }
    assert_int_equal(kit_count("cannot be kept over a restart: cannot write "), 1);
    assert_int_equal(kit_count(""), 1);
    keeper_end(&kit.srv);
    assert_int_equal(kit_count(""), 1);
}

static void what_can_be_written_again_is(void **state)
{
    (void)state;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/known", dir);
    assert_int_equal(mkdir(path, 0700), 0); /* nothing is renamed over a folder */
    proves_itself("192.0.2.1", "nas");
    wait_until(kit.now);
    settle();
    assert_int_equal(kit_count("cannot be kept over a restart: "), 1);
    assert_int_equal(rmdir(path), 0);
    wait_until(kit.now + KEEPER_WRITE_MS);
    settle();
    assert_true(is_on_disk("192.0.2.1"));
    assert_int_equal(kit_count(""), 1);
    remove_file("known"); /* once more: that is news again */
    assert_int_equal(mkdir(path, 0700), 0);
    proves_itself("192.0.2.2", "nas");
    wait_until(kit.now + KEEPER_WRITE_MS);
    settle();
    assert_int_equal(kit_count(""), 2);
    assert_int_equal(rmdir(path), 0);
}

static void without_a_folder_it_goes_on(void **state)
{
    (void)state;
    keeper_end(&kit.srv);
    kit.opt.certs = "/nonexistent/certs";
    begin();
    assert_int_equal(kit_count("cannot be kept over a restart: "), 1);
    proves_itself("192.0.2.1", "nas");
    assert_true(timer_due(&kit.srv.keeper.due) == MTIME_NEVER);
    keeper_end(&kit.srv);
    assert_int_equal(kit_count(""), 1);
}

static void *volatile abandoned[2]; /* by the keeper: their threads have them */

/* Ends with a disk that ends the writing under way after so long, 0: never, and then stands. */
static void end_with_slow_disk(mtime_ms first_takes)
{
    uint64_t began_ns = disk.clock_ns;
    char leftover[128];
    (void)snprintf(leftover, sizeof leftover, "%s/.known.gotunnel-tmp", dir);
    disk_stands(true);
    proves_itself("192.0.2.1", "nas");
    wait_until(kit.now);
    wait_for_the_disk();
    proves_itself("192.0.2.2", "nas");
    disk.first_takes = first_takes;
    keeper_end(&kit.srv);
    assert_true(disk.clock_ns - began_ns == (uint64_t)KEEPER_END_MS * 1000000);
    wait_for_the_disk();
    abandoned[first_takes > 0] = kit.srv.keeper.write;
    disk_stands(false);
    while (faccessat(AT_FDCWD, leftover, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Who stops the program does not wait for a dead disk, nor twice for a slow one. */
static void the_end_waits_for_a_disk_two_seconds_at_most(void **state)
{
    (void)state;
    assert_true(KEEPER_END_MS <= 2000);
    end_with_slow_disk(0);
    assert_int_equal(kit_count("cannot be kept over a restart: the disk takes too long"), 1);
}

static void the_time_of_two_writings_is_one(void **state)
{
    (void)state;
    end_with_slow_disk(KEEPER_END_MS - 100);
    assert_int_equal(kit_count("cannot be kept over a restart: the disk takes too long"), 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(nobody_puts_the_end_of_a_writing_off),
        T(a_new_one_is_written_at_once_and_then_once_a_minute),
        T(when_clients_were_here_is_kept),
        T(who_only_comes_again_is_written_once_an_hour),
        T(nothing_changed_writes_nothing),
        T(the_end_writes_what_is_not_written_yet),
        T(the_next_run_knows_them_by_the_same_numbers),
        T(a_damaged_file_is_one_line_and_is_replaced),
        T(what_cannot_be_written_is_one_line),
        T(what_can_be_written_again_is),
        T(without_a_folder_it_goes_on),
        T(the_end_waits_for_a_disk_two_seconds_at_most),
        T(the_time_of_two_writings_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
