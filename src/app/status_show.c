/* SPDX-License-Identifier: MIT */
/* The tables of `gotunnel status`. */
#include <stdlib.h>
#include <string.h>

#include "app/status_table.h"
#include "app/status_text.h"
#include "app/status_view.h"
#include "base/escape.h"
#include "base/i18n.h"

enum { BAR_CELLS = 8 };

#define RATE_MAX UINT64_C(1000000000000000000) /* bytes a second: nothing is so fast */

/* What others have chosen: a name, an address. */
static void put_foreign(struct table *t, const char *text)
{
    char shown[ESCAPE_BUF];
    table_put(t, escape_text(shown, text, strlen(text)));
}

static void put_number(struct table *t, uint64_t n)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)n); /* fits */
    table_put(t, text);
}

static void put_headings(struct table *t, const char *const *headings)
{
    for (unsigned i = 0; i < t->columns; i++)
        table_put(t, _(headings[i]));
}

/* ---- the process ---- */

static void print_process(const struct status_view *v, FILE *out)
{
    const struct census_process *p = &v->c->process;
    bool is_server = strcmp(p->mode, "server") == 0;
    char span[STATUS_TEXT_MAX], why[STATUS_TEXT_MAX], address[ESCAPE_BUF], version[ESCAPE_BUF];
    status_span(span, (p->now_s - p->begun_s) * 1000);
    escape_text(address, p->address, strlen(p->address));
    escape_text(version, p->version, strlen(p->version));
    if (is_server)
        (void)fprintf(out, _("server %s, process %lld, for %s, at %s\n"), version,
                      (long long)p->pid, span, *address ? address : "-");
    else
        (void)fprintf(out, _("client %s, process %lld, for %s, of %s\n"), version,
                      (long long)p->pid, span, address);
    if (p->is_stopping)
        (void)fprintf(out, "%s\n", _("it is stopping: nothing new is taken"));
    if (*p->trouble)
        (void)fprintf(out, _("no client can connect: %s\n"), status_why(why, p->trouble));
    if (is_server)
        (void)fprintf(
            out, _("sessions: %u, connections: %llu of %llu, not authenticated yet: %llu\n"),
            v->clients->clients_count, (unsigned long long)p->connections,
            (unsigned long long)p->connections_max, (unsigned long long)p->unauthenticated);
}

static void print_workers(const struct status_view *v, FILE *out)
{
    unsigned i = 0;
    for (const struct census_part *w = NULL; (w = census_next_part(v->c, w));) {
        i++;
        if (w->worker.is_silent)
            (void)fprintf(out, "%s\n",
                          _("a thread of it does not answer: its sessions are not shown"));
        else if (w->worker.lag_us >= 100000)
            (void)fprintf(out, _("worker %u is busy: it answered after %.1f s\n"), i,
                          (double)w->worker.lag_us / 1e6);
    }
}

/* ---- clients ---- */

static const char *name_of(const struct census_client *k)
{
    return *k->name ? k->name : *k->id ? k->id : k->address;
}

static bool print_clients(const struct status_view *v, FILE *out)
{
    static const char *const headings[] = {N_("CLIENT"),    N_("STATE"), N_("FOR"),
                                           N_("ADDRESS"),   N_("RTT"),   N_("RESUMES"),
                                           N_("LAST BREAK")};
    struct table t = {.columns = ARRAY_LEN(headings), .is_right = {[4] = true, [5] = true}};
    char text[STATUS_TEXT_MAX];
    put_headings(&t, headings);
    for (const struct census_client *k = NULL; (k = census_next_client(v->clients, k));) {
        put_foreign(&t, name_of(k));
        table_put(&t, status_client_state(text, k));
        table_put(&t, status_span(text, k->state_ms));
        put_foreign(&t, k->address);
        table_put(&t, status_rtt(text, k->rtt_us));
        put_number(&t, k->resumes);
        table_put(&t, status_break(text, k));
    }
    bool is_all = table_print(&t, out);
    table_fini(&t);
    return is_all;
}

/* ---- tunnels, and their rates ---- */

struct rate {
    double in, out; /* bytes a second */
};

/* Where the same tunnel was in an earlier answer: mostly in the same place. */
struct cursor {
    const struct status_view *v;
    const struct census_client *client;
};

static const struct census_client *find_client(struct cursor *at, const struct census_client *k)
{
    const struct census_client *begin = at->client, *c = begin;
    do {
        c = census_next_client(at->v->clients, c);
        if (c && strcmp(c->id, k->id) == 0 && strcmp(c->name, k->name) == 0 &&
            (*k->id || strcmp(c->address, k->address) == 0)) {
            at->client = c;
            return c;
        }
    } while (c != begin); /* NULL is between the last and the first */
    return NULL;
}

static const struct census_tunnel *find_tunnel(const struct census_client *c,
                                               const struct census_tunnel *t)
{
    for (const struct census_tunnel *b = NULL; c && (b = census_next_tunnel(c, b));)
        if (strcmp(b->name, t->name) == 0 && b->port == t->port)
            return b;
    return NULL;
}

static struct rate rate_of(const struct status_view *v, struct cursor *before,
                           const struct census_client *was, const struct census_tunnel *t)
{
    struct rate r = {0};
    const struct census_tunnel *b = find_tunnel(was, t);
    double s = before->v ? (double)(v->at_ns - before->v->at_ns) / 1e9 : 0;
    if (b && s > 0 && t->in >= b->in && t->out >= b->out) {
        r.in = (double)(t->in - b->in) / s;
        r.out = (double)(t->out - b->out) / s;
    }
    return r;
}

static void put_rate(struct table *t, double rate)
{
    char bytes[STATUS_TEXT_MAX], text[STATUS_TEXT_MAX + 8];
    (void)snprintf(
        text, sizeof text, "%s/s",
        status_bytes(bytes, rate < (double)RATE_MAX ? (uint64_t)rate : RATE_MAX)); /* fits */
    table_put(t, text);
}

/* What the environment says of the terminal's characters: the first that is not empty counts. */
static bool has_blocks(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
    }
    return false;
}

/* Eighths of a cell where the terminal has them. */
static void put_bar(struct table *t, double part)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};
    bool is_rich = has_blocks();
    char text[4 * BAR_CELLS + 1] = "";
    size_t len = 0;
    for (unsigned n = (unsigned)(part * BAR_CELLS * 8 + 0.5); n > 0; n -= n < 8 ? n : 8) {
        const char *cell = is_rich ? eighths[n < 8 ? n : 8] : n < 4 ? "" : "#";
        len += (size_t)snprintf(text + len, sizeof text - len, "%s", cell); /* fits */
    }
    table_put(t, text);
}

enum { T_CLIENT, T_NAME, T_STATE, T_PUBLIC, T_TARGET, T_NOW, T_ALL, T_IN, T_OUT, T_BAR, T_ERROR };

static const char *const tunnel_headings[] = {
    [T_CLIENT] = N_("CLIENT"),    [T_NAME] = N_("TUNNEL"),
    [T_STATE] = N_("STATE"),      [T_PUBLIC] = N_("PUBLIC"),
    [T_TARGET] = N_("TARGET"),    [T_NOW] = N_("NOW"),
    [T_ALL] = N_("TOTAL"),        [T_IN] = N_("IN"),
    [T_OUT] = N_("OUT"),          [T_BAR] = "",
    [T_ERROR] = N_("LAST ERROR"),
};

struct tunnels {
    const struct status_view *v, *before;
    struct table table;
    double most; /* of all rates */
    bool is_server;
};

static void put_tunnel(struct tunnels *ts, const struct census_client *k,
                       const struct census_tunnel *t, const struct rate *r)
{
    struct table *table = &ts->table;
    char text[STATUS_TEXT_MAX];
    put_foreign(table, ts->is_server ? name_of(k) : "");
    put_foreign(table, t->name);
    table_put(table, status_tunnel_state(text, t, k));
    put_foreign(table, t->address);
    put_foreign(table, t->target);
    put_number(table, t->connections);
    put_number(table, t->all);
    if (ts->before) {
        put_rate(table, r->in);
        put_rate(table, r->out);
        put_bar(table, ts->most > 0 ? (r->in + r->out) / ts->most : 0);
    } else {
        table_put(table, status_bytes(text, t->in));
        table_put(table, status_bytes(text, t->out));
        table_put(table, "");
    }
    table_put(table, status_error(text, t));
}

/* put: into the table; else only the greatest rate is looked for. */
static void each_tunnel(struct tunnels *ts, bool put)
{
    struct cursor at = {.v = ts->before};
    for (const struct census_client *k = NULL; (k = census_next_client(ts->v->clients, k));) {
        const struct census_client *was = ts->before ? find_client(&at, k) : NULL;
        for (const struct census_tunnel *t = NULL; (t = census_next_tunnel(k, t));) {
            struct rate r = rate_of(ts->v, &at, was, t);
            if (put)
                put_tunnel(ts, k, t, &r);
            else if (r.in + r.out > ts->most)
                ts->most = r.in + r.out;
        }
    }
}

static bool print_tunnels(const struct status_view *v, const struct status_view *before, FILE *out)
{
    struct tunnels ts = {
        .v = v,
        .before = before,
        .table = {.columns = ARRAY_LEN(tunnel_headings),
                  .is_right = {[T_NOW] = true, [T_ALL] = true, [T_IN] = true, [T_OUT] = true}},
        .is_server = strcmp(v->c->process.mode, "server") == 0,
    };
    put_headings(&ts.table, tunnel_headings);
    if (before)
        each_tunnel(&ts, false);
    each_tunnel(&ts, true);
    bool is_all = table_print(&ts.table, out);
    table_fini(&ts.table);
    return is_all;
}

bool status_view_print(const struct status_view *v, const struct status_view *before, FILE *out)
{
    print_process(v, out);
    print_workers(v, out);
    if (v->clients->clients_count == 0)
        return true;
    (void)fputc('\n', out);
    bool is_all = print_clients(v, out);
    (void)fputc('\n', out);
    return print_tunnels(v, before, out) && is_all;
}
