/* SPDX-License-Identifier: MIT */
/* Files as entries: what is read, where it stands, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "conf/yaml_walk.h"

static char told[1 << 16]; /* entries and complaints, one a line */
static size_t told_len;
static unsigned entries, complaints;

static void say(const char *fmt, ...) PRINTF_LIKE(1, 2);

static void say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(told + told_len, sizeof told - told_len, fmt, ap);
    va_end(ap);
    if (n > 0 && told_len + (size_t)n < sizeof told)
        told_len += (size_t)n;
}

/* line:column /path = text */
static void on_entry(void *ctx, const struct yaml_entry *e)
{
    (void)ctx;
    entries++;
    assert_in_range(e->depth, 1, YAML_WALK_DEPTH_MAX);
    say("%u:%u ", e->at.line, e->at.column);
    for (size_t i = 0; i < e->depth; i++) {
        if (e->path[i].key)
            say("/%s", e->path[i].key);
        else
            say("/%zu", e->path[i].index);
    }
    if (e->kind == YAML_TEXT) {
        assert_int_equal(e->text[e->len], '\0');
        say(e->is_missing ? " missing\n" : " = %s\n", e->text);
    } else {
        assert_null(e->text);
        say(e->kind == YAML_MAP ? " map\n" : " list\n");
    }
}

static void on_wrong(void *ctx, struct yaml_place at, const char *text)
{
    (void)ctx;
    complaints++;
    say("%u:%u: %s\n", at.line, at.column, text);
}

static int walk_bytes(const char *bytes, size_t n)
{
    static const struct yaml_sink sink = {.entry = on_entry, .wrong = on_wrong};
    told_len = 0;
    told[0] = '\0';
    entries = complaints = 0;
    char *copy = malloc(n ? n : 1); /* no byte behind it: ASan sees who reads there */
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    int err = yaml_walk(copy, n, &sink);
    free(copy);
    assert_true(err == 0 || err == ERR_INVAL);
    assert_true(err == 0 || complaints > 0);
    return err;
}

static int walk(const char *text)
{
    return walk_bytes(text, strlen(text));
}

static void paths_texts_and_places(void **state)
{
    (void)state;
    assert_int_equal(walk("# a client\n"
                          "server: vps.example.com:7000   # where to\n"
                          "tunnels:\n"
                          "  - name: ssh\n"
                          "    port: 2222\n"
                          "  - {name: \"web\", port: 8080}\n"
                          "id: 'a b'\n"),
                     0);
    assert_string_equal(told, "2:9 /server = vps.example.com:7000\n"
                              "4:3 /tunnels list\n"
                              "4:5 /tunnels/0 map\n"
                              "4:11 /tunnels/0/name = ssh\n"
                              "5:11 /tunnels/0/port = 2222\n"
                              "6:5 /tunnels/1 map\n"
                              "6:12 /tunnels/1/name = web\n"
                              "6:25 /tunnels/1/port = 8080\n"
                              "7:5 /id = a b\n");
}

static void a_text_has_one_meaning(void **state)
{
    (void)state;
    assert_int_equal(walk("a: no\nb: 022\nc: 1e3\nd: ~\ne: null\nf: 0o22\ng: 2026-11-28\nh: :7000\n"
                          "i: true\nj: 1:30\nk: ''\nl:\nm: .inf\n"),
                     0);
    assert_string_equal(told, "1:4 /a = no\n2:4 /b = 022\n3:4 /c = 1e3\n4:4 /d = ~\n5:4 /e = null\n"
                              "6:4 /f = 0o22\n7:4 /g = 2026-11-28\n8:4 /h = :7000\n9:4 /i = true\n"
                              "10:4 /j = 1:30\n11:4 /k = \n12:3 /l missing\n13:4 /m = .inf\n");
}

static void json_is_read(void **state)
{
    (void)state;
    assert_int_equal(walk("{\n\t\"server\":\"h:1\",\n\t\"tunnels\": [{\"port\": 80}, "
                          "{}],\n\t\"a\\u00e9\\/\": \"\"\n}\n"),
                     0);
    assert_string_equal(told,
                        "2:11 /server = h:1\n3:13 /tunnels list\n3:14 /tunnels/0 map\n"
                        "3:23 /tunnels/0/port = 80\n3:28 /tunnels/1 map\n4:15 /a\xc3\xa9/ = \n");
}

static void columns_are_characters(void **state)
{
    (void)state;
    assert_int_equal(walk("\xef\xbb\xbf{\xe9\x9a\xa7: 1, \xf0\x9f\x98\x80: 2}\r\nx: 1"), ERR_INVAL);
    assert_non_null(strstr(told, "1:5 /\xe9\x9a\xa7 = 1\n1:11 /\xf0\x9f\x98\x80 = 2\n2:1: "));
}

/* A file, and what is said of it. */
static void what_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *file, *told;
        int err;
    } rows[] = {
        {"", "1:1: the file is empty\n", ERR_INVAL},
        {"# nothing\n", "1:1: the file is empty\n", ERR_INVAL},
        {"---\n", "2:1: the file is empty\n", ERR_INVAL},
        {"\xef\xbb\xbf", "1:1: the file is empty\n", ERR_INVAL},
        {"hello\n", "1:1: a key is wanted here, as in 'key: value'\n", ERR_INVAL},
        {"- a\n", "1:1: a key is wanted here, as in 'key: value'\n", ERR_INVAL},
        {"[a]: b\n", "1:1: a key is wanted here, as in 'key: value'\n", ERR_INVAL},
        {"{{a: b}: c}\n", "1:2: a key is wanted here, as in 'key: value'\n", ERR_INVAL},
        {"&x {a: b}\n", "1:1: anchors, aliases, tags and << are not allowed\n", ERR_INVAL},
        {"a: &x b\nc: *x\nd: e\n",
         "1:4: anchors, aliases, tags and << are not allowed\n"
         "2:4: anchors, aliases, tags and << are not allowed\n3:4 /d = e\n",
         0},
        {"a: &x [1, {b: 2}]\nc: !!map {d: e}\nf: !g h\n",
         "1:4: anchors, aliases, tags and << are not allowed\n"
         "2:4: anchors, aliases, tags and << are not allowed\n"
         "3:4: anchors, aliases, tags and << are not allowed\n",
         0},
        {"a: &x b\n*x : c\n",
         "1:4: anchors, aliases, tags and << are not allowed\n"
         "2:1: anchors, aliases, tags and << are not allowed\n",
         ERR_INVAL},
        {"&k a: b\n!!str c: d\n",
         "1:1: anchors, aliases, tags and << are not allowed\n"
         "2:1: anchors, aliases, tags and << are not allowed\n",
         0},
        {"<<: {a: b}\nc: d\n", "1:1: anchors, aliases, tags and << are not allowed\n2:4 /c = d\n",
         0},
        {"\"<<\": a\n", "1:7 /<< = a\n", 0}, /* a word like any other */
        {"%TAG !e! tag:example.com,2000:\n---\na: b\n",
         "1:1: anchors, aliases, tags and << are not allowed\n", ERR_INVAL},
        {"a: b\n---\nc: d\n", "1:4 /a = b\n2:1: a second document begins here, and a file is one\n",
         ERR_INVAL},
        {"a: b\nc: d\na: e\n", "1:4 /a = b\n2:4 /c = d\n3:1: 'a' is there already, in line 1\n", 0},
        {"a: b\n'a': {c: d, e: [f]}\ng: h\n",
         "1:4 /a = b\n2:1: 'a' is there already, in line 1\n3:4 /g = h\n", 0},
        {"t: [{a: b}, {a: c}]\n",
         "1:4 /t list\n1:5 /t/0 map\n1:9 /t/0/a = b\n1:13 /t/1 map\n1:17 /t/1/a = c\n", 0},
        {"\"\": a\n", "1:1: '' is no key\n", 0},
        {"\"a\\0b\": a\n", "1:1: 'a\\x00b' is no key\n", 0},
        {"a:\n\tb: c\n", "2:1: a tab stands here: indent with blanks\n", ERR_INVAL},
        {"a: b\n c: d\n",
         "1:4 /a = b c\n"
         "2:3: this is not YAML (mapping values are not allowed in this context)\n",
         ERR_INVAL},
        {"target: [::1]:80\n",
         "1:9 /target list\n1:10: this is not YAML (did not find expected node content)\n",
         ERR_INVAL},
        {"a: b\nc: \xff\n", "2:4: this is not UTF-8\n", ERR_INVAL},
        {"a: \xed\xa0\x80\n", "1:4: this is not UTF-8\n", ERR_INVAL},
        {"a: \x1b[31m\n", "1:4: a control character stands here\n", ERR_INVAL},
        {"\xff\xfe"
         "a\n",
         "1:1: this is not UTF-8\n", ERR_INVAL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int err = walk(rows[i].file);
        assert_string_equal(told, rows[i].told);
        assert_int_equal(err, rows[i].err);
    }
    assert_int_equal(walk_bytes("a: \0b\n", 6), ERR_INVAL);
    assert_string_equal(told, "1:4: a control character stands here\n");
}

static void keys_have_bounds(void **state)
{
    (void)state;
    char text[1024];
    for (int n = YAML_WALK_KEY_MAX; n <= YAML_WALK_KEY_MAX + 1; n++) {
        (void)snprintf(text, sizeof text, "%0*d: a\nb: c\n", n, 1);
        assert_int_equal(walk(text), 0);
        assert_int_equal(entries, n == YAML_WALK_KEY_MAX ? 2 : 1);
    }
    assert_non_null(strstr(told, "1:1: a key has at most 64 bytes\n"));
    size_t len = 0;
    for (int i = 0; i <= YAML_WALK_KEYS_MAX; i++) {
        assert_int_equal(walk_bytes(text, len), i == 0 ? ERR_INVAL : 0);
        len += (size_t)snprintf(text + len, sizeof text - len, "k%d: v\n", i);
    }
    assert_int_equal(entries, YAML_WALK_KEYS_MAX);
    assert_int_equal(walk_bytes(text, len), ERR_INVAL);
    assert_non_null(strstr(told, "65:1: more than 64 keys stand beside each other\n"));
}

static void depth_has_a_bound(void **state)
{
    (void)state;
    assert_int_equal(walk("a: [[[[[b]]]]]\n"), 0); /* the map, and five lists */
    assert_non_null(strstr(told, "1:9 /a/0/0/0/0/0 = b\n"));
    assert_int_equal(walk("a: [[[[[[b]]]]]]\n"), ERR_INVAL);
    assert_non_null(strstr(told, "1:9: more than 6 levels in each other\n"));
    assert_int_equal(walk("a: &x [[[[[[b]]]]]]\n"), ERR_INVAL); /* also in what is left out */
}

/* What would take libyaml half a minute, or all memory, ends at once. */
static void hostile_files_end_soon(void **state)
{
    (void)state;
    static char text[YAML_WALK_BYTES_MAX + 2];
    static const char *const beginnings[] = {"a: ", "a:\n- ", "? ", ""};
    static const char *const patterns[] = {
        "[", "{",    "- ", "? ", "[a,", "{a: ", "*a ",    "&a ", "!",
        "'", "\"\\", "#",  "\n", ": ",  "|\n ", "a: b\n", "%a\n"};
    for (size_t b = 0; b < ARRAY_LEN(beginnings); b++) {
        for (size_t p = 0; p < ARRAY_LEN(patterns); p++) {
            size_t n = strlen(beginnings[b]), step = strlen(patterns[p]);
            memcpy(text, beginnings[b], n);
            for (; n + step <= 1 << 18; n += step)
                memcpy(text + n, patterns[p], step);
            (void)walk_bytes(text, n); /* a time limit stands over the test */
            assert_true(complaints > 0 || entries > 0);
        }
    }
    memset(text, 'a', sizeof text);
    memcpy(text, "a: ", 3);
    assert_int_equal(walk_bytes(text, YAML_WALK_BYTES_MAX), 0);
    assert_int_equal(walk_bytes(text, YAML_WALK_BYTES_MAX + 1), ERR_INVAL);
    assert_string_equal(told, "1:1: the file has more than 1048576 bytes\n");
}

/* Whatever is cut off, what is told is well formed, and a beginning of what the whole file tells. */
static void a_file_that_is_cut_anywhere(void **state)
{
    (void)state;
    static const char file[] =
        "server: vps.example.com:7000\r\n"
        "tunnels:\n  - {name: \"w\\u00e9b\", port: 80}\n  - port: |\n      22\n"
        "\xe9\x9a\xa7: [a, 'b', {c: d}]\n";
    assert_int_equal(walk(file), 0);
    unsigned whole = entries;
    for (size_t n = 0; n < sizeof file - 1; n++) {
        (void)walk_bytes(file, n);
        assert_true(entries <= whole && complaints <= 1);
        assert_true(entries > 0 || complaints > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_texts_and_places),
        cmocka_unit_test(a_text_has_one_meaning),
        cmocka_unit_test(json_is_read),
        cmocka_unit_test(columns_are_characters),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(keys_have_bounds),
        cmocka_unit_test(depth_has_a_bound),
        cmocka_unit_test(hostile_files_end_soon),
        cmocka_unit_test(a_file_that_is_cut_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
