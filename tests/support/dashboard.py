"""Loads a dashboard through Grafana's own models and says what they do not know: dashboard.py FILE

Prints one line a difference and fails; prints nothing when all is well.
"""

import json
import sys

from grafana_foundation_sdk.cog import plugins, runtime
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

plugins.register_default_plugins()


def lost(path, written, read):
    """What stands in the file and did not come back from the models."""
    if isinstance(written, dict) and isinstance(read, dict):
        for key, value in written.items():
            if key not in read:
                # The models leave out what is empty.
                if value not in (None, "", [], {}):
                    yield f"{path}.{key}: unknown to the model"
            else:
                yield from lost(f"{path}.{key}", value, read[key])
    elif isinstance(written, list) and isinstance(read, list):
        if len(written) != len(read):
            yield f"{path}: {len(written)} entries became {len(read)}"
        for index, (left, right) in enumerate(zip(written, read)):
            yield from lost(f"{path}[{index}]", left, right)
    elif written != read:
        yield f"{path}: {written!r} became {read!r}"


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        written = json.load(file)
    model = Dashboard.from_json(written)
    read = json.loads(json.dumps(model, cls=JSONEncoder))
    problems = list(lost("dashboard", written, read))
    for panel in written["panels"]:
        if panel["type"] != "row" and runtime.panelcfg_config(panel["type"]) is None:
            problems.append(f"panel {panel['title']}: no panel type {panel['type']!r}")
    if problems:
        sys.exit("\n".join(problems))


main()
