"""A control plane that lost its database in a rollout: hosts go on, replay, and it waits for an operator."""

from harness.claims import END_LIMIT, reaches
from harness.wait import same, until

CONVOY = True
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    second = fleet.offer(web1, "2")
    signed = fleet.plane.sign("2", {web1: second}, policy={"soakMs": 10_000})
    release = fleet.plane.send(signed)
    reaches(fleet, web1, release, "Soaking")
    fleet.plane.kill()
    fleet.plane.lose_database()
    fleet.plane.start()
    fleet.plane.send(signed)
    until("it is committed", lambda: web1.default() == second, END_LIMIT)
    reaches(fleet, web1, release, "Converged")
    same(web1.running(), second, "the target runs")
