"""The store that the benchmark asks: what is in it, and where in it to find what.

``Layout`` is arithmetic only: from a number of nodes and a seed it knows every id, name and URI, so that
requests can be made without asking a database. ``Content`` gives the rows, the same for every backend;
``backends`` and what it imports put them into databases.

What is in it (one tenth of the runs belongs to each of ten pipelines):

- a run: 1 context, 10 executions one after the other, 13 artifacts of which the last but one is the model;
- a raw dataset for each pipeline, read by the first step of every run of that pipeline;
- chains of 50 executions, which take 100 hops from end to end;
- a layered graph of 50 layers of 20 executions, each reading three artifacts of the layer below;
- lone artifacts, as many as are missing to the exact number of nodes.

Everything but the pipelines and what hangs on a raw dataset keeps its size when the store grows.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

FORMAT = 2
"""Part of a cached store's name: raise it when the contents change."""

BASE_MS = 1_700_000_000_000
PIPELINES = 10
STEP_OUTPUTS = (1, 1, 1, 2, 1, 1, 2, 1, 1, 2)
RUN_STEPS = len(STEP_OUTPUTS)
RUN_ARTIFACTS = sum(STEP_OUTPUTS)
RUN_NODES = 1 + RUN_STEPS + RUN_ARTIFACTS
FIRST_OUTPUT = tuple(sum(STEP_OUTPUTS[:step]) for step in range(RUN_STEPS))
MODEL = FIRST_OUTPUT[-1]
SECOND_INPUT = {6: FIRST_OUTPUT[3] + 1, 9: FIRST_OUTPUT[6] + 1}
CHAIN_STEPS = 50

SPLITS = ("train", "eval", "test")

INT, DOUBLE, STRING, BOOLEAN = 1, 2, 3, 6
KIND_NUMBERS = {"execution": 0, "artifact": 1, "context": 2}
ARTIFACT_PROPERTIES = {
    "split": STRING,
    "shard": INT,
    "accuracy": DOUBLE,
    "size_bytes": INT,
    "frozen": BOOLEAN,
}
EXECUTION_PROPERTIES = {
    "step": INT,
    "learning_rate": DOUBLE,
    "image": STRING,
    "duration_ms": INT,
    "retried": BOOLEAN,
}
TYPES: tuple[tuple[str, str, dict[str, int]], ...] = (
    *(("artifact", name, ARTIFACT_PROPERTIES) for name in ("Dataset", "Examples", "Metrics", "Model")),
    *(("execution", name, EXECUTION_PROPERTIES) for name in ("Ingest", "Transform", "Train")),
    ("context", "Pipeline", {"owner": STRING}),
    ("context", "Run", {"started_by": STRING}),
)
FIRST_TYPE_ID = 10
"""The engine's nine simple types come first."""
TYPE_IDS = {(kind, name): FIRST_TYPE_ID + at for at, (kind, name, _) in enumerate(TYPES)}

INPUT, OUTPUT = 3, 4
LIVE, COMPLETE = 2, 3


@dataclass(frozen=True)
class Layout:
    """Where everything is in the store of ``nodes`` nodes made from ``seed``. All ids are ranges or sums."""

    nodes: int
    seed: int = 7

    def __post_init__(self) -> None:
        if self.runs < PIPELINES:
            raise ValueError(f"{self.nodes} nodes leave room for {self.runs} runs; ask for 1000 or more")

    @property
    def chains(self) -> int:
        return 8 if self.nodes >= 10_000 else 1

    @property
    def layers(self) -> int:
        return 50 if self.nodes >= 10_000 else 10

    @property
    def layer_width(self) -> int:
        return 20 if self.nodes >= 10_000 else 5

    @property
    def _fixed_nodes(self) -> int:
        chain = 1 + CHAIN_STEPS + CHAIN_STEPS + 1
        layered = 1 + self.layer_width * (2 * self.layers + 1)
        return 2 * PIPELINES + self.chains * chain + layered

    @property
    def runs(self) -> int:
        return (self.nodes - self._fixed_nodes) // RUN_NODES

    @property
    def lone_artifacts(self) -> int:
        return (self.nodes - self._fixed_nodes) % RUN_NODES

    def pipeline(self, number: int) -> int:
        """The context id of a pipeline, 0 to 9."""
        return 1 + number

    def raw_dataset(self, pipeline: int) -> int:
        return 1 + pipeline

    def chain_artifact(self, chain: int, step: int) -> int:
        """Artifact ``step`` of a chain: 0 is the source, ``CHAIN_STEPS`` the end."""
        return 1 + PIPELINES + chain * (CHAIN_STEPS + 1) + step

    def layer_artifact(self, layer: int, column: int) -> int:
        """Artifact of the layered graph: layer 0 are the sources, layer ``layers`` the results."""
        return self.chain_artifact(self.chains, 0) + layer * self.layer_width + column

    def run_artifact(self, run: int, output: int) -> int:
        return self.layer_artifact(self.layers + 1, 0) + run * RUN_ARTIFACTS + output

    def run_execution(self, run: int, step: int) -> int:
        return self.chains * CHAIN_STEPS + self.layers * self.layer_width + 1 + run * RUN_STEPS + step

    def run_context(self, run: int) -> int:
        return PIPELINES + self.chains + 1 + 1 + run

    @property
    def artifacts(self) -> int:
        """How many artifacts there are; the ids are 1 to this."""
        return self.run_artifact(self.runs, 0) - 1 + self.lone_artifacts

    @property
    def executions(self) -> int:
        return self.run_execution(self.runs, 0) - 1

    @property
    def contexts(self) -> int:
        return self.run_context(self.runs) - 1

    def run_name(self, run: int) -> str:
        return f"run-{run:06d}"

    def uri(self, artifact_id: int) -> str:
        return f"s3://lake/{artifact_id % 97:02d}/{artifact_id:09d}"

    def ticket(self, artifact_id: int) -> str:
        """The selective property: five artifacts share one."""
        return f"T-{artifact_id % (self.artifacts // 5):07d}"

    def shard(self, artifact_id: int) -> int:
        """The less selective property: fifty artifacts share one."""
        return artifact_id % (self.artifacts // 50)


Row = Sequence[object]

TYPE = "Type (id, name, type_kind)"
TYPE_PROPERTY = "TypeProperty (type_id, name, data_type)"
_TIMES = "create_time_since_epoch, last_update_time_since_epoch"
ARTIFACT = f"Artifact (id, type_id, uri, state, name, external_id, {_TIMES})"
EXECUTION = f"Execution (id, type_id, last_known_state, name, {_TIMES})"
CONTEXT = f"Context (id, type_id, name, {_TIMES})"
EVENT = "Event (id, artifact_id, execution_id, type, milliseconds_since_epoch)"
PATH = "EventPath (event_id, is_index_step, step_index, step_key)"
ATTRIBUTION = "Attribution (context_id, artifact_id)"
ASSOCIATION = "Association (context_id, execution_id)"
PARENT = "ParentContext (context_id, parent_context_id)"
PROPERTY = {
    (kind, column): f"{kind.title()}Property ({kind}_id, name, is_custom_property, {column})"
    for kind in ("artifact", "execution", "context")
    for column in ("int_value", "double_value", "string_value", "bool_value")
}

ALL = (
    TYPE,
    TYPE_PROPERTY,
    ARTIFACT,
    EXECUTION,
    CONTEXT,
    EVENT,
    PATH,
    ATTRIBUTION,
    ASSOCIATION,
    PARENT,
    *PROPERTY.values(),
)
FILLED = tuple(dict.fromkeys(into.split()[0] for into in ALL))
"""The tables that get rows."""


class Rows:
    """Rows on their way into the tables, many at a time.

    ``write`` is given a table with its columns, as INSERT and COPY spell them, and the rows. ``tables``,
    when given, are the only ones that are wanted.
    """

    def __init__(
        self,
        write: Callable[[str, list[Row]], None],
        tables: Collection[str] | None = None,
        at_once: int = 20_000,
    ) -> None:
        self._write = write
        self._skipped = {into for into in ALL if tables is not None and into.split()[0] not in tables}
        self._at_once = at_once
        self._rows: dict[str, list[Row]] = defaultdict(list)

    def add(self, into: str, *row: object) -> None:
        if into in self._skipped:
            return
        rows = self._rows[into]
        rows.append(row)
        if len(rows) >= self._at_once:
            self._write(into, self._rows.pop(into))

    def write_all(self) -> None:
        for into in list(self._rows):
            self._write(into, self._rows.pop(into))


class Content:
    """Writes what the module's docstring describes."""

    def __init__(self, layout: Layout, rows: Rows) -> None:
        self._layout = layout
        self._rows = rows
        self._random = random.Random(layout.seed)
        self._events = 0

    def write(self) -> None:
        self._types()
        self._pipelines()
        self._chains()
        self._layered()
        for run in range(self._layout.runs):
            self._run(run)
        for lone in range(self._layout.lone_artifacts):
            self._artifact(self._layout.run_artifact(self._layout.runs, 0) + lone, "Dataset", BASE_MS)
        self._rows.write_all()

    def _types(self) -> None:
        for kind, name, properties in TYPES:
            type_id = TYPE_IDS[kind, name]
            self._rows.add(TYPE, type_id, name, KIND_NUMBERS[kind])
            for property_name, data_type in properties.items():
                self._rows.add(TYPE_PROPERTY, type_id, property_name, data_type)

    def _pipelines(self) -> None:
        for number in range(PIPELINES):
            self._context(self._layout.pipeline(number), "Pipeline", f"pipeline-{number}", BASE_MS, "owner")
            dataset = self._layout.raw_dataset(number)
            self._artifact(dataset, "Dataset", BASE_MS + number)
            self._rows.add(ATTRIBUTION, self._layout.pipeline(number), dataset)

    def _chains(self) -> None:
        layout = self._layout
        for chain in range(layout.chains):
            context = PIPELINES + 1 + chain
            self._context(context, "Run", f"chain-{chain}", BASE_MS, "started_by")
            for step in range(CHAIN_STEPS + 1):
                artifact, at_ms = layout.chain_artifact(chain, step), BASE_MS + step * 1000
                self._artifact(artifact, "Examples", at_ms, context)
                if step:
                    execution = chain * CHAIN_STEPS + step
                    self._execution(execution, "Transform", f"chain-{chain}-{step}", step, at_ms, context)
                    self._event(layout.chain_artifact(chain, step - 1), execution, INPUT, 0, at_ms)
                    self._event(artifact, execution, OUTPUT, 0, at_ms)

    def _layered(self) -> None:
        layout, width = self._layout, self._layout.layer_width
        context = PIPELINES + layout.chains + 1
        self._context(context, "Run", "layered", BASE_MS, "started_by")
        first_execution = layout.chains * CHAIN_STEPS + 1
        for layer in range(layout.layers + 1):
            for column in range(width):
                artifact, at_ms = layout.layer_artifact(layer, column), BASE_MS + layer * 1000
                self._artifact(artifact, "Examples", at_ms, context)
                if layer:
                    execution = first_execution + (layer - 1) * width + column
                    name = f"layered-{layer}-{column}"
                    self._execution(execution, "Transform", name, layer, at_ms, context)
                    for slot, column_below in enumerate((column, column + 1, column + 7)):
                        below = layout.layer_artifact(layer - 1, column_below % width)
                        self._event(below, execution, INPUT, slot, at_ms)
                    self._event(artifact, execution, OUTPUT, 0, at_ms)

    def _run(self, run: int) -> None:
        layout = self._layout
        context, pipeline = layout.run_context(run), layout.pipeline(run % PIPELINES)
        start_ms = BASE_MS + 100_000 + run // 4 * 60_000  # four runs at a time, so that times are tied
        self._context(context, "Run", layout.run_name(run), start_ms, "started_by")
        self._rows.add(PARENT, context, pipeline)
        for step, outputs in enumerate(STEP_OUTPUTS):
            at_ms = start_ms + step * 5000
            execution = layout.run_execution(run, step)
            kind = "Ingest" if step == 0 else "Train" if step == RUN_STEPS - 1 else "Transform"
            self._execution(
                execution, kind, f"{kind.lower()}-{run:06d}-{step}", step, at_ms, context, pipeline
            )
            if step == 0:
                self._event(layout.raw_dataset(run % PIPELINES), execution, INPUT, 0, at_ms)
            else:
                self._event(layout.run_artifact(run, FIRST_OUTPUT[step - 1]), execution, INPUT, 0, at_ms)
            if step in SECOND_INPUT:
                self._event(layout.run_artifact(run, SECOND_INPUT[step]), execution, INPUT, 1, at_ms)
            for slot in range(outputs):
                output = FIRST_OUTPUT[step] + slot
                artifact = layout.run_artifact(run, output)
                name = None
                type_name = "Examples"
                if output == MODEL:
                    type_name, name = "Model", f"model-{run:06d}"
                elif output > MODEL:
                    type_name = "Metrics"
                self._artifact(artifact, type_name, at_ms, context, pipeline, name=name)
                self._event(artifact, execution, OUTPUT, slot, at_ms + 1)

    def _context(self, context: int, type_name: str, name: str, at_ms: int, declared: str) -> None:
        self._rows.add(CONTEXT, context, TYPE_IDS["context", type_name], name, at_ms, at_ms)
        self._rows.add(PROPERTY["context", "string_value"], context, declared, 0, f"user-{context % 23}")
        self._rows.add(PROPERTY["context", "string_value"], context, "commit", 1, f"{context * 7919:08x}")

    def _artifact(
        self, artifact: int, type_name: str, at_ms: int, *contexts: int, name: str | None = None
    ) -> None:
        layout, rows = self._layout, self._rows
        name = name or f"{type_name.lower()}-{artifact:08d}"
        external_id = f"registry/{name}" if type_name == "Model" else None
        updated_ms = at_ms + self._random.randrange(3)
        type_id = TYPE_IDS["artifact", type_name]
        rows.add(
            ARTIFACT, artifact, type_id, layout.uri(artifact), LIVE, name, external_id, at_ms, updated_ms
        )
        accuracy, cost = round(self._random.random(), 4), round(self._random.random() * 50, 3)
        rows.add(PROPERTY["artifact", "string_value"], artifact, "split", 0, SPLITS[artifact % 3])
        rows.add(PROPERTY["artifact", "int_value"], artifact, "shard", 0, layout.shard(artifact))
        rows.add(PROPERTY["artifact", "double_value"], artifact, "accuracy", 0, accuracy)
        rows.add(PROPERTY["artifact", "int_value"], artifact, "size_bytes", 0, artifact * 104_729 % 2**31)
        rows.add(PROPERTY["artifact", "bool_value"], artifact, "frozen", 0, artifact % 2)
        rows.add(PROPERTY["artifact", "string_value"], artifact, "ticket", 1, layout.ticket(artifact))
        rows.add(PROPERTY["artifact", "double_value"], artifact, "cost", 1, cost)
        for context in contexts:
            rows.add(ATTRIBUTION, context, artifact)

    def _execution(
        self, execution: int, type_name: str, name: str, step: int, at_ms: int, *contexts: int
    ) -> None:
        rows = self._rows
        type_id = TYPE_IDS["execution", type_name]
        rows.add(EXECUTION, execution, type_id, COMPLETE, name, at_ms, at_ms + 900)
        rate, duration_ms = round(self._random.random() / 10, 5), self._random.randrange(600_000)
        rows.add(PROPERTY["execution", "int_value"], execution, "step", 0, step)
        rows.add(PROPERTY["execution", "double_value"], execution, "learning_rate", 0, rate)
        rows.add(PROPERTY["execution", "string_value"], execution, "image", 0, f"train:1.{execution % 40}")
        rows.add(PROPERTY["execution", "int_value"], execution, "duration_ms", 0, duration_ms)
        rows.add(PROPERTY["execution", "bool_value"], execution, "retried", 0, int(execution % 5 == 0))
        rows.add(PROPERTY["execution", "string_value"], execution, "host", 1, f"node-{execution % 64}")
        rows.add(PROPERTY["execution", "int_value"], execution, "attempt", 1, 1 + execution % 3)
        for context in contexts:
            rows.add(ASSOCIATION, context, execution)

    def _event(self, artifact: int, execution: int, type_number: int, slot: int, at_ms: int) -> None:
        self._events += 1
        self._rows.add(EVENT, self._events, artifact, execution, type_number, at_ms)
        self._rows.add(PATH, self._events, 0, None, "examples" if type_number == INPUT else "outputs")
        self._rows.add(PATH, self._events, 1, slot, None)
