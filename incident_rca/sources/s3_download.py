"""One object of S3 -> one file, byte by byte: whole or not at all, and never fetched twice."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from incident_rca.errors import Unreachable
from incident_rca.sources.s3_errors import ATTEMPTS, hint_of, is_momentary, pause_before, reason_of
from incident_rca.sources.s3_names import S3Object
from incident_rca.sources.tally import Tally

CHUNK_BYTES = 1 << 20
_MD5 = re.compile(r"[0-9a-f]{32}")


class Client(Protocol):
    """What is used of boto3's client `s3`."""

    def get_object(self, **parameters: Any) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Copy:
    """An object and the file that its copy becomes; it is named `.part` until it is whole."""

    found: S3Object
    bucket: str
    path: Path

    @property
    def part(self) -> Path:
        return self.path.with_name(self.path.name + ".part")

    @property
    def text(self) -> str:
        return f"s3://{self.bucket}/{self.found.key}"


class _Broken(Exception):
    """A body that ended early, or whose bytes are not those of the object."""


def copied(client: Client, copy: Copy, tally: Tally) -> tuple[str, str] | None:
    """None once the copy stands there whole, else the reason and the hint why it does not.

    What came before a body broke off stays in `.part`, and the next attempt asks for the rest.
    """
    if copy.path.is_file() and copy.path.stat().st_size == copy.found.size:
        return None
    failures = import_module("botocore.exceptions")
    unreadable = import_module("botocore.parsers").ResponseParserError
    try:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                _fetch_rest(client, copy, tally)
                return None
            except (failures.BotoCoreError, failures.ClientError, unreadable, _Broken) as error:
                is_over = attempt == ATTEMPTS
                if isinstance(error, _Broken):
                    if is_over:
                        return f"{copy.text}: {error}", "collect again: it goes on where it stopped"
                elif is_over or not is_momentary(error):
                    reason = f"{copy.text}: {reason_of(error)}"
                    return reason, hint_of(error, copy.bucket, "GetObject")
                pause_before(attempt, error, tally)
    except Unreachable as over:
        return over.message, over.hint
    except OSError as error:
        return f"{copy.part}: {error.strerror or error}", "is the disk full, or not ours to write?"
    raise AssertionError("the last attempt returns")


def _fetch_rest(client: Client, copy: Copy, tally: Tally) -> None:
    """Asks for the bytes that are not there yet, and renames the whole; raises _Broken if short."""
    have = copy.part.stat().st_size if copy.part.is_file() else 0
    if have >= copy.found.size:
        copy.part.unlink()
        have = 0
    tally.check()
    rest = {"Range": f"bytes={have}-"} if have else {}
    answer = client.get_object(
        Bucket=copy.bucket, Key=copy.found.key, IfMatch=f'"{copy.found.etag}"', **rest
    )
    is_rest = answer["ResponseMetadata"].get("HTTPStatusCode") == 206
    body = answer["Body"]
    try:
        with copy.part.open("ab" if is_rest else "wb") as file:
            while chunk := body.read(CHUNK_BYTES):
                file.write(chunk)
                tally.check()
    finally:
        body.close()
    size = copy.part.stat().st_size
    if size < copy.found.size:
        raise _Broken(f"its body ended after {size:,} of {copy.found.size:,} bytes")
    if size > copy.found.size or not _is_the_object(copy, answer):
        copy.part.unlink()
        raise _Broken(f"the {size:,} bytes that came are not those that its ETag names")
    copy.part.replace(copy.path)


def _is_the_object(copy: Copy, answer: Mapping[str, Any]) -> bool:
    """Whether the bytes have the MD5 that the ETag is; that of parts or of a KMS key is none."""
    is_md5 = _MD5.fullmatch(copy.found.etag) is not None
    is_plain = "kms" not in str(answer.get("ServerSideEncryption", ""))
    if not is_md5 or not is_plain or "SSECustomerAlgorithm" in answer:
        return True
    with copy.part.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return digest.hexdigest() == copy.found.etag
