# Selectors that say nothing, name nothing, or take nobody.
{ built, ... }:
{
  ref = "1";
  hosts = {
    web1 = built "web1";
    web2 = built "web2";
  };
  channels.stable = { };
  policies.default.waves = [
    { name = "none"; }
    {
      name = "names";
      select = {
        tags = [ ];
        tagsAny = [ ];
        hosts = [ ];
        and = [ ];
      };
    }
    {
      name = "inner";
      select.not.and = [ { } ];
    }
    {
      name = "nobody";
      select = {
        hosts = [ "web1" ];
        not.hosts = [ "web1" ];
      };
    }
  ];
}
