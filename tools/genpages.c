/* SPDX-License-Identifier: MIT */
/*
 * The tables of keys in docs/configuration.md and its translations, made of the table of options
 * (conf/options.c) and of the catalogue, and put between two lines of the page:
 *
 *   <!-- keys of the server, made by tools/genpages -->  ...  <!-- end of keys -->
 *
 *   genpages check LANGUAGE PAGE     0: the page is as it would be made; else what differs, and 1
 *   genpages update LANGUAGE PAGE    writes it
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/i18n.h"
#include "conf/options.h"

enum { PAGE_MAX = 1 << 20 };

#define BEGIN_SERVER "<!-- keys of the server, made by tools/genpages -->\n"
#define BEGIN_CLIENT "<!-- keys of the client, made by tools/genpages -->\n"
#define BEGIN_TUNNEL "<!-- keys of a tunnel, made by tools/genpages -->\n"
#define END          "<!-- end of keys -->\n"

/* What the pages say beside the texts of the program. */
struct words {
    const char *language; /* first letters of a locale */
    const char *locale;
    const char *head; /* of each table */
    const char *required, *live, *restart;
    const char *name;            /* of a tunnel: no option has it */
    const char *tunnels;         /* of a client, likewise */
    const char *more, *suffix;   /* "([more](clients.md))": words around a link */
    const char *reference; /* the page that links lead to */
};

static const struct words all_words[] = {
    {"en", "C", "| key | default | at a reload | meaning |\n|---|---|---|---|\n", "required", "live",
     "next start",
     "a name for people and for the log: 1 to 64 of `A-Z a-z 0-9 . _ -`, each once; if it is left "
     "out, the port",
     "what is forwarded: a list, below", " ([more](", "))", "reference.md"},
    {"zh", "zh_CN.UTF-8", "| 键 | 默认值 | 重新加载时 | 含义 |\n|---|---|---|---|\n", "必需",
     "立即生效", "下次启动生效",
     "名称，供查看和日志使用：1 到 64 个字符，可用 `A-Z a-z 0-9 . _ -`，不能重复；不写则为端口号",
     "要转发的内容，是一个列表，见下文", "（[详情](", ")）", "reference.zh-CN.md"},
};

/* Where a page says more about a key: an anchor of the reference, in each language. */
static const struct {
    const char *key, *anchors[2];
} more[] = {
    {"control", {"reload-and-control", "重新加载与控制"}},
    {"handshakes", {"gotunnel-server", "gotunnel-server"}},
    {"sandbox", {"security-notes", "安全说明"}},
    {"target", {"what-a-target-may-be", "目标的写法"}},
    {"trusted-proxy", {"behind-a-balancer", "放在负载均衡器之后"}},
};

static bool is_required(const struct option *o)
{
    return strstr(o->help, "(required)") != NULL;
}

/* The text of an option, with a cell's own signs kept out of the table's way; that it is required stands in
   another cell. */
static void put_text(FILE *to, const struct option *o)
{
    const char *text = _(o->help), *end = is_required(o) ? strrchr(text, '(') : NULL;
    for (; *text && text + 1 != end; text++) {
        if (*text == '|')
            fputc('\\', to);
        fputc(*text, to);
    }
}

static void put_row(FILE *to, const struct words *w, const struct option *o, const char *key,
                    bool in_tunnel)
{
    fprintf(to, "| `%s` | ", key);
    if (in_tunnel || is_required(o))
        fprintf(to, "%s ", w->required);
    else if (*o->def)
        fprintf(to, "`%s` ", o->def);
    fprintf(to, "| %s | ", o->reload == RELOAD_LIVE ? w->live : w->restart);
    put_text(to, o);
    for (size_t i = 0; i < ARRAY_LEN(more); i++)
        if (strcmp(more[i].key, key) == 0)
            fprintf(to, "%s%s#%s%s", w->more, w->reference, more[i].anchors[w - all_words],
                    w->suffix);
    fputs(" |\n", to);
}

static void put_top(FILE *to, const struct words *w, const struct mode *m)
{
    const char *key;
    fputs(w->head, to);
    for (size_t i = 0; i < m->count; i++)
        if (option_place(&m->options[i], &key) == OPTION_TOP)
            put_row(to, w, &m->options[i], key, false);
    if (m == &client_mode)
        fprintf(to, "| `tunnels` | | %s | %s |\n", w->live, w->tunnels);
}

static void put_tunnel(FILE *to, const struct words *w)
{
    const char *key;
    fprintf(to, "%s| `name` | | | %s |\n", w->head, w->name);
    for (size_t i = 0; i < client_mode.count; i++)
        if (option_place(&client_mode.options[i], &key) == OPTION_TUNNEL)
            put_row(to, w, &client_mode.options[i], key, true);
}

/* The page as it would be made. NULL: an end is missing. */
static char *made_of(const char *page, const struct words *w)
{
    char *out = NULL;
    size_t n;
    FILE *to = open_memstream(&out, &n);
    while (to && *page) {
        size_t line = strcspn(page, "\n") + 1;
        bool server = strncmp(page, BEGIN_SERVER, line) == 0;
        bool client = strncmp(page, BEGIN_CLIENT, line) == 0;
        bool tunnel = strncmp(page, BEGIN_TUNNEL, line) == 0;
        (void)fwrite(page, 1, line, to);
        page += line;
        if (!server && !client && !tunnel)
            continue;
        if (tunnel)
            put_tunnel(to, w);
        else
            put_top(to, w, server ? &server_mode : &client_mode);
        page = strstr(page, END);
        if (!page) {
            (void)fclose(to);
            free(out);
            return NULL;
        }
    }
    if (to)
        (void)fclose(to); /* memory only */
    return out;
}

/* The first line that differs. */
static int compare(const char *path, const char *is, const char *would)
{
    int line = 1;
    const char *a = is, *b = would;
    for (; *a && *a == *b; a++, b++)
        line += *a == '\n';
    if (*a == *b)
        return 0;
    printf("%s:%d: not as tools/genpages makes it: 'make docs' does\n", path, line);
    return 1;
}

static char *read_page(const char *path)
{
    char *text = calloc(1, PAGE_MAX + 1);
    FILE *f = fopen(path, "r");
    size_t n = text && f ? fread(text, 1, PAGE_MAX, f) : 0;
    if (f)
        (void)fclose(f); /* only read */
    if (n > 0 && n < PAGE_MAX && text[n - 1] == '\n')
        return text;
    free(text);
    return NULL;
}

static int write_page(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    bool wrong = !f || fputs(text, f) < 0;
    wrong |= f && fclose(f) != 0;
    if (wrong)
        perror(path);
    return wrong;
}

static int do_page(bool update, const struct words *w, const char *path)
{
    (void)setenv("LC_ALL", w->locale, 1); /* without it the page would be English, and differ */
    i18n_init();
    char *is = read_page(path), *would = is ? made_of(is, w) : NULL;
    int status = 1;
    if (!would)
        (void)fprintf(stderr, "%s: no page with keys in it\n", path);
    else
        status = update ? write_page(path, would) : compare(path, is, would);
    free(would);
    free(is);
    return status;
}

int main(int argc, char **argv)
{
    bool update = argc == 4 && strcmp(argv[1], "update") == 0;
    for (size_t i = 0; argc == 4 && i < ARRAY_LEN(all_words); i++)
        if (strcmp(argv[2], all_words[i].language) == 0)
            return do_page(update, &all_words[i], argv[3]);
    (void)fprintf(stderr, "usage: genpages check|update en|zh PAGE\n");
    return 2;
}
