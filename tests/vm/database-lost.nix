# Promise 2: without its database the control plane learns from the hosts, and starts nothing on its own.
parts: {
  nodes = parts.nodes { web1.next = parts.harmless; };
  testScript =
    { nodes, ... }:
    let
      target = parts.target nodes.web1 "next";
      release = parts.manifest "1" { web1 = target; } { soak = "60s"; };
    in
    parts.script nodes ''
      start_fleet()
      publish("${release}")
      wait_for_state("web1", "Soaking")

      cp.succeed("systemctl stop convoy-cp.service")
      cp.succeed("find /var/lib/convoy-cp -mindepth 1 -delete")
      cp.succeed("systemctl start convoy-cp.service")
      cp.wait_for_open_port(7600)

      # The same release, published again, finds the host where it is.
      publish("${release}")
      wait_for_state("web1", "Converged", timeout=600)
      assert running(web1) == "${target}"
      assert default(web1) == "${target}"
    '';
}
