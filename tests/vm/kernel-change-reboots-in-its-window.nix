# Promises 5 and 6: another kernel is proven by a trial boot, which waits for its window and says so.
parts: {
  nodes = parts.nodes {
    web1.kernel =
      { pkgs, ... }:
      {
        boot.kernelPackages = pkgs.linuxPackages_latest;
      };
  };
  testScript =
    { nodes, ... }:
    let
      target = parts.target nodes.web1 "kernel";
      release = parts.manifest "1" { web1 = target; } {
        waves = [
          {
            name = "all";
            select.all = true;
            reboot = "trial";
            windows = [
              {
                days = [ "mon" ];
                from = "22:00";
                minutes = 60;
              }
            ];
          }
        ];
      };
    in
    parts.script nodes ''
      # A Monday, ten minutes before the window opens.
      for machine in [cp, web1]:
          machine.start()
          machine.wait_for_unit("multi-user.target")
          machine.succeed("systemctl stop systemd-timesyncd.service || true")
          machine.succeed("date -u -s '2027-01-04 21:50:00'")
      start_fleet()
      before = running(web1)
      publish("${release}")

      cp.wait_until_succeeds("CONVOY_CONFIG=/var/lib/fleet/convoy.json convoy why web1 | grep -q window")
      assert running(web1) == before, "the host started outside of its window"

      for machine in [cp, web1]:
          machine.succeed("date -u -s '2027-01-04 22:00:30'")
      wait_for_state("web1", "Converged", timeout=900)
      assert web1.succeed("readlink -f /run/booted-system").strip() == "${target}"
      assert default(web1) == "${target}"
    '';
}
