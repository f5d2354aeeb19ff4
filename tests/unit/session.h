/* SPDX-License-Identifier: MIT */
/*
 * A session that is only what its owner sees: in place of tunnel/session.c for tests of the programs. The
 * questions are answered here, from the fields; what an owner asks for is noted by the test's own stub.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/quota.h"
#include "tunnel/session.h"

struct session {
    const struct session_ops *ops;
    bool has_services;
    void *ctx;
    /* answers */
    enum life_state state;
    enum life_service service;
    uint32_t streams, window_ms, rtt_us;
    uint64_t received, sent;
    struct address at;
    /* what was asked for */
    bool closed; /* session_close() was called: with reason, why */
    enum end_reason reason;
    struct errmsg why; /* also of the last answer to on_dial */
    uint64_t client;
    struct quota *counted_at;
    unsigned stops, dials_answered, network_changes, taken;
    mtime_ms drain_ms; /* of the last stop */
    int answer;        /* the last answer to on_dial: a descriptor or an error */
    /* of those that are many */
    struct session *next;
    bool is_over;
};
