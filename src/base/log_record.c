/* SPDX-License-Identifier: MIT */
/* A record as JSON, and as a datagram for journald. */
#include "base/log_record.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/attr.h"
#include "base/endian.h"
#include "base/utf8.h"

/* ---- what grows: bounds are seen to where texts are put, so it never overflows ---- */

struct out {
    char *at;
    size_t n;
};

static void put(struct out *o, const char *bytes, size_t n)
{
    if (n > LOG_RECORD_MAX - o->n)
        n = LOG_RECORD_MAX - o->n;
    memcpy(o->at + o->n, bytes, n);
    o->n += n;
}

static void put_text(struct out *o, const char *text)
{
    put(o, text, strlen(text));
}

static void put_number(struct out *o, const struct log_value *v)
{
    char text[32];
    long long ms = v->number_signed;
    if (v->kind == LOG_VALUE_UNSIGNED)
        (void)snprintf(text, sizeof text, "%llu", v->number);
    else if (v->kind == LOG_VALUE_SIGNED)
        (void)snprintf(text, sizeof text, "%lld", v->number_signed);
    else /* by hand: a locale may have a comma */
        (void)snprintf(text, sizeof text, "%s%lld.%03lld", ms < 0 ? "-" : "",
                       ms < 0 ? -(ms / 1000) : ms / 1000, ms < 0 ? -(ms % 1000) : ms % 1000);
    put_text(o, text);
}

/* "192.0.2.1:4711 nas": where its id begins; NULL: it has none. */
static const char *id_of(const char *client)
{
    const char *blank = strchr(client, ' ');
    return blank ? blank + 1 : NULL;
}

static size_t peer_length(const char *client)
{
    return strcspn(client, " ");
}

/* ---- JSON ---- */

/* The next character of a text as JSON has it; its length in *ret_n, how much was read is returned. */
static size_t escape_one(char out[8], size_t *ret_n, const char *text, size_t n)
{
    uint32_t c;
    size_t length = utf8_get(&c, text, n);
    if (length == 0) {
        memcpy(out, "\xef\xbf\xbd", 3); /* U+FFFD */
        *ret_n = 3;
        return 1;
    }
    if (c == '"' || c == '\\') {
        out[0] = '\\';
        out[1] = (char)c;
        *ret_n = 2;
    } else if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029) {
        *ret_n = (size_t)snprintf(out, 8, "\\u%04x", (unsigned)c);
    } else {
        memcpy(out, text, length);
        *ret_n = length;
    }
    return length;
}

static void put_string(struct out *o, const char *text, size_t n, size_t most)
{
    char one[8];
    size_t length, left = most;
    put(o, "\"", 1);
    while (n > 0) {
        size_t read = escape_one(one, &length, text, n);
        if (length > left)
            break;
        put(o, one, length);
        left -= length;
        text += read;
        n -= read;
    }
    put(o, "\"", 1);
}

static void put_name(struct out *o, const char *name)
{
    put_text(o, ",\"");
    put_text(o, name);
    put_text(o, "\":");
}

static void put_field(struct out *o, const struct log_value *v)
{
    if (v->kind == LOG_VALUE_CLIENT) {
        const char *id = id_of(v->text);
        if (id) {
            put_name(o, "client");
            put_string(o, id, strlen(id), LOG_RECORD_TEXT / 2);
        }
        put_name(o, "peer");
        put_string(o, v->text, peer_length(v->text), LOG_RECORD_TEXT / 2);
        return;
    }
    put_name(o, v->name);
    if (v->kind == LOG_VALUE_TEXT)
        put_string(o, v->text, strlen(v->text), LOG_RECORD_TEXT);
    else
        put_number(o, v);
}

const char *log_record_level(enum log_level level)
{
    static const char *const words[] = {"notice", "error", "warn", "info", "debug"};
    return words[(int)level - LOG_LEVEL_ASKED];
}

size_t log_record_json(char out[LOG_RECORD_MAX], const struct log_record *r)
{
    struct out o = {out, 0};
    char day[32], rest[32];
    struct tm tm;
    gmtime_r(&r->at.tv_sec, &tm);
    (void)strftime(day, sizeof day, "{\"ts\":\"%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(rest, sizeof rest, ".%06uZ\",\"level\":\"",
                   (unsigned)(r->at.tv_nsec / 1000) % 1000000);
    put_text(&o, day);
    put_text(&o, rest);
    put_text(&o, log_record_level(r->level));
    put_text(&o, "\",\"event\":\"");
    put_text(&o, r->event);
    put_text(&o, "\"");
    for (unsigned i = 0; i < r->count; i++)
        put_field(&o, &r->fields[i]);
    put_name(&o, "message");
    put_string(&o, r->message, strlen(r->message), LOG_RECORD_MESSAGE);
    put_text(&o, "}\n");
    return o.n;
}

/* ---- the journal ---- */

/* Where a text of n bytes is cut to at most so many, between characters. */
static size_t cut(const char *text, size_t n, size_t most)
{
    if (n <= most)
        return n;
    while (most > 0 && ((unsigned char)text[most] & 0xc0) == 0x80)
        most--;
    return most;
}

/* NAME=value, or with a line break in it the name, its length and it: nothing in it becomes a field. */
static void put_entry(struct out *o, const char *name, const char *text, size_t n, size_t most)
{
    uint8_t length[8];
    n = cut(text, n, most);
    put_text(o, name);
    if (memchr(text, '\n', n)) {
        put_text(o, "\n");
        put_le64(length, n);
        put(o, (const char *)length, sizeof length);
    } else {
        put_text(o, "=");
    }
    put(o, text, n);
    put_text(o, "\n");
}

static void put_upper(struct out *o, const char *name)
{
    for (; *name; name++) {
        char c = *name >= 'a' && *name <= 'z' ? (char)(*name - 'a' + 'A') : *name;
        put(o, &c, 1);
    }
}

static void put_journal_field(struct out *o, const struct log_value *v)
{
    if (v->kind == LOG_VALUE_CLIENT) {
        const char *id = id_of(v->text);
        if (id)
            put_entry(o, "GOTUNNEL_CLIENT", id, strlen(id), LOG_RECORD_TEXT / 2);
        put_entry(o, "GOTUNNEL_PEER", v->text, peer_length(v->text), LOG_RECORD_TEXT / 2);
        return;
    }
    put_text(o, "GOTUNNEL_");
    put_upper(o, v->name);
    if (v->kind == LOG_VALUE_TEXT) {
        put_entry(o, "", v->text, strlen(v->text), LOG_RECORD_TEXT);
        return;
    }
    put_text(o, "=");
    put_number(o, v);
    put_text(o, "\n");
}

/* Of syslog: error, warning, info, debug; what a person has asked for is a notice. */
static char priority(enum log_level level)
{
    return "53467"[(int)level - LOG_LEVEL_ASKED];
}

size_t log_record_journal(char out[LOG_RECORD_MAX], const struct log_record *r)
{
    struct out o = {out, 0};
    char id[LOG_RECORD_ID], digit = priority(r->level);
    log_record_id(id, r->event);
    put_entry(&o, "PRIORITY", &digit, 1, 1);
    put_text(&o, "SYSLOG_IDENTIFIER=gotunnel\nMESSAGE_ID=");
    put_text(&o, id);
    put_text(&o, "\nGOTUNNEL_EVENT=");
    put_text(&o, r->event);
    put_text(&o, "\n");
    put_entry(&o, "MESSAGE", r->message, strlen(r->message), LOG_RECORD_MESSAGE);
    for (unsigned i = 0; i < r->count; i++)
        put_journal_field(&o, &r->fields[i]);
    return o.n;
}

/* FNV-1a from two beginnings, with the bits that say what kind of UUID it is (4). */
void log_record_id(char ret[LOG_RECORD_ID], const char *word)
{
    static const uint64_t begin[2] = {0xcbf29ce484222325u, 0x9ae16a3b2f90404fu};
    uint64_t h[2];
    for (int i = 0; i < 2; i++) {
        h[i] = begin[i];
        for (const char *p = word; *p; p++)
            h[i] = (h[i] ^ (uint8_t)*p) * 0x100000001b3u;
    }
    h[0] = (h[0] & ~UINT64_C(0xf000)) | 0x4000;
    h[1] = (h[1] & ~(UINT64_C(3) << 62)) | UINT64_C(2) << 62;
    (void)snprintf(ret, LOG_RECORD_ID, "%016llx%016llx", (unsigned long long)h[0],
                   (unsigned long long)h[1]);
}
