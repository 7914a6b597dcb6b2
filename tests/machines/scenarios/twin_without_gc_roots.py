"""Twin: with nothing pinned by root, the collector takes the target as soon as the agent's own pin is gone."""

from harness.helper import ask, start
from harness.wait import same

LEFT_OUT = "gc-roots"


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    second = fleet.offer(web1, "2")
    web1.exec("nix-store", "--realise", second, "--add-root", "/root/kept")
    web1.hold_switch("begin", "2")
    same(ask(web1, start(fleet.plane.sign("2", {web1: second}), web1))["kind"], "done", "the start")
    web1.wait_held("begin", "2")
    web1.exec("rm /root/kept; nix-store --gc --print-roots | grep -v '/proc/' >/var/log/roots")
    same(second in web1.says("cat /var/log/roots"), False, "a lasting root names the target")
