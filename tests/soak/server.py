"""The lab in a process of its own: ``python -m tests.soak.server --bots 20 --ttl 5``; JSON lines in and out.

It says where it is; then each line of its input is a deed and each line of its output the answer. It ends with its
input. Its user and password are the lab's well-known ones, so no token is ever written.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from chatkit.lab import LabServer


def histories(lab: LabServer) -> dict[str, list[str]]:
    """Users' messages by bot, in the order in which the lab took them."""
    found: dict[str, list[str]] = {bot.id: [] for bot in lab.bots}
    for session in lab.sessions():
        rows = lab.history(session["id"])
        found[session["bot_id"]] += [row["content"] for row in rows if row["role"] == "user"]
    return found


def obey(lab: LabServer, order: dict[str, Any]) -> dict[str, Any]:
    """Does one deed; the answer."""
    match order["do"]:
        case "close":
            lab.cut("close", code=order["code"], reason=order["reason"])
            return {}
        case "histories":
            return {"histories": histories(lab)}
        case other:
            return {"error": f"what is {other!r}?"}


def main() -> None:
    """Serves until the input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bots", type=int, default=20)
    parser.add_argument("--ttl", type=float, default=5.0)
    given = parser.parse_args()
    bots = [f"Bot {n}" for n in range(given.bots)]
    with LabServer(bots=bots, capabilities=["idempotency"], access_ttl=given.ttl) as lab:
        answer({"port": int(lab.url.rsplit(":", 1)[1]), "bots": [bot.id for bot in lab.bots]})
        for line in sys.stdin:
            answer(obey(lab, json.loads(line)))


def answer(what: dict[str, Any]) -> None:
    """One line of output."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
