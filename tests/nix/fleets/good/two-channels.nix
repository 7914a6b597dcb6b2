# Databases before the rest: two channels with a policy each, one after the other.
{ built, ... }:
{
  ref = "2026-05.7";
  hosts = {
    db1 = built "db1" // {
      channel = "base";
    };
    web1 = built "web1" // {
      channel = "apps";
    };
  };
  channels = {
    base.policy = "careful";
    apps = {
      policy = "quick";
      after = [ "base" ];
    };
  };
  policies = {
    careful = {
      soak = "1h";
      onFailure = "keep";
      onSupersede = "finish";
      waves = [
        {
          name = "all";
          select.all = true;
          approval = true;
        }
      ];
    };
    quick = {
      soak = "30s";
      waves = [
        {
          name = "all";
          select.all = true;
          reboot = "live";
        }
      ];
    };
  };
}
