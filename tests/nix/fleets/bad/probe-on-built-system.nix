# A probe that would never run, since its host was built elsewhere.
{ built, ... }:
{
  ref = "1";
  hosts.web1 = built "web1";
  channels.stable = { };
  policies.default.waves = [
    {
      name = "all";
      select.all = true;
    }
  ];
  probes.ssh = {
    kind = "tcp";
    address = "127.0.0.1:22";
  };
}
