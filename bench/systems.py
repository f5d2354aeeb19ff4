# SPDX-License-Identifier: MIT
"""Which tunnels are compared. A recipe is a module in peers/ with a table SYSTEMS of System objects.

NAME=COMMAND compares another build of gotunnel, or the same with other flags:
`--system gotunnel-4="/other/build/gotunnel -threads 4"`.
"""

import importlib
import pkgutil
import shlex
import shutil
from pathlib import Path

from bench import peers

YARDSTICK = "limit"


def _recipes():
    found = {}
    for module in pkgutil.iter_modules(peers.__path__):
        for system in importlib.import_module(f"bench.peers.{module.name}").SYSTEMS:
            found[system.name] = system
    return dict(sorted(found.items(), key=lambda item: item[1].order))


RECIPES = _recipes()


def _own_build(text):
    name, command = text.split("=", 1)
    words = shlex.split(command)
    program = shutil.which(words[0])
    if not program:
        raise SystemExit(f"bench: --system {text}: no such program")
    return type(RECIPES["gotunnel"])(name, Path(program).resolve(), words[1:])


def select(names, extras, program=None):
    """Systems by name; without any all, the extra ones only on request. `program` is the gotunnel to take
    instead of the one in build-bench."""
    chosen = []
    for text in names or [n for n, s in RECIPES.items() if extras or not s.extra]:
        if "=" in text:
            chosen.append(_own_build(text))
        elif text == "gotunnel" and program:
            chosen.append(_own_build(f"gotunnel={program}"))
        elif text in RECIPES:
            chosen.append(RECIPES[text])
        else:
            raise SystemExit(f"bench: no system {text!r}; there are: {', '.join(RECIPES)}")
    return chosen

