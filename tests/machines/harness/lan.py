"""The network: one bridge in a namespace of its own, a namespace and a cable for each machine."""

from harness.command import run

NETWORK = "10.77.0"
SWITCH = "lan"


def ip(*words):
    """Runs `ip`."""
    return run(["ip", *words])


class Lan:
    """The cables between machines. All of it ends with the network namespace of the scenario."""

    def __init__(self):
        self.cut = set()
        ip("netns", "add", SWITCH)
        ip("-n", SWITCH, "link", "add", "br0", "type", "bridge", "forward_delay", "0")
        ip("-n", SWITCH, "link", "set", "br0", "up")

    def plug(self, name):
        """Makes a namespace with an `eth0` on a cable of its own; no address yet."""
        ip("netns", "add", name)
        ip("-n", SWITCH, "link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("-n", SWITCH, "link", "set", f"to-{name}", "master", "br0")
        if name not in self.cut:
            ip("-n", SWITCH, "link", "set", f"to-{name}", "up")

    def plug_anew(self, name):
        """Replaces a namespace, as a machine that is switched on knows nothing of addresses and firewalls."""
        run(["ip", "-n", SWITCH, "link", "del", f"to-{name}"], check=False)
        run(["ip", "netns", "del", name], check=False)
        self.plug(name)

    def address(self, name, number):
        """Gives a namespace its address, for machines that don't do so themselves."""
        ip("-n", name, "link", "set", "lo", "up")
        ip("-n", name, "link", "set", "eth0", "up")
        ip("-n", name, "addr", "add", f"{NETWORK}.{number}/24", "dev", "eth0")

    def unplug(self, name):
        """Cuts the cable."""
        self.cut.add(name)
        ip("-n", SWITCH, "link", "set", f"to-{name}", "down")

    def replug(self, name):
        """Mends the cable."""
        self.cut.discard(name)
        ip("-n", SWITCH, "link", "set", f"to-{name}", "up")
