# Probes without a field that they need, and with one of another kind.
{ system, ... }:
{
  ref = "1";
  hosts.web1 = system "web1" // {
    probes = {
      web.kind = "http";
      ssh.kind = "tcp";
      db.kind = "unit";
      queue.kind = "exec";
      upstream.kind = "reach";
      mixed = {
        kind = "unit";
        unit = "nginx.service";
        url = "http://127.0.0.1/";
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
