# SPDX-License-Identifier: MIT
"""cage.py UMASK CALLS PROGRAM...: runs a program with a umask, without core files, and with no system calls but
those whose numbers are given (all: with every one). Any other one kills it, so that a test cannot overlook it."""

import ctypes
import os
import resource
import struct
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # of the filter's machine, see seccomp(2)
ALLOW, KILL = 0x7FFF0000, 0x80000000
X86_64 = 0xC000003E


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]


def instruction(code, value, if_true=0, if_false=0):
    return struct.pack("HBBI", code, if_true, if_false, value)


def allow_only(calls):
    code = [instruction(LOAD, 4), instruction(JUMP_IF_EQUAL, X86_64, 1, 0), instruction(RETURN, KILL),
            instruction(LOAD, 0)]
    for number in calls:
        code += [instruction(JUMP_IF_EQUAL, number, 0, 1), instruction(RETURN, ALLOW)]
    code.append(instruction(RETURN, KILL))
    libc = ctypes.CDLL(None, use_errno=True)
    program = Program(len(code), b"".join(code))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER,
                                                                 ctypes.byref(program), 0, 0):
        sys.exit(f"cannot set the filter: {os.strerror(ctypes.get_errno())}")


umask, calls, *program = sys.argv[1:]
os.umask(int(umask, 8))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
if calls != "all":
    allow_only(map(int, calls.split(",")))
os.execv(program[0], program)
