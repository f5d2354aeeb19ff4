/* SPDX-License-Identifier: MIT */
/* Snapshots of a program, a part a thread. Text lies in blocks, which are freed with their part. */
#include "proto/census.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BLOCK = 16 << 10 }; /* a longer text has one of its own */

struct census_text {
    struct census_text *next;
    size_t used, room;
    char bytes[];
};

/* ---- words ---- */

static const char *const state_words[CENSUS_STATES] = {
    [CENSUS_CONNECTING] = "connecting",
    [CENSUS_REFUSED] = "refused",
    [CENSUS_UP] = "up",
    [CENSUS_SUSPECT] = "suspect",
    [CENSUS_WAITING] = "waiting",
    [CENSUS_DRAINING] = "draining",
    [CENSUS_OPENING] = "opening",
    [CENSUS_PORT_REFUSED] = "port-refused",
    [CENSUS_TARGET_REFUSES] = "target-refuses",
    [CENSUS_TARGET_FAILS] = "target-fails",
};

const char *census_state_word(enum census_state s)
{
    return state_words[s];
}

enum census_state census_state_find(const char *word)
{
    enum census_state s = 0;
    while (s < CENSUS_STATES && strcmp(state_words[s], word) != 0)
        s++;
    return s;
}

static const char *refusal_word(enum census_refusal r)
{
    static const char *const words[CENSUS_REFUSALS] = {
        [CENSUS_NOBODY_THERE] = "client-away",
        [CENSUS_NO_ROOM] = "no-room",
        [CENSUS_STOPPING] = "stopping",
        [CENSUS_NO_TUNNEL] = "no-tunnel",
    };
    return words[r];
}

enum census_state census_tunnel_state(enum census_state session, enum census_state own)
{
    return session == CENSUS_UP ? own : session;
}

/* ---- text ---- */

static const char *copy(struct census_text **texts, const char *text)
{
    size_t n = strlen(text) + 1;
    struct census_text *t = *texts;
    if (n == 1)
        return "";
    if (!t || t->room - t->used < n) {
        size_t room = n > TEXT_BLOCK ? n : TEXT_BLOCK;
        t = malloc(sizeof *t + room);
        if (!t)
            return "";
        *t = (struct census_text){.next = *texts, .room = room};
        *texts = t;
    }
    char *to = t->bytes + t->used;
    memcpy(to, text, n);
    t->used += n;
    return to;
}

static void free_texts(struct census_text *t)
{
    while (t) {
        struct census_text *next = t->next;
        free(t);
        t = next;
    }
}

const char *census_text(struct census_part *p, const char *text)
{
    return copy(&p->texts, text);
}

const char *census_own_text(struct census *c, const char *text)
{
    return copy(&c->texts, text);
}

/* ---- filling ---- */

struct census *census_new(void)
{
    struct census *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->process.mode = c->process.version = c->process.address = c->process.trouble = "";
    list_init(&c->parts);
    c->refs = 1;
    return c;
}

struct census_part *census_part_new(void)
{
    struct census_part *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->worker.lag_us = -1;
    list_init(&p->clients);
    list_init(&p->node);
    return p;
}

void census_count(struct census_reasons *r, const char *word, uint64_t count)
{
    unsigned i = 0;
    while (i < r->n && strcmp(r->words[i], word) != 0)
        i++;
    assert(i < CENSUS_REASONS_MAX);
    r->words[i] = word;
    r->counts[i] += count;
    r->n += i == r->n;
}

void census_add(struct census *c, struct census_part *p)
{
    list_push(&c->parts, &p->node);
    c->parts_count++;
    for (enum census_refusal r = 0; r < CENSUS_REFUSALS; r++)
        census_count(&c->process.refused, refusal_word(r), p->refused[r]);
    histogram_merge(&c->process.gaps, &p->gaps);
}

struct census_client *census_client_new(struct census_part *p)
{
    struct census_client *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    k->name = k->id = k->address = k->broke = k->error = "";
    k->proof_ms = k->next_ms = k->rtt_us = k->broke_ms = k->gap_ms = k->error_ms = -1;
    k->idle_cut_ms = -1;
    list_init(&k->tunnels);
    list_init(&k->node);
    list_push(&p->clients, &k->node);
    p->clients_count++;
    return k;
}

struct census_tunnel *census_tunnel_new(struct census_client *c)
{
    struct census_tunnel *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->name = t->address = t->target = t->error = t->detail = "";
    t->error_ms = -1;
    list_init(&t->node);
    list_push(&c->tunnels, &t->node);
    c->tunnels_count++;
    return t;
}

/* ---- reading ---- */

static struct list *behind(const struct list *head, const struct list *last)
{
    struct list *n = last ? last->next : head->next;
    return n == head ? NULL : n;
}

const struct census_part *census_next_part(const struct census *c, const struct census_part *last)
{
    struct list *n = behind(&c->parts, last ? &last->node : NULL);
    return n ? LIST_ENTRY(n, struct census_part, node) : NULL;
}

const struct census_client *census_next_client(const struct census_part *p,
                                               const struct census_client *last)
{
    struct list *n = behind(&p->clients, last ? &last->node : NULL);
    return n ? LIST_ENTRY(n, struct census_client, node) : NULL;
}

const struct census_tunnel *census_next_tunnel(const struct census_client *c,
                                               const struct census_tunnel *last)
{
    struct list *n = behind(&c->tunnels, last ? &last->node : NULL);
    return n ? LIST_ENTRY(n, struct census_tunnel, node) : NULL;
}

/* ---- the end ---- */

static void client_free(struct census_client *k)
{
    for (struct list *n; (n = list_first(&k->tunnels));) {
        list_del(n);
        free(LIST_ENTRY(n, struct census_tunnel, node));
    }
    list_del(&k->node);
    free(k);
}

void census_part_free(struct census_part *p)
{
    if (!p)
        return;
    for (struct list *n; (n = list_first(&p->clients));)
        client_free(LIST_ENTRY(n, struct census_client, node));
    list_del(&p->node);
    free_texts(p->texts);
    free(p);
}

struct census *census_ref(struct census *c)
{
    c->refs++;
    return c;
}

void census_unref(struct census *c)
{
    if (!c || --c->refs > 0)
        return;
    for (struct list *n; (n = list_first(&c->parts));)
        census_part_free(LIST_ENTRY(n, struct census_part, node));
    free_texts(c->texts);
    free(c);
}
