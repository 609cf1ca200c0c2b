"""A dataclass is a command line: names, other names, types, ranges, and what is said about a slip."""

from __future__ import annotations

import dataclasses

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from yolo.config.commands import DetectConfig, TrainConfig, ValConfig
from yolo.config.options import build_parser, option, parse, to_argv, to_yaml
from yolo.errors import ConfigError

COMMANDS = [TrainConfig, ValConfig, DetectConfig]
FLAGS = sorted({flag for command in COMMANDS for flag in build_parser(command, "x")._option_string_actions})


@dataclasses.dataclass(frozen=True)
class Sample:
    """A sample.

    More about it.
    """

    size: int = option(3, "how much, 100 % sure", low=1, high=9)
    share: float = option(0.5, "a part", low=0, high=1)
    free: int = option(-1, "any number")
    kind: str = option("a", "which", choices=("a", "b"))
    text: str = option("", "some text")
    long_name: bool = option(False, "a switch")
    picks: tuple = option((), "numbers", many=int, low=0)
    pair: tuple = option((1, 2), "numbers", aliases=("--two",), many=int)
    maybe: str = option("", "given alone or with a value", bare="some")
    count: int = option(0, "the same for a number", bare=300, low=0)


def read(*argv):
    return parse(Sample, argv, "yolo.sample")


def test_nothing_given_is_the_defaults():
    assert read() == Sample()
    assert read() == Sample(3, 0.5, -1, "a", "", False, (), (1, 2), "", 0)


@pytest.mark.parametrize(
    "argv, maybe, count",
    [(["--maybe"], "some", 0), (["--maybe", "x", "--count"], "x", 300), (["--maybe=y", "--count=2"], "y", 2)],
)
def test_an_option_that_may_be_given_alone(argv, maybe, count):
    config = read(*argv)
    assert (config.maybe, config.count) == (maybe, count)


@pytest.mark.parametrize(
    "config",
    [
        Sample(),
        Sample(4, 0.25, -7, "b", "x=y z", True, (5, 6, 7), (8,), "--odd", 3),
        Sample(text="--size", maybe="some", count=300),
    ],
)
def test_a_config_as_a_command_line(config):
    assert parse(Sample, to_argv(config), "yolo.sample") == config


def test_everything_given():
    argv = "--size 4 --share .25 --free -7 --kind b --text x=y --long-name --picks 5 6 7 --two 8"
    assert read(*argv.split()) == Sample(4, 0.25, -7, "b", "x=y", True, (5, 6, 7), (8,))


@pytest.mark.parametrize("flag", ["--long-name", "--long_name", "--long", "--lo"])
def test_dash_underscore_and_abbreviation(flag):
    assert read(flag).long_name is True


@pytest.mark.parametrize("argv", [["--size=4"], ["--siz", "4"], ["--size", "2", "--size", "4"]])
def test_ways_to_give_a_value(argv):
    assert read(*argv).size == 4


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--size", "0"], "--size: is 0; give between 1 and 9"),
        (["--size", "10"], "--size: is 10; give between 1 and 9"),
        (["--share", "1.01"], "--share: is 1.01; give between 0 and 1"),
        (["--share", "nan"], "--share: is nan; give between 0 and 1"),
        (["--share", "inf"], "--share: is inf; give between 0 and 1"),
        (["--picks", "3", "-1"], "--picks: is -1; give at least 0"),
        (["--sice", "4"], "unknown option --sice; did you mean --size?"),
        (["--sice=4"], "unknown option --sice; did you mean --size?"),
        (["--longname"], "unknown option --longname; did you mean --long-name?"),
        (["--zzzzzzzz"], "unknown option --zzzzzzzz; see yolo.sample --help"),
        (["-q"], "unknown option -q; see yolo.sample --help"),
        (["a.jpg"], "unexpected argument 'a.jpg'; see yolo.sample --help"),
    ],
)
def test_what_is_said(argv, said):
    with pytest.raises(ConfigError) as caught:
        read(*argv)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (["--size", "x"], "--size: invalid int value: 'x'"),
        (["--size", "1.5"], "--size: invalid int value: '1.5'"),
        (["--size", "9" * 5000], "--size: invalid int value"),
        (["--share", "much"], "--share: invalid float value: 'much'"),
        (["--kind", "c"], "--kind: invalid choice: 'c' (choose from 'a', 'b')"),
        (["--size"], "--size: expected one argument"),
        (["--picks"], "--picks: expected at least one argument"),
        (["--long-name=1"], "ignored explicit argument '1'"),
        (["--s", "1"], "ambiguous option: --s could match"),
    ],
)
def test_what_argparse_says_is_kept(argv, part):
    with pytest.raises(ConfigError) as caught:
        read(*argv)
    assert part in str(caught.value)
    assert str(caught.value).endswith("; see yolo.sample --help")


@pytest.mark.parametrize("size", ["1", "9"])
def test_bounds_are_allowed(size):
    assert read("--size", size).size == int(size)


def test_help_shows_defaults_and_first_line(capsys):
    with pytest.raises(SystemExit):
        read("--help")
    said = " ".join(capsys.readouterr().out.split())
    assert "A sample." in said and "More about it" not in said
    for part in ("100 % sure (default: 3)", "some text (default: none)", "(default: 1 2)", "{a,b}", "--picks INT"):
        assert part in said


def test_yaml_gives_the_config_back():
    config = read("--size", "4", "--picks", "5", "6", "--long-name", "--text", "yes: [no]")
    values = yaml.safe_load(to_yaml(config))
    assert values["picks"] == [5, 6]
    assert list(values) == [field.name for field in dataclasses.fields(Sample)]
    assert Sample(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}) == config


WORDS = st.one_of(
    st.sampled_from(FLAGS),
    st.sampled_from(FLAGS).map(lambda flag: flag[:-2]),
    st.tuples(st.sampled_from(FLAGS), st.text(max_size=4)).map("=".join),
    st.sampled_from(["", "-", "--", "0", "-1", "1e9", "nan", "inf", "1_0", "٣", "@x", "%s", "val", "SGD"]),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=8),
).filter(lambda word: not ("--help".startswith(word) and len(word) > 2) and not word.startswith("-h"))


@given(command=st.sampled_from(COMMANDS), argv=st.lists(WORDS, max_size=6))
def test_any_command_line_is_a_config_or_a_config_error(command, argv):
    try:
        config = parse(command, argv, "yolo.x")
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1
        return
    for field in dataclasses.fields(command):
        value = getattr(config, field.name)
        assert type(value) is type(field.default)
        for number in value if isinstance(value, tuple) else (value,):
            low, high = field.metadata["low"], field.metadata["high"]
            assert (low is None or number >= low) and (high is None or number <= high)
    values = yaml.safe_load(to_yaml(config))
    assert command(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}) == config
