"""A manual switch in a soak is not undone: the attempt is overtaken, the closure stays, and it is shown who did it."""

from harness.claims import reaches
from harness.wait import always, expect, same, until

CONVOY = True
CORE = True
EMULATED = True


def seen(fleet, host):
    """Returns who activated what there, as the control plane shows it."""
    done = (fleet.plane.ask("host", "show", host.name) or {}).get("activated") or {}
    return done.get("who"), done.get("action"), done.get("closure")


def activations(fleet, host, release):
    """Returns the action and boot of each activation in the history."""
    told = [event["body"].get("by") for event in fleet.plane.history(host, release)]
    return [(by["action"], by["boot"]) for by in told if by]


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    second, third = fleet.offer(web1, "2"), fleet.offer(web1, "3")
    release = fleet.plane.publish("2", {web1: second}, policy={"soakMs": 20_000})
    reaches(fleet, web1, release, "Soaking")
    same(web1.switch_manually(third)[0], 0, "the switch by hand")
    reaches(fleet, web1, release, "Failed")
    verdict = fleet.plane.attempt(web1, release)["verdict"]
    expect("overtaken" in verdict.lower() or "switched" in verdict.lower(), f"the verdict: {verdict}")
    until("it is said who", lambda: seen(fleet, web1) == ("ada", "switch", third))
    expect("by ada (switch)" in fleet.plane.operate("host", "show", "web1").stdout, "also in words")
    always("the person's closure stays", lambda: (web1.running(), web1.default()) == (third, third), 20)
    web1.power_cycle()
    same(web1.booted(), third, "it boots too")
    boot = web1.boot_id()
    until("the boot is in the history", lambda: ("boot", boot) in activations(fleet, web1, release))
    same(seen(fleet, web1), ("ada", "switch", third), "who switched, also after a boot")
    until("no note is left", lambda: web1.exec("ls /run/convoy/hook").stdout == "")
