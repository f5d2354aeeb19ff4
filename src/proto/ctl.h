/* SPDX-License-Identifier: MIT */
/*
 * What goes over the control socket of a running program. Pure.
 *
 *   request   one line: {"command":"log-level","level":"debug"}
 *   answer    lines of objects, the last of which has "ok": true or false; "error" says why not
 *
 * The commands are one table, for both sides: here their names; what the program does is in app/ctl.c, what
 * `gotunnel ctl` shows in app/ctl_cmd.c, a row each.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"

enum {
    CTL_LINE_MAX = 4096, /* bytes of a request, its line feed included */
    CTL_ARGUMENT_MAX = 255,
    CTL_ANSWER_MAX = 1 << 20, /* bytes of an answer, and of a line of one */
};

enum ctl_command {
    CTL_PING,
    CTL_VERSION,
    CTL_RELOAD,
    CTL_DRAIN,
    CTL_LOG_LEVEL,
    CTL_CLIENT,
    CTL_CLIENTS,
    CTL_STATUS,
    CTL_COMMANDS,
};

struct ctl_row {
    const char *name;
    const char *argument; /* its key in a request; NULL: there is none */
    const char *help;     /* one sentence; translated where it is shown */
};

extern const struct ctl_row ctl_rows[CTL_COMMANDS];

/* CTL_COMMANDS: no command has this name. */
enum ctl_command ctl_find(const char *name);

/* ---- requests ---- */

/* Bytes of a request as they come. {0} is an empty one. */
struct ctl_reader {
    /* private */
    size_t len;
    char bytes[CTL_LINE_MAX];
};

struct ctl_request {
    enum ctl_command command;
    char argument[CTL_ARGUMENT_MAX + 1]; /* "" where the command has none */
};

/* n more bytes, in any pieces; what is behind the first line feed does not matter. 0: a line is there;
   ERR_AGAIN: not yet; ERR_LIMIT: it is longer than CTL_LINE_MAX. */
int ctl_reader_feed(struct ctl_reader *r, const void *bytes, size_t n) MUST_USE;

/* What the line asks for. 0, or ERR_INVAL with a sentence: no object, another key, no such command, an
   argument too much, too little or too long. */
int ctl_request_get(const struct ctl_reader *r, struct ctl_request *ret,
                    struct errmsg *why) MUST_USE;

/* The line with its line feed, which fits. Its length. */
size_t ctl_request_put(char out[CTL_LINE_MAX], const struct ctl_request *req);

/* ---- answers, as they are made ---- */

/* {0} is an empty one. What does not fit, or for which there is no memory, spoils it for good. */
struct ctl_answer {
    char *bytes;
    size_t len;
    bool is_spoilt;
    /* private */
    size_t room;
    bool in_line;
};

/* Members of the line that is being made; keys are plain words. Text that is no UTF-8 is shown as such. */
void ctl_put_text(struct ctl_answer *a, const char *key, const char *text);
void ctl_put_number(struct ctl_answer *a, const char *key, long long n);
void ctl_put_truth(struct ctl_answer *a, const char *key, bool truth);
void ctl_put_words(struct ctl_answer *a, const char *key, const char *const *words, unsigned count);

/* A line of n bytes that somebody else has made, without its line feed; none is being made. */
void ctl_put_line(struct ctl_answer *a, const char *line, size_t n);

/* The line is whole. */
void ctl_end_line(struct ctl_answer *a);

/* The last line of an answer that says no. */
void ctl_refuse(struct ctl_answer *a, const char *why);

void ctl_answer_fini(struct ctl_answer *a);

/* ---- answers, as they are read ---- */

struct ctl_line;

/* n bytes without their line feed; control characters in its text are escaped. NULL: they are no object, or there is
   no memory. */
struct ctl_line *ctl_line_get(const char *bytes, size_t n);

/* NULL, -1, false where there is no such member, or of another kind; text lives as long as l. */
const char *ctl_line_text(const struct ctl_line *l, const char *key);
long long ctl_line_number(const struct ctl_line *l, const char *key);
bool ctl_line_truth(const struct ctl_line *l, const char *key);
const char *ctl_line_word(const struct ctl_line *l, const char *key, size_t i);

/* It is the last one of its answer. */
bool ctl_line_is_last(const struct ctl_line *l);

/* NULL is fine. */
void ctl_line_free(struct ctl_line *l);
