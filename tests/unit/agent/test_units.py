"""The systemd units that are shipped: hardened, understood by systemd, and of one mind with the agent."""

import configparser
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from siteferry.errors import Exit

PACKAGING = Path(__file__).parents[3] / "agent" / "packaging"
UNITS = ("siteferry.service", "siteferry@.service")
MOST_EXPOSURE = 20
"""Tenths, of 100."""
OLDEST = 252
"""The systemd that the units are for, Debian 12's."""
ANALYZE = shutil.which("systemd-analyze")


def analyze(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run systemd-analyze."""
    return subprocess.run([ANALYZE or "", *arguments], capture_output=True, text=True, check=False)


def version() -> int:
    """Give systemd's version; 0 if it is not here."""
    return int(analyze("--version").stdout.split()[1]) if ANALYZE else 0


needs_systemd = pytest.mark.skipif(version() < OLDEST, reason=f"systemd-analyze {OLDEST} or later is not installed")


def settings(unit: str) -> dict[str, str]:
    """Give the [Service] section; of a name that comes several times, the last."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(PACKAGING / unit, "utf-8")
    return dict(parser["Service"])


@needs_systemd
@pytest.mark.parametrize("unit", UNITS)
def test_units_expose_little(unit: str) -> None:
    """The exposure of each unit, as systemd rates it, is no higher than 2.0 of 10."""
    done = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSURE}", "--no-pager", str(PACKAGING / unit))
    assert done.returncode == 0, done.stdout + done.stderr


@needs_systemd
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_understands_every_line(unit: str, tmp_path: Path) -> None:
    """Nothing in a unit is unknown to systemd (252 is Debian 12's), or wrong."""
    text = (PACKAGING / unit).read_text("utf-8")
    # The command need not be installed here.
    (installed := tmp_path / unit.replace("@", "@www")).write_text(text.replace("=siteferry run", "=true run"), "utf-8")
    done = analyze("verify", "--man=no", str(installed))
    assert done.returncode == 0, done.stderr
    assert installed.name not in done.stderr


def test_the_template_differs_from_the_unit_in_its_instance_only() -> None:
    """siteferry@.service is siteferry.service with a configuration, a state directory and credentials of its own."""
    one, template = settings(UNITS[0]), settings(UNITS[1])
    differing = {name for name in one if one[name] != template[name]}
    assert one.keys() == template.keys()
    assert differing == {"ExecStart", "StateDirectory", "LoadCredential"}
    assert template["ExecStart"] == f"{one['ExecStart']} --config /etc/siteferry/%i.toml"
    assert template["StateDirectory"] == f"{one['StateDirectory']}/%i"


@pytest.mark.parametrize("unit", UNITS)
def test_units_give_no_right_but_to_read(unit: str) -> None:
    """A user of its own, CAP_DAC_READ_SEARCH and no other capability, no way to more, and a file system to read."""
    given = settings(unit)
    assert given["User"] == "siteferry"
    assert {given[name] for name in ("AmbientCapabilities", "CapabilityBoundingSet")} == {"CAP_DAC_READ_SEARCH"}
    assert {given[name] for name in ("NoNewPrivileges", "RestrictSUIDSGID", "PrivateDevices")} == {"yes"}
    assert (given["ProtectSystem"], given["ProtectHome"]) == ("strict", "read-only")
    assert not given.keys() & {"ReadWritePaths", "SupplementaryGroups", "Group"}


@pytest.mark.parametrize("unit", UNITS)
def test_only_what_a_person_must_change_first_is_not_restarted(unit: str) -> None:
    """An outage, a busy site or missing credentials are tried again; wrong usage or configuration is not."""
    assert settings(unit)["Restart"] == "on-failure"
    codes = {Exit(int(code)) for code in settings(unit)["RestartPreventExitStatus"].split()}
    assert codes == {Exit.USAGE, Exit.CONFIG}


def by_hand(folder: Path, site: str, *command: str, home: Path = Path("/nonexistent")) -> tuple[list[str], str]:
    """Run siteferry-as-unit beside a stand-in for systemd; gives its arguments, and what is told."""
    unit = f"siteferry@{site}.service" if site else "siteferry.service"
    shown = 'test "$1 $3 $4" = "show --value $UNIT" && echo "of the unit"'
    passed = (
        'printf "%s\\n" "$@"; for one; do case $one in *AWS_CONFIG_FILE=/run/*) cat "${one##*=}" ;; esac; done; exit 7'
    )
    passwd = 'test "$*" = "passwd of the unit" && echo "siteferry:x:999:999::$HOME_OF_THE_UNIT:/sbin/nologin"'
    for name, text in (("systemctl", shown), ("systemd-run", passed), ("getent", passwd)):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n", "utf-8")
        (folder / name).chmod(0o755)
    environment = {"PATH": f"{folder}:/usr/bin:/bin", "UNIT": unit, "HOME_OF_THE_UNIT": str(home)}
    script = ["sh", str(PACKAGING / "siteferry-as-unit"), *(["--site", site] if site else [])]
    done = subprocess.run([*script, *command], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 7, "the command's own exit code"
    return done.stdout.splitlines(), done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run it")
@pytest.mark.parametrize("site", ["", "www"])
def test_a_command_by_hand_runs_as_the_unit(site: str, tmp_path: Path) -> None:
    """It has the unit's properties, its credentials by their name in the unit, and its configuration."""
    given, _ = by_hand(tmp_path, site, "explain", "a b.html")
    for name in ("User", "AmbientCapabilities", "CapabilityBoundingSet", "Environment", "StateDirectory"):
        assert f"--property={name}=of the unit" in given
    assert f"--property=LoadCredential={credentials_of(site)}" in given
    configuration = ["--config", f"/etc/siteferry/{site}.toml"] if site else []
    assert given[given.index("siteferry") :] == ["siteferry", "explain", *configuration, "a b.html"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run it")
@pytest.mark.parametrize("site", ["", "www"])
@pytest.mark.parametrize("command", ["restore", "undo"])
def test_a_command_that_writes_runs_as_root_where_the_caller_is(command: str, site: str, tmp_path: Path) -> None:
    """It has the unit's credentials, environment and configuration; no user, directory or restriction of the unit."""
    given, _ = by_hand(tmp_path, site, command, "a b")
    properties = {line.split("=")[1] for line in given if line.startswith("--property=")}
    assert properties == {"Environment", "LoadCredential"}
    assert f"--property=LoadCredential={credentials_of(site)}" in given
    assert {"--same-dir", "--pty", "--pipe", "--wait"} <= set(given)
    configuration = ["--config", f"/etc/siteferry/{site}.toml"] if site else []
    assert given[given.index("siteferry") :] == ["siteferry", command, *configuration, "a b"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run it")
def test_root_takes_profiles_from_a_file_of_root_alone(tmp_path: Path) -> None:
    """What the unit's user may write names no program for root to run: it is left out, and that is told.

    Nor are the profiles of root itself taken; what a drop-in says comes later, and counts.
    """
    profiles = tmp_path / ".aws" / "config"
    profiles.parent.mkdir()

    told: list[str] = []

    def undo() -> tuple[str, str]:
        given, said = by_hand(tmp_path, "", "undo", "7", home=tmp_path)
        told[:] = given
        first, second = (line for line in given if line.startswith("--property=Environment="))
        assert second == "--property=Environment=of the unit"
        return first.removeprefix("--property=Environment=AWS_CONFIG_FILE="), said

    assert undo() == ("/dev/null", "")
    for user, mode in ((0, 0o664), (65534, 0o644)):
        profiles.write_text("[profile siteferry]\n", "utf-8")
        os.chown(profiles, user, user)
        profiles.chmod(mode)
        taken, said = undo()
        assert taken == "/dev/null"
        assert f"{profiles} is left out" in said
    os.chown(profiles, 0, 0)
    taken, said = undo()
    assert said == ""
    assert told[-1] == "[profile siteferry]", "a copy of what was looked at, as the file may be another by then"
    assert taken.startswith("/run/siteferry-as-unit.")
    assert not Path(taken).exists()


def credentials_of(site: str) -> str:
    """Give what the unit loads its credentials from."""
    return settings("siteferry@.service" if site else "siteferry.service")["LoadCredential"].replace("%i", site)
