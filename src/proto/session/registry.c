/* SPDX-License-Identifier: MIT */
/* Who owns an id and a port: see registry.h. A claim is decided anew whenever what it waited for
 * has changed; so there is one function that decides, and no path that forgets a rule. */
#include "proto/session/registry.h"

#include <assert.h>
#include <string.h>

#include "proto/hash.h"

const char *claim_state_word(enum claim_state s)
{
    static const char *const words[] = {
        [CLAIM_NEW] = "new",           [CLAIM_ASKING] = "asking",   [CLAIM_OPENING] = "opening",
        [CLAIM_OPENED] = "opened",     [CLAIM_SERVING] = "serving", [CLAIM_ENDING] = "ending",
        [CLAIM_RELEASED] = "released",
    };
    return words[s];
}

void registry_init(struct registry *r, void (*act)(void *ctx, const struct registry_action *a),
                   void *ctx)
{
    *r = (struct registry){.act = act, .ctx = ctx};
    map_init(&r->ids, NULL);
    map_init(&r->ports, NULL);
}

/* Where the namesakes of c are, and hardly another. */
static uint32_t id_key(const struct claim *c)
{
    uint64_t h = hash_text(c->who->id) * 31 + hash_text(c->who->key);
    return (uint32_t)(h ^ h >> 32);
}

/* o NULL: for nobody any more. */
static void wait_for(struct registry *r, struct claim *c, struct claim *o)
{
    list_del(&c->waits);
    c->waits_for = o;
    if (!o)
        return;
    struct list *at = &o->waiters; /* behind it those that have asked later */
    while (at->prev != &o->waiters && LIST_ENTRY(at->prev, struct claim, waits)->order > c->order) {
        at = at->prev;
        r->looks++;
    }
    list_push(at, &c->waits);
}

/* What it has, or is about to have; 0: no port. */
static int held_port(const struct claim *c)
{
    if (c->port != 0)
        return c->port;
    return c->state == CLAIM_OPENING && c->wanted > 0 ? (int)c->wanted : 0;
}

/* After each change of state or port. */
static void hold(struct registry *r, struct claim *c)
{
    uint32_t port = (uint32_t)held_port(c);
    if (port == c->by_port.key)
        return;
    if (c->by_port.key != 0)
        map_del(&r->ports, &c->by_port);
    c->by_port.key = port;
    if (port != 0)
        map_put(&r->ports, &c->by_port);
}

static void act(const struct registry *r, enum registry_action_kind kind, struct claim *c,
                struct claim *by)
{
    r->act(r->ctx, &(struct registry_action){.kind = kind, .claim = c, .by = by});
}

static void refuse(struct registry *r, struct claim *c, bool is_port, struct claim *by)
{
    /* A port that is open, or about to be, is closed with the session: until registry_gone() it is
       in the way of others. */
    if (c->state == CLAIM_OPENING)
        c->port = (int)c->wanted;
    c->state = CLAIM_RELEASED;
    hold(r, c);
    wait_for(r, c, NULL);
    r->act(r->ctx, &(struct registry_action){
                       .kind = REGISTRY_REFUSE, .claim = c, .by = by, .is_port = is_port});
}

/* ---- who is in the way ---- */

/* c may end o's session, or overtake its open: it is a new process, or the same one. */
static bool may_replace(const struct claim *c, const struct claim *o)
{
    const struct hello_nonces *mine = &c->who->mine;
    for (unsigned i = 0; i < mine->count; i++)
        if (memcmp(mine->nonces[i], o->who->nonce, sizeof o->who->nonce) == 0)
            return true;
    return c->who->take;
}

bool claim_may_know(const struct claim *a, const struct claim *b)
{
    return strcmp(a->who->key, b->who->key) == 0;
}

static bool has_id(const struct claim *c)
{
    return !c->is_tunnel && *c->who->id != '\0';
}

bool claim_is_namesake(const struct claim *a, const struct claim *b)
{
    return a != b && has_id(a) && has_id(b) && strcmp(a->who->id, b->who->id) == 0 &&
           claim_may_know(a, b);
}

static bool is_pending(const struct claim *c)
{
    return c->state == CLAIM_ASKING || c->state == CLAIM_OPENING || c->state == CLAIM_OPENED;
}

static bool owns(const struct claim *c)
{
    return c->state == CLAIM_SERVING || c->state == CLAIM_ENDING;
}

struct claim *registry_namesake(struct registry *r, const struct claim *c, struct claim *o)
{
    struct map_node *n;
    if (!has_id(c))
        return NULL;
    for (n = o ? map_next(&o->by_id) : map_get(&r->ids, id_key(c)); n; n = map_next(n)) {
        o = CONTAINER_OF(n, struct claim, by_id);
        r->looks += o != c;
        if (claim_is_namesake(o, c))
            return o;
    }
    return NULL;
}

static bool is_before(const struct claim *a, const struct claim *b)
{
    return !b || a->order < b->order;
}

/* The session that has c's id now; NULL: none. */
static struct claim *older_of(struct registry *r, const struct claim *c)
{
    struct claim *first = NULL;
    for (struct claim *o = NULL; (o = registry_namesake(r, c, o));)
        if (owns(o) && is_before(o, first))
            first = o;
    return first;
}

/* The session or the open that has c's id, and that c may not replace; NULL: none. */
static struct claim *taken_by(struct registry *r, const struct claim *c)
{
    struct claim *first = NULL;
    for (struct claim *o = NULL; (o = registry_namesake(r, c, o));) {
        bool stays = is_pending(o) || o->state == CLAIM_SERVING;
        if (stays && !may_replace(c, o) && is_before(o, first))
            first = o;
    }
    return first;
}

/* Who has, or is about to have, the port c wants; NULL: nobody here. Two only where the system gave one
   of them what the other asks it for. */
static struct claim *holder_of(struct registry *r, const struct claim *c)
{
    struct claim *first = NULL;
    if (c->wanted <= 0)
        return NULL;
    for (struct map_node *n = map_get(&r->ports, (uint32_t)c->wanted); n; n = map_next(n)) {
        struct claim *o = CONTAINER_OF(n, struct claim, by_port);
        r->looks++;
        if (o != c && is_before(o, first))
            first = o;
    }
    return first;
}

/* ---- deciding ---- */

static void evict(const struct registry *r, struct claim *o, struct claim *by)
{
    if (o->state == CLAIM_ENDING)
        return; /* it was told */
    o->state = CLAIM_ENDING;
    act(r, REGISTRY_EVICT, o, by);
}

static void ask_to_yield(const struct registry *r, struct claim *o, struct claim *by)
{
    if (o->is_asked_to_yield)
        return; /* the answer is for all who wait for it */
    o->is_asked_to_yield = true;
    act(r, REGISTRY_YIELD, o, by);
}

static void decide_waiting(struct registry *r, struct claim *c);

/* c, whose port listens, has its id for itself now. Those that waited for that have waited for one
   that is OPENED, and so does none of them itself: this goes no deeper. */
static void serve(struct registry *r, struct claim *c)
{
    c->state = CLAIM_SERVING;
    wait_for(r, c, NULL);
    act(r, REGISTRY_ACCEPT, c, NULL);
    decide_waiting(r, c);
}

/* c has its port, or needs none: only an older session of its id is in the way. */
static void has_port(struct registry *r, struct claim *c)
{
    c->state = CLAIM_OPENED;
    wait_for(r, c, older_of(r, c));
    if (c->waits_for)
        evict(r, c->waits_for, c);
    else
        serve(r, c);
}

/* Goes on with a claim that asks: opens its port, or has it wait for another. */
static void decide(struct registry *r, struct claim *c)
{
    if (c->wanted == CLAIM_NO_PORT) {
        has_port(r, c);
        return;
    }
    struct claim *holder = holder_of(r, c);
    c->state = CLAIM_ASKING;
    hold(r, c);
    wait_for(r, c, holder);
    if (!holder) {
        c->state = CLAIM_OPENING;
        hold(r, c);
        act(r, REGISTRY_OPEN, c, NULL);
    } else if (claim_is_namesake(holder, c) && owns(holder)) {
        evict(r, holder, c); /* the port is its own: c is the first to have it then */
    } else if (holder->state == CLAIM_SERVING && holder->keeps_port) {
        refuse(r, c, true, holder);
    } else if (holder->state == CLAIM_SERVING) {
        ask_to_yield(r, holder, c);
    } /* else its port is being opened, or closed: whether it stays is not known yet */
}

static void go_on(struct registry *r, struct claim *w)
{
    wait_for(r, w, NULL);
    if (w->state == CLAIM_OPENED)
        serve(r, w);
    else if (w->state == CLAIM_ASKING)
        decide(r, w);
}

/* Those that waited for c: first the one of the same id, for which c may have been ended, and which
   inherits the port; then the others, in the order of asking. Each may wait for c again. */
static void decide_waiting(struct registry *r, struct claim *c)
{
    struct list waited, *n, *next;
    list_init(&waited);
    list_splice(&waited, &c->waiters);
    for (n = waited.next; n != &waited; n = next) {
        next = n->next;
        r->looks++;
        if (claim_is_namesake(LIST_ENTRY(n, struct claim, waits), c))
            go_on(r, LIST_ENTRY(n, struct claim, waits));
    }
    while ((n = list_first(&waited)))
        go_on(r, LIST_ENTRY(n, struct claim, waits));
}

/* ---- inputs ---- */

void registry_ask(struct registry *r, struct claim *c)
{
    assert(c->state == CLAIM_NEW);
    c->state = CLAIM_ASKING;
    c->port = 0;
    c->is_here = true;
    c->is_asked_to_yield = false;
    c->by_port.key = 0;
    c->order = ++r->asked;
    c->waits_for = NULL;
    list_init(&c->waits);
    list_init(&c->waiters);
    r->count++;
    if (has_id(c)) {
        c->by_id.key = id_key(c);
        map_put(&r->ids, &c->by_id);
    }
    struct claim *other = taken_by(r, c);
    if (other) {
        refuse(r, c, false, other);
        return;
    }
    for (struct claim *o = NULL; (o = registry_namesake(r, c, o));)
        if (is_pending(o))
            refuse(r, o, false, c); /* overtaken */
    decide(r, c);
}

void registry_opened(struct registry *r, struct claim *c, int port)
{
    bool was_overtaken = c->state == CLAIM_RELEASED && c->is_here;
    if (c->state != CLAIM_OPENING && !was_overtaken)
        return;
    c->port = port;
    if (was_overtaken || port == 0) {
        c->state = CLAIM_RELEASED; /* its worker closes what it has opened */
        hold(r, c);
        if (port == 0)
            decide_waiting(r, c);
        return;
    }
    hold(r, c);
    has_port(r, c);
}

struct claim *registry_waiter(const struct claim *c)
{
    struct list *n = list_first(&c->waiters);
    return n ? LIST_ENTRY(n, struct claim, waits) : NULL;
}

void registry_yielded(struct registry *r, struct claim *c, bool yes)
{
    c->is_asked_to_yield = false;
    if (yes) {
        registry_released(r, c);
        return;
    }
    if (c->state != CLAIM_SERVING)
        return; /* it ends, or has ended, and those that wait will have it so */
    for (struct list *n = c->waiters.next, *next; n != &c->waiters; n = next) {
        next = n->next;
        struct claim *w = LIST_ENTRY(n, struct claim, waits);
        r->looks++;
        if (w->state == CLAIM_ASKING)
            refuse(r, w, true, c);
    }
}

void registry_released(struct registry *r, struct claim *c)
{
    if (!owns(c))
        return;
    c->state = CLAIM_RELEASED;
    c->port = 0;
    hold(r, c);
    decide_waiting(r, c);
}

void registry_gone(struct registry *r, struct claim *c)
{
    if (c->state == CLAIM_NEW || !c->is_here)
        return;
    if (has_id(c))
        map_del(&r->ids, &c->by_id);
    r->count--;
    c->is_here = false;
    c->state = CLAIM_RELEASED;
    c->port = 0;
    hold(r, c);
    wait_for(r, c, NULL);
    decide_waiting(r, c);
}
