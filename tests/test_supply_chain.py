"""What the project is made of: pins that agree, licences, digests, and no secret in the files."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name as canonical

ROOT = Path(__file__).parents[1]
CONSTRAINTS = ROOT / "constraints"
EXTRAS = ("excel", "parquet", "service")


def pins(name: str) -> dict[str, str]:
    lines = (CONSTRAINTS / name).read_text("utf-8").splitlines()
    found = [re.match(r"([A-Za-z0-9._-]+)==([^\s;\\]+)", line) for line in lines]
    return {canonical(m[1]): m[2] for m in found if m}


def required() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return [Requirement(r) for r in (*project["dependencies"], *(r for e in EXTRAS for r in project["optional-dependencies"][e]))]


@pytest.mark.parametrize("name", ["minimum.txt", "newest.txt", "lock.txt"])
def test_pins_hold_everything_and_fit(name: str) -> None:
    pinned = pins(name)
    for requirement in required():
        assert canonical(requirement.name) in pinned, f"{requirement.name} is missing: make constraints"
        assert requirement.specifier.contains(pinned[canonical(requirement.name)]), f"{requirement}: make constraints"


def test_minimum_is_what_the_project_says() -> None:
    pinned = pins("minimum.txt")
    for requirement in required():
        (bound,) = [s for s in requirement.specifier if s.operator == ">="]
        version = pinned[canonical(requirement.name)]
        assert (version + ".0.0").startswith(bound.version), f"{requirement}: {version} was tried"


def test_the_lock_is_the_newest_with_digests() -> None:
    assert pins("lock.txt") == pins("newest.txt")
    text = (CONSTRAINTS / "lock.txt").read_text("utf-8")
    for block in re.split(r"\n(?=[A-Za-z])", text)[1:]:
        assert "--hash=sha256:" in block, block[:60]
    assert "://" not in text


def test_the_sbom_and_the_licences_name_the_locked_versions() -> None:
    locked = pins("lock.txt")
    sbom = json.loads((CONSTRAINTS / "sbom.json").read_text("utf-8"))
    parts = {canonical(c["name"]): c["version"] for c in sbom["components"]}
    assert sbom["bomFormat"] == "CycloneDX"
    assert {k: parts.get(k) for k in locked} == locked
    rows = re.findall(r"^\| (\S+) +\| (\S+) +\| (.+?) *\|$", (CONSTRAINTS / "LICENCES.md").read_text("utf-8"), re.MULTILINE)
    listed = {canonical(name): (version, licence) for name, version, licence in rows if name != "Name"}
    assert {k: v for k, (v, _) in listed.items()} == locked
    for name, (_, licence) in listed.items():
        assert not re.search(r"GPL|UNKNOWN|Proprietary|SSPL|BUSL", licence), (name, licence)


def test_what_is_installed_fits_together() -> None:
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


SECRETS = {
    "private key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
    "cloud key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bLTAI[0-9A-Za-z]{12,20}\b|\bAKID[0-9A-Za-z]{32}\b"),
    "token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{22,}|glpat-[\w-]{20}|xox[abprs]-[\w-]{10,}|sk-[A-Za-z0-9]{32,}|pypi-AgEI\w{20,}|hf_[A-Za-z]{30,})"),
    "web token": re.compile(r"\beyJ[\w-]{15,}\.eyJ[\w-]{15,}\.[\w-]{10,}"),
    "password in an address": re.compile(r"\b[a-z][a-z+]{2,9}://[^\s/:@'\"{}<>$]+:[^\s/@'\"{}<>$]{3,}@[\w.-]+"),
    "robot's address": re.compile(r"(?:webhook/send\?key=|access_token=)[0-9a-f-]{32,}"),
    "password": re.compile(r"(?i)\b(?:password|passwd|secret|api_?key|auth_?token)\b\s*[:=]\s*['\"](?=[^'\"]*\d)(?=[^'\"]*[a-z])[A-Za-z0-9+/_-]{20,}['\"]"),
}
PLANTED = {
    "private key": "-----BEGIN RSA PRIVATE KEY" + "-----",
    "cloud key": "AKIA" + "Q" * 16,
    "token": "ghp_" + "a1" * 18,
    "web token": ".".join(("eyJ" + "a" * 20, "eyJ" + "b" * 20, "c" * 12)),
    "password in an address": "postgres://user:" + "hunter22@db.example",
    "robot's address": "webhook/send?key=" + "0a" * 18,
    "password": "api_key = '" + "a1b2" * 6 + "'",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_planted_secret_would_be_found(kind: str) -> None:
    assert SECRETS[kind].search(f"x {PLANTED[kind]} y")


def test_no_secret_in_the_files() -> None:
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout: nothing says which files are the project's")
    found = []
    for name in filter(None, listed):
        path = ROOT / name
        if path.suffix in (".npz", ".xlsx", ".parquet", ".gz") or not path.is_file():
            continue
        text = path.read_text("utf-8", "replace")
        found += [f"{name}: {kind}" for kind, pattern in SECRETS.items() if pattern.search(text)]
    assert found == []


def test_no_pickle_is_shipped_and_none_is_loaded_by_the_service() -> None:
    for folder in ("riskmodel", "service"):
        assert not [p for p in (ROOT / folder).rglob("*") if p.suffix in (".joblib", ".pkl", ".pickle")]
    for path in (ROOT / "service").rglob("*.py"):
        assert not re.search(r"\b(?:pickle|joblib|marshal|load_pipeline)\b|\beval\(|\bexec\(", path.read_text("utf-8")), path
