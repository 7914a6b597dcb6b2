# Promise 1: a release whose probe fails is undone by the host, and the rollout halts before the next wave.
parts: {
  nodes = parts.nodes {
    web1.bad.services.convoy.agent.healthChecks.never = {
      kind = "exec";
      program = "${parts.pkgs.coreutils}/bin/false";
      interval = "1s";
    };
    web2.next = parts.harmless;
  };
  testScript =
    { nodes, ... }:
    let
      targets = {
        web1 = parts.target nodes.web1 "bad";
        web2 = parts.target nodes.web2 "next";
      };
      release = parts.manifest "1" targets {
        waves = [
          {
            name = "canary";
            select.hosts = [ "web1" ];
            reboot = "live";
          }
          {
            name = "rest";
            select.hosts = [ "web2" ];
          }
        ];
      };
    in
    parts.script nodes ''
      start_fleet()
      before = {name: running(machine) for name, machine in hosts.items()}
      publish("${release}")

      convoy("watch stable@1 --timeout 10m", status=7)
      wait_for_state("web1", "Reverted")
      assert running(web1) == before["web1"]
      assert default(web1) == before["web1"]
      assert running(web2) == before["web2"], "a host of the second wave was touched"
      assert "${targets.web1}" in convoy("host show web1 --json"), "the closure is not quarantined"
    '';
}
