# Selectors with names that are not there.
{ built, ... }:
{
  ref = "1";
  hosts.web1 = built "web1";
  channels.stable = { };
  policies.default.waves = [
    {
      name = "all";
      select.not = {
        tags = [ "wbe" ];
        and = [
          { tagsAny = [ "canary" ]; }
          { hosts = [ "web2" ]; }
          { channel = "beta"; }
        ];
      };
    }
  ];
}
