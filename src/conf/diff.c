/* SPDX-License-Identifier: MIT */
/* Values of rows, compared and copied by their type. */
#include "conf/diff.h"

#include <string.h>

static size_t size_of(enum option_type type)
{
    switch (type) {
    case OPTION_STRING:
        return sizeof(const char *);
    case OPTION_SECRET:
        return OPTION_SECRET_MAX + 1;
    case OPTION_INT:
    case OPTION_DURATION:
    case OPTION_WINDOW:
    case OPTION_MEMORY:
    case OPTION_MOMENT:
        return sizeof(int64_t);
    case OPTION_PORTS:
        return sizeof(struct ports);
    case OPTION_CIDRS:
        return sizeof(struct cidrs);
    case OPTION_CHOICE:
    case OPTION_THREADS:
    case OPTION_RATE:
    case OPTION_LIMIT:
        return sizeof(int);
    case OPTION_TUNNELS:
        return sizeof(struct tunnels);
    case OPTION_RATES:
        return sizeof(struct rates);
    case OPTION_BOOL:
        return sizeof(bool);
    }
    return 0; /* not reached */
}

static bool same_ports(const struct ports *a, const struct ports *b)
{
    return a->count == b->count && memcmp(a->ranges, b->ranges, a->count * sizeof *a->ranges) == 0;
}

static bool same_cidrs(const struct cidrs *a, const struct cidrs *b)
{
    bool same = a->count == b->count;
    for (unsigned i = 0; i < a->count && same; i++)
        same =
            a->list[i].bits == b->list[i].bits && address_equal(&a->list[i].net, &b->list[i].net);
    return same;
}

static bool same_tunnels(const struct tunnels *a, const struct tunnels *b)
{
    bool same = a->count == b->count;
    for (uint32_t i = 0; i < a->count && same; i++)
        same = strcmp(a->at[i].name, b->at[i].name) == 0 && a->at[i].port == b->at[i].port &&
               strcmp(a->at[i].target, b->at[i].target) == 0;
    return same;
}

/* Lists may have anything behind their ends, and texts behind theirs. */
static bool is_same(const struct option *o, const void *a, const void *b)
{
    switch (o->type) {
    case OPTION_STRING:
        return strcmp(*(const char *const *)a, *(const char *const *)b) == 0;
    case OPTION_SECRET:
        return strcmp(a, b) == 0;
    case OPTION_PORTS:
        return same_ports(a, b);
    case OPTION_CIDRS:
        return same_cidrs(a, b);
    case OPTION_TUNNELS:
        return same_tunnels(a, b);
    case OPTION_INT:
    case OPTION_DURATION:
    case OPTION_WINDOW:
    case OPTION_MEMORY:
    case OPTION_CHOICE:
    case OPTION_THREADS:
    case OPTION_RATES:
    case OPTION_RATE:
    case OPTION_LIMIT:
    case OPTION_MOMENT:
    case OPTION_BOOL:
        break;
    }
    return memcmp(a, b, size_of(o->type)) == 0;
}

struct options_diff options_diff(const struct mode *m, const void *was, const void *is)
{
    struct options_diff d = {0};
    for (size_t i = 0; i < m->count; i++) {
        const struct option *o = &m->options[i];
        if (is_same(o, (const char *)was + o->at, (const char *)is + o->at))
            continue;
        d.live |= (uint32_t)(o->reload == RELOAD_LIVE) << i;
        d.restart |= (uint32_t)(o->reload == RELOAD_RESTART) << i;
    }
    return d;
}

static void copy_tunnels(const void *from, void *to)
{
    struct tunnels *ts = to;
    tunnels_fini(ts);
    *ts = tunnels_view(from);
}

void options_copy(const struct mode *m, uint32_t rows, const void *from, void *to)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct option *o = &m->options[i];
        if (!(rows >> i & 1))
            continue;
        if (o->type == OPTION_TUNNELS)
            copy_tunnels((const char *)from + o->at, (char *)to + o->at);
        else
            memcpy((char *)to + o->at, (const char *)from + o->at, size_of(o->type));
    }
}

uint32_t options_bit(const struct mode *m, const char *name)
{
    for (size_t i = 0; i < m->count; i++)
        if (strcmp(m->options[i].name, name) == 0)
            return UINT32_C(1) << i;
    return 0;
}

bool options_have(const struct mode *m, uint32_t rows, const char *name)
{
    return rows & options_bit(m, name);
}
