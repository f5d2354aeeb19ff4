/* SPDX-License-Identifier: MIT */
/* How soon a client asks again, for each reason why it has no session. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "client/internal.h"

static struct client client;
static struct uplink beside;

static void start(bool was_up, bool one_beside)
{
    client.was_up = was_up;
    list_init(&client.uplinks);
    list_init(&beside.node);
    if (one_beside)
        list_push(&client.uplinks, &beside.node);
}

static enum backoff_kind kind(enum end_reason reason)
{
    return client_backoff_kind(&client, reason, NULL);
}

static void a_lost_server_is_dialled_soon(void **state)
{
    static const enum end_reason reasons[] = {END_PEER,     END_SILENT,  END_STALLED, END_PROTOCOL,
                                              END_DEADLINE, END_TLS,     END_PUT_OFF, END_LOCAL,
                                              END_EXPIRED,  END_UNKNOWN, END_DRAINED, END_BLAMED};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        start(true, false);
        assert_int_equal(kind(reasons[i]), BACKOFF_OUTAGE);
        start(true, true); /* its successor is about to come */
        assert_int_equal(kind(reasons[i]), BACKOFF_BESIDE);
    }
}

static void who_is_told_no_asks_seldom(void **state)
{
    static const enum end_reason reasons[] = {END_CERT, END_CERT_TIME, END_LEGACY, END_UNPROVEN};
    (void)state;
    for (int with = 0; with <= 1; with++) {
        start(true, with);
        for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
            assert_int_equal(kind(reasons[i]), BACKOFF_REJECTED);
        assert_int_equal(kind(END_AUTH), BACKOFF_SECRET);
    }
}

/* What was ours, an old server, or a session that ends, gives back soon. */
static void a_port_that_was_ours_is_asked_for_often(void **state)
{
    (void)state;
    start(false, false);
    assert_int_equal(kind(END_REFUSED), BACKOFF_REJECTED);
    start(true, false);
    assert_int_equal(kind(END_REFUSED), BACKOFF_HELD);
}

static void an_id_that_another_has_is_waited_for(void **state)
{
    const struct hello_answer taken = {.error = HELLO_ERR_TAKEN};
    (void)state;
    start(true, false);
    assert_int_equal(client_backoff_kind(&client, END_REFUSED, &taken), BACKOFF_TAKEN);
    assert_int_equal(kind(END_REPLACED), BACKOFF_TAKEN);
    start(true, true); /* it is our own, beside */
    assert_int_equal(client_backoff_kind(&client, END_REFUSED, &taken), BACKOFF_HELD);
}

/* With -once the status says whom to ask: 77 the server's owner, 69 the network, 1 this machine. */
static void each_end_has_a_status(void **state)
{
    static const enum end_reason rejected[] = {END_AUTH,   END_CERT,     END_UNPROVEN,
                                               END_LEGACY, END_REFUSED,  END_REPLACED,
                                               END_BLAMED, END_CERT_TIME};
    enum exit_status expected[END_REASONS];
    (void)state;
    for (int r = 0; r < END_REASONS; r++)
        expected[r] = EXIT_STATUS_UNREACHABLE;
    for (size_t i = 0; i < ARRAY_LEN(rejected); i++)
        expected[rejected[i]] = EXIT_STATUS_REJECTED;
    expected[END_LOCAL] = EXIT_STATUS_FAILED;
    for (int r = 0; r < END_REASONS; r++)
        assert_int_equal(client_end_outcome((enum end_reason)r).status, expected[r]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_server_is_dialled_soon),
        cmocka_unit_test(who_is_told_no_asks_seldom),
        cmocka_unit_test(a_port_that_was_ours_is_asked_for_often),
        cmocka_unit_test(an_id_that_another_has_is_waited_for),
        cmocka_unit_test(each_end_has_a_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
