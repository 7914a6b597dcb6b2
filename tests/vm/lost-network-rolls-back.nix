# Promise 1: a release that takes the network away is undone by the host alone.
parts: {
  nodes = parts.nodes {
    web1.cut.systemd.services.cut-network = {
      description = "Takes the network away";
      wantedBy = [ "multi-user.target" ];
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "${parts.pkgs.iproute2 or parts.pkgs.iproute}/bin/ip link set eth1 down";
        # The prior closure does not know of the link, so what went down with this unit comes up with its end.
        ExecStop = "${parts.pkgs.iproute2 or parts.pkgs.iproute}/bin/ip link set eth1 up";
      };
    };
  };
  testScript =
    { nodes, ... }:
    let
      release = parts.manifest "1" { web1 = parts.target nodes.web1 "cut"; } { };
    in
    parts.script nodes ''
      start_fleet()
      before = running(web1)
      publish("${release}")

      web1.wait_until_fails("ip link show eth1 | grep -q 'state UP'", timeout=300)
      web1.wait_until_succeeds(f"test $(readlink -f /run/current-system) = {before}", timeout=900)
      wait_for_state("web1", "Reverted")
      assert default(web1) == before
    '';
}
