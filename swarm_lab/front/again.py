"""How a swarm was brought up and a training started, as the words with which it is done again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from swarm_lab.errors import SwarmUnreadable
from swarm_lab.facts.paths import SwarmPaths
from swarm_lab.facts.swarm import SwarmFacts
from swarm_lab.facts.views import TrainingView
from swarm_lab.front.options import TrainOptions
from swarm_lab.nodes.staging import Stage, StageRequest
from swarm_lab.spec import SwarmSpec, read_spec

_CELL = "# %%swarm train\n"


@dataclass(frozen=True, slots=True)
class TrainingAgain:
    """`words` follow `train`, without the program; `secrets` names variables whose values are told nowhere.

    `program` is its text, None where no node has it any more; `files` are the others, by path, those that are no text
    in `lacking`.
    """

    words: tuple[str, ...]
    program: str | None
    path: str
    secrets: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    lacking: tuple[str, ...] = ()


def swarm_again(paths: SwarmPaths, facts: SwarmFacts) -> tuple[tuple[str, ...], SwarmSpec | None]:
    """The words after `up`; with a spec where words do not say all, to be given as a file. Raises `SwarmUnreadable`.

    Seats that were added or removed since count as they are now.
    """
    if not paths.spec.exists():
        raise SwarmUnreadable(f"{paths.spec} is missing")
    spec = read_spec(paths.spec)
    seats, networks = len(facts.seats), len(facts.network)
    if spec.options or spec.hosts or spec.svid_ttl is not None:
        return (), spec.model_copy(update={"sl": seats, "sn": networks, "framework": facts.framework})
    words = ("--name", facts.name, "--sl", str(seats), "--sn", str(networks), "--framework", facts.framework)
    return words + (("--cold",) if facts.cold else ()), None


def training_again(paths: SwarmPaths, facts: SwarmFacts, view: TrainingView) -> TrainingAgain:
    """From what a node of it was given; of a training that no node has any more only its terms are left."""
    for node in view.nodes:
        stage = Stage(paths.node(node) / "trainings")
        request = stage.request(view.id)
        if request is not None and (stage.folder(view.id) / "program" / request.program).is_file():
            return _given(paths, facts, view, request, stage.folder(view.id) / "program")
    words = _changed(sync=view.sync or None, min_peers=view.min_peers, merge=view.merge, adaptive=view.adaptive)
    return TrainingAgain(tuple(words), None, view.program)


def _given(
    paths: SwarmPaths, facts: SwarmFacts, view: TrainingView, request: StageRequest, folder: Path
) -> TrainingAgain:
    rules = request.rules
    words = _changed(
        data=_data(paths, view),
        sync=rules.sync_frequency,
        min_peers=rules.min_peers,
        merge=rules.merge,
        wire=rules.wire,
        adaptive=rules.adaptive_sync,
        early_stopping=rules.early_stopping,
        end_rule=rules.end_rule,
        seed=rules.seed,
        nodes=None if list(rules.nodes) == facts.seats else ",".join(rules.nodes),
        checkpoints=request.checkpoints,
    )
    program = (folder / request.program).read_text("utf-8", "replace")
    files, lacking = {}, []
    for file in request.files:
        if file.path != request.program:
            try:
                files[file.path] = (folder / file.path).read_text("utf-8")
            except (OSError, UnicodeDecodeError):
                lacking.append(file.path)
    options = [*words, *(word for path in _given_by_name(files) for word in ("--files", path))]
    return TrainingAgain(
        words=(*options, *(("--", *request.arguments) if request.arguments else ())),
        program=program.removeprefix(_CELL),
        path=view.program,
        secrets=tuple(request.environment),
        files=files,
        lacking=tuple(lacking),
    )


def _given_by_name(files: dict[str, str]) -> Iterator[str]:
    """Modules travel by themselves, as the program imports them."""
    return (path for path in files if not path.endswith(".py"))


def _changed(**values: object) -> Iterator[str]:
    """The options that are not what they are by default."""
    for name, value in values.items():
        default = TrainOptions.model_fields[name].default
        if value is None or value == default:
            continue
        option = f"--{name.replace('_', '-')}"
        yield from (option,) if value is True else (option, str(value))


def _data(paths: SwarmPaths, view: TrainingView) -> str | None:
    """The folder that the nodes' own folders lie in."""
    found = [Stage(paths.node(node) / "trainings").request(view.id) for node in view.nodes]
    parents = {str(Path(request.data_dir).parent) for request in found if request is not None and request.data_dir}
    return parents.pop() if len(parents) == 1 else None
