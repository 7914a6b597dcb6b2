# Promise 1: a release whose agent crashes is undone without it, and the prior's agent runs again.
parts:
let
  broken = parts.pkgs.writeScriptBin "convoy-agent" ''
    #!${parts.pkgs.runtimeShell}
    [ "$1" = check-config ] || exit 1
  '';
in
{
  nodes = parts.nodes { web1.broken.services.convoy.agent.package = broken; };
  testScript =
    { nodes, ... }:
    let
      release = parts.manifest "1" { web1 = parts.target nodes.web1 "broken"; } { };
    in
    parts.script nodes ''
      start_fleet()
      before = running(web1)
      publish("${release}")

      wait_for_state("web1", "Reverted", timeout=900)
      assert running(web1) == before
      assert default(web1) == before
      web1.wait_for_unit("convoy-agent.service")
    '';
}
