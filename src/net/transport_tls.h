/* SPDX-License-Identifier: MIT */
/* Private to net/: the TLS connection of a transport. */
#pragma once

#include <openssl/types.h>

struct transport;

/* NULL until it is ready, and after its end. Borrowed. */
SSL *transport_ready_ssl(const struct transport *t);
