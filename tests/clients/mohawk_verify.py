"""Signs and verifies with mohawk, an independent implementation of Hawk: reads one question per line from
stdin and writes one response per line to stdout, both JSON, as in hawk-verify.mjs."""

import json
import sys
import time
import urllib.parse

import mohawk
import mohawk.bewit
from mohawk.base import Resource
from mohawk.exc import HawkFail

SKEW_SECONDS = 15 * 60  # the auth service's


def main():
    for line in sys.stdin:
        print(json.dumps(respond(json.loads(line))), flush=True)


def respond(question):
    if "parse" in question:
        # The official client splits and joins URLs like this.
        return {"url": urllib.parse.urlunsplit(urllib.parse.urlsplit(question["parse"]))}
    if "check" in question:
        check = check_bewit if question["check"] == "bewit" else check_header
        try:
            return {"id": check(question)}
        except HawkFail as error:
            return {"error": f"{type(error).__name__}: {error}"}
    if question["sign"] == "bewit":
        # mohawk pads a bewit, which npm hawk does not read.
        return {"bewit": mohawk.bewit.get_bewit(resource(question)).rstrip("=")}
    return {"authorization": sender(question).request_header}


def check_header(question):
    receiver = mohawk.Receiver(
        lookup(question),
        question["authorization"],
        question["url"],
        question["method"],
        accept_untrusted_content=True,
        localtime_offset_in_seconds=question["now"] - int(time.time()),
        timestamp_skew_in_seconds=SKEW_SECONDS,
        seen_nonce=lambda sender_id, nonce, timestamp: False,
    )
    return receiver.parsed_header["id"]


def check_bewit(question):
    before, parameter, bewit = question["url"].rpartition("bewit=")
    # mohawk reads only padded standard base64, and not URL-safe base64 without padding.
    readable = bewit.replace("-", "+").replace("_", "/") + "=" * (-len(bewit) % 4)
    url = before + parameter + readable
    mohawk.bewit.check_bewit(url, lookup(question), now=question["now"])
    return mohawk.bewit.parse_bewit(readable).id


def sender(question):
    return mohawk.Sender(
        credentials(question),
        question["url"],
        question["method"],
        nonce=question["nonce"],
        ext=question.get("ext"),
        always_hash_content=False,
        _timestamp=question["now"],
    )


def resource(question):
    return Resource(
        credentials=credentials(question),
        url=question["url"],
        method="GET",
        nonce="",
        ext=question.get("ext"),
        timestamp=question["now"] + question["ttl"],
    )


def lookup(question):
    return lambda sender_id: {question["id"]: credentials(question)}[sender_id]


def credentials(question):
    return {"id": question["id"], "key": question["key"], "algorithm": "sha256"}


if __name__ == "__main__":
    main()
