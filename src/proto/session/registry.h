/* SPDX-License-Identifier: MIT */
/*
 * Who owns an id and a port: the rules, without I/O. One claim stands for one session, or for one
 * that wants to become it. Everything is asked here and answered later, so the same rules can
 * serve one process, or one day many.
 *
 *   ASKING --may have both--> OPENING --listens--> OPENED --older one is gone--> SERVING
 *    |  \--waits: another one has to go, or to yield, first                        |
 *    +--refused--> RELEASED <--it drains, or its port was given away---------------+
 *                                            ENDING <--a newer one takes its place-+
 *
 * Whose id it is counts: an id below is the pair of key and id of a claimant, so nobody can end,
 * inherit or hear of a session of another key by the id he chooses.
 *
 * One id has one session that serves. A newer open of the id
 *   - takes its place if it may: it says `take` (the first open of a process), or `mine` names the
 *     nonce of the older one, which so is of the same process;
 *   - hears `taken` otherwise, with the address of who has it.
 * So two copies of one client change places once for each start of a process, and never by a cut.
 *
 * A session of gotunnel/2 claims its id alone (CLAIM_NO_PORT), so the older one ends at once, and
 * its ports with it. Each tunnel of it, and a session of the legacy wire, claims a port alone. An
 * open that has no answer yet is overtaken by a newer one under the same rule, and hears `taken`.
 *
 * The rules hold for a claim of both as well, which no server of ours makes: there the older session
 * ends only when the newer one is sure of its port, at once if the port is the older one's own, after
 * the new port listens if it is another. A refused open ends nothing (but where another program opens
 * the port in the moment between the older session and the new).
 *
 * A port that another holds is asked for: its session may yield it (life_may_lose_port()), but for the
 * legacy wire's, whose client has its port or is over. Who has asked first has it first, but for the
 * newer one of the same id, which inherits it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "proto/hello.h"

enum claim_state {
    CLAIM_NEW,      /* not asked yet */
    CLAIM_ASKING,   /* waits for the end, or the port, of waits_for */
    CLAIM_OPENING,  /* its port is being opened */
    CLAIM_OPENED,   /* its port listens; waits for the end of waits_for, then it is accepted */
    CLAIM_SERVING,  /* owns id and port */
    CLAIM_ENDING,   /* serving until its worker has ended it: a newer one takes its place */
    CLAIM_RELEASED, /* owns neither: it drains, lost its port, was refused, or is gone */
};

enum { CLAIM_NO_PORT = -1 };

/* Who asks: what its open says. Embedded in what the owner keeps for a session. */
struct claimant {
    char id[HELLO_ID_MAX + 1];  /* "": the legacy wire's: nobody's namesake */
    char key[HELLO_ID_MAX + 1]; /* name of the client's own key; "": the shared secret */
    uint8_t nonce[HELLO_NONCE_BYTES];
    bool take;
    struct hello_nonces mine;
};

/* Embedded in what the owner keeps for a session, or for a tunnel of one: there are many of those. */
struct claim {
    /* set by the owner before registry_ask(), constant then */
    const struct claimant *who; /* of the session; constant and there until registry_gone() */
    bool is_tunnel;  /* of the session: it asks for a port alone, and is nobody's namesake */
    bool keeps_port; /* it yields to nobody */
    int64_t wanted;  /* port; 0: any; CLAIM_NO_PORT */
    /* readable */
    enum claim_state state;
    int port; /* that listens; 0: none */
    /* private */
    bool is_here;            /* it has asked, and is not gone */
    bool is_asked_to_yield;  /* YIELD is out */
    struct map_node by_id;   /* while it is here; not of a tunnel, or one without id */
    struct map_node by_port; /* while it has a port, or is about to; key 0: it has none */
    uint64_t order;          /* of asking */
    struct claim *waits_for;
    struct list waits;   /* in its waiters */
    struct list waiters; /* for this one, in the order of asking */
};

enum registry_action_kind {
    REGISTRY_OPEN,   /* have claim's worker open its port; answer with registry_opened() */
    REGISTRY_ACCEPT, /* claim serves: tell its client */
    REGISTRY_REFUSE, /* tell claim's client why not, close its port; registry_gone() will follow */
    REGISTRY_EVICT,  /* end claim's session: `by` takes its place; answer with registry_gone() */
    REGISTRY_YIELD, /* ask claim's session for its port, for `by`; answer with registry_yielded() */
};

struct registry_action {
    enum registry_action_kind kind;
    struct claim *claim;
    struct claim *by; /* EVICT, YIELD: for whom; REFUSE: who has it, NULL: nobody known here */
    bool is_port;     /* REFUSE: the port is another's; else the id is */
};

struct registry {
    /* readable */
    uint32_t count; /* claims that have asked and are not gone */
    uint64_t looks; /* at claims for the sake of another, so far: what a step costs, for tests */
    /* private */
    struct map ids;   /* of claims by key and id: namesakes, and those whose hash is the same */
    struct map ports; /* of claims by port */
    uint64_t asked;   /* so far */
    void (*act)(void *ctx, const struct registry_action *a);
    void *ctx;
};

/* Have they the same id, of the same key? Not the legacy wire's. */
bool claim_is_namesake(const struct claim *a, const struct claim *b);

/* May a's client know where b's is? It has the same key, or both have the shared secret. */
bool claim_may_know(const struct claim *a, const struct claim *b);

/* act is called for each action, from inside the calls below; it must not call the registry. r must not
   move. Nothing looks through all claims: what a call costs are namesakes and waiters of one. It holds
   memory only while there are claims: there is no _fini. */
void registry_init(struct registry *r, void (*act)(void *ctx, const struct registry_action *a),
                   void *ctx);

/* c asks for its id and port. Its fields are set; state is CLAIM_NEW. */
void registry_ask(struct registry *r, struct claim *c);

/* The answer to OPEN: it listens on port (> 0), or could not (0): the owner has refused it then.
   Also of a claim that was refused meanwhile: its port is in the way of others until it is gone. */
void registry_opened(struct registry *r, struct claim *c, int port);

/* The answer to YIELD, one for each: the port is closed, or kept. */
void registry_yielded(struct registry *r, struct claim *c, bool yes);

/* A namesake of c behind o, o NULL: the first; NULL: there is none more. c need not have asked. In no
   order; r must not be called between two of them. */
struct claim *registry_namesake(struct registry *r, const struct claim *c, struct claim *o);

/* Who has waited longest for the end, or the port, of c; NULL: nobody. */
struct claim *registry_waiter(const struct claim *c);

/* c drains: it owns neither id nor port any more. */
void registry_released(struct registry *r, struct claim *c);

/* c's session, or the connection that asked for one, is over. Idempotent; c may be freed then. */
void registry_gone(struct registry *r, struct claim *c);

/* For the log: "asking" ... Static. */
const char *claim_state_word(enum claim_state s);
