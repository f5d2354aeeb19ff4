/* SPDX-License-Identifier: MIT */
/*
 * The fields of a JSON line, read strictly and written by a table: name, kind, place. Private to
 * the lines of gotunnel/2: the hello's (hello_line.c) and the control stream's (service_line.c).
 *
 * A field is there once and of its kind, or the line is none; fields of other names are passed
 * over. jansson sees at most HELLO_MAX bytes, HELLO_DEPTH_MAX deep.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"
#include "proto/hello.h"

enum field_kind {
    FIELD_BYTES, /* size bytes as 2 * size lower-case hex digits */
    FIELD_U64,   /* 16 lower-case hex digits */
    FIELD_U32,   /* a number 0 .. 2^32 - 1 */
    FIELD_I64,   /* any whole number of 64 bits */
    FIELD_PORT,  /* a number 0 .. 65535 into an int32_t */
    FIELD_BOOL,  /* true or false */
    FIELD_WORD,  /* printable ASCII without blank, quote, backslash, into size chars with its NUL */
    FIELD_TEXT,  /* UTF-8, any characters but NUL, into size bytes with its NUL */
    FIELD_CAPS,  /* an array of names into a struct hello_caps */
    FIELD_NONCES, /* an array of bytes in hex into a struct hello_nonces */
};

struct field {
    const char *name;
    enum field_kind kind;
    size_t offset, size; /* of the place in the struct that is read or written */
};

#define FIELD(type, name, kind, member)                                                            \
    {                                                                                              \
        name, kind, offsetof(struct type, member), sizeof(((struct type *)0)->member)              \
    }

/* ---- reading ---- */

/* The line (without LF) as an object, which the caller releases. ERR_PROTO: it is none, or longer,
   deeper than allowed, or has a name twice in one object; ERR_NOMEM, where the library can tell. */
int field_load(struct hello_text line, json_t **ret) MUST_USE;

/* A whole number 0 .. max; false: v is something else, or NULL. */
bool field_number(const json_t *v, int64_t max, int64_t *ret);

/* A word into room bytes, NUL included; false as above. */
bool field_word(const json_t *v, char *to, size_t room);

/* Reads all n fields of the table into the struct at base. False: one is missing or not of its kind;
   the struct is half written then. */
bool field_take_all(const json_t *line, const struct field *fields, size_t n, void *base);

/* The same of one that may be missing. */
bool field_take_optional(const json_t *line, const struct field *f, void *base);

/* ---- writing ---- */

/* A line that is being written: n bytes and a NUL. Every line of ours fits, or it is a bug. */
struct field_text {
    char *p;
    size_t room, n;
};

void field_put_text(struct field_text *t, const char *s);   /* as it is */
void field_put_quoted(struct field_text *t, const char *s); /* s is a word */

/* ,"name":value */
void field_put(struct field_text *t, const struct field *f, const void *base);

/* The same of n fields. The length of the line so far. */
size_t field_put_all(struct field_text *t, const struct field *fields, size_t n, const void *base);
