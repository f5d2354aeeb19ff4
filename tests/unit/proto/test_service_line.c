/* SPDX-License-Identifier: MIT */
/* The lines of the control stream: collecting, reading, writing. The vectors are lines that another
   program may be tested with: tests/vectors/service. */
#include "proto/service_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

static struct hello_text text_of(const char *line)
{
    return (struct hello_text){line, strcspn(line, "\n")};
}

static int get(const char *line, enum service_end from, struct service_line *ret)
{
    return service_line_get(text_of(line), from, ret);
}

/* ---- collecting ---- */

static const char three[] = "{\"op\":\"x\"}\n{\"op\":\"close\",\"svc\":1,\"drain_ms\":0}\n{}\n";

/* Feeds text in pieces of `step`; *ret has the lines that came, each behind a bar. */
static int feed_all(struct service_reader *r, const char *text, size_t n, size_t step,
                    char ret[HELLO_MAX])
{
    size_t at = 0;
    int err = ERR_AGAIN;
    ret[0] = '\0';
    while (at < n || err == 0) {
        size_t part = n - at < step ? n - at : step, used = 0;
        err = service_reader_feed(r, (const uint8_t *)text + at, part, &used);
        assert_true(used <= part);
        at += used;
        if (err == ERR_AGAIN)
            assert_int_equal(used, part);
        else if (err < 0)
            return err;
        if (err == 0) {
            struct hello_text line = service_reader_line(r);
            assert_true(strlen(ret) + line.n + 2 < HELLO_MAX);
            (void)snprintf(ret + strlen(ret), line.n + 2, "|%s", line.p);
        }
    }
    return err;
}

static void lines_in_any_pieces(void **state)
{
    (void)state;
    for (size_t step = 1; step <= sizeof three; step++) {
        struct service_reader r;
        char got[HELLO_MAX];
        service_reader_init(&r);
        assert_int_equal(feed_all(&r, three, sizeof three - 1, step, got), ERR_AGAIN);
        assert_string_equal(got, "|{\"op\":\"x\"}|{\"op\":\"close\",\"svc\":1,\"drain_ms\":0}|{}");
        assert_null(r.line); /* between two lines it holds no memory */
        service_reader_fini(&r);
    }
}

static void lines_cut_at_every_byte(void **state)
{
    (void)state;
    for (size_t at = 0; at < sizeof three - 1; at++) {
        struct service_reader r;
        char first[HELLO_MAX], second[HELLO_MAX], both[2 * HELLO_MAX];
        service_reader_init(&r);
        assert_int_equal(feed_all(&r, three, at, sizeof three, first), ERR_AGAIN);
        size_t left = sizeof three - 1 - at;
        assert_int_equal(feed_all(&r, three + at, left, left, second), ERR_AGAIN);
        (void)snprintf(both, sizeof both, "%s%s", first, second);
        assert_string_equal(both, "|{\"op\":\"x\"}|{\"op\":\"close\",\"svc\":1,\"drain_ms\":0}|{}");
        service_reader_fini(&r);
    }
}

static void a_truncated_line_is_not_there(void **state)
{
    (void)state;
    static const char line[] = "{\"op\":\"close\",\"svc\":1,\"drain_ms\":0}\n";
    for (size_t n = 0; n < sizeof line - 1; n++) {
        struct service_reader r;
        struct service_line l;
        char got[HELLO_MAX];
        service_reader_init(&r);
        assert_int_equal(feed_all(&r, line, n, n + 1, got), ERR_AGAIN);
        assert_string_equal(got, "");
        service_reader_fini(&r);
        /* nor is what a peer calls a line */
        if (n < sizeof line - 2)
            assert_int_equal(service_line_get((struct hello_text){line, n}, SERVICE_CLIENT, &l),
                             ERR_PROTO);
    }
}

static void what_is_no_line_is_the_end(void **state)
{
    (void)state;
    static const char *const wrong[] = {"\n", "x", " {", "{}\n\n", "{}\n{}\r\n", "{}\n\x01"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        for (size_t step = 1; step <= strlen(wrong[i]); step++) {
            struct service_reader r;
            char got[HELLO_MAX];
            service_reader_init(&r);
            assert_int_equal(feed_all(&r, wrong[i], strlen(wrong[i]), step, got), ERR_PROTO);
            assert_int_equal(feed_all(&r, "{}\n", 3, 3, got), ERR_PROTO);
            service_reader_fini(&r);
        }
    }
}

static void the_longest_line(void **state)
{
    (void)state;
    for (size_t over = 0; over <= 1; over++) {
        for (size_t step = 1; step < 5000; step = step * 7 + 1) {
            struct service_reader r;
            char in[HELLO_MAX + 1], got[2 * HELLO_MAX];
            memset(in, 'x', sizeof in);
            in[0] = '{';
            in[HELLO_MAX - 1 + over] = '\n';
            service_reader_init(&r);
            /* twice: the bound is a line's */
            int err = feed_all(&r, "{}\n", 3, 3, got);
            assert_int_equal(err, ERR_AGAIN);
            size_t at = 0, used = 0;
            do {
                size_t part = HELLO_MAX + over - at < step ? HELLO_MAX + over - at : step;
                err = service_reader_feed(&r, (const uint8_t *)in + at, part, &used);
                at += used;
            } while (err == ERR_AGAIN);
            assert_int_equal(err, over ? ERR_LIMIT : 0);
            if (!over)
                assert_int_equal(service_reader_line(&r).n, HELLO_MAX - 1);
            service_reader_fini(&r);
        }
    }
}

#define ROOM "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde" /* 63 */

/* ---- vectors ---- */

/* What a line of tests/vectors/service/lines.txt is: written as it was read; read; of an op that is
   not known; none. */
static const struct {
    const char *word;
    int err;
} verdicts[] = {{"same", 0}, {"read", 0}, {"useless", ERR_NOTFOUND}, {"none", ERR_PROTO}};

/* One row of the file: VERDICT END LINE. */
static void check_vector(const char *verdict, enum service_end from, const char *line)
{
    struct service_line l, again;
    char out[HELLO_MAX], twice[HELLO_MAX];
    size_t i = 0;
    while (strcmp(verdicts[i].word, verdict) != 0)
        assert_true(++i < ARRAY_LEN(verdicts));
    int err = get(line, from, &l);
    if (err != verdicts[i].err)
        print_error("%s\n", line);
    assert_int_equal(err, verdicts[i].err);
    if (err < 0 || (l.op == SERVICE_OPEN && l.wanted.kind == SERVICE_KIND_OTHER))
        return;
    (void)service_line_put(out, &l);
    assert_int_equal(get(out, from, &again), 0);
    assert_int_equal(service_line_put(twice, &again), strlen(out));
    assert_string_equal(twice, out);
    if (i == 0)
        assert_string_equal(out, line);
}

static void vectors(void **state)
{
    (void)state;
    char path[4096], line[2 * HELLO_MAX];
    unsigned rows = 0;
    (void)snprintf(path, sizeof path, "%s/service/lines.txt", getenv("GOTUNNEL_VECTORS"));
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        char verdict[8], end[8];
        int at = 0;
        assert_int_equal(sscanf(line, "%7s %7s %n", verdict, end, &at), 2);
        check_vector(verdict, strcmp(end, "client") == 0 ? SERVICE_CLIENT : SERVICE_SERVER,
                     line + at);
        rows++;
    }
    (void)fclose(f);
    assert_true(rows > 60);
}

static void what_they_say(void **state)
{
    (void)state;
    struct service_line l;
    assert_int_equal(get("{\"op\":\"open\",\"svc\":4294967295,\"name\":\"" ROOM "A\",\"kind\":"
                         "\"tcp\",\"port\":65535,\"bind\":\"2001:db8::1\",\"ready\":false}",
                         SERVICE_CLIENT, &l),
                     0);
    assert_int_equal(l.op, SERVICE_OPEN);
    assert_true(l.svc == UINT32_MAX);
    assert_string_equal(l.wanted.name, ROOM "A");
    assert_int_equal(l.wanted.kind, SERVICE_KIND_TCP);
    assert_int_equal(l.wanted.port, 65535);
    assert_string_equal(l.wanted.bind, "2001:db8::1");
    assert_false(l.wanted.ready);
    assert_int_equal(
        get("{\"op\":\"close\",\"svc\":1,\"drain_ms\":4294967295}", SERVICE_CLIENT, &l), 0);
    assert_true(l.op == SERVICE_CLOSE && l.drain_ms == UINT32_MAX);
    assert_int_equal(get("{\"op\":\"refused\",\"svc\":2,\"error\":\"port\",\"errno\":\"" ROOM
                         "\",\"by\":\"" ROOM "\"}",
                         SERVICE_SERVER, &l),
                     0);
    assert_true(l.op == SERVICE_REFUSED && l.why.error == SERVICE_ERR_PORT);
    assert_string_equal(l.why.errno_word, ROOM);
    assert_string_equal(l.why.by, ROOM);
    assert_int_equal(get("{\"op\":\"closed\",\"svc\":2}", SERVICE_SERVER, &l), 0);
    assert_true(l.op == SERVICE_CLOSED && l.why.error == SERVICE_OK);
}

/* ---- what a later version may say ---- */

static void what_is_not_known_is_passed_over(void **state)
{
    (void)state;
    struct service_line l;
    assert_int_equal(get("{\"x\":[{}],\"svc\":3,\"op\":\"close\",\"drain_ms\":1,\"svc2\":null}",
                         SERVICE_CLIENT, &l),
                     0);
    assert_true(l.svc == 3 && l.drain_ms == 1);
    assert_int_equal(get("{\"op\":\"move\"}", SERVICE_CLIENT, &l), ERR_NOTFOUND);
    assert_int_equal(get("{\"op\":\"\"}", SERVICE_SERVER, &l), ERR_NOTFOUND);
    assert_int_equal(get("{\"op\":\"open\",\"svc\":1,\"name\":\"w\",\"kind\":\"tls\",\"port\":443,"
                         "\"bind\":\"\",\"ready\":true}",
                         SERVICE_CLIENT, &l),
                     0);
    assert_int_equal(l.wanted.kind, SERVICE_KIND_OTHER);
    assert_int_equal(
        get("{\"op\":\"refused\",\"svc\":1,\"error\":\"weather\"}", SERVICE_SERVER, &l), 0);
    assert_int_equal(l.why.error, SERVICE_ERR_LIMIT);
}

static void every_word_has_its_error(void **state)
{
    (void)state;
    for (int e = SERVICE_OK + 1; e < SERVICE_ERRORS; e++) {
        struct service_line l = {.op = SERVICE_REFUSED, .svc = 1, .why.error = e}, back;
        char out[HELLO_MAX];
        (void)service_line_put(out, &l);
        assert_int_equal(get(out, SERVICE_SERVER, &back), 0);
        assert_int_equal(back.why.error, e);
        assert_true(*service_error_word(e) != '\0');
    }
    assert_string_equal(service_error_word(SERVICE_OK), "");
    assert_string_equal(service_kind_word(SERVICE_KIND_TCP), "tcp");
    assert_string_equal(service_op_word(SERVICE_NOTICE), "notice");
}

/* ---- what is no line ---- */

static void no_lines(void **state)
{
    (void)state;
    struct service_line l = {.svc = 77};
    assert_int_equal(get("", SERVICE_CLIENT, &l), ERR_PROTO);
    assert_int_equal(get("{\"op\":\"x\",\"y\":\"\xff\"}", SERVICE_CLIENT, &l), ERR_PROTO);
    static const char nul[] = "{\"op\":\"x\"\0}";
    assert_int_equal(service_line_get((struct hello_text){nul, sizeof nul - 1}, SERVICE_CLIENT, &l),
                     ERR_PROTO);
    assert_int_equal(l.svc, 77);
}

/* Each field of an open, missing and with values beyond its bounds. */
static void each_field_of_an_open(void **state)
{
    (void)state;
    static const char *const names[] = {"svc", "name", "kind", "port", "bind", "ready"};
    static const char *const good[] = {"1", "\"a\"", "\"tcp\"", "80", "\"::\"", "true"};
    static const struct {
        int field;
        const char *value;
        int err;
    } rows[] = {
        {0, "4294967295", 0},
        {0, "0", ERR_PROTO},
        {0, "4294967296", ERR_PROTO},
        {1, "\"" ROOM "_\"", 0},
        {1, "\"" ROOM "_.\"", ERR_PROTO},
        {1, "\"\"", ERR_PROTO},
        {1, "\"a b\"", ERR_PROTO},
        {1, "\"a/b\"", ERR_PROTO},
        {1, "\"\xc3\xa4\"", ERR_PROTO},
        {1, "1", ERR_PROTO},
        {2, "\"\"", 0}, /* a kind not served */
        {2, "\"" ROOM "\"", 0},
        {2, "\"" ROOM "x\"", ERR_PROTO},
        {2, "\"a b\"", ERR_PROTO},
        {2, "1", ERR_PROTO},
        {3, "0", 0},
        {3, "65535", 0},
        {3, "65536", ERR_PROTO},
        {3, "-1", ERR_PROTO},
        {3, "80.0", ERR_PROTO},
        {3, "\"80\"", ERR_PROTO},
        {4, "\"\"", 0},
        {4, "\"0.0.0.0\"", 0},
        {4, "\"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255\"", 0},
        {4, "\"1.2.3\"", ERR_PROTO},
        {4, "\"localhost\"", ERR_PROTO},
        {4, "\"[::]\"", ERR_PROTO},
        {4, "\"fe80::1%1\"", ERR_PROTO},
        {4, "null", ERR_PROTO},
        {5, "false", 0},
        {5, "1", ERR_PROTO},
        {5, "null", ERR_PROTO},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows) + ARRAY_LEN(names); i++) {
        bool missing = i >= ARRAY_LEN(rows);
        int changed = missing ? (int)(i - ARRAY_LEN(rows)) : rows[i].field;
        char line[512] = "{\"op\":\"open\"";
        for (int f = 0; f < (int)ARRAY_LEN(names); f++)
            if (f != changed || !missing)
                (void)snprintf(line + strlen(line), sizeof line - strlen(line), ",\"%s\":%s",
                               names[f], f == changed ? rows[i].value : good[f]);
        (void)snprintf(line + strlen(line), sizeof line - strlen(line), "}");
        struct service_line l;
        assert_int_equal(get(line, SERVICE_CLIENT, &l), missing ? ERR_PROTO : rows[i].err);
    }
}

static void the_longest_notice(void **state)
{
    (void)state;
    struct service_line l = {.op = SERVICE_NOTICE}, back;
    char out[HELLO_MAX];
    memset(l.message, 1, SERVICE_MESSAGE_MAX); /* each takes six bytes */
    size_t n = service_line_put(out, &l);
    assert_true(n < HELLO_MAX && n > 6 * SERVICE_MESSAGE_MAX && out[n - 1] == '\n');
    assert_int_equal(get(out, SERVICE_SERVER, &back), 0);
    assert_string_equal(back.message, l.message);
    /* and one more byte than that */
    char line[SERVICE_MESSAGE_MAX + 64];
    memset(l.message, 'x', SERVICE_MESSAGE_MAX);
    (void)snprintf(line, sizeof line, "{\"op\":\"notice\",\"message\":\"x%s\"}", l.message);
    assert_int_equal(get(line, SERVICE_SERVER, &back), ERR_PROTO);
}

static void what_is_written_has_room(void **state)
{
    (void)state;
    struct service_line l = {.op = SERVICE_OPEN, .svc = UINT32_MAX};
    char out[HELLO_MAX];
    memset(l.wanted.name, 'n', SERVICE_NAME_MAX);
    l.wanted.kind = SERVICE_KIND_TCP;
    l.wanted.port = 65535;
    strcpy(l.wanted.bind, "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255");
    assert_true(service_line_put(out, &l) < 256); /* 64 opens fit into the stream's window */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_in_any_pieces),
        cmocka_unit_test(lines_cut_at_every_byte),
        cmocka_unit_test(a_truncated_line_is_not_there),
        cmocka_unit_test(what_is_no_line_is_the_end),
        cmocka_unit_test(the_longest_line),
        cmocka_unit_test(vectors),
        cmocka_unit_test(what_they_say),
        cmocka_unit_test(what_is_not_known_is_passed_over),
        cmocka_unit_test(every_word_has_its_error),
        cmocka_unit_test(no_lines),
        cmocka_unit_test(each_field_of_an_open),
        cmocka_unit_test(the_longest_notice),
        cmocka_unit_test(what_is_written_has_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
