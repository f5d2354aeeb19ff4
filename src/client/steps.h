/* SPDX-License-Identifier: MIT */
/*
 * The checklist of `gotunnel join` (app/checklist.h): what the client comes to is shown as it happens, and
 * once each tunnel has its answer, or has waited for it long enough, two things are tried from here for each that is
 * open: whether its target answers, and whether its public port leads here. Then the public addresses are shown, and
 * nothing any more.
 *
 *   dns, tcp, tls, auth, port --all answered, one is open--> target --> reach --> public
 */
#pragma once

#include <uv.h>

#include "app/checklist.h"
#include "base/log.h"
#include "client/echo.h"
#include "client/save.h"
#include "client/watch.h"
#include "conf/target.h"
#include "proto/session/wishes.h"

enum {
    STEPS_HINT_MAX = 512,
    STEPS_AT_ONCE = 16,    /* probes; each has a descriptor */
    STEPS_DIAL_MS = 4000,  /* for a connection to a target, or to a public port */
    STEPS_SPEAK_MS = 500,  /* a target that speaks first does so within it */
    STEPS_VISIT_MS = 3000, /* from the public port to here */
    STEPS_FILL = 4096,     /* bytes there and back: more than two full packets */
    STEPS_SAVE_MS = 5000,  /* the last lines wait so long for the files */
    /* A tunnel of whose open the server says nothing keeps the others waiting so long. */
    STEPS_ANSWER_MS = 10000,
};

/* Those that are shown once, unless they change. */
enum step { STEP_DNS, STEP_TCP, STEP_TLS, STEP_AUTH, STEPS };

enum steps_phase { STEPS_OPENING, STEPS_TARGETS, STEPS_REACH, STEPS_SAVING, STEPS_DONE };

struct steps;
struct probe;

/* An open tunnel that is tried. */
struct steps_check {
    struct steps *steps;
    const struct service *service;
    const char *name; /* of the tunnel; "": it is the only one */
    long long port;
    unsigned at;       /* which of the target's destinations */
    bool is_elsewhere; /* another client with the same key has the port */
    struct probe *probe;
    bool was_visited; /* by our own connection */
    bool had_others;  /* by somebody, while we tried */
    struct echo echo; /* of a visit that sees whether large packets pass */
};

/* Zeroed but for the first six fields; must outlive the client. */
struct steps {
    enum checklist_form form;
    bool is_silent;                /* nothing is shown or tried: stdout is not for us */
    bool log_is_quiet;             /* until the last line: then it has the level of the options */
    struct saver *saver;           /* NULL: nothing is saved */
    bool is_strict;                /* what keeps users out is a failure, not a warning */
    void (*done)(struct steps *s); /* the last line was shown; NULL: nobody waits for it */
    /* private, but for reading */
    unsigned failures; /* lines with CHECKLIST_FAIL */
    struct client *client;
    uv_timer_t timer;
    enum steps_phase phase;
    mtime_ms answer_by; /* of this session; MTIME_NEVER: there is none */
    bool is_late;       /* it is over: who is open goes on without the others */
    struct {
        bool is_told;
        enum checklist_state state;
        uint64_t text; /* its hash */
    } told[STEPS];
    struct steps_check checks[TARGETS_MAX];
    unsigned count, next, running;
};

/* What to do about an attempt that ended so; NULL: the words say it. */
const char *steps_loss_hint(char out[STEPS_HINT_MAX], const struct uplink *u,
                            enum end_reason reason);

/* The same about a tunnel that is refused; "": the words say it. */
const char *steps_port_hint(char out[STEPS_HINT_MAX], const struct client *c, const struct wish *w);

/* What to do where large packets get lost. */
const char *steps_mtu_hint(void);

/* The watch; its ctx is a struct steps. */
extern const struct client_watch steps_watch;
