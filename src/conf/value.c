/* SPDX-License-Identifier: MIT */
/* What each type of option takes. */
#include "conf/value.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/i18n.h"
#include "conf/duration.h"
#include "conf/number.h"
#include "conf/size.h"
#include "conf/utc.h"

static int set_choice(const struct option *o, const char *text, int *ret)
{
    size_t len = strlen(text);
    int index = 0;
    for (const char *word = o->choices; *word; index++) {
        size_t n = strcspn(word, " ");
        if (n == len && memcmp(word, text, n) == 0) {
            *ret = index;
            return 0;
        }
        word += n + (word[n] == ' ');
    }
    return ERR_INVAL;
}

/* strconv.ParseBool */
static int set_bool(const char *text, bool *ret)
{
    static const char *const words[] = {"0", "f", "F", "false", "FALSE", "False",
                                        "1", "t", "T", "true",  "TRUE",  "True"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(text, words[i]) == 0) {
            *ret = i >= ARRAY_LEN(words) / 2;
            return 0;
        }
    }
    return ERR_INVAL;
}

static int set_secret(const char *text, char ret[OPTION_SECRET_MAX + 1])
{
    size_t n = strlen(text);
    if (n > OPTION_SECRET_MAX)
        return ERR_LIMIT;
    memcpy(ret, text, n + 1);
    return 0;
}

static int set_threads(const char *text, int *ret)
{
    int64_t n;
    int err = number_parse(text, &n);
    if (err < 0)
        return err;
    if (n < 1 || n > OPTION_THREADS_MAX)
        return ERR_RANGE;
    *ret = (int)n;
    return 0;
}

static int set_window(const char *text, int64_t *ret)
{
    int64_t ns;
    int err = duration_parse(text, &ns);
    if (err < 0)
        return err;
    if (ns < 0 || ns > OPTION_WINDOW_MAX_S * INT64_C(1000000000))
        return ERR_RANGE;
    *ret = ns;
    return 0;
}

static int set_memory(const char *text, int64_t *ret)
{
    int64_t bytes;
    int err = size_parse(text, &bytes);
    if (err < 0)
        return err;
    if (bytes >> 20 < OPTION_MEMORY_MIN_MIB || bytes > (int64_t)OPTION_MEMORY_MAX_MIB << 20)
        return ERR_RANGE;
    *ret = bytes;
    return 0;
}

/* A number of digits; *ret is what it says, or ERR_RANGE: it is not 1 to max. Behind it; NULL: there is
   none. */
static const char *take_number(const char *s, int max, int *ret)
{
    const char *begin = s;
    int n = 0;
    for (; *s >= '0' && *s <= '9'; s++)
        n = n > max ? n : n * 10 + (*s - '0');
    *ret = n >= 1 && n <= max ? n : ERR_RANGE;
    return s > begin ? s : NULL;
}

static int set_rates(const char *text, struct rates *ret)
{
    struct rates r = *ret;
    const char *s = take_number(text, OPTION_RATE_MAX, &r.all);
    if (s && *s == ',')
        s = take_number(s + 1, OPTION_RATE_MAX, &r.source);
    if (!s || *s)
        return ERR_INVAL;
    if (r.all < 0 || r.source < 0)
        return ERR_RANGE;
    *ret = r;
    return 0;
}

/* A number from 1 to max, and what stands behind it. */
static int set_count(const char *text, int max, const char *unit, int *ret)
{
    int n;
    const char *s = take_number(text, max, &n);
    if (!s || strcmp(s, unit) != 0)
        return ERR_INVAL;
    if (n < 0)
        return ERR_RANGE;
    *ret = n;
    return 0;
}

int value_set(const struct option *o, const char *text, void *opt)
{
    void *field = (char *)opt + o->at;
    switch (o->type) {
    case OPTION_STRING:
        *(const char **)field = text;
        return 0;
    case OPTION_SECRET:
        return set_secret(text, field);
    case OPTION_INT:
        return number_parse(text, field);
    case OPTION_DURATION:
        return duration_parse(text, field);
    case OPTION_PORTS:
        return ports_parse(text, field);
    case OPTION_CIDRS:
        return cidrs_parse(text, field);
    case OPTION_CHOICE:
        return set_choice(o, text, field);
    case OPTION_THREADS:
        return set_threads(text, field);
    case OPTION_WINDOW:
        return set_window(text, field);
    case OPTION_RATES:
        return set_rates(text, field);
    case OPTION_MEMORY:
        return set_memory(text, field);
    case OPTION_TUNNELS:
        return tunnels_parse(text, field);
    case OPTION_BOOL:
        return set_bool(text, field);
    case OPTION_LIMIT:
        return set_count(text, OPTION_LIMIT_MAX, "", field);
    case OPTION_PACE:
        return set_count(text, OPTION_RATE_MAX, "/s", field);
    case OPTION_MOMENT:
        return utc_parse(text, field);
    }
    return ERR_INVAL; /* not reached */
}

int value_add(const struct option *o, const char *text, void *opt)
{
    void *field = (char *)opt + o->at;
    struct ports ports;
    struct cidrs cidrs;
    int err = ERR_INVAL;
    if (o->type == OPTION_PORTS && (err = ports_parse(text, &ports)) == 0)
        return ports_add(field, &ports);
    if (o->type == OPTION_CIDRS && (err = cidrs_parse(text, &cidrs)) == 0)
        return cidrs_add(field, &cidrs);
    return err;
}

/* ---- why not ---- */

/* A duration without its unit, as in other programs: 30. */
static bool is_number(const char *text)
{
    size_t n = strlen(text);
    return n > 0 && n < 20 && strspn(text, "0123456789") == n;
}

static void tunnels_reason(char ret[VALUE_REASON_MAX], int err)
{
    const char *text = _("must be PORT=TARGET or NAME=PORT=TARGET, like 8080=127.0.0.1:3000");
    if (err == ERR_LIMIT) {
        (void)snprintf(ret, VALUE_REASON_MAX, _("a client has at most %d tunnels"), TUNNELS_MAX);
        return;
    }
    if (err == ERR_INUSE)
        text = _("another tunnel has this name already");
    else if (err == ERR_RANGE)
        text = _("a public port is 0 to 65535");
    (void)snprintf(ret, VALUE_REASON_MAX, "%s", text);
}

/* What o takes, where no other sentence says more. */
static void say_wanted(char ret[VALUE_REASON_MAX], const struct option *o, int err)
{
    const size_t room = VALUE_REASON_MAX;
    switch (o->type) {
    case OPTION_SECRET:
        (void)snprintf(ret, room, _("longer than %d bytes"), OPTION_SECRET_MAX);
        return;
    case OPTION_CHOICE:
        (void)snprintf(ret, room, _("must be one of: %s"), o->choices);
        return;
    case OPTION_THREADS:
        (void)snprintf(ret, room, _("must be a number from 1 to %d"), OPTION_THREADS_MAX);
        return;
    case OPTION_WINDOW:
        (void)snprintf(ret, room, _("must be a duration from 0 to %dm, like 30s"),
                       OPTION_WINDOW_MAX_S / 60);
        return;
    case OPTION_MEMORY:
        (void)snprintf(ret, room, _("must be a size from %dM to %dT, like 64M"),
                       OPTION_MEMORY_MIN_MIB, OPTION_MEMORY_MAX_MIB >> 20);
        return;
    case OPTION_RATES:
        (void)snprintf(ret, room, _("must be one or two numbers from 1 to %d, like 200,10"),
                       OPTION_RATE_MAX);
        return;
    case OPTION_PORTS:
        (void)snprintf(ret, room, "%s", _("must be ports and ranges like 8000-8999,80"));
        return;
    case OPTION_CIDRS:
        (void)snprintf(ret, room,
                       _("must be up to %d networks and addresses like "
                         "10.0.0.0/8,2001:db8::1"),
                       CIDRS_MAX);
        return;
    case OPTION_TUNNELS:
        tunnels_reason(ret, err);
        return;
    case OPTION_BOOL:
        (void)snprintf(ret, room, "%s", _("parse error: write true or false"));
        return;
    case OPTION_DURATION:
        (void)snprintf(ret, room, "%s", _("parse error: must be a duration like 30s, 5m or 1h30m"));
        return;
    case OPTION_LIMIT:
        (void)snprintf(ret, room, _("must be a number from 1 to %d"), OPTION_LIMIT_MAX);
        return;
    case OPTION_PACE:
        (void)snprintf(ret, room, _("must be a number a second from 1 to %d, like 50/s"),
                       OPTION_RATE_MAX);
        return;
    case OPTION_MOMENT:
        (void)snprintf(ret, room, "%s", _("must be a moment in UTC, like 2027-01-31T00:00:00Z"));
        return;
    case OPTION_STRING: /* takes all */
    case OPTION_INT:
        break;
    }
    (void)snprintf(ret, room, "%s",
                   err == ERR_RANGE ? _("value out of range")
                                    : _("parse error: must be a whole number"));
}

void value_reason(char ret[VALUE_REASON_MAX], const struct option *o, const char *text, int err)
{
    const size_t room = VALUE_REASON_MAX;
    bool is_duration = o->type == OPTION_DURATION || o->type == OPTION_WINDOW;
    if (is_duration && is_number(text)) {
        (void)snprintf(ret, room, _("parse error: a duration has a unit: write %ss"), text);
        return;
    }
    char network[CIDR_BUF];
    if (o->type == OPTION_CIDRS && cidrs_slip(text, network)) {
        (void)snprintf(
            ret, room,
            _("an address has bits behind its prefix: if the network is meant, write %s"), network);
        return;
    }
    say_wanted(ret, o, err);
}
