import subprocess
import sys

import pytest

from study import environment

ROOT = environment.ROOT


def test_an_unknown_lock_is_one_line_and_status_2(capsys):
    assert environment.main("setup", ["run", "slurm"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "unknown lock 'slurm'; choose from: run, dev" in captured.err


@pytest.mark.parametrize("statuses", [(0, 0, 0, 0), (1, 0, 2, 0), (0, 0, 0, 1)])
def test_check_runs_all_four_and_returns_the_first_failure(monkeypatch, statuses):
    left = list(statuses)
    monkeypatch.setattr(environment, "ensure", lambda lock: False)
    monkeypatch.setattr(environment, "_run_module", lambda command: left.pop(0))
    assert environment.main("check", []) == next((status for status in statuses if status), 0)
    assert left == []


def test_test_relays_its_arguments_and_pytest_s_status(monkeypatch):
    monkeypatch.setattr(environment, "ensure", lambda lock: False)
    monkeypatch.setattr(environment, "_run_module", lambda command: (command, 5)[1])
    assert environment.main("test", ["-k", "nothing"]) == 5


def test_a_python_without_the_packages_is_told_what_to_run(monkeypatch):
    assert environment.missing_packages_line() is None
    monkeypatch.setattr(environment, "PACKAGES", ["sys", "no_such_package"])
    line = environment.missing_packages_line()
    assert line is not None
    assert "has no no_such_package; run " in line
    assert "\n" not in line
    monkeypatch.setenv("TORCH", "somebody else's variable")
    line = environment.missing_packages_line()
    assert line is not None
    assert line.endswith("run `make study`, or `python -m study setup` first")


def test_set_up_needs_nothing_but_the_standard_library():
    code = (
        "import sys, study.environment, study.installation as installation;"
        "installation.refusal((3, 10)); installation.is_current(installation.ENVIRONMENT, 'run');"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) - {"study", "__main__"} <= sys.stdlib_module_names


def test_the_package_imports_nothing_until_asked():
    code = "import sys; before = set(sys.modules); import study; print(*set(sys.modules) - before)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) <= {"study", "__future__"}


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    import study

    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        _ = study.lode
    assert {"load", "frame", "__version__"} <= set(dir(study))
