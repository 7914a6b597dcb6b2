# A release needs a name.
{ built, ... }:
{
  hosts.web1 = built "web1";
  channels.stable = { };
  policies.default.waves = [
    {
      name = "all";
      select.all = true;
    }
  ];
}
