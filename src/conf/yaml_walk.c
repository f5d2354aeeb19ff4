/* SPDX-License-Identifier: MIT */
/*
 * libyaml's events as paths and texts.
 *
 * A frame is a map or list that is open, and path[i] is where its current entry stands, so a frame has
 * the same number as the step of what is in it. In a map keys and values take turns.
 */
#include "conf/yaml_walk.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/err.h"
#include "base/escape.h"
#include "base/i18n.h"
#include "base/secure.h"
#include "base/utf8.h"

struct frame {
    bool is_list;
    bool has_key; /* a map: the next node is the value of the last key */
    bool is_left_out;
    size_t count; /* entries that have begun */
    char keys[YAML_WALK_KEYS_MAX][YAML_WALK_KEY_MAX + 1];
    unsigned lines[YAML_WALK_KEYS_MAX]; /* of the keys */
};

struct walk {
    const struct yaml_sink *to;
    const char *bytes;
    size_t n;
    size_t depth; /* open frames */
    size_t muted; /* what is in the first so many frames, and deeper, is left out; 0: nothing */
    unsigned documents;
    bool is_done;
    struct yaml_step path[YAML_WALK_DEPTH_MAX];
    struct frame frames[YAML_WALK_DEPTH_MAX];
};

static struct yaml_place place_of(yaml_mark_t mark)
{
    return (struct yaml_place){(unsigned)mark.line + 1, (unsigned)mark.column + 1};
}

static int wrong(struct walk *w, struct yaml_place at, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Returns ERR_INVAL, for what ends the walk. */
static int wrong(struct walk *w, struct yaml_place at, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap); /* cut on purpose */
    va_end(ap);
    w->to->wrong(w->to->ctx, at, text);
    return ERR_INVAL;
}

/* ---- before libyaml ---- */

/* What YAML allows as it is: no control character but these. */
static bool is_allowed(uint32_t c)
{
    if (c < 0x20)
        return c == '\t' || c == '\n' || c == '\r';
    return c != 0x7f && (c < 0x80 || c > 0x9f) && c != 0xfeff && c != 0xfffe && c != 0xffff;
}

static int check_bytes(struct walk *w)
{
    struct yaml_place at = {1, 1};
    if (w->n > YAML_WALK_BYTES_MAX)
        return wrong(w, at, _("the file has more than %d bytes"), YAML_WALK_BYTES_MAX);
    for (size_t i = 0, len; i < w->n; i += len) {
        uint32_t c;
        len = utf8_get(&c, w->bytes + i, w->n - i);
        if (len == 0)
            return wrong(w, at, "%s", _("this is not UTF-8"));
        if (!is_allowed(c))
            return wrong(w, at, "%s", _("a control character stands here"));
        at = c == '\n' ? (struct yaml_place){at.line + 1, 1}
                       : (struct yaml_place){at.line, at.column + 1};
    }
    return 0;
}

/* Does a tab stand at character number index? Editors do not show it, and YAML takes none there. */
static bool is_tab(const struct walk *w, size_t index)
{
    size_t i = 0;
    uint32_t c;
    for (; index > 0 && i < w->n; index--)
        i += utf8_get(&c, w->bytes + i, w->n - i);
    return i < w->n && w->bytes[i] == '\t';
}

static int syntax_error(struct walk *w, const yaml_parser_t *p)
{
    struct yaml_place at = place_of(p->problem_mark);
    if (p->error == YAML_MEMORY_ERROR)
        return ERR_NOMEM;
    if (is_tab(w, p->problem_mark.index))
        return wrong(w, at, "%s", _("a tab stands here: indent with blanks"));
    return wrong(w, at, _("this is not YAML (%s)"), p->problem ? p->problem : "?");
}

/* ---- keys ---- */

/* What may be wrong with a key. 0: it is a new one. */
static int check_key(struct walk *w, const yaml_event_t *ev)
{
    const struct frame *f = &w->frames[w->depth - 1];
    const char *key = (const char *)ev->data.scalar.value;
    size_t n = ev->data.scalar.length;
    struct yaml_place at = place_of(ev->start_mark);
    char shown[ESCAPE_BUF];
    escape_text(shown, key, n);
    if (ev->data.scalar.anchor || ev->data.scalar.tag ||
        (ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && strcmp(key, "<<") == 0))
        return wrong(w, at, "%s", _("anchors, aliases, tags and << are not allowed"));
    if (n > YAML_WALK_KEY_MAX)
        return wrong(w, at, _("a key has at most %d bytes"), YAML_WALK_KEY_MAX);
    if (n == 0 || memchr(key, '\0', n))
        return wrong(w, at, _("'%s' is no key"), shown);
    for (size_t i = 0; i < f->count; i++)
        if (strcmp(f->keys[i], key) == 0)
            return wrong(w, at, _("'%s' is there already, in line %u"), shown, f->lines[i]);
    return 0;
}

/* A key of the open map. One that is not taken has a place in the row, so that indices are right. */
static int take_key(struct walk *w, const yaml_event_t *ev)
{
    struct frame *f = &w->frames[w->depth - 1];
    struct yaml_place at = place_of(ev->start_mark);
    if (ev->type == YAML_ALIAS_EVENT)
        return wrong(w, at, "%s", _("anchors, aliases, tags and << are not allowed"));
    if (ev->type != YAML_SCALAR_EVENT)
        return wrong(w, at, "%s", _("a key is wanted here, as in 'key: value'"));
    if (f->count == YAML_WALK_KEYS_MAX)
        return wrong(w, at, _("more than %d keys stand beside each other"), YAML_WALK_KEYS_MAX);
    f->is_left_out = check_key(w, ev) < 0;
    f->keys[f->count][0] = '\0';
    if (!f->is_left_out)
        memcpy(f->keys[f->count], ev->data.scalar.value, ev->data.scalar.length + 1);
    f->lines[f->count] = at.line;
    w->path[w->depth - 1] =
        (struct yaml_step){.key = f->keys[f->count], .index = f->count, .at = at};
    f->count++;
    f->has_key = true;
    return 0;
}

/* ---- values ---- */

/* A value has an anchor or a tag, or is an alias. */
static bool is_marked(const yaml_event_t *ev)
{
    switch (ev->type) {
    case YAML_SCALAR_EVENT:
        return ev->data.scalar.anchor || ev->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT:
        return ev->data.sequence_start.anchor || ev->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT:
        return ev->data.mapping_start.anchor || ev->data.mapping_start.tag;
    default: /* of libyaml's, no value but an alias */
        return true;
    }
}

static void tell(struct walk *w, const yaml_event_t *ev)
{
    struct yaml_entry e = {.path = w->path, .depth = w->depth, .at = place_of(ev->start_mark)};
    e.kind = ev->type == YAML_MAPPING_START_EVENT    ? YAML_MAP
             : ev->type == YAML_SEQUENCE_START_EVENT ? YAML_LIST
                                                     : YAML_TEXT;
    if (e.kind == YAML_TEXT) {
        e.text = (const char *)ev->data.scalar.value;
        e.len = ev->data.scalar.length;
        e.is_missing = e.len == 0 && ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    }
    w->to->entry(w->to->ctx, &e);
}

static int open_frame(struct walk *w, const yaml_event_t *ev)
{
    if (w->depth == YAML_WALK_DEPTH_MAX)
        return wrong(w, place_of(ev->start_mark), _("more than %d levels in each other"),
                     YAML_WALK_DEPTH_MAX);
    struct frame *f = &w->frames[w->depth++];
    f->is_list = ev->type == YAML_SEQUENCE_START_EVENT;
    f->has_key = false;
    f->count = 0;
    return 0;
}

/* A value of the open map or list. */
static int take_value(struct walk *w, const yaml_event_t *ev)
{
    struct frame *f = &w->frames[w->depth - 1];
    struct yaml_place at = place_of(ev->start_mark);
    bool is_left_out = !f->is_list && f->is_left_out;
    if (f->is_list)
        w->path[w->depth - 1] = (struct yaml_step){.index = f->count++, .at = at};
    f->has_key = false;
    if (!w->muted && is_marked(ev)) {
        (void)wrong(w, at, "%s", _("anchors, aliases, tags and << are not allowed"));
        is_left_out = true;
    }
    if (!w->muted && !is_left_out)
        tell(w, ev);
    if (ev->type == YAML_SCALAR_EVENT || ev->type == YAML_ALIAS_EVENT)
        return 0;
    if (!w->muted && is_left_out)
        w->muted = w->depth;
    return open_frame(w, ev);
}

static int take_root(struct walk *w, const yaml_event_t *ev)
{
    struct yaml_place at = place_of(ev->start_mark);
    if (ev->type == YAML_SCALAR_EVENT && ev->data.scalar.length == 0)
        return wrong(w, at, "%s", _("the file is empty"));
    if (ev->type != YAML_MAPPING_START_EVENT)
        return wrong(w, at, "%s", _("a key is wanted here, as in 'key: value'"));
    if (is_marked(ev))
        return wrong(w, at, "%s", _("anchors, aliases, tags and << are not allowed"));
    return open_frame(w, ev);
}

/* ---- events ---- */

static int take_document(struct walk *w, const yaml_event_t *ev)
{
    struct yaml_place at = place_of(ev->start_mark);
    if (w->documents++ > 0)
        return wrong(w, at, "%s", _("a second document begins here, and a file is one"));
    if (ev->data.document_start.tag_directives.start != ev->data.document_start.tag_directives.end)
        return wrong(w, at, "%s", _("anchors, aliases, tags and << are not allowed"));
    return 0;
}

static void close_frame(struct walk *w)
{
    w->depth--;
    if (w->depth == w->muted)
        w->muted = 0;
}

static int take_event(struct walk *w, const yaml_event_t *ev)
{
    switch (ev->type) {
    case YAML_DOCUMENT_START_EVENT:
        return take_document(w, ev);
    case YAML_STREAM_END_EVENT:
        w->is_done = true;
        return w->documents ? 0 : wrong(w, (struct yaml_place){1, 1}, "%s", _("the file is empty"));
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        close_frame(w);
        return 0;
    case YAML_SCALAR_EVENT:
    case YAML_ALIAS_EVENT:
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        break;
    default: /* of libyaml's: the stream begins, a document ends */
        return 0;
    }
    if (w->depth == 0)
        return take_root(w, ev);
    const struct frame *f = &w->frames[w->depth - 1];
    return f->is_list || f->has_key ? take_value(w, ev) : take_key(w, ev);
}

/* It may have been a secret. What libyaml has copied while it grew a text is not in our hands. */
static void wipe_event(yaml_event_t *ev)
{
    if (ev->type == YAML_SCALAR_EVENT)
        secure_zero(ev->data.scalar.value, ev->data.scalar.length);
    yaml_event_delete(ev);
}

static void wipe_parser(yaml_parser_t *p)
{
    secure_zero(p->raw_buffer.start, (size_t)(p->raw_buffer.end - p->raw_buffer.start));
    secure_zero(p->buffer.start, (size_t)(p->buffer.end - p->buffer.start));
    yaml_parser_delete(p);
}

static int take_events(struct walk *w)
{
    yaml_parser_t parser;
    yaml_event_t ev;
    int err = 0;
    if (!yaml_parser_initialize(&parser))
        return ERR_NOMEM;
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)w->bytes, w->n);
    while (err == 0 && !w->is_done) {
        if (!yaml_parser_parse(&parser, &ev)) {
            err = syntax_error(w, &parser);
            break;
        }
        err = take_event(w, &ev);
        wipe_event(&ev);
    }
    wipe_parser(&parser);
    return err;
}

int yaml_walk(const char *bytes, size_t n, const struct yaml_sink *to)
{
    struct walk *w = calloc(1, sizeof *w);
    if (!w)
        return ERR_NOMEM;
    size_t mark = n >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; /* an editor's */
    w->to = to;
    w->bytes = bytes + mark;
    w->n = n - mark;
    int err = check_bytes(w);
    if (err == 0)
        err = take_events(w);
    free(w);
    return err;
}
