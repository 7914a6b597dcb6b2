"""A power cut boots the default, a reboot is a new boot, a one-shot entry boots once, and its default stays."""

from harness.host import PROFILE
from harness.wait import expect, same

CORE = True
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    second = fleet.offer(web1, "2", triggers={"kernel": "kernel-2"})
    web1.fetch(second)
    same(web1.switch(second, "test")[0], 0, "the switch")
    first_boot = web1.boot_id()
    web1.power_cycle()
    same((web1.running(), web1.booted()), (web1.closure, web1.closure), "the default after a power cut")
    expect(web1.boot_id() != first_boot, "a new boot has a new id")
    same(web1.says("ls /run/machine-test /run/nixos 2>/dev/null | wc -l"), "0", "/run is fresh")

    trial = "/nix/var/nix/profiles/system-profiles/convoy_trial"
    web1.exec(f"mkdir -p $(dirname {trial}) && nix-env --profile {trial} --set {second}")
    same(web1.switch(web1.closure, "boot")[0], 0, "entries of all profiles")
    same(web1.default(), web1.closure, "the default stays the prior's while the trial gets an entry")
    web1.exec("bootctl set-oneshot nixos-convoy_trial-generation-1.conf")
    web1.reboot()
    same((web1.booted(), web1.default()), (second, web1.closure), "the one-shot entry")
    web1.power_cycle()
    same(web1.booted(), web1.closure, "the one-shot was for one boot")

    web1.exec("nix-env", "--profile", PROFILE, "--set", second)
    same(web1.switch(second, "boot")[0], 0, "boot makes it the default")
    same((web1.running(), web1.default()), (web1.closure, second), "without switching to it")
    web1.reboot()
    same((web1.booted(), web1.version()), (second, "2"), "the new default")
