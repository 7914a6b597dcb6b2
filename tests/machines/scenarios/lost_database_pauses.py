"""A control plane lost its database in a rollout: hosts go on and replay, and nothing starts until it is resumed."""

from harness.claims import END_LIMIT, committed, reaches
from harness.wait import always, expect, same, until

CONVOY = True
EMULATED = True


def run(fleet):
    web1, web2 = fleet.add("web1"), fleet.add("web2")
    fleet.start()
    second, other = fleet.offer(web1, "2"), fleet.offer(web2, "2")
    signed = fleet.plane.sign("2", {web1: second, web2: other}, [[web1], [web2]], policy={"soakMs": 10_000})
    release = fleet.plane.send(signed)
    reaches(fleet, web1, release, "Soaking")
    fleet.plane.kill()
    fleet.plane.lose_database()
    fleet.plane.start()
    fleet.plane.send(signed)
    until("the rollout waits for an operator", lambda: fleet.plane.rollout_state(release) == "Paused")
    expect("restored" in fleet.plane.rollout(release)["why"], f"and says why: {fleet.plane.rollout(release)}")
    until("it is committed", lambda: web1.default() == second, END_LIMIT)
    reaches(fleet, web1, release, "Converged")
    same(web1.running(), second, "the target runs")
    always("nothing starts", lambda: web2.running() == web2.closure, 5)
    fleet.plane.operate("rollout", "resume", release)
    committed(fleet, web2, release, other)
    same(fleet.plane.rollout_state(release), "Completed", "the rollout")
