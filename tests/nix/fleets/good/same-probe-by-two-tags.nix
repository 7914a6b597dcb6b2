# Two tags that declare the same probe alike, and two that differ where the host decides.
{ system, ... }:
let
  tcp = port: {
    kind = "tcp";
    address = "127.0.0.1:${port}";
  };
in
{
  ref = "tags";
  tags = {
    a.probes = {
      ssh = tcp "22";
      app = tcp "1";
    };
    b.probes = {
      ssh = tcp "22";
      app = tcp "2";
    };
  };
  hosts.web1 = system "web1" // {
    tags = [
      "a"
      "b"
    ];
    probes.app = tcp "3";
  };
  channels.stable = { };
  policies.default.waves = [
    {
      name = "all";
      select.all = true;
    }
  ];
}
