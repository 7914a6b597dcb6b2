# Promise 2: the agent that ships with the target takes over in the switch, commits, and is what runs afterwards.
parts:
let
  newer =
    name:
    parts.pkgs.runCommand "${name}-newer" { } ''
      mkdir -p $out/bin
      cp ${parts.pkgs.convoy.${name}}/bin/* $out/bin
    '';
in
{
  nodes = parts.nodes {
    web1.next.services.convoy.agent = {
      package = newer "agent";
      activator.package = newer "activator";
    };
  };
  testScript =
    { nodes, ... }:
    let
      target = parts.target nodes.web1 "next";
      release = parts.manifest "1" { web1 = target; } { };
    in
    parts.script nodes ''
      start_fleet()
      publish("${release}")
      wait_for_state("web1", "Converged")
      assert default(web1) == "${target}"
      pid = web1.succeed("systemctl show --value --property=MainPID convoy-agent.service").strip()
      program = web1.succeed(f"readlink -f /proc/{pid}/exe").strip()
      assert program.startswith("${newer "agent"}/"), f"the old agent still runs: {program}"
    '';
}
