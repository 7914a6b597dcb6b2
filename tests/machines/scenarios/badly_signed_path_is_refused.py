"""A closure that the cache serves with a signature of another key is never staged."""

from harness.wait import always, same, until

CONVOY = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    second = fleet.build(web1.system.next("2"))
    fleet.builder.publish_with_another_key(second)
    release = fleet.plane.publish("2", {web1: second})
    until("staging failed", lambda: "stageFailed" in fleet.plane.events(web1, release), 60)
    always("the prior runs", lambda: web1.running() == web1.closure, 2)
    same(web1.says(f"test -e {second} && echo there"), "", "the path")
