"""The helper alone: a trial boot that is patted is committed; one that nobody pats boots the prior again."""

from harness.claims import runs_prior
from harness.helper import about, ask, records, start
from harness.wait import same, until

CONVOY = True
ALONE = {"units": {"convoy-agent.service": None}}
EMULATED = True


def run(fleet):
    web1, web2 = fleet.add("web1", **ALONE), fleet.add("web2", **ALONE)
    fleet.start()
    closures = {host: fleet.offer(host, "2", triggers={"kernel": "kernel-2"}) for host in (web1, web2)}
    signed = fleet.plane.sign("2", closures, reboot="trial")
    before = {host: host.boot_id() for host in closures}
    for host in closures:
        host.fetch(closures[host])
        same(ask(host, start(signed, host))["kind"], "done", "the start")
        same(host.running(), host.closure, "deferred: nothing is activated")
        reboot = about("reboot", signed.release, signedRelease=signed.path.read_text())
        same(ask(host, reboot)["kind"], "done", "the reboot")
    for host in closures:
        host.wait_up(before[host])
        same((host.booted(), host.default()), (closures[host], host.closure), "booted once")
        until("it soaks, judged well", lambda: records(host)[0]["state"] == "soaking" and "result" in records(host)[0])
    same(ask(web1, about("pat", signed.release))["kind"], "done", "a pat")
    same(ask(web1, about("commit", signed.release), user=False)["kind"], "done", "the commit")
    until("it is committed", lambda: records(web1)[0]["state"] == "committed")
    same((web1.running(), web1.profile(), web1.default()), (closures[web1],) * 3, "runs, names and boots it")
    until("the prior is booted again", lambda: web2.up() and web2.booted() == web2.closure, 120)
    runs_prior(web2)
    until("its record says so", lambda: records(web2)[0]["state"] == "reverted")
