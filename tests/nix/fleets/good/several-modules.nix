# A fleet may be put together from several modules; hosts of one channel name are declared in each.
{ lib, built, ... }:
[
  { ref = "modules"; }
  {
    hosts.web1 = built "web1" // {
      tags = [ "web" ];
    };
  }
  {
    hosts.web1.tags = [ "eu" ];
    hosts.web2 = built "web2" // {
      tags = [ "web" ];
    };
  }
  {
    channels.stable = { };
    policies.default.waves = lib.mkBefore [
      {
        name = "eu";
        select.tags = [ "eu" ];
      }
    ];
  }
  {
    policies.default.waves = [
      {
        name = "others";
        select.not.tags = [ "eu" ];
      }
    ];
  }
]
