/* SPDX-License-Identifier: MIT */
/* The words of `gotunnel status`, in the language of who looks. Private to it. */
#pragma once

#include <stdint.h>

#include "proto/census.h"

enum { STATUS_TEXT_MAX = 256 };

/* "3 min"; "-" of -1. Returns out. */
const char *status_span(char out[STATUS_TEXT_MAX], int64_t ms);

/* "1.2 MB". Returns out. */
const char *status_bytes(char out[STATUS_TEXT_MAX], uint64_t n);

/* "24 ms", "0.8 ms"; "-" of -1. Returns out. */
const char *status_rtt(char out[STATUS_TEXT_MAX], int64_t us);

/* "waiting 12 s of 60", "target refuses". */
const char *status_client_state(char out[STATUS_TEXT_MAX], const struct census_client *k);
const char *status_tunnel_state(char out[STATUS_TEXT_MAX], const struct census_tunnel *t,
                                const struct census_client *k);

/* A sentence for a word of why; if this version does not know it the word itself, escaped into out. */
const char *status_why(char out[STATUS_TEXT_MAX], const char *word);

/* "12 s ago: the target refused the connection"; "" where nothing was. */
const char *status_error(char out[STATUS_TEXT_MAX], const struct census_tunnel *t);
const char *status_break(char out[STATUS_TEXT_MAX], const struct census_client *k);
