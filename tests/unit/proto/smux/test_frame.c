/* SPDX-License-Identifier: MIT */
/* The frame codec: every field at its ends, and everything that is no frame. */
#include "proto/smux/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "proto/smux/open.h"

static const uint32_t numbers[] = {0,          1,          2,          0xff,
                                   0x100,      0xffff,     0x10000,    0x12345678,
                                   0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};

/* The payload length a command must have, -1 for any. */
static int want_len(unsigned cmd)
{
    return cmd == SMUX_PSH ? -1 : cmd == SMUX_UPD ? 8 : 0;
}

static void known_bytes(void **state)
{
    (void)state;
    static const uint8_t psh[] = {0x02, 0x02, 0x00, 0x80, 0x04, 0x03, 0x02, 0x01};
    uint8_t p[SMUX_HEADER_BYTES];
    struct smux_header h;
    smux_header_put(p, SMUX_WIRE_LEGACY, SMUX_PSH, 32768, 0x01020304);
    assert_memory_equal(p, psh, sizeof psh);
    assert_int_equal(smux_header_get(psh, SMUX_WIRE_LEGACY, SMUX_KNOWS_LEGACY, &h), 0);
    assert_int_equal(h.cmd, SMUX_PSH);
    assert_int_equal(h.len, 32768);
    assert_int_equal(h.sid, 0x01020304);

    static const uint8_t upd[] = {0x15, 0, 0, 0, 0x00, 0x00, 0x01, 0x00};
    struct smux_upd u = smux_upd_get(upd);
    assert_int_equal(u.consumed, 21);
    assert_int_equal(u.window, 65536);
}

static void every_command_version_and_length(void **state)
{
    (void)state;
    for (unsigned version = 0; version < 256; version++) {
        for (unsigned cmd = 0; cmd < 256; cmd++) {
            static const uint16_t lens[] = {0, 1, 7, 8, 9, 255, 256, 0x0800, 65534, 65535};
            for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
                uint8_t p[SMUX_HEADER_BYTES] = {(uint8_t)version, (uint8_t)cmd, (uint8_t)lens[i],
                                                (uint8_t)(lens[i] >> 8)};
                struct smux_header h;
                bool good =
                    version == 2 && cmd <= 4 && (want_len(cmd) < 0 || want_len(cmd) == lens[i]);
                assert_int_equal(smux_header_get(p, SMUX_WIRE_LEGACY, SMUX_KNOWS_LEGACY, &h),
                                 good ? 0 : ERR_PROTO);
            }
        }
    }
}

static void every_field_goes_and_comes_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        for (unsigned cmd = SMUX_SYN; cmd <= SMUX_UPD; cmd++) {
            uint16_t len = want_len(cmd) < 0 ? (uint16_t)numbers[i] : (uint16_t)want_len(cmd);
            uint8_t p[SMUX_HEADER_BYTES + 1];
            memset(p, 0xee, sizeof p);
            smux_header_put(p, SMUX_WIRE_LEGACY, (enum smux_cmd)cmd, len, numbers[i]);
            assert_int_equal(p[SMUX_HEADER_BYTES], 0xee);
            struct smux_header h;
            assert_int_equal(smux_header_get(p, SMUX_WIRE_LEGACY, SMUX_KNOWS_LEGACY, &h), 0);
            assert_int_equal(h.cmd, cmd);
            assert_int_equal(h.len, len);
            assert_int_equal(h.sid, numbers[i]);
        }
    }
}

/* ---- gotunnel/2 ---- */

static bool is_len_3(unsigned cmd, unsigned len)
{
    static const int lens[] = {0, 0, -1, 0, 8, 4, 8, 8, 8, 8};
    if (cmd == SMUX_OPEN)
        return len >= SMUX_OPEN_MIN && len <= SMUX_OPEN_MAX;
    if (cmd == SMUX_READY)
        return len == 0;
    return lens[cmd] < 0 || lens[cmd] == (int)len;
}

static bool is_of_session(unsigned cmd)
{
    return cmd == SMUX_NOP || (cmd >= SMUX_ACK && cmd <= SMUX_GOAWAY);
}

static bool is_known(unsigned cmd, unsigned known)
{
    switch (cmd) {
    case SMUX_SYN:
        return known & SMUX_KNOWS_SYN;
    case SMUX_OPEN:
        return known & SMUX_KNOWS_OPEN;
    case SMUX_READY:
        return known & SMUX_KNOWS_READY;
    }
    return cmd <= SMUX_GOAWAY;
}

static void every_command_length_and_id_of_version_3(void **state)
{
    (void)state;
    static const uint16_t lens[] = {0,  1,   3,   4,   5,   7,      8,      9,
                                    16, 255, 256, 384, 385, 0x0400, 0x0800, 65535};
    static const uint32_t sids[] = {0, 1, 2, 0x100, 0x80000000, 0xffffffff};
    static const unsigned sets[] = {
        SMUX_KNOWS_GOTUNNEL2,
        SMUX_KNOWS_GOTUNNEL2 | SMUX_KNOWS_SYN,
        SMUX_KNOWS_GOTUNNEL2 | SMUX_KNOWS_OPEN,
        SMUX_KNOWS_GOTUNNEL2 | SMUX_KNOWS_READY,
        SMUX_KNOWS_GOTUNNEL2 | SMUX_KNOWS_OPEN | SMUX_KNOWS_READY,
    };
    for (unsigned i = 0; i < ARRAY_LEN(lens) * ARRAY_LEN(sids) * ARRAY_LEN(sets) * 256; i++) {
        unsigned cmd = i % 256, k = i / 256;
        uint16_t len = lens[k % ARRAY_LEN(lens)];
        uint32_t sid = sids[k / ARRAY_LEN(lens) % ARRAY_LEN(sids)];
        unsigned known = sets[k / ARRAY_LEN(lens) / ARRAY_LEN(sids)];
        for (unsigned version = 0; version < 6; version++) {
            uint8_t p[SMUX_HEADER_BYTES] = {0};
            struct smux_header h;
            smux_header_put(p, (uint8_t)version, (enum smux_cmd)cmd, len, sid);
            bool good = version == 3 && is_known(cmd, known) && is_len_3(cmd, len) &&
                        is_of_session(cmd) == (sid == 0);
            int r = smux_header_get(p, SMUX_WIRE_GOTUNNEL2, known, &h);
            assert_int_equal(r, good ? 0 : ERR_PROTO);
            if (good)
                assert_true(h.cmd == cmd && h.len == len && h.sid == sid);
        }
    }
}

static void upd_goes_and_comes_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        for (size_t k = 0; k < ARRAY_LEN(numbers); k++) {
            uint8_t p[SMUX_UPD_BYTES + 1];
            memset(p, 0xee, sizeof p);
            smux_upd_put(p, (struct smux_upd){.consumed = numbers[i], .window = numbers[k]});
            assert_int_equal(p[SMUX_UPD_BYTES], 0xee);
            struct smux_upd u = smux_upd_get(p);
            assert_int_equal(u.consumed, numbers[i]);
            assert_int_equal(u.window, numbers[k]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_bytes),
        cmocka_unit_test(every_command_version_and_length),
        cmocka_unit_test(every_field_goes_and_comes_back),
        cmocka_unit_test(every_command_length_and_id_of_version_3),
        cmocka_unit_test(upd_goes_and_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
