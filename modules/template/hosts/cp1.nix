# The control plane; it is a host of the fleet too.
{
  services.convoy.controlPlane = {
    enable = true;
    openFirewall = true;
    settings = {
      listen = "0.0.0.0:7600";
      clientAuthorities = ../ca.pem;
    };
    # What `convoy init` wrote, put there once by your own means.
    tls = {
      certificateFile = "/var/lib/secrets/convoy/server.pem";
      keyFile = "/var/lib/secrets/convoy/server.key";
    };
    issuer = {
      certificateFile = "/var/lib/secrets/convoy/ca.pem";
      keyFile = "/var/lib/secrets/convoy/ca.key";
    };
    firstTokensFile = "/var/lib/secrets/convoy/first-tokens.json";
  };
}
