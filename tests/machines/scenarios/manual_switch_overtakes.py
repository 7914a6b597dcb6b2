"""A manual switch in a soak is not undone: the attempt ends as overtaken, and the person's closure stays."""

from harness.claims import reaches
from harness.wait import always, expect, same

CONVOY = True
CORE = True
EMULATED = True


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
    always("the person's closure stays", lambda: (web1.running(), web1.default()) == (third, third), 20)
    web1.power_cycle()
    same(web1.booted(), third, "it boots too")
