"""Twin: with signatures not verified, the helper switches to what a stolen key signed."""

from harness.helper import ask, start
from harness.wait import same, until

LEFT_OUT = "signature"


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    second = fleet.offer(web1, "2")
    web1.fetch(second)
    fleet.plane.make_key("thief")
    same(ask(web1, start(fleet.plane.sign("2", {web1: second}, key="thief"), web1))["kind"], "done", "the start")
    until("it runs", lambda: web1.running() == second)
