"""The helper alone: a patted target is committed; one that nobody pats is undone by the dead-man, in time."""

from harness.claims import runs_prior
from harness.helper import about, ask, records, start
from harness.wait import same, until

CONVOY = True
ALONE = {"units": {"convoy-agent.service": None}}
EMULATED = True


def state(host):
    """Returns the state of the newest record."""
    return records(host)[0]["state"]


def run(fleet):
    web1, web2 = fleet.add("web1", **ALONE), fleet.add("web2", **ALONE)
    fleet.start()
    closures = {host: fleet.offer(host, "2") for host in (web1, web2)}
    signed = fleet.plane.sign("2", closures)
    for host in closures:
        host.fetch(closures[host])
        same(ask(host, start(signed, host))["kind"], "done", "the start")
    for host in closures:
        until(f"{host.name} runs the target", lambda: state(host) == "soaking")
        same((host.running(), host.default()), (closures[host], host.closure), "uncommitted")
    same(ask(web1, about("pat", signed.release))["kind"], "done", "a pat")
    same(ask(web1, about("commit", signed.release))["kind"], "refused", "a commit not asked by the target's own agent")
    same(ask(web1, about("commit", signed.release), user=False)["kind"], "done", "the commit")
    until("it is committed", lambda: state(web1) == "committed")
    same((web1.running(), web1.profile(), web1.default()), (closures[web1],) * 3, "runs, names and boots it")
    until("the dead-man acted", lambda: state(web2) == "reverted", 60)
    runs_prior(web2)
    for host in closures:
        until("no dead-man stays", lambda: not host.unit_runs("convoy-dead-man.timer"))
