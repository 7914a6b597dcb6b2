"""Past the agent, the helper refuses a foreign key, a downgrade, other closures and terms, an old lease."""

import time

from harness.helper import about, ask, records, start
from harness.wait import expect, same, until

CONVOY = True
CORE = True


def run(fleet):
    web1, web2 = fleet.add("web1"), fleet.add("web2")
    fleet.start()
    second, other = fleet.offer(web1, "2"), fleet.offer(web2, "2")
    for closure in (second, other):
        web1.fetch(closure)
    plane = fleet.plane
    plane.make_key("thief")
    plane.sequence = 10
    stale = plane.sign("stale", {web1: second}, more=["--valid-for", "1s"])
    newer = plane.sign("newer", {web1: second})
    plane.sequence = 5
    older = plane.sign("older", {web1: second})
    time.sleep(1.5)

    def refused(what, request):
        answer = ask(web1, request)
        expect(answer["kind"] in ("held", "refused"), f"{what}: {answer}")
        same((web1.running(), web1.unit("convoy-switch.service")), (web1.closure, "inactive"), what)

    refused("a key that the host does not believe", start(plane.sign("3", {web1: second}, key="thief"), web1))
    refused("an expired lease", start(stale, web1))
    refused("another host's closure", start(newer, web1, target=other))
    refused("other terms", start(newer, web1, soakMs=100))
    refused("a release without this host", start(plane.sign("4", {web1: other, web2: other}), web1, target=second))
    text = newer.path.read_text()
    refused("a changed manifest", start(newer, web1) | {"signedRelease": text.replace("wave1", "wave9")})
    web1.hold_switch("begin", "2")
    same(ask(web1, start(newer, web1))["kind"], "done", "what is signed starts")
    web1.wait_held("begin", "2")
    same(ask(web1, about("revert", newer.release, why={"kind": "ordered", "why": "test"}))["kind"], "done", "revert")
    web1.let_go("begin", "2")
    until("it is over", lambda: records(web1)[0]["state"] == "reverted")
    refused("a downgrade", start(older, web1))
