/* SPDX-License-Identifier: MIT */
/*
 * The answer to `status`: the census of the program, a line for it and a line for each client, made as they are
 * read. It has no sentence: who asks makes them, in his language.
 */
#include <stdlib.h>

#include "app/ctl_internal.h"
#include "base/i18n.h"
#include "proto/census_json.h"

struct status {
    struct census_ask ask;
    struct ctl_source source;
    struct ctl_later *later;
    struct census *census; /* one reference */
    const struct census_part *part;
    const struct census_client *client; /* the last one that was put */
    bool has_begun;
};

static void put(struct ctl_answer *a, char *line, size_t n)
{
    if (line)
        ctl_put_line(a, line, n);
    else
        a->is_spoilt = true; /* no memory */
    free(line);
}

/* The next client; NULL: there is none. */
static const struct census_client *next_client(struct status *s)
{
    while (s->part) {
        s->client = census_next_client(s->part, s->client);
        if (s->client)
            return s->client;
        s->part = census_next_part(s->census, s->part);
    }
    return NULL;
}

static bool status_more(struct ctl_source *source, struct ctl_answer *a)
{
    struct status *s = CONTAINER_OF(source, struct status, source);
    size_t n = 0;
    if (!s->has_begun) {
        char *line = census_process_json(s->census, &n);
        put(a, line, n);
        s->part = census_next_part(s->census, NULL);
    }
    s->has_begun = true;
    while (a->len < CTL_PIECE_MAX && !a->is_spoilt) {
        const struct census_client *k = next_client(s);
        if (!k) {
            ctl_put_truth(a, "ok", true);
            ctl_end_line(a);
            return false;
        }
        char *line = census_client_json(k, &n);
        put(a, line, n);
    }
    return true;
}

static void status_over(struct ctl_source *source)
{
    struct status *s = CONTAINER_OF(source, struct status, source);
    census_unref(s->census);
    free(s);
}

static void status_on_census(struct census_ask *ask, struct census *c)
{
    struct status *s = CONTAINER_OF(ask, struct status, ask);
    struct ctl_later *later = s->later;
    if (!c) {
        ctl_refuse(ctl_later_answer(later), err_text(ERR_NOMEM));
        free(s);
        ctl_later_end(later);
        return;
    }
    s->census = census_ref(c);
    ctl_later_stream(later, &s->source);
}

void ctl_run_status(struct ctl *c, const struct ctl_request *req, struct ctl_answer *a,
                    void (**ret_then)(struct ctl *c))
{
    struct status *s = calloc(1, sizeof *s);
    (void)req, (void)ret_then;
    if (!s) {
        ctl_refuse(a, err_text(ERR_NOMEM));
        return;
    }
    s->ask.done = status_on_census;
    s->source = (struct ctl_source){status_more, status_over};
    s->later = ctl_later(a);
    c->ops->census(c->ctx, &s->ask);
}
