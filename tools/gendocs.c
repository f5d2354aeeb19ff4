/* SPDX-License-Identifier: MIT */
/*
 * Renders what is derived from the table of options (conf/options.c): the option lists of the man
 * page, put into packaging/gotunnel.1.in at its markers, and completions for three shells. Run by
 * the build.
 *
 *   gendocs man TEMPLATE | bash | zsh | fish      the result goes to stdout
 */
#include <stdio.h>
#include <string.h>

#include "conf/options.h"

/* The commands of gotunnel ctl (proto/ctl.h, with which this is not linked). */
#define CTL_WORDS "ping version status reload drain log-level client clients"

/* The words behind the program's name, and the flags that `gotunnel up` has beside those of the server
   (server/up.c, with which this is not linked either). */
#define COMMANDS "up server client join status ctl doctor check clients service genkey help version"
#define UP_FLAGS "-json -public -state"

static const struct mode *const modes[] = {&server_mode, &client_mode};

static bool is_file(const struct option *o)
{
    return o->value && strcmp(o->value, "FILE") == 0;
}

static bool is_dir(const struct option *o)
{
    return o->value && strcmp(o->value, "DIR") == 0;
}

/* roff needs its dashes escaped, or they become hyphens. */
static void print_roff(const char *text)
{
    for (; *text; text++)
        printf(*text == '-' ? "\\-" : *text == '\\' ? "\\e" : "%c", *text);
}

static void man_options(const struct mode *m)
{
    const struct option *rows[OPTIONS_MAX];
    mode_rows(m, rows);
    for (size_t i = 0; i < m->count; i++) {
        const struct option *o = rows[i];
        printf(".TP\n\\fB\\-");
        print_roff(o->name);
        printf(o->value ? "\\fR \\fI%s\\fR\n" : "\\fR\n", o->value);
        print_roff(o->help);
        if (*o->def) {
            printf(" (default: ");
            print_roff(o->def);
            printf(")");
        }
        printf(".\n");
    }
}

/* The keys of a configuration file that stand at its top. */
static void man_keys(const struct mode *m)
{
    const char *key;
    for (size_t i = 0; i < m->count; i++) {
        if (option_place(&m->options[i], &key) != OPTION_TOP)
            continue;
        printf(".BR ");
        print_roff(key);
        printf(" ,\n");
    }
    printf(m == &client_mode ? ".BR tunnels .\n" : "and no others.\n");
}

/* Those that count at a reload, at their places in a file. */
static void man_live(const struct mode *m)
{
    size_t left = 0;
    const char *key;
    for (size_t i = 0; i < m->count; i++)
        left += m->options[i].reload == RELOAD_LIVE;
    for (size_t i = 0; i < m->count; i++) {
        if (m->options[i].reload != RELOAD_LIVE)
            continue;
        (void)option_place(&m->options[i], &key);
        printf(".BR ");
        print_roff(key);
        printf(--left > 0 ? " ,\n" : " ;\n");
    }
}

static void man_tunnel_keys(void)
{
    const char *key;
    for (size_t i = 0; i < client_mode.count; i++) {
        const struct option *o = &client_mode.options[i];
        if (option_place(o, &key) != OPTION_TUNNEL)
            continue;
        printf(".TP\n\\fB%s\\fR\n", key);
        print_roff(o->help);
        printf(", as\n.BR \\-");
        print_roff(o->name);
        printf(" .\n");
    }
}

static int man(const char *path)
{
    char line[4096];
    FILE *f = fopen(path, "r");
    if (!f) {
        perror(path);
        return 1;
    }
    while (fgets(line, sizeof line, f)) {
        if (strcmp(line, "@SERVER_OPTIONS@\n") == 0)
            man_options(&server_mode);
        else if (strcmp(line, "@CLIENT_OPTIONS@\n") == 0)
            man_options(&client_mode);
        else if (strcmp(line, "@SERVER_KEYS@\n") == 0)
            man_keys(&server_mode);
        else if (strcmp(line, "@CLIENT_KEYS@\n") == 0)
            man_keys(&client_mode);
        else if (strcmp(line, "@TUNNEL_KEYS@\n") == 0)
            man_tunnel_keys();
        else if (strcmp(line, "@SERVER_LIVE@\n") == 0)
            man_live(&server_mode);
        else if (strcmp(line, "@CLIENT_LIVE@\n") == 0)
            man_live(&client_mode);
        else
            (void)fputs(line, stdout);
    }
    (void)fclose(f); /* only read */
    return 0;
}

static void bash_mode(const struct mode *m)
{
    bool is_server = m == &server_mode;
    printf("        %s)\n            case $prev in\n", is_server ? "server|up" : "client|join");
    if (is_server)
        printf("                -state) COMPREPLY=($(compgen -d -- \"$cur\")); return ;;\n"
               "                -public) return ;;\n");
    for (size_t i = 0; i < m->count; i++) {
        const struct option *o = &m->options[i];
        if (o->choices)
            printf("                -%s) COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;;\n",
                   o->name, o->choices);
        else if (is_file(o) || is_dir(o))
            printf("                -%s) COMPREPLY=($(compgen -%c -- \"$cur\")); return ;;\n",
                   o->name, is_dir(o) ? 'd' : 'f');
        else if (o->value)
            printf("                -%s) return ;;\n", o->name);
    }
    printf("            esac\n            COMPREPLY=($(compgen -W '-help");
    for (size_t i = 0; i < m->count; i++)
        printf(" -%s", m->options[i].name);
    printf("' -- \"$cur\"))");
    if (is_server)
        printf("\n            [ \"${COMP_WORDS[1]}\" = up ] &&\n"
               "                COMPREPLY+=($(compgen -W '" UP_FLAGS "' -- \"$cur\"))");
    printf(" ;;\n");
}

static int bash(void)
{
    printf("# bash completion for gotunnel\n_gotunnel() {\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
           "    if ((COMP_CWORD == 1)); then\n"
           "        COMPREPLY=($(compgen -W '" COMMANDS "' -- \"$cur\"))\n"
           "        return\n    fi\n    case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; i < 2; i++)
        bash_mode(modes[i]);
    printf("        check|doctor) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
           "        status) COMPREPLY=($(compgen -W '-control -json -prometheus -q -watch' -- \"$cur\")) ;;\n"
           "        service) case $COMP_CWORD in\n"
           "                2) COMPREPLY=($(compgen -W 'install remove' -- \"$cur\")) ;;\n"
           "                3) COMPREPLY=($(compgen -W 'server client' -- \"$cur\")) ;;\n"
           "                *) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n            esac ;;\n"
           "        clients) if ((COMP_CWORD == 2)); then\n"
           "            COMPREPLY=($(compgen -W 'add list show set rotate revoke' -- \"$cur\")); fi ;;\n");
    printf("        ctl)\n            case $prev in\n"
           "                -control) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
           "                log-level) COMPREPLY=($(compgen -W 'error warn info debug' -- "
           "\"$cur\")); return ;;\n            esac\n"
           "            COMPREPLY=($(compgen -W '-control -json " CTL_WORDS "' -- \"$cur\")) ;;\n");
    printf("    esac\n}\ncomplete -o filenames -F _gotunnel gotunnel\n");
    return 0;
}

/* Text inside single quotes of a zsh specification: brackets and colons mean something there. */
static void print_zsh(const char *text)
{
    for (; *text; text++) {
        if (strchr("[]:", *text))
            putchar('\\');
        printf(*text == '\'' ? "'\\''" : "%c", *text);
    }
}

static void zsh_mode(const struct mode *m)
{
    bool is_server = m == &server_mode;
    printf("    %s)\n        _arguments \\\n", is_server ? "server|up" : "client|join");
    if (is_server)
        printf("            '-json[of up]' '-public[of up]:NAME:' '-state[of up]:directory:_files -/' \\\n");
    for (size_t i = 0; i < m->count; i++) {
        const struct option *o = &m->options[i];
        printf("            '-%s[", o->name);
        print_zsh(o->help);
        if (o->choices)
            printf("]:%s:(%s)'", o->value, o->choices);
        else if (is_file(o))
            printf("]:file:_files'");
        else if (is_dir(o))
            printf("]:directory:_files -/'");
        else if (o->value)
            printf("]:%s:'", o->value);
        else
            printf("]'");
        printf(i + 1 < m->count ? " \\\n" : "\n        ;;\n");
    }
}

static int zsh(void)
{
    printf(
        "#compdef gotunnel\nif ((CURRENT == 2)); then\n    _values mode " COMMANDS "\n"
        "    return\nfi\nlocal mode=$words[2]\nshift words\n((CURRENT--))\ncase $mode in\n");
    for (size_t i = 0; i < 2; i++)
        zsh_mode(modes[i]);
    printf("    check|doctor)\n        _arguments '1:file:_files'\n        ;;\n"
           "    status)\n        _arguments '-control[socket]:file:_files' '-json[in JSON]' "
           "'-prometheus[for Prometheus]' '-q[says nothing]' '-watch[again each second]'\n        ;;\n"
           "    service)\n        _arguments '1:word:(install remove)' '2:mode:(server client)' "
           "'3:file:_files'\n        ;;\n");
    printf("    ctl)\n        _arguments '-control[socket]:file:_files' '-json[in JSON]' "
           "'1:command:(" CTL_WORDS ")' '2:level:(error warn info debug)'\n        ;;\n");
    printf("esac\n");
    return 0;
}

static int fish(void)
{
    printf("# fish completion for gotunnel\n"
           "complete -c gotunnel -f -n __fish_use_subcommand -a '" COMMANDS "'\n"
           "complete -c gotunnel -n '__fish_seen_subcommand_from check doctor' -F\n"
           "complete -c gotunnel -f -n '__fish_seen_subcommand_from status' -a '-json -prometheus -q -watch'\n"
           "complete -c gotunnel -n '__fish_seen_subcommand_from service' -a 'install remove server client'\n"
           "complete -c gotunnel -f -n '__fish_seen_subcommand_from ctl' -a '" CTL_WORDS "'\n"
           "complete -c gotunnel -n '__fish_seen_subcommand_from ctl' -o control -r -F\n"
           "complete -c gotunnel -n '__fish_seen_subcommand_from ctl' -o json\n");
    printf("complete -c gotunnel -n '__fish_seen_subcommand_from up' -o json -f\n"
           "complete -c gotunnel -n '__fish_seen_subcommand_from up' -o public -r -f\n"
           "complete -c gotunnel -n '__fish_seen_subcommand_from up' -o state -r -F\n");
    for (size_t m = 0; m < 2; m++) {
        for (size_t i = 0; i < modes[m]->count; i++) {
            const struct option *o = &modes[m]->options[i];
            printf("complete -c gotunnel -n '__fish_seen_subcommand_from %s %s' -o %s%s%s",
                   modes[m]->name, m == 0 ? "up" : "join", o->name, o->value ? " -r" : "",
                   is_file(o) || is_dir(o) ? " -F" : " -f");
            if (o->choices)
                printf(" -a '%s'", o->choices);
            printf(" -d '%s'\n",
                   o->help); /* no help text has a quote in it: tests/cli/test_docs.py */
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "man") == 0)
        return man(argv[2]);
    if (argc == 2 && strcmp(argv[1], "bash") == 0)
        return bash();
    if (argc == 2 && strcmp(argv[1], "zsh") == 0)
        return zsh();
    if (argc == 2 && strcmp(argv[1], "fish") == 0)
        return fish();
    (void)fprintf(stderr, "usage: gendocs man TEMPLATE | bash | zsh | fish\n");
    return 2;
}
