# Promise 2: a power cut in a soak brings the prior closure back, since the boot default was not touched.
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
      assert running(web1) == "${target}"

      web1.crash()
      web1.start()
      web1.wait_for_unit("convoy-agent.service")
      booted = web1.succeed("readlink -f /run/booted-system").strip()
      assert booted == before, "the power cut booted what was not committed"

      wait_for_state("web1", "Converged", timeout=600)
      assert running(web1) == "${target}"
      assert default(web1) == "${target}"
    '';
}
