"""Lines of %swarm: read as the shell reads them, mistakes told with what was probably meant."""

import pytest

from swarm_lab.errors import UsageError
from swarm_lab.jupyter.call import read_call, take_target


def test_options_are_those_of_the_verb() -> None:
    call = read_call(["up", "--name", "demo", "--sl", "4"])
    assert call is not None and call.verb == "up"
    assert (call.options.name, call.options.sl, call.json) == ("demo", 4, False)


def test_bare_names_and_arguments_of_the_program() -> None:
    assert read_call(["status", "demo"]).options.name == "demo"
    call = read_call(["train", "p.py", "--data", "parts", "--", "--epochs", "3"])
    assert call.options.args == ("--epochs", "3")


def test_verbs_of_two_words() -> None:
    assert read_call(["license", "show"]).verb == "license show"


@pytest.mark.parametrize(
    ("words", "cause", "next_step"),
    [
        (["statsu"], "no verb 'statsu'", "did you mean `%swarm status`?"),
        (["license", "shwo"], "no verb 'shwo'", "did you mean `%swarm license show`?"),
        (["up", "--nmae", "x"], "`%swarm up` has no option --nmae", "did you mean --name?"),
        (["up", "--sl", "0"], "--sl: ", "see `%swarm up --help`"),
        (["up", "--framework", "jax"], "jax", "see `%swarm up --help`"),
        (["logs"], "NODE", "see `%swarm logs --help`"),
    ],
)
def test_mistakes_are_named(words: list[str], cause: str, next_step: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_call(words)
    assert cause in caught.value.message
    assert caught.value.next_step == next_step


def test_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert read_call([]) is None
    assert read_call(["up", "--help"]) is None
    printed = capsys.readouterr().out
    assert "Commands:" in printed and "last" in printed and "--sl" in printed


def test_target_is_the_notebooks() -> None:
    assert take_target(["train", "-o", "run", "--sync", "4"]) == (["train", "--sync", "4"], "run")
    assert take_target(["train", "--", "-o", "x"]) == (["train", "--", "-o", "x"], None)
    with pytest.raises(UsageError, match="name of a variable"):
        take_target(["train", "-o", "--sync"])
