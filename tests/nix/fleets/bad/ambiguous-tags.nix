# Two tags declare one probe differently, and nobody decides.
{ system, ... }:
{
  ref = "1";
  hosts.web1 = system "web1" // {
    tags = [
      "a"
      "b"
    ];
  };
  channels.stable = { };
  policies.default.waves = [
    {
      name = "all";
      select.all = true;
    }
  ];
  tags.a.probes.app = {
    kind = "tcp";
    address = "127.0.0.1:1";
  };
  tags.b.probes.app = {
    kind = "tcp";
    address = "127.0.0.1:2";
  };
}
