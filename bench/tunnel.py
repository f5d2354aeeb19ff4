# SPDX-License-Identifier: MIT
"""What a recipe in peers/ is made of: a System starts a Tunnel."""

from dataclasses import dataclass

from bench.lab import Lab, tree_memory, tree_usage


@dataclass
class Tunnel:
    """A running tunnel: what listens for users, and the processes of its two ends."""

    port: int
    server: list  # of Process, where users connect
    client: list  # of Process, beside the service
    lab: Lab = None
    system: object = None

    def _pids(self, ends):
        return [p.pid for end in ends for p in end]

    def usage(self):
        return tree_usage(self._pids((self.server, self.client)))

    def memory(self):
        """Of the server's end and of the client's."""
        return tuple(tree_memory(self._pids((end,))) for end in (self.server, self.client))

    def close(self):
        self.lab.close()


class System:
    """One row of the comparison. Recipes derive from it."""

    name = ""
    what = ""  # one line for the table
    tls = True
    multiplexed = True  # all users share one connection between the ends
    order = 50  # of the rows
    extra = False  # only in the full set

    def version(self, lab):
        """What is measured, in a few words. Raises Unavailable when it is not here."""
        raise NotImplementedError

    def start(self, lab, target):
        """Starts both ends for the service on the port `target`: a Tunnel that is ready."""
        raise NotImplementedError

    def binaries(self):
        """The programs of both ends."""
        return []
