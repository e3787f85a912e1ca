"""Why MLflow does not take something, and what to do about it, on one line."""

import re

from mlflow import environment_variables
from mlflow.exceptions import RestException

from platform.records.one_line import one_line

STATUS = re.compile(r"error code (\d{3}) !=|too many (\d{3}) error responses|\b(\d{3}) (?:Client|Server) Error")
"""How MLflow and its HTTP library name an answer's status."""
PAGE = re.compile(r"not in a valid JSON format|Response body: '\s*<", re.IGNORECASE)
SIGN_IN = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
ADDRESS = "name MLflow's own address, with the path that a proxy puts before it"
REMEDIES = {
    401: f"it wants to know who calls; {SIGN_IN}",
    403: f"it does not let this caller in; {SIGN_IN}, or have the server take this address: mlflow server "
    "--allowed-hosts",
    404: f"no MLflow is there; {ADDRESS}",
    405: f"no MLflow is there; {ADDRESS}",
    413: "a proxy before it takes no more at once; raise its limit (nginx: client_max_body_size)",
    407: "a proxy wants to know who calls; name it in HTTPS_PROXY, or the server in NO_PROXY",
}
"""By the status of HTTP."""
TLS = {
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not trusted here; name the one that signed it in "
    "MLFLOW_TRACKING_SERVER_CERT_PATH",
    "WRONG_VERSION_NUMBER": "it speaks no TLS; begin the address with http://",
}
"""By what the TLS library says."""
NO_MLFLOW = "what answers is no MLflow"


class Unusable(Exception):
    """What answers is there, and is not what a study can use: what it is, and the remedy."""


def check_environment() -> None:
    """Raise Unusable where one of MLflow's environment variables has a value that it cannot read."""
    for variable in vars(environment_variables).values():
        if isinstance(variable, environment_variables._EnvironmentVariable):
            try:
                variable.get()  # type: ignore[no-untyped-call]
            except ValueError as error:
                raise Unusable(one_line(error)) from error


def reason(error: BaseException) -> str:
    """The exception at the bottom, on one line: MLflow wraps a refused connection four times."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    text = re.sub(r"too many (\d{3}) error responses", r"HTTP \1", str(error))
    return one_line(text or type(error).__name__, 200)


def status(error: BaseException) -> int | None:
    """The status with which a server answered over HTTP, None where it did not."""
    found = STATUS.search(str(error))
    if found is None:
        return int(error.get_http_status_code()) if isinstance(error, RestException) else None  # type: ignore[no-untyped-call]
    return int(next(group for group in found.groups() if group))


def trouble(error: BaseException) -> str:
    """What is wrong with an MLflow that cannot be used at all, and the remedy, where it is not just away."""
    code, said = status(error), str(error)
    if code in REMEDIES:
        return f"the server answers with HTTP {code}: {REMEDIES[code]}"
    if code is not None and code not in (429, 503):
        return f"MLflow fails with HTTP {code}; its own log, or that of a proxy before it, says why"
    if PAGE.search(said):
        return f"{NO_MLFLOW}, but a web page; {ADDRESS}, or, where that page wants a sign-in, {SIGN_IN}"
    if (tls := next((remedy for sign, remedy in TLS.items() if sign in said), None)) is not None:
        return f"MLflow cannot be reached: {tls}"
    if isinstance(error, Unusable):
        return f"MLflow cannot be used: {error}"
    return f"MLflow is away ({reason(error)})"
