/* SPDX-License-Identifier: MIT */
/* The table of clients with keys of their own: a chained hash table that doubles as it fills. */
#include "proto/credentials.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/secure.h"
#include "proto/hmac.h"

enum {
    SLOTS_MIN = 8,
    NOBODIES =
        64, /* some keys take a little longer to verify with than others: so a name that is not
                      there has one of many, too, always the same */
};

struct entry {
    struct entry *next; /* of the same slot */
    uint64_t hash;
    struct credential c; /* name and old are here */
    char name[HELLO_ID_MAX + 1];
    struct credential_old old[]; /* as many as there are */
};

struct credentials {
    atomic_uint owners;
    struct credentials_config cfg;
    struct entry *nobodies[NOBODIES]; /* whose keys nobody has */
    unsigned nobodies_count;          /* 1 while the table is empty: no name is to be hidden then */
    struct entry **slots;
    size_t slots_count, count; /* slots: a power of two */
};

/* ---- life ---- */

/* Key number i of those that nobody has. */
static int make_nobody(struct credentials *t, uint8_t i)
{
    struct client_secret s;
    uint8_t bytes[HMAC_BYTES];
    struct entry *e = t->nobodies[i] = calloc(1, sizeof *e);
    if (!e)
        return ERR_NOMEM;
    int err = hmac_sha256(bytes, t->cfg.nobody, sizeof t->cfg.nobody, &i, 1);
    if (err == 0)
        err = client_secret_init(&s, bytes); /* the first of them are T */
    if (err == 0)
        err = client_key_init(&e->c.key, &s);
    secure_zero(&s, sizeof s);
    secure_zero(bytes, sizeof bytes);
    if (err < 0) {
        free(e); /* nothing is in it */
        t->nobodies[i] = NULL;
    }
    return err;
}

/* That many of them, at least: 1 or NOBODIES. Each key costs as much as a signature. */
static int make_nobodies(struct credentials *t, unsigned count)
{
    int err = 0;
    for (unsigned i = t->nobodies_count; i < count && err == 0; i++)
        err = t->nobodies[i] ? 0 : make_nobody(t, (uint8_t)i);
    if (err == 0 && t->nobodies_count < count)
        t->nobodies_count = count;
    return err;
}

/* Those of another table with the same cfg. */
static int copy_nobodies(struct credentials *t, const struct credentials *from)
{
    for (unsigned i = 0; i < from->nobodies_count; i++) {
        t->nobodies[i] = calloc(1, sizeof *t->nobodies[i]);
        if (!t->nobodies[i])
            return ERR_NOMEM;
        t->nobodies[i]->c.key = from->nobodies[i]->c.key;
    }
    t->nobodies_count = from->nobodies_count;
    return 0;
}

/* With the keys that nobody has of another table, which has the same cfg; NULL: they are made. */
static struct credentials *new_table(const struct credentials_config *cfg,
                                     const struct credentials *from)
{
    struct credentials *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    atomic_init(&t->owners, 1);
    t->cfg = *cfg;
    t->slots_count = SLOTS_MIN;
    t->slots = calloc(SLOTS_MIN, sizeof(struct entry *));
    int err = t->slots ? 0 : ERR_NOMEM;
    if (err == 0)
        err = from ? copy_nobodies(t, from) : make_nobodies(t, 1);
    if (err < 0) {
        credentials_unref(t);
        return NULL;
    }
    return t;
}

struct credentials *credentials_new(const struct credentials_config *cfg)
{
    return new_table(cfg, NULL);
}

struct credentials *credentials_ref(struct credentials *t)
{
    atomic_fetch_add_explicit(&t->owners, 1, memory_order_relaxed);
    return t;
}

static size_t size_of(unsigned old_count)
{
    return sizeof(struct entry) + old_count * sizeof(struct credential_old);
}

static void free_entry(const struct credentials *t, struct entry *e)
{
    if (t->cfg.rights_free && e->c.rights)
        t->cfg.rights_free(e->c.rights);
    secure_zero(e, size_of(e->c.old_count));
    free(e);
}

void credentials_unref(struct credentials *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->owners, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; t->slots && i < t->slots_count; i++)
        for (struct entry *e; (e = t->slots[i]);) {
            t->slots[i] = e->next;
            free_entry(t, e);
        }
    free(t->slots);
    for (size_t i = 0; i < NOBODIES && t->nobodies[i]; i++)
        free_entry(t, t->nobodies[i]);
    secure_zero(t, sizeof *t);
    free(t);
}

/* ---- names ---- */

/* The name in a field of fixed size: it is hashed whole, as long for one as for another. */
static uint64_t hash_name(const struct credentials *t, const char *name)
{
    char field[HELLO_ID_MAX + 1] = "";
    memcpy(field, name, strnlen(name, HELLO_ID_MAX));
    return keyed_hash(t->cfg.hash_key, field, sizeof field);
}

static struct entry **slot_of(const struct credentials *t, uint64_t hash)
{
    return &t->slots[hash & (t->slots_count - 1)];
}

static const struct entry *find(const struct credentials *t, const char *name, uint64_t hash)
{
    for (const struct entry *e = *slot_of(t, hash); e; e = e->next)
        if (e->hash == hash && strcmp(e->name, name) == 0)
            return e;
    return NULL;
}

const struct credential *credentials_find(const struct credentials *t, const char *name)
{
    const struct entry *e = find(t, name, hash_name(t, name));
    return e ? &e->c : NULL;
}

const void *credentials_rights(const struct credentials *t, const char *name)
{
    const struct credential *c = t && *name ? credentials_find(t, name) : NULL;
    return c ? c->rights : NULL;
}

size_t credentials_count(const struct credentials *t)
{
    return t->count;
}

/* Without memory the table stays as it is: slower, and right. */
static void grow(struct credentials *t)
{
    struct entry **old = t->slots;
    size_t n = t->slots_count;
    struct entry **slots = calloc(2 * n, sizeof(struct entry *));
    if (!slots)
        return;
    t->slots = slots;
    t->slots_count = 2 * n;
    for (size_t i = 0; i < n; i++)
        for (struct entry *e; (e = old[i]);) {
            old[i] = e->next;
            e->next = *slot_of(t, e->hash);
            *slot_of(t, e->hash) = e;
        }
    free(old);
}

/* Of a name with this hash. */
static int add_hashed(struct credentials *t, const struct credential *c, uint64_t hash)
{
    if (find(t, c->name, hash))
        return ERR_INUSE;
    if (t->count == CREDENTIALS_MAX || c->old_count > CREDENTIAL_OLD_MAX)
        return ERR_LIMIT;
    struct entry *e = calloc(1, size_of(c->old_count));
    if (!e || make_nobodies(t, NOBODIES) < 0) {
        free(e);
        return ERR_NOMEM;
    }
    e->c = *c;
    memcpy(e->name, c->name, strlen(c->name));
    e->c.name = e->name;
    if (c->old_count > 0)
        memcpy(e->old, c->old, c->old_count * sizeof *c->old);
    e->c.old = e->old;
    e->hash = hash;
    if (t->count == t->slots_count)
        grow(t);
    e->next = *slot_of(t, e->hash);
    *slot_of(t, e->hash) = e;
    t->count++;
    return 0;
}

int credentials_add(struct credentials *t, const struct credential *c)
{
    if (!hello_id_is_valid(c->name) || strncmp(c->name, "node.", 5) == 0)
        return ERR_INVAL;
    return add_hashed(t, c, hash_name(t, c->name));
}

/* A copy of e for t, which has the hash key of e's table; its rights are t's then. */
static int add_copy(struct credentials *t, const struct entry *e,
                    void *(*rights_copy)(const void *rights))
{
    struct credential c = e->c;
    if (c.rights && !(c.rights = rights_copy(c.rights)))
        return ERR_NOMEM;
    int err = add_hashed(t, &c, e->hash);
    if (err < 0 && c.rights && t->cfg.rights_free)
        t->cfg.rights_free(c.rights);
    secure_zero(&c.key, sizeof c.key);
    return err;
}

struct credentials *credentials_copy_but(const struct credentials *t, const char *name,
                                         void *(*rights_copy)(const void *rights))
{
    struct credentials *copy = new_table(&t->cfg, t);
    int err = copy ? 0 : ERR_NOMEM;
    for (size_t i = 0; i < t->slots_count && err == 0; i++)
        for (const struct entry *e = t->slots[i]; e && err == 0; e = e->next)
            if (strcmp(e->name, name) != 0)
                err = add_copy(copy, e, rights_copy);
    if (err == 0)
        return copy;
    credentials_unref(copy);
    return NULL;
}

/* ---- verdicts ---- */

static bool is_expired(const struct credential *c, int64_t now_s)
{
    return c->expires_s != 0 && now_s >= c->expires_s;
}

/* Key i of c: the present one, then the former ones; NULL: it has no such key. */
static const struct client_key *key_at(const struct credential *c, unsigned i)
{
    if (i == 0)
        return &c->key;
    return i <= c->old_count ? &c->old[i - 1].key : NULL;
}

static bool is_replaced(const struct credential *c, unsigned i, int64_t now_s)
{
    return i > 0 && now_s >= c->old[i - 1].until_s;
}

int64_t credentials_until(const struct credentials *t, const char *name,
                          const uint8_t public_key[CLIENT_KEY_PUBLIC_BYTES])
{
    const struct credential *c = credentials_find(t, name);
    if (!c || c->is_disabled)
        return 0;
    int64_t until = c->expires_s != 0 ? c->expires_s : INT64_MAX;
    for (unsigned i = 0; key_at(c, i); i++) {
        if (memcmp(key_at(c, i)->public_key, public_key, CLIENT_KEY_PUBLIC_BYTES) != 0)
            continue;
        return i > 0 && c->old[i - 1].until_s < until ? c->old[i - 1].until_s : until;
    }
    return 0;
}

bool credentials_keep(const struct credentials *t, const char *name,
                      const uint8_t public_key[CLIENT_KEY_PUBLIC_BYTES], int64_t now_s)
{
    return now_s < credentials_until(t, name, public_key);
}

bool credentials_admit(const struct credentials *t, const char *name, const struct address *from)
{
    const struct credential *c = credentials_find(t, name);
    return c && (!t->cfg.admits || t->cfg.admits(c->rights, from));
}

/* Number i of those that stand in for what is not there, for the name with this hash. */
static const struct entry *nobody_at(const struct credentials *t, uint64_t hash, unsigned i)
{
    return t->nobodies[((hash >> 32) + i) & (t->nobodies_count - 1)];
}

/* What was found in a line. */
struct proofs {
    unsigned used; /* the key whose A has made the MAC, or the present one */
    bool is_sealed, is_signed;
};

/* The first thing that is wrong; all of it is looked at. */
static enum credentials_cause cause_of(const struct credentials *t, const struct credential *c,
                                       const struct credentials_question *q, const struct proofs *p)
{
    bool admitted = !t->cfg.admits || t->cfg.admits(c->rights, q->from);
    if (!c->name)
        return CREDENTIALS_UNKNOWN;
    if (!p->is_sealed)
        return CREDENTIALS_WRONG;
    if (!p->is_signed)
        return CREDENTIALS_UNSIGNED;
    if (is_replaced(c, p->used, q->now_s))
        return CREDENTIALS_OLD;
    if (c->is_disabled)
        return CREDENTIALS_DISABLED;
    if (is_expired(c, q->now_s))
        return CREDENTIALS_EXPIRED;
    return admitted ? CREDENTIALS_RIGHT : CREDENTIALS_SOURCE;
}

void credentials_judge(const struct credentials *t, const struct credentials_question *q,
                       struct credentials_verdict *ret)
{
    uint64_t hash = hash_name(t, q->request->key);
    const struct entry *e = find(t, q->request->key, hash);
    const struct entry *nobody = nobody_at(t, hash, 0);
    if (!e && strcmp(nobody->name, q->request->key) != 0) /* always: nobody has no name */
        e = nobody;
    const struct credential *c = &e->c;
    struct hello_keys keys[CREDENTIAL_KEYS];
    struct proofs p = {0};
    for (unsigned i = 0; i < CREDENTIAL_KEYS; i++) {
        const struct client_key *k = key_at(c, i);
        const uint8_t *a = k ? k->a : nobody_at(t, hash, i)->c.key.a;
        int err = hello_keys_init(&keys[i], a, CLIENT_KEY_A_BYTES, q->exporter);
        bool is_sealed = hello_open_verify(q->line, &keys[i]) && err == 0 && k;
        p.used = is_sealed && !p.is_sealed ? i : p.used;
        p.is_sealed = p.is_sealed || is_sealed;
    }
    const uint8_t *public_key = key_at(c, p.used)->public_key;
    p.is_signed = hello_open_verify_sig(q->line, public_key, q->exporter);

    memset(ret, 0, sizeof *ret);
    ret->cause = cause_of(t, c, q, &p);
    if (ret->cause == CREDENTIALS_RIGHT) {
        ret->client = c;
        ret->keys = keys[p.used];
        memcpy(ret->public_key, public_key, sizeof ret->public_key);
    }
    secure_zero(keys, sizeof keys);
}

bool credentials_is_guess(enum credentials_cause c)
{
    return c == CREDENTIALS_UNKNOWN || c == CREDENTIALS_WRONG || c == CREDENTIALS_UNSIGNED;
}

const char *credentials_cause_word(enum credentials_cause c)
{
    static const char *const words[] = {
        [CREDENTIALS_RIGHT] = "right",      [CREDENTIALS_UNKNOWN] = "unknown",
        [CREDENTIALS_WRONG] = "wrong key",  [CREDENTIALS_UNSIGNED] = "right MAC, wrong signature",
        [CREDENTIALS_OLD] = "replaced key", [CREDENTIALS_DISABLED] = "disabled",
        [CREDENTIALS_EXPIRED] = "expired",  [CREDENTIALS_SOURCE] = "not from there",
    };
    return words[c];
}
