# Promises 3 and 5: the second wave starts after the first has converged, and converged means committed.
parts: {
  nodes = parts.nodes {
    web1.next = parts.harmless;
    web2.next = parts.harmless;
  };
  testScript =
    { nodes, ... }:
    let
      targets = {
        web1 = parts.target nodes.web1 "next";
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
      before = running(web2)
      publish("${release}")

      wait_for_state("web1", "Soaking")
      assert running(web1) == "${targets.web1}"
      assert default(web1) != "${targets.web1}", "the boot default was touched before the soak ended"
      assert running(web2) == before, "the second wave started before the first converged"

      convoy("watch stable@1 --timeout 10m")
      for machine, target in [(web1, "${targets.web1}"), (web2, "${targets.web2}")]:
          assert running(machine) == target
          assert default(machine) == target
    '';
}
