# Promise 2: an operator's reboot in a soak is no verdict on the release; the host is tried again.
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
      before = running(web1)
      publish("${release}")
      wait_for_state("web1", "Soaking")

      web1.shutdown()
      web1.start()
      web1.wait_for_unit("convoy-agent.service")
      assert web1.succeed("readlink -f /run/booted-system").strip() == before

      wait_for_state("web1", "Converged", timeout=600)
      assert default(web1) == "${target}"
      assert not json.loads(convoy("host show web1 --json"))["quarantined"], "a clean reboot was held against it"
    '';
}
