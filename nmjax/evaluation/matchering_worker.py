"""Runs Matchering in an environment where it is installed, independent of nmjax.

Each line of stdin is a JSON object with the paths `target`, `reference` and `result`; the reply is a line of JSON.
Errors of Matchering go to stderr.
"""

import json
import sys

try:
    import matchering  # pyright: ignore[reportMissingImports]  # not installed beside nmjax: GPL
except ImportError:
    matchering = None


def main():
    print(json.dumps({"ready": matchering is not None}), flush=True)
    if matchering is None:
        return
    for line in sys.stdin:
        request = json.loads(line)
        try:
            result = matchering.Result(request["result"], "FLOAT")  # with its own limiter and normalization
            matchering.process(target=request["target"], reference=request["reference"], results=[result])
            reply = {"done": True}
        except Exception as error:  # Matchering raises many types for audio that it cannot process
            print(f"Matchering rejects an example: {error}", file=sys.stderr, flush=True)
            reply = {"done": False}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
