"""Two hosts on this machine, with a link between them: namespaces of the network."""

import contextlib
import os
import shutil
import signal
import subprocess
import time

import pytest

from tests.distributed import launch

ADDRESSES = "10.203.77.1", "10.203.77.2"
LINK = "veth0"  # by this name on both hosts
# In the place of ssh: the last words are a command for the shell of the host before them.
AGENT = """#!/bin/sh
while [ "${{1#-}}" != "$1" ]; do shift; done
case $1 in {0}) host={2};; {1}) host={3};; esac
shift
exec ip netns exec $host unshare --uts sh -c "hostname $host; $*"
"""


class Hosts:
    """The hosts, by their names; the first is where jobs are started."""

    def __init__(self, folder):
        self._folder = folder
        self.names = [f"fastfc-{os.getpid()}-{place}" for place in "ab"]
        self._agent = folder / "agent"
        self._agent.write_text(AGENT.format(*ADDRESSES, *self.names))
        self._agent.chmod(0o700)

    def add(self):
        """Make the namespaces and the link."""
        for name in self.names:
            ip("netns", "add", name)
        first, second = self.names
        ip("link", "add", LINK, "netns", first, "type", "veth", "peer", LINK, "netns", second)
        for name, address in zip(self.names, ADDRESSES, strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", LINK)
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", LINK, "up")
        for name in self.names:
            while "state UP" not in ip("-n", name, "link", "show", LINK):
                time.sleep(0.01)

    def cut(self):
        """Let the link be down."""
        ip("-n", self.names[1], "link", "set", LINK, "down")

    def options(self, *ranks):
        """Return what `launch.start` needs for so many ranks on each host."""
        slots = ",".join(f"{address}:{n}" for address, n in zip(ADDRESSES, ranks, strict=True))
        if launch.before_open_mpi_5():
            options = ["--mca", "plm_rsh_agent", self._agent, "--host", slots]
        elif launch.is_open_mpi():
            options = ["--prtemca", "plm_ssh_agent", self._agent, "--host", slots]
        else:
            options = ["-launcher", "ssh", "-launcher-exec", self._agent, "-hosts", slots]
        name = self.names[0]
        shell = ["unshare", "--uts", "sh", "-c", f'hostname {name}; exec "$@"', "sh"]
        return {
            "before": ["ip", "netns", "exec", name, *shell],
            "options": options,
            "folder": self._folder,
            "UCX_TLS": "tcp,self",  # MPICH: else by the memory that both hosts share
            "UCX_NET_DEVICES": LINK,
            "PRTE_MCA_rmaps_default_mapping_policy": None,  # which puts all on the first
        }

    def remove(self):
        """End what runs on the hosts, and remove them."""
        for name in self.names:
            for _ in range(20):
                running = ip("netns", "pids", name).split()
                if not running:
                    break
                for number in running:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(number), signal.SIGKILL)
                time.sleep(0.05)
            ip("netns", "delete", name)


def ip(*arguments):
    """Return what ``ip`` prints."""
    command = ["ip", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def two(folder):
    """Give two hosts; skip the test where there cannot be any."""
    launch.find_mpiexec()
    if not shutil.which("ip") or not shutil.which("unshare"):
        pytest.skip("there is no ip or no unshare")
    try:
        ip("netns", "add", f"fastfc-{os.getpid()}")
        ip("netns", "delete", f"fastfc-{os.getpid()}")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"namespaces of the network are not permitted: {error.stderr.strip()}")
    hosts = Hosts(folder)
    try:
        hosts.add()
        yield hosts
    finally:
        hosts.remove()
