"""The units that the NixOS modules render start: secrets are handed over, the host enrolls, exposure is at most 2.0."""

import json
import shutil

from harness import convoy, rendered
from harness.wait import expect, same, until

CONVOY = True
CORE = True
MOST_EXPOSED = 2.0
USERS = "id convoy-cp >/dev/null 2>&1 || useradd --system --user-group convoy-cp || status=1\n"
# What the rendered units load, from what `convoy init` makes.
SECRETS = {"server.pem": "server.pem", "server.key": "server.key", "ca.pem": "issuer.pem", "ca.key": "issuer.key",
           "first-tokens.json": "first-tokens.json"}


def exposure(host, unit):
    """Returns what `systemd-analyze security` says of a unit."""
    said = host.exec("systemd-analyze", "security", "--no-pager", unit).stdout
    last = next(line for line in said.splitlines() if "Overall exposure level" in line)
    return float(last.partition(": ")[2].split()[0])


def install(host, made):
    """Puts secrets where the rendered units look for them."""
    host.exec("mkdir -p /var/lib/convoy /var/lib/secrets && chmod 0700 /var/lib/secrets && "
              "echo '127.0.0.1 cp.example.org' >> /etc/hosts")
    for name, there in SECRETS.items():
        host.write(f"/var/lib/convoy/{there}", (made / name).read_text())
    host.write("/var/lib/secrets/token", (made / "hosts/web1.token").read_text())
    host.exec("chmod 0600 /var/lib/convoy/* /var/lib/secrets/token")
    host.write("/var/lib/convoy/ca.pem", (made / "ca.pem").read_text())
    shutil.copytree(made, host.root / "root/fleet")


def run(fleet):
    made = fleet.plane.folder / "made"
    fleet.plane.operate("init", made, "--name", "cp.example.org", "--host", "web1")
    etc = {**rendered.settings(), "convoy/trust.json": (made / "trust.json").read_text()}
    # Its own control plane stands where other scenarios have the way to theirs.
    units = {**rendered.units(fleet.programs), "relay.service": None}
    web1 = fleet.add("web1", units=units, etc=etc,
                     snippet=convoy.USERS + USERS + convoy.HOOK)
    fleet.start()
    install(web1, made)

    def heard():
        """Returns when the control plane last heard of the host; nothing before it did."""
        said = web1.says("CONVOY_CONFIG=/root/fleet/convoy.json convoy host show web1 --json")
        return json.loads(said)["heardAt"] if said else None

    web1.exec("systemctl", "start", "convoy-cp.service")
    web1.exec("systemctl", "start", "convoy-boot-guard.service", "convoy-activator.socket", "convoy-agent.service")
    for unit in ("convoy-cp.service", "convoy-agent.service"):
        same(web1.unit(unit), "active", unit)
        found = exposure(web1, unit)
        fleet.note(f"exposure of {unit}: {found}")
        expect(found <= MOST_EXPOSED, f"the exposure of {unit} is {found}, more than {MOST_EXPOSED}")
    for secret in ("convoy-cp.service/tlsKey", "convoy-agent.service/token"):
        seen = web1.exec("stat", "-c", "%a %U", f"/run/credentials/{secret}").stdout.split()
        expect(seen in (["440", "root"], ["400", secret.partition(".")[0]]), f"systemd handed {secret} over as {seen}")
    before = until("the host enrolled with the token that was handed over", heard)
    expect("certificate.pem" in web1.says("ls /var/lib/convoy-identity"), "it keeps its certificate")

    web1.exec("rm", "/var/lib/secrets/token")
    web1.exec("systemctl", "restart", "convoy-agent.service")
    same(web1.says("cat /run/credentials/convoy-agent.service/token"), "", "what is handed over without the file")
    until("the host is heard again", lambda: web1.unit_runs("convoy-agent.service") and heard() not in (None, before))
    same(web1.failed(), [], "failed units")
