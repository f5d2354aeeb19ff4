/* SPDX-License-Identifier: MIT */
/* A list of networks, written as "10.0.0.0/8,192.0.2.1,2001:db8::/32". */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"
#include "base/attr.h"

enum {
    CIDRS_MAX = 32,
    CIDR_BUF = 64, /* the longest one as text, with its NUL */
};

struct cidrs {
    struct cidr {
        struct address net; /* port and scope are 0 */
        unsigned bits;      /* of it that count: 0..32 of IPv4, 0..128 of IPv6 */
    } list[CIDRS_MAX];
    unsigned count;
};

/*
 * Reads networks and single addresses in digits, separated by commas, without blanks. What is
 * IPv4-mapped is IPv4. 0; ERR_INVAL (not such a list, or empty, or an address with bits behind its
 * prefix, as 10.0.0.1/8: that may be a slip), ERR_RANGE (a prefix too long), ERR_LIMIT (more than
 * CIDRS_MAX parts). *ret is written on success only.
 */
int cidrs_parse(const char *text, struct cidrs *ret) MUST_USE;

/* Adds those of more. 0, or ERR_LIMIT: together they are too many, and c is as before. */
int cidrs_add(struct cidrs *c, const struct cidrs *more) MUST_USE;

/* The list as cidrs_parse() reads it, into at most room bytes of out. Like snprintf. */
size_t cidrs_text(char *out, size_t room, const struct cidrs *c);

enum { CIDRS_BUF = CIDRS_MAX * CIDR_BUF }; /* the longest one, with its NUL */

/* Why cidrs_parse() has refused text: true if what is wrong first is an address with bits behind its
   prefix; then ret is the network that it lies in, "10.0.0.0/8". */
bool cidrs_slip(const char *text, char ret[CIDR_BUF]);

/* True when the host of a is in one of them; its port and scope do not matter. ADDRESS_NONE is in none. */
bool cidrs_contain(const struct cidrs *c, const struct address *a);

/* The same of one network. */
bool cidr_contains(const struct cidr *c, const struct address *a);
