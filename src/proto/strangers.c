/* SPDX-License-Identifier: MIT */
/* The budget of lines about strangers. */
#include "proto/strangers.h"

#include <stdio.h>
#include <string.h>

#include "proto/hash.h"

const char *stranger_word(enum stranger_kind kind)
{
    static const char *const words[] = {
        [STRANGER_CONNECTED] = "connected",
        [STRANGER_TLS_NOT] = "tls_not",
        [STRANGER_TLS_FAILED] = "tls_failed",
        [STRANGER_SECRET_NOT] = "secret_not",
        [STRANGER_AUTH_FAILED] = "auth_failed",
        [STRANGER_TIMEOUT] = "timeout",
        [STRANGER_LIMIT] = "limit",
        [STRANGER_PENALTY] = "penalty",
        [STRANGER_LEGACY] = "legacy",
        [STRANGER_LEFT] = "left",
        [STRANGER_UNKNOWN] = "unknown",
        [STRANGER_KEY_OFF] = "key_off",
        [STRANGER_PROXY_NOT] = "proxy_not",
    };
    _Static_assert(ARRAY_LEN(words) == STRANGER_KINDS, "each kind has its word");
    return words[kind];
}

/* Whether one more line fits beside those of the last minute. */
static bool has_room(const struct strangers *s, enum stranger_kind kind, uint64_t source,
                     mtime_ms now)
{
    bool is_greeting = kind == STRANGER_CONNECTED;
    unsigned all = 0, greetings = 0, same = 0;
    for (size_t i = 0; i < STRANGERS_LINES; i++) {
        const struct strangers_line *l = &s->lines[i];
        if (!l->is_used || now - l->at >= STRANGERS_MINUTE_MS)
            continue;
        all++;
        greetings += l->is_greeting;
        same += l->is_greeting == is_greeting && l->source == source;
    }
    return all < STRANGERS_LINES && (same < STRANGERS_SOURCE || kind == STRANGER_PENALTY) &&
           !(is_greeting && greetings >= STRANGERS_GREETINGS);
}

bool strangers_may_tell(struct strangers *s, enum stranger_kind kind, const char *source,
                        mtime_ms now)
{
    uint64_t hash = hash_text(source);
    if (!has_room(s, kind, hash, now)) {
        if (s->left_out[kind] < UINT32_MAX)
            s->left_out[kind]++;
        return false;
    }
    s->lines[s->next] = (struct strangers_line){now, hash, kind == STRANGER_CONNECTED, true};
    s->next = (s->next + 1) % STRANGERS_LINES;
    return true;
}

uint32_t strangers_sum_up(struct strangers *s, char ret[STRANGERS_SUM_BUF])
{
    uint64_t sum = 0;
    size_t n = 0;
    for (size_t kind = 0; kind < STRANGER_KINDS; kind++) {
        if (s->left_out[kind] == 0)
            continue;
        n += (size_t)snprintf(ret + n, STRANGERS_SUM_BUF - n, "%s%s=%u", sum > 0 ? " " : "",
                              stranger_word((enum stranger_kind)kind), s->left_out[kind]);
        sum += s->left_out[kind];
        s->left_out[kind] = 0;
    }
    return sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX;
}
