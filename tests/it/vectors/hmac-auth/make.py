"""Writes cases.json: requests in the dialects of `hmac-auth`, signed by Python's own `hmac`.

Written from what the plug-ins of Kong and of Apache APISIX (version 3) and draft-cavage-http-signatures-12 say,
without a line of the gateway: a mistake would have to be made twice to stay hidden.

    python3 tests/it/vectors/hmac-auth/make.py > tests/it/vectors/hmac-auth/cases.json
"""

import base64
import email.utils
import hashlib
import hmac
import json

NOW = 1_800_000_000
SECRETS = {
    "mobile-2026": ("sha256", b"0123456789abcdef0123456789abcdef"),
    "mobile-512": ("sha512", b"fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"),
}


def date(at=NOW):
    return email.utils.formatdate(at, usegmt=True)


def digest(body):
    return "SHA-256=" + base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()


def field(request, name):
    values = [value for known, value in request["fields"] if known.lower() == name.lower()]
    if name.lower() == "host":
        values = [request["authority"]]
    return ", ".join(values)


def kong_text(request, proof):
    lines = []
    for name in proof["headers"].split(" "):
        if name == "request-line":
            lines.append(f"{request['method']} {request['target']} HTTP/1.1")
        elif name == "@request-target":
            lines.append(f"@request-target: {request['method'].lower()} {request['target']}")
        else:
            lines.append(f"{name}: {field(request, name)}")
    return "\n".join(lines)


def apisix_text(request, proof):
    lines = [proof["keyId"]]
    for name in proof["headers"].split(" "):
        if name == "@request-target":
            lines.append(f"{request['method']} {request['target']}")
        else:
            lines.append(f"{name}: {field(request, name)}")
    return "\n".join(lines) + "\n"


def cavage_text(request, proof):
    lines = []
    for name in proof.get("headers", "(created)").split(" "):
        name = name.lower()
        if name == "(request-target)":
            lines.append(f"(request-target): {request['method'].lower()} {request['target']}")
        elif name in ("(created)", "(expires)"):
            lines.append(f"{name}: {proof[name[1:-1]]}")
        else:
            lines.append(f"{name}: {field(request, name)}")
    return "\n".join(lines)


TEXTS = {"kong": kong_text, "apisix": apisix_text, "cavage-12": cavage_text}
KEY_NAMES = {"kong": "username", "apisix": "keyId", "cavage-12": "keyId"}
WORDS = {"kong": "hmac ", "apisix": "Signature ", "cavage-12": "Signature "}
cases = []


def case(
    title,
    dialect,
    headers,
    *,
    verdict="passes",
    method="GET",
    target="/orders/7",
    authority="api.example.com",
    fields=(),
    body=None,
    key="mobile-2026",
    at=NOW,
    algorithm="",
    place="Authorization",
    comma=", ",
    missing=None,
    **more,
):
    hash_name, secret = SECRETS[key]
    request = {
        "method": method,
        "target": target,
        "authority": authority,
        "fields": [list(one) for one in fields],
        "body": body,
    }
    if not any(name.lower() in ("date", "x-date") for name, _ in fields) and "created" not in more:
        request["fields"].insert(0, ["Date", date(at)])
    proof = {KEY_NAMES[dialect]: key, "algorithm": algorithm if algorithm is None else algorithm or f"hmac-{hash_name}"}
    proof.update(more)
    if headers is not None:
        proof["headers"] = headers
    if proof["algorithm"] is None:
        del proof["algorithm"]
    text = TEXTS[dialect](request, proof)
    signature = hmac.new(secret, text.encode(), hash_name).digest()
    proof["signature"] = base64.b64encode(signature).decode()
    value = comma.join(f"{name}={value}" if isinstance(value, int) else f'{name}="{value}"' for name, value in proof.items())
    word = "" if place == "Signature" else WORDS[dialect]
    request["fields"].append([place, word + value])
    cases.append({"title": title, "dialect": dialect, "request": request, "text": text, "verdict": verdict})
    if missing:
        cases[-1]["missing"] = missing


body = '{"count": 1}'

case("Kong's first documented example", "kong", "date request-line")
case("with the query", "kong", "date request-line", target="/orders?b=2&a=1&a=")
case("with the host", "kong", "date host request-line", authority="API.example.com:80")
case("the other way to name the target", "kong", "@request-target date")
case("names in upper case stay so", "kong", "Date Host request-line")
case("with a body", "kong", "date request-line digest", method="POST", body=body, fields=[("Date", date()), ("Digest", digest(body))])
case("a browser's time", "kong", "x-date request-line", fields=[("X-Date", date()), ("Content-Type", "text/plain")])
case("both times", "kong", "x-date date request-line", fields=[("X-Date", date(NOW - 5)), ("Date", date())])
case("a proof beside the user's own credential", "kong", "date request-line authorization", place="Proxy-Authorization",
     fields=[("Date", date()), ("Authorization", "Bearer of-the-user")])
case("SHA-512", "kong", "date request-line", key="mobile-512")
case("no white space between parameters", "kong", "date request-line", comma=",")
case("a field that is empty", "kong", "date request-line x-empty", fields=[("Date", date()), ("X-Empty", "")])
case("the time alone", "kong", "date", verdict="coverage-missing", missing=["request-line"])
case("the target alone", "kong", "request-line", verdict="coverage-missing", missing=["date"])
case("a body without its digest", "kong", "date request-line", method="POST", body=body, verdict="coverage-missing", missing=["digest"])
case("a digest that is not covered", "kong", "date request-line", method="POST", body=body,
     fields=[("Date", date()), ("Digest", digest(body))], verdict="coverage-missing", missing=["digest"])
case("the digest of another body", "kong", "date request-line digest", method="POST", body=body,
     fields=[("Date", date()), ("Digest", digest("{}"))], verdict="digest-mismatch")
case("a covered field that is not there", "kong", "date request-line x-absent", verdict="coverage-missing")
case("a covered field twice", "kong", "date request-line x-twice", fields=[("Date", date()), ("X-Twice", "1"), ("X-Twice", "2")],
     verdict="malformed-credential")
case("a name twice", "kong", "date request-line Date", verdict="malformed-credential")
case("too old", "kong", "date request-line", at=NOW - 301, verdict="clock-skew")
case("too far ahead", "kong", "date request-line", at=NOW + 31, verdict="clock-skew")
case("one of two times too old", "kong", "x-date date request-line", fields=[("X-Date", date()), ("Date", date(NOW - 301))], verdict="clock-skew")
case("no date", "kong", "date request-line", fields=[("Date", "now")], verdict="malformed-credential")
case("SHA-1", "kong", "date request-line", algorithm="hmac-sha1", verdict="malformed-credential")
case("another key's algorithm", "kong", "date request-line", algorithm="hmac-sha512", verdict="credential-rejected")
case("an empty list", "kong", "", verdict="malformed-credential")
case("two spaces", "kong", "date  request-line", verdict="malformed-credential")

case("APISIX's documented example", "apisix", "@request-target date", comma=",")
case("with the query", "apisix", "@request-target date", comma=",", target="/orders?b=2&a=1&a=")
case("with a body", "apisix", "@request-target date digest", method="POST", body=body, comma=",", fields=[("Date", date()), ("Digest", digest(body))])
case("names in upper case stay so", "apisix", "Date @request-target X-Custom", fields=[("Date", date()), ("X-Custom", "a, b")])
case("SHA-512", "apisix", "@request-target date host", key="mobile-512")
case("its documentation signs no body", "apisix", "@request-target date", method="POST", body=body, comma=",",
     fields=[("Date", date()), ("Digest", digest(body))], verdict="coverage-missing", missing=["digest"])
case("the time alone", "apisix", "date", verdict="coverage-missing", missing=["@request-target"])
case("Kong's name for the target", "apisix", "request-line date", fields=[("Date", date()), ("request-line", "GET /orders/7 HTTP/1.1")],
     verdict="coverage-missing", missing=["@request-target"])
case("Kong's other time", "apisix", "@request-target x-date", fields=[("X-Date", date())], verdict="coverage-missing", missing=["date"])
case("a covered field that is not there", "apisix", "@request-target date x-absent", verdict="coverage-missing")
case("a covered field twice", "apisix", "@request-target date x-twice", fields=[("Date", date()), ("X-Twice", "1"), ("X-Twice", "2")],
     verdict="malformed-credential")
case("SHA-1", "apisix", "@request-target date", algorithm="hmac-sha1", verdict="malformed-credential")
case("too old", "apisix", "@request-target date", at=NOW - 301, verdict="clock-skew")

case("the draft's own recommendation", "cavage-12", "(request-target) (created) host", algorithm="hs2019", created=NOW, comma=",")
case("no algorithm", "cavage-12", "(request-target) (created) host", algorithm=None, created=NOW, comma=",")
case("by its date", "cavage-12", "(request-target) host date", comma=",")
case("hs2019 is what the key is", "cavage-12", "(request-target) host date", algorithm="hs2019", key="mobile-512")
case("with a body", "cavage-12", "(request-target) (created) host digest", algorithm="hs2019", created=NOW, method="POST", body=body,
     fields=[("Digest", digest(body))])
case("with an end", "cavage-12", "(request-target) (created) (expires) host", algorithm="hs2019", created=NOW, expires=NOW + 60)
case("with an end in the middle of a second", "cavage-12", "(request-target) (created) (expires) host", algorithm="hs2019", created=NOW, expires="%d.5" % NOW)
case("names in upper case are made lower", "cavage-12", "(request-target) Host Date")
case("in the other field", "cavage-12", "(request-target) host date authorization", place="Signature",
     fields=[("Date", date()), ("Authorization", "Bearer of-the-user")])
case("appendix C.2, by HMAC and today", "cavage-12", "(request-target) host date", method="POST", target="/foo?param=value&pet=dog", authority="example.com")
case("appendix C.1: the date alone", "cavage-12", "date", verdict="coverage-missing", missing=["(request-target)", "host"])
case("no list: the time alone", "cavage-12", None, algorithm="hs2019", created=NOW, verdict="coverage-missing", missing=["(request-target)", "host"])
case("without the host", "cavage-12", "(request-target) date", verdict="coverage-missing", missing=["host"])
case("a time that is not covered", "cavage-12", "(request-target) host", algorithm="hs2019", created=NOW, verdict="coverage-missing", missing=["date"])
case("over", "cavage-12", "(request-target) (created) (expires) host", algorithm="hs2019", created=NOW - 60, expires=NOW - 1, verdict="credential-expired")
case("over, and not covered", "cavage-12", "(request-target) (created) host", algorithm="hs2019", created=NOW - 60, expires=NOW - 1, verdict="credential-expired")
case("created too old beside a good date", "cavage-12", "(request-target) host date", algorithm="hs2019", created=NOW - 301, fields=[("Date", date())], verdict="clock-skew")
case("a time that older drafts do not have", "cavage-12", "(request-target) (created) host", created=NOW, verdict="malformed-credential")
case("appendix C.3's mistake: an algorithm that excludes the times", "cavage-12", "(request-target) (created) (expires) host date",
     created=NOW, expires=NOW + 4, fields=[("Date", date())], verdict="malformed-credential")
case("a public key's algorithm", "cavage-12", "(request-target) host date", algorithm="rsa-sha256", fields=[("Date", date())],
     verdict="credential-rejected")
case("an algorithm that is not taken", "cavage-12", "(request-target) host date", algorithm="ecdsa-sha256", fields=[("Date", date())],
     verdict="malformed-credential")

print(json.dumps({"now": NOW, "cases": cases}, indent=1))
