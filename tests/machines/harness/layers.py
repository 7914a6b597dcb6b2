"""Root file systems in layers: the prepared tree below, what the scenario built above it, each host's own on top."""

from harness.command import run


class Root:
    """A file system of one writer over frozen layers; in memory, of a size of its own if one is given."""

    def __init__(self, place, lower, size=""):
        self.place = place
        self.path = place / "root"
        self.upper = place / "upper"
        self.lower = list(lower)
        if size:
            place.mkdir(parents=True)
            run(["mount", "-t", "tmpfs", "-o", f"size={size}", "disk", place])
        for folder in (self.path, self.upper, place / "work"):
            folder.mkdir(parents=True)
        layers = ":".join(str(layer) for layer in self.lower)
        options = f"lowerdir={layers},upperdir={self.upper},workdir={place / 'work'}"
        run(["mount", "-t", "overlay", "overlay", "-o", options, self.path])
        self.mounts = []

    def mount(self, inside, *how):
        """Mounts something below it."""
        point = self.path / inside
        point.mkdir(parents=True, exist_ok=True)
        run(["mount", *how, point])
        self.mounts.append(point)

    def freeze(self):
        """Ends its writing and returns the layers that another root may stand on."""
        for point in [*reversed(self.mounts), self.path]:
            run(["umount", "--recursive", point])
        return [self.upper, *self.lower]
