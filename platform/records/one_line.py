"""Errors as one line: for records, for a terminal, for MLflow."""


def one_line(error: BaseException | str, at_most: int = 300) -> str:
    """The message of an error on one line, only its end if it is too long; `no message` where there is none."""
    text = " ".join(str(error).split())
    return (text if len(text) <= at_most else f"...{text[3 - at_most :]}") or "no message"
