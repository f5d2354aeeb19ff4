/* SPDX-License-Identifier: MIT */
/* The judgement: one entry at a time. That it holds for a way is because it holds from the root on:
   what is below an entry that others cannot change is what we have looked at. */
#include "base/trust.h"

#include <sys/stat.h>

enum {
    WRITE_OTHERS = 02,
    WRITE_GROUP = 020,
    NOT_OF_A_SECRET = 027, /* reading by a group is how service managers hand secrets over */
};

static enum trust_fault judge_owner(const struct trust_who *who, uid_t uid)
{
    if (uid == 0 || uid == who->self)
        return TRUST_FAULTLESS;
    if (who->self == 0 && who->has_sudo && uid == who->sudo)
        return TRUST_BY_SUDO; /* also if it is whom we are to become: root did not put it there */
    return uid == who->become ? TRUST_FAULTLESS : TRUST_FOREIGN;
}

static bool others_write(const struct trust_facts *f)
{
    return f->mode & WRITE_OTHERS || (f->mode & WRITE_GROUP && !f->private_group);
}

static enum trust_fault judge_folder(enum trust_place place, const struct trust_facts *f)
{
    if (!others_write(f) || f->mode & S_ISVTX)
        return TRUST_FAULTLESS;
    return place == TRUST_WAY ? TRUST_MOVABLE : TRUST_WRITABLE;
}

static enum trust_fault judge_secret(const struct trust_facts *f)
{
    if (!(f->mode & NOT_OF_A_SECRET))
        return TRUST_FAULTLESS;
    bool shown = f->uid == 0 && f->read_only && !(f->mode & (WRITE_GROUP | WRITE_OTHERS));
    return shown ? TRUST_SHOWN : TRUST_OPEN;
}

static enum trust_fault judge_mode(enum trust_place place, const struct trust_facts *f)
{
    if (S_ISDIR(f->mode))
        return judge_folder(place, f);
    if (!S_ISREG(f->mode))
        return TRUST_FAULTLESS;
    if (place == TRUST_SECRET)
        return judge_secret(f);
    return others_write(f) ? TRUST_WRITABLE : TRUST_FAULTLESS;
}

enum trust_fault trust_judge(const struct trust_who *who, enum trust_place place,
                             const struct trust_facts *f)
{
    enum trust_fault owner = judge_owner(who, f->uid);
    if (owner == TRUST_FOREIGN)
        return owner;
    enum trust_fault mode = judge_mode(place, f);
    return mode == TRUST_FAULTLESS ? owner : mode;
}

enum trust_verdict trust_verdict(const struct trust_who *who, enum trust_fault fault,
                                 bool is_lenient)
{
    switch (fault) {
    case TRUST_FAULTLESS:
        return TRUST_GOOD;
    case TRUST_BY_SUDO:
    case TRUST_SHOWN:
    case TRUST_MOVABLE:
        return TRUST_DOUBTFUL;
    case TRUST_FOREIGN:
    case TRUST_WRITABLE:
        return is_lenient && who->self != 0 ? TRUST_DOUBTFUL : TRUST_REFUSED;
    case TRUST_OPEN:
        break;
    }
    return TRUST_REFUSED;
}
