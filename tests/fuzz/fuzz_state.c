/* SPDX-License-Identifier: MIT */
/*
 * Target: the files that a program reads again at its next start, as somebody, or a full disk, may
 * have left them: the client's id (client/identity.c), its servers (client/pins.c), a secret
 * (app/secret.c). The first byte of the input says which; the rest is the file.
 *
 *   - a file is taken as what it is to the letter, or not at all, with a sentence why;
 *   - what is there is never changed; what is added to it is there the next time.
 *
 * Another file: a function, and a row in `kinds`.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/secret.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/file.h"
#include "client/identity.h"
#include "client/pins.h"
#include "conf/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ID_LEN = 32, PIN_LINE = 2 * PIN_BYTES + 1 };

static char folder[64];

static void path_of(char ret[128], const char *name)
{
    (void)snprintf(ret, 128, "%s/%s", folder, name);
}

static void put_file(const char *name, const uint8_t *p, size_t n)
{
    char path[128];
    path_of(path, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || file_write_all(fd, p, n) < n)
        abort();
    (void)close(fd); /* it was written */
}

/* The file begins with these bytes; and how long it is. */
static size_t still_begins(const char *name, const uint8_t *p, size_t n)
{
    static uint8_t now[PINS_FILE_MAX + 4096];
    char path[128];
    path_of(path, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = read(fd, now, sizeof now);
    (void)close(fd); /* only read */
    assert(got >= (ssize_t)n && memcmp(now, p, n) == 0);
    return (size_t)got;
}

static bool are_digits(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(p[i] >= '0' && p[i] <= '9') && !(p[i] >= 'a' && p[i] <= 'f'))
            return false;
    return true;
}

/* ---- client-id ---- */

static void try_id(const uint8_t *p, size_t n)
{
    char id[HELLO_ID_MAX + 1];
    struct errmsg why;
    struct client_options opt = {
        .server = "192.0.2.1:7000", .local_target = "80", .id = "", .remote_port = 8080};
    put_file("client-id", p, n);
    bool is_good = n == ID_LEN + 1 && p[ID_LEN] == '\n' && are_digits(p, ID_LEN);
    int kind = identity_find(id, &opt, &why);
    assert(kind == (is_good ? IDENTITY_KEPT : IDENTITY_TEMPORARY));
    assert(is_good == (*why.text == '\0') && hello_id_is_valid(id));
    assert(!is_good || memcmp(id, p, ID_LEN) == 0);
    assert(still_begins("client-id", p, n) == n);
}

/* ---- servers ---- */

/* Where what counts of the file ends: C strings, up to a size. */
static const uint8_t *end_of(const uint8_t *p, size_t n)
{
    const uint8_t *end = p + (n < PINS_FILE_MAX ? n : PINS_FILE_MAX);
    const uint8_t *nul = memchr(p, '\0', (size_t)(end - p));
    return nul ? nul : end;
}

/* The file has this line, and it is one from its beginning on. */
static bool has_line(const uint8_t *p, size_t n, const uint8_t *line)
{
    const uint8_t *end = end_of(p, n), *lf;
    for (; (lf = memchr(p, '\n', (size_t)(end - p))); p = lf + 1)
        if (lf - p == PIN_LINE - 1 && memcmp(p, line, PIN_LINE) == 0)
            return true;
    return false;
}

/* The digits of a server and a line feed, wherever in a line; NULL: there are none. */
static const uint8_t *find_pin(const uint8_t *p, size_t n)
{
    const uint8_t *end = end_of(p, n), *from = p, *lf;
    for (; (lf = memchr(p, '\n', (size_t)(end - p))); p = lf + 1)
        if (lf - from >= PIN_LINE - 1 && are_digits(lf - (PIN_LINE - 1), PIN_LINE - 1))
            return lf - (PIN_LINE - 1);
    return NULL;
}

static void key_of(uint8_t ret[PIN_BYTES], const uint8_t *line)
{
    for (size_t i = 0; i < PIN_BYTES; i++) {
        char digits[3] = {(char)line[2 * i], (char)line[2 * i + 1], '\0'};
        ret[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
}

static void try_pins(const uint8_t *p, size_t n)
{
    static const uint8_t other[PIN_BYTES] = {0xab, 0xcd};
    uint8_t key[PIN_BYTES] = {1, 2, 3};
    struct pins pins;
    struct errmsg why;
    put_file("servers", p, n);
    pins_init(&pins);
    assert(pins.fd >= 0);
    const uint8_t *line = find_pin(p, n);
    if (line)
        key_of(key, line);
    assert(!line || pins_has(&pins, key) == has_line(p, n, line));
    bool had = pins_has(&pins, other);
    int err = pins_add(&pins, other, &why);
    assert(err == 0 || (err == ERR_LIMIT && !had && *why.text));
    assert(pins_has(&pins, other)); /* in this run, kept or not */
    pins_fini(&pins);
    size_t now = still_begins("servers", p, n);
    assert(had || err < 0 ? now == n : now >= n + PIN_LINE && now <= PINS_FILE_MAX);
    pins_init(&pins);
    bool has_nul = memchr(p, '\0', n) != NULL; /* what is behind one does not count */
    assert(pins_has(&pins, other) == (err == 0) || has_nul);
    pins_fini(&pins);
}

/* The same in a file that is about as full as it may be. */
static void try_full_pins(const uint8_t *p, size_t n)
{
    static uint8_t file[PINS_FILE_MAX + 4096];
    size_t lines = PINS_FILE_MAX - (n > 0 ? p[0] : 0);
    memset(file, '-', lines);
    n = n < 4096 ? n : 4096;
    memcpy(file + lines, p, n);
    try_pins(file, lines + n);
}

/* ---- a secret ---- */

static void try_secret(const uint8_t *p, size_t n)
{
    struct common_options o = {0};
    struct errmsg why;
    char path[128];
    path_of(path, "secret");
    o.secret_file = path;
    put_file("secret", p, n);
    int err = secret_find(&o, &why);
    assert((err < 0) == (*why.text != '\0'));
    if (err < 0)
        return;
    size_t len = strlen(o.secret);
    assert(len > 0 && len <= n && n - len <= 2 && memcmp(o.secret, p, len) == 0);
    assert(!memchr(o.secret, '\n', len));
    for (size_t i = len; i < n; i++)
        assert(p[i] == '\r' || p[i] == '\n');
}

/* ---- */

static void remove_all(void)
{
    static const char *const names[] = {"client-id", "servers", "secret", "."};
    char path[128];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        path_of(path, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

/* In memory where there is a place for it. */
static void make_folder(void)
{
    const char *where = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(folder, sizeof folder, "%s/gotunnel-state-XXXXXX", where);
    if (!mkdtemp(folder) || setenv("STATE_DIRECTORY", folder, 1) < 0)
        abort();
    (void)atexit(remove_all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const kinds[])(const uint8_t *p, size_t n) = {try_id, try_pins, try_full_pins,
                                                                try_secret};
    if (!*folder)
        make_folder();
    if (size > 0)
        kinds[data[0] % ARRAY_LEN(kinds)](data + 1, size - 1);
    return 0;
}
