/* SPDX-License-Identifier: MIT */
/* A session that is only what its owner sees: see session.h. */
#include "unit/session.h"

void session_set_owner(struct session *s, const struct session_ops *ops, void *ctx)
{
    s->ops = ops;
    s->ctx = ctx;
}

const struct address *session_address(const struct session *s)
{
    return &s->at;
}

bool session_has_services(const struct session *s)
{
    return s->has_services;
}

enum life_state session_state(const struct session *s)
{
    return s->state;
}

enum life_service session_service(const struct session *s)
{
    return s->service;
}

uint64_t session_received(const struct session *s)
{
    return s->received;
}

uint64_t session_sent(const struct session *s)
{
    return s->sent;
}

uint32_t session_streams(const struct session *s)
{
    return s->streams;
}

uint32_t session_window_ms(const struct session *s)
{
    return s->window_ms;
}

uint32_t session_rtt_us(const struct session *s)
{
    return s->rtt_us;
}

bool session_is_v2(const struct session *s)
{
    (void)s;
    return true;
}

void session_facts(const struct session *s, struct session_facts *ret)
{
    *ret = (struct session_facts){.state = s->state,
                                  .service = s->service,
                                  .window_ms = s->window_ms,
                                  .rtt_us = s->rtt_us,
                                  .broke_ms = -1,
                                  .gap_ms = -1};
}

const char *session_break_word(enum session_break b)
{
    (void)b;
    return "";
}
