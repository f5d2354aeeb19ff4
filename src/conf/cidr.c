/* SPDX-License-Identifier: MIT */
/* Networks: an address and how many bits of it count. */
#include "conf/cidr.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"

enum { MAPPED_BITS = 96 }; /* in front of the IPv4 address of an IPv4-mapped one */

static unsigned bits_of(const struct address *a)
{
    return a->family == ADDRESS_IPV4 ? 32 : 128;
}

/* The first `bits` bits are the same. */
static bool has_prefix(const uint8_t *ip, const uint8_t *net, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    uint8_t mask = (uint8_t)(0xff00 >> rest);
    return memcmp(ip, net, whole) == 0 && (rest == 0 || ((ip[whole] ^ net[whole]) & mask) == 0);
}

/* The same without what is behind the prefix. */
static struct cidr network_of(const struct cidr *c)
{
    struct cidr first = *c;
    memset(first.net.ip, 0, sizeof first.net.ip);
    memcpy(first.net.ip, c->net.ip, (c->bits + 7) / 8);
    if (c->bits % 8)
        first.net.ip[c->bits / 8] &= (uint8_t)(0xff00 >> c->bits % 8);
    return first;
}

/* Behind the prefix there are only zeros. */
static bool is_network(const struct cidr *c)
{
    struct cidr first = network_of(c);
    return memcmp(first.net.ip, c->net.ip, sizeof first.net.ip) == 0;
}

/* n digits, as a prefix is written; a zero only alone. */
static int parse_bits(const char *text, size_t n, unsigned *ret)
{
    unsigned bits = 0;
    if (n == 0 || (n > 1 && *text == '0'))
        return ERR_INVAL;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return ERR_INVAL;
        if (bits <= 128)
            bits = bits * 10 + (unsigned)(text[i] - '0');
    }
    *ret = bits;
    return 0;
}

/* n bytes of text, a network or an address, which may have bits behind its prefix. */
static int parse_one(const char *text, size_t n, struct cidr *ret)
{
    const char *slash = memchr(text, '/', n);
    size_t host = slash ? (size_t)(slash - text) : n;
    if (!address_from_text(&ret->net, text, host))
        return ERR_INVAL;
    ret->bits = bits_of(&ret->net);
    if (!slash)
        return 0;
    unsigned bits, most = ret->bits;
    int err = parse_bits(slash + 1, n - host - 1, &bits);
    if (err < 0)
        return err;
    if (ret->net.family == ADDRESS_IPV4 && memchr(text, ':', host)) { /* mapped */
        if (bits < MAPPED_BITS)
            return ERR_INVAL;
        bits -= MAPPED_BITS;
    }
    if (bits > most)
        return ERR_RANGE;
    ret->bits = bits;
    return 0;
}

int cidrs_parse(const char *text, struct cidrs *ret)
{
    struct cidrs c = {.count = 0};
    for (;;) {
        struct cidr one;
        size_t n = strcspn(text, ",");
        int err = parse_one(text, n, &one);
        if (err == 0 && !is_network(&one))
            err = ERR_INVAL;
        if (err < 0)
            return err;
        if (c.count == CIDRS_MAX)
            return ERR_LIMIT;
        c.list[c.count++] = one;
        if (text[n] == '\0')
            break;
        text += n + 1;
    }
    *ret = c;
    return 0;
}

int cidrs_add(struct cidrs *c, const struct cidrs *more)
{
    if (c->count + more->count > CIDRS_MAX)
        return ERR_LIMIT;
    memcpy(c->list + c->count, more->list, more->count * sizeof *c->list);
    c->count += more->count;
    return 0;
}

size_t cidrs_text(char *out, size_t room, const struct cidrs *c)
{
    size_t len = 0;
    if (room > 0)
        *out = '\0';
    for (unsigned i = 0; i < c->count; i++) {
        const struct cidr *one = &c->list[i];
        char host[ADDRESS_HOST_BUF];
        char *at = len < room ? out + len : NULL;
        size_t left = len < room ? room - len : 0;
        (void)address_host_text(host, &one->net);
        int n = one->bits == bits_of(&one->net)
                    ? snprintf(at, left, "%s%s", i > 0 ? "," : "", host)
                    : snprintf(at, left, "%s%s/%u", i > 0 ? "," : "", host, one->bits);
        len += n > 0 ? (size_t)n : 0;
    }
    return len;
}

bool cidrs_slip(const char *text, char ret[CIDR_BUF])
{
    for (;;) {
        struct cidr one;
        char host[ADDRESS_HOST_BUF];
        size_t n = strcspn(text, ",");
        if (parse_one(text, n, &one) < 0)
            return false;
        if (!is_network(&one)) {
            struct cidr first = network_of(&one);
            (void)snprintf(ret, CIDR_BUF, "%s/%u", address_host_text(host, &first.net), first.bits);
            return true;
        }
        if (text[n] == '\0')
            return false;
        text += n + 1;
    }
}

bool cidr_contains(const struct cidr *c, const struct address *a)
{
    return c->net.family == a->family && has_prefix(a->ip, c->net.ip, c->bits);
}

bool cidrs_contain(const struct cidrs *c, const struct address *a)
{
    for (unsigned i = 0; i < c->count; i++)
        if (cidr_contains(&c->list[i], a))
            return true;
    return false;
}
