/* SPDX-License-Identifier: MIT */
/* What a server's refusal on gotunnel/2 says, in the words and the language of this end. */
#pragma once

#include "base/err.h"
#include "proto/hello.h"
#include "proto/service_line.h"

enum { REFUSAL_TEXT_MAX = 512 };

/* In the place of a system's word: the rights of this client's key do not have the port. */
#define REFUSAL_RIGHT "ERIGHT"

/* Fills *ret with one sentence for a person about the refusal a of the open asked; printable. */
void refusal_text(struct errmsg *ret, const struct hello_answer *a,
                  const struct hello_request *asked);

/* The same of an old server, which has said so in words of its own: they stand in brackets behind ours,
   not escaped. port: the one asked for. */
void refusal_old_text(struct errmsg *ret, const char *words, long long port);

/* The same of the secret. */
void refusal_old_secret(struct errmsg *ret, const char *words);

/* Why a public port cannot be had, for a person: the same words at both ends. errno_word is that of
   the answer: "EACCES"; "": none. port: the one asked for; 0 is the wish for any. One that is not known is returned as it is; else static. */
const char *refusal_port_text(const char *errno_word, long long port);

/* Fills *ret with one sentence about the only tunnel of a client, which is refused; printable. port: as above. */
void refusal_sole_text(struct errmsg *ret, const struct service_why *why, long long port);

/* Why a tunnel is refused, or closed, in out: the same words at both ends. port: as above. */
const char *refusal_service_text(char out[REFUSAL_TEXT_MAX], const struct service_why *why,
                                 long long port);
