/* SPDX-License-Identifier: MIT */
/* The payload of OPEN: a fixed part, the addresses of one family, then a row of TLVs. */
#include "proto/smux/open.h"

#include <string.h>

#include "base/endian.h"
#include "base/err.h"

enum {
    FLAG_WANT_READY = 1u << 0, /* the others are 0, and ignored */
    PORT_BYTES = 2,
    TLV_HEAD = 2, /* type, length */
};

/* ---- addresses ---- */

/* How a family is written. */
struct family {
    uint8_t wire;
    uint8_t ip_bytes;
};

static const struct family families[] = {
    [ADDRESS_NONE] = {0, 0},
    [ADDRESS_IPV4] = {4, 4},
    [ADDRESS_IPV6] = {6, 16},
};

/* ADDRESS_NONE where no family is written so; of 0 as well, which is that one's. */
static enum address_family family_of_wire(uint8_t wire)
{
    for (size_t i = 0; i < ARRAY_LEN(families); i++)
        if (families[i].wire == wire)
            return (enum address_family)i;
    return ADDRESS_NONE;
}

/* One address has one form: an IPv4-mapped one is to be written as IPv4. */
static bool is_mapped(const struct address *a)
{
    return a->family == ADDRESS_IPV6 && address_ipv6(a->ip, 0).family != ADDRESS_IPV6;
}

static bool is_writable(const struct address *a)
{
    return (size_t)a->family < ARRAY_LEN(families) && !is_mapped(a);
}

/* Port and host. */
static uint8_t *put_address(uint8_t *p, const struct address *a)
{
    size_t n = families[a->family].ip_bytes;
    put_le16(p, a->port);
    memcpy(p + PORT_BYTES, a->ip, n);
    return p + PORT_BYTES + n;
}

static size_t address_bytes(enum address_family family)
{
    return (size_t)PORT_BYTES + families[family].ip_bytes;
}

/* Reads address_bytes(). */
static bool get_address(struct address *ret, enum address_family family, const uint8_t *p)
{
    *ret = (struct address){.family = family, .port = get_le16(p)};
    memcpy(ret->ip, p + PORT_BYTES, families[family].ip_bytes);
    return !is_mapped(ret);
}

/* ---- TLVs ---- */

static bool is_name(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] <= ' ' || p[i] > '~' || (p[i] >= 'A' && p[i] <= 'Z'))
            return false;
    return n <= SMUX_OPEN_NAME_MAX;
}

static size_t put_name(const struct smux_open *o, uint8_t *p)
{
    if (o->name_len > 0)
        memcpy(p, o->name, o->name_len);
    return o->name_len;
}

static bool get_name(struct smux_open *o, const uint8_t *p, size_t n)
{
    o->name = (const char *)p;
    o->name_len = n;
    return n > 0 && is_name(o->name, n);
}

static size_t put_origin(const struct smux_open *o, uint8_t *p)
{
    if (o->origin.family == ADDRESS_NONE)
        return 0;
    p[0] = families[o->origin.family].wire;
    return (size_t)(put_address(p + 1, &o->origin) - p);
}

static bool get_origin(struct smux_open *o, const uint8_t *p, size_t n)
{
    enum address_family family = n > 0 ? family_of_wire(p[0]) : ADDRESS_NONE;
    if (family == ADDRESS_NONE || n != 1 + address_bytes(family))
        return false;
    return get_address(&o->origin, family, p + 1);
}

static size_t put_trace(const struct smux_open *o, uint8_t *p)
{
    if (!o->has_trace)
        return 0;
    memcpy(p, o->trace, SMUX_OPEN_TRACE_BYTES);
    return SMUX_OPEN_TRACE_BYTES;
}

static bool get_trace(struct smux_open *o, const uint8_t *p, size_t n)
{
    if (n != SMUX_OPEN_TRACE_BYTES)
        return false;
    memcpy(o->trace, p, SMUX_OPEN_TRACE_BYTES);
    return o->has_trace = true;
}

/* Each may be there once, in any order. */
static const struct tlv {
    uint8_t type;
    size_t (*put)(const struct smux_open *o,
                  uint8_t *p); /* returns its length; 0: it is not there */
    bool (*get)(struct smux_open *o, const uint8_t *p, size_t n);
} tlvs[] = {
    {1, put_name, get_name},
    {2, put_origin, get_origin},
    {3, put_trace, get_trace},
};

static uint8_t *put_tlvs(uint8_t *p, const struct smux_open *open)
{
    for (size_t i = 0; i < ARRAY_LEN(tlvs); i++) {
        size_t n = tlvs[i].put(open, p + TLV_HEAD);
        if (n == 0)
            continue;
        p[0] = tlvs[i].type;
        p[1] = (uint8_t)n;
        p += TLV_HEAD + n;
    }
    return p;
}

/* One of a type that is not known is passed over. *seen: those that were there, by their row. */
static bool get_tlv(struct smux_open *o, uint8_t type, const uint8_t *p, size_t n, unsigned *seen)
{
    for (size_t i = 0; i < ARRAY_LEN(tlvs); i++) {
        if (tlvs[i].type != type)
            continue;
        bool again = *seen & 1u << i;
        *seen |= 1u << i;
        return !again && tlvs[i].get(o, p, n);
    }
    return true;
}

/* They fill what is left. */
static bool get_tlvs(struct smux_open *o, const uint8_t *p, const uint8_t *end)
{
    unsigned seen = 0;
    while (p < end) {
        if (end - p < TLV_HEAD || end - p - TLV_HEAD < p[1])
            return false;
        if (!get_tlv(o, p[0], p + TLV_HEAD, p[1], &seen))
            return false;
        p += TLV_HEAD + p[1];
    }
    return true;
}

/* ---- the whole ---- */

static bool is_valid(const struct smux_open *o)
{
    return o->service > 0 && o->visitor.family == o->local.family && is_writable(&o->visitor) &&
           is_writable(&o->local) && is_writable(&o->origin) && is_name(o->name, o->name_len);
}

int smux_open_put(uint8_t p[SMUX_OPEN_MAX], const struct smux_open *open)
{
    if (!is_valid(open))
        return ERR_INVAL;
    put_le32(p, open->service);
    p[4] = open->want_ready ? FLAG_WANT_READY : 0;
    p[5] = families[open->visitor.family].wire;
    uint8_t *at = p + 6;
    if (open->visitor.family == ADDRESS_NONE) {
        put_le16(at, 0); /* a port of nobody */
        at += PORT_BYTES;
    } else {
        at = put_address(put_address(at, &open->visitor), &open->local);
    }
    return (int)(put_tlvs(at, open) - p);
}

/* Both addresses; returns how many bytes they take, 0: they are wrong. */
static size_t get_addresses(struct smux_open *o, uint8_t wire, const uint8_t *p, size_t n)
{
    enum address_family family = family_of_wire(wire);
    if (family == ADDRESS_NONE)
        return wire == 0 && get_le16(p) == 0 ? PORT_BYTES : 0;
    size_t one = address_bytes(family);
    if (n < 2 * one || !get_address(&o->visitor, family, p) ||
        !get_address(&o->local, family, p + one))
        return 0;
    return 2 * one;
}

int smux_open_get(const uint8_t *p, size_t n, struct smux_open *ret)
{
    if (n < SMUX_OPEN_MIN || n > SMUX_OPEN_MAX)
        return ERR_PROTO;
    struct smux_open o = {.service = get_le32(p), .want_ready = p[4] & FLAG_WANT_READY};
    size_t addresses = get_addresses(&o, p[5], p + 6, n - 6);
    if (o.service == 0 || addresses == 0 || !get_tlvs(&o, p + 6 + addresses, p + n))
        return ERR_PROTO;
    *ret = o;
    return 0;
}
