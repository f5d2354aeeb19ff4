/* SPDX-License-Identifier: MIT */
/* server/clients_dir and server/clients: files of clients, in a folder of its own for each test. */
#include "server/clients.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/rights.h"
#include "unit/lines.h"

static char top[64], path[80];
static struct clients_dir dir;
static bool is_open;
static struct clients_file file;
static struct credentials *table, *former;
static struct clients_counts counts;
static struct errmsg why;
static unsigned told;
static char text[512]; /* the last one told */

static int setup(void **state)
{
    (void)state;
    (void)snprintf(top, sizeof top, "/tmp/gotunnel-clients-XXXXXX");
    assert_non_null(mkdtemp(top));
    (void)snprintf(path, sizeof path, "%s/clients", top);
    assert_int_equal(clients_dir_open(&dir, path, CLIENTS_DIR_CHANGE, &why), 0);
    is_open = true;
    told = 0;
    return 0;
}

static int teardown(void **state)
{
    char command[128];
    (void)state;
    if (is_open)
        clients_dir_close(&dir);
    is_open = false;
    clients_file_fini(&file);
    credentials_unref(table);
    credentials_unref(former);
    table = former = NULL;
    (void)snprintf(command, sizeof command, "rm -rf %s", top);
    assert_int_equal(system(command), 0);
    return 0;
}

/* The key that comes of a T of these bytes. */
static void key_of(char ret[CLIENT_KEY_BUF], unsigned n)
{
    struct client_secret secret;
    struct client_key key;
    uint8_t t[CLIENT_KEY_T_BYTES] = {(uint8_t)n, (uint8_t)(n >> 8), 1};
    assert_int_equal(client_secret_init(&secret, t), 0);
    assert_int_equal(client_key_init(&key, &secret), 0);
    assert_int_equal(client_key_put(ret, &key), 0);
}

static void write_file(const char *name, mode_t mode, const char *bytes)
{
    int fd = openat(dir.fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, strlen(bytes)), strlen(bytes));
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
}

static void put_client(const char *name, unsigned key, const char *rest)
{
    char text_of_key[CLIENT_KEY_BUF], bytes[1024], file_name[128];
    key_of(text_of_key, key);
    (void)snprintf(bytes, sizeof bytes, "key: %s\n%s", text_of_key, rest);
    (void)snprintf(file_name, sizeof file_name, "%s.yaml", name);
    write_file(file_name, 0600, bytes);
}

static void on_tell(void *ctx, const char *line)
{
    (void)ctx;
    told++;
    (void)snprintf(text, sizeof text, "%s", line);
}

static void load(void)
{
    told = 0;
    assert_int_equal(clients_load(&dir, former, on_tell, NULL, &table, &counts, &why), 0);
}

static void the_folder_is_closed_to_others(void **state)
{
    (void)state;
    struct stat st;
    struct clients_dir other;
    assert_int_equal(fstat(dir.fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(clients_dir_open(&other, path, CLIENTS_DIR_READ, &why), 0);
    clients_dir_close(&other);
    assert_int_equal(fchmod(dir.fd, 0777), 0);
    assert_int_equal(clients_dir_open(&other, path, CLIENTS_DIR_READ, &why), ERR_PERM);
    assert_non_null(strstr(why.text, "chmod go-w"));
    assert_int_equal(fchmod(dir.fd, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/none", top);
    assert_int_equal(clients_dir_open(&other, path, CLIENTS_DIR_READ, &why), ERR_NOTFOUND);
    assert_int_equal(access(path, F_OK), -1); /* and was not made */
}

static void a_file_comes_changes_and_goes(void **state)
{
    (void)state;
    char key[CLIENT_KEY_BUF], bytes[512];
    struct stat st;
    key_of(key, 1);
    int n = snprintf(bytes, sizeof bytes, "key: %s\nports: 80\n", key);
    (void)umask(0);
    assert_int_equal(clients_dir_add(&dir, "a", bytes, (size_t)n, &why), 0);
    assert_int_equal(clients_dir_read(&dir, "a", &file, &why), 0);
    assert_memory_equal(file.bytes, bytes, n);
    assert_true(ports_contain(&file.entry.ports, 80));
    assert_int_equal(fstatat(dir.fd, "a.yaml", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(clients_dir_add(&dir, "a", "x", 1, &why), ERR_INUSE);
    assert_string_equal(why.text, "there is a client called a");
    assert_int_equal(clients_dir_read(&dir, "a", &file, &why), 0);

    n = snprintf(bytes, sizeof bytes, "key: %s\nports: 81\n", key);
    assert_int_equal(clients_dir_replace(&dir, "a", bytes, (size_t)n, &why), 0);
    assert_int_equal(clients_dir_read(&dir, "a", &file, &why), 0);
    assert_true(ports_contain(&file.entry.ports, 81));

    assert_int_equal(clients_dir_revoke(&dir, "a", &why), 0);
    assert_int_equal(clients_dir_read(&dir, "a", &file, &why), ERR_NOTFOUND);
    assert_int_equal(fstatat(dir.fd, "a.revoked", &st, 0), 0);
    assert_int_equal(clients_dir_revoke(&dir, "a", &why), ERR_NOTFOUND);
    assert_string_equal(why.text, "there is no client called a");
}

/* A full disk: nothing is changed, and nothing left. */
static void a_file_that_finds_no_room(void **state)
{
    (void)state;
    static const struct rlimit none = {0, RLIM_INFINITY};
    struct rlimit before;
    struct clients_names names;
    write_file("a.yaml", 0600, "was\n");
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    int added = clients_dir_add(&dir, "b", "is\n", 3, &why);
    int replaced = clients_dir_replace(&dir, "a", "is\n", 3, &why);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(added < 0 && replaced < 0);
    assert_non_null(strstr(why.text, "cannot write "));
    assert_int_equal(clients_dir_read(&dir, "a", &file, &why), ERR_INVAL);
    assert_memory_equal(file.bytes, "was\n", 4);
    assert_int_equal(clients_dir_names(&dir, &names, &why), 0);
    assert_int_equal(names.count, 1);
    clients_names_fini(&names);
    assert_int_equal(faccessat(dir.fd, ".a.gotunnel-tmp", F_OK, 0), -1);
    assert_int_equal(faccessat(dir.fd, ".b.gotunnel-tmp", F_OK, 0), -1);
}

/* What a crash has left is in nobody's way. */
static void a_leftover(void **state)
{
    (void)state;
    write_file(".a.gotunnel-tmp", 0400, "half");
    assert_int_equal(clients_dir_add(&dir, "a", "whole", 5, &why), 0);
    assert_int_equal(faccessat(dir.fd, ".a.gotunnel-tmp", F_OK, 0), -1);
}

static void names_are_those_of_the_files(void **state)
{
    (void)state;
    struct clients_names names;
    static const char *const files[] = {"b.yaml",     "a.yaml", ".c.yaml", "d.revoked",
                                        "yaml",       ".yaml",  "e.yaml~", "not a name.yaml",
                                        "f.yaml.yaml"};
    static const char *const wanted[] = {"a", "b", "f.yaml", "not a name"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        write_file(files[i], 0600, "");
    assert_int_equal(clients_dir_names(&dir, &names, &why), 0);
    assert_int_equal(names.count, ARRAY_LEN(wanted));
    for (size_t i = 0; i < names.count; i++)
        assert_string_equal(names.list[i], wanted[i]);
    assert_false(names.has_more);
    clients_names_fini(&names);
}

static void files_that_are_refused(void **state)
{
    (void)state;
    static char big[CLIENTS_DIR_FILE_MAX + 2];
    memset(big, '#', sizeof big - 1);
    write_file("open.yaml", 0644, "key: x\n");
    write_file("big.yaml", 0600, big);
    put_client("good", 1, "");
    assert_int_equal(symlinkat("good.yaml", dir.fd, "link.yaml"), 0);
    assert_int_equal(clients_dir_read(&dir, "good", &file, &why), 0);
    assert_int_equal(mkfifoat(dir.fd, "pipe.yaml", 0600), 0);
    assert_int_equal(mkdirat(dir.fd, "folder.yaml", 0700), 0);
    assert_int_equal(clients_dir_read(&dir, "open", &file, &why), ERR_PERM);
    assert_non_null(strstr(why.text, "chmod 600"));
    assert_int_equal(clients_dir_read(&dir, "big", &file, &why), ERR_INVAL);
    assert_non_null(strstr(why.text, "/clients/big.yaml: the file has more than 65536 bytes"));
    assert_true(clients_dir_read(&dir, "link", &file, &why) < 0);
    assert_int_equal(clients_dir_read(&dir, "pipe", &file, &why), ERR_INVAL);
    assert_non_null(strstr(why.text, "/clients/pipe.yaml: it is not a regular file"));
    assert_int_equal(clients_dir_read(&dir, "folder", &file, &why), ERR_INVAL);
    assert_int_equal(clients_dir_read(&dir, "../x", &file, &why), ERR_INVAL);
}

static void keys_that_are_none(void **state)
{
    (void)state;
    static const char *const words[] = {"it is no key", "missing or wrong"};
    char key[CLIENT_KEY_BUF], bytes[256];
    bool more;
    key_of(key, 1);
    for (int i = 0; i < 2; i++) {
        key[i == 0 ? 0 : 40] ^= 1;
        (void)snprintf(bytes, sizeof bytes, "key: %s\n", key);
        write_file("a.yaml", 0600, bytes);
        assert_int_equal(clients_dir_read(&dir, "a", &file, &why), ERR_INVAL);
        assert_non_null(strstr(config_errors_get(&file.errors, 0, &more)->text, words[i]));
        key_of(key, 1);
    }
}

static void one_lock_for_who_changes(void **state)
{
    (void)state;
    struct clients_dir other;
    struct timespec begin, end;
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    assert_int_equal(clients_dir_open(&other, path, CLIENTS_DIR_CHANGE, &why), ERR_TIMEOUT);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    assert_true(end.tv_sec - begin.tv_sec >= CLIENTS_DIR_LOCK_MS / 1000 - 1);
    assert_non_null(strstr(why.text, "another process is changing "));
    clients_dir_close(&dir);
    assert_int_equal(clients_dir_open(&dir, path, CLIENTS_DIR_CHANGE, &why), 0);
}

/* ---- all of them ---- */

static void a_table_of_them(void **state)
{
    (void)state;
    char old[CLIENT_KEY_BUF], wanted[CLIENT_KEY_BUF], is[CLIENT_KEY_BUF], rest[512];
    key_of(old, 7);
    (void)snprintf(rest, sizeof rest,
                   "ports: 80\nexpires: 2027-01-31T00:00:00Z\ndisabled: true\n"
                   "keys-old: [{key: %s, until: 1970-01-01T00:00:09Z}]\n",
                   old);
    put_client("a", 1, rest);
    put_client("b", 2, "expires: 1970-01-01T00:00:00Z\n");
    put_client("c", 3, "");
    load();
    assert_int_equal(told, 0);
    assert_int_equal(counts.clients, 3);
    assert_int_equal(counts.broken, 0);
    assert_int_equal(credentials_count(table), 3);
    const struct credential *c = credentials_find(table, "a");
    assert_non_null(c);
    key_of(wanted, 1);
    assert_int_equal(client_key_put(is, &c->key), 0);
    assert_string_equal(is, wanted);
    assert_true(c->expires_s == 1801353600 && c->is_disabled);
    assert_int_equal(c->old_count, 1);
    assert_true(c->old[0].until_s == 9);
    assert_int_equal(client_key_put(is, &c->old[0].key), 0);
    assert_string_equal(is, old);
    assert_true(rights_may_have_port(c->rights, 80));
    assert_true(credentials_find(table, "b")->expires_s > 0); /* 0 would be for ever */
    assert_true(credentials_find(table, "c")->expires_s == 0);
    assert_null(credentials_find(table, "d"));
}

/* A broken file costs its client alone, and who was known keeps what he had. */
static void a_broken_one_keeps_its_former_rights(void **state)
{
    (void)state;
    char wanted[CLIENT_KEY_BUF], is[CLIENT_KEY_BUF];
    put_client("a", 1, "ports: 80\n");
    put_client("b", 2, "ports: 80\n");
    load();
    former = table;
    put_client("a", 3, "ports: 80 to 90\n");
    put_client("b", 4, "ports: 81\n");
    put_client("c", 5, "prots: 81\n");
    load();
    assert_int_equal(counts.clients, 2);
    assert_int_equal(counts.broken, 2);
    assert_int_equal(counts.kept, 1);
    assert_int_equal(told, 2);
    assert_non_null(strstr(text, "/clients/c.yaml:2:1: 'prots' is no key here; 'ports'?"));
    credentials_unref(former);
    former = NULL;
    const struct credential *c = credentials_find(table, "a");
    key_of(wanted, 1);
    assert_int_equal(client_key_put(is, &c->key), 0);
    assert_string_equal(is, wanted);
    assert_true(rights_may_have_port(c->rights, 80));
    assert_false(rights_may_have_port(c->rights, 90));
    assert_true(rights_may_have_port(credentials_find(table, "b")->rights, 81));
    assert_null(credentials_find(table, "c"));
}

/* One file alone: all others are as they were in the former table, whatever their files say now. */
static void one_file_is_read_again(void **state)
{
    struct credentials *t = NULL;
    (void)state;
    put_client("a", 1, "ports: 80\n");
    put_client("b", 2, "ports: 81\n");
    load();
    former = table;
    table = NULL;
    put_client("a", 1, "ports: 90\n");
    put_client("b", 2, "ports: 91\n");
    put_client("c", 3, "ports: 92\n");
    assert_int_equal(clients_load_one(&dir, former, "a", &t, &why), 1);
    assert_int_equal(credentials_count(t), 2);
    assert_true(rights_may_have_port(credentials_find(t, "a")->rights, 90));
    assert_true(rights_may_have_port(credentials_find(t, "b")->rights, 81));
    credentials_unref(former);
    former = t;
    assert_int_equal(clients_load_one(&dir, former, "c", &t, &why), 1);
    assert_int_equal(credentials_count(t), 3);
    credentials_unref(former);
    former = t;
    assert_int_equal(clients_dir_revoke(&dir, "b", &why), 0);
    assert_int_equal(clients_load_one(&dir, former, "b", &t, &why), 0);
    assert_int_equal(credentials_count(t), 2);
    assert_null(credentials_find(t, "b"));
    credentials_unref(t);
    t = NULL;
    put_client("a", 1, "prots: 80\n");
    assert_int_equal(clients_load_one(&dir, former, "a", &t, &why), ERR_INVAL);
    assert_non_null(strstr(why.text, "/clients/a.yaml:2:1: 'prots' is no key here; 'ports'?"));
    assert_int_equal(clients_load_one(&dir, former, "../a", &t, &why), ERR_INVAL);
    assert_null(t);
}

/* As a server does at its start: the folder is found, and the log says what is in it. */
static void a_server_takes_them(void **state)
{
    (void)state;
    char certs[96], line[160];
    struct server_options opt = {.certs = certs, .clients = ""};
    put_client("a", 1, "");
    put_client("b", 2, "prots: 80\n");
    lines_seen[0] = '\0';
    (void)snprintf(certs, sizeof certs, "%s/certs//", top);
    assert_int_equal(clients_take(&opt, NULL, &table), 0);
    assert_int_equal(credentials_count(table), 1);
    (void)snprintf(line, sizeof line, "clients with a key in %s/clients: 1; broken files: 1", top);
    assert_int_equal(lines_count(line), 1);
    assert_int_equal(lines_count("/clients/b.yaml:2:1: 'prots' is no key here; 'ports'?"), 1);
    assert_int_equal(lines_count(""), 2);

    /* A reload: who is broken now is there as before. */
    put_client("a", 3, "ports: x\n");
    former = table;
    assert_int_equal(clients_take(&opt, former, &table), 0);
    assert_non_null(credentials_find(table, "a"));

    /* One that was asked for is there. */
    lines_seen[0] = '\0';
    opt.clients = "/tmp/gotunnel-none/clients";
    assert_int_equal(clients_take(&opt, NULL, &former), ERR_NOTFOUND);
    assert_int_equal(lines_count("cannot load the clients: cannot open folder /tmp/gotunnel-none"),
                     1);
    opt.clients = path;
    assert_int_equal(fchmod(dir.fd, 0777), 0);
    assert_int_equal(clients_take(&opt, NULL, &former), ERR_PERM);
}

static void a_server_without_any(void **state)
{
    (void)state;
    char certs[96];
    struct server_options opt = {.certs = certs, .clients = ""};
    (void)snprintf(certs, sizeof certs, "%s/clients/certs", top);
    lines_seen[0] = '\0';
    assert_int_equal(clients_take(&opt, NULL, &table), 0);
    assert_null(table);
    assert_int_equal(lines_count(""), 0);
}

static void lines_about_broken_ones_have_a_bound(void **state)
{
    (void)state;
    char name[16];
    struct server_options opt = {.certs = "certs", .clients = path};
    for (unsigned i = 0; i < CLIENTS_LINES_MAX + 5; i++) {
        (void)snprintf(name, sizeof name, "%u", i);
        put_client(name, i, "x: 1\n");
    }
    lines_seen[0] = '\0';
    assert_int_equal(clients_take(&opt, NULL, &table), 0);
    assert_int_equal(lines_count("'x' is no key here"), CLIENTS_LINES_MAX);
    assert_int_equal(lines_count("broken files: 25"), 1);
}

/* How long it takes is printed, and held by nobody. */
static void ten_thousand(void **state)
{
    (void)state;
    enum { MANY = 10000, BROKEN = 100 };
    struct timespec begin, end;
    char name[32];
    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "client-%05u", i);
        put_client(name, i,
                   i % (MANY / BROKEN) ? "ports: 20000-20100,2222\ntunnels: 16\nrate: 50/s\n"
                                         "from: [203.0.113.0/24, 2001:db8::1]\n"
                                       : "ports: x\n");
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    load();
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    print_message("%d files: %.3f s\n", MANY,
                  (double)(end.tv_sec - begin.tv_sec) +
                      (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
    assert_int_equal(counts.clients, MANY - BROKEN);
    assert_int_equal(counts.broken, BROKEN);
    assert_int_equal(told, BROKEN);
    assert_null(credentials_find(table, "client-00000"));
    assert_non_null(credentials_find(table, "client-00001"));
    assert_non_null(credentials_find(table, "client-09999"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_folder_is_closed_to_others, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_comes_changes_and_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_finds_no_room, setup, teardown),
        cmocka_unit_test_setup_teardown(a_leftover, setup, teardown),
        cmocka_unit_test_setup_teardown(names_are_those_of_the_files, setup, teardown),
        cmocka_unit_test_setup_teardown(files_that_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_that_are_none, setup, teardown),
        cmocka_unit_test_setup_teardown(one_lock_for_who_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_table_of_them, setup, teardown),
        cmocka_unit_test_setup_teardown(a_broken_one_keeps_its_former_rights, setup, teardown),
        cmocka_unit_test_setup_teardown(one_file_is_read_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_takes_them, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_without_any, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_about_broken_ones_have_a_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(ten_thousand, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
