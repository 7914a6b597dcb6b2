"""Shows a JSON object of texts, or writes each to a file of its name: show.py FILE.json [FOLDER]."""

import json
import pathlib
import sys

for name, text in json.loads(pathlib.Path(sys.argv[1]).read_text()).items():
    if len(sys.argv) > 2:
        pathlib.Path(sys.argv[2], name).write_text(text)
    else:
        print(f"{name}; found:\n{text if isinstance(text, str) else json.dumps(text, indent=2)}")
