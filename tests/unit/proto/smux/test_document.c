/* SPDX-License-Identifier: MIT */
/* The test vectors of docs/protocol.md 4.6 and 4.7 are what two sessions of gotunnel/2 say to each
   other. */
#include "kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

enum { BYTES_MAX = 1024 };

/* What one end says, from a count on. */
struct speech {
    uint64_t from;
    size_t n;
    uint8_t p[BYTES_MAX];
};

/* One block of the document. */
struct block {
    struct speech server, client;
};

/* Adds a line: who, the count, bytes in hex, words. */
static void add_line(struct block *b, const char *line)
{
    struct speech *s = line[0] == 's' ? &b->server : &b->client;
    assert_true(line[0] == 's' || line[0] == 'c');
    char *at;
    uint64_t count = strtoull(line + 1, &at, 10);
    if (s->n == 0)
        s->from = count;
    assert_int_equal(count, s->from + s->n);
    at += strspn(at, " ");
    for (unsigned byte; sscanf(at, "%2x", &byte) == 1 && strspn(at, "0123456789abcdef") == 2;) {
        s->p[s->n++] = (uint8_t)byte;
        at += 2;
        size_t gap = strspn(at, " ");
        at += gap;
        if (gap != 1 && gap != 2)
            break; /* the words */
    }
}

/* Reads the n-th block of vectors. */
static void load(struct block *ret, int n)
{
    char path[4096], line[256];
    const char *root = getenv("GOTUNNEL_VECTORS");
    assert_non_null(root);
    (void)snprintf(path, sizeof path, "%s/../../docs/protocol.md", root);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    memset(ret, 0, sizeof *ret);
    bool inside = false;
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, "```", 3) == 0)
            inside = strncmp(line, "```vectors", 10) == 0 && n-- == 0;
        else if (inside)
            add_line(ret, line);
    }
    (void)fclose(f);
    assert_true(ret->server.n > 0 && ret->client.n > 0);
}

/* Up to n bytes of output, which must be those of the speech at that place. */
static void says(struct kit *k, const struct speech *want, size_t n)
{
    uint64_t at = k->s->out.sent;
    assert_in_range(at, want->from, want->from + want->n - n);
    for (size_t done = 0, part; done < n; done += part) {
        const uint8_t *p = smux_session_output(k->s, &part);
        assert_true(part > 0);
        part = part < n - done ? part : n - done;
        assert_memory_equal(p, want->p + (at - want->from) + done, part);
        smux_session_sent(k->s, part);
    }
}

/* What is to be heard, as events. */
static const char *hears(struct kit *k, const struct speech *said, uint64_t from, uint64_t to)
{
    assert_int_equal(smux_session_received(k->s), from);
    kit_clear(k);
    (void)kit_feed(k, said->p + (from - said->from), (size_t)(to - from));
    return kit_text(k);
}

static void write_text(struct smux_stream *st, const char *text)
{
    uint8_t *p;
    size_t room;
    assert_int_equal(smux_stream_reserve(st, &p, &room), 0);
    assert_in_range(strlen(text), 1, room);
    memcpy(p, text, strlen(text));
    smux_stream_commit(st, strlen(text));
}

static void the_vectors_are_a_conversation(void **state)
{
    (void)state;
    struct block one, two;
    load(&one, 0);
    load(&two, 1);
    struct smux_config cfg = smux_config_default(true, SMUX_WIRE_GOTUNNEL2);
    cfg.recv_window = 1 << 20;
    struct kit *s = kit_new_v2(false), *c = kit_new(true, &cfg);

    says(s, &one.server, 16);
    says(c, &one.client, 16);
    assert_string_equal(hears(s, &one.client, 0, 16), "");
    assert_string_equal(hears(c, &one.server, 0, 16), "");
    says(c, &one.client, 32);
    says(s, &one.server, 32);
    assert_string_equal(hears(s, &one.client, 16, 48), "");
    assert_string_equal(hears(c, &one.server, 16, 48), "");

    struct smux_stream *st = kit_open(s);
    write_text(st, "hello");
    smux_stream_finish(st, s->now);
    says(s, &one.server, 29);
    assert_int_equal(s->s->out.staged, 77);
    assert_string_equal(hears(c, &one.server, 48, 66), "OPENED:2 DATA:2:2");
    smux_stream_consumed(c->streams[2], 2, c->now);
    says(c, &one.client, 16);
    assert_string_equal(hears(s, &one.client, 48, 64), "");

    assert_int_equal(smux_session_resume(s->s, smux_session_received(c->s), s->now), 0);
    assert_int_equal(smux_session_resume(c->s, smux_session_received(s->s), c->now), 0);
    says(s, &two.server, 27);
    assert_string_equal(hears(c, &two.server, 66, 93), "DATA:2:3 FIN:2");
    smux_stream_consumed(c->streams[2], 3, c->now);
    write_text(c->streams[2], "ok");
    smux_stream_reset(c->streams[2], SMUX_RST_PEER_RESET, c->now);
    says(c, &two.client, 70);
    smux_session_goaway(c->s, SMUX_GOAWAY_SHUTDOWN, 3000);
    says(c, &two.client, 16);
    assert_string_equal(hears(s, &two.client, 64, 150),
                        "DATA:2:2 RESET:2:connection reset/1/0 GOAWAY:0/0/3000");

    /* nothing in the document is left over */
    assert_int_equal(one.server.n, 77);
    assert_int_equal(one.client.n, 64);
    assert_int_equal(two.server.from + two.server.n, 93);
    assert_int_equal(two.client.from + two.client.n, 150);
    kit_free(s);
    kit_free(c);
}

static struct kit *kit_with_services(bool is_client)
{
    struct smux_config cfg = smux_config_default(is_client, SMUX_WIRE_GOTUNNEL2);
    cfg.caps = SMUX_CAP_SERVICES | SMUX_CAP_READY;
    return kit_new(is_client, &cfg);
}

static void those_of_services_too(void **state)
{
    (void)state;
    struct block one, two;
    load(&one, 2);
    load(&two, 3);
    struct kit *s = kit_with_services(false), *c = kit_with_services(true);

    struct smux_open open = kit_an_open(true);
    struct smux_stream *st;
    says(s, &one.server, 16);
    says(c, &one.client, 16);
    assert_int_equal(smux_stream_open_service(s->s, &open, s, &st), 0);
    write_text(smux_session_control(c->s), "hi\n");
    says(s, &one.server, 41);
    says(c, &one.client, 11);
    assert_string_equal(hears(c, &one.server, 0, 40), "");
    assert_string_equal(hears(s, &one.client, 0, 27), "DATA:1:3");

    assert_int_equal(smux_session_resume(s->s, smux_session_received(c->s), s->now), 0);
    assert_int_equal(smux_session_resume(c->s, smux_session_received(s->s), c->now), 0);
    says(s, &two.server, 49);
    assert_string_equal(hears(c, &two.server, 40, 57), "OPENED:2");
    smux_stream_ready(c->streams[2]);
    says(c, &two.client, 56);
    smux_stream_reset(c->streams[2], SMUX_RST_NO_SERVICE, c->now);
    says(c, &two.client, 12);
    assert_string_equal(hears(s, &two.client, 27, 95), "READY:2 RESET:2:connection reset/8/0");
    assert_string_equal(hears(c, &two.server, 57, 89), "");

    /* nothing in the document is left over */
    assert_int_equal(one.server.n, 57);
    assert_int_equal(one.client.n, 27);
    assert_int_equal(two.server.from + two.server.n, 89);
    assert_int_equal(two.client.from + two.client.n, 95);
    kit_free(s);
    kit_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_are_a_conversation),
        cmocka_unit_test(those_of_services_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
