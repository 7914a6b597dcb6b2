# Every kind of probe, with every field.
{ system, ... }:
{
  ref = "probes";
  hosts.web1 = system "web1" // {
    probes = {
      web = {
        kind = "http";
        url = "http://127.0.0.1:8080/healthz";
        expectStatus = [
          200
          204
        ];
        bodyContains = "ok";
        interval = "500ms";
        timeout = "1s";
      };
      least = {
        kind = "http";
        url = "https://[::1]/";
      };
      ssh = {
        kind = "tcp";
        address = "[::1]:22";
      };
      db = {
        kind = "unit";
        unit = "postgresql.service";
        interval = "1m30s";
      };
      queue = {
        kind = "exec";
        program = "/run/current-system/sw/bin/check-queue";
        args = [
          "--max"
          "10"
        ];
        timeout = "10m";
      };
      upstream = {
        kind = "reach";
        mode = "observe";
        addresses = [
          "10.0.0.1:443"
          "example.org:443"
        ];
      };
    };
  };
  channels.stable = { };
  policies.default.waves = [
    {
      name = "all";
      select.all = true;
    }
  ];
}
