"""Twin: with leases not looked at, the helper switches to a release whose time is over."""

import time

from harness.helper import ask, start
from harness.wait import same, until

LEFT_OUT = "lease"


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    second = fleet.offer(web1, "2")
    web1.fetch(second)
    stale = fleet.plane.sign("2", {web1: second}, more=["--valid-for", "1s"])
    time.sleep(1.5)
    same(ask(web1, start(stale, web1))["kind"], "done", "the start")
    until("it runs", lambda: web1.running() == second)
