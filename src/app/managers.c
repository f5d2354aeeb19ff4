/* SPDX-License-Identifier: MIT */
/* The table of service managers, and what each is given. */
#include "app/managers.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/managers_texts.h"
#include "base/err.h"

#define INIT_SCRIPT "/etc/init.d/gotunnel-@mode@"

extern char **environ;

static const struct manager managers[] = {
    {"systemd",
     "/run/systemd/system",
     "/etc/systemd/system/gotunnel-@mode@.service",
     0644,
     managers_systemd,
     &managers_systemd_size,
     {"systemctl daemon-reload", "systemctl enable gotunnel-@mode@.service",
      "systemctl start@nowait@ gotunnel-@mode@.service"},
     {"systemctl disable --now gotunnel-@mode@.service"},
     "systemctl status gotunnel-@mode@"},
    {"OpenRC",
     "/run/openrc",
     INIT_SCRIPT,
     0755,
     managers_openrc,
     &managers_openrc_size,
     {"rc-update add gotunnel-@mode@ default", "rc-service gotunnel-@mode@ start"},
     {"rc-service gotunnel-@mode@ stop", "rc-update del gotunnel-@mode@ default"},
     "rc-service gotunnel-@mode@ status"},
    {"procd",
     "/sbin/procd",
     INIT_SCRIPT,
     0755,
     managers_procd,
     &managers_procd_size,
     {INIT_SCRIPT " enable", INIT_SCRIPT " start"},
     {INIT_SCRIPT " stop", INIT_SCRIPT " disable"},
     "logread -e gotunnel"},
};

const struct manager *manager_find(void)
{
    for (size_t i = 0; i < ARRAY_LEN(managers); i++)
        if (access(managers[i].sign, F_OK) == 0)
            return &managers[i];
    return NULL;
}

/* ---- texts with @keys@ ---- */

/* What stands for a key, which has n bytes; NULL: it is none. */
static const char *value_of(const struct manager *m, const struct service *s, const char *key,
                            size_t n)
{
    bool is_systemd = m == &managers[0];
    const char *flags = !s->has_join ? ""
                        : is_systemd ? " -join-file ${CREDENTIALS_DIRECTORY}/client.join"
                                     : " -join-file /etc/gotunnel/client.join";
    if (is_systemd && *s->secret_file && s->is_managers)
        flags = " -secret-file ${CREDENTIALS_DIRECTORY}/server.secret";
    const struct {
        const char *key, *value;
    } all[] = {
        {"mode", s->mode},
        {"run", s->run},
        {"exe", s->exe},
        {"state", s->state},
        {"flags", flags},
        {"nowait", s->waits ? "" : " --no-block"},
        /* the boot does not wait for a client, which is ready with its first session */
        {"after", s->waits ? "" : " multi-user.target"},
        {"patience", s->waits ? "90" : "infinity"},
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (strlen(all[i].key) == n && memcmp(all[i].key, key, n) == 0)
            return all[i].value;
    return NULL;
}

static void put_filled(FILE *to, const struct manager *m, const struct service *s, const char *text,
                       size_t size)
{
    for (const char *end = text + size; text < end;) {
        const char *at = memchr(text, '@', (size_t)(end - text));
        const char *after = at ? memchr(at + 1, '@', (size_t)(end - at - 1)) : NULL;
        const char *value = after ? value_of(m, s, at + 1, (size_t)(after - at - 1)) : NULL;
        size_t plain = (size_t)((value ? at : at ? at + 1 : end) - text);
        (void)fwrite(text, 1, plain, to); /* fclose() of the stream says whether all fitted */
        text += plain;
        if (value) {
            (void)fputs(value, to);
            text = after + 1;
        }
    }
}

bool manager_name(char *ret, size_t size, const char *text, const struct service *s)
{
    FILE *to = fmemopen(ret, size, "w");
    if (!to)
        return false;
    put_filled(to, &managers[0], s, text, strlen(text) + 1);
    return fclose(to) == 0 && memchr(ret, '\0', size);
}

/* What a unit of systemd has behind its beginning. Of two lines the later one counts. */
static void put_cage(FILE *to, const struct service *s)
{
    if (s->has_join)
        fprintf(to, "LoadCredential=client.join:/etc/gotunnel/client.join\n");
    if (*s->secret_file && s->is_managers)
        fprintf(to, "LoadCredential=server.secret:%s\n", s->secret_file);
    else if (*s->secret_file) /* a user's own: what root may read is not given to who names it */
        fprintf(to, "BindReadOnlyPaths=%s\n", s->secret_file);
    (void)fwrite(managers_common, 1, managers_common_size, to);
    if (s->is_managers) {
        fprintf(to, "StateDirectory=%s\n", s->state + strlen(SERVICE_STATES));
    } else {
        fprintf(to, "DynamicUser=no\nProtectHome=tmpfs\nBindPaths=%s\nReadWritePaths=%s\n",
                s->state, s->state);
    }
    if (s->user)
        fprintf(to, "User=%s\n", s->user);
    if (s->opens_low_port)
        fprintf(to, "AmbientCapabilities=CAP_NET_BIND_SERVICE\n"
                    "CapabilityBoundingSet=CAP_NET_BIND_SERVICE\nPrivateUsers=no\n");
    fprintf(to, "\n[Install]\nWantedBy=multi-user.target\n");
}

char *manager_unit(const struct manager *m, const struct service *s)
{
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    if (!to)
        return NULL;
    put_filled(to, m, s, (const char *)m->text, *m->size);
    if (m == &managers[0])
        put_cage(to, s);
    if (fclose(to) == 0)
        return text;
    free(text);
    return NULL;
}

/* ---- commands ---- */

static int run_one(char *line)
{
    char *words[MANAGER_COMMAND_MAX / 2 + 1];
    size_t n = 0;
    pid_t pid;
    int status;
    for (char *rest = line, *word; (word = strsep(&rest, " "));)
        words[n++] = word;
    words[n] = NULL;
    errno =
        posix_spawnp(&pid, words[0], NULL, NULL, words, environ); /* it says so in no other way */
    if (errno != 0)
        return -1;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); /* as a shell has it */
}

int manager_run(const char *const commands[MANAGER_COMMANDS], const struct service *s,
                char ret_command[MANAGER_COMMAND_MAX])
{
    for (size_t i = 0; i < MANAGER_COMMANDS && commands[i]; i++) {
        char line[MANAGER_COMMAND_MAX];
        if (!manager_name(ret_command, MANAGER_COMMAND_MAX, commands[i], s)) {
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(line, ret_command, sizeof line);
        int status = run_one(line);
        if (status != 0)
            return status;
    }
    return 0;
}
