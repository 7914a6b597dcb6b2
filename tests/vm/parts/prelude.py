import json


def convoy(command, status=0):
    """Runs the operator's command, and returns what it said."""
    code, said = cp.execute(f"CONVOY_CONFIG=/var/lib/fleet/convoy.json convoy {command}")
    assert code == status, f"convoy {command} ended with {code}, not {status}:\n{said}"
    return said


def send(name, machine, path, mode):
    """Copies a file of the fleet from the control plane to a host."""
    text = cp.succeed(f"base64 -w0 /var/lib/fleet/{name}").strip()
    machine.succeed(f"install -D -m {mode} /dev/null {path} && echo {text} | base64 -d > {path}")


def start_fleet():
    """Makes identities, starts everything, and waits until every host was heard."""
    start_all()
    cp.wait_for_unit("multi-user.target")
    named = " ".join(f"--host {name}" for name in hosts)
    cp.succeed(f"convoy init /var/lib/fleet --name cp {named} --release-public {keys}/ci.pub")
    cp.succeed("systemctl restart convoy-cp.service")
    cp.wait_for_open_port(7600)
    for name, machine in hosts.items():
        machine.wait_for_unit("multi-user.target")
        send("ca.pem", machine, "/var/lib/fleet/ca.pem", "0644")
        send(f"hosts/{name}.token", machine, "/var/lib/fleet/token", "0600")
        machine.succeed("systemctl restart convoy-agent.service")
    for name in hosts:
        cp.wait_until_succeeds(f"CONVOY_CONFIG=/var/lib/fleet/convoy.json convoy host show {name}", timeout=120)


def publish(manifest, key="ci", status=0):
    """Signs a release and publishes it."""
    cp.succeed(f"install -m 0600 {keys}/{key}.key /root/{key}.key")
    return convoy(f"release publish --manifest {manifest} --key /root/{key}.key", status)


def attempt(name):
    """Returns the newest attempt of a host, or an empty one."""
    attempts = json.loads(convoy(f"host show {name} --json"))["attempts"]
    return attempts[0] if attempts else {"state": "none", "attempt": 0}


def wait_for_state(name, state, timeout=300):
    """Waits until the newest attempt of a host is in a state."""
    show = f"CONVOY_CONFIG=/var/lib/fleet/convoy.json convoy host show {name} --json"
    newest = f"""python3 -c 'import json, sys; sys.exit(json.load(sys.stdin)["attempts"][0]["state"] != "{state}")'"""
    cp.wait_until_succeeds(f"{show} | {newest}", timeout=timeout)


def running(machine):
    """Returns the closure that a host runs."""
    return machine.succeed("readlink -f /run/current-system").strip()


def default(machine):
    """Returns the closure that a host boots by default."""
    return machine.succeed("readlink -f /nix/var/nix/profiles/system").strip()
