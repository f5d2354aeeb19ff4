/* SPDX-License-Identifier: MIT */
/*
 * docs/protocol.md 4.2-4.3 as a model for Spin: two ends, each with a ring of SLOTS places and
 * RESERVE more for ACKs, some data to send and a link that is cut CUTS times at any place. A place
 * holds one frame; in the real ring it is a byte, and frames are ranges.
 *
 * Checked in every state that can be reached: data arrives in order, once; an ACK says no more than
 * was sent; a resume finds what it needs. And every end is a good one: nothing stands still before
 * all data has arrived and its ACK too.
 */
#ifndef RESERVE
#define RESERVE 1
#endif
#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef CUTS
#define CUTS 2
#endif
#ifndef FRAMES
#define FRAMES 3
#endif
#ifndef UNSAID
#define UNSAID SLOTS /* so many frames of any kind are acknowledged, be they ACKs */
#endif
#ifndef KEPT
#define KEPT acked /* where a byte is released: `sent` is the mistake of other systems */
#endif

#define SERVER 0
#define CLIENT 1
#define ALL 40 /* more frames than any run has */
#define DATA 0 /* ... and ACK of n: n + 1 */

typedef end {
    byte frame[ALL]; /* what was ever staged */
    byte number[ALL]; /* of a DATA */
    byte acked, sent, staged;
    byte most; /* of sent, ever */
    byte put, got; /* DATA frames */
    byte rx, told;
    bool due; /* an ACK */
}
end e[2];
byte cuts = CUTS;
bool up = true;
byte old; /* the client reads its old connection up to here: the answer to a resume got lost */

#define HELD(i) (e[i].staged - e[i].KEPT)
#define DONE (e[0].got == FRAMES && e[1].got == FRAMES && !e[0].due && !e[1].due && up)

inline stage(i, what)
{
    assert(e[i].staged < ALL);
    e[i].frame[e[i].staged] = what;
    e[i].number[e[i].staged] = e[i].put;
    e[i].staged++
}

/* o takes the next frame of i. */
inline take(i, o)
{
    if
    :: e[i].frame[e[o].rx] == DATA ->
        assert(e[i].number[e[o].rx] == e[o].got); /* in order, once */
        e[o].got++;
        e[o].due = true
    :: else ->
        assert(e[i].frame[e[o].rx] - 1 <= e[o].sent);
        if
        :: e[i].frame[e[o].rx] - 1 > e[o].acked -> e[o].acked = e[i].frame[e[o].rx] - 1
        :: else
        fi
    fi;
    e[o].rx++;
    if
    :: e[o].rx - e[o].told >= UNSAID -> e[o].due = true
    :: else
    fi
}

/* i goes on where the other one has got to. */
inline rewind(i, o)
{
    assert(e[i].acked <= e[o].rx && e[o].rx <= e[i].most);
    assert(e[i].KEPT <= e[o].rx); /* it is still there */
    e[i].acked = e[o].rx;
    e[i].sent = e[o].rx;
    e[i].told = e[i].rx;
    e[i].due = false
}

inline one_end(i, o)
{
    if
    :: e[i].put < FRAMES && HELD(i) < SLOTS -> stage(i, DATA); e[i].put++
    :: e[i].due && HELD(i) < SLOTS + RESERVE ->
        stage(i, e[i].rx + 1);
        e[i].told = e[i].rx;
        e[i].due = false
    :: up && e[i].sent < e[i].staged ->
        e[i].sent++;
        if
        :: e[i].sent > e[i].most -> e[i].most = e[i].sent
        :: else
        fi
    :: up && e[o].rx < e[i].sent -> take(i, o)
    fi
}

#define CAN(i, o)                                                                                  \
    ((e[i].put < FRAMES && HELD(i) < SLOTS) || (e[i].due && HELD(i) < SLOTS + RESERVE) ||           \
     (up && e[i].sent < e[i].staged) || (up && e[o].rx < e[i].sent))

init {
    do
    :: atomic { CAN(0, 1) -> one_end(0, 1) }
    :: atomic { CAN(1, 0) -> one_end(1, 0) }
    :: atomic { up && cuts > 0 -> cuts--; up = false; old = 0 }
    :: atomic { /* the server resumes; the client does not hear of it, and reads on */
        !up && old == 0 && cuts > 0 ->
            cuts--;
            old = e[SERVER].sent;
            rewind(SERVER, CLIENT)
        }
    :: atomic { !up && e[CLIENT].rx < old -> take(SERVER, CLIENT) }
    :: atomic { /* both resume */
        !up ->
            rewind(SERVER, CLIENT);
            rewind(CLIENT, SERVER);
            up = true
        }
    :: DONE -> break
    od
}
