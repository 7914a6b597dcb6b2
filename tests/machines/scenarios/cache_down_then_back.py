"""While the binary cache is down the host waits; when it is back the host converges."""

from harness.claims import committed
from harness.wait import always, until

CONVOY = True
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    second = fleet.offer(web1, "2")
    fleet.lan.unplug("cache")
    release = fleet.plane.publish("2", {web1: second}, policy={"stageLimitMs": 10_000})
    until("staging failed", lambda: "stageFailed" in fleet.plane.events(web1, release))
    always("the prior runs", lambda: web1.running() == web1.closure, 2)
    fleet.lan.replug("cache")
    committed(fleet, web1, release, second)
