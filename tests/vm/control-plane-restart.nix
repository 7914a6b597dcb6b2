# Promise 2: hosts go on while the control plane is killed, and tell it afterwards.
parts: {
  nodes = parts.nodes { web1.next = parts.harmless; };
  testScript =
    { nodes, ... }:
    let
      target = parts.target nodes.web1 "next";
      release = parts.manifest "1" { web1 = target; } { };
    in
    parts.script nodes ''
      start_fleet()
      publish("${release}")
      wait_for_state("web1", "Soaking")

      cp.crash()
      web1.wait_until_succeeds("test $(readlink -f /run/current-system) = ${target}")
      cp.start()
      cp.wait_for_open_port(7600)

      wait_for_state("web1", "Converged")
      convoy("watch stable@1 --timeout 5m")
      assert default(web1) == "${target}"
      assert attempt("web1")["attempt"] == 1
    '';
}
