# Promise 2: an agent that is killed in a soak goes on from its journal, with the soak's clock intact.
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

      web1.succeed("systemctl kill --signal=SIGKILL convoy-agent.service")
      web1.wait_for_unit("convoy-agent.service")
      wait_for_state("web1", "Converged")
      assert running(web1) == "${target}"
      assert default(web1) == "${target}"
      assert attempt("web1")["attempt"] == 1, "the soak began anew instead of going on"
    '';
}
