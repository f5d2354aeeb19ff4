/* SPDX-License-Identifier: MIT */
/*
 * docs/protocol.md 5: who owns an id, as a model for Spin. Two copies of one client (a cloned
 * machine) ask one server for the same id; connections are cut CUTS times, the server is restarted
 * KILLS times, answers get lost LOSSES times, each process starts STARTS times more, and a session
 * drains DRAINS times, each at any moment.
 *
 * An open says `take` until its process has had its first accepted answer; `mine` names all opens
 * of this process, but for a session it is still resuming.
 *
 * Checked in every state that can be reached: each start of a process takes the id away from
 * another process once at most, whatever is cut or restarted (and once more for an answer that got
 * lost, because it cannot know); a session that is being resumed, or drains, is not ended by the
 * one opened beside it; nobody is refused for the sake of his own ghost. And every end is a good
 * one: exactly one of them is up.
 */
#ifndef CUTS
#define CUTS 3
#endif
#ifndef KILLS
#define KILLS 2
#endif
#ifndef LOSSES
#define LOSSES 2
#endif
#ifndef STARTS
#define STARTS 2
#endif
#ifndef DRAINS
#define DRAINS 2
#endif

/* The rules, and what happens without them: */
#ifdef ALWAYS_TAKES /* copies fight for ever */
#define HEARD take[i] = true
#else
#define HEARD take[i] = false
#endif
#ifdef NAMES_NONE /* he waits for his own ghost */
#define NAMES(i) false
#else
#ifdef NAMES_ALL /* a session that could be resumed is ended by the one beside it */
#define NAMES(i) true
#else
#define NAMES(i) (!(st[i] == LOST && has[i]))
#endif
#endif
#ifdef DRAINING_OWNS /* what drains keeps its successor away, or is ended by it */
#define RELEASE drains_there = true
#else
#define RELEASE owner = NOBODY
#endif

/* a client */
#define NONE 0
#define UP 1
#define LOST 2 /* it resumes */
/* the owner: a session of the present process of client 0, 1, or of one that is no more */
#define PROCESS(i) (1 + (i))
#define GHOST(i) (3 + (i))
#define NOBODY 0

byte st[2];
bool has[2];      /* its session is the one that owns */
bool take[2] = true;
byte took[2];     /* how often it has taken the id from another process, */
byte unheard[2];  /* and the answer got lost */
bool asks[2];     /* an open is on its way, with these: */
bool takes[2];
bool names[2];    /* the owner, if that is of this process */
byte owner = NOBODY;
bool drains_there; /* the owner drains, and owns nevertheless */
byte cuts = CUTS, kills = KILLS, losses = LOSSES, drains = DRAINS;
byte starts[2] = STARTS;

#define MAY(i) (owner == NOBODY || take[i] || (owner == PROCESS(i) && NAMES(i)))
#define DONE ((st[0] == UP || st[1] == UP) && !asks[0] && !asks[1] && st[0] != LOST && st[1] != LOST)

/* The owner's session is no more: whoever has it does not know yet, unless he was told. */
inline ends()
{
    owner = NOBODY;
    drains_there = false;
    has[0] = false;
    has[1] = false
}

/* The server looks at i's open; j is the other one. */
inline serve(i, j)
{
    asks[i] = false;
    if
    :: owner == NOBODY || takes[i] || (owner == PROCESS(i) && names[i]) ->
        assert(!drains_there);
        assert(!(st[i] == LOST && has[i]));
        if
        :: owner == PROCESS(j) || owner == GHOST(j) ->
            took[i]++;
            assert(took[i] <= 1 + unheard[i]);
            if
            :: st[j] == UP -> st[j] = NONE /* GOAWAY: replaced */
            :: else
            fi
        :: else
        fi;
        ends();
        owner = PROCESS(i);
        if
        :: st[i] = UP; has[i] = true; HEARD
        :: losses > 0 -> losses--; unheard[i]++; st[i] = NONE
        fi
    :: else /* taken */
    fi
}

inline one(i, j)
{
    if
    :: st[i] != UP && !asks[i] && MAY(i) -> /* LOST: beside */
        takes[i] = take[i];
        names[i] = NAMES(i);
        asks[i] = true
    :: asks[i] -> serve(i, j)
    :: st[i] == UP && cuts > 0 -> cuts--; st[i] = LOST
    :: st[i] == LOST -> st[i] = (has[i] -> UP : NONE) /* unknown */
    :: st[i] == UP && drains > 0 -> drains--; RELEASE; st[i] = NONE; has[i] = false
    :: starts[i] > 0 ->
        starts[i]--;
        owner = (owner == PROCESS(i) -> GHOST(i) : owner);
        st[i] = NONE;
        has[i] = false;
        take[i] = true;
        took[i] = 0;
        unheard[i] = 0;
        asks[i] = false
    fi;
    assert(st[i] != NONE || asks[i] || owner != PROCESS(i) || MAY(i)); /* his own ghost */
    assert(!(st[0] == UP && st[1] == UP))
}

#define CAN(i)                                                                                     \
    (asks[i] || st[i] == LOST || (st[i] != UP && MAY(i)) ||                                         \
     (st[i] == UP && (cuts > 0 || drains > 0)) || starts[i] > 0)

init {
    do
    :: atomic { CAN(0) -> one(0, 1) }
    :: atomic { CAN(1) -> one(1, 0) }
    :: atomic { kills > 0 ->
            kills--;
            ends();
            st[0] = (st[0] == UP -> LOST : st[0]);
            st[1] = (st[1] == UP -> LOST : st[1])
        }
    :: atomic { owner != NOBODY && !(st[0] == UP && has[0]) && !(st[1] == UP && has[1]) ->
            ends() /* its window is over */
        }
    :: DONE -> break
    od
}
