# The least that a fleet is.
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
}
