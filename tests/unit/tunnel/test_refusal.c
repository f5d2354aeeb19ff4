/* SPDX-License-Identifier: MIT */
/* The sentences for refusals: one for each error, with the data, in one language. */
#include "tunnel/refusal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/i18n.h"

static const struct hello_request asked = {.id = "laptop"};

static void speak(const char *language)
{
    (void)setenv("LC_ALL", language, 1);
    i18n_init();
}

static const char *text_of(const struct hello_answer *a)
{
    static struct errmsg why;
    refusal_text(&why, a, &asked);
    return why.text;
}

static bool is_ascii(const char *s)
{
    while (*s > 0)
        s++;
    return *s == '\0';
}

static const struct {
    struct hello_answer a;
    const char *english, *chinese;
} rows[] = {
    {{.error = HELLO_ERR_AUTH}, "wrong secret", "共享密钥错误"},
    {{.error = HELLO_ERR_TAKEN, .by = "[::1]:9"},
     "another client has the id 'laptop': [::1]:9",
     "另一个客户端正在使用标识 'laptop': [::1]:9"},
    {{.error = HELLO_ERR_TAKEN},
     "another client has the id 'laptop'",
     "另一个客户端正在使用标识 'laptop'"},
    {{.error = HELLO_ERR_DRAINING}, "the server is stopping", "服务端正在停止"},
    {{.error = HELLO_ERR_BUSY}, "the server has no room at present", "服务端目前没有空余资源"},
    {{.error = HELLO_ERR_MESSAGE},
     "the server does not understand this client",
     "服务端无法理解此客户端的请求"},
};

/* Of the only tunnel of a client. */
static const struct {
    struct service_why why;
    long long port;
    const char *english, *chinese;
} tunnels[] = {
    {{.error = SERVICE_ERR_TAKEN, .by = "192.0.2.7:50122"},
     81,
     "public port 81 is in use by a client with another id (192.0.2.7:50122)",
     "公网端口 81 正被另一个标识的客户端占用 (192.0.2.7:50122)"},
    {{.error = SERVICE_ERR_TAKEN},
     81,
     "public port 81: it is in use by another client",
     "公网端口 81: 该端口正由另一个客户端使用"},
    {{.error = SERVICE_ERR_PORT, .errno_word = "EADDRINUSE"},
     8080,
     "public port 8080: it is in use at the server (address already in use)",
     "公网端口 8080: 在服务端已被占用（address already in use）"},
    {{.error = SERVICE_ERR_PORT, .errno_word = "EACCES"},
     8080,
     "public port 8080: the server has no permission to open it: ports below 1024 need "
     "CAP_NET_BIND_SERVICE there, or root (permission denied)",
     "公网端口 8080: 服务端没有权限监听该端口：1024 以下的端口需要 CAP_NET_BIND_SERVICE 或 root "
     "权限"
     "（permission denied）"},
    {{.error = SERVICE_ERR_RIGHT},
     8080,
     "public port 8080: not in the server's -allow-ports: take one that is, or add it there",
     "公网端口 8080: 不在服务端 -allow-ports 的范围内：请换用其中的端口，或在服务端添加该端口"},
    {{.error = SERVICE_ERR_RIGHT},
     0,
     "public port 0: the server allows no free choice of a port: 0 is not in its -allow-ports; ask "
     "for a port that is, or add 0 there",
     "公网端口 0: 服务端不允许自由选择端口：其 -allow-ports 中没有 "
     "0，请指定其中的端口，或在服务端添加 0"},
    {{.error = SERVICE_ERR_PORT, .errno_word = "ENOSR"},
     8080,
     "public port 8080: ENOSR",
     "公网端口 8080: ENOSR"},
    {{.error = SERVICE_ERR_PORT},
     8080,
     "public port 8080: the server does not say why",
     "公网端口 8080: 服务端没有说明原因"},
};

static void assert_tunnel(size_t i, const char *text)
{
    struct errmsg why;
    refusal_sole_text(&why, &tunnels[i].why, tunnels[i].port);
    assert_string_equal(why.text, text);
}

static void in_english(void **state)
{
    (void)state;
    speak("C.UTF-8");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(text_of(&rows[i].a), rows[i].english);
    for (size_t i = 0; i < ARRAY_LEN(tunnels); i++)
        assert_tunnel(i, tunnels[i].english);
}

static void in_chinese(void **state)
{
    (void)state;
    speak("zh_CN.UTF-8");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(text_of(&rows[i].a), rows[i].chinese);
    for (size_t i = 0; i < ARRAY_LEN(tunnels); i++)
        assert_tunnel(i, tunnels[i].chinese);
}

#define IN_USE "监听公网端口 :8080 失败: listen tcp :8080: bind: address already in use"
#define DENIED "监听公网端口 :80 失败: listen tcp :80: bind: permission denied"
#define RANGE  "监听公网端口 :-5 失败: listen tcp: address -5: invalid port"
#define OTHER  "监听公网端口 :80 失败: listen tcp :80: socket: too many open files"

/* Ours in the user's language, theirs in brackets, in whatever language it is. */
static void an_old_servers_words_stand_in_brackets(void **state)
{
    (void)state;
    static const struct {
        long long port;
        const char *words, *english, *chinese;
    } old[] = {
        {8080, IN_USE,
         "public port 8080: it is in use at the server (address already in use) (" IN_USE ")",
         "公网端口 8080: 在服务端已被占用（address already in use）（" IN_USE "）"},
        {80, DENIED,
         "public port 80: the server has no permission to open it: ports below 1024 need "
         "CAP_NET_BIND_SERVICE there, or root (permission denied) (" DENIED ")",
         "公网端口 80: 服务端没有权限监听该端口：1024 以下的端口需要 CAP_NET_BIND_SERVICE 或 root "
         "权限（permission denied）（" DENIED "）"},
        {-5, RANGE, "public port -5: it is not between 0 and 65535 (" RANGE ")",
         "公网端口 -5: 不在 0 到 65535 之间（" RANGE "）"},
        {80, "Invalid control message",
         "the server does not understand this client (Invalid control message)",
         "服务端无法理解此客户端的请求（Invalid control message）"},
        {80, OTHER, "for a reason that it says in words of its own (" OTHER ")",
         "原因见括号中的原文（" OTHER "）"},
        {80, "", "the server does not say why", "服务端没有说明原因"},
    };
    struct errmsg why;
    for (size_t i = 0; i < sizeof old / sizeof *old; i++) {
        speak("C.UTF-8");
        refusal_old_text(&why, old[i].words, old[i].port);
        assert_string_equal(why.text, old[i].english);
        speak("zh_CN.UTF-8");
        refusal_old_text(&why, old[i].words, old[i].port);
        assert_string_equal(why.text, old[i].chinese);
    }
    refusal_old_secret(&why, "ERROR: Invalid Secret");
    assert_string_equal(why.text, "共享密钥错误（ERROR: Invalid Secret）");
    speak("C.UTF-8");
    refusal_old_secret(&why, "ERROR: Invalid Secret");
    assert_string_equal(why.text, "wrong secret (ERROR: Invalid Secret)");
    refusal_old_secret(&why, "Hello");
    assert_string_equal(why.text, "something that no server of this kind says (Hello)");
}

/* Also the errors that no open gets, and whatever data comes with them. */
static void every_error_has_a_sentence_in_each_language(void **state)
{
    (void)state;
    for (int e = HELLO_OK + 1; e < HELLO_ERRORS; e++) {
        struct hello_answer a = {.error = (enum hello_error)e};
        memset(a.by, 'x', sizeof a.by - 1);
        speak("C.UTF-8");
        assert_true(*text_of(&a) && is_ascii(text_of(&a)));
        speak("zh_CN.UTF-8");
        assert_false(is_ascii(text_of(&a)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_english),
        cmocka_unit_test(in_chinese),
        cmocka_unit_test(an_old_servers_words_stand_in_brackets),
        cmocka_unit_test(every_error_has_a_sentence_in_each_language),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
