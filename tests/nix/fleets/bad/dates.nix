# Dates that are none.
{ built, ... }:
{
  ref = "1";
  hosts = {
    web1 = built "web1";
    web2 = built "web2";
  };
  channels.stable = { };
  policies.default.waves = [
    {
      name = "first";
      select.hosts = [ "web1" ];
      notBefore = "tomorrow";
    }
    {
      name = "second";
      select.hosts = [ "web2" ];
      notBefore = "2027-02-29T12:00:00Z";
    }
  ];
}
