"""Where did this model come from, what was made from it, and why is it not the one of yesterday?

Two runs of a small pipeline that fits rents to sizes, and then questions about the model of the second.

python examples/lineage/tour.py             # records in rents.db, files and pictures in rents-files/
"""

import contextlib
import csv
import json
from pathlib import Path
from statistics import fmean

import headwater
from headwater.client import File, Output, Run, Store
from headwater.errors import FailedPrecondition, NotFound

FILES = Path("rents-files")
# Square metres, and rent a month.
LISTINGS = [(31, 420), (38, 510), (45, 560), (52, 640), (60, 755), (74, 900), (120, 2900), (25, 9900)]


def pipeline(run: Run, listings: Path, *, dearest: int, through_zero: bool) -> None:
    """Fit a line to the listings that are not dearer than ``dearest``, and forecast rents with it."""
    files = FILES / run.name
    files.mkdir(exist_ok=True)

    @run.step(outputs={"table": "Dataset"}, exclude=["to"])
    def clean(listings: File, *, dearest: int, to: Path) -> Path:
        return written(to, [row for row in read(listings) if int(row[1]) <= dearest])

    @run.step(outputs={"model": "Model"}, exclude=["to"])
    def train(table: Output, *, through_zero: bool, to: Path) -> Path:
        points = [(int(size), int(rent)) for size, rent in read(table)]
        size, rent = (0, 0) if through_zero else map(fmean, zip(*points, strict=True))
        slope = sum((x - size) * (y - rent) for x, y in points) / sum((x - size) ** 2 for x, _ in points)
        to.write_text(json.dumps({"slope": slope, "intercept": rent - slope * size}))
        return to

    @run.step(outputs={"scores": "Metrics"}, exclude=["to"])
    def evaluate(model: Output, table: Output, *, to: Path) -> File:
        errors = [abs(rent_of(model, int(size)) - int(rent)) for size, rent in read(table)]
        scores = {"mean_error": sum(errors) / len(errors)}
        to.write_text(json.dumps(scores))
        return File(to, metrics=scores)

    @run.step(outputs={"forecast": "Dataset"}, exclude=["to"])
    def forecast(model: Output, *, to: Path) -> Path:
        return written(to, [(size, round(rent_of(model, size))) for size in (40, 65, 100)])

    table = clean(File(listings), dearest=dearest, to=files / "table.csv")
    model = train(table, through_zero=through_zero, to=files / "model.json")
    evaluate(model, table, to=files / "scores.json")
    forecast(model, to=files / "forecast.csv")


def rent_of(model: Output, size: int) -> float:
    line = json.loads(model.path.read_text())
    return line["intercept"] + line["slope"] * size


def written(path: Path, rows: list) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def read(path: Path) -> list[list[str]]:
    with Path(path).open(newline="") as file:
        return list(csv.reader(file))


def label(node) -> str:
    """A node in a few words: the step of an execution, or the type and the name of an artifact."""
    if "step" in node.properties:
        return f"step {node.properties['step'].string_value}"
    return f"{node.type} {node.name.split('/')[-1] or node.uri.split('/')[-1]}"


def short(text: str | None) -> str:
    """A component without most of the digits of its digest."""
    return str(text) if text is None or not text.startswith("sha256:") else f"{text[:15]}..."


def record(client: Store) -> None:
    """Two runs with different parameters, unless an earlier tour has left them."""
    FILES.mkdir(exist_ok=True)
    listings = written(FILES / "listings.csv", LISTINGS)
    for name, dearest, through_zero in (("monday", 3000, False), ("tuesday", 2000, True)):
        with contextlib.suppress(NotFound):
            client.get_run("rents", name)
            continue
        parameters = {"dearest": dearest, "through_zero": through_zero}
        with client.run("rents", name=name, params=parameters) as run:
            pipeline(run, listings, **parameters)


def ask(client: Store) -> None:
    """Nine questions."""
    # By type and name; what a step made is named PIPELINE/RUN/STEP/OUTPUT. An id or a URI does as well.
    model = client.artifact("Model/rents/tuesday/train/model")
    of_monday = client.artifact("Model/rents/monday/train/model")
    scores = client.artifact("Metrics/rents/tuesday/evaluate/scores")
    forecast = client.artifact("Dataset/rents/tuesday/forecast/forecast")

    print(f"1. What is artifact {model.id}?")
    print(f"   {model.type} {model.name}, {model.size_bytes} bytes, {short(model.digest)}")

    print("2. What was it made from? Nearest first, with the number of hops:")
    upstream = model.upstream()
    for node, hops in zip(upstream.nodes, upstream.hops.values(), strict=True):
        print(f"   {hops} {label(node)}")

    print("3. What was made from it?")
    downstream = model.downstream()
    for node, hops in zip(downstream.nodes, downstream.hops.values(), strict=True):
        print(f"   {hops} {label(node)}")

    print("4. Why is it not the model of monday? The steps that differ in more than what they were given:")
    for step in of_monday.diff(model.id).causes:
        for one in step.differences:
            print(f"   {step.step}, {step.hops} up: {one.component} {short(one.a)} -> {short(one.b)}")

    print("5. How do the listings get into the forecast?")
    (raw,) = (node for node in upstream.artifacts.values() if upstream.producer_of(node.id) is None)
    for path in forecast.paths_to(raw.id):
        print(f"   {' -> '.join(label(stop.node) for stop in path)}")

    print("6. The listings were wrong. What has to be made again?")
    impact = client.impact(raw.id)
    print(f"   {impact.artifact_count} artifacts by {impact.execution_count} executions:")
    for count in impact.artifacts:
        print(f"   {count.count} {count.type}")
    print(f"   at the end of the line: {', '.join(label(artifact) for artifact in impact.latest)}")

    print("7. As a graph of networkx: what decides both the scores and the forecast?")
    print_common_ancestors(client, scores.id, forecast.id)

    print("8. As rows, for pandas.DataFrame(...):")
    for row in upstream.rows()[:3]:
        print("  ", {key: row[key] for key in ("kind", "id", "hops", "step", "run")})

    print("9. As a picture:")
    picture = FILES / "model.svg"
    try:
        picture.write_text(client.walk_all(model.id, direction="both").svg(), encoding="utf-8")
        print(f"   {picture.as_posix()}")
    except FailedPrecondition as missing:
        print(f"   {missing}")


def print_common_ancestors(client: Store, *artifact_ids: int) -> None:
    try:
        import networkx
    except ImportError:
        print("   pip install 'headwater[graph]'")
        return
    graph = client.walk_all(*artifact_ids).to_networkx()
    common = set.intersection(
        *(networkx.ancestors(graph, ("artifact", artifact_id)) for artifact_id in artifact_ids)
    )
    for kind, node_id in networkx.lexicographical_topological_sort(graph.subgraph(common)):
        print(f"   {kind} {node_id}")


if __name__ == "__main__":
    with headwater.connect("sqlite:///rents.db") as client:
        record(client)
        ask(client)
