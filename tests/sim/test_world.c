/* SPDX-License-Identifier: MIT */
/*
 * What a session's life promises to users, each a property with its exact time, of the whole
 * machine in virtual time (world.h).
 *
 *   test_world [FIRST_SEED [COUNT]]     properties, then random worlds; a failure names its seed
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "world.h"

#define PROMISE(what)                                                                              \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            (void)fprintf(stderr, "%s, line %d, at %lld ms: %s\n", __func__, __LINE__,             \
                          (long long)world_now(w), #what);                                         \
            world_show(w);                                                                         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static uint32_t below(struct rng *r, uint32_t n)
{
    return rng_below(r, n);
}

static const struct world_config usual = {
    .window_ms = 60000, .resolver_ms = 5, .flight = 2000, .seed = 1};

static struct world *fresh(mtime_ms window)
{
    struct world_config cfg = usual;
    cfg.window_ms = window;
    return world_new(&cfg);
}

/* A world with a user whose 3,000 bytes have gone each way at 1 s, and who stays. */
static struct world *with_user(mtime_ms window, int *ret_user)
{
    struct world *w = fresh(window);
    *ret_user = world_user(w, 3000);
    world_run(w, 1000);
    PROMISE(world_is_quiet(w, *ret_user));
    return w;
}

static void talk(struct world *w, int user)
{
    world_says(w, user, SERVER, 500);
    world_says(w, user, CLIENT, 500);
}

/* Both ends go on saying something each 100 ms until then. */
static void chat_until(struct world *w, int user, mtime_ms until)
{
    while (world_now(w) < until) {
        if (!world_is_reset(w, user))
            talk(w, user);
        mtime_ms at = world_now(w) + 100;
        world_run(w, at < until ? at : until);
    }
}

/* When a new user would be served again, from now on; -1: not before. */
static mtime_ms served_at(struct world *w, mtime_ms before)
{
    while (world_now(w) < before) {
        if (world_serves(w))
            return world_now(w);
        world_run(w, world_now(w) + 1);
    }
    return -1;
}

static void finish(struct world *w)
{
    world_free(w);
}

static mtime_ms at_of(const struct mark *m)
{
    return m ? m->at : -1;
}

static void cut(struct world *w, bool on)
{
    world_net(w)->lost[0] = world_net(w)->lost[1] = on;
}

static struct net_place server_at(int proc, mtime_ms rtt)
{
    return (struct net_place){.host = NET_SERVES, .proc = proc, .rtt = rtt, .machine = 1 + proc};
}

/* ---- the server's address changes ---- */

/* The old address is `old` from 2 s on, the server is at place 1, and the name says so. */
static void address_changes(enum net_host old, bool busy, mtime_ms window, mtime_ms within)
{
    int user;
    struct world *w = with_user(window, &user);
    if (busy)
        chat_until(w, user, 2000);
    else
        world_run(w, 2000);
    world_net(w)->places[0].host = old;
    world_net(w)->places[0].machine = 99;
    world_net(w)->places[1] = server_at(0, 2);
    world_name(w, 1, (int[]){1});
    if (busy)
        chat_until(w, user, 2000 + within);
    else
        world_run(w, 2000 + within);
    PROMISE(world_serves(w) && world_told(w, CLIENT, LIFE_TELL_RESUMED, 0));
    world_run(w, world_now(w) + 1000);
    PROMISE(world_is_quiet(w, user));
    finish(w);
}

static void address_changes_in_all_ways(void)
{
    static const enum net_host olds[] = {NET_SILENT, NET_REFUSES, NET_STRANGER};
    static const mtime_ms windows[] = {5000, 60000, 600000};
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < 3; k++) {
            address_changes(olds[i], true, windows[k], 5000);
            address_changes(olds[i], false, windows[k], 10000);
        }
}

/* Another process is at the new address, and the old one is gone: a new session, as soon. */
static void another_server_at_a_new_address(void)
{
    for (int with = 0; with < 2; with++)
        for (int old = NET_SILENT; old <= NET_STRANGER; old++) {
            int user;
            struct world *w = with_user(600000, &user);
            if (!with)
                world_finish(w, user);
            world_run(w, 2000);
            world_net(w)->places[0].host = (enum net_host)old;
            world_net(w)->places[0].machine = 99;
            world_net(w)->places[1] = server_at(1, 2);
            world_name(w, 1, (int[]){1});
            if (with)
                talk(w, user);
            mtime_ms within = with ? 5000 : 10000;
            world_run(w, 2000 + within);
            PROMISE(world_serves(w));
            PROMISE(world_sessions(w) == 2);
            finish(w);
        }
}

/* Nothing can be resumed: a new session is at the new address as soon, and not for the sake of a
   path that is only silent, or slow. */
static void address_changes_without_a_window(void)
{
    for (int busy = 0; busy < 2; busy++)
        for (int old = NET_SILENT; old <= NET_STRANGER; old++) {
            int user;
            struct world *w = with_user(0, &user);
            world_run(w, 2000);
            world_net(w)->places[0].host = (enum net_host)old;
            world_net(w)->places[0].machine = 99;
            world_net(w)->places[1] = server_at(0, 2);
            world_name(w, 1, (int[]){1});
            if (busy)
                talk(w, user);
            world_run(w, 2000 + (busy ? 5000 : 10000));
            PROMISE(world_serves(w) && world_sessions(w) == 2);
            finish(w);
        }
}

static void silence_without_a_window(void)
{
    for (int ms = 500; ms <= 9500; ms += 1500)
        for (int slow = 0; slow < 2; slow++) {
            int user;
            struct world *w = with_user(0, &user);
            chat_until(w, user, 2000);
            if (slow)
                world_freeze(w, 1, 2000 + ms);
            else
                cut(w, true);
            chat_until(w, user, 2000 + ms);
            cut(w, false);
            chat_until(w, user, 30000);
            world_run(w, 32000);
            PROMISE(world_is_quiet(w, user) && world_sessions(w) == 1);
            finish(w);
        }
}

/* ---- slow paths ---- */

static void a_path_of_3_s(void)
{
    int user;
    struct world *w = with_user(60000, &user);
    world_net(w)->home = 1; /* another network, and a long way */
    world_net(w)->places[0].rtt = 3000;
    talk(w, user);
    world_run(w, 4000 + 3000 + 12500);
    PROMISE(world_told(w, CLIENT, LIFE_TELL_RESUMED, 0));
    PROMISE(world_told(w, SERVER, LIFE_TELL_RESUMED, 0));
    chat_until(w, user, 60000);
    world_run(w, 70000);
    PROMISE(world_is_quiet(w, user));
    PROMISE(!world_told(w, CLIENT, LIFE_TELL_RESUMED, 1)); /* and stays there */
    PROMISE(world_sessions(w) == 1);
    finish(w);
}

/* ---- a resume is not progress ---- */

/* Large packets vanish from 2 s on. With tcp_mtu_probing the transfer goes on within 3 s, as
   without resuming, though the suspicion comes as early: who recovers is not asked. On a longer
   path TCP needs longer, and gets it. Without probing the small segments of the second attempt
   pass. */
static void mtu_black_hole(bool probing, mtime_ms rtt, size_t flight, mtime_ms within)
{
    struct world_config cfg = usual;
    cfg.flight = flight;
    struct world *w = world_new(&cfg);
    int user = world_user(w, 3000);
    world_net(w)->probing = probing;
    world_net(w)->places[0].rtt = rtt;
    world_run(w, 2000);
    world_net(w)->mtu = 1300;
    world_says(w, user, CLIENT, 400000);
    world_run(w, 2000 + within);
    PROMISE(world_is_quiet(w, user));
    PROMISE(world_count(w, CLIENT, LIFE_SWITCH) <= 2);
    PROMISE(world_sessions(w) == 1);
    /* no pair of lines every 3 s */
    unsigned loud = 0;
    for (unsigned i = 0; world_told(w, CLIENT, LIFE_TELL_SUSPECTED, i); i++)
        loud += !world_told(w, CLIENT, LIFE_TELL_SUSPECTED, i)->action.tell.again;
    PROMISE(loud == 1);
    finish(w);
}

/* Not even small ones pass: 3, 6, 12 s; given up 15 s after the first byte that waited; the
   window from there. The handshakes pass. */
static void nothing_passes_after_a_resume(void)
{
    struct world_config cfg = usual;
    cfg.window_ms = 20000;
    cfg.flight = 500;
    struct world *w = world_new(&cfg);
    int user = world_user(w, 3000);
    chat_until(w, user, 2000);
    world_net(w)->mtu = 600;
    world_says(w, user, CLIENT, 400000);
    world_run(w, 60000);
    PROMISE(at_of(world_told(w, CLIENT, LIFE_TELL_SUSPECTED, 0)) == 5000);
    PROMISE(at_of(world_told(w, CLIENT, LIFE_TELL_DETACHED, 0)) >= 0);
    mtime_ms given_up = at_of(world_told(w, CLIENT, LIFE_TELL_DETACHED, 0));
    PROMISE(given_up >= 16900 && given_up <= 17000); /* the server was heard a little earlier */
    PROMISE(at_of(world_told(w, CLIENT, LIFE_TELL_SUSPECTED, 1)) >= 11000);
    PROMISE(world_told(w, CLIENT, LIFE_TELL_MTU, 0) && !world_told(w, CLIENT, LIFE_TELL_MTU, 1));
    mtime_ms closed = at_of(world_mark(w, CLIENT, LIFE_CLOSE, 0));
    PROMISE(closed >= given_up + 20000 && closed <= given_up + 20000 + LIFE_GRACE_MS);
    finish(w);
}

/* A middle box forgets idle connections after 3 s: the log names it once. */
static void idle_connections_are_forgotten(bool rst)
{
    int user;
    struct world *w = with_user(60000, &user);
    world_net(w)->nat_ms = 3000;
    world_net(w)->nat_rst = rst;
    world_run(w, 60000);
    PROMISE(world_told(w, CLIENT, LIFE_TELL_IDLE_CUT, 0));
    PROMISE(!world_told(w, CLIENT, LIFE_TELL_IDLE_CUT, 1));
    mtime_ms told = world_told(w, CLIENT, LIFE_TELL_IDLE_CUT, 0)->action.tell.ms;
    PROMISE(told >= 3000 && told <= 5000);
    mtime_ms at = world_told(w, CLIENT, LIFE_TELL_IDLE_CUT, 0)->at;
    for (unsigned i = 0; world_told(w, CLIENT, LIFE_TELL_SUSPECTED, i); i++) {
        const struct mark *m = world_told(w, CLIENT, LIFE_TELL_SUSPECTED, i);
        PROMISE(m->at < at || m->action.tell.again);
    }
    talk(w, user);
    world_run(w, 70000);
    PROMISE(world_is_quiet(w, user) && world_sessions(w) == 1);
    finish(w);
}

/* ---- the last moment ---- */

/* A window of 5 s survives a cut of 4.8 s, whatever the phase of the attempts. */
static void the_last_moment(void)
{
    for (int phase = 0; phase < 40; phase++)
        for (mtime_ms rtt = 2; rtt <= 152; rtt += 50) {
            int user;
            struct world *w = with_user(5000, &user);
            world_net(w)->places[0].rtt = rtt;
            world_run(w, 2000 + phase * 25);
            mtime_ms begin = world_now(w);
            net_kill(world_net(w), world_conn(w), CONN_RST);
            cut(w, true);
            talk(w, user);
            world_run(w, begin + 4800);
            cut(w, false);
            world_run(w, begin + 10000);
            PROMISE(world_is_quiet(w, user) && world_sessions(w) == 1);
            finish(w);
        }
}

/* Longer than the window: the users are reset, at both ends, and a new session is up. */
static void longer_than_the_window(void)
{
    int user;
    struct world *w = with_user(5000, &user);
    world_run(w, 2000);
    net_kill(world_net(w), world_conn(w), CONN_RST);
    cut(w, true);
    talk(w, user);
    world_run(w, 9000);
    PROMISE(world_is_reset(w, user));
    PROMISE(at_of(world_mark(w, CLIENT, LIFE_CLOSE, 0)) == 8000); /* it dialled until the grace */
    PROMISE(at_of(world_mark(w, SERVER, LIFE_CLOSE, 0)) == 8000);
    cut(w, false);
    PROMISE(served_at(w, 9000 + 2200) >= 0);
    finish(w);
}

/* ---- unknown ---- */

/* Behind the name are two servers; the connection to the one is cut, the other one says unknown. */
static void two_servers(bool with, bool comes_back)
{
    int user;
    struct world *w = with_user(60000, &user);
    if (!with)
        world_finish(w, user);
    world_run(w, 2000);
    world_net(w)->places[1] = server_at(1, 2);
    world_net(w)->places[0].host = NET_SILENT;
    world_name(w, 2, (int[]){0, 1});
    net_kill(world_net(w), world_conn(w), CONN_RST);
    mtime_ms served = served_at(w, 9000);
    PROMISE(served >= 0 && served <= 2000 + 1000); /* beside, at once */
    world_run(w, 4000);
    PROMISE(world_is_reset(w, user) == false);
    if (comes_back)
        world_net(w)->places[0].host = NET_SERVES;
    world_run(w, 15000);
    if (!with)
        PROMISE(!world_life(w, 0, CLIENT));
    else if (comes_back) {
        talk(w, user);
        world_run(w, 16000);
        PROMISE(world_is_quiet(w, user)); /* nothing lost */
        PROMISE(world_serves(w) && world_life(w, 1, CLIENT));
    } else {
        mtime_ms asked = at_of(world_mark(w, CLIENT, LIFE_OPEN_BESIDE, 0));
        PROMISE(at_of(world_mark(w, CLIENT, LIFE_CLOSE, 0)) == asked + LIFE_UNKNOWN_MS);
        PROMISE(world_serves(w));
    }
    finish(w);
}

/* kill -9 and restart of a single server. */
static void killed_and_restarted(void)
{
    for (int with = 0; with < 2; with++) {
        int user;
        struct world *w = with_user(60000, &user);
        if (!with)
            world_finish(w, user);
        world_run(w, 2000);
        world_kill(w, 0);
        world_net(w)->places[0] = server_at(1, 2);
        mtime_ms served = served_at(w, 9000);
        PROMISE(served >= 0 && served <= 2000 + 1500);
        world_run(w, 15000);
        PROMISE(world_is_reset(w, user) == with && world_serves(w));
        finish(w);
    }
}

/* ---- a proxy restarts; the port ---- */

/* FIN, and 15 s of nobody: nothing is lost. */
static void a_proxy_restarts(void)
{
    int user;
    struct world *w = with_user(60000, &user);
    world_run(w, 2000);
    net_kill(world_net(w), world_conn(w), CONN_FIN);
    world_net(w)->places[0].host = NET_REFUSES;
    world_run(w, 17000);
    PROMISE(!world_is_reset(w, user));
    PROMISE(world_mark(w, SERVER, LIFE_HOLD, 0)->at == 2000);
    PROMISE(world_mark(w, SERVER, LIFE_REFUSE, 0)->at == 4000);
    world_net(w)->places[0].host = NET_SERVES;
    mtime_ms served = served_at(w, 20000);
    PROMISE(served >= 17000 && served <= 18300);
    talk(w, user);
    world_run(w, 20000);
    PROMISE(world_is_quiet(w, user));
    finish(w);
}

/* Another client asks for a port: 10 s after the FIN, 30 s if connections run. The session of who lost it
   goes on. */
static void the_port_goes_to_another(bool with)
{
    mtime_ms free_at = 2000 + (with ? LIFE_PORT_BUSY_MS : LIFE_PORT_FREE_MS);
    int user;
    struct world *w = with_user(60000, &user);
    if (!with)
        world_finish(w, user);
    world_run(w, 2000);
    net_kill(world_net(w), world_conn(w), CONN_FIN);
    world_net(w)->places[0].host = NET_REFUSES;
    world_run(w, free_at - 1);
    PROMISE(!world_port_wanted(w, 0));
    world_run(w, free_at);
    PROMISE(world_port_wanted(w, 0));
    world_net(w)->places[0].host = NET_SERVES;
    world_run(w, free_at + 3000);
    PROMISE(world_told(w, CLIENT, LIFE_TELL_RESUMED, 0));
    PROMISE(world_count(w, SERVER, LIFE_CLOSE_PORTS) == 0);
    PROMISE(world_count(w, CLIENT, LIFE_OPEN_BESIDE) == 0);
    if (with) {
        talk(w, user);
        world_run(w, free_at + 4000);
        PROMISE(world_is_quiet(w, user));
        world_finish(w, user);
        world_run(w, free_at + 5000);
    }
    PROMISE(world_serves(w));
    finish(w);
}

/* ---- times are true ---- */

static void gaps_are_exact(void)
{
    for (mtime_ms length = 300; length < 30000; length = length * 3 / 2) {
        int user;
        struct world *w = with_user(60000, &user);
        chat_until(w, user, 2000);
        mtime_ms heard[2];
        heard[CLIENT] = heard[SERVER] = 1901; /* what was said at 1.9 s came a way of 1 ms later */
        net_kill(world_net(w), world_conn(w), CONN_RST);
        cut(w, true);
        talk(w, user);
        world_run(w, 2000 + length);
        cut(w, false);
        world_run(w, 2000 + length + 4000);
        for (int end = 0; end < 2; end++) {
            const struct mark *m = world_told(w, end, LIFE_TELL_RESUMED, 0);
            PROMISE(m);
            mtime_ms gap = m->action.tell.ms, true_gap = m->at - heard[end];
            PROMISE(gap >= true_gap - 4 && gap <= true_gap + 4); /* ACKs a few ms later */
        }
        finish(w);
    }
}

/* ---- stopping ---- */

/* A server with a running connection stops; its successor is there at once. */
static void a_polite_stop(void)
{
    int user;
    struct world *w = with_user(60000, &user);
    world_run(w, 2000);
    world_stop(w, 1, 30000);
    PROMISE(at_of(world_mark(w, SERVER, LIFE_CLOSE_PORTS, 0)) == 2000);
    world_net(w)->places[0] = server_at(1, 2);
    world_net(w)->places[0].machine = 1; /* the same machine */
    mtime_ms served = served_at(w, 4000);
    PROMISE(served >= 0 && served <= 4000);
    world_run(w, 20000);
    talk(w, user);
    world_run(w, 21000);
    PROMISE(world_is_quiet(w, user));
    world_finish(w, user);
    world_run(w, 22000);
    PROMISE(!world_life(w, 0, CLIENT) && !world_life(w, 0, SERVER));
    PROMISE(world_count(w, CLIENT, LIFE_OPEN_BESIDE) == 1);
    finish(w);
}

/* The successor comes later; and the drain time ends the connection that did not. */
static void a_polite_stop_without_a_successor(void)
{
    int user;
    struct world *w = with_user(60000, &user);
    world_run(w, 2000);
    world_stop(w, 1, 10000);
    world_net(w)->places[0].host = NET_REFUSES;
    world_run(w, 9000);
    PROMISE(!world_is_reset(w, user));
    world_net(w)->places[0] = server_at(1, 2);
    world_net(w)->places[0].machine = 1;
    mtime_ms served = served_at(w, 15000);
    PROMISE(served >= 0 && served <= 9000 + 2100);
    world_run(w, 13000);
    PROMISE(world_is_reset(w, user));
    PROMISE(at_of(world_mark(w, CLIENT, LIFE_CLOSE, 0)) <= 12001);
    finish(w);
}

/* A cut while it drains ends it, and costs nobody else anything. */
static void a_cut_while_it_drains(void)
{
    int user;
    struct world *w = with_user(60000, &user);
    world_run(w, 2000);
    world_stop(w, 1, 30000);
    world_net(w)->places[0] = server_at(1, 2);
    world_run(w, 3000);
    for (struct conn *c = world_net(w)->conns; c; c = c->next)
        net_kill(world_net(w), c, CONN_RST);
    world_run(w, 6000);
    PROMISE(world_is_reset(w, user) && world_serves(w));
    PROMISE(world_sessions(w) == 2); /* unknown, and no third session */
    finish(w);
}

/* The client stops: its connections finish, also behind a cut. */
static void a_client_stops(bool is_cut)
{
    int user;
    struct world *w = with_user(60000, &user);
    world_run(w, 2000);
    world_stop(w, 0, 20000);
    world_run(w, 2100);
    PROMISE(at_of(world_mark(w, SERVER, LIFE_CLOSE_PORTS, 0)) == 2001);
    if (is_cut)
        net_kill(world_net(w), world_conn(w), CONN_RST);
    talk(w, user);
    world_run(w, 5000);
    PROMISE(world_is_quiet(w, user));
    world_finish(w, user);
    world_run(w, 6000);
    PROMISE(!world_life(w, 0, CLIENT) && !world_life(w, 0, SERVER));
    PROMISE(world_sessions(w) == 1);
    finish(w);
}

/* GOAWAY at any moment of a cut and its mending: of either end, in whatever state they are. */
static void goaway_in_each_state(bool by_client)
{
    for (mtime_ms at = 2000; at < 12000; at += 97) {
        int user;
        struct world *w = with_user(60000, &user);
        world_run(w, 2000);
        cut(w, true);
        talk(w, user);
        world_run(w, at < 7000 ? at : 7000);
        if (at >= 7000)
            cut(w, false);
        world_run(w, at);
        world_stop(w, by_client ? 0 : 1, 10000);
        cut(w, false);
        if (!by_client)
            world_net(w)->places[0] = server_at(1, 2);
        world_run(w, at + 5000);
        PROMISE(by_client || world_serves(w));
        PROMISE(!by_client || world_is_quiet(w, user)); /* it comes back, and drains */
        world_run(w, at + 90000);
        PROMISE(!world_life(w, 0, CLIENT) && !world_life(w, 0, SERVER));
        PROMISE(world_sessions(w) == (by_client ? 1 : 2));
        finish(w);
    }
}

/* ---- two copies of one client ---- */

static void cut_all(struct world *w)
{
    for (struct conn *c = world_net(w)->conns; c; c = c->next)
        net_kill(world_net(w), c, CONN_RST);
}

/* Each start of a process takes the id once; no cut, no silence, no restart of the server does. The
   one that was replaced asks on, and is up when the id is free. */
static void one_takeover_for_each_start(void)
{
    struct world *w = fresh(20000);
    world_start_client(w, 1);
    world_run(w, 2000);
    PROMISE(world_takeovers(w) == 1);
    PROMISE(world_has_service(w, 1) && !world_has_service(w, 0));
    for (int i = 0; i < 10; i++) {
        cut_all(w);
        world_run(w, world_now(w) + 3000);
        PROMISE(world_has_service(w, 1));
    }
    cut(w, true);
    cut_all(w);
    world_run(w, world_now(w) + 30000); /* longer than the window: both ask anew */
    cut(w, false);
    world_run(w, world_now(w) + 15000);
    PROMISE(world_has_service(w, 0) != world_has_service(w, 1));
    world_kill(w, 0);
    world_net(w)->places[0] = server_at(1, 2);
    world_run(w, world_now(w) + 15000);
    PROMISE(world_has_service(w, 0) != world_has_service(w, 1));
    PROMISE(world_takeovers(w) == 1);
    int up = world_has_service(w, 0) ? 0 : 1;
    world_stop(w, up == 0 ? 0 : 1 + WORLD_PROCS, 0);
    world_run(w, world_now(w) + 3000);
    PROMISE(world_has_service(w, !up) && world_takeovers(w) == 1);
    world_start_client(w, up);
    world_run(w, world_now(w) + 3000);
    PROMISE(world_has_service(w, up) && world_takeovers(w) == 2);
    world_run(w, world_now(w) + 60000);
    PROMISE(world_takeovers(w) == 2);
    finish(w);
}

static void copies_at_random(uint64_t seed)
{
    struct rng r;
    rng_seed(&r, seed);
    struct world_config cfg = usual;
    cfg.window_ms = (mtime_ms)below(&r, 4) * 5000;
    cfg.seed = seed;
    struct world *w = world_new(&cfg);
    unsigned starts = 1;
    int proc = 0;
    world_start_client(w, 1);
    for (int round = 0; round < 20; round++) {
        world_run(w, world_now(w) + 500 + below(&r, 8000));
        switch (below(&r, 6)) {
        case 0:
            world_start_client(w, (int)below(&r, 2));
            starts++;
            break;
        case 1:
            if (proc + 1 == WORLD_PROCS)
                break;
            world_kill(w, proc);
            world_net(w)->places[0] = server_at(++proc, 2);
            break;
        case 2:
            cut(w, below(&r, 2));
            break;
        default:
            cut_all(w);
            break;
        }
    }
    cut(w, false);
    world_run(w, world_now(w) + 60000);
    PROMISE(world_has_service(w, 0) != world_has_service(w, 1));
    /* an answer that got lost is one more: whoever has not heard that he has the id takes it again
     */
    unsigned lost = world_count(w, SERVER, WORLD_OPENED) - world_count(w, CLIENT, WORLD_OPENED);
    unsigned takeovers = world_takeovers(w);
    PROMISE(takeovers <= starts + lost);
    world_run(w, world_now(w) + 60000);
    PROMISE(world_takeovers(w) == takeovers);
    finish(w);
}

/* ---- two candidates at once ---- */

/* The line of an attempt that was given up arrives when the next one has been accepted: its epoch
   is stale, and nothing happens to the session. */
static void a_late_candidate(bool suspected)
{
    int user;
    struct world *w = with_user(60000, &user);
    world_run(w, 2000);
    struct conn *old = world_conn(w);
    if (suspected)
        cut(w, true);
    else
        net_kill(world_net(w), old, CONN_RST);
    talk(w, user);
    world_run(w, suspected ? 5000 : 2000);
    cut(w, false);
    while (!world_mark(w, CLIENT, LIFE_ASK, 0)) { /* the line itself goes a long way round */
        struct conn *c = world_net(w)->conns;
        c->late[TO_SERVER] = c != old && c->step[SERVER] == 1 ? 4000 : 0;
        world_run(w, world_now(w) + 1);
    }
    struct conn *late = world_net(w)->conns;
    PROMISE(late != old && late->step[CLIENT] == 3);
    world_net(w)->home = suspected ? 1 : 0; /* the old one does not come back */
    late->home = world_net(w)->home;
    world_run(w, world_now(w) + 3900);
    PROMISE(world_count(w, CLIENT, LIFE_SWITCH) == 1 && world_is_quiet(w, user));
    PROMISE(late->step[SERVER] == 1);
    world_run(w, world_now(w) + 2000);
    PROMISE(late->step[SERVER] == 2 && late->answer[0] == LIFE_ANSWER_STALE);
    PROMISE(world_count(w, SERVER, LIFE_SWITCH) == 1);
    talk(w, user);
    world_run(w, world_now(w) + 1000);
    PROMISE(world_is_quiet(w, user) && world_sessions(w) == 1);
    finish(w);
}

/* ---- frozen, asleep ---- */

static void frozen_and_asleep(void)
{
    static const mtime_ms lengths[] = {1000, 4000, 14000, 20000, 50000};
    for (size_t i = 0; i < 5; i++)
        for (int machine = 0; machine < 2; machine++)
            for (int sleeps = 0; sleeps < 2; sleeps++) {
                int user;
                struct world *w = with_user(60000, &user);
                chat_until(w, user, 2000);
                if (sleeps)
                    world_sleep(w, machine, 2000 + lengths[i]);
                else
                    world_freeze(w, machine, 2000 + lengths[i]);
                chat_until(w, user, 2000 + lengths[i] + 4000);
                world_run(w, 2000 + lengths[i] + 8000);
                PROMISE(world_is_quiet(w, user) && world_sessions(w) == 1);
                finish(w);
            }
}

/* ---- every byte ---- */

/* The connection dies after any byte of a short session, in either direction, by FIN or RST; and so
   does the one that resumes it. */
static void cut_at_every_byte(unsigned stride)
{
    unsigned worlds = 0;
    for (int dir = 0; dir < 2; dir++)
        for (int how = CONN_FIN; how <= CONN_RST; how++)
            for (uint64_t at = 0;; at += stride) {
                struct world *w = fresh(60000);
                struct conn *c = world_conn(w);
                uint64_t begin = c->pipes[dir].got;
                c->pipes[dir].cut_after = begin + at;
                c->cut_how = (enum conn_end)how;
                int user = world_user(w, 300);
                world_run(w, 40);
                world_says(w, user, CLIENT, 100);
                world_run(w, 400);
                bool was_cut =
                    world_mark(w, CLIENT, LIFE_DETACH, 0) || world_mark(w, SERVER, LIFE_DETACH, 0);
                if (was_cut && world_conn(w)) { /* once more, as deep into the next one */
                    c = world_conn(w);
                    c->pipes[dir].cut_after = c->pipes[dir].got + 1 + at % 37;
                    c->cut_how = (enum conn_end)how;
                }
                world_finish(w, user);
                world_run(w, 6000);
                PROMISE(!world_is_reset(w, user) && world_sessions(w) == 1);
                PROMISE(world_is_quiet(w, user));
                PROMISE(!world_conn(w) || world_serves(w));
                finish(w);
                worlds++;
                if (!was_cut)
                    break;
            }
    printf("cut after every %u bytes: %u worlds\n", stride, worlds);
}

/* ---- random worlds ---- */

static void trouble(struct world *w, struct rng *r)
{
    struct net *n = world_net(w);
    mtime_ms now = world_now(w);
    struct conn *c = world_conn(w);
    switch (below(r, 14)) {
    case 0:
        n->lost[0] = true;
        break;
    case 1:
        n->lost[1] = true;
        break;
    case 2:
        cut(w, true);
        break;
    case 3:
        if (c)
            net_kill(n, c, below(r, 2) ? CONN_RST : CONN_FIN);
        break;
    case 4:
        n->home++;
        world_network_changed(w, below(r, 2));
        break;
    case 5:
        n->mtu = 1200 + below(r, 300);
        n->probing = below(r, 2);
        break;
    case 6:
        n->nat_ms = 1000 + below(r, 6000);
        n->nat_rst = below(r, 2);
        break;
    case 7:
        n->places[0].rtt = 2 + below(r, 3000);
        break;
    case 8:
        world_freeze(w, (int)below(r, 2), now + 100 + below(r, 30000));
        break;
    case 9:
        world_sleep(w, (int)below(r, 2), now + 100 + below(r, 30000));
        break;
    case 10: { /* moves to place 1, or 2, or back */
        int from = 0, to = (int)below(r, 3);
        while (n->places[from].host != NET_SERVES)
            from++;
        struct net_place place = n->places[from];
        n->places[from].host = (enum net_host)(1 + below(r, 3));
        n->places[from].machine += 100;
        n->places[to] = place;
        world_name(w, 1, &to);
        break;
    }
    case 11: /* a name with dead addresses beside it */
        world_name(w, 3, (int[]){(int)below(r, 3), 1, 2});
        break;
    case 12:
        if (c)
            c->pipes[below(r, 2)].cut_after = c->pipes[below(r, 2)].got + below(r, 3000);
        break;
    default:
        world_network_changed(w, below(r, 2));
        break;
    }
}

static void heal(struct world *w)
{
    struct net *n = world_net(w);
    cut(w, false);
    n->mtu = 0;
    n->nat_ms = 0;
    for (int i = 0; i < NET_PLACES; i++) {
        if (n->places[i].host != NET_SERVES)
            continue;
        n->places[i].rtt = n->places[i].rtt > 400 ? 400 : n->places[i].rtt;
        world_name(w, 1, &i);
    }
}

/* Troubles at random, never longer than the window: nothing is lost. Returns bytes compared. */
static uint64_t random_world(uint64_t seed)
{
    struct rng r;
    rng_seed(&r, seed);
    struct world_config cfg = {.window_ms = 600000,
                               .resolver_ms = below(&r, 300),
                               .flight = 1000 + below(&r, 1500),

                               .seed = seed};
    struct world *w = world_new(&cfg);
    int users[8];
    int n = 1 + (int)below(&r, 8);
    for (int i = 0; i < n; i++)
        users[i] = world_user(w, below(&r, 4) ? below(&r, 5000) : below(&r, 300000));
    for (int round = 0; round < 6; round++) {
        trouble(w, &r);
        if (below(&r, 3) == 0)
            trouble(w, &r);
        for (int k = (int)below(&r, 6); k > 0; k--) {
            world_run(w, world_now(w) + below(&r, 4000));
            world_says(w, users[below(&r, (uint32_t)n)], (int)below(&r, 2), below(&r, 20000));
        }
        if (below(&r, 2))
            heal(w);
    }
    heal(w);
    for (int i = 0; i < n; i++)
        world_finish(w, users[i]);
    world_run(w, world_now(w) + 100000);
    PROMISE(world_users(w) == (uint32_t)n && world_sessions(w) == 1);
    for (int i = 0; i < n; i++)
        PROMISE(world_is_quiet(w, users[i]));
    PROMISE(world_serves(w));
    uint64_t bytes = world_bytes(w);
    world_free(w);
    return bytes;
}

/* Servers die, stop and are replaced, a second one is behind the name, windows are short: what is
   not complete was reset, and in the end a user who comes is served. */
static uint64_t rough_world(uint64_t seed)
{
    struct rng r;
    rng_seed(&r, seed);
    struct world_config cfg = usual;
    cfg.window_ms = (mtime_ms)below(&r, 4) * 10000;
    cfg.seed = seed;
    struct world *w = world_new(&cfg);
    int proc = 0, user = -1;
    for (int round = 0; round < 8; round++) {
        if (world_serves(w))
            user = world_user(w, below(&r, 20000));
        switch (below(&r, 6)) {
        case 0: /* dies, and starts again */
            if (proc + 1 == WORLD_PROCS)
                break;
            world_kill(w, proc);
            world_net(w)->places[0] = server_at(++proc, 2);
            break;
        case 1: /* stops */
            if (proc + 1 == WORLD_PROCS)
                break;
            world_stop(w, 1 + proc, below(&r, 20000));
            world_net(w)->places[0] = server_at(++proc, 2);
            break;
        case 2: /* its port is wanted */
            (void)world_port_wanted(w, proc);
            break;
        default:
            trouble(w, &r);
            break;
        }
        world_run(w, world_now(w) + below(&r, 20000));
        if (user >= 0)
            world_says(w, user, (int)below(&r, 2), below(&r, 5000));
        if (below(&r, 2))
            heal(w);
    }
    heal(w);
    for (int i = 0; i < NET_PLACES; i++)
        if (world_net(w)->places[i].host == NET_SERVES && world_net(w)->places[i].proc == proc)
            world_name(w, 1, &i);
    for (int i = 0; i <= user; i++)
        world_finish(w, i);
    world_run(w, world_now(w) + 30000 + cfg.window_ms + 60000);
    PROMISE(world_serves(w) && world_sessions(w) < 24);
    for (int i = 0; i <= user; i++)
        PROMISE(world_is_quiet(w, i) || world_is_reset(w, i));
    uint64_t bytes = world_bytes(w);
    world_free(w);
    return bytes;
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : argc > 1 ? 1 : 300;
    uint64_t bytes = 0;
    if (argc != 2) {
        address_changes_in_all_ways();
        another_server_at_a_new_address();
        address_changes_without_a_window();
        silence_without_a_window();
        a_path_of_3_s();
        mtu_black_hole(true, 2, 2000, 3200);
        mtu_black_hole(true, 2, 1000, 3300); /* TLS passes: the resume leaves TCP its time */
        mtu_black_hole(true, 200, 2000, 10000);
        mtu_black_hole(false, 2, 2000, 5300); /* TLS itself does not pass */
        mtu_black_hole(false, 2, 1000, 9800); /* it does, what follows does not */
        nothing_passes_after_a_resume();
        idle_connections_are_forgotten(false);
        idle_connections_are_forgotten(true);
        the_last_moment();
        longer_than_the_window();
        two_servers(false, false);
        two_servers(true, false);
        two_servers(true, true);
        killed_and_restarted();
        a_proxy_restarts();
        the_port_goes_to_another(false);
        the_port_goes_to_another(true);
        gaps_are_exact();
        a_polite_stop();
        a_polite_stop_without_a_successor();
        a_cut_while_it_drains();
        a_client_stops(false);
        a_client_stops(true);
        goaway_in_each_state(false);
        goaway_in_each_state(true);
        one_takeover_for_each_start();
        a_late_candidate(false);
        a_late_candidate(true);
        frozen_and_asleep();
        cut_at_every_byte(count < 100 ? 7 : 1);
    }
    for (uint64_t seed = first; seed < first + count; seed++)
        bytes += random_world(seed) + rough_world(seed);
    for (uint64_t seed = first; seed < first + count; seed++)
        copies_at_random(seed);
    printf("%llu random worlds, %llu bytes compared\n", (unsigned long long)count,
           (unsigned long long)bytes);
    return 0;
}
