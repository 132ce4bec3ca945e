"""Logs from S3: boto3's real client against a local server that speaks its protocol."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest

from incident_rca.errors import Unreachable
from incident_rca.model import TimeWindow
from incident_rca.model.services import AwsAccount
from incident_rca.sources import s3_download
from incident_rca.sources import s3_logs as source
from incident_rca.sources.answers import Absent
from incident_rca.sources.s3_logs import Fetched, Limits
from incident_rca.sources.s3_names import S3Object, folder_may_hold, object_may_hold
from incident_rca.sources.tally import Tally
from tests.formats.builders import kind_of, parse, request, rows
from tests.formats.load_balancer_lines import Line
from tests.sources.blocked import until
from tests.sources.s3_server import Bucket, Fault, running_bucket

START = datetime(2026, 1, 15, 14, 10, tzinfo=UTC)
WINDOW = TimeWindow(START, START + timedelta(minutes=30))
BALANCER = "alb/AWSLogs/123456789012/elasticloadbalancing/eu-west-1"
AFTER = WINDOW.end + timedelta(hours=1)
SECRET = "wJalrXUtnFEMIsecret"


@dataclass
class HandClock:
    """A clock that only pauses move."""

    at: datetime = AFTER
    seconds: float = 0.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return self.at + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


@pytest.fixture(scope="module")
def server() -> Iterator[Bucket]:
    with running_bucket() as running:
        yield running


@pytest.fixture
def bucket(server: Bucket) -> Bucket:
    server.clear()
    return server


@cache
def client(url: str) -> source.Client:
    """One client for all tests of a server: making one takes longer than most tests."""
    return source.client_of(
        AwsAccount(name="prod", region="eu-west-1", endpoint=url),
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key=SECRET,
    )


@pytest.fixture(scope="module", autouse=True)
def closed(server: Bucket) -> Iterator[None]:
    yield
    client(server.url).close()


def account(bucket: Bucket) -> AwsAccount:
    return AwsAccount(name="prod", region="eu-west-1", endpoint=bucket.url)


def fetched(
    bucket: Bucket,
    spool: Path,
    place: str = "s3://logs/alb",
    *,
    tally: Tally | None = None,
    window: TimeWindow = WINDOW,
    limits: Limits | None = None,
) -> Fetched:
    found = asked(bucket, spool, place, tally=tally, window=window, limits=limits)
    assert isinstance(found, Fetched)
    return found


def asked(
    bucket: Bucket,
    spool: Path,
    place: str = "s3://logs/alb",
    *,
    tally: Tally | None = None,
    window: TimeWindow = WINDOW,
    limits: Limits | None = None,
) -> Fetched | Absent:
    return source.fetch(
        account(bucket),
        place,
        window,
        client=client(bucket.url),
        tally=tally or Tally(HandClock()),
        spool=spool,
        limits=limits or Limits(),
    )


def balancer_key(ended: datetime, node: str = "10.0.0.7") -> str:
    name = f"123456789012_elasticloadbalancing_eu-west-1_app.shop.50dc6c49_{ended:%Y%m%dT%H%M}Z"
    return f"{BALANCER}/{ended:%Y/%m/%d}/{name}_{node}_a1b2c3.log.gz"


def put_balancer(bucket: Bucket, first: datetime, last: datetime) -> dict[datetime, bytes]:
    """A file every five minutes, each with bytes of its own."""
    bodies = {}
    ended = first
    while ended <= last:
        bodies[ended] = gzip.compress(f"the file that ended {ended}\n".encode() * 50, mtime=0)
        bucket.put(balancer_key(ended), bodies[ended], ended + timedelta(minutes=2))
        ended += timedelta(minutes=5)
    return bodies


# --- what is looked for -------------------------------------------------------------------------


def test_the_files_of_the_window_come_unchanged(bucket: Bucket, tmp_path: Path) -> None:
    midnight = datetime(2026, 1, 15, tzinfo=UTC)
    bodies = put_balancer(bucket, midnight - timedelta(days=1), midnight + timedelta(days=2))
    found = fetched(bucket, tmp_path / "spool")
    # A request of the window ends in it, or up to five minutes (a file) and five more behind it.
    wanted = [ended for ended in bodies if 14 * 60 + 10 < (ended - midnight).total_seconds() / 60]
    wanted = [e for e in wanted if (e - midnight).total_seconds() / 60 <= 14 * 60 + 50]
    assert len(wanted) == 8
    assert sorted(path.read_bytes() for path in found.files.values()) == sorted(
        bodies[ended] for ended in wanted
    )
    assert found.damage == "" and found.objects == 8
    assert found.bytes == sum(len(bodies[ended]) for ended in wanted)
    assert list(found.files) == sorted(found.files)
    assert all(path.name == name for name, path in found.files.items())
    assert sorted(p.name for p in (tmp_path / "spool").iterdir()) == sorted(found.files)


def test_folders_of_other_days_are_not_listed(bucket: Bucket, tmp_path: Path) -> None:
    put_balancer(bucket, START - timedelta(days=3), START + timedelta(days=3))
    fetched(bucket, tmp_path)
    days = [page["prefix"] for page in bucket.listed if "/2026/01/" in page["prefix"]]
    assert {day.rpartition("/2026/01/")[2] for day in days} == {"", "15/"}


def test_listings_go_on_from_page_to_page(bucket: Bucket, tmp_path: Path) -> None:
    put_balancer(bucket, START, START + timedelta(hours=2))
    bucket.page_keys = 3
    tally = Tally(HandClock())
    found = fetched(bucket, tmp_path, tally=tally)
    assert len(found.files) == 8 and tally.rows == 8
    assert tally.pages == len(bucket.listed) > 10


@pytest.mark.parametrize(
    ("name", "is_wanted"),
    [
        ("access/2026/01/15/13/shop-1-2026-01-15-13-54-59-0b1c", False),
        ("access/2026/01/15/13/shop-1-2026-01-15-13-56-00-0b1c", True),
        ("access/2026/01/15/14/shop-1-2026-01-15-14-39-59-0b1c.gz", True),
        ("access/2026/01/15/15/shop-1-2026-01-15-15-39-00-0b1c.gz", True),
        ("access/2026/01/15/15/shop-1-2026-01-15-15-41-00-0b1c.gz", False),
        ("access/2026/01/15/11/shop-1-2026-01-15-14-20-00-0b1c.gz", False),
        ("access/year=2026/month=01/day=15/hour=14/part-0.gz", True),
        ("access/year=2026/month=01/day=14/hour=14/part-0.gz", False),
        ("access/dt=2026-01-15/part-0.gz", True),
        ("access/dt=2026-01-13/part-0.gz", False),
        ("access/6a1f-task/stream-a/000000.gz", True),
    ],
)
def test_names_say_whether_an_object_may_hold_the_window(
    bucket: Bucket, tmp_path: Path, name: str, is_wanted: bool
) -> None:
    bucket.put(name, b"x", AFTER)
    found = asked(bucket, tmp_path, "s3://logs/access/")
    assert isinstance(found, Fetched) is is_wanted


def test_an_object_from_before_the_window_cannot_hold_it(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("export/task/stream/000000.gz", b"old", START - timedelta(seconds=1))
    bucket.put("export/task/stream/000001.gz", b"new", AFTER)
    bucket.put("export/task/stream/000002.gz", b"", AFTER)
    bucket.put("export/aws-logs-write-test/", b"", AFTER)
    found = fetched(bucket, tmp_path, "s3://logs/export")
    assert [path.read_bytes() for path in found.files.values()] == [b"new"]


def test_objects_of_one_name_are_two_files(bucket: Bucket, tmp_path: Path) -> None:
    for stream in ("a", "b"):
        bucket.put(f"export/task/{stream}/000000.gz", stream.encode(), AFTER)
    found = fetched(bucket, tmp_path, "s3://logs/export")
    assert sorted(path.read_bytes() for path in found.files.values()) == [b"a", b"b"]


def test_a_key_cannot_leave_the_folder(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("export/../../etc/пароль " + "x" * 300 + ".gz", b"a", AFTER)
    found = fetched(bucket, tmp_path / "spool", "s3://logs/export")
    (path,) = found.files.values()
    assert path.parent == tmp_path / "spool" and len(path.name) < 140 and path.name.isascii()


def test_no_object_is_absent_and_says_what_was_looked_for(bucket: Bucket, tmp_path: Path) -> None:
    said = asked(bucket, tmp_path)
    assert isinstance(said, Absent) and "no object at all" in said.reason
    put_balancer(bucket, START - timedelta(days=3), START - timedelta(days=2))
    said = asked(bucket, tmp_path)
    assert isinstance(said, Absent) and "other dates were passed over" in said.reason
    said = asked(bucket, tmp_path, f"s3://logs/{BALANCER}/2026/01/13/")
    assert isinstance(said, Absent)
    assert "2026-01-15 14:10:00 to 2026-01-15 14:40:00 UTC" in said.reason
    assert "objects were listed" in said.reason and "prefix" in said.hint
    assert not list(tmp_path.iterdir())


def test_too_much_is_refused_before_anything_is_fetched(bucket: Bucket, tmp_path: Path) -> None:
    put_balancer(bucket, START, START + timedelta(hours=1))
    for limits, said in (
        (Limits(objects=3), "at most 3"),
        (Limits(bytes=100), "at most"),
        (Limits(listings=2), "2 listings"),
    ):
        with pytest.raises(Unreachable, match=said) as raised:
            fetched(bucket, tmp_path, limits=limits)
        assert "narrower prefix" in raised.value.hint
    assert not bucket.got


def test_from_the_bucket_to_the_tables(bucket: Bucket, tmp_path: Path) -> None:
    line = Line(elb_status="502", target_status="502")
    bucket.put(
        balancer_key(START + timedelta(minutes=5)), gzip.compress(f"{line}\n".encode()), AFTER
    )
    records = (request(0.5) + request(1, status="502")).encode()
    bucket.put("firehose/2026/01/15/14/shop-1-2026-01-15-14-12-00-0b1c", records, AFTER)
    export = f"2026-01-15T14:10:31.000Z {request(2, status='504')}\n".encode()
    bucket.put("export/task/stream/000000.gz", gzip.compress(export), AFTER)
    found = fetched(bucket, tmp_path, "s3://logs/")
    parsed = {kind_of(path): parse(str(kind_of(path)), path) for path in found.files.values()}
    assert {kind: p.rows for kind, p in parsed.items()} == {
        "load_balancer_log": 1,
        "concatenated_log": 2,
        "exported_log": 1,
    }
    (row,) = rows(parsed["load_balancer_log"], "load_balancer")
    assert (row["at"], row["elb_status"]) == (line.arrived, 502)
    assert [row["line"] for row in rows(parsed["concatenated_log"], "failures")] == [2]


# --- going on -----------------------------------------------------------------------------------


def test_what_is_there_is_not_fetched_twice(bucket: Bucket, tmp_path: Path) -> None:
    put_balancer(bucket, START, START + timedelta(hours=1))
    first = fetched(bucket, tmp_path)
    once = len(bucket.got)
    assert fetched(bucket, tmp_path).files == first.files
    assert len(bucket.got) == once == len(first.files)


def test_an_object_that_changed_is_another_file(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("export/a", b"old", AFTER)
    (old,) = fetched(bucket, tmp_path, "s3://logs/export").files.values()
    bucket.put("export/a", b"new", AFTER)
    (new,) = fetched(bucket, tmp_path, "s3://logs/export").files.values()
    assert (old.read_bytes(), new.read_bytes()) == (b"old", b"new")


BODY = bytes(range(256)) * 20_000


@pytest.mark.parametrize("cut", [0, 1, 4_000_000])
def test_a_body_that_breaks_off_goes_on_where_it_broke(
    bucket: Bucket, tmp_path: Path, cut: int
) -> None:
    bucket.put("export/a.gz", BODY, AFTER)
    bucket.faults["export/a.gz"] = [Fault(cut_after=cut), Fault(cut_after=cut // 4)]
    found = fetched(bucket, tmp_path, "s3://logs/export")
    (path,) = found.files.values()
    assert path.read_bytes() == BODY and found.damage == ""
    # What a read had before the connection broke may be lost with it: at most one chunk each time.
    assert bucket.sent_bytes <= len(BODY) + 2 * s3_download.CHUNK_BYTES + 10_000
    assert len(bucket.got) == 3


def test_a_body_that_always_breaks_off_is_told_and_the_others_stay(
    bucket: Bucket, tmp_path: Path
) -> None:
    bucket.stays = True
    bucket.put("export/a.gz", BODY, AFTER)
    bucket.put("export/b.gz", b"whole", AFTER)
    bucket.faults["export/a.gz"] = [Fault(cut_after=0)]
    found = fetched(bucket, tmp_path, "s3://logs/export")
    assert [path.read_bytes() for path in found.files.values()] == [b"whole"]
    assert "1 of 2 objects could not be copied: s3://logs/export/a.gz" in found.damage
    assert len([key for key, _ in bucket.got if key == "export/a.gz"]) == 5


def test_other_bytes_than_the_etag_names_are_not_kept(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("export/a.gz", b"abc", AFTER)
    bucket.faults["export/a.gz"] = [Fault(swaps_bytes=True)]
    (path,) = fetched(bucket, tmp_path, "s3://logs/export").files.values()
    assert path.read_bytes() == b"abc" and len(bucket.got) == 2


@pytest.mark.parametrize(
    "given",
    [
        {"etag": "d41d8cd98f00b204e9800998ecf8427e-3"},
        {"etag": "0" * 32, "encryption": "aws:kms"},
    ],
)
def test_an_etag_that_is_no_md5_is_not_held_against_the_bytes(
    bucket: Bucket, tmp_path: Path, given: dict[str, str]
) -> None:
    bucket.put("export/a.gz", b"abc", AFTER, **given)
    (path,) = fetched(bucket, tmp_path, "s3://logs/export").files.values()
    assert path.read_bytes() == b"abc"


def test_an_object_that_was_replaced_is_told(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("export/a.gz", b"abc", AFTER)
    bucket.faults["export/a.gz"] = [Fault("PreconditionFailed", 412)]
    with pytest.raises(Unreachable, match="PreconditionFailed") as raised:
        fetched(bucket, tmp_path, "s3://logs/export")
    assert "replaced or deleted" in raised.value.hint


def test_slow_down_is_waited_out_and_counted(bucket: Bucket, tmp_path: Path) -> None:
    clock = HandClock()
    tally = Tally(clock)
    bucket.put("export/a.gz", b"abc", AFTER)
    bucket.faults = {"": [Fault("SlowDown")] * 2, "export/a.gz": [Fault("SlowDown")]}
    assert fetched(bucket, tmp_path, "s3://logs/export", tally=tally).files
    assert tally.throttled == 3 and clock.slept == [0.5, 1.0, 0.5]


def test_time_that_is_over_keeps_what_came(bucket: Bucket, tmp_path: Path) -> None:
    """The pauses for one object use the time up, once the other has been copied beside it."""

    class Considerate(HandClock):
        def sleep(self, seconds: float) -> None:
            until(lambda: any(p.suffix != ".part" for p in tmp_path.iterdir()))
            super().sleep(seconds)

    bucket.put("export/a.gz", b"abc", AFTER)
    bucket.put("export/b.gz", b"def", AFTER)
    bucket.faults["export/b.gz"] = [Fault("SlowDown")] * 3
    found = fetched(bucket, tmp_path, "s3://logs/export", tally=Tally(Considerate(), until=1.0))
    assert [path.read_bytes() for path in found.files.values()] == [b"abc"]
    assert "its time was over" in found.damage
    bucket.faults.clear()
    again = fetched(bucket, tmp_path, "s3://logs/export")
    assert again.damage == "" and len(again.files) == 2
    assert [key for key, _ in bucket.got].count("export/a.gz") == 1


# --- refusals -----------------------------------------------------------------------------------

ELSEWHERE = (("x-amz-bucket-region", "us-east-2"),)
LISTING: dict[str, tuple[Fault, str, str]] = {
    "denied": (Fault("AccessDenied", 403), "AccessDenied", "s3:ListBucket on arn:aws:s3:::logs"),
    "elsewhere": (Fault("PermanentRedirect", 301, headers=ELSEWHERE), "Permanent", "us-east-2"),
    "wrong keys": (Fault("InvalidAccessKeyId", 403), "InvalidAccessKeyId", "AWS keys"),
    "expired": (Fault("ExpiredToken", 400), "ExpiredToken", "sign in again"),
    "skewed": (Fault("RequestTimeTooSkewed", 403), "RequestTimeTooSkewed", "clock"),
    "slow": (Fault("SlowDown"), "SlowDown", "goes on where it stopped"),
    "internal": (Fault("InternalError", 500), "InternalError", "collect again"),
    "breaks": (Fault(breaks=True), "ConnectionClosedError", "collect again"),
    "HTML": (Fault(html=True, status=200), "", "endpoint"),
    "HTML 503": (Fault(html=True), "", "collect again"),
}


@pytest.mark.parametrize("name", LISTING)
def test_a_bucket_that_refuses_is_an_error_with_a_hint(
    bucket: Bucket, tmp_path: Path, name: str
) -> None:
    fault, said, hint = LISTING[name]
    bucket.stays, bucket.faults = True, {"": [fault]}
    with pytest.raises(Unreachable) as raised:
        fetched(bucket, tmp_path)
    assert said in raised.value.message and "s3://logs/alb" in raised.value.message
    assert hint in raised.value.hint and "\n" not in raised.value.message
    assert SECRET not in raised.value.message + raised.value.hint


def test_a_bucket_that_does_not_exist(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="NoSuchBucket") as raised:
        fetched(bucket, tmp_path, "s3://lost/alb")
    assert "bucket's name" in raised.value.hint


def test_objects_that_may_not_be_read(bucket: Bucket, tmp_path: Path) -> None:
    bucket.stays = True
    for number in range(100):
        bucket.put(f"export/{number:03}", b"abc", AFTER)
        said = "not authorized to perform: kms:Decrypt"
        bucket.faults[f"export/{number:03}"] = [Fault("AccessDenied", 403, said)]
    with pytest.raises(Unreachable, match="none of 100 objects") as raised:
        fetched(bucket, tmp_path, "s3://logs/export")
    assert raised.value.hint.startswith(
        "the AWS credentials need s3:GetObject on arn:aws:s3:::logs"
    )
    assert "kms:Decrypt" in raised.value.hint
    # What refuses a whole batch is not asked for all the others.
    assert len(bucket.got) == 32


def test_a_token_that_comes_again_ends_the_listing(bucket: Bucket, tmp_path: Path) -> None:
    put_balancer(bucket, START, START + timedelta(hours=1))
    bucket.page_keys, bucket.same_token = 1, True
    with pytest.raises(Unreachable, match="same continuation token"):
        fetched(bucket, tmp_path, f"s3://logs/{BALANCER}/2026/01/15/")


def test_nobody_is_signed_in(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    made = source.client_of(account(bucket))
    with pytest.raises(Unreachable, match="NoCredentialsError") as raised:
        source.fetch(
            account(bucket),
            "s3://logs/alb",
            WINDOW,
            client=made,
            tally=Tally(HandClock()),
            spool=tmp_path,
        )
    made.close()
    assert "sign in to AWS" in raised.value.hint


def test_a_profile_that_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(Unreachable, match="ops"):
        source.client_of(AwsAccount(name="prod", profile="ops"))


def test_nobody_listens(tmp_path: Path) -> None:
    with running_bucket() as gone:
        pass
    with pytest.raises(Unreachable, match="EndpointConnectionError"):
        fetched(gone, tmp_path)
    client(gone.url).close()


def test_the_clock_is_bounded_by_the_date_header(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("export/a", b"abc", AFTER)
    behind = datetime.now(UTC) - timedelta(hours=2)
    clock = HandClock(at=behind)
    found = fetched(bucket, tmp_path, "s3://logs/export", tally=Tally(clock))
    assert found.clock_offset_seconds is not None
    low, high = found.clock_offset_seconds
    # The server's clock is this machine's, which is two hours before the one that asks.
    assert low - 60 <= 7200 <= high + 60 and 0 < high - low <= 1.0


def test_a_date_that_is_none_is_no_date() -> None:
    assert folder_may_hold("x/2026/13/", WINDOW) and folder_may_hold("x/2026/01/99/", WINDOW)
    odd = S3Object("a/b-2026-13-45-99-99-99-x", 1, "e", AFTER)
    assert object_may_hold(odd, WINDOW)
