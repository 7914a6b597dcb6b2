"""What a closure ships of Convoy: its units and settings, as the NixOS module would write them."""

import json

from harness.lan import NETWORK
from harness.plane import HEARTBEAT_MS, LEAVE_OUT, NUMBER, PORT

PATH = "/run/current-system/sw/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CONTROL_PLANE = f"http://127.0.0.1:{PORT}"

AGENT = """[Unit]
Description=Convoy agent
After=network-eth0.service convoy-activator.socket nix-daemon.socket
Wants=convoy-activator.socket
StartLimitIntervalSec=0
[Service]
Type=notify
User=convoy-agent
Group=convoy-agent
Environment=PATH={path} NIX_REMOTE=daemon{leave_out}
ExecStart={programs}/bin/convoy-agent run --config /etc/convoy/agent.json
StateDirectory=convoy-agent convoy-identity
StateDirectoryMode=0700
ReadWritePaths=-/run/convoy/hook
Restart=always
RestartSec=1
WatchdogSec=120
X-StopIfChanged=false
NoNewPrivileges=true
ProtectSystem=strict
ProtectHome=true
PrivateTmp=true
PrivateDevices=true
ProtectKernelTunables=true
ProtectKernelModules=true
ProtectControlGroups=true
RestrictSUIDSGID=true
LockPersonality=true
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
CapabilityBoundingSet=
[Install]
WantedBy=multi-user.target
"""
SOCKET = """[Unit]
Description=Requests to Convoy's root helper
[Socket]
ListenStream=/run/convoy/activator.sock
Accept=yes
SocketUser=root
SocketGroup=convoy-agent
SocketMode=0660
DirectoryMode=0755
MaxConnections=16
[Install]
WantedBy=sockets.target
"""
ACTIVATOR = """[Unit]
Description=One request to Convoy's root helper
CollectMode=inactive-or-failed
[Service]
Environment=PATH={path}{leave_out}
ExecStart={programs}/bin/convoy-activator serve
StandardInput=socket
StandardOutput=journal
StandardError=journal
RuntimeMaxSec=60
X-RestartIfChanged=false
"""
BOOT_GUARD = """[Unit]
Description=Convoy's guard of a boot
DefaultDependencies=no
IgnoreOnIsolate=yes
After=local-fs.target
Before=convoy-agent.service shutdown.target
Conflicts=shutdown.target
[Service]
Type=oneshot
RemainAfterExit=true
Environment=PATH={path}{leave_out}
ExecStart={programs}/bin/convoy-activator boot-guard
ExecStop={programs}/bin/convoy-activator shutdown-mark
StateDirectory=convoy-activator
StateDirectoryMode=0700
X-RestartIfChanged=false
X-StopOnRemoval=false
[Install]
WantedBy=multi-user.target emergency.target rescue.target
"""
# Brings the control plane to the host's own loopback, where it may be plain HTTP.
RELAY = """[Unit]
Description=Way to the control plane
After=network-eth0.service
[Service]
ExecStart=/usr/bin/relay 127.0.0.1:{port} {address}:{port}
Restart=always
RestartSec=1
[Install]
WantedBy=multi-user.target
"""
USERS = """id convoy-agent >/dev/null 2>&1 || useradd --system --user-group convoy-agent || status=1
mkdir -p /run/convoy
install -d -m 0755 -o convoy-agent -g convoy-agent /run/convoy/hook || status=1
"""
HOOK = 'timeout 2 "$systemConfig/sw/bin/convoy-agent" hook --closure "$systemConfig" || true\n'
CHECK = "#!/bin/sh\n@out@/sw/bin/convoy-agent pre-switch-check \"$1\" \"$2\" || true\n"


def units(programs, leave_out=""):
    """Returns Convoy's units; `leave_out` names a guard, for the programs that a twin runs."""
    fill = {"path": PATH, "programs": programs, "leave_out": f" {LEAVE_OUT}={leave_out}" if leave_out else ""}
    return {
        "convoy-agent.service": AGENT.format(**fill),
        "convoy-activator.socket": SOCKET,
        "convoy-activator@.service": ACTIVATOR.format(**fill),
        "convoy-boot-guard.service": BOOT_GUARD.format(**fill),
        "relay.service": RELAY.format(port=PORT, address=f"{NETWORK}.{NUMBER}"),
    }


def settings(host, trust, probes=(), control_plane=CONTROL_PLANE, ignore=()):
    """Returns Convoy's files below /etc."""
    agent = {"host": host, "controlPlane": control_plane, "heartbeatFloorMs": HEARTBEAT_MS}
    return {
        "convoy/agent.json": json.dumps(agent),
        "convoy/activator.json": json.dumps({"host": host, "ignoreUnits": list(ignore)}),
        "convoy/trust.json": trust,
        "convoy/health-checks.json": json.dumps({"version": 1, "probes": list(probes)}),
    }


def of(host, programs, trust, leave_out=""):
    """Returns all that makes a system one of Convoy's hosts."""
    return {"programs": programs, "units": units(programs, leave_out), "etc": settings(host, trust),
            "snippet": USERS + HOOK, "pre_switch_check": CHECK}
