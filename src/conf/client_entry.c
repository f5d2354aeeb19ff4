/* SPDX-License-Identifier: MIT */
/* A client's file, key by key. */
#include "conf/client_entry.h"

#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "base/i18n.h"
#include "conf/config_value.h"
#include "conf/nearest.h"
#include "conf/utc.h"

#define AT(field) offsetof(struct client_entry, field)

/* In the order of the alphabet: that is the one of -h. */
/* clang-format off */
static const struct option rows[] = {
    {.name = "connections", .type = OPTION_LIMIT, .at = AT(connections), .def = "", .value = "N",
     .help = N_("connections of users at once, through all tunnels of this client")},
    {.name = "disabled", .type = OPTION_BOOL, .at = AT(disabled), .def = "false",
     .help = N_("not let in until it is enabled again")},
    {.name = "expires", .type = OPTION_MOMENT, .at = AT(expires), .def = "", .value = "MOMENT",
     .help = N_("from when on it is not let in, in UTC, e.g. 2027-01-31T00:00:00Z; never if not given")},
    {.name = "from", .type = OPTION_CIDRS, .at = AT(from), .def = "", .value = "NETWORKS",
     .help = N_("networks and addresses it may come from, e.g. 203.0.113.0/24,2001:db8::1; from everywhere if not given")},
    {.name = "ports", .type = OPTION_PORTS, .at = AT(ports), .def = "", .value = "LIST",
     .help = N_("public ports it may open, e.g. 20000-20100,2222 (0 allows a free choice); none if not given")},
    {.name = "rate", .type = OPTION_RATE, .at = AT(rate), .def = "", .value = "N/s",
     .help = N_("new connections of users in a second, e.g. 50/s")},
    {.name = "sessions", .type = OPTION_LIMIT, .at = AT(sessions), .def = "", .value = "N",
     .help = N_("sessions at once, each under an id of its own")},
    {.name = "tunnels", .type = OPTION_LIMIT, .at = AT(tunnels), .def = "", .value = "N",
     .help = N_("tunnels at once")},
};
/* clang-format on */

const struct mode client_entry_mode = {
    .name = "clients", .options = rows, .count = ARRAY_LEN(rows), .required = ""};

#define KEY      "key"
#define KEYS_OLD "keys-old"
#define UNTIL    "until"

/* As a person wants to read them. */
static const char *const fields[] = {KEY,        "ports", "tunnels", "connections", "rate",
                                     "sessions", "from",  "expires", "disabled",    KEYS_OLD};

static const struct option *find(const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].name, key) == 0)
            return &rows[i];
    return NULL;
}

void client_entry_init(struct client_entry *e)
{
    memset(e, 0, sizeof *e);
    e->expires = CLIENT_ENTRY_FOREVER;
}

void client_entry_copy(struct client_entry *to, const struct client_entry *from,
                       const struct option *o)
{
    size_t n = o->type == OPTION_PORTS    ? sizeof(struct ports)
               : o->type == OPTION_CIDRS  ? sizeof(struct cidrs)
               : o->type == OPTION_MOMENT ? sizeof(int64_t)
               : o->type == OPTION_BOOL   ? sizeof(bool)
                                          : sizeof(int); /* limits */
    memcpy((char *)to + o->at, (const char *)from + o->at, n);
}

/* ---- reading ---- */

struct reader {
    struct client_entry *entry;
    client_entry_check *check;
    struct config_errors *errors;
    struct config_list list;
    struct yaml_place old_at; /* `keys-old` without an entry; line 0: it has one, or is not there */
    struct yaml_place at[CLIENT_ENTRY_OLD_MAX]; /* of its entries */
    bool has_key;
    bool old_has_key[CLIENT_ENTRY_OLD_MAX], old_has_until[CLIENT_ENTRY_OLD_MAX]; /* if wrong, too */
};

static void unknown_key(struct reader *r, const struct yaml_step *step, const char *const *names,
                        size_t count)
{
    struct nearest near;
    char shown[ESCAPE_BUF];
    escape_text(shown, step->key, strlen(step->key));
    nearest_init(&near, step->key, strlen(step->key));
    for (size_t i = 0; i < count; i++)
        nearest_try(&near, names[i]);
    const char *meant = nearest_name(&near);
    if (meant)
        config_errors_add(r->errors, step->at, _("'%s' is no key here; '%s'?"), shown, meant);
    else
        config_errors_add(r->errors, step->at, _("'%s' is no key here"), shown);
}

/* The text of a key, into ret. */
static void take_key(struct reader *r, const struct yaml_entry *e,
                     char ret[CLIENT_ENTRY_KEY_MAX + 1])
{
    struct errmsg why;
    if (!config_value_is_text(r->errors, KEY, e))
        return;
    if (e->len > CLIENT_ENTRY_KEY_MAX)
        config_errors_add(r->errors, e->at, _("%s: longer than %d bytes"), KEY,
                          CLIENT_ENTRY_KEY_MAX);
    else if (r->check(e->text, &why) < 0)
        config_errors_add(r->errors, e->at, "%s: %s", KEY, why.text);
    if (e->len <= CLIENT_ENTRY_KEY_MAX)
        memcpy(ret, e->text, e->len + 1);
}

/* An entry of `keys-old`, or what stands in it. */
static void take_old(struct reader *r, const struct yaml_entry *e)
{
    static const char *const names[] = {KEY, UNTIL};
    static const struct option until = {
        .name = UNTIL, .type = OPTION_MOMENT, .at = offsetof(struct client_entry_key, until)};
    size_t i = e->path[1].index;
    r->old_at = (struct yaml_place){0, 0};
    if (e->depth == 2 && e->kind != YAML_MAP)
        config_errors_add(r->errors, e->at, _("an entry of '%s' has the keys key and until"),
                          KEYS_OLD);
    else if (e->depth == 2 && i == CLIENT_ENTRY_OLD_MAX)
        config_errors_add(r->errors, e->at, _("'%s' has more than %d entries"), KEYS_OLD,
                          CLIENT_ENTRY_OLD_MAX);
    if (i >= CLIENT_ENTRY_OLD_MAX || e->depth > 3 || (e->depth == 2 && e->kind != YAML_MAP))
        return;
    if (e->depth == 2) {
        r->at[i] = e->at;
        r->entry->old_count = (unsigned)i + 1;
        return;
    }
    const char *key = e->path[2].key;
    if (!key)
        return; /* of a list that is wrong as a whole */
    bool is_key = strcmp(key, KEY) == 0, is_until = strcmp(key, UNTIL) == 0;
    r->old_has_key[i] |= is_key;
    r->old_has_until[i] |= is_until;
    if (is_key)
        take_key(r, e, r->entry->old[i].text);
    else if (!is_until)
        unknown_key(r, &e->path[2], names, ARRAY_LEN(names));
    else if (config_value_is_text(r->errors, UNTIL, e))
        (void)!config_value_set(r->errors, &until, UNTIL, e, e->text, false, &r->entry->old[i]);
}

static void take_field(struct reader *r, const struct yaml_entry *e)
{
    const char *key = e->path[0].key;
    const struct option *o = find(key);
    r->has_key |= strcmp(key, KEY) == 0;
    if (strcmp(key, KEY) == 0)
        take_key(r, e, r->entry->key);
    else if (strcmp(key, KEYS_OLD) == 0 && e->kind != YAML_LIST)
        config_errors_add(r->errors, e->at, _("'%s' is a list: each entry begins with '- '"),
                          KEYS_OLD);
    else if (strcmp(key, KEYS_OLD) == 0)
        r->old_at = e->at;
    else if (!o)
        unknown_key(r, &e->path[0], fields, ARRAY_LEN(fields));
    else if (e->kind == YAML_LIST && config_value_is_list(o))
        config_list_begin(&r->list, o, e);
    else if (config_value_is_text(r->errors, key, e))
        (void)!config_value_set(r->errors, o, key, e, e->text, false, r->entry); /* is said there */
}

static void on_entry(void *ctx, const struct yaml_entry *e)
{
    struct reader *r = ctx;
    if (r->list.option && e->depth > 1) {
        if (e->depth == 2)
            config_list_take(&r->list, r->errors, e, r->entry);
        return;
    }
    config_list_end(&r->list, r->errors);
    if (e->depth == 1)
        take_field(r, e);
    else if (strcmp(e->path[0].key, KEYS_OLD) == 0 && !e->path[1].key)
        take_old(r, e);
}

static void on_wrong(void *ctx, struct yaml_place at, const char *text)
{
    struct reader *r = ctx;
    r->list.is_empty = false; /* what it is about may have been an entry */
    r->old_at = (struct yaml_place){0, 0};
    config_errors_walk(r->errors, at, text);
}

/* What the file must say. */
static void check_whole(struct reader *r)
{
    config_list_end(&r->list, r->errors);
    if (!r->has_key)
        config_errors_add(r->errors, (struct yaml_place){1, 1}, _("the client has no '%s'"), KEY);
    if (r->old_at.line > 0)
        config_errors_add(r->errors, r->old_at, _("'%s' has no entry"), KEYS_OLD);
    for (unsigned i = 0; i < r->entry->old_count; i++)
        if (r->at[i].line > 0 && !(r->old_has_key[i] && r->old_has_until[i]))
            config_errors_add(r->errors, r->at[i], _("the former key has no '%s'"),
                              r->old_has_key[i] ? UNTIL : KEY);
}

int client_entry_read(struct client_entry *ret, const char *bytes, size_t n,
                      client_entry_check *check, struct config_errors *errors)
{
    struct reader r = {.entry = ret, .check = check, .errors = errors};
    const struct yaml_sink sink = {.entry = on_entry, .wrong = on_wrong, .ctx = &r};
    bool more;
    client_entry_init(ret);
    int err = yaml_walk(bytes, n, &sink);
    if (err == ERR_NOMEM)
        return err;
    if (err == 0)
        check_whole(&r);
    return config_errors_get(errors, 0, &more) ? ERR_INVAL : 0;
}

/* ---- writing ---- */

const char *client_entry_field(size_t i)
{
    return i < ARRAY_LEN(fields) ? fields[i] : NULL;
}

static size_t put_limit(char *out, size_t room, int n, const char *unit)
{
    if (n == CLIENT_ENTRY_DEFAULT)
        return 0;
    return (size_t)snprintf(out, room, "%d%s", n, unit);
}

static size_t put_old(char *out, size_t room, const struct client_entry *e)
{
    char until[UTC_BUF];
    size_t len = 0;
    for (unsigned i = 0; i < e->old_count; i++)
        len += (size_t)snprintf(len < room ? out + len : NULL, len < room ? room - len : 0,
                                "%s{key: %s, until: %s}%s", i > 0 ? ", " : "[", e->old[i].text,
                                utc_text(until, e->old[i].until), i + 1 == e->old_count ? "]" : "");
    return len;
}

/* In quotes: an address may begin with a colon. */
static size_t put_cidrs(char *out, size_t room, const struct cidrs *c)
{
    char text[CIDRS_BUF];
    if (c->count == 0)
        return 0;
    (void)cidrs_text(text, sizeof text, c); /* fits */
    return (size_t)snprintf(out, room, "\"%s\"", text);
}

static size_t put_row(char *out, size_t room, const struct option *o, const struct client_entry *e)
{
    const void *field = (const char *)e + o->at;
    char text[UTC_BUF];
    switch (o->type) {
    case OPTION_PORTS:
        return ports_text(out, room, field);
    case OPTION_CIDRS:
        return put_cidrs(out, room, field);
    case OPTION_LIMIT:
        return put_limit(out, room, *(const int *)field, "");
    case OPTION_RATE:
        return put_limit(out, room, *(const int *)field, "/s");
    case OPTION_BOOL:
        return *(const bool *)field ? (size_t)snprintf(out, room, "true") : 0;
    default: /* OPTION_MOMENT: no row has another type */
        if (*(const int64_t *)field == CLIENT_ENTRY_FOREVER)
            return 0;
        return (size_t)snprintf(out, room, "%s", utc_text(text, *(const int64_t *)field));
    }
}

size_t client_entry_value(char *out, size_t room, const struct client_entry *e, size_t i)
{
    const struct option *o = find(fields[i]);
    if (room > 0)
        *out = '\0';
    if (o)
        return put_row(out, room, o, e);
    if (strcmp(fields[i], KEY) == 0)
        return (size_t)snprintf(out, room, "%s", e->key);
    return put_old(out, room, e);
}

size_t client_entry_text(char out[CLIENT_ENTRY_TEXT_MAX], const struct client_entry *e)
{
    char value[CLIENT_ENTRY_VALUE_MAX];
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (client_entry_value(value, sizeof value, e, i) > 0)
            len += (size_t)snprintf(out + len, CLIENT_ENTRY_TEXT_MAX - len, "%s: %s\n", fields[i],
                                    value); /* fits */
    return len;
}

/* ---- names ---- */

int client_entry_check_name(const char *name, struct errmsg *why)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    static const char reserved[] = "node.";
    size_t n = strlen(name);
    if (n == 0 || n > CLIENT_ENTRY_NAME_MAX || strspn(name, allowed) != n || *name == '.' ||
        *name == '-')
        return errmsg_set(why, ERR_INVAL,
                          _("the name of a client is 1 to %d of A-Z a-z 0-9 . _ -, and begins with "
                            "a letter, a digit or _"),
                          CLIENT_ENTRY_NAME_MAX);
    if (strncmp(name, reserved, sizeof reserved - 1) == 0)
        return errmsg_set(why, ERR_INVAL, _("names that begin with %s are reserved"), reserved);
    return 0;
}
