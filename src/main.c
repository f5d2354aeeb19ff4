/* SPDX-License-Identifier: MIT */
/* The programs of this binary. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/check.h"
#include "app/cli.h"
#include "app/ctl_cmd.h"
#include "app/genkey.h"
#include "app/guard.h"
#include "app/notify_command.h"
#include "app/status_cmd.h"
#include "base/i18n.h"
#include "base/log.h"
#include "client/check.h"
#include "client/cmd.h"
#include "client/install.h"
#include "conf/nearest.h"
#include "server/check.h"
#include "server/clients_cmd.h"
#include "server/cmd.h"
#include "server/install.h"
#include "server/up.h"

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
};

static int cmd_check(int argc, char **argv);
static int cmd_doctor(int argc, char **argv);
static int cmd_help(int argc, char **argv);
static int run_service(int argc, char **argv);
static int cmd_version(int argc, char **argv);

static const struct command commands[] = {
    {"up", cmd_up, N_("the server in one command, from nothing to the line for the other side")},
    {"server", cmd_server, N_("run on the public host: take tunnels and open public ports")},
    {"client", cmd_client, N_("run beside the service: connect it to a server")},
    {"join", cmd_join, N_("the client, by the line that the server has printed")},
    {"status", cmd_status, N_("show how a running server or client is, its clients and tunnels")},
    {"ctl", cmd_ctl, N_("ask a running server or client: reload, drain and others")},
    {"doctor", cmd_doctor, N_("try the whole way, and say what is wrong on it and what to do")},
    {"check", cmd_check, N_("say what a configuration file would do, and what is wrong with it")},
    {"clients", cmd_clients, N_("make, show, change and end the clients of a server")},
    {"service", run_service, N_("make a service of this machine of what was begun, or remove it")},
    {"genkey", cmd_genkey, N_("print a new random secret for both ends")},
    {"help", cmd_help, N_("show this list")},
    {"version", cmd_version, N_("print the version")},
};

/* Other spellings that people try. */
static const struct {
    const char *word, *name;
} aliases[] = {
    {"-h", "help"},          {"-help", "help"},        {"--help", "help"},
    {"-version", "version"}, {"--version", "version"}, {"-V", "version"},
};

static void print_hint(void)
{
    printf("\n%s\n%s\n", _("use 'gotunnel server -h' for the server's help"),
           _("use 'gotunnel client -h' for the client's help"));
}

static int cmd_help(int argc, char **argv)
{
    (void)argc, (void)argv;
    printf("%s\n\n",
           _("gotunnel exposes a TCP service behind NAT or a firewall on a public server."));
    printf("  gotunnel up -public vps.example.com    %s\n", _("on the public host"));
    printf("  gotunnel join gt1_... 3000             %s\n\n",
           _("beside the service: the line that 'up' has printed, with its port"));
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        printf("  gotunnel %-8s %s\n", commands[i].name, _(commands[i].help));
    print_hint();
    printf("%s\n", _("use 'gotunnel up -h' and 'gotunnel join -h' for the short way"));
    return EXIT_STATUS_OK;
}

static int cmd_check(int argc, char **argv)
{
    struct check check;
    int status;
    struct snapshot *options = check_begin(&check, argc, argv, &status);
    if (!options)
        return status;
    if (check.mode == &client_mode)
        client_check(&check, snapshot_client(options));
    else
        server_check(&check, snapshot_server(options));
    snapshot_unref(options);
    return check_end(&check);
}

static int doctor_usage(int status)
{
    log_text(
        _("Usage of doctor: gotunnel doctor FILE, or gotunnel doctor client|server [-flag value "
          "...]\n"
          "  tries what a program with this configuration file, or these flags, would do, and says "
          "of each step how it went\n"
          "  -json\n"
          "    \tshow the steps as JSON, an object a line\n"));
    return status;
}

/* The two arguments for a file stand in front of the others. */
static int doctor_of_file(int argc, char **argv)
{
    static char flag[] = "-config";
    struct config_file *f;
    char **args = calloc((size_t)argc + 1, sizeof *args);
    if (!args || config_file_load(argv[0], NULL, &f) < 0) {
        free(args);
        return EXIT_STATUS_USAGE;
    }
    bool is_client = config_file_mode(f) == &client_mode;
    config_file_free(f);
    args[0] = flag;
    memcpy(args + 1, argv, (size_t)argc * sizeof *argv);
    int status = is_client ? client_doctor(argc + 1, args) : server_doctor(argc + 1, args);
    free(args);
    return status;
}

static int cmd_doctor(int argc, char **argv)
{
    if (argc == 0)
        return doctor_usage(EXIT_STATUS_USAGE);
    if (strcmp(argv[0], "client") == 0)
        return client_doctor(argc - 1, argv + 1);
    if (strcmp(argv[0], "server") == 0)
        return server_doctor(argc - 1, argv + 1);
    if (argv[0][0] != '-')
        return doctor_of_file(argc, argv);
    return doctor_usage(strcmp(argv[0], "-h") == 0 || strcmp(argv[0], "-help") == 0 ||
                                strcmp(argv[0], "--help") == 0
                            ? EXIT_STATUS_OK
                            : EXIT_STATUS_USAGE);
}

static int run_service(int argc, char **argv)
{
    const struct service_kind kinds[SERVICE_KINDS] = {server_service_kind, client_service_kind};
    return cmd_service(argc, argv, kinds);
}

static int cmd_version(int argc, char **argv)
{
    (void)argc, (void)argv;
    printf("gotunnel %s\n", GOTUNNEL_VERSION);
    return EXIT_STATUS_OK;
}

static const struct command *find(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
        if (strcmp(word, aliases[i].word) == 0)
            word = aliases[i].name;
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(word, commands[i].name) == 0)
            return &commands[i];
    return NULL;
}

/* A command that may have been meant. The two modes are named anyway. NULL: there is none. */
static const char *find_near(const char *word)
{
    struct nearest near;
    nearest_init(&near, word, strlen(word));
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        nearest_try(&near, commands[i].name);
    const char *name = nearest_name(&near);
    bool is_mode = name && (strcmp(name, "server") == 0 || strcmp(name, "client") == 0);
    return is_mode ? NULL : name;
}

static int unknown(const char *word)
{
    const char *near = find_near(word);
    if (near)
        printf(_("error: '%s' is no subcommand: did you mean '%s'?\n"), word, near);
    else
        printf(_("error: invalid subcommand '%s', must be 'server' or 'client'\n"), word);
    print_hint();
    return cli_hopeless(EXIT_STATUS_FAILED);
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        printf("%s\n", _("error: a mode must be given as subcommand ('server' or 'client')"));
        print_hint();
        return cli_hopeless(EXIT_STATUS_FAILED);
    }
    if (argc == 2 && strcmp(argv[1], NOTIFY_HELPER_WORD) == 0)
        return notify_helper_main(); /* begun by ourselves: no command for a person */
    const struct command *c = find(argv[1]);
    if (c)
        return c->run(argc - 2, argv + 2);
    return unknown(argv[1]);
}

/* A descriptor that we were started without would be given to the next file or socket, and what is
   meant for stderr would go to whoever is there. What takes its place refuses as a closed one
   would: nothing can be read from a descriptor for writing, or written to one for reading. */
static void fill_standard_descriptors(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY); /* the lowest: fd */
}

int main(int argc, char **argv)
{
    guard_begin();
    fill_standard_descriptors();
    i18n_init();
    int status = run(argc, argv);
    log_flush();
    return status;
}
