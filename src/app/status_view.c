/* SPDX-License-Identifier: MIT */
/* The answer as it is read. */
#include "app/status_view.h"

#include <string.h>
#include <time.h>

#include "app/ctl_ask.h"
#include "base/escape.h"
#include "base/i18n.h"
#include "proto/census_json.h"

struct reading {
    struct status_view *v;
    FILE *raw;
    unsigned clients;
    bool has_process, is_whole;
    int err;
    char error[sizeof((struct errmsg *)0)->text]; /* the program's own */
};

/* JSON as it came, but nothing in it moves a terminal: control characters that may stand in it as they are. */
static void put_line(FILE *out, const char *line)
{
    for (const unsigned char *c = (const unsigned char *)line; *c; c++)
        if (*c == 0x7f)
            (void)fputs("\\u007f", out);
        else if (*c == 0xc2 && c[1] < 0xa0)
            (void)fprintf(out, "\\u%04x", *++c);
        else
            (void)fputc(*c, out);
}

/* One document, whose lines are those of the answer. */
static void print_raw(const struct reading *r, const char *line, bool is_process)
{
    if (!r->raw)
        return;
    if (is_process)
        (void)fputs("{\"process\":", r->raw);
    else
        (void)fputs(r->clients > 1 ? ",\n" : "\n", r->raw);
    put_line(r->raw, line);
    if (is_process)
        (void)fputs(",\n\"clients\":[", r->raw);
}

/* The last line, or one that says no. False: it is another one. */
static bool take_end(struct reading *r, const char *line, size_t n)
{
    struct ctl_line *l = ctl_line_get(line, n);
    bool is_last = l && ctl_line_is_last(l);
    const char *error = l ? ctl_line_text(l, "error") : NULL;
    char shown[ESCAPE_BUF];
    r->is_whole = is_last && ctl_line_truth(l, "ok") && r->has_process;
    if (is_last && error && !r->has_process)
        (void)snprintf(r->error, sizeof r->error, "%s",
                       escape_text(shown, error, strlen(error))); /* cut */
    ctl_line_free(l);
    return is_last;
}

static bool take_line(void *ctx, const char *line, size_t n)
{
    struct reading *r = ctx;
    struct census_client *k;
    if (!r->has_process && census_process_read(r->v->c, line, n) == 0) {
        r->has_process = true;
        print_raw(r, line, true);
        return true;
    }
    int err = r->has_process ? census_client_read(r->v->clients, line, n, &k) : ERR_PROTO;
    if (err == 0) {
        r->clients++;
        print_raw(r, line, false);
        return true;
    }
    if (err == ERR_NOMEM || !take_end(r, line, n))
        r->err = err;
    return false;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail */
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int status_view_read(struct status_view *v, int fd, FILE *raw, struct errmsg *why)
{
    const struct ctl_request req = {CTL_STATUS, ""};
    struct reading r = {.v = v, .raw = raw};
    *v = (struct status_view){.c = census_new(), .clients = census_part_new()};
    if (!v->c || !v->clients)
        return errmsg_set(why, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    int err = ctl_ask_lines(fd, &req, take_line, &r, why);
    v->at_ns = now_ns();
    if (r.has_process && raw)
        (void)fprintf(raw, "\n]}\n");
    if (err < 0)
        return err;
    if (*r.error)
        return errmsg_set(why, ERR_IO, "%s", r.error);
    if (r.err == ERR_NOMEM)
        return errmsg_set(why, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    return r.is_whole ? 0 : errmsg_set(why, ERR_PROTO, "%s", _("the answer makes no sense"));
}

void status_view_fini(struct status_view *v)
{
    census_part_free(v->clients);
    census_unref(v->c);
    *v = (struct status_view){0};
}

/* ---- is all up? ---- */

/* One that drains beside another is on its way out. */
static bool client_is_up(const struct census_client *k)
{
    if (k->tunnels_count == 0 && k->state == CENSUS_DRAINING)
        return true;
    if (k->state != CENSUS_UP)
        return false;
    for (const struct census_tunnel *t = NULL; (t = census_next_tunnel(k, t));)
        if (t->state != CENSUS_UP && t->state != CENSUS_DRAINING)
            return false;
    return true;
}

bool status_view_is_up(const struct status_view *v)
{
    const struct census_process *p = &v->c->process;
    if (p->is_stopping || *p->trouble)
        return false;
    for (const struct census_part *w = NULL; (w = census_next_part(v->c, w));)
        if (w->worker.is_silent)
            return false;
    if (strcmp(p->mode, "client") != 0)
        return true; /* a client that is away is no fault of its server's */
    for (const struct census_client *k = NULL; (k = census_next_client(v->clients, k));)
        if (!client_is_up(k))
            return false;
    return true;
}
