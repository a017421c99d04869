"""Holds answers against the API's document, by validators that nobody here wrote.

Standard input: {"document": …, "answers": [{"method", "path", "status", "type", "body"}, …]}
"""

import json
import sys

from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

given = json.load(sys.stdin)
document = given["document"]
OpenAPIV31SpecValidator(document).validate()

resource = Resource(contents=document, specification=DRAFT202012)
registry = Registry().with_resource("urn:document", resource)
for answer in given["answers"]:
    operation = document["paths"][answer["path"]][answer["method"]]
    responses = operation["responses"]
    status = str(answer["status"])
    assert status in responses, f"{answer['method']} {answer['path']}: {status} is not documented"
    content = responses[status]["content"]
    assert answer["type"] in content, f"{answer['path']}: {answer['type']} is not documented"
    reference = content[answer["type"]]["schema"]["$ref"]
    schema = {"$ref": f"urn:document{reference}"}
    validator = Draft202012Validator(schema, registry=registry, format_checker=FormatChecker())
    faults = [f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(answer["body"])]
    assert not faults, f"{answer['method']} {answer['path']} {status}: {faults}"
print(len(given["answers"]))
