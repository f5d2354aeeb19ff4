/* SPDX-License-Identifier: MIT */
/* Sets of ports. */
#include "conf/ports.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"

/* Digits; *s is left behind them. */
static int parse_port(const char **s, uint16_t *ret)
{
    const char *start = *s;
    unsigned n = 0;
    for (; **s >= '0' && **s <= '9'; ++*s)
        if (n <= 65535)
            n = n * 10 + (unsigned)(**s - '0');
    if (*s == start)
        return ERR_INVAL;
    if (n > 65535)
        return ERR_RANGE;
    *ret = (uint16_t)n;
    return 0;
}

/* One port, or two with a dash between. */
static int parse_range(const char **s, struct ports_range *ret)
{
    int err = parse_port(s, &ret->first);
    if (err < 0)
        return err;
    ret->last = ret->first;
    if (**s != '-')
        return 0;
    ++*s;
    err = parse_port(s, &ret->last);
    if (err < 0)
        return err;
    return ret->last < ret->first ? ERR_RANGE : 0;
}

/* Puts r where it belongs by its first port. */
static void insert(struct ports *p, struct ports_range r)
{
    unsigned at = p->count;
    for (; at > 0 && p->ranges[at - 1].first > r.first; at--)
        p->ranges[at] = p->ranges[at - 1];
    p->ranges[at] = r;
    p->count++;
}

/* Joins ranges that overlap or touch. */
static void merge(struct ports *p)
{
    unsigned kept = 0;
    for (unsigned i = 1; i < p->count; i++) {
        struct ports_range *last = &p->ranges[kept];
        if (p->ranges[i].first > last->last + 1)
            p->ranges[++kept] = p->ranges[i];
        else if (p->ranges[i].last > last->last)
            last->last = p->ranges[i].last;
    }
    p->count = kept + 1;
}

int ports_parse(const char *text, struct ports *ret)
{
    struct ports p = {.count = 0};
    for (;;) {
        struct ports_range r;
        int err = parse_range(&text, &r);
        if (err < 0)
            return err;
        if (p.count == PORTS_MAX_RANGES)
            return ERR_LIMIT;
        insert(&p, r);
        if (*text != ',')
            break;
        text++;
    }
    if (*text != '\0')
        return ERR_INVAL;
    merge(&p);
    *ret = p;
    return 0;
}

int ports_add(struct ports *p, const struct ports *more)
{
    struct ports sum = *p;
    for (unsigned i = 0; i < more->count; i++) {
        if (sum.count == PORTS_MAX_RANGES)
            return ERR_LIMIT;
        insert(&sum, more->ranges[i]);
    }
    if (sum.count > 0)
        merge(&sum);
    *p = sum;
    return 0;
}

size_t ports_text(char *out, size_t room, const struct ports *p)
{
    size_t len = 0;
    if (room > 0)
        *out = '\0';
    for (unsigned i = 0; i < p->count; i++) {
        const struct ports_range *r = &p->ranges[i];
        char *at = len < room ? out + len : NULL;
        size_t left = len < room ? room - len : 0;
        int n = r->first == r->last
                    ? snprintf(at, left, "%s%u", i > 0 ? "," : "", r->first)
                    : snprintf(at, left, "%s%u-%u", i > 0 ? "," : "", r->first, r->last);
        len += n > 0 ? (size_t)n : 0;
    }
    return len;
}

bool ports_contain(const struct ports *p, int64_t port)
{
    for (unsigned i = 0; i < p->count; i++)
        if (port >= p->ranges[i].first && port <= p->ranges[i].last)
            return true;
    return false;
}
