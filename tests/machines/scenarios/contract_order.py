"""A switch goes in NixOS's order: loader, stop, activate, restart, start; test leaves the boot default alone."""

from harness.host import PROFILE
from harness.wait import expect, same

CORE = True
EMULATED = True


def service(word):
    """Returns a service that notes its starts and stops."""
    return ("[Service]\nType=oneshot\nRemainAfterExit=yes\n"
            f"ExecStart=/bin/sh -c 'echo start {word} >>/var/log/order'\n"
            f"ExecStop=/bin/sh -c 'echo stop {word} >>/var/log/order'\n")


def run(fleet):
    installed = "[Install]\nWantedBy=multi-user.target\n"
    web1 = fleet.add("web1", units={
        "plain.service": service("plain-1") + installed,
        "late.service": service("late-1") + "X-StopIfChanged=false\n" + installed,
    })
    fleet.start()
    where = "readlink /run/current-system >>/var/log/order"
    second = fleet.offer(
        web1, "2", snippet=f"echo activate $NIXOS_ACTION >>/var/log/order\n{where}\n",
        units={"plain.service": service("plain-2") + installed,
               "late.service": service("late-2") + "X-StopIfChanged=false\n" + installed,
               "new.service": service("new-2") + f"ExecStart=/bin/sh -c '{where}'\n" + installed})
    web1.fetch(second)
    web1.exec("rm /var/log/order")
    same(web1.switch(second, "test")[0], 0, "the switch")
    order = web1.says("cat /var/log/order").splitlines()
    same(order[:3], ["stop plain-1", "activate test", web1.closure], "stopped, then activated, the link after it")
    same(order[3:5], ["stop late-2", "start late-2"], "then one restart, with the new unit's stop command")
    same(sorted(order[5:]), sorted(["start plain-2", "start new-2", second]), "then started, with the link moved")
    same((web1.default(), web1.profile()), (web1.closure, web1.closure), "test does not touch the boot default")
    web1.exec("nix-env", "--profile", PROFILE, "--set", second)
    web1.hold_switch("installed", "2")
    web1.switch_in_background(second, "switch")
    web1.wait_held("installed", "2")
    same(web1.default(), second, "switch writes the boot default before it touches a unit")
    web1.let_go("installed", "2")
    expect(web1.closure != second, "two closures")
