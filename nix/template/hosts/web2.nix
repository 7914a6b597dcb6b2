{ imports = [ ./web.nix ]; }
