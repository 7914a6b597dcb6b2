# Windows of the policy, and of a wave that has its own or none at all.
{ built, ... }:
{
  ref = "windows";
  hosts = {
    a = built "a";
    b = built "b";
    c = built "c";
  };
  channels.stable = { };
  policies.default = {
    windows = [
      {
        days = [
          "mon"
          "tue"
          "wed"
          "thu"
        ];
        from = "22:00";
        minutes = 360;
      }
    ];
    waves = [
      {
        name = "any-time";
        select.hosts = [ "a" ];
        windows = [ ];
      }
      {
        name = "at-night";
        select.hosts = [ "b" ];
      }
      {
        name = "weekend";
        select.hosts = [ "c" ];
        notBefore = "2028-02-29T00:00:00Z";
        windows = [
          {
            days = [
              "sat"
              "sun"
            ];
            from = "00:00";
            minutes = 1440;
          }
          {
            days = [ "fri" ];
            from = "23:59";
            minutes = 1;
          }
        ];
      }
    ];
  };
}
