"""What schemathesis is told of this API beyond the document.

No document can say which resources there are, so the names of some that are there are filled in where a resource is named;
and nothing of a run may leave the machine. What else decides whether a request is taken, and no document of OpenAPI 3.1
can say, stands in BEYOND with its reason: whatever else is refused although the document allows it is a failure.
"""

import re
import uuid

import schemathesis
from schemathesis import GenerationMode

# The resources that the test sets up, by their kinds.
PRESENT = {
    "Site": "plant",
    "Agent": "plant",
    "Source": "erp",
    "Sink": "kept",
    "Route": "orders",
    "Role": "replayer",
    "IdentityProvider": "corp",
}

# An address of this machine at which nobody listens.
NOWHERE = "127.0.0.1:9"

# Why a request that the document allows may be refused all the same, and how the refusal says so.
BEYOND = [
    ("a resource that is named is not there", r"there is no |there is a .* already|no cell serves|enrol|this control plane knows: "),
    ("what it was before decides", r"cannot be changed|is fixed|was removed|needs? "),
    (
        "arguments that exclude each other",
        r"does not go with|goes with `watch=true` only|not both|(unknown|missing) field `(kind|filter|stream|from|every)`",
    ),
    ("fields that exclude each other", r"less than the first pause|expected map with a single key"),
    ("a time or size in its range: text has no order", r"it may be |must be more than|reaches beyond the calendar"),
    ("the name in the address and in the body", r"the address"),
    ("tokens of ours, which are opaque", r"is not a cursor|is no token|not of this feed"),
    ("a filter names fields of the kind", r"has no field|has no status"),
    ("a secret that is written out", r"written out"),
    ("a character that JSON has and YAML has not", r"not readable as YAML: unexpected character"),
    ("an expression or pattern that cannot be parsed", r"the filter cannot be used|is no pattern of fields"),
    ("a treatment that later versions have", r"is not offered by this version"),
    ("a password that names its user", r"contains the user's name"),
    ("a whole number with a fraction of zero, which JSON Schema takes for one", r"floating point `-?[0-9]+\.0`"),
]


def resolved(document, schema):
    """The schema itself, where it is referred to."""
    while "$ref" in schema:
        reference, schema = schema["$ref"], document
        for step in reference.removeprefix("#/").split("/"):
            schema = schema[step]
    return schema


def filled(document, schema, value):
    """The value, naming resources that are there wherever it names any."""
    schema = resolved(document, schema)
    if isinstance(value, str):
        kind = schema.get("x-reference")
        value = PRESENT.get(kind, value)
    for choice in schema.get("oneOf", []) + schema.get("anyOf", []):
        value = filled(document, choice, value)
    if isinstance(value, dict):
        fields, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name, member in value.items():
            inner = fields.get(name, others)
            if isinstance(inner, dict):
                value[name] = filled(document, inner, member)
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        value = [filled(document, schema["items"], item) for item in value]
    return value


def at_home(value):
    """The value without addresses of other machines."""
    if isinstance(value, dict):
        return {name: at_home(member) for name, member in value.items()}
    if isinstance(value, list):
        return [at_home(item) for item in value]
    if isinstance(value, str) and value.startswith("https://"):
        return f"https://{NOWHERE}"
    if isinstance(value, str) and re.search(r":[0-9]{1,5}$", value):
        return NOWHERE
    return value


def is_valid(case):
    return case.meta is not None and case.meta.generation.mode == GenerationMode.POSITIVE


@schemathesis.hook
def before_call(ctx, case, kwargs):
    # A request that is made to be one without a token stays as it is: whatever is changed brings the token back.
    if case.meta is not None and getattr(case.meta.phase.data, "parameter", None) == "Authorization":
        return
    # Its coverage phase makes headers of letters and digits alone, of which no entity tag can be; the other phases send some.
    for name in ("If-Match", "If-None-Match"):
        if (case.headers or {}).get(name) == "0":
            del case.headers[name]
    # What is no HTTP is ended below the API, without an answer that any document could describe.
    for name, value in list((case.headers or {}).items()):
        if isinstance(value, str) and re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):
            case.headers[name] = re.sub(r"[\x00-\x1f\x7f]", "~", value)
    # A key is for one request only, and there are few texts that are tried everywhere.
    if is_valid(case) and "Idempotency-Key" in (case.headers or {}):
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    if not isinstance(case.body, dict):
        return
    case.body = at_home(case.body)
    if not is_valid(case):
        return
    document = case.operation.schema.raw_schema
    contents = case.operation.definition.raw["requestBody"]["content"]
    case.body = filled(document, next(iter(contents.values()))["schema"], case.body)
    # What a change is of, its address says already.
    metadata = case.body.get("metadata")
    if isinstance(metadata, dict) and "name" in (case.path_parameters or {}):
        if "name" in metadata:
            metadata["name"] = case.path_parameters["name"]


@schemathesis.check
def what_the_document_allows_is_taken(ctx, response, case):
    if not is_valid(case) or response.status_code not in (400, 413, 415, 422):
        return
    problem = response.json()
    reports = problem.get("results", [])
    faults = problem.get("faults", []) + [fault for report in reports for fault in report.get("faults", [])]
    said = [fault["message"] for fault in faults] or [problem["detail"]]
    for message in said:
        if not any(re.search(pattern, message) for _, pattern in BEYOND):
            raise AssertionError(f"the document allows it, and it was refused: {message}")
