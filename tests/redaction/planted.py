"""Secrets and personal data drawn by chance, in the forms that their issuers give them."""

from __future__ import annotations

import base64
import ipaddress
import string
from collections.abc import Callable, Mapping
from random import Random

LETTERS, HEX = string.ascii_letters + string.digits, "0123456789abcdef"
_BASE64 = LETTERS + "+/"
_BASE64URL = LETTERS + "-_"
_SYMBOLS = LETTERS + "!#$*+-.^_~"


def chars(rng: Random, count: int, alphabet: str = LETTERS) -> str:
    """So many characters of an alphabet."""
    return "".join(rng.choices(alphabet, k=count))


def password(rng: Random) -> str:
    """A password with letters, digits and signs that need no escape anywhere."""
    return f"{chars(rng, 1)}{chars(rng, rng.randint(7, 20), _SYMBOLS)}{rng.randint(0, 9)}"


def email(rng: Random) -> str:
    """An address as people have them."""
    name = chars(rng, rng.randint(4, 10), string.ascii_lowercase)
    more = rng.choice(["", f".{chars(rng, 5, string.ascii_lowercase)}", f"+{chars(rng, 4)}"])
    host = rng.choice(["example.com", "mail.example.co.uk", "corp-9.example", "xn--bcher-kva.de"])
    return f"{name}{more}@{host}"


def ipv4(rng: Random) -> str:
    """A public or private address of IPv4."""
    return ".".join(str(rng.randint(1, 254)) for _ in range(4))


def ipv6(rng: Random) -> str:
    """An address of IPv6, in one of its spellings; each has a digit somewhere."""
    address = ipaddress.IPv6Address((0x20010DB8 << 96) | rng.getrandbits(rng.choice([16, 64, 96])))
    text = rng.choice([address.compressed, address.exploded])
    return text if rng.random() < 0.7 else text.upper()


def card(rng: Random) -> str:
    """A card number whose last digit is right by Luhn, with or without gaps."""
    start, length = rng.choice([("4", 16), ("5", 16), ("37", 15), ("6011", 16), ("2223", 16)])
    body = start + chars(rng, length - len(start) - 1, string.digits)
    number = next(body + d for d in string.digits if _luhn(body + d))
    gap = rng.choice(["", "", " ", "-"])
    cuts = (4, 10) if length == 15 else (4, 8, 12)
    parts = [number[a:b] for a, b in zip((0, *cuts), (*cuts, length), strict=True)]
    return gap.join(parts)


def _luhn(number: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def jwt(rng: Random) -> str:
    """A signed JSON web token."""

    def part(text: str) -> str:
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    claims = f'{{"sub":"{chars(rng, 12)}","exp":{rng.randint(10**9, 2 * 10**9)}}}'
    return f"{part(chr(123) + chr(34) + 'alg' + chr(34) + ':1}')}.{part(claims)}.{chars(rng, 43)}"


def pem(rng: Random) -> str:
    """A private key in PEM."""
    kind = rng.choice(["RSA ", "EC ", "", "OPENSSH ", "ENCRYPTED "])
    lines = [chars(rng, 64, _BASE64) for _ in range(rng.randint(2, 6))]
    return "\n".join(
        [f"-----BEGIN {kind}PRIVATE KEY-----", *lines, f"-----END {kind}PRIVATE KEY-----"]
    )


# Keys that are known by their shape wherever they stand.
SHAPED: Mapping[str, Callable[[Random], str]] = {
    "aws_key_id": lambda r: (
        r.choice(["AKIA", "ASIA"]) + chars(r, 16, string.ascii_uppercase + "234567")
    ),
    "github": lambda r: r.choice(["ghp_", "gho_", "ghs_"]) + chars(r, 36),
    "github_fine": lambda r: f"github_pat_{chars(r, 22)}_{chars(r, 59)}",
    "gitlab": lambda r: f"glpat-{chars(r, 20, _BASE64URL)}",
    "slack": lambda r: f"xox{r.choice('abpr')}-{r.randint(10**10, 10**11)}-{chars(r, 24)}",
    "stripe": lambda r: f"{r.choice('sr')}k_{r.choice(['live', 'test'])}_{chars(r, 24)}",
    "stripe_hook": lambda r: f"whsec_{chars(r, 32)}",
    "google": lambda r: f"AIza{chars(r, 35, _BASE64URL)}",
    "sendgrid": lambda r: f"SG.{chars(r, 22, _BASE64URL)}.{chars(r, 43, _BASE64URL)}",
    "twilio": lambda r: f"SK{chars(r, 32, HEX)}",
    "npm": lambda r: f"npm_{chars(r, 36)}",
    "pypi": lambda r: f"pypi-AgEIcHlwaS5vcmc{chars(r, 60, _BASE64URL)}",
    "vault": lambda r: f"hvs.{chars(r, 24)}",
    "openai": lambda r: f"sk-proj-{chars(r, 48)}",
    "jwt": jwt,
}

# Secrets without a shape of their own: only their name tells.
NAMED: Mapping[str, Callable[[Random], str]] = {
    "password": password,
    "aws_secret": lambda r: chars(r, 40, _BASE64),
    "hex_key": lambda r: chars(r, 32, HEX),
    "digits": lambda r: str(r.randint(10**7, 10**12)),
    "uuid": lambda r: "-".join(chars(r, n, HEX) for n in (8, 4, 4, 4, 12)),
    "base64": lambda r: base64.b64encode(r.randbytes(30)).decode(),
}

PERSONAL: Mapping[str, Callable[[Random], str]] = {
    "email": email,
    "ipv4": ipv4,
    "ipv6": ipv6,
    "card": card,
}


def drawn(rng: Random, of: Mapping[str, Callable[[Random], str]]) -> str:
    """One secret of any of these kinds."""
    return of[rng.choice(sorted(of))](rng)
