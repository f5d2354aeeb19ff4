/* SPDX-License-Identifier: MIT */
/*
 * Copies of one client at one server: standing and registry together, under cuts, lost answers,
 * restarts of either end, in any order. Each start of a process takes the id once; what it has
 * opened itself is never in its own way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/rng.h"
#include "proto/session/registry.h"
#include "proto/session/standing.h"

enum { PROCESSES = 3 };

struct process {
    struct standing s;
    uint8_t nonce[HELLO_NONCE_BYTES]; /* of its session */
    bool has_session, resumes;
    unsigned takeovers, lost_answers;
};

/* The server's end of a session. */
struct end {
    struct claim c;
    struct claimant who;
    struct process *of; /* NULL: that process is no more */
    bool answer_lost;
};

static struct registry r;
static struct process processes[PROCESSES];
static struct end *owner; /* of the id; NULL: nobody */
static uint32_t nonces;
static unsigned takeovers, refusals, resumes;
static struct {
    struct claim *opens, *accepted, *refused, *by, *evicted;
} told;

static void on_act(void *ctx, const struct registry_action *a)
{
    (void)ctx;
    switch (a->kind) {
    case REGISTRY_OPEN:
        told.opens = a->claim;
        break;
    case REGISTRY_ACCEPT:
        told.accepted = a->claim;
        break;
    case REGISTRY_REFUSE:
        told.refused = a->claim;
        told.by = a->by;
        break;
    case REGISTRY_EVICT:
        told.evicted = a->claim;
        break;
    case REGISTRY_YIELD:
        fail_msg("there is no other id");
    }
}

static bool is_owner(const struct process *p)
{
    return owner && owner->of == p && p->has_session &&
           memcmp(p->nonce, owner->who.nonce, sizeof p->nonce) == 0;
}

static void end_goes(struct end *e, bool tells)
{
    struct process *p = e->of;
    if (tells && p && p->has_session && memcmp(p->nonce, e->who.nonce, sizeof p->nonce) == 0) {
        p->has_session = p->resumes = false;
        standing_over(&p->s, e->who.nonce);
    }
    if (owner == e)
        owner = NULL;
    registry_gone(&r, &e->c);
    free(e);
}

/* The older one has to go for p's new open; does its client hear of it? */
static void replaced(struct process *p, bool tells)
{
    struct end *e = CONTAINER_OF(told.evicted, struct end, c);
    bool is_resumed = e->of == p && p->resumes && is_owner(p);
    assert_false(is_resumed); /* it is not named: it may come back */
    if (e->of != p) {
        p->takeovers++;
        takeovers++;
        assert_true(p->takeovers <= 1 + p->lost_answers);
    }
    end_goes(e, tells);
}

static void ask(struct process *p, struct rng *rng, int64_t port)
{
    struct end *e = calloc(1, sizeof *e);
    assert_non_null(e);
    memset(&told, 0, sizeof told);
    *e = (struct end){.of = p, .who.id = "a", .c.wanted = port};
    e->c.who = &e->who;
    memcpy(e->who.nonce, &(uint32_t){++nonces}, sizeof nonces);
    standing_say(&p->s, &e->who.take, &e->who.mine);
    standing_asked(&p->s, e->who.nonce);
    registry_ask(&r, &e->c);
    if (told.refused) {
        struct end *by = CONTAINER_OF(told.by, struct end, c);
        assert_true(by->of != p || p->resumes); /* no ghost */
        refusals++;
        standing_refused(&p->s, e->who.nonce);
        end_goes(e, false);
        return;
    }
    if (told.evicted && !told.opens)
        replaced(p, rng_below(rng, 2)); /* its port is wanted again */
    assert_ptr_equal(told.opens, &e->c);
    told.evicted = NULL;
    registry_opened(&r, &e->c, (int)port);
    if (told.evicted)
        replaced(p, rng_below(rng, 2));
    assert_ptr_equal(told.accepted, &e->c);
    owner = e;
    e->answer_lost = rng_below(rng, 4) == 0;
    if (e->answer_lost) {
        p->lost_answers++;
        return;
    }
    standing_accepted(&p->s, e->who.nonce);
    if (p->resumes) /* opened beside it: that one is given up */
        standing_resuming(&p->s, p->nonce, false);
    memcpy(p->nonce, e->who.nonce, sizeof p->nonce);
    p->has_session = true;
    p->resumes = false;
}

/* The connection of p's session is cut, or what follows that. */
static void cut(struct process *p, bool comes_back)
{
    if (!p->resumes) {
        p->resumes = true;
        standing_resuming(&p->s, p->nonce, true);
        return;
    }
    p->resumes = false;
    standing_resuming(&p->s, p->nonce, false);
    p->has_session = comes_back && is_owner(p); /* else given up, perhaps with a ghost */
    resumes += p->has_session;
}

static void start(struct process *p)
{
    if (owner && owner->of == p)
        owner->of = NULL; /* it waits at the server */
    *p = (struct process){.takeovers = 0};
    standing_init(&p->s);
}

static void event(struct rng *rng)
{
    struct process *p = &processes[rng_below(rng, PROCESSES)];
    uint32_t kind = rng_below(rng, 40);
    if (kind == 0)
        start(p);
    else if (kind == 1 && owner)
        end_goes(owner, false); /* its window is over, or the server starts anew */
    else if (kind < 8 && p->has_session)
        cut(p, rng_below(rng, 2));
    else if (kind < 20 && !(owner && owner->of == p && owner->answer_lost))
        standing_asked(&p->s, (uint8_t[HELLO_NONCE_BYTES]){255}); /* goes into the void */
    else if (!p->has_session || p->resumes)
        ask(p, rng, 80 + rng_below(rng, 2));
}

static void each_start_takes_the_id_once(void **state)
{
    (void)state;
    enum { SEEDS = 500, EVENTS = 500 };
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct rng rng;
        rng_seed(&rng, seed);
        registry_init(&r, on_act, NULL);
        for (unsigned i = 0; i < PROCESSES; i++)
            start(&processes[i]);
        for (unsigned i = 0; i < EVENTS; i++)
            event(&rng);
        if (owner)
            end_goes(owner, false);
        assert_int_equal(r.count, 0);
    }
    assert_true(takeovers > SEEDS && refusals > SEEDS && resumes > SEEDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_start_takes_the_id_once),
    };
    return cmocka_run_group_tests_name("copies", tests, NULL, NULL);
}
