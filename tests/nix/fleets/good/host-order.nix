# Hosts that wait for others, within a wave and over waves.
{ built, ... }:
{
  ref = "order";
  hosts = {
    db1 = built "db1";
    db2 = built "db2" // {
      after = [ "db1" ];
    };
    web1 = built "web1" // {
      after = [
        "db1"
        "db2"
      ];
    };
  };
  channels.stable = { };
  policies.default.waves = [
    {
      name = "db";
      select.hosts = [
        "db1"
        "db2"
      ];
    }
    {
      name = "web";
      select.hosts = [ "web1" ];
    }
  ];
}
