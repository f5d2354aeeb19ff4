/* SPDX-License-Identifier: MIT */
/* The row of a table of the kernel that says whether it is short of memory for TCP. */
#include "net/tcp_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define HEAD "protocol  size sockets  memory press maxhdr  slab module     cl co di\n"

static char file[32];

static void the_table_is(const char *text)
{
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void it_is_what_the_row_says(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_short;
    } rows[] = {
        {HEAD "TCP       2304      1      62   yes    192   yes  kernel\n", true},
        {HEAD "TCP       2304      1      62   no     192   yes  kernel\n", false},
        {HEAD "TCPv6     2432      0      62   yes    192   yes  kernel\n"
              "MPTCP     1936      0      62   yes      0   yes  kernel\n"
              "TCP       2304      1      62   no     192   yes  kernel\n",
         false},
        {HEAD "UDP       1472      0       0   NI       0   yes  kernel\n"
              "TCP       2304      1      62   yes    192   yes  kernel\n"
              "NETLINK   1096      0      -1   NI       0   no   kernel\n",
         true},
        {HEAD "TCP       2304      1      62   NI     192   yes  kernel\n", false},
        {HEAD "TCP 2304 1", false},
        {HEAD, false},
        {"", false},
    };
    struct tcp_memory m;
    (void)snprintf(file, sizeof file, "/tmp/tcp_memory.XXXXXX");
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    (void)close(fd);
    tcp_memory_open(&m, file);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        the_table_is(rows[i].text); /* each time anew */
        assert_int_equal(tcp_memory_is_short(&m), rows[i].is_short);
    }
    tcp_memory_close(&m);
    assert_false(tcp_memory_is_short(&m));
    (void)unlink(file);
}

static void where_it_cannot_be_known_there_is_enough(void **state)
{
    (void)state;
    struct tcp_memory m;
    tcp_memory_open(&m, "/nowhere");
    assert_false(tcp_memory_is_short(&m));
    tcp_memory_close(&m);
    tcp_memory_close(&m);
}

static void this_kernel_has_the_row(void **state)
{
    (void)state;
    char line[256], press[8] = "";
    FILE *f = fopen(TCP_MEMORY_FILE, "r");
    if (!f)
        skip();
    while (fgets(line, sizeof line, f))
        if (line[3] == ' ' && sscanf(line, "TCP %*s %*s %*s %7s", press) == 1)
            break;
    (void)fclose(f);
    assert_true(press[0] == 'y' || press[0] == 'n');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_what_the_row_says),
        cmocka_unit_test(where_it_cannot_be_known_there_is_enough),
        cmocka_unit_test(this_kernel_has_the_row),
    };
    return cmocka_run_group_tests_name("net/tcp_memory", tests, NULL, NULL);
}
