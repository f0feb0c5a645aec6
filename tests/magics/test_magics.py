from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from colab_guard import hosts, session
from colab_guard.hosts.fake_colab import FakeColab
from colab_guard.magics import completion
from colab_guard.session import CheckpointOptions, Session, found

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def run(shell: InteractiveShell, cell: str, capsys: pytest.CaptureFixture[str]) -> tuple[bool, str, str]:
    result = shell.run_cell(cell)
    out, err = (COLOUR.sub("", text) for text in capsys.readouterr())
    return bool(result.success), out, err


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, CheckpointOptions]]:
    """What reached the room that runs cells."""
    seen: list[tuple[str, str, CheckpointOptions]] = []

    def fake(session: object, name: str, source: str, options: CheckpointOptions) -> object:
        seen.append((name, source, options))
        return 42

    monkeypatch.setattr(Session, "run_checkpointed", fake)
    return seen


@pytest.mark.parametrize("magic", ["%keepalive", "%memguard", "%guard", "%%checkpointed"])
@pytest.mark.parametrize("option", ["-h", "--help", "-h  # what is this"])
def test_h_prints_help_and_does_nothing(magic: str, option: str, shell: Any, capsys: Any, home: Path) -> None:
    success, out, _ = run(shell, f"{magic} {option}\n" + ("x = 1" if magic.startswith("%%") else ""), capsys)
    assert success
    assert out.startswith(f"usage: {magic}")
    assert "x" not in shell.user_ns
    assert not home.exists()


@pytest.mark.parametrize("magic", ["%keepalive", "%memguard", "%guard", "%%checkpointed"])
def test_a_question_mark_shows_the_help(magic: str, shell: Any) -> None:
    assert f"usage: {magic}" in shell.object_inspect(magic)["docstring"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%memguard 85", "85%"),
        ("%memguard much", "not a fraction"),
        ("%memguard 0.85%", "type %memguard 0.85, or 85%"),
        ("%memguard 0.85 --soft much", "--soft much is not a fraction"),
        ("%memguard 0.85 --soft 0.95", "--soft 0.95 must be below --hard"),
        ("%memguard 0.85 --hard 0.99", "leaves no room"),
        ("%memguard --hard 0.9", "no limit is set"),
        ("%memguard off --hard 0.9", "takes no --soft"),
        ("%memguard off --allow shorter", "takes no --allow"),
        ("%memguard 0.85 --allow longer", "--allow longer means nothing here; type --allow shorter"),
        ("%memguard 0.85 --allow 4bit", 'autoconfig(..., allow="4bit")'),
        ("%memguard 0.85 --allow", "expected one argument"),
        ("%memguard -1", "-1"),
        ("%keepalive --every never", "not a duration"),
        ("%keepalive for ever", "unrecognized arguments: ever"),
        ("%keepalive sometimes", "sometimes is not one of"),
        ("%keepalive --notify ntfy.sh/mine", "begins with https://"),
        ("%keepalive --notify", "expected one argument"),
        ("%keepalive --touch", "type %keepalive --page-script --touch"),
        ("%keepalive --page-script", "is for Colab's page, and this is"),
        ("%keepalive off --release", "off takes no --release"),
        ("%keepalive doctor --every 60", "doctor takes no --every"),
        ("%keepalive status --notify https://ntfy.sh/x", "status takes no --notify"),
        ("%guard dance", "dance is not one of"),
        ("%guard stop now", "takes no further word"),
        ("%%checkpointed\nx = 1", "needs a NAME"),
        ("%%checkpointed a b\nx = 1", "takes one NAME"),
        ("%%checkpointed ../up\nx = 1", "cannot be a NAME"),
        ("%%checkpointed a --fresh --resume\nx = 1", "type one of them"),
        ("%%checkpointed a --budget 3\nx = 1", "3%"),
        ("%%checkpointed a --every 0\nx = 1", "not a duration"),
        ("%%checkpointed a --every 5x\nx = 1", "not a duration"),
        ("%%checkpointed a --nothing\nx = 1", "--nothing"),
        ("%%checkpointed a\n ", "no code under it"),
        ("%%checkpointed a\nx = 1\nfor x in:\n    pass", "line 2 under %%checkpointed"),
        ("%%checkpointed a\nx = 1\nreturn x", "line 2 under %%checkpointed: 'return' outside function: return x"),
        ("%%checkpointed a\nx = 1\nbreak", "'break' outside loop"),
        ("%%checkpointed a\nnonlocal x", "nonlocal"),
        ("%checkpointed a --fresh", "%%checkpointed a --fresh"),
        ("%checkpointed a b", "%%checkpointed a b"),
    ],
)
def test_a_mistake_is_one_line_without_a_traceback_and_changes_nothing(
    line: str, said: str, shell: Any, capsys: Any, home: Path, runs: list[object]
) -> None:
    success, out, err = run(shell, line, capsys)
    assert not success
    assert out == ""
    assert err.startswith("UsageError: ")
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not home.exists()
    assert runs == []
    assert "x" not in shell.user_ns


@pytest.mark.parametrize("magic", ["%keepalive", "%memguard", "%guard", "%%checkpointed"])
def test_help_shows_words_as_they_are_typed(magic: str, shell: Any) -> None:
    text = shell.object_inspect(magic)["docstring"].replace("%%checkpointed", "")
    assert "%%" not in text


def test_checkpointed_with_one_percent_sign_is_help_and_status(shell: Any, capsys: Any, home: Path) -> None:
    assert run(shell, "%checkpointed -h", capsys)[1].startswith("usage: %%checkpointed")
    assert run(shell, "%checkpointed", capsys) == run(shell, "%guard checkpoints", capsys)
    assert run(shell, "%checkpointed a", capsys) == run(shell, "%guard checkpoints a", capsys)
    assert "single %" in run(shell, "%%checkpointed -h", capsys)[2], "IPython's own word for a cell magic without a cell"
    assert not home.exists()


def test_colab_passes_a_blank_for_an_empty_body(shell: Any, capsys: Any, runs: list[object]) -> None:
    from IPython.core.error import UsageError

    with pytest.raises(UsageError, match="no code under it"):
        shell.run_cell_magic("checkpointed", "a", " ")


def test_options_reach_the_guarded_cell(shell: Any, capsys: Any, runs: list[Any]) -> None:
    line = "%%checkpointed my-run --to 'my drive' --every 2m --budget 0.05 --mirror-every 1h --keep a --keep b --fresh  # comment"
    success, out, err = run(shell, f"{line}\nx = {{1}}\nx", capsys)
    assert success, err
    assert "42" in out
    name, source, options = runs[0]
    assert (name, source) == ("my-run", "x = {1}\nx\n") or (name, source) == ("my-run", "x = {1}\nx")
    assert options == CheckpointOptions(
        to="my drive", every_s=120.0, mirror_every_s=3600.0, budget=0.05, fresh=True, keep=("a", "b")
    )


def test_defaults_are_those_of_the_options(shell: Any, capsys: Any, runs: list[Any]) -> None:
    run(shell, "%%checkpointed a\nx = 1", capsys)
    assert runs[0][2] == CheckpointOptions()


def test_braces_and_dollars_in_a_line_are_not_expanded(shell: Any, capsys: Any, runs: list[Any]) -> None:
    shell.user_ns["folder"] = "elsewhere"
    run(shell, "%%checkpointed a --to {folder}$folder\nx = 1", capsys)
    assert runs[0][2].to == "{folder}$folder"


def test_an_error_in_the_cell_fails_it_with_its_own_traceback(shell: Any, capsys: Any, monkeypatch: Any) -> None:
    def fail(session: object, name: str, source: str, options: object) -> object:
        raise ZeroDivisionError("in the body")

    monkeypatch.setattr(Session, "run_checkpointed", fail)
    success, out, err = run(shell, "%%checkpointed a\n1 / 0", capsys)
    assert not success
    assert (out + err).count("ZeroDivisionError: in the body") == 1
    assert "UsageError" not in out + err


def test_a_mistake_raised_by_a_line_of_the_cell_shows_that_line(shell: Any, capsys: Any, monkeypatch: Any) -> None:
    def body(session: Any, name: str, source: str, options: object) -> object:
        exec(compile(source, "<the cell>", "exec"), session.shell.user_ns)
        return None

    monkeypatch.setattr(Session, "run_checkpointed", body)
    success, out, err = run(
        shell, "%%checkpointed a\nfrom colab_guard import UserMistake\nraise UserMistake('no grid')", capsys
    )
    assert not success
    assert "UserMistake: no grid" in out + err
    assert "UsageError" not in out + err


def test_keepalive_is_switched_on_told_and_taken_back(shell: Any, capsys: Any) -> None:
    assert run(shell, "%keepalive status", capsys)[1].startswith("keep-alive: off")
    success, out, _ = run(shell, "%keepalive --every 2m   # signs of life", capsys)
    assert success
    assert out.startswith("keep-alive: on, every 120 s while guarded work runs")
    assert "Undo: %keepalive off" in out
    assert len(out.strip().splitlines()) == 1
    assert "every 120 s" in run(shell, "%keepalive", capsys)[1], "without a word it is the status"
    assert run(shell, "%keepalive off", capsys)[1].startswith("keep-alive: off")
    assert not session.current(shell).keepalive.in_force


def test_keepalive_doctor_tells_the_hosts_rules(shell: Any, capsys: Any) -> None:
    out = run(shell, "%keepalive doctor", capsys)[1]
    assert session.current(shell).host.idle_rule.rstrip(". ") in out
    assert not session.current(shell).keepalive.in_force


@pytest.mark.parametrize("limit", ["0.85", "85%", "'0.85'  # of the GPU"])
def test_memguard_is_set_told_and_taken_back(limit: str, shell: Any, capsys: Any) -> None:
    success, out, _ = run(shell, f"%memguard {limit}", capsys)
    assert success
    assert "%memguard off" in out
    assert len(out.strip().splitlines()) == 1
    assert session.current(shell).memory.in_force
    assert "%memguard off" in run(shell, "%memguard", capsys)[1]
    assert "off" in run(shell, "%memguard off", capsys)[1]
    assert not session.current(shell).memory.in_force


def test_guard_without_a_word_is_the_status(shell: Any, capsys: Any) -> None:
    success, out, _ = run(shell, "%guard", capsys)
    assert success
    assert "none is running" in out
    assert out == run(shell, "%guard status", capsys)[1]


def test_guard_off_takes_back_what_is_in_force(shell: Any, capsys: Any) -> None:
    run(shell, "%keepalive", capsys)
    run(shell, "%memguard 0.85", capsys)
    assert session.current(shell).in_force() == (True, True)
    assert run(shell, "%guard off", capsys)[0]
    assert session.current(shell).in_force() == (False, False)


@pytest.mark.parametrize(
    ("lines", "allowed"),
    [
        (["%memguard 0.85"], False),
        (["%memguard 0.85 --allow shorter"], True),
        (["%memguard --allow shorter"], True),
        (["%memguard 0.85 --allow shorter", "%memguard --soft 0.8"], True),
        (["%memguard --allow shorter", "%memguard status"], True),
        (["%memguard 0.85 --allow shorter", "%memguard 0.9"], False),
        (["%memguard 0.85 --allow shorter", "%memguard off"], False),
        (["%memguard 0.85 --allow shorter", "%guard off"], False),
        (["%memguard 0.85 --allow shorter", "%memguard 2 --allow shorter"], True),
        (["%memguard 0.85", "%memguard much --allow shorter"], False),
    ],
)
def test_sequences_may_be_cut_where_the_last_limit_says_so(lines: list[str], allowed: bool, shell: Any, capsys: Any) -> None:
    for line in lines:
        run(shell, line, capsys)
    assert session.current(shell).allowed == (frozenset({"shorter"}) if allowed else frozenset())
    for word in ("%memguard", "%guard"):
        assert ("Sequences may be cut" in run(shell, word, capsys)[1]) == allowed


@pytest.mark.parametrize("word", ["stop", "commit", "checkpoints"])
def test_guard_words_say_when_there_is_nothing_to_do(word: str, shell: Any, capsys: Any, home: Path) -> None:
    success, out, _ = run(shell, f"%guard {word}", capsys)
    assert success
    assert len(out.strip().splitlines()) == 1
    assert not home.exists()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%keepalive --ev", "--every"),
        ("%keepalive of", "off"),
        ("%keepalive doc", "doctor"),
        ("%keepalive --rel", "--release"),
        ("%keepalive --page", "--page-script"),
        ("%keepalive --page-script --to", "--touch"),
        ("%keepalive --notify htt", "https://"),
        ("%memguard --so", "--soft"),
        ("%memguard 0.85 --allow sh", "shorter"),
        ("%guard che", "checkpoints"),
        ("%%checkpointed a --take", "--take-over"),
        ("%%checkpointed old", "old-run"),
        ("%guard checkpoints old", "old-run"),
    ],
)
def test_words_are_completed(line: str, expected: str, shell: Any, home: Path) -> None:
    (home / "old-run").mkdir(parents=True)
    (home / "old-run" / "FORMAT").write_text("colab_guard-store 1\n")
    text = line.split()[-1]
    matches = shell.complete(text, line, len(line))[1]
    assert any(match.endswith(expected) for match in matches), matches


@pytest.mark.parametrize("line", ["%keepalive --", "%%checkpointed a --k", "%guard --", "%memguard --s"])
def test_after_dashes_only_options_are_offered_as_a_kernel_asks(line: str, shell: Any) -> None:
    from IPython.core.completer import provisionalcompleter

    shell.run_cell("keeper = soft = 1")
    with provisionalcompleter():
        offered = [completion.text for completion in shell.Completer.completions(line, len(line))]
        plainly = [completion.text for completion in shell.Completer.completions("keep", 4)]
    assert offered and all(text.startswith("--") for text in offered)
    assert any("keeper" in text for text in plainly), "elsewhere names are completed as before"


def test_the_completer_is_as_it_was_after_unloading(shell: Any) -> None:
    shell.run_line_magic("unload_ext", "colab_guard")
    assert "_jedi_matches" not in vars(shell.Completer)


def test_keepalive_release_says_what_it_does_here(shell: Any, capsys: Any) -> None:
    out = run(shell, "%keepalive --release", capsys)[1]
    assert "--release does nothing on" in out and "only Colab lets a notebook give its machine back" in out
    assert len(out.strip().splitlines()) == 1
    session.current(shell)._host = hosts_on_colab()
    run(shell, "%keepalive off", capsys)


def hosts_on_colab() -> Any:
    with FakeColab():
        return hosts.detect({})


def test_keepalive_page_script_is_printed_on_colab_with_its_rules_and_the_touch_only_where_it_is_typed(shell: Any, capsys: Any) -> None:
    session.current(shell)._host = hosts_on_colab()
    success, out, err = run(shell, "%keepalive --page-script", capsys)
    assert success, err
    assert "Five times at most; it answers no prompt and no CAPTCHA" in out and "forbids bypassing its policies" in out
    assert '"touch": false' in out and "RISKS YOUR ACCOUNT" not in out and "__SETTINGS__" not in out
    assert "javascript:" in out
    touching = run(shell, "%keepalive --page-script --touch", capsys)[1]
    assert '"touch": true' in touching and "RISKS YOUR ACCOUNT" in touching
    nonce = re.compile(r'"nonce": "([0-9a-f]{32})"')
    assert set(nonce.findall(out)) == set(nonce.findall(touching)), "one nonce for one run of the kernel"
    assert session.current(shell).keepalive.in_force


def test_in_a_fresh_kernel_keepalive_offers_to_resume(shell: Any, capsys: Any, monkeypatch: Any) -> None:
    unfinished = found.Found("lora", commits=(SimpleNamespace(kind="step"),))  # type: ignore[arg-type]
    monkeypatch.setattr(found, "look", lambda: [unfinished, found.Found("done", commits=(SimpleNamespace(kind="cell"),))])  # type: ignore[arg-type]
    out = run(shell, "%keepalive", capsys)[1]
    assert "To resume: lora (run the same cells again)." in out and len(out.strip().splitlines()) == 1
    assert "To resume" not in run(shell, "%keepalive", capsys)[1], "said once"


@pytest.mark.parametrize("option", ["--keep", "--skip"])
def test_a_name_that_is_nowhere_is_said_before_anything_is_written(
    option: str, shell: Any, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell("there = 1")
    assert not shell.run_cell(f"%%checkpointed a {option} modle\nmodel = 1").success
    assert f"{option} modle: there is no variable of that name" in capsys.readouterr().err
    assert not home.exists()
    assert shell.run_cell(f"%%checkpointed a {option} model {option} there\nmodel = 1").success
    before = sorted(home.rglob("*"))
    assert not shell.run_cell(f"%%checkpointed a --fresh {option} modle\nmodel = 1").success
    assert sorted(home.rglob("*")) == before


def test_the_limit_is_told_without_a_gpu_too(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run_cell("%memguard 0.85")
    assert "0.85" in capsys.readouterr().out


def test_time_in_the_first_line_of_a_checkpointed_cell_times_it_and_leaves_its_loops_resumable(shell: Any, capsys: Any) -> None:
    cell = "%%checkpointed timed\n%%time\ntotal = 0\nfor i in range(3):\n    total += i\ntotal"
    success, out, err = run(shell, cell, capsys)
    assert success and shell.user_ns["total"] == 3, err
    assert re.search(r"CPU time: [\d.e-]+ s\nWall time: [\d.e-]+ s", out)
    _, told, _ = run(shell, cell.replace("timed", "other --explain", 1), capsys)
    assert "line 4" in told and "a safe point at each iteration" in told


def test_every_word_and_option_of_keepalive_is_completed_and_none_that_means_nothing_there() -> None:
    def offered(line: str) -> set[str]:
        return set(completion.candidates("keepalive", line, list))

    assert offered("%keepalive ") == {"status", "doctor", "off", "--help", "--every", "--release", "--notify", "--page-script"}
    assert "--touch" in offered("%keepalive --page-script ")
    assert offered("%keepalive off ") == set(), "these take nothing more"
    assert "--release" not in offered("%keepalive --release ")
