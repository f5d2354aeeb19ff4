/* SPDX-License-Identifier: MIT */
/*
 * What the tests of server/ stand on: net/ and tunnel/ without a loop, a socket or a thread. The
 * stubs note what they are told in kit.did, one word after the other; a test is a row of messages
 * and what they made happen. Time is kit.now.
 */
#pragma once

#include <stdbool.h>

#include "proto/smux/session.h"
#include "server/internal.h"
#include "unit/session.h"

enum { KIT_OPENINGS = 8 };

struct listener {
    struct listener_config cfg;
    const struct listener_events *ev;
    void *ctx;
    bool paused, closed, has_waiting;
};

struct opening {
    struct opening_config cfg;
    bool closed;
};

struct kit {
    char did[2048];          /* what the stubs were told: "a>ended listen:8080 " */
    char *lines;             /* the log, from info on: lines_seen */
    uint64_t source;         /* of the last relay */
    bool unsent_bound;       /* it is */
    struct smux_open opened; /* what the last stream is for */
    int say_err;
    bool may_lose_port;
    mtime_ms now;
    struct server srv;
    struct server_options opt;
    struct worker worker;
    struct worker *workers; /* whose messages are told by name: worker, or more of them */
    unsigned workers_count;
    struct listener listener, other; /* the first, and one that is opened meanwhile */
    struct opening openings[KIT_OPENINGS];
    unsigned openings_count;
    struct session session;
    struct crowd crowd; /* of every agent's source */
    /* how the stubs answer; 0, false: well */
    int listen_err, opening_err, stream_err, loop_err, mailbox_err, relays_err, services_err;
    bool no_relay, accept_breaks;
    enum hello_error resume_error;
    const struct credentials *judged_with; /* of opening_judge() */
    int64_t judged_at_s;
};

extern struct kit kit;

/* cmocka set-up: all zero, a worker of a server. */
int kit_setup(void **state);

/* An agent of the worker, which begin was not posted to; its messages appear as "<letter>>word". */
struct agent *kit_agent(char letter, const char *peer);

/* The same for one that the code under test has made; it is gone again, or will be. */
void kit_watch(const struct agent *a, char letter);
void kit_forget(const struct agent *a);

/* A service that has its key: its messages appear as "s<key>>word". */
void kit_watch_service(const struct service *v);

/* Appends a word to kit.did. */
void kit_did(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Since the last look, this was done. */
#define KIT_DID(text)                                                                              \
    do {                                                                                           \
        assert_string_equal(kit.did, text);                                                        \
        *kit.did = '\0';                                                                           \
    } while (0)

/* Since the last look, these were the lines, each with its newline. */
#define KIT_LINES(text)                                                                            \
    do {                                                                                           \
        assert_string_equal(kit.lines, text);                                                      \
        *kit.lines = '\0';                                                                         \
    } while (0)

/* How many lines there are since the last look that contain text; "": any. */
unsigned kit_count(const char *text);

/* The mailbox's loop runs it. */
void kit_run(struct message *m);
