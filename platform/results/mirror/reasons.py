"""Why MLflow does not take something, and what to do about it, on one line."""

import re

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
ITS_LOG = "its own log, or that of the proxy before it, says why"


def reason(error: BaseException) -> str:
    """The exception at the bottom, on one line: MLflow wraps a refused connection four times."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return one_line(str(error) or type(error).__name__, 200)


def status(error: BaseException) -> int | None:
    """The status with which a server answered over HTTP, None where it did not."""
    found = STATUS.search(str(error))
    if found is None:
        answered = getattr(error, "json", None)
        return int(error.get_http_status_code()) if answered and hasattr(error, "get_http_status_code") else None
    return int(next(group for group in found.groups() if group))


def trouble(error: BaseException) -> str:
    """What is wrong with an MLflow that cannot be used at all, and the remedy, where it is not just away."""
    code = status(error)
    if code in REMEDIES:
        return f"the server answers with HTTP {code}: {REMEDIES[code]}"
    if code is not None and code not in (429, 503):
        return f"MLflow fails with HTTP {code} ({_body(error)}); {ITS_LOG}"
    if PAGE.search(str(error)):
        return f"what answers is a web page, no MLflow; {ADDRESS}, or, where that page wants a sign-in, {SIGN_IN}"
    return f"MLflow is away ({reason(error)})"


def _body(error: BaseException) -> str:
    """What a server said beside its status."""
    text = str(error).partition("Response body: ")[2] or str(error)
    return one_line(re.sub(r"<[^>]*>", " ", text).strip("' "), 100)
