/* SPDX-License-Identifier: MIT */
/* Steps as text, as coloured text and as JSON, and their way to stdout. */
#include "app/checklist.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/escape.h"
#include "base/i18n.h"
#include "base/outlet.h"
#include "proto/json_text.h"

/* The words that people see have four columns in each language. */
static const struct {
    const char *word, *shown, *colour;
} states[] = {
    [CHECKLIST_OK] = {"ok", N_("ok  "), "32"},
    [CHECKLIST_WARN] = {"warn", N_("warn"), "33"},
    [CHECKLIST_FAIL] = {"fail", N_("fail"), "31"},
    [CHECKLIST_UNKNOWN] = {"unknown", N_("?   "), "36"},
};

static bool is_there(const char *text)
{
    return text && *text;
}

enum checklist_form checklist_form(bool wants_json, bool is_terminal, const char *no_color,
                                   const char *term)
{
    if (wants_json)
        return CHECKLIST_JSON;
    if (!is_terminal || is_there(no_color) || !is_there(term) || strcmp(term, "dumb") == 0)
        return CHECKLIST_PLAIN;
    return CHECKLIST_COLOUR;
}

enum checklist_form checklist_form_of_stdout(bool wants_json)
{
    return checklist_form(wants_json, isatty(STDOUT_FILENO), getenv("NO_COLOR"), getenv("TERM"));
}

bool checklist_take_json(int *argc, char **argv)
{
    int left = 0, count = *argc;
    for (int i = 0; i < count; i++)
        if (strcmp(argv[i], "-json") != 0 && strcmp(argv[i], "--json") != 0)
            argv[left++] = argv[i];
    *argc = left;
    return left < count;
}

/* ---- what both forms are made of ---- */

/* The line so far; it never overflows, as each part has a bound. */
struct text {
    char *out;
    size_t n;
};

static void put(struct text *t, const char *s)
{
    size_t n = strlen(s);
    memcpy(t->out + t->n, s, n + 1);
    t->n += n;
}

/* At most CHECKLIST_TEXT_MAX bytes, cut before a character; control characters as blanks. */
static void put_part(struct text *t, const char *s)
{
    size_t n = strnlen(s, CHECKLIST_TEXT_MAX + 1);
    if (n > CHECKLIST_TEXT_MAX)
        for (n = CHECKLIST_TEXT_MAX; n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80;)
            n--;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        t->out[t->n++] = c < 0x20 || c == 0x7f ? ' ' : s[i];
    }
    t->out[t->n] = '\0';
}

/* ---- text ---- */

static void put_coloured(struct text *t, bool is_coloured, const char *colour, const char *s)
{
    if (is_coloured)
        put(t, "\033["), put(t, colour), put(t, "m");
    put_part(t, s);
    if (is_coloured)
        put(t, "\033[0m");
}

/* What is to be seen first, and copied. */
static void put_value(struct text *t, bool is_coloured, const struct checklist_step *step)
{
    put_coloured(t, is_coloured, "1", step->value);
    if (is_there(step->target))
        put(t, " -> "), put_part(t, step->target);
    put(t, "\n");
}

static void put_step(struct text *t, bool is_coloured, const struct checklist_step *step)
{
    char said[ESCAPE_BUF];
    put_coloured(t, is_coloured, states[step->state].colour, _(states[step->state].shown));
    put(t, "  ");
    put_part(t, is_there(step->title) ? step->title : step->word);
    if (is_there(step->name))
        put(t, " "), put_part(t, step->name);
    if (is_there(step->detail))
        put(t, ": "), put_part(t, step->detail);
    if (is_there(step->said))
        put(t, " ("), put_part(t, escape_text(said, step->said, strlen(step->said))), put(t, ")");
    put(t, "\n");
    if (is_there(step->hint))
        put(t, "      "), put_part(t, step->hint), put(t, "\n");
}

/* ---- JSON ---- */

static void put_key(struct text *t, const char *key, const char *value)
{
    if (!is_there(value))
        return;
    put(t, t->n == 0 ? "{\"" : ",\""), put(t, key), put(t, "\":\"");
    t->n += json_text_put(t->out + t->n, CHECKLIST_TEXT_MAX, value);
    put(t, "\"");
}

static void put_json(struct text *t, const struct checklist_step *step)
{
    char said[ESCAPE_BUF] = "";
    if (is_there(step->said))
        escape_text(said, step->said, strlen(step->said));
    put_key(t, "step", step->word);
    put_key(t, "state", states[step->state].word);
    put_key(t, "name", step->name);
    put_key(t, "value", step->value);
    put_key(t, "target", step->target);
    put_key(t, "detail", step->detail);
    put_key(t, "said", said);
    put_key(t, "hint", step->hint);
    put(t, "}\n");
}

size_t checklist_text(char out[CHECKLIST_LINE_MAX], enum checklist_form form,
                      const struct checklist_step *step)
{
    struct text t = {.out = out};
    if (form == CHECKLIST_JSON)
        put_json(&t, step);
    else if (is_there(step->value))
        put_value(&t, form == CHECKLIST_COLOUR, step);
    else
        put_step(&t, form == CHECKLIST_COLOUR, step);
    return t.n;
}

/* ---- stdout ---- */

static struct outlet out = OUTLET_INIT(STDOUT_FILENO, "steps", NULL);

void checklist_show(enum checklist_form form, const struct checklist_step *step)
{
    char text[CHECKLIST_LINE_MAX];
    outlet_put(&out, text, checklist_text(text, form, step));
}

void checklist_hold(void)
{
    outlet_hold(&out);
}

void checklist_release(void)
{
    outlet_release(&out);
}

void checklist_flush(void)
{
    (void)outlet_flush(&out, CHECKLIST_FLUSH_MS); /* whoever does not read has had the time */
}
