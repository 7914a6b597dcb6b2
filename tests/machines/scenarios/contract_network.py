"""A cut cable, a wrong address and a firewall each part a host from the others, and only that host."""

from harness.wait import expect, same, until

CORE = True
FIREWALL = """[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft 'table inet wall { chain in { type filter hook input priority 0; policy drop; }; }'
ExecStop=/usr/sbin/nft delete table inet wall
[Install]
WantedBy=multi-user.target
"""


def run(fleet):
    web1, web2 = fleet.add("web1"), fleet.add("web2")
    fleet.start()

    def reaches(host):
        return host.says(f"timeout 2 python3 -c 'import urllib.request; urllib.request.urlopen(\"{fleet.cache}\")'"
                         " && echo yes") == "yes"

    wrong = fleet.offer(web1, "wrong", address="10.78.0.11")
    wall = fleet.offer(web1, "wall", units={"wall.service": FIREWALL})
    for closure in (wrong, wall):
        web1.fetch(closure)
    until("both see the cache", lambda: reaches(web1) and reaches(web2))
    web1.cut_network()
    expect(not reaches(web1) and reaches(web2), "a cut cable")
    web1.mend_network()
    until("a mended cable", lambda: reaches(web1))
    for closure in (wrong, wall):
        same(web1.switch(closure, "test")[0], 0, "the switch away")
        expect(not reaches(web1) and reaches(web2), f"{web1.version()} parts web1")
        same(web1.switch(web1.closure, "test")[0], 0, "the switch back")
        until("back", lambda: reaches(web1))
