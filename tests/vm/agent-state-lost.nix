# Promise 2: an agent whose state is gone is restored from root record and snapshot, and the attempt ends well.
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

      web1.succeed("systemctl stop convoy-agent.service")
      web1.succeed("find /var/lib/convoy-agent -mindepth 1 -delete")
      web1.succeed("systemctl start convoy-agent.service")
      wait_for_state("web1", "Converged")
      assert default(web1) == "${target}"
      assert attempt("web1")["attempt"] == 1
      assert "HistoryLost" in convoy("events --host web1"), "what was lost is not marked"
    '';
}
