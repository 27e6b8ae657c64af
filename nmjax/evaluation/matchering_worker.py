"""Runs where Matchering is installed, apart from nmjax: a line of JSON in (target, reference, result), one out. Why it
refused an item stands on stderr."""

import json
import sys

try:
    import matchering
except ImportError:
    matchering = None


def main():
    print(json.dumps({"ready": matchering is not None}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            result = matchering.Result(request["result"], "FLOAT")  # its own limiter and normalisation, as delivered
            matchering.process(target=request["target"], reference=request["reference"], results=[result])
            reply = {"done": True}
        except Exception as error:  # whatever it refuses, as one answer
            print(f"Matchering refuses an item: {error}", file=sys.stderr, flush=True)
            reply = {"done": False}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
