# A tag twice, and one that nobody has.
{ built, ... }:
{
  ref = "1";
  hosts.web1 = built "web1" // {
    tags = [
      "web"
      "web"
    ];
  };
  channels.stable = { };
  policies.default.waves = [
    {
      name = "all";
      select.all = true;
    }
  ];
  tags.db.probes = { };
}
