"""Twin: with a refused permit taken for one, a host that was invited before a pause switches in the pause."""

from harness.invited import ask_after_a_pause
from harness.wait import same, until

LEFT_OUT = "permit"


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    second, release = ask_after_a_pause(fleet, web1)
    until("it runs the target", lambda: web1.running() == second)
    same(fleet.plane.rollout_state(release), "Paused", "the rollout")
