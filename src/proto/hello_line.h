/* SPDX-License-Identifier: MIT */
/* Private to the hello: the text of a line without its proof (hello_line.c), for hello_proof.c. */
#pragma once

#include "proto/hello.h"

/* Is a MAC wanted with this error? */
enum hello_mac { HELLO_MAC_ALWAYS, HELLO_MAC_NEVER, HELLO_MAC_EITHER };
enum hello_mac hello_error_mac(enum hello_error e);

/* True when the line ends as a signed one: 8 bytes, 64 hex digits, 2 bytes. */
bool hello_is_sealed(struct hello_text line);

/* True when a sealed line has a signature right before its seal: 8 bytes, 128 hex digits, a quote. */
bool hello_has_sig(struct hello_text line);

/* Write what a MAC covers, but for a signature: the line up to where ,"sig":, ,"mac": or the last brace
   follows. The length; there is room for HELLO_SIG_LEN + HELLO_SEAL_LEN bytes, LF and NUL behind it. */
size_t hello_request_put(char buf[HELLO_MAX], const struct hello_request *r, enum hello_op op);
size_t hello_answer_put(char buf[HELLO_MAX], const struct hello_answer *a, enum hello_op op);
