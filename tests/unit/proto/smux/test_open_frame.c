/* SPDX-License-Identifier: MIT */
/* The payload of OPEN: the vectors both ways, every truncation, every field at its ends. */
#include "proto/smux/open.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/hex.h"
#include "proto/smux/frame.h"

enum { FRAME_MAX = SMUX_HEADER_BYTES + SMUX_OPEN_MAX + 1 };

/* ---- vectors ---- */

/* A copy of its own size lets the address sanitizer see any read beyond it; the caller frees it. */
static uint8_t *copy_of(const uint8_t *p, size_t n)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);
    assert_non_null(copy);
    if (n > 0)
        memcpy(copy, p, n);
    return copy;
}

static void add_address(char *text, const struct address *a)
{
    char hex[33] = "";
    size_t n = a->family == ADDRESS_NONE ? 0 : a->family == ADDRESS_IPV4 ? 4 : 16;
    hex_put(hex, a->ip, n);
    if (n > 0)
        (void)sprintf(text + strlen(text), ",%s:%u", hex, a->port);
    else
        strcat(text, ",-");
}

/* As vectors.py writes it. */
static const char *meaning(const struct smux_open *o)
{
    static char text[1024];
    char trace[33] = "-";
    (void)sprintf(text, "%u,%s", o->service, o->want_ready ? "ready" : "-");
    add_address(text, &o->visitor);
    add_address(text, &o->local);
    add_address(text, &o->origin);
    if (o->has_trace)
        hex_put(trace, o->trace, sizeof o->trace);
    if (o->name_len == 0)
        strcat(text, ",-");
    else
        (void)sprintf(text + strlen(text), ",%.*s", (int)o->name_len, o->name);
    (void)sprintf(text + strlen(text), ",%s", trace);
    return text;
}

/* Header and payload. 0 or ERR_PROTO. */
static int read_frame(const uint8_t *frame, size_t n, struct smux_open *ret)
{
    struct smux_header h;
    int r = smux_header_get(frame, SMUX_WIRE_GOTUNNEL2, SMUX_KNOWS_OPEN, &h);
    if (r < 0)
        return r;
    assert_int_equal(h.cmd, SMUX_OPEN);
    assert_int_equal(h.sid, 2);
    assert_int_equal(h.len, n - SMUX_HEADER_BYTES);
    return smux_open_get(frame + SMUX_HEADER_BYTES, h.len, ret);
}

static void is_written_so(const struct smux_open *o, const uint8_t *p, size_t n)
{
    uint8_t again[SMUX_OPEN_MAX + 1];
    memset(again, 0xee, sizeof again);
    assert_int_equal(smux_open_put(again, o), n);
    assert_memory_equal(again, p, n);
    assert_int_equal(again[n], 0xee);
}

/* Less than the whole: another meaning where it ends behind a TLV, else none. Writing and reading that
   one gives the same. */
static void every_truncation(const uint8_t *p, size_t n)
{
    for (size_t part = 0; part < n; part++) {
        struct smux_open o, same;
        uint8_t *cut = copy_of(p, part), again[SMUX_OPEN_MAX];
        if (smux_open_get(cut, part, &o) == 0) {
            int len = smux_open_put(again, &o);
            assert_true(len > 0 && (size_t)len <= part);
            assert_int_equal(smux_open_get(again, (size_t)len, &same), 0);
            char *first = strdup(meaning(&o));
            assert_string_equal(meaning(&same), first);
            free(first);
        }
        free(cut);
    }
}

static void a_vector(const char *name, uint8_t *frame, size_t n, const char *want)
{
    struct smux_open o, untouched;
    memset(&o, 0x5a, sizeof o);
    untouched = o;
    int r = read_frame(frame, n, &o);
    if (strncmp(name, "no_", 3) == 0) {
        assert_int_equal(r, ERR_PROTO);
        assert_memory_equal(&o, &untouched, sizeof o);
        return;
    }
    assert_int_equal(r, 0);
    assert_string_equal(meaning(&o), want);
    if (strncmp(name, "later_", 6) != 0)
        is_written_so(&o, frame + SMUX_HEADER_BYTES, n - SMUX_HEADER_BYTES);
    every_truncation(frame + SMUX_HEADER_BYTES, n - SMUX_HEADER_BYTES);
}

static void every_vector(void **state)
{
    (void)state;
    char path[4096], name[64], hex[1024], want[1024];
    unsigned count = 0;
    (void)snprintf(path, sizeof path, "%s/open/vectors.txt", getenv("GOTUNNEL_VECTORS"));
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    for (; fscanf(f, "%63s %1023s %1023s", name, hex, want) == 3; count++) {
        uint8_t bytes[FRAME_MAX];
        size_t n = strlen(hex) / 2;
        assert_in_range(n, SMUX_HEADER_BYTES, sizeof bytes);
        assert_true(hex_get(bytes, hex, n));
        uint8_t *frame = copy_of(bytes, n);
        a_vector(name, frame, n, want);
        free(frame);
    }
    (void)fclose(f);
    assert_true(count >= 55);
}

/* ---- what cannot be written ---- */

static struct smux_open example(void)
{
    static const uint8_t visitor[4] = {192, 0, 2, 7}, local[4] = {203, 0, 113, 5};
    return (struct smux_open){
        .service = 7,
        .visitor = address_ipv4(visitor, 50122),
        .local = address_ipv4(local, 443),
    };
}

static int put(const struct smux_open *o)
{
    uint8_t p[SMUX_OPEN_MAX];
    return smux_open_put(p, o);
}

static void no_service(void **state)
{
    (void)state;
    struct smux_open o = example();
    assert_int_equal(put(&o), 18);
    o.service = 0;
    assert_int_equal(put(&o), ERR_INVAL);
}

static void addresses_of_two_families(void **state)
{
    (void)state;
    static const uint8_t ip[16] = {0x20, 1};
    struct smux_open o = example();
    o.local = address_ipv6(ip, 443);
    assert_int_equal(put(&o), ERR_INVAL);
    o.visitor = o.local;
    assert_int_equal(put(&o), 42);
    o.local = (struct address){.family = ADDRESS_NONE};
    assert_int_equal(put(&o), ERR_INVAL);
    o.visitor = o.local;
    o.visitor.port = 99; /* of nobody: it is not said */
    assert_int_equal(put(&o), 8);
    o.origin = address_ipv6(ip, 1);
    assert_int_equal(put(&o), 8 + 2 + 19);
    o.origin.family = (enum address_family)3;
    assert_int_equal(put(&o), ERR_INVAL);
}

/* One that nobody should have made: struct address says that there is none. */
static void a_mapped_address(void **state)
{
    (void)state;
    struct smux_open o = example();
    o.origin = (struct address){.family = ADDRESS_IPV6, .ip = {[10] = 0xff, 0xff, 192, 0, 2, 7}};
    assert_int_equal(put(&o), ERR_INVAL);
    o.origin.ip[11] = 0xfe;
    assert_int_equal(put(&o), 18 + 21);
}

static void names(void **state)
{
    (void)state;
    char name[256];
    struct smux_open o = example();
    memset(name, 'a', sizeof name);
    o.name = name;
    for (o.name_len = 0; o.name_len < sizeof name; o.name_len++) {
        int want = o.name_len == 0 ? 18 : o.name_len > 253 ? ERR_INVAL : 20 + (int)o.name_len;
        assert_int_equal(put(&o), want);
    }
    o.name_len = 3;
    for (int c = 0; c < 256; c++) {
        name[2] = (char)c;
        bool good = c > 0x20 && c < 0x7f && !(c >= 'A' && c <= 'Z');
        assert_int_equal(put(&o), good ? 23 : ERR_INVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vector),
        cmocka_unit_test(no_service),
        cmocka_unit_test(addresses_of_two_families),
        cmocka_unit_test(a_mapped_address),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
