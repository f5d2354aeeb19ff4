/* SPDX-License-Identifier: MIT */
/*
 * A census in the text format of Prometheus (0.0.4). A line for each client and each tunnel, up to PROMETHEUS_SERIES of
 * both, and what the tunnels beyond have added up as `other`: whoever makes clients without end fills no monitor.
 */
#include "app/status_prometheus.h"

#include <string.h>

#include "base/escape.h"
#include "proto/census.h"

enum { PROMETHEUS_SERIES = 2000 };

#define OTHER "other"

/* ---- lines ---- */

static void head(FILE *out, const char *name, const char *type, const char *help)
{
    (void)fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label's value. The format knows three escapes, one of which is for line breaks: what is no printable text,
   which no name of ours has, is escaped before. */
static void put_value(FILE *out, const char *value)
{
    char shown[ESCAPE_BUF];
    (void)fputc('"', out);
    for (const char *c = escape_text(shown, value, strlen(value)); *c; c++) {
        if (*c == '\\')
            (void)fputc('\\', out);
        (void)fputc(*c, out);
    }
    (void)fputc('"', out);
}

/* Whose a line is: labels, in their order; an empty one is left out. */
struct labels {
    const char *client, *tunnel, *key, *value; /* key: of one more */
};

static void put_label(FILE *out, const char *key, const char *value, char *sep)
{
    if (!value)
        return;
    (void)fprintf(out, "%c%s=", *sep, key);
    put_value(out, value);
    *sep = ',';
}

static void line(FILE *out, const char *name, const struct labels *l, double value)
{
    char sep = '{';
    (void)fputs(name, out);
    put_label(out, "client", l->client, &sep);
    put_label(out, "tunnel", l->tunnel, &sep);
    put_label(out, l->key ? l->key : "", l->key ? l->value : NULL, &sep);
    (void)fprintf(out, sep == ',' ? "} %.17g\n" : " %.17g\n", value);
}

static void one(FILE *out, const char *name, const char *type, const char *help, double value)
{
    head(out, name, type, help);
    line(out, name, &(struct labels){0}, value);
}

static void put_reasons(FILE *out, const char *name, const char *help,
                        const struct census_reasons *r)
{
    head(out, name, "counter", help);
    for (unsigned i = 0; i < r->n; i++)
        line(out, name, &(struct labels){.key = "reason", .value = r->words[i]},
             (double)r->counts[i]);
}

static void put_histogram(FILE *out, const char *name, const char *help, const struct histogram *h)
{
    char bucket[64], sum[64], count[64], le[24];
    uint64_t n = 0;
    (void)snprintf(bucket, sizeof bucket, "%s_bucket", name); /* names of ours fit */
    (void)snprintf(sum, sizeof sum, "%s_sum", name);
    (void)snprintf(count, sizeof count, "%s_count", name);
    head(out, name, "histogram", help);
    for (unsigned i = 0; i <= HISTOGRAM_STEPS; i++) {
        n += h->counts[i];
        if (i < HISTOGRAM_STEPS)
            (void)snprintf(le, sizeof le, "%g", (double)histogram_ends[i] / 1000);
        else
            (void)snprintf(le, sizeof le, "+Inf");
        line(out, bucket, &(struct labels){.key = "le", .value = le}, (double)n);
    }
    line(out, sum, &(struct labels){0}, (double)h->sum_ms / 1000);
    line(out, count, &(struct labels){0}, (double)n);
}

/* ---- the program ---- */

static void put_process(FILE *out, const struct census_process *p)
{
    head(out, "gotunnel_build_info", "gauge", "The program; always 1.");
    line(out, "gotunnel_build_info", &(struct labels){.key = "version", .value = p->version}, 1);
    one(out, "gotunnel_start_time_seconds", "gauge", "When it began, in seconds since 1970.",
        (double)p->begun_s);
    one(out, "gotunnel_stopping", "gauge", "1 while it takes nothing new.", p->is_stopping);
    one(out, "gotunnel_open_connections", "gauge", "Connections of users that run.",
        (double)p->connections);
    one(out, "gotunnel_unauthenticated", "gauge",
        "Tunnel connections that have not proved themselves yet.", (double)p->unauthenticated);
    put_reasons(out, "gotunnel_auth_failures_total",
                "Tunnel connections that ended before they had proved themselves.",
                &p->auth_failures);
    put_reasons(out, "gotunnel_visitors_refused_total", "Visitors who were not served.",
                &p->refused);
    head(out, "gotunnel_reload_total", "counter", "Reloads of the configuration.");
    line(out, "gotunnel_reload_total", &(struct labels){.key = "result", .value = "ok"},
         (double)p->reloads);
    line(out, "gotunnel_reload_total", &(struct labels){.key = "result", .value = "failed"},
         (double)p->reloads_failed);
    put_histogram(out, "gotunnel_session_gap_seconds",
                  "How long users stood still, each time a session was resumed.", &p->gaps);
    if (strcmp(p->mode, "client") == 0)
        put_histogram(out, "gotunnel_dial_seconds",
                      "How long connections took to come to their target.", &p->dials);
}

/* ---- its threads ---- */

struct worker_row {
    const char *name, *help;
    double (*value)(const struct census_worker *w);
};

static double lag_of(const struct census_worker *w)
{
    return w->lag_us < 0 ? 0 : (double)w->lag_us / 1e6;
}

static double windows_of(const struct census_worker *w)
{
    return (double)w->window_bytes;
}

static double replay_of(const struct census_worker *w)
{
    return (double)w->replay_bytes;
}

static double silent_of(const struct census_worker *w)
{
    return w->is_silent;
}

static const struct worker_row worker_rows[] = {
    {"gotunnel_loop_lag_seconds", "Until the loop of a thread came to the question.", lag_of},
    {"gotunnel_worker_silent", "1 of a thread that has not answered.", silent_of},
    {"gotunnel_window_bytes", "Receive windows beyond what all begin with.", windows_of},
    {"gotunnel_replay_bytes", "What may be sent again, beyond what all begin with.", replay_of},
};

static void put_workers(FILE *out, const struct census *c)
{
    for (size_t i = 0; i < ARRAY_LEN(worker_rows); i++) {
        const struct worker_row *row = &worker_rows[i];
        unsigned n = 0;
        head(out, row->name, "gauge", row->help);
        for (const struct census_part *p = NULL; (p = census_next_part(c, p));) {
            char number[16];
            (void)snprintf(number, sizeof number, "%u", ++n); /* fits */
            line(out, row->name, &(struct labels){.key = "worker", .value = number},
                 row->value(&p->worker));
        }
    }
}

/* ---- clients ---- */

/* Keys of clients are configured names; ids are what a client says of itself, but with the secret. */
static const char *label_of(const struct census_client *k)
{
    return *k->name ? k->name : *k->id ? k->id : "-";
}

static void put_states(FILE *out, const struct census_part *clients)
{
    uint64_t counts[CENSUS_STATES] = {0};
    for (const struct census_client *k = NULL; (k = census_next_client(clients, k));)
        counts[k->state]++;
    head(out, "gotunnel_sessions", "gauge", "Sessions by how they are.");
    for (enum census_state s = 0; s <= CENSUS_DRAINING; s++)
        line(out, "gotunnel_sessions",
             &(struct labels){.key = "state", .value = census_state_word(s)}, (double)counts[s]);
}

/* Of several sessions with one label the newest has the series (choose()). */
struct client_row {
    const char *name, *type, *help;
    double (*value)(const struct census_client *k);
};

static double up_of(const struct census_client *k)
{
    return k->state == CENSUS_UP;
}

static double rtt_of(const struct census_client *k)
{
    return k->rtt_us < 0 ? 0 : (double)k->rtt_us / 1e6;
}

static double resumes_of(const struct census_client *k)
{
    return (double)k->resumes;
}

static const struct client_row client_rows[] = {
    {"gotunnel_client_up", "gauge", "1 if a byte went round in the last 15 seconds.", up_of},
    {"gotunnel_client_rtt_seconds", "gauge", "The last round trip that was measured.", rtt_of},
    {"gotunnel_client_resumes", "gauge", "How often its session was resumed.", resumes_of},
};

/* Those that have lines of their own. */
struct shown {
    const struct census_part *clients;
    const struct census_client *all[PROMETHEUS_SERIES]; /* in their order */
    unsigned count;
};

/* A session that another one with the same label follows, as it drains, has no line: the newest counts. But one that
   calls itself by the name of a key takes no line of who has that key. */
static bool has_own_line(const struct census_part *clients, const struct census_client *k)
{
    bool has_key = *k->name;
    for (const struct census_client *n = k; (n = census_next_client(clients, n));)
        if ((*n->name || !has_key) && strcmp(label_of(n), label_of(k)) == 0)
            return false;
    for (const struct census_client *n = NULL;
         !has_key && (n = census_next_client(clients, n)) && n != k;)
        if (*n->name && strcmp(n->name, k->id) == 0)
            return false;
    return true;
}

static void choose(struct shown *s, const struct census_part *clients)
{
    s->clients = clients;
    s->count = 0;
    for (const struct census_client *k = NULL;
         s->count < PROMETHEUS_SERIES && (k = census_next_client(clients, k));)
        if (has_own_line(clients, k))
            s->all[s->count++] = k;
}

static void put_clients(FILE *out, const struct shown *s)
{
    for (size_t r = 0; r < ARRAY_LEN(client_rows); r++) {
        const struct client_row *row = &client_rows[r];
        head(out, row->name, row->type, row->help);
        for (unsigned i = 0; i < s->count; i++)
            line(out, row->name, &(struct labels){.client = label_of(s->all[i])},
                 row->value(s->all[i]));
    }
}

/* ---- tunnels ---- */

struct tunnel_row {
    const char *name, *type, *help; /* help is NULL: of the same metric as the row before */
    const char *key, *value;        /* of one more label; NULL: none */
    double (*of)(const struct census_tunnel *t);
};

static double connections_of(const struct census_tunnel *t)
{
    return (double)t->connections;
}

static double failed_of(const struct census_tunnel *t)
{
    return (double)t->failed;
}

/* Of those that are over: one that runs may still fail, and a counter never falls. */
static double served_of(const struct census_tunnel *t)
{
    uint64_t others = t->failed + t->connections;
    return (double)(t->all > others ? t->all - others : 0);
}

static double in_of(const struct census_tunnel *t)
{
    return (double)t->in;
}

static double out_of(const struct census_tunnel *t)
{
    return (double)t->out;
}

static double tunnel_up_of(const struct census_tunnel *t)
{
    return t->state == CENSUS_UP;
}

/* clang-format off */
static const struct tunnel_row tunnel_rows[] = {
    {"gotunnel_tunnel_up", "gauge", "1 of a tunnel that is up.", NULL, NULL, tunnel_up_of},
    {"gotunnel_connections", "gauge", "Connections of users that run.", NULL, NULL, connections_of},
    {"gotunnel_connections_total", "counter", "Connections of users that are over.", "result", "ok", served_of},
    {"gotunnel_connections_total", NULL, NULL, "result", "failed", failed_of},
    {"gotunnel_bytes_total", "counter", "Bytes to targets, and from them.", "direction", "in", in_of},
    {"gotunnel_bytes_total", NULL, NULL, "direction", "out", out_of},
};
/* clang-format on */

/* One that closes has the name of the one that follows it. */
static bool is_last_of_its_name(const struct census_client *k, const struct census_tunnel *t)
{
    for (const struct census_tunnel *n = t; (n = census_next_tunnel(k, n));)
        if (strcmp(n->name, t->name) == 0)
            return false;
    return true;
}

/* It is called as the sum of those that have no line: it is in it, as two lines with one name are none for a monitor. */
static bool is_other(const struct labels *l)
{
    return strcmp(l->client, OTHER) == 0 && strcmp(l->tunnel, OTHER) == 0;
}

static void put_tunnels(FILE *out, const struct shown *s, const struct tunnel_row *row)
{
    unsigned next = 0, lines = 0;
    double other = 0;
    for (const struct census_client *k = NULL; (k = census_next_client(s->clients, k));) {
        bool is_shown = next < s->count && s->all[next] == k;
        next += is_shown;
        for (const struct census_tunnel *t = NULL; (t = census_next_tunnel(k, t));) {
            struct labels l = {label_of(k), *t->name ? t->name : "-", row->key, row->value};
            if (!is_shown || is_other(&l) || lines == PROMETHEUS_SERIES ||
                !is_last_of_its_name(k, t)) {
                other += row->of(t);
                continue;
            }
            lines++;
            line(out, row->name, &l, row->of(t));
        }
    }
    if (other > 0)
        line(out, row->name, &(struct labels){OTHER, OTHER, row->key, row->value}, other);
}

void status_prometheus(const struct census *c, const struct census_part *clients, FILE *out)
{
    struct shown shown;
    put_process(out, &c->process);
    put_workers(out, c);
    put_states(out, clients);
    choose(&shown, clients);
    put_clients(out, &shown);
    for (size_t r = 0; r < ARRAY_LEN(tunnel_rows); r++) {
        const struct tunnel_row *row = &tunnel_rows[r];
        if (row->help)
            head(out, row->name, row->type, row->help);
        put_tunnels(out, &shown, row);
    }
}
