"""A kernel change makes a trial boot by a one-shot entry; healthy there, it is committed."""

from harness.claims import committed
from harness.wait import expect

CONVOY = True
CORE = True
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    before = web1.boot_id()
    second = fleet.offer(web1, "2", triggers={"kernel": "kernel-2"})
    release = fleet.plane.publish("2", {web1: second}, reboot="trial")
    committed(fleet, web1, release, second, 240)
    expect(web1.boot_id() != before and web1.booted() == second, "it booted the target")
    expect(not web1.says("ls /nix/var/nix/profiles/system-profiles | grep trial"), "no trial profile stays")
