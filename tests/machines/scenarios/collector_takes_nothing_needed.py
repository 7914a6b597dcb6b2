"""The garbage collector runs staged, in the switch, in the soak and after the commit, and takes nothing needed."""

from harness.claims import committed, reaches
from harness.wait import expect

CONVOY = True
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    second = fleet.offer(web1, "2")
    web1.hold_switch("locked", "2")
    release = fleet.plane.publish("2", {web1: second})

    def collect(when):
        web1.exec("nix-store --gc", limit=120)
        for closure in (web1.closure, second):
            expect(web1.says(f"nix-store --verify-path {closure} && echo whole") == "whole", f"{closure} {when}")

    web1.wait_held("locked", "2")
    collect("in the switch")
    web1.let_go("locked", "2")
    reaches(fleet, web1, release, "Soaking")
    collect("in the soak")
    committed(fleet, web1, release, second)
    web1.exec("nix-store --gc", limit=120)
    web1.power_cycle()
    expect(web1.booted() == second, "what was committed boots")
